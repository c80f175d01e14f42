//! `show topology`: interfaces, peers and links as a tree, and as a graph.

mod graph;

use std::collections::BTreeMap;

use knet_api::message::{InterfaceRow, LinkRow, PeerRow};
use serde_json::{Value, json};

use super::{local, receiving, remote};
use crate::{
    document::Document,
    output::clean,
    terminal::can_draw,
    units::{micros, percent},
};

/// A host and what it is connected to.
pub(crate) struct Topology<'a> {
    pub(crate) host: &'a str,
    pub(crate) interfaces: &'a [InterfaceRow],
    pub(crate) peers: &'a [PeerRow],
    pub(crate) links: &'a [LinkRow],
}

/// An interface with its peers, and these with their links.
struct Branch<'a> {
    interface: &'a InterfaceRow,
    peers: Vec<(&'a PeerRow, Vec<&'a LinkRow>)>,
}

pub(crate) fn document(topology: &Topology<'_>) -> Document {
    let branches = branches(topology);
    let value = json!({
        "hostname": topology.host,
        "interfaces": branches.iter().map(to_json).collect::<Vec<_>>(),
    });
    Document::object("topology", value, tree(topology.host, &branches))
        .with_graph(graph::graph(topology.host, &branches))
}

fn branches<'a>(topology: &Topology<'a>) -> Vec<Branch<'a>> {
    let mut links: BTreeMap<(&str, &str), Vec<&LinkRow>> = BTreeMap::new();
    for link in topology.links {
        links.entry((&link.interface, &link.peer)).or_default().push(link);
    }
    let mut peers: BTreeMap<&str, Vec<(&PeerRow, Vec<&LinkRow>)>> = BTreeMap::new();
    for peer in topology.peers {
        let links = links
            .remove(&(peer.interface.as_str(), peer.peer.as_str()))
            .unwrap_or_default();
        peers.entry(&peer.interface).or_default().push((peer, links));
    }
    let branch = |interface: &'a InterfaceRow| Branch {
        interface,
        peers: peers.remove(interface.interface.as_str()).unwrap_or_default(),
    };
    topology.interfaces.iter().map(branch).collect()
}

/// A line of the tree and what hangs below it.
struct Node {
    text: String,
    children: Vec<Node>,
}

fn tree(host: &str, branches: &[Branch<'_>]) -> Vec<String> {
    let interfaces = branches.iter().map(|branch| Node {
        text: interface_line(branch.interface),
        children: branch
            .peers
            .iter()
            .map(|(peer, links)| Node {
                text: peer_line(peer),
                children: links
                    .iter()
                    .map(|link| Node {
                        text: link_line(link),
                        children: Vec::new(),
                    })
                    .collect(),
            })
            .collect(),
    });
    let root = Node {
        text: clean(host),
        children: interfaces.collect(),
    };
    let mut lines = vec![root.text.clone()];
    hang(&root.children, "", can_draw(), &mut lines);
    lines
}

fn hang(nodes: &[Node], before: &str, draws: bool, lines: &mut Vec<String>) {
    for (index, node) in nodes.iter().enumerate() {
        let last = index + 1 == nodes.len();
        let (branch, rest) = match (draws, last) {
            (true, false) => ("├─ ", "│  "),
            (true, true) => ("└─ ", "   "),
            (false, false) => ("|- ", "|  "),
            (false, true) => ("`- ", "   "),
        };
        lines.push(format!("{before}{branch}{}", node.text));
        hang(&node.children, &format!("{before}{rest}"), draws, lines);
    }
}

fn interface_line(row: &InterfaceRow) -> String {
    format!(
        "{} {}, {} of {} peers up",
        clean(&row.interface),
        clean(&row.state),
        row.peers_up,
        row.peers
    )
}

fn peer_line(row: &PeerRow) -> String {
    let reason = row.reason.as_deref().map(|reason| format!(": {}", clean(reason)));
    format!(
        "{} {}{}, {}",
        clean(&row.peer),
        clean(&row.state),
        reason.unwrap_or_default(),
        clean(&row.policy)
    )
}

fn link_line(row: &LinkRow) -> String {
    let used = if row.in_use { ", in use" } else { "" };
    let rtt = row
        .rtt_us
        .map(|us| format!(", {}", micros(us)))
        .unwrap_or_default();
    let loss = match row.tx_loss_ppm {
        0 => String::new(),
        ppm => format!(", {} lost", percent(ppm)),
    };
    format!(
        "link {} {}, receiving {}{used}{rtt}{loss}: {} > {}",
        row.link,
        clean(&row.state),
        receiving(row),
        local(row),
        remote(row)
    )
}

fn to_json(branch: &Branch<'_>) -> Value {
    let link = |row: &&LinkRow| {
        json!({
            "link": row.link,
            "state": row.state,
            "receiving": row.receiving,
            "in_use": row.in_use,
            "local_address": row.local_address,
            "remote": row.remote,
            "remote_name": row.remote_name,
            "rtt_us": row.rtt_us,
            "tx_loss_ppm": row.tx_loss_ppm,
            "rx_loss_ppm": row.rx_loss_ppm,
        })
    };
    let peer = |(row, links): &(&PeerRow, Vec<&LinkRow>)| {
        json!({
            "peer": row.peer,
            "state": row.state,
            "policy": row.policy,
            "links": links.iter().map(link).collect::<Vec<_>>(),
        })
    };
    json!({
        "interface": branch.interface.interface,
        "state": branch.interface.state,
        "peers": branch.peers.iter().map(peer).collect::<Vec<_>>(),
    })
}
