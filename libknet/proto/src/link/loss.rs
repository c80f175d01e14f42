//! One-way loss of a link from real counters.
//!
//! The sender tells in each heartbeat how many datagrams it has put on the link; the receiver knows how
//! many had arrived by then. Two such pairs give the loss between them, exactly, because a link is FIFO.

use super::{Link, fading_share::FadingShare};
use crate::time::{Span, Time};

/// What counts as recent: at least so long, and so many datagrams.
const WINDOW: Span = Span::from_millis(900);
const ENOUGH: u32 = 20;
/// A link with more datagrams than that between two heartbeats carries data: there it is counted from the beginning what is
/// lost of how many.
const HEARTBEATS: u32 = 16;

/// How many datagrams were sent and had arrived when both were told last, for one direction of a link.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LossMeter {
    sent: u32,
    arrived: u32,
    known: bool,
    /// So many were counted before the first one was lost.
    faultless: Faultless,
}

/// How many were counted without a fault, up to as many as would be remembered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faultless(u8);

/// What was counted of a link that has lost something, or had it overtaken, or that carries data. Most links of a hub of tens of
/// thousands have and do nothing of the kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    /// Loss of what we send.
    tx: FadingShare,
    recent: Recent,
    /// Loss of what the peer sends.
    rx: FadingShare,
    /// Control datagrams of the peer that a later one overtook.
    overtaken: FadingShare,
}

/// What was sent and lost lately.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    sent: u32,
    lost: u32,
    since: Time,
    ppm: u32,
}

impl Faultless {
    fn count(&mut self, more: u32) {
        let sum = u32::from(self.0).saturating_add(more);
        self.0 = sum.min(FadingShare::REMEMBERED) as u8;
    }

    fn begin(self, now: Time) -> FadingShare {
        let mut share = FadingShare::default();
        share.count(now, self.0.into(), 0);
        share
    }
}

impl LossMeter {
    /// When `arrived` datagrams had arrived, `sent` had been put on the link (both modulo 2^32). Returns how many were sent since
    /// the last time, and how many of these were lost.
    fn pair(&mut self, sent: u32, arrived: u32) -> Option<(u32, u32)> {
        let last = core::mem::replace(
            self,
            Self {
                sent,
                arrived,
                known: true,
                faultless: self.faultless,
            },
        );
        let sent = sent.wrapping_sub(last.sent);
        let arrived = arrived.wrapping_sub(last.arrived);
        // The other side may have begun to count anew.
        let counts = last.known && sent <= u32::MAX / 2 && arrived <= u32::MAX / 2;
        counts.then(|| (sent, sent.saturating_sub(arrived)))
    }

    /// The link was dead for a while: what was sent then says nothing about how much it loses when it works.
    pub(super) fn interrupt(&mut self) {
        self.known = false;
    }
}

impl Link {
    /// When `arrived` datagrams had arrived at the peer, we had put `sent` on the link (both modulo 2^32).
    pub(super) fn pair_sent(&mut self, now: Time, sent: u32, arrived: u32) {
        let Some((sent, lost)) = self.tx_loss.pair(sent, arrived) else {
            return;
        };
        match self.faults_if(now, lost > 0 || sent > HEARTBEATS) {
            Some(faults) => {
                faults.tx.count(now, sent, lost);
                faults.recent.count(now, sent, lost);
            }
            None => self.tx_loss.faultless.count(sent),
        }
    }

    /// When `arrived` datagrams had arrived here, the peer had put `sent` on the link (both modulo 2^32).
    pub fn pair_received(&mut self, now: Time, sent: u32, arrived: u32) {
        let Some((sent, lost)) = self.rx_loss.pair(sent, arrived) else {
            return;
        };
        match self.faults_if(now, lost > 0 || sent > HEARTBEATS) {
            Some(faults) => faults.rx.count(now, sent, lost),
            None => self.rx_loss.faultless.count(sent),
        }
    }

    /// A control datagram of the peer arrived; `overtaken`: by a later one.
    pub fn control_arrived(&mut self, now: Time, overtaken: bool) {
        match self.faults_if(now, overtaken) {
            Some(faults) => faults.overtaken.count(now, 1, overtaken.into()),
            None => self.in_order.count(1),
        }
    }

    /// Loss of what we send, in parts per million.
    pub fn tx_loss_ppm(&self) -> u32 {
        self.faults.get().map_or(0, |faults| faults.tx.ppm())
    }

    /// That of the last second or so, of at least twenty datagrams.
    pub fn recent_loss_ppm(&self) -> u32 {
        self.faults.get().map_or(0, |faults| faults.recent.ppm)
    }

    /// Loss of what the peer sends, in parts per million.
    pub fn rx_loss_ppm(&self) -> u32 {
        self.faults.get().map_or(0, |faults| faults.rx.ppm())
    }

    /// Of the control datagrams of the peer that arrived lately those that a later one overtook, in parts per million.
    pub fn reordered_ppm(&self) -> u32 {
        self.faults.get().map_or(0, |faults| faults.overtaken.ppm())
    }

    /// Forgets all: the path changed, or the peer restarted.
    pub(super) fn forget_losses(&mut self) {
        self.tx_loss = LossMeter::default();
        self.rx_loss = LossMeter::default();
        self.in_order = Faultless::default();
        self.faults.clear();
    }

    /// Gives back what a link without data does not need if it has had no faults lately.
    pub(super) fn shed_faults(&mut self) {
        let none = |f: &Faults| [f.tx.ppm(), f.recent.ppm, f.rx.ppm(), f.overtaken.ppm()] == [0; 4];
        if !self.load.is_measured() && self.faults.get().is_some_and(none) {
            self.faults.clear();
        }
    }

    /// What is counted, from now on at the latest if it is `wanted`.
    fn faults_if(&mut self, now: Time, wanted: bool) -> Option<&mut Faults> {
        if wanted && self.faults.get().is_none() {
            *self.faults.make() = Faults {
                tx: self.tx_loss.faultless.begin(now),
                recent: Recent::default(),
                rx: self.rx_loss.faultless.begin(now),
                overtaken: self.in_order.begin(now),
            };
        }
        self.faults.get_mut()
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
    use crate::link::tests::link;

    #[test]
    fn loss_is_what_was_sent_and_did_not_arrive() {
        let mut l = link();
        l.pair_sent(Time::ZERO, 100, 90);
        assert_eq!(l.tx_loss_ppm(), 0, "one pair says nothing");
        l.pair_sent(Time::ZERO, 200, 185);
        assert_eq!(l.tx_loss_ppm(), 50_000);
        l.pair_sent(Time::ZERO, 300, 285);
        assert_eq!((l.tx_loss_ppm(), l.rx_loss_ppm()), (25_000, 0));
        l.pair_received(Time::ZERO, 0, 0);
        l.pair_received(Time::ZERO, 100, 50);
        assert_eq!((l.tx_loss_ppm(), l.rx_loss_ppm()), (25_000, 500_000));
    }

    #[test]
    fn counters_wrap_and_restart_without_nonsense() {
        let mut l = link();
        l.pair_sent(Time::ZERO, u32::MAX - 9, u32::MAX - 9);
        l.pair_sent(Time::ZERO, 90, 90);
        assert_eq!(l.tx_loss_ppm(), 0);
        l.pair_sent(Time::ZERO, 5, 90);
        assert_eq!(l.tx_loss_ppm(), 0, "a restart of the counter is no loss");
    }

    /// The heartbeats that went before the first loss count, as if all had been counted from the beginning.
    #[test]
    fn a_link_without_faults_has_counted_nothing_and_forgotten_nothing() {
        let mut l = link();
        for n in 0..=50 {
            l.pair_sent(Time::ZERO, n, n);
            l.pair_received(Time::ZERO, 2 * n, 2 * n);
            l.control_arrived(Time::ZERO, false);
        }
        assert!(l.faults.get().is_none());
        l.control_arrived(Time::ZERO, true);
        assert_eq!(l.reordered_ppm(), 1_000_000 / 52);
        l.pair_sent(Time::ZERO, 60, 55);
        l.pair_received(Time::ZERO, 110, 105);
        assert_eq!(
            (l.tx_loss_ppm(), l.rx_loss_ppm()),
            (5_000_000 / 60, 5_000_000 / 110)
        );
        l.shed_faults();
        assert_eq!(l.tx_loss_ppm(), 5_000_000 / 60);
        l.forget_losses();
        assert_eq!((l.tx_loss_ppm(), l.reordered_ppm()), (0, 0));
    }

    #[test]
    fn data_is_counted_from_the_beginning_and_that_is_given_back() {
        let mut l = link();
        for n in 0..10 {
            l.pair_sent(Time::ZERO, n * 1_000, n * 1_000);
        }
        l.pair_sent(Time::ZERO, 9_100, 9_090);
        assert_eq!(l.tx_loss_ppm(), 10_000_000 / 9_100);
        let mut l = link();
        l.pair_sent(Time::ZERO, 0, 0);
        l.pair_sent(Time::ZERO, 1_000, 1_000);
        assert!(l.faults.get().is_some());
        l.shed_faults();
        assert!(l.faults.get().is_none());
    }
}
