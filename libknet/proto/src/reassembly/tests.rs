use std::{collections::BTreeMap, vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::{
    fragment::split,
    wire::fragment_header::{FRAGMENT_HEADER_LEN, FRAGMENT_OVERHEAD, MIN_PIECE},
};

const MAX_FRAME: u16 = 9_234;
const MS: fn(u64) -> Time = |n| Time::from_nanos(n * 1_000_000);

/// A reassembler with a budget and counters of its own.
struct Bench {
    reassembler: Reassembler,
    budget: usize,
    drops: DropCounters,
    granted: usize,
}

impl Bench {
    fn new() -> Self {
        Self::with_budget(MAX_BYTES_TOTAL)
    }

    fn with_budget(budget: usize) -> Self {
        Self {
            reassembler: Reassembler::default(),
            budget,
            drops: DropCounters::default(),
            granted: budget,
        }
    }

    fn put(&mut self, ms: u64, header: FragmentHeader, piece: &[u8]) -> Option<Vec<u8>> {
        let whole = self
            .reassembler
            .insert(MS(ms), 1, &header, piece, &mut self.budget, &mut self.drops);
        self.check();
        whole
    }

    fn expire(&mut self, ms: u64) {
        self.reassembler.expire(MS(ms), &mut self.budget, &mut self.drops);
        self.check();
    }

    /// What must hold after each call.
    fn check(&self) {
        let r = &self.reassembler;
        let held: usize = r.wholes.iter().flat_map(|w| &w.buffer).map(Vec::capacity).sum();
        assert_eq!(
            r.bytes(),
            held,
            "each buffer is as long as its whole, and no longer"
        );
        assert_eq!(self.budget + held, self.granted, "the budget is exact");
        assert!(r.len() <= MAX_WHOLES && r.bytes() <= MAX_BYTES);
        assert_eq!(r.is_empty(), r.deadline().is_none());
        if r.is_empty() {
            assert_eq!(
                (r.bytes(), r.wholes.capacity()),
                (0, 0),
                "idle, and yet allocated"
            );
        }
    }

    fn count(&self, reason: DropReason) -> u64 {
        self.drops.get(reason)
    }
}

fn header(id: u32, total: u16, offset: u16) -> FragmentHeader {
    FragmentHeader {
        kind: FragmentKind::Frame,
        total,
        offset,
        id,
    }
}

fn content(id: u32, total: usize) -> Vec<u8> {
    (0..total).map(|i| (i * 7 + id as usize * 31) as u8).collect()
}

#[test]
fn a_whole_comes_out_when_its_last_piece_is_in() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut bench = Bench::new();
        let whole = content(5, 1_500);
        for (n, piece) in order.into_iter().enumerate() {
            let at = piece * 500;
            let out = bench.put(0, header(5, 1_500, at as u16), &whole[at..at + 500]);
            assert_eq!(out, (n == 2).then(|| whole.clone()));
        }
        assert!(bench.reassembler.is_empty());
        assert_eq!(bench.drops.total(), 0);
    }
}

#[test]
fn a_single_piece_may_be_the_whole() {
    let mut bench = Bench::new();
    assert_eq!(bench.put(0, header(1, 14, 0), &[7; 14]), Some(vec![7; 14]));
    assert_eq!(bench.drops.total(), 0);
}

#[test]
fn sessions_and_ids_do_not_mix() {
    let mut bench = Bench::new();
    let mut put = |session, id, offset, fill| {
        bench.reassembler.insert(
            MS(0),
            session,
            &header(id, 1_000, offset),
            &[fill; 500],
            &mut bench.budget,
            &mut bench.drops,
        )
    };
    assert_eq!(put(1, 1, 0, 1), None);
    assert_eq!(put(2, 1, 500, 2), None);
    assert_eq!(put(1, 2, 500, 3), None);
    assert_eq!(put(1, 1, 500, 4), Some([[1; 500], [4; 500]].concat()));
    assert_eq!(put(2, 1, 0, 5), Some([[5; 500], [2; 500]].concat()));
    assert_eq!(bench.reassembler.len(), 1);
}

#[test]
fn a_copy_is_ignored_and_a_forgery_of_it_is_not() {
    let mut bench = Bench::new();
    assert_eq!(bench.put(0, header(1, 1_000, 0), &[1; 500]), None);
    assert_eq!(bench.put(0, header(1, 1_000, 0), &[1; 500]), None);
    assert_eq!(bench.count(DropReason::FragmentCopy), 1);
    assert!(bench.put(0, header(1, 1_000, 500), &[2; 500]).is_some());

    bench.put(0, header(2, 1_000, 0), &[1; 500]);
    let mut other = [1; 500];
    other[499] = 2;
    assert_eq!(bench.put(0, header(2, 1_000, 0), &other), None);
    assert_eq!(bench.put(0, header(2, 1_000, 500), &[2; 500]), None);
    assert_eq!(bench.count(DropReason::FragmentConflict), 2);
}

/// RFC 5722: neither what had arrived is delivered nor what comes later, whichever way it contradicts.
#[test]
fn a_contradiction_ends_the_whole_for_good() {
    let datagram = FragmentHeader {
        kind: FragmentKind::Datagram,
        ..header(1, 1_500, 1_000)
    };
    let contradictions: [(FragmentHeader, usize); 9] = [
        (header(1, 1_500, 499), 500),
        (header(1, 1_500, 501), 500),
        (header(1, 1_500, 0), 1_500),
        (header(1, 1_500, 100), 401),
        (header(1, 1_500, 500), 499),
        (header(1, 1_501, 1_000), 501),
        (header(1, 1_499, 1_000), 499),
        (datagram, 500),
        (header(1, u16::MAX, 1_000), 500),
    ];
    for (bad, len) in contradictions {
        let mut bench = Bench::new();
        bench.put(0, header(1, 1_500, 500), &[1; 500]);
        assert_eq!(bench.put(10, bad, &vec![1; len]), None, "{bad:?}");
        assert_eq!(bench.reassembler.bytes(), 0, "its buffer goes at once");
        for offset in [0, 500, 1_000] {
            assert_eq!(bench.put(20, header(1, 1_500, offset), &[1; 500]), None);
        }
        assert_eq!(bench.count(DropReason::FragmentConflict), 4);
        // It is forgotten when it would have been anyway; that is no second loss.
        assert_eq!(bench.reassembler.deadline(), Some(MS(500)));
        bench.expire(500);
        assert!(bench.reassembler.is_empty());
        assert_eq!(bench.count(DropReason::FragmentTimeout), 0);
    }
}

/// K1 (CVE-2026-15813 of kronosnet: indices from the wire used without a check).
#[test]
fn k1_frag_wire_bounds() {
    const TOTALS: [u16; 12] = [
        0,
        1,
        13,
        14,
        399,
        400,
        401,
        1_514,
        9_233,
        MAX_FRAME,
        MAX_FRAME + 1,
        u16::MAX,
    ];
    const LENGTHS: [usize; 9] = [0, 1, 2, 399, 400, 401, 9_222, 9_234, 65_535];
    let mut bench = Bench::new();
    let mut id = 0;
    for total in TOTALS {
        for len in LENGTHS {
            let mut plaintext = vec![0x5a; FRAGMENT_HEADER_LEN + len];
            for offset in 0..=u16::MAX {
                let mut put = |header: &FragmentHeader, piece: &[u8]| {
                    let (budget, drops) = (&mut bench.budget, &mut bench.drops);
                    bench.reassembler.insert(MS(0), 1, header, piece, budget, drops)
                };
                // As from the wire: only what parses gets here.
                id += 1;
                plaintext[..FRAGMENT_HEADER_LEN].copy_from_slice(&header(id, total, offset).emit());
                if let Ok((parsed, piece)) = FragmentHeader::parse(&plaintext, MAX_FRAME) {
                    assert_eq!(
                        put(&parsed, piece).is_some(),
                        offset == 0 && len == usize::from(total)
                    );
                }
                // And past the parser: nothing is written where nothing may be.
                if offset % 251 == 0 || offset > u16::MAX - 10 {
                    id += 1;
                    let whole = put(&header(id, total, offset), &plaintext[FRAGMENT_HEADER_LEN..]);
                    assert_eq!(
                        whole.is_some(),
                        offset == 0 && len > 0 && len == usize::from(total)
                    );
                }
            }
            bench.check();
        }
    }
}

#[test]
fn the_last_piece_may_come_first_and_has_the_same_rules() {
    let mut bench = Bench::new();
    let whole = content(3, 9_234);
    assert_eq!(bench.put(0, header(3, 9_234, 9_233), &whole[9_233..]), None);
    assert_eq!(
        bench.reassembler.bytes(),
        9_234,
        "one byte arrived, the whole is held"
    );
    assert_eq!(bench.put(1, header(3, 9_234, 9_232), &whole[9_232..]), None);
    assert_eq!(bench.count(DropReason::FragmentConflict), 1);
}

#[test]
fn one_piece_too_many_ends_the_whole() {
    const PIECE: usize = MIN_PIECE;
    for pieces in [MAX_PIECES, MAX_PIECES + 1] {
        let mut bench = Bench::new();
        let total = (pieces * PIECE) as u16;
        let delivered = (0..pieces)
            .filter_map(|n| bench.put(0, header(1, total, (n * PIECE) as u16), &[9; PIECE]))
            .count();
        assert_eq!(delivered, usize::from(pieces == MAX_PIECES));
        assert_eq!(
            bench.count(DropReason::FragmentConflict),
            u64::from(pieces != MAX_PIECES)
        );
    }
}

#[test]
fn a_whole_lives_for_half_a_second_from_its_first_piece() {
    let mut bench = Bench::new();
    bench.put(100, header(1, 1_000, 0), &[1; 500]);
    assert_eq!(bench.reassembler.deadline(), Some(MS(600)));
    bench.put(599, header(2, 1_000, 0), &[1; 500]);
    assert!(bench.put(599, header(1, 1_000, 500), &[1; 500]).is_some());
    // The other one expires exactly at its deadline, even if a piece is what makes us look.
    assert_eq!(bench.put(1_099, header(2, 1_000, 500), &[1; 500]), None);
    assert_eq!(bench.count(DropReason::FragmentTimeout), 1);
    assert_eq!(
        bench.reassembler.deadline(),
        Some(MS(1_599)),
        "that piece began anew"
    );
    bench.expire(1_598);
    assert_eq!(bench.reassembler.len(), 1);
    bench.expire(1_599);
    assert!(bench.reassembler.is_empty());
    assert_eq!(bench.count(DropReason::FragmentTimeout), 2);
}

#[test]
fn the_oldest_makes_room_for_the_65th() {
    let mut bench = Bench::new();
    for id in 0..=MAX_WHOLES as u32 {
        bench.put(0, header(id, 1_000, 0), &[1; 500]);
    }
    assert_eq!(bench.count(DropReason::ReassemblyFull), 1);
    assert!(bench.put(0, header(1, 1_000, 500), &[1; 500]).is_some());
    assert!(bench.put(0, header(64, 1_000, 500), &[1; 500]).is_some());
    assert_eq!(
        bench.put(0, header(0, 1_000, 500), &[1; 500]),
        None,
        "0 was the oldest"
    );
}

#[test]
fn both_bounds_may_be_reached_exactly() {
    let mut bench = Bench::with_budget(MAX_BYTES);
    for id in 0..MAX_WHOLES as u32 {
        bench.put(0, header(id, 4_096, 0), &[1; 500]);
    }
    assert_eq!((bench.reassembler.bytes(), bench.budget), (MAX_BYTES, 0));
    assert_eq!(bench.drops.total(), 0);
}

/// K6 (a length that the peer claims, and a buffer made from it): one byte each makes us hold no more than the
/// bound, and the byte bound counts what is claimed.
#[test]
fn k6_claims_do_not_buy_more_than_the_bound() {
    let mut bench = Bench::new();
    for id in 0..10_000 {
        bench.put(0, header(id, MAX_FRAME, MAX_FRAME - 1), &[1]);
    }
    let held = MAX_BYTES / usize::from(MAX_FRAME);
    assert_eq!(bench.reassembler.len(), held);
    assert_eq!(bench.count(DropReason::ReassemblyFull), 10_000 - held as u64);
}

/// K5 (sizes configured taken for sizes allocated): a budget that has become too small neither underflows nor
/// takes from other peers.
#[test]
fn k5_the_common_budget_is_exact_whatever_it_is() {
    for granted in [0, 1, 999, 1_000, 1_999, 2_500, 9_233, 9_234, 100_000] {
        let mut bench = Bench::with_budget(granted);
        let mut other = Reassembler::default();
        let mut drops = DropCounters::default();
        let first = other.insert(
            MS(0),
            1,
            &header(9, 1_000, 0),
            &[1; 500],
            &mut bench.budget,
            &mut drops,
        );
        assert_eq!(first, None);
        bench.granted = bench.budget;
        assert_eq!(other.len(), usize::from(granted >= 1_000));
        for id in 0..20 {
            for total in [1_000, MAX_FRAME, 600] {
                bench.put(0, header(id * 3 + u32::from(total), total, 0), &[1; 500]);
            }
        }
        assert!(bench.reassembler.bytes() <= bench.granted);
        assert_eq!(other.bytes(), if granted >= 1_000 { 1_000 } else { 0 });
        other.clear(&mut bench.budget);
        bench.reassembler.clear(&mut bench.budget);
        assert_eq!(bench.budget, granted);
        assert!(bench.reassembler.is_empty() && bench.reassembler.bytes() == 0);
    }
}

#[test]
fn what_waits_stays_where_it_would_not_be_enough() {
    let mut bench = Bench::with_budget(2_000);
    bench.put(0, header(1, 1_000, 0), &[1; 500]);
    // 9,234 bytes cannot be had even without the first.
    bench.put(0, header(2, MAX_FRAME, 0), &[1; 500]);
    assert_eq!(bench.count(DropReason::ReassemblyFull), 1);
    assert!(bench.put(0, header(1, 1_000, 500), &[1; 500]).is_some());
    // 2,000 can.
    bench.put(0, header(3, 1_000, 0), &[1; 500]);
    bench.put(0, header(4, 2_000, 0), &[1; 500]);
    assert_eq!(bench.count(DropReason::ReassemblyFull), 2);
    assert_eq!((bench.reassembler.len(), bench.budget), (1, 0));
}

/// One whole of a scenario: its pieces as (header, place).
fn pieces_of(id: u32, total: usize, datagram: bool, piece: usize) -> Vec<(FragmentHeader, Vec<u8>)> {
    let kind = if datagram {
        FragmentKind::Datagram
    } else {
        FragmentKind::Frame
    };
    let whole = content(id, total);
    split(kind, id, total, piece + FRAGMENT_OVERHEAD)
        .into_iter()
        .flatten()
        .map(|(header, range)| (header, whole[range].to_vec()))
        .collect()
}

fn wholes() -> impl Strategy<Value = Vec<(usize, bool, usize)>> {
    prop::collection::vec((42_usize..=9_234, any::<bool>(), 400_usize..1_500), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// P5: any order, copies, losses. Something comes out whenever all pieces of it have come since it last did,
    /// and it is what went in.
    #[test]
    fn p5_any_permutation_of_copies_and_losses(
        wholes in wholes(), order in prop::collection::vec(any::<prop::sample::Index>(), 1..160),
    ) {
        let all: Vec<_> = wholes.iter().enumerate()
            .flat_map(|(id, (total, datagram, piece))| pieces_of(id as u32, *total, *datagram, *piece))
            .collect();
        let mut bench = Bench::new();
        let mut missing: BTreeMap<u32, usize> = BTreeMap::new();
        let mut seen = vec![false; all.len()];
        for (step, index) in order.iter().enumerate() {
            let at = index.index(all.len());
            let (header, piece) = &all[at];
            let (total, datagram, len) = wholes[header.id as usize];
            let count = pieces_of(header.id, total, datagram, len).len();
            let left = missing.entry(header.id).or_insert(count);
            if !seen[at] {
                seen[at] = true;
                *left -= 1;
            }
            let expected = (*left == 0).then(|| content(header.id, total));
            if expected.is_some() {
                missing.remove(&header.id);
                for (s, (h, _)) in seen.iter_mut().zip(&all) {
                    *s &= h.id != header.id;
                }
            }
            prop_assert!(bench.put(step as u64, *header, piece) == expected);
        }
        prop_assert_eq!(bench.drops.total(), bench.count(DropReason::FragmentCopy));
        bench.expire(1_000);
        prop_assert_eq!(bench.count(DropReason::FragmentTimeout), missing.len() as u64);
    }

    /// P5: in any order, a piece that overlaps, lies or repeats with other content: nothing of that whole comes
    /// out, and all of the others.
    #[test]
    fn p5_an_overlap_delivers_nothing(
        wholes in wholes(), (offset, len) in (0_u16..9_234, 1_usize..1_500), lie in 0_u8..3,
        shuffle in prop::collection::vec(any::<u32>(), 200), place: prop::sample::Index,
    ) {
        let (total, datagram, piece) = wholes[0];
        let victim = pieces_of(0, total, datagram, piece);
        prop_assume!(victim.len() > 1);
        let offset = offset % total as u16;
        let len = len.min(total - usize::from(offset));
        let mut bad = victim[0].0;
        let mut bytes = victim[0].1.clone();
        match lie {
            0 => bad.total += 1,
            1 => bytes[0] ^= 1,
            _ => {
                bad.offset = offset;
                bytes = content(0, total)[usize::from(offset)..][..len].to_vec();
            }
        }
        prop_assume!(!victim.contains(&(bad, bytes.clone())));
        let mut all: Vec<_> = wholes.iter().enumerate()
            .flat_map(|(id, (total, datagram, piece))| pieces_of(id as u32, *total, *datagram, *piece))
            .collect();
        let mut keys = shuffle.iter().cycle();
        all.sort_by_cached_key(|_| keys.next().copied());
        // What is complete is gone, and no rule can call it back: so the contradiction must come before the last
        // piece, and what it contradicts must not be that last piece. Let that be the first.
        let overlaps = |h: &FragmentHeader, p: &[u8]| {
            h.offset < bad.offset + bytes.len() as u16 && bad.offset < h.offset + p.len() as u16
        };
        let places: Vec<usize> = (0..all.len()).filter(|i| all[*i].0.id == 0).collect();
        let contradicted = places.iter().find(|i| overlaps(&all[**i].0, &all[**i].1));
        all.swap(places[0], *contradicted.unwrap());
        let from = if bytes.len() == total { places[0] + 1 } else { 0 };
        let last = *places.last().unwrap();
        all.insert(from + place.index(last + 1 - from), (bad, bytes));
        let mut bench = Bench::new();
        let mut delivered = Vec::new();
        for (header, piece) in &all {
            if let Some(whole) = bench.put(0, *header, piece) {
                prop_assert!(whole == content(header.id, whole.len()));
                delivered.push(header.id);
            }
        }
        delivered.sort_unstable();
        prop_assert_eq!(delivered, (1..wholes.len() as u32).collect::<Vec<_>>());
        prop_assert!(bench.count(DropReason::FragmentConflict) >= 1);
    }

    /// Whatever comes, however wrong, and under any budget: the bounds hold (`Bench::check`).
    #[test]
    fn memory_stays_within_its_bounds(
        budget in 0_usize..600_000,
        ops in prop::collection::vec((0_u32..80, 0_u16..=9_262, any::<u16>(), 0_usize..1_500, 0_u64..40), 1..200),
    ) {
        let mut bench = Bench::with_budget(budget);
        let mut now = 0;
        for (id, total, offset, len, pause) in ops {
            now += pause;
            let offset = offset % total.max(1);
            bench.put(now, header(id, total, offset), &vec![1; len]);
            bench.expire(now);
        }
        bench.expire(now + 500);
        prop_assert!(bench.reassembler.is_empty());
        prop_assert_eq!(bench.budget, budget);
    }
}
