use std::vec::Vec;

use proptest::prelude::*;

use super::{protocol::*, test_packets::*, *};

const TAGS: [[u16; 2]; 2] = [[0x88a8, 0x0064], [0x8100, 0x2005]];

/// Part, protocol and payload of the packet in a frame.
fn seen(frame: &[u8]) -> Option<(Part, u8, Vec<u8>)> {
    IpPacket::in_frame(frame).map(|p| (p.part, p.protocol, p.payload().to_vec()))
}

#[test]
fn both_versions_behind_up_to_two_tags() {
    for tags in 0..=2 {
        let four = frame(&TAGS[..tags], &ipv4(UDP, b"payload"));
        let packet = IpPacket::in_frame(&four).unwrap();
        assert_eq!(packet.header_at, 14 + 4 * tags);
        assert_eq!((packet.payload(), packet.bytes.len()), (&b"payload"[..], 27));
        let (src, dst) = (SRC4.into(), DST4.into());
        assert_eq!(packet.addresses, Addresses::V4 { src, dst });
        assert!(packet.dont_fragment);

        let six = frame(&TAGS[..tags], &ipv6(UDP, b"payload"));
        let packet = IpPacket::in_frame(&six).unwrap();
        assert_eq!(packet.header_at, 14 + 4 * tags);
        assert_eq!((packet.payload(), packet.bytes.len()), (&b"payload"[..], 47));
        let (src, dst) = (SRC6.into(), DST6.into());
        assert_eq!(packet.addresses, Addresses::V6 { src, dst });
        assert!(packet.dont_fragment);
    }
    let third = [[0x8100, 1], [0x8100, 2], [0x8100, 3]];
    assert_eq!(seen(&frame(&third, &ipv4(UDP, b"payload"))), None);
    assert_eq!(seen(&ethernet(&[], 0x0806, &ipv4(UDP, b"payload"))), None);
}

#[test]
fn padding_of_the_frame_is_not_payload() {
    for packet in [ipv4(TCP, b"abc"), ipv6(TCP, b"abc")] {
        let padded = [frame(&[], &packet), std::vec![0xaa; 20]].concat();
        assert_eq!(seen(&padded), Some((Part::Whole, TCP, b"abc".to_vec())));
    }
}

#[test]
fn what_is_cut_off_or_contradicts_itself_is_no_packet() {
    for packet in [ipv4(TCP, b"abc"), ipv6(TCP, b"abc")] {
        let whole = frame(&[], &packet);
        for len in 0..whole.len() {
            assert_eq!(seen(&whole[..len]), None, "{len} bytes");
        }
    }
    let damaged = |at: usize, byte: u8| {
        let mut packet = ipv4(TCP, b"abc");
        packet[at] = byte;
        seen(&ethernet(&[], ETHERTYPE_IPV4, &packet))
    };
    assert_eq!(damaged(0, 0x65), None, "version");
    assert_eq!(damaged(0, 0x44), None, "header of 16 bytes");
    assert_eq!(damaged(0, 0x46), None, "header longer than the packet");
    assert_eq!(damaged(3, 19), None, "packet shorter than its header");
    assert_eq!(damaged(3, 24), None, "packet longer than the frame");
    assert_eq!(damaged(3, 20), Some((Part::Whole, TCP, Vec::new())));
    let four_as_six = [&ipv4(TCP, b"abc")[..], &[0; 5000]].concat();
    assert_eq!(
        seen(&ethernet(&[], ETHERTYPE_IPV6, &four_as_six)),
        None,
        "version"
    );
}

#[test]
fn options_of_ipv4_are_no_payload() {
    let packet = ipv4_with(0, &[1; 40], UDP, b"abc");
    assert_eq!(
        seen(&frame(&[], &packet)),
        Some((Part::Whole, UDP, b"abc".to_vec()))
    );
}

#[test]
fn fragments_of_ipv4() {
    for (flags_offset, part, dont_fragment) in [
        (0x0000, Part::Whole, false),
        (0x4000, Part::Whole, true),
        (0x2000, Part::First, false),
        (0x6000, Part::First, true),
        (0x2001, Part::Later, false),
        (0x1fff, Part::Later, false),
    ] {
        let bytes = frame(&[], &ipv4_with(flags_offset, &[], UDP, b"abc"));
        let packet = IpPacket::in_frame(&bytes).unwrap();
        assert_eq!((packet.part, packet.dont_fragment), (part, dont_fragment));
    }
    for bit in 0..13 {
        let bytes = frame(&[], &ipv4_with(1 << bit, &[], UDP, b"abc"));
        assert_eq!(IpPacket::in_frame(&bytes).unwrap().part, Part::Later);
    }
}

#[test]
fn extension_headers_are_looked_through() {
    let payload = [
        extension(ROUTING, 0),
        extension(DESTINATION_OPTIONS, 2),
        extension(TCP, 1),
        b"abc".to_vec(),
    ]
    .concat();
    let bytes = frame(&[], &ipv6(HOP_BY_HOP, &payload));
    assert_eq!(seen(&bytes), Some((Part::Whole, TCP, b"abc".to_vec())));
}

#[test]
fn fragments_of_ipv6() {
    let piece = |offset, more| {
        let payload = [
            &fragment(DESTINATION_OPTIONS, offset, more)[..],
            &extension(UDP, 0),
            b"abc",
        ]
        .concat();
        seen(&frame(&[], &ipv6(FRAGMENT, &payload))).unwrap()
    };
    assert_eq!(piece(0, false), (Part::Whole, UDP, b"abc".to_vec()));
    assert_eq!(piece(0, true), (Part::First, UDP, b"abc".to_vec()));
    // What looks like an extension header is data.
    let data = [&extension(UDP, 0)[..], b"abc"].concat();
    assert_eq!(piece(9, true), (Part::Later, DESTINATION_OPTIONS, data.clone()));
    assert_eq!(piece(9, false), (Part::Later, DESTINATION_OPTIONS, data));
    for bit in 0..13 {
        assert_eq!(piece(1 << bit, false).0, Part::Later);
    }
    // A header of its own for a first fragment that was "fragmented" again into one piece.
    let twice = [
        fragment(FRAGMENT, 0, true),
        fragment(UDP, 0, false),
        [1, 2, 3, 4, 5, 6, 7, 8],
    ]
    .concat();
    let (part, protocol, _) = seen(&frame(&[], &ipv6(FRAGMENT, &twice))).unwrap();
    assert_eq!((part, protocol), (Part::First, UDP));
}

#[test]
fn a_chain_that_is_cut_off_or_endless_ends_at_the_header_that_stopped_it() {
    let cut = frame(&[], &ipv6(HOP_BY_HOP, &extension(TCP, 1)[..15]));
    assert_eq!(seen(&cut).unwrap().1, HOP_BY_HOP);
    let empty = frame(&[], &ipv6(ROUTING, &[]));
    assert_eq!(seen(&empty), Some((Part::Whole, ROUTING, Vec::new())));
    let chain = |n: usize| {
        let mut payload = extension(DESTINATION_OPTIONS, 0).repeat(n - 1);
        payload.extend(extension(TCP, 0));
        seen(&frame(&[], &ipv6(DESTINATION_OPTIONS, &payload))).unwrap()
    };
    assert_eq!(chain(8), (Part::Whole, TCP, Vec::new()));
    assert_eq!(chain(9).1, DESTINATION_OPTIONS);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn any_bytes_are_read_without_panic(
        ethertype in prop::sample::select(std::vec![ETHERTYPE_IPV4, ETHERTYPE_IPV6]),
        version in prop::sample::select(std::vec![0x45_u8, 0x4f, 0x60, 0x00]),
        mut bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(FRAGMENT)], 1..120),
    ) {
        bytes[0] = version;
        let bytes = ethernet(&[], ethertype, &bytes);
        if let Some(packet) = IpPacket::in_frame(&bytes) {
            prop_assert!(packet.payload_at <= packet.bytes.len());
            prop_assert!(packet.bytes.len() <= bytes.len() - 14);
        }
    }
}
