//! What can be asked of a running interface, and what it tells unasked.

mod merge;

use std::net::SocketAddr;

use knet_proto::{
    event::Event as CoreEvent,
    ids::{LinkId, PeerId, SocketId},
    shard::TapMtuWish,
    status::{
        Handover, Holdings, HubGroupStatus, InterfaceStatus, ListenerEntry, MacEntry, NeighborEntry,
        PeerStatus, VlanEntry,
    },
    time::Span,
};

/// Rows of one answer.
pub(crate) const PAGE: usize = 1000;

/// A question to a running interface. Each is answered by one [`Reply`] of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// The interface as a whole.
    Interface,
    /// Peers in ascending order, in pages.
    Peers {
        /// The first slot of the page; `None` starts at the beginning.
        from: Option<PeerId>,
        /// At most this many; at most 1000 are given.
        limit: usize,
    },
    /// One peer.
    Peer(PeerId),
    /// The MAC table in pages, in no order. An address learned meanwhile may be missing.
    Macs {
        /// 0 at first, then the `next` of the page before.
        cursor: u32,
        /// At most this many; at most 1000 are given.
        limit: usize,
    },
    /// IP addresses of stations in pages, as [`Self::Macs`].
    Neighbors {
        /// 0 at first, then the `next` of the page before.
        cursor: u32,
        /// At most this many; at most 1000 are given.
        limit: usize,
    },
    /// VLANs in pages, in ascending order.
    Vlans {
        /// 0 at first, then the `next` of the page before.
        cursor: u32,
        /// At most this many; at most 1000 are given.
        limit: usize,
    },
    /// Who listens to multicast groups, in pages, as [`Self::Macs`].
    Listeners {
        /// 0 at first, then the `next` of the page before.
        cursor: u32,
        /// At most this many; at most 1000 are given.
        limit: usize,
    },
    /// The hub groups.
    HubGroups,
    /// Sets all counters to zero.
    ClearCounters,
    /// Forgets the learned MAC addresses; static ones stay.
    ClearMacs,
    /// Forgets the IP addresses of stations.
    ClearNeighbors,
    /// Opens the port of this peer, or all, that are closed because of a loop.
    OpenPorts(Option<PeerId>),
}

impl Query {
    /// Whether all workers have a part in the answer; else the peer's owner has all of it, or any of them.
    pub(crate) fn is_for_all(&self) -> bool {
        match self {
            Self::Interface
            | Self::Peers { .. }
            | Self::HubGroups
            | Self::ClearCounters
            | Self::ClearMacs
            | Self::ClearNeighbors
            | Self::OpenPorts(_) => true,
            Self::Peer(_)
            | Self::Macs { .. }
            | Self::Neighbors { .. }
            | Self::Vlans { .. }
            | Self::Listeners { .. } => false,
        }
    }
}

/// The answer to a [`Query`].
#[derive(Clone, Debug)]
pub enum Reply {
    /// To [`Query::Interface`].
    Interface(Box<InterfaceReport>),
    /// To [`Query::Peers`].
    Peers {
        /// The page.
        peers: Vec<PeerStatus>,
        /// Where the next page starts, if there is one.
        next: Option<PeerId>,
    },
    /// To [`Query::Peer`]: `None` where no such peer is configured.
    Peer(Option<Box<PeerStatus>>),
    /// To [`Query::Macs`].
    Macs {
        /// The page.
        entries: Vec<MacEntry>,
        /// The `cursor` of the next page, if there is one.
        next: Option<u32>,
    },
    /// To [`Query::Neighbors`].
    Neighbors {
        /// The page.
        entries: Vec<NeighborEntry>,
        /// The `cursor` of the next page, if there is one.
        next: Option<u32>,
    },
    /// To [`Query::Vlans`].
    Vlans {
        /// The page.
        entries: Vec<VlanEntry>,
        /// The `cursor` of the next page, if there is one.
        next: Option<u32>,
    },
    /// To [`Query::Listeners`].
    Listeners {
        /// The page.
        entries: Vec<ListenerEntry>,
        /// The `cursor` of the next page, if there is one.
        next: Option<u32>,
    },
    /// To [`Query::HubGroups`], by name.
    HubGroups(Vec<HubGroupStatus>),
    /// To [`Query::ClearCounters`], [`Query::ClearMacs`], [`Query::ClearNeighbors`] and
    /// [`Query::OpenPorts`].
    Done,
}

/// An interface as a whole.
#[derive(Clone, Debug)]
pub struct InterfaceReport {
    /// The core's view.
    pub status: InterfaceStatus,
    /// What is held for traffic under way.
    pub holdings: Holdings,
    /// The kernel's number of the TAP.
    pub ifindex: u32,
    /// Time since it was started.
    pub uptime: Span,
    /// What the data workers have asked of the kernel.
    pub calls: SystemCalls,
    /// Each data worker by itself, in the order of their numbers.
    pub workers: Vec<WorkerReport>,
    /// The sockets in ascending order of their numbers.
    pub sockets: Vec<SocketReport>,
}

/// One data worker: the peers that belong to it, and what it has to do with the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerReport {
    /// Peers that belong to it.
    pub peers: u32,
    /// Those of them with a confirmed session.
    pub peers_up: u32,
    /// What it has handed to others.
    pub handed: Handover,
    /// What others have handed to it.
    pub taken: Handover,
    /// Times that it stood still for too long.
    pub gaps: u64,
}

/// System calls of the data workers, since its start or since counters were cleared. Few for many frames means that it
/// works on many at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemCalls {
    /// Waits for work (`epoll_pwait2`).
    pub waits: u64,
    /// Datagrams received, up to 32 packets of up to 64 datagrams at once (`recvmmsg`).
    pub receives: u64,
    /// Datagrams sent, likewise (`sendmmsg`).
    pub sends: u64,
    /// A frame, or a super-frame, read from the TAP, or the word that there is none.
    pub tap_reads: u64,
    /// A frame, or a super-frame, written to the TAP.
    pub tap_writes: u64,
}

/// One UDP socket.
#[derive(Clone, Debug)]
pub struct SocketReport {
    /// The number of its `local` line.
    pub id: SocketId,
    /// Where it is bound.
    pub address: SocketAddr,
    /// The device it is bound to.
    pub device: Option<String>,
    /// Why nothing can be sent from it, if so.
    pub down: Option<SocketDown>,
    /// Datagrams that the kernel dropped because the receive buffer was full.
    pub overflows: u64,
    /// Its receive buffer in bytes, as the kernel granted it.
    pub receive_buffer: usize,
}

/// Why a socket cannot be used at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketDown {
    /// No interface has its address.
    AddressMissing,
    /// The interface with its address is administratively down.
    InterfaceDown,
    /// The interface with its address has no carrier.
    NoCarrier,
}

/// What an interface tells as it happens.
#[derive(Clone, Debug)]
pub enum Event {
    /// From the protocol core.
    Core(CoreEvent),
    /// A socket became usable (`None`) or unusable.
    Socket {
        /// Which.
        socket: SocketId,
        /// Why it cannot be used, if so.
        down: Option<SocketDown>,
    },
    /// The TAP got another MTU, because it follows the paths, or could not get it.
    TapMtu {
        /// Which, and why.
        wish: TapMtuWish,
        /// Why it could not, if so; it is tried again after a minute.
        error: Option<String>,
    },
    /// The TAP was removed or taken by somebody else while we ran, or a thread panicked: the interface is
    /// dead, and the process should report this and exit with a failure so that it is started again.
    Failed {
        /// What happened, for people.
        message: String,
    },
}

/// How a ping over the control plane ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingResult {
    /// It was answered.
    Answered {
        /// The link it went over.
        link: LinkId,
        /// The round-trip time.
        rtt: Span,
    },
    /// No answer came in time.
    Timeout,
    /// No such peer is configured.
    UnknownPeer,
    /// There is no session with the peer.
    NoSession,
    /// The peer has no such link, or none that could be tried.
    NoLink,
}
