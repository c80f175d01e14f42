//! Adaptive: one link at a time, the one that measures best.
//!
//! What counts is the round trip, and loss as if it were delay: [`DELAY_PER_PERCENT`] for each percent. The link in use
//! is left only for one that has been better for [`PATIENCE`] by a fifth *and* by 5 ms: measurements waver, and every
//! change costs a moment of disorder.

use super::{ActiveSet, LinkView, LinkViews, passive};
use crate::{
    ids::LinkId,
    status::LinkState,
    time::{Span, Time},
};

/// What a percent of loss is worth.
const DELAY_PER_PERCENT: Span = Span::from_millis(10);
/// How long another link must be better.
const PATIENCE: Span = Span::from_secs(10);
/// By how much at least.
const LEAST_GAIN: Span = Span::from_millis(5);

/// The link that measures better than the one in use, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Candidate {
    better: Option<(LinkId, Time)>,
}

impl Candidate {
    /// The link in use until another has been better for long enough; everything else is as under `passive`.
    pub fn choose(&mut self, now: Time, links: &[LinkView], in_use: ActiveSet) -> ActiveSet {
        let up = || links.iter().filter(|l| l.state == LinkState::Up);
        let used = up().find(|l| in_use.copies.contains(l.link));
        let best = up().min_by_key(|l| (badness(l), l.link));
        let preferred = match (used, best) {
            (Some(used), Some(best)) if is_better(best, used) => {
                let since = match self.better {
                    Some((link, since)) if link == best.link => since,
                    _ => now,
                };
                self.better = Some((best.link, since));
                if now.since(since) >= PATIENCE {
                    self.better = None;
                    best.link
                } else {
                    used.link
                }
            }
            (Some(used), _) => {
                self.better = None;
                used.link
            }
            (None, best) => {
                // Whatever was better than it: a time that has passed must not stay behind as a deadline.
                self.better = None;
                let Some(best) = best else {
                    return passive::choose(links, in_use);
                };
                best.link
            }
        };
        // What passive does about doubt is right here, too: only the order of preference is another one.
        let ranked = links.iter().map(|l| LinkView {
            priority: if l.link == preferred {
                u8::MAX
            } else {
                254 - (badness(l).as_millis() / 4).min(254) as u8
            },
            settled: l.settled || l.link == preferred,
            ..*l
        });
        passive::choose(&ranked.collect::<LinkViews>(), in_use)
    }

    /// When the decision may be another one although nothing has happened.
    pub fn deadline(&self) -> Option<Time> {
        self.better.map(|(_, since)| since + PATIENCE)
    }
}

fn badness(link: &LinkView) -> Span {
    let loss = Span::from_nanos(DELAY_PER_PERCENT.as_nanos() / 10_000 * u64::from(link.loss_ppm));
    link.rtt.unwrap_or(Span::from_secs(1)) + loss
}

fn is_better(one: &LinkView, other: &LinkView) -> bool {
    let (good, bad) = (badness(one), badness(other));
    one.link != other.link && good + bad.divided_by(5) <= bad && good + LEAST_GAIN <= bad
}

#[cfg(test)]
mod tests {
    use super::super::test_views::{set, view};
    use super::*;
    use LinkState::{Suspect, Up};

    fn link(id: u8, rtt_ms: u64, loss_ppm: u32) -> LinkView {
        LinkView {
            rtt: Some(Span::from_millis(rtt_ms)),
            loss_ppm,
            ..view(id, Up, 100)
        }
    }

    fn at(secs: u64) -> Time {
        Time::from_nanos(secs * 1_000_000_000)
    }

    fn using(links: &[u8]) -> ActiveSet {
        ActiveSet {
            copies: set(links),
            ..ActiveSet::default()
        }
    }

    #[test]
    fn the_first_choice_is_the_nearest_link() {
        let links = [link(0, 40, 0), link(1, 7, 0), link(2, 200, 0)];
        assert_eq!(
            Candidate::default().choose(at(1), &links, using(&[])),
            using(&[1])
        );
    }

    #[test]
    fn a_link_that_is_better_for_ten_seconds_takes_over() {
        let mut c = Candidate::default();
        let links = [link(0, 40, 0), link(1, 7, 0)];
        assert_eq!(c.choose(at(1), &links, using(&[0])), using(&[0]));
        assert_eq!(c.deadline(), Some(at(11)));
        assert_eq!(c.choose(at(10), &links, using(&[0])), using(&[0]));
        assert_eq!(c.choose(at(11), &links, using(&[0])), using(&[1]));
        assert_eq!(c.choose(at(12), &links, using(&[1])), using(&[1]));
        assert_eq!(c.deadline(), None);
    }

    #[test]
    fn nothing_is_awaited_once_the_link_in_use_is_gone() {
        let links = [link(0, 40, 0), link(1, 7, 0)];
        for left in [&links[1..], &[]] {
            let mut c = Candidate::default();
            c.choose(at(1), &links, using(&[0]));
            assert_eq!(c.deadline(), Some(at(11)));
            c.choose(at(2), left, using(&[0]));
            assert_eq!(
                c.deadline(),
                None,
                "a timer set for the past would fire without end"
            );
        }
        let mut c = Candidate::default();
        c.choose(at(1), &links, using(&[0]));
        super::super::choose(
            crate::config::PolicyKind::Passive,
            at(2),
            &links,
            using(&[0]),
            &mut c,
        );
        assert_eq!(c.deadline(), None, "nor under another policy");
    }

    #[test]
    fn a_moment_of_weakness_begins_the_time_anew() {
        let mut c = Candidate::default();
        c.choose(at(1), &[link(0, 40, 0), link(1, 7, 0)], using(&[0]));
        c.choose(at(8), &[link(0, 40, 0), link(1, 38, 0)], using(&[0]));
        let links = [link(0, 40, 0), link(1, 7, 0)];
        assert_eq!(c.choose(at(9), &links, using(&[0])), using(&[0]));
        assert_eq!(c.choose(at(12), &links, using(&[0])), using(&[0]));
        assert_eq!(c.choose(at(19), &links, using(&[0])), using(&[1]));
    }

    #[test]
    fn small_differences_are_no_reason() {
        for (a, b) in [(10, 6), (100, 85), (40, 36)] {
            let mut c = Candidate::default();
            let links = [link(0, a, 0), link(1, b, 0)];
            c.choose(at(1), &links, using(&[0]));
            assert_eq!(
                c.choose(at(100), &links, using(&[0])),
                using(&[0]),
                "{a} and {b} ms"
            );
        }
    }

    #[test]
    fn loss_counts_as_delay() {
        let links = [link(0, 5, 30_000), link(1, 20, 0)];
        assert_eq!(
            Candidate::default().choose(at(1), &links, using(&[])),
            using(&[1])
        );
    }

    #[test]
    fn doubt_is_met_as_under_passive() {
        let mut doubted = link(0, 5, 0);
        doubted.state = Suspect;
        doubted.mirror = true;
        let links = [doubted, link(1, 50, 0), link(2, 20, 0), link(3, 30, 0)];
        assert_eq!(
            Candidate::default().choose(at(1), &links, using(&[0])),
            using(&[0, 2, 3])
        );
    }
}
