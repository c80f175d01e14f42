//! `show hub-group`.

use std::{cell::RefCell, collections::BTreeMap};

use libknet::{
    Query,
    api::{
        message::{ApiError, HubGroupRow, HubRow, InterfaceAndName, Reply},
        model::InterfaceConfig,
    },
    proto::{hub_group::Standing, status::HubGroupStatus},
};

use super::{names, show::mismatch};
use crate::{daemon::Daemon, events::take_over_reason, overlay::Overlay};

/// Answers [`libknet::api::message::RequestBody::HubGroups`].
pub(crate) async fn rows(daemon: &RefCell<Daemon>, of: &InterfaceAndName) -> Result<Reply, ApiError> {
    let config = daemon.borrow().in_force().clone();
    let only = of.name.as_deref();
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    for (name, interface) in names::interfaces(&config, of.interface.as_deref())? {
        let mut configured = configured(name, interface);
        all.extend(configured.keys().cloned());
        configured.retain(|group, _| only.is_none_or(|only| only == group));
        if configured.is_empty() {
            continue;
        }
        let reply = daemon
            .borrow()
            .overlay(name)
            .map(|overlay| overlay.query(Query::HubGroups));
        if let Some(reply) = reply {
            let libknet::Reply::HubGroups(groups) = reply.await? else {
                return Err(mismatch());
            };
            if let Some(overlay) = daemon.borrow().overlay(name) {
                for status in &groups {
                    if let Some(row) = configured.get_mut(&*status.name) {
                        fill_in(row, overlay, status);
                    }
                }
            }
        }
        rows.extend(configured.into_values());
    }
    match only {
        Some(only) if rows.is_empty() => {
            let all = all.iter().map(String::as_str);
            Err(names::none_called("hub-group", only, all))
        }
        _ => Ok(Reply::HubGroups(rows)),
    }
}

/// The groups of an interface by name, of which nothing is up.
fn configured(name: &str, interface: &InterfaceConfig) -> BTreeMap<String, HubGroupRow> {
    let mut groups: BTreeMap<String, HubGroupRow> = BTreeMap::new();
    for (peer, config) in &interface.peers {
        let Some(hub) = &config.hub else { continue };
        let row = groups.entry(hub.group.clone()).or_insert_with(|| HubGroupRow {
            interface: name.into(),
            group: hub.group.clone(),
            ..HubGroupRow::default()
        });
        row.hubs.push(HubRow {
            peer: peer.clone(),
            preference: hub.preference,
            state: state(Standing::Down).into(),
        });
    }
    groups
}

fn fill_in(row: &mut HubGroupRow, overlay: &Overlay, status: &HubGroupStatus) {
    row.active = status
        .active
        .and_then(|id| overlay.slots.name(id))
        .map(str::to_owned);
    if row.active.is_some() {
        row.active_ms = Some(status.since.as_millis());
        row.reason = Some(take_over_reason(status.reason).0.into());
    }
    row.take_overs = status.take_overs;
    for member in &status.members {
        let name = overlay.slots.name(member.peer);
        if let Some(hub) = row.hubs.iter_mut().find(|hub| Some(hub.peer.as_str()) == name) {
            hub.state = state(member.standing).into();
        }
    }
}

const fn state(standing: Standing) -> &'static str {
    match standing {
        Standing::Down => "down",
        Standing::Doubtful => "doubtful",
        Standing::Up => "up",
    }
}
