//! Which flow an Ethernet frame belongs to, as a number.
//!
//! A flow is what must not be reordered: a TCP connection, a UDP conversation, a running `ping`, or else what
//! goes from one station to another. Both directions of a conversation are different flows: each side chooses
//! its own links.
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

use core::hash::{BuildHasher, Hasher};

use super::{
    ip_packet::{Addresses, IpPacket, Part, protocol},
    seeded_hash::SeededHash,
};
use crate::wire::ethernet::EthernetFrame;

/// Below this, the `EtherType` field is the length of the frame (IEEE 802.3, 3.2.6).
const FIRST_ETHERTYPE: u16 = 0x0600;

/// The hash of flows, under a secret.
#[derive(Clone, Copy, Debug)]
pub struct FlowHash(SeededHash);

impl FlowHash {
    /// `seed` must be random: stations choose their addresses and ports, and must not be able to choose them so
    /// that all their flows fall together.
    pub fn new(seed: [u64; 2]) -> Self {
        Self(SeededHash::new(seed))
    }

    /// The hash of the flow that `frame` (without FCS, behind up to two VLAN tags) belongs to, equally
    /// distributed over all 64 bits. It covers
    ///
    /// - of IPv4 and IPv6: VLAN ids, addresses, protocol, and the ports of TCP, UDP, UDP-Lite, SCTP and DCCP or
    ///   the identifier of an ICMP echo;
    /// - of a fragment of IP: VLAN ids and addresses only. The later fragments have no ports, and IPv6 does not
    ///   even promise that they agree about the protocol (RFC 8200, 4.5); they must stay together with the first;
    /// - of everything else: VLAN ids, MAC addresses and `EtherType`.
    ///
    /// All bytes too short for an Ethernet frame have the same hash.
    pub fn hash(&self, frame: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        let Ok(ethernet) = EthernetFrame::new(frame) else {
            return hasher.finish();
        };
        let (tags, ethertype) = ethernet.vlan_tags();
        let vlans = tags
            .iter()
            .flatten()
            .fold(0, |vlans, tag| vlans << 12 | u64::from(tag.vid()));
        if let Some(packet) = IpPacket::in_frame(frame) {
            let (kind, selector) = conversation(&packet);
            hasher.write_u64(vlans << 40 | u64::from(kind) << 32 | u64::from(selector));
            match packet.addresses {
                Addresses::V4 { src, dst } => {
                    hasher.write_u64(u64::from(src.to_bits()) << 32 | u64::from(dst.to_bits()));
                }
                Addresses::V6 { src, dst } => {
                    for address in [src.to_bits(), dst.to_bits()] {
                        hasher.write_u64((address >> 64) as u64);
                        hasher.write_u64(address as u64);
                    }
                }
            }
        } else {
            // A length differs from frame to frame of a flow.
            let ethertype = if ethertype < FIRST_ETHERTYPE { 0 } else { ethertype };
            hasher.write_u64(vlans << 40 | u64::from(ethertype));
            hasher.write_u64(ethernet.dst().to_u64());
            hasher.write_u64(ethernet.src().to_u64());
        }
        hasher.finish()
    }
}

/// The protocol of a packet, and what distinguishes its conversations between two addresses.
fn conversation(packet: &IpPacket<'_>) -> (u8, u32) {
    if packet.part != Part::Whole {
        return (protocol::FRAGMENT, 0);
    }
    let payload = packet.payload();
    let selector = match packet.protocol {
        protocol::TCP | protocol::UDP | protocol::UDP_LITE | protocol::SCTP | protocol::DCCP => {
            payload.first_chunk().map(|ports| u32::from_be_bytes(*ports))
        }
        protocol::ICMP | protocol::ICMPV6 => match (packet.protocol, payload) {
            (protocol::ICMP, [0 | 8, _, _, _, id0, id1, ..])
            | (protocol::ICMPV6, [128 | 129, _, _, _, id0, id1, ..]) => {
                Some(u32::from_be_bytes([0, 0, *id0, *id1]))
            }
            _ => None,
        },
        _ => None,
    };
    (packet.protocol, selector.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, vec::Vec};

    use proptest::prelude::*;

    use super::{
        super::ip_packet::{protocol::*, test_packets as build},
        *,
    };

    fn hash(frame: &[u8]) -> u64 {
        FlowHash::new([1, 2]).hash(frame)
    }

    fn hash_packet(packet: &[u8]) -> u64 {
        hash(&build::frame(&[], packet))
    }

    fn all_differ(hashes: &[u64]) {
        let distinct: BTreeSet<u64> = hashes.iter().copied().collect();
        assert_eq!(distinct.len(), hashes.len(), "{hashes:x?}");
    }

    #[test]
    fn ports_addresses_protocol_vlan_and_seed_make_flows() {
        let ports = [build::udp(5000, 53), build::udp(5001, 53), build::udp(5000, 54)];
        let other_source = |mut packet: Vec<u8>, at: usize| {
            packet[at] ^= 1;
            hash_packet(&packet)
        };
        for protocol in [TCP, UDP, SCTP, UDP_LITE, DCCP] {
            let mut hashes = Vec::new();
            for payload in &ports {
                hashes.push(hash_packet(&build::ipv4(protocol, payload)));
                hashes.push(hash_packet(&build::ipv6(protocol, payload)));
            }
            let four = build::ipv4(protocol, &ports[0]);
            let six = build::ipv6(protocol, &ports[0]);
            hashes.extend((12..20).map(|at| other_source(four.clone(), at)));
            hashes.extend((8..40).map(|at| other_source(six.clone(), at)));
            hashes.extend([1, 2, 4095].map(|vid| hash(&build::frame(&[[0x8100, vid]], &four))));
            hashes.push(hash(&build::frame(&[[0x88a8, 1], [0x8100, 1]], &four)));
            hashes.push(FlowHash::new([1, 3]).hash(&build::frame(&[], &four)));
            all_differ(&hashes);
        }
        all_differ(&[TCP, UDP, SCTP].map(|p| hash_packet(&build::ipv4(p, &ports[0]))));
    }

    #[test]
    fn what_changes_from_packet_to_packet_makes_no_flow() {
        let segment = |sequence: u8, options: &[u8], data: &[u8]| {
            let mut segment = build::tcp(0x10, options, data);
            segment[7] = sequence;
            segment
        };
        let first = segment(0, &[], b"");
        let second = segment(9, &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], b"data");
        let base = hash_packet(&build::ipv4(TCP, &first));
        let mut later = build::ipv4_with(0x4000, &[1; 8], TCP, &second);
        later[1] = 0xb8; // DSCP
        later[4..6].fill(0x77); // identification
        later[8] = 3; // TTL
        assert_eq!(hash_packet(&later), base);
        let mut padded = build::frame(&[[0x8100, 0xe000]], &build::ipv4(TCP, &first));
        padded.resize(64, 0);
        assert_eq!(hash(&padded), base, "priority and padding");
        padded[5] ^= 1;
        assert_eq!(hash(&padded), base, "another next hop");

        let base = hash_packet(&build::ipv6(TCP, &first));
        let with_options = [build::extension(TCP, 1), second].concat();
        let mut later = build::ipv6(DESTINATION_OPTIONS, &with_options);
        later[1..4].fill(0x0f); // flow label
        assert_eq!(hash_packet(&later), base);
    }

    #[test]
    fn all_fragments_of_a_datagram_agree() {
        let pieces4 = [
            (0x2000, build::udp(1, 2)),
            (0x2001, build::udp(3, 4)),
            (7, build::udp(5, 6)),
        ];
        let hashes = pieces4.map(|(flags, p)| hash_packet(&build::ipv4_with(flags, &[], UDP, &p)));
        assert_eq!(hashes, [hashes[0]; 3]);
        assert_ne!(hashes[0], hash_packet(&build::ipv4(UDP, &build::udp(1, 2))));

        // The first piece holds an extension header and the ports; the last one names another protocol.
        let pieces6 = [
            (
                DESTINATION_OPTIONS,
                0,
                true,
                [build::extension(UDP, 0), build::udp(1, 2)].concat(),
            ),
            (DESTINATION_OPTIONS, 3, true, build::udp(3, 4)),
            (UDP, 9, false, build::udp(5, 6)),
        ];
        let hashes = pieces6.map(|(next, offset, more, piece)| {
            let payload = [&build::fragment(next, offset, more)[..], &piece].concat();
            hash_packet(&build::ipv6(FRAGMENT, &payload))
        });
        assert_eq!(hashes, [hashes[0]; 3]);

        let atomic = [&build::fragment(UDP, 0, false)[..], &build::udp(1, 2)].concat();
        let whole = hash_packet(&build::ipv6(UDP, &build::udp(1, 2)));
        assert_eq!(hash_packet(&build::ipv6(FRAGMENT, &atomic)), whole);
    }

    #[test]
    fn a_ping_is_a_flow() {
        let echo = |kind: u8, id: u8, sequence: u8| [kind, 0, 0, 0, 0, id, 0, sequence];
        for (protocol, request, reply, error) in [(ICMP, 8, 0, 3), (ICMPV6, 128, 129, 1)] {
            let hash = |message: [u8; 8]| {
                hash_packet(&match protocol {
                    ICMP => build::ipv4(protocol, &message),
                    _ => build::ipv6(protocol, &message),
                })
            };
            assert_eq!(hash(echo(request, 1, 1)), hash(echo(request, 1, 2)));
            assert_eq!(hash(echo(request, 1, 1)), hash(echo(reply, 1, 1)));
            all_differ(&[
                hash(echo(request, 1, 1)),
                hash(echo(request, 2, 1)),
                hash(echo(error, 1, 1)),
            ]);
            assert_eq!(
                hash(echo(error, 1, 1)),
                hash(echo(error, 2, 1)),
                "no identifier there"
            );
        }
    }

    #[test]
    fn a_payload_too_short_for_ports_has_none() {
        let short = |payload: &[u8]| hash_packet(&build::ipv4(UDP, payload));
        assert_eq!(short(&[1, 2, 3]), short(&[4]));
        assert_ne!(short(&[1, 2, 3, 4]), short(&[1, 2, 3]));
    }

    #[test]
    fn everything_else_goes_by_stations_and_ethertype() {
        let arp = build::ethernet(&[], 0x0806, &[1; 28]);
        assert_eq!(hash(&arp), hash(&build::ethernet(&[], 0x0806, &[2; 28])));
        let mut hashes = std::vec![hash(&arp)];
        for at in 0..12 {
            let mut other = arp.clone();
            other[at] ^= 0x40;
            hashes.push(hash(&other));
        }
        hashes.push(hash(&build::ethernet(&[], 0x8847, &[1; 28])));
        hashes.push(hash(&build::ethernet(&[[0x8100, 7]], 0x0806, &[1; 28])));
        hashes.push(hash(&build::ethernet(&[], 0x0800, &[1; 28])));
        hashes.push(hash(&build::ethernet(&[], 60, &[1; 60])));
        all_differ(&hashes);
        let lengths = [38_u16, 60, 0x05ff].map(|len| hash(&build::ethernet(&[], len, &[3; 60])));
        assert_eq!(lengths, [lengths[0]; 3], "frames of IEEE 802.2");
        assert_ne!(hash(&build::ethernet(&[], 0x0600, &[3; 60])), lengths[0]);
        assert_eq!(hash(&[]), hash(&[7; 13]));
    }

    /// A client that opens connections one after the other: each bucket gets its share.
    #[test]
    fn flows_that_differ_little_spread_evenly() {
        const BUCKETS: usize = 64;
        for seed in [[0, 0], [1, 2], [u64::MAX; 2], [0xdead_beef, 0xfeed]] {
            let flows = FlowHash::new(seed);
            let (mut low, mut high) = ([0_u32; BUCKETS], [0_u32; BUCKETS]);
            for port in 0..=u16::MAX {
                let hash = flows.hash(&build::frame(&[], &build::ipv4(TCP, &build::udp(port, 443))));
                low[(hash % BUCKETS as u64) as usize] += 1;
                high[(hash >> 58) as usize] += 1;
            }
            for n in low.into_iter().chain(high) {
                assert!((870..1178).contains(&n), "{n} of 1024 under {seed:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn any_bytes_have_a_hash(
            kind in prop::sample::select(std::vec![0x0800_u16, 0x86dd, 0x8100, 0x0806]),
            bytes in prop::collection::vec(any::<u8>(), 0..120), first in any::<u8>(),
        ) {
            hash(&bytes);
            let frame = build::ethernet(&[], kind, &[&[first], &bytes[..]].concat());
            prop_assert_eq!(hash(&frame), hash(&frame));
        }
    }
}
