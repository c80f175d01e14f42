//! What is wrong with a word that cannot stand where it does. It is asked only of the one object whose error is told: a file
//! of mistakes is tried in all objects around each of its lines.

use super::{
    arena::{ARENA, NodeId},
    error::{ErrorKind, SyntaxError},
    lexer::{LexError, Word},
    matcher::{Rank, Walk, keyword, takes_rest},
    spelling::nearest,
};

/// A walk that has come to a word that it cannot pass.
pub(super) struct Stuck<'a, 'w> {
    /// As far as it came.
    walk: Walk<'a>,
    depth: usize,
    word: &'w Word,
    broken: Option<&'w LexError>,
}

impl<'a, 'w> Stuck<'a, 'w> {
    /// `walk` has read `depth` words and not `word`. `broken` is what the lexer stumbled on in there.
    pub(super) const fn new(
        walk: Walk<'a>,
        depth: usize,
        word: &'w Word,
        broken: Option<&'w LexError>,
    ) -> Self {
        Self {
            walk,
            depth,
            word,
            broken,
        }
    }

    /// The words before it, as they were read, and how many they are.
    pub(super) fn before(self) -> (Walk<'a>, usize) {
        (self.walk, self.depth)
    }

    /// How far it came. What is no word at all is not one that could not be read.
    pub(super) fn depth(&self) -> usize {
        if self.broken.is_some() { 0 } else { self.depth }
    }

    /// What is told of it, but for what was probably meant.
    pub(super) fn error(&self) -> SyntaxError {
        if let Some(error) = self.broken {
            return SyntaxError::lexical(error);
        }
        SyntaxError {
            kind: ErrorKind::Invalid,
            span: self.word.span.clone(),
            depth: self.depth,
            reason: self.reason(),
            expected: self.walk.expected(),
            suggestion: None,
        }
    }

    /// What is wrong with the word, where all that it could be agree.
    fn reason(&self) -> Option<String> {
        let reason = |id: NodeId| self.walk.fit(&ARENA.nodes[id], self.word).err().flatten();
        let mut reasons: Vec<String> = self
            .walk
            .candidates(|node| keyword(node).is_none())
            .filter_map(|(_, id)| reason(id))
            .collect();
        reasons.dedup();
        (reasons.len() == 1).then(|| reasons.swap_remove(0))
    }

    /// What was probably meant.
    pub(super) fn suggestion(&self) -> Option<String> {
        if self.broken.is_some() {
            return None;
        }
        let next = self.walk.next_nodes();
        let keywords = next.iter().filter_map(|id| keyword(&ARENA.nodes[*id]));
        self.apart(&next, Rank::Narrow)
            .or_else(|| nearest(&self.word.text, keywords).map(str::to_owned))
            .or_else(|| self.apart(&next, Rank::Wide))
    }

    /// Two words that were written as one: `mtu1400`. `least`: how clearly the second must be what may follow the first.
    fn apart(&self, next: &[NodeId], least: Rank) -> Option<String> {
        let word = self.word;
        next.iter().find_map(|id| {
            let keyword = keyword(&ARENA.nodes[*id])?;
            let head = word.text.get(..keyword.len())?;
            let rest = &word.text[keyword.len()..];
            if !keyword.eq_ignore_ascii_case(head) || rest.is_empty() || word.quoted {
                return None;
            }
            let alone = Word {
                text: rest.to_owned(),
                ..word.clone()
            };
            let fits = |id: &NodeId| {
                let node = &ARENA.nodes[*id];
                // The beginning of a keyword is not clear: everything begins like something.
                !takes_rest(node)
                    && self
                        .walk
                        .fit(node, &alone)
                        .is_ok_and(|(rank, _)| rank >= least && rank != Rank::Prefix)
            };
            let next = &ARENA.nodes[*id].next;
            next.iter().any(fits).then(|| format!("{keyword} {rest}"))
        })
    }
}
