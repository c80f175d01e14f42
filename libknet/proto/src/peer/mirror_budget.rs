//! How long frames to one peer may go out twice because a link is in doubt (limits: row 21).
//!
//! A doubt costs at most [`MIRROR_TIME`] of mirroring, and all doubts together a fortieth of the time: a peer, or
//! whoever sits on its path, that brings links into doubt all the time does not double what we send. When the budget is
//! spent frames go out over the stand-in alone, and what it should lose is sent again as always.

use crate::time::{Span, Time};

/// Longest for one doubt, and so the most that is saved up.
const MIRROR_TIME: Span = Span::from_millis(250);
/// One part of mirroring in so many of time: 2.5 %.
const ONE_IN: u64 = 40;

/// What is left of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct MirrorBudget {
    left: Span,
    at: Time,
}

impl MirrorBudget {
    /// A full one.
    pub(super) const fn new(now: Time) -> Self {
        Self {
            left: MIRROR_TIME,
            at: now,
        }
    }

    /// A link comes into doubt: how long it may be mirrored. Nothing is left then, until [`Self::give_back`].
    pub(super) fn take(&mut self, now: Time) -> Span {
        let earned = now.since(self.at).divided_by(ONE_IN);
        self.at = now;
        (core::mem::take(&mut self.left) + earned).min(MIRROR_TIME)
    }

    /// The doubt ended early: `unused` of what it was given is left.
    pub(super) fn give_back(&mut self, unused: Span) {
        self.left = (self.left + unused).min(MIRROR_TIME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Time = |n| Time::from_nanos(n * 1_000_000);

    #[test]
    fn doubts_that_end_at_once_cost_little() {
        let mut budget = MirrorBudget::new(MS(0));
        for n in 0..20 {
            let given = budget.take(MS(n * 1_000));
            assert_eq!(given, MIRROR_TIME, "doubt {n}");
            budget.give_back(given - Span::from_millis(20));
        }
    }

    #[test]
    fn in_the_long_run_a_fortieth_of_the_time() {
        let mut budget = MirrorBudget::new(MS(0));
        let mut mirrored = Span::ZERO;
        for n in 0..1_000 {
            let given = budget.take(MS(n * 100));
            let used = given.min(Span::from_millis(100));
            mirrored = mirrored + used;
            budget.give_back(given - used);
        }
        let limit = MIRROR_TIME + Span::from_secs(100).divided_by(ONE_IN);
        assert!(
            mirrored <= limit && mirrored + Span::from_millis(10) >= limit,
            "{mirrored:?}"
        );
        assert_eq!(
            budget.take(MS(100_000 + 20_000)),
            MIRROR_TIME,
            "and no more is saved up"
        );
    }
}
