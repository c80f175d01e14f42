//! Policies: which links the next frame goes out on.
//!
//! A policy sees what is known of the links and never a frame. It is asked only when something about a link
//! has changed; between two changes its answer is used as it is.

pub mod active;
pub mod adaptive;
pub mod flow_hash;
pub mod passive;
pub mod round_robin;

use core::ops::Deref;

use crate::{
    config::PolicyKind,
    ids::{LinkId, LinkSet, MAX_LINKS},
    status::LinkState,
    time::{Span, Time},
};
use adaptive::Candidate;

/// What a policy may know of a link.
#[derive(Clone, Copy, Debug, Default)]
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
    /// It has answered since the link in use came into doubt: not just a guess, but known to work now.
    pub fresh: bool,
    /// A probe of it has been answered, if it is being probed.
    pub answers: bool,
    /// In doubt, and for so short a time that frames are still mirrored on it.
    pub mirror: bool,
    /// It exceeds its limits of loss or delay.
    pub poor: bool,
    /// It is used only while no link that costs less can be.
    pub cost: u8,
    /// Smoothed round-trip time.
    pub rtt: Option<Span>,
    /// Share of what is sent that does not arrive, in parts per million.
    pub loss_ppm: u32,
}

/// The links that a policy is shown, at most [`MAX_LINKS`]. In place: whenever a timer of the peer fires there are new
/// ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkViews {
    views: [LinkView; MAX_LINKS],
    len: usize,
}

impl FromIterator<LinkView> for LinkViews {
    fn from_iter<I: IntoIterator<Item = LinkView>>(links: I) -> Self {
        let mut all = Self::default();
        for (place, link) in all.views.iter_mut().zip(links) {
            *place = link;
            all.len += 1;
        }
        all
    }
}

impl Deref for LinkViews {
    type Target = [LinkView];

    fn deref(&self) -> &[LinkView] {
        self.views.get(..self.len).unwrap_or_default()
    }
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
        LinkId::all().filter(move |l| self.contains(*l))
    }

    /// Whether frames may go out on `link`.
    pub const fn contains(self, link: LinkId) -> bool {
        self.copies.contains(link) || self.rotation.contains(link)
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
    let links = &without_dear(&without_poor(links), in_use);
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
fn without_poor(links: &[LinkView]) -> LinkViews {
    let good_is_up = links.iter().any(|l| !l.poor && l.state == LinkState::Up);
    let shown = |l: &&LinkView| !good_is_up || !l.poor;
    links.iter().filter(shown).copied().collect()
}

/// Of the links that are up only those of the least cost. A cheaper one that has come back is not shown before it has
/// settled, as long as one in use works; one in use that has come into doubt is shown, for frames to be mirrored on it.
fn without_dear(links: &[LinkView], in_use: ActiveSet) -> LinkViews {
    let used = |l: &LinkView| in_use.contains(l.link);
    let up = || links.iter().filter(|l| l.state == LinkState::Up);
    let leave_alone = up().any(used);
    let can_be_used = |l: &&LinkView| !leave_alone || l.settled || used(l);
    let least = up().filter(can_be_used).map(|l| l.cost).min();
    let affordable = |l: &LinkView, least: u8| l.cost == least || l.cost < least && l.state != LinkState::Up;
    let shown = |l: &&LinkView| least.is_none_or(|least| affordable(l, least)) || l.mirror && used(l);
    links.iter().filter(shown).copied().collect()
}

/// The links that are like this.
fn those(links: &[LinkView], like: impl Fn(&LinkView) -> bool) -> LinkSet {
    links.iter().filter(|l| like(l)).map(|l| l.link).collect()
}

/// Where no link is up: every one that may work, rather than one that may not. Links in doubt, and links that
/// answer although they are not trusted yet; if there are none, whatever is being probed.
fn last_resort(links: &[LinkView]) -> ActiveSet {
    let mut copies = those(links, |l| l.state == LinkState::Suspect || l.answers);
    if copies.is_empty() {
        copies = those(links, |_| true);
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
            fresh: false,
            answers: false,
            mirror: state == LinkState::Suspect,
            poor: false,
            cost: 0,
            rtt: None,
            loss_ppm: 0,
        }
    }

    pub(crate) fn set(links: &[u8]) -> LinkSet {
        links
            .iter()
            .map(|l| LinkId::new(*l).expect("a link id"))
            .collect()
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

    fn costs(cost: u8, view: LinkView) -> LinkView {
        LinkView { cost, ..view }
    }

    /// The links that frames go out on under each policy, in the order of [`POLICIES`].
    fn chosen(links: &[LinkView], in_use: &[u8]) -> [LinkSet; 5] {
        POLICIES.map(|kind| {
            let shared = matches!(kind, PolicyKind::RoundRobin | PolicyKind::FlowHash);
            let used = if shared {
                ActiveSet {
                    rotation: set(in_use),
                    ..ActiveSet::default()
                }
            } else {
                ActiveSet {
                    copies: set(in_use),
                    ..ActiveSet::default()
                }
            };
            let s = choose(kind, Time::ZERO, links, used, &mut Candidate::default());
            s.copies.union(s.rotation)
        })
    }

    const POLICIES: [PolicyKind; 5] = [
        PolicyKind::Passive,
        PolicyKind::Adaptive,
        PolicyKind::Active,
        PolicyKind::RoundRobin,
        PolicyKind::FlowHash,
    ];

    fn one_or_all(one: &[u8], all: &[u8]) -> [LinkSet; 5] {
        [set(one), set(one), set(all), set(all), set(all)]
    }

    #[test]
    fn only_the_cheapest_links_that_are_up_are_used() {
        use LinkState::{Down, Probing, Up};
        let dear = costs(10, view(0, Up, 255));
        let (a, b) = (view(1, Up, 100), view(2, Up, 50));
        assert_eq!(chosen(&[dear, a, b], &[]), one_or_all(&[1], &[1, 2]));
        assert_eq!(
            chosen(&[dear, a, b], &[0]),
            one_or_all(&[1], &[1, 2]),
            "one that works is left for a cheaper one"
        );
        let dearer = costs(20, view(3, Up, 255));
        assert_eq!(chosen(&[dearer, dear], &[]), one_or_all(&[0], &[0]));
        let probed = view(1, Probing, 100);
        let [passive, adaptive, active, round_robin, flow_hash] = chosen(&[dear, dearer, probed], &[]);
        assert_eq!([passive, adaptive, round_robin, flow_hash], [set(&[0]); 4]);
        assert_eq!(active, set(&[0, 1]), "a copy on a cheap link costs nothing");
        assert_eq!(chosen(&[dear, view(1, Down, 9)], &[]), one_or_all(&[0], &[0]));
    }

    #[test]
    fn a_cheap_link_in_doubt_is_mirrored_on_a_dear_one() {
        let dear = costs(10, view(0, LinkState::Up, 255));
        let doubted = view(1, LinkState::Suspect, 100);
        assert_eq!(chosen(&[dear, doubted], &[1]), [set(&[0, 1]); 5]);
        let other = view(2, LinkState::Up, 50);
        assert_eq!(
            chosen(&[dear, doubted, other], &[1]),
            [set(&[1, 2]); 5],
            "but not while there is another cheap one"
        );
    }

    #[test]
    fn a_cheap_link_that_comes_back_must_settle_first() {
        let dear = costs(10, view(0, LinkState::Up, 100));
        let back = LinkView {
            settled: false,
            ..view(1, LinkState::Up, 100)
        };
        assert_eq!(chosen(&[dear, back], &[0]), [set(&[0]); 5]);
        assert_eq!(
            chosen(&[dear, back], &[]),
            [set(&[1]); 5],
            "nothing else is in use"
        );
        let settled = LinkView {
            settled: true,
            ..back
        };
        assert_eq!(chosen(&[dear, settled], &[0]), [set(&[1]); 5]);
        let doubted = costs(10, view(0, LinkState::Suspect, 100));
        assert_eq!(chosen(&[doubted, back], &[0]), [set(&[0, 1]); 5]);
    }

    #[test]
    fn a_poor_cheap_link_gives_way_to_a_dear_one() {
        let poor = LinkView {
            poor: true,
            ..view(0, LinkState::Up, 100)
        };
        let dear = costs(1, view(1, LinkState::Up, 100));
        assert_eq!(chosen(&[poor, dear], &[0]), [set(&[1]); 5]);
        assert_eq!(
            chosen(&[poor, LinkView { poor: true, ..dear }], &[1]),
            [set(&[0]); 5]
        );
    }

    #[test]
    fn where_nothing_is_up_dear_links_are_tried_as_well() {
        let dear = costs(10, view(0, LinkState::Probing, 100));
        assert_eq!(
            chosen(&[dear, view(1, LinkState::Probing, 1)], &[]),
            [set(&[0, 1]); 5]
        );
    }
}
