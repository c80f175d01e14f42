//! What is wrong with a configuration, where, and what would be right.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::edit::Place;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// Something is not configured yet; what needs it stays down until it is. Such a configuration is
    /// accepted, because a person types one line after the other.
    Incomplete,
    /// The configuration is refused.
    Error,
}

/// A stretch of one line of a configuration file or of what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// Line number from 1.
    pub line: u32,
    /// First column from 1, in characters.
    pub column: u32,
    /// How many characters.
    pub length: u32,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Whether it is refused.
    pub severity: Severity,
    /// Where in the configuration's tree, if the line could be placed there.
    pub place: Option<Place>,
    /// Where in the text, if it came from text.
    pub span: Option<Span>,
    /// What is wrong.
    pub text: String,
    /// What would be right.
    pub expected: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(span) = self.span {
            write!(f, "line {}, column {}: ", span.line, span.column)?;
        }
        f.write_str(&self.text)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected: {expected}")?;
        }
        Ok(())
    }
}
