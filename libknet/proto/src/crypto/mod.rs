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
pub mod secret;
pub mod signature;
mod x25519;

pub use secret::Secret;

/// What holds key material is erased when dropped: whoever makes it hold something else is told by the compiler.
const _: () = {
    const fn is_erased_on_drop<T: zeroize::ZeroizeOnDrop>() {}
    is_erased_on_drop::<Secret>();
    is_erased_on_drop::<crate::config::PrivateKey>();
    is_erased_on_drop::<crate::config::PresharedKey>();
    is_erased_on_drop::<dh::SharedSecret>();
    is_erased_on_drop::<aead::SealKey>();
    is_erased_on_drop::<aead::OpenKey>();
    is_erased_on_drop::<crate::handshake::message::DirectionKey>();
    is_erased_on_drop::<crate::handshake::noise_ik::Split>();
    is_erased_on_drop::<crate::handshake::noise_ik::Initiator>();
};

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
