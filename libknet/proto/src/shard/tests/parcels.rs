//! What goes from one worker to another.

use std::{vec, vec::Vec};

use super::{super::*, rig::*};
use crate::{
    config::TapMtu,
    ids::WorkerId,
    l2::ip_packet::{protocol::*, test_packets as build},
    offload::tests::Flow,
    status::{Handover, Traffic},
};

const W0: WorkerId = WorkerId(0);
const W1: WorkerId = WorkerId(1);

fn traffic(packets: u64, bytes: u64) -> Traffic {
    Traffic { packets, bytes }
}

#[test]
fn a_frame_goes_out_through_the_owner_of_its_peer() {
    let mut net = Net::hub(2, 2);
    net.introduce();
    let before = net.hosts[HUB].handover();
    for worker in 0..2 {
        for spoke in [1, 2] {
            let frame = frame(station(spoke), station(HUB), &[worker; 50]);
            net.send(HUB, worker, &frame);
            let written = net.take();
            assert_eq!(payloads(&written[spoke]), [[worker; 50]]);
            assert!(written[HUB].is_empty() && written[3 - spoke].is_empty());
        }
    }
    let [handed, taken] = net.hosts[HUB].handover();
    assert_eq!(handed, taken);
    let frames = traffic(before[0].frames.packets + 2, before[0].frames.bytes + 2 * 64);
    assert_eq!((handed.frames, handed.datagrams), (frames, traffic(0, 0)));
    let relayed: u64 = net.hosts[HUB]
        .shards
        .iter()
        .map(|s| s.interface_status().relayed.packets)
        .sum();
    assert_eq!(relayed, 2, "only those of the introduction");
}

#[test]
fn a_frame_is_relayed_from_one_worker_to_the_other() {
    let mut net = Net::hub(2, 2);
    net.introduce();
    for (from, to) in [(1, 2), (2, 1)] {
        for n in 0..10 {
            net.send(from, 0, &frame(station(to), station(from), &[n; 20]));
        }
        let written = net.take();
        assert_eq!(
            payloads(&written[to]),
            (0..10).map(|n| [n; 20]).collect::<Vec<_>>()
        );
        assert!(written[HUB].is_empty() && written[from].is_empty());
    }
    let owner = |spoke: usize| {
        net.hosts[HUB].shards[spoke - 1]
            .interface_status()
            .relayed
            .packets
    };
    assert_eq!((owner(1), owner(2)), (11, 11), "counted where they go out");
    let [handed, taken] = net.hosts[HUB].handover();
    assert_eq!(handed, taken);
}

/// It is handed over whole, and cut where it is sealed; so it comes out whole at the other end.
#[test]
fn a_super_frame_stays_one() {
    let mut net = Net::hub(2, 2);
    net.introduce();
    for flow in [Flow::tcp4(), Flow::udp6()] {
        let mut bytes = flow.super_frame();
        bytes[..6].copy_from_slice(&station(2).0);
        bytes[6..12].copy_from_slice(&station(HUB).0);
        let handed = net.hosts[HUB].handover()[0].frames.packets;
        net.give(HUB, 0, &flow.header(), &bytes);
        net.exchange();
        assert_eq!(net.hosts[HUB].handover()[0].frames.packets, handed + 1);
        let written = net.take().swap_remove(2);
        let lengths: Vec<usize> = written
            .iter()
            .map(|w| w.bytes.len() - flow.header_len())
            .collect();
        assert_eq!(lengths.iter().sum::<usize>(), flow.payload.len());
        let payload: Vec<u8> = written
            .iter()
            .flat_map(|w| &w.bytes[flow.header_len()..])
            .copied()
            .collect();
        assert_eq!(payload, flow.payload);
    }
}

/// Whatever reaches the wrong worker is handed to the right one, in order.
#[test]
fn a_datagram_at_the_wrong_worker_is_handed_over() {
    let mut net = Net::hub(3, 3);
    net.introduce();
    net.hosts[HUB].misdirect = Some(W1);
    for spoke in 1..=3 {
        for n in 0..20 {
            net.give(
                spoke,
                0,
                &VirtioNetHeader::default(),
                &frame(station(HUB), station(spoke), &[n; 20]),
            );
        }
        net.exchange();
        let written = net.take().swap_remove(HUB);
        assert_eq!(payloads(&written), (0..20).map(|n| [n; 20]).collect::<Vec<_>>());
        let owner = WorkerId(spoke as u8 - 1);
        assert!(
            written.iter().all(|w| w.by == owner),
            "written by the owner of the peer"
        );
    }
    let [handed, taken] = net.hosts[HUB].handover();
    assert_eq!(handed, taken);
    assert!(handed.datagrams.packets >= 40, "{handed:?}");
    assert_eq!(net.hosts[HUB].drops(DropReason::UnknownIndex), 0);
    // New sessions, too.
    net.pass(Span::from_secs(300));
    assert_eq!(net.hosts[HUB].up(), 3);
}

/// In a buffer that the kernel has merged, each datagram counts for itself; what follows each other in the parcel is
/// joined as if it had come so.
#[test]
fn a_merged_buffer_is_sorted() {
    let mut net = Net::hub(2, 2);
    net.introduce();
    let mut seal = |spoke: usize, n: u8| {
        net.give(
            spoke,
            0,
            &VirtioNetHeader::default(),
            &frame(station(HUB), station(spoke), &[n; 20]),
        );
        let sent = net.hosts[spoke].sent(spoke);
        sent.into_iter().next_back().unwrap().bytes
    };
    let datagrams = [seal(1, 1), seal(2, 2), seal(2, 3), seal(1, 4)];
    let piece = datagrams[0].len();
    let mut buffer = datagrams.concat();
    net.arrive_at(W0, 1, HUB, &mut buffer, piece);
    let here = net.take().swap_remove(HUB);
    assert_eq!(payloads(&here), [[1; 20], [4; 20]]);
    net.exchange();
    let there = net.take().swap_remove(HUB);
    assert_eq!(payloads(&there), [[2; 20], [3; 20]]);
    assert!(there.iter().all(|w| w.by == W1));
}

#[test]
fn an_index_that_nobody_has_made_is_not_passed_round() {
    let mut net = Net::hub(3, 1);
    // Of three workers, the last of the four numbers names nobody.
    for bits in 0..4_u8 {
        let mut datagram = vec![0_u8; 64];
        datagram[0] = 4;
        datagram[4..8].copy_from_slice(&(0x7777_7770 | u32::from(bits)).to_le_bytes());
        net.arrive_at(W0, 1, HUB, &mut datagram, 64);
    }
    net.exchange();
    let hub = &net.hosts[HUB];
    assert_eq!(hub.drops(DropReason::UnknownIndex), 4);
    let datagrams = traffic(2, 128);
    assert_eq!(hub.handover().map(|h| h.datagrams), [datagrams; 2]);
}

/// The worker that seals knows what passes, and writes the answer.
#[test]
fn a_packet_that_is_too_long_is_answered_by_the_owner() {
    let mut net = Net::hub_with(2, 2, TapMtu::Fixed(MTU), MtuPolicy::Signal, Some((2, 1_200)));
    net.introduce();
    let mut long = build::frame(
        &[],
        &build::ipv4(UDP, &[build::udp(1, 2), vec![0; 1_400]].concat()),
    );
    long[..6].copy_from_slice(&station(2).0);
    long[6..12].copy_from_slice(&station(HUB).0);
    net.send(HUB, 0, &long);
    let written = net.take();
    assert!(written[2].is_empty());
    let [answer] = &written[HUB][..] else {
        panic!("{written:?}")
    };
    assert_eq!((answer.by, &answer.bytes[..6]), (W1, &station(HUB).0[..]));
    // ICMP, destination unreachable, fragmentation needed.
    assert_eq!((answer.bytes[23], &answer.bytes[34..36]), (1, &[3, 4][..]));
    assert_eq!(net.hosts[HUB].drops(DropReason::PacketTooBig), 1);
}

/// A parcel that takes its time must not bring the new peer of a slot what was meant for the old one.
#[test]
fn what_was_meant_for_the_peer_before_is_dropped() {
    let mut net = Net::hub(2, 2);
    net.introduce();
    let peer = PeerId(1);
    net.hosts[HUB].holds_parcels = true;
    net.send(HUB, 0, &frame(station(2), station(HUB), b"for the old one"));
    net.send(
        1,
        0,
        &frame(BROADCAST, station(1), b"from a peer that is gone then"),
    );
    let mut parcel = net.hosts[HUB].take_parcel(W0, W1);
    assert!(!parcel.is_empty());

    net.leave(peer);
    net.leave(PeerId(0));
    net.enter(peer, 1);
    net.enter(PeerId(0), 1);
    net.hosts[HUB].holds_parcels = false;
    net.pass(Span::from_secs(10));
    assert_eq!(net.hosts[HUB].up(), 2);
    net.take();
    let before = net.hosts[HUB].drops(DropReason::NoPort);
    let now = net.now;
    net.hosts[HUB].open(now, W1, &mut parcel);
    net.exchange();
    assert!(net.take().iter().all(Vec::is_empty));
    assert_eq!(net.hosts[HUB].drops(DropReason::NoPort), before + 2);
    let [handed, taken] = net.hosts[HUB].handover();
    assert_eq!(handed, taken);
}

/// Past half a mebibyte a parcel takes no more, and what it does not take is counted.
#[test]
fn a_worker_that_does_not_keep_up_costs_what_is_for_its_peers() {
    let mut net = Net::hub(2, 2);
    net.introduce();
    net.hosts[HUB].holds_parcels = true;
    let before = net.hosts[HUB].handover()[0].frames.packets;
    for _ in 0..1_000 {
        net.give(
            HUB,
            0,
            &VirtioNetHeader::default(),
            &frame(station(2), station(HUB), &[7; 1_000]),
        );
    }
    net.send(HUB, 0, &frame(station(1), station(HUB), b"others go on"));
    assert_eq!(payloads(&net.take()[1]), [b"others go on"]);
    let handed = net.hosts[HUB].handover()[0].frames.packets - before;
    assert_eq!(handed, (512 << 10) / 1_014);
    assert_eq!(net.hosts[HUB].drops(DropReason::HandoverFull), 1_000 - handed);

    for _ in 0..3_000 {
        net.give(
            HUB,
            1,
            &VirtioNetHeader::default(),
            &frame(station(1), station(HUB), &[7; 4]),
        );
    }
    let full = net.hosts[HUB].drops(DropReason::HandoverFull);
    assert_eq!(full, 1_000 - handed + 3_000 - 2_048);
    net.hosts[HUB].holds_parcels = false;
    net.exchange();
    let written = net.take();
    assert_eq!((written[1].len(), written[2].len() as u64), (2_048, handed));
    let [handed, taken] = net.hosts[HUB].handover();
    assert_eq!(handed, taken);
}

#[test]
fn a_parcel_says_when_it_is_full() {
    let mut net = Net::hub(2, 2);
    net.introduce();
    net.hosts[HUB].holds_parcels = true;
    let parcel = |net: &mut Net| {
        let parcel = &net.hosts[HUB].shards[0].outbox().parcels[1];
        (parcel.is_empty(), parcel.is_full())
    };
    assert_eq!(parcel(&mut net), (true, false));
    let give = |net: &mut Net, len: usize| {
        let bytes = frame(station(2), station(HUB), &vec![0; len]);
        net.give(HUB, 0, &VirtioNetHeader::default(), &bytes);
    };
    (0..255).for_each(|_| give(&mut net, 4));
    assert_eq!(parcel(&mut net), (false, false));
    give(&mut net, 4);
    assert_eq!(parcel(&mut net), (false, true));
    net.hosts[HUB].take_parcel(W0, W1);
    (0..(128 << 10) / 1_014).for_each(|_| give(&mut net, 1_000));
    assert_eq!(parcel(&mut net), (false, false));
    give(&mut net, 1_000);
    assert_eq!(parcel(&mut net), (false, true));
}

#[test]
fn who_is_alone_hands_nothing_over() {
    let mut net = Net::hub(1, 2);
    net.introduce();
    net.send(1, 0, &frame(station(2), station(1), b"relayed"));
    assert_eq!(payloads(&net.take()[2]), [b"relayed"]);
    let outbox = net.hosts[HUB].shards[0].outbox();
    assert!(outbox.parcels.is_empty() && outbox.news.is_empty());
    assert_eq!(net.hosts[HUB].handover(), [Handover::default(); 2]);
}
