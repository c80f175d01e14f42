//! `show ip pool` and `show ip pool leases`, and what a peer is given out of a pool.

use knet_api::message::{IpPoolLeaseRow, IpPoolRow, PeerRow, Reply, RequestBody};
use serde_json::json;

use crate::{
    client::{Client, unexpected},
    document::Document,
    failure::Failure,
    output::clean,
    table::{Align, table},
    units::date_time,
};

/// One line for each pool.
pub(crate) fn document(client: &mut Client, interface: Option<String>) -> Result<Document, Failure> {
    let Reply::IpPools(rows) = client.call(RequestBody::IpPools { interface })? else {
        return Err(unexpected());
    };
    let columns = [
        ("Interface", Align::Left),
        ("Group", Align::Left),
        ("Pool", Align::Left),
        ("Addresses", Align::Right),
        ("Used", Align::Right),
        ("Left", Align::Right),
        ("Leases", Align::Right),
        ("Next", Align::Left),
    ];
    let cells = |row: &IpPoolRow| {
        vec![
            clean(&row.interface),
            clean(&row.group),
            clean(&row.pool),
            clean(&row.addresses),
            row.used.to_string(),
            clean(&row.left),
            row.leased.to_string(),
            row.next.as_deref().map_or("none".to_owned(), clean),
        ]
    };
    let short = rows.iter().filter(|row| row.without > 0).map(|row| {
        let who = if row.without == 1 {
            "1 peer has"
        } else {
            &format!("{} peers have", row.without)
        };
        format!("{who} no address of group {}: none was left.", clean(&row.group))
    });
    let mut notes: Vec<String> = short.collect();
    notes.dedup();
    notes.extend(rows.iter().find_map(|row| row.problem.as_deref()).map(clean));
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    Ok(Document::table("ip_pools", json!(rows), table(&columns, &cells)).with_notes(notes))
}

/// One line for each peer that was given something.
pub(crate) fn leases(client: &mut Client, interface: Option<String>) -> Result<Document, Failure> {
    let Reply::IpPoolLeases(report) = client.call(RequestBody::IpPoolLeases { interface })? else {
        return Err(unexpected());
    };
    let columns = [
        ("Interface", Align::Left),
        ("Group", Align::Left),
        ("Peer", Align::Left),
        ("Addresses", Align::Left),
        ("Since (UTC)", Align::Left),
        ("Away since (UTC)", Align::Left),
        ("Public key", Align::Left),
    ];
    let cells = |row: &IpPoolLeaseRow| {
        vec![
            clean(&row.interface),
            clean(&row.group),
            clean(&row.peer),
            clean(&row.addresses.join(",")),
            date_time(row.since_unix_ms),
            row.away_unix_ms.map_or_else(|| "-".to_owned(), date_time),
            clean(&row.public_key),
        ]
    };
    let mut notes: Vec<String> = report.problem.iter().map(|problem| clean(problem)).collect();
    if report.more > 0 {
        notes.push(format!("{} more.", report.more));
    }
    let cells: Vec<Vec<String>> = report.rows.iter().map(cells).collect();
    Ok(Document::table("ip_pool_leases", json!(report.rows), table(&columns, &cells)).with_notes(notes))
}

/// What a peer is given out of the pools of its group.
pub(super) fn of_peer(row: &PeerRow) -> Option<String> {
    if row.leased.is_empty() {
        return None;
    }
    let taken = match row.leased_taken {
        Some(true) => "acknowledged",
        _ => "not acknowledged",
    };
    Some(format!(
        "  Out of the pool: {} ({taken})",
        clean(&row.leased.join(", "))
    ))
}
