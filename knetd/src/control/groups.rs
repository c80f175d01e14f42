//! `show peer-group`, and in which group a peer is.

use std::collections::BTreeMap;

use libknet::api::{
    grammar::spelling::names_instead,
    message::{ApiError, ErrorCode, GroupRow, KeyFileRow, Reply},
};

use super::names;
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
            GroupRow {
                interface: (*name).clone(),
                group: group.clone(),
                description: config.description.clone(),
                policy: config.policy.name().into(),
                peers: listed + peers.get(group.as_str()).copied().unwrap_or_default(),
                authorized_keys: file.map(|(file, _)| KeyFileRow {
                    file: file.path.clone(),
                    peers: listed,
                    read_unix_ms: file.read_unix_ms,
                    problem: file.problem.clone(),
                }),
            }
        }));
    }
    match only {
        Some(only) if rows.is_empty() => {
            let groups = interfaces
                .iter()
                .flat_map(|(_, interface)| interface.groups.keys());
            let instead = names_instead(only, groups.map(String::as_str));
            let error = ApiError::new(ErrorCode::NotFound, format!("there is no group {only}"));
            Err(match instead {
                Some(names) => error.with_hint(format!("there is {names}")),
                None => error,
            })
        }
        _ => Ok(Reply::Groups(rows)),
    }
}

/// The group that a peer is in, and the file of keys that lists it, where it is not configured itself.
pub(crate) fn origin_of(daemon: &Daemon, interface: &str, peer: &str) -> (Option<String>, Option<String>) {
    let config = daemon.of_this_host().interfaces.get(interface);
    if let Some(peer) = config.and_then(|interface| interface.peers.get(peer)) {
        return (peer.group.clone(), None);
    }
    match daemon.key_files().lists_peer(interface, peer) {
        Some((group, file)) => (Some(group.into()), Some(file.into())),
        None => (None, None),
    }
}
