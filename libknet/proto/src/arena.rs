//! Where datagrams are sealed, and where those stay that may have to go out again.
//!
//! A datagram that is held is not copied: the chunk of memory that it was sealed into is not used again before the last
//! datagram in it that is held has been let go of. So memory is a log, shared by all peers, of which old parts are free
//! here and there. One datagram in a chunk keeps all of it; but nothing is held for much longer than half a second (twice
//! [`crate::resend_ring::REPLAY_MAX_AGE`]), so that this is bounded by what was sealed meanwhile, and by [`MOST`].

use alloc::{collections::VecDeque, vec::Vec};
use core::ops::Range;

/// A chunk with so many bytes gets no more, and one has room for as many, and for what is sealed at once.
const FULL: usize = 192 << 10;
const CAPACITY: usize = 512 << 10;
/// Chunks kept for later use.
const SPARE: usize = 16;
/// As many stay when little goes out: bursts with pauses between them would ask for one, and give it back, each time.
const KEPT: usize = 1;
/// After so many calls of [`Arena::sent`] in turn with no more than [`LITTLE`] bytes even that goes back.
const QUIET: u16 = 1_024;
const LITTLE: usize = 16 << 10;
/// Bytes of all chunks of an interface together. Past that the oldest goes, whatever is held in it.
pub const MOST: usize = 512 << 20;

/// What has been sealed.
#[derive(Debug)]
pub struct Arena {
    /// The chunk that grows. What is sealed is appended here.
    pub bytes: Vec<u8>,
    /// Datagrams in it that are held.
    held: u32,
    /// Where those begin that have not been sent yet.
    unsent: usize,
    /// Chunks that are full, the oldest first; `None` where nothing was held any more.
    full: VecDeque<Option<Chunk>>,
    /// The number of the first of them. Numbers ascend, one for each chunk, and wrap.
    first: u32,
    spare: Vec<Vec<u8>>,
    /// How often in turn there was little to send.
    quiet: u16,
    held_bytes: usize,
    reserved: usize,
    most: usize,
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    held: u32,
}

/// Where a datagram is that is held.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    chunk: u32,
    start: u32,
    len: u32,
}

impl Place {
    /// Bytes of the datagram.
    pub const fn size(self) -> usize {
        self.len as usize
    }

    fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.size()
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl Arena {
    /// One that keeps at most `most` bytes of memory for what is held.
    pub const fn new(most: usize) -> Self {
        Self {
            bytes: Vec::new(),
            held: 0,
            unsent: 0,
            full: VecDeque::new(),
            first: 0,
            spare: Vec::new(),
            quiet: 0,
            held_bytes: 0,
            reserved: 0,
            most,
        }
    }

    /// The bytes that can be held besides those that are.
    pub const fn room(&self) -> usize {
        self.most.saturating_sub(self.held_bytes)
    }

    /// Holds the datagram that was sealed last and begins at `start`.
    pub fn hold(&mut self, start: usize) -> Place {
        let len = self.bytes.len().saturating_sub(start);
        self.held += 1;
        self.held_bytes += len;
        Place {
            chunk: self.number(),
            start: start as u32,
            len: len as u32,
        }
    }

    /// Lets go of it. Once for each [`Arena::hold`].
    pub fn release(&mut self, place: Place) {
        self.held_bytes = self.held_bytes.saturating_sub(place.size());
        if place.chunk == self.number() {
            self.held = self.held.saturating_sub(1);
            return;
        }
        let at = place.chunk.wrapping_sub(self.first) as usize;
        let Some(slot) = self.full.get_mut(at) else { return };
        if let Some(chunk) = slot {
            chunk.held = chunk.held.saturating_sub(1);
        }
        if let Some(chunk) = slot.take_if(|c| c.held == 0) {
            self.reuse(chunk.bytes);
        }
        self.pop_free();
    }

    /// Appends a copy of what is held at `place` to [`Arena::bytes`]. Returns false if it had to go.
    pub fn copy(&mut self, place: Place) -> bool {
        if place.chunk == self.number() {
            self.bytes.extend_from_within(place.range());
            return true;
        }
        let at = place.chunk.wrapping_sub(self.first) as usize;
        let chunk = self.full.get(at).and_then(Option::as_ref);
        let bytes = chunk.and_then(|c| c.bytes.get(place.range()));
        bytes.map(|b| self.bytes.extend_from_slice(b)).is_some()
    }

    /// Bytes that were sealed and have not been sent yet.
    pub fn unsent(&self) -> usize {
        self.bytes.len().saturating_sub(self.unsent)
    }

    /// All that was sealed has been sent: what is not held is not needed any more. Returns whether little has been sent for
    /// so long that buffers for more should go back; once, until there is more again.
    pub fn sent(&mut self) -> bool {
        let mut rests = false;
        if self.held == 0 {
            let little = self.full.is_empty() && self.bytes.len() <= LITTLE;
            self.quiet = if little { self.quiet.saturating_add(1) } else { 0 };
            self.bytes.clear();
            if self.full.is_empty() && self.spare.len() > KEPT {
                // Little goes out now; memory goes back to the system little by little.
                self.spare.pop();
            }
            rests = self.quiet == QUIET;
            if rests {
                self.spare = Vec::new();
                self.bytes.shrink_to(LITTLE);
            }
        } else if self.bytes.len() >= FULL {
            let next = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(CAPACITY));
            let bytes = core::mem::replace(&mut self.bytes, next);
            let held = core::mem::take(&mut self.held);
            self.reserved += bytes.capacity();
            self.full.push_back(Some(Chunk { bytes, held }));
            while self.reserved > self.most {
                self.discard_oldest();
            }
        }
        self.unsent = self.bytes.len();
        rests
    }

    /// Bytes of the datagrams that are held.
    pub const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Bytes of memory that are kept for them.
    pub fn reserved(&self) -> usize {
        let growing = if self.held > 0 { self.bytes.capacity() } else { 0 };
        self.reserved + growing
    }

    /// The number of the chunk that grows.
    fn number(&self) -> u32 {
        self.first.wrapping_add(self.full.len() as u32)
    }

    fn discard_oldest(&mut self) {
        if let Some(chunk) = self.full.pop_front().flatten() {
            self.reserved -= chunk.bytes.capacity();
        }
        self.first = self.first.wrapping_add(1);
        self.pop_free();
    }

    fn pop_free(&mut self) {
        while let Some(None) = self.full.front() {
            self.full.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    fn reuse(&mut self, mut bytes: Vec<u8>) {
        self.reserved -= bytes.capacity();
        // A frame for a thousand peers makes a chunk of any size.
        if self.spare.len() < SPARE && bytes.capacity() <= 2 * CAPACITY {
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use proptest::prelude::*;

    use super::*;

    fn seal(arena: &mut Arena, len: usize, byte: u8) -> usize {
        let start = arena.bytes.len();
        arena.bytes.extend(vec![byte; len]);
        start
    }

    fn read(arena: &mut Arena, place: Place) -> Option<Vec<u8>> {
        let start = arena.bytes.len();
        let copied = arena.copy(place);
        let bytes = arena.bytes.split_off(start);
        copied.then_some(bytes)
    }

    #[test]
    fn what_is_not_held_is_used_again_at_once() {
        let mut arena = Arena::default();
        for _ in 0..3 {
            seal(&mut arena, 1_000, 1);
            assert_eq!(arena.unsent(), 1_000);
            arena.sent();
            assert_eq!((arena.bytes.len(), arena.unsent(), arena.reserved()), (0, 0, 0));
        }
        let start = seal(&mut arena, 100, 2);
        let place = arena.hold(start);
        arena.sent();
        seal(&mut arena, 10, 3);
        assert_eq!((arena.bytes.len(), arena.unsent()), (110, 10));
        arena.release(place);
        assert_eq!(arena.bytes.len(), 110, "the others have not been sent yet");
        arena.sent();
        assert_eq!(arena.bytes.len(), 0);
    }

    #[test]
    fn one_chunk_follows_the_other_and_is_used_again() {
        let mut arena = Arena::default();
        let mut places = VecDeque::new();
        for round in 0..1_000_u32 {
            let start = seal(&mut arena, FULL, round as u8);
            places.push_back(arena.hold(start));
            arena.sent();
            assert_eq!(arena.bytes.len(), 0, "it is full");
            if places.len() > 5 {
                arena.release(places.pop_front().expect("one"));
            }
            assert!(arena.reserved() <= 6 * CAPACITY, "{}", arena.reserved());
        }
        let bytes = read(&mut arena, places[0]);
        assert_eq!(bytes, Some(vec![995_u32 as u8; FULL]));
        for place in places {
            arena.release(place);
        }
        assert_eq!(
            (arena.reserved(), arena.held_bytes(), arena.full.len()),
            (0, 0, 0)
        );
        assert!((1..=SPARE).contains(&arena.spare.len()));
        for _ in 0..SPARE {
            seal(&mut arena, 1, 0);
            arena.sent();
        }
        assert_eq!(arena.spare.len(), KEPT);
        let mut little = 0..2 * QUIET;
        let told = little.find(|_| {
            seal(&mut arena, LITTLE, 0);
            arena.sent()
        });
        assert!(told.is_some() && !little.any(|_| arena.sent()));
        assert_eq!((arena.spare.len(), arena.bytes.capacity()), (0, LITTLE));
    }

    #[test]
    fn the_oldest_goes_when_there_is_too_much() {
        let mut arena = Arena::default();
        let places: Vec<Place> = (0..9)
            .map(|n| {
                let start = seal(&mut arena, MOST / 8, n);
                let place = arena.hold(start);
                arena.sent();
                place
            })
            .collect();
        assert!(arena.reserved() <= MOST);
        assert_eq!(read(&mut arena, places[0]), None);
        assert!(arena.copy(places[8]));
        for place in places {
            arena.release(place);
        }
        arena.sent();
        assert_eq!((arena.reserved(), arena.held_bytes()), (0, 0));
    }

    proptest! {
        /// What is held is what was sealed, wherever it is; and nothing is kept when nothing is held.
        #[test]
        fn what_is_held_stays_as_it_is(
            first in any::<u32>(),
            steps in prop::collection::vec((1_usize..100_000, any::<bool>(), any::<bool>(), any::<prop::sample::Index>()), 1..200),
        ) {
            let mut arena = Arena { first, ..Arena::default() };
            let mut held: Vec<(Place, u8)> = Vec::new();
            for (step, (len, hold, send, release)) in steps.into_iter().enumerate() {
                let start = seal(&mut arena, len, step as u8);
                if hold {
                    held.push((arena.hold(start), step as u8));
                } else if !held.is_empty() {
                    arena.release(held.swap_remove(release.index(held.len())).0);
                }
                if send {
                    arena.sent();
                }
                for (place, byte) in &held {
                    let bytes = read(&mut arena, *place);
                    prop_assert!(bytes.is_some_and(|b| b.len() == place.size() && b.iter().all(|b| b == byte)));
                }
            }
            prop_assert_eq!(arena.held_bytes(), held.iter().map(|(p, _)| p.size()).sum::<usize>());
            for (place, _) in held {
                arena.release(place);
            }
            arena.sent();
            prop_assert_eq!((arena.reserved(), arena.held_bytes(), arena.bytes.len()), (0, 0, 0));
        }
    }
}
