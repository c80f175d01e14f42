//! One direction of a wire in virtual time: which frames arrive, when, and in which shape.
//!
//! A frame passes, in this order: the cut, the MTU, the bottleneck with its queue, the line with its losses, and
//! the delay. So a frame that is lost on the line has taken its time in the bottleneck, as on a real one.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{
    damage::damage,
    noise::Noise,
    settings::{Nanos, Settings},
};

/// Memory that frames under way may take, where no queue limit is nearer: a line of 1 Gbit/s and a second.
const MOST_BYTES_UNDER_WAY: usize = 128 << 20;

/// What has happened to frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Sent into the wire, with the bytes of Ethernet headers.
    pub(crate) offered: u64,
    pub(crate) offered_bytes: u64,
    /// Handed to the other end, copies included.
    pub(crate) passed: u64,
    pub(crate) passed_bytes: u64,
    pub(crate) lost_random: u64,
    pub(crate) lost_queue: u64,
    pub(crate) lost_mtu: u64,
    pub(crate) lost_cut: u64,
    /// Given to the interface at the other end, which did not take them (it is down).
    pub(crate) refused: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupted: u64,
    /// How much later than due frames were handed over: the sum of all, and the worst.
    pub(crate) late_nanos: Nanos,
    pub(crate) latest_nanos: Nanos,
}

/// What becomes of a frame that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has arrived: hand it over now.
    Arrived,
    /// A copy is under way; [`Shaper::due`] gives it when its time has come.
    UnderWay,
    Lost,
}

#[derive(Debug)]
struct UnderWay {
    due: Nanos,
    number: u64,
    frame: Vec<u8>,
}

impl UnderWay {
    fn key(&self) -> (Nanos, u64) {
        (self.due, self.number)
    }
}

impl PartialEq for UnderWay {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for UnderWay {}
impl PartialOrd for UnderWay {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for UnderWay {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// One direction.
#[derive(Debug)]
pub(crate) struct Shaper {
    settings: Settings,
    noise: Noise,
    in_burst: bool,
    /// When the bottleneck has sent all that waits before it.
    free_at: Nanos,
    /// When the last of the frames that keep their order is due.
    last_due: Nanos,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    bytes_under_way: usize,
    next_number: u64,
    pub(crate) counters: Counters,
}

impl Shaper {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            settings: Settings::default(),
            noise: Noise::new(seed),
            in_burst: false,
            free_at: 0,
            last_due: 0,
            under_way: BinaryHeap::new(),
            bytes_under_way: 0,
            next_number: 0,
            counters: Counters::default(),
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// From now on. What is under way keeps its time, except that a cut loses it.
    pub(crate) fn set(&mut self, settings: Settings) {
        if settings.cut {
            self.lose_all();
        }
        if settings.rate != self.settings.rate {
            // What was queued at the old rate stays in its time; the new bottleneck begins empty.
            self.free_at = 0;
        }
        self.settings = settings;
    }

    /// Loses everything under way.
    pub(crate) fn lose_all(&mut self) {
        self.counters.lost_cut += self.under_way.len() as u64;
        self.under_way.clear();
        self.bytes_under_way = 0;
        self.free_at = 0;
    }

    /// A frame is sent into the wire.
    pub(crate) fn offer(&mut self, now: Nanos, frame: &mut [u8]) -> Fate {
        self.counters.offered += 1;
        self.counters.offered_bytes += frame.len() as u64;
        if self.settings.cut {
            self.counters.lost_cut += 1;
            return Fate::Lost;
        }
        if self.settings.mtu != 0 && packet_length(frame) > self.settings.mtu {
            self.counters.lost_mtu += 1;
            return Fate::Lost;
        }
        let Some(sent) = self.pass_bottleneck(now, frame.len()) else {
            self.counters.lost_queue += 1;
            return Fate::Lost;
        };
        if self.is_lost() {
            self.counters.lost_random += 1;
            return Fate::Lost;
        }
        if self.settings.corrupt.happens(self.noise.next_u32()) {
            self.counters.corrupted += 1;
            damage(frame, &mut self.noise);
        }
        let due = self.arrival(sent);
        if self.settings.duplicate.happens(self.noise.next_u32()) {
            self.counters.duplicated += 1;
            self.keep(due, frame);
        } else if due <= now && self.under_way.is_empty() {
            self.hand_over(frame.len());
            return Fate::Arrived;
        }
        self.keep(due, frame)
    }

    /// When the last bit has left the bottleneck; `None`: its queue is full.
    fn pass_bottleneck(&mut self, now: Nanos, length: usize) -> Option<Nanos> {
        let rate = self.settings.rate;
        if rate == 0 {
            return Some(now);
        }
        let begin = now.max(self.free_at);
        let waiting = (u128::from(begin - now) * u128::from(rate) / 8_000_000_000) as u64;
        if waiting > 0 && waiting + length as u64 > self.settings.queue_bytes() {
            return None;
        }
        self.free_at = begin + (length as u64 * 8_000_000_000).div_ceil(rate);
        Some(self.free_at)
    }

    fn is_lost(&mut self) -> bool {
        // Each draw happens at each frame, so that one property does not change another's luck.
        let (chance, burst) = (self.noise.next_u32(), self.noise.next_u32());
        if self.in_burst {
            self.in_burst = !self.settings.burst_end.happens(burst);
            return true;
        }
        if self.settings.burst_begin.happens(burst) {
            // This frame is the first of the burst; and it may be the only one.
            self.in_burst = !self.settings.burst_end.happens(self.noise.next_u32());
            return true;
        }
        self.settings.loss.happens(chance)
    }

    fn arrival(&mut self, sent: Nanos) -> Nanos {
        let due = sent + self.settings.delay + self.noise.below(self.settings.jitter + 1);
        if self.settings.reorder.happens(self.noise.next_u32()) {
            self.counters.reordered += 1;
            return due + self.settings.reorder_by;
        }
        if self.settings.keep_order {
            self.last_due = self.last_due.max(due);
            self.last_due
        } else {
            due
        }
    }

    fn keep(&mut self, due: Nanos, frame: &[u8]) -> Fate {
        if self.bytes_under_way + frame.len() > MOST_BYTES_UNDER_WAY {
            self.counters.lost_queue += 1;
            return Fate::Lost;
        }
        self.bytes_under_way += frame.len();
        self.next_number += 1;
        self.under_way.push(Reverse(UnderWay {
            due,
            number: self.next_number,
            frame: frame.to_vec(),
        }));
        Fate::UnderWay
    }

    /// When the next frame is due.
    pub(crate) fn next_due(&self) -> Option<Nanos> {
        self.under_way.peek().map(|Reverse(next)| next.due)
    }

    /// A frame that has arrived by `now`; the earliest first.
    pub(crate) fn due(&mut self, now: Nanos) -> Option<Vec<u8>> {
        let late = now.checked_sub(self.next_due()?)?;
        let Reverse(next) = self.under_way.pop()?;
        self.bytes_under_way -= next.frame.len();
        self.hand_over(next.frame.len());
        self.counters.late_nanos += late;
        self.counters.latest_nanos = self.counters.latest_nanos.max(late);
        Some(next.frame)
    }

    fn hand_over(&mut self, length: usize) {
        self.counters.passed += 1;
        self.counters.passed_bytes += length as u64;
    }

    /// The interface at the other end did not take the frame just handed over.
    pub(crate) fn refused(&mut self, length: usize) {
        self.counters.passed -= 1;
        self.counters.passed_bytes -= length as u64;
        self.counters.refused += 1;
    }

    /// Frames under way.
    pub(crate) fn waiting(&self) -> usize {
        self.under_way.len()
    }
}

/// Bytes behind the Ethernet header and its VLAN tags.
fn packet_length(frame: &[u8]) -> usize {
    let mut header = 14;
    while matches!(frame.get(header - 2..header), Some([0x81, 0] | [0x88, 0xa8])) {
        header += 4;
    }
    frame.len().saturating_sub(header)
}

#[cfg(test)]
mod tests;
