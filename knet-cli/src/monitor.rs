//! `terminal monitor`: events as they happen.

use std::{
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use knet_api::message::{EventRow, Reply, RequestBody};
use serde_json::json;

use crate::{
    client::{Client, unexpected},
    failure::Failure,
    output::{Output, SCHEMA, clean, print_json},
    session::Session,
    units::time_of_day,
};

/// Prints events until the connection ends: without a terminal nothing else can go on beside it.
pub(crate) fn follow(session: &mut Session) -> Result<(), Failure> {
    let output = session.output;
    session
        .client
        .stream(RequestBody::Monitor, None, |reply| print(output, reply))
}

fn print(output: Output, reply: Reply) -> Result<(), Failure> {
    let Reply::Events { events, dropped } = reply else {
        return Err(unexpected());
    };
    if output.is_json() {
        return print_json(&json!({ "schema": SCHEMA, "events": events, "dropped": dropped }));
    }
    lines(&events, dropped)
        .iter()
        .try_for_each(|line| output.line(line))
}

fn lines(events: &[EventRow], dropped: u64) -> Vec<String> {
    let missed =
        (dropped > 0).then(|| format!("* {dropped} events were not shown: this terminal is too slow"));
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
    pub(crate) fn start(client: &Client, show: impl Fn(String) + Send + 'static) -> Result<Self, Failure> {
        let mut client = client.again()?;
        let connection = client.connection()?;
        let stopped = Arc::new(AtomicBool::new(false));
        let wanted = Arc::clone(&stopped);
        let thread = thread::spawn(move || {
            let ended = client.stream(RequestBody::Monitor, None, |reply| {
                let Reply::Events { events, dropped } = reply else {
                    return Err(unexpected());
                };
                lines(&events, dropped).into_iter().for_each(&show);
                Ok(())
            });
            if let Err(failure) = ended
                && !wanted.load(Ordering::Relaxed)
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
