use std::{vec, vec::Vec};

use super::{
    super::tests::{CWR, FIN, Flow, PSH, assert_checksums, cut},
    *,
};
use crate::l2::ip_packet::test_packets as build;

fn refused(header: VirtioNetHeader, frame: &[u8]) -> Option<SegmentError> {
    Segments::plan(&header, frame, usize::MAX).err()
}

#[test]
fn lengths_are_told_before() {
    let flow = Flow::tcp4();
    let frame = flow.super_frame();
    let plan = Segments::plan(&flow.header(), &frame, usize::MAX).unwrap();
    assert_eq!((plan.count(), plan.header_len()), (3, 66));
    let lens: Vec<_> = (0..5).map(|i| plan.len(i)).collect();
    assert_eq!(lens, [1466, 1466, 266, 0, 0]);
}

#[test]
fn tcp_is_cut_to_the_room_and_udp_is_not() {
    let longest = |flow: &Flow, room: usize| {
        let segments = cut(&flow.header(), &flow.super_frame(), room);
        segments
            .iter()
            .map(|s| s.len() - flow.header_len())
            .max()
            .unwrap()
    };
    let tcp = Flow::tcp4();
    for (room, payload) in [
        (usize::MAX, 1400),
        (1466, 1400),
        (1465, 1399),
        (66 + 216, 216),
        (66 + 215, 1400),
        (66, 1400),
        (0, 1400),
    ] {
        assert_eq!(longest(&tcp, room), payload, "room {room}");
        assert_eq!(longest(&Flow::udp6(), room), 1400, "room {room}");
    }
    let small = Flow { mss: 100, ..tcp };
    assert_eq!(longest(&small, 66 + 150), 100);
    assert_eq!(longest(&small, 66 + 50), 100);
}

#[test]
fn flags_where_they_belong() {
    let flow = Flow {
        tcp_flags: 0x10 | FIN | PSH | CWR,
        ..Flow::tcp4()
    };
    let flags = |s: &Vec<u8>| s[flow.transport_at() + 13];
    let segments = cut(&flow.header(), &flow.super_frame(), usize::MAX);
    let seen: Vec<u8> = segments.iter().map(flags).collect();
    assert_eq!(seen, [0x10 | CWR, 0x10, 0x10 | FIN | PSH]);
}

#[test]
fn a_checksum_of_zero_is_all_ones_in_udp() {
    let mut flow = Flow {
        payload: vec![7; 1402],
        ..Flow::udp6()
    };
    let at = flow.transport_at() + 6;
    let checksum = |flow: &Flow| {
        let segments = cut(&flow.header(), &flow.super_frame(), usize::MAX);
        for segment in &segments {
            assert_checksums(segment);
        }
        u16::from_be_bytes([segments[1][at], segments[1][at + 1]])
    };
    flow.payload[1400..].fill(0);
    let missing = checksum(&flow);
    flow.payload[1400..].copy_from_slice(&missing.to_be_bytes());
    assert_eq!(checksum(&flow), 0xffff);
}

#[test]
fn the_longest_packets_there_are() {
    for v6 in [false, true] {
        let flow = Flow {
            v6,
            payload: vec![0x5a; 65_535 - 32 - if v6 { 0 } else { 20 }],
            ..Flow::tcp4()
        };
        let room = 1400 + flow.header_len();
        for room in [room, room - 1] {
            let segments = cut(&flow.header(), &flow.super_frame(), room);
            assert!(segments == flow.segments(room - flow.header_len()));
        }
        let bytes = Flow { mss: 1, ..flow };
        assert_eq!(
            cut(&bytes.header(), &bytes.super_frame(), 1500).len(),
            bytes.payload.len()
        );
    }
}

#[test]
fn where_the_checksum_is_known_to_be_right_the_addresses_are_summed() {
    let flow = Flow::tcp4();
    let header = VirtioNetHeader {
        flags: flags::DATA_VALID,
        csum_start: 0,
        csum_offset: 0,
        ..flow.header()
    };
    let mut frame = flow.super_frame();
    frame[flow.transport_at() + 16..][..2].fill(0xab);
    assert_eq!(cut(&header, &frame, usize::MAX), flow.segments(1400));
    let neither = VirtioNetHeader { flags: 0, ..header };
    assert_eq!(refused(neither, &frame), Some(SegmentError::Checksum));
}

/// The pseudo-header has the last destination, which stands in the routing header.
#[test]
fn the_senders_pseudo_header_counts() {
    let flow = Flow {
        v6: true,
        ip_extra: 1,
        ..Flow::tcp4()
    };
    let mut frame = flow.super_frame();
    let at = flow.transport_at();
    let sum = u16::from_be_bytes([frame[at + 16], frame[at + 17]]);
    frame[at + 16..at + 18].copy_from_slice(&(sum + 5).to_be_bytes());
    for (segment, plain) in cut(&flow.header(), &frame, usize::MAX)
        .iter()
        .zip(flow.segments(1400))
    {
        let sum = |s: &[u8]| u32::from(u16::from_be_bytes([s[at + 16], s[at + 17]]));
        assert_eq!((sum(segment) + 5) % 0xffff, sum(&plain) % 0xffff);
    }
}

#[test]
fn contradictions_are_refused() {
    let (flow, udp) = (Flow::tcp4(), Flow::udp6());
    let (header, frame) = (flow.header(), flow.super_frame());
    let with = |change: fn(&mut VirtioNetHeader)| {
        let mut header = header;
        change(&mut header);
        refused(header, &frame)
    };
    assert_eq!(with(|_| ()), None);
    assert_eq!(with(|h| h.hdr_len = 0xffff), None, "a hint only");
    for gso_type in [0, 0x80, 3, 0x85, 2, 6, 0x41, 0xff] {
        let header = VirtioNetHeader { gso_type, ..header };
        assert_eq!(refused(header, &frame), Some(SegmentError::GsoType(gso_type)));
    }
    assert_eq!(with(|h| h.gso_type = gso::TCPV6), Some(SegmentError::Frame));
    assert_eq!(with(|h| h.gso_type = gso::UDP_L4), Some(SegmentError::Frame));
    assert_eq!(with(|h| h.gso_size = 0), Some(SegmentError::GsoSize));
    assert_eq!(with(|h| h.csum_start += 2), Some(SegmentError::Checksum));
    assert_eq!(with(|h| h.csum_offset = 6), Some(SegmentError::Checksum));
    assert_eq!(with(|h| h.flags = 0), Some(SegmentError::Checksum));
    assert_eq!(
        refused(flow.header(), &udp.super_frame()),
        Some(SegmentError::Frame)
    );

    let padded = [&frame[..], &[0]].concat();
    assert_eq!(refused(header, &padded), Some(SegmentError::Frame));
    for len in 0..frame.len() {
        assert_eq!(refused(header, &frame[..len]), Some(SegmentError::Frame));
    }
    let changed = |flow: &Flow, at: usize, byte: u8| {
        let mut frame = flow.super_frame();
        frame[at] = byte;
        refused(flow.header(), &frame)
    };
    assert_eq!(
        changed(&flow, 14 + 6, 0x20),
        Some(SegmentError::Frame),
        "a fragment"
    );
    assert_eq!(
        changed(&flow, 34 + 12, 0x40),
        Some(SegmentError::Frame),
        "16 bytes of TCP"
    );
    assert_eq!(changed(&udp, 54 + 4, 0), Some(SegmentError::Frame), "UDP length");
    for flag in [SYN, RST, URG] {
        assert_eq!(changed(&flow, 34 + 13, 0x10 | flag), Some(SegmentError::TcpFlags));
    }
    let empty = build::frame(&[], &build::ipv4(6, &build::tcp(0x10, &[0; 12], &[])));
    assert_eq!(refused(header, &empty), Some(SegmentError::Frame));
    assert_eq!(DropReason::from(SegmentError::Frame), DropReason::TapOffload);
}
