//! Where a frame goes: to the TAP, to a peer, or to many, and what is done to it on the way out.

use alloc::vec::Vec;
use core::{
    net::{IpAddr, SocketAddr},
    ops::{ControlFlow, Range},
};

use super::{News, Shard, outbox::TapFrame};
use crate::{
    config::MtuPolicy,
    drop_reason::DropReason,
    event::Event,
    ids::PeerId,
    l2::{
        bridge::Decision,
        ip_packet::{Addresses, IpPacket, Part, protocol},
        mss_clamp,
        packet_too_big::OwnAddresses,
        vlan::VlanId,
    },
    offload::{Frame, checksum::Checksum, join::Join, segment::Segments},
    status::Port,
    time::Time,
    wire::{
        header::TransportHeader,
        virtio_net_header::{VirtioNetHeader, flags, gso},
    },
};

/// Longest Ethernet frame with a TCP SYN in bytes: two VLAN tags, and both headers with all options that fit.
const SYN_AT_MOST: usize = 14 + 8 + 60 + 60;

/// Frames that a peer delivered together are joined in pieces of so many bytes, and what is longer than that.
const GATHERED: usize = 64 << 10;

/// Frames in a buffer that have become one.
pub(super) struct Run {
    from: PeerId,
    join: Join,
    keep: Keep,
}

/// How a frame in a buffer is kept until the TAP gets it.
type Keep = fn(VirtioNetHeader, Range<usize>, &[u8]) -> TapFrame;

impl Shard {
    /// Whether this frame from the TAP is a datagram of our own to a peer. Where the route to a peer's address leads
    /// into the tunnel to that peer, each datagram would come back a little longer for ever, and once it no longer
    /// fits the path it would come back twice. The receiver index tells our own from what other hosts send there.
    pub(super) fn is_own_datagram(&self, frame: &[u8]) -> bool {
        let Some((remote, payload)) = udp_in(frame) else {
            return false;
        };
        let Ok(header) = TransportHeader::parse(payload) else {
            return false;
        };
        self.places.peers_at(remote).any(|id| match self.peer(id) {
            Some(peer) => peer.knows_as(header.receiver),
            None => self.others.knows_as(id, header.receiver),
        })
    }

    /// Forwards what a peer delivered besides the frame at hand: what was held back, or put together.
    pub(super) fn forward_delivered(&mut self, from: PeerId) {
        if self.env.delivered.is_empty() {
            return;
        }
        let mut delivered = core::mem::take(&mut self.env.delivered);
        let mut buffer = core::mem::take(&mut self.delivered);
        let mut run = None;
        for (frame, checksum) in delivered.drain(..) {
            if buffer.len() > GATHERED {
                self.forward_run(&mut run, &mut buffer);
                buffer.clear();
            }
            let begin = buffer.len();
            buffer.extend_from_slice(&frame);
            let at = begin..buffer.len();
            self.gather(&mut run, &mut buffer, from, at, checksum, TapFrame::copied);
        }
        self.forward_run(&mut run, &mut buffer);
        buffer.clear();
        (self.env.delivered, self.delivered) = (delivered, buffer);
    }

    /// Adds the frame at `at` in `buffer` to those that `from` has sent before it, if it continues them; else forwards
    /// those, and begins anew.
    pub(super) fn gather(
        &mut self,
        run: &mut Option<Run>,
        buffer: &mut [u8],
        from: PeerId,
        at: Range<usize>,
        checksum: Checksum,
        keep: Keep,
    ) {
        if let Some(run) = run
            && run.from == from
            && run.join.checksum() == checksum
            && run.join.push(buffer, at.clone())
        {
            return;
        }
        self.forward_run(run, buffer);
        let joins = match buffer.get(at.clone()) {
            Some(frame) if self.bridge.filters_vlans() => self.joins_for(frame),
            _ => self.joins,
        };
        let join = Join::begin(buffer, at, checksum, joins);
        *run = Some(Run { from, join, keep });
    }

    /// Forwards the frame, or what has become one, in `buffer`.
    pub(super) fn forward_run(&mut self, run: &mut Option<Run>, buffer: &mut [u8]) {
        let Some(Run { from, join, keep }) = run.take() else {
            return;
        };
        let (header, at) = match join.finish(buffer) {
            Ok(joined) => joined,
            Err(reason) => return self.env.drop(reason),
        };
        let bytes = buffer.get(at.clone()).unwrap_or_default();
        if self.forward(Port::Peer(from), Frame::new(header, bytes)) {
            let frame = keep(header, at, buffer);
            self.env.outbox.frames.push(frame);
        }
    }

    /// Sends a frame of its own to `to` and to nobody else, whatever the bridge has learned.
    pub fn send_frame_to(&mut self, now: Time, to: PeerId, frame: &[u8]) {
        self.tick(now);
        self.env.status.tap_rx.count(frame.len());
        self.send(to, Port::Tap, Frame::plain(frame));
    }

    /// Sends a frame that has come in where the bridge says. Returns whether it is (also) for the TAP, as it is.
    pub(super) fn forward(&mut self, from: Port, frame: Frame<'_>) -> bool {
        if self.bridge.filters_vlans() {
            return self.forward_in_vlan(from, frame);
        }
        let to_tap = self.forward_where(from, frame);
        if to_tap {
            self.env.status.tap_tx.count(frame.bytes.len());
        }
        to_tap
    }

    /// The same with a frame whose VLAN is known, whatever the TAP wants it to look like.
    pub(super) fn forward_where(&mut self, from: Port, frame: Frame<'_>) -> bool {
        let from = match self.entry(from, &frame) {
            ControlFlow::Continue(port) => port,
            ControlFlow::Break(to_tap) => return to_tap,
        };
        let decision = if self.bridged {
            self.bridge.forward(self.env.real, from, &frame)
        } else {
            Decision::Tap
        };
        if self.bridge.has_something_to_tell() {
            self.tell_of_bridge();
        }
        if self.listeners.is_on() && !matches!(decision, Decision::Drop(_)) {
            self.snoop(from, &frame);
        }
        let Some(decision) = self.inspect(from, &frame, decision) else {
            return false;
        };
        match decision {
            Decision::Drop(reason) => {
                self.env.drop(reason);
                false
            }
            Decision::Tap => true,
            Decision::Peer(peer) => {
                self.send_known(peer, from, frame);
                false
            }
            Decision::Flood => self.flood(from, frame),
            Decision::Probe => self.pass_probe(from, frame),
        }
    }

    #[cold]
    pub(super) fn tell_of_bridge(&mut self) {
        if let Some(frozen) = self.bridge.take_frozen() {
            self.env.event(Event::MacFrozen {
                mac: frozen.mac,
                port: frozen.port,
            });
        }
        if let Some(news) = self.bridge.take_news() {
            self.env.outbox.news.push((None, News::Mac(news)));
        }
        self.follow_loops();
    }

    /// Sends a frame to a peer, in the VLAN that it says.
    pub(super) fn send(&mut self, to: PeerId, from: Port, frame: Frame<'_>) {
        let to = self.hubs.way(to);
        if frame.vlan == VlanId::NONE {
            self.send_as_it_is(to, from, frame);
        } else {
            self.send_in_vlan(to, from, frame);
        }
    }

    pub(super) fn send_as_it_is(&mut self, to: PeerId, from: Port, frame: Frame<'_>) {
        let Some(peer) = self.peers.get_mut(usize::from(to.0)).and_then(Option::as_mut) else {
            return self.hand_over_frame(to, from, &frame);
        };
        if from != Port::Tap {
            self.env.status.relayed.count(frame.bytes.len());
        }
        let mut short = [0; SYN_AT_MOST];
        let mut frame = frame;
        if let Some(mtu) = peer.inner_mtu() {
            if from == Port::Tap && self.mtu_policy == MtuPolicy::Signal && self.signal(&frame, mtu) {
                return;
            }
            // No super-frame begins a connection, nor does what was cut from one.
            if frame.header.flags & flags::NEEDS_CSUM == 0
                && let Some(copy) = short.get_mut(..frame.bytes.len())
            {
                copy.copy_from_slice(frame.bytes);
                if mss_clamp::clamp(copy, mtu) {
                    frame.bytes = copy;
                }
            }
        }
        let Some(peer) = self.peers.get_mut(usize::from(to.0)).and_then(Option::as_mut) else {
            return;
        };
        if peer.send_frame(&mut self.env, frame) {
            self.settle(to);
        }
    }

    /// Answers a frame from the TAP that is longer than `mtu`, as a router would, if it may be answered. A super-frame of
    /// TCP is cut to fit; one of UDP is answered for its first segment.
    fn signal(&mut self, frame: &Frame<'_>, mtu: u16) -> bool {
        let mut first = Vec::new();
        let whole = if frame.is_super() {
            match Segments::plan(&frame.header, frame.bytes, usize::MAX) {
                Ok(segments) if frame.header.gso_type == gso::UDP_L4 => {
                    segments.emit(0, Checksum::Complete, &mut first);
                }
                _ => return false,
            }
            &first
        } else {
            frame.bytes
        };
        let (own, mut answer) = (OwnAddresses::default(), Vec::new());
        if whole.len() <= usize::from(mtu)
            || !self.too_big.answer(self.env.real, whole, mtu, own, &mut answer)
        {
            return false;
        }
        self.count_drops(DropReason::PacketTooBig, u64::from(frame.count()));
        self.answer_tap(frame.vlan, answer);
        true
    }
}

/// Destination and payload of the UDP datagram in a frame.
fn udp_in(frame: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let packet =
        IpPacket::in_frame(frame).filter(|p| p.protocol == protocol::UDP && p.part == Part::Whole)?;
    let (header, payload) = packet.payload().split_first_chunk::<8>()?;
    let [_, _, p0, p1, ..] = *header;
    let address = match packet.addresses {
        Addresses::V4 { dst, .. } => IpAddr::V4(dst),
        Addresses::V6 { dst, .. } => IpAddr::V6(dst),
    };
    Some((SocketAddr::new(address, u16::from_be_bytes([p0, p1])), payload))
}
