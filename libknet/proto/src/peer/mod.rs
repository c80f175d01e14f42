//! One peer: its sessions, its links, and the policy that chooses among them.
//!
//! This file holds the state and hands it on; what is done with it is told by concern: [`send`] frames and
//! control messages out, [`receive`] datagrams in, [`sessions`] come and go, [`judge`] links as time passes.

mod addresses;
mod balance;
mod deliver;
mod hub;
mod judge;
mod mirror_budget;
pub(crate) mod path_mtu;
mod receive;
mod resend;
mod rest;
mod send;
mod send_control;
mod sessions;
mod snapshot;

use alloc::{boxed::Box, collections::VecDeque, sync::Arc, vec::Vec};
use core::net::SocketAddr;

use crate::{
    config::{PeerConfig, SharedLinkConfig},
    event::{Event, LinkReason, SessionDownReason},
    handshake::message::Input,
    ids::{LinkId, LinkSet, MAX_LINKS, PeerId, ReceiverIndex, SocketId},
    link::{Link, PingDue, Transition},
    on_demand::OnDemand,
    path::Path,
    policy::{self, ActiveSet, LinkView, LinkViews, adaptive::Candidate, round_robin::Rotation},
    reassembly::Reassembler,
    resend_ring::ResendRing,
    resequencer::Resequencer,
    session::Session,
    shard::{PeerFacts, env::Env, places::Place},
    status::{LinkState, PieceCounters, Traffic},
    time::{Span, Time},
    timer_wheel::TimerId,
    token_bucket::TokenBucket,
    wire::virtio_net_header::VirtioNetHeader,
};
use addresses::Addresses;
use hub::Attachments;
use mirror_budget::MirrorBudget;
use sessions::{Attempt, Next, YOUNG};

/// A peer.
#[derive(Debug)]
pub struct Peer {
    /// Its slot.
    pub id: PeerId,
    /// What the operator said.
    pub config: Arc<PeerConfig>,
    /// Whether it is counted, and flooded to, as one that is up.
    pub counted_up: bool,
    /// Its entry in the timer wheel, and the time that is set for.
    pub timer: Option<(TimerId, Time)>,
    previous: Option<Box<Session>>,
    current: Option<Box<Session>>,
    next: Option<Box<Next>>,
    links: [Option<Box<Link>>; MAX_LINKS],
    /// Where they lead, as the shard has noted it down; none beyond the last that has ever led anywhere.
    pub places: Vec<Option<Place>>,
    /// What other workers have been told of it.
    pub(crate) told: Option<Box<PeerFacts>>,
    set: ActiveSet,
    rotation: Rotation,
    candidate: Candidate,
    mirror_budget: MirrorBudget,
    /// Its probes that are answered over other links too.
    answers_elsewhere: TokenBucket,
    attempt: Attempt,
    /// What has come and is not delivered yet, in order, and in pieces.
    resequencer: OnDemand<Resequencer>,
    /// How long what arrives out of order is held back at most.
    reorder_wait: Span,
    reassembler: OnDemand<Reassembler>,
    pieces: PieceCounters,
    /// The longest datagram that passes on every link in use, in bytes of UDP payload; 0: none is in use.
    room: usize,
    ring: OnDemand<ResendRing>,
    /// What goes out is kept until it is reported: there is another link that it could go out on, or another hub.
    protect: bool,
    /// A link that works is not in use: it would carry what those in use take with them when they die together.
    stand_by: bool,
    /// The links that carry everything that has not been reported, in order.
    carriers: LinkSet,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// When anything authentic came, on any link, in judged time.
    heard: Time,
    report_at: Option<Time>,
    stalled: bool,
    stalls: u32,
    /// Since when no link has been of any use.
    dark_since: Option<Time>,
    instance: Option<u64>,
    up_since: Time,
    rekeys: u32,
    tx: Traffic,
    rx: Traffic,
    drops: u64,
    duplicates: u64,
    operator_probes: Vec<OperatorProbe>,
    attachments: OnDemand<Attachments>,
    addresses: OnDemand<Addresses>,
}

#[derive(Debug)]
struct Waiting {
    since: Time,
    header: VirtioNetHeader,
    frame: Box<[u8]>,
}

#[derive(Debug)]
struct OperatorProbe {
    id: u32,
    token: u64,
    sent: Time,
}

/// Operator's probes remembered per peer.
const OPERATOR_PROBES: usize = 16;

impl Peer {
    /// A peer that has just been configured.
    pub fn new(id: PeerId, config: Arc<PeerConfig>, env: &mut Env) -> Self {
        let mut peer = Self {
            id,
            config,
            counted_up: false,
            timer: None,
            previous: None,
            current: None,
            next: None,
            links: [const { None }; MAX_LINKS],
            places: Vec::new(),
            told: None,
            set: ActiveSet::default(),
            rotation: Rotation::default(),
            candidate: Candidate::default(),
            mirror_budget: MirrorBudget::new(env.now),
            answers_elsewhere: TokenBucket::FULL,
            attempt: Attempt::default(),
            resequencer: OnDemand::NONE,
            reorder_wait: Span::ZERO,
            reassembler: OnDemand::NONE,
            pieces: PieceCounters::default(),
            room: 0,
            ring: OnDemand::NONE,
            protect: false,
            stand_by: false,
            carriers: LinkSet::EMPTY,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            heard: env.now,
            report_at: None,
            stalled: false,
            stalls: 0,
            dark_since: None,
            instance: None,
            up_since: env.real,
            rekeys: 0,
            tx: Traffic::default(),
            rx: Traffic::default(),
            drops: 0,
            duplicates: 0,
            operator_probes: Vec::new(),
            attachments: OnDemand::NONE,
            addresses: OnDemand::NONE,
        };
        for link in LinkId::all() {
            if let Some(config) = peer.config.link(link).cloned() {
                peer.add_link(env, link, config);
            }
        }
        peer.attempt.begin(env.now);
        peer
    }

    /// The operator changed the configuration. Links that it does not touch go on undisturbed. Returns false
    /// if the keys differ: then the peer must be made anew.
    pub fn reconfigure(&mut self, env: &mut Env, config: Arc<PeerConfig>) -> bool {
        if config.public_key != self.config.public_key || config.preshared_key != self.config.preshared_key {
            return false;
        }
        let was_down = self.config.shutdown;
        let opened_by_peer = self.config.accepts_any_link();
        let before = core::mem::replace(&mut self.config, config);
        if before.credential != self.config.credential {
            let input = Input::set_peer(self.id, &self.config);
            env.outbox.handshake.push(input);
            if self.config.credential.is_some() {
                // At once: the other side may wait for it, or have refused the one before.
                self.attempt = Attempt::default();
                self.attempt.begin(env.now);
            }
        }
        if self.config.shutdown && !was_down {
            self.close(env, SessionDownReason::Configured);
        } else if was_down && !self.config.shutdown {
            self.attempt.begin(env.now);
        }
        for link in LinkId::all() {
            match (self.config.link(link).cloned(), self.link(link).is_some()) {
                (None, true) if !(opened_by_peer && self.config.accepts_any_link()) => {
                    self.say_link_is_gone(env, link);
                    if let Some(gone) = self.links[link.index()].take() {
                        env.status.links.leave(gone.state());
                    }
                }
                (Some(config), false) => self.add_link(env, link, config),
                (Some(config), true) => {
                    if config.shutdown && self.link(link).is_some_and(|l| !l.config.shutdown) {
                        self.say_link_is_gone(env, link);
                    }
                    let local_up = config.local.is_none_or(|s| env.socket_is_up(s));
                    let t = self.link_mut(link).and_then(|l| l.reconfigure(env.now, config));
                    self.after(env, link, t);
                    let t = self.link_mut(link).and_then(|l| l.local(env.now, local_up));
                    self.after(env, link, t);
                }
                (None, true) if before.opened(link) != self.config.opened(link) => {
                    self.reconfigure_opened(env, link);
                }
                (None, _) => {}
            }
        }
        self.choose(env);
        self.addresses_configured(env, &before.gives, before.takes);
        if self.current.is_none() {
            self.attempt.begin(env.now);
        }
        true
    }

    /// What links that the peer opens begin with is another from now on, also for those that it has opened. Priority and
    /// weight are as the peer has said.
    fn reconfigure_opened(&mut self, env: &mut Env, link: LinkId) {
        let config = self.config.opened(link);
        let t = self.link_mut(link).and_then(|l| {
            let said = (l.priority, l.weight);
            let t = l.reconfigure(env.now, config);
            (l.priority, l.weight) = said;
            t
        });
        self.after(env, link, t);
    }

    /// The session ends, at both ends: the peer is removed, shut down, or the daemon stops.
    pub fn close(&mut self, env: &mut Env, reason: SessionDownReason) {
        self.say_goodbye(env);
        self.end_session(env, reason);
        self.drop_waiting(env);
    }

    /// Whether frames can be sent to it.
    pub fn is_up(&self) -> bool {
        self.current.as_ref().is_some_and(|s| s.confirmed)
    }

    /// Whether it knows one of our sessions with it by this index.
    pub fn knows_as(&self, index: ReceiverIndex) -> bool {
        self.their_indices().contains(&Some(index))
    }

    /// The indices by which it knows our sessions with it.
    pub fn their_indices(&self) -> [Option<ReceiverIndex>; 3] {
        let next = self.next.as_ref().map(|next| &next.session);
        [self.current.as_ref(), self.previous.as_ref(), next].map(|s| s.map(|s| s.their_index()))
    }

    /// The state of each of its links.
    pub fn link_states(&self) -> impl Iterator<Item = LinkState> {
        self.links().map(Link::state)
    }

    /// Where its links lead.
    pub fn leads_to(&self) -> impl Iterator<Item = (SocketAddr, SocketId)> {
        let paths = self.links().filter_map(|l| l.endpoint.current());
        paths.map(|p| (p.remote, p.socket))
    }

    /// The places of its links that are others than at the last call: before and after. `place` tells what stands for one.
    pub fn moved(
        &mut self,
        place: impl Fn(SocketAddr, SocketId) -> Place,
    ) -> Vec<(Option<Place>, Option<Place>)> {
        let mut moved = Vec::new();
        let used = self
            .links
            .iter()
            .rposition(Option::is_some)
            .map_or(0, |last| last + 1);
        if used > self.places.len() {
            self.places.reserve_exact(used - self.places.len());
            self.places.resize(used, None);
        }
        for (known, link) in self.places.iter_mut().zip(&self.links) {
            let path = link.as_ref().and_then(|l| l.endpoint.current());
            let now = path.map(|p| place(p.remote, p.socket));
            if *known != now {
                moved.push((core::mem::replace(known, now), now));
            }
        }
        moved
    }

    /// What a data datagram can change so that somebody else must know: whether the peer is up, and what is due.
    #[inline]
    pub fn hot_state(&self) -> (bool, Option<Time>, Option<Time>) {
        (self.is_up(), self.report_at, self.delivery_deadline())
    }

    /// One of its links.
    pub fn link(&self, link: LinkId) -> Option<&Link> {
        self.links.get(link.index()).and_then(|l| l.as_deref())
    }

    fn link_mut(&mut self, link: LinkId) -> Option<&mut Link> {
        self.links.get_mut(link.index()).and_then(|l| l.as_deref_mut())
    }

    fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter_map(|l| l.as_deref())
    }

    fn links_in_use(&self) -> impl Iterator<Item = &Link> {
        self.links().filter(|l| self.set.contains(l.id))
    }

    /// The link that `path` belongs to.
    fn link_of(&self, path: &Path) -> Option<LinkId> {
        self.links().find(|l| l.endpoint.is_current(path)).map(|l| l.id)
    }

    fn add_link(&mut self, env: &mut Env, id: LinkId, config: SharedLinkConfig) {
        let mut link = Link::new(id, config, env.now, env.largest_datagram);
        if link.config.local.is_some_and(|s| !env.socket_is_up(s)) {
            link.local(env.now, false);
        }
        let apart = self.current.as_ref().map(|s| s.heartbeats_apart);
        link.keep_apart(apart.unwrap_or_default());
        env.status.links.enter(link.state());
        let t = if self.is_up() {
            link.session_begins(env.now, true)
        } else {
            None
        };
        self.links[id.index()] = Some(Box::new(link));
        self.limits_changed(env);
        self.after(env, id, t);
    }

    /// The peer sent on a link that it may open: from now on there is one.
    fn open_link(&mut self, env: &mut Env, id: LinkId) {
        self.add_link(env, id, self.config.opened(id));
    }

    /// The local address or interface of a socket came or went.
    pub fn socket_changed(&mut self, env: &mut Env, socket: SocketId, up: bool) {
        for id in LinkId::all() {
            let uses = |l: &Link| {
                l.config.local == Some(socket) || l.endpoint.current().is_some_and(|p| p.socket == socket)
            };
            let Some(link) = self.link_mut(id).filter(|l| uses(l)) else {
                continue;
            };
            let t = link.local(env.now, up);
            self.after(env, id, t);
        }
        if up && self.current.is_none() {
            self.attempt.begin(env.now);
        }
    }

    /// The kernel refused to send along `path`.
    pub fn send_error(&mut self, env: &mut Env, path: &Path) {
        let Some(id) = self.link_of(path) else { return };
        let alone = self.is_alone(id);
        let t = self.link_mut(id).and_then(|l| l.send_error(env.now, alone));
        self.after(env, id, t);
    }

    /// An ICMP message says that `remote` cannot be reached.
    pub fn icmp_hint(&mut self, env: &mut Env, path: &Path) {
        let Some(id) = self.link_of(path) else { return };
        if self.link_mut(id).is_some_and(|l| l.hint(env.now)) {
            self.send_ping(env, id, PingDue::DOUBT, None);
        }
    }

    /// No *other* link of the peer is up.
    fn is_alone(&self, id: LinkId) -> bool {
        !self.links().any(|l| l.id != id && l.state() == LinkState::Up)
    }

    /// A link changed its state: tell everybody whom it concerns.
    fn after(&mut self, env: &mut Env, id: LinkId, transition: Option<Transition>) {
        let Some(t) = transition else { return };
        let srtt = self.link(id).and_then(|l| l.rtt.srtt()).unwrap_or_default();
        env.transition(self.id, id, &t, srtt);
        if self.link_mut(id).is_some_and(Link::leaves_queue) {
            env.probes.leave();
        }
        if let Some(ring) = self.ring.get_mut() {
            if t.to < LinkState::Up {
                ring.leave(id);
            } else {
                ring.returned(id);
            }
        }
        if t.to < LinkState::Probing
            && let Some(resequencer) = self.resequencer.get_mut()
        {
            resequencer.link_gone(id);
        }
        self.budget_mirroring(env.now, id, &t);
        self.choose(env);
        self.rescue_stranded(env, id);
        match t.to {
            LinkState::Suspect => self.link_is_suspect(env, id),
            LinkState::Down | LinkState::LocalDown | LinkState::AdminDown => {
                if t.from >= LinkState::Suspect || t.to < LinkState::Down {
                    self.send_link_state(env, id);
                }
                self.find_out_whether_the_peer_restarted(env);
            }
            LinkState::Up => {
                self.stalled = false;
                self.dark_since = None;
                self.flush_waiting(env);
            }
            LinkState::Probing => {}
        }
    }

    fn budget_mirroring(&mut self, now: Time, id: LinkId, t: &Transition) {
        let Some(link) = self.links[id.index()].as_deref_mut() else {
            return;
        };
        if t.to == LinkState::Suspect {
            link.mirror_while(now + self.mirror_budget.take(now));
        } else if t.from == LinkState::Suspect {
            self.mirror_budget.give_back(link.mirror_until().since(now));
        }
    }

    /// In doubt about one link: hear at once what the others are worth, and whether the peer lives.
    fn link_is_suspect(&mut self, env: &mut Env, id: LinkId) {
        let mut any_up = false;
        for other in LinkId::all().filter(|o| *o != id) {
            if self.link(other).is_some_and(|l| l.state() == LinkState::Up) {
                any_up = true;
                self.send_ping(env, other, PingDue::DOUBT, None);
            }
        }
        if !any_up && !self.stalled && self.links().filter(|l| l.can_send()).count() > 1 {
            self.stalled = true;
            self.stalls = self.stalls.saturating_add(1);
            env.event(Event::PeerStall { peer: self.id });
        }
    }

    /// Every link is down: the peer may have restarted and know nothing of us.
    fn find_out_whether_the_peer_restarted(&mut self, env: &mut Env) {
        if !self.links().any(|l| l.state() >= LinkState::Suspect) {
            self.dark_since.get_or_insert(env.now);
            let young = self.current.as_ref().map(|s| env.judged(s.established + YOUNG));
            self.attempt.begin_at(env.now, young.unwrap_or(env.now));
        }
    }

    /// Asks the policy again.
    fn choose(&mut self, env: &mut Env) {
        let in_use = self.set;
        let doubted = |l: &&Link| l.state() == LinkState::Suspect && in_use.contains(l.id);
        let doubt = self.links().filter(doubted).map(Link::since).min();
        let usable = self
            .links()
            .filter(|l| l.can_send() && l.state() >= LinkState::Probing);
        let views: LinkViews = usable
            .map(|l| LinkView {
                link: l.id,
                state: l.state(),
                priority: l.priority,
                settled: l.settled(env.now),
                fresh: doubt.is_some_and(|since| l.proven_since(since)),
                answers: l.answers(),
                mirror: l.mirror(env.now),
                poor: l.is_poor(),
                cost: l.config.cost,
                rtt: l.rtt.srtt(),
                loss_ppm: l.tx_loss_ppm(),
            })
            .collect();
        let set = policy::choose(self.config.policy, env.now, &views, self.set, &mut self.candidate);
        if set != self.set {
            self.set = set;
            self.rotation.reset();
        }
        self.let_rest(env);
        self.measure_room();
        self.update_reorder_wait();
        let another_way = self.config.hub.is_some() || self.links().filter(|l| l.can_send()).count() > 1;
        self.protect = self.config.lossless && another_way;
        self.share_out();
        let stand_by = self
            .links()
            .any(|l| l.state() == LinkState::Up && !set.contains(l.id));
        self.stand_by = stand_by;
        self.carry_over(env);
    }

    /// The path of a link was validated or adopted.
    fn path_moved(&mut self, env: &mut Env, id: LinkId, from: Option<Path>, to: Path) {
        let same_host = from.is_some_and(|f| f.remote.ip() == to.remote.ip());
        if let Some(link) = self.link_mut(id) {
            link.path_changed(env.now, same_host);
        }
        // What is on its way to the old address goes out again as if the link were another one.
        if let Some(ring) = self.ring.get_mut() {
            ring.path_changed(id);
        }
        self.carriers = self.carriers.without(id);
        self.limits_changed(env);
        env.event(Event::Roamed {
            peer: self.id,
            link: id,
            from: from.map(|f| f.remote),
            to: to.remote,
        });
        let t = self
            .link_mut(id)
            .and_then(|l| l.path_proven(env.now, LinkReason::Validated));
        self.after(env, id, t);
        self.choose(env);
        self.rescue_stranded(env, id);
    }

    /// How long data may wait for its report on `link`.
    fn report_delay(&self, link: LinkId) -> Span {
        self.link(link).map_or(Span::from_millis(2), Link::report_delay)
    }
}
