//! Where a frame goes: to the TAP, to a peer, or to many, and what is done to it on the way out.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::Shard;
use crate::{
    config::MtuPolicy,
    drop_reason::DropReason,
    event::Event,
    ids::{PeerId, SocketId},
    l2::{
        bridge::Decision,
        ip_packet::{Addresses, IpPacket, Part, protocol},
        mss_clamp,
        packet_too_big::OwnAddresses,
    },
    status::Port,
    wire::header::TransportHeader,
};

/// Longest Ethernet frame with a TCP SYN in bytes: two VLAN tags, and both headers with all options that fit.
const SYN_AT_MOST: usize = 14 + 8 + 60 + 60;

impl Shard {
    /// Whether this frame from the TAP is a datagram of our own to a peer. Where the route to a peer's address leads
    /// into the tunnel to that peer, each datagram would come back a little longer for ever, and once it no longer
    /// fits the path it would come back twice. The receiver index tells our own from what other hosts send there.
    pub(super) fn is_own_datagram(&self, frame: &[u8]) -> bool {
        let Some((remote, payload)) = udp_in(frame) else {
            return false;
        };
        let Ok(header) = TransportHeader::parse(payload) else {
            return false;
        };
        let places = (remote, SocketId(0))..=(remote, SocketId(u8::MAX));
        let mut there = self.paths.range(places).filter_map(|(_, id)| self.peer(*id));
        there.any(|p| p.knows_as(header.receiver))
    }

    /// Forwards what a peer delivered besides the frame at hand: what was held back, or put together.
    pub(super) fn forward_delivered(&mut self, from: PeerId) {
        if self.env.delivered.is_empty() {
            return;
        }
        for frame in core::mem::take(&mut self.env.delivered) {
            if self.forward(Port::Peer(from), &frame) {
                self.env.outbox.frames.push(frame);
            }
        }
    }

    /// Sends a frame where the bridge says. Returns whether it is (also) for the TAP.
    pub(super) fn forward(&mut self, from: Port, frame: &[u8]) -> bool {
        let decision = self.bridge.forward(self.env.real, from, frame);
        if let Some(frozen) = self.bridge.take_frozen() {
            self.env.event(Event::MacFrozen {
                mac: frozen.mac,
                port: frozen.port,
            });
        }
        let to_tap = match decision {
            Decision::Drop(reason) => {
                self.env.drop(reason);
                false
            }
            Decision::Tap => true,
            Decision::Peer(peer) => {
                self.send(peer, from, frame);
                false
            }
            Decision::Flood => {
                self.flood(from, frame);
                from != Port::Tap
            }
        };
        if to_tap {
            self.env.status.tap_tx.count(frame.len());
        }
        to_tap
    }

    fn flood(&mut self, from: Port, frame: &[u8]) {
        let targets: u32 = self
            .up
            .iter()
            .filter(|p| self.bridge.may_flood_to(from, **p))
            .count() as u32;
        if targets == 0 {
            if from == Port::Tap {
                self.env.drop(DropReason::NoPort);
            }
            return;
        }
        let mut granted = self.bridge.take_copies(self.env.real, from, targets);
        self.count_drops(DropReason::FloodBudget, u64::from(targets - granted));
        for i in 0..self.up.len() {
            let Some(peer) = self.up.get(i).copied() else {
                break;
            };
            if granted > 0 && self.bridge.may_flood_to(from, peer) {
                granted -= 1;
                self.send(peer, from, frame);
            }
        }
    }

    fn send(&mut self, to: PeerId, from: Port, frame: &[u8]) {
        if from != Port::Tap {
            self.env.status.relayed.count(frame.len());
        }
        let Some(peer) = self.peers.get_mut(usize::from(to.0)).and_then(Option::as_mut) else {
            return;
        };
        let mut short = [0; SYN_AT_MOST];
        let mut frame = frame;
        if let Some(mtu) = peer.inner_mtu() {
            if from == Port::Tap && self.mtu_policy == MtuPolicy::Signal && frame.len() > usize::from(mtu) {
                let mut answer = Vec::new();
                let own = OwnAddresses::default();
                if self.too_big.answer(self.env.real, frame, mtu, own, &mut answer) {
                    self.env.drop(DropReason::PacketTooBig);
                    self.env.outbox.frames.push(answer.into_boxed_slice());
                    return;
                }
            }
            if let Some(copy) = short.get_mut(..frame.len()) {
                copy.copy_from_slice(frame);
                if mss_clamp::clamp(copy, mtu) {
                    frame = copy;
                }
            }
        }
        if peer.send_frame(&mut self.env, frame) {
            self.settle(to);
        }
    }
}

/// Destination and payload of the UDP datagram in a frame.
fn udp_in(frame: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let packet =
        IpPacket::in_frame(frame).filter(|p| p.protocol == protocol::UDP && p.part == Part::Whole)?;
    let (header, payload) = packet.payload().split_first_chunk::<8>()?;
    let [_, _, p0, p1, ..] = *header;
    let address = match packet.addresses {
        Addresses::V4 { dst, .. } => IpAddr::V4(dst),
        Addresses::V6 { dst, .. } => IpAddr::V6(dst),
    };
    Some((SocketAddr::new(address, u16::from_be_bytes([p0, p1])), payload))
}
