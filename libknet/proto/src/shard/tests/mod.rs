//! Several shards of one interface, worked by hand.

#![allow(clippy::unwrap_used)]

mod addresses;
mod credentials;
mod delivered;
mod doubt;
mod first_hop;
mod flood;
mod loops;
mod multicast;
mod news;
mod opened;
mod parcels;
mod ports;
mod querier;
mod rig;
mod vlan;
