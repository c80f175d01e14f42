//! What one peer may make the bridge do per second.

use crate::{
    time::{Span, Time},
    token_bucket::{Rate, TokenBucket},
};

/// Broadcast, multicast and unknown unicast frames from one peer (limits: row 33).
pub const FLOODED_FRAMES: Rate = Rate::new(1_000, 2_000);
/// Bytes in them: 8 Mb/s, and as long a burst as of the frames.
pub const FLOODED_BYTES: Rate = Rate::new(1_000_000, 2_000_000);
/// Copies made of one peer's flooded frames (limits: row 34), and see [`StormControl::copies_available`].
pub const COPIES: Rate = Rate::new(20_000, 5_000);
/// For so long a time ahead one frame may use up the budget of copies: enough for one to every peer there can be.
pub const OVERDRAFT: Span = Span::from_secs(5);
/// Copies made of everybody's flooded frames, the TAP's included (limits: row 34).
pub const COPIES_TOTAL: Rate = Rate::new(500_000, 500_000);
/// Addresses learned or moved to one peer (limits: row 32).
pub const NEW_MACS: Rate = Rate::new(200, 200);

/// How much one peer may flood, where the operator has said so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StormLimits {
    /// Frames a second, and a thousand times as many bytes; twice as much at once. `None`: [`FLOODED_FRAMES`].
    pub frames: Option<u32>,
    /// Copies of them a second, a quarter as many at once, and five times as many of one frame. `None`: [`COPIES`].
    pub copies: Option<u32>,
}

impl StormLimits {
    const fn frames(self) -> Rate {
        match self.frames {
            Some(n) => Rate::new(n as u64, 2 * n as u64),
            None => FLOODED_FRAMES,
        }
    }

    const fn bytes(self) -> Rate {
        match self.frames {
            Some(n) => Rate::new(1_000 * n as u64, 2_000 * n as u64),
            None => FLOODED_BYTES,
        }
    }

    const fn copies(self) -> Rate {
        match self.copies {
            Some(n) => Rate::new(n as u64, (n as u64).div_ceil(4)),
            None => COPIES,
        }
    }
}

/// The buckets of one peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct StormControl {
    limits: StormLimits,
    frames: TokenBucket,
    bytes: TokenBucket,
    copies: TokenBucket,
    dropped_frames: u64,
    dropped_copies: u64,
}

impl StormControl {
    /// Changes how much there is. What has been taken stays taken.
    pub fn set_limits(&mut self, limits: StormLimits) {
        self.limits = limits;
    }

    /// Frames and copies that were refused.
    pub const fn dropped(&self) -> (u64, u64) {
        (self.dropped_frames, self.dropped_copies)
    }

    /// Sets these to zero.
    pub fn clear_dropped(&mut self) {
        (self.dropped_frames, self.dropped_copies) = (0, 0);
    }

    /// Whether `count` frames of `len` bytes together from the peer may be flooded.
    pub fn admit_flood(&mut self, now: Time, count: u32, len: usize) -> bool {
        let (frames, bytes) = (self.limits.frames(), self.limits.bytes());
        let admitted = self.bytes.available(bytes, now) >= len as u64
            && self.frames.take(frames, now, count.into())
            && self.bytes.take(bytes, now, len as u64);
        if !admitted {
            self.dropped_frames += u64::from(count);
        }
        admitted
    }

    /// Copies of the peer's next flooded frame that could be made now. Whoever has not flooded for a moment may use the budget
    /// of the next seconds for one frame, and waits then: so a broadcast reaches everybody, and hundreds of broadcasts do
    /// not come at once.
    pub fn copies_available(&self, now: Time) -> u64 {
        let rate = self.limits.copies();
        let available = self.copies.available(rate, now);
        if available == rate.burst() {
            OVERDRAFT.as_nanos() / rate.interval().as_nanos()
        } else {
            available
        }
    }

    /// Takes copies, of which so many were wanted; see [`Self::copies_available`].
    pub fn take_copies(&mut self, now: Time, copies: u64, wanted: u64) {
        self.copies.overdraw(self.limits.copies(), now, copies);
        self.dropped_copies += wanted.saturating_sub(copies);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{MAX_PEERS, MAX_WORKERS, Workers},
        l2::packet_too_big::ANSWERS,
    };

    const ALL: [Rate; 5] = [FLOODED_FRAMES, FLOODED_BYTES, COPIES, COPIES_TOTAL, NEW_MACS];

    #[test]
    fn every_rate_is_exact() {
        let per_second = [1_000, 1_000_000, 20_000, 500_000, 200];
        for (rate, per_second) in ALL.into_iter().zip(per_second) {
            assert_eq!(rate.interval().times(per_second), Span::from_secs(1));
        }
    }

    #[test]
    fn the_shares_of_all_workers_are_no_more_than_the_whole() {
        for workers in (1..=MAX_WORKERS).filter_map(Workers::new) {
            let n = u64::from(workers.get());
            for rate in [COPIES_TOTAL, ANSWERS] {
                let share = rate.shared(workers);
                assert_eq!(share.interval(), rate.interval().times(n));
                assert!(
                    (1..=rate.burst() / n).contains(&share.burst()),
                    "{share:?} of {rate:?}"
                );
            }
        }
        assert_eq!(COPIES_TOTAL.shared(Workers::ONE), COPIES_TOTAL);
    }

    #[test]
    fn a_refused_flood_costs_nothing() {
        let mut storm = StormControl::default();
        let now = Time::ZERO;
        let frames = (0..10_000).filter(|_| storm.admit_flood(now, 1, 60)).count();
        assert_eq!(frames, 2_000);
        let mut storm = StormControl::default();
        let long = (0..10_000).filter(|_| storm.admit_flood(now, 1, 9_000)).count();
        assert_eq!(long, 2_000_000 / 9_000);
        // Too many bytes: the frames that were refused were not counted as frames.
        let rest = (0..10_000).filter(|_| storm.admit_flood(now, 1, 1)).count();
        assert_eq!(rest, 2_000 - long);
    }

    /// One frame reaches everybody, the next waits until that is paid.
    #[test]
    fn one_flood_may_overdraw() {
        let mut storm = StormControl::default();
        let all = MAX_PEERS as u64;
        let at = |ms| Time::ZERO + Span::from_millis(ms);
        assert!(storm.copies_available(at(0)) >= all);
        storm.take_copies(at(0), all, all);
        let paid = (all - COPIES.burst()) * 1_000 / COPIES.per_second();
        assert_eq!(storm.copies_available(at(paid - 1)), 0);
        assert!((1..=20).contains(&storm.copies_available(at(paid + 1))));
        assert!(storm.copies_available(at(paid + 249)) < COPIES.burst());
        assert!(storm.copies_available(at(paid + 251)) >= all);
        // Many small ones have no more than the burst.
        for _ in 0..50 {
            storm.take_copies(at(10_000), 100, 100);
        }
        assert_eq!(storm.copies_available(at(10_000)), 0);
        assert_eq!(storm.copies_available(at(10_125)), COPIES.burst() / 2);
    }
}
