//! How often heartbeats leave: every interval; on a link that rests, because it costs money and a cheaper one does the
//! work, less and less often.
//!
//! A PING announces the pace that holds from then on (`hb_ms`), so that the peer knows how long silence means nothing.
//! The peer that only answers tells in its PONGs how rare it wishes them (`hb_min_ms`).

use super::{DEAD_PROBE_FIRST, DEAD_PROBE_MAX, Link, sent_log::DataSeq};
use crate::{
    status::LinkState,
    time::{ShortSpan, Span, Time},
};

/// Heartbeats in a row that a resting link sends at the usual pace: one that is needed every few seconds stays alert.
const CALM: u8 = 10;
/// After these each pause is twice the one before, up to 16 intervals ...
const DOUBLINGS: u8 = 4;
/// ... and to this, unless the interval itself is longer.
const LONGEST: Span = Span::from_secs(60);
/// What `hb_ms` can say.
pub const ANNOUNCEABLE: Span = Span::from_millis(u16::MAX as u64);
/// No pause is announced that is shorter than the shortest interval and its tenth: in ms.
const SHORTEST_MS: u16 = 110;

/// The pace of one link's heartbeats.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    calm: u8,
    doublings: u8,
}

impl Pace {
    /// The mean pause between two heartbeats of a link with this interval.
    pub fn pause(self, interval: Span) -> Span {
        interval.times(1 << self.doublings).min(LONGEST.max(interval))
    }

    /// A heartbeat leaves. `slowest` is the pause allowed for a link that rests, `None` if it is needed; `calmly`: not at
    /// once. The next one follows after the pause that holds now.
    pub fn beat(&mut self, interval: Span, slowest: Option<Span>, calmly: bool) {
        let Some(slowest) = slowest else {
            *self = Self::default();
            return;
        };
        let next = Self {
            calm: CALM,
            doublings: (self.doublings + 1).min(DOUBLINGS),
        };
        if calmly && self.calm < CALM {
            self.calm += 1;
        } else if next.pause(interval) <= slowest {
            *self = next;
        }
    }
}

/// A pause in ms that the peer tells, where 0 stands for none.
fn told(pause_ms: u16) -> Option<Span> {
    (pause_ms > 0).then(|| Span::from_millis(pause_ms.into()))
}

/// The longest pause between the heartbeats of a resting link with this interval.
fn slowest(interval: Span) -> Span {
    let doublings = DOUBLINGS;
    Pace {
        calm: CALM,
        doublings,
    }
    .pause(interval)
}

/// What is known about whether a link is needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Need {
    /// Others that work are in use, and this one is not.
    spare: bool,
    /// One of these is cheaper.
    metered: bool,
    /// The peer does not need it: how rare it wishes the heartbeats, in ms; 0 where it does.
    wish_ms: u16,
    /// The last data that came over it; the default before any.
    data_seen: DataSeq,
}

impl Link {
    /// The pause between heartbeats while it is needed: as configured, or longer where the peer has too many peers.
    pub fn interval(&self) -> Span {
        self.config.timers.interval.max(self.least_interval.span())
    }

    /// The peer asks for heartbeats that are no closer together than this, in all of this session.
    pub fn keep_apart(&mut self, least_interval: Span) {
        self.least_interval = ShortSpan::of(least_interval);
    }

    /// It costs money, and a cheaper link does the work.
    pub const fn rests(&self) -> bool {
        self.need.metered
    }

    /// The pause between heartbeats that we wish for, in ms; 0: as they are. While it rests the longest; while it is
    /// merely not in use `crowd`, that many of them from all peers do not take more time than frames.
    pub fn wished_pause_ms(&self, crowd: Span) -> u16 {
        let interval = self.config.timers.interval;
        let slowest = slowest(interval).min(ANNOUNCEABLE);
        if self.rests() {
            slowest.as_millis() as u16
        } else if self.need.spare && crowd >= interval.times(2) {
            slowest.min(crowd).as_millis() as u16
        } else {
            0
        }
    }

    /// What the peer wishes, likewise.
    pub fn peer_wishes(&mut self, now: Time, pause_ms: u16) {
        self.need.wish_ms = pause_ms;
        if self.slowest_pause().is_none() {
            self.hasten(now);
        }
    }

    /// The peer announces the longest pause between its heartbeats.
    pub fn peer_announces(&mut self, pause_ms: u16) {
        self.peer_pause_ms = pause_ms.max(SHORTEST_MS);
    }

    /// The longest pause between the peer's heartbeats, as it has announced.
    pub(super) fn peer_pause(&self) -> Option<Span> {
        told(self.peer_pause_ms)
    }

    /// The pause that its heartbeats may grow to, if one of the two sides wants that and none needs it.
    pub(super) fn slowest_pause(&self) -> Option<Span> {
        let own = slowest(self.interval());
        if self.need.metered {
            Some(own)
        } else {
            let wish = told(self.need.wish_ms).filter(|_| self.need.spare);
            wish.map(|wish| wish.min(own))
        }
    }

    /// Other links were chosen. `cheapest`: the least cost of those that are in use and work, if this one is not in
    /// use. Returns true if it has rested and must show now what it is worth.
    pub fn chosen(&mut self, now: Time, cheapest: Option<u8>) -> bool {
        let rested = self.slowest_pause().is_some();
        self.need.spare = cheapest.is_some();
        self.need.metered = cheapest.is_some_and(|c| c < self.config.cost);
        if !rested || self.slowest_pause().is_some() {
            return false;
        }
        self.hasten(now);
        if self.state == LinkState::Down {
            self.back_off = ShortSpan::of(DEAD_PROBE_FIRST);
            self.step_at = now;
        }
        self.state == LinkState::Up
    }

    /// The newest data that has come over it. If there is more than before, the peer uses it.
    pub fn data_came(&mut self, now: Time, newest: DataSeq) {
        if newest != self.need.data_seen {
            self.need.data_seen = newest;
            self.hasten(now);
        }
    }

    /// It is needed: from now on the usual pace.
    pub fn hasten(&mut self, now: Time) {
        let interval = self.interval();
        if self.pace.pause(interval) > interval {
            self.hastened = now;
            self.heartbeat_at = self.heartbeat_at.min(now + interval);
        }
        self.pace = Pace::default();
    }

    /// Longest pause between the probes while it is down: it must not cost more than it did when it was up.
    pub(super) fn longest_back_off(&self) -> Span {
        self.slowest_pause().unwrap_or_default().max(DEAD_PROBE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const SECOND: Span = Span::from_secs(1);

    fn pauses(interval: Span, slowest: Span, beats: usize) -> Vec<u64> {
        let mut pace = Pace::default();
        let pause = |_| {
            pace.beat(interval, Some(slowest), true);
            pace.pause(interval).as_secs()
        };
        (0..beats).map(pause).collect()
    }

    #[test]
    fn ten_at_the_usual_pace_then_ever_rarer_up_to_sixteen_intervals() {
        assert_eq!(
            pauses(SECOND, slowest(SECOND), 16),
            [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 8, 16, 16, 16]
        );
    }

    #[test]
    fn what_the_peer_wishes_needs_no_calm() {
        let mut pace = Pace::default();
        let pauses: Vec<u64> = (0..6)
            .map(|_| {
                pace.beat(SECOND, Some(Span::from_secs(9)), false);
                pace.pause(SECOND).as_secs()
            })
            .collect();
        assert_eq!(pauses, [2, 4, 8, 8, 8, 8]);
    }

    #[test]
    fn not_beyond_what_is_allowed() {
        assert_eq!(pauses(SECOND, Span::from_secs(5), 14)[10..], [2, 4, 4, 4]);
    }

    #[test]
    fn who_is_needed_is_back_at_once_and_calm_begins_anew() {
        let mut pace = Pace::default();
        for _ in 0..20 {
            pace.beat(SECOND, Some(slowest(SECOND)), true);
        }
        assert_eq!(pace.pause(SECOND), SECOND.times(16));
        pace.beat(SECOND, None, true);
        assert_eq!(pace.pause(SECOND), SECOND);
        pace.beat(SECOND, Some(slowest(SECOND)), true);
        assert_eq!(pace.pause(SECOND), SECOND);
    }

    #[test]
    fn no_pause_is_longer_than_a_minute_unless_it_is_configured_so() {
        assert_eq!(slowest(Span::from_secs(5)), LONGEST);
        assert_eq!(slowest(LONGEST), LONGEST);
        assert_eq!(slowest(Span::from_millis(100)), Span::from_millis(1_600));
    }
}
