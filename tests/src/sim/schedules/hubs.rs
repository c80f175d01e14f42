//! Clients of two hubs change from the one to the other: S16.

use knet_proto::time::Span;

use super::Play;

/// The hubs, by number.
const HUBS: u64 = 2;

/// S16: hubs die and come back, stand still, or are cut off from a client, for one direction or both, while everybody sends to
/// everybody and floods.
///
/// What had come to the hub that is left, and was not yet reported, goes by the other one as well: there are two of it, and
/// each comes by both hubs to who is between them. It never comes back to who sent it.
pub(super) fn take_overs(play: &mut Play) {
    let clients = 2 + play.below(3) as usize;
    let (links, policy) = (1 + play.link(3), play.policy());
    let mut world = play.world(HUBS as usize + clients, links, policy, HUBS as usize);
    for client in HUBS as usize..HUBS as usize + clients {
        if play.chance(2) {
            world.set_preference(client, play.below(HUBS) as usize, 200);
        }
    }
    world.ledger.copies_allowed = 4;
    for _ in 0..play.rounds {
        world.traffic_everywhere(Span::from_millis(20), Span::from_secs(25));
        for n in 0..HUBS as usize + clients {
            world.broadcasts(n, Span::from_millis(20), Span::from_secs(25));
        }
        for _ in 0..4 {
            let hub = play.below(HUBS) as usize;
            let client = HUBS as usize + play.below(clients as u64) as usize;
            match play.below(4) {
                0 => {
                    world.kill(hub);
                    world.run(play.ms(0, 2_000));
                    world.start(hub);
                }
                1 => {
                    for link in 0..links {
                        world.network.cut(link, hub, client, true);
                    }
                    world.run(play.ms(0, 4_000));
                    for link in 0..links {
                        world.network.cut(link, hub, client, false);
                    }
                }
                2 => {
                    let (from, to) = if play.chance(2) {
                        (hub, client)
                    } else {
                        (client, hub)
                    };
                    for link in 0..links {
                        world.network.channel(link, from, to).cut = true;
                    }
                    world.run(play.ms(0, 4_000));
                    for link in 0..links {
                        world.network.channel(link, from, to).cut = false;
                    }
                }
                // Not for so long that its links are down.
                _ => world.pause(hub, play.ms(0, 2_000)),
            }
            world.run(play.ms(0, 5_000));
        }
    }
    play.finish(world);
}
