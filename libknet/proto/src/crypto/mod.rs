//! The primitives, each behind the few calls that the protocol needs.

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

pub mod aead;
pub mod dh;
pub mod hash;

/// 32 secret bytes, erased when dropped.
pub type Secret = zeroize::Zeroizing<[u8; 32]>;

#[cfg(test)]
pub(crate) mod tests {
    use alloc::vec::Vec;

    /// The bytes that `text` spells in hexadecimal; white space is skipped.
    pub(crate) fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text
            .chars()
            .filter(|c| !c.is_whitespace())
            .map(|c| c.to_digit(16).unwrap() as u8)
            .collect();
        assert!(
            digits.len().is_multiple_of(2),
            "an odd number of hexadecimal digits"
        );
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// As [`hex`], into an array of the length that the caller needs.
    pub(crate) fn hex_array<const N: usize>(text: &str) -> [u8; N] {
        hex(text).try_into().expect("the length of the array")
    }
}
