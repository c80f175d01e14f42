//! Where the entries of a table are: places with numbers that stay as long as the entry does, so that lists and an index
//! can name them. The lowest free place is taken first, and what is free at the end goes back, so that a table that a flood
//! of addresses has made large is small again when they have aged.

use alloc::{collections::BinaryHeap, vec::Vec};
use core::{cmp::Reverse, hash::Hash};

use hashbrown::HashMap;

use super::seeded_hash::SeededHash;

/// A table keeps memory for so many entries.
const KEPT: usize = 64;
/// Places that are given back for each entry that goes: more than one, so that the end is reached, and few, so that it
/// takes no time.
const TRIMMED: usize = 2;

/// Entries that go to lower places for each that ages, where most are free: enough to be done before the last has aged.
pub(super) const MOVED: usize = 4;

/// An entry, or what stands in its place when it is gone.
pub(super) trait Place {
    /// Whether it is gone.
    fn is_free(&self) -> bool;

    /// It goes.
    fn free(&mut self);
}

/// The entries of a table.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<T>,
    /// Those that are free, and some that are not there any more.
    free: BinaryHeap<Reverse<u32>>,
}

impl<T: Place + Copy> Slab<T> {
    pub(super) const fn new() -> Self {
        Self {
            places: Vec::new(),
            free: BinaryHeap::new(),
        }
    }

    /// Puts an entry into the lowest free place.
    pub(super) fn add(&mut self, entry: T) -> u32 {
        while let Some(Reverse(number)) = self.free.pop() {
            if let Some(place) = self.places.get_mut(number as usize) {
                *place = entry;
                return number;
            }
        }
        self.places.push(entry);
        self.places.len() as u32 - 1
    }

    /// Takes an entry away, which is in no list any more.
    pub(super) fn remove(&mut self, number: u32) {
        let Some(place) = self.places.get_mut(number as usize) else {
            return;
        };
        place.free();
        self.free.push(Reverse(number));
        for _ in 0..TRIMMED {
            self.places.pop_if(|place| place.is_free());
        }
        if self.places.capacity() > KEPT.max(3 * self.places.len()) {
            self.places.shrink_to(KEPT.max(2 * self.places.len()));
            let there = self.places.len() as u32;
            self.free.retain(|Reverse(number)| *number < there);
            self.free.shrink_to(self.free.len());
        }
    }

    /// Where most places are free, puts the last entry into the first of them: while it is at the end none can be given back.
    /// Returns its new number, under which the index and the lists that it is in are to know it.
    pub(super) fn close_gap(&mut self) -> Option<u32> {
        let mostly_free = self.places.len() > KEPT && self.free.len() >= self.places.len() / 2;
        let last = *self
            .places
            .last()
            .filter(|place| mostly_free && !place.is_free())?;
        let from = self.places.len() as u32 - 1;
        let to = self.add(last);
        self.remove(from);
        Some(to)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }
}

impl<T> core::ops::Deref for Slab<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.places
    }
}

impl<T> core::ops::DerefMut for Slab<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.places
    }
}

/// Gives back memory of the index that has the numbers of the entries, where that has become much smaller.
pub(super) fn trim_index<K: Eq + Hash>(index: &mut HashMap<K, u32, SeededHash>) {
    if index.capacity() > KEPT.max(8 * index.len()) {
        index.shrink_to(KEPT.max(2 * index.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Place for Option<u8> {
        fn is_free(&self) -> bool {
            self.is_none()
        }

        fn free(&mut self) {
            *self = None;
        }
    }

    #[test]
    fn the_lowest_free_place_is_taken_and_the_end_is_given_back() {
        let mut slab = Slab::new();
        for n in 0..10_000 {
            assert_eq!(slab.add(Some(7)), n);
        }
        for n in (0..9_999).rev() {
            slab.remove(n);
        }
        assert_eq!(slab.len(), 10_000, "the last one is there");
        assert_eq!((slab.close_gap(), slab[0]), (Some(0), Some(7)));
        assert_eq!(slab.len(), 9_998, "its place and one more");
        assert_eq!(slab.close_gap(), None, "the last one is free");
        // Each that goes takes two with it.
        for _ in 0..5_000 {
            let number = slab.add(Some(2));
            slab.remove(number);
        }
        assert_eq!((slab.len(), slab[0]), (1, Some(7)));
        assert!(slab.places.capacity() <= KEPT && slab.free.capacity() <= KEPT);
        assert_eq!(slab.add(Some(3)), 1);
    }

    #[test]
    fn a_place_that_is_not_there_any_more_is_not_taken() {
        let mut slab = Slab::new();
        let numbers: Vec<u32> = (0..4).map(|_| slab.add(Some(0))).collect();
        numbers.iter().rev().for_each(|n| slab.remove(*n));
        assert!(slab.is_empty());
        assert_eq!((0..4).map(|_| slab.add(Some(0))).collect::<Vec<_>>(), numbers);
    }
}
