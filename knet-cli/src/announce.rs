//! What everybody should know, shown in every shell as it happens.

use std::{
    net::Shutdown,
    os::unix::net::UnixStream,
    thread::{self, JoinHandle},
};

use knet_api::message::{EventRow, Reply, RequestBody};

use crate::{
    client::{Client, unexpected},
    failure::Failure,
    output::clean,
    units::time_of_day,
};

/// A connection beside the shell's own, on which the daemon tells.
#[derive(Debug)]
pub(crate) struct Announcer {
    connection: UnixStream,
    thread: JoinHandle<()>,
}

impl Announcer {
    /// Hands each line to `show`, until it is dropped or the daemon is gone.
    pub(crate) fn start(client: &Client, show: impl Fn(String) + Send + 'static) -> Result<Self, Failure> {
        let own = client.welcome.session.to_string();
        let mut client = client.again()?;
        let connection = client.connection()?;
        let thread = thread::spawn(move || {
            // How it ends is of no interest: the shell asks for another one.
            let _ = client.stream(RequestBody::Announcements, None, |reply| {
                let Reply::Events { events, .. } = reply else {
                    return Err(unexpected());
                };
                events
                    .iter()
                    .filter(|event| !made_by(event, &own))
                    .map(line)
                    .for_each(&show);
                Ok(())
            });
        });
        Ok(Self { connection, thread })
    }

    /// Whether something may still come.
    pub(crate) fn runs(&self) -> bool {
        !self.thread.is_finished()
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        // Wakes the thread, which waits for the daemon.
        let _ = self.connection.shutdown(Shutdown::Both);
    }
}

/// Whether this shell itself has made it, and printed it already.
fn made_by(event: &EventRow, session: &str) -> bool {
    event
        .details
        .iter()
        .any(|(name, value)| name == "session" && value == session)
}

fn line(event: &EventRow) -> String {
    format!("*** {} {}", time_of_day(event.unix_ms), clean(&event.text))
}
