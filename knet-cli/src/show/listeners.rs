//! `show ip igmp snooping` and `show ipv6 mld snooping`.

use knet_api::message::{ListenerRow, Reply, RequestBody};
use serde_json::json;

use super::addresses;
use crate::{
    client::Client,
    document::Document,
    failure::Failure,
    output::clean,
    table::{Align, table},
    units::duration,
};

/// Who asks, where routers are, who listens.
pub(super) fn document(
    client: &mut Client,
    ipv6: bool,
    interface: Option<&String>,
) -> Result<Document, Failure> {
    let request = |page| RequestBody::Listeners {
        interface: interface.cloned(),
        page,
    };
    let mut rows = client.pages(request, |reply| match reply {
        Reply::Listeners(rows) => Some(rows),
        _ => None,
    })?;
    rows.retain(|row| row.ipv6 == ipv6);
    let name = if ipv6 { "mld_snooping" } else { "igmp_snooping" };
    Ok(Document::table(name, json!(rows), lines(&rows)))
}

fn lines(rows: &[ListenerRow]) -> Vec<String> {
    let columns = [
        ("Interface", Align::Left),
        ("VLAN", Align::Right),
        ("Group", Align::Left),
        ("Role", Align::Left),
        ("Port", Align::Left),
        ("Address", Align::Left),
        ("Version", Align::Right),
        ("Interval", Align::Right),
        ("Left", Align::Right),
    ];
    let cells = |row: &ListenerRow| {
        vec![
            clean(&row.interface),
            row.vlan.map_or("-".to_owned(), |vlan| vlan.to_string()),
            row.group.as_deref().map_or("-".to_owned(), clean),
            clean(&row.role),
            if row.own {
                "this interface".to_owned()
            } else {
                addresses::behind(row.peer.as_deref())
            },
            row.address.as_deref().map_or(String::new(), clean),
            row.version.map_or(String::new(), |version| version.to_string()),
            row.interval_s.map_or(String::new(), |s| format!("{s}s")),
            row.left_ms.map_or("configured".to_owned(), duration),
        ]
    };
    table(&columns, &rows.iter().map(cells).collect::<Vec<_>>())
}
