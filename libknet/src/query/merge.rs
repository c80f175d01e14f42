//! What several workers answer, made one answer.

use knet_proto::{
    drop_reason::DropCounters,
    status::{Handover, Holdings, InterfaceStatus, Traffic},
};

use super::{InterfaceReport, PAGE, Query, Reply, SystemCalls};

impl Reply {
    /// The answer to `query` of the workers so far and of the next one. What all of them know is the first one's.
    pub(crate) fn merge(self, query: &Query, next: Self) -> Self {
        match (self, next) {
            (Self::Interface(mut all), Self::Interface(next)) => {
                all.add(&next);
                Self::Interface(all)
            }
            (
                Self::Peers { mut peers, next },
                Self::Peers {
                    peers: more,
                    next: then,
                },
            ) => {
                peers.extend(more);
                peers.sort_by_key(|p| p.peer);
                let limit = match query {
                    Query::Peers { limit, .. } => (*limit).min(PAGE),
                    _ => peers.len(),
                };
                let cut = peers.get(limit).map(|p| p.peer);
                peers.truncate(limit);
                // A worker that has more of its own has filled its page, and so the page is full.
                let next = [next, then, cut].into_iter().flatten().min();
                Self::Peers { peers, next }
            }
            (Self::HubGroups(mut groups), Self::HubGroups(more)) => {
                groups.extend(more);
                groups.sort_by(|a, b| a.name.cmp(&b.name));
                Self::HubGroups(groups)
            }
            (first, _) => first,
        }
    }
}

impl InterfaceReport {
    fn add(&mut self, next: &Self) {
        let Self {
            status,
            holdings,
            // The same everywhere.
            ifindex: _,
            uptime: _,
            calls,
            workers,
            sockets,
        } = next;
        add_status(&mut self.status, status);
        add_holdings(&mut self.holdings, holdings);
        add_calls(&mut self.calls, *calls);
        self.workers.extend(workers);
        for socket in sockets {
            if let Some(same) = self.sockets.iter_mut().find(|s| s.id == socket.id) {
                same.overflows += socket.overflows;
            }
        }
    }
}

fn add_holdings(all: &mut Holdings, next: &Holdings) {
    let Holdings {
        ring_bytes,
        reorder_bytes,
        reassembly_bytes,
        waiting_bytes,
        flood_bytes,
        timers,
        indices,
        // Of all peers, whosever they are.
        paths: _,
    } = next;
    all.ring_bytes += ring_bytes;
    all.reorder_bytes += reorder_bytes;
    all.reassembly_bytes += reassembly_bytes;
    all.waiting_bytes += waiting_bytes;
    all.flood_bytes += flood_bytes;
    all.timers += timers;
    all.indices += indices;
}

fn add_status(all: &mut InterfaceStatus, next: &InterfaceStatus) {
    let InterfaceStatus {
        peers,
        peers_up,
        tap_rx,
        tap_tx,
        wire_rx,
        wire_tx,
        relayed,
        handed,
        taken,
        // All have the same table, and the same TAP.
        macs: _,
        neighbors: _,
        listeners: _,
        tap_mtu: _,
        handshakes,
        neighbor_answers,
        gaps,
        drops,
        links,
        resent,
    } = next;
    all.peers += peers;
    all.peers_up += peers_up;
    add_traffic(&mut all.tap_rx, *tap_rx);
    add_traffic(&mut all.tap_tx, *tap_tx);
    add_traffic(&mut all.wire_rx, *wire_rx);
    add_traffic(&mut all.wire_tx, *wire_tx);
    add_traffic(&mut all.relayed, *relayed);
    add_handover(&mut all.handed, *handed);
    add_handover(&mut all.taken, *taken);
    all.handshakes += handshakes;
    all.neighbor_answers += neighbor_answers;
    all.gaps += gaps;
    add_drops(&mut all.drops, drops);
    all.links.add(links);
    add_traffic(&mut all.resent, *resent);
}

fn add_handover(all: &mut Handover, next: Handover) {
    add_traffic(&mut all.frames, next.frames);
    add_traffic(&mut all.datagrams, next.datagrams);
}

fn add_traffic(all: &mut Traffic, next: Traffic) {
    all.packets = all.packets.wrapping_add(next.packets);
    all.bytes = all.bytes.wrapping_add(next.bytes);
}

fn add_drops(all: &mut DropCounters, next: &DropCounters) {
    for (reason, n) in next.iter() {
        all.add(reason, n);
    }
}

fn add_calls(all: &mut SystemCalls, next: SystemCalls) {
    let SystemCalls {
        waits,
        receives,
        sends,
        tap_reads,
        tap_writes,
    } = next;
    all.waits += waits;
    all.receives += receives;
    all.sends += sends;
    all.tap_reads += tap_reads;
    all.tap_writes += tap_writes;
}

#[cfg(test)]
mod tests {
    use knet_proto::{
        config::{
            AddressList, InterfaceConfig, LinkConfigs, MtuPolicy, PeerConfig, PolicyKind, PortRules,
            PresharedKey, PrivateKey, TapMtu,
        },
        ids::{PeerId, Seat, Workers},
        shard::Shard,
        time::{Span, Time},
    };

    use super::*;
    use crate::identity::{OsEntropy, suites_of_this_machine};

    /// Three workers with the peers of these numbers.
    fn shards(peers: &[u16]) -> Vec<Shard> {
        let Some(workers) = Workers::new(3) else { panic!() };
        let config = InterfaceConfig {
            private_key: PrivateKey::generate(&mut OsEntropy),
            instance: 0,
            suites: suites_of_this_machine(),
            mac_ageing: Span::from_secs(300),
            tap_mtu: TapMtu::Fixed(1400),
            mtu_policy: MtuPolicy::default(),
            max_frame: 9234,
        };
        let public_key = PrivateKey::generate(&mut OsEntropy).public_key();
        let seats = workers.all().map(|me| Seat { me, workers });
        seats
            .map(|seat| {
                let mut shard = Shard::with_seat(&config, Box::new(OsEntropy), Time::ZERO, seat);
                for peer in peers {
                    let config = PeerConfig {
                        public_key,
                        preshared_key: PresharedKey::default(),
                        credential: None,
                        policy: PolicyKind::Passive,
                        isolate: false,
                        spoke: false,
                        shutdown: false,
                        lossless: true,
                        rules: PortRules::default(),
                        static_macs: Vec::new(),
                        hub: None,
                        links: LinkConfigs::default(),
                        opened: LinkConfigs::default(),
                        gives: AddressList::default(),
                        takes: false,
                    };
                    let _ = shard.set_port(Time::ZERO, PeerId(*peer), &config.port(0));
                    shard.enter(Time::ZERO, PeerId(*peer), config.into());
                }
                shard
            })
            .collect()
    }

    /// However peers are spread and however long the pages are: all of them, once, in order.
    #[test]
    fn pages_of_peers_are_merged_in_order_without_gaps() {
        for peers in [
            vec![],
            vec![5],
            (0..40).collect::<Vec<u16>>(),
            // Nearly all at one worker.
            [1].into_iter()
                .chain((1..30).map(|n| n * 3))
                .chain([88])
                .collect(),
        ] {
            let shards = shards(&peers);
            for limit in [1, 2, 7, 40, 5000] {
                let (mut from, mut seen, mut pages) = (None, Vec::new(), 0);
                loop {
                    let query = Query::Peers { from, limit };
                    let answers = shards.iter().map(|shard| {
                        let (peers, next) = shard.peers_page(from.unwrap_or(PeerId(0)), limit.min(PAGE));
                        Reply::Peers { peers, next }
                    });
                    let merged = answers.reduce(|so_far, next| so_far.merge(&query, next));
                    let Some(Reply::Peers { peers, next }) = merged else {
                        panic!()
                    };
                    assert!(peers.len() <= limit);
                    seen.extend(peers.iter().map(|p| p.peer.0));
                    pages += 1;
                    from = next;
                    if from.is_none() {
                        break;
                    }
                }
                assert_eq!(seen, peers, "limit {limit}");
                assert_eq!(pages, peers.len().div_ceil(limit).max(1));
            }
        }
    }

    #[test]
    fn what_each_has_counted_is_added_up_and_what_all_know_is_not() {
        let report = |n: u64| {
            let mut drops = DropCounters::default();
            drops.add(knet_proto::drop_reason::DropReason::NoPort, n);
            let traffic = Traffic {
                packets: n,
                bytes: 10 * n,
            };
            let calls = SystemCalls {
                waits: n,
                ..SystemCalls::default()
            };
            Reply::Interface(Box::new(InterfaceReport {
                status: InterfaceStatus {
                    peers: n as u32,
                    tap_rx: traffic,
                    macs: 7,
                    tap_mtu: 1400,
                    drops,
                    ..InterfaceStatus::default()
                },
                holdings: Holdings {
                    timers: n as usize,
                    paths: 9,
                    ..Holdings::default()
                },
                ifindex: 3,
                uptime: Span::from_secs(n),
                calls,
                workers: vec![crate::query::WorkerReport {
                    peers: n as u32,
                    ..Default::default()
                }],
                sockets: Vec::new(),
            }))
        };
        let merged = report(1)
            .merge(&Query::Interface, report(20))
            .merge(&Query::Interface, report(300));
        let Reply::Interface(all) = merged else { panic!() };
        assert_eq!(
            (all.status.peers, all.calls.waits, all.status.drops.total()),
            (321, 321, 321)
        );
        assert_eq!(
            all.status.tap_rx,
            Traffic {
                packets: 321,
                bytes: 3210
            }
        );
        assert_eq!(
            (all.status.macs, all.status.tap_mtu, all.uptime),
            (7, 1400, Span::from_secs(1))
        );
        assert_eq!(
            all.workers.iter().map(|w| w.peers).collect::<Vec<_>>(),
            [1, 20, 300]
        );
    }
}
