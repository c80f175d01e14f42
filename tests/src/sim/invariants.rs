//! The rules that hold in every world, whatever is done to it: I4 to I8, I11, I14, I15 and I17 to I20 of the test plan. I1 to I3
//! are in the [`ledger`](super::ledger), which sees every datagram and every frame.
//!
//! [`World::wind_up`] ends any run: it checks what the run has left, mends everything, and checks that all is as if
//! nothing had happened.

use std::collections::{BTreeMap, HashMap};

use knet_proto::{
    config::PolicyKind,
    drop_reason::DropReason,
    event::{Event, LinkReason},
    hub_group::Standing,
    ids::{MacAddr, PeerId},
    resend_ring::REPLAY_MAX_AGE,
    shard::{Parcel, Shard},
    status::{LinkCounts, LinkState, PeerStatus, Port},
    time::{Span, Time},
};

use super::{
    ALL, World,
    health::{GRACE, SETTLE, Seen, SeenLink},
    ledger::Sent,
    network::Channel,
    node::Node,
};

/// I6: nothing is held for longer to restore the order.
const LONGEST_HOLD: Span = Span::from_millis(50);
/// I7: after this time of peace all links are up: the longest hold-down, and what it takes to come up.
const PEACE: Span = Span::from_secs(90);
/// I15: times per second that an idle host is woken for each link of each peer, at most. It sends a heartbeat or
/// answers one, and wants to know whether one came.
pub const WAKES_PER_LINK: u64 = 3;
/// And so often besides for each peer, however long it is idle: to prove a path MTU, or for a rekey.
const WAKES_PER_PEER: u64 = 20;
/// I13: with a way between two hosts that works, they have a session after this time at the latest: the rarest retry.
const SESSION_WITHIN: Span = Span::from_secs(25);
/// I17: addresses that are not about to be forgotten by the one or the other.
const HEARD_LATELY: Span = Span::from_secs(200);
/// Of each rule no more than so many breaches are told.
const TOLD: usize = 5;

/// What is needed to tell whether flap damping is in force (I8).
#[derive(Debug, Default)]
pub(super) struct Damping(HashMap<(usize, usize, usize), Flaps>);

#[derive(Debug, Default)]
struct Flaps {
    penalty: f64,
    at: Time,
    hold_until: Time,
}

impl Damping {
    pub(super) fn forget(&mut self, host: usize) {
        self.0.retain(|(n, _, _), _| *n != host);
    }

    fn forget_pair(&mut self, host: usize, peer: usize) {
        self.0.retain(|(n, p, _), _| (*n, *p) != (host, peer));
    }

    /// Takes note of a change of state. Returns by how much too early the link came back.
    fn note(&mut self, now: Time, who: (usize, usize, usize), event: &Event) -> Option<Span> {
        let Event::LinkState { from, to, reason, .. } = event else {
            return None;
        };
        let flaps = self.0.entry(who).or_default();
        let minutes = now.since(flaps.at).as_nanos() as f64 / 60e9;
        match (from, to, reason) {
            (
                _,
                LinkState::Down,
                LinkReason::ProbesUnanswered
                | LinkReason::Timeout
                | LinkReason::PeerReports
                | LinkReason::SendError,
            ) if *from >= LinkState::Suspect => {
                // The decay may be approximated: 6 % less is still right.
                flaps.penalty = flaps.penalty * 0.94 * 0.5_f64.powf(minutes) + 1.0;
                flaps.at = now;
                let exponent = (flaps.penalty.floor() as u32).clamp(1, 7) - 1;
                flaps.hold_until = now + Span::from_secs(1 << exponent).min(Span::from_secs(60));
            }
            // It was only slow.
            (LinkState::Down, LinkState::Up, LinkReason::Answered) => {
                flaps.penalty = (flaps.penalty * 0.5_f64.powf(minutes) - 1.0).max(0.0);
                flaps.at = now;
                flaps.hold_until = now;
            }
            (LinkState::Probing, LinkState::Up, LinkReason::PongCount) if now < flaps.hold_until => {
                return Some(flaps.hold_until.since(now));
            }
            _ => {}
        }
        None
    }
}

impl World {
    /// What a host tells is judged at once: nothing may be said of a link that nothing is wrong with (I8), and no
    /// session may end while there is a way (I13).
    pub(super) fn judge_event(&mut self, n: usize, event: &Event) {
        let now = self.now;
        match event {
            Event::LinkState {
                peer,
                link,
                from,
                to,
                reason,
                ..
            } => {
                let who = (n, usize::from(peer.0), link.index());
                if let Some(early) = self.damping.note(now, who, event) {
                    let text = format!(
                        "I8: {n}->{} link {link}: up {} ms before its hold-down is over",
                        peer.0,
                        early.as_millis()
                    );
                    self.ledger.breach(now, text);
                }
                let condemned = *to == LinkState::Down
                    && *from >= LinkState::Suspect
                    && !matches!(reason, LinkReason::SessionEnds | LinkReason::Configured);
                if condemned && self.health.was_good(now, n, who.1, who.2) && !self.under_attack {
                    let text = format!(
                        "I8: {n}->{} link {link} called down, and it was not: {event:?}",
                        peer.0
                    );
                    self.ledger.breach(now, text);
                }
            }
            Event::LinkReceive {
                peer,
                link,
                ok: false,
            } => {
                let (p, l) = (usize::from(peer.0), link.index());
                // A link that is down is probed more rarely than one that is idle.
                let sender = self.nodes[p].life().and_then(|life| life.peer_status(n));
                let sends = sender.is_some_and(|s| {
                    let link = s.links.iter().find(|s| s.link == *link);
                    link.is_some_and(|s| s.state == LinkState::Up && s.since >= SETTLE)
                });
                if sends && self.health.was_good(now, n, p, l) && !self.under_attack {
                    let text = format!("I8: {n}->{p} link {link} called deaf, and it was not");
                    self.ledger.breach(now, text);
                }
            }
            Event::SessionUp { peer, rekey, .. } => {
                self.sessions.insert((n, usize::from(peer.0)));
                if !rekey {
                    self.health.session_ended(now, n, usize::from(peer.0));
                    self.damping.forget_pair(n, usize::from(peer.0));
                }
            }
            Event::SessionDown { peer, reason } => {
                let p = usize::from(peer.0);
                self.sessions.remove(&(n, p));
                if self.health.had_a_way(now, n, p, SESSION_WITHIN) {
                    let text = format!("I13: {n} lost its session with {p}: {reason:?}");
                    self.ledger.breach(now, text);
                }
                self.health.session_ended(now, n, p);
            }
            _ => {}
        }
    }

    /// Looks at every pair of hosts, for the rules that hold where a way was good.
    pub(super) fn look(&mut self) {
        for (a, b) in self.pairs() {
            let up = |n: usize| self.nodes[n].life().is_some() && !self.nodes[n].is_paused();
            let known = !self.removed.contains(&(a, b)) && !self.removed.contains(&(b, a));
            let session = self.sessions.contains(&(a, b)) && self.sessions.contains(&(b, a));
            let statuses = [(a, b), (b, a)].map(|(n, peer)| self.nodes[n].life()?.peer_status(peer));
            let links = (0..self.setup.links).map(|l| {
                let timeout = |s: &Option<PeerStatus>| {
                    let link = s.as_ref()?.links.iter().find(|s| s.link.get() == l)?;
                    Some(link.report_timeout)
                };
                let most = statuses.iter().filter_map(timeout).max().unwrap_or_default();
                SeenLink {
                    working: [a, b].iter().all(|n| self.nodes[*n].sockets_down & (1 << l) == 0),
                    // Data is unreported for a report timeout, and so is whatever else might be a proof.
                    noticed_within: most.times(2) + Span::from_millis(20),
                }
            });
            let seen = Seen {
                alive: up(a) && up(b) && known,
                session,
                one_stand_in: matches!(self.setup.policy, PolicyKind::RoundRobin | PolicyKind::FlowHash),
                links: links.collect(),
            };
            self.health.look(self.now, (a, b), &self.network, &seen);
            if !session && self.health.had_a_way(self.now, a, b, SESSION_WITHIN) {
                let lines = [self.state_line(a, b), self.state_line(b, a)];
                self.ledger.breach(
                    self.now,
                    format!("I13: no session although there is a way: {lines:?}"),
                );
                self.health.host_changed(self.now, a);
            }
        }
    }

    /// I6: how long a host has held back what arrived out of order.
    pub(super) fn check_hold(&mut self, n: usize) {
        let now = self.now;
        let Some(life) = self.nodes[n].life() else { return };
        for peer in life.peers() {
            let hold = peer.order.longest_hold;
            if hold > LONGEST_HOLD {
                let text = format!(
                    "I6: {n} held a frame of {} for {} us",
                    peer.peer.0,
                    hold.as_micros()
                );
                self.ledger.breach(now, text);
            }
        }
    }

    /// I4 and I5: of what was sent while there was one good link nothing is missing, whatever happened to the others,
    /// but for what the resend ring says that it had no room for; and nothing was overtaken where links take no turns.
    ///
    /// Where there are two hubs a frame takes ways of which none is that of the pair; [`Self::check_hubs`] has what holds.
    pub fn check_losses(&mut self) {
        if self.setup.hubs > 1 {
            return;
        }
        let now = self.now;
        let recent = self
            .ledger
            .between(self.checked_until, now - GRACE - Span::from_secs(1));
        self.guarded += recent
            .filter(|f| self.health.must_arrive(f.from, f.to, f.at))
            .count() as u64;
        let mut missing: BTreeMap<(usize, usize), Vec<Time>> = BTreeMap::new();
        let settled = now - GRACE - Span::from_secs(1);
        for f in self.ledger.missing(self.checked_until, settled) {
            if self.health.must_arrive(f.from, f.to, f.at) {
                missing.entry((f.from, f.to)).or_default().push(f.at);
            }
        }
        for ((from, to), times) in missing {
            let evicted = self.evicted(from, to);
            if times.len() as u64 > evicted {
                let at: Vec<String> = times.iter().take(3).map(|t| seconds(*t)).collect();
                let text = format!(
                    "I4: {} frames from {from} to {to} lost although a link was good, {evicted} evicted; at {}",
                    times.len(),
                    at.join(", ")
                );
                self.ledger.breach(now, text);
            }
        }
        // What comes to the wrong worker may be overtaken.
        let takes_turns = !matches!(self.setup.policy, PolicyKind::Passive | PolicyKind::Active);
        if !takes_turns && !self.under_attack && self.astray_ppm == 0 {
            let overtaken = std::mem::take(&mut self.ledger.overtaken);
            let wrong = overtaken
                .iter()
                .filter_map(|number| self.ledger.frame(*number))
                .filter(|f| f.at < settled && self.health.must_arrive(f.from, f.to, f.at))
                // What is on its way for longer than it is kept does not go ahead of what follows it.
                .filter(|f| f.arrived.is_some_and(|at| at.since(f.at) < REPLAY_MAX_AGE))
                .filter(|f| !self.doubt_ended_during(f))
                .map(|f| {
                    format!(
                        "I5: a frame from {} to {} sent at {} was overtaken",
                        f.from,
                        f.to,
                        seconds(f.at)
                    )
                })
                .take(TOLD)
                .collect::<Vec<_>>();
            for text in wrong {
                self.ledger.breach(now, text);
            }
        }
        self.checked_until = settled.max(self.checked_until);
    }

    /// Whether a link of the sender came out of doubt while `frame` was on its way. Then copies of newer frames that
    /// were sent over it in that doubt may have arrived before those that only the doubt of another brings back to it.
    fn doubt_ended_during(&self, frame: &Sent) -> bool {
        let after = self.events.iter().rev().take_while(|(at, _, _)| *at >= frame.at);
        after
            .filter(|(at, node, _)| *node == frame.from && frame.arrived.is_some_and(|a| *at <= a))
            .any(|(_, _, event)| {
                matches!(event, Event::LinkState { peer, from: LinkState::Suspect, to: LinkState::Up, .. }
                    if usize::from(peer.0) == frame.to)
            })
    }

    /// Datagrams that were to be sent again and were not, for want of room or time.
    fn evicted(&self, from: usize, to: usize) -> u64 {
        let life = self.nodes[from].life();
        let peer = life.and_then(|l| l.peer_status(to));
        peer.map_or(u64::MAX, |p| p.resend.counters.evicted)
    }

    /// I11: takes `peer` away from `node`; whatever it had sent before opens no more.
    ///
    /// Does nothing while the host stands still.
    pub fn remove_peer(&mut self, node: usize, peer: usize) {
        let now = self.now;
        if self.nodes[node].is_paused() {
            return;
        }
        let Some(life) = self.nodes[node].life_mut() else {
            return;
        };
        life.remove_peer(now, PeerId(peer as u16));
        let indices: usize = life.shards.iter().map(|s| s.holdings().indices).sum();
        let most = 3 * life.peer_count();
        self.removed.insert((node, peer));
        self.health.host_changed(now, node);
        self.drain(node);
        if indices > most {
            self.ledger.breach(
                now,
                format!("I11: {node} has {indices} indices for {most} sessions"),
            );
        }
        let recorded = self.recent.remove(&(peer, node)).unwrap_or_default();
        let transport = recorded
            .into_iter()
            .filter(|(_, bytes)| matches!(bytes.first(), Some(4..=6)));
        for (path, bytes) in transport {
            let unknown = self.drops(node, DropReason::UnknownIndex);
            self.inject(node, path.socket.0, path.remote, bytes);
            if self.drops(node, DropReason::UnknownIndex) != unknown + 1 {
                self.ledger
                    .breach(now, format!("I11: {node} still knows the keys of {peer}"));
            }
        }
    }

    /// And gives it back.
    pub fn restore_peer(&mut self, node: usize, peer: usize) {
        if self.removed.remove(&(node, peer)) && self.nodes[node].life().is_some() {
            let now = self.now;
            let config = self
                .peers_of(node)
                .into_iter()
                .find(|(id, _)| usize::from(id.0) == peer);
            if let Some((id, config)) = config {
                self.nodes[node].set_peer(now, id, &config);
                self.drain(node);
            }
        }
    }

    /// I7: between every two hosts there is a session, every link is up both ways, and the best is in use.
    pub fn check_converged(&mut self) {
        for a in 0..self.setup.nodes {
            for b in (0..self.setup.nodes).filter(|b| *b != a) {
                if self.setup.hubs > 0 && a >= self.setup.hubs && b >= self.setup.hubs {
                    continue;
                }
                let p = self.peer(a, b);
                let up = p
                    .links
                    .iter()
                    .filter(|l| l.state == LinkState::Up && l.receiving)
                    .count();
                let least = p.links.iter().map(|l| l.cost).min();
                let cheapest = p.links.iter().filter(|l| Some(l.cost) == least).map(|l| l.link);
                let used = p.active_links.iter().copied();
                let best = match self.setup.policy {
                    PolicyKind::Passive => used.eq(cheapest.take(1)),
                    PolicyKind::Adaptive => used.count() == 1,
                    PolicyKind::Active | PolicyKind::RoundRobin | PolicyKind::FlowHash => used.eq(cheapest),
                };
                let good = p.session.is_some() && up == usize::from(self.setup.links) && best;
                if !good {
                    let line = self.state_line(a, b);
                    self.ledger.breach(self.now, format!("not converged: {line}"));
                }
            }
        }
    }

    /// I14: a host that has nothing to do holds nothing. I20: it knows how many of its links are in which state.
    pub fn check_memory(&mut self) {
        // What one worker tells another is on its way for a moment.
        let quiet = |node: &Node| node.life().is_none_or(|life| life.mail.is_empty());
        for _ in 0..20 {
            if !self.nodes.iter().all(quiet) {
                self.run(Span::from_millis(1));
            }
        }
        let links = usize::from(self.setup.links);
        for n in 0..self.setup.nodes {
            let Some(life) = self.nodes[n].life_mut() else {
                continue;
            };
            let all = life.peer_count();
            let quiet = life.mail.is_empty();
            for (worker, shard) in life.shards.iter_mut().enumerate() {
                let h = shard.holdings();
                let own = shard.interface_status().peers as usize;
                let held =
                    h.ring_bytes + h.reorder_bytes + h.reassembly_bytes + h.waiting_bytes + h.flood_bytes;
                let empty = held == 0;
                let bounded = h.timers <= own && h.indices <= 3 * own && h.paths <= links * all;
                let outbox = shard.outbox();
                let idle = outbox.is_empty()
                    && outbox.news.is_empty()
                    && outbox.parcels.iter().all(Parcel::is_empty);
                let (counted, there) = (shard.interface_status().links, link_counts(shard));
                if counted != there {
                    let text = format!("I20: worker {worker} of {n} counts {counted:?}, and has {there:?}");
                    self.ledger.breach(self.now, text);
                }
                if !empty || !bounded || !idle || !quiet {
                    let text = format!(
                        "I14: worker {worker} of {n}, with {own} of {all} peers and nothing to do, holds {h:?}"
                    );
                    self.ledger.breach(self.now, text);
                }
            }
        }
    }

    /// I17: what one worker knows of an address that was heard of lately, all do. I18: what was handed over was taken.
    fn check_workers(&mut self) {
        for n in 0..self.setup.nodes {
            let Some(life) = self.nodes[n].life() else {
                continue;
            };
            let tables: Vec<BTreeMap<MacAddr, (Port, Span)>> = life
                .shards
                .iter()
                .map(|shard| {
                    let (entries, _) = shard.macs_page(0, usize::MAX);
                    entries.into_iter().map(|e| (e.mac, (e.port, e.age))).collect()
                })
                .collect();
            let [handed, taken] = life.handover();
            let mut wrong = Vec::new();
            for (mac, (port, age)) in tables.iter().flatten() {
                let places: Vec<Option<Port>> = tables.iter().map(|t| t.get(mac).map(|(p, _)| *p)).collect();
                if *age < HEARD_LATELY && places.iter().any(|p| *p != Some(*port)) {
                    wrong.push(format!("I17: the workers of {n} know {mac} behind {places:?}"));
                }
            }
            if handed != taken {
                wrong.push(format!("I18: {n} handed {handed:?} over, and took {taken:?}"));
            }
            for text in wrong.into_iter().take(TOLD) {
                self.ledger.breach(self.now, text);
            }
        }
    }

    /// I19: with two hubs, all clients agree with themselves: they use one that is up, what any host floods comes to each other
    /// one once, and what clients send each other arrives.
    pub fn check_hubs(&mut self) {
        let (hubs, nodes) = (self.setup.hubs, self.setup.nodes);
        for n in hubs..nodes {
            let group = self.hub_group(n);
            let active = group.members.iter().find(|m| Some(m.peer) == group.active);
            if active.is_none_or(|m| m.standing != Standing::Up) {
                self.ledger
                    .breach(self.now, format!("I19: {n} uses no hub that is up: {group:?}"));
            }
        }
        let allowed = std::mem::take(&mut self.ledger.copies_allowed);
        let (from, first) = (self.now, self.ledger.sent());
        for a in 0..nodes {
            self.broadcasts(a, Span::from_millis(50), Span::from_millis(250));
            for b in (0..nodes).filter(|b| *b != a) {
                self.traffic(a, b, Span::from_millis(50), Span::from_millis(500));
            }
        }
        self.run(Span::from_secs(2));
        let (sent, lost) = self.ledger.lost(from, self.now);
        if lost > 0 {
            let text = format!("I19: {lost} of {sent} frames lost in peace between clients of two hubs");
            self.ledger.breach(self.now, text);
        }
        for number in first..self.ledger.sent() {
            let flooded = self.ledger.frame(number).is_some_and(|f| f.to == ALL);
            let reached = self.ledger.reached(number);
            if flooded && reached + 1 != nodes {
                let text = format!("I19: a flooded frame came to {reached} of {} hosts", nodes - 1);
                self.ledger.breach(self.now, text);
            }
        }
        self.ledger.copies_allowed = allowed;
    }

    /// I15: how often idle hosts are woken in `span`.
    pub fn check_idle(&mut self, span: Span) {
        let before: Vec<u64> = self.nodes.iter().map(|n| n.wakes).collect();
        self.run(span);
        for (n, before) in before.into_iter().enumerate() {
            let peers = self.peers_of(n).len() as u64;
            let links = u64::from(self.setup.links);
            let most = peers * (WAKES_PER_LINK * links * span.as_secs() + WAKES_PER_PEER);
            let wakes = self.nodes[n].wakes - before;
            if wakes > most {
                let text = format!(
                    "I15: {n} was woken {wakes} times in {} s, for {most} at most",
                    span.as_secs()
                );
                self.ledger.breach(self.now, text);
            }
        }
    }

    /// Makes everything good: networks, carriers, addresses, hosts, peers, clocks.
    pub fn mend(&mut self) {
        self.network.default.loss_ppm = 0;
        for (a, b) in self.pairs() {
            for l in 0..self.setup.links {
                *self.network.channel(l, a, b) = Channel::default();
                *self.network.channel(l, b, a) = Channel::default();
            }
        }
        for n in 0..self.setup.nodes {
            if self.nodes[n].life().is_none() {
                self.start(n);
            }
            for l in 0..self.setup.links {
                self.network.go_home(n, l);
                self.socket(n, l, true);
            }
        }
        for (n, peer) in self.removed.clone() {
            self.restore_peer(n, peer);
        }
        self.moved_ppm = 0;
        self.copied_ppm = 0;
        self.astray_ppm = 0;
        self.spoof = None;
    }

    /// The end of every run: checks what it has left, mends everything, and after some peace checks that all is as if
    /// nothing had happened.
    pub fn wind_up(&mut self) {
        self.run(GRACE + SETTLE);
        self.check_losses();
        self.mend();
        self.run(PEACE);
        self.ledger.overtaken.clear();
        self.under_attack = false;
        self.check_converged();
        let from = self.now;
        if self.setup.hubs > 1 {
            self.check_hubs();
        }
        for (a, b) in self.pairs() {
            self.traffic(a, b, Span::from_millis(50), Span::from_secs(2));
            self.traffic(b, a, Span::from_millis(50), Span::from_secs(2));
        }
        self.run(Span::from_secs(8));
        let (sent, lost) = self.ledger.lost(from, self.now);
        if lost > 0 {
            self.ledger
                .breach(self.now, format!("I7: {lost} of {sent} frames lost in peace"));
        }
        self.check_losses();
        self.check_memory();
        self.check_workers();
        self.check_idle(Span::from_secs(10));
        for n in 0..self.setup.nodes {
            self.check_hold(n);
        }
    }
}

/// The links of a worker's peers, by looking at each.
fn link_counts(shard: &Shard) -> LinkCounts {
    let mut counts = LinkCounts::default();
    let (peers, _) = shard.peers_page(PeerId(0), usize::MAX);
    for link in peers.iter().flat_map(|peer| &peer.links) {
        counts.enter(link.state);
    }
    counts
}

fn seconds(at: Time) -> String {
    format!("{:.6} s", at.as_nanos() as f64 / 1e9)
}
