//! What the hub does besides bridging for the stations behind its ports: it answers questions of ARP and neighbour
//! discovery, so that these need not go to everybody, and drops what only a router or a DHCP server may say.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::{News, Shard};
use crate::{
    drop_reason::DropReason,
    ids::PeerId,
    l2::{
        bridge::Decision,
        first_hop::{self, FirstHop, Role},
        mac_table::Station,
        neighbor::{Claim, Message},
        vlan::{VlanId, tag},
    },
    offload::Frame,
    status::Port,
    wire::virtio_net_header::flags,
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
        if frame.vlan != VlanId::NONE {
            return (is_dropped || !self.answer_in_vlan(from, frame, decision)).then_some(decision);
        }
        if Message::may_be_in(frame.bytes) && !is_dropped && self.answer_neighbor(from, frame, decision) {
            return None;
        }
        Some(decision)
    }

    /// The same as [`Self::answer_neighbor`] for a frame that may have a tag.
    #[inline(never)]
    fn answer_in_vlan(&mut self, from: Port, frame: &Frame<'_>, decision: Decision) -> bool {
        let Some(tag_len) = tag::tci(frame.bytes).map(|_| tag::TAG_LEN) else {
            return Message::may_be_in(frame.bytes) && self.answer_neighbor(from, frame, decision);
        };
        // It looks behind the addresses only.
        let shifted = frame.bytes.get(tag_len..).unwrap_or_default();
        let mut buffer = Vec::new();
        Message::may_be_in(shifted)
            && tag::retag(*frame, false, &mut buffer)
                .is_ok_and(|bare| self.answer_neighbor(from, &bare, decision))
    }

    /// Whether a peer says what it is not trusted to say; that is counted.
    #[inline(never)]
    fn is_beyond_its_role(&mut self, peer: PeerId, frame: &[u8]) -> bool {
        let Some(role) = first_hop::role_of(frame) else {
            return false;
        };
        let trust = self.bridge.trust(peer);
        let (is_guarded, reason) = match role {
            Role::Router | Role::Hidden => (self.first_hop.ra_guard && !trust.router, DropReason::RaGuard),
            // That is said of single peers, and their guards look for it.
            Role::MulticastRouter => return false,
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
        let is_at = |claim: &Claim| self.bridge.may_be_at(frame.vlan, claim.ip, from);
        if let Some(claim) = message.claim.filter(is_at) {
            self.neighbors.learn(self.env.real, frame.vlan, claim, from);
            self.tell_of_neighbor();
        }
        let wanted = message
            .question
            .filter(|_| self.first_hop.arp_suppression && decision == Decision::Flood);
        let answer = wanted
            .and_then(|ip| self.owner_for(from, frame.vlan, ip))
            .and_then(|owner| message.answer(&owner));
        let Some(answer) = answer else { return false };
        self.env.status.neighbor_answers += 1;
        match from {
            Port::Tap => self.answer_tap(frame.vlan, answer),
            Port::Peer(peer) => {
                let vlan = frame.vlan;
                let answer = Frame::plain(&answer);
                self.send(peer, Port::Tap, Frame { vlan, ..answer });
            }
        }
        true
    }

    /// Who has the address, if the question would reach him behind another port, and he is there still.
    fn owner_for(&self, from: Port, vlan: VlanId, ip: IpAddr) -> Option<Claim> {
        let said = self.neighbors.lookup(self.env.real, vlan, ip);
        let Some((owner, port)) = said.filter(|(_, port)| self.bridge.may_be_at(vlan, ip, *port)) else {
            return self.given_owner_for(from, vlan, ip);
        };
        let is_reached = match port {
            Port::Tap => from != Port::Tap,
            Port::Peer(peer) => self.bridge.may_flood_to(from, peer),
        };
        let station = Station { vlan, mac: owner.mac };
        (is_reached && self.bridge.macs().lookup(station) == Some(port)).then_some(owner)
    }

    /// Who was given the address and has not said so: one peer, and one station behind it.
    fn given_owner_for(&self, from: Port, vlan: VlanId, ip: IpAddr) -> Option<Claim> {
        let mut given = self.bridge.given_to(vlan, ip);
        let peer = given.next().filter(|_| given.next().is_none())?;
        let mac = self.bridge.only_station(vlan, peer)?;
        let router = None;
        self.bridge
            .reaches(from, vlan, peer)
            .then_some(Claim { ip, mac, router })
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
