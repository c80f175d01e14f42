//! `show invitations`, and what a group has to do with them.

use libknet::api::{
    invitation::register::{Invited, Register},
    message::{ApiError, InvitationRow, InvitationsReport, InvitationsRow, Reply},
    value::IpPrefix,
};

use super::names;
use crate::{
    config::watched_file::{Change, WatchedFile},
    daemon::Daemon,
    logging::unix_ms,
};

/// Most rows of an answer.
const ROWS: usize = 1000;

/// Answers [`libknet::api::message::RequestBody::Invitations`].
pub(crate) fn report(daemon: &Daemon, only: Option<&str>) -> Result<Reply, ApiError> {
    let invitations = daemon.invitations();
    let now = unix_ms() / 1000;
    let (mut open, mut used) = (Vec::new(), Vec::new());
    for (interface, _) in names::interfaces(daemon.of_this_host(), only)? {
        for (group, register) in invitations.of_interface(interface) {
            for (hash, invited) in register.invitations() {
                let row = InvitationRow {
                    interface: interface.clone(),
                    group: group.to_owned(),
                    id: hash.id(),
                    ..InvitationRow::default()
                };
                match invited {
                    Invited::Open {
                        name,
                        expires,
                        addresses,
                    } => open.push(InvitationRow {
                        state: if *expires > now { "open" } else { "expired" }.to_owned(),
                        name: name.clone(),
                        expires_unix_ms: Some(expires.saturating_mul(1000)),
                        addresses: texts(addresses),
                        ..row
                    }),
                    Invited::Used { member } => {
                        let displaced = invitations.is_displaced(interface, group, member);
                        let known = register.members().get(member);
                        used.push(InvitationRow {
                            state: if displaced { "displaced" } else { "used" }.to_owned(),
                            name: Some(member.clone()),
                            public_key: known.map(|member| member.public_key.to_string()),
                            addresses: known.map_or_else(Vec::new, |member| texts(&member.addresses)),
                            since_unix_ms: known.map(|member| member.since.saturating_mul(1000)),
                            ..row
                        });
                    }
                }
            }
        }
    }
    open.sort_by_key(|row| row.expires_unix_ms);
    used.sort_by(|a, b| (&a.interface, &a.name).cmp(&(&b.interface, &b.name)));
    let mut rows = open;
    rows.append(&mut used);
    let more = rows.len().saturating_sub(ROWS) as u64;
    rows.truncate(ROWS);
    let problems = invitations.problems().into_iter().filter_map(Change::problem);
    Ok(Reply::Invitations(InvitationsReport {
        rows,
        more,
        problems: problems.collect(),
    }))
}

fn texts(addresses: &[IpPrefix]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

/// What a group has to do with invitations.
pub(super) fn of_group(file: &WatchedFile<Register>) -> InvitationsRow {
    let register = file.contents.as_ref();
    InvitationsRow {
        file: file.path.clone(),
        members: register.map_or(0, |register| register.members().len() as u32),
        open: register.map_or(0, |register| register.open() as u32),
        problem: file.problem.clone(),
    }
}
