//! Active: the same bytes on every link. The receiver's replay window keeps the first copy and drops the
//! others before it decrypts them. No link has to be judged for nothing to be lost.

use super::{ActiveSet, LinkView};
use crate::{ids::LinkSet, status::LinkState};

/// All links that are up or in doubt; where there are none, the ones being probed.
pub fn choose(links: &[LinkView]) -> ActiveSet {
    let take = |least: LinkState| {
        links
            .iter()
            .filter(|l| l.state >= least)
            .fold(LinkSet::EMPTY, |set, l| set.with(l.link))
    };
    let mut copies = take(LinkState::Suspect);
    if copies.is_empty() {
        copies = take(LinkState::Probing);
    }
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
        assert_eq!(choose(&links).copies, set(&[0, 3]));
        assert_eq!(choose(&links[2..]).copies, set(&[5]));
        assert!(choose(&[]).is_empty());
    }
}
