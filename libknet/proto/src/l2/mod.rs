//! The learning bridge: knows Ethernet addresses and ports, nothing of links or sessions. And what the frames
//! that pass need besides: which flow they belong to, and which packet size the tunnel wishes for.

pub mod announcement;
pub mod bridge;
pub mod first_hop;
mod flood_list;
pub mod flow_hash;
pub mod ip_packet;
pub mod loop_guard;
pub mod mac_table;
pub mod mss_clamp;
pub mod multicast;
pub mod neighbor;
pub mod packet_too_big;
pub(crate) mod seeded_hash;
mod slab;
pub mod source_guard;
pub mod storm;
pub mod vlan;
