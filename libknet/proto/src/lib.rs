//! The protocol and forwarding core of knet.
//!
//! Sans-IO and deterministic: no socket, clock, thread, or ambient source of randomness. Time, random
//! bytes and datagrams come in as arguments; datagrams, frames, messages and events go out through an
//! [`shard::Outbox`]. `no_std` is used as a lint: the compiler refuses what the rule forbids.
//!
//! Start reading at [`shard::Shard`] (everything that happens to one interface's peers) and
//! [`handshake::Handshaker`] (the key exchange, run on a thread of its own).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod arena;
pub mod config;
pub mod crypto;
pub mod drop_reason;
pub mod event;
pub mod fragment;
pub mod handshake;
pub mod hub_group;
pub mod ids;
mod internet_checksum;
mod intrusive_list;
pub mod l2;
pub mod link;
pub mod offload;
mod on_demand;
pub mod path;
pub mod peer;
pub mod policy;
pub mod reassembly;
pub mod replay_window;
pub mod resend_ring;
pub mod resequencer;
pub mod rng;
pub mod session;
pub mod shard;
pub mod status;
pub mod time;
pub mod timer_wheel;
pub mod token_bucket;
pub mod wire;
