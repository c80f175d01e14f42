//! The checksum of IP, ICMP, TCP and UDP (RFC 1071): the complement of a sum in ones' complement arithmetic.
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

use crate::l2::ip_packet::Addresses;

/// Words that are summed side by side, each in a lane of its own. A compiler makes vector instructions of that, also
/// of the plainest (SSE2): six times as fast as word after word.
const LANES: usize = 16;

/// The sum of long runs of words. Headers have none, and shall not pay for the lanes.
fn sum_of(blocks: &[[u8; 4 * LANES]]) -> u64 {
    let mut lanes = [0_u64; LANES];
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks().0) {
            *lane = lane.wrapping_add(u64::from(u32::from_ne_bytes(*word)));
        }
    }
    lanes.iter().fold(0, |sum, lane| sum.wrapping_add(*lane))
}

/// A sum that more can be added to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InternetChecksum {
    /// Of 16-bit words; the carries are folded in at the end. 2^48 words fit.
    sum: u64,
}

impl InternetChecksum {
    /// Adds bytes. They begin at an even place of what is summed: a piece before the last has an even length.
    pub(crate) fn add(self, bytes: &[u8]) -> Self {
        // The order of bytes may be any (RFC 1071, 2 B), and words may be longer (2 C). So it is this machine's order,
        // and 32 bits, of which a 64-bit lane takes 2^32 without a carry.
        let (blocks, rest) = bytes.as_chunks::<{ 4 * LANES }>();
        let mut sum = if blocks.is_empty() { 0 } else { sum_of(blocks) };
        let (words, rest) = rest.as_chunks();
        for word in words {
            sum = sum.wrapping_add(u64::from(u32::from_ne_bytes(*word)));
        }
        let last = match *rest {
            [a] => [a, 0, 0, 0],
            [a, b] => [a, b, 0, 0],
            [a, b, c] => [a, b, c, 0],
            _ => [0; 4],
        };
        sum = sum.wrapping_add(u64::from(u32::from_ne_bytes(last)));
        self.add_word(u16::from_be(folded(sum)))
    }

    /// Adds a word.
    pub(crate) fn add_word(mut self, word: u16) -> Self {
        self.sum = self.sum.wrapping_add(u64::from(word));
        self
    }

    /// The pseudo-header of TCP, UDP and `ICMPv6` (RFC 9293, 3.1; RFC 8200, 8.1). `len`: of the header and the
    /// payload of that protocol, in bytes.
    pub(crate) fn add_pseudo_header(self, addresses: Addresses, protocol: u8, len: u16) -> Self {
        let sum = match addresses {
            Addresses::V4 { src, dst } => self.add(&src.octets()).add(&dst.octets()),
            Addresses::V6 { src, dst } => self.add(&src.octets()).add(&dst.octets()),
        };
        sum.add_word(u16::from(protocol)).add_word(len)
    }

    /// The sum, not complemented: what a checksum field holds that is left to an offload. Zero only if all that was
    /// summed is zero.
    pub(crate) fn partial(self) -> u16 {
        folded(self.sum)
    }

    /// The checksum; zero where the sum is all ones.
    pub(crate) fn finish(self) -> u16 {
        !folded(self.sum)
    }
}

/// The sum in 16 bits, the carries added at the other end.
fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff).wrapping_add(sum >> 16);
    }
    sum as u16
}

/// The checksum after one word under it has changed from `old` to `new` (RFC 1624, equation 3: never all ones
/// where summing anew gives zero). A checksum that was wrong stays wrong.
pub(crate) fn updated(checksum: u16, old: u16, new: u16) -> u16 {
    InternetChecksum::default()
        .add_word(!checksum)
        .add_word(!old)
        .add_word(new)
        .finish()
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;
    use crate::l2::ip_packet::test_packets as build;

    #[test]
    fn the_example_of_rfc_1071() {
        let sum = InternetChecksum::default().add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.finish(), !0xddf2);
        assert_eq!(InternetChecksum::default().add(&[0x12]).finish(), !0x1200);
        assert_eq!(InternetChecksum::default().finish(), 0xffff);
    }

    /// The case for which RFC 1624 corrects RFC 1141.
    #[test]
    fn the_example_of_rfc_1624() {
        assert_eq!(updated(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn every_length_and_every_alignment() {
        let bytes: Vec<u8> = (0..400_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        for from in 0..8 {
            for to in from..bytes.len() {
                let bytes = &bytes[from..to];
                assert_eq!(
                    InternetChecksum::default().add(bytes).finish(),
                    build::checksum(&[bytes])
                );
            }
        }
    }

    #[test]
    fn no_carry_is_lost() {
        let ones = vec![0xff; 131_072];
        let sum = InternetChecksum::default().add(&ones).add(&ones).add_word(1);
        assert_eq!((sum.partial(), sum.finish()), (1, !1));
        assert_eq!(InternetChecksum::default().partial(), 0);
        assert_eq!(InternetChecksum::default().add(&ones).partial(), 0xffff);
    }

    #[test]
    fn pseudo_headers() {
        for packet in [build::ipv4(6, b"x"), build::ipv6(6, b"x")] {
            let frame = build::frame(&[], &packet);
            let addresses = crate::l2::ip_packet::IpPacket::in_frame(&frame)
                .unwrap()
                .addresses;
            let sum = InternetChecksum::default().add_pseudo_header(addresses, 17, 0xfedc);
            let plainly = build::checksum(&[&build::pseudo_header(&packet, 17, 0xfedc)]);
            assert_eq!((sum.finish(), sum.partial()), (plainly, !plainly));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn an_update_equals_summing_anew(
            words in prop::collection::vec(prop_oneof![any::<u16>(), Just(0), Just(0xffff)], 1..40),
            at in any::<prop::sample::Index>(), new in prop_oneof![any::<u16>(), Just(0), Just(0xffff)],
        ) {
            // An IP header is never all zero, and so neither is what is summed.
            let sum = |words: &[u16]| {
                words.iter().fold(InternetChecksum::default().add_word(0x4500), |s, w| s.add_word(*w)).finish()
            };
            let mut changed = words.clone();
            let old = std::mem::replace(at.get_mut(&mut changed), new);
            prop_assert_eq!(updated(sum(&words), old, new), sum(&changed));
        }

        #[test]
        fn pieces_sum_to_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..3000), at in 0_usize..1500) {
            let at = (2 * at).min(bytes.len() & !1);
            let pieces = InternetChecksum::default().add(&bytes[..at]).add(&bytes[at..]);
            prop_assert_eq!(pieces.finish(), build::checksum(&[&bytes]));
        }
    }
}
