//! Credentials: what a first message carries besides, so that a host that does not know its sender may come to know it.
//!
//! What they mean is for others to judge ([`Presented`]): here they are bytes. That a stranger is told of costs two
//! exchanges and somebody's attention, and so there are bounds for all of them together, besides those for each source.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use core::net::SocketAddr;

use crate::{
    config::PublicKey,
    crypto::hash::{MAC_LEN, mac},
    ids::PeerId,
    time::{Span, Time},
    token_bucket::{Rate, TokenBucket},
};

/// Credentials of strangers that are told of: so many of all of them together. Where many come at once they come in waves, as
/// often as they try again.
pub const TOLD: Rate = Rate::new(2_000, 1_024);
/// A first message of a stranger is told of once in this span, however many copies of it come.
const TOLD_FOR: Span = Span::from_secs(5);

/// A credential that was presented, by somebody who has the private key of `public_key`, or by somebody who repeats what
/// that one has said.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    /// Who presents it.
    pub public_key: PublicKey,
    /// Which peer that is; `None`: a stranger.
    pub peer: Option<PeerId>,
    /// All of it, 1..=512 bytes.
    pub credential: Vec<u8>,
    /// Where it came from.
    pub remote: SocketAddr,
}

impl core::fmt::Debug for Presented {
    // There may be a secret in it.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Presented")
            .field("public_key", &self.public_key)
            .field("peer", &self.peer)
            .field("length", &self.credential.len())
            .field("remote", &self.remote)
            .finish()
    }
}

/// Stands for a credential.
pub(super) type Digest = [u8; MAC_LEN];

pub(super) fn digest(credential: &[u8]) -> Digest {
    mac(b"credential-kn1", &[credential])
}

/// What was told of strangers lately. Bounded by the rate at which that is done.
#[derive(Default)]
pub(super) struct Told {
    rate: TokenBucket,
    /// Who they were, by the ephemeral keys of their messages.
    by_ephemeral: BTreeMap<[u8; 32], PublicKey>,
    order: VecDeque<(Time, [u8; 32])>,
}

impl Told {
    /// Whether one more may be told of now.
    pub(super) fn may_tell(&mut self, now: Time) -> bool {
        self.rate.take(TOLD, now, 1)
    }

    /// Who is known to have sent the message with this ephemeral key.
    pub(super) fn sender(&self, ephemeral: &[u8; 32]) -> Option<&PublicKey> {
        self.by_ephemeral.get(ephemeral)
    }

    pub(super) fn insert(&mut self, ephemeral: [u8; 32], sender: PublicKey, now: Time) {
        self.by_ephemeral.insert(ephemeral, sender);
        self.order.push_back((now + TOLD_FOR, ephemeral));
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_ephemeral.len().max(self.order.len())
    }

    pub(super) fn expire(&mut self, now: Time) {
        while let Some((until, ephemeral)) = self.order.front().copied() {
            if until > now {
                break;
            }
            self.order.pop_front();
            self.by_ephemeral.remove(&ephemeral);
        }
    }
}
