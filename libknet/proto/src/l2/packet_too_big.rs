//! The answer to an IP packet that is too long for the tunnel: ICMP "fragmentation needed" (RFC 1191) or `ICMPv6`
//! "packet too big" (RFC 4443, 3.2), made for the station that sent it.
//!
//! A bridge has no IP address. So the answer comes, unless the caller has a better address, in the name of the
//! station that the packet was for: from there it is on the sender's route and on the right link, a filter for
//! spoofed sources lets it pass, and the sender believes an answer not for its source but for the packet that it
//! quotes (RFC 5927, 4.1; RFC 8201, 4). From an address of the sender's own host, Linux would drop an answer
//! of IPv4 as a "martian".
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

use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

use super::ip_packet::{Addresses, IpPacket, Part, protocol};
use crate::{
    ids::{MacAddr, Workers},
    internet_checksum::InternetChecksum,
    time::Time,
    token_bucket::{Rate, TokenBucket},
    wire::ethernet::EthernetFrame,
};

/// The smallest MTU that IPv4 allows (RFC 791). Less is not reported.
pub const MIN_MTU_V4: u16 = 68;
/// The smallest MTU that IPv6 allows (RFC 8200, 5). Less is not reported: below it, the tunnel must fragment.
pub const MIN_MTU_V6: u16 = 1280;
/// Answers that one interface gives.
pub const ANSWERS: Rate = Rate::new(100, 50);

/// Longest answer of IPv4, from its IP header on (RFC 1812, 4.3.2.3).
const MAX_ANSWER_V4: usize = 576;
/// Longest answer of IPv6, from its IP header on (RFC 4443, 2.4 c).
const MAX_ANSWER_V6: usize = 1280;
const IPV4_HEADER_LEN: usize = 20;
const IPV6_HEADER_LEN: usize = 40;
const ICMP_HEADER_LEN: usize = 8;
const HOP_LIMIT: u8 = 64;

/// Addresses to answer from, where there are some. They must not belong to the sender's host (an address of the
/// TAP itself does, for what this host sends): that host would drop the answer. At least one that is the very
/// source of the packet is not used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnAddresses {
    /// For answers to group addresses: a unicast address that no station has. Without it they get no answer.
    pub mac: Option<MacAddr>,
    /// Rather than the destination of an IPv4 packet.
    pub v4: Option<Ipv4Addr>,
    /// Rather than the destination of an IPv6 packet. Without it packets to multicast groups get no answer.
    pub v6: Option<Ipv6Addr>,
}

/// Answers one interface's frames, no more than [`ANSWERS`] of them (or its worker's share): a sender that does not listen must not keep
/// us busy.
#[derive(Clone, Copy, Debug)]
pub struct Answerer {
    rate: Rate,
    tokens: TokenBucket,
    answered: u64,
}

impl Answerer {
    /// One of `workers` that answer an interface's frames.
    pub const fn new(workers: Workers) -> Self {
        Self {
            rate: ANSWERS.shared(workers),
            tokens: TokenBucket::FULL,
            answered: 0,
        }
    }

    /// As [`answer`], and `false` as well if there have been too many answers lately.
    pub fn answer(
        &mut self,
        now: Time,
        frame: &[u8],
        mtu: u16,
        own: OwnAddresses,
        out: &mut Vec<u8>,
    ) -> bool {
        let given = self.tokens.available(self.rate, now) > 0
            && answer(frame, mtu, own, out)
            && self.tokens.take(self.rate, now, 1);
        self.answered = self.answered.saturating_add(u64::from(given));
        given
    }

    /// How many answers there have been.
    pub fn answered(&self) -> u64 {
        self.answered
    }
}

/// Puts into `out`, in place of what is there, the frame that tells the sender of `frame` to send shorter
/// packets. `mtu` is the longest IP packet in bytes that passes the tunnel unfragmented; the answer names it, but
/// no less than [`MIN_MTU_V4`] or [`MIN_MTU_V6`].
///
/// `false`: no answer is due, and `out` is as it was. The packet is short enough; or routers may fragment it; or
/// it is a later fragment (the first one got the answer), an ICMP error, from or to addresses that are not those
/// of one host, or not well-formed (RFC 1122, 3.2.2; RFC 1812, 4.3.2.7; RFC 4443, 2.4 e). If it is too long all
/// the same it must be carried in pieces.
pub fn answer(frame: &[u8], mtu: u16, own: OwnAddresses, out: &mut Vec<u8>) -> bool {
    build(frame, mtu, own, out).is_some()
}

fn build(frame: &[u8], mtu: u16, own: OwnAddresses, out: &mut Vec<u8>) -> Option<()> {
    let ethernet = EthernetFrame::new(frame).ok()?;
    let packet = IpPacket::in_frame(frame)?;
    if !packet.dont_fragment || packet.part == Part::Later || ethernet.src().is_group() {
        return None;
    }
    let station = if ethernet.dst().is_group() {
        own.mac.filter(|mac| !mac.is_group())?
    } else {
        ethernet.dst()
    };
    // VLAN tags and EtherType, as they are.
    let rest_of_header = frame.get(12..packet.header_at)?;
    let is_too_long = |mtu: u16| packet.bytes.len() > usize::from(mtu);
    match packet.addresses {
        Addresses::V4 { src, dst } => {
            let mtu = mtu.max(MIN_MTU_V4);
            let due = is_too_long(mtu)
                && !ethernet.dst().is_group()
                && is_host_v4(src)
                && is_host_v4(dst)
                && !is_error_v4(&packet);
            let from = own.v4.filter(|own| *own != src).unwrap_or(dst);
            due.then(|| {
                start(out, ethernet.src(), station, rest_of_header);
                push_v4(out, &packet, mtu, from, src);
            })
        }
        Addresses::V6 { src, dst } => {
            let mtu = mtu.max(MIN_MTU_V6);
            // Packets to groups are answered, other than in IPv4 and with other errors (RFC 4443, 2.4 e.3).
            let due = is_too_long(mtu)
                && is_host_v6(src)
                && (is_host_v6(dst) || dst.is_multicast())
                && !is_error_v6(&packet);
            let from = match own.v6.filter(|own| *own != src) {
                Some(own) => own,
                None if dst.is_multicast() => return None,
                None => dst,
            };
            due.then(|| {
                start(out, ethernet.src(), station, rest_of_header);
                push_v6(out, &packet, mtu, from, src);
            })
        }
    }
}

/// The Ethernet header.
fn start(out: &mut Vec<u8>, dst: MacAddr, src: MacAddr, rest_of_header: &[u8]) {
    out.clear();
    out.extend_from_slice(&dst.0);
    out.extend_from_slice(&src.0);
    out.extend_from_slice(rest_of_header);
}

/// From the IPv4 header on.
fn push_v4(out: &mut Vec<u8>, packet: &IpPacket<'_>, mtu: u16, src: Ipv4Addr, dst: Ipv4Addr) {
    let (quoted, icmp_len) = quote(packet, MAX_ANSWER_V4.saturating_sub(IPV4_HEADER_LEN));
    let [l0, l1] = icmp_len.saturating_add(IPV4_HEADER_LEN as u16).to_be_bytes();
    let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (src.octets(), dst.octets());
    // Internetwork control (RFC 1812, 4.3.2.5). No identification: never to be fragmented (RFC 6864, 4.1).
    let header = |[c0, c1]: [u8; 2]| {
        [
            0x45,
            0xc0,
            l0,
            l1,
            0,
            0,
            0x40,
            0,
            HOP_LIMIT,
            protocol::ICMP,
            c0,
            c1,
            s0,
            s1,
            s2,
            s3,
            d0,
            d1,
            d2,
            d3,
        ]
    };
    let checksum = InternetChecksum::default().add(&header([0, 0])).finish();
    out.extend_from_slice(&header(checksum.to_be_bytes()));

    let [m0, m1] = mtu.to_be_bytes();
    let icmp = |[c0, c1]: [u8; 2]| [3, 4, c0, c1, 0, 0, m0, m1];
    let checksum = InternetChecksum::default()
        .add(&icmp([0, 0]))
        .add(quoted)
        .finish();
    out.extend_from_slice(&icmp(checksum.to_be_bytes()));
    out.extend_from_slice(quoted);
}

/// From the IPv6 header on.
fn push_v6(out: &mut Vec<u8>, packet: &IpPacket<'_>, mtu: u16, src: Ipv6Addr, dst: Ipv6Addr) {
    let (quoted, icmp_len) = quote(packet, MAX_ANSWER_V6.saturating_sub(IPV6_HEADER_LEN));
    let [l0, l1] = icmp_len.to_be_bytes();
    out.extend_from_slice(&[0x60, 0, 0, 0, l0, l1, protocol::ICMPV6, HOP_LIMIT]);
    out.extend_from_slice(&src.octets());
    out.extend_from_slice(&dst.octets());

    let [m0, m1] = mtu.to_be_bytes();
    let icmp = |[c0, c1]: [u8; 2]| [2, 0, c0, c1, 0, 0, m0, m1];
    let checksum = InternetChecksum::default()
        .add_pseudo_header(Addresses::V6 { src, dst }, protocol::ICMPV6, icmp_len)
        .add(&icmp([0, 0]))
        .add(quoted)
        .finish();
    out.extend_from_slice(&icmp(checksum.to_be_bytes()));
    out.extend_from_slice(quoted);
}

/// As much of the packet as an ICMP message of `max_len` bytes can quote, and the length of that message. (A
/// packet that is too long for any MTU has more than an IP header and eight bytes.)
fn quote<'a>(packet: &IpPacket<'a>, max_len: usize) -> (&'a [u8], u16) {
    let len = packet.bytes.len().min(max_len.saturating_sub(ICMP_HEADER_LEN));
    let quoted = packet.bytes.get(..len).unwrap_or_default();
    (quoted, len.saturating_add(ICMP_HEADER_LEN) as u16)
}

/// Whether it is the address of one host outside its own interior. (Which addresses are the broadcasts of
/// subnets, nobody here knows; the MAC address tells.)
fn is_host_v4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    !matches!(first, 0 | 127 | 224..)
}

/// As [`is_host_v4`].
fn is_host_v6(address: Ipv6Addr) -> bool {
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast())
}

/// Whether it is an ICMP error, or a message of which that is not known. Errors are never answered by errors.
fn is_error_v4(packet: &IpPacket<'_>) -> bool {
    // Echoes, router discovery, timestamp, information, address mask, extended echo (IANA).
    packet.protocol == protocol::ICMP && !matches!(packet.payload(), [0 | 8..=10 | 13..=18 | 42 | 43, ..])
}

/// As [`is_error_v4`]. 137 is a redirect, a kind of error too. Where the headers do not lead
/// to the payload, it may be an error.
fn is_error_v6(packet: &IpPacket<'_>) -> bool {
    match packet.protocol {
        protocol::ICMPV6 => !matches!(packet.payload(), [128..=136 | 138..=255, ..]),
        protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS | protocol::FRAGMENT => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
