//! Hosts in memory: what knetd does around the core, without its sockets and its TAP. Nothing is left to chance, so two
//! runs do the same, instruction by instruction.

use std::{hint::black_box, net::SocketAddr};

use knet_proto::{
    config::{
        InterfaceConfig, LinkConfig, LinkConfigs, MtuPolicy, PeerConfig, PolicyKind, PortRules, PresharedKey,
        PrivateKey, PublicKey, Remote, TapMtu,
    },
    handshake::{
        Handshaker, HandshakerConfig,
        message::{Suite, SuiteSet},
    },
    ids::{LinkId, PeerId, SocketId, Workers},
    offload::join::Joins,
    path::Path,
    rng::{Entropy, SeededEntropy},
    shard::{Class, Shard},
    status::{InterfaceStatus, LinkState, PeerStatus},
    time::{Span, Time, WallClock},
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
    shard: Shard,
    handshaker: Handshaker,
}

impl Hosts {
    /// Two hosts, or for more the first one as a hub that knows no addresses, and spokes that know only it. They have
    /// sessions, and know where everybody's frames go. `partial_checksums`: those of their frames are left for the last
    /// TAP to do.
    pub fn connected(count: u8, policy: PolicyKind, partial_checksums: bool) -> Self {
        let keys: Vec<PrivateKey> = (0..count)
            .map(|n| PrivateKey::generate(&mut SeededEntropy::new([n; 32])))
            .collect();
        let public_keys: Vec<PublicKey> = keys.iter().map(PrivateKey::public_key).collect();
        let hosts = keys
            .into_iter()
            .zip(0..)
            .map(|(key, n)| Host::new(key, n, partial_checksums));
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
                host.shard
                    .set_peer(BEGIN, PeerId(other.into()), config)
                    .expect("no addresses are configured");
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

    /// The TAP of `from` gives a frame.
    pub fn send(&mut self, from: u8, frame: &mut Frame) {
        frame.undo_checksum();
        let shard = &mut self.hosts[usize::from(from)].shard;
        shard.handle_frame(self.now, &frame.header, &mut frame.bytes);
    }

    /// Carries datagrams until none is left, and their frames to the TAPs.
    fn exchange(&mut self) {
        while self.hosts.iter_mut().any(|h| !h.shard.outbox().is_empty()) {
            for from in 0..self.hosts.len() {
                self.now = self.now + DELAY;
                self.shake_hands(from);
                self.carry(from);
            }
        }
    }

    /// Carries what was sent, lets time pass, and every host do what is due.
    pub fn pass(&mut self, span: Span) {
        let end = self.now + span;
        loop {
            self.exchange();
            let next = self.hosts.iter().filter_map(|h| h.shard.poll_timeout()).min();
            let Some(at) = next.filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            for host in &mut self.hosts {
                if host.shard.poll_timeout().is_some_and(|at| at <= self.now) {
                    host.shard.handle_timeout(self.now);
                    host.write(&[]);
                }
            }
        }
        self.now = self.now.max(end);
    }

    /// What `host` has counted.
    pub fn status(&self, host: u8) -> InterfaceStatus {
        self.hosts[usize::from(host)].shard.interface_status()
    }

    /// The peers of `host`.
    pub fn peers(&self, host: u8) -> Vec<PeerStatus> {
        let shard = &self.hosts[usize::from(host)].shard;
        shard.peers_page(PeerId(0), usize::MAX).0
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

    /// What the handshake thread does.
    fn shake_hands(&mut self, host: usize) {
        let Host { shard, handshaker } = &mut self.hosts[host];
        let wall = WallClock::from_unix(1_800_000_000, 0).plus(self.now.since(BEGIN));
        let mut outputs = Vec::new();
        for input in std::mem::take(&mut shard.outbox().handshake) {
            handshaker.handle(self.now, wall, 0, input, &mut outputs);
        }
        for output in outputs {
            shard.handle_handshake(self.now, output);
        }
    }

    /// Carries what `from` has for the others, socket by socket. What goes to one peer as one packet arrives as one.
    fn carry(&mut self, from: usize) {
        let transmits = std::mem::take(&mut self.hosts[from].shard.outbox().transmits);
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
                let outbox = self.hosts[from].shard.outbox();
                self.buffer.extend_from_slice(outbox.bytes(transmit));
                packet.get_or_insert(datagram);
            }
            if let Some(packet) = packet {
                self.arrive(from, link, &packet);
            }
        }
        let outbox = self.hosts[from].shard.outbox();
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

    /// What is in the buffer arrives.
    fn arrive(&mut self, from: usize, link: u8, packet: &Packet) {
        let path = Path {
            socket: SocketId(link),
            local: Some(address(packet.to, link).ip()),
            remote: address(from, link),
        };
        let host = &mut self.hosts[packet.to];
        host.shard
            .handle_datagrams(self.now, &path, &mut self.buffer, packet.piece);
        host.write(&self.buffer);
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
    fn new(key: PrivateKey, number: u8, partial_checksums: bool) -> Self {
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
            workers: Workers::ONE,
        };
        let mut shard = Shard::new(&config, Box::new(entropy), BEGIN);
        shard.set_joins(Joins::ALL);
        Self {
            shard,
            handshaker: Handshaker::new(handshaker, Box::new(SeededEntropy::new([200 + number; 32]))),
        }
    }

    /// The TAP takes what the shard has for it.
    fn write(&mut self, received: &[u8]) {
        for frame in self.shard.outbox().frames.drain(..) {
            black_box((frame.header.emit(), frame.bytes(received)));
        }
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
        policy,
        isolate: false,
        spoke: as_hub,
        lossless: true,
        shutdown: false,
        rules: PortRules::default(),
        static_macs: Vec::new(),
        links: configured.map(link).collect(),
        opened: LinkConfigs::default(),
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
