//! Hosts that pause, die, come back, move, or have a wrong clock.

use allocation_counter::measure;
use knet_proto::{event::Event, status::LinkState};
use knet_tests::sim::{FULL, Setup, World};

use crate::{assert_sound, ms, secs};

#[test]
fn a_hub_forgets_clients_that_are_gone_and_takes_them_back() {
    let mut world = World::new(Setup {
        seed: 7,
        hubs: 1,
        ..Setup::default()
    });
    world.run(secs(3));
    world.kill(1);
    world.run(secs(60));
    assert!(world.peer(0, 1).session.is_none(), "{}", world.state_line(0, 1));
    world.run(secs(120));
    assert!(
        !world.peer(0, 1).handshaking,
        "nobody is called whose address is not known"
    );
    world.start(1);
    world.run(secs(5));
    world.check_converged();
    assert_sound(&world, 7);
}

#[test]
fn a_process_that_stands_still_does_not_blame_its_links() {
    for pause in [10, 50, 200, 1_000] {
        let mut world = World::new(Setup {
            seed: pause,
            links: 3,
            ..Setup::default()
        });
        world.run(secs(3));
        world.traffic(0, 1, ms(1), secs(10));
        world.traffic(1, 0, ms(1), secs(10));
        world.run(secs(2));
        world.pause(0, ms(pause));
        world.run(secs(6));
        let down = world.events.iter().filter(|(_, _, e)| {
            matches!(
                e,
                Event::LinkState {
                    from: LinkState::Suspect,
                    to: LinkState::Down,
                    ..
                }
            )
        });
        assert_eq!(
            down.count(),
            0,
            "after a pause of {pause} ms: {}",
            world.state_line(1, 0)
        );
        assert_sound(&world, pause);
    }
}

#[test]
fn a_peer_that_was_killed_is_back_within_two_seconds_of_its_start() {
    for seed in 0..20 {
        let mut world = World::new(Setup {
            seed,
            links: 2,
            hubs: usize::from(seed % 2 == 0),
            ..Setup::default()
        });
        world.run(secs(3));
        world.traffic(0, 1, ms(5), secs(20));
        world.traffic(1, 0, ms(5), secs(20));
        world.run(secs(2));
        let victim = (seed / 2 % 2) as usize;
        world.kill(victim);
        world.run(ms(seed * 150));
        world.start(victim);
        // A hub has nobody to call: it waits until the other side has noticed.
        let limit = if seed % 2 == 0 && victim == 0 {
            secs(5)
        } else {
            secs(2)
        };
        world.run(limit);
        let from = world.now;
        world.run(secs(1));
        let (sent, lost) = world.ledger.lost(from, world.now - ms(20));
        assert!(
            sent > 300 && lost == 0,
            "seed {seed}: {lost} of {sent}: {}",
            world.state_line(0, 1)
        );
        assert_sound(&world, seed);
    }
}

#[test]
fn a_wrong_clock_costs_a_round_trip_and_never_the_connection() {
    let decade = 315_360_000;
    let mut world = World::new(Setup {
        seed: 3,
        ..Setup::default()
    });
    for off_by in [decade, 0, -decade, 3_600, -3_600, 0] {
        world.set_wall_clock(0, off_by);
        world.kill(0);
        world.start(0);
        world.run(secs(3));
        assert!(
            world.peer(1, 0).session.is_some_and(|s| s.age < secs(4)),
            "off by {off_by} s"
        );
        assert!(world.peer(0, 1).session.is_some(), "off by {off_by} s");
    }
    assert_sound(&world, 3);
}

#[test]
fn handshakes_that_cross_leave_both_sides_with_the_same_session() {
    for seed in 0..200 {
        let mut world = World::new(Setup {
            seed,
            links: 1,
            ..Setup::default()
        });
        // Both start at the same instant and know each other's address: their first messages cross.
        world.run(secs(2));
        let (a, b) = (world.peer(0, 1), world.peer(1, 0));
        let roles = (a.session.map(|s| s.role), b.session.map(|s| s.role));
        assert!(
            roles.0.is_some() && roles.1.is_some() && roles.0 != roles.1,
            "seed {seed}: {roles:?}"
        );
        assert_sound(&world, seed);
    }
}

#[test]
fn a_client_that_moves_is_followed() {
    for seed in 0..10 {
        let mut world = World::new(Setup {
            seed,
            links: 1,
            hubs: 1,
            ..Setup::default()
        });
        world.run(secs(3));
        world.traffic(0, 1, ms(10), secs(20));
        world.traffic(1, 0, ms(10), secs(20));
        world.run(secs(2));
        world.network.roam(1, 0);
        world.run(secs(3));
        let from = world.now;
        world.run(secs(2));
        let (sent, lost) = world.ledger.lost(from, world.now - ms(20));
        assert!(
            sent > 100 && lost == 0,
            "seed {seed}: {lost} of {sent}: {}",
            world.state_line(0, 1)
        );
        assert_eq!(
            world.peer(0, 1).links[0].remote,
            Some(world.network.address(1, 0))
        );
        assert_sound(&world, seed);
    }
}

/// What a hub holds for peers that are away for a moment, and what strange stations and broadcasts make it hold, is given
/// back. `scripts/soak-sim memory` looks at a day of it.
#[test]
fn a_hub_is_as_large_as_before_when_a_storm_is_over() {
    const CLIENTS: usize = 24;
    let holds = |storm: fn(&mut World)| {
        let mut world = World::new(Setup {
            seed: 5,
            nodes: 1 + CLIENTS,
            hubs: 1,
            ..Setup::default()
        });
        world.run(secs(5));
        world.traffic_everywhere(ms(500), secs(1));
        world.run(secs(1));
        storm(&mut world);
        world.run(secs(900));
        world.check_converged();
        assert_sound(&world, 5);
        -measure(|| world.kill(0)).bytes_current
    };
    let before = holds(|_| {});
    let after = holds(|world| {
        (1..=CLIENTS).for_each(|n| world.kill(n));
        world.run(secs(60));
        for n in 1..=CLIENTS {
            world.traffic_of(FULL, 0, n, ms(10), secs(2));
        }
        for station in 0..2_000 {
            world.announce_station(0, station * 0x1_0001);
        }
        world.run(secs(5));
        (1..=CLIENTS).for_each(|n| world.start(n));
        world.run(secs(5));
        world.broadcasts(1, ms(20), secs(2));
        world.traffic_of(FULL, 0, 1, ms(1), secs(2));
    });
    assert!(before > 80_000, "the hub holds {before} bytes");
    assert!(
        after < before + 32_768,
        "{before} bytes before, {after} after the storm"
    );
}
