//! Frames to the peer: sealed once, on the links that the policy says.

use alloc::{boxed::Box, collections::VecDeque, vec::Vec};
use core::ops::Range;

use super::{Peer, Waiting};
use crate::{
    config::PolicyKind,
    drop_reason::DropReason,
    fragment,
    ids::{LinkId, LinkSet, MAX_LINKS},
    link::sent_log::DataSeq,
    offload::{Frame, checksum::Checksum, segment::Segments},
    policy::flow_hash,
    shard::{env::Env, outbox::Class},
    time::{Span, Time},
    wire::{
        fragment_header::FragmentKind,
        header::{HEADER_LEN, TAG_LEN},
        virtio_net_header::flags,
    },
};

/// Frames that wait for a session, per peer (limits: row 13).
const WAITING_FRAMES: usize = 128;
const WAITING_BYTES: usize = 256 << 10;
/// And no longer than this.
pub(super) const WAITING_TIME: Span = Span::from_secs(2);

/// What DATA adds to a frame, in bytes.
pub(super) const DATA_OVERHEAD: usize = HEADER_LEN + TAG_LEN;

impl Peer {
    /// Sends `frame` as the policy says, or keeps it until there is a session. Returns true if a deadline has
    /// come closer.
    pub fn send_frame(&mut self, env: &mut Env, frame: Frame<'_>) -> bool {
        if self.config.shutdown {
            self.drop_frame(env, DropReason::PeerShutdown);
            return false;
        }
        if self
            .current
            .as_ref()
            .is_none_or(|s| !s.confirmed || !s.is_alive(env.real))
            || self.set.is_empty()
        {
            self.keep_waiting(env, frame);
            return true;
        }
        self.send_now(env, frame)
    }

    fn send_now(&mut self, env: &mut Env, frame: Frame<'_>) -> bool {
        if frame.is_super() {
            return self.send_segments(env, frame);
        }
        let targets = self.targets(self.flow(env, frame.bytes));
        if frame.bytes.len() + DATA_OVERHEAD > self.room {
            return self.send_in_pieces(env, &frame.complete(), targets);
        }
        let partial = frame.header.flags & flags::NEEDS_CSUM != 0 && self.leaves_checksums();
        let bytes = if partial {
            frame.bytes.into()
        } else {
            frame.complete()
        };
        self.send_whole(env, bytes.len(), partial, targets, |out| {
            out.extend_from_slice(&bytes);
        })
    }

    /// Cuts a super-frame as it is sealed.
    fn send_segments(&mut self, env: &mut Env, frame: Frame<'_>) -> bool {
        let room = self.room.saturating_sub(DATA_OVERHEAD);
        let segments = match Segments::plan(&frame.header, frame.bytes, room) {
            Ok(segments) if segments.len(0) <= usize::from(env.max_frame) => segments,
            Ok(_) => {
                self.drop_frame(env, DropReason::FrameLong);
                return false;
            }
            Err(error) => {
                self.drop_frame(env, error.into());
                return false;
            }
        };
        // Every segment has the addresses and ports of the whole.
        let flow = self.flow(env, frame.bytes);
        // TCP makes its super-frames no longer than what goes out in about a millisecond, so that no link falls behind
        // when it gets its share in one go; and then it arrives in one piece, and is made one again.
        let stride = if segments.is_stream() { segments.count() } else { 1 };
        let mut closer = false;
        for begin in (0..segments.count()).step_by(stride) {
            let end = segments.count().min(begin + stride);
            closer |= self.send_in_turns(env, &segments, begin..end, room, flow);
        }
        closer
    }

    /// Sends some segments of a super-frame, each link's share of them one after the other.
    fn send_in_turns(
        &mut self,
        env: &mut Env,
        segments: &Segments<'_>,
        mut range: Range<usize>,
        room: usize,
        flow: Option<u64>,
    ) -> bool {
        let checksum = Checksum::of(self.leaves_checksums());
        let (mut closer, mut whole) = (false, Vec::new());
        for (targets, turns) in self.turns(flow, range.len()) {
            let first = env.outbox.transmits.len();
            for (nth, index) in range.by_ref().take(turns).enumerate() {
                if nth == 1 {
                    let copies = env.outbox.transmits.iter_mut().skip(first);
                    copies.for_each(|copy| copy.begins = true);
                }
                let len = segments.len(index);
                closer |= if len > room {
                    whole.clear();
                    segments.emit(index, Checksum::Complete, &mut whole);
                    self.send_in_pieces(env, &whole, targets)
                } else {
                    let partial = checksum == Checksum::Partial;
                    self.send_whole(env, len, partial, targets, |out| {
                        segments.emit(index, checksum, out);
                    })
                };
            }
        }
        closer
    }

    /// The flow that a frame belongs to, where the policy asks for it.
    fn flow(&self, env: &Env, frame: &[u8]) -> Option<u64> {
        (self.config.policy == PolicyKind::FlowHash).then(|| env.flow_hash.hash(frame))
    }

    /// The links on which a frame of this flow goes out now.
    fn targets(&mut self, flow: Option<u64>) -> LinkSet {
        let links = &self.links;
        let weight = |l: LinkId| links[l.index()].as_ref().map_or(1, |l| l.share);
        let turn = match flow {
            Some(flow) => flow_hash::pick(flow, self.set.rotation, weight),
            None => self.rotation.next(self.set.rotation, weight),
        };
        turn.map_or(self.set.copies, |link| self.set.copies.with(link))
    }

    /// The links on which the next `count` frames of this flow go out, and how many of them on each.
    fn turns(&mut self, flow: Option<u64>, count: usize) -> impl Iterator<Item = (LinkSet, usize)> + use<> {
        let set = self.set;
        let (together, turns) = if flow.is_some() || set.rotation.is_empty() {
            (Some((self.targets(flow), count)), [0; MAX_LINKS])
        } else {
            let links = &self.links;
            let weight = |l: LinkId| links[l.index()].as_ref().map_or(1, |l| l.share);
            (None, self.rotation.turns(set.rotation, count, weight))
        };
        let apart = LinkId::all().zip(turns).filter(|(_, turns)| *turns > 0);
        let apart = apart.map(move |(link, turns)| (set.copies.with(link), turns));
        together.into_iter().chain(apart)
    }

    /// Whether the checksums of frames are left for the peer to do.
    fn leaves_checksums(&self) -> bool {
        self.current.as_ref().is_some_and(|s| s.partial_checksums)
    }

    /// Sends a frame of `len` bytes, which `write` appends, in one datagram; `partial`: its checksum is left to do.
    fn send_whole(
        &mut self,
        env: &mut Env,
        len: usize,
        partial: bool,
        targets: LinkSet,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let Some(session) = self.current.as_mut() else {
            return false;
        };
        let start = env.outbox.arena.bytes.len();
        match session.seal_data(len, partial, &mut env.outbox.arena.bytes, write) {
            Ok(counter) => {
                self.tx.count(len);
                self.send_sealed(env, counter, targets, start)
            }
            Err(reason) => {
                self.drop_frame(env, reason);
                false
            }
        }
    }

    /// Sends a frame that does not fit the links it goes out on.
    fn send_in_pieces(&mut self, env: &mut Env, frame: &[u8], targets: LinkSet) -> bool {
        let Some(id) = self.current.as_mut().map(|s| s.next_whole()) else {
            return false;
        };
        let Some(pieces) = fragment::split(FragmentKind::Frame, id, frame.len(), self.room) else {
            self.drop_frame(env, DropReason::FrameLong);
            return false;
        };
        self.tx.count(frame.len());
        self.pieces.split(pieces.len());
        let mut closer = false;
        for (header, range) in pieces {
            let piece = frame.get(range).unwrap_or_default();
            let start = env.outbox.arena.bytes.len();
            let sealed = match self.current.as_mut() {
                Some(s) => s.seal_fragment(&header, piece, &mut env.outbox.arena.bytes),
                None => Err(DropReason::NoSession),
            };
            match sealed {
                Ok(counter) => closer |= self.send_sealed(env, counter, targets, start),
                Err(reason) => {
                    self.drop_frame(env, reason);
                    break;
                }
            }
        }
        closer
    }

    /// Sends the datagram at `start` in the arena over `targets`. Returns true if a deadline has come closer.
    fn send_sealed(&mut self, env: &mut Env, counter: u32, targets: LinkSet, start: usize) -> bool {
        let session = self.current.as_ref().map_or(0, |s| s.serial);
        let seq = DataSeq { session, counter };
        let at_once = self.keep_for_resend(env, seq, targets, start);
        if at_once.is_empty() {
            // It waits in the ring, behind older ones that are being sent again.
            return self.replay(env);
        }
        let closer = self.transmit_data(env, seq, at_once, start);
        closer | self.replay(env)
    }

    /// Sends the datagram at `start` in the arena over `links`. Returns true if a deadline has come closer.
    pub(super) fn transmit_data(
        &mut self,
        env: &mut Env,
        seq: DataSeq,
        links: LinkSet,
        start: usize,
    ) -> bool {
        let mut closer = false;
        for id in links.iter() {
            let Some(link) = self.links[id.index()].as_deref_mut() else {
                continue;
            };
            let Some(path) = link.endpoint.current() else {
                continue;
            };
            env.transmit(Class::Data, false, &path, start);
            let len = env.outbox.arena.bytes.len() - start;
            link.tx.count(len);
            link.last_tx = env.now;
            closer |= link.data_sent(env.now, seq, len);
        }
        closer
    }

    pub(super) fn drop_frame(&mut self, env: &mut Env, reason: DropReason) {
        self.drops = self.drops.saturating_add(1);
        env.drop(reason);
    }

    /// Keeps a frame for the session to come; the oldest makes room.
    pub(super) fn keep_waiting(&mut self, env: &mut Env, frame: Frame<'_>) {
        let len = frame.bytes.len();
        if len > WAITING_BYTES || env.waiting.saturating_add(len) > env.waiting_most {
            self.drop_frame(env, self.what_is_missing(env));
            return;
        }
        while self.waiting.len() >= WAITING_FRAMES || self.waiting_bytes + len > WAITING_BYTES {
            self.drop_oldest_waiting(env);
        }
        self.waiting.push_back(Waiting {
            since: env.now,
            header: frame.header,
            frame: Box::from(frame.bytes),
        });
        self.waiting_bytes += len;
        env.waiting += len;
        self.attempt.traffic_wants_out(env.now);
    }

    fn what_is_missing(&self, env: &Env) -> DropReason {
        match &self.current {
            Some(s) if s.confirmed && s.is_alive(env.real) => DropReason::NoLink,
            _ => DropReason::NoSession,
        }
    }

    /// Takes the frame that has waited longest. With the last one the room for them goes, which few peers need again.
    pub(super) fn take_waiting(&mut self, env: &mut Env) -> Option<Waiting> {
        let oldest = self.waiting.pop_front()?;
        self.waiting_bytes -= oldest.frame.len();
        env.waiting = env.waiting.saturating_sub(oldest.frame.len());
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Some(oldest)
    }

    fn drop_oldest_waiting(&mut self, env: &mut Env) {
        if self.take_waiting(env).is_some() {
            self.drop_frame(env, self.what_is_missing(env));
        }
    }

    /// Drops all that waits.
    pub(super) fn drop_waiting(&mut self, env: &mut Env) {
        while !self.waiting.is_empty() {
            self.drop_oldest_waiting(env);
        }
    }

    /// Drops what has waited too long.
    pub(super) fn expire_waiting(&mut self, env: &mut Env) {
        while self
            .waiting
            .front()
            .is_some_and(|w| env.now.since(w.since) >= WAITING_TIME)
        {
            self.drop_oldest_waiting(env);
        }
    }

    /// When the oldest waiting frame has waited too long.
    pub(super) fn waiting_deadline(&self) -> Option<Time> {
        self.waiting.front().map(|w| w.since + WAITING_TIME)
    }

    /// There is a session and a link: send what waited for it.
    pub(super) fn flush_waiting(&mut self, env: &mut Env) {
        if !self.is_up() || self.set.is_empty() {
            return;
        }
        while let Some(w) = self.take_waiting(env) {
            self.send_now(env, Frame::new(w.header, &w.frame));
        }
    }
}
