//! How often a source address may begin handshakes: a bounded table of buckets.

use alloc::collections::{BTreeMap, VecDeque};
use core::net::IpAddr;

use crate::{
    time::Time,
    token_bucket::{Rate, TokenBucket},
};

/// Most source addresses that are remembered (limits: row 4).
pub const MAX_SOURCES: usize = 65_536;
/// First messages of a source (limits: row 3).
pub const PER_SOURCE: Rate = Rate::new(20, 5);
/// Cookies that a source is given before it is asked whether others want theirs (limits: row 9).
const COOKIES: Rate = Rate::new(1, 1);

/// Limits the first messages from each source: an IPv4 address or an IPv6 /64.
///
/// A source has a bucket for messages without a valid cookie and one for those with it, so that whoever sends in the name
/// of a source, but cannot receive there, cannot use up what its owner is allowed. A third one is for the cookies themselves.
pub struct SourceLimiter {
    sources: BTreeMap<Source, Buckets>,
    /// The sources in the order in which they are looked at again.
    round: VecDeque<Source>,
    capacity: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    V4(u32),
    /// The first 64 bits: what one subscriber has.
    V6(u64),
}

#[derive(Default)]
struct Buckets {
    claimed: TokenBucket,
    proven: TokenBucket,
    cookies: TokenBucket,
}

impl Default for SourceLimiter {
    fn default() -> Self {
        Self::with_capacity(MAX_SOURCES)
    }
}

impl SourceLimiter {
    /// A limiter that remembers at most `capacity` sources.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            sources: BTreeMap::new(),
            round: VecDeque::new(),
            capacity,
        }
    }

    /// Whether a message from `address` may pass now. `proven`: it has a valid cookie. While the table is full,
    /// a new source passes only if it is proven.
    pub fn allow(&mut self, address: IpAddr, proven: bool, now: Time) -> bool {
        let Some(buckets) = self.buckets(address, now) else {
            return proven;
        };
        let bucket = if proven {
            &mut buckets.proven
        } else {
            &mut buckets.claimed
        };
        bucket.take(PER_SOURCE, now, 1)
    }

    /// Whether `address` has not been given a cookie for a second: then this one is before those of sources that ask again and
    /// again, or in whose name somebody does.
    pub fn first_cookie(&mut self, address: IpAddr, now: Time) -> bool {
        self.buckets(address, now)
            .is_none_or(|b| b.cookies.take(COOKIES, now, 1))
    }

    /// Those of `address`; `None`: it is new, and the table is full.
    fn buckets(&mut self, address: IpAddr, now: Time) -> Option<&mut Buckets> {
        // Two per call: however fast new sources come, idle ones leave faster.
        for _ in 0..2 {
            self.look_at_next(now);
        }
        let source = Source::of(address);
        if !self.sources.contains_key(&source) {
            if self.sources.len() >= self.capacity {
                return None;
            }
            self.round.push_back(source);
        }
        Some(self.sources.entry(source).or_default())
    }

    /// How many sources are remembered.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    fn look_at_next(&mut self, now: Time) {
        if let Some(source) = self.round.pop_front() {
            let idle = |b: &Buckets| [b.claimed, b.proven, b.cookies].iter().all(|b| b.is_full(now));
            if self.sources.get(&source).is_none_or(idle) {
                self.sources.remove(&source);
            } else {
                self.round.push_back(source);
            }
        }
    }
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.to_bits()),
            IpAddr::V6(v6) => Self::V6((v6.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};
    use core::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::time::Span;

    fn v4(n: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(n))
    }

    fn ms(n: u64) -> Time {
        Time::ZERO + Span::from_millis(n)
    }

    #[test]
    fn five_at_once_then_twenty_per_second() {
        let mut limiter = SourceLimiter::default();
        let passed = (0..1000).filter(|t| limiter.allow(v4(1), false, ms(*t))).count();
        assert_eq!(passed, 5 + 19);
        let passed = (2000..2100)
            .filter(|_| limiter.allow(v4(1), false, ms(2000)))
            .count();
        assert_eq!(passed, 5);
    }

    #[test]
    fn a_source_is_an_ipv4_address_or_an_ipv6_prefix_of_64_bits() {
        let mut limiter = SourceLimiter::default();
        let mut drained = |address: IpAddr| (0..6).filter(|_| limiter.allow(address, false, ms(0))).count();
        let v6 = |a, d, h| IpAddr::V6(Ipv6Addr::new(a, 0, 0, d, 0, 0, 0, h));
        assert_eq!(drained(v4(7)), 5);
        assert_eq!(drained(v4(8)), 5);
        assert_eq!(
            drained(IpAddr::V6(Ipv4Addr::from_bits(8).to_ipv6_mapped())),
            0,
            "the same as IPv4"
        );
        assert_eq!(drained(v6(0x2001, 1, 1)), 5);
        assert_eq!(drained(v6(0x2001, 1, 2)), 0, "the same /64");
        assert_eq!(drained(v6(0x2001, 2, 1)), 5);
    }

    #[test]
    fn a_proven_source_has_tokens_of_its_own() {
        let mut limiter = SourceLimiter::default();
        while limiter.allow(v4(1), false, ms(0)) {}
        assert!((0..5).all(|_| limiter.allow(v4(1), true, ms(0))));
        assert!(!limiter.allow(v4(1), true, ms(0)));
    }

    #[test]
    fn a_source_has_its_first_cookie_once_a_second() {
        let mut limiter = SourceLimiter::with_capacity(2);
        assert!(limiter.first_cookie(v4(1), ms(0)));
        assert!(!limiter.first_cookie(v4(1), ms(999)));
        assert!(limiter.first_cookie(v4(1), ms(1_000)));
        assert!(limiter.first_cookie(v4(2), ms(1_000)));
        assert!(limiter.allow(v4(2), false, ms(1_000)), "that is another bucket");
        // Nothing is known of who does not fit in: he is not held for one that asks often.
        assert!((0..9).all(|_| limiter.first_cookie(v4(3), ms(1_000))));
    }

    #[test]
    fn a_full_table_takes_new_sources_only_with_a_cookie_and_empties_itself() {
        let mut limiter = SourceLimiter::with_capacity(100);
        for n in 0..1000 {
            assert_eq!(limiter.allow(v4(n), false, ms(0)), n < 100);
            assert!(limiter.len() <= 100);
        }
        assert!(limiter.allow(v4(5000), true, ms(0)));
        // One interval later all are idle; fifty calls look at a hundred.
        for n in 0..60 {
            limiter.allow(v4(9000), false, ms(60 + 60 * n));
        }
        assert!(limiter.len() <= 1, "{} left", limiter.len());
        assert_eq!(limiter.len(), limiter.round.len());
    }

    proptest! {
        /// P7: in no window of time does more pass than rate times window plus burst, per source, and a source
        /// that asks less often than the rate is never refused.
        #[test]
        fn never_more_than_rate_and_burst(steps in prop::collection::vec((0_u64..90, 0_u32..4, any::<bool>()), 1..400)) {
            let mut limiter = SourceLimiter::default();
            let mut now = 0;
            let mut passed: Vec<Vec<u64>> = vec![vec![]; 8];
            let mut last: Vec<Option<u64>> = vec![None; 8];
            for (step, source, proven) in steps {
                now += step;
                let who = source as usize * 2 + usize::from(proven);
                let allowed = limiter.allow(v4(source), proven, ms(now));
                let seldom = last[who].is_none_or(|t: u64| now - t >= 50 * 5);
                prop_assert!(allowed || !seldom, "refused after a pause that refills the bucket");
                last[who] = Some(now);
                if allowed {
                    passed[who].push(now);
                }
            }
            for times in passed {
                for from in 0..times.len() {
                    for to in from..times.len() {
                        let window = times[to] - times[from];
                        prop_assert!((to - from + 1) as u64 <= window / 50 + 5);
                    }
                }
            }
        }
    }
}
