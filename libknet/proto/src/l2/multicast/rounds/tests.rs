use std::{vec, vec::Vec};

use super::*;

fn at(ms: u64) -> Time {
    Time::from_nanos(1) + Span::from_millis(ms)
}

/// When a round begins, in the first so many seconds.
fn begins(rounds: &mut Rounds, protocol: Protocol, seconds: u64) -> Vec<u64> {
    let all = (0..seconds).filter(|s| {
        let now = at(s * 1_000);
        core::iter::from_fn(|| rounds.begin(now)).any(|of| of == protocol)
    });
    all.collect()
}

#[test]
fn it_is_asked_twice_soon_and_then_once_in_each_interval() {
    let mut rounds = Rounds::default();
    assert_eq!((rounds.deadline(), rounds.begin(at(0))), (None, None));
    rounds.set(at(0), Protocol::Igmp, Some(Span::from_secs(100)));
    assert!(rounds.is_on(Protocol::Igmp) && !rounds.is_on(Protocol::Mld));
    assert_eq!(begins(&mut rounds, Protocol::Igmp, 300), [0, 25, 125, 225]);
    // What stays as it is goes on; another interval begins anew.
    rounds.set(at(300_000), Protocol::Igmp, Some(Span::from_secs(100)));
    assert_eq!(rounds.next_round(Protocol::Igmp), Some(at(325_000)));
    rounds.set(at(300_000), Protocol::Igmp, Some(Span::from_secs(60)));
    assert_eq!(rounds.deadline(), Some(at(300_000)));
    rounds.set(at(300_000), Protocol::Igmp, None);
    assert_eq!(rounds.deadline(), None);
}

#[test]
fn vlans_are_asked_one_after_the_other_and_in_time() {
    for (seconds, apart) in [(125, 20_000), (1, 976)] {
        let mut rounds = Rounds::default();
        let interval = Span::from_secs(seconds);
        for protocol in [Protocol::Igmp, Protocol::Mld] {
            rounds.set(at(0), protocol, Some(interval));
            assert_eq!(rounds.begin(at(0)), Some(protocol));
            for vlan in 1..=MAX_QUERIED_VLANS as u16 {
                rounds.ask(protocol, VlanId(vlan));
            }
        }
        let (mut asked, mut now) = (vec![], at(0));
        while let Some((protocol, vlan)) = rounds.next(now) {
            rounds.asked(now);
            assert_eq!(rounds.next(now), None, "not at once");
            asked.push((protocol, vlan));
            now = now + Span::from_micros(apart + 1);
        }
        assert_eq!(asked.len(), 2 * MAX_QUERIED_VLANS);
        asked.dedup();
        assert_eq!(asked.len(), 2 * MAX_QUERIED_VLANS);
        assert!(now <= at(0) + interval, "{:?}", now.since(at(0)));
    }
}

#[test]
fn where_is_to_be_asked_is_bounded_and_forgotten_with_the_protocol() {
    let mut rounds = Rounds::default();
    rounds.ask(Protocol::Mld, VlanId(1));
    assert_eq!(rounds.next(at(0)), None, "we do not ask");
    rounds.set(at(0), Protocol::Mld, Some(Span::from_secs(125)));
    (1..=4_094).for_each(|vlan| rounds.ask(Protocol::Mld, VlanId(vlan)));
    assert_eq!(rounds.waiting.len(), 4 * MAX_QUERIED_VLANS);
    rounds.restart();
    assert_eq!(
        (rounds.next(at(0)), rounds.begin(at(0))),
        (None, Some(Protocol::Mld))
    );
    rounds.ask(Protocol::Mld, VlanId(1));
    rounds.set(at(0), Protocol::Mld, None);
    assert_eq!(rounds.next(at(0)), None);
}
