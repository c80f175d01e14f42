//! What happens to a link: sessions, answers, reports, errors, events, the operator.

use super::{
    HASTY_ASK, HASTY_PROBE, HeldPong, Link, PONGS, Transition,
    endpoint::Endpoint,
    probe::Probe,
    rtt::{JitterMeter, RttEstimator, RttTail},
    sent_log::DataSeq,
};
use crate::{
    config::SharedLinkConfig,
    event::LinkReason,
    status::{LinkState, Traffic, Verdicts},
    time::{Span, Time},
};

/// A datagram of no more than this, in bytes of UDP payload, passes everywhere.
const SMALL: usize = super::path_mtu::floor(false) as usize;

/// What the time to an answer is worth.
enum Measures {
    /// It is that of the path.
    Path,
    /// It may be that of a peer that has stood still.
    Doubt,
    Nothing,
}

impl Measures {
    fn sample(self, estimator: &mut RttEstimator, rtt: Span) {
        match self {
            Self::Path => estimator.sample(rtt),
            Self::Doubt => estimator.doubtful_sample(rtt),
            Self::Nothing => {}
        }
    }
}

impl Link {
    /// There is a session (again): begin to probe. `anew`: it does not follow
    /// another session of the same process at the other end.
    pub fn session_begins(&mut self, now: Time, anew: bool) -> Option<Transition> {
        if anew {
            self.forget_measurements();
            self.jitter = JitterMeter::default();
            self.held_pong = None;
            self.peer_admin_down = false;
            self.last_rx = now;
            self.asked_to_hear = 0;
            self.receiving = true;
            self.peer_pause_ms = 0;
            self.peer_wishes(now, 0);
        }
        if self.slowest_pause().is_some() {
            // The other side may send the heartbeats from now on: what was silent before was so with leave.
            self.hastened = now;
        }
        let pause = self.pace.pause(self.interval());
        self.heartbeat_at = self.heartbeat_at.min(now + pause);
        match self.idle_state() {
            LinkState::Down if anew => self.enter(now, LinkState::Probing, LinkReason::SessionBegins),
            _ => None,
        }
    }

    /// The session is gone.
    pub fn session_ends(&mut self, now: Time) -> Option<Transition> {
        self.load.forget();
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
            LinkState::Probing | LinkState::Down | LinkState::Suspect if self.hold_until() <= now => {
                self.enter(now, LinkState::Up, reason)
            }
            LinkState::Down => self.enter(now, LinkState::Probing, reason),
            _ => None,
        }
    }

    /// The path is another one now: what was measured on the old one is void.
    pub fn path_changed(&mut self, now: Time, same_host: bool) {
        if !same_host {
            self.rtt = RttEstimator::default();
            self.rtt_tail = RttTail::default();
        }
        let ipv6 = self.endpoint.current().is_some_and(|p| p.remote.is_ipv6());
        self.mtu.reset(now, ipv6);
        self.forget_measurements();
    }

    /// The path is another one, or the peer has restarted and counts from zero again.
    fn forget_measurements(&mut self) {
        self.forget_losses();
        self.peer_quality = None;
        self.load.forget();
        self.probes.clear();
        self.asked = None;
    }

    /// A datagram arrived on this link. Returns true if the receiving side was called dead before.
    pub fn heard(&mut self, now: Time) -> bool {
        self.last_rx = now;
        self.asked_to_hear = 0;
        !core::mem::replace(&mut self.receiving, true)
    }

    /// A data datagram of `len` bytes left on this link. Returns true if there is a new deadline: it is the only one
    /// waiting to be reported, or the first for which the size that passes matters.
    pub fn data_sent(&mut self, now: Time, seq: DataSeq, len: usize) -> bool {
        let spacing = self.report_timeout().divided_by(16).max(Span::from_millis(1));
        let first = self.load.sent(now, seq, len, spacing, self.mtu.floor());
        first | (len > SMALL && self.mtu.used())
    }

    /// A report about this link, for those who watch whether large datagrams vanish.
    pub fn watch_large(&mut self, now: Time, highest: DataSeq, bitmap: u64) {
        if self.load.large().is_some_and(|l| l.reported(highest, bitmap)) {
            self.mtu.black_hole(now);
        }
    }

    /// The size that passes is another one: what vanished before says nothing about it.
    pub fn forget_large(&mut self) {
        if let Some(large) = self.load.large() {
            large.clear();
        }
    }

    /// A PING leaves now.
    pub fn probe(&mut self, now: Time, deferred: bool) -> Probe {
        let id = (self.next_probe_id << 3) | u32::from(self.id.get());
        self.next_probe_id = self.next_probe_id.wrapping_add(1);
        let probe = Probe {
            id,
            sent: now,
            tx_pkts: self.counted_tx(),
            deferred,
            answered: false,
        };
        self.probes.sent(probe);
        if !deferred {
            self.asked.get_or_insert(now);
        }
        probe
    }

    /// The kernel refused a datagram of `len` bytes: it never was on the link, so that it is not lost there.
    pub fn take_back(&mut self, len: usize) {
        self.tx.packets = self.tx.packets.saturating_sub(1);
        self.tx.bytes = self.tx.bytes.saturating_sub(len as u64);
    }

    /// Sets the counters that people see to zero. The ones that loss is computed from go on.
    pub fn clear_counters(&mut self) {
        let shown_from = (self.tx, self.rx);
        let troubles = self.troubles.make();
        *troubles.cleared.make() = shown_from;
        troubles.verdicts = Verdicts::default();
    }

    /// Datagrams sent and received since the counters were cleared.
    pub fn shown_traffic(&self) -> (Traffic, Traffic) {
        let since = |total: Traffic, base: Traffic| Traffic {
            packets: total.packets.saturating_sub(base.packets),
            bytes: total.bytes.saturating_sub(base.bytes),
        };
        let cleared = self.troubles.get().and_then(|troubles| troubles.cleared.get());
        let (tx, rx) = cleared.copied().unwrap_or_default();
        (since(self.tx, tx), since(self.rx, rx))
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
        let Some(probe) = self.probes.answered(id) else {
            return (false, None);
        };
        if here {
            let rtt = now.since(probe.sent) - hold;
            self.measures(probe.sent).sample(&mut self.rtt, rtt);
            self.rtt_tail.sample(now, rtt);
        }
        if let Some(arrived) = arrived {
            // The probe itself is one of those that have arrived.
            self.pair_sent(now, probe.tx_pkts.wrapping_add(1), arrived);
        }
        // An answer that the peer has held back proves that the link worked then, not that it does now.
        let proven = now - hold;
        let silent = now.since(self.last_proof);
        if here && self.load.large().is_some_and(|l| l.answered(probe.sent)) {
            self.mtu.black_hole(now);
        }
        self.load.answered(probe.sent);
        self.proven(proven);
        self.still_reports = 0;
        self.no_send_error();
        let transition = match self.state {
            LinkState::Suspect if proven < self.since => None,
            LinkState::Suspect => self.enter_after(now, LinkState::Up, LinkReason::Answered, silent),
            LinkState::Up => {
                self.tally = 0;
                None
            }
            LinkState::Down if probe.deferred => None,
            LinkState::Down if probe.sent < self.since && self.been_down => {
                let troubles = self.troubles.make();
                troubles.verdicts.spurious = troubles.verdicts.spurious.saturating_add(1);
                troubles.damping.forgive(now);
                self.raise_floor(now);
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
                if self.tally == self.pongs_needed() && self.hold_until() > now {
                    let verdicts = &mut self.troubles.make().verdicts;
                    verdicts.held = verdicts.held.saturating_add(1);
                }
                (self.tally >= self.pongs_needed() && self.hold_until() <= now)
                    .then(|| self.enter_after(now, LinkState::Up, LinkReason::PongCount, silent))
                    .flatten()
            }
            LinkState::AdminDown | LinkState::LocalDown => None,
        };
        (true, transition)
    }

    /// What an answer to something sent at `sent` measures. The first one that ends a doubt says what there is to say of it.
    fn measures(&self, sent: Time) -> Measures {
        match self.state {
            LinkState::Suspect => Measures::Doubt,
            LinkState::Down if sent < self.since => Measures::Doubt,
            LinkState::Up if sent < self.since => Measures::Nothing,
            _ => Measures::Path,
        }
    }

    /// Whether a report about `highest` on this link can be true.
    pub fn could_report(&self, highest: DataSeq) -> bool {
        self.load.could_have_sent(highest)
    }

    /// The peer reports that `highest` is the highest data counter that arrived over this link.
    pub fn reported(&mut self, now: Time, highest: DataSeq) -> Option<Transition> {
        if !self.load.could_have_sent(highest) {
            return None;
        }
        if let Some(sent) = self.load.reported(highest) {
            let silent = now.since(self.last_proof);
            let rt = self.report_timeout();
            let caught_up = self.load.oldest_unreported().is_none_or(|at| now.since(at) < rt);
            if caught_up || self.state != LinkState::Suspect {
                let rtt = now.since(sent);
                let measures = self.measures(sent);
                if let Some(estimator) = self.load.report_rtt() {
                    measures.sample(estimator, rtt);
                }
                if let Some(capacity) = self.load.capacity() {
                    capacity.delay(now, rtt);
                }
            }
            // A report can be late, when those before it were lost with a link: it proves that the link worked when
            // the data arrived, and no more.
            let arrived = sent + self.rtt.srtt().unwrap_or_default();
            self.proven(now.min(arrived));
            self.still_reports = 0;
            self.no_send_error();
            if self.state == LinkState::Suspect && caught_up {
                return self.enter_after(now, LinkState::Up, LinkReason::Answered, silent);
            }
            return None;
        }
        // The report says nothing new. Twice in a row, later than it should have, is a sign.
        let oldest = self.load.oldest_unreported()?;
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

    /// `arrived` datagrams have arrived over this link, says a message that came over it. While nothing is under way
    /// that tells what was lost: the answer to a deferred PING comes too late for that.
    pub fn arrived(&mut self, now: Time, arrived: u32) {
        let quiet = |srtt: Span| now.since(self.last_tx) > srtt.times(2) + Span::from_millis(2);
        // What a dead link swallows says nothing of how much it loses when it works.
        if self.state == LinkState::Up && self.rtt.srtt().is_some_and(quiet) {
            self.pair_sent(now, self.counted_tx(), arrived);
            self.shed(now);
        }
    }

    /// Gives back what a link without data does not need.
    fn shed(&mut self, now: Time) {
        self.load.shed(now);
        self.shed_faults();
        self.mtu.shed(now);
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
                // Each answer says so. If each led to a probe at once, so many would be on the way that none is
                // remembered until its answer comes, and it would never end.
                let earliest = self.probes.last_sent().map_or(now, |sent| sent + HASTY_PROBE);
                self.step_at = self.step_at.min(earliest.max(now));
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
        if news {
            // What it has announced does not hold any more.
            self.peer_pause_ms = 0;
        }
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
    pub fn reconfigure(&mut self, now: Time, config: SharedLinkConfig) -> Option<Transition> {
        let mut moved = config.local != self.config.local || config.remote != self.config.remote;
        if config.timers.interval != self.config.timers.interval {
            // What was silent before was so with leave.
            self.hastened = now;
            self.heartbeat_at = self.heartbeat_at.min(now + config.timers.interval);
        }
        (self.priority, self.weight) = (config.priority, config.weight);
        self.config = config;
        if moved {
            let place = |e: &Endpoint| e.current().map(|p| (p.socket, p.remote));
            let before = place(&self.endpoint);
            self.endpoint = Endpoint::new(&self.config);
            // A peer that was followed to where it is configured to be now is where it was.
            moved = before.is_none() || before != place(&self.endpoint);
        }
        if moved {
            self.path_changed(now, false);
        }
        match self.idle_state() {
            LinkState::Down if moved && self.state == LinkState::Probing => {
                // What was found out so far is about another address, or nothing was because there was none.
                self.since = now;
                self.tally = 0;
                self.missed = 0;
                self.step_at = now;
                None
            }
            LinkState::Down if moved || self.state == LinkState::AdminDown => {
                self.enter(now, LinkState::Probing, LinkReason::Configured)
            }
            LinkState::Down => None,
            state => self.enter(now, state, LinkReason::Admin),
        }
    }

    /// The kernel refused to send: no route, no address.
    pub fn send_error(&mut self, now: Time, alone: bool) -> Option<Transition> {
        let errors = self.troubles.make().send_error(now)?;
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
        self.state == LinkState::Up && self.troubles.make().hint(now)
    }

    fn no_send_error(&mut self) {
        if let Some(troubles) = self.troubles.get_mut() {
            troubles.no_send_error();
        }
    }

    /// Somebody else's word hints at that the peer is gone: whether to ask over this link. One that is in doubt is asked when
    /// the answer to the last question is overdue, and no sooner: only the last few questions are remembered.
    pub fn may_ask(&mut self, now: Time) -> bool {
        match self.state {
            LinkState::Suspect => {
                let pause = self.rtt.srtt().unwrap_or_default().max(HASTY_ASK);
                self.probes
                    .last_sent()
                    .is_none_or(|sent| now.since(sent) >= pause)
            }
            _ => self.hint(now),
        }
    }

    /// Whether another PING may be answered.
    pub fn may_pong(&mut self, now: Time) -> bool {
        self.pongs.take(PONGS, now, 1)
    }

    /// Keeps a PING to be answered in our next heartbeat.
    pub fn hold_pong(&mut self, pong: HeldPong) {
        self.held_pong = Some(pong);
    }

    /// The PING to be answered now.
    pub fn take_held_pong(&mut self) -> Option<HeldPong> {
        self.held_pong.take()
    }
}
