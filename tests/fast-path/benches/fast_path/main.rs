//! How long the pieces of the fast path take, and all of it together: `cargo bench -p knet-fast-path [-- FILTER]`.

mod aead;
mod mac_table;
mod path;
mod replay_window;
mod super_frame;
mod timer_wheel;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    benches,
    aead::benches,
    replay_window::benches,
    mac_table::benches,
    timer_wheel::benches,
    super_frame::benches,
    path::benches
);
criterion_main!(benches);
