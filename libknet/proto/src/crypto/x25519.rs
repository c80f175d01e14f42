//! The function X25519 (RFC 7748, section 5) by whichever implementation is the fastest that the processor can run.
//!
//! A handshake takes four multiplications of whoever is asked, and they are most of what it costs. `graviola` does one in half
//! the time that `x25519-dalek` takes: its assembly comes from s2n-bignum, which has been proven to be constant in time and to
//! compute what it should. It needs instructions that processors have had since about 2014; elsewhere `x25519-dalek`
//! serves, and the tests compare the two.
//!
//! What is left of secrets on the stack is for callers to erase ([`super::secret::with_erased_stack`]).

use super::secret::Secret;

/// `scalar`, clamped, times the base point: the public key of a private one.
pub(super) fn times_base(scalar: &[u8; 32]) -> [u8; 32] {
    #[cfg(target_arch = "x86_64")]
    if assembly::is_supported() {
        return assembly::times_base(scalar);
    }
    portable::times_base(scalar)
}

/// `scalar`, clamped, times the point `u`; nothing if that is zero, as it is for points of low order.
pub(super) fn times(scalar: &[u8; 32], u: &[u8; 32]) -> Option<Secret> {
    #[cfg(target_arch = "x86_64")]
    if assembly::is_supported() {
        return assembly::times(scalar, u);
    }
    portable::times(scalar, u)
}

#[cfg(target_arch = "x86_64")]
mod assembly {
    use graviola::key_agreement::x25519::{PublicKey, StaticPrivateKey};

    use crate::crypto::secret::Secret;

    // All that `graviola` asks for, whatever it is called for; it panics where one is missing.
    cpufeatures::new!(
        processor,
        "aes",
        "ssse3",
        "pclmulqdq",
        "avx",
        "avx2",
        "bmi1",
        "bmi2",
        "adx"
    );

    /// Whether the processor has the instructions.
    pub(super) fn is_supported() -> bool {
        processor::get()
    }

    pub(super) fn times_base(scalar: &[u8; 32]) -> [u8; 32] {
        StaticPrivateKey::from_array(scalar).public_key().as_bytes()
    }

    pub(super) fn times(scalar: &[u8; 32], u: &[u8; 32]) -> Option<Secret> {
        let shared = StaticPrivateKey::from_array(scalar).diffie_hellman(&PublicKey::from_array(u));
        shared.ok().map(|shared| Secret::from(&shared.0))
    }
}

mod portable {
    use x25519_dalek::{PublicKey, StaticSecret};

    use crate::crypto::secret::Secret;

    pub(super) fn times_base(scalar: &[u8; 32]) -> [u8; 32] {
        PublicKey::from(&StaticSecret::from(*scalar)).to_bytes()
    }

    pub(super) fn times(scalar: &[u8; 32], u: &[u8; 32]) -> Option<Secret> {
        let shared = StaticSecret::from(*scalar).diffie_hellman(&PublicKey::from(*u));
        shared.was_contributory().then(|| Secret::from(shared.as_bytes()))
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use proptest::prelude::*;

    use super::{assembly, portable};
    use crate::crypto::tests::hex_array;

    /// Numbers at which a reduction modulo 2^255 - 19, or a limb of a number, may go wrong: 32 bytes that are mostly all ones or
    /// all zeros, and end close to p, to zero or to a power of two.
    fn edges() -> impl Strategy<Value = [u8; 32]> {
        let middle = prop::sample::select(&[0x00, 0x01, 0x7f, 0x80, 0xff][..]);
        let word = prop::collection::vec(middle, 4);
        (word, any::<u8>(), any::<u8>()).prop_map(|(words, lowest, highest)| {
            let mut bytes = [0; 32];
            for (place, byte) in bytes.chunks_exact_mut(8).zip(words) {
                place.fill(byte);
            }
            (bytes[0], bytes[31]) = (lowest, highest);
            bytes
        })
    }

    fn number() -> impl Strategy<Value = [u8; 32]> {
        prop_oneof![any::<[u8; 32]>(), edges()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Whatever 32 bytes are taken for a scalar and a point, clamped, canonical or neither.
        #[test]
        fn both_implementations_agree(scalar in number(), u in number()) {
            if !assembly::is_supported() {
                return Ok(());
            }
            prop_assert_eq!(assembly::times_base(&scalar), portable::times_base(&scalar));
            prop_assert_eq!(assembly::times(&scalar, &u), portable::times(&scalar, &u));
        }
    }

    /// Both are there to be tested: with the test above passing because one of them is never called, nobody would notice.
    #[test]
    fn rfc_7748_by_each() {
        let scalar = hex_array("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
        let u = hex_array("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
        let shared = hex_array("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
        assert_eq!(*portable::times(&scalar, &u).unwrap(), shared);
        if assembly::is_supported() {
            assert_eq!(*assembly::times(&scalar, &u).unwrap(), shared);
        }
    }
}
