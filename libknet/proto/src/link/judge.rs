//! What time does to a link: heartbeats, doubt, judgement.

use super::{Link, SLOW_PROBE, Transition, URGENT_PROBES, pace::ANNOUNCEABLE, probe_queue::ProbeQueue};
use crate::{
    event::LinkReason,
    rng::Entropy,
    status::LinkState,
    time::{ShortSpan, Span, Time},
};

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

/// What arrives on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// Something, lately, or that nothing does is known.
    Fine,
    /// Nothing for a while: a PING should leave, to be answered over this link too.
    Ask,
    /// Nothing at all. Said once.
    Deaf,
}

/// What a link may know about its siblings when it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    /// No other link of the peer is up.
    pub alone: bool,
    /// How many links of the peer are neither up nor off: this one, and others.
    pub sick: u8,
    /// When anything authentic of the peer arrived last, on any link.
    pub peer_heard: Time,
    /// This side sends the heartbeats.
    pub driver: bool,
}

impl Link {
    /// When [`Link::timeout`] wants to be called next. `driver`: as in [`Surroundings`].
    pub fn deadline(&self, now: Time, driver: bool) -> Time {
        if !self.can_send() || self.heartbeat_at == Time::NEVER && self.step_at == Time::NEVER {
            return Time::NEVER;
        }
        let mut at = self.step_at;
        if self.heartbeats(driver) {
            at = at.min(self.heartbeat_at);
        }
        if self.receiving {
            at = at.min(self.deaf_at(driver));
        }
        if self.may_probe_mtu(driver) {
            at = at.min(self.mtu.deadline());
        }
        match self.state {
            LinkState::Up => {
                at = at.min(self.quality_deadline().unwrap_or(Time::NEVER));
                let rt = self.report_timeout();
                if let Some(oldest) = self.load.oldest_unreported() {
                    at = at.min((oldest + rt).max(self.last_proof + rt));
                }
                if let Some(sent) = self.asked {
                    at = at.min(self.doubt_at(sent));
                }
            }
            LinkState::Suspect if self.mirror(now) => at = at.min(self.mirror_until()),
            _ => {}
        }
        at
    }

    /// Whether a probe of the path MTU makes sense. Who began the session (`driver`) waits for a first answer over this link:
    /// until the peer knows where the link leads it takes nothing that comes over it, and a size that passes would have to be
    /// searched for. (The peer knows that we take what it sends once it knows where to.)
    pub fn may_probe_mtu(&self, driver: bool) -> bool {
        self.state >= LinkState::Suspect && (!driver || self.rtt.srtt().is_some())
    }

    /// The earliest time at which the data sent so far can make this link suspect: all that the fast path
    /// has to look at.
    pub fn stall_deadline(&self) -> Option<Time> {
        if self.state != LinkState::Up {
            return None;
        }
        let rt = self.report_timeout();
        self.load
            .oldest_unreported()
            .map(|oldest| (oldest + rt).max(self.last_proof + rt))
    }

    /// Does what is due: judges, and says whether a PING should leave now. To be called again until it has
    /// nothing to say.
    pub fn timeout(
        &mut self,
        now: Time,
        around: &Surroundings,
        probes: &mut ProbeQueue,
        entropy: &mut dyn Entropy,
    ) -> (Option<Transition>, Option<PingDue>) {
        if !self.can_send() {
            self.step_at = Time::NEVER;
            return (None, None);
        }
        let mut ping = None;
        if self.heartbeat_at <= now {
            if self.heartbeats(around.driver) && self.state >= LinkState::Suspect {
                // The pace is known before the PING that announces it leaves.
                let slowest = self.slowest_pause().filter(|_| self.state == LinkState::Up);
                self.pace.beat(self.interval(), slowest, self.rests());
                ping = Some(PingDue::HEARTBEAT);
            }
            self.heartbeat_at = now + jittered(self.pace.pause(self.interval()), entropy);
        }
        match self.state {
            LinkState::Up => self.judge_up(now, ping),
            LinkState::Suspect => self.judge_suspect(now, around, probes, ping),
            LinkState::Probing => self.judge_probing(now, around, probes, ping),
            LinkState::Down => {
                if self.step_at <= now && self.turn(now, probes).is_some() {
                    let pause = self.back_off.span();
                    self.back_off = ShortSpan::of(pause.times(2).min(self.longest_back_off()));
                    self.step_at = now
                        + if around.alone {
                            self.among_the_sick(around, pause)
                        } else {
                            pause
                        };
                    ping = Some(PingDue::PROBE);
                }
                (None, ping)
            }
            LinkState::AdminDown | LinkState::LocalDown => (None, None),
        }
    }

    /// The pause between two probes of this link where it should be `pause` for one of a peer with two. However many links of a
    /// peer are sick together, they are asked hardly more often than two (three as three, which is the worst): of eight that
    /// nothing comes over, the peer or what is in front of it is the cause more likely than all eight, and it may be that it has too
    /// much to do already. While nothing else of the peer is up all of them together are asked no more often than it wants
    /// heartbeats: so often it can answer a crowd all of whose members are in the same state.
    fn among_the_sick(&self, around: &Surroundings, pause: Span) -> Span {
        let pause = pause.times(u64::from(around.sick / 2).max(1));
        if around.alone {
            pause.max(self.least_interval.span().times(around.sick.into()))
        } else {
            pause
        }
    }

    /// The probe with which a link in doubt may be asked now; if there is none, its next step is when there is. Where it has waited
    /// for its turn many are in doubt at once: then the cause is near, and which direction of which link is dead is not worth
    /// three answers for each question.
    fn turn(&mut self, now: Time, probes: &mut ProbeQueue) -> Option<PingDue> {
        if core::mem::take(&mut self.queued) {
            return Some(PingDue::PROBE);
        }
        let place = probes.join(now);
        if place <= now {
            return Some(PingDue::DOUBT);
        }
        self.queued = true;
        self.step_at = place;
        None
    }

    /// It is in another state now, and has not to be probed for the old one any more. Returns whether it had a place for that.
    pub fn leaves_queue(&mut self) -> bool {
        core::mem::take(&mut self.queued)
    }

    /// Whether nothing has arrived for so long that something must be done.
    pub fn listen(&mut self, now: Time, driver: bool) -> Hearing {
        if !self.receiving || now < self.deaf_at(driver) {
            return Hearing::Fine;
        }
        // One answer was lost before, at least.
        let needed = self.probes_needed() - 1;
        if self.asked_to_hear < needed {
            self.asked_to_hear += 1;
            return Hearing::Ask;
        }
        self.receiving = false;
        self.rx_loss.interrupt();
        // The other side may be unable to ask: find out what this direction is worth.
        self.heartbeat_at = self.heartbeat_at.min(now);
        Hearing::Deaf
    }

    fn judge_up(&mut self, now: Time, ping: Option<PingDue>) -> (Option<Transition>, Option<PingDue>) {
        let rt = self.report_timeout();
        if let Some(oldest) = self.load.oldest_unreported()
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
        probes: &mut ProbeQueue,
        ping: Option<PingDue>,
    ) -> (Option<Transition>, Option<PingDue>) {
        if self.step_at > now {
            return (None, ping);
        }
        let needed = self.probes_needed();
        let peer_lives = around.peer_heard > self.since;
        if self.tally < needed {
            let Some(probe) = self.turn(now, probes) else {
                return (None, ping);
            };
            self.saw_life |= peer_lives;
            self.tally += 1;
            let last = self.tally == needed;
            self.step_at = now
                + if last {
                    self.report_timeout()
                } else {
                    self.urgent_spacing()
                };
            return (None, Some(probe));
        }
        // A link that was idle had its last proof up to two heartbeats ago: that was no silence.
        let silent = now.since(self.last_proof.max(self.troubles.make().doubted_from));
        if !around.alone && peer_lives {
            if self.saw_life {
                return (self.enter_down(now, LinkReason::ProbesUnanswered, silent), None);
            }
            let Some(probe) = self.turn(now, probes) else {
                return (None, ping);
            };
            // A peer that has paused answers on one link a moment before it does on the others.
            self.saw_life = true;
            self.step_at = now + self.report_timeout();
            return (None, Some(probe));
        }
        if silent >= self.config.timers.timeout {
            return (self.enter_down(now, LinkReason::Timeout, silent), None);
        }
        let Some(probe) = self.turn(now, probes) else {
            return (None, ping);
        };
        if self.tally == needed {
            self.tally += 1;
            let verdicts = &mut self.troubles.make().verdicts;
            verdicts.spared = verdicts.spared.saturating_add(1);
        }
        let end = self.config.timers.timeout - silent + Span::from_millis(1);
        self.step_at = now + self.among_the_sick(around, SLOW_PROBE).min(end);
        (None, Some(probe))
    }

    fn judge_probing(
        &mut self,
        now: Time,
        around: &Surroundings,
        probes: &mut ProbeQueue,
        ping: Option<PingDue>,
    ) -> (Option<Transition>, Option<PingDue>) {
        if self.step_at > now {
            return (None, ping);
        }
        if self.missed >= 3 {
            return (
                self.enter(now, LinkState::Down, LinkReason::ProbesUnanswered),
                None,
            );
        }
        if self.turn(now, probes).is_none() {
            return (None, ping);
        }
        let unanswered = self.missed > 0;
        if unanswered {
            self.tally = 0;
        }
        self.missed += 1;
        let mut pause = if self.tally >= self.pongs_needed() {
            SLOW_PROBE
        } else {
            Span::from_millis(20)
        };
        if unanswered && around.alone {
            pause = self.among_the_sick(around, pause);
        }
        self.step_at = now + pause.max(self.report_timeout());
        (None, Some(PingDue::PROBE))
    }
}

/// Heartbeats are spread over 0.95..1.10 of the interval: never in step with others, not more than one per
/// interval on average, and never later than announced.
fn jittered(interval: Span, entropy: &mut dyn Entropy) -> Span {
    let spread = interval.times(15).divided_by(100);
    let pause = interval.times(95).divided_by(100) + Span::from_nanos(entropy.below(spread.as_nanos()));
    pause.min(ANNOUNCEABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::tests::link;

    /// A link that has answered often enough waits for its hold-down at leisure, until an answer is missing.
    #[test]
    fn a_link_that_waits_is_asked_again_at_once_where_an_answer_is_missing() {
        let around = Surroundings {
            alone: true,
            sick: 1,
            peer_heard: Time::ZERO,
            driver: true,
        };
        let pause = |missed: u8, least_interval: Span| {
            let mut link = link();
            for _ in 0..50 {
                link.rtt.sample(Span::from_millis(1));
            }
            link.keep_apart(least_interval);
            (link.state, link.tally, link.missed) = (LinkState::Probing, u8::MAX, missed);
            link.step_at = Time::ZERO;
            let (_, probe) = link.judge_probing(Time::ZERO, &around, &mut ProbeQueue::default(), None);
            assert_eq!(probe, Some(PingDue::PROBE));
            link.step_at.since(Time::ZERO)
        };
        assert_eq!(pause(0, Span::ZERO), SLOW_PROBE);
        assert!(pause(1, Span::ZERO) < SLOW_PROBE.divided_by(4));
        let crowd = Span::from_secs(4);
        assert_eq!(pause(0, crowd), SLOW_PROBE);
        assert_eq!(pause(1, crowd), crowd);
    }
}
