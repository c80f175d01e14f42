//! Where the numbers come from: the rows that `show` has, asked for once for each page.

use std::{cell::RefCell, rc::Rc};

use libknet::api::{
    message::{ApiError, InterfaceRow, IpPoolRow, LimitRow, PeerRow, Reply, VersionRow},
    metrics::MAX_PEERS,
    model::InterfaceConfig,
};

use super::{exposition::Exposition, families, peer_families};
use crate::{
    control::{
        certificates::{self, CertificateSums},
        limits, pools,
        show::{self, PEERS_AT_ONCE},
    },
    daemon::Daemon,
};

/// All that a page tells.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    /// The daemon.
    pub(super) version: VersionRow,
    /// When it was started, in milliseconds since 1970.
    pub(super) started_unix_ms: u64,
    /// `show interfaces`.
    pub(super) interfaces: Vec<InterfaceRow>,
    /// What of the configuration keeps peers of these from being up, in the same order.
    pub(super) not_in_service: Vec<NotInService>,
    /// `show limits`.
    pub(super) limits: Vec<LimitRow>,
    /// Of `show certificates`, what can be added up.
    pub(super) certificates: CertificateSums,
    /// `show ip pool`.
    pub(super) pools: Vec<IpPoolRow>,
    /// `show peers`, where that is wanted.
    pub(super) peers: Option<Peers>,
}

/// Peers that are not to be up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NotInService {
    /// Shut down.
    pub(super) admin_down: u32,
    /// Without a key.
    pub(super) incomplete: u32,
}

impl NotInService {
    fn of(config: &InterfaceConfig) -> Self {
        let mut sum = Self::default();
        for peer in config.peers.values() {
            if peer.shutdown {
                sum.admin_down += 1;
            } else if peer.public_key.is_none() {
                sum.incomplete += 1;
            }
        }
        sum
    }
}

/// The first peers, with their links.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers {
    /// Those that are told of.
    pub(super) rows: Vec<PeerRow>,
    /// How many more there are.
    pub(super) omitted: u64,
}

/// Makes the page. It is written on another thread: there may be a hundred thousand lines.
pub(super) async fn page(daemon: &Rc<RefCell<Daemon>>) -> Result<String, ApiError> {
    let snapshot = take(daemon).await?;
    let written = tokio::task::spawn_blocking(move || text(&snapshot)).await;
    written.map_err(|_| show::mismatch())
}

async fn take(daemon: &Rc<RefCell<Daemon>>) -> Result<Snapshot, ApiError> {
    let Reply::Interfaces(interfaces) = show::interfaces(daemon, None).await? else {
        return Err(show::mismatch());
    };
    let Reply::Limits(limits) = limits::rows(daemon, None).await? else {
        return Err(show::mismatch());
    };
    let mut snapshot = {
        let mut daemon = daemon.borrow_mut();
        let config = daemon.in_force().clone();
        let not_in_service = |row: &InterfaceRow| {
            let config = config.interfaces.get(&row.interface);
            config.map(NotInService::of).unwrap_or_default()
        };
        Snapshot {
            version: show::version(&daemon),
            started_unix_ms: daemon.started_unix_ms,
            not_in_service: interfaces.iter().map(not_in_service).collect(),
            interfaces,
            limits,
            certificates: certificates::sums(&daemon),
            pools: pools::rows(&mut daemon, None)?,
            peers: None,
        }
    };
    if daemon.borrow().in_force().metrics_peers {
        snapshot.peers = Some(peers(daemon).await?);
    }
    Ok(snapshot)
}

/// A few at a time, so that others are answered in between.
async fn peers(daemon: &Rc<RefCell<Daemon>>) -> Result<Peers, ApiError> {
    let config = daemon.borrow().in_force().clone();
    let all: usize = config.interfaces.values().map(|i| i.peers.len()).sum();
    let places: Vec<(&str, &str)> = config
        .interfaces
        .iter()
        .flat_map(|(name, interface)| {
            let peers = interface.peers.keys();
            peers.map(move |peer| (name.as_str(), peer.as_str()))
        })
        .take(MAX_PEERS)
        .collect();
    let mut rows = Vec::with_capacity(places.len());
    for some in places.chunks(PEERS_AT_ONCE) {
        rows.extend(show::peer_rows(daemon, &config, some).await?);
    }
    Ok(Peers {
        rows,
        omitted: (all - places.len()) as u64,
    })
}

pub(super) fn text(snapshot: &Snapshot) -> String {
    let mut page = Exposition::default();
    families::write(&mut page, snapshot);
    if let Some(peers) = &snapshot.peers {
        peer_families::write(&mut page, peers);
    }
    page.into_text()
}
