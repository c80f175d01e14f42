//! Frames of IGMP, MLD and PIM, for the tests.

use alloc::{vec, vec::Vec};

use crate::l2::ip_packet::test_packets as build;

const IGMP: u8 = 2;
const HOP_BY_HOP: u8 = 0;
const ICMPV6: u8 = 58;
/// Where the message begins behind Ethernet and IPv4.
const IGMP_AT: usize = 34;

/// `more`: what version 3 has behind the group.
pub(crate) fn igmp(kind: u8, group: [u8; 4], more: &[u8]) -> Vec<u8> {
    let message = [&[kind, 0, 0, 0][..], &group, more].concat();
    let to = match (kind, group) {
        (0x11, [0, ..]) => [224, 0, 0, 1],
        (0x17, _) => [224, 0, 0, 2],
        (0x22, _) => [224, 0, 0, 22],
        _ => group,
    };
    v4(IGMP, to, &message)
}

/// Type, group, number of sources of each record.
pub(crate) fn igmp_records(records: &[(u8, [u8; 4], u8)]) -> Vec<u8> {
    let all: Vec<Vec<u8>> = records
        .iter()
        .map(|(kind, group, sources)| {
            [
                &[*kind, 0, 0, *sources][..],
                group,
                &vec![10; 4 * usize::from(*sources)],
            ]
            .concat()
        })
        .collect();
    igmp(0x22, [0, 0, 0, records.len() as u8], &all.concat())
}

pub(crate) fn pim() -> Vec<u8> {
    v4(103, [224, 0, 0, 13], &[0x20, 0, 0, 0, 0, 1, 0, 2, 0, 105])
}

fn v4(protocol: u8, to: [u8; 4], message: &[u8]) -> Vec<u8> {
    let mut packet = build::ipv4(protocol, message);
    packet[8] = 1;
    packet[16..20].copy_from_slice(&to);
    let mut frame = build::frame(&[], &packet);
    frame[..6].copy_from_slice(&[0x01, 0x00, 0x5e, to[1] & 0x7f, to[2], to[3]]);
    finish_igmp(&mut frame);
    frame
}

/// Puts the checksum in.
pub(crate) fn finish_igmp(frame: &mut [u8]) {
    frame[IGMP_AT + 2..IGMP_AT + 4].fill(0);
    let sum = build::checksum(&[&frame[IGMP_AT..]]);
    frame[IGMP_AT + 2..IGMP_AT + 4].copy_from_slice(&sum.to_be_bytes());
}

pub(crate) fn mld(kind: u8, group: [u8; 16]) -> Vec<u8> {
    let message = [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &group].concat();
    let to = match kind {
        130 => all_nodes(),
        _ => group,
    };
    v6(to, message)
}

/// Type, group, number of sources of each record.
pub(crate) fn mld_records(records: &[(u8, [u8; 16], u8)]) -> Vec<u8> {
    let all: Vec<Vec<u8>> = records
        .iter()
        .map(|(kind, group, sources)| {
            [
                &[*kind, 0, 0, *sources][..],
                group,
                &vec![0xfd; 16 * usize::from(*sources)],
            ]
            .concat()
        })
        .collect();
    let head = [143, 0, 0, 0, 0, 0, 0, records.len() as u8];
    let mut to = all_nodes();
    to[15] = 0x16;
    v6(to, [&head[..], &all.concat()].concat())
}

fn all_nodes() -> [u8; 16] {
    let mut group = [0; 16];
    group[..2].copy_from_slice(&[0xff, 0x02]);
    group[15] = 1;
    group
}

/// With a hop-by-hop header that has a router alert in it, as MLD has it.
fn v6(to: [u8; 16], mut message: Vec<u8>) -> Vec<u8> {
    let from = core::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).octets();
    let pseudo = [
        &from[..],
        &to,
        &(message.len() as u32).to_be_bytes(),
        &[0, 0, 0, ICMPV6],
    ]
    .concat();
    let sum = build::checksum(&[&pseudo, &message]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let options = [ICMPV6, 0, 5, 2, 0, 0, 1, 0];
    let mut packet = build::ipv6(HOP_BY_HOP, &[&options[..], &message].concat());
    packet[7] = 1;
    packet[8..24].copy_from_slice(&from);
    packet[24..40].copy_from_slice(&to);
    let mut frame = build::frame(&[], &packet);
    frame[..6].copy_from_slice(&[0x33, 0x33, to[12], to[13], to[14], to[15]]);
    frame
}
