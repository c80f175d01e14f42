//! To whom an IP address was given.

use alloc::collections::BTreeSet;
use core::net::IpAddr;

use super::{GuardRules, IpNetwork};
use crate::ids::PeerId;

/// The single addresses that were given to peers of an interface.
#[derive(Debug, Default)]
pub struct Given(BTreeSet<(IpAddr, PeerId)>);

impl Given {
    /// What `rules` give is the peer's.
    pub fn enter(&mut self, peer: PeerId, rules: &GuardRules) {
        self.0.extend(rules.hosts().map(|address| (address, peer)));
    }

    /// It is not any more.
    pub fn leave(&mut self, peer: PeerId, rules: &GuardRules) {
        for address in rules.hosts() {
            self.0.remove(&(address, peer));
        }
    }

    /// Whose `address` is, in ascending order: one peer's, or in other VLANs another one's, too.
    pub fn to(&self, address: IpAddr) -> impl Iterator<Item = PeerId> {
        let all = (address, PeerId(0))..=(address, PeerId(u16::MAX));
        self.0.range(all).map(|(_, peer)| *peer)
    }
}

impl GuardRules {
    fn hosts(&self) -> impl Iterator<Item = IpAddr> {
        self.bindings.iter().filter_map(IpNetwork::host)
    }
}
