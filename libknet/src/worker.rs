//! The data thread: the only place where the core and system calls meet.
//!
//! One turn: wait, then commands, netlink, handshakes, datagrams, frames, timers; each with a budget, so that a turn is
//! short whatever happens. Level-triggered epoll makes it safe to leave work behind. After each burst of calls to the
//! core its outbox is emptied.

mod control;

use std::{io, sync::mpsc::Receiver, time::Duration};

use knet_io::{
    epoll::{Epoll, Events, Interest, Ready},
    eventfd::Waker,
    netlink::{Monitor, NetEvent, Netlink},
    tap::{Tap, TapWrite, VNET_HEADER},
    udp::{IcmpHint, IcmpKind, MERGED, RecvBatch},
};
use knet_proto::{
    crypto::secret::erase_stack,
    drop_reason::DropReason,
    handshake::message::Input,
    ids::SocketId,
    path::Path,
    shard::{Shard, TapMtuWish},
    time::{Span, Time},
    wire::virtio_net_header::VirtioNetHeader,
};

pub(crate) use self::control::{Command, Prepared, SocketChange};
use crate::{
    handshake_thread::{FromHandshaker, HandshakeLink},
    local_links::LocalLinks,
    pings::Pings,
    query::{Event, SystemCalls},
    sockets::{Sockets, Unsent, socket_of},
    time::now,
};

/// Work per turn.
const COMMANDS: usize = 64;
const HANDSHAKES: usize = 64;
const NETLINK: usize = 64;
const FRAMES: usize = 64;
/// Buffers per system call, each with one datagram or several.
const BATCH: usize = 32;
const DATAGRAMS: usize = 256;
/// Datagrams taken per socket before a gap is declared: whatever arrived while we stood still.
const DATAGRAMS_AFTER_GAP: usize = 4096;
const ERRORS: usize = 64;
/// Sealed bytes that are sent before more frames are read, so that they are still in the processor's cache.
const ARENA: usize = 256 << 10;
/// The longest frame that the TAP gives: an IP packet, Ethernet and two VLAN tags.
const FRAME: usize = 65_535 + 14 + 8;
/// Rounds of sending in which the core may answer refusals; more wait for the next turn.
const ROUNDS: usize = 8;
/// Longer than this late means that we, and not the network, stood still.
const GAP: Span = Span::from_millis(25);

const WAKER: u64 = 0;
const MONITOR: u64 = 1;
const TAP: u64 = 2;

/// Everything the data thread owns.
pub(crate) struct Worker {
    shard: Shard,
    tap: Tap,
    sockets: Sockets,
    handshake: HandshakeLink,
    commands: Receiver<Command>,
    waker: Waker,
    epoll: Epoll,
    monitor: Monitor,
    netlink: Netlink,
    local: LocalLinks,
    pings: Pings,
    on_event: Box<dyn Fn(Event) + Send>,
    started: Time,
    datagrams: RecvBatch,
    frame: Box<[u8]>,
    header: [u8; VNET_HEADER],
    unsent: Unsent,
    hints: Vec<IcmpHint>,
    net_events: Vec<NetEvent>,
    applying: Option<control::Applying>,
    tap_mtu: Option<u32>,
    tap_watched: bool,
    more_mail: bool,
    keys_ended: bool,
    calls: SystemCalls,
}

/// What a worker is made of.
pub(crate) struct WorkerParts {
    pub(crate) shard: Shard,
    pub(crate) tap: Tap,
    pub(crate) handshake: HandshakeLink,
    pub(crate) commands: Receiver<Command>,
    pub(crate) waker: Waker,
    pub(crate) monitor: Monitor,
    pub(crate) netlink: Netlink,
    pub(crate) on_event: Box<dyn Fn(Event) + Send>,
}

/// Whether to go on.
enum Turn {
    Next,
    Stop,
}

impl Worker {
    /// Puts the parts together; nothing runs yet.
    pub(crate) fn new(parts: WorkerParts) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.add(&parts.waker, WAKER, Interest::READ)?;
        epoll.add(&parts.monitor, MONITOR, Interest::READ)?;
        epoll.add(&parts.tap, TAP, Interest::READ)?;
        Ok(Self {
            shard: parts.shard,
            tap: parts.tap,
            sockets: Sockets::new(),
            handshake: parts.handshake,
            commands: parts.commands,
            waker: parts.waker,
            epoll,
            monitor: parts.monitor,
            netlink: parts.netlink,
            local: LocalLinks::default(),
            pings: Pings::default(),
            on_event: parts.on_event,
            started: now(),
            datagrams: RecvBatch::new(BATCH, MERGED),
            frame: vec![0; FRAME].into_boxed_slice(),
            header: [0; VNET_HEADER],
            unsent: Unsent::default(),
            hints: Vec::new(),
            net_events: Vec::new(),
            applying: None,
            tap_mtu: None,
            tap_watched: true,
            more_mail: false,
            keys_ended: false,
            calls: SystemCalls::default(),
        })
    }

    /// Runs until it is told to stop. An error means that the interface cannot go on.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        let mut events = Events::with_capacity(64);
        let mut turn_began = now();
        self.resync(turn_began)?;
        loop {
            let deadline = self.deadline();
            let timeout = deadline.map(|at| Duration::from_nanos(at.since(now()).as_nanos()));
            self.calls.waits += 1;
            self.epoll
                .wait(&mut events, timeout)
                .map_err(|e| format!("epoll: {e}"))?;
            let now = now();
            // Awake later than was asked for, or a turn that took so long: somebody else had the processor.
            let late = deadline.map_or(Span::ZERO, |at| now.since(at.max(turn_began)));
            turn_began = now;
            if late > GAP {
                self.shard.handle_gap(now, late);
                for id in self.socket_ids() {
                    self.receive(now, id, DATAGRAMS_AFTER_GAP)?;
                }
            }
            if let Turn::Stop = self.turn(now, &events)? {
                self.shard.close_all(now);
                self.flush(now);
                return Ok(());
            }
            if std::mem::take(&mut self.keys_ended) {
                // From here, so that whatever way a datagram took to its cipher lies below.
                erase_stack();
            }
        }
    }

    /// Ends the interface and tells the outside that it is dead, in this order.
    pub(crate) fn fail(mut self, message: String) {
        let on_event = std::mem::replace(&mut self.on_event, Box::new(|_| {}));
        drop(self);
        on_event(Event::Failed { message });
    }

    fn deadline(&self) -> Option<Time> {
        if self.more_mail || self.applying.is_some() {
            return Some(Time::ZERO);
        }
        let hold = if self.tap_watched {
            None
        } else {
            self.sockets.hold_tap_until(now())
        };
        [self.shard.poll_timeout(), self.pings.next_deadline(), hold]
            .into_iter()
            .flatten()
            .min()
    }

    fn turn(&mut self, now: Time, events: &Events) -> Result<Turn, String> {
        let ready = |token| events.iter().any(|e| e.token == token && (e.readable || e.error));
        if ready(WAKER) || self.more_mail || self.applying.is_some() {
            // Before the queues are looked at: what comes in later wakes us again.
            self.waker.reset();
            let handshakes_left = self.take_handshakes(now)?;
            let Some(commands_left) = self.take_commands(now) else {
                return Ok(Turn::Stop);
            };
            self.more_mail = handshakes_left || commands_left;
            self.flush(now);
        }
        if ready(MONITOR) {
            self.take_net_events(now)?;
        }
        for Ready {
            token,
            readable,
            writable,
            error,
        } in events.iter()
        {
            let Some(id) = socket_of(token) else { continue };
            if writable {
                self.sockets.send_waiting(id, &self.epoll, &mut self.unsent);
                self.flush(now);
            }
            if error {
                self.take_icmp_hints(now, id);
            }
            if readable || error {
                self.receive(now, id, DATAGRAMS)?;
            }
        }
        if ready(TAP) {
            self.read_frames(now)?;
        }
        if self.shard.poll_timeout().is_some_and(|at| at <= now) {
            self.shard.handle_timeout(now);
        }
        // What was held back and is given up now, and answers to senders of frames that are too long.
        let written = write_frames(&mut self.tap, &mut self.shard, &[])?;
        written.count(&mut self.shard, &mut self.calls);
        self.pings.expire(now);
        self.flush(now);
        self.watch_tap(now);
        Ok(Turn::Next)
    }

    /// Takes what waits at a socket, until that were `budget` datagrams.
    fn receive(&mut self, now: Time, id: SocketId, budget: usize) -> Result<(), String> {
        let mut taken = 0;
        while taken < budget {
            let Some(entry) = self.sockets.get(id) else {
                return Ok(());
            };
            // The lasting errors are those of a broken descriptor or of no memory: with the one nothing would ever
            // arrive again and the links go down, the other passes.
            self.calls.receives += 1;
            let Ok(outcome) = entry.socket.receive(&mut self.datagrams) else {
                return Ok(());
            };
            self.shard
                .count_drops(DropReason::ReceiveOverflow, outcome.overflowed);
            for (bytes, meta) in self.datagrams.iter_mut() {
                if meta.truncated {
                    taken += 1;
                    self.shard.count_drops(DropReason::WireLength, 1);
                    continue;
                }
                let path = Path {
                    socket: id,
                    local: meta.local,
                    remote: meta.remote,
                };
                taken += bytes.len().div_ceil(meta.piece.max(1)).max(1);
                self.shard.handle_datagrams(now, &path, bytes, meta.piece);
                let written = write_frames(&mut self.tap, &mut self.shard, bytes)?;
                written.count(&mut self.shard, &mut self.calls);
            }
            self.flush(now);
            if !outcome.more || outcome.received == 0 {
                break;
            }
        }
        Ok(())
    }

    fn read_frames(&mut self, now: Time) -> Result<(), String> {
        if !self.tap_watched {
            // Only an error is reported then.
            return match self.read_tap() {
                Err(e) => Err(tap_is_gone(&self.tap, &e)),
                Ok(None) => Ok(()),
                Ok(Some(n)) => {
                    self.forward(now, n);
                    self.flush(now);
                    Ok(())
                }
            };
        }
        for _ in 0..FRAMES {
            match self.read_tap() {
                Ok(Some(n)) => self.forward(now, n),
                Ok(None) => break,
                Err(e) => return Err(tap_is_gone(&self.tap, &e)),
            }
            if self.shard.outbox().arena.unsent() >= ARENA {
                self.flush(now);
                if self.sockets.hold_tap_until(now).is_some() {
                    break;
                }
            }
        }
        self.flush(now);
        Ok(())
    }

    fn read_tap(&mut self) -> io::Result<Option<usize>> {
        self.calls.tap_reads += 1;
        self.tap.read(&mut self.header, &mut self.frame)
    }

    fn forward(&mut self, now: Time, length: usize) {
        let header = VirtioNetHeader::parse(&self.header);
        let frame = self.frame.get_mut(..length).unwrap_or_default();
        self.shard.handle_frame(now, &header, frame);
    }

    /// Back-pressure: while a send buffer is full the TAP's own queue holds the frames.
    fn watch_tap(&mut self, now: Time) {
        let watch = self.sockets.hold_tap_until(now).is_none();
        if watch != self.tap_watched {
            let interest = if watch { Interest::READ } else { Interest::NONE };
            // Fails only for a descriptor that is not in the set, and this one is.
            let _ = self.epoll.modify(&self.tap, TAP, interest);
            self.tap_watched = watch;
        }
    }

    /// Whether more wait.
    fn take_handshakes(&mut self, now: Time) -> Result<bool, String> {
        for _ in 0..HANDSHAKES {
            match self.handshake.receive() {
                Some(FromHandshaker::Output(output)) => self.shard.handle_handshake(now, output),
                Some(FromHandshaker::Panicked(message)) => {
                    return Err(format!("the handshake thread panicked: {message}"));
                }
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    fn take_icmp_hints(&mut self, now: Time, id: SocketId) {
        let Some(entry) = self.sockets.get(id) else { return };
        self.hints.clear();
        // What cannot be read is a hint that is not heard, no more.
        let _ = entry.socket.drain_errors(ERRORS, &mut self.hints);
        for hint in self.hints.iter().filter(|h| !h.is_local) {
            match hint.kind {
                IcmpKind::Unreachable => self.shard.handle_icmp_hint(now, id, hint.remote),
                IcmpKind::TooBig { mtu } => self.shard.handle_mtu_hint(now, id, hint.remote, mtu),
                IcmpKind::Other => {}
            }
        }
    }

    fn take_net_events(&mut self, now: Time) -> Result<(), String> {
        let mut events = std::mem::take(&mut self.net_events);
        self.monitor
            .drain(NETLINK, &mut events)
            .map_err(|e| format!("netlink: {e}"))?;
        let mut complete = true;
        for event in events.drain(..) {
            if matches!(event, NetEvent::LinkRemoved { ifindex, .. } if ifindex == self.tap.ifindex()) {
                return Err(tap_is_gone(&self.tap, &io::Error::from(io::ErrorKind::NotFound)));
            }
            complete &= self.local.apply(event);
        }
        self.net_events = events;
        if complete {
            self.judge_sockets(now);
            return Ok(());
        }
        self.resync(now)
    }

    /// Asks for the whole state: at the start, and after events were lost.
    fn resync(&mut self, now: Time) -> Result<(), String> {
        let links = self.netlink.links().map_err(|e| e.to_string())?;
        let addresses = self.netlink.addresses().map_err(|e| e.to_string())?;
        self.local.replace(links, addresses);
        self.judge_sockets(now);
        Ok(())
    }

    /// Tells the core which sockets can be used, where that has changed.
    fn judge_sockets(&mut self, now: Time) {
        let tap_mtu = self.local.mtu(self.tap.ifindex());
        if tap_mtu != self.tap_mtu {
            self.tap_mtu = tap_mtu;
            let mtu = tap_mtu.and_then(|m| u16::try_from(m).ok()).unwrap_or(u16::MAX);
            self.shard.set_tap_mtu(now, mtu);
        }
        for entry in self.sockets.iter_mut() {
            let mtu = self.local.socket_mtu(&entry.setup);
            if mtu != entry.mtu {
                entry.mtu = mtu;
                self.shard.set_socket_mtu(now, entry.id, mtu);
            }
            let down = self.local.socket_down(&entry.setup);
            if down == entry.down {
                continue;
            }
            if down.is_none() != entry.down.is_none() {
                self.shard.handle_socket(now, entry.id, down.is_none());
            }
            entry.down = down;
            (self.on_event)(Event::Socket {
                socket: entry.id,
                down,
            });
        }
        self.flush(now);
    }

    /// Empties the core's outbox.
    fn flush(&mut self, now: Time) {
        for _ in 0..ROUNDS {
            let outbox = self.shard.outbox();
            if outbox.is_empty() && self.unsent.is_empty() {
                return;
            }
            self.sockets.send(now, outbox, &self.epoll, &mut self.unsent);
            let mut discarded = 0;
            for input in outbox.handshake.drain(..) {
                self.keys_ended |= matches!(input, Input::Release(_));
                discarded += u64::from(!self.handshake.send(input));
            }
            for event in outbox.events.drain(..) {
                (self.on_event)(Event::Core(event));
            }
            for reply in outbox.probe_replies.drain(..) {
                self.pings.answered(&reply);
            }
            let tap_mtu = outbox.tap_mtu.take();
            outbox.clear();
            if let Some(wish) = tap_mtu {
                self.set_tap_mtu(wish);
            }
            self.shard.count_drops(DropReason::HandshakeQueueFull, discarded);
            self.tell_unsent(now);
        }
    }

    /// The core learns by netlink that it is so.
    fn set_tap_mtu(&mut self, wish: TapMtuWish) {
        let result = self.netlink.set_mtu(self.tap.ifindex(), wish.to.into());
        (self.on_event)(Event::TapMtu {
            wish,
            error: result.err().map(|e| e.to_string()),
        });
    }

    /// The core learns what was refused, and may send it over another link at once.
    fn tell_unsent(&mut self, now: Time) {
        let refused = self.unsent.refused.len() as u64;
        self.shard
            .count_drops(DropReason::SendFailed, refused + self.unsent.no_socket);
        self.shard
            .count_drops(DropReason::SendBufferFull, self.unsent.queue_full);
        for refused in self.unsent.refused.drain(..) {
            match refused.too_big {
                Some(size) => self.shard.handle_too_big(now, &refused.path, size),
                None => self.shard.handle_send_error(now, &refused.path),
            }
        }
        self.calls.sends += std::mem::take(&mut self.unsent.calls);
        self.unsent.no_socket = 0;
        self.unsent.queue_full = 0;
    }

    fn socket_ids(&self) -> Vec<SocketId> {
        self.sockets.iter().map(|e| e.id).collect()
    }
}

/// What became of frames for the TAP.
#[derive(Default)]
struct Written {
    calls: u64,
    refused: u64,
}

impl Written {
    fn count(self, shard: &mut Shard, calls: &mut SystemCalls) {
        calls.tap_writes += self.calls;
        shard.count_drops(DropReason::TapWrite, self.refused);
    }
}

/// Writes the frames that the core has for the TAP, some of which may still be in `received`.
fn write_frames(tap: &mut Tap, shard: &mut Shard, received: &[u8]) -> Result<Written, String> {
    let mut written = Written::default();
    for frame in shard.outbox().frames.drain(..) {
        written.calls += 1;
        match tap.write(&frame.header.emit(), frame.bytes(received)) {
            Ok(TapWrite::Done) => {}
            Ok(TapWrite::Refused) => written.refused += 1,
            Err(e) => return Err(tap_is_gone(tap, &e)),
        }
    }
    Ok(written)
}

fn tap_is_gone(tap: &Tap, error: &io::Error) -> String {
    format!("the TAP '{}' was removed by somebody else ({error})", tap.name())
}
