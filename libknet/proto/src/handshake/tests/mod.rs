//! The two roles against each other and against those who wish them ill, without a network.

mod credentials;
mod forgery;
mod freshness;
mod limits;
mod sessions;

use alloc::{boxed::Box, vec, vec::Vec};
use core::net::SocketAddr;

use super::{
    Handshaker, HandshakerConfig,
    cookie::Mac1Key,
    message::{Input, NewSession, Output, Suite, SuiteSet},
    noise_ik::Initiator,
    prologue,
};
use crate::{
    config::{Credential, PresharedKey, PrivateKey, PublicKey},
    crypto::aead::TAG_LEN,
    drop_reason::DropReason,
    ids::{PeerId, ReceiverIndex, SocketId, WorkerId, Workers},
    path::Path,
    rng::SeededEntropy,
    time::{Span, Time, WallClock},
    wire::handshake_message::{HsInit, INIT_PAYLOAD_LEN, InitPayload},
};

/// The peer slot under which each side knows the other.
const PEER: PeerId = PeerId(7);
/// The time of day at [`Time::ZERO`].
const EPOCH: i64 = 1_700_000_000;

fn at(ms: u64) -> Time {
    // Not at the start of the clock, so that nothing passes because a bucket has never been used.
    Time::ZERO + Span::from_secs(1_000) + Span::from_millis(ms)
}

fn wall(ms: u64) -> WallClock {
    WallClock::from_unix(EPOCH, 0).plus(Span::from_millis(ms))
}

fn address(n: u32) -> SocketAddr {
    SocketAddr::new(core::net::Ipv4Addr::from_bits(0xc000_0200 + n).into(), 7700)
}

/// The path to `remote` through socket `socket`.
fn path_to(socket: u8, remote: SocketAddr) -> Path {
    Path {
        socket: SocketId(socket),
        local: None,
        remote,
    }
}

fn private(n: u8) -> PrivateKey {
    PrivateKey::from_bytes(&[n; 32])
}

struct Host {
    machine: Handshaker,
    /// Where others see its datagrams come from.
    address: SocketAddr,
    /// How far its clock is ahead of the true time, in seconds.
    clock_error: i64,
    queue_depth: usize,
}

impl Host {
    /// A host that differs from others in key, instance and address by `n`.
    fn new(n: u8) -> Self {
        Self::with_suites(n, SuiteSet::of(Suite::ChaCha20Poly1305))
    }

    fn with_suites(n: u8, suites: SuiteSet) -> Self {
        let config = HandshakerConfig {
            private_key: private(n),
            instance: u64::from(n),
            suites,
            partial_checksums: true,
            lanes_max: 1,
            hb_min_ms: 100 + u16::from(n),
            workers: Workers::ONE,
        };
        Self {
            machine: Handshaker::new(config, Box::new(SeededEntropy::new([n; 32]))),
            address: address(u32::from(n)),
            clock_error: 0,
            queue_depth: 0,
        }
    }

    fn knows(mut self, other: u8, psk: [u8; 32]) -> Self {
        self.set_peer(PEER, other, psk);
        self
    }

    fn set_peer(&mut self, peer: PeerId, other: u8, psk: [u8; 32]) {
        self.set_peer_with(peer, other, psk, None);
    }

    fn set_peer_with(&mut self, peer: PeerId, other: u8, psk: [u8; 32], credential: Option<Credential>) {
        let public_key = private(other).public_key();
        let input = Input::SetPeer {
            peer,
            public_key,
            preshared_key: PresharedKey::from_bytes(&psk),
            credential,
        };
        assert!(self.input(0, input).is_empty());
    }

    fn input(&mut self, ms: u64, input: Input) -> Vec<Output> {
        let mut out = vec![];
        let wall = self.wall(ms);
        self.machine
            .handle(at(ms), wall, self.queue_depth, input, &mut out);
        out
    }

    /// Takes a datagram from `source` on socket 0.
    fn receive(&mut self, ms: u64, source: SocketAddr, bytes: &[u8]) -> Vec<Output> {
        self.input(
            ms,
            Input::Datagram {
                path: path_to(0, source),
                bytes: bytes.to_vec(),
            },
        )
    }

    /// The time of day, as its clock has it.
    fn wall(&self, ms: u64) -> WallClock {
        let secs = EPOCH + self.clock_error + (ms / 1000) as i64;
        WallClock::from_unix(secs, (ms % 1000) as u32 * 1_000_000)
    }

    /// Wants a session with the host at `remote`, as the core does, and returns what goes out.
    fn want(&mut self, ms: u64, remote: SocketAddr) -> Vec<u8> {
        let paths = vec![path_to(0, remote)];
        sent(&self.input(ms, Input::Start { peer: PEER, paths }))
    }

    /// Begins a new handshake with the host at `remote`, even if one is under way, and returns its first message.
    fn start(&mut self, ms: u64, remote: SocketAddr) -> Vec<u8> {
        let mut out = vec![];
        let (wall, paths) = (self.wall(ms), [path_to(0, remote)]);
        self.machine.expire(at(ms));
        self.machine
            .begin_anew(at(ms), wall, PEER, &paths, [0; 16], &mut out)
            .unwrap();
        let [(path, bytes)] = <[_; 1]>::try_from(transmits(&out)).expect("one datagram");
        assert_eq!(path, path_to(0, remote));
        bytes
    }
}

/// Two hosts that know each other: the usual initiator (1) and responder (2).
fn pair() -> (Host, Host) {
    (Host::new(1).knows(2, [0; 32]), Host::new(2).knows(1, [0; 32]))
}

/// What is to be sent, answers that wait for their keys included.
fn transmits(out: &[Output]) -> Vec<(Path, Vec<u8>)> {
    out.iter()
        .filter_map(|o| match o {
            Output::Transmit { path, bytes, .. } => Some((*path, bytes.clone())),
            Output::Session(session) => session.reply.clone(),
            Output::Credential(_) | Output::Dropped(_) => None,
        })
        .collect()
}

fn sent(out: &[Output]) -> Vec<u8> {
    let [(_, bytes)] = <[_; 1]>::try_from(transmits(out)).expect("one datagram");
    bytes
}

fn drops(out: &[Output]) -> Vec<DropReason> {
    out.iter()
        .filter_map(|o| {
            if let Output::Dropped(reason) = o {
                Some(*reason)
            } else {
                None
            }
        })
        .collect()
}

/// Nothing but this came out.
#[track_caller]
fn assert_dropped(out: &[Output], reason: DropReason) {
    assert!(
        matches!(out, [Output::Dropped(r)] if *r == reason),
        "expected only a drop ({}), got {out:?}",
        reason.name()
    );
}

fn session(out: Vec<Output>) -> NewSession {
    match <[Output; 1]>::try_from(out) {
        Ok([Output::Session(session)]) => *session,
        other => panic!("expected a session, got {other:?}"),
    }
}

/// A whole exchange; panics unless it takes exactly one round trip.
fn complete(ms: u64, initiator: &mut Host, responder: &mut Host) -> (NewSession, NewSession) {
    let init = initiator.start(ms, responder.address);
    let theirs = session(responder.receive(ms, initiator.address, &init));
    let (_, resp) = theirs.reply.clone().expect("an answer");
    (session(initiator.receive(ms, responder.address, &resp)), theirs)
}

/// A first message from host 1 to host 2 with any contents, and the right MAC1.
struct Crafted {
    header: [u8; 4],
    ephemeral: PrivateKey,
    static_key: PublicKey,
    payload: InitPayload,
}

impl Crafted {
    fn new() -> Self {
        Self {
            header: HsInit::header(1, 1, false),
            ephemeral: private(0x99),
            static_key: private(1).public_key(),
            payload: InitPayload {
                timestamp: wall(0).to_tai64n(),
                suites: SuiteSet::of(Suite::ChaCha20Poly1305),
                speed: 0,
                lanes_max: 1,
                capabilities: 0,
                instance: 1,
                echo: [0; 16],
            },
        }
    }

    fn emit(&self) -> (Initiator, Vec<u8>) {
        let to = private(2).public_key();
        let shared = private(1).shared(&to).unwrap();
        let mut payload = [0; INIT_PAYLOAD_LEN + TAG_LEN];
        payload[..INIT_PAYLOAD_LEN].copy_from_slice(&self.payload.emit());
        let (noise, message) = Initiator::write(
            &prologue(self.header),
            &self.static_key,
            &to,
            &shared,
            self.ephemeral.clone(),
            &mut payload,
        )
        .unwrap();
        let mut bytes = HsInit {
            header: &self.header,
            version_max: 0,
            version_min: 0,
            sender: ReceiverIndex(0x55),
            ephemeral: message.ephemeral.as_bytes(),
            encrypted_static: &message.encrypted_static,
            encrypted_payload: &payload,
            mac1: &[0; 16],
            mac2: &[0; 16],
        }
        .emit();
        Mac1Key::new(&to).put(&mut bytes);
        (noise, bytes)
    }
}
