//! A link that works, but badly: too much loss, or too far away. It is avoided while a better one is there.
//!
//! It is found poor after [`POOR_FOR`] over a limit, and trusted again after [`CLEAN_FOR`] below it: quick to leave,
//! slow to come back.

use crate::{
    config::QualityLimits,
    on_demand::OnDemand,
    time::{Span, Time},
};

/// How long a limit must be exceeded before the link is avoided.
pub const POOR_FOR: Span = Span::from_secs(2);
/// How long it must be clean before it is used again.
pub const CLEAN_FOR: Span = Span::from_secs(30);

/// The verdict about one link.
#[derive(Clone, Debug, Default)]
pub struct Quality(OnDemand<Verdict>);

/// Most links are good, and below all limits: they have none.
#[derive(Clone, Copy, Debug, Default)]
struct Verdict {
    /// Since when it has been over a limit (while it is good), or clean (while it is poor).
    since: Option<Time>,
    poor: bool,
}

impl Quality {
    /// Judges by the share of datagrams lost lately, in parts per million, and the smoothed round-trip time.
    /// Returns true if the verdict has changed.
    pub fn judge(&mut self, now: Time, limits: &QualityLimits, loss_ppm: u32, srtt: Option<Span>) -> bool {
        let over = limits.loss_ppm.is_some_and(|limit| loss_ppm > limit)
            || limits.rtt.is_some_and(|limit| srtt.is_some_and(|s| s > limit));
        if !over && !self.is_poor() {
            self.0.clear();
            return false;
        }
        let verdict = self.0.make();
        if over == verdict.poor {
            verdict.since = None;
            return false;
        }
        let since = *verdict.since.get_or_insert(now);
        if now.since(since) < verdict.patience() {
            return false;
        }
        *verdict = Verdict {
            since: None,
            poor: over,
        };
        true
    }

    /// Whether the link should be avoided.
    pub fn is_poor(&self) -> bool {
        self.0.get().is_some_and(|verdict| verdict.poor)
    }

    /// When the verdict may change although nothing new is measured.
    pub fn deadline(&self) -> Option<Time> {
        let verdict = self.0.get()?;
        Some(verdict.since? + verdict.patience())
    }
}

impl Verdict {
    /// How long the opposite must hold for the verdict to change.
    const fn patience(&self) -> Span {
        if self.poor { CLEAN_FOR } else { POOR_FOR }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: QualityLimits = QualityLimits {
        loss_ppm: Some(50_000),
        rtt: Some(Span::from_millis(100)),
    };

    fn at(secs: u64) -> Time {
        Time::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn over_the_limit_for_two_seconds_then_clean_for_thirty() {
        let mut q = Quality::default();
        let near = Some(Span::from_millis(10));
        assert!(!q.judge(at(0), &LIMITS, 60_000, near));
        assert_eq!(q.deadline(), Some(at(2)));
        assert!(!q.judge(at(1), &LIMITS, 60_000, near));
        assert!(q.judge(at(2), &LIMITS, 60_000, near) && q.is_poor());
        assert!(!q.judge(at(3), &LIMITS, 0, near));
        assert!(
            !q.judge(at(20), &LIMITS, 60_000, near),
            "not clean for long enough"
        );
        assert!(!q.judge(at(21), &LIMITS, 0, near));
        assert!(!q.judge(at(50), &LIMITS, 0, near));
        assert!(q.judge(at(51), &LIMITS, 0, near) && !q.is_poor());
    }

    #[test]
    fn a_short_burst_of_loss_is_forgiven() {
        let mut q = Quality::default();
        q.judge(at(0), &LIMITS, 900_000, None);
        q.judge(at(1), &LIMITS, 0, None);
        assert!(!q.judge(at(2), &LIMITS, 900_000, None) && !q.is_poor());
    }

    #[test]
    fn distance_counts_where_it_is_limited() {
        let mut q = Quality::default();
        let far = Some(Span::from_millis(150));
        q.judge(at(0), &LIMITS, 0, far);
        assert!(q.judge(at(2), &LIMITS, 0, far));
        let mut q = Quality::default();
        q.judge(at(0), &QualityLimits::default(), 999_999, far);
        assert!(
            !q.judge(at(9), &QualityLimits::default(), 999_999, far),
            "no limits"
        );
    }
}
