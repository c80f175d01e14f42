//! One look: what is asked, and how it is laid out.

use knet_api::{
    grammar::View,
    message::{InterfaceRow, LinkRow, Only, PeerRow, Reply, RequestBody, Traffic},
};
use serde_json::{Value, json};

use super::Order;
use crate::{
    client::{Client, unexpected},
    failure::Failure,
    output::clean,
    table::Align::{self, Left, Right},
    units::{bits_per_second, maybe_micros, percent},
};

/// One line of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// What it is about.
    pub(super) name: Vec<String>,
    /// What is the case now.
    pub(super) state: Vec<String>,
    /// Counters whose rates are shown: bytes sent and received first.
    pub(super) counters: Vec<u64>,
    /// What the graph has.
    pub(super) drawn: Drawn,
    /// For programs, without the rates.
    pub(super) value: Value,
}

/// What a graph is made of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Drawn {
    /// A value as it is.
    Gauge(Option<f64>),
    /// The sum of the rates of so many counters.
    Rates(usize),
}

/// Rows, and whether there are more than were asked for.
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    pub(super) more: bool,
}

/// The field that rows have in JSON.
pub(super) const fn name(view: View) -> &'static str {
    match view {
        View::Links => "links",
        View::Peers => "peers",
        View::Traffic => "traffic",
    }
}

/// What the counters count, as fields of JSON have it.
const fn counters(view: View) -> &'static [&'static str] {
    match view {
        View::Links => &["tx_bytes", "rx_bytes", "tx_packets", "rx_packets"],
        View::Peers => &["tx_bytes", "rx_bytes", "tx_packets", "rx_packets", "drops"],
        View::Traffic => &["bytes", "packets"],
    }
}

pub(super) const fn columns(view: View) -> &'static [(&'static str, Align)] {
    match view {
        View::Links => &[
            ("Interface", Left),
            ("Peer", Left),
            ("Link", Right),
            ("State", Left),
            ("Use", Left),
            ("RTT", Right),
            ("Loss tx", Right),
            ("Loss rx", Right),
            ("Sent", Right),
            ("Received", Right),
            ("RTT lately", Left),
        ],
        View::Peers => &[
            ("Interface", Left),
            ("Peer", Left),
            ("State", Left),
            ("Links", Right),
            ("Sent", Right),
            ("Received", Right),
            ("Frames/s tx", Right),
            ("rx", Right),
            ("Drops/s", Right),
            ("Traffic lately", Left),
        ],
        View::Traffic => &[
            ("Interface", Left),
            ("Traffic", Left),
            ("Rate", Right),
            ("Packets/s", Right),
            ("Lately", Left),
        ],
    }
}

/// The cells but the graph.
pub(super) fn cells(view: View, row: &Row, rates: Option<&[f64]>) -> Vec<String> {
    let rate = |index: usize| rates.and_then(|rates| rates.get(index)).copied();
    let bits = |index| rate(index).map_or("-".to_owned(), |bytes| bits_per_second(bytes * 8.0));
    let number = |index| rate(index).map_or("-".to_owned(), |rate| format!("{rate:.0}"));
    let mut cells: Vec<String> = [&row.name[..], &row.state[..]].concat();
    match view {
        View::Links => cells.extend([bits(0), bits(1)]),
        View::Peers => cells.extend([bits(0), bits(1), number(2), number(3), number(4)]),
        View::Traffic => cells.extend([bits(0), number(1)]),
    }
    cells
}

pub(super) fn to_json(view: View, row: &Row, rates: Option<&[f64]>) -> Value {
    let mut value = row.value.clone();
    for (index, name) in counters(view).iter().enumerate() {
        let rate = rates
            .and_then(|rates| rates.get(index))
            .map(|rate| (rate * 10.0).round() / 10.0);
        value[format!("{name}_per_second")] = json!(rate);
    }
    value
}

/// Asks the daemon for at most so many rows.
pub(super) fn rows(client: &mut Client, order: &Order, most: u32) -> Result<Rows, Failure> {
    let only = Only::default;
    let all = |rows| Ok(Rows { rows, more: false });
    let of_peer = |peer: &String| RequestBody::Peer {
        interface: None,
        peer: peer.clone(),
    };
    match (order.view, &order.peer) {
        (View::Links, peer) => {
            let request = |page| RequestBody::Links {
                interface: None,
                peer: peer.clone(),
                page,
                only: only(),
            };
            let (rows, more) = client.some(most, request, |reply| match reply {
                Reply::Links(rows) => Some(rows),
                _ => None,
            })?;
            let rows = rows.iter().map(link).collect();
            Ok(Rows { rows, more })
        }
        (View::Peers, None) => {
            let request = |page| RequestBody::Peers {
                interface: None,
                page,
                only: only(),
            };
            let (rows, more) = client.some(most, request, |reply| match reply {
                Reply::Peers(rows) => Some(rows),
                _ => None,
            })?;
            let rows = rows.iter().map(peer).collect();
            Ok(Rows { rows, more })
        }
        (view, Some(name)) => match client.call(of_peer(name))? {
            Reply::Peer(row) if view == View::Traffic => all(peer_traffic(&row)),
            Reply::Peer(row) => all(vec![peer(&row)]),
            _ => Err(unexpected()),
        },
        (View::Traffic, None) => match client.call(RequestBody::Interfaces { interface: None })? {
            Reply::Interfaces(rows) => all(rows.iter().flat_map(interface_traffic).collect()),
            _ => Err(unexpected()),
        },
    }
}

fn link(row: &LinkRow) -> Row {
    let state = match (row.state.as_str(), row.receiving) {
        ("up", false) => "up, receives nothing".to_owned(),
        (state, _) => clean(state),
    };
    Row {
        name: vec![clean(&row.interface), clean(&row.peer), row.link.to_string()],
        state: vec![
            state,
            if row.in_use { "yes" } else { "no" }.to_owned(),
            maybe_micros(row.rtt_us),
            percent(row.tx_loss_ppm),
            percent(row.rx_loss_ppm),
        ],
        counters: vec![row.tx.bytes, row.rx.bytes, row.tx.packets, row.rx.packets],
        drawn: Drawn::Gauge(row.rtt_us.map(|us| us as f64)),
        value: json!({
            "interface": row.interface,
            "peer": row.peer,
            "link": row.link,
            "state": row.state,
            "receiving": row.receiving,
            "in_use": row.in_use,
            "rtt_us": row.rtt_us,
            "tx_loss_ppm": row.tx_loss_ppm,
            "rx_loss_ppm": row.rx_loss_ppm,
        }),
    }
}

fn peer(row: &PeerRow) -> Row {
    Row {
        name: vec![clean(&row.interface), clean(&row.peer)],
        state: vec![clean(&row.state), format!("{}/{}", row.links_up, row.links_total)],
        counters: vec![
            row.tx.bytes,
            row.rx.bytes,
            row.tx.packets,
            row.rx.packets,
            row.drops,
        ],
        drawn: Drawn::Rates(2),
        value: json!({
            "interface": row.interface,
            "peer": row.peer,
            "state": row.state,
            "links_up": row.links_up,
            "links_total": row.links_total,
        }),
    }
}

fn traffic(interface: &str, peer: Option<&str>, name: &str, traffic: Traffic) -> Row {
    let of = peer.map_or_else(
        || clean(interface),
        |peer| format!("{} {}", clean(interface), clean(peer)),
    );
    Row {
        name: vec![of, name.to_owned()],
        state: Vec::new(),
        counters: vec![traffic.bytes, traffic.packets],
        drawn: Drawn::Rates(1),
        value: json!({ "interface": interface, "peer": peer, "traffic": name }),
    }
}

fn interface_traffic(row: &InterfaceRow) -> Vec<Row> {
    let of = |name, counted| traffic(&row.interface, None, name, counted);
    let discarded = Traffic {
        packets: row.drops.iter().map(|drop| drop.count).sum(),
        bytes: 0,
    };
    vec![
        of("frames from the TAP", row.tap_rx),
        of("frames to the TAP", row.tap_tx),
        of("datagrams sent", row.wire_tx),
        of("datagrams received", row.wire_rx),
        of("frames relayed", row.relayed),
        of("discarded", discarded),
    ]
}

fn peer_traffic(row: &PeerRow) -> Vec<Row> {
    let of = |name: &str, counted| traffic(&row.interface, Some(&row.peer), name, counted);
    let mut rows = vec![of("frames sent", row.tx), of("frames received", row.rx)];
    for link in &row.links {
        rows.push(of(&format!("link {} sent", link.link), link.tx));
        rows.push(of(&format!("link {} received", link.link), link.rx));
    }
    rows
}
