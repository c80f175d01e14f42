//! Addresses of stations, and which port they are behind: `show mac address-table`, `show arp`.

use knet_api::message::{MacRow, NeighborRow, PeerRow, Reply, RequestBody};
use serde_json::json;

use crate::{
    client::Client,
    document::Document,
    failure::Failure,
    output::clean,
    table::{Align, table},
    units::duration,
};

/// `show mac address-table`
pub(super) fn macs(client: &mut Client, interface: Option<&String>) -> Result<Document, Failure> {
    let request = |page| RequestBody::Macs {
        interface: interface.cloned(),
        page,
    };
    let rows = client.pages(request, |reply| match reply {
        Reply::Macs(rows) => Some(rows),
        _ => None,
    })?;
    Ok(Document::table(
        "mac_address_table",
        json!(rows),
        mac_lines(&rows),
    ))
}

/// `show arp`
pub(super) fn neighbors(
    client: &mut Client,
    peer: Option<&String>,
    interface: Option<&String>,
) -> Result<Document, Failure> {
    let request = |page| RequestBody::Neighbors {
        interface: interface.cloned(),
        peer: peer.cloned(),
        page,
    };
    let rows = client.pages(request, |reply| match reply {
        Reply::Neighbors(rows) => Some(rows),
        _ => None,
    })?;
    Ok(Document::table("arp", json!(rows), neighbor_lines(&rows)))
}

fn mac_lines(rows: &[MacRow]) -> Vec<String> {
    let has_vlans = rows.iter().any(|row| row.vlan.is_some());
    let columns = [
        ("Interface", Align::Left),
        ("VLAN", Align::Right),
        ("MAC address", Align::Left),
        ("Behind", Align::Left),
        ("Type", Align::Left),
        ("Age", Align::Right),
    ];
    let cells = |row: &MacRow| {
        let (kind, age) = match row {
            MacRow { is_static: true, .. } => ("static", "-".to_owned()),
            MacRow { is_sticky: true, .. } => ("sticky", "-".to_owned()),
            _ => ("dynamic", duration(row.age_ms)),
        };
        vec![
            clean(&row.interface),
            row.vlan.map_or("all".to_owned(), |vlan| vlan.to_string()),
            clean(&row.mac_address),
            behind(row.peer.as_deref()),
            kind.to_owned(),
            age,
        ]
    };
    with_vlans(has_vlans, &columns, rows.iter().map(cells))
}

/// The table, without its second column where no VLANs are told apart.
fn with_vlans(
    has_vlans: bool,
    columns: &[(&str, Align)],
    rows: impl Iterator<Item = Vec<String>>,
) -> Vec<String> {
    let mut columns = columns.to_vec();
    let mut rows: Vec<Vec<String>> = rows.collect();
    if !has_vlans {
        columns.remove(1);
        for row in &mut rows {
            row.remove(1);
        }
    }
    table(&columns, &rows)
}

fn neighbor_lines(rows: &[NeighborRow]) -> Vec<String> {
    let has_vlans = rows.iter().any(|row| row.vlan.is_some());
    let columns = [
        ("Interface", Align::Left),
        ("VLAN", Align::Right),
        ("Address", Align::Left),
        ("Age", Align::Right),
        ("MAC address", Align::Left),
        ("Behind", Align::Left),
        ("Router", Align::Left),
        ("Given", Align::Left),
    ];
    let cells = |row: &NeighborRow| {
        vec![
            clean(&row.interface),
            row.vlan.map_or(String::new(), |vlan| vlan.to_string()),
            clean(&row.address),
            duration(row.age_ms),
            clean(&row.mac_address),
            behind(row.peer.as_deref()),
            if row.router { "yes" } else { "" }.to_owned(),
            if row.given { "yes" } else { "" }.to_owned(),
        ]
    };
    with_vlans(has_vlans, &columns, rows.iter().map(cells))
}

/// Which addresses a peer may use, and what it was kept from.
pub(super) fn of_peer(row: &PeerRow) -> Vec<String> {
    let Some(guard) = &row.guard else {
        return Vec::new();
    };
    let list = |values: &[String]| clean(&values.join(", "));
    let mut lines = Vec::new();
    if !guard.allowed_macs.is_empty() {
        lines.push(format!("  Allowed MAC addresses: {}", list(&guard.allowed_macs)));
    }
    lines.extend(
        guard
            .sticky
            .map(|sticky| format!("  Sticky MAC addresses: at most {sticky}")),
    );
    let enforced = match (guard.verify_source, guard.arp_inspection) {
        (true, true) => "no others are sent from or claimed",
        (true, false) => "no others are sent from",
        (false, true) => "no others are claimed",
        (false, false) => "not enforced",
    };
    if !guard.given.is_empty() {
        lines.push(format!("  Given addresses, {enforced}: {}", list(&guard.given)));
    } else if guard.verify_source || guard.arp_inspection {
        lines.push(format!("  No addresses are given, {enforced}"));
    }
    if guard.validate_source_mac {
        lines.push("  ARP and neighbour discovery name the MAC address of their frame".to_owned());
    }
    if guard.router_guard {
        lines.push(format!(
            "  No multicast router: {} queries and other things that only one sends were dropped",
            guard.dropped_routers
        ));
    }
    let drops = [guard.dropped_macs, guard.dropped_sources, guard.dropped_claims];
    if drops.iter().any(|n| *n > 0) {
        let [macs, sources, claims] = drops;
        lines.push(format!(
            "  Dropped for addresses it may not use: {macs} by MAC address, {sources} by IP address, {claims} of ARP or \
             neighbour discovery"
        ));
    }
    lines
}

/// The port in words; `None`: the TAP.
pub(super) fn behind(peer: Option<&str>) -> String {
    peer.map_or("this host".to_owned(), |peer| format!("peer {}", clean(peer)))
}
