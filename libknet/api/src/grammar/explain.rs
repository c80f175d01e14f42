//! The one error that is told of a line that several objects refused.

use super::{
    arena::ARENA,
    error::{ErrorKind, SyntaxError},
    lexer::{self, Word},
    matcher::{Walk, complete, prefix_of},
    schema::{Mode, object_row},
};
use crate::edit::Context;

/// What is told of `line`: the first of the errors that got furthest (`errors` begin with that of the object at
/// hand), with the word that was meant in an object around, or with the object that the line belongs to.
pub(super) fn verdict(
    context: Option<&Context>,
    line: &str,
    errors: Vec<SyntaxError>,
) -> Option<SyntaxError> {
    let depth = errors.iter().map(|error| error.depth).max()?;
    let mut furthest = errors.into_iter().filter(|error| error.depth == depth);
    let mut told = furthest.next()?;
    if told.kind != ErrorKind::Invalid {
        return Some(told);
    }
    if let Some(reason) = belongs_elsewhere(context, line, depth) {
        told.reason = Some(reason);
        told.suggestion = None;
    } else if told.suggestion.is_none() {
        told.suggestion = furthest.find_map(|error| error.suggestion);
    }
    Some(told)
}

/// Where the line would make sense, if it does so in an object that the shell does not stand in.
fn belongs_elsewhere(context: Option<&Context>, line: &str, depth: usize) -> Option<String> {
    let Ok((words, None)) = lexer::words(line) else {
        return None;
    };
    let here = context.map_or(Mode::Exec, Mode::of);
    let around = |mode: Mode| std::iter::successors(Some(mode), |mode| mode.around());
    // In these it was tried already.
    let tried: Vec<Mode> = around(here).collect();
    let mode = Mode::CONFIG
        .into_iter()
        .filter(|mode| !tried.contains(mode) && *mode != Mode::Host)
        .filter_map(|mode| Some((progress(mode, line, &words)?, mode)))
        .filter(|((_, read), _)| *read > depth)
        // The furthest; of several the first.
        .max_by_key(|(progress, mode)| (*progress, std::cmp::Reverse(*mode)))
        .map(|(_, mode)| mode)?;
    let mut steps: Vec<String> = around(mode)
        .take_while(|mode| !tried.contains(mode))
        .filter_map(|mode| object_row(mode).map(|row| format!("`{}`", row.key)))
        .collect();
    if here == Mode::Exec {
        steps.push("`configure terminal`".to_owned());
    }
    steps.reverse();
    let last = steps.pop()?;
    let first = if steps.is_empty() {
        last
    } else {
        format!("{} and {last}", steps.join(", "))
    };
    let holder = match mode {
        Mode::Interface => "of an interface",
        Mode::Peer => "of a peer",
        Mode::Link => "of a link",
        Mode::Mesh => "of a mesh",
        Mode::Member => "of a member of a mesh",
        Mode::Group => "of a group of peers",
        Mode::Exec | Mode::Global | Mode::Host => "of the configuration",
    };
    Some(format!("a line {holder}: give {first} first"))
}

/// Whether the line is complete in `mode`, and how many of its words can be read there. `None` where not even its
/// first word is clearly one of this mode.
fn progress(mode: Mode, line: &str, words: &[Word]) -> Option<(bool, usize)> {
    let mut walk = Walk::new(mode, line);
    let read = match walk.read(words, None) {
        Ok(()) => words.len(),
        Err(error) => error.depth,
    };
    let mut walk = Walk::new(mode, line);
    walk.read(words.get(..read)?, None).ok()?;
    let first = walk.readings.first()?;
    let own = usize::from(prefix_of(first).is_some());
    let (step, word) = (first.get(own)?, words.get(own)?);
    let clear = word.text.len() >= 3 && ARENA.nodes[step.node].token.keyword().is_some();
    let complete = read == words.len() && walk.readings.iter().any(|reading| complete(reading));
    clear.then_some((complete, read))
}
