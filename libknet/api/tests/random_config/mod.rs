//! Configurations at random: everything that can be configured, and that is accepted whole.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU8,
    sync::Arc,
};

use knet_api::{
    diff::diff,
    edit::{Context, Op},
    metrics::MetricsListener,
    model::{
        Cipher, Config, GroupConfig, Guard, HubMember, InterfaceConfig, IpPrefix, LinkConfig, LinkSettings,
        Local, MacAddr, MemberConfig, MemberLink, MeshConfig, Mtu, MtuPolicy, Negotiated, PeerConfig, Policy,
        Pools, PublicKey, Querier, Remote, SourceGuard, Switchport, Weight,
    },
};
use proptest::{collection, option, prelude::*, sample};

fn text() -> impl Strategy<Value = String> {
    // Anything printable, also what means something elsewhere in a line.
    "[!-~äß€\"'|?#!]([ -~äß€\"]{0,20}[!-~äß€\"])?"
}

/// A host that may have lines of its own and be a member of a mesh.
pub(crate) const HOST: &str = "fra1";

fn host() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z][a-z0-9.-]{0,20}[a-z0-9]", 1 => Just(HOST.to_owned())]
}

fn address(v4: bool) -> BoxedStrategy<IpAddr> {
    if v4 {
        (1..=223_u8, any::<[u8; 3]>())
            .prop_map(|(a, [b, c, d])| Ipv4Addr::new(a, b, c, d).into())
            .boxed()
    } else {
        any::<[u8; 15]>()
            .prop_map(|rest| {
                let mut bytes = [0x20; 16];
                bytes[1..].copy_from_slice(&rest);
                Ipv6Addr::from(bytes).into()
            })
            .boxed()
    }
}

fn prefixes(v4: bool) -> impl Strategy<Value = Vec<IpPrefix>> {
    let longest: u8 = if v4 { 32 } else { 128 };
    let prefix = (address(v4), 0..=longest).prop_map(|(address, length)| IpPrefix { address, length });
    collection::vec(prefix, 0..4).prop_map(|mut list| {
        let mut seen = Vec::new();
        list.retain(|p| {
            !seen.contains(p) && {
                seen.push(*p);
                true
            }
        });
        list
    })
}

fn metrics_listener() -> impl Strategy<Value = MetricsListener> {
    let inside = prop_oneof![Just(Ipv4Addr::LOCALHOST.into()), Just(Ipv6Addr::LOCALHOST.into())];
    let anywhere = prop_oneof![
        address(true),
        address(false),
        Just(Ipv4Addr::UNSPECIFIED.into()),
        Just(Ipv6Addr::UNSPECIFIED.into())
    ];
    let address = prop_oneof![
        (inside, any::<bool>()),
        anywhere.prop_map(|address| (address, true))
    ];
    (address, 1..=u16::MAX).prop_map(|((address, exposed), port)| MetricsListener {
        address,
        port,
        exposed,
    })
}

fn local(number: u8) -> impl Strategy<Value = Local> {
    let address = prop_oneof![
        address(true),
        address(false),
        Just(Ipv4Addr::UNSPECIFIED.into()),
        Just(Ipv6Addr::UNSPECIFIED.into())
    ];
    // A port of its own for each number and interface: overlaps are another test's matter.
    (address, 1..=1000_u16, option::of("[a-z][a-z0-9.@-]{0,14}")).prop_map(move |(address, port, device)| {
        Local {
            address,
            port: port * 16 + u16::from(number),
            device,
        }
    })
}

fn link(locals: Vec<(u8, bool)>) -> impl Strategy<Value = LinkConfig> {
    let endpoint = if locals.is_empty() {
        Just((None, Remote::Dynamic)).boxed()
    } else {
        sample::select(locals)
            .prop_flat_map(|(number, v4)| {
                let remote = prop_oneof![
                    Just(Remote::Dynamic),
                    (address(v4), 1..=u16::MAX).prop_map(|(address, port)| Remote::Static { address, port }),
                    (
                        "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?\\.[A-Za-z]{2,9}\\.?",
                        1..=u16::MAX
                    )
                        .prop_map(|(name, port)| Remote::Named { name, port }),
                ];
                (option::of(Just(number)), remote)
            })
            .boxed()
    };
    (option::of(text()), endpoint, settings(), any::<bool>()).prop_map(
        |(description, (local, remote), settings, shutdown)| LinkConfig {
            description,
            local,
            remote,
            settings,
            shutdown,
        },
    )
}

fn settings() -> impl Strategy<Value = LinkSettings> {
    let weight = prop_oneof![Just(Weight::Auto), any::<NonZeroU8>().prop_map(Weight::Fixed)];
    let timers = (100..=60_000_u32, 0..1000_u32);
    (
        option::of(any::<u8>()),
        option::of(weight),
        option::of(any::<u8>()),
        option::of(timers),
        option::of(1..=100_u8),
        option::of(1..=99_u8),
        option::of(1..=10_000_u16),
    )
        .prop_map(
            |(priority, weight, cost, timers, pong_count, limit_loss, limit_rtt)| LinkSettings {
                priority,
                weight,
                cost,
                timers_ms: timers.map(|(interval, more)| (interval, interval * 3 + more)),
                pong_count,
                limit_loss,
                limit_rtt,
            },
        )
}

fn peer(
    index: u8,
    locals: Vec<(u8, bool)>,
    path: BoxedStrategy<String>,
) -> impl Strategy<Value = PeerConfig> {
    (
        (
            option::of(text()),
            any::<[u8; 30]>(),
            option::of(path),
            option::of(sample::select(Policy::ALL.to_vec())),
        ),
        (any::<[bool; 4]>(), any::<[u8; 4]>(), 0..3_u8),
        collection::btree_map(0..8_u8, link(locals), 0..4),
    )
        .prop_map(
            move |(
                (description, key, preshared_key_file, policy),
                ([isolate, spoke, lossy, shutdown], mac, macs),
                links,
            )| {
                let mut public_key = [0x11; 32];
                public_key[1..31].copy_from_slice(&key);
                public_key[0] = index;
                let [a, b, c, d] = mac;
                PeerConfig {
                    description,
                    public_key: (key[0] & 7 != 0).then_some(PublicKey(public_key)),
                    preshared_key_file,
                    invitation_file: None,
                    group: None,
                    policy,
                    isolate,
                    spoke,
                    lossy,
                    dhcp_trust: mac[0] & 1 == 1,
                    ra_trust: mac[0] & 2 == 2,
                    switchport: switchport(mac),
                    igmp_router: mac[1] & 1 == 1,
                    mld_router: mac[1] & 2 == 2,
                    mac_limit: (mac[0] & 4 == 4).then_some(u16::from(mac[1]) + 1),
                    storm_frames: (mac[0] & 8 == 8).then_some(u32::from(mac[2]) + 1),
                    storm_copies: (mac[0] & 16 == 16).then_some(u32::from(mac[3]) + 1),
                    guard: guard(mac, Some(index)),
                    static_macs: (0..macs)
                        .map(|n| MacAddr([2 + index * 4, a, b, c, d, n]))
                        .collect(),
                    // A group of its own: what hubs of one say has to be the same.
                    hub: (!spoke && mac[1] % 3 == 0).then(|| HubMember {
                        group: format!("hubs{index}"),
                        preference: mac[2],
                    }),
                    shutdown,
                    links,
                    opened: None,
                    pools: None,
                }
            },
        )
}

/// Some lines about addresses, or none. An address that is given to this peer, `own`, is nobody else's.
fn guard([kind, a, b, c]: [u8; 4], own: Option<u8>) -> Guard {
    let network = |address: [u8; 4], length| IpPrefix {
        address: address.into(),
        length,
    };
    let host = own.map(|index| network([100, index, a, b | 1], 32));
    let networks = [
        host,
        Some(network([100, 64, c, 0], 24)),
        Some(network([0, 0, 0, 0], 0)),
    ];
    let six = [
        own.map_or([0, 0], |index| [u16::from(index) + 1, 1]),
        [0x100 + u16::from(a), 0],
    ];
    let six = six.map(|[net, last]| IpPrefix {
        address: Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, last).into(),
        length: if last == 0 { 64 } else { 128 },
    });
    let macs = (0..kind % 4).map(|n| MacAddr([2, n, a, b, c, 7]));
    Guard::from(SourceGuard {
        allowed_macs: macs.collect(),
        sticky: (a % 3 == 0).then_some(u16::from(b) + 1),
        bindings: (networks.into_iter().flatten().take(usize::from(b % 4)))
            .chain(six.into_iter().take(usize::from(c % 3)))
            .collect(),
        verify_source: b % 5 == 0,
        arp_inspection: c % 5 == 0,
        validate_source_mac: a % 5 == 0,
        router_guard: b % 3 == 0,
    })
}

/// One of all forms, or none.
fn switchport([kind, a, b, c]: [u8; 4]) -> Option<Switchport> {
    let [a, b, c] = [a, b, c].map(|n| u16::from(n) + 1);
    match kind % 5 {
        0 => None,
        1 => Some(Switchport::Access(16 * a - 15)),
        2 => Some(Switchport::Trunk {
            allowed: "all".parse().expect("a list"),
            native: Some(a),
        }),
        kind => Some(Switchport::Trunk {
            allowed: format!("{a},{}-{}", 300 + b, 600 + c).parse().expect("a list"),
            native: (kind == 4).then_some(a),
        }),
    }
}

fn interface(path: &BoxedStrategy<String>) -> impl Strategy<Value = InterfaceConfig> + use<> {
    let path = path.clone();
    collection::btree_set(0..16_u8, 0..4)
        .prop_flat_map(|numbers| {
            numbers
                .into_iter()
                .map(|n| (Just(n), local(n)))
                .collect::<Vec<_>>()
                .prop_map(|locals| locals.into_iter().collect::<BTreeMap<u8, Local>>())
        })
        .prop_flat_map(move |locals| {
            let families: Vec<(u8, bool)> = locals.iter().map(|(n, l)| (*n, l.address.is_ipv4())).collect();
            (
                (
                    option::of(text()),
                    option::of(path.clone()),
                    any::<bool>(),
                    1280..=9216_u16,
                ),
                (prefixes(true), prefixes(false), 10..=3600_u32),
                Just(locals),
                option::of(("[A-Za-z0-9._-]{1,20}", peer(0, families.clone(), path.clone()))),
                option::of(("[A-Za-z0-9._-]{21,64}", peer(1, families, path.clone()))),
                option::of(("[A-Za-z0-9._-]{1,64}", group(path.clone()))),
            )
        })
        .prop_map(
            |(
                (description, private_key_file, shutdown, mtu),
                (v4, v6, mac_ageing),
                locals,
                mut one,
                two,
                group,
            )| {
                if let (Some((_, peer)), Some((group, config))) = (&mut one, &group) {
                    peer.group = Some(group.clone());
                    peer.hub = peer.hub.take().filter(|_| !config.spoke);
                }
                InterfaceConfig {
                    description,
                    private_key_file,
                    certificate_file: None,
                    mac_address: shutdown
                        .then_some(MacAddr([2, 0, 0, 0, 0, 9]))
                        .filter(|_| mtu % 2 == 0),
                    mtu: if mtu % 5 == 0 { Mtu::Auto } else { Mtu::Fixed(mtu) },
                    ip_addresses: v4,
                    ipv6_addresses: v6,
                    ip_negotiated: (mtu % 29 < 9).then(Negotiated::default),
                    ipv6_negotiated: (mtu % 31 < 9).then(|| Negotiated {
                        peer: (mtu % 2 == 0).then(|| "fra1".to_owned()),
                    }),
                    locals,
                    mac_ageing,
                    arp_suppression: mtu % 7 == 0,
                    dhcp_snooping: mtu % 11 < 5,
                    ra_guard: mtu % 13 < 5,
                    igmp_snooping: mtu % 19 < 9,
                    mld_snooping: mtu % 23 < 9,
                    igmp_querier: (mtu % 19 < 5).then(|| Querier {
                        address: (mtu % 2 == 0).then_some([10, 9, 8, 7].into()),
                        interval: (mtu % 3 == 0).then_some(mtu % 3_600 + 1),
                    }),
                    mld_querier: (mtu % 23 < 5).then(|| Querier {
                        address: None,
                        interval: (mtu % 5 == 0).then_some(mtu % 3_600 + 1),
                    }),
                    loop_guard_off: mtu % 37 < 9,
                    vlan_filtering: mtu % 17 < 9,
                    switchport: switchport(
                        (mtu % 251).to_be_bytes().repeat(2).try_into().unwrap_or_default(),
                    ),
                    mtu_policy: MtuPolicy::ALL[usize::from(mtu % 3 == 0)],
                    dscp: (mtu % 64) as u8,
                    cipher: Cipher::ALL[usize::from(mtu % 3)],
                    workers: (mtu % 4 == 0).then_some((mtu % 16) as u8 + 1),
                    shutdown,
                    peers: one.into_iter().chain(two).collect(),
                    meshes: BTreeMap::new(),
                    groups: group.into_iter().collect(),
                }
            },
        )
}

/// Of all links of an id. One is said at least: a link of which nothing is said is not kept.
fn of_links() -> impl Strategy<Value = BTreeMap<u8, LinkSettings>> {
    let some = (settings(), any::<u8>()).prop_map(|(settings, priority)| LinkSettings {
        priority: Some(priority),
        ..settings
    });
    collection::btree_map(0..8_u8, some, 0..3)
}

fn group(path: BoxedStrategy<String>) -> impl Strategy<Value = GroupConfig> {
    let policy = sample::select(Policy::ALL.to_vec());
    (
        option::of(text()),
        option::of(path),
        policy,
        any::<[bool; 6]>(),
        of_links(),
        option::of(1..200_u32),
    )
        .prop_map(|(description, preshared_key_file, policy, flags, links, limit)| {
            let [isolate, spoke, lossy, shutdown, dhcp_trust, ra_trust] = flags;
            GroupConfig {
                description,
                // A daemon would read it.
                authorized_keys_file: None,
                certificate_authority_file: None,
                revocation_list_file: None,
                invitations_file: None,
                pools: Arc::new(Pools {
                    ipv4: limit.filter(|n| n % 2 == 1).map(|n| IpPrefix {
                        address: [10, n as u8, 0, 0].into(),
                        length: 16,
                    }),
                    ipv6: limit.filter(|n| n % 3 == 1).map(|n| IpPrefix {
                        address: Ipv6Addr::new(0xfd00, n as u16, 0, 0, 0, 0, 0, 0).into(),
                        length: 64,
                    }),
                }),
                preshared_key_file,
                policy,
                isolate,
                spoke,
                lossy,
                dhcp_trust,
                ra_trust,
                igmp_router: limit.is_some_and(|n| n % 7 == 0),
                mld_router: limit.is_some_and(|n| n % 11 == 0),
                storm_frames: limit.filter(|n| n % 2 == 0),
                storm_copies: limit.filter(|n| n % 3 == 0),
                mac_limit: limit.filter(|n| n % 5 == 0).map(|n| n as u16),
                switchport: limit.and_then(|n| switchport([n as u8; 4])),
                guard: guard([limit.unwrap_or_default() as u8; 4], None),
                hub: None,
                shutdown,
                links: links.into(),
            }
        })
}

fn member_link(v4: bool) -> impl Strategy<Value = MemberLink> {
    let any_address = if v4 {
        IpAddr::from(Ipv4Addr::UNSPECIFIED)
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let bind = prop_oneof![address(v4), Just(any_address)];
    (address(v4), 0..9_u16, option::of(bind)).prop_map(|(address, port, bind)| MemberLink {
        address,
        port,
        bind,
    })
}

fn member() -> impl Strategy<Value = MemberConfig> {
    let links = collection::btree_map(0..8_u8, (member_link(true), member_link(false)), 0..4);
    (any::<[u8; 29]>(), prefixes(true), prefixes(false), links).prop_map(|(key, v4, v6, links)| {
        let mut public_key = [0x11; 32];
        public_key[2..31].copy_from_slice(&key);
        // Addresses of a link are of one family in all members, and no port is taken twice.
        let of_family = |(id, (v4, v6)): (u8, (MemberLink, MemberLink))| {
            let link = if id % 2 == 0 { v4 } else { v6 };
            let port = 40_000 + u16::from(id) * 10 + link.port;
            (id, MemberLink { port, ..link })
        };
        MemberConfig {
            public_key: Some(PublicKey(public_key)),
            ip_addresses: v4,
            ipv6_addresses: v6,
            links: links.into_iter().map(of_family).collect(),
        }
    })
}

fn mesh(path: &BoxedStrategy<String>) -> impl Strategy<Value = MeshConfig> + use<> {
    (
        (option::of(text()), option::of(path.clone()), any::<bool>()),
        sample::select(Policy::ALL.to_vec()),
        of_links(),
        collection::btree_map(host(), member(), 0..4),
    )
        .prop_map(
            |((description, preshared_key_file, lossy), policy, links, mut members)| {
                for (index, member) in members.values_mut().enumerate() {
                    if let Some(key) = &mut member.public_key {
                        key.0[0] = index as u8;
                    }
                }
                MeshConfig {
                    description,
                    policy,
                    preshared_key_file,
                    lossy,
                    links,
                    members,
                }
            },
        )
}

/// The lines of one host: everything that can be configured on an interface that is there only.
fn on_host(host: &str, mut interface: InterfaceConfig, into: &mut Config) {
    // Of another interface's sockets none may be taken.
    for local in interface.locals.values_mut() {
        local.port |= 1 << 14;
    }
    // Groups do not stand there.
    for group in std::mem::take(&mut interface.groups).into_keys() {
        for name in interface.peers.keys().cloned().collect::<Vec<_>>() {
            let peer = interface.peers.get_mut(&name).expect("it is there");
            peer.group.take_if(|of| *of == group);
        }
    }
    let part = Config {
        hostname: Some("elsewhere".to_owned()),
        interfaces: BTreeMap::from([("knet1".to_owned(), interface)]),
        ..Config::default()
    };
    let at = |context: &Context| Context::on_host(host, context.clone()).expect("no mesh");
    into.apply(&Op::Create(at(&Context::Global))).expect("a host");
    for op in diff(&Config::default(), &part) {
        let op = match op {
            Op::Create(context) => Op::Create(at(&context)),
            Op::Set(context, leaf, values) => Op::Set(at(&context), leaf, values),
            other => panic!("{other:?}"),
        };
        into.apply(&op).expect("a line");
    }
}

/// Any configuration. `path`: names of files with secrets.
pub(crate) fn config(path: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = Config> {
    let path = path.boxed();
    (
        option::of(host()),
        option::of(interface(&path)),
        option::weighted(0.3, mesh(&path)),
        option::weighted(0.3, (host(), interface(&path))),
        option::of(metrics_listener()),
        any::<bool>(),
    )
        .prop_map(
            |(hostname, interface, mesh, host, metrics_listen, metrics_peers)| {
                let mut config = Config {
                    hostname,
                    metrics_listen,
                    metrics_peers,
                    interfaces: interface.map(|i| ("knet0".to_owned(), i)).into_iter().collect(),
                    hosts: BTreeMap::new(),
                };
                if let Some(mesh) = mesh {
                    let holder = InterfaceConfig {
                        meshes: BTreeMap::from([("m".to_owned(), mesh)]),
                        ..InterfaceConfig::default()
                    };
                    config.interfaces.insert("knet2".to_owned(), holder);
                }
                if let Some((host, interface)) = host {
                    on_host(&host, interface, &mut config);
                }
                config
            },
        )
}
