//! What was sent on a link and has not been reported yet: enough of it to know how long the oldest has
//! been waiting.
//!
//! Not every datagram is remembered, only marks at least a sixteenth of the report timeout apart: the age
//! of the oldest unreported datagram is known to within that.

use alloc::collections::VecDeque;

use crate::time::{Span, Time};

const MARKS: usize = 32;

/// A data counter together with the session it belongs to; later sessions are greater. The default is before all of them: the
/// serial number of the first session is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataSeq {
    /// Serial number of the session (local, ascending).
    pub session: u32,
    /// Counter within it.
    pub counter: u32,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    seq: DataSeq,
    sent: Time,
}

/// The unreported data of one link.
#[derive(Debug, Default)]
pub struct SentLog {
    marks: VecDeque<Mark>,
    /// The last that was sent, for as long as it waits.
    newest: Option<Mark>,
}

impl SentLog {
    /// `seq` left on this link. Marks are kept `spacing` apart.
    pub fn sent(&mut self, now: Time, seq: DataSeq, spacing: Span) {
        let mark = Mark { seq, sent: now };
        self.newest = Some(mark);
        let wanted = match self.marks.back() {
            None => true,
            Some(back) => now.since(back.sent) >= spacing && self.marks.len() < MARKS,
        };
        if wanted {
            self.marks.push_back(mark);
        }
    }

    /// A report says that `highest` is the highest that arrived over this link. Whatever is older is settled:
    /// it arrived, or the link lost it while it was working. Returns the time at which the newest settled
    /// mark was sent, if one was settled.
    pub fn reported(&mut self, highest: DataSeq) -> Option<Time> {
        let mut settled = None;
        while let Some(front) = self.marks.front().filter(|m| m.seq <= highest) {
            settled = Some(front.sent);
            self.marks.pop_front();
        }
        self.keep_newest(|newest| newest.seq > highest);
        settled
    }

    /// A probe sent at `sent` was answered: what left before it is settled too.
    pub fn answered(&mut self, sent: Time) {
        while self.marks.front().is_some_and(|m| m.sent <= sent) {
            self.marks.pop_front();
        }
        self.keep_newest(|newest| newest.sent > sent);
    }

    /// When the oldest unreported datagram left.
    pub fn oldest_unreported(&self) -> Option<Time> {
        self.marks.front().map(|m| m.sent)
    }

    /// Datagrams that left between marks must not be forgotten with the mark before them.
    fn keep_newest(&mut self, waits: impl Fn(&Mark) -> bool) {
        self.newest = self.newest.filter(waits);
        if self.marks.is_empty() {
            self.marks.extend(self.newest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Time = |n| Time::from_nanos(n * 1_000_000);
    const SPACING: Span = Span::from_millis(1);

    fn seq(counter: u32) -> DataSeq {
        DataSeq { session: 1, counter }
    }

    #[test]
    fn the_oldest_unreported_is_known_after_each_report() {
        let mut log = SentLog::default();
        for i in 0..5 {
            log.sent(MS(u64::from(i)), seq(i), SPACING);
        }
        assert_eq!(log.oldest_unreported(), Some(MS(0)));
        assert_eq!(log.reported(seq(2)), Some(MS(2)));
        assert_eq!(log.oldest_unreported(), Some(MS(3)));
        log.reported(seq(4));
        assert_eq!(log.oldest_unreported(), None);
    }

    #[test]
    fn a_burst_inside_one_mark_is_not_forgotten() {
        let mut log = SentLog::default();
        for i in 0..10 {
            log.sent(MS(0), seq(i), SPACING);
        }
        log.reported(seq(3));
        assert_eq!(log.oldest_unreported(), Some(MS(0)));
        log.reported(seq(9));
        assert_eq!(log.oldest_unreported(), None);
    }

    #[test]
    fn an_answered_probe_settles_what_left_before_it() {
        let mut log = SentLog::default();
        log.sent(MS(0), seq(0), SPACING);
        log.sent(MS(5), seq(1), SPACING);
        log.answered(MS(3));
        assert_eq!(log.oldest_unreported(), Some(MS(5)));
    }

    #[test]
    fn what_is_settled_does_not_come_back() {
        let mut log = SentLog::default();
        log.sent(MS(5), seq(0), SPACING);
        log.reported(seq(0));
        log.answered(MS(3));
        assert_eq!(log.oldest_unreported(), None);
    }

    #[test]
    fn a_newer_session_counts_as_later() {
        let mut log = SentLog::default();
        log.sent(
            MS(0),
            DataSeq {
                session: 1,
                counter: 1_000,
            },
            SPACING,
        );
        log.sent(
            MS(2),
            DataSeq {
                session: 2,
                counter: 0,
            },
            SPACING,
        );
        log.reported(DataSeq {
            session: 1,
            counter: 1_000,
        });
        assert_eq!(log.oldest_unreported(), Some(MS(2)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut log = SentLog::default();
        for i in 0..10_000 {
            log.sent(MS(u64::from(i)), seq(i), SPACING);
        }
        assert!(log.marks.len() <= MARKS);
        assert_eq!(log.oldest_unreported(), Some(MS(0)));
    }
}
