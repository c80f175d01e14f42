//! Who listens to what, and where routers are.
//!
//! A group is kept from those who do not listen only where somebody asks regularly who does (a querier), because only then do
//! those who listen say so again. Until the first answers to a querier are in, and where there is none, groups go to
//! everybody. We may ask ourselves. What there is no room for is not forgotten: a port with more groups than it may have gets all of them, as a
//! router does.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::net::IpAddr;

use super::{
    Protocol,
    election::Queriers,
    message::{Message, Report},
    query::Query,
    rounds::Rounds,
};
use crate::{
    ids::PeerId,
    l2::vlan::VlanId,
    status::{ListenerEntry, Port},
    time::{Span, Time},
    token_bucket::{Rate, TokenBucket},
};

/// Groups that ports listen to, counted for each port.
pub const MAX_MEMBERSHIPS: usize = 131_072;
/// Those of one peer. The TAP has no limit of its own.
pub const MAX_MEMBERSHIPS_PER_PEER: usize = 128;
/// For so long who listens counts as listening, where nobody asks: twice the usual time between two questions, and that for an
/// answer (RFC 3376, 8.4).
const MEMBERSHIP: Span = Span::from_secs(260);
/// For so long a router that says that it is there counts as being there, and who asks the usual question.
const ROUTER: Span = Span::from_secs(255);
/// For so long who has left still listens, unless another station behind the same port says that it does: two questions (RFC
/// 3376, 8.8), and what they are late.
const LEAVING: Span = Span::from_secs(3);
/// Groups that a peer may say something of in a second, and at once; what it says beyond that is not taken in, and it gets all
/// groups for a while.
const SAID: Rate = Rate::new(100, 512);
/// What is no news by more than this need not be told.
const STALE: Span = Span::from_secs(30);

/// The rows by what they are about, so that who listens to one group comes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// In this VLAN, to this group.
    Listener(VlanId, IpAddr, Port),
    /// In this VLAN, or for an unspecific reason in all of them.
    Router(VlanId, Protocol, Port),
}

impl Key {
    const fn port(&self) -> Port {
        match self {
            Self::Listener(_, _, port) | Self::Router(_, _, port) => *port,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Row {
    until: Time,
    told: Time,
}

/// What one worker tells the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerNews {
    /// In which VLAN.
    pub vlan: VlanId,
    /// What was heard.
    pub heard: Heard,
    /// From which port.
    pub port: Port,
    /// Which of the peers that had this slot one after the other.
    pub generation: u16,
    /// From when on it counts; of no matter but for who asks.
    pub since: Time,
    /// Until when it holds.
    pub until: Time,
}

/// What was heard from a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heard {
    /// Somebody listens to a group.
    Listener(IpAddr),
    /// There is a router.
    Router(Protocol),
    /// Somebody asks.
    Querier(Query),
    /// We ask.
    Ourselves(Query),
}

/// The table of one interface, or a worker's copy of it.
#[derive(Debug, Default)]
pub struct ListenerTable {
    igmp: bool,
    mld: bool,
    rows: BTreeMap<Key, Row>,
    due: BTreeSet<(Time, Key)>,
    by_port: BTreeSet<(Port, Key)>,
    queriers: Queriers,
    /// When we ask, if we do and are who does it of several workers.
    rounds: Rounds,
    said: BTreeMap<Port, TokenBucket>,
    listeners: usize,
    /// Groups for which there was no room.
    overflows: u64,
    is_shared: bool,
    news: Vec<ListenerNews>,
}

impl ListenerTable {
    /// Says what is read, of IGMP and of MLD. What is not, is forgotten.
    pub fn set(&mut self, igmp: bool, mld: bool) {
        if (igmp, mld) != (self.igmp, self.mld) {
            (self.igmp, self.mld) = (igmp, mld);
            self.clear();
        }
    }

    /// Makes it one of several that are to be alike.
    pub fn share(&mut self) {
        self.is_shared = true;
    }

    /// Whether anything is read.
    pub const fn is_on(&self) -> bool {
        self.igmp || self.mld
    }

    /// Whether this is read.
    pub const fn reads(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Igmp => self.igmp,
            Protocol::Mld => self.mld,
        }
    }

    /// How many groups ports listen to.
    pub const fn len(&self) -> usize {
        self.listeners
    }

    /// Whether nobody listens to anything.
    pub const fn is_empty(&self) -> bool {
        self.listeners == 0
    }

    /// Groups for which there was no room, since the start.
    pub const fn overflows(&self) -> u64 {
        self.overflows
    }

    /// Says of a port, which belongs to a peer, that there is a router behind it, whatever is heard.
    pub fn set_router(&mut self, port: Port, protocol: Protocol, given: bool) {
        let key = Key::Router(VlanId::NONE, protocol, port);
        if given {
            self.put(key, Time::NEVER);
        } else if self.rows.get(&key).is_some_and(|row| row.until == Time::NEVER) {
            self.remove(key);
        }
    }

    /// A message has come from `port`. A listener that there is no room for makes its port one that gets everything.
    pub fn learn(&mut self, now: Time, vlan: VlanId, port: Port, message: &Message<'_>) {
        match message {
            // Whoever asks wants to hear the answers, and what is wanted of whoever is behind him.
            Message::Query(query) if self.reads(query.protocol()) && self.may_say(now, port) => {
                let until = now + query.presence();
                self.hear_here(vlan, port, Heard::Router(query.protocol()), until);
                self.hear_querier(now, vlan, Some(port), query);
            }
            Message::Router(protocol) if self.reads(*protocol) => {
                self.hear_here(vlan, port, Heard::Router(*protocol), now + ROUTER);
            }
            Message::Report(report) if self.reads(report.protocol) => {
                self.take_report(now, vlan, port, report);
            }
            _ => {}
        }
    }

    /// We have asked.
    pub fn asked(&mut self, now: Time, vlan: VlanId, query: &Query) {
        self.hear_querier(now, vlan, None, query);
        self.rounds.asked(now);
    }

    /// `port`: `None` where it is ourselves.
    fn hear_querier(&mut self, now: Time, vlan: VlanId, port: Option<Port>, query: &Query) {
        let told = self.queriers.hear(now, vlan, port, *query);
        if let Some((since, until)) = told.filter(|_| self.is_shared) {
            self.news.push(ListenerNews {
                vlan,
                heard: port.map_or(Heard::Ourselves(*query), |_| Heard::Querier(*query)),
                port: port.unwrap_or(Port::Tap),
                generation: 0,
                since,
                until,
            });
        }
    }

    /// Says how often we ask who listens. `None`: we do not. `here`: of several workers it is this one who does it.
    pub fn set_querier(&mut self, now: Time, protocol: Protocol, interval: Option<Span>, here: bool) {
        if interval.is_none() {
            self.queriers.remove_ours(protocol);
        }
        if here {
            self.rounds.set(now, protocol, interval);
        }
    }

    /// When we ask.
    pub fn rounds(&mut self) -> &mut Rounds {
        &mut self.rounds
    }

    /// Who asks.
    pub const fn queriers(&self) -> &Queriers {
        &self.queriers
    }

    /// Whether what comes from a port is taken in: a host does not say so much.
    fn may_say(&mut self, now: Time, port: Port) -> bool {
        let bucket = self.said.entry(port).or_insert(TokenBucket::FULL);
        port == Port::Tap || bucket.take(SAID, now, 1)
    }

    fn take_report(&mut self, now: Time, vlan: VlanId, port: Port, report: &Report<'_>) {
        let querier = self.queriers.get(now, vlan, report.protocol);
        let membership = querier.map_or(MEMBERSHIP, |querier| querier.query.membership());
        for (group, listens) in report.groups() {
            if !self.may_say(now, port) {
                return self.overflow(now, port, report.protocol);
            }
            let key = Key::Listener(vlan, group, port);
            let known = self.rows.get(&key).copied();
            match (listens, known) {
                (true, None) if self.is_full(port) => self.overflow(now, port, report.protocol),
                (true, _) => self.hear_here(vlan, port, Heard::Listener(group), now + membership),
                (false, Some(row)) if row.until > now + LEAVING => {
                    self.hear_here(vlan, port, Heard::Listener(group), now + LEAVING);
                }
                (false, _) => {}
            }
        }
    }

    /// The port gets all groups: what it wants is not known.
    fn overflow(&mut self, now: Time, port: Port, protocol: Protocol) {
        self.overflows += 1;
        self.hear_here(VlanId::NONE, port, Heard::Router(protocol), now + MEMBERSHIP);
    }

    fn is_full(&self, port: Port) -> bool {
        let listens = |key: &Key| matches!(key, Key::Listener(..));
        self.listeners >= MAX_MEMBERSHIPS
            || (port != Port::Tap
                && self.of_port(port).take_while(listens).count() >= MAX_MEMBERSHIPS_PER_PEER)
    }

    /// What is known of a port, listeners first.
    fn of_port(&self, port: Port) -> impl Iterator<Item = Key> {
        let first = (port, Key::Listener(VlanId::NONE, IpAddr::from([0; 4]), Port::Tap));
        let of_port = self.by_port.range(first..).take_while(move |(at, _)| *at == port);
        of_port.map(|(_, key)| *key)
    }

    /// Somebody listens, or is a router.
    fn hear_here(&mut self, vlan: VlanId, port: Port, heard: Heard, until: Time) {
        let Some(key) = key(vlan, heard, port).filter(|key| self.put(*key, until) && self.is_shared) else {
            return;
        };
        let Some(row) = self.rows.get_mut(&key) else {
            return;
        };
        if row.told.since(row.until) > STALE || row.until.since(row.told) > STALE {
            row.told = row.until;
            self.news.push(ListenerNews {
                vlan,
                heard,
                port,
                generation: 0,
                since: Time::ZERO,
                until,
            });
        }
    }

    /// What the last [`Self::learn`] has for all other workers. The generation is left to be filled in.
    pub fn take_news(&mut self) -> Vec<ListenerNews> {
        core::mem::take(&mut self.news)
    }

    /// Another worker says this of a port that is there.
    pub fn hear(&mut self, now: Time, news: &ListenerNews) {
        let ListenerNews {
            vlan, since, until, ..
        } = *news;
        let (protocol, querier) = match news.heard {
            Heard::Listener(group) => (Protocol::of(group), None),
            Heard::Router(protocol) => (protocol, None),
            Heard::Querier(query) => (query.protocol(), Some((Some(news.port), query))),
            Heard::Ourselves(query) => (query.protocol(), Some((None, query))),
        };
        if !self.reads(protocol) {
            return;
        }
        if let Some((port, query)) = querier {
            self.queriers.put(now, vlan, port, query, since, until);
        } else if let Some(key) = key(vlan, news.heard, news.port) {
            self.put(key, until);
        }
    }

    /// Whether groups of this VLAN go to those only who want them.
    pub fn is_known(&self, now: Time, vlan: VlanId, protocol: Protocol) -> bool {
        let querier = self.queriers.get(now, vlan, protocol);
        self.reads(protocol) && querier.is_some_and(|querier| querier.since <= now)
    }

    /// Whether it is we who ask in the VLAN.
    pub fn we_ask(&self, now: Time, vlan: VlanId, protocol: Protocol) -> bool {
        let querier = self.queriers.get(now, vlan, protocol);
        querier.is_some_and(|querier| querier.port.is_none())
    }

    /// Whether there is a router in the VLAN.
    pub fn has_router(&self, vlan: VlanId, protocol: Protocol) -> bool {
        self.first_router(vlan, protocol, Port::Tap).is_some()
    }

    /// The first peer from `from` on that is to have a group, or, where that is `None`, what is for routers.
    pub fn next(
        &self,
        vlan: VlanId,
        protocol: Protocol,
        group: Option<IpAddr>,
        from: PeerId,
    ) -> Option<PeerId> {
        let from = Port::Peer(from);
        let router = self.first_router(vlan, protocol, from);
        let listener = group.and_then(|group| self.first_listener(vlan, group, from));
        match router.into_iter().chain(listener).min()? {
            Port::Peer(peer) => Some(peer),
            Port::Tap => None,
        }
    }

    /// Whether the TAP is to have it.
    pub fn tap_wants(&self, vlan: VlanId, protocol: Protocol, group: Option<IpAddr>) -> bool {
        self.first_router(vlan, protocol, Port::Tap) == Some(Port::Tap)
            || group.is_some_and(|group| self.first_listener(vlan, group, Port::Tap) == Some(Port::Tap))
    }

    fn first_listener(&self, vlan: VlanId, group: IpAddr, from: Port) -> Option<Port> {
        let last = Key::Listener(vlan, group, Port::Peer(PeerId(u16::MAX)));
        let mut range = self.rows.range(Key::Listener(vlan, group, from)..=last);
        range.next().map(|(key, _)| key.port())
    }

    fn first_router(&self, vlan: VlanId, protocol: Protocol, from: Port) -> Option<Port> {
        let first = |vlan| {
            let last = Key::Router(vlan, protocol, Port::Peer(PeerId(u16::MAX)));
            let mut range = self.rows.range(Key::Router(vlan, protocol, from)..=last);
            range.next().map(|(key, _)| key.port())
        };
        let everywhere = (vlan != VlanId::NONE).then(|| first(VlanId::NONE)).flatten();
        first(vlan).into_iter().chain(everywhere).min()
    }

    /// Forgets what was heard from `port`, in time proportional to that. What is given stays.
    pub fn forget_port(&mut self, port: Port) {
        self.remove_where(port, |row| row.until != Time::NEVER);
        for (vlan, protocol) in self.queriers.remove_port(port) {
            self.rounds.ask(protocol, vlan);
        }
    }

    /// Forgets `port`.
    pub fn remove_port(&mut self, port: Port) {
        self.forget_port(port);
        self.said.remove(&port);
        self.remove_where(port, |_| true);
    }

    fn remove_where(&mut self, port: Port, is_gone: impl Fn(&Row) -> bool) {
        let gone = self
            .of_port(port)
            .filter(|key| self.rows.get(key).is_some_and(&is_gone));
        for key in gone.collect::<Vec<_>>() {
            self.remove(key);
        }
    }

    /// Forgets what was heard. What is given stays.
    pub fn clear(&mut self) {
        let heard = self.rows.iter().filter(|(_, row)| row.until != Time::NEVER);
        let heard: Vec<Key> = heard.map(|(key, _)| *key).collect();
        for key in heard {
            self.remove(key);
        }
        self.queriers.clear();
        self.rounds.restart();
    }

    /// Removes at most `budget` rows whose time is over, and returns how many.
    pub fn expire(&mut self, now: Time, budget: usize) -> usize {
        let mut removed = 0;
        while removed < budget
            && let Some((at, key)) = self.due.first().copied()
            && at <= now
        {
            self.remove(key);
            removed += 1;
        }
        while removed < budget
            && let Some((vlan, protocol)) = self.queriers.expire(now)
        {
            self.rounds.ask(protocol, vlan);
            removed += 1;
        }
        removed
    }

    /// When [`Self::expire`] has something to do, or is to be asked.
    pub fn next_expiry(&self) -> Option<Time> {
        if !self.is_on() {
            return None;
        }
        let row = self.due.first().map(|(at, _)| *at);
        let others = [self.queriers.next_expiry(), self.rounds.deadline()];
        row.into_iter().chain(others.into_iter().flatten()).min()
    }

    /// Rows for display from `cursor` on (0 at first), at most `limit`, and the cursor to go on with.
    pub fn page(&self, now: Time, cursor: u32, limit: usize) -> (Vec<ListenerEntry>, Option<u32>) {
        let rows = self.rows.iter().map(|(key, row)| {
            let (vlan, heard) = match *key {
                Key::Listener(vlan, group, _) => (vlan, Heard::Listener(group)),
                Key::Router(vlan, protocol, _) => (vlan, Heard::Router(protocol)),
            };
            ListenerEntry {
                vlan,
                heard,
                port: Some(key.port()),
                left: (row.until != Time::NEVER).then(|| row.until.since(now)),
            }
        });
        let queriers = self.queriers.iter().map(|(vlan, querier)| {
            let query = querier.query;
            let (heard, next) = match querier.port {
                Some(_) => (Heard::Querier(query), None),
                None => (Heard::Ourselves(query), self.rounds.next_round(query.protocol())),
            };
            ListenerEntry {
                vlan,
                heard,
                port: querier.port,
                left: Some(next.unwrap_or(querier.until).since(now)),
            }
        });
        let mut rest = rows.chain(queriers).skip(cursor as usize);
        let page = rest.by_ref().take(limit.max(1));
        let page: Vec<ListenerEntry> = page.collect();
        let next = cursor.saturating_add(page.len() as u32);
        (page, rest.next().map(|_| next))
    }

    /// Whether that is something new. Something given is not overruled.
    fn put(&mut self, key: Key, until: Time) -> bool {
        let mut row = Row {
            until,
            told: Time::ZERO,
        };
        if let Some(known) = self.rows.get(&key).copied() {
            if known.until == until || known.until == Time::NEVER {
                return false;
            }
            self.due.remove(&(known.until, key));
            row.told = known.told;
        } else {
            self.listeners += usize::from(matches!(key, Key::Listener(..)));
            self.by_port.insert((key.port(), key));
        }
        if until != Time::NEVER {
            self.due.insert((until, key));
        }
        self.rows.insert(key, row);
        true
    }

    fn remove(&mut self, key: Key) {
        let Some(row) = self.rows.remove(&key) else { return };
        self.due.remove(&(row.until, key));
        self.listeners -= usize::from(matches!(key, Key::Listener(..)));
        self.by_port.remove(&(key.port(), key));
    }
}

/// The key of somebody who listens, or of a router.
const fn key(vlan: VlanId, heard: Heard, port: Port) -> Option<Key> {
    match heard {
        Heard::Listener(group) => Some(Key::Listener(vlan, group, port)),
        Heard::Router(protocol) => Some(Key::Router(vlan, protocol, port)),
        Heard::Querier(_) | Heard::Ourselves(_) => None,
    }
}

#[cfg(test)]
mod tests;
