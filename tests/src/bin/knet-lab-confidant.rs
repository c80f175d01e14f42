//! A peer of a daemon that tells every secret that the two have between them, so that a test can look for them in the
//! daemon's memory. It waits until the daemon begins, and begins a handshake itself for each line on standard input.
//!
//! For each session it prints three lines of hexadecimal secrets of 32 bytes: `session`, the keys of both directions;
//! `handshake`, which nobody needs when it is over; and `peer`, which both keep as long as they know each other.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    net::{SocketAddr, UdpSocket},
    path::{Path as FilePath, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::{Parser, ValueEnum};
use knet_proto::{
    config::{
        AddressList, InterfaceConfig, LinkConfig, LinkConfigs, MtuPolicy, PeerConfig, PolicyKind, PortRules,
        PresharedKey, PrivateKey, PublicKey, Remote, TapMtu,
    },
    crypto::{
        Secret,
        hash::{hash, hkdf},
    },
    handshake::{
        Handshaker, HandshakerConfig,
        message::{Input, NewSession, Output, Role, Suite, SuiteSet},
        noise_ik::{CONSTRUCTION, direction_key},
    },
    ids::{LinkId, PeerId, SocketId, Workers},
    path::Path,
    rng::Entropy,
    shard::Shard,
    time::{Span, Time, WallClock},
    wire::{
        handshake_message::{HsInit, HsResp},
        virtio_net_header::VirtioNetHeader,
    },
};
use libknet::{OsEntropy, api::value::base64_decode};

const PEER: PeerId = PeerId(0);
const SOCKET: SocketId = SocketId(0);

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Cipher {
    Chacha20Poly1305,
    Aes256Gcm,
}

#[derive(Parser)]
struct Args {
    /// Our address and port.
    own: SocketAddr,
    /// The daemon's.
    daemon: SocketAddr,
    /// File with our private key.
    private_key: PathBuf,
    /// The daemon's public key.
    public_key: String,
    /// File with the preshared key.
    preshared_key: PathBuf,
    /// The best AEAD that we offer.
    cipher: Cipher,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("knet-lab-confidant: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> io::Result<()> {
    let mut confidant = Confidant::new(args)?;
    let socket = UdpSocket::bind(args.own)?;
    socket.set_read_timeout(Some(Duration::from_millis(5)))?;
    let (sender, orders) = mpsc::channel();
    std::thread::spawn(move || {
        io::stdin()
            .lines()
            .map_while(Result::ok)
            .try_for_each(|_| sender.send(()))
    });
    let mut buffer = vec![0; 65_536];
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => confidant.receive(&mut buffer[..length]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => {}
            Err(e) => return Err(e),
        }
        for () in orders.try_iter() {
            let paths = vec![confidant.path];
            confidant.exchange(Input::Start { peer: PEER, paths })?;
        }
        confidant.shard.handle_timeout(confidant.now());
        for datagram in confidant.outgoing()? {
            match socket.send_to(&datagram, args.daemon) {
                Err(e) if e.kind() != ErrorKind::ConnectionRefused => return Err(e),
                _ => {}
            }
        }
    }
}

/// Random bytes that are remembered where they may be a key.
struct Diary(Arc<Mutex<Vec<[u8; 32]>>>);

impl Entropy for Diary {
    fn fill(&mut self, bytes: &mut [u8]) {
        OsEntropy.fill(bytes);
        if let Ok(key) = <[u8; 32]>::try_from(&*bytes) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(key);
        }
    }
}

/// Random bytes that were made before.
struct Again([u8; 32]);

impl Entropy for Again {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0[..bytes.len()]);
    }
}

struct Confidant {
    shard: Shard,
    handshaker: Handshaker,
    diary: Arc<Mutex<Vec<[u8; 32]>>>,
    own: PrivateKey,
    daemon: PublicKey,
    preshared_key: PresharedKey,
    path: Path,
    began: Instant,
}

impl Confidant {
    fn new(args: &Args) -> io::Result<Self> {
        let own = PrivateKey::from_bytes(&key(&read(&args.private_key)?)?);
        let preshared_key = PresharedKey::from_bytes(&key(&read(&args.preshared_key)?)?);
        let daemon = PublicKey::from_bytes(key(&args.public_key)?).map_err(io::Error::other)?;
        let suites = SuiteSet::of(match args.cipher {
            Cipher::Aes256Gcm => Suite::Aes256Gcm,
            Cipher::Chacha20Poly1305 => Suite::ChaCha20Poly1305,
        });
        let instance = OsEntropy.next_u64();
        let config = InterfaceConfig {
            private_key: own.clone(),
            instance,
            suites,
            mac_ageing: Span::from_secs(300),
            tap_mtu: TapMtu::Fixed(1400),
            mtu_policy: MtuPolicy::default(),
            max_frame: 1514,
        };
        let mut shard = Shard::new(&config, Box::new(OsEntropy), Time::ZERO);
        let link = LinkConfig::new(Some(SOCKET), Remote::Dynamic);
        let peer = PeerConfig {
            public_key: daemon,
            preshared_key: preshared_key.clone(),
            credential: None,
            policy: PolicyKind::Passive,
            isolate: false,
            spoke: false,
            lossless: true,
            shutdown: false,
            rules: PortRules::default(),
            static_macs: Vec::new(),
            hub: None,
            links: [(LinkId::default(), link)].into_iter().collect(),
            opened: LinkConfigs::default(),
            gives: AddressList::default(),
            takes: false,
        };
        shard.set_peer(Time::ZERO, PEER, peer).map_err(io::Error::other)?;
        let diary = Arc::default();
        let handshaker = HandshakerConfig {
            private_key: own.clone(),
            instance,
            suites,
            partial_checksums: true,
            lanes_max: 1,
            hb_min_ms: 0,
            workers: Workers::ONE,
        };
        Ok(Self {
            shard,
            handshaker: Handshaker::new(handshaker, Box::new(Diary(Arc::clone(&diary)))),
            diary,
            own,
            daemon,
            preshared_key,
            path: Path {
                socket: SOCKET,
                local: None,
                remote: args.daemon,
            },
            began: Instant::now(),
        })
    }

    fn now(&self) -> Time {
        Time::ZERO + Span::from_nanos(self.began.elapsed().as_nanos() as u64)
    }

    /// A datagram of the daemon. A frame in it is answered by one, so that both directions are used.
    fn receive(&mut self, datagram: &mut [u8]) {
        let (now, path) = (self.now(), self.path);
        let length = datagram.len();
        self.shard.handle_datagrams(now, &path, datagram, length);
        if !self.shard.outbox().frames.is_empty() {
            let mut frame = [0; 60];
            frame[..14].copy_from_slice(&[255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 2, 0x88, 0xb5]);
            self.shard
                .handle_frame(now, &VirtioNetHeader::default(), &mut frame);
        }
        self.shard.outbox().frames.clear();
    }

    fn exchange(&mut self, input: Input) -> io::Result<()> {
        let datagram = match &input {
            Input::Datagram { bytes, .. } => bytes.clone(),
            _ => Vec::new(),
        };
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(io::Error::other)?;
        let wall = WallClock::from_unix(time.as_secs() as i64, time.subsec_nanos());
        let mut outputs = Vec::new();
        self.handshaker.handle(self.now(), wall, 0, input, &mut outputs);
        for output in outputs {
            if let Output::Session(session) = &output {
                self.tell(session, &datagram)?;
            }
            self.shard.handle_handshake(self.now(), output);
        }
        Ok(())
    }

    /// What is to be sent.
    fn outgoing(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let inputs: Vec<Input> = self.shard.outbox().handshake.drain(..).collect();
        inputs.into_iter().try_for_each(|input| self.exchange(input))?;
        let outbox = self.shard.outbox();
        let datagrams = outbox
            .transmits
            .iter()
            .map(|t| outbox.bytes(t).to_vec())
            .collect();
        outbox.clear();
        Ok(datagrams)
    }

    /// Tells what came of the handshake that `datagram` has completed.
    fn tell(&self, session: &NewSession, datagram: &[u8]) -> io::Result<()> {
        let theirs = match session.role {
            Role::Initiator => HsResp::parse(datagram).map(|m| *m.ephemeral),
            Role::Responder => HsInit::parse(datagram).map(|m| *m.ephemeral),
        };
        let theirs = theirs
            .ok()
            .and_then(|e| PublicKey::from_bytes(e).ok())
            .ok_or_else(|| io::Error::other("a session without a message"))?;
        let diary = self.diary.lock().unwrap_or_else(PoisonError::into_inner);
        let (send, receive) = (&session.send.key, &session.receive.key);
        let handshake = diary
            .iter()
            .map(|bytes| self.secrets_of(session, &PrivateKey::generate(&mut Again(*bytes)), &theirs))
            .find(|secrets| {
                secrets
                    .as_ref()
                    .is_ok_and(|s| s.ends_with(&[send.clone(), receive.clone()]))
            })
            .ok_or_else(|| io::Error::other("the session's keys are not those of the handshake"))??;
        let shared = self.own.shared(&self.daemon).map_err(io::Error::other)?;
        let mut out = io::stdout().lock();
        writeln!(out, "session {} {}", hex(send), hex(receive))?;
        let without_keys = &handshake[..handshake.len() - 2];
        let words: Vec<String> = without_keys.iter().map(|s| hex(s)).collect();
        writeln!(out, "handshake {}", words.join(" "))?;
        writeln!(out, "peer {}", hex(shared.as_bytes()))?;
        out.flush()
    }

    /// Every secret of a handshake in which our ephemeral key was `own` and the daemon's `theirs`; the last two are
    /// the keys for what we send and receive. (Noise specification: the chaining keys and cipher keys of `IKpsk2`.)
    fn secrets_of(
        &self,
        session: &NewSession,
        own: &PrivateKey,
        theirs: &PublicKey,
    ) -> io::Result<Vec<Secret>> {
        let shared = |private: &PrivateKey, public| private.shared(public).map_err(io::Error::other);
        let (ours_first, e) = (session.role == Role::Initiator, own.public_key());
        let mixed = shared(own, &self.daemon)?;
        let other_mixed = shared(&self.own, theirs)?;
        let (es, se) = if ours_first {
            (mixed, other_mixed)
        } else {
            (other_mixed, mixed)
        };
        let (first, second) = if ours_first { (&e, theirs) } else { (theirs, &e) };
        let (ss, ee) = (shared(&self.own, &self.daemon)?, shared(own, theirs)?);

        let mut chaining_key = Secret::from(&hash(&[CONSTRUCTION.as_bytes()]));
        [chaining_key] = hkdf(&chaining_key, first.as_bytes());
        let mut secrets: Vec<Secret> = [&es, &ee, &se].map(|s| s.as_bytes().into()).into();
        for input in [
            es.as_bytes(),
            ss.as_bytes(),
            second.as_bytes(),
            ee.as_bytes(),
            se.as_bytes(),
            self.preshared_key.as_bytes(),
        ] {
            let outputs = hkdf::<3>(&chaining_key, input);
            chaining_key = outputs[0].clone();
            secrets.extend(outputs);
        }
        let [there, back] = hkdf::<2>(&chaining_key, &[]);
        let (send, receive) = if ours_first {
            (&there, &back)
        } else {
            (&back, &there)
        };
        let keys = [send, receive].map(|s| direction_key(s, session.suite).key.clone());
        secrets.extend([there.clone(), back.clone()]);
        secrets.extend(keys);
        Ok(secrets)
    }
}

fn read(file: &FilePath) -> io::Result<String> {
    fs::read_to_string(file)
}

fn key(text: &str) -> io::Result<[u8; 32]> {
    base64_decode(text.trim()).ok_or_else(|| io::Error::other(format!("{text}: no key")))
}

fn hex(secret: &[u8; 32]) -> String {
    use std::fmt::Write;
    secret.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
