use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    vec::Vec,
};

use proptest::prelude::*;

use super::*;

fn at(ms: u64) -> Time {
    Time::from_nanos((1_000 + ms) * 1_000_000)
}

fn link(n: u8) -> LinkId {
    LinkId::new(n).expect("a link id")
}

fn links(of: &[u8]) -> LinkSet {
    of.iter().map(|n| link(*n)).collect()
}

fn seq(counter: u32) -> DataSeq {
    DataSeq { session: 1, counter }
}

fn bytes(counter: u32, len: usize) -> Vec<u8> {
    (0..len).map(|i| (counter as usize * 7 + i) as u8).collect()
}

/// A ring, and the memory that it is in.
#[derive(Default)]
struct Bed {
    ring: ResendRing,
    arena: Arena,
}

impl Deref for Bed {
    type Target = ResendRing;

    fn deref(&self) -> &ResendRing {
        &self.ring
    }
}

impl DerefMut for Bed {
    fn deref_mut(&mut self) -> &mut ResendRing {
        &mut self.ring
    }
}

impl Bed {
    fn push(&mut self, now: Time, seq: DataSeq, over: LinkSet, queued: bool, datagram: &[u8]) -> bool {
        let start = self.arena.bytes.len();
        self.arena.bytes.extend_from_slice(datagram);
        let fits = self.ring.push(now, seq, over, queued, start, &mut self.arena);
        self.arena.sent();
        fits
    }

    fn reported(&mut self, link: LinkId, sound: bool, highest: DataSeq, bitmap: u64) {
        self.ring.reported(link, sound, highest, bitmap, &mut self.arena);
    }

    fn replay(&mut self, now: Time, over: LinkSet, what: What, max_age: Span) {
        self.ring.replay(now, over, what, max_age, &mut self.arena);
    }

    fn expire(&mut self, now: Time) {
        self.ring.expire(now, REPLAY_MAX_AGE, &mut self.arena);
    }
}

/// A ring with datagrams 0..n of 100 bytes that have gone out over link 0.
fn filled(n: u32) -> Bed {
    let mut ring = Bed::default();
    for c in 0..n {
        assert!(ring.push(at(0), seq(c), links(&[0]), false, &bytes(c, 100)));
    }
    ring
}

/// All that goes out now.
fn drain(bed: &mut Bed, now: Time) -> Vec<(u32, LinkSet)> {
    let mut out = Vec::new();
    loop {
        let start = bed.arena.bytes.len();
        let Some(r) = bed.ring.next(now, &mut bed.arena) else {
            break;
        };
        let sent = &bed.arena.bytes[start..];
        assert_eq!(sent, bytes(r.seq.counter, sent.len()), "the bytes are the same");
        out.push((r.seq.counter, r.over));
    }
    bed.arena.sent();
    out
}

fn counters(sent: &[(u32, LinkSet)]) -> Vec<u32> {
    sent.iter().map(|(c, _)| *c).collect()
}

#[test]
fn what_is_not_reported_goes_out_again_in_order() {
    let mut ring = filled(5);
    ring.reported(link(0), true, seq(1), 0b1);
    ring.replay(at(1), links(&[3]), What::Unreported, REPLAY_MAX_AGE);
    let sent = drain(&mut ring, at(1));
    assert_eq!(counters(&sent), [2, 3, 4]);
    assert!(sent.iter().all(|(_, over)| *over == links(&[3])));
    assert_eq!(
        ring.finish(),
        Some(Replayed {
            over: links(&[3]),
            frames: 3
        })
    );
    assert_eq!((ring.stats().replayed, ring.stats().replayed_bytes), (3, 300));
    assert!(!ring.is_replaying());
}

#[test]
fn a_hole_in_the_report_is_kept_and_sent_again() {
    let mut ring = filled(10);
    // 9 arrived, and of those before it all but 4.
    ring.reported(link(0), true, seq(9), !(1 << (9 - 4 - 1)));
    ring.replay(at(1), links(&[1]), What::Unreported, REPLAY_MAX_AGE);
    assert_eq!(counters(&drain(&mut ring, at(1))), [4]);
}

#[test]
fn what_a_working_link_lost_is_not_repaired() {
    let mut ring = filled(66);
    // 65 arrived; 0 is more than 64 before it, 1 is not.
    ring.reported(link(0), true, seq(65), 0);
    ring.replay(at(1), links(&[1]), What::Unreported, REPLAY_MAX_AGE);
    assert_eq!(counters(&drain(&mut ring, at(1))), (1..65).collect::<Vec<_>>());
}

#[test]
fn a_datagram_is_given_up_when_a_sound_link_has_passed_it_or_every_one() {
    let mut ring = Bed::default();
    for sound in [true, false] {
        ring.push(at(0), seq(0), links(&[0, 1]), false, &bytes(0, 50));
        ring.reported(link(2), true, seq(100), 0);
        assert_eq!(ring.held().0, 1, "link 2 never had it");
        ring.reported(link(0), false, seq(100), 0);
        assert_eq!(
            ring.held().0,
            1,
            "link 0 is in doubt, and link 1 may still deliver it"
        );
        ring.reported(link(1), sound, seq(100), 0);
        assert_eq!(ring.held(), (0, 0));
    }
    ring.push(at(0), seq(0), links(&[0, 1]), false, &bytes(0, 50));
    ring.reported(link(1), true, seq(100), 0);
    assert_eq!(
        ring.held(),
        (0, 0),
        "what a link in doubt had as well need not wait for it"
    );
}

#[test]
fn a_later_session_passes_those_before_it() {
    let mut ring = filled(3);
    ring.reported(
        link(0),
        true,
        DataSeq {
            session: 2,
            counter: 0,
        },
        u64::MAX,
    );
    assert_eq!(ring.held().0, 0, "a link delivers in order, rekey or not");
}

#[test]
fn new_ones_queue_behind_the_old_ones() {
    let mut ring = filled(2);
    ring.replay(at(1), links(&[1]), What::Unreported, REPLAY_MAX_AGE);
    assert_eq!(ring.in_order_over(), links(&[1]));
    ring.push(at(1), seq(2), LinkSet::EMPTY, true, &bytes(2, 100));
    ring.push(at(1), seq(3), links(&[0]), true, &bytes(3, 100));
    let sent = drain(&mut ring, at(1));
    assert_eq!(counters(&sent), [0, 1, 2, 3]);
    let done = ring.finish().expect("it is done");
    assert_eq!(done.frames, 2, "the new ones are not sent *again*");
}

#[test]
fn those_with_a_link_that_works_are_not_stranded() {
    let mut ring = Bed::default();
    for c in 0..9 {
        ring.push(at(0), seq(c), links(&[(c % 3) as u8]), false, &bytes(c, 80));
    }
    assert!(ring.holds_any_of(link(1)) && !ring.holds_any_of(link(3)));
    ring.replay(at(1), links(&[2]), What::Stranded(links(&[0, 2])), REPLAY_MAX_AGE);
    assert_eq!(
        ring.in_order_over(),
        LinkSet::EMPTY,
        "the receiver puts them into order"
    );
    assert_eq!(counters(&drain(&mut ring, at(1))), [1, 4, 7]);
}

#[test]
fn a_datagram_goes_over_each_link_once() {
    let mut ring = filled(1);
    for l in 1..8 {
        ring.replay(at(1), links(&[l, 0]), What::Unreported, REPLAY_MAX_AGE);
        assert_eq!(drain(&mut ring, at(1)), [(0, links(&[l]))]);
        ring.finish();
    }
    ring.replay(at(1), links(&[3]), What::Unreported, REPLAY_MAX_AGE);
    assert_eq!(drain(&mut ring, at(1)), []);
}

#[test]
fn a_link_that_was_in_doubt_is_asked_again_when_the_others_are() {
    let mut ring = filled(3);
    // Link 0 came into doubt; link 1 took over what it had.
    ring.replay(at(1), links(&[1]), What::Unreported, REPLAY_MAX_AGE);
    assert_eq!(counters(&drain(&mut ring, at(1))), [0, 1, 2]);
    ring.finish();
    ring.push(at(2), seq(3), links(&[0]), false, &bytes(3, 100));
    ring.returned(link(0));
    // It may well have lost them. What it was given alone is its own affair.
    ring.replay(at(3), links(&[0]), What::Unreported, REPLAY_MAX_AGE);
    assert_eq!(counters(&drain(&mut ring, at(3))), [0, 1, 2]);
    ring.finish();
    // The counters that come after say nothing of what it lost while in doubt.
    ring.returned(link(0));
    ring.reported(link(0), true, seq(100), 0);
    assert!(ring.holds_any_of(link(1)) && !ring.holds_any_of(link(0)));
    ring.reported(link(1), true, seq(100), 0);
    assert_eq!(ring.held().0, 0);
}

#[test]
fn what_went_to_the_old_address_goes_to_the_new_one() {
    let mut ring = filled(3);
    ring.path_changed(link(0));
    ring.reported(link(0), true, seq(100), 0);
    ring.replay(at(1), links(&[0]), What::Unreported, REPLAY_MAX_AGE);
    assert_eq!(counters(&drain(&mut ring, at(1))), [0, 1, 2]);
    ring.reported(link(0), true, seq(2), 0b11);
    assert_eq!(ring.held().0, 0);
}

#[test]
fn a_link_that_returns_during_the_replay_over_another_is_asked_again_too() {
    let mut ring = Bed::default();
    for c in 0..200 {
        ring.push(at(0), seq(c), links(&[0]), false, &bytes(c, 1_000));
    }
    ring.replay(at(1), links(&[1]), What::Unreported, REPLAY_MAX_AGE);
    let before = drain(&mut ring, at(1)).len();
    assert!((1..200).contains(&before), "it is paced: {before}");
    ring.returned(link(0));
    drain(&mut ring, at(9));
    drain(&mut ring, at(20));
    assert!(ring.finish().is_some());
    ring.leave(link(1));
    ring.replay(at(21), links(&[0]), What::Unreported, REPLAY_MAX_AGE);
    let sent: Vec<_> = (21..40).flat_map(|ms| drain(&mut ring, at(ms))).collect();
    assert_eq!(counters(&sent), (0..200).collect::<Vec<_>>());
}

#[test]
fn a_large_replay_is_paced() {
    let mut ring = Bed::default();
    let n = 1_000;
    for c in 0..n {
        ring.push(at(0), seq(c), links(&[0]), false, &bytes(c, 1_024));
    }
    // A thousand in ten milliseconds: twice that rate is 200 per millisecond.
    ring.replay(at(9), links(&[1]), What::Unreported, REPLAY_MAX_AGE);
    let first = drain(&mut ring, at(9)).len();
    assert_eq!(first, 64);
    assert_eq!(ring.finish(), None);
    assert!(ring.is_replaying());
    assert_eq!(ring.deadline(), Some(at(10)));
    let second = drain(&mut ring, at(10)).len();
    assert_eq!(second, 200);
    let mut sent = first + second;
    for ms in 11..20 {
        sent += drain(&mut ring, at(ms)).len();
    }
    assert_eq!(sent, n as usize);
    assert_eq!(ring.finish().map(|r| r.frames), Some(n));
}

#[test]
fn what_was_sent_slowly_is_sent_again_at_the_least_pace() {
    let mut ring = Bed::default();
    for c in 0..100 {
        ring.push(at(0), seq(c), links(&[0]), false, &bytes(c, 1_024));
    }
    // Twice the rate at which it was sent would be one per millisecond.
    ring.replay(at(200), links(&[1]), What::Unreported, REPLAY_MAX_AGE);
    let sent = [200, 201, 202].map(|ms| drain(&mut ring, at(ms)).len());
    assert_eq!(sent, [64, 32, 4]);
}

#[test]
fn what_is_too_old_stays_behind_and_is_counted() {
    let mut ring = filled(3);
    ring.push(at(50), seq(3), links(&[0]), false, &bytes(3, 100));
    ring.replay(at(300), links(&[1]), What::Unreported, REPLAY_MAX_AGE);
    assert_eq!(counters(&drain(&mut ring, at(300))), [3], "exactly old enough");
    assert_eq!(ring.stats().evicted, 3);
    ring.clear_stats();
    assert_eq!(ring.stats(), RingStats::default());
}

#[test]
fn one_switch_sends_again_four_mebibytes_or_what_was_sent_in_50_ms() {
    for (age_ms, most) in [(199, 4_096), (9, 6_144)] {
        let mut ring = Bed::default();
        for c in 0..6_144 {
            ring.push(at(0), seq(c), links(&[0]), false, &bytes(c, 1_024));
        }
        ring.replay(at(age_ms), links(&[1]), What::Unreported, REPLAY_MAX_AGE);
        let sent: usize = (age_ms..400).map(|ms| drain(&mut ring, at(ms)).len()).sum();
        assert_eq!(sent, most, "sent within {age_ms} ms");
    }
}

#[test]
fn a_replay_catches_up_with_what_is_new() {
    let mut ring = filled(100);
    // What was sent before says little about how much there is to send now.
    ring.replay(at(100), links(&[1]), What::Unreported, REPLAY_MAX_AGE);
    let mut next = 100;
    for ms in 100.. {
        drain(&mut ring, at(ms));
        if ring.finish().is_some() {
            break;
        }
        assert!(ms < 140, "{:?} held after 40 ms", ring.held());
        for _ in 0..500 {
            assert!(ring.push(at(ms), seq(next), LinkSet::EMPTY, true, &bytes(next, 100)));
            next += 1;
        }
    }
}

#[test]
fn the_replay_ends_with_its_last_link_and_another_takes_up_what_is_left() {
    let mut ring = Bed::default();
    for c in 0..200 {
        ring.push(at(0), seq(c), links(&[0]), false, &bytes(c, 1_000));
    }
    ring.replay(at(1), links(&[1]), What::Unreported, REPLAY_MAX_AGE);
    drain(&mut ring, at(1));
    ring.push(at(1), seq(200), LinkSet::EMPTY, true, &bytes(200, 100));
    ring.leave(link(1));
    assert_eq!(drain(&mut ring, at(2)), [], "there is no link to send it over");
    assert!(ring.finish().is_some());
    assert_eq!(ring.in_order_over(), LinkSet::EMPTY);
    ring.replay(at(2), links(&[2]), What::Unreported, REPLAY_MAX_AGE);
    let sent: Vec<_> = (2..9).flat_map(|ms| drain(&mut ring, at(ms))).collect();
    assert_eq!(counters(&sent), (0..=200).collect::<Vec<_>>());
}

#[test]
fn memory_is_bounded_and_given_back() {
    let mut ring = filled(MAX_ENTRIES as u32 + 1_000);
    assert_eq!(ring.held().0, MAX_ENTRIES);
    assert_eq!(ring.stats().evicted, 1_000);
    ring.expire(at(500));
    assert_eq!(ring.held().0, MAX_ENTRIES, "exactly twice the age");
    ring.expire(at(501));
    assert_eq!((ring.held(), ring.arena.held_bytes()), ((0, 0), 0));
    assert!(ring.entries.capacity() > 0, "it may be needed again at once");
    ring.expire(at(2_000));
    assert_eq!((ring.entries.capacity(), ring.arena.reserved()), (0, 0));

    let large = |ring: &mut Bed, c| ring.push(at(0), seq(c), links(&[0]), false, &[0; 9_000]);
    let n = (MAX_BYTES / 9_000) as u32;
    assert!((0..n + 10).all(|c| large(&mut ring, c)));
    assert_eq!((ring.held().0, ring.stats().evicted), (n as usize, 1_010));
}

#[test]
fn whoever_comes_when_little_is_left_gets_little_but_something() {
    let mut bed = Bed::default();
    // What others have.
    let others: Vec<ResendRing> = (0..31)
        .map(|_| {
            let mut other = ResendRing::default();
            for c in 0..256 {
                let start = bed.arena.bytes.len();
                bed.arena.bytes.resize(start + 65_536, 0);
                assert!(other.push(at(0), seq(c), links(&[0]), false, start, &mut bed.arena));
                bed.arena.sent();
            }
            other
        })
        .collect();
    assert!(others.iter().all(|o| o.held().1 == 16 << 20));
    for c in 0..200 {
        assert!(bed.push(at(0), seq(c), links(&[0]), false, &bytes(c, 65_536)));
    }
    let (held, left) = (bed.held().1, bed.arena.room());
    assert!(
        held <= left + 65_536 && held > 6 << 20,
        "{held} held, {left} left"
    );
}

#[derive(Clone, Debug)]
enum Step {
    Push {
        len: usize,
        over: u8,
    },
    /// The receiver has got everything up to `back` before the newest that is given by a bit in `got`.
    Report {
        link: u8,
        back: u32,
        got: u64,
        sound: bool,
    },
    Replay {
        over: u8,
        stranded: bool,
    },
    Leave {
        link: u8,
    },
    Return {
        link: u8,
        moved: bool,
    },
    Wait {
        ms: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (30_usize..9_300, 0_u8..3).prop_map(|(len, over)| Step::Push { len, over }),
        2 => (0_u8..3, 0_u32..100, any::<u64>(), any::<bool>())
            .prop_map(|(link, back, got, sound)| Step::Report { link, back, got, sound }),
        1 => (0_u8..3, any::<bool>()).prop_map(|(over, stranded)| Step::Replay { over, stranded }),
        1 => (0_u8..3).prop_map(|link| Step::Leave { link }),
        1 => (0_u8..3, any::<bool>()).prop_map(|(link, moved)| Step::Return { link, moved }),
        1 => (0_u64..20).prop_map(|ms| Step::Wait { ms }),
    ];
    prop::collection::vec(step, 1..400)
}

proptest! {
    /// P13: what the ring lets go of has been reported as arrived, or a sound link that it went out on has passed it by
    /// more than 64, or each of them has, or it was too old or in the way (counted). And what it sends again is what was sent.
    #[test]
    fn nothing_is_let_go_of_without_a_reason(steps in steps()) {
            let mut ring = Bed::default();
        let mut now = at(0);
        let mut next = 0_u32;
        // Counter → the links it went out on that have not passed it; removed when it arrived.
        let mut model: BTreeMap<u32, LinkSet> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Push { len, over } => {
                    let busy = ring.in_order_over().intersection(links(&[over]));
                    let at_once = links(&[over]).minus(busy);
                    prop_assert!(ring.push(now, seq(next), at_once, !busy.is_empty(), &bytes(next, len)));
                    model.insert(next, at_once);
                    next += 1;
                }
                Step::Report { link: l, back, got, sound } => {
                    let Some(highest) = next.checked_sub(1 + back) else { continue };
                    // Only what really went out over the link can be reported for it.
                    if model.get(&highest).is_none_or(|on| !on.contains(link(l))) {
                        continue;
                    }
                    ring.reported(link(l), sound, seq(highest), got);
                    model.retain(|counter, on| {
                        match highest.checked_sub(*counter) {
                            Some(0) => false,
                            Some(d @ 1..=64) => got & (1 << (d - 1)) == 0,
                            Some(_) if on.contains(link(l)) => {
                                *on = on.without(link(l));
                                !sound && !on.is_empty()
                            }
                            None | Some(_) => true,
                        }
                    });
                }
                Step::Replay { over, stranded } => {
                    let what = if stranded { What::Stranded(links(&[over])) } else { What::Unreported };
                    ring.replay(now, links(&[over]), what, Span::from_secs(9));
                }
                Step::Leave { link: l } => {
                    ring.leave(link(l));
                    now = now + PACE;
                }
                Step::Return { link: l, moved } => {
                    if moved {
                        ring.path_changed(link(l));
                    } else {
                        ring.returned(link(l));
                    }
                    let all = moved || ring.is_replaying();
                    for on in model.values_mut().filter(|on| all || **on != links(&[l])) {
                        *on = on.without(link(l));
                    }
                }
                Step::Wait { ms } => now = now + Span::from_millis(ms),
            }
            for (counter, over) in drain(&mut ring, now) {
                let on = model.get_mut(&counter);
                prop_assert!(on.is_some(), "{counter} was sent again after it had been settled");
                if let Some(on) = on {
                    prop_assert!(on.intersection(over).is_empty(), "{counter} twice over one link");
                    *on = on.union(over);
                }
            }
            ring.finish();
            prop_assert_eq!(ring.stats().evicted, 0);
            let held: Vec<u32> = ring.entries.iter().filter(|e| e.state != State::Settled).map(|e| e.seq.counter).collect();
            let expected: Vec<u32> = model.keys().copied().collect();
            prop_assert_eq!(held, expected);
        }
    }
}
