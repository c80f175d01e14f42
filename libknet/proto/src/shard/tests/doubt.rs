//! Many links in doubt at once: how fast they are probed, and that those that are heard of meanwhile are not.

use std::vec::Vec;

use super::{super::*, rig::*};
use crate::status::LinkState;

const SPOKES: u16 = 50;
/// Longer than RT, and not as long as the timeout.
const LATE: Span = Span::from_millis(150);
/// Not more of them are due by chance in that time.
const HEARTBEATS: usize = 5;

/// A hub that has sent each spoke a frame, which none of them has got yet; and before it so many links are to be probed.
fn doubtful(ahead: usize) -> (Net, Vec<Datagram>) {
    let mut net = Net::hub(1, SPOKES);
    net.give(
        HUB,
        0,
        &VirtioNetHeader::default(),
        &frame(BROADCAST, station(HUB), b"all"),
    );
    let copies = net.hosts[HUB].sent(HUB);
    assert_eq!(copies.len(), usize::from(SPOKES));
    let shard = &mut net.hosts[HUB].shards[0];
    shard.tick(net.now);
    for _ in 0..ahead {
        shard.env.probes.join(shard.env.now);
    }
    (net, copies)
}

/// Lets time pass at the hub alone. Returns how many datagrams it sends.
fn hub_alone(net: &mut Net, span: Span) -> usize {
    let end = net.now + span;
    let mut sent = 0;
    while net.now < end {
        net.now = net.now + Span::from_millis(1);
        net.hosts[HUB].shards[0].handle_timeout(net.now);
        sent += net.hosts[HUB].sent(HUB).len();
    }
    sent
}

fn links_in(net: &Net, state: LinkState) -> usize {
    let shard = &net.hosts[HUB].shards[0];
    let states = (0..SPOKES).filter_map(|n| shard.peer_status(PeerId(n)));
    states
        .filter(|peer| peer.links.iter().any(|l| l.state == state))
        .count()
}

#[test]
fn few_are_probed_at_once() {
    let (mut net, _) = doubtful(0);
    let sent = hub_alone(&mut net, LATE);
    assert_eq!(links_in(&net, LinkState::Suspect), usize::from(SPOKES));
    assert!(sent >= 3 * usize::from(SPOKES), "{sent}");
}

#[test]
fn those_that_report_while_they_wait_for_their_turn_are_not_probed() {
    // The places before theirs take half a second.
    let (mut net, copies) = doubtful(11_000);
    assert!(hub_alone(&mut net, LATE) <= HEARTBEATS, "nobody's turn has come");
    assert_eq!(links_in(&net, LinkState::Suspect), usize::from(SPOKES));
    for datagram in &copies {
        net.arrive(datagram);
    }
    net.pass(Span::from_millis(20));
    assert_eq!(links_in(&net, LinkState::Up), usize::from(SPOKES));
    // They have left the queue: whoever is in doubt now waits only for those before them.
    let shard = &mut net.hosts[HUB].shards[0];
    let turn = shard.env.probes.join(shard.env.now);
    assert!(turn.since(BEGIN) <= Span::from_millis(10_501), "{turn:?}");
}

#[test]
fn those_that_do_not_are_probed_when_it_is_their_turn_and_go_down() {
    let (mut net, _) = doubtful(11_000);
    assert!(hub_alone(&mut net, LATE) <= HEARTBEATS, "nobody's turn has come");
    hub_alone(&mut net, Span::from_secs(10));
    assert_eq!(links_in(&net, LinkState::Up), 0);
    assert_eq!(links_in(&net, LinkState::Suspect), 0);
}
