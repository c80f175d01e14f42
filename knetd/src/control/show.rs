//! What `show` and `clear` ask for.

use std::{cell::RefCell, collections::HashMap, ops::Bound, time::Instant};

use libknet::{
    Query,
    api::{
        message::{
            API_VERSION, ApiError, ErrorCode, InterfaceRow, LinkRow, NegotiatedRow, Only, Page, PeerRow,
            Reply, Rows, VersionRow,
        },
        model::Config,
    },
    proto::{handshake::message::Suite, status::PeerStatus},
    suites_of_this_machine,
};

use super::{groups, names, output::protocol_error};
use crate::{
    daemon::Daemon,
    overlay::Overlay,
    rows::{self, InterfaceState, PeerPlace, suite_name},
};

/// Most rows in one answer.
const ROWS: usize = 1000;
/// Peers that are asked for at once while links are collected.
pub(crate) const PEERS_AT_ONCE: usize = 125;
/// Peers that are asked for one page of links.
const PEERS_OF_ONE_PAGE: usize = 1000;
/// Version of the wire protocol.
const WIRE_VERSION: u8 = 1;

/// `show version`.
pub(crate) fn version(daemon: &Daemon) -> VersionRow {
    let mut suites = vec![suite_name(Suite::ChaCha20Poly1305).to_owned()];
    if suites_of_this_machine().contains(Suite::Aes256Gcm) {
        suites.insert(0, suite_name(Suite::Aes256Gcm).into());
    }
    VersionRow {
        version: env!("CARGO_PKG_VERSION").into(),
        api_version: API_VERSION,
        wire_version: WIRE_VERSION,
        suites,
        hostname: daemon.hostname(),
        kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
            .unwrap_or_default()
            .trim()
            .into(),
        pid: std::process::id(),
        uptime_ms: daemon.started.elapsed().as_millis() as u64,
        config_file: daemon.config_file().display().to_string(),
        revision: daemon.revision(),
        unsaved: daemon.unsaved(),
    }
}

/// `show interfaces`.
pub(crate) async fn interfaces(daemon: &RefCell<Daemon>, only: Option<&str>) -> Result<Reply, ApiError> {
    let config = daemon.borrow().in_force().clone();
    let mut rows: Vec<InterfaceRow> = Vec::new();
    for (name, interface) in names::interfaces(&config, only)? {
        let (state, running) = {
            let daemon = daemon.borrow();
            let running = daemon.overlay(name).map(|overlay| {
                (
                    overlay.setup.clone(),
                    overlay.counting_since,
                    overlay.query(Query::Interface),
                )
            });
            (daemon.interface_state(name), running)
        };
        rows.push(match running {
            None => rows::interface(name, interface, &state, None),
            Some((setup, counting_since, reply)) => match reply.await? {
                libknet::Reply::Interface(report) => {
                    rows::interface(name, interface, &state, Some((&setup, counting_since, &report)))
                }
                _ => return Err(mismatch()),
            },
        });
        if let Some(row) = rows.last_mut() {
            let daemon = daemon.borrow();
            let negotiated = daemon.negotiated().of(name).iter();
            let negotiated = negotiated.map(|judged| NegotiatedRow {
                peer: judged.peer.clone(),
                address: judged.prefix.to_string(),
                refused: judged.refused.clone(),
            });
            row.negotiated = negotiated.collect();
        }
    }
    Ok(Reply::Interfaces(rows))
}

/// `show peers`.
pub(crate) async fn peers(
    daemon: &RefCell<Daemon>,
    interface: Option<&str>,
    page: &Page,
    only: &Only,
) -> Result<Reply, ApiError> {
    let (config, limit) = (daemon.borrow().in_force().clone(), limit(page)?);
    let after = page
        .cursor
        .as_deref()
        .map(|c| c.split_once(' ').ok_or_else(bad_cursor))
        .transpose()?;
    // Those in another state are asked for as well, so a page may have fewer rows than it could.
    let mut places: Vec<_> = peers_from(&config, interface, prefix_of(only), after)?
        .filter(|place| after != Some(*place))
        .take(limit + 1)
        .collect();
    let more = places.len() > limit;
    places.truncate(limit);
    let next = places.last().filter(|_| more).map(|(i, p)| format!("{i} {p}"));
    let mut rows = peer_rows(daemon, &config, &places).await?;
    rows.retain(|row| wanted(only, &row.state));
    for row in &mut rows {
        row.links.clear();
        if let Some(guard) = &mut row.guard {
            guard.allowed_macs.clear();
            guard.given.clear();
        }
    }
    Ok(Reply::Peers(Rows { rows, next }))
}

/// `show peers NAME`.
pub(crate) async fn peer(
    daemon: &RefCell<Daemon>,
    interface: Option<&str>,
    name: &str,
) -> Result<Reply, ApiError> {
    let config = daemon.borrow().in_force().clone();
    let (interface, _, name, _) = names::peer(&config, interface, name)?;
    let rows = peer_rows(daemon, &config, &[(interface, name)]).await?;
    rows.into_iter()
        .next()
        .map(|row| Reply::Peer(Box::new(row)))
        .ok_or_else(mismatch)
}

/// `show peer NAME history`.
pub(crate) fn history(
    daemon: &Daemon,
    interface: Option<&str>,
    name: &str,
    last: Option<u32>,
) -> Result<Reply, ApiError> {
    let (interface, _, name, _) = names::peer(daemon.in_force(), interface, name)?;
    let last = last.map_or(usize::MAX, |n| n as usize);
    let (events, earlier) = daemon.recorder.history(interface, name, last);
    Ok(Reply::History { events, earlier })
}

/// `show links`.
pub(crate) async fn links(
    daemon: &RefCell<Daemon>,
    interface: Option<&str>,
    only_peer: Option<&str>,
    page: &Page,
    only: &Only,
) -> Result<Reply, ApiError> {
    let (config, limit) = (daemon.borrow().in_force().clone(), limit(page)?);
    let after: Option<(&str, &str, u8)> = page.cursor.as_deref().map(link_cursor).transpose()?;
    if let Some(peer) = only_peer {
        let there = names::interfaces(&config, interface)?
            .iter()
            .any(|(_, i)| i.peers.contains_key(peer));
        if !there {
            return Err(names::peer(&config, interface, peer)
                .err()
                .unwrap_or_else(mismatch));
        }
    }
    let prefix = only_peer.unwrap_or(prefix_of(only));
    let mut places: Vec<_> = peers_from(&config, interface, prefix, after.map(|(i, p, _)| (i, p)))?
        .filter(|(_, peer)| only_peer.is_none_or(|only| only == *peer) && peer.starts_with(prefix_of(only)))
        .take(PEERS_OF_ONE_PAGE + 1)
        .collect();
    // Where few links are wanted an answer would take long: it ends after so many peers, with what was found.
    let rest = places.len() > PEERS_OF_ONE_PAGE;
    places.truncate(PEERS_OF_ONE_PAGE);
    let mut rows: Vec<LinkRow> = Vec::new();
    let mut rest_of_places = places.as_slice();
    while rows.len() <= limit && !rest_of_places.is_empty() {
        // Most peers have a link at least: no more of them are asked than what is left of the page.
        let some = (limit + 1 - rows.len())
            .min(PEERS_AT_ONCE)
            .min(rest_of_places.len());
        let (some, behind) = rest_of_places.split_at(some);
        rest_of_places = behind;
        let links = peer_rows(daemon, &config, some)
            .await?
            .into_iter()
            .flat_map(|peer| peer.links);
        let links = links.filter(|l| wanted(only, &l.state));
        rows.extend(links.filter(|l| after.is_none_or(|a| (&*l.interface, &*l.peer, l.link) > a)));
    }
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|l| format!("{} {} {}", l.interface, l.peer, l.link))
        .or_else(|| {
            let (interface, peer) = places.last().filter(|_| rest)?;
            Some(format!("{interface} {peer} {}", u8::MAX))
        });
    Ok(Reply::Links(Rows { rows, next }))
}

/// `clear counters`.
pub(crate) async fn clear_counters(daemon: &RefCell<Daemon>, only: Option<&str>) -> Result<Reply, ApiError> {
    clear(daemon, only, |overlay| {
        overlay.counting_since = Instant::now();
        Query::ClearCounters
    })
    .await
}

/// Has every interface, or the one of this name, clear something.
pub(super) async fn clear(
    daemon: &RefCell<Daemon>,
    only: Option<&str>,
    mut what: impl FnMut(&mut Overlay) -> Query,
) -> Result<Reply, ApiError> {
    let config = daemon.borrow().in_force().clone();
    names::interfaces(&config, only)?;
    let replies: Vec<_> = daemon
        .borrow_mut()
        .overlays_mut()
        .filter(|(name, _)| only.is_none_or(|only| only == *name))
        .map(|(_, overlay)| {
            let query = what(overlay);
            overlay.query(query)
        })
        .collect();
    for reply in replies {
        reply.await?;
    }
    Ok(Reply::Done)
}

/// Interface and name of the peers whose names begin with `prefix`, in order, in whatever state, from `first` on.
fn peers_from<'a>(
    config: &'a Config,
    interface: Option<&str>,
    prefix: &'a str,
    first: Option<(&'a str, &'a str)>,
) -> Result<impl Iterator<Item = (&'a str, &'a str)>, ApiError> {
    let interfaces = names::interfaces(config, interface)?;
    let (first_interface, first_peer) = first.unwrap_or_default();
    Ok(interfaces
        .into_iter()
        .filter(move |(name, _)| name.as_str() >= first_interface)
        .flat_map(move |(name, interface)| {
            let first = if name == first_interface { first_peer } else { "" };
            interface
                .peers
                .range_from(Bound::Included(first.max(prefix)))
                .map(|(peer, _)| peer.as_str())
                // They stand together.
                .take_while(move |peer| peer.starts_with(prefix))
                .map(move |peer| (name.as_str(), peer))
        }))
}

fn prefix_of(only: &Only) -> &str {
    only.name_prefix.as_deref().unwrap_or_default()
}

fn wanted(only: &Only, state: &str) -> bool {
    only.state.as_ref().is_none_or(|only| only == state)
}

/// The rows of these peers, with their links; all are asked for at once.
pub(crate) async fn peer_rows(
    daemon: &RefCell<Daemon>,
    config: &Config,
    places: &[(&str, &str)],
) -> Result<Vec<PeerRow>, ApiError> {
    let mut states: HashMap<&str, InterfaceState> = HashMap::new();
    let mut replies = Vec::with_capacity(places.len());
    {
        let daemon = daemon.borrow();
        for (interface, peer) in places {
            states
                .entry(interface)
                .or_insert_with(|| daemon.interface_state(interface));
            let overlay = daemon.overlay(interface);
            replies.push(overlay.and_then(|o| o.slots.id(peer).map(|id| o.query(Query::Peer(id)))));
        }
    }
    let mut rows = Vec::with_capacity(places.len());
    for ((interface, name), reply) in places.iter().zip(replies) {
        let status: Option<Box<PeerStatus>> = match reply {
            None => None,
            Some(reply) => match reply.await? {
                libknet::Reply::Peer(status) => status,
                _ => return Err(mismatch()),
            },
        };
        let (Some(interface_config), Some(state)) =
            (config.interfaces.get(*interface), states.get(interface))
        else {
            continue;
        };
        let Some(config) = interface_config.peers.get(*name) else {
            continue;
        };
        let daemon = daemon.borrow();
        let place = PeerPlace {
            interface,
            interface_config,
            interface_state: state,
            name,
            config,
            names: daemon.names(),
        };
        let mut row = rows::peer(place, status.as_deref());
        groups::note_origin(&daemon, &mut row);
        rows.push(row);
    }
    Ok(rows)
}

pub(super) fn limit(page: &Page) -> Result<usize, ApiError> {
    match page.limit as usize {
        limit @ 1..=ROWS => Ok(limit),
        other => Err(
            ApiError::new(ErrorCode::Invalid, format!("a page of {other} rows"))
                .with_hint(format!("1 to {ROWS}")),
        ),
    }
}

pub(super) fn bad_cursor() -> ApiError {
    protocol_error("the page's cursor is none that this daemon gave out")
}

fn link_cursor(cursor: &str) -> Result<(&str, &str, u8), ApiError> {
    let mut words = cursor.splitn(3, ' ');
    let parts = (
        words.next(),
        words.next(),
        words.next().and_then(|link| link.parse().ok()),
    );
    let (Some(interface), Some(peer), Some(link)) = parts else {
        return Err(bad_cursor());
    };
    Ok((interface, peer, link))
}

pub(crate) fn mismatch() -> ApiError {
    ApiError::new(ErrorCode::Internal, "the data plane answered something else")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_of_others_are_refused() {
        assert_eq!(link_cursor("knet0 ams1 7").unwrap(), ("knet0", "ams1", 7));
        for cursor in ["", "knet0", "knet0 ams1", "knet0 ams1 x", "knet0 ams1 999"] {
            assert_eq!(
                link_cursor(cursor).unwrap_err().code,
                ErrorCode::Protocol,
                "{cursor}"
            );
        }
        assert!(
            limit(&Page {
                cursor: None,
                limit: 0
            })
            .is_err()
        );
        assert!(
            limit(&Page {
                cursor: None,
                limit: 1001
            })
            .is_err()
        );
    }
}
