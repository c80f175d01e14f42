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
//! What concerns several pieces of a whole is for whoever puts them together: equal `total` and `kind`, no
//! overlap (RFC 5722), at most [`MAX_PIECES`].

use super::{ethernet::ETHERNET_HEADER_LEN, header::HEADER_LEN, header::TAG_LEN};
use crate::drop_reason::DropReason;

/// Bytes of the fragment header.
pub const FRAGMENT_HEADER_LEN: usize = 12;
/// Shortest piece, in bytes, but for the last of a whole.
pub const MIN_PIECE: usize = 512;
/// Most pieces of a whole.
pub const MAX_PIECES: usize = 16;

/// What the pieces make up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FragmentKind {
    /// An Ethernet frame.
    Frame = 0,
    /// A sealed datagram that went out before, header and tag included.
    Datagram = 1,
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
        let overhead = (HEADER_LEN as u16).saturating_add(TAG_LEN as u16);
        let (min, max) = match kind {
            FragmentKind::Frame => (ETHERNET_HEADER_LEN as u16, max_frame),
            FragmentKind::Datagram => (
                overhead.saturating_add(ETHERNET_HEADER_LEN as u16),
                max_frame.saturating_add(overhead),
            ),
        };
        let end = usize::from(offset).saturating_add(piece.len());
        let is_last = end == usize::from(total);
        if !(min..=max).contains(&total) || end > usize::from(total) || !is_last && piece.len() < MIN_PIECE {
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
