//! Super-frames of all kinds, a second way to cut them, and what holds of cutting and joining together.

use std::{ops::Range, vec, vec::Vec};

use proptest::prelude::*;

use super::{Frame, checksum::Checksum, join::*, layout::Layout, segment::*};
use crate::{
    l2::ip_packet::{IpPacket, protocol::*, test_packets as build},
    wire::virtio_net_header::{VirtioNetHeader, flags, gso},
};

pub(super) const FIN: u8 = 0x01;
pub(super) const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;
pub(super) const ECE: u8 = 0x40;
pub(super) const CWR: u8 = 0x80;

/// A super-frame, and what it is cut into.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) v6: bool,
    pub(crate) udp: bool,
    pub(crate) tags: usize,
    /// IPv4 options or IPv6 extension headers, in units of 4 or 8 bytes.
    pub(crate) ip_extra: usize,
    /// In units of 4 bytes.
    pub(crate) tcp_options: usize,
    pub(crate) tcp_flags: u8,
    pub(crate) tos: u8,
    pub(crate) dont_fragment: bool,
    pub(crate) id: u16,
    pub(crate) sequence: u32,
    pub(crate) port: u16,
    pub(crate) payload: Vec<u8>,
    pub(crate) mss: usize,
}

impl Flow {
    /// 3,000 bytes in three segments.
    pub(crate) fn tcp4() -> Self {
        Self {
            v6: false,
            udp: false,
            tags: 0,
            ip_extra: 0,
            tcp_options: 3,
            tcp_flags: ACK,
            tos: 0,
            dont_fragment: true,
            id: 0xfffe,
            sequence: 0xffff_ff00,
            port: 443,
            payload: (0..3000_u32).map(|n| ((n * 7) >> 2) as u8).collect(),
            mss: 1400,
        }
    }

    pub(crate) fn udp6() -> Self {
        Self {
            v6: true,
            udp: true,
            tcp_options: 0,
            tcp_flags: 0,
            ..Self::tcp4()
        }
    }

    pub(super) fn transport_at(&self) -> usize {
        14 + 4 * self.tags
            + if self.v6 {
                40 + 8 * self.ip_extra
            } else {
                20 + 4 * self.ip_extra
            }
    }

    pub(crate) fn header_len(&self) -> usize {
        self.transport_at() + if self.udp { 8 } else { 20 + 4 * self.tcp_options }
    }

    /// Whether its segments can be joined.
    fn is_plain(&self) -> bool {
        self.ip_extra == 0
    }

    pub(crate) fn header(&self) -> VirtioNetHeader {
        let kind = match (self.udp, self.v6) {
            (true, _) => gso::UDP_L4,
            (false, false) => gso::TCPV4,
            (false, true) => gso::TCPV6,
        };
        let ecn = if self.tcp_flags & CWR != 0 { gso::ECN } else { 0 };
        VirtioNetHeader {
            flags: flags::NEEDS_CSUM,
            gso_type: kind | ecn,
            hdr_len: self.header_len() as u16,
            gso_size: self.mss as u16,
            csum_start: self.transport_at() as u16,
            csum_offset: if self.udp { 6 } else { 16 },
        }
    }

    pub(crate) fn super_frame(&self) -> Vec<u8> {
        self.frame(&self.payload, 0, 0, self.tcp_flags, true)
    }

    /// Cut anew from the description, not from the super-frame.
    pub(crate) fn segments(&self, mss: usize) -> Vec<Vec<u8>> {
        let count = self.payload.len().div_ceil(mss);
        let cut = |(index, payload): (usize, &[u8])| {
            let mut tcp_flags = self.tcp_flags;
            if index > 0 {
                tcp_flags &= !CWR;
            }
            if index + 1 < count {
                tcp_flags &= !(FIN | PSH);
            }
            self.frame(payload, index, index * mss, tcp_flags, false)
        };
        self.payload.chunks(mss).enumerate().map(cut).collect()
    }

    /// `partial`: with the checksum left to do.
    pub(super) fn frame(
        &self,
        payload: &[u8],
        index: usize,
        offset: usize,
        tcp_flags: u8,
        partial: bool,
    ) -> Vec<u8> {
        let (protocol, mut transport) = if self.udp {
            let len = 8 + payload.len() as u16;
            (UDP, [0x9c40, self.port, len, 0].map(u16::to_be_bytes).concat())
        } else {
            let options: Vec<u8> = (1..=4 * self.tcp_options as u8).collect();
            let mut header = build::tcp(tcp_flags, &options, &[]);
            header[2..4].copy_from_slice(&self.port.to_be_bytes());
            let sequence = self.sequence.wrapping_add(offset as u32);
            header[4..8].copy_from_slice(&sequence.to_be_bytes());
            (TCP, header)
        };
        transport.extend(payload);
        let checksum_at = if self.udp { 6 } else { 16 };
        let addresses = if self.v6 {
            build::ipv6(0, &[])
        } else {
            build::ipv4(0, &[])
        };
        let pseudo = build::pseudo_header(&addresses, protocol, transport.len());
        let sum = match build::checksum(&[&pseudo, &transport]) {
            _ if partial => !build::checksum(&[&pseudo]),
            0 if self.udp => 0xffff,
            sum => sum,
        };
        transport[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
        const TAGS: [[u16; 2]; 2] = [[0x88a8, 0x0064], [0x8100, 0x2005]];
        build::frame(&TAGS[..self.tags], &self.packet(protocol, &transport, index))
    }

    fn packet(&self, protocol: u8, transport: &[u8], index: usize) -> Vec<u8> {
        if self.v6 {
            let mut next = protocol;
            let mut rest = transport.to_vec();
            for n in 0..self.ip_extra {
                rest = [build::extension(next, 0), rest].concat();
                next = if n % 2 == 0 {
                    DESTINATION_OPTIONS
                } else {
                    HOP_BY_HOP
                };
            }
            let mut packet = build::ipv6(next, &rest);
            packet[1] = self.tos;
            packet
        } else {
            let options = vec![1; 4 * self.ip_extra];
            let fragment = u16::from(self.dont_fragment) << 14;
            let mut packet = build::ipv4_with(fragment, &options, protocol, transport);
            packet[1] = self.tos;
            packet[4..6].copy_from_slice(&self.id.wrapping_add(index as u16).to_be_bytes());
            packet[10..12].fill(0);
            let sum = build::checksum(&[&packet[..20 + options.len()]]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            packet
        }
    }
}

/// All segments of a super-frame.
pub(super) fn cut(header: &VirtioNetHeader, frame: &[u8], room: usize) -> Vec<Vec<u8>> {
    cut_as(Checksum::Complete, header, frame, room)
}

fn cut_as(checksum: Checksum, header: &VirtioNetHeader, frame: &[u8], room: usize) -> Vec<Vec<u8>> {
    let plan = Segments::plan(header, frame, room).expect("a super-frame");
    let emitted = |index| {
        let mut out = vec![0xee; 3];
        plan.emit(index, checksum, &mut out);
        assert_eq!(out.len(), 3 + plan.len(index));
        assert_eq!(out[..3], [0xee; 3]);
        out.split_off(3)
    };
    let segments: Vec<_> = (0..plan.count()).map(emitted).collect();
    let mut none = Vec::new();
    plan.emit(plan.count(), checksum, &mut none);
    assert_eq!((none.len(), plan.len(plan.count())), (0, 0));
    segments
}

/// What the TAP is given for `frames`, which lie in a buffer with `gap` bytes between them.
pub(super) fn join_all(frames: &[Vec<u8>], gap: usize) -> Vec<(VirtioNetHeader, Vec<u8>)> {
    join_all_as(Checksum::Complete, frames, gap)
}

fn join_all_as(checksum: Checksum, frames: &[Vec<u8>], gap: usize) -> Vec<(VirtioNetHeader, Vec<u8>)> {
    let mut buffer = Vec::new();
    let place = |frame: &Vec<u8>| {
        buffer.extend(vec![0xdd; gap]);
        let begin = buffer.len();
        buffer.extend(frame);
        begin..buffer.len()
    };
    let places: Vec<Range<usize>> = frames.iter().map(place).collect();
    buffer.extend(vec![0xdd; gap]);
    let mut written = Vec::new();
    let mut places = places.into_iter();
    let mut current = places.next();
    while let Some(first) = current.take() {
        let mut join = Join::begin(&buffer, first, checksum, Joins::ALL);
        for next in places.by_ref() {
            let before = buffer.clone();
            if !join.push(&mut buffer, next.clone()) {
                assert_eq!(buffer, before);
                assert!(!join.push(&mut buffer, next.clone()), "once at its end, always");
                current = Some(next);
                break;
            }
        }
        let (header, range) = join.finish(&mut buffer).expect("TCP or UDP");
        written.push((header, buffer[range].to_vec()));
    }
    written
}

/// What a station behind the TAP sees of it.
pub(super) fn seen(written: &[(VirtioNetHeader, Vec<u8>)]) -> Vec<Vec<u8>> {
    let frames = written.iter().flat_map(|(header, frame)| {
        if header.gso_type == gso::NONE {
            let header = *header;
            vec![Frame::new(header, frame).complete().into_owned()]
        } else {
            cut(header, frame, usize::MAX)
        }
    });
    frames.collect()
}

/// By a plain second sum.
pub(super) fn assert_checksums(frame: &[u8]) {
    let packet = IpPacket::in_frame(frame).expect("an IP packet");
    assert_eq!(packet.header_at + packet.bytes.len(), frame.len());
    if packet.bytes[0] >> 4 == 4 {
        let header_len = usize::from(packet.bytes[0] & 15) * 4;
        assert_eq!(build::checksum(&[&packet.bytes[..header_len]]), 0);
    }
    let payload = packet.payload();
    let pseudo = build::pseudo_header(packet.bytes, packet.protocol, payload.len());
    assert_eq!(build::checksum(&[&pseudo, payload]), 0);
    if packet.protocol == UDP {
        assert_ne!(payload[6..8], [0; 2], "no checksum");
    }
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![6 => 1_usize..300, 3 => 1_usize..6_000, 1 => 1_usize..65_000];
    (
        len,
        any::<u32>(),
        prop_oneof![8 => Just(None), 1 => Just(Some(0)), 1 => Just(Some(0xff))],
    )
        .prop_map(|(len, seed, all)| {
            let byte = |n: u32| all.unwrap_or((n ^ seed).wrapping_mul(2_654_435_761).to_be_bytes()[0]);
            (0..len as u32).map(byte).collect()
        })
}

pub(super) fn flow() -> impl Strategy<Value = Flow> {
    let ip = (
        any::<bool>(),
        any::<bool>(),
        0_usize..=2,
        prop_oneof![5 => Just(0), 1 => 0_usize..=4],
        prop_oneof![Just(0_u8), any::<u8>()],
        any::<bool>(),
        prop_oneof![Just(0xffff), any::<u16>()],
    );
    let tcp = (
        prop_oneof![Just(0), Just(3), 0_usize..=10],
        prop_oneof![Just(0_u8), any::<u8>()],
        prop_oneof![any::<u32>(), 0xffff_0000..=0xffff_ffff_u32],
        0_u16..3,
    );
    let mss = prop_oneof![4 => 1_usize..400, 4 => 1_usize..1_500, 1 => 1_usize..=65_535];
    (ip, tcp, payload(), mss, 1_usize..=80).prop_map(|(ip, tcp, payload, mss, most)| {
        let (v6, udp, tags, ip_extra, tos, dont_fragment, id) = ip;
        let (tcp_options, tcp_flags, sequence, port) = tcp;
        Flow {
            v6,
            udp,
            tags,
            ip_extra,
            tcp_options: if udp { 0 } else { tcp_options },
            tcp_flags: if udp {
                0
            } else {
                ACK | (tcp_flags & (FIN | PSH | ECE | CWR))
            },
            tos,
            dont_fragment,
            id,
            sequence,
            port,
            mss: mss.max(payload.len().div_ceil(most)),
            payload,
        }
    })
}

fn room() -> impl Strategy<Value = usize> {
    prop_oneof![Just(usize::MAX), 0_usize..2_000, 0_usize..66_000]
}

/// What a network, and other stations, make of frames.
#[derive(Clone, Debug)]
enum Mischief {
    Flip(prop::sample::Index, u8),
    Header(u8, u8),
    Pad(usize),
    Cut(prop::sample::Index),
    Lose,
    Twice,
    Later,
    UnusualZero,
}

fn mischief() -> impl Strategy<Value = Mischief> {
    prop_oneof![
        (any::<prop::sample::Index>(), 0_u8..8).prop_map(|(at, bit)| Mischief::Flip(at, bit)),
        (0_u8..100, 0_u8..8).prop_map(|(at, bit)| Mischief::Header(at, bit)),
        (1_usize..20).prop_map(Mischief::Pad),
        any::<prop::sample::Index>().prop_map(Mischief::Cut),
        Just(Mischief::Lose),
        Just(Mischief::Twice),
        Just(Mischief::Later),
        Just(Mischief::UnusualZero),
    ]
}

fn suffer(frames: &mut Vec<Vec<u8>>, at: usize, mischief: &Mischief) {
    let mut frame = frames[at].clone();
    match mischief {
        Mischief::Flip(byte, bit) => *byte.get_mut(&mut frame) ^= 1 << bit,
        Mischief::Header(byte, bit) => {
            // With the checksums made right again, so that the flag or field itself is what counts.
            let byte = usize::from(*byte).min(frame.len() - 1);
            frame[byte] ^= 1 << bit;
            repair(&mut frame);
        }
        Mischief::Pad(len) => frame.extend(vec![0; *len]),
        Mischief::Cut(len) => frame.truncate(len.index(frame.len()).max(1)),
        Mischief::UnusualZero => make_zero(&mut frame),
        Mischief::Twice => frames.insert(at, frame.clone()),
        Mischief::Lose if frames.len() > 1 => {
            frames.remove(at);
            return;
        }
        Mischief::Lose => return,
        Mischief::Later => {
            let next = (at + 1) % frames.len();
            frames.swap(at, next);
            return;
        }
    }
    frames[at] = frame;
}

/// Writes the checksums anew, if it is a packet still.
pub(super) fn repair(frame: &mut [u8]) {
    let Some(packet) = IpPacket::in_frame(frame) else {
        return;
    };
    let (ip_at, payload_at) = (packet.header_at, packet.header_at + packet.payload_at);
    let end = packet.header_at + packet.bytes.len();
    let (is_v4, protocol) = (packet.bytes[0] >> 4 == 4, packet.protocol);
    let pseudo = build::pseudo_header(packet.bytes, protocol, packet.payload().len());
    if is_v4 {
        let header_len = usize::from(frame[ip_at] & 15) * 4;
        frame[ip_at + 10..ip_at + 12].fill(0);
        let sum = build::checksum(&[&frame[ip_at..ip_at + header_len]]);
        frame[ip_at + 10..ip_at + 12].copy_from_slice(&sum.to_be_bytes());
    }
    let at = payload_at + if protocol == UDP { 6 } else { 16 };
    if at + 2 <= end {
        frame[at..at + 2].fill(0);
        let sum = build::checksum(&[&pseudo, &frame[payload_at..end]]);
        frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Changes the source port so that the checksum is zero, and writes it the other way than we would.
fn make_zero(frame: &mut [u8]) {
    repair(frame);
    let Some(packet) = IpPacket::in_frame(frame).filter(|p| p.payload().len() >= 20) else {
        return;
    };
    let at = packet.header_at + packet.payload_at;
    let (checksum_at, unusual) = if packet.protocol == UDP {
        (at + 6, 0)
    } else {
        (at + 16, 0xff)
    };
    let word = |frame: &[u8], at: usize| u32::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
    let port = (word(frame, at) + word(frame, checksum_at)) % 0xffff;
    frame[at..at + 2].copy_from_slice(&(port as u16).to_be_bytes());
    frame[checksum_at..checksum_at + 2].fill(unusual);
}

/// The same frame, if its checksum is zero, with all ones there: so it is written where TCP and UDP are not told apart.
fn otherwise_zero(frame: &[u8]) -> Vec<u8> {
    let layout = Layout::of(frame).expect("TCP or UDP");
    let mut frame = frame.to_vec();
    let checksum = &mut frame[layout.checksum_at()..][..2];
    if *checksum == [0; 2] {
        checksum.fill(0xff);
    }
    frame
}

#[test]
fn the_headers_are_inside_the_frame() {
    let mut frame = build::frame(&[], &build::ipv4(TCP, &build::tcp(ACK, &[1; 8], b"abc")));
    for (words, payload_at) in [(5, Some(54)), (7, Some(62)), (4, None), (8, None), (15, None)] {
        frame[34 + 12] = words << 4;
        assert_eq!(
            Layout::of(&frame).map(|l| l.payload_at),
            payload_at,
            "{words} words"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// Against the second way to cut, which makes each frame from its description.
    #[test]
    fn cut_as_described_and_joined_to_what_it_was(flow in flow(), room in room(), gap in 0_usize..40) {
        let (header, frame) = (flow.header(), flow.super_frame());
        let fitting = room.saturating_sub(flow.header_len());
        let mss = if flow.udp || fitting < 216 { flow.mss } else { flow.mss.min(fitting) };
        let segments = cut(&header, &frame, room);
        prop_assert_eq!(&segments, &flow.segments(mss));
        for segment in &segments {
            assert_checksums(segment);
        }

        let left_to_do = cut_as(Checksum::Partial, &header, &frame, room);
        let of_partial = join_all_as(Checksum::Partial, &left_to_do, gap);
        for (segment, seen) in segments.iter().zip(seen(&of_partial)) {
            prop_assert!(seen == *segment || seen == otherwise_zero(segment));
        }

        let written = join_all(&segments, gap);
        prop_assert_eq!(written.len(), of_partial.len());
        prop_assert_eq!(&seen(&written), &segments);
        match segments.len() {
            _ if !flow.is_plain() => prop_assert_eq!(written.len(), segments.len()),
            0..=1 => prop_assert_eq!(written, vec![(VirtioNetHeader::default(), segments[0].clone())]),
            2..=MAX_SEGMENTS => {
                let header = VirtioNetHeader { gso_size: mss as u16, ..header };
                prop_assert_eq!(written, vec![(header, frame)]);
            }
            _ => prop_assert_eq!(written.len(), segments.len().div_ceil(MAX_SEGMENTS)),
        }
    }

    #[test]
    fn joining_changes_nothing_of_what_is_seen(
        flows in prop::collection::vec(flow(), 1..4), interleaved in any::<bool>(), gap in 0_usize..40,
        mischiefs in prop::collection::vec((any::<prop::sample::Index>(), mischief()), 0..6),
        noise in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut frames: Vec<Vec<u8>> = Vec::new();
        for flow in &flows {
            for (n, segment) in flow.segments(flow.mss).into_iter().enumerate() {
                let at = if interleaved { (2 * n + 1).min(frames.len()) } else { frames.len() };
                frames.insert(at, segment);
            }
        }
        for (at, mischief) in &mischiefs {
            let at = at.index(frames.len());
            suffer(&mut frames, at, mischief);
        }
        frames.push(noise);
        let written = join_all(&frames, gap);
        prop_assert_eq!(seen(&written), frames);
    }

    #[test]
    fn any_bytes_are_cut_without_panic(
        header in any::<[u8; 10]>(), frame in prop::collection::vec(any::<u8>(), 0..300), room in room(),
    ) {
        if let Ok(plan) = Segments::plan(&VirtioNetHeader::parse(&header), &frame, room) {
            prop_assert!(plan.count() > 0);
        }
    }
}
