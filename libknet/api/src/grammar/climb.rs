//! In which object a line is meant: in the one that it is typed in, in one of those around it, or outside the
//! configuration.

use super::{
    arena::ARENA,
    error::SyntaxError,
    explain::verdict,
    lexer::{LexError, Word},
    matcher::{Walk, prefix_of},
};
use crate::edit::Context;

/// How well a line fits an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// Its words can be read, but nothing there goes on as it does.
    Ended,
    /// The word that says what it is about is an abbreviation there.
    Short,
    /// That word is written out.
    Full,
}

/// Reads `words` in the innermost object that they fit best: a word that is written out in an object around counts
/// more than one at hand that it could be an abbreviation of (`host` is `hostname` for short in the lines of a host).
/// The object is `None` outside the configuration.
pub(super) fn climb<'a>(
    context: Option<&Context>,
    line: &'a str,
    words: &[Word],
    broken: Option<&LexError>,
    fit: impl Fn(&Walk<'a>) -> Fit,
) -> Result<(Option<Context>, Walk<'a>), SyntaxError> {
    let outwards = |here: &Option<Context>| here.as_ref().map(Context::parent);
    let mut best: Option<(Fit, Option<Context>, Walk<'a>)> = None;
    let mut errors = Vec::new();
    for here in std::iter::successors(Some(context.cloned()), outwards) {
        let mut walk = Walk::at(here.as_ref(), line);
        if let Err(error) = walk.read(words, broken) {
            errors.push(error);
            continue;
        }
        let fit = fit(&walk);
        if best.as_ref().is_none_or(|(best, ..)| fit > *best) {
            best = Some((fit, here, walk));
        }
        if fit == Fit::Full {
            break;
        }
    }
    match best {
        Some((_, here, walk)) => Ok((here, walk)),
        // The loop has run at least once.
        None => verdict(context, line, errors).map_or_else(|| Ok((None, Walk::at(None, line))), Err),
    }
}

impl Fit {
    /// Of a line whose words were all read.
    pub(super) fn of_words(walk: &Walk<'_>, words: &[Word]) -> Self {
        let is_full = walk.readings.iter().any(|reading| {
            // Behind `no`, `default` or `do`.
            let about = usize::from(prefix_of(reading).is_some());
            let (Some(step), Some(word)) = (reading.get(about), words.get(about)) else {
                return true;
            };
            let keyword = ARENA.nodes[step.node].token.keyword();
            keyword.is_none_or(|keyword| keyword.eq_ignore_ascii_case(&word.text))
        });
        if is_full { Self::Full } else { Self::Short }
    }
}
