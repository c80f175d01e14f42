//! Ports without peers.

use super::{super::*, rig::*};
use crate::{config::PortConfig, ids::MacAddr};

const STATIC: MacAddr = MacAddr([2, 0, 0, 0, 9, 9]);

fn port(generation: u16) -> PortConfig {
    PortConfig {
        generation,
        static_macs: [STATIC].into(),
        ..PortConfig::default()
    }
}

#[test]
fn a_frame_for_a_port_without_a_peer_is_counted() {
    for workers in [1, 2] {
        let mut net = Net::hub(workers, 1);
        let now = net.now;
        for shard in &mut net.hosts[HUB].shards {
            shard.set_port(now, PeerId(5), &port(0)).unwrap();
        }
        net.send(HUB, 0, &frame(STATIC, station(HUB), b"nobody is there"));
        let hub = &mut net.hosts[HUB];
        assert_eq!(hub.drops(DropReason::NoPort), 1, "{workers} workers");
        assert!(hub.shards.iter().all(|s| s.peer_status(PeerId(5)).is_none()));
        for shard in &mut hub.shards {
            shard.remove_port(now, PeerId(5));
        }
        net.send(HUB, 0, &frame(STATIC, station(HUB), b"flooded now"));
        assert_eq!(payloads(&net.take()[1]), [b"flooded now"]);
    }
}

#[test]
fn only_the_owner_lets_a_peer_enter() {
    let mut net = Net::hub(2, 2);
    let hub = &net.hosts[HUB];
    for (n, shard) in hub.shards.iter().enumerate() {
        let ids: Vec<PeerId> = shard.peers_page(PeerId(0), 10).0.iter().map(|p| p.peer).collect();
        assert_eq!(ids, [PeerId(n as u16)]);
    }
    net.leave(PeerId(1));
    assert_eq!(net.hosts[HUB].up(), 1);
}

#[test]
fn an_address_that_another_port_has_is_refused_and_nothing_changes() {
    let mut net = Net::hub(1, 2);
    let (now, shard) = (net.now, &mut net.hosts[HUB].shards[0]);
    let spoke = |generation| PortConfig {
        spoke: true,
        ..port(generation)
    };
    shard.set_port(now, PeerId(0), &spoke(0)).unwrap();
    assert!(shard.set_port(now, PeerId(1), &spoke(0)).is_err());
    shard.remove_port(now, PeerId(1));
    shard.set_port(now, PeerId(0), &PortConfig::default()).unwrap();
    shard.set_port(now, PeerId(1), &spoke(0)).unwrap();
    net.send(HUB, 0, &frame(STATIC, station(HUB), b"to the second"));
    assert_eq!(payloads(&net.take()[2]), [b"to the second"]);
}

/// What was learned of the peer that had the slot before does not lead to the next.
#[test]
fn a_slot_that_is_used_again_begins_anew() {
    let mut net = Net::hub(2, 2);
    net.introduce();
    for generation in 1..4 {
        net.send(2, 0, &frame(BROADCAST, station(2), b"learn me"));
        for shard in &net.hosts[HUB].shards {
            assert_eq!(
                shard.bridge.macs().lookup(station(2)),
                Some(Port::Peer(PeerId(1)))
            );
        }
        let config = net.peer_config(2);
        let now = net.now;
        for shard in &mut net.hosts[HUB].shards {
            shard.set_port(now, PeerId(1), &config.port(generation)).unwrap();
            assert_eq!(shard.bridge.macs().lookup(station(2)), None);
        }
    }
}
