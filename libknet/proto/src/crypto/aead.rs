//! Sealing and opening the datagrams of a session: ChaCha20-Poly1305 (RFC 8439) or AES-256-GCM (NIST SP
//! 800-38D), from ring.
//!
//! One key serves one direction of a session. Its nonces fall into disjoint *spaces* (data lanes and, per
//! link, control), each with a 32-bit counter of its own. That no (space, counter) is sealed twice, and how
//! much a key may be used, is the caller's care.

use core::hint::black_box;

use ring::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroize;

use crate::handshake::message::{DirectionKey, Suite};

/// Length of the tag in bytes, the same for both suites.
pub const TAG_LEN: usize = 16;

/// The key for what we send in a session.
pub struct SealKey(Keyed);

/// The key for what we receive in a session.
pub struct OpenKey(Keyed);

impl SealKey {
    /// Expands `secret` for use with `suite`.
    pub fn new(suite: Suite, secret: &DirectionKey) -> Self {
        Self(Keyed::new(suite, secret))
    }

    /// Encrypts `in_out` in place and returns the tag that follows it. `aad` is authenticated, not encrypted.
    #[must_use]
    pub fn seal(&self, space: u8, counter: u32, aad: &[u8], in_out: &mut [u8]) -> [u8; TAG_LEN] {
        let sealed =
            self.0
                .key
                .seal_in_place_separate_tag(self.0.nonce(space, counter), Aad::from(aad), in_out);
        let mut tag = [0; TAG_LEN];
        match sealed {
            Ok(t) => tag.copy_from_slice(t.as_ref()),
            // More than 2^32 blocks, which no datagram has. Better nothing than plaintext.
            Err(_) => in_out.zeroize(),
        }
        tag
    }
}

impl OpenKey {
    /// Expands `secret` for use with `suite`.
    pub fn new(suite: Suite, secret: &DirectionKey) -> Self {
        Self(Keyed::new(suite, secret))
    }

    /// Decrypts `in_out`, ciphertext and tag, in place and returns the plaintext, a prefix of it. `None`
    /// where key, nonce, `aad`, ciphertext or tag do not fit together; `in_out` is then unspecified.
    #[must_use]
    pub fn open<'a>(
        &self,
        space: u8,
        counter: u32,
        aad: &[u8],
        in_out: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        self.0
            .key
            .open_in_place(self.0.nonce(space, counter), Aad::from(aad), in_out)
            .ok()
    }
}

impl core::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SealKey(..)")
    }
}

impl core::fmt::Debug for OpenKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("OpenKey(..)")
    }
}

struct Keyed {
    algorithm: &'static Algorithm,
    key: LessSafeKey,
    iv: [u8; 12],
}

impl Keyed {
    fn new(suite: Suite, secret: &DirectionKey) -> Self {
        let algorithm = match suite {
            Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            Suite::Aes256Gcm => &AES_256_GCM,
        };
        Self {
            algorithm,
            key: expand(algorithm, &secret.key),
            iv: secret.iv,
        }
    }

    /// `iv XOR (space || 0^7 || counter)`, the counter big-endian.
    fn nonce(&self, space: u8, counter: u32) -> Nonce {
        let [s, a, b, c, d, e, f, g, rest @ ..] = self.iv;
        let [w, x, y, z] = (u32::from_be_bytes(rest) ^ counter).to_be_bytes();
        Nonce::assume_unique_for_key([s ^ space, a, b, c, d, e, f, g, w, x, y, z])
    }
}

impl Drop for Keyed {
    /// ring does not erase its keys. The key of zeros has the same layout, so that writing it leaves
    /// nothing of the old one; `black_box` keeps the write from being removed as dead.
    fn drop(&mut self) {
        self.key = expand(self.algorithm, &[0; 32]);
        black_box(&self.key);
        self.iv.zeroize();
    }
}

#[expect(
    clippy::expect_used,
    reason = "fails only for a key of another length than the algorithm's"
)]
fn expand(algorithm: &'static Algorithm, key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(algorithm, key).expect("both algorithms have keys of 32 bytes"))
}
