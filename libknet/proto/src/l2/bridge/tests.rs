#![allow(clippy::unwrap_used)]

mod guard;
mod replicas;

use std::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};

use proptest::prelude::*;

use super::*;
use crate::{
    ids::MAX_PEERS,
    l2::{
        mac_table::{MAX_MOVES, MOVE_WINDOW},
        storm::StormLimits,
    },
    rng::{Entropy, SeededEntropy},
    wire::virtio_net_header::{VirtioNetHeader, gso},
};

const AGEING: Span = Span::from_secs(300);

fn at(ms: u64) -> Time {
    Time::ZERO + Span::from_millis(ms)
}

fn station(n: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, n])
}

fn frame(dst: MacAddr, src: MacAddr) -> Vec<u8> {
    [&dst.0[..], &src.0, &[0x08, 0x00, 1, 2, 3]].concat()
}

const BROADCAST: MacAddr = MacAddr([0xff; 6]);
const P0: Port = Port::Peer(PeerId(0));
const P1: Port = Port::Peer(PeerId(1));

fn bridge(isolated: &[bool]) -> Bridge {
    let mut bridge = Bridge::new([3, 4], AGEING);
    for (peer, isolate) in isolated.iter().enumerate() {
        bridge
            .set_port(at(0), PeerId(peer as u16), *isolate, &[])
            .unwrap();
    }
    bridge
}

impl Bridge {
    fn forward_one(&mut self, now: Time, ingress: Port, frame: &[u8]) -> Decision {
        self.forward(now, ingress, &Frame::plain(frame))
    }

    fn take_copies_of_one(&mut self, now: Time, ingress: Port, wanted: u32) -> u32 {
        self.take_copies(now, ingress, wanted, 1)
    }
}

/// A super-frame costs what the frames that it is made of would.
#[test]
fn a_super_frame_is_rationed_as_its_segments() {
    let mut bridge = Bridge::new([1, 2], Span::from_secs(300));
    for peer in 0..2 {
        bridge
            .set_port(at(0), PeerId(peer), false, &[])
            .expect("no address");
    }
    let flooded = |bridge: &mut Bridge, count: u32| {
        let mut frame = frame(BROADCAST, station(1));
        frame.resize(100 * count as usize, 0);
        let header = VirtioNetHeader {
            gso_type: gso::UDP_L4,
            gso_size: 100,
            ..VirtioNetHeader::default()
        };
        (0..3_000)
            .take_while(|_| bridge.forward(at(0), P0, &Frame::new(header, &frame)) == Decision::Flood)
            .count()
    };
    assert_eq!(flooded(&mut bridge, 40), 2_000 / 40);
    // Forty times as many copies are taken, and it is all forty or none.
    assert_eq!(bridge.take_copies(at(0), P0, 100, 40), 100);
    assert_eq!(bridge.take_copies(at(0), P0, 50, 40), 25);
    assert_eq!(bridge.take_copies(at(0), P0, 200, 40), 0);
}

/// What the operator says of a peer takes the place of what holds for all.
#[test]
fn a_peer_may_be_allowed_less_or_more() {
    let mut bridge = bridge(&[false, false, false]);
    let limits = |frames, copies| PortRules {
        storm: StormLimits { frames, copies },
        ..PortRules::default()
    };
    bridge.set_rules(PeerId(0), &limits(Some(5), Some(7)));
    bridge.set_rules(PeerId(1), &limits(Some(50_000), Some(100_000)));
    let flooded = |bridge: &mut Bridge, port: Port, now: Time| {
        let frame = frame(BROADCAST, station(1));
        (0..200_000)
            .take_while(|_| bridge.forward_one(now, port, &frame) == Decision::Flood)
            .count()
    };
    assert_eq!(flooded(&mut bridge, P0, at(0)), 10);
    assert_eq!(flooded(&mut bridge, P0, at(1_000)), 5);
    assert_eq!(bridge.take_copies_of_one(at(0), P0, 50), 35);
    assert_eq!(bridge.take_copies_of_one(at(4_500), P0, 50), 0);
    assert_eq!(bridge.take_copies_of_one(at(4_900), P0, 50), 1);
    assert_eq!(bridge.storm_drops(PeerId(0)), (2, 15 + 50 + 49));
    bridge.clear_dynamic();
    assert_eq!(flooded(&mut bridge, P1, at(5_000)), 100_000);
    assert_eq!(bridge.take_copies_of_one(at(5_000), P1, 400_000), 400_000);
    assert_eq!(bridge.storm_drops(PeerId(2)), (0, 0));
    bridge.clear_storm_drops();
    assert_eq!(bridge.storm_drops(PeerId(0)), (0, 0));
    // And back.
    bridge.set_rules(PeerId(0), &PortRules::default());
    bridge.clear_dynamic();
    assert_eq!(flooded(&mut bridge, P0, at(100_000)), 2_000);
}

#[test]
fn a_limit_of_addresses_drops_the_others() {
    let mut bridge = bridge(&[false, false]);
    let limit = |mac_limit| PortRules {
        mac_limit,
        ..PortRules::default()
    };
    bridge.set_rules(PeerId(0), &limit(Some(2)));
    let from = |bridge: &mut Bridge, port, n| bridge.forward_one(at(0), port, &frame(BROADCAST, station(n)));
    let dropped = Decision::Drop(DropReason::MacLimit);
    assert_eq!(
        [1, 2, 3, 1].map(|n| from(&mut bridge, P0, n)),
        [Decision::Flood, Decision::Flood, dropped, Decision::Flood]
    );
    assert_eq!(from(&mut bridge, P1, 3), Decision::Flood, "another peer");
    assert_eq!(from(&mut bridge, P0, 3), dropped, "nor does it move there");
    assert_eq!(bridge.macs().lookup(station(3)), Some(P1));
    // Configured addresses are besides.
    bridge.set_port(at(0), PeerId(0), false, &[station(9)]).unwrap();
    assert_eq!(from(&mut bridge, P0, 9), Decision::Flood);
    bridge.set_rules(PeerId(0), &limit(Some(1)));
    assert_eq!(
        from(&mut bridge, P0, 2),
        Decision::Flood,
        "what has been learned stays"
    );
    bridge.clear_dynamic_on(P0);
    assert_eq!(
        [1, 2].map(|n| from(&mut bridge, P0, n)),
        [Decision::Flood, dropped]
    );
    bridge.set_rules(PeerId(0), &limit(None));
    assert_eq!(from(&mut bridge, P0, 2), Decision::Flood);
    // Whoever has the slot next begins without.
    bridge.set_rules(PeerId(0), &limit(Some(1)));
    bridge.remove_peer(PeerId(0));
    bridge.set_port(at(0), PeerId(0), false, &[]).unwrap();
    bridge.set_rules(PeerId(0), &PortRules::default());
    assert_eq!([1, 2].map(|n| from(&mut bridge, P0, n)), [Decision::Flood; 2]);
}

#[test]
fn frames_that_no_bridge_forwards() {
    let mut bridge = bridge(&[false]);
    let mut forward = |bytes: &[u8]| bridge.forward_one(at(0), P0, bytes);
    assert_eq!(forward(&[]), Decision::Drop(DropReason::FrameShort));
    assert_eq!(
        forward(&frame(BROADCAST, station(1))[..13]),
        Decision::Drop(DropReason::FrameShort)
    );
    assert_eq!(
        forward(&frame(station(2), BROADCAST)),
        Decision::Drop(DropReason::FrameSourceGroup)
    );
    let bpdu = MacAddr([0x01, 0x80, 0xc2, 0, 0, 0]);
    assert_eq!(
        forward(&frame(bpdu, station(1))),
        Decision::Drop(DropReason::FrameReserved)
    );
    assert_eq!(forward(&frame(BROADCAST, station(1))[..14]), Decision::Flood);
    assert_eq!(
        bridge.macs().len(),
        1,
        "nothing was learned from what was dropped"
    );
    assert_eq!(
        bridge.forward_one(at(0), P1, &frame(BROADCAST, station(1))),
        Decision::Drop(DropReason::PeerShutdown),
        "a peer that is not there"
    );
}

#[test]
fn it_learns_and_relays() {
    let mut bridge = bridge(&[false, false]);
    assert_eq!(
        bridge.forward_one(at(0), P0, &frame(BROADCAST, station(1))),
        Decision::Flood
    );
    assert_eq!(
        bridge.forward_one(at(0), P1, &frame(station(1), station(2))),
        Decision::Peer(PeerId(0))
    );
    assert_eq!(
        bridge.forward_one(at(0), Port::Tap, &frame(station(2), station(3))),
        Decision::Peer(PeerId(1))
    );
    assert_eq!(
        bridge.forward_one(at(0), P0, &frame(station(3), station(1))),
        Decision::Tap
    );
    let back = Decision::Drop(DropReason::SplitHorizon);
    assert_eq!(
        bridge.forward_one(at(0), P0, &frame(station(1), station(1))),
        back
    );
    assert_eq!(
        bridge.forward_one(at(0), Port::Tap, &frame(station(3), station(3))),
        back
    );
    assert_eq!(
        bridge.forward_one(at(0), Port::Tap, &frame(station(9), station(3))),
        Decision::Flood
    );
    assert!(bridge.may_flood_to(P0, PeerId(1)) && bridge.may_flood_to(Port::Tap, PeerId(0)));
    assert!(!bridge.may_flood_to(P0, PeerId(0)) && !bridge.may_flood_to(Port::Tap, PeerId(2)));
}

#[test]
fn an_isolated_peer_speaks_with_the_tap_only() {
    for isolated in [[true, false], [false, true], [true, true]] {
        let mut bridge = bridge(&isolated);
        let first = bridge.forward_one(at(0), P0, &frame(BROADCAST, station(1)));
        assert_eq!(
            first,
            if isolated[0] {
                Decision::Tap
            } else {
                Decision::Flood
            }
        );
        assert!(!bridge.may_flood_to(P0, PeerId(1)) && !bridge.may_flood_to(P1, PeerId(0)));
        assert!(bridge.may_flood_to(Port::Tap, PeerId(0)) && bridge.may_flood_to(Port::Tap, PeerId(1)));
        let refused = Decision::Drop(DropReason::Isolated);
        assert_eq!(
            bridge.forward_one(at(0), P1, &frame(station(1), station(2))),
            refused
        );
        assert_eq!(
            bridge.forward_one(at(0), P0, &frame(station(2), station(1))),
            refused
        );
        assert_eq!(
            bridge.forward_one(at(0), Port::Tap, &frame(station(1), station(3))),
            Decision::Peer(PeerId(0))
        );
        assert_eq!(
            bridge.forward_one(at(0), P1, &frame(station(3), station(2))),
            Decision::Tap
        );
    }
}

#[test]
fn nothing_is_relayed_between_neighbours_in_a_mesh() {
    for mesh in [[true, false], [false, true], [true, true]] {
        let mut bridge = bridge(&[false, false]);
        bridge.set_mesh(PeerId(0), mesh[0]);
        bridge.set_mesh(PeerId(1), mesh[1]);
        let relays = mesh != [true, true];
        assert_eq!(
            bridge.forward_one(at(0), P0, &frame(BROADCAST, station(1))),
            Decision::Flood
        );
        assert_eq!(bridge.may_flood_to(P0, PeerId(1)), relays);
        assert_eq!(bridge.may_flood_to(P1, PeerId(0)), relays);
        let expected = if relays {
            Decision::Peer(PeerId(0))
        } else {
            Decision::Drop(DropReason::SplitHorizon)
        };
        assert_eq!(
            bridge.forward_one(at(0), P1, &frame(station(1), station(2))),
            expected
        );
        let from_tap = bridge.forward_one(at(0), Port::Tap, &frame(station(1), station(3)));
        assert_eq!(from_tap, Decision::Peer(PeerId(0)));
        assert_eq!(
            bridge.forward_one(at(0), P1, &frame(station(3), station(2))),
            Decision::Tap
        );
    }
}

#[test]
fn an_address_of_the_tap_cannot_be_drawn_away() {
    let mut bridge = bridge(&[false, false]);
    bridge.set_tap_macs(at(0), &[station(7)]).unwrap();
    let stolen = Decision::Drop(DropReason::MacFrozen);
    assert_eq!(
        bridge.forward_one(at(0), P0, &frame(BROADCAST, station(7))),
        stolen
    );
    assert_eq!(
        bridge.forward_one(at(0), P1, &frame(station(7), station(1))),
        Decision::Tap
    );
    assert_eq!(bridge.take_frozen(), None, "that is no alarm of moves");
}

#[test]
fn a_flapping_address_is_frozen_and_reported_once() {
    let mut bridge = bridge(&[false, false]);
    let mut last = Decision::Flood;
    for i in 0..7 {
        last = bridge.forward_one(
            at(i),
            if i % 2 == 0 { P0 } else { P1 },
            &frame(BROADCAST, station(1)),
        );
    }
    assert_eq!(last, Decision::Drop(DropReason::MacFrozen));
    assert_eq!(bridge.counters().moves, 5);
    assert_eq!(
        bridge.take_frozen(),
        Some(FrozenMac {
            mac: station(1),
            port: P1
        })
    );
    assert_eq!(bridge.take_frozen(), None);
    assert_eq!(
        bridge.forward_one(at(8), P0, &frame(BROADCAST, station(1))),
        Decision::Drop(DropReason::MacFrozen)
    );
    assert_eq!(bridge.take_frozen(), None);
}

#[test]
fn a_storm_is_limited_per_peer_and_not_for_the_tap() {
    let mut bridge = bridge(&[false, false]);
    let flood = |bridge: &mut Bridge, now, port, src| {
        (0..5_000)
            .filter(|_| bridge.forward_one(now, port, &frame(BROADCAST, src)) == Decision::Flood)
            .count()
    };
    assert_eq!(flood(&mut bridge, at(0), P0, station(1)), 2_000);
    assert_eq!(flood(&mut bridge, at(100), P0, station(1)), 100);
    assert_eq!(
        flood(&mut bridge, at(100), P1, station(2)),
        2_000,
        "the other peer has its own allowance"
    );
    assert_eq!(flood(&mut bridge, at(100), Port::Tap, station(3)), 5_000);
    // Frames to a known address are no storm.
    assert_eq!(
        bridge.forward_one(at(100), P0, &frame(station(3), station(1))),
        Decision::Tap
    );
    assert_eq!(
        bridge.forward_one(at(100), P0, &frame(station(99), station(1))),
        Decision::Drop(DropReason::StormControl),
        "unknown unicast is"
    );
}

#[test]
fn copies_are_limited_per_peer_and_in_total() {
    let mut bridge = bridge(&[false; 6]);
    assert_eq!(bridge.take_copies_of_one(at(0), P0, 60_000), 60_000);
    assert_eq!(bridge.take_copies_of_one(at(0), P0, 1), 0);
    assert_eq!(
        bridge.take_copies_of_one(at(100), P0, 60_000),
        0,
        "that was for 3 s"
    );
    assert_eq!(
        bridge.take_copies_of_one(at(100), Port::Peer(PeerId(77)), 5),
        0,
        "a peer that is not there"
    );
    // 500,000 in all, of which 100 ms gave 50,000 back, but no more than it holds.
    assert_eq!(
        bridge.take_copies_of_one(at(100), Port::Tap, u32::MAX),
        500_000 - 60_000 + 50_000
    );
    assert_eq!(bridge.take_copies_of_one(at(100), Port::Peer(PeerId(3)), 10), 0);
}

// P10: the bridge next to a model that looks at everything each time.

#[derive(Clone, Copy, Debug)]
enum Op {
    Frame {
        port: u8,
        dst: u8,
        src: u8,
    },
    Pass {
        ms: u64,
    },
    SetPeer {
        peer: u8,
        isolate: bool,
        mesh: bool,
        statics: u8,
    },
    SetUp {
        peer: u8,
        up: bool,
    },
    RemovePeer {
        peer: u8,
    },
    ClearDynamic,
    ClearPort {
        port: u8,
    },
    Expire,
}

#[derive(Clone, Debug)]
struct Known {
    port: Port,
    fixed: bool,
    refreshed: Time,
    moves: Vec<Time>,
    frozen_until: Time,
}

struct Model {
    /// Isolated, neighbour in a mesh.
    peers: BTreeMap<u16, (bool, bool)>,
    up: BTreeSet<u16>,
    known: BTreeMap<MacAddr, Known>,
    capacity: usize,
    per_peer: usize,
}

impl Model {
    fn behind(&self, port: Port) -> usize {
        self.known.values().filter(|k| k.port == port).count()
    }

    /// `Err`: the frame's source belongs elsewhere.
    fn learn(&mut self, now: Time, mac: MacAddr, port: Port) -> Result<(), DropReason> {
        let learned = self.known.values().filter(|k| k.port == port && !k.fixed).count();
        let full = port != Port::Tap && learned >= self.per_peer;
        let Some(known) = self.known.get_mut(&mac) else {
            if !full && self.known.len() < self.capacity {
                let frozen_until = Time::ZERO;
                self.known.insert(
                    mac,
                    Known {
                        port,
                        fixed: false,
                        refreshed: now,
                        moves: vec![],
                        frozen_until,
                    },
                );
            }
            return Ok(());
        };
        if known.port == port {
            if now.since(known.refreshed) >= Span::from_secs(1) {
                known.refreshed = now;
            }
            return Ok(());
        }
        if known.fixed || now < known.frozen_until {
            return Err(DropReason::MacFrozen);
        }
        if known
            .moves
            .first()
            .is_some_and(|first| now.since(*first) >= MOVE_WINDOW)
        {
            known.moves.clear();
        }
        if known.moves.len() >= usize::from(MAX_MOVES) {
            known.moves.clear();
            known.frozen_until = now + MOVE_WINDOW;
            return Err(DropReason::MacFrozen);
        }
        if !full {
            known.moves.push(now);
            known.port = port;
            known.refreshed = now;
        }
        Ok(())
    }

    fn forward(&mut self, now: Time, ingress: Port, dst: MacAddr, src: MacAddr) -> Decision {
        let (isolated, mesh) = match ingress {
            Port::Tap => (false, false),
            Port::Peer(PeerId(peer)) => match self.peers.get(&peer) {
                Some(settings) => *settings,
                None => return Decision::Drop(DropReason::PeerShutdown),
            },
        };
        if src.is_group() {
            return Decision::Drop(DropReason::FrameSourceGroup);
        }
        if let Err(reason) = self.learn(now, src, ingress) {
            return Decision::Drop(reason);
        }
        match self.known.get(&dst).map(|k| k.port) {
            Some(port) if port == ingress => Decision::Drop(DropReason::SplitHorizon),
            Some(Port::Tap) => Decision::Tap,
            Some(Port::Peer(peer)) if ingress == Port::Tap => Decision::Peer(peer),
            Some(Port::Peer(peer)) => match self.peers[&peer.0] {
                (other, _) if isolated || other => Decision::Drop(DropReason::Isolated),
                (_, other) if mesh && other => Decision::Drop(DropReason::SplitHorizon),
                _ => Decision::Peer(peer),
            },
            None if isolated => Decision::Tap,
            None => Decision::Flood,
        }
    }

    fn set_peer(&mut self, now: Time, peer: u16, settings: (bool, bool), statics: &[MacAddr]) -> bool {
        let port = Port::Peer(PeerId(peer));
        let others = self.known.values().filter(|k| k.fixed && k.port != port).count();
        let taken = |mac| self.known.get(mac).is_some_and(|k| k.fixed && k.port != port);
        if statics.len() > self.per_peer
            || others + statics.len() > self.capacity
            || statics.iter().any(taken)
        {
            return false;
        }
        self.peers.insert(peer, settings);
        self.known.retain(|_, k| !(k.fixed && k.port == port));
        for mac in statics {
            if !self.known.contains_key(mac) && self.known.len() >= self.capacity {
                let learned = self.known.iter().filter(|(_, k)| !k.fixed);
                let oldest = *learned.min_by_key(|(_, k)| k.refreshed).unwrap().0;
                self.known.remove(&oldest);
            }
            let frozen_until = Time::ZERO;
            self.known.insert(
                *mac,
                Known {
                    port,
                    fixed: true,
                    refreshed: now,
                    moves: vec![],
                    frozen_until,
                },
            );
        }
        true
    }
}

struct Pair {
    now: Time,
    bridge: Bridge,
    model: Model,
    stations: u8,
}

impl Pair {
    fn new(peers: u8, stations: u8, capacity: usize, per_peer: usize) -> Self {
        let macs = MacTable::with_capacity([5, 6], AGEING, capacity, per_peer);
        let model = Model {
            peers: BTreeMap::new(),
            up: BTreeSet::new(),
            known: BTreeMap::new(),
            capacity,
            per_peer,
        };
        let mut pair = Self {
            now: Time::ZERO,
            bridge: Bridge::with_table(macs),
            model,
            stations,
        };
        for peer in 0..peers {
            pair.run(Op::SetPeer {
                peer,
                isolate: peer % 4 == 3,
                mesh: peer % 2 == 0,
                statics: 0,
            });
        }
        pair
    }

    /// Stations, and for every sixteenth number a group.
    fn mac(&self, n: u8) -> MacAddr {
        if n % 16 == 15 {
            MacAddr([1, 0, 0x5e, 0, 0, n])
        } else {
            station(n % self.stations)
        }
    }

    fn run(&mut self, op: Op) {
        // Every frame comes 10 ms after the one before: no rate limit is reached, and no two ages are equal.
        self.now = self.now + Span::from_millis(10);
        let now = self.now;
        match op {
            Op::Frame { port, dst, src } => {
                let port = port
                    .checked_sub(1)
                    .map_or(Port::Tap, |peer| Port::Peer(PeerId(u16::from(peer))));
                let (dst, src) = (self.mac(dst), self.mac(src));
                let expected = self.model.forward(now, port, dst, src);
                assert_eq!(
                    self.bridge.forward_one(now, port, &frame(dst, src)),
                    expected,
                    "{op:?}"
                );
                assert_eq!(self.bridge.take_copies_of_one(now, Port::Tap, 1), 1);
            }
            Op::Pass { ms } => self.now = now + Span::from_millis(ms),
            Op::SetPeer {
                peer,
                isolate,
                mesh,
                statics,
            } => {
                let macs: Vec<MacAddr> = (0..statics % 4)
                    .map(|n| station((peer + n) % self.stations))
                    .collect();
                let peer = u16::from(peer);
                let done = self.bridge.set_port(now, PeerId(peer), isolate, &macs).is_ok();
                assert_eq!(
                    done,
                    self.model.set_peer(now, peer, (isolate, mesh), &macs),
                    "{op:?}"
                );
                if done {
                    self.bridge.set_mesh(PeerId(peer), mesh);
                }
            }
            Op::SetUp { peer, up } => {
                let peer = u16::from(peer);
                self.bridge.set_up(PeerId(peer), up);
                if up && self.model.peers.contains_key(&peer) {
                    self.model.up.insert(peer);
                } else {
                    self.model.up.remove(&peer);
                }
            }
            Op::RemovePeer { peer } => {
                let peer = u16::from(peer);
                self.bridge.remove_peer(PeerId(peer));
                self.model.peers.remove(&peer);
                self.model.up.remove(&peer);
                self.model.known.retain(|_, k| k.port != Port::Peer(PeerId(peer)));
            }
            Op::ClearDynamic => {
                self.bridge.clear_dynamic();
                self.model.known.retain(|_, k| k.fixed);
            }
            Op::ClearPort { port } => {
                let port = port
                    .checked_sub(1)
                    .map_or(Port::Tap, |peer| Port::Peer(PeerId(u16::from(peer))));
                self.bridge.clear_dynamic_on(port);
                self.model.known.retain(|_, k| k.fixed || k.port != port);
            }
            Op::Expire => {
                self.bridge.expire(now, usize::MAX);
                self.model
                    .known
                    .retain(|_, k| k.fixed || k.refreshed + AGEING > now);
            }
        }
    }

    /// What is flooded goes to those that are up and that may have it, each of them once.
    fn compare_flood_list(&self) {
        let ports = (0..8).map(|p| Port::Peer(PeerId(p))).chain([Port::Tap]);
        for ingress in ports.filter(|port| *port == Port::Tap || self.bridge.generation(*port).is_some()) {
            let may_have = |peer: &u16| self.bridge.may_flood_to(ingress, PeerId(*peer));
            let expected: Vec<u16> = self.model.up.iter().copied().filter(may_have).collect();
            let next = |slot: usize| self.bridge.next_target(ingress, VlanId::NONE, slot..MAX_PEERS);
            let found = core::iter::successors(next(0), |peer| next(usize::from(peer.0) + 1));
            assert_eq!(found.map(|peer| peer.0).collect::<Vec<_>>(), expected);
            let count = self.bridge.flood_targets(ingress, VlanId::NONE, WorkerId(0));
            assert_eq!(count as usize, expected.len());
        }
    }

    fn compare(&self) {
        self.compare_flood_list();
        let mut shown: Vec<_> = Vec::new();
        let mut cursor = Some(0);
        while let Some(from) = cursor {
            let (page, next) = self.bridge.macs().page(self.now, from, 7);
            shown.extend(page.into_iter().map(|e| (e.mac, e.port, e.is_static, e.age)));
            cursor = next;
        }
        shown.sort();
        let known: Vec<_> = self
            .model
            .known
            .iter()
            .map(|(mac, k)| (*mac, k.port, k.fixed, self.now.since(k.refreshed)))
            .collect();
        assert_eq!(shown, known);
        let macs = self.bridge.macs();
        assert_eq!(
            (macs.len(), macs.static_len()),
            (known.len(), known.iter().filter(|k| k.2).count())
        );
        for port in (0..8).map(|p| Port::Peer(PeerId(p))).chain([Port::Tap]) {
            assert_eq!(macs.port_len(port), self.model.behind(port));
        }
        let learned = self.model.known.values().filter(|k| !k.fixed);
        assert_eq!(
            self.bridge.next_expiry(),
            learned.map(|k| k.refreshed + AGEING).min()
        );
    }
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        40 => (0_u8..7, 0_u8..32, 0_u8..32).prop_map(|(port, dst, src)| Op::Frame { port, dst, src }),
        4 => (0_u64..400_000).prop_map(|ms| Op::Pass { ms }),
        3 => (0_u8..6, any::<bool>(), any::<bool>(), any::<u8>())
            .prop_map(|(peer, isolate, mesh, statics)| Op::SetPeer { peer, isolate, mesh, statics }),
        2 => (0_u8..6, any::<bool>()).prop_map(|(peer, up)| Op::SetUp { peer, up }),
        1 => (0_u8..6).prop_map(|peer| Op::RemovePeer { peer }),
        1 => Just(Op::ClearDynamic),
        1 => (0_u8..7).prop_map(|port| Op::ClearPort { port }),
        3 => Just(Op::Expire),
    ]
}

proptest! {
    /// P10. Few addresses, few places, so that every limit is reached and addresses collide all the time.
    #[test]
    fn the_bridge_is_its_model(
        ops in prop::collection::vec(any_op(), 1..300), capacity in 4_usize..20, per_peer in 1_usize..6, stations in 3_u8..15,
    ) {
        let mut pair = Pair::new(6, stations, capacity, per_peer);
        for op in ops {
            pair.run(op);
            pair.compare();
        }
    }
}

/// P10 in the size of a network: 100 peers, 250 addresses, 20,000 frames.
#[test]
fn a_hundred_peers_and_twenty_thousand_frames() {
    let mut random = SeededEntropy::new([10; 32]);
    let mut pair = Pair::new(100, 250, 262_144, 1_024);
    for i in 0..20_000_u32 {
        let mut pick = |below: u64| random.below(below) as u8;
        pair.run(Op::Frame {
            port: pick(101),
            dst: pick(250),
            src: pick(250),
        });
        if i % 97 == 0 {
            pair.run(Op::Pass { ms: 30_000 });
            pair.run(Op::Expire);
        }
        if i % 501 == 0 {
            let (peer, isolate, mesh) = (pick(100), pick(2) == 0, pick(2) == 0);
            pair.run(Op::SetPeer {
                peer,
                isolate,
                mesh,
                statics: pick(4),
            });
            pair.compare();
        }
    }
    pair.compare();
    assert!(pair.bridge.counters().moves > 1_000);
}
