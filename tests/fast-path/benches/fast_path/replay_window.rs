//! The replay window, as a session asks it: once before a datagram is opened, and once after.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use knet_proto::replay_window::ReplayWindow;

const COUNTERS: u32 = 8_192;
/// So many datagrams one of two links is behind the other.
const BEHIND: u32 = 64;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut two_links: Vec<u32> = (0..COUNTERS).collect();
    two_links.sort_by_key(|counter| counter + BEHIND * (counter % 2));
    let orders = [
        ("in order", (0..COUNTERS).collect()),
        ("two links in turn", two_links),
        ("every one twice", (0..2 * COUNTERS).map(|n| n / 2).collect()),
    ];
    let mut group = criterion.benchmark_group("replay window");
    for (name, counters) in orders {
        group.throughput(Throughput::Elements(counters.len() as u64));
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                ReplayWindow::new,
                |window| {
                    for counter in &counters {
                        if window.check(*counter).is_ok() {
                            black_box(window.commit(*counter).is_ok());
                        }
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
}
