//! What `show` shows: rows of the daemon as text and as JSON.

mod addresses;
mod certificates;
mod commands;
pub(crate) mod configuration;
pub(crate) mod drops;
mod groups;
mod hubs;
mod interface;
pub(crate) mod invitations;
mod limits;
mod listeners;
mod pools;
mod storm;
mod topology;
mod vlan;

use knet_api::{
    grammar::Show,
    message::{
        EventRow, InterfaceRow, LimitRow, LinkRow, LogRow, Only, PeerRow, Reply, RequestBody, SessionRow,
        VersionRow,
    },
};
use serde_json::json;

use self::drops::Seen;
use crate::{
    client::{Client, unexpected},
    document::Document,
    failure::Failure,
    output::clean,
    table::{Align, table},
    tech_support,
    units::{date, date_time, duration, maybe_micros, micros, percent, time_of_day},
};

/// Asks the daemon and lays out its answer.
pub(crate) fn document(client: &mut Client, seen: &mut Seen, what: &Show) -> Result<Document, Failure> {
    Ok(match what.clone() {
        Show::Version => match client.call(RequestBody::Version)? {
            Reply::Version(row) => Document::object("version", json!(row), version(&row)),
            _ => return Err(unexpected()),
        },
        Show::Interfaces { interface } => {
            let rows = all_interfaces(client, interface)?;
            let lines = rows.iter().flat_map(interface::interface).collect();
            Document::object("interfaces", json!(rows), lines)
        }
        Show::Addresses => {
            let rows = all_interfaces(client, None)?;
            Document::table("interfaces", json!(rows), interface::brief(&rows))
        }
        Show::Peers { interface, only } => {
            let rows = all_peers(client, interface.as_ref(), &only)?;
            Document::table("peers", json!(rows), peers(&rows))
        }
        Show::Peer { peer, interface } => match client.call(RequestBody::Peer { interface, peer })? {
            Reply::Peer(row) => Document::object("peer", json!(row), self::peer(&row)),
            _ => return Err(unexpected()),
        },
        Show::Groups { group, interface } => groups::document(client, interface, group)?,
        Show::HubGroups { group, interface } => hubs::document(client, interface, group)?,
        Show::PeerHistory {
            peer,
            last,
            interface,
        } => {
            let request = RequestBody::History {
                interface,
                peer: peer.clone(),
                last,
            };
            match client.call(request)? {
                Reply::History { events, earlier } => {
                    let value = json!({ "events": events, "earlier": earlier });
                    Document::object("history", value, history(&peer, &events, earlier))
                }
                _ => return Err(unexpected()),
            }
        }
        Show::Links {
            peer,
            interface,
            only,
        } => {
            let rows = all_links(client, interface.as_ref(), peer.as_ref(), &only)?;
            Document::table("links", json!(rows), links(&rows)).with_notes(narrow_peers(&rows))
        }
        Show::StormControl { interface } => {
            let rows = all_peers(client, interface.as_ref(), &Only::default())?;
            storm::document(rows)
        }
        Show::Listeners { ipv6, interface } => listeners::document(client, ipv6, interface.as_ref())?,
        Show::Vlans { vlan, interface } => vlan::document(client, vlan, interface.as_ref())?,
        Show::MacTable { interface } => addresses::macs(client, interface.as_ref())?,
        Show::Arp { peer, interface } => addresses::neighbors(client, peer.as_ref(), interface.as_ref())?,
        Show::RunningConfig { all, interface } => {
            let text = client.text(RequestBody::RunningConfig { all })?;
            let text = match interface {
                Some(name) => {
                    // The daemon tells it where there is none.
                    all_interfaces(client, Some(name.clone()))?;
                    configuration::section(&text, &name)
                }
                None => text,
            };
            Document::text("running_config", &text)
        }
        Show::ExpandedConfig => {
            let text = client.text(RequestBody::ExpandedConfig)?;
            Document::text("running_config", &text)
        }
        Show::StartupConfig => {
            let text = client.text(RequestBody::StartupConfig)?;
            Document::text("startup_config", &text)
        }
        Show::Logging { lines } => match client.call(RequestBody::Logging { lines })? {
            Reply::Logging(rows) => {
                Document::rows("logging", json!(rows), rows.iter().map(log_line).collect())
            }
            _ => return Err(unexpected()),
        },
        Show::Revisions => match client.call(RequestBody::Revisions)? {
            Reply::Revisions {
                rows,
                not_kept,
                pending,
            } => configuration::revisions(&rows, not_kept.as_deref(), pending.as_ref()),
            _ => return Err(unexpected()),
        },
        Show::ConfigText(version) => {
            let text = client.text(RequestBody::ConfigText(version))?;
            Document::text("configuration", &text)
        }
        Show::Clients => match client.call(RequestBody::Clients)? {
            Reply::Clients { rows, pending } => configuration::clients(&rows, pending.as_ref()),
            _ => return Err(unexpected()),
        },
        Show::Commands { word } => commands::document(word.as_deref()),
        Show::Drops { interface } => drops::document(&all_interfaces(client, interface)?, seen),
        Show::Certificates { interface } => certificates::document(client, interface)?,
        Show::IpPools { interface } => pools::document(client, interface)?,
        Show::IpPoolLeases { interface } => pools::leases(client, interface)?,
        Show::Invitations { interface } => invitations::document(client, interface)?,
        Show::Limits { interface } => limits::document(&all_limits(client, interface)?),
        Show::Memory { interface } => limits::memory(all_limits(client, interface)?),
        Show::Topology { interface } => {
            let interfaces = all_interfaces(client, interface.clone())?;
            let peers = all_peers(client, interface.as_ref(), &Only::default())?;
            let links = all_links(client, interface.as_ref(), None, &Only::default())?;
            topology::document(&topology::Topology {
                host: &client.welcome.hostname,
                interfaces: &interfaces,
                peers: &peers,
                links: &links,
            })
        }
        Show::PublicKeys { interface } => interface::public_keys(&all_interfaces(client, interface)?),
        Show::TechSupport => tech_support::document(client)?,
        // The session knows these, and answers them itself.
        Show::History | Show::Terminal | Show::Debugging | Show::ConfigDiff { .. } => {
            return Err(unexpected());
        }
    })
}

fn all_interfaces(client: &mut Client, interface: Option<String>) -> Result<Vec<InterfaceRow>, Failure> {
    match client.call(RequestBody::Interfaces { interface })? {
        Reply::Interfaces(rows) => Ok(rows),
        _ => Err(unexpected()),
    }
}

fn all_limits(client: &mut Client, interface: Option<String>) -> Result<Vec<LimitRow>, Failure> {
    match client.call(RequestBody::Limits { interface })? {
        Reply::Limits(rows) => Ok(rows),
        _ => Err(unexpected()),
    }
}

fn all_peers(client: &mut Client, interface: Option<&String>, only: &Only) -> Result<Vec<PeerRow>, Failure> {
    let request = |page| RequestBody::Peers {
        interface: interface.cloned(),
        page,
        only: only.clone(),
    };
    client.pages(request, |reply| match reply {
        Reply::Peers(rows) => Some(rows),
        _ => None,
    })
}

fn all_links(
    client: &mut Client,
    interface: Option<&String>,
    peer: Option<&String>,
    only: &Only,
) -> Result<Vec<LinkRow>, Failure> {
    let request = |page| RequestBody::Links {
        interface: interface.cloned(),
        peer: peer.cloned(),
        page,
        only: only.clone(),
    };
    client.pages(request, |reply| match reply {
        Reply::Links(rows) => Some(rows),
        _ => None,
    })
}

fn version(row: &VersionRow) -> Vec<String> {
    let saved = if row.unsaved { "not saved" } else { "saved" };
    vec![
        format!(
            "knetd {}, wire protocol {}, control protocol {}",
            clean(&row.version),
            row.wire_version,
            row.api_version
        ),
        format!("Node {}, kernel {}", clean(&row.hostname), clean(&row.kernel)),
        format!("Process {}, up {}", row.pid, duration(row.uptime_ms)),
        format!("Ciphers: {}", clean(&row.suites.join(", "))),
        format!(
            "Configuration {}, revision {}, {saved}",
            clean(&row.config_file),
            row.revision
        ),
    ]
}

fn peers(rows: &[PeerRow]) -> Vec<String> {
    let columns = [
        ("Interface", Align::Left),
        ("Peer", Align::Left),
        ("State", Align::Left),
        ("Up for", Align::Right),
        ("Policy", Align::Left),
        ("Links", Align::Right),
        ("Active", Align::Left),
        ("Sent", Align::Right),
        ("Received", Align::Right),
        ("Dropped", Align::Right),
        ("Role", Align::Left),
    ];
    // Only where there is something in it.
    let shown = columns.len() - usize::from(rows.iter().all(|row| hubs::role(row).is_none()));
    let columns = columns.get(..shown).unwrap_or_default();
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let mut cells = vec![
                clean(&row.interface),
                clean(&row.peer),
                clean(&row.state),
                row.session
                    .as_ref()
                    .map_or("-".to_owned(), |session| duration(session.uptime_ms)),
                clean(&row.policy),
                format!("{}/{}", row.links_up, row.links_total),
                numbers(&row.active_links),
                row.tx.packets.to_string(),
                row.rx.packets.to_string(),
                row.drops.to_string(),
                hubs::role(row).unwrap_or("-").to_owned(),
            ];
            cells.truncate(shown);
            cells
        })
        .collect();
    table(columns, &rows)
}

fn numbers(links: &[u8]) -> String {
    let numbers: Vec<String> = links.iter().map(u8::to_string).collect();
    if numbers.is_empty() {
        "-".to_owned()
    } else {
        numbers.join(",")
    }
}

fn peer(row: &PeerRow) -> Vec<String> {
    let reason = row
        .reason
        .as_deref()
        .map(|reason| format!(": {}", clean(reason)))
        .unwrap_or_default();
    let mut lines = vec![format!(
        "Peer {} of {} is {}{reason}",
        clean(&row.peer),
        clean(&row.interface),
        clean(&row.state)
    )];
    if let Some(description) = &row.description {
        lines.push(format!("  Description: {}", clean(description)));
    }
    lines.extend(groups::of_peer(row));
    lines.extend(hubs::of_peer(row));
    lines.push(format!(
        "  Public key {}",
        row.public_key.as_deref().map_or("-".to_owned(), clean)
    ));
    let isolate = if row.isolate {
        ", isolated from other peers"
    } else {
        ""
    };
    lines.push(format!(
        "  Policy {}, sending on link {}{isolate}",
        clean(&row.policy),
        numbers(&row.active_links)
    ));
    let vlans = row.switchport.as_ref().map(vlan::phrase);
    lines.extend(vlans.map(|vlans| format!("  {vlans}")));
    lines.extend(pools::of_peer(row));
    lines.extend(addresses::of_peer(row));
    let narrowest = row.links.iter().find(|l| Some(l.link) == row.narrowest);
    lines.extend(narrowest.and_then(whole_frames).map(|line| format!("  {line}")));
    lines.push(match &row.session {
        Some(session) => session_line(session),
        None => "  No session".to_owned(),
    });
    lines.push(format!(
        "  Sent {} frames, {} bytes",
        row.tx.packets, row.tx.bytes
    ));
    lines.push(format!(
        "  Received {} frames, {} bytes; {} copies of them dropped",
        row.rx.packets, row.rx.bytes, row.duplicates
    ));
    lines.push(format!(
        "  {} frames discarded, {} waiting; all links silent at once {} times",
        row.drops, row.queued, row.stalls
    ));
    let resend = &row.resend;
    lines.push(format!(
        "  Sent again after a link failed: {} frames; kept until reported: {}; too many to keep: {}",
        resend.replayed, resend.held, resend.evicted
    ));
    let (order, pieces) = (&row.order, &row.pieces);
    lines.push(format!(
        "  Order: {} datagrams held, longest {}; {} missing (passed by all links {}, out of time {}, no room {}); {} late",
        order.held,
        micros(order.longest_hold_us),
        order.skipped_by_votes + order.skipped_by_timer + order.skipped_by_overflow,
        order.skipped_by_votes,
        order.skipped_by_timer,
        order.skipped_by_overflow,
        order.late
    ));
    lines.push(format!(
        "  Too long for their path: {} sent in {} pieces, {} received in pieces",
        pieces.split, pieces.sent, pieces.joined
    ));
    lines.extend(row.links.iter().flat_map(link_details));
    lines
}

/// How long frames may be that pass whole, and because of what no longer ones; by the link that decides it.
fn whole_frames(narrowest: &LinkRow) -> Option<String> {
    let mtu = narrowest.inner_mtu?;
    Some(if narrowest.narrows {
        format!(
            "Frames up to {mtu} bytes of IP pass whole; limited by link {} ({})",
            narrowest.link,
            mtu_reason(narrowest)
        )
    } else {
        format!("All frames pass whole, up to {mtu} bytes of IP")
    })
}

fn mtu_reason(link: &LinkRow) -> String {
    link.mtu_reason.as_deref().map_or("-".to_owned(), clean)
}

fn mtu(link: &LinkRow) -> String {
    link.mtu.map_or("-".to_owned(), |mtu| mtu.to_string())
}

fn session_line(session: &SessionRow) -> String {
    format!(
        "  Up for {}: {}, wire protocol {}, as {}, key {} old, {} rekeys",
        duration(session.uptime_ms),
        clean(&session.suite),
        session.version,
        clean(&session.role),
        duration(session.age_ms),
        session.rekeys
    )
}

fn link_details(row: &LinkRow) -> Vec<String> {
    let used = if row.in_use { ", in use" } else { "" };
    let mut lines = vec![format!(
        "  Link {}: sending {} for {}, receiving {}{used}",
        row.link,
        clean(&row.state),
        duration(row.since_ms),
        receiving(row)
    )];
    if let Some(description) = &row.description {
        lines.push(format!("    Description: {}", clean(description)));
    }
    let learned = if row.remote_configured || row.remote.is_none() {
        ""
    } else {
        " (learned)"
    };
    lines.push(format!(
        "    Local {}, remote {}{learned}",
        local(row),
        remote(row)
    ));
    let cost = (row.cost > 0).then(|| format!(", cost {}", row.cost));
    let weight = row.weight.map_or("auto".to_owned(), |weight| weight.to_string());
    let share = match row.percent {
        0 => String::new(),
        percent => format!(", {percent} % of the frames"),
    } + &cost.unwrap_or_default();
    lines.push(format!("    Priority {}, weight {weight}{share}", row.priority));
    if row.mtu.is_some() {
        lines.push(format!("    MTU {} ({})", mtu(row), mtu_reason(row)));
    }
    lines.push(format!(
        "    Round trip {} (min {}, 99 % of the last minute within {}, variation {})",
        maybe_micros(row.rtt_us),
        maybe_micros(row.rtt_min_us),
        maybe_micros(row.rtt_p99_us),
        micros(row.rtt_var_us),
    ));
    lines.push(format!(
        "    Sending: jitter {}, lost lately {}, out of order {}",
        maybe_micros(row.tx_jitter_us.map(u64::from)),
        percent(row.tx_loss_ppm),
        row.tx_reordered_ppm.map_or("-".to_owned(), percent)
    ));
    lines.push(format!(
        "    Receiving: jitter {}, lost lately {}, out of order {}",
        micros(u64::from(row.rx_jitter_us)),
        percent(row.rx_loss_ppm),
        percent(row.rx_reordered_ppm)
    ));
    lines.push(format!(
        "    Sent {} datagrams, {} bytes",
        row.tx.packets, row.tx.bytes
    ));
    lines.push(format!(
        "    Received {} datagrams, {} bytes",
        row.rx.packets, row.rx.bytes
    ));
    lines.push(format!(
        "    Heartbeat every {} ms, timeout {} ms, up after {} answers, suspect after {}",
        row.interval_ms,
        row.timeout_ms,
        row.pong_count,
        micros(row.report_timeout_us)
    ));
    lines.push(format!(
        "    Suspected {} times, spared {}, down {}, {} of these too early",
        row.suspects, row.spared, row.downs, row.spurious
    ));
    let more = match row.held_for_ms {
        0 => String::new(),
        ms => format!(", for {} more", duration(ms)),
    };
    lines.push(format!(
        "    Flap penalty {}.{:03}, kept out of use {} times{more}",
        row.penalty_milli / 1000,
        row.penalty_milli % 1000,
        row.held
    ));
    lines
}

/// Events with their time of day, and the day where it changes.
fn history(peer: &str, events: &[EventRow], earlier: u64) -> Vec<String> {
    let mut lines = Vec::new();
    if earlier > 0 {
        lines.push(format!("({earlier} earlier events)"));
    } else if events.is_empty() {
        lines.push(format!("Nothing has happened to peer {}", clean(peer)));
    }
    let mut day = None;
    for event in events {
        let today = date(event.unix_ms);
        if day.as_ref() != Some(&today) {
            lines.push(format!("{today} UTC"));
            day = Some(today);
        }
        let link = event.link.map(|link| format!("link {link} ")).unwrap_or_default();
        lines.push(format!(
            "{} {link}{}",
            time_of_day(event.unix_ms),
            clean(&event.what)
        ));
    }
    lines
}

fn receiving(row: &LinkRow) -> &'static str {
    if row.receiving { "up" } else { "down" }
}

fn local(row: &LinkRow) -> String {
    match (&row.local, &row.local_address) {
        (Some(number), Some(address)) => format!("{number} {}", clean(address)),
        (Some(number), None) => number.to_string(),
        (None, _) => "-".to_owned(),
    }
}

/// The name and the address that it has now.
fn remote(row: &LinkRow) -> String {
    let address = row.remote.as_deref().map(clean);
    match (&row.remote_name, address, &row.reason) {
        (None, address, _) => address.unwrap_or("-".to_owned()),
        (Some(name), Some(address), None) => format!("{} ({address})", clean(name)),
        (Some(name), Some(address), Some(reason)) => {
            format!("{} ({address}): {}", clean(name), clean(reason))
        }
        (Some(name), None, Some(reason)) => format!("{}: {}", clean(name), clean(reason)),
        (Some(name), None, None) => clean(name),
    }
}

fn links(rows: &[LinkRow]) -> Vec<String> {
    let columns = [
        ("Interface", Align::Left),
        ("Peer", Align::Left),
        ("Link", Align::Right),
        ("Sending", Align::Left),
        ("Receiving", Align::Left),
        ("In use", Align::Left),
        ("RTT", Align::Right),
        ("Jitter", Align::Right),
        ("Loss tx", Align::Right),
        ("Loss rx", Align::Right),
        ("MTU", Align::Right),
        ("Local", Align::Left),
        ("Remote", Align::Left),
    ];
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                clean(&row.interface),
                clean(&row.peer),
                row.link.to_string(),
                clean(&row.state),
                receiving(row).to_owned(),
                if row.in_use { "yes" } else { "no" }.to_owned(),
                maybe_micros(row.rtt_us),
                micros(u64::from(row.rx_jitter_us)),
                percent(row.tx_loss_ppm),
                percent(row.rx_loss_ppm),
                mtu(row),
                local(row),
                remote(row),
            ]
        })
        .collect();
    table(&columns, &cells)
}

/// A line for each peer to which some frames go in pieces, and for the one because of which an MTU that follows the
/// paths is no larger.
fn narrow_peers(rows: &[LinkRow]) -> Vec<String> {
    rows.iter()
        .filter(|link| link.narrows)
        .filter_map(|link| {
            let place = format!("{} {}", clean(&link.interface), clean(&link.peer));
            Some(format!("{place}: {}", whole_frames(link)?))
        })
        .collect()
}

fn log_line(row: &LogRow) -> String {
    let level = row.level.to_uppercase();
    format!(
        "{} {:5} {}: {}",
        date_time(row.unix_ms),
        clean(&level),
        clean(&row.target),
        clean(&row.text)
    )
}
