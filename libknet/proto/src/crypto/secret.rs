//! Where secrets are kept, and how what is left of them is erased.
//!
//! Rust moves values by copying them, and the place that they are moved from keeps its bytes: the slot of a queue, of
//! a table that has grown, the stack of a function that has returned. So a secret never moves: it is made where it
//! stays, on the heap, and its owner is a pointer. What computes with it works on a stack that is erased afterwards.

use alloc::boxed::Box;
use core::{
    hint::black_box,
    ops::{Deref, DerefMut},
};

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// How much stack is erased, in bytes: more than the computations here use, or the way of a frame to its cipher.
const STACK: usize = 32 << 10;

/// 32 secret bytes in a place of their own. Erased when dropped, never printed.
#[derive(Default)]
pub struct Secret(Box<Zeroizing<[u8; 32]>>);

impl Secret {
    /// What `fill` makes of 32 zeros. It should write the secret there, and nowhere else.
    pub fn filled(fill: impl FnOnce(&mut [u8; 32])) -> Self {
        let mut secret = Self::default();
        fill(&mut secret);
        secret
    }
}

impl From<&[u8; 32]> for Secret {
    /// A copy. Erasing the original is for its owner to do.
    fn from(bytes: &[u8; 32]) -> Self {
        Self::filled(|place| place.copy_from_slice(bytes))
    }
}

impl Clone for Secret {
    fn clone(&self) -> Self {
        Self::from(&**self)
    }
}

impl Deref for Secret {
    type Target = [u8; 32];

    fn deref(&self) -> &[u8; 32] {
        &self.0
    }
}

impl DerefMut for Secret {
    fn deref_mut(&mut self) -> &mut [u8; 32] {
        &mut self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(&**other).into()
    }
}

impl Eq for Secret {}

impl Zeroize for Secret {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

// Its only field does it.
impl ZeroizeOnDrop for Secret {}

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Does `work`, then erases the stack that it has used. What it returns must hold secrets only by [`Secret`] or
/// another pointer.
pub fn with_erased_stack<T>(work: impl FnOnce() -> T) -> T {
    let result = below(work);
    erase_stack();
    result
}

/// Erases the stack, then does `work` on it. For what is made on a thread that seals and opens datagrams and is kept for long:
/// between its fields, and in the place of those of other variants, is what the stack held, which may be what the cipher has
/// left there of a key.
pub fn on_erased_stack<T>(work: impl FnOnce() -> T) -> T {
    erase_stack();
    below(work)
}

/// Not inlined, so that all variables of `work` are below those of the caller, where the stack is erased.
#[inline(never)]
fn below<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Erases what functions that were called from here, and have returned, may have left of secrets on the stack. For
/// the thread that seals and opens datagrams, when keys have come to their end: the cipher leaves copies there.
#[inline(never)]
#[expect(clippy::large_stack_arrays, reason = "that it is on the stack is the point")]
pub fn erase_stack() {
    let mut stack = [0_u8; STACK];
    // Keeps the array, which nobody reads, from being left out.
    black_box(&mut stack);
}
