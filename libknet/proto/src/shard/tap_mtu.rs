//! The MTU of the TAP: given, or following the paths (`mtu auto`).
//!
//! There is one for all peers: what passes whole on the narrowest of the links in use whose path has been measured.
//! It falls when that has been too little for half a second, which is when a search for what passes instead has
//! mostly found it: nothing is lost meanwhile, frames that are too long go in pieces. It rises when there has been
//! room for a minute, because each change has to be learned by every connection.

use alloc::{collections::BTreeSet, vec::Vec};

use super::{Shard, env, outbox::TapMtuWish};
use crate::{
    config::TapMtu,
    ids::PeerId,
    peer::path_mtu::Narrowest,
    time::{Span, Time},
};

/// IPv6 needs this in the overlay (RFC 8200 section 5).
const MIN: u16 = 1_280;
/// Jumbo frames; the largest that can be configured.
const MAX: u16 = 9_216;
/// How long it has been too much before it is lowered.
const LOWER_AFTER: Span = Span::from_millis(500);
/// How long there has been room for more before it is raised.
const RAISE_AFTER: Span = Span::from_secs(60);
/// In so long a path that has been found to carry more is searched to the end. What it carries meanwhile is no measure.
const SEARCH: Span = Span::from_secs(5);
/// A wish that was not fulfilled is repeated then.
const ASK_AGAIN: Span = Span::from_secs(60);

/// What the MTU of the TAP is to be, by what the paths to the peers carry. Nothing is ever searched for: the
/// narrowest peer is the first of an ordered set.
#[derive(Debug)]
pub struct AutoMtu {
    /// The largest that makes sense.
    largest: u16,
    /// By peer, the longest IP packet that its narrowest link carries whole; 0: nothing has been measured.
    carries: Vec<u16>,
    /// The same in order.
    narrowest: BTreeSet<(u16, PeerId)>,
    /// Something measured was followed before.
    follows: bool,
    change: Option<Change>,
    /// What was asked for and is not so yet, and when it may be asked for again.
    asked: Option<(u16, Time)>,
}

/// A change to come.
#[derive(Clone, Copy, Debug)]
struct Change {
    at: Time,
    to: u16,
    /// To more, after something measured.
    raise: bool,
}

impl AutoMtu {
    /// Nothing has been measured. No frame is longer than `max_frame`.
    pub fn new(max_frame: u16) -> Self {
        Self {
            largest: MAX.min(max_frame.saturating_sub(env::ETHERNET)).max(MIN),
            carries: Vec::new(),
            narrowest: BTreeSet::new(),
            follows: false,
            change: None,
            asked: None,
        }
    }

    /// The largest that it can become.
    pub const fn largest(&self) -> u16 {
        self.largest
    }

    /// The peer with the narrowest link.
    pub fn limiting(&self) -> Option<PeerId> {
        self.narrowest.first().map(|(_, peer)| *peer)
    }

    /// The narrowest measured link in use to `peer` carries this. Returns whether that is news.
    pub fn note(&mut self, peer: PeerId, carries: Option<u16>) -> bool {
        let (index, carries) = (usize::from(peer.0), carries.unwrap_or(0));
        if index >= self.carries.len() {
            if carries == 0 {
                return false;
            }
            self.carries.resize(index + 1, 0);
        }
        let Some(known) = self.carries.get_mut(index) else {
            return false;
        };
        let before = core::mem::replace(known, carries);
        if before == carries {
            return false;
        }
        self.narrowest.remove(&(before, peer));
        if carries != 0 {
            self.narrowest.insert((carries, peer));
        }
        true
    }

    /// Something has changed, and the TAP has this MTU.
    pub fn follow(&mut self, now: Time, tap_mtu: u16) {
        if self.asked.is_some_and(|(to, _)| to == tap_mtu) {
            (self.asked, self.change) = (None, None);
        }
        let narrowest = self.narrowest.first().map(|(carries, _)| *carries);
        let wanted = narrowest.map(|carries| carries.clamp(MIN, self.largest));
        // As long as nothing is known, nothing is changed.
        let Some(wanted) = wanted.filter(|wanted| *wanted != tap_mtu) else {
            self.follows |= wanted.is_some();
            self.change = None;
            return;
        };
        // Too little for IPv6 is no state to stay in: only somebody else can have set it.
        let raise = self.follows && wanted > tap_mtu && tap_mtu >= MIN;
        match &mut self.change {
            Some(change) if change.raise == raise => {
                let searching = now + RAISE_AFTER < change.at + SEARCH;
                // What has held all the time is the least of what there was.
                change.to = if raise && !searching {
                    change.to.min(wanted)
                } else {
                    wanted
                };
            }
            _ => {
                let at = now + if raise { RAISE_AFTER } else { LOWER_AFTER };
                let again = self.asked.filter(|(to, _)| *to == wanted);
                self.change = Some(Change {
                    at: again.map_or(at, |(_, again)| at.max(again)),
                    to: wanted,
                    raise,
                });
            }
        }
    }

    /// When [`AutoMtu::due`] wants to be asked.
    pub fn deadline(&self) -> Option<Time> {
        self.change.map(|change| change.at)
    }

    /// What the TAP, which has `tap_mtu`, is to have from now on.
    pub fn due(&mut self, now: Time, tap_mtu: u16) -> Option<u16> {
        let to = self.change.filter(|change| change.at <= now)?.to;
        self.change = None;
        self.follows = true;
        self.asked = Some((to, now + ASK_AGAIN));
        self.follow(now, tap_mtu);
        Some(to)
    }
}

impl Shard {
    /// Changes what the MTU of the TAP is to be. Who fulfils it says so by [`Shard::set_tap_mtu`].
    pub fn configure_tap_mtu(&mut self, now: Time, mtu: TapMtu) {
        self.tick(now);
        match mtu {
            TapMtu::Auto if self.env.auto_mtu.is_some() => return,
            TapMtu::Auto => self.env.auto_mtu = Some(AutoMtu::new(self.env.max_frame)),
            TapMtu::Fixed(_) => self.env.auto_mtu = None,
        }
        self.frames_changed();
        self.follow_paths_of_others();
    }

    /// The TAP has this MTU now.
    pub fn set_tap_mtu(&mut self, now: Time, mtu: u16) {
        self.tick(now);
        self.env.tap_mtu = mtu;
        match &mut self.env.auto_mtu {
            Some(auto) if self.seat.is_first() => auto.follow(self.env.real, mtu),
            Some(_) => {}
            None => self.frames_changed(),
        }
    }

    /// Frames can be longer or shorter than before.
    fn frames_changed(&mut self) {
        self.env.largest_datagram = env::largest_datagram(match &self.env.auto_mtu {
            Some(auto) => auto.largest(),
            None => self.env.tap_mtu,
        });
        self.limits_changed();
    }

    /// What the links to a peer carry may have changed, or the peer is gone.
    pub(super) fn follow_paths(&mut self, id: PeerId) {
        if self.env.auto_mtu.is_none() {
            return;
        }
        let carries = self.narrowest(id).map(|n| n.carries);
        let Some(auto) = &mut self.env.auto_mtu else {
            return;
        };
        // Each worker knows who limits it, and one decides.
        if auto.note(id, carries) && self.seat.is_first() {
            auto.follow(self.env.real, self.env.tap_mtu);
        }
    }

    /// The narrowest link to a peer, whichever worker that belongs to.
    fn narrowest(&self, id: PeerId) -> Option<Narrowest> {
        match self.peer(id) {
            Some(peer) => peer.narrowest_measured(),
            None => self.others.narrowest(id),
        }
    }

    /// Asks for another MTU of the TAP, if it is time.
    pub(super) fn wish_tap_mtu(&mut self) {
        let Some(auto) = &mut self.env.auto_mtu else {
            return;
        };
        let (Some(to), Some(id)) = (auto.due(self.env.real, self.env.tap_mtu), auto.limiting()) else {
            return;
        };
        if let Some(narrowest) = self.narrowest(id) {
            self.env.outbox.tap_mtu = Some(TapMtuWish {
                from: self.env.tap_mtu,
                to,
                peer: id,
                link: narrowest.link,
                carries: narrowest.carries,
                reason: narrowest.reason,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PeerId = PeerId(7);
    const B: PeerId = PeerId(2);

    /// A TAP that does what it is asked.
    struct Tap {
        auto: AutoMtu,
        now: Time,
        mtu: u16,
        changes: Vec<(u64, u16)>,
    }

    impl Tap {
        fn new() -> Self {
            Self {
                auto: AutoMtu::new(9_234),
                now: Time::from_nanos(5_000_000_000),
                mtu: 1_400,
                changes: Vec::new(),
            }
        }

        /// One that has followed peer A's 1430 already.
        fn at_1430() -> Self {
            let mut tap = Self::new();
            tap.measured(A, 1_430);
            tap.run(1_000);
            assert_eq!(core::mem::take(&mut tap.changes), [(500, 1_430)]);
            tap
        }

        fn measured(&mut self, peer: PeerId, carries: u16) {
            if self.auto.note(peer, Some(carries).filter(|c| *c > 0)) {
                self.auto.follow(self.now, self.mtu);
            }
        }

        /// Lets time pass, waking up exactly when it wishes; changes are told by the milliseconds since the call.
        fn run(&mut self, milliseconds: u64) {
            let (began, end) = (self.now, self.now + Span::from_millis(milliseconds));
            while let Some(at) = self.auto.deadline().filter(|at| *at <= end) {
                self.now = self.now.max(at);
                if let Some(mtu) = self.auto.due(self.now, self.mtu) {
                    self.mtu = mtu;
                    self.changes.push((self.now.since(began).as_millis(), mtu));
                    self.auto.follow(self.now, mtu);
                }
            }
            self.now = end;
        }
    }

    #[test]
    fn nothing_happens_until_something_is_measured_which_is_then_followed_at_once() {
        let mut tap = Tap::new();
        tap.run(1_000_000);
        assert_eq!((tap.mtu, tap.auto.limiting()), (1_400, None));
        tap.measured(A, 1_430);
        tap.run(200);
        tap.measured(B, 1_410);
        tap.run(10_000);
        assert_eq!(tap.changes, [(300, 1_410)]);
        assert_eq!(tap.auto.limiting(), Some(B));
    }

    #[test]
    fn it_falls_within_a_second_to_what_is_known_by_then() {
        let mut tap = Tap::at_1430();
        // The search after a black hole begins at the base, and finds more in no time.
        tap.measured(A, 1_158);
        tap.run(80);
        tap.measured(A, 1_330);
        tap.run(5_000);
        assert_eq!(tap.changes, [(420, 1_330)]);
    }

    #[test]
    fn what_has_become_too_much_while_it_was_set_is_followed_as_soon() {
        let mut tap = Tap::at_1430();
        tap.measured(A, 1_330);
        let asked = tap.now + Span::from_millis(500);
        assert_eq!(tap.auto.due(asked, 1_430), Some(1_330));
        tap.now = asked;
        tap.measured(A, 1_300);
        tap.mtu = 1_330;
        tap.auto.follow(tap.now, 1_330);
        tap.run(1_000);
        assert_eq!(tap.changes, [(500, 1_300)]);
    }

    #[test]
    fn a_doubt_that_passes_changes_nothing() {
        let mut tap = Tap::at_1430();
        for _ in 0..10 {
            tap.measured(A, 1_158);
            tap.run(400);
            tap.measured(A, 1_430);
            tap.run(400);
        }
        assert_eq!(tap.changes, []);
    }

    #[test]
    fn it_rises_in_one_step_to_what_a_search_has_found() {
        let mut tap = Tap::at_1430();
        tap.measured(A, 1_330);
        tap.run(500);
        assert_eq!(core::mem::take(&mut tap.changes), [(500, 1_330)]);
        // Each size that passes is known a moment after the one before.
        for size in [1_335, 1_350, 1_402, 1_430] {
            tap.measured(A, size);
            tap.run(200);
        }
        tap.run(200_000);
        assert_eq!(tap.changes, [(60_000 - 800, 1_430)]);
    }

    #[test]
    fn it_rises_after_a_minute_to_what_has_held_all_the_time() {
        let mut tap = Tap::at_1430();
        tap.measured(A, 1_330);
        tap.run(500);
        assert_eq!(core::mem::take(&mut tap.changes), [(500, 1_330)]);
        tap.measured(A, 1_458);
        tap.run(30_000);
        tap.measured(A, 1_402);
        tap.run(20_000);
        tap.measured(A, 1_458);
        tap.run(9_999);
        assert_eq!(tap.changes, []);
        tap.run(1);
        assert_eq!(core::mem::take(&mut tap.changes), [(1, 1_402)]);
        tap.run(60_000);
        assert_eq!(tap.changes, [(60_000, 1_458)]);
    }

    #[test]
    fn what_falls_back_within_the_minute_begins_a_new_one() {
        let mut tap = Tap::at_1430();
        for _ in 0..5 {
            tap.measured(A, 1_458);
            tap.run(59_000);
            tap.measured(A, 1_430);
            tap.run(1);
            tap.measured(A, 1_458);
            tap.run(900);
            // Nothing is known of it any more: that is no reason to raise it either.
            tap.measured(A, 0);
            tap.run(100_000);
        }
        assert_eq!(tap.changes, []);
    }

    #[test]
    fn the_narrowest_peer_decides_and_takes_its_limit_along() {
        let mut tap = Tap::at_1430();
        tap.measured(B, 1_372);
        tap.run(1_000);
        assert_eq!(core::mem::take(&mut tap.changes), [(500, 1_372)]);
        tap.measured(A, 1_300);
        tap.run(1_000);
        assert_eq!(core::mem::take(&mut tap.changes), [(500, 1_300)]);
        tap.measured(A, 0);
        tap.run(100_000);
        assert_eq!(core::mem::take(&mut tap.changes), [(60_000, 1_372)]);
        tap.measured(B, 0);
        tap.run(100_000);
        assert_eq!((tap.mtu, tap.auto.limiting()), (1_372, None));
    }

    #[test]
    fn it_stays_within_what_ipv6_needs_and_what_makes_sense() {
        let mut tap = Tap::at_1430();
        tap.measured(A, 506);
        tap.run(1_000);
        tap.measured(A, 9_220);
        tap.run(100_000);
        assert_eq!(tap.changes, [(500, 1_280), (60_000, 9_216)]);
        assert_eq!(AutoMtu::new(1_514).largest(), 1_496);
        assert_eq!(AutoMtu::new(0).largest(), 1_280);
    }

    #[test]
    fn a_wish_that_is_not_fulfilled_is_repeated_and_another_s_change_undone() {
        let mut tap = Tap::new();
        tap.measured(A, 1_430);
        tap.now = tap.now + Span::from_millis(500);
        assert_eq!(tap.auto.due(tap.now, 1_400), Some(1_430));
        assert_eq!(tap.auto.deadline(), Some(tap.now + Span::from_secs(60)));
        assert_eq!(tap.auto.due(tap.now + Span::from_secs(59), 1_400), None);
        assert_eq!(tap.auto.due(tap.now + Span::from_secs(60), 1_400), Some(1_430));
        tap.auto.follow(tap.now, 1_430);
        assert_eq!(tap.auto.deadline(), None);
        // Somebody sets it by hand.
        tap.mtu = 9_000;
        tap.auto.follow(tap.now, 9_000);
        tap.run(1_000);
        assert_eq!(core::mem::take(&mut tap.changes), [(500, 1_430)]);
        tap.mtu = 1_000;
        tap.auto.follow(tap.now, 1_000);
        tap.run(1_000);
        assert_eq!(tap.changes, [(500, 1_430)]);
    }

    #[test]
    fn of_many_peers_the_narrowest_is_known_whatever_comes_and_goes() {
        let mut auto = AutoMtu::new(9_234);
        let mut model = std::collections::BTreeMap::new();
        let mut random = 1_u64;
        for _ in 0..20_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let peer = PeerId((random >> 33) as u16 % 300);
            let carries = (random >> 50) as u16 % 5 * 100;
            let news = model.insert(peer, carries).unwrap_or(0) != carries;
            assert_eq!(auto.note(peer, Some(carries).filter(|c| *c > 0)), news);
            let narrowest = model.iter().filter(|(_, c)| **c > 0).map(|(p, c)| (*c, *p)).min();
            assert_eq!(auto.limiting(), narrowest.map(|(_, peer)| peer));
        }
    }
}
