//! Timers: a hierarchical wheel of six levels with 64 slots each and a tick of 1 ms (Varghese and Lauck,
//! "Hashed and hierarchical timing wheels", 1987).
//!
//! All operations are O(1): an entry moves to a lower level at most six times before it fires, and a bit map per
//! level finds the next slot without looking at empty ones.
//!
//! Invariant: an entry at level `k` agrees with `elapsed` in all bits of its tick above level `k`, and its slot
//! lies after that of `elapsed`. So the lowest level with an entry holds the earliest ones, and moving
//! `elapsed` forward to anything before the next occupied slot keeps the invariant.

use alloc::vec::Vec;

use crate::{
    intrusive_list::{Links, List},
    time::{Span, Time},
};

/// Timers never fire early, and at most this much late (besides the lateness of the call).
pub const TICK: Span = Span::from_millis(1);

const LEVELS: usize = 6;
const LEVEL_BITS: u32 = 6;
const SLOTS: usize = 1 << LEVEL_BITS;
/// Ticks that the levels span together: 2.2 years.
const RANGE_BITS: u32 = LEVEL_BITS * LEVELS as u32;

/// Names an armed timer. Once the timer has fired or was removed, the name is dead and does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    index: u32,
    generation: u32,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Fires with the next call.
    Due,
    /// In a slot of a level.
    Slot { level: u8, slot: u8 },
    /// Further away than the levels span.
    Far,
    /// Not armed; free for the next timer.
    Free,
}

#[derive(Debug)]
struct Entry<K> {
    links: Links,
    generation: u32,
    place: Place,
    tick: u64,
    key: K,
}

fn links<K>(entry: &mut Entry<K>) -> &mut Links {
    &mut entry.links
}

/// A wheel of timers; each carries a key that is handed back when it fires.
#[derive(Debug)]
pub struct TimerWheel<K> {
    entries: Vec<Entry<K>>,
    free: List,
    armed: usize,
    /// The tick up to which everything has been moved to `due`.
    elapsed: u64,
    due: List,
    slots: [[List; SLOTS]; LEVELS],
    /// Bit `s` of word `k`: slot `s` of level `k` is not empty.
    occupied: [u64; LEVELS],
    far: List,
}

impl<K: Copy> Default for TimerWheel<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Copy> TimerWheel<K> {
    /// A wheel without timers.
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: List::EMPTY,
            armed: 0,
            elapsed: 0,
            due: List::EMPTY,
            slots: [[List::EMPTY; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            far: List::EMPTY,
        }
    }

    /// How many timers are armed.
    pub fn len(&self) -> usize {
        self.armed
    }

    /// Whether no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.armed == 0
    }

    /// Arms a timer that fires at `at`, or with the next call if that has passed. Memory grows only where more
    /// timers are armed than ever before.
    pub fn insert(&mut self, at: Time, key: K) -> TimerId {
        let tick = tick_at_or_after(at);
        let index = if let Some(index) = self.free.pop_front(&mut self.entries, links) {
            index
        } else {
            self.entries.push(Entry {
                links: Links::UNLINKED,
                generation: 0,
                place: Place::Free,
                tick,
                key,
            });
            self.entries.len() as u32 - 1
        };
        self.armed += 1;
        self.entries[index as usize].key = key;
        self.link(index, tick);
        TimerId {
            index,
            generation: self.entries[index as usize].generation,
        }
    }

    /// Moves an armed timer to another time. Returns false, and does nothing, if it fired or was removed.
    #[must_use = "a timer that has fired is not armed again by this"]
    pub fn reschedule(&mut self, id: TimerId, at: Time) -> bool {
        if !self.is_armed(id) {
            return false;
        }
        let tick = tick_at_or_after(at);
        if self.entries[id.index as usize].tick != tick {
            self.unlink(id.index);
            self.link(id.index, tick);
        }
        true
    }

    /// Disarms a timer. Returns false if it fired or was removed already.
    pub fn remove(&mut self, id: TimerId) -> bool {
        if !self.is_armed(id) {
            return false;
        }
        self.unlink(id.index);
        self.release(id.index);
        true
    }

    /// Whether the timer is still to fire.
    pub fn is_armed(&self, id: TimerId) -> bool {
        self.entries
            .get(id.index as usize)
            .is_some_and(|e| e.generation == id.generation && e.place != Place::Free)
    }

    /// When to call [`Self::pop_expired`] next: never more than one tick after the earliest timer's time, and
    /// for a far-away timer possibly before it (then that call only moves entries, and this says later).
    /// `None` without timers. After `pop_expired(now)` has returned `None`, it is later than `now`.
    pub fn next_deadline(&self) -> Option<Time> {
        let tick = if self.due.is_empty() {
            self.next_step()?.tick
        } else {
            self.elapsed
        };
        Some(Time::ZERO + TICK.times(tick))
    }

    /// Disarms one timer whose time has come, and returns its key; `None` if there is none (any more). Earlier
    /// ones come first, but for those armed with a time already past.
    pub fn pop_expired(&mut self, now: Time) -> Option<K> {
        let now_tick = now.since(Time::ZERO).as_millis();
        while self.due.is_empty() {
            match self.next_step() {
                Some(step) if step.tick <= now_tick => self.take(step),
                _ => {
                    self.elapsed = self.elapsed.max(now_tick);
                    return None;
                }
            }
        }
        let index = self.due.pop_front(&mut self.entries, links)?;
        let key = self.entries[index as usize].key;
        self.release(index);
        Some(key)
    }

    /// The next tick at which entries have to move, and from where.
    fn next_step(&self) -> Option<Step> {
        for (level, occupied) in self.occupied.iter().enumerate() {
            if *occupied != 0 {
                let slot = occupied.trailing_zeros();
                let shift = LEVEL_BITS * level as u32;
                let above = self.elapsed >> (shift + LEVEL_BITS) << LEVEL_BITS;
                let tick = (above | u64::from(slot)) << shift;
                return Some(Step {
                    tick,
                    from: Place::Slot {
                        level: level as u8,
                        slot: slot as u8,
                    },
                });
            }
        }
        let tick = ((self.elapsed >> RANGE_BITS) + 1) << RANGE_BITS;
        (!self.far.is_empty()).then_some(Step {
            tick,
            from: Place::Far,
        })
    }

    /// Goes on to the step's tick and moves its entries to where they belong from there.
    fn take(&mut self, step: Step) {
        self.elapsed = step.tick;
        let mut list = core::mem::replace(self.list(step.from), List::EMPTY);
        if let Place::Slot { level, slot } = step.from {
            self.occupied[level as usize] &= !(1 << slot);
        }
        while let Some(index) = list.pop_front(&mut self.entries, links) {
            self.link(index, self.entries[index as usize].tick);
        }
    }

    fn link(&mut self, index: u32, tick: u64) {
        let place = self.place_of(tick);
        let entry = &mut self.entries[index as usize];
        entry.tick = tick;
        entry.place = place;
        if let Place::Slot { level, slot } = place {
            self.occupied[level as usize] |= 1 << slot;
        }
        // Two fields are borrowed at once, so not through `list()`.
        let list = match place {
            Place::Due => &mut self.due,
            Place::Slot { level, slot } => &mut self.slots[level as usize][slot as usize],
            Place::Far => &mut self.far,
            Place::Free => &mut self.free,
        };
        list.push_back(&mut self.entries, links, index);
    }

    fn unlink(&mut self, index: u32) {
        let place = self.entries[index as usize].place;
        let mut list = *self.list(place);
        list.remove(&mut self.entries, links, index);
        *self.list(place) = list;
        if let Place::Slot { level, slot } = place
            && list.is_empty()
        {
            self.occupied[level as usize] &= !(1 << slot);
        }
    }

    /// Frees an entry that is in no list.
    fn release(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.place = Place::Free;
        self.free.push_back(&mut self.entries, links, index);
        self.armed -= 1;
    }

    fn place_of(&self, tick: u64) -> Place {
        if tick <= self.elapsed {
            return Place::Due;
        }
        let highest_difference = (tick ^ self.elapsed).ilog2();
        if highest_difference >= RANGE_BITS {
            return Place::Far;
        }
        let level = highest_difference / LEVEL_BITS;
        let slot = tick >> (level * LEVEL_BITS) & (SLOTS as u64 - 1);
        Place::Slot {
            level: level as u8,
            slot: slot as u8,
        }
    }

    fn list(&mut self, place: Place) -> &mut List {
        match place {
            Place::Due => &mut self.due,
            Place::Slot { level, slot } => &mut self.slots[level as usize][slot as usize],
            Place::Far => &mut self.far,
            Place::Free => &mut self.free,
        }
    }
}

#[derive(Clone, Copy)]
struct Step {
    tick: u64,
    from: Place,
}

/// The first tick that is not before `at`.
fn tick_at_or_after(at: Time) -> u64 {
    at.as_nanos().div_ceil(TICK.as_nanos())
}
