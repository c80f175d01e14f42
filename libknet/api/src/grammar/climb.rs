//! In which object a line is meant: in the one that it is typed in, in one of those around it, or outside the
//! configuration.

use super::{
    arena::ARENA,
    explain::{Furthest, Unread},
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
pub(super) fn climb<'a, 'w>(
    context: Option<&'w Context>,
    line: &'a str,
    words: &'w [Word],
    broken: Option<&'w LexError>,
    fit: impl Fn(&Walk<'a>) -> Fit,
) -> Result<(Option<Context>, Walk<'a>), Unread<'a, 'w>> {
    let outwards = |here: &Option<Context>| here.as_ref().map(Context::parent);
    let mut best: Option<(Fit, Option<Context>, Walk<'a>)> = None;
    let mut furthest = None;
    for here in std::iter::successors(Some(context.cloned()), outwards) {
        let walk = match Walk::at(here.as_ref(), line).read(words, broken) {
            Ok(walk) => walk,
            Err(stuck) => {
                furthest = Some(Furthest::of(furthest, stuck));
                continue;
            }
        };
        let fit = fit(&walk);
        if best.as_ref().is_none_or(|(best, ..)| fit > *best) {
            best = Some((fit, here, walk));
        }
        if fit == Fit::Full {
            break;
        }
    }
    match (best, furthest) {
        (Some((_, here, walk)), _) => Ok((here, walk)),
        (None, Some(furthest)) => Err(Unread::Stuck {
            context,
            line,
            furthest,
        }),
        // The loop has run at least once.
        (None, None) => Ok((None, Walk::at(None, line))),
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
