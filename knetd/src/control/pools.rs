//! `show ip pool` and `show ip pool leases`.

use libknet::api::{
    message::{ApiError, IpPoolLeaseRow, IpPoolLeasesReport, IpPoolRow, Reply},
    value::{IpPrefix, PublicKey},
};

use super::names;
use crate::{
    config::{
        leases::{Lease, OfInterface},
        pool::Pool,
    },
    daemon::Daemon,
};

/// Most rows of an answer.
const ROWS: usize = 1000;

/// A row for each pool.
pub(crate) fn rows(daemon: &mut Daemon, only: Option<&str>) -> Result<Vec<IpPoolRow>, ApiError> {
    let config = daemon.of_this_host().clone();
    let mut rows = Vec::new();
    for (name, interface) in names::interfaces(&config, only)? {
        let groups = interface.groups.iter();
        let pools: Vec<(&String, &IpPrefix)> = groups
            .flat_map(|(group, config)| config.pools.iter().map(move |prefix| (group, prefix)))
            .collect();
        if pools.is_empty() {
            continue;
        }
        let taken = daemon.taken_addresses(name);
        let of_interface = rows.len();
        rows.extend(pools.iter().map(|(group, prefix)| {
            let pool = Pool::new(prefix, interface);
            let used = pool.used(taken);
            IpPoolRow {
                interface: name.clone(),
                group: (*group).clone(),
                pool: prefix.to_string(),
                addresses: pool.size().to_string(),
                used: used as u64,
                next: pool.next(taken).map(|next| next.to_string()),
                left: (pool.size() - used).to_string(),
                ..IpPoolRow::default()
            }
        }));
        let leasing = daemon.leasing();
        let leases = || leasing.leases().of(name).into_iter().flat_map(OfInterface::iter);
        for (row, (group, prefix)) in rows[of_interface..].iter_mut().zip(&pools) {
            let pool = Pool::new(prefix, interface);
            let is_of = |lease: &Lease| {
                lease.group == **group && lease.addresses.iter().any(|address| pool.contains(*address))
            };
            row.leased = leases().filter(|(_, lease)| is_of(lease)).count() as u64;
            row.without = leasing.without(name, group) as u64;
            row.problem = leasing.problem().map(str::to_owned);
        }
    }
    Ok(rows)
}

/// Answers [`libknet::api::message::RequestBody::IpPoolLeases`].
pub(crate) fn leases(daemon: &Daemon, only: Option<&str>) -> Result<Reply, ApiError> {
    let leasing = daemon.leasing();
    let mut rows = Vec::new();
    for (interface, _) in names::interfaces(daemon.of_this_host(), only)? {
        let leases = leasing
            .leases()
            .of(interface)
            .into_iter()
            .flat_map(OfInterface::iter);
        rows.extend(leases.map(|(key, lease)| (interface, key, lease)));
    }
    // Names first: there are many more of them than are told.
    rows.sort_by_key(|(interface, _, lease)| (*interface, &lease.peer, lease.away));
    let more = rows.len().saturating_sub(ROWS) as u64;
    let row = |(interface, key, lease): (&String, &PublicKey, &Lease)| IpPoolLeaseRow {
        interface: interface.clone(),
        group: lease.group.clone(),
        peer: lease.peer.clone(),
        public_key: key.to_string(),
        addresses: lease.addresses.iter().map(ToString::to_string).collect(),
        since_unix_ms: lease.since.saturating_mul(1000),
        away_unix_ms: lease.away.map(|away| away.saturating_mul(1000)),
    };
    Ok(Reply::IpPoolLeases(IpPoolLeasesReport {
        rows: rows.into_iter().take(ROWS).map(row).collect(),
        more,
        problem: leasing.problem().map(str::to_owned),
    }))
}
