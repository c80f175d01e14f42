//! Links die, in one direction or both: noticed in time, and nothing is lost.

use knet_proto::{
    config::PolicyKind,
    event::Event,
    rng::{Entropy, SeededEntropy},
    status::LinkState,
    time::{Span, Time},
};
use knet_tests::sim::{Setup, World};

use crate::{POLICIES, assert_nothing_lost, assert_sound, cut_or_mend, ms, secs, seeds};

/// I4: with one good link in both directions no frame of a healthy time is lost, whatever dies and in whatever order.
/// Schedule S1: every 200 ms another set of links is cut, in one direction or both, under dense traffic.
fn a_link_dies_every_200_ms(policy: PolicyKind, seed: u64) {
    let mut pick = SeededEntropy::new([seed as u8 ^ 0x33; 32]);
    let links = 2 + pick.below(7) as u8;
    let mut world = World::new(Setup {
        seed,
        links,
        policy,
        ..Setup::default()
    });
    world.network.default.delay = Span::from_micros(100 + pick.below(20_000));
    world.run(secs(5));
    let begin = world.now;
    let every = Span::from_micros(300 + pick.below(5_000));
    world.traffic(0, 1, every, secs(20));
    world.traffic(1, 0, every, secs(20));
    let mut good = pick.below(u64::from(links)) as u8;
    while world.now.since(begin) < secs(18) {
        for link in (0..links).filter(|l| *l != good) {
            cut_or_mend(&mut world, link, pick.below(6));
        }
        world.run(ms(200));
        // The next good link is mended first, and has the time to be noticed and to be trusted.
        if pick.below(10) == 0 {
            let next = pick.below(u64::from(links)) as u8;
            world.carrier(0, next, true);
            world.network.cut(next, 0, 1, false);
            world.run(secs(4));
            good = next;
        }
    }
    world.run(secs(4));
    assert_sound(&world, seed);
    assert_nothing_lost(&world, begin, policy, seed);
}

#[test]
fn links_die_all_the_time_and_no_frame_is_lost() {
    for seed in seeds(20) {
        for policy in POLICIES {
            a_link_dies_every_200_ms(policy, seed);
        }
    }
}

#[test]
fn a_silent_cut_under_traffic_is_noticed_within_thirty_milliseconds() {
    for seed in 0..20 {
        let mut world = World::new(Setup {
            seed,
            links: 3,
            ..Setup::default()
        });
        world.run(secs(3));
        world.traffic(0, 1, Span::from_micros(500), secs(2));
        world.traffic(1, 0, Span::from_micros(500), secs(2));
        world.run(ms(1_000));
        let cut_at = world.now;
        world.network.cut(0, 0, 1, true);
        world.run(secs(2));
        let gap = world.ledger.longest_gap(cut_at - ms(100), world.now);
        assert!(
            gap <= ms(30),
            "seed {seed}: {} ms without a frame",
            gap.as_millis()
        );
        let suspect = world.events.iter().find(|(at, _, e)| {
            *at >= cut_at
                && matches!(
                    e,
                    Event::LinkState {
                        to: LinkState::Suspect,
                        ..
                    }
                )
        });
        let suspect = suspect
            .map(|(at, _, _)| at.since(cut_at))
            .expect("the cut was noticed");
        assert!(
            suspect <= ms(20),
            "seed {seed}: suspected after {} ms",
            suspect.as_millis()
        );
        assert_eq!(world.peer(0, 1).links[0].state, LinkState::Down, "seed {seed}");
        assert_eq!(world.peer(0, 1).links[1].state, LinkState::Up, "seed {seed}");
        assert_sound(&world, seed);
    }
}

#[test]
fn an_idle_link_that_dies_is_noticed_within_1300_ms_in_either_direction() {
    for seed in 0..30 {
        for (forth, back) in [(true, true), (true, false), (false, true)] {
            let mut world = World::new(Setup {
                seed,
                links: 2,
                ..Setup::default()
            });
            world.run(ms(4_000 + 37 * seed));
            let cut_at = world.now;
            world.network.channel(1, 0, 1).cut = forth;
            world.network.channel(1, 1, 0).cut = back;
            world.run(ms(1_300));
            let noticed = |(at, _, e): &&(Time, usize, Event)| {
                *at >= cut_at
                    && matches!(
                        e,
                        Event::LinkState {
                            to: LinkState::Down | LinkState::Suspect,
                            ..
                        }
                    )
                    || matches!(e, Event::LinkReceive { ok: false, .. })
            };
            let lines = [world.state_line(0, 1), world.state_line(1, 0)];
            assert!(
                world.events.iter().any(|e| noticed(&e)),
                "seed {seed} {forth} {back}: {lines:?}"
            );
            world.run(secs(3));
            // A direction that works is still used, a direction that does not is known not to.
            let (ab, ba) = (
                world.peer(0, 1).links[1].clone(),
                world.peer(1, 0).links[1].clone(),
            );
            let lines = [world.state_line(0, 1), world.state_line(1, 0)];
            assert_eq!(
                ab.state == LinkState::Up,
                !forth,
                "seed {seed} {forth} {back}: {lines:?}"
            );
            assert_eq!(
                ba.state == LinkState::Up,
                !back,
                "seed {seed} {forth} {back}: {lines:?}"
            );
            assert_eq!(ba.receiving, !forth, "seed {seed} {forth} {back}: {lines:?}");
            assert_eq!(ab.receiving, !back, "seed {seed} {forth} {back}: {lines:?}");
            assert_sound(&world, seed);
        }
    }
}

/// The `timeout` of the last link counts from the first datagram that went unanswered, at both ends and whenever the last
/// heartbeat was.
#[test]
fn the_last_link_has_its_whole_timeout() {
    for phase in 0..10 {
        let mut world = World::new(Setup {
            seed: phase,
            links: 1,
            ..Setup::default()
        });
        world.run(secs(5) + ms(100 * phase));
        for (silence, downs) in [(ms(2_800), 0), (ms(3_300), 1)] {
            world.network.cut(0, 0, 1, true);
            world.traffic_everywhere(ms(20), silence);
            world.run(silence);
            world.network.cut(0, 0, 1, false);
            for (of, to) in [(0, 1), (1, 0)] {
                let link = &world.peer(of, to).links[0];
                assert_eq!(link.verdicts.downs, downs, "phase {phase}, at {of}: {link:?}");
            }
            world.run(secs(10));
        }
        assert_sound(&world, phase);
    }
}
