//! Rules between the fields of a configuration. Ranges of single values are the grammar's.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr},
};

use crate::{
    edit::{Context, Leaf, Op, Place},
    group, hub_group,
    metrics::MetricsListener,
    model::{
        Config, InterfaceConfig, LinkConfig, Local, MAX_PEERS, Mtu, PeerConfig, PublicKey, Remote, Switchport,
    },
    problem::{Problem, Severity},
    source_guard::{self, Holders},
    switchport::{self, MAX_TRUNK_LISTS},
    value::{MacAddr, Value},
};

/// Smallest MTU that the kernel gives IPv6 to (RFC 8200, section 5).
const IPV6_MIN_MTU: u16 = 1280;

impl Config {
    /// Everything that is wrong or missing, in the order of the configuration; of one for several hosts what is wrong
    /// on any of them.
    pub fn validate(&self) -> Vec<Problem> {
        if self.is_plain() {
            self.validate_plain()
        } else {
            self.validate_hosts(|_| true)
        }
    }

    /// The same without a look at meshes and hosts.
    pub(crate) fn validate_plain(&self) -> Vec<Problem> {
        self.validate_peers(|_, _| None)
    }

    /// Of the same what `ops` may have to do with, which made this of `before`: all problems of the objects that they
    /// name, and all others that `before` does not have. Costs what was changed, not what is configured. `sound`: `before`
    /// has nothing that is wrong.
    pub(crate) fn validate_change(&self, before: &Self, ops: &[Op], sound: bool) -> Vec<Problem> {
        if !self.is_plain() {
            // The lines of one host change nothing on another.
            let of_host = |op: &Op| op.context().without_host().0.map(str::to_owned);
            let hosts: Option<BTreeSet<String>> = ops.iter().map(of_host).collect();
            return self.validate_hosts(|host| hosts.as_ref().is_none_or(|hosts| hosts.contains(host)));
        }
        if !before.is_plain() {
            return self.validate_plain();
        }
        self.validate_peers(|name, interface| {
            let before = before.interfaces.get(name)?;
            let named = ops.iter().filter_map(|op| match op.context() {
                Context::Peer { interface, peer } | Context::Link { interface, peer, .. } => {
                    (interface == name).then_some(peer.as_str())
                }
                _ => None,
            });
            touched(interface, before, named, sound)
        })
    }

    /// All problems, where `those` says which peers of an interface are to be looked at, or `None` for all of them.
    fn validate_peers<'a>(
        &'a self,
        those: impl Fn(&str, &'a InterfaceConfig) -> Option<BTreeSet<&'a str>>,
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        problems.extend(self.metrics_listen.and_then(MetricsListener::problem));
        let mut sockets = Sockets::default();
        for (name, interface) in &self.interfaces {
            let mut report = Report {
                problems: &mut problems,
                interface: name,
            };
            if !interface.shutdown {
                sockets.check(&mut report, interface);
            }
            check_interface(&mut report, interface);
            let mut changed_hubs = true;
            match those(name, interface) {
                None => check_peers(&mut report, interface, interface.peers.iter()),
                Some(names) => {
                    let peers = names
                        .iter()
                        .filter_map(|name| interface.peers.get_key_value(*name));
                    changed_hubs = peers.clone().any(|(_, peer)| peer.hub_in(interface).is_some());
                    check_peers(&mut report, interface, peers);
                }
            }
            if changed_hubs {
                hub_group::check(name, interface, &mut problems);
            }
        }
        problems
    }

    /// The problems for which the configuration is refused.
    pub fn errors(&self) -> Vec<Problem> {
        self.validate()
            .into_iter()
            .filter(|p| p.severity == Severity::Error)
            .collect()
    }
}

/// The peers about which there may be something to tell: those that are not as in `before`, those that are `named`, and
/// those that have a key or an address of one of them. `None`: all.
fn touched<'a>(
    interface: &'a InterfaceConfig,
    before: &'a InterfaceConfig,
    named: impl Iterator<Item = &'a str>,
    sound: bool,
) -> Option<BTreeSet<&'a str>> {
    let of_all =
        |interface: &'a InterfaceConfig| (&interface.locals, interface.mac_address, interface.vlan_filtering);
    if of_all(interface) != of_all(before) {
        return None;
    }
    let changed = before.peers.differences(&interface.peers).map(|d| d.key.as_str());
    let mut names: BTreeSet<&str> = changed.chain(named).collect();
    let (mut keys, mut macs, mut hosts) = (BTreeSet::new(), BTreeSet::<MacAddr>::new(), BTreeSet::new());
    for name in &names {
        let Some(peer) = interface.peers.get(*name) else {
            continue;
        };
        let known = before.peers.get(*name).filter(|_| sound);
        if known.is_none_or(|old| old.public_key != peer.public_key) {
            keys.extend(peer.public_key);
        }
        if known.is_none_or(|old| old.static_macs != peer.static_macs) {
            macs.extend(&peer.static_macs);
        }
        // It may have come to where another one has them.
        hosts.extend(peer.guard.hosts());
    }
    let gone = |group: &String| before.groups.contains_key(group) && !interface.groups.contains_key(group);
    if before.groups.keys().any(gone) {
        let lost = interface
            .peers
            .iter()
            .filter(|(_, peer)| peer.group.as_ref().is_some_and(gone));
        names.extend(lost.map(|(name, _)| name.as_str()));
    }
    if before.groups != interface.groups {
        let hubs = interface
            .peers
            .iter()
            .filter(|(_, p)| p.hub_in(interface).is_some() || p.guard.hosts().next().is_some());
        names.extend(hubs.map(|(name, _)| name.as_str()));
    }
    // One look at all peers is a millisecond where there are many, and only a new key or address needs it.
    if !keys.is_empty() || !macs.is_empty() || !hosts.is_empty() {
        let rivals = interface.peers.iter().filter(|(_, peer)| {
            peer.public_key.is_some_and(|key| keys.contains(&key))
                || peer.static_macs.iter().any(|mac| macs.contains(mac))
                || peer.guard.hosts().any(|host| hosts.contains(&host))
        });
        names.extend(rivals.map(|(name, _)| name.as_str()));
    }
    Some(names)
}

struct Report<'a> {
    problems: &'a mut Vec<Problem>,
    interface: &'a str,
}

impl Report<'_> {
    fn add(&mut self, severity: Severity, place: Place, text: String, expected: &str) {
        self.problems.push(Problem {
            severity,
            place: Some(place),
            span: None,
            text,
            expected: Some(expected.to_owned()),
        });
    }

    fn context(&self) -> Context {
        Context::Interface {
            interface: self.interface.to_owned(),
        }
    }

    fn peer(&self, peer: &str) -> Context {
        Context::Peer {
            interface: self.interface.to_owned(),
            peer: peer.to_owned(),
        }
    }

    fn link(&self, peer: &str, link: u8) -> Context {
        Context::Link {
            interface: self.interface.to_owned(),
            peer: peer.to_owned(),
            link,
        }
    }
}

/// Sockets seen so far, by port, over all interfaces.
#[derive(Default)]
struct Sockets<'a>(BTreeMap<u16, Vec<(&'a Local, String)>>);

impl<'a> Sockets<'a> {
    fn check(&mut self, report: &mut Report<'_>, interface: &'a InterfaceConfig) {
        for (number, local) in &interface.locals {
            let seen = self.0.entry(local.port).or_default();
            if let Some((_, other)) = seen.iter().find(|(other, _)| overlap(local, other)) {
                let place = Place {
                    key: vec![Value::Number(u32::from(*number))],
                    argument: Some(1),
                    ..Place::leaf(report.context(), Leaf::Local)
                };
                let text = format!("local {number} takes the same address and port as {other}");
                report.add(Severity::Error, place, text, "another address, port or device");
            }
            seen.push((local, format!("local {number} of interface {}", report.interface)));
        }
    }
}

/// Whether the kernel would refuse to bind both.
fn overlap(a: &Local, b: &Local) -> bool {
    let same_address = a.address.is_ipv4() == b.address.is_ipv4()
        && (a.address == b.address || a.address.is_unspecified() || b.address.is_unspecified());
    let same_device = a.device.is_none() || b.device.is_none() || a.device == b.device;
    a.port == b.port && same_address && same_device
}

fn check_interface(report: &mut Report<'_>, interface: &InterfaceConfig) {
    if interface.private_key_file.is_none() {
        let place = Place::leaf(report.context(), Leaf::PrivateKey);
        let text = format!("interface {} has no private key and stays down", report.interface);
        report.add(Severity::Incomplete, place, text, "private-key file PATH");
    }
    if interface.locals.is_empty() && !interface.peers.is_empty() {
        let text = format!(
            "interface {} has no local address to reach its peers from",
            report.interface
        );
        let place = Place::leaf(report.context(), Leaf::Local);
        report.add(Severity::Incomplete, place, text, "local N ADDRESS port PORT");
    }
    check_queriers(report, interface);
    let negotiated = [
        (&interface.ip_negotiated, Leaf::IpNegotiated),
        (&interface.ipv6_negotiated, Leaf::Ipv6Negotiated),
    ];
    for (negotiated, leaf) in negotiated {
        if let Some(peer) = negotiated.as_ref().and_then(|n| n.peer.as_ref())
            && !interface.peers.contains_key(peer)
        {
            let text = format!(
                "interface {} takes the addresses of peer {peer}, which it does not have",
                report.interface
            );
            let place = Place::leaf(report.context(), leaf);
            report.add(
                Severity::Incomplete,
                place,
                text,
                "a peer of this name, or no name",
            );
        }
    }
    if let Some(first) = interface.ipv6_addresses.first()
        && let Mtu::Fixed(mtu) = interface.mtu
        && mtu < IPV6_MIN_MTU
    {
        let place = Place {
            key: vec![Value::Prefix(*first)],
            argument: Some(0),
            ..Place::leaf(report.context(), Leaf::Ipv6Address)
        };
        let text = format!("the kernel has no IPv6 on an MTU of {mtu}");
        report.add(Severity::Error, place, text, "mtu 1280 or more, or mtu auto");
    }
    for (name, config) in &interface.groups {
        group::check(report.interface, name, config, report.problems);
        let context = Context::Group {
            interface: report.interface.to_owned(),
            group: name.clone(),
        };
        let whose = || format!("group {name}");
        let place = switchport::place(context);
        switchport::check(
            interface,
            &place,
            whose,
            config.switchport.as_ref(),
            report.problems,
        );
        source_guard::check(interface, &place.context, whose, &config.guard, report.problems);
    }
    let place = switchport::place(report.context());
    let whose = || "the TAP".to_owned();
    switchport::check(
        interface,
        &place,
        whose,
        interface.switchport.as_ref(),
        report.problems,
    );
    if interface.peers.len() > MAX_PEERS {
        let place = Place::object(report.context());
        let text = format!("{} peers", interface.peers.len());
        report.add(Severity::Error, place, text, "at most 65536 peers");
    }
}

/// Whoever asks who listens has to read the answers, and is somebody.
fn check_queriers(report: &mut Report<'_>, interface: &InterfaceConfig) {
    let queriers = [
        (
            interface.igmp_querier,
            interface.igmp_snooping,
            Leaf::IgmpQuerier,
            "ip igmp snooping",
        ),
        (
            interface.mld_querier,
            interface.mld_snooping,
            Leaf::MldQuerier,
            "ipv6 mld snooping",
        ),
    ];
    for (querier, snoops, leaf, line) in queriers {
        let Some(querier) = querier else { continue };
        if !snoops {
            let text = format!(
                "interface {} is to ask who listens to multicast, and does not read what they answer",
                report.interface
            );
            let place = Place::leaf(report.context(), leaf);
            report.add(Severity::Incomplete, place, text, line);
        }
        let is_host =
            |a: Ipv4Addr| !(a.is_unspecified() || a.is_loopback() || is_multicast_or_broadcast(a.into()));
        if let Some(address) = querier.address.filter(|address| !is_host(*address)) {
            let place = Place {
                argument: Some(0),
                ..Place::leaf(report.context(), leaf)
            };
            let text = format!("{address} is no address of a host");
            report.add(Severity::Error, place, text, "an address of this host");
        }
    }
}

fn check_peers<'a>(
    report: &mut Report<'_>,
    interface: &InterfaceConfig,
    peers: impl Iterator<Item = (&'a String, &'a PeerConfig)>,
) {
    let mut keys: HashMap<PublicKey, &str> = HashMap::new();
    let mut macs: HashMap<MacAddr, &str> = HashMap::new();
    let mut holders = Holders::default();
    let mut trunk = None;
    for (name, peer) in peers {
        check_keys(report, &mut keys, name, peer);
        check_macs(report, &mut macs, name, peer, interface.mac_address);
        group::check_member(report.interface, interface, name, peer, report.problems);
        let place = switchport::place(report.peer(name));
        let whose = || format!("peer {name}");
        switchport::check(
            interface,
            &place,
            whose,
            peer.switchport.as_ref(),
            report.problems,
        );
        source_guard::check(interface, &place.context, whose, &peer.guard, report.problems);
        holders.check(interface, &place.context, name, peer, report.problems);
        if let Some(Switchport::Trunk { .. }) = &peer.switchport {
            trunk = Some(name);
        }
        for (id, link) in &peer.links {
            check_link(report, interface, name, *id, link);
        }
    }
    // Only where one of them has a list of its own: that of a group is one for all of its peers.
    if let Some(name) = trunk
        && let Some(lists) = switchport::too_many_lists(interface)
    {
        let place = switchport::place(report.peer(name));
        let text = format!("trunks with {lists} different lists of VLANs");
        let expected = format!("at most {MAX_TRUNK_LISTS} different ones");
        report.add(Severity::Error, place, text, &expected);
    }
}

fn check_keys<'a>(
    report: &mut Report<'_>,
    keys: &mut HashMap<PublicKey, &'a str>,
    name: &'a str,
    peer: &PeerConfig,
) {
    let place = |report: &Report<'_>| Place {
        argument: Some(0),
        ..Place::leaf(report.peer(name), Leaf::PublicKey)
    };
    let Some(key) = peer.public_key else {
        let text = format!("peer {name} has no public key and stays down");
        report.add(Severity::Incomplete, place(report), text, "public-key KEY");
        return;
    };
    if let Some(other) = keys.insert(key, name) {
        let text = format!("peer {name} has the same public key as peer {other}");
        report.add(
            Severity::Error,
            place(report),
            text,
            "a key of its own for each peer",
        );
    }
}

fn check_macs<'a>(
    report: &mut Report<'_>,
    macs: &mut HashMap<MacAddr, &'a str>,
    name: &'a str,
    peer: &PeerConfig,
    own: Option<MacAddr>,
) {
    for mac in &peer.static_macs {
        let place = Place {
            key: vec![Value::Mac(*mac)],
            argument: Some(0),
            ..Place::leaf(report.peer(name), Leaf::MacStatic)
        };
        if own == Some(*mac) {
            let text = format!("{mac} is this interface's own address");
            report.add(
                Severity::Error,
                place,
                text,
                "the address of a host behind the peer",
            );
        } else if let Some(other) = macs.insert(*mac, name)
            && other != name
        {
            let text = format!("{mac} is behind peer {other} already");
            report.add(Severity::Error, place, text, "one peer for each static address");
        }
    }
}

fn check_link(report: &mut Report<'_>, interface: &InterfaceConfig, peer: &str, id: u8, link: &LinkConfig) {
    // Arguments of the link line: id, local, remote address, port.
    let endpoint = |report: &Report<'_>, argument| Place {
        argument: Some(argument),
        ..Place::leaf(report.link(peer, id), Leaf::Endpoint)
    };
    let local = match link.local {
        None => None,
        Some(number) => {
            let local = interface.locals.get(&number);
            if local.is_none() {
                let text = format!(
                    "link {id} of peer {peer} uses local {number}, which interface {} does not have",
                    report.interface
                );
                report.add(Severity::Error, endpoint(report, 1), text, &numbers_of(interface));
            }
            local.map(|local| (number, local.address))
        }
    };
    if let Remote::Named { name, .. } = &link.remote
        && link.local.is_none()
        && interface.locals.is_empty()
    {
        let text = format!(
            "link {id} of peer {peer} goes to {name}, and interface {} has no local",
            report.interface
        );
        let place = endpoint(report, 2);
        report.add(Severity::Error, place, text, "a local line first");
    }
    if let Remote::Static { address, .. } = link.remote {
        let family = |address: IpAddr| if address.is_ipv4() { "IPv4" } else { "IPv6" };
        if let Some((number, local)) = local
            && local.is_ipv4() != address.is_ipv4()
        {
            let text = format!(
                "link {id} of peer {peer} goes to an {} address, and local {number} is {}",
                family(address),
                family(local)
            );
            let place = endpoint(report, 2);
            report.add(
                Severity::Error,
                place,
                text,
                &format!("an {} address", family(local)),
            );
        }
        if link.local.is_none() && interface.local_of(link).is_none() {
            let text = format!(
                "link {id} of peer {peer} goes to an {} address, and interface {} has no {0} local",
                family(address),
                report.interface
            );
            let place = endpoint(report, 2);
            report.add(
                Severity::Error,
                place,
                text,
                &format!("a local with an {} address", family(address)),
            );
        }
        if address.is_unspecified() || is_multicast_or_broadcast(address) {
            let text = format!("link {id} of peer {peer} goes to {address}, which is no host");
            let place = endpoint(report, 2);
            report.add(Severity::Error, place, text, "a unicast address, or dynamic");
        }
    }
    let (interval, timeout) = link.settings.timers_ms();
    let least = interval.saturating_mul(3);
    if timeout < least {
        let place = Place {
            argument: Some(1),
            ..Place::leaf(report.link(peer, id), Leaf::Timers)
        };
        let text = format!(
            "link {id} of peer {peer} would give up after {timeout} ms with a heartbeat every {interval} ms"
        );
        let expected = format!("a timeout of at least three intervals, {least} ms");
        report.add(Severity::Error, place, text, &expected);
    }
}

fn is_multicast_or_broadcast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    }
}

fn numbers_of(interface: &InterfaceConfig) -> String {
    if interface.locals.is_empty() {
        return "a local line first".to_owned();
    }
    let numbers: Vec<String> = interface.locals.keys().map(u8::to_string).collect();
    format!("one of local {}", numbers.join(", "))
}
