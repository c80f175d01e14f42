//! A shard: one interface's peers, its bridge and its timers, owned by one thread.
//!
//! Feed it, then drain it: after each `handle_*` call (or a burst of them) the runtime takes everything out of
//! the [`Outbox`] and clears it. No algorithm lives here; the shard finds whom something concerns and hands
//! it on.

mod configure;
pub mod env;
mod first_hop;
mod flood;
mod forward;
mod hubs;
mod index;
mod look;
mod loops;
mod multicast;
mod news;
pub mod outbox;
mod parcel;
pub mod places;
mod querier;
pub mod tap_mtu;
#[cfg(test)]
mod tests;
mod vlan;

use alloc::{boxed::Box, vec::Vec};
use core::{
    net::SocketAddr,
    ops::{ControlFlow, Range},
};

use crate::{
    config::{InterfaceConfig, MtuPolicy},
    drop_reason::DropReason,
    event::{Event, SessionDownReason},
    handshake::message::{Input, Output},
    ids::{LinkId, PeerId, Seat, SocketId},
    l2::{
        bridge::Bridge, first_hop::FirstHop, multicast::ListenerTable, neighbor::NeighborTable,
        packet_too_big::Answerer,
    },
    offload::{
        Frame,
        checksum::{self, Checksum},
        join::Joins,
    },
    path::Path,
    peer::Peer,
    rng::Entropy,
    status::Port,
    time::{Span, Time},
    timer_wheel::TimerWheel,
    wire::{
        header::{HEADER_LEN, MessageType, TransportHeader, classify},
        virtio_net_header::{VirtioNetHeader, flags, gso},
    },
};
use env::Env;
use flood::Floods;
use hubs::Hubs;
use index::IndexTable;
use news::Others;
pub use news::{News, PeerFacts};
pub use outbox::{Class, Outbox, ProbeReply, TapFrame, TapMtuWish, Transmit};
pub use parcel::Parcel;
use places::Places;
use querier::Asking;
use tap_mtu::AutoMtu;

/// Peers whose time has come, per call of [`Shard::handle_timeout`]: keeps a turn short.
const EXPIRIES_PER_TURN: usize = 1024;
/// Aged addresses of each kind removed per call of [`Shard::handle_timeout`].
const MACS_PER_TURN: usize = 256;
/// A deadline that has receded by so much is followed by its timer at once.
const FAR: Span = Span::from_millis(50);

/// Whose a datagram is; length and checksum of the frame in it, if its turn has come.
type Received = (PeerId, Option<(usize, Checksum)>);

/// One interface's share of the work of one thread.
pub struct Shard {
    seat: Seat,
    env: Env,
    peers: Vec<Option<Box<Peer>>>,
    index: IndexTable,
    /// The peers of other workers.
    others: Others,
    /// Whose link leads where, of all workers.
    places: Places,
    wheel: TimerWheel<PeerId>,
    bridge: Bridge,
    floods: Floods,
    hubs: Hubs,
    neighbors: NeighborTable,
    /// Who listens to which group.
    listeners: ListenerTable,
    asking: Asking,
    first_hop: FirstHop,
    /// Whether frames pass it.
    bridged: bool,
    mtu_policy: MtuPolicy,
    too_big: Answerer,
    joins: Joins,
    /// Where frames that a peer delivered together are made one.
    delivered: Vec<u8>,
    /// Where a frame gets another VLAN tag.
    retagged: Vec<u8>,
    /// How long our own loop has stood still in all: judged time is real time less this.
    stood_still: Span,
}

impl Shard {
    /// A shard without peers that does all the work of its interface.
    pub fn new(config: &InterfaceConfig, entropy: Box<dyn Entropy>, now: Time) -> Self {
        Self::with_seat(config, entropy, now, Seat::ALONE)
    }

    /// A shard without peers that shares the work of its interface with others.
    pub fn with_seat(config: &InterfaceConfig, mut entropy: Box<dyn Entropy>, now: Time, seat: Seat) -> Self {
        let seed = [entropy.next_u64(), entropy.next_u64()];
        let mut neighbors = NeighborTable::new(seed, config.mac_ageing);
        let mut listeners = ListenerTable::default();
        if !seat.is_alone() {
            neighbors.share();
            listeners.share();
        }
        Self {
            seat,
            env: Env::new(now, config, entropy, seat),
            peers: Vec::new(),
            index: IndexTable::default(),
            others: Others::default(),
            places: Places::new(seed),
            wheel: TimerWheel::new(),
            bridge: Bridge::new(seed, config.mac_ageing).seated(seat),
            floods: Floods::new(|total| seat.workers.share(total)),
            hubs: Hubs::default(),
            neighbors,
            listeners,
            asking: Asking::default(),
            first_hop: FirstHop::default(),
            bridged: true,
            mtu_policy: config.mtu_policy,
            too_big: Answerer::new(seat.workers),
            joins: Joins::default(),
            delivered: Vec::new(),
            retagged: Vec::new(),
            stood_still: Span::ZERO,
        }
    }

    // ---- input --------------------------------------------------------------------------------------

    /// Datagrams came over `path`: they lie in `buffer` one after the other, `piece` bytes each, but the last, which may
    /// be shorter. They are decrypted in place, and frames that follow each other are made one; those for the TAP are
    /// in [`Outbox::frames`] then, and have to be taken before the next call.
    pub fn handle_datagrams(&mut self, now: Time, path: &Path, buffer: &mut [u8], piece: usize) {
        self.tick(now);
        let (piece, all) = (piece.max(1), 0..buffer.len());
        let count = all.len().div_ceil(piece).max(1);
        self.env.status.wire_rx.add(count, all.len());
        self.take_datagrams(path, buffer, all, piece);
    }

    /// A frame came from the TAP; `header` says what was left to be done with it. `frame` is completed in place where
    /// that is its checksum.
    pub fn handle_frame(&mut self, now: Time, header: &VirtioNetHeader, frame: &mut [u8]) {
        self.tick(now);
        self.env.status.tap_rx.count(frame.len());
        let mut header = *header;
        if header.gso_type == gso::NONE {
            if frame.len() > usize::from(self.env.max_frame) {
                return self.env.drop(DropReason::FrameLong);
            }
            let is_partial = header.flags & flags::NEEDS_CSUM != 0;
            if is_partial && checksum::complete(frame, header.csum_start, header.csum_offset).is_none() {
                return self.env.drop(DropReason::TapOffload);
            }
            header = VirtioNetHeader::default();
        }
        if self.is_own_datagram(frame) {
            return self.env.drop(DropReason::OwnDatagram);
        }
        self.forward(Port::Tap, Frame::new(header, frame));
    }

    /// The handshake thread says something.
    pub fn handle_handshake(&mut self, now: Time, output: Output) {
        self.tick(now);
        match output {
            Output::Transmit { path, bytes, .. } => {
                let start = self.env.outbox.arena.bytes.len();
                self.env.outbox.arena.bytes.extend_from_slice(&bytes);
                self.env.transmit(Class::Control, false, &path, start);
            }
            Output::Dropped(reason) => self.env.drop(reason),
            Output::Credential(presented) => self.env.event(Event::Credential(presented)),
            Output::Session(new) => {
                let (id, index) = (new.peer, new.our_index);
                let Some(peer) = self.peers.get_mut(usize::from(id.0)).and_then(Option::as_mut) else {
                    self.env.outbox.handshake.push(Input::Release(index));
                    return;
                };
                self.index.insert(index, id);
                peer.install(&mut self.env, new);
                self.settle(id);
            }
        }
    }

    /// The kernel refused to send along `path`: no route, no such address, interface down.
    pub fn handle_send_error(&mut self, now: Time, path: &Path) {
        self.tick(now);
        self.with_peer_at(path, |peer, env| peer.send_error(env, path));
    }

    /// The kernel refused to send a datagram of `size` bytes along `path`, because the device takes no such packets.
    pub fn handle_too_big(&mut self, now: Time, path: &Path, size: usize) {
        self.tick(now);
        self.with_peer_at(path, |peer, env| peer.too_big(env, path, size));
    }

    /// An ICMP message to `socket` claims that the path to `remote` carries packets of at most `mtu` bytes. It may be
    /// forged: it can only cause the size in use to be proven again.
    pub fn handle_mtu_hint(&mut self, now: Time, socket: SocketId, remote: SocketAddr, mtu: u32) {
        self.tick(now);
        self.hint(socket, remote, Some(mtu));
    }

    /// An ICMP message to `socket` claims that `remote` cannot be reached. It may be forged: it can only cause
    /// one question.
    pub fn handle_icmp_hint(&mut self, now: Time, socket: SocketId, remote: SocketAddr) {
        self.tick(now);
        self.hint(socket, remote, None);
    }

    /// The thread that runs the shard stood still for `gap` (it was stopped, or starved). What was missed in
    /// that time is our own fault and not the network's: all deadlines move by as much. To be called first of all
    /// when it goes on, and [`Shard::handle_timeout`] only after the sockets have been drained.
    pub fn handle_gap(&mut self, now: Time, gap: Span) {
        self.stood_still = self.stood_still + gap;
        self.tick(now);
        if gap >= env::LONG_GAP {
            self.env.gap_ended = Some(self.env.now);
        }
        self.env.status.gaps += 1;
        self.env.event(Event::Gap { gap });
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.tick(now);
        for _ in 0..EXPIRIES_PER_TURN {
            let Some(id) = self.wheel.pop_expired(self.env.now) else {
                break;
            };
            if let Some(peer) = self.peers.get_mut(usize::from(id.0)).and_then(Option::as_mut) {
                peer.timer = None;
                peer.timeout(&mut self.env);
            }
            self.settle(id);
            self.forward_delivered(id);
        }
        self.hubs_timeout();
        self.wish_tap_mtu();
        self.bridge.expire(now, MACS_PER_TURN);
        if self.bridge.has_something_to_tell() {
            self.tell_of_bridge();
        }
        self.neighbors.expire(now, MACS_PER_TURN);
        if self.listeners.is_on() {
            self.listeners.expire(now, MACS_PER_TURN);
            self.ask_who_listens();
        }
    }

    /// When [`Shard::handle_timeout`] wants to be called, in the caller's time.
    pub fn poll_timeout(&self) -> Option<Time> {
        // Asked after each turn: a chain of iterators would cost as much as a frame's way through the bridge.
        let sooner = |a: Option<Time>, b: Option<Time>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let judged = sooner(self.wheel.next_deadline(), self.hubs_deadline());
        let tables = sooner(self.bridge.next_expiry(), self.neighbors.next_expiry());
        let tables = sooner(tables, self.listeners.next_expiry());
        let tap_mtu = self.env.auto_mtu.as_ref().and_then(AutoMtu::deadline);
        sooner(judged.map(|at| at + self.stood_still), sooner(tables, tap_mtu))
    }

    /// Says goodbye to every peer.
    pub fn close_all(&mut self, now: Time) {
        self.tick(now);
        for id in self
            .peers
            .iter()
            .flatten()
            .filter(|p| p.is_up())
            .map(|p| p.id)
            .collect::<Vec<_>>()
        {
            self.with(id, |peer, env| peer.close(env, SessionDownReason::Configured));
        }
    }

    // ---- output -------------------------------------------------------------------------------------

    /// What there is to do.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.env.outbox
    }

    /// Counts `n` packets discarded at the rim.
    pub fn count_drops(&mut self, reason: DropReason, n: u64) {
        self.env.status.drops.add(reason, n);
    }

    /// Sends the operator's probe to `peer`, over `link` or the best one; the answer comes as a
    /// [`ProbeReply`] with this token. Returns false if there is no session or no such link.
    pub fn probe(&mut self, now: Time, peer: PeerId, link: Option<LinkId>, token: u64) -> bool {
        self.tick(now);
        let mut sent = false;
        self.with(peer, |peer, env| sent = peer.probe(env, link, token));
        sent
    }

    /// Gives up the data counters below `next` in the session with `peer`, as if they had been used: for tests of what
    /// happens at the end of a session. Counters never go back.
    pub fn skip_data_counters(&mut self, peer: PeerId, next: u32) {
        self.with(peer, |peer, _| peer.skip_data_counters(next));
    }

    // ---- inside -------------------------------------------------------------------------------------

    /// Time never goes back: an earlier `now` counts as the last one.
    fn tick(&mut self, now: Time) {
        self.env.real = self.env.real.max(now);
        self.env.now = self.env.now.max(self.env.real - self.stood_still);
    }

    /// Takes in the datagrams at `all` in `buffer`, at least one, and forwards the frames in them.
    fn take_datagrams(&mut self, path: &Path, buffer: &mut [u8], all: Range<usize>, piece: usize) {
        let mut run = None;
        let mut at = all.start;
        loop {
            let end = at.saturating_add(piece).min(all.end);
            match self.receive(path, buffer.get_mut(at..end).unwrap_or_default()) {
                ControlFlow::Continue((from, frame)) => {
                    if let Some((len, checksum)) = frame {
                        let begin = at + HEADER_LEN;
                        let frame = begin..begin + len;
                        self.gather(&mut run, buffer, from, frame, checksum, TapFrame::received);
                    }
                    // What waited for this one comes behind it.
                    if !self.env.delivered.is_empty() {
                        self.forward_run(&mut run, buffer);
                        self.forward_delivered(from);
                    }
                }
                ControlFlow::Break(Some(reason)) => self.env.drop(reason),
                ControlFlow::Break(None) => {}
            }
            at = end;
            if at >= all.end {
                break;
            }
        }
        self.forward_run(&mut run, buffer);
    }

    /// Takes in one datagram. The frame in it begins behind the header; what else is due then is in `env.delivered`. Or,
    /// where it is nobody's, why it was dropped, if it was.
    fn receive(&mut self, path: &Path, datagram: &mut [u8]) -> ControlFlow<Option<DropReason>, Received> {
        let or_drop = |r: DropReason| ControlFlow::Break(Some(r));
        let kind = match classify(datagram) {
            Ok(kind) => kind,
            Err(reason) => return or_drop(reason),
        };
        if kind.is_handshake() {
            self.env.outbox.handshake.push(Input::Datagram {
                path: *path,
                bytes: datagram.to_vec(),
            });
            return ControlFlow::Break(None);
        }
        let header = match TransportHeader::parse(datagram) {
            Ok(header) => header,
            Err(reason) => return or_drop(reason),
        };
        let Some(id) = self.index.get(header.receiver) else {
            return ControlFlow::Break(match self.seat.workers.of(header.receiver) {
                Some(owner) if owner != self.seat.me => self.hand_over_datagram(owner, path, datagram),
                _ => Some(DropReason::UnknownIndex),
            });
        };
        let Some(peer) = self.peers.get_mut(usize::from(id.0)).and_then(Option::as_mut) else {
            return or_drop(DropReason::UnknownIndex);
        };
        if kind == MessageType::Ctrl {
            peer.receive_ctrl(&mut self.env, &header, path, datagram);
            self.settle(id);
            return ControlFlow::Continue((id, None));
        }
        let was = peer.hot_state();
        let frame = peer.receive_data(&mut self.env, &header, path, datagram);
        let frame = frame.map(|f| (f.len(), Checksum::of(header.partial)));
        if peer.hot_state() != was {
            self.settle(id);
        }
        ControlFlow::Continue((id, frame))
    }

    fn peer(&self, id: PeerId) -> Option<&Peer> {
        self.peers.get(usize::from(id.0)).and_then(Option::as_deref)
    }

    /// Whoever has a link along `path`.
    fn with_peer_at(&mut self, path: &Path, act: impl FnOnce(&mut Peer, &mut Env)) {
        if let Some(id) = self.places.peer_at(path.remote, path.socket) {
            self.with(id, act);
        }
    }

    fn limits_changed(&mut self) {
        for id in self.ids() {
            self.with(id, Peer::limits_changed);
        }
    }

    fn with(&mut self, id: PeerId, act: impl FnOnce(&mut Peer, &mut Env)) {
        self.order(id, act);
        self.forward_delivered(id);
    }

    /// The same for what delivers nothing. Only so may something be done to a peer while another one is being settled: what
    /// that has delivered is still to be forwarded, and as its own.
    fn order(&mut self, id: PeerId, act: impl FnOnce(&mut Peer, &mut Env)) {
        if let Some(peer) = self.peers.get_mut(usize::from(id.0)).and_then(Option::as_mut) {
            act(peer, &mut self.env);
            self.settle(id);
        }
    }

    fn ids(&self) -> Vec<PeerId> {
        self.peers.iter().flatten().map(|p| p.id).collect()
    }

    /// After something happened to a peer: its timer, its place among the peers that are up, its indices, what the TAP's
    /// MTU is to be, and what other workers know of it.
    fn settle(&mut self, id: PeerId) {
        self.release_indices();
        self.follow_paths(id);
        let Some(peer) = self.peers.get_mut(usize::from(id.0)).and_then(Option::as_mut) else {
            return;
        };
        for (old, new) in peer.moved(|remote, socket| self.places.of(remote, socket)) {
            if let Some(old) = old {
                self.places.remove(old, id);
            }
            if let Some(new) = new {
                self.places.insert(new, id);
            }
        }
        let deadline = peer.deadline(&self.env);
        match peer.timer {
            Some((_, at)) if at == deadline => {}
            // Firing early costs less than moving the timer each time a deadline recedes, but for one thing: it wakes up
            // a thread that sleeps. So deadlines that recede by little wait for that, as they do under traffic, and those
            // of a peer that is idle are moved, with each of its heartbeats.
            Some((_, at)) if at < deadline && deadline.since(at) < FAR && at > self.env.now => {}
            Some((timer, _)) if deadline == Time::NEVER => {
                self.wheel.remove(timer);
                peer.timer = None;
            }
            Some((timer, _)) => {
                let moved = self.wheel.reschedule(timer, deadline);
                debug_assert!(moved, "a timer that has fired is taken from its peer");
                peer.timer = Some((timer, deadline));
            }
            None if deadline == Time::NEVER => {}
            None => peer.timer = Some((self.wheel.insert(deadline, id), deadline)),
        }
        let attachment = peer.take_attachment();
        let in_group = peer.config.hub.is_some();
        let is_up = peer.is_up();
        let changes = is_up != peer.counted_up;
        if changes {
            peer.counted_up = is_up;
            self.count_up(id, is_up);
        }
        if let Some(attached) = attachment {
            self.tell_all(News::Attached { peer: id, attached });
            self.attached(id, attached);
        }
        if !self.seat.is_alone() {
            self.tell_of(id);
        }
        if in_group {
            self.hub_settled(id);
        }
        if changes && is_up {
            self.ask_port(id);
        }
    }

    /// A peer that was not up is, or the other way round.
    fn count_up(&mut self, id: PeerId, up: bool) {
        let peers_up = &mut self.env.status.peers_up;
        *peers_up = if up {
            *peers_up + 1
        } else {
            peers_up.saturating_sub(1)
        };
        self.show_up(id);
    }

    /// What is flooded goes to a peer that is up, unless another hub of its group is in use.
    fn show_up(&mut self, id: PeerId) {
        let up = match self.peer(id) {
            Some(peer) => peer.counted_up,
            None => self.others.is_up(id),
        };
        self.bridge.set_up(id, up && self.hubs.uses(id));
    }

    /// A client that has several hubs says that its stations are behind it here, or that they are elsewhere.
    fn attached(&mut self, id: PeerId, attached: bool) {
        if attached {
            self.bridge.welcome(self.env.real, id);
            self.ask_port(id);
        } else {
            self.bridge.dismiss(id);
        }
    }

    fn release_indices(&mut self) {
        while let Some(index) = self.env.outbox.released.pop() {
            self.index.remove(index);
            self.env.outbox.handshake.push(Input::Release(index));
        }
    }
}
