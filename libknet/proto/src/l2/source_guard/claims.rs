//! Which IP addresses a frame claims for its sender, and whether these were given to it (IP source guard; dynamic ARP
//! inspection, and the same for IPv6 neighbour discovery, RFC 6620).
//!
//! What cannot be looked at, and could be such a claim all the same, is dropped: hosts may read what a guard does not
//! (RFC 7113; CERT VU#855201).
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::GuardRules;
use crate::{
    drop_reason::DropReason,
    ids::MacAddr,
    l2::ip_packet::{Addresses, ETHERTYPE_IPV4, ETHERTYPE_IPV6, IpPacket, Part, protocol},
    wire::ethernet::{ETHERNET_HEADER_LEN, EthernetFrame},
};

const ETHERTYPE_ARP: u16 = 0x0806;
/// More tags than are looked through, or one that is cut off.
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// What is less is a length, and an LLC header follows (IEEE 802.3).
const ETHERTYPES: u16 = 0x0600;
/// LLC and SNAP, behind which an `EtherType` stands (RFC 1042).
const SNAP: [u8; 3] = [0xaa, 0xaa, 0x03];
const DHCP_SERVER: u16 = 67;

/// Multicast listeners, which may have no address yet (RFC 3590).
const LISTENERS: [u8; 3] = [131, 132, 143];
const ROUTER_SOLICITATION: u8 = 133;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;
/// Options of neighbour discovery that name the MAC address of who sends it, or of who the target is (RFC 4861, section 4.6).
const LINK_LAYER: [u8; 2] = [1, 2];

impl GuardRules {
    /// Whether a frame claims no address that was not given.
    pub(super) fn check(&self, bytes: &[u8]) -> Result<(), DropReason> {
        if !self.verify_source && !self.looks_at_claims() {
            return Ok(());
        }
        let frame = EthernetFrame::new(bytes)?;
        let from = frame.src();
        let (tags, ethertype) = frame.vlan_tags();
        let payload_at = tags
            .iter()
            .flatten()
            .fold(ETHERNET_HEADER_LEN, |at, _| at.saturating_add(4));
        let payload = bytes.get(payload_at..).unwrap_or_default();
        match ethertype {
            ETHERTYPE_ARP => self.check_arp(from, payload),
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => match IpPacket::in_frame(bytes) {
                Some(packet) => self.check_packet(from, &packet),
                None => self.refuse_hidden(),
            },
            tag if TAGS.contains(&tag) => self.refuse_hidden(),
            length if length < ETHERTYPES && is_in_snap(payload) => self.refuse_hidden(),
            _ => Ok(()),
        }
    }

    fn looks_at_claims(&self) -> bool {
        self.arp_inspection || self.validate_source_mac
    }

    fn refuse_hidden(&self) -> Result<(), DropReason> {
        Err(if self.verify_source {
            DropReason::SourceGuard
        } else {
            DropReason::ArpInspection
        })
    }

    /// RFC 826. Who has no address yet asks for the one that it is to have (RFC 5227).
    fn check_arp(&self, from: MacAddr, packet: &[u8]) -> Result<(), DropReason> {
        if !self.looks_at_claims() {
            return Ok(());
        }
        let (Some([_, _, 8, 0, 6, 4]), Some(mac), Some(sender), Some(target)) = (
            packet.first_chunk(),
            mac_at(packet, 8),
            ipv4_at(packet, 14),
            ipv4_at(packet, 24),
        ) else {
            return Err(DropReason::ArpInspection);
        };
        self.check_mac(from, mac)?;
        if !self.arp_inspection {
            return Ok(());
        }
        let claimed = if sender.is_unspecified() { target } else { sender };
        self.claim(claimed.into())
    }

    fn check_mac(&self, from: MacAddr, named: MacAddr) -> Result<(), DropReason> {
        if self.validate_source_mac && named != from {
            return Err(DropReason::ArpInspection);
        }
        Ok(())
    }

    fn check_packet(&self, from: MacAddr, packet: &IpPacket<'_>) -> Result<(), DropReason> {
        match packet.addresses {
            Addresses::V4 { src, .. } => self.verify(src.into(), || is_dhcp(packet)),
            Addresses::V6 { src, .. } => {
                self.verify(src.into(), || is_before_an_address(packet))?;
                self.check_discovery(from, src, packet)
            }
        }
    }

    /// `without`: whether a host may send it that has no address yet.
    fn verify(&self, source: IpAddr, without: impl Fn() -> bool) -> Result<(), DropReason> {
        let passes = !self.verify_source || self.is_given(source) || source.is_unspecified() && without();
        if passes {
            Ok(())
        } else {
            Err(DropReason::SourceGuard)
        }
    }

    /// RFC 4861.
    fn check_discovery(
        &self,
        from: MacAddr,
        source: Ipv6Addr,
        packet: &IpPacket<'_>,
    ) -> Result<(), DropReason> {
        if !self.looks_at_claims() || packet.part == Part::Later {
            return Ok(());
        }
        let (kind, target) = match (packet.protocol, packet.payload()) {
            (protocol::ICMPV6, [kind, _, _, _, _, _, _, _, rest @ ..]) => (
                *kind,
                rest.first_chunk::<16>().map(|target| Ipv6Addr::from(*target)),
            ),
            (protocol::ICMPV6, [kind, ..]) => (*kind, None),
            // It does not say what it is.
            (protocol::ICMPV6, [])
            | (
                protocol::HOP_BY_HOP | protocol::ROUTING | protocol::FRAGMENT | protocol::DESTINATION_OPTIONS,
                _,
            ) => return Err(DropReason::ArpInspection),
            _ => return Ok(()),
        };
        if !(ROUTER_SOLICITATION..=REDIRECT).contains(&kind) {
            return Ok(());
        }
        if self.validate_source_mac {
            self.check_options(from, kind, packet)?;
        }
        if !self.arp_inspection {
            return Ok(());
        }
        if !source.is_unspecified() {
            self.claim(source.into())?;
        }
        // Duplicate address detection claims what it asks for (RFC 4862).
        let is_claim = kind == ADVERTISEMENT || kind == SOLICITATION && source.is_unspecified();
        match target {
            Some(target) if is_claim => self.claim(target.into()),
            None if is_claim => Err(DropReason::ArpInspection),
            _ => Ok(()),
        }
    }

    /// The MAC addresses in the options of neighbour discovery. A redirect is about somebody else's.
    fn check_options(&self, from: MacAddr, kind: u8, packet: &IpPacket<'_>) -> Result<(), DropReason> {
        let begin = match kind {
            ROUTER_SOLICITATION => 8,
            SOLICITATION | ADVERTISEMENT => 24,
            REDIRECT => return Ok(()),
            // A router advertisement.
            _ => 16,
        };
        // Of a fragment the rest is not here; RFC 6980 forbids it.
        let options = packet
            .payload()
            .get(begin..)
            .filter(|_| packet.part == Part::Whole);
        let mut rest = options.ok_or(DropReason::ArpInspection)?;
        while let [kind, eights, ..] = *rest {
            let len = usize::from(eights).saturating_mul(8);
            let (option, behind) = rest
                .split_at_checked(len)
                .filter(|_| len > 0)
                .ok_or(DropReason::ArpInspection)?;
            if LINK_LAYER.contains(&kind) {
                let named = mac_at(option, 2).ok_or(DropReason::ArpInspection)?;
                self.check_mac(from, named)?;
            }
            rest = behind;
        }
        if rest.is_empty() {
            Ok(())
        } else {
            Err(DropReason::ArpInspection)
        }
    }

    fn claim(&self, address: IpAddr) -> Result<(), DropReason> {
        if self.is_given(address) {
            Ok(())
        } else {
            Err(DropReason::ArpInspection)
        }
    }

    /// Whether an address was given. A host makes a link-local one itself: where none is given any will do, and else that
    /// made of its MAC address (RFC 4291, appendix A), too.
    pub fn is_given(&self, address: IpAddr) -> bool {
        if self.bindings.iter().any(|binding| binding.contains(address)) {
            return true;
        }
        let IpAddr::V6(address) = address else {
            return false;
        };
        let is_link_local = |binding: &super::IpNetwork| matches!(binding.address, IpAddr::V6(v6) if v6.is_unicast_link_local() && binding.length >= 10);
        let mut own = self.allowed_macs.iter().chain(&self.static_macs);
        address.is_unicast_link_local()
            && (!self.bindings.iter().any(is_link_local) || own.any(|mac| link_local(*mac) == address))
    }
}

fn mac_at(packet: &[u8], at: usize) -> Option<MacAddr> {
    packet.get(at..)?.first_chunk().copied().map(MacAddr)
}

fn ipv4_at(packet: &[u8], at: usize) -> Option<Ipv4Addr> {
    packet.get(at..)?.first_chunk::<4>().copied().map(Ipv4Addr::from)
}

/// The link-local address made of a MAC address.
fn link_local(MacAddr([a, b, c, d, e, f]): MacAddr) -> Ipv6Addr {
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

/// Whether IP or ARP stands behind an LLC header.
fn is_in_snap(payload: &[u8]) -> bool {
    let Some([_, _, _, e0, e1]) = payload.strip_prefix(&SNAP).and_then(|rest| rest.first_chunk()) else {
        return false;
    };
    let ethertype = u16::from_be_bytes([*e0, *e1]);
    matches!(ethertype, ETHERTYPE_ARP | ETHERTYPE_IPV4 | ETHERTYPE_IPV6) || TAGS.contains(&ethertype)
}

/// Whether a host asks for an address (RFC 2131).
fn is_dhcp(packet: &IpPacket<'_>) -> bool {
    packet.part == Part::Whole
        && packet.protocol == protocol::UDP
        && matches!(packet.payload(), [_, _, d0, d1, ..] if u16::from_be_bytes([*d0, *d1]) == DHCP_SERVER)
}

/// Whether a host sends it that has no address yet: duplicate address detection, a search for routers, and the groups that
/// these need.
fn is_before_an_address(packet: &IpPacket<'_>) -> bool {
    packet.part == Part::Whole
        && packet.protocol == protocol::ICMPV6
        && matches!(packet.payload(), [kind, ..]
            if LISTENERS.contains(kind) || matches!(*kind, ROUTER_SOLICITATION | SOLICITATION))
}

#[cfg(test)]
mod tests;
