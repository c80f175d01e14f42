//! What comes from the peer.

use super::Peer;
use crate::{
    drop_reason::DropReason,
    event::{Event, SessionDownReason},
    ids::{LinkId, ReceiverIndex},
    link::{HeldPong, Link, PingDue, endpoint::Arrival, sent_log::DataSeq},
    path::Path,
    session::{Data, Session},
    shard::{env::Env, outbox::ProbeReply},
    status::LinkState,
    time::Span,
    wire::{
        control_record::{self, LinkStateRecord, Ping, Pong, Record, Report},
        header::TransportHeader,
    },
};

/// Which of the three sessions a datagram belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Previous,
    Current,
    Next,
}

impl Peer {
    /// A DATA or FRAG came over `path`. Returns the frame in it, if it is seen for the first time and its turn has
    /// come; others are left in `env.delivered`, to be forwarded after it.
    pub fn receive_data<'a>(
        &mut self,
        env: &mut Env,
        header: &TransportHeader,
        path: &Path,
        datagram: &'a mut [u8],
    ) -> Option<&'a [u8]> {
        let link = self.link_of(path);
        self.receive_sealed(env, header, link, datagram, false)
    }

    /// The same for a datagram that came over `link`; `inner`: it had been split and was put together here.
    pub(super) fn receive_sealed<'a>(
        &mut self,
        env: &mut Env,
        header: &TransportHeader,
        link: Option<LinkId>,
        datagram: &'a mut [u8],
        inner: bool,
    ) -> Option<&'a [u8]> {
        let bytes = datagram.len();
        let evidence_after = link.map_or(Span::MAX, |l| self.report_delay(l));
        let (now, real) = (env.now, env.real);
        let Some((which, session)) = self.session_of(header.receiver).filter(|(_, s)| s.is_alive(real))
        else {
            env.drop(DropReason::SessionExpired);
            return None;
        };
        let serial = session.serial;
        let data = session.open_data(header, link, now, evidence_after, datagram);
        if !session.unreported.is_empty() && self.report_at.is_none() {
            self.report_at = Some(now + link.map_or(Span::ZERO, |l| self.report_delay(l)));
        }
        match data {
            Data::Drop(reason) => {
                if reason == DropReason::Replay {
                    self.duplicates = self.duplicates.saturating_add(1);
                    // A copy counts for the link's loss, not as a sign of life: it was not authenticated.
                    if let Some(l) = link.and_then(|l| self.link_mut(l)).filter(|_| !inner) {
                        l.rx.count(bytes);
                    }
                } else {
                    self.drops = self.drops.saturating_add(1);
                }
                env.drop(reason);
                None
            }
            Data::FreshCopy => {
                self.duplicates = self.duplicates.saturating_add(1);
                env.drop(DropReason::Replay);
                if let (Some(link), Some(resequencer)) = (link, self.resequencer.get_mut()) {
                    resequencer.copy_arrived(serial, header.counter, link);
                }
                if !inner {
                    self.heard_on(env, link, bytes);
                }
                None
            }
            Data::Fresh(plaintext) => {
                if which == Which::Next {
                    self.promote(env);
                }
                if !inner {
                    self.heard_on(env, link, bytes);
                }
                self.accept(env, serial, header, link, plaintext, inner)
            }
        }
    }

    /// A CTRL datagram came over `path`.
    pub fn receive_ctrl(
        &mut self,
        env: &mut Env,
        header: &TransportHeader,
        path: &Path,
        datagram: &mut [u8],
    ) {
        let bytes = datagram.len();
        let real = env.real;
        let Some(link) = LinkId::new(header.space) else {
            return env.drop(DropReason::LinkUnknown);
        };
        let Some((which, session)) = self.session_of(header.receiver).filter(|(_, s)| s.is_alive(real))
        else {
            return env.drop(DropReason::SessionExpired);
        };
        let serial = session.serial;
        let (plaintext, newest) = match session.open_ctrl(header, datagram) {
            Ok(opened) => opened,
            Err(reason) => return env.drop(reason),
        };
        let records = match control_record::parse(plaintext) {
            Ok(records) => records,
            Err(reason) => return env.drop(reason),
        };
        let proven = match which {
            Which::Next => self.promote(env),
            Which::Previous | Which::Current => None,
        };
        if self.link(link).is_none() {
            if !self.config.accepts_any_link() {
                return env.drop(DropReason::LinkUnknown);
            }
            self.open_link(env, link);
        }
        let Some(l) = self.link_mut(link) else { return };
        if l.config.shutdown {
            return env.drop(DropReason::LinkUnknown);
        }
        match l.endpoint.arrival(path, proven.as_ref()) {
            Arrival::WrongSocket => return env.drop(DropReason::LinkMismatch),
            Arrival::Known => {}
            Arrival::Adopted => self.path_moved(env, link, None, *path),
            Arrival::Elsewhere if self.follow(env, link, path, records.clone()) => {}
            Arrival::Elsewhere => {
                if self.receive_elsewhere(env, link, path, bytes, newest, records) {
                    self.accept_ctrl(header);
                } else {
                    // Whoever copies what passes and is faster must not take its counter away.
                    env.drop(DropReason::LinkMismatch);
                }
                return;
            }
        }
        self.accept_ctrl(header);
        self.heard_on(env, Some(link), bytes);
        if let Some(l) = self.link_mut(link) {
            l.control_arrived(env.now, !newest);
        }
        self.receive_records(env, link, path, serial, records);
        self.judge_what_was_learned(env, link);
    }

    fn accept_ctrl(&mut self, header: &TransportHeader) {
        if let Some((_, session)) = self.session_of(header.receiver) {
            session.accept_ctrl(header);
        }
    }

    /// Something authentic arrived, over `link` if its address was known.
    fn heard_on(&mut self, env: &mut Env, link: Option<LinkId>, bytes: usize) {
        self.heard = env.now;
        let Some((id, l)) = link.and_then(|id| Some((id, self.link_mut(id)?))) else {
            return;
        };
        l.rx.count(bytes);
        if l.heard(env.now) {
            env.event(Event::LinkReceive {
                peer: self.id,
                link: id,
                ok: true,
            });
            self.send_link_state(env, id);
        }
    }

    /// If `records` answer our challenge from `path`, `link` leads there from now on. Returns whether that is so.
    fn follow(
        &mut self,
        env: &mut Env,
        link: LinkId,
        path: &Path,
        records: control_record::Records<'_>,
    ) -> bool {
        let Some(l) = self.link_mut(link) else {
            return false;
        };
        let response = |record| match record {
            Record::PathResponse(token) => l.endpoint.response(path, &token),
            _ => None,
        };
        let Some(from) = records.into_iter().find_map(response) else {
            return false;
        };
        self.path_moved(env, link, from, *path);
        true
    }

    /// A control datagram of `link` from an address that is not the link's: only challenges count. Returns whether it
    /// had one.
    fn receive_elsewhere(
        &mut self,
        env: &mut Env,
        link: LinkId,
        path: &Path,
        bytes: usize,
        newest: bool,
        records: control_record::Records<'_>,
    ) -> bool {
        let mut challenged = false;
        for record in records {
            if let Record::PathChallenge(token) = record {
                challenged = true;
                self.answer_challenge(env, link, path, token);
            }
        }
        if !newest {
            return challenged;
        }
        let Some(l) = self.link_mut(link) else {
            return challenged;
        };
        let Some(challenge) = l.endpoint.challenge(env.now, path, bytes, &mut *env.entropy) else {
            return challenged;
        };
        self.send_ctrl_to(env, link, challenge.path, |out| {
            out.push(&Record::PathChallenge(challenge.token));
        });
        if let Some((old, token)) = challenge.old {
            self.send_ctrl_to(env, link, old, |out| {
                out.push(&Record::PathChallenge(token));
            });
        }
        challenged
    }

    fn receive_records(
        &mut self,
        env: &mut Env,
        link: LinkId,
        path: &Path,
        serial: u32,
        records: control_record::Records<'_>,
    ) {
        // What the same datagram reports belongs to the answer in it, and comes first wherever it stands: else what the
        // answer says to be settled would count as not reported.
        let mut arrived = None;
        for record in records.clone() {
            let Record::Report(report) = record else { continue };
            if let Some(l) = self.link_mut(link).filter(|_| report.link == link) {
                l.arrived(env.now, report.rx_pkts);
                arrived = Some(report.rx_pkts);
            }
            self.receive_report(env, serial, &report);
        }
        for record in records {
            match record {
                Record::Ping(ping) => self.receive_ping(env, link, &ping),
                Record::Pong(pong) => self.receive_pong(env, link, &pong, arrived),
                Record::LinkState(state) => self.receive_link_state(env, link, state),
                Record::PathChallenge(token) => self.answer_challenge(env, link, path, token),
                Record::PathResponse(token) => {
                    if let Some(l) = self.link_mut(link) {
                        l.endpoint.response(path, &token);
                    }
                }
                Record::Close { scope: 1, .. } => {
                    if self.current.as_ref().is_some_and(|s| s.serial == serial) {
                        self.end_session(env, SessionDownReason::ClosedByPeer);
                        self.attempt.rest(env.now);
                    }
                    return;
                }
                // Reports were taken in first; a link is closed by its state.
                Record::Report(_) | Record::Close { .. } => {}
                Record::PmtuProbe { size, id } => self.answer_mtu_probe(env, link, size, id),
                Record::PmtuAck { size, id } => self.mtu_acked(env, size, id),
                Record::Quality(quality) => {
                    if let Some(l) = self.link_mut(link) {
                        l.peer_quality = Some(quality);
                    }
                }
                Record::Attachment(attachment) => self.attachments.make().heard(attachment),
                Record::Addresses { changes, addresses } => self.addresses_heard(env, changes, addresses),
                Record::AddressesAck(changes) => self.addresses_acknowledged(changes),
            }
        }
    }

    /// Who challenges the address in use did not take what came from it before: a question that waits for its answer is asked
    /// again along with the answer.
    fn answer_challenge(&mut self, env: &mut Env, link: LinkId, path: &Path, token: [u8; 16]) {
        let now = env.now;
        let waits = |l: &&mut Link| l.is_waiting() && l.endpoint.is_current(path);
        let again = self.link_mut(link).filter(waits);
        let again = again.map(|l| l.ping(now, PingDue::HEARTBEAT, false));
        self.send_ctrl_to(env, link, *path, |out| {
            out.push(&Record::PathResponse(token));
            if let Some(ping) = again {
                out.push(&Record::Ping(ping));
            }
        });
    }

    fn receive_ping(&mut self, env: &mut Env, link: LinkId, ping: &Ping) {
        let now = env.now;
        let Some(l) = self.link_mut(link) else { return };
        l.jitter.arrival(now, ping.t_tx_us);
        l.pair_received(now, ping.tx_pkts, l.counted_rx());
        l.peer_announces(ping.hb_ms);
        if ping.urgent {
            // The peer may need it.
            l.hasten(now);
        }
        if ping.deferred {
            l.hold_pong(HeldPong {
                id: ping.id,
                arrived: now,
            });
            return;
        }
        if !l.may_pong(now) {
            return env.drop(DropReason::RecordRate);
        }
        self.answer_ping(env, link, ping);
    }

    fn receive_pong(&mut self, env: &mut Env, link: LinkId, pong: &Pong, arrived: Option<u32>) {
        let Some(of) = LinkId::new((pong.id & 7) as u8) else {
            return;
        };
        let here = of == link;
        let hold = Span::from_micros(u64::from(pong.hold_us));
        // The count of arrivals belongs to the moment of the probe only if the answer came at once.
        let arrived = arrived.filter(|_| here && hold < Span::from_millis(1));
        let Some(l) = self.link_mut(of) else { return };
        let (known, t) = l.answered(env.now, pong.id, hold, here, arrived);
        if known {
            l.peer_wishes(env.now, pong.hb_min_ms);
        }
        self.after(env, of, t);
        if !known {
            return;
        }
        if self.links().any(|l| l.state() == LinkState::Suspect) {
            // Now it is known which stand-in works.
            self.choose(env);
        }
        if let Some(i) = self.operator_probes.iter().position(|p| p.id == pong.id) {
            let asked = self.operator_probes.swap_remove(i);
            let rtt = env.now.since(asked.sent) - hold;
            let reply = ProbeReply {
                token: asked.token,
                peer: self.id,
                link: of,
                rtt,
            };
            env.outbox.probe_replies.push(reply);
        }
    }

    fn receive_report(&mut self, env: &mut Env, serial: u32, report: &Report) {
        let Some(highest) = report.highest else { return };
        let sent = self
            .session_by_serial(serial)
            .is_some_and(|s| s.has_sent(highest));
        if !sent {
            return env.drop(DropReason::RecordInvalid);
        }
        let now = env.now;
        let seq = DataSeq {
            session: serial,
            counter: highest,
        };
        let Some(l) = self.links[report.link.index()].as_deref_mut() else {
            return;
        };
        if l.could_report(seq) {
            let sound = l.state() == LinkState::Up;
            let arena = &mut env.outbox.arena;
            if let Some(ring) = self.ring.get_mut() {
                ring.reported(report.link, sound, seq, report.bitmap, arena);
            }
            l.watch_large(now, seq, report.bitmap);
            if let Some(capacity) = l.load.capacity() {
                capacity.delivered(report.rx_pkts);
            }
        }
        let t = l.reported(now, seq);
        self.after(env, report.link, t);
        self.balance(env);
    }

    fn receive_link_state(&mut self, env: &mut Env, over: LinkId, state: LinkStateRecord) {
        let alone = self.is_alone(state.link);
        let adopt = self.config.accepts_any_link();
        let now = env.now;
        let Some(l) = self.link_mut(state.link) else {
            return;
        };
        if adopt && (l.priority, l.weight) != (state.priority, state.weight) {
            l.priority = state.priority;
            l.weight = state.weight;
            self.choose(env);
        }
        let Some(l) = self.link_mut(state.link) else {
            return;
        };
        let lost = l.peer_tx(state.tx_ok);
        let rx_ok = state.rx_ok || env.just_back();
        let t = l.peer_state(now, rx_ok, state.admin_up, alone);
        self.after(env, state.link, t);
        if lost && over != state.link {
            // The cut may be in both directions: find out about ours.
            self.send_ping(env, state.link, PingDue::DOUBT, None);
        }
    }

    // ---- sessions -----------------------------------------------------------------------------------

    /// The session that `index` names.
    fn session_of(&mut self, index: ReceiverIndex) -> Option<(Which, &mut Session)> {
        [
            (Which::Current, self.current.as_deref_mut()),
            (Which::Previous, self.previous.as_deref_mut()),
            (Which::Next, self.next.as_mut().map(|next| &mut *next.session)),
        ]
        .into_iter()
        .find_map(|(which, s)| s.filter(|s| s.our_index == index).map(|s| (which, s)))
    }

    fn session_by_serial(&self, serial: u32) -> Option<&Session> {
        [self.current.as_deref(), self.previous.as_deref()]
            .into_iter()
            .flatten()
            .find(|s| s.serial == serial)
    }
}
