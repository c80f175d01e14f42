//! What was sent, what arrived, and what must never be.

use std::{collections::HashMap, fmt::Display};

use knet_proto::time::{Span, Time};

/// A frame on its way.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Who sent it.
    pub from: usize,
    /// For whom.
    pub to: usize,
    /// When.
    pub at: Time,
    /// When it arrived.
    pub arrived: Option<Time>,
    /// How often.
    pub times: u32,
}

/// The books of a run. A broken rule is written down, with the time it was broken at.
#[derive(Debug, Default)]
pub struct Ledger {
    frames: Vec<Sent>,
    /// The number of the first of them: what came before is forgotten.
    first: u64,
    wire: HashMap<[u8; 12], u64>,
    last_of_flow: HashMap<(usize, usize), u64>,
    /// Frames that arrived behind a later one of the same flow.
    pub out_of_order: u64,
    /// These, by number.
    pub overtaken: Vec<u64>,
    /// How often a flooded frame, by number, has come to a host.
    flooded: HashMap<(u64, usize), u32>,
    /// How often a frame may arrive: once, or more often where it may have been sent again by another way while the first
    /// one worked.
    pub copies_allowed: u32,
    /// Frames that arrived once more.
    pub copies: u64,
    /// Rules that were broken.
    pub broken: Vec<String>,
}

impl Ledger {
    /// A new frame; returns its number.
    pub fn send(&mut self, now: Time, from: usize, to: usize) -> u64 {
        self.frames.push(Sent {
            from,
            to,
            at: now,
            arrived: None,
            times: 0,
        });
        self.sent() - 1
    }

    /// I2 and I3: a frame that arrives was sent by that peer to this host, and arrives once.
    pub fn arrive(&mut self, now: Time, at: usize, source: usize, number: u64) {
        let Some(frame) = index(number, self.first).and_then(|i| self.frames.get_mut(i)) else {
            return self.breach(now, format!("frame {number} arrived at {at} and was never sent"));
        };
        if frame.from != source || frame.to != at {
            let text = format!("frame {number} {frame:?} arrived at {at} as if from {source}");
            return self.breach(now, text);
        }
        frame.times += 1;
        if let Some(before) = frame.arrived {
            self.copies += 1;
            if frame.times <= self.copies_allowed {
                return;
            }
            let text = format!(
                "frame {number} arrived at {at} twice, first at {}",
                before.as_nanos()
            );
            return self.breach(now, text);
        }
        frame.arrived = Some(now);
        let last = self.last_of_flow.entry((source, at)).or_insert(0);
        if number < *last {
            self.out_of_order += 1;
            self.overtaken.push(number);
        }
        *last = number.max(*last);
    }

    /// The same for one that is flooded: it comes to each host once, and never back.
    pub fn arrive_flooded(&mut self, now: Time, at: usize, number: u64) {
        let Some(frame) = index(number, self.first).and_then(|i| self.frames.get_mut(i)) else {
            return;
        };
        frame.arrived.get_or_insert(now);
        let times = self.flooded.entry((number, at)).or_default();
        *times += 1;
        let (from, times) = (frame.from, *times);
        if from == at {
            self.breach(now, format!("I19: what {from} flooded came back to it"));
        } else if times > self.copies_allowed.max(1) {
            self.breach(
                now,
                format!("I19: what {from} flooded came to {at} {times} times"),
            );
        }
    }

    /// To how many hosts the flooded frame of this number has come.
    pub fn reached(&self, number: u64) -> usize {
        self.flooded.keys().filter(|(n, _)| *n == number).count()
    }

    /// I1: a nonce is used once. The key and the nonce follow from the header, so the same header must mean
    /// the same bytes.
    pub fn on_wire(&mut self, now: Time, datagram: &[u8]) {
        let Some(header) = datagram.first_chunk::<12>().filter(|h| matches!(h[0], 4..=6)) else {
            return;
        };
        let print = fingerprint(datagram);
        if self
            .wire
            .insert(*header, print)
            .is_some_and(|before| before != print)
        {
            self.breach(now, format!("two datagrams under one nonce: {header:02x?}"));
        }
    }

    /// Writes down a broken rule.
    pub fn breach(&mut self, now: Time, what: impl Display) {
        self.broken
            .push(format!("{:.6} s: {what}", now.as_nanos() as f64 / 1e9));
    }

    /// Frames sent in `from..to` (in time), and how many of them never arrived.
    pub fn lost(&self, from: Time, to: Time) -> (usize, usize) {
        let sent = self.frames.iter().filter(|f| f.at >= from && f.at < to);
        sent.fold((0, 0), |(sent, lost), f| {
            (sent + 1, lost + usize::from(f.arrived.is_none()))
        })
    }

    /// The longest time in which nothing of one flow arrived although it was sent steadily.
    pub fn longest_gap(&self, from: Time, to: Time) -> Span {
        let mut last: HashMap<(usize, usize), Time> = HashMap::new();
        let mut arrivals: Vec<(Time, (usize, usize))> = self
            .frames
            .iter()
            .filter(|f| f.at >= from && f.at < to)
            .filter_map(|f| Some((f.arrived?, (f.from, f.to))))
            .collect();
        arrivals.sort_by_key(|(at, _)| *at);
        let mut longest = Span::ZERO;
        for (at, flow) in arrivals {
            let before = last.insert(flow, at).unwrap_or(at);
            longest = longest.max(at.since(before));
        }
        longest
    }

    /// The longest time that a frame was on its way.
    pub fn longest_delay(&self, from: Time, to: Time) -> Span {
        let sent = self.frames.iter().filter(|f| f.at >= from && f.at < to);
        let delays = sent.filter_map(|f| Some(f.arrived?.since(f.at)));
        delays.max().unwrap_or_default()
    }

    /// The frame with this number.
    pub fn frame(&self, number: u64) -> Option<&Sent> {
        self.frames.get(index(number, self.first)?)
    }

    /// Frames sent so far.
    pub fn sent(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    /// Forgets all frames and datagrams so far, but not the rules that they broke. To be called when none is on its way.
    pub fn forget(&mut self) {
        *self = Self {
            first: self.sent(),
            out_of_order: self.out_of_order,
            copies_allowed: self.copies_allowed,
            copies: self.copies,
            broken: std::mem::take(&mut self.broken),
            ..Self::default()
        };
    }

    /// The frames that never arrived.
    pub fn missing(&self, from: Time, to: Time) -> impl Iterator<Item = &Sent> {
        self.between(from, to).filter(|f| f.arrived.is_none())
    }

    /// The frames that were sent in `from..to`.
    pub fn between(&self, from: Time, to: Time) -> impl Iterator<Item = &Sent> {
        let after = |t: Time| self.frames.partition_point(|f| f.at < t);
        self.frames[after(from)..after(to).max(after(from))].iter()
    }
}

/// Where the frame with this number is, if not before the first one.
fn index(number: u64, first: u64) -> Option<usize> {
    number.checked_sub(first).map(|i| i as usize)
}

/// FNV-1a: enough to tell two datagrams apart that were not made to collide.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| {
        (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
