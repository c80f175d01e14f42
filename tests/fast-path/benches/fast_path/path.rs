//! All of it, from TAP to TAP, both hosts on one thread: the cases that instructions and allocations are counted on.

use criterion::{Criterion, Throughput};
use knet_fast_path::cases::CASES;
use knet_proto::time::Span;

const PAUSE: Span = Span::from_micros(100);

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("path");
    for case in CASES {
        let mut run = case.begin();
        group.throughput(Throughput::Elements(run.packets() as u64));
        group.bench_function(case.name, |b| b.iter(|| run.round(PAUSE)));
    }
}
