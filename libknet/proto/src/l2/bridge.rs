//! Where a frame goes: a learning bridge with the TAP and the peers as its ports (IEEE 802.1Q clause 8).
//!
//! There is no spanning tree. Frames are relayed between two peers only if one of them is a spoke: neighbours in
//! a full mesh have a session of their own, and what is relayed between them would come twice, or for ever.

mod guard;
mod loops;
mod vlans;

use alloc::{boxed::Box, vec::Vec};
use core::ops::Range;

use super::{
    flood_list::{FloodList, Role},
    loop_guard::{self, LoopGuard},
    mac_table::{Learned, MacNews, MacTable, StaticMacError, Station},
    source_guard::{Given, SourceGuard},
    storm::{COPIES_TOTAL, StormControl},
    vlan::{Switchport, VlanId, membership::Membership},
};
use crate::{
    config::{PortRules, Trust},
    drop_reason::DropReason,
    ids::{MacAddr, PeerId, Seat, WorkerId},
    offload::Frame,
    status::Port,
    time::{Span, Time},
    token_bucket::{Rate, TokenBucket},
    wire::ethernet::EthernetFrame,
};

/// So long the stations of a peer are welcome that says that they have come (see [`Bridge::welcome`]).
pub const WELCOME: Span = Span::from_secs(1);

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Discard it.
    Drop(DropReason),
    /// To the TAP only.
    Tap,
    /// To this peer only.
    Peer(PeerId),
    /// To the TAP, unless it came from there, and to every peer that [`Bridge::next_target`] finds, as far as
    /// [`Bridge::take_copies`] grants.
    Flood,
    /// A probe of another knet: to the TAP and to [`Bridge::mesh_neighbors`], but not back.
    Probe,
}

/// What the bridge has seen since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BridgeCounters {
    /// Addresses that moved from port to port.
    pub moves: u64,
    /// Addresses not learned because the table or the port's share of it was full.
    pub table_full: u64,
    /// Addresses not learned because the port brought too many at once.
    pub learn_rate: u64,
}

/// An address that was frozen on a port because it moved too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrozenMac {
    /// The address.
    pub mac: MacAddr,
    /// Where it stays.
    pub port: Port,
}

/// What the bridge finds out of loops, for whoever sends probes and tells the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopNews {
    /// An address has moved to this port: it is to be probed, in the VLAN and with the tag of the frame.
    Suspicion {
        /// Which.
        peer: PeerId,
        /// Where VLANs are told apart.
        vlan: VlanId,
        /// Where they are not.
        tag: Option<[u8; 4]>,
    },
    /// A probe has come back: this port is to be closed.
    Found {
        /// Which.
        peer: PeerId,
        /// The other end of the loop, or the same one, where the network behind it sends back what comes.
        other: Port,
    },
    /// This port is open again.
    Opened(PeerId),
}

#[derive(Clone, Debug, Default)]
struct PeerPort {
    generation: u16,
    isolate: bool,
    mesh: bool,
    up: bool,
    /// Because of a loop.
    closed: bool,
    trust: Trust,
    storm: StormControl,
    switchport: Switchport,
    welcomed: Option<Time>,
    /// What it may use, where that is not any address.
    guard: Option<Box<SourceGuard>>,
}

impl PeerPort {
    /// Whether what is flooded goes to it.
    const fn is_open(&self) -> bool {
        self.up && !self.closed
    }

    const fn role(&self) -> Role {
        match (self.isolate, self.mesh) {
            (true, _) => Role::Isolated,
            (false, true) => Role::Mesh,
            (false, false) => Role::Spoke,
        }
    }
}

/// The bridge of one interface.
#[derive(Debug)]
pub struct Bridge {
    macs: MacTable,
    peers: Vec<Option<PeerPort>>,
    flood_list: FloodList,
    given: Given,
    tap: Switchport,
    /// Where VLANs are told apart: the peers of the flood list, by their VLANs.
    membership: Option<Membership>,
    copies: TokenBucket,
    copies_rate: Rate,
    counters: BridgeCounters,
    frozen: Option<FrozenMac>,
    loops: LoopGuard,
    loop_news: Option<LoopNews>,
}

impl Bridge {
    /// A bridge that knows no peer. `seed` must be random (see [`MacTable::new`]).
    pub fn new(seed: [u64; 2], ageing: Span) -> Self {
        Self::with_table(MacTable::new(seed, ageing))
    }

    /// A bridge that keeps its addresses in `macs`.
    pub fn with_table(macs: MacTable) -> Self {
        Self {
            macs,
            peers: Vec::new(),
            flood_list: FloodList::new(Seat::ALONE),
            given: Given::default(),
            tap: Switchport::default(),
            membership: None,
            copies: TokenBucket::FULL,
            copies_rate: COPIES_TOTAL,
            counters: BridgeCounters::default(),
            frozen: None,
            loops: LoopGuard::default(),
            loop_news: None,
        }
    }

    /// Makes it one of several that share the work of an interface.
    #[must_use]
    pub fn seated(mut self, seat: Seat) -> Self {
        self.copies_rate = COPIES_TOTAL.shared(seat.workers);
        self.flood_list = FloodList::new(seat);
        if !seat.is_alone() {
            self.macs.share(seat.me);
        }
        self
    }

    /// Adds a peer or changes it. What was learned behind it stays.
    ///
    /// # Errors
    /// [`StaticMacError`] if an address cannot be configured there; nothing is changed then.
    pub fn set_port(
        &mut self,
        now: Time,
        peer: PeerId,
        isolate: bool,
        static_macs: &[MacAddr],
    ) -> Result<(), StaticMacError> {
        self.macs.set_static(now, Port::Peer(peer), static_macs)?;
        let index = peer.0 as usize;
        if index >= self.peers.len() {
            self.peers.resize(index + 1, None);
        }
        self.peers[index].get_or_insert_default();
        self.change_role(peer, |port| port.isolate = isolate);
        Ok(())
    }

    /// Says whether a peer is a neighbour in a full mesh: two such peers have a session of their own, so frames
    /// are never relayed between them (split horizon, RFC 4762 section 4.4). A new port is none.
    pub fn set_mesh(&mut self, peer: PeerId, mesh: bool) {
        self.change_role(peer, |port| port.mesh = mesh);
    }

    /// Says whether frames can be sent to a peer: those of which this is true are what is flooded to.
    pub fn set_up(&mut self, peer: PeerId, up: bool) {
        self.change_role(peer, |port| port.up = up);
        if !up {
            self.macs.set_home(Port::Peer(peer), false);
        }
    }

    /// Says what a peer may do to the others. Whether it is in other VLANs than before, so that what was learned behind it is
    /// forgotten.
    pub fn set_rules(&mut self, peer: PeerId, rules: &PortRules) -> bool {
        let Some(port) = self.peer_mut(peer) else {
            return false;
        };
        port.trust = rules.trust;
        port.storm.set_limits(rules.storm);
        let is_elsewhere = port.switchport != rules.switchport;
        self.set_guard(peer, rules.guard.as_deref());
        self.macs.set_limit(Port::Peer(peer), rules.mac_limit);
        if is_elsewhere {
            self.change_role(peer, |port| port.switchport = rules.switchport.clone());
        }
        let forget = is_elsewhere && self.membership.is_some();
        if forget {
            self.macs.clear_dynamic_on(Port::Peer(peer));
        }
        forget
    }

    /// What a peer has flooded too much: frames, and copies of frames.
    pub fn storm_drops(&self, peer: PeerId) -> (u64, u64) {
        self.peer(peer).map_or((0, 0), |port| port.storm.dropped())
    }

    /// Sets that to zero for all peers.
    pub fn clear_storm_drops(&mut self) {
        for port in self.peers.iter_mut().flatten() {
            port.storm.clear_dropped();
        }
    }

    /// What the stations behind a peer are trusted to be. Nothing, where there is no such peer.
    pub fn trust(&self, peer: PeerId) -> Trust {
        self.peer(peer).map(|port| port.trust).unwrap_or_default()
    }

    /// Says which of the peers that have had this slot one after the other has it now. What was learned behind another
    /// is forgotten.
    pub fn set_generation(&mut self, peer: PeerId, generation: u16) {
        if let Some(port) = self.peer_mut(peer)
            && port.generation != generation
        {
            port.generation = generation;
            self.forget_loops(peer);
            self.forget_sticky(peer);
            self.macs.clear_dynamic_on(Port::Peer(peer));
        }
    }

    /// See [`Self::set_generation`]; `None` where there is no such peer. The TAP is always the same.
    pub fn generation(&self, port: Port) -> Option<u16> {
        match port {
            Port::Tap => Some(0),
            Port::Peer(peer) => self.peer(peer).map(|port| port.generation),
        }
    }

    /// Configures addresses that are behind the TAP, always; no peer can draw them to itself.
    ///
    /// # Errors
    /// [`StaticMacError`]; nothing is changed then.
    pub fn set_tap_macs(&mut self, now: Time, static_macs: &[MacAddr]) -> Result<(), StaticMacError> {
        self.macs.set_static(now, Port::Tap, static_macs)
    }

    /// Removes a peer and all addresses behind it.
    pub fn remove_peer(&mut self, peer: PeerId) {
        self.macs.remove_port(Port::Peer(peer));
        self.set_guard(peer, None);
        self.forget_loops(peer);
        self.set_up(peer, false);
        if let Some(port) = self.peers.get_mut(peer.0 as usize) {
            *port = None;
        }
    }

    /// Changes the ageing time of learned addresses.
    pub fn set_ageing(&mut self, ageing: Span) {
        self.macs.set_ageing(ageing);
    }

    /// Decides where a frame from `ingress` goes, and learns from it. A super-frame counts as the frames that it is made of.
    pub fn forward(&mut self, now: Time, ingress: Port, frame: &Frame<'_>) -> Decision {
        self.decide(now, ingress, frame).unwrap_or_else(Decision::Drop)
    }

    fn decide(&mut self, now: Time, ingress: Port, whole: &Frame<'_>) -> Result<Decision, DropReason> {
        let vlan = whole.vlan;
        let frame = EthernetFrame::new(whole.bytes)?;
        let (isolated, guarded) = match ingress {
            Port::Tap => (false, None),
            Port::Peer(peer) => {
                let port = self.peer(peer).ok_or(DropReason::PeerShutdown)?;
                if port.closed {
                    return Err(DropReason::LoopGuard);
                }
                (port.isolate, port.guard.is_some().then_some(peer))
            }
        };
        if frame.src().is_group() {
            return Err(DropReason::FrameSourceGroup);
        }
        if frame.dst().is_group() {
            if frame.is_reserved_group() {
                return Err(DropReason::FrameReserved);
            }
            if frame.dst() == loop_guard::PROBE_ADDRESS {
                return self.take_probe(now, ingress, whole);
            }
        }
        let station = |mac| Station { vlan, mac };
        match guarded {
            None => self.learn(now, ingress, station(frame.src()), whole.bytes)?,
            Some(peer) => self.learn_guarded(now, peer, station(frame.src()), whole.bytes)?,
        }
        let known = if frame.dst().is_group() {
            None
        } else {
            self.macs.lookup(station(frame.dst()))
        };
        match known {
            Some(port) if port == ingress => Err(DropReason::SplitHorizon),
            Some(port) if !self.is_in(port, vlan) => Err(DropReason::VlanEgress),
            Some(Port::Tap) => Ok(Decision::Tap),
            Some(Port::Peer(peer)) if ingress == Port::Tap || self.may_flood_to(ingress, peer) => {
                Ok(Decision::Peer(peer))
            }
            Some(Port::Peer(peer)) if isolated || self.peer(peer).is_some_and(|p| p.isolate) => {
                Err(DropReason::Isolated)
            }
            Some(Port::Peer(_)) => Err(DropReason::SplitHorizon),
            None => {
                self.admit_flood(now, ingress, whole.count(), whole.bytes.len())?;
                match isolated {
                    false => Ok(Decision::Flood),
                    true if self.is_in(Port::Tap, vlan) => Ok(Decision::Tap),
                    true => Err(DropReason::VlanEgress),
                }
            }
        }
    }

    /// Whether a frame from `ingress` may go to `peer`: not back to where it came from, not between peers of
    /// which one is isolated or both are neighbours in a mesh, and not to a peer that is not there.
    pub fn may_flood_to(&self, ingress: Port, peer: PeerId) -> bool {
        let (from, to) = (self.role(ingress), self.role(Port::Peer(peer)));
        ingress != Port::Peer(peer) && from.zip(to).is_some_and(|(from, to)| from.relays_to(to))
    }

    /// To how many peers of `worker` a frame of `vlan` from `ingress` is flooded: those that are up, and that
    /// [`Self::may_flood_to`] allows.
    pub fn flood_targets(&self, ingress: Port, vlan: VlanId, worker: WorkerId) -> u32 {
        let Some(from) = self.role(ingress) else { return 0 };
        let reached = match &self.membership {
            None => self.flood_list.reached(from, worker),
            Some(members) => members.reached(vlan, from, worker),
        };
        // Not back to where it came from.
        let itself = match ingress {
            Port::Peer(peer) if self.flood_list.owner(peer) == worker => {
                from.relays_to(from)
                    && self.peer(peer).is_some_and(PeerPort::is_open)
                    && self.is_in(ingress, vlan)
            }
            _ => false,
        };
        reached - u32::from(itself)
    }

    /// The first of them with its slot in `slots`, of those that belong to this worker.
    pub fn next_target(&self, ingress: Port, vlan: VlanId, slots: Range<usize>) -> Option<PeerId> {
        let from = self.role(ingress)?;
        let first = |slots| match &self.membership {
            None => self.flood_list.first(from, slots),
            Some(members) => members.first(vlan, from, slots),
        };
        let found = first(slots.clone())?;
        if Port::Peer(found) == ingress {
            return first(usize::from(found.0) + 1..slots.end);
        }
        Some(found)
    }

    fn role(&self, port: Port) -> Option<Role> {
        match port {
            Port::Tap => Some(Role::Tap),
            Port::Peer(peer) => self.peer(peer).map(PeerPort::role),
        }
    }

    /// Changes what decides where in the flood list a peer is.
    fn change_role(&mut self, peer: PeerId, change: impl FnOnce(&mut PeerPort)) {
        let Some(port) = self.peers.get_mut(peer.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        let place = |port: &PeerPort| port.is_open().then(|| (port.role(), port.switchport.clone()));
        let before = place(port);
        change(port);
        let after = place(port);
        if before == after {
            return;
        }
        if let Some((role, switchport)) = before {
            self.flood_list.leave(peer, role);
            if let Some(members) = &mut self.membership {
                members.leave(&switchport, peer, role);
            }
        }
        if let Some((role, switchport)) = after {
            self.flood_list.enter(peer, role);
            if let Some(members) = &mut self.membership {
                members.enter(&switchport, peer, role);
            }
        }
    }

    /// Takes copies of `count` flooded frames from the budgets, and returns how many of the `wanted` may be made of each
    /// (a copy for the TAP costs nothing and is not to be counted). Where it is fewer, count
    /// [`DropReason::FloodBudget`] for the rest.
    pub fn take_copies(&mut self, now: Time, ingress: Port, wanted: u32, count: u32) -> u32 {
        let count = u64::from(count.max(1));
        let mut granted = u64::from(wanted).min(self.copies.available(self.copies_rate, now) / count);
        if let Port::Peer(peer) = ingress {
            let Some(port) = self.peer_mut(peer) else { return 0 };
            granted = granted.min(port.storm.copies_available(now) / count);
            port.storm
                .take_copies(now, granted * count, u64::from(wanted) * count);
        }
        self.copies.take(self.copies_rate, now, granted * count);
        granted as u32
    }

    /// The table, to look at.
    pub fn macs(&self) -> &MacTable {
        &self.macs
    }

    /// Removes at most `budget` aged addresses, and returns how many. Opens a port that was closed long enough.
    pub fn expire(&mut self, now: Time, budget: usize) -> usize {
        self.open_again(now);
        self.macs.expire(now, budget)
    }

    /// When [`Self::expire`] has something to do, at the earliest.
    pub fn next_expiry(&self) -> Option<Time> {
        match (self.macs.next_expiry(), self.loops.deadline()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The peer says that its stations, which were behind another port, are behind its own: for [`WELCOME`] they may move
    /// there, however often they have moved before; it is believed only so often. Until it is down, or says otherwise, they are
    /// [at home](MacTable::set_home) there.
    pub fn welcome(&mut self, now: Time, peer: PeerId) {
        self.macs.set_home(Port::Peer(peer), true);
        let Some(port) = self.peer_mut(peer) else { return };
        let believed = port.welcomed.is_none_or(|at| now.since(at) >= WELCOME.times(3));
        if believed {
            port.welcomed = Some(now);
            self.macs.welcome(Port::Peer(peer), now + WELCOME);
        }
    }

    /// The peer says that its stations are behind another port.
    pub fn dismiss(&mut self, peer: PeerId) {
        self.macs.set_home(Port::Peer(peer), false);
        self.macs.clear_dynamic_on(Port::Peer(peer));
    }

    /// Forgets every learned address.
    pub fn clear_dynamic(&mut self) {
        self.macs.clear_dynamic();
    }

    /// Forgets what was learned on `port`.
    pub fn clear_dynamic_on(&mut self, port: Port) {
        self.macs.clear_dynamic_on(port);
    }

    /// What was counted since the start.
    pub fn counters(&self) -> BridgeCounters {
        self.counters
    }

    /// Whether [`Self::take_frozen`], [`Self::take_loop_news`] or [`Self::take_news`] has something.
    pub fn has_something_to_tell(&self) -> bool {
        self.frozen.is_some() || self.loop_news.is_some() || self.macs.has_news()
    }

    /// The address that the last [`Self::forward`] froze, once.
    pub fn take_frozen(&mut self) -> Option<FrozenMac> {
        self.frozen.take()
    }

    /// What the last [`Self::forward`] or [`Self::hear`] has for the bridges of all other workers, once.
    pub fn take_news(&mut self) -> Option<MacNews> {
        let mut news = self.macs.take_news()?;
        news.generation = self.generation(news.port)?;
        Some(news)
    }

    /// Takes in what another worker's bridge says. What is about a peer that is gone, or not here yet, is ignored.
    pub fn hear(&mut self, news: &MacNews) {
        if self.generation(news.port) == Some(news.generation) {
            // What does not stick any more, as we know already, was told before.
            let is_sticky = news.is_sticky && self.has_sticky(news.port);
            self.macs.hear(&MacNews { is_sticky, ..*news });
        }
    }

    #[inline]
    fn learn(&mut self, now: Time, ingress: Port, station: Station, bytes: &[u8]) -> Result<(), DropReason> {
        match self.macs.learn(now, station, ingress) {
            Learned::New | Learned::Refreshed => {}
            Learned::Moved { .. } => {
                self.counters.moves += 1;
                self.suspect(now, ingress, station.vlan, bytes);
            }
            Learned::Full => self.counters.table_full += 1,
            Learned::Limited => return Err(DropReason::MacLimit),
            Learned::RateLimited => self.counters.learn_rate += 1,
            Learned::Frozen { port, newly } => {
                if newly {
                    let mac = station.mac;
                    self.frozen = Some(FrozenMac { mac, port });
                }
                self.suspect(now, ingress, station.vlan, bytes);
                return Err(DropReason::MacFrozen);
            }
        }
        Ok(())
    }

    fn admit_flood(&mut self, now: Time, ingress: Port, count: u32, len: usize) -> Result<(), DropReason> {
        let Port::Peer(peer) = ingress else { return Ok(()) };
        let admitted = self
            .peer_mut(peer)
            .is_some_and(|port| port.storm.admit_flood(now, count, len));
        if admitted {
            Ok(())
        } else {
            Err(DropReason::StormControl)
        }
    }

    fn peer(&self, peer: PeerId) -> Option<&PeerPort> {
        self.peers.get(peer.0 as usize)?.as_ref()
    }

    fn peer_mut(&mut self, peer: PeerId) -> Option<&mut PeerPort> {
        self.peers.get_mut(peer.0 as usize)?.as_mut()
    }
}

#[cfg(test)]
mod tests;
