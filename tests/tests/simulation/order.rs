//! Links of different delay: the order is kept.

use knet_proto::{config::PolicyKind, time::Span};
use knet_tests::sim::{Setup, World};

use crate::{assert_sound, ms, secs};

/// Links of different delay deliver out of order; the receiver restores it, and holds nothing for more than 50 ms (I6).
#[test]
fn round_robin_over_links_of_different_delay_keeps_the_order() {
    for (seed, every) in [(1, 1_000), (2, 200), (3, 40)] {
        let mut world = World::new(Setup {
            seed,
            links: 4,
            policy: PolicyKind::RoundRobin,
            ..Setup::default()
        });
        world.network.default.delay = ms(1);
        world.network.channel(3, 0, 1).delay = ms(21);
        world.network.channel(3, 1, 0).delay = ms(21);
        world.run(secs(5));
        let begin = world.now;
        // The other way as well, or the bridge would take it for a flood.
        world.traffic(1, 0, ms(100), secs(3));
        world.run(ms(50));
        world.traffic(0, 1, Span::from_micros(every), secs(2));
        world.run(secs(4));
        assert_sound(&world, seed);
        assert_eq!(world.ledger.lost(begin, world.now).1, 0, "seed {seed}");
        assert_eq!(world.ledger.out_of_order, 0, "a frame every {every} us");
        assert!(
            world.ledger.longest_delay(begin, world.now) <= ms(71),
            "seed {seed}"
        );
    }
}
