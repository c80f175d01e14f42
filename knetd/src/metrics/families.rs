//! Which metric says what: of the daemon, its interfaces and its certificates. Names are those of Prometheus' guide: base
//! units, `_total` for what only grows.

use std::collections::HashMap;

use libknet::{
    api::message::{InterfaceRow, IpPoolRow, LimitRow, WorkerRow},
    proto::drop_reason::DropReason,
};

use super::{
    exposition::{
        Exposition,
        Kind::{self, Counter, Gauge},
    },
    snapshot::Snapshot,
};

/// A number of each row of a kind.
pub(super) type Column<Row> = (Kind, &'static str, &'static str, fn(&Row) -> u64);

/// What each interface that runs tells.
const INTERFACES: &[Column<InterfaceRow>] = &[
    (
        Counter,
        "knet_tap_receive_frames_total",
        "Frames read from the TAP.",
        |i| i.tap_rx.packets,
    ),
    (
        Counter,
        "knet_tap_receive_bytes_total",
        "Bytes of the frames read from the TAP.",
        |i| i.tap_rx.bytes,
    ),
    (
        Counter,
        "knet_tap_transmit_frames_total",
        "Frames written to the TAP.",
        |i| i.tap_tx.packets,
    ),
    (
        Counter,
        "knet_tap_transmit_bytes_total",
        "Bytes of the frames written to the TAP.",
        |i| i.tap_tx.bytes,
    ),
    (
        Counter,
        "knet_wire_receive_datagrams_total",
        "Datagrams received.",
        |i| i.wire_rx.packets,
    ),
    (
        Counter,
        "knet_wire_receive_bytes_total",
        "UDP payload received.",
        |i| i.wire_rx.bytes,
    ),
    (
        Counter,
        "knet_wire_transmit_datagrams_total",
        "Datagrams sent.",
        |i| i.wire_tx.packets,
    ),
    (
        Counter,
        "knet_wire_transmit_bytes_total",
        "UDP payload sent.",
        |i| i.wire_tx.bytes,
    ),
    (
        Counter,
        "knet_relayed_frames_total",
        "Frames relayed from one peer to another.",
        |i| i.relayed.packets,
    ),
    (
        Counter,
        "knet_relayed_bytes_total",
        "Bytes of the frames relayed from one peer to another.",
        |i| i.relayed.bytes,
    ),
    (
        Counter,
        "knet_resent_datagrams_total",
        "Datagrams sent again over another link.",
        |i| i.resent.packets,
    ),
    (
        Counter,
        "knet_resent_bytes_total",
        "Bytes of the datagrams sent again over another link.",
        |i| i.resent.bytes,
    ),
    (
        Counter,
        "knet_sessions_total",
        "Handshakes that made a session. Those that did not are among knet_dropped_packets_total.",
        |i| i.handshakes,
    ),
    (
        Counter,
        "knet_loop_gaps_total",
        "Times that knetd's own loop stood still for too long.",
        |i| i.gaps,
    ),
    (Gauge, "knet_mtu_bytes", "MTU of the TAP.", |i| u64::from(i.mtu)),
];

/// What each worker of an interface tells.
const WORKERS: &[Column<WorkerRow>] = &[
    (
        Gauge,
        "knet_worker_peers",
        "Peers that belong to the worker.",
        |w| u64::from(w.peers),
    ),
    (
        Gauge,
        "knet_worker_peers_up",
        "Those of them with a session.",
        |w| u64::from(w.peers_up),
    ),
    (
        Counter,
        "knet_worker_handed_frames_total",
        "Frames that the worker took in for peers of others.",
        |w| w.handed.packets,
    ),
    (
        Counter,
        "knet_worker_taken_frames_total",
        "Frames that others took in for its peers.",
        |w| w.taken.packets,
    ),
    (
        Counter,
        "knet_worker_stray_datagrams_total",
        "Datagrams for its peers that came to others.",
        |w| w.strays.packets,
    ),
    (
        Counter,
        "knet_worker_loop_gaps_total",
        "Times that the worker stood still for too long.",
        |w| w.gaps,
    ),
];

pub(super) fn write(page: &mut Exposition, snapshot: &Snapshot) {
    daemon(page, snapshot);
    interfaces(page, snapshot);
    peers(page, snapshot);
    drops(page, snapshot);
    workers(page, snapshot);
    limits(page, snapshot);
    certificates(page, snapshot);
    pools(page, snapshot);
}

fn daemon(page: &mut Exposition, snapshot: &Snapshot) {
    let version = &snapshot.version;
    page.family(Gauge, "knet_build_info", "The program; always 1.")
        .sample(
            &[
                ("version", &version.version),
                ("api_version", &version.api_version.to_string()),
                ("wire_version", &version.wire_version.to_string()),
            ],
            1,
        );
    page.family(
        Gauge,
        "knet_start_time_seconds",
        "When knetd was started, in seconds since 1970.",
    )
    .sample(&[], snapshot.started_unix_ms as f64 / 1e3);
    page.family(
        Gauge,
        "knet_configuration_revision",
        "Revision of the running configuration.",
    )
    .sample(&[], version.revision);
    page.family(
        Gauge,
        "knet_configuration_unsaved",
        "Whether the running configuration differs from the file.",
    )
    .sample(&[], u8::from(version.unsaved));
}

fn interfaces(page: &mut Exposition, snapshot: &Snapshot) {
    let mut up = page.family(Gauge, "knet_interface_up", "Whether the interface runs.");
    for row in &snapshot.interfaces {
        up.sample(&[("interface", &row.interface)], u8::from(runs(row)));
    }
    let mut local = page.family(Gauge, "knet_local_up", "Whether the local address can be used.");
    for row in snapshot.interfaces.iter().filter(|row| runs(row)) {
        for socket in &row.locals {
            let labels = [
                ("interface", row.interface.as_str()),
                ("local", &socket.local.to_string()),
                ("address", &socket.address),
            ];
            local.sample(&labels, u8::from(socket.state == "up"));
        }
    }
    for (kind, name, help, value) in INTERFACES {
        let mut family = page.family(*kind, name, help);
        for row in snapshot.interfaces.iter().filter(|row| runs(row)) {
            family.sample(&[("interface", &row.interface)], value(row));
        }
    }
    let mut calls = page.family(Counter, "knet_system_calls_total", "System calls of the workers.");
    for row in snapshot.interfaces.iter().filter(|row| runs(row)) {
        let c = row.system_calls;
        for (call, count) in [
            ("wait", c.waits),
            ("receive", c.receives),
            ("send", c.sends),
            ("tap_read", c.tap_reads),
            ("tap_write", c.tap_writes),
        ] {
            calls.sample(&[("interface", &row.interface), ("call", call)], count);
        }
    }
}

fn peers(page: &mut Exposition, snapshot: &Snapshot) {
    let mut family = page.family(Gauge, "knet_peers", "Peers by state.");
    for (row, not) in snapshot.interfaces.iter().zip(&snapshot.not_in_service) {
        let rest = not.admin_down + not.incomplete + row.peers_up;
        for (state, count) in [
            ("up", row.peers_up),
            ("down", row.peers.saturating_sub(rest)),
            ("admin-down", not.admin_down),
            ("incomplete", not.incomplete),
        ] {
            family.sample(&[("interface", &row.interface), ("state", state)], count);
        }
    }
    let mut family = page.family(Gauge, "knet_links", "Links by state of the sending side.");
    for row in snapshot.interfaces.iter().filter(|row| runs(row)) {
        let links = row.links;
        for (state, count) in [
            ("up", links.up),
            ("suspect", links.suspect),
            ("probing", links.probing),
            ("down", links.down),
            ("local-down", links.local_down),
            ("admin-down", links.admin_down),
        ] {
            family.sample(&[("interface", &row.interface), ("state", state)], count);
        }
    }
}

/// Every reason, also of those that have not happened: a rate needs a beginning.
fn drops(page: &mut Exposition, snapshot: &Snapshot) {
    let mut family = page.family(
        Counter,
        "knet_dropped_packets_total",
        "Datagrams and frames discarded, by reason.",
    );
    for row in snapshot.interfaces.iter().filter(|row| runs(row)) {
        let counts: HashMap<&str, u64> = row
            .drops
            .iter()
            .map(|drop| (drop.reason.as_str(), drop.count))
            .collect();
        for reason in DropReason::ALL {
            let count = counts.get(reason.name()).copied().unwrap_or(0);
            family.sample(&[("interface", &row.interface), ("reason", reason.name())], count);
        }
    }
}

fn workers(page: &mut Exposition, snapshot: &Snapshot) {
    for (kind, name, help, value) in WORKERS {
        let mut family = page.family(*kind, name, help);
        for row in &snapshot.interfaces {
            for (number, worker) in row.workers.iter().enumerate() {
                let labels = [
                    ("interface", row.interface.as_str()),
                    ("worker", &number.to_string()),
                ];
                family.sample(&labels, value(worker));
            }
        }
    }
}

/// `show limits`, and with the unit `bytes` `show memory`.
fn limits(page: &mut Exposition, snapshot: &Snapshot) {
    type Value = fn(&LimitRow) -> Option<String>;
    let mut column = |kind, name, help, value: Value| {
        let mut family = page.family(kind, name, help);
        for row in &snapshot.limits {
            let labels = [
                ("interface", row.interface.as_deref().unwrap_or_default()),
                ("name", &row.name),
                ("unit", &row.unit),
            ];
            if let Some(value) = value(row) {
                family.sample(&labels, value);
            }
        }
    };
    column(
        Gauge,
        "knet_limit",
        "The bound of what is bounded.",
        |row| match row.limit {
            u64::MAX => Some("+Inf".to_owned()),
            limit => Some(limit.to_string()),
        },
    );
    column(Gauge, "knet_limit_used", "What is used of it now.", |row| {
        row.used.map(|used| used.to_string())
    });
    column(
        Gauge,
        "knet_limit_most",
        "The most that was ever used of it.",
        |row| row.most.map(|most| most.to_string()),
    );
    column(
        Counter,
        "knet_limit_refused_total",
        "How often something was refused because of it.",
        |row| row.refused.map(|refused| refused.to_string()),
    );
}

fn certificates(page: &mut Exposition, snapshot: &Snapshot) {
    let sums = &snapshot.certificates;
    let mut valid = page.family(
        Gauge,
        "knet_certificates_valid",
        "Certificates in use that are valid, our own included.",
    );
    for of in &sums.interfaces {
        valid.sample(&[("interface", &of.interface)], of.counts.valid);
    }
    let mut expiring = page.family(
        Gauge,
        "knet_certificates_expiring",
        "Those of them that end within so many days.",
    );
    for of in &sums.interfaces {
        for (days, count) in [
            ("30", of.counts.within_30_days),
            ("7", of.counts.within_7_days),
            ("1", of.counts.within_a_day),
        ] {
            expiring.sample(&[("interface", &of.interface), ("days", days)], count);
        }
    }
    let mut own = page.family(
        Gauge,
        "knet_certificate_own_expiry_timestamp_seconds",
        "When our own certificate ends, in seconds since 1970.",
    );
    for of in &sums.interfaces {
        if let Some(end) = of.own_end {
            own.sample(&[("interface", &of.interface)], end);
        }
    }
    let mut first = page.family(
        Gauge,
        "knet_certificate_earliest_expiry_timestamp_seconds",
        "When the first of the certificates of peers ends, in seconds since 1970.",
    );
    for of in &sums.interfaces {
        if let Some(end) = of.earliest_end {
            first.sample(&[("interface", &of.interface)], end);
        }
    }
    let mut lists = page.family(
        Gauge,
        "knet_revocation_list_issued_timestamp_seconds",
        "When the revocation list in force was made, in seconds since 1970.",
    );
    for list in &sums.revocation_lists {
        let labels = [
            ("interface", list.interface.as_str()),
            ("group", &list.group),
            ("authority", &list.authority),
        ];
        lists.sample(&labels, list.issued);
    }
    page.family(
        Gauge,
        "knet_certificate_file_problems",
        "Files of certificates, authorities and revocation lists that cannot be used as they are.",
    )
    .sample(&[], sums.problems);
    let mut refused = page.family(
        Counter,
        "knet_certificates_refused_total",
        "Times that somebody with a certificate was not let in, by reason.",
    );
    for (reason, count) in &sums.refused {
        refused.sample(&[("reason", reason)], count);
    }
}

fn pools(page: &mut Exposition, snapshot: &Snapshot) {
    type Family = (&'static str, &'static str, fn(&IpPoolRow) -> String);
    let families: [Family; 3] = [
        (
            "knet_ip_pool_addresses",
            "Addresses of a pool that can be given.",
            |row| row.addresses.clone(),
        ),
        ("knet_ip_pool_used", "Those of them that somebody has.", |row| {
            row.used.to_string()
        }),
        (
            "knet_ip_pool_peers_without_address",
            "Peers of the group for whom there was none left.",
            |row| row.without.to_string(),
        ),
    ];
    for (name, help, value) in families {
        let mut family = page.family(Gauge, name, help);
        for row in &snapshot.pools {
            let labels = [
                ("interface", row.interface.as_str()),
                ("group", &row.group),
                ("pool", &row.pool),
            ];
            family.sample(&labels, value(row));
        }
    }
}

fn runs(row: &InterfaceRow) -> bool {
    row.state == "up"
}
