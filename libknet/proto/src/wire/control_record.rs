//! The records inside a CTRL: `kind(1) len(1) body(len)`, one after another until the plaintext ends.
//!
//! [`parse`] checks all of them before it returns any, so that a datagram with one bad record changes
//! nothing. A kind from 0x80 up that is not known is skipped: the only extension point of version 1.

use alloc::vec::Vec;
use core::num::{NonZeroU8, NonZeroU32};

use super::{
    address_list::AddressList,
    header::{HEADER_LEN, MAX_LANES, TAG_LEN},
};
use crate::{drop_reason::DropReason, ids::LinkId};

/// Most records in a datagram, skipped ones included.
pub const MAX_RECORDS: usize = 24;

const PING: u8 = 0x01;
const PONG: u8 = 0x02;
const REPORT: u8 = 0x03;
const PATH_CHALLENGE: u8 = 0x04;
const PATH_RESPONSE: u8 = 0x05;
const PMTU_PROBE: u8 = 0x06;
const PMTU_ACK: u8 = 0x07;
const LINK_STATE: u8 = 0x08;
const CLOSE: u8 = 0x09;
const QUALITY: u8 = 0x80;
const ATTACHMENT: u8 = 0x81;
const ADDRESSES: u8 = 0x82;
const ADDRESSES_ACK: u8 = 0x83;
/// Kinds with this bit may be ignored by who does not know them.
const IGNORABLE: u8 = 0x80;

/// One control record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A probe of the link that carries it.
    Ping(Ping),
    /// The answer to a probe.
    Pong(Pong),
    /// What arrived over a link.
    Report(Report),
    /// Send these 16 random bytes back from where this arrives.
    PathChallenge([u8; 16]),
    /// The bytes of a challenge.
    PathResponse([u8; 16]),
    /// Fills the datagram up to `size` bytes of UDP payload (RFC 8899). The last record of its datagram.
    PmtuProbe {
        /// UDP payload of this very datagram in bytes.
        size: u16,
        /// Comes back in the acknowledgement. It tells the tries of one size apart, and probes of a path that
        /// is no longer used from those of its successor.
        id: u32,
    },
    /// A probe arrived.
    PmtuAck {
        /// From the probe.
        size: u16,
        /// From the probe.
        id: u32,
    },
    /// What one side holds of a link.
    LinkState(LinkStateRecord),
    /// The link or the session ends.
    Close {
        /// Why, for people: a code that the session layer defines.
        reason: u8,
        /// What ends: 0 the link that carries it, 1 the session.
        scope: u8,
    },
    /// How well what the other side sends arrives over the link that carries it.
    Quality(ReceiveQuality),
    /// Whether the sender, which has several hubs, uses this one.
    Attachment(Attachment),
    /// The addresses that the sender gives the receiver for its TAP: these and no others.
    Addresses {
        /// How often they have changed, modulo 2^32 and never 0: of two that contradict each other the later one counts.
        changes: NonZeroU32,
        /// All of them.
        addresses: AddressList,
    },
    /// The sender takes addresses, and has heard the receiver's with this number. `None`: nothing in this session so far, and
    /// it asks for them.
    AddressesAck(Option<NonZeroU32>),
}

/// A probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Comes back in the answer; the sender keeps the time it sent it.
    pub id: u32,
    /// The sender's clock in µs modulo 2^32. Only differences are meaningful.
    pub t_tx_us: u32,
    /// Datagrams sent on this link so far but for probes of the path MTU, modulo 2^32.
    pub tx_pkts: u32,
    /// Answer at once, before anything else.
    pub urgent: bool,
    /// Answer on every usable link, not only on this one.
    pub reply_on_all: bool,
    /// The answer may wait for the receiver's next heartbeat on this link.
    pub deferred: bool,
    /// When the next probe will come, in ms.
    pub hb_ms: u16,
}

/// The answer to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    /// From the probe.
    pub id: u32,
    /// The answerer's clock when the probe arrived, in µs modulo 2^32.
    pub t_rx_us: u32,
    /// How long the answer waited before it was sent, in µs.
    pub hold_us: u32,
    /// Shortest interval between probes that the answerer wishes for, in ms.
    pub hb_min_ms: u16,
}

/// What arrived over a link. Any link may carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The link it is about.
    pub link: LinkId,
    /// The lane it is about, 0..=15.
    pub lane: u8,
    /// Highest counter of the lane that arrived over the link, in the session whose keys seal the report.
    /// `None` while nothing has arrived (flag bit 0; the field and the bitmap are then zero).
    pub highest: Option<u32>,
    /// Bit `i`: counter `highest - 1 - i` was seen over any link.
    pub bitmap: u64,
    /// Datagrams received over the link so far but for probes of the path MTU, modulo 2^32.
    pub rx_pkts: u32,
}

/// What the receiver of a link measures that the sender cannot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiveQuality {
    /// Interarrival jitter (RFC 3550 section 6.4.1) in µs.
    pub jitter_us: u32,
    /// Of the control datagrams that arrived lately, those that a later one had overtaken (RFC 4737), in parts per
    /// million: 0..=1,000,000.
    pub reordered_ppm: u32,
}

/// Whether a client that has several hubs uses the one that it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// How often it has changed between hubs, modulo 2^32: of two that contradict each other the later one counts.
    pub changes: u32,
    /// It does: its stations are behind it. Else they are behind another hub.
    pub attached: bool,
}

impl Attachment {
    /// Whether it is later than `other`.
    pub const fn is_after(self, other: Self) -> bool {
        (self.changes.wrapping_sub(other.changes) as i32) > 0
    }
}

/// What one side holds of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkStateRecord {
    /// The link it is about.
    pub link: LinkId,
    /// What the sender of the record sends on it arrives.
    pub tx_ok: bool,
    /// What the other side sends on it arrives.
    pub rx_ok: bool,
    /// Not shut down by the operator.
    pub admin_up: bool,
    /// The sender's priority of it.
    pub priority: u8,
    /// The sender's weight of it; `None`, on the wire 0: as measured.
    pub weight: Option<NonZeroU8>,
    /// Largest UDP payload known to pass, in bytes; 0 if not known.
    pub mtu: u16,
}

/// Checks the plaintext of a CTRL and returns its records.
///
/// # Errors
/// [`DropReason::RecordInvalid`] if anything in it breaks a rule: no record at all or more than
/// [`MAX_RECORDS`], a length that is not the kind's, an unknown kind below 0x80, a value out of range, a
/// reserved bit, a `PMTU_PROBE` whose size is not the datagram's or that is not last, bytes left over.
pub fn parse(plaintext: &[u8]) -> Result<Records<'_>, DropReason> {
    let mut rest = plaintext;
    let mut count = 0_usize;
    while !rest.is_empty() {
        count = count.saturating_add(1);
        if count > MAX_RECORDS {
            return Err(DropReason::RecordInvalid);
        }
        (_, rest) = take_record(rest, plaintext.len()).ok_or(DropReason::RecordInvalid)?;
    }
    if count == 0 {
        return Err(DropReason::RecordInvalid);
    }
    Ok(Records {
        rest: plaintext,
        len: plaintext.len(),
    })
}

/// The records of one datagram, in order, without those that are to be ignored. Made by [`parse`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    len: usize,
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let (record, rest) = take_record(self.rest, self.len)?;
            self.rest = rest;
            if record.is_some() {
                return record;
            }
        }
    }
}

/// The first record of `bytes` (`Some(None)` if it is to be ignored) and what follows it; `None` if it breaks
/// a rule. `plaintext_len` is the length of the whole plaintext.
fn take_record(bytes: &[u8], plaintext_len: usize) -> Option<(Option<Record>, &[u8])> {
    let ([kind, len], rest) = bytes.split_first_chunk::<2>()?;
    if *kind == PMTU_PROBE {
        return if *len == 0 {
            Some((Some(parse_probe(rest, plaintext_len)?), &[]))
        } else {
            None
        };
    }
    let (body, rest) = rest.split_at_checked(usize::from(*len))?;
    let record = match *kind {
        PING => Some(parse_ping(body.try_into().ok()?)?),
        PONG => Some(parse_pong(body.try_into().ok()?)?),
        REPORT => Some(parse_report(body.try_into().ok()?)?),
        PATH_CHALLENGE => Some(Record::PathChallenge(body.try_into().ok()?)),
        PATH_RESPONSE => Some(Record::PathResponse(body.try_into().ok()?)),
        PMTU_ACK => {
            let [s0, s1, i0, i1, i2, i3]: [u8; 6] = body.try_into().ok()?;
            let (size, id) = (u16::from_le_bytes([s0, s1]), u32::from_le_bytes([i0, i1, i2, i3]));
            Some(Record::PmtuAck { size, id })
        }
        LINK_STATE => Some(parse_link_state(body.try_into().ok()?)?),
        CLOSE => match *body {
            [reason, scope @ 0..=1, 0, 0] => Some(Record::Close { reason, scope }),
            _ => return None,
        },
        QUALITY => Some(parse_quality(body.try_into().ok()?)?),
        ATTACHMENT => Some(parse_attachment(body.try_into().ok()?)?),
        ADDRESSES => {
            let (changes, addresses) = body.split_first_chunk::<4>()?;
            Some(Record::Addresses {
                changes: NonZeroU32::new(u32::from_le_bytes(*changes))?,
                addresses: AddressList::parse(addresses)?,
            })
        }
        ADDRESSES_ACK => {
            let changes = u32::from_le_bytes(body.try_into().ok()?);
            Some(Record::AddressesAck(NonZeroU32::new(changes)))
        }
        unknown if unknown & IGNORABLE != 0 => None,
        _ => return None,
    };
    Some((record, rest))
}

fn parse_ping(body: [u8; 16]) -> Option<Record> {
    let [
        i0,
        i1,
        i2,
        i3,
        t0,
        t1,
        t2,
        t3,
        n0,
        n1,
        n2,
        n3,
        flags @ 0..=7,
        h0,
        h1,
        0,
    ] = body
    else {
        return None;
    };
    Some(Record::Ping(Ping {
        id: u32::from_le_bytes([i0, i1, i2, i3]),
        t_tx_us: u32::from_le_bytes([t0, t1, t2, t3]),
        tx_pkts: u32::from_le_bytes([n0, n1, n2, n3]),
        urgent: flags & 1 != 0,
        reply_on_all: flags & 2 != 0,
        deferred: flags & 4 != 0,
        hb_ms: u16::from_le_bytes([h0, h1]),
    }))
}

fn parse_pong(body: [u8; 16]) -> Option<Record> {
    let [i0, i1, i2, i3, t0, t1, t2, t3, w0, w1, w2, w3, h0, h1, 0, 0] = body else {
        return None;
    };
    Some(Record::Pong(Pong {
        id: u32::from_le_bytes([i0, i1, i2, i3]),
        t_rx_us: u32::from_le_bytes([t0, t1, t2, t3]),
        hold_us: u32::from_le_bytes([w0, w1, w2, w3]),
        hb_min_ms: u16::from_le_bytes([h0, h1]),
    }))
}

fn parse_report(body: [u8; 18]) -> Option<Record> {
    let [
        place,
        flags @ 0..=1,
        h0,
        h1,
        h2,
        h3,
        b0,
        b1,
        b2,
        b3,
        b4,
        b5,
        b6,
        b7,
        n0,
        n1,
        n2,
        n3,
    ] = body
    else {
        return None;
    };
    let highest = u32::from_le_bytes([h0, h1, h2, h3]);
    let bitmap = u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]);
    let nothing = flags & 1 != 0;
    // Counters begin at 0, so only the lowest `highest` bits can stand for one.
    let meaningless_bits = bitmap.checked_shr(highest).unwrap_or(0) != 0;
    if place & 0x08 != 0 || meaningless_bits || nothing && highest != 0 {
        return None;
    }
    Some(Record::Report(Report {
        link: LinkId::new(place & 0x07)?,
        lane: place >> 4,
        highest: (!nothing).then_some(highest),
        bitmap,
        rx_pkts: u32::from_le_bytes([n0, n1, n2, n3]),
    }))
}

fn parse_link_state(body: [u8; 6]) -> Option<Record> {
    let [link, flags @ 0..=7, priority, weight, m0, m1] = body else {
        return None;
    };
    Some(Record::LinkState(LinkStateRecord {
        link: LinkId::new(link)?,
        tx_ok: flags & 1 != 0,
        rx_ok: flags & 2 != 0,
        admin_up: flags & 4 != 0,
        priority,
        weight: NonZeroU8::new(weight),
        mtu: u16::from_le_bytes([m0, m1]),
    }))
}

fn parse_quality(body: [u8; 8]) -> Option<Record> {
    let [j0, j1, j2, j3, r0, r1, r2, r3] = body;
    let reordered_ppm = u32::from_le_bytes([r0, r1, r2, r3]);
    (reordered_ppm <= 1_000_000).then_some(Record::Quality(ReceiveQuality {
        jitter_us: u32::from_le_bytes([j0, j1, j2, j3]),
        reordered_ppm,
    }))
}

fn parse_attachment(body: [u8; 5]) -> Option<Record> {
    let [c0, c1, c2, c3, attached @ 0..=1] = body else {
        return None;
    };
    Some(Record::Attachment(Attachment {
        changes: u32::from_le_bytes([c0, c1, c2, c3]),
        attached: attached == 1,
    }))
}

fn parse_probe(rest: &[u8], plaintext_len: usize) -> Option<Record> {
    let ([s0, s1, i0, i1, i2, i3], fill) = rest.split_first_chunk::<6>()?;
    let size = u16::from_le_bytes([*s0, *s1]);
    let id = u32::from_le_bytes([*i0, *i1, *i2, *i3]);
    let fits = usize::from(size) == datagram_len(plaintext_len) && fill.iter().all(|b| *b == 0);
    fits.then_some(Record::PmtuProbe { size, id })
}

/// UDP payload of a datagram with this much plaintext.
const fn datagram_len(plaintext_len: usize) -> usize {
    plaintext_len.saturating_add(HEADER_LEN.saturating_add(TAG_LEN))
}

/// Appends records to the end of a buffer.
#[derive(Debug)]
pub struct RecordWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    count: usize,
    closed: bool,
}

impl<'a> RecordWriter<'a> {
    /// Writes after what `out` holds already (usually the transport header).
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self {
            out,
            start,
            count: 0,
            closed: false,
        }
    }

    /// Bytes of records written so far: the length of the plaintext.
    pub fn len(&self) -> usize {
        self.out.len().saturating_sub(self.start)
    }

    /// Whether no record was written.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Records written so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Appends `record`. Returns false and writes nothing where the receiver would refuse it: there are
    /// [`MAX_RECORDS`] already, a `PMTU_PROBE` was written (nothing may follow it), a lane is above 15, a
    /// bitmap says more than `highest` allows, a close has an unknown scope, a share is above one, or the size
    /// of a `PMTU_PROBE` is smaller than the datagram would be without any fill.
    pub fn push(&mut self, record: &Record) -> bool {
        if self.closed || self.count >= MAX_RECORDS {
            return false;
        }
        match record {
            Record::Ping(p) => {
                let flags = u8::from(p.urgent) | u8::from(p.reply_on_all) << 1 | u8::from(p.deferred) << 2;
                self.begin(PING, 16);
                self.u32s([p.id, p.t_tx_us, p.tx_pkts]);
                let [h0, h1] = p.hb_ms.to_le_bytes();
                self.bytes(&[flags, h0, h1, 0]);
            }
            Record::Pong(p) => {
                self.begin(PONG, 16);
                self.u32s([p.id, p.t_rx_us, p.hold_us]);
                let [h0, h1] = p.hb_min_ms.to_le_bytes();
                self.bytes(&[h0, h1, 0, 0]);
            }
            Record::Report(r) => {
                let highest = r.highest.unwrap_or(0);
                if r.lane >= MAX_LANES || r.bitmap.checked_shr(highest).unwrap_or(0) != 0 {
                    return false;
                }
                let flags = u8::from(r.highest.is_none());
                self.begin(REPORT, 18);
                self.bytes(&[r.link.get() | r.lane << 4, flags]);
                self.u32s([highest]);
                self.bytes(&r.bitmap.to_le_bytes());
                self.u32s([r.rx_pkts]);
            }
            Record::PathChallenge(token) => {
                self.begin(PATH_CHALLENGE, 16);
                self.bytes(token);
            }
            Record::PathResponse(token) => {
                self.begin(PATH_RESPONSE, 16);
                self.bytes(token);
            }
            Record::PmtuProbe { size, id } => {
                let Some(fill) = usize::from(*size).checked_sub(datagram_len(self.len().saturating_add(8)))
                else {
                    return false;
                };
                self.begin(PMTU_PROBE, 0);
                self.bytes(&size.to_le_bytes());
                self.u32s([*id]);
                self.out.resize(self.out.len().saturating_add(fill), 0);
                self.closed = true;
            }
            Record::PmtuAck { size, id } => {
                self.begin(PMTU_ACK, 6);
                self.bytes(&size.to_le_bytes());
                self.u32s([*id]);
            }
            Record::LinkState(l) => {
                let flags = u8::from(l.tx_ok) | u8::from(l.rx_ok) << 1 | u8::from(l.admin_up) << 2;
                let [m0, m1] = l.mtu.to_le_bytes();
                self.begin(LINK_STATE, 6);
                self.bytes(&[
                    l.link.get(),
                    flags,
                    l.priority,
                    l.weight.map_or(0, NonZeroU8::get),
                    m0,
                    m1,
                ]);
            }
            Record::Close { reason, scope } => {
                if *scope > 1 {
                    return false;
                }
                self.begin(CLOSE, 4);
                self.bytes(&[*reason, *scope, 0, 0]);
            }
            Record::Quality(q) => {
                if q.reordered_ppm > 1_000_000 {
                    return false;
                }
                self.begin(QUALITY, 8);
                self.u32s([q.jitter_us, q.reordered_ppm]);
            }
            Record::Attachment(a) => {
                self.begin(ATTACHMENT, 5);
                self.u32s([a.changes]);
                self.bytes(&[u8::from(a.attached)]);
            }
            Record::Addresses { changes, addresses } => {
                let Ok(len) = u8::try_from(addresses.encoded_len().saturating_add(4)) else {
                    return false;
                };
                self.begin(ADDRESSES, len);
                self.u32s([changes.get()]);
                addresses.emit(self.out);
            }
            Record::AddressesAck(changes) => {
                self.begin(ADDRESSES_ACK, 4);
                self.u32s([changes.map_or(0, NonZeroU32::get)]);
            }
        }
        self.count = self.count.saturating_add(1);
        true
    }

    fn begin(&mut self, kind: u8, len: u8) {
        self.bytes(&[kind, len]);
    }

    fn u32s<const N: usize>(&mut self, values: [u32; N]) {
        for value in values {
            self.bytes(&value.to_le_bytes());
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests;
