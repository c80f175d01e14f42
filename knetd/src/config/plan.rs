//! What has to be done to get from one set of interfaces to another, and in which order.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
};

use libknet::{Change, SocketSetup, api::persistent_map::Difference, proto::ids::SocketId};

use super::{setup::Setup, slots::Slots};

/// Interfaces by name.
pub(crate) type Setups = BTreeMap<String, Rc<Setup>>;

/// What is done to one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    /// It is new.
    Start,
    /// It stays and changes.
    Change,
    /// It gets another key or other ciphers: all sessions end anyway.
    Restart,
    /// It goes.
    Stop,
}

/// One step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The interface.
    pub name: String,
    /// What is done.
    pub action: Action,
}

/// The steps from `old` to `new`; unchanged interfaces have none. What can fail comes first, except that a step
/// waits for those that free an address which it needs.
pub(crate) fn steps(old: &Setups, new: &Setups) -> Vec<Step> {
    let mut waiting: Vec<Step> = Vec::new();
    for (name, setup) in new {
        let action = match old.get(name) {
            None => Action::Start,
            Some(before) if before == setup => continue,
            Some(before) if before.sessions_end_for(setup) => Action::Restart,
            Some(_) => Action::Change,
        };
        waiting.push(Step {
            name: name.clone(),
            action,
        });
    }
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    waiting.extend(gone.map(|name| Step {
        name: name.clone(),
        action: Action::Stop,
    }));
    waiting.sort_by(|a, b| (a.action, &a.name).cmp(&(b.action, &b.name)));

    let sockets = |of: &Setups, name: &str| of.get(name).map(|s| s.sockets.clone()).unwrap_or_default();
    let mut steps = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let blocked = |step: &Step| {
            let needs = sockets(new, &step.name);
            waiting
                .iter()
                .filter(|other| other.name != step.name)
                .any(|other| {
                    let held = sockets(old, &other.name);
                    needs.values().any(|a| held.values().any(|b| overlap(a, b)))
                })
        };
        // In a circle (two interfaces exchange addresses) nobody can go first; the kernel will refuse one.
        let next = waiting.iter().position(|step| !blocked(step)).unwrap_or(0);
        steps.push(waiting.remove(next));
    }
    steps
}

/// Whether the kernel would refuse to bind both.
fn overlap(a: &SocketSetup, b: &SocketSetup) -> bool {
    let (one, other) = (a.address.ip(), b.address.ip());
    let same_address =
        one.is_ipv4() == other.is_ipv4() && (one == other || one.is_unspecified() || other.is_unspecified());
    let same_device = a.device.is_none() || b.device.is_none() || a.device == b.device;
    a.address.port() == b.address.port() && same_address && same_device
}

/// The changes that make a running interface `new`. Peers, sockets and addresses that are as before are not
/// named. The private key and the ciphers cannot change.
pub(crate) fn changes(old: &Setup, old_slots: &Slots, new: &Setup, new_slots: &Slots) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut changed = Vec::new();
    for Difference { key: name, old, new } in old.peers.differences(&new.peers) {
        match new {
            Some(config) => changed.push((name, old, config)),
            None => changes.extend(old_slots.id(name).map(Change::RemovePeer)),
        }
    }
    // A key that moves from one name to another is given up before it is taken.
    let takers: HashMap<_, _> = changed
        .iter()
        .map(|(name, _, peer)| (peer.public_key, *name))
        .collect();
    for (name, before, _) in &changed {
        if let Some(before) = before
            && takers.get(&before.public_key).is_some_and(|taker| taker != name)
        {
            changes.extend(old_slots.id(name).map(Change::RemovePeer));
        }
    }
    for number in old
        .sockets
        .keys()
        .filter(|number| !new.sockets.contains_key(number))
    {
        changes.push(Change::RemoveSocket(SocketId(*number)));
    }
    for (number, setup) in new
        .sockets
        .iter()
        .filter(|(number, setup)| old.sockets.get(number) != Some(setup))
    {
        changes.push(Change::SetSocket {
            id: SocketId(*number),
            setup: setup.clone(),
        });
    }
    for (name, _, config) in changed {
        let set = |peer| Change::SetPeer {
            peer,
            config: Arc::clone(config),
        };
        changes.extend(new_slots.id(name).map(set));
    }
    if old.mac_ageing != new.mac_ageing {
        changes.push(Change::SetMacAgeing(new.mac_ageing));
    }
    if new.domain != old.domain {
        changes.push(Change::SetDomain(Box::new(new.domain.clone())));
    }
    if new.takes_credentials != old.takes_credentials {
        changes.push(Change::TakeCredentials(new.takes_credentials));
    }
    if new.mtu_policy != old.mtu_policy {
        changes.push(Change::SetMtuPolicy(new.mtu_policy));
    }
    if new.dscp != old.dscp {
        changes.push(Change::SetDscp(new.dscp));
    }
    if old.mac != new.mac {
        changes.push(Change::SetMac(new.mac));
    }
    let (gone, added) = address_changes(&old.tap_addresses(), &new.tap_addresses());
    changes.extend(
        gone.into_iter()
            .map(|(address, length)| Change::RemoveAddress(address, length)),
    );
    if old.mtu != new.mtu {
        changes.push(Change::SetMtu(new.mtu));
    }
    changes.extend(
        added
            .into_iter()
            .map(|(address, length)| Change::AddAddress(address, length)),
    );
    changes
}

type Addresses = Vec<(IpAddr, u8)>;

/// Addresses to remove, then to add. Of each family the common beginning stays: the kernel takes the first
/// address of a network as the primary one, and with a primary one its secondary ones go.
fn address_changes(old: &[(IpAddr, u8)], new: &[(IpAddr, u8)]) -> (Addresses, Addresses) {
    let (mut gone, mut added) = (Vec::new(), Vec::new());
    for v4 in [true, false] {
        let family = |list: &[(IpAddr, u8)]| -> Addresses {
            list.iter()
                .filter(|(address, _)| address.is_ipv4() == v4)
                .copied()
                .collect()
        };
        let (old, new) = (family(old), family(new));
        let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
        gone.extend_from_slice(&old[same..]);
        added.extend_from_slice(&new[same..]);
    }
    (gone, added)
}

#[cfg(test)]
pub(super) mod tests {
    use libknet::proto::{
        config::{
            AddressList, DomainConfig, LinkConfig, LinkConfigs, MtuPolicy, PeerConfig, PolicyKind, PortRules,
            PresharedKey, PrivateKey, Remote, TapMtu,
        },
        handshake::message::{Suite, SuiteSet},
        ids::{LinkId, MacAddr, PeerId, Workers},
        time::Span,
    };

    use super::*;
    use crate::config::setup::Peers;

    /// The numbers of the peers that it begins with.
    fn slots(of: &Setup) -> Slots {
        Slots::default().updated(&Peers::default(), &of.peers)
    }

    pub(in crate::config) fn setup(key: u8, sockets: &[(u8, &str)]) -> Setup {
        let private_key = PrivateKey::from_bytes(&[key; 32]);
        Setup {
            public_key: private_key.public_key(),
            private_key,
            mac: MacAddr([2, 0, 0, 0, 0, key]),
            mtu: TapMtu::Fixed(1400),
            addresses: Vec::new(),
            negotiated: Vec::new(),
            mac_ageing: Span::from_secs(300),
            domain: DomainConfig::default(),
            mtu_policy: MtuPolicy::default(),
            dscp: 0,
            suites: libknet::suites_of_this_machine(),
            workers: None,
            credential: None,
            takes_credentials: false,
            sockets: sockets
                .iter()
                .map(|(n, a)| {
                    (
                        *n,
                        SocketSetup {
                            address: a.parse().unwrap(),
                            device: None,
                        },
                    )
                })
                .collect(),
            peers: Peers::default(),
        }
    }

    pub(in crate::config) fn peer(key: u8, priority: u8) -> PeerConfig {
        let known = LinkConfig {
            priority,
            ..LinkConfig::new(None, Remote::Static("192.0.2.9:7700".parse().unwrap()))
        };
        let links = [known, LinkConfig::new(None, Remote::Dynamic)];
        PeerConfig {
            public_key: PrivateKey::from_bytes(&[key; 32]).public_key(),
            preshared_key: PresharedKey::default(),
            credential: None,
            policy: PolicyKind::Passive,
            isolate: false,
            spoke: false,
            shutdown: false,
            lossless: true,
            rules: PortRules::default(),
            static_macs: Vec::new(),
            hub: None,
            links: LinkId::all().zip(links).collect(),
            opened: LinkConfigs::default(),
            gives: AddressList::default(),
            takes: false,
        }
    }

    pub(in crate::config) fn setups(list: &[(&str, Setup)]) -> Setups {
        list.iter()
            .map(|(name, setup)| ((*name).to_owned(), Rc::new(setup.clone())))
            .collect()
    }

    fn order(old: &Setups, new: &Setups) -> Vec<String> {
        steps(old, new)
            .iter()
            .map(|s| format!("{:?} {}", s.action, s.name))
            .collect()
    }

    #[test]
    fn another_key_cipher_or_number_of_workers_starts_the_interface_afresh() {
        let before = setup(1, &[]);
        let chacha = Setup {
            suites: SuiteSet::of(Suite::ChaCha20Poly1305),
            ..before.clone()
        };
        let aes = Setup {
            suites: SuiteSet::of(Suite::Aes256Gcm),
            ..before.clone()
        };
        let action =
            |old: &Setup, new: &Setup| order(&setups(&[("a", old.clone())]), &setups(&[("a", new.clone())]));
        assert_eq!(action(&before, &setup(2, &[])), ["Restart a"]);
        assert_eq!(action(&chacha, &aes), ["Restart a"]);
        let two = Setup {
            workers: Workers::new(2),
            ..before.clone()
        };
        assert_eq!(action(&before, &two), ["Restart a"]);
        assert_eq!(action(&two, &two), [""; 0]);
        assert_eq!(
            action(
                &before,
                &Setup {
                    dscp: 8,
                    ..before.clone()
                }
            ),
            ["Change a"]
        );
    }

    #[test]
    fn only_what_differs_is_touched_and_what_can_fail_comes_first() {
        let a = setup(1, &[(0, "192.0.2.1:7700")]);
        let b = setup(2, &[(0, "192.0.2.2:7700")]);
        let c = setup(3, &[(0, "192.0.2.3:7700")]);
        let (d, changed) = (
            setup(4, &[]),
            Setup {
                mtu: TapMtu::Auto,
                ..c.clone()
            },
        );
        let old = setups(&[("a", a.clone()), ("b", b), ("c", c)]);
        let new = setups(&[("a", a), ("c", changed), ("d", d)]);
        assert_eq!(order(&old, &new), ["Start d", "Change c", "Stop b"]);
        assert!(order(&old, &old).is_empty());
        let rekeyed = setups(&[("d", setup(5, &[]))]);
        assert_eq!(order(&setups(&[("d", setup(4, &[]))]), &rekeyed), ["Restart d"]);
    }

    #[test]
    fn an_address_is_freed_before_it_is_taken() {
        let held = setup(1, &[(0, "192.0.2.1:7700"), (1, "192.0.2.2:7700")]);
        let wildcard = setup(2, &[(0, "0.0.0.0:7700")]);
        assert_eq!(
            order(&setups(&[("a", held.clone())]), &setups(&[("b", wildcard)])),
            ["Stop a", "Start b"]
        );
        let rest = Setup {
            sockets: setup(1, &[(0, "192.0.2.1:7700")]).sockets,
            ..held.clone()
        };
        let heir = setup(2, &[(0, "192.0.2.2:7700")]);
        assert_eq!(
            order(&setups(&[("z", held)]), &setups(&[("z", rest), ("b", heir)])),
            ["Change z", "Start b"]
        );
        let (x, y) = (setup(1, &[(0, "192.0.2.1:1")]), setup(2, &[(0, "192.0.2.2:1")]));
        let swapped = [
            ("x", setup(1, &[(0, "192.0.2.2:1")])),
            ("y", setup(2, &[(0, "192.0.2.1:1")])),
        ];
        assert_eq!(order(&setups(&[("x", x), ("y", y)]), &setups(&swapped)).len(), 2);
    }

    #[test]
    fn a_priority_is_one_change_of_one_peer() {
        let mut old = setup(1, &[(0, "192.0.2.1:7700")]);
        for n in 10..20 {
            old.peers.insert(format!("p{n}"), Arc::new(peer(n, 100)));
        }
        let slots = slots(&old);
        let mut new = old.clone();
        new.peers.insert("p13".into(), Arc::new(peer(13, 200)));
        match &changes(&old, &slots, &new, &slots)[..] {
            [
                Change::SetPeer {
                    peer: PeerId(3),
                    config,
                },
            ] => {
                assert_eq!(config.link(LinkId::default()).map(|l| l.priority), Some(200));
            }
            other => panic!("{other:?}"),
        }
        assert!(changes(&new, &slots, &new, &slots).is_empty());
    }

    #[test]
    fn peers_come_and_go_without_touching_others() {
        let mut old = setup(1, &[]);
        old.peers.insert("a".into(), Arc::new(peer(10, 1)));
        old.peers.insert("b".into(), Arc::new(peer(11, 1)));
        let mut new = old.clone();
        new.peers.remove("a");
        new.peers.insert("0".into(), Arc::new(peer(12, 1)));
        let old_slots = slots(&old);
        let new_slots = old_slots.updated(&old.peers, &new.peers);
        match &changes(&old, &old_slots, &new, &new_slots)[..] {
            [
                Change::RemovePeer(PeerId(0)),
                Change::SetPeer {
                    peer: PeerId(0),
                    config,
                },
            ] => {
                assert_eq!(config.public_key, PrivateKey::from_bytes(&[12; 32]).public_key());
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys_can_be_exchanged() {
        let mut old = setup(1, &[]);
        old.peers.insert("a".into(), Arc::new(peer(10, 1)));
        old.peers.insert("b".into(), Arc::new(peer(11, 1)));
        let mut new = old.clone();
        new.peers.insert("a".into(), Arc::new(peer(11, 1)));
        new.peers.insert("b".into(), Arc::new(peer(10, 1)));
        let slots = slots(&old);
        let changes = changes(&old, &slots, &new, &slots);
        assert!(
            matches!(
                &changes[..],
                [
                    Change::RemovePeer(_),
                    Change::RemovePeer(_),
                    Change::SetPeer { .. },
                    Change::SetPeer { .. }
                ]
            ),
            "{changes:?}"
        );
    }

    #[test]
    fn addresses_change_behind_the_common_beginning() {
        let list = |texts: &[&str]| -> Addresses {
            texts
                .iter()
                .map(|t| {
                    t.split_once('/')
                        .map(|(a, l)| (a.parse().unwrap(), l.parse().unwrap()))
                        .unwrap()
                })
                .collect()
        };
        let (gone, added) = address_changes(
            &list(&["10.0.0.1/24", "10.0.0.2/24", "10.0.0.3/24", "fd00::1/64"]),
            &list(&["10.0.0.1/24", "10.0.0.3/24", "fd00::1/64", "fd00::2/64"]),
        );
        assert_eq!(gone, list(&["10.0.0.2/24", "10.0.0.3/24"]));
        assert_eq!(added, list(&["10.0.0.3/24", "fd00::2/64"]));
    }

    #[test]
    fn an_address_that_is_given_and_certified_stays_when_it_is_given_no_more() {
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|text| (text.parse().unwrap(), 24));
        let certified = Setup {
            addresses: vec![a],
            ..setup(1, &[])
        };
        let given = Setup {
            negotiated: vec![a, b],
            ..certified.clone()
        };
        assert_eq!(given.tap_addresses(), [a, b]);
        let none = Slots::default();
        match &changes(&given, &none, &certified, &none)[..] {
            [Change::RemoveAddress(address, 24)] => assert_eq!(*address, b.0),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sockets_are_closed_before_others_open() {
        let old = setup(1, &[(0, "192.0.2.1:7700"), (1, "192.0.2.2:7700")]);
        let new = setup(1, &[(1, "192.0.2.1:7700"), (2, "192.0.2.2:7700")]);
        let none = Slots::default();
        let names: Vec<_> = changes(&old, &none, &new, &none)
            .iter()
            .map(|c| match c {
                Change::RemoveSocket(id) => format!("remove {}", id.0),
                Change::SetSocket { id, setup } => format!("set {} {}", id.0, setup.address),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            names,
            ["remove 0", "set 1 192.0.2.1:7700", "set 2 192.0.2.2:7700"]
        );
    }
}
