//! Peers that may not use whatever addresses they like.

use super::*;
use crate::l2::source_guard::GuardRules;

const DROPPED: Decision = Decision::Drop(DropReason::PortSecurity);
const FROZEN: Decision = Decision::Drop(DropReason::MacFrozen);

fn guarded(guard: GuardRules) -> PortRules {
    PortRules {
        guard: Some(Box::new(guard)),
        ..PortRules::default()
    }
}

fn allowed(macs: &[u8]) -> PortRules {
    guarded(GuardRules {
        allowed_macs: macs.iter().map(|n| station(*n)).collect(),
        ..GuardRules::default()
    })
}

fn sticky(sticky: u16) -> PortRules {
    guarded(GuardRules {
        sticky,
        ..GuardRules::default()
    })
}

fn from(bridge: &mut Bridge, port: Port, n: u8) -> Decision {
    bridge.forward_one(at(0), port, &frame(BROADCAST, station(n)))
}

#[test]
fn a_peer_sends_from_allowed_addresses_only() {
    let mut bridge = bridge(&[false, false]);
    assert_eq!(
        from(&mut bridge, P0, 7),
        Decision::Flood,
        "before anything is said"
    );
    bridge.set_rules(PeerId(0), &allowed(&[1, 2]));
    assert_eq!(bridge.macs().lookup(station(7)), None, "forgotten");
    assert_eq!(from(&mut bridge, P1, 8), Decision::Flood);
    for (n, decision) in [
        (1, Decision::Flood),
        (3, DROPPED),
        (2, Decision::Flood),
        (8, DROPPED),
    ] {
        assert_eq!(from(&mut bridge, P0, n), decision, "{n}");
    }
    assert_eq!(bridge.macs().lookup(station(3)), None);
    assert_eq!(bridge.macs().lookup(station(8)), Some(P1), "nor did it move");
    assert_eq!(bridge.guard_drops(PeerId(0)).macs, 2);
    assert_eq!(bridge.guard_drops(PeerId(1)).macs, 0);
    assert_eq!(
        from(&mut bridge, P1, 1),
        Decision::Flood,
        "what one may use is not one's own"
    );
    bridge.set_rules(PeerId(0), &PortRules::default());
    assert_eq!(from(&mut bridge, P0, 3), Decision::Flood);
}

#[test]
fn what_sticks_does_not_age_and_nobody_takes_it() {
    let mut bridge = bridge(&[false, false]);
    bridge.set_rules(PeerId(0), &sticky(1));
    assert_eq!(from(&mut bridge, P1, 1), Decision::Flood);
    assert_eq!(from(&mut bridge, P0, 1), Decision::Flood, "it comes over");
    assert_eq!(from(&mut bridge, P0, 2), DROPPED);
    for port in [P1, Port::Tap] {
        assert_eq!(from(&mut bridge, port, 1), FROZEN);
    }
    assert_eq!(
        (bridge.next_expiry(), bridge.expire(at(1_000_000), 10)),
        (None, 0)
    );
    let (page, _) = bridge.macs().page(at(0), 0, 10);
    assert!(
        page.iter()
            .all(|entry| entry.is_sticky && !entry.is_static && entry.port == P0)
    );
    // Forgetting what was learned leaves it alone, and so does a line that has to do with something else.
    bridge.clear_dynamic();
    bridge.set_rules(
        PeerId(0),
        &PortRules {
            mac_limit: Some(9),
            ..sticky(1)
        },
    );
    assert_eq!(bridge.macs().lookup(station(1)), Some(P0));
    // What the peer has told of its stations moves them, but it may not use others.
    bridge.dismiss(PeerId(0));
    assert_eq!(from(&mut bridge, P1, 1), Decision::Flood);
    assert_eq!(from(&mut bridge, P0, 2), DROPPED);
    assert_eq!(from(&mut bridge, P0, 1), Decision::Flood, "back");
    assert_eq!(from(&mut bridge, P1, 1), FROZEN);
    bridge.set_rules(PeerId(0), &PortRules::default());
    assert_eq!(from(&mut bridge, P1, 1), Decision::Flood);
    // Whoever has the slot next begins without.
    bridge.set_rules(PeerId(0), &sticky(1));
    assert_eq!(from(&mut bridge, P0, 3), Decision::Flood);
    bridge.set_generation(PeerId(0), 9);
    assert_eq!(from(&mut bridge, P0, 4), Decision::Flood);
    assert_eq!(
        (from(&mut bridge, P0, 3), from(&mut bridge, P1, 3)),
        (DROPPED, Decision::Flood)
    );
}

/// The worker of the peer tells the others what sticks, and where two said so at once all end up alike.
#[test]
fn all_workers_know_what_sticks() {
    let workers = crate::ids::Workers::new(2).unwrap();
    let mut bridges: Vec<Bridge> = workers
        .all()
        .map(|me| bridge(&[false, false]).seated(Seat { me, workers }))
        .collect();
    for bridge in &mut bridges {
        for peer in [PeerId(0), PeerId(1)] {
            bridge.set_rules(peer, &sticky(1));
        }
    }
    let [a, b] = &mut bridges[..] else { panic!() };
    assert_eq!(from(a, P0, 1), Decision::Flood);
    let news = a.take_news().unwrap();
    b.hear(&news);
    assert_eq!((from(b, P1, 1), from(b, Port::Tap, 1)), (FROZEN, FROZEN));
    assert_eq!((from(a, P0, 5), from(b, P1, 2)), (DROPPED, Decision::Flood));
    // At once.
    for bridge in [&mut *a, &mut *b] {
        for peer in [PeerId(0), PeerId(1)] {
            bridge.set_rules(peer, &PortRules::default());
            bridge.set_rules(peer, &sticky(2));
        }
    }
    assert_eq!(
        (from(a, P0, 3), from(b, P1, 3)),
        (Decision::Flood, Decision::Flood)
    );
    let news = [a.take_news().unwrap(), b.take_news().unwrap()];
    a.hear(&news[1]);
    b.hear(&news[0]);
    assert_eq!(
        [&*a, &*b].map(|bridge| bridge.macs().lookup(station(3))),
        [Some(P0); 2]
    );
    assert_eq!(from(b, P1, 3), FROZEN);
    // News from before the line was taken out.
    b.set_rules(PeerId(0), &PortRules::default());
    b.hear(&news[0]);
    assert_eq!(b.expire(at(1_000_000), 10), 1);
}
