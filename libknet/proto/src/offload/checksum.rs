//! Checksums of TCP and UDP that are left to do: by the kernel to the device, or by the sender to whoever has the frame
//! last (RFC 9293 asks both ends of a connection for it; between them it is the AEAD that guards the bytes).
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

use super::layout::Layout;
use crate::{
    drop_reason::DropReason,
    internet_checksum::InternetChecksum,
    wire::{
        ethernet::ETHERNET_HEADER_LEN,
        virtio_net_header::{VirtioNetHeader, flags},
    },
};

/// What is in the checksum field of a frame with TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The checksum. In a frame that is neither TCP nor UDP, whatever is there.
    Complete,
    /// The sum of the pseudo-header only.
    Partial,
}

impl Checksum {
    /// Partial where `partial`.
    pub const fn of(partial: bool) -> Self {
        if partial { Self::Partial } else { Self::Complete }
    }

    /// What the TAP is to be told of a plain frame with such a checksum.
    ///
    /// # Errors
    /// [`DropReason::PartialChecksum`]: it is left to do, but the frame is no whole packet of TCP or UDP.
    pub(crate) fn header_of(self, frame: &[u8]) -> Result<VirtioNetHeader, DropReason> {
        if self == Self::Complete {
            return Ok(VirtioNetHeader::default());
        }
        let layout = Layout::of(frame).ok_or(DropReason::PartialChecksum)?;
        Ok(VirtioNetHeader {
            flags: flags::NEEDS_CSUM,
            csum_start: layout.transport_at as u16,
            csum_offset: layout.transport.checksum_at() as u16,
            ..VirtioNetHeader::default()
        })
    }
}

/// Finishes a frame that needs its checksum (`NEEDS_CSUM`): sums from `csum_start` to the end of `frame`, and writes
/// the checksum at `csum_offset` from there. Both are in bytes. The field holds the sum of the pseudo-header before.
/// Zero is written as all ones, which is the same number, and which UDP does not take for "no checksum" (RFC 768).
///
/// `None`, and `frame` is as it was: the field is not inside the frame behind the Ethernet header, or not at an even
/// place of what is summed. This is to be counted as [`TapOffload`](crate::drop_reason::DropReason::TapOffload).
pub fn complete(frame: &mut [u8], csum_start: u16, csum_offset: u16) -> Option<()> {
    let start = usize::from(csum_start);
    if start < ETHERNET_HEADER_LEN || !csum_offset.is_multiple_of(2) {
        return None;
    }
    let summed = frame.get_mut(start..)?;
    let checksum = InternetChecksum::default().add(summed).finish();
    let field = summed
        .get_mut(usize::from(csum_offset)..)?
        .first_chunk_mut::<2>()?;
    *field = never_zero(checksum).to_be_bytes();
    Some(())
}

/// All ones for zero: both mean the same, but for UDP zero stands for none.
pub(super) const fn never_zero(checksum: u16) -> u16 {
    match checksum {
        0 => 0xffff,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::l2::ip_packet::{protocol::*, test_packets as build};

    /// The frame with the sum of its pseudo-header in the checksum field at `offset` in the last `len` bytes.
    fn left_to_do(packet: &[u8], protocol: u8, len: usize, offset: usize) -> Vec<u8> {
        let mut frame = build::frame(&[[0x8100, 7]], packet);
        let at = frame.len() - len + offset;
        let sum = !build::checksum(&[&build::pseudo_header(packet, protocol, len)]);
        frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        frame
    }

    fn assert_completed(packet: &[u8], protocol: u8, len: usize, offset: usize) -> u16 {
        let mut frame = left_to_do(packet, protocol, len, offset);
        let before = frame.clone();
        let start = frame.len() - len;
        complete(&mut frame, start as u16, offset as u16).unwrap();
        let pseudo = build::pseudo_header(packet, protocol, len);
        assert_eq!(build::checksum(&[&pseudo, &frame[start..]]), 0);
        let at = start + offset;
        assert_eq!(
            (&frame[..at], &frame[at + 2..]),
            (&before[..at], &before[at + 2..])
        );
        u16::from_be_bytes([frame[at], frame[at + 1]])
    }

    #[test]
    fn tcp_and_udp_of_both_versions() {
        let (tcp, udp) = (build::tcp(0x18, &[1, 1, 1, 0], b"payload"), build::udp(53, 4000));
        assert_completed(&build::ipv4(TCP, &tcp), TCP, tcp.len(), 16);
        assert_completed(&build::ipv6(TCP, &tcp), TCP, tcp.len(), 16);
        assert_completed(&build::ipv4(UDP, &udp), UDP, udp.len(), 6);
        assert_completed(&build::ipv6(UDP, &udp), UDP, udp.len(), 6);
    }

    #[test]
    fn zero_becomes_all_ones() {
        let mut udp = build::udp(53, 4000);
        let others = assert_completed(&build::ipv4(UDP, &udp), UDP, udp.len(), 6);
        // With what is missing to all ones in the payload, where 0x0102 is now.
        let [a, b] = (others as u32 + 0x0102).to_be_bytes()[2..].try_into().unwrap();
        udp[8..10].copy_from_slice(&[a, b]);
        assert_eq!(
            assert_completed(&build::ipv4(UDP, &udp), UDP, udp.len(), 6),
            0xffff
        );
    }

    #[test]
    fn a_field_outside_the_frame_is_refused() {
        let frame = build::frame(&[], &build::ipv4(UDP, &build::udp(1, 2)));
        let refused = |start: usize, offset: u16| {
            let mut damaged = frame.clone();
            assert_eq!(complete(&mut damaged, start as u16, offset), None);
            assert_eq!(damaged, frame);
        };
        refused(13, 6);
        refused(34, 7);
        refused(34, u16::MAX - 1);
        refused(frame.len() - 1, 0);
        refused(frame.len(), 0);
        refused(65_535, 0);
        assert!(complete(&mut frame.clone(), frame.len() as u16 - 2, 0).is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_are_completed_without_panic(
            mut frame in prop::collection::vec(any::<u8>(), 0..200), start in 0_u16..210, offset in 0_u16..210,
        ) {
            let done = complete(&mut frame, start, offset).is_some();
            let inside = start >= 14 && offset % 2 == 0 && usize::from(start + offset) + 2 <= frame.len();
            prop_assert_eq!(done, inside);
        }
    }
}
