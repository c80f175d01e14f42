//! Clients of two hubs: one is used at a time, and the other takes over.

use knet_proto::{
    drop_reason::DropReason,
    event::Event,
    hub_group::TakeOverReason,
    ids::{PeerId, Workers},
    time::{Span, Time},
};
use knet_tests::sim::{Setup, World};

use crate::{assert_sound, ms, secs};

/// Two hubs, 0 and 1, and so many clients from 2 on; all of them use hub 0.
fn world(seed: u64, clients: usize, links: u8, workers: u8) -> World {
    let mut world = World::new(Setup {
        seed,
        nodes: 2 + clients,
        links,
        hubs: 2,
        workers: Workers::new(workers).expect("a few"),
        ..Setup::default()
    });
    world.run(secs(5));
    for client in 2..2 + clients {
        world.set_preference(client, 0, 200);
    }
    world.run(secs(5));
    for client in 2..2 + clients {
        assert_eq!(active(&world, client), Some(0), "{:?}", world.hub_group(client));
    }
    world
}

fn active(world: &World, client: usize) -> Option<usize> {
    world.hub_group(client).active.map(|p| usize::from(p.0))
}

fn take_overs(world: &World, since: Time) -> Vec<(usize, PeerId, TakeOverReason)> {
    let since = world.events.iter().filter(|(at, _, _)| *at >= since);
    let take_over = |(_, n, e): &(Time, usize, Event)| match e {
        Event::HubTakeOver { to, reason, .. } => Some((*n, *to, *reason)),
        _ => None,
    };
    since.filter_map(take_over).collect()
}

#[test]
fn what_is_flooded_comes_to_each_host_once_and_clients_reach_each_other() {
    for (seed, workers) in [(1, 1), (2, 3)] {
        let mut world = world(seed, 3, 2, workers);
        world.check_hubs();
        assert!(
            world.drops(2, DropReason::HubStandby) > 0,
            "the other hub floods too"
        );
        assert_sound(&world, seed);
    }
}

/// Clients that use different hubs reach each other by the way between these.
#[test]
fn clients_may_disagree() {
    for (seed, workers) in [(1, 1), (2, 2)] {
        let mut world = world(seed, 3, 1, workers);
        world.set_preference(3, 1, 255);
        world.run(secs(1));
        assert_eq!([2, 3, 4].map(|n| active(&world, n)), [Some(0), Some(1), Some(0)]);
        world.check_hubs();
        assert_sound(&world, seed);
    }
}

#[test]
fn a_hub_that_is_killed_is_left_within_the_time_of_a_link() {
    for seed in 0..9 {
        let mut world = world(seed, 3, 1 + (seed % 2) as u8, 1 + (seed % 3) as u8);
        world.ledger.copies_allowed = 2;
        world.traffic(2, 3, ms(2), secs(8));
        world.traffic(3, 2, ms(2), secs(8));
        world.run(secs(2));
        let killed = world.now;
        world.kill(0);
        world.run(secs(2));
        let lost: Vec<Time> = world
            .ledger
            .missing(killed - ms(50), world.now - ms(50))
            .map(|f| f.at)
            .collect();
        let last = lost.iter().max().map_or(Span::ZERO, |at| at.since(killed));
        assert!(
            last < ms(100),
            "seed {seed}: the last frame lost was sent {} ms after",
            last.as_millis()
        );
        assert_eq!([2, 3].map(|n| active(&world, n)), [Some(1); 2], "seed {seed}");
        assert_sound(&world, seed);
        world.start(0);
        world.run(secs(5));
        world.check_hubs();
        world.ledger.copies_allowed = 2;
        world.wind_up();
        let again = [2, 3, 4].map(|n| active(&world, n));
        assert_eq!(again, [Some(0); 3], "seed {seed}: back to the preferred one");
        assert_sound(&world, seed);
    }
}

/// The client is cut off from its hub, and the hub lives: what others send there has to find the other way.
#[test]
fn a_client_that_is_cut_off_from_its_hub_is_reached_by_the_other() {
    for seed in 0..4 {
        let mut world = world(seed, 3, 1, 1 + (seed % 3) as u8);
        world.ledger.copies_allowed = 2;
        world.traffic(2, 3, ms(4), secs(120));
        world.traffic(3, 2, ms(4), secs(120));
        world.traffic(0, 2, ms(5), secs(120));
        world.run(secs(2));
        for _ in 0..4 {
            let cut = world.now;
            world.network.cut(0, 0, 2, true);
            world.run(secs(2));
            let lost = world.ledger.missing(cut - ms(50), world.now - ms(50));
            let last = lost.max_by_key(|f| f.at);
            assert!(
                last.is_none_or(|f| f.at.since(cut) < ms(100)),
                "seed {seed}: cut at {cut:?}, still lost {last:?}"
            );
            assert_eq!(
                [2, 3].map(|n| active(&world, n)),
                [Some(1), Some(0)],
                "seed {seed}"
            );
            world.network.cut(0, 0, 2, false);
            world.run(secs(9));
            world.network.cut(0, 1, 2, true);
            world.run(secs(3));
            assert_eq!(
                active(&world, 2),
                Some(0),
                "seed {seed}: {:?}",
                world.hub_group(2)
            );
            world.network.cut(0, 1, 2, false);
            world.run(secs(9));
        }
        assert_eq!(world.drops(0, DropReason::MacFrozen), 0, "seed {seed}");
        world.wind_up();
        assert_sound(&world, seed);
    }
}

/// Where our own uplink is dead nobody answers, and nobody is taken over.
#[test]
fn a_client_whose_uplink_is_dead_stays_where_it_is() {
    for seed in 0..8 {
        let mut world = world(seed, 2, 1, 1);
        world.traffic(2, 3, ms(2), secs(8));
        world.traffic(3, 2, ms(2), secs(8));
        world.run(secs(2));
        let before = world.now;
        for hub in 0..2 {
            world.network.cut(0, hub, 2, true);
        }
        world.run(ms(50 + seed * 40));
        for hub in 0..2 {
            world.network.cut(0, hub, 2, false);
        }
        world.run(secs(3));
        assert_eq!(take_overs(&world, before), [], "seed {seed}");
        assert_sound(&world, seed);
    }
}

/// A hub that says goodbye is left at once.
#[test]
fn an_idle_client_notices_a_dead_hub_by_what_others_do() {
    for seed in 0..8 {
        let mut world = world(seed, 2, 1, 1);
        world.ledger.copies_allowed = 2;
        // Client 3 only listens.
        world.traffic(2, 3, ms(10), secs(8));
        world.run(secs(2));
        let killed = world.now;
        world.kill(0);
        world.run(secs(2));
        let lost = world.ledger.missing(killed - ms(50), world.now - ms(50));
        let last = lost.map(|f| f.at.since(killed)).max().unwrap_or_default();
        assert!(
            last < ms(150),
            "seed {seed}: still lost after {} ms",
            last.as_millis()
        );
        assert_sound(&world, seed);
    }
}
