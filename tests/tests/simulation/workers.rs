//! Hosts with several data workers.

use knet_proto::{
    config::PolicyKind,
    drop_reason::DropReason,
    ids::{WorkerId, Workers},
    time::Span,
};
use knet_tests::sim::{FULL, Setup, World};

use crate::{assert_nothing_lost, assert_sound, ms, secs};

fn hub(seed: u64, workers: u8, links: u8, policy: PolicyKind) -> World {
    let mut world = World::new(Setup {
        seed,
        nodes: 6,
        links,
        policy,
        hubs: 1,
        workers: Workers::new(workers).expect("a few"),
        ..Setup::default()
    });
    world.network.default.delay = ms(1);
    world.run(secs(12));
    world
}

/// I16: over one link no flow is reordered, whichever workers it passes, and no datagram comes to the wrong one.
#[test]
fn every_flow_keeps_its_order() {
    for workers in 2..=4 {
        let seed = u64::from(workers);
        let mut world = hub(seed, workers, 1, PolicyKind::Passive);
        // Every host says where it is.
        world.traffic_everywhere(ms(100), ms(300));
        world.run(secs(1));
        let since = world.now;
        for from in 0..6 {
            for to in (0..6).filter(|to| *to != from) {
                world.traffic_of(FULL, from, to, Span::from_micros(300 + 7 * from as u64), ms(400));
            }
        }
        world.run(secs(3));
        assert_nothing_lost(&world, since, PolicyKind::Passive, seed);
        assert_eq!(world.ledger.out_of_order, 0, "{workers} workers");
        let [[frames, datagrams], taken] = world.handover(0);
        assert!(frames > 4_000, "{frames} frames handed over");
        assert_eq!((datagrams, taken), (0, [frames, 0]));
        world.wind_up();
        assert_sound(&world, seed);
        assert_eq!(world.ledger.out_of_order, 0, "{workers} workers");
    }
}

/// Nor over two links that carry the same, while one of them is cut and mended.
#[test]
fn rekeys_and_failovers_lose_nothing_between_workers() {
    for (seed, workers) in [(1, 2), (2, 4)] {
        let mut world = hub(seed, workers, 2, PolicyKind::Passive);
        let since = world.now;
        world.traffic_everywhere(ms(60), secs(260));
        for round in 0..13_u8 {
            world.run(secs(10));
            world.carrier(usize::from(round % 6), round % 2, false);
            world.run(secs(10));
            world.carrier(usize::from(round % 6), round % 2, true);
        }
        assert!(world.rekeys() > 0);
        world.wind_up();
        assert_sound(&world, seed);
        assert_nothing_lost(&world, since, PolicyKind::Passive, seed);
    }
}

/// What belongs to a worker that stands still waits for it, or is counted; the others go on as if nothing were.
#[test]
fn a_worker_that_stands_still_holds_nobody_up() {
    let mut world = hub(3, 2, 1, PolicyKind::Passive);
    world.traffic_everywhere(ms(100), secs(1));
    world.run(secs(2));
    let since = world.now;
    world.pause_worker(0, WorkerId(0), ms(800));
    // Both have their sessions with the other worker of the hub.
    world.traffic(1, 3, Span::from_micros(200), ms(700));
    world.traffic(5, 1, Span::from_micros(200), ms(700));
    world.run(ms(750));
    assert_nothing_lost(&world, since, PolicyKind::Passive, 3);
    assert!(world.ledger.longest_delay(since, world.now) < ms(4));

    let since = world.now;
    world.run(ms(500));
    // More than there is room for between two workers.
    world.pause_worker(0, WorkerId(0), ms(400));
    world.traffic_of(FULL, 1, 2, Span::from_micros(10), ms(300));
    world.run(secs(2));
    let (sent, lost) = world.ledger.lost(since, world.now);
    let full = world.drops(0, DropReason::HandoverFull);
    assert!(full > 0, "of {sent} frames {lost} were lost");
    assert_eq!(lost as u64, full, "and nothing vanishes");
    world.wind_up();
    assert_sound(&world, 3);
}

/// What the kernel puts on the wrong socket finds its way.
#[test]
fn datagrams_that_go_astray_arrive() {
    for workers in 2..=4 {
        let seed = 10 + u64::from(workers);
        let mut world = hub(seed, workers, 2, PolicyKind::RoundRobin);
        world.astray_ppm = 200_000;
        let since = world.now;
        world.traffic_everywhere(ms(10), secs(5));
        world.run(secs(8));
        assert_nothing_lost(&world, since, PolicyKind::RoundRobin, seed);
        let [[_, datagrams], _] = world.handover(0);
        assert!(datagrams > 1_000, "{datagrams} handed over");
        world.wind_up();
        assert_sound(&world, seed);
    }
}
