//! The checksum of IP, ICMP, TCP and UDP (RFC 1071): the complement of a sum in ones' complement arithmetic.
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

/// A sum that more can be added to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InternetChecksum {
    /// Of 16-bit words; the carries are folded in at the end. 2^48 words fit.
    sum: u64,
}

impl InternetChecksum {
    /// Adds bytes. They begin at an even place of what is summed: a piece before the last has an even length.
    pub(super) fn add(mut self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<2>();
        for word in words {
            self = self.add_word(u16::from_be_bytes(*word));
        }
        match rest {
            [last] => self.add_word(u16::from_be_bytes([*last, 0])),
            _ => self,
        }
    }

    /// Adds a word.
    pub(super) fn add_word(mut self, word: u16) -> Self {
        self.sum = self.sum.wrapping_add(u64::from(word));
        self
    }

    /// The checksum; zero where the sum is all ones.
    pub(super) fn finish(self) -> u16 {
        let mut sum = self.sum;
        while sum > 0xffff {
            sum = (sum & 0xffff).wrapping_add(sum >> 16);
        }
        !(sum as u16)
    }
}

/// The checksum after one word under it has changed from `old` to `new` (RFC 1624, equation 3: never all ones
/// where summing anew gives zero). A checksum that was wrong stays wrong.
pub(super) fn updated(checksum: u16, old: u16, new: u16) -> u16 {
    InternetChecksum::default()
        .add_word(!checksum)
        .add_word(!old)
        .add_word(new)
        .finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_rfc_1071() {
        let sum = InternetChecksum::default().add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.finish(), !0xddf2);
        assert_eq!(InternetChecksum::default().add(&[0x12]).finish(), !0x1200);
        assert_eq!(InternetChecksum::default().finish(), 0xffff);
    }

    /// The case for which RFC 1624 corrects RFC 1141.
    #[test]
    fn the_example_of_rfc_1624() {
        assert_eq!(updated(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn an_update_equals_summing_anew(
            words in prop::collection::vec(prop_oneof![any::<u16>(), Just(0), Just(0xffff)], 1..40),
            at in any::<prop::sample::Index>(), new in prop_oneof![any::<u16>(), Just(0), Just(0xffff)],
        ) {
            // An IP header is never all zero, and so neither is what is summed.
            let sum = |words: &[u16]| {
                words.iter().fold(InternetChecksum::default().add_word(0x4500), |s, w| s.add_word(*w)).finish()
            };
            let mut changed = words.clone();
            let old = std::mem::replace(at.get_mut(&mut changed), new);
            prop_assert_eq!(updated(sum(&words), old, new), sum(&changed));
        }
    }
}
