//! Somebody between the hosts: S7 and S8.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use knet_proto::{drop_reason::DropReason, time::Span};

use super::Play;

/// S7: datagrams are moved to other networks, or copied there, and may arrive there sooner. Copies change nothing but
/// the order; what is moved is gone from its own network, so links may be blamed, but nothing is delivered twice and
/// control messages do not count.
pub(super) fn moved(play: &mut Play) {
    let (links, policy) = (2 + play.link(4), play.policy());
    let mut world = play.world(2, links, policy, 0);
    for _ in 0..play.rounds {
        world.traffic_everywhere(Span::from_millis(5), Span::from_secs(20));
        let share = [10_000, 100_000, 500_000][play.below(3) as usize];
        if play.chance(2) {
            world.under_attack = true;
            world.moved_ppm = share;
            for link in 0..links {
                // A network from which datagrams vanish is no good network.
                world.network.channel(link, 0, 1).loss_ppm = 1;
                world.network.channel(link, 1, 0).loss_ppm = 1;
            }
        } else {
            world.copied_ppm = share;
        }
        world.run(play.ms(500, 12_000));
        (world.moved_ppm, world.copied_ppm) = (0, 0);
        world.run(play.ms(0, 20_000));
    }
    // Who is faster than the network changes the order.
    world.ledger.overtaken.clear();
    let refused: u64 = (0..2).map(|n| world.drops(n, DropReason::LinkMismatch)).sum();
    // Those that arrive behind the original are refused as replays.
    if refused == 0 && world.misled > 100 {
        let text = format!(
            "S7: of {} control messages of other links none was refused",
            world.misled
        );
        world.ledger.breach(world.now, text);
    }
    play.finish(world);
}

/// S8 (RFC 9000 sections 9.3.2 and 9.3.3): whatever a client sends also comes from another address, and a moment
/// earlier. The address is asked, does not answer, and is not believed; it gets three times what came from it at most.
/// Now and then the client really moves.
pub(super) fn spoof(play: &mut Play) {
    let (links, policy) = (1 + play.link(3), play.policy());
    let mut world = play.world(2, links, policy, 1);
    for _ in 0..play.rounds {
        world.run(Span::from_secs(6));
        world.traffic_everywhere(Span::from_millis(10), Span::from_secs(8));
        let stranger = format!("203.0.113.1:{}", 1_024 + play.below(60_000));
        let stranger: SocketAddr = stranger.parse().expect("an address");
        world.spoof = Some((1, stranger));
        world.run(play.ms(500, 6_000));
        if play.chance(3) {
            let link = play.link(links);
            world.network.roam(1, link);
            world.run(Span::from_secs(4));
        }
        for (link, status) in world.peer(0, 1).links.iter().enumerate() {
            if status.remote == Some(stranger) {
                world.ledger.breach(
                    world.now,
                    format!("S8: link {link} was moved to {stranger}, who never answered"),
                );
            }
        }
        world.spoof = None;
        world.run(play.ms(0, 8_000));
    }
    for (who, (given, got)) in world.strangers.clone() {
        // Addresses that the client has left are no strangers.
        if who.ip() == IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)) && got > 3 * given {
            world
                .ledger
                .breach(world.now, format!("I12: {who} gave {given} bytes and got {got}"));
        }
    }
    play.finish(world);
}
