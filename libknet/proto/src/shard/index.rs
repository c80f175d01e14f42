//! Receiver indices: which peer a received datagram belongs to.

use core::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;

use crate::ids::{PeerId, ReceiverIndex};

/// Index to peer. We choose the indices at random, so they need no hashing against an attacker.
#[derive(Debug, Default)]
pub(super) struct IndexTable(HashMap<u32, PeerId, BuildHasherDefault<IndexHasher>>);

impl IndexTable {
    pub(super) fn insert(&mut self, index: ReceiverIndex, peer: PeerId) {
        self.0.insert(index.0, peer);
    }

    pub(super) fn remove(&mut self, index: ReceiverIndex) {
        self.0.remove(&index.0);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, index: ReceiverIndex) -> Option<PeerId> {
        self.0.get(&index.0).copied()
    }
}

/// Spreads 32 random bits over 64 (Fibonacci hashing).
#[derive(Default)]
struct IndexHasher(u64);

impl Hasher for IndexHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.write_u32(u32::from(*b) ^ self.0 as u32);
        }
    }

    fn write_u32(&mut self, n: u32) {
        self.0 = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
