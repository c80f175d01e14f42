//! Splits what is too long for a path into pieces: a frame that goes out, or a sealed datagram that goes out
//! again on a link that carries less. Outer IP fragmentation is never used.
//!
//! The caller seals each piece as a FRAG, in order, all of a whole on one link, under an id that no other
//! whole of the session has had lately: one counter per session, for frames and datagrams alike, and a new
//! number each time a whole is split (two standbys may need pieces of different length).
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

use core::ops::Range;

use crate::wire::fragment_header::{FRAGMENT_OVERHEAD, FragmentHeader, FragmentKind, MAX_PIECES, MIN_PIECE};

/// How to split `total` bytes so that no datagram is longer than `max_datagram` (bytes of UDP payload).
///
/// As few pieces as possible, all of one length but for the last, which is at most that long. It is shorter
/// only by what the division leaves, or because a piece may not be shorter than [`MIN_PIECE`]: a balanced
/// split costs the same number of datagrams and leaves each as far from the limit as it can be.
///
/// `None` if the receiver would refuse every way to do it: `total` is too short for its kind or above 65,535,
/// or `max_datagram` is so small that pieces would be too short or more than [`MAX_PIECES`].
///
/// A whole that fits is one piece. That is valid, but costs 12 bytes more than DATA.
pub fn split(kind: FragmentKind, id: u32, total: usize, max_datagram: usize) -> Option<Pieces> {
    let whole = u16::try_from(total).ok().filter(|t| *t >= kind.shortest())?;
    let room = max_datagram.checked_sub(FRAGMENT_OVERHEAD).filter(|r| *r > 0)?;
    let count = total.div_ceil(room);
    if count > MAX_PIECES || count > 1 && room < MIN_PIECE {
        return None;
    }
    // More than `count - 1` times `room` bytes are to be split, and `room` is no less than either of these: so
    // something is left for the last piece.
    let piece = total.div_ceil(count).max(MIN_PIECE);
    Some(Pieces {
        next: FragmentHeader {
            kind,
            total: whole,
            offset: 0,
            id,
        },
        piece: u16::try_from(piece).ok()?,
        left: count,
    })
}

/// The pieces of a whole, in order: each with its header and its place in the whole.
#[derive(Clone, Debug)]
pub struct Pieces {
    next: FragmentHeader,
    piece: u16,
    left: usize,
}

impl Iterator for Pieces {
    type Item = (FragmentHeader, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let header = self.next;
        let end = header.offset.saturating_add(self.piece).min(header.total);
        self.next.offset = end;
        Some((header, usize::from(header.offset)..usize::from(end)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Pieces {}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;
    use crate::wire::header::{HEADER_LEN, TAG_LEN};

    const IPV4: usize = 20 + 8;
    const IPV6: usize = 40 + 8;

    /// The lengths of the pieces, after everything that must hold of them was checked.
    fn checked(kind: FragmentKind, total: usize, path_mtu: usize, ip_udp: usize) -> Vec<usize> {
        let pieces = split(kind, 9, total, path_mtu - ip_udp)
            .unwrap_or_else(|| panic!("{total} bytes do not cross a path of {path_mtu}"));
        let announced = pieces.len();
        let whole: Vec<u8> = (0..total).map(|i| (i % 251) as u8).collect();
        let mut lengths = Vec::new();
        let mut reached = 0;
        for (header, range) in pieces {
            assert_eq!((range.start, usize::from(header.offset)), (reached, reached));
            assert_eq!((header.kind, header.id), (kind, 9));
            reached = range.end;
            let plaintext = [&header.emit()[..], &whole[range.clone()]].concat();
            let packet = ip_udp + HEADER_LEN + plaintext.len() + TAG_LEN;
            assert!(packet <= path_mtu, "{packet} bytes of IP on a path of {path_mtu}");
            let max_frame = (total as u16).max(14);
            let parsed = FragmentHeader::parse(&plaintext, max_frame);
            assert_eq!(
                parsed,
                Ok((header, &whole[range.clone()])),
                "the receiver takes it"
            );
            lengths.push(range.len());
        }
        assert_eq!(
            (reached, lengths.len()),
            (total, announced),
            "nothing is left out"
        );
        assert!(lengths.len() <= MAX_PIECES);
        let (last, others) = lengths.split_last().unwrap();
        assert!(others.iter().all(|l| *l == lengths[0] && l >= last));
        lengths
    }

    #[test]
    fn pieces_are_balanced() {
        let lengths = |total, mtu| checked(FragmentKind::Frame, total, mtu, IPV4);
        assert_eq!(lengths(1_514, 1_500), [757, 757]);
        assert_eq!(lengths(1_433, 1_500), [717, 716], "not 1432 and 1");
        assert_eq!(lengths(1_432, 1_500), [1_432]);
        assert_eq!(
            lengths(509, 576),
            [400, 109],
            "no shorter than the receiver allows"
        );
        assert_eq!(lengths(9_234, 576).len(), 19);
    }

    #[test]
    fn what_the_receiver_would_refuse_is_not_made() {
        let made = |kind, total, max| split(kind, 0, total, max).map(|p| p.len());
        assert_eq!(made(FragmentKind::Frame, 13, 1_472), None);
        assert_eq!(made(FragmentKind::Frame, 14, 1_472), Some(1));
        assert_eq!(made(FragmentKind::Datagram, 41, 1_472), None);
        assert_eq!(made(FragmentKind::Datagram, 42, 1_472), Some(1));
        assert_eq!(made(FragmentKind::Frame, 65_536, 65_535), None);
        assert_eq!(made(FragmentKind::Frame, 65_535, 65_535), Some(2));
        for max in 0..=FRAGMENT_OVERHEAD {
            assert_eq!(made(FragmentKind::Frame, 14, max), None, "no room at all");
        }
        assert_eq!(made(FragmentKind::Frame, 100, FRAGMENT_OVERHEAD + 100), Some(1));
        assert_eq!(made(FragmentKind::Frame, 101, FRAGMENT_OVERHEAD + 100), None);
        assert_eq!(made(FragmentKind::Frame, 401, FRAGMENT_OVERHEAD + 400), Some(2));
        assert_eq!(made(FragmentKind::Frame, 401, FRAGMENT_OVERHEAD + 399), None);
        assert_eq!(
            made(FragmentKind::Frame, 32 * 400, FRAGMENT_OVERHEAD + 400),
            Some(32)
        );
        assert_eq!(
            made(FragmentKind::Frame, 32 * 400 + 1, FRAGMENT_OVERHEAD + 400),
            None
        );
    }

    /// P6 at its edge, for every length that there is: the smallest path of either family.
    #[test]
    fn p6_every_length_crosses_the_smallest_path() {
        for ip_udp in [IPV4, IPV6] {
            for total in 14..=9_262 {
                checked(FragmentKind::Frame, total, 576, ip_udp);
            }
            for total in 42..=9_262 {
                checked(FragmentKind::Datagram, total, 576, ip_udp);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_048))]

        /// P6.
        #[test]
        fn p6_each_datagram_fits_the_path(ipv6: bool, path_mtu in 576_usize..=9_216, total in 14_usize..=9_250) {
            checked(FragmentKind::Frame, total, path_mtu, if ipv6 { IPV6 } else { IPV4 });
            checked(FragmentKind::Datagram, total.max(42), path_mtu, if ipv6 { IPV6 } else { IPV4 });
        }

        /// Whatever is asked for, either nothing or something that the receiver takes and that fits.
        #[test]
        fn nothing_illegal_is_made(total in 0_usize..70_000, max_datagram in 0_usize..70_000, datagram: bool) {
            let kind = if datagram { FragmentKind::Datagram } else { FragmentKind::Frame };
            let zeros = vec![0; total];
            for (header, range) in split(kind, 1, total, max_datagram).into_iter().flatten() {
                prop_assert!(range.len() + FRAGMENT_OVERHEAD <= max_datagram);
                let plaintext = [&header.emit()[..], &zeros[range]].concat();
                prop_assert!(FragmentHeader::parse(&plaintext, u16::MAX).is_ok());
            }
        }
    }
}
