//! `show peer-group`, and in which group a peer is.

use std::collections::BTreeMap;

use libknet::api::message::{ApiError, GroupRow, KeyFileRow, PeerRow, Reply};

use super::{certificates, invitations, names};
use crate::daemon::Daemon;

/// Answers [`libknet::api::message::RequestBody::Groups`].
pub(crate) fn rows(daemon: &Daemon, interface: Option<&str>, only: Option<&str>) -> Result<Reply, ApiError> {
    let config = daemon.of_this_host();
    let interfaces = names::interfaces(config, interface)?;
    let mut rows = Vec::new();
    for (name, interface) in &interfaces {
        let mut peers: BTreeMap<&str, u32> = BTreeMap::new();
        for group in interface.peers.values().filter_map(|peer| peer.group.as_deref()) {
            *peers.entry(group).or_default() += 1;
        }
        let wanted = interface
            .groups
            .iter()
            .filter(|(group, _)| only.is_none_or(|only| only == group.as_str()));
        rows.extend(wanted.map(|(group, config)| {
            let file = daemon.key_files().get(name, group);
            let listed = file.map_or(0, |(_, listed)| listed as u32);
            let admitted = daemon.admissions().count(name, group) as u32;
            let anchor = daemon.certificate_files().anchor(name, group);
            let invitations = daemon.invitations().get(name, group).map(invitations::of_group);
            let members = invitations.as_ref().map_or(0, |row| row.members);
            GroupRow {
                interface: (*name).clone(),
                group: group.clone(),
                description: config.description.clone(),
                policy: config.policy.name().into(),
                peers: listed + admitted + members + peers.get(group.as_str()).copied().unwrap_or_default(),
                authorized_keys: file.map(|(file, _)| KeyFileRow {
                    file: file.path.clone(),
                    peers: listed,
                    read_unix_ms: file.read_unix_ms,
                    problem: file.problem.clone(),
                }),
                certificates: anchor.map(|anchor| certificates::authorities(anchor, admitted)),
                invitations,
            }
        }));
    }
    match only {
        Some(only) if rows.is_empty() => {
            let groups = interfaces
                .iter()
                .flat_map(|(_, interface)| interface.groups.keys());
            Err(names::none_called("group", only, groups.map(String::as_str)))
        }
        _ => Ok(Reply::Groups(rows)),
    }
}

/// Notes what a peer is given out of pools, in which group it is, and where it comes from, where it is not configured itself:
/// the file that lists it, or its certificate.
pub(crate) fn note_origin(daemon: &Daemon, row: &mut PeerRow) {
    let leased = daemon.leased(&row.interface, &row.peer);
    if !leased.is_empty() {
        let given = &mut row.guard.get_or_insert_default().given;
        given.extend(leased.iter().map(|prefix| prefix.address.to_string()));
        row.leased = leased.iter().map(ToString::to_string).collect();
    }
    let (interface, name) = (row.interface.as_str(), row.peer.as_str());
    let config = daemon.of_this_host().interfaces.get(interface);
    if let Some(peer) = config.and_then(|interface| interface.peers.get(name)) {
        row.group.clone_from(&peer.group);
    } else if let Some((group, file)) = daemon.key_files().lists_peer(interface, name) {
        (row.group, row.authorized_keys) = (Some(group.into()), Some(file.into()));
    } else if let Some((group, file)) = daemon
        .invitations()
        .member(interface, name)
        .and_then(|(group, _)| {
            let file = daemon.invitations().get(interface, group)?;
            Some((group, file.path.as_str()))
        })
    {
        (row.group, row.authorized_keys) = (Some(group.into()), Some(file.into()));
    } else if let Some((group, admitted)) = daemon.admissions().get(interface, name) {
        let serial = admitted.certificate.certificate().serial.to_string();
        (row.group, row.certificate) = (Some(group.into()), Some(serial));
    }
}
