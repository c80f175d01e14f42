//! Finds what a line means: follows all readings of it through the arena at once.
//!
//! Words may be abbreviated everywhere. Where several things fit a word, the best kind wins: a keyword in
//! full, then the beginning of a keyword, then an argument of a narrow type, then one of a wide type, then
//! free text. Readings of the same kind are kept, and the words after decide.

use std::ops::Range;

use super::{
    arena::{ARENA, Node, NodeId, Prefix, Sentence, Token},
    error::{ErrorKind, SyntaxError},
    lexer::{LexError, Word},
    schema::{Kind, Mode},
    stuck::Stuck,
    types::Form,
};
use crate::{edit::Context, value::Value};

/// One word, as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) node: NodeId,
    pub(crate) value: Option<Value>,
    pub(crate) span: Range<usize>,
}

/// One reading of the words so far.
pub(crate) type Reading = Vec<Step>;

/// How well a word fits what may stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Text,
    Wide,
    Narrow,
    Prefix,
    Exact,
}

/// The words of a line, and how far they could be read.
pub(crate) struct Walk<'a> {
    line: &'a str,
    mode: Mode,
    /// Whether the line is typed among the lines of one host, where there are no meshes, groups and hosts.
    on_host: bool,
    pub(crate) readings: Vec<Reading>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(mode: Mode, line: &'a str) -> Self {
        Self {
            line,
            mode,
            on_host: false,
            readings: vec![Vec::new()],
        }
    }

    /// A line that is typed in an object, or outside the configuration.
    pub(crate) fn at(here: Option<&Context>, line: &'a str) -> Self {
        Self {
            on_host: matches!(here, Some(Context::Host { .. })),
            ..Self::new(here.map_or(Mode::Exec, Mode::of), line)
        }
    }

    /// Reads all words. `broken` is what the lexer stumbled on: free text may begin before it.
    pub(crate) fn read<'w>(
        mut self,
        words: &'w [Word],
        broken: Option<&'w LexError>,
    ) -> Result<Self, Stuck<'a, 'w>> {
        for (depth, word) in words.iter().enumerate() {
            let broken = broken.filter(|error| error.span.start == word.span.start);
            match self.read_word(word, broken.is_some()) {
                Some(took_rest) if took_rest => break,
                Some(_) => {}
                None => return Err(Stuck::new(self, depth, word, broken)),
            }
        }
        Ok(self)
    }

    /// Reads one word, in which the lexer has stumbled where it is `broken`. Gives whether it took the rest of the line with
    /// it; `None` where it cannot stand there.
    fn read_word(&mut self, word: &Word, broken: bool) -> Option<bool> {
        let mut best: Option<Rank> = None;
        let mut found: Vec<(usize, Step)> = Vec::new();
        for (index, id) in self.candidates(|node| may_be(node, word, broken)) {
            let node = &ARENA.nodes[id];
            let Ok((rank, value)) = self.fit(node, word) else {
                continue;
            };
            if best.is_none_or(|best| rank > best) {
                best = Some(rank);
                found.clear();
            }
            if best == Some(rank) {
                let end = if takes_rest(node) {
                    self.line.trim_end().len()
                } else {
                    word.span.end
                };
                let span = word.span.start..end;
                found.push((
                    index,
                    Step {
                        node: id,
                        value,
                        span,
                    },
                ));
            }
        }
        if found.is_empty() {
            return None;
        }
        let rest = found.iter().any(|(_, step)| takes_rest(&ARENA.nodes[step.node]));
        self.readings = found
            .into_iter()
            .map(|(index, step)| {
                let mut reading = self.readings[index].clone();
                reading.push(step);
                reading
            })
            .collect();
        Some(rest)
    }

    /// What may stand next and is `wanted`, each with the index of the reading that it would go on.
    pub(super) fn candidates(
        &self,
        wanted: impl Fn(&Node) -> bool + Copy,
    ) -> impl Iterator<Item = (usize, NodeId)> {
        let readings = self.readings.iter().enumerate();
        readings.flat_map(move |(index, reading)| {
            let successors = self.successors(reading, wanted);
            successors.map(move |id| (index, id))
        })
    }

    /// Reads `word` as what `node` stands for; otherwise says what is wrong with it where that is more than that it is not.
    pub(super) fn fit(&self, node: &Node, word: &Word) -> Result<(Rank, Option<Value>), Option<String>> {
        match node.token {
            Token::Keyword {
                word: keyword,
                argument,
            } => {
                if word.quoted || word.text.is_empty() || !begins_with(keyword, &word.text) {
                    return Err(None);
                }
                let value = argument.map(|_| Value::Word(keyword.to_owned()));
                let rank = if keyword.len() == word.text.len() {
                    Rank::Exact
                } else {
                    Rank::Prefix
                };
                Ok((rank, value))
            }
            Token::Argument {
                form: form @ Form::Text(_),
                ..
            } => form
                .parse(self.line[word.span.start..].trim_end())
                .map(|value| (Rank::Text, Some(value))),
            Token::Argument { form, .. } => {
                let rank = if form.is_narrow() {
                    Rank::Narrow
                } else {
                    Rank::Wide
                };
                form.parse(&word.text).map(|value| (rank, Some(value)))
            }
        }
    }

    /// The one reading of the whole line, if it is complete and there is only one.
    pub(crate) fn finish(mut self, words: &[Word]) -> Result<Reading, SyntaxError> {
        if let Some(at) = self.first_difference() {
            let mut candidates: Vec<String> = Vec::new();
            for reading in &self.readings {
                let text = reading.get(at).map(|step| describe(&ARENA.nodes[step.node]));
                if let Some(text) = text.filter(|text| !candidates.contains(text)) {
                    candidates.push(text);
                }
            }
            let span = words.get(at).map_or(0..self.line.len(), |word| word.span.clone());
            return Err(SyntaxError {
                kind: ErrorKind::Ambiguous,
                span,
                depth: words.len(),
                reason: None,
                expected: candidates,
                suggestion: None,
            });
        }
        if let Some(index) = self.readings.iter().position(|reading| complete(reading)) {
            return Ok(self.readings.swap_remove(index));
        }
        let end = self.line.trim_end().len();
        Err(SyntaxError {
            kind: ErrorKind::Incomplete,
            span: end..end,
            depth: words.len(),
            reason: None,
            expected: self.expected(),
            suggestion: None,
        })
    }

    /// What may stand next, each once.
    pub(crate) fn next_nodes(&self) -> Vec<NodeId> {
        let mut seen = vec![false; ARENA.nodes.len()];
        self.candidates(|_| true)
            .map(|(_, id)| id)
            .filter(|id| !std::mem::replace(&mut seen[*id], true))
            .collect()
    }

    /// What may stand next, as it is written in messages.
    pub(crate) fn expected(&self) -> Vec<String> {
        let mut expected: Vec<String> = Vec::new();
        for id in self.next_nodes() {
            let text = describe(&ARENA.nodes[id]);
            if !expected.contains(&text) {
                expected.push(text);
            }
        }
        if self.readings.iter().any(|reading| complete(reading)) {
            expected.push("the end of the line".to_owned());
        }
        expected
    }

    fn successors(&self, reading: &[Step], wanted: impl Fn(&Node) -> bool) -> impl Iterator<Item = NodeId> {
        let next = match reading.last() {
            Some(step) => &ARENA.nodes[step.node].next,
            None => ARENA.roots(self.mode),
        };
        // An object as a whole has no default, so after its name there are only its lines.
        let lines_only = prefix_of(reading) == Some(Prefix::Default);
        let opens_host = |step: &Step| ARENA.nodes[step.node].opens == Some(Mode::Host);
        let on_host = self.on_host || reading.iter().any(opens_host);
        // Most are not wanted, and the rest takes longer to tell.
        let wanted = next.iter().copied().filter(move |id| wanted(&ARENA.nodes[*id]));
        wanted.filter(move |id| {
            let node = &ARENA.nodes[*id];
            let object = match node.sentence {
                Sentence::Row(row) => match row.kind {
                    Kind::Object(opens, _) => Some(opens),
                    Kind::Leaf(..) => None,
                },
                _ => None,
            };
            let in_tail = node.named && node.opens.is_none();
            let of_all = matches!(object, Some(Mode::Mesh | Mode::Group | Mode::Host));
            // The name of the host itself is read where it is begun.
            let begins = |step: &Step| ARENA.nodes[step.node].sentence.is_of(node.sentence);
            let inside = on_host && of_all && !reading.last().is_some_and(begins);
            !(lines_only && in_tail && object.is_some() || inside)
        })
    }

    /// Whether the next word is the one that says what the line is about.
    pub(crate) fn is_about_next(&self) -> bool {
        let is_next = |reading: &Reading| reading.len() == usize::from(prefix_of(reading).is_some());
        self.readings.iter().any(is_next)
    }

    /// The first word that the readings take for different keywords.
    fn first_difference(&self) -> Option<usize> {
        let (first, others) = self.readings.split_first()?;
        let differs = |at: usize| {
            let text = |reading: &Reading| reading.get(at).map(|step| keyword(&ARENA.nodes[step.node]));
            others.iter().any(|other| text(other) != text(first))
        };
        (0..first.len()).find(|at| differs(*at))
    }
}

/// Whether the line may end after `reading`.
pub(crate) fn complete(reading: &[Step]) -> bool {
    let Some(last) = reading.last() else { return false };
    let node = &ARENA.nodes[last.node];
    match (prefix_of(reading), node.sentence) {
        (Some(Prefix::No), Sentence::Row(_)) => node.named,
        (Some(Prefix::Default), Sentence::Row(row)) => node.named && matches!(row.kind, Kind::Leaf(..)),
        // An object's name alone enters it.
        (_, Sentence::Row(_)) => node.ends || node.opens.is_some(),
        (_, Sentence::Command(_)) => node.ends,
        (_, Sentence::Prefix(_)) => false,
    }
}

/// `no`, `default` or `do`, if the line begins with one.
pub(crate) fn prefix_of(reading: &[Step]) -> Option<Prefix> {
    match ARENA.nodes[reading.first()?.node].sentence {
        Sentence::Prefix(prefix) => Some(prefix),
        _ => None,
    }
}

/// Whether `word` can be what `node` stands for, at a glance. Of a word in which the lexer has stumbled (`broken`) only free
/// text can begin.
fn may_be(node: &Node, word: &Word, broken: bool) -> bool {
    match keyword(node) {
        Some(keyword) => !broken && begins_with(keyword, &word.text),
        None => !broken || takes_rest(node),
    }
}

/// Whether the word is free text, which goes on to the end of the line.
pub(super) fn takes_rest(node: &Node) -> bool {
    matches!(
        node.token,
        Token::Argument {
            form: Form::Text(_),
            ..
        }
    )
}

pub(super) fn keyword(node: &Node) -> Option<&'static str> {
    node.token.keyword()
}

/// A node as messages name it: the keyword, or the notation of the argument.
pub(crate) fn describe(node: &Node) -> String {
    match node.token {
        Token::Keyword { word, .. } => word.to_owned(),
        Token::Argument { form, .. } => match form.requirement() {
            Some(requirement) => format!("{} ({requirement})", form.notation()),
            None => form.notation(),
        },
    }
}

/// Whether `keyword` can be abbreviated to `text`.
pub(crate) fn begins_with(keyword: &str, text: &str) -> bool {
    let mut letters = keyword.bytes().zip(text.bytes());
    keyword.len() >= text.len() && letters.all(|(a, b)| a.eq_ignore_ascii_case(&b))
}
