//! One-way loss of a link from real counters.
//!
//! The sender tells in each heartbeat how many datagrams it has put on the link; the receiver knows how
//! many had arrived by then. Two such pairs give the loss between them, exactly, because a link is FIFO.

use super::fading_share::FadingShare;
use crate::{
    on_demand::OnDemand,
    time::{Span, Time},
};

/// What counts as recent: at least so long, and so many datagrams.
const WINDOW: Span = Span::from_millis(900);
const ENOUGH: u32 = 20;

/// Loss of one direction of one link.
#[derive(Clone, Debug, Default)]
pub struct LossMeter {
    last: Option<(u32, u32)>,
    lost: FadingShare,
    /// Where anything was lost at all.
    recent: OnDemand<Recent>,
}

/// What was sent and lost lately.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    sent: u32,
    lost: u32,
    since: Time,
    ppm: u32,
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
        self.lost.count(now, sent, lost);
        if lost > 0 {
            self.recent.make();
        }
        if let Some(recent) = self.recent.get_mut() {
            recent.count(now, sent, lost);
        }
    }

    /// Loss of the last second or so in parts per million, of at least twenty datagrams.
    pub fn recent_ppm(&self) -> u32 {
        self.recent.get().map_or(0, |recent| recent.ppm)
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

impl Recent {
    fn count(&mut self, now: Time, sent: u32, lost: u32) {
        self.sent = self.sent.saturating_add(sent);
        self.lost = self.lost.saturating_add(lost);
        if now.since(self.since) >= WINDOW && self.sent >= ENOUGH {
            let ppm = (u64::from(self.lost) * 1_000_000 / u64::from(self.sent)).min(1_000_000) as u32;
            *self = Self {
                since: now,
                ppm,
                ..Self::default()
            };
        }
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
