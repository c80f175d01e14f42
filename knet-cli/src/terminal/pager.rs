//! A text that is longer than the screen, one screen after the other.
//!
//! Forwards the text is printed as it always is, so that it stays in what the terminal remembers; going back or
//! searching draws the screen anew. The end of the text, reached forwards, is the end of the pager.

use std::{io, time::Duration};

use regex::Regex;

use super::{Key, Keyboard, Settings, Size, can_highlight, can_move, fitting, wrapped};
use crate::{
    failure::Failure,
    output::{clean, print},
    pipe::reason,
};

/// How often it looks whether the screen has another size.
const LOOK: Duration = Duration::from_millis(200);
/// Longest pattern in characters.
const PATTERN: usize = 200;

/// Prints `text`, and stops at each screen where it is longer than one.
pub(crate) fn show(text: &str, settings: Settings) -> Result<(), Failure> {
    let Some(size) = settings.paged().filter(|_| can_move()) else {
        return print(text);
    };
    let lines: Vec<&str> = text.lines().collect();
    let mut pager = Pager::new(&lines, size);
    if pager.rows.len() < size.rows {
        return print(text);
    }
    let keyboard = |error: io::Error| Failure::Unusable(format!("the terminal cannot be read: {error}"));
    let mut keys = Keyboard::open().map_err(keyboard)?;
    print(&pager.first())?;
    loop {
        print(&pager.prompt(can_highlight()))?;
        let key = loop {
            if let Some(key) = keys.key(LOOK).map_err(keyboard)? {
                break Some(key);
            }
            if settings.size() != pager.size {
                break None;
            }
        };
        let update = match key {
            Some(key) => pager.press(key),
            None => pager.resized(settings.size()),
        };
        // The line with the prompt is taken away first.
        print("\r\x1b[K")?;
        match update {
            Update::Nothing => {}
            Update::Print(rows) => print(&rows)?,
            Update::Draw(rows) => print(&format!("\x1b[H\x1b[2J{rows}"))?,
            Update::Last(rows) => return print(&rows),
        }
    }
}

/// What a key does to the screen.
#[derive(Debug, PartialEq, Eq)]
enum Update {
    Nothing,
    /// These rows follow.
    Print(String),
    /// The screen has these rows now.
    Draw(String),
    /// These rows follow, and that is the end.
    Last(String),
}

struct Pager<'a> {
    lines: &'a [&'a str],
    size: Size,
    /// The text as the terminal breaks it: the number of the line and the part of it.
    rows: Vec<(usize, &'a str)>,
    /// The row behind the last one on the screen.
    bottom: usize,
    /// What is searched for.
    pattern: Option<Regex>,
    /// The line that was found last, while it is on the screen.
    found: Option<usize>,
    /// The pattern that is being typed.
    typing: Option<String>,
    /// Something to say once.
    message: Option<String>,
}

impl<'a> Pager<'a> {
    fn new(lines: &'a [&'a str], size: Size) -> Self {
        let mut pager = Self {
            lines,
            size,
            rows: Vec::new(),
            bottom: 0,
            pattern: None,
            found: None,
            typing: None,
            message: None,
        };
        pager.wrap();
        pager
    }

    fn wrap(&mut self) {
        let columns = self.size.columns;
        let rows = self
            .lines
            .iter()
            .enumerate()
            .flat_map(|(number, line)| wrapped(line, columns).map(move |part| (number, part)));
        self.rows = rows.collect();
    }

    /// Rows of text on a screen; one is for the prompt.
    fn page(&self) -> usize {
        self.size.rows.saturating_sub(1).max(1)
    }

    fn top(&self) -> usize {
        self.bottom.saturating_sub(self.page())
    }

    fn first(&mut self) -> String {
        self.bottom = self.page().min(self.rows.len());
        self.text(0)
    }

    /// The rows from `from` to the end of the screen.
    fn text(&self, from: usize) -> String {
        let rows = self.rows.get(from..self.bottom).unwrap_or_default();
        rows.iter().flat_map(|(_, row)| [row, "\n"]).collect()
    }

    fn forward(&mut self, count: usize) -> Update {
        let from = self.bottom;
        self.found = None;
        self.bottom = (self.bottom + count).min(self.rows.len());
        let rows = self.text(from);
        if self.bottom == self.rows.len() {
            Update::Last(rows)
        } else {
            Update::Print(rows)
        }
    }

    /// Shows the screen that begins with row `top`, or the last or first one.
    fn draw(&mut self, top: usize) -> Update {
        self.found = None;
        self.bottom = (top + self.page()).min(self.rows.len());
        Update::Draw(self.text(self.top()))
    }

    fn press(&mut self, key: Key) -> Update {
        self.message = None;
        if let Some(pattern) = self.typing.take() {
            return self.type_pattern(pattern, key);
        }
        match key {
            Key::Char(' ' | 'f') | Key::PageDown => self.forward(self.page()),
            Key::Enter | Key::Down | Key::Char('j') => self.forward(1),
            Key::Char('b') | Key::PageUp => self.draw(self.top().saturating_sub(self.page())),
            Key::Up | Key::Char('k') => self.draw(self.top().saturating_sub(1)),
            Key::Char('g') | Key::Home => self.draw(0),
            Key::Char('G') | Key::End => self.draw(self.rows.len()),
            Key::Char('/') => {
                self.typing = Some(String::new());
                Update::Nothing
            }
            Key::Char('n') => self.search(true),
            Key::Char('N') => self.search(false),
            Key::Char('q' | 'Q') | Key::Interrupt => Update::Last(String::new()),
            _ => {
                self.message =
                    Some("space: on, Enter: a line, b: back, g/G: begin/end, /: search, q: quit".to_owned());
                Update::Nothing
            }
        }
    }

    fn type_pattern(&mut self, mut pattern: String, key: Key) -> Update {
        match key {
            Key::Char(c) if pattern.chars().count() < PATTERN => pattern.push(c),
            Key::Backspace if pattern.pop().is_none() => return Update::Nothing,
            Key::Escape | Key::Interrupt => return Update::Nothing,
            Key::Enter if pattern.is_empty() => return self.search(true),
            Key::Enter => {
                match Regex::new(&pattern) {
                    Ok(regex) => self.pattern = Some(regex),
                    Err(error) => {
                        self.message = Some(format!("no regular expression: {}", reason(&error)));
                        return Update::Nothing;
                    }
                }
                return self.search(true);
            }
            _ => {}
        }
        self.typing = Some(pattern);
        Update::Nothing
    }

    /// Goes to the next line with the pattern below the first one on the screen, or above it.
    fn search(&mut self, down: bool) -> Update {
        let Some(pattern) = &self.pattern else {
            self.message = Some("nothing was searched for yet".to_owned());
            return Update::Nothing;
        };
        let top = self.rows.get(self.top()).map_or(0, |(line, _)| *line);
        let here = self.found.unwrap_or(top);
        let fits = |line: &usize| self.lines.get(*line).is_some_and(|text| pattern.is_match(text));
        let found = if down {
            (here + 1..self.lines.len()).find(fits)
        } else {
            (0..here).rev().find(fits)
        };
        let Some(line) = found else {
            self.message = Some(format!("{} is not found", clean(pattern.as_str())));
            return Update::Nothing;
        };
        let update = self.draw(self.row_of(line));
        self.found = Some(line);
        update
    }

    fn row_of(&self, line: usize) -> usize {
        self.rows.partition_point(|(number, _)| *number < line)
    }

    fn resized(&mut self, size: Size) -> Update {
        let line = self.rows.get(self.top()).map_or(0, |(line, _)| *line);
        self.size = size;
        self.wrap();
        self.draw(self.row_of(line))
    }

    /// What stands in the last line of the screen.
    fn prompt(&self, highlight: bool) -> String {
        let text = match (&self.typing, &self.message) {
            (Some(pattern), _) => return fitting(&format!("/{pattern}"), self.size.columns - 1).to_owned(),
            (None, Some(message)) => message.clone(),
            (None, None) => {
                let lines = self
                    .rows
                    .get(self.bottom.saturating_sub(1))
                    .map_or(0, |(line, _)| line + 1);
                let more = if self.bottom == self.rows.len() {
                    "(end)"
                } else {
                    "--More--"
                };
                format!("{more} line {lines} of {}", self.lines.len())
            }
        };
        let text = fitting(&text, self.size.columns - 1);
        if highlight {
            format!("\x1b[7m{text}\x1b[m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { columns: 10, rows: 4 };

    fn text() -> Vec<String> {
        (1..=9).map(|n| format!("line {n}")).collect()
    }

    fn rows(numbers: std::ops::RangeInclusive<u32>) -> String {
        numbers
            .flat_map(|n| ["line ".to_owned(), n.to_string(), "\n".to_owned()])
            .collect()
    }

    fn typed(pager: &mut Pager<'_>, keys: &str) -> Update {
        let mut last = Update::Nothing;
        for c in keys.chars() {
            last = pager.press(if c == '\n' { Key::Enter } else { Key::Char(c) });
        }
        last
    }

    #[test]
    fn forwards_rows_follow_until_the_end() {
        let text = text();
        let lines: Vec<&str> = text.iter().map(String::as_str).collect();
        let mut pager = Pager::new(&lines, SIZE);
        assert_eq!(pager.first(), rows(1..=3));
        assert_eq!(pager.prompt(false), "--More-- ");
        assert_eq!(typed(&mut pager, " "), Update::Print(rows(4..=6)));
        assert_eq!(typed(&mut pager, "\n"), Update::Print(rows(7..=7)));
        assert_eq!(typed(&mut pager, " "), Update::Last(rows(8..=9)));
    }

    #[test]
    fn back_to_the_end_and_to_what_is_searched_for() {
        let text = text();
        let lines: Vec<&str> = text.iter().map(String::as_str).collect();
        let mut pager = Pager::new(&lines, SIZE);
        pager.first();
        assert_eq!(typed(&mut pager, "G"), Update::Draw(rows(7..=9)));
        assert!(pager.prompt(false).starts_with("(end)"));
        assert_eq!(typed(&mut pager, "b"), Update::Draw(rows(4..=6)));
        assert_eq!(typed(&mut pager, "k"), Update::Draw(rows(3..=5)));
        assert_eq!(typed(&mut pager, "b"), Update::Draw(rows(1..=3)));
        assert_eq!(typed(&mut pager, "/[57]\n"), Update::Draw(rows(5..=7)));
        assert_eq!(typed(&mut pager, "n"), Update::Draw(rows(7..=9)));
        assert_eq!(typed(&mut pager, "/[789]\n"), Update::Draw(rows(7..=9)));
        assert_eq!(pager.found, Some(7));
        assert_eq!(typed(&mut pager, "nN/[57]\n"), Update::Nothing);
        assert_eq!(pager.message.as_deref(), Some("[57] is not found"));
        assert_eq!(typed(&mut pager, "N"), Update::Draw(rows(7..=9)));
        assert_eq!(typed(&mut pager, "N"), Update::Draw(rows(5..=7)));
        assert_eq!(typed(&mut pager, "/(\n"), Update::Nothing);
        assert_eq!(
            pager.message.as_deref(),
            Some("no regular expression: unclosed group")
        );
        assert_eq!(typed(&mut pager, "g"), Update::Draw(rows(1..=3)));
        assert_eq!(typed(&mut pager, "q"), Update::Last(String::new()));
    }

    #[test]
    fn another_size_keeps_the_first_line() {
        let lines = ["a long line of text", "two", "three", "four", "five"];
        let mut pager = Pager::new(&lines, SIZE);
        assert_eq!(pager.first(), "a long lin\ne of text\ntwo\n");
        assert_eq!(typed(&mut pager, "\n"), Update::Print("three\n".into()));
        let wide = Size { columns: 40, rows: 3 };
        assert_eq!(
            pager.resized(wide),
            Update::Draw("a long line of text\ntwo\n".into())
        );
        let tiny = Size { columns: 1, rows: 1 };
        assert_eq!(pager.resized(tiny), Update::Draw("a\n".into()));
        assert_eq!(pager.prompt(true), "\x1b[7m\x1b[m");
    }
}
