use std::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};

use proptest::{collection, prelude::*};

use super::*;

mod model;
mod simulation;

const START: Time = Time::from_nanos(5_000_000_000);
const ROOMY: usize = 256 << 20;
const FRAME: Item = Item::Frame(Checksum::Complete);

fn ms(n: u64) -> Span {
    Span::from_millis(n)
}

fn link(n: u8) -> LinkId {
    LinkId::new(n).expect("a link id")
}

/// A resequencer with its caller: everything that comes out is written down.
struct Bed {
    r: Resequencer,
    budget: Budget,
    now: Time,
    wait: Span,
    /// Session and counter of what was delivered; the bytes of a datagram tell both.
    out: Vec<(u32, u32)>,
}

impl Bed {
    fn new() -> Self {
        let mut bed = Self::bare();
        bed.begin(1);
        bed
    }

    /// No session has begun.
    fn bare() -> Self {
        Self {
            r: Resequencer::new(),
            budget: Budget::new(ROOMY),
            now: START,
            wait: ms(20),
            out: Vec::new(),
        }
    }

    /// A session in which the links have delivered the first counters, in turn, and the start is over.
    fn settled(links: &[u8]) -> Self {
        let mut bed = Self::new();
        for (counter, l) in (0..).zip(links) {
            assert_eq!(bed.arrive(*l, counter), Verdict::Deliver);
        }
        bed.pass_time(ms(50));
        bed.out.clear();
        bed
    }

    fn begin(&mut self, session: u32) {
        let old: Vec<Released> = self.r.begin(self.now, session, &mut self.budget).collect();
        for released in old {
            self.deliver(&released);
        }
    }

    fn arrive(&mut self, over: u8, counter: u32) -> Verdict {
        self.arrive_as(1, Some(link(over)), counter, FRAME, 60)
    }

    fn arrive_as(
        &mut self,
        session: u32,
        over: Option<LinkId>,
        counter: u32,
        item: Item,
        len: usize,
    ) -> Verdict {
        let mut bytes = [session.to_be_bytes(), counter.to_be_bytes()].concat();
        bytes.resize(len.max(8), 0xA5);
        if item == Item::Nothing {
            bytes.clear();
        }
        let arrival = Arrival {
            session,
            counter,
            link: over,
            item,
            bytes: &bytes,
        };
        let verdict = self.r.arrived(self.now, &arrival, self.wait, &mut self.budget);
        if verdict == Verdict::Deliver && item != Item::Nothing {
            self.out.push((session, counter));
        }
        self.drain();
        verdict
    }

    fn drain(&mut self) {
        while let Some(released) = self.r.release(self.now, &mut self.budget) {
            self.deliver(&released);
        }
        assert_eq!(self.budget.used(), self.r.held_bytes());
        assert!(self.r.held_items() <= MAX_ITEMS && self.r.held_bytes() <= MAX_BYTES);
        assert!(!self.budget.is_over());
        assert_eq!(self.r.held_items() == 0, self.r.deadline().is_none());
        assert!(self.r.deadline().is_none_or(|at| at > self.now));
    }

    fn deliver(&mut self, (item, bytes): &Released) {
        assert_ne!(*item, Item::Nothing);
        let (head, filling) = bytes.split_at(8);
        assert!(
            filling.iter().all(|b| *b == 0xA5),
            "what is released is what came in"
        );
        let number = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().expect("four bytes"));
        self.out.push((number(0), number(4)));
    }

    /// Lets `span` pass; deadlines on the way are served when they come.
    fn pass_time(&mut self, span: Span) {
        let end = self.now + span;
        while let Some(at) = self.r.deadline().filter(|at| *at <= end) {
            self.now = at;
            self.drain();
        }
        self.now = end;
        self.drain();
    }

    /// The counters that have come out since the last call.
    fn take(&mut self) -> Vec<u32> {
        self.out.drain(..).map(|(_, counter)| counter).collect()
    }

    fn counters(&self) -> Counters {
        *self.r.counters()
    }
}

#[test]
fn in_order_nothing_is_held_and_nothing_is_counted() {
    let mut bed = Bed::new();
    for counter in 0..5_000 {
        assert_eq!(bed.arrive((counter % 3) as u8, counter), Verdict::Deliver);
        assert_eq!(bed.r.held_items(), 0);
    }
    assert_eq!(bed.take(), (0..5_000).collect::<Vec<_>>());
    assert_eq!(bed.counters(), Counters::default());
}

#[test]
fn a_hole_is_waited_for_and_what_fills_it_is_not_copied() {
    let mut bed = Bed::settled(&[0, 1]);
    assert_eq!(bed.arrive(0, 3), Verdict::Held);
    assert_eq!(bed.arrive(0, 5), Verdict::Held);
    assert_eq!(bed.r.held_items(), 2);
    assert_eq!(bed.r.held_bytes(), 2 * (60 + ITEM_COST));
    bed.pass_time(ms(7));
    assert_eq!(bed.arrive(1, 2), Verdict::Deliver);
    assert_eq!(bed.take(), [2, 3]);
    assert_eq!(bed.arrive(1, 4), Verdict::Deliver);
    assert_eq!(bed.take(), [4, 5]);
    let expected = Counters {
        held: 2,
        longest_hold: ms(7),
        ..Counters::default()
    };
    assert_eq!(bed.counters(), expected);
    assert_eq!((bed.r.held_items(), bed.budget.used()), (0, 0));
}

#[test]
fn a_hole_that_every_voting_link_has_passed_is_given_up() {
    let mut bed = Bed::settled(&[0, 1, 2]);
    assert_eq!(bed.arrive(0, 4), Verdict::Held);
    assert_eq!(bed.arrive(1, 5), Verdict::Held);
    assert_eq!(bed.take(), []);
    bed.arrive(2, 7);
    assert_eq!(bed.take(), [4, 5], "3 is lost; 6 may still come over link 0 or 1");
    bed.arrive(0, 8);
    bed.arrive(1, 9);
    assert_eq!(bed.take(), [7, 8, 9]);
    assert_eq!(bed.counters().skipped_by_votes, 2);
    assert_eq!(bed.counters().skipped_by_timer, 0);
}

#[test]
fn what_ends_the_wait_for_the_hole_below_it_is_not_copied() {
    let mut bed = Bed::settled(&[0, 1]);
    assert_eq!(bed.arrive(0, 6), Verdict::Held);
    assert_eq!(
        bed.arrive(1, 4),
        Verdict::Deliver,
        "neither link can bring 2 and 3 now"
    );
    assert_eq!(bed.take(), [4]);
    assert_eq!((bed.counters().held, bed.counters().skipped_by_votes), (1, 2));
}

#[test]
fn a_reset_forgets_the_order_and_goes_on_counting() {
    let mut bed = Bed::settled(&[0]);
    bed.arrive(0, 5);
    bed.arrive(0, 4);
    let before = bed.counters();
    assert_eq!((before.late, before.skipped_by_votes), (1, 4));
    bed.r.reset();
    assert_eq!((bed.r.session(), bed.counters()), (None, before));
    bed.begin(1);
    assert_eq!(bed.arrive(0, 0), Verdict::Deliver);
    assert_eq!(bed.counters(), before, "the first of all is in order again");
    bed.r.clear_counters();
    assert_eq!(bed.counters(), Counters::default());
}

#[test]
fn with_one_link_a_hole_is_given_up_at_once_without_delay_or_copy() {
    let mut bed = Bed::settled(&[0]);
    let mut counter = 1;
    for lost in [1, 2, 7, 100, 60_000] {
        counter += lost;
        assert_eq!(bed.arrive(0, counter), Verdict::Deliver);
        assert_eq!(bed.take(), [counter]);
        counter += 1;
        assert_eq!(bed.arrive(0, counter), Verdict::Deliver);
        assert_eq!(bed.take(), [counter]);
        counter += 1;
    }
    let expected = Counters {
        skipped_by_votes: 1 + 2 + 7 + 100 + 60_000,
        ..Counters::default()
    };
    assert_eq!(bed.counters(), expected, "nothing was held, ever");
}

#[test]
fn after_a_change_of_link_one_hole_waits_and_no_other() {
    let mut bed = Bed::settled(&[0, 0, 0]);
    assert_eq!(bed.arrive(1, 3), Verdict::Deliver);
    assert_eq!(bed.arrive(1, 5), Verdict::Held, "4 may be on its way over link 0");
    bed.pass_time(ms(20));
    assert_eq!(bed.take(), [3, 5]);
    assert_eq!(bed.arrive(1, 7), Verdict::Deliver);
    assert_eq!(bed.arrive(1, 9), Verdict::Deliver);
    assert_eq!(
        (bed.counters().skipped_by_timer, bed.counters().skipped_by_votes),
        (1, 2)
    );
}

#[test]
fn a_link_that_stood_still_votes_again_once_it_delivers_above_that_hole() {
    let mut bed = Bed::settled(&[0, 1]);
    bed.arrive(0, 4);
    bed.pass_time(ms(20));
    assert_eq!(
        bed.take(),
        [4],
        "2 and 3 were waited for in vain: link 1 has lost its vote"
    );
    assert_eq!(bed.arrive(0, 6), Verdict::Deliver);
    assert_eq!(
        bed.arrive(1, 3),
        Verdict::Deliver,
        "late, and not above the holes that were given up"
    );
    assert_eq!(bed.arrive(0, 8), Verdict::Deliver);
    assert_eq!(
        bed.arrive(1, 5),
        Verdict::Deliver,
        "late, but above them: it votes"
    );
    assert_eq!(bed.arrive(0, 10), Verdict::Held);
    bed.arrive(1, 9);
    assert_eq!(bed.take(), [6, 3, 8, 5, 9, 10]);
    assert_eq!(bed.counters().late, 2);
}

#[test]
fn a_link_that_is_gone_is_not_waited_for() {
    let mut bed = Bed::settled(&[0, 1, 2]);
    bed.arrive(0, 4);
    bed.arrive(1, 6);
    assert_eq!(bed.take(), []);
    bed.r.link_gone(link(2));
    bed.drain();
    assert_eq!(
        bed.take(),
        [4],
        "3 was given up at once; 5 may still come over link 0"
    );
    bed.arrive(0, 8);
    assert_eq!(bed.take(), [6]);
    assert_eq!(bed.now, START + ms(50), "no time has passed");
}

#[test]
fn a_link_that_delivers_again_after_it_was_gone_votes_again() {
    let mut bed = Bed::settled(&[0, 1]);
    bed.r.link_gone(link(1));
    assert_eq!(bed.arrive(0, 3), Verdict::Deliver);
    bed.arrive(1, 4);
    assert_eq!(bed.arrive(0, 6), Verdict::Held);
}

#[test]
fn a_link_that_is_announced_is_waited_for_before_its_first_datagram() {
    let mut bed = Bed::settled(&[0]);
    assert_eq!(bed.arrive(0, 2), Verdict::Deliver, "nobody else is known");
    bed.r.link_came(link(1));
    assert_eq!(bed.arrive(0, 4), Verdict::Held);
    bed.arrive(1, 3);
    assert_eq!(bed.take(), [2, 3, 4]);
}

#[test]
fn a_link_that_is_announced_late_in_a_session_is_waited_for_as_well() {
    let mut bed = Bed::settled(&[0]);
    for counter in 1..2 * VOTE_SPAN {
        bed.arrive(0, counter);
    }
    bed.r.link_came(link(1));
    assert_eq!(bed.arrive(0, 2 * VOTE_SPAN + 1), Verdict::Held);
}

#[test]
fn a_link_that_has_delivered_nothing_of_the_last_counters_does_not_vote() {
    for (silent_for, verdict) in [(VOTE_SPAN, Verdict::Held), (VOTE_SPAN + 1, Verdict::Deliver)] {
        let mut bed = Bed::settled(&[0, 1]);
        let next = 2 + silent_for;
        for counter in 2..next {
            bed.arrive(0, counter);
        }
        assert_eq!(
            bed.arrive(0, next + 1),
            verdict,
            "silent for {silent_for} counters"
        );
    }
}

#[test]
fn a_pause_of_the_sender_takes_no_votes() {
    let mut bed = Bed::settled(&[0, 1]);
    bed.pass_time(Span::from_secs(100));
    assert_eq!(bed.arrive(0, 3), Verdict::Held);
    bed.arrive(1, 2);
    assert_eq!(bed.take(), [2, 3]);
}

#[test]
fn what_comes_from_an_unknown_address_has_no_vote() {
    let mut bed = Bed::settled(&[0, 1]);
    bed.arrive(0, 3);
    assert_eq!(bed.arrive_as(1, None, 9, FRAME, 60), Verdict::Held);
    assert_eq!(bed.take(), [], "link 1 has not passed 2");
    bed.arrive(1, 5);
    assert_eq!(bed.take(), [3], "4 may still come over link 0");

    let mut bed = Bed::new();
    bed.pass_time(ms(50));
    assert_eq!(
        bed.arrive_as(1, None, 1, FRAME, 60),
        Verdict::Held,
        "nobody votes"
    );
    bed.pass_time(ms(20));
    assert_eq!(bed.take(), [1]);
    assert_eq!(bed.counters().skipped_by_timer, 1);
}

#[test]
fn a_copy_gives_its_link_a_vote() {
    let mut bed = Bed::settled(&[0]);
    bed.r.copy_arrived(1, 0, link(1));
    assert_eq!(bed.arrive(0, 2), Verdict::Held, "link 1 may bring 1");
    bed.r.copy_arrived(7, 9, link(1));
    bed.drain();
    assert_eq!(bed.take(), [], "that was of another session");
    bed.r.copy_arrived(1, 2, link(1));
    bed.drain();
    assert_eq!(bed.take(), [2]);
    assert_eq!(bed.counters().skipped_by_votes, 1);
}

#[test]
fn a_hole_waits_from_when_it_was_noticed() {
    let mut bed = Bed::settled(&[0, 1]);
    bed.arrive(0, 5);
    bed.pass_time(ms(15));
    bed.arrive(0, 3);
    bed.arrive(0, 7);
    assert_eq!(bed.r.deadline(), Some(bed.now + ms(5)));
    bed.pass_time(ms(4));
    assert_eq!(bed.take(), []);
    bed.pass_time(ms(1));
    assert_eq!(
        bed.take(),
        [3, 5, 7],
        "2 and 4 by time, and then 6 by vote: link 1 has lost its own"
    );
    assert_eq!(
        (bed.counters().skipped_by_timer, bed.counters().skipped_by_votes),
        (1, 2)
    );
    assert_eq!(bed.counters().longest_hold, ms(20));
}

#[test]
fn the_longest_hold_counts_from_the_arrival_not_from_the_hole() {
    let mut bed = Bed::settled(&[0, 1]);
    bed.arrive(0, 5);
    bed.pass_time(ms(15));
    bed.arrive(0, 3);
    bed.pass_time(ms(2));
    bed.arrive(1, 2);
    assert_eq!(bed.take(), [2, 3]);
    assert_eq!(bed.counters().longest_hold, ms(2), "5 is held still");
}

#[test]
fn nothing_is_held_longer_than_50_ms_whatever_the_caller_says() {
    let mut bed = Bed::settled(&[0, 1]);
    bed.wait = Span::MAX;
    bed.arrive(0, 3);
    bed.pass_time(ms(40));
    bed.arrive(0, 5);
    bed.pass_time(MAX_WAIT);
    assert_eq!(bed.take(), [3, 5]);
    assert!(bed.counters().longest_hold + ms(1) <= ms(50));
}

#[test]
fn a_late_call_at_a_deadline_loses_nothing() {
    let mut bed = Bed::settled(&[0, 1]);
    bed.arrive(0, 3);
    bed.now = bed.now + Span::from_secs(9);
    assert_eq!(bed.arrive(0, 4), Verdict::Held, "3 comes out before 4");
    assert_eq!(bed.take(), [3, 4]);
}

#[test]
fn a_wait_of_zero_switches_the_waiting_off() {
    let mut bed = Bed::settled(&[0, 1]);
    bed.wait = Span::ZERO;
    assert_eq!(bed.arrive(0, 3), Verdict::Deliver);
    assert_eq!(bed.arrive(1, 2), Verdict::Deliver);
    assert_eq!(bed.take(), [3, 2]);
    assert_eq!((bed.counters().held, bed.counters().late), (0, 1));
}

#[test]
fn late_ones_are_delivered_at_once_and_counted() {
    let mut bed = Bed::settled(&[0]);
    bed.arrive(0, 5);
    for counter in [3, 1, 4, 2] {
        assert_eq!(bed.arrive(1, counter), Verdict::Deliver);
    }
    assert_eq!(bed.take(), [5, 3, 1, 4, 2]);
    assert_eq!(bed.counters().late, 4);
}

#[test]
fn a_session_starts_at_0_whoever_comes_first() {
    let mut bed = Bed::new();
    assert_eq!(bed.arrive(2, 2), Verdict::Held);
    bed.pass_time(ms(3));
    assert_eq!(
        bed.arrive(2, 5),
        Verdict::Held,
        "one link votes, but the start is not over"
    );
    bed.arrive(0, 0);
    bed.arrive(1, 1);
    bed.arrive(0, 3);
    bed.arrive(1, 4);
    assert_eq!(bed.take(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(bed.counters().late, 0);
}

#[test]
fn a_receiver_that_starts_in_the_middle_does_not_stall() {
    let mut bed = Bed::new();
    assert_eq!(bed.arrive(0, 3_000_000_000), Verdict::Held);
    bed.pass_time(ms(20));
    assert_eq!(bed.take(), [3_000_000_000]);
    assert_eq!(bed.arrive(0, 3_000_000_001), Verdict::Deliver);
    assert_eq!(bed.arrive(0, 3_000_000_003), Verdict::Deliver);
}

#[test]
fn a_new_session_releases_the_old_one_in_order_and_takes_its_late_ones() {
    let mut bed = Bed::settled(&[0, 1]);
    bed.arrive(0, 5);
    bed.arrive(0, 3);
    bed.arrive_as(1, Some(link(0)), 7, Item::Nothing, 0);
    bed.pass_time(ms(6));
    bed.begin(2);
    assert_eq!(bed.out, [(1, 3), (1, 5)]);
    assert_eq!((bed.r.held_items(), bed.budget.used()), (0, 0));
    assert_eq!(bed.counters().longest_hold, ms(6));
    assert_eq!(bed.arrive_as(2, Some(link(0)), 0, FRAME, 60), Verdict::Deliver);
    assert_eq!(bed.arrive_as(1, Some(link(1)), 4, FRAME, 60), Verdict::Deliver);
    assert_eq!(bed.arrive_as(2, Some(link(0)), 1, FRAME, 60), Verdict::Deliver);
    assert_eq!(bed.counters().late, 1);
    assert_eq!(bed.r.session(), Some(2));
}

#[test]
fn links_keep_their_votes_over_a_new_session_but_stand_before_its_first_counter() {
    let mut bed = Bed::settled(&[0, 1]);
    bed.begin(2);
    bed.pass_time(ms(30));
    assert_eq!(bed.arrive_as(2, Some(link(0)), 1, FRAME, 60), Verdict::Held);
    bed.arrive_as(2, Some(link(1)), 0, FRAME, 60);
    assert_eq!(bed.take(), [0, 1]);
}

#[test]
fn a_link_that_had_fallen_silent_does_not_vote_in_a_new_session() {
    let mut bed = Bed::settled(&[0, 1]);
    for counter in 2..VOTE_SPAN + 10 {
        bed.arrive(0, counter);
    }
    bed.begin(2);
    bed.pass_time(ms(30));
    let verdict = bed.arrive_as(2, Some(link(0)), 1, FRAME, 60);
    assert_eq!(verdict, Verdict::Deliver);
}

#[test]
fn without_a_session_everything_is_delivered_at_once() {
    let mut bed = Bed::bare();
    assert_eq!(bed.arrive(0, 9), Verdict::Deliver);
    assert_eq!(bed.arrive(0, 7), Verdict::Deliver);
    assert_eq!(bed.take(), [9, 7]);
}

#[test]
fn nothing_to_deliver_fills_its_place() {
    let mut bed = Bed::settled(&[0, 1]);
    assert_eq!(
        bed.arrive_as(1, Some(link(1)), 3, Item::Nothing, 0),
        Verdict::Held
    );
    bed.arrive(1, 4);
    assert_eq!(
        bed.arrive_as(1, Some(link(0)), 2, Item::Nothing, 0),
        Verdict::Deliver
    );
    assert_eq!(bed.take(), [4]);
    assert_eq!(
        bed.counters().skipped_by_timer + bed.counters().skipped_by_votes,
        0
    );
}

#[test]
fn fragments_come_out_as_fragments() {
    let mut r = Resequencer::new();
    let mut budget = Budget::new(ROOMY);
    assert_eq!(r.begin(START, 1, &mut budget).count(), 0);
    let held = Arrival {
        session: 1,
        counter: 1,
        link: None,
        item: Item::Fragment,
        bytes: b"piece",
    };
    assert_eq!(r.arrived(START, &held, ms(5), &mut budget), Verdict::Held);
    assert_eq!(r.release(START, &mut budget), None);
    let (item, bytes) = r.release(START + ms(5), &mut budget).expect("its time is up");
    assert_eq!((item, &*bytes), (Item::Fragment, &b"piece"[..]));
}

#[test]
fn too_many_items_release_the_lowest() {
    let mut bed = Bed::settled(&[0, 1]);
    let first = 3;
    let held = MAX_ITEMS as u32;
    for counter in first..first + held {
        assert_eq!(bed.arrive(0, counter), Verdict::Held);
    }
    assert_eq!(bed.r.held_items(), MAX_ITEMS);
    assert_eq!(bed.take(), []);
    bed.arrive(0, first + held + 1);
    assert_eq!(
        bed.take(),
        (first..first + held).collect::<Vec<_>>(),
        "the lowest hole was given up, and what was in order behind it came out"
    );
    assert_eq!(bed.counters().skipped_by_overflow, 1);
    assert_eq!(bed.r.held_items(), 1, "the next hole is still waited for");
}

#[test]
fn overflow_gives_up_only_as_many_holes_as_it_must() {
    let mut bed = Bed::settled(&[0, 1]);
    // Every second counter is missing.
    for i in 0..MAX_ITEMS as u32 {
        bed.arrive(0, 3 + 2 * i);
    }
    for i in 0..10 {
        bed.arrive(0, 3 + 2 * (MAX_ITEMS as u32 + i));
        assert_eq!(bed.take(), [3 + 2 * i]);
    }
    assert_eq!(bed.counters().skipped_by_overflow, 10);
}

#[test]
fn too_many_bytes_release_the_lowest() {
    let mut bed = Bed::settled(&[0, 1]);
    let len = (64 << 10) - ITEM_COST;
    for i in 0..128 {
        bed.arrive_as(1, Some(link(0)), 3 + 2 * i, FRAME, len);
    }
    assert_eq!((bed.take(), bed.r.held_bytes()), (vec![], MAX_BYTES));
    bed.arrive_as(1, Some(link(0)), 3 + 2 * 128, FRAME, len);
    assert_eq!(bed.take(), [3]);
    assert_eq!(bed.counters().skipped_by_overflow, 1);
}

#[test]
fn the_budget_is_shared_and_given_back() {
    let mut bed = Bed::settled(&[0, 1]);
    bed.budget = Budget::new(3 * (60 + ITEM_COST));
    let mut other = Bed::settled(&[0, 1]);
    for i in 0..2 {
        bed.arrive(0, 3 + 2 * i);
    }
    std::mem::swap(&mut bed.budget, &mut other.budget);
    let mut share = |counter: u32| {
        let arrival = Arrival {
            session: 1,
            counter,
            link: Some(link(0)),
            item: FRAME,
            bytes: &[0; 60],
        };
        let verdict = other.r.arrived(other.now, &arrival, ms(20), &mut other.budget);
        let released = core::iter::from_fn(|| other.r.release(other.now, &mut other.budget)).count();
        (verdict, released)
    };
    assert_eq!(share(3), (Verdict::Held, 0));
    assert_eq!(
        share(5),
        (Verdict::Held, 1),
        "its own lowest goes, not another peer's"
    );
    assert_eq!(other.budget.used(), 3 * (60 + ITEM_COST));
    assert_eq!(other.r.flush(other.now, &mut other.budget).count(), 1);
    assert_eq!(bed.r.flush(bed.now, &mut other.budget).count(), 2);
    assert_eq!(other.budget.used(), 0);
    assert_eq!((bed.r.held_items(), bed.r.held_bytes()), (0, 0));
}

#[test]
fn the_last_counters_come_out_and_nothing_wraps() {
    let mut bed = Bed::settled(&[0, 1]);
    bed.arrive(0, u32::MAX - 3);
    bed.pass_time(ms(20));
    assert_eq!(bed.arrive(1, u32::MAX), Verdict::Held);
    bed.arrive(0, u32::MAX - 2);
    bed.arrive(0, u32::MAX - 1);
    assert_eq!(bed.take(), [u32::MAX - 3, u32::MAX - 2, u32::MAX - 1, u32::MAX]);
    bed.arrive(0, 77);
    assert_eq!(bed.take(), [77]);
}

#[test]
fn an_idle_peer_costs_little() {
    assert!(size_of::<Resequencer>() <= 160, "{}", size_of::<Resequencer>());
}
