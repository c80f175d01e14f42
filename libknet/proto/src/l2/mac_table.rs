//! Which port an Ethernet address is behind.
//!
//! Entries live in a slab. A seeded hash finds them by address, one list per port finds a port's entries, and
//! one list in order of refresh finds the oldest; so nothing here looks at more entries than it changes.

mod entries;
mod replica;

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use hashbrown::HashMap;
use thiserror::Error;

use super::{
    seeded_hash::SeededHash,
    slab::{MOVED, Slab, trim_index},
    storm::NEW_MACS,
    vlan::VlanId,
};
use crate::{
    ids::{MacAddr, PeerId, WorkerId},
    intrusive_list::List,
    status::{MacEntry, Port},
    time::{Span, Time},
};
use entries::{Entry, PortEntries, State, state_links};
pub use replica::MacNews;

/// Addresses in a table (limits: row 30).
pub const MAX_MACS: usize = 262_144;
/// Addresses learned behind one peer, and addresses configured for one peer (limits: row 30). The TAP has no
/// limit of its own.
pub const MAX_MACS_PER_PEER: usize = 1_024;
/// Moves that an address may make within [`MOVE_WINDOW`] (RFC 7432, 15.1).
pub const MAX_MOVES: u8 = 5;
/// Within this time moves are counted, and for as long an address stays frozen (RFC 7432, 15.1).
pub const MOVE_WINDOW: Span = Span::from_secs(180);

/// One that moved too often between a [home](MacTable::set_home) and another port stays at its home for so long.
const HOME_FREEZE: Span = Span::from_secs(2);

/// An entry is refreshed at most this often, so that a busy address costs nothing.
const REFRESH_INTERVAL: Span = Span::from_secs(1);

/// An address within its VLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Station {
    /// [`VlanId::NONE`] where VLANs are not told apart, and for what is configured: that is the same in all of them.
    pub vlan: VlanId,
    /// The address.
    pub mac: MacAddr,
}

impl From<MacAddr> for Station {
    fn from(mac: MacAddr) -> Self {
        let vlan = VlanId::NONE;
        Self { vlan, mac }
    }
}

impl Hash for Station {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.vlan.0) << 48 | self.mac.to_u64());
    }
}

/// What came of an attempt to learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// The address is in the table from now on.
    New,
    /// It was there, on this port.
    Refreshed,
    /// It was behind another port, and is behind this one now.
    Moved {
        /// Where it was.
        from: Port,
    },
    /// It belongs to another port and stays there: it is configured, or it moved too often.
    Frozen {
        /// Where it stays.
        port: Port,
        /// It was frozen by this very attempt.
        newly: bool,
    },
    /// Not learned: the table, or the port's share of it, is full.
    Full,
    /// Not learned: the port has as many as the operator wants there.
    Limited,
    /// Not learned: too many new addresses on this port at this time.
    RateLimited,
}

/// Why configured addresses were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StaticMacError {
    /// It is a group address.
    #[error("{0} is a group address; only the address of one station can be behind a port")]
    Group(MacAddr),
    /// Another port has it configured.
    #[error("{mac} is already configured for {port:?}")]
    Taken {
        /// The address.
        mac: MacAddr,
        /// Where it is configured.
        port: Port,
    },
    /// More addresses than one peer, or all ports together, can have configured.
    #[error("more than {0} configured addresses")]
    TooMany(usize),
}

/// The table of one interface.
#[derive(Debug)]
pub struct MacTable {
    ageing: Span,
    capacity: usize,
    per_peer: usize,
    index: HashMap<Station, u32, SeededHash>,
    entries: Slab<Entry>,
    /// Learned entries, the one that was refreshed longest ago first.
    by_age: List,
    /// Those that are configured, and those that stick.
    fixed: List,
    static_count: usize,
    tap: PortEntries,
    peers: Vec<PortEntries>,
    /// How many were learned in each VLAN; none where VLANs are not told apart.
    by_vlan: Vec<u32>,
    /// Whose it is, where every worker has one.
    me: Option<WorkerId>,
    news: Option<MacNews>,
}

impl MacTable {
    /// A table whose learned entries last for `ageing` without a sign of life. `seed` must be random: stations
    /// choose their addresses, and must not be able to choose them so that they collide.
    pub fn new(seed: [u64; 2], ageing: Span) -> Self {
        Self::with_capacity(seed, ageing, MAX_MACS, MAX_MACS_PER_PEER)
    }

    /// As [`Self::new`], for at most `capacity` addresses, and `per_peer` learned behind one peer.
    pub fn with_capacity(seed: [u64; 2], ageing: Span, capacity: usize, per_peer: usize) -> Self {
        Self {
            ageing,
            capacity,
            per_peer,
            index: HashMap::with_hasher(SeededHash::new(seed)),
            entries: Slab::new(),
            by_age: List::EMPTY,
            fixed: List::EMPTY,
            static_count: 0,
            tap: PortEntries::EMPTY,
            peers: Vec::new(),
            by_vlan: Vec::new(),
            me: None,
            news: None,
        }
    }

    /// Changes the ageing time, for entries that are there as well.
    pub fn set_ageing(&mut self, ageing: Span) {
        self.ageing = ageing;
    }

    /// How many addresses may be learned behind `port`, 1..=[`MAX_MACS_PER_PEER`]; what has been learned stays. `None`: as many
    /// as the table has room for.
    pub fn set_limit(&mut self, port: Port, limit: Option<u16>) {
        if limit.is_some() || self.port_limit(port).is_some() {
            self.port_mut(port).limit = limit;
        }
    }

    /// Until `until` addresses may move to `port` however often they have moved before, and as many at once as there are:
    /// whoever is behind it has said that its stations come.
    pub fn welcome(&mut self, port: Port, until: Time) {
        self.port_mut(port).welcome_until = until;
    }

    /// Whether who is behind `port` says of its stations that they are there. One that seems to move too often between there
    /// and elsewhere is frozen where it is at home, and not for long: not the station moves, but somebody brings its frames
    /// late by another way; or who is behind the port cannot tell us that it has gone.
    pub fn set_home(&mut self, port: Port, is_home: bool) {
        if self.is_home(port) != is_home {
            self.port_mut(port).is_home = is_home;
        }
    }

    fn is_home(&self, port: Port) -> bool {
        match port {
            Port::Tap => self.tap.is_home,
            Port::Peer(PeerId(peer)) => self.peers.get(peer as usize).is_some_and(|p| p.is_home),
        }
    }

    fn is_welcome(&self, now: Time, port: Port) -> bool {
        match port {
            Port::Tap => false,
            Port::Peer(PeerId(peer)) => {
                let port = self.peers.get(peer as usize);
                port.is_some_and(|port| now < port.welcome_until)
            }
        }
    }

    fn port_limit(&self, port: Port) -> Option<u16> {
        match port {
            Port::Tap => self.tap.limit,
            Port::Peer(PeerId(peer)) => self.peers.get(peer as usize)?.limit,
        }
    }

    /// How many addresses are in the table.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// How many of them are configured.
    pub fn static_len(&self) -> usize {
        self.static_count
    }

    /// How many are behind `port`.
    pub fn port_len(&self, port: Port) -> usize {
        match port {
            Port::Tap => self.tap.len(),
            Port::Peer(PeerId(peer)) => self.peers.get(peer as usize).map_or(0, PortEntries::len),
        }
    }

    /// How many were learned in `vlan`.
    pub fn vlan_len(&self, vlan: VlanId) -> u32 {
        self.by_vlan.get(usize::from(vlan.0)).copied().unwrap_or_default()
    }

    /// The port that it is behind.
    pub fn lookup(&self, station: impl Into<Station>) -> Option<Port> {
        let slot = self.slot_of(station.into())?;
        Some(self.entries[slot as usize].port)
    }

    /// What is configured is behind its port in every VLAN, and comes before what was learned.
    #[inline]
    fn slot_of(&self, station: Station) -> Option<u32> {
        if station.vlan == VlanId::NONE {
            return self.index.get(&station).copied();
        }
        self.slot_in_vlan(station)
    }

    #[inline(never)]
    fn slot_in_vlan(&self, station: Station) -> Option<u32> {
        let configured = self.index.get(&Station::from(station.mac));
        configured.or_else(|| self.index.get(&station)).copied()
    }

    /// A frame from a station, whose address is no group address, came in by `port`.
    pub fn learn(&mut self, now: Time, station: impl Into<Station>, port: Port) -> Learned {
        let station = station.into();
        match self.slot_of(station) {
            Some(slot) if self.entries[slot as usize].port == port => {
                self.refresh(slot, now);
                Learned::Refreshed
            }
            Some(slot) => self.move_to(slot, now, port),
            None => {
                if self.is_at_limit(port) {
                    return Learned::Limited;
                }
                if self.len() >= self.capacity || self.is_full(port) {
                    return Learned::Full;
                }
                if !self.is_welcome(now, port) && !self.admit_new(now, port) {
                    return Learned::RateLimited;
                }
                let slot = self.add(now, station, port, State::Dynamic);
                self.seen_here(slot, true);
                Learned::New
            }
        }
    }

    /// What was learned behind `port` sticks to it: it does not age, and no other port can draw it to itself. Nothing happens
    /// where it is not behind it.
    pub fn stick(&mut self, station: impl Into<Station>, port: Port) {
        let slot = self.slot_of(station.into());
        let is_here = |slot: &u32| {
            let entry = &self.entries[*slot as usize];
            entry.port == port && entry.state == State::Dynamic
        };
        if let Some(slot) = slot.filter(is_here) {
            self.fix(slot);
            self.seen_here(slot, true);
        }
    }

    /// The addresses that are behind `port`, at most `most` of them: those seen last, and those that are configured.
    pub fn stations(&self, port: Port, most: usize) -> Vec<Station> {
        let entries = self
            .port_slots(port)
            .filter_map(|slot| self.entries.get(slot as usize));
        let mut seen: Vec<(Time, Station)> = entries.map(|e| (e.refreshed, e.station)).collect();
        seen.sort_unstable_by_key(|(at, station)| (core::cmp::Reverse(*at), *station));
        seen.into_iter().take(most).map(|(_, station)| station).collect()
    }

    /// Replaces the configured addresses of `port`. They never age, never move, and displace what was learned
    /// about them; where the table is full the oldest learned entry makes room.
    ///
    /// # Errors
    /// [`StaticMacError`]; nothing is changed then.
    pub fn set_static(&mut self, now: Time, port: Port, macs: &[MacAddr]) -> Result<(), StaticMacError> {
        let old: Vec<u32> = self
            .port_slots(port)
            .filter(|s| self.state(*s) == State::Static)
            .collect();
        if port != Port::Tap && macs.len() > self.per_peer {
            return Err(StaticMacError::TooMany(self.per_peer));
        }
        if self.static_count - old.len() + macs.len() > self.capacity {
            return Err(StaticMacError::TooMany(self.capacity));
        }
        for &mac in macs {
            if mac.is_group() {
                return Err(StaticMacError::Group(mac));
            }
            if let Some(&slot) = self.index.get(&Station::from(mac)) {
                let entry = &self.entries[slot as usize];
                if entry.state == State::Static && entry.port != port {
                    return Err(StaticMacError::Taken {
                        mac,
                        port: entry.port,
                    });
                }
            }
        }
        for slot in old {
            self.drop_entry(slot);
        }
        for &mac in macs {
            match self.index.get(&Station::from(mac)) {
                Some(&slot) if self.state(slot) == State::Static => continue,
                Some(&slot) => self.drop_entry(slot),
                None if self.len() >= self.capacity => self.drop_entry(self.by_age.head()),
                None => {}
            }
            self.add(now, mac.into(), port, State::Static);
        }
        Ok(())
    }

    /// Removes every entry of `port`, in time proportional to their number.
    pub fn remove_port(&mut self, port: Port) {
        let slots: Vec<u32> = self.port_slots(port).collect();
        for slot in slots {
            self.drop_entry(slot);
        }
    }

    /// Removes what was learned on `port`, and what sticks to it, in time proportional to its entries.
    pub fn clear_dynamic_on(&mut self, port: Port) {
        let learned: Vec<u32> = self
            .port_slots(port)
            .filter(|s| self.state(*s) != State::Static)
            .collect();
        for slot in learned {
            self.drop_entry(slot);
        }
    }

    /// Removes everything that was learned and does not stick, in time proportional to what is left and to the number of
    /// ports, not to what was learned.
    pub fn clear_dynamic(&mut self) {
        let mut kept = Vec::with_capacity(self.static_count);
        while let Some(slot) = self.fixed.pop_front(&mut self.entries, state_links) {
            let entry = &self.entries[slot as usize];
            kept.push((entry.refreshed, entry.station, entry.port, entry.state));
        }
        self.index.clear();
        self.entries.clear();
        trim_index(&mut self.index);
        (self.by_age, self.static_count) = (List::EMPTY, 0);
        self.by_vlan = Vec::new();
        for port in self.peers.iter_mut().chain([&mut self.tap]) {
            (port.list, port.learned, port.fixed) = (List::EMPTY, 0, 0);
        }
        for (since, station, port, state) in kept {
            self.add(since, station, port, state);
        }
    }

    /// Removes at most `budget` entries that have reached the ageing time, and returns how many.
    pub fn expire(&mut self, now: Time, budget: usize) -> usize {
        let mut removed = 0;
        while removed < budget && self.next_expiry().is_some_and(|at| at <= now) {
            self.drop_entry(self.by_age.head());
            (0..MOVED).for_each(|_| self.close_gap());
            removed += 1;
        }
        removed
    }

    /// When the next entry reaches the ageing time, unless it is refreshed before.
    pub fn next_expiry(&self) -> Option<Time> {
        self.entries
            .get(self.by_age.head() as usize)
            .map(|oldest| oldest.refreshed + self.ageing)
    }

    /// Entries for display, from `cursor` on (0 at first), looking at no more than `limit` places; and the
    /// cursor to go on with, or `None` at the end. An entry that is there all the while appears exactly once,
    /// in no particular order (or not at all, where so much ages meanwhile that the table becomes smaller); a page may hold fewer than `limit`, or none.
    pub fn page(&self, now: Time, cursor: u32, limit: usize) -> (Vec<MacEntry>, Option<u32>) {
        let start = (cursor as usize).min(self.entries.len());
        let end = start.saturating_add(limit.max(1)).min(self.entries.len());
        let page = self.entries[start..end]
            .iter()
            .filter(|entry| entry.state != State::Free)
            .map(|entry| MacEntry {
                vlan: entry.station.vlan,
                mac: entry.station.mac,
                port: entry.port,
                is_static: entry.state == State::Static,
                is_sticky: entry.state == State::Sticky,
                age: now.since(entry.refreshed),
            })
            .collect();
        (page, (end < self.entries.len()).then_some(end as u32))
    }

    fn refresh(&mut self, slot: u32, now: Time) {
        let entry = &mut self.entries[slot as usize];
        if now.since(entry.refreshed) < REFRESH_INTERVAL {
            return;
        }
        if entry.state == State::Static {
            entry.refreshed = now;
            return;
        }
        self.touch(slot, now);
        self.seen_here(slot, false);
    }

    /// A learned entry is as good as new.
    fn touch(&mut self, slot: u32, seen: Time) {
        self.entries[slot as usize].refreshed = seen;
        if self.state(slot) == State::Sticky {
            return;
        }
        self.by_age.remove(&mut self.entries, state_links, slot);
        self.by_age.push_back(&mut self.entries, state_links, slot);
    }

    fn move_to(&mut self, slot: u32, now: Time, port: Port) -> Learned {
        let from = self.entries[slot as usize].port;
        let (leaves_home, comes_home) = (self.is_home(from), self.is_home(port));
        let welcome = self.is_welcome(now, port);
        let may_always = welcome || comes_home && !leaves_home;
        let entry = &mut self.entries[slot as usize];
        if entry.state != State::Dynamic || now < entry.frozen_until && !may_always {
            return Learned::Frozen {
                port: from,
                newly: false,
            };
        }
        if now.since(entry.moves_since) < MOVE_WINDOW && entry.moves >= MAX_MOVES && !may_always {
            if leaves_home && !comes_home {
                entry.frozen_until = now + HOME_FREEZE;
                entry.moves = 0;
            } else {
                entry.frozen_until = now + MOVE_WINDOW;
            }
            self.seen_here(slot, true);
            return Learned::Frozen {
                port: from,
                newly: true,
            };
        }
        if self.is_at_limit(port) {
            return Learned::Limited;
        }
        if self.is_full(port) {
            return Learned::Full;
        }
        if !may_always && !self.admit_new(now, port) {
            return Learned::RateLimited;
        }
        let moment = self.moment_of_move(slot, now);
        if welcome {
            self.forgive_moves(slot);
        } else {
            self.count_move(slot, now);
        }
        self.put(slot, moment, port);
        self.seen_here(slot, true);
        Learned::Moved { from }
    }

    /// It is known why the address moves.
    fn forgive_moves(&mut self, slot: u32) {
        let entry = &mut self.entries[slot as usize];
        (entry.moves, entry.frozen_until) = (0, Time::ZERO);
    }

    fn count_move(&mut self, slot: u32, now: Time) {
        let entry = &mut self.entries[slot as usize];
        entry.frozen_until = Time::ZERO;
        if entry.moves == 0 || now.since(entry.moves_since) >= MOVE_WINDOW {
            entry.moves = 0;
            entry.moves_since = now;
        }
        entry.moves = entry.moves.saturating_add(1);
    }

    /// A learned entry is behind another port from now on.
    fn put(&mut self, slot: u32, seen: Time, port: Port) {
        self.unlink_from_port(slot);
        self.entries[slot as usize].port = port;
        self.link_to_port(slot);
        self.touch(slot, seen);
    }

    fn is_full(&self, port: Port) -> bool {
        port != Port::Tap && self.port_learned(port) >= self.per_peer
    }

    fn is_at_limit(&self, port: Port) -> bool {
        let limit = self.port_limit(port).map(usize::from);
        limit.is_some_and(|limit| self.port_learned(port) >= limit)
    }

    fn port_learned(&self, port: Port) -> usize {
        match port {
            Port::Tap => self.tap.learned,
            Port::Peer(PeerId(peer)) => self.peers.get(peer as usize).map_or(0, |p| p.learned),
        }
    }

    fn admit_new(&mut self, now: Time, port: Port) -> bool {
        port == Port::Tap || self.port_mut(port).new_macs.take(NEW_MACS, now, 1)
    }
}

#[cfg(test)]
mod tests;
