//! What hosts and routers say of groups.
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

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    Protocol, is_for_all,
    query::{INTERVAL, Query, ROBUSTNESS, expanded},
};
use crate::{
    ids::MacAddr,
    internet_checksum::InternetChecksum,
    l2::ip_packet::{Addresses, IpPacket, Part, protocol},
    time::Span,
};

const IGMP: u8 = 2;
const PIM: u8 = 103;
/// Records of one report that are looked at: as many as fit a packet of 1500 bytes, without sources.
const MAX_RECORDS: u16 = 183;

/// What a frame says.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// A router, or a switch in its place, asks who listens to anything.
    Query(Query),
    /// A host says what it listens to.
    Report(Report<'a>),
    /// A multicast router says that it is there (PIM, RFC 7761).
    Router(Protocol),
}

/// What a host says that it listens to.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Of which of the two.
    pub protocol: Protocol,
    form: Form<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    /// Of one group, which it listens to or not.
    One(IpAddr, bool),
    /// Records that follow each other, so many.
    Records(&'a [u8], u16),
}

impl<'a> Message<'a> {
    /// What is well-formed, and nothing else. With a VLAN tag or two, or without.
    pub fn parse(frame: &'a [u8]) -> Option<Self> {
        let packet = IpPacket::in_frame(frame).filter(|packet| packet.part == Part::Whole)?;
        let payload = packet.bytes.get(packet.payload_at..)?;
        let mac = MacAddr(*frame.get(6..)?.first_chunk()?);
        match (packet.addresses, packet.protocol) {
            (Addresses::V4 { src, .. }, IGMP) => {
                (InternetChecksum::default().add(payload).finish() == 0).then_some(())?;
                igmp(src, mac, payload)
            }
            (Addresses::V4 { .. }, PIM) => is_hello(payload).then_some(Self::Router(Protocol::Igmp)),
            (Addresses::V6 { .. }, PIM) => is_hello(payload).then_some(Self::Router(Protocol::Mld)),
            (addresses @ Addresses::V6 { src, .. }, protocol::ICMPV6) => {
                // What no router has forwarded (RFC 3810, 5).
                (packet.bytes.get(7) == Some(&1)).then_some(())?;
                let len = u16::try_from(payload.len()).ok()?;
                let sum = InternetChecksum::default().add_pseudo_header(addresses, protocol::ICMPV6, len);
                (sum.add(payload).finish() == 0).then_some(())?;
                mld(src, mac, payload)
            }
            _ => None,
        }
    }
}

/// Version 2, type hello.
fn is_hello(pim: &[u8]) -> bool {
    pim.first() == Some(&0x20)
}

fn igmp(src: Ipv4Addr, mac: MacAddr, payload: &[u8]) -> Option<Message<'_>> {
    let ([kind, code, _, _, group @ ..], rest) = payload.split_first_chunk::<8>()?;
    let group = Ipv4Addr::from(*group);
    let protocol = Protocol::Igmp;
    let one = |listens| {
        let form = Form::One(listenable(group.into())?, listens);
        Some(Message::Report(Report { protocol, form }))
    };
    match kind {
        // Those for one group are no news of anybody.
        0x11 => {
            let (version, within) = match (code, Query::read_rest(rest)) {
                (0, None) => (1, Span::from_secs(10)),
                (code, None) => (2, Span::from_millis(100).times((*code).into())),
                (code, Some(_)) => (3, Span::from_millis(100).times(expanded(u32::from(*code), 8))),
            };
            let is_sound = group.is_unspecified() && !src.is_multicast() && !src.is_broadcast();
            is_sound.then(|| query(src.into(), mac, version, within, rest))
        }
        0x12 | 0x16 => one(true),
        0x17 => one(false),
        0x22 => {
            let [.., n0, n1] = group.octets();
            let form = Form::Records(rest, u16::from_be_bytes([n0, n1]));
            Some(Message::Report(Report { protocol, form }))
        }
        _ => None,
    }
}

fn mld(src: Ipv6Addr, mac: MacAddr, payload: &[u8]) -> Option<Message<'_>> {
    let ([kind, _, _, _, m0, m1, n0, n1], rest) = payload.split_first_chunk::<8>()?;
    let protocol = Protocol::Mld;
    let group = rest.first_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes));
    let one = |listens| {
        let form = Form::One(listenable(group?.into())?, listens);
        Some(Message::Report(Report { protocol, form }))
    };
    match kind {
        130 => {
            let is_sound = group?.is_unspecified() && src.is_unicast_link_local();
            let code = u32::from(u16::from_be_bytes([*m0, *m1]));
            let behind = rest.get(16..)?;
            let (version, within) = match Query::read_rest(behind) {
                None => (1, code.into()),
                Some(_) => (2, expanded(code, 16)),
            };
            is_sound.then(|| query(src.into(), mac, version, Span::from_millis(within), behind))
        }
        131 => one(true),
        132 => one(false),
        143 => {
            let form = Form::Records(rest, u16::from_be_bytes([*n0, *n1]));
            Some(Message::Report(Report { protocol, form }))
        }
        _ => None,
    }
}

/// What a question for all groups says; `rest` is what only that of the latest version has.
fn query<'a>(source: IpAddr, mac: MacAddr, version: u8, within: Span, rest: &[u8]) -> Message<'a> {
    let (robustness, interval) = Query::read_rest(rest).unwrap_or((ROBUSTNESS, INTERVAL));
    Message::Query(Query {
        source,
        mac,
        version,
        // Longer than the interval makes no sense (RFC 3376, 8.3).
        within: within.min(interval),
        interval,
        robustness,
    })
}

/// The group, if it is one that somebody can be told not to want.
fn listenable(group: IpAddr) -> Option<IpAddr> {
    (group.is_multicast() && !is_for_all(group)).then_some(group)
}

impl Report<'_> {
    /// Groups, and whether the host listens to them, or does no more. Of sources nothing is told: whoever wants some of a
    /// group gets all of it.
    pub fn groups(&self) -> impl Iterator<Item = (IpAddr, bool)> {
        let (one, mut rest, mut left) = match self.form {
            Form::One(group, listens) => (Some((group, listens)), &[][..], 0),
            Form::Records(records, count) => (None, records, count.min(MAX_RECORDS)),
        };
        let address_len = match self.protocol {
            Protocol::Igmp => 4,
            Protocol::Mld => 16,
        };
        let records = core::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let (record, after) = record(rest, address_len)?;
            rest = after;
            Some(record)
        });
        one.into_iter().chain(records.flatten())
    }
}

/// A group, and whether the host listens to it.
type Said = (IpAddr, bool);

/// What a record says, if it says something of a group, and what follows it. `None`: it is cut off.
fn record(bytes: &[u8], address_len: usize) -> Option<(Option<Said>, &[u8])> {
    let ([kind, auxiliary, s0, s1], rest) = bytes.split_first_chunk::<4>()?;
    let (group, rest) = rest.split_at_checked(address_len)?;
    let sources = usize::from(u16::from_be_bytes([*s0, *s1]));
    let skipped = sources
        .saturating_mul(address_len)
        .saturating_add(usize::from(*auxiliary) << 2);
    let rest = rest.get(skipped..)?;
    let group = match group.first_chunk::<16>() {
        Some(v6) => IpAddr::V6(Ipv6Addr::from(*v6)),
        None => IpAddr::V4(Ipv4Addr::from(*group.first_chunk::<4>()?)),
    };
    let listens = match kind {
        // Includes some, or from now on only these; or allows more.
        1 | 3 => Some(sources > 0),
        5 => Some(true).filter(|_| sources > 0),
        // Excludes some.
        2 | 4 => Some(true),
        // Blocks some: whoever wants none of them any more says so.
        _ => None,
    };
    Some((listenable(group).zip(listens), rest))
}

#[cfg(test)]
mod tests;
