//! From opened datagrams to frames: in the order in which they were sent, and in one piece.

use alloc::boxed::Box;

use super::Peer;
use crate::{
    config::PolicyKind,
    drop_reason::DropReason,
    ids::LinkId,
    offload::checksum::Checksum,
    reassembly::Reassembler,
    resequencer::{Arrival, Item, MAX_WAIT, Released, Resequencer, Verdict},
    shard::env::Env,
    status::LinkState,
    time::{Span, Time},
    wire::{
        fragment_header::{FragmentHeader, FragmentKind},
        header::{MessageType, TransportHeader, classify},
    },
};

impl Peer {
    /// Takes in the plaintext of a datagram that is seen for the first time. Returns the frame in it, if there is one
    /// and its turn has come; whatever follows it then is left in `env.delivered`.
    pub(super) fn accept<'a>(
        &mut self,
        env: &mut Env,
        serial: u32,
        header: &TransportHeader,
        link: Option<LinkId>,
        plaintext: &'a [u8],
        inner: bool,
    ) -> Option<&'a [u8]> {
        let fragment = header.kind == MessageType::Frag;
        let item = match fragment.then(|| FragmentHeader::parse(plaintext, env.max_frame)) {
            None if plaintext.len() > usize::from(env.max_frame) => {
                env.drop(DropReason::FrameLong);
                Item::Nothing
            }
            None => Item::Frame(Checksum::of(header.partial)),
            Some(Ok((h, _))) if h.kind == FragmentKind::Frame => Item::Fragment,
            // Its contents have a place of their own in the order.
            Some(Ok(_)) if !inner => Item::Nothing,
            Some(Ok(_)) => {
                env.drop(DropReason::FragmentRefused);
                Item::Nothing
            }
            Some(Err(reason)) => {
                env.drop(reason);
                Item::Nothing
            }
        };
        let before = self.resequencer.make().session();
        if before.is_none_or(|s| s < serial) {
            for released in self.resequencer.make().begin(env.now, serial, &mut env.reorder) {
                self.pass_on(env, before.unwrap_or(serial), released);
            }
        }
        let arrival = Arrival {
            session: serial,
            counter: header.counter,
            link,
            item,
            bytes: if item == Item::Nothing { &[] } else { plaintext },
        };
        let verdict = self
            .resequencer
            .make()
            .arrived(env.now, &arrival, self.reorder_wait, &mut env.reorder);
        let mut now_due = None;
        match (verdict, item) {
            (Verdict::Deliver, Item::Frame(_)) if env.delivered.is_empty() => {
                self.rx.count(plaintext.len());
                now_due = Some(plaintext);
            }
            (Verdict::Deliver, Item::Frame(checksum)) => self.deliver(env, plaintext.into(), checksum),
            (Verdict::Deliver, Item::Fragment) => self.assemble(env, serial, link, plaintext),
            (Verdict::Deliver, Item::Nothing) | (Verdict::Held, _) => {}
        }
        self.deliver_held(env);
        if item == Item::Nothing && fragment && !inner {
            self.assemble(env, serial, link, plaintext);
        }
        now_due
    }

    /// Passes on what was held back and whose turn has come, and gives up what will not come.
    pub(super) fn deliver_held(&mut self, env: &mut Env) {
        while let Some(resequencer) = self.resequencer.get_mut()
            && let Some(released) = resequencer.release(env.now, &mut env.reorder)
        {
            let serial = resequencer.session().unwrap_or_default();
            self.pass_on(env, serial, released);
        }
        if let Some(reassembler) = self.reassembler.get_mut() {
            reassembler.expire(env.now, &mut env.reassembly, &mut env.status.drops);
        }
    }

    /// The session ends: what is held back is delivered, what is incomplete is not.
    pub(super) fn deliver_all(&mut self, env: &mut Env) {
        if let Some(resequencer) = self.resequencer.get_mut() {
            let held = resequencer.flush(env.now, &mut env.reorder);
            resequencer.reset();
            for released in held {
                if let (Item::Frame(checksum), frame) = released {
                    self.deliver(env, frame, checksum);
                }
            }
        }
        if let Some(reassembler) = self.reassembler.get_mut() {
            reassembler.clear(&mut env.reassembly);
        }
    }

    /// When [`Peer::deliver_held`] has something to do even if nothing arrives.
    pub(super) fn delivery_deadline(&self) -> Option<Time> {
        let order = self.resequencer.get().and_then(Resequencer::deadline);
        let wholes = self.reassembler.get().and_then(Reassembler::deadline);
        [order, wholes].into_iter().flatten().min()
    }

    /// How long a hole is waited for: until what a link took with it when it died has been sent again by another
    /// one, and as long as links may differ.
    pub(super) fn update_reorder_wait(&mut self) {
        let up = || self.links().filter(|l| l.state() >= LinkState::Probing);
        // Frames of different flows need not wait for each other.
        if self.config.policy == PolicyKind::FlowHash || up().count() < 2 {
            self.reorder_wait = Span::ZERO;
            return;
        }
        let first = up().find_map(|l| l.jitter.transit_us());
        let (mut least, mut most, mut jitter, mut patience) = (0_i32, 0_i32, Span::ZERO, Span::ZERO);
        for link in up() {
            if let (Some(first), Some(transit)) = (first, link.jitter.transit_us()) {
                let difference = transit.wrapping_sub(first) as i32;
                least = least.min(difference);
                most = most.max(difference);
            }
            jitter = jitter.max(link.jitter.jitter());
            patience = patience.max(link.report_timeout());
        }
        let skew = Span::from_micros(u64::from(most.wrapping_sub(least).unsigned_abs()));
        let wait = (skew.times(3).divided_by(2) + jitter.times(4)) + patience;
        self.reorder_wait = wait.clamp(Span::from_millis(5), MAX_WAIT);
    }

    fn pass_on(&mut self, env: &mut Env, serial: u32, (item, bytes): Released) {
        match item {
            Item::Frame(checksum) => self.deliver(env, bytes, checksum),
            Item::Fragment => self.assemble(env, serial, None, &bytes),
            Item::Nothing => {}
        }
    }

    fn deliver(&mut self, env: &mut Env, frame: Box<[u8]>, checksum: Checksum) {
        self.rx.count(frame.len());
        env.delivered.push((frame, checksum));
    }

    /// Adds a fragment to its whole. A complete frame is delivered, a complete datagram received.
    fn assemble(&mut self, env: &mut Env, serial: u32, link: Option<LinkId>, plaintext: &[u8]) {
        let Ok((header, piece)) = FragmentHeader::parse(plaintext, env.max_frame) else {
            return;
        };
        let drops = &mut env.status.drops;
        let whole =
            self.reassembler
                .make()
                .insert(env.now, serial, &header, piece, &mut env.reassembly, drops);
        self.pieces.joined += u64::from(whole.is_some());
        match (whole, header.kind) {
            (None, _) => {}
            (Some(frame), FragmentKind::Frame) => {
                self.deliver(env, frame.into_boxed_slice(), Checksum::Complete);
            }
            (Some(mut datagram), FragmentKind::Datagram) => self.receive_inner(env, link, &mut datagram),
        }
    }

    /// A datagram that had been split because its link carries less than the one it was made for.
    fn receive_inner(&mut self, env: &mut Env, link: Option<LinkId>, datagram: &mut [u8]) {
        let header = match classify(datagram) {
            Ok(MessageType::Data | MessageType::Frag) => TransportHeader::parse(datagram),
            Ok(_) => Err(DropReason::FragmentRefused),
            Err(reason) => Err(reason),
        };
        match header {
            Err(reason) => env.drop(reason),
            Ok(header) => {
                let frame = self
                    .receive_sealed(env, &header, link, datagram, true)
                    .map(Box::from);
                if let Some(frame) = frame {
                    // What was held back for its sake is behind it.
                    env.delivered.insert(0, (frame, Checksum::of(header.partial)));
                }
            }
        }
    }
}
