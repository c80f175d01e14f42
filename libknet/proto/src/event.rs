//! What the core tells the outside as it happens. It takes the place of logging, and carries the numbers
//! that led to each decision.

use alloc::{boxed::Box, sync::Arc};
use core::net::SocketAddr;

use crate::{
    handshake::{
        credential::Presented,
        message::{Role, Suite},
    },
    hub_group::TakeOverReason,
    ids::{LinkId, LinkSet, MacAddr, PeerId},
    status::{LinkState, Port},
    time::Span,
    wire::address_list::AddressList,
};

/// Something that happened to a peer or to the bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session can be used in both directions.
    SessionUp {
        /// With whom.
        peer: PeerId,
        /// Which side began.
        role: Role,
        /// Its AEAD.
        suite: Suite,
        /// Whether it follows a session of the same instance of the peer (a rekey).
        rekey: bool,
    },
    /// The peer has no session any more.
    SessionDown {
        /// With whom.
        peer: PeerId,
        /// Why.
        reason: SessionDownReason,
    },
    /// The sending side of a link changed its state.
    LinkState {
        /// Whose link.
        peer: PeerId,
        /// Which.
        link: LinkId,
        /// Before.
        from: LinkState,
        /// After.
        to: LinkState,
        /// Why.
        reason: LinkReason,
        /// How long the sign of life had been missing when it was decided.
        silent: Span,
        /// The smoothed round-trip time then.
        srtt: Span,
    },
    /// The receiving side of a link changed: `true`, what the peer sends arrives.
    LinkReceive {
        /// Whose link.
        peer: PeerId,
        /// Which.
        link: LinkId,
        /// Whether datagrams arrive.
        ok: bool,
    },
    /// All links of the peer fell silent at once: the peer or our own uplink stalled; links are judged slowly.
    PeerStall {
        /// Who.
        peer: PeerId,
    },
    /// A link exceeds its limits of loss or delay, or keeps within them again.
    LinkQuality {
        /// Whose link.
        peer: PeerId,
        /// Which.
        link: LinkId,
        /// Whether it is avoided from now on.
        poor: bool,
        /// Loss of what is sent, lately, in parts per million.
        loss_ppm: u32,
        /// Smoothed round-trip time.
        srtt: Span,
        /// Where it is the distance from the other links that made it poor: the round-trip time of the nearest.
        nearest: Option<Span>,
    },
    /// What had not been reported yet was sent again, over the link or links that are used from now on.
    Replay {
        /// To whom.
        peer: PeerId,
        /// Over these links.
        over: LinkSet,
        /// Datagrams sent again.
        frames: u32,
    },
    /// A link's remote address changed after its path was validated.
    Roamed {
        /// Whose link.
        peer: PeerId,
        /// Which.
        link: LinkId,
        /// Before.
        from: Option<SocketAddr>,
        /// After.
        to: SocketAddr,
    },
    /// Our own loop stood still this long; deadlines were moved by as much.
    Gap {
        /// How long.
        gap: Span,
    },
    /// A MAC address moved between ports more often than allowed, and stays where it was for a while.
    MacFrozen {
        /// The address.
        mac: MacAddr,
        /// Where it stays.
        port: Port,
    },
    /// A probe has come back: there is a loop, and a port is closed.
    LoopFound {
        /// Which is closed.
        peer: PeerId,
        /// The other end of the loop: the same one, if the network behind it sends back what comes.
        other: Port,
        /// For how long.
        hold: Span,
    },
    /// A port that was closed because of a loop is open again.
    LoopOpened {
        /// Which.
        peer: PeerId,
    },
    /// Frames to the hubs of a group go to another one from now on.
    HubTakeOver {
        /// Which group.
        group: Arc<str>,
        /// Where they went before.
        from: Option<PeerId>,
        /// Where they go.
        to: PeerId,
        /// Why.
        reason: TakeOverReason,
    },
    /// What a hub that is left had not reported was sent again to the one that took over.
    HubResent {
        /// Which was left.
        from: PeerId,
        /// Which took over.
        to: PeerId,
        /// How many.
        frames: u32,
    },
    /// A credential was presented. A stranger whose credential convinces is to be made a peer, and gets in with the next
    /// copy of its first message.
    Credential(Box<Presented>),
    /// A peer whose addresses are taken gives us these for the TAP, and no others: when it is heard first, and when they
    /// change.
    Addresses {
        /// Who gives them.
        peer: PeerId,
        /// All of them; none where it takes back what it gave.
        addresses: AddressList,
    },
}

/// Why a link changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkReason {
    /// Data was sent, and no report or answer came within the report timeout.
    Unreported,
    /// Reports kept coming, and the link's highest counter stood still in them.
    ReportsStandStill,
    /// A heartbeat was not answered.
    PongMissing,
    /// Urgent probes were not answered.
    ProbesUnanswered,
    /// The last usable link was silent for the whole of its timeout.
    Timeout,
    /// The kernel refused to send (network unreachable, address gone).
    SendError,
    /// The interface lost its carrier, went down, or lost the address.
    LocalDown,
    /// The interface or the address is back.
    LocalUp,
    /// The peer says that nothing arrives.
    PeerReports,
    /// A report or an answer came.
    Answered,
    /// Enough answers in a row.
    PongCount,
    /// The handshake proved the path.
    Handshake,
    /// Switched off or on by the operator, here or there.
    Admin,
    /// The configuration changed.
    Configured,
    /// There is a session with the peer, after none or with one that has restarted.
    SessionBegins,
    /// The session with the peer is gone.
    SessionEnds,
    /// The path was validated.
    Validated,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionDownReason {
    /// It grew too old without a successor.
    Expired,
    /// The peer said goodbye.
    ClosedByPeer,
    /// All links have been down for too long.
    Unreachable,
    /// The peer's configuration was changed or removed.
    Configured,
    /// Too many forged datagrams, or the key's use is up.
    UsageLimit,
}
