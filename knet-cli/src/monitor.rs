//! Events as they happen: all of them (`terminal monitor`), or those of some peers for a while (`debug peer`).

use std::{
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use knet_api::message::{EventRow, Reply, RequestBody};
use serde_json::json;

use crate::{
    client::{Client, unexpected},
    document::Document,
    failure::Failure,
    output::{Output, SCHEMA, clean, print_json},
    units::{duration, time_of_day},
};

/// For so long the events of a peer are shown: nobody forgets it for ever.
const DEBUG_TIME: Duration = Duration::from_secs(30 * 60);
/// Peers, or links of these, at once.
const DEBUGS: usize = 32;
/// Lines in a second while peers are debugged; those beyond are counted.
const LINES_PER_SECOND: u32 = 50;

/// Events of one peer, or of one of its links.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Debug {
    peer: String,
    link: Option<u8>,
    until: Instant,
}

/// What is shown.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Whether everything is.
    pub(crate) all: bool,
    debugs: Vec<Debug>,
}

/// The same, for the thread that shows it.
pub(crate) type SharedWanted = Arc<Mutex<Wanted>>;

impl Wanted {
    /// Shows the events of a peer from now on, for a while.
    pub(crate) fn add(&mut self, peer: &str, link: Option<u8>) -> Result<(), Failure> {
        self.expire(Instant::now());
        self.remove(peer, link);
        if self.debugs.len() >= DEBUGS {
            return Err(Failure::Unusable(format!(
                "{DEBUGS} are debugged already; `undebug all` ends them, `terminal monitor` shows everything"
            )));
        }
        self.debugs.push(Debug {
            peer: peer.to_owned(),
            link,
            until: Instant::now() + DEBUG_TIME,
        });
        Ok(())
    }

    /// Does not show them any more; without a link none of the peer. Whether they were shown.
    pub(crate) fn remove(&mut self, peer: &str, link: Option<u8>) -> bool {
        let before = self.debugs.len();
        self.debugs
            .retain(|debug| debug.peer != peer || link.is_some() && debug.link != link);
        self.debugs.len() < before
    }

    /// Shows those of no peer any more.
    pub(crate) fn clear(&mut self) {
        self.debugs.clear();
    }

    /// Whether anything is shown.
    pub(crate) fn any(&self) -> bool {
        self.all || !self.debugs.is_empty()
    }

    fn admits(&self, event: &EventRow) -> bool {
        let fits = |debug: &Debug| {
            event.peer.as_ref() == Some(&debug.peer) && (debug.link.is_none() || event.link == debug.link)
        };
        self.all || self.debugs.iter().any(fits)
    }

    /// Ends those whose time is up; a line for each.
    fn expire(&mut self, now: Instant) -> Vec<String> {
        let ended = |debug: &Debug| debug.until <= now;
        let lines = self.debugs.iter().filter(|debug| ended(debug)).map(|debug| {
            format!(
                "* {} is not debugged any more: {} are over",
                subject(debug),
                duration(DEBUG_TIME.as_millis() as u64)
            )
        });
        let lines = lines.collect();
        self.debugs.retain(|debug| !ended(debug));
        lines
    }

    /// What is shown, for `show debugging`.
    pub(crate) fn document(&self) -> Document {
        let now = Instant::now();
        let left = |debug: &Debug| debug.until.saturating_duration_since(now).as_millis() as u64;
        let mut lines = vec![format!(
            "All events (terminal monitor): {}",
            if self.all { "shown" } else { "not shown" }
        )];
        lines.extend(
            self.debugs
                .iter()
                .map(|debug| format!("{}: shown for {} more", subject(debug), duration(left(debug)))),
        );
        let debugs: Vec<_> = self
            .debugs
            .iter()
            .map(|debug| json!({ "peer": debug.peer, "link": debug.link, "left_ms": left(debug) }))
            .collect();
        Document::object("debugging", json!({ "all": self.all, "peers": debugs }), lines)
    }
}

fn subject(debug: &Debug) -> String {
    let peer = clean(&debug.peer);
    debug
        .link
        .map_or(format!("Peer {peer}"), |link| format!("Peer {peer} link {link}"))
}

fn lock(wanted: &SharedWanted) -> std::sync::MutexGuard<'_, Wanted> {
    wanted.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Chooses among events, and keeps to a bound.
struct Sieve {
    wanted: SharedWanted,
    /// The second that is counted, and the lines in it.
    second: Instant,
    lines: u32,
    /// Lines that were left out since the last one.
    left_out: u64,
}

impl Sieve {
    fn new(wanted: SharedWanted) -> Self {
        Self {
            wanted,
            second: Instant::now(),
            lines: 0,
            left_out: 0,
        }
    }

    /// What of `events` is shown, and how many were not because there are too many.
    fn choose(&mut self, mut events: Vec<EventRow>, dropped: u64) -> (Vec<EventRow>, u64) {
        let now = Instant::now();
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            (self.second, self.lines) = (now, 0);
        }
        let wanted = lock(&self.wanted);
        events.retain(|event| wanted.admits(event));
        // Who wants everything gets everything; it is debugging that may be more than was thought of.
        let room = if wanted.all {
            usize::MAX
        } else {
            LINES_PER_SECOND.saturating_sub(self.lines) as usize
        };
        let more = events.len().saturating_sub(room);
        events.truncate(room);
        self.lines += events.len() as u32;
        self.left_out += more as u64;
        // It is told with the next line, so that telling it is bounded as well.
        if events.is_empty() {
            self.left_out += dropped;
            return (events, 0);
        }
        (events, std::mem::take(&mut self.left_out) + dropped)
    }
}

/// Prints events until the connection ends, or until none are wanted any more: without a terminal nothing else can go
/// on beside it.
pub(crate) fn follow(client: &mut Client, output: Output, wanted: &SharedWanted) -> Result<(), Failure> {
    let mut sieve = Sieve::new(Arc::clone(wanted));
    let patience = (!lock(wanted).all).then_some(DEBUG_TIME);
    let ended = client.stream(RequestBody::Monitor, patience, |reply| {
        let Reply::Events { events, dropped } = reply else {
            return Err(unexpected());
        };
        let over = lock(wanted).expire(Instant::now());
        over.iter().try_for_each(|line| output.line(line))?;
        let (events, dropped) = sieve.choose(events, dropped);
        if !output.is_json() {
            lines(&events, dropped)
                .iter()
                .try_for_each(|line| output.line(line))?;
        } else if !events.is_empty() || dropped > 0 {
            print_json(&json!({ "schema": SCHEMA, "events": events, "dropped": dropped }))?;
        }
        if lock(wanted).any() {
            Ok(())
        } else {
            Err(Failure::Interrupted)
        }
    });
    match ended {
        // Nothing happened for as long as anything was wanted.
        Err(Failure::Interrupted) => Ok(()),
        Err(Failure::Timeout) if patience.is_some() => Ok(()),
        ended => ended,
    }
}

fn lines(events: &[EventRow], dropped: u64) -> Vec<String> {
    let missed =
        (dropped > 0).then(|| format!("* {dropped} events were not shown: too many for this terminal"));
    let events = events
        .iter()
        .map(|event| format!("* {} {}", time_of_day(event.unix_ms), clean(&event.text)));
    missed.into_iter().chain(events).collect()
}

/// Events beside a shell that goes on.
#[derive(Debug)]
pub(crate) struct Monitor {
    connection: UnixStream,
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Monitor {
    /// Hands each line to `show`, until it is dropped.
    pub(crate) fn start(
        client: &Client,
        wanted: &SharedWanted,
        show: impl Fn(String) + Send + 'static,
    ) -> Result<Self, Failure> {
        let mut client = client.beside()?;
        let connection = client.connection()?;
        let stopped = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&stopped);
        let wanted = Arc::clone(wanted);
        let thread = thread::spawn(move || {
            let mut sieve = Sieve::new(Arc::clone(&wanted));
            let ended = client.stream(RequestBody::Monitor, None, |reply| {
                let Reply::Events { events, dropped } = reply else {
                    return Err(unexpected());
                };
                let over = lock(&wanted).expire(Instant::now());
                let (events, dropped) = sieve.choose(events, dropped);
                over.into_iter().chain(lines(&events, dropped)).for_each(&show);
                Ok(())
            });
            if let Err(failure) = ended
                && !ends.load(Ordering::Relaxed)
            {
                show(format!(
                    "* no more events: {}",
                    failure.report(0).trim_start_matches("% ")
                ));
            }
        });
        Ok(Self {
            connection,
            stopped,
            thread,
        })
    }

    /// Whether events may still come.
    pub(crate) fn runs(&self) -> bool {
        !self.thread.is_finished()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread, which waits for the daemon.
        let _ = self.connection.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(peer: &str, link: Option<u8>) -> EventRow {
        EventRow {
            peer: Some(peer.into()),
            link,
            ..EventRow::default()
        }
    }

    #[test]
    fn only_what_is_debugged_is_shown_and_only_for_a_while() {
        let mut wanted = Wanted::default();
        assert!(!wanted.any());
        wanted.add("a", None).expect("room");
        wanted.add("b", Some(1)).expect("room");
        wanted.add("b", Some(1)).expect("room");
        assert_eq!(wanted.debugs.len(), 2);
        for (event, shown) in [
            (event("a", None), true),
            (event("a", Some(3)), true),
            (event("b", Some(1)), true),
            (event("b", Some(2)), false),
            (event("b", None), false),
            (event("c", None), false),
        ] {
            assert_eq!(wanted.admits(&event), shown, "{event:?}");
        }
        assert!(wanted.remove("b", None) && !wanted.remove("b", None));
        assert!(wanted.expire(Instant::now()).is_empty());
        let over = wanted.expire(Instant::now() + DEBUG_TIME);
        assert_eq!(over, ["* Peer a is not debugged any more: 30m00s are over"]);
        assert!(!wanted.any());
        for number in 0..DEBUGS {
            wanted.add(&number.to_string(), None).expect("room");
        }
        assert!(wanted.add("one more", None).is_err());
    }

    #[test]
    fn too_many_lines_are_counted_and_not_shown() {
        let wanted = SharedWanted::default();
        lock(&wanted).add("a", None).expect("room");
        let mut sieve = Sieve::new(Arc::clone(&wanted));
        let many = vec![event("a", None); 80];
        let (events, dropped) = sieve.choose(many.clone(), 3);
        assert_eq!((events.len(), dropped), (50, 33));
        assert_eq!(sieve.choose(many, 2), (Vec::new(), 0));
        // In the next second they are told.
        sieve.second = Instant::now()
            .checked_sub(Duration::from_secs(2))
            .expect("an hour");
        let (events, dropped) = sieve.choose(vec![event("a", None)], 0);
        assert_eq!((events.len(), dropped), (1, 82));
        lock(&wanted).all = true;
        assert_eq!(sieve.choose(vec![event("b", None); 80], 0).0.len(), 80);
    }
}
