//! Message types, their lengths, and the 12-byte header of everything that belongs to a session.
//!
//! ```text
//! 0   1   type: 4 DATA, 5 CTRL, 6 FRAG
//! 1   1   lane 0..15 (DATA, FRAG) or link 0..7 (CTRL)
//! 2   1   hints: bit 0, of DATA: the checksum in the frame is partial; the others are reserved
//! 3   1   reserved
//! 4   4   receiver index
//! 8   4   counter in the nonce space of that lane or link
//! ```

use crate::{
    drop_reason::DropReason,
    ids::{MAX_LINKS, ReceiverIndex},
};

/// Bytes of the transport header; all of them are the AEAD's associated data.
pub const HEADER_LEN: usize = 12;
/// Bytes of the AEAD tag at the end of each DATA, CTRL and FRAG.
pub const TAG_LEN: usize = 16;
/// Most lanes a session can have (limits: row 14).
pub const MAX_LANES: u8 = 16;
/// Largest plaintext of a DATA datagram in bytes.
pub const MAX_FRAME: usize = 65_535;

/// UDP payload bytes of an `HS_INIT`.
pub const HS_INIT_LEN: usize = 184;
/// Most bytes of the credential that makes an `HS_JOIN` so much longer.
pub const MAX_CREDENTIAL: usize = 512;
/// UDP payload bytes of an `HS_RESP`.
pub const HS_RESP_LEN: usize = 132;
/// UDP payload bytes of a COOKIE and of a RETRY.
pub const COOKIE_LEN: usize = 64;

/// Bit of the hints.
const PARTIAL: u8 = 1;

/// Shortest Ethernet frame that is carried: a header without payload.
const MIN_FRAME: usize = 14;
/// Shortest record of a CTRL: kind and length.
const MIN_RECORDS: usize = 2;
/// Shortest plaintext of a FRAG: its header and one byte.
const MIN_FRAGMENT: usize = 13;
const OVERHEAD: usize = HEADER_LEN + TAG_LEN;

/// What a datagram is: its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageType {
    /// First message of a handshake.
    HsInit = 1,
    /// Second message of a handshake.
    HsResp = 2,
    /// Answer to a handshake message under load: prove that you get mail at this address.
    Cookie = 3,
    /// One Ethernet frame.
    Data = 4,
    /// Control records of a link.
    Ctrl = 5,
    /// A piece of a frame or of a datagram.
    Frag = 6,
    /// Answer to a handshake with an old time stamp: prove that you are there now.
    Retry = 7,
    /// First message of a handshake, with a credential of its sender.
    HsJoin = 8,
}

impl MessageType {
    /// The type of this first byte.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::HsInit,
            2 => Self::HsResp,
            3 => Self::Cookie,
            4 => Self::Data,
            5 => Self::Ctrl,
            6 => Self::Frag,
            7 => Self::Retry,
            8 => Self::HsJoin,
            _ => return None,
        })
    }

    /// Shortest and longest UDP payload of this type, in bytes.
    pub const fn length_range(self) -> (usize, usize) {
        const MAX: usize = OVERHEAD + MAX_FRAME;
        match self {
            Self::HsInit => (HS_INIT_LEN, HS_INIT_LEN),
            Self::HsJoin => (HS_INIT_LEN + 1, HS_INIT_LEN + MAX_CREDENTIAL),
            Self::HsResp => (HS_RESP_LEN, HS_RESP_LEN),
            Self::Cookie | Self::Retry => (COOKIE_LEN, COOKIE_LEN),
            Self::Data => (OVERHEAD + MIN_FRAME, MAX),
            Self::Ctrl => (OVERHEAD + MIN_RECORDS, MAX),
            Self::Frag => (OVERHEAD + MIN_FRAGMENT, MAX),
        }
    }

    /// Whether it belongs to the handshake (types 1, 2, 3, 7, 8), and not to a session.
    pub const fn is_handshake(self) -> bool {
        matches!(
            self,
            Self::HsInit | Self::HsResp | Self::Cookie | Self::Retry | Self::HsJoin
        )
    }
}

/// The type of a datagram whose length fits that type.
///
/// # Errors
/// [`DropReason::WireType`] for an unknown or missing first byte, [`DropReason::WireLength`] for a known type
/// of a wrong length.
pub fn classify(datagram: &[u8]) -> Result<MessageType, DropReason> {
    let first = datagram.first().ok_or(DropReason::WireType)?;
    let kind = MessageType::from_byte(*first).ok_or(DropReason::WireType)?;
    let (min, max) = kind.length_range();
    if (min..=max).contains(&datagram.len()) {
        Ok(kind)
    } else {
        Err(DropReason::WireLength)
    }
}

/// The header of DATA, CTRL and FRAG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportHeader {
    /// [`MessageType::Data`], [`MessageType::Ctrl`] or [`MessageType::Frag`].
    pub kind: MessageType,
    /// The lane (0..=15) of DATA and FRAG, the link (0..=7) of CTRL.
    pub space: u8,
    /// Of DATA: the checksum of TCP or UDP in the frame is left to do, the field holds the sum of the pseudo-header.
    /// Only in sessions whose sides have agreed on it.
    pub partial: bool,
    /// The receiver's name for the session.
    pub receiver: ReceiverIndex,
    /// The number of this datagram in its nonce space.
    pub counter: u32,
}

impl TransportHeader {
    /// Reads the header of a whole datagram.
    ///
    /// # Errors
    /// As [`classify`]; besides [`DropReason::WireType`] for a handshake message,
    /// [`DropReason::LaneInvalid`] or [`DropReason::LinkUnknown`] for a lane or link out of range, and
    /// [`DropReason::WireReserved`] for reserved bytes that are not zero.
    pub fn parse(datagram: &[u8]) -> Result<Self, DropReason> {
        let kind = classify(datagram)?;
        if kind.is_handshake() {
            return Err(DropReason::WireType);
        }
        let [_, space, hints, reserved, i0, i1, i2, i3, c0, c1, c2, c3] = *datagram
            .first_chunk::<HEADER_LEN>()
            .ok_or(DropReason::WireLength)?;
        let partial = match (hints, reserved) {
            (0, 0) => false,
            (PARTIAL, 0) if kind == MessageType::Data => true,
            _ => return Err(DropReason::WireReserved),
        };
        match kind {
            MessageType::Ctrl if space as usize >= MAX_LINKS => return Err(DropReason::LinkUnknown),
            _ if space >= MAX_LANES => return Err(DropReason::LaneInvalid),
            _ => {}
        }
        Ok(Self {
            kind,
            space,
            partial,
            receiver: ReceiverIndex(u32::from_le_bytes([i0, i1, i2, i3])),
            counter: u32::from_le_bytes([c0, c1, c2, c3]),
        })
    }

    /// The bytes of the header.
    pub fn emit(&self) -> [u8; HEADER_LEN] {
        let [i0, i1, i2, i3] = self.receiver.0.to_le_bytes();
        let [c0, c1, c2, c3] = self.counter.to_le_bytes();
        let hints = if self.partial { PARTIAL } else { 0 };
        [
            self.kind as u8,
            self.space,
            hints,
            0,
            i0,
            i1,
            i2,
            i3,
            c0,
            c1,
            c2,
            c3,
        ]
    }

    /// The first byte of the nonce: the lane, or `0x80 | link` for CTRL. Spaces never overlap, so that one
    /// key serves all lanes and links of a direction.
    pub const fn nonce_space(&self) -> u8 {
        match self.kind {
            MessageType::Ctrl => 0x80 | self.space,
            _ => self.space,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    fn datagram(kind: u8, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        if let Some(first) = bytes.first_mut() {
            *first = kind;
        }
        bytes
    }

    #[test]
    fn every_type_takes_exactly_its_lengths() {
        // (type, shortest, longest), written down from the protocol and not computed.
        let table = [
            (1, 184, 184),
            (2, 132, 132),
            (3, 64, 64),
            (4, 42, 65_563),
            (5, 30, 65_563),
            (6, 41, 65_563),
            (7, 64, 64),
            (8, 185, 696),
        ];
        for (kind, min, max) in table {
            for len in (1..800).chain(65_500..65_600) {
                let expected = if (min..=max).contains(&len) {
                    Ok(MessageType::from_byte(kind).unwrap())
                } else {
                    Err(DropReason::WireLength)
                };
                assert_eq!(
                    classify(&datagram(kind, len)),
                    expected,
                    "type {kind}, {len} bytes"
                );
            }
        }
    }

    #[test]
    fn every_other_first_byte_is_refused() {
        assert_eq!(classify(&[]), Err(DropReason::WireType));
        for kind in (9..=255).chain([0]) {
            for len in [1, 42, 64, 132, 184] {
                assert_eq!(classify(&datagram(kind, len)), Err(DropReason::WireType));
            }
        }
    }

    #[test]
    fn lanes_links_and_reserved_bytes_are_checked() {
        let with = |kind, at: usize, value| {
            let mut bytes = datagram(kind, 64);
            bytes[at] = value;
            TransportHeader::parse(&bytes)
        };
        assert!(with(4, 1, 15).is_ok() && with(6, 1, 15).is_ok() && with(5, 1, 7).is_ok());
        assert_eq!(with(4, 1, 16), Err(DropReason::LaneInvalid));
        assert_eq!(with(6, 1, 255), Err(DropReason::LaneInvalid));
        assert_eq!(with(5, 1, 8), Err(DropReason::LinkUnknown));
        assert_eq!(with(5, 1, 15), Err(DropReason::LinkUnknown));
        for (kind, at, value) in [
            (4, 2, 2),
            (4, 2, 3),
            (4, 3, 1),
            (5, 2, 1),
            (5, 3, 1),
            (6, 2, 1),
            (6, 3, 1),
        ] {
            assert_eq!(with(kind, at, value), Err(DropReason::WireReserved));
        }
        assert!(with(4, 2, 1).is_ok_and(|h| h.partial) && with(4, 2, 0).is_ok_and(|h| !h.partial));
        for (kind, len) in [(1, 184), (2, 132), (3, 64), (7, 64), (8, 200)] {
            assert_eq!(
                TransportHeader::parse(&datagram(kind, len)),
                Err(DropReason::WireType)
            );
        }
    }

    #[test]
    fn bytes_are_where_the_protocol_puts_them() {
        let header = TransportHeader {
            kind: MessageType::Ctrl,
            space: 3,
            partial: false,
            receiver: ReceiverIndex(0x0403_0201),
            counter: 0x0807_0605,
        };
        assert_eq!(header.emit(), [5, 3, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(header.nonce_space(), 0x83);
        let data = TransportHeader {
            kind: MessageType::Data,
            partial: true,
            ..header
        };
        assert_eq!(data.emit(), [4, 3, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn nonce_spaces_are_disjoint() {
        let mut seen = std::collections::BTreeSet::new();
        for (kind, spaces) in [(MessageType::Data, 16), (MessageType::Ctrl, 8)] {
            for space in 0..spaces {
                let header = TransportHeader {
                    kind,
                    space,
                    partial: false,
                    receiver: ReceiverIndex(0),
                    counter: 0,
                };
                assert!(seen.insert(header.nonce_space()));
                // Fragments share the counters, and so the nonces, of their lane.
                if kind == MessageType::Data {
                    let fragment = TransportHeader {
                        kind: MessageType::Frag,
                        ..header
                    };
                    assert_eq!(fragment.nonce_space(), header.nonce_space());
                }
            }
        }
        assert_eq!(seen.len(), 24);
    }

    proptest! {
        #[test]
        fn emit_then_parse_is_the_identity(
            kind in 4_u8..=6, space in 0_u8..8, partial: bool, receiver: u32, counter: u32,
        ) {
            let kind = MessageType::from_byte(kind).unwrap();
            let partial = partial && kind == MessageType::Data;
            let header = TransportHeader { kind, space, partial, receiver: ReceiverIndex(receiver), counter };
            let mut bytes = header.emit().to_vec();
            bytes.resize(64, 0xaa);
            prop_assert_eq!(TransportHeader::parse(&bytes), Ok(header));
        }

        #[test]
        fn parse_then_emit_is_the_identity(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(header) = TransportHeader::parse(&bytes) {
                prop_assert_eq!(&header.emit()[..], &bytes[..HEADER_LEN]);
            }
        }
    }
}
