//! What an interface does for its broadcast domain, as the core is told of it.

use std::net::IpAddr;

use libknet::{
    api::model,
    proto::{
        config::{DomainConfig, QuerierConfig},
        l2::{
            first_hop::FirstHop,
            vlan::{Switchport, VlanId},
        },
        time::Span,
    },
};

/// What an interface does for its broadcast domain.
pub(super) fn domain(interface: &model::InterfaceConfig) -> DomainConfig {
    DomainConfig {
        first_hop: FirstHop {
            arp_suppression: interface.arp_suppression,
            dhcp_snooping: interface.dhcp_snooping,
            ra_guard: interface.ra_guard,
        },
        igmp_snooping: interface.igmp_snooping,
        mld_snooping: interface.mld_snooping,
        igmp_querier: interface.igmp_querier.as_ref().map(querier),
        mld_querier: interface.mld_querier.as_ref().map(querier),
        tap_address: interface.ip_addresses.iter().find_map(|own| match own.address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }),
        loop_guard_off: interface.loop_guard_off,
        vlan_filtering: interface.vlan_filtering,
        tap: switchport(interface.switchport.as_ref()),
    }
}

fn querier(querier: &model::Querier) -> QuerierConfig {
    let seconds = querier.interval.unwrap_or(model::Querier::INTERVAL);
    QuerierConfig {
        interval: Span::from_secs(seconds.into()),
        address: querier.address,
    }
}

/// A list of VLANs is shared by all who have it from one line.
pub(super) fn switchport(switchport: Option<&model::Switchport>) -> Switchport {
    match switchport {
        None => Switchport::default(),
        Some(model::Switchport::Access(vlan)) => Switchport::Access(VlanId(*vlan)),
        Some(model::Switchport::Trunk { allowed, native }) => Switchport::Trunk {
            allowed: allowed.ranges(),
            native: native.map(VlanId),
        },
    }
}
