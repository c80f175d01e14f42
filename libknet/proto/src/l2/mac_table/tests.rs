#![allow(clippy::unwrap_used)]

use core::hash::BuildHasher;
use std::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use proptest::prelude::*;

use super::*;

const AGEING: Span = Span::from_secs(300);
const A: Port = Port::Peer(PeerId(0));
const B: Port = Port::Peer(PeerId(1));

fn mac(n: u32) -> MacAddr {
    let [_, _, mac @ ..] = ((2 << 40) | u64::from(n)).to_be_bytes();
    MacAddr(mac)
}

fn table(capacity: usize, per_peer: usize) -> MacTable {
    MacTable::with_capacity([1, 2], AGEING, capacity, per_peer)
}

fn at(ms: u64) -> Time {
    Time::ZERO + Span::from_millis(ms)
}

#[test]
fn an_entry_is_at_most_64_bytes() {
    assert!(size_of::<Entry>() <= 64, "{}", size_of::<Entry>());
}

#[test]
fn an_entry_ages_from_its_last_refresh() {
    let mut table = table(10, 10);
    table.learn(at(0), mac(1), A);
    table.learn(at(500), mac(2), A);
    // Within a second nothing is written; afterwards it is.
    table.learn(at(999), mac(1), A);
    assert_eq!(table.next_expiry(), Some(at(300_000)));
    table.learn(at(1_000), mac(1), A);
    assert_eq!(table.next_expiry(), Some(at(300_500)));

    assert_eq!(table.expire(at(300_499), 10), 0);
    assert_eq!(table.expire(at(300_500), 10), 1);
    assert_eq!((table.lookup(mac(1)), table.lookup(mac(2))), (Some(A), None));
    assert_eq!(table.expire(at(301_000), 10), 1);
    assert_eq!((table.len(), table.next_expiry()), (0, None));
}

#[test]
fn expiry_keeps_to_its_budget() {
    let mut table = table(100, 100);
    for n in 0..100 {
        table.learn(at(0), mac(n), Port::Tap);
    }
    assert_eq!(table.expire(at(400_000), 30), 30);
    assert_eq!((table.len(), table.port_len(Port::Tap)), (70, 70));
    assert_eq!(table.expire(at(400_000), usize::MAX), 70);
}

#[test]
fn an_address_moves_to_where_it_is_welcome_however_often() {
    let mut table = table(10, 10);
    table.learn(at(0), mac(1), A);
    for i in 0..20 {
        let (from, to) = if i % 2 == 0 { (A, B) } else { (B, A) };
        let now = at(i * 1_000);
        if to == B {
            table.welcome(B, now + Span::from_millis(500));
        }
        assert_eq!(table.learn(now, mac(1), to), Learned::Moved { from }, "{i}");
    }
    // Where it is not, it is frozen as ever: the last moves to A and B are two.
    for i in 0..3 {
        let (from, to) = if i % 2 == 0 { (A, B) } else { (B, A) };
        assert_eq!(table.learn(at(30_000 + i), mac(1), to), Learned::Moved { from });
    }
    let frozen = |newly| Learned::Frozen { port: B, newly };
    table.learn(at(30_010), mac(1), A);
    assert_eq!(
        table.learn(at(30_011), mac(1), B),
        Learned::Frozen { port: A, newly: true }
    );
    assert_ne!(table.learn(at(30_011), mac(1), B), frozen(true));
    table.welcome(B, at(31_000));
    assert_eq!(
        table.learn(at(30_999), mac(1), B),
        Learned::Moved { from: A },
        "it thaws"
    );
    table.set_static(at(31_000), A, &[mac(1)]).unwrap();
    table.welcome(B, at(32_000));
    assert!(
        matches!(
            table.learn(at(31_001), mac(1), B),
            Learned::Frozen { port: A, .. }
        ),
        "but for what is configured"
    );
}

#[test]
fn an_address_that_is_at_home_somewhere_is_frozen_there_and_not_for_long() {
    let mut table = table(10, 10);
    table.set_home(A, true);
    table.learn(at(0), mac(1), A);
    for i in 0..5 {
        let (from, to) = if i % 2 == 0 { (A, B) } else { (B, A) };
        assert_eq!(table.learn(at(i), mac(1), to), Learned::Moved { from }, "{i}");
    }
    // Home it may always.
    assert_eq!(table.learn(at(6), mac(1), A), Learned::Moved { from: B });
    let frozen = |newly| Learned::Frozen { port: A, newly };
    assert_eq!(table.learn(at(7), mac(1), B), frozen(true));
    assert_eq!(table.learn(at(2_006), mac(1), B), frozen(false));
    assert_eq!(table.learn(at(2_007), mac(1), B), Learned::Moved { from: A });
    // Between two homes, and between two others, it is frozen as ever.
    table.set_home(B, true);
    for homes in [true, false] {
        let mut table = tests::table(10, 10);
        table.set_home(A, homes);
        table.set_home(B, homes);
        table.learn(at(0), mac(1), A);
        for i in 0..5 {
            table.learn(at(i), mac(1), if i % 2 == 0 { B } else { A });
        }
        let frozen = |newly| Learned::Frozen { port: B, newly };
        assert_eq!(table.learn(at(6), mac(1), A), frozen(true));
        assert_eq!(table.learn(at(100_000), mac(1), A), frozen(false));
        // Where one of the two becomes its home it goes there.
        table.set_home(A, true);
        table.set_home(B, false);
        assert_eq!(table.learn(at(100_001), mac(1), A), Learned::Moved { from: B });
        assert_eq!(
            table.learn(at(100_002), mac(1), B),
            Learned::Frozen { port: A, newly: true }
        );
    }
}

#[test]
fn an_address_is_frozen_after_five_moves_and_thaws() {
    let mut table = table(10, 10);
    table.learn(at(0), mac(1), A);
    for i in 0..5 {
        let (from, to) = if i % 2 == 0 { (A, B) } else { (B, A) };
        assert_eq!(table.learn(at(i * 1_000), mac(1), to), Learned::Moved { from });
    }
    // It is behind B now, and stays.
    assert_eq!(
        table.learn(at(5_000), mac(1), A),
        Learned::Frozen { port: B, newly: true }
    );
    for ms in [5_001, 184_999] {
        assert_eq!(
            table.learn(at(ms), mac(1), A),
            Learned::Frozen {
                port: B,
                newly: false
            }
        );
        assert_eq!(table.learn(at(ms), mac(1), B), Learned::Refreshed);
        assert_eq!(table.lookup(mac(1)), Some(B));
    }
    assert_eq!(table.learn(at(185_000), mac(1), A), Learned::Moved { from: B });
}

#[test]
fn slow_moves_are_never_frozen() {
    let mut table = table(10, 10);
    table.learn(at(0), mac(1), A);
    for i in 1..100 {
        let to = if i % 2 == 0 { A } else { B };
        let learned = table.learn(at(i * 40_000), mac(1), to);
        assert!(matches!(learned, Learned::Moved { .. }), "move {i}: {learned:?}");
    }
}

#[test]
fn a_static_address_neither_moves_nor_ages() {
    let mut table = table(10, 10);
    table.learn(at(0), mac(1), B);
    table.set_static(at(0), A, &[mac(1), mac(1), mac(2)]).unwrap();
    assert_eq!(
        (
            table.len(),
            table.static_len(),
            table.port_len(A),
            table.port_len(B)
        ),
        (2, 2, 2, 0)
    );
    assert_eq!(
        table.learn(at(1), mac(1), B),
        Learned::Frozen {
            port: A,
            newly: false
        }
    );
    assert_eq!(table.expire(at(10_000_000), 10), 0);
    assert_eq!(table.lookup(mac(1)), Some(A));

    let taken = StaticMacError::Taken { mac: mac(2), port: A };
    assert_eq!(table.set_static(at(1), B, &[mac(3), mac(2)]), Err(taken));
    assert_eq!(table.lookup(mac(3)), None, "a refusal changes nothing");
    let group = MacAddr([1, 0, 0x5e, 0, 0, 1]);
    assert_eq!(
        table.set_static(at(1), B, &[group]),
        Err(StaticMacError::Group(group))
    );

    table.set_static(at(1), A, &[mac(2)]).unwrap();
    assert_eq!((table.lookup(mac(1)), table.lookup(mac(2))), (None, Some(A)));
    assert_eq!(table.learn(at(2), mac(1), B), Learned::New);
}

#[test]
fn a_full_table_learns_nothing_and_makes_room_for_what_is_configured() {
    let mut table = table(4, 3);
    for n in 0..3 {
        assert_eq!(table.learn(at(u64::from(n)), mac(n), A), Learned::New);
    }
    assert_eq!(table.learn(at(5), mac(9), A), Learned::Full, "the peer's share");
    assert_eq!(table.learn(at(6), mac(3), B), Learned::New);
    assert_eq!(table.learn(at(7), mac(4), B), Learned::Full, "the table");
    assert_eq!(table.learn(at(7), mac(4), Port::Tap), Learned::Full);
    assert_eq!(table.learn(at(8), mac(3), A), Learned::Full, "no room to move to");
    assert_eq!(table.lookup(mac(3)), Some(B));

    table.set_static(at(9), B, &[mac(7)]).unwrap();
    assert_eq!(
        (table.len(), table.lookup(mac(0)), table.lookup(mac(7))),
        (4, None, Some(B))
    );
    assert_eq!(
        table.set_static(at(9), B, &[mac(6), mac(7), mac(8), mac(9)]),
        Err(StaticMacError::TooMany(3))
    );
    table.set_static(at(9), A, &[mac(20), mac(21), mac(22)]).unwrap();
    assert_eq!((table.len(), table.static_len()), (4, 4));
    assert!(
        table.set_static(at(9), Port::Tap, &[mac(30)]).is_err(),
        "nothing learned is left to displace"
    );
}

/// Found by the fuzzer, when both counted against one limit and the configured ones pushed it over.
#[test]
fn configured_addresses_do_not_count_against_the_learned() {
    let mut table = table(10, 2);
    for n in 0..2 {
        assert_eq!(table.learn(at(0), mac(n), A), Learned::New);
    }
    table.set_static(at(0), A, &[mac(10), mac(11)]).unwrap();
    assert_eq!((table.port_len(A), table.static_len()), (4, 2));
    assert_eq!(table.learn(at(0), mac(2), A), Learned::Full);
    table.set_static(at(0), A, &[mac(0)]).unwrap();
    assert_eq!(
        table.learn(at(0), mac(2), A),
        Learned::New,
        "one of the learned is configured now"
    );
}

#[test]
fn a_peer_brings_only_so_many_new_addresses_per_second() {
    let mut table = MacTable::new([1, 2], AGEING);
    let learn = |table: &mut MacTable, now, range: core::ops::Range<u32>, port| {
        range
            .filter(|n| table.learn(now, mac(*n), port) == Learned::New)
            .count()
    };
    assert_eq!(learn(&mut table, at(0), 0..1_000, A), 200);
    assert_eq!(
        learn(&mut table, at(0), 1_000..2_000, B),
        200,
        "each peer has its own allowance"
    );
    assert_eq!(learn(&mut table, at(100), 2_000..3_000, A), 20);
    assert_eq!(learn(&mut table, at(100), 10_000..20_000, Port::Tap), 10_000);
    // To draw addresses of others to itself costs as much.
    let moved = (10_000..11_000)
        .filter(|n| table.learn(at(150), mac(*n), A) != Learned::RateLimited)
        .count();
    assert_eq!(moved, 10);
}

#[test]
fn a_removed_port_takes_its_entries_along() {
    let mut table = table(1_000, 100);
    for n in 0..50 {
        table.learn(at(0), mac(n), A);
        table.learn(at(0), mac(100 + n), B);
    }
    table.set_static(at(0), A, &[mac(500)]).unwrap();
    table.clear_dynamic_on(A);
    assert_eq!(
        (table.port_len(A), table.port_len(B), table.lookup(mac(500))),
        (1, 50, Some(A))
    );
    table.remove_port(A);
    assert_eq!((table.port_len(A), table.len(), table.static_len()), (0, 50, 0));
    table.remove_port(Port::Peer(PeerId(40_000)));
    assert_eq!(table.len(), 50);
}

#[test]
fn clearing_keeps_what_is_configured() {
    let mut table = table(1_000, 100);
    for n in 0..50 {
        table.learn(at(0), mac(n), A);
        table.learn(at(0), mac(100 + n), Port::Tap);
    }
    table.set_static(at(0), A, &[mac(500)]).unwrap();
    table.set_static(at(0), Port::Tap, &[mac(501)]).unwrap();
    table.clear_dynamic();
    assert_eq!(
        (table.len(), table.static_len(), table.next_expiry()),
        (2, 2, None)
    );
    assert_eq!(
        (
            table.lookup(mac(500)),
            table.lookup(mac(501)),
            table.lookup(mac(1))
        ),
        (Some(A), Some(Port::Tap), None)
    );
    assert_eq!((table.port_len(A), table.port_len(Port::Tap)), (1, 1));
    assert_eq!(table.learn(at(1), mac(1), B), Learned::New);
}

#[test]
fn paging_shows_every_entry_once() {
    let mut table = table(10_000, 1_000);
    for n in 0..1_000 {
        table.learn(at(1_000), mac(n), Port::Tap);
    }
    table.set_static(at(1_000), A, &[mac(5_000)]).unwrap();
    for n in (0..1_000).step_by(3) {
        table.remove_port(A);
        table.learn(at(1_000), mac(n), Port::Tap);
    }
    table.set_static(at(1_000), A, &[mac(5_000)]).unwrap();
    let (mut seen, mut cursor) = (BTreeSet::new(), Some(0));
    let mut pages = Vec::new();
    while let Some(at_cursor) = cursor {
        let (page, next) = table.page(at(3_500), at_cursor, 64);
        assert!(page.len() <= 64);
        for entry in &page {
            assert!(seen.insert(entry.mac));
            assert_eq!(entry.is_static, entry.mac == mac(5_000));
            assert_eq!(entry.age, Span::from_millis(2_500));
        }
        pages.push(page.len());
        cursor = next;
    }
    assert_eq!(seen.len(), 1_001);
    assert_eq!(pages.len(), 16);
    assert_eq!(table.page(at(0), u32::MAX, 10), (Vec::new(), None));
    assert_eq!(table.page(at(0), 0, 0).0.len(), 1, "a page always makes progress");
}

/// The addresses of a rack of machines, and those of an attacker who counts in any byte, spread as well.
#[test]
fn the_hash_spreads_addresses_that_differ_little() {
    for seed in [
        [0, 0],
        [1, 2],
        [u64::MAX, u64::MAX],
        [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210],
    ] {
        let hash = SeededHash::new(seed);
        for shift in [0, 8, 16, 24, 32] {
            let mut buckets = [0_u32; 256];
            let mut tags = [0_u32; 128];
            for n in 0..65_536_u64 {
                let [_, _, mac @ ..] = ((n << shift) ^ (2 << 40)).to_be_bytes();
                let hash = hash.hash_one(MacAddr(mac));
                // hashbrown takes the bucket from the low bits and the tag from the highest seven.
                buckets[(hash & 255) as usize] += 1;
                tags[(hash >> 57) as usize] += 1;
            }
            assert!(
                buckets.iter().all(|n| (128..=384).contains(n)),
                "{seed:?}, {shift}: {buckets:?}"
            );
            assert!(
                tags.iter().all(|n| (256..=768).contains(n)),
                "{seed:?}, {shift}: {tags:?}"
            );
        }
    }
}

/// What may be done to a table, in P10.
#[derive(Clone, Copy, Debug)]
enum Op {
    Learn(u32, u16),
    Fix(u32, u16),
    Remove(u16),
    Clear,
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => (0_u32..250, 0_u16..100).prop_map(|(mac, port)| Op::Learn(mac, port)),
        2 => (0_u32..250, 0_u16..100).prop_map(|(mac, port)| Op::Fix(mac, port)),
        1 => (0_u16..100).prop_map(Op::Remove),
        1 => (0_u32..100).prop_map(|n| if n == 0 { Op::Clear } else { Op::Pass(u64::from(n)) }),
        4 => (0_u64..2_000).prop_map(Op::Pass),
    ]
}

/// Where the model has an address: behind this port, configured or last refreshed at that time (in ms).
type Known = BTreeMap<u32, (Port, Option<u64>)>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// P10: the table agrees with a plain map, whatever is done to it: 100 peers, 250 addresses. What the table refuses
    /// to learn or to move it says so of, and the model leaves it where it was.
    #[test]
    fn p10_the_table_agrees_with_a_model(ops in prop::collection::vec(op(), 1..400)) {
        let mut table = table(1_000, 1_000);
        let mut model = Known::new();
        let mut now = 0_u64;
        for op in ops {
            match op {
                Op::Learn(n, port) => {
                    let port = Port::Peer(PeerId(port));
                    let before = model.get(&n).copied();
                    match (table.learn(at(now), mac(n), port), before) {
                        (Learned::New, None) => drop(model.insert(n, (port, Some(now)))),
                        (Learned::Refreshed, Some((p, since))) => {
                            prop_assert_eq!(p, port);
                            // Written at most once a second.
                            let since = since.map(|s| if now - s >= 1_000 { now } else { s });
                            model.insert(n, (p, since));
                        }
                        (Learned::Moved { from }, Some((p, Some(_)))) => {
                            prop_assert!(from == p && p != port);
                            model.insert(n, (port, Some(now)));
                        }
                        (Learned::Frozen { port: stays, .. }, Some((p, _))) => {
                            prop_assert!(stays == p && p != port);
                        }
                        (Learned::RateLimited, before) => {
                            prop_assert!(before.is_none_or(|(p, since)| p != port && since.is_some()));
                        }
                        (said, before) => prop_assert!(false, "{said:?}, and it was {before:?}"),
                    }
                }
                Op::Fix(n, port) => {
                    let port = Port::Peer(PeerId(port));
                    let taken = model.get(&n).is_some_and(|(p, since)| since.is_none() && *p != port);
                    prop_assert_eq!(table.set_static(at(now), port, &[mac(n)]).is_err(), taken);
                    if !taken {
                        model.retain(|_, (p, since)| *p != port || since.is_some());
                        model.insert(n, (port, None));
                    }
                }
                Op::Remove(port) => {
                    table.remove_port(Port::Peer(PeerId(port)));
                    model.retain(|_, (p, _)| *p != Port::Peer(PeerId(port)));
                }
                Op::Clear => {
                    table.clear_dynamic();
                    model.retain(|_, (_, since)| since.is_none());
                }
                Op::Pass(seconds) => {
                    now += seconds * 100;
                    let old = |since: &Option<u64>| since.is_some_and(|s| s + 300_000 <= now);
                    let due = model.values().filter(|(_, since)| old(since)).count();
                    prop_assert_eq!(table.expire(at(now), usize::MAX), due);
                    model.retain(|_, (_, since)| !old(since));
                }
            }
            for n in 0..250 {
                prop_assert_eq!(table.lookup(mac(n)), model.get(&n).map(|(port, _)| *port));
            }
            prop_assert_eq!(table.len(), model.len());
            prop_assert_eq!(table.static_len(), model.values().filter(|(_, since)| since.is_none()).count());
        }
        let ports: BTreeSet<Port> = model.values().map(|(port, _)| *port).collect();
        for port in ports {
            prop_assert_eq!(table.port_len(port), model.values().filter(|(p, _)| *p == port).count());
        }
    }
}

/// After a flood of addresses the table is as small again as what is left in it, and knows that as before.
#[test]
fn a_table_that_was_large_becomes_small() {
    let mut table = table(100_000, 10);
    let stays = |n: u32| n % 1_000 == 999;
    table.set_static(at(0), B, &[mac(200_000)]).unwrap();
    for n in 0..20_000 {
        table.learn(at(u64::from(n)), mac(n), Port::Tap);
    }
    for n in (0..20_000).filter(|n| stays(*n)) {
        table.learn(at(100_000 + u64::from(n)), mac(n), Port::Tap);
    }
    let large = (table.entries.len(), table.index.capacity());
    assert!(large.0 > 20_000 && large.1 > 20_000);
    while table.expire(at(350_000), 64) == 64 {}
    assert_eq!(
        (table.len(), table.port_len(Port::Tap), table.port_len(B)),
        (21, 20, 1)
    );
    assert!(table.entries.len() < 100, "{} places", table.entries.len());
    assert!(table.index.capacity() < 200);
    assert_eq!(table.lookup(mac(200_000)), Some(B));
    assert_eq!(table.stations(Port::Tap, 100).len(), 20);
    // They age in the order in which they were seen last.
    for n in (0..20_000).filter(|n| stays(*n)) {
        assert_eq!(table.lookup(mac(n)), Some(Port::Tap));
        assert_eq!(table.next_expiry(), Some(at(400_000 + u64::from(n))));
        assert_eq!(table.expire(at(400_000 + u64::from(n)), 9), 1);
        assert_eq!(table.lookup(mac(n)), None);
    }
    assert_eq!((table.len(), table.next_expiry()), (1, None));
}
