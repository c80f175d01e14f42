//! One turn of the data thread: commands, netlink, handshakes, datagrams, frames, timers, floods.

use std::io;

use knet_io::{
    epoll::{Events, Interest, Ready},
    tap::{Tap, TapWrite},
    udp::IcmpKind,
};
use knet_proto::{
    drop_reason::DropReason,
    handshake::message::Input,
    ids::SocketId,
    path::Path,
    shard::{Parcel, Shard},
    time::Time,
    wire::virtio_net_header::VirtioNetHeader,
};

use super::{MONITOR, TAP, WAKER, Worker, mailing::tell_news, tap_is_gone};
use crate::{
    handshake_thread::FromHandshaker,
    mail::Mail,
    query::{Event, SystemCalls},
    sockets::socket_of,
};

/// Work per turn.
const HANDSHAKES: usize = 64;
const FRAMES: usize = 64;
const DATAGRAMS: usize = 256;
const ERRORS: usize = 64;
/// Sealed bytes that are sent before more frames are read, so that they are still in the processor's cache.
const ARENA: usize = 256 << 10;
/// Rounds of sending in which the core may answer refusals; more wait for the next turn.
const ROUNDS: usize = 8;

/// Whether to go on.
pub(super) enum Turn {
    Next,
    Stop,
}

impl Worker {
    pub(super) fn turn(&mut self, now: Time, events: &Events) -> Result<Turn, String> {
        let ready = |token| events.iter().any(|e| e.token == token && (e.readable || e.error));
        if ready(WAKER) || self.more_mail || self.applying.is_some() {
            // Before the queues are looked at: what comes in later wakes us again.
            self.waker.reset();
            self.take_news(now);
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
        self.take_parcels(now)?;
        for Ready {
            token,
            readable,
            writable,
            error,
        } in events.iter()
        {
            let Some(id) = socket_of(token) else { continue };
            if writable {
                self.sockets.send_waiting(now, id, &self.epoll, &mut self.unsent);
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
        if self.shard.has_floods() && self.sockets.hold_tap_until(now).is_none() {
            self.shard.continue_floods(now);
        }
        // What was held back and is given up now, and answers to senders of frames that are too long.
        let written = write_frames(&mut self.tap, &mut self.shard, self.mail.as_mut(), &[])?;
        written.count(&mut self.shard, &mut self.calls);
        self.pings.expire(now);
        self.flush(now);
        self.watch_tap(now);
        self.more_mail |= self.has_parcels(now);
        Ok(Turn::Next)
    }

    /// Takes what waits at a socket, until that were `budget` datagrams.
    pub(super) fn receive(&mut self, now: Time, id: SocketId, budget: usize) -> Result<(), String> {
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
            self.take_news(now);
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
                let written = write_frames(&mut self.tap, &mut self.shard, self.mail.as_mut(), bytes)?;
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
        // As many as waited last time, and more while there always are more: to find out that none is left takes a call,
        // which the next wait saves.
        if self.at_once {
            self.tap_burst = FRAMES.min(2 * self.tap_burst);
        }
        for nth in 0..self.tap_burst {
            match self.read_tap() {
                Ok(Some(n)) => self.forward(now, n),
                Ok(None) => {
                    self.tap_burst = nth.max(1);
                    break;
                }
                Err(e) => return Err(tap_is_gone(&self.tap, &e)),
            }
            let outbox = self.shard.outbox();
            if outbox.arena.unsent() >= ARENA || outbox.parcels.iter().any(Parcel::is_full) {
                self.flush(now);
                if self.hold_tap_until(now).is_some() {
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
        self.take_news(now);
        let header = VirtioNetHeader::parse(&self.header);
        let frame = self.frame.get_mut(..length).unwrap_or_default();
        self.shard.handle_frame(now, &header, frame);
    }

    /// Back-pressure: while a send buffer is full, or another worker does not keep up, the TAP's own queue holds the
    /// frames.
    fn watch_tap(&mut self, now: Time) {
        let watch = self.hold_tap_until(now).is_none();
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

    /// Empties the core's outbox.
    pub(super) fn flush(&mut self, now: Time) {
        for _ in 0..ROUNDS {
            let outbox = self.shard.outbox();
            if outbox.is_empty() && self.unsent.is_empty() {
                break;
            }
            tell_news(&mut self.shard, self.mail.as_mut());
            let outbox = self.shard.outbox();
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
        self.post(now);
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
}

/// What became of frames for the TAP.
#[derive(Default)]
pub(super) struct Written {
    calls: u64,
    refused: u64,
}

impl Written {
    pub(super) fn count(self, shard: &mut Shard, calls: &mut SystemCalls) {
        calls.tap_writes += self.calls;
        shard.count_drops(DropReason::TapWrite, self.refused);
    }
}

/// Writes the frames that the core has for the TAP, some of which may still be in `received`, behind the news that their
/// answers may need.
pub(super) fn write_frames(
    tap: &mut Tap,
    shard: &mut Shard,
    mail: Option<&mut Mail>,
    received: &[u8],
) -> Result<Written, String> {
    tell_news(shard, mail);
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
