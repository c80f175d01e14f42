//! X25519 (RFC 7748), with one encoding per public key.
//!
//! A public key is an identity. RFC 7748 lets several encodings stand for one key; taking more than one
//! would let a peer appear under another name than the one that was blocked. So only the canonical encoding
//! is a key here, and points of low order, for which the shared secret is known to everybody, are none.

use zeroize::ZeroizeOnDrop;

use super::{
    secret::{Secret, with_erased_stack},
    x25519,
};
use crate::{
    config::{PrivateKey, PublicKey},
    rng::Entropy,
};

/// Why 32 bytes are no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Bit 255 is set, or the number is not below 2^255 - 19.
    #[error("the public key is not in canonical encoding (RFC 7748: below 2^255 - 19, highest bit clear)")]
    NonCanonical,
    /// The point's order divides 8.
    #[error("the public key is a point of low order, with which no secret can be shared")]
    LowOrder,
}

/// The points of low order in canonical encoding: 0, 1, both of order 8, and p - 1.
const LOW_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ],
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
];

impl PublicKey {
    /// The key that `bytes` encode, if they are the canonical encoding of a point not of low order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let [lowest, middle @ .., highest] = bytes;
        let not_below_p = highest == 0x7f && lowest >= 0xed && middle.iter().all(|b| *b == 0xff);
        if highest & 0x80 != 0 || not_below_p {
            return Err(KeyError::NonCanonical);
        }
        if LOW_ORDER.contains(&bytes) {
            return Err(KeyError::LowOrder);
        }
        Ok(Self(bytes))
    }
}

impl PrivateKey {
    /// A new random key, clamped as RFC 7748 asks.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut key = Self(Secret::filled(|bytes| entropy.fill(bytes)));
        let [lowest, .., highest] = &mut *key.0;
        *lowest &= 0b1111_1000;
        *highest = *highest & 0b0111_1111 | 0b0100_0000;
        key
    }

    /// The public key that belongs to this one.
    pub fn public_key(&self) -> PublicKey {
        // A clamped scalar times the base point is never of low order, and comes out canonical.
        with_erased_stack(|| PublicKey(x25519::times_base(&self.0)))
    }

    /// The secret shared with the owner of `public`. Refused where it would be all zeros, which
    /// [`PublicKey::from_bytes`] should have made impossible.
    pub fn shared(&self, public: &PublicKey) -> Result<SharedSecret, KeyError> {
        let secret = with_erased_stack(|| x25519::times(&self.0, public.as_bytes()));
        secret.map(SharedSecret).ok_or(KeyError::LowOrder)
    }
}

/// What two sides of a Diffie-Hellman exchange have in common. Erased when dropped, never printed.
#[derive(Clone, ZeroizeOnDrop)]
pub struct SharedSecret(Secret);

impl SharedSecret {
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl core::fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{crypto::tests::hex_array, rng::SeededEntropy};

    /// p = 2^255 - 19, little-endian.
    const P: [u8; 32] = {
        let mut p = [0xff; 32];
        p[0] = 0xed;
        p[31] = 0x7f;
        p
    };

    fn plus(mut number: [u8; 32], mut n: u8) -> [u8; 32] {
        for byte in &mut number {
            let (sum, carry) = byte.overflowing_add(n);
            *byte = sum;
            n = u8::from(carry);
        }
        number
    }

    #[test]
    fn rfc_7748_section_5_2() {
        let private = PrivateKey::from_bytes(&hex_array(
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        ));
        let public = hex_array("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
        let shared = private.shared(&PublicKey::from_bytes(public).unwrap()).unwrap();
        assert_eq!(
            *shared.as_bytes(),
            hex_array("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")
        );
        // The second vector's point has bit 255 set: good enough for X25519, not for an identity.
        let second = hex_array("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493");
        assert_eq!(PublicKey::from_bytes(second), Err(KeyError::NonCanonical));
    }

    #[test]
    fn rfc_7748_section_5_2_iterated() {
        let (mut k, mut u) = ([0; 32], [0; 32]);
        (k[0], u[0]) = (9, 9);
        for round in 1..=1000 {
            let r = *PrivateKey::from_bytes(&k)
                .shared(&PublicKey::from_bytes(u).unwrap())
                .unwrap()
                .as_bytes();
            (k, u) = (r, k);
            if round == 1 {
                assert_eq!(
                    k,
                    hex_array("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")
                );
            }
        }
        assert_eq!(
            k,
            hex_array("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51")
        );
    }

    #[test]
    fn rfc_7748_section_6_1() {
        let alice = PrivateKey::from_bytes(&hex_array(
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        ));
        let bob = PrivateKey::from_bytes(&hex_array(
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        ));
        let alice_public = hex_array("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
        let bob_public = hex_array("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
        assert_eq!(alice.public_key().as_bytes(), &alice_public);
        assert_eq!(bob.public_key().as_bytes(), &bob_public);
        let secret = hex_array("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        assert_eq!(
            *alice
                .shared(&PublicKey::from_bytes(bob_public).unwrap())
                .unwrap()
                .as_bytes(),
            secret
        );
        assert_eq!(
            *bob.shared(&PublicKey::from_bytes(alice_public).unwrap())
                .unwrap()
                .as_bytes(),
            secret
        );
    }

    /// The seven encodings of points of low order below 2^255.
    #[test]
    fn low_order_points_are_refused() {
        for point in LOW_ORDER {
            assert_eq!(
                PublicKey::from_bytes(point),
                Err(KeyError::LowOrder),
                "{point:02x?}"
            );
            // That they are what the name says: with any private key they give the same secret, zero.
            assert_eq!(
                PrivateKey::from_bytes(&[0x55; 32])
                    .shared(&PublicKey(point))
                    .unwrap_err(),
                KeyError::LowOrder
            );
        }
        for also in [P, plus(P, 1)] {
            assert_eq!(
                PublicKey::from_bytes(also),
                Err(KeyError::NonCanonical),
                "{also:02x?}"
            );
            assert_eq!(
                PrivateKey::from_bytes(&[0x55; 32])
                    .shared(&PublicKey(also))
                    .unwrap_err(),
                KeyError::LowOrder
            );
        }
    }

    #[test]
    fn all_nineteen_numbers_from_p_on_are_refused() {
        for n in 0..19 {
            assert_eq!(
                PublicKey::from_bytes(plus(P, n)),
                Err(KeyError::NonCanonical),
                "p + {n}"
            );
            if n > 1 {
                assert!(
                    PublicKey::from_bytes(plus([0; 32], n)).is_ok(),
                    "{n}, the same key written right"
                );
            }
        }
    }

    #[test]
    fn generated_keys_are_clamped_and_agree() {
        let mut entropy = SeededEntropy::new([3; 32]);
        for _ in 0..50 {
            let (a, b) = (
                PrivateKey::generate(&mut entropy),
                PrivateKey::generate(&mut entropy),
            );
            assert_eq!(a.0[0] & 7, 0);
            assert_eq!(a.0[31] & 0xc0, 0x40);
            assert!(PublicKey::from_bytes(*a.public_key().as_bytes()).is_ok());
            assert_eq!(
                a.shared(&b.public_key()).unwrap().as_bytes(),
                b.shared(&a.public_key()).unwrap().as_bytes()
            );
        }
    }

    proptest! {
        /// P8: an encoding is taken exactly if it is the smallest number of its class and has full order.
        #[test]
        fn one_encoding_per_key(mut bytes: [u8; 32], top in prop::sample::select(&[0x00, 0x7f, 0x80, 0xff, 0x12][..]),
                                filled: bool) {
            if filled {
                bytes[1..31].fill(0xff);
            }
            bytes[31] = top;
            let below_p = bytes.iter().rev().lt(P.iter().rev());
            let full_order = PrivateKey::from_bytes(&[0x55; 32]).shared(&PublicKey(bytes)).is_ok();
            let expected = match (below_p, full_order) {
                (false, _) => Err(KeyError::NonCanonical),
                (true, false) => Err(KeyError::LowOrder),
                (true, true) => Ok(PublicKey(bytes)),
            };
            prop_assert_eq!(PublicKey::from_bytes(bytes), expected);
            // The other encoding of the same key, with bit 255, never is another name for it.
            bytes[31] |= 0x80;
            prop_assert_eq!(PublicKey::from_bytes(bytes), Err(KeyError::NonCanonical));
        }
    }
}
