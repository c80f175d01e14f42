#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ids::MacAddr;

const AGEING: Span = Span::from_secs(300);

fn at(seconds: u64) -> Time {
    Time::ZERO + Span::from_secs(seconds)
}

fn claim(ip: u8, mac: u8) -> Claim {
    Claim {
        ip: IpAddr::from([10, 0, 0, ip]),
        mac: MacAddr([2, 0, 0, 0, 0, mac]),
        router: None,
    }
}

fn port(n: u16) -> Port {
    n.checked_sub(1)
        .map_or(Port::Tap, |peer| Port::Peer(PeerId(peer)))
}

fn table(capacity: usize, per_peer: usize) -> NeighborTable {
    NeighborTable::with_capacity([1, 2], AGEING, capacity, per_peer)
}

#[test]
fn the_last_word_counts() {
    let mut table = table(10, 10);
    table.learn(at(0), VlanId::NONE, claim(1, 1), port(1));
    assert_eq!(
        table.lookup(at(0), VlanId::NONE, claim(1, 0).ip),
        Some((claim(1, 1), port(1)))
    );
    table.learn(at(0), VlanId::NONE, claim(1, 2), port(2));
    assert_eq!(
        table.lookup(at(299), VlanId::NONE, claim(1, 0).ip),
        Some((claim(1, 2), port(2)))
    );
    assert_eq!(
        table.lookup(at(300), VlanId::NONE, claim(1, 0).ip),
        None,
        "too long ago"
    );
    assert_eq!(
        (table.port_len(port(1)), table.port_len(port(2)), table.len()),
        (0, 1, 1)
    );
}

/// Of a router the hosts know that it is one, whatever it says next; of another station it is not known.
#[test]
fn a_router_stays_one_until_it_says_otherwise() {
    let mut table = table(10, 10);
    let says = |router| Claim {
        router,
        ..claim(1, 1)
    };
    let is_router = |table: &NeighborTable| {
        table
            .lookup(at(2), VlanId::NONE, claim(1, 0).ip)
            .unwrap()
            .0
            .router
    };
    table.learn(at(0), VlanId::NONE, says(None), port(1));
    assert_eq!(is_router(&table), None);
    table.learn(at(0), VlanId::NONE, says(Some(true)), port(1));
    assert_eq!(is_router(&table), Some(true), "told at once");
    table.learn(at(2), VlanId::NONE, says(None), port(1));
    assert_eq!(is_router(&table), Some(true));
    table.learn(at(2), VlanId::NONE, says(Some(false)), port(1));
    assert_eq!(is_router(&table), Some(false));
    table.learn(at(2), VlanId::NONE, claim(1, 2), port(1));
    assert_eq!(is_router(&table), None);
}

#[test]
fn who_was_confirmed_longest_ago_makes_room() {
    let mut table = table(6, 3);
    for ip in 1..=3 {
        table.learn(at(ip.into()), VlanId::NONE, claim(ip, ip), port(1));
    }
    table.learn(at(5), VlanId::NONE, claim(1, 1), port(1));
    table.learn(at(6), VlanId::NONE, claim(4, 4), port(1));
    let known = |table: &NeighborTable| -> Vec<u8> {
        (0..=9)
            .filter(|ip| table.lookup(at(20), VlanId::NONE, claim(*ip, 0).ip).is_some())
            .collect()
    };
    assert_eq!(known(&table), [1, 3, 4], "of the same peer");
    for ip in 5..=8 {
        table.learn(at(ip.into()), VlanId::NONE, claim(ip, ip), port(0));
    }
    assert_eq!(known(&table), [1, 4, 5, 6, 7, 8], "of all");
}

/// New things at once, what stays as it is now and then.
#[test]
fn others_are_told() {
    let (mut here, mut there) = (table(10, 10), table(10, 10));
    here.share();
    there.share();
    let mut told = Vec::new();
    for second in 0..61 {
        here.learn(at(second), VlanId::NONE, claim(1, 1), port(1));
        if let Some(news) = here.take_news() {
            there.hear(&news);
            told.push(second);
        }
    }
    assert_eq!(told, [0, 30, 60]);
    assert_eq!(
        there.lookup(at(60), VlanId::NONE, claim(1, 0).ip),
        Some((claim(1, 1), port(1)))
    );
    assert_eq!(there.take_news(), None, "nobody tells what he was told");
    // An old word does not undo a new one.
    there.learn(at(70), VlanId::NONE, claim(1, 2), port(2));
    here.learn(
        at(69),
        VlanId::NONE,
        Claim {
            router: Some(true),
            ..claim(1, 1)
        },
        port(1),
    );
    there.hear(&here.take_news().unwrap());
    here.hear(&there.take_news().unwrap());
    for table in [&here, &there] {
        assert_eq!(
            table.lookup(at(70), VlanId::NONE, claim(1, 0).ip),
            Some((claim(1, 2), port(2)))
        );
    }
}

proptest! {
    /// It is a map of what was said last, within its bounds, and all of its lists agree.
    #[test]
    fn it_is_its_model(
        steps in prop::collection::vec((0_u8..12, 0_u8..3, 0_u16..4, 0_u8..12), 1..300), capacity in 3_usize..12, per_peer in 1_usize..5,
    ) {
        let mut table = table(capacity, per_peer);
        let mut model: BTreeMap<IpAddr, (MacAddr, Port, Time)> = BTreeMap::new();
        for (second, (ip, mac, n, what)) in steps.into_iter().enumerate() {
            let now = at(10 * second as u64);
            match what {
                0 => {
                    table.remove_port(port(n));
                    model.retain(|_, (_, p, _)| *p != port(n));
                }
                1 => {
                    table.expire(now, usize::MAX);
                    model.retain(|_, (_, _, since)| *since + AGEING > now);
                }
                _ => {
                    let claim = claim(ip, mac);
                    table.learn(now, VlanId::NONE, claim, port(n));
                    model.remove(&claim.ip);
                    let full = port(n) != Port::Tap && model.values().filter(|e| e.1 == port(n)).count() >= per_peer;
                    if full || model.len() >= capacity {
                        let candidates = model.iter().filter(|(_, e)| !full || e.1 == port(n));
                        let oldest = *candidates.min_by_key(|(_, e)| e.2).unwrap().0;
                        model.remove(&oldest);
                    }
                    model.insert(claim.ip, (claim.mac, port(n), now));
                }
            }
            let (page, next) = table.page(now, 0, capacity);
            prop_assert!(next.is_none());
            let shown: BTreeMap<_, _> = page.iter().map(|e| (e.ip, (e.mac, e.port, e.age))).collect();
            let expected: BTreeMap<_, _> =
                model.iter().map(|(ip, (mac, port, since))| (*ip, (*mac, *port, now.since(*since)))).collect();
            prop_assert_eq!((&shown, page.len()), (&expected, table.len()));
            for n in 0..4 {
                let behind = model.values().filter(|e| e.1 == port(n)).count();
                prop_assert_eq!(table.port_len(port(n)), behind);
            }
            prop_assert_eq!(table.next_expiry(), model.values().map(|e| e.2 + AGEING).min());
        }
        table.clear();
        prop_assert_eq!((table.len(), table.port_len(Port::Tap), table.next_expiry()), (0, 0, None));
    }
}

/// After a flood of addresses the table is as small again as what is left in it, and knows that as before.
#[test]
fn a_table_that_was_large_becomes_small() {
    let mut table = table(100_000, 10);
    let claim = |n: u16| {
        let [high, low] = n.to_be_bytes();
        Claim {
            ip: IpAddr::from([10, 0, high, low]),
            mac: MacAddr([2, 0, 0, 0, high, low]),
            router: None,
        }
    };
    let stays = |n: u16| n % 1_000 == 999;
    for n in 0..20_000 {
        table.learn(at(0), VlanId::NONE, claim(n), Port::Tap);
    }
    for n in (0..20_000).filter(|n| stays(*n)) {
        table.learn(at(100 + u64::from(n)), VlanId::NONE, claim(n), Port::Tap);
    }
    let large = (table.entries.len(), table.index.capacity());
    assert!(large.0 >= 20_000 && large.1 > 20_000);
    while table.expire(at(350), 64) == 64 {}
    assert_eq!((table.len(), table.port_len(Port::Tap)), (20, 20));
    assert!(table.entries.len() < 100, "{} places", table.entries.len());
    assert!(table.index.capacity() < 200);
    for n in (0..20_000).filter(|n| stays(*n)) {
        let now = at(100 + u64::from(n));
        assert_eq!(
            table.lookup(now, VlanId::NONE, claim(n).ip),
            Some((claim(n), Port::Tap))
        );
        assert_eq!(table.next_expiry(), Some(now + AGEING));
        assert_eq!(table.expire(now + AGEING, 9), 1);
    }
    assert!(table.is_empty() && table.next_expiry().is_none());
}
