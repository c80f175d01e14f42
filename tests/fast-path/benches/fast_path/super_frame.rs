//! Super-frames: cutting and joining, and checksums, which both spend most of their time with where they do them.

use std::{hint::black_box, ops::Range};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use knet_fast_path::frames;
use knet_proto::{
    offload::{
        checksum::{self, Checksum},
        join::{Join, Joins},
        segment::Segments,
    },
    wire::header::{HEADER_LEN, TAG_LEN},
};

const CHECKSUMS: [(&str, Checksum); 2] = [("partial", Checksum::Partial), ("complete", Checksum::Complete)];

/// All of `frame`, cut, with between the segments what is between frames that were received; and where they are.
fn received(frame: &frames::Frame, checksum: Checksum) -> (Vec<u8>, Vec<Range<usize>>) {
    let segments = Segments::plan(&frame.header, &frame.bytes, usize::MAX).expect("a super-frame");
    let mut buffer = Vec::new();
    let places = (0..segments.count()).map(|index| {
        buffer.extend_from_slice(&[0; HEADER_LEN + TAG_LEN]);
        let begin = buffer.len();
        segments.emit(index, checksum, &mut buffer);
        begin..buffer.len()
    });
    let places = places.collect();
    (buffer, places)
}

/// The length of what the frames have become.
fn join(buffer: &mut [u8], places: &[Range<usize>], checksum: Checksum) -> usize {
    let mut join = Join::begin(buffer, places[0].clone(), checksum, Joins::ALL);
    for place in &places[1..] {
        black_box(join.push(buffer, place.clone()));
    }
    join.finish(buffer).map_or(0, |(_, frame)| frame.len())
}

pub(crate) fn benches(criterion: &mut Criterion) {
    let frame = frames::super_frame(1, 2);
    let mut group = criterion.benchmark_group("super-frame");
    group.throughput(Throughput::Bytes(frame.bytes.len() as u64));
    for (name, checksum) in CHECKSUMS {
        let (received, places) = received(&frame, checksum);
        assert_eq!(places.len(), frames::SEGMENTS);
        assert_eq!(join(&mut received.clone(), &places, checksum), frame.bytes.len());
        let mut out = Vec::with_capacity(received.len());
        group.bench_function(BenchmarkId::new("segment", name), |b| {
            b.iter(|| {
                out.clear();
                let segments =
                    Segments::plan(&frame.header, &frame.bytes, usize::MAX).expect("a super-frame");
                for index in 0..segments.count() {
                    segments.emit(index, checksum, &mut out);
                }
                black_box(&out);
            });
        });
        group.bench_function(BenchmarkId::new("join", name), |b| {
            b.iter_batched_ref(
                || received.clone(),
                |buffer| join(buffer, &places, checksum),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("checksum");
    for mut frame in [frames::short(1, 2), frames::full(1, 2)] {
        let len = frame.bytes.len();
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::from_parameter(len), |b| {
            let (start, offset) = (frame.header.csum_start, frame.header.csum_offset);
            b.iter(|| black_box(checksum::complete(&mut frame.bytes, start, offset)));
        });
    }
}
