//! What all peers of a shard share while one of them acts: the time, the outbox, the counters.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::hint::black_box;

use super::{
    outbox::{Class, Outbox, Transmit},
    parcel::Parcel,
    tap_mtu::AutoMtu,
};
use crate::{
    arena::{self, Arena},
    config::{InterfaceConfig, PublicKey, TapMtu},
    crypto::secret::on_erased_stack,
    drop_reason::DropReason,
    event::Event,
    ids::{LinkId, PeerId, Seat, SocketId},
    l2::flow_hash::FlowHash,
    link::probe_queue::ProbeQueue,
    offload::checksum::Checksum,
    path::Path,
    reassembly,
    resequencer::Budget,
    rng::Entropy,
    status::InterfaceStatus,
    time::{Span, Time},
    token_bucket::TokenBucket,
    wire::header::{HEADER_LEN, TAG_LEN},
};

/// Frames that wait for a session, over all peers of an interface (limits: row 13). Each of several workers has its
/// share of this, and of all that is limited for the interface as a whole.
pub const WAITING_TOTAL: usize = 64 << 20;

/// Bytes held back to restore the order, over all peers of an interface (limits: row 22).
pub const REORDER_TOTAL: usize = 256 << 20;

/// Bytes of frames that are still to be flooded, of all ports of an interface.
pub const FLOODS_TOTAL: usize = 16 << 20;

/// What is around the packet in a frame of the TAP: Ethernet header and one VLAN tag.
pub const ETHERNET: u16 = 14 + 4;

/// What a full frame of a TAP with this MTU makes on the wire.
pub const fn largest_datagram(tap_mtu: u16) -> u16 {
    tap_mtu.saturating_add(ETHERNET + (HEADER_LEN + TAG_LEN) as u16)
}

/// Peers that send one heartbeat a second each, on a link that they do not use: more of them are asked for fewer.
const SPARE_HEARTBEATS: u64 = 256;

/// For so long after a gap what peers say of us is about the gap. They say it again with each heartbeat.
const JUST_BACK: Span = Span::from_millis(500);
/// A shorter gap makes nobody believe that we are gone.
pub(super) const LONG_GAP: Span = Span::from_millis(100);

/// The surroundings of a peer.
pub struct Env {
    /// Time by which links are judged. It stands still while our own loop does (gap guard).
    pub now: Time,
    /// Time by which keys age.
    pub real: Time,
    /// When the last long gap in our own schedule ended, in judged time.
    pub gap_ended: Option<Time>,
    /// What goes out.
    pub outbox: Outbox,
    /// Random bytes.
    pub entropy: Box<dyn Entropy>,
    /// Links that are to be probed.
    pub probes: ProbeQueue,
    /// Answers to the peers' probes that leave over other links than they came by.
    pub answers_elsewhere: TokenBucket,
    /// Counters of the interface.
    pub status: InterfaceStatus,
    /// Our own identity.
    pub own_key: PublicKey,
    /// Bytes waiting for sessions, all peers together, and the most that may.
    pub waiting: usize,
    pub(crate) waiting_most: usize,
    /// The longest frame that is taken from a peer, in bytes.
    pub max_frame: u16,
    /// MTU of the TAP.
    pub tap_mtu: u16,
    /// What it is to be by the paths, where that is asked for.
    pub auto_mtu: Option<AutoMtu>,
    /// The longest datagram that there is any use for: a full frame of the TAP, sealed. Where the MTU of the TAP
    /// follows the paths it is that of the largest MTU that the TAP could get: else nothing would ever be found
    /// that it could grow to.
    pub largest_datagram: u16,
    /// Frames of the peer that acts, to be forwarded in this order.
    pub delivered: Vec<(Box<[u8]>, Checksum)>,
    /// What may be held back to restore the order, all peers together.
    pub reorder: Budget,
    /// What is left for frames that wait for their pieces, all peers together, of how much.
    pub reassembly: usize,
    pub(super) reassembly_most: usize,
    /// Tells flows apart.
    pub flow_hash: FlowHash,
    /// MTU of the devices that sockets send through, where it is known.
    pub socket_mtus: BTreeMap<SocketId, u32>,
    /// Sockets whose address or carrier is gone.
    pub sockets_down: [u64; 4],
    next_serial: u32,
}

impl Env {
    /// Nothing has happened yet.
    pub fn new(now: Time, config: &InterfaceConfig, mut entropy: Box<dyn Entropy>, seat: Seat) -> Self {
        let flow_hash = FlowHash::new([entropy.next_u64(), entropy.next_u64()]);
        let (own_key, max_frame) = (config.private_key.public_key(), config.max_frame);
        let tap_mtu = config.tap_mtu.at_first();
        let auto_mtu = (config.tap_mtu == TapMtu::Auto).then(|| AutoMtu::new(max_frame));
        let largest_tap_mtu = auto_mtu.as_ref().map_or(tap_mtu, AutoMtu::largest);
        let share = |total| seat.workers.share(total);
        let outbox = Outbox {
            arena: Arena::new(share(arena::MOST)),
            parcels: if seat.is_alone() {
                Vec::new()
            } else {
                seat.workers.all().map(|_| Parcel::default()).collect()
            },
            ..Outbox::default()
        };
        Self {
            now,
            real: now,
            gap_ended: None,
            outbox,
            entropy,
            probes: ProbeQueue::default(),
            answers_elsewhere: TokenBucket::FULL,
            status: InterfaceStatus::default(),
            own_key,
            waiting: 0,
            waiting_most: share(WAITING_TOTAL),
            flow_hash,
            socket_mtus: BTreeMap::new(),
            max_frame,
            tap_mtu,
            auto_mtu,
            largest_datagram: largest_datagram(largest_tap_mtu),
            delivered: Vec::new(),
            reorder: Budget::new(share(REORDER_TOTAL)),
            reassembly: share(reassembly::MAX_BYTES_TOTAL),
            reassembly_most: share(reassembly::MAX_BYTES_TOTAL),
            sockets_down: [0; 4],
            next_serial: 0,
        }
    }

    /// Whether what the peers say of us may be about the time in which we stood still.
    pub fn just_back(&self) -> bool {
        self.gap_ended.is_some_and(|at| self.now.since(at) < JUST_BACK)
    }

    /// Serial number for a new session.
    pub fn serial(&mut self) -> u32 {
        self.next_serial = self.next_serial.wrapping_add(1);
        self.next_serial
    }

    /// How rare heartbeats on links that are not in use have to be, for there to be no more than a certain number of them
    /// from all peers together.
    pub fn crowd_pause(&self) -> Span {
        Span::from_secs(1)
            .times(self.status.peers_up.into())
            .divided_by(SPARE_HEARTBEATS)
    }

    /// Counts a discarded packet.
    pub fn drop(&mut self, reason: DropReason) {
        self.status.drops.count(reason);
    }

    /// Tells what happened. Events go far and are kept long, so each is made anew, where its gaps hold nothing of a key.
    pub fn event(&mut self, event: Event) {
        let events = &mut self.outbox.events;
        match event {
            // It may hold a secret of its own, of which there is to be no second copy.
            Event::Credential(presented) => on_erased_stack(|| events.push(Event::Credential(presented))),
            event => on_erased_stack(|| events.push(black_box(&event).clone())),
        }
    }

    /// Tells what happened to a link.
    pub fn transition(&mut self, peer: PeerId, link: LinkId, t: &crate::link::Transition, srtt: Span) {
        let (from, to, reason, silent) = (t.from, t.to, t.reason, t.silent);
        self.status.links.leave(from);
        self.status.links.enter(to);
        self.event(Event::LinkState {
            peer,
            link,
            from,
            to,
            reason,
            silent,
            srtt,
        });
    }

    /// Sends what has been sealed onto the arena since `start`. `confirms`: see [`Transmit::confirms`].
    ///
    /// By reference: a copy made just before could be read again only when all that was written before it has left the
    /// processor, such as a datagram that was put into a resend ring outside of its cache.
    pub fn transmit(&mut self, class: Class, confirms: bool, path: &Path, start: usize) {
        let range = start..self.outbox.arena.bytes.len();
        self.status.wire_tx.count(range.len());
        self.outbox.transmits.push(Transmit {
            path: *path,
            class,
            confirms,
            begins: false,
            range,
        });
    }

    /// The point of judged time that corresponds to `real`.
    pub fn judged(&self, real: Time) -> Time {
        real - self.real.since(self.now)
    }

    /// Whether the socket's address and interface are there.
    pub fn socket_is_up(&self, socket: SocketId) -> bool {
        self.sockets_down
            .get(usize::from(socket.0 >> 6))
            .is_none_or(|w| w & (1 << (socket.0 & 63)) == 0)
    }

    /// Remembers that a socket's address or interface came or went.
    pub fn set_socket(&mut self, socket: SocketId, up: bool) {
        if let Some(word) = self.sockets_down.get_mut(usize::from(socket.0 >> 6)) {
            let bit = 1 << (socket.0 & 63);
            *word = if up { *word & !bit } else { *word | bit };
        }
    }
}
