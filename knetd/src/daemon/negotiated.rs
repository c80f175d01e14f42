//! Addresses that hubs give our TAPs over their sessions (`ip address negotiated`): which of them are taken.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use libknet::{
    api::{
        model::{Config, InterfaceConfig, Mtu, Negotiated},
        value::IpPrefix,
    },
    io::netlink::Netlink,
    proto::{
        config::{AddressList, Remote},
        ids::{LinkId, PeerId},
    },
};

use super::Daemon;
use crate::{
    config::{
        pool::{network, own_prefixes},
        setup::Setup,
    },
    events::Loudness,
};

/// The addresses of a TAP change at most so often because of what peers say.
const APART: Duration = Duration::from_secs(1);
/// Most addresses of peers that a TAP takes.
pub(crate) const MAX_TAKEN: usize = 64;

/// What peers give the TAP of an interface.
#[derive(Clone, Debug, Default)]
struct Offers {
    /// Whoever gave some first is first.
    offers: Vec<(String, Vec<IpPrefix>)>,
    /// What was taken of that, and why not.
    judged: Vec<Judged>,
    /// What the kernel has refused, and why.
    failed: BTreeMap<(IpAddr, u8), String>,
    changed: bool,
    not_before: Option<Instant>,
}

/// An address that a peer gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    /// The peer.
    pub(crate) peer: String,
    /// The address.
    pub(crate) prefix: IpPrefix,
    /// Why it is not taken.
    pub(crate) refused: Option<String>,
}

/// All of it, by interface.
#[derive(Clone, Debug, Default)]
pub(crate) struct NegotiatedAddresses(BTreeMap<String, Offers>);

impl NegotiatedAddresses {
    /// What peers give the TAP of an interface.
    pub(crate) fn of(&self, interface: &str) -> &[Judged] {
        self.0.get(interface).map_or(&[], |offers| &offers.judged)
    }

    /// How many of these are taken.
    pub(crate) fn count(&self, interface: &str) -> usize {
        taken(self.of(interface)).len()
    }

    /// What would be taken with this configuration, which follows the one `before`.
    pub(super) fn taken_after(
        &self,
        interface: &str,
        (before, config): (Option<&InterfaceConfig>, &InterfaceConfig),
        setup: Option<&Setup>,
    ) -> Vec<IpPrefix> {
        let Some(offers) = self.0.get(interface) else {
            return Vec::new();
        };
        if offers.holds_after(before, Some(config)) {
            return taken(&offers.judged);
        }
        taken(&judge(interface, config, setup, offers))
    }
}

impl Offers {
    /// Whether a change of the configuration has nothing to do with what was judged. Whoever is hub of thousands, and a client of
    /// another hub, does not look at all of its links for each peer that comes.
    fn holds_after(&self, before: Option<&InterfaceConfig>, after: Option<&InterfaceConfig>) -> bool {
        let (Some(before), Some(after)) = (before, after) else {
            return false;
        };
        let said = |config: &InterfaceConfig| {
            (
                config.ip_addresses.clone(),
                config.ipv6_addresses.clone(),
                config.ip_negotiated.clone(),
                config.ipv6_negotiated.clone(),
                config.mtu,
            )
        };
        let are_there = self.offers.iter().all(|(peer, _)| takes_from(after, peer));
        are_there && said(before) == said(after)
    }
}

/// What is taken of that.
fn taken(judged: &[Judged]) -> Vec<IpPrefix> {
    let taken = judged.iter().filter(|judged| judged.refused.is_none());
    taken.map(|judged| judged.prefix).collect()
}

impl Daemon {
    /// What peers give our TAPs.
    pub(crate) const fn negotiated(&self) -> &NegotiatedAddresses {
        &self.negotiated
    }

    /// A peer gives us these addresses, and no others.
    pub(super) fn offered(&mut self, interface: &str, peer: PeerId, addresses: &AddressList) {
        let Some(name) = self
            .overlays
            .get(interface)
            .and_then(|overlay| overlay.slots.name(peer))
        else {
            return;
        };
        let prefixes: Vec<IpPrefix> = addresses
            .as_slice()
            .iter()
            .map(|prefix| IpPrefix {
                address: prefix.address,
                length: prefix.length,
            })
            .collect();
        let offers = self.negotiated.0.entry(interface.to_owned()).or_default();
        let known = offers.offers.iter().position(|(of, _)| of == name);
        match known {
            Some(at) if offers.offers[at].1 == prefixes => return,
            Some(at) if prefixes.is_empty() => drop(offers.offers.remove(at)),
            Some(at) => offers.offers[at].1 = prefixes,
            None if prefixes.is_empty() => return,
            None => offers.offers.push((name.to_owned(), prefixes)),
        }
        offers.failed.clear();
        offers.changed = true;
    }

    /// Gives our TAPs what is new of what peers have said; not more often than once a second.
    pub(crate) fn take_offers(&mut self) {
        let now = Instant::now();
        let due = |offers: &Offers| offers.changed && offers.not_before.is_none_or(|at| at <= now);
        let all = self.negotiated.0.iter().filter(|(_, offers)| due(offers));
        let names: Vec<String> = all.map(|(name, _)| name.clone()).collect();
        for name in names {
            if let Some(offers) = self.negotiated.0.get_mut(&name) {
                (offers.changed, offers.not_before) = (false, Some(now + APART));
            }
            self.take_offers_of(&name);
        }
    }

    fn take_offers_of(&mut self, name: &str) {
        let in_force = Arc::clone(&self.in_force);
        let Some(config) = in_force.interfaces.get(name) else {
            return;
        };
        let with = |setup: &Setup, taken: &[IpPrefix]| {
            let mut setup = setup.clone();
            setup.negotiated = taken
                .iter()
                .map(|prefix| (prefix.address, prefix.length))
                .collect();
            setup
        };
        if let Some(overlay) = self.overlays.get_mut(name) {
            let taken = self
                .negotiated
                .taken_after(name, (None, config), Some(&overlay.setup));
            let setup = with(&overlay.setup, &taken);
            if setup.negotiated != overlay.setup.negotiated && overlay.change(&Rc::new(setup)).is_err() {
                // What the kernel refuses is found out one by one, and what was there before stays.
                let before = overlay.setup.negotiated.clone();
                let is_new = |prefix: &IpPrefix| !before.contains(&(prefix.address, prefix.length));
                let (new, mut kept): (Vec<IpPrefix>, Vec<IpPrefix>) = taken.iter().partition(|p| is_new(p));
                let _ = overlay.change(&Rc::new(with(&overlay.setup, &kept)));
                for prefix in new {
                    kept.push(prefix);
                    if let Err(error) = overlay.change(&Rc::new(with(&overlay.setup, &kept)))
                        && let Some(offers) = self.negotiated.0.get_mut(name)
                    {
                        kept.pop();
                        offers.failed.insert((prefix.address, prefix.length), error);
                    }
                }
            }
        } else if let Some(failure) = self.failures.get_mut(name) {
            let taken = self
                .negotiated
                .taken_after(name, (None, config), Some(&failure.setup));
            failure.setup = Rc::new(with(&failure.setup, &taken));
        }
        self.tell_offers(name);
    }

    /// Another configuration is in force: who is gone gives nothing any more.
    pub(super) fn follow_offers(&mut self, before: &Config) {
        let in_force = Arc::clone(&self.in_force);
        let names: Vec<String> = self.negotiated.0.keys().cloned().collect();
        for name in &names {
            let config = in_force.interfaces.get(name);
            let offers = self.negotiated.0.get(name);
            if offers.is_some_and(|offers| offers.holds_after(before.interfaces.get(name), config)) {
                continue;
            }
            if let Some(offers) = self.negotiated.0.get_mut(name) {
                let takes = |peer: &str| config.is_some_and(|config| takes_from(config, peer));
                offers.offers.retain(|(peer, _)| takes(peer));
                offers.failed.clear();
            }
            self.take_offers_of(name);
            if config.is_none() {
                self.tell_offers(name);
            }
        }
        self.negotiated.0.retain(|_, offers| !offers.offers.is_empty());
    }

    /// Tells which addresses have come and gone, and which are not taken.
    fn tell_offers(&mut self, name: &str) {
        let in_force = Arc::clone(&self.in_force);
        let overlay = self.overlays.get(name).map(|overlay| Rc::clone(&overlay.setup));
        let Some(offers) = self.negotiated.0.get_mut(name) else {
            return;
        };
        let config = in_force.interfaces.get(name);
        let judged = config
            .map(|config| judge(name, config, overlay.as_deref(), offers))
            .unwrap_or_default();
        let before = std::mem::replace(&mut offers.judged, judged.clone());
        let mut told = Vec::new();
        for old in before.iter().filter(|old| old.refused.is_none()) {
            let stays = |new: &&Judged| new.prefix == old.prefix && new.refused.is_none();
            if judged.iter().find(stays).is_none() {
                told.push((
                    format!("address {} from {} is gone", old.prefix, old.peer),
                    Loudness::Info,
                ));
            }
        }
        for new in judged.iter().filter(|new| !before.contains(new)) {
            told.push(match &new.refused {
                None => (
                    format!("address {} from {}", new.prefix, new.peer),
                    Loudness::Info,
                ),
                Some(why) => (
                    format!("address {} from {} is not taken: {why}", new.prefix, new.peer),
                    Loudness::Warn,
                ),
            });
        }
        for (text, loudness) in told {
            self.tell_certificate(
                &format!("negotiated {name}"),
                &format!("{name}: {text}"),
                loudness,
            );
        }
    }
}

/// Whether any address of a peer is taken.
fn takes_from(config: &InterfaceConfig, peer: &str) -> bool {
    let lines = config.ip_negotiated.iter().chain(&config.ipv6_negotiated);
    config.peers.contains_key(peer) && lines.into_iter().any(|negotiated| negotiated.is_of(peer))
}

/// What is taken of all that is given.
fn judge(interface: &str, config: &InterfaceConfig, setup: Option<&Setup>, offers: &Offers) -> Vec<Judged> {
    let wanted = |peer: &str, prefix: &IpPrefix| {
        let line = if prefix.address.is_ipv4() {
            &config.ip_negotiated
        } else {
            &config.ipv6_negotiated
        };
        config.peers.contains_key(peer) && line.as_ref().is_some_and(|line: &Negotiated| line.is_of(peer))
    };
    let all = offers.offers.iter();
    let all = all.flat_map(|(peer, prefixes)| prefixes.iter().map(move |prefix| (peer, *prefix)));
    let all: Vec<(&String, IpPrefix)> = all.filter(|(peer, prefix)| wanted(peer, prefix)).collect();
    if all.is_empty() {
        return Vec::new();
    }
    let around = Surroundings::of(interface, config, setup);
    let mut judged: Vec<Judged> = Vec::new();
    for (peer, prefix) in all {
        let taken = judged.iter().filter(|other| other.refused.is_none());
        let is_full = taken.clone().count() >= MAX_TAKEN;
        let mut clashing = taken.filter(|other| overlap(&other.prefix, &prefix));
        let refused = unfit(prefix.address, prefix.length)
            .map(str::to_owned)
            .or_else(|| is_full.then(|| format!("there are {MAX_TAKEN} already")))
            .or_else(|| around.objection(&prefix))
            .or_else(|| {
                let other = clashing.find(|other| other.peer != *peer)?;
                Some(format!(
                    "{} has given {} of the same network",
                    other.peer, other.prefix
                ))
            })
            .or_else(|| offers.failed.get(&(prefix.address, prefix.length)).cloned());
        judged.push(Judged {
            peer: peer.clone(),
            prefix,
            refused,
        });
    }
    judged
}

/// Why no host can have such an address.
fn unfit(address: IpAddr, length: u8) -> Option<&'static str> {
    if length == 0 {
        return Some("its network is everything");
    }
    match address {
        IpAddr::V4(address) => {
            let bits = address.to_bits();
            let hosts = u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
            match address.octets()[0] {
                0 => Some("it is of this network (0.0.0.0/8)"),
                127 => Some("it is a loopback address"),
                224..=239 => Some("it is a multicast address"),
                240.. => Some("it is reserved"),
                _ if address.is_link_local() => Some("it is a link-local address"),
                _ if length < 31 && bits & hosts == 0 => Some("it is that of its network"),
                _ if length < 31 && bits & hosts == hosts => {
                    Some("it is the broadcast address of its network")
                }
                _ => None,
            }
        }
        IpAddr::V6(address) => match address {
            Ipv6Addr::UNSPECIFIED => Some("it is the unspecified address"),
            Ipv6Addr::LOCALHOST => Some("it is the loopback address"),
            _ if address.is_multicast() => Some("it is a multicast address"),
            _ if address.to_ipv4_mapped().is_some() => Some("it is an IPv4-mapped address"),
            _ if address.is_unicast_link_local() => Some("it is a link-local address"),
            _ => None,
        },
    }
}

/// Whether two networks have addresses in common.
fn overlap(a: &IpPrefix, b: &IpPrefix) -> bool {
    let length = a.length.min(b.length);
    let of = |prefix: &IpPrefix| network(&IpPrefix { length, ..*prefix });
    a.address.is_ipv4() == b.address.is_ipv4() && of(a) == of(b)
}

/// What an address must not clash with.
struct Surroundings {
    /// Addresses of other interfaces of the host, with their names' numbers.
    host: Vec<IpPrefix>,
    /// Ours, as far as they do not come from peers.
    own: Vec<IpAddr>,
    /// Where links lead.
    remotes: Vec<IpAddr>,
    narrow: bool,
}

impl Surroundings {
    fn of(interface: &str, config: &InterfaceConfig, setup: Option<&Setup>) -> Self {
        let configured = own_prefixes(config).map(|prefix| prefix.address);
        let certified = setup.into_iter().flat_map(|setup| &setup.addresses);
        let certified = certified.map(|(address, _)| *address);
        Self {
            host: addresses_besides(interface),
            own: configured.chain(certified).collect(),
            remotes: setup.map(remotes_of).unwrap_or_default(),
            narrow: matches!(config.mtu, Mtu::Fixed(..1280)),
        }
    }

    /// Why an address cannot be taken here.
    fn objection(&self, prefix: &IpPrefix) -> Option<String> {
        if self.narrow && prefix.address.is_ipv6() {
            return Some("IPv6 needs an MTU of 1280".to_owned());
        }
        if self.own.contains(&prefix.address) {
            return Some("this interface has it anyway".to_owned());
        }
        if let Some(other) = self.host.iter().find(|other| overlap(other, prefix)) {
            return Some(format!(
                "this host has {other} of the same network on another interface"
            ));
        }
        let network = IpPrefix {
            address: prefix.address,
            length: prefix.length,
        };
        let is_in = |remote: &&IpAddr| overlap(&IpPrefix::host(**remote), &network);
        let remote = self.remotes.iter().find(is_in)?;
        Some(format!("a link leads to {remote}, which would be behind it"))
    }
}

fn remotes_of(setup: &Setup) -> Vec<IpAddr> {
    let peers = setup.peers.values();
    let links = peers.flat_map(|peer| LinkId::all().filter_map(|link| peer.link(link)));
    let remotes = links.filter_map(|link| match link.remote {
        Remote::Static(remote) => Some(remote.ip()),
        Remote::Dynamic => None,
    });
    remotes.collect()
}

/// The addresses of the host, but for those of one interface, of loopback and of single links. None where the kernel does not
/// tell.
fn addresses_besides(interface: &str) -> Vec<IpPrefix> {
    let look = || -> Option<Vec<IpPrefix>> {
        let mut netlink = Netlink::open().ok()?;
        let ours = netlink.link_by_name(interface).ok().map(|link| link.ifindex);
        let all = netlink.addresses().ok()?.into_iter();
        let all = all.filter(|address| Some(address.ifindex) != ours);
        let counts = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
            IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
        };
        let all = all.filter(|address| counts(&address.ip));
        Some(
            all.map(|address| IpPrefix {
                address: address.ip,
                length: address.prefix,
            })
            .collect(),
        )
    };
    look().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use libknet::api::model::PeerConfig;

    use super::*;

    fn prefix(text: &str) -> IpPrefix {
        text.parse().unwrap()
    }

    fn config(peers: &[&str]) -> InterfaceConfig {
        let mut config = InterfaceConfig {
            ip_addresses: vec![prefix("172.31.9.1/24")],
            ip_negotiated: Some(Negotiated::default()),
            ipv6_negotiated: Some(Negotiated {
                peer: Some("fra1".to_owned()),
            }),
            ..InterfaceConfig::default()
        };
        for peer in peers {
            config.peers.insert((*peer).to_owned(), PeerConfig::default());
        }
        config
    }

    fn offers(all: &[(&str, &[&str])]) -> Offers {
        let offer = |(peer, prefixes): &(&str, &[&str])| {
            let prefixes = prefixes.iter().map(|text| prefix(text)).collect();
            ((*peer).to_owned(), prefixes)
        };
        Offers {
            offers: all.iter().map(offer).collect(),
            ..Offers::default()
        }
    }

    fn told(config: &InterfaceConfig, offers: &Offers) -> Vec<String> {
        let line = |judged: Judged| match judged.refused {
            None => format!("{} {}", judged.peer, judged.prefix),
            Some(why) => format!("{} {}: {why}", judged.peer, judged.prefix),
        };
        judge("no-such-device", config, None, offers)
            .into_iter()
            .map(line)
            .collect()
    }

    #[test]
    fn only_what_lines_name_is_taken_and_of_one_network_the_first() {
        let all = offers(&[
            ("fra1", &["172.31.7.5/24", "fd12:5::5/64"]),
            ("ams1", &["172.31.7.6/24", "172.31.8.6/24", "fd12:6::5/64"]),
            ("gone", &["172.31.10.1/24"]),
        ]);
        let mut config = config(&["fra1", "ams1"]);
        assert_eq!(
            told(&config, &all),
            [
                "fra1 172.31.7.5/24",
                "fra1 fd12:5::5/64",
                "ams1 172.31.7.6/24: fra1 has given 172.31.7.5/24 of the same network",
                "ams1 172.31.8.6/24",
            ]
        );
        config.mtu = Mtu::Fixed(1000);
        config.ip_negotiated = None;
        assert_eq!(
            told(&config, &all),
            ["fra1 fd12:5::5/64: IPv6 needs an MTU of 1280"]
        );
        config.ipv6_negotiated = None;
        assert_eq!(told(&config, &all), [""; 0]);
    }

    #[test]
    fn what_no_host_can_have_is_refused() {
        for wrong in [
            "0.1.2.3/8",
            "127.0.0.1/8",
            "224.0.0.5/24",
            "255.255.255.255/32",
            "240.0.0.1/24",
            "169.254.1.1/16",
            "10.1.2.0/24",
            "10.1.2.255/24",
            "10.1.2.3/0",
            "::/64",
            "::1/128",
            "ff02::1/64",
            "fe80::1/64",
            "::ffff:10.0.0.1/96",
        ] {
            let prefix = prefix(wrong);
            assert!(unfit(prefix.address, prefix.length).is_some(), "{wrong}");
        }
        for right in [
            "10.1.2.3/24",
            "10.1.2.0/31",
            "10.1.2.0/32",
            "100.64.0.1/10",
            "fd00::/64",
            "2001:db8::1/128",
        ] {
            let prefix = prefix(right);
            assert_eq!(unfit(prefix.address, prefix.length), None, "{right}");
        }
    }

    #[test]
    fn what_clashes_with_the_host_or_cuts_a_link_is_refused() {
        let around = Surroundings {
            host: vec![prefix("192.168.1.5/24")],
            own: vec!["10.200.0.9".parse().unwrap()],
            remotes: vec!["198.51.100.7".parse().unwrap()],
            narrow: false,
        };
        for (given, objection) in [
            (
                "192.168.1.9/24",
                "this host has 192.168.1.5/24 of the same network on another interface",
            ),
            (
                "192.168.1.1/32",
                "this host has 192.168.1.5/24 of the same network on another interface",
            ),
            (
                "192.168.9.1/16",
                "this host has 192.168.1.5/24 of the same network on another interface",
            ),
            ("10.200.0.9/16", "this interface has it anyway"),
            (
                "198.51.0.1/16",
                "a link leads to 198.51.100.7, which would be behind it",
            ),
        ] {
            assert_eq!(
                around.objection(&prefix(given)).as_deref(),
                Some(objection),
                "{given}"
            );
        }
        assert_eq!(around.objection(&prefix("10.200.4.1/16")), None);
        assert_eq!(around.objection(&prefix("fd00::1/64")), None);
    }
}
