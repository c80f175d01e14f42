//! The header inside a FRAG, and the arithmetic that makes it safe to use.
//!
//! ```text
//! 0   1   kind: 0 Ethernet frame, 1 whole datagram that is sent again
//! 1   1   reserved
//! 2   2   total: length of the whole
//! 4   2   offset of this piece in the whole
//! 6   2   reserved
//! 8   4   id: equal in all pieces of a whole
//! 12  n   the piece, 1 byte or more
//! ```
//!
//! What concerns several pieces of a whole is for [`crate::reassembly`]: equal `total` and `kind`, no overlap
//! (RFC 5722), at most [`MAX_PIECES`]. [`crate::fragment`] makes them.

use super::{ethernet::ETHERNET_HEADER_LEN, header::HEADER_LEN, header::TAG_LEN};
use crate::drop_reason::DropReason;

/// Bytes of the fragment header.
pub const FRAGMENT_HEADER_LEN: usize = 12;
/// What a FRAG adds to its piece, in bytes: transport header, fragment header, tag.
pub const FRAGMENT_OVERHEAD: usize = HEADER_LEN + FRAGMENT_HEADER_LEN + TAG_LEN;
/// Shortest piece, in bytes, but for the last of a whole.
///
/// It must leave room on the smallest path that IPv4 promises: 576 bytes of IP carry a piece of
/// 576 - 28 - 40 = 508. Pieces of equal length may need less than that (two of 400 for 800), and a path may
/// be a little smaller still (encapsulation that nobody counted); 400 is met down to an IP size of 468. It is
/// what keeps a hostile peer from having us assemble a frame byte by byte.
pub const MIN_PIECE: usize = 400;
/// Most pieces of a whole.
///
/// The largest whole is a frame of 9,234 bytes (inner MTU 9216, Ethernet header, VLAN tag) sealed as a
/// datagram of 9,262: 19 pieces of 508, or 24 of [`MIN_PIECE`]. The rest of the 32 is what a sender may lose
/// by splitting less evenly than ours.
pub const MAX_PIECES: usize = 32;

/// What the pieces make up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FragmentKind {
    /// An Ethernet frame.
    Frame = 0,
    /// A sealed datagram that went out before, header and tag included.
    Datagram = 1,
}

impl FragmentKind {
    /// The shortest whole of this kind, in bytes.
    pub const fn shortest(self) -> u16 {
        match self {
            Self::Frame => ETHERNET_HEADER_LEN as u16,
            Self::Datagram => (HEADER_LEN + ETHERNET_HEADER_LEN + TAG_LEN) as u16,
        }
    }

    /// The longest whole of this kind, in bytes, where frames are at most `max_frame` bytes long.
    pub const fn longest(self, max_frame: u16) -> u16 {
        match self {
            Self::Frame => max_frame,
            Self::Datagram => max_frame.saturating_add((HEADER_LEN + TAG_LEN) as u16),
        }
    }
}

/// The header of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentHeader {
    /// What the pieces make up.
    pub kind: FragmentKind,
    /// Length of the whole in bytes.
    pub total: u16,
    /// Where the piece begins in the whole, in bytes.
    pub offset: u16,
    /// Equal in all pieces of a whole.
    pub id: u32,
}

impl FragmentHeader {
    /// Reads the plaintext of a FRAG: the header and the piece. `max_frame` is the largest Ethernet frame
    /// that the interface takes; a datagram may be longer by its header and tag.
    ///
    /// # Errors
    /// [`DropReason::FragmentRefused`] for whatever breaks a rule: a reserved byte, an unknown kind, an empty
    /// piece, a piece that sticks out of the whole, a whole too short or too long, a piece before the last
    /// that is shorter than [`MIN_PIECE`].
    pub fn parse(plaintext: &[u8], max_frame: u16) -> Result<(Self, &[u8]), DropReason> {
        const REFUSED: DropReason = DropReason::FragmentRefused;
        let (header, piece) = plaintext
            .split_first_chunk::<FRAGMENT_HEADER_LEN>()
            .ok_or(REFUSED)?;
        let [kind, rsv, t0, t1, o0, o1, rsv0, rsv1, i0, i1, i2, i3] = *header;
        if (rsv, rsv0, rsv1) != (0, 0, 0) || piece.is_empty() {
            return Err(REFUSED);
        }
        let kind = match kind {
            0 => FragmentKind::Frame,
            1 => FragmentKind::Datagram,
            _ => return Err(REFUSED),
        };
        let total = u16::from_le_bytes([t0, t1]);
        let offset = u16::from_le_bytes([o0, o1]);
        let end = usize::from(offset).saturating_add(piece.len());
        let is_last = end == usize::from(total);
        let whole_fits = (kind.shortest()..=kind.longest(max_frame)).contains(&total);
        if !whole_fits || end > usize::from(total) || !is_last && piece.len() < MIN_PIECE {
            return Err(REFUSED);
        }
        Ok((
            Self {
                kind,
                total,
                offset,
                id: u32::from_le_bytes([i0, i1, i2, i3]),
            },
            piece,
        ))
    }

    /// The bytes of the header.
    pub fn emit(&self) -> [u8; FRAGMENT_HEADER_LEN] {
        let [t0, t1] = self.total.to_le_bytes();
        let [o0, o1] = self.offset.to_le_bytes();
        let [i0, i1, i2, i3] = self.id.to_le_bytes();
        [self.kind as u8, 0, t0, t1, o0, o1, 0, 0, i0, i1, i2, i3]
    }
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    const MAX_FRAME: u16 = 9_234;

    fn fragment(header: FragmentHeader, len: usize) -> Vec<u8> {
        let mut bytes = header.emit().to_vec();
        bytes.resize(FRAGMENT_HEADER_LEN + len, 0x55);
        bytes
    }

    fn frame(total: u16, offset: u16) -> FragmentHeader {
        FragmentHeader {
            kind: FragmentKind::Frame,
            total,
            offset,
            id: 7,
        }
    }

    #[test]
    fn bytes_are_where_the_protocol_puts_them() {
        let header = FragmentHeader {
            kind: FragmentKind::Datagram,
            total: 0x0201,
            offset: 0x0403,
            id: 0x0807_0605,
        };
        assert_eq!(header.emit(), [1, 0, 1, 2, 3, 4, 0, 0, 5, 6, 7, 8]);
    }

    /// All 65,536 offsets against the lengths that sit on an edge: what CVE-2026-15813 was about elsewhere.
    #[test]
    fn a_piece_never_sticks_out_and_only_the_last_may_be_short() {
        for total in [
            0,
            13,
            14,
            399,
            400,
            401,
            1_500,
            MAX_FRAME,
            MAX_FRAME + 1,
            u16::MAX,
        ] {
            for len in [0_usize, 1, 2, 399, 400, 401, 9_222, 9_234, 65_523] {
                let mut bytes = fragment(frame(total, 0), len);
                for offset in 0..=u16::MAX {
                    bytes[4..6].copy_from_slice(&offset.to_le_bytes());
                    let end = usize::from(offset) + len;
                    let legal = (14..=MAX_FRAME).contains(&total)
                        && len >= 1
                        && end <= usize::from(total)
                        && (len >= 400 || end == usize::from(total));
                    let parsed = FragmentHeader::parse(&bytes, MAX_FRAME);
                    assert_eq!(
                        parsed.is_ok(),
                        legal,
                        "total {total}, offset {offset}, {len} bytes"
                    );
                    if let Ok((header, piece)) = parsed {
                        assert_eq!((header, piece.len()), (frame(total, offset), len));
                    }
                }
            }
        }
    }

    #[test]
    fn a_datagram_may_be_longer_by_its_overhead() {
        let parse = |total: u16| {
            let header = FragmentHeader {
                kind: FragmentKind::Datagram,
                ..frame(total, 0)
            };
            FragmentHeader::parse(&fragment(header, 400.min(usize::from(total))), MAX_FRAME).is_ok()
        };
        assert!(!parse(41) && parse(42) && parse(MAX_FRAME + 28) && !parse(MAX_FRAME + 29));
    }

    /// Why the two bounds are what they are.
    #[test]
    fn the_largest_whole_crosses_the_smallest_path() {
        let largest = usize::from(FragmentKind::Datagram.longest(MAX_FRAME));
        assert_eq!((largest, FRAGMENT_OVERHEAD), (9_262, 40));
        let piece = 576 - 28 - FRAGMENT_OVERHEAD;
        assert_eq!(piece, 508);
        assert!(piece >= MIN_PIECE && largest.div_ceil(piece) <= MAX_PIECES);
        assert!(
            largest.div_ceil(MIN_PIECE) <= MAX_PIECES,
            "no legal way to split it may have too many pieces"
        );
    }

    #[test]
    fn reserved_bytes_and_unknown_kinds_are_refused() {
        let good = fragment(frame(600, 0), 600);
        assert!(FragmentHeader::parse(&good, MAX_FRAME).is_ok());
        for (at, value) in [(0, 2), (0, 255), (1, 1), (6, 1), (7, 0x80)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(
                FragmentHeader::parse(&bad, MAX_FRAME),
                Err(DropReason::FragmentRefused)
            );
        }
        for len in 0..=FRAGMENT_HEADER_LEN {
            assert_eq!(
                FragmentHeader::parse(&good[..len], MAX_FRAME),
                Err(DropReason::FragmentRefused)
            );
        }
    }

    proptest! {
        #[test]
        fn parse_then_emit_is_the_identity(
            start in prop::collection::vec(0_u8..4, FRAGMENT_HEADER_LEN), len in 0_usize..1_500, max_frame: u16,
        ) {
            let bytes = [start, vec![1; len]].concat();
            if let Ok((header, piece)) = FragmentHeader::parse(&bytes, max_frame) {
                prop_assert_eq!(&header.emit()[..], &bytes[..FRAGMENT_HEADER_LEN]);
                prop_assert_eq!(piece, &bytes[FRAGMENT_HEADER_LEN..]);
            }
        }
    }
}
