//! Every schedule of faults with a few seeds; `scripts/soak-sim` plays them for hours.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use knet_proto::ids::Workers;
use knet_tests::sim::schedules::SCHEDULES;

use crate::seeds;

/// 500 worlds, those of one seed over all schedules in turn: no rule is broken in any.
#[test]
fn no_schedule_of_faults_breaks_a_rule() {
    play(seeds(500), |_| Workers::ONE);
}

/// Nor where hosts have two to four workers.
#[test]
fn no_schedule_of_faults_breaks_a_rule_of_several_workers() {
    play(seeds(150), |seed| {
        Workers::new(2 + (seed / 15 % 3) as u8).expect("a few")
    });
}

fn play(seeds: Range<u64>, workers_of: impl Fn(u64) -> Workers + Sync) {
    let next = AtomicU64::new(seeds.start);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let broken: Vec<String> = thread::scope(|scope| {
        let work = || {
            let mut broken = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    return broken;
                }
                let outcome = SCHEDULES[(seed % SCHEDULES.len() as u64) as usize].play(
                    seed,
                    1,
                    workers_of(seed),
                    false,
                );
                if !outcome.broken.is_empty() {
                    broken.push(outcome.to_string());
                }
            }
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|w| w.join().expect("worlds catch their panics"))
            .collect()
    });
    assert!(broken.is_empty(), "{} worlds:\n{}", broken.len(), broken.concat());
}
