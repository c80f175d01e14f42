//! Frames that were cut from one super-frame, made one again for the TAP: the kernel's stack is then passed once, not
//! for each of them.
//!
//! The frames lie in one buffer, one after the other with gaps, and each payload is moved to the end of the one before.
//! A frame is joined only if cutting would give it back byte for byte: so nobody behind the TAP sees a difference, and
//! what is damaged stays visibly so. As Linux does it (GRO), but without waiting for anything.
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

use super::{
    checksum::Checksum,
    layout::{
        Layout, Transport, field,
        tcp_flag::{ACK, CWR, ECE, FIN, PSH},
    },
};
use crate::{
    drop_reason::DropReason,
    wire::virtio_net_header::{VirtioNetHeader, flags, gso},
};

/// Most frames that are made one. Linux before 6.9 makes no more of a super-frame of UDP (`UDP_MAX_SEGMENTS`), and is
/// not to be handed what it would not make. For TCP it takes any number, but at the usual sizes 64 KiB end before.
pub const MAX_SEGMENTS: usize = 64;
/// Longest IP packet: its length is a field of 16 bits.
const MAX_PACKET: usize = 65_535;
/// Room for Ethernet with two tags, IPv6 and TCP with all options: 22 + 40 + 60.
const MAX_HEADERS: usize = 128;

/// What is joined: what the TAP takes in one piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Joins {
    /// Segments of TCP.
    pub tcp: bool,
    /// Datagrams of UDP, for a TAP with `TUN_F_USO4` and `TUN_F_USO6` (Linux 6.2).
    pub udp: bool,
}

impl Joins {
    /// Whatever can be joined.
    pub const ALL: Self = Self { tcp: true, udp: true };
}

/// One frame, or several that have become one.
#[derive(Clone, Debug)]
pub struct Join {
    /// Where it is in the buffer.
    frame: Range<usize>,
    /// Of each of its frames.
    checksum: Checksum,
    /// `None`: nothing can be joined to the first frame.
    head: Option<Head>,
    /// How many frames there are in it.
    count: usize,
    /// The last frame ends it.
    ended: bool,
    /// The TCP flags of the last frame, if it is not the only one: it may have PSH and FIN besides those of the
    /// first.
    last_flags: u8,
}

/// What the frames to come must fit.
#[derive(Clone, Copy, Debug)]
struct Head {
    layout: Layout,
    /// Payload of each frame but the last, in bytes.
    mss: usize,
}

impl Join {
    /// Begins with the frame at `first` in `buffer`, whose checksum is done or left to do.
    pub fn begin(buffer: &[u8], first: Range<usize>, checksum: Checksum, joins: Joins) -> Self {
        let frame = buffer.get(first.clone()).unwrap_or_default();
        let head = if joins == Joins::default() {
            None
        } else {
            Head::of(frame).filter(|head| match head.layout.transport {
                Transport::Tcp => joins.tcp,
                Transport::Udp => joins.udp,
            })
        };
        Self {
            ended: head.is_none_or(|head| head.ends_with(frame)),
            frame: first,
            checksum,
            head,
            count: 1,
            last_flags: 0,
        }
    }

    /// What the checksum of each of its frames is.
    pub const fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// Joins the frame at `next` in `buffer`, if it continues those before and lies behind them: then its payload has
    /// been moved. Its checksum must be like theirs. If `false`, nothing has changed, and nothing more can be joined: the
    /// frame may begin another.
    pub fn push(&mut self, buffer: &mut [u8], next: Range<usize>) -> bool {
        if self.try_push(buffer, next).is_none() {
            self.ended = true;
            return false;
        }
        true
    }

    /// Finishes the headers, and tells what the TAP is to be told and where the frame is. A lone frame is as it was.
    ///
    /// # Errors
    /// [`DropReason::PartialChecksum`]: a lone frame whose checksum is said to be left to do has none.
    pub fn finish(self, buffer: &mut [u8]) -> Result<(VirtioNetHeader, Range<usize>), DropReason> {
        let frame = buffer.get_mut(self.frame.clone()).unwrap_or_default();
        let joined = self.head.filter(|_| self.count > 1);
        let header = match joined {
            Some(head) => head.finish(frame, self.last_flags).unwrap_or_default(),
            None => self.checksum.header_of(frame)?,
        };
        Ok((header, self.frame))
    }

    fn try_push(&mut self, buffer: &mut [u8], next: Range<usize>) -> Option<()> {
        let head = self.head.filter(|_| !self.ended && self.count < MAX_SEGMENTS)?;
        let joined = buffer.get(self.frame.clone())?;
        let frame = buffer
            .get(next.clone())
            .filter(|_| next.start >= self.frame.end)?;
        let payload = frame.get(head.layout.payload_at..).filter(|p| !p.is_empty())?;
        let len = joined.len().checked_add(payload.len())?;
        if payload.len() > head.mss || len.checked_sub(head.layout.ip_at)? > MAX_PACKET {
            return None;
        }
        // Headers first: they are short, and tell another flow.
        let offset = joined.len().checked_sub(head.layout.payload_at)?;
        let is_sound = head.has_headers(joined, frame, self.count, offset)?
            && (self.count > 1
                || (head.has_headers(joined, joined, 0, 0)? && head.has_checksum(joined, self.checksum)?))
            && head.has_checksum(frame, self.checksum)?;
        if !is_sound {
            return None;
        }
        self.ended = head.ends_with(frame);
        self.last_flags = head.tcp_flags(frame);
        self.count = self.count.saturating_add(1);
        // The payload is inside the buffer behind all that is joined, so nothing here can overflow or panic.
        let to = self.frame.end;
        self.frame.end = to.saturating_add(payload.len());
        buffer.copy_within(next.end.saturating_sub(payload.len())..next.end, to);
        Some(())
    }
}

impl Head {
    /// What `frame` asks of others. `None`: it stays alone.
    fn of(frame: &[u8]) -> Option<Self> {
        let layout = Layout::of(frame)?;
        let ip_header_len = if layout.is_v4() { 20 } else { 40 };
        let head = Self {
            layout,
            mss: frame.len().checked_sub(layout.payload_at)?,
        };
        let plain = layout.transport_at.checked_sub(layout.ip_at)? == ip_header_len;
        (plain && head.has_plain_flags(frame)).then_some(head)
    }

    /// Whether it is TCP in the middle of a stream, or UDP.
    fn has_plain_flags(&self, frame: &[u8]) -> bool {
        let reserved = frame.get(self.layout.tcp_flags_at().saturating_sub(1));
        let tcp_flags = self.tcp_flags(frame);
        self.layout.transport == Transport::Udp
            || (tcp_flags & ACK != 0
                && tcp_flags & !(ACK | PSH | FIN | ECE | CWR) == 0
                && reserved.is_some_and(|byte| byte.trailing_zeros() >= 4))
    }

    /// Zero for UDP.
    fn tcp_flags(&self, frame: &[u8]) -> u8 {
        match self.layout.transport {
            Transport::Tcp => frame.get(self.layout.tcp_flags_at()).copied().unwrap_or(0),
            Transport::Udp => 0,
        }
    }

    /// Whether nothing can come behind `frame`.
    fn ends_with(&self, frame: &[u8]) -> bool {
        self.tcp_flags(frame) & (FIN | PSH) != 0
            || frame.len().saturating_sub(self.layout.payload_at) < self.mss
    }

    /// Whether the headers of `frame` are what cutting makes of those of `first` for segment `index`, `offset` bytes
    /// of payload behind it; but for the checksum, and PSH and FIN, which only make it the last.
    fn has_headers(&self, first: &[u8], frame: &[u8], index: usize, offset: usize) -> Option<bool> {
        let mut expected = [0; MAX_HEADERS];
        let expected = expected.get_mut(..self.layout.payload_at)?;
        expected.copy_from_slice(first.get(..self.layout.payload_at)?);
        self.layout
            .renumber(expected, frame.len(), index as u16, offset as u32)?;
        let headers = frame.get(..self.layout.payload_at)?;
        if self.layout.transport == Transport::Tcp {
            let tcp_flags = expected.get_mut(self.layout.tcp_flags_at())?;
            if index > 0 {
                *tcp_flags &= !CWR;
            }
            *tcp_flags |= self.tcp_flags(frame) & (FIN | PSH);
        }
        let checksum_at = self.layout.checksum_at();
        *field::<2>(expected, checksum_at)? = *headers.get(checksum_at..)?.first_chunk()?;
        Some(expected == headers)
    }

    /// Whether the checksum of TCP or UDP is right, and written as it is usual: zero as zero in TCP, and as all ones
    /// in UDP, where zero stands for none. Or whether it is what is to be there while it is left to do.
    fn has_checksum(&self, frame: &[u8], checksum: Checksum) -> Option<bool> {
        let field = frame.get(self.layout.checksum_at()..)?.first_chunk::<2>()?;
        let pseudo_header = self.layout.pseudo_header(frame.len());
        if checksum == Checksum::Partial {
            return Some(*field == pseudo_header.partial().to_be_bytes());
        }
        let unusual = match self.layout.transport {
            Transport::Tcp => [0xff; 2],
            Transport::Udp => [0; 2],
        };
        let sum = pseudo_header.add(frame.get(self.layout.transport_at..)?);
        Some(*field != unusual && sum.finish() == 0)
    }

    /// Makes the headers of the first frame those of all.
    fn finish(&self, frame: &mut [u8], last_flags: u8) -> Option<VirtioNetHeader> {
        let len = frame.len();
        self.layout.renumber(frame, len, 0, 0)?;
        let kind = match self.layout.transport {
            Transport::Udp => gso::UDP_L4,
            Transport::Tcp if self.layout.is_v4() => gso::TCPV4,
            Transport::Tcp => gso::TCPV6,
        };
        let ecn = match self.tcp_flags(frame) & CWR {
            0 => 0,
            _ => gso::ECN,
        };
        if self.layout.transport == Transport::Tcp {
            *frame.get_mut(self.layout.tcp_flags_at())? |= last_flags;
        }
        *field(frame, self.layout.checksum_at())? = self.layout.pseudo_header(len).partial().to_be_bytes();
        Some(VirtioNetHeader {
            flags: flags::NEEDS_CSUM,
            gso_type: kind | ecn,
            hdr_len: self.layout.payload_at as u16,
            gso_size: self.mss as u16,
            csum_start: self.layout.transport_at as u16,
            csum_offset: self.layout.transport.checksum_at() as u16,
        })
    }
}

#[cfg(test)]
mod tests;
