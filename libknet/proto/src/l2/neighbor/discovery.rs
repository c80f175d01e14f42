//! Neighbour solicitations and advertisements of IPv6 (RFC 4861).
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use super::{Claim, Message};
use crate::{
    ids::MacAddr,
    internet_checksum::InternetChecksum,
    l2::ip_packet::{Addresses, ETHERTYPE_IPV6, IpPacket, Part, protocol},
    wire::ethernet::{ETHERNET_HEADER_LEN, EthernetFrame},
};

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_LAYER_ADDRESS: u8 = 1;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
/// Flags of an advertisement.
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
/// What no router has forwarded.
const HOP_LIMIT: u8 = 255;
const IPV6_HEADER_LEN: usize = 40;
/// Type, code, checksum, flags, target.
const HEADER_LEN: usize = 24;
/// Of an advertisement with one option.
const ADVERTISEMENT_LEN: u16 = 32;

/// What section 7.1 calls valid, and no more.
pub(super) fn parse(bytes: &[u8]) -> Option<Message> {
    let frame = EthernetFrame::new(bytes).ok()?;
    let packet = IpPacket::in_frame(bytes).filter(|packet| {
        packet.header_at == ETHERNET_HEADER_LEN
            && packet.protocol == protocol::ICMPV6
            && packet.payload_at == IPV6_HEADER_LEN
            && packet.part == Part::Whole
            && packet.bytes.get(7) == Some(&HOP_LIMIT)
    })?;
    let Addresses::V6 { src, dst } = packet.addresses else {
        return None;
    };
    let payload = packet.payload();
    let (header, options) = payload.split_first_chunk::<HEADER_LEN>()?;
    let [kind, code, _, _, flags, _, _, _, target @ ..] = header;
    let target = Ipv6Addr::from(*target);
    if !matches!(*kind, SOLICITATION | ADVERTISEMENT)
        || *code != 0
        || !is_host(target)
        || !is_intact(packet.addresses, payload)
    {
        return None;
    }
    // What the option says, where that is true of the frame.
    let mac = |option| {
        let mac = link_layer_address(options, option).ok()?;
        Some(mac.filter(|mac| *mac == frame.src()))
    };
    if *kind == ADVERTISEMENT {
        let claim = mac(TARGET_LINK_LAYER_ADDRESS)?.map(|mac| Claim {
            ip: target.into(),
            mac,
            router: Some(flags & ROUTER != 0),
        });
        return Some(Message {
            claim,
            question: None,
        });
    }
    // Without a source it is duplicate address detection (RFC 4862, 5.4.3).
    let mac = mac(SOURCE_LINK_LAYER_ADDRESS)?;
    let claim = mac.filter(|_| is_host(src)).map(|mac| Claim {
        ip: src.into(),
        mac,
        router: None,
    });
    let asks = frame.dst().is_group() && dst == solicited_node(target) && src != target;
    Some(Message {
        claim,
        question: claim.filter(|_| asks).map(|_| target.into()),
    })
}

/// The frame that tells `to` of `owner`. It does not override what `to` knows already, because it is not the owner who says
/// it (RFC 4861, 7.2.4 and 7.2.8).
pub(super) fn advertisement(to: (Ipv6Addr, MacAddr), owner: (Ipv6Addr, MacAddr), is_router: bool) -> Vec<u8> {
    let flags = SOLICITED | if is_router { ROUTER } else { 0 };
    let message = |[c0, c1]: [u8; 2]| {
        [
            &[ADVERTISEMENT, 0, c0, c1, flags, 0, 0, 0][..],
            &owner.0.octets(),
            &[TARGET_LINK_LAYER_ADDRESS, 1],
            &owner.1.0,
        ]
        .concat()
    };
    let addresses = Addresses::V6 {
        src: owner.0,
        dst: to.0,
    };
    let checksum = InternetChecksum::default()
        .add_pseudo_header(addresses, protocol::ICMPV6, ADVERTISEMENT_LEN)
        .add(&message([0, 0]))
        .finish();
    let [l0, l1] = ADVERTISEMENT_LEN.to_be_bytes();
    [
        &to.1.0[..],
        &owner.1.0,
        &ETHERTYPE_IPV6.to_be_bytes(),
        &[0x60, 0, 0, 0, l0, l1, protocol::ICMPV6, HOP_LIMIT],
        &owner.0.octets(),
        &to.0.octets(),
        &message(checksum.to_be_bytes()),
    ]
    .concat()
}

/// Options without a length, or longer than the message.
struct NotWellFormed;

/// The Ethernet address in the options, if there is one.
fn link_layer_address(mut options: &[u8], wanted: u8) -> Result<Option<MacAddr>, NotWellFormed> {
    let mut found = None;
    while let [kind, units, ..] = *options {
        let (option, rest) = options
            .split_at_checked(usize::from(units) << 3)
            .filter(|(option, _)| !option.is_empty())
            .ok_or(NotWellFormed)?;
        if kind == wanted
            && let [_, _, mac @ ..] = option
            && let Ok(mac) = <[u8; 6]>::try_from(mac)
        {
            found = found.or(Some(MacAddr(mac)));
        }
        options = rest;
    }
    if options.is_empty() {
        Ok(found)
    } else {
        Err(NotWellFormed)
    }
}

fn is_intact(addresses: Addresses, payload: &[u8]) -> bool {
    let len = u16::try_from(payload.len()).unwrap_or_default();
    let sum = InternetChecksum::default()
        .add_pseudo_header(addresses, protocol::ICMPV6, len)
        .add(payload);
    sum.finish() == 0
}

/// The group that whoever has `address` is in (RFC 4291, 2.7.1).
const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (a & 0xff), b)
}

fn is_host(address: Ipv6Addr) -> bool {
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast())
}
