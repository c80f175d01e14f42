//! What the tests of knet have in common.

pub mod fuzz_targets;
pub mod lab;
pub mod sim;
