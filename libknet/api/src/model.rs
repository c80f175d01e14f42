//! The configuration: plain typed values. Ranges and defaults are in the grammar's schema table, rules
//! between fields in [`crate::validate`].

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU8,
    sync::Arc,
};

pub use crate::{
    group::GroupConfig,
    host::lines::HostLines,
    link_settings::LinkSettings,
    metrics::MetricsListener,
    negotiated::{Negotiated, Pools},
    persistent_map::PersistentMap,
    source_guard::{Guard, SourceGuard},
    switchport::{Switchport, VlanList},
    value::{IpPrefix, MacAddr, PublicKey},
};

/// Most peers of one interface.
pub const MAX_PEERS: usize = 65_536;
/// `mtu` of an interface that sets none: a full frame of it fits a path of 1500 bytes (the largest that does is 1430
/// over IPv4 and 1410 over IPv6).
pub const DEFAULT_MTU: u16 = 1400;

/// The whole configuration of one daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The name in the prompt and in the log. `None`: the host's own name.
    pub hostname: Option<String>,
    /// Where metrics are told to who asks. `None`: nowhere.
    pub metrics_listen: Option<MetricsListener>,
    /// Also those of each peer and link.
    pub metrics_peers: bool,
    /// The interfaces by the name of their TAP: at most 15 bytes, a valid Linux interface name.
    pub interfaces: BTreeMap<String, InterfaceConfig>,
    /// What is in force on one host only, by its name: see [`Self::on_host`].
    pub hosts: BTreeMap<String, HostLines>,
}

/// One interface (overlay): a key, a TAP, its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceConfig {
    /// For people.
    pub description: Option<String>,
    /// File with the private key, as written: relative paths are relative to the configuration file. The
    /// interface stays down without it.
    pub private_key_file: Option<String>,
    /// File with a certificate of this key, which is presented to all peers; as written: relative paths are relative to the
    /// configuration file. See [`crate::certificate`].
    pub certificate_file: Option<String>,
    /// The TAP's address. `None`: derived from the key.
    pub mac_address: Option<MacAddr>,
    /// The TAP's MTU.
    pub mtu: Mtu,
    /// IPv4 addresses of the TAP, the primary one first.
    pub ip_addresses: Vec<IpPrefix>,
    /// IPv6 addresses of the TAP.
    pub ipv6_addresses: Vec<IpPrefix>,
    /// IPv4 addresses that peers give it over a session are the TAP's as well. `None`: none are taken.
    pub ip_negotiated: Option<Negotiated>,
    /// IPv6 addresses, likewise.
    pub ipv6_negotiated: Option<Negotiated>,
    /// Sockets by number, 0..=15.
    pub locals: BTreeMap<u8, Local>,
    /// Seconds that a learned MAC address is kept without traffic from it, 10..=3600.
    pub mac_ageing: u32,
    /// Questions of ARP and IPv6 neighbour discovery are answered here where the answer is known, and not flooded.
    pub arp_suppression: bool,
    /// What only DHCP servers say is taken from peers with `ip dhcp snooping trust` only.
    pub dhcp_snooping: bool,
    /// What only routers say is taken from peers with `ipv6 nd raguard trust` only.
    pub ra_guard: bool,
    /// Multicast of IPv4 goes to those only who listen, as IGMP tells.
    pub igmp_snooping: bool,
    /// Multicast of IPv6 goes to those only who listen, as MLD tells.
    pub mld_snooping: bool,
    /// It asks who listens to multicast of IPv4.
    pub igmp_querier: Option<Querier>,
    /// It asks who listens to multicast of IPv6.
    pub mld_querier: Option<Querier>,
    /// Loops through peers are not looked for.
    pub loop_guard_off: bool,
    /// VLANs are told apart, each a broadcast domain of its own.
    pub vlan_filtering: bool,
    /// The VLANs that the TAP is in, then. `None`: VLAN 1, without tags.
    pub switchport: Option<Switchport>,
    /// What happens to IP packets that are too long for the path.
    pub mtu_policy: MtuPolicy,
    /// Differentiated services code point of the datagrams that carry frames, 0..=63 (RFC 2474).
    pub dscp: u8,
    /// What sessions may be encrypted with.
    pub cipher: Cipher,
    /// Threads that share the peers, 1..=16. `None`: one for two processors.
    pub workers: Option<u8>,
    /// Taken out of service: no TAP, no sockets.
    pub shutdown: bool,
    /// The peers by name: at most 64 of `A-Z a-z 0-9 . _ -`.
    pub peers: PersistentMap<String, PeerConfig>,
    /// Full meshes by name, which become peers on each of their hosts: see [`Config::on_host`].
    pub meshes: BTreeMap<String, MeshConfig>,
    /// What peers have in common, by the name of the group: see [`Config::without_groups`].
    pub groups: BTreeMap<String, GroupConfig>,
}

/// How an interface asks who listens to multicast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Querier {
    /// From which address, of IPv4. `None`: the first one of the TAP, or none.
    pub address: Option<Ipv4Addr>,
    /// Every so many seconds, 1..=3600. `None`: 125.
    pub interval: Option<u16>,
}

impl Querier {
    /// Seconds between two questions where that is not said (RFC 3376, 8.2; RFC 3810, 9.2).
    pub const INTERVAL: u16 = 125;
}

impl Default for InterfaceConfig {
    fn default() -> Self {
        Self {
            description: None,
            private_key_file: None,
            certificate_file: None,
            mac_address: None,
            mtu: Mtu::default(),
            ip_addresses: Vec::new(),
            ipv6_addresses: Vec::new(),
            ip_negotiated: None,
            ipv6_negotiated: None,
            locals: BTreeMap::new(),
            mac_ageing: 300,
            arp_suppression: false,
            dhcp_snooping: false,
            ra_guard: false,
            igmp_snooping: false,
            mld_snooping: false,
            igmp_querier: None,
            mld_querier: None,
            loop_guard_off: false,
            vlan_filtering: false,
            switchport: None,
            mtu_policy: MtuPolicy::default(),
            dscp: 0,
            cipher: Cipher::default(),
            workers: None,
            shutdown: false,
            peers: PersistentMap::default(),
            meshes: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }
}

impl InterfaceConfig {
    /// The number of the local that `link` sends from: the one it names, or the first of the family of its
    /// remote address. `None` for a dynamic remote without a local (the peer's choice), for a name without a local
    /// (the choice of its address, see [`Self::local_for`]), and where there is no local of that family.
    pub fn local_of(&self, link: &LinkConfig) -> Option<u8> {
        match (link.local, &link.remote) {
            (Some(local), _) => Some(local),
            (None, Remote::Dynamic | Remote::Named { .. }) => None,
            (None, Remote::Static { address, .. }) => self.local_for(*address),
        }
    }

    /// The number of the first local of the family of `remote`.
    pub fn local_for(&self, remote: IpAddr) -> Option<u8> {
        self.locals
            .iter()
            .find(|(_, local)| local.address.is_ipv4() == remote.is_ipv4())
            .map(|(number, _)| *number)
    }
}

/// The MTU of a TAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mtu {
    /// So many bytes, 576..=9216.
    Fixed(u16),
    /// What passes whole on the narrowest of the links in use, 1280..=9216.
    Auto,
}

impl Default for Mtu {
    fn default() -> Self {
        Self::Fixed(DEFAULT_MTU)
    }
}

/// What happens to an IP packet that does not pass whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MtuPolicy {
    /// It goes in pieces.
    #[default]
    Fragment,
    /// Its sender is told, if the packet forbids to cut it; anything else goes in pieces.
    Signal,
}

impl MtuPolicy {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Fragment, Self::Signal];

    /// The word in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fragment => "fragment",
            Self::Signal => "signal",
        }
    }
}

/// What sessions may be encrypted with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cipher {
    /// AES-256-GCM where both sides have the hardware for it, or else ChaCha20-Poly1305.
    #[default]
    Any,
    /// AES-256-GCM only.
    Aes256Gcm,
    /// ChaCha20-Poly1305 only.
    ChaCha20Poly1305,
}

impl Cipher {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Any, Self::Aes256Gcm, Self::ChaCha20Poly1305];

    /// The word in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Aes256Gcm => "aes-256-gcm",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
        }
    }
}

/// A UDP socket of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The address it is bound to. `0.0.0.0` (written `any`) takes IPv4 to every address of the host, `::`
    /// (written `any6`) IPv6 only.
    pub address: IpAddr,
    /// UDP port, 1..=65535.
    pub port: u16,
    /// The only network device that it uses (`SO_BINDTODEVICE`).
    pub device: Option<String>,
}

impl Default for Local {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 7700,
            device: None,
        }
    }
}

/// How frames are spread over a peer's links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// One link at a time: the highest priority, then the lowest id.
    #[default]
    Passive,
    /// The same bytes on every link; the receiver keeps the first copy.
    Active,
    /// Frames in turn over all links, by weight.
    RoundRobin,
    /// Each flow on one of the links, by weight.
    FlowHash,
    /// One link at a time: the one that measures best.
    Adaptive,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Self; 5] = [
        Self::Passive,
        Self::Active,
        Self::RoundRobin,
        Self::FlowHash,
        Self::Adaptive,
    ];

    /// The word in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passive => "passive",
            Self::Active => "active",
            Self::RoundRobin => "round-robin",
            Self::FlowHash => "flow-hash",
            Self::Adaptive => "adaptive",
        }
    }
}

/// That a peer is one of several hubs, of which one is used at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubMember {
    /// Name of the hub group: the same for all of them.
    pub group: String,
    /// Of those that are up the highest is used.
    pub preference: u8,
}

impl HubMember {
    /// The preference of a hub that says none.
    pub const PREFERENCE: u8 = 100;
}

/// A peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerConfig {
    /// For people.
    pub description: Option<String>,
    /// Its identity. The peer stays down without it.
    pub public_key: Option<PublicKey>,
    /// File with the preshared key, as written: relative paths are relative to the configuration file.
    pub preshared_key_file: Option<String>,
    /// File with what an invitation has in it to present to this peer, as written: relative paths are relative to the
    /// configuration file. See [`crate::invitation`].
    pub invitation_file: Option<String>,
    /// The group that says what is not said here.
    pub group: Option<String>,
    /// How frames to this peer choose links. `None`: as the group says, or the default.
    pub policy: Option<Policy>,
    /// No frames between this peer and other peers, only between it and the TAP.
    pub isolate: bool,
    /// A client of this node: frames are relayed between it and all other peers. Between two peers that are no
    /// spokes nothing is relayed, because in a full mesh they have a session of their own.
    pub spoke: bool,
    /// What a dying link takes with it is not sent again over another: saves the memory and the copy that this costs.
    pub lossy: bool,
    /// DHCP servers may be behind this peer.
    pub dhcp_trust: bool,
    /// IPv6 routers may be behind this peer.
    pub ra_trust: bool,
    /// A router of IPv4 multicast is behind this peer, which gets all groups.
    pub igmp_router: bool,
    /// A router of IPv6 multicast is behind this peer, which gets all groups.
    pub mld_router: bool,
    /// MAC addresses learned behind this peer, 1..=1024. `None`: 1024.
    pub mac_limit: Option<u16>,
    /// Frames a second that it may flood, 1..=100000. `None`: 1000.
    pub storm_frames: Option<u32>,
    /// Copies of these a second, 1..=500000. `None`: 20000.
    pub storm_copies: Option<u32>,
    /// The VLANs that it is in, where the interface tells them apart. `None`: VLAN 1, without tags.
    pub switchport: Option<Switchport>,
    /// Which addresses it may use.
    pub guard: Guard,
    /// MAC addresses that are behind this peer, always.
    pub static_macs: Vec<MacAddr>,
    /// One of several hubs.
    pub hub: Option<HubMember>,
    /// Taken out of service.
    pub shutdown: bool,
    /// The links by id, 0..=7. A peer without any is listened for: it opens links to us.
    pub links: BTreeMap<u8, LinkConfig>,
    /// What links that the peer opens have, by their id. No line of its own says it: it comes from the group.
    pub opened: Option<Arc<BTreeMap<u8, LinkSettings>>>,
    /// What it is given addresses out of. No line of its own says it: it comes from the group.
    pub pools: Option<Arc<Pools>>,
}

impl PeerConfig {
    /// The policy, or the default.
    pub fn policy(&self) -> Policy {
        self.policy.unwrap_or_default()
    }

    /// The same with every default of its own lines said.
    #[must_use]
    pub fn spelled_out(mut self) -> Self {
        self.policy = Some(self.policy());
        self
    }
}

/// Where the other end of a link is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Remote {
    /// Known once the peer sends from there.
    #[default]
    Dynamic,
    /// At this address.
    Static {
        /// IPv4 or IPv6.
        address: IpAddr,
        /// UDP port, 1..=65535.
        port: u16,
    },
    /// At the address that this name has at the time.
    Named {
        /// A host name (RFC 1123), as written.
        name: String,
        /// UDP port, 1..=65535.
        port: u16,
    },
}

/// The part of the traffic that a link gets where links share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// In relation to the other links' weights, 1..=255.
    Fixed(NonZeroU8),
    /// As much as it is found to carry.
    Auto,
}

impl Default for Weight {
    fn default() -> Self {
        Self::Fixed(NonZeroU8::MIN)
    }
}

/// One link of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkConfig {
    /// For people.
    pub description: Option<String>,
    /// The local socket it uses. See [`InterfaceConfig::local_of`] for what `None` means.
    pub local: Option<u8>,
    /// The far end.
    pub remote: Remote,
    /// How it is used and judged.
    pub settings: LinkSettings,
    /// Taken out of service.
    pub shutdown: bool,
}

impl LinkConfig {
    /// The same with every default said.
    #[must_use]
    pub fn spelled_out(mut self) -> Self {
        self.settings = self.settings.spelled_out();
        self
    }
}

/// Hosts that are all peers of each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeshConfig {
    /// For people.
    pub description: Option<String>,
    /// Of every peer.
    pub policy: Policy,
    /// File with the preshared key of every pair, as written: relative paths are relative to the configuration file.
    pub preshared_key_file: Option<String>,
    /// Of every peer.
    pub lossy: bool,
    /// What links of an id have in common, by that id, 0..=7.
    pub links: BTreeMap<u8, LinkSettings>,
    /// The hosts by name.
    pub members: BTreeMap<String, MemberConfig>,
}

/// A host of a mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberConfig {
    /// Its identity.
    pub public_key: Option<PublicKey>,
    /// IPv4 addresses of its TAP.
    pub ip_addresses: Vec<IpPrefix>,
    /// IPv6 addresses of its TAP.
    pub ipv6_addresses: Vec<IpPrefix>,
    /// Where it is reached, by the id of the link, 0..=7, which is also the number of its local.
    pub links: BTreeMap<u8, MemberLink>,
}

/// Where a host of a mesh is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberLink {
    /// The address that others send to.
    pub address: IpAddr,
    /// UDP port, 1..=65535.
    pub port: u16,
    /// The address that its own socket is bound to. `None`: the same.
    pub bind: Option<IpAddr>,
}

/// UDP port of a member of a mesh that names none.
pub const DEFAULT_PORT: u16 = 7700;
