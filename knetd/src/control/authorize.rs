//! Who may do what. A new request does not compile without a decision here.

use libknet::api::message::{ApiError, ErrorCode, Privilege, RequestBody};

use crate::account::User;

/// Whether `user` may ask for that now.
pub(crate) fn permit(user: &User, request: &RequestBody) -> Result<(), ApiError> {
    match user.privilege() {
        None => Err(stranger(user)),
        Some(privilege) if privilege < required(request) => {
            let text = format!("user {} may look and not change", user.name);
            Err(ApiError::new(ErrorCode::Denied, text).with_hint("be root, or a member of group knet"))
        }
        Some(_) => Ok(()),
    }
}

/// What is said to a user who may do nothing.
pub(crate) fn stranger(user: &User) -> ApiError {
    let text = format!("user {} may not use knet", user.name);
    ApiError::new(ErrorCode::Denied, text)
        .with_hint("be root, or a member of group knet (to change) or knetop (to look)")
}

/// The least that a user must be for this request.
fn required(request: &RequestBody) -> Privilege {
    match request {
        // Changes, and what costs the tunnel or the disk something or looks at key files.
        RequestBody::Edit { .. }
        | RequestBody::Try { .. }
        | RequestBody::WriteMemory
        | RequestBody::ClearCounters { .. }
        | RequestBody::ClearNeighbors { .. }
        | RequestBody::ClearLoopGuard { .. }
        | RequestBody::Configure(_)
        | RequestBody::EditCandidate { .. }
        | RequestBody::Commit { .. }
        | RequestBody::CommitCheck
        | RequestBody::Update
        | RequestBody::Discard
        | RequestBody::Confirm
        | RequestBody::Revert
        | RequestBody::Rollback { .. }
        | RequestBody::Upload { .. }
        | RequestBody::Replace { .. }
        | RequestBody::ClearClient { .. }
        | RequestBody::ResetPeer { .. }
        | RequestBody::GenerateKey { .. }
        | RequestBody::Invite(_)
        | RequestBody::Join { .. }
        | RequestBody::ClearInvitations { .. }
        | RequestBody::RemoveMember { .. }
        | RequestBody::ClearIpPoolLease { .. }
        | RequestBody::ReloadConfig => Privilege::Admin,
        // Key files are named in these texts; keys are not in them.
        RequestBody::RunningConfig { .. }
        | RequestBody::ExpandedConfig
        | RequestBody::StartupConfig
        | RequestBody::Version
        | RequestBody::Interfaces { .. }
        | RequestBody::Peers { .. }
        | RequestBody::Peer { .. }
        | RequestBody::Links { .. }
        | RequestBody::Macs { .. }
        | RequestBody::Neighbors { .. }
        | RequestBody::Vlans { .. }
        | RequestBody::Listeners { .. }
        | RequestBody::Logging { .. }
        | RequestBody::Monitor
        | RequestBody::Ping { .. }
        | RequestBody::History { .. }
        | RequestBody::Limits { .. }
        | RequestBody::Groups { .. }
        | RequestBody::Certificates { .. }
        | RequestBody::Invitations { .. }
        | RequestBody::IpPools { .. }
        | RequestBody::IpPoolLeases { .. }
        | RequestBody::HubGroups(_)
        | RequestBody::Complete { .. }
        | RequestBody::Revisions
        | RequestBody::ConfigText(_)
        | RequestBody::ConfigDiff { .. }
        | RequestBody::Clients
        | RequestBody::Announcements
        | RequestBody::Leave
        | RequestBody::Cancel { .. } => Privilege::Operator,
    }
}
