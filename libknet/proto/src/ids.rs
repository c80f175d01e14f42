//! The small numbers that name things inside one interface, each with a type of its own.

use core::{fmt, num::NonZeroU8};

/// Most peers one interface can have (limits: row 1).
pub const MAX_PEERS: usize = 65_536;
/// Most links between one pair of peers (limits: row 2).
pub const MAX_LINKS: usize = 8;
/// Most data workers that one interface can have.
pub const MAX_WORKERS: u8 = 16;

/// A peer of this interface: a slot chosen by whoever configures the core, never seen on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u16);

/// One of the up to eight links between a pair of peers. The side that opens the link chooses the number,
/// and it is the same at both ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(u8);

impl LinkId {
    /// The id `n`, or `None` where `n` is not within 0..=7.
    pub const fn new(n: u8) -> Option<Self> {
        if (n as usize) < MAX_LINKS {
            Some(Self(n))
        } else {
            None
        }
    }

    /// The number, 0..=7.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The number as an index into an array of [`MAX_LINKS`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// All eight ids in ascending order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..MAX_LINKS as u8).map(Self)
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A set of links, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkSet(u8);

impl LinkSet {
    /// The set without a link.
    pub const EMPTY: Self = Self(0);

    /// The set of one link.
    pub const fn of(link: LinkId) -> Self {
        Self(1 << link.0)
    }

    /// This set and `link`.
    #[must_use]
    pub const fn with(self, link: LinkId) -> Self {
        Self(self.0 | 1 << link.0)
    }

    /// This set without `link`.
    #[must_use]
    pub const fn without(self, link: LinkId) -> Self {
        Self(self.0 & !(1 << link.0))
    }

    /// All links of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The links that are in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The links that are not in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether `link` is in it.
    pub const fn contains(self, link: LinkId) -> bool {
        self.0 & (1 << link.0) != 0
    }

    /// Whether no link is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many links are in it.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Its links in ascending order.
    pub fn iter(self) -> impl Iterator<Item = LinkId> {
        LinkId::all().filter(move |l| self.contains(*l))
    }
}

impl FromIterator<LinkId> for LinkSet {
    fn from_iter<I: IntoIterator<Item = LinkId>>(links: I) -> Self {
        links.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// One of this interface's UDP sockets: the number of its `local` line in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u8);

/// The random 32-bit number by which a received datagram names its session. Unique within the interface. Its lowest bits
/// name the worker ([`Workers::mask`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiverIndex(pub u32);

/// One of the data workers that share the work of an interface, from 0 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u8);

impl WorkerId {
    /// The number as an index into a list of all workers.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How many data workers share the work of an interface, and what follows from that: which of them a peer belongs to,
/// and which one a datagram is for. Fixed while the interface lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workers(NonZeroU8);

impl Workers {
    /// One, which does everything.
    pub const ONE: Self = Self(NonZeroU8::MIN);

    /// So many, or `None` where it is none or more than [`MAX_WORKERS`].
    pub const fn new(count: u8) -> Option<Self> {
        match NonZeroU8::new(count) {
            Some(count) if count.get() <= MAX_WORKERS => Some(Self(count)),
            _ => None,
        }
    }

    /// How many, 1..=16.
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// All of them in ascending order.
    pub fn all(self) -> impl Iterator<Item = WorkerId> {
        (0..self.get()).map(WorkerId)
    }

    /// The worker that `peer` belongs to: it alone opens what comes from the peer and seals what goes to it.
    pub const fn owner(self, peer: PeerId) -> WorkerId {
        WorkerId((peer.0 % self.0.get() as u16) as u8)
    }

    /// The bits of a receiver index that name the owner of its session; 0 for one worker.
    pub const fn mask(self) -> u32 {
        self.get().next_power_of_two() as u32 - 1
    }

    /// The receiver index of a session of `owner`, made of a `random` number.
    pub const fn mark(self, random: u32, owner: WorkerId) -> ReceiverIndex {
        ReceiverIndex(random & !self.mask() | owner.0 as u32)
    }

    /// The worker whose session `index` names. `None`: we have never made such an index.
    pub const fn of(self, index: ReceiverIndex) -> Option<WorkerId> {
        let worker = (index.0 & self.mask()) as u8;
        if worker < self.get() {
            Some(WorkerId(worker))
        } else {
            None
        }
    }

    /// One worker's part of what all may hold together, in bytes.
    pub const fn share(self, total: usize) -> usize {
        total / self.get() as usize
    }
}

/// A worker's place among those that share the work of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Which worker it is.
    pub me: WorkerId,
    /// How many there are.
    pub workers: Workers,
}

impl Seat {
    /// There are no others.
    pub const ALONE: Self = Self {
        me: WorkerId(0),
        workers: Workers::ONE,
    };

    /// Whether there are no others.
    pub const fn is_alone(self) -> bool {
        self.workers.get() == 1
    }

    /// Whether it decides for the interface as a whole.
    pub const fn is_first(self) -> bool {
        self.me.0 == 0
    }

    /// Whether `peer` belongs to it.
    pub const fn owns(self, peer: PeerId) -> bool {
        self.workers.owner(peer).0 == self.me.0
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// Whether the group bit is set: broadcast or multicast.
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// The 48 bits as a number.
    pub const fn to_u64(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_index_names_the_owner_of_its_peer() {
        for workers in (1..=MAX_WORKERS).filter_map(Workers::new) {
            let all: BTreeSet<WorkerId> = workers.all().collect();
            assert_eq!(all.len(), usize::from(workers.get()));
            let owners: BTreeSet<WorkerId> = (0..100).map(|n| workers.owner(PeerId(n))).collect();
            assert_eq!(owners, all);
            for (owner, random) in all.iter().zip([0, u32::MAX, 0x1234_5678].into_iter().cycle()) {
                let index = workers.mark(random, *owner);
                assert_eq!(workers.of(index), Some(*owner));
                assert_eq!(index.0 & !workers.mask(), random & !workers.mask());
            }
            // Any four bits name one of sixteen or nobody.
            let named: BTreeSet<WorkerId> = (0..16).filter_map(|n| workers.of(ReceiverIndex(n))).collect();
            assert_eq!(named, all);
        }
        assert_eq!((Workers::new(0), Workers::new(MAX_WORKERS + 1)), (None, None));
    }

    #[test]
    fn one_worker_needs_no_bits() {
        assert_eq!(Workers::ONE.mask(), 0);
        let index = Workers::ONE.mark(0xdead_beef, WorkerId(0));
        assert_eq!(index, ReceiverIndex(0xdead_beef));
        assert_eq!(Workers::ONE.of(index), Some(WorkerId(0)));
    }
}
