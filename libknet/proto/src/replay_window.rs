//! Which counters were seen: the filter for replays and for the copies that arrive over other links.
//!
//! A ring of 64-bit words indexed by the counter (RFC 6479): nothing is ever shifted, and a step forward
//! clears whole words. One word more than the window is wide lies between the newest and the oldest bit.
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

/// The algorithm, over words that either window owns. `bits` is a multiple of 64, and there is one word more.
struct Ring<W> {
    words: W,
    bits: u32,
    /// One more than the highest counter seen; 0 while none was.
    next: u64,
}

/// Where the words are.
trait Words: AsRef<[u64]> + AsMut<[u64]> {
    /// The first counter has come: from now on they are needed.
    fn provide(&mut self, _bits: u32) {}
}

impl Words for [u64; CTRL_WORDS] {}

impl Words for Box<[u64]> {
    fn provide(&mut self, bits: u32) {
        if self.is_empty() {
            *self = words_for(bits);
        }
    }
}

impl<W: Words> Ring<W> {
    /// The lowest counter in the window.
    fn floor(&self) -> u64 {
        self.next.saturating_sub(u64::from(self.bits))
    }

    /// Where the word of 64 counters from `number * 64` on is.
    fn position(&self, number: u64) -> usize {
        // 32-bit division is the faster one, and counters have 32 bits.
        (number as u32)
            .checked_rem(self.words.as_ref().len() as u32)
            .unwrap_or(0) as usize
    }

    fn word(&self, number: u64) -> u64 {
        self.words
            .as_ref()
            .get(self.position(number))
            .copied()
            .unwrap_or(u64::MAX)
    }

    fn update(&mut self, number: u64, change: impl FnOnce(u64) -> u64) {
        let position = self.position(number);
        if let Some(word) = self.words.as_mut().get_mut(position) {
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
        if counter >= self.next {
            self.advance_to(counter);
        }
        self.update(counter >> WORD_SHIFT, |word| word | bit(counter));
        Ok(())
    }

    /// Makes `counter` the highest one, and clears the words that come into the ring.
    fn advance_to(&mut self, counter: u64) {
        self.words.provide(self.bits);
        // While nothing was seen all words are clear, the first one included.
        let newest = self.next.saturating_sub(1) >> WORD_SHIFT;
        let wanted = counter >> WORD_SHIFT;
        let one_round = wanted.saturating_sub(self.words.as_ref().len() as u64);
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

/// The window of one lane: 2048 counters wide at first, up to 65,536. It takes no memory until the first of them comes.
pub struct ReplayWindow(Ring<Box<[u64]>>);

/// The window of one link's control datagrams: 256 counters, in place.
pub struct CtrlWindow(Ring<[u64; CTRL_WORDS]>);

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
                self.0.bits
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
            words: [0; CTRL_WORDS],
            bits: CTRL_BITS,
            next: 0,
        })
    }
}

impl ReplayWindow {
    /// A window of [`INITIAL_BITS`] in which nothing was seen.
    pub fn new() -> Self {
        Self(Ring {
            words: Box::default(),
            bits: INITIAL_BITS,
            next: 0,
        })
    }

    /// Doubles the width up to [`MAX_BITS`], and returns whether it did. What lay before the old window counts
    /// as seen for ever: nobody knows any longer whether it was.
    pub fn grow(&mut self) -> bool {
        let bits = self.0.bits.saturating_mul(2);
        if bits > MAX_BITS {
            return false;
        }
        if self.0.words.is_empty() {
            self.0.bits = bits;
            return true;
        }
        let mut grown = Ring {
            words: words_for(bits),
            bits,
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
        let below_old_floor = bit(old_floor).wrapping_sub(1);
        grown.update(first_known, |word| word | below_old_floor);
        self.0 = grown;
        true
    }
}

fn bit(counter: u64) -> u64 {
    1 << (counter & u64::from(WORD_BITS.saturating_sub(1)))
}

/// The words of a ring `bits` wide, one spare word included.
fn words_for(bits: u32) -> Box<[u64]> {
    let words = bits.div_ceil(WORD_BITS).saturating_add(1);
    vec![0; words as usize].into_boxed_slice()
}

#[cfg(test)]
mod tests;
