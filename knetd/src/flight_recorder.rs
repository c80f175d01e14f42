//! What happened to each peer and why, for `show peer NAME history`. Every event, unlike in the log.

use std::collections::{BTreeMap, VecDeque};

use libknet::{
    Event,
    api::{diff::peer_differences, message::EventRow, model::Config},
};

use crate::events;

/// Events kept of one peer, and of one interface.
pub(crate) const OF_ONE: usize = 256;
/// Events kept of all together: at 128 bytes each, and never less than a quarter of what is allocated, 16 MiB.
pub(crate) const OF_ALL: usize = 32_768;
/// Memory is given back when this many times as much is allocated as needed.
const SLACK: usize = 4;
/// What happened to the interface this long before the first event of a peer may have caused it.
const LEAD_MS: u64 = 1_000;

/// The latest events of peers and of interfaces. Who had none costs nothing.
#[derive(Debug, Default)]
pub(crate) struct FlightRecorder {
    tracks: BTreeMap<Subject, Track>,
    /// The first event of each track that has one, by its number.
    first: BTreeMap<u64, Subject>,
    next: u64,
    total: usize,
}

/// An interface (its own events), or one of its peers.
type Subject = (String, Option<String>);

#[derive(Debug, Default)]
struct Track {
    events: VecDeque<Recorded>,
    /// Events that had to make room.
    forgotten: u64,
}

/// An event is kept as it came, and described when somebody asks: that takes an eighth of the memory.
#[derive(Debug)]
struct Recorded {
    number: u64,
    unix_ms: u64,
    event: Event,
}

impl FlightRecorder {
    /// How many events are kept.
    pub(crate) const fn len(&self) -> usize {
        self.total
    }

    /// Something happened to `peer`, or to the interface as a whole.
    pub(crate) fn record(&mut self, interface: &str, peer: Option<&str>, unix_ms: u64, event: Event) {
        let subject = (interface.to_owned(), peer.map(str::to_owned));
        if self
            .tracks
            .get(&subject)
            .is_some_and(|t| t.events.len() == OF_ONE)
        {
            self.forget_first(&subject);
        } else if self.total == OF_ALL
            && let Some((_, oldest)) = self.first.first_key_value()
        {
            let oldest = oldest.clone();
            self.forget_first(&oldest);
        }
        let number = self.next;
        self.next += 1;
        self.total += 1;
        let track = self.tracks.entry(subject.clone()).or_default();
        if track.events.is_empty() {
            self.first.insert(number, subject);
        }
        track.events.push_back(Recorded {
            number,
            unix_ms,
            event,
        });
    }

    /// The latest events of a peer and of its interface meanwhile, the oldest first, and how many of the peer's
    /// came before them.
    pub(crate) fn history(&self, interface: &str, peer: &str, last: usize) -> (Vec<EventRow>, u64) {
        let track = |peer: Option<&str>| self.tracks.get(&(interface.to_owned(), peer.map(str::to_owned)));
        let Some(own) = track(Some(peer)) else {
            return (Vec::new(), 0);
        };
        let since = own.events.front().map_or(u64::MAX, |first| first.unix_ms);
        let around = track(None).into_iter().flat_map(|t| &t.events);
        let around = around.filter(|e| e.unix_ms.saturating_add(LEAD_MS) >= since);
        let mut all: Vec<(&Recorded, bool)> = around.map(|e| (e, false)).collect();
        all.extend(own.events.iter().map(|e| (e, true)));
        all.sort_unstable_by_key(|(e, _)| e.number);
        let cut = all.len().saturating_sub(last);
        let older = all[..cut].iter().filter(|(_, own)| *own).count() as u64;
        // The events of a peer are about nobody else, and numbers may have changed since.
        let row = |(recorded, _): &(&Recorded, bool)| {
            let (mut row, ..) = events::describe(interface, |_| Some(peer), &recorded.event);
            row.unix_ms = recorded.unix_ms;
            row
        };
        (all[cut..].iter().map(row).collect(), own.forgotten + older)
    }

    /// Forgets who was configured in `before` and is not in `after`: a new peer of an old name begins afresh.
    pub(crate) fn forget_gone(&mut self, before: &Config, after: &Config) {
        for (interface, difference) in peer_differences(before, after) {
            if difference.new.is_none() {
                self.forget(&(interface.to_owned(), Some(difference.key.clone())));
            }
        }
        for interface in before.interfaces.keys() {
            if !after.interfaces.contains_key(interface) {
                self.forget(&(interface.clone(), None));
            }
        }
    }

    fn forget(&mut self, subject: &Subject) {
        if let Some(track) = self.tracks.remove(subject) {
            self.total -= track.events.len();
            if let Some(first) = track.events.front() {
                self.first.remove(&first.number);
            }
        }
    }

    fn forget_first(&mut self, subject: &Subject) {
        let Some(track) = self.tracks.get_mut(subject) else {
            return;
        };
        let Some(gone) = track.events.pop_front() else {
            return;
        };
        track.forgotten += 1;
        self.total -= 1;
        if track.events.len() * SLACK < track.events.capacity() {
            track.events.shrink_to_fit();
        }
        if let Some(subject) = self.first.remove(&gone.number)
            && let Some(first) = track.events.front()
        {
            self.first.insert(first.number, subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use libknet::{
        api::{
            codec,
            message::{Reply, Response},
            model::{InterfaceConfig, PeerConfig},
        },
        proto::{
            event::{Event as CoreEvent, LinkReason},
            ids::{LinkId, LinkSet, MacAddr, PeerId},
            status::{LinkState, Port},
            time::Span,
        },
    };

    use super::*;

    fn replay(frames: u32) -> Event {
        Event::Core(CoreEvent::Replay {
            peer: PeerId(7),
            over: LinkSet::of(LinkId::new(1).unwrap()),
            frames,
        })
    }

    fn gap() -> Event {
        let gap = Span::from_millis(60);
        Event::Core(CoreEvent::Gap { gap })
    }

    fn told(recorder: &FlightRecorder, peer: &str, last: usize) -> Vec<String> {
        let (rows, _) = recorder.history("knet0", peer, last);
        rows.iter()
            .map(|row| format!("{} {}", row.unix_ms, row.what))
            .collect()
    }

    /// What must hold after everything.
    fn check(recorder: &FlightRecorder) {
        let kept: usize = recorder.tracks.values().map(|t| t.events.len()).sum();
        assert_eq!(recorder.total, kept);
        assert!(kept <= OF_ALL);
        let firsts: BTreeMap<u64, Subject> = recorder
            .tracks
            .iter()
            .filter_map(|(subject, track)| Some((track.events.front()?.number, subject.clone())))
            .collect();
        assert_eq!(recorder.first, firsts);
        for track in recorder.tracks.values() {
            assert!(track.events.len() <= OF_ONE);
            assert!(track.events.capacity() <= OF_ONE.max(SLACK * track.events.len()));
        }
    }

    #[test]
    fn a_peer_s_events_come_with_those_of_its_interface() {
        let mut recorder = FlightRecorder::default();
        recorder.record("knet0", None, 1_000, gap());
        recorder.record("knet0", None, 9_000, gap());
        recorder.record("knet0", Some("ams1"), 10_000, replay(1));
        recorder.record("knet0", Some("lab2"), 10_001, replay(9));
        recorder.record("knet1", Some("ams1"), 10_002, replay(8));
        recorder.record("knet0", None, 10_003, gap());
        recorder.record("knet0", Some("ams1"), 10_004, replay(412));
        let gap = "this host stood still for 60.0 ms; deadlines were moved";
        let expected = [
            format!("9000 {gap}"),
            "10000 1 frame replayed on link 1".into(),
            format!("10003 {gap}"),
            "10004 412 frames replayed on link 1".into(),
        ];
        assert_eq!(told(&recorder, "ams1", usize::MAX), expected);
        assert_eq!(told(&recorder, "ams1", 2), expected[2..]);
        assert_eq!(recorder.history("knet0", "ams1", 2).1, 1);
        assert_eq!(recorder.history("knet0", "ams1", 4).1, 0);
        assert_eq!(recorder.history("knet0", "new", 9), (Vec::new(), 0));
        let (rows, _) = recorder.history("knet0", "ams1", 1);
        assert_eq!(rows[0].text, "knet0 peer ams1: 412 frames replayed on link 1");
        check(&recorder);
    }

    #[test]
    fn one_peer_keeps_its_latest_events() {
        let mut recorder = FlightRecorder::default();
        recorder.record("knet0", Some("calm"), 0, replay(1));
        for n in 0..OF_ONE as u32 + 44 {
            recorder.record("knet0", Some("flapping"), 0, replay(n));
        }
        let (rows, earlier) = recorder.history("knet0", "flapping", usize::MAX);
        assert_eq!((rows.len(), earlier), (OF_ONE, 44));
        assert_eq!(rows[0].what, "44 frames replayed on link 1");
        assert_eq!(recorder.history("knet0", "flapping", 6).1, 44 + 250);
        assert_eq!(told(&recorder, "calm", 9).len(), 1);
        check(&recorder);
    }

    #[test]
    fn all_together_are_bounded_and_the_oldest_go_first() {
        let mut recorder = FlightRecorder::default();
        let peers = OF_ALL as u32 / 100 + 50;
        for n in 0..100 {
            for peer in 0..peers {
                recorder.record("knet0", Some(&peer.to_string()), u64::from(n), replay(n));
            }
            check(&recorder);
        }
        assert_eq!(recorder.total, OF_ALL);
        let times = |peer: u32| {
            let (rows, earlier) = recorder.history("knet0", &peer.to_string(), usize::MAX);
            assert_eq!(rows.len() as u64 + earlier, 100);
            rows[0].unix_ms
        };
        // Everybody's oldest went, nobody was silenced.
        let oldest: Vec<u64> = (0..peers).map(times).collect();
        assert!(
            oldest.iter().max().unwrap() - oldest.iter().min().unwrap() <= 1,
            "{oldest:?}"
        );

        // Who is quiet while others have events keeps nothing in the end, and costs nothing.
        for n in 0..OF_ALL as u32 {
            recorder.record("knet0", Some(&(n % peers / 2).to_string()), 200, replay(n));
        }
        check(&recorder);
        let quiet = &recorder.tracks[&("knet0".into(), Some((peers - 1).to_string()))];
        assert_eq!((quiet.events.capacity(), quiet.forgotten), (0, 100));
    }

    #[test]
    fn who_is_removed_is_forgotten() {
        let mut recorder = FlightRecorder::default();
        let peers = ["ams1", "lab2"].map(|name| (name.to_owned(), PeerConfig::default()));
        let interface = InterfaceConfig {
            peers: peers.into(),
            ..InterfaceConfig::default()
        };
        let all = Config {
            interfaces: ["knet0", "knet9"]
                .map(|name| (name.to_owned(), interface.clone()))
                .into(),
            ..Config::default()
        };
        for peer in ["ams1", "lab2"] {
            recorder.record("knet0", Some(peer), 1, replay(1));
        }
        recorder.record("knet0", None, 1, gap());
        recorder.record("knet9", None, 1, gap());
        recorder.record("knet9", Some("ams1"), 1, gap());
        recorder.forget_gone(&Config::default(), &all);
        assert_eq!(recorder.total, 5);
        let mut without = all.clone();
        without.interfaces.remove("knet9");
        recorder.forget_gone(&all, &without);
        check(&recorder);
        assert_eq!(recorder.total, 3);
        let before = without.clone();
        without.interfaces.get_mut("knet0").unwrap().peers.remove("ams1");
        recorder.forget_gone(&before, &without);
        check(&recorder);
        assert!(told(&recorder, "ams1", 9).is_empty());
        assert_eq!(told(&recorder, "lab2", 9).len(), 2);
        recorder.forget_gone(&without, &Config::default());
        assert!(recorder.tracks.is_empty() && recorder.first.is_empty());
    }

    #[test]
    fn the_longest_history_fits_into_one_answer() {
        assert!(size_of::<Recorded>() <= 128, "{}", size_of::<Recorded>());
        let name = "x".repeat(63);
        let mut recorder = FlightRecorder::default();
        for _ in 0..OF_ONE {
            let message = "m".repeat(10_000);
            recorder.record("interface-name0", None, u64::MAX, Event::Failed { message });
            let state = CoreEvent::LinkState {
                peer: PeerId(7),
                link: LinkId::new(7).unwrap(),
                from: LinkState::AdminDown,
                to: LinkState::LocalDown,
                reason: LinkReason::Timeout,
                silent: Span::from_secs(1_000_000_000),
                srtt: Span::from_secs(1_000_000_000),
            };
            recorder.record("interface-name0", Some(&name), u64::MAX, Event::Core(state));
        }
        recorder.record(
            "interface-name0",
            Some(&name),
            u64::MAX,
            Event::Core(CoreEvent::MacFrozen {
                mac: MacAddr([2; 6]),
                port: Port::Peer(PeerId(7)),
            }),
        );
        let (events, earlier) = recorder.history("interface-name0", &name, usize::MAX);
        assert_eq!((events.len(), earlier), (2 * OF_ONE, 1));
        let response = Response {
            id: u32::MAX,
            more: false,
            body: Ok(Reply::History { events, earlier }),
        };
        codec::encode(&response, codec::MAX_RESPONSE).unwrap();
    }
}
