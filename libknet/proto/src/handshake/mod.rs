//! The key exchange: Noise IKpsk2 with cookies and proof of freshness.
//!
//! Everything here runs on a thread of its own, because a handshake costs a hundred times what a frame
//! costs and is what a stranger can make us do. It meets the data path only in [`message`].

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

pub mod cookie;
pub mod credential;
pub mod freshness;
pub mod handshaker;
pub mod index_allocator;
mod initiator;
pub mod message;
pub mod noise_ik;
pub mod rate_limit;
mod responder;
#[cfg(test)]
mod tests;

pub use handshaker::{Handshaker, HandshakerConfig};

/// First part of Noise's prologue: two sides that mean another protocol do not understand each other.
const IDENTIFIER: &[u8; 18] = b"knetd wire v1 2026";

/// Noise's prologue. With the header of `HS_INIT` in it, the versions offered cannot be changed on the way.
fn prologue(header: [u8; 4]) -> [u8; 22] {
    let mut prologue = [0; 22];
    for (to, from) in prologue.iter_mut().zip(IDENTIFIER.iter().chain(&header)) {
        *to = *from;
    }
    prologue
}
