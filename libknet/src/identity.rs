//! What this machine and a key bring along: randomness, processor features, a MAC address.

use knet_proto::{
    config::{PublicKey, SuiteOffer},
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
pub fn suites_of_this_machine() -> SuiteOffer {
    #[cfg(target_arch = "x86_64")]
    let aes_256_gcm =
        std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let aes_256_gcm =
        std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let aes_256_gcm = false;
    SuiteOffer { aes_256_gcm }
}

/// The TAP's MAC address for an interface with this key: the same at each start, locally administered, unicast.
pub fn stable_mac(key: &PublicKey) -> MacAddr {
    let _ = key;
    unimplemented!("derived from the key's hash")
}
