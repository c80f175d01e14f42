//! What an interface, a peer and a link are told to do: plain values, already validated.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU8,
    ops::Deref,
};

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    crypto::Secret,
    handshake::message::SuiteSet,
    ids::{LinkId, MacAddr, SocketId},
    l2::{first_hop::FirstHop, source_guard::GuardRules, storm::StormLimits, vlan::Switchport},
    time::Span,
    wire::header::MAX_CREDENTIAL,
};

pub use crate::wire::address_list::{AddressList, AddressPrefix};

/// An X25519 private key (RFC 7748). Erased when dropped, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PrivateKey(pub Secret);

impl PrivateKey {
    /// The key of these bytes, which are copied. RFC 7748 has all of them stand for one; which bits do not count is
    /// seen to when it is used.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(bytes.into())
    }
}

impl core::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// A symmetric key shared by one pair of peers and mixed into the handshake (Noise `psk2`). All zero where
/// none is configured.
#[derive(Clone, Default, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PresharedKey(Option<Secret>);

impl PresharedKey {
    /// The key of these bytes, which are copied.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self::from(Secret::from(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_deref().unwrap_or(&[0; 32])
    }
}

impl From<Secret> for PresharedKey {
    fn from(secret: Secret) -> Self {
        // One that is all zero is none.
        Self(Some(secret).filter(|secret| *secret != Secret::default()))
    }
}

impl core::fmt::Debug for PresharedKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PresharedKey(..)")
    }
}

/// An X25519 public key in canonical encoding and not of low order: made only by
/// `crypto::dh`, which refuses the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub(crate) [u8; 32]);

impl PublicKey {
    /// The 32 bytes of RFC 7748.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What is presented to a peer with each first message, for it to find out by that who we are. Never printed: it may be a
/// secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(Arc<[u8]>);

impl Credential {
    /// That of these bytes, 1..=512 of them; `None` where there are more or none.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (1..=MAX_CREDENTIAL)
            .contains(&bytes.len())
            .then(|| Self(bytes.into()))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl core::fmt::Debug for Credential {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// One interface (overlay): a key, a TAP, its peers.
#[derive(Clone, Debug)]
pub struct InterfaceConfig {
    /// The interface's static key.
    pub private_key: PrivateKey,
    /// Random, different at each start: tells peers that we have lost our state.
    pub instance: u64,
    /// The AEADs offered.
    pub suites: SuiteSet,
    /// How long a learned MAC address is kept without traffic from it. 10 s..=1 h, default 300 s.
    pub mac_ageing: Span,
    /// MTU of the TAP: nothing longer has to be sent without splitting it.
    pub tap_mtu: TapMtu,
    /// What happens to an IP packet from the TAP that is too long for the path.
    pub mtu_policy: MtuPolicy,
    /// Largest Ethernet frame accepted from the TAP or from a peer, without FCS, in bytes.
    pub max_frame: u16,
}

/// MTU of the TAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapMtu {
    /// So many bytes.
    Fixed(u16),
    /// What passes whole on the narrowest link in use: 1280, which IPv6 needs, to 9216.
    Auto,
}

impl TapMtu {
    /// What the TAP has as long as nothing else is known, in bytes.
    pub const fn at_first(self) -> u16 {
        match self {
            Self::Fixed(mtu) => mtu,
            Self::Auto => 1_400,
        }
    }
}

/// What happens to an IP packet from the TAP that does not pass whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MtuPolicy {
    /// It goes in pieces, and arrives whole.
    #[default]
    Fragment,
    /// Its sender is told, if it has asked for that (don't fragment); anything else goes in pieces.
    Signal,
}

/// How frames are spread over a peer's links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PolicyKind {
    /// One link at a time: the best priority, then the lowest id.
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

/// What a link is allowed before it is avoided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QualityLimits {
    /// Share of what is sent that does not arrive, in parts per million.
    pub loss_ppm: Option<u32>,
    /// Smoothed round-trip time.
    pub rtt: Option<Span>,
}

impl QualityLimits {
    const NONE: Self = Self {
        loss_ppm: None,
        rtt: None,
    };
}

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Its static public key: its identity.
    pub public_key: PublicKey,
    /// The key both sides share besides, or all zero.
    pub preshared_key: PresharedKey,
    /// What is presented to it with each first message.
    pub credential: Option<Credential>,
    /// How frames *to* this peer choose links. Each side decides for its own direction.
    pub policy: PolicyKind,
    /// Frames from an isolated peer go to the TAP only, never to another peer, and an isolated peer gets
    /// frames from the TAP only.
    pub isolate: bool,
    /// A client of ours: frames are relayed between it and all other peers. Between two peers that are no spokes
    /// nothing is relayed, because in a full mesh they have a session of their own.
    pub spoke: bool,
    /// What is sent to it is kept until it is reported, and sent again over another link when the one it went out
    /// on comes into doubt. Costs memory and a copy; without it a link that dies takes with it what was on it.
    pub lossless: bool,
    /// Taken out of service by the operator: no session, no datagram.
    pub shutdown: bool,
    /// What it may do to the others.
    pub rules: PortRules,
    /// MAC addresses that are behind this peer, always.
    pub static_macs: Vec<MacAddr>,
    /// One of several hubs of which one is used at a time.
    pub hub: Option<HubMembership>,
    /// The addresses that it is given for its TAP, of which it is told.
    pub gives: AddressList,
    /// Those that it gives for our TAP are taken, [`crate::event::Event::Addresses`]. Else it is not even asked.
    pub takes: bool,
    /// The links by id. A peer without any is *listened for*: links that it opens are accepted on every
    /// socket, under the ids that it chooses.
    pub links: LinkConfigs,
    /// What the links of a peer that is listened for begin with, by id; without local and with a dynamic remote. Those of
    /// other ids begin with the defaults.
    pub opened: LinkConfigs,
}

impl PeerConfig {
    /// Whether no link is configured, so that the peer itself opens them.
    pub fn accepts_any_link(&self) -> bool {
        self.links == LinkConfigs::default()
    }

    /// The configuration of `link`, if it has one.
    pub fn link(&self, link: LinkId) -> Option<&SharedLinkConfig> {
        self.links.shared(link)
    }

    /// What `link` begins with when the peer opens it.
    pub fn opened(&self, link: LinkId) -> SharedLinkConfig {
        self.opened.shared(link).cloned().unwrap_or_default()
    }

    /// What the bridge has to know of it.
    pub fn port(&self, generation: u16) -> PortConfig {
        PortConfig {
            generation,
            isolate: self.isolate,
            spoke: self.spoke,
            rules: self.rules.clone(),
            static_macs: self.static_macs.clone(),
            hub: self.hub.clone(),
        }
    }
}

/// What an interface does for its broadcast domain, besides to bridge it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainConfig {
    /// What is done at the first hop of stations.
    pub first_hop: FirstHop,
    /// Whether multicast of IPv4 goes to those only who listen, as IGMP tells.
    pub igmp_snooping: bool,
    /// Whether that of IPv6 does, as MLD tells.
    pub mld_snooping: bool,
    /// How we ask who listens to multicast of IPv4, where its snooping is on. `None`: we do not.
    pub igmp_querier: Option<QuerierConfig>,
    /// The same of IPv6.
    pub mld_querier: Option<QuerierConfig>,
    /// The IPv4 address of the TAP, where it is known.
    pub tap_address: Option<Ipv4Addr>,
    /// Whether loops are not looked for, and no port is closed because of one.
    pub loop_guard_off: bool,
    /// Whether VLANs are told apart, each a domain of its own.
    pub vlan_filtering: bool,
    /// Which of them the TAP is in, then.
    pub tap: Switchport,
}

/// How we ask who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuerierConfig {
    /// How often, 1 s..=1 h. Default 125 s.
    pub interval: Span,
    /// From which address of IPv4. `None`: the TAP's, in the VLAN in which it has no tags; elsewhere, or if that is not known,
    /// 0.0.0.0. That of IPv6 is always [`link_local`](crate::l2::multicast::query::link_local).
    pub address: Option<Ipv4Addr>,
}

/// The hub group that a peer is in. To the bridge its members are one port, so what [`PortRules`] and the like say of
/// them is to be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubMembership {
    /// Its name. The same for all members.
    pub group: Arc<str>,
    /// The highest of those that are up is used. Default 100.
    pub preference: u8,
}

/// What a peer may do to the others of its broadcast domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortRules {
    /// What the stations behind it are trusted to be.
    pub trust: Trust,
    /// How much it may flood.
    pub storm: StormLimits,
    /// How many MAC addresses are learned behind it, 1..=1024. `None`: as many as there is room for.
    pub mac_limit: Option<u16>,
    /// Which VLANs it is in, where they are told apart.
    pub switchport: Switchport,
    /// There is a router of IPv4 multicast behind it, which gets all groups.
    pub igmp_router: bool,
    /// There is one of IPv6.
    pub mld_router: bool,
    /// Which addresses it may use, where that is not any.
    pub guard: Option<Box<GuardRules>>,
}

/// What stations are trusted to be, where that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// DHCP servers.
    pub dhcp_server: bool,
    /// Routers of IPv6.
    pub router: bool,
}

/// The configured links of a peer by id. A hub has tens of thousands of peers that open theirs themselves: what is not
/// configured takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkConfigs(Vec<Option<SharedLinkConfig>>);

impl LinkConfigs {
    /// That of `link`, if it has one.
    pub fn get(&self, link: LinkId) -> Option<&LinkConfig> {
        self.shared(link).map(|config| &**config)
    }

    /// The same, to be kept.
    pub fn shared(&self, link: LinkId) -> Option<&SharedLinkConfig> {
        self.0.get(link.index()).and_then(Option::as_ref)
    }

    /// Configures `link`, or configures it anew.
    pub fn set(&mut self, link: LinkId, config: impl Into<SharedLinkConfig>) {
        if self.0.len() <= link.index() {
            self.0.reserve_exact(link.index() + 1 - self.0.len());
            self.0.resize(link.index() + 1, None);
        }
        if let Some(slot) = self.0.get_mut(link.index()) {
            *slot = Some(config.into());
        }
    }

    /// Takes the configuration of `link` out, if it has one.
    pub fn remove(&mut self, link: LinkId) -> Option<SharedLinkConfig> {
        let removed = self.0.get_mut(link.index())?.take();
        // As if it had never been there.
        let used = self
            .0
            .iter()
            .rposition(Option::is_some)
            .map_or(0, |last| last + 1);
        self.0.truncate(used);
        removed
    }
}

impl FromIterator<(LinkId, LinkConfig)> for LinkConfigs {
    fn from_iter<I: IntoIterator<Item = (LinkId, LinkConfig)>>(links: I) -> Self {
        let mut configs = Self::default();
        links
            .into_iter()
            .for_each(|(link, config)| configs.set(link, config));
        configs
    }
}

/// What every worker's bridge knows of a peer, whichever worker it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortConfig {
    /// Another one whenever the slot gets another peer, or the peer another key: what was meant for the one before does
    /// not reach it, however late it comes. Any number where there is one worker only.
    pub generation: u16,
    /// See [`PeerConfig::isolate`].
    pub isolate: bool,
    /// See [`PeerConfig::spoke`].
    pub spoke: bool,
    /// See [`PeerConfig::rules`].
    pub rules: PortRules,
    /// See [`PeerConfig::static_macs`].
    pub static_macs: Vec<MacAddr>,
    /// See [`PeerConfig::hub`].
    pub hub: Option<HubMembership>,
}

/// Where the other end of a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote {
    /// At this address; an authenticated and validated move is followed while it lasts.
    Static(SocketAddr),
    /// Not known before the peer sends from there.
    Dynamic,
}

/// One link of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// The socket it uses. `None` (only with a dynamic remote): the one the peer arrives on.
    pub local: Option<SocketId>,
    /// The far end.
    pub remote: Remote,
    /// For the passive policy: the highest wins, then the lowest link id. Default 100.
    pub priority: u8,
    /// Share of the traffic where links share it, in relation to the others'. `None`: as measured. Default 1.
    pub weight: Option<NonZeroU8>,
    /// What it costs to use it, 0..=255: it carries frames only while no link that costs less is up, and its
    /// heartbeats become rare meanwhile. Default 0.
    pub cost: u8,
    /// Heartbeat timing.
    pub timers: LinkTimers,
    /// Answers in a row that bring a link back up, 1..=100. Default 5.
    pub pong_count: u8,
    /// Beyond these it is avoided while another link is up that is not.
    pub limits: QualityLimits,
    /// Taken out of service by the operator.
    pub shutdown: bool,
}

/// The configuration of a link, as it is kept by all who need it.
///
/// Links that peers open and that nothing is said of are most of those of a hub: theirs takes no room.
#[derive(Clone, Debug, Default)]
pub struct SharedLinkConfig(Option<Arc<LinkConfig>>);

/// What a link is that its peer opens and that nothing is said of.
static OPENED: LinkConfig = LinkConfig::new(None, Remote::Dynamic);

impl Deref for SharedLinkConfig {
    type Target = LinkConfig;

    fn deref(&self) -> &LinkConfig {
        self.0.as_deref().unwrap_or(&OPENED)
    }
}

impl From<LinkConfig> for SharedLinkConfig {
    fn from(config: LinkConfig) -> Self {
        Self((config != OPENED).then(|| Arc::new(config)))
    }
}

impl PartialEq for SharedLinkConfig {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for SharedLinkConfig {}

impl LinkConfig {
    /// A link to `remote` with every other setting at its default.
    pub const fn new(local: Option<SocketId>, remote: Remote) -> Self {
        Self {
            local,
            remote,
            priority: 100,
            weight: Some(NonZeroU8::MIN),
            cost: 0,
            timers: LinkTimers::DEFAULT,
            pong_count: 5,
            limits: QualityLimits::NONE,
            shutdown: false,
        }
    }
}

/// Heartbeat timing of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkTimers {
    /// Mean time between heartbeats of an idle link. 100 ms..=60 s, default 1 s.
    pub interval: Span,
    /// How long the *last* usable link of a peer may be silent before it is called down. At least three
    /// intervals; default 3 s. (A link that has another beside it is judged by its round-trip time.)
    pub timeout: Span,
}

impl LinkTimers {
    const DEFAULT: Self = Self {
        interval: Span::from_secs(1),
        timeout: Span::from_secs(3),
    };
}

impl Default for LinkTimers {
    fn default() -> Self {
        Self::DEFAULT
    }
}
