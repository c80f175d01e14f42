//! Bridges of several workers, while peers come and go.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

use proptest::prelude::*;

use super::super::*;
use crate::ids::{WorkerId, Workers};

const STATIONS: u8 = 5;
const SLOTS: u16 = 4;

fn station(n: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, n])
}

fn frame(src: MacAddr) -> [u8; 14] {
    let mut frame = [0xff; 14];
    frame[6..12].copy_from_slice(&src.0);
    frame
}

fn at(ms: u64) -> Time {
    Time::ZERO + Span::from_millis(ms)
}

/// A slot of the configuration.
#[derive(Clone, Copy)]
struct Slot {
    generation: u16,
    /// By worker: whether it knows the generation.
    applied: [bool; 4],
}

/// What is seen from outside of some workers' bridges.
struct Network {
    workers: Workers,
    bridges: Vec<Bridge>,
    queues: BTreeMap<(u8, u8), VecDeque<MacNews>>,
    slots: Vec<Slot>,
    /// Where each station was ever seen, and lately.
    sightings: BTreeSet<(MacAddr, Port, u16)>,
    last: BTreeMap<MacAddr, Port>,
}

impl Network {
    fn new(workers: u8) -> Self {
        let workers = Workers::new(workers).unwrap();
        let bridge = |me| {
            let mut bridge = Bridge::new([3, 4], Span::from_secs(80)).seated(Seat { me, workers });
            for slot in 0..SLOTS {
                bridge.set_port(at(0), PeerId(slot), false, &[]).unwrap();
                bridge.set_generation(PeerId(slot), 1);
            }
            bridge
        };
        let slot = Slot {
            generation: 1,
            applied: [true; 4],
        };
        Self {
            workers,
            bridges: workers.all().map(bridge).collect(),
            queues: BTreeMap::new(),
            slots: (0..SLOTS).map(|_| slot).collect(),
            sightings: BTreeSet::new(),
            last: BTreeMap::new(),
        }
    }

    fn slot(&self, port: Port) -> Option<&Slot> {
        match port {
            Port::Tap => None,
            Port::Peer(peer) => self.slots.get(usize::from(peer.0)),
        }
    }

    /// A frame comes, if there is a peer that it can come from: one whose port every worker has.
    fn frame(&mut self, now: Time, tap: u8, mac: MacAddr, port: Port) {
        let count = usize::from(self.workers.get());
        if self
            .slot(port)
            .is_some_and(|slot| slot.applied[..count].contains(&false))
        {
            return;
        }
        let worker = match port {
            Port::Tap => WorkerId(tap % self.workers.get()),
            Port::Peer(peer) => self.workers.owner(peer),
        };
        let bridge = &mut self.bridges[worker.index()];
        let frozen = Decision::Drop(DropReason::MacFrozen);
        if bridge.forward(now, port, &Frame::plain(&frame(mac))) != frozen {
            self.sightings
                .insert((mac, port, bridge.generation(port).unwrap()));
            self.last.insert(mac, port);
        }
        self.post(worker.0);
    }

    fn post(&mut self, from: u8) {
        if let Some(news) = self.bridges[usize::from(from)].take_news() {
            for to in (0..self.workers.get()).filter(|to| *to != from) {
                self.queues.entry((from, to)).or_default().push_back(news);
            }
        }
    }

    fn deliver(&mut self, which: usize) {
        let full: Vec<(u8, u8)> = self
            .queues
            .iter()
            .filter(|(_, q)| !q.is_empty())
            .map(|(k, _)| *k)
            .collect();
        if let Some((from, to)) = full.get(which % full.len().max(1)).copied()
            && let Some(news) = self.queues.get_mut(&(from, to)).and_then(VecDeque::pop_front)
        {
            self.bridges[usize::from(to)].hear(&news);
            self.post(to);
        }
    }

    /// The slot gets another peer. Workers learn of that one after the other.
    fn reuse(&mut self, slot: usize) {
        let slot = &mut self.slots[slot];
        if slot.applied[..usize::from(self.workers.get())].iter().all(|a| *a) {
            slot.generation += 1;
            slot.applied = [false; 4];
        }
    }

    fn apply(&mut self, slot: usize, worker: usize) {
        let Some(bridge) = self.bridges.get_mut(worker) else {
            return;
        };
        let peer = PeerId(slot as u16);
        let slot = &mut self.slots[slot];
        if !slot.applied[worker] {
            slot.applied[worker] = true;
            if slot.generation.is_multiple_of(2) {
                bridge.remove_peer(peer);
                bridge.set_port(at(0), peer, false, &[]).unwrap();
            }
            bridge.set_generation(peer, slot.generation);
        }
    }

    /// Nothing that was learned of one peer is said of the next in its slot.
    fn check(&self) {
        for bridge in &self.bridges {
            for mac in (0..STATIONS).map(station) {
                let Some(port) = bridge.macs().lookup(mac) else {
                    continue;
                };
                let place = (mac, port, bridge.generation(port).unwrap());
                assert!(self.sightings.contains(&place), "{place:?}");
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Frame { station: u8, port: u16, tap: u8 },
    Deliver(usize),
    Reuse(u16),
    Apply { slot: u16, worker: u8 },
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..STATIONS, 0..=SLOTS, any::<u8>()).prop_map(|(station, port, tap)| Step::Frame { station, port, tap }),
        6 => any::<usize>().prop_map(Step::Deliver),
        1 => (0..SLOTS).prop_map(Step::Reuse),
        4 => (0..SLOTS, 0_u8..4).prop_map(|(slot, worker)| Step::Apply { slot, worker }),
        2 => (0_u64..30_000).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_slot_that_is_used_again_begins_anew(
        workers in 2_u8..=4, steps in prop::collection::vec(step(), 1..300),
    ) {
        let mut all = Network::new(workers);
        let mut now = 1_000;
        for step in steps {
            match step {
                Step::Frame { station: n, port, tap } => {
                    let port = port.checked_sub(1).map_or(Port::Tap, |n| Port::Peer(PeerId(n)));
                    all.frame(at(now), tap, station(n), port);
                }
                Step::Deliver(which) => all.deliver(which),
                Step::Reuse(slot) => all.reuse(slot.into()),
                Step::Apply { slot, worker } => all.apply(slot.into(), worker.into()),
                Step::Pass(ms) => now += ms,
            }
            all.check();
        }
        for slot in 0..usize::from(SLOTS) {
            for worker in 0..usize::from(workers) {
                all.apply(slot, worker);
            }
        }
        // When every station has been heard of once more, and nothing is frozen any more, all bridges agree.
        now += 400_000;
        for (mac, port) in all.last.clone() {
            all.frame(at(now), 0, mac, port);
        }
        while all.queues.values().any(|q| !q.is_empty()) {
            all.deliver(0);
            all.check();
        }
        for (mac, port) in &all.last {
            for bridge in &all.bridges {
                prop_assert_eq!(bridge.macs().lookup(*mac), Some(*port));
            }
        }
    }
}

#[test]
fn a_share_of_the_copies_for_each_worker() {
    for workers in (1..=16).filter_map(Workers::new) {
        let total: u64 = workers
            .all()
            .map(|me| {
                let mut bridge = Bridge::new([3, 4], Span::from_secs(300)).seated(Seat { me, workers });
                u64::from(bridge.take_copies(at(0), Port::Tap, u32::MAX, 1))
            })
            .sum();
        assert!((490_000..=500_000).contains(&total), "{total} from {workers:?}");
    }
}
