//! What the tests of knet have in common.

pub mod lab;
