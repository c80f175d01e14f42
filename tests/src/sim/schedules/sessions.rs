//! Sessions begin and end at awkward moments: S10, S13, S14 and S15.

use knet_proto::time::Span;

use super::Play;
use crate::sim::World;

/// Half of the counters are used: a new session is wanted.
const REKEY_AT: u32 = 1 << 31;
/// Five short of where sealing stops (S14).
const NEAR_THE_END: u32 = u32::MAX - (1 << 14) - 4;

/// S10: sessions come to the age of a rekey while all links but one die and come back.
pub(super) fn rekey(play: &mut Play) {
    let (links, policy) = (2 + play.link(4), play.policy());
    let mut world = play.world(2, links, policy, 0);
    for _ in 0..play.rounds {
        let good = play.link(links);
        for link in 0..links {
            world.network.cut(link, 0, 1, false);
        }
        // Until just before the side that began the session wants another one.
        let age = world.peer(0, 1).session.map_or(Span::ZERO, |s| s.age);
        world.run((Span::from_secs(107) - age).max(Span::from_secs(6)));
        let before = world.rekeys();
        world.traffic_everywhere(Span::from_millis(4), Span::from_secs(18));
        while world.rekeys() < before + 2 {
            for link in (0..links).filter(|l| *l != good) {
                let dies = play.chance(2);
                world.network.cut(link, 0, 1, dies);
            }
            world.run(play.ms(50, 600));
            if world
                .peer(0, 1)
                .session
                .is_none_or(|s| s.age > Span::from_secs(130))
            {
                world.ledger.breach(world.now, "S10: nobody has rekeyed");
                break;
            }
        }
        world.run(Span::from_secs(1));
    }
    play.finish(world);
}

/// S13: wall clocks jump by up to ten years, and processes are started anew: that costs a round trip, no connection.
pub(super) fn clock(play: &mut Play) {
    const DECADE: i64 = 315_360_000;
    let (links, policy, hub) = (1 + play.link(3), play.policy(), play.chance(3));
    let mut world = play.world(2, links, policy, usize::from(hub));
    for _ in 0..play.rounds {
        for _ in 0..4 {
            let n = play.below(2) as usize;
            let sign = if play.chance(2) { -1 } else { 1 };
            let off_by = match play.below(4) {
                0 => 0,
                1 => DECADE,
                2 => play.below(DECADE as u64) as i64,
                _ => play.below(7_200) as i64,
            };
            world.set_wall_clock(n, sign * off_by);
            if play.chance(2) {
                world.kill(n);
                world.start(n);
                let limit = Span::from_secs(if hub && n == 0 { 8 } else { 3 });
                world.run(limit);
                let fresh = |w: &World, a, b| w.peer(a, b).session.is_some_and(|s| s.age <= limit);
                if !fresh(&world, 0, 1) || !fresh(&world, 1, 0) {
                    let lines = [world.state_line(0, 1), world.state_line(1, 0)];
                    let text = format!(
                        "S13: no new session {} s after the start: {lines:?}",
                        limit.as_secs()
                    );
                    world.ledger.breach(world.now, text);
                }
            } else {
                world.skip_data_counters(n, 1 - n, REKEY_AT);
                world.run(play.ms(1_500, 4_000));
            }
        }
    }
    play.finish(world);
}

/// S14: only four more datagrams can be sealed. A new session follows, and frames pass again.
pub(super) fn counter(play: &mut Play) {
    let (links, policy) = (1 + play.link(4), play.policy());
    let mut world = play.world(2, links, policy, 0);
    for _ in 0..play.rounds {
        let before = world.rekeys();
        world.traffic_everywhere(Span::from_millis(10), Span::from_secs(6));
        world.run(play.ms(100, 1_000));
        let n = play.below(2) as usize;
        world.skip_data_counters(n, 1 - n, NEAR_THE_END);
        if play.chance(2) {
            world.skip_data_counters(1 - n, n, NEAR_THE_END);
        }
        world.run(Span::from_secs(3));
        let from = world.now;
        world.run(Span::from_secs(2));
        let (sent, lost) = world.ledger.lost(from, world.now - Span::from_secs(1));
        if world.rekeys() == before || sent == 0 || lost > 0 {
            let lines = [world.state_line(0, 1), world.state_line(1, 0)];
            let text = format!("S14: {lost} of {sent} frames lost 3 s after the counter's end: {lines:?}");
            world.ledger.breach(world.now, text);
        }
        world.run(play.ms(2_000, 8_000));
    }
    play.finish(world);
}

/// S15: both sides are started at the same moment and call each other: one session is left, and both use it.
pub(super) fn crossing(play: &mut Play) {
    let (links, policy) = (1 + play.link(3), play.policy());
    let mut world = play.world(2, links, policy, 0);
    for _ in 0..20 * play.rounds {
        world.kill(0);
        world.kill(1);
        world.start(0);
        world.run(Span::from_nanos(play.below(3) * play.below(40_000_000)));
        world.start(1);
        world.run(Span::from_millis(1_500));
        let role = |w: &World, a, b| w.peer(a, b).session.map(|s| s.role);
        let roles = (role(&world, 0, 1), role(&world, 1, 0));
        if roles.0.is_none() || roles.1.is_none() || roles.0 == roles.1 {
            world
                .ledger
                .breach(world.now, format!("S15: the roles after a crossing: {roles:?}"));
        }
    }
    play.finish(world);
}
