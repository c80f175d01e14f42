//! Puts the pieces of frames and datagrams together again, for one peer.
//!
//! The memory that others can make us spend is what this file is about:
//!
//! - a whole gets one buffer of exactly its length when its first piece comes, never more;
//! - at most [`MAX_WHOLES`] and [`MAX_BYTES`] wait per peer, and no longer than [`LIFETIME`]; past a bound the
//!   oldest whole *of the same peer* goes, so no peer can push out another's;
//! - all peers together stay within a budget that the caller owns;
//! - while nothing waits, nothing is allocated.
//!
//! Pieces that contradict each other end their whole (RFC 5722): it is remembered without its buffer for
//! as long as it would have lived, so that what comes of it later is discarded too.
//!
//! A piece must be authentic and its header parsed before it comes here. Exact copies of a datagram are the
//! replay window's business; nothing here remembers what was completed.
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

use alloc::{collections::VecDeque, vec::Vec};

use crate::{
    drop_reason::{DropCounters, DropReason},
    time::{Span, Time},
    wire::fragment_header::{FragmentHeader, FragmentKind, MAX_PIECES},
};

/// Most wholes of a peer that wait for pieces (limits: row 18).
pub const MAX_WHOLES: usize = 64;
/// Most bytes of buffers for them.
pub const MAX_BYTES: usize = 256 << 10;
const _: () = assert!(
    MAX_BYTES > u16::MAX as usize,
    "any whole fits where nothing waits"
);
/// How long a whole may take, from its first piece to its last.
pub const LIFETIME: Span = Span::from_millis(500);
/// Bytes of buffers for all peers together: what the budget should be at the start.
pub const MAX_BYTES_TOTAL: usize = 64 << 20;

/// The wholes of one peer that wait for pieces.
///
/// `budget` is the number of bytes that all reassemblers together may still allocate; each call takes from it
/// and gives back to it. Call [`Reassembler::clear`] before dropping one, or its share is lost.
#[derive(Debug, Default)]
pub struct Reassembler {
    /// In the order in which they began.
    wholes: VecDeque<Whole>,
    /// The sum of their buffers.
    bytes: usize,
}

impl Reassembler {
    /// A piece of the whole `header.id` of the session with the local serial number `session` arrived.
    /// Returns the whole if that completes it.
    ///
    /// Drops are counted as [`DropReason::FragmentConflict`], once for the whole and once for each piece of it
    /// that comes later; [`DropReason::FragmentCopy`], a piece that is here already, byte for byte; and once
    /// for each whole that goes, [`DropReason::FragmentTimeout`] and [`DropReason::ReassemblyFull`].
    pub fn insert(
        &mut self,
        now: Time,
        session: u32,
        header: &FragmentHeader,
        piece: &[u8],
        budget: &mut usize,
        drops: &mut DropCounters,
    ) -> Option<Vec<u8>> {
        self.expire(now, budget, drops);
        // The youngest is the likeliest.
        let known = self
            .wholes
            .iter()
            .rposition(|w| (w.session, w.id) == (session, header.id));
        let at = match known {
            Some(at) => at,
            None => self.begin(now, session, header, budget, drops)?,
        };
        let whole = self.wholes.get_mut(at)?;
        match whole.add(header, piece) {
            Added::Waits => None,
            Added::Copy => {
                drops.count(DropReason::FragmentCopy);
                None
            }
            Added::Conflict => {
                drops.count(DropReason::FragmentConflict);
                let freed = whole.buffer.take();
                self.release(freed.as_deref(), budget);
                None
            }
            Added::Complete => {
                let buffer = self.wholes.remove(at)?.buffer;
                self.release(buffer.as_deref(), budget);
                buffer
            }
        }
    }

    /// Drops what has waited too long.
    pub fn expire(&mut self, now: Time, budget: &mut usize, drops: &mut DropCounters) {
        while self.deadline().is_some_and(|at| at <= now) {
            self.drop_oldest(DropReason::FragmentTimeout, budget, drops);
        }
    }

    /// When the oldest has waited too long.
    pub fn deadline(&self) -> Option<Time> {
        self.wholes.front().map(|w| w.began + LIFETIME)
    }

    /// Drops all, without counting it: the peer is gone.
    pub fn clear(&mut self, budget: &mut usize) {
        *budget = budget.saturating_add(self.bytes);
        *self = Self::default();
    }

    /// Wholes that wait, those included that will never be delivered.
    pub fn len(&self) -> usize {
        self.wholes.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.wholes.is_empty()
    }

    /// Bytes of their buffers.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes a place for a new whole and returns its index.
    fn begin(
        &mut self,
        now: Time,
        session: u32,
        header: &FragmentHeader,
        budget: &mut usize,
        drops: &mut DropCounters,
    ) -> Option<usize> {
        let total = usize::from(header.total);
        let reachable = total <= budget.saturating_add(self.bytes);
        let mut buffer = Vec::new();
        if !reachable || buffer.try_reserve_exact(total).is_err() {
            // What waits would not be enough to make room: others have the memory, so it stays.
            drops.count(DropReason::ReassemblyFull);
            return None;
        }
        buffer.resize(total, 0);
        while self.wholes.len() >= MAX_WHOLES
            || self.bytes.saturating_add(total) > MAX_BYTES
            || *budget < total
        {
            self.drop_oldest(DropReason::ReassemblyFull, budget, drops);
        }
        *budget = budget.saturating_sub(total);
        self.bytes = self.bytes.saturating_add(total);
        let at = self.wholes.len();
        self.wholes.push_back(Whole {
            session,
            id: header.id,
            kind: header.kind,
            total: header.total,
            began: now,
            buffer: Some(buffer),
            filled: 0,
            pieces: [(0, 0); MAX_PIECES],
            count: 0,
        });
        Some(at)
    }

    fn drop_oldest(&mut self, reason: DropReason, budget: &mut usize, drops: &mut DropCounters) {
        let Some(whole) = self.wholes.pop_front() else {
            return;
        };
        if whole.buffer.is_some() {
            // One that contradicted itself was counted when it did.
            drops.count(reason);
        }
        self.release(whole.buffer.as_deref(), budget);
    }

    /// `buffer` is no longer held here.
    fn release(&mut self, buffer: Option<&[u8]>, budget: &mut usize) {
        let freed = buffer.map_or(0, <[u8]>::len);
        self.bytes = self.bytes.saturating_sub(freed);
        *budget = budget.saturating_add(freed);
        if self.wholes.is_empty() {
            self.wholes = VecDeque::new();
        }
    }
}

/// A frame or a datagram of which something is missing.
#[derive(Debug)]
struct Whole {
    session: u32,
    id: u32,
    kind: FragmentKind,
    total: u16,
    began: Time,
    /// `total` bytes; `None` after a contradiction.
    buffer: Option<Vec<u8>>,
    /// How many of them have arrived.
    filled: usize,
    /// Begin and end of each piece that has arrived; the first `count` are in use.
    pieces: [(u16, u16); MAX_PIECES],
    count: usize,
}

/// What a piece did.
#[derive(Debug, PartialEq, Eq)]
enum Added {
    Waits,
    Complete,
    /// It was here already.
    Copy,
    /// It cannot be true together with what came before.
    Conflict,
}

impl Whole {
    fn add(&mut self, header: &FragmentHeader, piece: &[u8]) -> Added {
        let (start, len) = (header.offset, piece.len());
        let end = u16::try_from(len).ok().and_then(|len| start.checked_add(len));
        let (Some(buffer), Some(end)) = (&mut self.buffer, end.filter(|e| *e > start)) else {
            return Added::Conflict;
        };
        // The place is taken from the buffer that there is, never from what a header claims.
        let Some(place) = buffer.get_mut(usize::from(start)..usize::from(end)) else {
            return Added::Conflict;
        };
        let arrived = self.pieces.get(..self.count).unwrap_or_default();
        if (header.kind, header.total) != (self.kind, self.total) {
            return Added::Conflict;
        }
        if arrived.contains(&(start, end)) {
            return if *place == *piece {
                Added::Copy
            } else {
                Added::Conflict
            };
        }
        if arrived.iter().any(|(s, e)| start < *e && *s < end) {
            return Added::Conflict;
        }
        let Some(slot) = self.pieces.get_mut(self.count) else {
            return Added::Conflict;
        };
        *slot = (start, end);
        place.copy_from_slice(piece);
        self.count = self.count.saturating_add(1);
        self.filled = self.filled.saturating_add(len);
        if self.filled == buffer.len() {
            Added::Complete
        } else {
            Added::Waits
        }
    }
}

#[cfg(test)]
mod tests;
