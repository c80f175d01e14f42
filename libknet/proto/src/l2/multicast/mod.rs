//! Multicast that goes where it is wanted: what IGMP (RFC 2236, 3376) and MLD (RFC 2710, 3810) say is read on its way
//! (RFC 4541), so that a group is sent to those who listen, and to routers.

pub mod election;
pub mod message;
pub mod query;
pub mod rounds;
mod table;
#[cfg(test)]
pub(crate) mod tests_frames;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ip_packet::{ETHERTYPE_IPV4, ETHERTYPE_IPV6};
use crate::wire::ethernet::{ETHERNET_HEADER_LEN, EthernetFrame};
pub use rounds::MAX_QUERIED_VLANS;
pub use table::{Heard, ListenerNews, ListenerTable, MAX_MEMBERSHIPS, MAX_MEMBERSHIPS_PER_PEER};

/// Which of the two it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Of IPv4.
    Igmp,
    /// Of IPv6.
    Mld,
}

impl Protocol {
    /// That of the groups of this address family.
    pub const fn of(group: IpAddr) -> Self {
        match group {
            IpAddr::V4(_) => Self::Igmp,
            IpAddr::V6(_) => Self::Mld,
        }
    }
}

/// The group that a frame is for. `None`: no IP multicast.
pub fn destination(frame: &[u8]) -> Option<IpAddr> {
    let view = EthernetFrame::new(frame).ok()?;
    if !view.dst().is_group() {
        return None;
    }
    let (tags, ethertype) = view.vlan_tags();
    let packet = frame.get(ETHERNET_HEADER_LEN.saturating_add(4 * tags.iter().flatten().count())..)?;
    let group = match ethertype {
        ETHERTYPE_IPV4 => {
            let address: &[u8; 4] = packet.get(16..)?.first_chunk()?;
            IpAddr::V4(Ipv4Addr::from(*address))
        }
        ETHERTYPE_IPV6 => {
            let address: &[u8; 16] = packet.get(24..)?.first_chunk()?;
            IpAddr::V6(Ipv6Addr::from(*address))
        }
        _ => return None,
    };
    group.is_multicast().then_some(group)
}

/// Whether a group goes to everybody, whoever has said that he listens: 224.0.0.0/24, for which nobody does (RFC 4541, 2.1.2);
/// the nodes of a link, and what is for one node only (RFC 2710, 5); and what neighbours ask each other for, without which
/// nothing else would work.
pub fn is_for_all(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(v4) => matches!(v4.octets(), [224, 0, 0, _]),
        IpAddr::V6(v6) => match v6.segments() {
            [0xff02, 0, 0, 0, 0, 0, 0, 1] | [0xff02, 0, 0, 0, 0, 1, 0xff00..=0xffff, _] => true,
            [first, ..] => first & 0x0f <= 1,
        },
    }
}
