//! All peers in one: a shard in which each "peer" is the hub as one of our peers sees it. So a peer costs what the core
//! needs for one, and one loop serves all.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use knet_io::clock;
use knet_proto::{
    config::{
        AddressList, InterfaceConfig, LinkConfig, LinkConfigs, MtuPolicy, PeerConfig, PolicyKind, PortRules,
        PresharedKey, PrivateKey, PublicKey, Remote, TapMtu,
    },
    event::Event,
    handshake::message::Input,
    ids::{LinkId, LinkSet, PeerId, SocketId},
    path::Path,
    rng::Entropy,
    shard::{Outbox, Shard},
    status::{InterfaceStatus, LinkState},
    time::{Span, Time, WallClock},
    wire::header::TransportHeader,
};
use knet_tests::lab::Result;
use libknet::{OsEntropy, suites_of_this_machine};

use crate::{
    authority::Authority,
    greeter::{Done, Greeter, Identity},
    network,
    wire::{Parcel, Wire},
};

/// MTU of the TAP that each peer would have.
pub(crate) const MTU: u16 = 1_400;
/// For so long key exchanges may hold up everything else.
const GREETING: Duration = Duration::from_millis(2);
/// Batches of datagrams taken from each socket in one turn.
const BATCHES: usize = 2;
/// Longer than this late means that we, and not the network, stood still: as in libknet.
const GAP: Span = Span::from_millis(25);

/// The swarm.
pub(crate) struct Swarm {
    shard: Shard,
    wire: Wire,
    greeter: Greeter,
    identities: Vec<Identity>,
    peers: Vec<Peer>,
    hub: PublicKey,
    links: u8,
    /// They take addresses of their TAPs from the hub.
    takes: bool,
    /// Whose session has this index at the hub.
    by_index: HashMap<u32, u16>,
    awake: Time,
    counts: Counts,
    /// Since when it is counted who was complete, and how many were.
    completed: (Time, u32),
    done: Vec<Done>,
    /// A sample of what was sent, to be sent again by somebody else.
    overheard: Vec<(u8, Ipv4Addr, Vec<u8>)>,
}

#[derive(Clone, Copy, Default)]
struct Peer {
    joined: bool,
    /// Links that are up.
    up: LinkSet,
    /// When it was complete: up on all of its links, for the first time since that is counted.
    complete_at: Option<Time>,
    /// When it was told to join.
    joined_at: Time,
    /// Its sessions at the hub, the older one first.
    indices: [u32; 2],
}

/// How the swarm is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Peers that have been told to join.
    pub(crate) joined: u32,
    /// Peers with a session.
    pub(crate) sessions: u32,
    /// Links that are up.
    pub(crate) links: u32,
    /// Peers whose links are all up.
    pub(crate) complete: u32,
}

/// A frame that arrived at one of the peers.
pub(crate) type Arrived<'a> = &'a mut dyn FnMut(Time, &[u8]);

impl Swarm {
    /// `count` peers with new keys, and certificates if there is an authority, none of which has joined. They use this UDP
    /// port for link 0, and those that follow it for the others.
    pub(crate) fn new(
        count: u32,
        links: u8,
        hub: PublicKey,
        port: u16,
        authority: Option<&Authority>,
    ) -> Result<Self> {
        let mut entropy = OsEntropy;
        let suites = suites_of_this_machine();
        let config = InterfaceConfig {
            private_key: PrivateKey::generate(&mut entropy),
            instance: 0,
            suites,
            mac_ageing: Span::from_secs(300),
            tap_mtu: TapMtu::Fixed(MTU),
            mtu_policy: MtuPolicy::default(),
            max_frame: MTU + 14,
        };
        let mut shard = Shard::new(&config, Box::new(OsEntropy), now());
        shard.do_without_bridge();
        let mut identities = Vec::new();
        for number in (0..=u16::MAX).take(count as usize) {
            let key = PrivateKey::generate(&mut entropy);
            let sign = |authority: &Authority| authority.sign(number, key.public_key());
            identities.push(Identity {
                credential: authority.map(sign).transpose()?,
                key,
                instance: entropy.next_u64(),
            });
        }
        Ok(Self {
            shard,
            wire: Wire::new(links, port)?,
            greeter: Greeter::new(hub, suites),
            identities,
            peers: vec![Peer::default(); count as usize],
            hub,
            links,
            takes: false,
            by_index: HashMap::new(),
            awake: now(),
            counts: Counts::default(),
            completed: (Time::ZERO, 0),
            done: Vec::new(),
            overheard: Vec::new(),
        })
    }

    /// Whether those that join from now on take addresses from the hub.
    pub(crate) fn take_addresses(&mut self, takes: bool) {
        self.takes = takes;
    }

    /// How many peers there are, joined or not.
    pub(crate) fn len(&self) -> u32 {
        self.peers.len() as u32
    }

    /// The keys of all peers.
    pub(crate) fn public_keys(&self) -> impl Iterator<Item = (u16, PublicKey)> {
        (0..=u16::MAX).zip(self.identities.iter().map(|i| i.key.public_key()))
    }

    /// All peers make their first messages, each of which takes three multiplications of X25519. They are to be counted as
    /// joining from then on, and on machines of their own they would do it all at once.
    pub(crate) fn prepare(&mut self) {
        let paths: Vec<Path> = (0..self.links)
            .map(|link| Path {
                socket: SocketId(link),
                local: None,
                remote: Wire::hub(link),
            })
            .collect();
        for (number, identity) in (0..=u16::MAX).zip(&mut self.identities) {
            identity.instance = OsEntropy.next_u64();
            self.greeter
                .prepare(number, paths.clone(), wall(), identity, now());
        }
        self.greeter.begin(now());
    }

    /// Peer `number` wants to be with the hub. One that has left comes back as another process.
    pub(crate) fn join(&mut self, number: u16) {
        let now = now();
        let Some(peer) = self.peers.get_mut(usize::from(number)).filter(|p| !p.joined) else {
            return;
        };
        *peer = Peer {
            joined: true,
            joined_at: now,
            ..Peer::default()
        };
        self.counts.joined += 1;
        if !self.greeter.is_engaged(number) {
            self.identities[usize::from(number)].instance = OsEntropy.next_u64();
        }
        let link = |id: LinkId| {
            let remote = Remote::Static(Wire::hub(id.get()));
            (id, LinkConfig::new(Some(SocketId(id.get())), remote))
        };
        let config = PeerConfig {
            public_key: self.hub,
            preshared_key: PresharedKey::default(),
            credential: None,
            policy: PolicyKind::Passive,
            isolate: false,
            spoke: false,
            lossless: true,
            shutdown: false,
            rules: PortRules::default(),
            static_macs: Vec::new(),
            hub: None,
            links: LinkId::all().take(self.links.into()).map(link).collect(),
            opened: LinkConfigs::default(),
            gives: AddressList::default(),
            takes: self.takes,
        };
        // Fails only where static addresses are taken, and there are none.
        let _ = self.shard.set_peer(now, PeerId(number), config);
        self.flush();
    }

    /// Peer `number` says goodbye.
    pub(crate) fn leave(&mut self, number: u16) {
        let Some(peer) = self.peers.get_mut(usize::from(number)).filter(|p| p.joined) else {
            return;
        };
        peer.joined = false;
        self.counts.joined -= 1;
        self.shard.remove_peer(now(), PeerId(number));
        self.flush();
        self.greeter.take(Input::RemovePeer(PeerId(number)));
        for index in std::mem::take(&mut self.peers[usize::from(number)].indices) {
            self.by_index.remove(&index);
        }
    }

    /// Whether peer `number` is there.
    pub(crate) fn has_joined(&self, number: u16) -> bool {
        self.peers.get(usize::from(number)).is_some_and(|p| p.joined)
    }

    /// How it is.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            sessions: self.shard.interface_status().peers_up,
            ..self.counts
        }
    }

    /// What the core has counted.
    pub(crate) fn status(&self) -> InterfaceStatus {
        self.shard.interface_status()
    }

    /// First messages of handshakes sent so far, all retries included.
    pub(crate) fn attempts(&self) -> u64 {
        self.greeter.attempts
    }

    /// Datagrams that did not leave, and that did not find room in our receive buffers.
    pub(crate) fn lost_here(&self) -> (u64, u64) {
        (self.wire.unsent, self.wire.overflowed)
    }

    /// How many peers have been up on all links since `since`.
    pub(crate) fn has_been_complete(&mut self, since: Time) -> u32 {
        if self.completed.0 != since {
            let so_far = self
                .peers
                .iter()
                .filter(|p| p.complete_at.is_some_and(|at| at > since));
            self.completed = (since, so_far.count() as u32);
        }
        self.completed.1
    }

    /// How long after `since`, or after they joined if that was later, peers were complete that became so after it.
    pub(crate) fn complete_after(&self, since: Time) -> Vec<Span> {
        let after = |p: &Peer| {
            let at = p.complete_at.filter(|at| *at > since)?;
            Some(at.since(since.max(p.joined_at)))
        };
        self.peers.iter().filter_map(after).collect()
    }

    /// Sends a frame of peer `from`.
    pub(crate) fn send_frame(&mut self, from: u16, frame: &[u8]) {
        self.shard.send_frame_to(now(), PeerId(from), frame);
    }

    /// Sends datagrams that no peer has made.
    pub(crate) fn send_raw(&mut self, parcels: &[Parcel<Vec<u8>>]) {
        self.wire.send(parcels);
    }

    /// Begins to listen: keeps the next `count` datagrams that peers send.
    pub(crate) fn overhear(&mut self, count: usize) {
        self.overheard = Vec::with_capacity(count);
    }

    /// What was heard.
    pub(crate) fn overheard(&self) -> &[(u8, Ipv4Addr, Vec<u8>)] {
        &self.overheard
    }

    /// One turn: waits for something to do, not longer than until `until`, and does it. `arrived` gets the frames for
    /// the peers' TAPs.
    pub(crate) fn turn(&mut self, until: Time, arrived: Arrived<'_>) -> Result<()> {
        let due = self.shard.poll_timeout().map_or(until, |at| at.min(until));
        let due = if self.greeter.is_idle() { due } else { Time::ZERO };
        self.wire
            .wait(Duration::from_nanos(due.since(now()).as_nanos()))?;
        let now = now();
        let late = now.since(due.max(self.awake));
        self.awake = now;
        if late > GAP {
            self.shard.handle_gap(now, late);
        }
        let shard = &mut self.shard;
        self.wire.receive(BATCHES, |path, bytes, piece| {
            shard.handle_datagrams(now, path, bytes, piece);
            for frame in shard.outbox().frames.drain(..) {
                arrived(now, frame.bytes(bytes));
            }
        })?;
        self.wire.forget_errors();
        self.flush();
        self.greet();
        if self.shard.poll_timeout().is_some_and(|at| at <= now) {
            self.shard.handle_timeout(now);
        }
        for frame in self.shard.outbox().frames.drain(..) {
            arrived(now, frame.bytes(&[]));
        }
        self.flush();
        self.greeter.expire(now);
        Ok(())
    }

    fn greet(&mut self) {
        let began = Instant::now();
        while !self.greeter.is_idle() && began.elapsed() < GREETING {
            let mut done = std::mem::take(&mut self.done);
            self.greeter.step(now(), wall(), &self.identities, &mut done);
            let mut parcels = Vec::new();
            for output in done.drain(..) {
                match output {
                    Done::Transmit(path, bytes) => {
                        if let Some(std::net::IpAddr::V4(from)) = path.local {
                            let link = path.socket.0;
                            parcels.push(Parcel { link, from, bytes });
                        }
                    }
                    Done::Session(session) => {
                        self.note_index(session.peer.0, session.their_index.0);
                        let output = knet_proto::handshake::message::Output::Session(session);
                        self.shard.handle_handshake(now(), output);
                    }
                }
            }
            self.done = done;
            self.wire.send(&parcels);
            self.flush();
        }
    }

    fn note_index(&mut self, number: u16, index: u32) {
        let Some(peer) = self.peers.get_mut(usize::from(number)) else {
            return;
        };
        let [oldest, newer] = peer.indices;
        peer.indices = [newer, index];
        self.by_index.remove(&oldest);
        self.by_index.insert(index, number);
    }

    /// Empties the core's outbox: what was to be sent is under way.
    pub(crate) fn flush(&mut self) {
        if self.shard.outbox().is_empty() {
            return;
        }
        let mut outbox = std::mem::take(self.shard.outbox());
        for input in outbox.handshake.drain(..) {
            self.greeter.take(input);
        }
        for event in outbox.events.drain(..) {
            self.note(&event);
        }
        self.send(&outbox);
        outbox.clear();
        *self.shard.outbox() = outbox;
    }

    /// The core does not know that its peers have addresses of their own: whose a datagram is is told by the index in
    /// it.
    fn send(&mut self, outbox: &Outbox) {
        let parcel = |t: &knet_proto::shard::Transmit| {
            let bytes = outbox.bytes(t);
            let index = TransportHeader::parse(bytes).ok()?.receiver.0;
            Some(Parcel {
                link: t.path.socket.0,
                from: network::peer(*self.by_index.get(&index)?),
                bytes,
            })
        };
        let parcels: Vec<_> = outbox.transmits.iter().filter_map(parcel).collect();
        for p in &parcels {
            if self.overheard.len() < self.overheard.capacity() {
                self.overheard.push((p.link, p.from, p.bytes.to_vec()));
            }
        }
        self.wire.send(&parcels);
    }

    fn note(&mut self, event: &Event) {
        let Event::LinkState {
            peer, link, from, to, ..
        } = event
        else {
            return;
        };
        if *to == LinkState::Up {
            self.link_changed(peer.0, *link, true);
        } else if *from == LinkState::Up {
            self.link_changed(peer.0, *link, false);
        }
    }

    fn link_changed(&mut self, number: u16, link: LinkId, is_up: bool) {
        let links = usize::from(self.links);
        let Some(peer) = self.peers.get_mut(usize::from(number)) else {
            return;
        };
        let before = peer.up;
        peer.up = if is_up {
            before.with(link)
        } else {
            before.without(link)
        };
        self.counts.links = self.counts.links + peer.up.len() as u32 - before.len() as u32;
        match (before.len() == links, peer.up.len() == links) {
            (false, true) => {
                self.counts.complete += 1;
                if peer.complete_at.is_none_or(|at| at <= self.completed.0) {
                    self.completed.1 += 1;
                    peer.complete_at = Some(now());
                }
            }
            (true, false) => self.counts.complete -= 1,
            _ => {}
        }
    }
}

fn wall() -> WallClock {
    let (secs, nanos) = clock::realtime();
    WallClock::from_unix(secs as i64, nanos)
}

/// The time since boot, as libknet has it.
pub(crate) fn now() -> Time {
    Time::from_nanos(clock::boottime_nanos())
}
