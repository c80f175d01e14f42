//! Whom a flooded frame goes to: the peers that are up, by what may be relayed to them.
//!
//! Peers are a bit each, in the order of their slots: how many there are needs no look at any of them, and whoever is on his
//! way through the list is not disturbed by peers that come and go.

use alloc::{collections::BTreeSet, vec, vec::Vec};
use core::ops::Range;

use crate::ids::{MAX_PEERS, PeerId, Seat, WorkerId};

/// What is relayed to a port, and from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A peer; to and from every port, but an isolated peer.
    Spoke,
    /// A peer; nothing between two of them, because they have a session of their own.
    Mesh,
    /// A peer; only to and from the TAP.
    Isolated,
    /// Not a peer: to and from all of them.
    Tap,
}

impl Role {
    const PEERS: [Self; 3] = [Self::Spoke, Self::Mesh, Self::Isolated];

    /// Whether frames go from a port of this role to a peer of role `to`.
    pub(super) const fn relays_to(self, to: Self) -> bool {
        match (self, to) {
            (Self::Tap, _) => true,
            (Self::Isolated, _) | (_, Self::Isolated) | (Self::Mesh, Self::Mesh) => false,
            _ => true,
        }
    }

    /// The roles of the peers that get what a port of this role floods.
    fn reached(self) -> impl Iterator<Item = usize> {
        let reached = Self::PEERS.into_iter().filter(move |to| self.relays_to(*to));
        reached.map(|role| role as usize)
    }
}

/// The peers that are up: all, or some of them.
#[derive(Debug)]
pub(super) struct FloodList<S = PeerSet> {
    seat: Seat,
    /// How many there are, by worker and role.
    counts: Vec<[u32; Role::PEERS.len()]>,
    /// Those of this worker, by role.
    own: [S; Role::PEERS.len()],
}

impl<S: SlotSet> FloodList<S> {
    pub(super) fn new(seat: Seat) -> Self {
        Self {
            seat,
            counts: vec![[0; Role::PEERS.len()]; seat.workers.get().into()],
            own: Default::default(),
        }
    }

    /// A peer that is not in the list is up.
    pub(super) fn enter(&mut self, peer: PeerId, role: Role) {
        *self.count(peer, role) += 1;
        if self.seat.owns(peer) {
            self.own[role as usize].insert(peer);
        }
    }

    /// A peer that entered in this role is not up any more.
    pub(super) fn leave(&mut self, peer: PeerId, role: Role) {
        *self.count(peer, role) -= 1;
        if self.seat.owns(peer) {
            self.own[role as usize].remove(peer);
        }
    }

    /// The same as [`Self::leave`]. Whether nobody is left.
    pub(super) fn leave_empty(&mut self, peer: PeerId, role: Role) -> bool {
        self.leave(peer, role);
        self.counts.iter().flatten().all(|count| *count == 0)
    }

    /// How many peers of `worker` get what a port of role `from` floods; itself included.
    pub(super) fn reached(&self, from: Role, worker: WorkerId) -> u32 {
        let counts = self.counts.get(worker.index());
        from.reached().filter_map(|role| counts?.get(role)).sum()
    }

    /// The first of this worker's peers that gets it, of those with their slot in `slots`.
    pub(super) fn first(&self, from: Role, slots: Range<usize>) -> Option<PeerId> {
        let own = from.reached().filter_map(|role| self.own.get(role));
        own.filter_map(|peers| peers.first(slots.clone())).min()
    }

    /// Those of this worker's peers that have this role.
    pub(super) fn of_role(&self, role: Role) -> impl Iterator<Item = PeerId> {
        let next = move |from: usize| self.own[role as usize].first(from..MAX_PEERS);
        core::iter::successors(next(0), move |peer| next(usize::from(peer.0) + 1))
    }

    /// Which worker's it is.
    pub(super) const fn seat(&self) -> Seat {
        self.seat
    }

    /// Whose the peer is.
    pub(super) const fn owner(&self, peer: PeerId) -> WorkerId {
        self.seat.workers.owner(peer)
    }

    fn count(&mut self, peer: PeerId, role: Role) -> &mut u32 {
        &mut self.counts[self.seat.workers.owner(peer).index()][role as usize]
    }
}

/// A set of peers, in the order of their slots.
pub(super) trait SlotSet: Default {
    fn insert(&mut self, peer: PeerId);
    fn remove(&mut self, peer: PeerId);
    /// The first one in `slots`.
    fn first(&self, slots: Range<usize>) -> Option<PeerId>;
}

/// For sets of which there are many, most of them small.
impl SlotSet for BTreeSet<PeerId> {
    fn insert(&mut self, peer: PeerId) {
        self.insert(peer);
    }

    fn remove(&mut self, peer: PeerId) {
        self.remove(&peer);
    }

    fn first(&self, slots: Range<usize>) -> Option<PeerId> {
        let first = u16::try_from(slots.start).ok()?;
        let found = self.range(PeerId(first)..).next().copied()?;
        (usize::from(found.0) < slots.end).then_some(found)
    }
}

/// For the one of all peers: a bit for each slot up to the highest one that was ever in it.
#[derive(Debug, Default)]
pub(super) struct PeerSet(Vec<u64>);

impl SlotSet for PeerSet {
    fn insert(&mut self, peer: PeerId) {
        let (word, bit) = place(peer);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= bit;
    }

    fn remove(&mut self, peer: PeerId) {
        let (word, bit) = place(peer);
        if let Some(word) = self.0.get_mut(word) {
            *word &= !bit;
        }
    }

    fn first(&self, slots: Range<usize>) -> Option<PeerId> {
        let end = slots.end.min(MAX_PEERS);
        let mut word = slots.start / 64;
        let mut bits = self.0.get(word)? & (u64::MAX << (slots.start % 64));
        while bits == 0 {
            word += 1;
            bits = *self.0.get(word).filter(|_| word * 64 < end)?;
        }
        let slot = word * 64 + bits.trailing_zeros() as usize;
        (slot < end).then_some(PeerId(slot as u16))
    }
}

fn place(peer: PeerId) -> (usize, u64) {
    let slot = usize::from(peer.0);
    (slot / 64, 1 << (slot % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::ids::Workers;

    #[test]
    fn the_last_slot_is_one_like_all_others() {
        has_a_last_slot::<PeerSet>();
        has_a_last_slot::<BTreeSet<PeerId>>();
    }

    fn has_a_last_slot<S: SlotSet>() {
        let mut set = S::default();
        assert_eq!(set.first(0..MAX_PEERS), None);
        set.insert(PeerId(u16::MAX));
        assert_eq!(set.first(0..MAX_PEERS), Some(PeerId(u16::MAX)));
        assert_eq!(set.first(MAX_PEERS - 1..usize::MAX), Some(PeerId(u16::MAX)));
        assert_eq!(set.first(0..MAX_PEERS - 1), None);
        assert_eq!(set.first(MAX_PEERS..MAX_PEERS), None);
        set.remove(PeerId(u16::MAX));
        assert_eq!(set.first(0..MAX_PEERS), None);
    }

    proptest! {
        /// It is a map from peers to roles, whoever owns them, and nothing else.
        #[test]
        fn it_is_what_entered_and_did_not_leave(
            steps in prop::collection::vec((0_u16..300, 0_usize..4), 1..200),
            workers in 1_u8..4, me in 0_u8..4, slots in (0_usize..310, 0_usize..310),
        ) {
            let workers = Workers::new(workers).expect("a few");
            let seat = Seat { me: WorkerId(me % workers.get()), workers };
            let mut list = FloodList::<PeerSet>::new(seat);
            let mut sparse = FloodList::<BTreeSet<PeerId>>::new(seat);
            let mut model: BTreeMap<u16, Role> = BTreeMap::new();
            for (peer, role) in steps {
                if let Some(was) = model.remove(&peer) {
                    list.leave(PeerId(peer), was);
                    prop_assert_eq!(sparse.leave_empty(PeerId(peer), was), model.is_empty());
                }
                if let Some(role) = Role::PEERS.get(role) {
                    model.insert(peer, *role);
                    list.enter(PeerId(peer), *role);
                    sparse.enter(PeerId(peer), *role);
                }
            }
            for from in Role::PEERS.into_iter().chain([Role::Tap]) {
                let reached = |(_, to): &(&u16, &Role)| from.relays_to(**to);
                for worker in workers.all() {
                    let there = model.iter().filter(reached).filter(|(p, _)| workers.owner(PeerId(**p)) == worker);
                    prop_assert_eq!(list.reached(from, worker) as usize, there.count());
                }
                let mut own = model.iter().filter(reached).filter(|(p, _)| seat.owns(PeerId(**p)));
                let first = own.find(|(p, _)| (slots.0..slots.1).contains(&usize::from(**p)));
                prop_assert_eq!(list.first(from, slots.0..slots.1), first.map(|(p, _)| PeerId(*p)));
                prop_assert_eq!(sparse.first(from, slots.0..slots.1), first.map(|(p, _)| PeerId(*p)));
            }
        }
    }
}
