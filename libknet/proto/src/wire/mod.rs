//! The formats on the wire, version 1, and the one in front of the frames of a TAP: one format, one file.
//!
//! Each is a *view* over bytes that is checked once when it is made, or an owned *representation* with
//! `parse` and `emit`. Integers are little-endian. Reserved fields are sent as zero and checked to be zero.
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

pub mod address_list;
pub mod control_record;
pub mod ethernet;
pub mod fragment_header;
pub mod handshake_message;
pub mod header;
pub mod virtio_net_header;
