//! What the fuzzer and the replay of its corpus run: one function per parser or state machine.
//!
//! Each takes any bytes and panics only if the code under test is wrong: it compares with rules written down a
//! second time, or with a model that is too plain to be wrong. `fuzz/` feeds them with libFuzzer;
//! `tests/fuzz_replay.rs` feeds them with `corpus/<name>/` and damaged copies of it.

mod first_hop;
mod hostile;
mod management;
mod multicast;
mod reassembly;
mod super_frame;
mod tap_frame;
mod vlan;

use std::collections::{BTreeMap, BTreeSet};

use knet_proto::{
    drop_reason::DropReason,
    ids::{MacAddr, PeerId},
    l2::{
        bridge::{Bridge, Decision},
        loop_guard::PROBE_ADDRESS,
        mac_table::MacTable,
    },
    offload::Frame,
    replay_window::{CTRL_BITS, CtrlWindow, INITIAL_BITS, MAX_BITS, ReplayWindow},
    status::Port,
    time::{Span, Time},
    timer_wheel::{TICK, TimerId, TimerWheel},
    wire::{
        control_record::{self, MAX_RECORDS, Record, RecordWriter},
        ethernet::EthernetFrame,
        fragment_header::{FRAGMENT_HEADER_LEN, FragmentHeader, FragmentKind},
        handshake_message::{HsInit, HsResp, InitPayload, RespPayload, SealedReply},
        header::{HEADER_LEN, MessageType, TransportHeader, classify},
    },
};

pub use first_hop::first_hop;
pub use hostile::{handshake, hostile_peer};
pub use management::{authorized_keys, certificate, config_file, control_codec, grammar_line, invitation};
pub use multicast::multicast;
pub use reassembly::reassembly;
pub use super_frame::super_frame;
pub use tap_frame::tap_frame;
pub use vlan::vlan;

/// A function to be fed with any bytes.
pub type Target = fn(&[u8]);

/// Every target under the name of its corpus and of its program in `fuzz/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("wire_header", wire_header),
    ("handshake_message", handshake_message),
    ("control_record", control_record),
    ("fragment_header", fragment_header),
    ("reassembly", reassembly),
    ("bridge", bridge),
    ("replay_window", replay_window),
    ("timer_wheel", timer_wheel),
    ("handshake", handshake),
    ("hostile_peer", hostile_peer),
    ("tap_frame", tap_frame),
    ("super_frame", super_frame),
    ("first_hop", first_hop),
    ("vlan", vlan),
    ("multicast", multicast),
    ("grammar_line", grammar_line),
    ("config_file", config_file),
    ("control_codec", control_codec),
    ("authorized_keys", authorized_keys),
    ("certificate", certificate),
    ("invitation", invitation),
];

/// The demultiplexer and the transport header, against the table of the protocol.
pub fn wire_header(bytes: &[u8]) {
    let expected = match (bytes.first(), bytes.len()) {
        (Some(1), 184)
        | (Some(8), 185..=696)
        | (Some(2), 132)
        | (Some(3 | 7), 64)
        | (Some(4), 42..=65_563)
        | (Some(5), 30..=65_563)
        | (Some(6), 41..=65_563) => Ok(()),
        (Some(1..=8), _) => Err(DropReason::WireLength),
        _ => Err(DropReason::WireType),
    };
    assert_eq!(classify(bytes).map(|_| ()), expected);
    let has_sound_hints = |bytes: &[u8]| bytes[3] == 0 && bytes[2] <= u8::from(bytes[0] == 4);
    match TransportHeader::parse(bytes) {
        Ok(header) => {
            assert_eq!(
                header.emit()[..],
                bytes[..HEADER_LEN],
                "one meaning, one encoding"
            );
            assert!(has_sound_hints(bytes));
            assert_eq!(header.partial, bytes[2] == 1);
            match header.kind {
                MessageType::Ctrl => assert!(bytes[1] < 8 && header.nonce_space() == 0x80 + bytes[1]),
                MessageType::Data | MessageType::Frag => {
                    assert!(bytes[1] < 16 && header.nonce_space() == bytes[1]);
                }
                other => panic!("{other:?} has no transport header"),
            }
        }
        Err(reason) => {
            let sound = expected.is_ok()
                && (4..=6).contains(&bytes[0])
                && bytes[1] < if bytes[0] == 5 { 8 } else { 16 }
                && has_sound_hints(bytes);
            assert!(!sound, "refused as {reason:?}");
        }
    }
}

/// The handshake messages and their payloads: what is read is emitted again byte for byte.
pub fn handshake_message(bytes: &[u8]) {
    if let Ok(view) = HsInit::parse(bytes) {
        assert_eq!(view.emit()[..], *bytes);
    }
    if let Ok(view) = HsResp::parse(bytes) {
        assert_eq!(view.emit()[..], *bytes);
    }
    for kind in [MessageType::Cookie, MessageType::Retry] {
        if let Ok(view) = SealedReply::parse(bytes, kind) {
            assert_eq!(view.emit()[..], *bytes);
            assert_eq!(bytes[0], kind as u8);
        }
    }
    if let Ok(payload) = InitPayload::parse(bytes) {
        assert_eq!(payload.emit()[..], *bytes);
    }
    if let Ok(payload) = RespPayload::parse(bytes) {
        assert_eq!(payload.emit()[..], *bytes);
    }
}

/// Control records: what is accepted can be written again, with the same bytes but for what was skipped.
pub fn control_record(plaintext: &[u8]) {
    let Ok(records) = control_record::parse(plaintext) else {
        return;
    };
    let records: Vec<Record> = records.collect();
    assert!(!plaintext.is_empty() && records.len() <= MAX_RECORDS);

    let mut written = Vec::new();
    let mut writer = RecordWriter::new(&mut written);
    for record in &records {
        // A probe's size counts the records that are skipped; without them it would not be true.
        let Record::PmtuProbe { size, .. } = *record else {
            assert!(
                writer.push(record),
                "{record:?} was accepted and cannot be written"
            );
            continue;
        };
        assert_eq!(usize::from(size), plaintext.len() + 28);
        return;
    }
    assert!(written.len() <= plaintext.len());
    if written.len() == plaintext.len() {
        assert_eq!(written, plaintext, "one meaning, one encoding");
    } else if !records.is_empty() {
        let again = control_record::parse(&written).map(Iterator::collect);
        assert_eq!(again, Ok(records));
    }
}

/// The fragment header, against its rules written as a table. The first two bytes are the largest frame.
pub fn fragment_header(bytes: &[u8]) {
    let Some((max_frame, plaintext)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let max_frame = u16::from_le_bytes(*max_frame);
    let parsed = FragmentHeader::parse(plaintext, max_frame);
    if plaintext.len() <= FRAGMENT_HEADER_LEN {
        assert!(parsed.is_err());
        return;
    }
    let number = |at: usize| usize::from(u16::from_le_bytes([plaintext[at], plaintext[at + 1]]));
    let (total, offset, len) = (number(2), number(4), plaintext.len() - FRAGMENT_HEADER_LEN);
    let (shortest, longest) = match plaintext[0] {
        0 => (14, usize::from(max_frame)),
        1 => (42, (usize::from(max_frame) + 28).min(65_535)),
        _ => (1, 0),
    };
    let sound = plaintext[1] == 0
        && plaintext[6..8] == [0, 0]
        && (shortest..=longest).contains(&total)
        && offset + len <= total
        && (len >= 400 || offset + len == total);
    assert_eq!(parsed.is_ok(), sound);
    if let Ok((header, piece)) = parsed {
        assert_eq!(header.emit()[..], plaintext[..FRAGMENT_HEADER_LEN]);
        assert_eq!(piece, &plaintext[FRAGMENT_HEADER_LEN..]);
        assert_eq!(header.kind == FragmentKind::Datagram, plaintext[0] == 1);
    }
}

/// The Ethernet view and the bridge: frames and reconfigurations of six peers, and the rules that hold
/// whatever was learned.
pub fn bridge(bytes: &[u8]) {
    const PEERS: u16 = 6;
    const CAPACITY: usize = 24;
    const PER_PEER: usize = 6;
    let mut input = Input(bytes);
    let ageing = Span::from_secs(30);
    let mut bridge = Bridge::with_table(MacTable::with_capacity([7, 8], ageing, CAPACITY, PER_PEER));
    let mut peers = BTreeMap::new();
    let mut now = Time::ZERO;
    while let Some(op) = input.byte() {
        let peer = PeerId(u16::from(input.byte().unwrap_or(0)) % PEERS);
        match op % 8 {
            0..=3 => {
                let ingress = if op & 0x80 != 0 {
                    Port::Tap
                } else {
                    Port::Peer(peer)
                };
                let len = usize::from(input.byte().unwrap_or(0)) % 32;
                let frame = input.take(len);
                let count = u32::from(op >> 4);
                let decision = bridge.forward(now, ingress, &Frame::plain(frame));
                check_decision(&bridge, &peers, ingress, frame, decision);
                let wanted = u32::from(op) * 100;
                assert!(bridge.take_copies(now, ingress, wanted, count) <= wanted);
            }
            4 => {
                let isolate = op & 0x80 != 0;
                let macs = [station(input.byte().unwrap_or(0))];
                let count = usize::from(op & 0x40 != 0);
                if bridge.set_port(now, peer, isolate, &macs[..count]).is_ok() {
                    let mesh = op & 0x20 != 0;
                    bridge.set_mesh(peer, mesh);
                    peers.insert(peer, (isolate, mesh));
                }
            }
            5 => {
                bridge.remove_peer(peer);
                peers.remove(&peer);
                assert_eq!(bridge.macs().port_len(Port::Peer(peer)), 0);
            }
            6 => {
                now = now + Span::from_millis(u64::from(input.byte().unwrap_or(0)) * 100);
                bridge.expire(now, 1_000);
                assert!(bridge.next_expiry().is_none_or(|at| at > now));
            }
            _ if op & 0x80 != 0 => bridge.clear_dynamic(),
            _ => bridge.clear_dynamic_on(Port::Peer(peer)),
        }
        let macs = bridge.macs();
        assert!(macs.len() <= CAPACITY && macs.static_len() <= macs.len());
        let ports = (0..PEERS)
            .map(|p| macs.port_len(Port::Peer(PeerId(p))))
            .inspect(|n| assert!(*n <= 2 * PER_PEER));
        assert_eq!(ports.sum::<usize>() + macs.port_len(Port::Tap), macs.len());
        let (page, rest) = macs.page(now, 0, CAPACITY);
        assert_eq!(
            (page.len(), rest),
            (macs.len(), None),
            "the slab is no larger than the table"
        );
        assert!(
            page.iter()
                .all(|entry| macs.lookup(entry.mac) == Some(entry.port))
        );
    }
}

fn station(n: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, n])
}

fn check_decision(
    bridge: &Bridge,
    peers: &BTreeMap<PeerId, (bool, bool)>,
    ingress: Port,
    bytes: &[u8],
    decision: Decision,
) {
    let frame = match EthernetFrame::new(bytes) {
        Ok(frame) => frame,
        Err(reason) => {
            assert_eq!(decision, Decision::Drop(reason));
            assert!(bytes.len() < 14);
            return;
        }
    };
    let (tags, _) = frame.vlan_tags();
    assert!(tags[0].is_some() || tags[1].is_none());
    let may_leave = |egress| match (ingress, egress) {
        (Port::Peer(from), Port::Peer(to)) => match (peers.get(&from), peers.get(&to)) {
            (Some((false, from_mesh)), Some((false, to_mesh))) => from != to && !(*from_mesh && *to_mesh),
            _ => false,
        },
        (Port::Tap, Port::Peer(to)) => peers.contains_key(&to),
        (Port::Peer(from), Port::Tap) => peers.contains_key(&from),
        (Port::Tap, Port::Tap) => false,
    };
    for peer in 0..8 {
        assert_eq!(
            bridge.may_flood_to(ingress, PeerId(peer)),
            may_leave(Port::Peer(PeerId(peer)))
        );
    }
    match decision {
        Decision::Drop(_) => return,
        Decision::Tap => assert!(may_leave(Port::Tap)),
        Decision::Peer(peer) => {
            assert!(may_leave(Port::Peer(peer)));
            assert_eq!(bridge.macs().lookup(frame.dst()), Some(Port::Peer(peer)));
        }
        Decision::Flood => {
            assert_eq!(bridge.macs().lookup(frame.dst()), None);
            assert!(ingress == Port::Tap || may_leave(Port::Tap));
        }
        Decision::Probe => {
            assert_eq!(frame.dst(), PROBE_ADDRESS);
            return;
        }
    }
    assert!(!frame.src().is_group() && !frame.is_reserved_group());
    if let Decision::Peer(_) = decision {
        assert!(!frame.dst().is_group());
    }
    let counters = bridge.counters();
    if counters.table_full == 0 && counters.learn_rate == 0 {
        assert_eq!(
            bridge.macs().lookup(frame.src()),
            Some(ingress),
            "what is forwarded was learned from"
        );
    }
}

/// Both replay windows, against the set of counters seen.
pub fn replay_window(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut lane = ReplayWindow::new();
    let mut link = CtrlWindow::new();
    let mut lane_model = Seen {
        bits: INITIAL_BITS,
        ..Seen::default()
    };
    let mut link_model = Seen {
        bits: CTRL_BITS,
        begins_anywhere: true,
        ..Seen::default()
    };
    while let Some(op) = input.byte() {
        let near = input.number(2) as u32;
        let highest = lane.highest().unwrap_or(0);
        let counter = match op % 8 {
            0..=2 => highest.saturating_sub(near % 80),
            3 => highest.saturating_sub(near),
            4 => highest.saturating_add(near % 80),
            5 => highest.saturating_add(near),
            6 => input.number(4) as u32,
            _ => {
                if lane_model.bits < MAX_BITS {
                    lane_model.grow();
                    assert!(lane.grow());
                } else {
                    assert!(!lane.grow());
                }
                near
            }
        };
        assert_eq!(lane.check(counter), lane_model.check(counter));
        if op & 0x80 != 0 {
            assert_eq!(lane.bitmap64_below(counter), lane_model.bitmap64_below(counter));
            assert_eq!(link.bitmap64_below(counter), link_model.bitmap64_below(counter));
        }
        assert_eq!(lane.commit(counter), lane_model.commit(counter));
        assert_eq!(link.commit(counter), link_model.commit(counter));
        assert!(lane.commit(counter).is_err(), "never twice");
    }
}

#[derive(Default)]
struct Seen {
    counters: BTreeSet<u32>,
    next: u64,
    bits: u32,
    forgotten: u64,
    /// What lies before the first one counts as seen.
    begins_anywhere: bool,
}

impl Seen {
    fn floor(&self) -> u64 {
        self.next.saturating_sub(u64::from(self.bits))
    }

    fn check(&self, counter: u32) -> Result<(), DropReason> {
        if u64::from(counter) < self.floor() {
            Err(DropReason::LateDrop)
        } else if u64::from(counter) < self.forgotten || self.counters.contains(&counter) {
            Err(DropReason::Replay)
        } else {
            Ok(())
        }
    }

    fn commit(&mut self, counter: u32) -> Result<(), DropReason> {
        self.check(counter)?;
        if self.begins_anywhere && self.next == 0 {
            self.forgotten = counter.into();
        }
        self.counters.insert(counter);
        self.next = self.next.max(u64::from(counter) + 1);
        Ok(())
    }

    fn grow(&mut self) {
        self.forgotten = self.forgotten.max(self.floor());
        self.bits *= 2;
    }

    fn bitmap64_below(&self, highest: u32) -> u64 {
        let seen = |counter: &u32| self.check(*counter) == Err(DropReason::Replay);
        (0..64)
            .filter(|i| highest.checked_sub(i + 1).as_ref().is_some_and(seen))
            .map(|i| 1 << i)
            .sum()
    }
}

/// The timer wheel, against a sorted map.
pub fn timer_wheel(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut wheel = TimerWheel::new();
    let mut armed: BTreeMap<u32, (TimerId, Time)> = BTreeMap::new();
    let mut dead: Option<TimerId> = None;
    let mut now = Time::from_nanos(input.number(6));
    let mut next_key = 0;
    while let Some(op) = input.byte() {
        // Up to 2^58 ns, in steps that reach every level.
        let span = Span::from_nanos(input.number(2) << ((op >> 3) % 43));
        let chosen = armed
            .keys()
            .nth(usize::from(op >> 3) % armed.len().max(1))
            .copied();
        match (op % 8, chosen) {
            (0 | 1, _) => {
                armed.insert(next_key, (wheel.insert(now + span, next_key), now + span));
                next_key += 1;
            }
            (2, _) => {
                armed.insert(next_key, (wheel.insert(now - span, next_key), now - span));
                next_key += 1;
            }
            (3, Some(key)) => {
                let (id, at) = armed.get_mut(&key).expect("chosen from the map");
                *at = now + span;
                assert!(wheel.reschedule(*id, *at));
            }
            (4, Some(key)) => {
                let (id, _) = armed.remove(&key).expect("chosen from the map");
                assert!(wheel.remove(id));
                dead = Some(id);
            }
            (5, _) => {
                now = now.max(wheel.next_deadline().unwrap_or(now));
                fire(&mut wheel, &mut armed, now);
            }
            _ => {
                now = now + span;
                fire(&mut wheel, &mut armed, now);
            }
        }
        assert_eq!(wheel.len(), armed.len());
        let earliest = armed.values().map(|(_, at)| *at).min();
        assert_eq!(wheel.next_deadline().is_some(), earliest.is_some());
        if let (Some(deadline), Some(earliest)) = (wheel.next_deadline(), earliest) {
            assert!(deadline <= earliest.max(now) + TICK, "sleeps too long");
        }
        assert!(dead.is_none_or(|id| !wheel.is_armed(id) && !wheel.remove(id)));
    }
}

fn fire(wheel: &mut TimerWheel<u32>, armed: &mut BTreeMap<u32, (TimerId, Time)>, now: Time) {
    while let Some(key) = wheel.pop_expired(now) {
        let (_, at) = armed.remove(&key).expect("fired what was not armed");
        assert!(at <= now, "early");
    }
    assert!(armed.values().all(|(_, at)| now.since(*at) < TICK), "late");
    assert!(
        wheel
            .next_deadline()
            .is_none_or(|at| at > now || at == Time::NEVER),
        "busy"
    );
}

/// Bytes read as a sequence of operations. At the end everything reads as zero.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A number of `len` bytes, little-endian.
    fn number(&mut self, len: usize) -> u64 {
        self.take(len)
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}
