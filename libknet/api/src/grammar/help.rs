//! What `?` prints.

use super::{
    arena::{ARENA, Node, Sentence, Token},
    commands::Scope,
    error::SyntaxError,
    explain::verdict,
    lexer,
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
    let (walk, partial) = walk_before_last(context, line)?;
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
        // Reading the last word tells what is wrong with it.
        let (mut walk, _) = walk_before_last(context, line)?;
        let (words, broken) = lexer::words(line).map_err(|error| SyntaxError::lexical(&error))?;
        if let Some(last) = words.len().checked_sub(1) {
            walk.read(&words[last..], broken.as_ref())?;
        }
    }
    Ok(lines)
}

/// Reads all words but the one at the end of the line that is still being typed, in the innermost object where
/// they make sense.
pub(super) fn walk_before_last<'a>(
    context: Option<&Context>,
    line: &'a str,
) -> Result<(Walk<'a>, String), SyntaxError> {
    let (mut words, broken) = lexer::words(line).map_err(|error| SyntaxError::lexical(&error))?;
    let partial = if line.ends_with(char::is_whitespace) && broken.is_none() {
        None
    } else {
        words.pop()
    };
    let partial = partial.map(|word| word.text).unwrap_or_default();
    let mut errors = Vec::new();
    let mut here = context.cloned();
    loop {
        let mut walk = Walk::at(here.as_ref(), line);
        match walk.read(&words, None) {
            Ok(()) if offers(&walk, &partial) || here.is_none() => return Ok((walk, partial)),
            // Nothing here begins like that; perhaps in an outer object.
            Ok(()) => {}
            Err(error) => errors.push(error),
        }
        match here {
            Some(object) => here = object.parent(),
            None => break,
        }
    }
    match verdict(context, line, errors) {
        Some(error) => Err(error),
        None => Ok((Walk::at(context, line), partial)),
    }
}

fn offers(walk: &Walk<'_>, partial: &str) -> bool {
    partial.is_empty()
        || walk.next_nodes().iter().any(|id| match ARENA.nodes[*id].token {
            Token::Keyword { word, .. } => begins_with(word, partial),
            Token::Argument { .. } => true,
        })
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
