//! What `?` prints.

use super::{
    arena::{ARENA, Node, NodeId, Sentence, Token},
    climb::{Fit, climb},
    commands::Scope,
    error::SyntaxError,
    explain::Unread,
    lexer::{self, Word},
    matcher::{Walk, begins_with, complete},
    types::{Form, text_of},
};
use crate::{edit::Context, message::Privilege, value::Value};

/// One line of help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelpLine {
    /// The word, or the notation of an argument, or `<cr>`.
    pub word: String,
    /// What it means, with unit and default.
    pub text: String,
}

/// What may stand at the end of `line`, which is typed in `context`: the words that begin with what stands
/// there, or after a space all that may come next. The mistake, where the words before make no sense.
pub fn help(
    context: Option<&Context>,
    privilege: Privilege,
    line: &str,
) -> Result<Vec<HelpLine>, SyntaxError> {
    let Begun { walk, partial, .. } = read_begun(context, line)?;
    let mut lines: Vec<HelpLine> = Vec::new();
    for id in walk.next_nodes() {
        let node = &ARENA.nodes[id];
        let fits = match node.token {
            Token::Keyword { word, .. } => begins_with(word, &partial),
            Token::Argument { form, .. } => {
                partial.is_empty() || form.parse(&partial).is_ok() || !form.is_narrow()
            }
        };
        let word = match node.token {
            Token::Keyword { word, .. } => word.to_owned(),
            Token::Argument { form, .. } => form.notation(),
        };
        if fits && allowed(node, privilege) && lines.iter().all(|line| line.word != word) {
            lines.push(HelpLine {
                word,
                text: describe(node),
            });
        }
    }
    // Words in the order of the alphabet, then arguments: as in the shells that users come from.
    lines.sort_by_key(|line| {
        (
            !line.word.starts_with(|c: char| c.is_ascii_lowercase()),
            line.word.clone(),
        )
    });
    if partial.is_empty() && walk.readings.iter().any(|reading| complete(reading)) {
        lines.push(HelpLine {
            word: "<cr>".to_owned(),
            text: String::new(),
        });
    }
    if lines.is_empty() {
        // Reading the last word, too, tells what is wrong with it.
        let (words, broken) = lexer::words(line).map_err(|error| SyntaxError::lexical(&error))?;
        climb(context, line, &words, broken.as_ref(), |_| Fit::Full).map_err(Unread::error)?;
    }
    Ok(lines)
}

/// A line that is still being typed, but for the word at its end.
pub(super) struct Begun<'a> {
    /// The object that it is meant in.
    pub(super) here: Option<Context>,
    /// All words but the last, read there.
    pub(super) walk: Walk<'a>,
    /// The word at the end, as far as it was typed.
    pub(super) partial: String,
}

/// Reads what was typed of a line.
pub(super) fn read_begun<'a>(context: Option<&Context>, line: &'a str) -> Result<Begun<'a>, SyntaxError> {
    let (mut words, broken) = lexer::words(line).map_err(|error| SyntaxError::lexical(&error))?;
    let partial = if line.ends_with(char::is_whitespace) && broken.is_none() {
        None
    } else {
        words.pop()
    };
    let partial = partial.map(|word| word.text).unwrap_or_default();
    let fit = |walk: &Walk<'_>| fit_of_begun(walk, &words, &partial);
    let (here, walk) = climb(context, line, &words, None, fit).map_err(Unread::error)?;
    Ok(Begun { here, walk, partial })
}

fn fit_of_begun(walk: &Walk<'_>, words: &[Word], partial: &str) -> Fit {
    let next = walk.next_nodes();
    let keywords = || next.iter().filter_map(|id| ARENA.nodes[*id].token.keyword());
    let goes_on = |id: &NodeId| match ARENA.nodes[*id].token {
        Token::Keyword { word, .. } => begins_with(word, partial),
        Token::Argument { .. } => true,
    };
    if partial.is_empty() {
        Fit::of_words(walk, words)
    } else if !next.iter().any(goes_on) {
        Fit::Ended
    } else if walk.is_about_next() && !keywords().any(|word| word.eq_ignore_ascii_case(partial)) {
        Fit::Short
    } else {
        Fit::of_words(walk, words)
    }
}

fn allowed(node: &Node, privilege: Privilege) -> bool {
    match node.sentence {
        Sentence::Command(command) => command.scope == Scope::Config || command.privilege() <= privilege,
        _ => true,
    }
}

/// Help for one word: what it is, its unit, its default.
fn describe(node: &Node) -> String {
    let Token::Argument { index, form, .. } = node.token else {
        let default = match (node.token, node.sentence) {
            (
                Token::Keyword {
                    word,
                    argument: Some(index),
                },
                Sentence::Row(_),
            ) => default_of(node, index).is_some_and(|value| value == word),
            _ => false,
        };
        return if default {
            format!("{} (default)", node.help)
        } else {
            node.help.to_owned()
        };
    };
    let mut notes = Vec::new();
    if let Form::Range { unit, .. } = form
        && !unit.is_empty()
    {
        notes.push((*unit).to_owned());
    }
    if let Some(default) = default_of(node, index) {
        notes.push(format!("default {default}"));
    }
    if notes.is_empty() {
        node.help.to_owned()
    } else {
        format!("{} ({})", node.help, notes.join(", "))
    }
}

/// The default of an argument of a setting that has one.
fn default_of(node: &Node, index: usize) -> Option<String> {
    let Sentence::Row(row) = node.sentence else {
        return None;
    };
    let (_, access) = row.setting()?;
    let defaults = access.defaults();
    match defaults.first()?.get(index)? {
        Value::Absent => None,
        value => Some(text_of(value)),
    }
}
