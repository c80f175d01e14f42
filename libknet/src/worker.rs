//! The data thread: the only place where the core and system calls meet.
//!
//! One turn: wait, then commands, netlink, handshakes, datagrams, frames, timers; each with a budget, so that a turn is
//! short whatever happens. Level-triggered epoll makes it safe to leave work behind. After each burst of calls to the
//! core its outbox is emptied.

mod control;
mod local;
mod turn;

use std::{io, sync::mpsc::Receiver, time::Duration};

use knet_io::{
    epoll::{Epoll, Events, Interest},
    eventfd::Waker,
    netlink::{Monitor, NetEvent, Netlink},
    tap::{Tap, VNET_HEADER},
    udp::{IcmpHint, MERGED, RecvBatch},
};
use knet_proto::{
    crypto::secret::erase_stack,
    ids::SocketId,
    shard::Shard,
    time::{Span, Time},
};

pub(crate) use self::control::{Command, Prepared, SocketChange};
use self::turn::Turn;
use crate::{
    handshake_thread::HandshakeLink,
    local_links::LocalLinks,
    pings::Pings,
    query::{Event, SystemCalls},
    sockets::{Sockets, Unsent},
    time::now,
};

/// Buffers per system call, each with one datagram or several.
const BATCH: usize = 32;
/// The longest frame that the TAP gives: an IP packet, Ethernet and two VLAN tags.
const FRAME: usize = 65_535 + 14 + 8;
/// Longer than this late means that we, and not the network, stood still.
const GAP: Span = Span::from_millis(25);
/// Datagrams taken per socket before a gap is declared: whatever arrived while we stood still.
const DATAGRAMS_AFTER_GAP: usize = 4096;

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

    fn socket_ids(&self) -> Vec<SocketId> {
        self.sockets.iter().map(|e| e.id).collect()
    }
}

fn tap_is_gone(tap: &Tap, error: &io::Error) -> String {
    format!("the TAP '{}' was removed by somebody else ({error})", tap.name())
}
