//! Receiver indices: random, unique, and not used again soon.

use alloc::collections::{BTreeSet, VecDeque};

use crate::{
    ids::ReceiverIndex,
    rng::Entropy,
    time::{Span, Time},
};

/// How long an index rests after its session is gone, so that late datagrams of that session do not meet
/// another: the age that no session key outlives.
pub const REST: Span = Span::from_secs(540);

/// Hands out receiver indices.
///
/// At most `4 * peers + 1024` are in use (limits: row 12), and at most as many again rest. Where more would
/// have to, the one that has rested longest is let go early: the chance that it is drawn next is 2^-32, and a
/// datagram that then meets the wrong session still does not decrypt.
#[derive(Default)]
pub struct IndexAllocator {
    in_use: BTreeSet<ReceiverIndex>,
    resting: BTreeSet<ReceiverIndex>,
    /// The resting ones, the one that has rested longest first.
    wake_up: VecDeque<(Time, ReceiverIndex)>,
}

impl IndexAllocator {
    /// A new index, or `None` where as many are in use as `peers` peers may have.
    pub fn allocate(&mut self, entropy: &mut dyn Entropy, peers: usize, now: Time) -> Option<ReceiverIndex> {
        self.wake(now, peers);
        if self.in_use.len() >= bound(peers) {
            return None;
        }
        // At most 2^20 of 2^32 are taken: each draw fails with a chance below 1 in 4000, and more than
        // a few draws are never needed. The bound is there for a broken source of randomness.
        (0..64)
            .map(|_| ReceiverIndex(entropy.next_u32()))
            .find(|index| !self.resting.contains(index) && self.in_use.insert(*index))
    }

    /// Takes back an index that no datagram of a session can carry, because no session came of it.
    pub fn abandon(&mut self, index: ReceiverIndex) {
        self.in_use.remove(&index);
    }

    /// Takes back the index of a session that is gone. Ignored if the index is not in use.
    pub fn release(&mut self, index: ReceiverIndex, peers: usize, now: Time) {
        if self.in_use.remove(&index) {
            self.resting.insert(index);
            self.wake_up.push_back((now + REST, index));
            self.wake(now, peers);
        }
    }

    /// How many are in use.
    pub fn in_use(&self) -> usize {
        self.in_use.len()
    }

    fn wake(&mut self, now: Time, peers: usize) {
        while let Some((until, index)) = self.wake_up.front().copied() {
            if until > now && self.wake_up.len() <= bound(peers) {
                break;
            }
            self.wake_up.pop_front();
            self.resting.remove(&index);
        }
    }
}

fn bound(peers: usize) -> usize {
    peers.saturating_mul(4).saturating_add(1024)
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;
    use crate::rng::SeededEntropy;

    fn secs(n: u64) -> Time {
        Time::ZERO + Span::from_secs(n)
    }

    /// Draws these numbers in turn, again and again.
    struct Scripted(Vec<u32>, usize);

    impl Entropy for Scripted {
        fn fill(&mut self, bytes: &mut [u8]) {
            let number = self.0[self.1 % self.0.len()];
            self.1 += 1;
            bytes.fill(0);
            bytes[..4].copy_from_slice(&number.to_le_bytes());
        }
    }

    #[test]
    fn unique_and_bounded() {
        let mut entropy = SeededEntropy::new([1; 32]);
        let mut indices = IndexAllocator::default();
        let mut seen = BTreeSet::new();
        for _ in 0..1024 + 4 * 10 {
            assert!(seen.insert(indices.allocate(&mut entropy, 10, secs(0)).unwrap()));
        }
        assert_eq!(indices.allocate(&mut entropy, 10, secs(0)), None);
        assert!(
            indices.allocate(&mut entropy, 11, secs(0)).is_some(),
            "a peer more, four indices more"
        );
        indices.abandon(*seen.first().unwrap());
        indices.abandon(*seen.last().unwrap());
        assert!(indices.allocate(&mut entropy, 10, secs(0)).is_some());
        assert_eq!(indices.in_use(), 1024 + 40);
    }

    #[test]
    fn a_released_index_rests_for_540_seconds() {
        let mut entropy = Scripted(vec![7], 0);
        let mut indices = IndexAllocator::default();
        let seven = Some(ReceiverIndex(7));
        assert_eq!(indices.allocate(&mut entropy, 1, secs(0)), seven);
        assert_eq!(indices.allocate(&mut entropy, 1, secs(0)), None, "in use");
        indices.release(ReceiverIndex(7), 1, secs(10));
        assert_eq!(indices.allocate(&mut entropy, 1, secs(549)), None, "resting");
        assert_eq!(indices.allocate(&mut entropy, 1, secs(550)), seven);
        indices.abandon(ReceiverIndex(7));
        assert_eq!(
            indices.allocate(&mut entropy, 1, secs(550)),
            seven,
            "abandoned: no rest"
        );
    }

    #[test]
    fn drawing_a_taken_number_draws_again() {
        let mut entropy = Scripted(vec![7, 7, 7, 8], 0);
        let mut indices = IndexAllocator::default();
        assert_eq!(indices.allocate(&mut entropy, 1, secs(0)), Some(ReceiverIndex(7)));
        assert_eq!(indices.allocate(&mut entropy, 1, secs(0)), Some(ReceiverIndex(8)));
    }

    #[test]
    fn resting_indices_are_bounded_and_unknown_ones_ignored() {
        let mut entropy = SeededEntropy::new([2; 32]);
        let mut indices = IndexAllocator::default();
        for _ in 0..10_000 {
            let index = indices
                .allocate(&mut entropy, 1, secs(0))
                .expect("resting ones take no place");
            indices.release(index, 1, secs(0));
            indices.release(index, 1, secs(0));
            assert!(indices.resting.len() <= 1028);
            assert_eq!(indices.resting.len(), indices.wake_up.len());
        }
        assert_eq!(indices.in_use(), 0);
    }
}
