//! Who listens to multicast, and who asks.

use serde::{Deserialize, Serialize};

/// Who listens to a multicast group, is a router, or asks who listens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerRow {
    /// Of which interface.
    pub interface: String,
    /// `listener`, `router` or `querier`.
    pub role: String,
    /// Of IPv6, and not of IPv4.
    pub ipv6: bool,
    /// The group of a listener.
    pub group: Option<String>,
    /// In which VLAN. `None`: in all, or they are not told apart.
    pub vlan: Option<u16>,
    /// The peer that it is behind. `None`: this host.
    pub peer: Option<String>,
    /// Milliseconds for which that holds still; for a querier that is this interface, until it asks again. `None`: it is
    /// configured.
    pub left_ms: Option<u64>,
    /// The address that a querier asks from.
    pub address: Option<String>,
    /// The version of IGMP or MLD that it speaks.
    pub version: Option<u8>,
    /// Seconds between its questions, as it says.
    pub interval_s: Option<u64>,
    /// It is this interface itself.
    pub own: bool,
}
