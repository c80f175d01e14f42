//! One-way loss of a link from real counters.
//!
//! The sender tells in each heartbeat how many datagrams it has put on the link; the receiver knows how
//! many had arrived by then. Two such pairs give the loss between them, exactly, because a link is FIFO.

use super::fading_share::FadingShare;
use crate::time::{Span, Time};

/// What counts as recent: at least so long, and so many datagrams.
const WINDOW: Span = Span::from_millis(900);
const ENOUGH: u32 = 20;

/// Loss of one direction of one link.
#[derive(Clone, Copy, Debug, Default)]
pub struct LossMeter {
    last: Option<(u32, u32)>,
    lost: FadingShare,
    /// Lately: what was sent and lost, and since when.
    window: (u32, u32, Time),
    recent_ppm: u32,
}

impl LossMeter {
    /// When `arrived` datagrams had arrived, `sent` had been put on the link (both modulo 2^32).
    pub fn pair(&mut self, now: Time, sent: u32, arrived: u32) {
        let Some((last_sent, last_arrived)) = self.last.replace((sent, arrived)) else {
            return;
        };
        let sent = sent.wrapping_sub(last_sent);
        let arrived = arrived.wrapping_sub(last_arrived);
        if sent > u32::MAX / 2 || arrived > u32::MAX / 2 {
            // The other side began to count anew.
            return;
        }
        let lost = sent.saturating_sub(arrived);
        self.count_recent(now, sent, lost);
        self.lost.count(now, sent, lost);
    }

    fn count_recent(&mut self, now: Time, sent: u32, lost: u32) {
        let (all, gone, since) = &mut self.window;
        *all = all.saturating_add(sent);
        *gone = gone.saturating_add(lost);
        if now.since(*since) >= WINDOW && *all >= ENOUGH {
            self.recent_ppm = (u64::from(*gone) * 1_000_000 / u64::from(*all)).min(1_000_000) as u32;
            self.window = (0, 0, now);
        }
    }

    /// Loss of the last second or so in parts per million, of at least twenty datagrams.
    pub const fn recent_ppm(&self) -> u32 {
        self.recent_ppm
    }

    /// The link was dead for a while: what was sent then says nothing about how much it loses when it works.
    pub fn interrupt(&mut self) {
        self.last = None;
    }

    /// Forgets all: the path changed, or the peer restarted.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Loss in parts per million.
    pub fn ppm(&self) -> u32 {
        self.lost.ppm()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_what_was_sent_and_did_not_arrive() {
        let mut m = LossMeter::default();
        m.pair(Time::ZERO, 100, 90);
        assert_eq!(m.ppm(), 0, "one pair says nothing");
        m.pair(Time::ZERO, 200, 185);
        assert_eq!(m.ppm(), 50_000);
        m.pair(Time::ZERO, 300, 285);
        assert_eq!(m.ppm(), 25_000);
    }

    #[test]
    fn counters_wrap_and_restart_without_nonsense() {
        let mut m = LossMeter::default();
        m.pair(Time::ZERO, u32::MAX - 9, u32::MAX - 9);
        m.pair(Time::ZERO, 90, 90);
        assert_eq!(m.ppm(), 0);
        m.pair(Time::ZERO, 5, 90);
        assert_eq!(m.ppm(), 0, "a restart of the counter is no loss");
    }
}
