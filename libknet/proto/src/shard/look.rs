//! What can be seen of a shard, and set to zero.

use alloc::vec::Vec;

use super::Shard;
use crate::{
    ids::PeerId,
    peer::Peer,
    status::{DomainStatus, Holdings, InterfaceStatus, MacEntry, NeighborEntry, PeerStatus, Port},
};

impl Shard {
    /// The interface as a whole.
    pub fn interface_status(&self) -> InterfaceStatus {
        let mut status = self.env.status.clone();
        status.macs = self.bridge.macs().len() as u32;
        status.neighbors = self.neighbors.len() as u32;
        status.listeners = self.listeners.len() as u32;
        status.tap_mtu = self.env.tap_mtu;
        status
    }

    /// What is held for traffic under way.
    pub fn holdings(&self) -> Holdings {
        Holdings {
            ring_bytes: self.env.outbox.arena.reserved(),
            reorder_bytes: self.env.reorder.used(),
            reassembly_bytes: self.env.reassembly_most - self.env.reassembly,
            waiting_bytes: self.env.waiting,
            flood_bytes: self.floods.bytes(),
            timers: self.wheel.len(),
            indices: self.index.len(),
            paths: self.places.len(),
        }
    }

    /// One peer.
    pub fn peer_status(&self, id: PeerId) -> Option<PeerStatus> {
        self.peer(id).map(|p| self.status_of(p))
    }

    fn status_of(&self, peer: &Peer) -> PeerStatus {
        let (storm_frames, storm_copies) = self.bridge.storm_drops(peer.id);
        let domain = DomainStatus {
            storm_frames,
            storm_copies,
            macs: self.macs_behind(peer.id) as u32,
            guard: self.bridge.guard_drops(peer.id),
            closed_for: self.bridge.closed_for(self.env.real, peer.id),
        };
        PeerStatus {
            domain,
            hub: self.hubs.is_active(peer.id),
            ..peer.status(&self.env)
        }
    }

    /// Peers in ascending order from `from` on, at most `limit`, and where to go on.
    pub fn peers_page(&self, from: PeerId, limit: usize) -> (Vec<PeerStatus>, Option<PeerId>) {
        let mut rest = self.peers.iter().skip(usize::from(from.0)).flatten();
        let page = rest.by_ref().take(limit).map(|p| self.status_of(p)).collect();
        (page, rest.next().map(|p| p.id))
    }

    /// The MAC table from `cursor` (0 at first) on, and the cursor to go on with.
    pub fn macs_page(&self, cursor: u32, limit: usize) -> (Vec<MacEntry>, Option<u32>) {
        let (mut page, next) = self.bridge.macs().page(self.env.real, cursor, limit);
        for entry in &mut page {
            entry.port = self.shown(entry.port);
        }
        (page, next)
    }

    /// What is behind a hub group is shown behind the hub in use.
    fn shown(&self, port: Port) -> Port {
        match port {
            Port::Tap => port,
            Port::Peer(peer) => Port::Peer(self.hubs.way(peer)),
        }
    }

    fn macs_behind(&self, peer: PeerId) -> usize {
        if !self.hubs.uses(peer) {
            return 0;
        }
        self.bridge.macs().port_len(self.hubs.port_of(Port::Peer(peer)))
    }

    /// The IP addresses of stations from `cursor` (0 at first) on, and the cursor to go on with.
    pub fn neighbors_page(&self, cursor: u32, limit: usize) -> (Vec<NeighborEntry>, Option<u32>) {
        let (mut page, next) = self.neighbors.page(self.env.real, cursor, limit);
        for entry in &mut page {
            let mut given = self.bridge.given_to(entry.vlan, entry.ip);
            entry.is_given = given.any(|peer| Port::Peer(peer) == entry.port);
            entry.port = self.shown(entry.port);
        }
        (page, next)
    }

    /// Forgets the IP addresses of stations.
    pub fn clear_neighbors(&mut self) {
        self.neighbors.clear();
    }

    /// Forgets the learned MAC addresses.
    pub fn clear_macs(&mut self) {
        self.bridge.clear_dynamic();
    }

    /// Sets every counter to zero.
    pub fn clear_counters(&mut self) {
        let InterfaceStatus {
            peers,
            peers_up,
            links,
            ..
        } = self.env.status;
        self.env.status = InterfaceStatus {
            peers,
            peers_up,
            links,
            ..InterfaceStatus::default()
        };
        for peer in self.peers.iter_mut().flatten() {
            peer.clear_counters();
        }
        self.bridge.clear_storm_drops();
        self.bridge.clear_guard_drops();
    }
}
