//! Faults of every kind for minutes and for hours: no rule is broken, and all heals.

use knet_proto::{
    config::PolicyKind,
    event::Event,
    rng::{Entropy, SeededEntropy},
    time::Span,
};
use knet_tests::sim::{Setup, World, network::Channel};

use crate::{POLICIES, assert_sound, ms, secs, seeds};

/// Faults of every kind for a minute, then a minute of peace: no rule is ever broken, and in the end every
/// pair has a session, every link is up and the best is in use.
fn storm(seed: u64) {
    let mut pick = SeededEntropy::new([seed as u8 ^ 0x5a; 32]);
    let nodes = 2 + pick.below(3) as usize;
    let links = 1 + pick.below(8) as u8;
    let policy = POLICIES[pick.below(3) as usize];
    let hub = pick.below(3) == 0;
    let mut world = World::new(Setup {
        seed,
        nodes,
        links,
        policy,
        hub,
    });
    world.network.default.loss_ppm = pick.below(20_000) as u32;
    world.network.default.duplicate_ppm = pick.below(20_000) as u32;
    world.network.default.reorder_ppm = pick.below(20_000) as u32;
    world.network.default.delay = Span::from_micros(100 + pick.below(30_000));
    world.network.default.jitter = Span::from_micros(pick.below(3_000));
    world.run(secs(3));
    world.traffic_everywhere(ms(50), secs(60));
    for _ in 0..30 {
        let (a, b) = (
            pick.below(nodes as u64) as usize,
            pick.below(nodes as u64) as usize,
        );
        let network = pick.below(u64::from(links)) as u8;
        match pick.below(8) {
            0 => world.network.cut(network, a, b, true),
            1 => world.network.channel(network, a, b).cut = true,
            2 => world.network.cut(network, a, b, false),
            3 => world.carrier(a, network, false),
            4 => world.carrier(a, network, true),
            5 => world.pause(a, ms(pick.below(3_000))),
            6 if hub && a != 0 => world.network.roam(a, network),
            6 => world.set_wall_clock(a, [-315_360_000, 315_360_000, 3_600, 0][pick.below(4) as usize]),
            _ => {
                world.kill(a);
                world.run(ms(pick.below(1_500)));
                world.start(a);
            }
        }
        world.run(ms(pick.below(4_000)));
    }
    for a in 0..nodes {
        for l in 0..links {
            world.carrier(a, l, true);
        }
    }
    world.network.default.loss_ppm = 0;
    for a in 0..nodes {
        for b in 0..nodes {
            for l in 0..links {
                *world.network.channel(l, a, b) = Channel::default();
            }
        }
    }
    world.run(secs(90));
    world.check_converged();
    let from = world.now;
    world.traffic_everywhere(ms(20), secs(5));
    world.run(secs(6));
    let (sent, lost) = world.ledger.lost(from, world.now);
    if !(hub && nodes > 2) && lost > 0 {
        world
            .ledger
            .breach(world.now, format!("{lost} of {sent} frames lost in peace"));
    }
    assert_sound(&world, seed);
}

#[test]
fn nothing_is_ever_delivered_twice_or_to_the_wrong_host_and_all_heals() {
    for seed in seeds() {
        storm(seed);
    }
}

/// Random cuts that always leave one good link, eight links, two hours: no session is lost, nothing is
/// delivered twice or wrongly; under the active policy nothing is lost at all.
fn two_hours(policy: PolicyKind, seed: u64) {
    let mut pick = SeededEntropy::new([seed as u8; 32]);
    let mut world = World::new(Setup {
        seed,
        nodes: 2,
        links: 8,
        policy,
        hub: false,
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
