//! Floods that take several slices.

use std::{vec, vec::Vec};

use super::{super::*, rig::*};
use crate::{config::PortConfig, ids::WorkerId};

const W0: WorkerId = WorkerId(0);
/// More than a slice.
const MANY: u16 = 100;
const SLICE: usize = 64;

/// Many spokes, of which the last one's station is known; what is flooded waits for [`slice`], and begins with the first.
fn hub_of_many() -> Net {
    let mut net = Net::hub(1, MANY);
    let last = usize::from(MANY);
    net.send(last, 0, &frame(station(HUB), station(last), b"here"));
    loop {
        net.now = net.now + Span::from_millis(1);
        copies(&mut net, 1);
        if carry(&mut net) == [last] {
            break;
        }
    }
    net.take();
    net.now = net.now + Span::from_millis(1);
    net.hosts[HUB].holds_floods = true;
    net
}

/// The hub floods something, to so many peers.
fn copies(net: &mut Net, copies: u32) {
    let shard = &mut net.hosts[HUB].shards[0];
    shard.tick(net.now);
    let bytes = frame(BROADCAST, station(HUB), b".");
    shard.flood_here(Port::Tap, Frame::plain(&bytes), copies);
}

/// The next instant, and who is sent something then, in order.
fn slice(net: &mut Net) -> Vec<usize> {
    net.now = net.now + Span::from_micros(500);
    let (now, hub) = (net.now, &mut net.hosts[HUB]);
    hub.holds_floods = false;
    hub.continue_floods(now, W0);
    hub.holds_floods = true;
    carry(net)
}

/// What the hub sends now arrives. Returns at whom, in order.
fn carry(net: &mut Net) -> Vec<usize> {
    let sent = net.hosts[HUB].sent(HUB);
    for datagram in &sent {
        net.arrive(datagram);
    }
    sent.iter().map(|datagram| datagram.to).collect()
}

/// The TAP of the hub gives it a frame.
fn give(net: &mut Net, frame: &[u8]) {
    net.give(HUB, 0, &VirtioNetHeader::default(), frame);
}

/// A spoke sends a frame, and the hub takes it.
fn from_spoke(net: &mut Net, spoke: usize, frame: &[u8]) {
    net.give(spoke, 0, &VirtioNetHeader::default(), frame);
    let sent = net.hosts[spoke].sent(spoke);
    for datagram in &sent {
        net.arrive(datagram);
    }
}

#[test]
fn a_broadcast_goes_out_in_slices_and_reaches_everybody_once() {
    let mut net = hub_of_many();
    give(&mut net, &frame(BROADCAST, station(HUB), b"all"));
    assert_eq!(carry(&mut net).len(), SLICE);
    assert!(net.hosts[HUB].shards[0].has_floods());
    assert!(net.hosts[HUB].shards[0].holdings().flood_bytes > 0);
    // Meanwhile others are served.
    give(&mut net, &frame(station(usize::from(MANY)), station(HUB), b"one"));
    assert_eq!(carry(&mut net), [usize::from(MANY)]);
    assert_eq!(slice(&mut net).len(), usize::from(MANY) - SLICE);
    assert!(!net.hosts[HUB].shards[0].has_floods());
    assert_eq!(net.hosts[HUB].shards[0].holdings().flood_bytes, 0);
    for (host, written) in net.take().iter().enumerate() {
        let expected = match host {
            HUB => vec![],
            _ if host == usize::from(MANY) => vec![&b"one"[..], b"all"],
            _ => vec![&b"all"[..]],
        };
        assert_eq!(payloads(written), expected, "at {host}");
    }
}

#[test]
fn what_one_port_floods_stays_in_order() {
    let mut net = hub_of_many();
    for n in 0..5 {
        give(&mut net, &frame(BROADCAST, station(HUB), &[n]));
    }
    carry(&mut net);
    while net.hosts[HUB].shards[0].has_floods() {
        assert!(slice(&mut net).len() <= SLICE);
    }
    for written in &net.take()[1..] {
        assert_eq!(payloads(written), [[0], [1], [2], [3], [4]]);
    }
}

/// Small floods are over at once; past the slice of this instant they wait, too.
#[test]
fn an_instant_has_one_slice_for_all() {
    let mut net = Net::hub(1, 10);
    net.hosts[HUB].holds_floods = true;
    for n in 0..12 {
        give(&mut net, &frame(BROADCAST, station(HUB), &[n]));
    }
    assert_eq!(carry(&mut net).len(), SLICE);
    assert_eq!(slice(&mut net).len(), 120 - SLICE);
    let order: Vec<[u8; 1]> = (0..12).map(|n| [n]).collect();
    net.take()[1..]
        .iter()
        .for_each(|w| assert_eq!(payloads(w), order));
}

/// Who floods much waits for himself, not the others for him.
#[test]
fn ports_flood_in_turns() {
    let mut net = hub_of_many();
    for n in 0..40 {
        from_spoke(&mut net, 1, &frame(BROADCAST, station(1), &[n]));
    }
    from_spoke(&mut net, 2, &frame(BROADCAST, station(2), b"once"));
    carry(&mut net);
    net.take();
    // Half of each slice.
    for _ in 0..MANY.div_ceil(SLICE as u16 / 2) {
        slice(&mut net);
    }
    let written = net.take();
    for (host, written) in written.iter().enumerate().skip(3) {
        assert!(payloads(written).contains(&&b"once"[..]), "at {host}");
    }
    assert!(
        net.hosts[HUB].shards[0].has_floods(),
        "the other one has not come far"
    );
}

/// 802.1Q clause 6.5.3: one source, one destination, one order.
#[test]
fn a_station_that_becomes_known_gets_its_frames_in_order() {
    let mut net = hub_of_many();
    let late = usize::from(MANY) - 1;
    for n in [1, 2] {
        give(&mut net, &frame(station(late), station(HUB), &[n]));
    }
    carry(&mut net);
    assert_eq!(net.take()[late].len(), 0, "it is not its turn yet");
    from_spoke(&mut net, late, &frame(station(HUB), station(late), b"here"));
    give(&mut net, &frame(station(late), station(HUB), &[3]));
    assert_eq!(carry(&mut net), [late; 3]);
    assert_eq!(payloads(&net.take()[late]), [[1], [2], [3]]);
    assert!(
        !net.hosts[HUB].shards[0].has_floods(),
        "nobody else has to get it"
    );
}

/// Whoever has got the flooded frame already does not get it again.
#[test]
fn a_station_that_becomes_known_gets_its_frame_once() {
    let mut net = hub_of_many();
    give(&mut net, &frame(station(1), station(HUB), &[1]));
    carry(&mut net);
    from_spoke(&mut net, 1, &frame(station(HUB), station(1), b"here"));
    give(&mut net, &frame(station(1), station(HUB), &[2]));
    assert_eq!(carry(&mut net), [1]);
    assert_eq!(payloads(&net.take()[1]), [[1], [2]]);
}

#[test]
fn what_waits_is_bounded_and_what_does_not_is_counted() {
    let mut net = hub_of_many();
    for _ in 0..200 {
        give(&mut net, &frame(BROADCAST, station(HUB), b"."));
    }
    let dropped = net.hosts[HUB].drops(DropReason::FloodQueueFull);
    assert_eq!(
        dropped,
        (200 - 64) * u64::from(MANY),
        "64 wait, one of them begun"
    );
    let mut sent = carry(&mut net).len();
    while net.hosts[HUB].shards[0].has_floods() {
        sent += slice(&mut net).len();
    }
    assert_eq!(sent as u64 + dropped, 200 * u64::from(MANY));
    assert_eq!(net.hosts[HUB].shards[0].holdings().flood_bytes, 0);
}

/// Nothing of a peer that is gone, or of whoever had its slot before.
#[test]
fn a_port_that_goes_takes_its_floods_along() {
    let mut net = hub_of_many();
    for n in 0..3 {
        from_spoke(&mut net, 1, &frame(BROADCAST, station(1), &[n]));
    }
    carry(&mut net);
    net.take();
    net.leave(PeerId(0));
    assert!(!net.hosts[HUB].shards[0].has_floods());
    assert_eq!(net.hosts[HUB].drops(DropReason::NoPort), 3);

    net.enter(PeerId(0), 1);
    net.pass(Span::from_secs(10));
    net.hosts[HUB].holds_floods = true;
    from_spoke(&mut net, 1, &frame(BROADCAST, station(1), b"again"));
    let port = PortConfig {
        generation: 2,
        spoke: true,
        ..PortConfig::default()
    };
    let now = net.now;
    net.hosts[HUB].shards[0].set_port(now, PeerId(0), &port).unwrap();
    assert!(!net.hosts[HUB].shards[0].has_floods());
    assert_eq!(net.hosts[HUB].drops(DropReason::NoPort), 4);
}

/// Where the copies do not suffice for all, it is not always the same who get none.
#[test]
fn the_next_flood_begins_where_the_last_one_ended() {
    let mut net = hub_of_many();
    copies(&mut net, 50);
    copies(&mut net, 10);
    assert_eq!(carry(&mut net), (1..=60).collect::<Vec<_>>());
    copies(&mut net, 50);
    let rest = [carry(&mut net), slice(&mut net)].concat();
    let around = (61..=usize::from(MANY)).chain(1..=10);
    assert_eq!(rest, around.collect::<Vec<_>>());
}

/// All workers' peers get their part of what there is, each of them at its own pace.
#[test]
fn slices_of_several_workers() {
    let mut net = Net::hub(3, MANY);
    for (n, worker) in [(1, 0), (2, 2)] {
        net.send(HUB, worker, &frame(BROADCAST, station(HUB), &[n]));
    }
    let written = net.take();
    for (host, written) in written.iter().enumerate().skip(1) {
        let mut all: Vec<u8> = written.iter().map(|w| w.bytes[14]).collect();
        all.sort_unstable();
        assert_eq!(all, [1, 2], "at {host}");
    }
}
