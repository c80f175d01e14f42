//! When a name is looked up.

use std::time::{Duration, Instant};

/// A link that is down is likely to come back by itself within this time: no need to ask before.
const DOWN_FOR: Duration = Duration::from_secs(3);
/// Pause after a look-up that did not help, at first; it doubles.
const BACK_OFF_FIRST: Duration = Duration::from_secs(5);
/// Longest pause, and the pause while the link is up. (The system's resolver does not tell how long an answer holds.)
const REFRESH: Duration = Duration::from_secs(300);

/// When the name of one link is looked up. Counts from the moment it is made.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    link_up: bool,
    back_off: Duration,
    /// `None`: a look-up is under way.
    next: Option<Instant>,
}

impl Schedule {
    /// A link that is down, with a name that has never been looked up: due at once.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            link_up: false,
            back_off: BACK_OFF_FIRST,
            next: Some(now),
        }
    }

    /// Whether it is time.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    /// A look-up began.
    pub(crate) fn begun(&mut self) {
        self.next = None;
    }

    /// It ended; `found`: with an address.
    pub(crate) fn ended(&mut self, now: Instant, found: bool) {
        if self.link_up && found {
            self.next = Some(now + REFRESH);
        } else {
            self.next = Some(now + self.back_off);
            self.back_off = (self.back_off * 2).min(REFRESH);
        }
    }

    /// The link is up or down, as far as is known.
    pub(crate) fn link(&mut self, now: Instant, up: bool) {
        if up == self.link_up {
            return;
        }
        self.link_up = up;
        self.back_off = BACK_OFF_FIRST;
        let wanted = now + if up { REFRESH } else { DOWN_FOR };
        self.next = self.next.map(|next| if up { wanted } else { next.min(wanted) });
    }

    /// Somebody wants to know now.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.next = self.next.map(|_| now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds at which look-ups begin within `until`, each of which takes no time and finds (or not).
    fn run(schedule: &mut Schedule, start: Instant, seconds: std::ops::Range<u64>, found: bool) -> Vec<u64> {
        let mut at = Vec::new();
        for second in seconds {
            let now = start + Duration::from_secs(second);
            if schedule.is_due(now) {
                schedule.begun();
                assert!(!schedule.is_due(now + Duration::from_secs(9999)), "one at a time");
                schedule.ended(now, found);
                at.push(second);
            }
        }
        at
    }

    #[test]
    fn a_link_that_stays_down_is_looked_up_ever_more_rarely() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        let expected = [0, 5, 15, 35, 75, 155, 315, 615, 915];
        assert_eq!(run(&mut schedule, start, 0..1000, false), expected);
        let mut schedule = Schedule::new(start);
        assert_eq!(
            run(&mut schedule, start, 0..1000, true),
            expected,
            "an address that does not answer is no better"
        );
    }

    #[test]
    fn an_up_link_is_looked_up_every_five_minutes_and_soon_after_it_went_down() {
        let start = Instant::now();
        let second = |n| start + Duration::from_secs(n);
        let mut schedule = Schedule::new(start);
        assert_eq!(run(&mut schedule, start, 0..1, true), [0]);
        schedule.link(second(1), true);
        assert_eq!(run(&mut schedule, start, 1..700, true), [301, 601]);
        schedule.link(second(700), false);
        assert_eq!(run(&mut schedule, start, 700..720, true), [703, 708, 718]);
        // A failure to look up is no reason to wait long, though the link is up.
        schedule.link(second(720), true);
        assert_eq!(run(&mut schedule, start, 720..1040, false), [1020, 1025, 1035]);
    }

    #[test]
    fn a_short_outage_costs_no_look_up() {
        let start = Instant::now();
        let second = |n| start + Duration::from_secs(n);
        let mut schedule = Schedule::new(start);
        run(&mut schedule, start, 0..1, true);
        schedule.link(second(1), true);
        schedule.link(second(10), false);
        schedule.link(second(12), true);
        assert_eq!(run(&mut schedule, start, 12..300, true), Vec::<u64>::new());
        schedule.hurry(second(300));
        assert_eq!(run(&mut schedule, start, 300..302, true), [300]);
    }

    #[test]
    fn what_happens_during_a_look_up_counts_at_its_end() {
        let start = Instant::now();
        let second = |n| start + Duration::from_secs(n);
        let mut schedule = Schedule::new(start);
        schedule.begun();
        schedule.link(second(1), true);
        schedule.hurry(second(1));
        assert!(!schedule.is_due(second(9)));
        schedule.ended(second(10), true);
        assert!(!schedule.is_due(second(309)) && schedule.is_due(second(310)));
    }
}
