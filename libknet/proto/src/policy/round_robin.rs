//! Round-robin: frames in turn over all links, each as often as its weight says.

use super::{ActiveSet, LinkView, last_resort, those};
use crate::{
    ids::{LinkId, LinkSet, MAX_LINKS},
    status::LinkState,
};

/// All links that are up take turns. While one is in doubt it gets a copy of every frame instead of a turn,
/// so that its share is not lost if it is dead.
pub fn choose(links: &[LinkView]) -> ActiveSet {
    let rotation = those(links, |l| l.state == LinkState::Up);
    if rotation.is_empty() {
        return last_resort(links);
    }
    ActiveSet {
        copies: those(links, |l| l.mirror),
        rotation,
    }
}

/// Whose turn it is: smooth weighted round-robin. Over any `sum of weights` frames each link gets its weight,
/// and no link gets its turns in a lump.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotation {
    credit: [i32; MAX_LINKS],
}

impl Rotation {
    /// The next link of `set`; `weight` tells the weight of each.
    pub fn next(&mut self, set: LinkSet, weight: impl Fn(LinkId) -> u16) -> Option<LinkId> {
        let mut total = 0;
        let mut best: Option<(i32, LinkId)> = None;
        for link in set.iter() {
            let w = i32::from(weight(link).max(1));
            total += w;
            if let Some(credit) = self.credit.get_mut(link.index()) {
                *credit += w;
                if best.is_none_or(|(c, _)| *credit > c) {
                    best = Some((*credit, link));
                }
            }
        }
        let (_, link) = best?;
        if let Some(credit) = self.credit.get_mut(link.index()) {
            *credit -= total;
        }
        Some(link)
    }

    /// The next `count` turns, gathered by link: how many each link of `set` gets, whatever the order.
    pub fn turns(
        &mut self,
        set: LinkSet,
        count: usize,
        weight: impl Fn(LinkId) -> u16,
    ) -> [usize; MAX_LINKS] {
        let mut turns = [0; MAX_LINKS];
        for link in (0..count).filter_map(|_| self.next(set, &weight)) {
            if let Some(turns) = turns.get_mut(link.index()) {
                *turns += 1;
            }
        }
        turns
    }

    /// Forgets the turns: the set has changed.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_views::{set, view};
    use super::*;
    use LinkState::{Probing, Suspect, Up};
    use std::vec::Vec;

    #[test]
    fn links_in_the_best_state_take_turns() {
        let links = [view(0, Up, 1), view(3, Suspect, 1), view(5, Up, 1)];
        assert_eq!(
            choose(&links),
            ActiveSet {
                copies: set(&[3]),
                rotation: set(&[0, 5])
            }
        );
        assert_eq!(choose(&[view(1, Probing, 9)]).copies, set(&[1]));
    }

    #[test]
    fn weights_are_kept_exactly_and_spread_out() {
        let mut r = Rotation::default();
        let weight = |l: LinkId| [5, 1, 1][l.index()];
        let turns: Vec<u8> = (0..14)
            .map(|_| r.next(set(&[0, 1, 2]), weight).expect("a link").get())
            .collect();
        assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn gathered_turns_are_the_same_turns() {
        let weight = |l: LinkId| [5, 1, 1][l.index()];
        let (mut one_by_one, mut gathered) = (Rotation::default(), Rotation::default());
        for count in [3, 1, 41, 7] {
            let mut expected = [0; MAX_LINKS];
            for _ in 0..count {
                expected[one_by_one.next(set(&[0, 1, 2]), weight).expect("a link").index()] += 1;
            }
            assert_eq!(gathered.turns(set(&[0, 1, 2]), count, weight), expected);
        }
    }

    #[test]
    fn an_empty_set_has_no_turn() {
        assert_eq!(Rotation::default().next(LinkSet::EMPTY, |_| 1), None);
        assert_eq!(
            Rotation::default().turns(LinkSet::EMPTY, 9, |_| 1),
            [0; MAX_LINKS]
        );
    }
}
