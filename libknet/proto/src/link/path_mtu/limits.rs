//! What bounds a path MTU before anything is measured, and what to tell people about the bound that holds.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use core::fmt;

/// Bytes of IP and UDP header.
pub(super) const fn headers(ipv6: bool) -> u16 {
    if ipv6 { 40 + 8 } else { 20 + 8 }
}

/// The size that a new link begins with, in bytes of UDP payload: RFC 8899's 1200; over IPv6 the 1232 that every
/// path must carry (RFC 8200 section 5).
pub const fn base(ipv6: bool) -> u16 {
    if ipv6 {
        1_280_u16.saturating_sub(headers(true))
    } else {
        1_200
    }
}

/// The size below which the path is taken to be broken rather than narrow, in bytes of UDP payload: what fills
/// 576 bytes of IP (RFC 1122 section 3.3.3), or IPv6's 1280. Data above it can vanish without the link being dead.
pub const fn floor(ipv6: bool) -> u16 {
    if ipv6 {
        base(true)
    } else {
        576_u16.saturating_sub(headers(false))
    }
}

/// What need not be exceeded, whatever the path carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// MTU of the local interface that the link leaves by, in bytes of IP, if it is known.
    pub interface_mtu: Option<u32>,
    /// The largest datagram that the tunnel ever sends, in bytes of UDP payload.
    pub largest_datagram: u16,
}

/// [`Limits`] in a third of the room.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackedLimits {
    /// More than that is no limit: no IP packet is longer. 0 while it is not known.
    interface_mtu: u16,
    pub(super) largest_datagram: u16,
}

impl From<Limits> for PackedLimits {
    fn from(limits: Limits) -> Self {
        let packed = |mtu| u16::try_from(mtu).unwrap_or(u16::MAX).max(1);
        Self {
            interface_mtu: limits.interface_mtu.map_or(0, packed),
            largest_datagram: limits.largest_datagram,
        }
    }
}

impl PackedLimits {
    /// MTU of the local interface, if it is known.
    pub(super) fn interface(self) -> Option<u16> {
        (self.interface_mtu > 0).then_some(self.interface_mtu)
    }

    /// The largest datagram that they allow, in bytes of UDP payload.
    pub(super) fn datagram(self, ipv6: bool) -> u16 {
        let room = |mtu: u16| mtu.saturating_sub(headers(ipv6));
        self.largest_datagram.min(self.interface().map_or(u16::MAX, room))
    }
}

/// Why [`super::PathMtu::current`] is no larger. Sizes are bytes of IP, as people know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReason {
    /// Nothing has been proven yet.
    Base,
    /// Larger sizes are being tried.
    Searching,
    /// Datagrams of this size vanished; what passes instead is being looked for.
    BlackHole {
        /// Bytes of IP.
        at: u32,
    },
    /// The path carries no more.
    Path {
        /// The largest size that was acknowledged.
        passes: u32,
        /// The smallest that was not.
        refused: u32,
    },
    /// The local interface takes no more.
    Interface {
        /// Its MTU.
        mtu: u32,
    },
    /// The tunnel sends nothing larger.
    Tunnel,
}

impl fmt::Display for LimitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("base"),
            Self::Searching => f.write_str("searching"),
            Self::BlackHole { at } => write!(f, "black hole at {at}"),
            Self::Path { passes, refused } => write!(f, "path: {passes} passes, {refused} does not"),
            Self::Interface { mtu } => write!(f, "local interface {mtu}"),
            Self::Tunnel => f.write_str("the largest frame fits"),
        }
    }
}
