//! The latest lines of the log.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use libknet::api::message::LogRow;

/// How many lines are kept.
pub(crate) const LINES: usize = 1000;

/// The latest lines, shared between whoever logs and `show logging`.
#[derive(Clone, Default)]
pub(crate) struct LogHistory(Arc<Mutex<VecDeque<LogRow>>>);

impl LogHistory {
    /// Adds a line; the oldest gives way.
    pub(crate) fn push(&self, row: LogRow) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.len() == LINES {
            rows.pop_front();
        }
        rows.push_back(row);
    }

    /// How many lines are kept.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The latest `count` lines, the oldest first.
    pub(crate) fn latest(&self, count: usize) -> Vec<LogRow> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter()
            .skip(rows.len().saturating_sub(count))
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_give_way() {
        let history = LogHistory::default();
        assert!(history.latest(5).is_empty());
        for n in 0..LINES + 7 {
            history.push(LogRow {
                text: n.to_string(),
                ..LogRow::default()
            });
        }
        let texts = |n| history.latest(n).into_iter().map(|r| r.text).collect::<Vec<_>>();
        assert_eq!(texts(2), ["1005", "1006"]);
        assert_eq!(texts(usize::MAX).len(), LINES);
        assert_eq!(texts(usize::MAX)[0], "7");
    }

    #[test]
    fn all_lines_fit_into_one_answer() {
        use libknet::api::{
            codec,
            message::{Reply, Response},
        };
        let history = LogHistory::default();
        for _ in 0..LINES {
            let (target, text) = (
                "knetd::control::listener".into(),
                "x".repeat(super::super::layer::TEXT_MAX),
            );
            history.push(LogRow {
                unix_ms: u64::MAX,
                level: "error".into(),
                target,
                text,
            });
        }
        let body = Ok(Reply::Logging(history.latest(usize::MAX)));
        codec::encode(
            &Response {
                id: u32::MAX,
                more: false,
                body,
            },
            codec::MAX_RESPONSE,
        )
        .unwrap();
    }
}
