//! What time does to a peer.

use super::Peer;
use crate::{
    config::PolicyKind,
    event::Event,
    ids::LinkId,
    link::{Hearing, Link, PingDue, Surroundings},
    resend_ring::ResendRing,
    shard::env::Env,
    status::LinkState,
    time::{Span, Time},
};

/// A link whose round trip is longer than that of the nearest by more than this takes no turns: 40 ms each way are
/// what the receiver can make up for by holding frames back, with some room for queues.
const ROUND_ROBIN_SKEW: Span = Span::from_millis(80);

impl Peer {
    /// Does all that is due.
    pub fn timeout(&mut self, env: &mut Env) {
        if self.report_at.is_some_and(|at| at <= env.now) {
            self.send_reports(env);
        }
        if self.is_up() {
            for id in LinkId::all() {
                self.judge_link(env, id);
            }
            // A link may have settled, or its mirroring ended.
            self.choose(env);
        }
        self.deliver_held(env);
        self.replay(env);
        let max_age = self.replay_max_age();
        if let Some(ring) = self.ring.get_mut() {
            ring.expire(env.real, max_age, &mut env.outbox.arena);
        }
        self.keep_sessions(env);
        self.expire_waiting(env);
    }

    /// When [`Peer::timeout`] wants to be called next, in judged time.
    pub fn deadline(&self, env: &Env) -> Time {
        let mut at = self.session_deadline(env);
        if let Some(report) = self.report_at {
            at = at.min(report);
        }
        if let Some(waiting) = self.waiting_deadline() {
            at = at.min(waiting);
        }
        if let Some(change) = self.candidate.deadline() {
            at = at.min(change);
        }
        if let Some(delivery) = self.delivery_deadline() {
            at = at.min(delivery);
        }
        if let Some(replay) = self.ring.get().and_then(ResendRing::deadline) {
            at = at.min(env.judged(replay));
        }
        if self.is_up() {
            let driver = self.drives();
            for link in self.links() {
                at = at.min(link.deadline(env.now, driver));
                at = at.min(link.settles_at(env.now).unwrap_or(Time::NEVER));
            }
        }
        at
    }

    /// The operator asks for a round trip: on `link`, or on every link in use. Returns whether a probe left.
    pub fn probe(&mut self, env: &mut Env, link: Option<LinkId>, token: u64) -> bool {
        if !self.is_up() {
            return false;
        }
        let link = link.or_else(|| self.best_link(crate::ids::LinkSet::EMPTY));
        let Some(link) = link.filter(|l| self.link(*l).is_some_and(Link::can_send)) else {
            return false;
        };
        self.send_ping(env, link, PingDue::OPERATOR, Some(token));
        true
    }

    fn judge_link(&mut self, env: &mut Env, id: LinkId) {
        self.note_data(env, id);
        let around = self.surroundings(id);
        let Some(link) = self.link_mut(id) else { return };
        let hearing = if link.can_send() {
            link.listen(env.now, around.driver)
        } else {
            Hearing::Fine
        };
        match hearing {
            Hearing::Fine => {}
            Hearing::Ask => self.send_ping(env, id, PingDue::DOUBT, None),
            Hearing::Deaf => {
                env.event(Event::LinkReceive {
                    peer: self.id,
                    link: id,
                    ok: false,
                });
                if let Some(resequencer) = self.resequencer.get_mut() {
                    resequencer.link_gone(id);
                }
                self.send_link_state(env, id);
            }
        }
        self.probe_mtu(env, id);
        self.judge_quality(env, id);
        // One step may make the next one due, as Suspect does for its first probe; never more than a few.
        for _ in 0..4 {
            let Some(link) = self.link_mut(id) else { return };
            let (transition, ping) = link.timeout(env.now, &around, &mut env.probes, &mut *env.entropy);
            if transition.is_none() && ping.is_none() {
                return;
            }
            self.after(env, id, transition);
            if let Some(ping) = ping {
                self.send_ping(env, id, ping, None);
            }
        }
    }

    /// Something was learned of what a link is worth: whether it exceeds what it is allowed.
    pub(super) fn judge_what_was_learned(&mut self, env: &mut Env, id: LinkId) {
        if self.judge_quality(env, id) {
            self.choose(env);
        }
    }

    /// Whether the link exceeds what it is allowed. Returns true if that has changed.
    fn judge_quality(&mut self, env: &mut Env, id: LinkId) -> bool {
        let nearest = self.nearest_other(id);
        let Some(link) = self.link_mut(id).filter(|l| l.state() == LinkState::Up) else {
            return false;
        };
        let (loss_ppm, srtt) = (link.recent_loss_ppm(), link.rtt.srtt());
        let mut limits = link.config.limits;
        let too_far = nearest.map(|rtt| rtt + ROUND_ROBIN_SKEW);
        limits.rtt = limits.rtt.into_iter().chain(too_far).min();
        let changed = link.judge_quality(env.now, &limits, loss_ppm, srtt);
        if changed {
            let poor = link.is_poor();
            let far = poor && too_far.is_some_and(|limit| srtt.is_some_and(|s| s > limit));
            env.event(Event::LinkQuality {
                peer: self.id,
                link: id,
                poor,
                loss_ppm,
                srtt: srtt.unwrap_or_default(),
                nearest: nearest.filter(|_| far),
            });
        }
        changed
    }

    /// Where frames take turns over the links: the shortest round trip of the links up besides `id`.
    fn nearest_other(&self, id: LinkId) -> Option<Span> {
        let others = self
            .links()
            .filter(|l| l.id != id && l.state() == LinkState::Up)
            .filter_map(|l| l.rtt.srtt());
        others
            .min()
            .filter(|_| self.config.policy == PolicyKind::RoundRobin)
    }

    fn surroundings(&self, id: LinkId) -> Surroundings {
        let sick = |l: &&Link| l.state() < LinkState::Up && l.can_send();
        Surroundings {
            alone: self.is_alone(id),
            sick: self.links().filter(sick).count() as u8,
            peer_heard: self.heard,
            driver: self.drives(),
        }
    }
}
