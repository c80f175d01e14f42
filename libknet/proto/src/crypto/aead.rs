//! Sealing and opening the datagrams of a session: ChaCha20-Poly1305 (RFC 8439) or AES-256-GCM (NIST SP
//! 800-38D), from ring.
//!
//! One key serves one direction of a session. Its nonces fall into disjoint *spaces* (data lanes and, per
//! link, control), each with a 32-bit counter of its own. That no (space, counter) is sealed twice, and how
//! much a key may be used, is the caller's care.

use alloc::boxed::Box;
use core::hint::black_box;

use ring::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::secret::{Secret, erase_stack, with_erased_stack};
use crate::handshake::message::{DirectionKey, Suite};

/// Length of the tag in bytes, the same for both suites.
pub const TAG_LEN: usize = 16;

/// The key for what we send in a session.
pub struct SealKey(Keyed);

/// The key for what we receive in a session.
pub struct OpenKey(Keyed);

impl SealKey {
    /// `secret`, for use with `suite`.
    pub fn new(suite: Suite, secret: &DirectionKey) -> Self {
        Self(Keyed::new(suite, secret))
    }

    /// From now on it is kept expanded: for a session that carries frames.
    #[inline]
    pub fn keep_expanded(&mut self) {
        self.0.keep_expanded();
    }

    /// Encrypts `in_out` in place and returns the tag that follows it. `aad` is authenticated, not encrypted.
    #[must_use]
    #[inline]
    pub fn seal(&self, space: u8, counter: u32, aad: &[u8], in_out: &mut [u8]) -> [u8; TAG_LEN] {
        let nonce = self.0.nonce(space, counter);
        let sealed = self
            .0
            .key(&mut None)
            .seal_in_place_separate_tag(nonce, Aad::from(aad), in_out);
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
    /// `secret`, for use with `suite`.
    pub fn new(suite: Suite, secret: &DirectionKey) -> Self {
        Self(Keyed::new(suite, secret))
    }

    /// From now on it is kept expanded: for a session that carries frames.
    #[inline]
    pub fn keep_expanded(&mut self) {
        self.0.keep_expanded();
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
        let nonce = self.0.nonce(space, counter);
        self.0
            .key(&mut None)
            .open_in_place(nonce, Aad::from(aad), in_out)
            .ok()
    }
}

/// Encrypts all but the last [`TAG_LEN`] bytes of `in_out` in place and puts the tag there; `key` must be
/// used this once only (nonce zero). Noise's `EncryptWithAd` with n = 0, ChaCha20-Poly1305.
///
/// A buffer too short for a tag is left alone.
pub fn seal_once(key: &Secret, aad: &[u8], in_out: &mut [u8]) {
    if let Some((text, tag)) = in_out.split_last_chunk_mut::<TAG_LEN>() {
        *tag = SealKey::new(Suite::ChaCha20Poly1305, &single_use(key)).seal(0, 0, aad, text);
    }
}

/// Undoes [`seal_once`] in place and returns the plaintext, or `None` if it is not authentic.
#[must_use]
pub fn open_once<'a>(key: &Secret, aad: &[u8], in_out: &'a mut [u8]) -> Option<&'a mut [u8]> {
    OpenKey::new(Suite::ChaCha20Poly1305, &single_use(key)).open(0, 0, aad, in_out)
}

fn single_use(key: &Secret) -> DirectionKey {
    DirectionKey {
        key: key.clone(),
        iv: [0; 12],
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

/// A key as it was agreed on takes 32 bytes; expanded for use, more than 500, and a fifth of a microsecond to make. What
/// seals and opens nothing but a heartbeat now and then makes it each time: a hub has tens of thousands of such sessions.
struct Keyed {
    algorithm: &'static Algorithm,
    secret: DirectionKey,
    expanded: Option<Box<Expanded>>,
}

struct Expanded(LessSafeKey);

impl Keyed {
    fn new(suite: Suite, secret: &DirectionKey) -> Self {
        Self {
            algorithm: match suite {
                Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
                Suite::Aes256Gcm => &AES_256_GCM,
            },
            secret: secret.clone(),
            expanded: None,
        }
    }

    #[inline]
    fn keep_expanded(&mut self) {
        if self.expanded.is_none() {
            self.expand_for_good();
        }
    }

    #[cold]
    fn expand_for_good(&mut self) {
        // ring's keys of all algorithms are as large as the largest, and what is unused is moved with the rest: it would
        // be what the cipher has left of an older key on this thread's stack.
        erase_stack();
        self.expanded = Some(with_erased_stack(|| {
            Box::new(Expanded(expand(self.algorithm, &self.secret.key)))
        }));
    }

    /// The expanded key: the one that is kept, or one made for this time, in `place`. What that leaves on the stack is
    /// erased when a key comes to its end, as what the cipher itself leaves there.
    #[inline]
    fn key<'a>(&'a self, place: &'a mut Option<LessSafeKey>) -> &'a LessSafeKey {
        match &self.expanded {
            Some(key) => &key.0,
            None => self.expand_into(place),
        }
    }

    #[cold]
    #[inline(never)]
    fn expand_into<'a>(&self, place: &'a mut Option<LessSafeKey>) -> &'a LessSafeKey {
        place.insert(expand(self.algorithm, &self.secret.key))
    }

    /// `iv XOR (space || 0^7 || counter)`, the counter big-endian.
    fn nonce(&self, space: u8, counter: u32) -> Nonce {
        let [c0, c1, c2, c3] = counter.to_be_bytes();
        let mut nonce = [space, 0, 0, 0, 0, 0, 0, 0, c0, c1, c2, c3];
        for (n, iv) in nonce.iter_mut().zip(&self.secret.iv) {
            *n ^= iv;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

impl Drop for Expanded {
    /// ring does not erase its keys, so one of zeros is written over it: that of AES, the larger one, so that nothing of
    /// the other's unused part is left. `black_box` keeps the write from being removed as dead.
    fn drop(&mut self) {
        self.0 = expand(&AES_256_GCM, &[0; 32]);
        black_box(&self.0);
    }
}

// Its fields do it.
impl ZeroizeOnDrop for Keyed {}
impl ZeroizeOnDrop for SealKey {}
impl ZeroizeOnDrop for OpenKey {}

#[expect(
    clippy::expect_used,
    reason = "fails only for a key of another length than the algorithm's"
)]
fn expand(algorithm: &'static Algorithm, key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(algorithm, key).expect("both algorithms have keys of 32 bytes"))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use chacha20poly1305::{ChaCha20Poly1305, KeyInit, aead::AeadInOut};
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::tests::{hex, hex_array};

    const SUITES: [Suite; 2] = [Suite::ChaCha20Poly1305, Suite::Aes256Gcm];

    fn check_vector(suite: Suite, secret: &DirectionKey, aad: &[u8], plain: &[u8], sealed: &[u8]) {
        let mut bytes = plain.to_vec();
        let tag = SealKey::new(suite, secret).seal(0, 0, aad, &mut bytes);
        bytes.extend_from_slice(&tag);
        assert_eq!(bytes, sealed);
        assert_eq!(
            OpenKey::new(suite, secret).open(0, 0, aad, &mut bytes).unwrap(),
            plain
        );
    }

    #[test]
    fn rfc_8439_section_2_8_2() {
        let secret = DirectionKey {
            key: Secret::from(&core::array::from_fn(|i| 0x80 + i as u8)),
            iv: hex_array("070000004041424344454647"),
        };
        check_vector(
            Suite::ChaCha20Poly1305,
            &secret,
            &hex("50515253c0c1c2c3c4c5c6c7"),
            b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
              sunscreen would be it.",
            &hex("d31a8d34648e60db7b86afbc53ef7ec2 a4aded51296e08fea9e2b5a736ee62d6
                  3dbea45e8ca9671282fafb69da92728b 1a71de0a9e060b2905d6a5b67ecd3b36
                  92ddbd7f2d778b8c9803aee328091b58 fab324e4fad675945585808b4831d7bc
                  3ff4def08e4b7a9de576d26586cec64b 6116 1ae10b594f09e26a7e902ecbd0600691"),
        );
    }

    /// McGrew and Viega, "The Galois/Counter Mode of Operation", test case 16.
    #[test]
    fn gcm_test_case_16() {
        let secret = DirectionKey {
            key: Secret::from(&hex_array(
                "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            )),
            iv: hex_array("cafebabefacedbaddecaf888"),
        };
        check_vector(
            Suite::Aes256Gcm,
            &secret,
            &hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
            &hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
                  1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"),
            &hex("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
                  8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662
                  76fc6ece0f4e1768cddf8853bb2d551b"),
        );
    }

    #[test]
    fn the_nonce_is_iv_xor_space_and_counter() {
        let secret = DirectionKey {
            key: Secret::from(&[7; 32]),
            iv: hex_array("a0a1a2a3a4a5a6a7a8a9aaab"),
        };
        let key = SealKey::new(Suite::ChaCha20Poly1305, &secret);
        let nonce = key.0.nonce(0x83, 0x0102_0304);
        assert_eq!(nonce.as_ref(), &hex_array::<12>("23a1a2a3a4a5a6a7a9aba9af"));
    }

    #[test]
    fn other_space_counter_aad_or_suite_does_not_open() {
        let secret = DirectionKey {
            key: Secret::from(&[1; 32]),
            iv: [2; 12],
        };
        for suite in SUITES {
            let mut sealed = b"frame".to_vec();
            let tag = SealKey::new(suite, &secret).seal(0, 9, b"header", &mut sealed);
            sealed.extend_from_slice(&tag);
            let open = |suite, space, counter, aad: &[u8]| {
                OpenKey::new(suite, &secret)
                    .open(space, counter, aad, &mut sealed.clone())
                    .map(|p| p.to_vec())
            };
            assert_eq!(open(suite, 0, 9, b"header"), Some(b"frame".to_vec()));
            assert_eq!(open(suite, 0x80, 9, b"header"), None);
            assert_eq!(open(suite, 0, 10, b"header"), None);
            assert_eq!(open(suite, 0, 9, b"heade"), None);
            for other in SUITES.into_iter().filter(|s| *s != suite) {
                assert_eq!(open(other, 0, 9, b"header"), None);
            }
        }
    }

    #[test]
    fn shorter_than_a_tag_does_not_open() {
        let secret = DirectionKey {
            key: Secret::from(&[1; 32]),
            iv: [2; 12],
        };
        for suite in SUITES {
            for len in 0..TAG_LEN {
                let mut bytes = [0; TAG_LEN];
                assert!(
                    OpenKey::new(suite, &secret)
                        .open(0, 0, b"", &mut bytes[..len])
                        .is_none()
                );
            }
        }
    }

    proptest! {
        /// ring and RustCrypto seal to the same bytes, and each opens what the other has sealed.
        #[test]
        fn two_implementations_agree(key: [u8; 32], iv: [u8; 12], space: u8, counter: u32,
                                     aad in prop::collection::vec(any::<u8>(), 0..40),
                                     plain in prop::collection::vec(any::<u8>(), 0..2000), damage: usize) {
            let secret = DirectionKey {
                key: Secret::from(&key),
                iv,
            };
            let mut nonce = iv;
            nonce[0] ^= space;
            for (n, c) in nonce[8..].iter_mut().zip(counter.to_be_bytes()) {
                *n ^= c;
            }
            let other = ChaCha20Poly1305::new(&key.into());

            let mut ours = plain.clone();
            let tag = SealKey::new(Suite::ChaCha20Poly1305, &secret).seal(space, counter, &aad, &mut ours);
            ours.extend_from_slice(&tag);
            let mut theirs: Vec<u8> = plain.clone();
            other.encrypt_in_place(&nonce.into(), &aad, &mut theirs).unwrap();
            prop_assert_eq!(&ours, &theirs);

            let opener = OpenKey::new(Suite::ChaCha20Poly1305, &secret);
            prop_assert_eq!(opener.open(space, counter, &aad, &mut theirs).unwrap(), &plain);
            let mut opened = ours.clone();
            other.decrypt_in_place(&nonce.into(), &aad, &mut opened).unwrap();
            prop_assert_eq!(&opened, &plain);

            let at = damage % ours.len();
            ours[at] ^= 1;
            prop_assert!(opener.open(space, counter, &aad, &mut ours).is_none());
        }
    }
}
