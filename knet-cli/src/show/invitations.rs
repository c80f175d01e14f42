//! `show invitations`, and what `invite`, `join`, `clear invitation` and `remove member` have done.

use knet_api::message::{InvitationRow, InvitedRow, JoinedRow, Reply, RequestBody};
use serde_json::json;

use crate::{
    client::{Client, unexpected},
    document::Document,
    failure::Failure,
    output::clean,
    table::{Align, table},
    units::date_time,
};

/// One line for each, and one below for each file that cannot be used.
pub(crate) fn document(client: &mut Client, interface: Option<String>) -> Result<Document, Failure> {
    let Reply::Invitations(report) = client.call(RequestBody::Invitations { interface })? else {
        return Err(unexpected());
    };
    let columns = [
        ("Interface", Align::Left),
        ("Group", Align::Left),
        ("Id", Align::Left),
        ("State", Align::Left),
        ("Name", Align::Left),
        ("Addresses", Align::Left),
        ("Until (UTC)", Align::Left),
        ("Since (UTC)", Align::Left),
        ("Public key", Align::Left),
    ];
    let nothing = || "-".to_owned();
    let cells = |row: &InvitationRow| {
        vec![
            clean(&row.interface),
            clean(&row.group),
            clean(&row.id),
            clean(&row.state),
            row.name.as_deref().map_or_else(nothing, clean),
            match &row.addresses[..] {
                [] => nothing(),
                addresses => clean(&addresses.join(",")),
            },
            row.expires_unix_ms.map_or_else(nothing, date_time),
            row.since_unix_ms.map_or_else(nothing, date_time),
            row.public_key.as_deref().map_or_else(nothing, clean),
        ]
    };
    let mut notes: Vec<String> = report.problems.iter().map(|problem| clean(problem)).collect();
    if report.more > 0 {
        notes.push(format!("{} more.", report.more));
    }
    let cells: Vec<Vec<String>> = report.rows.iter().map(cells).collect();
    Ok(Document::table("invitations", json!(report.rows), table(&columns, &cells)).with_notes(notes))
}

/// An invitation that was made: on a line of its own, so that it can be copied.
pub(crate) fn invited(row: &InvitedRow) -> Document {
    let with = match &row.addresses[..] {
        [] => String::new(),
        addresses => format!(", with {}", clean(&addresses.join(", "))),
    };
    let lines = vec![
        format!(
            "Invitation {}, good once until {}, to {}{with}:",
            clean(&row.id),
            date_time(row.expires_unix_ms),
            clean(&row.endpoints.join(", "))
        ),
        clean(&row.invitation),
        "It is a secret until it is used. There: knet-cli, and `join` with it.".to_owned(),
    ];
    Document::object("invitation", json!(row), lines)
}

/// What is configured by an invitation.
pub(crate) fn joined(row: &JoinedRow) -> Document {
    let mut lines: Vec<String> = row.lines.iter().map(|line| clean(line)).collect();
    lines.push(format!(
        "Peer {} of {} is configured with that (revision {}); `show peer {}` tells whether it answers, `write memory` keeps it",
        clean(&row.peer),
        clean(&row.interface),
        row.revision,
        clean(&row.peer)
    ));
    Document::object("joined", json!(row), lines)
}

/// What was taken back.
pub(crate) fn cleared(ids: &[String]) -> Document {
    let line = match ids {
        [] => "There was no open invitation".to_owned(),
        ids => format!("Taken back: {}", clean(&ids.join(", "))),
    };
    Document::object("cleared", json!(ids), vec![line])
}
