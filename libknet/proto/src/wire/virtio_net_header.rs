//! What stands before each frame that a TAP with `IFF_VNET_HDR` gives and takes: which work on it was left to an
//! offload. `struct virtio_net_hdr` (virtio 1.2, 5.1.6), little-endian because the TAP is set to `TUNSETVNETLE`.
//!
//! ```text
//! 0   1   flags
//! 1   1   gso_type
//! 2   2   hdr_len
//! 4   2   gso_size
//! 6   2   csum_start
//! 8   2   csum_offset
//! ```
//!
//! It goes no further than the TAP: a datagram never holds one.

/// Bytes of the header.
pub const VIRTIO_NET_HEADER_LEN: usize = 10;

/// Bits of [`VirtioNetHeader::flags`].
pub mod flags {
    /// The checksum is left to do, from [`csum_start`](super::VirtioNetHeader::csum_start) to the end of the frame.
    pub const NEEDS_CSUM: u8 = 1;
    /// The checksum has been found right.
    pub const DATA_VALID: u8 = 2;
}

/// Values of [`VirtioNetHeader::gso_type`].
pub mod gso {
    /// A plain frame.
    pub const NONE: u8 = 0;
    /// TCP over IPv4.
    pub const TCPV4: u8 = 1;
    /// UDP, to be cut into IP fragments (UFO, of old kernels).
    pub const UDP: u8 = 3;
    /// TCP over IPv6.
    pub const TCPV6: u8 = 4;
    /// UDP, to be cut into datagrams (USO, Linux 6.2).
    pub const UDP_L4: u8 = 5;
    /// A bit besides the kinds of TCP: the first segment alone has the flag CWR (RFC 3168).
    pub const ECN: u8 = 0x80;
}

/// The header, as it is: nothing in it has been compared with the frame. All zero: a plain, finished frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtioNetHeader {
    /// Bits of [`flags`].
    pub flags: u8,
    /// One of [`gso`].
    pub gso_type: u8,
    /// Length of all headers together in bytes, from Ethernet to TCP or UDP; a hint that may be wrong.
    pub hdr_len: u16,
    /// Payload of each segment but the last, in bytes.
    pub gso_size: u16,
    /// Where in the frame the checksum begins to sum: the header of TCP or UDP.
    pub csum_start: u16,
    /// Where the checksum is to be put, in bytes from `csum_start`. The sum of the pseudo-header is there already.
    pub csum_offset: u16,
}

impl VirtioNetHeader {
    /// Reads a header. Any bytes are one.
    pub const fn parse(bytes: &[u8; VIRTIO_NET_HEADER_LEN]) -> Self {
        let [flags, gso_type, h0, h1, g0, g1, s0, s1, o0, o1] = *bytes;
        Self {
            flags,
            gso_type,
            hdr_len: u16::from_le_bytes([h0, h1]),
            gso_size: u16::from_le_bytes([g0, g1]),
            csum_start: u16::from_le_bytes([s0, s1]),
            csum_offset: u16::from_le_bytes([o0, o1]),
        }
    }

    /// The header's bytes.
    pub const fn emit(&self) -> [u8; VIRTIO_NET_HEADER_LEN] {
        let [h0, h1] = self.hdr_len.to_le_bytes();
        let [g0, g1] = self.gso_size.to_le_bytes();
        let [s0, s1] = self.csum_start.to_le_bytes();
        let [o0, o1] = self.csum_offset.to_le_bytes();
        [self.flags, self.gso_type, h0, h1, g0, g1, s0, s1, o0, o1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_in_its_place() {
        let bytes = [1, 0x81, 0x36, 0x01, 0xa8, 0x05, 0x22, 0x02, 0x10, 0x03];
        let header = VirtioNetHeader {
            flags: flags::NEEDS_CSUM,
            gso_type: gso::TCPV4 | gso::ECN,
            hdr_len: 0x0136,
            gso_size: 1448,
            csum_start: 0x0222,
            csum_offset: 0x0310,
        };
        assert_eq!(VirtioNetHeader::parse(&bytes), header);
        assert_eq!(header.emit(), bytes);
        assert_eq!(VirtioNetHeader::default().emit(), [0; VIRTIO_NET_HEADER_LEN]);
    }
}
