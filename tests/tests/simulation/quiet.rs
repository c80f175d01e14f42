//! While all is well: what an idle link costs, and what a rekey does not.

use knet_proto::{link::path_mtu::LimitReason, status::LinkState};
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

/// Datagrams that the two hosts have sent over all their links, both together.
fn sent(world: &World) -> u64 {
    let all = |a, b| world.peer(a, b).links.iter().map(|l| l.tx.packets).sum::<u64>();
    all(0, 1) + all(1, 0)
}

/// What it costs a hub that another one of tens of thousands comes: with each datagram more it takes longer until all are
/// there.
#[test]
fn a_client_of_a_hub_is_there_with_few_datagrams() {
    // Of two links with first probes, proven addresses, and the path MTU measured both ways. Cookies make it two more, but
    // the address of one link is proven by the cookie then (or that of none: where the answers to the first message overtake
    // each other).
    for (handshakes_waiting, all, mean) in [(0, 12, 12.0), (128, 14, 13.3)] {
        let mut came = Vec::new();
        for seed in 0..20 {
            let mut world = World::new(Setup {
                seed,
                hubs: 1,
                handshakes_waiting,
                ..Setup::default()
            });
            // The longest passes.
            world.network.default.mtu = 1_600;
            world.tap = true;
            world.run(ms(900));
            for (a, b) in [(0, 1), (1, 0)] {
                for link in world.peer(a, b).links {
                    let state = (link.state, link.mtu_limit);
                    let done = (LinkState::Up, LimitReason::Tunnel);
                    assert_eq!(state, done, "{}", world.state_line(a, b));
                }
            }
            let to = |host| world.tapped.iter().filter(|(_, to, _)| *to == host).count();
            came.push((to(0), to(1)));
            assert_sound(&world, seed);
        }
        let few = came.iter().all(|(to, from)| *to <= all && *from <= all);
        assert!(few, "to the hub and from it: {came:?}");
        let sum: usize = came.iter().map(|(to, from)| to + from).sum();
        assert!(
            sum as f64 <= mean * 2.0 * came.len() as f64,
            "to the hub and from it: {came:?}"
        );
    }
}

/// Hosts that hear nothing of each other may be what makes each other deaf, thousands of them.
#[test]
fn eight_links_without_an_answer_are_asked_as_often_as_two() {
    let count = |links: u8| {
        let mut world = World::new(Setup {
            seed: u64::from(links),
            links,
            ..Setup::default()
        });
        world.run(secs(5));
        for link in 0..links {
            world.network.cut(link, 0, 1, true);
        }
        // Until each has had the probes with which it would fail over to another.
        world.run(secs(2));
        let before = sent(&world);
        world.run(secs(20));
        let asked = sent(&world) - before;
        for link in 0..links {
            world.network.cut(link, 0, 1, false);
        }
        world.run(secs(15));
        let up = world.peer(0, 1).links.iter().all(|l| l.state == LinkState::Up);
        assert!(up, "{links} links: {}", world.state_line(0, 1));
        assert_sound(&world, u64::from(links));
        asked
    };
    let (two, eight) = (count(2), count(8));
    // Not quite: each has its first probes, at ever longer pauses, before it is among those that wait longest.
    assert!(
        eight < two * 2,
        "{two} datagrams over two links, {eight} over eight"
    );
}

/// What a hub with tens of thousands of peers can answer is what it has asked them for. When none hears it any more all of
/// them are in doubt together, and what they ask then must not keep it from answering.
#[test]
fn a_crowd_that_hears_nothing_asks_as_rarely_as_it_beats() {
    let count = |heartbeats_apart_ms: u16| {
        let mut world = World::new(Setup {
            heartbeats_apart_ms,
            ..Setup::default()
        });
        world.run(secs(30));
        for link in 0..2 {
            world.network.cut(link, 0, 1, true);
        }
        // Until both have noticed, and have had the probes with which a link would fail over to another.
        world.run(secs(10));
        let sent = |world: &World| {
            let by = |a, b| world.peer(a, b).links.iter().map(|l| l.tx.packets).sum::<u64>();
            [by(0, 1), by(1, 0)]
        };
        let before = sent(&world);
        world.run(secs(20));
        let after = sent(&world);
        for link in 0..2 {
            world.network.cut(link, 0, 1, false);
        }
        world.run(secs(30));
        let up = world.peer(0, 1).links.iter().all(|l| l.state == LinkState::Up);
        assert!(up, "{}", world.state_line(0, 1));
        assert_sound(&world, 1);
        // Whoever was asked when the session began heeds it; the other one would be the hub.
        (after[0] - before[0]).min(after[1] - before[1])
    };
    let (few, crowd) = (count(0), count(4_000));
    assert!(crowd <= 20 / 4 + 3, "{crowd} datagrams in 20 s");
    assert!(
        few >= 2 * crowd,
        "{few} datagrams where there is no crowd, {crowd} where there is"
    );
}

#[test]
fn a_question_has_three_answers_over_however_many_links() {
    let mut world = World::new(Setup {
        links: 8,
        ..Setup::default()
    });
    world.run(secs(40));
    let heard = |world: &World| world.peer(1, 0).links[0].rx.packets;
    let told = |world: &World| {
        let links = world.peer(1, 0).links;
        links.iter().skip(1).map(|l| l.tx.packets).sum::<u64>()
    };
    // What the other one says does not arrive: only answers over other links do.
    world.network.channel(0, 1, 0).cut = true;
    let before = (heard(&world), told(&world));
    world.run(ms(1_500));
    let (questions, answers) = (heard(&world) - before.0, told(&world) - before.1);
    assert!(questions >= 3, "{questions}");
    // And seven heartbeats a second.
    assert!(
        answers <= 2 * questions + 7 * 2,
        "{answers} answers to {questions} questions"
    );
    let link = &world.peer(0, 1).links[0];
    assert!(
        link.state == LinkState::Up && !link.receiving,
        "{}",
        world.state_line(0, 1)
    );
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

/// Each link loses a fifth in either direction, for 50 hours in all. That it does is not known in the first minute.
#[test]
fn hours_of_loss_on_idle_links_bring_none_down() {
    let downs = |world: &World| -> u32 {
        let of = |(of, to)| {
            world
                .peer(of, to)
                .links
                .iter()
                .map(|l| l.verdicts.downs)
                .sum::<u32>()
        };
        [(0, 1), (1, 0)].map(of).iter().sum()
    };
    let (mut early, mut all) = (0, 0);
    for seed in 0..50 {
        let mut world = World::new(Setup {
            seed,
            ..Setup::default()
        });
        world.network.default.loss_ppm = 200_000;
        world.run(secs(60));
        let before = downs(&world);
        world.run(secs(3_600));
        early += before;
        all += downs(&world) - before;
        assert_sound(&world, seed);
    }
    assert!(early <= 2, "{early} in the first minutes, counted at both ends");
    assert_eq!(all, 0, "counted at both ends");
}
