//! MAC1, MAC2 and the sealed answers COOKIE and RETRY.
//!
//! MAC1 shows that the sender knows our public key: nothing answers before it has been checked. MAC2 shows
//! that the sender receives what is sent to its source address: it is keyed with the cookie that we sent
//! there. Both only gate the expensive part; who the sender is, Noise finds out.

use core::net::{IpAddr, SocketAddr};

use chacha20poly1305::{KeyInit, XChaCha20Poly1305, aead::AeadInOut};
use zeroize::Zeroizing;

use crate::{
    config::PublicKey,
    crypto::{
        Secret,
        aead::TAG_LEN,
        hash::{MAC_LEN, hash, mac, mac_eq},
    },
    ids::ReceiverIndex,
    rng::Entropy,
    time::{Span, Time},
    wire::{
        handshake_message::SealedReply,
        header::{COOKIE_LEN, MessageType},
    },
};

const LABEL_MAC1: &[u8; 8] = b"mac1-kn1";
const LABEL_COOKIE: &[u8; 8] = b"cook-kn1";
const LABEL_ECHO: &[u8; 8] = b"echo-kn1";

/// How long a secret makes cookies.
const SECRET_LIFETIME: Span = Span::from_secs(120);
/// How much longer its cookies are accepted.
const SECRET_GRACE: Span = Span::from_secs(5);
/// How long the receiver of a cookie uses it.
pub const COOKIE_LIFETIME: Span = SECRET_LIFETIME;

/// A cookie, or the echo in a RETRY.
pub type Cookie = Zeroizing<[u8; MAC_LEN]>;

/// Computes and checks the MAC1 of messages *to* one static key.
pub struct Mac1Key([u8; 32]);

impl Mac1Key {
    /// For messages to the owner of `receiver`.
    pub fn new(receiver: &PublicKey) -> Self {
        Self(hash(&[LABEL_MAC1, receiver.as_bytes()]))
    }

    /// Writes MAC1 into a message that ends with MAC1 and MAC2, and returns it. MAC2 is left alone.
    pub fn put(&self, message: &mut [u8]) -> [u8; MAC_LEN] {
        let Some((body, mac1)) = before_mac2(message).and_then(|m| m.split_last_chunk_mut::<MAC_LEN>())
        else {
            return [0; MAC_LEN];
        };
        *mac1 = mac(&self.0, &[body]);
        *mac1
    }

    /// Whether a message that ends with MAC1 and MAC2 has the right MAC1.
    #[must_use]
    pub fn verify(&self, message: &[u8]) -> bool {
        let Some((before_mac2, _)) = message.split_last_chunk::<MAC_LEN>() else {
            return false;
        };
        let Some((body, mac1)) = before_mac2.split_last_chunk::<MAC_LEN>() else {
            return false;
        };
        mac_eq(&mac(&self.0, &[body]), mac1)
    }
}

fn before_mac2(message: &mut [u8]) -> Option<&mut [u8]> {
    message
        .split_last_chunk_mut::<MAC_LEN>()
        .map(|(before, _)| before)
}

/// Writes MAC2 into a message that ends with it.
pub fn put_mac2(message: &mut [u8], cookie: &Cookie) {
    if let Some((before, mac2)) = message.split_last_chunk_mut::<MAC_LEN>() {
        *mac2 = mac(cookie, &[before]);
    }
}

/// Makes cookies, and recognises the messages of those who got one, without remembering any.
pub struct CookieMint {
    current: Secret,
    since: Time,
    /// The secret before, and until when its cookies are good.
    previous: Option<(Secret, Time)>,
}

impl CookieMint {
    /// A mint with a secret of its own.
    pub fn new(entropy: &mut dyn Entropy, now: Time) -> Self {
        Self {
            current: random(entropy),
            since: now,
            previous: None,
        }
    }

    /// The cookie for `source`.
    pub fn mint(&self, source: SocketAddr) -> Cookie {
        cookie(&self.current, source)
    }

    /// Whether `message`, which ends with MAC2, comes from someone who received our cookie at `source`.
    #[must_use]
    pub fn verify(&self, message: &[u8], source: SocketAddr) -> bool {
        let Some((before, mac2)) = message.split_last_chunk::<MAC_LEN>() else {
            return false;
        };
        let fits = |secret| mac_eq(&mac(&cookie(secret, source), &[before]), mac2);
        fits(&self.current) || self.previous.as_ref().is_some_and(|(secret, _)| fits(secret))
    }

    /// Changes the secret when it is due. To be called before the others.
    pub fn rotate(&mut self, entropy: &mut dyn Entropy, now: Time) {
        let age = now.since(self.since);
        if age >= SECRET_LIFETIME {
            let until = self.since + SECRET_LIFETIME + SECRET_GRACE;
            let old = core::mem::replace(&mut self.current, random(entropy));
            self.previous = Some((old, until));
            self.since = now;
        }
        if self.previous.as_ref().is_some_and(|(_, until)| *until <= now) {
            self.previous = None;
        }
    }
}

fn random(entropy: &mut dyn Entropy) -> Secret {
    Secret::filled(|bytes| entropy.fill(bytes))
}

fn cookie(secret: &Secret, source: SocketAddr) -> Cookie {
    Zeroizing::new(mac(secret, &[&source_bytes(source)]))
}

/// A source address in a form that has one spelling per address: IPv4 is mapped into IPv6.
pub fn source_bytes(source: SocketAddr) -> [u8; 18] {
    let mut bytes = [0; 18];
    let (address, port) = (mapped(source.ip()), source.port().to_le_bytes());
    for (to, from) in bytes.iter_mut().zip(address.iter().chain(&port)) {
        *to = *from;
    }
    bytes
}

/// The address as 16 bytes, IPv4 mapped into IPv6.
pub fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Seals the COOKIEs and RETRYs of one responder, and opens them.
pub struct ReplySeal {
    cookie_key: [u8; 32],
    echo_key: [u8; 32],
}

impl ReplySeal {
    /// For answers *from* the owner of `responder`.
    pub fn new(responder: &PublicKey) -> Self {
        Self {
            cookie_key: hash(&[LABEL_COOKIE, responder.as_bytes()]),
            echo_key: hash(&[LABEL_ECHO, responder.as_bytes()]),
        }
    }

    /// The answer of type `kind` to the message with `mac1` from `receiver`.
    pub fn seal(
        &self,
        kind: MessageType,
        receiver: ReceiverIndex,
        mac1: &[u8; MAC_LEN],
        secret: &[u8; MAC_LEN],
        entropy: &mut dyn Entropy,
    ) -> [u8; COOKIE_LEN] {
        let mut nonce = [0; 24];
        entropy.fill(&mut nonce);
        let mut sealed = [0; MAC_LEN + TAG_LEN];
        if let Some((text, tag)) = sealed.split_first_chunk_mut::<MAC_LEN>() {
            *text = *secret;
            match self
                .cipher(kind)
                .encrypt_inout_detached(&nonce.into(), mac1, text.as_mut_slice().into())
            {
                Ok(t) => tag.copy_from_slice(&t),
                Err(_) => text.fill(0),
            }
        }
        SealedReply {
            kind,
            receiver,
            nonce: &nonce,
            sealed: &sealed,
        }
        .emit()
    }

    /// What is in an answer to our message with `mac1`, if it is one.
    pub fn open(&self, reply: &SealedReply<'_>, mac1: &[u8; MAC_LEN]) -> Option<Cookie> {
        let mut sealed = *reply.sealed;
        let (text, tag) = sealed.split_first_chunk_mut::<MAC_LEN>()?;
        let tag = <[u8; TAG_LEN]>::try_from(&*tag).ok()?;
        self.cipher(reply.kind)
            .decrypt_inout_detached(
                &(*reply.nonce).into(),
                mac1,
                text.as_mut_slice().into(),
                &tag.into(),
            )
            .ok()?;
        Some(Zeroizing::new(*text))
    }

    fn cipher(&self, kind: MessageType) -> XChaCha20Poly1305 {
        let key = if kind == MessageType::Retry {
            &self.echo_key
        } else {
            &self.cookie_key
        };
        XChaCha20Poly1305::new(key.into())
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;
    use crate::{config::PrivateKey, crypto::tests::hex_array, rng::SeededEntropy};

    fn public() -> PublicKey {
        PrivateKey::from_bytes(&[0x42; 32]).public_key()
    }

    fn source() -> SocketAddr {
        "192.0.2.1:7700".parse().unwrap()
    }

    fn secs(n: u64) -> Time {
        Time::ZERO + Span::from_secs(n)
    }

    fn message() -> Vec<u8> {
        (0..184).map(|n| n as u8).collect()
    }

    /// Computed with Python's `hashlib.blake2s`.
    #[test]
    fn mac1_and_mac2_of_another_implementation() {
        let key = PublicKey::from_bytes(core::array::from_fn(|i| i as u8)).unwrap();
        let mut bytes = message();
        let mac1 = Mac1Key::new(&key).put(&mut bytes);
        assert_eq!(mac1, hex_array("0c1c2d26ff707a620031db81d6ec561c"));
        assert_eq!(bytes[152..168], mac1);
        put_mac2(&mut bytes, &Zeroizing::new([7; 16]));
        assert_eq!(bytes[168..], hex_array::<16>("1a4e31e38eb0df25efa9370a9dc5d486"));
        assert_eq!(
            *cookie(&Secret::from(&[9; 32]), source()),
            hex_array("276fcd8c3dbc73f8d8201e48f5900a3a")
        );
    }

    #[test]
    fn mac1_fails_for_any_flipped_bit_and_any_other_key() {
        let key = Mac1Key::new(&public());
        let mut bytes = message();
        key.put(&mut bytes);
        assert!(key.verify(&bytes));
        assert!(!Mac1Key::new(&PrivateKey::from_bytes(&[0x43; 32]).public_key()).verify(&bytes));
        for bit in 0..168 * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify(&bytes), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for len in 0..32 {
            assert!(!key.verify(&vec![0; len]));
        }
    }

    #[test]
    fn mac2_needs_the_cookie_of_that_address() {
        let mint = CookieMint::new(&mut SeededEntropy::new([1; 32]), secs(0));
        let mut bytes = message();
        assert!(!mint.verify(&bytes, source()));
        put_mac2(&mut bytes, &mint.mint(source()));
        assert!(mint.verify(&bytes, source()));
        assert!(!mint.verify(&bytes, "192.0.2.1:7701".parse().unwrap()));
        assert!(!mint.verify(&bytes, "192.0.2.2:7700".parse().unwrap()));
        for bit in 0..184 * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!mint.verify(&bytes, source()), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        put_mac2(&mut bytes, &Zeroizing::new([0; 16]));
        assert!(!mint.verify(&bytes, source()));
    }

    #[test]
    fn a_cookie_is_good_until_five_seconds_after_its_secret() {
        let mut entropy = SeededEntropy::new([1; 32]);
        let made = |at: u64, entropy: &mut SeededEntropy| {
            let mut mint = CookieMint::new(entropy, secs(0));
            mint.rotate(entropy, secs(at));
            let mut bytes = message();
            put_mac2(&mut bytes, &mint.mint(source()));
            (mint, bytes)
        };
        for (at, later, good) in [
            (0, 119, true),
            (119, 120, true),
            (119, 124, true),
            (119, 125, false),
            (119, 1000, false),
            (121, 240, true),
        ] {
            let (mut mint, bytes) = made(at, &mut entropy);
            mint.rotate(&mut entropy, secs(later));
            assert_eq!(
                mint.verify(&bytes, source()),
                good,
                "made at {at} s, used at {later} s"
            );
        }
    }

    #[test]
    fn a_reply_opens_only_for_its_message_its_type_and_its_sender() {
        let mut entropy = SeededEntropy::new([1; 32]);
        let seal = ReplySeal::new(&public());
        let other = ReplySeal::new(&PrivateKey::from_bytes(&[0x43; 32]).public_key());
        for (kind, wrong) in [
            (MessageType::Cookie, MessageType::Retry),
            (MessageType::Retry, MessageType::Cookie),
        ] {
            let mut bytes = seal.seal(kind, ReceiverIndex(9), &[1; 16], &[7; 16], &mut entropy);
            let reply = SealedReply::parse(&bytes, kind).unwrap();
            assert_eq!(reply.receiver, ReceiverIndex(9));
            assert_eq!(seal.open(&reply, &[1; 16]).as_deref(), Some(&[7; 16]));
            assert_eq!(seal.open(&reply, &[2; 16]), None);
            assert_eq!(other.open(&reply, &[1; 16]), None);
            assert_eq!(seal.open(&SealedReply { kind: wrong, ..reply }, &[1; 16]), None);
            for bit in 8 * 8..64 * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                let reply = SealedReply::parse(&bytes, kind).unwrap();
                assert_eq!(seal.open(&reply, &[1; 16]), None, "bit {bit}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn each_type_is_sealed_with_the_key_that_the_protocol_names() {
        let mut entropy = SeededEntropy::new([1; 32]);
        for (kind, label) in [
            (MessageType::Cookie, b"cook-kn1"),
            (MessageType::Retry, b"echo-kn1"),
        ] {
            let bytes =
                ReplySeal::new(&public()).seal(kind, ReceiverIndex(9), &[1; 16], &[7; 16], &mut entropy);
            let reply = SealedReply::parse(&bytes, kind).unwrap();
            let key = hash(&[label, public().as_bytes()]);
            let mut text = [7; MAC_LEN];
            let tag = XChaCha20Poly1305::new(&key.into())
                .encrypt_inout_detached(&(*reply.nonce).into(), &[1; 16], text.as_mut_slice().into())
                .unwrap();
            assert_eq!(reply.sealed[..], [&text[..], &tag[..]].concat());
        }
    }

    /// draft-irtf-cfrg-xchacha-03, appendix A.3.1, by the library that seals for us.
    #[test]
    fn xchacha20_poly1305_of_the_draft() {
        let cipher = XChaCha20Poly1305::new(&core::array::from_fn(|i| 0x80 + i as u8).into());
        let nonce: [u8; 24] = core::array::from_fn(|i| 0x40 + i as u8);
        let mut text =
            *b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                          sunscreen would be it.";
        let aad = [
            0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7,
        ];
        let tag = cipher
            .encrypt_inout_detached(&nonce.into(), &aad, text.as_mut_slice().into())
            .unwrap();
        assert_eq!(text[..16], hex_array::<16>("bd6d179d3e83d43b9576579493c0e939"));
        assert_eq!(tag[..], hex_array::<16>("c0875924c1c7987947deafd8780acf49"));
    }
}
