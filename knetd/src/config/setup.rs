//! From the configuration to what the data plane is started with: keys read, defaults filled in, only what is
//! complete.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use libknet::{
    InterfaceSetup, Offloads, SocketSetup,
    api::{
        certificate::SignedCertificate,
        edit::{Context, Leaf, Place},
        invitation,
        model::{self, LinkSettings, Policy},
        persistent_map::{Difference, PersistentMap},
        problem::{Problem, Severity},
        value::{IpPrefix, Value},
    },
    proto::{
        config::{
            AddressList, AddressPrefix, Credential, DomainConfig, HubMembership, InterfaceConfig, LinkConfig,
            LinkTimers, MtuPolicy, PeerConfig, PolicyKind, PortRules, PresharedKey, PrivateKey, PublicKey,
            QualityLimits, Remote, TapMtu, Trust,
        },
        handshake::message::{Suite, SuiteSet},
        ids::{LinkId, MacAddr, SocketId, Workers},
        l2::storm::StormLimits,
        time::Span,
    },
    stable_mac, suites_of_this_machine,
};

use super::{
    certificate_files::CertificateFiles,
    domain::{domain, switchport},
    invitations::Invitations,
    keys::{KeyKind, Keys},
    leases::Leases,
    source_guard,
};
use crate::resolver::{LinkPlace, Resolver};

/// Largest Ethernet frame: the largest MTU that can be configured, the Ethernet header and a VLAN tag. The same
/// for all, so that a change of the MTU needs no restart.
const MAX_FRAME: u16 = 9216 + 14 + 4;

/// Peers by name.
pub(crate) type Peers = PersistentMap<String, Arc<PeerConfig>>;

/// What an interface has to do with certificates.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Certificates<'a> {
    /// What it presents to its peers.
    own: Option<&'a SignedCertificate>,
    /// Whether it takes those of strangers, or invitations.
    taken: bool,
}

impl<'a> Certificates<'a> {
    /// What interface `name` has to do with them, where these files are there.
    pub(crate) fn of(files: &'a CertificateFiles, invitations: &Invitations, name: &str) -> Self {
        Self {
            own: files.own(name).and_then(|file| file.contents.as_ref()),
            taken: files.takes_certificates(name) || invitations.are_taken(name),
        }
    }

    fn credential(&self) -> Option<Credential> {
        Credential::new(self.own?.as_bytes())
    }

    /// The addresses that it gives, which the configuration does not name as well. IPv6 needs an MTU of 1280.
    fn addresses(&self, interface: &model::InterfaceConfig) -> impl Iterator<Item = &'a IpPrefix> {
        let narrow = matches!(interface.mtu, model::Mtu::Fixed(..1280));
        let configured = interface.ip_addresses.iter().chain(&interface.ipv6_addresses);
        let configured: Vec<IpPrefix> = configured.copied().collect();
        let given = self.own.into_iter().flat_map(|own| &own.certificate().addresses);
        given.filter(move |given| !(configured.contains(given) || narrow && given.address.is_ipv6()))
    }
}

/// What is known beside the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    /// The addresses of names.
    pub names: &'a Resolver,
    /// Who was given which address.
    pub leases: &'a Leases,
    /// Addresses that peers give the TAP, as far as they are taken.
    pub negotiated: &'a [IpPrefix],
}

/// Everything that a running interface is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    /// Its identity.
    pub private_key: PrivateKey,
    /// What the others know it by.
    pub public_key: PublicKey,
    /// The TAP's address.
    pub mac: MacAddr,
    /// The TAP's MTU.
    pub mtu: TapMtu,
    /// The TAP's IPv4 and IPv6 addresses, in the order of the configuration, but for those that peers give it.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Those that peers give it.
    pub negotiated: Vec<(IpAddr, u8)>,
    /// How long learned MAC addresses are kept.
    pub mac_ageing: Span,
    /// What is done for the broadcast domain.
    pub(crate) domain: DomainConfig,
    /// What happens to packets that are too long.
    pub(crate) mtu_policy: MtuPolicy,
    /// How datagrams with frames are marked.
    pub(crate) dscp: u8,
    /// What is offered to peers.
    pub(crate) suites: SuiteSet,
    /// Data workers, where the configuration says how many.
    pub(crate) workers: Option<Workers>,
    /// What is presented to peers.
    pub(crate) credential: Option<Credential>,
    /// Whether strangers that present a credential are told of.
    pub(crate) takes_credentials: bool,
    /// Sockets by number.
    pub sockets: BTreeMap<u8, SocketSetup>,
    /// Peers that have all they need, by name.
    pub peers: Peers,
}

impl Setup {
    /// What interface `name` needs, or `None` where it is to be down: shut down, or without a private key. Reads
    /// the key files that are not known yet, and names every one that cannot be used. Links to a DNS name get the
    /// address that is `known`. `before` is what ran until now, of which peers are taken over that are as they were: an
    /// edit costs what it changes.
    pub(crate) fn of(
        name: &str,
        interface: &model::InterfaceConfig,
        certificates: &Certificates<'_>,
        keys: &mut Keys,
        known: Known<'_>,
        before: Option<(&model::InterfaceConfig, &Self)>,
    ) -> Result<Option<Self>, Vec<Problem>> {
        let Some(key_file) = interface
            .private_key_file
            .as_deref()
            .filter(|_| !interface.shutdown)
        else {
            return Ok(None);
        };
        let mut problems = Vec::new();
        let context = Context::Interface {
            interface: name.into(),
        };
        let private_key = match keys.get(key_file, KeyKind::Private) {
            Ok(key) => Some(PrivateKey(key.clone())),
            Err(error) => {
                let place = Place {
                    argument: Some(0),
                    ..Place::leaf(context, Leaf::PrivateKey)
                };
                problems.push(refusal(
                    place,
                    format!("private key of interface {name}: {error}"),
                ));
                None
            }
        };
        let public_key = private_key.as_ref().map(PrivateKey::public_key);
        let credential = certificates.credential();
        // A peer depends on its own lines, on the locals, on which addresses are ours and are taken, and on the interface's key and
        // certificate.
        let before = before.filter(|(old, setup)| {
            old.locals == interface.locals
                && old.ip_addresses == interface.ip_addresses
                && old.ipv6_addresses == interface.ipv6_addresses
                && old.ip_negotiated == interface.ip_negotiated
                && old.ipv6_negotiated == interface.ipv6_negotiated
                && Some(setup.public_key) == public_key
                && setup.credential == credential
        });
        let none = PersistentMap::default();
        let (old_peers, mut peers) = match before {
            Some((old, setup)) => (&old.peers, setup.peers.clone()),
            None => (&none, Peers::default()),
        };
        for Difference {
            key: peer_name, new, ..
        } in old_peers.differences(&interface.peers)
        {
            let config =
                new.map(|peer| peer_config(name, interface, peer_name, peer, public_key, keys, known));
            match config.transpose().map(Option::flatten) {
                Ok(Some(config)) => {
                    let config = PeerConfig {
                        credential: config.credential.or_else(|| credential.clone()),
                        ..config
                    };
                    peers.insert(peer_name.clone(), Arc::new(config));
                }
                Ok(None) => drop(peers.remove(peer_name)),
                Err(problem) => problems.push(problem),
            }
        }
        let suites = suites_of(interface.cipher);
        if suites.is_none() {
            let context = Context::Interface {
                interface: name.into(),
            };
            problems.push(refusal(
                Place {
                    argument: Some(0),
                    ..Place::leaf(context, Leaf::Cipher)
                },
                format!(
                    "interface {name}: this processor has no instructions for AES-256-GCM, and without them it is \
                     neither fast nor safe: say `cipher any` or `cipher chacha20-poly1305`"
                ),
            ));
        }
        let (Some(private_key), Some(public_key), Some(suites), true) =
            (private_key, public_key, suites, problems.is_empty())
        else {
            return Err(problems);
        };
        let prefixes = interface.ip_addresses.iter().chain(&interface.ipv6_addresses);
        Ok(Some(Self {
            private_key,
            public_key,
            mac: interface
                .mac_address
                .map_or_else(|| stable_mac(&public_key), |m| MacAddr(m.0)),
            mtu: match interface.mtu {
                model::Mtu::Fixed(bytes) => TapMtu::Fixed(bytes),
                model::Mtu::Auto => TapMtu::Auto,
            },
            addresses: prefixes
                .chain(certificates.addresses(interface))
                .map(|p| (p.address, p.length))
                .collect(),
            negotiated: known.negotiated.iter().map(|p| (p.address, p.length)).collect(),
            mac_ageing: Span::from_secs(u64::from(interface.mac_ageing)),
            domain: domain(interface),
            mtu_policy: match interface.mtu_policy {
                model::MtuPolicy::Fragment => MtuPolicy::Fragment,
                model::MtuPolicy::Signal => MtuPolicy::Signal,
            },
            dscp: interface.dscp,
            suites,
            workers: interface.workers.and_then(Workers::new),
            credential,
            takes_credentials: certificates.taken,
            sockets: interface
                .locals
                .iter()
                .map(|(n, local)| (*n, socket_setup(local)))
                .collect(),
            peers,
        }))
    }

    /// Whether it is what these certificates make of it.
    pub(crate) fn is_with(&self, certificates: &Certificates<'_>) -> bool {
        self.credential == certificates.credential() && self.takes_credentials == certificates.taken
    }

    /// The same with another address of the name that a link goes to. `None` where there is no such link.
    pub(crate) fn with_address(
        &self,
        interface: &model::InterfaceConfig,
        place: &LinkPlace,
        address: IpAddr,
    ) -> Option<Self> {
        let link = interface.peers.get(&place.peer)?.links.get(&place.link)?;
        let mut setup = self.clone();
        let peer = setup.peers.get_mut(&place.peer)?;
        let id = LinkId::new(place.link)?;
        let config = link_config(interface, link, Some(address));
        Arc::make_mut(peer).links.set(id, config);
        Some(setup)
    }

    /// The same with what these peers are given out of pools as it is now.
    pub(crate) fn with_leases<'a>(
        &self,
        name: &str,
        interface: &model::InterfaceConfig,
        peers: impl Iterator<Item = &'a String>,
        leases: &Leases,
    ) -> Self {
        let mut setup = self.clone();
        for peer_name in peers {
            let (Some(said), Some(peer)) = (interface.peers.get(peer_name), setup.peers.get_mut(peer_name))
            else {
                continue;
            };
            let leased = leases.in_force(name, interface, said);
            let peer = Arc::make_mut(peer);
            peer.rules.guard = source_guard::rules(said, &leased);
            peer.gives = address_list(&leased);
        }
        setup
    }

    /// All addresses of the TAP, those first that stay whatever peers say.
    pub(crate) fn tap_addresses(&self) -> Vec<(IpAddr, u8)> {
        let others = self
            .negotiated
            .iter()
            .filter(|given| !self.addresses.contains(given));
        self.addresses.iter().chain(others).copied().collect()
    }

    /// Whether all sessions end where this becomes `new`.
    pub(crate) fn sessions_end_for(&self, new: &Self) -> bool {
        self.private_key != new.private_key || self.suites != new.suites || self.workers != new.workers
    }

    /// What `libknet` is started with; the peers follow.
    pub(crate) fn start(
        &self,
        name: &str,
        instance: u64,
        offloads: Offloads,
        workers: Workers,
    ) -> InterfaceSetup {
        InterfaceSetup {
            name: name.into(),
            mac: self.mac,
            mtu: self.mtu,
            addresses: self.tap_addresses(),
            admin_up: true,
            config: InterfaceConfig {
                private_key: self.private_key.clone(),
                instance,
                suites: self.suites,
                mac_ageing: self.mac_ageing,
                tap_mtu: self.mtu,
                mtu_policy: self.mtu_policy,
                max_frame: MAX_FRAME,
            },
            sockets: self
                .sockets
                .iter()
                .map(|(n, s)| (SocketId(*n), s.clone()))
                .collect(),
            dscp: self.dscp,
            domain: self.domain.clone(),
            offloads,
            workers,
        }
    }
}

/// What is wrong with the preshared keys of the groups of interface `name`.
pub(crate) fn group_keys(name: &str, interface: &model::InterfaceConfig, keys: &mut Keys) -> Vec<Problem> {
    let groups = interface.groups.iter();
    groups
        .filter_map(|(group, config)| {
            let file = config.preshared_key_file.as_deref()?;
            let error = keys.get(file, KeyKind::Preshared).err()?;
            let context = Context::Group {
                interface: name.into(),
                group: group.clone(),
            };
            let place = Place {
                argument: Some(0),
                ..Place::leaf(context, Leaf::PresharedKey)
            };
            Some(refusal(place, format!("preshared key of group {group}: {error}")))
        })
        .collect()
}

fn refusal(place: Place, text: String) -> Problem {
    Problem {
        severity: Severity::Error,
        place: Some(place),
        span: None,
        text,
        expected: None,
    }
}

/// What the configuration allows of what this machine can do; `None` where that is nothing.
fn suites_of(cipher: model::Cipher) -> Option<SuiteSet> {
    let can = suites_of_this_machine();
    let wanted = match cipher {
        model::Cipher::Any => return Some(can),
        model::Cipher::Aes256Gcm => Suite::Aes256Gcm,
        model::Cipher::ChaCha20Poly1305 => Suite::ChaCha20Poly1305,
    };
    can.contains(wanted).then_some(SuiteSet::of(wanted))
}

fn socket_setup(local: &model::Local) -> SocketSetup {
    SocketSetup {
        address: SocketAddr::new(local.address, local.port),
        device: local.device.clone(),
    }
}

/// `None` for a peer without a public key.
fn peer_config(
    interface_name: &str,
    interface: &model::InterfaceConfig,
    name: &str,
    peer: &model::PeerConfig,
    own_key: Option<PublicKey>,
    keys: &mut Keys,
    known: Known<'_>,
) -> Result<Option<PeerConfig>, Problem> {
    let place = |leaf| {
        let context = Context::Peer {
            interface: interface_name.into(),
            peer: name.into(),
        };
        Place {
            argument: Some(0),
            ..Place::leaf(context, leaf)
        }
    };
    let preshared_key = match &peer.preshared_key_file {
        None => PresharedKey::default(),
        Some(file) => match keys.get(file, KeyKind::Preshared) {
            Ok(key) => key.clone().into(),
            Err(error) => {
                let text = format!("preshared key of peer {name}: {error}");
                return Err(refusal(place(Leaf::PresharedKey), text));
            }
        },
    };
    let credential = match &peer.invitation_file {
        None => None,
        Some(file) => match keys.get(file, KeyKind::Invitation) {
            Ok(key) => Credential::new(&invitation::credential(key)),
            Err(error) => {
                let text = format!("invitation to peer {name}: {error}");
                return Err(refusal(place(Leaf::Invitation), text));
            }
        },
    };
    let Some(key) = peer.public_key else {
        return Ok(None);
    };
    let key_place = || Place {
        key: vec![Value::Key(key)],
        ..place(Leaf::PublicKey)
    };
    let public_key = PublicKey::from_bytes(key.0)
        .map_err(|e| refusal(key_place(), format!("public key of peer {name}: {e}")))?;
    if own_key == Some(public_key) {
        let text = format!("peer {name} has the public key of interface {interface_name} itself");
        return Err(Problem {
            expected: Some("the key of the other host (there: knetd pubkey < KEY-FILE)".into()),
            ..refusal(key_place(), text)
        });
    }
    let with_id = |(id, link): (&u8, &model::LinkConfig)| {
        let place = LinkPlace {
            interface: interface_name.into(),
            peer: name.into(),
            link: *id,
        };
        let address = known.names.address(&place, interface, link);
        Some((LinkId::new(*id)?, link_config(interface, link, address)))
    };
    let leased = known.leases.in_force(interface_name, interface, peer);
    let mut negotiated = interface.ip_negotiated.iter().chain(&interface.ipv6_negotiated);
    Ok(Some(PeerConfig {
        public_key,
        preshared_key,
        credential,
        policy: match peer.policy() {
            Policy::Passive => PolicyKind::Passive,
            Policy::Active => PolicyKind::Active,
            Policy::RoundRobin => PolicyKind::RoundRobin,
            Policy::FlowHash => PolicyKind::FlowHash,
            Policy::Adaptive => PolicyKind::Adaptive,
        },
        lossless: !peer.lossy,
        isolate: peer.isolate,
        spoke: peer.spoke,
        shutdown: peer.shutdown,
        rules: PortRules {
            trust: Trust {
                dhcp_server: peer.dhcp_trust,
                router: peer.ra_trust,
            },
            storm: StormLimits {
                frames: peer.storm_frames,
                copies: peer.storm_copies,
            },
            mac_limit: peer.mac_limit,
            guard: source_guard::rules(peer, &leased),
            switchport: switchport(peer.switchport.as_ref()),
            igmp_router: peer.igmp_router,
            mld_router: peer.mld_router,
        },
        static_macs: peer.static_macs.iter().map(|m| MacAddr(m.0)).collect(),
        hub: peer.hub.as_ref().map(|hub| HubMembership {
            group: hub.group.as_str().into(),
            preference: hub.preference,
        }),
        links: peer.links.iter().filter_map(with_id).collect(),
        opened: peer
            .opened
            .iter()
            .flat_map(|links| links.iter())
            .filter_map(|(id, settings)| {
                let config = with_settings(None, Remote::Dynamic, settings);
                Some((LinkId::new(*id)?, config))
            })
            .collect(),
        gives: address_list(&leased),
        takes: negotiated.any(|negotiated| negotiated.is_of(name)),
    }))
}

/// What a peer is told that it is given: one address of each version at most.
fn address_list(leased: &[IpPrefix]) -> AddressList {
    let prefixes = leased.iter();
    AddressList::new(prefixes.filter_map(|p| AddressPrefix::new(p.address, p.length))).unwrap_or_default()
}

/// `named`: the address of the name that the link goes to. Until it has one, it is the peer who may open it.
fn link_config(
    interface: &model::InterfaceConfig,
    link: &model::LinkConfig,
    named: Option<IpAddr>,
) -> LinkConfig {
    let (local, remote) = match (&link.remote, named) {
        (model::Remote::Static { address, port }, _) => {
            (None, Remote::Static(SocketAddr::new(*address, *port)))
        }
        (model::Remote::Named { port, .. }, Some(address)) => (
            interface.local_for(address),
            Remote::Static(SocketAddr::new(address, *port)),
        ),
        (model::Remote::Named { .. }, None) | (model::Remote::Dynamic, _) => (None, Remote::Dynamic),
    };
    let local = interface.local_of(link).or(local).map(SocketId);
    LinkConfig {
        shutdown: link.shutdown,
        ..with_settings(local, remote, &link.settings)
    }
}

fn with_settings(local: Option<SocketId>, remote: Remote, settings: &LinkSettings) -> LinkConfig {
    let (interval, timeout) = settings.timers_ms();
    LinkConfig {
        priority: settings.priority(),
        weight: match settings.weight() {
            model::Weight::Fixed(weight) => Some(weight),
            model::Weight::Auto => None,
        },
        cost: settings.cost(),
        timers: LinkTimers {
            interval: Span::from_millis(u64::from(interval)),
            timeout: Span::from_millis(u64::from(timeout)),
        },
        pong_count: settings.pong_count(),
        limits: QualityLimits {
            loss_ppm: settings.limit_loss.map(|percent| u32::from(percent) * 10_000),
            rtt: settings.limit_rtt.map(|ms| Span::from_millis(u64::from(ms))),
        },
        ..LinkConfig::new(local, remote)
    }
}
