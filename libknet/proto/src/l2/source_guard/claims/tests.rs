#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::l2::{
    ip_packet::{protocol::*, test_packets as build},
    source_guard::IpNetwork,
};

const OWN4: &str = "10.0.0.1/32";
const OWN6: &str = "fd00::1/128";
const OTHER4: [u8; 4] = [10, 0, 0, 2];
const SOURCE: DropReason = DropReason::SourceGuard;
const CLAIM: DropReason = DropReason::ArpInspection;

fn network(text: &str) -> IpNetwork {
    let (address, length) = text.split_once('/').unwrap();
    IpNetwork {
        address: address.parse().unwrap(),
        length: length.parse().unwrap(),
    }
}

fn rules(verify_source: bool, arp_inspection: bool, given: &[&str]) -> GuardRules {
    GuardRules {
        bindings: given.iter().map(|text| network(text)).collect(),
        verify_source,
        arp_inspection,
        ..GuardRules::default()
    }
}

fn both(given: &[&str]) -> GuardRules {
    rules(true, true, given)
}

/// A packet with another source; the checksum of the header is not looked at.
fn from4(source: [u8; 4], mut packet: Vec<u8>) -> Vec<u8> {
    packet[12..16].copy_from_slice(&source);
    packet
}

fn from6(source: &str, mut packet: Vec<u8>) -> Vec<u8> {
    let source: Ipv6Addr = source.parse().unwrap();
    packet[8..24].copy_from_slice(&source.octets());
    packet
}

fn framed(packet: &[u8]) -> Vec<u8> {
    build::frame(&[], packet)
}

fn udp4(source: [u8; 4], to: u16) -> Vec<u8> {
    framed(&from4(source, build::ipv4(UDP, &build::udp(68, to))))
}

fn icmp6(source: &str, message: &[u8]) -> Vec<u8> {
    framed(&from6(source, build::ipv6(ICMPV6, message)))
}

/// Type, and the target that it is about.
fn discovery(kind: u8, target: &str) -> Vec<u8> {
    let target: Ipv6Addr = target.parse().unwrap();
    [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &target.octets()].concat()
}

fn arp(operation: u8, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let packet = [
        &[0, 1, 8, 0, 6, 4, 0, operation][..],
        &build::SRC_MAC,
        &sender,
        &[0; 6],
        &target,
    ];
    build::ethernet(&[], 0x0806, &packet.concat())
}

/// The same frame behind these tags.
fn tagged(tags: &[[u16; 2]], frame: &[u8]) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    for number in tags.as_flattened() {
        tagged.extend(number.to_be_bytes());
    }
    tagged.extend(&frame[12..]);
    tagged
}

#[test]
fn packets_come_from_given_addresses() {
    let guard = both(&[OWN4, "10.1.0.0/16", OWN6, "2001:db8:7::/48"]);
    for source in [[10, 0, 0, 1], [10, 1, 0, 0], [10, 1, 255, 255]] {
        assert_eq!(guard.check(&udp4(source, 53)), Ok(()), "{source:?}");
    }
    for source in [
        OTHER4,
        [10, 2, 0, 0],
        [0; 4],
        [255; 4],
        [127, 0, 0, 1],
        [224, 0, 0, 1],
    ] {
        assert_eq!(guard.check(&udp4(source, 53)), Err(SOURCE), "{source:?}");
    }
    let tcp6 = |source| framed(&from6(source, build::ipv6(TCP, &build::tcp(0, &[], &[]))));
    for source in ["fd00::1", "2001:db8:7::", "2001:db8:7:ffff::1", "fe80::1234"] {
        assert_eq!(guard.check(&tcp6(source)), Ok(()), "{source}");
    }
    for source in [
        "fd00::2",
        "2001:db8:8::",
        "::",
        "::1",
        "ff02::1",
        "::ffff:10.0.0.1",
    ] {
        assert_eq!(guard.check(&tcp6(source)), Err(SOURCE), "{source}");
    }
    // Nothing was given, and nothing is said, of the other version.
    assert_eq!(both(&[OWN4]).check(&tcp6("fd00::1")), Err(SOURCE));
    assert_eq!(both(&["0.0.0.0/0"]).check(&udp4(OTHER4, 53)), Ok(()));
    assert_eq!(both(&["::/0"]).check(&udp4(OTHER4, 53)), Err(SOURCE));
    // Whoever is not asked to verify does not.
    assert_eq!(rules(false, true, &[OWN4]).check(&udp4(OTHER4, 53)), Ok(()));
    assert_eq!(rules(false, false, &[]).check(&arp(1, OTHER4, OTHER4)), Ok(()));
}

/// A message of neighbour discovery with these options.
fn with_options(kind: u8, options: &[&[u8]]) -> Vec<u8> {
    let fixed = match kind {
        ROUTER_SOLICITATION => [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &[]].concat(),
        134 => [&[kind][..], &[0; 15]].concat(),
        _ => discovery(kind, "fd00::1"),
    };
    icmp6("fd00::1", &[fixed, options.concat()].concat())
}

#[test]
fn the_mac_address_that_is_named_is_the_one_of_the_frame() {
    let guard = GuardRules {
        validate_source_mac: true,
        ..GuardRules::default()
    };
    let named = |mac: [u8; 6]| {
        let mut frame = arp(2, OTHER4, OTHER4);
        frame[22..28].copy_from_slice(&mac);
        guard.check(&frame)
    };
    let other = [2, 0, 0, 0, 0, 0x0b];
    assert_eq!(
        named(build::SRC_MAC),
        Ok(()),
        "of which address it is does not matter here"
    );
    assert_eq!(named(other), Err(CLAIM));
    assert_eq!(
        guard.check(&tagged(&[[0x8100, 5]], &arp(1, OTHER4, OTHER4))),
        Ok(())
    );
    let mut hidden = tagged(&[[0x8100, 5]], &arp(1, OTHER4, OTHER4));
    hidden[26..32].copy_from_slice(&other);
    assert_eq!(guard.check(&hidden), Err(CLAIM));
    assert_eq!(guard.check(&arp(1, OTHER4, OTHER4)[..30]), Err(CLAIM), "cut off");
    assert_eq!(both(&[OWN4]).check(&arp(1, [10, 0, 0, 1], OTHER4)), Ok(()));

    let option = |kind: u8, mac: [u8; 6]| [&[kind, 1][..], &mac].concat();
    let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
    for kind in [ROUTER_SOLICITATION, 134, SOLICITATION, ADVERTISEMENT] {
        let check = |options: &[&[u8]]| guard.check(&with_options(kind, options));
        for number in LINK_LAYER {
            let (own, foreign) = (option(number, build::SRC_MAC), option(number, other));
            assert_eq!(check(&[&nonce, &own]), Ok(()), "{kind}");
            assert_eq!(check(&[&nonce, &foreign]), Err(CLAIM), "{kind}");
            assert_eq!(check(&[&own, &foreign]), Err(CLAIM), "{kind}");
            assert_eq!(check(&[&own[..7]]), Err(CLAIM), "{kind}: cut off");
        }
        assert_eq!(check(&[]), Ok(()), "{kind}");
        assert_eq!(
            check(&[&[1, 0, 0, 0, 0, 0, 0, 0]]),
            Err(CLAIM),
            "{kind}: of no length"
        );
        assert_eq!(check(&[&[1]]), Err(CLAIM), "{kind}: half an option");
    }
    // A redirect names the MAC address of somebody else.
    assert_eq!(guard.check(&with_options(REDIRECT, &[&option(2, other)])), Ok(()));
    // Where it is not said nobody looks.
    let foreign = with_options(ADVERTISEMENT, &[&option(2, other)]);
    assert_eq!(both(&[OWN6]).check(&foreign), Ok(()));
    assert_eq!(
        guard.check(&udp4(OTHER4, 53)),
        Ok(()),
        "and of IP nothing is said"
    );
}

#[test]
fn who_has_no_address_yet_can_get_one() {
    let guard = both(&[OWN4, OWN6]);
    assert_eq!(guard.check(&udp4([0; 4], 67)), Ok(()), "DHCP");
    assert_eq!(guard.check(&udp4([0; 4], 68)), Err(SOURCE));
    let tcp = build::ipv4(TCP, &build::tcp(2, &[], &[]));
    assert_eq!(guard.check(&framed(&from4([0; 4], tcp))), Err(SOURCE));
    for kind in [131, 132, 133, 143] {
        assert_eq!(
            guard.check(&icmp6("::", &[kind, 0, 0, 0, 0, 0, 0, 0])),
            Ok(()),
            "{kind}"
        );
    }
    assert_eq!(
        guard.check(&icmp6("::", &[128, 0, 0, 0, 0, 0, 0, 0])),
        Err(SOURCE)
    );
    // Listeners stand behind a router alert.
    let report = [build::extension(ICMPV6, 0), [143, 0, 0, 0, 0, 0, 0, 0].to_vec()].concat();
    assert_eq!(
        guard.check(&framed(&from6("::", build::ipv6(HOP_BY_HOP, &report)))),
        Ok(())
    );
    // Detection of duplicates claims what it asks for: the given one, and the link-local one.
    for (target, verdict) in [("fd00::1", Ok(())), ("fe80::9", Ok(())), ("fd00::2", Err(CLAIM))] {
        assert_eq!(
            guard.check(&icmp6("::", &discovery(135, target))),
            verdict,
            "{target}"
        );
    }
    assert_eq!(guard.check(&arp(1, [0; 4], [10, 0, 0, 1])), Ok(()), "a probe");
    assert_eq!(guard.check(&arp(1, [0; 4], OTHER4)), Err(CLAIM));
}

#[test]
fn arp_claims_the_sender() {
    let guard = both(&[OWN4]);
    for operation in [1, 2] {
        assert_eq!(guard.check(&arp(operation, [10, 0, 0, 1], OTHER4)), Ok(()));
        assert_eq!(guard.check(&arp(operation, OTHER4, [10, 0, 0, 1])), Err(CLAIM));
        assert_eq!(
            guard.check(&arp(operation, OTHER4, OTHER4)),
            Err(CLAIM),
            "gratuitous"
        );
    }
    let whole = arp(1, [10, 0, 0, 1], OTHER4);
    for len in 14..whole.len() {
        assert_eq!(guard.check(&whole[..len]), Err(CLAIM), "{len} bytes");
    }
    for (at, value) in [(16, 9), (17, 1), (18, 5), (19, 16)] {
        let mut other = whole.clone();
        other[at] = value;
        assert_eq!(guard.check(&other), Err(CLAIM), "byte {at}");
    }
    assert_eq!(rules(true, false, &[OWN4]).check(&arp(1, OTHER4, OTHER4)), Ok(()));
}

#[test]
fn discovery_claims_the_source_and_what_is_advertised() {
    let guard = rules(false, true, &[OWN6]);
    let check = |source: &str, kind, target| guard.check(&icmp6(source, &discovery(kind, target)));
    assert_eq!(check("fd00::1", 135, "fd00::2"), Ok(()), "a question");
    assert_eq!(check("fe80::7", 135, "fd00::2"), Ok(()));
    assert_eq!(check("fd00::2", 135, "fd00::1"), Err(CLAIM));
    assert_eq!(check("fd00::1", 136, "fd00::1"), Ok(()));
    assert_eq!(check("fd00::1", 136, "fd00::2"), Err(CLAIM));
    assert_eq!(check("fd00::2", 136, "fd00::1"), Err(CLAIM));
    for kind in [133, 134, 137] {
        assert_eq!(check("fd00::2", kind, "fd00::1"), Err(CLAIM), "type {kind}");
        assert_eq!(
            check("fe80::1", kind, "fd00::2"),
            Ok(()),
            "that is for `ipv6 nd raguard`"
        );
    }
    assert_eq!(check("fd00::2", 128, "fd00::2"), Ok(()), "an echo");
    let whole = icmp6("fd00::1", &discovery(136, "fd00::1"));
    assert_eq!(guard.check(&whole), Ok(()));
    // Whoever cuts it off so that the lengths agree.
    for len in 0..24 {
        let cut = icmp6("fd00::1", &discovery(136, "fd00::1")[..len]);
        assert_eq!(guard.check(&cut), Err(CLAIM), "{len} bytes");
    }
}

#[test]
fn a_given_link_local_address_is_the_only_one() {
    // The MAC address is 02:00:00:00:00:0a.
    let made = "fe80::ff:fe00:a";
    let with = |given: &[&str], macs: &[[u8; 6]]| GuardRules {
        allowed_macs: macs.iter().map(|mac| MacAddr(*mac)).collect(),
        ..both(given)
    };
    let passes = |rules: &GuardRules, source: &str| {
        let frame = icmp6(source, &[128, 0, 0, 0, 0, 0, 0, 0]);
        rules.check(&frame).is_ok() && rules.check(&icmp6(source, &discovery(136, source))).is_ok()
    };
    assert_eq!(
        link_local(MacAddr(build::SRC_MAC)),
        made.parse::<Ipv6Addr>().unwrap()
    );
    for given in [&[][..], &[OWN6], &["::/0"]] {
        assert!(passes(&with(given, &[]), "fe80::5"), "{given:?}");
    }
    let strict = ["fe80::5/128"];
    assert!(passes(&with(&strict, &[]), "fe80::5"));
    assert!(!passes(&with(&strict, &[]), "fe80::6"));
    assert!(!passes(&with(&strict, &[]), made));
    assert!(passes(&with(&strict, &[build::SRC_MAC]), made));
}

/// How it has been tried to get past.
#[test]
fn nothing_is_hidden() {
    let guard = both(&[OWN4, OWN6]);
    let inspection = rules(false, true, &[OWN4, OWN6]);
    let spoofed = [
        (udp4(OTHER4, 53), SOURCE),
        (arp(2, OTHER4, OTHER4), CLAIM),
        (icmp6("fd00::2", &[128, 0, 0, 0, 0, 0, 0, 0]), SOURCE),
    ];
    for (frame, reason) in &spoofed {
        for tags in [
            &[[0x8100, 0]][..],
            &[[0x8100, 7]],
            &[[0x88a8, 5], [0x8100, 7]],
            &[[0x8100, 0], [0x8100, 0]],
        ] {
            assert_eq!(guard.check(&tagged(tags, frame)), Err(*reason), "{tags:x?}");
        }
        let three = tagged(&[[0x8100, 0]; 3], frame);
        assert_eq!(guard.check(&three), Err(SOURCE));
        assert_eq!(inspection.check(&three), Err(CLAIM));
        assert_eq!(guard.check(&tagged(&[[0x9100, 0]], frame)), Err(SOURCE));
        // RFC 1042.
        let snap = [&frame[..12], &[0, 40], &SNAP, &[0, 0, 0], &frame[12..]].concat();
        assert_eq!(guard.check(&snap), Err(SOURCE));
    }
    for (frame, _) in &spoofed[..1] {
        // A packet that is cut off says nothing that could be believed.
        for len in 14..frame.len() {
            assert_eq!(guard.check(&frame[..len]), Err(SOURCE), "{len} bytes");
        }
    }
    let honest = udp4([10, 0, 0, 1], 53);
    for tags in [&[][..], &[[0x8100, 7]], &[[0x88a8, 5], [0x8100, 7]]] {
        assert_eq!(guard.check(&tagged(tags, &honest)), Ok(()));
        assert_eq!(guard.check(&tagged(tags, &arp(1, [10, 0, 0, 1], OTHER4))), Ok(()));
    }
    // Spanning tree, LLDP and what else is no IP.
    for frame in [
        build::ethernet(&[], 38, &[0x42, 0x42, 3, 0, 0, 0]),
        build::ethernet(&[], 0x88cc, &[2, 7, 4]),
        build::ethernet(&[], 40, &[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0]),
        build::ethernet(&[], 40, &[0xaa]),
    ] {
        assert_eq!(guard.check(&frame), Ok(()));
    }
    // Discovery behind extension headers, and in fragments.
    let advertised = discovery(136, "fd00::2");
    let behind = [build::extension(ICMPV6, 1), advertised.clone()].concat();
    for header in [HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS] {
        let frame = framed(&from6("fd00::1", build::ipv6(header, &behind)));
        assert_eq!(guard.check(&frame), Err(CLAIM));
    }
    let fragment = |more, offset, next, rest: &[u8]| {
        let fragment = build::fragment(next, offset, more);
        framed(&from6(
            "fd00::1",
            build::ipv6(FRAGMENT, &[&fragment[..], rest].concat()),
        ))
    };
    assert_eq!(guard.check(&fragment(true, 0, ICMPV6, &advertised)), Err(CLAIM));
    assert_eq!(
        guard.check(&fragment(true, 0, ICMPV6, &advertised[..8])),
        Err(CLAIM)
    );
    assert_eq!(guard.check(&fragment(true, 0, ICMPV6, &[])), Err(CLAIM));
    let rest = build::extension(ICMPV6, 0);
    assert_eq!(
        guard.check(&fragment(true, 0, DESTINATION_OPTIONS, &rest)),
        Err(CLAIM)
    );
    assert_eq!(
        guard.check(&fragment(false, 1, ICMPV6, &advertised)),
        Ok(()),
        "nothing without its beginning"
    );
    let later = from4(OTHER4, build::ipv4_with(0x0001, &[], UDP, &[0; 8]));
    assert_eq!(guard.check(&framed(&later)), Err(SOURCE));
    let many: Vec<u8> = (0..20)
        .flat_map(|_| build::extension(DESTINATION_OPTIONS, 0))
        .collect();
    let many = framed(&from6("fd00::1", build::ipv6(DESTINATION_OPTIONS, &many)));
    assert_eq!(guard.check(&many), Err(CLAIM));
    assert_eq!(rules(true, false, &[OWN6]).check(&many), Ok(()));
}

/// A network as it would be asked of its text, bit by bit.
fn contains_plainly(network: &IpNetwork, address: IpAddr) -> bool {
    let bits = |address: IpAddr| -> Vec<u8> {
        let octets = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let of_byte = |byte: &u8| core::array::from_fn::<u8, 8, _>(|bit| byte >> (7 - bit) & 1);
        octets.iter().flat_map(of_byte).collect()
    };
    let (own, other) = (bits(network.address), bits(address));
    own.len() == other.len() && own[..usize::from(network.length)] == other[..usize::from(network.length)]
}

fn near_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0..4_u8, 0..4_u8).prop_map(|(a, b)| IpAddr::from([10, 0, a, b])),
        (0..4_u8).prop_map(|n| IpAddr::from([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n])),
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
    ]
}

proptest! {
    #[test]
    fn a_network_is_what_its_first_bits_say(own in near_address(), other in near_address(), length in 0..=128_u8) {
        let length = length.min(if own.is_ipv4() { 32 } else { 128 });
        let network = IpNetwork { address: own, length };
        prop_assert_eq!(network.contains(other), contains_plainly(&network, other));
        prop_assert!(network.contains(own));
    }

    /// What passes names no other address than those that were given, wherever it stands.
    #[test]
    fn what_passes_is_given(
        given in prop::collection::vec((near_address(), 0..=128_u8), 0..4), source in near_address(),
        is_arp: bool, tags in prop::sample::select(&[0_usize, 1, 2, 3]),
    ) {
        let bindings: Vec<IpNetwork> = given
            .into_iter()
            .map(|(address, length)| IpNetwork { address, length: length.min(if address.is_ipv4() { 32 } else { 128 }) })
            .collect();
        let is_given = bindings.iter().any(|binding| contains_plainly(binding, source));
        let rules = GuardRules { bindings, verify_source: true, arp_inspection: true, ..GuardRules::default() };
        let frame = match source {
            IpAddr::V4(source) if is_arp => arp(2, source.octets(), OTHER4),
            IpAddr::V4(source) => udp4(source.octets(), 53),
            IpAddr::V6(source) => icmp6(&std::format!("{source}"), &[128, 0, 0, 0, 0, 0, 0, 0]),
        };
        let frame = tagged(&[[0x8100, 0], [0x8100, 5], [0x8100, 6]][..tags], &frame);
        let link_local = matches!(source, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let unspecified = source.is_unspecified();
        prop_assume!(!link_local && !unspecified);
        prop_assert_eq!(rules.check(&frame).is_ok(), is_given && tags < 3);
    }

    #[test]
    fn nothing_panics(
        frame in prop::collection::vec(any::<u8>(), 14..120), verify: bool, inspect: bool,
        ethertype in prop::sample::select(&[0x0800_u16, 0x86dd, 0x0806, 0x8100, 0x0028]),
    ) {
        let mut frame = frame;
        frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
        let passes = rules(verify, inspect, &[OWN4, OWN6, "fe80::5/128"]).check(&frame).is_ok();
        prop_assert!(passes || verify || inspect);
    }
}
