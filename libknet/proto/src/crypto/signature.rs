//! Ed25519 (RFC 8032): signatures that certificates have. The wire has none.

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::{Secret, secret::with_erased_stack};

/// Length of a signature in bytes.
pub const SIGNATURE_LEN: usize = 64;

/// The public key of a private one, its seed.
pub fn public_key(seed: &Secret) -> Option<[u8; 32]> {
    with_erased_stack(|| {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed[..]).ok()?;
        pair.public_key().as_ref().try_into().ok()
    })
}

/// Signs `message` with the private key of this seed.
pub fn sign(seed: &Secret, message: &[u8]) -> Option<[u8; SIGNATURE_LEN]> {
    with_erased_stack(|| {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed[..]).ok()?;
        pair.sign(message).as_ref().try_into().ok()
    })
}

/// Whether `signature` is one of `message` by the owner of `public_key`.
#[must_use]
pub fn verify(public_key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key)
        .verify(message, signature)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::tests::{hex, hex_array};

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn as_the_rfc_has_it() {
        let seed = Secret::from(&hex_array::<32>(
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        ));
        let public = hex_array("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
        assert_eq!(public_key(&seed), Some(public));
        assert_eq!(sign(&seed, &[0x72]).unwrap()[..], signature[..]);
        assert!(verify(&public, &[0x72], &signature));
        assert!(!verify(&public, &[0x73], &signature));
        for bit in 0..signature.len() * 8 {
            let mut forged = signature.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify(&public, &[0x72], &forged), "bit {bit}");
        }
        assert!(!verify(&public, &[0x72], &signature[..63]));
    }
}
