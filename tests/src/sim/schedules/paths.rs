//! Paths get worse without dying: S3, S4 and S11.

use knet_proto::{event::Event, time::Span};

use super::Play;
use crate::sim::{FULL, SHORT, World};

/// No session may end over this: something passes at all times.
fn sessions_lasted(world: &mut World) {
    let ended = world
        .events
        .iter()
        .filter(|(_, _, e)| matches!(e, Event::SessionDown { .. }));
    let ended: Vec<String> = ended.take(3).map(|(_, n, e)| format!("{n}: {e:?}")).collect();
    if !ended.is_empty() {
        world
            .ledger
            .breach(world.now, format!("I13: sessions ended: {ended:?}"));
    }
}

/// S3: 30 % loss in bursts of 50 ms, on one link or on all.
pub(super) fn bursts(play: &mut Play) {
    let (links, policy) = (1 + play.link(4), play.policy());
    let mut world = play.world(2, links, policy, 0);
    for _ in 0..play.rounds {
        let all = play.chance(2);
        let sick = play.link(links);
        for link in (0..links).filter(|l| all || *l == sick) {
            for (a, b) in [(0, 1), (1, 0)] {
                world.network.channel(link, a, b).bursts = Some((Span::from_millis(50), 300_000));
            }
        }
        world.traffic_everywhere(Span::from_millis(2), Span::from_secs(8));
        world.run(play.ms(8_000, 20_000));
        for link in 0..links {
            world.network.channel(link, 0, 1).bursts = None;
            world.network.channel(link, 1, 0).bursts = None;
        }
        world.run(play.ms(0, 20_000));
    }
    sessions_lasted(&mut world);
    play.finish(world);
}

/// S4: a queue of 500 ms builds up at once, in one direction or both, on one link or all, and is gone again. Nothing
/// is lost on the way, so nothing may be missing in the end.
pub(super) fn bloat(play: &mut Play) {
    let (links, policy) = (1 + play.link(4), play.policy());
    let mut world = play.world(2, links, policy, 0);
    let begin = world.now;
    for _ in 0..play.rounds {
        world.run(Span::from_secs(6));
        world.traffic_everywhere(Span::from_millis(3), Span::from_secs(12));
        world.run(play.ms(500, 2_000));
        let usual = world.network.default.delay;
        let (all, ways, sick) = (play.chance(2), play.below(3), play.link(links));
        // A link whose round trip has become many times as long may be called down and up again while it lasts.
        world.under_attack = true;
        for link in (0..links).filter(|l| all || *l == sick) {
            for (way, a, b) in [(1, 0, 1), (2, 1, 0)] {
                if ways == 0 || ways == way {
                    world.network.channel(link, a, b).delay = usual + Span::from_millis(500);
                }
            }
        }
        world.run(play.ms(500, 6_000));
        for link in 0..links {
            world.network.channel(link, 0, 1).delay = usual;
            world.network.channel(link, 1, 0).delay = usual;
        }
        world.run(Span::from_secs(2));
        world.under_attack = false;
        world.run(play.ms(4_000, 18_000));
    }
    sessions_lasted(&mut world);
    world.run(Span::from_secs(13));
    let (sent, lost) = world.ledger.lost(begin, world.now);
    if lost > 0 {
        world.ledger.breach(
            world.now,
            format!("S4: {lost} of {sent} frames lost, and no link lost any"),
        );
    }
    play.finish(world);
}

/// S11: the path takes shorter packets than before, and nobody tells. Full frames arrive again after a moment.
pub(super) fn mtu(play: &mut Play) {
    let (links, policy) = (1 + play.link(3), play.policy());
    let mut world = play.world(2, links, policy, 0);
    for _ in 0..play.rounds {
        for size in [FULL, SHORT] {
            world.traffic_of(size, 0, 1, Span::from_millis(4), Span::from_secs(14));
            world.traffic_of(size, 1, 0, Span::from_millis(4), Span::from_secs(14));
        }
        world.run(play.ms(500, 2_000));
        let mtu = [1_492, 1_420, 1_280, 1_200, 1_000, 576][play.below(6) as usize];
        let (all, both, sick) = (play.chance(2), play.chance(2), play.link(links));
        for link in (0..links).filter(|l| all || *l == sick) {
            world.network.channel(link, 0, 1).mtu = mtu;
            if both {
                world.network.channel(link, 1, 0).mtu = mtu;
            }
        }
        world.run(Span::from_secs(5));
        let from = world.now;
        world.run(Span::from_secs(4));
        let (sent, lost) = world.ledger.lost(from, world.now - Span::from_secs(1));
        if sent == 0 || lost > 0 {
            let mtus: Vec<u16> = world.peer(0, 1).links.iter().map(|l| l.mtu).collect();
            world.ledger.breach(
                world.now,
                format!("S11: {lost} of {sent} frames lost 5 s after a path shrank to {mtu}; known {mtus:?}"),
            );
        }
        world.run(Span::from_secs(6));
        for link in 0..links {
            world.network.channel(link, 0, 1).mtu = 1_500;
            world.network.channel(link, 1, 0).mtu = 1_500;
        }
        world.run(play.ms(0, 40_000));
    }
    play.finish(world);
}
