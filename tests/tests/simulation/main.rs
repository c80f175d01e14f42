//! The protocol core in a simulated world: invariants I1 to I18, over many seeds.
//!
//! `KNET_SEEDS=FROM..TO` runs other seeds than the first ones; a failing test names its seed.

mod addresses;
mod attack;
mod cost;
mod failover;
mod hubs;
mod nodes;
mod numbers;
mod order;
mod quiet;
mod regressions;
mod schedules;
mod two_hours;
mod workers;

use knet_proto::{
    config::PolicyKind,
    time::{Span, Time},
};
use knet_tests::sim::World;

const POLICIES: [PolicyKind; 3] = [PolicyKind::Passive, PolicyKind::Active, PolicyKind::RoundRobin];

fn seeds(usual: u64) -> std::ops::Range<u64> {
    let given = std::env::var("KNET_SEEDS").ok();
    let parse = |s: &str| -> Option<std::ops::Range<u64>> {
        let (from, to) = s.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    };
    given.map_or(0..usual, |s| {
        parse(&s).unwrap_or_else(|| panic!("KNET_SEEDS={s}: want FROM..TO"))
    })
}

fn ms(n: u64) -> Span {
    Span::from_millis(n)
}

fn secs(n: u64) -> Span {
    Span::from_secs(n)
}

/// Cuts `link` between the first two hosts, in both directions, in one, or with its carrier, or mends it: as one of six
/// numbers says.
fn cut_or_mend(world: &mut World, link: u8, number: u64) {
    match number {
        0 => world.network.cut(link, 0, 1, true),
        1 => world.network.channel(link, 0, 1).cut = true,
        2 => world.network.channel(link, 1, 0).cut = true,
        3 => world.carrier(0, link, false),
        _ => {
            world.carrier(0, link, true);
            world.network.cut(link, 0, 1, false);
        }
    }
}

#[track_caller]
fn assert_nothing_lost(world: &World, since: Time, policy: PolicyKind, seed: u64) {
    let (sent, lost) = world.ledger.lost(since, world.now);
    let first = world.ledger.missing(since, world.now).next();
    assert_eq!(
        lost, 0,
        "{policy:?}, seed {seed}: of {sent}; the first: {first:?}"
    );
}

#[track_caller]
fn assert_sound(world: &World, seed: u64) {
    assert!(
        world.breaches().is_empty(),
        "seed {seed}: {:#?}",
        &world.breaches()[..world.breaches().len().min(5)]
    );
}
