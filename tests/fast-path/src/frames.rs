//! Frames as a TAP gives them: IPv4, with checksums left to do.

use knet_proto::{
    l2::ip_packet::{ETHERTYPE_IPV4, protocol},
    wire::virtio_net_header::{VirtioNetHeader, flags, gso},
};

/// Payload of a full TCP segment in bytes: an MTU of 1500 less the headers of IPv4 and of TCP with time stamps.
pub const MSS: usize = 1_448;
/// Segments of the longest super-frame: knetd has the TAP give no more than 60,000 bytes at once.
pub const SEGMENTS: usize = 41;

const TRANSPORT_AT: usize = 14 + 20;

/// A frame, and what the TAP says of it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What is left to be done.
    pub header: VirtioNetHeader,
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
    /// As how many frames it goes over the wire.
    pub segments: usize,
    /// What the checksum field has in it before the checksum is done.
    undone: [u8; 2],
}

impl Frame {
    /// Undoes the checksum, so that the frame can be sent again as it was the first time.
    pub fn undo_checksum(&mut self) {
        let at = usize::from(self.header.csum_start + self.header.csum_offset);
        self.bytes[at..at + 2].copy_from_slice(&self.undone);
    }

    fn new(from: u8, to: u8, kind: u8, transport: &[u8], payload: usize) -> Self {
        let len = (transport.len() + payload) as u16;
        let mut ip = [
            0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, kind, 0, 0, 10, 0, 0, from, 10, 0, 0, to,
        ];
        ip[2..4].copy_from_slice(&(20 + len).to_be_bytes());
        let checksum = !sum(&ip);
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        let mut pseudo_header = [10, 0, 0, from, 10, 0, 0, to, 0, kind, 0, 0];
        pseudo_header[10..].copy_from_slice(&len.to_be_bytes());
        let ethertype = ETHERTYPE_IPV4.to_be_bytes();
        let mut bytes = [&mac(to)[..], &mac(from), &ethertype, &ip, transport].concat();
        let header = VirtioNetHeader {
            flags: flags::NEEDS_CSUM,
            hdr_len: bytes.len() as u16,
            csum_start: TRANSPORT_AT as u16,
            csum_offset: if kind == protocol::TCP { 16 } else { 6 },
            ..VirtioNetHeader::default()
        };
        bytes.extend((0..payload).map(|n| n as u8));
        let mut frame = Self {
            header,
            bytes,
            segments: 1,
            undone: sum(&pseudo_header).to_be_bytes(),
        };
        frame.undo_checksum();
        frame
    }
}

/// The address of a host.
pub const fn mac(host: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, host]
}

/// As many full TCP segments in one piece as a TAP gives.
pub fn super_frame(from: u8, to: u8) -> Frame {
    let mut frame = tcp(from, to, SEGMENTS * MSS);
    frame.header.gso_type = gso::TCPV4;
    frame.header.gso_size = MSS as u16;
    frame.segments = SEGMENTS;
    frame
}

/// A TCP segment that fills an MTU of 1500: 1514 bytes.
pub fn full(from: u8, to: u8) -> Frame {
    tcp(from, to, MSS)
}

/// A TCP acknowledgement: 66 bytes.
pub fn acknowledgement(from: u8, to: u8) -> Frame {
    tcp(from, to, 0)
}

/// A UDP datagram in a frame of 64 bytes.
pub fn short(from: u8, to: u8) -> Frame {
    let payload = 64 - TRANSPORT_AT - 8;
    let udp = [40_000, 53, 8 + payload as u16, 0].map(u16::to_be_bytes);
    Frame::new(from, to, protocol::UDP, udp.as_flattened(), payload)
}

/// With time stamps, as most have them.
fn tcp(from: u8, to: u8, payload: usize) -> Frame {
    const ACK: u16 = 0x10;
    let words = [
        40_000,
        443,
        0,
        1,
        0,
        1,
        8 << 12 | ACK,
        512,
        0,
        0,
        0x0101,
        0x080a,
        0,
        1,
        0,
        1,
    ];
    let header = words.map(u16::to_be_bytes);
    Frame::new(from, to, protocol::TCP, header.as_flattened(), payload)
}

/// The sum of RFC 1071 of an even number of bytes, not complemented.
fn sum(bytes: &[u8]) -> u16 {
    let words = bytes
        .as_chunks()
        .0
        .iter()
        .map(|w| u32::from(u16::from_be_bytes(*w)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    (folded + (folded >> 16)) as u16
}
