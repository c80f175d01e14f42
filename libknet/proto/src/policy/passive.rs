//! Passive: one link at a time, the best priority, then the lowest id.
//!
//! While the link in use is in doubt, frames go out on it *and* on the best other link: if the doubt was
//! unfounded nothing has moved, and if it was right nothing more is lost. Until another one has answered since the doubt
//! began they go out on the two best others: what takes one link along, a switch or a carrier, may have taken two.

use core::cmp::Reverse;

use super::{ActiveSet, LinkView, last_resort, those};
use crate::{
    ids::{LinkId, LinkSet},
    status::LinkState,
};

/// The link to use, and its stand-in while it is in doubt.
pub fn choose(links: &[LinkView], in_use: ActiveSet) -> ActiveSet {
    let used = |l: &LinkView| in_use.copies.contains(l.link);
    let up = || links.iter().filter(|l| l.state == LinkState::Up);
    // A working link in use is left only for a link that has proven stable.
    let leave_alone = up().any(used);
    let candidates = || up().filter(|l| !leave_alone || l.settled || used(l));
    let Some(first) = candidates().max_by_key(rank) else {
        return last_resort(links);
    };
    let mut copies = LinkSet::of(first.link);
    let doubted = those(links, |l| l.mirror && used(l));
    if !doubted.is_empty()
        && !first.fresh
        && let Some(second) = candidates().filter(|l| l.link != first.link).max_by_key(rank)
    {
        copies = copies.with(second.link);
    }
    ActiveSet {
        copies: copies.union(doubted),
        rotation: LinkSet::EMPTY,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "max_by_key gives it so")]
fn rank(l: &&LinkView) -> (bool, u8, Reverse<LinkId>) {
    (l.fresh, l.priority, Reverse(l.link))
}

#[cfg(test)]
mod tests {
    use super::super::test_views::{set, view};
    use super::*;
    use LinkState::{Probing, Suspect, Up};

    fn using(links: &[u8]) -> ActiveSet {
        ActiveSet {
            copies: set(links),
            rotation: LinkSet::EMPTY,
        }
    }

    #[test]
    fn priority_then_lowest_id() {
        let links = [view(0, Up, 100), view(1, Up, 200), view(2, Up, 200)];
        assert_eq!(choose(&links, using(&[])), using(&[1]));
    }

    #[test]
    fn no_link_no_set() {
        assert!(choose(&[], using(&[0])).is_empty());
    }

    #[test]
    fn a_link_in_doubt_is_mirrored_on_the_best_other() {
        let links = [view(0, Suspect, 200), view(1, Up, 100)];
        assert_eq!(choose(&links, using(&[0])), using(&[0, 1]));
        let links = [view(0, Suspect, 200), view(1, Up, 100), view(2, Up, 50)];
        assert_eq!(
            choose(&links, using(&[1])),
            using(&[1]),
            "a doubted standby is no concern"
        );
    }

    #[test]
    fn until_a_stand_in_has_answered_there_are_two() {
        let links = [
            view(0, Suspect, 200),
            view(1, Up, 100),
            view(2, Up, 50),
            view(3, Up, 20),
        ];
        assert_eq!(choose(&links, using(&[0])), using(&[0, 1, 2]));
        let mut answered = view(1, Up, 100);
        answered.fresh = true;
        let links = [view(0, Suspect, 200), answered, view(2, Up, 50)];
        assert_eq!(choose(&links, using(&[0])), using(&[0, 1]));
    }

    #[test]
    fn the_better_link_must_settle_before_it_takes_over() {
        let mut back = view(0, Up, 200);
        back.settled = false;
        assert_eq!(choose(&[back, view(1, Up, 100)], using(&[1])), using(&[1]));
        assert_eq!(
            choose(&[view(0, Up, 200), view(1, Up, 100)], using(&[1])),
            using(&[0])
        );
        assert_eq!(
            choose(&[back, view(1, Suspect, 100)], using(&[1])),
            using(&[0, 1]),
            "but not when needed"
        );
    }

    #[test]
    fn a_stand_in_that_has_just_answered_is_better_than_one_that_has_not() {
        let mut answered = view(2, Up, 50);
        answered.fresh = true;
        let links = [view(0, Suspect, 200), view(1, Up, 100), answered];
        assert_eq!(choose(&links, using(&[0])), using(&[0, 2]));
    }

    #[test]
    fn without_a_link_that_is_up_everything_that_may_work_is_tried() {
        let mut answers = view(1, Probing, 200);
        answers.answers = true;
        assert_eq!(
            choose(&[view(0, Probing, 100), view(1, Probing, 200)], using(&[])),
            using(&[0, 1])
        );
        assert_eq!(
            choose(&[view(0, Suspect, 100), view(2, Probing, 9)], using(&[0])),
            using(&[0])
        );
        assert_eq!(
            choose(&[view(0, Suspect, 100), answers], using(&[0])),
            using(&[0, 1])
        );
    }
}
