//! Who listens to multicast, and who asks.

use libknet::{
    api::message::ListenerRow,
    proto::{
        l2::multicast::{Heard, Protocol},
        status::ListenerEntry,
        time::Span,
    },
};

use super::{known, peer_at};
use crate::overlay::Overlay;

/// A row of `show ip igmp snooping` or `show ipv6 mld snooping`.
pub(crate) fn listener(interface: &str, overlay: &Overlay, entry: &ListenerEntry) -> ListenerRow {
    let (role, protocol, group, query) = match entry.heard {
        Heard::Listener(group) => ("listener", Protocol::of(group), Some(group), None),
        Heard::Router(protocol) => ("router", protocol, None, None),
        Heard::Querier(query) | Heard::Ourselves(query) => ("querier", query.protocol(), None, Some(query)),
    };
    ListenerRow {
        interface: interface.into(),
        role: role.into(),
        ipv6: protocol == Protocol::Mld,
        group: group.map(|group| group.to_string()),
        vlan: known(entry.vlan),
        peer: entry.port.and_then(|port| peer_at(overlay, port)),
        left_ms: entry.left.map(Span::as_millis),
        address: query.map(|query| query.source.to_string()),
        version: query.map(|query| query.version),
        interval_s: query.map(|query| query.interval.as_secs()),
        own: matches!(entry.heard, Heard::Ourselves(_)),
    }
}
