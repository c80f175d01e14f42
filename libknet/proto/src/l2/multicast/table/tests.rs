use std::{collections::BTreeMap, vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::l2::multicast::tests_frames as build;

const V: VlanId = VlanId(7);
const ROUTER: Port = Port::Peer(PeerId(9));

fn at(seconds: u64) -> Time {
    Time::ZERO + Span::from_secs(seconds)
}

fn peer(n: u16) -> Port {
    Port::Peer(PeerId(n))
}

fn group(n: u8) -> IpAddr {
    [239, 0, 0, n].into()
}

fn learn(table: &mut ListenerTable, now: Time, port: Port, frame: &[u8]) {
    table.learn(now, V, port, &Message::parse(frame).expect("a message"));
}

/// Somebody has begun to ask a minute ago.
fn table() -> ListenerTable {
    let mut table = ListenerTable::default();
    table.set(true, false);
    learn(&mut table, at(0), ROUTER, &build::igmp(0x11, [0; 4], &[]));
    table
}

fn heard_by(table: &ListenerTable, n: u8) -> Vec<u16> {
    let next = |from| table.next(V, Protocol::Igmp, Some(group(n)), PeerId(from));
    let rest = |peer: &PeerId| next(peer.0 + 1);
    std::iter::successors(next(0), rest).map(|peer| peer.0).collect()
}

#[test]
fn a_group_goes_to_listeners_and_routers() {
    let mut table = table();
    learn(
        &mut table,
        at(1),
        peer(3),
        &build::igmp(0x16, [239, 0, 0, 1], &[]),
    );
    learn(
        &mut table,
        at(1),
        Port::Tap,
        &build::igmp(0x16, [239, 0, 0, 2], &[]),
    );
    learn(
        &mut table,
        at(1),
        peer(20),
        &build::igmp_records(&[(4, [239, 0, 0, 1], 0), (4, [239, 0, 0, 2], 0)]),
    );
    assert_eq!(heard_by(&table, 1), [3, 9, 20]);
    assert_eq!(heard_by(&table, 2), [9, 20]);
    assert_eq!(heard_by(&table, 3), [9]);
    assert_eq!(
        table.next(VlanId(8), Protocol::Igmp, Some(group(1)), PeerId(0)),
        None
    );
    let tap = [1, 2].map(|n| table.tap_wants(V, Protocol::Igmp, Some(group(n))));
    assert_eq!(tap, [false, true]);
    assert_eq!(table.len(), 4);

    // One leaves; unless another station says within three seconds that it listens, nobody does.
    learn(
        &mut table,
        at(10),
        peer(3),
        &build::igmp(0x17, [239, 0, 0, 1], &[]),
    );
    learn(
        &mut table,
        at(10),
        peer(20),
        &build::igmp_records(&[(3, [239, 0, 0, 1], 0)]),
    );
    learn(
        &mut table,
        at(11),
        peer(20),
        &build::igmp(0x16, [239, 0, 0, 1], &[]),
    );
    assert_eq!(table.expire(at(12), 10), 0);
    assert_eq!(table.expire(at(13), 10), 1);
    assert_eq!(heard_by(&table, 1), [9, 20]);
    // What is not said again is over.
    assert_eq!(table.next_expiry(), Some(at(255)));
    table.expire(at(280), 100);
    assert_eq!((table.len(), heard_by(&table, 1)), (0, vec![]));
}

/// Without somebody who asks, or just after, nobody is known not to listen.
#[test]
fn groups_are_kept_from_nobody_unless_somebody_asks() {
    let mut table = table();
    let known = |table: &ListenerTable, now| table.is_known(now, V, Protocol::Igmp);
    let times = [0, 14, 15, 254, 255];
    assert_eq!(
        times.map(|s| known(&table, at(s))),
        [false, false, true, true, false]
    );
    learn(&mut table, at(125), ROUTER, &build::igmp(0x11, [0; 4], &[]));
    assert!(known(&table, at(300)), "and asks on");
    assert!(
        !table.is_known(at(300), VlanId(8), Protocol::Igmp),
        "in this VLAN only"
    );
    assert!(!table.is_known(at(300), V, Protocol::Mld));
    table.set(true, true);
    assert!(!known(&table, at(300)));
}

#[test]
fn who_has_more_than_there_is_room_for_gets_everything() {
    let mut table = table();
    for n in 0..=MAX_MEMBERSHIPS_PER_PEER as u16 {
        let [a, b] = n.to_be_bytes();
        learn(
            &mut table,
            at(20 + u64::from(n)),
            peer(3),
            &build::igmp(0x16, [239, 9, a, b], &[]),
        );
    }
    assert_eq!((table.len(), table.overflows()), (MAX_MEMBERSHIPS_PER_PEER, 1));
    assert_eq!(heard_by(&table, 77), [3, 9]);
    // Nor is more taken in at once than a host says.
    let mut table = table_of_chatter();
    assert!(table.overflows() > 0);
    table.forget_port(peer(3));
    assert_eq!((table.len(), heard_by(&table, 77)), (0, vec![9]));
}

fn table_of_chatter() -> ListenerTable {
    let mut table = table();
    for _ in 0..600 {
        learn(
            &mut table,
            at(20),
            peer(3),
            &build::igmp(0x16, [239, 9, 9, 9], &[]),
        );
    }
    table
}

#[test]
fn a_router_that_is_given_stays() {
    let mut table = table();
    table.set_router(peer(5), Protocol::Igmp, true);
    table.forget_port(peer(5));
    table.clear();
    table.expire(at(100_000), 100);
    assert_eq!(heard_by(&table, 1), [5]);
    assert_eq!(table.next_expiry(), None);
    table.set_router(peer(5), Protocol::Igmp, false);
    assert_eq!(heard_by(&table, 1), []);
}

#[test]
fn all_workers_know_the_same() {
    let [mut here, mut there] = [0, 1].map(|_| {
        let mut table = ListenerTable::default();
        table.set(true, false);
        table.share();
        table
    });
    let mut tell = |now: Time, port: Port, frame: &[u8]| {
        learn(&mut here, now, port, frame);
        let news = here.take_news();
        for news in &news {
            there.hear(now, news);
        }
        assert_eq!(here.page(now, 0, 100), there.page(now, 0, 100));
        news.len()
    };
    assert_eq!(tell(at(0), ROUTER, &build::igmp(0x11, [0; 4], &[])), 2);
    let joins = build::igmp(0x16, [239, 0, 0, 1], &[]);
    assert_eq!(tell(at(1), peer(3), &joins), 1);
    assert_eq!(tell(at(1), peer(3), &joins), 0, "nothing new");
    assert_eq!(tell(at(120), peer(3), &joins), 1);
    assert_eq!(tell(at(130), peer(3), &build::igmp(0x17, [239, 0, 0, 1], &[])), 1);
}

proptest! {
    /// It is a map from ports and groups to times, and its indices agree with it.
    #[test]
    fn it_is_what_was_said_last(
        steps in prop::collection::vec((0_u16..6, 0_u8..5, any::<bool>(), 0_u64..40), 1..60),
    ) {
        let mut table = table();
        let mut model: BTreeMap<(u8, u16), u64> = BTreeMap::new();
        let mut now = 0;
        for (n, g, listens, pause) in steps {
            now += pause;
            table.expire(at(now), 1000);
            model.retain(|_, until| *until > now);
            let kind = if listens { 0x16 } else { 0x17 };
            learn(&mut table, at(now), peer(n), &build::igmp(kind, [239, 0, 0, g], &[]));
            match model.get_mut(&(g, n)) {
                Some(until) if !listens => *until = (*until).min(now + 3),
                _ if !listens => {}
                _ => drop(model.insert((g, n), now + 260)),
            }
            prop_assert_eq!(table.len(), model.len());
            for g in 0..5 {
                let listening = model.keys().filter(|(of, _)| *of == g).map(|(_, n)| *n);
                let router = (now < 255).then_some(9);
                prop_assert_eq!(heard_by(&table, g), listening.chain(router).collect::<Vec<u16>>());
            }
            prop_assert_eq!(table.rows.len(), table.due.len());
        }
    }
}
