//! A super-frame from the TAP, cut into whole, finished Ethernet frames.
//!
//! As Linux would cut it (TSO and USO): the headers of the super-frame before each piece of its payload, with the
//! lengths, the IPv4 identification, the TCP sequence number, the flags and the checksums that are right there.
//! TCP is a stream, so it may be cut shorter than the sender asked for, to fit the path; datagrams of UDP may not.
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

use alloc::vec::Vec;

use thiserror::Error;

use super::{
    checksum::{Checksum, never_zero},
    layout::{
        Layout, Transport, field,
        tcp_flag::{CWR, FIN, PSH, RST, SYN, URG},
    },
};
use crate::{
    drop_reason::DropReason,
    internet_checksum::InternetChecksum,
    wire::virtio_net_header::{VirtioNetHeader, flags, gso},
};

/// Least payload, in bytes, to which TCP is cut where the sender asked for more. What an IP packet of 256 bytes
/// holds: no path is that narrow, and on one that were, pieces of long segments are cheaper than the headers of
/// short ones.
pub const MIN_RECUT: usize = 216;

/// How an offload header contradicts its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SegmentError {
    /// Neither TCP nor UDP of a known kind: a plain frame, or UFO, or a bit that does not belong there.
    #[error("GSO type {0:#04x} is none that can be cut")]
    GsoType(u8),
    /// Segments without payload.
    #[error("segments are to have no payload")]
    GsoSize,
    /// The frame is no whole IP packet of that kind with payload in it; or it goes on behind the packet.
    #[error("the frame is not what the GSO type says")]
    Frame,
    /// The checksum is neither known to be right nor left to do; or it is to be put elsewhere than the frame has it.
    #[error("the checksum is not where the frame has it")]
    Checksum,
    /// A segment that cannot be one of many: SYN, RST or URG.
    #[error("a segment with SYN, RST or URG cannot be cut")]
    TcpFlags,
}

impl From<SegmentError> for DropReason {
    fn from(_: SegmentError) -> Self {
        DropReason::TapOffload
    }
}

/// How a super-frame is cut. All segments but the last have the same length.
#[derive(Clone, Copy, Debug)]
pub struct Segments<'a> {
    frame: &'a [u8],
    layout: Layout,
    /// Payload of each segment but the last, in bytes; not zero.
    mss: usize,
    count: usize,
    /// The sum of the pseudo-header without its length.
    pseudo_header: InternetChecksum,
}

impl<'a> Segments<'a> {
    /// Cuts `frame`, from the Ethernet header on, of which the TAP says `header`. `room` is the longest plain frame
    /// in bytes that the path takes whole. TCP is cut to fit it, but not to less payload than [`MIN_RECUT`]; UDP is
    /// cut as the sender asked. So a segment may be longer than `room`, and must then be carried in pieces.
    ///
    /// A frame that is no super-frame (GSO type 0) is not for this: its checksum may be left to
    /// [`complete`](super::checksum::complete).
    pub fn plan(header: &VirtioNetHeader, frame: &'a [u8], room: usize) -> Result<Self, SegmentError> {
        let (transport, is_v4) = match header.gso_type & !gso::ECN {
            gso::TCPV4 => (Transport::Tcp, Some(true)),
            gso::TCPV6 => (Transport::Tcp, Some(false)),
            gso::UDP_L4 if header.gso_type & gso::ECN == 0 => (Transport::Udp, None),
            _ => return Err(SegmentError::GsoType(header.gso_type)),
        };
        let layout = Layout::of(frame)
            .filter(|l| l.transport == transport && is_v4.is_none_or(|v4| v4 == l.is_v4()))
            .ok_or(SegmentError::Frame)?;
        let payload = frame.get(layout.payload_at..).unwrap_or_default();
        if payload.is_empty() {
            return Err(SegmentError::Frame);
        }
        if transport == Transport::Tcp {
            let tcp_flags = frame.get(layout.tcp_flags_at()).ok_or(SegmentError::Frame)?;
            if tcp_flags & (SYN | RST | URG) != 0 {
                return Err(SegmentError::TcpFlags);
            }
        }
        let gso_size = usize::from(header.gso_size);
        let fitting = room.saturating_sub(layout.payload_at);
        let mss = match transport {
            Transport::Tcp if fitting >= MIN_RECUT => gso_size.min(fitting),
            _ => gso_size,
        };
        Ok(Self {
            frame,
            layout,
            mss,
            count: match mss {
                0 => return Err(SegmentError::GsoSize),
                mss => payload.len().div_ceil(mss),
            },
            pseudo_header: pseudo_header(header, frame, &layout).ok_or(SegmentError::Checksum)?,
        })
    }

    /// How many segments there are: at least one, and at most as many as there are bytes of payload.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Whether it is a stream that was cut (TCP), and not datagrams that belong together (UDP).
    pub fn is_stream(&self) -> bool {
        self.layout.transport == Transport::Tcp
    }

    /// Bytes of headers, from Ethernet to TCP or UDP, in each segment.
    pub const fn header_len(&self) -> usize {
        self.layout.payload_at
    }

    /// Length of segment `index` in bytes, headers included. Zero if there is none of that number.
    pub fn len(&self, index: usize) -> usize {
        match self.payload(index) {
            Some(payload) => self.header_len().saturating_add(payload.len()),
            None => 0,
        }
    }

    /// Appends segment `index` to `out`; nothing if there is none of that number. `checksum`: done, or left to do.
    pub fn emit(&self, index: usize, checksum: Checksum, out: &mut Vec<u8>) {
        let (Some(headers), Some(payload)) = (self.frame.get(..self.header_len()), self.payload(index))
        else {
            return;
        };
        let begin = out.len();
        out.extend_from_slice(headers);
        out.extend_from_slice(payload);
        // All places in the headers were found by `Layout::of`: finishing cannot fail.
        if let Some(segment) = out.get_mut(begin..) {
            let _ = self.finish(index, checksum, segment);
        }
    }

    fn payload(&self, index: usize) -> Option<&'a [u8]> {
        let payload = self.frame.get(self.header_len()..)?;
        if index >= self.count {
            return None;
        }
        let rest = payload.get(index.checked_mul(self.mss)?..)?;
        rest.get(..self.mss.min(rest.len()))
    }

    /// Makes the super-frame's headers those of segment `index`.
    fn finish(&self, index: usize, checksum: Checksum, segment: &mut [u8]) -> Option<()> {
        let len = segment.len();
        let offset = index.saturating_mul(self.mss) as u32;
        self.layout.renumber(segment, len, index as u16, offset)?;
        if self.layout.transport == Transport::Tcp {
            let tcp_flags = segment.get_mut(self.layout.tcp_flags_at())?;
            if index.saturating_add(1) < self.count {
                *tcp_flags &= !(FIN | PSH);
            }
            if index > 0 {
                *tcp_flags &= !CWR;
            }
        }
        *field(segment, self.layout.checksum_at())? = [0; 2];
        let summed = segment.get(self.layout.transport_at..)?;
        let pseudo_header = self.pseudo_header.add_word(summed.len() as u16);
        let value = match (checksum, self.layout.transport) {
            (Checksum::Partial, _) => pseudo_header.partial(),
            (Checksum::Complete, Transport::Tcp) => pseudo_header.add(summed).finish(),
            (Checksum::Complete, Transport::Udp) => never_zero(pseudo_header.add(summed).finish()),
        };
        *field(segment, self.layout.checksum_at())? = value.to_be_bytes();
        Some(())
    }
}

/// The sum of the pseudo-header without its length. Where the checksum is left to do, the super-frame has it: with
/// mobile IPv6 and routing headers, only the sender knows its addresses (RFC 8200, 8.1).
fn pseudo_header(header: &VirtioNetHeader, frame: &[u8], layout: &Layout) -> Option<InternetChecksum> {
    let len = frame.len().saturating_sub(layout.transport_at) as u16;
    let with_len = if header.flags & flags::NEEDS_CSUM != 0 {
        let (start, offset) = (usize::from(header.csum_start), usize::from(header.csum_offset));
        if start != layout.transport_at || offset != layout.transport.checksum_at() {
            return None;
        }
        let field = frame.get(layout.checksum_at()..)?.first_chunk::<2>()?;
        InternetChecksum::default().add(field)
    } else if header.flags & flags::DATA_VALID != 0 {
        layout.pseudo_header(frame.len())
    } else {
        return None;
    };
    // The complement takes it away.
    Some(with_len.add_word(!len))
}

#[cfg(test)]
mod tests;
