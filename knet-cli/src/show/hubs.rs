//! `show hub-group`: which hub is used, since when, and why; and what a peer is in its group.

use knet_api::message::{HubGroupRow, HubRow, InterfaceAndName, PeerRow, Reply, RequestBody};
use serde_json::json;

use crate::{
    client::{Client, unexpected},
    document::Document,
    failure::Failure,
    output::clean,
    table::{Align, table},
    units::duration,
};

/// One line for each group.
pub(crate) fn document(
    client: &mut Client,
    interface: Option<String>,
    name: Option<String>,
) -> Result<Document, Failure> {
    let request = RequestBody::HubGroups(InterfaceAndName { interface, name });
    let Reply::HubGroups(rows) = client.call(request)? else {
        return Err(unexpected());
    };
    let columns = [
        ("Interface", Align::Left),
        ("Group", Align::Left),
        ("In use", Align::Left),
        ("For", Align::Right),
        ("Because", Align::Left),
        ("Take-overs", Align::Right),
        ("Hubs", Align::Left),
    ];
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    Ok(Document::table(
        "hub_groups",
        json!(rows),
        table(&columns, &cells),
    ))
}

fn cells(row: &HubGroupRow) -> Vec<String> {
    let nothing = || "-".to_owned();
    let hub = |hub: &HubRow| {
        let (peer, state) = (clean(&hub.peer), clean(&hub.state));
        format!("{peer} (preference {}) {state}", hub.preference)
    };
    let hubs: Vec<String> = row.hubs.iter().map(hub).collect();
    vec![
        clean(&row.interface),
        clean(&row.group),
        row.active.as_deref().map_or_else(nothing, clean),
        row.active_ms.map_or_else(nothing, duration),
        row.reason.as_deref().map_or_else(nothing, clean),
        row.take_overs.to_string(),
        hubs.join(", "),
    ]
}

/// What a peer is in its hub group, and whether a client of several hubs uses this one.
pub(crate) fn of_peer(row: &PeerRow) -> impl Iterator<Item = String> {
    let hub = row.hub.as_ref().map(|hub| {
        let state = if hub.active { "in use" } else { "not in use" };
        format!(
            "  Hub of hub-group {}, preference {}, {state}",
            clean(&hub.group),
            hub.preference
        )
    });
    let client = row.attached.map(|attached| {
        let used = if attached {
            "uses this one"
        } else {
            "does not use this one"
        };
        format!("  Has several hubs, and {used}")
    });
    hub.into_iter().chain(client)
}

/// What a list of peers says of each, where any of them is or has several hubs.
pub(crate) fn role(row: &PeerRow) -> Option<&'static str> {
    match (&row.hub, row.attached) {
        (Some(hub), _) if hub.active => Some("hub in use"),
        (Some(_), _) => Some("hub"),
        (None, Some(true)) => Some("client"),
        (None, Some(false)) => Some("client of another"),
        (None, None) => None,
    }
}
