//! `terminal monitor`: the daemon's events as they happen.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;

use super::{LabError, Result, daemon::Daemon, process::Process, time::UnixMicros};

/// An event of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, to the millisecond.
    pub at: UnixMicros,
    /// Its stable name (`link-state`).
    pub kind: String,
    /// Which peer.
    pub peer: Option<String>,
    /// Which link.
    pub link: Option<usize>,
    /// The whole event for people.
    pub text: String,
    /// Its other fields.
    pub details: Vec<(String, String)>,
}

impl Event {
    fn from_row(row: &Value) -> Option<Self> {
        let pair = |v: &Value| Some((v[0].as_str()?.to_owned(), v[1].as_str()?.to_owned()));
        let details = match &row["details"] {
            Value::Array(list) => list.iter().filter_map(pair).collect(),
            Value::Object(map) => map
                .iter()
                .map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_owned)))
                .collect(),
            _ => Vec::new(),
        };
        Some(Self {
            at: row["unix_ms"].as_i64()? * 1000,
            kind: row["kind"].as_str()?.into(),
            peer: row["peer"].as_str().map(str::to_owned),
            link: row["link"].as_u64().map(|l| l as usize),
            text: row["text"].as_str().unwrap_or_default().into(),
            details,
        })
    }

    /// One of the other fields.
    pub fn detail(&self, name: &str) -> Option<&str> {
        self.details
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
}

/// A `knet-cli --json -c 'terminal monitor'` that runs.
#[derive(Debug)]
pub struct Monitor {
    events: Arc<Mutex<Vec<Event>>>,
    _process: Process,
}

impl Monitor {
    /// Starts to listen to `daemon`.
    pub fn start(daemon: &Daemon) -> Result<Self> {
        let mut command = daemon.shell()?;
        command.args(["-c", "terminal monitor"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut process = Process::spawn(&mut command)?;
        let stdout = process
            .pipes()
            .stdout
            .take()
            .ok_or_else(|| LabError::new("knet-cli has no pipe"))?;
        let events = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&events);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
                let Ok(value) = serde_json::from_str::<Value>(&line) else {
                    continue;
                };
                let rows = super::daemon::rows(&value);
                list.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(rows.into_iter().filter_map(Event::from_row));
            }
        });
        Ok(Self {
            events,
            _process: process,
        })
    }

    /// All events so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
