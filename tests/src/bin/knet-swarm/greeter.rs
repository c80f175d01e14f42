//! The key exchange of all peers. Each has its own [`Handshaker`], made when it wants a session and forgotten when that
//! is done: most peers have none most of the time.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet, VecDeque},
};

use knet_proto::{
    config::{Credential, PresharedKey, PrivateKey, PublicKey},
    handshake::{
        Handshaker, HandshakerConfig,
        message::{Input, NewSession, Output, SuiteSet},
    },
    ids::{PeerId, Workers},
    path::Path,
    time::{Span, Time, WallClock},
};
use libknet::OsEntropy;

use crate::network;

/// After this time without a word a key exchange is forgotten: the core tries again sooner, and then needs its cookies.
const FORGET_AFTER: Span = Span::from_secs(20);
/// And after this time once there is a session: what else is on its way may still be of use.
const KEEP_DONE: Span = Span::from_secs(1);
/// The hub, as each handshaker knows it.
const HUB: PeerId = PeerId(0);

/// Who one of the peers is.
pub(crate) struct Identity {
    /// Its static key.
    pub(crate) key: PrivateKey,
    /// Names its present life: it has lost its state in between.
    pub(crate) instance: u64,
    /// What it presents.
    pub(crate) credential: Option<Credential>,
}

/// Something that leaves the greeter.
pub(crate) enum Done {
    /// A datagram of this peer.
    Transmit(Path, Vec<u8>),
    /// A session of the peer that it names.
    Session(Box<NewSession>),
}

/// The key exchanges under way.
pub(crate) struct Greeter {
    hub: PublicKey,
    suites: SuiteSet,
    engaged: HashMap<u16, Engaged>,
    /// Those that may be forgotten, and when; many are in it several times.
    order: BinaryHeap<Reverse<(Time, u16)>>,
    answers: VecDeque<(u16, Path, Vec<u8>)>,
    starts: VecDeque<(u16, Vec<Path>)>,
    /// Whose start waits already.
    waiting: HashSet<u16>,
    /// Indices by which we know our sessions. Each handshaker draws its own and knows only those.
    indices: HashSet<u32>,
    outputs: Vec<Output>,
    stands_still: Option<Time>,
    /// How far the clock of all key exchanges is behind.
    behind: Span,
    /// First messages sent, each time they were not answered in time one more.
    pub(crate) attempts: u64,
    /// Answers that were refused.
    pub(crate) refused: u64,
}

struct Engaged {
    handshaker: Box<Handshaker>,
    until: Time,
}

impl Greeter {
    /// Nobody is greeted yet.
    pub(crate) fn new(hub: PublicKey, suites: SuiteSet) -> Self {
        Self {
            hub,
            suites,
            engaged: HashMap::new(),
            order: BinaryHeap::new(),
            answers: VecDeque::new(),
            starts: VecDeque::new(),
            waiting: HashSet::new(),
            indices: HashSet::new(),
            outputs: Vec::new(),
            stands_still: None,
            behind: Span::ZERO,
            attempts: 0,
            refused: 0,
        }
    }

    /// Peer `number` makes its first message before it sends one: what it then sends is ready. From the first of these
    /// calls to [`Self::begin`] the clock of all key exchanges stands still.
    pub(crate) fn prepare(
        &mut self,
        number: u16,
        paths: Vec<Path>,
        wall: WallClock,
        identity: &Identity,
        now: Time,
    ) {
        let made = *self.stands_still.get_or_insert(now);
        let mut engaged = Engaged::new(identity, self.hub, self.suites);
        let start = start(number, paths);
        engaged.handshaker.handle(made, wall, 0, start, &mut Vec::new());
        engaged.until = made + FORGET_AFTER;
        self.order.push(Reverse((engaged.until, number)));
        self.engaged.insert(number, engaged);
    }

    /// What was prepared is as if it had been made now.
    pub(crate) fn begin(&mut self, now: Time) {
        if let Some(made) = self.stands_still.take() {
            self.behind = now.since(made);
        }
    }

    /// What the shard wants. Peers are configured by their identities, not by this.
    pub(crate) fn take(&mut self, input: Input) {
        match input {
            Input::Start { peer, paths } if self.waiting.insert(peer.0) => {
                self.starts.push_back((peer.0, paths));
            }
            Input::Datagram { path, bytes } => {
                let local = match path.local {
                    Some(std::net::IpAddr::V4(local)) => network::peer_at(local),
                    _ => None,
                };
                // What comes for nobody is an answer to a stranger.
                if let Some(peer) = local {
                    self.answers.push_back((peer, path, bytes));
                }
            }
            Input::RemovePeer(peer) => {
                self.engaged.remove(&peer.0);
            }
            Input::Release(index) => {
                self.indices.remove(&index.0);
            }
            Input::Start { .. } | Input::SetPeer { .. } | Input::TakeCredentials(_) => {}
        }
    }

    /// Whether a key exchange of this peer is under way.
    pub(crate) fn is_engaged(&self, number: u16) -> bool {
        self.engaged.contains_key(&number)
    }

    /// Whether there is something to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.answers.is_empty() && self.starts.is_empty()
    }

    /// Does one piece of work, answers before new beginnings, and appends what comes of it.
    pub(crate) fn step(&mut self, now: Time, wall: WallClock, identities: &[Identity], done: &mut Vec<Done>) {
        let now = now - self.behind;
        let (peer, input) = if let Some((peer, path, bytes)) = self.answers.pop_front() {
            if !self.engaged.contains_key(&peer) {
                return;
            }
            (peer, Input::Datagram { path, bytes })
        } else if let Some((peer, paths)) = self.starts.pop_front() {
            if !self.waiting.remove(&peer) {
                // It has got a session since.
                return;
            }
            self.attempts += 1;
            (peer, start(peer, paths))
        } else {
            return;
        };
        let Some(identity) = identities.get(usize::from(peer)) else {
            return;
        };
        let engaged = self
            .engaged
            .entry(peer)
            .or_insert_with(|| Engaged::new(identity, self.hub, self.suites));
        engaged.until = now + FORGET_AFTER;
        self.order.push(Reverse((engaged.until, peer)));
        engaged.handshaker.handle(now, wall, 0, input, &mut self.outputs);
        for output in self.outputs.drain(..) {
            match output {
                Output::Transmit { path, bytes, .. } => done.push(Done::Transmit(path, bytes)),
                // Two peers may have drawn the same index: the second one tries again.
                Output::Session(mut session) => {
                    if self.indices.insert(session.our_index.0) {
                        // On a machine of its own the peer would not have had to wait with that until now.
                        self.waiting.remove(&peer);
                        engaged.until = now + KEEP_DONE;
                        self.order.push(Reverse((engaged.until, peer)));
                        session.peer = PeerId(peer);
                        done.push(Done::Session(session));
                    }
                }
                Output::Credential(_) | Output::Dropped(_) => self.refused += 1,
            }
        }
    }

    /// Forgets key exchanges that came to nothing, or are over.
    pub(crate) fn expire(&mut self, now: Time) {
        let now = now - self.behind;
        while let Some(Reverse((until, peer))) = self.order.peek().copied() {
            if until > now {
                break;
            }
            self.order.pop();
            if self.engaged.get(&peer).is_some_and(|e| e.until <= now) {
                self.engaged.remove(&peer);
            }
        }
    }
}

/// Peer `number` wants a session, along these paths from its own address.
fn start(number: u16, mut paths: Vec<Path>) -> Input {
    for path in &mut paths {
        path.local = Some(network::peer(number).into());
    }
    Input::Start { peer: HUB, paths }
}

impl Engaged {
    fn new(identity: &Identity, hub: PublicKey, suites: SuiteSet) -> Self {
        let mut handshaker = Handshaker::new(
            HandshakerConfig {
                private_key: identity.key.clone(),
                instance: identity.instance,
                suites,
                partial_checksums: false,
                lanes_max: 1,
                hb_min_ms: 0,
                workers: Workers::ONE,
            },
            Box::new(OsEntropy),
        );
        let set = Input::SetPeer {
            peer: HUB,
            public_key: hub,
            preshared_key: PresharedKey::default(),
            credential: identity.credential.clone(),
        };
        handshaker.handle(Time::ZERO, WallClock::default(), 0, set, &mut Vec::new());
        Self {
            handshaker: Box::new(handshaker),
            until: Time::ZERO,
        }
    }
}
