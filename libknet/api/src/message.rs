//! What the shell and the daemon say to each other.
//!
//! The client opens the Unix stream, sends [`Hello`] and gets a [`Welcome`] or an [`ApiError`]; after that it
//! sends [`Request`]s, and each is answered by one [`Response`] of the same id, or by several of which all
//! but the last have `more` set. Frames and their limits are in [`crate::codec`].
//!
//! The encoding (postcard) has no names in it: fields and variants are only ever appended, and
//! [`API_VERSION`] rises when that does not do. Rows are what `--json` prints, field by field.

use serde::{Deserialize, Serialize};

use crate::{
    edit::Op,
    problem::Problem,
    transaction::{ClientRow, CommitRow, Confirmation, Entry, ImpactRow, PendingRow, RevisionRow, Version},
};

mod error;
mod invite;

pub use self::{
    error::{ApiError, ErrorCode},
    invite::{Invite, PublicAddress},
};
pub use crate::rows::*;

/// Version of these messages. The daemon refuses a client of another version.
pub const API_VERSION: u16 = 13;

/// First message of the client, and part of the daemon's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`API_VERSION`] of the sender.
    pub api_version: u16,
    /// Version of the program.
    pub build: String,
    /// Hash of the grammar tables of the sender. Where they differ the shell says so: its help may not
    /// match what the daemon knows.
    pub table_hash: u64,
}

/// What the connected user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Privilege {
    /// Look.
    Operator,
    /// Look and change.
    Admin,
}

/// The daemon's answer to [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The daemon's own.
    pub hello: Hello,
    /// For the prompt.
    pub hostname: String,
    /// Of this connection, from the credentials of the socket.
    pub privilege: Privilege,
    /// Revision of the running configuration.
    pub revision: u64,
    /// Number of this connection among the daemon's, as `who` shows it.
    pub session: u64,
    /// A change that waits to be confirmed.
    pub pending: Option<PendingRow>,
}

/// The daemon's first frame.
pub type HelloReply = Result<Welcome, ApiError>;

/// A question or an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the client, repeated in the answers.
    pub id: u32,
    /// What is wanted.
    pub body: RequestBody,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestBody {
    /// Change the running configuration: all or nothing. Answer: [`Reply::Edited`].
    Edit {
        /// What to do, in order.
        ops: Vec<Op>,
        /// Fail with [`ErrorCode::Conflict`] unless the configuration is still of this revision.
        base: Option<u64>,
    },
    /// The running configuration. Answer: [`Reply::Text`] in pieces.
    RunningConfig {
        /// Settings at their default, too.
        all: bool,
    },
    /// The configuration file. Answer: [`Reply::Text`] in pieces.
    StartupConfig,
    /// Make the running configuration the startup configuration. Answer: [`Reply::Written`].
    WriteMemory,
    /// Answer: [`Reply::Version`].
    Version,
    /// Answer: [`Reply::Interfaces`].
    Interfaces {
        /// Only this one ([`ErrorCode::NotFound`] if there is none).
        interface: Option<String>,
    },
    /// All peers, without their links. Answer: [`Reply::Peers`].
    Peers {
        /// Only of this interface.
        interface: Option<String>,
        /// Which part of the list.
        page: Page,
        /// Only these.
        only: Only,
    },
    /// One peer with its links. Answer: [`Reply::Peer`]. [`ErrorCode::Ambiguous`] where interfaces have peers
    /// of this name and none was given.
    Peer {
        /// Of which interface.
        interface: Option<String>,
        /// Its name.
        peer: String,
    },
    /// Answer: [`Reply::Links`].
    Links {
        /// Only of this interface.
        interface: Option<String>,
        /// Only of peers with this name.
        peer: Option<String>,
        /// Which part of the list.
        page: Page,
        /// Only these.
        only: Only,
    },
    /// The bridge's table. Answer: [`Reply::Macs`].
    Macs {
        /// Only of this interface.
        interface: Option<String>,
        /// Which part of the list.
        page: Page,
    },
    /// The latest lines of the daemon's log, the oldest first. Answer: [`Reply::Logging`].
    Logging {
        /// How many at most.
        lines: u32,
    },
    /// Set counters to zero, harming no traffic. Answer: [`Reply::Done`].
    ClearCounters {
        /// Only of this interface.
        interface: Option<String>,
    },
    /// Round trips of control messages through the tunnel. Answers: one [`Reply::Ping`] for each link and
    /// turn as it comes in, then [`Reply::Done`].
    Ping {
        /// Of which interface; see [`RequestBody::Peer`].
        interface: Option<String>,
        /// Whom.
        peer: String,
        /// Over which link. `None`: over every link that has an address.
        link: Option<u8>,
        /// How many turns, 1..=10000.
        count: u32,
        /// Milliseconds between turns, 10..=60000.
        interval_ms: u32,
        /// Milliseconds to wait for an answer, 10..=60000.
        timeout_ms: u32,
    },
    /// Events as they happen. Answers: [`Reply::Events`] with `more`, until it is cancelled.
    Monitor,
    /// Names that begin with `prefix`, sorted. Answer: [`Reply::Names`].
    Complete {
        /// Names of what.
        source: Source,
        /// How they begin.
        prefix: String,
        /// How many at most.
        limit: u32,
    },
    /// End the request of this id, which is answered by [`ErrorCode::Cancelled`]. Answer: [`Reply::Done`].
    Cancel {
        /// Which one.
        id: u32,
    },
    /// What happened to a peer. Answer: [`Reply::History`].
    History {
        /// Of which interface; see [`RequestBody::Peer`].
        interface: Option<String>,
        /// Whom.
        peer: String,
        /// Only this many, the latest. `None`: all that are kept.
        last: Option<u32>,
    },
    /// As [`RequestBody::Edit`], on a copy of the running configuration that this connection has for itself: it is made
    /// by the first such request, and what is tried adds up. Nothing is changed. Answer: [`Reply::Edited`] with
    /// the running revision.
    Try {
        /// What to do, in order.
        ops: Vec<Op>,
    },
    /// Go into the configuration, or out of it. Out of a candidate that was edited: [`ErrorCode::Conflict`], unless
    /// it was discarded. Answer: [`Reply::Entered`].
    Configure(Entry),
    /// Change the candidate of this client: all or nothing. What makes no sense yet is told, and refused when it is
    /// committed. Answer: [`Reply::Edited`].
    EditCandidate {
        /// What to do, in order.
        ops: Vec<Op>,
    },
    /// Put the candidate in force. Fails with [`ErrorCode::Conflict`] if the running configuration is not the one it
    /// was made from. Without changes, or without a candidate, it confirms what waits to be. Answer:
    /// [`Reply::Committed`].
    Commit {
        /// Why.
        comment: Option<String>,
        /// To be undone unless somebody confirms it.
        confirmed: Option<Confirmation>,
    },
    /// What [`RequestBody::Commit`] would do. Answer: [`Reply::Impact`].
    CommitCheck,
    /// Take the changes of others into the candidate. Answer: [`Reply::Entered`].
    Update,
    /// Make the candidate what is in force. Answer: [`Reply::Done`].
    Discard,
    /// Keep a change that waits to be confirmed. Answer: [`Reply::Done`].
    Confirm,
    /// Undo a change that waits to be confirmed, at once. Answer: [`Reply::Committed`].
    Revert,
    /// Put a revision in force, or into the candidate. Answer: [`Reply::Committed`].
    Rollback {
        /// Which one.
        revision: u64,
        /// Why.
        comment: Option<String>,
    },
    /// A piece of a configuration file for [`RequestBody::Replace`]. Answer: [`Reply::Done`].
    Upload {
        /// The bytes, which go behind those before.
        bytes: Vec<u8>,
        /// Whether it is the first piece.
        first: bool,
    },
    /// Put the file that was sent in force, or into the candidate. Answer: [`Reply::Committed`], or
    /// [`Reply::Problems`] and nothing was changed.
    Replace {
        /// Why.
        comment: Option<String>,
    },
    /// The revisions that are kept. Answer: [`Reply::Revisions`].
    Revisions,
    /// A configuration. Answer: [`Reply::Text`] in pieces.
    ConfigText(Version),
    /// How two configurations differ. Answer: [`Reply::Text`] in pieces, see [`crate::text_diff`].
    ConfigDiff {
        /// The older one.
        from: Version,
        /// The newer one.
        to: Version,
    },
    /// Who is connected. Answer: [`Reply::Clients`].
    Clients,
    /// End another client's connection. Answer: [`Reply::Done`].
    ClearClient {
        /// Its number.
        session: u64,
    },
    /// What everybody should know, as it happens: changes that wait to be confirmed. Answers: [`Reply::Events`] with
    /// `more`, until it is cancelled. The connection is then no longer shown among the clients.
    Announcements,
    /// This connection ends on purpose: a change that waits to be confirmed goes on waiting. Answer: [`Reply::Done`].
    Leave,
    /// Every bound, and what is used of it. Answer: [`Reply::Limits`].
    Limits {
        /// Only of this interface ([`ErrorCode::NotFound`] if there is none), and those of the daemon.
        interface: Option<String>,
    },
    /// End the session with a peer and make it anew. Disturbs its traffic. Answer: [`Reply::Done`].
    ResetPeer {
        /// Of which interface; see [`RequestBody::Peer`].
        interface: Option<String>,
        /// Whom.
        peer: String,
        /// Only this link, which must be configured, begins afresh; the session stays.
        link: Option<u8>,
    },
    /// Make a private key in a new file. Answer: [`Reply::KeyMade`].
    GenerateKey {
        /// Name of the file, which is made beside the configuration file.
        file: String,
    },
    /// Read the configuration file again and put it into force, or refuse it whole. Answer: [`Reply::Edited`].
    ReloadConfig,
    /// What of the running configuration is in force on this host, without meshes, groups and lines for single hosts. Answer:
    /// [`Reply::Text`] in pieces.
    ExpandedConfig,
    /// IP addresses of stations. Answer: [`Reply::Neighbors`].
    Neighbors {
        /// Only of this interface.
        interface: Option<String>,
        /// Only behind peers with this name.
        peer: Option<String>,
        /// Which part of the list.
        page: Page,
    },
    /// Forget the IP addresses of stations, which are learned again. Answer: [`Reply::Done`].
    ClearNeighbors {
        /// Only of this interface.
        interface: Option<String>,
    },
    /// Groups of peers. Answer: [`Reply::Groups`].
    Groups {
        /// Only of this interface ([`ErrorCode::NotFound`] if there is none).
        interface: Option<String>,
        /// Only those of this name ([`ErrorCode::NotFound`] if there is none).
        group: Option<String>,
    },
    /// VLANs, where they are told apart. Answer: [`Reply::Vlans`].
    Vlans {
        /// Only of this interface ([`ErrorCode::NotFound`] if there is none).
        interface: Option<String>,
        /// Which part of the list.
        page: Page,
    },
    /// Our certificates, and those by which peers are there. Answer: [`Reply::Certificates`].
    Certificates {
        /// Only of this interface ([`ErrorCode::NotFound`] if there is none).
        interface: Option<String>,
    },
    /// Who listens to multicast groups. Answer: [`Reply::Listeners`].
    Listeners {
        /// Only of this interface ([`ErrorCode::NotFound`] if there is none).
        interface: Option<String>,
        /// Which part of the list.
        page: Page,
    },
    /// Hub groups. Answer: [`Reply::HubGroups`].
    HubGroups(InterfaceAndName),
    /// Make an invitation. Answer: [`Reply::Invited`].
    Invite(Invite),
    /// Make this host a peer of the hub that made an invitation. Answer: [`Reply::Joined`].
    Join {
        /// What the hub made.
        invitation: String,
        /// By which interface; it is made if it is not there. `None`: a new one.
        interface: Option<String>,
    },
    /// Invitations, and who has come by one. Answer: [`Reply::Invitations`].
    Invitations {
        /// Only of this interface ([`ErrorCode::NotFound`] if there is none).
        interface: Option<String>,
    },
    /// Take back an invitation that nobody has used. Answer: [`Reply::Names`], what was taken back.
    ClearInvitations {
        /// Only of this interface ([`ErrorCode::NotFound`] if there is none).
        interface: Option<String>,
        /// Which one ([`ErrorCode::NotFound`] if there is none); `None`: all of them.
        id: Option<String>,
    },
    /// Expel a peer that has come by an invitation. Answer: [`Reply::Done`].
    RemoveMember {
        /// Of which interface; see [`RequestBody::Peer`].
        interface: Option<String>,
        /// Its name.
        peer: String,
    },
    /// Addresses that groups give. Answer: [`Reply::IpPools`].
    IpPools {
        /// Only of this interface ([`ErrorCode::NotFound`] if there is none).
        interface: Option<String>,
    },
    /// Who has which address out of a pool. Answer: [`Reply::IpPoolLeases`].
    IpPoolLeases {
        /// Only of this interface ([`ErrorCode::NotFound`] if there is none).
        interface: Option<String>,
    },
    /// Take back what a peer was given out of a pool. Answer: [`Reply::Done`].
    ClearIpPoolLease {
        /// Of which interface; see [`RequestBody::Peer`].
        interface: Option<String>,
        /// The name of the peer, which need not be there any more.
        peer: String,
    },
    /// Open what is closed because of a loop. Answer: [`Reply::Done`].
    ClearLoopGuard {
        /// Only of this interface.
        interface: Option<String>,
        /// Only of this peer ([`ErrorCode::NotFound`] if there is none).
        peer: Option<String>,
    },
}

/// Some of a list's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Only {
    /// Only those in this state, by the word that their rows have for it.
    pub state: Option<String>,
    /// Only those of peers whose names begin so.
    pub name_prefix: Option<String>,
}

/// Part of a long list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Where the page before this ended ([`Rows::next`]). `None`: from the beginning.
    pub cursor: Option<String>,
    /// How many rows at most, 1..=1000. The daemon may send fewer.
    pub limit: u32,
}

/// What live names to complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// Interfaces.
    Interfaces,
    /// Peers of an interface, or of all.
    Peers {
        /// Of which one.
        interface: Option<String>,
    },
    /// Ids of a peer's links.
    Links {
        /// Of which interface, or of all.
        interface: Option<String>,
        /// Name of the peer.
        peer: String,
    },
    /// Numbers of an interface's locals.
    Locals {
        /// Name of the interface.
        interface: String,
    },
    /// Meshes of an interface.
    Meshes {
        /// Name of the interface.
        interface: String,
    },
    /// Members of a mesh.
    Members {
        /// Name of the interface.
        interface: String,
        /// Name of the mesh.
        mesh: String,
    },
    /// Hosts that the configuration speaks of: with lines of their own, or as members of meshes.
    Hosts,
    /// Groups of peers of an interface, or of all.
    Groups {
        /// Of which one.
        interface: Option<String>,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// The request's.
    pub id: u32,
    /// Whether another answer to the same request follows.
    pub more: bool,
    /// The answer. After an error nothing follows.
    pub body: Result<Reply, ApiError>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It is done.
    Done,
    /// The change is in force.
    Edited {
        /// Of the configuration now.
        revision: u64,
        /// The host name now.
        hostname: String,
        /// What is incomplete in the objects that were changed.
        notes: Vec<Problem>,
    },
    /// A piece of text, cut anywhere between characters.
    Text(String),
    /// The configuration is saved.
    Written {
        /// Path of the file.
        path: String,
        /// Its size.
        bytes: u64,
        /// Revision of what was saved.
        revision: u64,
    },
    /// See [`RequestBody::Version`].
    Version(VersionRow),
    /// See [`RequestBody::Interfaces`].
    Interfaces(Vec<InterfaceRow>),
    /// See [`RequestBody::Peers`].
    Peers(Rows<PeerRow>),
    /// See [`RequestBody::Peer`].
    Peer(Box<PeerRow>),
    /// See [`RequestBody::Links`].
    Links(Rows<LinkRow>),
    /// See [`RequestBody::Macs`].
    Macs(Rows<MacRow>),
    /// See [`RequestBody::Logging`].
    Logging(Vec<LogRow>),
    /// See [`RequestBody::Ping`].
    Ping(PingRow),
    /// See [`RequestBody::Monitor`].
    Events {
        /// The oldest first.
        events: Vec<EventRow>,
        /// Events that were not sent before these, because the client was slow.
        dropped: u64,
    },
    /// See [`RequestBody::Complete`].
    Names(Vec<String>),
    /// See [`RequestBody::History`].
    History {
        /// The oldest first. Those without a peer concern the whole interface.
        events: Vec<EventRow>,
        /// Events of the peer before these, which were not asked for or are not kept any more.
        earlier: u64,
    },
    /// See [`RequestBody::Configure`] and [`RequestBody::Update`].
    Entered {
        /// The revision that is in force, and that a candidate is made from.
        revision: u64,
        /// Who else is in the configuration.
        others: Vec<ClientRow>,
        /// A change that waits to be confirmed.
        pending: Option<PendingRow>,
    },
    /// A change of the configuration as a whole is done.
    Committed(Box<CommitRow>),
    /// See [`RequestBody::CommitCheck`]: one row for each interface that is touched.
    Impact {
        /// The interfaces.
        rows: Vec<ImpactRow>,
        /// What is incomplete, up to a hundred.
        notes: Vec<Problem>,
    },
    /// What is wrong with a file or a candidate, with places in the text of the file.
    Problems(Vec<Problem>),
    /// See [`RequestBody::Revisions`].
    Revisions {
        /// The oldest first.
        rows: Vec<RevisionRow>,
        /// Why the latest one could not be written to the disk.
        not_kept: Option<String>,
        /// A change that waits to be confirmed.
        pending: Option<PendingRow>,
    },
    /// See [`RequestBody::Clients`].
    Clients {
        /// By their number.
        rows: Vec<ClientRow>,
        /// A change that waits to be confirmed.
        pending: Option<PendingRow>,
    },
    /// See [`RequestBody::Limits`].
    Limits(Vec<LimitRow>),
    /// See [`RequestBody::GenerateKey`].
    KeyMade {
        /// Path of the file.
        path: String,
        /// The public half in base64.
        public_key: String,
    },
    /// See [`RequestBody::Neighbors`].
    Neighbors(Rows<NeighborRow>),
    /// See [`RequestBody::Groups`]; by interface and name.
    Groups(Vec<GroupRow>),
    /// See [`RequestBody::Vlans`]; by interface and number.
    Vlans(Rows<VlanRow>),
    /// See [`RequestBody::Certificates`].
    Certificates(CertificatesReport),
    /// See [`RequestBody::Listeners`]; by interface, VLAN and group.
    Listeners(Rows<ListenerRow>),
    /// See [`RequestBody::HubGroups`]; by interface and name.
    HubGroups(Vec<HubGroupRow>),
    /// See [`RequestBody::Invite`].
    Invited(InvitedRow),
    /// See [`RequestBody::Join`].
    Joined(JoinedRow),
    /// See [`RequestBody::Invitations`].
    Invitations(InvitationsReport),
    /// See [`RequestBody::IpPools`]; by interface and group.
    IpPools(Vec<IpPoolRow>),
    /// See [`RequestBody::IpPoolLeases`].
    IpPoolLeases(IpPoolLeasesReport),
}

/// A page of rows, sorted by interface, then by the row's own name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the next page begins, if there is one. Meaningless to the client.
    pub next: Option<String>,
}
