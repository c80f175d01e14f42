//! Finds out whether two ports lead to the same network behind them, and closes one of them.
//!
//! There is no spanning tree: the tunnel does not carry its messages, and a hub of thousands of ports wants none. But two
//! clients whose sites are also joined in another way make a loop, in which each broadcast goes round for ever. Its first
//! sign is that an address moves from one port to another. Then a *probe* goes out by the port that it has moved to: a
//! frame with a number that nobody can guess. If it comes back by another port, or by the same, it is a loop and nothing
//! else, and of the two ports that of the higher number is closed for a while, so that one way is left.
//!
//! Where several workers share an interface, each knows all probes and all that is closed.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use crate::{
    ids::{MacAddr, PeerId},
    status::Port,
    time::{Span, Time},
    token_bucket::{Rate, TokenBucket},
    wire::ethernet::ETHERNET_HEADER_LEN,
};

/// Where probes are sent to: a group that is nobody's and that every bridge forwards ("knet", locally administered).
pub const PROBE_ADDRESS: MacAddr = MacAddr([0x03, 0x6b, 0x6e, 0x65, 0x74, 0x01]);
/// And where they say that they are from. No knet learns it.
const PROBE_SOURCE: MacAddr = MacAddr([0x02, 0x6b, 0x6e, 0x65, 0x74, 0x01]);
/// Local Experimental `EtherType` 1 (IEEE 802).
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];
const MAGIC: &[u8; 8] = b"knetloop";
/// Bytes of a probe: the shortest frame of Ethernet, without FCS.
const PROBE_LEN: usize = 60;

/// Probes of one worker. Addresses move for good reasons, too.
pub const PROBES: Rate = Rate::new(20, 20);
/// And no more than one in this time by one port.
const PROBES_APART: Span = Span::from_secs(1);
/// So long a probe may be on its way.
const PROBE_LIFE: Span = Span::from_secs(5);
/// Probes that are remembered: those of all workers in that time, with some to spare.
const MOST_PROBES: usize = 1_024;
/// For so long a port is closed at first, and twice as long each time that the loop is still there, ...
pub const FIRST_HOLD: Span = Span::from_secs(30);
/// ... up to this.
pub const LONGEST_HOLD: Span = Span::from_secs(960);
/// After this time without a loop the first time is the first again.
const FORGOTTEN: Span = Span::from_secs(1_800);

/// The number of a probe.
pub type Nonce = [u8; 16];

#[derive(Debug)]
struct Probe {
    nonce: Nonce,
    by: PeerId,
    sent: Time,
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    until: Time,
    span: Span,
    closed: bool,
}

/// What is known of loops.
#[derive(Debug, Default)]
pub struct LoopGuard {
    /// Nothing is probed and nothing closed.
    is_off: bool,
    rate: TokenBucket,
    /// Those under way, the oldest first.
    probes: VecDeque<Probe>,
    /// Ports that are closed, or were not long ago.
    holds: BTreeMap<PeerId, Hold>,
    /// When the next one is opened, or forgotten.
    next: Option<Time>,
}

impl LoopGuard {
    /// Switches it off or on. What is closed stays so: see [`Self::closed`].
    pub fn set_off(&mut self, is_off: bool) {
        self.is_off = is_off;
        if is_off {
            self.probes.clear();
        }
    }

    /// An address has moved to `port`. Whether that is to be probed; then [`Self::sent`] says that it was.
    pub fn suspects(&mut self, now: Time, port: PeerId) -> bool {
        let apart = |p: &Probe| p.by != port || now.since(p.sent) >= PROBES_APART;
        !self.is_off
            && self.probes.iter().all(apart)
            && !self.is_closed(port)
            && self.rate.take(PROBES, now, 1)
    }

    /// A probe goes out by `port`.
    pub fn sent(&mut self, now: Time, nonce: Nonce, port: PeerId) {
        let is_old = |p: &Probe| now.since(p.sent) >= PROBE_LIFE;
        while self.probes.front().is_some_and(is_old) {
            self.probes.pop_front();
        }
        if self.probes.len() < MOST_PROBES && !self.is_off {
            self.probes.push_back(Probe {
                nonce,
                by: port,
                sent: now,
            });
        }
    }

    /// A probe came in by `port`. If it is ours, returns which port is to be closed, and the other one: of the two between
    /// which the loop is always the same one, and never the TAP.
    pub fn returned(&self, now: Time, nonce: Nonce, port: Port) -> Option<(PeerId, Port)> {
        let is_it = |p: &&Probe| p.nonce == nonce && now.since(p.sent) < PROBE_LIFE;
        let sent_by = self.probes.iter().find(is_it)?.by;
        Some(match port {
            Port::Peer(peer) => (sent_by.max(peer), Port::Peer(sent_by.min(peer))),
            Port::Tap => (sent_by, Port::Tap),
        })
    }

    /// Closes a port. Returns for how long, or nothing if it is closed already, or nothing is to be closed.
    pub fn close(&mut self, now: Time, port: PeerId) -> Option<Span> {
        let hold = self.holds.get(&port).copied();
        if self.is_off || hold.is_some_and(|h| h.closed) {
            return None;
        }
        let span = hold.map_or(FIRST_HOLD, |h| h.span.times(2).min(LONGEST_HOLD));
        let until = now + span;
        let closed = true;
        self.holds.insert(port, Hold { until, span, closed });
        self.find_next();
        Some(span)
    }

    /// Whether a port is closed.
    pub fn is_closed(&self, port: PeerId) -> bool {
        self.holds.get(&port).is_some_and(|h| h.closed)
    }

    /// All that are.
    pub fn closed(&self) -> impl Iterator<Item = PeerId> {
        self.holds
            .iter()
            .filter(|(_, hold)| hold.closed)
            .map(|(port, _)| *port)
    }

    /// For how long it still is, if it is.
    pub fn closed_for(&self, now: Time, port: PeerId) -> Option<Span> {
        let hold = self.holds.get(&port).filter(|h| h.closed)?;
        Some(hold.until.since(now))
    }

    /// When [`Self::open`] has something to do.
    pub fn deadline(&self) -> Option<Time> {
        self.next
    }

    /// Returns a port that is open again.
    pub fn open(&mut self, now: Time) -> Option<PeerId> {
        while self.next.is_some_and(|at| at <= now) {
            let due = self.holds.iter().find(|(_, h)| h.until <= now);
            let Some((&port, &hold)) = due else { break };
            if hold.closed {
                let until = now + FORGOTTEN;
                let closed = false;
                self.holds.insert(
                    port,
                    Hold {
                        until,
                        closed,
                        ..hold
                    },
                );
            } else {
                self.holds.remove(&port);
            }
            self.find_next();
            if hold.closed {
                return Some(port);
            }
        }
        None
    }

    /// The port is gone, or is another peer's from now on.
    pub fn forget(&mut self, port: PeerId) {
        self.holds.remove(&port);
        self.probes.retain(|p| p.by != port);
        self.find_next();
    }

    fn find_next(&mut self) {
        self.next = self.holds.values().map(|h| h.until).min();
    }
}

/// The probe with this number, with the tag, if any, of the frame that was suspicious.
pub fn probe(nonce: Nonce, tag: Option<[u8; 4]>) -> Vec<u8> {
    let mut frame = Vec::with_capacity(PROBE_LEN + 4);
    frame.extend_from_slice(&PROBE_ADDRESS.0);
    frame.extend_from_slice(&PROBE_SOURCE.0);
    frame.extend_from_slice(tag.as_ref().map_or(&[], |tag| &tag[..]));
    frame.extend_from_slice(&ETHERTYPE);
    frame.extend_from_slice(MAGIC);
    frame.extend_from_slice(&nonce);
    frame.resize(PROBE_LEN + tag.map_or(0, |tag| tag.len()), 0);
    frame
}

/// The number of the probe that `frame` is, if it is one.
pub fn nonce_of(frame: &[u8]) -> Option<Nonce> {
    let (header, mut rest) = frame.split_first_chunk::<ETHERNET_HEADER_LEN>()?;
    let (addresses, mut ethertype) = header.split_last_chunk::<2>()?;
    if addresses[..6] != PROBE_ADDRESS.0 || addresses[6..] != PROBE_SOURCE.0 {
        return None;
    }
    if let (&[0x81, 0], Some((tag, behind))) = (ethertype, rest.split_first_chunk::<4>()) {
        (ethertype, rest) = (tag.last_chunk()?, behind);
    }
    if *ethertype != ETHERTYPE {
        return None;
    }
    rest.strip_prefix(MAGIC)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: PeerId = PeerId(1);
    const B: PeerId = PeerId(2);

    fn at(ms: u64) -> Time {
        Time::from_nanos(1_000_000_000) + Span::from_millis(ms)
    }

    #[test]
    fn of_two_ports_the_same_one_is_closed_whichever_way_the_probe_went() {
        let mut guard = LoopGuard::default();
        guard.sent(at(0), [1; 16], A);
        guard.sent(at(0), [2; 16], B);
        let b_not_a = Some((B, Port::Peer(A)));
        assert_eq!(guard.returned(at(1), [1; 16], Port::Peer(B)), b_not_a);
        assert_eq!(guard.returned(at(1), [2; 16], Port::Peer(A)), b_not_a);
        let itself = Some((A, Port::Peer(A)));
        assert_eq!(guard.returned(at(1), [1; 16], Port::Peer(A)), itself);
        assert_eq!(guard.returned(at(1), [1; 16], Port::Tap), Some((A, Port::Tap)));
        assert_eq!(guard.returned(at(1), [3; 16], Port::Peer(B)), None, "nobody's");
        assert_eq!(guard.returned(at(5_000), [1; 16], Port::Peer(B)), None, "too old");
    }

    #[test]
    fn a_port_is_probed_once_a_second_and_all_of_them_twenty_times() {
        let mut guard = LoopGuard::default();
        assert!(guard.suspects(at(0), A));
        guard.sent(at(0), [0; 16], A);
        assert!(!guard.suspects(at(999), A) && guard.suspects(at(999), B));
        assert!(guard.suspects(at(1_000), A));
        let asked = (10..2_000).filter(|n| guard.suspects(at(1_000), PeerId(*n)));
        assert!(asked.count() <= 20);
    }

    #[test]
    fn a_port_is_closed_for_longer_each_time_and_opened_again() {
        let mut guard = LoopGuard::default();
        let mut now = at(0);
        for seconds in [30, 60, 120, 240, 480, 960, 960] {
            let span = Span::from_secs(seconds);
            assert_eq!(guard.close(now, A), Some(span));
            assert_eq!(guard.close(now, A), None);
            assert!(guard.is_closed(A) && !guard.is_closed(B) && !guard.suspects(now, A));
            assert_eq!(
                guard.closed_for(now + Span::from_secs(10), A),
                Some(span - Span::from_secs(10))
            );
            assert_eq!((guard.deadline(), guard.open(now)), (Some(now + span), None));
            now = now + span;
            assert_eq!((guard.open(now), guard.open(now)), (Some(A), None));
            assert!(!guard.is_closed(A) && guard.closed_for(now, A).is_none());
        }
        now = guard.deadline().expect("it is remembered");
        assert_eq!((guard.open(now), guard.deadline()), (None, None));
        assert_eq!(guard.close(now, A), Some(FIRST_HOLD));
        guard.forget(A);
        assert_eq!((guard.is_closed(A), guard.deadline()), (false, None));
    }

    #[test]
    fn switched_off_it_probes_and_closes_nothing() {
        let mut guard = LoopGuard::default();
        guard.sent(at(0), [1; 16], A);
        guard.close(at(0), B);
        guard.set_off(true);
        assert!(!guard.suspects(at(1), A));
        guard.sent(at(1), [2; 16], A);
        for nonce in [[1; 16], [2; 16]] {
            assert_eq!(guard.returned(at(2), nonce, Port::Peer(B)), None);
        }
        assert_eq!(guard.close(at(2), A), None, "as another worker may still say");
        assert_eq!(guard.closed().collect::<Vec<_>>(), [B], "until it is opened");
        guard.forget(B);
        assert_eq!((guard.closed().count(), guard.deadline()), (0, None));
        guard.set_off(false);
        assert!(guard.suspects(at(2), A));
        assert_eq!(guard.close(at(2), B), Some(FIRST_HOLD));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut guard = LoopGuard::default();
        for n in 0..5_000_u16 {
            guard.sent(at(u64::from(n)), [0; 16], PeerId(n));
        }
        assert_eq!(guard.probes.len(), MOST_PROBES);
        guard.sent(at(60_000), [0; 16], A);
        assert_eq!(guard.probes.len(), 1);
    }

    proptest! {
        #[test]
        fn a_probe_is_known_by_its_number(nonce: Nonce, tag in prop::option::of(any::<u16>())) {
            let tag = tag.map(|tci| {
                let [a, b] = tci.to_be_bytes();
                [0x81, 0, a, b]
            });
            let frame = probe(nonce, tag);
            prop_assert_eq!(frame.len(), 60 + tag.map_or(0, |_| 4));
            prop_assert_eq!(nonce_of(&frame), Some(nonce));
            prop_assert_eq!(nonce_of(&frame[..30]), None);
        }

        #[test]
        fn nothing_else_is_one(frame in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(nonce_of(&frame), None);
        }
    }
}
