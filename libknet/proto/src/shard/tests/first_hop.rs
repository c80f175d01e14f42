//! Questions of ARP and neighbour discovery that the hub answers itself.

use std::{vec, vec::Vec};

use super::{super::*, rig::*};
use crate::{
    config::{PeerConfig, Trust},
    ids::MacAddr,
    l2::{
        ip_packet::{protocol::*, test_packets as build},
        neighbor::tests::{advertisement, arp, discovery, option, solicitation, solicited_node, v4, v6},
        source_guard::{GuardRules, IpNetwork},
    },
};

/// The address of the station behind the TAP of a host.
fn ip(host: usize) -> core::net::IpAddr {
    v4(100 + host as u8)
}

/// A station says, unasked, which address it has.
fn announcement(host: usize) -> Vec<u8> {
    arp(BROADCAST, 1, (station(host), ip(host)), ip(host))
}

fn request(from: usize, of: usize) -> Vec<u8> {
    arp(BROADCAST, 1, (station(from), ip(from)), ip(of))
}

/// A hub that answers, and whose stations have said who they are.
fn hub(workers: u8, spokes: u16) -> Net {
    let mut net = Net::hub(workers, spokes);
    for shard in &mut net.hosts[HUB].shards {
        shard.set_first_hop(FirstHop {
            arp_suppression: true,
            ..FirstHop::default()
        });
    }
    for host in 0..=usize::from(spokes) {
        net.send(host, 0, &announcement(host));
        let heard: Vec<usize> = net.take().iter().map(Vec::len).collect();
        let expected: Vec<usize> = (0..=usize::from(spokes))
            .map(|n| usize::from(n != host))
            .collect();
        assert_eq!(heard, expected, "everybody hears who claims an address");
    }
    net
}

/// Who got a frame of those that went out since.
fn heard(net: &mut Net) -> Vec<usize> {
    let written = net.take();
    let hosts = written.iter().enumerate();
    hosts
        .filter(|(_, w)| !w.is_empty())
        .map(|(host, _)| host)
        .collect()
}

fn answers(net: &Net) -> u64 {
    let shards = net.hosts[HUB].shards.iter();
    shards.map(|s| s.interface_status().neighbor_answers).sum()
}

#[test]
fn who_is_known_need_not_be_asked() {
    for workers in 1..=3 {
        let mut net = hub(workers, 4);
        for (nth, (from, of)) in [(3, 1), (1, 2), (2, HUB), (HUB, 4)].into_iter().enumerate() {
            net.send(from, 0, &request(from, of));
            let written = net.take();
            let [answer] = &written[from][..] else {
                panic!("{workers} workers, {from} asks for {of}: {written:?}")
            };
            let expected = arp(station(from), 2, (station(of), ip(of)), ip(from));
            assert_eq!(
                (&answer.bytes[..32], &answer.bytes[38..42]),
                (&expected[..32], &expected[38..42])
            );
            assert_eq!(written.iter().flatten().count(), 1, "and nobody else hears of it");
            assert_eq!(answers(&net), nth as u64 + 1);
        }
        let known = net.hosts[HUB].shards[0].interface_status().neighbors;
        assert_eq!(known, 5);
    }
}

#[test]
fn what_is_not_asked_for_or_not_known_is_flooded() {
    let mut net = hub(1, 3);
    let everybody_else = [HUB, 2, 3];
    let flooded = |net: &mut Net, frame: &[u8]| {
        net.send(1, 0, frame);
        heard(net) == everybody_else
    };
    assert!(flooded(&mut net, &request(1, 7)), "unknown");
    let nobody = [0, 0, 0, 0].into();
    assert!(
        flooded(&mut net, &arp(BROADCAST, 1, (station(1), nobody), ip(2))),
        "a probe"
    );
    assert!(
        flooded(&mut net, &arp(BROADCAST, 2, (station(1), ip(1)), ip(1))),
        "gratuitous"
    );
    // Whoever claims what another one has: the owner hears it, and can defend it.
    assert!(
        flooded(&mut net, &arp(BROADCAST, 1, (station(1), ip(2)), ip(2))),
        "a claim"
    );
    net.send(2, 0, &announcement(2));
    net.take();
    for shard in &mut net.hosts[HUB].shards {
        shard.set_first_hop(FirstHop::default());
    }
    assert!(flooded(&mut net, &request(1, 2)), "switched off");
    assert_eq!(answers(&net), 0);
}

/// An answer in the name of somebody who is not there would be worse than none.
#[test]
fn nobody_answers_for_who_is_gone() {
    let asked = |net: &mut Net, from: usize, of: usize| {
        net.send(from, 0, &request(from, of));
        net.take()[from].len()
    };
    let mut net = hub(2, 3);
    assert_eq!(asked(&mut net, 1, 2), 1);
    // Its station has moved behind another peer, and has not said so yet.
    net.send(3, 0, &frame(BROADCAST, station(2), b"moved"));
    net.take();
    assert_eq!(asked(&mut net, 1, 2), 0);

    let mut net = hub(2, 3);
    net.leave(PeerId(1));
    net.exchange();
    assert_eq!(asked(&mut net, 1, 2), 0);
    assert_eq!(net.hosts[HUB].shards[0].interface_status().neighbors, 3);

    let mut net = hub(1, 3);
    net.pass(Span::from_secs(299));
    assert_eq!(asked(&mut net, 1, 2), 1);
    net.pass(Span::from_secs(2));
    assert_eq!(asked(&mut net, 1, 2), 0, "too long ago");
    assert_eq!(
        net.hosts[HUB].shards[0].interface_status().neighbors,
        1,
        "who has just asked"
    );

    let mut net = hub(1, 3);
    net.hosts[HUB].shards[0].clear_neighbors();
    assert_eq!(asked(&mut net, 1, 2), 0);
}

/// What is not flooded from one to the other is not answered for the other either: isolated peers, and neighbours in a mesh,
/// who have a session of their own.
#[test]
fn nobody_answers_for_who_cannot_be_reached() {
    for (isolate, spoke) in [(true, true), (false, false)] {
        let mut net = hub(1, 3);
        let now = net.now;
        for peer in [1, 2] {
            let config = PeerConfig {
                isolate,
                spoke,
                ..net.peer_config(peer)
            };
            let id = PeerId(peer as u16 - 1);
            let shard = &mut net.hosts[HUB].shards[0];
            shard.set_port(now, id, &config.port(0)).unwrap();
        }
        net.send(1, 0, &request(1, 2));
        assert!(!heard(&mut net).contains(&1), "isolate {isolate}");
        net.send(1, 0, &request(1, HUB));
        assert_eq!(
            heard(&mut net).contains(&1),
            !isolate,
            "an isolated one asks the TAP itself"
        );
        // And who is behind the same port answers himself.
        net.send(1, 0, &request(1, 1));
        assert!(!heard(&mut net).contains(&1));
    }
}

/// A host was given an address: of each such host the number of the address, and its MAC addresses.
fn give(net: &mut Net, host: usize, guard: GuardRules) {
    let now = net.now;
    let mut port = net.peer_config(host).port(0);
    port.spoke = true;
    port.rules.guard = Some(guard.into());
    for shard in &mut net.hosts[HUB].shards {
        shard.set_port(now, PeerId(host as u16 - 1), &port).unwrap();
    }
}

fn given(host: usize) -> GuardRules {
    GuardRules {
        bindings: vec![IpNetwork {
            address: ip(host),
            length: 32,
        }],
        ..GuardRules::default()
    }
}

/// What somebody else says of an address that was given counts for nothing, whatever worker hears it; and for who was given
/// it the hub answers also before it has spoken, if there is no doubt which station that is.
#[test]
fn a_given_address_is_whose_it_was_given_to() {
    for workers in 1..=2 {
        let asked = |net: &mut Net| {
            net.send(1, 0, &request(1, 2));
            let answers: Vec<Vec<u8>> = net.take()[1].iter().map(|w| w.bytes[6..12].to_vec()).collect();
            answers
        };
        let mut net = hub(workers, 3);
        give(&mut net, 2, given(2));
        net.send(3, 0, &arp(BROADCAST, 1, (station(3), ip(2)), ip(2)));
        net.take();
        assert_eq!(
            asked(&mut net),
            [station(2).0],
            "it was said by whom it belongs to"
        );
        // Nothing was said, but there is one station only.
        for shard in &mut net.hosts[HUB].shards {
            shard.clear_neighbors();
        }
        net.send(3, 0, &arp(BROADCAST, 1, (station(3), ip(2)), ip(2)));
        net.take();
        assert_eq!(asked(&mut net), [station(2).0]);
        // Two, of which it can be either.
        net.send(2, 0, &frame(BROADCAST, MacAddr([2, 0, 0, 0, 7, 7]), b"another"));
        net.take();
        assert_eq!(asked(&mut net), [[0; 6]; 0]);
        // The one that it may have.
        let allowed = vec![station(2)];
        give(
            &mut net,
            2,
            GuardRules {
                allowed_macs: allowed,
                ..given(2)
            },
        );
        assert_eq!(asked(&mut net), [station(2).0]);
        // Whoever is not there is not answered for.
        net.leave(PeerId(1));
        net.exchange();
        assert_eq!(asked(&mut net), [[0; 6]; 0]);
    }
}

/// What a guard drops goes nowhere, teaches nothing, and is counted at the peer.
#[test]
fn what_may_not_be_claimed_is_heard_by_nobody() {
    let mut net = hub(2, 3);
    let guard = GuardRules {
        verify_source: true,
        arp_inspection: true,
        ..given(2)
    };
    give(&mut net, 2, guard);
    net.send(2, 0, &announcement(2));
    assert_eq!(heard(&mut net), [HUB, 1, 3]);
    net.send(2, 0, &arp(BROADCAST, 1, (station(2), ip(3)), ip(3)));
    let spoofed = build::frame(&[], &build::ipv4(UDP, &build::udp(7, 7)));
    net.send(2, 0, &[&BROADCAST.0, &station(2).0, &spoofed[12..]].concat());
    assert_eq!(heard(&mut net), [0; 0]);
    net.send(1, 0, &request(1, 3));
    assert_eq!(net.take()[1][0].bytes[6..12], station(3).0, "its owner's still");
    let drops: Vec<_> = net.hosts[HUB]
        .shards
        .iter()
        .filter_map(|shard| shard.peer_status(PeerId(1)))
        .map(|status| (status.domain.guard.sources, status.domain.guard.claims))
        .collect();
    assert_eq!(drops, [(1, 1)]);
    let counted = |reason| -> u64 {
        let shards = net.hosts[HUB].shards.iter();
        shards
            .map(|shard| shard.interface_status().drops.get(reason))
            .sum()
    };
    assert_eq!(
        [DropReason::SourceGuard, DropReason::ArpInspection].map(counted),
        [1, 1]
    );
}

/// A router says that it is one; before it has, it has to answer itself.
#[test]
fn neighbour_discovery_is_answered_when_all_is_known() {
    let mut net = hub(2, 3);
    let address = |host: usize| v6(100 + host as u8);
    let (group_mac, group) = solicited_node(102);
    let asks = |from: usize| {
        let message = solicitation(address(2), &option(1, station(from)));
        discovery(group_mac, station(from), (address(from), group), &message)
    };
    let says = |flags: u8| {
        let message = advertisement(flags, address(2), &option(2, station(2)));
        let all = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].into();
        discovery(
            MacAddr([0x33, 0x33, 0, 0, 0, 1]),
            station(2),
            (address(2), all),
            &message,
        )
    };
    let message = solicitation(address(1), &option(1, station(2)));
    let (mac, to) = solicited_node(101);
    net.send(2, 0, &discovery(mac, station(2), (address(2), to), &message));
    net.take();
    net.send(1, 0, &asks(1));
    assert_eq!(
        heard(&mut net),
        [HUB, 2, 3],
        "its address is known, and not whether it is a router"
    );
    for (flags, answered) in [(0xa0, 0xc0), (0x20, 0x40)] {
        net.send(2, 0, &says(flags));
        assert_eq!(heard(&mut net), [HUB, 1, 3]);
        net.send(1, 0, &asks(1));
        let written = net.take();
        assert_eq!(written.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1, 0, 0]);
        let message = advertisement(answered, address(2), &option(2, station(2)));
        let expected = discovery(station(1), station(2), (address(2), address(1)), &message);
        assert_eq!(written[1][0].bytes, expected);
        net.pass(Span::from_secs(2));
        net.take();
    }
    // Detection of duplicates: the owner must hear it.
    let nobody = [0; 16].into();
    let message = solicitation(address(2), &[]);
    net.send(1, 0, &discovery(group_mac, station(1), (nobody, group), &message));
    assert_eq!(heard(&mut net), [HUB, 2, 3]);
}

/// Each refresh is told, but not each frame; all workers know the same.
#[test]
fn workers_know_the_same_addresses() {
    let mut net = hub(3, 3);
    for second in 0..100 {
        net.pass(Span::from_secs(1));
        if second % 10 == 0 {
            net.send(1, 0, &announcement(1));
        }
    }
    let known = |shard: &Shard| {
        let mut entries: Vec<_> = shard.neighbors_page(0, 100).0;
        entries.sort_by_key(|entry| entry.ip);
        entries.iter().map(|e| (e.ip, e.mac, e.port)).collect::<Vec<_>>()
    };
    let first = known(&net.hosts[HUB].shards[0]);
    assert_eq!(first.len(), 4);
    assert!(net.hosts[HUB].shards.iter().all(|shard| known(shard) == first));
    net.pass(Span::from_secs(250));
    for shard in &net.hosts[HUB].shards {
        let left: Vec<_> = known(shard).iter().map(|entry| entry.0).collect();
        assert_eq!(left, vec![ip(1)]);
    }
}

/// What only a router or a DHCP server may say is taken from trusted peers, and from the TAP.
#[test]
fn forged_routers_and_dhcp_servers_are_dropped() {
    let mut net = Net::hub(2, 3);
    net.introduce();
    let udp = |from: u16, to: u16, kind: u8| {
        let mut udp = build::udp(from, to);
        udp[8] = kind;
        udp
    };
    let from = |host: usize, mut frame: Vec<u8>| {
        frame[..6].copy_from_slice(&BROADCAST.0);
        frame[6..12].copy_from_slice(&station(host).0);
        frame
    };
    let router = |host| {
        from(
            host,
            build::frame(&[], &build::ipv6(ICMPV6, &[134, 0, 0, 0, 0, 0, 0, 0])),
        )
    };
    let offer = |host| from(host, build::frame(&[], &build::ipv4(UDP, &udp(67, 68, 2))));
    let discover = |host| from(host, build::frame(&[], &build::ipv4(UDP, &udp(68, 67, 1))));
    let passes = |net: &mut Net, host: usize, frame: &[u8]| {
        net.send(host, 0, frame);
        !heard(net).is_empty()
    };
    let guard = |net: &mut Net, dhcp_snooping, ra_guard| {
        for shard in &mut net.hosts[HUB].shards {
            shard.set_first_hop(FirstHop {
                dhcp_snooping,
                ra_guard,
                ..FirstHop::default()
            });
        }
    };
    let trust = |net: &mut Net, dhcp_server, router| {
        let mut port = net.peer_config(1).port(0);
        port.spoke = true;
        port.rules.trust = Trust { dhcp_server, router };
        let now = net.now;
        for shard in &mut net.hosts[HUB].shards {
            shard.set_port(now, PeerId(0), &port).unwrap();
        }
    };
    for (dhcp, ra) in [(false, false), (true, false), (false, true), (true, true)] {
        guard(&mut net, dhcp, ra);
        for (dhcp_server, is_router) in [(false, false), (true, false), (false, true), (true, true)] {
            trust(&mut net, dhcp_server, is_router);
            assert_eq!(passes(&mut net, 1, &offer(1)), !dhcp || dhcp_server);
            assert_eq!(passes(&mut net, 1, &router(1)), !ra || is_router);
            assert!(passes(&mut net, 1, &discover(1)), "a client");
        }
        assert_eq!(passes(&mut net, 2, &offer(2)), !dhcp, "another peer");
        assert!(passes(&mut net, HUB, &offer(HUB)) && passes(&mut net, HUB, &router(HUB)));
    }
    let hub = &net.hosts[HUB];
    let drops = [DropReason::DhcpSnooping, DropReason::RaGuard].map(|reason| hub.drops(reason));
    assert_eq!(drops, [2 * 2 + 2, 2 * 2]);
}
