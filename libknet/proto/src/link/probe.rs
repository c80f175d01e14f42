//! Probes on their way: the last four PINGs of a link, with what is needed to use their answers.

use crate::time::Time;

const OUTSTANDING: usize = 4;

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
}

/// The last four probes of a link.
#[derive(Clone, Copy, Debug, Default)]
pub struct Probes {
    ring: [Option<Probe>; OUTSTANDING],
    next: u8,
}

impl Probes {
    /// Remembers `probe`; the oldest is forgotten.
    pub fn sent(&mut self, probe: Probe) {
        if let Some(slot) = self.ring.get_mut(usize::from(self.next) % OUTSTANDING) {
            *slot = Some(probe);
        }
        self.next = self.next.wrapping_add(1);
    }

    /// The probe that `id` answers. It stays, because copies of the answer may come over other links.
    pub fn find(&self, id: u32) -> Option<Probe> {
        self.ring.iter().flatten().find(|p| p.id == id).copied()
    }

    /// When the last one left.
    pub fn last_sent(&self) -> Option<Time> {
        self.ring.iter().flatten().map(|p| p.sent).max()
    }

    /// When the first probe after `proof` that wants an answer at once was sent.
    pub fn oldest_unanswered(&self, proof: Time) -> Option<Time> {
        self.ring
            .iter()
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
