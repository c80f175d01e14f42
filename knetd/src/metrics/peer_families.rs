//! The metrics of each peer and each link, where they are wanted: there may be many.

use libknet::api::message::{LinkRow, PeerRow};

use super::{
    exposition::{
        Exposition,
        Kind::{Counter, Gauge},
    },
    families::Column,
    snapshot::Peers,
};

const PEERS: &[Column<PeerRow>] = &[
    (
        Gauge,
        "knet_peer_up",
        "Whether there is a session with the peer.",
        |p| u64::from(p.session.is_some()),
    ),
    (
        Counter,
        "knet_peer_transmit_frames_total",
        "Frames sent to the peer.",
        |p| p.tx.packets,
    ),
    (
        Counter,
        "knet_peer_transmit_bytes_total",
        "Bytes of the frames sent to the peer.",
        |p| p.tx.bytes,
    ),
    (
        Counter,
        "knet_peer_receive_frames_total",
        "Frames received from the peer, once each.",
        |p| p.rx.packets,
    ),
    (
        Counter,
        "knet_peer_receive_bytes_total",
        "Bytes of the frames received from the peer.",
        |p| p.rx.bytes,
    ),
    (
        Counter,
        "knet_peer_dropped_frames_total",
        "Frames discarded on the way to or from the peer.",
        |p| p.drops,
    ),
    (
        Counter,
        "knet_peer_duplicate_frames_total",
        "Copies dropped on receipt.",
        |p| p.duplicates,
    ),
    (
        Counter,
        "knet_peer_resent_datagrams_total",
        "Datagrams sent to the peer again over another link.",
        |p| p.resend.replayed,
    ),
    (
        Counter,
        "knet_peer_flood_dropped_frames_total",
        "Frames of the peer that were not flooded.",
        |p| p.storm.dropped_frames,
    ),
    (
        Counter,
        "knet_peer_stalls_total",
        "Times that all links of the peer fell silent at once.",
        |p| u64::from(p.stalls),
    ),
    (
        Gauge,
        "knet_peer_mac_addresses",
        "MAC addresses behind the peer.",
        |p| u64::from(p.storm.mac_addresses),
    ),
];

const LINKS: &[Column<LinkRow>] = &[
    (
        Gauge,
        "knet_link_up",
        "Whether the sending side of the link is up.",
        |l| u64::from(l.state == "up"),
    ),
    (
        Gauge,
        "knet_link_suspect",
        "Whether the sending side of the link is in doubt.",
        |l| u64::from(l.state == "suspect"),
    ),
    (
        Gauge,
        "knet_link_receiving",
        "Whether what the peer sends on the link arrives.",
        |l| u64::from(l.receiving),
    ),
    (
        Gauge,
        "knet_link_in_use",
        "Whether frames go out on the link.",
        |l| u64::from(l.in_use),
    ),
    (
        Counter,
        "knet_link_transmit_datagrams_total",
        "Datagrams sent on the link.",
        |l| l.tx.packets,
    ),
    (
        Counter,
        "knet_link_transmit_bytes_total",
        "UDP payload sent on the link.",
        |l| l.tx.bytes,
    ),
    (
        Counter,
        "knet_link_receive_datagrams_total",
        "Datagrams received on the link.",
        |l| l.rx.packets,
    ),
    (
        Counter,
        "knet_link_receive_bytes_total",
        "UDP payload received on the link.",
        |l| l.rx.bytes,
    ),
    (
        Counter,
        "knet_link_suspects_total",
        "Times that the link was in doubt.",
        |l| u64::from(l.suspects),
    ),
    (
        Counter,
        "knet_link_downs_total",
        "Times that the link went down.",
        |l| u64::from(l.downs),
    ),
];

/// Numbers of a link that are not whole, or not always known.
type Measured = (&'static str, &'static str, fn(&LinkRow) -> Option<f64>);

const MEASURED: &[Measured] = &[
    (
        "knet_link_rtt_seconds",
        "Round-trip time of the link, smoothed.",
        |l| l.rtt_us.map(|us| us as f64 / 1e6),
    ),
    (
        "knet_link_rtt_min_seconds",
        "Least round-trip time of the link.",
        |l| l.rtt_min_us.map(|us| us as f64 / 1e6),
    ),
    (
        "knet_link_transmit_jitter_seconds",
        "Jitter of what is sent on the link, as the peer says.",
        |l| l.tx_jitter_us.map(|us| f64::from(us) / 1e6),
    ),
    (
        "knet_link_receive_jitter_seconds",
        "Jitter of what is received on the link.",
        |l| Some(f64::from(l.rx_jitter_us) / 1e6),
    ),
    (
        "knet_link_transmit_loss_ratio",
        "Of what is sent on the link, the part that is lost.",
        |l| Some(f64::from(l.tx_loss_ppm) / 1e6),
    ),
    (
        "knet_link_receive_loss_ratio",
        "Of what the peer sends on the link, the part that is lost.",
        |l| Some(f64::from(l.rx_loss_ppm) / 1e6),
    ),
    (
        "knet_link_mtu_bytes",
        "The largest IP packet that passes on the link.",
        |l| l.mtu.map(f64::from),
    ),
];

pub(super) fn write(page: &mut Exposition, peers: &Peers) {
    for (kind, name, help, value) in PEERS {
        let mut family = page.family(*kind, name, help);
        for row in &peers.rows {
            family.sample(&[("interface", &row.interface), ("peer", &row.peer)], value(row));
        }
    }
    let links = || peers.rows.iter().flat_map(|peer| &peer.links);
    for (kind, name, help, value) in LINKS {
        let mut family = page.family(*kind, name, help);
        for row in links() {
            family.sample(&labels(row, &row.link.to_string()), value(row));
        }
    }
    for (name, help, value) in MEASURED {
        let mut family = page.family(Gauge, name, help);
        for row in links() {
            if let Some(value) = value(row) {
                family.sample(&labels(row, &row.link.to_string()), value);
            }
        }
    }
    page.family(
        Gauge,
        "knet_metrics_omitted_peers",
        "Peers that are not told of one by one, because there are too many.",
    )
    .sample(&[], peers.omitted);
}

fn labels<'a>(row: &'a LinkRow, link: &'a str) -> [(&'static str, &'a str); 3] {
    [
        ("interface", row.interface.as_str()),
        ("peer", row.peer.as_str()),
        ("link", link),
    ]
}
