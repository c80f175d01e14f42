//! How an invitation is to be made.

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::ErrorCode;
use crate::value::IpPrefix;

/// An invitation that is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// To this interface ([`ErrorCode::NotFound`] if there is none).
    pub interface: String,
    /// Into this group ([`ErrorCode::NotFound`] if there is none).
    pub group: String,
    /// What is to be the name of whoever uses it. `None`: one is made.
    pub name: Option<String>,
    /// How many seconds it is good, 1..=315,360,000.
    pub valid_s: u32,
    /// Addresses in the overlay, at most one of each kind. Where there is none of a kind: the next of the group's pool.
    pub addresses: Vec<IpPrefix>,
    /// Where the hub is reached, at most 8. None: at the addresses of the interface's locals.
    pub endpoints: Vec<PublicAddress>,
}

/// Where a hub is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicAddress {
    /// IP address or host name.
    pub address: String,
    /// UDP port, 1..=65535. `None`: that of the first local of the interface.
    pub port: Option<u16>,
}
