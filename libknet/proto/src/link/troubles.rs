//! What is remembered of a link that has been in doubt, or given reason to be. Most never are.

use super::{flap_damping::FlapDamping, quality::Quality};
use crate::{
    on_demand::OnDemand,
    status::{Traffic, Verdicts},
    time::{Span, Time},
};

/// Errors of the kernel count once in this time.
const ERRORS_APART: Span = Span::from_millis(5);
/// Claims that the link is dead are looked into once in this time.
const HINTS_APART: Span = Span::from_millis(100);
/// More suspicions than this ...
const SUSPICIONS: u8 = 6;
/// ... in this time are too many.
const SUSPICIONS_WITHIN: Span = Span::from_secs(60);

/// The troubles of one link.
#[derive(Clone, Debug, Default)]
pub(super) struct Troubles {
    /// Flap damping.
    pub(super) damping: FlapDamping,
    /// How it has been judged so far.
    pub(super) verdicts: Verdicts,
    /// Whether it exceeds its limits.
    pub(super) quality: Quality,
    /// Its traffic when somebody set the counters to zero.
    pub(super) cleared: OnDemand<(Traffic, Traffic)>,
    /// While it is suspect: when that left which had no answer in time.
    pub(super) doubted_from: Time,
    /// And so long what goes out over another link goes out over it as well.
    pub(super) mirror_until: Time,
    /// When our patience with it changed last.
    pub(super) patience_changed: Time,
    send_error: Option<(Time, u8)>,
    hint: Option<Time>,
    suspicions: (Time, u8),
}

impl Troubles {
    /// The kernel refused to send. Returns how often in a row it has, or nothing if that was counted a moment ago.
    pub(super) fn send_error(&mut self, now: Time) -> Option<u8> {
        let errors = match self.send_error {
            Some((at, n)) if now.since(at) >= ERRORS_APART => n.saturating_add(1),
            Some(_) => return None,
            None => 1,
        };
        self.send_error = Some((now, errors));
        Some(errors)
    }

    /// What was sent has arrived.
    pub(super) fn no_send_error(&mut self) {
        self.send_error = None;
    }

    /// Somebody claims that the link is dead. Whether to look into that.
    pub(super) fn hint(&mut self, now: Time) -> bool {
        let rested = self.hint.is_none_or(|last| now.since(last) >= HINTS_APART);
        if rested {
            self.hint = Some(now);
        }
        rested
    }

    /// It is suspected. Whether that is so too often.
    pub(super) fn suspected(&mut self, now: Time) -> bool {
        self.verdicts.suspects = self.verdicts.suspects.saturating_add(1);
        let (start, n) = self.suspicions;
        self.suspicions = if now.since(start) >= SUSPICIONS_WITHIN {
            (now, 1)
        } else {
            (start, n + 1)
        };
        let often = self.suspicions.1 > SUSPICIONS;
        if often {
            self.suspicions = (now, 0);
        }
        often
    }
}
