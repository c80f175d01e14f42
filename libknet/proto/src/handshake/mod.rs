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

pub mod message;
pub mod noise_ik;
