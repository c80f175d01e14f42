//! What went wrong in kronosnet, by the number that the test plan gives it, must not go wrong here. K1, K5 and K6 are
//! in the core, beside the reassembly of fragments.

use knet_proto::{
    config::PolicyKind, drop_reason::DropReason, ids::Workers, path::Path, status::LinkState, time::Span,
};
use knet_tests::sim::{FULL, Setup, World, network::Network, schedules::Schedule};

use crate::{assert_sound, ms, secs};

/// K2 (CVE-2026-15812): a control message counts only over its own link, and moves nothing from an address that has
/// not answered a challenge.
#[test]
fn k2_control_over_another_link_or_from_another_address_changes_nothing() {
    for hub in [false, true] {
        let mut world = World::new(Setup {
            seed: 2,
            links: 3,
            hubs: usize::from(hub),
            ..Setup::default()
        });
        world.run(secs(5));
        // Genuine messages that have not arrived: nothing but where they come from can be wrong with them.
        for link in 0..3 {
            world.network.cut(link, 0, 1, true);
        }
        world.tap = true;
        world.run(ms(1_150));
        world.tap = false;
        let tapped: Vec<_> = std::mem::take(&mut world.tapped);
        let control: Vec<_> = tapped.into_iter().filter(|(_, _, bytes)| bytes[0] == 5).collect();
        assert!(control.len() >= 3, "{} messages", control.len());
        let remotes = |world: &World, n: usize| -> Vec<_> {
            let peer = world.peer(n, 1 - n);
            peer.links.iter().map(|l| (l.remote, l.socket, l.state)).collect()
        };
        let before = [remotes(&world, 0), remotes(&world, 1)];
        let refused = |world: &World, n: usize| {
            [
                DropReason::LinkMismatch,
                DropReason::LinkUnknown,
                DropReason::AeadOpen,
            ]
            .map(|r| world.drops(n, r))
        };
        for (path, to, bytes) in &control {
            let (to, from, own) = (*to, 1 - *to, path.socket.0);
            let other = (own + 1) % 3;
            let stranger = "203.0.113.9:99".parse().expect("an address");
            let wrong = [
                (other, Network::home(from, other), "over another link"),
                (other, path.remote, "on another link's socket"),
                (own, Network::home(from, other), "from another link's address"),
                (own, stranger, "from a stranger"),
            ];
            for (socket, remote, how) in wrong {
                let count: u64 = refused(&world, to).iter().sum();
                world.inject(to, socket, remote, bytes.clone());
                assert_eq!(refused(&world, to).iter().sum::<u64>(), count + 1, "{how}");
            }
            // Another link in the header: the key does not fit.
            for link in (0..=255).filter(|l| *l != bytes[1]) {
                let mut renamed = bytes.clone();
                renamed[1] = link;
                world.inject(to, own, path.remote, renamed);
            }
            assert_eq!([remotes(&world, 0), remotes(&world, 1)], before, "hub {hub}");
        }
        // They were genuine: from where they belong they count, and nothing above has used them up.
        let mismatches: u64 = (0..2).flat_map(|n| refused(&world, n)).sum();
        let replays: u64 = (0..2).map(|n| world.drops(n, DropReason::Replay)).sum();
        for (path, to, bytes) in control {
            let Path { socket, remote, .. } = path;
            world.inject(to, socket.0, remote, bytes);
        }
        assert_eq!((0..2).flat_map(|n| refused(&world, n)).sum::<u64>(), mismatches);
        assert_eq!(
            (0..2).map(|n| world.drops(n, DropReason::Replay)).sum::<u64>(),
            replays
        );
        assert_sound(&world, 2);
    }
}

/// K4 (a distance computed backwards across the end of a sequence): the counter ends, and a new session begins at 0.
#[test]
fn k4_the_counter_ends_and_nothing_is_computed_across_its_end() {
    let schedule = Schedule::named("s14-counter").expect("a schedule");
    for seed in 0..30 {
        let outcome = schedule.play(seed, 2, Workers::ONE, false);
        assert!(outcome.broken.is_empty(), "{outcome}");
    }
}

/// K9 (an index one beyond the end, in the history of flapping links): a carrier goes and comes 200,000 times.
#[test]
fn k9_a_link_that_flaps_for_ever_harms_nothing() {
    let mut world = World::new(Setup {
        seed: 9,
        links: 2,
        ..Setup::default()
    });
    world.run(secs(12));
    let begin = world.now;
    world.traffic(0, 1, ms(5), secs(1_000));
    world.traffic(1, 0, ms(5), secs(1_000));
    for _ in 0..1_000 {
        for flap in 0..200 {
            world.carrier(flap % 2, 0, false);
            world.carrier(flap % 2, 0, true);
        }
        world.run(secs(1));
        world.events.clear();
    }
    world.run(secs(5));
    assert_eq!(
        world.ledger.lost(begin, world.now).1,
        0,
        "the other link was not disturbed"
    );
    world.wind_up();
    assert_sound(&world, 9);
}

/// K12 (state of the process before refused the one after it; data before "link up" was dropped): a process that is
/// started at the moment it dies is heard within 100 ms, however often, and what it sends is taken.
#[test]
fn k12_a_process_that_is_restarted_at_once_is_heard_at_once() {
    for seed in 0..20 {
        let mut world = World::new(Setup {
            seed,
            links: 2,
            policy: [PolicyKind::Passive, PolicyKind::RoundRobin][(seed % 2) as usize],
            ..Setup::default()
        });
        world.run(secs(3));
        for round in 0..10 {
            let victim = (seed as usize + round) % 2;
            world.kill(victim);
            world.start(victim);
            world.run(ms(100));
            let from = world.now;
            world.traffic(victim, 1 - victim, ms(10), secs(1));
            world.run(ms(1_500));
            let (sent, lost) = world.ledger.lost(from, world.now);
            assert!(
                sent >= 100 && lost == 0,
                "seed {seed}, round {round}: {lost} of {sent}"
            );
        }
        assert_sound(&world, seed);
    }
}

/// K13 (issue 434: "link up", and no frame passes because its MTU is not known yet): in the very moment that a link is
/// up both ways it carries full frames, whatever the path takes.
#[test]
fn k13_a_link_that_is_up_carries_full_frames_at_once() {
    for mtu in [1_228, 1_280, 1_400, 1_492, 1_500] {
        let mut world = World::new(Setup {
            seed: mtu as u64,
            links: 1,
            ..Setup::default()
        });
        world.network.default.mtu = mtu;
        for _ in 0..3_000 {
            world.run(Span::from_micros(500));
            let up = |a: usize, b: usize| {
                let peer = world.peer(a, b);
                peer.session.is_some() && peer.links[0].state == LinkState::Up
            };
            if up(0, 1) && up(1, 0) {
                break;
            }
        }
        let from = world.now;
        world.traffic_of(FULL, 0, 1, ms(1), ms(100));
        world.traffic_of(FULL, 1, 0, ms(1), ms(100));
        world.run(secs(2));
        let (sent, lost) = world.ledger.lost(from, world.now);
        assert!(sent == 200 && lost == 0, "path of {mtu}: {lost} of {sent} lost");
        assert_sound(&world, mtu as u64);
    }
}
