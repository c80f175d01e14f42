//! Rows about addresses that groups give their peers, and that hubs give us.

use serde::{Deserialize, Serialize};

/// Addresses that a group gives its peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpPoolRow {
    /// Of which interface.
    pub interface: String,
    /// Of which group.
    pub group: String,
    /// The pool, as configured.
    pub pool: String,
    /// Those that can be given, in decimal digits: there are many in IPv6.
    pub addresses: String,
    /// Those of them that somebody has.
    pub used: u64,
    /// The one that is given next; `None`: there is none left.
    pub next: Option<String>,
    /// Those that are left, in decimal digits.
    pub left: String,
    /// Peers of the group that were given one of them over the session, also those that are not there any more.
    pub leased: u64,
    /// Peers of the group that there was none left for.
    pub without: u64,
    /// Why it would be forgotten at a restart who has which.
    pub problem: Option<String>,
}

/// Who has which address out of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpPoolLeasesReport {
    /// By interface and name; at most 1000.
    pub rows: Vec<IpPoolLeaseRow>,
    /// How many more there are.
    pub more: u64,
    /// Why it would be forgotten at a restart who has which.
    pub problem: Option<String>,
}

/// What a peer was given out of the pools of its group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpPoolLeaseRow {
    /// Of which interface.
    pub interface: String,
    /// Of which group.
    pub group: String,
    /// The name of the peer, or the one that it had.
    pub peer: String,
    /// Its key, in base64.
    pub public_key: String,
    /// The addresses.
    pub addresses: Vec<String>,
    /// Since when it has them, in milliseconds since 1970.
    pub since_unix_ms: u64,
    /// Since when it is no peer any more, likewise. `None`: it is one.
    pub away_unix_ms: Option<u64>,
}

/// An address that a peer gives our TAP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NegotiatedRow {
    /// The peer.
    pub peer: String,
    /// The address, with the length of its network's prefix.
    pub address: String,
    /// Why it is not taken; `None`: it is.
    pub refused: Option<String>,
}
