//! A fast hash of a few words under a secret: for tables and choices that outsiders must not steer.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use core::hash::{BuildHasher, Hasher};

/// Makes [`SeededHasher`]s from a secret.
#[derive(Clone, Copy)]
pub(crate) struct SeededHash {
    seed: [u64; 2],
}

impl SeededHash {
    /// The hash that `seed`, which must be random, determines.
    pub(crate) fn new([a, b]: [u64; 2]) -> Self {
        // Digits of pi, so that a seed of small numbers (a test's) does not multiply by one.
        Self {
            seed: [a ^ 0x243f_6a88_85a3_08d3, b ^ 0x1319_8a2e_0370_7344],
        }
    }
}

impl core::fmt::Debug for SeededHash {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SeededHash(..)")
    }
}

impl BuildHasher for SeededHash {
    type Hasher = SeededHasher;
    fn build_hasher(&self) -> SeededHasher {
        SeededHasher {
            seed: self.seed,
            state: 0,
        }
    }
}

/// A folded 64 x 64 bit multiplication with a secret per word, and one at the end: a universal-style hash, far
/// cheaper than `SipHash` for a handful of words, and without the secret nobody can prepare collisions.
pub(crate) struct SeededHasher {
    seed: [u64; 2],
    state: u64,
}

fn folded_multiply(a: u64, b: u64) -> u64 {
    let product = u128::from(a).wrapping_mul(u128::from(b));
    (product >> 64) as u64 ^ product as u64
}

impl Hasher for SeededHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk
                .iter()
                .rev()
                .fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.write_u64(word);
        }
    }

    fn write_u64(&mut self, word: u64) {
        let [a, b] = self.seed;
        self.state = folded_multiply(self.state ^ word ^ a, b | 1);
    }

    fn finish(&self) -> u64 {
        let [a, b] = self.seed;
        folded_multiply(self.state ^ b, a | 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(seed: [u64; 2], words: &[u64]) -> u64 {
        let mut hasher = SeededHash::new(seed).build_hasher();
        for word in words {
            hasher.write_u64(*word);
        }
        hasher.finish()
    }

    /// On average half of the result changes with any one bit of the input or of the seed, and no bit of the
    /// result stays behind.
    #[test]
    fn every_bit_of_the_input_and_of_the_seed_counts() {
        const SAMPLES: u64 = 256;
        let mut changed = [0_u32; 64];
        let mut flips = 0;
        for n in 0..SAMPLES {
            let words = [n, n << 32, 0];
            let seed = [n.wrapping_mul(0x9e37_79b9_7f4a_7c15), 7];
            let base = hash(seed, &words);
            for bit in 0..4 * 64 {
                let (mut words, mut seed) = (words, seed);
                match bit / 64 {
                    3 => seed[0] ^= 1 << (bit % 64),
                    word => words[word] ^= 1 << (bit % 64),
                }
                let difference = base ^ hash(seed, &words);
                flips += 1;
                for (at, count) in changed.iter_mut().enumerate() {
                    *count += (difference >> at & 1) as u32;
                }
            }
        }
        for (at, count) in changed.iter().enumerate() {
            let share = f64::from(*count) / f64::from(flips);
            assert!((0.48..0.52).contains(&share), "bit {at}: {share}");
        }
    }
}
