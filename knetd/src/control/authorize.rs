//! Who may do what. A new request does not compile without a decision here.

use libknet::api::message::{Privilege, RequestBody};

/// The least that a user must be for this request.
pub(crate) fn required(request: &RequestBody) -> Privilege {
    match request {
        // Changes, and what costs the tunnel or the disk something.
        RequestBody::Edit { .. }
        | RequestBody::WriteMemory
        | RequestBody::ClearCounters { .. }
        | RequestBody::Ping { .. } => Privilege::Admin,
        // Key files are named in these texts; keys are not in them.
        RequestBody::RunningConfig { .. }
        | RequestBody::StartupConfig
        | RequestBody::Version
        | RequestBody::Interfaces { .. }
        | RequestBody::Peers { .. }
        | RequestBody::Peer { .. }
        | RequestBody::Links { .. }
        | RequestBody::Macs { .. }
        | RequestBody::Logging { .. }
        | RequestBody::Monitor
        | RequestBody::History { .. }
        | RequestBody::Complete { .. }
        | RequestBody::Cancel { .. } => Privilege::Operator,
    }
}
