//! Frames with IP packets in them, built header by header, for the tests.

use alloc::vec::Vec;

use super::{ETHERTYPE_IPV4, ETHERTYPE_IPV6};

pub(crate) const DST_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x0b];
pub(crate) const SRC_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x0a];
pub(crate) const SRC4: [u8; 4] = [10, 0, 0, 1];
pub(crate) const DST4: [u8; 4] = [10, 0, 0, 2];
pub(crate) const SRC6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub(crate) const DST6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

/// The checksum of RFC 1071, plainly: for comparison with the one under test.
pub(crate) fn checksum(pieces: &[&[u8]]) -> u16 {
    let mut bytes = pieces.concat();
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    let mut sum = 0_u32;
    for word in bytes.chunks(2) {
        sum += u32::from(word[0]) << 8 | u32::from(word[1]);
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    !(sum as u16)
}

/// An Ethernet frame with the given VLAN tags (TPID and TCI).
pub(crate) fn ethernet(tags: &[[u16; 2]], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [DST_MAC, SRC_MAC].concat();
    for number in tags.as_flattened() {
        frame.extend(number.to_be_bytes());
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The frame of an IP packet of either version.
pub(crate) fn frame(tags: &[[u16; 2]], packet: &[u8]) -> Vec<u8> {
    let ethertype = if packet[0] >> 4 == 4 {
        ETHERTYPE_IPV4
    } else {
        ETHERTYPE_IPV6
    };
    ethernet(tags, ethertype, packet)
}

/// `flags_offset`: the 16 bits of flags and fragment offset; 0x4000 is "don't fragment".
pub(crate) fn ipv4_with(flags_offset: u16, options: &[u8], protocol: u8, payload: &[u8]) -> Vec<u8> {
    assert_eq!(options.len() % 4, 0);
    let header_len = 20 + options.len();
    let mut packet = alloc::vec![0x40 | (header_len / 4) as u8, 0];
    packet.extend(((header_len + payload.len()) as u16).to_be_bytes());
    packet.extend([0x12, 0x34]);
    packet.extend(flags_offset.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(SRC4);
    packet.extend(DST4);
    packet.extend(options);
    let sum = checksum(&[&packet]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

pub(crate) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with(0x4000, &[], protocol, payload)
}

pub(crate) fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = alloc::vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next_header, 64]);
    packet.extend(SRC6);
    packet.extend(DST6);
    packet.extend(payload);
    packet
}

/// Hop-by-hop options, a routing header or destination options of `8 * (1 + more)` bytes.
pub(crate) fn extension(next_header: u8, more: u8) -> Vec<u8> {
    let mut header = alloc::vec![0; 8 * (1 + usize::from(more))];
    header[..2].copy_from_slice(&[next_header, more]);
    header
}

/// A fragment header; `offset` in units of 8 bytes.
pub(crate) fn fragment(next_header: u8, offset: u16, more: bool) -> [u8; 8] {
    let [o0, o1] = (offset << 3 | u16::from(more)).to_be_bytes();
    [next_header, 0, o0, o1, 0xca, 0xfe, 0xba, 0xbe]
}

/// Ports, and the rest of a UDP header.
pub(crate) fn udp(src: u16, dst: u16) -> Vec<u8> {
    let [s, d] = [src, dst].map(u16::to_be_bytes);
    [s, d, [0, 12], [0, 0], [1, 2], [3, 4]].concat()
}

/// A TCP header, its checksum not yet filled in.
pub(crate) fn tcp(flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    assert_eq!(options.len() % 4, 0);
    let mut segment = alloc::vec![0x9c, 0x40, 0x01, 0xbb, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0];
    segment.extend([(5 + options.len() / 4) as u8 * 16, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
    segment.extend(options);
    segment.extend(payload);
    segment
}

/// What TCP, UDP and `ICMPv6` sum besides themselves, for the addresses in a packet and its last `len` bytes.
pub(crate) fn pseudo_header(packet: &[u8], protocol: u8, len: usize) -> Vec<u8> {
    let addresses = match packet[0] >> 4 {
        4 => &packet[12..20],
        _ => &packet[8..40],
    };
    [addresses, &(len as u32).to_be_bytes(), &[0, 0, 0, protocol]].concat()
}
