//! Super-frames: what a TAP with offloads gives in one piece and takes in one piece, up to 64 KiB of TCP or UDP.
//!
//! On the wire there are whole, finished Ethernet frames only. So a super-frame is cut just before its segments are
//! sealed ([`segment`]), and consecutive segments are joined just before they are written to the TAP ([`join`]).
//! What is joined is exactly what cutting gives back, so nobody behind the TAP sees a difference.

pub mod checksum;
pub mod join;
mod layout;
pub mod segment;
#[cfg(test)]
mod tests;
