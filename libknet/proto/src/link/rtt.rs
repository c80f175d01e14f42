//! Round-trip time and jitter of a link, from real measurements.

use crate::time::{Span, Time};

/// Smoothed round-trip time and its variation (RFC 6298 section 2, with its gains 1/8 and 1/4).
#[derive(Clone, Copy, Debug, Default)]
pub struct RttEstimator {
    srtt: Option<Span>,
    rttvar: Span,
    min: Option<Span>,
}

impl RttEstimator {
    /// Takes in one measurement.
    pub fn sample(&mut self, rtt: Span) {
        self.min = Some(self.min.map_or(rtt, |m| m.min(rtt)));
        match self.srtt {
            None => {
                self.srtt = Some(rtt);
                self.rttvar = rtt.divided_by(2);
            }
            Some(srtt) => {
                let error = if srtt > rtt { srtt - rtt } else { rtt - srtt };
                self.rttvar = self.rttvar.times(3).divided_by(4) + error.divided_by(4);
                self.srtt = Some(srtt.times(7).divided_by(8) + rtt.divided_by(8));
            }
        }
    }

    /// The smoothed round-trip time, if anything was measured.
    pub const fn srtt(&self) -> Option<Span> {
        self.srtt
    }

    /// Its variation.
    pub const fn rttvar(&self) -> Span {
        self.rttvar
    }

    /// The smallest measurement.
    pub const fn min(&self) -> Option<Span> {
        self.min
    }

    /// `SRTT + max(4·RTTVAR, 1 ms)`: what a healthy answer stays below. Zero before the first measurement.
    pub fn bound(&self) -> Span {
        match self.srtt {
            None => Span::ZERO,
            Some(srtt) => srtt + self.rttvar.times(4).max(Span::from_millis(1)),
        }
    }
}

/// Interarrival jitter of what the peer sends (RFC 3550 section 6.4.1). Needs no common clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct JitterMeter {
    last_transit_us: Option<u32>,
    /// Jitter in nanoseconds.
    jitter: u64,
}

impl JitterMeter {
    /// A packet that the peer stamped `t_tx_us` (its clock, microseconds modulo 2^32) arrived `now`.
    pub fn arrival(&mut self, now: Time, t_tx_us: u32) {
        let transit = now.wire_micros().wrapping_sub(t_tx_us);
        if let Some(last) = self.last_transit_us.replace(transit) {
            let difference = (transit.wrapping_sub(last) as i32).unsigned_abs();
            let difference = u64::from(difference).saturating_mul(1_000);
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
        Span::from_nanos(self.jitter)
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
}
