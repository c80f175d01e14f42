//! `show storm-control`.

use knet_api::message::PeerRow;
use serde_json::{Value, json};

use crate::{
    document::Document,
    output::clean,
    table::{Align, table},
    units::duration,
};

/// A line for each peer with limits of its own, for each that was kept from flooding, and for each that is closed because of
/// a loop.
pub(super) fn document(mut peers: Vec<PeerRow>) -> Document {
    let was_kept = |p: &PeerRow| p.storm.dropped_frames > 0 || p.storm.dropped_copies > 0;
    peers.retain(|p| p.storm.configured || was_kept(p) || p.storm.closed_ms.is_some());
    let value = |row: &PeerRow| json!({ "interface": row.interface, "peer": row.peer, "storm": row.storm });
    let values: Vec<Value> = peers.iter().map(value).collect();
    let columns = [
        ("Interface", Align::Left),
        ("Peer", Align::Left),
        ("Frames/s", Align::Right),
        ("Dropped", Align::Right),
        ("Copies/s", Align::Right),
        ("Dropped", Align::Right),
        ("MAC addresses", Align::Right),
        ("Limit", Align::Right),
        ("Closed for", Align::Right),
    ];
    let cells = |row: &PeerRow| {
        let storm = row.storm;
        vec![
            clean(&row.interface),
            clean(&row.peer),
            storm.frames_per_second.to_string(),
            storm.dropped_frames.to_string(),
            storm.copies_per_second.to_string(),
            storm.dropped_copies.to_string(),
            storm.mac_addresses.to_string(),
            storm.mac_limit.to_string(),
            storm.closed_ms.map_or("-".to_owned(), duration),
        ]
    };
    let cells: Vec<Vec<String>> = peers.iter().map(cells).collect();
    Document::table("storm_control", json!(values), table(&columns, &cells))
}
