//! `ping peer`: round trips of control messages through the tunnel.

use std::{cell::RefCell, net::SocketAddr, rc::Rc, time::Duration};

use libknet::{
    PingResult, Query,
    api::{
        edit::{Context, Place},
        message::{ApiError, ErrorCode, PingRow, Reply},
    },
    proto::ids::LinkId,
};
use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::{
    names,
    output::{Gone, Output},
};
use crate::{daemon::Daemon, rows::InterfaceState};

/// Pings of one request that may be waiting for their answers.
const UNDER_WAY: usize = 256;

/// What was asked for.
pub(crate) struct Ping {
    /// Of which interface.
    pub interface: Option<String>,
    /// Whom.
    pub peer: String,
    /// Over which link.
    pub link: Option<u8>,
    /// How many turns.
    pub count: u32,
    /// Between turns.
    pub interval_ms: u32,
    /// For each answer.
    pub timeout_ms: u32,
}

/// Pings and sends each result as it comes in.
pub(crate) async fn run(
    daemon: Rc<RefCell<Daemon>>,
    output: Output,
    id: u32,
    ping: Ping,
) -> Result<(), Gone> {
    match turns(&daemon, &output, id, ping).await {
        Ok(()) => output.answer(id, false, Ok(Reply::Done)).await,
        Err(Stop::Gone) => Err(Gone),
        Err(Stop::Error(error)) => output.answer(id, false, Err(error)).await,
    }
}

enum Stop {
    Gone,
    Error(ApiError),
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

async fn turns(daemon: &RefCell<Daemon>, output: &Output, id: u32, ping: Ping) -> Result<(), Stop> {
    in_range("count", ping.count, 1, 10_000)?;
    in_range("interval", ping.interval_ms, 10, 60_000)?;
    in_range("timeout", ping.timeout_ms, 10, 60_000)?;
    let config = daemon.borrow().in_force().clone();
    let (interface, _, peer, _) = names::peer(&config, ping.interface.as_deref(), &ping.peer)?;
    let links = links(daemon, interface, peer, ping.link).await?;

    let timeout = Duration::from_millis(u64::from(ping.timeout_ms));
    let mut tick = tokio::time::interval(Duration::from_millis(u64::from(ping.interval_ms)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut under_way = JoinSet::new();
    let mut sequence = 0;
    while sequence < ping.count || !under_way.is_empty() {
        tokio::select! {
            _ = tick.tick(), if sequence < ping.count && under_way.len() < UNDER_WAY => {
                sequence += 1;
                for (link, remote) in links.clone() {
                    let daemon = daemon.borrow();
                    let (overlay, slot) = overlay_of(&daemon, interface, peer)?;
                    let result = overlay.ping(slot, Some(link), timeout);
                    under_way.spawn_local(async move { (sequence, link, remote, result.await) });
                }
            }
            Some(answer) = under_way.join_next() => {
                let Ok((sequence, link, remote, result)) = answer else { continue };
                let rtt_us = match result {
                    Some(PingResult::Answered { rtt, .. }) => Some(rtt.as_micros()),
                    Some(PingResult::Timeout) => None,
                    Some(PingResult::NoLink) if ping.link.is_none() => None,
                    Some(PingResult::NoLink) => {
                        return Err(error(format!("link {link} of peer {peer} cannot be used now")));
                    }
                    Some(PingResult::NoSession) => {
                        return Err(error(format!("there is no session with peer {peer}")));
                    }
                    Some(PingResult::UnknownPeer) | None => {
                        return Err(error(format!("peer {peer} or its interface was removed meanwhile")));
                    }
                };
                let remote = remote.map(|r| r.to_string());
                let row = PingRow { sequence, link: link.get(), remote, rtt_us };
                output.answer(id, true, Ok(Reply::Ping(row))).await?;
            }
        }
    }
    Ok(())
}

fn error(text: String) -> Stop {
    Stop::Error(ApiError::new(ErrorCode::System, text))
}

fn in_range(name: &str, value: u32, least: u32, most: u32) -> Result<(), ApiError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let text = format!("{name} {value} is out of range");
    Err(ApiError::new(ErrorCode::Invalid, text).with_hint(format!("{least} to {most}")))
}

/// The links to ping, with where they go to.
async fn links(
    daemon: &RefCell<Daemon>,
    interface: &str,
    peer: &str,
    only: Option<u8>,
) -> Result<Vec<(LinkId, Option<SocketAddr>)>, ApiError> {
    let reply = {
        let daemon = daemon.borrow();
        let (overlay, slot) = overlay_of(&daemon, interface, peer)?;
        overlay.query(Query::Peer(slot))
    };
    let libknet::Reply::Peer(Some(status)) = reply.await? else {
        return Err(ApiError::new(
            ErrorCode::NotFound,
            format!("there is no peer {peer}"),
        ));
    };
    let there = |link: u8| {
        Place::object(Context::Link {
            interface: interface.into(),
            peer: peer.into(),
            link,
        })
    };
    let all = status.links.iter().map(|link| (link.link, link.remote));
    let links: Vec<_> = match only {
        Some(only) => all.filter(|(link, _)| link.get() == only).collect(),
        None => all.filter(|(_, remote)| remote.is_some()).collect(),
    };
    if links.is_empty() {
        let text = match only {
            Some(only) => format!("peer {peer} has no link {only}"),
            None => format!("peer {peer} has no link with a known address"),
        };
        return Err(ApiError {
            place: only.map(there),
            ..ApiError::new(ErrorCode::NotFound, text)
        });
    }
    Ok(links)
}

fn overlay_of<'a>(
    daemon: &'a Daemon,
    interface: &str,
    peer: &str,
) -> Result<(&'a crate::overlay::Overlay, libknet::proto::ids::PeerId), ApiError> {
    let Some(overlay) = daemon.overlay(interface) else {
        let state = daemon.interface_state(interface);
        let why = match &state {
            InterfaceState::Failed(reason) => reason.as_str(),
            InterfaceState::AdminDown => "it is shut down",
            InterfaceState::Up | InterfaceState::Incomplete => "it has no private key",
        };
        return Err(ApiError::new(
            ErrorCode::System,
            format!("interface {interface} does not run: {why}"),
        ));
    };
    let slot = overlay.slots.id(peer).ok_or_else(|| {
        ApiError::new(ErrorCode::System, format!("peer {peer} is incomplete")).with_hint("public-key KEY")
    })?;
    Ok((overlay, slot))
}
