//! A shard and a handshaker against somebody hostile: without keys, with damaged handshakes, and as an
//! authenticated peer that seals whatever it likes.

use std::{collections::BTreeSet, net::SocketAddr, sync::LazyLock};

use knet_proto::{
    config::{
        AddressList, AddressPrefix, Credential, InterfaceConfig, LinkConfigs, MtuPolicy, PeerConfig,
        PolicyKind, PortRules, PresharedKey, PrivateKey, PublicKey, TapMtu,
    },
    crypto::{
        Secret,
        aead::{OpenKey, SealKey},
    },
    handshake::{
        Handshaker, HandshakerConfig,
        message::{DirectionKey, Input as ToHandshaker, NewSession, Output, Role, Suite, SuiteSet},
    },
    ids::{PeerId, ReceiverIndex, SocketId, Workers},
    path::Path,
    rng::SeededEntropy,
    shard::Shard,
    time::{Span, Time, WallClock},
    wire::{
        control_record::{self, Ping, Pong, Record, RecordWriter},
        header::{HEADER_LEN, MessageType, TransportHeader, classify},
        virtio_net_header::{VIRTIO_NET_HEADER_LEN, VirtioNetHeader, flags},
    },
};

use super::Input;

const HOSTILE: PeerId = PeerId(0);
const ABSENT: PeerId = PeerId(1);
const VICTIM: PeerId = PeerId(0);
/// Nobody's peer, with a credential.
const STRANGER: u8 = 4;
const MAX_FRAME: u16 = 1_514;
const START: Time = Time::from_nanos(1_000_000_000);

fn key(n: u8) -> PrivateKey {
    PrivateKey::generate(&mut SeededEntropy::new([n; 32]))
}

fn credential() -> Option<Credential> {
    Credential::new(&[0xce; 60])
}

fn suites() -> SuiteSet {
    SuiteSet::of(Suite::ChaCha20Poly1305)
}

fn handshaker(own: u8, peers: &[(PeerId, u8)]) -> Handshaker {
    let config = HandshakerConfig {
        private_key: key(own),
        instance: u64::from(own),
        suites: suites(),
        partial_checksums: true,
        lanes_max: 1,
        hb_min_ms: 0,
        workers: Workers::ONE,
    };
    let mut handshaker = Handshaker::new(config, Box::new(SeededEntropy::new([100 + own; 32])));
    for (peer, number) in peers {
        let (public_key, preshared_key) = (key(*number).public_key(), PresharedKey::default());
        let outputs = handle(
            &mut handshaker,
            ToHandshaker::SetPeer {
                peer: *peer,
                public_key,
                preshared_key,
                // Only what a stranger says is told of each time.
                credential: (own == STRANGER).then(credential).flatten(),
            },
        );
        assert!(outputs.is_empty());
    }
    handshaker
}

fn handle(handshaker: &mut Handshaker, input: ToHandshaker) -> Vec<Output> {
    let mut outputs = Vec::new();
    handshaker.handle(
        START,
        WallClock::from_unix(1_800_000_000, 0),
        0,
        input,
        &mut outputs,
    );
    outputs
}

/// Four paths: two sockets of the victim, two addresses of the other side.
fn path(n: u8) -> Path {
    let remote = SocketAddr::from(([192, 0, 2, 1 + n / 2 % 2], 7_700));
    Path {
        socket: SocketId(n % 2),
        local: None,
        remote,
    }
}

/// The first message with which this side begins.
fn greeting(handshaker: &mut Handshaker) -> Vec<u8> {
    let start = ToHandshaker::Start {
        peer: VICTIM,
        paths: vec![path(0)],
    };
    match handle(handshaker, start).pop() {
        Some(Output::Transmit { bytes, .. }) => bytes,
        other => panic!("{other:?}"),
    }
}

fn datagram(handshaker: &mut Handshaker, bytes: &[u8]) -> Vec<Output> {
    handle(
        handshaker,
        ToHandshaker::Datagram {
            path: path(0),
            bytes: bytes.to_vec(),
        },
    )
}

fn session(outputs: Vec<Output>) -> Option<Box<NewSession>> {
    outputs.into_iter().find_map(|output| match output {
        Output::Session(new) => Some(new),
        _ => None,
    })
}

/// Genuine handshake messages with some bytes changed, and any others: only the genuine ones make a session.
///
/// The first byte says which message is meant; pairs of position and change follow, or for other messages all
/// of their bytes.
pub fn handshake(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut initiator = handshaker(1, &[(VICTIM, 2)]);
    let mut responder = handshaker(2, &[(HOSTILE, 1), (ABSENT, 3)]);
    handle(&mut responder, ToHandshaker::TakeCredentials(true));
    let init = greeting(&mut initiator);
    match input.byte().unwrap_or(0) % 4 {
        0 => {
            let changed = change(&init, &mut input);
            let made = session(datagram(&mut responder, &changed)).is_some();
            // Nobody looks at MAC2 before there is load.
            assert_eq!(made, changed[..168] == init[..168]);
        }
        1 => {
            let answered = session(datagram(&mut responder, &init)).expect("the genuine message");
            let (_, resp) = answered.reply.clone().expect("a responder answers");
            let changed = change(&resp, &mut input);
            let made = session(datagram(&mut initiator, &changed)).is_some();
            assert_eq!(made, changed == resp);
            // Whatever came before, the genuine answer still counts, once.
            assert_eq!(session(datagram(&mut initiator, &resp)).is_some(), !made);
        }
        3 => {
            let join = greeting(&mut handshaker(STRANGER, &[(VICTIM, 2)]));
            let changed = change(&join, &mut input);
            let outputs = datagram(&mut responder, &changed);
            let told = outputs.iter().any(|output| match output {
                Output::Credential(presented) => {
                    assert_eq!(presented.public_key, key(STRANGER).public_key());
                    assert_eq!(Credential::new(&presented.credential), credential());
                    true
                }
                _ => false,
            });
            let before_mac2 = join.len() - 16;
            assert_eq!(told, changed[..before_mac2] == join[..before_mac2]);
            assert_eq!(outputs.len(), 1);
        }
        _ => {
            for side in [&mut initiator, &mut responder] {
                for output in datagram(side, input.0) {
                    assert!(matches!(output, Output::Dropped(_)), "{output:?}");
                }
            }
        }
    }
}

fn change(message: &[u8], input: &mut Input<'_>) -> Vec<u8> {
    let mut changed = message.to_vec();
    while let Some(at) = input.byte() {
        if let Some(byte) = changed.get_mut(usize::from(at)) {
            *byte ^= input.byte().unwrap_or(0);
        }
    }
    changed
}

/// What an authenticated peer can do with its own session, and a stranger without one, to a shard: nothing but
/// have its own frames delivered, once each, and cost a bounded number of answers.
pub fn hostile_peer(bytes: &[u8]) {
    Attack::new().run(bytes);
}

struct Attack {
    now: Time,
    shard: Shard,
    seal: SealKey,
    open: OpenKey,
    /// Next counter of the lane, and of each link.
    counters: [u32; 9],
    delivered: BTreeSet<u32>,
    /// What an honest peer would still have to answer on each link.
    owed: [Vec<Record>; 8],
}

/// The name of the session on either side.
const INDEX: ReceiverIndex = ReceiverIndex(0x1122_3344);

impl Attack {
    fn new() -> Self {
        static PUBLIC_KEYS: LazyLock<[PublicKey; 2]> = LazyLock::new(|| [1, 3].map(|n| key(n).public_key()));
        let config = InterfaceConfig {
            private_key: PrivateKey::from_bytes(&[2; 32]),
            instance: 2,
            suites: suites(),
            mac_ageing: Span::from_secs(300),
            tap_mtu: TapMtu::Fixed(1430),
            mtu_policy: MtuPolicy::default(),
            max_frame: MAX_FRAME,
        };
        let mut shard = Shard::new(&config, Box::new(SeededEntropy::new([9; 32])), START);
        for (peer, public_key) in [HOSTILE, ABSENT].into_iter().zip(*PUBLIC_KEYS) {
            let config = PeerConfig {
                public_key,
                preshared_key: PresharedKey::default(),
                credential: None,
                policy: PolicyKind::Active,
                isolate: false,
                spoke: true,
                shutdown: false,
                lossless: true,
                rules: PortRules::default(),
                static_macs: Vec::new(),
                hub: None,
                links: LinkConfigs::default(),
                opened: LinkConfigs::default(),
                gives: AddressPrefix::new([10, 200, 0, 7].into(), 16)
                    .and_then(|prefix| AddressList::new([prefix]))
                    .unwrap_or_default(),
                takes: true,
            };
            shard
                .set_peer(START, peer, config)
                .expect("no addresses are configured");
        }
        let direction = |n| DirectionKey {
            key: Secret::from(&[n; 32]),
            iv: [n; 12],
        };
        let suite = Suite::ChaCha20Poly1305;
        let session = NewSession {
            peer: HOSTILE,
            role: Role::Responder,
            their_index: INDEX,
            our_index: INDEX,
            suite,
            lanes: 1,
            partial_checksums: true,
            version: 1,
            peer_instance: 1,
            send: direction(1),
            receive: direction(2),
            path: path(0),
            proven: false,
            hb_min_ms: 0,
            observed: None,
            reply: None,
        };
        shard.handle_handshake(START, Output::Session(Box::new(session)));
        shard.outbox().clear();
        Self {
            now: START,
            shard,
            seal: SealKey::new(suite, &direction(2)),
            open: OpenKey::new(suite, &direction(1)),
            counters: [0; 9],
            delivered: BTreeSet::new(),
            owed: [const { Vec::new() }; 8],
        }
    }

    fn run(&mut self, bytes: &[u8]) {
        let mut input = Input(bytes);
        while let Some(op) = input.byte() {
            self.step(op, &mut input);
        }
    }

    fn step(&mut self, op: u8, input: &mut Input<'_>) {
        let path = path(op >> 3);
        match op % 8 {
            0 | 1 => {
                let link = input.byte().unwrap_or(0) % 8;
                let (back, len) = (input.byte().unwrap_or(0), input.byte().unwrap_or(0));
                let counter = self.counter(1 + usize::from(link), back);
                let sealed = self.sealed(MessageType::Ctrl, link, counter, input.take(usize::from(len)));
                self.receive(&path, &sealed, None);
            }
            2 => {
                // As an honest peer answers.
                let link = input.byte().unwrap_or(0) % 8;
                let mut plaintext = Vec::new();
                let mut writer = RecordWriter::new(&mut plaintext);
                for record in self.owed[usize::from(link)].drain(..) {
                    writer.push(&record);
                }
                if !plaintext.is_empty() {
                    let counter = self.counter(1 + usize::from(link), 0);
                    let sealed = self.sealed(MessageType::Ctrl, link, counter, &plaintext);
                    self.receive(&path, &sealed, None);
                }
            }
            3 | 4 => {
                let (back, len) = (input.byte().unwrap_or(0), input.byte().unwrap_or(0));
                let counter = self.counter(0, back);
                let frame = input.take(usize::from(len));
                let sealed = self.sealed(MessageType::Data, 0, counter, frame);
                self.receive(&path, &sealed, Some((counter, frame)));
            }
            5 => {
                let len = input.byte().unwrap_or(0);
                let piece = input.take(usize::from(len));
                let counter = self.counter(0, 0);
                let sealed = self.sealed(MessageType::Frag, op >> 4, counter, piece);
                self.receive(&path, &sealed, None);
            }
            6 => {
                let len = input.byte().unwrap_or(0);
                let stranger = input.take(usize::from(len)).to_vec();
                let before = self.shard.interface_status().drops.total();
                self.receive(&path, &stranger, None);
                let handed_on = classify(&stranger).is_ok_and(MessageType::is_handshake);
                let dropped = self.shard.interface_status().drops.total() - before;
                assert_eq!(dropped, u64::from(!handed_on), "each datagram is accounted for");
            }
            _ if op & 0x80 != 0 => {
                let len = input.byte().unwrap_or(0);
                let mut frame = input.take(usize::from(len)).to_vec();
                let mut header = [0; VIRTIO_NET_HEADER_LEN];
                if op & 0x40 != 0 {
                    let said = input.take(VIRTIO_NET_HEADER_LEN);
                    header[..said.len()].copy_from_slice(said);
                }
                let header = VirtioNetHeader::parse(&header);
                self.shard.handle_frame(self.now, &header, &mut frame);
            }
            _ => {
                self.now = self.now + Span::from_micros(input.number(3));
                self.shard.handle_timeout(self.now);
                let next = self.shard.poll_timeout();
                assert!(
                    next.is_none_or(|at| at > self.now),
                    "would be called again at once"
                );
            }
        }
        self.check_output();
    }

    /// The next counter of a space, or one that was used `back` steps ago.
    fn counter(&mut self, space: usize, back: u8) -> u32 {
        let next = &mut self.counters[space];
        if back == 0 {
            *next += 1;
            *next - 1
        } else {
            next.saturating_sub(u32::from(back))
        }
    }

    fn sealed(&self, kind: MessageType, space: u8, counter: u32, plaintext: &[u8]) -> Vec<u8> {
        let header = TransportHeader {
            kind,
            space,
            // For the fuzzer to find: anything may be said of anything.
            partial: kind == MessageType::Data && plaintext.last() == Some(&0xc5),
            receiver: INDEX,
            counter,
        };
        let aad = header.emit();
        let mut text = plaintext.to_vec();
        let tag = self.seal.seal(header.nonce_space(), counter, &aad, &mut text);
        [&aad[..], &text, &tag].concat()
    }

    fn receive(&mut self, path: &Path, datagram: &[u8], sent: Option<(u32, &[u8])>) {
        let mut datagram = datagram.to_vec();
        let len = datagram.len();
        self.shard.handle_datagrams(self.now, path, &mut datagram, len);
        let frames = std::mem::take(&mut self.shard.outbox().frames);
        // Not what was held back or put together: that lies elsewhere.
        for frame in frames.iter().filter(|f| f.bytes(&[]).is_empty()) {
            let (header, frame) = (frame.header, frame.bytes(&datagram));
            let (counter, sent) = sent.expect("only DATA carries frames");
            assert_eq!(frame, sent);
            assert!((14..=usize::from(MAX_FRAME)).contains(&frame.len()));
            if header.flags & flags::NEEDS_CSUM != 0 {
                let field = usize::from(header.csum_start) + usize::from(header.csum_offset);
                assert!(field + 2 <= frame.len(), "{header:?}");
            }
            assert!(self.delivered.insert(counter), "delivered twice");
        }
    }

    fn check_output(&mut self) {
        let out = self.shard.outbox();
        assert!(
            // A super-frame of 255 bytes may be cut into as many datagrams, for each link one.
            out.transmits.len() <= 8 * 255 && out.events.len() <= 64 && out.handshake.len() <= 8,
            "{out:?}"
        );
        for transmit in &out.transmits {
            assert!(
                (0..4).any(|n| path(n).remote == transmit.path.remote),
                "sent to nobody"
            );
            let mut bytes = out.bytes(transmit).to_vec();
            let header = TransportHeader::parse(&bytes).expect("what is sent can be received");
            assert_eq!(header.receiver, INDEX);
            let (aad, text) = bytes.split_at_mut(HEADER_LEN);
            let plaintext = self
                .open
                .open(header.nonce_space(), header.counter, aad, text)
                .expect("authentic");
            if header.kind == MessageType::Ctrl {
                let owed = &mut self.owed[usize::from(header.space)];
                owed.extend(
                    control_record::parse(plaintext)
                        .expect("what is sent can be read")
                        .filter_map(|record| answer(&record)),
                );
            }
        }
        out.clear();
        let status = self.shard.peer_status(ABSENT).expect("configured");
        assert!(
            status.session.is_none() && status.links.is_empty(),
            "one peer acts for another"
        );
        let status = self.shard.peer_status(HOSTILE).expect("configured");
        assert!(status.links.len() <= 8 && status.queued <= 128);
    }
}

/// What an honest peer answers to a record.
fn answer(record: &Record) -> Option<Record> {
    match record {
        Record::Ping(Ping { id, t_tx_us, .. }) => Some(Record::Pong(Pong {
            id: *id,
            t_rx_us: *t_tx_us,
            hold_us: 0,
            hb_min_ms: 0,
        })),
        Record::PathChallenge(token) => Some(Record::PathResponse(*token)),
        Record::Addresses { changes, .. } => Some(Record::AddressesAck(Some(*changes))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The attack gets as far as a genuine peer does: frames through, links up, answers back.
    #[test]
    fn the_attacker_has_a_session_that_works() {
        let after = |bytes: &[u8]| {
            let mut attack = Attack::new();
            attack.run(bytes);
            attack
        };
        let attack = after(include_bytes!("../../corpus/hostile_peer/frames_both_ways"));
        assert_eq!(attack.delivered.len(), 1);
        let status = attack.shard.peer_status(HOSTILE).expect("configured");
        assert_eq!(
            (status.duplicates, status.links.len(), status.tx.packets),
            (1, 1, 1)
        );
        let attack = after(include_bytes!("../../corpus/hostile_peer/two_links"));
        assert_eq!(
            attack.shard.peer_status(HOSTILE).expect("configured").links.len(),
            2
        );
        let attack = after(include_bytes!("../../corpus/hostile_peer/close_and_after"));
        assert!(
            attack
                .shard
                .peer_status(HOSTILE)
                .expect("configured")
                .session
                .is_none()
        );
        assert!(attack.delivered.is_empty());
    }
}
