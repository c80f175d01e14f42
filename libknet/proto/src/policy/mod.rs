//! Policies: which links the next frame goes out on.
//!
//! A policy sees what is known of the links and never a frame. It is asked only when something about a link
//! has changed; between two changes its answer is used as it is.

pub mod active;
pub mod adaptive;
pub mod flow_hash;
pub mod passive;
pub mod round_robin;

use alloc::borrow::Cow;

use crate::{
    config::PolicyKind,
    ids::{LinkId, LinkSet},
    status::LinkState,
    time::{Span, Time},
};
use adaptive::Candidate;

/// What a policy may know of a link.
#[derive(Clone, Copy, Debug)]
pub struct LinkView {
    /// Which.
    pub link: LinkId,
    /// State of its sending side. Links in a state below [`LinkState::Probing`], or without an address to
    /// send to, are not shown.
    pub state: LinkState,
    /// The highest wins under `passive`.
    pub priority: u8,
    /// Whether it has been up long enough (or was never down) to take over from a link that works.
    pub settled: bool,
    /// Whether it has been proven to work within the last two seconds.
    pub warm: bool,
    /// It has answered since the link in use came into doubt: not just a guess, but known to work now.
    pub fresh: bool,
    /// A probe of it has been answered, if it is being probed.
    pub answers: bool,
    /// In doubt, and for so short a time that frames are still mirrored on it.
    pub mirror: bool,
    /// It exceeds its limits of loss or delay.
    pub poor: bool,
    /// Smoothed round-trip time.
    pub rtt: Option<Span>,
    /// Share of what is sent that does not arrive, in parts per million.
    pub loss_ppm: u32,
}

/// The decision: how frames go out until something changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActiveSet {
    /// Each frame goes out on every one of these.
    pub copies: LinkSet,
    /// And on one of these, in turn by weight. Empty but for round-robin.
    pub rotation: LinkSet,
}

impl ActiveSet {
    /// Every link that frames may go out on.
    pub fn all(self) -> impl Iterator<Item = LinkId> {
        LinkId::all().filter(move |l| self.copies.contains(*l) || self.rotation.contains(*l))
    }

    /// Whether no frame can go out.
    pub const fn is_empty(self) -> bool {
        self.copies.is_empty() && self.rotation.is_empty()
    }
}

/// Asks the policy. `in_use` is its last answer: links that work are not left without need. `candidate` is what
/// `adaptive` remembers.
pub fn choose(
    kind: PolicyKind,
    now: Time,
    links: &[LinkView],
    in_use: ActiveSet,
    candidate: &mut Candidate,
) -> ActiveSet {
    let links = &without_poor(links)[..];
    if kind != PolicyKind::Adaptive {
        *candidate = Candidate::default();
    }
    match kind {
        PolicyKind::Passive => passive::choose(links, in_use),
        PolicyKind::Active => active::choose(links),
        PolicyKind::RoundRobin => round_robin::choose(links),
        PolicyKind::FlowHash => flow_hash::choose(links),
        PolicyKind::Adaptive => candidate.choose(now, links, in_use),
    }
}

/// The links but the poor ones, if one is up that is not: a poor link is better than none.
fn without_poor(links: &[LinkView]) -> Cow<'_, [LinkView]> {
    let good_is_up = links.iter().any(|l| !l.poor && l.state == LinkState::Up);
    if good_is_up && links.iter().any(|l| l.poor) {
        links.iter().filter(|l| !l.poor).copied().collect()
    } else {
        Cow::Borrowed(links)
    }
}

/// Where no link is up: every one that may work, rather than one that may not. Links in doubt, and links that
/// answer although they are not trusted yet; if there are none, whatever is being probed.
fn last_resort(links: &[LinkView]) -> ActiveSet {
    let collect = |take: &dyn Fn(&LinkView) -> bool| {
        links
            .iter()
            .filter(|l| take(l))
            .fold(LinkSet::EMPTY, |set, l| set.with(l.link))
    };
    let mut copies = collect(&|l| l.state == LinkState::Suspect || l.answers);
    if copies.is_empty() {
        copies = collect(&|_| true);
    }
    ActiveSet {
        copies,
        rotation: LinkSet::EMPTY,
    }
}

#[cfg(test)]
pub(crate) mod test_views {
    use super::*;

    pub(crate) fn view(link: u8, state: LinkState, priority: u8) -> LinkView {
        LinkView {
            link: LinkId::new(link).expect("a link id"),
            state,
            priority,
            settled: true,
            warm: true,
            fresh: false,
            answers: false,
            mirror: state == LinkState::Suspect,
            poor: false,
            rtt: None,
            loss_ppm: 0,
        }
    }

    pub(crate) fn set(links: &[u8]) -> LinkSet {
        links
            .iter()
            .fold(LinkSet::EMPTY, |s, l| s.with(LinkId::new(*l).expect("a link id")))
    }
}

#[cfg(test)]
mod tests {
    use super::test_views::{set, view};
    use super::*;

    #[test]
    fn a_poor_link_is_avoided_while_another_is_up() {
        let choose = |links: &[LinkView]| {
            let none = ActiveSet::default();
            choose(
                PolicyKind::Passive,
                Time::ZERO,
                links,
                none,
                &mut Candidate::default(),
            )
            .copies
        };
        let poor = LinkView {
            poor: true,
            ..view(0, LinkState::Up, 200)
        };
        assert_eq!(choose(&[poor, view(1, LinkState::Up, 1)]), set(&[1]));
        assert_eq!(choose(&[poor, view(1, LinkState::Probing, 1)]), set(&[0]));
        assert_eq!(choose(&[poor]), set(&[0]));
    }
}
