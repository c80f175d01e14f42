//! Floods: one frame to every peer that may have it, a slice at a time.
//!
//! A broadcast to 65,535 peers is sealed as many times, which takes a good part of a second. So no more than [`SLICE`] copies
//! are made at one instant. What is over by then was never here; the rest waits, and [`Shard::continue_floods`] goes on with
//! it between other frames, in turns for all ports that have flooded something.
//!
//! **Order.** What a port floods goes out in the order in which it came in: its next flood begins when the one before is
//! over. What it sends to one station overtakes its floods, as IEEE 802.1Q has it (clause 6.5.3: frames of the same
//! priority stay in order for each pair of source and destination address, and group addresses are other destinations). The
//! one case in which both are the same is a station that was unknown when the first frame came, and is known when the next
//! does: then the first one goes there before the next, and to nobody else any more.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
};
use core::ops::Bound::{Excluded, Unbounded};

use super::{Shard, env::FLOODS_TOTAL, multicast::Audience};
use crate::{
    drop_reason::DropReason,
    ids::{MAX_PEERS, MAX_WORKERS, PeerId},
    l2::vlan::VlanId,
    offload::Frame,
    status::Port,
    time::Time,
    wire::virtio_net_header::VirtioNetHeader,
};

/// Copies made at one instant: a quarter of a millisecond of work, most of which is the system call that each needs, and as
/// much for the kernel. One of a long frame, or of a super-frame, counts as several.
const SLICE: u32 = 64;
/// Of these for one port, before another one has its turn.
const TURN: u32 = 32;
/// A copy of so many bytes counts as one.
const COPY_BYTES: usize = 2_048;

/// What a frame that waits is counted as besides its bytes.
const OVERHEAD: usize = 128;
/// Copies that are still to be made, all ports together: a second of work. A port of which nothing waits may still add one
/// frame.
const COPIES_WAITING: usize = 250_000;
/// Frames of one port that wait.
const FRAMES_WAITING: usize = 64;

/// What is still to be flooded.
#[derive(Debug)]
pub(super) struct Floods {
    /// By the port that it came from; none of them is empty.
    ports: BTreeMap<Port, Queue>,
    /// Whose turn it was last.
    last: Port,
    bytes: usize,
    most_bytes: usize,
    copies: usize,
    most_copies: usize,
    /// Behind the last peer that got a copy. The next flood begins there, so that it is not always the same peers that get
    /// nothing where a budget does not suffice for all.
    begin: u16,
    /// The instant, and what is left of its slice.
    slice: (Time, u32),
}

#[derive(Debug, Default)]
struct Queue {
    floods: VecDeque<Flood>,
    /// How many of them are for one station, which nobody knew.
    unicast: usize,
}

#[derive(Debug)]
struct Flood {
    header: VirtioNetHeader,
    vlan: VlanId,
    frame: Box<[u8]>,
    cursor: Cursor,
}

/// How far a flood has come on its way round the slots.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    /// The next slot to look at.
    next: u16,
    /// Slots to look at.
    slots: u32,
    /// Copies that may still be made.
    copies: u32,
}

impl Cursor {
    const fn new(next: u16, copies: u32) -> Self {
        Self {
            next,
            slots: MAX_PEERS as u32,
            copies,
        }
    }

    const fn is_over(&self) -> bool {
        self.slots == 0 || self.copies == 0
    }

    /// Whether it has not come to `peer` yet.
    const fn is_before(&self, peer: PeerId) -> bool {
        (peer.0.wrapping_sub(self.next) as u32) < self.slots
    }
}

impl Floods {
    /// `share`: of what all workers may have, the part of this one.
    pub(super) fn new(share: impl Fn(usize) -> usize) -> Self {
        Self {
            ports: BTreeMap::new(),
            last: Port::Tap,
            bytes: 0,
            most_bytes: share(FLOODS_TOTAL),
            copies: 0,
            most_copies: share(COPIES_WAITING),
            begin: 0,
            slice: (Time::ZERO, 0),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    /// Bytes of what waits.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What may be done now.
    fn slice(&mut self, now: Time) -> &mut u32 {
        if self.slice.0 != now {
            self.slice = (now, SLICE);
        }
        &mut self.slice.1
    }

    /// Puts the rest of a flood behind what waits of its port. Returns false if there is no room.
    fn push(&mut self, from: Port, frame: &Frame<'_>, cursor: Cursor) -> bool {
        let (bytes, copies) = (frame.bytes.len() + OVERHEAD, cursor.copies as usize);
        let is_full =
            |queue: &Queue| queue.floods.len() >= FRAMES_WAITING || self.copies + copies > self.most_copies;
        if self.bytes + bytes > self.most_bytes || self.ports.get(&from).is_some_and(is_full) {
            return false;
        }
        let flood = Flood {
            header: frame.header,
            vlan: frame.vlan,
            frame: frame.bytes.into(),
            cursor,
        };
        self.bytes += bytes;
        self.copies += copies;
        let queue = self.ports.entry(from).or_default();
        queue.unicast += usize::from(flood.is_unicast());
        queue.floods.push_back(flood);
        true
    }

    /// The flood whose turn it is.
    fn take(&mut self) -> Option<(Port, Flood)> {
        let after = self.ports.range((Excluded(self.last), Unbounded)).next();
        let from = *after.or_else(|| self.ports.iter().next())?.0;
        self.last = from;
        // The queue stays, even if it is empty for now: what comes in has to wait for its turn.
        let flood = self.ports.get_mut(&from)?.floods.pop_front()?;
        Some((from, flood))
    }

    /// It has had its turn.
    fn put_back(&mut self, from: Port, flood: Flood, copies_before: u32) {
        self.copies -= (copies_before - flood.cursor.copies) as usize;
        let Some(queue) = self.ports.get_mut(&from) else {
            return;
        };
        if flood.cursor.is_over() {
            queue.unicast -= usize::from(flood.is_unicast());
            self.bytes -= flood.size();
            self.copies -= flood.cursor.copies as usize;
        } else {
            queue.floods.push_front(flood);
        }
        if queue.floods.is_empty() {
            self.ports.remove(&from);
        }
    }

    /// Takes out what waits of a port and is for the station `to` of a VLAN.
    fn take_unicast(&mut self, from: Port, vlan: VlanId, to: [u8; 6]) -> VecDeque<Flood> {
        let mut taken = VecDeque::new();
        let Some(queue) = self.ports.get_mut(&from).filter(|queue| queue.unicast > 0) else {
            return taken;
        };
        for flood in core::mem::take(&mut queue.floods) {
            if flood.vlan == vlan && flood.frame.starts_with(&to) {
                taken.push_back(flood);
            } else {
                queue.floods.push_back(flood);
            }
        }
        queue.unicast -= taken.len();
        if queue.floods.is_empty() {
            self.ports.remove(&from);
        }
        self.forget(&taken);
        taken
    }

    /// Takes out all that waits of a port.
    fn take_port(&mut self, from: Port) -> VecDeque<Flood> {
        let taken = self.ports.remove(&from).unwrap_or_default().floods;
        self.forget(&taken);
        taken
    }

    fn forget(&mut self, taken: &VecDeque<Flood>) {
        for flood in taken {
            self.bytes -= flood.size();
            self.copies -= flood.cursor.copies as usize;
        }
    }
}

impl Flood {
    fn frame(&self) -> Frame<'_> {
        Frame {
            header: self.header,
            vlan: self.vlan,
            bytes: &self.frame,
        }
    }

    fn size(&self) -> usize {
        self.frame.len() + OVERHEAD
    }

    fn is_unicast(&self) -> bool {
        self.frame.first().is_some_and(|first| first & 1 == 0)
    }
}

impl Shard {
    /// Whether there is something to flood still: [`Self::continue_floods`].
    pub fn has_floods(&self) -> bool {
        !self.floods.is_empty()
    }

    /// Goes on with what is to be flooded, for a quarter of a millisecond at most. To be called once in each turn, and again when
    /// all else that is due has been done, while [`Self::has_floods`].
    pub fn continue_floods(&mut self, now: Time) {
        self.tick(now);
        self.floods.slice = (self.env.real, SLICE);
        while self.floods.slice.1 > 0
            && let Some((from, mut flood)) = self.floods.take()
        {
            let (before, mut cursor) = (flood.cursor, flood.cursor);
            self.make_copies(from, flood.frame(), &mut cursor, TURN);
            flood.cursor = cursor;
            self.floods.put_back(from, flood, before.copies);
        }
    }

    /// Floods a frame, as far as the budgets go. Returns whether it is for the TAP as well.
    pub(super) fn flood(&mut self, from: Port, frame: Frame<'_>) -> bool {
        let audience = self.audience(&frame);
        let to_tap = from != Port::Tap && self.tap_hears(&frame, audience);
        let mut elsewhere = [0; MAX_WORKERS as usize];
        for (there, worker) in elsewhere.iter_mut().zip(self.seat.workers.all()) {
            if worker != self.seat.me {
                *there = self.targets(from, &frame, audience, worker);
            }
        }
        let here = self.targets(from, &frame, audience, self.seat.me);
        let mut targets = here + elsewhere.iter().sum::<u32>();
        if targets == 0 {
            match audience {
                // An answer to who asks, which may be we: it has come to whom it is for.
                Audience::Listeners(_, None) => {}
                Audience::Listeners(_, Some(_)) if !to_tap => {
                    self.count_drops(DropReason::NoListener, frame.count().into());
                }
                _ if from == Port::Tap => self.env.drop(DropReason::NoPort),
                _ => {}
            }
            return to_tap;
        }
        // All segments of a super-frame, or none.
        let frames = frame.count();
        let mut copies = self.bridge.take_copies(self.env.real, from, targets, frames);
        self.count_drops(
            DropReason::FloodBudget,
            u64::from(targets - copies) * u64::from(frames),
        );
        // Where they do not suffice for all, each worker's peers get their part.
        let mut share = |there: u32| {
            let share = (u64::from(copies) * u64::from(there)).checked_div(targets.into());
            let share = share.unwrap_or_default() as u32;
            (copies, targets) = (copies - share, targets - there);
            share
        };
        let here = share(here);
        let elsewhere = elsewhere.map(share);
        self.flood_here(from, frame, here);
        for (worker, there) in self.seat.workers.all().zip(elsewhere) {
            if there > 0 {
                self.hand_over_flood(worker, from, &frame, there);
            }
        }
        to_tap
    }

    /// Sends a flooded frame to so many of the peers here that may have it: now, or when its turn has come.
    pub(super) fn flood_here(&mut self, from: Port, frame: Frame<'_>, copies: u32) {
        let mut cursor = Cursor::new(self.floods.begin, copies);
        if !self.floods.ports.contains_key(&from) {
            self.make_copies(from, frame, &mut cursor, SLICE);
        }
        if !cursor.is_over() && !self.floods.push(from, &frame, cursor) {
            let frames = u64::from(cursor.copies) * u64::from(frame.count());
            self.count_drops(DropReason::FloodQueueFull, frames);
        }
    }

    /// Makes copies, but no more than `most`, nor than is left of the slice.
    fn make_copies(&mut self, from: Port, frame: Frame<'_>, cursor: &mut Cursor, most: u32) {
        let cost = frame.count().max(frame.bytes.len().div_ceil(COPY_BYTES) as u32);
        let audience = self.audience(&frame);
        let mut left = most;
        while left > 0 && cursor.copies > 0 {
            let slice = self.floods.slice(self.env.real);
            if *slice == 0 {
                break;
            }
            *slice = slice.saturating_sub(cost);
            left = left.saturating_sub(cost);
            let Some(peer) = self.next_target(from, &frame, audience, cursor) else {
                break;
            };
            cursor.copies -= 1;
            self.floods.begin = cursor.next;
            self.send(peer, from, frame);
        }
    }

    /// The next peer on the way of a flood.
    fn next_target(
        &self,
        from: Port,
        frame: &Frame<'_>,
        audience: Audience,
        cursor: &mut Cursor,
    ) -> Option<PeerId> {
        let begin = usize::from(cursor.next);
        let end = begin + cursor.slots as usize;
        let first = |slots| self.first_target(from, frame, audience, slots);
        let upwards = first(begin..end.min(MAX_PEERS));
        let found = upwards.or_else(|| first(0..end.saturating_sub(MAX_PEERS)));
        let Some(peer) = found else {
            cursor.slots = 0;
            return None;
        };
        cursor.slots -= u32::from(peer.0.wrapping_sub(cursor.next)) + 1;
        cursor.next = peer.0.wrapping_add(1);
        Some(peer)
    }

    /// Sends a frame to the station that it is for, behind what was to be flooded because nobody knew that station.
    pub(super) fn send_known(&mut self, to: PeerId, from: Port, frame: Frame<'_>) {
        let to = self.hubs.way(to);
        if self.has_floods()
            && let Some(station) = frame.bytes.first_chunk()
        {
            for flood in self.floods.take_unicast(from, frame.vlan, *station) {
                if flood.cursor.is_before(to) {
                    self.send(to, from, flood.frame());
                }
            }
        }
        self.send(to, from, frame);
    }

    /// A port is gone, or is another one's now: what it was flooding is not flooded any further.
    pub(super) fn end_floods(&mut self, from: Port) {
        for flood in self.floods.take_port(from) {
            self.count_drops(DropReason::NoPort, flood.frame().count().into());
        }
    }
}
