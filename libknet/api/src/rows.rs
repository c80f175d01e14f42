//! The rows that queries are answered with. `--json` prints them as they are, field by field, so a field keeps
//! its name and meaning; new ones are appended.

mod addresses;
mod certificates;
mod hubs;
mod invitations;
mod listeners;
mod pools;

pub use addresses::{GuardRow, MacRow, NeighborRow};
pub use certificates::{AuthoritiesRow, CertificateCounts, CertificateRow, CertificatesReport, RefusalRow};
pub use invitations::{InvitationRow, InvitationsReport, InvitationsRow, InvitedRow, JoinedRow};
pub use listeners::ListenerRow;
pub use pools::{IpPoolLeaseRow, IpPoolLeasesReport, IpPoolRow, NegotiatedRow};

use serde::{Deserialize, Serialize};

pub use self::hubs::{HubGroupRow, HubRow, InterfaceAndName, PeerAsHubRow};

/// The daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRow {
    /// Version of the daemon.
    pub version: String,
    /// [`crate::message::API_VERSION`] of the daemon.
    pub api_version: u16,
    /// Version of the wire protocol.
    pub wire_version: u8,
    /// AEADs offered to peers, the preferred first.
    pub suites: Vec<String>,
    /// Host name.
    pub hostname: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Process id.
    pub pid: u32,
    /// Milliseconds since start.
    pub uptime_ms: u64,
    /// The configuration file.
    pub config_file: String,
    /// Revision of the running configuration.
    pub revision: u64,
    /// Whether the running configuration differs from the file.
    pub unsaved: bool,
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// How many packets.
    pub packets: u64,
    /// Bytes in them: of datagrams the UDP payload, of frames without FCS.
    pub bytes: u64,
}

/// Packets discarded for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropRow {
    /// The reason's stable name.
    pub reason: String,
    /// One sentence about it.
    pub help: String,
    /// How many.
    pub count: u64,
}

/// A socket of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalRow {
    /// Number of its `local` line.
    pub local: u8,
    /// Address and port that it is bound to.
    pub address: String,
    /// The device it is bound to.
    pub device: Option<String>,
    /// `up`, or why it cannot be used.
    pub state: String,
}

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceRow {
    /// Name of the TAP.
    pub interface: String,
    /// As configured.
    pub description: Option<String>,
    /// `up`, `admin-down`, `incomplete` or `failed`.
    pub state: String,
    /// What is missing or failed, where it is not `up`.
    pub reason: Option<String>,
    /// Base64.
    pub public_key: Option<String>,
    /// Of the TAP.
    pub mac_address: Option<String>,
    /// Of the TAP, in bytes.
    pub mtu: u32,
    /// IPv4 and IPv6 addresses with prefix length, as configured.
    pub addresses: Vec<String>,
    /// Its sockets.
    pub locals: Vec<LocalRow>,
    /// Peers configured.
    pub peers: u32,
    /// Peers with a session.
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
    /// MAC addresses in the table.
    pub macs: u32,
    /// Sessions established.
    pub handshakes: u64,
    /// Times that the daemon's own loop stood still too long.
    pub gaps: u64,
    /// Everything discarded, by reason; reasons without a packet are left out.
    pub drops: Vec<DropRow>,
    /// Milliseconds since counters were cleared, or since the interface came up.
    pub counting_ms: u64,
    /// The MTU follows the paths.
    pub mtu_auto: bool,
    /// System calls of its workers.
    pub system_calls: SystemCallsRow,
    /// The VLANs that the TAP is in, where they are told apart.
    pub switchport: Option<SwitchportRow>,
    /// As many workers as the machine suggests.
    pub workers_auto: bool,
    /// Its workers, in the order of their numbers.
    pub workers: Vec<WorkerRow>,
    /// The links of its peers.
    pub links: LinkCountsRow,
    /// Datagrams sent again over another link.
    pub resent: Traffic,
    /// Addresses that peers give its TAP over their sessions.
    pub negotiated: Vec<NegotiatedRow>,
}

/// How many links are in which state, by the words of [`LinkRow::state`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCountsRow {
    /// In use, or ready to be.
    pub up: u32,
    /// In doubt.
    pub suspect: u32,
    /// Answers arrive, and not enough of them yet.
    pub probing: u32,
    /// No answers, or no address.
    pub down: u32,
    /// The local address or device is not usable.
    pub local_down: u32,
    /// Shut down here or at the other end.
    pub admin_down: u32,
}

/// A worker of an interface: a thread with some of the peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRow {
    /// Peers that belong to it.
    pub peers: u32,
    /// Those of them with a session.
    pub peers_up: u32,
    /// Frames that it took in for peers of others.
    pub handed: Traffic,
    /// Frames that others took in for its peers.
    pub taken: Traffic,
    /// Datagrams for its peers that came to others. There are none where the kernel steers them.
    pub strays: Traffic,
    /// Times that it stood still too long.
    pub gaps: u64,
}

/// System calls of the workers of an interface, as long as they have counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemCallsRow {
    /// Waits for work.
    pub waits: u64,
    /// Datagrams received, many at once.
    pub receives: u64,
    /// Datagrams sent, many at once.
    pub sends: u64,
    /// Frames and super-frames read from the TAP, and the word that there is none.
    pub tap_reads: u64,
    /// Frames and super-frames written to the TAP.
    pub tap_writes: u64,
}

/// The session with a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// `initiator` or `responder`.
    pub role: String,
    /// The AEAD.
    pub suite: String,
    /// Wire version.
    pub version: u8,
    /// Milliseconds since its handshake.
    pub age_ms: u64,
    /// Rekeys since the peer came up.
    pub rekeys: u32,
    /// Milliseconds that the peer has been up without a break.
    pub uptime_ms: u64,
}

/// What a peer has been sent and has not reported yet, kept to be sent again if its link dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResendRow {
    /// Datagrams held.
    pub held: u32,
    /// Bytes of these.
    pub held_bytes: u64,
    /// Datagrams sent again.
    pub replayed: u64,
    /// Bytes of these.
    pub replayed_bytes: u64,
    /// Datagrams that had to make room, or grew too old, before they were reported.
    pub evicted: u64,
}

/// What was done to restore the order of what a peer sends over links of different delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRow {
    /// Datagrams that had to wait for others.
    pub held: u64,
    /// The longest wait in microseconds.
    pub longest_hold_us: u64,
    /// Missing datagrams given up because every link had delivered later ones.
    pub skipped_by_votes: u64,
    /// Missing datagrams given up because their time was up.
    pub skipped_by_timer: u64,
    /// Missing datagrams given up because too many others waited for them.
    pub skipped_by_overflow: u64,
    /// Datagrams delivered out of order: they came after they had been given up.
    pub late: u64,
}

/// Frames, and datagrams sent again, that were too long for their path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PiecesRow {
    /// How many were sent in pieces.
    pub split: u64,
    /// The pieces of these.
    pub sent: u64,
    /// How many arrived in pieces, all of them.
    pub joined: u64,
}

/// What a peer may do to the others of its broadcast domain, and what it was kept from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StormRow {
    /// Frames a second that it may flood.
    pub frames_per_second: u32,
    /// Of its frames, those that were not flooded.
    pub dropped_frames: u64,
    /// Copies of its flooded frames a second.
    pub copies_per_second: u32,
    /// Of these, those that were not made.
    pub dropped_copies: u64,
    /// MAC addresses behind it.
    pub mac_addresses: u32,
    /// How many of them are learned at most.
    pub mac_limit: u16,
    /// Whether any of this is configured for it.
    pub configured: bool,
    /// It is closed, because there is a loop through it, for so many milliseconds still.
    pub closed_ms: Option<u64>,
}

/// The VLANs that a port is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchportRow {
    /// `access` or `trunk`.
    pub mode: String,
    /// The VLAN of frames without a tag.
    pub untagged: Option<u16>,
    /// All VLANs, as `10,20-29` or `all`.
    pub allowed: String,
}

/// A VLAN.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VlanRow {
    /// Of which interface.
    pub interface: String,
    /// Which, 1..=4094.
    pub vlan: u16,
    /// Whether the TAP is in it: `untagged`, `tagged`, or not.
    pub tap: Option<String>,
    /// Peers that are in it without tags.
    pub untagged: u32,
    /// Peers that are in it with tags.
    pub tagged: u32,
    /// Those of all these that have a session.
    pub up: u32,
    /// MAC addresses learned in it.
    pub macs: u32,
}

/// A peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRow {
    /// Of which interface.
    pub interface: String,
    /// Its name.
    pub peer: String,
    /// As configured.
    pub description: Option<String>,
    /// `up`, `handshaking`, `down`, `admin-down` or `incomplete`.
    pub state: String,
    /// What is missing, where it is `incomplete`.
    pub reason: Option<String>,
    /// Base64.
    pub public_key: Option<String>,
    /// `passive`, `active` or `round-robin`.
    pub policy: String,
    /// Whether it is kept apart from other peers.
    pub isolate: bool,
    /// How much it may flood.
    pub storm: StormRow,
    /// The VLANs that it is in, where the interface tells them apart.
    pub switchport: Option<SwitchportRow>,
    /// The session, if there is one.
    pub session: Option<SessionRow>,
    /// Frames sent to it.
    pub tx: Traffic,
    /// Frames received from it, once each.
    pub rx: Traffic,
    /// Frames discarded on the way to or from it.
    pub drops: u64,
    /// Copies dropped on receipt (normal under the active policy).
    pub duplicates: u64,
    /// Times that all its links fell silent at once, so that they were judged slowly.
    pub stalls: u32,
    /// Frames waiting for a session.
    pub queued: u32,
    /// What is kept for the case that a link dies.
    pub resend: ResendRow,
    /// Links that frames go out on now.
    pub active_links: Vec<u8>,
    /// Links that are up.
    pub links_up: u8,
    /// Links configured or opened by the peer.
    pub links_total: u8,
    /// The links; left empty in lists of peers.
    pub links: Vec<LinkRow>,
    /// The largest IP packet in the tunnel that passes to it whole, in bytes; a VLAN tag takes 4 of them. `None`: no
    /// link is in use.
    pub inner_mtu: Option<u16>,
    /// The link that decides this: of those in use the one that carries the least.
    pub narrowest: Option<u8>,
    /// The order of what it sends.
    pub order: OrderRow,
    /// What went or came in pieces.
    pub pieces: PiecesRow,
    /// The group that it is in.
    pub group: Option<String>,
    /// The file of keys that lists it, where it is not configured itself.
    pub authorized_keys: Option<String>,
    /// The serial number of the certificate by which it is there, where it is not configured itself.
    pub certificate: Option<String>,
    /// Where it is one of several hubs.
    pub hub: Option<PeerAsHubRow>,
    /// Where it is a client of several hubs: whether it uses this one.
    pub attached: Option<bool>,
    /// Which addresses it may use, where something is said of that.
    pub guard: Option<Box<GuardRow>>,
    /// Addresses that it is given out of the pools of its group.
    pub leased: Vec<String>,
    /// Whether it has acknowledged these.
    pub leased_taken: Option<bool>,
}

/// A group of peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRow {
    /// Of which interface.
    pub interface: String,
    /// Its name.
    pub group: String,
    /// As configured.
    pub description: Option<String>,
    /// Of its peers that say none themselves.
    pub policy: String,
    /// Peers that are in it, those of its file included.
    pub peers: u32,
    /// Its file of keys.
    pub authorized_keys: Option<KeyFileRow>,
    /// Whose certificates it takes.
    pub certificates: Option<AuthoritiesRow>,
    /// Its file of invitations.
    pub invitations: Option<InvitationsRow>,
}

/// A file of the keys of a group's peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFileRow {
    /// As configured.
    pub file: String,
    /// Peers that count of it.
    pub peers: u32,
    /// When it listed them, in milliseconds since 1970.
    pub read_unix_ms: Option<u64>,
    /// Why what it holds now does not count.
    pub problem: Option<String>,
}

/// A link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRow {
    /// Of which interface.
    pub interface: String,
    /// Of which peer.
    pub peer: String,
    /// Its id.
    pub link: u8,
    /// As configured.
    pub description: Option<String>,
    /// Number of the local that it uses, if that is known.
    pub local: Option<u8>,
    /// Address and port of that local.
    pub local_address: Option<String>,
    /// Address and port where it goes to now.
    pub remote: Option<String>,
    /// Whether the remote address is configured (or else learned).
    pub remote_configured: bool,
    /// Sending side: `up`, `suspect`, `probing`, `down`, `local-down` or `admin-down`.
    pub state: String,
    /// Receiving side: whether what the peer sends arrives.
    pub receiving: bool,
    /// Milliseconds in that state.
    pub since_ms: u64,
    /// Whether frames go out on it now.
    pub in_use: bool,
    /// Priority in force.
    pub priority: u8,
    /// Weight in force; `None`: as measured.
    pub weight: Option<u8>,
    /// Its part of the traffic where links share it, in percent; 0 where they do not.
    pub percent: u8,
    /// Milliseconds between heartbeats now: as configured, or more while a link that costs money rests.
    pub interval_ms: u32,
    /// Milliseconds of silence that bring the last link down.
    pub timeout_ms: u32,
    /// Answers in a row that bring it up.
    pub pong_count: u8,
    /// Smoothed round-trip time in microseconds (RFC 6298).
    pub rtt_us: Option<u64>,
    /// Smallest round-trip time in microseconds.
    pub rtt_min_us: Option<u64>,
    /// Variation of the round-trip time in microseconds (RFC 6298).
    pub rtt_var_us: u64,
    /// The round-trip time in microseconds that 99 of 100 measurements of the last minute did not exceed.
    pub rtt_p99_us: Option<u64>,
    /// Interarrival jitter of what we send in microseconds (RFC 3550), once the peer has told it.
    pub tx_jitter_us: Option<u32>,
    /// Interarrival jitter of what the peer sends in microseconds (RFC 3550).
    pub rx_jitter_us: u32,
    /// Share of our control datagrams that a later one had overtaken on arrival (RFC 4737), in parts per million, once
    /// the peer has told it.
    pub tx_reordered_ppm: Option<u32>,
    /// Share of the peer's control datagrams that a later one had overtaken on arrival, in parts per million.
    pub rx_reordered_ppm: u32,
    /// Share of what we sent lately that did not arrive, in parts per million.
    pub tx_loss_ppm: u32,
    /// Share of what the peer sent lately that did not arrive, in parts per million.
    pub rx_loss_ppm: u32,
    /// Datagrams sent.
    pub tx: Traffic,
    /// Datagrams received.
    pub rx: Traffic,
    /// Microseconds that data may go unreported before the link is suspect.
    pub report_timeout_us: u64,
    /// Times that it was suspected.
    pub suspects: u32,
    /// Times that it went down.
    pub downs: u32,
    /// Times that it was called down and was only slow.
    pub spurious: u32,
    /// Times that its probes went unanswered and it was not called down, being the last one, or because nothing at all
    /// came from the peer.
    pub spared: u32,
    /// Times that it answered well enough to be up, and was kept out of use because it had flapped.
    pub held: u32,
    /// Milliseconds for which it is kept out of use yet.
    pub held_for_ms: u64,
    /// Flap penalty, in thousandths of one down.
    pub penalty_milli: u32,
    /// The largest IP packet that is sent along its path, in bytes with IP and UDP header. `None`: it has no path yet.
    pub mtu: Option<u16>,
    /// Why it is no larger: `base` (nothing has been proven yet), `searching`, `black-hole`, `path`, `interface`, or
    /// `tunnel` (the tunnel's largest frame fits).
    pub mtu_limit: Option<String>,
    /// The same for people, with the sizes that were measured.
    pub mtu_reason: Option<String>,
    /// The largest IP packet in the tunnel that it carries whole, in bytes; at most the MTU of the TAP.
    pub inner_mtu: Option<u16>,
    /// The DNS name that it goes to, as configured.
    pub remote_name: Option<String>,
    /// What is wrong besides its state: why its name has no address.
    pub reason: Option<String>,
    /// Because of it frames to the peer go in pieces, or the MTU of the TAP, which follows the paths, is no larger.
    pub narrows: bool,
    /// What it costs to use it: it carries frames only while no link that costs less is up.
    pub cost: u8,
}

/// A line of the daemon's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRow {
    /// Milliseconds since 1970 (UTC).
    pub unix_ms: u64,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Part of the program.
    pub target: String,
    /// The line.
    pub text: String,
}

/// One round trip of `ping peer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingRow {
    /// The turn, from 1.
    pub sequence: u32,
    /// The link.
    pub link: u8,
    /// Where it went to.
    pub remote: Option<String>,
    /// Microseconds; `None`: no answer in time.
    pub rtt_us: Option<u64>,
}

/// Something that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRow {
    /// Milliseconds since 1970 (UTC).
    pub unix_ms: u64,
    /// Stable name of the kind: `session-up`, `session-down`, `link-state`, `link-receive`, `peer-stall`,
    /// `replay`, `roamed`, `gap`, `mac-frozen`, `local-state`, `interface-failed`, `configured`, `remote-address`,
    /// `name-not-resolved`, `tap-mtu`, `reset`.
    pub kind: String,
    /// Of which interface.
    pub interface: Option<String>,
    /// Of which peer.
    pub peer: Option<String>,
    /// Of which link.
    pub link: Option<u8>,
    /// The whole event in one line for people.
    pub text: String,
    /// Its other fields by stable names (`from`, `to`, `reason`, `silent_us`, `srtt_us`, `suite`, ...).
    pub details: Vec<(String, String)>,
    /// `text` without interface, peer and link.
    pub what: String,
}

/// A bound, and what is used of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitRow {
    /// Of which interface. `None`: of the daemon.
    pub interface: Option<String>,
    /// Stable name of what is bounded.
    pub name: String,
    /// What is counted: `bytes`, `frames`, `per second`, ...; empty where the name says it.
    pub unit: String,
    /// The bound.
    pub limit: u64,
    /// What is used of it now, where that is known.
    pub used: Option<u64>,
    /// The most that was ever used of it since the daemon was started, where that is kept.
    pub most: Option<u64>,
    /// Times that something was discarded or refused because of it since counters were cleared, where that is counted.
    pub refused: Option<u64>,
    /// What happens past it.
    pub past: String,
}
