//! Asking who listens to multicast, where no router does.
//!
//! A question is flooded as every frame of the TAP is, a slice at a time. Of several workers the first one asks; the others
//! hear of it. What comes of it is the same as if a router had asked.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use super::Shard;
use crate::{
    config::{DomainConfig, QuerierConfig},
    ids::{MacAddr, PeerId},
    l2::{
        multicast::{
            MAX_QUERIED_VLANS, Protocol,
            query::{self, Query},
        },
        vlan::VlanId,
    },
    offload::Frame,
    status::Port,
    time::Span,
};

/// A peer that has come is asked in so many VLANs; in others it is with the next round.
const VLANS_OF_PORT: usize = 8;
/// And has so long to answer: it is alone.
const WITHIN_OF_PORT: Span = Span::from_secs(1);

/// How and as whom we ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asking {
    igmp: Option<QuerierConfig>,
    mld: Option<QuerierConfig>,
    tap_address: Option<Ipv4Addr>,
    /// In which VLAN it has that.
    untagged: Option<VlanId>,
    /// The TAP's.
    mac: Option<MacAddr>,
}

impl Asking {
    const fn asks(&self, protocol: Protocol) -> Option<QuerierConfig> {
        match protocol {
            Protocol::Igmp => self.igmp,
            Protocol::Mld => self.mld,
        }
    }

    /// The part that one protocol has to do with.
    fn of(self, protocol: Protocol) -> Self {
        match protocol {
            Protocol::Igmp => Self { mld: None, ..self },
            Protocol::Mld => Self {
                mld: self.mld,
                mac: self.mac,
                ..Self::default()
            },
        }
    }
}

impl Shard {
    /// Changes how we ask. As another one than before we begin anew: what we have asked so far may be better than what we
    /// would.
    pub(super) fn set_querier(&mut self, domain: &DomainConfig) {
        let asking = Asking {
            igmp: domain.igmp_querier,
            mld: domain.mld_querier,
            tap_address: domain.tap_address,
            untagged: domain.tap.untagged(),
            mac: self.asking.mac,
        };
        self.ask_as(asking);
    }

    /// Says as whom we ask: the TAP.
    pub(super) fn set_querier_mac(&mut self, mac: Option<MacAddr>) {
        self.ask_as(Asking { mac, ..self.asking });
    }

    fn ask_as(&mut self, asking: Asking) {
        let (now, here) = (self.env.real, self.seat.me.index() == 0);
        let before = core::mem::replace(&mut self.asking, asking);
        for protocol in [Protocol::Igmp, Protocol::Mld] {
            if before.of(protocol) != asking.of(protocol) {
                self.listeners.set_querier(now, protocol, None, here);
            }
            let asks = asking.asks(protocol).filter(|_| self.listeners.reads(protocol));
            let interval = asks.map(|asks| asks.interval);
            self.listeners.set_querier(now, protocol, interval, here);
        }
    }

    /// What we ask in a VLAN, if we do.
    fn own_query(&self, vlan: VlanId, protocol: Protocol) -> Option<Query> {
        let (asks, mac) = (self.asking.asks(protocol)?, self.asking.mac?);
        let is_untagged = || vlan == VlanId::NONE || self.asking.untagged == Some(vlan);
        let source = match protocol {
            Protocol::Igmp => {
                let of_tap = || self.asking.tap_address.filter(|_| is_untagged());
                let address = asks.address.or_else(of_tap);
                address.unwrap_or(Ipv4Addr::UNSPECIFIED).into()
            }
            Protocol::Mld => query::link_local(mac).into(),
        };
        Some(Query::ours(source, mac, asks.interval))
    }

    /// Asks where it is time.
    pub(super) fn ask_who_listens(&mut self) {
        let now = self.env.real;
        while let Some(protocol) = self.listeners.rounds().begin(now) {
            for vlan in self.bridge.named_vlans(MAX_QUERIED_VLANS) {
                self.listeners.rounds().ask(protocol, vlan);
            }
        }
        while let Some((protocol, vlan)) = self.listeners.rounds().next(now) {
            let is_named = || self.bridge.named_vlans(MAX_QUERIED_VLANS).contains(&vlan);
            let query = self.own_query(vlan, protocol);
            let query = query.filter(|query| self.listeners.queriers().is_for(now, vlan, query));
            let Some(query) = query.filter(|_| is_named()) else {
                continue;
            };
            self.listeners.asked(now, vlan, &query);
            self.tell_of_listeners(Port::Tap);
            let frame = query.frame();
            let frame = Frame::plain(&frame);
            self.flood(Port::Tap, Frame { vlan, ..frame });
            if self.bridge.is_in(Port::Tap, vlan) {
                let frame = self.for_this_host(query).frame();
                self.answer_tap(vlan, frame);
            }
        }
    }

    /// Our question as this host is to see it. It takes nothing that comes from its own address, and a bridge complains of
    /// what comes from its own MAC address.
    fn for_this_host(&self, query: Query) -> Query {
        let [first, rest @ ..] = query.mac.0;
        let [a, b, c, d, e] = rest;
        let is_own = self.asking.tap_address.map(IpAddr::V4) == Some(query.source);
        Query {
            mac: MacAddr([first ^ 4, a, b, c, d, e]),
            source: if is_own {
                Ipv4Addr::UNSPECIFIED.into()
            } else {
                query.source
            },
            ..query
        }
    }

    /// A peer has come, or the stations behind it have: who listens there is not to wait for the next round to be known.
    pub(super) fn ask_port(&mut self, id: PeerId) {
        if !self.listeners.is_on() || !self.seat.owns(id) || !self.hubs.uses(id) {
            return;
        }
        let now = self.env.real;
        for protocol in [Protocol::Igmp, Protocol::Mld] {
            let ours = self.listeners.queriers().ours(now, protocol);
            let ours = ours.filter(|vlan| self.bridge.is_in(Port::Peer(id), *vlan));
            for vlan in ours.take(VLANS_OF_PORT).collect::<Vec<_>>() {
                let Some(query) = self.own_query(vlan, protocol) else {
                    continue;
                };
                let within = query.within.min(WITHIN_OF_PORT);
                let frame = Query { within, ..query }.frame();
                let frame = Frame::plain(&frame);
                self.send(id, Port::Tap, Frame { vlan, ..frame });
            }
        }
    }
}
