//! What is wrong with a line, in the words and with the mark that users of such shells know.

use std::{fmt::Write as _, ops::Range};

use super::lexer::LexError;
use crate::value::may_be_key;

/// The kind of mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A word that cannot stand there.
    Invalid,
    /// A word that could be several.
    Ambiguous,
    /// Words are missing at the end.
    Incomplete,
}

/// A mistake in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Its kind.
    pub kind: ErrorKind,
    /// Where in the line, in bytes.
    pub span: Range<usize>,
    /// How many words before it could be read.
    pub depth: usize,
    /// What is wrong with the word, where that can be said.
    pub reason: Option<String>,
    /// What could stand there.
    pub expected: Vec<String>,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

/// More alternatives than this are not listed in one line; `?` lists them all.
const MOST_ALTERNATIVES: usize = 8;

impl SyntaxError {
    pub(crate) fn lexical(error: &LexError) -> Self {
        Self {
            kind: ErrorKind::Invalid,
            span: error.span.clone(),
            depth: 0,
            reason: Some(error.reason.to_owned()),
            expected: vec![error.expected.to_owned()],
            suggestion: None,
        }
    }

    /// One sentence about it. `line` is the line it is in.
    pub fn message(&self, line: &str) -> String {
        let word = line.get(self.span.clone()).unwrap_or_default();
        // Messages end in logs, and what is mistyped may be a secret that belongs into a file.
        let word = if word.split_whitespace().any(may_be_key) {
            "(a key)".to_owned()
        } else {
            format!("`{word}`")
        };
        match (self.kind, &self.reason) {
            (ErrorKind::Invalid, Some(reason)) => format!("invalid input {word}: {reason}"),
            (ErrorKind::Invalid, None) => format!("invalid input {word}"),
            (ErrorKind::Ambiguous, _) => format!("ambiguous command: {word} has several meanings"),
            (ErrorKind::Incomplete, _) => "incomplete command".to_owned(),
        }
    }

    /// What would be right, in one line.
    pub fn expectation(&self) -> Option<String> {
        let shown = self.expected.len().min(MOST_ALTERNATIVES);
        let mut text = self.expected[..shown].join(", ");
        if self.expected.len() > shown {
            let _ = write!(text, ", ... ({} more, see `?`)", self.expected.len() - shown);
        }
        if let Some(suggestion) = &self.suggestion {
            let _ = write!(text, "; did you mean `{suggestion}`?");
        }
        (!text.is_empty()).then_some(text)
    }

    /// The lines that are printed under the line that was typed, which begins at column `indent` of the
    /// terminal (behind the prompt).
    pub fn report(&self, line: &str, indent: usize) -> String {
        let mut text = String::new();
        match self.kind {
            ErrorKind::Invalid => {
                text.push_str(&caret(line, &self.span, indent));
                text.push_str("% Invalid input detected at '^' marker.");
            }
            ErrorKind::Ambiguous => {
                text.push_str(&caret(line, &self.span, indent));
                let _ = write!(text, "% Ambiguous command:  \"{}\"", line.trim());
            }
            ErrorKind::Incomplete => text.push_str("% Incomplete command."),
        }
        if let Some(reason) = &self.reason {
            let _ = write!(text, "\n  {reason}");
        }
        if let Some(expectation) = self.expectation() {
            let _ = write!(text, "\n  expected: {expectation}");
        }
        text
    }
}

/// A line with a mark under the beginning of `span`, for a line that begins at column `indent`.
pub fn caret(line: &str, span: &Range<usize>, indent: usize) -> String {
    let before = line.get(..span.start).map_or(0, |text| text.chars().count());
    format!("{}^\n", " ".repeat(indent + before))
}
