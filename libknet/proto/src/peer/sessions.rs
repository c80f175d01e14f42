//! Sessions come and go: when a handshake is wanted, and which session is used when two exist.

use alloc::{boxed::Box, vec::Vec};

use super::Peer;
use crate::{
    event::{Event, LinkReason, SessionDownReason},
    handshake::message::{Input, NewSession, Role},
    ids::{LinkId, LinkSet},
    link::{Link, PingDue},
    path::Path,
    rng::Entropy,
    session::{REJECT_AFTER, REKEY_JITTER, Session},
    shard::{env::Env, outbox::Class},
    status::LinkState,
    time::{Span, Time},
};

/// Two sessions made within this time by handshakes that crossed: both sides must prefer the same one.
const CROSSING: Span = Span::from_secs(5);
/// After this time without success handshakes become rare.
const EAGER: Span = Span::from_secs(90);
const RARE: Span = Span::from_secs(15);
/// Pause after the peer said goodbye: it will call us when it is back.
const AFTER_CLOSE: Span = Span::from_secs(1);
/// A session that is younger proves that the peer has not restarted. Two rekeys in a row would end the session under
/// which what must be sent again was sealed.
pub(super) const YOUNG: Span = Span::from_secs(1);
/// What was sealed before a session was replaced may still be on its way, or be sent again, for so long.
const STRAGGLERS: Span = Span::from_secs(20);
/// A session over which nothing can be sent is given up after this time.
const UNREACHABLE: Span = Span::from_secs(30);
/// Pauses between attempts, in ms; the last one repeats.
const RETRY_MS: [u64; 6] = [250, 500, 1_000, 2_000, 4_000, 5_000];

/// A handshake wanted or under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attempt {
    /// Since when we have been trying.
    since: Option<Time>,
    tries: u8,
    next: Time,
}

impl Attempt {
    /// A session is wanted. Does nothing if that is known already.
    pub(super) fn begin(&mut self, now: Time) {
        self.begin_at(now, now);
    }

    /// The same, but not before `earliest`.
    pub(super) fn begin_at(&mut self, now: Time, earliest: Time) {
        if self.since.is_none() {
            *self = Self {
                since: Some(now),
                tries: 0,
                next: earliest.max(now),
            };
        }
    }

    /// A frame waits for the session: do not leave it waiting for long.
    pub(super) fn traffic_wants_out(&mut self, now: Time) {
        match self.since {
            Some(since) if now.since(since) >= EAGER && self.next > now + Span::from_secs(5) => {
                *self = Self {
                    since: Some(now),
                    tries: 0,
                    next: now,
                };
            }
            Some(_) => {}
            None => self.begin(now),
        }
    }

    /// Leaves the first word to the other side for a moment.
    pub(super) fn rest(&mut self, now: Time) {
        *self = Self {
            since: Some(now),
            tries: 0,
            next: now + AFTER_CLOSE,
        };
    }

    /// Whether one is under way.
    pub(super) const fn is_trying(&self) -> bool {
        self.since.is_some()
    }

    pub(super) const fn deadline(&self) -> Time {
        if self.since.is_some() {
            self.next
        } else {
            Time::NEVER
        }
    }

    /// An attempt was made; `patient` while a session can be used meanwhile. Two answers under way at once would
    /// cost frames: the peer keeps only the newer session, and we would use the older one first.
    fn tried(&mut self, now: Time, patient: bool, entropy: &mut dyn Entropy) {
        let Some(since) = self.since else { return };
        let pause = if now.since(since) >= EAGER {
            RARE
        } else {
            let index = usize::from(self.tries).min(RETRY_MS.len() - 1);
            let least = if patient { Span::from_secs(2) } else { Span::ZERO };
            Span::from_millis(RETRY_MS[index]).max(least)
        };
        self.tries = self.tries.saturating_add(1);
        self.next = now + pause + Span::from_nanos(entropy.below(pause.as_nanos() / 4));
    }

    /// Whether it has been tried for so long that only a configured address, or traffic, is worth another try.
    fn is_vain(&self, now: Time) -> bool {
        self.since.is_some_and(|since| now.since(since) >= EAGER)
    }
}

/// A session that the peer has not used yet.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) session: Box<Session>,
    /// Where the peer is known to receive: there it got the cookie with which it asked for the session.
    proven: Option<Path>,
}

impl Peer {
    /// A handshake was completed: takes the session in. What makes the other side use it (`reply`) leaves
    /// right after.
    pub fn install(&mut self, env: &mut Env, mut new: Box<NewSession>) {
        if self.config.shutdown {
            env.outbox.released.push(new.our_index);
            return;
        }
        let jitter = Span::from_nanos(env.entropy.below(REKEY_JITTER.as_nanos()));
        let session = Box::new(Session::new(&new, env.serial(), env.real, jitter));
        env.status.handshakes = env.status.handshakes.saturating_add(1);
        if let Some((path, bytes)) = new.reply.take() {
            let start = env.outbox.arena.bytes.len();
            env.outbox.arena.bytes.extend_from_slice(&bytes);
            env.transmit(Class::Control, false, &path, start);
        }
        match new.role {
            Role::Initiator => {
                self.adopt(env, session, Some(new.path));
            }
            Role::Responder => {
                let proven = new.proven.then_some(new.path);
                let before = self.next.replace(Box::new(Next { session, proven }));
                release(env, before.map(|next| next.session));
            }
        }
    }

    /// The first authentic datagram of `next` has come: the peer has its keys. Returns where it is known to receive.
    pub(super) fn promote(&mut self, env: &mut Env) -> Option<Path> {
        let Next { mut session, proven } = *self.next.take()?;
        session.confirmed = true;
        self.adopt(env, session, None);
        proven
    }

    /// Makes `session` the one that is used, unless it crossed with a better one.
    fn adopt(&mut self, env: &mut Env, session: Box<Session>, path: Option<Path>) {
        let (role, suite, apart) = (session.role, session.suite, session.heartbeats_apart);
        self.attempt = Attempt::default();
        let before = self.instance.replace(session.peer_instance);
        let restarted = before.is_some_and(|i| i != session.peer_instance);
        let crossed = self.current.as_ref().is_some_and(|c| {
            c.confirmed && c.role != role && session.established.since(c.established) < CROSSING
        });
        if crossed && !restarted && !self.prefers(env, role) {
            release(env, self.previous.replace(session));
            return;
        }
        let had_session = self.current.is_some();
        let old = self.current.replace(session);
        if (restarted || !had_session)
            && let Some(attachments) = self.attachments.get_mut()
        {
            attachments.forget_theirs();
        }
        if restarted || !had_session {
            self.addresses_begin();
        }
        if restarted {
            self.clear_ring(env);
            release(env, old);
            release(env, self.previous.take());
        } else if old.is_some() {
            release(env, core::mem::replace(&mut self.previous, old));
        }
        let rekey = had_session && !restarted;
        if rekey {
            self.rekeys = self.rekeys.saturating_add(1);
        } else {
            self.up_since = env.real;
            self.rekeys = 0;
        }
        env.event(Event::SessionUp {
            peer: self.id,
            role,
            suite,
            rekey,
        });
        self.heard = env.now;
        self.stalled = false;
        for id in LinkId::all() {
            let t = self.link_mut(id).and_then(|l| {
                l.keep_apart(apart);
                l.session_begins(env.now, restarted || !had_session)
            });
            self.after(env, id, t);
        }
        if let Some(id) = path.and_then(|p| self.link_of(&p)) {
            let t = self
                .link_mut(id)
                .and_then(|l| l.path_proven(env.now, LinkReason::Handshake));
            self.after(env, id, t);
        }
        self.choose(env);
        if role == Role::Initiator {
            // Key confirmation: the responder sends nothing before it has heard from us.
            let confirm = path
                .and_then(|p| self.link_of(&p))
                .or_else(|| self.best_link(LinkSet::EMPTY));
            if let Some(link) = confirm {
                self.send_ping(env, link, PingDue::HEARTBEAT, None);
            }
        }
        self.flush_waiting(env);
    }

    /// The session is over, and nothing follows it yet.
    pub(super) fn end_session(&mut self, env: &mut Env, reason: SessionDownReason) {
        let was_up = self.is_up();
        self.keep_for_other_hub(env);
        let next = self.next.take().map(|next| next.session);
        for session in [self.current.take(), self.previous.take(), next] {
            release(env, session);
        }
        self.report_at = None;
        self.deliver_all(env);
        self.clear_ring(env);
        for id in LinkId::all() {
            let t = self.link_mut(id).and_then(|l| l.session_ends(env.now));
            if let Some(t) = t {
                env.transition(self.id, id, &t, Span::ZERO);
            }
        }
        self.choose(env);
        self.stalled = false;
        self.dark_since = None;
        if was_up {
            env.event(Event::SessionDown {
                peer: self.id,
                reason,
            });
        }
    }

    /// Ends what is too old, and begins what is due.
    pub(super) fn keep_sessions(&mut self, env: &mut Env) {
        let real = env.real;
        if self.previous_ends().is_some_and(|at| at <= real) {
            release(env, self.previous.take());
        }
        if self
            .next
            .as_ref()
            .is_some_and(|n| real.since(n.session.established) >= Span::from_secs(10))
        {
            release(env, self.next.take().map(|next| next.session));
        }
        if let Some(session) = &self.current {
            if !session.is_alive(real) {
                self.end_session(env, SessionDownReason::Expired);
                self.attempt.begin(env.now);
            } else if session.is_spent() {
                self.close(env, SessionDownReason::UsageLimit);
                self.attempt.begin(env.now);
            } else if self
                .dark_since
                .is_some_and(|since| env.now.since(since) >= UNREACHABLE)
            {
                self.end_session(env, SessionDownReason::Unreachable);
                self.attempt.begin(env.now);
            } else if session.wants_rekey(real) {
                self.attempt.begin(env.now);
            }
        }
        if self.attempt.deadline() <= env.now {
            self.greet(env);
        }
    }

    /// When [`Peer::keep_sessions`] has something to do next, in judged time.
    pub(super) fn session_deadline(&self, env: &Env) -> Time {
        let mut at = if self.config.shutdown {
            Time::NEVER
        } else {
            self.attempt.deadline()
        };
        if let Some(ends) = self.previous_ends() {
            at = at.min(env.judged(ends));
        }
        if let Some(next) = &self.next {
            at = at.min(env.judged(next.session.established + Span::from_secs(10)));
        }
        if let Some(s) = &self.current {
            at = at.min(env.judged(s.established + REJECT_AFTER));
            if !self.attempt.is_trying() {
                at = at.min(env.judged(s.rekey_at));
            }
            if let Some(since) = self.dark_since {
                at = at.min(since + UNREACHABLE);
            }
        }
        at
    }

    /// When the session before this one is forgotten, in real time.
    fn previous_ends(&self) -> Option<Time> {
        let previous = self.previous.as_ref()?;
        let replaced = self
            .current
            .as_ref()
            .map(|s| s.established.max(previous.established));
        let end = previous.established + REJECT_AFTER;
        Some(replaced.map_or(end, |at| end.min(at + STRAGGLERS)))
    }

    /// Asks the handshake thread to send a first message over all links that may work.
    fn greet(&mut self, env: &mut Env) {
        let mut paths: Vec<Path> = Vec::new();
        // While a session can be used, links that cost money are bothered only if the others did not help.
        let spare = self.is_up() && self.attempt.tries < 2;
        let asked = |l: &&Link| l.state() >= LinkState::Down && !(spare && l.rests());
        for link in self.links().filter(asked) {
            let ends = [link.endpoint.current(), link.endpoint.configured()];
            for path in ends.into_iter().flatten() {
                if !paths.contains(&path) {
                    paths.push(path);
                }
            }
        }
        if self.attempt.is_vain(env.now) && !self.links().any(|l| l.endpoint.configured().is_some()) {
            // It came to us from somewhere, and is gone: it will come again.
            self.attempt = Attempt::default();
            return;
        }
        let patient = self.is_up() && !self.set.is_empty();
        self.attempt.tried(env.now, patient, &mut *env.entropy);
        if paths.is_empty() || self.config.shutdown {
            return;
        }
        env.outbox.handshake.push(Input::Start { peer: self.id, paths });
    }

    /// Gives up the data counters below `next` in the session that is used.
    pub fn skip_data_counters(&mut self, next: u32) {
        if let Some(session) = &mut self.current {
            session.skip_data_counters(next);
        }
    }

    /// This side sends the heartbeats: it began the session.
    pub(super) fn drives(&self) -> bool {
        self.current.as_ref().is_some_and(|s| s.role == Role::Initiator)
    }

    /// Of two sessions that crossed, the one begun by the side with the smaller key is used.
    fn prefers(&self, env: &Env, role: Role) -> bool {
        (role == Role::Initiator) == (env.own_key < self.config.public_key)
    }
}

fn release(env: &mut Env, session: Option<Box<Session>>) {
    if let Some(session) = session {
        env.outbox.released.push(session.our_index);
    }
}
