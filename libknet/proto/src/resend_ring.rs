//! The resend ring: what was sent to a peer and has not been reported yet, as the bytes that were on the wire.
//!
//! When a link comes into doubt, or another one is taken into use, the same bytes go out again over the link that
//! is used from then on, before anything newer. The receiver's replay window drops what had arrived. So no frame is
//! lost and none overtakes another, and nothing is encrypted twice. While all is well nothing is ever sent twice.
//!
//! It is not a retransmission protocol: a datagram that a *working* link loses stays lost, as on any Ethernet.
//! Entries leave
//! - when a report says that they arrived (over whichever link),
//! - when the highest counter that arrived over a link they were sent on is more than 64 ahead of them: then they have
//!   arrived, or that link has lost them while it worked; where the link is in doubt itself it must be so of each of
//!   them,
//! - when they are too old to be of use, or when there is no room (counted as evicted).
//!
//! The bytes stay where they were sealed ([`Arena`]).

use alloc::{collections::VecDeque, vec::Vec};

use crate::{
    arena::{Arena, Place},
    ids::{LinkId, LinkSet},
    link::sent_log::DataSeq,
    time::{Span, Time},
};

/// Most datagrams held for one peer (limits: row 20).
pub const MAX_ENTRIES: usize = 32_768;
/// Most bytes held for one peer.
pub const MAX_BYTES: usize = 32 << 20;
/// A datagram older than this is not sent again: late is worse than lost. Longer round trips get more.
pub const REPLAY_MAX_AGE: Span = Span::from_millis(250);
/// Bytes that one switch of links may always send again, and for how much time's worth of them it may at the rate at which
/// they were sent: what is under way when a fast link dies is more.
const MAX_REPLAY_BYTES: usize = 4 << 20;
const MAX_REPLAY_MS: u64 = 50;
/// Sent again at once, and then per millisecond at least.
const BURST: u64 = 64 << 10;
const LEAST_PER_MS: u64 = 32 << 10;
/// The pace grows: new datagrams queue behind the old ones, and a replay that is no faster than they come never ends.
const DOUBLED_WITHIN: Span = Span::from_millis(4);
const MOST_PER_MS: u64 = 4 << 20;
/// After a pause, however long.
const MOST_AT_ONCE: u64 = 1 << 20;
/// Pause between two bursts.
pub const PACE: Span = Span::from_millis(1);
/// The memory of a ring that has been empty for so long is given back.
const IDLE: Span = Span::from_secs(1);

/// The ring of one peer.
#[derive(Debug, Default)]
pub struct ResendRing {
    entries: VecDeque<Entry>,
    bytes: usize,
    replay: Option<Replay>,
    last_push: Time,
    stats: RingStats,
}

/// What people see of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingStats {
    /// Datagrams sent again.
    pub replayed: u64,
    /// Bytes of these.
    pub replayed_bytes: u64,
    /// Datagrams that had to make room before they were reported.
    pub evicted: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    seq: DataSeq,
    sent: Time,
    place: Place,
    /// The links it went out on that may still deliver it.
    links: LinkSet,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// New, behind older ones that are being sent again: not sent at all yet.
    Queued,
    /// Sent and not reported.
    Out,
    /// Reported, given up or too old.
    Settled,
}

/// A replay under way.
#[derive(Clone, Copy, Debug)]
struct Replay {
    /// Over these links.
    over: LinkSet,
    what: What,
    /// Position in `entries` of the next one.
    next: usize,
    /// Bytes that may still be sent again.
    allowance: usize,
    credit: u64,
    per_ms: u64,
    paid: Time,
    frames: u32,
}

/// Which datagrams are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Every one that has not gone out over the new link: keeps the order where one link is used at a time.
    Unreported,
    /// Those that went out only over links outside this set, which are in doubt.
    Stranded(LinkSet),
}

/// A datagram to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Resend {
    /// Its number.
    pub seq: DataSeq,
    /// Over these links.
    pub over: LinkSet,
    /// Whether it goes out for the first time.
    pub first: bool,
}

/// A replay that has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Over these links.
    pub over: LinkSet,
    /// Datagrams sent again.
    pub frames: u32,
}

impl ResendRing {
    /// Takes in the datagram that was sealed last, at `start`, and goes out over the links `over`. If it is `queued`, it
    /// goes out over those of the replay under way in its turn. Returns false if there is no room for it at all, even
    /// without the older ones.
    ///
    /// A peer may have as much as is left besides: whoever has much leaves room for those who come later (dynamic
    /// thresholds; Choudhury and Hahne, 1998).
    pub fn push(
        &mut self,
        now: Time,
        seq: DataSeq,
        over: LinkSet,
        queued: bool,
        start: usize,
        arena: &mut Arena,
    ) -> bool {
        self.last_push = now;
        let len = arena.bytes.len().saturating_sub(start);
        let room = |arena: &Arena| MAX_BYTES.min(arena.room());
        while self.entries.len() >= MAX_ENTRIES || self.bytes + len > room(arena) {
            if self.entries.is_empty() {
                self.stats.evicted = self.stats.evicted.saturating_add(1);
                return false;
            }
            self.evict(arena);
        }
        self.bytes += len;
        self.entries.push_back(Entry {
            seq,
            sent: now,
            place: arena.hold(start),
            links: over,
            state: if queued { State::Queued } else { State::Out },
        });
        true
    }

    /// The peer reports: `highest` is the highest counter that has arrived over `link`, and bit *i* of `bitmap`
    /// tells whether the *i*-th before it has arrived over any. `sound`: the link is in no doubt, so that what it was
    /// given long before `highest` has arrived, or is what any link loses.
    pub fn reported(&mut self, link: LinkId, sound: bool, highest: DataSeq, bitmap: u64, arena: &mut Arena) {
        for entry in self.entries.iter_mut().take_while(|e| e.seq <= highest) {
            let behind = if entry.seq.session == highest.session {
                highest.counter - entry.seq.counter
            } else {
                u32::MAX
            };
            match behind {
                0 => entry.state = State::Settled,
                1..=64 if bitmap & (1 << (behind - 1)) != 0 => entry.state = State::Settled,
                65.. if entry.links.contains(link) => {
                    entry.links = entry.links.without(link);
                    if sound || entry.links.is_empty() {
                        entry.state = State::Settled;
                    }
                }
                _ => {}
            }
        }
        self.pop_settled(arena);
    }

    /// Whether anything is held that went out over `link`.
    pub fn holds_any_of(&self, link: LinkId) -> bool {
        self.entries
            .iter()
            .any(|e| e.state == State::Out && e.links.contains(link))
    }

    /// Begins to send again what is held, over `over`; it leaves by [`ResendRing::next`]. A replay under way goes
    /// on over the links of both. What is older than `max_age` is left out.
    pub fn replay(&mut self, now: Time, over: LinkSet, what: What, max_age: Span, arena: &mut Arena) {
        let oldest = self
            .entries
            .iter()
            .find(|e| e.state == State::Out)
            .map_or(now, |e| e.sent);
        for entry in &mut self.entries {
            if entry.state == State::Out && now.since(entry.sent) > max_age {
                entry.state = State::Settled;
                self.stats.evicted = self.stats.evicted.saturating_add(1);
            }
        }
        self.pop_settled(arena);
        if self.entries.is_empty() {
            return;
        }
        // Twice the rate at which it was sent: the line that carried it carries that, too.
        let age_ms = now.since(oldest).as_millis() + 1;
        let per_ms = (self.bytes as u64 * 2 / age_ms).max(LEAST_PER_MS);
        let allowance = MAX_REPLAY_BYTES.max((per_ms / 2 * MAX_REPLAY_MS) as usize);
        let before = self.replay.take();
        self.replay = Some(Replay {
            over: before.map_or(over, |r| r.over.union(over)),
            what,
            next: 0,
            allowance: before.map_or(allowance, |r| r.allowance),
            credit: BURST,
            per_ms,
            paid: now,
            frames: before.map_or(0, |r| r.frames),
        });
    }

    /// No more over `link`: it is in doubt itself. The replay ends if it was the only one.
    pub fn leave(&mut self, link: LinkId) {
        if let Some(replay) = &mut self.replay {
            replay.over = replay.over.without(link);
        }
    }

    /// `link` works again after it was in doubt: what went out over it before may be lost. If the links that carried
    /// it since come into doubt in their turn, it has to go out over this one once more. But what no other link was
    /// asked to carry stays with this one, as what any link loses.
    pub fn returned(&mut self, link: LinkId) {
        for entry in &mut self.entries {
            let others = entry.links.without(link);
            if self.replay.is_some() || !others.is_empty() {
                entry.links = others;
            }
        }
    }

    /// `link` leads to another address from now on. What went to the old one may never arrive.
    pub fn path_changed(&mut self, link: LinkId) {
        for entry in &mut self.entries {
            entry.links = entry.links.without(link);
        }
    }

    /// The links over which a replay goes on in which new datagrams must queue behind the old ones.
    pub fn in_order_over(&self) -> LinkSet {
        match &self.replay {
            Some(r) if r.what == What::Unreported => r.over,
            _ => LinkSet::EMPTY,
        }
    }

    /// Whether a replay is under way.
    pub const fn is_replaying(&self) -> bool {
        self.replay.is_some()
    }

    /// The next datagram that is to go out now; its bytes are appended to those of `arena`. `None`: not now, or the
    /// replay is over.
    pub fn next(&mut self, now: Time, arena: &mut Arena) -> Option<Resend> {
        // Without a link it has ended. What is queued waits for the next.
        let replay = self.replay.as_mut().filter(|r| !r.over.is_empty())?;
        let passed = now.since(replay.paid).as_nanos();
        replay.paid = now;
        let more = replay.per_ms.saturating_mul(passed);
        let most = replay.per_ms.saturating_mul(4).clamp(BURST, MOST_AT_ONCE);
        replay.credit = replay.credit.saturating_add(more / 1_000_000).min(most);
        replay.per_ms = (replay.per_ms + more / DOUBLED_WITHIN.as_nanos()).min(MOST_PER_MS);
        loop {
            let entry = self.entries.get_mut(replay.next)?;
            let len = entry.place.size();
            if replay.credit < len as u64 {
                return None;
            }
            replay.next += 1;
            let first = entry.state == State::Queued;
            let over = match (entry.state, replay.what) {
                (State::Settled, _) => LinkSet::EMPTY,
                (State::Out, What::Stranded(live)) if !entry.links.intersection(live).is_empty() => {
                    LinkSet::EMPTY
                }
                (State::Out, _) if replay.allowance < len => LinkSet::EMPTY,
                _ => replay.over.minus(entry.links),
            };
            if over.is_empty() {
                if first {
                    entry.state = State::Out;
                }
                continue;
            }
            if !arena.copy(entry.place) {
                entry.state = State::Settled;
                self.stats.evicted = self.stats.evicted.saturating_add(1);
                continue;
            }
            replay.credit -= len as u64;
            entry.state = State::Out;
            entry.links = entry.links.union(over);
            if !first {
                replay.allowance -= len;
                replay.frames = replay.frames.saturating_add(1);
                self.stats.replayed = self.stats.replayed.saturating_add(1);
                self.stats.replayed_bytes = self.stats.replayed_bytes.saturating_add(len as u64);
            }
            return Some(Resend {
                seq: entry.seq,
                over,
                first,
            });
        }
    }

    /// Ends the replay if it has come to its end, and tells what it did.
    pub fn finish(&mut self) -> Option<Replayed> {
        let replay = self.replay.as_ref()?;
        if replay.next < self.entries.len() && !replay.over.is_empty() {
            return None;
        }
        let replay = self.replay.take()?;
        Some(Replayed {
            over: replay.over,
            frames: replay.frames,
        })
    }

    /// When more of a replay may go out.
    pub fn deadline(&self) -> Option<Time> {
        self.replay.as_ref().map(|r| r.paid + PACE)
    }

    /// Lets go of what is too old, and of memory if it has not been needed for a while.
    pub fn expire(&mut self, now: Time, max_age: Span, arena: &mut Arena) {
        if self.replay.is_some() {
            return;
        }
        while self
            .entries
            .front()
            .is_some_and(|e| now.since(e.sent) > max_age.times(2))
        {
            self.pop_front(arena);
        }
        self.pop_settled(arena);
        if self.entries.is_empty() && now.since(self.last_push) >= IDLE {
            self.clear(arena);
        }
    }

    /// Takes out what was not reported and is no older than `max_age`, in order: of it the newest `most` bytes.
    pub fn take_unreported(
        &mut self,
        now: Time,
        max_age: Span,
        most: usize,
        arena: &mut Arena,
    ) -> Vec<(DataSeq, Vec<u8>)> {
        let mut left = most;
        let mut taken = Vec::new();
        for entry in self.entries.iter().rev() {
            if entry.state == State::Settled {
                continue;
            }
            let len = entry.place.size();
            if now.since(entry.sent) > max_age || len > left {
                break;
            }
            let start = arena.bytes.len();
            if arena.copy(entry.place) {
                taken.push((entry.seq, arena.bytes.split_off(start)));
                left -= len;
            }
        }
        taken.reverse();
        self.clear(arena);
        taken
    }

    /// Forgets everything: there is nobody who could open it.
    pub fn clear(&mut self, arena: &mut Arena) {
        for entry in core::mem::take(&mut self.entries) {
            arena.release(entry.place);
        }
        self.bytes = 0;
        self.replay = None;
    }

    /// Datagrams and bytes held.
    pub fn held(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    /// The counters.
    pub const fn stats(&self) -> RingStats {
        self.stats
    }

    /// Sets the counters to zero.
    pub fn clear_stats(&mut self) {
        self.stats = RingStats::default();
    }

    fn evict(&mut self, arena: &mut Arena) {
        if self.entries.front().is_some_and(|e| e.state != State::Settled) {
            self.stats.evicted = self.stats.evicted.saturating_add(1);
        }
        self.pop_front(arena);
    }

    fn pop_settled(&mut self, arena: &mut Arena) {
        while self.entries.front().is_some_and(|e| e.state == State::Settled) {
            self.pop_front(arena);
        }
    }

    fn pop_front(&mut self, arena: &mut Arena) {
        let Some(entry) = self.entries.pop_front() else {
            return;
        };
        self.bytes -= entry.place.size();
        arena.release(entry.place);
        if let Some(replay) = &mut self.replay {
            replay.next = replay.next.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests;
