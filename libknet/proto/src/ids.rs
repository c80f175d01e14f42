//! The small numbers that name things inside one interface, each with a type of its own.

use core::fmt;

/// Most peers one interface can have (limits: row 1).
pub const MAX_PEERS: usize = 65_536;
/// Most links between one pair of peers (limits: row 2).
pub const MAX_LINKS: usize = 8;

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

/// The random 32-bit number by which a received datagram names its session. Unique within the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiverIndex(pub u32);

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
