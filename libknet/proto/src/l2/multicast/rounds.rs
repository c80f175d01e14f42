//! When we ask: twice at first, a quarter of the interval apart (RFC 3376, 8.6 and 8.7; RFC 3810, 9.6 and 9.7), then once in
//! each, and at once where somebody else has ceased to. Of several VLANs one after the other, so that a round does not fill
//! the queue of floods.

use alloc::collections::BTreeSet;

use super::{
    Protocol,
    query::{LONGEST_INTERVAL, ROBUSTNESS},
};
use crate::{
    l2::vlan::VlanId,
    time::{Span, Time},
};

/// VLANs that we ask in: those of the lowest numbers that a port which is up names. In others groups go to everybody, unless
/// somebody else asks.
pub const MAX_QUERIED_VLANS: usize = 256;
/// Between two questions, at most.
const APART: Span = Span::from_millis(20);

/// When is asked.
#[derive(Debug, Default)]
pub struct Rounds {
    igmp: Option<Round>,
    mld: Option<Round>,
    /// Where is to be asked, in this round or besides.
    waiting: BTreeSet<(Protocol, VlanId)>,
    /// When the next one of these is.
    turn: Time,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    interval: Span,
    next: Time,
    /// Rounds that are still to follow each other quickly.
    quick: u8,
}

impl Rounds {
    /// Begins to ask, or ceases to, or asks more or less often. What does not change goes on.
    pub fn set(&mut self, now: Time, protocol: Protocol, interval: Option<Span>) {
        let round = match protocol {
            Protocol::Igmp => &mut self.igmp,
            Protocol::Mld => &mut self.mld,
        };
        if round.map(|round| round.interval) == interval {
            return;
        }
        *round = interval.map(|interval| Round {
            interval,
            next: now,
            quick: ROBUSTNESS,
        });
        self.waiting.retain(|(of, _)| *of != protocol);
    }

    /// Whether we ask.
    pub const fn is_on(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Igmp => self.igmp.is_some(),
            Protocol::Mld => self.mld.is_some(),
        }
    }

    /// A protocol whose next round begins now: then [`Self::ask`] says where.
    pub fn begin(&mut self, now: Time) -> Option<Protocol> {
        for (protocol, round) in [(Protocol::Igmp, &mut self.igmp), (Protocol::Mld, &mut self.mld)] {
            if let Some(round) = round.as_mut().filter(|round| round.next <= now) {
                round.quick = round.quick.saturating_sub(1);
                let quarter = if round.quick > 0 { 4 } else { 1 };
                round.next = now + round.interval.divided_by(quarter);
                return Some(protocol);
            }
        }
        None
    }

    /// It is to be asked in this VLAN, if at all.
    pub fn ask(&mut self, protocol: Protocol, vlan: VlanId) {
        if self.is_on(protocol) && self.waiting.len() < 4 * MAX_QUERIED_VLANS {
            self.waiting.insert((protocol, vlan));
        }
    }

    /// Where it is asked now; after that it is asked nowhere else for a moment, if it [was](Self::asked).
    pub fn next(&mut self, now: Time) -> Option<(Protocol, VlanId)> {
        (self.turn <= now).then(|| self.waiting.pop_first())?
    }

    /// It was asked.
    pub fn asked(&mut self, now: Time) {
        // A round is over in half of the interval.
        let intervals = [self.igmp, self.mld].map(|round| round.map_or(LONGEST_INTERVAL, |r| r.interval));
        let [igmp, mld] = intervals;
        let each = igmp.min(mld).divided_by(4 * MAX_QUERIED_VLANS as u64);
        self.turn = now + APART.min(each);
    }

    /// Forgets where is to be asked, and begins anew.
    pub fn restart(&mut self) {
        self.waiting.clear();
        for round in [&mut self.igmp, &mut self.mld].into_iter().flatten() {
            (round.next, round.quick) = (Time::ZERO, ROBUSTNESS);
        }
    }

    /// When [`Self::begin`] or [`Self::next`] has something.
    pub fn deadline(&self) -> Option<Time> {
        let rounds = [self.igmp, self.mld]
            .into_iter()
            .flatten()
            .map(|round| round.next);
        let turn = (!self.waiting.is_empty()).then_some(self.turn);
        rounds.chain(turn).min()
    }

    /// When the next round of a protocol begins.
    pub fn next_round(&self, protocol: Protocol) -> Option<Time> {
        match protocol {
            Protocol::Igmp => self.igmp.map(|round| round.next),
            Protocol::Mld => self.mld.map(|round| round.next),
        }
    }
}

#[cfg(test)]
mod tests;
