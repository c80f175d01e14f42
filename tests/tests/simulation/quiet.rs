//! While all is well: what an idle link costs, and what a rekey does not.

use knet_tests::sim::{Setup, World};

use crate::{POLICIES, assert_sound, ms, secs};

#[test]
fn an_idle_link_costs_one_datagram_per_second_and_direction() {
    let mut world = World::new(Setup {
        links: 2,
        ..Setup::default()
    });
    world.run(secs(10));
    let before = [world.peer(0, 1), world.peer(1, 0)];
    world.run(secs(60));
    let after = [world.peer(0, 1), world.peer(1, 0)];
    for (before, after) in before.iter().zip(&after) {
        for (b, a) in before.links.iter().zip(&after.links) {
            let sent = a.tx.packets - b.tx.packets;
            assert!((50..=61).contains(&sent), "{sent} datagrams in a minute");
            let size = (a.tx.bytes - b.tx.bytes) / sent;
            assert!(size <= 110, "{size} bytes per heartbeat");
            assert!(
                a.srtt.is_some_and(|s| s < ms(1)),
                "both ends know the round-trip time"
            );
        }
    }
}

#[test]
fn a_rekey_loses_nothing() {
    for policy in POLICIES {
        let mut world = World::new(Setup {
            seed: 5,
            policy,
            ..Setup::default()
        });
        world.run(secs(2));
        let begin = world.now;
        world.traffic(0, 1, ms(1), secs(400));
        world.traffic(1, 0, ms(1), secs(400));
        world.run(secs(401));
        let rekeys = world.rekeys();
        assert!(rekeys >= 6, "{rekeys} rekeys at both ends");
        assert_eq!(world.ledger.lost(begin, world.now).1, 0, "{policy:?}");
        assert_eq!(world.ledger.out_of_order, 0, "I5: {policy:?}");
        assert_sound(&world, 5);
    }
}

#[test]
fn a_rekey_over_half_the_earth_loses_nothing() {
    let mut world = World::new(Setup {
        seed: 6,
        ..Setup::default()
    });
    world.network.default.delay = ms(300);
    world.run(secs(8));
    let begin = world.now;
    world.traffic(0, 1, ms(20), secs(400));
    world.traffic(1, 0, ms(20), secs(400));
    world.run(secs(402));
    let rekeys = world.rekeys();
    assert!(rekeys >= 6, "{rekeys} rekeys at both ends");
    assert_eq!(world.ledger.lost(begin, world.now).1, 0);
    assert_sound(&world, 6);
}

/// Each link loses a fifth in either direction, for 50 hours in all.
#[test]
fn hours_of_loss_on_idle_links_bring_none_down() {
    let mut downs = 0;
    for seed in 0..50 {
        let mut world = World::new(Setup {
            seed,
            ..Setup::default()
        });
        world.network.default.loss_ppm = 200_000;
        world.run(secs(3_600));
        for (of, to) in [(0, 1), (1, 0)] {
            downs += world
                .peer(of, to)
                .links
                .iter()
                .map(|l| l.verdicts.downs)
                .sum::<u32>();
        }
        assert_sound(&world, seed);
    }
    assert_eq!(downs, 0, "counted at both ends");
}
