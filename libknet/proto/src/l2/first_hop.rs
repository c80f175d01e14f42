//! What only some stations may tell the others: that they are routers (RFC 6105) or multicast routers, or which address to
//! have (DHCP).
//!
//! It is looked for where a sender could have hidden it: behind VLAN tags, behind extension headers, in fragments (RFC 7113).
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

use super::ip_packet::{Addresses, IpPacket, Part, protocol};

/// What the hub does at the first hop of its stations, besides bridging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstHop {
    /// Questions of ARP and neighbour discovery are answered from what is known, and then not flooded.
    pub arp_suppression: bool,
    /// What only DHCP servers say is taken from trusted peers only.
    pub dhcp_snooping: bool,
    /// What only routers say is taken from trusted peers only.
    pub ra_guard: bool,
}

/// A role that not everybody is trusted to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It advertises itself as a router, or redirects.
    Router,
    /// It answers as a DHCP server or relay, of either version.
    DhcpServer,
    /// It asks who listens to multicast, or talks to other multicast routers: queries of IGMP and MLD, for one group as well,
    /// PIM of both versions (RFC 7761), DVMRP (RFC 1075), advertisements of multicast routers (RFC 4286).
    MulticastRouter,
    /// It is IPv6, and ends, or has too many headers, before it says what it is: only who hides something sends that.
    Hidden,
}

const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;
const DHCPV6_CLIENT: u16 = 546;
const DHCPV6_SERVER: u16 = 547;
const IGMP: u8 = 2;
const PIM: u8 = 103;
const IGMP_QUERY: u8 = 0x11;
const IGMP_DVMRP: u8 = 0x13;
const IGMP_PIM_V1: u8 = 0x14;
const IGMP_MRD: u8 = 0x30;
const MLD_QUERY: u8 = 130;
const MLD_MRD: u8 = 151;
const ROUTER_ADVERTISEMENT: u8 = 134;
const REDIRECT: u8 = 137;

/// The role in which a frame is sent, if it is one of these.
pub fn role_of(frame: &[u8]) -> Option<Role> {
    let packet = IpPacket::in_frame(frame)?;
    if packet.part == Part::Later {
        // Of no use without the first one.
        return None;
    }
    let is_v4 = matches!(packet.addresses, Addresses::V4 { .. });
    match (packet.protocol, packet.payload()) {
        (protocol::UDP, [_, _, d0, d1, _, _, _, _, message @ ..]) => {
            let kind = message.first().copied();
            is_of_server(is_v4, u16::from_be_bytes([*d0, *d1]), kind).then_some(Role::DhcpServer)
        }
        (protocol::ICMPV6, [ROUTER_ADVERTISEMENT | REDIRECT, ..]) => Some(Role::Router),
        (protocol::ICMPV6, [MLD_QUERY | MLD_MRD, ..]) | (PIM, _) => Some(Role::MulticastRouter),
        (IGMP, [IGMP_QUERY | IGMP_DVMRP | IGMP_PIM_V1 | IGMP_MRD, ..]) if is_v4 => {
            Some(Role::MulticastRouter)
        }
        (protocol::ICMPV6, [])
        | (
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::FRAGMENT | protocol::DESTINATION_OPTIONS,
            _,
        ) if !is_v4 => Some(Role::Hidden),
        _ => None,
    }
}

/// Whether what is sent to this port comes from a server, or a relay on behalf of one: everything to a client, and answers to
/// a relay (RFC 2131; RFC 8415, 7.3). `kind`: the first byte of the message.
fn is_of_server(is_v4: bool, port: u16, kind: Option<u8>) -> bool {
    match port {
        DHCP_CLIENT => is_v4,
        DHCPV6_CLIENT => !is_v4,
        // BOOTREPLY.
        DHCP_SERVER => is_v4 && matches!(kind, None | Some(2)),
        // Advertise, reply, reconfigure, relay-reply.
        DHCPV6_SERVER => !is_v4 && matches!(kind, None | Some(2 | 7 | 10 | 13)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
