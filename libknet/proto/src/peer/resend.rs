//! Nothing is lost when a link dies: what it may have taken with it goes out again over another one.

use core::ops::Range;

use super::Peer;
use crate::{
    config::PolicyKind,
    drop_reason::DropReason,
    event::Event,
    fragment,
    ids::{LinkId, LinkSet},
    link::{Link, sent_log::DataSeq},
    resend_ring::{REPLAY_MAX_AGE, ResendRing, What},
    shard::env::Env,
    status::LinkState,
    time::Span,
    wire::fragment_header::FragmentKind,
};

impl Peer {
    /// Keeps the datagram at `start` in the arena, which is about to go out over `targets`, until it is reported.
    /// Returns the links that it goes out on at once: not those over which older ones are being sent again.
    pub(super) fn keep_for_resend(
        &mut self,
        env: &mut Env,
        seq: DataSeq,
        targets: LinkSet,
        start: usize,
    ) -> LinkSet {
        let busy = self.ring.get().map_or(LinkSet::EMPTY, ResendRing::in_order_over);
        let busy = busy.intersection(targets);
        // What goes out over several links at once is safe enough already.
        let copied = self.config.policy == PolicyKind::Active
            && targets.len() > 1
            && !self.stand_by
            && self.config.hub.is_none();
        if busy.is_empty() && (copied || !self.protect) {
            return targets;
        }
        let at_once = targets.minus(busy);
        let queued = !busy.is_empty();
        if self
            .ring
            .make()
            .push(env.real, seq, at_once, queued, start, &mut env.outbox.arena)
        {
            at_once
        } else {
            targets
        }
    }

    /// Where frames go out on one link at a time: whatever has not been reported goes out again over a link that is
    /// taken into use, ahead of everything new. So nothing is lost with the link before it, and nothing is overtaken.
    pub(super) fn carry_over(&mut self, env: &mut Env) {
        let sure = |l: &Link| l.state() != LinkState::Suspect && self.set.copies.contains(l.id);
        let carriers: LinkSet = self.links().filter(|l| sure(l)).map(|l| l.id).collect();
        let gained = carriers.minus(self.carriers);
        self.carriers = carriers;
        if !gained.is_empty() && self.set.rotation.is_empty() {
            let max_age = self.replay_max_age();
            if let Some(ring) = self.ring.get_mut() {
                let arena = &mut env.outbox.arena;
                ring.replay(env.real, gained, What::Unreported, max_age, arena);
            }
            self.replay(env);
        }
    }

    /// Where frames take turns over several links: those that went out only over links that are in doubt now go out
    /// again over the best of the others. The receiver puts them into order.
    pub(super) fn rescue_stranded(&mut self, env: &mut Env, changed: LinkId) {
        let rotation = self.set.rotation;
        let holds_any = self.ring.get().is_some_and(|r| r.holds_any_of(changed));
        if rotation.is_empty() || !rotation.contains(changed) && !holds_any {
            return;
        }
        let nearest = rotation
            .iter()
            .filter_map(|id| self.link(id))
            .min_by_key(|l| l.rtt.srtt().unwrap_or(Span::MAX));
        if let Some(over) = nearest.map(|l| LinkSet::of(l.id)) {
            let max_age = self.replay_max_age();
            if let Some(ring) = self.ring.get_mut() {
                let arena = &mut env.outbox.arena;
                ring.replay(env.real, over, What::Stranded(rotation), max_age, arena);
            }
            self.replay(env);
        }
    }

    /// Sends again what is due. Returns true if a deadline has come closer.
    pub(super) fn replay(&mut self, env: &mut Env) -> bool {
        let Some(before) = self
            .ring
            .get()
            .filter(|r| r.is_replaying())
            .map(ResendRing::stats)
        else {
            return false;
        };
        loop {
            let start = env.outbox.arena.bytes.len();
            let Some(ring) = self.ring.get_mut() else { break };
            let Some(resend) = ring.next(env.real, &mut env.outbox.arena) else {
                break;
            };
            let len = env.outbox.arena.bytes.len() - start;
            let fits = |id: &LinkId| self.link(*id).is_some_and(|l| l.mtu.current() >= len);
            let whole: LinkSet = resend.over.iter().filter(fits).collect();
            let split = resend.over.minus(whole);
            self.transmit_data(env, resend.seq, whole, start);
            for id in split.iter() {
                self.resend_in_pieces(env, id, start..start + len);
            }
        }
        if let Some(ring) = self.ring.get() {
            let now = ring.stats();
            let more = |now: u64, before: u64| now.saturating_sub(before) as usize;
            env.status.resent.add(
                more(now.replayed, before.replayed),
                more(now.replayed_bytes, before.replayed_bytes),
            );
        }
        if let Some(done) = self.ring.get_mut().and_then(ResendRing::finish)
            && done.frames > 0
        {
            env.event(Event::Replay {
                peer: self.id,
                over: done.over,
                frames: done.frames,
            });
        }
        true
    }

    /// Sends the sealed datagram at `range` in the arena again over a link that carries less than the one it was made
    /// for.
    fn resend_in_pieces(&mut self, env: &mut Env, id: LinkId, range: Range<usize>) {
        let Some(room) = self.link(id).map(|l| l.mtu.current()) else {
            return;
        };
        let Some(session) = self.current.as_mut() else {
            return;
        };
        let datagram = env.outbox.arena.bytes.get(range).unwrap_or_default().to_vec();
        let whole = session.next_whole();
        let Some(pieces) = fragment::split(FragmentKind::Datagram, whole, datagram.len(), room) else {
            return self.drop_frame(env, DropReason::FrameLong);
        };
        self.pieces.split(pieces.len());
        for (header, range) in pieces {
            let piece = datagram.get(range).unwrap_or_default();
            let start = env.outbox.arena.bytes.len();
            let Some(session) = self.current.as_mut() else {
                return;
            };
            let seq = match session.seal_fragment(&header, piece, &mut env.outbox.arena.bytes) {
                Ok(counter) => DataSeq {
                    session: session.serial,
                    counter,
                },
                Err(reason) => return self.drop_frame(env, reason),
            };
            self.transmit_data(env, seq, LinkSet::of(id), start);
        }
    }

    /// What is older is not sent again: a quarter of a second, and what distance adds.
    pub(super) fn replay_max_age(&self) -> Span {
        let farthest = self.links().filter_map(|l| l.rtt.srtt()).max();
        REPLAY_MAX_AGE + farthest.unwrap_or_default().times(2)
    }

    /// What is kept is of no use any more.
    pub(super) fn clear_ring(&mut self, env: &mut Env) {
        if let Some(ring) = self.ring.get_mut() {
            ring.clear(&mut env.outbox.arena);
        }
    }
}
