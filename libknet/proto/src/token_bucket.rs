//! How often something may be done: a rate, and a bucket of tokens for each who is limited to it.

use crate::{
    ids::Workers,
    time::{Span, Time},
};

/// A rate and how much of it may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    interval: Span,
    burst: u64,
}

impl Rate {
    /// `per_second` units a second on average, `burst` at once. `per_second` must divide 10^9 to be exact.
    pub const fn new(per_second: u64, burst: u64) -> Self {
        Self {
            interval: Span::from_secs(1).divided_by(per_second),
            burst,
        }
    }

    /// This rate for each of `workers`: no more than this one for all of them together.
    #[must_use]
    pub const fn shared(self, workers: Workers) -> Self {
        let n = workers.get() as u64;
        Self {
            interval: self.interval.times(n),
            burst: self.burst / n,
        }
    }

    /// Units a second on average.
    pub const fn per_second(self) -> u64 {
        Span::from_secs(1).as_nanos() / self.interval.as_nanos()
    }

    /// The pause between units.
    pub const fn interval(self) -> Span {
        self.interval
    }

    /// Units at once.
    pub const fn burst(self) -> u64 {
        self.burst
    }

    const fn depth(self) -> Span {
        self.interval.times(self.burst)
    }
}

/// A token bucket kept as the time at which it would be full again (the generic cell rate algorithm of ITU-T
/// I.371): eight bytes, and nothing to refill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenBucket {
    full_at: Time,
}

impl TokenBucket {
    /// A bucket from which nothing was taken yet.
    pub const FULL: Self = Self { full_at: Time::ZERO };

    /// Units that could be taken now.
    pub fn available(&self, rate: Rate, now: Time) -> u64 {
        let spare = rate.depth() - self.full_at.since(now);
        spare.as_nanos() / rate.interval.as_nanos().max(1)
    }

    /// Takes `units`, if that many are there; else none.
    pub fn take(&mut self, rate: Rate, now: Time, units: u64) -> bool {
        let enough = self.available(rate, now) >= units;
        if enough {
            self.overdraw(rate, now, units);
        }
        enough
    }

    /// Takes `units`, also where there are not as many: then there are none until what is owed has come back.
    pub fn overdraw(&mut self, rate: Rate, now: Time, units: u64) {
        self.full_at = self.full_at.max(now) + rate.interval.times(units);
    }

    /// Takes one unit, which may have to be waited for. Returns when it is there: now, or later.
    pub fn reserve(&mut self, rate: Rate, now: Time) -> Time {
        self.overdraw(rate, now, 1);
        now.max(self.full_at - rate.depth())
    }

    /// Gives back a unit that was not used.
    pub fn give_back(&mut self, rate: Rate) {
        self.full_at = self.full_at - rate.interval;
    }

    /// Whether nothing is missing, so that forgetting it changes nothing.
    pub fn is_full(&self, now: Time) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const ALL: [Rate; 4] = [
        Rate::new(1_000, 2_000),
        Rate::new(1_000_000, 1),
        Rate::new(1, 1),
        Rate::new(20, 5),
    ];

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_its_rate() {
        for rate in ALL {
            let mut bucket = TokenBucket::FULL;
            let start = Time::from_nanos(12_345);
            assert_eq!(bucket.available(rate, start), rate.burst);
            assert!(!bucket.take(rate, start, rate.burst + 1), "all or nothing");
            assert!(bucket.take(rate, start, rate.burst));
            assert!(!bucket.take(rate, start, 1));
            assert!(!bucket.take(rate, start + rate.interval - Span::from_nanos(1), 1));
            assert!(bucket.take(rate, start + rate.interval, 1));
            assert!(!bucket.take(rate, start + rate.interval, 1));
            assert_eq!(
                bucket.available(rate, start + Span::from_secs(1_000_000)),
                rate.burst
            );
        }
    }

    #[test]
    fn who_reserves_waits_for_his_turn() {
        let rate = Rate::new(1_000, 3);
        let mut bucket = TokenBucket::FULL;
        let ms = |n| Time::ZERO + Span::from_millis(n);
        let turns: Vec<_> = (0..6).map(|_| bucket.reserve(rate, ms(50))).collect();
        assert_eq!(turns, [50, 50, 50, 51, 52, 53].map(ms));
        assert_eq!(bucket.available(rate, ms(50)), 0);
        bucket.give_back(rate);
        bucket.give_back(rate);
        assert_eq!(bucket.reserve(rate, ms(50)), ms(52));
        assert!(!bucket.is_full(ms(54)));
        assert!(bucket.is_full(ms(55)));
    }

    proptest! {
        /// P7: never more than rate x time + burst, in any stretch of time.
        #[test]
        fn a_bucket_never_gives_more_than_its_rate(
            per_second in prop::sample::select(std::vec![1_u64, 200, 1_000, 20_000, 1_000_000]), burst in 1_u64..500,
            asks in prop::collection::vec((0_u64..20_000_000, 1_u64..50), 1..200),
        ) {
            let rate = Rate::new(per_second, burst);
            let mut bucket = TokenBucket::FULL;
            let mut now = Time::ZERO;
            let mut given = Vec::new();
            for (pause, units) in asks {
                now = now + Span::from_nanos(pause);
                let expected = bucket.available(rate, now) >= units;
                prop_assert_eq!(bucket.take(rate, now, units), expected);
                if expected {
                    given.push((now, units));
                }
                let mut sum = 0;
                for (since, units) in given.iter().rev() {
                    sum += units;
                    prop_assert!(sum <= burst + now.since(*since).as_nanos() / rate.interval.as_nanos());
                }
            }
        }
    }
}
