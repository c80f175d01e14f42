//! A session: the keys of both directions, and every counter that belongs to them.
//!
//! Data counters are per session, not per link: the same bytes may leave on any link, on all, or again. So
//! the replay window is at the same time the filter for copies. Control counters are per link, and the link
//! is part of the nonce: a control datagram cannot be moved to another link.

use alloc::vec::Vec;

use crate::{
    crypto::aead::{OpenKey, SealKey},
    drop_reason::DropReason,
    handshake::message::{NewSession, Role, Suite},
    ids::{LinkId, LinkSet, ReceiverIndex},
    replay_window::{CtrlWindow, MAX_BITS, ReplayWindow},
    time::{Span, Time},
    wire::{
        fragment_header::FragmentHeader,
        header::{HEADER_LEN, MessageType, TAG_LEN, TransportHeader},
    },
};

/// The initiator begins a new handshake at this age, less up to [`REKEY_JITTER`], as in `WireGuard`.
pub const REKEY_AFTER: Span = Span::from_secs(120);
/// Peers that came up together do not rekey together.
pub const REKEY_JITTER: Span = Span::from_secs(12);
/// The responder begins one if the initiator has not by this age.
pub const REKEY_AFTER_RESPONDER: Span = Span::from_secs(150);
/// No datagram is sealed or opened with a session older than this.
pub const REJECT_AFTER: Span = Span::from_secs(180);

/// Datagrams in one counter space after which a new session is wanted.
const REKEY_AFTER_DATAGRAMS: u32 = 1 << 31;
/// Datagrams in one counter space at which sealing stops: a counter never wraps.
const STOP_AT_DATAGRAMS: u32 = u32::MAX - (1 << 14);
/// AES-GCM: 16-byte blocks under one key after which a new session is wanted, and at which sealing stops
/// (RFC 9001 appendix B: 2^35 keeps an attacker's advantage below 2^-57).
const REKEY_AFTER_BLOCKS: u64 = 1 << 34;
const STOP_AT_BLOCKS: u64 = 1 << 35;

/// A session with a peer.
#[derive(Debug)]
pub struct Session {
    /// Which side we were in the handshake.
    pub role: Role,
    /// The AEAD.
    pub suite: Suite,
    /// Wire version.
    pub version: u8,
    /// The process at the other end.
    pub peer_instance: u64,
    /// Local serial number: later sessions are greater.
    pub serial: u32,
    /// Names this session in what we receive.
    pub our_index: ReceiverIndex,
    /// When it was made, in real time.
    pub established: Time,
    /// When this side begins the next handshake, in real time.
    pub rekey_at: Time,
    /// The peer wants heartbeats no closer together than this.
    pub heartbeats_apart: Span,
    /// The peer has proven that it has the keys.
    pub confirmed: bool,
    /// Links over which data came that is not reported yet.
    pub unreported: LinkSet,
    /// Links of the last two reports: they are reported again, so that a link on which nothing arrives any
    /// more is seen to stand still.
    reported: [LinkSet; 2],
    /// Frames may go out, and come, with partial checksums.
    pub partial_checksums: bool,
    their_index: ReceiverIndex,
    lanes: u8,
    seal: SealKey,
    open: OpenKey,
    next_data: u32,
    wholes: u32,
    blocks: u64,
    data_window: ReplayWindow,
    /// By link, as far as links have been used: most peers have one or two.
    lines: Vec<Line>,
    failed_opens: u64,
}

/// What belongs to one link.
#[derive(Debug, Default)]
struct Line {
    next_ctrl: u32,
    ctrl_window: CtrlWindow,
    /// When data came over it last, in judged time.
    proven: Option<Time>,
    /// The highest data counter that has come over it, if any has.
    highest: u32,
}

impl Line {
    fn newest(&self) -> Option<u32> {
        self.proven.map(|_| self.highest)
    }
}

/// What became of a data datagram.
#[derive(Debug)]
pub enum Data<'a> {
    /// Seen for the first time: its plaintext, a frame or a piece of one.
    Fresh(&'a mut [u8]),
    /// A copy; authentic, and the newest that came over its link.
    FreshCopy,
    /// Dropped.
    Drop(DropReason),
}

impl Session {
    /// By which index the peer knows it.
    pub const fn their_index(&self) -> ReceiverIndex {
        self.their_index
    }

    /// The session that the handshake has agreed on. `jitter` is subtracted from the age at which an
    /// initiator rekeys.
    pub fn new(new: &NewSession, serial: u32, real: Time, jitter: Span) -> Self {
        let rekey_after = match new.role {
            Role::Initiator => REKEY_AFTER - jitter,
            Role::Responder => REKEY_AFTER_RESPONDER - jitter,
        };
        Self {
            role: new.role,
            suite: new.suite,
            version: new.version,
            peer_instance: new.peer_instance,
            serial,
            our_index: new.our_index,
            established: real,
            rekey_at: real + rekey_after,
            heartbeats_apart: Span::from_millis(new.hb_min_ms.into()),
            confirmed: new.role == Role::Initiator,
            unreported: LinkSet::EMPTY,
            reported: [LinkSet::EMPTY; 2],
            partial_checksums: new.partial_checksums,
            their_index: new.their_index,
            lanes: new.lanes,
            seal: SealKey::new(new.suite, &new.send),
            open: OpenKey::new(new.suite, &new.receive),
            next_data: 0,
            wholes: 0,
            blocks: 0,
            data_window: ReplayWindow::new(),
            lines: Vec::new(),
            failed_opens: 0,
        }
    }

    /// Whether it may still be used.
    pub fn is_alive(&self, real: Time) -> bool {
        real.since(self.established) < REJECT_AFTER
    }

    /// Whether its time or use is up and a successor is wanted.
    pub fn wants_rekey(&self, real: Time) -> bool {
        real >= self.rekey_at
            || self.next_data >= REKEY_AFTER_DATAGRAMS
            || self.suite == Suite::Aes256Gcm && self.blocks >= REKEY_AFTER_BLOCKS
            || self.failed_opens >= self.failed_open_limit().0
    }

    /// Whether forgery attempts have used up the integrity limit: it must be closed.
    pub fn is_spent(&self) -> bool {
        self.failed_opens >= self.failed_open_limit().1
    }

    /// Seals a frame of `len` bytes, which `write` appends, onto the end of `arena`. `partial`: its checksum is left to
    /// do. Returns its counter, or why it cannot.
    pub fn seal_data(
        &mut self,
        len: usize,
        partial: bool,
        arena: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<u32, DropReason> {
        self.seal_next(MessageType::Data, len, partial, arena, write)
    }

    /// Seals a piece of something longer onto the end of `arena`. Returns its counter, or why it cannot.
    pub fn seal_fragment(
        &mut self,
        header: &FragmentHeader,
        piece: &[u8],
        arena: &mut Vec<u8>,
    ) -> Result<u32, DropReason> {
        let header = header.emit();
        let len = header.len() + piece.len();
        self.seal_next(MessageType::Frag, len, false, arena, |out| {
            out.extend_from_slice(&header);
            out.extend_from_slice(piece);
        })
    }

    /// A number for something that is split, different from those before it.
    pub fn next_whole(&mut self) -> u32 {
        self.wholes = self.wholes.wrapping_add(1);
        self.wholes
    }

    fn seal_next(
        &mut self,
        kind: MessageType,
        len: usize,
        partial: bool,
        arena: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<u32, DropReason> {
        let counter = self.next_data;
        self.charge(counter, len)?;
        self.next_data = counter.wrapping_add(1);
        self.seal.keep_expanded();
        let header = TransportHeader {
            kind,
            space: 0,
            partial,
            receiver: self.their_index,
            counter,
        };
        self.seal(&header, arena, write);
        Ok(counter)
    }

    /// Seals control records, written by `write`, onto the end of `arena`.
    pub fn seal_ctrl(
        &mut self,
        link: LinkId,
        arena: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), DropReason> {
        let next = &mut self.line_mut(link).next_ctrl;
        let counter = *next;
        *next = counter.wrapping_add(1);
        self.charge(counter, 64)?;
        let header = TransportHeader {
            kind: MessageType::Ctrl,
            space: link.get(),
            partial: false,
            receiver: self.their_index,
            counter,
        };
        self.seal(&header, arena, write);
        Ok(())
    }

    /// Opens a DATA or FRAG that came over `link` (if it came from a known address), at judged time `now`.
    ///
    /// A copy of what was seen is dropped without decrypting it, unless it is the first word of its link for
    /// `evidence_after`: then it is opened, because only what is authentic may count as proof that a link works.
    pub fn open_data<'a>(
        &mut self,
        header: &TransportHeader,
        link: Option<LinkId>,
        now: Time,
        evidence_after: Span,
        datagram: &'a mut [u8],
    ) -> Data<'a> {
        if header.space >= self.lanes {
            return Data::Drop(DropReason::LaneInvalid);
        }
        if header.partial && !self.partial_checksums {
            return Data::Drop(DropReason::WireReserved);
        }
        if let Err(reason) = self.data_window.check(header.counter) {
            let evidence = link.is_some_and(|l| self.is_evidence(l, header.counter, now, evidence_after));
            let too_small = reason == DropReason::LateDrop && self.data_window.bits() < MAX_BITS;
            if !(evidence || too_small) || self.open(header, datagram).is_none() {
                return Data::Drop(reason);
            }
            if too_small {
                // Links differ by more than the window spans. What it has forgotten stays refused.
                self.data_window.grow();
                return Data::Drop(reason);
            }
            self.note_arrival(link, header.counter, now);
            return Data::FreshCopy;
        }
        let Some(frame) = self.open(header, datagram) else {
            return Data::Drop(DropReason::AeadOpen);
        };
        // Not before it is known to be the peer's: others can make us receive, too.
        self.open.keep_expanded();
        if let Err(reason) = self.data_window.commit(header.counter) {
            return Data::Drop(reason);
        }
        self.note_arrival(link, header.counter, now);
        Data::Fresh(frame)
    }

    /// Opens a control datagram. Also tells whether its counter is the highest of its link so far. The counter is used
    /// up by [`Session::accept_ctrl`] only.
    pub fn open_ctrl<'a>(
        &mut self,
        header: &TransportHeader,
        datagram: &'a mut [u8],
    ) -> Result<(&'a mut [u8], bool), DropReason> {
        let link = LinkId::new(header.space).ok_or(DropReason::LinkUnknown)?;
        let mut newest = true;
        if let Some(Line { ctrl_window, .. }) = self.line(link) {
            ctrl_window.check(header.counter)?;
            newest = ctrl_window.highest().is_none_or(|h| header.counter > h);
        }
        let plaintext = self.open(header, datagram).ok_or(DropReason::AeadOpen)?;
        Ok((plaintext, newest))
    }

    /// A control datagram that was opened came from where its link leads: no copy of it is opened again.
    pub fn accept_ctrl(&mut self, header: &TransportHeader) {
        if let Some(link) = LinkId::new(header.space) {
            // It was checked before it was opened.
            let _ = self.line_mut(link).ctrl_window.commit(header.counter);
        }
    }

    /// The highest data counter that came over `link`, and which of the 64 before it came over any link.
    pub fn arrived(&self, link: LinkId) -> (Option<u32>, u64) {
        let highest = self.newest(link);
        (highest, highest.map_or(0, |h| self.data_window.bitmap64_below(h)))
    }

    /// The highest data counter that arrived over `link`.
    pub fn newest(&self, link: LinkId) -> Option<u32> {
        self.line(link).and_then(Line::newest)
    }

    /// The links to report now; they count as reported.
    pub fn take_unreported(&mut self) -> LinkSet {
        let due = core::mem::replace(&mut self.unreported, LinkSet::EMPTY);
        let [last, before] = self.reported;
        self.reported = [due, last];
        due.union(last).union(before)
    }

    /// Gives up the data counters below `next`, as if they had been used.
    pub fn skip_data_counters(&mut self, next: u32) {
        self.next_data = self.next_data.max(next);
    }

    /// Whether `counter` has been given to a datagram.
    pub const fn has_sent(&self, counter: u32) -> bool {
        counter < self.next_data
    }

    /// What was sealed into `datagram`, a DATA or FRAG of this session that we have kept ourselves: its header and its
    /// plaintext. Both suites add a stream of key bytes to the plaintext, so adding it once more takes it away again. That
    /// the bytes are our own is taken for granted: there is no tag to look at, and nothing of it may leave.
    pub fn unseal_own<'a>(&self, datagram: &'a mut [u8]) -> Option<(TransportHeader, &'a mut [u8])> {
        let header = TransportHeader::parse(datagram).ok()?;
        let end = datagram.len().checked_sub(TAG_LEN)?;
        let (aad, text) = datagram.get_mut(..end)?.split_at_mut_checked(HEADER_LEN)?;
        let _tag = self.seal.seal(header.nonce_space(), header.counter, aad, text);
        Some((header, text))
    }

    fn charge(&mut self, counter: u32, len: usize) -> Result<(), DropReason> {
        let blocks = self.blocks.saturating_add(len as u64 / 16 + 2);
        if counter >= STOP_AT_DATAGRAMS || self.suite == Suite::Aes256Gcm && blocks >= STOP_AT_BLOCKS {
            return Err(DropReason::SessionExpired);
        }
        self.blocks = blocks;
        Ok(())
    }

    fn seal(&self, header: &TransportHeader, arena: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let aad = header.emit();
        arena.extend_from_slice(&aad);
        let start = arena.len();
        write(arena);
        let plaintext = arena.get_mut(start..).unwrap_or_default();
        let tag = self
            .seal
            .seal(header.nonce_space(), header.counter, &aad, plaintext);
        arena.extend_from_slice(&tag);
    }

    fn open<'a>(&mut self, header: &TransportHeader, datagram: &'a mut [u8]) -> Option<&'a mut [u8]> {
        debug_assert!(datagram.len() >= HEADER_LEN + TAG_LEN);
        let (aad, sealed) = datagram.split_at_mut_checked(HEADER_LEN)?;
        let opened = self.open.open(header.nonce_space(), header.counter, aad, sealed);
        if opened.is_none() {
            self.failed_opens = self.failed_opens.saturating_add(1);
        }
        opened
    }

    fn is_evidence(&self, link: LinkId, counter: u32, now: Time, after: Span) -> bool {
        let later = |line: &Line| {
            line.proven
                .is_none_or(|proven| counter > line.highest && now.since(proven) >= after)
        };
        self.line(link).is_none_or(later) && self.has_window(counter)
    }

    /// Whether the window still reaches back to `counter`: older copies prove nothing.
    fn has_window(&self, counter: u32) -> bool {
        self.data_window
            .highest()
            .is_some_and(|h| h.saturating_sub(counter) < self.data_window.bits())
    }

    fn note_arrival(&mut self, link: Option<LinkId>, counter: u32, now: Time) {
        let Some(link) = link else { return };
        let line = self.line_mut(link);
        line.highest = line.newest().map_or(counter, |h| h.max(counter));
        line.proven = Some(now);
        self.unreported = self.unreported.with(link);
    }

    fn line(&self, link: LinkId) -> Option<&Line> {
        self.lines.get(link.index())
    }

    fn line_mut(&mut self, link: LinkId) -> &mut Line {
        let index = link.index();
        if index >= self.lines.len() {
            self.lines.reserve_exact(index + 1 - self.lines.len());
            self.lines.resize_with(index + 1, Line::default);
        }
        &mut self.lines[index]
    }

    /// Failed opens after which we rekey, and after which we close (RFC 9001 section 6.6 and appendix B).
    const fn failed_open_limit(&self) -> (u64, u64) {
        match self.suite {
            Suite::Aes256Gcm => (1 << 40, 1 << 52),
            Suite::ChaCha20Poly1305 => (1 << 30, 1 << 36),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        crypto::Secret,
        handshake::message::DirectionKey,
        ids::{PeerId, SocketId},
        path::Path,
        wire::fragment_header::FragmentKind,
    };

    const NOW: Time = Time::from_nanos(1_000_000_000);

    /// Both ends of a session.
    fn pair(suite: Suite) -> (Session, Session) {
        let key = |n: u8| DirectionKey {
            key: Secret::from(&[n; 32]),
            iv: [n; 12],
        };
        let path = Path {
            socket: SocketId(0),
            local: None,
            remote: ([192, 0, 2, 1], 7700).into(),
        };
        let new = |role, ours, theirs, send, receive| NewSession {
            peer: PeerId(0),
            role,
            their_index: ReceiverIndex(theirs),
            our_index: ReceiverIndex(ours),
            suite,
            lanes: 1,
            partial_checksums: false,
            version: 1,
            peer_instance: 7,
            send: key(send),
            receive: key(receive),
            path,
            proven: false,
            hb_min_ms: 0,
            observed: None,
            reply: None,
        };
        let a = new(Role::Initiator, 1, 2, 3, 4);
        let b = new(Role::Responder, 2, 1, 4, 3);
        (
            Session::new(&a, 1, NOW, Span::ZERO),
            Session::new(&b, 1, NOW, Span::ZERO),
        )
    }

    fn link(n: u8) -> LinkId {
        LinkId::new(n).expect("a link id")
    }

    fn sealed(session: &mut Session, frame: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        session
            .seal_data(frame.len(), false, &mut out, |out| out.extend_from_slice(frame))
            .expect("the session is fresh");
        out
    }

    fn opened(
        session: &mut Session,
        over: Option<LinkId>,
        now: Time,
        datagram: &[u8],
    ) -> Result<usize, DropReason> {
        let mut bytes = datagram.to_vec();
        let header = TransportHeader::parse(&bytes).expect("a header");
        match session.open_data(&header, over, now, Span::from_millis(2), &mut bytes) {
            Data::Fresh(frame) => Ok(frame.len()),
            Data::FreshCopy => Ok(0),
            Data::Drop(reason) => Err(reason),
        }
    }

    #[test]
    fn a_frame_arrives_once_whatever_links_it_takes() {
        for suite in [Suite::ChaCha20Poly1305, Suite::Aes256Gcm] {
            let (mut a, mut b) = pair(suite);
            let datagram = sealed(&mut a, &[9; 60]);
            assert_eq!(opened(&mut b, Some(link(0)), NOW, &datagram), Ok(60));
            // The copy over another link is that link's first word, and is opened as evidence; the next is not.
            assert_eq!(opened(&mut b, Some(link(1)), NOW, &datagram), Ok(0));
            assert_eq!(
                opened(&mut b, Some(link(1)), NOW, &datagram),
                Err(DropReason::Replay)
            );
            assert_eq!(opened(&mut b, None, NOW, &datagram), Err(DropReason::Replay));
            assert_eq!(b.arrived(link(0)), (Some(0), 0));
            assert_eq!(b.arrived(link(1)), (Some(0), 0));
        }
    }

    #[test]
    fn partial_checksums_are_agreed_on() {
        let (mut a, mut b) = pair(Suite::ChaCha20Poly1305);
        let mut out = Vec::new();
        for (agreed, fate, of_a_forgery) in [
            (false, Err(DropReason::WireReserved), DropReason::AeadOpen),
            (true, Ok(20), DropReason::Replay),
        ] {
            b.partial_checksums = agreed;
            out.clear();
            a.seal_data(20, true, &mut out, |out| out.extend_from_slice(&[7; 20]))
                .expect("the session is fresh");
            assert_eq!(opened(&mut b, Some(link(0)), NOW, &out), fate);
            // It is the sender who has said so.
            if let Some(hints) = out.get_mut(2) {
                *hints = 0;
            }
            assert_eq!(opened(&mut b, Some(link(0)), NOW, &out), Err(of_a_forgery));
        }
    }

    #[test]
    fn a_forged_copy_is_no_evidence() {
        let (mut a, mut b) = pair(Suite::Aes256Gcm);
        let mut datagram = sealed(&mut a, &[9; 60]);
        assert_eq!(opened(&mut b, Some(link(0)), NOW, &datagram), Ok(60));
        *datagram.last_mut().expect("a tag") ^= 1;
        assert_eq!(
            opened(&mut b, Some(link(1)), NOW, &datagram),
            Err(DropReason::Replay)
        );
        assert_eq!(b.arrived(link(1)), (None, 0));
        let mut next = sealed(&mut a, &[9; 60]);
        next[20] ^= 1;
        assert_eq!(
            opened(&mut b, Some(link(0)), NOW, &next),
            Err(DropReason::AeadOpen)
        );
        next[20] ^= 1;
        assert_eq!(
            opened(&mut b, Some(link(0)), NOW, &next),
            Ok(60),
            "the forgery has not used up the counter"
        );
    }

    #[test]
    fn control_is_bound_to_its_link_and_opens_once() {
        let (mut a, mut b) = pair(Suite::ChaCha20Poly1305);
        let mut datagram = Vec::new();
        a.seal_ctrl(link(3), &mut datagram, |out| out.extend_from_slice(&[1, 2, 3]))
            .expect("fresh");
        let mut moved = datagram.clone();
        moved[1] = 4;
        let header = TransportHeader::parse(&moved).expect("a header");
        assert_eq!(b.open_ctrl(&header, &mut moved).err(), Some(DropReason::AeadOpen));
        let header = TransportHeader::parse(&datagram).expect("a header");
        let mut first = datagram.clone();
        let (plaintext, newest) = b.open_ctrl(&header, &mut first).expect("genuine");
        assert_eq!((&*plaintext, newest), (&[1, 2, 3][..], true));
        let mut again = datagram.clone();
        assert!(
            b.open_ctrl(&header, &mut again).is_ok(),
            "who only copied it has not used it up"
        );
        b.accept_ctrl(&header);
        assert_eq!(
            b.open_ctrl(&header, &mut datagram).err(),
            Some(DropReason::Replay)
        );
    }

    #[test]
    fn sealing_stops_before_a_counter_wraps_and_before_a_key_is_worn_out() {
        let (mut a, _) = pair(Suite::Aes256Gcm);
        a.next_data = u32::MAX - 16_384 - 1;
        assert!(a.wants_rekey(NOW));
        assert!(
            a.seal_data(60, false, &mut Vec::new(), |out| out.extend_from_slice(&[0; 60]))
                .is_ok()
        );
        assert_eq!(
            a.seal_data(60, false, &mut Vec::new(), |out| out.extend_from_slice(&[0; 60])),
            Err(DropReason::SessionExpired)
        );
        let (mut a, _) = pair(Suite::Aes256Gcm);
        assert!(!a.wants_rekey(NOW));
        a.blocks = REKEY_AFTER_BLOCKS;
        assert!(a.wants_rekey(NOW));
        a.blocks = STOP_AT_BLOCKS - 2;
        assert_eq!(
            a.seal_data(60, false, &mut Vec::new(), |out| out.extend_from_slice(&[0; 60])),
            Err(DropReason::SessionExpired)
        );
        assert!(a.is_alive(NOW + Span::from_secs(179)) && !a.is_alive(NOW + REJECT_AFTER));
    }

    #[test]
    fn forgeries_wear_a_session_out() {
        for suite in [Suite::ChaCha20Poly1305, Suite::Aes256Gcm] {
            let (mut a, _) = pair(suite);
            let (rekey, close) = a.failed_open_limit();
            for (failed, expected) in [
                (rekey - 1, (false, false)),
                (rekey, (true, false)),
                (close - 1, (true, false)),
                (close, (true, true)),
            ] {
                a.failed_opens = failed;
                assert_eq!((a.wants_rekey(NOW), a.is_spent()), expected, "{failed} forgeries");
            }
        }
    }

    #[test]
    fn a_piece_is_sealed_behind_its_header() {
        let (mut a, mut b) = pair(Suite::Aes256Gcm);
        let ids = [a.next_whole(), a.next_whole(), a.next_whole()];
        assert_eq!(HashSet::from(ids).len(), 3, "each whole has a number of its own");
        sealed(&mut a, &[9; 60]);
        assert_eq!(a.blocks, 60 / 16 + 2);
        let piece = FragmentHeader {
            kind: FragmentKind::Frame,
            total: 1_000,
            offset: 0,
            id: ids[1],
        };
        let mut out = Vec::new();
        assert_eq!(a.seal_fragment(&piece, &[7; 500], &mut out), Ok(1));
        assert_eq!(a.blocks, 60 / 16 + 2 + 512 / 16 + 2);
        let header = TransportHeader::parse(&out).expect("a header");
        assert_eq!((header.kind, header.counter), (MessageType::Frag, 1));
        let Data::Fresh(plaintext) = b.open_data(&header, None, NOW, Span::ZERO, &mut out) else {
            panic!("it is new");
        };
        assert_eq!(*plaintext, [&piece.emit()[..], &[7; 500]].concat());
    }

    #[test]
    fn what_comes_too_late_widens_the_window_until_it_is_as_wide_as_can_be() {
        let (mut a, mut b) = pair(Suite::ChaCha20Poly1305);
        let mut early = sealed(&mut a, &[9; 60]);
        a.skip_data_counters(100_000);
        let ahead = sealed(&mut a, &[9; 60]);
        assert_eq!(opened(&mut b, None, NOW, &ahead), Ok(60));
        for bits in [4_096, 8_192, 16_384, 32_768, 65_536] {
            assert_eq!(opened(&mut b, None, NOW, &early), Err(DropReason::LateDrop));
            assert_eq!(b.data_window.bits(), bits);
        }
        *early.last_mut().expect("a tag") ^= 1;
        assert_eq!(opened(&mut b, None, NOW, &early), Err(DropReason::LateDrop));
        assert_eq!(b.failed_opens, 0, "it is not even opened");
    }

    #[test]
    fn a_control_datagram_that_was_overtaken_is_not_the_newest() {
        let (mut a, mut b) = pair(Suite::ChaCha20Poly1305);
        let mut sent = [(); 3].map(|()| {
            let mut datagram = Vec::new();
            a.seal_ctrl(link(0), &mut datagram, |out| out.extend_from_slice(&[1, 2, 3]))
                .expect("fresh");
            datagram
        });
        for (n, expected) in [(0, true), (2, true), (1, false)] {
            let header = TransportHeader::parse(&sent[n]).expect("a header");
            let (_, newest) = b.open_ctrl(&header, &mut sent[n]).expect("genuine");
            assert_eq!(newest, expected, "number {n}");
            b.accept_ctrl(&header);
        }
    }

    proptest! {
        /// P4: whatever is sealed, in whatever order, no (space, counter) is used twice under one key.
        #[test]
        fn no_nonce_is_used_twice(ops in proptest::collection::vec(0..9_u8, 1..2_000)) {
            let (mut a, _) = pair(Suite::Aes256Gcm);
            let mut nonces = HashSet::new();
            for op in ops {
                let mut out = vec![];
                match LinkId::new(op) {
                    Some(link) => a.seal_ctrl(link, &mut out, |o| o.extend_from_slice(&[0, 0])).expect("fresh"),
                    None => drop(a.seal_data(14, false, &mut out, |out| out.extend_from_slice(&[0; 14]))),
                }
                let header = TransportHeader::parse(&out).expect("a header");
                prop_assert!(nonces.insert((header.nonce_space(), header.counter)), "{:?}", header);
            }
        }

        /// Each frame is delivered exactly once, for any order and any copies over any links.
        #[test]
        fn every_frame_is_delivered_exactly_once(order in proptest::collection::vec((0..200_usize, 0..8_u8), 0..600)) {
            let (mut a, mut b) = pair(Suite::ChaCha20Poly1305);
            let sent: Vec<Vec<u8>> = (0..200).map(|_| sealed(&mut a, &[1; 14])).collect();
            let mut seen = HashSet::new();
            for (i, (n, over)) in order.iter().enumerate() {
                let now = NOW + Span::from_micros(i as u64 * 700);
                let first = opened(&mut b, LinkId::new(*over), now, &sent[*n]) == Ok(14);
                prop_assert_eq!(first, seen.insert(*n));
            }
        }
    }
}
