//! The way of a frame from TAP to TAP, all of it but the system calls: hosts in memory, and frames that go from one to
//! the other in ways worth measuring.
//!
//! The time they take is measured by `benches/`, which also has the pieces one by one. How many instructions they take
//! is measured by `scripts/instructions`, and that they allocate nothing by `tests/allocations.rs`.

pub mod cases;
pub mod frames;
pub mod hosts;
