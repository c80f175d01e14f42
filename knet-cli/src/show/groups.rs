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
        ("Certified", Align::Right),
        ("By", Align::Left),
        ("Joined", Align::Right),
        ("Description", Align::Left),
    ];
    let nothing = || "-".to_owned();
    let cells = |row: &GroupRow| {
        let file = row.authorized_keys.as_ref();
        let certificates = row.certificates.as_ref();
        vec![
            clean(&row.interface),
            clean(&row.group),
            row.peers.to_string(),
            clean(&row.policy),
            file.map_or_else(nothing, |file| file.peers.to_string()),
            file.map_or_else(nothing, |file| clean(&file.file)),
            file.and_then(|file| file.read_unix_ms)
                .map_or_else(nothing, date_time),
            certificates.map_or_else(nothing, |certificates| certificates.peers.to_string()),
            certificates.map_or_else(nothing, |certificates| {
                clean(&certificates.authorities.join(", "))
            }),
            row.invitations
                .as_ref()
                .map_or_else(nothing, |invitations| invitations.members.to_string()),
            row.description.as_deref().map_or_else(nothing, clean),
        ]
    };
    let problems = |row: &GroupRow| {
        let of_keys = row.authorized_keys.as_ref().and_then(|file| file.problem.clone());
        let of_certificates = row.certificates.as_ref().and_then(|files| files.problem.clone());
        let group = clean(&row.group);
        let of_invitations = row.invitations.as_ref().and_then(|file| file.problem.clone());
        let problems = of_keys.into_iter().chain(of_certificates).chain(of_invitations);
        problems.map(move |problem| format!("Group {group}: {}", clean(&problem)))
    };
    let notes = rows.iter().flat_map(problems).collect();
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    Ok(Document::table("peer_groups", json!(rows), table(&columns, &cells)).with_notes(notes))
}

/// In which group a peer is, and which file lists it, or by which certificate it is there.
pub(crate) fn of_peer(row: &PeerRow) -> Option<String> {
    let file = row.authorized_keys.as_deref();
    let file = file.map_or(String::new(), |file| format!(", listed in {}", clean(file)));
    let certificate = row.certificate.as_deref();
    let certificate = certificate.map_or(String::new(), |serial| {
        format!(", by certificate {}", clean(serial))
    });
    Some(format!(
        "  Group {}{file}{certificate}",
        clean(row.group.as_ref()?)
    ))
}
