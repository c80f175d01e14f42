//! A course: the hub, the swarm, and the record of what they did and used as time passed.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use knet_proto::time::{Span, Time};
use knet_tests::lab::{LabError, Result};

use crate::{
    args::Args,
    authority::Authority,
    hub::{Hub, Started},
    network::PORT,
    swarm::{Counts, Swarm, now},
    usage::Usage,
    witness::Witnesses,
};

/// Between two samples, and between two progress lines where these are no terminal's.
const SAMPLE: Span = Span::from_millis(100);
const LINE: Duration = Duration::from_secs(5);
/// The swarm is asked for something to do at least this often.
const TICK: Span = Span::from_millis(10);

/// How things were at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Seconds since the course began.
    pub(crate) at: f64,
    pub(crate) counts: Counts,
    /// Datagrams received and sent by the swarm so far.
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) hub: Option<Usage>,
    pub(crate) swarm: Usage,
}

/// A part of a course with a name, and what was used in it.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    pub(crate) name: String,
    /// In seconds since the course began.
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) hub: Usage,
    pub(crate) swarm: Usage,
    /// Datagrams received and sent by the swarm.
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl Phase {
    /// How long it took, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.to - self.from
    }

    /// Part of a processor that was used.
    pub(crate) fn cores(&self, usage: &Usage) -> f64 {
        usage.cpu.as_secs_f64() / self.seconds().max(1e-9)
    }
}

/// Hub and swarm, and what has been seen of them.
pub(crate) struct Course {
    pub(crate) hub: Hub,
    pub(crate) swarm: Swarm,
    /// Two more peers, if they are wanted.
    pub(crate) witnesses: Option<Witnesses>,
    /// Moments, in order.
    pub(crate) samples: Vec<Sample>,
    /// Parts, in order.
    pub(crate) phases: Vec<Phase>,
    began: Instant,
    sampled: Time,
    line: Line,
}

impl Course {
    /// A hub that runs and knows all peers, none of which has joined but the witnesses.
    pub(crate) fn start(args: &Args) -> Result<Self> {
        let (peers, links) = (args.peers(), args.links);
        let mut hub = Hub::new()?;
        let authority = args.certificates.then(Authority::new).transpose()?;
        let mut swarm = Swarm::new(peers, links, hub.public_key(), PORT, authority.as_ref())?;
        swarm.take_addresses(args.pool);
        let has_witnesses = args.mode.has_witnesses();
        let witnesses = has_witnesses
            .then(|| Witnesses::start(links, hub.public_key()))
            .transpose()?;
        let others = witnesses.iter().flat_map(Witnesses::public_keys).copied();
        let known = swarm.public_keys().filter(|_| authority.is_none());
        let all = known.chain((0..=u16::MAX).rev().zip(others));
        let bytes = hub.configure(links, args.pool, authority.as_ref(), all)?;
        let began = Instant::now();
        let started = hub.start(|| {
            std::thread::sleep(Duration::from_millis(10));
            Ok(())
        })?;
        eprintln!(
            "the hub has read its configuration for {peers} peers ({:.1} MB) and answers after {:.2} s, {:.2} s of processor time, {:.1} MiB",
            bytes as f64 / 1e6,
            started.after.as_secs_f64(),
            started.usage.cpu.as_secs_f64(),
            started.usage.mib()
        );
        let mut course = Self {
            hub,
            swarm,
            witnesses,
            samples: Vec::new(),
            phases: Vec::new(),
            began,
            sampled: Time::ZERO,
            line: Line::new(),
        };
        course.add_start("start", 0.0, started);
        Ok(course)
    }

    fn add_start(&mut self, name: &str, from: f64, started: Started) {
        self.phases.push(Phase {
            name: name.to_owned(),
            from,
            to: from + started.after.as_secs_f64(),
            hub: started.usage,
            swarm: Usage::default(),
            received: 0,
            sent: 0,
        });
    }

    /// The hub dies.
    pub(crate) fn kill_hub(&mut self) {
        self.hub.kill();
    }

    /// The hub starts again, while the swarm goes on.
    pub(crate) fn restart_hub(&mut self) -> Result<()> {
        let from = self.elapsed();
        let Self {
            hub,
            swarm,
            samples,
            began,
            ..
        } = self;
        let started = hub.start(|| {
            swarm.turn(now() + TICK, &mut |_, _| {})?;
            let at = began.elapsed().as_secs_f64();
            if samples.last().is_none_or(|s| at - s.at > 0.1) {
                samples.push(sample(at, swarm, None));
            }
            Ok(())
        })?;
        self.add_start("start again", from, started);
        Ok(())
    }

    /// Seconds since it began.
    pub(crate) fn elapsed(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Goes on until `done`, which is asked after each turn and may act; an error after `patience`. What is used
    /// meanwhile is written down under `name`.
    pub(crate) fn run(
        &mut self,
        name: &str,
        patience: Duration,
        mut done: impl FnMut(&mut Swarm, Time) -> bool,
    ) -> Result<Phase> {
        self.run_with(name, patience, TICK, &mut |_, _| {}, &mut done)
    }

    /// The same, with somebody to take the frames that arrive, and another time to wait at most.
    pub(crate) fn run_with(
        &mut self,
        name: &str,
        patience: Duration,
        tick: Span,
        arrived: crate::swarm::Arrived<'_>,
        done: &mut dyn FnMut(&mut Swarm, Time) -> bool,
    ) -> Result<Phase> {
        let before = self.take_sample();
        let deadline = Instant::now() + patience;
        let late = loop {
            self.swarm.turn(now() + tick, arrived)?;
            let at = now();
            if done(&mut self.swarm, at) {
                break false;
            }
            self.swarm.flush();
            if at.since(self.sampled) >= SAMPLE {
                self.sampled = at;
                let sample = self.take_sample();
                self.line.show(name, self.swarm.len(), &before, &sample);
            }
            if Instant::now() >= deadline {
                break true;
            }
        };
        let after = self.take_sample();
        self.line.end(name, self.swarm.len(), &before, &after);
        let phase = Phase {
            name: name.to_owned(),
            from: before.at,
            to: after.at,
            hub: after
                .hub
                .unwrap_or_default()
                .since(before.hub.unwrap_or_default()),
            swarm: after.swarm.since(before.swarm),
            received: after.received - before.received,
            sent: after.sent - before.sent,
        };
        self.phases.push(phase.clone());
        if late {
            return Err(LabError::new(format!(
                "{name}: not done within {} s: {:?}; the hub says:\n{}",
                patience.as_secs(),
                after.counts,
                self.hub.log_end()
            )));
        }
        Ok(phase)
    }

    fn take_sample(&mut self) -> Sample {
        let sample = sample(self.elapsed(), &self.swarm, self.hub.usage());
        self.samples.push(sample);
        sample
    }
}

fn sample(at: f64, swarm: &Swarm, hub: Option<Usage>) -> Sample {
    let status = swarm.status();
    Sample {
        at,
        counts: swarm.counts(),
        received: status.wire_rx.packets,
        sent: status.wire_tx.packets,
        hub,
        swarm: Usage::own(),
    }
}

/// The progress line: one that changes on a terminal, else one now and then.
struct Line {
    terminal: bool,
    last: Instant,
}

impl Line {
    fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            last: Instant::now(),
        }
    }

    fn show(&mut self, name: &str, peers: u32, before: &Sample, now: &Sample) {
        if self.terminal {
            eprint!("\r{}\x1b[K", text(name, peers, before, now));
            let _ = std::io::stderr().flush();
        } else if self.last.elapsed() >= LINE {
            self.last = Instant::now();
            eprintln!("{}", text(name, peers, before, now));
        }
    }

    fn end(&mut self, name: &str, peers: u32, before: &Sample, now: &Sample) {
        let begin = if self.terminal { "\r" } else { "" };
        let end = if self.terminal { "\x1b[K" } else { "" };
        eprintln!("{begin}{}{end}", text(name, peers, before, now));
        self.last = Instant::now();
    }
}

fn text(name: &str, peers: u32, before: &Sample, now: &Sample) -> String {
    const WIDTH: u64 = 20;
    let Counts {
        sessions,
        links,
        complete,
        ..
    } = now.counts;
    let filled = (u64::from(complete) * WIDTH / u64::from(peers.max(1))) as usize;
    let bar: String = "#".repeat(filled) + &"-".repeat(WIDTH as usize - filled);
    let seconds = now.at - before.at;
    let (hub, swarm) = (now.hub.unwrap_or_default(), now.swarm.since(before.swarm));
    let hub = hub.since(before.hub.unwrap_or_default());
    let rate = |a: u64, b: u64| (a - b) as f64 / seconds.max(1e-3) / 1e3;
    format!(
        "{name:<12} [{bar}] {complete} up, {sessions} sessions, {links} links; {seconds:6.1} s; hub {:.2} s cpu \
         ({:.2} handshakes), {:.0} MiB; swarm {:.2} s, {:.0} MiB; {:.1}k/s in, {:.1}k/s out",
        hub.cpu.as_secs_f64(),
        hub.handshakes.as_secs_f64(),
        hub.mib(),
        swarm.cpu.as_secs_f64(),
        swarm.mib(),
        rate(now.received, before.received),
        rate(now.sent, before.sent),
    )
}
