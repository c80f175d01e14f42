//! Hub groups: several peers that are one port of the bridge, of which one at a time is used ([`HubGroup`]).
//!
//! The bridge knows the port by the peer of the lowest number. What the active hub brings comes in by that port, and what goes
//! out by it goes to the active hub; so a take-over changes nothing in the tables here. What another hub of the group brings
//! is dropped, because the active one brings it too, but for what is for one station of ours while we move: that comes by a hub
//! that does not know yet where we are.
//!
//! The worker that owns the peer of the lowest number decides, and tells the others.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    vec::Vec,
};
use core::ops::ControlFlow;

use super::{News, Shard};
use crate::{
    config::HubMembership,
    drop_reason::DropReason,
    event::Event,
    hub_group::{Act, HubGroup, Standing, TakeOverReason},
    ids::PeerId,
    l2::{announcement::announcement, mac_table::Station},
    offload::Frame,
    peer::Peer,
    status::{HubGroupStatus, HubMemberStatus, Port},
    time::{Span, Time},
    wire::{control_record::Attachment, ethernet::EthernetFrame, virtio_net_header::VirtioNetHeader},
};

/// For so long after a take-over a frame of our own may come back by the hub that we use now, because the one before has
/// passed it on; and what is for one of our stations may come by the one before.
const JUST_NOW: Span = Span::from_secs(1);
/// For so long at most the same holds while a hub of the group does not answer, and for [`JUST_NOW`] after: it may stand still,
/// and pass on what it had got before when it goes on.
const STALE: Span = Span::from_secs(10);
/// Stations that are announced after a take-over, at most: those seen last. And so many at once, so often.
const MOST_ANNOUNCED: usize = 1_024;
const ANNOUNCED_AT_ONCE: usize = 128;
const ANNOUNCED_EVERY: Span = Span::from_millis(700);
/// They are announced again if a hub still sends us their frames that is not the active one, no more often than this.
const ANNOUNCED_AGAIN: Span = Span::from_secs(5);
/// While nothing has come from the active hub for this long, what another one brings makes us ask it whether it is there.
const QUIET: Span = Span::from_millis(5);

/// All groups of an interface.
#[derive(Debug, Default)]
pub(super) struct Hubs {
    groups: BTreeMap<Arc<str>, Group>,
    of: BTreeMap<PeerId, Arc<str>>,
}

#[derive(Debug)]
struct Group {
    choice: HubGroup,
    /// Stations still to be announced, and when the next of them are.
    announcing: VecDeque<Station>,
    announce_at: Time,
    announced: Time,
    resent: u64,
}

impl Hubs {
    fn group(&self, peer: PeerId) -> Option<&Group> {
        self.groups.get(self.of.get(&peer)?)
    }

    /// Where frames for `peer` go.
    #[inline]
    pub(super) fn way(&self, peer: PeerId) -> PeerId {
        if self.of.is_empty() {
            return peer;
        }
        let active = self.group(peer).and_then(|g| g.choice.active());
        active.unwrap_or(peer)
    }

    /// Whether frames for the port that `peer` belongs to go to it.
    pub(super) fn uses(&self, peer: PeerId) -> bool {
        self.group(peer).is_none_or(|g| g.choice.active() == Some(peer))
    }

    /// Whether it is the hub in use of its group; `None`: it is in none.
    pub(super) fn is_active(&self, peer: PeerId) -> Option<bool> {
        self.group(peer).map(|g| g.choice.active() == Some(peer))
    }

    /// The port that `port` is a part of.
    pub(super) fn port_of(&self, port: Port) -> Port {
        let Port::Peer(peer) = port else { return port };
        let group = self.group(peer).and_then(|g| g.choice.port());
        group.map_or(port, Port::Peer)
    }
}

impl Shard {
    /// A peer is in this group from now on, or in none. Every worker is told, before the peer enters and with its port.
    pub(super) fn set_hub(&mut self, id: PeerId, hub: Option<&HubMembership>) {
        let before = self.hubs.of.get(&id).cloned();
        if let Some(before) = before.filter(|name| hub.is_none_or(|hub| hub.group != *name)) {
            self.leave_hub_group(id, &before);
        }
        let Some(hub) = hub else { return };
        let name = hub.group.clone();
        let port = self.hubs.groups.get(&name).and_then(|g| g.choice.port());
        self.hubs.of.insert(id, name.clone());
        if let Some(group) = self.hubs.groups.get_mut(&name) {
            group.choice.join(id, hub.preference);
        } else {
            let group = Group {
                choice: HubGroup::new(self.env.now, name.clone(), id, hub.preference),
                announcing: VecDeque::new(),
                announce_at: Time::ZERO,
                announced: Time::ZERO,
                resent: 0,
            };
            self.hubs.groups.insert(name.clone(), group);
        }
        self.hub_port_changed(&name, port);
        self.show_up(id);
        self.hub_settled(id);
        if let Some((standing, proof)) = self.others.as_hub(id) {
            self.hub_heard(id, standing, proof);
        }
    }

    fn leave_hub_group(&mut self, id: PeerId, name: &Arc<str>) {
        self.hubs.of.remove(&id);
        let Some(group) = self.hubs.groups.get_mut(name) else {
            return;
        };
        let port = group.choice.port();
        if !group.choice.leave(id) {
            self.hubs.groups.remove(name);
        }
        self.hub_port_changed(name, port);
        self.order(id, |peer, env| peer.attach(env, None));
        self.show_up(id);
        self.judge_hubs(name);
    }

    /// What was learned behind the port by its number before is learned anew.
    fn hub_port_changed(&mut self, name: &Arc<str>, before: Option<PeerId>) {
        let port = self.hubs.groups.get(name).and_then(|g| g.choice.port());
        for stale in [before, port].into_iter().flatten().filter(|_| before != port) {
            self.bridge.clear_dynamic_on(Port::Peer(stale));
            self.neighbors.remove_port(Port::Peer(stale));
        }
    }

    /// By which port a frame comes in. `Break`: by none; whether it is for the TAP nevertheless, and for nobody else.
    #[inline]
    pub(super) fn entry(&mut self, from: Port, frame: &Frame<'_>) -> ControlFlow<bool, Port> {
        match from {
            Port::Peer(peer) if !self.hubs.of.is_empty() => self.entry_from_hub(peer, frame),
            _ => ControlFlow::Continue(from),
        }
    }

    #[inline(never)]
    fn entry_from_hub(&mut self, from: PeerId, frame: &Frame<'_>) -> ControlFlow<bool, Port> {
        let itself = ControlFlow::Continue(Port::Peer(from));
        let (Some(group), Ok(ethernet)) = (self.hubs.group(from), EthernetFrame::new(frame.bytes)) else {
            return itself;
        };
        let name = group.choice.name.clone();
        let ours = |mac| {
            let vlan = frame.vlan;
            self.bridge.macs().lookup(Station { vlan, mac }) == Some(Port::Tap)
        };
        let now = self.env.now;
        let since_take_over = now.since(group.choice.history().0);
        let has_just_taken_over = since_take_over < JUST_NOW;
        if group.choice.active() == Some(from) {
            let may_echo =
                has_just_taken_over || since_take_over < STALE && !group.choice.is_whole_for(now, JUST_NOW);
            if may_echo && ours(ethernet.src()) {
                self.count_drops(DropReason::HubEcho, frame.count().into());
                return ControlFlow::Break(false);
            }
            return ControlFlow::Continue(self.hubs.port_of(Port::Peer(from)));
        }
        let is_for_us = ours(ethernet.dst()) && !ours(ethernet.src());
        let active = group.choice.active();
        // Later it is a copy of what the active one brings, if the hub floods it because it does not know our station; or it
        // is told once more where that is.
        let is_taken = is_for_us && (has_just_taken_over || group.choice.is_in_doubt());
        let again = is_for_us && !is_taken && self.env.now.since(group.announced) >= ANNOUNCED_AGAIN;
        if let Some(active) = active {
            self.ask_if_quiet(active);
        }
        if again {
            self.announce_all(&name);
        }
        if !is_taken {
            self.count_drops(DropReason::HubStandby, frame.count().into());
        }
        ControlFlow::Break(is_taken)
    }

    /// A hub that is not in use brings something, and the one in use nothing: is that still there?
    fn ask_if_quiet(&mut self, active: PeerId) {
        let now = self.env.now;
        if self.peer(active).is_none_or(|p| now.since(p.heard()) >= QUIET) {
            self.ask_again(active);
        }
    }

    /// Asks a hub whether it is there, if it has not been asked for a while.
    pub(super) fn ask_again(&mut self, id: PeerId) {
        let owner = self.seat.workers.owner(id);
        if owner == self.seat.me {
            self.order(id, Peer::ask);
        } else {
            self.env.outbox.news.push((Some(owner), News::Ask(id)));
        }
    }

    /// After something happened to a peer that is in a group.
    pub(super) fn hub_settled(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(usize::from(id.0)).and_then(Option::as_mut) else {
            return;
        };
        let (standing, proof) = (peer.standing(), peer.proof());
        self.hub_heard(id, standing, proof);
    }

    /// How a peer that is in a group stands, as its owner says.
    pub(super) fn hub_heard(&mut self, id: PeerId, standing: Standing, proof: u32) {
        let now = self.env.now;
        let Some(name) = self.hubs.of.get(&id).cloned() else {
            return;
        };
        if let Some(group) = self.hubs.groups.get_mut(&name) {
            group.choice.heard(now, id, standing, proof);
            self.judge_hubs(&name);
        }
    }

    fn judge_hubs(&mut self, name: &Arc<str>) {
        let now = self.env.now;
        let Some(group) = self.hubs.groups.get_mut(name) else {
            return;
        };
        if group.choice.port().is_none_or(|port| !self.seat.owns(port)) {
            return;
        }
        match group.choice.judge(now) {
            None => {}
            Some(Act::Prove(question)) => {
                let members: Vec<PeerId> = group.choice.members().iter().map(|m| m.peer).collect();
                for member in members {
                    self.prove_hub(member, question);
                }
            }
            Some(Act::Ask(active)) => self.ask_again(active),
            Some(Act::TakeOver(to, reason)) => {
                let news = News::TakeOver {
                    group: name.clone(),
                    to,
                    reason,
                };
                self.tell_all(news);
                let from = self.take_over(name, to, reason);
                self.env.event(Event::HubTakeOver {
                    group: name.clone(),
                    from,
                    to,
                    reason,
                });
                self.announce_all(name);
            }
        }
    }

    /// Asks a hub whether it is there.
    pub(super) fn prove_hub(&mut self, id: PeerId, question: u32) {
        let owner = self.seat.workers.owner(id);
        if owner == self.seat.me {
            self.order(id, |peer, env| peer.prove(env, question));
        } else {
            let news = News::Prove { peer: id, question };
            self.env.outbox.news.push((Some(owner), news));
        }
    }

    /// Frames of the group go to `to` from now on. Returns where they went before.
    pub(super) fn take_over(
        &mut self,
        name: &Arc<str>,
        to: PeerId,
        reason: TakeOverReason,
    ) -> Option<PeerId> {
        let now = self.env.now;
        let group = self.hubs.groups.get_mut(name)?;
        let members: Vec<PeerId> = group.choice.members().iter().map(|m| m.peer).collect();
        if !members.contains(&to) {
            return None;
        }
        let before = group.choice.take_over(now, to, reason);
        let (_, _, changes) = group.choice.history();
        for member in members.iter().copied() {
            self.show_up(member);
            let attached = member == to;
            self.order(member, |peer, env| {
                peer.attach(env, Some(Attachment { changes, attached }));
            });
        }
        for left in members.into_iter().filter(|member| *member != to) {
            self.send_again(name, left, to);
        }
        before
    }

    /// What may not have come to the hub that is left goes to the other one.
    fn send_again(&mut self, name: &Arc<str>, left: PeerId, to: PeerId) {
        let Some(peer) = self.peers.get_mut(usize::from(left.0)).and_then(Option::as_mut) else {
            return;
        };
        let frames: Vec<(VirtioNetHeader, Box<[u8]>)> = peer.take_back(&mut self.env);
        self.settle(left);
        if frames.is_empty() {
            return;
        }
        for (header, bytes) in &frames {
            // With the tag that it had.
            self.send_as_it_is(to, Port::Tap, Frame::new(*header, bytes));
        }
        if let Some(group) = self.hubs.groups.get_mut(name) {
            group.resent += frames.len() as u64;
        }
        self.env.event(Event::HubResent {
            from: left,
            to,
            frames: frames.len() as u32,
        });
    }

    /// Tells the network behind the hub in use where our stations are, in bursts.
    fn announce_all(&mut self, name: &Arc<str>) {
        let stations = self.bridge.macs().stations(Port::Tap, MOST_ANNOUNCED);
        let now = self.env.now;
        if let Some(group) = self.hubs.groups.get_mut(name) {
            group.announced = now;
            group.announcing = stations.into();
        }
        self.announce_some(name);
    }

    fn announce_some(&mut self, name: &Arc<str>) {
        let now = self.env.now;
        let Some(group) = self.hubs.groups.get_mut(name) else {
            return;
        };
        let some = group.announcing.len().min(ANNOUNCED_AT_ONCE);
        let some: Vec<Station> = group.announcing.drain(..some).collect();
        group.announce_at = now + ANNOUNCED_EVERY;
        let Some(active) = group.choice.active() else {
            return;
        };
        for Station { vlan, mac } in some {
            let frame = announcement(mac);
            let frame = Frame::plain(&frame);
            self.send(active, Port::Tap, Frame { vlan, ..frame });
        }
    }

    /// Does for all groups what is due.
    pub(super) fn hubs_timeout(&mut self) {
        let now = self.env.now;
        let due = |g: &&Group| g.deadline(now).is_some_and(|at| at <= now);
        let due = self
            .hubs
            .groups
            .values()
            .filter(due)
            .map(|g| g.choice.name.clone());
        for name in due.collect::<Vec<_>>() {
            let announces = |g: &Group| !g.announcing.is_empty() && g.announce_at <= now;
            if self.hubs.groups.get(&name).is_some_and(announces) {
                self.announce_some(&name);
            }
            self.judge_hubs(&name);
        }
    }

    /// When [`Self::hubs_timeout`] has something to do, in judged time.
    pub(super) fn hubs_deadline(&self) -> Option<Time> {
        if self.hubs.groups.is_empty() {
            return None;
        }
        let now = self.env.now;
        let decides = |g: &&Group| g.choice.port().is_some_and(|port| self.seat.owns(port));
        let groups = self.hubs.groups.values().filter(decides);
        groups.filter_map(|g| g.deadline(now)).min()
    }

    /// The groups that this worker decides for.
    pub fn hub_groups(&self) -> Vec<HubGroupStatus> {
        let now = self.env.now;
        let decides = |g: &&Group| g.choice.port().is_some_and(|port| self.seat.owns(port));
        let status = |g: &Group| {
            let (since, reason, take_overs) = g.choice.history();
            HubGroupStatus {
                name: g.choice.name.clone(),
                active: g.choice.active(),
                since: now.since(since),
                reason,
                take_overs,
                members: g
                    .choice
                    .members()
                    .iter()
                    .map(|m| HubMemberStatus {
                        peer: m.peer,
                        preference: m.preference,
                        standing: m.standing,
                    })
                    .collect(),
            }
        };
        self.hubs.groups.values().filter(decides).map(status).collect()
    }
}

impl Group {
    fn deadline(&self, now: Time) -> Option<Time> {
        let announces = (!self.announcing.is_empty()).then_some(self.announce_at);
        announces.into_iter().chain(self.choice.deadline(now)).min()
    }
}
