//! Standard error, written by a thread of its own: a reader that is slow (a full pipe, a busy journal) never
//! holds up the daemon. What does not fit into the queue is counted.

use std::{
    fs::File,
    io::{self, Write},
    os::{fd::AsFd, unix::fs::MetadataExt},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
    time::Duration,
};

use libknet::api::{message::LogRow, moment::utc};

/// Lines that may wait.
const QUEUE: usize = 65_536;
/// How long [`Stderr::flush`] waits.
const FLUSH: Duration = Duration::from_millis(200);

enum Item {
    Line(String),
    Flush(Sender<()>),
}

/// The way to standard error.
#[derive(Clone)]
pub(super) struct Stderr {
    queue: SyncSender<Item>,
    lost: Arc<AtomicU64>,
    journal: bool,
}

impl Stderr {
    pub(super) fn start() -> Self {
        let (queue, items) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        // Without the thread (the system has no more) the queue is dead and lines are only kept in the history.
        let _ = thread::Builder::new()
            .name("log".into())
            .spawn(move || write_all(&items, &counter));
        Self {
            queue,
            lost,
            journal: stderr_is_journal(),
        }
    }

    pub(super) fn write(&self, row: &LogRow) {
        let line = if self.journal {
            journal_line(row)
        } else {
            terminal_line(row)
        };
        if self.queue.try_send(Item::Line(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn flush(&self) {
        let (done, wait) = channel();
        if self.queue.try_send(Item::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(FLUSH);
        }
    }
}

fn write_all(items: &Receiver<Item>, lost: &AtomicU64) {
    for item in items {
        let mut out = io::stderr().lock();
        // Nobody is left to tell if standard error itself fails.
        let _ = match item {
            Item::Line(line) => out.write_all(line.as_bytes()),
            Item::Flush(done) => out.flush().inspect(|()| {
                let _ = done.send(());
            }),
        };
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(out, "{lost} log lines were lost because standard error was slow");
        }
    }
}

fn terminal_line(row: &LogRow) -> String {
    format!(
        "{} {:5} {}: {}\n",
        utc(row.unix_ms),
        row.level.to_ascii_uppercase(),
        row.target,
        row.text
    )
}

/// The journal adds the time itself and reads the priority in front (sd-daemon(3)).
fn journal_line(row: &LogRow) -> String {
    let priority = match row.level.as_str() {
        "error" => 3,
        "warn" => 4,
        "info" => 6,
        _ => 7,
    };
    format!("<{priority}>{}: {}\n", row.target, row.text)
}

/// Whether standard error is the stream that systemd connected to its journal (`JOURNAL_STREAM`).
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let metadata = io::stderr()
        .as_fd()
        .try_clone_to_owned()
        .map(File::from)
        .and_then(|f| f.metadata());
    metadata.is_ok_and(|m| stream == format!("{}:{}", m.dev(), m.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_gets_priorities() {
        let row = LogRow {
            level: "warn".into(),
            target: "knetd".into(),
            text: "x".into(),
            unix_ms: 0,
        };
        assert_eq!(journal_line(&row), "<4>knetd: x\n");
        assert_eq!(terminal_line(&row), "1970-01-01T00:00:00.000Z WARN  knetd: x\n");
    }
}
