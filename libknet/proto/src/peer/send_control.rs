//! Control datagrams to the peer: heartbeats, reports, what is said of links and of the session.

use core::cmp::Reverse;

use super::{OPERATOR_PROBES, OperatorProbe, Peer, hub::Attachments};
use crate::{
    drop_reason::DropReason,
    ids::{LinkId, LinkSet},
    link::{Link, PingDue, probe::Probe},
    path::Path,
    session::Session,
    shard::{env::Env, outbox::Class},
    status::LinkState,
    time::Time,
    token_bucket::Rate,
    wire::control_record::{LinkStateRecord, Ping, Pong, Record, RecordWriter, Report},
};

/// Reasons in a CLOSE, for people.
const CLOSE_SHUTDOWN: u8 = 1;
/// Over so many other links an answer leaves that is to come over all.
const ANSWERS_ELSEWHERE: usize = 2;
/// So many of them a second, and at once, for one peer: more than ever make sense.
const ELSEWHERE_EACH: Rate = Rate::new(100, 64);
/// And no more than these of all peers together. Where more ask at once the cause is near, and which direction of a link is
/// dead matters less than that all are answered: thousands of peers whose answers are late ask all the more.
const ELSEWHERE: Rate = Rate::new(5_000, 1_000);
/// A CLOSE of the session, not of a link.
const CLOSE_SESSION: u8 = 1;

/// A PING to answer.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub(super) id: u32,
    pub(super) arrived: Time,
}

impl Peer {
    /// Sends a PING on `link`, with the answer to the peer's own if one is held.
    pub(super) fn send_ping(&mut self, env: &mut Env, link: LinkId, due: PingDue, operator: Option<u64>) {
        let Some(l) = self.link_mut(link) else { return };
        let held = l.take_held_pong().map(|h| Answer {
            id: h.id,
            arrived: h.arrived,
        });
        let ping = l.ping(env.now, due, false);
        if let Some(token) = operator {
            if self.operator_probes.len() >= OPERATOR_PROBES {
                self.operator_probes.remove(0);
            }
            self.operator_probes.push(OperatorProbe {
                id: ping.id,
                token,
                sent: env.now,
            });
        }
        let abnormal = self.abnormal_links(link);
        self.send_heartbeat(env, link, held, Some(ping), abnormal);
    }

    /// Answers a PING that came over `from`.
    pub(super) fn answer_ping(&mut self, env: &mut Env, from: LinkId, ping: &Ping) {
        let answer = Answer {
            id: ping.id,
            arrived: env.now,
        };
        // The peer's next heartbeat on this link can carry its answer to ours: both sides learn the round-trip
        // time, and it costs no datagram.
        let ride_along = !ping.urgent && !self.drives();
        let own = match self.link_mut(from) {
            Some(l) if ride_along && l.can_send() => Some(l.ping(env.now, PingDue::HEARTBEAT, true)),
            _ => None,
        };
        self.send_heartbeat(env, from, Some(answer), own, LinkSet::EMPTY);
        let elsewhere = if ping.reply_on_all {
            self.heard_last(from)
        } else if self.link(from).is_none_or(|l| l.state() != LinkState::Up) {
            let best = self.best_link(LinkSet::of(from));
            [
                best.filter(|o| self.link(*o).is_some_and(|l| l.trust() > 1)),
                None,
            ]
        } else {
            [None; ANSWERS_ELSEWHERE]
        };
        for other in elsewhere.into_iter().flatten() {
            if self.answers_elsewhere.take(ELSEWHERE_EACH, env.now, 1)
                && env.answers_elsewhere.take(ELSEWHERE, env.now, 1)
            {
                self.send_heartbeat(env, other, Some(answer), None, LinkSet::of(from));
            }
        }
    }

    /// Besides `except`, the two links that can be used and that something has come over last: where any work, these do. All of
    /// eight would make eight answers of each question, when hub and peers have too much to do already.
    fn heard_last(&self, except: LinkId) -> [Option<LinkId>; ANSWERS_ELSEWHERE] {
        let usable = |l: &Link| l.can_send() && l.trust() > 0 && !l.rests();
        let mut known = LinkSet::of(except);
        core::array::from_fn(|_| {
            let others = self.links().filter(|l| !known.contains(l.id) && usable(l));
            let last = others.min_by_key(|l| Reverse(l.last_rx()))?.id;
            known = known.with(last);
            Some(last)
        })
    }

    /// One heartbeat datagram on `link`: what we hold of it, an answer, a probe, what arrived over it, and
    /// what we hold of `about`.
    fn send_heartbeat(
        &mut self,
        env: &mut Env,
        link: LinkId,
        answer: Option<Answer>,
        ping: Option<Ping>,
        about: LinkSet,
    ) {
        let addresses = self.address_records();
        let Some(session) = self.current.as_ref() else {
            return;
        };
        let report = self.report(session, link);
        // Not on a link whose bytes cost money.
        let quality = self.link(link).filter(|l| !l.rests()).map(Link::receive_quality);
        let attachment = self.attachments.get().and_then(Attachments::ours);
        let now = env.now;
        let answered = answer.and_then(|a| LinkId::new((a.id & 7) as u8));
        let wish = answered.and_then(|of| self.link(of));
        let crowd = env.crowd_pause();
        let hb_min_ms = wish.map_or(0, |of| of.wished_pause_ms(crowd));
        let states: [Option<LinkStateRecord>; 8] = core::array::from_fn(|i| {
            let id = LinkId::new(i as u8)?;
            (id == link || about.contains(id))
                .then(|| self.link_state(id))
                .flatten()
        });
        self.send_ctrl(env, link, |records| {
            for state in states.into_iter().flatten() {
                records.push(&Record::LinkState(state));
            }
            // A question is answered with the answer to the probe behind it.
            for record in addresses.iter().flatten() {
                records.push(record);
            }
            if let Some(answer) = answer {
                records.push(&Record::Pong(Pong {
                    id: answer.id,
                    t_rx_us: answer.arrived.wire_micros(),
                    hold_us: now.since(answer.arrived).as_micros().min(u64::from(u32::MAX)) as u32,
                    hb_min_ms,
                }));
            }
            if let Some(ping) = ping {
                records.push(&Record::Ping(ping));
            }
            if let Some(report) = report {
                records.push(&Record::Report(report));
            }
            if let Some(quality) = quality {
                records.push(&Record::Quality(quality));
            }
            if let Some(attachment) = attachment {
                records.push(&Record::Attachment(attachment));
            }
        });
    }

    /// Reports the data that has arrived, over the best link, and over the next best too while there is doubt.
    pub(super) fn send_reports(&mut self, env: &mut Env) {
        self.report_at = None;
        let Some(best) = self.best_link(LinkSet::EMPTY) else {
            return;
        };
        let in_doubt = self
            .links()
            .any(|l| l.state() == LinkState::Suspect || !l.receiving());
        let second = if in_doubt {
            self.best_link(LinkSet::of(best))
        } else {
            None
        };
        for slot in [Slot::Previous, Slot::Current] {
            let Some(session) = self.slot_mut(slot).filter(|s| !s.unreported.is_empty()) else {
                continue;
            };
            let due = session.take_unreported();
            for link in [Some(best), second].into_iter().flatten() {
                self.send_report(env, slot, link, due);
            }
        }
    }

    fn send_report(&mut self, env: &mut Env, slot: Slot, over: LinkId, about: LinkSet) {
        let Some(path) = self.link(over).and_then(|l| l.endpoint.current()) else {
            return;
        };
        let reports: [Option<Report>; 8] = core::array::from_fn(|i| {
            let id = LinkId::new(i as u8).filter(|id| about.contains(*id))?;
            self.report(self.slot(slot)?, id)
        });
        let Some(session) = self.slot_mut(slot) else {
            return;
        };
        let start = env.outbox.arena.bytes.len();
        let sealed = session.seal_ctrl(over, &mut env.outbox.arena.bytes, |out| {
            let mut records = RecordWriter::new(out);
            for report in reports.into_iter().flatten() {
                records.push(&Record::Report(report));
            }
        });
        self.finish_ctrl(env, over, path, start, sealed);
    }

    /// Tells the peer what we hold of `id`, over the best other link and, while it can be used, over itself.
    pub(super) fn send_link_state(&mut self, env: &mut Env, id: LinkId) {
        if let Some(best) = self.best_link(LinkSet::of(id)) {
            self.send_heartbeat(env, best, None, None, LinkSet::of(id));
        }
    }

    /// The operator takes `id` out of service: say so while it still works.
    pub(super) fn say_link_is_gone(&mut self, env: &mut Env, id: LinkId) {
        let Some(mut state) = self.link_state(id) else {
            return;
        };
        state.admin_up = false;
        state.tx_ok = false;
        for over in [Some(id), self.best_link(LinkSet::of(id))].into_iter().flatten() {
            self.send_ctrl(env, over, |records| {
                records.push(&Record::LinkState(state));
            });
        }
    }

    /// Tells the peer that the session is over.
    pub(super) fn say_goodbye(&mut self, env: &mut Env) {
        if !self.is_up() {
            return;
        }
        let usable = self
            .links()
            .filter(|l| l.can_send() && l.state() >= LinkState::Probing);
        let links: LinkSet = usable.map(|l| l.id).collect();
        for link in links.iter() {
            self.send_ctrl(env, link, |records| {
                records.push(&Record::Close {
                    reason: CLOSE_SHUTDOWN,
                    scope: CLOSE_SESSION,
                });
            });
        }
    }

    /// Sends `records` on `link` to the address in use.
    pub(super) fn send_ctrl(
        &mut self,
        env: &mut Env,
        link: LinkId,
        write: impl FnOnce(&mut RecordWriter<'_>),
    ) {
        let Some(l) = self.link(link).filter(|l| l.can_send()) else {
            return;
        };
        let Some(path) = l.endpoint.current() else {
            return;
        };
        self.send_ctrl_to(env, link, path, write);
    }

    /// Sends `records` of `link` to `path`, which may be one that is still to be validated.
    pub(super) fn send_ctrl_to(
        &mut self,
        env: &mut Env,
        link: LinkId,
        path: Path,
        write: impl FnOnce(&mut RecordWriter<'_>),
    ) {
        let Some(session) = self.current.as_mut() else {
            return;
        };
        let start = env.outbox.arena.bytes.len();
        let sealed = session.seal_ctrl(link, &mut env.outbox.arena.bytes, |out| {
            write(&mut RecordWriter::new(out));
        });
        self.finish_ctrl(env, link, path, start, sealed);
    }

    fn finish_ctrl(
        &mut self,
        env: &mut Env,
        link: LinkId,
        path: Path,
        start: usize,
        sealed: Result<(), DropReason>,
    ) {
        let len = env.outbox.arena.bytes.len() - start;
        let Some(l) = self.link_mut(link) else { return };
        let validated = l.endpoint.is_current(&path);
        match sealed {
            Ok(()) if validated || l.endpoint.may_send_unvalidated(&path, len) => {
                // Else the kernel asks for the neighbour every half a minute, and where much is lost it is silent for
                // seconds because nobody has answered *that*.
                let confirms = validated && l.warm(env.now);
                if validated {
                    l.tx.count(len);
                    l.last_tx = env.now;
                }
                env.transmit(Class::Control, confirms, &path, start);
            }
            Ok(()) => env.outbox.arena.bytes.truncate(start),
            Err(reason) => {
                env.outbox.arena.bytes.truncate(start);
                env.drop(reason);
            }
        }
    }

    // ---- what is said -------------------------------------------------------------------------------

    fn report(&self, session: &Session, link: LinkId) -> Option<Report> {
        let l = self.link(link)?;
        let (highest, bitmap) = session.arrived(link);
        Some(Report {
            link,
            lane: 0,
            highest,
            bitmap,
            rx_pkts: l.counted_rx(),
        })
    }

    fn link_state(&self, id: LinkId) -> Option<LinkStateRecord> {
        let l = self.link(id)?;
        Some(LinkStateRecord {
            link: id,
            tx_ok: l.state() >= LinkState::Probing,
            rx_ok: l.receiving(),
            admin_up: !l.config.shutdown,
            priority: l.priority,
            weight: l.weight,
            mtu: u16::try_from(l.mtu.current()).unwrap_or(u16::MAX),
        })
    }

    /// Links other than `but` of which the peer must be reminded with each heartbeat.
    fn abnormal_links(&self, but: LinkId) -> LinkSet {
        self.links()
            .filter(|l| l.id != but && (!l.receiving() || l.config.shutdown))
            .map(|l| l.id)
            .collect()
    }

    /// The link that control messages had best travel on, if any can be used.
    pub(super) fn best_link(&self, but: LinkSet) -> Option<LinkId> {
        self.links()
            .filter(|l| !but.contains(l.id) && l.can_send())
            .max_by_key(|l| {
                (
                    l.trust(),
                    l.receiving(),
                    self.set.contains(l.id),
                    Reverse(l.config.cost),
                    l.priority,
                    Reverse(l.id),
                )
            })
            .map(|l| l.id)
    }
}

/// A session by its place.
#[derive(Clone, Copy)]
pub(super) enum Slot {
    Previous,
    Current,
}

impl Peer {
    fn slot(&self, slot: Slot) -> Option<&Session> {
        match slot {
            Slot::Previous => self.previous.as_deref(),
            Slot::Current => self.current.as_deref(),
        }
    }

    fn slot_mut(&mut self, slot: Slot) -> Option<&mut Session> {
        match slot {
            Slot::Previous => self.previous.as_deref_mut(),
            Slot::Current => self.current.as_deref_mut(),
        }
    }
}

impl Link {
    /// The PING that leaves now.
    pub(super) fn ping(&mut self, now: Time, due: PingDue, deferred: bool) -> Ping {
        let Probe { id, tx_pkts, .. } = self.probe(now, deferred);
        Ping {
            id,
            t_tx_us: now.wire_micros(),
            tx_pkts,
            urgent: due.urgent,
            reply_on_all: due.on_all,
            deferred,
            hb_ms: self.announced_interval_ms(),
        }
    }
}
