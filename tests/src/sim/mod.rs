//! A deterministic world for the protocol core: virtual time, simulated networks, real [`Shard`]s and
//! [`Handshaker`]s. One seed makes everything; a failing seed fails again.

pub mod ledger;
pub mod network;
mod node;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    net::SocketAddr,
};

use knet_proto::{
    config::{LinkConfig, PeerConfig, PolicyKind, PresharedKey, PublicKey, Remote},
    event::Event,
    handshake::message::{Input, Output},
    ids::{MAX_LINKS, PeerId, SocketId},
    path::Path,
    rng::{Entropy, SeededEntropy},
    status::{LinkState, PeerStatus, Traffic},
    time::{Span, Time},
};
use ledger::Ledger;
use network::Network;
use node::Node;

/// How long the handshake thread needs to take something up and finish it.
const HANDSHAKE_TIME: Span = Span::from_micros(400);

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Makes everything.
    pub seed: u64,
    /// Hosts, all peers of each other.
    pub nodes: usize,
    /// Links between each two of them, each through a network of its own.
    pub links: u8,
    /// The policy of all.
    pub policy: PolicyKind,
    /// Host 0 is a hub that knows no addresses: the others come to it, and know only it.
    pub hub: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 1,
            nodes: 2,
            links: 2,
            policy: PolicyKind::Passive,
            hub: false,
        }
    }
}

#[derive(Debug)]
enum What {
    Datagram {
        to: usize,
        socket: u8,
        remote: SocketAddr,
        bytes: Vec<u8>,
    },
    Handshake {
        to: usize,
        life: u32,
        output: Box<Output>,
    },
    Traffic {
        from: usize,
        to: usize,
        every: Span,
        until: Time,
    },
    Wake {
        node: usize,
        at: Time,
    },
    Resume {
        node: usize,
    },
}

/// The world.
pub struct World {
    /// Virtual time.
    pub now: Time,
    /// The networks.
    pub network: Network,
    /// The books.
    pub ledger: Ledger,
    /// What the nodes told, with the time and the teller.
    pub events: Vec<(Time, usize, Event)>,
    /// Bytes received from and sent to addresses that nobody has (attackers and their victims).
    pub strangers: HashMap<SocketAddr, (u64, u64)>,
    /// Every datagram that went over the wire lately, for an attacker to use.
    pub tapped: Vec<(Path, usize, Vec<u8>)>,
    /// Whether to keep them.
    pub tap: bool,
    /// The world's own randomness.
    pub rng: SeededEntropy,
    setup: Setup,
    nodes: Vec<Node>,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    due: HashMap<u64, What>,
    serial: u64,
}

impl World {
    /// Builds it and starts every host.
    pub fn new(setup: Setup) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&setup.seed.to_le_bytes());
        let mut world = Self {
            now: Time::from_nanos(1_000_000_000),
            network: Network::default(),
            ledger: Ledger::default(),
            events: Vec::new(),
            strangers: HashMap::new(),
            tapped: Vec::new(),
            tap: false,
            rng: SeededEntropy::new(seed),
            nodes: Vec::new(),
            queue: BinaryHeap::new(),
            due: HashMap::new(),
            serial: 0,
            setup,
        };
        for n in 0..world.setup.nodes {
            let node = Node::new(&mut world.rng);
            world.nodes.push(node);
            for l in 0..world.setup.links {
                world.network.attach(n, l);
            }
        }
        for n in 0..world.setup.nodes {
            world.start(n);
        }
        world
    }

    /// Lets `span` pass.
    pub fn run(&mut self, span: Span) {
        let end = self.now + span;
        while let Some(Reverse((at, serial))) =
            self.queue.peek().copied().filter(|Reverse((at, _))| *at <= end)
        {
            self.queue.pop();
            self.now = self.now.max(at);
            if let Some(what) = self.due.remove(&serial) {
                self.happen(what);
            }
        }
        self.now = end;
    }

    /// Sends a frame from one host to another every `every`, for `span`.
    pub fn traffic(&mut self, from: usize, to: usize, every: Span, span: Span) {
        let until = self.now + span;
        self.plan(
            self.now,
            What::Traffic {
                from,
                to,
                every,
                until,
            },
        );
    }

    /// Traffic between all hosts, both ways.
    pub fn traffic_everywhere(&mut self, every: Span, span: Span) {
        for a in 0..self.setup.nodes {
            for b in (0..self.setup.nodes).filter(|b| *b != a) {
                self.traffic(a, b, every, span);
            }
        }
    }

    /// The process of `node` dies without a word.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// And is started (again).
    pub fn start(&mut self, node: usize) {
        let configs = self.peers_of(node);
        let mut seed = [0; 32];
        self.rng.fill(&mut seed);
        let sockets = 0..self.setup.links;
        self.nodes[node].start(self.now, seed, sockets);
        for (id, config) in configs {
            self.nodes[node].set_peer(self.now, id, config);
        }
        self.drain(node);
    }

    /// The process of `node` stands still for `span` (SIGSTOP, a busy machine).
    pub fn pause(&mut self, node: usize, span: Span) {
        self.nodes[node].pause(self.now);
        self.plan(self.now + span, What::Resume { node });
    }

    /// Sets the wall clock of `node` off by this many seconds.
    pub fn set_wall_clock(&mut self, node: usize, off_by: i64) {
        self.nodes[node].wall_offset = off_by;
    }

    /// The carrier of `node` on `network` goes or comes; the host notices, nothing passes.
    pub fn carrier(&mut self, node: usize, network: u8, up: bool) {
        for other in (0..self.setup.nodes).filter(|n| *n != node) {
            self.network.cut(network, node, other, !up);
        }
        let now = self.now;
        if let Some(life) = self.nodes[node].life_mut() {
            life.shard.handle_socket(now, SocketId(network), up);
        }
        self.drain(node);
    }

    /// A datagram that somebody throws at `to`.
    pub fn inject(&mut self, to: usize, socket: u8, remote: SocketAddr, bytes: Vec<u8>) {
        if self.network.port(&remote).is_none() {
            self.strangers.entry(remote).or_default().0 += bytes.len() as u64;
        }
        self.happen(What::Datagram {
            to,
            socket,
            remote,
            bytes,
        });
    }

    /// What `node` knows of `peer`.
    pub fn peer(&self, node: usize, peer: usize) -> PeerStatus {
        let life = self.nodes[node].life().expect("the node runs");
        life.shard
            .peer_status(PeerId(peer as u16))
            .expect("the peer is configured")
    }

    /// Everything that `node` holds, as text, without what counts dropped packets.
    pub fn state_of(&mut self, node: usize) -> String {
        let now = self.now;
        let life = self.nodes[node].life_mut().expect("the node runs");
        life.shard.handle_timeout(now);
        let mut peers = life.shard.peers_page(PeerId(0), usize::MAX).0;
        for peer in &mut peers {
            (peer.drops, peer.duplicates) = (0, 0);
            for link in &mut peer.links {
                link.rx = Traffic::default();
            }
        }
        let status = life.shard.interface_status();
        format!(
            "{peers:?} {} {} {:?}",
            status.macs,
            status.handshakes,
            life.shard.poll_timeout()
        )
    }

    /// Packets that `node` discarded for `reason`.
    pub fn drops(&self, node: usize, reason: knet_proto::drop_reason::DropReason) -> u64 {
        self.nodes[node]
            .life()
            .map_or(0, |l| l.shard.interface_status().drops.get(reason))
    }

    /// One line about how `node` stands with `peer`.
    pub fn state_line(&self, node: usize, peer: usize) -> String {
        let p = self.peer(node, peer);
        let links: Vec<String> = p
            .links
            .iter()
            .map(|l| {
                format!(
                    "{}:{}{}",
                    l.link,
                    l.state.name(),
                    if l.receiving { "" } else { "/deaf" }
                )
            })
            .collect();
        format!(
            "{node}->{peer} session={} use={:?} {}",
            p.session.is_some(),
            p.active_links,
            links.join(" ")
        )
    }

    /// Rules broken since the start; a test asserts that there are none.
    pub fn breaches(&self) -> &[String] {
        &self.ledger.broken
    }

    /// I7: between every two hosts there is a session, every link is up both ways, and the best is in use.
    pub fn check_converged(&mut self) {
        for a in 0..self.setup.nodes {
            for b in (0..self.setup.nodes).filter(|b| *b != a) {
                if self.setup.hub && a != 0 && b != 0 {
                    continue;
                }
                let p = self.peer(a, b);
                let up = p
                    .links
                    .iter()
                    .filter(|l| l.state == LinkState::Up && l.receiving)
                    .count();
                let best = match self.setup.policy {
                    PolicyKind::Passive | PolicyKind::Adaptive => 1,
                    PolicyKind::Active | PolicyKind::RoundRobin | PolicyKind::FlowHash => {
                        usize::from(self.setup.links)
                    }
                };
                let good = p.session.is_some()
                    && up == usize::from(self.setup.links)
                    && p.active_links.len() == best
                    && p.active_links.first().map(|l| l.get()) == Some(0);
                if !good {
                    let line = self.state_line(a, b);
                    self.ledger.breach(self.now, format!("not converged: {line}"));
                }
            }
        }
    }

    // ---- inside -------------------------------------------------------------------------------------

    fn peers_of(&self, node: usize) -> Vec<(PeerId, PeerConfig)> {
        let knows = |other: usize| other != node && (!self.setup.hub || node == 0 || other == 0);
        (0..self.setup.nodes)
            .filter(|other| knows(*other))
            .map(|other| {
                let links = std::array::from_fn(|l| {
                    let network = l as u8;
                    let listens = self.setup.hub && node == 0;
                    (l < MAX_LINKS && network < self.setup.links && !listens).then(|| {
                        let remote = Remote::Static(Network::home(other, network));
                        let mut link = LinkConfig::new(Some(SocketId(network)), remote);
                        link.priority = 200 - network;
                        link
                    })
                });
                let public_key: PublicKey = self.nodes[other].public_key();
                let config = PeerConfig {
                    public_key,
                    preshared_key: PresharedKey::default(),
                    policy: self.setup.policy,
                    isolate: false,
                    spoke: self.setup.hub && node == 0,
                    shutdown: false,
                    lossless: true,
                    static_macs: Vec::new(),
                    links,
                };
                (PeerId(other as u16), config)
            })
            .collect()
    }

    fn plan(&mut self, at: Time, what: What) {
        self.serial += 1;
        self.queue.push(Reverse((at, self.serial)));
        self.due.insert(self.serial, what);
    }

    fn happen(&mut self, what: What) {
        let now = self.now;
        match what {
            What::Datagram {
                to,
                socket,
                remote,
                mut bytes,
            } => {
                let node = &mut self.nodes[to];
                if node.is_paused() {
                    return node.keep(What::Datagram {
                        to,
                        socket,
                        remote,
                        bytes,
                    });
                }
                let local = Some(Network::home(to, socket).ip());
                let path = Path {
                    socket: SocketId(socket),
                    local,
                    remote,
                };
                let Some(life) = node.life_mut() else { return };
                let frame = life
                    .shard
                    .handle_datagram(now, &path, &mut bytes)
                    .map(<[u8]>::to_vec);
                if let Some(frame) = frame {
                    self.arrive(to, &frame);
                }
                self.drain(to);
            }
            What::Handshake { to, life, output } => {
                let node = &mut self.nodes[to];
                if node.is_paused() {
                    return node.keep(What::Handshake { to, life, output });
                }
                let Some(alive) = node.life_mut().filter(|l| l.number == life) else {
                    return;
                };
                alive.shard.handle_handshake(now, *output);
                self.drain(to);
            }
            What::Traffic {
                from,
                to,
                every,
                until,
            } => {
                let number = self.ledger.send(now, from, to);
                if !self.nodes[from].is_paused()
                    && let Some(life) = self.nodes[from].life_mut()
                {
                    life.shard.handle_frame(now, &node::frame(from, to, number));
                    self.drain(from);
                }
                if now + every < until {
                    self.plan(
                        now + every,
                        What::Traffic {
                            from,
                            to,
                            every,
                            until,
                        },
                    );
                }
            }
            What::Wake { node, at } => {
                if self.nodes[node].wake_at != Some(at) || self.nodes[node].is_paused() {
                    return;
                }
                self.nodes[node].wake_at = None;
                if let Some(life) = self.nodes[node].life_mut() {
                    life.shard.handle_timeout(now);
                }
                self.drain(node);
            }
            What::Resume { node } => {
                let (kept, gap) = self.nodes[node].resume(now);
                if let Some(life) = self.nodes[node].life_mut() {
                    life.shard.handle_gap(now, gap);
                }
                for what in kept {
                    self.happen(what);
                }
                if let Some(life) = self.nodes[node].life_mut() {
                    life.shard.handle_timeout(now);
                }
                self.drain(node);
            }
        }
    }

    /// A frame comes out of the TAP of `at`. Unknown destinations are flooded: like any network card, a host ignores
    /// what is for others.
    fn arrive(&mut self, at: usize, frame: &[u8]) {
        let (destination, source, number) = node::read_frame(frame);
        if destination == at {
            self.ledger.arrive(self.now, at, source, number);
        }
    }

    /// Takes everything out of the node's outbox, and plans its next wake-up.
    fn drain(&mut self, n: usize) {
        let now = self.now;
        let Some(life) = self.nodes[n].life_mut() else {
            return;
        };
        let number = life.number;
        let outbox = life.shard.outbox();
        let sent: Vec<(Path, Vec<u8>)> = outbox
            .transmits
            .iter()
            .map(|t| (t.path, outbox.bytes(t).to_vec()))
            .collect();
        let frames = std::mem::take(&mut outbox.frames);
        let inputs: Vec<Input> = outbox.handshake.drain(..).collect();
        let events: Vec<Event> = outbox.events.drain(..).collect();
        outbox.clear();
        for frame in frames {
            self.arrive(n, &frame);
        }
        self.events.extend(events.into_iter().map(|e| (now, n, e)));
        for (path, bytes) in sent {
            self.transmit(n, &path, &bytes);
        }
        for input in inputs {
            let outputs = self.nodes[n].handshake(now, input);
            for output in outputs {
                let what = What::Handshake {
                    to: n,
                    life: number,
                    output: Box::new(output),
                };
                self.plan(now + HANDSHAKE_TIME, what);
            }
        }
        let Some(life) = self.nodes[n].life_mut() else {
            return;
        };
        let wake = life.shard.poll_timeout();
        if let Some(at) = wake.filter(|at| self.nodes[n].wake_at.is_none_or(|w| *at < w)) {
            let at = at.max(now);
            self.nodes[n].wake_at = Some(at);
            self.plan(at, What::Wake { node: n, at });
        }
    }

    fn transmit(&mut self, from: usize, path: &Path, bytes: &[u8]) {
        self.ledger.on_wire(self.now, bytes);
        let network = path.socket.0;
        let Some(port) = self.network.port(&path.remote) else {
            self.strangers.entry(path.remote).or_default().1 += bytes.len() as u64;
            return;
        };
        let remote = self.network.address(from, network);
        if self.tap {
            let seen = Path {
                socket: SocketId(port.network),
                local: None,
                remote,
            };
            self.tapped.push((seen, port.node, bytes.to_vec()));
        }
        if port.network != network {
            return;
        }
        for at in self
            .network
            .arrivals(self.now, network, from, port.node, &mut self.rng)
        {
            let what = What::Datagram {
                to: port.node,
                socket: network,
                remote,
                bytes: bytes.to_vec(),
            };
            self.plan(at, what);
        }
    }
}
