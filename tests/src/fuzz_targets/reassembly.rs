//! Sequences of fragments against a reassembler too plain to be wrong: it keeps each piece by itself, marks each
//! byte, and counts everything anew each time.

use std::collections::BTreeMap;

use knet_proto::{
    drop_reason::{DropCounters, DropReason},
    reassembly::{LIFETIME, MAX_BYTES, MAX_WHOLES, Reassembler},
    time::{Span, Time},
    wire::fragment_header::{FragmentHeader, FragmentKind, MAX_PIECES},
};

use super::Input;

const MAX_FRAME: u16 = 9_234;
/// Two peers that share a budget.
const PEERS: usize = 2;

/// Fragments of two peers, in any order, with time passing and peers going.
pub fn reassembly(bytes: &[u8]) {
    let mut input = Input(bytes);
    let granted = [20_000, 300_000, usize::MAX][usize::from(input.byte().unwrap_or(0)) % 3];
    let mut budget = granted;
    let mut peers: [Reassembler; PEERS] = Default::default();
    let mut drops = DropCounters::default();
    let mut reference = Reference {
        granted,
        peers: Default::default(),
        drops: DropCounters::default(),
    };
    let mut now = Time::ZERO;
    while let Some(op) = input.byte() {
        let peer = usize::from(op >> 3) % PEERS;
        match op % 8 {
            0..=5 => {
                let (session, header, piece) = fragment(op, &mut input);
                let plaintext = [&header.emit()[..], &piece].concat();
                if let Ok((header, piece)) = FragmentHeader::parse(&plaintext, MAX_FRAME) {
                    let whole = peers[peer].insert(now, session, &header, piece, &mut budget, &mut drops);
                    let expected = reference.insert(peer, now, session, &header, piece);
                    assert!(whole == expected, "{header:?} of peer {peer}");
                    assert!(whole.is_none_or(|w| w.capacity() == usize::from(header.total)));
                }
            }
            6 => {
                now = now + Span::from_millis(u64::from(input.byte().unwrap_or(0)));
                peers[peer].expire(now, &mut budget, &mut drops);
                reference.expire(peer, now);
            }
            _ if op & 0xf0 == 0xf0 => {
                peers[peer].clear(&mut budget);
                reference.peers[peer].clear();
            }
            _ => {}
        }
        assert_eq!(drops, reference.drops);
        assert_eq!(budget, reference.free());
        for (peer, wholes) in peers.iter().zip(&reference.peers) {
            assert_eq!((peer.len(), peer.bytes()), (wholes.len(), held(wholes)));
            assert!(peer.len() <= MAX_WHOLES && peer.bytes() <= MAX_BYTES.min(granted));
            assert_eq!(peer.deadline(), wholes.first().map(|w| w.began + LIFETIME));
        }
    }
    for peer in &mut peers {
        peer.clear(&mut budget);
    }
    assert_eq!(budget, granted, "all of it comes back");
}

/// A fragment of one of 256 wholes: places and lengths that make sense are likelier than others, and contents
/// agree with each other unless two bits say that they shall not.
fn fragment(op: u8, input: &mut Input<'_>) -> (u32, FragmentHeader, Vec<u8>) {
    let id = input.byte().unwrap_or(0);
    let shape = input.byte().unwrap_or(0);
    let total = match shape % 8 {
        0 => 14,
        1 => 801,
        2 => 1_514,
        3 => 9_262,
        4 => 12_800,
        5 => input.number(2) as u16,
        _ => 9_234,
    };
    let size = [400, 508, 757, 1_192][usize::from(shape >> 3) % 4];
    let (offset, len) = match op % 8 {
        5 => (input.number(2), input.number(2) % 2_048),
        n => {
            let offset = input.number(1) * size;
            // Cut where the whole ends, but for some.
            let rest = u64::from(total).saturating_sub(offset);
            (offset, if n == 4 { size } else { size.min(rest) })
        }
    };
    let kind = if op & 0x20 == 0 {
        FragmentKind::Frame
    } else {
        FragmentKind::Datagram
    };
    let other = u64::from(op & 0xc0 == 0xc0);
    let header = FragmentHeader {
        kind,
        total,
        offset: offset as u16,
        id: u32::from(id),
    };
    let piece = (offset..offset + len).map(|at| (at + other) as u8 ^ id).collect();
    (u32::from(op & 0x10 != 0), header, piece)
}

struct Reference {
    granted: usize,
    peers: [Vec<Whole>; PEERS],
    drops: DropCounters,
}

struct Whole {
    name: (u32, u32),
    kind: FragmentKind,
    total: usize,
    began: Time,
    contradicted: bool,
    pieces: BTreeMap<usize, Vec<u8>>,
}

impl Whole {
    fn held(&self) -> usize {
        if self.contradicted { 0 } else { self.total }
    }

    fn marks(&self) -> Vec<bool> {
        let mut marks = vec![false; self.total];
        for (offset, piece) in &self.pieces {
            marks[*offset..offset + piece.len()].fill(true);
        }
        marks
    }
}

fn held(wholes: &[Whole]) -> usize {
    wholes.iter().map(Whole::held).sum()
}

impl Reference {
    fn free(&self) -> usize {
        self.granted - self.peers.iter().map(|p| held(p)).sum::<usize>()
    }

    fn expire(&mut self, peer: usize, now: Time) {
        let expired = |w: &Whole| now.since(w.began) >= LIFETIME;
        let lost = self.peers[peer].iter().filter(|w| expired(w) && !w.contradicted);
        self.drops.add(DropReason::FragmentTimeout, lost.count() as u64);
        self.peers[peer].retain(|w| !expired(w));
    }

    fn insert(
        &mut self,
        peer: usize,
        now: Time,
        session: u32,
        header: &FragmentHeader,
        piece: &[u8],
    ) -> Option<Vec<u8>> {
        self.expire(peer, now);
        let name = (session, header.id);
        let total = usize::from(header.total);
        if !self.peers[peer].iter().any(|w| w.name == name) {
            if self.free() + held(&self.peers[peer]) < total {
                self.drops.count(DropReason::ReassemblyFull);
                return None;
            }
            while self.peers[peer].len() == MAX_WHOLES
                || held(&self.peers[peer]) + total > MAX_BYTES
                || self.free() < total
            {
                if !self.peers[peer].remove(0).contradicted {
                    self.drops.count(DropReason::ReassemblyFull);
                }
            }
            self.peers[peer].push(Whole {
                name,
                kind: header.kind,
                total,
                began: now,
                contradicted: false,
                pieces: BTreeMap::new(),
            });
        }
        let at = self.peers[peer].iter().position(|w| w.name == name)?;
        let whole = &mut self.peers[peer][at];
        let offset = usize::from(header.offset);
        let same = !whole.contradicted && (whole.kind, whole.total) == (header.kind, total);
        if same && whole.pieces.get(&offset).is_some_and(|p| p == piece) {
            self.drops.count(DropReason::FragmentCopy);
            return None;
        }
        if !same
            || whole.pieces.len() == MAX_PIECES
            || whole.marks()[offset..offset + piece.len()].contains(&true)
        {
            self.drops.count(DropReason::FragmentConflict);
            whole.contradicted = true;
            return None;
        }
        whole.pieces.insert(offset, piece.to_vec());
        if whole.marks().contains(&false) {
            return None;
        }
        let whole = self.peers[peer].remove(at);
        Some(whole.pieces.into_values().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// P5: equal to the reference, for sequences that nobody chose.
        #[test]
        fn equals_the_reference(bytes in prop::collection::vec(any::<u8>(), 0..1_500)) {
            reassembly(&bytes);
        }

        /// The same with few wholes and places, so that some of them are completed and many contradict.
        #[test]
        fn equals_the_reference_where_pieces_meet(
            budget: u8,
            ops in prop::collection::vec((0_u8..6, 0_u8..4, 1_u8..3, 0_u8..4, 0_u8..20), 0..200),
        ) {
            let mut bytes = vec![budget];
            for (op, id, shape, place, pause) in ops {
                let op = if op == 5 { 4 } else if op == 4 { 0xc0 } else { 0 };
                bytes.extend([op, id, shape, place]);
                if pause == 0 {
                    bytes.extend([6, 100]);
                }
            }
            reassembly(&bytes);
        }
    }
}
