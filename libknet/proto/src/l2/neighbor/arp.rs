//! ARP for IPv4 over Ethernet (RFC 826).
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use super::{Claim, Message};
use crate::{ids::MacAddr, wire::ethernet::EthernetFrame};

const ETHERTYPE: u16 = 0x0806;
/// Ethernet, IPv4, and the lengths of their addresses.
const KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];
const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];
const LEN: usize = 28;

pub(super) fn parse(bytes: &[u8]) -> Option<Message> {
    let frame = EthernetFrame::new(bytes).ok()?;
    if frame.ethertype() != ETHERTYPE {
        return None;
    }
    let packet: &[u8; LEN] = bytes.get(14..)?.first_chunk()?;
    let (kind, rest) = packet.split_first_chunk::<6>()?;
    let (operation, rest) = rest.split_first_chunk::<2>()?;
    let (sender_mac, rest) = rest.split_first_chunk::<6>()?;
    let (sender, rest) = rest.split_first_chunk::<4>()?;
    let (_, rest) = rest.split_first_chunk::<6>()?;
    let target = Ipv4Addr::from(*rest.first_chunk::<4>()?);
    if *kind != KIND || (*operation != REQUEST && *operation != REPLY) {
        return None;
    }
    let sender = Ipv4Addr::from(*sender);
    // A probe has none (RFC 5227, 2.1.1).
    let true_to_frame = MacAddr(*sender_mac) == frame.src() && is_host(sender);
    let claim = true_to_frame.then_some(Claim {
        ip: sender.into(),
        mac: frame.src(),
        router: None,
    });
    let asks = *operation == REQUEST && frame.dst().is_group() && sender != target && is_host(target);
    Some(Message {
        claim,
        question: claim.filter(|_| asks).map(|_| target.into()),
    })
}

/// The frame that tells `to` of `owner`.
pub(super) fn reply(to: (Ipv4Addr, MacAddr), owner: (Ipv4Addr, MacAddr)) -> Vec<u8> {
    [
        &to.1.0[..],
        &owner.1.0,
        &ETHERTYPE.to_be_bytes(),
        &KIND,
        &REPLY,
        &owner.1.0,
        &owner.0.octets(),
        &to.1.0,
        &to.0.octets(),
    ]
    .concat()
}

/// Whether one host can have it.
const fn is_host(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    !matches!(first, 0 | 127 | 224..)
}
