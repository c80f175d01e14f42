//! Addresses that one host gives another: whatever is lost, they are what was given last.

use knet_proto::config::{AddressList, AddressPrefix};
use knet_tests::sim::{Setup, World};

use crate::{assert_sound, secs, seeds};

fn list(last: u8) -> AddressList {
    let prefix = AddressPrefix::new([10, 200, 0, last].into(), 16);
    AddressList::new(prefix).expect("one address")
}

/// The network loses three of ten, or nothing.
fn lose(world: &mut World, much: bool) {
    for link in 0..2 {
        for (from, to) in [(0, 1), (1, 0)] {
            let channel = world.network.channel(link, from, to);
            channel.loss_ppm = if much { 300_000 } else { 0 };
            (channel.reorder_ppm, channel.duplicate_ppm) = (50_000, 50_000);
        }
    }
}

/// Both sides agree on what was given last, once it has been repeated at a time when nothing is lost: the pauses between
/// repetitions are as long as it has taken so far.
fn check(world: &mut World, seed: u64, given: &AddressList) {
    lose(world, false);
    world.run(secs(200));
    lose(world, true);
    let taker = world.peer(1, 0);
    assert_eq!(
        taker.addresses_given.as_ref(),
        Some(given),
        "seed {seed}: {}",
        world.state_line(1, 0)
    );
    let giver = world.peer(0, 1);
    let taken = (!given.is_empty()).then_some(true);
    assert_eq!(
        giver.addresses_taken,
        taken,
        "seed {seed}: {}",
        world.state_line(0, 1)
    );
}

#[test]
fn they_are_what_was_given_last_whatever_is_lost() {
    for seed in seeds(20) {
        let mut world = World::new(Setup {
            seed,
            links: 2,
            hubs: usize::from(seed % 2 == 0),
            ..Setup::default()
        });
        lose(&mut world, true);
        world.give(0, 1, list(1));
        world.run(secs(60));
        check(&mut world, seed, &list(1));
        for last in 2..8 {
            world.give(0, 1, list(last));
            world.run(secs(seed % 3));
        }
        world.run(secs(90));
        check(&mut world, seed, &list(7));
        // Another process of either side knows nothing of it at first.
        for victim in [1, 0] {
            world.kill(victim);
            world.run(secs(5));
            world.start(victim);
            world.run(secs(90));
            check(&mut world, seed, &list(7));
        }
        world.give(0, 1, AddressList::default());
        world.run(secs(60));
        check(&mut world, seed, &AddressList::default());
        assert_sound(&world, seed);
    }
}
