//! What happens in the tunnels, as lines of the log and as rows for `terminal monitor`.

use std::{fmt::Write, sync::Arc, time::Instant};

use libknet::{
    Event, SocketDown,
    api::message::EventRow,
    proto::{
        config::AddressPrefix,
        event::{Event as CoreEvent, LinkReason, SessionDownReason},
        hub_group::TakeOverReason,
        ids::{LinkId, PeerId},
        shard::TapMtuWish,
        status::Port,
        time::Span,
    },
};
use tokio::sync::broadcast;

use crate::{
    logging::{LogLimiter, clean, unix_ms},
    resolver::{LinkPlace, News},
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
    pub(crate) fn publish(&mut self, kind: &str, loudness: Loudness, row: EventRow) {
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
pub(crate) fn own(kind: &str, text: &str) -> EventRow {
    let text = clean(text, LINE_MAX);
    EventRow {
        unix_ms: unix_ms(),
        kind: kind.into(),
        what: text.clone(),
        text,
        ..EventRow::default()
    }
}

/// The row of an answer to a look-up, what kind of line it is for the limiter, and how loud.
pub(crate) fn describe_name(place: &LinkPlace, news: &News) -> (EventRow, String, Loudness) {
    let (kind, text, details, loudness) = match news {
        News::Moved { name, from, to } => {
            let from = from.map_or_else(String::new, |from| from.to_string());
            (
                "remote-address",
                format!("{name} is now {to}"),
                vec![("name", name.clone()), ("from", from), ("to", to.to_string())],
                Loudness::Info,
            )
        }
        News::NotResolved { name, error, kept } => {
            let kept = kept.map_or_else(String::new, |kept| format!("; {kept} is still used"));
            (
                "name-not-resolved",
                format!("{name} not resolved: {error}{kept}"),
                vec![("name", name.clone()), ("reason", error.clone())],
                Loudness::Warn,
            )
        }
    };
    let LinkPlace {
        interface,
        peer,
        link,
    } = place;
    let row = EventRow {
        kind: kind.into(),
        interface: Some(interface.clone()),
        peer: Some(peer.clone()),
        link: Some(*link),
        text: clean(&format!("{interface} peer {peer} link {link}: {text}"), LINE_MAX),
        unix_ms: unix_ms(),
        details: details
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect(),
        ..EventRow::default()
    };
    (row, format!("{kind} {interface} {peer} {link}"), loudness)
}

/// The row of an event, still without its time; what kind of line it is for the limiter; and how loud. `name` has
/// the names of the peers.
pub(crate) fn describe<'a>(
    interface: &str,
    name: impl Fn(PeerId) -> Option<&'a str>,
    event: &Event,
) -> (EventRow, String, Loudness) {
    let mut line = Line {
        name,
        row: EventRow {
            interface: Some(interface.into()),
            text: interface.into(),
            ..EventRow::default()
        },
    };
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
        Event::TapMtu { wish, error } => line.tap_mtu(wish, error.as_deref()),
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

struct Line<N> {
    name: N,
    row: EventRow,
}

impl<'a, N: Fn(PeerId) -> Option<&'a str>> Line<N> {
    fn name(&self, id: PeerId) -> String {
        // A peer that was removed a moment ago has a number and no name.
        (self.name)(id).map_or_else(|| format!("#{}", id.0), str::to_owned)
    }

    fn peer(&mut self, id: PeerId) {
        let name = self.name(id);
        let _ = write!(self.row.text, " peer {name}");
        self.row.peer = Some(name);
    }

    fn link(&mut self, peer: PeerId, link: LinkId) {
        self.peer(peer);
        let _ = write!(self.row.text, " link {link}");
        self.row.link = Some(link.get());
    }

    fn say(&mut self, what: &str) {
        self.row.text = clean(&format!("{}: {what}", self.row.text), LINE_MAX);
        self.row.what = clean(what, LINE_MAX);
    }

    fn detail(&mut self, name: &str, value: &dyn ToString) {
        self.row.details.push((name.into(), value.to_string()));
    }

    fn tap_mtu(&mut self, wish: &TapMtuWish, error: Option<&str>) -> Loudness {
        let TapMtuWish {
            from,
            to,
            carries,
            reason,
            ..
        } = wish;
        self.row.kind = "tap-mtu".into();
        self.link(wish.peer, wish.link);
        self.detail("from", from);
        self.detail("to", to);
        self.detail("carries", carries);
        self.detail("reason", reason);
        if let Some(error) = error {
            self.detail("error", &error);
            self.say(&format!(
                "MTU of the TAP {from}, and {to} could not be set: {error}"
            ));
            return Loudness::Warn;
        }
        self.say(&format!(
            "MTU of the TAP {from} -> {to}: the narrowest link in use carries {carries} ({reason})"
        ));
        Loudness::Info
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
            CoreEvent::LoopFound { .. } => "loop-found",
            CoreEvent::LoopOpened { .. } => "loop-opened",
            CoreEvent::HubTakeOver { .. } => "hub-take-over",
            CoreEvent::HubResent { .. } => "hub-resent",
            CoreEvent::Credential(_) => "credential",
            CoreEvent::Addresses { .. } => "addresses",
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
                self.say(&format!(
                    "{} -> {}: {text} (silent {}, rtt {})",
                    from.name(),
                    to.name(),
                    millis(*silent),
                    millis(*srtt)
                ));
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
                nearest,
            } => {
                self.link(*peer, *link);
                let verdict = match (poor, nearest) {
                    (true, Some(_)) => {
                        "too far from the others for round-robin, avoided while one of them is up"
                    }
                    (true, None) => "over its limits, avoided while another link is up",
                    (false, _) => "within its limits again",
                };
                let (percent, tenths) = (loss_ppm / 10_000, loss_ppm / 1_000 % 10);
                let others = nearest.map_or(String::new(), |rtt| format!(", the nearest {}", millis(rtt)));
                self.say(&format!(
                    "{verdict} (loss {percent}.{tenths}%, rtt {}{others})",
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
                        let name = self.name(*id);
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
            CoreEvent::LoopFound { peer, other, hold } => {
                let with = match other {
                    Port::Tap => "the network of this host is also joined with that of the peer".to_owned(),
                    Port::Peer(id) if id == peer => "its network sends back what comes".to_owned(),
                    Port::Peer(id) => {
                        format!("its network is also joined with that of peer {}", self.name(*id))
                    }
                };
                self.peer(*peer);
                let seconds = hold.as_secs();
                self.say(&format!("closed for {seconds} s, for there is a loop: {with}"));
                self.detail("hold_s", &seconds);
                return Loudness::Warn;
            }
            CoreEvent::LoopOpened { peer } => {
                self.peer(*peer);
                self.say("open again after a loop");
                return Loudness::Warn;
            }
            CoreEvent::HubTakeOver {
                group,
                from,
                to,
                reason,
            } => {
                let before = from.map(|id| self.name(id));
                self.peer(*to);
                let (name, why) = take_over_reason(*reason);
                let from = before.as_deref().map_or(String::new(), |b| format!(" from {b}"));
                self.say(&format!("takes over hub-group {group}{from}: {why}"));
                self.detail("group", group);
                self.detail("from", &before.unwrap_or_default());
                self.detail("reason", &name);
                return if matches!(reason, TakeOverReason::InDoubt | TakeOverReason::Down) {
                    Loudness::Warn
                } else {
                    Loudness::Info
                };
            }
            CoreEvent::HubResent { from, to, frames } => {
                let to = self.name(*to);
                self.peer(*from);
                self.say(&format!(
                    "{frames} frames that it had not reported sent again to {to}"
                ));
                self.detail("to", &to);
                self.detail("frames", frames);
            }
            CoreEvent::Credential(presented) => {
                self.row.peer = presented.peer.map(|id| self.name(id));
                self.say(&format!("a credential was presented from {}", presented.remote));
                return Loudness::Debug;
            }
            CoreEvent::Addresses { peer, addresses } => {
                self.peer(*peer);
                let each = |prefix: &AddressPrefix| format!("{}/{}", prefix.address, prefix.length);
                let all: Vec<String> = addresses.as_slice().iter().map(each).collect();
                if all.is_empty() {
                    self.say("gives us no address");
                } else {
                    self.say(&format!("gives us {}", all.join(", ")));
                }
                self.detail("addresses", &all.join(","));
                return Loudness::Debug;
            }
        }
        Loudness::Info
    }
}

fn millis(span: Span) -> String {
    let micros = span.as_micros();
    format!("{}.{:01} ms", micros / 1000, micros % 1000 / 100)
}

/// Why a hub is the one in use, as JSON and as people have it.
pub(crate) const fn take_over_reason(reason: TakeOverReason) -> (&'static str, &'static str) {
    match reason {
        TakeOverReason::First => ("first", "no other was in use"),
        TakeOverReason::InDoubt => ("in-doubt", "all links of the one before were in doubt"),
        TakeOverReason::Down => ("down", "the one before was down"),
        TakeOverReason::Preferred => ("preferred", "it is preferred, and has been up for long enough"),
    }
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
    use libknet::proto::{link::path_mtu::LimitReason, status::LinkState};

    use super::*;
    use crate::config::slots::Slots;

    #[test]
    fn a_link_event_names_everything() {
        let slots = Slots::default().updated(&[].into(), &[("ams1".to_owned(), ())].into());
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
        let describe = |to| describe("knet0", |id| slots.name(id), &event(to));
        let (row, kind, loudness) = describe(LinkState::Suspect);
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
        assert_eq!(
            row.what,
            "up -> suspect: data was sent and not reported (silent 12.3 ms, rtt 0.9 ms)"
        );
        assert_ne!(kind, describe(LinkState::Down).1);
    }

    #[test]
    fn every_event_can_be_told_and_is_one_line() {
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
            CoreEvent::LoopFound {
                peer,
                other: Port::Tap,
                hold: Span::from_secs(30),
            },
            CoreEvent::LoopOpened { peer },
            CoreEvent::HubTakeOver {
                group: "hubs".into(),
                from: Some(peer),
                to: PeerId(1),
                reason: TakeOverReason::InDoubt,
            },
            CoreEvent::HubResent {
                from: peer,
                to: PeerId(1),
                frames: 3,
            },
        ];
        for event in events {
            let (row, _, _) = describe("knet0", |_| None, &Event::Core(event));
            assert!(!row.what.is_empty() && row.text.ends_with(&row.what), "{row:?}");
            assert!(
                row.text.starts_with("knet0") && !row.text.contains('\n'),
                "{}",
                row.text
            );
            assert!(row.text.len() < LINE_MAX && !row.kind.is_empty(), "{}", row.text);
        }
    }

    #[test]
    fn a_change_of_the_tap_s_mtu_names_the_link_that_decides_it() {
        let wish = TapMtuWish {
            from: 1400,
            to: 1330,
            peer: PeerId(0),
            link: LinkId::new(1).unwrap(),
            carries: 1330,
            reason: LimitReason::Path {
                passes: 1400,
                refused: 1408,
            },
        };
        let say = |error: Option<&str>| {
            let error = error.map(str::to_owned);
            describe("knet0", |_| Some("ams1"), &Event::TapMtu { wish, error })
        };
        let (row, _, loudness) = say(None);
        assert_eq!(
            row.text,
            "knet0 peer ams1 link 1: MTU of the TAP 1400 -> 1330: the narrowest link in use carries 1330 \
             (path: 1400 passes, 1408 does not)"
        );
        assert_eq!((row.kind.as_str(), loudness), ("tap-mtu", Loudness::Info));
        assert!(row.details.contains(&("to".into(), "1330".into())));
        let (row, _, loudness) = say(Some("no permission"));
        assert_eq!(
            row.what,
            "MTU of the TAP 1400, and 1330 could not be set: no permission"
        );
        assert_eq!(loudness, Loudness::Warn);
    }

    #[test]
    fn watchers_get_what_the_log_holds_back() {
        let mut sink = EventSink::default();
        let mut watcher = sink.watch();
        for _ in 0..3 {
            sink.publish("k", Loudness::Info, own("configured", "a\nb"));
        }
        for _ in 0..3 {
            assert_eq!(watcher.try_recv().unwrap().text, "a\\nb");
        }
    }
}
