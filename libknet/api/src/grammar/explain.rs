//! The one error that is told of a line that several objects refused.

use super::{
    arena::ARENA,
    error::{ErrorKind, SyntaxError},
    lexer::{self, Word},
    matcher::{Walk, complete, prefix_of},
    schema::{Mode, object_row},
    stuck::Stuck,
};
use crate::edit::Context;

/// A line that could not be read. To find out what is told of it takes longer than to see that, and is not always asked for.
pub(super) enum Unread<'a, 'w> {
    /// This is told of it.
    Told(SyntaxError),
    /// It is typed in `context`, and neither that nor an object around can read it.
    Stuck {
        context: Option<&'w Context>,
        line: &'a str,
        furthest: Furthest<'a, 'w>,
    },
}

impl Unread<'_, '_> {
    pub(super) const fn kind(&self) -> ErrorKind {
        match self {
            Self::Told(error) => error.kind,
            Self::Stuck { .. } => ErrorKind::Invalid,
        }
    }

    /// What is told of it: of the objects that came furthest the first, with the word that was meant in an object around, or
    /// with the object that the line belongs to.
    pub(super) fn error(self) -> SyntaxError {
        let (context, line, furthest) = match self {
            Self::Told(error) => return error,
            Self::Stuck {
                context,
                line,
                furthest,
            } => (context, line, furthest),
        };
        let mut told = furthest.first.error();
        match belongs_elsewhere(context, line, furthest.first.depth()) {
            Some(reason) => told.reason = Some(reason),
            None => told.suggestion = furthest.all().find_map(Stuck::suggestion),
        }
        told
    }
}

impl From<SyntaxError> for Unread<'_, '_> {
    fn from(error: SyntaxError) -> Self {
        Self::Told(error)
    }
}

/// Where the objects stand that got furthest with a line: the first of them, and the others.
pub(super) struct Furthest<'a, 'w> {
    first: Stuck<'a, 'w>,
    others: Vec<Stuck<'a, 'w>>,
}

impl<'a, 'w> Furthest<'a, 'w> {
    /// What is left of both, `known` having been tried before.
    pub(super) fn of(known: Option<Self>, stuck: Stuck<'a, 'w>) -> Self {
        match known {
            Some(known) if stuck.depth() < known.first.depth() => known,
            Some(mut known) if stuck.depth() == known.first.depth() => {
                known.others.push(stuck);
                known
            }
            _ => Self {
                first: stuck,
                others: Vec::new(),
            },
        }
    }

    fn all(&self) -> impl Iterator<Item = &Stuck<'a, 'w>> {
        std::iter::once(&self.first).chain(&self.others)
    }
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
    let (walk, read) = match Walk::new(mode, line).read(words, None) {
        Ok(walk) => (walk, words.len()),
        Err(stuck) => stuck.before(),
    };
    let first = walk.readings.first()?;
    let own = usize::from(prefix_of(first).is_some());
    let (step, word) = (first.get(own)?, words.get(own)?);
    let clear = word.text.len() >= 3 && ARENA.nodes[step.node].token.keyword().is_some();
    let complete = read == words.len() && walk.readings.iter().any(|reading| complete(reading));
    clear.then_some((complete, read))
}
