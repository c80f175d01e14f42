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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{collections::BTreeMap, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Insert(u64),
        InsertPast(u64),
        InsertNever,
        Reschedule(usize, u64),
        Remove(usize),
        /// Time passes.
        Advance(u64),
        /// As much time passes as the wheel says, as in the worker's loop.
        Sleep,
    }

    /// Spans of every magnitude, so that every level of the wheel and what lies beyond it is reached.
    fn any_span() -> impl Strategy<Value = u64> {
        (0_u32..58, any::<u64>()).prop_map(|(bits, n)| n & ((1 << bits) - 1))
    }

    fn any_op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => any_span().prop_map(Op::Insert),
            1 => any_span().prop_map(Op::InsertPast),
            1 => Just(Op::InsertNever),
            3 => (any::<usize>(), any_span()).prop_map(|(i, span)| Op::Reschedule(i, span)),
            2 => any::<usize>().prop_map(Op::Remove),
            3 => any_span().prop_map(Op::Advance),
            3 => Just(Op::Sleep),
        ]
    }

    /// The wheel next to a sorted map of what is armed.
    struct Pair {
        now: Time,
        wheel: TimerWheel<u32>,
        model: BTreeMap<u32, (TimerId, Time)>,
        dead: Vec<TimerId>,
        inserted: u32,
    }

    impl Pair {
        fn pick(&self, index: usize) -> Option<(u32, TimerId)> {
            let nth = index.checked_rem(self.model.len())?;
            self.model.iter().nth(nth).map(|(key, (id, _))| (*key, *id))
        }

        fn insert(&mut self, at: Time) {
            let key = self.inserted;
            self.inserted += 1;
            self.model.insert(key, (self.wheel.insert(at, key), at));
        }

        fn run(&mut self, op: Op) -> Result<(), TestCaseError> {
            match op {
                Op::Insert(span) => self.insert(self.now + Span::from_nanos(span)),
                Op::InsertPast(span) => self.insert(self.now - Span::from_nanos(span)),
                Op::InsertNever => self.insert(Time::NEVER),
                Op::Reschedule(index, span) => {
                    if let Some((key, id)) = self.pick(index) {
                        let at = self.now + Span::from_nanos(span);
                        prop_assert!(self.wheel.reschedule(id, at));
                        self.model.insert(key, (id, at));
                    }
                }
                Op::Remove(index) => {
                    if let Some((key, id)) = self.pick(index) {
                        prop_assert!(self.wheel.remove(id));
                        self.model.remove(&key);
                        self.dead.push(id);
                    }
                }
                Op::Advance(span) => {
                    self.now = self.now + Span::from_nanos(span);
                    self.fire()?;
                }
                Op::Sleep => {
                    if let Some(deadline) = self.wheel.next_deadline() {
                        self.now = self.now.max(deadline);
                        self.fire()?;
                    }
                }
            }
            self.compare()
        }

        fn fire(&mut self) -> Result<(), TestCaseError> {
            while let Some(key) = self.wheel.pop_expired(self.now) {
                let Some((id, at)) = self.model.remove(&key) else {
                    return Err(TestCaseError::fail("fired what was not armed"));
                };
                prop_assert!(at <= self.now, "fired early");
                self.dead.push(id);
            }
            for (_, at) in self.model.values() {
                prop_assert!(self.now.since(*at) < TICK, "more than a tick late");
            }
            if let Some(deadline) = self.wheel.next_deadline() {
                prop_assert!(
                    deadline > self.now,
                    "nothing to do, and would be called at once again"
                );
            }
            Ok(())
        }

        fn compare(&self) -> Result<(), TestCaseError> {
            prop_assert_eq!(self.wheel.len(), self.model.len());
            let earliest = self.model.values().map(|(_, at)| *at).min();
            match (self.wheel.next_deadline(), earliest) {
                (None, None) => {}
                (Some(deadline), Some(earliest)) => {
                    let latest = earliest.max(self.now) + TICK;
                    prop_assert!(
                        deadline <= latest,
                        "deadline {:?} after timer {:?}",
                        deadline,
                        earliest
                    );
                }
                (deadline, earliest) => {
                    return Err(TestCaseError::fail(std::format!("{deadline:?} for {earliest:?}")));
                }
            }
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn the_wheel_is_a_sorted_map(
            start in prop_oneof![Just(0_u64), any::<u64>().prop_map(|n| n >> 4)], ops in prop::collection::vec(any_op(), 1..200),
        ) {
            let now = Time::from_nanos(start);
            let mut pair =
                Pair { now, wheel: TimerWheel::new(), model: BTreeMap::new(), dead: Vec::new(), inserted: 0 };
            for op in ops {
                pair.run(op)?;
                // Names of timers that are gone stay without effect, also after their place was taken again.
                for id in pair.dead.clone() {
                    prop_assert!(!pair.wheel.is_armed(id));
                    prop_assert!(!pair.wheel.remove(id));
                    prop_assert!(!pair.wheel.reschedule(id, pair.now));
                }
            }
            // Nothing is forgotten: only what is never to fire is left.
            pair.now = Time::NEVER - TICK.times(2);
            pair.fire()?;
            prop_assert!(pair.model.values().all(|(_, at)| *at == Time::NEVER));
            prop_assert!(pair.wheel.entries.len() <= pair.inserted as usize);
        }
    }

    #[test]
    fn timers_fire_in_order_and_equal_ones_in_the_order_of_arming() {
        let mut wheel = TimerWheel::new();
        for (key, ms) in [
            (0, 70),
            (1, 5),
            (2, 5_000),
            (3, 5),
            (4, 300_000),
            (5, 4_096),
            (6, 70),
        ] {
            wheel.insert(Time::ZERO + Span::from_millis(ms), key);
        }
        let fired: Vec<u32> =
            core::iter::from_fn(|| wheel.pop_expired(Time::ZERO + Span::from_secs(301))).collect();
        assert_eq!(fired, [1, 3, 0, 6, 5, 2, 4]);
    }

    #[test]
    fn a_sleeper_wakes_at_most_once_per_level() {
        for ms in [
            1_u64,
            63,
            64,
            65,
            4_097,
            262_145,
            1 << 30,
            (1 << 36) - 1,
            (1 << 36) + 1,
        ] {
            let mut wheel = TimerWheel::new();
            let at = Time::ZERO + Span::from_millis(ms);
            wheel.insert(at, ());
            let mut wakes = 0;
            loop {
                let now = wheel.next_deadline().unwrap();
                wakes += 1;
                if wheel.pop_expired(now).is_some() {
                    assert_eq!(now, at);
                    break;
                }
            }
            assert!(wakes <= 7, "{wakes} wake-ups for {ms} ms");
        }
    }

    #[test]
    fn a_wheel_that_stood_idle_is_exact_again() {
        let mut wheel = TimerWheel::new();
        let now = Time::ZERO + Span::from_millis(64 * 1_000_000);
        assert_eq!(wheel.pop_expired(now), None);
        let at = now + Span::from_millis(10);
        wheel.insert(at, ());
        assert_eq!(wheel.next_deadline(), Some(at));
    }

    #[test]
    fn sub_tick_times_fire_after_and_never_before() {
        let mut wheel = TimerWheel::new();
        let at = Time::from_nanos(10_000_001);
        wheel.insert(at, ());
        assert_eq!(wheel.next_deadline(), Some(Time::from_nanos(11_000_000)));
        assert_eq!(wheel.pop_expired(Time::from_nanos(10_999_999)), None);
        assert_eq!(wheel.pop_expired(Time::from_nanos(11_000_000)), Some(()));
        assert!(wheel.is_empty());
    }

    #[test]
    fn places_are_used_again() {
        let mut wheel = TimerWheel::new();
        for round in 0..1_000 {
            let id = wheel.insert(Time::from_nanos(round * 1_000_000), ());
            assert!(wheel.remove(id));
        }
        assert_eq!(wheel.entries.len(), 1);
    }
}
