//! Reads a configuration file: the lines of the shell, with every mistake told at once.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use crate::{
    edit::{Context, Leaf, Op, Place},
    grammar::{
        Edit, ErrorKind, Line, SyntaxError,
        commands::Command,
        lexer::{self, MAX_LINE},
        parse, parse_untold,
        schema::{self, Kind, Mode},
    },
    model::Config,
    problem::{Problem, Severity, Span},
    value::Value,
};

/// Largest file, in bytes (limits: row 42).
pub const MAX_FILE: usize = 128 * 1024 * 1024;
/// Most lines of a file.
pub const MAX_LINES: usize = 1_000_000;
/// Most problems that are told of one file.
pub const MAX_PROBLEMS: usize = 1000;

/// A file that was read.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The configuration, of use only where there is no error.
    pub config: Config,
    /// All that is wrong or incomplete, in the order of the lines.
    pub problems: Vec<Problem>,
}

impl Loaded {
    /// The problems for which the file is refused.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(|p| p.severity == Severity::Error)
    }
}

/// Reads a whole file.
///
/// Objects may be shown by indentation, as it is written, or by order alone: a line that makes no sense in
/// the object at hand belongs to one around it. Where the lines of an object are indented, a line that is not
/// ends the object.
pub fn load(file: &[u8]) -> Loaded {
    let mut reader = Reader::default();
    reader.read(file);
    let mut found = reader.loaded.config.validate();
    // Where lines were refused, what they would have set is not missing.
    if !reader.loaded.problems.is_empty() {
        found.retain(|problem| problem.severity == Severity::Error);
    }
    found.truncate(MAX_PROBLEMS.saturating_sub(reader.loaded.problems.len()));
    locate(file, &mut found);
    reader.loaded.problems.append(&mut found);
    reader.loaded.problems.sort_by_key(|problem| problem.span);
    reader.loaded
}

/// Finds where in `file` the places of `problems` stand: for rules that only the caller can check.
pub fn locate(file: &[u8], problems: &mut [Problem]) {
    // Only now is it worth knowing where each line stood: a second pass keeps the first one small.
    let objects: HashSet<Context> = problems
        .iter()
        .filter_map(|problem| Some(problem.place.as_ref()?.context.clone()))
        .collect();
    if objects.is_empty() {
        return;
    }
    let mut finder = Reader {
        wanted: objects,
        ..Reader::default()
    };
    finder.read(file);
    for problem in problems {
        problem.span = problem.place.as_ref().and_then(|place| finder.find(place));
    }
}

#[derive(Default)]
struct Reader {
    loaded: Loaded,
    stack: Vec<Level>,
    /// Objects of which to remember where their lines stand; none in the first pass.
    wanted: HashSet<Context>,
    places: HashMap<(Context, Option<Leaf>, Option<Value>), LinePlace>,
}

/// An object that lines go into.
struct Level {
    context: Context,
    /// Indentation of the line that began it.
    indent: usize,
    /// Whether its own lines are indented more than that; unknown before the first.
    indented: Option<bool>,
    /// Whether the line that began it was wrong: then its lines are read and not applied.
    lost: bool,
}

/// What is wrong with a line.
enum Mistake {
    /// With all that is told of it.
    Told(SyntaxError),
    /// In the second pass, whose mistakes were told after the first.
    Known(ErrorKind),
}

struct LinePlace {
    line: u32,
    whole: Span,
    arguments: Vec<Span>,
}

impl Reader {
    fn read(&mut self, file: &[u8]) {
        if file.len() > MAX_FILE {
            return self.refuse(1, "the file is too large", "at most 128 MiB");
        }
        let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        for (index, line) in file.split(|byte| *byte == b'\n').enumerate() {
            if index >= MAX_LINES {
                return self.refuse(index + 1, "the file has too many lines", "at most 1000000 lines");
            }
            if self.loaded.problems.len() >= MAX_PROBLEMS {
                return self.refuse(
                    index + 1,
                    "too many mistakes: the rest was not read",
                    "fewer mistakes",
                );
            }
            self.line(index + 1, line.strip_suffix(b"\r").unwrap_or(line));
        }
    }

    fn refuse(&mut self, line: usize, text: &str, expected: &str) {
        self.loaded.problems.push(Problem {
            severity: Severity::Error,
            place: None,
            span: Some(Span {
                line: line as u32,
                column: 1,
                length: 1,
            }),
            text: text.to_owned(),
            expected: Some(expected.to_owned()),
        });
    }

    fn line(&mut self, number: usize, bytes: &[u8]) {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let column = String::from_utf8_lossy(&bytes[..error.valid_up_to()])
                    .chars()
                    .count()
                    + 1;
                let span = Span {
                    line: number as u32,
                    column: column as u32,
                    length: 1,
                };
                let (text, expected) = (
                    "a byte that is not UTF-8".to_owned(),
                    Some("UTF-8 text".to_owned()),
                );
                let severity = Severity::Error;
                self.loaded.problems.push(Problem {
                    severity,
                    place: None,
                    span: Some(span),
                    text,
                    expected,
                });
                return;
            }
        };
        if bytes.len() > MAX_LINE {
            return self.refuse(number, "the line is too long", "at most 1024 bytes");
        }
        if lexer::is_comment(text) {
            return;
        }
        self.close_by_indent(indent_of(text));
        let here = self.here();
        let read = if self.wanted.is_empty() {
            parse(Some(&here), text).map_err(Mistake::Told)
        } else {
            parse_untold(Some(&here), text).map_err(Mistake::Known)
        };
        match read {
            Ok(Line::Nothing) => {}
            Ok(Line::Command(Command::Exit)) => {
                self.stack.pop();
            }
            Ok(Line::Command(Command::End)) => self.stack.clear(),
            Ok(Line::Command(_)) => {
                let start = text.len() - text.trim_start().len();
                let span = span_of(number, text, &(start..text.trim_end().len()));
                self.problem(span, "a command, not a line of a configuration".to_owned(), None);
            }
            Ok(Line::Edit(edit)) => self.edit(number, text, &edit),
            Err(mistake) => self.mistake(number, text, &mistake, &here),
        }
    }

    /// Ends the objects whose lines are indented more than this one.
    fn close_by_indent(&mut self, indent: usize) {
        while let Some((level, around)) = self.stack.split_last_mut() {
            let deeper = indent > level.indent;
            match level.indented {
                Some(indented) if deeper || !indented => return,
                // The first line since the object began: in it, unless it stands beside it in a file that
                // indents.
                None if deeper || around.last().is_none_or(|outer| outer.indented != Some(true)) => {
                    level.indented = Some(deeper);
                    return;
                }
                _ => {}
            }
            self.stack.pop();
        }
    }

    fn edit(&mut self, number: usize, text: &str, edit: &Edit) {
        let begun = edit.begins();
        // The object that the line stands in: those inside it end here.
        let holder = match begun {
            Some(object) => object.parent().unwrap_or_default(),
            None => edit.enter.clone().unwrap_or_else(|| self.here()),
        };
        self.leave_to(&holder);
        let lost = self.stack.iter().any(|level| level.lost);
        let mut failed = false;
        if !lost {
            self.remember(number, text, edit);
            for op in &edit.ops {
                if let Err(problem) = self.loaded.config.apply(op) {
                    let span = span_of(number, text, &edit.words.span(problem.place.as_ref()));
                    self.problem(span, problem.text, problem.expected);
                    failed = true;
                    break;
                }
            }
        }
        if let Some(object) = begun {
            let level = Level {
                context: object.clone(),
                indent: indent_of(text),
                indented: None,
                lost: failed,
            };
            self.stack.push(level);
        }
    }

    fn leave_to(&mut self, holder: &Context) {
        while self.stack.last().is_some_and(|level| level.context != *holder) {
            self.stack.pop();
        }
    }

    fn here(&self) -> Context {
        self.stack
            .last()
            .map(|level| level.context.clone())
            .unwrap_or_default()
    }

    fn remember(&mut self, number: usize, text: &str, edit: &Edit) {
        for op in &edit.ops {
            let (context, leaf, key) = match op {
                Op::Create(context) | Op::Require(context) => (context, None, None),
                Op::Set(context, leaf, values) => (context, Some(*leaf), values.first().cloned()),
                _ => continue,
            };
            if !self.wanted.contains(context) {
                continue;
            }
            let place = |argument| Place {
                argument,
                ..Place::object(context.clone())
            };
            let span = |argument| span_of(number, text, &edit.words.span(Some(&place(argument))));
            let count = match op {
                Op::Set(_, _, values) => values.len() as u8,
                _ => 0,
            };
            let known = LinePlace {
                line: number as u32,
                whole: span(None),
                arguments: (0..count).map(|argument| span(Some(argument))).collect(),
            };
            self.places.insert((context.clone(), leaf, key), known);
        }
    }

    fn mistake(&mut self, number: usize, text: &str, mistake: &Mistake, here: &Context) {
        let kind = match mistake {
            Mistake::Told(error) => {
                let span = span_of(number, text, &error.span);
                self.problem(span, error.message(text), error.expectation());
                error.kind
            }
            Mistake::Known(kind) => {
                self.refuse(number, "a mistake that was told before", "");
                *kind
            }
        };
        // Where a line should have begun an object, the lines after it belong to that object and not to this.
        let first = text.split_whitespace().next().unwrap_or_default();
        let objects: Vec<(Mode, Mode)> = schema::all()
            .filter_map(|row| match row.kind {
                Kind::Object(opens, _) if row.key.split(' ').next() == Some(first) => Some((row.mode, opens)),
                _ => None,
            })
            .collect();
        let opens = std::iter::successors(Some(here.clone()), Context::parent).find_map(|context| {
            let around = Mode::of(&context).rows();
            let (_, opens) = objects.iter().find(|(mode, _)| *mode == around)?;
            Some((context, *opens))
        });
        if let Some((context, opens)) = opens
            && kind != ErrorKind::Ambiguous
        {
            self.leave_to(&context);
            let context = nameless(&context, opens);
            self.stack.push(Level {
                context,
                indent: indent_of(text),
                indented: None,
                lost: true,
            });
        }
    }

    fn problem(&mut self, span: Span, text: String, expected: Option<String>) {
        let severity = Severity::Error;
        self.loaded.problems.push(Problem {
            severity,
            place: None,
            span: Some(span),
            text,
            expected,
        });
    }

    fn find(&self, place: &Place) -> Option<Span> {
        let exact = self
            .places
            .get(&(place.context.clone(), place.leaf, place.key.first().cloned()));
        let by_leaf = || {
            self.places
                .iter()
                .filter(|((context, leaf, _), _)| *context == place.context && *leaf == place.leaf)
                .map(|(_, known)| known)
                .max_by_key(|known| known.line)
        };
        let known = exact
            .or_else(by_leaf)
            .or_else(|| self.places.get(&(place.context.clone(), None, None)));
        known.map(|known| {
            let argument = place
                .argument
                .and_then(|argument| known.arguments.get(usize::from(argument)));
            argument.copied().unwrap_or(known.whole)
        })
    }
}

/// A context of the right kind for the lines of an object whose own line could not be read.
fn nameless(around: &Context, mode: Mode) -> Context {
    let name = String::new;
    if let Context::Host { host, .. } = around {
        let inner = nameless(&around.without_host().1, mode);
        return Context::on_host(host, inner).unwrap_or_default();
    }
    match (around, mode) {
        (Context::Global, Mode::Host) => Context::on_host("", Context::Global).unwrap_or_default(),
        (Context::Interface { interface }, Mode::Mesh) => Context::Mesh {
            interface: interface.clone(),
            mesh: name(),
        },
        (Context::Interface { interface }, Mode::Group) => Context::Group {
            interface: interface.clone(),
            group: name(),
        },
        (Context::Mesh { interface, mesh }, Mode::Member) => Context::Member {
            interface: interface.clone(),
            mesh: mesh.clone(),
            member: name(),
        },
        (_, Mode::Interface) => Context::Interface { interface: name() },
        (Context::Interface { interface }, Mode::Peer) => Context::Peer {
            interface: interface.clone(),
            peer: name(),
        },
        (Context::Peer { interface, peer }, Mode::Link) => Context::Link {
            interface: interface.clone(),
            peer: peer.clone(),
            link: u8::MAX,
        },
        _ => Context::Global,
    }
}

fn indent_of(text: &str) -> usize {
    text.chars().take_while(|c| c.is_whitespace()).count()
}

fn span_of(line: usize, text: &str, bytes: &Range<usize>) -> Span {
    let chars = |range: Range<usize>| text.get(range).map_or(0, |part| part.chars().count()) as u32;
    Span {
        line: line as u32,
        column: chars(0..bytes.start) + 1,
        length: chars(bytes.clone()).max(1),
    }
}
