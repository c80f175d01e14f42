//! Probes on their way: four PINGs of a link, with what is needed to use their answers.

use crate::{
    on_demand::OnDemand,
    time::{Span, Time},
};

const OUTSTANDING: usize = 4;
/// An answer may take so long. However many are sent meanwhile, the oldest that waits for its answer is kept: it tells
/// how long the way has become.
const LONGEST_WAIT: Span = Span::from_secs(2);

/// After this time nothing is expected any more.
const FORGOTTEN: Span = Span::from_secs(4);

/// A PING that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// Its id on the wire.
    pub id: u32,
    /// When it left. The peer's echo of our time is never used: it could forge a short round trip.
    pub sent: Time,
    /// Datagrams put on the link before it.
    pub tx_pkts: u32,
    /// The answer may wait for the peer's next heartbeat.
    pub deferred: bool,
    /// The answer has come.
    pub answered: bool,
}

/// Four probes of a link. Most links have none but the last heartbeat, long answered: the others are kept where one follows
/// the other sooner, or before it is certain that there will be no answer.
#[derive(Clone, Debug, Default)]
pub struct Probes {
    latest: Option<Probe>,
    earlier: OnDemand<[Option<Probe>; OUTSTANDING - 1]>,
}

impl Probes {
    /// Remembers `probe`; the oldest is forgotten, or the next one if that still waits.
    pub fn sent(&mut self, probe: Probe) {
        let Some(before) = self.latest.replace(probe) else {
            return;
        };
        let pause = probe.sent.since(before.sent);
        if pause >= FORGOTTEN || before.answered && pause >= LONGEST_WAIT {
            self.earlier.clear();
            return;
        }
        let waits = |p: &&Probe| !p.answered && !p.deferred && probe.sent.since(p.sent) < LONGEST_WAIT;
        let earlier = self.earlier.make();
        let waiting = earlier.iter().flatten().chain([&before]).filter(waits);
        let kept = waiting.min_by_key(|p| p.sent).map(|p| p.id);
        let age = |slot: &&mut Option<Probe>| match slot {
            Some(p) if Some(p.id) == kept => Some(Time::NEVER),
            Some(p) => Some(p.sent),
            None => None,
        };
        if let Some(slot) = earlier.iter_mut().min_by_key(age) {
            *slot = Some(before);
        }
    }

    /// The probe that `id` answers. It stays, because copies of the answer may come over other links.
    pub fn answered(&mut self, id: u32) -> Option<Probe> {
        let earlier = self.earlier.get_mut().into_iter().flatten();
        let probe = earlier.chain([&mut self.latest]).flatten().find(|p| p.id == id)?;
        probe.answered = true;
        Some(*probe)
    }

    /// When the last one left.
    pub fn last_sent(&self) -> Option<Time> {
        self.latest.map(|p| p.sent)
    }

    /// When the first probe after `proof` that wants an answer at once was sent.
    pub fn oldest_unanswered(&self, proof: Time) -> Option<Time> {
        let earlier = self.earlier.get().into_iter().flatten();
        earlier
            .chain([&self.latest])
            .flatten()
            .filter(|p| !p.deferred && p.sent > proof)
            .map(|p| p.sent)
            .min()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(id: u32, ms: u64) -> Probe {
        Probe {
            id,
            sent: Time::ZERO + Span::from_millis(ms),
            tx_pkts: id,
            deferred: false,
            answered: false,
        }
    }

    #[test]
    fn the_oldest_that_waits_is_kept_among_many() {
        let mut probes = Probes::default();
        for n in 0..40 {
            probes.sent(probe(n, u64::from(n) * 15));
        }
        assert!(probes.answered(0).is_some(), "after 600 ms");
        assert!(probes.answered(39).is_some() && probes.answered(37).is_some());
        assert!(probes.answered(36).is_none());
        // Answered, it is like any other.
        for n in 40..43 {
            probes.sent(probe(n, u64::from(n) * 15));
        }
        assert!(probes.answered(0).is_none());
    }

    #[test]
    fn nobody_waits_for_ever() {
        let mut probes = Probes::default();
        for n in 0..6 {
            probes.sent(probe(n, u64::from(n) * 600));
        }
        assert!(probes.answered(0).is_none() && probes.answered(5).is_some());
    }
}
