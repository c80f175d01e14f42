//! Ports in VLANs: who gets a frame, and with which tag.

use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::{super::*, rig::*};
use crate::{
    config::{PortConfig, PortRules},
    ids::{MacAddr, WorkerId},
    l2::{
        ip_packet::{protocol::*, test_packets as build},
        loop_guard,
        neighbor::tests::{arp, v4},
        vlan::{Switchport, VlanId},
    },
    offload::segment::Segments,
};

const ACCESS_10: [usize; 2] = [1, 2];
const ACCESS_20: usize = 3;
/// 10 and 20, both with tags.
const TRUNK: usize = 4;

fn access(vlan: u16) -> Switchport {
    Switchport::Access(VlanId(vlan))
}

fn trunk(vlans: &[u16], native: Option<u16>) -> Switchport {
    Switchport::Trunk {
        allowed: vlans.iter().map(|vlan| (*vlan, *vlan)).collect(),
        native: native.map(VlanId),
    }
}

fn set_port(net: &mut Net, host: usize, switchport: &Switchport) {
    let config = PortConfig {
        spoke: true,
        rules: PortRules {
            switchport: switchport.clone(),
            ..PortRules::default()
        },
        ..PortConfig::default()
    };
    for shard in &mut net.hosts[HUB].shards {
        shard.set_port(net.now, PeerId(host as u16 - 1), &config).unwrap();
    }
}

/// The hub's own stations are in 20, and with tags in 10.
fn hub(workers: u8) -> Net {
    let mut net = Net::hub(workers, 4);
    for shard in &mut net.hosts[HUB].shards {
        shard.set_vlans(net.now, true, trunk(&[10, 20], Some(20)));
    }
    for host in ACCESS_10 {
        set_port(&mut net, host, &access(10));
    }
    set_port(&mut net, ACCESS_20, &access(20));
    set_port(&mut net, TRUNK, &trunk(&[10, 20], None));
    net
}

/// What the spokes have learned: they know nothing of VLANs.
fn forget(net: &mut Net) {
    net.hosts[HUB + 1..]
        .iter_mut()
        .for_each(|host| host.shards[0].clear_macs());
}

/// Carries what one host has for another in one buffer, as the kernel would.
fn carry(net: &mut Net, from: usize, to: usize) {
    let sent = net.hosts[from].sent(from);
    let mut buffer: Vec<u8> = sent.iter().flat_map(|datagram| datagram.bytes.clone()).collect();
    let piece = sent[0].bytes.len();
    assert!(sent.len() > 10 && sent.iter().all(|d| d.to == to && d.bytes.len() <= piece));
    net.arrive_at(WorkerId(0), from, to, &mut buffer, piece);
}

fn tagged(vlan: u16, frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0x00], &vlan.to_be_bytes(), &frame[12..]].concat()
}

/// Who got what since, but for what looks for loops: the same stations are behind several hosts here.
fn heard(net: &mut Net) -> Vec<(usize, Vec<u8>)> {
    let hosts = net.take().into_iter().enumerate();
    hosts
        .flat_map(|(host, written)| written.into_iter().map(move |w| (host, w.bytes)))
        .filter(|(_, bytes)| loop_guard::nonce_of(bytes).is_none())
        .collect()
}

#[test]
fn a_broadcast_stays_in_its_vlan_and_has_the_tag_that_each_port_has() {
    for workers in 1..=3 {
        let mut net = hub(workers);
        let plain = frame(BROADCAST, station(1), b"to ten");
        let in_ten = tagged(10, &plain);
        net.send(1, 0, &plain);
        assert_eq!(
            heard(&mut net),
            [(HUB, in_ten.clone()), (2, plain.clone()), (TRUNK, in_ten.clone())]
        );
        net.send(TRUNK, 0, &tagged(20, &plain));
        assert_eq!(
            heard(&mut net),
            [(HUB, plain.clone()), (ACCESS_20, plain.clone())]
        );
        net.send(HUB, 0, &plain);
        assert_eq!(
            heard(&mut net),
            [(ACCESS_20, plain.clone()), (TRUNK, tagged(20, &plain))]
        );
        net.send(HUB, 0, &in_ten);
        assert_eq!(heard(&mut net), [(1, plain.clone()), (2, plain), (TRUNK, in_ten)]);
    }
}

#[test]
fn what_belongs_nowhere_is_counted() {
    let mut net = hub(2);
    let plain = frame(BROADCAST, station(4), b"lost");
    for (host, lost, reason) in [
        (TRUNK, plain.clone(), DropReason::VlanIngress),
        (TRUNK, tagged(30, &plain), DropReason::VlanIngress),
        (1, tagged(20, &plain), DropReason::VlanIngress),
        (1, tagged(4095, &plain), DropReason::VlanTag),
    ] {
        let before = net.hosts[HUB].drops(reason);
        net.send(host, 0, &lost);
        assert_eq!(net.hosts[HUB].drops(reason), before + 1, "{host} {lost:?}");
        assert_eq!(heard(&mut net), []);
    }
    // A priority is no VLAN, and stays where there is a tag for it.
    net.send(ACCESS_20, 0, &tagged(0xa000, &plain));
    assert_eq!(
        heard(&mut net),
        [(HUB, plain.clone()), (TRUNK, tagged(0xa014, &plain))]
    );
    // Two tags, and the first comes off: that would be another VLAN's.
    net.send(TRUNK, 0, &tagged(10, &tagged(20, &plain)));
    assert_eq!(heard(&mut net), [(HUB, tagged(10, &tagged(20, &plain)))]);
    assert_eq!(net.hosts[HUB].drops(DropReason::VlanTag), 1 + 2);
}

/// The same address in two VLANs is two stations.
#[test]
fn addresses_are_learned_in_each_vlan() {
    let mut net = hub(3);
    let twin = station(9);
    let (mut wanted, hello) = (Vec::new(), frame(BROADCAST, twin, b"hello"));
    for _ in 0..10 {
        net.send(1, 0, &hello);
        net.send(ACCESS_20, 0, &hello);
    }
    net.take();
    let to_twin = frame(twin, station(4), b"to you");
    for (vlan, host) in [(10, 1), (20, ACCESS_20)] {
        net.send(TRUNK, 0, &tagged(vlan, &to_twin));
        wanted.push((host, to_twin.clone()));
        assert_eq!(heard(&mut net), [wanted.pop().unwrap()], "no move, no freeze");
    }
    let (entries, _) = net.hosts[HUB].shards[1].macs_page(0, 100);
    let mut places: Vec<(u16, Port)> = entries
        .iter()
        .filter(|entry| entry.mac == twin)
        .map(|entry| (entry.vlan.0, entry.port))
        .collect();
    places.sort_unstable();
    assert_eq!(places, [(10, Port::Peer(PeerId(0))), (20, Port::Peer(PeerId(2)))]);

    // Where a port goes to another VLAN, what was learned behind it goes too; and so it does for all of them.
    set_port(&mut net, 1, &access(20));
    forget(&mut net);
    net.send(TRUNK, 0, &tagged(10, &to_twin));
    assert_eq!(
        heard(&mut net),
        [(HUB, tagged(10, &to_twin)), (2, to_twin.clone())],
        "unknown now"
    );
    for shard in &mut net.hosts[HUB].shards {
        shard.set_vlans(net.now, false, Switchport::default());
    }
    let learned = |net: &Net| net.hosts[HUB].shards[0].interface_status().macs;
    assert_eq!(learned(&net), 0);
    net.send(TRUNK, 0, &tagged(10, &to_twin));
    assert_eq!(heard(&mut net).len(), 4, "tags mean nothing any more");
}

/// What is configured is nobody else's in any VLAN, and is reached in those of its port.
#[test]
fn a_configured_address_is_the_same_in_all_vlans() {
    let mut net = hub(2);
    let own = MacAddr([2, 9, 9, 9, 9, 9]);
    for shard in &mut net.hosts[HUB].shards {
        shard.set_tap_macs(net.now, &[own]).unwrap();
    }
    for host in [1, ACCESS_20] {
        net.send(host, 0, &frame(BROADCAST, own, b"it is mine"));
    }
    assert_eq!(net.hosts[HUB].drops(DropReason::MacFrozen), 2);
    forget(&mut net);
    let to_hub = frame(own, station(1), b"to the hub");
    net.send(1, 0, &to_hub);
    assert_eq!(heard(&mut net), [(HUB, tagged(10, &to_hub))]);
    set_port(&mut net, 1, &access(30));
    net.send(1, 0, &to_hub);
    assert_eq!(net.hosts[HUB].drops(DropReason::VlanEgress), 1);
}

/// Segments of TCP: joined and cut as ever, behind a tag or without one.
#[test]
fn super_frames_keep_their_places() {
    let payload = vec![7; 40_000];
    let packet = build::ipv4(TCP, &build::tcp(0x10, &[], &payload));
    let mut whole = build::frame(&[], &packet);
    // Left to do: the sum of the pseudo-header is there already.
    let sum = !build::checksum(&[&build::pseudo_header(&packet, TCP, payload.len() + 20)]);
    whole[50..52].copy_from_slice(&sum.to_be_bytes());
    let header = |frame: &[u8]| {
        let start = (frame.len() - payload.len() - 20) as u16;
        VirtioNetHeader {
            flags: flags::NEEDS_CSUM,
            gso_type: gso::TCPV4,
            hdr_len: start + 20,
            gso_size: 1_000,
            csum_start: start,
            csum_offset: 16,
        }
    };
    let mut net = hub(1);
    for (host, mac) in [(1, build::DST_MAC), (2, build::SRC_MAC)] {
        net.send(host, 0, &frame(BROADCAST, MacAddr(mac), b"here"));
    }
    net.send(
        TRUNK,
        0,
        &tagged(10, &frame(BROADCAST, MacAddr(build::SRC_MAC), b"here")),
    );
    forget(&mut net);
    net.take();
    // With a tag, and then without.
    let in_ten = tagged(10, &whole);
    net.give(TRUNK, 0, &header(&in_ten), &in_ten);
    carry(&mut net, TRUNK, HUB);
    carry(&mut net, HUB, 1);
    let got = net.take();
    assert_eq!(got[1].len(), 1);
    assert_cut_alike(&got[1][0], &header(&whole), &whole);

    // Without, and then with one.
    let back = [&whole[6..12], &whole[..6], &whole[12..]].concat();
    net.send(
        HUB,
        0,
        &tagged(10, &frame(BROADCAST, MacAddr(build::SRC_MAC), b"here now")),
    );
    net.take();
    net.give(1, 0, &header(&back), &back);
    carry(&mut net, 1, HUB);
    let (got, expected) = (net.take(), tagged(10, &back));
    assert_eq!(got[HUB].len(), 1);
    assert_cut_alike(&got[HUB][0], &header(&expected), &expected);
}

/// Whether the TAP is told to cut what it was given into the segments of a super-frame.
fn assert_cut_alike(written: &Written, header: &VirtioNetHeader, frame: &[u8]) {
    let segments = |header: &VirtioNetHeader, frame: &[u8]| -> Vec<Vec<u8>> {
        let plan = Segments::plan(header, frame, usize::MAX).unwrap();
        let segment = |index| {
            let mut out = Vec::new();
            plan.emit(index, Checksum::Complete, &mut out);
            out
        };
        (0..plan.count()).map(segment).collect()
    };
    assert_eq!(written.header.csum_start, header.csum_start);
    assert_eq!(segments(&written.header, &written.bytes), segments(header, frame));
}

#[test]
fn the_hub_answers_in_the_vlan_of_the_question() {
    for workers in 1..=2 {
        let mut net = hub(workers);
        for shard in &mut net.hosts[HUB].shards {
            shard.set_first_hop(FirstHop {
                arp_suppression: true,
                ..FirstHop::default()
            });
        }
        // The same address in both VLANs.
        let ip = v4(7);
        let says = |host: usize| arp(BROADCAST, 1, (station(host), ip), ip);
        net.send(1, 0, &says(1));
        net.send(ACCESS_20, 0, &says(ACCESS_20));
        net.take();
        let question = arp(BROADCAST, 1, (station(TRUNK), v4(4)), ip);
        for (vlan, owner) in [(10, 1), (20, ACCESS_20)] {
            net.send(TRUNK, 0, &tagged(vlan, &question));
            let answers = heard(&mut net);
            let [(TRUNK, answer)] = &answers[..] else {
                panic!("{answers:?}")
            };
            assert_eq!(answer[12..16], tagged(vlan, &question)[12..16]);
            assert_eq!(answer[26..32], station(owner).0, "{vlan}: {answer:?}");
        }
        let question = arp(BROADCAST, 1, (station(HUB), v4(5)), ip);
        net.send(HUB, 0, &tagged(10, &question));
        let answers = heard(&mut net);
        let [(HUB, answer)] = &answers[..] else {
            panic!("{answers:?}")
        };
        assert_eq!(
            (&answer[12..16], &answer[26..32]),
            (&[0x81, 0, 0, 10][..], &station(1).0[..])
        );
    }
}

fn any_port() -> impl Strategy<Value = Switchport> {
    prop_oneof![
        (1_u16..4).prop_map(access),
        (prop::collection::btree_set(1_u16..5, 0..4), 1_u16..5).prop_map(|(vlans, native)| {
            let vlans: Vec<u16> = vlans.into_iter().collect();
            trunk(&vlans, Some(native).filter(|native| vlans.contains(native)))
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whoever is in the VLAN of a broadcast gets it, and nobody else; whatever was changed before.
    #[test]
    fn a_broadcast_reaches_its_vlan(
        workers in 1_u8..3, tap in any_port(),
        steps in prop::collection::vec((1_usize..=4, any_port(), 0_usize..=4, 0_u16..6), 1..12),
    ) {
        let mut net = hub(workers);
        for shard in &mut net.hosts[HUB].shards {
            shard.set_vlans(net.now, true, tap.clone());
        }
        let mut ports = [tap, access(10), access(10), access(20), trunk(&[10, 20], None)];
        for (host, port, from, tag) in steps {
            set_port(&mut net, host, &port);
            ports[host] = port;
            let plain = frame(BROADCAST, station(from), b"who is there");
            let vlan = match tag {
                0 => ports[from].untagged(),
                tag => Some(VlanId(tag)),
            };
            let sent = if tag == 0 { plain.clone() } else { tagged(tag, &plain) };
            net.send(from, 0, &sent);
            let mut expected = Vec::new();
            if let Some(vlan) = vlan.filter(|vlan| ports[from].contains(*vlan)) {
                for (to, port) in ports.iter().enumerate().filter(|(to, port)| *to != from && port.contains(vlan)) {
                    let bytes = if port.is_tagged(vlan) { tagged(vlan.0, &plain) } else { plain.clone() };
                    expected.push((to, bytes));
                }
            }
            prop_assert_eq!(heard(&mut net), expected);
        }
    }
}
