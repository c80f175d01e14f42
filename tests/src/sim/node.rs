//! One simulated host: a shard and a handshaker, alive or not.

use knet_proto::{
    config::{InterfaceConfig, MtuPolicy, PeerConfig, PrivateKey, PublicKey, TapMtu},
    handshake::{
        Handshaker, HandshakerConfig,
        message::{Input, Output, Suite, SuiteSet},
    },
    ids::{PeerId, Workers},
    rng::{Entropy, SeededEntropy},
    shard::Shard,
    time::{Span, Time, WallClock},
};

use super::steps::What;

/// One life of the process on a host.
pub(super) struct Life {
    pub(super) number: u32,
    pub(super) shard: Shard,
    handshaker: Handshaker,
}

/// A host.
pub(super) struct Node {
    key: PrivateKey,
    life: Option<Life>,
    lives: u32,
    paused: Option<Time>,
    kept: Vec<What>,
    pub(super) wake_at: Option<Time>,
    /// Times that it has been woken because something was due.
    pub(super) wakes: u64,
    /// Bit by network: its process believes that the address or carrier is gone.
    pub(super) sockets_down: u8,
    /// How wrong its wall clock is, in seconds.
    pub(super) wall_offset: i64,
}

impl Node {
    pub(super) fn new(rng: &mut dyn Entropy) -> Self {
        let key = PrivateKey::generate(rng);
        Self {
            key,
            life: None,
            lives: 0,
            paused: None,
            kept: Vec::new(),
            wake_at: None,
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
        let handshaker = Handshaker::new(
            HandshakerConfig {
                private_key: self.key.clone(),
                instance,
                suites,
                partial_checksums,
                lanes_max: 1,
                hb_min_ms: 0,
                workers: Workers::ONE,
            },
            Box::new(SeededEntropy::new(other_seed)),
        );
        self.life = Some(Life {
            number: self.lives,
            shard: Shard::new(&config, Box::new(rng), now),
            handshaker,
        });
    }

    pub(super) fn set_peer(&mut self, now: Time, id: PeerId, config: PeerConfig) {
        let life = self.life.as_mut().expect("the node runs");
        life.shard.set_peer(now, id, config).expect("no static addresses");
    }

    pub(super) fn kill(&mut self) {
        self.life = None;
        self.wake_at = None;
        self.sockets_down = 0;
        self.kept.clear();
        self.paused = None;
    }

    pub(super) fn pause(&mut self, now: Time) {
        self.paused.get_or_insert(now);
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    pub(super) fn keep(&mut self, what: What) {
        // A socket buffer holds this much.
        if self.kept.len() < 10_000 {
            self.kept.push(what);
        }
    }

    pub(super) fn resume(&mut self, now: Time) -> (Vec<What>, Span) {
        let gap = self.paused.take().map_or(Span::ZERO, |since| now.since(since));
        self.wake_at = None;
        (std::mem::take(&mut self.kept), gap)
    }

    pub(super) fn handshake(&mut self, now: Time, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        let seconds = 1_800_000_000 + (now.as_nanos() / 1_000_000_000) as i64 + self.wall_offset;
        let wall = WallClock::from_unix(seconds, (now.as_nanos() % 1_000_000_000) as u32);
        if let Some(life) = self.life.as_mut() {
            life.handshaker.handle(now, wall, 0, input, &mut out);
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

/// Destination, source and number of a frame.
pub(super) fn read_frame(frame: &[u8]) -> (usize, usize, u64) {
    let number = frame[14..22]
        .try_into()
        .map(u64::from_le_bytes)
        .expect("eight bytes");
    (usize::from(frame[5]), usize::from(frame[11]), number)
}
