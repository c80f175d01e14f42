//! A data worker, and its thread: the only place where the core and system calls meet. An interface has one, or several
//! that share its peers.
//!
//! One turn: wait, then commands, netlink, handshakes, parcels of other workers, datagrams, frames, timers, floods; each with
//! a budget, so that a turn is short whatever happens. Level-triggered epoll makes it safe to leave work behind. After each
//! burst of calls to the core its outbox is emptied.

mod answer;
mod control;
mod local;
mod mailing;
mod turn;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, mpsc::Receiver},
    time::Duration,
};

use knet_io::{
    epoll::{Epoll, Events, Interest},
    eventfd::Waker,
    netlink::{Monitor, Netlink},
    tap::{Tap, VNET_HEADER},
    udp::{IcmpHint, MERGED, RecvBatch},
};
use knet_proto::{
    crypto::secret::erase_stack,
    ids::SocketId,
    shard::Shard,
    time::{Span, Time},
};

pub(crate) use self::control::{Command, Prepared, SocketChange, WorkerHandle};
use self::{
    local::{Local, Watch},
    turn::Turn,
};
use crate::{
    fate::{Fate, OnEvent},
    handshake_thread::HandshakeLink,
    mail::Mail,
    pings::Pings,
    query::SystemCalls,
    sockets::{Sockets, Unsent},
    time::now,
};

/// Buffers per system call, each with one datagram or several.
const BATCH: usize = 32;
/// The longest frame that the TAP gives: an IP packet, Ethernet and two VLAN tags.
const FRAME: usize = 65_535 + 14 + 8;
/// How soon what another worker had no room for is tried again.
const RETRY: Span = Span::from_micros(200);
/// A wait that the kernel has put us to sleep for takes longer.
const NAP: Span = Span::from_micros(3);
/// Longer than this late means that we, and not the network, stood still.
const GAP: Span = Span::from_millis(25);
/// Datagrams taken per socket before a gap is declared: whatever arrived while we stood still.
const DATAGRAMS_AFTER_GAP: usize = 4096;

const WAKER: u64 = 0;
const MONITOR: u64 = 1;
const TAP: u64 = 2;

/// Everything that a data worker owns.
pub(crate) struct Worker {
    shard: Shard,
    tap: Tap,
    sockets: Sockets,
    handshake: HandshakeLink,
    commands: Receiver<Command>,
    waker: Waker,
    epoll: Epoll,
    local: Local,
    /// What it has to do with the others, where there are any.
    mail: Option<Mail>,
    /// The one that is asked after this one.
    next: Option<WorkerHandle>,
    /// Whose parcels were taken last.
    next_source: usize,
    pings: Pings,
    on_event: OnEvent,
    fate: Arc<Fate>,
    started: Time,
    datagrams: RecvBatch,
    frame: Box<[u8]>,
    header: [u8; VNET_HEADER],
    unsent: Unsent,
    hints: Vec<IcmpHint>,
    applying: Option<control::Applying>,
    tap_watched: bool,
    /// Frames that a turn takes from the TAP.
    tap_burst: usize,
    /// Whether the last wait was over at once: there was more to do already.
    at_once: bool,
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
    /// The kernel's word on interfaces and addresses; for the first worker, who passes it on.
    pub(crate) watch: Option<(Monitor, Netlink)>,
    /// `None`: there are no other workers.
    pub(crate) mail: Option<Mail>,
    /// The worker after this one.
    pub(crate) next: Option<WorkerHandle>,
    pub(crate) on_event: OnEvent,
    pub(crate) fate: Arc<Fate>,
}

impl Worker {
    /// Puts the parts together; nothing runs yet.
    pub(crate) fn new(parts: WorkerParts) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.add(&parts.waker, WAKER, Interest::READ)?;
        epoll.add(&parts.tap, TAP, Interest::READ)?;
        let local = match parts.watch {
            Some((monitor, netlink)) => {
                epoll.add(&monitor, MONITOR, Interest::READ)?;
                Local::Heard(Box::new(Watch::new(monitor, netlink)))
            }
            None => Local::Told(BTreeMap::new()),
        };
        Ok(Self {
            shard: parts.shard,
            tap: parts.tap,
            sockets: Sockets::new(),
            handshake: parts.handshake,
            commands: parts.commands,
            waker: parts.waker,
            epoll,
            local,
            mail: parts.mail,
            next: parts.next,
            next_source: 0,
            pings: Pings::default(),
            on_event: parts.on_event,
            fate: parts.fate,
            started: now(),
            datagrams: RecvBatch::new(BATCH, MERGED),
            frame: vec![0; FRAME].into_boxed_slice(),
            header: [0; VNET_HEADER],
            unsent: Unsent::default(),
            hints: Vec::new(),
            applying: None,
            tap_watched: true,
            tap_burst: 1,
            at_once: false,
            more_mail: false,
            keys_ended: false,
            calls: SystemCalls::default(),
        })
    }

    /// Runs until it is told to stop, or until another worker has failed. An error means that the interface cannot go on.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        let mut events = Events::with_capacity(64);
        let mut turn_began = now();
        self.resync(turn_began)?;
        loop {
            let deadline = self.deadline();
            let wait_began = now();
            let timeout = deadline.map(|at| Duration::from_nanos(at.since(wait_began).as_nanos()));
            self.calls.waits += 1;
            self.epoll
                .wait(&mut events, timeout)
                .map_err(|e| format!("epoll: {e}"))?;
            if self.fate.has_failed() {
                return Ok(());
            }
            let now = now();
            self.at_once = now.since(wait_began) < NAP;
            // Awake later than was asked for, or a turn that took so long: somebody else had the processor.
            let late = deadline.map_or(Span::ZERO, |at| now.since(at.max(turn_began)));
            turn_began = now;
            if late > GAP {
                self.shard.handle_gap(now, late);
                for id in self.socket_ids() {
                    self.receive(now, id, DATAGRAMS_AFTER_GAP)?;
                }
                self.take_parcels(now)?;
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

    fn deadline(&self) -> Option<Time> {
        if self.more_mail || self.applying.is_some() {
            return Some(Time::ZERO);
        }
        let hold = if self.tap_watched {
            None
        } else {
            self.hold_tap_until(now())
        };
        let retry = self
            .mail
            .as_ref()
            .filter(|m| m.is_blocked())
            .map(|_| now() + RETRY);
        // A socket that is full would lose what is flooded through it.
        let flood = self
            .shard
            .has_floods()
            .then(|| self.sockets.hold_tap_until(now()).unwrap_or(Time::ZERO));
        [
            self.shard.poll_timeout(),
            self.pings.next_deadline(),
            hold,
            retry,
            flood,
        ]
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
