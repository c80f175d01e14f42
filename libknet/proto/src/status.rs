//! Snapshots of the core's state: what `show` prints.

use alloc::{sync::Arc, vec::Vec};
use core::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU8,
};

use crate::{
    arena,
    drop_reason::DropCounters,
    handshake::message::{Role, Suite},
    hub_group::{Standing, TakeOverReason},
    ids::{LinkId, MAX_LINKS, MAX_PEERS, MacAddr, PeerId, SocketId},
    l2::{multicast::Heard, source_guard::GuardDrops, vlan::VlanId},
    link::path_mtu::LimitReason,
    reassembly,
    resend_ring::RingStats,
    resequencer,
    shard::env::{FLOODS_TOTAL, REORDER_TOTAL, WAITING_TOTAL},
    time::Span,
    wire::{address_list::AddressList, control_record::ReceiveQuality},
};

/// State of the sending side of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkState {
    /// Switched off by the operator here or at the other end.
    AdminDown,
    /// The local interface has no carrier or the address is gone.
    LocalDown,
    /// No address to send to yet, or probes go unanswered.
    #[default]
    Down,
    /// Answers arrive; not enough of them yet, or held down after flapping.
    Probing,
    /// In doubt: something was sent and no sign of it came back in time.
    Suspect,
    /// In use, or ready to be.
    Up,
}

impl LinkState {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AdminDown,
        Self::LocalDown,
        Self::Down,
        Self::Probing,
        Self::Suspect,
        Self::Up,
    ];

    /// The word that `show links` prints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AdminDown => "admin-down",
            Self::LocalDown => "local-down",
            Self::Down => "down",
            Self::Probing => "probing",
            Self::Suspect => "suspect",
            Self::Up => "up",
        }
    }
}

/// A port of the learning bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// The TAP.
    Tap,
    /// A peer.
    Peer(PeerId),
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many packets.
    pub packets: u64,
    /// Bytes in them: of datagrams the UDP payload, of frames without FCS.
    pub bytes: u64,
}

impl Traffic {
    /// Counts one packet of `bytes` bytes.
    pub fn count(&mut self, bytes: usize) {
        self.add(1, bytes);
    }

    /// Counts some packets of `bytes` bytes together.
    pub fn add(&mut self, packets: usize, bytes: usize) {
        self.packets = self.packets.wrapping_add(packets as u64);
        self.bytes = self.bytes.wrapping_add(bytes as u64);
    }
}

/// One interface.
#[derive(Clone, Debug, Default)]
pub struct InterfaceStatus {
    /// Peers configured.
    pub peers: u32,
    /// Peers with a confirmed session.
    pub peers_up: u32,
    /// Frames read from the TAP.
    pub tap_rx: Traffic,
    /// Frames written to the TAP.
    pub tap_tx: Traffic,
    /// Datagrams received.
    pub wire_rx: Traffic,
    /// Datagrams sent.
    pub wire_tx: Traffic,
    /// Frames relayed from one peer to another.
    pub relayed: Traffic,
    /// What was handed to other workers.
    pub handed: Handover,
    /// What other workers have handed over.
    pub taken: Handover,
    /// MAC addresses in the table.
    pub macs: u32,
    /// IP addresses of stations that are known.
    pub neighbors: u32,
    /// Questions for such an address that were answered here.
    pub neighbor_answers: u64,
    /// Multicast groups that ports listen to, counted for each port.
    pub listeners: u32,
    /// MTU of the TAP in bytes.
    pub tap_mtu: u16,
    /// Sessions established since start.
    pub handshakes: u64,
    /// Times that our own loop stood still for too long.
    pub gaps: u64,
    /// Everything that was discarded, by reason.
    pub drops: DropCounters,
    /// The links of its peers.
    pub links: LinkCounts,
    /// Datagrams sent again over another link.
    pub resent: Traffic,
}

/// How many links are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts([u32; LinkState::ALL.len()]);

impl LinkCounts {
    /// How many are in `state`.
    pub const fn get(&self, state: LinkState) -> u32 {
        self.0[state as usize]
    }

    /// One more is in `state`.
    pub const fn enter(&mut self, state: LinkState) {
        self.0[state as usize] += 1;
    }

    /// One less is.
    pub const fn leave(&mut self, state: LinkState) {
        let count = &mut self.0[state as usize];
        debug_assert!(*count > 0, "each link that leaves a state has entered it");
        *count = count.saturating_sub(1);
    }

    /// Adds those of others.
    pub fn add(&mut self, others: &Self) {
        for (all, more) in self.0.iter_mut().zip(others.0) {
            *all += more;
        }
    }
}

/// What goes from one worker of an interface to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handover {
    /// Frames for peers of the other. A flooded frame counts once for each worker that has it.
    pub frames: Traffic,
    /// Datagrams that came to a worker that does not own their session. There are none where the kernel steers them.
    pub datagrams: Traffic,
}

/// What a shard holds for traffic under way. All of it but timers, indices and paths is zero a few seconds after the
/// traffic has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Bytes of memory with datagrams in them that may have to go out again.
    pub ring_bytes: usize,
    /// Bytes held back to restore the order.
    pub reorder_bytes: usize,
    /// Bytes of frames that wait for the rest of their pieces.
    pub reassembly_bytes: usize,
    /// Bytes of frames that wait for a session.
    pub waiting_bytes: usize,
    /// Bytes of frames that have not been flooded to all peers yet.
    pub flood_bytes: usize,
    /// Timers set: one per peer at most.
    pub timers: usize,
    /// Receiver indices, each of a session: three per peer at most.
    pub indices: usize,
    /// Addresses that links lead to.
    pub paths: usize,
}

impl Holdings {
    /// The bound of each.
    pub const BOUNDS: Self = Self {
        ring_bytes: arena::MOST,
        reorder_bytes: REORDER_TOTAL,
        reassembly_bytes: reassembly::MAX_BYTES_TOTAL,
        waiting_bytes: WAITING_TOTAL,
        flood_bytes: FLOODS_TOTAL,
        timers: MAX_PEERS,
        indices: 3 * MAX_PEERS,
        paths: MAX_PEERS * MAX_LINKS,
    };
}

/// One peer.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// Its slot.
    pub peer: PeerId,
    /// Whether a confirmed session exists.
    pub session: Option<SessionStatus>,
    /// Whether a handshake is under way.
    pub handshaking: bool,
    /// Frames sent to it.
    pub tx: Traffic,
    /// Frames received from it, once each.
    pub rx: Traffic,
    /// Frames discarded on the way to or from it.
    pub drops: u64,
    /// Copies dropped by the replay window (normal under the active policy).
    pub duplicates: u64,
    /// Times that all its links fell silent at once, so that they were judged slowly.
    pub stalls: u32,
    /// Frames waiting for a session.
    pub queued: u32,
    /// Where it is one of several hubs: whether it is the one in use.
    pub hub: Option<bool>,
    /// Where it has several hubs: whether we are the one in use.
    pub attached: Option<bool>,
    /// Where it is given addresses: whether it has acknowledged them.
    pub addresses_taken: Option<bool>,
    /// The addresses that it gives us, where they are taken and it has said them.
    pub addresses_given: Option<AddressList>,
    /// What it does to the others.
    pub domain: DomainStatus,
    /// What is kept for the case that a link dies.
    pub resend: ResendStatus,
    /// What was done to restore the order of what it sends.
    pub order: resequencer::Counters,
    /// What went or came in pieces.
    pub pieces: PieceCounters,
    /// The link that decides how long a frame to the peer may be and pass whole: of those in use the one that
    /// carries the least. [`LinkStatus::inner_mtu`] says how much, [`LinkStatus::mtu_limit`] why.
    pub narrowest: Option<LinkId>,
    /// The links that frames go out on now.
    pub active_links: Vec<LinkId>,
    /// All links.
    pub links: Vec<LinkStatus>,
}

/// A hub group as `show hub-group` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubGroupStatus {
    /// What the operator calls it.
    pub name: Arc<str>,
    /// The hub in use.
    pub active: Option<PeerId>,
    /// For how long.
    pub since: Span,
    /// Why.
    pub reason: TakeOverReason,
    /// How often another one has been taken into use.
    pub take_overs: u32,
    /// All of them, in ascending order.
    pub members: Vec<HubMemberStatus>,
}

/// One hub of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubMemberStatus {
    /// Who.
    pub peer: PeerId,
    /// The highest of those that are up is used.
    pub preference: u8,
    /// How frames can be sent to it.
    pub standing: Standing,
}

/// What a peer does to the others of its broadcast domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DomainStatus {
    /// Frames of its own that were not flooded, because there were too many of them.
    pub storm_frames: u64,
    /// Copies of its flooded frames that were not made, likewise.
    pub storm_copies: u64,
    /// MAC addresses behind it.
    pub macs: u32,
    /// Frames of its own that were dropped because of what it may use.
    pub guard: GuardDrops,
    /// It is closed because of a loop, for so long still.
    pub closed_for: Option<Span>,
}

/// The resend ring of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResendStatus {
    /// Datagrams held.
    pub held: u32,
    /// Bytes of these.
    pub held_bytes: u64,
    /// What it has done.
    pub counters: RingStats,
}

/// Frames, and datagrams sent again, that were too long for their path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PieceCounters {
    /// How many were sent in pieces.
    pub split: u64,
    /// The pieces of these.
    pub sent: u64,
    /// How many arrived in pieces, all of them.
    pub joined: u64,
}

impl PieceCounters {
    /// Counts one that goes out in `pieces`.
    pub fn split(&mut self, pieces: usize) {
        self.split = self.split.wrapping_add(1);
        self.sent = self.sent.wrapping_add(pieces as u64);
    }
}

/// The session of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionStatus {
    /// Which side began it.
    pub role: Role,
    /// Its AEAD.
    pub suite: Suite,
    /// Wire version.
    pub version: u8,
    /// Its age.
    pub age: Span,
    /// Rekeys since the peer came up.
    pub rekeys: u32,
    /// Since when the peer has been up without a break.
    pub uptime: Span,
}

/// One link.
#[derive(Clone, Debug)]
pub struct LinkStatus {
    /// Its id.
    pub link: LinkId,
    /// The socket it uses.
    pub socket: Option<SocketId>,
    /// Where it goes to now.
    pub remote: Option<SocketAddr>,
    /// Whether the remote address is configured (or else learned).
    pub remote_configured: bool,
    /// State of the sending side.
    pub state: LinkState,
    /// Whether what the peer sends arrives.
    pub receiving: bool,
    /// How long it has been in that state.
    pub since: Span,
    /// Whether frames go out on it now.
    pub in_use: bool,
    /// Priority in force.
    pub priority: u8,
    /// Weight in force; `None`: as measured.
    pub weight: Option<NonZeroU8>,
    /// Its part of the traffic where links share it, in percent; 0 where they do not.
    pub percent: u8,
    /// What it costs to use it.
    pub cost: u8,
    /// Mean time between heartbeats now.
    pub heartbeat: Span,
    /// Largest IP packet that we send along its path, in bytes with IP and UDP header.
    pub mtu: u16,
    /// Why it is no larger.
    pub mtu_limit: LimitReason,
    /// Largest IP packet in the tunnel that it carries whole, in bytes; a VLAN tag takes 4 of them. No more than
    /// the MTU of the TAP.
    pub inner_mtu: u16,
    /// Because of it frames to the peer go in pieces, or the MTU of the TAP, which follows the paths, is no larger.
    pub narrows: bool,
    /// Smoothed round-trip time (RFC 6298), if measured.
    pub srtt: Option<Span>,
    /// Smallest round-trip time seen on this path.
    pub rtt_min: Option<Span>,
    /// The round-trip time that 99 of 100 measurements of the last minute did not exceed.
    pub rtt_p99: Option<Span>,
    /// The variation of the smoothed one (RFC 6298).
    pub rttvar: Span,
    /// How what the peer sends arrives.
    pub rx_quality: ReceiveQuality,
    /// How what we send arrives, once the peer has said so.
    pub tx_quality: Option<ReceiveQuality>,
    /// Of what we sent lately, the share that did not arrive, in parts per million.
    pub tx_loss_ppm: u32,
    /// Of what the peer sent lately, the share that did not arrive, in parts per million.
    pub rx_loss_ppm: u32,
    /// Datagrams sent.
    pub tx: Traffic,
    /// Datagrams received.
    pub rx: Traffic,
    /// The report timeout: how long data may go unreported before the link is suspect.
    pub report_timeout: Span,
    /// How it has been judged.
    pub verdicts: Verdicts,
    /// Flap penalty, in thousandths of one down.
    pub penalty_milli: u32,
    /// How much longer it is kept out of use after flapping.
    pub held_for: Span,
}

/// How often a link was judged in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// It was suspected.
    pub suspects: u32,
    /// It went down.
    pub downs: u32,
    /// It was called down and was only slow.
    pub spurious: u32,
    /// Its probes went unanswered, and it was not called down: it was the last one, or nothing came from the peer at
    /// all.
    pub spared: u32,
    /// It answered well enough to be up, and was kept out of use because it had flapped.
    pub held: u32,
}

/// One entry of the MAC table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacEntry {
    /// Its VLAN; [`VlanId::NONE`] for all of them, or where they are not told apart.
    pub vlan: VlanId,
    /// The address.
    pub mac: MacAddr,
    /// Where it is.
    pub port: Port,
    /// Whether it is configured and never ages.
    pub is_static: bool,
    /// Whether it was learned and never ages, because it sticks to its port.
    pub is_sticky: bool,
    /// Time since it was last heard of.
    pub age: Span,
}

/// A VLAN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VlanEntry {
    /// Which.
    pub vlan: VlanId,
    /// Whether the TAP is in it, and then whether with tags.
    pub tap: Option<bool>,
    /// Peers that are in it without tags.
    pub untagged: u32,
    /// Peers that are in it with tags.
    pub tagged: u32,
    /// Those of all these that are up.
    pub up: u32,
    /// MAC addresses learned in it.
    pub macs: u32,
}

/// Who listens to a multicast group, is a router, or asks who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerEntry {
    /// In which VLAN; [`VlanId::NONE`] where they are not told apart, and for what holds in all.
    pub vlan: VlanId,
    /// Which of these.
    pub heard: Heard,
    /// From where; `None`: from anywhere.
    pub port: Option<Port>,
    /// For how much longer that holds, unless it is heard again. `None`: it is configured.
    pub left: Option<Span>,
}

/// An IP address of a station, as the station said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighborEntry {
    /// Its VLAN; [`VlanId::NONE`] where they are not told apart.
    pub vlan: VlanId,
    /// The address.
    pub ip: IpAddr,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Whether it has said that it is a router.
    pub router: bool,
    /// Whether it was given to the peer that it is behind.
    pub is_given: bool,
    /// Where it is.
    pub port: Port,
    /// Time since it was last confirmed.
    pub age: Span,
}
