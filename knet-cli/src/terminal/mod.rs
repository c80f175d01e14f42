//! The terminal: its size, its keys, what is set for it, and long texts on it.

mod keyboard;
mod keys;
pub(crate) mod pager;
mod watch;

use std::{
    env,
    io::{self, IsTerminal as _},
    time::Duration,
};

use knet_api::grammar::TerminalSetting;
use rustix::termios::tcgetwinsize;
use serde_json::json;

pub(crate) use self::{keyboard::Keyboard, keys::Key, watch::Watch};
use crate::document::Document;

/// What a terminal has that does not tell its size.
const USUAL: Size = Size {
    columns: 80,
    rows: 24,
};

/// Size of a screen in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

/// What is set for the terminal of a shell, until it ends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    /// Lines of a screen; 0: texts do not stop at each screen. `None`: as many as the terminal has.
    pub(crate) length: Option<u16>,
    /// Characters of a line. `None`: as many as the terminal has.
    pub(crate) width: Option<u16>,
    /// Seconds without a key after which the shell ends. `None`: never.
    pub(crate) exec_timeout: Option<u32>,
}

impl Settings {
    /// The size of the screen; `None` where texts do not stop at each screen.
    pub(crate) fn paged(self) -> Option<Size> {
        (self.length != Some(0)).then(|| self.size())
    }

    /// The size of the screen.
    pub(crate) fn size(self) -> Size {
        let own = own_size();
        let or = |set: Option<u16>, own| set.filter(|n| *n > 0).map_or(own, usize::from);
        Size {
            columns: or(self.width, own.columns),
            rows: or(self.length, own.rows),
        }
    }

    /// Changes one of them.
    pub(crate) fn set(&mut self, setting: TerminalSetting) {
        match setting {
            TerminalSetting::Length(length) => self.length = length,
            TerminalSetting::Width(width) => self.width = width,
            TerminalSetting::ExecTimeout(timeout) => self.exec_timeout = timeout,
        }
    }

    /// What is set, for `show terminal`.
    pub(crate) fn document(self) -> Document {
        let size = self.size();
        let source = |set: bool| if set { "set" } else { "of the terminal" };
        let length = match self.length {
            Some(0) => "Length: 0, long texts do not stop".to_owned(),
            set => format!("Length: {} lines ({})", size.rows, source(set.is_some())),
        };
        let timeout = match self.exec_timeout {
            None => "never".to_owned(),
            Some(seconds) => format!("after {} min {} s without a key", seconds / 60, seconds % 60),
        };
        let lines = vec![
            length,
            format!(
                "Width: {} characters ({})",
                size.columns,
                source(self.width.is_some())
            ),
            format!("Shell ends: {timeout}"),
        ];
        let value = json!({
            "length": self.length,
            "width": self.width,
            "exec_timeout_s": self.exec_timeout,
            "rows": size.rows,
            "columns": size.columns,
        });
        Document::object("terminal", value, lines)
    }

    /// How long the shell waits for a key.
    pub(crate) fn patience(self) -> Option<Duration> {
        self.exec_timeout
            .map(|seconds| Duration::from_secs(u64::from(seconds)))
    }
}

/// What the terminal says of itself.
fn own_size() -> Size {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Size {
            columns: usize::from(size.ws_col),
            rows: usize::from(size.ws_row),
        },
        _ => USUAL,
    }
}

/// Whether standard output is a terminal that can move its cursor.
pub(crate) fn can_move() -> bool {
    io::stdout().is_terminal() && env::var_os("TERM").is_some_and(|term| term != "dumb" && !term.is_empty())
}

/// Whether the terminal has the characters to draw with: the locale says so.
pub(crate) fn can_draw() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| {
        let value = env::var(name).unwrap_or_default();
        (!value.is_empty()).then_some(value)
    });
    let set = set.unwrap_or_default().to_ascii_lowercase();
    set.contains("utf-8") || set.contains("utf8")
}

/// Whether text may be set off from other text (<https://no-color.org>).
pub(crate) fn can_highlight() -> bool {
    can_move() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The beginning of `text` that fits into `columns`.
pub(crate) fn fitting(text: &str, columns: usize) -> &str {
    let first = wrapped(text, columns).next().filter(|_| columns > 0);
    first.unwrap_or_default()
}

/// `text` in parts as wide as the screen: as a terminal breaks it. An empty text is one empty part.
pub(crate) fn wrapped(text: &str, columns: usize) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut width = 0;
        let end = text.char_indices().find_map(|(at, c)| {
            width += unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
            // A character that is wider than the screen stands alone.
            (width > columns && at > 0).then_some(at)
        });
        rest = end.map(|end| &text[end..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_where_a_terminal_breaks_them() {
        let parts = |text| wrapped(text, 4).collect::<Vec<_>>();
        assert_eq!(parts(""), [""]);
        assert_eq!(parts("abcd"), ["abcd"]);
        assert_eq!(parts("abcde"), ["abcd", "e"]);
        // Wide characters are not cut, and marks belong to what they are above.
        assert_eq!(parts("a\u{4e16}\u{754c}b"), ["a\u{4e16}", "\u{754c}b"]);
        assert_eq!(parts("abce\u{301}f"), ["abce\u{301}", "f"]);
        assert_eq!(
            wrapped("\u{4e16}\u{754c}", 1).collect::<Vec<_>>(),
            ["\u{4e16}", "\u{754c}"]
        );
        assert_eq!(fitting("abcde", 3), "abc");
    }
}
