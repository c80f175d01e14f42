//! One table for each worker, and what they tell each other so that all are alike.
//!
//! A place is known by its stamp: when and by whom the address was last seen there, or until when it is frozen there.
//! The later stamp wins, in whatever order news comes, so all tables end up the same. An address that stays where it is
//! is told of now and then only; so whoever hears of an earlier stamp, and has a later one that he has not told, answers
//! with it. Stamps grow, so answers end.
//!
//! What sticks to a port is told by the worker that its peer belongs to, and comes before what was only seen, whatever the
//! stamps. What is configured is not told: every worker is told by the operator. Nor is what is forgotten: each table ages by
//! itself.

use super::{MacTable, State, Station, entries::Entry};
use crate::{
    ids::WorkerId,
    status::Port,
    time::{Span, Time},
};

/// Where an address was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacNews {
    /// The address.
    pub station: Station,
    /// Where it is.
    pub port: Port,
    /// Which of the peers that had this slot one after the other.
    pub generation: u16,
    /// When it was last seen there.
    pub seen: Time,
    /// Until when it stays there whatever happens; zero, or in the past, if it is free to move.
    pub frozen_until: Time,
    /// Who saw it, or froze it.
    pub by: WorkerId,
    /// It sticks to its port.
    pub is_sticky: bool,
}

/// When, and by whom. Two different places never have the same.
type Stamp = (Time, WorkerId);

impl MacNews {
    fn stamp(&self) -> Stamp {
        (self.seen.max(self.frozen_until), self.by)
    }
}

impl Entry {
    fn stamp(&self) -> Stamp {
        (self.refreshed.max(self.frozen_until), self.by)
    }
}

impl MacTable {
    /// Makes it one of several that are to be alike: that of worker `me`.
    pub fn share(&mut self, me: WorkerId) {
        self.me = Some(me);
    }

    /// Whether [`Self::take_news`] has something.
    pub fn has_news(&self) -> bool {
        self.news.is_some()
    }

    /// What the last [`Self::learn`] or [`Self::hear`] has for all other workers, once. The generation is left to be
    /// filled in.
    pub fn take_news(&mut self) -> Option<MacNews> {
        self.news.take()
    }

    /// Another worker says this of a port that is there.
    pub fn hear(&mut self, news: &MacNews) {
        let told = news.stamp();
        let Some(slot) = self.slot_of(news.station) else {
            if self.len() < self.capacity {
                let state = if news.is_sticky {
                    State::Sticky
                } else {
                    State::Dynamic
                };
                let slot = self.add(news.seen, news.station, news.port, state);
                self.set_stamp(slot, news);
            }
            return;
        };
        let entry = &mut self.entries[slot as usize];
        match (entry.state, news.is_sticky) {
            (State::Static, _) => return,
            (State::Sticky, false) if entry.port != news.port => return,
            // To both at once, where neither worker had heard of the other: all decide alike.
            (State::Sticky, true) if entry.port < news.port => return,
            (_, true) if entry.port != news.port || entry.state == State::Dynamic => {
                self.release(slot);
                if self.entries[slot as usize].port != news.port {
                    self.put(slot, news.seen, news.port);
                }
                self.fix(slot);
                self.entries[slot as usize].refreshed = news.seen;
                return self.set_stamp(slot, news);
            }
            _ => {}
        }
        let entry = &mut self.entries[slot as usize];
        if told < entry.stamp() {
            if entry.port == news.port {
                entry.told = entry.told.max(told.0);
            } else if self.me == Some(entry.by) && (entry.told, entry.by) < told {
                self.tell(slot);
            }
            return;
        }
        if entry.port == news.port {
            let seen = entry.refreshed.max(news.seen);
            self.touch(slot, seen);
        } else {
            if self.is_welcome(news.seen, news.port) {
                self.forgive_moves(slot);
            } else {
                self.count_move(slot, news.seen);
            }
            self.put(slot, news.seen, news.port);
        }
        self.set_stamp(slot, news);
    }

    fn set_stamp(&mut self, slot: u32, news: &MacNews) {
        let entry = &mut self.entries[slot as usize];
        entry.frozen_until = news.frozen_until;
        entry.by = news.by;
        entry.told = news.stamp().0;
    }

    /// When an address that is seen elsewhere now is said to have been seen there: later than here, whatever other
    /// workers' clocks say.
    pub(super) fn moment_of_move(&self, slot: u32, now: Time) -> Time {
        match self.me {
            None => now,
            Some(_) => now.max(self.entries[slot as usize].stamp().0 + Span::from_nanos(1)),
        }
    }

    /// An address has been seen, or frozen, where it is; `news`: that is new.
    pub(super) fn seen_here(&mut self, slot: u32, news: bool) {
        let Some(me) = self.me else { return };
        let entry = &mut self.entries[slot as usize];
        // While it is frozen, it matters who froze it.
        if news || entry.refreshed >= entry.frozen_until {
            entry.by = me;
        }
        let interval = self
            .ageing
            .divided_by(8)
            .clamp(Span::from_secs(1), Span::from_secs(30));
        if news || entry.refreshed.since(entry.told) >= interval {
            self.tell(slot);
        }
    }

    fn tell(&mut self, slot: u32) {
        let entry = &mut self.entries[slot as usize];
        entry.told = entry.stamp().0;
        self.news = Some(MacNews {
            station: entry.station,
            port: entry.port,
            generation: 0,
            seen: entry.refreshed,
            frozen_until: entry.frozen_until,
            by: entry.by,
            is_sticky: entry.state == State::Sticky,
        });
    }
}

#[cfg(test)]
mod tests;
