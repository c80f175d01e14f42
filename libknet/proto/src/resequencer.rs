//! Puts the data datagrams of one peer back into the order in which they were sent.
//!
//! Frames that leave over links of different delay overtake each other: under round robin all the time, and
//! for a moment after every switch. The data counter of the session is the sequence number; nothing is added
//! on the wire. Ordering happens *before* fragments are put together, so a fragment is one item like any frame.
//!
//! A *hole* is a counter that has not arrived while a higher one has. What lies above a hole is held until the
//! first of these is true:
//!
//! 1. the hole is filled;
//! 2. every link that votes has delivered a counter above the hole (RFC 1990 section 4.1: links keep the
//!    order, so it cannot come any more);
//! 3. the hole was noticed `wait` ago, never more than [`MAX_WAIT`];
//! 4. more is held than may be: then the lowest goes first.
//!
//! A datagram whose hole was given up is delivered when it comes, late: loss is worse than disorder.
//!
//! Which links vote follows from what they deliver, for nobody tells the receiver what the sender's policy is.
//! A link votes once it has delivered something, or the caller has announced it. It stops when a hole that it
//! has not passed is given up by rule 3, until it delivers something above that hole; when it has delivered
//! nothing of the last [`VOTE_SPAN`] counters; and when the caller says that it is gone. The span is in counters
//! and not in time, because a pause of the sender is no silence of a link: after it, the first burst must be
//! kept in order, too.
//!
//! Where only one link delivers (policy `passive`) it alone votes, and any hole is given up at once: nothing is
//! delayed and nothing is copied. After the sender has changed from one link to another, at most one hole waits
//! for the link that was left. And in the first `wait` of a session there are no votes, because a link that has
//! not been heard yet may be bringing the first counters.
//!
//! Where the sender keeps each flow on one link (policy `flow-hash`) there is nothing to order: the caller
//! leaves the resequencer out, or flows on fast links would wait for flows on slow ones.
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

use alloc::{boxed::Box, collections::BTreeMap};

use crate::{
    ids::{LinkId, LinkSet, MAX_LINKS},
    offload::checksum::Checksum,
    time::{Span, Time},
};

/// Longest that a hole is waited for, and so the longest that anything is held: the 50 ms that are promised
/// (limits: row 22), less one tick of the timer wheel, by which the caller may be late.
pub const MAX_WAIT: Span = Span::from_millis(49);
/// Most items held for one peer (limits: row 22): four links of 100 Mbit/s, one of them 40 ms behind the others by
/// distance and queue, hold a thousand.
pub const MAX_ITEMS: usize = 4_096;
/// Most bytes held for one peer, at [`ITEM_COST`] more than its plaintext for each item (limits: row 22).
pub const MAX_BYTES: usize = 8 << 20;
/// What an item costs besides its plaintext, in bytes: its place in the tree and in the allocator.
pub const ITEM_COST: usize = 64;
/// A link that has delivered none of this many counters does not vote. Two turns of the lightest link that
/// round robin can have (weight 1 beside seven of 255), and more than can be held.
pub const VOTE_SPAN: u32 = 8_192;

/// What a datagram had in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// An Ethernet frame.
    Frame(Checksum),
    /// A piece of a frame, for the reassembler.
    Fragment,
    /// Nothing to deliver (a datagram that carried another one, or was refused), but its counter is accounted for.
    Nothing,
}

/// A datagram that was opened and is new to the replay window.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Serial number of its session.
    pub session: u32,
    /// Its data counter.
    pub counter: u32,
    /// The link that brought it; `None` if it came from an address that belongs to no link. Such a one has no vote.
    pub link: Option<LinkId>,
    /// What it is.
    pub item: Item,
    /// Its plaintext; for [`Item::Nothing`] empty.
    pub bytes: &'a [u8],
}

/// What the caller does with a datagram that has arrived. After either, it takes what
/// [`Resequencer::release`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its turn is now: deliver it.
    Deliver,
    /// It was copied, and comes back when its turn has come.
    Held,
}

/// Something that was held, and its plaintext. Never [`Item::Nothing`].
pub type Released = (Item, Box<[u8]>);

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Items that had to wait.
    pub held: u64,
    /// Counters given up because every voting link had passed them.
    pub skipped_by_votes: u64,
    /// Counters given up because their time was up.
    pub skipped_by_timer: u64,
    /// Counters given up because too much was held.
    pub skipped_by_overflow: u64,
    /// Datagrams delivered after their turn: their counter had been given up, or their session replaced.
    pub late: u64,
    /// The longest that an item was held.
    pub longest_hold: Span,
}

/// The memory that all resequencers of a shard may hold together.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    limit: usize,
    used: usize,
}

impl Budget {
    /// A budget of `limit` bytes; limits: row 22 has 256 MiB.
    pub const fn new(limit: usize) -> Self {
        Self { limit, used: 0 }
    }

    /// How much of it is in use, in bytes; 0 when nothing is held.
    pub const fn used(&self) -> usize {
        self.used
    }

    const fn is_over(&self) -> bool {
        self.used > self.limit
    }
}

#[derive(Debug)]
struct Held {
    item: Item,
    bytes: Box<[u8]>,
    arrived: Time,
    /// When the holes right below it were noticed. All of them at once: by the first that arrived above them.
    noticed: Time,
}

/// Why a hole is given up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    Votes,
    Timer,
    Overflow,
}

/// The order of one peer's data datagrams. Costs no memory but its own while nothing is held.
///
/// Limits hold whenever [`Self::release`] has been called until it gave `None`, which the caller does after
/// every other call.
#[derive(Debug, Default)]
pub struct Resequencer {
    /// The counter whose turn it is.
    next: u32,
    /// The session that is ordered, and when its first datagram came.
    session: Option<(u32, Time)>,
    /// By counter, all of them above `next` (or equal, until they are released).
    held: BTreeMap<u32, Held>,
    held_bytes: usize,
    wait: Span,
    /// By link: every counter below was delivered over it, or will not be. It votes again when it delivers
    /// this one or a higher one.
    passed: [u32; MAX_LINKS],
    voting: LinkSet,
    counters: Counters,
}

impl Resequencer {
    /// One that orders nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on `session` is ordered, from counter 0 on: call it with the first datagram of a new session
    /// (not when the session is made: the other side may still be sending with the old one). Returns what was
    /// held of the old session, to be delivered at once; what comes of it later is late.
    ///
    /// Links that voted go on voting: they stand before the first counter.
    #[must_use = "what was held would be lost"]
    pub fn begin(
        &mut self,
        now: Time,
        session: u32,
        budget: &mut Budget,
    ) -> impl Iterator<Item = Released> + use<> {
        self.voting = self.voters();
        self.passed = [0; MAX_LINKS];
        self.next = 0;
        self.session = Some((session, now));
        self.flush(now, budget)
    }

    /// The session that is ordered: everything that [`Self::release`] gives is of this one.
    pub fn session(&self) -> Option<u32> {
        self.session.map(|(serial, _)| serial)
    }

    /// A datagram has arrived. Holes wait `wait` from now on (cut to [`MAX_WAIT`]); zero switches the waiting off.
    #[must_use = "it may be the caller's to deliver"]
    pub fn arrived(&mut self, now: Time, arrival: &Arrival<'_>, wait: Span, budget: &mut Budget) -> Verdict {
        if self.session() != Some(arrival.session) {
            self.counters.late = self.counters.late.saturating_add(1);
            return Verdict::Deliver;
        }
        if let Some(link) = arrival.link {
            self.pass(link, arrival.counter);
        }
        if arrival.counter == self.next {
            self.next = self.next.saturating_add(1);
            return Verdict::Deliver;
        }
        self.out_of_turn(now, arrival, wait, budget)
    }

    /// A copy of what had arrived before came over `link`, and is authentic: the link has come as far as this.
    /// Under policy `active` this gives the slower links their votes, and what is lost on one link is waited
    /// for until the other brings it.
    pub fn copy_arrived(&mut self, session: u32, counter: u32, link: LinkId) {
        if self.session() == Some(session) {
            self.pass(link, counter);
        }
    }

    /// `link` is known to take part from now on, although it has delivered nothing yet (round robin: it came up):
    /// it votes, and so its first datagrams are waited for.
    pub fn link_came(&mut self, link: LinkId) {
        if let Some(passed) = self.passed.get_mut(link.index()) {
            *passed = self.next.max(*passed);
            self.voting = self.voting.with(link);
        }
    }

    /// `link` is down or used no more: nothing is expected of it.
    pub fn link_gone(&mut self, link: LinkId) {
        self.voting = self.voting.without(link);
    }

    /// The next of the held items, if its turn has come at `now`. Call it until it gives `None`.
    #[inline]
    pub fn release(&mut self, now: Time, budget: &mut Budget) -> Option<Released> {
        while let Some((&counter, held)) = self.held.first_key_value() {
            if counter > self.next {
                let lost = self.lost(now, counter, held.noticed, budget)?;
                self.skip_to(counter, lost);
            }
            self.next = counter.saturating_add(1);
            let (_, held) = self.held.pop_first()?;
            if let Some(released) = self.give_back(now, held, budget) {
                return Some(released);
            }
        }
        None
    }

    /// When [`Self::release`] has something to give even if nothing more arrives; `None` while nothing is held.
    pub fn deadline(&self) -> Option<Time> {
        let (_, held) = self.held.first_key_value()?;
        Some(Time::from_nanos(
            held.noticed.as_nanos().saturating_add(self.wait.as_nanos()),
        ))
    }

    /// Gives back all that is held, in order: the peer is removed, or ordering is switched off.
    #[must_use = "what was held would be lost"]
    pub fn flush(&mut self, now: Time, budget: &mut Budget) -> impl Iterator<Item = Released> + use<> {
        for held in self.held.values() {
            let hold = now.since(held.arrived);
            self.counters.longest_hold = self.counters.longest_hold.max(hold);
        }
        budget.used = budget.used.saturating_sub(self.held_bytes);
        self.held_bytes = 0;
        let held = core::mem::take(&mut self.held).into_values();
        held.filter(|h| h.item != Item::Nothing)
            .map(|h| (h.item, h.bytes))
    }

    /// What has happened so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sets the counters to zero.
    pub fn clear_counters(&mut self) {
        self.counters = Counters::default();
    }

    /// Like a new one, but that it goes on counting.
    pub fn reset(&mut self) {
        let counters = self.counters;
        *self = Self {
            counters,
            ..Self::default()
        };
    }

    /// How many items are held.
    pub fn held_items(&self) -> usize {
        self.held.len()
    }

    /// How many bytes are held, [`ITEM_COST`] for each item included.
    pub const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    fn out_of_turn(&mut self, now: Time, arrival: &Arrival<'_>, wait: Span, budget: &mut Budget) -> Verdict {
        let counter = arrival.counter;
        if counter < self.next {
            self.counters.late = self.counters.late.saturating_add(1);
            return Verdict::Deliver;
        }
        self.wait = wait.min(MAX_WAIT);
        let above = self.held.range(counter..).next();
        if above.is_some_and(|(&c, _)| c == counter) {
            debug_assert!(false, "the replay window lets no copy through");
            return Verdict::Held;
        }
        // Where something above is held, the holes below this one have been known for longer.
        let noticed = above.map_or(now, |(_, held)| held.noticed);
        if self.held.first_key_value().is_none_or(|(&c, _)| c > counter)
            && let Some(lost) = self.lost(now, counter, noticed, budget)
        {
            self.skip_to(counter, lost);
            self.next = counter.saturating_add(1);
            return Verdict::Deliver;
        }
        self.hold(now, arrival, noticed, budget);
        Verdict::Held
    }

    fn hold(&mut self, now: Time, arrival: &Arrival<'_>, noticed: Time, budget: &mut Budget) {
        let held = Held {
            item: arrival.item,
            bytes: arrival.bytes.into(),
            arrived: now,
            noticed,
        };
        let cost = cost(&held);
        self.held_bytes = self.held_bytes.saturating_add(cost);
        budget.used = budget.used.saturating_add(cost);
        self.counters.held = self.counters.held.saturating_add(1);
        self.held.insert(arrival.counter, held);
    }

    fn give_back(&mut self, now: Time, held: Held, budget: &mut Budget) -> Option<Released> {
        let cost = cost(&held);
        self.held_bytes = self.held_bytes.saturating_sub(cost);
        budget.used = budget.used.saturating_sub(cost);
        let hold = now.since(held.arrived);
        self.counters.longest_hold = self.counters.longest_hold.max(hold);
        (held.item != Item::Nothing).then_some((held.item, held.bytes))
    }

    /// Whether, and why, the holes from `next` up to `counter`, noticed at `noticed`, are given up.
    fn lost(&self, now: Time, counter: u32, noticed: Time, budget: &Budget) -> Option<Lost> {
        let (_, first) = self.session?;
        // A link that has not been heard in this session may have the first counters under way.
        let may_vote = noticed.since(first) >= self.wait;
        if may_vote && self.passed_by_all().is_some_and(|all| counter <= all) {
            Some(Lost::Votes)
        } else if now.since(noticed) >= self.wait {
            Some(Lost::Timer)
        } else if self.held.len() > MAX_ITEMS || self.held_bytes > MAX_BYTES || budget.is_over() {
            Some(Lost::Overflow)
        } else {
            None
        }
    }

    fn skip_to(&mut self, counter: u32, lost: Lost) {
        let holes = u64::from(counter.saturating_sub(self.next));
        let count = match lost {
            Lost::Votes => &mut self.counters.skipped_by_votes,
            Lost::Timer => &mut self.counters.skipped_by_timer,
            Lost::Overflow => &mut self.counters.skipped_by_overflow,
        };
        *count = count.saturating_add(holes);
        if lost == Lost::Timer {
            self.stood_still(counter);
        }
        self.next = counter;
    }

    /// The holes from `next` up to `counter` were waited for in vain: on the links that have not passed them.
    fn stood_still(&mut self, counter: u32) {
        for (link, passed) in LinkId::all().zip(&mut self.passed) {
            if *passed <= self.next {
                *passed = counter;
                self.voting = self.voting.without(link);
            }
        }
    }

    fn pass(&mut self, link: LinkId, counter: u32) {
        if let Some(passed) = self.passed.get_mut(link.index())
            && counter >= *passed
        {
            *passed = counter.saturating_add(1);
            self.voting = self.voting.with(link);
        }
    }

    /// Every link that votes has passed the counters below this one; `None` where none votes.
    fn passed_by_all(&self) -> Option<u32> {
        self.voters().iter().map(|link| self.passed_by(link)).min()
    }

    fn voters(&self) -> LinkSet {
        let is_near = |link: &LinkId| self.next.saturating_sub(self.passed_by(*link)) <= VOTE_SPAN;
        self.voting.iter().filter(is_near).collect()
    }

    fn passed_by(&self, link: LinkId) -> u32 {
        self.passed.get(link.index()).copied().unwrap_or(0)
    }
}

fn cost(held: &Held) -> usize {
    held.bytes.len().saturating_add(ITEM_COST)
}

#[cfg(test)]
mod tests;
