//! Who was given which address out of a pool, on the disk: whoever has one has the same after every restart.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs, io,
    net::IpAddr,
    path::Path,
};

use libknet::api::{
    model::{InterfaceConfig, MAX_PEERS, PeerConfig},
    value::{IpPrefix, PublicKey},
};

use super::{
    history::make_directory,
    pool::Pool,
    store::{self, StoreError},
};

/// Its name in the directory of the revisions.
const FILE: &str = "address-leases";
/// Its first line.
const HEAD: &str =
    "# Who was given which address out of a pool: INTERFACE GROUP PEER KEY SINCE AWAY ADDRESS...\n";
/// Most of them of an interface, those included whose peers are not there any more: twice as many as it can have peers.
pub(crate) const MAX_LEASES: usize = 2 * MAX_PEERS;

/// What a peer was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// The group out of whose pools it is.
    pub(crate) group: String,
    /// The name of the peer, or the one that it had.
    pub(crate) peer: String,
    /// At most one of each version, IPv4 first.
    pub(crate) addresses: Vec<IpAddr>,
    /// Since when, in seconds since 1970.
    pub(crate) since: u64,
    /// Since when it is no peer any more.
    pub(crate) away: Option<u64>,
}

/// The leases of an interface, by the keys of those who have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OfInterface {
    by_key: HashMap<PublicKey, Lease>,
    holders: HashMap<IpAddr, PublicKey>,
    /// Those that are not there, by the group, the longest away first.
    away: BTreeMap<String, BTreeSet<(u64, PublicKey)>>,
}

/// All leases, by interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leases(BTreeMap<String, OfInterface>);

impl OfInterface {
    /// What the peer with this key was given.
    pub(crate) fn get(&self, key: &PublicKey) -> Option<&Lease> {
        self.by_key.get(key)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PublicKey, &Lease)> {
        self.by_key.iter()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Who was given this address.
    pub(crate) fn holder(&self, address: IpAddr) -> Option<PublicKey> {
        self.holders.get(&address).copied()
    }

    /// The peer `peer` of `group` is there and has this address from now on, instead of another of this version. Gives that.
    pub(crate) fn give(
        &mut self,
        key: PublicKey,
        group: &str,
        peer: &str,
        address: IpAddr,
        now: u64,
    ) -> Option<IpAddr> {
        self.note_there(&key, group, peer);
        let lease = self.by_key.entry(key).or_insert_with(|| Lease {
            group: group.to_owned(),
            peer: peer.to_owned(),
            addresses: Vec::new(),
            since: now,
            away: None,
        });
        let other = lease
            .addresses
            .iter()
            .position(|other| other.is_ipv4() == address.is_ipv4());
        let other = other.map(|at| lease.addresses.remove(at));
        lease.addresses.push(address);
        lease.addresses.sort_unstable();
        lease.since = now;
        self.holders.insert(address, key);
        if let Some(other) = other {
            self.holders.remove(&other);
        }
        other
    }

    /// The peer with this key is there, and this is its name and its group. Tells whether that is new.
    pub(crate) fn note_there(&mut self, key: &PublicKey, group: &str, peer: &str) -> bool {
        let Some(lease) = self.by_key.get_mut(key) else {
            return false;
        };
        if lease.away.is_none() && lease.group == group && lease.peer == peer {
            return false;
        }
        let (before, away) = (
            std::mem::replace(&mut lease.group, group.to_owned()),
            lease.away.take(),
        );
        peer.clone_into(&mut lease.peer);
        if let Some(away) = away {
            self.forget_away(&before, away, key);
        }
        true
    }

    /// The peer with this key is not there any more. Tells whether that is new.
    pub(crate) fn note_gone(&mut self, key: &PublicKey, now: u64) -> bool {
        let Some(lease) = self.by_key.get_mut(key).filter(|lease| lease.away.is_none()) else {
            return false;
        };
        lease.away = Some(now);
        self.away
            .entry(lease.group.clone())
            .or_default()
            .insert((now, *key));
        true
    }

    /// What the peer with this key was given is nobody's any more.
    pub(crate) fn take_back(&mut self, key: &PublicKey) -> Option<Lease> {
        let lease = self.by_key.remove(key)?;
        if let Some(away) = lease.away {
            self.forget_away(&lease.group, away, key);
        }
        for address in &lease.addresses {
            self.holders.remove(address);
        }
        Some(lease)
    }

    /// Of those of this group who are not there and have an address of the pool, the one who is away longest.
    pub(crate) fn longest_away(&self, group: &str, pool: &Pool) -> Option<PublicKey> {
        let has_one = |key: &PublicKey| {
            let lease = self.by_key.get(key);
            lease.is_some_and(|lease| lease.addresses.iter().any(|address| pool.contains(*address)))
        };
        let away = self.away.get(group)?;
        away.iter().map(|(_, key)| *key).find(has_one)
    }

    /// Where there are too many, the one who is away longest of all.
    pub(crate) fn surplus(&self) -> Option<PublicKey> {
        if self.by_key.len() < MAX_LEASES {
            return None;
        }
        let first = self.away.values().filter_map(BTreeSet::first).min();
        first.map(|(_, key)| *key)
    }

    fn forget_away(&mut self, group: &str, away: u64, key: &PublicKey) {
        if let Some(of_group) = self.away.get_mut(group) {
            of_group.remove(&(away, *key));
            if of_group.is_empty() {
                self.away.remove(group);
            }
        }
    }

    /// One that was read. Whose address somebody else has already does not count.
    fn restore(&mut self, key: PublicKey, lease: Lease) -> bool {
        let known = self.by_key.contains_key(&key);
        if known
            || lease
                .addresses
                .iter()
                .any(|address| self.holders.contains_key(address))
        {
            return false;
        }
        self.holders
            .extend(lease.addresses.iter().map(|address| (*address, key)));
        if let Some(away) = lease.away {
            self.away
                .entry(lease.group.clone())
                .or_default()
                .insert((away, key));
        }
        self.by_key.insert(key, lease);
        true
    }
}

impl Leases {
    /// What is on the disk; nothing where there is none. A line that cannot be read is told, and does not count.
    pub(crate) fn read(directory: &Path) -> Self {
        let path = directory.join(FILE);
        let mut leases = Self::default();
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return leases,
            Err(error) => {
                tracing::error!(
                    "{}: {error}; who had which address out of a pool is not known",
                    path.display()
                );
                return leases;
            }
            Ok(text) => text,
        };
        let lines = text.lines().zip(1..).filter(|(line, _)| !line.starts_with('#'));
        let mut wrong = lines
            .filter(|(line, _)| !leases.restore(line))
            .map(|(_, number)| number);
        if let Some(first) = wrong.next() {
            let more = wrong.count();
            tracing::error!(
                "{}: line {first} and {more} more do not count; expected: INTERFACE GROUP PEER KEY SINCE AWAY ADDRESS..., \
                 each key and each address once",
                path.display()
            );
        }
        leases
    }

    fn restore(&mut self, line: &str) -> bool {
        let read = || {
            let mut words = line.split(' ');
            let (interface, group, peer) = (words.next()?, words.next()?, words.next()?);
            let key: PublicKey = words.next()?.parse().ok()?;
            let since = words.next()?.parse().ok()?;
            let away = match words.next()? {
                "-" => None,
                away => Some(away.parse().ok()?),
            };
            let addresses: Vec<IpAddr> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
            let is_right = match addresses[..] {
                [_] => true,
                [a, b] => a.is_ipv4() && b.is_ipv6(),
                _ => false,
            };
            let lease = Lease {
                group: group.to_owned(),
                peer: peer.to_owned(),
                addresses,
                since,
                away,
            };
            is_right.then_some((interface, key, lease))
        };
        read().is_some_and(|(interface, key, lease)| self.of_mut(interface).restore(key, lease))
    }

    /// Makes it what is on the disk. It lasts when this returns.
    pub(crate) fn write(&self, directory: &Path) -> Result<(), StoreError> {
        use std::fmt::Write;

        // If it cannot be made, writing tells why.
        let _ = make_directory(directory);
        let mut text = HEAD.to_owned();
        for (interface, leases) in &self.0 {
            for (key, lease) in &leases.by_key {
                let Lease {
                    group, peer, since, ..
                } = lease;
                // To a string nothing fails.
                let _ = write!(text, "{interface} {group} {peer} {key} {since} ");
                let _ = match lease.away {
                    Some(away) => write!(text, "{away}"),
                    None => write!(text, "-"),
                };
                for address in &lease.addresses {
                    let _ = write!(text, " {address}");
                }
                text.push('\n');
            }
        }
        store::replace(&directory.join(FILE), &text)
    }

    /// Those of an interface.
    pub(crate) fn of(&self, interface: &str) -> Option<&OfInterface> {
        self.0.get(interface)
    }

    /// The same, to be changed.
    pub(crate) fn of_mut(&mut self, interface: &str) -> &mut OfInterface {
        self.0.entry(interface.to_owned()).or_default()
    }

    /// All of them, by interface.
    pub(crate) fn interfaces(&self) -> impl Iterator<Item = (&String, &OfInterface)> {
        self.0.iter()
    }

    /// What of its lease is in force for a peer.
    pub(crate) fn in_force(
        &self,
        interface: &str,
        config: &InterfaceConfig,
        peer: &PeerConfig,
    ) -> Vec<IpPrefix> {
        let lease = peer.public_key.and_then(|key| self.of(interface)?.get(&key));
        lease.map_or_else(Vec::new, |lease| {
            let needed = needed(config, peer);
            let given = needed.filter_map(|pool| {
                let address = lease.addresses.iter().find(|address| pool.contains(**address))?;
                Some(pool.prefix(*address))
            });
            given.collect()
        })
    }
}

/// The pools out of which a peer is given an address: not of a version of which it has one by a line, its certificate or its
/// invitation.
pub(crate) fn needed<'a>(
    config: &'a InterfaceConfig,
    peer: &'a PeerConfig,
) -> impl Iterator<Item = Pool> + use<'a> {
    let pools = peer.pools.iter().flat_map(|pools| pools.iter());
    let has_one = |v6: bool| peer.guard.hosts().any(|host| host.is_ipv6() == v6);
    pools
        .filter(move |pool| !has_one(pool.address.is_ipv6()))
        .map(|pool| Pool::new(pool, config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn key(n: u8) -> PublicKey {
        PublicKey([n; 32])
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn pool(text: &str) -> Pool {
        Pool::new(&text.parse().unwrap(), &InterfaceConfig::default())
    }

    #[test]
    fn they_survive_with_who_is_away() {
        let scratch = Scratch::new();
        let directory = scratch.path().join("k.conf.revisions");
        assert_eq!(Leases::read(&directory), Leases::default());
        let mut leases = Leases::default();
        let knet0 = leases.of_mut("knet0");
        assert_eq!(knet0.give(key(1), "branches", "ams1", ip("10.0.0.1"), 7), None);
        assert_eq!(knet0.give(key(1), "branches", "ams1", ip("fd00::1"), 8), None);
        assert_eq!(knet0.give(key(2), "branches", "bas1", ip("10.0.0.2"), 9), None);
        assert!(knet0.note_gone(&key(2), 20) && !knet0.note_gone(&key(2), 21));
        leases
            .of_mut("knet1")
            .give(key(1), "g", "ams1", ip("10.0.0.1"), 7);
        leases.write(&directory).unwrap();
        assert_eq!(Leases::read(&directory), leases);
    }

    #[test]
    fn lines_that_make_no_sense_do_not_count_and_all_others_do() {
        let scratch = Scratch::new();
        let key = |n| key(n).to_string();
        let text = format!(
            "# head\n\nknet0 g a {} 1 - 10.0.0.1\nknet0 g b {} 1 x 10.0.0.2\nknet0 g c {} 1 - 10.0.0.1\nknet0 g d AAAA 1 - \
             10.0.0.4\nknet0 g e {} 1 -\nknet0 g f {} 1 - 10.0.0.6 10.0.0.7\nknet0 g h {} 1 5 10.0.0.8 fd00::8\n",
            key(1),
            key(2),
            key(3),
            key(5),
            key(6),
            key(8),
        );
        fs::write(scratch.path().join(FILE), text).unwrap();
        let leases = Leases::read(scratch.path());
        let mut names: Vec<&str> = leases
            .of("knet0")
            .unwrap()
            .iter()
            .map(|(_, l)| l.peer.as_str())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "h"]);
        let blocked = scratch.path().join("file");
        fs::write(&blocked, "").unwrap();
        let error = leases.write(&blocked).unwrap_err();
        assert!(error.to_string().contains("address-leases"), "{error}");
    }

    #[test]
    fn who_is_away_longest_goes_first_and_who_comes_back_keeps_it() {
        let mut leases = OfInterface::default();
        for n in 1..=4 {
            leases.give(key(n), "g", &format!("p{n}"), ip(&format!("10.0.0.{n}")), 1);
        }
        leases.give(key(9), "other", "p9", ip("10.0.9.1"), 1);
        for (n, when) in [(3, 10), (1, 20), (2, 15), (9, 1)] {
            leases.note_gone(&key(n), when);
        }
        assert_eq!(leases.longest_away("g", &pool("10.0.0.0/24")), Some(key(3)));
        assert_eq!(leases.longest_away("g", &pool("10.0.0.0/30")), Some(key(2)));
        assert_eq!(leases.longest_away("g", &pool("10.0.9.0/24")), None);
        assert!(leases.note_there(&key(3), "g", "p3") && !leases.note_there(&key(3), "g", "p3"));
        assert_eq!(leases.longest_away("g", &pool("10.0.0.0/24")), Some(key(2)));
        assert_eq!(
            leases.take_back(&key(2)).map(|lease| lease.peer),
            Some("p2".to_owned())
        );
        assert_eq!((leases.holder(ip("10.0.0.2")), leases.len()), (None, 4));
        assert_eq!(leases.longest_away("g", &pool("10.0.0.0/24")), Some(key(1)));
        // Another address instead of the first one.
        assert_eq!(
            leases.give(key(4), "g", "p4", ip("10.0.0.77"), 2),
            Some(ip("10.0.0.4"))
        );
        assert_eq!(leases.holder(ip("10.0.0.77")), Some(key(4)));
        assert_eq!(leases.holder(ip("10.0.0.4")), None);
    }

    #[test]
    fn what_is_in_force_is_of_the_pool_as_it_is_and_of_versions_that_are_needed() {
        use std::sync::Arc;

        use libknet::api::model::{Pools, SourceGuard};

        let mut leases = Leases::default();
        leases.of_mut("knet0").give(key(1), "g", "a", ip("10.200.4.7"), 1);
        leases.of_mut("knet0").give(key(1), "g", "a", ip("fd00::7"), 1);
        let config = InterfaceConfig {
            ip_addresses: vec!["10.200.0.1/16".parse().unwrap()],
            ..InterfaceConfig::default()
        };
        let mut pools = Pools {
            ipv4: Some("10.200.4.0/24".parse().unwrap()),
            ipv6: Some("fd00::/64".parse().unwrap()),
        };
        let mut peer = PeerConfig {
            public_key: Some(key(1)),
            pools: Some(Arc::new(pools.clone())),
            ..PeerConfig::default()
        };
        let given = |peer: &PeerConfig| -> Vec<String> {
            let given = leases.in_force("knet0", &config, peer);
            given.iter().map(ToString::to_string).collect()
        };
        assert_eq!(given(&peer), ["10.200.4.7/16", "fd00::7/64"]);
        peer.guard = SourceGuard {
            bindings: vec!["fd00::1/128".parse().unwrap(), "10.9.0.0/16".parse().unwrap()],
            ..SourceGuard::default()
        }
        .into();
        assert_eq!(given(&peer), ["10.200.4.7/16"]);
        pools.ipv4 = Some("10.200.5.0/24".parse().unwrap());
        peer.pools = Some(Arc::new(pools));
        assert_eq!(given(&peer), [""; 0]);
        peer.pools = None;
        assert_eq!(given(&peer), [""; 0]);
    }
}
