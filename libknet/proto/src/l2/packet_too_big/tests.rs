use std::vec::Vec;

use proptest::prelude::*;

use super::{
    super::ip_packet::{protocol::*, test_packets as build},
    *,
};
use crate::time::Span;

const NOBODY: OwnAddresses = OwnAddresses {
    mac: None,
    v4: None,
    v6: None,
};
const TAGS: [[u16; 2]; 2] = [[0x88a8, 0x000a], [0x8100, 0x6014]];
const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

fn answered(frame: &[u8], mtu: u16, own: OwnAddresses) -> Option<Vec<u8>> {
    let mut out = b"something else".to_vec();
    if answer(frame, mtu, own, &mut out) {
        return Some(out);
    }
    assert_eq!(out, b"something else");
    None
}

fn answered_packet(packet: &[u8], mtu: u16) -> Option<Vec<u8>> {
    answered(&build::frame(&[], packet), mtu, NOBODY)
}

/// A UDP packet of `len` bytes.
fn long4(len: usize) -> Vec<u8> {
    build::ipv4(UDP, &data(len - 20))
}

fn long6(len: usize) -> Vec<u8> {
    build::ipv6(UDP, &data(len - 40))
}

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7) as u8).collect()
}

/// Source, destination, MTU and quote of an answer whose every other byte is checked here.
fn read4(answer: &[u8], header_len: usize) -> ([u8; 4], [u8; 4], u16, Vec<u8>) {
    let packet = &answer[header_len..];
    assert_eq!(
        packet[..10],
        [0x45, 0xc0, packet[2], packet[3], 0, 0, 0x40, 0, 64, 1]
    );
    assert_eq!(usize::from(packet[2]) << 8 | usize::from(packet[3]), packet.len());
    assert!(packet.len() <= 576);
    assert_eq!(build::checksum(&[&packet[..20]]), 0, "of the header");
    assert_eq!(build::checksum(&[&packet[20..]]), 0, "of ICMP");
    assert_eq!((packet[20], packet[21], &packet[24..26]), (3, 4, &[0, 0][..]));
    let address = |at: usize| packet[at..at + 4].try_into().unwrap();
    let mtu = u16::from_be_bytes([packet[26], packet[27]]);
    (address(12), address(16), mtu, packet[28..].to_vec())
}

fn read6(answer: &[u8], header_len: usize) -> ([u8; 16], [u8; 16], u32, Vec<u8>) {
    let packet = &answer[header_len..];
    assert_eq!(packet[..8], [0x60, 0, 0, 0, packet[4], packet[5], 58, 64]);
    assert_eq!(
        usize::from(packet[4]) << 8 | usize::from(packet[5]),
        packet.len() - 40
    );
    assert!(packet.len() <= 1280);
    let pseudo = build::pseudo_header(packet, ICMPV6, packet.len() - 40);
    assert_eq!(build::checksum(&[&pseudo, &packet[40..]]), 0, "of ICMPv6");
    assert_eq!((packet[40], packet[41]), (2, 0));
    let address = |at: usize| packet[at..at + 16].try_into().unwrap();
    let mtu = u32::from_be_bytes(packet[44..48].try_into().unwrap());
    (address(8), address(24), mtu, packet[48..].to_vec())
}

#[test]
fn ipv4_is_told_the_mtu_behind_tags() {
    for tags in 0..=2 {
        let (packet, header_len) = (long4(1500), 14 + 4 * tags);
        let frame = build::frame(&TAGS[..tags], &packet);
        let answer = answered(&frame, 1400, NOBODY).unwrap();
        assert_eq!(answer[..6], build::SRC_MAC);
        assert_eq!(answer[6..12], build::DST_MAC);
        assert_eq!(answer[12..header_len], frame[12..header_len]);
        let (src, dst, mtu, quote) = read4(&answer, header_len);
        assert_eq!((src, dst, mtu), (build::DST4, build::SRC4, 1400));
        assert_eq!(quote, packet[..548]);
    }
}

#[test]
fn ipv6_is_told_the_mtu_behind_tags() {
    for tags in 0..=2 {
        let (packet, header_len) = (long6(1500), 14 + 4 * tags);
        let frame = build::frame(&TAGS[..tags], &packet);
        let answer = answered(&frame, 1400, NOBODY).unwrap();
        assert_eq!(answer[..6], build::SRC_MAC);
        assert_eq!(answer[6..12], build::DST_MAC);
        assert_eq!(answer[12..header_len], frame[12..header_len]);
        let (src, dst, mtu, quote) = read6(&answer, header_len);
        assert_eq!((src, dst, mtu), (build::DST6, build::SRC6, 1400));
        assert_eq!(quote, packet[..1232]);
    }
}

#[test]
fn exactly_the_packets_that_are_too_long_are_answered() {
    assert_eq!(answered_packet(&long4(1400), 1400), None);
    assert!(answered_packet(&long4(1401), 1400).is_some());
    assert_eq!(answered_packet(&long6(1400), 1400), None);
    assert!(answered_packet(&long6(1401), 1400).is_some());
    // Padding does not make a packet longer.
    let mut padded = build::frame(&[], &long4(1400));
    padded.resize(1600, 0);
    assert_eq!(answered(&padded, 1400, NOBODY), None);
}

#[test]
fn no_less_than_the_smallest_mtu_is_told() {
    for mtu in [0, 67, 68] {
        assert_eq!(answered_packet(&long4(68), mtu), None);
        assert_eq!(
            read4(&answered_packet(&long4(69), mtu).unwrap(), 14).2,
            MIN_MTU_V4
        );
    }
    for mtu in [0, 576, 1279, 1280] {
        assert_eq!(answered_packet(&long6(1280), mtu), None);
        assert_eq!(
            read6(&answered_packet(&long6(1281), mtu).unwrap(), 14).2,
            u32::from(MIN_MTU_V6)
        );
    }
}

#[test]
fn short_packets_are_quoted_whole_and_options_are_quoted() {
    let packet = long4(101);
    assert_eq!(read4(&answered_packet(&packet, 100).unwrap(), 14).3, packet);
    let packet = build::ipv4_with(0x4000, &[1; 40], UDP, &data(9));
    assert_eq!(read4(&answered_packet(&packet, 68).unwrap(), 14).3, packet);
    let packet = build::ipv4_with(0x4000, &[1; 40], UDP, &data(999));
    assert_eq!(read4(&answered_packet(&packet, 68).unwrap(), 14).3, packet[..548]);
}

#[test]
fn own_addresses_are_preferred_but_never_the_senders() {
    let own = OwnAddresses {
        mac: Some(MacAddr([2, 9, 9, 9, 9, 9])),
        v4: Some(Ipv4Addr::new(10, 0, 0, 99)),
        v6: Some(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x99)),
    };
    let four = build::frame(&[], &long4(1500));
    let answer = answered(&four, 1400, own).unwrap();
    assert_eq!(answer[6..12], build::DST_MAC);
    assert_eq!(read4(&answer, 14).0, [10, 0, 0, 99]);
    let six = build::frame(&[], &long6(1500));
    let answer = answered(&six, 1400, own).unwrap();
    assert_eq!(answer[6..12], build::DST_MAC);
    assert_eq!(read6(&answer, 14).0, own.v6.unwrap().octets());

    let own = OwnAddresses {
        mac: None,
        v4: Some(build::SRC4.into()),
        v6: Some(build::SRC6.into()),
    };
    assert_eq!(read4(&answered(&four, 1400, own).unwrap(), 14).0, build::DST4);
    assert_eq!(read6(&answered(&six, 1400, own).unwrap(), 14).0, build::DST6);
}

#[test]
fn what_routers_may_fragment_gets_no_answer() {
    for (flags_offset, expected) in [
        (0x0000, false),
        (0x2000, false),
        (0x6000, true), // the first fragment of a sender that wants no more of them
        (0x6001, false),
        (0x4001, false),
    ] {
        let packet = build::ipv4_with(flags_offset, &[], UDP, &data(1480));
        assert_eq!(answered_packet(&packet, 1400).is_some(), expected);
    }
    for (offset, more, expected) in [
        (0, false, true),
        (0, true, true),
        (9, true, false),
        (9, false, false),
    ] {
        let payload = [&build::fragment(UDP, offset, more)[..], &data(1440)].concat();
        let packet = build::ipv6(FRAGMENT, &payload);
        assert_eq!(answered_packet(&packet, 1400).is_some(), expected);
    }
}

#[test]
fn icmp_errors_get_no_answer() {
    let message = |kind: u8| [&[kind, 0], &data(1400)[..]].concat();
    let queries: Vec<u8> = (0..=255)
        .filter(|kind| answered_packet(&build::ipv4(ICMP, &message(*kind)), 1300).is_some())
        .collect();
    assert_eq!(queries, [0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42, 43]);
    let informational: Vec<u8> = (0..=255)
        .filter(|kind| answered_packet(&build::ipv6(ICMPV6, &message(*kind)), 1300).is_some())
        .collect();
    let expected: Vec<u8> = (128..=255).filter(|kind| *kind != 137).collect();
    assert_eq!(informational, expected);
    // Behind extension headers too; and what they lead to may be an error as long as nobody knows.
    let behind = |kind: u8| build::ipv6(HOP_BY_HOP, &[extension_to(ICMPV6), message(kind)].concat());
    assert!(answered_packet(&behind(128), 1300).is_some());
    assert_eq!(answered_packet(&behind(1), 1300), None);
    let endless = build::ipv6(HOP_BY_HOP, &extension_to(HOP_BY_HOP).repeat(200));
    assert_eq!(answered_packet(&endless, 1300), None);
}

fn extension_to(next_header: u8) -> Vec<u8> {
    build::extension(next_header, 0)
}

#[test]
fn who_is_no_single_host_gets_no_answer() {
    let four = |at: usize, address: [u8; 4]| {
        let mut packet = long4(1500);
        packet[at..at + 4].copy_from_slice(&address);
        answered_packet(&packet, 1400)
    };
    for at in [12, 16] {
        for address in [
            [0; 4],
            [0, 1, 2, 3],
            [127, 0, 0, 1],
            [224, 0, 0, 5],
            [240, 0, 0, 1],
            [255; 4],
        ] {
            assert_eq!(four(at, address), None, "{address:?} at {at}");
        }
        for address in [[1, 0, 0, 1], [126, 0, 0, 1], [128, 0, 0, 1], [223, 255, 255, 254]] {
            assert!(four(at, address).is_some(), "{address:?} at {at}");
        }
    }
    let six = |at: usize, address: Ipv6Addr| {
        let mut packet = long6(1500);
        packet[at..at + 16].copy_from_slice(&address.octets());
        answered_packet(&packet, 1400)
    };
    for at in [8, 24] {
        for address in [Ipv6Addr::UNSPECIFIED, Ipv6Addr::LOCALHOST, ALL_NODES.into()] {
            assert_eq!(six(at, address), None, "{address} at {at}");
        }
    }
}

#[test]
fn group_addresses_of_ethernet() {
    let to = |mac: [u8; 6], packet: &[u8], own: OwnAddresses| {
        let mut frame = build::frame(&[], packet);
        frame[..6].copy_from_slice(&mac);
        answered(&frame, 1400, own)
    };
    let mac = [2, 9, 9, 9, 9, 9];
    let v6 = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x99);
    let own = OwnAddresses {
        mac: Some(MacAddr(mac)),
        v4: Some(Ipv4Addr::new(10, 0, 0, 99)),
        v6: Some(v6),
    };
    for group in [[0xff; 6], [1, 0, 0x5e, 0, 0, 5]] {
        assert_eq!(to(group, &long4(1500), own), None);
    }
    let mut multicast = long6(1500);
    multicast[24..40].copy_from_slice(&ALL_NODES);
    let group = [0x33, 0x33, 0, 0, 0, 1];
    let answer = to(group, &multicast, own).unwrap();
    assert_eq!(answer[6..12], mac);
    assert_eq!(read6(&answer, 14).0, v6.octets());
    for incomplete in [
        OwnAddresses { mac: None, ..own },
        OwnAddresses { v6: None, ..own },
        OwnAddresses {
            v6: Some(build::SRC6.into()),
            ..own
        },
        OwnAddresses {
            mac: Some(MacAddr(group)),
            ..own
        },
    ] {
        assert_eq!(to(group, &multicast, incomplete), None);
    }
    let mut from_group = build::frame(&[], &long6(1500));
    from_group[6] |= 1;
    assert_eq!(answered(&from_group, 1400, own), None);
}

#[test]
fn what_is_no_ip_packet_gets_no_answer() {
    let packet = long4(1500);
    assert_eq!(
        answered(&build::ethernet(&[], 0x0806, &packet), 1400, NOBODY),
        None
    );
    let frame = build::frame(&[], &packet);
    assert_eq!(answered(&frame[..frame.len() - 1], 1400, NOBODY), None);
    assert_eq!(answered(&[], 1400, NOBODY), None);
}

#[test]
fn fifty_at_once_then_a_hundred_a_second() {
    let mut answerer = Answerer::new(Workers::ONE);
    let mut out = Vec::new();
    let (long, short) = (build::frame(&[], &long4(1500)), build::frame(&[], &long4(1400)));
    let mut ask = |ms: u64, frame: &[u8]| {
        answerer.answer(Time::ZERO + Span::from_millis(ms), frame, 1400, NOBODY, &mut out)
    };
    // What gets no answer takes no token.
    assert!((0..1000).all(|_| !ask(0, &short)));
    assert_eq!((0..1000).filter(|_| ask(0, &long)).count(), 50);
    assert_eq!((0..10_000).filter(|n| ask(n / 10, &long)).count(), 99);
    assert_eq!(answerer.answered(), 149);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// Whatever comes, an answer is sound and no longer than it may be, and it is never answered itself.
    #[test]
    fn any_bytes_are_answered_soundly(
        v6 in any::<bool>(), len in 80_usize..2000, mtu in any::<u16>(), cut in any::<prop::sample::Index>(),
        noise in prop::collection::vec((0_usize..80, any::<u8>()), 0..4), cut_it in any::<bool>(),
    ) {
        let mut frame = build::frame(&[], &if v6 { long6(len) } else { long4(len) });
        for (at, byte) in noise {
            frame[at] = byte;
        }
        if cut_it {
            frame.truncate(cut.index(frame.len()));
        }
        if let Some(answer) = answered(&frame, mtu, NOBODY) {
            let at = IpPacket::in_frame(&frame).unwrap().header_at;
            let quote = match IpPacket::in_frame(&answer).unwrap().addresses {
                Addresses::V4 { .. } => read4(&answer, at).3,
                Addresses::V6 { .. } => read6(&answer, at).3,
            };
            prop_assert!(frame[at..].starts_with(&quote));
            prop_assert!(quote.len() >= 28);
            prop_assert_eq!(answered(&answer, 0, NOBODY), None);
        }
    }

    #[test]
    fn any_bytes_at_all(bytes in prop::collection::vec(any::<u8>(), 0..200), mtu in any::<u16>()) {
        answered(&bytes, mtu, NOBODY);
    }
}
