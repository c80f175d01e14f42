//! All wires of the program: what they carry, and what they are told.

use std::{fmt::Write, os::fd::AsFd, time::Duration};

use serde_json::{Value, json};

use super::{
    args::Args,
    command::{Action, Command},
    end::End,
    settings::{Nanos, Settings},
    shaper::{Counters, Fate, Shaper},
};

/// Room for any frame: the largest MTU, Ethernet header and two VLAN tags.
const BUFFER: usize = 65_550;
/// Frames taken from one end before the others have their turn.
const BATCH: usize = 64;
/// The directions by the end that they begin at.
const DIRECTIONS: [&str; 2] = ["a>b", "b>a"];

struct Wire {
    ends: [End; 2],
    /// By the end that they begin at.
    shapers: [Shaper; 2],
}

pub(crate) struct Wires {
    wires: Vec<Wire>,
    buffer: Vec<u8>,
}

/// An answer to a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// What to print.
    Text(String),
    Quit,
}

impl Wires {
    /// Makes all interfaces.
    pub(crate) fn create(args: &Args) -> Result<Self, String> {
        let mut wires = Vec::new();
        for (number, names) in args.wires.iter().enumerate() {
            let end = |end: usize| End::create(&names.0[end], number * 2 + end, args.device_mtu);
            let seed = |end: u64| Shaper::new(args.seed.wrapping_add((number as u64 * 2 + end) << 32));
            wires.push(Wire {
                ends: [end(0)?, end(1)?],
                shapers: [seed(0), seed(1)],
            });
        }
        Ok(Self {
            wires,
            buffer: vec![0; BUFFER],
        })
    }

    /// The ends' descriptors; [`Wires::carry`] knows them by their place in this list.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = &impl AsFd> {
        self.wires.iter().flat_map(|w| &w.ends).map(End::tap)
    }

    /// Takes what hosts have sent at an end. An error: the interface is gone.
    pub(crate) fn carry(&mut self, end: usize, now: Nanos) -> Result<(), String> {
        let (number, end) = (end / 2, end % 2);
        let Wire { ends, shapers } = &mut self.wires[number];
        let shaper = &mut shapers[end];
        for _ in 0..BATCH {
            let Some(length) = ends[end].read(&mut self.buffer)? else {
                break;
            };
            // A pulled cable: some frames may still come out of the host's queue.
            if !ends[end].has_carrier() {
                continue;
            }
            let frame = &mut self.buffer[..length];
            if shaper.offer(now, frame) == Fate::Arrived {
                hand_over(&ends[1 - end], shaper, frame)?;
            }
        }
        Ok(())
    }

    /// Hands over everything that is due.
    pub(crate) fn deliver(&mut self, now: Nanos) -> Result<(), String> {
        for Wire { ends, shapers } in &mut self.wires {
            for (end, shaper) in shapers.iter_mut().enumerate() {
                while let Some(frame) = shaper.due(now) {
                    hand_over(&ends[1 - end], shaper, &frame)?;
                }
            }
        }
        Ok(())
    }

    /// When the next frame is due.
    pub(crate) fn next_due(&self) -> Option<Nanos> {
        let shapers = self.wires.iter().flat_map(|w| &w.shapers);
        shapers.filter_map(Shaper::next_due).min()
    }

    /// Whether in every direction each frame is under way for this long at least, or waits for a bottleneck.
    pub(crate) fn all_hold_for(&self, time: Duration) -> bool {
        let mut settings = self.wires.iter().flat_map(|w| &w.shapers).map(Shaper::settings);
        settings.all(|s| s.rate != 0 || u128::from(s.delay) >= time.as_nanos())
    }

    /// Carries out a command.
    pub(crate) fn execute(&mut self, line: &str) -> Result<Answer, String> {
        let Some(Command { wire, action }) = Command::parse(line, self.wires.len())? else {
            return Ok(Answer::Text(String::new()));
        };
        let chosen = wire.map_or(0..self.wires.len(), |n| n..n + 1);
        let wires = &mut self.wires[chosen.clone()];
        match action {
            Action::Set { from, properties } => {
                // First all are read, then all are changed: a wrong word changes nothing.
                let mut changes = Vec::new();
                for wire in wires {
                    for (shaper, _) in wire.shapers.iter_mut().zip(from).filter(|(_, chosen)| *chosen) {
                        let mut settings = shaper.settings().clone();
                        settings.apply(properties.split_whitespace())?;
                        changes.push((shaper, settings));
                    }
                }
                for (shaper, settings) in changes {
                    shaper.set(settings);
                }
            }
            Action::Carrier { end, on } => wires.iter_mut().try_for_each(|w| w.switch(end, on))?,
            Action::Clear => {
                for wire in wires {
                    for end in 0..2 {
                        wire.shapers[end].set(Settings::default());
                        wire.switch(end, true)?;
                    }
                }
            }
            Action::Zero => {
                let shapers = wires.iter_mut().flat_map(|w| &mut w.shapers);
                shapers.for_each(|shaper| shaper.counters = Counters::default());
            }
            Action::Show { json: false } => {
                let text = chosen.zip(wires).map(|(number, wire)| wire.lines(number));
                return Ok(Answer::Text(text.collect()));
            }
            Action::Show { json: true } => {
                let rows: Vec<Value> = chosen.zip(wires).map(|(number, wire)| wire.row(number)).collect();
                return Ok(Answer::Text(format!("{}\n", json!({"schema": 1, "wires": rows}))));
            }
            Action::Quit => return Ok(Answer::Quit),
        }
        Ok(Answer::Text(String::new()))
    }
}

/// What has come out of a direction that ends at `end`.
fn hand_over(end: &End, shaper: &mut Shaper, frame: &[u8]) -> Result<(), String> {
    if !end.has_carrier() || !end.write(frame)? {
        shaper.refused(frame.len());
    }
    Ok(())
}

impl Wire {
    fn switch(&mut self, end: usize, on: bool) -> Result<(), String> {
        self.ends[end].set_carrier(on)?;
        if !on {
            self.shapers.iter_mut().for_each(Shaper::lose_all);
        }
        Ok(())
    }

    fn lines(&self, number: usize) -> String {
        let mut text = String::new();
        for (end, shaper) in self.shapers.iter().enumerate() {
            let (from, to) = (&self.ends[end], &self.ends[1 - end]);
            let state = |end: &End| if end.has_carrier() { "" } else { " (no carrier)" };
            let c = shaper.counters;
            let settings = match shaper.settings().to_string() {
                none if none.is_empty() => "a cable".into(),
                words => words,
            };
            let _ = write!(
                text,
                "{number} {} from {}{} to {}{}: {settings}\n  \
                 offered {} ({} B), passed {} ({} B), under way {}\n  \
                 lost {}, queue full {}, too long {}, cut {}, refused {}; \
                 duplicated {}, reordered {}, corrupted {}; \
                 late by {} us on average, {} us at worst\n",
                DIRECTIONS[end],
                from.name,
                state(from),
                to.name,
                state(to),
                c.offered,
                c.offered_bytes,
                c.passed,
                c.passed_bytes,
                shaper.waiting(),
                c.lost_random,
                c.lost_queue,
                c.lost_mtu,
                c.lost_cut,
                c.refused,
                c.duplicated,
                c.reordered,
                c.corrupted,
                c.late_nanos / c.passed.max(1) / 1000,
                c.latest_nanos / 1000
            );
        }
        text
    }

    fn row(&self, number: usize) -> Value {
        let direction = |end: usize| {
            let shaper = &self.shapers[end];
            let c = shaper.counters;
            json!({
                "direction": DIRECTIONS[end],
                "properties": shaper.settings().to_string(),
                "offered": c.offered, "offered_bytes": c.offered_bytes,
                "passed": c.passed, "passed_bytes": c.passed_bytes,
                "under_way": shaper.waiting(),
                "lost": c.lost_random, "queue_full": c.lost_queue, "too_long": c.lost_mtu, "cut": c.lost_cut,
                "refused": c.refused,
                "duplicated": c.duplicated, "reordered": c.reordered, "corrupted": c.corrupted,
                "late_us": c.late_nanos / c.passed.max(1) / 1000, "latest_us": c.latest_nanos / 1000,
            })
        };
        json!({
            "wire": number,
            "ends": self.ends.each_ref().map(|e| json!({"end": e.name.to_string(), "carrier": e.has_carrier()})),
            "directions": [direction(0), direction(1)],
        })
    }
}
