//! `Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s` (Noise specification, revision 34): the two messages, and the
//! transport keys that come out.
//!
//! ```text
//! <- s
//! ...
//! -> e, es, s, ss      (payload)
//! <- e, ee, se, psk    (payload)
//! ```
//! Every cipher key of this pattern encrypts exactly one thing, so there is no nonce counter here.
//!
//! Payload buffers hold the plaintext and room for the tag behind it; they are encrypted and decrypted in
//! place.

use zeroize::ZeroizeOnDrop;

use super::message::{DirectionKey, Suite};
use crate::{
    config::{PresharedKey, PrivateKey, PublicKey},
    crypto::{
        Secret,
        aead::{TAG_LEN, open_once, seal_once},
        dh::SharedSecret,
        hash::{hash, hkdf},
        secret::with_erased_stack,
    },
};

/// The Noise protocol name.
pub const CONSTRUCTION: &str = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";

/// Length of an encrypted static key in bytes.
pub const ENCRYPTED_KEY_LEN: usize = 32 + TAG_LEN;

/// The message is not authentic: damaged, forged, for somebody else, or made with another preshared key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAuthentic;

/// The initiator, between the first message and the second.
#[derive(ZeroizeOnDrop)]
pub struct Initiator {
    symmetric: Symmetric,
    ephemeral: PrivateKey,
}

/// What the initiator says in clear or encrypted beside the payload.
pub struct InitiatorMessage {
    /// `e`
    pub ephemeral: PublicKey,
    /// `s`, encrypted.
    pub encrypted_static: [u8; ENCRYPTED_KEY_LEN],
}

impl Initiator {
    /// Writes the first message to the owner of `responder`, encrypting `payload` in place. `static_static`
    /// is the secret of our static key and the responder's.
    pub fn write(
        prologue: &[u8],
        own: &PublicKey,
        responder: &PublicKey,
        static_static: &SharedSecret,
        ephemeral: PrivateKey,
        payload: &mut [u8],
    ) -> Result<(Self, InitiatorMessage), NotAuthentic> {
        with_erased_stack(|| {
            let mut symmetric = Symmetric::new(prologue, responder);
            let e = ephemeral.public_key();
            symmetric.mix_ephemeral(&e);
            let key = symmetric.mix_key(dh(&ephemeral, responder)?.as_bytes());
            let mut encrypted_static = [0; ENCRYPTED_KEY_LEN];
            if let Some((key, _)) = encrypted_static.split_first_chunk_mut::<32>() {
                *key = *own.as_bytes();
            }
            symmetric.seal(&key, &mut encrypted_static);
            let key = symmetric.mix_key(static_static.as_bytes());
            symmetric.seal(&key, payload);
            Ok((
                Self { symmetric, ephemeral },
                InitiatorMessage {
                    ephemeral: e,
                    encrypted_static,
                },
            ))
        })
    }

    /// Reads the second message and decrypts `payload` in place. A message that fails leaves everything as it
    /// was, so that a forgery cannot get in the way of the genuine answer.
    pub fn read<'a>(
        &self,
        own: &PrivateKey,
        preshared_key: &PresharedKey,
        ephemeral: &[u8; 32],
        payload: &'a mut [u8],
    ) -> Result<(Split, &'a mut [u8]), NotAuthentic> {
        with_erased_stack(|| {
            let mut symmetric = self.symmetric.clone();
            let e = PublicKey::from_bytes(*ephemeral).map_err(|_| NotAuthentic)?;
            symmetric.mix_ephemeral(&e);
            symmetric.mix_key(dh(&self.ephemeral, &e)?.as_bytes());
            symmetric.mix_key(dh(own, &e)?.as_bytes());
            let key = symmetric.mix_key_and_hash(preshared_key.as_bytes());
            let payload = symmetric.open(&key, payload)?;
            Ok((symmetric.split(), payload))
        })
    }
}

/// The responder, once it knows who says to be calling.
pub struct Responder {
    symmetric: Symmetric,
    their_ephemeral: PublicKey,
}

impl Responder {
    /// Reads the first message as far as the initiator's static key, which is returned as it came: whether it
    /// is a key, and whose, is for the caller to find out.
    pub fn read_static(
        prologue: &[u8],
        own: &PrivateKey,
        own_public: &PublicKey,
        ephemeral: &[u8; 32],
        encrypted_static: &[u8; ENCRYPTED_KEY_LEN],
    ) -> Result<(Self, [u8; 32]), NotAuthentic> {
        let their_ephemeral = PublicKey::from_bytes(*ephemeral).map_err(|_| NotAuthentic)?;
        with_erased_stack(|| {
            let mut symmetric = Symmetric::new(prologue, own_public);
            symmetric.mix_ephemeral(&their_ephemeral);
            let key = symmetric.mix_key(dh(own, &their_ephemeral)?.as_bytes());
            let mut buffer = *encrypted_static;
            let opened = symmetric.open(&key, &mut buffer)?;
            let their_static = <[u8; 32]>::try_from(&*opened).map_err(|_| NotAuthentic)?;
            Ok((
                Self {
                    symmetric,
                    their_ephemeral,
                },
                their_static,
            ))
        })
    }

    /// Reads the rest of the first message, decrypting `payload` in place: proves that the initiator has the
    /// private key of the static key, or that somebody repeats what it once said.
    pub fn read_payload<'a>(
        &mut self,
        static_static: &SharedSecret,
        payload: &'a mut [u8],
    ) -> Result<&'a mut [u8], NotAuthentic> {
        with_erased_stack(|| {
            let key = self.symmetric.mix_key(static_static.as_bytes());
            self.symmetric.open(&key, payload)
        })
    }

    /// Writes the second message, encrypting `payload` in place, and returns its `e` with the keys.
    pub fn write(
        mut self,
        initiator: &PublicKey,
        preshared_key: &PresharedKey,
        ephemeral: &PrivateKey,
        payload: &mut [u8],
    ) -> Result<(PublicKey, Split), NotAuthentic> {
        with_erased_stack(|| {
            let e = ephemeral.public_key();
            self.symmetric.mix_ephemeral(&e);
            self.symmetric
                .mix_key(dh(ephemeral, &self.their_ephemeral)?.as_bytes());
            self.symmetric.mix_key(dh(ephemeral, initiator)?.as_bytes());
            let key = self.symmetric.mix_key_and_hash(preshared_key.as_bytes());
            self.symmetric.seal(&key, payload);
            Ok((e, self.symmetric.split()))
        })
    }
}

/// What Noise's `Split()` leaves: one secret per direction, from which the transport keys are made.
#[derive(ZeroizeOnDrop)]
pub struct Split {
    /// For what the initiator sends.
    pub initiator_to_responder: Secret,
    /// For what the responder sends.
    pub responder_to_initiator: Secret,
}

/// The transport key and IV of one direction. Each suite has labels of its own: no key serves two algorithms.
pub fn direction_key(secret: &Secret, suite: Suite) -> DirectionKey {
    let derive = |label: &[u8; 8]| {
        let mut input = [0; 9];
        for (to, from) in input.iter_mut().zip(label.iter().chain([&suite.code()])) {
            *to = *from;
        }
        let [output] = hkdf::<1>(secret, &input);
        output
    };
    with_erased_stack(|| {
        let mut direction = DirectionKey {
            key: derive(b"kn1 key "),
            iv: [0; 12],
        };
        for (to, from) in direction.iv.iter_mut().zip(derive(b"kn1 iv  ").iter()) {
            *to = *from;
        }
        direction
    })
}

fn dh(private: &PrivateKey, public: &PublicKey) -> Result<SharedSecret, NotAuthentic> {
    private.shared(public).map_err(|_| NotAuthentic)
}

/// Noise's `SymmetricState`: the chaining key and the hash of all that was said.
#[derive(Clone, ZeroizeOnDrop)]
struct Symmetric {
    chaining_key: Secret,
    hash: [u8; 32],
}

impl Symmetric {
    /// The state after the prologue and the pre-message `<- s`.
    fn new(prologue: &[u8], responder: &PublicKey) -> Self {
        let name = hash(&[CONSTRUCTION.as_bytes()]);
        let mut symmetric = Self {
            chaining_key: Secret::from(&name),
            hash: name,
        };
        symmetric.mix_hash(prologue);
        symmetric.mix_hash(responder.as_bytes());
        symmetric
    }

    fn mix_hash(&mut self, data: &[u8]) {
        self.hash = hash(&[&self.hash, data]);
    }

    fn mix_key(&mut self, input: &[u8; 32]) -> Secret {
        let [chaining_key, key] = hkdf::<2>(&self.chaining_key, input);
        self.chaining_key = chaining_key;
        key
    }

    /// The token `e`: patterns with a preshared key mix it into the keys too (§9.2).
    fn mix_ephemeral(&mut self, ephemeral: &PublicKey) {
        self.mix_hash(ephemeral.as_bytes());
        self.mix_key(ephemeral.as_bytes());
    }

    fn mix_key_and_hash(&mut self, input: &[u8; 32]) -> Secret {
        let [chaining_key, mixed, key] = hkdf::<3>(&self.chaining_key, input);
        self.chaining_key = chaining_key;
        self.mix_hash(mixed.as_slice());
        key
    }

    fn seal(&mut self, key: &Secret, text_and_tag: &mut [u8]) {
        seal_once(key, &self.hash, text_and_tag);
        self.mix_hash(text_and_tag);
    }

    fn open<'a>(&mut self, key: &Secret, text_and_tag: &'a mut [u8]) -> Result<&'a mut [u8], NotAuthentic> {
        let before = self.hash;
        self.mix_hash(text_and_tag);
        open_once(key, &before, text_and_tag).ok_or(NotAuthentic)
    }

    fn split(&self) -> Split {
        let [initiator_to_responder, responder_to_initiator] = hkdf::<2>(&self.chaining_key, &[]);
        Split {
            initiator_to_responder,
            responder_to_initiator,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::{
        crypto::{
            aead::{OpenKey, SealKey},
            tests::{hex, hex_array},
        },
        rng::{Entropy, SeededEntropy},
    };

    fn with_tag_room(plaintext: &[u8]) -> Vec<u8> {
        [plaintext, &[0; TAG_LEN]].concat()
    }

    /// One side's keys.
    struct Party {
        private: PrivateKey,
        public: PublicKey,
        ephemeral: PrivateKey,
    }

    impl Party {
        fn new(private: PrivateKey, ephemeral: PrivateKey) -> Self {
            Self {
                public: private.public_key(),
                private,
                ephemeral,
            }
        }

        fn random(entropy: &mut dyn Entropy) -> Self {
            Self::new(PrivateKey::generate(entropy), PrivateKey::generate(entropy))
        }
    }

    /// Both roles against each other: the two messages and the keys that both sides have in the end.
    fn handshake(
        initiator: &Party,
        responder: &Party,
        psk: &PresharedKey,
        prologue: &[u8],
        payloads: [&[u8]; 2],
    ) -> (Vec<u8>, Vec<u8>, Split) {
        let shared = initiator.private.shared(&responder.public).unwrap();
        let mut payload = with_tag_room(payloads[0]);
        let (waiting, message) = Initiator::write(
            prologue,
            &initiator.public,
            &responder.public,
            &shared,
            initiator.ephemeral.clone(),
            &mut payload,
        )
        .unwrap();
        let first = [
            message.ephemeral.as_bytes(),
            &message.encrypted_static[..],
            &payload,
        ]
        .concat();

        let (mut answering, their_static) = Responder::read_static(
            prologue,
            &responder.private,
            &responder.public,
            message.ephemeral.as_bytes(),
            &message.encrypted_static,
        )
        .unwrap();
        assert_eq!(&their_static, initiator.public.as_bytes());
        let shared = responder.private.shared(&initiator.public).unwrap();
        assert_eq!(
            answering.read_payload(&shared, &mut payload).unwrap(),
            payloads[0]
        );

        let mut payload = with_tag_room(payloads[1]);
        let (e, theirs) = answering
            .write(&initiator.public, psk, &responder.ephemeral, &mut payload)
            .unwrap();
        let second = [&e.as_bytes()[..], &payload].concat();

        let (split, read) = waiting
            .read(&initiator.private, psk, e.as_bytes(), &mut payload)
            .unwrap();
        assert_eq!(read, payloads[1]);
        assert_eq!(split.initiator_to_responder, theirs.initiator_to_responder);
        assert_eq!(split.responder_to_initiator, theirs.responder_to_initiator);
        (first, second, split)
    }

    /// A transport message of Noise itself: counter `n` little-endian in the nonce.
    fn noise_transport(secret: &Secret, n: u8, plaintext: &[u8]) -> Vec<u8> {
        let mut iv = [0; 12];
        iv[4] = n;
        let key = SealKey::new(
            Suite::ChaCha20Poly1305,
            &DirectionKey {
                key: secret.clone(),
                iv,
            },
        );
        let mut bytes = plaintext.to_vec();
        let tag = key.seal(0, 0, &[], &mut bytes);
        [&bytes[..], &tag].concat()
    }

    /// From the vectors of cacophony, as listed on the Noise wiki.
    #[test]
    fn published_vector() {
        let initiator = Party::new(
            PrivateKey::from_bytes(&hex_array(
                "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
            )),
            PrivateKey::from_bytes(&hex_array(
                "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
            )),
        );
        let responder = Party::new(
            PrivateKey::from_bytes(&hex_array(
                "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
            )),
            PrivateKey::from_bytes(&hex_array(
                "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
            )),
        );
        let psk = PresharedKey::from_bytes(&hex_array(
            "54686973206973206d7920417573747269616e20706572737065637469766521",
        ));
        let (first, second, split) = handshake(
            &initiator,
            &responder,
            &psk,
            &hex("4a6f686e2047616c74"),
            [
                &hex("4c756477696720766f6e204d69736573"),
                &hex("4d757272617920526f746862617264"),
            ],
        );
        assert_eq!(
            first,
            hex("ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944001e21de9f98ddd8e2ad57527207feb5
                 6253c9c94a9e496782ecfcb2a75fbcaf1b52948cc48daefe660c62119ab5000980c84831215f2441eba616548e832985
                 464cf17e51ee93109008399a21f7e13f")
        );
        assert_eq!(
            second,
            hex("95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843cb765f2caef0751b8f007572dab03222
                 17755c0632f365717edbf34d33e87a")
        );
        let (there, back) = (&split.initiator_to_responder, &split.responder_to_initiator);
        for (secret, n, plaintext, ciphertext) in [
            (
                there,
                0,
                "462e20412e20486179656b",
                "8153ca9833bc3c1b91a7e66e5f4d4f5b59bf9e64c2f20d15f0bba7",
            ),
            (
                back,
                0,
                "4361726c204d656e676572",
                "07af0c9c86e1b4e80f36b04ff7688d51141af3debd0332f0a705ef",
            ),
            (
                there,
                1,
                "4a65616e2d426170746973746520536179",
                "6ab1467c0448cc78394494abaaf23afce0e234315d6e2624dcbfa8a21c1c4d073d",
            ),
            (
                back,
                1,
                "457567656e2042f6686d20766f6e2042617765726b",
                "dfc346c0d2296ae6cf1acf6f12b8456a1dba228cf8d8b774aacf1c47fc53aa80ebc7a4c292",
            ),
        ] {
            assert_eq!(noise_transport(secret, n, &hex(plaintext)), hex(ciphertext));
        }
    }

    /// Both of our roles against both of snow's, message by message and key by key.
    #[test]
    fn ten_thousand_random_handshakes_equal_those_of_snow() {
        let mut entropy = SeededEntropy::new(*b"differential against snow, seed1");
        for round in 0..10_000 {
            let initiator = Party::random(&mut entropy);
            let responder = Party::random(&mut entropy);
            let mut psk = Secret::default();
            if round % 2 == 0 {
                entropy.fill(&mut *psk);
            }
            let psk = PresharedKey::from(psk);
            let mut random_bytes = |most| {
                let mut bytes = alloc::vec![0; entropy.below(most) as usize];
                entropy.fill(&mut bytes);
                bytes
            };
            let (prologue, payloads) = (random_bytes(40), [random_bytes(100), random_bytes(100)]);
            let (first, second, split) = handshake(
                &initiator,
                &responder,
                &psk,
                &prologue,
                [&payloads[0], &payloads[1]],
            );

            let snow = |own: &Party, other: &PublicKey, initiates: bool| {
                let builder = snow::Builder::new(CONSTRUCTION.parse().unwrap())
                    .local_private_key(&*own.private.0)
                    .unwrap()
                    .fixed_ephemeral_key_for_testing_only(&*own.ephemeral.0)
                    .prologue(&prologue)
                    .unwrap()
                    .psk(2, psk.as_bytes())
                    .unwrap();
                if initiates {
                    builder
                        .remote_public_key(other.as_bytes())
                        .unwrap()
                        .build_initiator()
                        .unwrap()
                } else {
                    builder.build_responder().unwrap()
                }
            };
            let mut theirs_i = snow(&initiator, &responder.public, true);
            let mut theirs_r = snow(&responder, &initiator.public, false);
            let mut buffer = [0; 256];
            let len = theirs_i.write_message(&payloads[0], &mut buffer).unwrap();
            assert_eq!(buffer[..len], first, "first message, round {round}");
            let len = theirs_r.read_message(&first, &mut buffer).unwrap();
            assert_eq!(buffer[..len], payloads[0], "first payload, round {round}");
            let len = theirs_r.write_message(&payloads[1], &mut buffer).unwrap();
            assert_eq!(buffer[..len], second, "second message, round {round}");
            let len = theirs_i.read_message(&second, &mut buffer).unwrap();
            assert_eq!(buffer[..len], payloads[1], "second payload, round {round}");

            let mut theirs_i = theirs_i.into_transport_mode().unwrap();
            let mut theirs_r = theirs_r.into_transport_mode().unwrap();
            let len = theirs_i.write_message(b"there", &mut buffer).unwrap();
            assert_eq!(
                buffer[..len],
                noise_transport(&split.initiator_to_responder, 0, b"there")
            );
            let len = theirs_r.write_message(b"back", &mut buffer).unwrap();
            assert_eq!(
                buffer[..len],
                noise_transport(&split.responder_to_initiator, 0, b"back")
            );
        }
    }

    /// Computed with Python's `hmac` and `hashlib.blake2s`.
    #[test]
    fn transport_keys_of_another_implementation() {
        let secret = Secret::from(&core::array::from_fn(|i| i as u8));
        let chacha = direction_key(&secret, Suite::ChaCha20Poly1305);
        assert_eq!(
            *chacha.key,
            hex_array("3403fbc8ff03825f4393e9622bbcc1defa77f01561326588e87ed54a463a4c4e")
        );
        assert_eq!(chacha.iv, hex_array("6f3babcaf314944ec5fece0e"));
        let aes = direction_key(&secret, Suite::Aes256Gcm);
        assert_eq!(
            *aes.key,
            hex_array("b11332e3f56dbedfc5caed9058ec92b042ea327b7967ba2ca74be67302844a58")
        );
        assert_eq!(aes.iv, hex_array("fa45a00479f0ffabc8d87e19"));
    }

    #[test]
    fn another_key_of_the_pair_does_not_fit() {
        let mut entropy = SeededEntropy::new([9; 32]);
        let (initiator, responder) = (Party::random(&mut entropy), Party::random(&mut entropy));
        let (_, _, split) = handshake(&initiator, &responder, &PresharedKey::default(), b"", [b"", b""]);
        let there = direction_key(&split.initiator_to_responder, Suite::Aes256Gcm);
        let back = direction_key(&split.responder_to_initiator, Suite::Aes256Gcm);
        let mut bytes = b"frame".to_vec();
        let tag = SealKey::new(Suite::Aes256Gcm, &there).seal(0, 0, b"", &mut bytes);
        bytes.extend_from_slice(&tag);
        assert!(
            OpenKey::new(Suite::Aes256Gcm, &back)
                .open(0, 0, b"", &mut bytes.clone())
                .is_none()
        );
        assert!(
            OpenKey::new(Suite::Aes256Gcm, &there)
                .open(0, 0, b"", &mut bytes)
                .is_some()
        );
    }
}
