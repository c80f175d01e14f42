//! Bounds on lines that others can cause: one of a kind in ten seconds, a hundred in a second.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Each kind of line is logged once in this time; what was held back is summed up at its end.
const WINDOW: Duration = Duration::from_secs(10);
/// All kinds together, in one second.
pub(crate) const PER_SECOND: u32 = 100;
/// Kinds remembered at once.
const KINDS: usize = 16_384;

/// Decides which lines are logged.
#[derive(Debug, Default)]
pub(crate) struct LogLimiter {
    kinds: HashMap<String, Window>,
    second: Option<Instant>,
    in_second: u32,
    suppressed: u64,
}

#[derive(Debug)]
struct Window {
    start: Instant,
    held_back: u32,
    last: String,
}

impl LogLimiter {
    /// The line, if it may be logged now. `kind` names what the line is about: interface, peer, link, event.
    pub(crate) fn admit(&mut self, now: Instant, kind: &str, line: String) -> Option<String> {
        if let Some(window) = self.kinds.get_mut(kind)
            && now.duration_since(window.start) < WINDOW
        {
            window.held_back = window.held_back.saturating_add(1);
            window.last = line;
            return None;
        }
        let known = self.kinds.contains_key(kind);
        if !self.take(now) || !known && self.kinds.len() >= KINDS {
            self.suppressed += 1;
            return None;
        }
        // A window that ended a moment ago may not have been summed up yet.
        let before = self.kinds.insert(
            kind.into(),
            Window {
                start: now,
                held_back: 0,
                last: String::new(),
            },
        );
        match before {
            Some(window) if window.held_back > 0 => {
                Some(format!("{line} (after {} more like it)", window.held_back))
            }
            _ => Some(line),
        }
    }

    /// Lines about what was held back; to be called about once a second.
    pub(crate) fn summaries(&mut self, now: Instant) -> Vec<String> {
        let mut ended: Vec<_> = self
            .kinds
            .extract_if(|_, window| now.duration_since(window.start) >= WINDOW)
            .collect();
        // The order of the map differs from run to run.
        ended.sort_by(|a, b| a.0.cmp(&b.0));
        let mut lines = Vec::new();
        for (kind, window) in ended {
            if window.held_back == 0 {
                continue;
            }
            if self.take(now) {
                lines.push(format!("{} ({} like it in 10 s)", window.last, window.held_back));
                // What goes on at this pace stays limited.
                self.kinds.insert(
                    kind,
                    Window {
                        start: now,
                        held_back: 0,
                        last: String::new(),
                    },
                );
            } else {
                self.suppressed += u64::from(window.held_back);
            }
        }
        let suppressed = std::mem::take(&mut self.suppressed);
        if suppressed > 0 {
            lines.push(format!(
                "{suppressed} more log lines were suppressed (over {PER_SECOND} in a second)"
            ));
        }
        lines
    }

    /// One line of this second's allowance.
    fn take(&mut self, now: Instant) -> bool {
        if self
            .second
            .is_none_or(|second| now.duration_since(second) >= Duration::from_secs(1))
        {
            self.second = Some(now);
            self.in_second = 0;
        }
        self.in_second += 1;
        self.in_second <= PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_summed_up() {
        let (mut limiter, start) = (LogLimiter::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(limiter.admit(at(0), "a down", "1".into()).as_deref(), Some("1"));
        assert_eq!(limiter.admit(at(1), "a up", "2".into()).as_deref(), Some("2"));
        assert_eq!(limiter.admit(at(5000), "a down", "3".into()), None);
        assert_eq!(limiter.admit(at(9999), "a down", "4".into()), None);
        assert!(limiter.summaries(at(9999)).is_empty());
        assert_eq!(limiter.summaries(at(10_001)), ["4 (2 like it in 10 s)"]);
        assert_eq!(limiter.admit(at(10_002), "a down", "5".into()), None);
        assert_eq!(
            limiter.admit(at(10_002), "a up", "6".into()).as_deref(),
            Some("6")
        );
        assert_eq!(limiter.summaries(at(20_002)), ["5 (1 like it in 10 s)"]);
        assert!(limiter.summaries(at(31_000)).is_empty());
        assert!(limiter.kinds.is_empty());
    }

    #[test]
    fn a_flood_of_kinds_is_bounded() {
        let (mut limiter, now) = (LogLimiter::default(), Instant::now());
        let logged = (0..1000)
            .filter(|n| limiter.admit(now, &n.to_string(), "x".into()).is_some())
            .count();
        assert_eq!(logged, PER_SECOND as usize);
        assert_eq!(limiter.summaries(now).len(), 1);
        let later = now + Duration::from_secs(1);
        assert!(limiter.admit(later, "new", "x".into()).is_some());
    }
}
