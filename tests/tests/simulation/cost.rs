//! Links whose bytes cost money: at rest while a cheaper one works, and there at once when it does not.

use knet_proto::{
    config::PolicyKind,
    event::Event,
    rng::Entropy,
    status::LinkState,
    time::{Span, Time},
};
use knet_tests::sim::{Setup, World};

use crate::{assert_nothing_lost, assert_sound, cut_or_mend, ms, secs};

const POLICIES: [PolicyKind; 5] = [
    PolicyKind::Passive,
    PolicyKind::Adaptive,
    PolicyKind::Active,
    PolicyKind::RoundRobin,
    PolicyKind::FlowHash,
];

/// Whom the bytes of the last link cost something.
const PAYERS: [&[usize]; 3] = [&[0, 1], &[0], &[1]];

/// Two hosts; what goes over the last of `links` costs `payers` money.
fn world(seed: u64, links: u8, policy: PolicyKind, payers: &[usize]) -> World {
    let mut world = World::new(Setup {
        seed,
        links,
        policy,
        ..Setup::default()
    });
    for node in payers {
        world.set_cost(*node, links - 1, 10);
    }
    world
}

/// A link that one side uses does not rest. Under the passive policy nobody uses the second one without need.
fn spare_it(world: &mut World, policy: PolicyKind, payers: &[usize]) {
    for other in (0..2).filter(|n| !payers.contains(n)) {
        world.set_cost(other, 1, u8::from(policy != PolicyKind::Passive));
    }
}

/// Datagrams that the two hosts have sent on `link`, both together.
fn sent(world: &World, link: usize) -> u64 {
    let packets = |a, b| world.peer(a, b).links[link].tx.packets;
    packets(0, 1) + packets(1, 0)
}

/// What somebody began to doubt since `from`.
fn doubts(world: &World, from: Time) -> Vec<&(Time, usize, Event)> {
    let doubt = |e: &Event| match e {
        Event::LinkState { to, .. } => *to < LinkState::Up,
        Event::LinkReceive { ok, .. } => !ok,
        _ => false,
    };
    let of_interest = |(at, _, e): &&(Time, usize, Event)| *at >= from && doubt(e);
    world.events.iter().filter(of_interest).collect()
}

fn in_use(world: &World, node: usize) -> Vec<u8> {
    let used = world.peer(node, 1 - node).active_links;
    used.iter().map(|l| l.get()).collect()
}

#[test]
fn at_rest_it_costs_a_datagram_in_sixteen_seconds_and_direction() {
    for (n, payers) in PAYERS.into_iter().enumerate() {
        for (seed, policy) in (n as u64 * 10..).zip(POLICIES) {
            let mut world = world(seed, 2, policy, payers);
            spare_it(&mut world, policy, payers);
            world.run(secs(60));
            let (begin, before) = (world.now, sent(&world, 1));
            world.traffic_everywhere(ms(20), secs(600));
            world.run(secs(600));
            let datagrams = sent(&world, 1) - before;
            // 600 s / 16 s, both ways; the pauses are 0.95..1.10 of that.
            assert!(
                (66..=80).contains(&datagrams),
                "{policy:?}, paid by {payers:?}: {datagrams} datagrams in ten minutes"
            );
            assert!(doubts(&world, begin).is_empty(), "{:?}", doubts(&world, begin));
            let heartbeats = [(0, 1), (1, 0)].map(|(a, b)| world.peer(a, b).links[1].heartbeat);
            assert!(
                heartbeats.iter().all(|h| h.as_secs() == 16),
                "what is shown: {heartbeats:?}"
            );
            assert_eq!(world.ledger.lost(begin, world.now).1, 0);
            assert_sound(&world, seed);
        }
    }
}

#[test]
fn one_that_the_peer_uses_does_not_rest() {
    for payer in [0, 1] {
        let mut world = world(3, 2, PolicyKind::Passive, &[payer]);
        // To the other one it is the better link.
        world.set_cost(1 - payer, 0, 20);
        world.run(secs(60));
        world.traffic_everywhere(ms(500), secs(60));
        world.run(secs(20));
        assert_eq!(
            (in_use(&world, payer), in_use(&world, 1 - payer)),
            (vec![0], vec![1])
        );
        let heartbeats = [0, 1].map(|n| world.peer(n, 1 - n).links[1].heartbeat);
        assert_eq!(heartbeats, [secs(1), secs(1)], "paid by {payer}");
        assert!(doubts(&world, world.now - secs(60)).is_empty());
    }
}

#[test]
fn it_stands_in_for_a_cheaper_one_that_dies_and_rests_again_afterwards() {
    for (n, payers) in PAYERS.into_iter().enumerate() {
        for (seed, policy) in (n as u64 * 10..).zip(POLICIES) {
            let mut world = world(seed, 2, policy, payers);
            spare_it(&mut world, policy, payers);
            world.run(secs(60));
            let begin = world.now;
            world.traffic_everywhere(ms(1), secs(20));
            let pause = ms(1_000 + world.rng.below(3_000));
            world.run(pause);
            let cut_at = world.now;
            world.network.cut(0, 0, 1, true);
            world.run(secs(10));
            assert_eq!((in_use(&world, 0), in_use(&world, 1)), (vec![1], vec![1]));
            world.network.cut(0, 0, 1, false);
            world.run(secs(10));
            assert_eq!(
                (in_use(&world, 0), in_use(&world, 1)),
                (vec![0], vec![0]),
                "{policy:?}"
            );
            let (sent_frames, lost) = world.ledger.lost(begin, world.now);
            assert!(sent_frames > 38_000);
            assert_eq!(lost, 0, "{policy:?}, paid by {payers:?}");
            let gap = world.ledger.longest_gap(cut_at - ms(100), world.now);
            assert!(
                gap <= ms(60),
                "{policy:?}: {} ms without a frame",
                gap.as_millis()
            );
            assert_eq!(world.ledger.out_of_order, 0, "{policy:?}");

            world.run(secs(60));
            let before = sent(&world, 1);
            world.run(secs(160));
            let datagrams = sent(&world, 1) - before;
            assert!(datagrams <= 22, "{policy:?}: {datagrams} datagrams in 160 s");
            assert_sound(&world, seed);
        }
    }
}

#[test]
fn cheap_links_come_and_go_and_nothing_is_lost() {
    for (seed, policy) in (0..20).flat_map(|n| POLICIES.map(|p| (n, p))) {
        let payers = PAYERS[seed as usize % 3];
        let mut world = world(seed, 3, policy, payers);
        world.network.default.delay = Span::from_micros(100 + world.rng.below(15_000));
        world.run(secs(40));
        let begin = world.now;
        world.traffic_everywhere(ms(3), secs(120));
        while world.now.since(begin) < secs(119) {
            for link in 0..2 {
                let number = world.rng.below(6);
                cut_or_mend(&mut world, link, number);
            }
            let pause = ms(50 + world.rng.below(15_000));
            world.run(pause);
        }
        world.run(secs(5));
        assert_sound(&world, seed);
        assert_nothing_lost(&world, begin, policy, seed);
    }
}

/// The price of its rest: that it is dead is noticed with the next heartbeat, and told to both.
#[test]
fn that_it_dies_at_rest_is_noticed_within_its_pause() {
    for seed in 0..20 {
        for (forth, back) in [(true, true), (true, false), (false, true)] {
            let mut world = world(seed, 2, PolicyKind::Passive, PAYERS[seed as usize % 3]);
            world.set_cost(0, 1, 10);
            world.run(secs(60) + ms(777 * seed));
            let cut_at = world.now;
            world.network.channel(1, 0, 1).cut = forth;
            world.network.channel(1, 1, 0).cut = back;
            world.run(secs(16).times(11).divided_by(10) + ms(400));
            assert!(
                !doubts(&world, cut_at).is_empty(),
                "seed {seed} {forth} {back}: {}",
                world.state_line(0, 1)
            );
            world.run(secs(4));
            let (ab, ba) = (&world.peer(0, 1).links[1], &world.peer(1, 0).links[1]);
            let lines = [world.state_line(0, 1), world.state_line(1, 0)];
            assert_eq!(ab.state == LinkState::Up, !forth, "seed {seed}: {lines:?}");
            assert_eq!(ba.state == LinkState::Up, !back, "seed {seed}: {lines:?}");
            assert_eq!(ba.receiving, !forth, "seed {seed}: {lines:?}");
            assert_eq!(ab.receiving, !back, "seed {seed}: {lines:?}");

            // Dead it costs no more than alive, and mended it comes back.
            world.run(secs(60));
            let before = sent(&world, 1);
            world.run(secs(160));
            let datagrams = sent(&world, 1) - before;
            assert!(
                datagrams <= 50,
                "seed {seed} {forth} {back}: {datagrams} in 160 s"
            );
            world.network.cut(1, 0, 1, false);
            world.run(secs(40));
            world.check_converged();
            assert_sound(&world, seed);
        }
    }
}
