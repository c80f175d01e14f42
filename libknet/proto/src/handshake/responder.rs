//! The side that answers: everything about a first message that arrives.
//!
//! The order of work is from cheap to dear, and nothing is remembered of a stranger: length, MAC1, cookie or
//! a known copy, rate of the source, one Diffie-Hellman exchange, who it is, the payload, freshness; only
//! then an index, the other two exchanges, and keys.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use super::{
    cookie::mapped,
    credential::{Presented, digest},
    freshness::Verdict,
    handshaker::Handshaker,
    message::{NewSession, Output, Role, Suite, SuiteSet},
    noise_ik::{Responder, direction_key},
    prologue,
};
use crate::{
    config::{PrivateKey, PublicKey},
    crypto::aead::TAG_LEN,
    drop_reason::DropReason,
    ids::{PeerId, ReceiverIndex},
    path::Path,
    time::{Span, Time, WallClock},
    token_bucket::Rate,
    wire::{
        handshake_message::{
            HsInit, HsResp, InitPayload, PARTIAL_CHECKSUMS, RESP_PAYLOAD_LEN, RespPayload, VERSION_MAX,
            VERSION_MIN,
        },
        header::{HS_RESP_LEN, MessageType},
    },
};

/// How long an answer is kept for copies of the first message that took another link.
const ANSWER_LIFETIME: Span = Span::from_secs(5);
/// How often it is sent again: over eight links, three times.
const ANSWER_COPIES: u8 = 24;
/// First messages of a peer that are accepted (limits: row 8).
const ACCEPTED: Rate = Rate::new(4, 4);
/// RETRYs to a peer (limits: row 9).
const RETRIES: Rate = Rate::new(1, 1);
/// COOKIEs and RETRYs to all together (limits: row 9). So many at once that where all peers of a hub come back at the same
/// time each of those that wait gets its cookie the first time it asks, and not one in ten. And so many a second that somebody
/// in whose own name others ask, 100,000 times a second all together, has his after a few tries; a reply is less than half of
/// what it answers, and takes 3 µs.
const REPLIES: Rate = Rate::new(40_000, 16_384);
/// So many of these at once are kept for sources that have not had a cookie for a second: many peers may be behind one
/// address, and somebody may ask in the name of ten thousand.
const KEPT_FOR_FIRST: u64 = REPLIES.burst() / 2;
/// Diffie-Hellman exchanges made for anybody (limits: row 7).
const EXCHANGES: Rate = Rate::new(5_000, 256);
/// Heartbeats that all peers together may send in a second, on the link that each uses (limits: row 24). With more than
/// eight thousand peers they become rarer than the usual one per second.
const HEARTBEATS_PER_SECOND: usize = 8_000;
/// How long cookies are demanded after that was too little.
const OVERLOAD: Span = Span::from_secs(1);

/// The answers sent last, for copies of the messages that they answer, by the ephemeral key of these. Bounded
/// by the rate at which first messages are accepted.
#[derive(Default)]
pub(super) struct Answers {
    by_ephemeral: BTreeMap<[u8; 32], Answer>,
    order: VecDeque<(Time, [u8; 32])>,
}

struct Answer {
    peer: PeerId,
    /// MAC1 of the message answered: stands for all of it but MAC2.
    mac1: [u8; 16],
    bytes: [u8; HS_RESP_LEN],
    copies: u8,
}

impl Answers {
    fn insert(&mut self, ephemeral: [u8; 32], answer: Answer, now: Time) {
        self.by_ephemeral.insert(ephemeral, answer);
        self.order.push_back((now + ANSWER_LIFETIME, ephemeral));
    }

    pub(super) fn expire(&mut self, now: Time) {
        while let Some((until, ephemeral)) = self.order.front().copied() {
            if until > now {
                break;
            }
            self.order.pop_front();
            self.by_ephemeral.remove(&ephemeral);
        }
    }
}

impl Handshaker {
    /// Answers a first message, or says why not.
    pub(super) fn answer_init(
        &mut self,
        now: Time,
        wall: WallClock,
        path: Path,
        bytes: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), DropReason> {
        let init = HsInit::parse(bytes)?;
        if !self.own.mac1.verify(bytes) {
            return Err(DropReason::HandshakeMac1);
        }
        let proven = *init.mac2 != [0; 16] && self.cookies.verify(bytes, path.remote);
        if !proven && now < self.cookies_until {
            self.send_cookie(now, path, &init, out);
            return Err(DropReason::HandshakeMac2);
        }
        if let Some(answer) = self.answers.by_ephemeral.get_mut(init.ephemeral)
            && self.peers.contains_key(&answer.peer)
        {
            if answer.mac1 != *init.mac1 || answer.copies >= ANSWER_COPIES {
                return Err(DropReason::HandshakeReplay);
            }
            answer.copies = answer.copies.saturating_add(1);
            out.push(Output::Transmit {
                peer: Some(answer.peer),
                path,
                bytes: answer.bytes.to_vec(),
            });
            return Ok(());
        }
        if let Some(sender) = self.told.sender(init.ephemeral)
            && !self.by_key.contains_key(sender)
        {
            return Err(DropReason::HandshakeUnknownPeer);
        }
        if !self.sources.allow(path.remote.ip(), proven, now) {
            // Somebody else may be using up this source's share in its name: let it prove itself.
            if !proven {
                self.send_cookie(now, path, &init, out);
            }
            return Err(DropReason::HandshakeRate);
        }
        let version = choose_version(init.version_min, init.version_max)?;
        if !self.exchanges.take(EXCHANGES, now, 1) {
            self.cookies_until = now + OVERLOAD;
            return Err(DropReason::HandshakeRate);
        }

        let (mut noise, static_key) = Responder::read_static(
            &prologue(*init.header),
            &self.own.private_key,
            &self.own.public_key,
            init.ephemeral,
            init.encrypted_static,
        )
        .map_err(|_| DropReason::HandshakeCrypto)?;
        // Another encoding of a peer's key is not that peer.
        let static_key = PublicKey::from_bytes(static_key).map_err(|_| DropReason::HandshakeUnknownPeer)?;
        let Some(id) = self.by_key.get(&static_key).copied() else {
            return self.tell_of_stranger(now, path, &init, noise, static_key, out);
        };
        let peer = self.peers.get_mut(&id).ok_or(DropReason::HandshakeUnknownPeer)?;
        let shared = peer
            .static_static(&self.own.private_key)
            .map_err(|_| DropReason::HandshakeCrypto)?;
        let mut payload = init.encrypted_payload.to_vec();
        let plaintext = noise
            .read_payload(shared, &mut payload)
            .map_err(|_| DropReason::HandshakeCrypto)?;
        let (offer, credential) = InitPayload::parse_with_credential(plaintext)?;
        let suite = choose_suite(self.own.suites, offer.suites)?;

        let (own, echoes) = (&self.own, &self.echoes);
        let echo_valid =
            offer.echo != [0; 16] && echoes.verify(&offer.echo, path.remote, static_key.as_bytes(), now);
        match peer
            .freshness
            .judge(&offer.timestamp, init.ephemeral, wall, echo_valid)
        {
            Verdict::Replay => return Err(DropReason::HandshakeReplay),
            Verdict::Stale => {
                if peer.retries.take(RETRIES, now, 1) && self.replies.take(REPLIES, now, 1) {
                    let echo = echoes.mint(path.remote, static_key.as_bytes(), now);
                    let bytes = own.seal.seal(
                        MessageType::Retry,
                        init.sender,
                        init.mac1,
                        &echo,
                        &mut *self.entropy,
                    );
                    out.push(Output::Transmit {
                        peer: Some(id),
                        path,
                        bytes: bytes.to_vec(),
                    });
                }
                return Err(DropReason::HandshakeStale);
            }
            Verdict::Fresh => {}
        }
        if !peer.accepted.take(ACCEPTED, now, 1) {
            return Err(DropReason::HandshakePeerRate);
        }
        let preshared_key = peer.preshared_key.clone();
        let our_index = self
            .indices
            .allocate(&mut *self.entropy, id, self.peers.len(), now)
            .ok_or(DropReason::HandshakeNoIndex)?;
        let accepted = Accepted {
            id,
            static_key,
            preshared_key,
            our_index,
            version,
            suite,
            proven,
        };
        let answered = self.accept(&accepted, noise, &init, &offer, path);
        let (session, bytes) = match answered {
            Ok(done) => done,
            Err(reason) => {
                self.indices.abandon(our_index);
                return Err(reason);
            }
        };
        let digest = (!credential.is_empty()).then(|| digest(credential));
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.freshness.accept(&offer.timestamp, init.ephemeral, wall);
            if self.takes_credentials && digest.is_some() && peer.presented != digest {
                peer.presented = digest;
                out.push(Output::Credential(Box::new(Presented {
                    public_key: static_key,
                    peer: Some(id),
                    credential: credential.to_vec(),
                    remote: path.remote,
                })));
            }
        }
        let answer = Answer {
            peer: id,
            mac1: *init.mac1,
            bytes,
            copies: 0,
        };
        self.answers.insert(*init.ephemeral, answer, now);
        out.push(Output::Session(Box::new(session)));
        Ok(())
    }

    /// Somebody whom we do not know says who he is: whether that is to be believed is for others to find out. He is not
    /// answered before he is a peer, which a copy of his message may find him to be.
    fn tell_of_stranger(
        &mut self,
        now: Time,
        path: Path,
        init: &HsInit<'_>,
        mut noise: Responder,
        static_key: PublicKey,
        out: &mut Vec<Output>,
    ) -> Result<(), DropReason> {
        if !self.takes_credentials || !init.has_credential() {
            return Err(DropReason::HandshakeUnknownPeer);
        }
        if !self.told.may_tell(now) {
            return Err(DropReason::HandshakeCredentialRate);
        }
        let shared = self.own.private_key.shared(&static_key);
        let shared = shared.map_err(|_| DropReason::HandshakeCrypto)?;
        let mut payload = init.encrypted_payload.to_vec();
        let plaintext = noise
            .read_payload(&shared, &mut payload)
            .map_err(|_| DropReason::HandshakeCrypto)?;
        let (offer, credential) = InitPayload::parse_with_credential(plaintext)?;
        choose_suite(self.own.suites, offer.suites)?;
        self.told.insert(*init.ephemeral, static_key, now);
        out.push(Output::Credential(Box::new(Presented {
            public_key: static_key,
            peer: None,
            credential: credential.to_vec(),
            remote: path.remote,
        })));
        Ok(())
    }

    /// Makes keys and answer for a first message that has passed every check.
    fn accept(
        &mut self,
        accepted: &Accepted,
        noise: Responder,
        init: &HsInit<'_>,
        offer: &InitPayload,
        path: Path,
    ) -> Result<(NewSession, [u8; HS_RESP_LEN]), DropReason> {
        let lanes = self.own.lanes_max.min(offer.lanes_max);
        let capabilities = self.own.capabilities & offer.capabilities;
        let mut payload = [0; RESP_PAYLOAD_LEN + TAG_LEN];
        if let Some((plaintext, _)) = payload.split_first_chunk_mut() {
            *plaintext = RespPayload {
                suite: accepted.suite,
                lanes,
                capabilities,
                instance: self.own.instance,
                observed_address: mapped(path.remote.ip()),
                observed_port: path.remote.port(),
                hb_min_ms: self.heartbeats_apart_ms(),
                version: accepted.version,
            }
            .emit();
        }
        let ephemeral = PrivateKey::generate(&mut *self.entropy);
        let (e, split) = noise
            .write(
                &accepted.static_key,
                &accepted.preshared_key,
                &ephemeral,
                &mut payload,
            )
            .map_err(|_| DropReason::HandshakeCrypto)?;
        let mut bytes = HsResp {
            version: accepted.version,
            sender: accepted.our_index,
            receiver: init.sender,
            ephemeral: e.as_bytes(),
            encrypted_payload: &payload,
            mac1: &[0; 16],
        }
        .emit();
        super::cookie::Mac1Key::new(&accepted.static_key).put(&mut bytes);
        let session = NewSession {
            peer: accepted.id,
            role: Role::Responder,
            their_index: init.sender,
            our_index: accepted.our_index,
            suite: accepted.suite,
            lanes,
            partial_checksums: capabilities & PARTIAL_CHECKSUMS != 0,
            version: accepted.version,
            peer_instance: offer.instance,
            send: direction_key(&split.responder_to_initiator, accepted.suite),
            receive: direction_key(&split.initiator_to_responder, accepted.suite),
            path,
            proven: accepted.proven,
            hb_min_ms: 0,
            observed: None,
            reply: Some((path, bytes.to_vec())),
        };
        Ok((session, bytes))
    }

    /// How far apart heartbeats on a link have to be, in ms, for those of all peers together not to be too many.
    fn heartbeats_apart_ms(&self) -> u16 {
        let crowd = self.peers.len().saturating_mul(1000) / HEARTBEATS_PER_SECOND;
        self.own.hb_min_ms.max(u16::try_from(crowd).unwrap_or(u16::MAX))
    }

    fn send_cookie(&mut self, now: Time, path: Path, init: &HsInit<'_>, out: &mut Vec<Output>) {
        let first = self.sources.first_cookie(path.remote.ip(), now);
        let kept = if first { 0 } else { KEPT_FOR_FIRST };
        if self.replies.available(REPLIES, now) > kept {
            self.replies.overdraw(REPLIES, now, 1);
            let cookie = self.cookies.mint(path.remote);
            let seal = &self.own.seal;
            let bytes = seal.seal(
                MessageType::Cookie,
                init.sender,
                init.mac1,
                &cookie,
                &mut *self.entropy,
            );
            out.push(Output::Transmit {
                peer: None,
                path,
                bytes: bytes.to_vec(),
            });
        }
    }
}

/// What has been decided about a first message.
struct Accepted {
    id: PeerId,
    static_key: PublicKey,
    preshared_key: crate::config::PresharedKey,
    our_index: ReceiverIndex,
    version: u8,
    suite: Suite,
    /// Its sender receives where it came from.
    proven: bool,
}

/// The common one, AES-256-GCM rather than ChaCha20-Poly1305: it is offered only by who has the hardware for it.
fn choose_suite(ours: SuiteSet, theirs: SuiteSet) -> Result<Suite, DropReason> {
    [Suite::Aes256Gcm, Suite::ChaCha20Poly1305]
        .into_iter()
        .find(|suite| ours.contains(*suite) && theirs.contains(*suite))
        .ok_or(DropReason::HandshakeCipher)
}

/// The highest version that both speak.
fn choose_version(min: u8, max: u8) -> Result<u8, DropReason> {
    let version = max.min(VERSION_MAX);
    if version >= min.max(VERSION_MIN) {
        Ok(version)
    } else {
        Err(DropReason::HandshakeVersion)
    }
}
