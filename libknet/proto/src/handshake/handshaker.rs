//! The machine of the handshake thread: who our peers are, and what arrives for whom.
//!
//! The side that begins is in `initiator`, the side that answers in `responder`.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::net::SocketAddr;

use super::{
    cookie::{Cookie, CookieMint, Mac1Key, ReplySeal},
    credential::{Digest, Told},
    freshness::{EchoMint, Freshness},
    index_allocator::IndexAllocator,
    initiator::Attempts,
    message::{Input, Output, SuiteSet},
    rate_limit::SourceLimiter,
    responder::Answers,
};
use crate::{
    config::{Credential, PresharedKey, PrivateKey, PublicKey},
    crypto::dh::{KeyError, SharedSecret},
    drop_reason::DropReason,
    ids::{PeerId, ReceiverIndex, SocketId, Workers},
    path::Path,
    rng::Entropy,
    time::{Span, Time, WallClock},
    token_bucket::TokenBucket,
    wire::{
        handshake_message::PARTIAL_CHECKSUMS,
        header::{MessageType, classify},
    },
};

/// From so many waiting handshake messages on, cookies are demanded (limits: row 6).
pub const COOKIES_FROM: usize = 128;
/// ... and for so long after.
const COOKIES_STICKY: Span = Span::from_secs(1);

/// What the key exchange of one interface has to know.
#[derive(Clone, Debug)]
pub struct HandshakerConfig {
    /// The interface's static key.
    pub private_key: PrivateKey,
    /// Random, different at each start: tells peers that we have lost our state.
    pub instance: u64,
    /// The AEADs offered.
    pub suites: SuiteSet,
    /// Whether frames may come with partial checksums, for the TAP to finish.
    pub partial_checksums: bool,
    /// Most lanes per session, 1..=16; brought into that range.
    pub lanes_max: u8,
    /// The shortest interval between heartbeats that peers are asked to keep, in ms; 0: no wish.
    pub hb_min_ms: u16,
    /// The data workers among which sessions are shared out.
    pub workers: Workers,
}

/// The key exchange of one interface with all its peers.
///
/// Sans-IO: [`Self::handle`] takes what has happened and appends what is to be done. It has no timers; what
/// has to end in time ends at the next call, or at [`Self::expire`].
pub struct Handshaker {
    pub(super) own: Own,
    pub(super) entropy: Box<dyn Entropy>,
    /// In boxes, because a tree is full to two thirds.
    pub(super) peers: BTreeMap<PeerId, Box<Peer>>,
    pub(super) by_key: BTreeMap<PublicKey, PeerId>,
    pub(super) indices: IndexAllocator,
    pub(super) attempts: Attempts,
    pub(super) answers: Answers,
    /// Whether strangers with credentials are told of.
    pub(super) takes_credentials: bool,
    pub(super) told: Told,
    pub(super) sources: SourceLimiter,
    pub(super) cookies: CookieMint,
    pub(super) echoes: EchoMint,
    /// Cookies are demanded until then.
    pub(super) cookies_until: Time,
    /// All COOKIEs and RETRYs.
    pub(super) replies: TokenBucket,
    /// All first messages that cost a Diffie-Hellman exchange.
    pub(super) exchanges: TokenBucket,
    /// The time stamp of our latest first message.
    pub(super) last_timestamp: WallClock,
}

/// What is ours and does not change.
pub(super) struct Own {
    pub(super) private_key: PrivateKey,
    pub(super) public_key: PublicKey,
    pub(super) mac1: Mac1Key,
    pub(super) seal: ReplySeal,
    pub(super) instance: u64,
    pub(super) suites: SuiteSet,
    /// Bits of the wire.
    pub(super) capabilities: u32,
    pub(super) lanes_max: u8,
    pub(super) hb_min_ms: u16,
}

/// What is known of a peer.
pub(super) struct Peer {
    pub(super) public_key: PublicKey,
    pub(super) preshared_key: PresharedKey,
    /// What we present to it.
    pub(super) credential: Option<Credential>,
    /// What it has presented last, and was told of.
    pub(super) presented: Option<Digest>,
    /// The secret of both static keys; made when first needed, then kept.
    static_static: Option<SharedSecret>,
    pub(super) freshness: Freshness,
    /// First messages accepted from it.
    pub(super) accepted: TokenBucket,
    /// RETRYs sent to it.
    pub(super) retries: TokenBucket,
    /// RETRYs from it that were followed.
    pub(super) echoes: TokenBucket,
    /// Our first messages that may still be answered, the oldest first.
    pub(super) attempts: Vec<ReceiverIndex>,
    /// Cookies that it gave us, the oldest first.
    pub(super) cookies: Vec<StoredCookie>,
}

/// A cookie that we were given: good for messages that leave through this socket for this address.
pub(super) struct StoredCookie {
    pub(super) socket: SocketId,
    pub(super) remote: SocketAddr,
    pub(super) cookie: Cookie,
    pub(super) until: Time,
}

impl Peer {
    fn new(public_key: PublicKey, preshared_key: PresharedKey, credential: Option<Credential>) -> Self {
        Self {
            public_key,
            preshared_key,
            credential,
            presented: None,
            static_static: None,
            freshness: Freshness::default(),
            accepted: TokenBucket::FULL,
            retries: TokenBucket::FULL,
            echoes: TokenBucket::FULL,
            attempts: Vec::new(),
            cookies: Vec::new(),
        }
    }

    pub(super) fn static_static(&mut self, own: &PrivateKey) -> Result<&SharedSecret, KeyError> {
        match &mut self.static_static {
            Some(shared) => Ok(shared),
            none => Ok(none.insert(own.shared(&self.public_key)?)),
        }
    }
}

impl Handshaker {
    /// A key exchange without peers.
    pub fn new(config: HandshakerConfig, mut entropy: Box<dyn Entropy>) -> Self {
        let public_key = config.private_key.public_key();
        Self {
            cookies: CookieMint::new(&mut *entropy, Time::ZERO),
            echoes: EchoMint::new(&mut *entropy),
            own: Own {
                private_key: config.private_key,
                public_key,
                mac1: Mac1Key::new(&public_key),
                seal: ReplySeal::new(&public_key),
                instance: config.instance,
                suites: config.suites,
                capabilities: if config.partial_checksums {
                    PARTIAL_CHECKSUMS
                } else {
                    0
                },
                lanes_max: config.lanes_max.clamp(1, crate::wire::header::MAX_LANES),
                hb_min_ms: config.hb_min_ms,
            },
            entropy,
            peers: BTreeMap::new(),
            by_key: BTreeMap::new(),
            indices: IndexAllocator::new(config.workers),
            attempts: Attempts::default(),
            answers: Answers::default(),
            takes_credentials: false,
            told: Told::default(),
            sources: SourceLimiter::default(),
            cookies_until: Time::ZERO,
            replies: TokenBucket::FULL,
            exchanges: TokenBucket::FULL,
            last_timestamp: WallClock::from_unix(i64::MIN, 0),
        }
    }

    /// Our public key.
    pub fn public_key(&self) -> PublicKey {
        self.own.public_key
    }

    /// Takes one input at the time `now`, when the time of day is `wall` and `queue_depth` more inputs are
    /// waiting; appends to `out` what is to be done, in this order.
    pub fn handle(
        &mut self,
        now: Time,
        wall: WallClock,
        queue_depth: usize,
        input: Input,
        out: &mut Vec<Output>,
    ) {
        self.expire(now);
        if queue_depth >= COOKIES_FROM {
            self.cookies_until = now + COOKIES_STICKY;
        }
        match input {
            Input::SetPeer {
                peer,
                public_key,
                preshared_key,
                credential,
            } => {
                self.set_peer(peer, public_key, preshared_key, credential);
            }
            Input::TakeCredentials(takes) => self.takes_credentials = takes,
            Input::RemovePeer(peer) => self.remove_peer(peer),
            Input::Release(index) => self.indices.release(index, self.peers.len(), now),
            Input::Start { peer, paths } => {
                if let Err(reason) = self.begin(now, wall, peer, &paths, out) {
                    out.push(Output::Dropped(reason));
                }
            }
            Input::Datagram { path, bytes } => {
                if let Err(reason) = self.receive(now, wall, path, &bytes, out) {
                    out.push(Output::Dropped(reason));
                }
            }
        }
    }

    /// Erases what has come to its end: attempts after 8 s, cached answers after 5, cookie secrets. Every
    /// [`Self::handle`] does it too; call it once a second or so while there is no input.
    pub fn expire(&mut self, now: Time) {
        self.cookies.rotate(&mut *self.entropy, now);
        self.answers.expire(now);
        self.told.expire(now);
        self.expire_attempts(now);
    }

    fn receive(
        &mut self,
        now: Time,
        wall: WallClock,
        path: Path,
        bytes: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), DropReason> {
        match classify(bytes)? {
            MessageType::HsInit | MessageType::HsJoin => self.answer_init(now, wall, path, bytes, out),
            MessageType::HsResp => self.read_response(now, path, bytes, out),
            MessageType::Cookie => self.read_cookie(now, path, bytes),
            MessageType::Retry => self.read_retry(now, wall, path, bytes, out),
            MessageType::Data | MessageType::Ctrl | MessageType::Frag => Err(DropReason::WireType),
        }
    }

    fn set_peer(
        &mut self,
        id: PeerId,
        public_key: PublicKey,
        preshared_key: PresharedKey,
        credential: Option<Credential>,
    ) {
        match self.peers.get_mut(&id) {
            // What we know of its time stamps stays valid. What is under way may be meant for the other key.
            Some(peer) if peer.public_key == public_key => {
                let changed = peer.preshared_key != preshared_key || peer.credential != credential;
                peer.preshared_key = preshared_key;
                peer.credential = credential;
                if changed {
                    let attempts = core::mem::take(&mut peer.attempts);
                    self.give_up(attempts);
                }
            }
            _ => {
                self.remove_peer(id);
                // A key is one peer's: it moves to the slot named last.
                if let Some(other) = self.by_key.get(&public_key).copied() {
                    self.remove_peer(other);
                }
                self.by_key.insert(public_key, id);
                self.peers
                    .insert(id, Box::new(Peer::new(public_key, preshared_key, credential)));
            }
        }
    }

    fn remove_peer(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.remove(&id) {
            self.by_key.remove(&peer.public_key);
            self.give_up(peer.attempts);
        }
    }

    /// These first messages are answered no more.
    pub(super) fn give_up(&mut self, attempts: Vec<ReceiverIndex>) {
        for index in attempts {
            self.attempts.remove(index);
            self.indices.abandon(index);
        }
    }
}
