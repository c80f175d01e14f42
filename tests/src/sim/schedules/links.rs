//! Links die: S1 and S2.

use knet_proto::{ids::LinkId, status::LinkState, time::Span};

use super::Play;
use crate::sim::{FULL, SHORT, World};

/// Frames both ways, at a random rate, short or long.
fn load(play: &mut Play, world: &mut World, span: Span) {
    let every = Span::from_micros(500 + play.below(5_000));
    let size = if play.chance(4) { FULL } else { SHORT };
    world.traffic_of(size, 0, 1, every, span);
    world.traffic_of(size, 1, 0, every, span);
}

/// S1: all links but one are cut and mended at random, in one direction or both, silently or with their carrier. The
/// one that is spared changes, and is mended before it is.
pub(super) fn cuts(play: &mut Play) {
    let (links, policy) = (2 + play.link(7), play.policy());
    let mut world = play.world(2, links, policy, 0);
    let mut good = play.link(links);
    for _ in 0..play.rounds {
        world.carrier(0, good, true);
        world.network.cut(good, 0, 1, false);
        world.run(Span::from_secs(6));
        load(play, &mut world, Span::from_secs(8));
        for _ in 0..25 {
            for link in (0..links).filter(|l| *l != good) {
                match play.below(6) {
                    0 => world.network.cut(link, 0, 1, true),
                    1 => world.network.channel(link, 0, 1).cut = true,
                    2 => world.network.channel(link, 1, 0).cut = true,
                    3 => world.carrier(play.below(2) as usize, link, false),
                    _ => {
                        world.carrier(0, link, true);
                        world.carrier(1, link, true);
                    }
                }
            }
            world.run(Span::from_millis(200));
        }
        world.run(Span::from_secs(4));
        good = play.link(links);
    }
    play.finish(world);
}

/// S2: one direction of a link in use dies. The other direction is still used; the next link takes over.
pub(super) fn one_way(play: &mut Play) {
    let (links, policy) = (2 + play.link(4), play.policy());
    let mut world = play.world(2, links, policy, 0);
    for _ in 0..play.rounds {
        world.run(Span::from_secs(6));
        load(play, &mut world, Span::from_secs(4));
        world.run(play.ms(500, 1_500));
        let from = play.below(2) as usize;
        let to = 1 - from;
        let link = world
            .peer(from, to)
            .active_links
            .first()
            .copied()
            .map_or(0, LinkId::get);
        world.network.channel(link, from, to).cut = true;
        world.run(Span::from_millis(2_400));
        let state = |w: &World, a, b| w.peer(a, b).links[usize::from(link)].clone();
        let (dead, alive) = (state(&world, from, to), state(&world, to, from));
        let seen = dead.state != LinkState::Up && !alive.receiving;
        let spared = alive.state == LinkState::Up && dead.receiving;
        if !seen || !spared {
            let lines = [world.state_line(from, to), world.state_line(to, from)];
            world.ledger.breach(
                world.now,
                format!("S2: {from}->{to} on link {link} is dead, not the other way: {lines:?}"),
            );
        }
        world.network.channel(link, from, to).cut = false;
        world.run(play.ms(0, 70_000));
    }
    play.finish(world);
}
