//! Both tables as one graph of words: what may stand where, computed once.

use std::sync::LazyLock;

use super::{
    commands::{self, CommandDef, Scope},
    schema::{self, Kind, Mode, Row},
    syntax::{Pattern, REPEATS},
    types::{ArgumentType, Form},
};

pub(crate) type NodeId = usize;

/// How many modes there are.
const MODES: usize = Mode::CONFIG.len() + 1;

/// One position in a sentence.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) token: Token,
    pub(crate) help: &'static str,
    pub(crate) sentence: Sentence,
    /// What may come next.
    pub(crate) next: Vec<NodeId>,
    /// Whether the sentence may end here.
    pub(crate) ends: bool,
    /// Whether the line is named by now, so that it may end here after `no`.
    pub(crate) named: bool,
    /// Whether an object is named by now: lines of this mode may follow.
    pub(crate) opens: Option<Mode>,
}

/// What stands at a position.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Token {
    /// A fixed word. Where it is one form of an argument, its index.
    Keyword {
        word: &'static str,
        argument: Option<usize>,
    },
    /// An argument in one of its forms.
    Argument {
        index: usize,
        form: &'static Form,
        of: &'static ArgumentType,
    },
}

impl Token {
    /// The word, where it is a fixed one.
    pub(crate) const fn keyword(&self) -> Option<&'static str> {
        match self {
            Self::Keyword { word, .. } => Some(word),
            Self::Argument { .. } => None,
        }
    }
}

/// What a node is part of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sentence {
    Row(&'static Row),
    Command(&'static CommandDef),
    /// `no`, `default` and `do` in front of others.
    Prefix(Prefix),
}

impl Sentence {
    /// Whether both are the same row.
    pub(crate) fn is_of(self, other: Self) -> bool {
        matches!((self, other), (Self::Row(a), Self::Row(b)) if std::ptr::eq(a, b))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    No,
    Default,
    Do,
}

/// The graph.
#[derive(Debug)]
pub(crate) struct Arena {
    pub(crate) nodes: Vec<Node>,
    /// First words of a line, by mode.
    roots: [Vec<NodeId>; MODES],
    patterns: Vec<(&'static Row, Pattern)>,
    /// How many arguments each command has.
    counts: Vec<(&'static CommandDef, usize)>,
}

/// The one arena.
pub(crate) static ARENA: LazyLock<Arena> = LazyLock::new(Arena::build);

/// What may follow a part of a sentence: these, or its end.
#[derive(Clone, Default)]
struct Follow {
    next: Vec<NodeId>,
    ends: bool,
}

/// What all nodes of a part of a sentence have in common.
#[derive(Clone, Copy)]
struct Part {
    sentence: Sentence,
    help: &'static [(&'static str, &'static str)],
    named: bool,
    opens: Option<Mode>,
}

impl Arena {
    pub(crate) fn roots(&self, mode: Mode) -> &[NodeId] {
        &self.roots[mode as usize]
    }

    /// The whole pattern of a row: key and tail.
    pub(crate) fn pattern(&self, row: &'static Row) -> Option<&Pattern> {
        self.patterns
            .iter()
            .find(|(r, _)| std::ptr::eq(*r, row))
            .map(|(_, pattern)| pattern)
    }

    /// How many arguments a command can have.
    pub(crate) fn argument_count(&self, command: &'static CommandDef) -> usize {
        self.counts
            .iter()
            .find(|(c, _)| std::ptr::eq(*c, command))
            .map_or(0, |(_, count)| *count)
    }

    fn build() -> Self {
        let mut arena = Self {
            nodes: Vec::new(),
            roots: Default::default(),
            patterns: Vec::new(),
            counts: Vec::new(),
        };
        let mut rows: [Vec<NodeId>; MODES] = Default::default();
        // Inner modes first: their lines may follow the name of an object.
        for mode in Mode::CONFIG.into_iter().rev() {
            for row in schema::all().filter(|row| row.mode == mode) {
                let inner = match row.kind {
                    // One host has the lines of all, which stand before this row; without a host inside it.
                    Kind::Object(Mode::Host, _) => {
                        let lines = rows[mode as usize].clone();
                        rows[Mode::Host as usize].clone_from(&lines);
                        lines
                    }
                    Kind::Object(opens, _) => rows[opens as usize].clone(),
                    Kind::Leaf(..) => Vec::new(),
                };
                let first = arena.add_row(row, inner);
                rows[mode as usize].extend(first);
            }
        }
        for command in commands::all() {
            let part = Part {
                sentence: Sentence::Command(command),
                help: command.help,
                named: false,
                opens: None,
            };
            let pattern = parsed(command.syntax);
            arena.counts.push((command, count(&pattern)));
            let first = arena.add(
                &pattern,
                &Follow {
                    next: Vec::new(),
                    ends: true,
                },
                part,
                &mut count(&pattern),
            );
            let modes: &[Mode] = match command.scope {
                Scope::Exec => &[Mode::Exec],
                Scope::Config => &Mode::CONFIG,
            };
            for mode in modes {
                arena.roots[*mode as usize].extend(&first.next);
            }
        }
        let commands = arena.roots[Mode::Exec as usize].clone();
        for mode in Mode::CONFIG {
            let lines = rows[mode as usize].clone();
            for (word, prefix, help, next) in [
                ("no", Prefix::No, "Undo a line", &lines),
                (
                    "default",
                    Prefix::Default,
                    "Put a setting back to its default",
                    &lines,
                ),
                (
                    "do",
                    Prefix::Do,
                    "Give a command from outside the configuration",
                    &commands,
                ),
            ] {
                let node = Node {
                    token: Token::Keyword { word, argument: None },
                    help,
                    sentence: Sentence::Prefix(prefix),
                    next: next.clone(),
                    ends: false,
                    named: false,
                    opens: None,
                };
                arena.nodes.push(node);
                arena.roots[mode as usize].push(arena.nodes.len() - 1);
            }
            arena.roots[mode as usize].splice(0..0, lines);
        }
        arena
    }

    /// Adds a row and gives its first nodes. `inner` are the lines within the objects that it names.
    fn add_row(&mut self, row: &'static Row, inner: Vec<NodeId>) -> Vec<NodeId> {
        let (key, tail) = (parsed(row.key), parsed(row.tail));
        let mut arguments = count(&key) + count(&tail);
        let part = Part {
            sentence: Sentence::Row(row),
            help: row.help,
            named: true,
            opens: None,
        };
        let mut follow = self.add(
            &tail,
            &Follow {
                next: Vec::new(),
                ends: true,
            },
            part,
            &mut arguments,
        );
        let opens = match row.kind {
            Kind::Object(opens, _) => Some(opens),
            Kind::Leaf(..) => None,
        };
        follow.next.extend(inner);
        // Only the key's last word names the line and opens the object.
        let Pattern::Sequence(mut words) = key.clone() else {
            return Vec::new();
        };
        let last = words.pop().map_or(Pattern::Sequence(Vec::new()), |last| last);
        follow = self.add(&last, &follow, Part { opens, ..part }, &mut arguments);
        let rest = Pattern::Sequence(words);
        follow = self.add(&rest, &follow, Part { named: false, ..part }, &mut arguments);
        self.patterns
            .push((row, Pattern::Sequence(vec![key, parsed(row.tail)])));
        follow.next
    }

    /// Adds the nodes of `pattern` in front of `follow`, from the end to the beginning; `arguments` counts
    /// down the index of the arguments.
    fn add(&mut self, pattern: &Pattern, follow: &Follow, part: Part, arguments: &mut usize) -> Follow {
        match pattern {
            Pattern::Word(word) => {
                let token = Token::Keyword { word, argument: None };
                let help = part
                    .help
                    .iter()
                    .find(|(w, _)| w == word)
                    .map_or("", |(_, help)| help);
                Follow {
                    next: vec![self.push(token, help, follow, part)],
                    ends: false,
                }
            }
            Pattern::Argument(of) => {
                *arguments = arguments.saturating_sub(1);
                let index = *arguments;
                let mut next = Vec::new();
                for form in of.forms {
                    if let Form::Choice(words) = form {
                        for (word, help) in *words {
                            let token = Token::Keyword {
                                word,
                                argument: Some(index),
                            };
                            next.push(self.push(token, help, follow, part));
                        }
                    } else {
                        next.push(self.push(Token::Argument { index, form, of }, of.help, follow, part));
                    }
                }
                Follow { next, ends: false }
            }
            Pattern::Sequence(parts) => {
                let mut follow = follow.clone();
                for inner in parts.iter().rev() {
                    follow = self.add(inner, &follow, part, arguments);
                }
                follow
            }
            Pattern::Optional(inner) => {
                let mut with = self.add(inner, follow, part, arguments);
                with.next.extend(&follow.next);
                with.ends |= follow.ends;
                with
            }
            Pattern::Repeat(inner) => {
                let mut rest = follow.clone();
                for _ in 0..REPEATS {
                    rest = self.add(inner, &rest, part, arguments);
                    rest.next.extend(&follow.next);
                    rest.ends |= follow.ends;
                }
                rest
            }
            Pattern::Either(parts) => {
                let mut all = Follow::default();
                let mut firsts = Vec::new();
                for inner in parts.iter().rev() {
                    let one = self.add(inner, follow, part, arguments);
                    all.ends |= one.ends;
                    firsts.push(one.next);
                }
                all.next = firsts.into_iter().rev().flatten().collect();
                all
            }
        }
    }

    fn push(&mut self, token: Token, help: &'static str, follow: &Follow, part: Part) -> NodeId {
        let Part {
            sentence,
            named,
            opens,
            ..
        } = part;
        let next = follow.next.clone();
        self.nodes.push(Node {
            token,
            help,
            sentence,
            next,
            ends: follow.ends,
            named,
            opens,
        });
        self.nodes.len() - 1
    }
}

fn count(pattern: &Pattern) -> usize {
    pattern.arguments().len()
}

/// Our own tables are read by a test, so that a mistake in them is never seen here.
fn parsed(syntax: &'static str) -> Pattern {
    Pattern::parse(syntax).unwrap_or(Pattern::Sequence(Vec::new()))
}
