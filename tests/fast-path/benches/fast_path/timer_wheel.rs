//! The timer wheel with a timer for each of 65,536 peers.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use knet_proto::{
    time::{Span, Time},
    timer_wheel::{TICK, TimerId, TimerWheel},
};

const TIMERS: u64 = 65_536;
/// Timers fire within this time, and are armed again for as much later.
const PERIOD: Span = Span::from_millis(1_024);

fn full() -> (TimerWheel<u64>, Vec<TimerId>) {
    let mut wheel = TimerWheel::new();
    let ids = (0..TIMERS)
        .map(|n| wheel.insert(Time::ZERO + Span::from_millis(1 + n % PERIOD.as_millis()), n))
        .collect();
    (wheel, ids)
}

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timer wheel");

    let (mut wheel, _) = full();
    let mut now = Time::ZERO;
    group.throughput(Throughput::Elements(TIMERS / PERIOD.as_millis()));
    group.bench_function("a tick: fire and arm again", |b| {
        b.iter(|| {
            now = now + TICK;
            while let Some(key) = wheel.pop_expired(now) {
                wheel.insert(now + PERIOD, key);
            }
        });
    });

    let (mut wheel, ids) = full();
    let mut turn = 0;
    group.throughput(Throughput::Elements(1));
    group.bench_function("reschedule", |b| {
        b.iter(|| {
            turn += 1;
            let at = Time::ZERO + Span::from_millis(1 + turn * 7 % 60_000);
            black_box(wheel.reschedule(ids[(turn % TIMERS) as usize], at))
        });
    });
    group.bench_function("next deadline", |b| b.iter(|| black_box(wheel.next_deadline())));
}
