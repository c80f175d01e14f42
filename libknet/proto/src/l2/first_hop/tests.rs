#![allow(clippy::indexing_slicing)]

use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::l2::ip_packet::{protocol::*, test_packets as build};

fn udp(from: u16, to: u16, kind: u8) -> Vec<u8> {
    let mut udp = build::udp(from, to);
    udp[8] = kind;
    udp
}

#[test]
fn who_serves_dhcp() {
    let v4 = |from, to, kind| role_of(&build::frame(&[], &build::ipv4(UDP, &udp(from, to, kind))));
    let v6 = |from, to, kind| role_of(&build::frame(&[], &build::ipv6(UDP, &udp(from, to, kind))));
    let server = Some(Role::DhcpServer);
    assert_eq!(v4(68, 67, 1), None, "a client");
    assert_eq!(v4(67, 67, 1), None, "a relay that asks");
    assert_eq!(v4(67, 68, 2), server);
    assert_eq!(v4(67, 67, 2), server, "to a relay");
    assert_eq!(v4(5_000, 68, 2), server, "from wherever");
    for asks in [1, 3, 4, 5, 6, 8, 9, 11, 12] {
        assert_eq!(v6(546, 547, asks), None, "type {asks}");
    }
    for answers in [2, 7, 10, 13] {
        assert_eq!(v6(547, 547, answers), server, "type {answers}");
    }
    assert_eq!(v6(547, 546, 7), server);
    assert_eq!(
        (v4(547, 546, 7), v6(67, 68, 2)),
        (None, None),
        "of the other version"
    );
    assert_eq!((v4(1, 53, 2), v6(1, 53, 2)), (None, None));
}

#[test]
fn who_is_a_router() {
    let icmp = |kind: u8| {
        role_of(&build::frame(
            &[],
            &build::ipv6(ICMPV6, &[kind, 0, 0, 0, 0, 0, 0, 0]),
        ))
    };
    for kind in 0..=255 {
        let expected = match kind {
            130 | 151 => Some(Role::MulticastRouter),
            134 | 137 => Some(Role::Router),
            _ => None,
        };
        assert_eq!(icmp(kind), expected, "type {kind}");
    }
    let tcp = build::ipv6(TCP, &build::tcp(0, &[], &[]));
    assert_eq!(role_of(&build::frame(&[], &tcp)), None);
}

#[test]
fn who_is_a_multicast_router() {
    let v4 = |protocol, payload: &[u8]| role_of(&build::frame(&[], &build::ipv4(protocol, payload)));
    for kind in 0..=255 {
        let expected = matches!(kind, 0x11 | 0x13 | 0x14 | 0x30).then_some(Role::MulticastRouter);
        assert_eq!(v4(2, &[kind, 0, 0, 0, 239, 1, 2, 3]), expected, "type {kind}");
    }
    assert_eq!(v4(103, &[0x20, 0, 0, 0]), Some(Role::MulticastRouter));
    let pim = build::frame(&[], &build::ipv6(103, &[0x20, 0, 0, 0]));
    assert_eq!(role_of(&pim), Some(Role::MulticastRouter));
    // The number of IGMP is nothing in IPv6.
    let igmp = build::frame(&[], &build::ipv6(2, &[0x11, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(role_of(&igmp), None);
    let query = [build::extension(ICMPV6, 0), vec![130, 0, 0, 0]].concat();
    let alerted = build::frame(&[[0x8100, 5]], &build::ipv6(HOP_BY_HOP, &query));
    assert_eq!(role_of(&alerted), Some(Role::MulticastRouter));
}

/// RFC 7113, 2: how it has been tried to get past.
#[test]
fn nobody_hides_behind_headers() {
    let advertisement = [134, 0, 0, 0, 0, 0, 0, 0];
    let is = |role, tags: &[[u16; 2]], packet: &[u8]| role_of(&build::frame(tags, packet)) == Some(role);
    let router = |tags: &[[u16; 2]], packet: &[u8]| is(Role::Router, tags, packet);
    let hidden = |packet: &[u8]| is(Role::Hidden, &[], packet);
    let plain = build::ipv6(ICMPV6, &advertisement);
    assert!(router(&[[0x8100, 0]], &plain), "a priority tag");
    assert!(router(&[[0x88a8, 5], [0x8100, 7]], &plain), "two tags");
    for header in [HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS] {
        let behind = [build::extension(ICMPV6, 3), advertisement.to_vec()].concat();
        assert!(
            router(&[], &build::ipv6(header, &behind)),
            "behind header {header}"
        );
    }
    let fragment = |more, rest: &[u8]| {
        let fragment = build::fragment(DESTINATION_OPTIONS, 0, more);
        build::ipv6(FRAGMENT, &[&fragment[..], rest].concat())
    };
    let whole = [build::extension(ICMPV6, 0), advertisement.to_vec()].concat();
    assert!(router(&[], &fragment(true, &whole)), "the first fragment");
    assert!(
        hidden(&fragment(true, &build::extension(ICMPV6, 0))),
        "what it is comes in the second"
    );
    assert!(
        hidden(&fragment(true, &build::extension(ICMPV6, 3)[..8])),
        "half a header"
    );
    let many: Vec<u8> = (0..20)
        .flat_map(|_| build::extension(DESTINATION_OPTIONS, 0))
        .collect();
    assert!(
        hidden(&build::ipv6(DESTINATION_OPTIONS, &many)),
        "too many headers"
    );
    let later = [&build::fragment(ICMPV6, 1, false)[..], &advertisement].concat();
    let later = role_of(&build::frame(&[], &build::ipv6(FRAGMENT, &later)));
    assert_eq!(later, None, "nothing without its beginning");
}

proptest! {
    #[test]
    fn nothing_panics(frame in prop::collection::vec(any::<u8>(), 0..120), ethertype in prop::sample::select(&[0x0800_u16, 0x86dd, 0x8100])) {
        let mut frame = frame;
        if let Some(bytes) = frame.get_mut(12..14) {
            bytes.copy_from_slice(&ethertype.to_be_bytes());
        }
        role_of(&frame);
    }
}
