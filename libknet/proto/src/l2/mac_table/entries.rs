//! The entries of a table, and the lists that each of them is in.

use super::{MacTable, Station};
use crate::{
    ids::{PeerId, WorkerId},
    intrusive_list::{Links, List},
    l2::{
        slab::{Place, trim_index},
        vlan::VlanId,
    },
    status::Port,
    time::Time,
    token_bucket::TokenBucket,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Free,
    Dynamic,
    /// Learned, and there for good.
    Sticky,
    Static,
}

/// 64 bytes or less: 16 MiB for a full table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) station: Station,
    pub(super) port: Port,
    pub(super) state: State,
    pub(super) moves: u8,
    /// The worker that saw it at `refreshed`, or froze it.
    pub(super) by: WorkerId,
    pub(super) refreshed: Time,
    /// When the moves began to be counted.
    pub(super) moves_since: Time,
    pub(super) frozen_until: Time,
    /// The latest stamp that all workers know (see [`super::replica`]).
    pub(super) told: Time,
    /// In `by_age` or `fixed`, as `state` says.
    pub(super) state_links: Links,
    pub(super) port_links: Links,
}

impl Place for Entry {
    fn is_free(&self) -> bool {
        self.state == State::Free
    }

    fn free(&mut self) {
        self.state = State::Free;
    }
}

pub(super) fn state_links(entry: &mut Entry) -> &mut Links {
    &mut entry.state_links
}

pub(super) fn port_links(entry: &mut Entry) -> &mut Links {
    &mut entry.port_links
}

#[derive(Clone, Copy, Debug)]
pub(super) struct PortEntries {
    pub(super) list: List,
    pub(super) learned: usize,
    pub(super) fixed: usize,
    /// How many may be learned, where the operator has said so.
    pub(super) limit: Option<u16>,
    pub(super) new_macs: TokenBucket,
    /// Until when addresses are welcome there (see [`MacTable::welcome`]).
    pub(super) welcome_until: Time,
    /// Whether who is behind it says of its stations that they are there (see [`MacTable::set_home`]).
    pub(super) is_home: bool,
}

impl PortEntries {
    pub(super) const EMPTY: Self = Self {
        list: List::EMPTY,
        learned: 0,
        fixed: 0,
        limit: None,
        new_macs: TokenBucket::FULL,
        welcome_until: Time::ZERO,
        is_home: false,
    };

    pub(super) fn len(&self) -> usize {
        self.learned + self.fixed
    }

    /// The counter that an entry of this state belongs to.
    pub(super) fn counter(&mut self, state: State) -> &mut usize {
        if state == State::Static {
            &mut self.fixed
        } else {
            &mut self.learned
        }
    }
}

impl MacTable {
    pub(super) fn state(&self, slot: u32) -> State {
        self.entries[slot as usize].state
    }

    pub(super) fn add(&mut self, now: Time, station: Station, port: Port, state: State) -> u32 {
        let entry = Entry {
            station,
            port,
            state,
            moves: 0,
            by: WorkerId(0),
            refreshed: now,
            moves_since: now,
            frozen_until: Time::ZERO,
            told: now,
            state_links: Links::UNLINKED,
            port_links: Links::UNLINKED,
        };
        let slot = self.entries.add(entry);
        self.index.insert(station, slot);
        if let Some(count) = self.vlan_count(station.vlan) {
            *count += 1;
        }
        if state == State::Static {
            self.static_count += 1;
        }
        let list = match state {
            State::Static | State::Sticky => &mut self.fixed,
            State::Dynamic | State::Free => &mut self.by_age,
        };
        list.push_back(&mut self.entries, state_links, slot);
        self.link_to_port(slot);
        slot
    }

    /// Where most places are free, the last entry goes to the first of them.
    pub(super) fn close_gap(&mut self) {
        let Some(to) = self.entries.close_gap() else {
            return;
        };
        let entry = self.entries[to as usize];
        self.index.insert(entry.station, to);
        let list = if entry.state == State::Dynamic {
            &mut self.by_age
        } else {
            &mut self.fixed
        };
        list.renumber(&mut self.entries, state_links, to);
        let mut of_port = *self.port_mut(entry.port);
        of_port.list.renumber(&mut self.entries, port_links, to);
        *self.port_mut(entry.port) = of_port;
    }

    pub(super) fn drop_entry(&mut self, slot: u32) {
        let Some(entry) = self.entries.get(slot as usize) else {
            return;
        };
        let station = entry.station;
        self.index.remove(&station);
        self.unlink_from_port(slot);
        match self.state(slot) {
            State::Free => return,
            State::Dynamic => self.by_age.remove(&mut self.entries, state_links, slot),
            State::Sticky => self.fixed.remove(&mut self.entries, state_links, slot),
            State::Static => {
                self.static_count -= 1;
                self.fixed.remove(&mut self.entries, state_links, slot);
            }
        }
        if let Some(count) = self.vlan_count(station.vlan) {
            *count -= 1;
        }
        self.entries.remove(slot);
        trim_index(&mut self.index);
    }

    /// A learned entry sticks from now on.
    pub(super) fn fix(&mut self, slot: u32) {
        if self.state(slot) == State::Dynamic {
            self.by_age.remove(&mut self.entries, state_links, slot);
            self.fixed.push_back(&mut self.entries, state_links, slot);
            self.entries[slot as usize].state = State::Sticky;
        }
    }

    /// What sticks does so no more.
    pub(super) fn release(&mut self, slot: u32) {
        if self.state(slot) == State::Sticky {
            self.fixed.remove(&mut self.entries, state_links, slot);
            self.by_age.push_back(&mut self.entries, state_links, slot);
            self.entries[slot as usize].state = State::Dynamic;
        }
    }

    fn vlan_count(&mut self, vlan: VlanId) -> Option<&mut u32> {
        if vlan == VlanId::NONE {
            return None;
        }
        let at = usize::from(vlan.0);
        if at >= self.by_vlan.len() {
            self.by_vlan.resize(at + 1, 0);
        }
        self.by_vlan.get_mut(at)
    }

    pub(super) fn port_mut(&mut self, port: Port) -> &mut PortEntries {
        match port {
            Port::Tap => &mut self.tap,
            Port::Peer(PeerId(peer)) => {
                let peer = peer as usize;
                if peer >= self.peers.len() {
                    self.peers.resize(peer + 1, PortEntries::EMPTY);
                }
                &mut self.peers[peer]
            }
        }
    }

    pub(super) fn link_to_port(&mut self, slot: u32) {
        let Entry { port, state, .. } = self.entries[slot as usize];
        let mut entries = *self.port_mut(port);
        entries.list.push_back(&mut self.entries, port_links, slot);
        *entries.counter(state) += 1;
        *self.port_mut(port) = entries;
    }

    pub(super) fn unlink_from_port(&mut self, slot: u32) {
        let Entry { port, state, .. } = self.entries[slot as usize];
        let mut entries = *self.port_mut(port);
        entries.list.remove(&mut self.entries, port_links, slot);
        *entries.counter(state) -= 1;
        *self.port_mut(port) = entries;
    }

    pub(super) fn port_slots(&self, port: Port) -> impl Iterator<Item = u32> {
        let head = match port {
            Port::Tap => self.tap.list.head(),
            Port::Peer(PeerId(peer)) => self
                .peers
                .get(peer as usize)
                .map_or(List::EMPTY.head(), |p| p.list.head()),
        };
        let at = |slot: u32| self.entries.get(slot as usize).map(|_| slot);
        core::iter::successors(at(head), move |slot| {
            at(self.entries[*slot as usize].port_links.next())
        })
    }
}
