//! A hub with several workers and spokes with one, in memory: what the runtime does around shards, without delay.

use std::{collections::VecDeque, net::SocketAddr, vec::Vec};

use super::super::*;
use crate::{
    config::{
        AddressList, LinkConfig, LinkConfigs, PeerConfig, PolicyKind, PortRules, PresharedKey, PrivateKey,
        Remote, TapMtu,
    },
    handshake::{
        Handshaker, HandshakerConfig,
        message::{Suite, SuiteSet},
    },
    ids::{MacAddr, WorkerId, Workers},
    rng::SeededEntropy,
    time::WallClock,
};

const SUITES: SuiteSet = SuiteSet::of(Suite::ChaCha20Poly1305);
pub(super) const BEGIN: Time = Time::from_nanos(1_000_000_000);
pub(super) const MTU: u16 = 1_500;
const SOCKET: SocketId = SocketId(0);

/// A frame that a TAP was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// By this worker.
    pub(super) by: WorkerId,
    pub(super) header: VirtioNetHeader,
    pub(super) bytes: Vec<u8>,
}

/// A datagram under way.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct Host {
    pub(super) workers: Workers,
    pub(super) shards: Vec<Shard>,
    handshaker: Handshaker,
    pub(super) key: PrivateKey,
    /// What its TAP was given since this was last emptied.
    pub(super) tap: Vec<Written>,
    /// Parcels wait rather than being carried.
    pub(super) holds_parcels: bool,
    /// What is still to be flooded waits.
    pub(super) holds_floods: bool,
    /// All datagrams come to this worker, whatever their index says.
    pub(super) misdirect: Option<WorkerId>,
    /// Events of all workers.
    pub(super) events: Vec<Event>,
    /// What the shards want the MTU of the TAP to be.
    pub(super) wishes: Vec<(WorkerId, TapMtuWish)>,
}

/// Host 0 is the hub; its peer `n` is host `n + 1`, which knows it as peer 0.
pub(super) struct Net {
    pub(super) now: Time,
    pub(super) hosts: Vec<Host>,
    narrow: Option<(usize, usize)>,
}

pub(super) const HUB: usize = 0;

impl Net {
    /// A hub with so many workers and so many spokes, all of them connected.
    pub(super) fn hub(workers: u8, spokes: u16) -> Self {
        Self::hub_with(workers, spokes, TapMtu::Fixed(MTU), MtuPolicy::Fragment, None)
    }

    /// `narrow`: datagrams to or from this host pass only if they are no longer than so many bytes.
    pub(super) fn hub_with(
        workers: u8,
        spokes: u16,
        tap_mtu: TapMtu,
        mtu_policy: MtuPolicy,
        narrow: Option<(usize, usize)>,
    ) -> Self {
        let host = |n: u16| {
            let workers = if n == 0 {
                Workers::new(workers).unwrap()
            } else {
                Workers::ONE
            };
            Host::new(n, workers, tap_mtu, mtu_policy)
        };
        let mut net = Self {
            now: BEGIN,
            hosts: (0..=spokes).map(host).collect(),
            narrow,
        };
        for spoke in 0..spokes {
            net.enter(PeerId(spoke), 0);
            let config = net.peer_config(HUB);
            net.hosts[usize::from(spoke) + 1].shards[0]
                .set_peer(BEGIN, PeerId(0), config)
                .unwrap();
        }
        net.pass(Span::from_secs(10));
        let hub = &net.hosts[HUB];
        assert_eq!(hub.up(), u32::from(spokes));
        net
    }

    /// The hub gets the peer at this slot: first all workers its port, then its owner the peer.
    pub(super) fn enter(&mut self, peer: PeerId, generation: u16) {
        let config = PeerConfig {
            spoke: true,
            ..self.peer_config(usize::from(peer.0) + 1)
        };
        let (now, hub) = (self.now, &mut self.hosts[HUB]);
        for shard in &mut hub.shards {
            shard.set_port(now, peer, &config.port(generation)).unwrap();
        }
        for shard in &mut hub.shards {
            shard.enter(now, peer, config.clone().into());
        }
    }

    /// The other way round.
    pub(super) fn leave(&mut self, peer: PeerId) {
        let (now, hub) = (self.now, &mut self.hosts[HUB]);
        hub.shards.iter_mut().for_each(|shard| shard.leave(now, peer));
        hub.shards
            .iter_mut()
            .for_each(|shard| shard.remove_port(now, peer));
    }

    pub(super) fn peer_config(&self, host: usize) -> PeerConfig {
        let link = LinkConfig::new(Some(SOCKET), Remote::Static(address(host)));
        PeerConfig {
            public_key: self.hosts[host].key.public_key(),
            preshared_key: PresharedKey::default(),
            credential: None,
            policy: PolicyKind::Passive,
            isolate: false,
            spoke: false,
            lossless: true,
            shutdown: false,
            rules: PortRules::default(),
            static_macs: Vec::new(),
            hub: None,
            links: [(LinkId::default(), link)].into_iter().collect(),
            opened: LinkConfigs::default(),
            gives: AddressList::default(),
            takes: false,
        }
    }

    /// The TAP of `host` gives `worker` a frame, and everything that follows happens.
    pub(super) fn send(&mut self, host: usize, worker: u8, frame: &[u8]) {
        self.give(host, worker, &VirtioNetHeader::default(), frame);
        self.exchange();
    }

    /// The same, and nothing follows yet.
    pub(super) fn give(&mut self, host: usize, worker: u8, header: &VirtioNetHeader, frame: &[u8]) {
        let now = self.now;
        let host = &mut self.hosts[host];
        host.shards[usize::from(worker)].handle_frame(now, header, &mut frame.to_vec());
        host.collect(usize::from(worker), &[]);
    }

    /// Carries all that there is, until nothing is left.
    pub(super) fn exchange(&mut self) {
        for _ in 0..10_000 {
            let mut under_way = VecDeque::new();
            for n in 0..self.hosts.len() {
                self.hosts[n].mail(self.now);
                under_way.extend(self.hosts[n].sent(n));
            }
            if under_way.is_empty() && !self.hosts.iter_mut().any(Host::is_busy) {
                return;
            }
            for datagram in under_way {
                self.arrive(&datagram);
            }
        }
        panic!("it never ends");
    }

    pub(super) fn arrive(&mut self, datagram: &Datagram) {
        let Datagram { from, to, bytes } = datagram;
        let stuck = |(host, most): (usize, usize)| (host == *from || host == *to) && bytes.len() > most;
        if self.narrow.is_some_and(stuck) {
            return;
        }
        let host = &mut self.hosts[*to];
        let worker = host
            .misdirect
            .unwrap_or_else(|| match TransportHeader::parse(bytes) {
                Ok(header) => host.workers.of(header.receiver).unwrap_or_default(),
                Err(_) => WorkerId(0),
            });
        self.arrive_at(worker, *from, *to, &mut bytes.clone(), bytes.len());
    }

    /// A buffer of datagrams comes from one host to a worker of another.
    pub(super) fn arrive_at(
        &mut self,
        worker: WorkerId,
        from: usize,
        to: usize,
        buffer: &mut [u8],
        piece: usize,
    ) {
        let path = path(from);
        let host = &mut self.hosts[to];
        host.shards[worker.index()].handle_datagrams(self.now, &path, buffer, piece);
        host.collect(worker.index(), buffer);
    }

    /// Lets time pass, and everybody do what is due.
    pub(super) fn pass(&mut self, span: Span) {
        let end = self.now + span;
        loop {
            self.exchange();
            let shards = self.hosts.iter().flat_map(|h| &h.shards);
            let Some(at) = shards
                .filter_map(Shard::poll_timeout)
                .min()
                .filter(|at| *at <= end)
            else {
                break;
            };
            self.now = self.now.max(at);
            for host in &mut self.hosts {
                for n in 0..host.shards.len() {
                    if host.shards[n].poll_timeout().is_some_and(|at| at <= self.now) {
                        host.shards[n].handle_timeout(self.now);
                        host.collect(n, &[]);
                    }
                }
            }
        }
        self.now = end;
    }

    /// Each host's addresses are learned everywhere: `station(n)` of host `n`.
    pub(super) fn introduce(&mut self) {
        for host in 0..self.hosts.len() {
            self.send(host, 0, &frame(BROADCAST, station(host), b"here I am"));
        }
        self.take();
    }

    /// What the TAPs were given since the last call, by host.
    pub(super) fn take(&mut self) -> Vec<Vec<Written>> {
        self.hosts
            .iter_mut()
            .map(|h| std::mem::take(&mut h.tap))
            .collect()
    }
}

impl Host {
    fn new(n: u16, workers: Workers, tap_mtu: TapMtu, mtu_policy: MtuPolicy) -> Self {
        let seed = |part: u8| {
            let mut seed = [part; 32];
            seed[..2].copy_from_slice(&n.to_le_bytes());
            SeededEntropy::new(seed)
        };
        let key = PrivateKey::generate(&mut seed(1));
        let config = InterfaceConfig {
            private_key: key.clone(),
            instance: u64::from(n) + 1,
            suites: SUITES,
            mac_ageing: Span::from_secs(300),
            tap_mtu,
            mtu_policy,
            max_frame: MTU + 14,
        };
        let handshaker = HandshakerConfig {
            private_key: key.clone(),
            instance: u64::from(n) + 1,
            suites: SUITES,
            partial_checksums: true,
            lanes_max: 1,
            hb_min_ms: 0,
            workers,
        };
        let shard = |me: WorkerId| {
            let entropy = Box::new(seed(100 + me.0));
            let mut shard = Shard::with_seat(&config, entropy, BEGIN, Seat { me, workers });
            shard.set_joins(Joins::ALL);
            shard
        };
        Self {
            workers,
            shards: workers.all().map(shard).collect(),
            handshaker: Handshaker::new(handshaker, Box::new(seed(2))),
            key,
            tap: Vec::new(),
            holds_parcels: false,
            holds_floods: false,
            misdirect: None,
            events: Vec::new(),
            wishes: Vec::new(),
        }
    }

    /// From now on it is told of strangers that present a credential.
    pub(super) fn take_credentials(&mut self) {
        let input = Input::TakeCredentials(true);
        self.handshaker
            .handle(BEGIN, WallClock::default(), 0, input, &mut Vec::new());
    }

    /// Its interface as a whole.
    pub(super) fn up(&self) -> u32 {
        self.shards.iter().map(|s| s.interface_status().peers_up).sum()
    }

    pub(super) fn drops(&self, reason: DropReason) -> u64 {
        let drops = |shard: &Shard| shard.interface_status().drops.get(reason);
        self.shards.iter().map(drops).sum()
    }

    /// What was handed over by all, and taken.
    pub(super) fn handover(&self) -> [crate::status::Handover; 2] {
        let status = self.shards.iter().map(Shard::interface_status);
        status.fold(Default::default(), |[mut handed, mut taken], status| {
            for (sum, part) in [(&mut handed, status.handed), (&mut taken, status.taken)] {
                for (sum, part) in [
                    (&mut sum.frames, part.frames),
                    (&mut sum.datagrams, part.datagrams),
                ] {
                    sum.packets += part.packets;
                    sum.bytes += part.bytes;
                }
            }
            [handed, taken]
        })
    }

    /// Takes the frames for the TAP out.
    fn collect(&mut self, worker: usize, received: &[u8]) {
        for frame in self.shards[worker].outbox().frames.drain(..) {
            self.tap.push(Written {
                by: WorkerId(worker as u8),
                header: frame.header,
                bytes: frame.bytes(received).to_vec(),
            });
        }
    }

    /// What goes between the workers, and to the handshake thread and back.
    pub(super) fn mail(&mut self, now: Time) {
        let wall = WallClock::from_unix(1_800_000_000, 0).plus(now.since(BEGIN));
        while self.is_busy() {
            for from in self.workers.all() {
                let shard = &mut self.shards[from.index()];
                self.events.append(&mut shard.outbox().events);
                self.wishes
                    .extend(shard.outbox().tap_mtu.take().map(|wish| (from, wish)));
                let news = std::mem::take(&mut shard.outbox().news);
                let inputs = std::mem::take(&mut shard.outbox().handshake);
                for (to, news) in news {
                    for other in self.workers.all().filter(|w| *w != from) {
                        if to.is_none_or(|to| to == other) {
                            self.shards[other.index()].handle_news(now, news.clone());
                            self.collect(other.index(), &[]);
                        }
                    }
                }
                self.carry_parcels(now, from);
                self.continue_floods(now, from);
                let mut outputs = Vec::new();
                for input in inputs {
                    self.handshaker.handle(now, wall, 0, input, &mut outputs);
                }
                for output in outputs {
                    let to = output.route(from, self.workers);
                    self.shards[to.index()].handle_handshake(now, output);
                    self.collect(to.index(), &[]);
                }
            }
        }
    }

    fn carry_parcels(&mut self, now: Time, from: WorkerId) {
        if self.holds_parcels {
            return;
        }
        for to in self.workers.all().filter(|to| *to != from) {
            let mut parcel = self.take_parcel(from, to);
            self.open(now, to, &mut parcel);
        }
    }

    /// Goes on with a slice of what a worker has to flood.
    pub(super) fn continue_floods(&mut self, now: Time, worker: WorkerId) {
        if !self.holds_floods {
            self.shards[worker.index()].continue_floods(now);
            self.collect(worker.index(), &[]);
        }
    }

    pub(super) fn take_parcel(&mut self, from: WorkerId, to: WorkerId) -> Parcel {
        std::mem::take(&mut self.shards[from.index()].outbox().parcels[to.index()])
    }

    pub(super) fn open(&mut self, now: Time, worker: WorkerId, parcel: &mut Parcel) {
        self.shards[worker.index()].handle_parcel(now, parcel);
        let bytes = parcel.bytes().to_vec();
        self.collect(worker.index(), &bytes);
        parcel.clear();
    }

    /// Whether there is something to carry but datagrams.
    fn is_busy(&mut self) -> bool {
        let (holds, holds_floods) = (self.holds_parcels, self.holds_floods);
        self.shards.iter_mut().any(|shard| {
            let floods = shard.has_floods() && !holds_floods;
            let outbox = shard.outbox();
            floods
                || !outbox.news.is_empty()
                || !outbox.handshake.is_empty()
                || !outbox.events.is_empty()
                || outbox.tap_mtu.is_some()
                || (!holds && outbox.parcels.iter().any(|p| !p.is_empty()))
        })
    }

    /// Takes out what is to be sent by host `n`, which it is.
    pub(super) fn sent(&mut self, n: usize) -> Vec<Datagram> {
        let mut sent = Vec::new();
        for shard in &mut self.shards {
            let outbox = shard.outbox();
            for transmit in &outbox.transmits {
                sent.push(Datagram {
                    from: n,
                    to: host_at(&transmit.path.remote),
                    bytes: outbox.bytes(transmit).to_vec(),
                });
            }
            outbox.clear();
        }
        sent
    }
}

pub(super) const BROADCAST: MacAddr = MacAddr([0xff; 6]);

/// The station behind the TAP of a host.
pub(super) fn station(host: usize) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, host as u8])
}

pub(super) fn frame(to: MacAddr, from: MacAddr, payload: &[u8]) -> Vec<u8> {
    [&to.0[..], &from.0, &[0x88, 0xb5], payload].concat()
}

/// The payload of a frame made by [`frame`], where it was written plainly.
pub(super) fn payloads(written: &[Written]) -> Vec<&[u8]> {
    written.iter().map(|w| &w.bytes[14..]).collect()
}

pub(super) fn address(host: usize) -> SocketAddr {
    ([192, 0, 2, host as u8], 7_700).into()
}

/// As seen by the other end.
pub(super) fn path(host: usize) -> Path {
    Path {
        socket: SOCKET,
        local: None,
        remote: address(host),
    }
}

fn host_at(address: &SocketAddr) -> usize {
    match address.ip() {
        std::net::IpAddr::V4(ip) => ip.octets()[3].into(),
        std::net::IpAddr::V6(_) => panic!("{address}"),
    }
}
