//! A super-frame from the TAP: cut, finished in software, and its segments joined again.

use std::ops::Range;

use knet_proto::{
    l2::ip_packet::{IpPacket, protocol},
    offload::{
        Frame,
        checksum::{self, Checksum},
        join::{Join, Joins, MAX_SEGMENTS},
        segment::{MIN_RECUT, Segments},
    },
    wire::virtio_net_header::{VIRTIO_NET_HEADER_LEN, VirtioNetHeader, gso},
};

use super::Input;

/// Any frame, behind an offload header and two bytes of room.
pub fn super_frame(bytes: &[u8]) {
    run(bytes);
}

/// What became of a frame.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    segments: usize,
    /// Frames for the TAP after joining.
    written: usize,
}

fn run(bytes: &[u8]) -> Option<Outcome> {
    let mut input = Input(bytes);
    let header = VirtioNetHeader::parse(input.take(VIRTIO_NET_HEADER_LEN).first_chunk()?);
    let room = input.number(2) as usize;
    let frame = input.0;
    check_completed(header, frame);
    check_joined(Checksum::Complete, &[frame.to_vec(), frame.to_vec()]);
    check_joined(Checksum::Partial, &[frame.to_vec(), frame.to_vec()]);

    let plan = Segments::plan(&header, frame, room).ok()?;
    let segments = check_segments(&plan, header, frame, room);
    let (written, seen) = check_joined(Checksum::Complete, &segments);
    assert_eq!(seen, segments);
    check_left_to_do(&plan, &segments);
    let mut damaged = segments.clone();
    let chosen = room % segments.len();
    damaged[chosen][room % frame.len().min(60)] ^= 0x10;
    assert_eq!(check_joined(Checksum::Complete, &damaged).1, damaged);
    Some(Outcome {
        segments: segments.len(),
        written,
    })
}

/// Nothing but two bytes changes, and they make the sum all ones.
fn check_completed(header: VirtioNetHeader, frame: &[u8]) {
    let mut after = frame.to_vec();
    let (start, at) = (
        usize::from(header.csum_start),
        usize::from(header.csum_start) + usize::from(header.csum_offset),
    );
    if checksum::complete(&mut after, header.csum_start, header.csum_offset).is_none() {
        assert_eq!(after, frame);
        return;
    }
    let sum = |bytes: &[u8]| {
        let mut words = bytes
            .chunks(2)
            .map(|w| u64::from(w[0]) << 8 | u64::from(w.get(1).copied().unwrap_or(0)));
        words
            .try_fold(0, |sum: u64, w| sum.checked_add(w))
            .expect("short")
            % 0xffff
    };
    let left = sum(&frame[start..]);
    assert_eq!(
        (u64::from(u16::from_be_bytes([after[at], after[at + 1]])) + left) % 0xffff,
        0
    );
    assert_ne!(after[at..at + 2], [0; 2]);
    after[at..at + 2].copy_from_slice(&frame[at..at + 2]);
    assert_eq!(after, frame);
}

/// The segments have the lengths that were told, and all of the payload.
fn check_segments(plan: &Segments, header: VirtioNetHeader, frame: &[u8], room: usize) -> Vec<Vec<u8>> {
    let headers = plan.header_len();
    let is_tcp = header.gso_type & !gso::ECN != gso::UDP_L4;
    let is_cut_to_room = is_tcp && room >= headers + MIN_RECUT;
    let mut payload: Vec<u8> = Vec::new();
    let mut segments = Vec::new();
    for index in 0..plan.count() {
        let mut segment = Vec::new();
        plan.emit(index, Checksum::Complete, &mut segment);
        assert_eq!(segment.len(), plan.len(index));
        assert!(segment.len() > headers && segment.len() - headers <= usize::from(header.gso_size));
        assert!(!is_cut_to_room || segment.len() <= room);
        assert!(segment.len() == plan.len(0) || (index + 1 == plan.count() && segment.len() < plan.len(0)));
        let packet = IpPacket::in_frame(&segment).expect("a segment is an IP packet");
        assert_eq!(packet.header_at + packet.bytes.len(), segment.len());
        assert_eq!(packet.protocol == protocol::TCP, is_tcp);
        payload.extend(&segment[headers..]);
        segments.push(segment);
    }
    assert_eq!(payload, frame[headers..]);
    assert_eq!(plan.len(plan.count()), 0);
    segments
}

/// Segments whose checksums the sender has left to do are the same to whoever has them last.
fn check_left_to_do(plan: &Segments, segments: &[Vec<u8>]) {
    let partial: Vec<Vec<u8>> = (0..plan.count())
        .map(|index| {
            let mut segment = Vec::new();
            plan.emit(index, Checksum::Partial, &mut segment);
            segment
        })
        .collect();
    let (_, seen) = check_joined(Checksum::Partial, &partial);
    for (seen, segment) in seen.iter().zip(segments) {
        assert_eq!(seen.len(), segment.len());
        // Zero and all ones are the same sum: where TCP and UDP are not told apart, all ones are written.
        let mut differences = seen.iter().zip(segment).filter(|(a, b)| a != b);
        assert!(differences.clone().count() <= 2 && differences.all(|(a, b)| (*a, *b) == (0xff, 0)));
    }
    assert_eq!(seen.len(), segments.len());
}

/// Joined and cut again, frames are what they were. Returns how many there were in between, and what a station sees.
fn check_joined(checksum: Checksum, frames: &[Vec<u8>]) -> (usize, Vec<Vec<u8>>) {
    let mut buffer = Vec::new();
    let place = |frame: &Vec<u8>| {
        buffer.extend([0xdd; 28]);
        buffer.extend(frame);
        buffer.len() - frame.len()..buffer.len()
    };
    let places: Vec<Range<usize>> = frames.iter().map(place).collect();
    let mut places = places.into_iter().peekable();
    let (mut written, mut seen) = (0, Vec::<Vec<u8>>::new());
    while let Some(first) = places.next() {
        let mut join = Join::begin(&buffer, first, checksum, Joins::ALL);
        while places
            .next_if(|next| join.push(&mut buffer, next.clone()))
            .is_some()
        {}
        written += 1;
        let Ok((header, range)) = join.finish(&mut buffer) else {
            // Not TCP nor UDP, though its checksum is said to be left to do.
            seen.push(Vec::new());
            continue;
        };
        if header.gso_type == gso::NONE {
            let bytes = &buffer[range];
            seen.push(Frame::new(header, bytes).complete().into_owned());
            continue;
        }
        let plan = Segments::plan(&header, &buffer[range], usize::MAX).expect("what was joined can be cut");
        assert!((2..=MAX_SEGMENTS).contains(&plan.count()));
        for index in 0..plan.count() {
            let mut segment = Vec::new();
            plan.emit(index, Checksum::Complete, &mut segment);
            seen.push(segment);
        }
    }
    assert_eq!(seen.len(), frames.len());
    (written, seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The corpus gets as far as it should: else the replay would show nothing.
    #[test]
    fn the_corpus_is_cut_and_joined() {
        let outcome = |name: &str| {
            let path = format!("{}/corpus/super_frame/{name}", env!("CARGO_MANIFEST_DIR"));
            run(&std::fs::read(path).expect("a file of the corpus"))
        };
        let cut = |segments, written| Some(Outcome { segments, written });
        assert_eq!(outcome("tcp_v4"), cut(3, 1));
        assert_eq!(outcome("tcp_v4_recut"), cut(5, 1));
        assert_eq!(outcome("tcp_v4_options"), cut(3, 3));
        assert_eq!(outcome("tcp_v6_two_tags_ecn"), cut(4, 1));
        assert_eq!(outcome("tcp_v6_many"), cut(100, 2));
        assert_eq!(outcome("udp_v4"), cut(3, 1));
        assert_eq!(outcome("udp_v6_extension"), cut(3, 3));
        assert_eq!(outcome("plain_udp"), None);
    }
}
