//! Whether the first message of a handshake was written just now, or is a recording.
//!
//! A message is fresh if its time stamp is newer than any before, and not more than ten minutes ahead of our
//! clock: then nothing can be a recording, and a clock once set far ahead does not spoil the peer's key for
//! later (CVE-2021-46873). A message that fails is not lost: we answer with a RETRY that contains an *echo*,
//! and whoever sends it back has read our answer just now, whatever its clock says.

use core::net::SocketAddr;

use super::cookie::source_bytes;
use crate::{
    crypto::{
        Secret,
        hash::{MAC_LEN, mac, mac_eq},
    },
    rng::Entropy,
    time::{Span, Time, WallClock},
};

/// How far ahead of our clock a time stamp may be.
const CLOCK_TOLERANCE: Span = Span::from_secs(600);
/// An echo is valid in the window in which it was made and in the next.
const ECHO_WINDOW: Span = Span::from_secs(8);
/// How many accepted messages of a peer are remembered by their ephemeral key.
const REMEMBERED: usize = 4;

/// A TAI64N label.
pub type Timestamp = [u8; 12];

/// What is known of one peer's messages.
#[derive(Clone, Debug, Default)]
pub struct Freshness {
    /// The latest time stamp accepted. Never decreases, so that old recordings stay old.
    latest: Timestamp,
    /// The beginnings of the ephemeral keys of the messages accepted last, the latest first. A copy has all of the key, and
    /// of two keys that somebody has drawn one in 2^64 begins like the other.
    accepted: [[u8; 8]; REMEMBERED],
}

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Fresh,
    /// Ask for an echo.
    Stale,
    /// This very message was accepted before.
    Replay,
}

impl Freshness {
    /// Judges a message by its time stamp and ephemeral key; `echo_valid` tells whether it has a valid echo.
    pub fn judge(
        &self,
        timestamp: &Timestamp,
        ephemeral: &[u8; 32],
        wall: WallClock,
        echo_valid: bool,
    ) -> Verdict {
        if self.accepted.contains(&beginning(ephemeral)) {
            Verdict::Replay
        } else if echo_valid || *timestamp > self.latest && plausible(timestamp, wall) {
            Verdict::Fresh
        } else {
            Verdict::Stale
        }
    }

    /// Remembers an accepted message.
    pub fn accept(&mut self, timestamp: &Timestamp, ephemeral: &[u8; 32], wall: WallClock) {
        if plausible(timestamp, wall) {
            self.latest = self.latest.max(*timestamp);
        }
        self.accepted.rotate_right(1);
        if let Some(first) = self.accepted.first_mut() {
            *first = beginning(ephemeral);
        }
    }
}

fn beginning(ephemeral: &[u8; 32]) -> [u8; 8] {
    ephemeral.first_chunk().copied().unwrap_or_default()
}

fn plausible(timestamp: &Timestamp, wall: WallClock) -> bool {
    *timestamp <= wall.plus(CLOCK_TOLERANCE).to_tai64n()
}

/// Makes and recognises echoes, without remembering any.
pub struct EchoMint {
    secret: Secret,
}

impl EchoMint {
    /// A mint with a secret of its own.
    pub fn new(entropy: &mut dyn Entropy) -> Self {
        Self {
            secret: Secret::filled(|bytes| entropy.fill(bytes)),
        }
    }

    /// The echo for the peer of this static key, if it is at `source` now.
    pub fn mint(&self, source: SocketAddr, static_key: &[u8; 32], now: Time) -> [u8; MAC_LEN] {
        self.of_window(source, static_key, window(now))
    }

    /// Whether `echo` was made for the same peer and source in this window or the one before.
    pub fn verify(&self, echo: &[u8; MAC_LEN], source: SocketAddr, static_key: &[u8; 32], now: Time) -> bool {
        let current = window(now);
        let before = current.checked_sub(1);
        [Some(current), before]
            .into_iter()
            .flatten()
            .any(|window| mac_eq(&self.of_window(source, static_key, window), echo))
    }

    fn of_window(&self, source: SocketAddr, static_key: &[u8; 32], window: u64) -> [u8; MAC_LEN] {
        mac(
            &self.secret,
            &[&source_bytes(source), static_key, &window.to_le_bytes()],
        )
    }
}

fn window(now: Time) -> u64 {
    // The divisor is a constant other than zero.
    now.as_nanos().checked_div(ECHO_WINDOW.as_nanos()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededEntropy;

    const NOW: i64 = 1_700_000_000;

    fn wall(secs: i64) -> WallClock {
        WallClock::from_unix(secs, 0)
    }

    fn stamp(secs: i64) -> Timestamp {
        wall(secs).to_tai64n()
    }

    #[test]
    fn a_label_is_tai64n() {
        // 1970-01-01 00:00:00 UTC was TAI 10 s later (D. J. Bernstein, "TAI64, TAI64N, and TAI64NA").
        assert_eq!(stamp(0), [0x40, 0, 0, 0, 0, 0, 0, 0x0a, 0, 0, 0, 0]);
        assert_eq!(WallClock::from_unix(-11, 7).to_tai64n(), {
            let mut label = [0xff; 12];
            label[0] = 0x3f;
            label[8..].copy_from_slice(&[0, 0, 0, 7]);
            label
        });
        assert_eq!(
            wall(NOW).plus(Span::from_millis(1500)),
            WallClock::from_unix(NOW + 1, 500_000_000)
        );
    }

    #[test]
    fn only_a_newer_time_stamp_passes() {
        let mut freshness = Freshness::default();
        assert_eq!(
            freshness.judge(&stamp(NOW), &[1; 32], wall(NOW), false),
            Verdict::Fresh
        );
        freshness.accept(&stamp(NOW), &[1; 32], wall(NOW));
        assert_eq!(
            freshness.judge(&stamp(NOW), &[2; 32], wall(NOW), false),
            Verdict::Stale
        );
        assert_eq!(
            freshness.judge(&stamp(NOW - 1), &[2; 32], wall(NOW), false),
            Verdict::Stale
        );
        let just_after = WallClock::from_unix(NOW, 1).to_tai64n();
        assert_eq!(
            freshness.judge(&just_after, &[2; 32], wall(NOW), false),
            Verdict::Fresh
        );
    }

    #[test]
    fn ten_minutes_ahead_pass_and_more_does_not() {
        let freshness = Freshness::default();
        assert_eq!(
            freshness.judge(&stamp(NOW + 600), &[1; 32], wall(NOW), false),
            Verdict::Fresh
        );
        assert_eq!(
            freshness.judge(&stamp(NOW + 601), &[1; 32], wall(NOW), false),
            Verdict::Stale
        );
        assert_eq!(
            freshness.judge(&[0xff; 12], &[1; 32], wall(NOW), false),
            Verdict::Stale
        );
    }

    #[test]
    fn an_echo_passes_any_time_stamp_and_a_far_one_is_not_remembered() {
        let mut freshness = Freshness::default();
        freshness.accept(&stamp(NOW), &[1; 32], wall(NOW));
        let far = stamp(NOW + 315_000_000);
        assert_eq!(freshness.judge(&far, &[2; 32], wall(NOW), true), Verdict::Fresh);
        freshness.accept(&far, &[2; 32], wall(NOW));
        // The clock is put right again: the peer is not locked out.
        assert_eq!(
            freshness.judge(&stamp(NOW + 1), &[3; 32], wall(NOW + 1), false),
            Verdict::Fresh
        );
        // The clock went back: accepted by echo, and the recordings from between stay stale.
        freshness.accept(&stamp(NOW - 315_000_000), &[4; 32], wall(NOW + 1));
        assert_eq!(
            freshness.judge(&stamp(NOW - 5), &[5; 32], wall(NOW + 1), false),
            Verdict::Stale
        );
    }

    #[test]
    fn the_last_four_are_recognised_whatever_else_holds() {
        let mut freshness = Freshness::default();
        for n in 1..=5 {
            freshness.accept(&stamp(NOW + i64::from(n)), &[n; 32], wall(NOW));
        }
        for n in 2..=5 {
            assert_eq!(
                freshness.judge(&stamp(NOW + 9), &[n; 32], wall(NOW), true),
                Verdict::Replay
            );
        }
        assert_eq!(
            freshness.judge(&stamp(NOW + 1), &[1; 32], wall(NOW), false),
            Verdict::Stale
        );
    }

    #[test]
    fn an_echo_is_for_one_peer_at_one_address_for_8_to_16_seconds() {
        let mint = EchoMint::new(&mut SeededEntropy::new([5; 32]));
        let here: SocketAddr = "192.0.2.1:7700".parse().unwrap();
        let at = |ms| Time::ZERO + Span::from_millis(ms);
        for made in [0, 1, 7_999, 8_000, 100_000] {
            let echo = mint.mint(here, &[1; 32], at(made));
            assert!(mint.verify(&echo, here, &[1; 32], at(made)));
            assert!(mint.verify(&echo, here, &[1; 32], at(made + 8_000)));
            assert!(!mint.verify(&echo, here, &[1; 32], at(made + 16_000)));
            assert!(!mint.verify(&echo, here, &[2; 32], at(made)));
            assert!(!mint.verify(&echo, "192.0.2.2:7700".parse().unwrap(), &[1; 32], at(made)));
            assert!(!mint.verify(&echo, "192.0.2.1:7701".parse().unwrap(), &[1; 32], at(made)));
            let mapped = "[::ffff:192.0.2.1]:7700".parse().unwrap();
            assert!(
                mint.verify(&echo, mapped, &[1; 32], at(made)),
                "one address, two spellings"
            );
        }
        let other = EchoMint::new(&mut SeededEntropy::new([6; 32]));
        assert!(!other.verify(&mint.mint(here, &[1; 32], at(0)), here, &[1; 32], at(0)));
        assert!(!mint.verify(&[0; 16], here, &[1; 32], at(0)));
    }
}
