//! Round-trip time and jitter of a link, from real measurements.

use crate::{
    on_demand::OnDemand,
    time::{ShortSpan, Span, Time},
};

/// What comes after a doubt counts as no more than so much above the average: in one such measurement the estimator goes along
/// with a queue that has grown by half a second.
const MOST_DOUBTFUL: Span = Span::from_millis(500);
/// No round trip is shorter.
const SHORTEST: Span = Span::from_nanos(100);

/// Smoothed round-trip time and its variation (RFC 6298 section 2, with its gains 1/8 and 1/4).
#[derive(Clone, Copy, Debug, Default)]
pub struct RttEstimator {
    /// Zero before the first measurement.
    srtt: ShortSpan,
    rttvar: ShortSpan,
    /// Likewise.
    min: ShortSpan,
}

impl RttEstimator {
    /// Takes in one measurement; more than 85 s count as these.
    pub fn sample(&mut self, rtt: Span) {
        let rtt = rtt.max(SHORTEST);
        let (srtt, rttvar) = match self.srtt() {
            None => (rtt, rtt.divided_by(2)),
            Some(srtt) => {
                let error = if srtt > rtt { srtt - rtt } else { rtt - srtt };
                (
                    srtt.times(7).divided_by(8) + rtt.divided_by(8),
                    self.rttvar().times(3).divided_by(4) + error.divided_by(4),
                )
            }
        };
        self.srtt = ShortSpan::of(srtt.max(SHORTEST));
        self.rttvar = ShortSpan::of(rttvar);
        self.min = ShortSpan::of(self.min().map_or(rtt, |m| m.min(rtt)));
    }

    /// Takes in one that was measured while nobody knew whether there would be an answer. Where the peer has stood still it tells
    /// for how long, and nothing of the path; where the path has become longer, there will be more.
    pub fn doubtful_sample(&mut self, rtt: Span) {
        let most = self.srtt().map_or(rtt, |srtt| srtt + MOST_DOUBTFUL);
        self.sample(rtt.min(most));
    }

    /// The smoothed round-trip time, if anything was measured.
    pub const fn srtt(&self) -> Option<Span> {
        self.srtt.known()
    }

    /// Its variation.
    pub const fn rttvar(&self) -> Span {
        self.rttvar.span()
    }

    /// The smallest measurement.
    pub const fn min(&self) -> Option<Span> {
        self.min.known()
    }

    /// `SRTT + max(4·RTTVAR, 1 ms)`: what a healthy answer stays below. Zero before the first measurement.
    pub fn bound(&self) -> Span {
        match self.srtt() {
            None => Span::ZERO,
            Some(srtt) => srtt + self.rttvar().times(4).max(Span::from_millis(1)),
        }
    }
}

/// How long one part of the window of [`RttTail`] is, and how many complete ones it has.
const PART: Span = Span::from_secs(20);
const PARTS: usize = 3;
/// A measurement counts at most once in this time: a moment of doubt, with a probe every few milliseconds, is no more
/// than a moment of the minute.
const APART: Span = Span::from_millis(140);
/// The greatest measurements of a part. In four parts of 20 s there are at most 572, and the 99th percentile of
/// these is the sixth from above.
const KEPT: usize = 6;
/// Where measurements are further apart than this, no more than [`FEW`] are in a part, and the 99th percentile of all
/// is the greatest: the others need not be kept. The heartbeats of most links of a hub with tens of thousands are.
const RARE: Span = Span::from_secs(2);
const FEW: u8 = 11;

/// A round-trip time in whole microseconds, 16.7 s at most, in three bytes; big-endian, so that
/// they compare as it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Micros([u8; 3]);

impl Micros {
    fn of(rtt: Span) -> Self {
        let [_, bytes @ ..] = (rtt.as_micros().min(0xff_ffff) as u32).to_be_bytes();
        Self(bytes)
    }

    const fn span(self) -> Span {
        let Self([high, middle, low]) = self;
        Span::from_micros(u32::from_be_bytes([0, high, middle, low]) as u64)
    }
}

/// The slow end of the round-trip times of the last minute: of the last 60 to 80 seconds, to be exact.
#[derive(Clone, Debug, Default)]
pub struct RttTail {
    /// Of the part that grows, and of the ones before it, the latest first: how many measurements there are.
    counts: [u8; PARTS + 1],
    /// The greatest of each.
    greatest: [Micros; PARTS + 1],
    /// The next greatest of each, descending.
    others: OnDemand<[[Micros; KEPT - 1]; PARTS + 1]>,
    /// When the part that grows began, and when the last measurement was made: milliseconds modulo 2^32, which suffices for
    /// 49 days without one.
    began_ms: u32,
    last_ms: u32,
}

impl RttTail {
    /// Takes in one measurement.
    pub fn sample(&mut self, now: Time, rtt: Span) {
        let pause = Span::from_millis(milliseconds(now).wrapping_sub(self.last_ms).into());
        let first = self.counts == [0; PARTS + 1];
        if !first && pause < APART {
            return;
        }
        self.last_ms = milliseconds(now);
        self.forget(now);
        if !first && pause < RARE {
            self.others.make();
        }
        let mut rtt = Micros::of(rtt);
        let ([count, ..], [greatest, ..]) = (&mut self.counts, &mut self.greatest);
        *count = count.saturating_add(1);
        if rtt > *greatest {
            core::mem::swap(greatest, &mut rtt);
        }
        if let Some([others, ..]) = self.others.get_mut() {
            let place = others.partition_point(|o| *o >= rtt);
            if let Some(smaller) = others.get_mut(place..).filter(|s| !s.is_empty()) {
                smaller.rotate_right(1);
                smaller[0] = rtt;
            }
        }
    }

    /// Forgets what is too old.
    fn forget(&mut self, now: Time) {
        let passed = self.parts_since(now).min(PARTS + 1);
        if passed == 0 {
            return;
        }
        self.began_ms = milliseconds(now);
        shift(&mut self.counts, passed);
        shift(&mut self.greatest, passed);
        if self.counts.iter().all(|count| *count <= FEW) {
            self.others.clear();
        } else if let Some(others) = self.others.get_mut() {
            shift(others, passed);
        }
    }

    /// The round-trip time that 99 of 100 measurements of the last minute did not exceed (nearest rank); `None` if there
    /// was none.
    pub fn p99(&self, now: Time) -> Option<Span> {
        let live = (PARTS + 1).saturating_sub(self.parts_since(now));
        let count: usize = self.counts.iter().take(live).map(|c| usize::from(*c)).sum();
        if count == 0 {
            return None;
        }
        let mut kept = [Micros::default(); KEPT * (PARTS + 1)];
        let others = self.others.get().into_iter().flatten().take(live).flatten();
        let all = self.greatest.iter().take(live).chain(others);
        kept.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
        kept.sort_unstable_by(|a, b| b.cmp(a));
        // How many measurements may be slower.
        kept.get(count / 100).map(|rtt| rtt.span())
    }

    /// How many parts have ended since the one that grows began.
    fn parts_since(&self, now: Time) -> usize {
        let passed = milliseconds(now).wrapping_sub(self.began_ms);
        usize::try_from(u64::from(passed) / PART.as_millis()).unwrap_or(usize::MAX)
    }
}

fn milliseconds(time: Time) -> u32 {
    time.since(Time::ZERO).as_millis() as u32
}

/// Makes room for `passed` new parts in front.
fn shift<T: Default>(parts: &mut [T; PARTS + 1], passed: usize) {
    parts.rotate_right(passed.min(PARTS));
    parts.iter_mut().take(passed).for_each(|p| *p = T::default());
}

/// Interarrival jitter of what the peer sends (RFC 3550 section 6.4.1). Needs no common clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct JitterMeter {
    last_transit_us: Option<u32>,
    /// Jitter in nanoseconds, 4 s at most.
    jitter: u32,
}

impl JitterMeter {
    /// A packet that the peer stamped `t_tx_us` (its clock, microseconds modulo 2^32) arrived `now`.
    pub fn arrival(&mut self, now: Time, t_tx_us: u32) {
        let transit = now.wire_micros().wrapping_sub(t_tx_us);
        if let Some(last) = self.last_transit_us.replace(transit) {
            let difference = (transit.wrapping_sub(last) as i32).unsigned_abs();
            let difference = difference.saturating_mul(1_000);
            self.jitter = self.jitter - self.jitter / 16 + difference / 16;
        }
    }

    /// When the last packet arrived less when it was sent, in microseconds modulo 2^32 and by two clocks: only
    /// differences between links of one peer mean anything.
    pub const fn transit_us(&self) -> Option<u32> {
        self.last_transit_us
    }

    /// The estimate.
    pub const fn jitter(&self) -> Span {
        Span::from_nanos(self.jitter as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_sample_sets_srtt_and_half_of_it_as_variation() {
        let mut e = RttEstimator::default();
        e.sample(Span::from_millis(100));
        assert_eq!(e.srtt(), Some(Span::from_millis(100)));
        assert_eq!(e.rttvar(), Span::from_millis(50));
        assert_eq!(e.bound(), Span::from_millis(300));
    }

    #[test]
    fn steady_samples_shrink_the_variation_to_its_floor() {
        let mut e = RttEstimator::default();
        for _ in 0..100 {
            e.sample(Span::from_millis(20));
        }
        assert_eq!(e.srtt().map(Span::as_millis), Some(20));
        assert!(e.bound() <= Span::from_micros(21_100));
    }

    #[test]
    fn jitter_is_zero_for_a_steady_stream_and_survives_clock_wrap() {
        let mut j = JitterMeter::default();
        let mut sent = u32::MAX - 1_500;
        let mut now = Time::from_nanos(7_000);
        for _ in 0..50 {
            j.arrival(now, sent);
            sent = sent.wrapping_add(1_000);
            now = now + Span::from_millis(1);
        }
        assert_eq!(j.jitter(), Span::ZERO);
        j.arrival(now + Span::from_millis(16), sent);
        assert_eq!(j.jitter(), Span::from_millis(1));
    }

    #[test]
    fn one_of_a_hundred_may_be_slower() {
        let mut tail = RttTail::default();
        let mut now = Time::from_nanos(1);
        assert_eq!(tail.p99(now), None);
        for n in 1..=100 {
            tail.sample(now, Span::from_millis(n));
            now = now + Span::from_millis(500);
            let expected = if n < 100 { n } else { n - 1 };
            assert_eq!(
                tail.p99(now),
                Some(Span::from_millis(expected)),
                "{n} measurements"
            );
        }
        let doubts = tail.clone();
        for _ in 0..20 {
            tail.sample(now, Span::from_millis(70_000));
            now = now + Span::from_millis(5);
        }
        assert_eq!(tail.p99(now), Some(Span::from_millis(100)), "{doubts:?}");
    }

    #[test]
    fn a_minute_later_it_is_forgotten() {
        let mut tail = RttTail::default();
        let mut now = Time::from_nanos(1);
        tail.sample(now, Span::from_millis(90));
        for second in 1..=81 {
            now = now + Span::from_secs(1);
            tail.sample(now, Span::from_millis(10));
            let p99 = tail.p99(now).map(Span::as_millis);
            match second {
                ..=60 => assert_eq!(p99, Some(90), "after {second} s"),
                80.. => assert_eq!(p99, Some(10), "after {second} s"),
                _ => {}
            }
        }
        assert_eq!(tail.p99(now + Span::from_secs(60)), Some(Span::from_millis(10)));
        assert_eq!(tail.p99(now + Span::from_secs(80)), None);
        now = now + Span::from_secs(1_000);
        tail.sample(now, Span::from_millis(3));
        assert_eq!(tail.p99(now), Some(Span::from_millis(3)));
    }

    proptest::proptest! {
        /// What it says of the measurements that it has is what sorting them would say.
        #[test]
        fn as_by_sorting(all in proptest::collection::vec((140_u64..900, 0_u64..50_000), 1..700)) {
            let (mut tail, mut now, mut seen) = (RttTail::default(), Time::from_nanos(1), std::vec::Vec::new());
            let mut began = now;
            for (pause, rtt_us) in all {
                now = now + Span::from_millis(pause);
                let parts = now.since(began).as_nanos() / PART.as_nanos();
                if parts > 0 {
                    began = now;
                    for (age, _) in &mut seen {
                        *age += parts;
                    }
                }
                seen.push((0, rtt_us));
                tail.sample(now, Span::from_micros(rtt_us));
                let mut live: std::vec::Vec<u64> =
                    seen.iter().filter(|(age, _)| *age <= PARTS as u64).map(|(_, rtt)| *rtt).collect();
                live.sort_unstable();
                let rank = (live.len() * 99).div_ceil(100);
                proptest::prop_assert_eq!(tail.p99(now), Some(Span::from_micros(live[rank - 1])));
            }
        }
    }
}
