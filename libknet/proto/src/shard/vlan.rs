//! Frames in VLANs: each port gets them with the tag that it is to have, or without one.

use alloc::vec::Vec;

use super::{Shard, outbox::TapFrame};
use crate::{
    ids::PeerId,
    l2::vlan::{Switchport, VlanId, tag},
    offload::{Frame, join::Joins},
    status::{Port, VlanEntry},
    time::Time,
    wire::{ethernet::EthernetFrame, virtio_net_header::VirtioNetHeader},
};

impl Shard {
    /// Says whether VLANs are told apart, and which of them the TAP is in. Where that changes, what was learned of addresses
    /// is forgotten.
    pub fn set_vlans(&mut self, now: Time, filtering: bool, tap: Switchport) {
        self.tick(now);
        if filtering != self.bridge.filters_vlans() {
            self.bridge.set_vlan_filtering(filtering);
            self.neighbors.clear();
            self.listeners.clear();
        }
        if self.bridge.set_tap_switchport(tap) {
            self.forget_port(Port::Tap);
        }
    }

    /// VLANs from `from` on, at most `limit`, and where to go on; see [`Bridge::vlans_page`](crate::l2::bridge::Bridge).
    pub fn vlans_page(&self, from: VlanId, limit: usize) -> (Vec<VlanEntry>, Option<VlanId>) {
        self.bridge.vlans_page(from, limit)
    }

    /// Forwards a frame in the VLAN that its tag, or the port that it came in by, says.
    #[inline(never)]
    pub(super) fn forward_in_vlan(&mut self, from: Port, came: Frame<'_>) -> bool {
        let vlan = match self.bridge.vlan_of(from, came.bytes) {
            Ok(vlan) => vlan,
            Err(reason) => {
                self.count_drops(reason, came.count().into());
                return false;
            }
        };
        let came = Frame { vlan, ..came };
        let (mut frame, mut named) = (came, Vec::new());
        if tag::tci(came.bytes).is_some_and(|tci| !tag::is_of(tci, vlan)) {
            // A tag with a priority only: from here on it names the VLAN.
            frame = match tag::retag(came, true, &mut named) {
                Ok(frame) => frame,
                Err(reason) => {
                    self.env.drop(reason);
                    return false;
                }
            };
        }
        if !self.forward_where(from, frame) {
            return false;
        }
        let tagged = self.is_tagged(Port::Tap, vlan);
        if tag::is_as(came.bytes, vlan, tagged) {
            self.env.status.tap_tx.count(came.bytes.len());
            return true;
        }
        self.give_tap(frame);
        false
    }

    /// Sends a frame to a peer as that is to have it.
    #[inline(never)]
    pub(super) fn send_in_vlan(&mut self, to: PeerId, from: Port, frame: Frame<'_>) {
        if !self.seat.owns(to) {
            return self.hand_over_frame(to, from, &frame);
        }
        let tagged = self.is_tagged(Port::Peer(to), frame.vlan);
        let mut buffer = core::mem::take(&mut self.retagged);
        match tag::retag(frame, tagged, &mut buffer) {
            Ok(frame) => self.send_as_it_is(to, from, frame),
            Err(reason) => self.count_drops(reason, frame.count().into()),
        }
        self.retagged = buffer;
    }

    /// Gives the TAP a frame that was made here, without a tag.
    pub(super) fn answer_tap(&mut self, vlan: VlanId, answer: Vec<u8>) {
        if vlan == VlanId::NONE {
            self.env.status.tap_tx.count(answer.len());
            let answer = TapFrame::own(VirtioNetHeader::default(), answer.into_boxed_slice());
            self.env.outbox.frames.push(answer);
        } else {
            let frame = Frame::plain(&answer);
            self.give_tap(Frame { vlan, ..frame });
        }
    }

    /// Gives the TAP a frame of a VLAN as it is to have it.
    fn give_tap(&mut self, frame: Frame<'_>) {
        let tagged = self.is_tagged(Port::Tap, frame.vlan);
        let mut buffer = Vec::new();
        match tag::retag(frame, tagged, &mut buffer) {
            Ok(frame) => {
                self.env.status.tap_tx.count(frame.bytes.len());
                let frame = TapFrame::own(frame.header, frame.bytes.into());
                self.env.outbox.frames.push(frame);
            }
            Err(reason) => self.count_drops(reason, frame.count().into()),
        }
    }

    fn is_tagged(&self, port: Port, vlan: VlanId) -> bool {
        let port = self.bridge.switchport(port);
        port.is_none_or(|port| port.is_tagged(vlan))
    }

    /// What `frame` may be joined with. One with two tags may get a third, behind which nothing is found that could be cut.
    #[inline(never)]
    pub(super) fn joins_for(&self, frame: &[u8]) -> Joins {
        match EthernetFrame::new(frame).map(|frame| frame.vlan_tags()) {
            Ok(([_, Some(_)], _)) => Joins::default(),
            _ => self.joins,
        }
    }
}
