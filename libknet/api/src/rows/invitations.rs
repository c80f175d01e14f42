//! Rows about invitations.

use serde::{Deserialize, Serialize};

/// What a group has to do with invitations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationsRow {
    /// The file, as configured.
    pub file: String,
    /// Peers that have come by one.
    pub members: u32,
    /// Invitations that nobody has used, expired ones included.
    pub open: u32,
    /// Why what the file holds now does not count.
    pub problem: Option<String>,
}

/// An invitation that was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitedRow {
    /// What is to be handed on. A secret until it is used.
    pub invitation: String,
    /// What it is called: 8 hexadecimal digits.
    pub id: String,
    /// Until when it is good, in milliseconds since 1970.
    pub expires_unix_ms: u64,
    /// Where whoever has it looks for the hub, with ports.
    pub endpoints: Vec<String>,
    /// The addresses that it gives.
    pub addresses: Vec<String>,
}

/// What was configured by an invitation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedRow {
    /// On which interface.
    pub interface: String,
    /// Name of the peer that is the hub.
    pub peer: String,
    /// The public key of the interface, in base64.
    pub public_key: String,
    /// The lines that were put in force.
    pub lines: Vec<String>,
    /// Of the configuration now.
    pub revision: u64,
}

/// Invitations, and who has come by one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationsReport {
    /// Those first that are open; at most 1000.
    pub rows: Vec<InvitationRow>,
    /// How many more there are.
    pub more: u64,
    /// What is wrong with files of invitations.
    pub problems: Vec<String>,
}

/// An invitation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationRow {
    /// To which interface.
    pub interface: String,
    /// Into which group.
    pub group: String,
    /// What it is called: 8 hexadecimal digits.
    pub id: String,
    /// `open`, `expired`, `used`; or `displaced`: it was used, and something in the configuration has the member's name or key.
    pub state: String,
    /// The name that is in it, or that of the member.
    pub name: Option<String>,
    /// Until when it is good, in milliseconds since 1970, while nobody has used it.
    pub expires_unix_ms: Option<u64>,
    /// The key of the member, in base64.
    pub public_key: Option<String>,
    /// Since when it is a member, in milliseconds since 1970.
    pub since_unix_ms: Option<u64>,
    /// The addresses that it gives.
    pub addresses: Vec<String>,
}
