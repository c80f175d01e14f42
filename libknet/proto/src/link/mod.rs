//! One link: what is known of it, and the judgement about it, per direction.
//!
//! The sending side is judged by what the peer reports or answers; the receiving side by what arrives.
//!
//! | state | leaves it when | to |
//! |---|---|---|
//! | Up | data unreported for RT; two reports stand still; two heartbeats unanswered; send error | Suspect |
//! | Suspect | a report advances, or a probe is answered | Up |
//! | Suspect | [`URGENT_PROBES`] urgent probes unanswered, *and* the peer lives on another link | Down |
//! | Suspect | otherwise: nothing for the link's `timeout` | Down |
//! | Down | a probe is answered | Probing |
//! | Down | a probe sent *before* it went down is answered: it was slow, not dead | Up |
//! | Probing | `pong_count` answers in a row, and the hold-down is over | Up |
//! | Probing | three probes in a row unanswered | Down |
//! | any | the peer says that nothing arrives, and there is another link | Down |
//! | any | carrier or address lost | `LocalDown`, then Probing |
//! | any | `shutdown` at either end | `AdminDown`, then Probing |
//!
//! Suspect is reversible and cheap, so it is entered fast (RT, 10 ms on a LAN); Down is neither, so it needs
//! proof that it is the link that died and not the peer that paused.

pub mod endpoint;
pub mod flap_damping;
pub mod loss;
pub mod probe;
pub mod rtt;
pub mod sent_log;

use crate::{
    config::LinkConfig,
    event::LinkReason,
    ids::LinkId,
    rng::Entropy,
    status::{LinkState, Traffic},
    time::{Span, Time},
};
use endpoint::Endpoint;
use flap_damping::FlapDamping;
use loss::LossMeter;
use probe::{Probe, Probes};
use rtt::{JitterMeter, RttEstimator};
use sent_log::{DataSeq, SentLog};

/// Urgent probes that must go unanswered before a link is called down.
pub const URGENT_PROBES: u8 = 3;
/// Frames are mirrored on a link in doubt for this long (limits: row 21).
pub const MIRROR_TIME: Span = Span::from_millis(250);
/// A link that was down takes over from one that works only after this time.
const SETTLE_TIME: Span = Span::from_secs(3);
/// A standby that has proven itself within this time is trusted alone.
const WARM_TIME: Span = Span::from_secs(2);
/// Probing of a link that is down: first and longest pause. A dead link costs no more than an idle one.
const DEAD_PROBE_FIRST: Span = Span::from_millis(200);
const DEAD_PROBE_MAX: Span = Span::from_secs(2);
/// Pause between probes while a link is in doubt and nothing better can be done than wait.
const SLOW_PROBE: Span = Span::from_millis(200);
/// Least pause between probes of an idle link whose heartbeat was not answered.
const IDLE_RETRY: Span = Span::from_millis(50);
/// Answers that bring a link up for the first time.
const FIRST_PONG_COUNT: u8 = 3;
/// PINGs answered (limits: row 23).
const PONGS_PER_SECOND: u32 = 200;

/// A change of state, for the event and for whoever depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Before.
    pub from: LinkState,
    /// After.
    pub to: LinkState,
    /// Why.
    pub reason: LinkReason,
    /// How long the sign of life had been missing.
    pub silent: Span,
}

/// A PING that should leave now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingDue {
    /// Not a heartbeat: somebody waits for the answer.
    pub urgent: bool,
    /// The answer should come over every link.
    pub on_all: bool,
}

impl PingDue {
    /// A heartbeat.
    pub const HEARTBEAT: Self = Self {
        urgent: false,
        on_all: false,
    };
    /// A probe of a link that is not up.
    pub const PROBE: Self = Self {
        urgent: true,
        on_all: false,
    };
    /// A probe that wants to know which direction is dead.
    pub const DOUBT: Self = Self {
        urgent: true,
        on_all: true,
    };
    /// The operator asks.
    pub const OPERATOR: Self = Self {
        urgent: true,
        on_all: false,
    };
}

/// What a link may know about its siblings when it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    /// No other link of the peer is up.
    pub alone: bool,
    /// When anything authentic of the peer arrived last, on any link.
    pub peer_heard: Time,
    /// This side sends the heartbeats.
    pub driver: bool,
}

/// One link.
#[derive(Debug)]
pub struct Link {
    /// Its id.
    pub id: LinkId,
    /// What was configured, or the default for a link that the peer opened.
    pub config: LinkConfig,
    /// Where it leads.
    pub endpoint: Endpoint,
    /// Round-trip time, from PONGs.
    pub rtt: RttEstimator,
    /// Round trip of data until it is reported: an upper bound that follows a growing queue.
    report_rtt: RttEstimator,
    /// Jitter of what arrives.
    pub jitter: JitterMeter,
    /// Loss of what we send.
    pub tx_loss: LossMeter,
    /// Loss of what the peer sends.
    pub rx_loss: LossMeter,
    /// Datagrams sent.
    pub tx: Traffic,
    /// Datagrams received.
    pub rx: Traffic,
    /// What was sent and not reported.
    pub sent: SentLog,
    /// Flap damping.
    pub damping: FlapDamping,
    /// Times suspected.
    pub suspects: u32,
    /// Times down, as people see it.
    pub downs_shown: u32,
    /// Times called down when it was only slow.
    pub spurious: u32,
    /// It has gone down since it was configured.
    been_down: bool,
    cleared: (Traffic, Traffic),
    state: LinkState,
    since: Time,
    receiving: bool,
    last_rx: Time,
    last_proof: Time,
    probes: Probes,
    /// When the first probe left that wants an answer and has had none since the last proof.
    asked: Option<Time>,
    next_probe_id: u32,
    /// Answers in a row while Probing, probes without one otherwise.
    tally: u8,
    /// The next step of the state's own timer: probe or decide.
    step_at: Time,
    back_off: Span,
    /// Probes in a row without an answer while Probing.
    missed: u8,
    last_hint: Option<Time>,
    heartbeat_at: Time,
    still_reports: u8,
    first_send_error: Option<(Time, u8)>,
    rt_factor: u8,
    factor_changed: Time,
    suspects_lately: (Time, u8),
    pong_budget: (Time, u32),
    held_pong: Option<HeldPong>,
    peer_admin_down: bool,
    /// The peer cannot send on it, as far as it has told.
    peer_tx_down: bool,
    local_down: bool,
}

/// A PING to be answered in our next heartbeat.
#[derive(Clone, Copy, Debug)]
pub struct HeldPong {
    /// Its id.
    pub id: u32,
    /// When it arrived.
    pub arrived: Time,
}

impl Link {
    /// A link that has just been configured or opened by the peer.
    pub fn new(id: LinkId, config: LinkConfig, now: Time) -> Self {
        let mut link = Self {
            id,
            endpoint: Endpoint::new(&config),
            config,
            rtt: RttEstimator::default(),
            report_rtt: RttEstimator::default(),
            jitter: JitterMeter::default(),
            tx_loss: LossMeter::default(),
            rx_loss: LossMeter::default(),
            tx: Traffic::default(),
            rx: Traffic::default(),
            sent: SentLog::default(),
            damping: FlapDamping::default(),
            suspects: 0,
            downs_shown: 0,
            been_down: false,
            cleared: Default::default(),
            spurious: 0,
            state: LinkState::Down,
            since: now,
            receiving: true,
            last_rx: now,
            last_proof: now,
            probes: Probes::default(),
            asked: None,
            next_probe_id: 0,
            tally: 0,
            step_at: Time::NEVER,
            back_off: DEAD_PROBE_FIRST,
            missed: 0,
            last_hint: None,
            heartbeat_at: Time::NEVER,
            still_reports: 0,
            first_send_error: None,
            rt_factor: 1,
            factor_changed: now,
            suspects_lately: (now, 0),
            pong_budget: (now, 0),
            held_pong: None,
            peer_admin_down: false,
            peer_tx_down: false,
            local_down: false,
        };
        if link.config.shutdown {
            link.state = LinkState::AdminDown;
        }
        link
    }

    /// State of the sending side.
    pub const fn state(&self) -> LinkState {
        self.state
    }

    /// Since when.
    pub const fn since(&self) -> Time {
        self.since
    }

    /// Whether what the peer sends arrives.
    pub const fn receiving(&self) -> bool {
        self.receiving
    }

    /// Whether anything may be sent on it at all.
    pub fn can_send(&self) -> bool {
        self.state >= LinkState::Down && self.endpoint.current().is_some()
    }

    /// Whether it has been up for long enough to take over from a link that works.
    pub fn settled(&self, now: Time) -> bool {
        !self.been_down || now.since(self.since) >= SETTLE_TIME
    }

    /// Whether it has proven itself lately.
    pub fn warm(&self, now: Time) -> bool {
        now.since(self.last_proof) <= WARM_TIME
    }

    /// Whether it has proven itself since `then`.
    pub fn proven_since(&self, then: Time) -> bool {
        self.last_proof > then
    }

    /// Whether it is being probed and answers.
    pub fn answers(&self) -> bool {
        self.state == LinkState::Probing && self.tally > 0
    }

    /// How far it can be trusted with a control message: up; answering; in doubt; anything else.
    pub fn trust(&self) -> u8 {
        match self.state {
            LinkState::Up => 3,
            LinkState::Probing if self.answers() => 2,
            LinkState::Suspect => 1,
            _ => 0,
        }
    }

    /// Whether frames are still mirrored on it while it is in doubt.
    pub fn mirror(&self, now: Time) -> bool {
        self.state == LinkState::Suspect && now.since(self.since) < MIRROR_TIME
    }

    /// How long the receiver of this link waits before it reports data: a quarter of the round trip and a
    /// millisecond, 2..=25 ms.
    pub fn report_delay(&self) -> Span {
        let quarter = self.rtt.srtt().map_or(Span::ZERO, |s| s.divided_by(4));
        (quarter + Span::from_millis(1)).clamp(Span::from_millis(2), Span::from_millis(25))
    }

    /// RT: how long data may go unreported before the link is suspect.
    pub fn report_timeout(&self) -> Span {
        let floor = match self.rtt.srtt() {
            Some(srtt) if srtt < Span::from_millis(2) => Span::from_millis(10),
            Some(_) => Span::from_millis(30),
            None => Span::from_millis(100),
        };
        (floor.times(u64::from(self.rt_factor)))
            .max(self.rtt.bound() + self.report_delay())
            .max(self.report_rtt.bound())
    }

    /// The longest pause between our heartbeats, told to the peer so that it can miss them.
    pub fn announced_interval_ms(&self) -> u16 {
        (self.config.timers.interval.times(11).divided_by(10).as_millis()).min(u64::from(u16::MAX)) as u16
    }

    /// Pause between urgent probes.
    fn urgent_spacing(&self) -> Span {
        self.report_timeout().divided_by(2).max(Span::from_millis(5))
    }

    fn idle_retry(&self) -> Span {
        self.report_timeout().max(IDLE_RETRY)
    }

    /// How long nothing may arrive before the receiving side is called dead: the sender's longest pause, and
    /// the time in which it would have noticed and asked twice more.
    fn receive_timeout(&self) -> Span {
        self.config.timers.interval.times(11).divided_by(10)
            + self.report_timeout()
            + self.idle_retry().times(2)
    }

    // ---- what happens to it -------------------------------------------------------------------------

    /// There is a session (again): begin to probe. `anew`: it does not follow
    /// another session of the same process at the other end.
    pub fn session_begins(&mut self, now: Time, anew: bool) -> Option<Transition> {
        if anew {
            self.sent.clear();
            self.tx_loss.reset();
            self.rx_loss.reset();
            self.jitter = JitterMeter::default();
            self.report_rtt = RttEstimator::default();
            self.probes.clear();
            self.asked = None;
            self.held_pong = None;
            self.peer_admin_down = false;
        }
        self.last_rx = now;
        self.receiving = true;
        self.heartbeat_at = self.heartbeat_at.min(now + self.config.timers.interval);
        match self.idle_state() {
            LinkState::Down if anew => self.enter(now, LinkState::Probing, LinkReason::SessionBegins),
            _ => None,
        }
    }

    /// The session is gone.
    pub fn session_ends(&mut self, now: Time) -> Option<Transition> {
        self.sent.clear();
        self.probes.clear();
        self.asked = None;
        self.heartbeat_at = Time::NEVER;
        let state = self.idle_state();
        let transition = self.enter(now, state, LinkReason::SessionEnds);
        self.step_at = Time::NEVER;
        transition
    }

    /// The handshake or the path validation has shown that the path works both ways.
    pub fn path_proven(&mut self, now: Time, reason: LinkReason) -> Option<Transition> {
        self.proven(now);
        match self.state {
            LinkState::Probing | LinkState::Down | LinkState::Suspect if self.damping.hold_until() <= now => {
                self.enter(now, LinkState::Up, reason)
            }
            LinkState::Down => self.enter(now, LinkState::Probing, reason),
            _ => None,
        }
    }

    /// The path is another one now: what was measured on the old one is void.
    pub fn path_changed(&mut self, same_host: bool) {
        if !same_host {
            self.rtt = RttEstimator::default();
        }
        self.report_rtt = RttEstimator::default();
        self.tx_loss.reset();
        self.rx_loss.reset();
        self.sent.clear();
        self.probes.clear();
        self.asked = None;
    }

    /// A datagram arrived on this link. Returns true if the receiving side was called dead before.
    pub fn heard(&mut self, now: Time) -> bool {
        self.last_rx = now;
        !core::mem::replace(&mut self.receiving, true)
    }

    /// A data datagram left on this link. Returns true if it is the only one waiting to be reported, so that
    /// there is a new deadline.
    pub fn data_sent(&mut self, now: Time, seq: DataSeq) -> bool {
        let first = self.sent.oldest_unreported().is_none();
        let spacing = self.report_timeout().divided_by(16).max(Span::from_millis(1));
        self.sent.sent(now, seq, spacing);
        first
    }

    /// A PING leaves now.
    pub fn probe(&mut self, now: Time, deferred: bool) -> Probe {
        let id = (self.next_probe_id << 3) | u32::from(self.id.get());
        self.next_probe_id = self.next_probe_id.wrapping_add(1);
        let probe = Probe {
            id,
            sent: now,
            tx_pkts: self.tx.packets as u32,
            deferred,
        };
        self.probes.sent(probe);
        if !deferred {
            self.asked.get_or_insert(now);
        }
        probe
    }

    /// Sets the counters that people see to zero. The ones that loss is computed from go on.
    pub fn clear_counters(&mut self) {
        self.cleared = (self.tx, self.rx);
        self.suspects = 0;
        self.spurious = 0;
        self.downs_shown = 0;
    }

    /// Datagrams sent and received since the counters were cleared.
    pub fn shown_traffic(&self) -> (Traffic, Traffic) {
        let since = |total: Traffic, base: Traffic| Traffic {
            packets: total.packets.wrapping_sub(base.packets),
            bytes: total.bytes.wrapping_sub(base.bytes),
        };
        (since(self.tx, self.cleared.0), since(self.rx, self.cleared.1))
    }

    /// A PONG for one of our probes came; `here`: over this very link. `arrived` is the peer's count of
    /// datagrams at the time of the probe, if it came along. Returns false where the probe is not known (any more).
    pub fn answered(
        &mut self,
        now: Time,
        id: u32,
        hold: Span,
        here: bool,
        arrived: Option<u32>,
    ) -> (bool, Option<Transition>) {
        let Some(probe) = self.probes.find(id) else {
            return (false, None);
        };
        if here {
            self.rtt.sample(now.since(probe.sent) - hold);
        }
        if let Some(arrived) = arrived {
            self.tx_loss.pair(now, probe.tx_pkts, arrived);
        }
        // An answer that the peer has held back proves that the link worked then, not that it does now.
        let proven = now - hold;
        let silent = now.since(self.last_proof);
        self.sent.answered(probe.sent);
        self.proven(proven);
        self.still_reports = 0;
        self.first_send_error = None;
        let transition = match self.state {
            LinkState::Suspect if proven < self.since => None,
            LinkState::Suspect => self.enter_after(now, LinkState::Up, LinkReason::Answered, silent),
            LinkState::Up => {
                self.tally = 0;
                None
            }
            LinkState::Down if probe.deferred => None,
            LinkState::Down if probe.sent < self.since && self.been_down => {
                self.spurious = self.spurious.saturating_add(1);
                self.raise_floor(now);
                self.damping.forgive(now);
                self.enter_after(now, LinkState::Up, LinkReason::Answered, silent)
            }
            LinkState::Down => {
                let t = self.enter_after(now, LinkState::Probing, LinkReason::Answered, silent);
                self.tally = 1;
                t
            }
            LinkState::Probing => {
                self.tally = self.tally.saturating_add(1);
                self.missed = 0;
                (self.tally >= self.pongs_needed() && self.damping.hold_until() <= now)
                    .then(|| self.enter_after(now, LinkState::Up, LinkReason::PongCount, silent))
                    .flatten()
            }
            LinkState::AdminDown | LinkState::LocalDown => None,
        };
        (true, transition)
    }

    /// The peer reports that `highest` is the highest data counter that arrived over this link.
    pub fn reported(&mut self, now: Time, highest: DataSeq) -> Option<Transition> {
        if !self.sent.could_have_sent(highest) {
            return None;
        }
        if let Some(sent) = self.sent.reported(highest) {
            let silent = now.since(self.last_proof);
            self.report_rtt.sample(now.since(sent));
            self.proven(now);
            self.still_reports = 0;
            self.first_send_error = None;
            if self.state == LinkState::Suspect {
                return self.enter_after(now, LinkState::Up, LinkReason::Answered, silent);
            }
            return None;
        }
        // The report says nothing new. Twice in a row, later than it should have, is a sign.
        let oldest = self.sent.oldest_unreported()?;
        let due = self.rtt.bound() + self.report_delay().times(2) + Span::from_millis(2);
        if self.rtt.srtt().is_none() || now.since(oldest) < due || now.since(self.last_proof) < due {
            self.still_reports = 0;
            return None;
        }
        self.still_reports = self.still_reports.saturating_add(1);
        (self.still_reports >= 2 && self.state == LinkState::Up)
            .then(|| {
                self.enter_after(
                    now,
                    LinkState::Suspect,
                    LinkReason::ReportsStandStill,
                    now.since(oldest),
                )
            })
            .flatten()
    }

    /// The peer tells its view of this link.
    pub fn peer_state(&mut self, now: Time, rx_ok: bool, admin_up: bool, alone: bool) -> Option<Transition> {
        self.peer_admin_down = !admin_up;
        if self.idle_state() != LinkState::Down {
            let state = self.idle_state();
            return self.enter(now, state, LinkReason::Admin);
        }
        match self.state {
            LinkState::AdminDown => self.enter(now, LinkState::Probing, LinkReason::Admin),
            LinkState::Up | LinkState::Suspect if !rx_ok && !alone => {
                self.enter_down(now, LinkReason::PeerReports, now.since(self.last_proof))
            }
            LinkState::Down if rx_ok => {
                self.step_at = self.step_at.min(now);
                None
            }
            _ => None,
        }
    }

    /// The peer says whether it can send on this link. Returns true if it has just lost that ability while we
    /// still believe in ours.
    pub fn peer_tx(&mut self, ok: bool) -> bool {
        let news = !ok && !self.peer_tx_down;
        self.peer_tx_down = !ok;
        news && self.state == LinkState::Up
    }

    /// The local interface or address went away or came back.
    pub fn local(&mut self, now: Time, up: bool) -> Option<Transition> {
        self.local_down = !up;
        let reason = if up {
            LinkReason::LocalUp
        } else {
            LinkReason::LocalDown
        };
        match self.idle_state() {
            LinkState::Down if self.state == LinkState::LocalDown => {
                self.last_rx = now;
                self.enter(now, LinkState::Probing, reason)
            }
            LinkState::LocalDown => {
                self.receiving = false;
                self.enter(now, LinkState::LocalDown, reason)
            }
            _ => None,
        }
    }

    /// The operator changed this link's configuration. The endpoint is made anew if its address changed.
    pub fn reconfigure(&mut self, now: Time, config: LinkConfig) -> Option<Transition> {
        let moved = config.local != self.config.local || config.remote != self.config.remote;
        self.config = config;
        if moved {
            self.endpoint = Endpoint::new(&self.config);
            self.path_changed(false);
        }
        match self.idle_state() {
            LinkState::Down if moved || self.state == LinkState::AdminDown => {
                self.enter(now, LinkState::Probing, LinkReason::Configured)
            }
            LinkState::Down => None,
            state => self.enter(now, state, LinkReason::Admin),
        }
    }

    /// The kernel refused to send: no route, no address.
    pub fn send_error(&mut self, now: Time, alone: bool) -> Option<Transition> {
        let spaced = Span::from_millis(5);
        let errors = match self.first_send_error {
            Some((at, n)) if now.since(at) >= spaced => n.saturating_add(1),
            Some(_) => return None,
            None => 1,
        };
        self.first_send_error = Some((now, errors));
        let silent = now.since(self.last_proof);
        match self.state {
            LinkState::Up => self.enter_after(now, LinkState::Suspect, LinkReason::SendError, silent),
            LinkState::Suspect if errors >= 3 && !alone => {
                self.enter_down(now, LinkReason::SendError, silent)
            }
            _ => None,
        }
    }

    /// Somebody (an ICMP message) claims that the link is dead: ask once, believe nothing.
    pub fn hint(&mut self, now: Time) -> bool {
        let rested = self
            .last_hint
            .is_none_or(|last| now.since(last) >= Span::from_millis(100));
        let ask = self.state == LinkState::Up && rested;
        if ask {
            self.last_hint = Some(now);
        }
        ask
    }

    /// Whether another PING may be answered.
    pub fn may_pong(&mut self, now: Time) -> bool {
        let (start, n) = self.pong_budget;
        self.pong_budget = if now.since(start) >= Span::from_secs(1) {
            (now, 1)
        } else {
            (start, n + 1)
        };
        self.pong_budget.1 <= PONGS_PER_SECOND
    }

    /// Keeps a PING to be answered in our next heartbeat.
    pub fn hold_pong(&mut self, pong: HeldPong) {
        self.held_pong = Some(pong);
    }

    /// The PING to be answered now.
    pub fn take_held_pong(&mut self) -> Option<HeldPong> {
        self.held_pong.take()
    }

    // ---- time ---------------------------------------------------------------------------------------

    /// When [`Link::timeout`] wants to be called next.
    pub fn deadline(&self, now: Time, around: &Surroundings) -> Time {
        if !self.can_send() || self.heartbeat_at == Time::NEVER && self.step_at == Time::NEVER {
            return Time::NEVER;
        }
        let mut at = self.step_at;
        if self.heartbeats(around.driver) {
            at = at.min(self.heartbeat_at);
        }
        if self.receiving {
            at = at.min(self.last_rx + self.receive_timeout());
        }
        match self.state {
            LinkState::Up => {
                let rt = self.report_timeout();
                if let Some(oldest) = self.sent.oldest_unreported() {
                    at = at.min((oldest + rt).max(self.last_proof + rt));
                }
                if let Some(sent) = self.asked {
                    at = at.min(self.doubt_at(sent));
                }
            }
            LinkState::Suspect if self.mirror(now) => at = at.min(self.since + MIRROR_TIME),
            _ => {}
        }
        at
    }

    /// The earliest time at which the data sent so far can make this link suspect: all that the fast path
    /// has to look at.
    pub fn stall_deadline(&self) -> Option<Time> {
        if self.state != LinkState::Up {
            return None;
        }
        let rt = self.report_timeout();
        self.sent
            .oldest_unreported()
            .map(|oldest| (oldest + rt).max(self.last_proof + rt))
    }

    /// Does what is due: judges, and says whether a PING should leave now. To be called again until it has
    /// nothing to say.
    pub fn timeout(
        &mut self,
        now: Time,
        around: &Surroundings,
        entropy: &mut dyn Entropy,
    ) -> (Option<Transition>, Option<PingDue>) {
        if !self.can_send() {
            self.step_at = Time::NEVER;
            return (None, None);
        }
        let mut ping = None;
        if self.heartbeat_at <= now {
            self.heartbeat_at = now + jittered(self.config.timers.interval, entropy);
            if self.heartbeats(around.driver) && self.state >= LinkState::Suspect {
                ping = Some(PingDue::HEARTBEAT);
            }
        }
        match self.state {
            LinkState::Up => self.judge_up(now, ping),
            LinkState::Suspect => self.judge_suspect(now, around, ping),
            LinkState::Probing => self.judge_probing(now, ping),
            LinkState::Down => {
                if self.step_at <= now {
                    self.step_at = now + self.back_off;
                    self.back_off = self.back_off.times(2).clamp(DEAD_PROBE_FIRST, DEAD_PROBE_MAX);
                    ping = Some(PingDue::PROBE);
                }
                (None, ping)
            }
            LinkState::AdminDown | LinkState::LocalDown => (None, None),
        }
    }

    /// Whether nothing has arrived for too long; says so once.
    pub fn went_deaf(&mut self, now: Time) -> bool {
        let deaf = self.receiving && now.since(self.last_rx) >= self.receive_timeout();
        if deaf {
            self.receiving = false;
            // The other side may be unable to ask: find out what this direction is worth.
            self.heartbeat_at = self.heartbeat_at.min(now);
        }
        deaf
    }

    fn judge_up(&mut self, now: Time, ping: Option<PingDue>) -> (Option<Transition>, Option<PingDue>) {
        let rt = self.report_timeout();
        if let Some(oldest) = self.sent.oldest_unreported()
            && now.since(oldest) >= rt
            && now.since(self.last_proof) >= rt
        {
            let t = self.enter_after(now, LinkState::Suspect, LinkReason::Unreported, now.since(oldest));
            return (t, ping);
        }
        if let Some(sent) = self.asked
            && now >= self.doubt_at(sent)
        {
            self.tally = self.tally.saturating_add(1);
            if self.tally >= 2 {
                let silent = now.since(sent);
                let t = self.enter_after(now, LinkState::Suspect, LinkReason::PongMissing, silent);
                // Two have gone unanswered: one more, and its time is that of an idle link.
                self.tally = URGENT_PROBES;
                self.step_at = now + self.idle_retry();
                return (t, Some(PingDue::DOUBT));
            }
            return (None, Some(PingDue::DOUBT));
        }
        (None, ping)
    }

    /// When a probe that was sent at `sent` and is still unanswered counts as missing: the first after RT,
    /// the next after the idle retry.
    fn doubt_at(&self, sent: Time) -> Time {
        let first = sent + self.report_timeout();
        match self.tally {
            0 => first,
            n => first + self.idle_retry().times(u64::from(n)),
        }
    }

    fn judge_suspect(
        &mut self,
        now: Time,
        around: &Surroundings,
        ping: Option<PingDue>,
    ) -> (Option<Transition>, Option<PingDue>) {
        if self.step_at > now {
            return (None, ping);
        }
        if self.tally < URGENT_PROBES {
            self.tally += 1;
            let last = self.tally == URGENT_PROBES;
            self.step_at = now
                + if last {
                    self.report_timeout()
                } else {
                    self.urgent_spacing()
                };
            return (None, Some(PingDue::DOUBT));
        }
        let silent = now.since(self.last_proof);
        if !around.alone && around.peer_heard > self.since {
            return (self.enter_down(now, LinkReason::ProbesUnanswered, silent), None);
        }
        if silent >= self.config.timers.timeout {
            return (self.enter_down(now, LinkReason::Timeout, silent), None);
        }
        self.step_at = now + SLOW_PROBE.min(self.config.timers.timeout - silent + Span::from_millis(1));
        (None, Some(PingDue::DOUBT))
    }

    fn judge_probing(&mut self, now: Time, ping: Option<PingDue>) -> (Option<Transition>, Option<PingDue>) {
        if self.step_at > now {
            return (None, ping);
        }
        if self.missed >= 3 {
            return (
                self.enter(now, LinkState::Down, LinkReason::ProbesUnanswered),
                None,
            );
        }
        if self.missed > 0 {
            self.tally = 0;
        }
        self.missed += 1;
        let pause = if self.tally >= self.pongs_needed() {
            SLOW_PROBE
        } else {
            Span::from_millis(20)
        };
        self.step_at = now + pause.max(self.report_timeout());
        (None, Some(PingDue::PROBE))
    }

    fn heartbeats(&self, driver: bool) -> bool {
        driver || !self.receiving
    }

    fn pongs_needed(&self) -> u8 {
        if !self.been_down {
            self.config.pong_count.min(FIRST_PONG_COUNT)
        } else {
            self.config.pong_count
        }
    }

    /// The state that outside circumstances force on the link, or Down where they force none.
    fn idle_state(&self) -> LinkState {
        if self.config.shutdown || self.peer_admin_down {
            LinkState::AdminDown
        } else if self.local_down {
            LinkState::LocalDown
        } else {
            LinkState::Down
        }
    }

    /// Being wrong is answered with patience: the floor of RT doubles, up to eightfold.
    fn raise_floor(&mut self, now: Time) {
        self.rt_factor = (self.rt_factor * 2).min(8);
        self.factor_changed = now;
    }

    fn count_suspicion(&mut self, now: Time) {
        self.suspects = self.suspects.saturating_add(1);
        if now.since(self.factor_changed) >= Span::from_secs(600) && self.rt_factor > 1 {
            self.rt_factor /= 2;
            self.factor_changed = now;
        }
        let (start, n) = self.suspects_lately;
        self.suspects_lately = if now.since(start) >= Span::from_secs(60) {
            (now, 1)
        } else {
            (start, n + 1)
        };
        if self.suspects_lately.1 > 6 {
            self.suspects_lately = (now, 0);
            self.raise_floor(now);
        }
    }

    /// What was sent until `then` did arrive, or could have.
    fn proven(&mut self, then: Time) {
        self.last_proof = self.last_proof.max(then);
        self.asked = self.probes.oldest_unanswered(self.last_proof);
    }

    fn enter_down(&mut self, now: Time, reason: LinkReason, silent: Span) -> Option<Transition> {
        self.been_down = true;
        self.downs_shown = self.downs_shown.saturating_add(1);
        self.damping.down(now);
        let t = self.enter_after(now, LinkState::Down, reason, silent);
        self.endpoint.go_home();
        t
    }

    fn enter(&mut self, now: Time, to: LinkState, reason: LinkReason) -> Option<Transition> {
        self.enter_after(now, to, reason, now.since(self.last_proof))
    }

    fn enter_after(
        &mut self,
        now: Time,
        to: LinkState,
        reason: LinkReason,
        silent: Span,
    ) -> Option<Transition> {
        if to == self.state {
            return None;
        }
        let from = core::mem::replace(&mut self.state, to);
        self.since = now;
        self.tally = 0;
        self.step_at = Time::NEVER;
        match to {
            LinkState::Up => {
                self.proven(now);
                self.sent.answered(now);
                self.heartbeat_at = self.heartbeat_at.min(now + self.config.timers.interval);
            }
            LinkState::Suspect => {
                self.count_suspicion(now);
                self.step_at = now;
            }
            LinkState::Probing => {
                self.missed = 0;
                self.step_at = now;
            }
            LinkState::Down => {
                self.back_off = DEAD_PROBE_FIRST;
                self.step_at = now + DEAD_PROBE_FIRST;
                self.sent.answered(now);
            }
            LinkState::AdminDown | LinkState::LocalDown => self.sent.clear(),
        }
        Some(Transition {
            from,
            to,
            reason,
            silent,
        })
    }
}

/// Heartbeats are spread over 0.95..1.10 of the interval: never in step with others, not more than one per
/// interval on average, and never later than announced.
fn jittered(interval: Span, entropy: &mut dyn Entropy) -> Span {
    let spread = interval.times(15).divided_by(100);
    interval.times(95).divided_by(100) + Span::from_nanos(entropy.below(spread.as_nanos()))
}
