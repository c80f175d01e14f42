//! Addresses out of the pools of groups: whoever needs one is given it when its session first comes up, and keeps it.
//!
//! What is given is written to the disk, and then told: where thousands of peers join, all of a second together.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use libknet::{
    Query, Reply,
    api::{
        diff::peer_differences,
        message::{ApiError, ErrorCode},
        model::{Config, InterfaceConfig, PeerConfig},
        value::{IpPrefix, PublicKey},
    },
    proto::{ids::PeerId, status::PeerStatus},
};

use super::Daemon;
use crate::{
    config::{
        leases::{Leases, OfInterface, needed},
        pool::{Pool, Taken, own_prefixes},
    },
    control::names,
    events::Loudness,
    logging::unix_ms,
};

/// The file is written at most so often, and never takes more of the time than one part of this many.
const APART: Duration = Duration::from_secs(1);
const SHARE: u32 = 10;
/// How soon it is written again where it could not be.
const AGAIN: Duration = Duration::from_secs(10);
/// Peers that are asked for at once.
const PAGE: usize = 1000;

/// Who has been given what, and who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Leasing {
    leases: Leases,
    /// Every address of each interface that somebody has.
    taken: BTreeMap<String, Taken>,
    /// Of these, what is neither configured, nor a peer's in force, nor a lease: as it was looked up last.
    others: BTreeMap<String, Vec<IpAddr>>,
    /// Peers that may need an address, by interface and name.
    asked: BTreeSet<(String, String)>,
    /// Peers for whom there was none left, with their groups.
    waiting: BTreeMap<(String, String), String>,
    /// Interfaces of which all peers are to be looked at.
    look_again: BTreeSet<String>,
    unwritten: bool,
    /// When it may be written next.
    not_before: Option<Instant>,
    /// Why it could not be.
    problem: Option<String>,
}

impl Leasing {
    /// What was given before the start. Nobody is there yet.
    pub(super) fn new(leases: Leases) -> Self {
        let mut leasing = Self {
            leases,
            ..Self::default()
        };
        let now = unix_ms() / 1000;
        let names: Vec<String> = leasing
            .leases
            .interfaces()
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            let leases = leasing.leases.of_mut(&name);
            let keys: Vec<PublicKey> = leases.iter().map(|(key, _)| *key).collect();
            for key in keys {
                leases.note_gone(&key, now);
            }
            let addresses: Vec<IpAddr> = leases
                .iter()
                .flat_map(|(_, lease)| lease.addresses.clone())
                .collect();
            let taken = leasing.taken_mut(&name);
            for address in addresses {
                taken.insert(address);
            }
        }
        leasing
    }

    /// What peers have been given.
    pub(crate) const fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Why it would be forgotten at a restart.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// For how many peers of a group there is no address left.
    pub(crate) fn without(&self, interface: &str, group: &str) -> usize {
        let waiting = self.waiting.iter();
        waiting
            .filter(|((of, _), in_group)| of == interface && *in_group == group)
            .count()
    }

    /// A peer may need an address.
    pub(super) fn ask(&mut self, interface: &str, peer: &str) {
        self.asked.insert((interface.to_owned(), peer.to_owned()));
    }

    fn taken_mut(&mut self, interface: &str) -> &mut Taken {
        self.taken.entry(interface.to_owned()).or_default()
    }

    /// The address of the peer with this key is somebody else's.
    fn void(&mut self, interface: &str, key: &PublicKey) -> Option<String> {
        let lease = self.leases.of_mut(interface).take_back(key)?;
        let taken = self.taken_mut(interface);
        for address in &lease.addresses {
            taken.remove(*address);
        }
        self.unwritten = true;
        Some(lease.peer)
    }

    /// So many addresses have become free: as many of those who wait may get one.
    fn retry(&mut self, freed: usize) {
        for _ in 0..freed {
            let Some((waiting, _)) = self.waiting.pop_first() else {
                return;
            };
            self.asked.insert(waiting);
        }
    }

    /// Gives a peer the addresses that it needs and does not have. Tells whether it has others than before; the pools of which
    /// none is left are added to `short`, by whether they are of IPv6.
    fn give(
        &mut self,
        interface: &str,
        config: &InterfaceConfig,
        group: &str,
        (name, peer): (&str, &PeerConfig),
        short: &mut Vec<bool>,
    ) -> bool {
        let Some(key) = peer.public_key else { return false };
        let now = unix_ms() / 1000;
        let mut changed = false;
        for pool in needed(config, peer) {
            let leases = self.leases.of_mut(interface);
            let known = leases.get(&key);
            if known.is_some_and(|lease| lease.addresses.iter().any(|a| pool.contains(*a))) {
                continue;
            }
            if known.is_none()
                && let Some(surplus) = leases.surplus()
            {
                self.void(interface, &surplus);
            }
            let mut next = pool.next(self.taken_mut(interface));
            if next.is_none() {
                let leases = self.leases.of_mut(interface);
                if let Some(away) = leases.longest_away(group, &pool) {
                    self.void(interface, &away);
                    next = pool.next(self.taken_mut(interface));
                }
            }
            let Some(IpPrefix { address, .. }) = next else {
                short.push(pool.is_v6());
                continue;
            };
            let other = self.leases.of_mut(interface).give(key, group, name, address, now);
            let taken = self.taken_mut(interface);
            taken.insert(address);
            if let Some(other) = other {
                taken.remove(other);
            }
            self.unwritten = true;
            changed = true;
        }
        changed
    }
}

impl Daemon {
    /// Who has been given which address.
    pub(crate) const fn leasing(&self) -> &Leasing {
        &self.leasing
    }

    /// The group that a peer is in.
    pub(crate) fn group_of<'a>(&'a self, interface: &'a str, peer: &str) -> Option<&'a str> {
        let config = self.of_this_host.interfaces.get(interface)?;
        if let Some(said) = config.peers.get(peer) {
            return said.group.as_deref();
        }
        let sources = &self.sources;
        let listed = sources
            .key_files
            .lists_peer(interface, peer)
            .map(|(group, _)| group);
        let invited = || {
            sources
                .invitations
                .member(interface, peer)
                .map(|(group, _)| group)
        };
        let certified = || sources.admissions.get(interface, peer).map(|(group, _)| group);
        listed.or_else(invited).or_else(certified)
    }

    /// The addresses of an interface that cannot be given: our own, and those that were given.
    pub(crate) fn taken_addresses(&mut self, interface: &str) -> &Taken {
        let now = unix_ms() / 1000;
        let registers = self.sources.invitations.of_interface(interface);
        let invited = registers.flat_map(|(_, register)| register.addresses(now));
        let own = self
            .overlays
            .get(interface)
            .map(|overlay| overlay.setup.tap_addresses());
        let own = own.unwrap_or_default().into_iter().map(|(address, _)| address);
        let others: Vec<IpAddr> = invited.map(|prefix| prefix.address).chain(own).collect();
        let known = self.leasing.others.insert(interface.to_owned(), others.clone());
        let taken = self.leasing.taken_mut(interface);
        for address in known.into_iter().flatten() {
            taken.remove(address);
        }
        for address in others {
            taken.insert(address);
        }
        taken
    }

    /// Another configuration than `before` is in force: who is there and who is not, and which addresses cannot be given.
    pub(super) fn follow_addresses(&mut self, before: &Arc<Config>) {
        let after = Arc::clone(&self.in_force);
        if Arc::ptr_eq(before, &after) {
            return;
        }
        let now = unix_ms() / 1000;
        let own = |config: &Config, name: &str| -> Vec<IpAddr> {
            let own = config.interfaces.get(name).into_iter().flat_map(own_prefixes);
            own.map(|prefix| prefix.address).collect()
        };
        let names: BTreeSet<&String> = before.interfaces.keys().chain(after.interfaces.keys()).collect();
        let mut voided = BTreeSet::new();
        for name in names {
            let (old, new) = (own(before, name), own(&after, name));
            if old == new {
                continue;
            }
            let taken = self.leasing.taken_mut(name);
            for address in old {
                taken.remove(address);
            }
            for address in new {
                self.leasing.taken_mut(name).insert(address);
                let holder = self
                    .leasing
                    .leases
                    .of(name)
                    .and_then(|leases| leases.holder(address));
                voided.extend(holder.map(|key| (name.clone(), key)));
            }
        }
        let (mut freed, mut come) = (0, Vec::new());
        for (interface, difference) in peer_differences(before, &after) {
            if let Some(old) = difference.old {
                for host in old.guard.hosts() {
                    self.leasing.taken_mut(interface).remove(host);
                    freed += 1;
                }
                let key = old.public_key;
                let has_pools = |key: &PublicKey| {
                    let new = difference.new.filter(|new| new.public_key == Some(*key));
                    new.is_some_and(|new| new.pools.is_some())
                };
                if let Some(key) = key.filter(|key| !has_pools(key))
                    && self.leasing.leases.of(interface).is_some()
                    && self.leasing.leases.of_mut(interface).note_gone(&key, now)
                {
                    self.leasing.unwritten = true;
                    freed += 1;
                }
            }
            if difference.new.is_none_or(|new| new.pools.is_none()) && !self.leasing.waiting.is_empty() {
                let waiting = (interface.to_owned(), difference.key.clone());
                self.leasing.waiting.remove(&waiting);
            }
            let Some(new) = difference.new else { continue };
            for host in new.guard.hosts() {
                self.leasing.taken_mut(interface).insert(host);
                let holder = self
                    .leasing
                    .leases
                    .of(interface)
                    .and_then(|leases| leases.holder(host));
                let other = holder.filter(|key| Some(*key) != new.public_key);
                voided.extend(other.map(|key| (interface.to_owned(), key)));
            }
            if new.pools.is_some() {
                let was_there = difference.old.is_some_and(|old| old.public_key == new.public_key);
                come.push((interface, difference.key.as_str(), new, was_there));
            }
        }
        // Those who have gone first: a key may have another name.
        for (interface, name, peer, was_there) in come {
            let Some(key) = peer.public_key else { continue };
            if self
                .leasing
                .leases
                .of(interface)
                .is_some_and(|leases| leases.get(&key).is_some())
            {
                let group = self.group_of(interface, name).unwrap_or_default().to_owned();
                let leases = self.leasing.leases.of_mut(interface);
                self.leasing.unwritten |= leases.note_there(&key, &group, name);
            }
            // Its session may be up already, and no event will tell of it.
            if was_there && self.needs_address(interface, name) {
                self.leasing.look_again.insert(interface.to_owned());
            }
        }
        for (interface, key) in voided {
            let Some(peer) = self.leasing.void(&interface, &key) else {
                continue;
            };
            let text = format!("{interface}: the address of peer {peer} is somebody else's from now on");
            self.tell_certificate(&format!("lease-void {interface} {peer}"), &text, Loudness::Warn);
            self.tell_leases(&interface, &[peer]);
            self.leasing.look_again.insert(interface);
        }
        self.leasing.retry(freed);
    }

    /// Whether a peer is to be given an address that it does not have.
    fn needs_address(&self, interface: &str, peer: &str) -> bool {
        let needs = || {
            let config = self.in_force.interfaces.get(interface)?;
            let said = config.peers.get(peer)?;
            let lease = self
                .leasing
                .leases
                .of(interface)
                .and_then(|leases| leases.get(said.public_key.as_ref()?));
            let has =
                |pool: &Pool| lease.is_some_and(|lease| lease.addresses.iter().any(|a| pool.contains(*a)));
            Some(!needed(config, said).all(|pool| has(&pool)))
        };
        needs().unwrap_or(false)
    }

    /// The session with a peer is up: it may need an address.
    pub(super) fn session_needs_address(&mut self, interface: &str, peer: PeerId) {
        let name = self
            .overlays
            .get(interface)
            .and_then(|overlay| overlay.slots.name(peer));
        let Some(name) = name
            .filter(|name| self.needs_address(interface, name))
            .map(str::to_owned)
        else {
            return;
        };
        self.leasing.ask(interface, &name);
    }

    /// Gives addresses to whom has asked for them, writes that down and tells it; not more often than once a second.
    pub(crate) fn give_addresses(&mut self) {
        let now = Instant::now();
        if self.leasing.asked.is_empty() || self.leasing.not_before.is_some_and(|at| now < at) {
            return;
        }
        let config = Arc::clone(&self.in_force);
        let mut given: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut looked_up = BTreeSet::new();
        for (interface, name) in std::mem::take(&mut self.leasing.asked) {
            let Some(of) = config.interfaces.get(&interface) else {
                continue;
            };
            let Some(peer) = of.peers.get(&name) else { continue };
            let Some(group) = self.group_of(&interface, &name).map(str::to_owned) else {
                continue;
            };
            if looked_up.insert(interface.clone()) {
                self.taken_addresses(&interface);
            }
            let mut short = Vec::new();
            let changed = self
                .leasing
                .give(&interface, of, &group, (&name, peer), &mut short);
            for is_v6 in short {
                let pools = peer.pools.iter().flat_map(|pools| pools.iter());
                let Some(pool) = pools.filter(|pool| pool.address.is_ipv6() == is_v6).last() else {
                    continue;
                };
                let text = format!(
                    "{interface}: no address of pool {pool} of group {group} is left for peer {name}"
                );
                self.tell_certificate(&format!("pool-short {interface} {group}"), &text, Loudness::Warn);
                self.leasing
                    .waiting
                    .insert((interface.clone(), name.clone()), group.clone());
            }
            if changed {
                given.entry(interface).or_default().push(name);
            }
        }
        if given.is_empty() {
            return;
        }
        self.write_leases();
        for (interface, peers) in &given {
            self.tell_leases(interface, peers);
            for peer in peers {
                let addresses = self.leased(interface, peer);
                let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                let text = format!("{interface}: peer {peer} is given {}", texts.join(", "));
                self.tell_certificate(&format!("leased {interface}"), &text, Loudness::Info);
            }
        }
    }

    /// What a peer is given out of pools.
    pub(crate) fn leased(&self, interface: &str, peer: &str) -> Vec<IpPrefix> {
        let config = self.in_force.interfaces.get(interface);
        let said = config.and_then(|config| Some((config, config.peers.get(peer)?)));
        said.map_or_else(Vec::new, |(config, said)| {
            self.leasing.leases.in_force(interface, config, said)
        })
    }

    /// The data plane learns what these peers are given now, and tells them.
    fn tell_leases(&mut self, interface: &str, peers: &[String]) {
        let Some(config) = self.in_force.interfaces.get(interface) else {
            return;
        };
        let leases = &self.leasing.leases;
        if let Some(failure) = self.failures.get_mut(interface) {
            let setup = failure.setup.with_leases(interface, config, peers.iter(), leases);
            failure.setup = Rc::new(setup);
        } else if let Some(overlay) = self.overlays.get_mut(interface) {
            let setup = overlay.setup.with_leases(interface, config, peers.iter(), leases);
            // Only a data thread that has ended refuses; it is started again with all that is configured then.
            if let Err(error) = overlay.change(&Rc::new(setup)) {
                tracing::error!("{interface}: {error}");
            }
        }
    }

    /// What is due about once a second. `lost`: events of interfaces were.
    pub(super) fn tick_leases(&mut self, lost: bool) {
        if lost {
            let has_part = |config: &InterfaceConfig| {
                let takes = config.ip_negotiated.is_some() || config.ipv6_negotiated.is_some();
                takes || config.peers.values().any(|peer| peer.pools.is_some())
            };
            let all = self
                .in_force
                .interfaces
                .iter()
                .filter(|(_, config)| has_part(config));
            self.leasing.look_again.extend(all.map(|(name, _)| name.clone()));
        }
        self.give_addresses();
        let now = Instant::now();
        if self.leasing.unwritten && self.leasing.not_before.is_none_or(|at| at <= now) {
            self.write_leases();
        }
    }

    /// Writes down who has which address.
    pub(super) fn write_leases(&mut self) {
        let begun = Instant::now();
        match self.leasing.leases.write(self.history.directory()) {
            Ok(()) => {
                self.leasing.unwritten = false;
                if self.leasing.problem.take().is_some() {
                    let text = "who has which address out of a pool is on the disk again";
                    self.tell_certificate("leases-written", text, Loudness::Info);
                }
                let apart = APART.max(begun.elapsed() * SHARE);
                self.leasing.not_before = Some(Instant::now() + apart);
            }
            Err(error) => {
                self.leasing.not_before = Some(begun + AGAIN);
                let text =
                    format!("who has which address out of a pool would be forgotten at a restart: {error}");
                if self.leasing.problem.replace(text.clone()) != Some(text.clone()) {
                    self.tell_certificate("leases-written", &text, Loudness::Warn);
                }
            }
        }
    }

    /// The last word, at the end.
    pub(super) fn flush_leases(&mut self) {
        if self.leasing.unwritten {
            self.write_leases();
        }
    }

    /// Takes back what a peer was given.
    pub(crate) fn clear_lease(
        &mut self,
        interface: Option<&str>,
        peer: &str,
        user: &str,
    ) -> Result<(), ApiError> {
        let config = self.of_this_host.clone();
        let mut found = Vec::new();
        for (name, _) in names::interfaces(&config, interface)? {
            let leases = self
                .leasing
                .leases
                .of(name)
                .into_iter()
                .flat_map(OfInterface::iter);
            let its = leases.filter(|(_, lease)| lease.peer == peer);
            // Where several have had the name, the one who has it now.
            let key = its.min_by_key(|(_, lease)| lease.away.map(|away| u64::MAX - away));
            found.extend(key.map(|(key, _)| (name.clone(), *key)));
        }
        let [(interface, key)] = &found[..] else {
            if found.is_empty() {
                let text = format!("peer {peer} was given no address out of a pool");
                return Err(
                    ApiError::new(ErrorCode::NotFound, text).with_hint("`show ip pool leases` lists who was")
                );
            }
            let text = format!("there is a peer {peer} on several interfaces");
            return Err(ApiError::new(ErrorCode::Ambiguous, text).with_hint("name the interface"));
        };
        self.leasing.void(interface, key);
        let text = format!("{interface}: the address of peer {peer} taken back by {user}");
        self.tell_certificate(
            &format!("lease-cleared {interface} {peer}"),
            &text,
            Loudness::Info,
        );
        self.tell_leases(interface, &[peer.to_owned()]);
        self.leasing.retry(1);
        Ok(())
    }

    /// What the data plane knows of peers that no event may have told.
    fn hear_of(&mut self, interface: &str, peers: &[PeerStatus]) {
        for status in peers.iter().filter(|status| status.session.is_some()) {
            self.session_needs_address(interface, status.peer);
            if let Some(addresses) = &status.addresses_given {
                self.offered(interface, status.peer, addresses);
            }
        }
        self.take_offers();
    }
}

/// Looks at all peers of interfaces where somebody may need an address, or gives one, and no event has told of it.
pub(crate) fn look_at_all(daemon: &Rc<RefCell<Daemon>>) {
    let interfaces = std::mem::take(&mut daemon.borrow_mut().leasing.look_again);
    for interface in interfaces {
        let daemon = Rc::clone(daemon);
        tokio::task::spawn_local(async move {
            let mut from = None;
            loop {
                let question = {
                    let daemon = daemon.borrow();
                    let overlay = daemon.overlay(&interface);
                    overlay.map(|overlay| overlay.query(Query::Peers { from, limit: PAGE }))
                };
                let Some(question) = question else { return };
                let Ok(Reply::Peers { peers, next }) = question.await else {
                    return;
                };
                daemon.borrow_mut().hear_of(&interface, &peers);
                from = next;
                if from.is_none() {
                    return;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use libknet::api::model::{MAX_PEERS, Pools};

    use super::*;
    use crate::scratch::Scratch;

    fn key(n: u32) -> PublicKey {
        let mut key = [7; 32];
        key[..4].copy_from_slice(&n.to_le_bytes());
        PublicKey(key)
    }

    fn peer(n: u32, pools: &Arc<Pools>) -> PeerConfig {
        PeerConfig {
            public_key: Some(key(n)),
            pools: Some(Arc::clone(pools)),
            ..PeerConfig::default()
        }
    }

    fn addresses(leasing: &Leasing, n: u32) -> Vec<String> {
        let lease = leasing.leases.of("knet0").and_then(|leases| leases.get(&key(n)));
        let all = lease.iter().flat_map(|lease| &lease.addresses);
        all.map(ToString::to_string).collect()
    }

    /// As many as there can be: each its own, all in one file, and no step looks at the others.
    #[test]
    fn a_full_house_gets_an_address_each() {
        let config = InterfaceConfig::default();
        let pools = Arc::new(Pools {
            ipv4: Some("10.0.0.0/15".parse().unwrap()),
            ipv6: Some("fd00::/64".parse().unwrap()),
        });
        let mut leasing = Leasing::default();
        let mut short = Vec::new();
        let begun = Instant::now();
        for n in 0..MAX_PEERS as u32 {
            let peer = peer(n, &pools);
            let name = format!("p{n}");
            assert!(leasing.give("knet0", &config, "g", (&name, &peer), &mut short));
            assert!(!leasing.give("knet0", &config, "g", (&name, &peer), &mut short));
        }
        println!("{MAX_PEERS} given in {:?}", begun.elapsed());
        assert!(short.is_empty());
        let leases = leasing.leases.of("knet0").unwrap();
        let distinct: BTreeSet<IpAddr> = leases
            .iter()
            .flat_map(|(_, lease)| lease.addresses.clone())
            .collect();
        assert_eq!(distinct.len(), 2 * MAX_PEERS);
        assert_eq!(addresses(&leasing, 65_535), ["10.1.0.0", "fd00::1:0"]);
        let scratch = Scratch::new();
        let begun = Instant::now();
        leasing.leases.write(scratch.path()).unwrap();
        println!("written in {:?}", begun.elapsed());
        let begun = Instant::now();
        assert_eq!(Leases::read(scratch.path()), leasing.leases);
        println!("read in {:?}", begun.elapsed());
    }

    #[test]
    fn a_pool_that_is_short_takes_from_who_is_away_longest_and_then_there_is_none() {
        let config = InterfaceConfig::default();
        let pools = Arc::new(Pools {
            ipv4: Some("10.0.0.0/30".parse().unwrap()),
            ipv6: Some("fd00::/64".parse().unwrap()),
        });
        let mut leasing = Leasing::default();
        let give = |leasing: &mut Leasing, n: u32| {
            let mut short = Vec::new();
            leasing.give("knet0", &config, "g", ("p", &peer(n, &pools)), &mut short);
            short
        };
        assert!(give(&mut leasing, 1).is_empty() && give(&mut leasing, 2).is_empty());
        assert_eq!(give(&mut leasing, 3), [false], "of IPv6 there is one");
        assert_eq!(addresses(&leasing, 3), ["fd00::3"]);
        for (n, when) in [(2, 10), (1, 20)] {
            leasing.leases.of_mut("knet0").note_gone(&key(n), when);
        }
        assert!(give(&mut leasing, 3).is_empty());
        assert_eq!(addresses(&leasing, 3), ["10.0.0.2", "fd00::3"]);
        assert_eq!(
            (addresses(&leasing, 2).len(), addresses(&leasing, 1).len()),
            (0, 2)
        );
        // What was somebody's and is nobody's any more is free, in both versions.
        assert!(give(&mut leasing, 4).is_empty());
        assert_eq!(addresses(&leasing, 4), ["10.0.0.1", "fd00::1"]);
        assert_eq!(give(&mut leasing, 5), [false]);
        leasing.void("knet0", &key(4));
        assert!(give(&mut leasing, 5).is_empty());
    }
}
