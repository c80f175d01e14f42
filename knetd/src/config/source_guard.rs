//! What a peer may use, as the core is told of it.

use libknet::{
    api::model::{self, IpPrefix, PeerConfig},
    proto::{
        ids::MacAddr,
        l2::source_guard::{GuardRules, IpNetwork},
    },
};

/// What a peer may use, who is given these addresses besides. Nothing, where nothing is said.
pub(super) fn rules(peer: &PeerConfig, leased: &[IpPrefix]) -> Option<Box<GuardRules>> {
    if !peer.guard.is_said() && leased.is_empty() {
        return None;
    }
    let said = peer.guard.get();
    let leased = leased
        .iter()
        .map(|prefix| network(&IpPrefix::host(prefix.address)));
    Some(Box::new(GuardRules {
        allowed_macs: sorted(&said.allowed_macs),
        sticky: said.sticky.unwrap_or(0),
        static_macs: sorted(&peer.static_macs),
        bindings: said.bindings.iter().map(network).chain(leased).collect(),
        verify_source: said.verify_source,
        arp_inspection: said.arp_inspection,
        validate_source_mac: said.validate_source_mac,
        router_guard: said.router_guard,
    }))
}

fn network(binding: &IpPrefix) -> IpNetwork {
    IpNetwork {
        address: binding.address,
        length: binding.length,
    }
}

fn sorted(macs: &[model::MacAddr]) -> Vec<MacAddr> {
    let mut macs: Vec<MacAddr> = macs.iter().map(|mac| MacAddr(mac.0)).collect();
    macs.sort_unstable();
    macs
}
