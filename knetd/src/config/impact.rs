//! What a change would do, told from the same plan by which it would be done.

use std::collections::{BTreeMap, BTreeSet};

use libknet::{
    Change,
    api::transaction::{ImpactRow, PeerImpactRow},
    proto::{
        config::PeerConfig,
        ids::{LinkId, PeerId, SocketId},
    },
};

use super::{
    plan::{self, Action, Setups, Step},
    setup::{Peers, Setup},
    slots::Slots,
};

/// Most peers that are named for one interface.
const PEERS: usize = 1000;

/// One row for each interface that is touched on the way from `old` to `new`, in the order of the steps.
pub(crate) fn rows(old: &Setups, new: &Setups) -> Vec<ImpactRow> {
    let row = |Step { name, action }: Step| match (action, old.get(&name), new.get(&name)) {
        (Action::Change, Some(old), Some(new)) => change(name, old, new),
        (Action::Start, _, Some(new)) => all(name, "start", new, "add"),
        (Action::Restart, _, Some(new)) => all(name, "restart", new, "rehandshake"),
        (_, Some(old), _) => all(name, "stop", old, "remove"),
        (_, None, _) => ImpactRow {
            interface: name,
            ..ImpactRow::default()
        },
    };
    plan::steps(old, new).into_iter().map(row).collect()
}

/// The same for all peers.
fn all(interface: String, action: &str, setup: &Setup, effect: &str) -> ImpactRow {
    let peers = setup.peers.keys().map(|peer| PeerImpactRow {
        peer: peer.clone(),
        effect: effect.into(),
        links: Vec::new(),
    });
    ImpactRow {
        interface,
        action: action.into(),
        settings: Vec::new(),
        peers: peers.take(PEERS).collect(),
        more_peers: setup.peers.len().saturating_sub(PEERS) as u64,
    }
}

fn change(interface: String, old: &Setup, new: &Setup) -> ImpactRow {
    let old_slots = Slots::default().updated(&Peers::default(), &old.peers);
    let new_slots = old_slots.updated(&old.peers, &new.peers);
    let (mut settings, mut removed, mut set) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut sockets: BTreeSet<SocketId> = BTreeSet::new();
    for change in plan::changes(old, &old_slots, new, &new_slots) {
        match change {
            Change::SetPeer { peer, .. } => drop(set.insert(peer)),
            Change::RemovePeer(peer) => drop(removed.insert(peer)),
            Change::SetSocket { id, .. } | Change::RemoveSocket(id) => {
                sockets.insert(id);
                settings.push(format!("local {}", id.0));
            }
            Change::SetMacAgeing(_) => settings.push("MAC ageing time".into()),
            Change::SetDomain(_) => {
                settings.push("VLANs, ARP suppression, snooping or RA guard".into());
            }
            Change::TakeCredentials(_) => settings.push("whether certificates of strangers are taken".into()),
            Change::SetMtuPolicy(_) => settings.push("MTU policy".into()),
            Change::SetDscp(_) => settings.push("DSCP".into()),
            Change::AddAddress(address, length) => settings.push(format!("new address {address}/{length}")),
            Change::RemoveAddress(address, length) => {
                settings.push(format!("no address {address}/{length}"));
            }
            Change::SetMtu(_) => settings.push("MTU".into()),
            Change::SetMac(_) => settings.push("MAC address".into()),
            Change::SetAdmin(_) => settings.push("state of the TAP".into()),
        }
    }
    let mut touched = BTreeMap::new();
    let named = |slots: &Slots, id: &PeerId| slots.name(*id).map(str::to_owned);
    for name in removed.iter().filter_map(|id| named(&old_slots, id)) {
        touched.insert(name, ("remove", Vec::new()));
    }
    // What a peer loses together with a socket, whether its own lines change or not.
    let names = set.iter().filter_map(|id| named(&new_slots, id));
    let on_sockets = new.peers.keys().filter(|_| !sockets.is_empty()).cloned();
    for name in names.chain(on_sockets) {
        let Some(config) = new.peers.get(&name) else {
            continue;
        };
        let effect = match old.peers.get(&name) {
            None => Some(("add", Vec::new())),
            Some(before) => effect(before, config, &sockets),
        };
        touched.extend(effect.map(|effect| (name, effect)));
    }
    let more_peers = touched.len().saturating_sub(PEERS) as u64;
    let peers = touched
        .into_iter()
        .take(PEERS)
        .map(|(peer, (effect, links))| PeerImpactRow {
            peer,
            effect: effect.into(),
            links,
        });
    ImpactRow {
        interface,
        action: "change".into(),
        settings,
        peers: peers.collect(),
        more_peers,
    }
}

/// What becomes of a peer that stays, and of which of its links; `None` where it is not touched.
fn effect(
    old: &PeerConfig,
    new: &PeerConfig,
    sockets: &BTreeSet<SocketId>,
) -> Option<(&'static str, Vec<u8>)> {
    if old.public_key != new.public_key || old.preshared_key != new.preshared_key {
        return Some(("rehandshake", Vec::new()));
    }
    if new.shutdown {
        return (!old.shutdown)
            .then(|| ("shutdown", Vec::new()))
            .or((old != new).then(|| ("live", Vec::new())));
    }
    if old.shutdown {
        return Some(("rehandshake", Vec::new()));
    }
    let afresh = |id: &LinkId| match (old.link(*id), new.link(*id)) {
        (Some(before), Some(after)) => {
            before.local != after.local
                || before.remote != after.remote
                || before.shutdown != after.shutdown
                || after.local.is_some_and(|local| sockets.contains(&local))
        }
        (None, None) => false,
        _ => true,
    };
    let links: Vec<u8> = LinkId::all().filter(afresh).map(LinkId::get).collect();
    if links.is_empty() {
        (old != new).then(|| ("live", Vec::new()))
    } else {
        Some(("relink", links))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use libknet::{
        SocketSetup,
        proto::config::{LinkConfig, PrivateKey, TapMtu},
    };

    use super::*;
    use crate::config::plan::tests::{peer, setup, setups};

    fn impact(old: &Setup, new: &Setup) -> ImpactRow {
        let mut rows = rows(&setups(&[("a", old.clone())]), &setups(&[("a", new.clone())]));
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    }

    fn peers(row: &ImpactRow) -> Vec<String> {
        row.peers
            .iter()
            .map(|p| format!("{} {} {:?}", p.effect, p.peer, p.links))
            .collect()
    }

    fn with_peers(key: u8, sockets: &[(u8, &str)]) -> Setup {
        let mut setup = setup(key, sockets);
        for n in 10..14 {
            setup.peers.insert(format!("p{n}"), Arc::new(peer(n, 100)));
        }
        setup
    }

    fn changed(setup: &Setup, name: &str, change: impl FnOnce(&mut PeerConfig)) -> Setup {
        let mut setup = setup.clone();
        change(Arc::make_mut(setup.peers.get_mut(name).unwrap()));
        setup
    }

    fn with_link(peer: &mut PeerConfig, link: u8, change: impl FnOnce(&mut LinkConfig)) {
        let link = LinkId::new(link).unwrap();
        let mut config = peer.links.get(link).unwrap().clone();
        change(&mut config);
        peer.links.set(link, config);
    }

    #[test]
    fn only_what_is_touched_is_named_with_what_happens_to_it() {
        let old = with_peers(1, &[(0, "192.0.2.1:7700"), (1, "192.0.2.2:7700")]);
        let live = changed(&old, "p11", |p| with_link(p, 0, |link| link.priority = 7));
        assert_eq!(peers(&impact(&old, &live)), ["live p11 []"]);
        let key = PrivateKey::from_bytes(&[99; 32]).public_key();
        let keyed = changed(&old, "p11", |p| p.public_key = key);
        assert_eq!(peers(&impact(&old, &keyed)), ["rehandshake p11 []"]);
        let moved = changed(&old, "p12", |p| {
            p.links.remove(LinkId::new(1).unwrap()).unwrap();
        });
        assert_eq!(peers(&impact(&old, &moved)), ["relink p12 [1]"]);
        let down = changed(&old, "p12", |p| p.shutdown = true);
        assert_eq!(peers(&impact(&old, &down)), ["shutdown p12 []"]);
        assert_eq!(peers(&impact(&down, &old)), ["rehandshake p12 []"]);
        let mut gone = old.clone();
        gone.peers.remove("p10");
        gone.mtu = TapMtu::Auto;
        let row = impact(&old, &gone);
        assert_eq!(
            (peers(&row), row.settings),
            (vec!["remove p10 []".into()], vec!["MTU".to_owned()])
        );
        assert_eq!(peers(&impact(&gone, &old)), ["add p10 []"]);
        assert!(rows(&setups(&[("a", old.clone())]), &setups(&[("a", old)])).is_empty());
    }

    #[test]
    fn a_socket_takes_its_links_along() {
        let old = changed(
            &with_peers(1, &[(0, "192.0.2.1:7700"), (1, "192.0.2.2:7700")]),
            "p11",
            |p| {
                with_link(p, 0, |link| link.local = Some(SocketId(1)));
            },
        );
        let mut new = old.clone();
        let elsewhere = SocketSetup {
            address: "192.0.2.3:7700".parse().unwrap(),
            device: None,
        };
        new.sockets.insert(1, elsewhere);
        let row = impact(&old, &new);
        assert_eq!(
            (peers(&row), row.settings),
            (vec!["relink p11 [0]".into()], vec!["local 1".to_owned()])
        );
    }

    #[test]
    fn whole_interfaces_are_told_with_all_their_peers() {
        let (old, other_key) = (with_peers(1, &[]), with_peers(2, &[]));
        let row = impact(&old, &other_key);
        assert_eq!(
            (&*row.action, row.peers.len(), &*row.peers[0].effect),
            ("restart", 4, "rehandshake")
        );
        let none = Setups::new();
        let some = setups(&[("a", old)]);
        assert_eq!(rows(&none, &some)[0].action, "start");
        assert_eq!(rows(&some, &none)[0].action, "stop");
    }
}
