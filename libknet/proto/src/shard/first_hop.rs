//! What the hub does besides bridging for the stations behind its ports: it answers questions of ARP and neighbour
//! discovery, so that these need not go to everybody, and drops what only a router or a DHCP server may say.

use core::net::IpAddr;

use super::{News, Shard, outbox::TapFrame};
use crate::{
    drop_reason::DropReason,
    ids::PeerId,
    l2::{
        bridge::Decision,
        first_hop::{self, FirstHop, Role},
        neighbor::{Claim, Message},
    },
    offload::Frame,
    status::Port,
    wire::virtio_net_header::{VirtioNetHeader, flags},
};

impl Shard {
    /// Changes what is done at the first hop.
    pub fn set_first_hop(&mut self, first_hop: FirstHop) {
        self.first_hop = first_hop;
    }

    /// Looks at a frame that the bridge would let pass. `None`: it goes nowhere.
    #[inline]
    pub(super) fn inspect(&mut self, from: Port, frame: &Frame<'_>, decision: Decision) -> Option<Decision> {
        let FirstHop {
            dhcp_snooping,
            ra_guard,
            ..
        } = self.first_hop;
        if let Port::Peer(peer) = from
            && (dhcp_snooping || ra_guard)
            && self.is_beyond_its_role(peer, frame.bytes)
        {
            return None;
        }
        let is_dropped = matches!(decision, Decision::Drop(_));
        if Message::may_be_in(frame.bytes) && !is_dropped && self.answer_neighbor(from, frame, decision) {
            return None;
        }
        Some(decision)
    }

    /// Whether a peer says what it is not trusted to say; that is counted.
    #[inline(never)]
    fn is_beyond_its_role(&mut self, peer: PeerId, frame: &[u8]) -> bool {
        let Some(role) = first_hop::role_of(frame) else {
            return false;
        };
        let trust = self.bridge.trust(peer);
        let (is_guarded, reason) = match role {
            Role::Router => (self.first_hop.ra_guard && !trust.router, DropReason::RaGuard),
            Role::DhcpServer => (
                self.first_hop.dhcp_snooping && !trust.dhcp_server,
                DropReason::DhcpSnooping,
            ),
        };
        if is_guarded {
            self.env.drop(reason);
        }
        is_guarded
    }

    /// Learns from ARP and neighbour discovery. Whether the frame was a question that was to be flooded, and has been
    /// answered here.
    #[cold]
    fn answer_neighbor(&mut self, from: Port, frame: &Frame<'_>, decision: Decision) -> bool {
        if frame.header.flags & flags::NEEDS_CSUM != 0 {
            return false;
        }
        let Some(message) = Message::parse(frame.bytes) else {
            return false;
        };
        if let Some(claim) = message.claim {
            self.neighbors.learn(self.env.real, claim, from);
            self.tell_of_neighbor();
        }
        let wanted = message
            .question
            .filter(|_| self.first_hop.arp_suppression && decision == Decision::Flood);
        let answer = wanted
            .and_then(|ip| self.owner_for(from, ip))
            .and_then(|owner| message.answer(&owner));
        let Some(answer) = answer else { return false };
        self.env.status.neighbor_answers += 1;
        match from {
            Port::Tap => {
                self.env.status.tap_tx.count(answer.len());
                let answer = TapFrame::own(VirtioNetHeader::default(), answer.into_boxed_slice());
                self.env.outbox.frames.push(answer);
            }
            Port::Peer(peer) => self.send(peer, Port::Tap, Frame::plain(&answer)),
        }
        true
    }

    /// Who has the address, if the question would reach him behind another port, and he is there still.
    fn owner_for(&self, from: Port, ip: IpAddr) -> Option<Claim> {
        let (owner, port) = self.neighbors.lookup(self.env.real, ip)?;
        let is_reached = match port {
            Port::Tap => from != Port::Tap,
            Port::Peer(peer) => self.bridge.may_flood_to(from, peer),
        };
        (is_reached && self.bridge.macs().lookup(owner.mac) == Some(port)).then_some(owner)
    }

    fn tell_of_neighbor(&mut self) {
        let Some(mut news) = self.neighbors.take_news() else {
            return;
        };
        if let Some(generation) = self.bridge.generation(news.port) {
            news.generation = generation;
            self.env.outbox.news.push((None, News::Neighbor(news)));
        }
    }
}
