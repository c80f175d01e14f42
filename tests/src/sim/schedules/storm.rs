//! Faults of every kind.

use knet_proto::{ids::WorkerId, rng::Entropy, time::Span};

use super::Play;

pub(super) fn storm(play: &mut Play) {
    let nodes = 2 + play.below(3) as usize;
    let links = 1 + play.link(8);
    let (policy, hub) = (play.policy(), play.chance(3));
    let mut world = play.world(nodes, links, policy, usize::from(hub));
    // Half of the worlds lose nothing but by death.
    if play.chance(2) {
        world.network.default.loss_ppm = play.below(20_000) as u32;
        world.network.default.reorder_ppm = play.below(20_000) as u32;
    }
    world.network.default.duplicate_ppm = play.below(20_000) as u32;
    let workers = play.workers;
    let several = workers.get() > 1;
    if several && play.chance(2) {
        world.astray_ppm = 20_000;
    }
    let host = |play: &mut Play| play.pick.below(nodes as u64) as usize;
    for _ in 0..play.rounds {
        world.traffic_everywhere(Span::from_millis(50), Span::from_secs(15));
        for _ in 0..8 {
            let (a, b, l) = (host(play), host(play), play.link(links));
            match play.below(10) {
                0 => world.network.cut(l, a, b, true),
                1 => world.network.channel(l, a, b).cut = true,
                2 => world.network.cut(l, a, b, false),
                3 => world.carrier(a, l, false),
                4 => world.carrier(a, l, true),
                5 if several && play.chance(2) => {
                    let worker = WorkerId(play.below(workers.get().into()) as u8);
                    world.pause_worker(a, worker, play.ms(0, 3_000));
                }
                5 => world.pause(a, play.ms(0, 3_000)),
                6 if hub && a != 0 => world.network.roam(a, l),
                6 => world.set_wall_clock(a, [-315_360_000, 315_360_000, 3_600, 0][play.below(4) as usize]),
                7 if a != b && (!hub || a == 0 || b == 0) => {
                    world.remove_peer(a, b);
                    world.run(play.ms(0, 3_000));
                    world.restore_peer(a, b);
                }
                8 => world.set_cost(a, l, [0, 0, 10, 20][play.below(4) as usize]),
                _ => {
                    world.kill(a);
                    world.run(play.ms(0, 1_500));
                    world.start(a);
                }
            }
            world.run(play.ms(0, 4_000));
        }
    }
    play.finish(world);
}
