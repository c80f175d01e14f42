//! The side that begins: sends the first message, and reads the answers to it.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{
    cookie::{COOKIE_LIFETIME, Mac1Key, put_mac2},
    handshaker::{Handshaker, StoredCookie},
    message::{NewSession, Output, Role},
    noise_ik::{Initiator, direction_key},
    prologue,
};
use crate::{
    config::{Credential, PrivateKey},
    crypto::aead::TAG_LEN,
    drop_reason::DropReason,
    ids::{MAX_LINKS, PeerId, ReceiverIndex},
    path::Path,
    time::{Span, Time, WallClock},
    token_bucket::{Rate, TokenBucket},
    wire::{
        handshake_message::{
            HsInit, HsResp, InitPayload, PARTIAL_CHECKSUMS, RespPayload, SealedReply, VERSION_MAX,
            VERSION_MIN,
        },
        header::MessageType,
    },
};

/// How long a first message may be answered: its last copy leaves before [`REPEATED_FOR`], and may wait for three seconds and
/// more where all peers of a hub come back at once. An answer that is none any more has cost the hub an exchange of keys.
const ATTEMPT_LIFETIME: Span = Span::from_secs(8);
/// A first message goes out again, as it was, for so long after it was made. Whoever has answered it answers a copy in
/// that time too, without a new exchange of keys; an older one is not taken twice, or its answer comes too late.
const REPEATED_FOR: Span = Span::from_millis(4_500);
/// How many first messages to one peer may be answered at the same time.
const ATTEMPTS_PER_PEER: usize = 3;
/// Answers to a first message that are tried: one from each link at once.
const ANSWERS: Rate = Rate::new(20, MAX_LINKS as u64);
/// RETRYs of a peer that are followed.
const ECHOES: Rate = Rate::new(1, 1);
/// Most cookies kept per peer: for each link one before and one after it changed its address.
const COOKIES_PER_PEER: usize = 2 * MAX_LINKS;
/// How far our clock may step back without a RETRY at each peer. Below the tolerance of the other side.
const CLOCK_STEP: Span = Span::from_secs(300);

/// A first message that may still be answered.
struct Attempt {
    peer: PeerId,
    noise: Initiator,
    started: Time,
    /// Without MAC2.
    message: Vec<u8>,
    /// Where it was sent.
    paths: Vec<Path>,
    answers: TokenBucket,
}

/// All first messages that may still be answered.
#[derive(Default)]
pub(super) struct Attempts {
    by_index: BTreeMap<ReceiverIndex, Attempt>,
    /// In the order in which they end; some are gone already.
    order: VecDeque<(Time, ReceiverIndex)>,
}

impl Attempts {
    pub(super) fn remove(&mut self, index: ReceiverIndex) {
        self.by_index.remove(&index);
    }
}

impl Handshaker {
    /// Sends a first message to `id` along all of `paths`: that which is under way, if it is young, with the cookies that
    /// have come meanwhile, or else a new one.
    pub(super) fn begin(
        &mut self,
        now: Time,
        wall: WallClock,
        id: PeerId,
        paths: &[Path],
        out: &mut Vec<Output>,
    ) -> Result<(), DropReason> {
        let latest = self.peers.get(&id).and_then(|p| p.attempts.last().copied());
        if let Some(index) = latest
            && let Some(attempt) = self.attempts.by_index.get_mut(&index)
            && now.since(attempt.started) < REPEATED_FOR
        {
            for path in paths {
                if !attempt.paths.contains(path) {
                    attempt.paths.push(*path);
                }
            }
            self.transmit(now, index, paths, out);
            return Ok(());
        }
        self.begin_anew(now, wall, id, paths, [0; 16], out)
    }

    /// Sends a new first message, with the `echo` of a RETRY or zeros.
    pub(super) fn begin_anew(
        &mut self,
        now: Time,
        wall: WallClock,
        id: PeerId,
        paths: &[Path],
        echo: [u8; 16],
        out: &mut Vec<Output>,
    ) -> Result<(), DropReason> {
        // Removed while the order to begin was on its way.
        let Some(peer) = self.peers.get_mut(&id) else {
            return Ok(());
        };
        let credential = peer.credential.as_ref().map_or(&[][..], Credential::as_bytes);
        let header = HsInit::header(VERSION_MIN, VERSION_MAX, !credential.is_empty());
        self.last_timestamp = next_timestamp(self.last_timestamp, wall);
        let plaintext = InitPayload {
            timestamp: self.last_timestamp.to_tai64n(),
            suites: self.own.suites,
            speed: 0,
            lanes_max: self.own.lanes_max,
            capabilities: self.own.capabilities,
            instance: self.own.instance,
            echo,
        }
        .emit();
        let mut payload = [&plaintext[..], credential, &[0; TAG_LEN]].concat();
        let public_key = peer.public_key;
        let shared = peer
            .static_static(&self.own.private_key)
            .map_err(|_| DropReason::HandshakeCrypto)?;
        let (noise, message) = Initiator::write(
            &prologue(header),
            &self.own.public_key,
            &public_key,
            shared,
            PrivateKey::generate(&mut *self.entropy),
            &mut payload,
        )
        .map_err(|_| DropReason::HandshakeCrypto)?;
        let index = self
            .indices
            .allocate(&mut *self.entropy, id, self.peers.len(), now)
            .ok_or(DropReason::HandshakeNoIndex)?;
        let mut bytes = HsInit {
            header: &header,
            version_max: VERSION_MAX,
            version_min: VERSION_MIN,
            sender: index,
            ephemeral: message.ephemeral.as_bytes(),
            encrypted_static: &message.encrypted_static,
            encrypted_payload: &payload,
            mac1: &[0; 16],
            mac2: &[0; 16],
        }
        .emit();
        Mac1Key::new(&public_key).put(&mut bytes);

        let Some(peer) = self.peers.get_mut(&id) else {
            return Ok(());
        };
        peer.attempts.push(index);
        let attempt = Attempt {
            peer: id,
            noise,
            started: now,
            message: bytes,
            paths: paths.to_vec(),
            answers: TokenBucket::FULL,
        };
        self.attempts.by_index.insert(index, attempt);
        self.attempts.order.push_back((now + ATTEMPT_LIFETIME, index));
        let surplus = peer.attempts.len().saturating_sub(ATTEMPTS_PER_PEER);
        let oldest = peer.attempts.drain(..surplus).collect();
        self.give_up(oldest);
        self.transmit(now, index, paths, out);
        Ok(())
    }

    /// Sends the first message of this index along `paths`, with the cookies that we have for them.
    fn transmit(&mut self, now: Time, index: ReceiverIndex, paths: &[Path], out: &mut Vec<Output>) {
        let Some(attempt) = self.attempts.by_index.get(&index) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(&attempt.peer) else {
            return;
        };
        peer.cookies.retain(|c| c.until > now);
        for path in paths {
            let mut bytes = attempt.message.clone();
            if let Some(stored) = peer.cookies.iter().find(|c| c.fits(path)) {
                put_mac2(&mut bytes, &stored.cookie);
            }
            out.push(Output::Transmit {
                peer: Some(attempt.peer),
                path: *path,
                bytes,
            });
        }
    }

    /// Reads an `HS_RESP`.
    pub(super) fn read_response(
        &mut self,
        now: Time,
        path: Path,
        bytes: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), DropReason> {
        let resp = HsResp::parse(bytes)?;
        if !self.own.mac1.verify(bytes) {
            return Err(DropReason::HandshakeMac1);
        }
        let attempt = self
            .attempts
            .by_index
            .get_mut(&resp.receiver)
            .ok_or(DropReason::HandshakeUnexpected)?;
        if !(VERSION_MIN..=VERSION_MAX).contains(&resp.version) {
            return Err(DropReason::HandshakeVersion);
        }
        if !attempt.answers.take(ANSWERS, now, 1) {
            return Err(DropReason::HandshakeRate);
        }
        let peer = self
            .peers
            .get_mut(&attempt.peer)
            .ok_or(DropReason::HandshakeUnexpected)?;
        let mut payload = *resp.encrypted_payload;
        let (split, plaintext) = attempt
            .noise
            .read(
                &self.own.private_key,
                &peer.preshared_key,
                resp.ephemeral,
                &mut payload,
            )
            .map_err(|_| DropReason::HandshakeCrypto)?;
        let payload = RespPayload::parse(plaintext)?;
        if payload.version != resp.version {
            return Err(DropReason::HandshakeVersion);
        }
        let offered = self.own.suites.contains(payload.suite)
            && payload.lanes <= self.own.lanes_max
            && payload.capabilities & !self.own.capabilities == 0;
        if !offered {
            return Err(DropReason::HandshakePayload);
        }
        out.push(Output::Session(Box::new(NewSession {
            peer: attempt.peer,
            role: Role::Initiator,
            their_index: resp.sender,
            our_index: resp.receiver,
            suite: payload.suite,
            lanes: payload.lanes,
            partial_checksums: payload.capabilities & PARTIAL_CHECKSUMS != 0,
            version: payload.version,
            peer_instance: payload.instance,
            send: direction_key(&split.initiator_to_responder, payload.suite),
            receive: direction_key(&split.responder_to_initiator, payload.suite),
            path,
            proven: false,
            hb_min_ms: payload.hb_min_ms,
            observed: observed(payload.observed_address, payload.observed_port),
            reply: None,
        })));

        // Older attempts are of no use now. A later one stays: if the responder has read it already, it has
        // put away what it had just made of this one, and only the answer to the later one leads on.
        self.attempts.remove(resp.receiver);
        let done = peer
            .attempts
            .iter()
            .position(|i| *i == resp.receiver)
            .unwrap_or(0);
        let last = done.min(peer.attempts.len().saturating_sub(1));
        let older = peer.attempts.drain(..=last).filter(|i| *i != resp.receiver);
        let older = older.collect();
        self.give_up(older);
        Ok(())
    }

    /// Reads a COOKIE: what is sent along this path from now on carries MAC2.
    pub(super) fn read_cookie(&mut self, now: Time, path: Path, bytes: &[u8]) -> Result<(), DropReason> {
        let (id, secret) = self.open_reply(MessageType::Cookie, path, bytes)?;
        let peer = self.peers.get_mut(&id).ok_or(DropReason::HandshakeUnexpected)?;
        peer.cookies.retain(|c| c.until > now && !c.fits(&path));
        let surplus = peer
            .cookies
            .len()
            .saturating_add(1)
            .saturating_sub(COOKIES_PER_PEER);
        peer.cookies.drain(..surplus);
        peer.cookies.push(StoredCookie {
            socket: path.socket,
            remote: path.remote,
            cookie: secret,
            until: now + COOKIE_LIFETIME,
        });
        Ok(())
    }

    /// Reads a RETRY: begins anew at once, with its echo, along the path it came from.
    pub(super) fn read_retry(
        &mut self,
        now: Time,
        wall: WallClock,
        path: Path,
        bytes: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), DropReason> {
        let (id, echo) = self.open_reply(MessageType::Retry, path, bytes)?;
        let peer = self.peers.get_mut(&id).ok_or(DropReason::HandshakeUnexpected)?;
        if !peer.echoes.take(ECHOES, now, 1) {
            return Err(DropReason::HandshakePeerRate);
        }
        self.begin_anew(now, wall, id, &[path], *echo, out)
    }

    /// Opens a COOKIE or RETRY that answers one of our first messages, on a path that we had sent it along.
    /// (Whoever sees a path can forge these two; this confines the damage to that path.)
    fn open_reply(
        &self,
        kind: MessageType,
        path: Path,
        bytes: &[u8],
    ) -> Result<(PeerId, super::cookie::Cookie), DropReason> {
        let reply = SealedReply::parse(bytes, kind)?;
        let attempt = self
            .attempts
            .by_index
            .get(&reply.receiver)
            .ok_or(DropReason::HandshakeUnexpected)?;
        if !attempt
            .paths
            .iter()
            .any(|p| p.socket == path.socket && p.remote == path.remote)
        {
            return Err(DropReason::HandshakeUnexpected);
        }
        let peer = self
            .peers
            .get(&attempt.peer)
            .ok_or(DropReason::HandshakeUnexpected)?;
        let secret = super::cookie::ReplySeal::new(&peer.public_key)
            .open(&reply, HsInit::parse(&attempt.message)?.mac1)
            .ok_or(DropReason::HandshakeCrypto)?;
        Ok((attempt.peer, secret))
    }

    pub(super) fn expire_attempts(&mut self, now: Time) {
        while let Some((until, index)) = self.attempts.order.front().copied() {
            if until > now {
                break;
            }
            self.attempts.order.pop_front();
            let ended = |a: &Attempt| a.started + ATTEMPT_LIFETIME <= now;
            if self.attempts.by_index.get(&index).is_some_and(ended)
                && let Some(attempt) = self.attempts.by_index.remove(&index)
            {
                self.indices.abandon(index);
                if let Some(peer) = self.peers.get_mut(&attempt.peer) {
                    peer.attempts.retain(|i| *i != index);
                }
            }
        }
    }
}

impl StoredCookie {
    fn fits(&self, path: &Path) -> bool {
        self.socket == path.socket && self.remote == path.remote
    }
}

/// The time stamp after `last` when the time of day is `wall`. A later message has a later time stamp even if
/// the clock stands still or was set back a little. If it was set back far, we follow it: to go on counting
/// from a time that is far ahead would be refused everywhere.
fn next_timestamp(last: WallClock, wall: WallClock) -> WallClock {
    if last <= wall.plus(CLOCK_STEP) {
        wall.max(last.plus(Span::from_nanos(1)))
    } else {
        wall
    }
}

fn observed(address: [u8; 16], port: u16) -> Option<SocketAddr> {
    let address = IpAddr::V6(Ipv6Addr::from(address)).to_canonical();
    (port != 0 && !address.is_unspecified()).then_some(SocketAddr::new(address, port))
}
