//! What workers know of each other's peers.

use std::{vec, vec::Vec};

use super::{super::*, rig::*};
use crate::{
    config::TapMtu,
    ids::{WorkerId, Workers},
    l2::ip_packet::{protocol::*, test_packets as build},
};

#[test]
fn a_flooded_frame_reaches_every_peer_once_from_any_worker() {
    for workers in 1..=4 {
        let mut net = Net::hub(workers, 7);
        for worker in 0..workers {
            net.send(HUB, worker, &frame(BROADCAST, station(HUB), &[worker; 9]));
            let written = net.take();
            assert!(written[HUB].is_empty());
            for spoke in &written[1..] {
                assert_eq!(payloads(spoke), [[worker; 9]], "worker {worker} of {workers}");
            }
        }
        for spoke in 1..=7 {
            net.send(spoke, 0, &frame(BROADCAST, station(spoke), &[spoke as u8; 9]));
            for (host, written) in net.take().iter().enumerate() {
                let once = &[spoke as u8; 9][..];
                let once = if host == spoke { vec![] } else { vec![once] };
                assert_eq!(
                    payloads(written),
                    once,
                    "{workers} workers, from {spoke} to {host}"
                );
            }
        }
        let hub = &net.hosts[HUB];
        assert_eq!(hub.drops(DropReason::NoPort), 0);
        let [handed, taken] = hub.handover();
        assert_eq!(handed, taken);
        // One for each other worker, not for each peer.
        assert_eq!(
            handed.frames.packets,
            u64::from(workers - 1) * (u64::from(workers) + 7)
        );
    }
}

#[test]
fn copies_are_rationed_over_all_workers() {
    let mut net = Net::hub(2, 6);
    let before: u64 = sent(&net);
    let workers = Workers::new(2).unwrap();
    // Of the 500,000 copies at once this worker has half.
    let most = 250_000_u64;
    let mut flooded = 0;
    while flooded * 6 < most + 600 {
        net.give(
            HUB,
            0,
            &VirtioNetHeader::default(),
            &frame(BROADCAST, station(HUB), b"."),
        );
        flooded += 1;
        if flooded % 16 == 0 {
            net.hosts[HUB].mail(net.now);
        }
        if flooded % 1_000 == 0 {
            net.hosts[HUB].sent(HUB);
        }
    }
    net.hosts[HUB].mail(net.now);
    assert_eq!(workers.owner(PeerId(0)), WorkerId(0));
    assert_eq!(sent(&net) - before, most);
    assert_eq!(net.hosts[HUB].drops(DropReason::FloodBudget), flooded * 6 - most);
}

/// Frames sent to all peers of the hub.
fn sent(net: &Net) -> u64 {
    let peers = net.hosts[HUB]
        .shards
        .iter()
        .flat_map(|s| s.peers_page(PeerId(0), 100).0);
    peers.map(|p| p.tx.packets).sum()
}

#[test]
fn who_is_gone_is_not_flooded_to() {
    let mut net = Net::hub(2, 4);
    net.leave(PeerId(1));
    net.leave(PeerId(3));
    net.exchange();
    let before = net.hosts[HUB].handover()[0].frames.packets;
    net.send(HUB, 0, &frame(BROADCAST, station(HUB), b"all"));
    let counts: Vec<usize> = net.take().iter().map(Vec::len).collect();
    assert_eq!(counts, [0, 1, 0, 1, 0]);
    assert_eq!(
        net.hosts[HUB].handover()[0].frames.packets,
        before,
        "worker 1 has nobody"
    );
    net.leave(PeerId(0));
    net.leave(PeerId(2));
    net.exchange();
    for worker in 0..2 {
        net.send(HUB, worker, &frame(BROADCAST, station(HUB), b"nobody"));
    }
    assert_eq!(net.hosts[HUB].drops(DropReason::NoPort), 2);
    for shard in &net.hosts[HUB].shards {
        assert_eq!(shard.holdings().paths, 0);
    }
    net.enter(PeerId(1), 1);
    net.pass(Span::from_secs(10));
    net.take();
    net.send(HUB, 0, &frame(BROADCAST, station(HUB), b"back"));
    assert_eq!(payloads(&net.take()[2]), [b"back"]);
}

/// Where the way to a peer's address leads into a tunnel, whichever, our datagrams to it must not go round and round.
#[test]
fn a_datagram_of_our_own_ends_at_any_worker() {
    let mut net = Net::hub(2, 2);
    net.introduce();
    net.give(
        HUB,
        0,
        &VirtioNetHeader::default(),
        &frame(station(1), station(HUB), b"to spoke 1"),
    );
    let own = net.hosts[HUB].sent(HUB).pop().unwrap();
    assert_eq!(own.to, 1);
    let in_tap = |payload: &[u8]| {
        let mut udp = [&build::udp(7_700, 7_700)[..8], payload].concat();
        udp[4..6].copy_from_slice(&(8 + payload.len() as u16).to_be_bytes());
        let mut packet = build::ipv4(UDP, &udp);
        packet[16..20].copy_from_slice(&[192, 0, 2, 1]);
        build::frame(&[], &packet)
    };
    for worker in 0..2 {
        net.send(HUB, worker, &in_tap(&own.bytes));
        assert_eq!(
            net.hosts[HUB].drops(DropReason::OwnDatagram),
            u64::from(worker) + 1
        );
        assert!(net.take().iter().all(Vec::is_empty));
    }
    let mut other = own.bytes;
    other[4] ^= 1;
    net.send(HUB, 1, &in_tap(&other));
    assert_eq!(net.hosts[HUB].drops(DropReason::OwnDatagram), 2, "another host's");
}

/// The kernel gives an ICMP message to some socket of the group.
#[test]
fn a_hint_finds_the_owner_of_the_peer() {
    for mtu in [None, Some(1_300)] {
        let mut net = Net::hub(2, 2);
        net.pass(Span::from_millis(300));
        let (now, hub) = (net.now, &mut net.hosts[HUB]);
        for (spoke, worker) in [(1, 1), (2, 0)] {
            let path = path(spoke);
            match mtu {
                Some(mtu) => hub.shards[worker].handle_mtu_hint(now, path.socket, path.remote, mtu),
                None => hub.shards[worker].handle_icmp_hint(now, path.socket, path.remote),
            }
            assert_eq!(hub.shards[worker].outbox().news.len(), 1);
        }
        hub.mail(now);
        let mut asked: Vec<usize> = hub.sent(HUB).iter().map(|d| d.to).collect();
        asked.sort_unstable();
        assert_eq!(asked, [1, 2], "hint {mtu:?}");
        // Of an address that is nobody's there is nothing to say.
        let stranger = address(77);
        hub.shards[0].handle_icmp_hint(now, path(1).socket, stranger);
        assert!(hub.shards[0].outbox().news.is_empty());
        // Nor is it passed on any further.
        let hint = News::Hint {
            socket: path(1).socket,
            remote: path(1).remote,
            mtu,
        };
        hub.shards[1].handle_news(now, hint);
        assert!(hub.shards[1].outbox().news.is_empty());
    }
}

/// The first worker decides the MTU of the TAP, whoever has the narrowest link.
#[test]
fn the_narrowest_link_of_all_workers_counts() {
    let narrow = Some((2, 1_300));
    let mut net = Net::hub_with(2, 2, TapMtu::Auto, MtuPolicy::Fragment, narrow);
    let wishes = std::mem::take(&mut net.hosts[HUB].wishes);
    let (by, wish) = wishes.last().unwrap();
    assert_eq!((*by, wish.peer), (WorkerId(0), PeerId(1)));
    assert!(wishes.iter().all(|(by, _)| *by == WorkerId(0)));
    assert!((1_200..1_300).contains(&wish.to), "{wish:?}");
    // It is so; and then the narrow one goes.
    let (now, to) = (net.now, wish.to);
    net.hosts[HUB]
        .shards
        .iter_mut()
        .for_each(|s| s.set_tap_mtu(now, to));
    net.leave(PeerId(1));
    net.pass(Span::from_secs(120));
    let (by, wish) = net.hosts[HUB].wishes.last().unwrap();
    assert_eq!((*by, wish.peer), (WorkerId(0), PeerId(0)));
    assert!(wish.to > to);
}
