//! What the data path ([`crate::shard`]) and the [`super::Handshaker`] say to each other.
//!
//! The handshaker has no sockets and no retry timers: the peer that wants a session asks again (with a fresh
//! ephemeral key each time), and every datagram leaves through the data path. Keys are always installed
//! *before* the message that lets the other side use them leaves: an [`Output::Session`] carries the answer
//! to send along with the keys.

use alloc::{boxed::Box, vec::Vec};
use core::net::SocketAddr;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::credential::Presented;
use crate::{
    config::{Credential, PeerConfig, PresharedKey, PublicKey},
    crypto::Secret,
    drop_reason::DropReason,
    ids::{PeerId, ReceiverIndex, WorkerId, Workers},
    path::Path,
};

/// What goes into the handshaker.
#[derive(Debug)]
pub enum Input {
    /// A peer was added, or its keys changed.
    SetPeer {
        /// Its slot.
        peer: PeerId,
        /// Its identity.
        public_key: PublicKey,
        /// The shared key, or zeros.
        preshared_key: PresharedKey,
        /// What we present to it.
        credential: Option<Credential>,
    },
    /// Whether strangers are told of that present a credential. At first they are not.
    TakeCredentials(bool),
    /// A peer was removed or shut down: everything about it is erased. The indices of its sessions are still
    /// in use until each is released.
    RemovePeer(PeerId),
    /// Begin a handshake with this peer now, over all of these paths. Sent again for each retry; an older
    /// attempt that is still unanswered stays valid until it is 8 s old or two newer ones exist.
    Start {
        /// Whom to greet.
        peer: PeerId,
        /// Where it may be reached.
        paths: Vec<Path>,
    },
    /// A datagram whose first byte says that it is a handshake message (types 1, 2, 3, 7, 8).
    Datagram {
        /// Where it came from.
        path: Path,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// The session of this receive index is gone. The index rests for 540 s before it is used again.
    Release(ReceiverIndex),
}

impl Input {
    /// A peer was added or changed to this.
    pub fn set_peer(peer: PeerId, config: &PeerConfig) -> Self {
        Self::SetPeer {
            peer,
            public_key: config.public_key,
            preshared_key: config.preshared_key.clone(),
            credential: config.credential.clone(),
        }
    }
}

/// What comes out of the handshaker.
#[derive(Debug)]
pub enum Output {
    /// Send this datagram.
    Transmit {
        /// Whom it is for: it leaves through the owner of that peer, behind the keys that it may permit to use. `None`:
        /// a stranger.
        peer: Option<PeerId>,
        /// Along this path.
        path: Path,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// A handshake is complete: install the session, then send `reply`. Whoever does not install it releases
    /// its `our_index`.
    Session(Box<NewSession>),
    /// A credential was presented: by a stranger, who is not answered, or for the first time by a peer.
    Credential(Box<Presented>),
    /// A datagram was refused; to be counted.
    Dropped(DropReason),
}

impl Output {
    /// The worker that this is for, if `from` brought the input.
    pub fn route(&self, from: WorkerId, workers: Workers) -> WorkerId {
        let peer = match self {
            Self::Transmit { peer, .. } => *peer,
            Self::Session(session) => Some(session.peer),
            Self::Credential(_) | Self::Dropped(_) => None,
        };
        peer.map_or(from, |peer| workers.owner(peer))
    }
}

/// Which side of the handshake we were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We sent the first message: we may send data at once, and we keep the session's time.
    Initiator,
    /// We answered: we send no data before the first transport packet of the other side (key confirmation).
    Responder,
}

/// The AEAD of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305,
    /// AES-256-GCM (NIST SP 800-38D).
    Aes256Gcm,
}

impl Suite {
    /// Its number on the wire, one bit, so that a set of suites is the sum of their numbers.
    pub const fn code(self) -> u8 {
        match self {
            Self::ChaCha20Poly1305 => 1,
            Self::Aes256Gcm => 2,
        }
    }

    /// The suite of this number.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::ChaCha20Poly1305),
            2 => Some(Self::Aes256Gcm),
            _ => None,
        }
    }
}

/// A set of AEADs, not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuiteSet(u8);

impl SuiteSet {
    /// The set of one suite.
    pub const fn of(suite: Suite) -> Self {
        Self(suite.code())
    }

    /// This set and `suite`.
    #[must_use]
    pub const fn with(self, suite: Suite) -> Self {
        Self(self.0 | suite.code())
    }

    /// Whether `suite` is in it.
    pub const fn contains(self, suite: Suite) -> bool {
        self.0 & suite.code() != 0
    }

    /// The set of these bits of the wire, the codes of its suites added up.
    pub(crate) fn from_bits(bits: u8) -> Option<Self> {
        const ALL: u8 = Suite::ChaCha20Poly1305.code() | Suite::Aes256Gcm.code();
        (bits != 0 && bits & !ALL == 0).then_some(Self(bits))
    }

    /// Its bits on the wire.
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }
}

/// The secrets of one direction of a session.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DirectionKey {
    /// The AEAD key.
    pub key: Secret,
    /// XORed into every nonce.
    pub iv: [u8; 12],
}

impl core::fmt::Debug for DirectionKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("DirectionKey(..)")
    }
}

/// A session fresh from the handshake.
#[derive(Debug)]
pub struct NewSession {
    /// With whom.
    pub peer: PeerId,
    /// Which side we were.
    pub role: Role,
    /// What we put into the header of what we send.
    pub their_index: ReceiverIndex,
    /// What arrives in the header of what we receive.
    pub our_index: ReceiverIndex,
    /// The AEAD chosen by the responder.
    pub suite: Suite,
    /// Lanes agreed on, 1..=16. This build offers 1.
    pub lanes: u8,
    /// DATA may hold frames with partial checksums, in both directions.
    pub partial_checksums: bool,
    /// The wire version agreed on.
    pub version: u8,
    /// The peer's instance number: another than last time says that it has restarted.
    pub peer_instance: u64,
    /// For what we seal.
    pub send: DirectionKey,
    /// For what we open.
    pub receive: DirectionKey,
    /// The path on which the message that completed the handshake arrived. For the initiator this path is
    /// proven to work both ways.
    pub path: Path,
    /// That message carried a cookie of ours: whoever sent it receives at the remote address of `path` (responder only).
    pub proven: bool,
    /// The shortest heartbeat interval that the responder wishes for, in ms (initiator only, else 0).
    pub hb_min_ms: u16,
    /// Our own address as the responder saw it (initiator only).
    pub observed: Option<SocketAddr>,
    /// To be sent after the keys are installed, and not before (responder: the `HS_RESP`).
    pub reply: Option<(Path, Vec<u8>)>,
}
