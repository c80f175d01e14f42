#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, VecDeque},
    vec,
    vec::Vec,
};

use proptest::prelude::*;

use super::{
    super::{Learned, MAX_MOVES, MOVE_WINDOW},
    *,
};
use crate::ids::{MacAddr, PeerId, Workers};

const AGEING: Span = Span::from_secs(3_000);
const MACS: u32 = 4;
const PEERS: u16 = 6;

fn mac(n: u32) -> MacAddr {
    let [_, _, mac @ ..] = ((2 << 40) | u64::from(n)).to_be_bytes();
    MacAddr(mac)
}

fn at(ms: u64) -> Time {
    Time::ZERO + Span::from_millis(ms)
}

/// The tables of all workers, and the news between them: it arrives late, but in order.
struct Replicas {
    workers: Workers,
    tables: Vec<MacTable>,
    /// By sender and receiver.
    queues: BTreeMap<(u8, u8), VecDeque<MacNews>>,
    told: usize,
    /// The latest place of each address in any table, by its stamp.
    latest: BTreeMap<MacAddr, (Stamp, Port)>,
}

impl Replicas {
    fn new(workers: u8) -> Self {
        let workers = Workers::new(workers).unwrap();
        let table = |me| {
            let mut table = MacTable::new([1, u64::from(me)], AGEING);
            table.share(WorkerId(me));
            table
        };
        Self {
            workers,
            tables: (0..workers.get()).map(table).collect(),
            queues: BTreeMap::new(),
            told: 0,
            latest: BTreeMap::new(),
        }
    }

    /// The worker that a frame from `port` comes to: the peer's, or of the TAP any.
    fn learn(&mut self, now: Time, tap: u8, mac: MacAddr, port: Port) -> Learned {
        let worker = match port {
            Port::Tap => tap % self.workers.get(),
            Port::Peer(peer) => self.workers.owner(peer).0,
        };
        let learned = self.tables[usize::from(worker)].learn(now, mac, port);
        if let Some((stamp, port)) = self.place(worker, mac) {
            let latest = self.latest.entry(mac).or_insert((stamp, port));
            assert!(
                latest.0 != stamp || latest.1 == port,
                "two places with the stamp {stamp:?}"
            );
            if latest.0 < stamp {
                *latest = (stamp, port);
            }
        }
        self.post(worker);
        learned
    }

    fn place(&self, worker: u8, mac: MacAddr) -> Option<(Stamp, Port)> {
        let table = &self.tables[usize::from(worker)];
        let entry = &table.entries[*table.index.get(&Station::from(mac))? as usize];
        Some((entry.stamp(), entry.port))
    }

    fn post(&mut self, from: u8) {
        let Some(news) = self.tables[usize::from(from)].take_news() else {
            return;
        };
        self.told += 1;
        for to in (0..self.workers.get()).filter(|to| *to != from) {
            self.queues.entry((from, to)).or_default().push_back(news);
        }
    }

    /// The next news that waits, counted in some order from `which` on.
    fn deliver(&mut self, which: usize) {
        let full: Vec<(u8, u8)> = self
            .queues
            .iter()
            .filter(|(_, q)| !q.is_empty())
            .map(|(k, _)| *k)
            .collect();
        let Some((from, to)) = full.get(which % full.len().max(1)).copied() else {
            return;
        };
        if let Some(news) = self.queues.get_mut(&(from, to)).and_then(VecDeque::pop_front) {
            self.tables[usize::from(to)].hear(&news);
            self.post(to);
        }
    }

    fn waiting(&self) -> usize {
        self.queues.values().map(VecDeque::len).sum()
    }

    fn settle(&mut self, mut which: usize) {
        while self.waiting() > 0 {
            self.deliver(which);
            which = which.wrapping_mul(0x9e37_79b9).wrapping_add(7);
        }
    }

    fn lookups(&self, mac: MacAddr) -> Vec<Option<Port>> {
        self.tables.iter().map(|t| t.lookup(mac)).collect()
    }
}

const A: Port = Port::Peer(PeerId(0));
const B: Port = Port::Peer(PeerId(1));

#[test]
fn news_is_small() {
    assert!(size_of::<MacNews>() <= 32, "{}", size_of::<MacNews>());
}

#[test]
fn what_one_learns_all_know() {
    let mut all = Replicas::new(3);
    assert_eq!(all.learn(at(0), 2, mac(1), Port::Tap), Learned::New);
    all.settle(0);
    assert_eq!(all.lookups(mac(1)), [Some(Port::Tap); 3]);
    // The others know already, and have nothing to say.
    assert_eq!(all.learn(at(500), 0, mac(1), Port::Tap), Learned::Refreshed);
    assert_eq!(all.told, 1);
    assert_eq!(
        all.learn(at(600), 0, mac(1), B),
        Learned::Moved { from: Port::Tap }
    );
    all.settle(0);
    assert_eq!((all.lookups(mac(1)), all.told), (vec![Some(B); 3], 2));
}

/// An address that stays is told of every 30 s, so that it is not forgotten elsewhere.
#[test]
fn a_busy_address_is_told_of_now_and_then() {
    let mut all = Replicas::new(2);
    for ms in (0..600_000).step_by(100) {
        all.learn(at(ms), 0, mac(1), A);
        all.settle(0);
    }
    assert_eq!(all.told, 20);
    all.tables[1].set_ageing(Span::from_secs(60));
    assert_eq!(all.tables[1].expire(at(620_000), 10), 0);
}

/// It was seen at A all the time, and for a moment at B. Who saw it at A last has not said so for a while.
#[test]
fn who_knows_better_answers() {
    let mut all = Replicas::new(3);
    all.learn(at(0), 0, mac(1), A);
    // All but worker 1 hear of it, which sees the address elsewhere.
    all.tables[2].hear(&all.queues[&(0, 2)][0]);
    all.queues.get_mut(&(0, 2)).unwrap().clear();
    all.learn(at(5_000), 0, mac(1), B);
    all.learn(at(10_000), 0, mac(1), A);
    assert_eq!(all.told, 2, "nothing new to be told of A");
    all.settle(0);
    assert_eq!((all.lookups(mac(1)), all.told), (vec![Some(A); 3], 3));
}

#[test]
fn a_frozen_address_stays_everywhere() {
    let mut all = Replicas::new(2);
    for n in 0..=u64::from(MAX_MOVES) {
        all.learn(at(n * 10), 0, mac(1), if n % 2 == 0 { A } else { B });
        all.settle(0);
    }
    let (port, other) = (B, A);
    assert_eq!(all.lookups(mac(1)), [Some(port); 2]);
    // One of them freezes it, and the other has counted along.
    let newly = Learned::Frozen { port, newly: true };
    assert_eq!(all.learn(at(100), 0, mac(1), other), newly);
    let until = at(100) + MOVE_WINDOW;
    all.settle(0);
    let not_newly = Learned::Frozen {
        port: B,
        newly: false,
    };
    for worker in 0..2 {
        let learned = all.tables[worker].learn(at(200), mac(1), Port::Tap);
        assert_eq!(learned, not_newly, "worker {worker}");
        assert_eq!(all.place(worker as u8, mac(1)).unwrap().0.0, until);
    }
    assert!(matches!(
        all.learn(until, 0, mac(1), Port::Tap),
        Learned::Moved { .. }
    ));
    all.settle(0);
    assert_eq!(all.lookups(mac(1)), [Some(Port::Tap); 2]);
}

/// What may happen.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A frame from this address came from that port (0: the TAP), there to that worker.
    Frame {
        mac: u32,
        port: u16,
        tap: u8,
    },
    /// One news arrives.
    Deliver(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..MACS, 0..=PEERS, any::<u8>()).prop_map(|(mac, port, tap)| Step::Frame { mac, port, tap }),
        4 => any::<usize>().prop_map(Step::Deliver),
        2 => (0_u64..3_000).prop_map(Step::Pass),
        1 => (0_u64..100_000).prop_map(Step::Pass),
    ]
}

fn port(n: u16) -> Port {
    n.checked_sub(1).map_or(Port::Tap, |n| Port::Peer(PeerId(n)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever comes where, and however late the news: in the end all tables are alike, each address is where it was
    /// last seen or is frozen, and nobody has anything left to say.
    #[test]
    fn in_the_end_all_are_alike(
        workers in 2_u8..=4, steps in prop::collection::vec(step(), 1..300), order in any::<usize>(),
        skew in prop::array::uniform4(0_u64..20),
    ) {
        let mut all = Replicas::new(workers);
        let mut now = 1_000;
        let mut frames = 0;
        for step in steps {
            match step {
                Step::Frame { mac: n, port: p, tap } => {
                    frames += 1;
                    let worker = match port(p) {
                        Port::Tap => tap % workers,
                        Port::Peer(peer) => all.workers.owner(peer).0,
                    };
                    // Each worker looked at the clock when its turn began.
                    let clock = at(now - skew[usize::from(worker)]);
                    all.learn(clock, tap, mac(n), port(p));
                }
                Step::Deliver(which) => all.deliver(which),
                Step::Pass(ms) => now += ms,
            }
        }
        all.settle(order);
        prop_assert!(all.told <= frames, "{} told of {frames} frames", all.told);
        for n in 0..MACS {
            let expected = all.latest.get(&mac(n)).map(|(_, port)| *port);
            prop_assert_eq!(all.lookups(mac(n)), vec![expected; usize::from(workers)]);
            for worker in 0..workers {
                prop_assert_eq!(all.tables[usize::from(worker)].len(), all.latest.len());
                let frozen = |w| all.place(w, mac(n)).map(|((until, by), _)| (until, by)).filter(|(t, _)| *t > at(now));
                prop_assert_eq!(frozen(worker), frozen(0));
            }
        }
    }

    /// Where news takes no time, workers forward as one alone would.
    #[test]
    fn without_delay_they_are_as_one(workers in 2_u8..=4, steps in prop::collection::vec(step(), 1..300)) {
        let mut all = Replicas::new(workers);
        let mut one = MacTable::new([1, 2], AGEING);
        let mut now = 1_000;
        for step in steps {
            match step {
                Step::Frame { mac: n, port: p, tap } => {
                    now += 1;
                    let expected = one.learn(at(now), mac(n), port(p));
                    prop_assert_eq!(all.learn(at(now), tap, mac(n), port(p)), expected);
                    all.settle(0);
                    prop_assert_eq!(all.lookups(mac(n)), vec![one.lookup(mac(n)); usize::from(workers)]);
                }
                Step::Deliver(_) => {}
                Step::Pass(ms) => now += ms,
            }
        }
    }
}
