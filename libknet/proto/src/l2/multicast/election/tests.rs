use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::{
    ids::{MacAddr, PeerId},
    l2::multicast::query::INTERVAL,
};

const V: VlanId = VlanId(7);
const A: Port = Port::Peer(PeerId(1));
const B: Port = Port::Peer(PeerId(2));

fn at(seconds: u64) -> Time {
    Time::from_nanos(1) + Span::from_secs(seconds)
}

fn query(last: u8) -> Query {
    Query::ours([10, 0, 0, last].into(), MacAddr([2, 0, 0, 0, 0, last]), INTERVAL)
}

fn asks(queriers: &Queriers, now: Time) -> Option<(Option<Port>, u8)> {
    let querier = queriers.get(now, V, Protocol::Igmp)?;
    Some((querier.port, querier.query.mac.0[5]))
}

#[test]
fn a_better_one_silences_ours_until_it_has_not_been_heard_for_long() {
    let mut queriers = Queriers::default();
    let ours = query(5);
    assert!(queriers.is_for(at(0), V, &ours));
    assert!(queriers.hear(at(0), V, None, ours).is_some());
    assert_eq!(queriers.hear(at(1), V, Some(B), query(9)), None, "a worse one");
    assert_eq!(asks(&queriers, at(1)), Some((None, 5)));
    assert!(queriers.is_for(at(1), V, &ours));
    assert!(!queriers.is_for(at(1), V, &query(9)));

    let (since, until) = queriers.hear(at(40), V, Some(A), query(2)).expect("another one");
    assert_eq!(
        (since, until),
        (at(15), at(40 + 255)),
        "who listens is known since the first question"
    );
    assert_eq!(asks(&queriers, at(40)), Some((Some(A), 2)));
    assert!(!queriers.is_for(at(294), V, &ours));
    assert!(queriers.is_for(at(295), V, &ours));
    assert_eq!(queriers.expire(at(294)), None);
    assert_eq!(queriers.expire(at(295)), Some((V, Protocol::Igmp)));
    assert_eq!((queriers.expire(at(295)), queriers.next_expiry()), (None, None));
    let (since, _) = queriers.hear(at(295), V, None, ours).expect("again");
    assert_eq!(since, at(295 + 15), "who listens has to say so again");
    // In another VLAN that is another matter.
    assert!(queriers.is_for(at(40), VlanId(8), &query(9)));
}

#[test]
fn who_asks_is_forgotten_with_its_port() {
    let mut queriers = Queriers::default();
    queriers.hear(at(0), V, Some(A), query(2));
    queriers.hear(at(0), VlanId(8), Some(A), query(2));
    queriers.hear(at(0), VlanId(9), Some(B), query(2));
    queriers.hear(at(0), VlanId(10), None, query(3));
    assert_eq!(
        queriers.remove_port(A),
        [(V, Protocol::Igmp), (VlanId(8), Protocol::Igmp)]
    );
    assert_eq!(queriers.remove_port(A), []);
    queriers.remove_ours(Protocol::Mld);
    assert_eq!(
        queriers.ours(at(1), Protocol::Igmp).collect::<Vec<_>>(),
        [VlanId(10)]
    );
    queriers.remove_ours(Protocol::Igmp);
    assert_eq!(queriers.iter().count(), 1);
}

#[test]
fn what_would_not_last_is_told_again() {
    let mut queriers = Queriers::default();
    assert!(queriers.hear(at(0), V, Some(A), query(2)).is_some());
    assert!(
        queriers.hear(at(1), V, Some(A), query(2)).is_none(),
        "nothing new"
    );
    assert!(queriers.hear(at(2), V, Some(B), query(2)).is_some(), "elsewhere");
    assert!(queriers.hear(at(125), V, Some(B), query(2)).is_some());
}

proptest! {
    /// Of those that still ask it is the best one, and the indices agree.
    #[test]
    fn the_best_one_asks(steps in prop::collection::vec((0_u8..6, 0_u64..200), 1..60)) {
        let mut queriers = Queriers::default();
        let mut now = 0;
        for (n, pause) in steps {
            now += pause;
            while queriers.expire(at(now)).is_some() {}
            let before = asks(&queriers, at(now));
            let port = (n > 0).then_some(Port::Peer(PeerId(n.into())));
            queriers.hear(at(now), V, port, query(n));
            let best = before.map_or(n, |(_, before)| before.min(n));
            prop_assert_eq!(asks(&queriers, at(now)).map(|(_, n)| n), Some(best));
            prop_assert_eq!(queriers.due.len(), queriers.places.len());
            let behind_ports = queriers.places.values().filter(|q| q.port.is_some()).count();
            prop_assert_eq!(queriers.by_port.len(), behind_ports);
        }
    }
}
