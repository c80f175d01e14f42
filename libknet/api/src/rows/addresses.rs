//! Addresses of stations, and which port they are behind.

use serde::{Deserialize, Serialize};

/// An entry of the bridge's table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacRow {
    /// Of which interface.
    pub interface: String,
    /// The address.
    pub mac_address: String,
    /// The peer that it is behind. `None`: this host.
    pub peer: Option<String>,
    /// Configured, never ages.
    pub is_static: bool,
    /// Milliseconds since it was last heard of.
    pub age_ms: u64,
    /// Its VLAN. `None` where VLANs are not told apart, and for what is configured: that is the same in all of them.
    pub vlan: Option<u16>,
    /// Learned, never ages, and no other peer can have it.
    pub is_sticky: bool,
}

/// An IP address of a station, as the station said it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighborRow {
    /// Of which interface.
    pub interface: String,
    /// IPv4 or IPv6.
    pub address: String,
    /// Its Ethernet address.
    pub mac_address: String,
    /// Whether it is a router, where that is known (IPv6).
    pub router: bool,
    /// The peer that it is behind. `None`: this host.
    pub peer: Option<String>,
    /// Milliseconds since it was last confirmed.
    pub age_ms: u64,
    /// Its VLAN, where VLANs are told apart.
    pub vlan: Option<u16>,
    /// It was given to the peer that it is behind.
    pub given: bool,
}

/// Which addresses a peer may use, and what it was kept from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardRow {
    /// The only MAC addresses that it may send from, as far as lines say it. None: any. Only told of a single peer.
    pub allowed_macs: Vec<String>,
    /// So many MAC addresses stick to it.
    pub sticky: Option<u16>,
    /// IP addresses and networks that are given to it: by lines, by its certificate, or by its invitation. Only told
    /// of a single peer.
    pub given: Vec<String>,
    /// IP packets come from these only.
    pub verify_source: bool,
    /// ARP and neighbour discovery claim these only.
    pub arp_inspection: bool,
    /// Frames from other MAC addresses, which were dropped.
    pub dropped_macs: u64,
    /// IP packets from other addresses, which were dropped.
    pub dropped_sources: u64,
    /// ARP and neighbour discovery that claimed other addresses, which were dropped.
    pub dropped_claims: u64,
    /// ARP and neighbour discovery name the MAC address that their frame comes from; others are among those dropped.
    pub validate_source_mac: bool,
    /// It is no multicast router.
    pub router_guard: bool,
    /// What only a multicast router sends, which was dropped.
    pub dropped_routers: u64,
}
