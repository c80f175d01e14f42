//! A peer as `show peer` prints it.

use alloc::vec::Vec;

use super::{Peer, path_mtu::carries};
use crate::{
    config::Remote,
    ids::LinkId,
    link::{Link, path_mtu::LimitReason},
    shard::env::Env,
    status::{DomainStatus, LinkStatus, PeerStatus, PieceCounters, ResendStatus, SessionStatus, Traffic},
    time::Span,
};

impl Peer {
    /// All that is known of the peer now.
    pub fn status(&self, env: &Env) -> PeerStatus {
        PeerStatus {
            peer: self.id,
            session: self
                .current
                .as_ref()
                .filter(|s| s.confirmed)
                .map(|s| SessionStatus {
                    role: s.role,
                    suite: s.suite,
                    version: s.version,
                    age: env.real.since(s.established),
                    rekeys: self.rekeys,
                    uptime: env.real.since(self.up_since),
                }),
            handshaking: self.attempt.is_trying(),
            tx: self.tx,
            rx: self.rx,
            drops: self.drops,
            duplicates: self.duplicates,
            stalls: self.stalls,
            attached: self.is_attached(),
            addresses_taken: self.has_taken_addresses(),
            addresses_given: self.addresses_given_to_us().cloned(),
            hub: None,
            // The bridge's.
            domain: DomainStatus::default(),
            queued: self.waiting.len() as u32,
            resend: self.resend_status(),
            order: self.resequencer.get().map(|r| *r.counters()).unwrap_or_default(),
            pieces: self.pieces,
            narrowest: self.narrowest(),
            active_links: self.set.all().collect(),
            links: self.links().map(|l| self.link_status(env, l)).collect::<Vec<_>>(),
        }
    }

    fn resend_status(&self) -> ResendStatus {
        let Some(ring) = self.ring.get() else {
            return ResendStatus::default();
        };
        let (held, held_bytes) = ring.held();
        ResendStatus {
            held: held as u32,
            held_bytes: held_bytes as u64,
            counters: ring.stats(),
        }
    }

    /// Of the links in use the one that carries the least.
    fn narrowest(&self) -> Option<LinkId> {
        self.links_in_use().min_by_key(|l| l.mtu.current()).map(|l| l.id)
    }

    /// Whether frames go in pieces because of this link, or the MTU of the TAP is no larger.
    fn narrows(&self, env: &Env, l: &Link) -> bool {
        let carries = carries(l.mtu.current());
        self.narrowest() == Some(l.id)
            && match &env.auto_mtu {
                None => l.mtu.limit_reason() != LimitReason::Tunnel,
                Some(auto) => {
                    carries < env.tap_mtu || (carries == env.tap_mtu && auto.limiting() == Some(self.id))
                }
            }
    }

    /// Sets its counters to zero.
    pub fn clear_counters(&mut self) {
        self.tx = Traffic::default();
        self.rx = Traffic::default();
        self.drops = 0;
        self.duplicates = 0;
        self.stalls = 0;
        if let Some(ring) = self.ring.get_mut() {
            ring.clear_stats();
        }
        if let Some(resequencer) = self.resequencer.get_mut() {
            resequencer.clear_counters();
        }
        self.pieces = PieceCounters::default();
        for link in self.links.iter_mut().flatten() {
            link.clear_counters();
        }
    }

    fn link_status(&self, env: &Env, l: &Link) -> LinkStatus {
        let (tx, rx) = l.shown_traffic();
        LinkStatus {
            link: l.id,
            socket: l.endpoint.current().map(|p| p.socket).or(l.config.local),
            remote: l.endpoint.current().map(|p| p.remote),
            remote_configured: matches!(l.config.remote, Remote::Static(_)),
            state: l.state(),
            receiving: l.receiving() && self.is_up(),
            since: env.now.since(l.since()),
            in_use: self.set.contains(l.id),
            priority: l.priority,
            weight: l.weight,
            percent: self.percent(l),
            cost: l.config.cost,
            heartbeat: l.heartbeat(self.drives()),
            mtu: l.mtu.packet(),
            mtu_limit: l.mtu.limit_reason(),
            // The TAP never gives a longer one than its own MTU.
            inner_mtu: carries(l.mtu.current()).min(env.tap_mtu),
            narrows: self.narrows(env, l),
            srtt: l.rtt.srtt(),
            rtt_min: l.rtt.min(),
            rtt_p99: l.rtt_tail.p99(env.now),
            rttvar: l.rtt.rttvar(),
            rx_quality: l.receive_quality(),
            tx_quality: l.peer_quality,
            tx_loss_ppm: l.tx_loss_ppm(),
            rx_loss_ppm: l.rx_loss_ppm(),
            tx,
            rx,
            report_timeout: if l.rtt.srtt().is_some() {
                l.report_timeout()
            } else {
                Span::ZERO
            },
            verdicts: l.verdicts(),
            penalty_milli: l.penalty_milli(env.now),
            held_for: l.held_for(env.now),
        }
    }
}
