//! What the tests of knet have in common.

pub mod canvas;
pub mod exposition;
pub mod fuzz_targets;
pub mod lab;
pub mod memory_scan;
pub mod sim;
