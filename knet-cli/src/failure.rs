//! What goes wrong: for people, for programs, and as exit status.

use std::{fmt::Write as _, io, ops::Range, path::Path, process::ExitCode};

use knet_api::{
    codec::CodecError,
    edit::Context,
    grammar::{SyntaxError, Words, arguments, caret},
    message::{ApiError, ErrorCode},
    problem::Problem,
    value::Value,
};
use serde_json::json;

use crate::{
    output::{At, clean},
    pipe,
    transaction::sentence,
};

/// Most problems of a file that are printed for people.
const MOST_PROBLEMS: usize = 20;

/// Why a command failed.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The line makes no sense.
    Syntax {
        /// The line.
        line: String,
        /// What is wrong with it.
        error: Box<SyntaxError>,
    },
    /// The daemon refused.
    Refused {
        /// Its reason.
        error: Box<ApiError>,
        /// The line, and the part of it that is to blame.
        blame: Option<(String, Range<usize>)>,
    },
    /// A file or a candidate makes no sense.
    Problems {
        /// Path and text of the file.
        file: Option<(String, String)>,
        /// All that is wrong.
        problems: Vec<Problem>,
    },
    /// There is no daemon.
    NoDaemon(String),
    /// This user may not.
    Denied(String),
    /// The daemon does not answer.
    Timeout,
    /// The connection broke.
    Lost(String),
    /// The command cannot be done here.
    Unusable(String),
    /// Nothing came back.
    NoAnswer(String),
    /// Nobody reads what is printed.
    OutputClosed,
    /// The program was called in a way that makes no sense.
    Usage(String),
    /// The user has had enough (Ctrl-C).
    Interrupted,
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::NoDaemon(_) | Self::Lost(_) => 3,
            Self::Denied(_) => 4,
            Self::Timeout => 5,
            Self::Usage(_) => 2,
            Self::Refused { error, .. } => match error.code {
                ErrorCode::Denied => 4,
                ErrorCode::Timeout => 5,
                _ => 1,
            },
            Self::Syntax { .. }
            | Self::Problems { .. }
            | Self::Unusable(_)
            | Self::NoAnswer(_)
            | Self::OutputClosed
            | Self::Interrupted => 1,
        })
    }

    pub(crate) const fn problems(file: Option<(String, String)>, problems: Vec<Problem>) -> Self {
        Self::Problems { file, problems }
    }

    pub(crate) fn connecting(error: &io::Error, path: &Path) -> Self {
        let path = path.display();
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::Denied(format!(
                "no permission to open {path}; be root or a member of the group that owns it"
            )),
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Self::NoDaemon(format!(
                "no knetd at {path}; start it, or give the right path with --socket"
            )),
            _ => Self::NoDaemon(format!("cannot open {path}: {error}")),
        }
    }

    /// Finds the argument of the command `line` that names what is not there.
    pub(crate) fn blame_argument(&mut self, context: Option<&Context>, line: &str) {
        let Self::Refused {
            error,
            blame: blame @ None,
        } = self
        else {
            return;
        };
        let name = match error.place.as_ref().map(|place| &place.context) {
            Some(Context::Interface { interface }) => Value::Word(interface.clone()),
            Some(Context::Peer { peer, .. }) => Value::Word(peer.clone()),
            Some(Context::Link { link, .. }) => Value::Number(u32::from(*link)),
            _ => return,
        };
        let (head, _) = pipe::divide(line);
        *blame = arguments(context, head)
            .into_iter()
            .find(|(value, _)| *value == name)
            .map(|(_, span)| (line.to_owned(), span));
    }

    /// The lines printed for people, under a line that was typed at column `indent`.
    pub(crate) fn report(&self, indent: usize) -> String {
        match self {
            Self::Syntax { line, error } => error.report(line, indent),
            Self::Refused { error, blame } => {
                let mut text = blame
                    .as_ref()
                    .map_or(String::new(), |(line, span)| caret(line, span, indent));
                let _ = write!(text, "% {}", clean(&error.message));
                if let Some(hint) = &error.hint {
                    let word = if error.code == ErrorCode::Invalid {
                        "expected: "
                    } else {
                        ""
                    };
                    let _ = write!(text, "\n  {word}{}", clean(hint));
                }
                text
            }
            Self::Problems { file, problems } => {
                let shown = problems.iter().take(MOST_PROBLEMS);
                let mut texts: Vec<String> = shown.map(|problem| described(file.as_ref(), problem)).collect();
                if problems.len() > MOST_PROBLEMS {
                    texts.push(format!("% and {} more", problems.len() - MOST_PROBLEMS));
                }
                texts.push("% Nothing was changed".to_owned());
                texts.join("\n")
            }
            _ => format!("% {}", self.message()),
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Syntax { line, error } => error.message(line),
            Self::Refused { error, .. } => clean(&error.message),
            Self::Problems { problems, .. } => problems
                .first()
                .map_or("refused without a reason".to_owned(), |problem| {
                    clean(&problem.to_string())
                }),
            Self::NoDaemon(text)
            | Self::Denied(text)
            | Self::Lost(text)
            | Self::Unusable(text)
            | Self::Usage(text)
            | Self::NoAnswer(text) => text.clone(),
            Self::Timeout => "knetd does not answer in time".to_owned(),
            Self::OutputClosed => "nobody reads the output".to_owned(),
            Self::Interrupted => "interrupted".to_owned(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "syntax",
            Self::Refused { error, .. } => error.code.name(),
            Self::Problems { .. } => ErrorCode::Invalid.name(),
            Self::NoDaemon(_) => "no-daemon",
            Self::Denied(_) => "denied",
            Self::Timeout => "timeout",
            Self::Lost(_) => "lost",
            Self::Unusable(_) => "unusable",
            Self::NoAnswer(_) => "no-answer",
            Self::OutputClosed => "output-closed",
            Self::Usage(_) => "usage",
            Self::Interrupted => "interrupted",
        }
    }

    /// The same, with the part of the configuration line that the daemon blames.
    pub(crate) fn blaming(self, line: &str, words: &Words) -> Self {
        match self {
            Self::Refused { error, .. } if error.code == ErrorCode::Invalid || error.place.is_some() => {
                let blame = Some((line.to_owned(), words.span(error.place.as_ref())));
                Self::Refused { error, blame }
            }
            other => other,
        }
    }

    /// For programs.
    pub(crate) fn to_json(&self, line: Option<At<'_>>) -> serde_json::Value {
        let mut error = json!({ "code": self.code(), "message": self.message() });
        let (column, expected) = match self {
            Self::Syntax { line, error } => (Some(column(line, &error.span)), error.expectation()),
            Self::Refused { error, blame } => (
                blame.as_ref().map(|(line, span)| column(line, span)),
                error.hint.as_deref().map(clean),
            ),
            _ => (None, None),
        };
        if let Self::Problems { file, problems } = self {
            error["file"] = json!(file.as_ref().map(|(path, _)| path));
            let rows = problems.iter().map(|problem| {
                json!({
                    "message": clean(&problem.text),
                    "line": problem.span.map(|span| span.line),
                    "column": problem.span.map(|span| span.column),
                    "expected": problem.expected.as_deref().map(clean),
                })
            });
            error["problems"] = json!(rows.collect::<Vec<_>>());
        }
        if let Some(At { source, number, text }) = line {
            if let Some(source) = source {
                error["file"] = json!(source);
            }
            error["line"] = json!(number);
            error["command"] = json!(text);
        }
        if let Some(column) = column {
            error["column"] = json!(column);
        }
        if let Some(expected) = expected {
            error["expected"] = json!(expected);
        }
        json!({ "schema": crate::output::SCHEMA, "error": error })
    }
}

/// What is wrong, under the line that it is in.
fn described(file: Option<&(String, String)>, problem: &Problem) -> String {
    let (Some((path, text)), Some(span)) = (file, problem.span) else {
        return format!("% {}", sentence(problem));
    };
    const INDENT: usize = 2;
    let place = format!("{}, line {}, column {}", clean(path), span.line, span.column);
    let line = text.lines().nth(span.line.saturating_sub(1) as usize);
    // One character for each, so that the mark stands right: a tab is a space here.
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let line = clean(&line.unwrap_or_default().chars().map(plain).collect::<String>());
    let byte = |column: u32| {
        line.char_indices()
            .nth(column as usize)
            .map_or(line.len(), |(at, _)| at)
    };
    let first = span.column.saturating_sub(1);
    let mark = caret(&line, &(byte(first)..byte(first + span.length)), INDENT);
    let expected = problem
        .expected
        .as_ref()
        .map_or(String::new(), |text| format!("\n  expected: {}", clean(text)));
    format!(
        "% {place}: {}\n{}{line}\n{}{expected}",
        clean(&problem.text),
        " ".repeat(INDENT),
        mark.trim_end()
    )
}

/// The column of a span, from 1.
fn column(line: &str, span: &Range<usize>) -> usize {
    line.get(..span.start).map_or(0, |text| text.chars().count()) + 1
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Refused {
            error: Box::new(error),
            blame: None,
        }
    }
}

/// Of what is to be sent.
impl From<CodecError> for Failure {
    fn from(error: CodecError) -> Self {
        Self::Unusable(format!("the command makes {error}"))
    }
}

/// Of reading from and writing to the daemon.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Lost(format!("the connection to knetd broke: {error}")),
        }
    }
}
