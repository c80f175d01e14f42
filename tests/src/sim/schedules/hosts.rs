//! Hosts die, move and stand still: S5, S6 and S9.

use knet_proto::{
    event::{Event, LinkReason},
    status::LinkState,
    time::{Span, Time},
};

use super::Play;

/// S5: processes die without a word and are started again: one, several, all at once, again and again.
pub(super) fn restarts(play: &mut Play) {
    let nodes = 2 + play.below(3) as usize;
    let (links, policy, hub) = (1 + play.link(4), play.policy(), play.chance(3));
    let mut world = play.world(nodes, links, policy, usize::from(hub));
    for _ in 0..play.rounds {
        world.traffic_everywhere(Span::from_millis(20), Span::from_secs(25));
        for _ in 0..6 {
            let victims: Vec<usize> = (0..nodes).filter(|_| play.chance(2)).collect();
            for v in &victims {
                world.kill(*v);
            }
            world.run(play.ms(0, 2_000));
            for v in &victims {
                world.start(*v);
                if play.chance(3) {
                    world.run(play.ms(0, 200));
                }
            }
            world.run(play.ms(0, 1_500));
        }
        // A hub has nobody to call: it waits until the others have noticed.
        world.run(Span::from_secs(if hub { 8 } else { 3 }));
        let from = world.now;
        world.traffic_everywhere(Span::from_millis(20), Span::from_secs(1));
        world.run(Span::from_secs(2));
        let (sent, lost) = world.ledger.lost(from, world.now - Span::from_secs(1));
        if lost > 0 && !(hub && nodes > 2) {
            world.ledger.breach(
                world.now,
                format!("S5: {lost} of {sent} frames lost after the last start"),
            );
        }
        world.run(Span::from_secs(2));
    }
    play.finish(world);
}

/// S6: both ends of a link get another address at the same moment: neither knows where the other is. One link is
/// spared; the others heal when one end is home again.
pub(super) fn roam(play: &mut Play) {
    let (links, policy, hub) = (2 + play.link(4), play.policy(), play.chance(2));
    let mut world = play.world(2, links, policy, usize::from(hub));
    for _ in 0..play.rounds {
        world.run(Span::from_secs(6));
        world.traffic_everywhere(Span::from_millis(5), Span::from_secs(10));
        world.run(play.ms(500, 1_500));
        let spared = play.link(links);
        for link in (0..links).filter(|l| *l != spared) {
            world.network.roam(0, link);
            world.network.roam(1, link);
        }
        world.run(play.ms(0, 8_000));
        for link in 0..links {
            world.network.go_home(0, link);
            if play.chance(2) {
                world.network.go_home(1, link);
            }
        }
        world.run(play.ms(0, 90_000));
    }
    play.finish(world);
}

/// S9: 63 clients of a hub, which stands still for 2 s. That is less than a link's timeout, but not less than what is
/// left of it after a heartbeat's interval: a link may be called down then, but only by its full timeout or because the
/// other side says that nothing arrived, and is up again soon after. No session ends.
pub(super) fn hub_pause(play: &mut Play) {
    let (links, policy) = (1 + play.link(2), play.policy());
    let mut world = play.world(64, links, policy, 1);
    let begin = world.now;
    for _ in 0..play.rounds.min(4) {
        for n in 1..64 {
            world.traffic(n, 0, Span::from_millis(200), Span::from_secs(5));
            world.traffic(0, n, Span::from_millis(200), Span::from_secs(5));
        }
        world.run(play.ms(500, 1_500));
        world.pause(0, Span::from_secs(2));
        world.run(Span::from_secs(8));
    }
    let too_soon = |e: &Event| match e {
        Event::LinkState {
            to: LinkState::Down,
            reason,
            silent,
            ..
        } => *reason != LinkReason::PeerReports && *silent < Span::from_secs(3),
        Event::SessionDown { .. } => true,
        _ => false,
    };
    let blamed = |(at, _, e): &&(Time, usize, Event)| *at >= begin && too_soon(e);
    let count = world.events.iter().filter(blamed).count();
    if let Some((at, n, event)) = world.events.iter().find(blamed).cloned() {
        let text = format!("S9: {count} links or sessions blamed, the first by {n}: {event:?}");
        world.ledger.breach(at, text);
    }
    for n in 1..64 {
        if world.peer(n, 0).links.iter().any(|l| l.state != LinkState::Up) {
            let line = world.state_line(n, 0);
            world
                .ledger
                .breach(world.now, format!("S9: not up 6 s after the pause: {line}"));
        }
    }
    play.finish(world);
}
