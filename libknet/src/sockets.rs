//! The interface's UDP sockets, and what could not be sent yet.

mod queue;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use knet_io::{
    epoll::{Epoll, Interest},
    udp::{SendBatch, SendFailure, SendItem, SendReport, UdpSocket},
};
use knet_proto::{
    ids::SocketId,
    path::Path,
    shard::{Class, Outbox},
    time::{Span, Time},
};

use self::queue::Queue;
use crate::{query::SocketDown, setup::SocketSetup};

/// For so long the TAP is not read once a socket's send buffer is full: a burst is not lost that way. After that the
/// socket is a slow path, which must not hold up the others: what is too much for it is dropped, as a switch does.
const FULL_BUFFER: Span = Span::from_millis(20);
/// And for so long once the queue of a device is full: the TAP's queue then drops in its place, where the kernel's TCP
/// learns at once that it is too fast.
const FULL_DEVICE: Span = Span::from_millis(1);

/// One socket.
pub(crate) struct SocketEntry {
    pub(crate) id: SocketId,
    pub(crate) setup: SocketSetup,
    pub(crate) socket: Arc<UdpSocket>,
    /// Why it cannot be used, as the core was last told.
    pub(crate) down: Option<SocketDown>,
    /// MTU of its device, as the core was last told.
    pub(crate) mtu: Option<u32>,
    queue: Queue,
    /// Until when the TAP is not read for its sake.
    hold_tap_until: Option<Time>,
    /// Positions in the outbox of what goes out here.
    turn: Vec<usize>,
}

/// All sockets of an interface, in ascending order of their numbers.
pub(crate) struct Sockets {
    entries: Vec<SocketEntry>,
    scratch: SendBatch,
    failures: Vec<SendFailure>,
}

/// A datagram that the kernel refused.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) path: Path,
    /// It does not fit through the device, with so many bytes; nothing else is wrong with the path.
    pub(crate) too_big: Option<usize>,
}

/// What became of datagrams that could not be sent.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    /// Refused by the kernel.
    pub(crate) refused: Vec<Refused>,
    /// For sockets that do not exist.
    pub(crate) no_socket: u64,
    /// Dropped because a queue was full.
    pub(crate) queue_full: u64,
    /// System calls, whatever became of the datagrams.
    pub(crate) calls: u64,
}

impl Unsent {
    pub(crate) fn is_empty(&self) -> bool {
        self.refused.is_empty() && self.no_socket == 0 && self.queue_full == 0
    }
}

impl Sockets {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            scratch: SendBatch::new(),
            failures: Vec::new(),
        }
    }

    /// Adds a socket and watches it under `token`. A socket of the same number is replaced.
    pub(crate) fn set(
        &mut self,
        epoll: &Epoll,
        token: u64,
        (id, setup, socket): (SocketId, SocketSetup, Arc<UdpSocket>),
    ) -> io::Result<()> {
        self.remove(epoll, id);
        epoll.add(&*socket, token, Interest::READ)?;
        let entry = SocketEntry {
            id,
            setup,
            socket,
            down: None,
            mtu: None,
            queue: Queue::default(),
            hold_tap_until: None,
            turn: Vec::new(),
        };
        let at = self.entries.partition_point(|e| e.id < id);
        self.entries.insert(at, entry);
        Ok(())
    }

    /// Forgets a socket; it is closed when nobody else holds it.
    pub(crate) fn remove(&mut self, epoll: &Epoll, id: SocketId) {
        if let Ok(at) = self.entries.binary_search_by_key(&id, |e| e.id) {
            let entry = self.entries.remove(at);
            // Explicitly: another handle may keep the socket open, and epoll would go on watching it.
            let _ = epoll.remove(&*entry.socket);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SocketEntry> {
        self.entries.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut SocketEntry> {
        self.entries.iter_mut()
    }

    pub(crate) fn get(&self, id: SocketId) -> Option<&SocketEntry> {
        self.entries
            .binary_search_by_key(&id, |e| e.id)
            .ok()
            .and_then(|at| self.entries.get(at))
    }

    /// Sends everything in the outbox, per socket in its order.
    pub(crate) fn send(&mut self, now: Time, outbox: &Outbox, epoll: &Epoll, unsent: &mut Unsent) {
        for (position, transmit) in outbox.transmits.iter().enumerate() {
            match self.entries.binary_search_by_key(&transmit.path.socket, |e| e.id) {
                Ok(at) => {
                    if let Some(entry) = self.entries.get_mut(at) {
                        entry.turn.push(position);
                    }
                }
                Err(_) => unsent.no_socket += 1,
            }
        }
        let Self {
            entries,
            scratch,
            failures,
        } = self;
        for entry in entries.iter_mut().filter(|e| !e.turn.is_empty()) {
            let transmit = |i: usize| entry.turn.get(i).and_then(|at| outbox.transmits.get(*at));
            let mut sent = 0;
            let was_waiting = !entry.queue.is_empty();
            if !was_waiting {
                let report = entry.socket.send(
                    scratch,
                    entry.turn.len(),
                    |i| match transmit(i) {
                        Some(t) => SendItem {
                            remote: t.path.remote,
                            local: t.path.local,
                            dscp: dscp(t.class),
                            confirms: t.confirms,
                            begins: t.begins,
                            bytes: outbox.bytes(t),
                        },
                        None => NOTHING,
                    },
                    failures,
                );
                sent = report.done;
                if report.queue_drops > 0 {
                    entry.hold_tap_until = Some(now + FULL_DEVICE);
                }
                settle(&report, failures, unsent, |i| {
                    transmit(i).map(|t| (t.path, t.range.len()))
                });
            }
            for i in sent..entry.turn.len() {
                let Some(t) = transmit(i) else { continue };
                if !entry.queue.push(now, &t.path, t.class, outbox.bytes(t)) {
                    unsent.queue_full += 1;
                }
            }
            entry.turn.clear();
            if !was_waiting && !entry.queue.is_empty() {
                entry.hold_tap_until = Some(now + FULL_BUFFER);
                entry.watch(epoll, Interest::READ.and(Interest::WRITE));
            }
        }
    }

    /// The socket `id` has room again: sends what waits.
    pub(crate) fn send_waiting(&mut self, now: Time, id: SocketId, epoll: &Epoll, unsent: &mut Unsent) {
        let Self {
            entries,
            scratch,
            failures,
        } = self;
        let Some(entry) = entries.iter_mut().find(|e| e.id == id) else {
            return;
        };
        unsent.queue_full += entry.queue.expire(now) as u64;
        let queue = &entry.queue;
        let report = entry.socket.send(
            scratch,
            queue.len(),
            |i| {
                queue.get(i).map_or(NOTHING, |w| SendItem {
                    remote: w.remote,
                    local: w.local,
                    dscp: dscp(w.class),
                    // It may have waited for long.
                    confirms: false,
                    begins: false,
                    bytes: &w.bytes,
                })
            },
            failures,
        );
        let path = |i: usize| {
            queue.get(i).map(|w| {
                let path = Path {
                    socket: id,
                    local: w.local,
                    remote: w.remote,
                };
                (path, w.bytes.len())
            })
        };
        settle(&report, failures, unsent, path);
        entry.queue.advance(report.done);
        if entry.queue.is_empty() {
            entry.hold_tap_until = (report.queue_drops > 0).then_some(now + FULL_DEVICE);
            entry.watch(epoll, Interest::READ);
        }
    }

    /// Until when the TAP should not be read because something is full: a point in the future, or `None`.
    pub(crate) fn hold_tap_until(&self, now: Time) -> Option<Time> {
        self.entries
            .iter()
            .filter_map(|e| e.hold_tap_until)
            .filter(|t| *t > now)
            .min()
    }
}

impl SocketEntry {
    fn watch(&self, epoll: &Epoll, interest: Interest) {
        // Fails only for a descriptor that is not in the set, and this one is.
        let _ = epoll.modify(&*self.socket, token(self.id), interest);
    }
}

/// The number under which a socket is watched.
pub(crate) fn token(id: SocketId) -> u64 {
    FIRST_TOKEN + u64::from(id.0)
}

/// The socket watched under `token`.
pub(crate) fn socket_of(token: u64) -> Option<SocketId> {
    u8::try_from(token.checked_sub(FIRST_TOKEN)?).ok().map(SocketId)
}

const FIRST_TOKEN: u64 = 16;

/// Never sent: stands in for a position that does not exist.
const NOTHING: SendItem<'static> = SendItem::plain(
    SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0),
    &[],
);

/// Class selector 6, network control (RFC 4594 section 3.1): a heartbeat that waits behind the data that it watches over
/// would make a busy link look dead.
const CS6: u8 = 48;

/// What a datagram is marked with; data as its socket says.
const fn dscp(class: Class) -> Option<u8> {
    match class {
        Class::Data => None,
        Class::Control => Some(CS6),
    }
}

fn settle(
    report: &SendReport,
    failures: &mut Vec<SendFailure>,
    unsent: &mut Unsent,
    sent: impl Fn(usize) -> Option<(Path, usize)>,
) {
    unsent.queue_full += report.queue_drops as u64;
    unsent.calls += report.calls as u64;
    for failure in failures.drain(..) {
        if let Some((path, size)) = sent(failure.index) {
            unsent.refused.push(Refused {
                path,
                too_big: failure.is_too_big().then_some(size),
            });
        }
    }
}
