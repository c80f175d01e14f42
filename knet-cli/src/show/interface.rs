//! `show interfaces`: one of them; `show ip interface brief`: all of them.

use knet_api::message::{InterfaceRow, LinkCountsRow, NegotiatedRow, Traffic, WorkerRow};
use serde_json::json;

use crate::{
    document::Document,
    output::clean,
    table::{Align, table},
    units::duration,
};

/// One line for each.
pub(super) fn brief(rows: &[InterfaceRow]) -> Vec<String> {
    let columns = [
        ("Interface", Align::Left),
        ("State", Align::Left),
        ("Addresses", Align::Left),
        ("MTU", Align::Right),
        ("Peers up", Align::Right),
    ];
    let cells = |row: &InterfaceRow| {
        let taken = row
            .negotiated
            .iter()
            .filter(|negotiated| negotiated.refused.is_none());
        let all = row
            .addresses
            .iter()
            .chain(taken.map(|negotiated| &negotiated.address));
        let all: Vec<&str> = all.map(String::as_str).collect();
        let addresses = if all.is_empty() {
            "unassigned".to_owned()
        } else {
            clean(&all.join(", "))
        };
        vec![
            clean(&row.interface),
            clean(&row.state),
            addresses,
            row.mtu.to_string(),
            format!("{}/{}", row.peers_up, row.peers),
        ]
    };
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    table(&columns, &cells)
}

/// `crypto key show`.
pub(super) fn public_keys(rows: &[InterfaceRow]) -> Document {
    let columns = [("Interface", Align::Left), ("Public key", Align::Left)];
    let cells = |row: &InterfaceRow| {
        let key = row
            .public_key
            .as_deref()
            .map_or("- (the interface does not run)".to_owned(), clean);
        vec![clean(&row.interface), key]
    };
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let value = |row: &InterfaceRow| json!({ "interface": row.interface, "public_key": row.public_key });
    Document::table(
        "public_keys",
        rows.iter().map(value).collect(),
        table(&columns, &cells),
    )
}

fn negotiated(row: &NegotiatedRow) -> String {
    let (address, peer) = (clean(&row.address), clean(&row.peer));
    match &row.refused {
        None => format!("  Address {address}, negotiated, from {peer}"),
        Some(why) => format!("  Address {address} from {peer} is not taken: {}", clean(why)),
    }
}

pub(super) fn interface(row: &InterfaceRow) -> Vec<String> {
    let reason = row
        .reason
        .as_deref()
        .map(|reason| format!(": {}", clean(reason)))
        .unwrap_or_default();
    let known = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), clean);
    let mut lines = vec![format!(
        "{} is {}{reason}",
        clean(&row.interface),
        clean(&row.state)
    )];
    if let Some(description) = &row.description {
        lines.push(format!("  Description: {}", clean(description)));
    }
    let unit = if row.mtu_auto { "(auto)" } else { "bytes" };
    lines.push(format!(
        "  MAC address {}, MTU {} {unit}",
        known(&row.mac_address),
        row.mtu
    ));
    lines.push(format!("  Public key {}", known(&row.public_key)));
    let vlans = row.switchport.as_ref().map(super::vlan::phrase);
    lines.extend(vlans.map(|vlans| format!("  VLANs are told apart; of this host: {vlans}")));
    if !row.addresses.is_empty() {
        lines.push(format!("  Addresses: {}", clean(&row.addresses.join(", "))));
    }
    lines.extend(row.negotiated.iter().map(negotiated));
    for local in &row.locals {
        let device = local
            .device
            .as_deref()
            .map(|device| format!(" on {}", clean(device)))
            .unwrap_or_default();
        lines.push(format!(
            "  Local {}: {}{device}, {}",
            local.local,
            clean(&local.address),
            clean(&local.state)
        ));
    }
    lines.push(format!("  Peers: {} configured, {} up", row.peers, row.peers_up));
    lines.extend(links(&row.links));
    if !row.workers.is_empty() {
        let auto = if row.workers_auto { " (auto)" } else { "" };
        lines.push(format!("  Workers: {}{auto}", row.workers.len()));
    }
    lines.push(format!(
        "  {} MAC addresses, {} sessions made, {} gaps of our own loop",
        row.macs, row.handshakes, row.gaps
    ));
    lines.push(format!("  Counted for {}:", duration(row.counting_ms)));
    let traffic =
        |name: &str, t: Traffic| vec![format!("    {name}"), t.packets.to_string(), t.bytes.to_string()];
    lines.extend(table(
        &[
            ("", Align::Left),
            ("packets", Align::Right),
            ("bytes", Align::Right),
        ],
        &[
            traffic("frames from the TAP", row.tap_rx),
            traffic("frames to the TAP", row.tap_tx),
            traffic("datagrams received", row.wire_rx),
            traffic("datagrams sent", row.wire_tx),
            traffic("frames relayed", row.relayed),
            traffic("datagrams sent again", row.resent),
        ],
    ));
    if row.workers.len() > 1 {
        lines.extend(workers(&row.workers));
    }
    let calls = row.system_calls;
    lines.push(format!(
        "  System calls: {} waits, {} TAP reads, {} TAP writes, {} receives, {} sends",
        calls.waits, calls.tap_reads, calls.tap_writes, calls.receives, calls.sends
    ));
    if row.drops.is_empty() {
        lines.push("  Nothing was discarded".to_owned());
        return lines;
    }
    lines.push("  Discarded:".to_owned());
    let drops: Vec<Vec<String>> = row
        .drops
        .iter()
        .map(|drop| {
            vec![
                format!("    {}", clean(&drop.reason)),
                drop.count.to_string(),
                clean(&drop.help),
            ]
        })
        .collect();
    let columns = [
        ("    reason", Align::Left),
        ("packets", Align::Right),
        ("meaning", Align::Left),
    ];
    lines.extend(table(&columns, &drops));
    lines
}

/// How many are in which state, where there are any.
fn links(counts: &LinkCountsRow) -> Option<String> {
    let states = [
        (counts.up, "up"),
        (counts.suspect, "suspect"),
        (counts.probing, "probing"),
        (counts.down, "down"),
        (counts.local_down, "local-down"),
        (counts.admin_down, "admin-down"),
    ];
    let states: Vec<String> = states
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, state)| format!("{count} {state}"))
        .collect();
    (!states.is_empty()).then(|| format!("  Links: {}", states.join(", ")))
}

/// What each has, and what they do for each other.
fn workers(rows: &[WorkerRow]) -> Vec<String> {
    let columns = [
        ("    worker", Align::Right),
        ("peers", Align::Right),
        ("up", Align::Right),
        ("frames handed over", Align::Right),
        ("frames taken over", Align::Right),
        ("strays", Align::Right),
        ("gaps", Align::Right),
    ];
    let line = |(number, row): (usize, &WorkerRow)| {
        vec![
            number.to_string(),
            row.peers.to_string(),
            row.peers_up.to_string(),
            row.handed.packets.to_string(),
            row.taken.packets.to_string(),
            row.strays.packets.to_string(),
            row.gaps.to_string(),
        ]
    };
    let lines: Vec<_> = rows.iter().enumerate().map(line).collect();
    table(&columns, &lines)
}
