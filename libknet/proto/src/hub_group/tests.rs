use proptest::prelude::*;

use super::*;

const A: PeerId = PeerId(3);
const B: PeerId = PeerId(7);

fn at(ms: u64) -> Time {
    Time::from_nanos(1_000_000_000) + Span::from_millis(ms)
}

/// Both up, A preferred and active, at 0 ms.
fn settled() -> HubGroup {
    let mut group = HubGroup::new(at(0), "hubs".into(), B, 100);
    group.join(A, 200);
    for member in [A, B] {
        group.heard(at(0), member, Standing::Up, 0);
    }
    assert_eq!(
        step(&mut group, at(0)),
        Some(Act::TakeOver(A, TakeOverReason::First))
    );
    assert_eq!(step(&mut group, at(0)), None);
    group
}

/// Does what the group says.
fn step(group: &mut HubGroup, now: Time) -> Option<Act> {
    let act = group.judge(now);
    if let Some(Act::TakeOver(to, reason)) = act {
        group.take_over(now, to, reason);
    }
    act
}

fn question(act: Option<Act>) -> u32 {
    match act {
        Some(Act::Prove(question)) => question,
        other => panic!("no question: {other:?}"),
    }
}

#[test]
fn one_in_doubt_is_left_for_one_that_answers_after_a_moment() {
    let mut group = settled();
    group.heard(at(100), A, Standing::Doubtful, 0);
    let question = question(step(&mut group, at(100)));
    group.heard(at(101), B, Standing::Up, question);
    assert_eq!(step(&mut group, at(101)), Some(Act::Ask(A)));
    assert_eq!(step(&mut group, at(101)), None, "it may only have stood still");
    assert_eq!(group.deadline(at(101)), Some(at(116)));
    let take_over = Act::TakeOver(B, TakeOverReason::InDoubt);
    assert_eq!(step(&mut group, at(116)), Some(take_over));
    assert_eq!(group.active(), Some(B));
    assert_eq!(group.history(), (at(116), TakeOverReason::InDoubt, 1));
}

#[test]
fn one_that_was_only_slow_is_not_left() {
    let mut group = settled();
    group.heard(at(100), A, Standing::Doubtful, 0);
    let question = question(step(&mut group, at(100)));
    group.heard(at(101), B, Standing::Up, question);
    assert_eq!(step(&mut group, at(101)), Some(Act::Ask(A)));
    group.heard(at(110), A, Standing::Up, 0);
    assert_eq!(step(&mut group, at(120)), None);
    assert_eq!(group.active(), Some(A));
}

#[test]
fn nobody_is_taken_over_that_does_not_answer() {
    let mut group = settled();
    group.heard(at(100), A, Standing::Doubtful, 0);
    let asked = question(step(&mut group, at(100)));
    assert_eq!(step(&mut group, at(200)), None);
    assert_eq!(group.deadline(at(200)), None, "only an answer changes anything");
    group.heard(at(300), A, Standing::Down, 0);
    assert_eq!(step(&mut group, at(300)), None);
    group.heard(at(400), B, Standing::Doubtful, 0);
    group.heard(at(500), B, Standing::Up, asked);
    assert_eq!(
        step(&mut group, at(500)),
        Some(Act::TakeOver(B, TakeOverReason::Down))
    );
}

#[test]
fn the_preferred_one_is_gone_back_to_later_each_time_that_it_fails() {
    let mut group = settled();
    let mut now = 1_000;
    for hold in [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000] {
        group.heard(at(now), A, Standing::Down, 0);
        let question = question(step(&mut group, at(now)));
        group.heard(at(now), B, Standing::Up, question);
        assert_eq!(
            step(&mut group, at(now)),
            Some(Act::TakeOver(B, TakeOverReason::Down))
        );
        now += 500;
        group.heard(at(now), A, Standing::Up, 0);
        assert_eq!(step(&mut group, at(now + hold - 1)), None);
        assert_eq!(group.deadline(at(now)), Some(at(now + hold)));
        now += hold;
        assert_eq!(
            step(&mut group, at(now)),
            Some(Act::TakeOver(A, TakeOverReason::Preferred))
        );
        now += 1;
    }
    now += 700_000;
    group.heard(at(now), A, Standing::Down, 0);
    let question = question(step(&mut group, at(now)));
    group.heard(at(now), B, Standing::Up, question);
    step(&mut group, at(now));
    group.heard(at(now), A, Standing::Up, 0);
    assert_eq!(
        group.deadline(at(now)),
        Some(at(now + 10_000)),
        "long ago is forgiven"
    );
}

#[test]
fn one_that_has_never_failed_is_preferred_at_once() {
    let mut group = HubGroup::new(at(0), "hubs".into(), A, 200);
    group.join(B, 100);
    group.heard(at(5), B, Standing::Up, 0);
    assert_eq!(
        step(&mut group, at(5)),
        Some(Act::TakeOver(B, TakeOverReason::First))
    );
    group.heard(at(9), A, Standing::Up, 0);
    assert_eq!(
        step(&mut group, at(9)),
        Some(Act::TakeOver(A, TakeOverReason::Preferred))
    );
}

#[test]
fn among_equals_the_one_in_use_stays() {
    let mut group = HubGroup::new(at(0), "hubs".into(), A, 100);
    group.join(B, 100);
    group.heard(at(5), B, Standing::Up, 0);
    step(&mut group, at(5));
    group.heard(at(9), A, Standing::Up, 0);
    assert_eq!(step(&mut group, at(900_000)), None);
    assert_eq!(group.active(), Some(B));
}

#[test]
fn a_member_that_leaves_is_followed_by_the_best_of_the_others() {
    let mut group = settled();
    assert!(group.leave(A));
    assert_eq!(group.port(), Some(B));
    assert_eq!(
        step(&mut group, at(50)),
        Some(Act::TakeOver(B, TakeOverReason::First))
    );
    assert!(!group.leave(B));
}

proptest! {
    /// Whatever happens: nobody is taken over that is not up, nobody twice in a row, and what is judged is judged at once.
    #[test]
    fn the_one_in_use_was_up_when_it_was_taken(
        steps in prop::collection::vec((0_u64..40_000, 0_u16..4, 0_u8..3, any::<bool>()), 1..200),
    ) {
        let mut group = HubGroup::new(at(0), "hubs".into(), PeerId(0), 100);
        for peer in 1..4 {
            group.join(PeerId(peer), 100 + peer as u8 / 2);
        }
        let (mut now, mut asked) = (at(0), 0);
        for (pause, peer, standing, answers) in steps {
            now = now + Span::from_millis(pause);
            let standing = [Standing::Down, Standing::Doubtful, Standing::Up][usize::from(standing)];
            group.heard(now, PeerId(peer), standing, if answers { asked } else { 0 });
            for round in 0.. {
                prop_assert!(round < 4, "it never ends");
                let before = group.active();
                match step(&mut group, now) {
                    None => break,
                    Some(Act::Prove(question)) => asked = question,
                    Some(Act::Ask(peer)) => prop_assert_eq!(before, Some(peer)),
                    Some(Act::TakeOver(to, _)) => {
                        prop_assert_ne!(before, Some(to));
                        let member = group.members().iter().find(|m| m.peer == to);
                        prop_assert!(member.is_some_and(|m| m.standing == Standing::Up));
                    }
                }
            }
            prop_assert!(group.deadline(now).is_none_or(|at| at > now));
        }
    }
}
