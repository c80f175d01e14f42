//! The learning bridge: knows Ethernet addresses and ports, nothing of links or sessions.

pub mod bridge;
pub mod mac_table;
pub mod storm;
