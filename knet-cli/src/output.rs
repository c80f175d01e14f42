//! Standard output and standard error: text for people, JSON for programs, never both.

use std::io::{self, Write as _};

use knet_api::problem::Problem;
use serde_json::{Value, json};

use crate::{
    document::{Document, Format},
    failure::Failure,
};

/// Version of the JSON documents. A field keeps its name and meaning within a version; new ones may come.
pub(crate) const SCHEMA: u32 = 1;

/// A line of a script, for messages about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    /// The file it is in; `None`: the arguments of the program, or standard input.
    pub(crate) source: Option<&'a str>,
    /// From 1.
    pub(crate) number: usize,
    pub(crate) text: &'a str,
}

/// Where answers and failures go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// How answers are written where nothing else is asked for.
    pub(crate) const fn format(self) -> Format {
        if self.json { Format::Json } else { Format::Text }
    }

    /// Prints an answer.
    pub(crate) fn document(self, document: &Document) -> Result<(), Failure> {
        document.write(self.format()).map_or(Ok(()), |text| print(&text))
    }

    /// Prints a line for people; nothing where JSON is wanted.
    pub(crate) fn line(self, line: &str) -> Result<(), Failure> {
        if self.json {
            Ok(())
        } else {
            print(&format!("{line}\n"))
        }
    }

    /// Tells on standard error what an object lacks that was left.
    pub(crate) fn missing(self, missing: &Problem) {
        let (text, expected) = (clean(&missing.text), missing.expected.as_deref().map(clean));
        if self.json {
            return note(
                &json!({ "schema": SCHEMA, "note": { "message": text, "expected": expected } }).to_string(),
            );
        }
        let expected = expected
            .map(|text| format!(" (expected: {text})"))
            .unwrap_or_default();
        note(&format!("% Note: {text}{expected}"));
    }

    /// Tells a failure on standard error, with the line where it happened.
    pub(crate) fn failure(self, failure: &Failure, line: Option<At<'_>>) {
        if matches!(failure, Failure::OutputClosed) {
            return;
        }
        let text = match line {
            _ if self.json => failure.to_json(line).to_string(),
            Some(At { source, number, text }) => {
                let place = match source {
                    Some(source) => format!("{}, line {number}: ", clean(source)),
                    None => format!("line {number}: "),
                };
                format!(
                    "{place}{}\n{}",
                    clean(text),
                    failure.report(place.chars().count())
                )
            }
            None => failure.report(0),
        };
        note(&text);
    }
}

/// Prints one JSON document on a line of its own.
pub(crate) fn print_json(value: &Value) -> Result<(), Failure> {
    print(&format!("{}\n", clean_json(value.clone())))
}

/// Prints text as it is.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|_| Failure::OutputClosed)
}

/// Prints a line on standard error.
pub(crate) fn note(text: &str) {
    // Where standard error is closed there is nobody left to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

/// `text` without what a terminal would take for orders: names and descriptions come from others.
pub(crate) fn clean(text: &str) -> String {
    text.chars().filter(|c| !is_order(*c)).collect()
}

/// The lines of `text`, each [`clean`].
pub(crate) fn clean_lines(text: &str) -> Vec<String> {
    text.lines().map(clean).collect()
}

/// Control characters, and those that turn the direction of writing.
fn is_order(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `value` with each of its texts [`clean`].
pub(crate) fn clean_json(value: Value) -> Value {
    match value {
        // Line ends stay: JSON writes them as \n.
        Value::String(text) => Value::String(text.chars().filter(|c| *c == '\n' || !is_order(*c)).collect()),
        Value::Array(values) => values.into_iter().map(clean_json).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, clean_json(value)))
            .collect(),
        other => other,
    }
}
