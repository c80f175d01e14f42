//! What this machine and a key bring along: randomness, processor features, a MAC address.

use knet_proto::{
    config::PublicKey,
    crypto::hash::hash,
    handshake::message::{Suite, SuiteSet},
    ids::MacAddr,
    rng::Entropy,
};

/// The operating system's random generator (`getrandom(2)`).
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        // getrandom(2) cannot fail once the kernel's pool is seeded; running on without randomness would be worse.
        assert!(
            getrandom::fill(bytes).is_ok(),
            "the operating system gives no random bytes (getrandom)"
        );
    }
}

/// The AEADs that this processor runs in constant time and at speed.
pub fn suites_of_this_machine() -> SuiteSet {
    #[cfg(target_arch = "x86_64")]
    let aes_256_gcm =
        std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let aes_256_gcm =
        std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let aes_256_gcm = false;
    let suites = SuiteSet::of(Suite::ChaCha20Poly1305);
    if aes_256_gcm {
        suites.with(Suite::Aes256Gcm)
    } else {
        suites
    }
}

/// The TAP's MAC address for an interface with this key: the same at each start, locally administered, unicast.
pub fn stable_mac(key: &PublicKey) -> MacAddr {
    let [first, b, c, d, e, f, ..] = hash(&[b"knet TAP MAC address", key.as_bytes()]);
    // The second lowest bit: locally administered; the lowest: group.
    MacAddr([first & !1 | 2, b, c, d, e, f])
}

#[cfg(test)]
mod tests {
    use knet_proto::config::PrivateKey;

    use super::*;

    #[test]
    fn the_mac_is_stable_local_and_unicast() {
        let mut first_bytes = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let key = PrivateKey::generate(&mut OsEntropy).public_key();
            let mac = stable_mac(&key);
            assert_eq!(mac, stable_mac(&key));
            assert!(!mac.is_group() && mac.0[0] & 2 != 0, "{mac}");
            first_bytes.insert(mac.0);
        }
        assert_eq!(first_bytes.len(), 200);
    }
}
