//! Sealing and opening.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use knet_proto::{
    crypto::{
        Secret,
        aead::{OpenKey, SealKey},
    },
    handshake::message::{DirectionKey, Suite},
    wire::header::HEADER_LEN,
};

const LENGTHS: [usize; 2] = [64, 1_400];
const SUITES: [(&str, Suite); 2] = [
    ("AES-256-GCM", Suite::Aes256Gcm),
    ("ChaCha20-Poly1305", Suite::ChaCha20Poly1305),
];
const AAD: [u8; HEADER_LEN] = [4; HEADER_LEN];

pub(crate) fn benches(criterion: &mut Criterion) {
    for (name, suite) in SUITES {
        let secret = DirectionKey {
            key: Secret::from(&[1; 32]),
            iv: [2; 12],
        };
        let (seal, open) = (SealKey::new(suite, &secret), OpenKey::new(suite, &secret));
        for len in LENGTHS {
            let mut group = criterion.benchmark_group("aead");
            group.throughput(Throughput::Bytes(len as u64));
            let mut text = vec![3; len];
            let mut counter = 0_u32;
            group.bench_function(BenchmarkId::new(format!("seal/{name}"), len), |b| {
                b.iter(|| {
                    counter = counter.wrapping_add(1);
                    black_box(seal.seal(0, counter, &AAD, &mut text))
                });
            });
            let tag = seal.seal(0, 7, &AAD, &mut text);
            let sealed = [&text[..], &tag].concat();
            group.bench_function(BenchmarkId::new(format!("open/{name}"), len), |b| {
                let opened = |bytes: &mut Vec<u8>| open.open(0, 7, &AAD, bytes).map(|text| text.len());
                assert_eq!(opened(&mut sealed.clone()), Some(len));
                b.iter_batched_ref(|| sealed.clone(), opened, BatchSize::SmallInput);
            });
        }
    }
}
