//! What the shard wants done. The runtime drains it completely after each burst of calls.

use alloc::{boxed::Box, vec::Vec};
use core::ops::Range;

use crate::{
    arena::Arena,
    event::Event,
    handshake::message::Input,
    ids::{LinkId, PeerId, ReceiverIndex, WorkerId},
    link::path_mtu::LimitReason,
    path::Path,
    shard::{News, Parcel},
    time::Span,
    wire::virtio_net_header::VirtioNetHeader,
};

/// What a datagram is for. Networks are told, so that they can treat the two differently (RFC 2474).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It carries a frame or a piece of one.
    Data,
    /// Handshakes, heartbeats, reports, probes: few, and the links are judged by them.
    Control,
}

/// A datagram to send. The same bytes may be named by several transmits.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// Along this path.
    pub path: Path,
    /// What it is for.
    pub class: Class,
    /// What was sent along this path lately was answered: the next hop need not be asked whether it is still there
    /// (RFC 4861 section 7.3.1, forward progress).
    pub confirms: bool,
    /// It is the first frame of a super-frame: those that follow are to arrive with it, to be made one again.
    pub begins: bool,
    /// Where the datagram is in the bytes of [`Outbox::arena`].
    pub range: Range<usize>,
}

/// A frame for the TAP.
#[derive(Debug)]
pub struct TapFrame {
    /// What is left to the TAP to be done with it.
    pub header: VirtioNetHeader,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// It is where it was decrypted: there, in the buffer given to [`super::Shard::handle_datagrams`], or in the bytes of
    /// the parcel.
    Received(Range<usize>),
    /// It was held back, or put together from pieces, or made here.
    Own(Box<[u8]>),
}

impl TapFrame {
    /// The frame at `at` in `received`, which is there until it is written.
    pub(crate) const fn received(header: VirtioNetHeader, at: Range<usize>, _received: &[u8]) -> Self {
        Self {
            header,
            content: Content::Received(at),
        }
    }

    /// The frame at `at` in `buffer`, which will be needed for others.
    pub(crate) fn copied(header: VirtioNetHeader, at: Range<usize>, buffer: &[u8]) -> Self {
        Self::own(header, buffer.get(at).unwrap_or_default().into())
    }

    pub(crate) fn own(header: VirtioNetHeader, frame: Box<[u8]>) -> Self {
        Self {
            header,
            content: Content::Own(frame),
        }
    }

    /// The frame. `received`: the buffer that was given to [`super::Shard::handle_datagrams`], if the call before was to
    /// that; [`Parcel::bytes`], if it was to [`super::Shard::handle_parcel`].
    pub fn bytes<'a>(&'a self, received: &'a [u8]) -> &'a [u8] {
        match &self.content {
            Content::Received(at) => received.get(at.clone()).unwrap_or_default(),
            Content::Own(frame) => frame,
        }
    }
}

/// The answer to [`super::Shard::probe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeReply {
    /// What the caller gave.
    pub token: u64,
    /// Whom it came from.
    pub peer: PeerId,
    /// The link probed.
    pub link: LinkId,
    /// The round-trip time.
    pub rtt: Span,
}

/// The TAP is to have another MTU; [`super::Shard::set_tap_mtu`] says that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapMtuWish {
    /// What it has, in bytes.
    pub from: u16,
    /// What it is to have.
    pub to: u16,
    /// The peer whose link decides it.
    pub peer: PeerId,
    /// The narrowest link in use.
    pub link: LinkId,
    /// The longest IP packet that this link carries whole.
    pub carries: u16,
    /// Why no longer one.
    pub reason: LimitReason,
}

/// Datagrams, and what else there is, for which there is room also after a time in which little was sent.
const KEPT: usize = 16;

/// Everything that goes out.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The bytes of the datagrams, one after the other.
    pub arena: Arena,
    /// Datagrams to send, in this order.
    pub transmits: Vec<Transmit>,
    /// Frames for the TAP, in this order. Whoever writes them takes them out, before the next call of the shard;
    /// [`Outbox::clear`] leaves them.
    pub frames: Vec<TapFrame>,
    /// For the handshake thread.
    pub handshake: Vec<Input>,
    /// What happened.
    pub events: Vec<Event>,
    /// Answers to the operator's probes.
    pub probe_replies: Vec<ProbeReply>,
    /// The MTU that the TAP is to get.
    pub tap_mtu: Option<TapMtuWish>,
    /// What there is to say to another worker, or to all (`None`), in this order. It is to arrive before the parcels that
    /// are handed over later, and before anything that follows from frames that are written to the TAP later: so it is
    /// taken out first of all.
    pub news: Vec<(Option<WorkerId>, News)>,
    /// What is for other workers, by worker; none where there is only one. Whoever hands one over puts an empty one in
    /// its place. They may have to wait for that: [`Outbox::clear`] leaves them, and [`Outbox::is_empty`] does not look
    /// at them.
    pub parcels: Vec<Parcel>,
    pub(crate) released: Vec<ReceiverIndex>,
}

impl Outbox {
    /// The bytes of `transmit`.
    pub fn bytes(&self, transmit: &Transmit) -> &[u8] {
        self.arena.bytes.get(transmit.range.clone()).unwrap_or_default()
    }

    /// Forgets what was drained and keeps the memory, unless little has been sent for long. What is for other workers stays.
    pub fn clear(&mut self) {
        let rest = self.arena.sent();
        self.transmits.clear();
        self.handshake.clear();
        self.events.clear();
        self.probe_replies.clear();
        self.tap_mtu = None;
        if rest {
            self.transmits.shrink_to(KEPT);
            self.handshake.shrink_to(KEPT);
            self.events.shrink_to(KEPT);
        }
    }

    /// Whether there is nothing to do, but for other workers.
    pub fn is_empty(&self) -> bool {
        self.transmits.is_empty()
            && self.handshake.is_empty()
            && self.events.is_empty()
            && self.probe_replies.is_empty()
            && self.tap_mtu.is_none()
    }
}
