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

pub mod capacity;
pub mod endpoint;
mod fading_share;
pub mod flap_damping;
mod judge;
pub mod large_watch;
mod load;
pub mod loss;
pub mod pace;
pub mod path_mtu;
pub mod probe;
pub mod probe_queue;
pub mod quality;
pub mod rtt;
pub mod sent_log;
mod signals;
mod troubles;

pub use judge::{Hearing, PingDue, Surroundings};

use core::num::NonZeroU8;

use crate::{
    config::{Remote, SharedLinkConfig},
    event::LinkReason,
    ids::LinkId,
    on_demand::OnDemand,
    status::{LinkState, Traffic, Verdicts},
    time::{ShortSpan, Span, Time},
    token_bucket::{Rate, TokenBucket},
    wire::control_record::ReceiveQuality,
};
use endpoint::Endpoint;
use load::Load;
use loss::{Faultless, Faults, LossMeter};
use pace::{Need, Pace};
use path_mtu::{Limits, PathMtu};
use probe::Probes;
use rtt::{JitterMeter, RttEstimator, RttTail};
use troubles::Troubles;

/// Bits of the numbers of probes that name their link.
pub const LINK_BITS: u32 = 3;
/// Urgent probes that must go unanswered before a link is called down.
pub const URGENT_PROBES: u8 = 3;
/// The same where most are lost anyway.
const MOST_PROBES: u8 = 14;
/// A link that was down takes over from one that works only after this time.
const SETTLE_TIME: Span = Span::from_secs(3);
/// A link that has proven itself within this time tells the kernel that its neighbour is there (`MSG_CONFIRM`).
const WARM_TIME: Span = Span::from_secs(2);
/// Probing of a link that is down: first and longest pause. A dead link costs no more than an idle one.
const DEAD_PROBE_FIRST: Span = Span::from_millis(200);
const DEAD_PROBE_MAX: Span = Span::from_secs(2);
/// Least pause between probes of a link that is down and that the peer says it hears us on. Four are remembered: their
/// answers may take 2 s.
const HASTY_PROBE: Span = Span::from_millis(500);
/// A link in doubt is asked no more often than this because of what another peer says.
const HASTY_ASK: Span = Span::from_millis(10);
/// Pause between probes while a link is in doubt and nothing better can be done than wait.
const SLOW_PROBE: Span = Span::from_millis(200);
/// Least pause between probes of an idle link whose heartbeat was not answered.
const IDLE_RETRY: Span = Span::from_millis(50);
/// Answers that bring a link up for the first time.
const FIRST_PONG_COUNT: u8 = 3;
/// PINGs answered (limits: row 23).
const PONGS: Rate = Rate::new(200, 200);

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

/// One link.
#[derive(Debug)]
pub struct Link {
    /// Its id.
    pub id: LinkId,
    /// What was configured, or the default for a link that the peer opened.
    pub config: SharedLinkConfig,
    /// As configured, or as the peer that opened it says.
    pub priority: u8,
    /// Likewise.
    pub weight: Option<NonZeroU8>,
    /// Where it leads.
    pub endpoint: Endpoint,
    /// Round-trip time, from PONGs.
    pub rtt: RttEstimator,
    /// The slowest of them lately.
    pub rtt_tail: RttTail,
    /// Jitter of what arrives.
    pub jitter: JitterMeter,
    /// How what we send arrives, as the peer says.
    pub peer_quality: Option<ReceiveQuality>,
    /// Datagrams sent.
    pub tx: Traffic,
    /// When the last of them left.
    pub last_tx: Time,
    /// Datagrams received.
    pub rx: Traffic,
    /// Of those sent and received, the probes of the path MTU: what is too long for the path is no loss.
    pub mtu_probes: (u32, u32),
    /// The data that it carries.
    pub load: Load,
    /// Its part of the traffic where links share it, relative to the others; 1 or more.
    pub share: u16,
    /// The largest datagram that passes.
    pub mtu: PathMtu,
    tx_loss: LossMeter,
    rx_loss: LossMeter,
    /// Control datagrams of the peer that no later one had overtaken.
    in_order: Faultless,
    faults: OnDemand<Faults>,
    troubles: OnDemand<Troubles>,
    /// It has gone down since it was configured.
    been_down: bool,
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
    /// That is a place in the queue of those that are to be probed.
    queued: bool,
    back_off: ShortSpan,
    /// Probes in a row without an answer while Probing.
    missed: u8,
    heartbeat_at: Time,
    /// While it is suspect: something came from the peer when its probes were under way.
    saw_life: bool,
    /// Probes since the last datagram that were sent only to hear something.
    asked_to_hear: u8,
    pace: Pace,
    /// The peer has asked for heartbeats no closer together than this.
    least_interval: ShortSpan,
    /// When the pace was last hastened: what was silent before was so with leave.
    hastened: Time,
    need: Need,
    /// See [`Link::peer_pause`]; 0 where it has announced none.
    peer_pause_ms: u16,
    still_reports: u8,
    rt_factor: u8,
    pongs: TokenBucket,
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
    pub fn new(id: LinkId, config: SharedLinkConfig, now: Time, largest_datagram: u16) -> Self {
        let ipv6 = matches!(config.remote, Remote::Static(address) if address.is_ipv6());
        let mut link = Self {
            id,
            endpoint: Endpoint::new(&config),
            priority: config.priority,
            weight: config.weight,
            config,
            rtt: RttEstimator::default(),
            rtt_tail: RttTail::default(),
            jitter: JitterMeter::default(),
            peer_quality: None,
            tx: Traffic::default(),
            last_tx: now,
            rx: Traffic::default(),
            mtu_probes: (0, 0),
            load: Load::default(),
            share: 1,
            mtu: PathMtu::new(
                now,
                ipv6,
                Limits {
                    interface_mtu: None,
                    largest_datagram,
                },
            ),
            been_down: false,
            tx_loss: LossMeter::default(),
            rx_loss: LossMeter::default(),
            in_order: Faultless::default(),
            faults: OnDemand::NONE,
            troubles: OnDemand::NONE,
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
            queued: false,
            back_off: ShortSpan::of(DEAD_PROBE_FIRST),
            missed: 0,
            heartbeat_at: Time::NEVER,
            saw_life: false,
            asked_to_hear: 0,
            pace: Pace::default(),
            least_interval: ShortSpan::default(),
            hastened: now,
            need: Need::default(),
            peer_pause_ms: 0,
            still_reports: 0,
            rt_factor: 1,
            pongs: TokenBucket::FULL,
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

    /// When anything came over it last.
    pub const fn last_rx(&self) -> Time {
        self.last_rx
    }

    /// Whether what the peer sends arrives.
    pub const fn receiving(&self) -> bool {
        self.receiving
    }

    /// Whether anything may be sent on it at all.
    pub fn can_send(&self) -> bool {
        self.state >= LinkState::Down && self.endpoint.is_known()
    }

    /// Whether it has been up for long enough to take over from a link that works.
    pub fn settled(&self, now: Time) -> bool {
        !self.been_down || now.since(self.since) >= SETTLE_TIME
    }

    /// When it will have been, if it is up and has not been for long enough.
    pub fn settles_at(&self, now: Time) -> Option<Time> {
        let at = self.since + SETTLE_TIME;
        (self.state == LinkState::Up && self.been_down && at > now).then_some(at)
    }

    /// Whether it has proven itself lately.
    pub fn warm(&self, now: Time) -> bool {
        now.since(self.last_proof) <= WARM_TIME
    }

    /// Whether it has proven itself since `then`.
    pub fn proven_since(&self, then: Time) -> bool {
        self.last_proof > then
    }

    /// Whether a probe waits for its answer.
    pub const fn is_waiting(&self) -> bool {
        self.asked.is_some()
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
        self.state == LinkState::Suspect && now < self.mirror_until()
    }

    /// Datagrams sent so far from which loss is computed, modulo 2^32.
    pub fn counted_tx(&self) -> u32 {
        (self.tx.packets as u32).wrapping_sub(self.mtu_probes.0)
    }

    /// And received.
    pub fn counted_rx(&self) -> u32 {
        (self.rx.packets as u32).wrapping_sub(self.mtu_probes.1)
    }

    /// How what the peer sends arrives.
    pub fn receive_quality(&self) -> ReceiveQuality {
        ReceiveQuality {
            jitter_us: u32::try_from(self.jitter.jitter().as_micros()).unwrap_or(u32::MAX),
            reordered_ppm: self.reordered_ppm(),
        }
    }

    /// Until then what goes out over another link goes out over it as well, while it is suspect.
    pub fn mirror_until(&self) -> Time {
        self.troubles.get().map_or(Time::ZERO, |t| t.mirror_until)
    }

    /// It is suspect, and is mirrored on until then.
    pub fn mirror_while(&mut self, until: Time) {
        self.troubles.make().mirror_until = until;
    }

    /// How it has been judged so far.
    pub fn verdicts(&self) -> Verdicts {
        self.troubles.get().map(|t| t.verdicts).unwrap_or_default()
    }

    /// The penalty of flap damping now, in thousandths.
    pub fn penalty_milli(&self, now: Time) -> u32 {
        self.troubles.get().map_or(0, |t| t.damping.milli(now))
    }

    /// Until when flap damping keeps it out of use.
    fn hold_until(&self) -> Time {
        self.troubles.get().map_or(Time::ZERO, |t| t.damping.hold_until())
    }

    /// How much longer flap damping keeps it out of use.
    pub fn held_for(&self, now: Time) -> Span {
        match self.state {
            LinkState::Down | LinkState::Probing => self.hold_until().since(now),
            _ => Span::ZERO,
        }
    }

    /// How long the receiver of this link waits before it reports data: a quarter of the round trip and a
    /// millisecond, 2..=25 ms.
    pub fn report_delay(&self) -> Span {
        let quarter = self.rtt.srtt().map_or(Span::ZERO, |s| s.divided_by(4));
        (quarter + Span::from_millis(1)).clamp(Span::from_millis(2), Span::from_millis(25))
    }

    /// RT: how long data may go unreported before the link is suspect. However late the peer was once, when it stood still, no
    /// more than the time after which a link is down.
    pub fn report_timeout(&self) -> Span {
        // The smallest round trip tells how far away the peer is; the others tell how busy the path is.
        let floor = match self.rtt.min() {
            Some(min) if min < Span::from_millis(2) => Span::from_millis(10),
            Some(_) => Span::from_millis(30),
            None => Span::from_millis(100),
        };
        (floor.times(u64::from(self.rt_factor)))
            .max(self.rtt.bound() + self.report_delay())
            .max(self.load.report_bound())
            .min(self.config.timers.timeout)
    }

    /// The mean pause between heartbeats now: ours, or as the peer announces its own.
    pub fn heartbeat(&self, driver: bool) -> Span {
        let pause = self.pace.pause(self.interval());
        if driver {
            return pause;
        }
        self.peer_pause()
            .map_or(pause, |longest| longest.times(10).divided_by(11))
    }

    /// The longest pause between our heartbeats, told to the peer so that it can miss them.
    pub fn announced_interval_ms(&self) -> u16 {
        longest(self.pace.pause(self.interval())).as_millis() as u16
    }

    /// Pause between urgent probes.
    fn urgent_spacing(&self) -> Span {
        self.report_timeout().divided_by(2).max(Span::from_millis(5))
    }

    fn idle_retry(&self) -> Span {
        self.report_timeout().max(IDLE_RETRY)
    }

    /// Probes without an answer that make the link dead: as many as chance alone would not leave unanswered.
    fn probes_needed(&self) -> u8 {
        let arrive = |ppm: u32| 1_000_000 - u64::from(ppm).min(1_000_000);
        let both = arrive(self.tx_loss_ppm()) * arrive(self.rx_loss_ppm()) / 1_000_000;
        losses_in_a_row(1_000_000 - both)
    }

    /// How long nothing may arrive before the receiving side is called dead: the sender's longest pause, and
    /// the time in which it would have noticed and asked twice more. Then we ask ourselves, for it may have had its
    /// answer over another link.
    fn deaf_at(&self, driver: bool) -> Time {
        let interval = self.interval();
        // What comes is answers to ours; where these do not arrive, it is the heartbeats of the peer.
        let pause = if driver && self.state >= LinkState::Suspect {
            longest(self.pace.pause(interval))
        } else {
            self.peer_pause().unwrap_or(longest(interval))
        };
        let silence = pause + self.report_timeout() + self.idle_retry().times(2);
        let asked = self.urgent_spacing().times(u64::from(self.asked_to_hear));
        self.last_rx.max(self.hastened) + silence + asked
    }

    fn heartbeats(&self, driver: bool) -> bool {
        driver || !self.receiving
    }

    fn pongs_needed(&self) -> u8 {
        if self.been_down {
            self.config.pong_count
        } else {
            self.config.pong_count.min(FIRST_PONG_COUNT)
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
        self.troubles.make().patience_changed = now;
    }

    fn count_suspicion(&mut self, now: Time) {
        let troubles = self.troubles.make();
        let often = troubles.suspected(now);
        if now.since(troubles.patience_changed) >= Span::from_secs(600) && self.rt_factor > 1 {
            self.rt_factor /= 2;
            troubles.patience_changed = now;
        }
        // A doubt costs a few mirrored frames, waiting costs lost ones: do not go far.
        if often && self.rt_factor < 2 {
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
        let troubles = self.troubles.make();
        troubles.verdicts.downs = troubles.verdicts.downs.saturating_add(1);
        troubles.damping.down(now);
        self.tx_loss.interrupt();
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
        self.saw_life = false;
        self.tally = 0;
        self.step_at = Time::NEVER;
        if to != LinkState::Up {
            self.hasten(now);
        }
        match to {
            LinkState::Up if from != LinkState::Suspect => self.mtu.restart(),
            // Doubt may come from a size that does not pass any more: only the probes can tell.
            LinkState::Up | LinkState::Suspect => {}
            _ => self.mtu.pause(),
        }
        match to {
            LinkState::Up => {
                self.proven(now);
                self.load.answered(now);
                self.heartbeat_at = self.heartbeat_at.min(now + self.interval());
            }
            LinkState::Suspect => {
                self.troubles.make().doubted_from = now - silent;
                self.count_suspicion(now);
                self.step_at = now;
            }
            LinkState::Probing => {
                self.missed = 0;
                self.step_at = now;
            }
            LinkState::Down => {
                self.back_off = ShortSpan::of(DEAD_PROBE_FIRST);
                self.step_at = now + DEAD_PROBE_FIRST;
                self.load.answered(now);
            }
            LinkState::AdminDown | LinkState::LocalDown => self.load.stop(),
        }
        Some(Transition {
            from,
            to,
            reason,
            silent,
        })
    }
}

/// The longest pause at this pace (see `jittered`), as far as it can be announced.
fn longest(pause: Span) -> Span {
    pause.times(11).divided_by(10).min(pace::ANNOUNCEABLE)
}

/// How many in a row are lost by chance once in a million times, where `loss_ppm` of all are lost; at least
/// [`URGENT_PROBES`], and at most [`MOST_PROBES`].
fn losses_in_a_row(loss_ppm: u64) -> u8 {
    let (mut chance, mut count) = (1_000_000_000_000_u64, 0);
    while chance > 1_000_000 && count < MOST_PROBES {
        chance = chance / 1_000_000 * loss_ppm.min(1_000_000);
        count += 1;
    }
    count.max(URGENT_PROBES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that has just come to be.
    pub(super) fn link() -> Link {
        let id = LinkId::new(0).expect("an id");
        Link::new(id, SharedLinkConfig::default(), Time::ZERO, 1_446)
    }

    #[test]
    fn what_the_kernel_refuses_is_no_loss() {
        let mut link = link();
        link.tx.count(1_000);
        link.clear_counters();
        link.tx.count(1_472);
        link.take_back(1_472);
        assert_eq!(link.probe(Time::ZERO, false).tx_pkts, 1);
        assert_eq!(link.shown_traffic().0, Traffic::default());
        link.take_back(1_000);
        assert_eq!(link.shown_traffic().0, Traffic::default());
    }

    #[test]
    fn chance_alone_leaves_fewer_unanswered() {
        for (percent, probes) in [(0, 3), (1, 3), (2, 4), (10, 6), (36, 14), (60, 14), (100, 14)] {
            assert_eq!(losses_in_a_row(percent * 10_000), probes, "{percent} %");
        }
        assert_eq!(losses_in_a_row(u64::MAX), MOST_PROBES);
    }
}
