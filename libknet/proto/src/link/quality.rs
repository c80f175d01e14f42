//! A link that works, but badly: too much loss, or too far away. It is avoided while a better one is there.
//!
//! It is found poor after [`POOR_FOR`] over a limit, and trusted again after [`CLEAN_FOR`] below it: quick to leave,
//! slow to come back.

use super::Link;
use crate::{
    config::QualityLimits,
    time::{Span, Time},
};

/// How long a limit must be exceeded before the link is avoided.
pub const POOR_FOR: Span = Span::from_secs(2);
/// How long it must be clean before it is used again.
pub const CLEAN_FOR: Span = Span::from_secs(30);

/// The verdict about one link.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quality {
    /// Since when it has been over a limit (while it is good), or clean (while it is poor).
    since: Option<Time>,
    poor: bool,
}

impl Quality {
    /// It is `over` a limit now, or below all. Returns true if the verdict has changed.
    fn judge(&mut self, now: Time, over: bool) -> bool {
        if over == self.poor {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        if now.since(since) < self.patience() {
            return false;
        }
        *self = Self {
            since: None,
            poor: over,
        };
        true
    }

    /// How long the opposite must hold for the verdict to change.
    const fn patience(&self) -> Span {
        if self.poor { CLEAN_FOR } else { POOR_FOR }
    }
}

impl Link {
    /// Judges by the share of datagrams lost lately, in parts per million, and the smoothed round-trip time.
    /// Returns true if the verdict has changed.
    pub fn judge_quality(
        &mut self,
        now: Time,
        limits: &QualityLimits,
        loss_ppm: u32,
        srtt: Option<Span>,
    ) -> bool {
        let over = limits.loss_ppm.is_some_and(|limit| loss_ppm > limit)
            || limits.rtt.is_some_and(|limit| srtt.is_some_and(|s| s > limit));
        if over {
            return self.troubles.make().quality.judge(now, true);
        }
        let troubles = self.troubles.get_mut();
        troubles.is_some_and(|troubles| troubles.quality.judge(now, false))
    }

    /// Whether it should be avoided.
    pub fn is_poor(&self) -> bool {
        self.troubles.get().is_some_and(|troubles| troubles.quality.poor)
    }

    /// When the verdict may change although nothing new is measured.
    pub(super) fn quality_deadline(&self) -> Option<Time> {
        let quality = &self.troubles.get()?.quality;
        Some(quality.since? + quality.patience())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::tests::link;

    const LIMITS: QualityLimits = QualityLimits {
        loss_ppm: Some(50_000),
        rtt: Some(Span::from_millis(100)),
    };

    fn at(secs: u64) -> Time {
        Time::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn over_the_limit_for_two_seconds_then_clean_for_thirty() {
        let mut q = link();
        let near = Some(Span::from_millis(10));
        assert!(!q.judge_quality(at(0), &LIMITS, 60_000, near));
        assert_eq!(q.quality_deadline(), Some(at(2)));
        assert!(!q.judge_quality(at(1), &LIMITS, 60_000, near));
        assert!(q.judge_quality(at(2), &LIMITS, 60_000, near) && q.is_poor());
        assert!(!q.judge_quality(at(3), &LIMITS, 0, near));
        assert!(
            !q.judge_quality(at(20), &LIMITS, 60_000, near),
            "not clean for long enough"
        );
        assert!(!q.judge_quality(at(21), &LIMITS, 0, near));
        assert!(!q.judge_quality(at(50), &LIMITS, 0, near));
        assert!(q.judge_quality(at(51), &LIMITS, 0, near) && !q.is_poor());
    }

    #[test]
    fn a_short_burst_of_loss_is_forgiven() {
        let mut q = link();
        q.judge_quality(at(0), &LIMITS, 900_000, None);
        q.judge_quality(at(1), &LIMITS, 0, None);
        assert!(!q.judge_quality(at(2), &LIMITS, 900_000, None) && !q.is_poor());
    }

    #[test]
    fn distance_counts_where_it_is_limited() {
        let mut q = link();
        let far = Some(Span::from_millis(150));
        q.judge_quality(at(0), &LIMITS, 0, far);
        assert!(q.judge_quality(at(2), &LIMITS, 0, far));
        let mut q = link();
        q.judge_quality(at(0), &QualityLimits::default(), 999_999, far);
        assert!(
            !q.judge_quality(at(9), &QualityLimits::default(), 999_999, far),
            "no limits"
        );
    }
}
