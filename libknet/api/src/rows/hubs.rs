//! Hubs of which one is used at a time.

use serde::{Deserialize, Serialize};

/// Which groups are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceAndName {
    /// Only of this interface.
    pub interface: Option<String>,
    /// Only those of this name.
    pub name: Option<String>,
}

/// What a peer is in its hub group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerAsHubRow {
    /// Name of the group.
    pub group: String,
    /// Of those that are up the highest is used.
    pub preference: u8,
    /// Whether it is the one in use.
    pub active: bool,
}

/// A hub group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubGroupRow {
    /// Of which interface.
    pub interface: String,
    /// Its name.
    pub group: String,
    /// The hub in use.
    pub active: Option<String>,
    /// For how long it has been, in milliseconds.
    pub active_ms: Option<u64>,
    /// Why it is: `first`, `in-doubt`, `down` or `preferred`.
    pub reason: Option<String>,
    /// How often another one was taken into use, since the interface is up.
    pub take_overs: u32,
    /// All of them.
    pub hubs: Vec<HubRow>,
}

/// A hub of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubRow {
    /// The peer.
    pub peer: String,
    /// Of those that are up the highest is used.
    pub preference: u8,
    /// `up`, `doubtful` or `down`.
    pub state: String,
}
