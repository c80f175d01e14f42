//! Addresses that hubs give over a session: the pools of a group that they come out of (`ip pool`), and whose are taken
//! (`ip address negotiated`).

use crate::value::IpPrefix;

/// The addresses that a group gives its peers. Copies are shared by all of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pools {
    /// Those of IPv4 are of this network.
    pub ipv4: Option<IpPrefix>,
    /// Those of IPv6 are of this one.
    pub ipv6: Option<IpPrefix>,
}

impl Pools {
    /// Those that there are, of IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = &IpPrefix> {
        self.ipv4.iter().chain(&self.ipv6)
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.ipv4.is_none() && self.ipv6.is_none()
    }
}

/// Whose addresses an interface takes for its TAP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negotiated {
    /// This peer's only. `None`: those of any.
    pub peer: Option<String>,
}

impl Negotiated {
    /// Whether those of `peer` are taken.
    pub fn is_of(&self, peer: &str) -> bool {
        self.peer.as_deref().is_none_or(|only| only == peer)
    }
}
