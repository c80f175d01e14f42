//! `show peer-group`: what peers have in common, how many there are, and where they come from.

use knet_api::message::{GroupRow, PeerRow, Reply, RequestBody};
use serde_json::json;

use crate::{
    client::{Client, unexpected},
    document::Document,
    failure::Failure,
    output::clean,
    table::{Align, table},
    units::date_time,
};

/// One line for each group, and one below for each file that cannot be used.
pub(crate) fn document(
    client: &mut Client,
    interface: Option<String>,
    group: Option<String>,
) -> Result<Document, Failure> {
    let Reply::Groups(rows) = client.call(RequestBody::Groups { interface, group })? else {
        return Err(unexpected());
    };
    let columns = [
        ("Interface", Align::Left),
        ("Group", Align::Left),
        ("Peers", Align::Right),
        ("Policy", Align::Left),
        ("Listed", Align::Right),
        ("In", Align::Left),
        ("Read (UTC)", Align::Left),
        ("Description", Align::Left),
    ];
    let nothing = || "-".to_owned();
    let cells = |row: &GroupRow| {
        let file = row.authorized_keys.as_ref();
        vec![
            clean(&row.interface),
            clean(&row.group),
            row.peers.to_string(),
            clean(&row.policy),
            file.map_or_else(nothing, |file| file.peers.to_string()),
            file.map_or_else(nothing, |file| clean(&file.file)),
            file.and_then(|file| file.read_unix_ms)
                .map_or_else(nothing, date_time),
            row.description.as_deref().map_or_else(nothing, clean),
        ]
    };
    let problem = |row: &GroupRow| {
        let problem = row.authorized_keys.as_ref()?.problem.as_deref()?;
        Some(format!("Group {}: {}", clean(&row.group), clean(problem)))
    };
    let notes = rows.iter().filter_map(problem).collect();
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    Ok(Document::table("peer_groups", json!(rows), table(&columns, &cells)).with_notes(notes))
}

/// In which group a peer is, and which file lists it.
pub(crate) fn of_peer(row: &PeerRow) -> Option<String> {
    let file = row.authorized_keys.as_deref();
    let file = file.map_or(String::new(), |file| format!(", listed in {}", clean(file)));
    Some(format!("  Group {}{file}", clean(row.group.as_ref()?)))
}
