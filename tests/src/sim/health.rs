//! How the world really was: which ways were good, and for how long. Many rules hold only where one was.

use std::collections::BTreeMap;

use knet_proto::time::{Span, Time};

use super::network::{Channel, Network};

/// A link that has been good for so long is known to be good by both ends.
pub(super) const SETTLE: Span = Span::from_secs(5);
/// What a frame needs at most to arrive where it has to go out again over another link.
pub(super) const GRACE: Span = Span::from_secs(3);
/// Hosts that have been running for so long have a session, whatever happened before.
const ALIVE: Span = Span::from_secs(10);
/// Frames for a host that has moved go to its old address until the new one is validated.
const ROAM_GRACE: Span = Span::from_secs(1);
/// What is too long for a path that has shrunk is lost until that has been noticed.
const MTU_GRACE: Span = Span::from_secs(10);

/// Times at which something was true.
#[derive(Debug, Default)]
struct Spells {
    past: Vec<(Time, Time)>,
    since: Option<Time>,
}

impl Spells {
    fn set(&mut self, now: Time, holds: bool) {
        match (self.since, holds) {
            (None, true) => self.since = Some(now),
            (Some(since), false) => {
                self.past.push((since, now));
                self.since = None;
            }
            _ => {}
        }
    }

    fn begin_again(&mut self, now: Time) {
        self.set(now, false);
    }

    fn covers(&self, from: Time, to: Time) -> bool {
        if self.since.is_some_and(|since| since <= from) {
            return true;
        }
        let after = self.past.partition_point(|(begin, _)| *begin <= from);
        after > 0 && self.past[after - 1].1 >= to
    }

    fn held_for(&self, now: Time) -> Span {
        self.since.map_or(Span::ZERO, |since| now.since(since))
    }
}

/// What a link was when it was last looked at.
type Look = (Channel, Channel, [std::net::SocketAddr; 2]);

#[derive(Debug, Default)]
struct Pair {
    /// Per link: nothing was lost in either direction, and nothing changed.
    good: Vec<(Option<Look>, Spells)>,
    /// No link lost anything at random: each worked, or did not.
    clean: Spells,
    /// Both hosts were running, and knew each other.
    alive: Spells,
    /// Both had a session with the other.
    session: Spells,
    dirty_until: Time,
    /// Per link and direction: since when it has been cut.
    cut: Vec<[Option<Time>; 2]>,
    /// Cuts that were over before anybody could notice: what they took is what a working link loses.
    blinks: Vec<(Time, Time)>,
}

/// What the two hosts of a pair say.
#[derive(Debug)]
pub(super) struct Seen {
    /// Both run, and know each other.
    pub(super) alive: bool,
    /// Both have a session with the other.
    pub(super) session: bool,
    /// What a dead link took along goes out again over one other link, whether that has answered lately or not.
    pub(super) one_stand_in: bool,
    /// All their links.
    pub(super) links: Vec<SeenLink>,
}

/// What they say of a link.
#[derive(Debug)]
pub(super) struct SeenLink {
    /// Neither believes that its carrier is gone.
    pub(super) working: bool,
    /// If it died under load, that would be noticed in this time.
    pub(super) noticed_within: Span,
}

/// The history of all pairs of hosts that are peers of each other, the smaller number first.
#[derive(Debug, Default)]
pub(super) struct Health(BTreeMap<(usize, usize), Pair>);

impl Health {
    /// Looks at the networks. To be called whenever something may have been done to them or to a host.
    pub(super) fn look(&mut self, now: Time, (a, b): (usize, usize), network: &Network, seen: &Seen) {
        let pair = self.0.entry((a, b)).or_default();
        let links = seen.links.len();
        pair.good.resize_with(links, Default::default);
        pair.cut.resize_with(links, Default::default);
        pair.alive.set(now, seen.alive);
        pair.session.set(now, seen.session);
        let mut clean = true;
        // When the load of a link that was cut last may have come to another one.
        let moved = [0, 1].map(|way| pair.cut.iter().filter_map(|cuts| cuts[way]).max());
        for (l, link) in (0..).zip(&seen.links) {
            let (forth, back) = (network.state(l, a, b), network.state(l, b, a));
            let look = (forth, back, [network.address(a, l), network.address(b, l)]);
            let (before, spells) = &mut pair.good[usize::from(l)];
            let last = before.replace(look);
            if last.is_some_and(|last| last != look) {
                spells.begin_again(now);
            }
            if last.is_some_and(|(f, b, _)| forth.mtu < f.mtu || back.mtu < b.mtu) {
                pair.dirty_until = now + MTU_GRACE;
            }
            let away = |look: &Look| [a, b].map(|n| look.2[usize::from(n == b)] != Network::home(n, l));
            // Where both ends have moved neither finds the other.
            let lost = |look: &Look| away(look) == [true; 2];
            if last.is_some_and(|last| last.2 != look.2 && !lost(&look)) {
                pair.blinks.push((now, now + ROAM_GRACE));
            }
            for ((since, way), moved) in pair.cut[usize::from(l)]
                .iter_mut()
                .zip([&forth, &back])
                .zip(moved)
            {
                if way.cut || lost(&look) {
                    since.get_or_insert(now);
                } else if let Some(since) = since.take() {
                    let moved = moved.filter(|at| seen.one_stand_in && *at > since);
                    // The other one was noticed first.
                    let unnoticed = match moved {
                        Some(at) => now.since(at) < link.noticed_within.times(2),
                        None => now.since(since) < link.noticed_within,
                    };
                    if unnoticed {
                        pair.blinks.push((moved.unwrap_or(since), now));
                    }
                }
            }
            let faithful = |c: &Channel| c.is_faithful() || c.cut;
            clean &= faithful(&forth) && faithful(&back);
            let works = !lost(&look) && forth.is_faithful() && back.is_faithful() && !forth.cut && !back.cut;
            spells.set(now, works && link.working);
        }
        pair.clean.set(now, clean && now >= pair.dirty_until);
    }

    /// A session between the two has ended, or another process has begun one.
    pub(super) fn session_ended(&mut self, now: Time, a: usize, b: usize) {
        if let Some(pair) = self.0.get_mut(&(a.min(b), a.max(b))) {
            pair.session.begin_again(now);
        }
    }

    /// The process of a host has died, or its peers have been changed.
    pub(super) fn host_changed(&mut self, now: Time, host: usize) {
        for ((a, b), pair) in &mut self.0 {
            if *a == host || *b == host {
                pair.alive.begin_again(now);
                pair.session.begin_again(now);
            }
        }
    }

    /// Forgets what is over. To be called when nothing is on its way.
    pub(super) fn forget(&mut self) {
        for pair in self.0.values_mut() {
            let others = [&mut pair.clean, &mut pair.alive, &mut pair.session];
            let spells = pair.good.iter_mut().map(|(_, spells)| spells).chain(others);
            spells.for_each(|spells| spells.past = Vec::new());
            pair.blinks = Vec::new();
        }
    }

    /// Whether a frame that left then had to arrive, whichever links died around that time.
    pub(super) fn must_arrive(&self, a: usize, b: usize, sent: Time) -> bool {
        let Some(pair) = self.0.get(&(a.min(b), a.max(b))) else {
            return false;
        };
        let (before, after) = (sent - SETTLE, sent + GRACE);
        if pair.blinks.iter().any(|(from, to)| *from <= sent && sent <= *to) {
            return false;
        }
        pair.clean.covers(sent - Span::from_secs(2), after)
            && pair.alive.covers(sent - ALIVE, after)
            && pair.session.covers(before, after)
            && pair.good.iter().any(|(_, spells)| spells.covers(before, after))
    }

    /// Whether there has been a way between the two that nothing was wrong with, for `span`, and both were running.
    pub(super) fn had_a_way(&self, now: Time, a: usize, b: usize, span: Span) -> bool {
        self.0.get(&(a.min(b), a.max(b))).is_some_and(|pair| {
            pair.alive.held_for(now) >= span && pair.good.iter().any(|(_, s)| s.held_for(now) >= span)
        })
    }

    /// Whether nothing has been wrong with this link for a while, nor with its ends.
    pub(super) fn was_good(&self, now: Time, a: usize, b: usize, link: usize) -> bool {
        self.0.get(&(a.min(b), a.max(b))).is_some_and(|pair| {
            pair.alive.held_for(now) >= ALIVE
                && pair.session.held_for(now) >= SETTLE
                && pair
                    .good
                    .get(link)
                    .is_some_and(|(_, s)| s.held_for(now) >= SETTLE)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Time {
        Time::from_nanos(s * 1_000_000_000)
    }

    #[test]
    fn spells_know_what_they_cover() {
        let mut spells = Spells::default();
        for (time, holds) in [
            (1, true),
            (5, false),
            (7, true),
            (7, false),
            (9, true),
            (10, true),
        ] {
            spells.set(at(time), holds);
        }
        assert!(spells.covers(at(1), at(5)) && spells.covers(at(2), at(4)));
        assert!(!spells.covers(at(0), at(2)) && !spells.covers(at(2), at(6)) && !spells.covers(at(6), at(7)));
        assert!(spells.covers(at(9), at(99)), "it still holds");
        assert!(!spells.covers(at(8), at(9)));
        spells.begin_again(at(12));
        spells.set(at(13), true);
        assert!(!spells.covers(at(11), at(14)));
    }
}
