//! The protocol core in a simulated world: invariants I1-I3, I5, I7, I9, I10, I12 and I13, over many seeds.
//!
//! `KNET_SEEDS=FROM..TO` runs other seeds than 0..200; a failing test names its seed.

use knet_proto::{
    config::PolicyKind,
    drop_reason::DropReason,
    event::{Event, SessionDownReason},
    rng::{Entropy, SeededEntropy},
    status::LinkState,
    time::{Span, Time},
};
use knet_tests::sim::{
    Setup, World,
    network::{Channel, Network},
};

const POLICIES: [PolicyKind; 3] = [PolicyKind::Passive, PolicyKind::Active, PolicyKind::RoundRobin];

fn seeds() -> std::ops::Range<u64> {
    let given = std::env::var("KNET_SEEDS").ok();
    let parse = |s: &str| -> Option<std::ops::Range<u64>> {
        let (from, to) = s.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    };
    given.map_or(0..200, |s| {
        parse(&s).unwrap_or_else(|| panic!("KNET_SEEDS={s}: want FROM..TO"))
    })
}

fn ms(n: u64) -> Span {
    Span::from_millis(n)
}

fn secs(n: u64) -> Span {
    Span::from_secs(n)
}

#[track_caller]
fn assert_sound(world: &World, seed: u64) {
    assert!(
        world.breaches().is_empty(),
        "seed {seed}: {:#?}",
        &world.breaches()[..world.breaches().len().min(5)]
    );
}

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
            match pick.below(6) {
                0 => world.network.cut(link, 0, 1, true),
                1 => world.network.channel(link, 0, 1).cut = true,
                2 => world.network.channel(link, 1, 0).cut = true,
                3 => world.carrier(0, link, false),
                _ => {
                    world.carrier(0, link, true);
                    world.network.cut(link, 0, 1, false);
                }
            }
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
    let (sent, lost) = world.ledger.lost(begin, world.now);
    let first = world.ledger.missing(begin, world.now).next();
    assert_eq!(
        lost, 0,
        "{policy:?}, seed {seed}: of {sent}; the first: {first:?}"
    );
}

#[test]
fn links_die_all_the_time_and_no_frame_is_lost() {
    for seed in seeds() {
        for policy in POLICIES {
            a_link_dies_every_200_ms(policy, seed);
        }
    }
}

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
        let rekeys = world
            .events
            .iter()
            .filter(|(_, _, e)| matches!(e, Event::SessionUp { rekey: true, .. }))
            .count();
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
    let rekeys = world
        .events
        .iter()
        .filter(|(_, _, e)| matches!(e, Event::SessionUp { rekey: true, .. }))
        .count();
    assert!(rekeys >= 6, "{rekeys} rekeys at both ends");
    assert_eq!(world.ledger.lost(begin, world.now).1, 0);
    assert_sound(&world, 6);
}

#[test]
fn a_hub_forgets_clients_that_are_gone_and_takes_them_back() {
    let mut world = World::new(Setup {
        seed: 7,
        hub: true,
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
            hub: seed % 2 == 0,
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
fn strangers_change_nothing_and_get_no_more_than_they_gave() {
    for seed in 0..40 {
        let mut world = World::new(Setup {
            seed,
            links: 2,
            hub: seed % 2 == 0,
            ..Setup::default()
        });
        world.tap = true;
        world.run(secs(3));
        world.traffic(0, 1, ms(20), secs(1));
        world.run(secs(2));
        world.tap = false;
        let mut rng = SeededEntropy::new([seed as u8; 32]);
        let tapped = std::mem::take(&mut world.tapped);
        let before = [world.state_of(0), world.state_of(1)];
        assert_eq!(
            before,
            [world.state_of(0), world.state_of(1)],
            "looking changes nothing"
        );
        let drops = world.drops(0, DropReason::AeadOpen) + world.drops(1, DropReason::AeadOpen);
        for i in 0..2_000_u32 {
            let (path, to, mut bytes) = tapped[rng.below(tapped.len() as u64) as usize].clone();
            let stranger = format!("198.51.{}.{}:{}", i % 200, i % 7 + 1, 1_024 + i % 999);
            let stranger = stranger.parse().expect("an address");
            match rng.below(3) {
                // Damaged in one bit, from a stranger.
                0 => {
                    let bit = rng.below(bytes.len() as u64 * 8) as usize;
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    world.inject(to, path.socket.0, stranger, bytes);
                }
                // Noise of a plausible kind.
                1 => {
                    let mut noise = vec![0; rng.below(300) as usize];
                    rng.fill(&mut noise);
                    if let Some(first) = noise.first_mut() {
                        *first = rng.below(9) as u8;
                    }
                    world.inject(to, path.socket.0, stranger, noise);
                }
                // Damaged, from the true address.
                _ => {
                    let at = rng.below(bytes.len() as u64 - 12) as usize + 12;
                    bytes[at] ^= 0x80;
                    if matches!(bytes[0], 4..=6) {
                        world.inject(to, path.socket.0, path.remote, bytes);
                    }
                }
            }
        }
        let after = [world.state_of(0), world.state_of(1)];
        assert_eq!(before, after, "seed {seed}: I10");
        let opened = world.drops(0, DropReason::AeadOpen) + world.drops(1, DropReason::AeadOpen);
        assert!(opened > drops, "seed {seed}: the attack did reach the keys");
        for (who, (given, got)) in &world.strangers {
            assert!(
                got <= given,
                "seed {seed}: {who} gave {given} and got {got} (I12)"
            );
        }
        assert_sound(&world, seed);
    }
}

#[test]
fn recordings_played_again_anywhere_are_delivered_to_nobody() {
    for seed in 0..20 {
        let mut world = World::new(Setup {
            seed,
            links: 3,
            policy: PolicyKind::RoundRobin,
            ..Setup::default()
        });
        world.tap = true;
        world.run(secs(3));
        world.traffic_everywhere(ms(10), secs(1));
        world.run(secs(2));
        let tapped = std::mem::take(&mut world.tapped);
        let play = |world: &mut World, tapped: &[(knet_proto::path::Path, usize, Vec<u8>)]| {
            for (i, (path, to, bytes)) in tapped.iter().enumerate() {
                // At once, over another link, from another host's address, from a stranger's.
                let socket = (path.socket.0 + (i % 3) as u8) % 3;
                let remote = match i % 4 {
                    0 => path.remote,
                    1 => Network::home(1 - to, socket),
                    2 => "203.0.113.9:99".parse().expect("an address"),
                    _ => Network::home(*to, socket),
                };
                world.inject(*to, socket, remote, bytes.clone());
            }
        };
        world.tap = false;
        play(&mut world, &tapped);
        world.run(secs(61));
        play(&mut world, &tapped);
        world.run(secs(130));
        play(&mut world, &tapped);
        world.kill(0);
        world.start(0);
        play(&mut world, &tapped);
        world.run(secs(5));
        play(&mut world, &tapped);
        world.run(secs(60));
        world.check_converged();
        let closed = world.events.iter().any(|(_, _, e)| {
            matches!(
                e,
                Event::SessionDown {
                    reason: SessionDownReason::ClosedByPeer,
                    ..
                }
            )
        });
        assert!(!closed, "seed {seed}");
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
            hub: true,
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
