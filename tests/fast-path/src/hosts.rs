//! Hosts in memory: what knetd does around the core, without its sockets and its TAP. Nothing is left to chance, so two
//! runs do the same, instruction by instruction.

use std::{hint::black_box, net::SocketAddr};

use knet_proto::{
    config::{
        AddressList, InterfaceConfig, LinkConfig, LinkConfigs, MtuPolicy, PeerConfig, PolicyKind, PortRules,
        PresharedKey, PrivateKey, PublicKey, Remote, TapMtu,
    },
    handshake::{
        Handshaker, HandshakerConfig,
        message::{Suite, SuiteSet},
    },
    ids::{LinkId, PeerId, Seat, SocketId, WorkerId, Workers},
    offload::join::Joins,
    path::Path,
    rng::{Entropy, SeededEntropy},
    shard::{Class, Parcel, Shard},
    status::{InterfaceStatus, LinkState, PeerStatus},
    time::{Span, Time, WallClock},
    wire::header::TransportHeader,
};

use crate::frames::{self, Frame};

/// Links between each two hosts that know each other.
pub const LINKS: u8 = 2;
/// MTU of the TAPs.
const MTU: u16 = 1_500;
const SUITES: SuiteSet = SuiteSet::of(Suite::Aes256Gcm);
const BEGIN: Time = Time::from_nanos(1_000_000_000);
/// After this time each link has carried the longest datagram, and is trusted.
const SETTLED: Span = Span::from_secs(10);
/// From one host to the next.
const DELAY: Span = Span::from_micros(10);
/// What a kernel hands over in one piece (UDP segmentation and receive offload): datagrams, and bytes of them.
const MERGED_DATAGRAMS: usize = 64;
const MERGED_BYTES: usize = 65_507;

/// Some hosts, each known by its number.
pub struct Hosts {
    now: Time,
    hosts: Vec<Host>,
    /// Where datagrams are received.
    buffer: Vec<u8>,
}

struct Host {
    workers: Workers,
    shards: Vec<Shard>,
    handshaker: Handshaker,
    /// What goes back when a parcel has been emptied.
    spare: Parcel,
}

impl Hosts {
    /// Two hosts, or for more the first one as a hub that knows no addresses, and spokes that know only it. They have
    /// sessions, and know where everybody's frames go. The first one has so many `workers`, the others one.
    /// `partial_checksums`: those of their frames are left for the last TAP to do.
    pub fn connected(count: u8, workers: Workers, policy: PolicyKind, partial_checksums: bool) -> Self {
        let keys: Vec<PrivateKey> = (0..count)
            .map(|n| PrivateKey::generate(&mut SeededEntropy::new([n; 32])))
            .collect();
        let public_keys: Vec<PublicKey> = keys.iter().map(PrivateKey::public_key).collect();
        let hosts = keys.into_iter().zip(0..).map(|(key, n)| {
            let workers = if n == 0 { workers } else { Workers::ONE };
            Host::new(key, n, workers, partial_checksums)
        });
        let mut all = Self {
            now: BEGIN,
            hosts: hosts.collect(),
            buffer: Vec::with_capacity(MERGED_BYTES),
        };
        let is_hub = |n: u8| count > 2 && n == 0;
        for (host, n) in all.hosts.iter_mut().zip(0..) {
            for (public_key, other) in public_keys.iter().zip(0..) {
                if other == n || count > 2 && !is_hub(n) && !is_hub(other) {
                    continue;
                }
                let config = peer_config(*public_key, policy, other, is_hub(n));
                host.enter(PeerId(other.into()), &config);
            }
        }
        all.pass(SETTLED);
        for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
            if from != to {
                all.send(from, &mut frames::short(from, to));
                all.pass(Span::ZERO);
            }
        }
        all.check();
        all
    }

    /// The TAP of `from` gives its first worker a frame.
    pub fn send(&mut self, from: u8, frame: &mut Frame) {
        frame.undo_checksum();
        let shard = &mut self.hosts[usize::from(from)].shards[0];
        shard.handle_frame(self.now, &frame.header, &mut frame.bytes);
    }

    /// Carries datagrams until none is left, and their frames to the TAPs.
    fn exchange(&mut self) {
        while self.hosts.iter_mut().any(Host::is_busy) {
            for from in 0..self.hosts.len() {
                self.now = self.now + DELAY;
                self.hosts[from].mail(self.now);
                for worker in 0..self.hosts[from].shards.len() {
                    self.carry(from, worker);
                }
            }
        }
    }

    /// Carries what was sent, lets time pass, and every host do what is due.
    pub fn pass(&mut self, span: Span) {
        let end = self.now + span;
        loop {
            self.exchange();
            let mut next = None;
            for host in &self.hosts {
                for at in host.shards.iter().filter_map(Shard::poll_timeout) {
                    next = Some(next.map_or(at, |next: Time| next.min(at)));
                }
            }
            let Some(at) = next.filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            for host in &mut self.hosts {
                for shard in &mut host.shards {
                    if shard.poll_timeout().is_some_and(|at| at <= self.now) {
                        shard.handle_timeout(self.now);
                        write(shard, &[]);
                    }
                }
            }
        }
        self.now = self.now.max(end);
    }

    /// What the workers of `host` have counted, each for itself.
    pub fn status(&self, host: u8) -> impl Iterator<Item = InterfaceStatus> {
        self.hosts[usize::from(host)]
            .shards
            .iter()
            .map(Shard::interface_status)
    }

    /// The peers of `host`.
    pub fn peers(&self, host: u8) -> Vec<PeerStatus> {
        let shards = &self.hosts[usize::from(host)].shards;
        shards
            .iter()
            .flat_map(|shard| shard.peers_page(PeerId(0), usize::MAX).0)
            .collect()
    }

    /// Without links that are all in use as they should be, something else would be measured.
    fn check(&self) {
        for host in 0..self.hosts.len() as u8 {
            for peer in self.peers(host) {
                assert!(
                    peer.session.is_some() && peer.links.len() == usize::from(LINKS),
                    "{peer:?}"
                );
                for link in &peer.links {
                    assert!(link.state == LinkState::Up && link.inner_mtu == MTU, "{link:?}");
                }
            }
        }
    }

    /// Carries what a worker of `from` has for other hosts, socket by socket. What goes to one peer as one packet arrives as
    /// one.
    fn carry(&mut self, from: usize, worker: usize) {
        let transmits = std::mem::take(&mut self.hosts[from].shards[worker].outbox().transmits);
        for link in 0..LINKS {
            let mut packet = None;
            for transmit in transmits.iter().filter(|t| t.path.socket == SocketId(link)) {
                let datagram = Packet {
                    to: host_at(&transmit.path.remote),
                    class: transmit.class,
                    piece: transmit.range.len(),
                };
                if let Some(before) = packet.take_if(|before| !self.follows(before, &datagram)) {
                    self.arrive(from, link, &before);
                }
                let outbox = self.hosts[from].shards[worker].outbox();
                self.buffer.extend_from_slice(outbox.bytes(transmit));
                packet.get_or_insert(datagram);
            }
            if let Some(packet) = packet {
                self.arrive(from, link, &packet);
            }
        }
        let outbox = self.hosts[from].shards[worker].outbox();
        outbox.transmits = transmits;
        outbox.clear();
    }

    /// Whether a datagram can go in the packet that is in the buffer: to the same host, marked like those before, and
    /// no longer than they are. A shorter one is the last.
    fn follows(&self, packet: &Packet, datagram: &Packet) -> bool {
        let len = self.buffer.len();
        packet.to == datagram.to
            && packet.class == datagram.class
            && datagram.piece <= packet.piece
            && len.is_multiple_of(packet.piece)
            && len < MERGED_DATAGRAMS * packet.piece
            && len + datagram.piece <= MERGED_BYTES
    }

    /// What is in the buffer arrives: at the worker that its receiver index names.
    fn arrive(&mut self, from: usize, link: u8, packet: &Packet) {
        let path = Path {
            socket: SocketId(link),
            local: Some(address(packet.to, link).ip()),
            remote: address(from, link),
        };
        let host = &mut self.hosts[packet.to];
        let header = TransportHeader::parse(&self.buffer).ok();
        let worker = header.and_then(|header| host.workers.of(header.receiver));
        let shard = &mut host.shards[worker.unwrap_or_default().index()];
        shard.handle_datagrams(self.now, &path, &mut self.buffer, packet.piece);
        write(shard, &self.buffer);
        self.buffer.clear();
    }
}

/// Datagrams that go as one packet, or one of them.
struct Packet {
    to: usize,
    class: Class,
    /// Length of each but the last, in bytes.
    piece: usize,
}

impl Host {
    fn new(key: PrivateKey, number: u8, workers: Workers, partial_checksums: bool) -> Self {
        let mut entropy = SeededEntropy::new([100 + number; 32]);
        let instance = entropy.next_u64();
        let config = InterfaceConfig {
            private_key: key.clone(),
            instance,
            suites: SUITES,
            mac_ageing: Span::from_secs(300),
            tap_mtu: TapMtu::Fixed(MTU),
            mtu_policy: MtuPolicy::default(),
            max_frame: MTU + 14,
        };
        let handshaker = HandshakerConfig {
            private_key: key,
            instance,
            suites: SUITES,
            partial_checksums,
            lanes_max: 1,
            hb_min_ms: 0,
            workers,
        };
        let shard = |me: WorkerId| {
            let entropy = Box::new(SeededEntropy::new([100 + number + 50 * me.0; 32]));
            let mut shard = Shard::with_seat(&config, entropy, BEGIN, Seat { me, workers });
            shard.set_joins(Joins::ALL);
            shard
        };
        Self {
            workers,
            shards: workers.all().map(shard).collect(),
            handshaker: Handshaker::new(handshaker, Box::new(SeededEntropy::new([200 + number; 32]))),
            spare: Parcel::default(),
        }
    }

    /// Another host becomes its peer: first all workers get the port, then the owner gets the peer.
    fn enter(&mut self, peer: PeerId, config: &PeerConfig) {
        for shard in &mut self.shards {
            shard
                .set_port(BEGIN, peer, &config.port(0))
                .expect("no addresses are configured");
        }
        for shard in &mut self.shards {
            shard.enter(BEGIN, peer, config.clone().into());
        }
    }

    /// Whether there is something to carry.
    fn is_busy(&mut self) -> bool {
        if let [shard] = &mut self.shards[..] {
            return !shard.outbox().is_empty();
        }
        self.shards.iter_mut().any(|shard| {
            let outbox = shard.outbox();
            !outbox.is_empty()
                || !outbox.news.is_empty()
                || outbox.parcels.iter().any(|parcel| !parcel.is_empty())
        })
    }

    /// What goes from worker to worker, and to the handshake thread and back.
    fn mail(&mut self, now: Time) {
        let wall = WallClock::from_unix(1_800_000_000, 0).plus(now.since(BEGIN));
        for from in self.workers.all() {
            let outbox = self.shards[from.index()].outbox();
            if self.workers == Workers::ONE && outbox.handshake.is_empty() {
                return;
            }
            let (inputs, news) = (
                std::mem::take(&mut outbox.handshake),
                std::mem::take(&mut outbox.news),
            );
            for (to, news) in news {
                for other in self.workers.all().filter(|other| *other != from) {
                    if to.is_none_or(|to| to == other) {
                        self.shards[other.index()].handle_news(now, news.clone());
                        write(&mut self.shards[other.index()], &[]);
                    }
                }
            }
            for to in self.workers.all().filter(|to| *to != from) {
                let spare = std::mem::take(&mut self.spare);
                let parcels = &mut self.shards[from.index()].outbox().parcels;
                let mut parcel = std::mem::replace(&mut parcels[to.index()], spare);
                let shard = &mut self.shards[to.index()];
                shard.handle_parcel(now, &mut parcel);
                write(shard, parcel.bytes());
                parcel.clear();
                self.spare = parcel;
            }
            let mut outputs = Vec::new();
            for input in inputs {
                self.handshaker.handle(now, wall, 0, input, &mut outputs);
            }
            for output in outputs {
                let to = output.route(from, self.workers);
                self.shards[to.index()].handle_handshake(now, output);
            }
        }
    }
}

/// The TAP takes what a worker has for it.
fn write(shard: &mut Shard, received: &[u8]) {
    for frame in shard.outbox().frames.drain(..) {
        black_box((frame.header.emit(), frame.bytes(received)));
    }
}

fn peer_config(public_key: PublicKey, policy: PolicyKind, other: u8, as_hub: bool) -> PeerConfig {
    let link = |id: LinkId| {
        let remote = Remote::Static(address(other.into(), id.get()));
        (id, LinkConfig::new(Some(SocketId(id.get())), remote))
    };
    let configured = LinkId::all().filter(|id| id.get() < LINKS && !as_hub);
    PeerConfig {
        public_key,
        preshared_key: PresharedKey::default(),
        credential: None,
        policy,
        isolate: false,
        spoke: as_hub,
        lossless: true,
        shutdown: false,
        rules: PortRules::default(),
        static_macs: Vec::new(),
        hub: None,
        links: configured.map(link).collect(),
        opened: LinkConfigs::default(),
        gives: AddressList::default(),
        takes: false,
    }
}

/// The address of a host on a link.
fn address(host: usize, link: u8) -> SocketAddr {
    ([192, 0, 2 + link, host as u8], 7_700).into()
}

/// Whose address it is.
fn host_at(address: &SocketAddr) -> usize {
    match address.ip() {
        std::net::IpAddr::V4(ip) => ip.octets()[3].into(),
        std::net::IpAddr::V6(_) => unreachable!("all addresses here are of IPv4"),
    }
}
