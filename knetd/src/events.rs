//! What happens in the tunnels, as lines of the log and as rows for `terminal monitor`.

use std::{fmt::Write, sync::Arc, time::Instant};

use libknet::{
    Event, SocketDown,
    api::message::EventRow,
    proto::{
        event::{Event as CoreEvent, LinkReason, SessionDownReason},
        ids::{LinkId, PeerId},
        status::Port,
        time::Span,
    },
};
use tokio::sync::broadcast;

use crate::{
    config::slots::Slots,
    logging::{LogLimiter, clean, unix_ms},
    rows::{local_state, role_name, suite_name},
};

/// Events that a client of `terminal monitor` may lag behind.
const MONITOR_QUEUE: usize = 1024;
/// Longest line about an event in bytes (limits: row 45).
const LINE_MAX: usize = 256;

/// Where events go to: the log, with bounds, and everybody who watches.
pub(crate) struct EventSink {
    limiter: LogLimiter,
    watchers: broadcast::Sender<Arc<EventRow>>,
}

/// How loud an event is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loudness {
    /// Somebody should look.
    Warn,
    /// A change of state.
    Info,
    /// Business as usual.
    Debug,
}

impl Default for EventSink {
    fn default() -> Self {
        Self {
            limiter: LogLimiter::default(),
            watchers: broadcast::Sender::new(MONITOR_QUEUE),
        }
    }
}

impl EventSink {
    /// Everything from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<EventRow>> {
        self.watchers.subscribe()
    }

    /// Logs and hands out `row`. Lines of the same `kind` are limited together.
    pub(crate) fn publish(&mut self, kind: &str, loudness: Loudness, mut row: EventRow) {
        row.text = clean(&row.text, LINE_MAX);
        row.unix_ms = unix_ms();
        if let Some(line) = self.limiter.admit(Instant::now(), kind, row.text.clone()) {
            match loudness {
                Loudness::Warn => tracing::warn!(target: "knetd::event", "{line}"),
                Loudness::Info => tracing::info!(target: "knetd::event", "{line}"),
                Loudness::Debug => tracing::debug!(target: "knetd::event", "{line}"),
            }
        }
        // Without watchers there is nobody to hand it to.
        let _ = self.watchers.send(Arc::new(row));
    }

    /// Logs a line that others can cause; lines of the same `kind` are limited together.
    pub(crate) fn log(&mut self, kind: &str, line: String) {
        if let Some(line) = self.limiter.admit(Instant::now(), kind, line) {
            tracing::warn!("{line}");
        }
    }

    /// Logs what was held back; to be called about once a second.
    pub(crate) fn summarize(&mut self) {
        for line in self.limiter.summaries(Instant::now()) {
            tracing::info!(target: "knetd::event", "{line}");
        }
    }
}

/// An event of the daemon itself.
pub(crate) fn own(kind: &str, interface: Option<&str>, text: String) -> EventRow {
    EventRow {
        kind: kind.into(),
        interface: interface.map(Into::into),
        text,
        ..EventRow::default()
    }
}

/// The row of an event, what kind of line it is for the limiter, and how loud.
pub(crate) fn describe(interface: &str, slots: &Slots, event: &Event) -> (EventRow, String, Loudness) {
    let mut line = Line::new(interface, slots);
    let loudness = match event {
        Event::Core(event) => line.core(event),
        Event::Socket { socket, down } => {
            line.row.kind = "local-state".into();
            line.detail("local", &socket.0);
            line.detail("state", &local_state(*down));
            let why = match down {
                None => "up",
                Some(SocketDown::AddressMissing) => "down: no device has its address",
                Some(SocketDown::InterfaceDown) => "down: the device with its address is down",
                Some(SocketDown::NoCarrier) => "down: the device with its address has no carrier",
            };
            line.say(&format!("local {} is {why}", socket.0));
            Loudness::Info
        }
        Event::Failed { message } => {
            line.row.kind = "interface-failed".into();
            line.say(&format!("failed: {message}"));
            Loudness::Warn
        }
    };
    let Line { row, .. } = line;
    let state = row
        .details
        .iter()
        .find(|(name, _)| name == "to" || name == "state")
        .map_or("", |(_, v)| v);
    let kind = format!(
        "{} {} {} {} {state}",
        row.kind,
        interface,
        row.peer.as_deref().unwrap_or_default(),
        row.link.map(|l| l.to_string()).unwrap_or_default(),
    );
    (row, kind, loudness)
}

struct Line<'a> {
    slots: &'a Slots,
    row: EventRow,
}

impl<'a> Line<'a> {
    fn new(interface: &str, slots: &'a Slots) -> Self {
        Self {
            slots,
            row: own("", Some(interface), interface.into()),
        }
    }

    fn peer(&mut self, id: PeerId) {
        // A peer that was removed a moment ago has a number and no name.
        let name = self
            .slots
            .name(id)
            .map_or_else(|| format!("#{}", id.0), str::to_owned);
        let _ = write!(self.row.text, " peer {name}");
        self.row.peer = Some(name);
    }

    fn link(&mut self, peer: PeerId, link: LinkId) {
        self.peer(peer);
        let _ = write!(self.row.text, " link {link}");
        self.row.link = Some(link.get());
    }

    fn say(&mut self, text: &str) {
        let _ = write!(self.row.text, ": {text}");
    }

    fn detail(&mut self, name: &str, value: &dyn ToString) {
        self.row.details.push((name.into(), value.to_string()));
    }

    fn core(&mut self, event: &CoreEvent) -> Loudness {
        let kind = match event {
            CoreEvent::SessionUp { .. } => "session-up",
            CoreEvent::SessionDown { .. } => "session-down",
            CoreEvent::LinkState { .. } => "link-state",
            CoreEvent::LinkReceive { .. } => "link-receive",
            CoreEvent::PeerStall { .. } => "peer-stall",
            CoreEvent::LinkQuality { .. } => "link-quality",
            CoreEvent::Replay { .. } => "replay",
            CoreEvent::Roamed { .. } => "roamed",
            CoreEvent::Gap { .. } => "gap",
            CoreEvent::MacFrozen { .. } => "mac-frozen",
        };
        self.row.kind = kind.into();
        match event {
            CoreEvent::SessionUp {
                peer,
                role,
                suite,
                rekey,
            } => {
                self.peer(*peer);
                let what = if *rekey { "new key" } else { "session up" };
                self.say(&format!("{what} ({}, {})", role_name(*role), suite_name(*suite)));
                self.detail("role", &role_name(*role));
                self.detail("suite", &suite_name(*suite));
                self.detail("rekey", &rekey);
                return if *rekey { Loudness::Debug } else { Loudness::Info };
            }
            CoreEvent::SessionDown { peer, reason } => {
                self.peer(*peer);
                let (name, text) = session_down_reason(*reason);
                self.say(&format!("session down: {text}"));
                self.detail("reason", &name);
            }
            CoreEvent::LinkState {
                peer,
                link,
                from,
                to,
                reason,
                silent,
                srtt,
            } => {
                self.link(*peer, *link);
                let (name, text) = link_reason(*reason);
                self.say(&format!("{} -> {}: {text}", from.name(), to.name()));
                let _ = write!(
                    self.row.text,
                    " (silent {}, rtt {})",
                    millis(*silent),
                    millis(*srtt)
                );
                self.detail("from", &from.name());
                self.detail("to", &to.name());
                self.detail("reason", &name);
                self.detail("silent_us", &silent.as_micros());
                self.detail("srtt_us", &srtt.as_micros());
            }
            CoreEvent::LinkReceive { peer, link, ok } => {
                self.link(*peer, *link);
                self.say(if *ok {
                    "what the peer sends arrives"
                } else {
                    "what the peer sends does not arrive"
                });
                self.detail("state", &if *ok { "receiving" } else { "silent" });
            }
            CoreEvent::PeerStall { peer } => {
                self.peer(*peer);
                self.say("all links fell silent at once; they are judged slowly");
            }
            CoreEvent::LinkQuality {
                peer,
                link,
                poor,
                loss_ppm,
                srtt,
            } => {
                self.link(*peer, *link);
                let verdict = if *poor {
                    "over its limits, avoided while another link is up"
                } else {
                    "within its limits again"
                };
                let (percent, tenths) = (loss_ppm / 10_000, loss_ppm / 1_000 % 10);
                self.say(&format!(
                    "{verdict} (loss {percent}.{tenths}%, rtt {})",
                    millis(*srtt)
                ));
                self.detail("poor", poor);
                self.detail("loss_ppm", loss_ppm);
                self.detail("srtt_us", &srtt.as_micros());
            }
            CoreEvent::Replay { peer, over, frames } => {
                self.peer(*peer);
                let links: Vec<_> = over.iter().map(|l| l.get().to_string()).collect();
                let links = links.join(", ");
                let s = if *frames == 1 { "" } else { "s" };
                self.say(&format!("{frames} frame{s} replayed on link {links}"));
                self.detail("links", &links);
                self.detail("frames", &frames);
            }
            CoreEvent::Roamed { peer, link, from, to } => {
                self.link(*peer, *link);
                let from = from.map_or_else(|| "nowhere".into(), |a| a.to_string());
                self.say(&format!("remote address {from} -> {to}"));
                self.detail("from", &from);
                self.detail("to", &to);
            }
            CoreEvent::Gap { gap } => {
                self.say(&format!(
                    "this host stood still for {}; deadlines were moved",
                    millis(*gap)
                ));
                self.detail("gap_us", &gap.as_micros());
                return Loudness::Warn;
            }
            CoreEvent::MacFrozen { mac, port } => {
                let at = match port {
                    Port::Tap => "on this host".into(),
                    Port::Peer(id) => {
                        let name = self
                            .slots
                            .name(*id)
                            .map_or_else(|| format!("#{}", id.0), str::to_owned);
                        self.row.peer = Some(name.clone());
                        format!("behind peer {name}")
                    }
                };
                self.say(&format!(
                    "{mac} moves too often and stays {at} for a while; is there a loop?"
                ));
                self.detail("mac_address", &mac);
                return Loudness::Warn;
            }
        }
        Loudness::Info
    }
}

fn millis(span: Span) -> String {
    let micros = span.as_micros();
    format!("{}.{:01} ms", micros / 1000, micros % 1000 / 100)
}

const fn session_down_reason(reason: SessionDownReason) -> (&'static str, &'static str) {
    match reason {
        SessionDownReason::Expired => ("expired", "it grew too old without a successor"),
        SessionDownReason::ClosedByPeer => ("closed-by-peer", "the peer said goodbye"),
        SessionDownReason::Unreachable => ("unreachable", "all links have been down for too long"),
        SessionDownReason::Configured => ("configured", "the configuration was changed"),
        SessionDownReason::UsageLimit => ("usage-limit", "the key's use is up"),
    }
}

const fn link_reason(reason: LinkReason) -> (&'static str, &'static str) {
    match reason {
        LinkReason::Unreported => ("unreported", "data was sent and not reported"),
        LinkReason::ReportsStandStill => ("reports-stand-still", "reports come and its counter stands still"),
        LinkReason::PongMissing => ("pong-missing", "a heartbeat was not answered"),
        LinkReason::ProbesUnanswered => ("probes-unanswered", "probes were not answered"),
        LinkReason::Timeout => ("timeout", "the last link was silent for its whole timeout"),
        LinkReason::SendError => ("send-error", "the kernel refused to send"),
        LinkReason::LocalDown => ("local-down", "the local device or address is down"),
        LinkReason::LocalUp => ("local-up", "the local device and address are up"),
        LinkReason::PeerReports => ("peer-reports", "the peer says that nothing arrives"),
        LinkReason::Answered => ("answered", "an answer came"),
        LinkReason::PongCount => ("pong-count", "enough answers in a row"),
        LinkReason::Handshake => ("handshake", "the handshake proved the path"),
        LinkReason::Admin => ("admin", "switched by an operator, here or there"),
        LinkReason::Configured => ("configured", "the configuration was changed"),
        LinkReason::SessionBegins => ("session-begins", "a session with the peer began"),
        LinkReason::SessionEnds => ("session-ends", "the session with the peer ended"),
        LinkReason::Validated => ("validated", "the path was validated"),
    }
}

#[cfg(test)]
mod tests {
    use libknet::proto::status::LinkState;

    use super::*;

    #[test]
    fn a_link_event_names_everything() {
        let slots = Slots::default().updated([&"ams1".to_string()].into_iter());
        let event = |to| {
            Event::Core(CoreEvent::LinkState {
                peer: PeerId(0),
                link: LinkId::new(2).unwrap(),
                from: LinkState::Up,
                to,
                reason: LinkReason::Unreported,
                silent: Span::from_micros(12_345),
                srtt: Span::from_micros(987),
            })
        };
        let (row, kind, loudness) = describe("knet0", &slots, &event(LinkState::Suspect));
        assert_eq!(
            row.text,
            "knet0 peer ams1 link 2: up -> suspect: data was sent and not reported (silent 12.3 ms, rtt 0.9 ms)"
        );
        assert_eq!(
            (row.interface.as_deref(), row.peer.as_deref(), row.link),
            (Some("knet0"), Some("ams1"), Some(2))
        );
        assert_eq!(row.kind, "link-state");
        assert!(row.details.contains(&("silent_us".into(), "12345".into())));
        assert_eq!(loudness, Loudness::Info);
        assert_ne!(kind, describe("knet0", &slots, &event(LinkState::Down)).1);
    }

    #[test]
    fn every_event_can_be_told_and_is_one_line() {
        let slots = Slots::default();
        let (peer, link) = (PeerId(9), LinkId::new(0).unwrap());
        let events = [
            CoreEvent::SessionDown {
                peer,
                reason: SessionDownReason::Expired,
            },
            CoreEvent::LinkReceive {
                peer,
                link,
                ok: false,
            },
            CoreEvent::PeerStall { peer },
            CoreEvent::Roamed {
                peer,
                link,
                from: None,
                to: "192.0.2.1:7700".parse().unwrap(),
            },
            CoreEvent::Gap {
                gap: Span::from_secs(2),
            },
            CoreEvent::MacFrozen {
                mac: libknet::proto::ids::MacAddr([2; 6]),
                port: Port::Peer(peer),
            },
        ];
        for event in events {
            let (row, _, _) = describe("knet0", &slots, &Event::Core(event));
            assert!(
                row.text.starts_with("knet0") && !row.text.contains('\n'),
                "{}",
                row.text
            );
            assert!(row.text.len() < LINE_MAX && !row.kind.is_empty(), "{}", row.text);
        }
    }

    #[test]
    fn watchers_get_what_the_log_holds_back() {
        let mut sink = EventSink::default();
        let mut watcher = sink.watch();
        for _ in 0..3 {
            sink.publish("k", Loudness::Info, own("configured", None, "a\nb".into()));
        }
        for _ in 0..3 {
            assert_eq!(watcher.try_recv().unwrap().text, "a\\nb");
        }
    }
}
