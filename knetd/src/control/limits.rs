//! `show limits`: every bound, what is used of it, and what happens past it. docs/operations.md names them.

use std::{cell::RefCell, fs};

use libknet::{
    InterfaceReport, Query,
    api::{
        codec, grammar,
        load::{MAX_FILE, MAX_LINES},
        message::{ApiError, ErrorCode, LimitRow, Reply},
        metrics::MAX_PEERS as MAX_METRICS_PEERS,
        model,
    },
    proto::{
        drop_reason::DropReason,
        handshake::{
            credential::TOLD,
            handshaker::COOKIES_FROM,
            rate_limit::{MAX_SOURCES, PER_SOURCE},
        },
        ids::MAX_LINKS,
        l2::{
            mac_table::{MAX_MACS, MAX_MACS_PER_PEER, MAX_MOVES},
            multicast::{MAX_MEMBERSHIPS, MAX_MEMBERSHIPS_PER_PEER, MAX_QUERIED_VLANS},
            neighbor::{MAX_BINDINGS, MAX_BINDINGS_PER_PEER},
            source_guard::{MAX_ALLOWED_MACS, MAX_GIVEN},
            storm::{COPIES, COPIES_TOTAL, FLOODED_BYTES, FLOODED_FRAMES, NEW_MACS},
        },
        link::probe_queue,
        reassembly, resend_ring, resequencer,
        status::Holdings,
    },
};

use super::{
    client::REQUESTS_PER_SECOND,
    names,
    requests::JOBS,
    server::{CLIENTS, CLIENTS_PER_USER},
};
use crate::{
    config::leases::{MAX_LEASES, OfInterface},
    daemon::{Daemon, negotiated::MAX_TAKEN},
    flight_recorder, host_check, logging, metrics,
};

/// Answers [`libknet::api::message::RequestBody::Limits`].
pub(crate) async fn rows(daemon: &RefCell<Daemon>, only: Option<&str>) -> Result<Reply, ApiError> {
    let config = daemon.borrow().in_force().clone();
    let mut rows = Vec::new();
    for (name, interface) in names::interfaces(&config, only)? {
        let report = daemon.borrow().overlay(name).map(|o| o.query(Query::Interface));
        let report = match report {
            None => None,
            Some(reply) => {
                let libknet::Reply::Interface(report) = reply.await? else {
                    let text = "the data plane answered something else";
                    return Err(ApiError::new(ErrorCode::Internal, text));
                };
                Some(report)
            }
        };
        let of_interface = of_interface(interface, report.as_deref()).into_iter();
        let leases = daemon
            .borrow()
            .leasing()
            .leases()
            .of(name)
            .map_or(0, OfInterface::len);
        let leases = used(
            leases,
            limit(
                "address-leases",
                "",
                MAX_LEASES as u64,
                "that of the peer that is away longest is taken back",
            ),
        );
        let negotiated = daemon.borrow().negotiated().count(name);
        let negotiated = used(
            negotiated,
            limit("negotiated-addresses", "", MAX_TAKEN as u64, "not taken"),
        );
        rows.extend(of_interface.chain([leases, negotiated]).map(|row| LimitRow {
            interface: Some(name.clone()),
            ..row
        }));
    }
    rows.extend(of_daemon(&daemon.borrow()));
    Ok(Reply::Limits(rows))
}

fn limit(name: &str, unit: &str, limit: u64, past: &str) -> LimitRow {
    LimitRow {
        name: name.into(),
        unit: unit.into(),
        limit,
        past: past.into(),
        ..LimitRow::default()
    }
}

fn used(used: impl TryInto<u64>, row: LimitRow) -> LimitRow {
    LimitRow {
        used: used.try_into().ok(),
        ..row
    }
}

fn of_interface(config: &model::InterfaceConfig, report: Option<&InterfaceReport>) -> Vec<LimitRow> {
    let most_links = config.peers.values().map(|p| p.links.len()).max().unwrap_or(0);
    let mut rows = vec![
        used(
            config.peers.len(),
            limit(
                "peers",
                "",
                model::MAX_PEERS as u64,
                "the configuration is refused",
            ),
        ),
        used(
            most_links,
            limit(
                "links-per-peer",
                "",
                MAX_LINKS as u64,
                "the configuration is refused",
            ),
        ),
    ];
    let Some(report) = report else { return rows };
    let (held, most) = (report.holdings, Holdings::BOUNDS);
    let drops = &report.status.drops;
    let refused = |reason: DropReason, row: LimitRow| LimitRow {
        refused: Some(drops.get(reason)),
        ..row
    };
    rows.extend([
        used(
            report.status.macs,
            limit(
                "mac-addresses",
                "",
                MAX_MACS as u64,
                "not learned: frames to it are flooded",
            ),
        ),
        limit(
            "mac-addresses-per-peer",
            "",
            MAX_MACS_PER_PEER as u64,
            "not learned: frames to it are flooded",
        ),
        refused(
            DropReason::PortSecurity,
            limit(
                "allowed-mac-addresses-per-peer",
                "",
                MAX_ALLOWED_MACS as u64,
                "the configuration is refused",
            ),
        ),
        limit(
            "given-addresses-per-peer",
            "",
            MAX_GIVEN as u64,
            "the configuration is refused",
        ),
        used(
            report.status.neighbors,
            limit(
                "ip-addresses",
                "",
                MAX_BINDINGS as u64,
                "the one that was confirmed longest ago is forgotten",
            ),
        ),
        limit(
            "ip-addresses-per-peer",
            "",
            MAX_BINDINGS_PER_PEER as u64,
            "the one that was confirmed longest ago is forgotten",
        ),
        used(
            report.status.listeners,
            limit(
                "multicast-listeners",
                "",
                MAX_MEMBERSHIPS as u64,
                "the peer gets all groups",
            ),
        ),
        limit(
            "multicast-listeners-per-peer",
            "",
            MAX_MEMBERSHIPS_PER_PEER as u64,
            "the peer gets all groups",
        ),
        limit(
            "multicast-queried-vlans",
            "",
            MAX_QUERIED_VLANS as u64,
            "those of the lowest numbers are asked in; in others groups go to everybody, unless somebody else asks",
        ),
        limit(
            "new-mac-addresses",
            "per second and peer",
            NEW_MACS.per_second(),
            "not learned",
        ),
        refused(
            DropReason::MacFrozen,
            limit(
                "mac-moves",
                "in 180 s",
                u64::from(MAX_MOVES),
                "the address stays where it is for 180 s; frames from elsewhere are discarded",
            ),
        ),
        used(
            held.indices,
            limit("sessions", "", most.indices as u64, "handshakes are refused"),
        ),
        used(
            held.paths,
            limit(
                "addresses-of-links",
                "",
                most.paths as u64,
                "the configuration is refused",
            ),
        ),
        used(
            held.timers,
            limit("timers", "", most.timers as u64, "one for each peer"),
        ),
        used(
            held.ring_bytes,
            limit(
                "resend-memory",
                "bytes",
                most.ring_bytes as u64,
                "the oldest are let go of, and are lost if their link dies",
            ),
        ),
        limit(
            "resend-memory-per-peer",
            "bytes",
            resend_ring::MAX_BYTES as u64,
            "the oldest are let go of",
        ),
        limit(
            "resend-datagrams-per-peer",
            "",
            resend_ring::MAX_ENTRIES as u64,
            "the oldest are let go of",
        ),
        used(
            held.reorder_bytes,
            limit(
                "order-memory",
                "bytes",
                most.reorder_bytes as u64,
                "delivered without waiting for what is missing",
            ),
        ),
        limit(
            "order-memory-per-peer",
            "bytes",
            resequencer::MAX_BYTES as u64,
            "delivered without waiting for what is missing",
        ),
        limit(
            "order-datagrams-per-peer",
            "",
            resequencer::MAX_ITEMS as u64,
            "delivered without waiting for what is missing",
        ),
        limit(
            "order-wait",
            "ms",
            resequencer::MAX_WAIT.as_millis(),
            "delivered without what is missing",
        ),
        refused(
            DropReason::ReassemblyFull,
            used(
                held.reassembly_bytes,
                limit(
                    "reassembly-memory",
                    "bytes",
                    most.reassembly_bytes as u64,
                    "the peer's oldest incomplete frame is discarded",
                ),
            ),
        ),
        limit(
            "reassembly-memory-per-peer",
            "bytes",
            reassembly::MAX_BYTES as u64,
            "the oldest incomplete frame is discarded",
        ),
        limit(
            "reassembly-frames-per-peer",
            "",
            reassembly::MAX_WHOLES as u64,
            "the oldest incomplete frame is discarded",
        ),
        refused(
            DropReason::NoSession,
            used(
                held.waiting_bytes,
                limit(
                    "waiting-for-session",
                    "bytes",
                    most.waiting_bytes as u64,
                    "frames are discarded; also after 2 s",
                ),
            ),
        ),
        refused(
            DropReason::StormControl,
            limit(
                "flooded-frames",
                "per second and peer",
                FLOODED_FRAMES.per_second(),
                "discarded",
            ),
        ),
        limit(
            "flooded-bytes",
            "per second and peer",
            FLOODED_BYTES.per_second(),
            "discarded",
        ),
        refused(
            DropReason::FloodBudget,
            limit(
                "flood-copies",
                "per second and peer",
                COPIES.per_second(),
                "discarded",
            ),
        ),
        limit(
            "flood-copies-of-all",
            "per second",
            COPIES_TOTAL.per_second(),
            "discarded",
        ),
        refused(
            DropReason::FloodQueueFull,
            used(
                held.flood_bytes,
                limit("flood-queue", "bytes", most.flood_bytes as u64, "discarded"),
            ),
        ),
        limit(
            "probes",
            "per second and worker",
            probe_queue::PROBES.per_second(),
            "links that are not up wait for their turn",
        ),
        refused(
            DropReason::HandshakeQueueFull,
            limit(
                "handshake-queue",
                "",
                libknet::HANDSHAKE_QUEUE as u64,
                "discarded",
            ),
        ),
        limit(
            "handshakes-before-cookies",
            "waiting",
            COOKIES_FROM as u64,
            "senders must prove their address first",
        ),
        limit(
            "handshake-sources",
            "",
            MAX_SOURCES as u64,
            "new ones must prove their address first",
        ),
        refused(
            DropReason::HandshakeRate,
            limit(
                "handshakes-per-source",
                "per second",
                PER_SOURCE.per_second(),
                &format!("discarded; {} may come at once", PER_SOURCE.burst()),
            ),
        ),
        refused(
            DropReason::HandshakeCredentialRate,
            limit(
                "credentials-of-strangers",
                "per second",
                TOLD.per_second(),
                &format!("discarded; {} may come at once", TOLD.burst()),
            ),
        ),
    ]);
    rows.extend(report.sockets.iter().map(|socket| LimitRow {
        refused: Some(socket.overflows),
        ..limit(
            &format!("receive-buffer-of-local-{}", socket.id.0),
            "bytes",
            socket.receive_buffer as u64,
            "the kernel discards",
        )
    }));
    rows
}

fn of_daemon(daemon: &Daemon) -> Vec<LimitRow> {
    let clients = daemon.clients.borrow();
    let metrics_clients = daemon.metrics_clients.get();
    let mut rows = vec![
        LimitRow {
            most: Some(clients.most as u64),
            refused: Some(clients.refused),
            ..used(
                clients.now(),
                limit("control-clients", "", CLIENTS as u64, "refused with a reason"),
            )
        },
        limit(
            "control-clients-per-user",
            "",
            CLIENTS_PER_USER as u64,
            "refused with a reason",
        ),
        limit(
            "control-requests",
            "per second and client",
            u64::from(REQUESTS_PER_SECOND),
            "answered later",
        ),
        limit(
            "control-request",
            "bytes",
            codec::MAX_REQUEST as u64,
            "the connection is ended",
        ),
        limit(
            "long-requests-per-client",
            "",
            JOBS as u64,
            "refused with a reason",
        ),
        LimitRow {
            most: Some(metrics_clients.most as u64),
            refused: Some(metrics_clients.refused),
            ..used(
                metrics_clients.now,
                limit(
                    "metrics-clients",
                    "",
                    metrics::CLIENTS as u64,
                    "who is slow to ask or to read gives way",
                ),
            )
        },
        limit(
            "metrics-peers",
            "",
            MAX_METRICS_PEERS as u64,
            "not told of one by one",
        ),
        used(
            daemon.log.len(),
            limit(
                "log-lines-kept",
                "",
                logging::LINES as u64,
                "the oldest gives way",
            ),
        ),
        limit(
            "log-lines",
            "per second",
            u64::from(logging::PER_SECOND),
            "counted and summed up",
        ),
        used(
            daemon.recorder.len(),
            limit(
                "events-kept",
                "",
                flight_recorder::OF_ALL as u64,
                "the oldest gives way",
            ),
        ),
        limit(
            "events-kept-per-peer",
            "",
            flight_recorder::OF_ONE as u64,
            "the oldest gives way",
        ),
        used(
            fs::metadata(daemon.config_file()).map_or(0, |file| file.len()),
            limit(
                "configuration-file",
                "bytes",
                MAX_FILE as u64,
                "the file is refused whole",
            ),
        ),
        limit(
            "configuration-lines",
            "",
            MAX_LINES as u64,
            "the file is refused whole",
        ),
        limit(
            "configuration-line",
            "bytes",
            grammar::lexer::MAX_LINE as u64,
            "the file is refused whole",
        ),
    ];
    if let Some((now, most)) = host_check::resident_memory() {
        let past = "the kernel ends knetd where the host has none left";
        rows.push(LimitRow {
            most: Some(most),
            ..used(now, limit("resident-memory", "bytes", u64::MAX, past))
        });
    }
    if let Some((open, most)) = host_check::descriptors() {
        rows.push(used(
            open,
            limit("open-files", "", most, "no more interfaces can be started"),
        ));
    }
    rows
}

#[cfg(test)]
mod tests {
    use libknet::proto::time::Span;

    use super::*;

    #[test]
    fn names_are_unique_and_bounds_positive() {
        let config = model::InterfaceConfig::default();
        let report = InterfaceReport {
            status: libknet::proto::status::InterfaceStatus::default(),
            holdings: Holdings {
                ring_bytes: 17,
                ..Holdings::default()
            },
            ifindex: 1,
            uptime: Span::ZERO,
            calls: libknet::SystemCalls::default(),
            workers: Vec::new(),
            sockets: Vec::new(),
        };
        let rows = of_interface(&config, Some(&report));
        let mut names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), rows.len());
        assert!(
            rows.iter().all(|row| row.limit > 0 && !row.past.is_empty()),
            "{rows:?}"
        );
        let ring = rows.iter().find(|row| row.name == "resend-memory").unwrap();
        assert_eq!(ring.used, Some(17));
        // An interface that does not run holds nothing.
        assert_eq!(of_interface(&config, None).len(), 2);
    }
}
