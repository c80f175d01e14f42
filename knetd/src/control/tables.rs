//! Tables of the data plane that are shown in pages: MAC addresses, and IP addresses of stations.

use std::cell::RefCell;

use libknet::{
    Query,
    api::message::{ApiError, ErrorCode, MacRow, NeighborRow, Page, Reply, Rows},
    proto::status::Port,
};

use super::{
    names,
    show::{bad_cursor, clear, limit, mismatch},
};
use crate::{daemon::Daemon, overlay::Overlay, rows};

/// Rows of an interface, and where its table goes on.
type Part<Row> = (Vec<Row>, Option<u32>);

/// `show mac address-table`.
pub(crate) async fn macs(
    daemon: &RefCell<Daemon>,
    only: Option<&str>,
    page: &Page,
) -> Result<Reply, ApiError> {
    let query = |cursor, limit| Query::Macs { cursor, limit };
    let mut page = collect(daemon, only, page, query, |name, overlay, reply| match reply {
        libknet::Reply::Macs { entries, next } => {
            let rows = entries.iter().map(|entry| rows::mac(name, overlay, entry));
            Some((rows.collect(), next))
        }
        _ => None,
    })
    .await?;
    let key = |row: &MacRow| (row.interface.clone(), row.mac_address.clone());
    page.rows.sort_by_cached_key(key);
    Ok(Reply::Macs(page))
}

/// `show arp`.
pub(crate) async fn neighbors(
    daemon: &RefCell<Daemon>,
    only: Option<&str>,
    peer: Option<&str>,
    page: &Page,
) -> Result<Reply, ApiError> {
    if let Some(peer) = peer {
        let config = daemon.borrow().in_force().clone();
        match names::peer(&config, only, peer) {
            Err(error) if error.code != ErrorCode::Ambiguous => return Err(error),
            // One of this name in several interfaces: behind any of them.
            _ => {}
        }
    }
    let query = |cursor, limit| Query::Neighbors { cursor, limit };
    let page = collect(daemon, only, page, query, |name, overlay, reply| match reply {
        libknet::Reply::Neighbors { mut entries, next } => {
            // By the addresses' numbers, not by their digits.
            entries.sort_by_key(|entry| entry.ip);
            let is_behind = |port: Port| match (peer, port) {
                (None, _) => true,
                (Some(peer), Port::Peer(id)) => overlay.slots.name(id) == Some(peer),
                (Some(_), Port::Tap) => false,
            };
            let wanted = entries.iter().filter(|entry| is_behind(entry.port));
            let rows = wanted.map(|entry| rows::neighbor(name, overlay, entry));
            Some((rows.collect::<Vec<NeighborRow>>(), next))
        }
        _ => None,
    });
    Ok(Reply::Neighbors(page.await?))
}

/// `show vlan`.
pub(crate) async fn vlans(
    daemon: &RefCell<Daemon>,
    only: Option<&str>,
    page: &Page,
) -> Result<Reply, ApiError> {
    let query = |cursor, limit| Query::Vlans { cursor, limit };
    let page = collect(daemon, only, page, query, |name, _, reply| match reply {
        libknet::Reply::Vlans { entries, next } => {
            let rows = entries.iter().map(|entry| rows::vlan(name, entry));
            Some((rows.collect(), next))
        }
        _ => None,
    });
    Ok(Reply::Vlans(page.await?))
}

/// `show ip igmp snooping` and `show ipv6 mld snooping`.
pub(crate) async fn listeners(
    daemon: &RefCell<Daemon>,
    only: Option<&str>,
    page: &Page,
) -> Result<Reply, ApiError> {
    let query = |cursor, limit| Query::Listeners { cursor, limit };
    let page = collect(daemon, only, page, query, |name, overlay, reply| match reply {
        libknet::Reply::Listeners { entries, next } => {
            let rows = entries.iter().map(|entry| rows::listener(name, overlay, entry));
            Some((rows.collect(), next))
        }
        _ => None,
    });
    Ok(Reply::Listeners(page.await?))
}

/// `clear arp`.
pub(crate) async fn clear_neighbors(daemon: &RefCell<Daemon>, only: Option<&str>) -> Result<Reply, ApiError> {
    clear(daemon, only, |_| Query::ClearNeighbors).await
}

/// `clear loop-guard`.
pub(crate) async fn clear_loop_guard(
    daemon: &RefCell<Daemon>,
    only: Option<&str>,
    peer: Option<&str>,
) -> Result<Reply, ApiError> {
    let Some(peer) = peer else {
        return clear(daemon, only, |_| Query::OpenPorts(None)).await;
    };
    let config = daemon.borrow().in_force().clone();
    let (interface, ..) = names::peer(&config, only, peer)?;
    let query = daemon.borrow().overlay(interface).and_then(|overlay| {
        let id = overlay.slots.id(peer)?;
        Some(overlay.query(Query::OpenPorts(Some(id))))
    });
    // Whoever has no port has none that is closed.
    if let Some(query) = query {
        query.await?;
    }
    Ok(Reply::Done)
}

/// A page of the tables of all interfaces. They have no order: whatever order there is is that of a part.
async fn collect<Row>(
    daemon: &RefCell<Daemon>,
    only: Option<&str>,
    page: &Page,
    query: impl Fn(u32, usize) -> Query,
    rows_of: impl Fn(&str, &Overlay, libknet::Reply) -> Option<Part<Row>>,
) -> Result<Rows<Row>, ApiError> {
    let (config, limit) = (daemon.borrow().in_force().clone(), limit(page)?);
    let start = page.cursor.as_deref().map(cursor).transpose()?;
    let interfaces: Vec<&String> = names::interfaces(&config, only)?
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let mut rows = Vec::new();
    let cursor = start.unwrap_or(("", 0));
    for name in interfaces.into_iter().filter(|name| name.as_str() >= cursor.0) {
        let mut from = if name == cursor.0 { cursor.1 } else { 0 };
        loop {
            if rows.len() >= limit {
                let next = Some(format!("{name} {from}"));
                return Ok(Rows { rows, next });
            }
            let reply = match daemon.borrow().overlay(name) {
                Some(overlay) => overlay.query(query(from, limit - rows.len())),
                None => break,
            };
            let reply = reply.await?;
            let mut after = None;
            if let Some(overlay) = daemon.borrow().overlay(name) {
                let (part, next) = rows_of(name, overlay, reply).ok_or_else(mismatch)?;
                rows.extend(part);
                after = next;
            }
            match after {
                None => break,
                Some(after) => from = after,
            }
        }
    }
    Ok(Rows { rows, next: None })
}

fn cursor(cursor: &str) -> Result<(&str, u32), ApiError> {
    let (interface, position) = cursor.split_once(' ').ok_or_else(bad_cursor)?;
    Ok((interface, position.parse().map_err(|_| bad_cursor())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_of_others_are_refused() {
        assert_eq!(cursor("knet0 70000").unwrap(), ("knet0", 70_000));
        for wrong in ["", "knet0", "knet0 ", "knet0 x", "knet0 -1", "knet0 4294967296"] {
            assert!(cursor(wrong).is_err(), "{wrong}");
        }
    }
}
