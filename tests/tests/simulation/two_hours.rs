//! Links die and come back for hours.

use knet_proto::{
    config::PolicyKind,
    event::Event,
    ids::Workers,
    rng::{Entropy, SeededEntropy},
};
use knet_tests::sim::{Setup, World};

use crate::{assert_sound, ms, secs};

/// Random cuts that always leave one good link, eight links, two hours: no session is lost, nothing is
/// delivered twice or wrongly; under the active policy nothing is lost at all.
fn two_hours(policy: PolicyKind, seed: u64) {
    let mut pick = SeededEntropy::new([seed as u8; 32]);
    let mut world = World::new(Setup {
        seed,
        nodes: 2,
        links: 8,
        policy,
        hubs: 0,
        workers: Workers::ONE,
        ..Setup::default()
    });
    world.run(secs(5));
    let begin = world.now;
    world.traffic(0, 1, ms(100), secs(7_200));
    world.traffic(1, 0, ms(100), secs(7_200));
    let mut good = 0_u8;
    while world.now.since(begin) < secs(7_190) {
        for link in (0..8).filter(|l| *l != good) {
            let (forth, back) = match pick.below(5) {
                0 => (true, true),
                1 => (true, false),
                2 => (false, true),
                _ => (false, false),
            };
            world.network.channel(link, 0, 1).cut = forth;
            world.network.channel(link, 1, 0).cut = back;
        }
        world.run(ms(200 + pick.below(20_000)));
        // The next good link is mended first, and has the time to be noticed.
        let next = pick.below(8) as u8;
        world.network.cut(next, 0, 1, false);
        world.run(secs(5));
        good = next;
    }
    world.run(secs(15));
    let downs: Vec<_> = world
        .events
        .iter()
        .filter(|(_, _, e)| matches!(e, Event::SessionDown { .. }))
        .collect();
    assert!(downs.is_empty(), "seed {seed}: sessions lost: {downs:?}");
    assert_sound(&world, seed);
    let (sent, lost) = world.ledger.lost(begin, world.now);
    assert!(sent > 140_000, "seed {seed}: only {sent} frames were sent");
    let first = world.ledger.missing(begin, world.now).next();
    assert_eq!(lost, 0, "seed {seed}: of {sent}; the first: {first:?}");
    if policy != PolicyKind::RoundRobin {
        assert_eq!(world.ledger.out_of_order, 0, "I5, seed {seed}");
    }
    let gap = world.ledger.longest_gap(begin, world.now);
    assert!(gap <= ms(400), "seed {seed}: a gap of {} ms", gap.as_millis());
}

#[test]
fn two_hours_of_cuts_passive() {
    two_hours(PolicyKind::Passive, 11);
}

#[test]
fn two_hours_of_cuts_active() {
    two_hours(PolicyKind::Active, 12);
}

#[test]
fn two_hours_of_cuts_round_robin() {
    two_hours(PolicyKind::RoundRobin, 13);
}
