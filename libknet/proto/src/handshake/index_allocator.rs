//! Receiver indices: random, unique, and not used again soon.

use alloc::collections::{BTreeSet, VecDeque};

use crate::{
    ids::{PeerId, ReceiverIndex, Workers},
    rng::Entropy,
    time::{Span, Time},
};

/// How long an index rests after its session is gone, so that late datagrams of that session do not meet
/// another: the age that no session key outlives.
pub const REST: Span = Span::from_secs(540);

/// Hands out receiver indices.
///
/// At most `4 * peers + 1024` are in use (limits: row 12), and at most as many again rest. Where more would
/// have to, the one that has rested longest is let go early: the chance that it is drawn next is 2^-32 (2^-28 with 16
/// workers), and a datagram that then meets the wrong session still does not decrypt.
pub struct IndexAllocator {
    workers: Workers,
    in_use: BTreeSet<ReceiverIndex>,
    resting: BTreeSet<ReceiverIndex>,
    /// The resting ones, the one that has rested longest first.
    wake_up: VecDeque<(Time, ReceiverIndex)>,
}

impl IndexAllocator {
    /// None is in use. Indices are marked for one of `workers`.
    pub fn new(workers: Workers) -> Self {
        Self {
            workers,
            in_use: BTreeSet::new(),
            resting: BTreeSet::new(),
            wake_up: VecDeque::new(),
        }
    }

    /// A new index for a session with `peer`, or `None` where as many are in use as `peers` peers may have.
    pub fn allocate(
        &mut self,
        entropy: &mut dyn Entropy,
        peer: PeerId,
        peers: usize,
        now: Time,
    ) -> Option<ReceiverIndex> {
        self.wake(now, peers);
        if self.in_use.len() >= bound(peers) {
            return None;
        }
        // At most 2^20 of 2^32 are taken, and of those of one worker the same share: each draw fails with a chance
        // below 1 in 4000, and more than a few draws are never needed. The bound is there for a broken source of
        // randomness.
        let owner = self.workers.owner(peer);
        (0..64)
            .map(|_| self.workers.mark(entropy.next_u32(), owner))
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
    use crate::{ids::MAX_WORKERS, rng::SeededEntropy};

    const PEER: PeerId = PeerId(0);

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
        let mut indices = IndexAllocator::new(Workers::ONE);
        let mut seen = BTreeSet::new();
        for _ in 0..1024 + 4 * 10 {
            assert!(seen.insert(indices.allocate(&mut entropy, PEER, 10, secs(0)).unwrap()));
        }
        assert_eq!(indices.allocate(&mut entropy, PEER, 10, secs(0)), None);
        assert!(
            indices.allocate(&mut entropy, PEER, 11, secs(0)).is_some(),
            "a peer more, four indices more"
        );
        indices.abandon(*seen.first().unwrap());
        indices.abandon(*seen.last().unwrap());
        assert!(indices.allocate(&mut entropy, PEER, 10, secs(0)).is_some());
        assert_eq!(indices.in_use(), 1024 + 40);
    }

    #[test]
    fn a_released_index_rests_for_540_seconds() {
        let mut entropy = Scripted(vec![7], 0);
        let mut indices = IndexAllocator::new(Workers::ONE);
        let seven = Some(ReceiverIndex(7));
        assert_eq!(indices.allocate(&mut entropy, PEER, 1, secs(0)), seven);
        assert_eq!(indices.allocate(&mut entropy, PEER, 1, secs(0)), None, "in use");
        indices.release(ReceiverIndex(7), 1, secs(10));
        assert_eq!(
            indices.allocate(&mut entropy, PEER, 1, secs(549)),
            None,
            "resting"
        );
        assert_eq!(indices.allocate(&mut entropy, PEER, 1, secs(550)), seven);
        indices.abandon(ReceiverIndex(7));
        assert_eq!(
            indices.allocate(&mut entropy, PEER, 1, secs(550)),
            seven,
            "abandoned: no rest"
        );
    }

    #[test]
    fn drawing_a_taken_number_draws_again() {
        let mut entropy = Scripted(vec![7, 7, 7, 8], 0);
        let mut indices = IndexAllocator::new(Workers::ONE);
        assert_eq!(
            indices.allocate(&mut entropy, PEER, 1, secs(0)),
            Some(ReceiverIndex(7))
        );
        assert_eq!(
            indices.allocate(&mut entropy, PEER, 1, secs(0)),
            Some(ReceiverIndex(8))
        );
    }

    #[test]
    fn an_index_is_marked_for_the_owner_of_its_peer() {
        for workers in (1..=MAX_WORKERS).filter_map(Workers::new) {
            let mut entropy = SeededEntropy::new([3; 32]);
            let mut indices = IndexAllocator::new(workers);
            for peer in (0..100).map(PeerId) {
                let index = indices.allocate(&mut entropy, peer, 100, secs(0)).unwrap();
                assert_eq!(workers.of(index), Some(workers.owner(peer)));
            }
        }
    }

    /// Seeds of simulations keep their meaning.
    #[test]
    fn one_worker_has_the_numbers_as_they_are_drawn() {
        let mut entropy = SeededEntropy::new([4; 32]);
        let mut indices = IndexAllocator::new(Workers::ONE);
        let drawn: Vec<ReceiverIndex> = (0..100)
            .filter_map(|n| indices.allocate(&mut entropy, PeerId(n), 100, secs(0)))
            .collect();
        let mut entropy = SeededEntropy::new([4; 32]);
        let plain: Vec<ReceiverIndex> = (0..100).map(|_| ReceiverIndex(entropy.next_u32())).collect();
        assert_eq!(drawn, plain);
    }

    #[test]
    fn resting_indices_are_bounded_and_unknown_ones_ignored() {
        let mut entropy = SeededEntropy::new([2; 32]);
        let mut indices = IndexAllocator::new(Workers::ONE);
        for _ in 0..10_000 {
            let index = indices
                .allocate(&mut entropy, PEER, 1, secs(0))
                .expect("resting ones take no place");
            indices.release(index, 1, secs(0));
            indices.release(index, 1, secs(0));
            assert!(indices.resting.len() <= 1028);
            assert_eq!(indices.resting.len(), indices.wake_up.len());
        }
        assert_eq!(indices.in_use(), 0);
    }
}
