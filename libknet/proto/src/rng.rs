//! Randomness, passed in from outside.

use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

/// A source of random bytes fit for keys.
///
/// The daemon passes one that reads the operating system's generator; the simulator passes a seeded one,
/// and the run repeats byte for byte.
pub trait Entropy: Send {
    /// Fills `bytes` with random bytes.
    fn fill(&mut self, bytes: &mut [u8]);

    /// A random number of 64 bits.
    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A random number of 32 bits.
    fn next_u32(&mut self) -> u32 {
        self.next_u64() as u32
    }

    /// A number in `0..bound`; 0 if `bound` is 0. Bias is below 2^-32 for the bounds used here (timers).
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

/// ChaCha12 run from a seed: as good as its seed, and repeatable.
pub struct SeededEntropy(ChaCha12Rng);

impl SeededEntropy {
    /// The generator that `seed` determines.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}
