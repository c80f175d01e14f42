//! Which counters were seen: the filter for replays and for the copies that arrive over other links.
//!
//! A ring of 64-bit words indexed by the counter (RFC 6479): nothing is ever shifted, and a step forward
//! clears whole words. One word more than the window is wide lies between the newest and the oldest bit.
//! As long as nothing was left out, which on most links is so from one rekey to the next, there are no words.
//! Counters are 32 bits, begin at 0 and never wrap, so comparing them is plain comparison.
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

use alloc::{boxed::Box, vec};

use crate::drop_reason::DropReason;

/// Width of a new window of a lane, in counters (limits: row 15).
pub const INITIAL_BITS: u32 = 2_048;
/// Widest window of a lane, in counters (limits: row 15).
pub const MAX_BITS: u32 = 65_536;
/// Width of the window of a link's control datagrams, in counters.
pub const CTRL_BITS: u32 = 256;

const WORD_BITS: u32 = 64;
const WORD_SHIFT: u32 = WORD_BITS.trailing_zeros();
const CTRL_WORDS: usize = (CTRL_BITS / WORD_BITS + 1) as usize;

/// The algorithm, over words that either window owns.
struct Ring<W> {
    words: W,
    /// One more than the highest counter seen; 0 while none was.
    next: u64,
}

/// The words. There are none as long as each counter came after the one before it: what lies before the next one was seen
/// then. Then there is one more than the window is wide.
trait Words {
    /// What lies before the first that comes counts as seen.
    const BEGINS_ANYWHERE: bool;
    /// Width of the window: a multiple of 64.
    fn bits(&self) -> u32;
    fn get(&self) -> &[u64];
    fn get_mut(&mut self) -> &mut [u64];
    /// They are needed from now on. All are clear.
    fn make(&mut self);
}

/// Those of a lane.
struct LaneWords {
    words: Box<[u64]>,
    bits: u32,
}

impl Words for LaneWords {
    const BEGINS_ANYWHERE: bool = false;

    fn bits(&self) -> u32 {
        self.bits
    }

    fn get(&self) -> &[u64] {
        &self.words
    }

    fn get_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    fn make(&mut self) {
        self.words = words_for(self.bits);
    }
}

/// Those of a link's control datagrams.
struct CtrlWords(Option<Box<[u64; CTRL_WORDS]>>);

impl Words for CtrlWords {
    const BEGINS_ANYWHERE: bool = true;

    fn bits(&self) -> u32 {
        CTRL_BITS
    }

    fn get(&self) -> &[u64] {
        self.0.as_ref().map_or(&[], |words| words.as_slice())
    }

    fn get_mut(&mut self) -> &mut [u64] {
        self.0.as_mut().map_or(&mut [], |words| words.as_mut_slice())
    }

    fn make(&mut self) {
        self.0 = Some(Box::default());
    }
}

impl<W: Words> Ring<W> {
    /// The lowest counter in the window.
    fn floor(&self) -> u64 {
        self.next.saturating_sub(u64::from(self.words.bits()))
    }

    /// Where the word of 64 counters from `number * 64` on is.
    fn position(&self, number: u64) -> usize {
        // 32-bit division is the faster one, and counters have 32 bits.
        (number as u32)
            .checked_rem(self.words.get().len() as u32)
            .unwrap_or(0) as usize
    }

    fn word(&self, number: u64) -> u64 {
        let word = self.words.get().get(self.position(number));
        // Where there are none all were seen.
        word.copied().unwrap_or(u64::MAX)
    }

    fn update(&mut self, number: u64, change: impl FnOnce(u64) -> u64) {
        let position = self.position(number);
        if let Some(word) = self.words.get_mut().get_mut(position) {
            *word = change(*word);
        }
    }

    fn is_set(&self, counter: u64) -> bool {
        self.word(counter >> WORD_SHIFT) & bit(counter) != 0
    }

    fn check(&self, counter: u32) -> Result<(), DropReason> {
        let counter = u64::from(counter);
        if counter >= self.next {
            Ok(())
        } else if counter < self.floor() {
            Err(DropReason::LateDrop)
        } else if self.is_set(counter) {
            Err(DropReason::Replay)
        } else {
            Ok(())
        }
    }

    fn commit(&mut self, counter: u32) -> Result<(), DropReason> {
        self.check(counter)?;
        let counter = u64::from(counter);
        if self.words.get().is_empty() {
            if counter == self.next || W::BEGINS_ANYWHERE && self.next == 0 {
                self.next = counter.saturating_add(1);
                return Ok(());
            }
            self.make_words();
        }
        if counter >= self.next {
            self.advance_to(counter);
        }
        self.update(counter >> WORD_SHIFT, |word| word | bit(counter));
        Ok(())
    }

    /// A counter was left out.
    #[cold]
    fn make_words(&mut self) {
        self.words.make();
        let Some(highest) = self.next.checked_sub(1) else {
            return;
        };
        let newest = highest >> WORD_SHIFT;
        for number in self.floor() >> WORD_SHIFT..newest {
            self.update(number, |_| u64::MAX);
        }
        self.update(newest, |_| bit(highest) | below(highest));
    }

    /// Makes `counter` the highest one, and clears the words that come into the ring.
    fn advance_to(&mut self, counter: u64) {
        // While nothing was seen all words are clear, the first one included.
        let newest = self.next.saturating_sub(1) >> WORD_SHIFT;
        let wanted = counter >> WORD_SHIFT;
        let one_round = wanted.saturating_sub(self.words.get().len() as u64);
        for number in newest.max(one_round)..wanted {
            self.update(number.saturating_add(1), |_| 0);
        }
        self.next = counter.saturating_add(1);
    }

    fn bitmap64_below(&self, highest: u32) -> u64 {
        let mut bitmap = 0;
        let floor = self.floor();
        for back in 0..WORD_BITS {
            let Some(counter) = u64::from(highest).checked_sub(u64::from(back).saturating_add(1)) else {
                break;
            };
            if counter < floor {
                break;
            }
            if counter < self.next && self.is_set(counter) {
                bitmap |= 1 << back;
            }
        }
        bitmap
    }

    fn highest(&self) -> Option<u32> {
        self.next.checked_sub(1).map(|highest| highest as u32)
    }
}

/// The window of one lane: 2048 counters wide at first, up to 65,536.
pub struct ReplayWindow(Ring<LaneWords>);

/// The window of one link's control datagrams: 256 counters. It begins with the first that is taken: those before it came from
/// where the link did not lead yet, and do not come again.
pub struct CtrlWindow(Ring<CtrlWords>);

macro_rules! window_methods {
    ($window:ty) => {
        impl $window {
            /// Whether `counter` would be accepted. Changes nothing: it is asked before decryption.
            ///
            /// # Errors
            /// [`DropReason::Replay`] if it was seen, [`DropReason::LateDrop`] if it lies before the window.
            pub fn check(&self, counter: u32) -> Result<(), DropReason> {
                self.0.check(counter)
            }

            /// Marks `counter` as seen: after decryption, and only then.
            ///
            /// # Errors
            /// As [`Self::check`]; nothing is changed then.
            pub fn commit(&mut self, counter: u32) -> Result<(), DropReason> {
                self.0.commit(counter)
            }

            /// The 64 counters below `highest`: bit `i` is set if `highest - 1 - i` was seen. Those before the
            /// window read as not seen.
            pub fn bitmap64_below(&self, highest: u32) -> u64 {
                self.0.bitmap64_below(highest)
            }

            /// The highest counter seen.
            pub fn highest(&self) -> Option<u32> {
                self.0.highest()
            }

            /// How many counters wide it is.
            pub fn bits(&self) -> u32 {
                self.0.words.bits()
            }
        }

        impl Default for $window {
            fn default() -> Self {
                Self::new()
            }
        }

        impl core::fmt::Debug for $window {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($window))
                    .field("bits", &self.bits())
                    .field("highest", &self.highest())
                    .finish_non_exhaustive()
            }
        }
    };
}

window_methods!(ReplayWindow);
window_methods!(CtrlWindow);

impl CtrlWindow {
    /// A window in which nothing was seen.
    pub const fn new() -> Self {
        Self(Ring {
            words: CtrlWords(None),
            next: 0,
        })
    }
}

impl ReplayWindow {
    /// A window of [`INITIAL_BITS`] in which nothing was seen.
    pub fn new() -> Self {
        let words = LaneWords {
            words: Box::default(),
            bits: INITIAL_BITS,
        };
        Self(Ring { words, next: 0 })
    }

    /// Doubles the width up to [`MAX_BITS`], and returns whether it did. What lay before the old window counts
    /// as seen for ever: nobody knows any longer whether it was.
    pub fn grow(&mut self) -> bool {
        let bits = self.bits().saturating_mul(2);
        if bits > MAX_BITS {
            return false;
        }
        if self.0.words.get().is_empty() {
            self.0.words.bits = bits;
            return true;
        }
        let words = LaneWords {
            words: words_for(bits),
            bits,
        };
        let mut grown = Ring {
            words,
            next: self.0.next,
        };
        let (grown_floor, old_floor) = (grown.floor(), self.0.floor());
        let first_known = old_floor >> WORD_SHIFT;
        for number in first_known..=self.0.next.saturating_sub(1) >> WORD_SHIFT {
            grown.update(number, |_| self.0.word(number));
        }
        for number in grown_floor >> WORD_SHIFT..first_known {
            grown.update(number, |_| u64::MAX);
        }
        grown.update(first_known, |word| word | below(old_floor));
        self.0 = grown;
        true
    }
}

fn bit(counter: u64) -> u64 {
    1 << (counter & u64::from(WORD_BITS.saturating_sub(1)))
}

/// The bits of the counters before `counter` in its word.
fn below(counter: u64) -> u64 {
    bit(counter).wrapping_sub(1)
}

/// The words of a ring `bits` wide, one spare word included.
fn words_for(bits: u32) -> Box<[u64]> {
    let words = bits.div_ceil(WORD_BITS).saturating_add(1);
    vec![0; words as usize].into_boxed_slice()
}

#[cfg(test)]
mod tests;
