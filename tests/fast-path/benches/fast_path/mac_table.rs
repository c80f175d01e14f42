//! The switch: which port an address is behind.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use knet_proto::{
    ids::{MacAddr, PeerId},
    l2::mac_table::{MAX_MACS_PER_PEER, MacTable},
    status::Port,
    time::{Span, Time},
};

const PEERS: u16 = 16;
/// At this rate new addresses of a peer are accepted.
const STEP: Span = Span::from_millis(5);

fn mac(number: u32) -> MacAddr {
    let [a, b, c, d] = number.wrapping_mul(2_654_435_761).to_be_bytes();
    MacAddr([2, 0, a, b, c, d])
}

fn port(number: u32) -> Port {
    Port::Peer(PeerId(number as u16 % PEERS))
}

/// A table in which every peer has as many addresses as it may, how many that are, and the time.
fn full() -> (MacTable, u32, Time) {
    let mut table = MacTable::new([1, 2], Span::from_secs(300));
    let mut now = Time::from_nanos(1_000_000_000);
    let count = MAX_MACS_PER_PEER as u32 * u32::from(PEERS);
    for number in 0..count {
        if number % u32::from(PEERS) == 0 {
            now = now + STEP;
        }
        table.learn(now, mac(number), port(number));
    }
    assert_eq!(table.len(), count as usize);
    (table, count, now)
}

pub(crate) fn benches(criterion: &mut Criterion) {
    let (mut table, count, mut now) = full();
    let mut group = criterion.benchmark_group("switch");
    group.throughput(Throughput::Elements(1));
    let mut number = 0;
    let mut next = || {
        number = (number + 1) % count;
        number
    };
    group.bench_function("look up", |b| b.iter(|| black_box(table.lookup(mac(next())))));
    group.bench_function("look up, unknown", |b| {
        b.iter(|| black_box(table.lookup(mac(count + next()))));
    });
    group.bench_function("learn, known", |b| {
        b.iter(|| {
            let number = next();
            black_box(table.learn(now, mac(number), port(number)))
        });
    });
    group.bench_function("learn, refreshed", |b| {
        b.iter(|| {
            // Every address is more than a second old when its turn comes.
            now = now + Span::from_millis(1);
            let number = next();
            black_box(table.learn(now, mac(number), port(number)))
        });
    });
}
