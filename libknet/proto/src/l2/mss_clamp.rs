//! The maximum segment size in TCP's first segments, lowered to what passes the tunnel whole.
//!
//! The only place where a bridge changes a frame. It saves both ends from finding out by losing full-size
//! segments, and this tunnel from cutting them up, also where ICMP is filtered.
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

use super::ip_packet::{Addresses, IpPacket, Part, protocol};
use crate::internet_checksum::updated;

/// What is left of the smallest MTU that IPv4 allows, 68 bytes (RFC 791). Less is never asked for.
pub const MIN_MSS: u16 = 28;

const TCP_HEADER_LEN: usize = 20;
/// Where the checksum is in a TCP header.
const CHECKSUM_AT: usize = 16;
const SYN: u8 = 0x02;

/// Kinds of TCP options (RFC 9293, 3.1).
mod option {
    pub(super) const END: u8 = 0;
    pub(super) const NO_OPERATION: u8 = 1;
    pub(super) const MAXIMUM_SEGMENT_SIZE: u8 = 2;
}

/// Lowers the MSS that a SYN or SYN-ACK offers to at most `mtu` - 40 (IPv4) or `mtu` - 60 (IPv6), but not below
/// [`MIN_MSS`], and updates the checksum of TCP. `mtu` is the largest IP packet in bytes that passes the tunnel
/// unfragmented. Returns whether the frame has changed.
///
/// IP and TCP options are not subtracted: the sender of a segment does that (RFC 6691). A segment without the
/// option is left alone: it stands for 536 or 1220 bytes. So are fragments, what is not well-formed, and
/// everything that is no SYN. The checksum of `frame` must be complete, not left to an offload.
pub fn clamp(frame: &mut [u8], mtu: u16) -> bool {
    let Some(Syn {
        header_at,
        headers_len,
        mss_values,
    }) = Syn::in_frame(frame)
    else {
        return false;
    };
    let limit = mtu.saturating_sub(headers_len).max(MIN_MSS);
    let mut changed = false;
    for at in (0..64).filter(|bit| mss_values >> bit & 1 != 0) {
        changed |= frame
            .get_mut(header_at..)
            .is_some_and(|segment| lower(segment, at, limit));
    }
    changed
}

/// A first segment with an MSS option in it.
struct Syn {
    /// Where the TCP header begins in the frame.
    header_at: usize,
    /// Of IP and TCP, without options.
    headers_len: u16,
    /// A bit for each place in the TCP header where a value begins: a header is shorter than 64 bytes. TCPs
    /// disagree on which one counts if there are several.
    mss_values: u64,
}

impl Syn {
    fn in_frame(frame: &[u8]) -> Option<Self> {
        let packet = IpPacket::in_frame(frame)?;
        if packet.protocol != protocol::TCP || packet.part != Part::Whole {
            return None;
        }
        let segment = packet.payload();
        let [.., offset, flags, _, _, _, _, _, _] = segment.first_chunk::<TCP_HEADER_LEN>()?;
        if flags & SYN == 0 {
            return None;
        }
        let header_len = usize::from(offset >> 4) << 2;
        let options = segment.get(TCP_HEADER_LEN..header_len)?;
        Some(Self {
            header_at: packet.header_at.saturating_add(packet.payload_at),
            headers_len: match packet.addresses {
                Addresses::V4 { .. } => 40,
                Addresses::V6 { .. } => 60,
            },
            mss_values: mss_values(options)?,
        })
    }
}

/// Where in a TCP header with these `options` the values of MSS options begin. `None` if the list is malformed.
fn mss_values(mut options: &[u8]) -> Option<u64> {
    let mut places = 0;
    let mut at = TCP_HEADER_LEN;
    loop {
        let len = match options {
            [] | [option::END, ..] => return Some(places),
            [option::NO_OPERATION, ..] => 1,
            [option::MAXIMUM_SEGMENT_SIZE, 4, _, _, ..] => {
                places |= 1_u64.checked_shl(u32::try_from(at).ok()?.checked_add(2)?)?;
                4
            }
            [option::MAXIMUM_SEGMENT_SIZE, ..] => return None,
            [_, len @ 2..=255, ..] => usize::from(*len),
            [..] => return None,
        };
        options = options.get(len..)?;
        at = at.saturating_add(len);
    }
}

/// Lowers the value at `at` in `segment`, and fits the checksum.
fn lower(segment: &mut [u8], at: usize, limit: u16) -> bool {
    let Some(value) = segment.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<2>) else {
        return false;
    };
    let old = u16::from_be_bytes(*value);
    if old <= limit {
        return false;
    }
    *value = limit.to_be_bytes();
    let Some(checksum) = segment
        .get_mut(CHECKSUM_AT..)
        .and_then(<[u8]>::first_chunk_mut::<2>)
    else {
        return false;
    };
    // Behind a single no-operation the value lies across two words; then its bytes count the other way round.
    let (old, new) = if at.is_multiple_of(2) {
        (old, limit)
    } else {
        (old.swap_bytes(), limit.swap_bytes())
    };
    *checksum = updated(u16::from_be_bytes(*checksum), old, new).to_be_bytes();
    true
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::{
        super::ip_packet::{protocol::*, test_packets as build},
        *,
    };

    const SYN_ACK: u8 = 0x12;
    /// As Linux sends them: MSS 1460, SACK permitted, timestamps, window scale.
    const LINUX: [u8; 20] = [
        2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0x2f, 0x11, 0x99, 0x01, 0, 0, 0, 0, 1, 3, 3, 7,
    ];
    const TAGS: [[u16; 2]; 2] = [[0x88a8, 10], [0x8100, 20]];

    /// The segment with its checksum filled in.
    fn sealed(mut segment: Vec<u8>, pseudo_header: &[u8]) -> Vec<u8> {
        let sum = build::checksum(&[pseudo_header, &segment]);
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        segment
    }

    fn sealed4(segment: Vec<u8>) -> Vec<u8> {
        let pseudo = build::pseudo_header(&build::ipv4(TCP, &segment), TCP, segment.len());
        sealed(segment, &pseudo)
    }

    fn sealed6(segment: Vec<u8>) -> Vec<u8> {
        let pseudo = build::pseudo_header(&build::ipv6(TCP, &segment), TCP, segment.len());
        sealed(segment, &pseudo)
    }

    fn assert_checksum(frame: &[u8]) {
        let packet = IpPacket::in_frame(frame).unwrap();
        let pseudo = build::pseudo_header(packet.bytes, TCP, packet.payload().len());
        assert_eq!(build::checksum(&[&pseudo, packet.payload()]), 0);
    }

    /// Clamps, and checks that exactly the bytes at `changes` and the checksum have become what they should.
    fn assert_clamped(frame: &[u8], mtu: u16, values_at: &[usize], mss: u16) {
        let mut clamped = frame.to_vec();
        assert!(clamp(&mut clamped, mtu));
        let mut expected = frame.to_vec();
        let packet = IpPacket::in_frame(frame).unwrap();
        let tcp_at = packet.header_at + packet.payload_at;
        for at in values_at {
            expected[tcp_at + at..][..2].copy_from_slice(&mss.to_be_bytes());
        }
        expected[tcp_at + 16..][..2].copy_from_slice(&clamped[tcp_at + 16..][..2]);
        assert_eq!(clamped, expected);
        assert_checksum(&clamped);
        assert!(!clamp(&mut clamped, mtu), "once is enough");
    }

    fn assert_untouched(frame: &[u8], mtu: u16) {
        let mut same = frame.to_vec();
        assert!(!clamp(&mut same, mtu));
        assert_eq!(same, frame);
    }

    #[test]
    fn syn_and_syn_ack_of_both_versions_behind_tags() {
        for tags in 0..=2 {
            for flags in [SYN, SYN_ACK, SYN | 0xc0] {
                let segment = build::tcp(flags, &LINUX, b"");
                let four = build::frame(&TAGS[..tags], &build::ipv4(TCP, &sealed4(segment.clone())));
                assert_clamped(&four, 1400, &[22], 1360);
                let six = build::frame(&TAGS[..tags], &build::ipv6(TCP, &sealed6(segment)));
                assert_clamped(&six, 1400, &[22], 1340);
            }
        }
    }

    #[test]
    fn every_mtu_gives_its_mss() {
        let segment = build::tcp(SYN, &[2, 4, 0xff, 0xff], b"");
        let four = build::frame(&[], &build::ipv4(TCP, &sealed4(segment.clone())));
        let six = build::frame(&[], &build::ipv6(TCP, &sealed6(segment)));
        for mtu in 0..=u16::MAX {
            assert_clamped(&four, mtu, &[22], mtu.saturating_sub(40).max(28));
            assert_clamped(&six, mtu, &[22], mtu.saturating_sub(60).max(28));
        }
    }

    #[test]
    fn a_value_that_is_low_enough_stays() {
        let frame = build::frame(&[], &build::ipv4(TCP, &sealed4(build::tcp(SYN, &LINUX, b""))));
        assert_untouched(&frame, 1500);
        assert_untouched(&frame, u16::MAX);
        assert_clamped(&frame, 1499, &[22], 1459);
    }

    #[test]
    fn options_and_extension_headers_of_ip_are_no_obstacle() {
        let segment = sealed4(build::tcp(SYN, &LINUX, b"fast open"));
        let four = build::frame(&[], &build::ipv4_with(0, &[1; 40], TCP, &segment));
        assert_clamped(&four, 1400, &[22], 1360);
        let segment = sealed6(build::tcp(SYN, &LINUX, b"odd"));
        let payload = [
            build::extension(DESTINATION_OPTIONS, 1),
            build::extension(TCP, 0),
            segment,
        ]
        .concat();
        let six = build::frame(&[], &build::ipv6(HOP_BY_HOP, &payload));
        assert_clamped(&six, 1300, &[22], 1240);
    }

    #[test]
    fn a_value_across_two_words_and_several_values() {
        let frame =
            |options: &[u8]| build::frame(&[], &build::ipv4(TCP, &sealed4(build::tcp(SYN, options, b"x"))));
        for mtu in [68, 576, 1280, 1499] {
            let mss = mtu - 40;
            assert_clamped(&frame(&[1, 2, 4, 0x05, 0xb4, 1, 1, 1]), mtu, &[23], mss);
            assert_clamped(&frame(&[1, 1, 1, 2, 4, 0x05, 0xb4, 0]), mtu, &[25], mss);
            let twice = [2, 4, 0x05, 0xb4, 1, 2, 4, 0x22, 0xf8, 1, 2, 4, 0, 20];
            assert_clamped(&frame(&[&twice[..], &[0, 9]].concat()), mtu, &[22, 27], mss);
            // The last four bytes that a header can have.
            let mut full = [1; 40];
            full[36..].copy_from_slice(&[2, 4, 0x05, 0xb4]);
            assert_clamped(&frame(&full), mtu, &[58], mss);
        }
    }

    #[test]
    fn what_is_no_first_segment_is_left_alone() {
        let with_flags = |flags: u8| {
            let segment = sealed4(build::tcp(flags, &LINUX, b""));
            build::frame(&[], &build::ipv4(TCP, &segment))
        };
        for flags in [0x10, 0x18, 0x11, 0x04, 0] {
            assert_untouched(&with_flags(flags), 576);
        }
        let segment = sealed4(build::tcp(SYN, &LINUX, b""));
        for flags_offset in [0x2000, 0x2001, 0x0001] {
            let piece = build::ipv4_with(flags_offset, &[], TCP, &segment);
            assert_untouched(&build::frame(&[], &piece), 576);
        }
        for (offset, more) in [(0, true), (8, true), (8, false)] {
            let payload = [&build::fragment(TCP, offset, more)[..], &segment].concat();
            assert_untouched(&build::frame(&[], &build::ipv6(FRAGMENT, &payload)), 576);
        }
        assert_untouched(&build::frame(&[], &build::ipv4(UDP, &segment)), 576);
        assert_untouched(&build::ethernet(&[], 0x0806, &build::ipv4(TCP, &segment)), 576);
        let three_tags = [[0x8100, 1], [0x8100, 2], [0x8100, 3]];
        assert_untouched(&build::frame(&three_tags, &build::ipv4(TCP, &segment)), 576);
    }

    #[test]
    fn malformed_options_are_left_alone() {
        let mss = [2, 4, 0x05, 0xb4];
        let rest: [[u8; 4]; 7] = [
            [8, 0, 0, 0],
            [8, 1, 0, 0],
            [8, 5, 0, 0],
            [2, 3, 5, 1],
            [2, 2, 1, 1],
            [1, 1, 1, 8],
            [1, 2, 4, 5],
        ];
        for rest in rest {
            let segment = sealed4(build::tcp(SYN, &[mss, rest].concat(), b"behind the header"));
            assert_untouched(&build::frame(&[], &build::ipv4(TCP, &segment)), 576);
        }
        // Nothing counts behind the end of the list, and no option is no option.
        for options in [[0, 1, 1, 1, 2, 4, 5, 180], [1; 8]] {
            let segment = sealed4(build::tcp(SYN, &options, b""));
            assert_untouched(&build::frame(&[], &build::ipv4(TCP, &segment)), 576);
        }
        let mut segment = sealed4(build::tcp(SYN, &LINUX, b""));
        for offset in [0x00, 0x40, 0xb0, 0xf0] {
            segment[12] = offset;
            assert_untouched(&build::frame(&[], &build::ipv4(TCP, &segment)), 576);
        }
        for len in 0..20 {
            let cut = build::ipv4(TCP, &segment[..len]);
            assert_untouched(&build::frame(&[], &cut), 576);
        }
    }

    #[test]
    fn a_damaged_segment_stays_damaged() {
        let mut segment = sealed4(build::tcp(SYN, &LINUX, b""));
        segment[0] ^= 0x20;
        let mut frame = build::frame(&[], &build::ipv4(TCP, &segment));
        assert!(clamp(&mut frame, 1400));
        let packet = IpPacket::in_frame(&frame).unwrap();
        let pseudo = build::pseudo_header(packet.bytes, TCP, packet.payload().len());
        assert_ne!(build::checksum(&[&pseudo, packet.payload()]), 0);
    }

    fn option() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(std::vec![1]),
            (any::<u8>(), any::<u8>()).prop_map(|(a, b)| std::vec![2, 4, a, b]),
            (3_u8..255, prop::collection::vec(any::<u8>(), 0..6)).prop_map(|(kind, data)| [
                &[kind, data.len() as u8 + 2],
                &data[..]
            ]
            .concat()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        /// Against summing anew: also the checksums 0x0000 and 0xffff, which steer by the ports.
        #[test]
        fn the_checksum_is_what_summing_anew_gives(
            options in prop::collection::vec(option(), 0..8), data in prop::collection::vec(any::<u8>(), 0..9),
            mtu in any::<u16>(), zero_sum in any::<bool>(), v6 in any::<bool>(),
        ) {
            let mut options = options.concat();
            options.truncate(40);
            options.resize(options.len().next_multiple_of(4), 0);
            let mut segment = build::tcp(SYN, &options, &data);
            let seal = |segment| if v6 { sealed6(segment) } else { sealed4(segment) };
            if zero_sum {
                // With the checksum as source port the new one is zero, the sum being all ones.
                segment[..2].fill(0);
                let sum = [16, 17].map(|at| seal(segment.clone())[at]);
                segment[..2].copy_from_slice(&sum);
                prop_assert_eq!(&seal(segment.clone())[16..18], &[0, 0]);
            }
            let segment = seal(segment);
            let packet = if v6 { build::ipv6(TCP, &segment) } else { build::ipv4(TCP, &segment) };
            let before = build::frame(&[], &packet);
            let mut after = before.clone();
            let changed = clamp(&mut after, mtu);
            prop_assert_eq!(changed, before != after);
            let packet = IpPacket::in_frame(&after).unwrap();
            let mut anew = packet.payload().to_vec();
            anew[16..18].fill(0);
            prop_assert_eq!(seal(anew), packet.payload());
        }

        #[test]
        fn any_bytes_are_clamped_without_panic(
            v6 in any::<bool>(), flags in any::<u8>(), offset in any::<u8>(),
            options in prop::collection::vec(prop_oneof![0_u8..6, any::<u8>()], 0..60), cut in 0_usize..140,
            mtu in any::<u16>(), noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut segment = build::tcp(flags | SYN, &[], b"");
            segment[12] = offset;
            segment.extend(options);
            let packet = if v6 { build::ipv6(TCP, &segment) } else { build::ipv4(TCP, &segment) };
            let mut frame = build::frame(&[], &packet);
            for (at, byte) in noise {
                *at.get_mut(&mut frame) = byte;
            }
            frame.truncate(cut);
            let before = frame.clone();
            let changed = clamp(&mut frame, mtu);
            prop_assert_eq!(changed, before != frame);
            let differ = before.iter().zip(&frame).filter(|(a, b)| a != b).count();
            prop_assert!(frame.len() == before.len() && differ <= 2 + 2 * 10);
        }
    }
}
