//! Revisions, differences, and who is at work.

use knet_api::transaction::{ClientRow, ImpactRow, PeerImpactRow, PendingRow, RevisionRow};
use serde_json::{Value, json};

use crate::{
    document::Document,
    output::clean,
    table::{Align, table},
    units::{date_time, duration},
};

/// `show configuration history`.
pub(crate) fn revisions(
    rows: &[RevisionRow],
    not_kept: Option<&str>,
    pending: Option<&PendingRow>,
) -> Document {
    let columns = [
        ("Revision", Align::Right),
        ("Time (UTC)", Align::Left),
        ("User", Align::Left),
        ("Made by", Align::Left),
        ("Changes", Align::Right),
        ("", Align::Left),
        ("Comment", Align::Left),
    ];
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let origin = clean(&row.origin);
            let marks = [(row.running, "running"), (row.startup, "startup")];
            let marks: Vec<&str> = marks
                .into_iter()
                .filter(|(is, _)| *is)
                .map(|(_, mark)| mark)
                .collect();
            vec![
                row.revision.to_string(),
                date_time(row.unix_ms),
                clean(&row.user),
                row.back_to
                    .map_or(origin.clone(), |to| format!("{origin} to {to}")),
                row.changes.to_string(),
                marks.join(","),
                row.comment.as_deref().map_or(String::new(), clean),
            ]
        })
        .collect();
    let not_kept_line = not_kept.map(|why| format!("The latest revision is not kept: {}", clean(why)));
    let notes = not_kept_line.into_iter().chain(pending.map(waits)).collect();
    Document::table("configuration_history", json!(rows), table(&columns, &cells))
        .with_notes(notes)
        .beside("not_kept", json!(not_kept))
        .beside("pending", json!(pending))
}

/// `who`.
pub(crate) fn clients(rows: &[ClientRow], pending: Option<&PendingRow>) -> Document {
    let columns = [
        ("Session", Align::Right),
        ("User", Align::Left),
        ("UID", Align::Right),
        ("Process", Align::Right),
        ("Since (UTC)", Align::Left),
        ("Idle", Align::Right),
        ("Mode", Align::Left),
    ];
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let own = if row.own { "*" } else { "" };
            let exclusive = if row.exclusive { ", exclusive" } else { "" };
            vec![
                format!("{own}{}", row.session),
                clean(&row.user),
                row.uid.to_string(),
                row.pid.map_or("-".to_owned(), |pid| pid.to_string()),
                date_time(row.since_unix_ms),
                duration(row.idle_ms),
                format!("{}{exclusive}", clean(&row.mode)),
            ]
        })
        .collect();
    Document::table("sessions", json!(rows), table(&columns, &cells))
        .with_notes(pending.map(waits).into_iter().collect())
        .beside("pending", json!(pending))
}

/// One sentence about a change that waits to be confirmed.
pub(crate) fn waits(pending: &PendingRow) -> String {
    format!(
        "A change by {} (session {}) waits to be confirmed (`configure confirm`); {}",
        clean(&pending.user),
        pending.session,
        comes_back(pending)
    )
}

/// What happens if nobody confirms it.
pub(crate) fn comes_back(pending: &PendingRow) -> String {
    let peer = pending.peer.as_ref().map_or(String::new(), |peer| {
        format!(", or when peer {} is lost", clean(peer))
    });
    let left = duration(pending.seconds_left * 1000);
    format!("revision {} comes back in {left}{peer}", pending.back_to)
}

/// The section of one interface in a configuration, as it stands there.
pub(crate) fn section(text: &str, interface: &str) -> String {
    let begin = format!("interface {interface}");
    let mut lines = text.lines().skip_while(|line| *line != begin);
    let first = lines.next();
    let inside = lines.take_while(|line| line.starts_with(' '));
    let section = first.into_iter().chain(inside);
    section.flat_map(|line| [line, "\n"]).collect()
}

/// `show configuration diff`. `text`: as the daemon sends it.
pub(crate) fn diff(text: &str) -> Document {
    let (value, mut lines) = difference(text);
    if lines.is_empty() {
        lines.push("No difference".to_owned());
    }
    Document::object("configuration_diff", value, lines)
}

/// `reload config`: what has changed, as the daemon sends it, and which revision that is.
pub(crate) fn reloaded(text: &str, revision: u64) -> Document {
    let (mut value, mut lines) = difference(text);
    value["revision"] = json!(revision);
    if lines.is_empty() {
        lines.push("Nothing has changed".to_owned());
    }
    lines.push(format!("Revision {revision}"));
    Document::object("reloaded", value, lines)
}

fn difference(text: &str) -> (Value, Vec<String>) {
    let lines: Vec<String> = text.lines().map(clean).collect();
    let named = |mark: &str| lines.iter().find_map(|line| line.strip_prefix(mark));
    let changes = lines.iter().skip(2).filter_map(|line| {
        let mut characters = line.chars();
        let change = match characters.next()? {
            '-' => "removed",
            '+' => "added",
            _ => "context",
        };
        Some(json!({ "change": change, "line": characters.as_str() }))
    });
    let changes: Vec<_> = changes.collect();
    let value = json!({ "from": named("--- "), "to": named("+++ "), "lines": changes });
    (value, lines)
}

/// `commit check`.
pub(crate) fn impact(rows: &[ImpactRow], notes: &[String]) -> Document {
    let mut lines = Vec::new();
    for row in rows {
        let interface = clean(&row.interface);
        let words = match row.action.as_str() {
            "start" => "starts",
            "stop" => "stops: all its sessions end",
            "restart" => "starts afresh: all sessions are made anew",
            _ => "changes without a restart",
        };
        lines.push(format!("Interface {interface} {words}"));
        if !row.settings.is_empty() {
            lines.push(format!("  Settings: {}", clean(&row.settings.join(", "))));
        }
        lines.extend(row.peers.iter().map(|peer| format!("  {}", peer_impact(peer))));
        if row.more_peers > 0 {
            lines.push(format!("  and {} more peers", row.more_peers));
        }
    }
    if rows.is_empty() {
        lines.push("Nothing that runs would change".to_owned());
    }
    lines.extend(notes.iter().map(|note| format!("Note: {note}")));
    Document::object("impact", json!(rows), lines).beside("notes", json!(notes))
}

fn peer_impact(row: &PeerImpactRow) -> String {
    let links: Vec<String> = row.links.iter().map(u8::to_string).collect();
    let what = match row.effect.as_str() {
        "add" => "is added".to_owned(),
        "remove" => "is removed".to_owned(),
        "rehandshake" => "gets a new session".to_owned(),
        "shutdown" => "is shut down".to_owned(),
        "relink" if links.len() == 1 => format!("link {} starts afresh", links.join(", ")),
        "relink" => format!("links {} start afresh", links.join(", ")),
        _ => "changes without an interruption".to_owned(),
    };
    format!("Peer {}: {what}", clean(&row.peer))
}
