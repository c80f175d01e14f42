use std::{collections::BTreeSet, vec::Vec};

use proptest::prelude::*;

use super::*;

/// Last counter that a sender may use.
const HARD_STOP: u32 = u32::MAX - (1 << 14) + 1;

/// What a window means, in the plainest way: the set of what was seen.
#[derive(Default)]
struct Model {
    seen: BTreeSet<u32>,
    next: u64,
    bits: u64,
    /// What lies before was forgotten before the window grew, or came before the first of a window that begins anywhere.
    forgotten: u64,
    begins_anywhere: bool,
}

impl Model {
    fn new(bits: u32) -> Self {
        Self {
            bits: u64::from(bits),
            ..Self::default()
        }
    }

    fn check(&self, counter: u32) -> Result<(), DropReason> {
        if u64::from(counter) + self.bits < self.next {
            Err(DropReason::LateDrop)
        } else if u64::from(counter) < self.forgotten || self.seen.contains(&counter) {
            Err(DropReason::Replay)
        } else {
            Ok(())
        }
    }

    fn commit(&mut self, counter: u32) -> Result<(), DropReason> {
        self.check(counter)?;
        if self.begins_anywhere && self.next == 0 {
            self.forgotten = counter.into();
        }
        self.seen.insert(counter);
        self.next = self.next.max(u64::from(counter) + 1);
        Ok(())
    }

    fn grow(&mut self) {
        if self.bits < u64::from(MAX_BITS) {
            self.forgotten = self.forgotten.max(self.next.saturating_sub(self.bits));
            self.bits *= 2;
        }
    }

    fn bitmap64_below(&self, highest: u32) -> u64 {
        (0..64_u32)
            .filter_map(|i| Some((i, highest.checked_sub(i + 1)?)))
            .filter(|(_, c)| u64::from(*c) + self.bits >= self.next)
            .filter(|(_, c)| u64::from(*c) < self.forgotten || self.seen.contains(c))
            .fold(0, |bitmap, (i, _)| bitmap | 1 << i)
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Commit(u32),
    /// This far above the highest.
    Ahead(u32),
    /// This far below the highest.
    Behind(u32),
    Grow,
}

fn any_op(bits: u32) -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => (0..=HARD_STOP).prop_map(Op::Commit),
        1 => (0..3 * bits).prop_map(Op::Commit),
        2 => Just(Op::Commit(HARD_STOP)),
        8 => (0_u32..4).prop_map(Op::Ahead),
        4 => (0..2 * bits).prop_map(Op::Ahead),
        12 => (0_u32..80).prop_map(Op::Behind),
        8 => (bits - 70..bits + 70).prop_map(Op::Behind),
        8 => (0..5 * bits).prop_map(Op::Behind),
        1 => Just(Op::Grow),
    ]
}

fn counter_of(op: Op, next: u64) -> u32 {
    let highest = next.saturating_sub(1) as u32;
    match op {
        Op::Commit(counter) => counter,
        Op::Ahead(n) => highest.saturating_add(n),
        Op::Behind(n) => highest.saturating_sub(n),
        Op::Grow => highest,
    }
}

macro_rules! same_as_the_model {
    ($window:expr, $model:expr, $in_order:expr, $ops:expr, $grow:expr) => {{
        let (mut window, mut model) = ($window, $model);
        for counter in $in_order {
            prop_assert_eq!(window.commit(counter), model.commit(counter));
        }
        for op in $ops {
            if let Op::Grow = op {
                $grow(&mut window, &mut model);
            }
            let counter = counter_of(op, model.next);
            prop_assert_eq!(window.check(counter), model.check(counter), "{:?}", op);
            prop_assert_eq!(window.commit(counter), model.commit(counter), "{:?}", op);
            prop_assert_eq!(
                window.bitmap64_below(counter),
                model.bitmap64_below(counter),
                "{:?}",
                op
            );
            prop_assert_eq!(window.highest().map_or(0, |h| u64::from(h) + 1), model.next);
        }
    }};
}

proptest! {
    /// P1 and P2.
    #[test]
    fn a_lane_window_is_the_set_model(
        in_order in 0..2 * INITIAL_BITS, ops in prop::collection::vec(any_op(INITIAL_BITS), 1..400),
    ) {
        same_as_the_model!(ReplayWindow::new(), Model::new(INITIAL_BITS), 0..in_order, ops, |window: &mut ReplayWindow, model: &mut Model| {
            model.grow();
            window.grow();
            assert_eq!(u64::from(window.bits()), model.bits);
        });
    }

    /// P1.
    #[test]
    fn a_control_window_is_the_set_model(
        in_order in 0..2 * CTRL_BITS, first in 0..2 * CTRL_BITS, ops in prop::collection::vec(any_op(CTRL_BITS), 1..400),
    ) {
        let model = Model { begins_anywhere: true, ..Model::new(CTRL_BITS) };
        same_as_the_model!(CtrlWindow::new(), model, first..first + in_order, ops, |_: &mut CtrlWindow, _: &mut Model| {});
    }

    /// P1: any order of a dense range, each counter twice.
    #[test]
    fn a_shuffle_within_the_window_is_accepted_once_each(
        order in Just((0..INITIAL_BITS).collect::<Vec<_>>()).prop_shuffle(), base in 0..HARD_STOP - INITIAL_BITS,
    ) {
        let mut window = ReplayWindow::new();
        for counter in &order {
            prop_assert_eq!(window.commit(base + counter), Ok(()));
        }
        for counter in &order {
            prop_assert_eq!(window.commit(base + counter), Err(DropReason::Replay));
        }
    }

    /// P2, with the question asked of every counter there ever was.
    #[test]
    fn growing_never_accepts_anything_again(
        steps in prop::collection::vec((1_u32..3_000, any::<bool>()), 1..60), grow_at in prop::collection::vec(0_usize..60, 1..6),
    ) {
        let mut window = ReplayWindow::new();
        let (mut counter, mut accepted) = (0, Vec::new());
        for (i, (step, skip)) in steps.into_iter().enumerate() {
            if grow_at.contains(&i) {
                window.grow();
            }
            counter += step;
            if !skip {
                window.commit(counter).unwrap();
                accepted.push(counter);
            }
            for old in &accepted {
                prop_assert!(window.check(*old).is_err(), "{} is accepted again", old);
            }
        }
    }
}

#[test]
fn growth_ends_at_the_limit_and_costs_what_it_says() {
    let mut window = ReplayWindow::new();
    window.commit(5_000).unwrap();
    let mut bits = INITIAL_BITS;
    while window.grow() {
        bits *= 2;
        assert_eq!(window.bits(), bits);
        assert_eq!(window.0.words.words.len() as u32, bits / 64 + 1);
    }
    assert_eq!(bits, MAX_BITS);
    // Everything before the first, narrow window stays refused, in a window that reaches back to zero.
    assert_eq!(window.check(5_000 - INITIAL_BITS), Err(DropReason::Replay));
    assert_eq!(window.check(0), Err(DropReason::Replay));
    assert_eq!(window.check(5_000 - INITIAL_BITS + 1), Ok(()));
}

/// P3: the situations that the self-test of the kernel's `WireGuard` counter goes through, for windows of our widths.
#[test]
fn the_situations_of_wireguards_self_test() {
    let mut wide = ReplayWindow::new();
    while wide.grow() {}
    situations(ReplayWindow::new(), INITIAL_BITS);
    situations(wide, MAX_BITS);
    let mut control = CtrlWindow::new();
    single_steps(|counter| control.commit(counter).is_ok(), CTRL_BITS);
}

fn situations(window: ReplayWindow, bits: u32) {
    let fresh = || {
        let mut fresh = ReplayWindow::new();
        while fresh.bits() < bits && fresh.grow() {}
        fresh
    };
    let mut first = window;
    single_steps(|counter| first.commit(counter).is_ok(), bits);

    // Whole runs. Every counter once, rising.
    let mut window = fresh();
    assert!((1..=bits).all(|c| window.commit(c).is_ok()));
    assert!(window.commit(0).is_err(), "just out of the window");

    // Rising from zero: then all of them again.
    let mut window = fresh();
    assert!((0..bits).all(|c| window.commit(c).is_ok()));
    assert!((0..bits).all(|c| window.commit(c) == Err(DropReason::Replay)));

    // Falling: the first one opens the whole window.
    let mut window = fresh();
    assert!((0..bits).rev().all(|c| window.commit(c).is_ok()));
    assert!(
        (0..bits)
            .rev()
            .all(|c| window.commit(c) == Err(DropReason::Replay))
    );

    // Falling, and the last one falls out.
    let mut window = fresh();
    assert!((1..=bits).rev().all(|c| window.commit(c).is_ok()));
    assert_eq!(window.commit(0), Err(DropReason::LateDrop));

    // Falling with the newest missing: it still comes in, and pushes the oldest out.
    let mut window = fresh();
    assert!((0..bits).rev().all(|c| window.commit(c).is_ok()));
    assert!(window.commit(bits + 1).is_ok());
    assert!(window.commit(bits).is_ok());
    assert_eq!(window.commit(0), Err(DropReason::LateDrop));
    assert_eq!(window.commit(1), Err(DropReason::LateDrop));
    assert_eq!(window.commit(2), Err(DropReason::Replay));

    // Every second one rising, then the others falling: only the window's share of them.
    let mut window = fresh();
    assert!((0..bits).all(|c| window.commit(2 * c).is_ok()));
    let accepted = (0..bits)
        .rev()
        .filter(|c| window.commit(2 * c + 1).is_ok())
        .count() as u32;
    assert_eq!(
        accepted,
        bits / 2,
        "the one ahead, and the gaps that are still in the window"
    );
}

/// Counter, and whether it is accepted after those before it. `w` is the window's width.
fn single_steps(mut commit: impl FnMut(u32) -> bool, w: u32) {
    let far = w * 2;
    let steps = [
        (0, true),
        (1, true),
        (1, false),
        (9, true),
        (8, true),
        (7, true),
        (7, false),
        (w, true),
        (w - 1, true),
        (w - 1, false),
        (w - 2, true),
        (2, true),
        (2, false),
        // Zero was accepted once and has now left the window besides.
        (0, false),
        (w + 16, true),
        (3, false),
        (16, false),
        (17, true),
        (17, false),
        (w + 16, false),
        (far, true),
        (far - w + 1, true),
        (far - w, false),
        (far - w + 1, false),
        // Over more words than there are: everything in between is new.
        (far * 4, true),
        (far * 3 + w + 1, true),
        (far * 3 + w, false),
        (far * 4 - 1, true),
        (far * 4 - 1, false),
        (far * 4 - w + 2, true),
        (0, false),
        (HARD_STOP - 1, true),
        (HARD_STOP, true),
        (HARD_STOP, false),
        (HARD_STOP - w, false),
        (HARD_STOP - w + 1, true),
        (u32::MAX, true),
        (u32::MAX, false),
        (0, false),
    ];
    for (i, (counter, expected)) in steps.into_iter().enumerate() {
        assert_eq!(
            commit(counter),
            expected,
            "step {i}: {counter} in a window of {w}"
        );
    }
}

#[test]
fn what_comes_in_order_takes_no_memory() {
    assert!(size_of::<CtrlWindow>() <= 16, "{}", size_of::<CtrlWindow>());
    let (mut lane, mut control) = (ReplayWindow::new(), CtrlWindow::new());
    for counter in 0..=70 {
        lane.commit(counter).unwrap();
        control.commit(counter).unwrap();
        assert!(lane.grow() || lane.bits() == MAX_BITS);
    }
    assert!(lane.0.words.get().is_empty() && control.0.words.get().is_empty());
    for counter in [72, 71, 73] {
        assert_eq!(lane.commit(counter), Ok(()));
        assert_eq!(control.commit(counter), Ok(()));
    }
    assert_eq!(lane.0.words.get().len() as u32, MAX_BITS / 64 + 1);
    assert_eq!(control.0.words.get().len() as u32, CTRL_BITS / 64 + 1);
    for counter in 0..=73 {
        assert_eq!(lane.commit(counter), Err(DropReason::Replay));
        assert_eq!(control.commit(counter), Err(DropReason::Replay));
    }
}

#[test]
fn a_control_window_begins_with_the_first_that_comes() {
    let (mut control, mut lane) = (CtrlWindow::new(), ReplayWindow::new());
    assert_eq!((control.commit(3), lane.commit(3)), (Ok(()), Ok(())));
    assert_eq!(
        (control.commit(2), lane.commit(2)),
        (Err(DropReason::Replay), Ok(()))
    );
    assert!(control.0.words.get().is_empty());
}

#[test]
fn a_check_changes_nothing() {
    let mut window = ReplayWindow::new();
    window.commit(10).unwrap();
    for _ in 0..2 {
        assert_eq!(window.check(1_000_000), Ok(()));
        assert_eq!(window.highest(), Some(10));
    }
    assert_eq!(window.commit(9), Ok(()));
}

#[test]
fn the_bitmap_counts_down_from_the_highest() {
    let mut window = CtrlWindow::new();
    assert_eq!((window.bitmap64_below(0), window.highest()), (0, None));
    for counter in [0, 1, 3, 64, 66] {
        window.commit(counter).unwrap();
    }
    assert_eq!(window.bitmap64_below(66), 1 << 1 | 1 << (65 - 3));
    assert_eq!(window.bitmap64_below(4), 0b1101);
    assert_eq!(window.bitmap64_below(0), 0);
    // Asked about counters that nobody has sent.
    assert_eq!(window.bitmap64_below(u32::MAX), 0);
    // The next one will take the place of the oldest.
    let mut full = CtrlWindow::new();
    assert!((0..320).all(|counter| full.commit(counter).is_ok()));
    assert_eq!(full.bitmap64_below(321), u64::MAX << 1);
}
