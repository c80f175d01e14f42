//! The addresses that stations have, as they have said it.
//!
//! Built as the MAC table is: entries in a slab, a seeded hash to find them, a list for each port and one of all, both in the
//! order in which they were last confirmed. Where there is no room the one that was confirmed longest ago makes it.

use alloc::vec::Vec;
use core::net::IpAddr;

use hashbrown::HashMap;

use super::Claim;
use crate::{
    ids::PeerId,
    intrusive_list::{Links, List},
    l2::{
        seeded_hash::SeededHash,
        slab::{MOVED, Place, Slab, trim_index},
        vlan::VlanId,
    },
    status::{NeighborEntry, Port},
    time::{Span, Time},
};

/// Addresses in a table (limits: row 36).
pub const MAX_BINDINGS: usize = 131_072;
/// Those of stations behind one peer (limits: row 36). The TAP has no limit of its own.
pub const MAX_BINDINGS_PER_PEER: usize = 64;
/// An entry is confirmed at most this often, so that a busy address costs nothing.
const REFRESH_INTERVAL: Span = Span::from_secs(1);

/// What one worker tells the others of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighborNews {
    /// In which VLAN.
    pub vlan: VlanId,
    /// What was said.
    pub claim: Claim,
    /// Behind which port.
    pub port: Port,
    /// Which of the peers that had this slot one after the other.
    pub generation: u16,
    /// When it was said.
    pub seen: Time,
}

/// The table of one interface, or a worker's copy of it.
#[derive(Debug)]
pub struct NeighborTable {
    ageing: Span,
    capacity: usize,
    per_peer: usize,
    /// Addresses of different VLANs have nothing to do with each other.
    index: HashMap<(VlanId, IpAddr), u32, SeededHash>,
    entries: Slab<Entry>,
    by_age: List,
    tap: PortList,
    peers: Vec<PortList>,
    /// Whether there are others to be told.
    is_shared: bool,
    news: Option<NeighborNews>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    vlan: VlanId,
    claim: Claim,
    port: Port,
    is_free: bool,
    confirmed: Time,
    /// The latest confirmation that all workers know.
    told: Time,
    age_links: Links,
    port_links: Links,
}

impl Place for Entry {
    fn is_free(&self) -> bool {
        self.is_free
    }

    fn free(&mut self) {
        self.is_free = true;
    }
}

#[derive(Clone, Copy, Debug)]
struct PortList {
    list: List,
    len: usize,
}

impl PortList {
    const EMPTY: Self = Self {
        list: List::EMPTY,
        len: 0,
    };
}

fn age_links(entry: &mut Entry) -> &mut Links {
    &mut entry.age_links
}

fn port_links(entry: &mut Entry) -> &mut Links {
    &mut entry.port_links
}

impl NeighborTable {
    /// A table whose entries last for `ageing` without being confirmed. `seed` must be random.
    pub fn new(seed: [u64; 2], ageing: Span) -> Self {
        Self::with_capacity(seed, ageing, MAX_BINDINGS, MAX_BINDINGS_PER_PEER)
    }

    /// As [`Self::new`], for at most `capacity` addresses, and `per_peer` behind one peer.
    pub fn with_capacity(seed: [u64; 2], ageing: Span, capacity: usize, per_peer: usize) -> Self {
        Self {
            ageing,
            capacity,
            per_peer,
            index: HashMap::with_hasher(SeededHash::new(seed)),
            entries: Slab::new(),
            by_age: List::EMPTY,
            tap: PortList::EMPTY,
            peers: Vec::new(),
            is_shared: false,
            news: None,
        }
    }

    /// Makes it one of several that are to be alike.
    pub fn share(&mut self) {
        self.is_shared = true;
    }

    /// Changes the ageing time, for entries that are there as well.
    pub fn set_ageing(&mut self, ageing: Span) {
        self.ageing = ageing;
    }

    /// How many addresses are in the table.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// How many are behind `port`.
    pub fn port_len(&self, port: Port) -> usize {
        match port {
            Port::Tap => self.tap.len,
            Port::Peer(PeerId(peer)) => self.peers.get(usize::from(peer)).map_or(0, |p| p.len),
        }
    }

    /// What was said last of `ip` in `vlan`, and behind which port, unless that is too long ago.
    pub fn lookup(&self, now: Time, vlan: VlanId, ip: IpAddr) -> Option<(Claim, Port)> {
        let entry = self.entries.get(*self.index.get(&(vlan, ip))? as usize)?;
        (now.since(entry.confirmed) < self.ageing).then_some((entry.claim, entry.port))
    }

    /// A station behind `port` says this in `vlan`.
    pub fn learn(&mut self, now: Time, vlan: VlanId, claim: Claim, port: Port) {
        let known = self
            .known(vlan, claim, port)
            .map(|entry| (entry.confirmed, entry.told, entry.claim.router));
        let is_new = known.is_none_or(|(.., router)| claim.router.is_some_and(|new| router != Some(new)));
        if known.is_some_and(|(confirmed, ..)| !is_new && now.since(confirmed) < REFRESH_INTERVAL) {
            return;
        }
        let interval = self
            .ageing
            .divided_by(8)
            .clamp(Span::from_secs(1), Span::from_secs(30));
        let tell = is_new || known.is_some_and(|(_, told, _)| now.since(told) >= interval);
        let slot = self.confirm(now, vlan, claim, port);
        if let Some(entry) = self
            .entries
            .get_mut(slot as usize)
            .filter(|_| tell && self.is_shared)
        {
            entry.told = now;
            self.news = Some(NeighborNews {
                vlan,
                claim: entry.claim,
                port,
                generation: 0,
                seen: now,
            });
        }
    }

    /// What the last [`Self::learn`] has for all other workers, once. The generation is left to be filled in.
    pub fn take_news(&mut self) -> Option<NeighborNews> {
        self.news.take()
    }

    /// Another worker says this of a port that is there. What was said later wins, in whatever order news comes.
    pub fn hear(&mut self, news: &NeighborNews) {
        let known = self.index.get(&(news.vlan, news.claim.ip)).copied();
        let entry = known.and_then(|slot| self.entries.get(slot as usize));
        if entry.is_none_or(|e| (e.confirmed, e.port, e.claim.mac) <= (news.seen, news.port, news.claim.mac))
        {
            let slot = self.confirm(news.seen, news.vlan, news.claim, news.port);
            if let Some(entry) = self.entries.get_mut(slot as usize) {
                entry.told = news.seen;
            }
        }
    }

    /// Forgets what is behind `port`, in time proportional to that.
    pub fn remove_port(&mut self, port: Port) {
        while self.port_len(port) > 0 {
            let first = self.port_mut(port).list.head();
            self.remove(first);
        }
    }

    /// Forgets everything, in time proportional to the number of ports.
    pub fn clear(&mut self) {
        self.index.clear();
        self.entries.clear();
        trim_index(&mut self.index);
        (self.by_age, self.tap) = (List::EMPTY, PortList::EMPTY);
        self.peers.fill(PortList::EMPTY);
    }

    /// Removes at most `budget` entries that have reached the ageing time, and returns how many.
    pub fn expire(&mut self, now: Time, budget: usize) -> usize {
        let mut removed = 0;
        while removed < budget && self.next_expiry().is_some_and(|at| at <= now) {
            self.remove(self.by_age.head());
            (0..MOVED).for_each(|_| self.close_gap());
            removed += 1;
        }
        removed
    }

    /// When the next entry reaches the ageing time, unless it is confirmed before.
    pub fn next_expiry(&self) -> Option<Time> {
        let oldest = self.entries.get(self.by_age.head() as usize)?;
        Some(oldest.confirmed + self.ageing)
    }

    /// Entries for display, from `cursor` on (0 at first), looking at no more than `limit` places; and the cursor to go on
    /// with, or `None` at the end. In no order, and without some, where so much ages meanwhile that the table becomes smaller; a page may hold
    /// fewer than `limit`, or none.
    pub fn page(&self, now: Time, cursor: u32, limit: usize) -> (Vec<NeighborEntry>, Option<u32>) {
        let start = (cursor as usize).min(self.entries.len());
        let end = start.saturating_add(limit.max(1)).min(self.entries.len());
        let entries = self.entries.get(start..end).unwrap_or_default().iter();
        let page = entries.filter(|entry| !entry.is_free).map(|entry| NeighborEntry {
            vlan: entry.vlan,
            ip: entry.claim.ip,
            mac: entry.claim.mac,
            router: entry.claim.router == Some(true),
            is_given: false,
            port: entry.port,
            age: now.since(entry.confirmed),
        });
        (page.collect(), (end < self.entries.len()).then_some(end as u32))
    }

    /// The entry, if exactly this is known.
    fn known(&self, vlan: VlanId, claim: Claim, port: Port) -> Option<&Entry> {
        let entry = self.entries.get(*self.index.get(&(vlan, claim.ip))? as usize)?;
        (entry.claim.mac == claim.mac && entry.port == port).then_some(entry)
    }

    /// Puts it in its place, as said at that time.
    fn confirm(&mut self, at: Time, vlan: VlanId, mut claim: Claim, port: Port) -> u32 {
        let mut told = at;
        if let Some(entry) = self.known(vlan, claim, port) {
            // Not everything that a station says tells whether it is a router.
            claim.router = claim.router.or(entry.claim.router);
            told = entry.told;
        }
        if let Some(slot) = self.index.get(&(vlan, claim.ip)).copied() {
            self.remove(slot);
        }
        if port != Port::Tap && self.port_len(port) >= self.per_peer {
            let oldest = self.port_mut(port).list.head();
            self.remove(oldest);
        } else if self.len() >= self.capacity {
            self.remove(self.by_age.head());
        }
        self.add(Entry {
            vlan,
            claim,
            port,
            is_free: false,
            confirmed: at,
            told,
            age_links: Links::UNLINKED,
            port_links: Links::UNLINKED,
        })
    }

    fn add(&mut self, entry: Entry) -> u32 {
        let (station, port) = ((entry.vlan, entry.claim.ip), entry.port);
        let slot = self.entries.add(entry);
        self.index.insert(station, slot);
        self.by_age.push_back(&mut self.entries, age_links, slot);
        let mut of_port = *self.port_mut(port);
        of_port.list.push_back(&mut self.entries, port_links, slot);
        of_port.len += 1;
        *self.port_mut(port) = of_port;
        slot
    }

    fn remove(&mut self, slot: u32) {
        let Some(entry) = self.entries.get(slot as usize).filter(|e| !e.is_free) else {
            return;
        };
        let (station, port) = ((entry.vlan, entry.claim.ip), entry.port);
        self.index.remove(&station);
        let mut of_port = *self.port_mut(port);
        of_port.list.remove(&mut self.entries, port_links, slot);
        of_port.len -= 1;
        *self.port_mut(port) = of_port;
        self.by_age.remove(&mut self.entries, age_links, slot);
        self.entries.remove(slot);
        trim_index(&mut self.index);
    }

    /// Where most places are free, the last entry goes to the first of them.
    fn close_gap(&mut self) {
        let Some(to) = self.entries.close_gap() else {
            return;
        };
        let entry = self.entries[to as usize];
        self.index.insert((entry.vlan, entry.claim.ip), to);
        self.by_age.renumber(&mut self.entries, age_links, to);
        let mut of_port = *self.port_mut(entry.port);
        of_port.list.renumber(&mut self.entries, port_links, to);
        *self.port_mut(entry.port) = of_port;
    }

    fn port_mut(&mut self, port: Port) -> &mut PortList {
        match port {
            Port::Tap => &mut self.tap,
            Port::Peer(PeerId(peer)) => {
                let peer = usize::from(peer);
                if peer >= self.peers.len() {
                    self.peers.resize(peer + 1, PortList::EMPTY);
                }
                &mut self.peers[peer]
            }
        }
    }
}

#[cfg(test)]
mod tests;
