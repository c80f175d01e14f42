//! What the shell and the daemon say about changes of the configuration as a whole: revisions, candidates, commits,
//! and who is at work. Rows are what `--json` prints, field by field.

use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// What a client is in the middle of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Outside the configuration.
    #[default]
    Exec,
    /// In the running configuration: each line is in force at once.
    Immediate,
    /// In a candidate of its own.
    Candidate,
}

impl Mode {
    /// The word in tables and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Immediate => "configure",
            Self::Candidate => "candidate",
        }
    }
}

/// How a client goes into the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it goes.
    pub mode: Mode,
    /// Nobody else may change anything until it leaves.
    pub exclusive: bool,
    /// What is changed is undone after so many seconds, 1..=86400, unless it is confirmed.
    pub revert_s: Option<u32>,
}

/// A text of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// What is in force.
    Running,
    /// The configuration file.
    Startup,
    /// The candidate of this client.
    Candidate,
    /// A revision that is kept.
    Revision(u64),
}

/// What is to happen to a commit that nobody confirms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// It is undone after so many seconds, 1..=86400.
    pub seconds: u32,
    /// It is undone, too, when this peer is lost.
    pub peer: Option<String>,
}

/// A revision that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionRow {
    /// Its number: that of the last change in it.
    pub revision: u64,
    /// How many changes were gathered in it, one after the other.
    pub changes: u64,
    /// Milliseconds since 1970 (UTC) of the last of them.
    pub unix_ms: u64,
    /// Who made it.
    pub user: String,
    /// What made it: `start` (the file at start), `reload` (SIGHUP), `lines` (typed, in force at once), `commit`,
    /// `rollback`, `replace`, or `automatic-rollback`.
    pub origin: String,
    /// Which revision it went back to.
    pub back_to: Option<u64>,
    /// What was said about it.
    pub comment: Option<String>,
    /// Size of its text in bytes.
    pub bytes: u64,
    /// Whether it is in force.
    pub running: bool,
    /// Whether it is what was last read from or written to the configuration file.
    pub startup: bool,
}

/// A change that waits to be confirmed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRow {
    /// Who made it.
    pub user: String,
    /// In which session.
    pub session: u64,
    /// The revision that comes back if nobody confirms it.
    pub back_to: u64,
    /// Seconds until then.
    pub seconds_left: u64,
    /// The peer that must not be lost.
    pub peer: Option<String>,
}

/// What a change came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRow {
    /// Of the running configuration now.
    pub revision: u64,
    /// Whether anything differed from what was in force.
    pub changed: bool,
    /// Host name now.
    pub hostname: String,
    /// It waits to be confirmed.
    pub pending: Option<PendingRow>,
    /// A change that waited was confirmed.
    pub confirmed: bool,
    /// What is incomplete in the configuration, up to a hundred.
    pub notes: Vec<Problem>,
    /// Why the revision is not kept, if it could not be.
    pub not_kept: Option<String>,
}

/// What a change would do to an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImpactRow {
    /// Name of its TAP.
    pub interface: String,
    /// `start`, `change`, `restart` or `stop`.
    pub action: String,
    /// What changes of the interface itself, in words, such as `MTU` or `local 1`.
    pub settings: Vec<String>,
    /// Peers that are touched, at most a thousand.
    pub peers: Vec<PeerImpactRow>,
    /// How many are touched beside these.
    pub more_peers: u64,
}

/// What a change would do to a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerImpactRow {
    /// Its name.
    pub peer: String,
    /// `add`, `remove`, `rehandshake` (its session is made anew), `relink` (links start afresh), `shutdown`, or
    /// `live` (nothing is interrupted).
    pub effect: String,
    /// Which links start afresh, come or go.
    pub links: Vec<u8>,
}

/// A client of the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRow {
    /// Its number, for `clear session`.
    pub session: u64,
    /// Whether it is the one that asks.
    pub own: bool,
    /// Name of the user.
    pub user: String,
    /// Number of the user.
    pub uid: u32,
    /// Process, where the system tells.
    pub pid: Option<u32>,
    /// Milliseconds since 1970 (UTC) when it came.
    pub since_unix_ms: u64,
    /// Milliseconds since it asked something.
    pub idle_ms: u64,
    /// `exec`, `configure` or `candidate`.
    pub mode: String,
    /// Whether only it may change the configuration.
    pub exclusive: bool,
}
