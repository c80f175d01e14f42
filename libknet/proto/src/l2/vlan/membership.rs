//! Who is in a VLAN: whom a frame of it is flooded to.
//!
//! There is a list of peers for each set of VLANs that ports have, not for each VLAN: 65,536 peers that may have all 4094
//! VLANs are in one list. Who has a VLAN is in the list of those that have no other, or in one of those that have several: of
//! these lists there are few, as many as different lines in the configuration.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::ops::Range;

use super::{MAX_VLAN, Switchport, VlanId, VlanRanges, contains};
use crate::{
    ids::{PeerId, Seat, WorkerId},
    l2::flood_list::{FloodList, Role},
};

/// Words of a bit for each VLAN.
const WORDS: usize = 4096 / 64;

/// The peers that are up, by the VLANs that they are in.
#[derive(Debug)]
pub(in crate::l2) struct Membership {
    seat: Seat,
    access: BTreeMap<VlanId, Members>,
    trunks: BTreeMap<VlanRanges, Members>,
}

/// Those with the same VLANs.
type Members = FloodList<BTreeSet<PeerId>>;

impl Membership {
    pub(in crate::l2) const fn new(seat: Seat) -> Self {
        Self {
            seat,
            access: BTreeMap::new(),
            trunks: BTreeMap::new(),
        }
    }

    /// A peer that is in no list is up.
    pub(in crate::l2) fn enter(&mut self, port: &Switchport, peer: PeerId, role: Role) {
        let new = || Members::new(self.seat);
        let members = match port {
            Switchport::Access(vlan) => self.access.entry(*vlan).or_insert_with(new),
            Switchport::Trunk { allowed, .. } => self.trunks.entry(allowed.clone()).or_insert_with(new),
        };
        members.enter(peer, role);
    }

    /// A peer that entered so is not up any more, or not so.
    pub(in crate::l2) fn leave(&mut self, port: &Switchport, peer: PeerId, role: Role) {
        match port {
            Switchport::Access(vlan) => leave(&mut self.access, vlan, peer, role),
            Switchport::Trunk { allowed, .. } => leave(&mut self.trunks, allowed, peer, role),
        }
    }

    /// How many peers of `worker` get what a port of role `from` floods in `vlan`; itself included.
    pub(in crate::l2) fn reached(&self, vlan: VlanId, from: Role, worker: WorkerId) -> u32 {
        self.lists(vlan).map(|list| list.reached(from, worker)).sum()
    }

    /// The first of this worker's peers that gets it, of those with their slot in `slots`.
    pub(in crate::l2) fn first(&self, vlan: VlanId, from: Role, slots: Range<usize>) -> Option<PeerId> {
        let lists = self.lists(vlan);
        lists.filter_map(|list| list.first(from, slots.clone())).min()
    }

    /// How many of them there are.
    pub(in crate::l2) fn up(&self, vlan: VlanId) -> u32 {
        let workers = self.seat.workers;
        workers
            .all()
            .map(|worker| self.reached(vlan, Role::Tap, worker))
            .sum()
    }

    /// The VLANs that one of them names, at most `most` of the lowest numbers. Who may have all names none.
    pub(in crate::l2) fn named(&self, most: usize) -> Vec<VlanId> {
        let mut named = [0_u64; WORDS];
        let access = self.access.keys().map(|vlan| (vlan.0, vlan.0));
        let trunks = self.trunks.keys().filter(|ranges| ***ranges != [(1, MAX_VLAN)]);
        let ranges = trunks.flat_map(|ranges| ranges.iter().copied()).chain(access);
        for (first, last) in ranges {
            for word in first / 64..=last / 64 {
                let (low, high) = (first.max(word * 64) % 64, last.min(word * 64 + 63) % 64);
                let bits = u64::MAX << low & u64::MAX >> (63 - high);
                if let Some(named) = named.get_mut(usize::from(word)) {
                    *named |= bits;
                }
            }
        }
        let is_named = |vlan: &u16| named[usize::from(vlan / 64)] >> (vlan % 64) & 1 == 1;
        (1..=MAX_VLAN).filter(is_named).take(most).map(VlanId).collect()
    }

    fn lists(&self, vlan: VlanId) -> impl Iterator<Item = &Members> {
        let trunks = self.trunks.iter().filter(move |(of, _)| contains(of, vlan));
        self.access
            .get(&vlan)
            .into_iter()
            .chain(trunks.map(|(_, list)| list))
    }
}

fn leave<K: Ord>(lists: &mut BTreeMap<K, Members>, of: &K, peer: PeerId, role: Role) {
    if lists.get_mut(of).is_some_and(|list| list.leave_empty(peer, role)) {
        lists.remove(of);
    }
}
