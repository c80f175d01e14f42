//! Networks behind spokes that are joined in another way, too.

use std::vec::Vec;

use super::{super::*, rig::*};
use crate::l2::loop_guard::{self, FIRST_HOLD};

/// Somebody looks on.
const C: usize = 3;

/// What comes out of the TAP of one of the two goes into that of the other, for so many rounds at most. Returns how many it
/// took until nothing came any more, and what host C got.
fn go_round(net: &mut Net, (a, b): (usize, usize), most: usize) -> (usize, Vec<Vec<u8>>) {
    let mut heard = Vec::new();
    for round in 0..most {
        let taken = net.take();
        heard.extend(taken[C].iter().map(|w| w.bytes.clone()));
        let (from_a, from_b) = (taken[a].clone(), taken[b].clone());
        if from_a.is_empty() && from_b.is_empty() {
            return (round, heard);
        }
        for (to, written) in [(b, from_a), (a, from_b)] {
            for frame in written {
                net.send(to, 0, &frame.bytes);
            }
        }
        net.now = net.now + Span::from_millis(2);
    }
    panic!("it goes round for ever");
}

fn closed_for(net: &Net, host: usize) -> Option<Span> {
    let id = PeerId(host as u16 - 1);
    let hub = &net.hosts[HUB];
    let shard = &hub.shards[hub.workers.owner(id).index()];
    shard.peer_status(id).unwrap().domain.closed_for
}

fn found(net: &Net) -> Vec<(PeerId, Port, Span)> {
    let events = net.hosts[HUB].events.iter();
    let found = events.filter_map(|event| match event {
        Event::LoopFound { peer, other, hold } => Some((*peer, *other, *hold)),
        _ => None,
    });
    found.collect()
}

#[test]
fn a_loop_of_two_spokes_is_opened_where_one_of_them_is() {
    for workers in [1, 2] {
        let mut net = Net::hub(workers, 3);
        net.introduce();
        let shout = frame(BROADCAST, station(C), b"is anybody there?");
        net.send(C, 0, &shout);
        let (_, heard) = go_round(&mut net, (1, 2), 12);
        assert!(heard.len() <= 6, "{} copies came back", heard.len());
        let (b, a) = (PeerId(1), Port::Peer(PeerId(0)));
        assert_eq!(found(&net), [(b, a, FIRST_HOLD)], "{workers} workers");
        assert_eq!((closed_for(&net, 1), closed_for(&net, C)), (None, None));
        assert!(closed_for(&net, 2).is_some_and(|left| left <= FIRST_HOLD));

        // One way is left to both networks.
        net.send(C, 0, &shout);
        let taken = net.take();
        assert_eq!((payloads(&taken[1]).len(), payloads(&taken[2]).len()), (1, 0));
        net.send(2, 0, &frame(BROADCAST, station(2), b"behind the closed one"));
        assert!(net.take().iter().all(Vec::is_empty));
        assert!(net.hosts[HUB].drops(DropReason::LoopGuard) > 0);
        net.send(1, 0, &frame(BROADCAST, station(2), b"by the other one"));
        assert_eq!(payloads(&net.take()[C]), [b"by the other one"]);

        // It is tried again, and is found again; when the loop is gone it stays open.
        net.pass(FIRST_HOLD);
        assert_eq!(closed_for(&net, 2), None);
        let opened = |e: &&Event| matches!(e, Event::LoopOpened { peer } if *peer == b);
        assert_eq!(net.hosts[HUB].events.iter().filter(opened).count(), 1);
        net.take();
        net.send(C, 0, &shout);
        go_round(&mut net, (1, 2), 12);
        assert_eq!(found(&net)[1..], [(b, a, FIRST_HOLD.times(2))]);
        // Clients have seen the station move, too, and have frozen it.
        net.pass(Span::from_secs(200));
        net.take();
        net.send(C, 0, &shout);
        let taken = net.take();
        assert_eq!((payloads(&taken[1]).len(), payloads(&taken[2]).len()), (1, 1));
        assert_eq!(found(&net).len(), 2);
    }
}

/// The hub's own network is joined with that of a spoke.
#[test]
fn a_loop_through_the_hub_is_opened_at_the_spoke() {
    for workers in [1, 2] {
        let mut net = Net::hub(workers, 3);
        net.introduce();
        net.send(C, 0, &frame(BROADCAST, station(C), b"is anybody there?"));
        go_round(&mut net, (HUB, 1), 12);
        assert_eq!(found(&net), [(PeerId(0), Port::Tap, FIRST_HOLD)]);
        assert!(closed_for(&net, 1).is_some());
    }
}

/// A station that moves is no loop: the hub asks, and so does the knet that it has left, whose question no other spoke hears.
#[test]
fn a_move_closes_nothing_and_nobody_can_make_it_seem_a_loop() {
    let mut net = Net::hub(1, 3);
    net.introduce();
    for n in 0..8 {
        net.now = net.now + Span::from_secs(2);
        net.send(1 + n % 2, 0, &frame(BROADCAST, station(9), b"it moves"));
    }
    let is_probe = |w: &&Written| loop_guard::nonce_of(&w.bytes).is_some();
    let taken = net.take();
    let probes = taken
        .iter()
        .map(|written| written.iter().filter(is_probe).count());
    let probes: Vec<usize> = probes.collect();
    assert!(probes[HUB] > 0 && probes[1] > 0 && probes[2] > 0, "{probes:?}");
    assert!(probes[C] == 0 && probes.iter().sum::<usize>() <= 16, "{probes:?}");
    assert_eq!(found(&net), []);
    let old = taken[1].iter().find(is_probe).unwrap().bytes.clone();
    // Neither one that was made up, nor one that is too old.
    net.now = net.now + Span::from_secs(5);
    for frame in [old, loop_guard::probe([7; 16], None)] {
        net.send(C, 0, &frame);
        let copies: Vec<usize> = net.take().iter().map(Vec::len).collect();
        assert_eq!(copies, [1, 0, 0, 0]);
    }
    assert_eq!(found(&net), []);
    let macs = net.hosts[HUB].shards[0].interface_status().macs;
    assert_eq!(macs, 5, "four hosts and the one that moves");
}

/// Who says that there is no loop any more need not wait; who wants no guard has none.
#[test]
fn a_closed_port_is_opened_by_hand_and_nothing_is_closed_where_the_guard_is_off() {
    use crate::config::DomainConfig;
    for workers in [1, 2] {
        let mut net = Net::hub(workers, 3);
        net.introduce();
        let shout = frame(BROADCAST, station(C), b"is anybody there?");
        net.send(C, 0, &shout);
        go_round(&mut net, (1, 2), 12);
        assert!(closed_for(&net, 2).is_some());
        let open = |net: &mut Net, only| {
            let now = net.now;
            for shard in &mut net.hosts[HUB].shards {
                shard.open_ports(now, only);
            }
            net.exchange();
        };
        open(&mut net, Some(PeerId(0)));
        assert!(closed_for(&net, 2).is_some(), "that was another one");
        open(&mut net, Some(PeerId(1)));
        assert_eq!(closed_for(&net, 2), None);
        let opened = |e: &&Event| matches!(e, Event::LoopOpened { peer } if *peer == PeerId(1));
        assert_eq!(net.hosts[HUB].events.iter().filter(opened).count(), 1);
        net.take();
        net.send(HUB, 0, &frame(BROADCAST, station(HUB), b"to all"));
        let taken = net.take();
        assert_eq!([1, 2].map(|host| payloads(&taken[host]).len()), [1, 1]);

        // The loop is still there: it is found again, and is closed for no longer than the first time.
        net.pass(Span::from_secs(200));
        net.take();
        net.send(C, 0, &shout);
        go_round(&mut net, (1, 2), 12);
        assert_eq!(
            found(&net).last(),
            Some(&(PeerId(1), Port::Peer(PeerId(0)), FIRST_HOLD))
        );

        let domain = DomainConfig {
            loop_guard_off: true,
            ..DomainConfig::default()
        };
        let now = net.now;
        for shard in &mut net.hosts[HUB].shards {
            shard.set_domain(now, &domain);
        }
        assert_eq!(closed_for(&net, 2), None);
        net.pass(Span::from_secs(200));
        net.take();
        let before = found(&net).len();
        for n in 0..6 {
            net.send(1 + n % 2, 0, &frame(BROADCAST, station(9), b"it moves"));
            net.now = net.now + Span::from_secs(2);
        }
        let mut written = net.take().into_iter().skip(1).take(2).flatten();
        assert!(written.all(|w| loop_guard::nonce_of(&w.bytes).is_none()));
        assert_eq!(found(&net).len(), before);
    }
}
