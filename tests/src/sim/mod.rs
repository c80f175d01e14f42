//! A deterministic world for the protocol core: virtual time, simulated networks, real
//! [`Shard`](knet_proto::shard::Shard)s and
//! [`Handshaker`](knet_proto::handshake::Handshaker)s. One seed makes everything; a failing seed fails again.
//!
//! What is done to it and looked at from outside is here, what happens in it in [`steps`], what must hold in
//! [`invariants`], and what is done to it at random in [`schedules`].

mod health;
pub mod invariants;
pub mod ledger;
mod mail;
pub mod network;
mod node;
pub mod schedules;
mod steps;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque},
    net::SocketAddr,
};

use health::Health;
use invariants::Damping;
use knet_proto::{
    config::{
        AddressList, HubMembership, LinkConfig, LinkConfigs, PeerConfig, PolicyKind, PortRules, PresharedKey,
        PublicKey, Remote,
    },
    event::Event,
    ids::{LinkId, PeerId, SocketId, WorkerId, Workers},
    path::Path,
    rng::{Entropy, SeededEntropy},
    shard::Shard,
    status::{HubGroupStatus, PeerStatus, Traffic},
    time::{Span, Time},
    wire::virtio_net_header::VirtioNetHeader,
};
use ledger::Ledger;
use network::Network;
use node::Node;
use steps::What;

/// The shortest frame that the world sends, in bytes.
pub const SHORT: usize = 64;
/// A full frame of the TAPs, in bytes.
pub const FULL: usize = 1_514;
/// For all hosts: the number of a station that nobody has, so that frames for it are flooded.
pub const ALL: usize = 255;
/// Datagrams kept per pair and direction, for whoever removes a peer.
const RECENT: usize = 16;

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
    /// The first so many hosts are hubs that know no addresses of the others: these come to them, and know only them. Two
    /// hubs are a hub group to each of the others, and neighbours of each other.
    pub hubs: usize,
    /// Data workers of each host.
    pub workers: Workers,
    /// No host wants heartbeats closer together than this, in ms, as a hub of tens of thousands does not.
    pub heartbeats_apart_ms: u16,
    /// So many handshakes wait at each host, as it thinks: from 128 on it wants cookies.
    pub handshakes_waiting: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 1,
            nodes: 2,
            links: 2,
            policy: PolicyKind::Passive,
            hubs: 0,
            workers: Workers::ONE,
            heartbeats_apart_ms: 0,
            handshakes_waiting: 0,
        }
    }
}

/// Datagrams on record, with the path they came by.
type Recorded = VecDeque<(Path, Vec<u8>)>;

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
    /// Of every million datagrams so many are taken from their network and delivered over another one.
    pub moved_ppm: u32,
    /// And so many are delivered over another one as well.
    pub copied_ppm: u32,
    /// Control messages that somebody has delivered over another network than their own.
    pub misled: u64,
    /// Whatever this host sends comes from this address too, and a moment earlier.
    pub spoof: Option<(usize, SocketAddr)>,
    /// Of every million datagrams so many come to another worker than the one that owns their session.
    pub astray_ppm: u32,
    /// What is done to the networks is no fault that a link could be blamed for wrongly.
    pub under_attack: bool,
    setup: Setup,
    /// What the bytes of a host's link cost it.
    costs: HashMap<(usize, u8), u8>,
    /// Which of its hubs a host prefers.
    preferences: HashMap<(usize, usize), u8>,
    /// What a host gives another one for its TAP.
    given: HashMap<(usize, usize), AddressList>,
    nodes: Vec<Node>,
    health: Health,
    damping: Damping,
    /// Who has a session with whom.
    sessions: HashSet<(usize, usize)>,
    /// Who has been made to forget whom.
    removed: BTreeSet<(usize, usize)>,
    recent: HashMap<(usize, usize), Recorded>,
    /// What was sent before was looked at already.
    checked_until: Time,
    /// Frames sent so far that rule I4 speaks of.
    guarded: u64,
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
            moved_ppm: 0,
            copied_ppm: 0,
            misled: 0,
            spoof: None,
            astray_ppm: 0,
            under_attack: false,
            costs: HashMap::new(),
            preferences: HashMap::new(),
            given: HashMap::new(),
            nodes: Vec::new(),
            health: Health::default(),
            damping: Damping::default(),
            sessions: HashSet::new(),
            removed: BTreeSet::new(),
            recent: HashMap::new(),
            checked_until: Time::ZERO,
            guarded: 0,
            queue: BinaryHeap::new(),
            due: HashMap::new(),
            serial: 0,
            setup,
        };
        for n in 0..world.setup.nodes {
            let node = Node::new(&mut world.rng, &world.setup);
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

    /// Sends a short frame from one host to another every `every`, for `span`.
    pub fn traffic(&mut self, from: usize, to: usize, every: Span, span: Span) {
        self.traffic_of(SHORT, from, to, every, span);
    }

    /// Sends a frame of `size` bytes from one host to another every `every`, for `span`.
    pub fn traffic_of(&mut self, size: usize, from: usize, to: usize, every: Span, span: Span) {
        let until = self.now + span;
        let what = What::Traffic {
            from,
            to,
            size,
            every,
            until,
        };
        self.plan(self.now, what);
    }

    /// One host floods a short frame every `every`, for `span`.
    pub fn broadcasts(&mut self, from: usize, every: Span, span: Span) {
        self.traffic(from, ALL, every, span);
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
        self.check_losses();
        self.check_hold(node);
        self.nodes[node].kill();
        self.sessions.retain(|(n, _)| *n != node);
        self.damping.forget(node);
        self.health.host_changed(self.now, node);
    }

    /// And is started (again).
    pub fn start(&mut self, node: usize) {
        if self.nodes[node].life().is_some() {
            self.kill(node);
        }
        self.removed.retain(|(n, _)| *n != node);
        let configs = self.peers_of(node);
        let mut seed = [0; 32];
        self.rng.fill(&mut seed);
        self.nodes[node].start(self.now, seed);
        for (id, config) in configs {
            self.nodes[node].set_peer(self.now, id, &config);
        }
        self.drain(node);
    }

    /// From now on the bytes of its links on `network` cost `node` so much.
    pub fn set_cost(&mut self, node: usize, network: u8, cost: u8) {
        self.costs.insert((node, network), cost);
        self.reconfigure(node);
    }

    /// From now on `node` prefers its hub `hub` so much.
    pub fn set_preference(&mut self, node: usize, hub: usize, preference: u8) {
        self.preferences.insert((node, hub), preference);
        self.reconfigure(node);
    }

    /// From now on `node` gives `peer` these addresses, and `peer` takes what it is given.
    pub fn give(&mut self, node: usize, peer: usize, addresses: AddressList) {
        self.given.insert((node, peer), addresses);
        self.reconfigure(node);
        self.reconfigure(peer);
    }

    fn reconfigure(&mut self, node: usize) {
        if self.nodes[node].life().is_some() {
            for (id, config) in self.peers_of(node) {
                self.nodes[node].set_peer(self.now, id, &config);
            }
            self.drain(node);
        }
    }

    /// The process of `node` stands still for `span` (SIGSTOP, a busy machine).
    pub fn pause(&mut self, node: usize, span: Span) {
        for worker in self.setup.workers.all() {
            self.pause_worker(node, worker, span);
        }
    }

    /// One of its workers does, and the others go on.
    pub fn pause_worker(&mut self, node: usize, worker: WorkerId, span: Span) {
        self.nodes[node].pause(self.now, worker);
        self.plan(self.now + span, What::Resume { node, worker });
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
        self.socket(node, network, up);
    }

    /// The host is told that the address or interface behind its socket came or went.
    fn socket(&mut self, node: usize, network: u8, up: bool) {
        let now = self.now;
        if let Some(life) = self.nodes[node].life_mut() {
            for shard in &mut life.shards {
                shard.handle_socket(now, SocketId(network), up);
            }
            let bit = 1 << network;
            let down = &mut self.nodes[node].sockets_down;
            *down = if up { *down & !bit } else { *down | bit };
        }
        self.drain(node);
    }

    /// The session of `node` with `peer` goes on as if it had used all data counters below `next`.
    pub fn skip_data_counters(&mut self, node: usize, peer: usize, next: u32) {
        if let Some(life) = self.nodes[node].life_mut() {
            life.shard_of_mut(peer)
                .skip_data_counters(PeerId(peer as u16), next);
        }
        // What there is no counter for is dropped, and a gap looks like loss.
        self.health.session_ended(self.now, node, peer);
        self.drain(node);
    }

    /// A datagram that somebody throws at `to`.
    pub fn inject(&mut self, to: usize, socket: u8, remote: SocketAddr, bytes: Vec<u8>) {
        if self.network.port(&remote).is_none() {
            self.strangers.entry(remote).or_default().0 += bytes.len() as u64;
        }
        self.happen(What::Datagram {
            to,
            worker: None,
            socket,
            remote,
            bytes,
        });
    }

    /// A station behind `node` tells all others its addresses, which are made of `station`.
    pub fn announce_station(&mut self, node: usize, station: u64) {
        let worker = WorkerId::default();
        if self.nodes[node].life().is_none() || self.nodes[node].stands_still(worker) {
            return;
        }
        let (now, header) = (self.now, VirtioNetHeader::default());
        let mut frame = node::announcement(station);
        self.act(node, worker, |shard| shard.handle_frame(now, &header, &mut frame));
        self.drain(node);
    }

    /// Forgets what has happened, so that the world is no larger than what is in it. To be called at rest: what is on its
    /// way would not be known when it arrives.
    pub fn forget_history(&mut self) {
        self.ledger.forget();
        self.health.forget();
        self.events = Vec::new();
        self.strangers = HashMap::new();
        self.tapped = Vec::new();
        self.recent = HashMap::new();
        self.damping = Damping::default();
        self.queue.shrink_to_fit();
        self.due.shrink_to_fit();
    }

    /// What `node` knows of `peer`.
    pub fn peer(&self, node: usize, peer: usize) -> PeerStatus {
        let life = self.nodes[node].life().expect("the node runs");
        life.peer_status(peer).expect("the peer is configured")
    }

    /// Everything that `node` holds, as text, without what counts dropped packets.
    pub fn state_of(&mut self, node: usize) -> String {
        let now = self.now;
        let life = self.nodes[node].life_mut().expect("the node runs");
        life.shards.iter_mut().for_each(|shard| shard.handle_timeout(now));
        let mut peers = life.peers();
        for peer in &mut peers {
            (peer.drops, peer.duplicates) = (0, 0);
            for link in &mut peer.links {
                link.rx = Traffic::default();
            }
        }
        let shards = life.shards.iter().map(|shard| {
            let status = shard.interface_status();
            (status.macs, status.handshakes, shard.poll_timeout())
        });
        format!("{peers:?} {:?}", shards.collect::<Vec<_>>())
    }

    /// The hub group of `node`, as the worker that decides for it knows it.
    pub fn hub_group(&self, node: usize) -> HubGroupStatus {
        let life = self.nodes[node].life().expect("the node runs");
        let mut groups = life.shards.iter().flat_map(Shard::hub_groups);
        groups.next().expect("it has several hubs")
    }

    /// Packets that `node` discarded for `reason`.
    pub fn drops(&self, node: usize, reason: knet_proto::drop_reason::DropReason) -> u64 {
        self.nodes[node].life().map_or(0, |life| life.drops(reason))
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

    /// Frames that had to arrive whichever link died (I4), as far as this was looked at.
    pub fn guarded(&self) -> u64 {
        self.guarded
    }

    /// Virtual time since the beginning.
    pub fn age(&self) -> Span {
        self.now.since(Time::from_nanos(1_000_000_000))
    }

    /// How many sessions followed another one so far, counted at both ends.
    pub fn rekeys(&self) -> usize {
        let is_rekey = |e: &Event| matches!(e, Event::SessionUp { rekey: true, .. });
        self.events.iter().filter(|(_, _, e)| is_rekey(e)).count()
    }

    /// What the workers of `node` have handed over, and what they have taken: frames and datagrams.
    pub fn handover(&self, node: usize) -> [[u64; 2]; 2] {
        self.nodes[node].life().map_or([[0; 2]; 2], node::Life::handover)
    }

    /// Rules broken since the start; a test asserts that there are none.
    pub fn breaches(&self) -> &[String] {
        &self.ledger.broken
    }

    /// Two hosts that are peers of each other, the smaller number first.
    fn pairs(&self) -> Vec<(usize, usize)> {
        let all = (0..self.setup.nodes).flat_map(|a| (a + 1..self.setup.nodes).map(move |b| (a, b)));
        all.filter(|(a, _)| self.setup.hubs == 0 || *a < self.setup.hubs)
            .collect()
    }

    fn peers_of(&self, node: usize) -> Vec<(PeerId, PeerConfig)> {
        let hubs = self.setup.hubs;
        let is_hub = |n: usize| n < hubs;
        let knows = |other: usize| other != node && (hubs == 0 || is_hub(node) || is_hub(other));
        (0..self.setup.nodes)
            .filter(|other| knows(*other))
            .map(|other| {
                let link = |id: LinkId| {
                    let network = id.get();
                    let remote = Remote::Static(Network::home(other, network));
                    let mut link = LinkConfig::new(Some(SocketId(network)), remote);
                    link.priority = 200 - network;
                    link.cost = self.costs.get(&(node, network)).copied().unwrap_or_default();
                    (id, link)
                };
                let serves = is_hub(node) && !is_hub(other);
                let configured = LinkId::all().filter(|id| id.get() < self.setup.links && !serves);
                let public_key: PublicKey = self.nodes[other].public_key();
                let config = PeerConfig {
                    public_key,
                    preshared_key: PresharedKey::default(),
                    credential: None,
                    policy: self.setup.policy,
                    isolate: false,
                    spoke: serves,
                    shutdown: false,
                    lossless: true,
                    rules: PortRules::default(),
                    static_macs: Vec::new(),
                    hub: (hubs > 1 && !is_hub(node)).then(|| HubMembership {
                        group: "hubs".into(),
                        preference: self.preferences.get(&(node, other)).copied().unwrap_or(100),
                    }),
                    links: configured.map(link).collect(),
                    opened: LinkConfigs::default(),
                    gives: self.given.get(&(node, other)).cloned().unwrap_or_default(),
                    takes: self.given.contains_key(&(other, node)),
                };
                (PeerId(other as u16), config)
            })
            .collect()
    }
}
