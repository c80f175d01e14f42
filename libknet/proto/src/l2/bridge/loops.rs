//! What the bridge does about [loops](crate::l2::loop_guard).

use alloc::vec::Vec;

use super::{Bridge, Decision, LoopNews};
use crate::{
    drop_reason::DropReason,
    ids::PeerId,
    l2::{
        flood_list::Role,
        loop_guard::{self, Nonce},
        vlan::VlanId,
    },
    offload::Frame,
    status::Port,
    time::{Span, Time},
};

/// A probe goes on to no more neighbours of a worker.
const MOST_NEIGHBORS: usize = 64;

impl Bridge {
    /// What the last call has found out of loops, once.
    pub fn take_loop_news(&mut self) -> Option<LoopNews> {
        self.loop_news.take()
    }

    /// A probe goes out by the port of `peer`, from this worker or another.
    pub fn probe_sent(&mut self, now: Time, nonce: Nonce, peer: PeerId) {
        self.loops.sent(now, nonce, peer);
    }

    /// Closes the port of `peer`: nothing comes from it and nothing goes to it. Returns for how long, or nothing if it is
    /// closed already. What was learned there and at the other end of the loop is forgotten: it may be anybody's, and frozen
    /// there.
    pub fn close(&mut self, now: Time, peer: PeerId, other: Port) -> Option<Span> {
        self.peer(peer)?;
        let hold = self.loops.close(now, peer)?;
        self.macs.clear_dynamic_on(Port::Peer(peer));
        self.macs.clear_dynamic_on(other);
        self.change_role(peer, |port| port.closed = true);
        Some(hold)
    }

    /// For how long it still is, if it is.
    pub fn closed_for(&self, now: Time, peer: PeerId) -> Option<Span> {
        self.loops.closed_for(now, peer)
    }

    /// Opens this port, or all that are closed, and returns which. What was known of loops there is forgotten.
    pub fn open_ports(&mut self, only: Option<PeerId>) -> Vec<PeerId> {
        let is_wanted = |peer: &PeerId| only.is_none_or(|only| only == *peer);
        let closed: Vec<PeerId> = self.loops.closed().filter(is_wanted).collect();
        for peer in &closed {
            self.forget_loops(*peer);
        }
        closed
    }

    /// Switches off what finds and cuts loops, or on again.
    pub fn set_loop_guard_off(&mut self, is_off: bool) {
        self.loops.set_off(is_off);
    }

    pub(super) fn open_again(&mut self, now: Time) {
        if let Some(peer) = self.loops.open(now) {
            self.change_role(peer, |port| port.closed = false);
            self.loop_news = Some(LoopNews::Opened(peer));
        }
    }

    pub(super) fn forget_loops(&mut self, peer: PeerId) {
        self.loops.forget(peer);
        self.change_role(peer, |port| port.closed = false);
    }

    /// An address has moved to `ingress`, or would have. Only there is probed: what goes round comes in by every port of the
    /// loop.
    #[cold]
    pub(super) fn suspect(&mut self, now: Time, ingress: Port, vlan: VlanId, frame: &[u8]) {
        let Port::Peer(peer) = ingress else { return };
        if self.loops.suspects(now, peer) {
            let behind = frame.get(12..).and_then(<[u8]>::first_chunk::<4>).copied();
            let tag = behind.filter(|tag| vlan == VlanId::NONE && tag.starts_with(&[0x81, 0]));
            self.loop_news = Some(LoopNews::Suspicion { peer, vlan, tag });
        }
    }

    /// Peers of this worker that are mesh neighbours, as far as they are in `vlan`: those that a probe that has come in by
    /// `ingress` goes on to. None, if that is such a one itself.
    pub fn mesh_neighbors(&self, ingress: Port, vlan: VlanId) -> Vec<PeerId> {
        if self.role(ingress) == Some(Role::Mesh) {
            return Vec::new();
        }
        let neighbors = self.flood_list.of_role(Role::Mesh).take(MOST_NEIGHBORS);
        neighbors
            .filter(|peer| self.is_in(Port::Peer(*peer), vlan))
            .collect()
    }

    /// A probe: one of ours that has come back, or that of another knet. That is not learned from, and does not go to
    /// spokes: a hub probes them itself, and has as many as it likes.
    #[cold]
    pub(super) fn take_probe(
        &mut self,
        now: Time,
        ingress: Port,
        frame: &Frame<'_>,
    ) -> Result<Decision, DropReason> {
        let nonce = loop_guard::nonce_of(frame.bytes);
        let ours = nonce.and_then(|nonce| self.loops.returned(now, nonce, ingress));
        if let Some((peer, other)) = ours {
            self.loop_news = Some(LoopNews::Found { peer, other });
            return Err(DropReason::LoopGuard);
        }
        self.admit_flood(now, ingress, frame.count(), frame.bytes.len())?;
        Ok(Decision::Probe)
    }
}
