//! Active: the same bytes on every link. The receiver's replay window keeps the first copy and drops the
//! others before it decrypts them. No link has to be judged for nothing to be lost.

use super::{ActiveSet, LinkView, those};
use crate::{ids::LinkSet, status::LinkState};

/// All links that answer at all, even the ones that are held down after flapping: a copy costs little, and it
/// may be the only one that arrives.
pub fn choose(links: &[LinkView]) -> ActiveSet {
    let copies = those(links, |l| l.state >= LinkState::Probing);
    ActiveSet {
        copies,
        rotation: LinkSet::EMPTY,
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_views::{set, view};
    use super::*;
    use LinkState::{Probing, Suspect, Up};

    #[test]
    fn every_link_that_may_work() {
        let links = [view(0, Up, 1), view(3, Suspect, 1), view(5, Probing, 1)];
        assert_eq!(choose(&links).copies, set(&[0, 3, 5]));
        assert!(choose(&[]).is_empty());
    }
}
