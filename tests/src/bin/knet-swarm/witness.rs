//! Witnesses: two peers in a thread of their own, which the kernel runs before anybody else.
//!
//! What arrives at the swarm waits until the swarm has dealt with what came before, be it half a million copies of a
//! broadcast. Real peers have processors of their own. So what the hub does to a frame is seen by two that have nothing
//! else to do.

use std::{
    process::Command,
    sync::mpsc::{self, Receiver, Sender, TryRecvError},
    thread::JoinHandle,
};

use knet_proto::{config::PublicKey, time::Span};
use knet_tests::lab::{LabError, Result, process};
use serde_json::json;

use crate::{
    modes::Findings,
    network::WITNESS_PORT,
    spread::Spread,
    swarm::{Swarm, now},
    talk::{Kind, Talk},
};

/// How many there are.
pub(crate) const WITNESSES: u32 = 2;
/// Frames per second between them.
const RATE: u32 = 1_000;
/// Length of these, in bytes.
const SIZE: u16 = 64;
/// Between two looks at what they are asked.
const TICK: Span = Span::from_micros(500);

/// The thread.
pub(crate) struct Witnesses {
    questions: Sender<Question>,
    keys: Vec<PublicKey>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// What they saw.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    sent: u64,
    arrived: u64,
    took: Spread,
}

enum Question {
    /// From now on they are to talk.
    Begin,
    /// What have they seen since then?
    End(Sender<Seen>),
}

impl Witnesses {
    /// Two more peers of the hub, with `links` links each.
    pub(crate) fn start(links: u8, hub: PublicKey) -> Result<Self> {
        let (questions, asked) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut swarm = Swarm::new(WITNESSES, links, hub, WITNESS_PORT, None)?;
            // Fails only when nobody waits for it any more.
            let _ = tell.send(swarm.public_keys().map(|(_, key)| key).collect());
            stay_awake(&mut swarm, &asked)
        });
        let Ok(keys) = told.recv() else {
            return Err(failure(Some(thread)));
        };
        Ok(Self {
            questions,
            keys,
            thread: Some(thread),
        })
    }

    /// Their keys.
    pub(crate) fn public_keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// From now on they send frames to each other.
    pub(crate) fn begin(&self) {
        // If the thread has ended, `end` says why.
        let _ = self.questions.send(Question::Begin);
    }

    /// What became of these so far.
    pub(crate) fn end(&mut self) -> Result<Seen> {
        let (tell, told) = mpsc::channel();
        let _ = self.questions.send(Question::End(tell));
        told.recv().map_err(|_| failure(self.thread.take()))
    }
}

impl Seen {
    /// Writes it down as what was seen `beside` something.
    pub(crate) fn tell(&self, findings: &mut Findings, beside: &str) {
        let lost = self.sent.saturating_sub(self.arrived) as f64 / self.sent.max(1) as f64;
        findings.add(
            &format!("witnesses {beside}"),
            json!({ "sent": self.sent, "arrived": self.arrived, "lost_share": lost, "one_way": self.took.json() }),
            format!(
                "{beside}: between two peers that wait for nobody else: {:.3} % of {} frames lost, {}",
                lost * 100.0,
                self.sent,
                self.took
            ),
        );
    }
}

/// What they do all the time.
fn stay_awake(swarm: &mut Swarm, asked: &Receiver<Question>) -> Result<()> {
    run_first()?;
    let mut talk = Talk::new(WITNESSES, SIZE, Some(RATE)).behind(u16::MAX - 1);
    let mut talking = false;
    loop {
        swarm.turn(now() + TICK, &mut |at, frame| talk.arrived(at, frame))?;
        match asked.try_recv() {
            Ok(Question::Begin) => {
                if !talking {
                    (0..WITNESSES as u16).for_each(|number| talk.send(swarm, number, None, Kind::Hello));
                }
                talking = true;
                talk.begin();
            }
            Ok(Question::End(tell)) => {
                let (sent, arrived) = talk.frames();
                let took = talk.took();
                let _ = tell.send(Seen { sent, arrived, took });
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
        if talking {
            talk.send_due(swarm, now());
        } else {
            (0..WITNESSES as u16).for_each(|number| swarm.join(number));
        }
        swarm.flush();
    }
}

/// The kernel runs this thread as soon as it has something to do (`SCHED_FIFO`).
fn run_first() -> Result<()> {
    let this = std::fs::read_link("/proc/thread-self")?;
    let id = this.file_name().unwrap_or_default();
    let mut chrt = Command::new("chrt");
    process::output(chrt.args(["--fifo", "--pid", "1"]).arg(id)).map(drop)
}

fn failure(thread: Option<JoinHandle<Result<()>>>) -> LabError {
    match thread.map(JoinHandle::join) {
        Some(Ok(Err(error))) => error,
        Some(Err(_)) => LabError::new("the thread of the witnesses panicked".to_owned()),
        Some(Ok(Ok(()))) | None => LabError::new("the witnesses have gone".to_owned()),
    }
}
