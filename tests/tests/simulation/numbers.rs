//! The numbers of a link, in both directions and at both ends, and how often it was judged in which way.

use knet_proto::{config::PolicyKind, status::LinkStatus, time::Span};
use knet_tests::sim::{Setup, World};

use crate::{assert_sound, ms, secs};

fn link(world: &World, of: usize, to: usize, n: usize) -> LinkStatus {
    world.peer(of, to).links[n].clone()
}

#[test]
fn both_ends_know_how_each_direction_treats_datagrams() {
    let mut world = World::new(Setup {
        links: 1,
        ..Setup::default()
    });
    let bad = world.network.channel(0, 0, 1);
    bad.reorder_ppm = 200_000;
    bad.jitter = ms(2);
    bad.loss_ppm = 50_000;
    world.run(secs(2));
    // Each report of what comes is a control message the other way.
    world.traffic_everywhere(ms(2), secs(40));
    world.run(secs(40));
    let (here, there) = (link(&world, 0, 1, 0), link(&world, 1, 0, 0));
    let told = here.tx_quality.expect("the peer tells with its heartbeats");
    for (quality, loss_ppm) in [(told, here.tx_loss_ppm), (there.rx_quality, there.rx_loss_ppm)] {
        assert!((20_000..=200_000).contains(&quality.reordered_ppm), "{quality:?}");
        assert!((300..=2_500).contains(&quality.jitter_us), "{quality:?}");
        assert!((30_000..=70_000).contains(&loss_ppm), "{loss_ppm}");
    }
    let told = there.tx_quality.expect("here too");
    for (quality, loss_ppm) in [(told, there.tx_loss_ppm), (here.rx_quality, here.rx_loss_ppm)] {
        assert_eq!(quality.reordered_ppm, 0);
        // Loss is exact where the order is kept: PINGs are overtaken by what they count.
        assert!(loss_ppm <= 1_000, "{loss_ppm}");
        assert!(quality.jitter_us <= 50, "{quality:?}");
    }
}

#[test]
fn the_slow_end_of_the_round_trip_is_that_of_the_last_minute() {
    let mut world = World::new(Setup::default());
    world.run(secs(30));
    // Ten seconds of a queue.
    world.network.channel(0, 0, 1).delay = ms(20);
    world.run(secs(10));
    world.network.channel(0, 0, 1).delay = Span::from_micros(150);
    world.run(secs(49));
    for (of, to) in [(0, 1), (1, 0)] {
        let (queued, other) = (link(&world, of, to, 0), link(&world, of, to, 1));
        assert!(
            queued.rtt_p99.is_some_and(|p| (ms(20)..ms(22)).contains(&p)),
            "{queued:?}"
        );
        assert!(queued.srtt < other.srtt.map(|s| s + ms(1)), "{queued:?}");
        assert!(other.rtt_p99.is_some_and(|p| p < ms(1)), "{other:?}");
    }
    world.run(secs(35));
    for (of, to) in [(0, 1), (1, 0)] {
        assert!(link(&world, of, to, 0).rtt_p99.is_some_and(|p| p < ms(1)));
    }
    assert_sound(&world, 1);
}

#[test]
fn what_was_not_held_against_a_link_is_counted() {
    let mut world = World::new(Setup {
        policy: PolicyKind::Active,
        ..Setup::default()
    });
    world.run(secs(5));
    // The peer's only uplink is gone for a second: nobody knows which link to blame.
    for n in 0..2 {
        world.network.cut(n, 0, 1, true);
    }
    world.traffic_everywhere(ms(5), secs(3));
    world.run(secs(1));
    for n in 0..2 {
        world.network.cut(n, 0, 1, false);
    }
    world.run(secs(5));
    for (of, to) in [(0, 1), (1, 0)] {
        assert_eq!(world.peer(of, to).stalls, 1);
        for n in 0..2 {
            let verdicts = link(&world, of, to, n).verdicts;
            assert_eq!(
                (verdicts.suspects, verdicts.spared, verdicts.downs),
                (1, 1, 0),
                "{verdicts:?}"
            );
        }
    }
    // A link that flaps answers, and is not used yet.
    world.traffic_everywhere(ms(5), secs(30));
    for mended in [secs(3), secs(3), secs(1)] {
        world.network.cut(1, 0, 1, true);
        world.run(secs(1));
        world.network.cut(1, 0, 1, false);
        world.run(mended);
    }
    let (flapping, other) = (link(&world, 0, 1, 1), link(&world, 0, 1, 0));
    assert!(
        flapping.verdicts.downs >= 2 && flapping.verdicts.held >= 1,
        "{flapping:?}"
    );
    assert!(flapping.held_for > Span::ZERO, "{flapping:?}");
    assert_eq!(
        (other.verdicts.downs, other.verdicts.held, other.held_for),
        (0, 0, Span::ZERO)
    );
    let hold = flapping.held_for;
    world.run(hold + secs(3));
    assert_eq!(link(&world, 0, 1, 1).held_for, Span::ZERO);
    assert_sound(&world, 1);
}

#[test]
fn what_is_too_long_for_the_path_or_goes_into_a_dead_link_is_no_loss() {
    for seed in 0..10 {
        let mut world = World::new(Setup {
            seed,
            ..Setup::default()
        });
        world.network.default.mtu = 1_300;
        world.run(secs(5));
        world.traffic_everywhere(ms(5), secs(60));
        world.run(ms(3_000 + 100 * seed));
        let lossless = |world: &World, when: &str| {
            for (of, to, n) in [(0, 1, 0), (0, 1, 1), (1, 0, 0), (1, 0, 1)] {
                let l = link(world, of, to, n);
                let loss = (l.tx_loss_ppm, l.rx_loss_ppm);
                assert_eq!(loss, (0, 0), "seed {seed}, {when}, at {of} link {n}");
            }
        };
        lossless(&world, "measured");
        // One direction dies, the other goes on to tell what arrived; on the idle link nothing is under way.
        world.network.channel(1, 0, 1).cut = true;
        world.run(secs(10));
        world.network.channel(1, 0, 1).cut = false;
        world.run(secs(10));
        let lost = link(&world, 0, 1, 1).tx_loss_ppm;
        assert!(lost <= 150_000, "seed {seed}: {lost}");
        assert_eq!(link(&world, 1, 0, 1).tx_loss_ppm, 0, "seed {seed}");
    }
}
