//! The topology in the language of Graphviz, and as a picture.

use std::fmt::Write as _;

use knet_api::message::{LinkRow, PeerRow};

use super::Branch;
use crate::{document::Graph, output::clean, units::micros};

const GOOD: &str = "#2e7d32";
const DOUBT: &str = "#ef6c00";
const BAD: &str = "#c62828";
const OFF: &str = "#757575";

/// Height of a line of the picture, and of a peer at least, in pixels.
const LINE: usize = 22;
/// Where the columns of the picture begin, and its width.
const HOST: usize = 20;
const LINKS: usize = 200;
const PEERS: usize = 660;
const WIDTH: usize = 860;

pub(super) fn graph(host: &str, branches: &[Branch<'_>]) -> Graph {
    Graph {
        dot: dot(host, branches),
        svg: svg(host, branches),
    }
}

fn colour(link: &LinkRow) -> &'static str {
    match (link.state.as_str(), link.receiving) {
        ("up", true) => GOOD,
        ("up" | "suspect" | "probing", _) => DOUBT,
        ("admin-down", _) => OFF,
        _ => BAD,
    }
}

fn peer_colour(peer: &PeerRow) -> &'static str {
    match peer.state.as_str() {
        "up" => GOOD,
        "handshaking" => DOUBT,
        "admin-down" => OFF,
        _ => BAD,
    }
}

/// What stands at a link.
fn label(link: &LinkRow) -> String {
    let rtt = link
        .rtt_us
        .map(|us| format!(", {}", micros(us)))
        .unwrap_or_default();
    format!("link {} {}{rtt}", link.link, clean(&link.state))
}

fn dot(host: &str, branches: &[Branch<'_>]) -> String {
    let quoted = |text: &str| format!("\"{}\"", clean(text).replace('\\', "\\\\").replace('"', "\\\""));
    let mut text = format!(
        "graph knet {{\n  rankdir=LR;\n  node [shape=box];\n  host [label={}];\n",
        quoted(host)
    );
    for (number, branch) in branches.iter().enumerate() {
        let interface = &branch.interface.interface;
        let _ = writeln!(
            text,
            "  i{number} [label={}];\n  host -- i{number};",
            quoted(interface)
        );
        for (index, (peer, links)) in branch.peers.iter().enumerate() {
            let node = format!("p{number}_{index}");
            let _ = writeln!(
                text,
                "  {node} [label={}, color=\"{}\"];",
                quoted(&peer.peer),
                peer_colour(peer)
            );
            if links.is_empty() {
                let _ = writeln!(text, "  i{number} -- {node} [style=dotted, color=\"{OFF}\"];");
            }
            for link in links {
                let style = if link.in_use { "bold" } else { "solid" };
                let _ = writeln!(
                    text,
                    "  i{number} -- {node} [label={}, color=\"{}\", style={style}];",
                    quoted(&label(link)),
                    colour(link)
                );
            }
        }
    }
    text.push_str("}\n");
    text
}

fn svg(host: &str, branches: &[Branch<'_>]) -> String {
    let mut body = String::new();
    let mut y = LINE;
    let title = |body: &mut String, x: usize, y: usize, weight: &str, colour: &str, text: &str| {
        let _ = writeln!(
            body,
            "<text x=\"{x}\" y=\"{y}\" font-weight=\"{weight}\" fill=\"{colour}\">{}</text>",
            escaped(text)
        );
    };
    title(&mut body, HOST, y, "bold", "black", host);
    for branch in branches {
        y += LINE;
        let middle = y + LINE * lines_of(branch) / 2;
        title(
            &mut body,
            HOST,
            middle,
            "normal",
            "black",
            &format!("{} {}", branch.interface.interface, branch.interface.state),
        );
        for (peer, links) in &branch.peers {
            let height = LINE * links.len().max(1);
            let at = y + height / 2;
            for (index, link) in links.iter().enumerate() {
                let line = y + LINE * index + LINE / 2;
                let (stroke, width) = (colour(link), if link.in_use { 3 } else { 1 });
                let dashes = if link.receiving && link.state == "up" {
                    ""
                } else {
                    " stroke-dasharray=\"4 3\""
                };
                let (from, to) = (LINKS - 40, PEERS - 10);
                let (bend, straight) = (LINKS + 60, PEERS - 120);
                let _ = writeln!(
                    body,
                    "<path d=\"M{from} {middle} C{bend} {middle} {LINKS} {line} {bend} {line} L{straight} {line} \
                     Q{to} {line} {to} {at}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{width}\"{dashes}/>"
                );
                title(&mut body, LINKS + 90, line - 4, "normal", stroke, &label(link));
            }
            title(
                &mut body,
                PEERS,
                at + 4,
                "bold",
                peer_colour(peer),
                &format!("{} {}", peer.peer, peer.state),
            );
            y += height + LINE / 2;
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{0}\" viewBox=\"0 0 {WIDTH} {0}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n",
        y + 2 * LINE
    )
}

/// Lines of the picture that a branch takes.
fn lines_of(branch: &Branch<'_>) -> usize {
    branch
        .peers
        .iter()
        .map(|(_, links)| links.len().max(1))
        .sum::<usize>()
        .max(1)
}

fn escaped(text: &str) -> String {
    clean(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
