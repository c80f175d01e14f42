//! One simulated host: the shards of its workers and a handshaker, alive or not.

use std::collections::BTreeMap;

use knet_proto::{
    config::{InterfaceConfig, MtuPolicy, PeerConfig, PrivateKey, PublicKey, TapMtu},
    drop_reason::DropReason,
    handshake::{
        Handshaker, HandshakerConfig,
        message::{Input, Output, Suite, SuiteSet},
    },
    ids::{PeerId, Seat, WorkerId, Workers},
    l2::flow_hash::FlowHash,
    rng::{Entropy, SeededEntropy},
    shard::Shard,
    status::{Handover, PeerStatus},
    time::{Span, Time, WallClock},
    wire::header::TransportHeader,
};

use super::{SHORT, Setup, mail::Mail, steps::What};

/// One life of the process on a host.
pub(super) struct Life {
    pub(super) number: u32,
    pub(super) workers: Workers,
    /// One for each worker.
    pub(super) shards: Vec<Shard>,
    pub(super) mail: Mail,
    handshaker: Handshaker,
    /// How often another peer has got the slot, where one has.
    generations: BTreeMap<PeerId, u16>,
}

/// A host.
pub(super) struct Node {
    key: PrivateKey,
    workers: Workers,
    /// These two as the hosts were set up.
    heartbeats_apart_ms: u16,
    handshakes_waiting: usize,
    life: Option<Life>,
    lives: u32,
    /// By worker: since when it stands still, what has come for it meanwhile, and when it is to be woken.
    turns: Vec<Turn>,
    /// Times that it has been woken because something was due.
    pub(super) wakes: u64,
    /// Bit by network: its process believes that the address or carrier is gone.
    pub(super) sockets_down: u8,
    /// How wrong its wall clock is, in seconds.
    pub(super) wall_offset: i64,
}

#[derive(Default)]
struct Turn {
    paused: Option<Time>,
    kept: Vec<What>,
    wake_at: Option<Time>,
}

impl Life {
    /// The shard that owns a peer.
    pub(super) fn shard_of(&self, peer: usize) -> &Shard {
        &self.shards[self.workers.owner(PeerId(peer as u16)).index()]
    }

    pub(super) fn shard_of_mut(&mut self, peer: usize) -> &mut Shard {
        &mut self.shards[self.workers.owner(PeerId(peer as u16)).index()]
    }

    pub(super) fn peer_status(&self, peer: usize) -> Option<PeerStatus> {
        self.shard_of(peer).peer_status(PeerId(peer as u16))
    }

    /// All peers in ascending order.
    pub(super) fn peers(&self) -> Vec<PeerStatus> {
        let pages = self.shards.iter().map(|s| s.peers_page(PeerId(0), usize::MAX).0);
        let mut peers: Vec<PeerStatus> = pages.flatten().collect();
        peers.sort_by_key(|p| p.peer);
        peers
    }

    pub(super) fn peer_count(&self) -> usize {
        self.shards
            .iter()
            .map(|s| s.interface_status().peers as usize)
            .sum()
    }

    pub(super) fn drops(&self, reason: DropReason) -> u64 {
        self.shards
            .iter()
            .map(|s| s.interface_status().drops.get(reason))
            .sum()
    }

    /// What the workers have handed over, and what they have taken: packets in frames and datagrams.
    pub(super) fn handover(&self) -> [[u64; 2]; 2] {
        let packets = |h: Handover| [h.frames.packets, h.datagrams.packets];
        let sum = |a: [u64; 2], b: [u64; 2]| [a[0] + b[0], a[1] + b[1]];
        let status = self.shards.iter().map(Shard::interface_status);
        status.fold([[0; 2]; 2], |[handed, taken], s| {
            [sum(handed, packets(s.handed)), sum(taken, packets(s.taken))]
        })
    }

    /// First every worker gets the port, then the owner the peer.
    pub(super) fn set_peer(&mut self, now: Time, id: PeerId, config: &PeerConfig) {
        let generation = self.generations.get(&id).copied().unwrap_or_default();
        for shard in &mut self.shards {
            shard
                .set_port(now, id, &config.port(generation))
                .expect("no static addresses");
        }
        self.shard_of_mut(usize::from(id.0))
            .enter(now, id, config.clone().into());
    }

    /// The other way round. Whoever gets the slot then is another peer.
    pub(super) fn remove_peer(&mut self, now: Time, id: PeerId) {
        self.shard_of_mut(usize::from(id.0)).leave(now, id);
        self.shards
            .iter_mut()
            .for_each(|shard| shard.remove_port(now, id));
        *self.generations.entry(id).or_default() += 1;
    }

    /// The worker whose socket the kernel puts a datagram on: the owner of its session, or for what has none any.
    pub(super) fn steer(&self, datagram: &[u8], port: u16) -> WorkerId {
        let owner = TransportHeader::parse(datagram)
            .ok()
            .and_then(|h| self.workers.of(h.receiver));
        owner.unwrap_or(WorkerId((port % u16::from(self.workers.get())) as u8))
    }

    /// The worker that reads a frame from its queue of the TAP: all frames of a flow the same.
    pub(super) fn queue_of(&self, frame: &[u8]) -> WorkerId {
        let hash = FlowHash::new([u64::from(self.number), 1]).hash(frame);
        WorkerId((hash % u64::from(self.workers.get())) as u8)
    }
}

impl Node {
    pub(super) fn new(rng: &mut dyn Entropy, setup: &Setup) -> Self {
        let (key, workers) = (PrivateKey::generate(rng), setup.workers);
        Self {
            key,
            workers,
            heartbeats_apart_ms: setup.heartbeats_apart_ms,
            handshakes_waiting: setup.handshakes_waiting,
            life: None,
            lives: 0,
            turns: workers.all().map(|_| Turn::default()).collect(),
            wakes: 0,
            sockets_down: 0,
            wall_offset: 0,
        }
    }

    pub(super) fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    pub(super) fn life(&self) -> Option<&Life> {
        self.life.as_ref()
    }

    pub(super) fn life_mut(&mut self) -> Option<&mut Life> {
        self.life.as_mut()
    }

    pub(super) fn start(&mut self, now: Time, seed: [u8; 32]) {
        self.kill();
        self.lives += 1;
        let mut rng = SeededEntropy::new(seed);
        let instance = rng.next_u64();
        let mut suites = SuiteSet::of(Suite::ChaCha20Poly1305);
        if rng.below(2) == 1 {
            suites = suites.with(Suite::Aes256Gcm);
        }
        let partial_checksums = instance & 1 == 1;
        let mut other_seed = [0; 32];
        rng.fill(&mut other_seed);
        let config = InterfaceConfig {
            private_key: self.key.clone(),
            instance,
            suites,
            mac_ageing: Span::from_secs(300),
            tap_mtu: TapMtu::Fixed(1500),
            mtu_policy: MtuPolicy::default(),
            max_frame: 1514,
        };
        let workers = self.workers;
        let handshaker = Handshaker::new(
            HandshakerConfig {
                private_key: self.key.clone(),
                instance,
                suites,
                partial_checksums,
                lanes_max: 1,
                hb_min_ms: self.heartbeats_apart_ms,
                workers,
            },
            Box::new(SeededEntropy::new(other_seed)),
        );
        // The first one has what is left when the others have had theirs: alone it has what it always had.
        let mut entropies: Vec<SeededEntropy> = (1..workers.get())
            .map(|_| {
                let mut seed = [0; 32];
                rng.fill(&mut seed);
                SeededEntropy::new(seed)
            })
            .collect();
        entropies.insert(0, rng);
        let shards = workers.all().zip(entropies).map(|(me, entropy)| {
            let seat = Seat { me, workers };
            Shard::with_seat(&config, Box::new(entropy), now, seat)
        });
        self.life = Some(Life {
            number: self.lives,
            workers,
            shards: shards.collect(),
            mail: Mail::default(),
            handshaker,
            generations: BTreeMap::new(),
        });
    }

    pub(super) fn set_peer(&mut self, now: Time, id: PeerId, config: &PeerConfig) {
        self.life
            .as_mut()
            .expect("the node runs")
            .set_peer(now, id, config);
    }

    pub(super) fn kill(&mut self) {
        self.life = None;
        self.sockets_down = 0;
        self.turns.iter_mut().for_each(|turn| *turn = Turn::default());
    }

    pub(super) fn pause(&mut self, now: Time, worker: WorkerId) {
        self.turns[worker.index()].paused.get_or_insert(now);
    }

    /// Whether any worker stands still.
    pub(super) fn is_paused(&self) -> bool {
        self.turns.iter().any(|turn| turn.paused.is_some())
    }

    pub(super) fn stands_still(&self, worker: WorkerId) -> bool {
        self.turns[worker.index()].paused.is_some()
    }

    pub(super) fn keep(&mut self, worker: WorkerId, what: What) {
        let kept = &mut self.turns[worker.index()].kept;
        // A socket buffer holds this much. Of mail there is only so much.
        if kept.len() < 10_000 || matches!(what, What::News { .. } | What::Parcel { .. }) {
            kept.push(what);
        }
    }

    pub(super) fn resume(&mut self, now: Time, worker: WorkerId) -> (Vec<What>, Span) {
        let turn = &mut self.turns[worker.index()];
        let gap = turn.paused.take().map_or(Span::ZERO, |since| now.since(since));
        turn.wake_at = None;
        (std::mem::take(&mut turn.kept), gap)
    }

    /// When a worker is to be woken.
    pub(super) fn wake_at(&mut self, worker: WorkerId) -> &mut Option<Time> {
        &mut self.turns[worker.index()].wake_at
    }

    pub(super) fn handshake(&mut self, now: Time, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        let seconds = 1_800_000_000 + (now.as_nanos() / 1_000_000_000) as i64 + self.wall_offset;
        let wall = WallClock::from_unix(seconds, (now.as_nanos() % 1_000_000_000) as u32);
        if let Some(life) = self.life.as_mut() {
            life.handshaker
                .handle(now, wall, self.handshakes_waiting, input, &mut out);
        }
        out
    }
}

/// The frame with this number, of `size` bytes.
pub(super) fn frame(from: usize, to: usize, number: u64, size: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(size);
    frame.extend_from_slice(&[2, 0, 0, 0, 0, to as u8]);
    frame.extend_from_slice(&[2, 0, 0, 0, 0, from as u8]);
    frame.extend_from_slice(&[0x88, 0xb5]);
    frame.extend_from_slice(&number.to_le_bytes());
    frame.resize(size, 0xa5);
    frame
}

/// A gratuitous ARP request (RFC 5944, 4.6) of a station, to all.
pub(super) fn announcement(station: u64) -> Vec<u8> {
    let [a, b, c, d, ..] = station.to_le_bytes();
    let (mac, address) = ([2, a, b, c, d, 1], [10, a, b, c]);
    let mut frame = [0xff; 6].to_vec();
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&address);
    frame.extend_from_slice(&[0; 6]);
    frame.extend_from_slice(&address);
    frame.resize(SHORT, 0);
    frame
}

/// Destination, source and number of a frame.
pub(super) fn read_frame(frame: &[u8]) -> (usize, usize, u64) {
    let number = frame[14..22]
        .try_into()
        .map(u64::from_le_bytes)
        .expect("eight bytes");
    (usize::from(frame[5]), usize::from(frame[11]), number)
}
