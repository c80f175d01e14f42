//! Who asks: of all that are heard in a VLAN the one of the lowest address (RFC 3376, 6.6.2; RFC 3810, 7.6.2), which may be
//! ourselves. Whoever has not asked for as long as it says that this can take is none any more.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{Protocol, query::Query};
use crate::{
    l2::vlan::VlanId,
    status::Port,
    time::{Span, Time},
};

/// For so long after the first question everybody gets everything, at most: one and a half times as long as there is to answer.
const SETTLING: Span = Span::from_secs(45);

type Place = (VlanId, Protocol);

/// Who asks in a VLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Querier {
    /// Its last question.
    pub query: Query,
    /// Behind which port. `None`: ourselves.
    pub port: Option<Port>,
    /// From when on those who listen have said so.
    pub since: Time,
    /// Until when it counts as somebody who asks.
    pub until: Time,
    told: Time,
}

/// All of them: one for each VLAN and protocol.
#[derive(Debug, Default)]
pub struct Queriers {
    places: BTreeMap<Place, Querier>,
    due: BTreeSet<(Time, Place)>,
    by_port: BTreeSet<(Port, Place)>,
}

impl Queriers {
    /// Who asks.
    pub fn get(&self, now: Time, vlan: VlanId, protocol: Protocol) -> Option<&Querier> {
        let querier = self.places.get(&(vlan, protocol))?;
        (now < querier.until).then_some(querier)
    }

    /// Whether it is for the sender of `query` to ask in a VLAN: nobody else does whom it leaves that to.
    pub fn is_for(&self, now: Time, vlan: VlanId, query: &Query) -> bool {
        let other = self.get(now, vlan, query.protocol());
        other.is_none_or(|other| query.rank() <= other.query.rank())
    }

    /// Somebody asks. Whether that is to be told to other workers, and since when and until when it counts: where it is
    /// another one, or the one before would not last.
    pub fn hear(
        &mut self,
        now: Time,
        vlan: VlanId,
        port: Option<Port>,
        query: Query,
    ) -> Option<(Time, Time)> {
        let settled = now + query.within.times(3).divided_by(2).min(SETTLING);
        let until = now + query.presence();
        let querier = self.put(now, vlan, port, query, settled, until)?;
        let same = querier.told != Time::ZERO;
        let life = querier.until.since(now);
        if same && querier.until.since(querier.told).times(8) < life {
            return None;
        }
        querier.told = querier.until;
        Some((querier.since, querier.until))
    }

    /// The same, as another worker says it.
    pub fn put(
        &mut self,
        now: Time,
        vlan: VlanId,
        port: Option<Port>,
        query: Query,
        since: Time,
        until: Time,
    ) -> Option<&mut Querier> {
        if !self.is_for(now, vlan, &query) {
            return None;
        }
        let place = (vlan, query.protocol());
        let before = self.remove(place);
        let is_same = |b: &Querier| b.port == port && b.query == query;
        // Who listens has been asked before, whoever did that.
        let asked = before.filter(|b| now < b.until);
        let querier = Querier {
            query,
            port,
            since: asked.map_or(since, |b| b.since),
            until,
            told: asked.filter(is_same).map_or(Time::ZERO, |b| b.told),
        };
        self.due.insert((until, place));
        self.by_port.extend(port.map(|port| (port, place)));
        self.places.insert(place, querier);
        self.places.get_mut(&place)
    }

    /// Forgets who asks behind `port`, and returns where.
    pub fn remove_port(&mut self, port: Port) -> Vec<(VlanId, Protocol)> {
        let first = (VlanId::NONE, Protocol::Igmp);
        let of_port = self.by_port.range((port, first)..);
        let of_port = of_port.take_while(|(at, _)| *at == port);
        let gone: Vec<Place> = of_port.map(|(_, place)| *place).collect();
        for place in &gone {
            self.remove(*place);
        }
        gone
    }

    /// We do not ask any more.
    pub fn remove_ours(&mut self, protocol: Protocol) {
        let is_ours = |(place, q): &(&Place, &Querier)| place.1 == protocol && q.port.is_none();
        let ours: Vec<Place> = self
            .places
            .iter()
            .filter(is_ours)
            .map(|(place, _)| *place)
            .collect();
        for place in ours {
            self.remove(place);
        }
    }

    /// Removes one that does not ask any more, and returns where.
    pub fn expire(&mut self, now: Time) -> Option<(VlanId, Protocol)> {
        let (_, place) = self.due.first().copied().filter(|(at, _)| *at <= now)?;
        self.remove(place);
        Some(place)
    }

    /// When [`Self::expire`] has something to do.
    pub fn next_expiry(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Where we ask.
    pub fn ours(&self, now: Time, protocol: Protocol) -> impl Iterator<Item = VlanId> {
        let ours = self.places.iter().filter(move |((_, of), querier)| {
            *of == protocol && querier.port.is_none() && now < querier.until
        });
        ours.map(|((vlan, _), _)| *vlan)
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// All of them, by VLAN.
    pub fn iter(&self) -> impl Iterator<Item = (VlanId, &Querier)> {
        self.places.iter().map(|((vlan, _), querier)| (*vlan, querier))
    }

    fn remove(&mut self, place: Place) -> Option<Querier> {
        let querier = self.places.remove(&place)?;
        self.due.remove(&(querier.until, place));
        if let Some(port) = querier.port {
            self.by_port.remove(&(port, place));
        }
        Some(querier)
    }
}

#[cfg(test)]
mod tests;
