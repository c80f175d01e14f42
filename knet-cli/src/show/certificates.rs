//! `show certificates`: ours and those of peers, and when they end.

use knet_api::message::{CertificateRow, Reply, RequestBody};
use serde_json::json;

use crate::{
    client::{Client, unexpected},
    document::Document,
    failure::Failure,
    output::clean,
    table::{Align, table},
    units::date_time,
};

const DAY: u64 = 86_400;
/// So long before their end they are pointed out.
const SOON: u64 = 30 * DAY;

/// One line for each, and one below for what needs attention.
pub(crate) fn document(client: &mut Client, interface: Option<String>) -> Result<Document, Failure> {
    let Reply::Certificates(report) = client.call(RequestBody::Certificates { interface })? else {
        return Err(unexpected());
    };
    let columns = [
        ("Interface", Align::Left),
        ("Of", Align::Left),
        ("Name", Align::Left),
        ("Serial", Align::Left),
        ("Authority", Align::Left),
        ("Groups", Align::Left),
        ("Addresses", Align::Left),
        ("Until (UTC)", Align::Left),
        ("Left", Align::Right),
    ];
    let list = |list: &[String]| match list {
        [] => "-".to_owned(),
        list => clean(&list.join(",")),
    };
    let cells = |row: &CertificateRow| {
        vec![
            clean(&row.interface),
            row.peer.as_deref().map_or("this host".to_owned(), clean),
            clean(&row.name),
            clean(&row.serial),
            row.authority.as_deref().map_or("-".to_owned(), clean),
            list(&row.groups),
            list(&row.addresses),
            date_time(row.not_after_unix_ms),
            left(row.remaining_s),
        ]
    };
    let expiring = |row: &&CertificateRow| row.remaining_s <= SOON;
    let soon = report.rows.iter().filter(expiring).map(|row| {
        let whose = row.peer.as_deref().map_or("of this host".to_owned(), |peer| {
            format!("of peer {}", clean(peer))
        });
        match row.remaining_s {
            0 => format!("The certificate {whose} has expired."),
            left => format!("The certificate {whose} expires in {}.", self::left(left)),
        }
    });
    let mut notes: Vec<String> = soon.collect();
    notes.extend(report.problems.iter().map(|problem| clean(problem)));
    let counts = report.counts;
    if counts.refused > 0 {
        notes.push(format!(
            "Refused since knetd was started: {}, of these {} because they are revoked.",
            counts.refused, counts.refused_as_revoked
        ));
    }
    notes.extend(report.refusals.iter().map(|row| {
        let times = if row.count == 1 {
            "once"
        } else {
            &format!("{} times", row.count)
        };
        format!(
            "{}, {times}; the latest: {}",
            clean(&row.reason),
            clean(&row.latest)
        )
    }));
    if report.more > 0 {
        notes.push(format!("{} more, which end later.", report.more));
    }
    let cells: Vec<Vec<String>> = report.rows.iter().map(cells).collect();
    Ok(Document::table("certificates", json!(report.rows), table(&columns, &cells)).with_notes(notes))
}

fn left(seconds: u64) -> String {
    match seconds {
        0 => "expired".to_owned(),
        s if s < 2 * DAY => format!("{} h", s / 3600),
        s => format!("{} days", s / DAY),
    }
}
