//! Wires between hosts: a running `knet-wire`, told on its standard input.

use std::{
    io::{BufRead, BufReader, Write},
    process::{ChildStdin, ChildStdout, Stdio},
    sync::{Mutex, PoisonError},
};

use serde_json::Value;

use super::{Cut, HostId, LabError, Result, process, process::Process, program};

/// Which frames of a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Those that this host sends.
    From(HostId),
    /// All.
    Both,
}

/// What a direction of a wire has done since it began, or since [`Wire::zero`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// Frames sent into it.
    pub offered: u64,
    /// Their bytes, with Ethernet headers.
    pub offered_bytes: u64,
    /// Frames that arrived, copies included.
    pub passed: u64,
    /// Their bytes.
    pub passed_bytes: u64,
    /// Frames lost by `loss` and `burst-loss`.
    pub lost: u64,
    /// Frames lost because the queue of `rate` was full.
    pub queue_full: u64,
    /// Frames lost because of `mtu`.
    pub too_long: u64,
    /// Frames lost by a cut.
    pub cut: u64,
    /// How late frames were on average, beyond what was asked for, in microseconds.
    pub late_us: u64,
}

/// The process of all wires of a laboratory.
#[derive(Debug)]
pub struct Wires {
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _process: Process,
}

impl Wires {
    /// Starts it: one wire for each pair of namespaces and devices.
    pub fn start(namespace: &str, ends: &[[(String, String); 2]], mtu: u16) -> Result<Self> {
        let mut command = process::in_namespace(namespace, program("knet-wire")?);
        command.args(["--device-mtu", &mtu.to_string()]);
        for [(a, device_a), (b, device_b)] in ends {
            command.arg(format!("{a}:{device_a}={b}:{device_b}"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command)?;
        let (Some(stdin), Some(stdout)) = (process.pipes().stdin.take(), process.pipes().stdout.take())
        else {
            return Err(LabError::new("knet-wire has no pipes"));
        };
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        if line != "ready\n" {
            return Err(LabError::new("knet-wire did not start; it says why above"));
        }
        Ok(Self {
            pipes: Mutex::new((stdin, stdout)),
            _process: process,
        })
    }

    /// Gives a command and returns what it printed before `ok`.
    fn order(&self, command: &str) -> Result<String> {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let (stdin, stdout) = &mut *pipes;
        writeln!(stdin, "{command}")?;
        let mut text = String::new();
        loop {
            let before = text.len();
            if stdout.read_line(&mut text)? == 0 {
                return Err(LabError::new("knet-wire has ended; it says why above"));
            }
            match &text[before..] {
                "ok\n" => {
                    text.truncate(before);
                    return Ok(text);
                }
                line => {
                    if let Some(error) = line.strip_prefix("error: ") {
                        return Err(LabError::new(format!("knet-wire: `{command}`: {}", error.trim())));
                    }
                }
            }
        }
    }
}

/// One wire.
#[derive(Clone, Copy, Debug)]
pub struct Wire<'a> {
    wires: &'a Wires,
    number: usize,
    /// The host at its end `a`.
    a: HostId,
}

impl<'a> Wire<'a> {
    pub(super) fn new(wires: &'a Wires, number: usize, a: HostId) -> Self {
        Self { wires, number, a }
    }

    /// Changes properties, in the words of `knet-wire`: `delay 20ms loss 1`. Without words: nothing.
    pub fn set(self, direction: Direction, properties: &str) -> Result<()> {
        if properties.is_empty() {
            return Ok(());
        }
        let direction = match direction {
            Direction::Both => "both",
            Direction::From(host) if host == self.a => "a>b",
            Direction::From(_) => "b>a",
        };
        self.order(&format!("{direction} {properties}"))
    }

    /// Puts all counters to zero.
    pub fn zero(self) -> Result<()> {
        self.order("zero")
    }

    /// What has happened to the frames that `host` sent.
    pub fn passage(self, host: HostId) -> Result<Passage> {
        let text = self.wires.order(&format!("{} show json", self.number))?;
        let shown: Value = serde_json::from_str(&text)?;
        let row = &shown["wires"][0]["directions"][usize::from(host != self.a)];
        let field = |name: &str| {
            row[name]
                .as_u64()
                .ok_or_else(|| LabError::new(format!("knet-wire shows no `{name}`: {text}")))
        };
        Ok(Passage {
            offered: field("offered")?,
            offered_bytes: field("offered_bytes")?,
            passed: field("passed")?,
            passed_bytes: field("passed_bytes")?,
            lost: field("lost")?,
            queue_full: field("queue_full")?,
            too_long: field("too_long")?,
            cut: field("cut")?,
            late_us: field("late_us")?,
        })
    }

    pub(super) fn cut(self, cut: Cut) -> Result<()> {
        self.apply(cut, "cut", "off")
    }

    pub(super) fn restore(self, cut: Cut) -> Result<()> {
        self.apply(cut, "restore", "on")
    }

    fn apply(self, cut: Cut, word: &str, carrier: &str) -> Result<()> {
        let (from, to) = ("a>b", "b>a");
        match cut {
            Cut::Silent(..) => self.order(&format!("both {word}")),
            Cut::SilentFrom(host, _) => {
                self.order(&format!("{} {word}", if host == self.a { from } else { to }))
            }
            Cut::SilentTo(host, _) => {
                self.order(&format!("{} {word}", if host == self.a { to } else { from }))
            }
            Cut::Carrier(host, _) => {
                let end = if host == self.a { "a" } else { "b" };
                self.order(&format!("{end} carrier {carrier}"))
            }
        }
    }

    fn order(self, command: &str) -> Result<()> {
        self.wires.order(&format!("{} {command}", self.number)).map(drop)
    }
}
