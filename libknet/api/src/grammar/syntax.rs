//! The little language of syntax lines: `word`, `<type>`, `[optional]`, `(this|that)`, `{so often}`.

use super::{
    lexer::quote,
    types::{self, ArgumentType, text_of},
};
use crate::value::Value;

/// A parsed syntax line.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    Word(&'static str),
    Argument(&'static ArgumentType),
    Sequence(Vec<Pattern>),
    Optional(Box<Pattern>),
    Either(Vec<Pattern>),
    /// Up to [`REPEATS`] times, or not at all.
    Repeat(Box<Pattern>),
}

/// How often what stands in braces may be there.
pub(crate) const REPEATS: usize = 8;

impl Pattern {
    /// Parses a line of one of our own tables; a test parses them all.
    pub(crate) fn parse(syntax: &'static str) -> Result<Self, String> {
        let mut rest = syntax;
        let pattern = parse_either(&mut rest)?;
        if rest.trim_start().is_empty() {
            Ok(pattern)
        } else {
            Err(format!("{syntax}: stray {rest:?}"))
        }
    }

    /// The argument types in order.
    pub(crate) fn arguments(&self) -> Vec<&'static ArgumentType> {
        match self {
            Self::Word(_) => Vec::new(),
            Self::Argument(argument) => vec![argument],
            Self::Optional(inner) => inner.arguments(),
            Self::Repeat(inner) => inner.arguments().repeat(REPEATS),
            Self::Sequence(parts) | Self::Either(parts) => parts.iter().flat_map(Self::arguments).collect(),
        }
    }

    /// A line of this form with everything that can be in it and these values; of alternatives the one with the most
    /// arguments.
    pub(crate) fn example(&self, value: fn(&str) -> &'static str) -> String {
        match self {
            Self::Word(word) => (*word).to_owned(),
            Self::Argument(argument) => value(argument.name).to_owned(),
            Self::Optional(inner) | Self::Repeat(inner) => inner.example(value),
            Self::Sequence(parts) => {
                let parts: Vec<String> = parts.iter().map(|part| part.example(value)).collect();
                parts.join(" ").trim_end().to_owned()
            }
            Self::Either(parts) => parts
                .iter()
                .rev()
                .max_by_key(|part| part.arguments().len())
                .map(|part| part.example(value))
                .unwrap_or_default(),
        }
    }

    /// The words of a line with these arguments, which are taken from the front of `values`; `None` where a
    /// needed one is absent or is not of its type.
    pub(crate) fn words(&self, values: &mut &[Value]) -> Option<Vec<String>> {
        match self {
            Self::Word(word) => Some(vec![(*word).to_owned()]),
            Self::Argument(argument) => {
                let (value, rest) = values.split_first()?;
                *values = rest;
                let text = text_of(value);
                argument.admits(value).then(|| {
                    vec![if matches!(value, Value::Text(_)) {
                        text
                    } else {
                        quote(&text)
                    }]
                })
            }
            Self::Sequence(parts) => {
                let mut words = Vec::new();
                for part in parts {
                    words.extend(part.words(values)?);
                }
                Some(words)
            }
            Self::Optional(inner) => {
                if all_absent(inner, values) {
                    skip(inner, values);
                    return Some(Vec::new());
                }
                inner.words(values)
            }
            Self::Repeat(inner) => {
                let mut words = Vec::new();
                for _ in 0..REPEATS {
                    if all_absent(inner, values) {
                        skip(inner, values);
                    } else {
                        words.extend(inner.words(values)?);
                    }
                }
                Some(words)
            }
            Self::Either(parts) => {
                // The alternative whose arguments are there; one without arguments, if none has any.
                let mut found = None;
                let mut bare = None;
                for part in parts {
                    if part.arguments().is_empty() {
                        bare = bare.or_else(|| part.words(&mut &[][..]));
                    } else if all_absent(part, values) {
                        skip(part, values);
                    } else {
                        if found.is_some() {
                            return None;
                        }
                        found = Some(part.words(values)?);
                    }
                }
                found.or(bare)
            }
        }
    }
}

fn all_absent(pattern: &Pattern, values: &[Value]) -> bool {
    let count = pattern.arguments().len();
    values.iter().take(count).all(|v| *v == Value::Absent)
}

fn skip(pattern: &Pattern, values: &mut &[Value]) {
    let count = pattern.arguments().len().min(values.len());
    *values = &values[count..];
}

fn parse_either(rest: &mut &'static str) -> Result<Pattern, String> {
    let mut alternatives = vec![parse_sequence(rest)?];
    while let Some(after) = rest.trim_start().strip_prefix('|') {
        *rest = after;
        alternatives.push(parse_sequence(rest)?);
    }
    Ok(if alternatives.len() == 1 {
        alternatives.swap_remove(0)
    } else {
        Pattern::Either(alternatives)
    })
}

fn parse_sequence(rest: &mut &'static str) -> Result<Pattern, String> {
    let mut parts = Vec::new();
    loop {
        *rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { break };
        match first {
            '|' | ')' | ']' | '}' => break,
            '(' | '[' | '{' => {
                *rest = &rest[1..];
                let inner = parse_either(rest)?;
                let close = match first {
                    '(' => ')',
                    '[' => ']',
                    _ => '}',
                };
                *rest = rest
                    .trim_start()
                    .strip_prefix(close)
                    .ok_or(format!("no {close} before {rest:?}"))?;
                parts.push(match first {
                    '(' => inner,
                    '[' => Pattern::Optional(Box::new(inner)),
                    _ => Pattern::Repeat(Box::new(inner)),
                });
            }
            '<' => {
                let (name, after) = rest[1..].split_once('>').ok_or(format!("no > in {rest:?}"))?;
                parts.push(Pattern::Argument(
                    types::lookup(name).ok_or(format!("no type <{name}>"))?,
                ));
                *rest = after;
            }
            _ => {
                let end = rest
                    .find(|c: char| c.is_whitespace() || "|()[]{}<>".contains(c))
                    .unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                if word.is_empty() {
                    return Err(format!("nothing to read in {rest:?}"));
                }
                parts.push(Pattern::Word(word));
                *rest = after;
            }
        }
    }
    Ok(Pattern::Sequence(parts))
}
