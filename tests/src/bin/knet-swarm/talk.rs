//! Frames between peers, through the hub: who sends what, and what became of it.

use knet_proto::{
    rng::{Entropy, SeededEntropy},
    time::{Span, Time},
};

use crate::{
    spread::Spread,
    swarm::{Swarm, now},
};

/// An Ethernet header, the time of departure, and what kind of frame it is.
const LEAST: usize = 14 + 8 + 1;
/// For local experiments (IEEE 802).
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];
/// Frames on their way where as many as possible are to be.
const UNDER_WAY: u64 = 256;
/// A frame that is not there by then is lost.
const LOST_AFTER: Span = Span::from_millis(250);
/// Frames sent between two turns, at most.
const BURST: u64 = 64;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Tells the hub where somebody is.
    Hello = 1,
    /// From one to another.
    Talk = 2,
    /// To all.
    Broadcast = 3,
}

/// Counts frames, and what they took.
pub(crate) struct Talk {
    talkers: u64,
    /// Where their addresses begin.
    first: u16,
    size: usize,
    rate: Option<u32>,
    rng: SeededEntropy,
    frame: Vec<u8>,
    began: Time,
    sent: u64,
    /// Of these given up.
    lost: u64,
    last_arrival: Time,
    took: Vec<Span>,
    copies: Vec<Span>,
}

impl Talk {
    /// Between the first `talkers` peers, frames of `size` bytes, `rate` per second or as many as can be.
    pub(crate) fn new(talkers: u32, size: u16, rate: Option<u32>) -> Self {
        Self {
            talkers: u64::from(talkers),
            first: 0,
            size: usize::from(size).max(LEAST),
            rate,
            rng: SeededEntropy::new([7; 32]),
            frame: Vec::new(),
            began: now(),
            sent: 0,
            lost: 0,
            last_arrival: now(),
            took: Vec::new(),
            copies: Vec::new(),
        }
    }

    /// The same of peers whose addresses begin with that of number `first`.
    pub(crate) fn behind(mut self, first: u16) -> Self {
        self.first = first;
        self
    }

    /// Everything from now on counts, and nothing before.
    pub(crate) fn begin(&mut self) {
        self.began = now();
        self.last_arrival = self.began;
        (self.sent, self.lost) = (0, 0);
        self.took.clear();
        self.copies.clear();
    }

    /// A frame has arrived at one of the peers.
    pub(crate) fn arrived(&mut self, at: Time, frame: &[u8]) {
        let Some(departure) = frame.get(14..22).and_then(|b| b.try_into().ok()) else {
            return;
        };
        let departure = Time::from_nanos(u64::from_le_bytes(departure));
        if departure < self.began {
            return;
        }
        let took = at.since(departure);
        if frame.get(22) == Some(&(Kind::Talk as u8)) {
            self.last_arrival = at;
            self.took.push(took);
        } else if frame.get(22) == Some(&(Kind::Broadcast as u8)) {
            self.copies.push(took);
        }
    }

    /// Sends what is due.
    pub(crate) fn send_due(&mut self, swarm: &mut Swarm, at: Time) {
        let under_way = self.sent - self.took.len() as u64;
        let due = if let Some(rate) = self.rate {
            let elapsed = at.since(self.began).as_nanos();
            (u128::from(elapsed) * u128::from(rate) / 1_000_000_000) as u64
        } else if under_way - self.lost >= UNDER_WAY && at.since(self.last_arrival) > LOST_AFTER {
            // Nothing arrives any more: all of them are lost.
            (self.last_arrival, self.lost) = (at, under_way);
            self.sent + UNDER_WAY
        } else {
            self.sent + UNDER_WAY.saturating_sub(under_way - self.lost)
        };
        for _ in 0..due.saturating_sub(self.sent).min(BURST) {
            let from = self.rng.below(self.talkers);
            let to = (from + 1 + self.rng.below(self.talkers - 1)) % self.talkers;
            self.send(swarm, from as u16, Some(to as u16), Kind::Talk);
            self.sent += 1;
        }
    }

    /// Sends one frame from a peer to another or to all.
    pub(crate) fn send(&mut self, swarm: &mut Swarm, from: u16, to: Option<u16>, kind: Kind) {
        self.frame.clear();
        let first = self.first;
        let mac = |number: u16| mac(first.wrapping_add(number));
        self.frame.extend_from_slice(&to.map_or([0xff; 6], mac));
        self.frame.extend_from_slice(&mac(from));
        self.frame.extend_from_slice(&ETHERTYPE);
        self.frame.extend_from_slice(&now().as_nanos().to_le_bytes());
        self.frame.push(kind as u8);
        self.frame.resize(self.size, 0xa5);
        swarm.send_frame(from, &self.frame);
    }

    /// A peer at random.
    pub(crate) fn anybody(&mut self) -> u16 {
        self.rng.below(self.talkers) as u16
    }

    /// Frames sent from one to another, and of these arrived.
    pub(crate) fn frames(&self) -> (u64, u64) {
        (self.sent, self.took.len() as u64)
    }

    /// How long those took.
    pub(crate) fn took(&self) -> Spread {
        Spread::of(self.took.clone())
    }

    /// How long copies of broadcasts took.
    pub(crate) fn copies(&self) -> Spread {
        Spread::of(self.copies.clone())
    }

    /// How many copies of broadcasts arrived.
    pub(crate) fn copy_count(&self) -> u64 {
        self.copies.len() as u64
    }
}

/// The address of what is behind a peer: locally administered, unicast.
fn mac(number: u16) -> [u8; 6] {
    let [high, low] = number.to_be_bytes();
    [2, b'k', b'n', 0, high, low]
}
