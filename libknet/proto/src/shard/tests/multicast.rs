//! Multicast groups that go to those who listen.

use std::{vec, vec::Vec};

use super::{super::*, rig::*};
use crate::{
    config::{DomainConfig, PortConfig, PortRules},
    ids::MacAddr,
    l2::{
        multicast::tests_frames as build,
        source_guard::GuardRules,
        vlan::{Switchport, VlanId},
    },
};

const ROUTER: usize = 4;
pub(super) const GROUP: [u8; 4] = [239, 1, 2, 3];

/// Of the station behind a host.
pub(super) fn from(host: usize, mut frame: Vec<u8>) -> Vec<u8> {
    frame[6..12].copy_from_slice(&station(host).0);
    frame
}

pub(super) fn stream(host: usize, group: [u8; 4]) -> Vec<u8> {
    // Not IGMP, but to the same group.
    let mut frame = from(host, build::igmp(0x16, group, &[]));
    frame[23] = 17;
    frame
}

fn query() -> Vec<u8> {
    from(ROUTER, build::igmp(0x11, [0; 4], &[]))
}

/// A hub whose router has asked, and been answered, if somebody has.
fn hub(workers: u8) -> Net {
    let mut net = Net::hub(workers, 4);
    let domain = DomainConfig {
        igmp_snooping: true,
        mld_snooping: true,
        ..DomainConfig::default()
    };
    for shard in &mut net.hosts[HUB].shards {
        shard.set_domain(net.now, &domain);
    }
    net
}

/// Who gets a frame of this host.
pub(super) fn heard(net: &mut Net, host: usize, frame: &[u8]) -> Vec<usize> {
    net.send(host, 0, frame);
    let written = net.take();
    let hosts = written.iter().enumerate();
    hosts
        .filter(|(_, w)| !w.is_empty())
        .map(|(host, _)| host)
        .collect()
}

#[test]
fn a_stream_goes_to_those_who_listen_and_to_the_router() {
    for workers in 1..=3 {
        let mut net = hub(workers);
        assert_eq!(
            heard(&mut net, 2, &stream(2, GROUP)),
            [HUB, 1, 3, 4],
            "nobody has asked"
        );
        assert_eq!(heard(&mut net, ROUTER, &query()), [HUB, 1, 2, 3]);
        assert_eq!(
            heard(&mut net, 2, &stream(2, GROUP)),
            [HUB, 1, 3, 4],
            "nobody has answered"
        );
        let joins = from(1, build::igmp(0x16, GROUP, &[]));
        assert_eq!(heard(&mut net, 1, &joins), [HUB, 2, 3, 4], "yet");
        net.pass(Span::from_secs(20));
        assert_eq!(heard(&mut net, 2, &stream(2, GROUP)), [1, ROUTER]);
        assert_eq!(heard(&mut net, HUB, &stream(HUB, GROUP)), [1, ROUTER]);
        assert_eq!(heard(&mut net, 1, &stream(1, GROUP)), [ROUTER]);
        assert_eq!(
            heard(&mut net, 2, &stream(2, [239, 1, 2, 4])),
            [ROUTER],
            "nobody listens"
        );
        // What is not to be filtered: for all, or no IP.
        assert_eq!(heard(&mut net, 2, &stream(2, [224, 0, 0, 251])), [HUB, 1, 3, 4]);
        let other = frame(MacAddr([1, 2, 3, 4, 5, 6]), station(2), b"no IP");
        assert_eq!(heard(&mut net, 2, &other), [HUB, 1, 3, 4]);

        // Of what others listen to only the router hears.
        let report = from(3, build::igmp_records(&[(4, GROUP, 0)]));
        assert_eq!(heard(&mut net, 3, &report), [ROUTER]);
        let own = from(HUB, build::igmp(0x16, GROUP, &[]));
        assert_eq!(heard(&mut net, HUB, &own), [ROUTER]);
        assert_eq!(heard(&mut net, 2, &stream(2, GROUP)), [HUB, 1, 3, ROUTER]);
        let leaves = from(3, build::igmp(0x17, GROUP, &[]));
        assert_eq!(heard(&mut net, 3, &leaves), [ROUTER]);
        net.pass(Span::from_secs(4));
        assert_eq!(heard(&mut net, 2, &stream(2, GROUP)), [HUB, 1, ROUTER]);
        let shards = net.hosts[HUB].shards.iter();
        let known: Vec<u32> = shards.map(|s| s.interface_status().listeners).collect();
        assert_eq!(known, vec![2; usize::from(workers)]);

        // The router is gone: from now on everybody gets everything.
        net.pass(Span::from_secs(260));
        assert_eq!(heard(&mut net, 2, &stream(2, GROUP)), [HUB, 1, 3, 4]);
    }
}

#[test]
fn what_nobody_wants_is_counted() {
    let mut net = hub(2);
    heard(&mut net, ROUTER, &query());
    net.pass(Span::from_secs(20));
    let unwanted = |net: &Net| net.hosts[HUB].drops(DropReason::NoListener);
    assert_eq!(heard(&mut net, ROUTER, &stream(ROUTER, GROUP)), []);
    assert_eq!(unwanted(&net), 1);
    // Switched off it goes everywhere again.
    for shard in &mut net.hosts[HUB].shards {
        shard.set_domain(net.now, &DomainConfig::default());
    }
    assert_eq!(heard(&mut net, ROUTER, &stream(ROUTER, GROUP)), [HUB, 1, 2, 3]);
}

/// What a peer forges that is to be no router is seen by nobody, and is counted.
#[test]
fn nobody_becomes_a_router_who_is_not_to_be_one() {
    const FORGER: usize = 3;
    for workers in 1..=3 {
        let mut net = hub(workers);
        let guard = GuardRules {
            router_guard: true,
            ..GuardRules::default()
        };
        let rules = PortRules {
            guard: Some(Box::new(guard)),
            ..PortRules::default()
        };
        let (now, forger) = (net.now, PeerId(FORGER as u16 - 1));
        for shard in &mut net.hosts[HUB].shards {
            let port = PortConfig {
                spoke: true,
                rules: rules.clone(),
                ..PortConfig::default()
            };
            shard.set_port(now, forger, &port).unwrap();
        }
        let forged = [
            build::igmp(0x11, [0; 4], &[]),
            build::igmp(0x11, GROUP, &[]),
            build::mld(130, [0; 16]),
            build::pim(),
        ];
        for (n, frame) in forged.into_iter().enumerate() {
            assert_eq!(heard(&mut net, FORGER, &from(FORGER, frame)), []);
            let hub = &net.hosts[HUB];
            assert_eq!(hub.drops(DropReason::RouterGuard), n as u64 + 1);
            let seen = hub.shards.iter().map(|shard| shard.peer_status(forger));
            let seen = seen.flatten().map(|status| status.domain.guard.routers);
            assert_eq!(seen.sum::<u64>(), n as u64 + 1);
        }
        assert!(
            net.hosts[HUB]
                .shards
                .iter()
                .all(|shard| shard.listeners_page(0, 9).0.is_empty())
        );

        // It listens as everybody may, and gets what it listens to and no more.
        heard(&mut net, ROUTER, &query());
        heard(&mut net, FORGER, &from(FORGER, build::igmp(0x16, GROUP, &[])));
        net.pass(Span::from_secs(20));
        assert_eq!(heard(&mut net, 2, &stream(2, GROUP)), [FORGER, ROUTER]);
        assert_eq!(heard(&mut net, 2, &stream(2, [239, 9, 9, 9])), [ROUTER]);
    }
}

/// Each VLAN has its own listeners, and a peer can be given as a router.
#[test]
fn listeners_of_a_vlan_and_a_router_by_configuration() {
    let mut net = hub(2);
    let domain = DomainConfig {
        igmp_snooping: true,
        vlan_filtering: true,
        tap: Switchport::Access(VlanId(10)),
        ..DomainConfig::default()
    };
    let now = net.now;
    for shard in &mut net.hosts[HUB].shards {
        shard.set_domain(now, &domain);
        for (peer, vlan, igmp_router) in [(0, 10, false), (1, 20, false), (2, 10, true), (3, 10, false)] {
            let rules = PortRules {
                switchport: Switchport::Access(VlanId(vlan)),
                igmp_router,
                ..PortRules::default()
            };
            let port = PortConfig {
                spoke: true,
                rules,
                ..PortConfig::default()
            };
            shard.set_port(now, PeerId(peer), &port).unwrap();
        }
    }
    assert_eq!(heard(&mut net, ROUTER, &query()), [HUB, 1, 3]);
    net.pass(Span::from_secs(20));
    let joins = |host| from(host, build::igmp(0x16, GROUP, &[]));
    assert_eq!(heard(&mut net, 1, &joins(1)), [3, ROUTER]);
    assert_eq!(heard(&mut net, 2, &joins(2)), [], "alone in its VLAN");
    assert_eq!(heard(&mut net, HUB, &stream(HUB, GROUP)), [1, 3, ROUTER]);
    net.leave(PeerId(2));
    assert_eq!(heard(&mut net, HUB, &stream(HUB, GROUP)), [1, ROUTER]);
}

#[test]
fn groups_of_ipv6_likewise() {
    let mut net = hub(1);
    let group = |last: u8| {
        let mut group = [0; 16];
        group[..2].copy_from_slice(&[0xff, 0x05]);
        group[15] = last;
        group
    };
    heard(&mut net, ROUTER, &from(ROUTER, build::mld(130, [0; 16])));
    heard(&mut net, 1, &from(1, build::mld_records(&[(4, group(1), 0)])));
    net.pass(Span::from_secs(20));
    let stream = |host: usize, last: u8| {
        let mut frame = from(host, build::mld(131, group(last)));
        frame[20] = 59;
        frame
    };
    assert_eq!(heard(&mut net, 2, &stream(2, 1)), [1, ROUTER]);
    assert_eq!(heard(&mut net, 2, &stream(2, 2)), [ROUTER]);
    assert_eq!(
        heard(&mut net, 2, &super::multicast::stream(2, GROUP)),
        [HUB, 1, 3, 4],
        "of IPv4 nobody asks"
    );
}
