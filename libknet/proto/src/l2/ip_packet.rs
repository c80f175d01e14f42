//! The IP packet inside an Ethernet frame, as far as flows, MSS and MTU need it.
//!
//! A bridge must carry whatever stations send, so what is not well-formed here is no error: it is a frame
//! without an IP packet.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::wire::ethernet::{ETHERNET_HEADER_LEN, EthernetFrame};

/// `EtherType` of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// `EtherType` of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;

/// Protocol numbers (IANA), common to IPv4 and IPv6.
pub mod protocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// DCCP.
    pub const DCCP: u8 = 33;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: u8 = 60;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// UDP-Lite.
    pub const UDP_LITE: u8 = 136;
}

const IPV4_HEADER_LEN: usize = 20;
const IPV6_HEADER_LEN: usize = 40;
/// Extension headers that are looked through. Real packets have one or two; a chain of a thousand, which a jumbo
/// frame could hold, must not cost a thousand steps.
const MAX_EXTENSION_HEADERS: usize = 8;

/// Source and destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Of IPv4.
    V4 {
        /// Source.
        src: Ipv4Addr,
        /// Destination.
        dst: Ipv4Addr,
    },
    /// Of IPv6.
    V6 {
        /// Source.
        src: Ipv6Addr,
        /// Destination.
        dst: Ipv6Addr,
    },
}

/// Which part of a datagram a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it; also an IPv6 "atomic fragment" (RFC 6946).
    Whole,
    /// Its first fragment.
    First,
    /// A later fragment, which does not begin with the header of the payload.
    Later,
}

/// A view of an IP packet that lies completely inside the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpPacket<'a> {
    /// Where its header begins in the frame: 14, 18 or 22.
    pub header_at: usize,
    /// The packet: as long as its header says, without the frame's padding.
    pub bytes: &'a [u8],
    /// Source and destination.
    pub addresses: Addresses,
    /// Whether it is a fragment.
    pub part: Part,
    /// Whether no router may fragment it: always so with IPv6.
    pub dont_fragment: bool,
    /// What the payload is. If the extension headers (IPv6) cannot be followed to the end: the one that stopped
    /// it. In a later fragment: what the fragment says the first one is, which may be an extension header.
    pub protocol: u8,
    /// Where the payload begins in [`Self::bytes`]; not beyond their end.
    pub payload_at: usize,
}

impl<'a> IpPacket<'a> {
    /// The packet in `frame`, behind up to two VLAN tags. `None`: there is none, or it is cut off, or its lengths
    /// contradict each other.
    pub fn in_frame(frame: &'a [u8]) -> Option<Self> {
        let (tags, ethertype) = EthernetFrame::new(frame).ok()?.vlan_tags();
        let header_at = tags
            .iter()
            .flatten()
            .fold(ETHERNET_HEADER_LEN, |at, _| at.saturating_add(4));
        let bytes = frame.get(header_at..)?;
        match ethertype {
            ETHERTYPE_IPV4 => Self::v4(header_at, bytes),
            ETHERTYPE_IPV6 => Self::v6(header_at, bytes),
            _ => None,
        }
    }

    /// What follows the headers.
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(self.payload_at..).unwrap_or_default()
    }

    /// RFC 791.
    fn v4(header_at: usize, bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.first_chunk::<IPV4_HEADER_LEN>()?;
        let [
            version_ihl,
            _,
            l0,
            l1,
            _,
            _,
            f0,
            f1,
            _,
            protocol,
            _,
            _,
            addresses @ ..,
        ] = *header;
        let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;
        let header_len = usize::from(version_ihl & 0x0f) << 2;
        let total_len = usize::from(u16::from_be_bytes([l0, l1]));
        if version_ihl >> 4 != 4 || header_len < IPV4_HEADER_LEN || total_len < header_len {
            return None;
        }
        let flags_offset = u16::from_be_bytes([f0, f1]);
        let (more, offset) = (flags_offset & 0x2000 != 0, flags_offset & 0x1fff);
        Some(Self {
            header_at,
            bytes: bytes.get(..total_len)?,
            addresses: Addresses::V4 {
                src: Ipv4Addr::new(s0, s1, s2, s3),
                dst: Ipv4Addr::new(d0, d1, d2, d3),
            },
            part: part(offset, more),
            dont_fragment: flags_offset & 0x4000 != 0,
            protocol,
            payload_at: header_len,
        })
    }

    /// RFC 8200.
    fn v6(header_at: usize, bytes: &'a [u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<IPV6_HEADER_LEN>()?;
        let ([version, _, _, _, l0, l1, next, _], addresses) = header.split_first_chunk::<8>()?;
        let (src, dst) = addresses.split_first_chunk::<16>()?;
        if version >> 4 != 6 {
            return None;
        }
        let total_len = usize::from(u16::from_be_bytes([*l0, *l1])).saturating_add(IPV6_HEADER_LEN);
        let mut packet = Self {
            header_at,
            bytes: bytes.get(..total_len)?,
            addresses: Addresses::V6 {
                src: Ipv6Addr::from(*src),
                dst: Ipv6Addr::from(*dst.first_chunk::<16>()?),
            },
            part: Part::Whole,
            dont_fragment: true,
            protocol: *next,
            payload_at: IPV6_HEADER_LEN,
        };
        for _ in 0..MAX_EXTENSION_HEADERS {
            if packet.part == Part::Later || !packet.skip_extension_header() {
                break;
            }
        }
        Some(packet)
    }

    /// Goes past the extension header at the front of the payload, if there is one and it is complete.
    fn skip_extension_header(&mut self) -> bool {
        let Some([next, len, o0, o1, ..]) = self.payload().first_chunk::<8>() else {
            return false;
        };
        let len = match self.protocol {
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => {
                usize::from(*len).saturating_add(1) << 3
            }
            protocol::FRAGMENT => 8,
            _ => return false,
        };
        let payload_at = self.payload_at.saturating_add(len);
        if payload_at > self.bytes.len() {
            return false;
        }
        if self.protocol == protocol::FRAGMENT {
            let offset_flags = u16::from_be_bytes([*o0, *o1]);
            match part(offset_flags >> 3, offset_flags & 1 != 0) {
                Part::Whole => {}
                fragment => self.part = fragment,
            }
        }
        self.protocol = *next;
        self.payload_at = payload_at;
        true
    }
}

fn part(offset: u16, more: bool) -> Part {
    match (offset, more) {
        (0, false) => Part::Whole,
        (0, true) => Part::First,
        _ => Part::Later,
    }
}

#[cfg(test)]
pub(crate) mod test_packets;
#[cfg(test)]
mod tests;
