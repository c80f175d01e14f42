//! Where the headers of a TCP segment or a UDP datagram lie in its frame, and the numbers in them that differ from one
//! segment of a super-frame to the next.
//!
//! [`segment`](super::segment) writes these numbers, [`join`](super::join) compares a frame with what would be
//! written: one function for both, so that they cannot disagree.
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

use crate::{
    internet_checksum::InternetChecksum,
    l2::ip_packet::{Addresses, IpPacket, Part, protocol},
};

/// Flags of TCP: the second byte of the 16 bits that begin with the data offset.
pub(super) mod tcp_flag {
    pub(in crate::offload) const FIN: u8 = 0x01;
    pub(in crate::offload) const SYN: u8 = 0x02;
    pub(in crate::offload) const RST: u8 = 0x04;
    pub(in crate::offload) const PSH: u8 = 0x08;
    pub(in crate::offload) const ACK: u8 = 0x10;
    pub(in crate::offload) const URG: u8 = 0x20;
    pub(in crate::offload) const ECE: u8 = 0x40;
    pub(in crate::offload) const CWR: u8 = 0x80;
}

const TCP_HEADER_LEN: usize = 20;
const UDP_HEADER_LEN: usize = 8;

/// What carries the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    /// Where the checksum is in the header.
    pub(super) const fn checksum_at(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }

    pub(super) const fn protocol(self) -> u8 {
        match self {
            Self::Tcp => protocol::TCP,
            Self::Udp => protocol::UDP,
        }
    }
}

/// The places of the headers in a frame, in bytes from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) addresses: Addresses,
    pub(super) ip_at: usize,
    pub(super) transport: Transport,
    pub(super) transport_at: usize,
    pub(super) payload_at: usize,
}

impl Layout {
    /// The layout of `frame`, if it is a whole IP packet with TCP or UDP in it and nothing behind it.
    pub(super) fn of(frame: &[u8]) -> Option<Self> {
        let packet = IpPacket::in_frame(frame)?;
        let fills_frame = packet.header_at.saturating_add(packet.bytes.len()) == frame.len();
        if !fills_frame || packet.part != Part::Whole {
            return None;
        }
        let payload = packet.payload();
        let (transport, header_len) = match packet.protocol {
            protocol::TCP => {
                let [.., offset, _, _, _, _, _, _, _] = payload.first_chunk::<TCP_HEADER_LEN>()?;
                (Transport::Tcp, usize::from(offset >> 4) << 2)
            }
            protocol::UDP => {
                let [_, _, _, _, l0, l1, _, _] = payload.first_chunk::<UDP_HEADER_LEN>()?;
                if usize::from(u16::from_be_bytes([*l0, *l1])) != payload.len() {
                    return None;
                }
                (Transport::Udp, UDP_HEADER_LEN)
            }
            _ => return None,
        };
        if header_len > payload.len() || (transport == Transport::Tcp && header_len < TCP_HEADER_LEN) {
            return None;
        }
        let transport_at = packet.header_at.saturating_add(packet.payload_at);
        Some(Self {
            addresses: packet.addresses,
            ip_at: packet.header_at,
            transport,
            transport_at,
            payload_at: transport_at.saturating_add(header_len),
        })
    }

    pub(super) const fn is_v4(&self) -> bool {
        matches!(self.addresses, Addresses::V4 { .. })
    }

    /// Where the checksum of TCP or UDP is.
    pub(super) const fn checksum_at(&self) -> usize {
        self.transport_at.saturating_add(self.transport.checksum_at())
    }

    /// Where the flags of TCP are; elsewhere in UDP.
    pub(super) const fn tcp_flags_at(&self) -> usize {
        self.transport_at.saturating_add(13)
    }

    /// Makes the headers at the front of `frame` those of a frame of `len` bytes that is the `index`th of a
    /// super-frame and comes `offset` bytes of payload after the first, which they are now. Flags of TCP, and the
    /// checksum of TCP or UDP, stay.
    pub(super) fn renumber(&self, frame: &mut [u8], len: usize, index: u16, offset: u32) -> Option<()> {
        let from = |at: usize| len.saturating_sub(at) as u16;
        let ip = frame.get_mut(self.ip_at..)?;
        match self.addresses {
            Addresses::V4 { .. } => {
                *field(ip, 2)? = from(self.ip_at).to_be_bytes();
                let id = field(ip, 4)?;
                *id = u16::from_be_bytes(*id).wrapping_add(index).to_be_bytes();
                *field(ip, 10)? = [0; 2];
                let header = ip.get(..self.transport_at.checked_sub(self.ip_at)?)?;
                let checksum = InternetChecksum::default().add(header).finish();
                *field(ip, 10)? = checksum.to_be_bytes();
            }
            Addresses::V6 { .. } => {
                *field(ip, 4)? = from(self.ip_at.saturating_add(40)).to_be_bytes();
            }
        }
        let transport = frame.get_mut(self.transport_at..)?;
        match self.transport {
            Transport::Tcp => {
                let sequence = field(transport, 4)?;
                *sequence = u32::from_be_bytes(*sequence).wrapping_add(offset).to_be_bytes();
            }
            Transport::Udp => *field(transport, 4)? = from(self.transport_at).to_be_bytes(),
        }
        Some(())
    }

    /// The sum of the pseudo-header of a frame of `len` bytes.
    pub(super) fn pseudo_header(&self, len: usize) -> InternetChecksum {
        let len = len.saturating_sub(self.transport_at) as u16;
        InternetChecksum::default().add_pseudo_header(self.addresses, self.transport.protocol(), len)
    }
}

/// The `N` bytes at `at`.
pub(super) fn field<const N: usize>(bytes: &mut [u8], at: usize) -> Option<&mut [u8; N]> {
    bytes.get_mut(at..)?.first_chunk_mut()
}
