//! Turns what is logged into one harmless line.

use std::{
    fmt::{self, Write},
    time::{SystemTime, UNIX_EPOCH},
};

use libknet::api::message::LogRow;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::{history::LogHistory, stderr::Stderr};

/// Longest text of a line in bytes: all lines of the history fit into one answer.
pub(super) const TEXT_MAX: usize = 900;

pub(super) struct LineLayer {
    history: LogHistory,
    stderr: Stderr,
}

impl LineLayer {
    pub(super) fn new(history: LogHistory, stderr: Stderr) -> Self {
        Self { history, stderr }
    }
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let row = LogRow {
            unix_ms: unix_ms(),
            level: event.metadata().level().as_str().to_ascii_lowercase(),
            target: event.metadata().target().to_owned(),
            text: clean(&text.0, TEXT_MAX),
        };
        self.stderr.write(&row);
        self.history.push(row);
    }
}

/// The message first, then the fields as `name=value`.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = if field.name() == "message" {
            let fields = std::mem::take(&mut self.0);
            write!(
                self.0,
                "{value:?}{}{fields}",
                if fields.is_empty() { "" } else { " " }
            )
        } else {
            let space = if self.0.is_empty() { "" } else { " " };
            write!(self.0, "{space}{}={value:?}", field.name())
        };
    }
}

/// `text` in at most `most` bytes, without characters that control a terminal or turn the reading direction:
/// names and addresses in it may come from elsewhere.
pub(crate) fn clean(text: &str, most: usize) -> String {
    const MORE: &str = "...";
    let mut line = String::with_capacity(text.len().min(most));
    for c in text.chars() {
        let start = line.len();
        if c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
        if line.len() > most {
            line.truncate(start);
            while line.len() + MORE.len() > most {
                line.pop();
            }
            line.push_str(MORE);
            break;
        }
    }
    line
}

/// Milliseconds since 1970 (UTC).
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(
            clean("a\nb\x1b[2Jc\u{202e}d\u{9b}", 100),
            "a\\nb\\u{1b}[2Jc\\u{202e}d\\u{9b}"
        );
        assert_eq!(clean("käse", 100), "käse");
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        assert_eq!(clean("abcdef", 6), "abcdef");
        assert_eq!(clean("abcdefg", 6), "abc...");
        assert_eq!(clean("ääääää", 6), "ä...");
        assert_eq!(clean(&"\n".repeat(9), 7), "\\n\\n...");
    }
}
