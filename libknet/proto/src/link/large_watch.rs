//! Notices that large datagrams vanish on a link that carries small ones: a black hole that no ICMP message tells
//! of (RFC 8899 section 4.3), found by what the peer reports of the data itself.
//!
//! A few datagrams are watched, not all; three in a row that are known to be missing are enough for
//! [`super::path_mtu::PathMtu::black_hole`], which makes sure with probes before it acts. In a row means: no
//! datagram of that length or more has arrived since the first of them. Smaller ones prove nothing.
//!
//! A report does not say over which link a datagram arrived. While every frame goes over several links (active
//! policy, mirroring), what another link delivered counts as delivered: nothing is lost then, and the link's own
//! confirmation probes find the hole.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use alloc::collections::VecDeque;

use super::sent_log::DataSeq;
use crate::time::Time;

/// Datagrams watched at a time.
const WATCHED: usize = 8;
/// So many are watched one right after the other ...
const DENSE: usize = 3;
/// ... and further ones this many counters apart: a report tells of 64, and at a high rate the next one is about
/// counters far beyond those.
const SPACING: u32 = 32;
/// Missing in a row.
const ENOUGH: u8 = 3;

#[derive(Clone, Copy, Debug)]
struct Watched {
    seq: DataSeq,
    len: u16,
    sent: Time,
}

/// The large datagrams of one link that are waited for.
#[derive(Debug)]
pub struct LargeWatch {
    /// Ascending.
    waiting: VecDeque<Watched>,
    /// How many are missing in a row.
    missing: u8,
    /// The shortest of them.
    shortest: u16,
}

impl Default for LargeWatch {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            missing: 0,
            shortest: u16::MAX,
        }
    }
}

impl LargeWatch {
    /// A datagram of `len` bytes of UDP payload left on this link. It is ignored if it is not larger than the `floor`, which
    /// always passes ([`super::path_mtu::floor`]), or if it is an old one that goes out again.
    pub fn sent(&mut self, now: Time, seq: DataSeq, len: usize, floor: u16) {
        if len <= usize::from(floor) || self.waiting.len() >= WATCHED {
            return;
        }
        let spacing = if self.waiting.len() < DENSE { 1 } else { SPACING };
        let far_enough = self.waiting.back().is_none_or(|last| {
            seq > last.seq
                && (seq.session != last.seq.session
                    || seq.counter.saturating_sub(last.seq.counter) >= spacing)
        });
        if far_enough {
            self.waiting.push_back(Watched {
                seq,
                len: u16::try_from(len).unwrap_or(u16::MAX),
                sent: now,
            });
        }
    }

    /// A report says that `highest` is the highest that arrived over this link, and bit `i` of `bitmap` that
    /// `highest.counter - 1 - i` arrived. Returns true if the path should be verified.
    pub fn reported(&mut self, highest: DataSeq, bitmap: u64) -> bool {
        while let Some(watched) = self.next_if(|w| w.seq <= highest) {
            if watched.seq.session != highest.session {
                // Nothing more will be said of the session before.
                continue;
            }
            let arrived = match highest.counter.checked_sub(watched.seq.counter) {
                None | Some(0) => Some(true),
                Some(below) => bitmap.checked_shr(below.saturating_sub(1)).map(|b| b & 1 == 1),
            };
            if arrived == Some(true) {
                self.arrived(watched.len);
            } else if arrived == Some(false) && self.is_missing(watched.len) {
                return true;
            }
        }
        false
    }

    /// A probe that left on this link at `sent` was answered over it, and what the answer reports has been taken
    /// in ([`LargeWatch::reported`]): so what left before the probe and is not reported has not arrived. This is
    /// what tells if *all* data is too large. Returns true if the path should be verified.
    pub fn answered(&mut self, sent: Time) -> bool {
        while let Some(watched) = self.next_if(|w| w.sent < sent) {
            if self.is_missing(watched.len) {
                return true;
            }
        }
        false
    }

    /// Forgets all: the size in use has changed.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.missing = 0;
        self.shortest = u16::MAX;
    }

    fn next_if(&mut self, settled: impl Fn(&Watched) -> bool) -> Option<Watched> {
        self.waiting.front().filter(|w| settled(w))?;
        self.waiting.pop_front()
    }

    fn arrived(&mut self, len: u16) {
        if len >= self.shortest {
            self.missing = 0;
            self.shortest = u16::MAX;
        }
    }

    fn is_missing(&mut self, len: u16) -> bool {
        self.shortest = self.shortest.min(len);
        self.missing = self.missing.saturating_add(1);
        let enough = self.missing >= ENOUGH;
        if enough {
            self.clear();
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::link::path_mtu;

    const FLOOR: usize = 548;

    fn seq(counter: u32) -> DataSeq {
        DataSeq { session: 1, counter }
    }

    /// Sends `lengths` as counters from `first`, one per microsecond.
    fn send(watch: &mut LargeWatch, first: u32, lengths: &[usize]) {
        send_over(watch, path_mtu::floor(false), first, lengths);
    }

    fn send_over(watch: &mut LargeWatch, floor: u16, first: u32, lengths: &[usize]) {
        for (counter, len) in (first..).zip(lengths) {
            let now = Time::from_nanos(u64::from(counter) * 1_000);
            watch.sent(now, seq(counter), *len, floor);
        }
    }

    #[test]
    fn three_missing_below_something_that_arrived() {
        let mut watch = LargeWatch::default();
        send(&mut watch, 0, &[1_400, 1_400, 1_400, 100]);
        assert!(!watch.reported(seq(0), 0));
        send(&mut watch, 4, &[1_400, 1_400, 1_400, 100]);
        // 1, 2 and 4 are watched; 3 and 7 are small.
        assert!(watch.reported(seq(7), 0b1000));
    }

    #[test]
    fn two_are_not_enough_and_one_that_arrives_starts_anew() {
        let mut watch = LargeWatch::default();
        send(&mut watch, 0, &[1_400, 1_400, 1_400, 1_400, 1_400, 100]);
        // 0 and 1 missing, 2 arrived.
        assert!(!watch.reported(seq(2), 0b00));
        send(&mut watch, 6, &[1_400, 1_400, 1_400, 100]);
        // 6 and 7 missing, 8 arrived; 3 to 5 arrived.
        assert!(!watch.reported(seq(9), 0b00_1110 << 2 | 0b001));
        assert!(!watch.reported(seq(9), 0));
    }

    #[test]
    fn misses_add_up_over_reports_and_shorter_arrivals_do_not_excuse_them() {
        let mut watch = LargeWatch::default();
        for round in 0..3 {
            let first = round * 3;
            send(&mut watch, first, &[8_000, 1_400, 100]);
            // The 8,000 is missing, the 1,400 is there.
            assert_eq!(watch.reported(seq(first + 2), 0b01), round == 2);
        }
        // But one as long does.
        let mut watch = LargeWatch::default();
        for round in 0..10 {
            let first = round * 3;
            send(&mut watch, first, &[1_400, 8_000, 100]);
            assert!(!watch.reported(seq(first + 2), 0b01));
        }
    }

    #[test]
    fn after_an_alarm_it_counts_anew() {
        let mut watch = LargeWatch::default();
        for round in 0..9 {
            let first = round * 2;
            send(&mut watch, first, &[1_400, 100]);
            assert_eq!(watch.reported(seq(first + 1), 0), round % 3 == 2);
        }
        send(&mut watch, 18, &[1_400]);
        watch.clear();
        assert!(watch.waiting.is_empty());
    }

    /// A loss that was excused does not lower what excuses later ones.
    #[test]
    fn an_excuse_is_good_for_what_is_missing_now() {
        let mut watch = LargeWatch::default();
        send(&mut watch, 0, &[600, 600, 100]);
        assert!(!watch.reported(seq(2), 0b01));
        send(&mut watch, 3, &[1_400, 1_400, 700, 100]);
        assert!(!watch.reported(seq(6), 0b001));
        send(&mut watch, 7, &[1_400, 100]);
        assert!(watch.reported(seq(8), 0b0));
    }

    #[test]
    fn what_the_floor_carries_is_not_watched() {
        let mut watch = LargeWatch::default();
        send(&mut watch, 0, &[FLOOR, FLOOR, FLOOR, 42]);
        assert!(!watch.reported(seq(3), 0));
        send(&mut watch, 4, &[FLOOR + 1, FLOOR + 1, FLOOR + 1, 42]);
        assert!(watch.reported(seq(7), 0));
        let mut watch = LargeWatch::default();
        send_over(&mut watch, path_mtu::floor(true), 0, &[1_232, 1_232, 1_232, 42]);
        assert!(!watch.reported(seq(3), 0));
    }

    #[test]
    fn the_highest_itself_has_arrived_and_what_is_newer_is_still_waited_for() {
        let mut watch = LargeWatch::default();
        send(&mut watch, 0, &[1_400]);
        assert!(!watch.reported(seq(0), 0));
        send(&mut watch, 1, &[1_400, 1_400, 1_400]);
        for _ in 0..3 {
            assert!(!watch.reported(seq(0), 0), "nothing newer has arrived");
        }
        assert!(watch.reported(seq(4), 0));
    }

    /// The edge of what a report can tell: 64 below the highest.
    #[test]
    fn beyond_the_bitmap_nothing_is_known() {
        for (distance, told) in [(64, true), (65, false)] {
            let mut watch = LargeWatch::default();
            for round in 0..3 {
                let first = round * 1_000;
                send(&mut watch, first, &[1_400]);
                assert_eq!(watch.reported(seq(first + distance), 0), told && round == 2);
            }
            let mut watch = LargeWatch::default();
            send(&mut watch, 0, &[1_400]);
            // Bit 63 is the one that is 64 below.
            assert!(!watch.reported(seq(64), 1 << 63));
            assert_eq!(watch.missing, 0);
        }
    }

    #[test]
    fn another_session_tells_nothing() {
        let mut watch = LargeWatch::default();
        send(&mut watch, 0, &[1_400, 1_400, 1_400]);
        let other = DataSeq {
            session: 2,
            counter: 3,
        };
        assert!(!watch.reported(other, 0));
        assert!(watch.waiting.is_empty());
    }

    /// Bulk data in one direction: nothing of it arrives, so no report moves. The heartbeat does.
    #[test]
    fn an_answered_probe_tells_when_all_data_vanishes() {
        let mut watch = LargeWatch::default();
        send(&mut watch, 0, &[1_400, 1_400, 1_400]);
        assert!(
            !watch.answered(Time::from_nanos(2_000)),
            "the third left with the probe, not before it"
        );
        assert!(watch.answered(Time::from_nanos(2_001)));
        // What the same datagram reports as arrived is not missing.
        send(&mut watch, 3, &[1_400, 1_400, 1_400]);
        assert!(!watch.reported(seq(5), 0b11));
        assert!(!watch.answered(Time::from_nanos(9_000)));
    }

    /// 80,000 datagrams a second, a report every 160, half of them large and lost.
    #[test]
    fn a_high_rate_is_watched_too() {
        let mut watch = LargeWatch::default();
        let mut noticed = None;
        for counter in 0..20_000_u32 {
            send(&mut watch, counter, &[if counter % 2 == 0 { 1_400 } else { 90 }]);
            if counter % 160 == 159 {
                // What is in flight: 200 datagrams.
                let highest = counter.saturating_sub(200) | 1;
                let small_ones = 0xAAAA_AAAA_AAAA_AAAA;
                if watch.reported(seq(highest), small_ones) {
                    noticed = noticed.or(Some(counter));
                }
            }
        }
        assert!(noticed.is_some_and(|n| n < 1_600), "{noticed:?}: 20 ms");
    }

    #[test]
    fn memory_is_bounded_and_replays_are_not_watched() {
        let mut watch = LargeWatch::default();
        for counter in 0..10_000 {
            send(&mut watch, counter, &[1_400]);
        }
        let counters: Vec<u32> = watch.waiting.iter().map(|w| w.seq.counter).collect();
        assert_eq!(counters, [0, 1, 2, 34, 66, 98, 130, 162]);
        assert_eq!(counters.len(), WATCHED);
        let mut watch = LargeWatch::default();
        send(&mut watch, 9, &[1_400]);
        send(&mut watch, 3, &[1_400, 1_400]);
        assert_eq!(watch.waiting.len(), 1);
    }
}
