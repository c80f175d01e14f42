//! A hub that asks who listens, because no router does.

use std::{net::Ipv4Addr, vec, vec::Vec};

use super::{
    super::*,
    multicast::{GROUP, from, stream},
    rig::*,
};
use crate::{
    config::{DomainConfig, PortConfig, PortRules, QuerierConfig},
    l2::{
        multicast::{
            Heard, MAX_QUERIED_VLANS, Protocol,
            message::Message,
            query::{Query, link_local},
            tests_frames as build,
        },
        vlan::{Switchport, VlanId},
    },
};

const OTHER: [u8; 4] = [239, 1, 2, 4];
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const INTERVAL: Span = Span::from_secs(100);
/// So long after the first question it is known who listens.
const SETTLING: Span = Span::from_secs(15);

fn domain() -> DomainConfig {
    let querier = Some(QuerierConfig {
        interval: INTERVAL,
        address: None,
    });
    DomainConfig {
        igmp_snooping: true,
        mld_snooping: true,
        igmp_querier: querier,
        mld_querier: querier,
        tap_address: Some(OWN),
        ..DomainConfig::default()
    }
}

fn set(net: &mut Net, domain: &DomainConfig) {
    let now = net.now;
    for shard in &mut net.hosts[HUB].shards {
        shard.set_domain(now, domain);
    }
}

/// A hub that begins to ask now.
fn hub(workers: u8, spokes: u16, domain: &DomainConfig) -> Net {
    let mut net = Net::hub(workers, spokes);
    net.take();
    let now = net.now;
    for shard in &mut net.hosts[HUB].shards {
        shard.set_tap_macs(now, &[station(HUB)]).unwrap();
    }
    set(&mut net, domain);
    net
}

/// What each host is asked from now on for a while, and in which second.
fn asked(net: &mut Net, span: Span) -> Vec<Vec<(u64, Query)>> {
    let (begin, mut all) = (net.now, vec![Vec::new(); net.hosts.len()]);
    while net.now.since(begin) < span {
        let seconds = net.now.since(begin).as_secs();
        net.pass(Span::from_secs(1));
        for (host, written) in net.take().into_iter().enumerate() {
            let queries = written.iter().filter_map(|w| match Message::parse(&w.bytes) {
                Some(Message::Query(query)) => Some((seconds, query)),
                _ => None,
            });
            all[host].extend(queries);
        }
    }
    all
}

fn times(queries: &[(u64, Query)], protocol: Protocol) -> Vec<u64> {
    let of = queries.iter().filter(|(_, query)| query.protocol() == protocol);
    of.map(|(at, _)| *at).collect()
}

fn join(host: usize) -> Vec<u8> {
    from(host, build::igmp_records(&[(2, GROUP, 0)]))
}

fn heard(net: &mut Net, host: usize, frame: &[u8]) -> Vec<usize> {
    net.take();
    super::multicast::heard(net, host, frame)
}

fn ours(net: &Net) -> Vec<usize> {
    let of = |shard: &Shard| {
        let entries = shard.listeners_page(0, 1_000).0;
        entries
            .iter()
            .filter(|e| matches!(e.heard, Heard::Ourselves(_)))
            .count()
    };
    net.hosts[HUB].shards.iter().map(of).collect()
}

#[test]
fn everybody_is_asked_in_time_and_this_host_as_it_takes_it() {
    for workers in 1..=3 {
        let mut net = hub(workers, 4, &domain());
        // Not at the second: of IPv6 it is asked a moment later.
        net.pass(Span::from_millis(500));
        let asked = asked(&mut net, Span::from_secs(260));
        for (host, queries) in asked.iter().enumerate() {
            for protocol in [Protocol::Igmp, Protocol::Mld] {
                assert_eq!(times(queries, protocol), [0, 24, 124, 224], "host {host}");
            }
        }
        for (_, query) in &asked[1] {
            assert_eq!((query.mac, query.interval), (station(HUB), INTERVAL));
            let source: core::net::IpAddr = match query.protocol() {
                Protocol::Igmp => OWN.into(),
                Protocol::Mld => link_local(station(HUB)).into(),
            };
            assert_eq!(query.source, source);
        }
        // Nobody takes what comes from himself.
        for (_, query) in &asked[HUB] {
            assert_ne!(query.mac, station(HUB));
            assert!(query.source.is_unspecified() || query.protocol() == Protocol::Mld);
        }
        assert_eq!(ours(&net), vec![2; usize::from(workers)]);
        let left = net.hosts[HUB].shards[0].listeners_page(0, 10).0[0].left;
        let to_next = Span::from_millis(64_500)..Span::from_secs(66);
        assert!(left.is_some_and(|left| to_next.contains(&left)), "{left:?}");

        set(
            &mut net,
            &DomainConfig {
                igmp_querier: None,
                ..domain()
            },
        );
        assert_eq!(ours(&net), vec![1; usize::from(workers)]);
    }
}

#[test]
fn whoever_answers_gets_the_group_for_as_long_as_it_answers_and_nobody_else() {
    for workers in 1..=3 {
        let mut net = hub(workers, 4, &domain());
        net.pass(Span::from_secs(1));
        assert_eq!(
            heard(&mut net, 2, &stream(2, GROUP)),
            [HUB, 1, 3, 4],
            "nobody could answer yet"
        );
        assert_eq!(
            heard(&mut net, 1, &join(1)),
            [],
            "it is for us, and we have read it"
        );
        assert_eq!(net.hosts[HUB].drops(DropReason::NoListener), 0);
        net.pass(SETTLING);
        for _ in 0..6 {
            assert_eq!(heard(&mut net, 2, &stream(2, GROUP)), [1]);
            assert_eq!(heard(&mut net, HUB, &stream(HUB, GROUP)), [1]);
            assert_eq!(heard(&mut net, 2, &stream(2, OTHER)), []);
            net.pass(INTERVAL);
            heard(&mut net, 1, &join(1));
        }
        assert_eq!(net.hosts[HUB].drops(DropReason::NoListener), 6);
        // Twice the interval and ten seconds.
        net.pass(Span::from_secs(209));
        assert_eq!(heard(&mut net, 2, &stream(2, GROUP)), [1]);
        net.pass(Span::from_secs(2));
        assert_eq!(heard(&mut net, 2, &stream(2, GROUP)), []);
    }
}

#[test]
fn a_router_asks_in_our_place_until_it_does_not_any_more() {
    const ROUTER: usize = 4;
    for workers in 1..=3 {
        let mut net = hub(workers, 4, &domain());
        net.pass(SETTLING);
        let asks = |last| {
            let query = Query::ours([10, 0, 0, last].into(), station(ROUTER), INTERVAL);
            query.frame()
        };
        // A worse one is no reason to be silent, but a router.
        assert_eq!(heard(&mut net, ROUTER, &asks(9)), [HUB, 1, 2, 3]);
        assert_eq!(heard(&mut net, 2, &stream(2, GROUP)), [ROUTER]);
        assert_eq!(ours(&net), vec![2; usize::from(workers)]);
        assert_eq!(times(&asked(&mut net, INTERVAL)[1], Protocol::Igmp), [9]);

        heard(&mut net, ROUTER, &asks(2));
        assert_eq!(ours(&net), vec![1; usize::from(workers)], "that of MLD");
        assert_eq!(heard(&mut net, 1, &join(1)), [ROUTER], "which is to know");
        assert_eq!(
            heard(&mut net, 2, &stream(2, GROUP)),
            [1, ROUTER],
            "nothing is lost"
        );
        // Twice its interval, and half the time to answer: then at once.
        assert_eq!(
            times(&asked(&mut net, Span::from_secs(400))[1], Protocol::Igmp)[0],
            204
        );
        assert_eq!(ours(&net), vec![2; usize::from(workers)]);

        // It is gone with its port.
        heard(&mut net, ROUTER, &asks(2));
        assert_eq!(ours(&net), vec![1; usize::from(workers)]);
        net.leave(PeerId(ROUTER as u16 - 1));
        assert_eq!(
            times(&asked(&mut net, Span::from_secs(5))[1], Protocol::Igmp),
            [0]
        );
        assert_eq!(ours(&net), vec![2; usize::from(workers)]);
    }
}

/// A better address that we had is no reason not to ask from another one.
#[test]
fn from_another_address_it_is_asked_at_once() {
    let mut net = hub(2, 2, &domain());
    net.pass(Span::from_secs(40));
    let nowhere = DomainConfig {
        tap_address: None,
        ..domain()
    };
    set(&mut net, &nowhere);
    net.take();
    let asked = asked(&mut net, Span::from_secs(3));
    let sources: Vec<_> = asked[1].iter().map(|(_, query)| query.source).collect();
    assert_eq!(sources, [Ipv4Addr::UNSPECIFIED], "that of IPv6 has not changed");
    assert_eq!(ours(&net), [2, 2]);
}

#[test]
fn who_comes_later_is_asked_at_once() {
    for workers in 1..=3 {
        let mut net = hub(workers, 4, &domain());
        net.pass(Span::from_secs(40));
        net.leave(PeerId(1));
        net.pass(Span::from_secs(5));
        net.take();
        net.enter(PeerId(1), 1);
        let asked = asked(&mut net, Span::from_secs(30));
        assert_eq!((asked[1].len(), asked[2].len()), (0, 2), "nobody else is");
        for (at, query) in &asked[2] {
            assert!(*at < 20, "{at}");
            assert_eq!((query.within, query.interval), (Span::from_secs(1), INTERVAL));
        }
    }
}

/// In each VLAN that a port names, with the tag that the port has there; of the address that the TAP has in its own.
#[test]
fn it_is_asked_in_each_vlan() {
    let trunk = |allowed: &[(u16, u16)]| Switchport::Trunk {
        allowed: allowed.into(),
        native: None,
    };
    let mut net = hub(2, 4, &DomainConfig::default());
    let now = net.now;
    let ports = [
        Switchport::Access(VlanId(10)),
        trunk(&[(10, 11), (300, 4_000)]),
        trunk(&[(1, 4_094)]),
        Switchport::Access(VlanId(20)),
    ];
    for shard in &mut net.hosts[HUB].shards {
        for (peer, switchport) in ports.iter().enumerate() {
            let rules = PortRules {
                switchport: switchport.clone(),
                ..PortRules::default()
            };
            let port = PortConfig {
                spoke: true,
                rules,
                ..PortConfig::default()
            };
            shard.set_port(now, PeerId(peer as u16), &port).unwrap();
        }
    }
    let vlans = DomainConfig {
        vlan_filtering: true,
        tap: Switchport::Access(VlanId(20)),
        mld_querier: None,
        ..domain()
    };
    set(&mut net, &vlans);
    net.take();
    net.pass(Span::from_secs(10));
    let written = net.take();
    let tags = |host: usize| -> Vec<(u16, bool)> {
        let frames = written[host]
            .iter()
            .filter_map(|w| match Message::parse(&w.bytes) {
                Some(Message::Query(query)) => {
                    let tci = crate::l2::vlan::tag::tci(&w.bytes);
                    Some((tci.unwrap_or(0), query.source == OWN))
                }
                _ => None,
            });
        frames.collect()
    };
    assert_eq!(tags(HUB), [(0, false)]);
    assert_eq!((tags(1), tags(4)), (vec![(0, false)], vec![(0, true)]));
    let bound = MAX_QUERIED_VLANS as u16 - 3;
    let expected: Vec<(u16, bool)> = [10, 11]
        .into_iter()
        .chain(300..300 + bound)
        .map(|v| (v, false))
        .collect();
    assert_eq!(tags(2), expected, "no more than that");
    assert_eq!(tags(3).len(), MAX_QUERIED_VLANS);
    assert_eq!(ours(&net), [MAX_QUERIED_VLANS; 2]);
}
