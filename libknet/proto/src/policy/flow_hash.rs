//! Flow hash: every flow on one link, the flows spread over the links by weight.
//!
//! Nothing overtakes anything inside a flow, so that links may differ as they like and nothing has to be put
//! back in order; but no single flow gets more than one link's bandwidth.

use super::{ActiveSet, LinkView, round_robin};
use crate::ids::{LinkId, LinkSet};

/// The links of [`round_robin`]: those that are up, and a copy on each that is in doubt. Only the turn differs,
/// see [`pick`].
pub fn choose(links: &[LinkView]) -> ActiveSet {
    round_robin::choose(links)
}

/// The link of `set` for a flow, `None` if the set is empty; `weight` tells the weight of each (0 counts as 1).
/// `flow` is equally distributed, as [`crate::l2::flow_hash::FlowHash`] makes it.
///
/// Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights: Schindelhauer and Schomaker 2005): each
/// link draws a lot for the flow, and the best lot wins. A lot does not depend on the other links, so if a link
/// leaves only its own flows move, to the others in proportion to their weights; if it returns it gets exactly
/// these back; and if a weight changes, flows move to or from that link only. No state, no table.
pub fn pick(flow: u64, set: LinkSet, weight: impl Fn(LinkId) -> u16) -> Option<LinkId> {
    let mut best: Option<(LinkId, u64, u64)> = None;
    for link in set.iter() {
        let lot = exponential(mix(flow, link));
        let weight = u64::from(weight(link).max(1));
        // lot / weight < best lot / best weight. A lot has 39 bits at most, a weight 16.
        if best.is_none_or(|(_, best_lot, best_weight)| lot * best_weight < best_lot * weight) {
            best = Some((link, lot, weight));
        }
    }
    best.map(|(link, ..)| link)
}

/// Equally distributed, and independent from link to link: the finaliser of `SplitMix64` (Steele, Lea and Flood
/// 2014). It needs no secret; `flow` was made with one.
fn mix(flow: u64, link: LinkId) -> u64 {
    let mut z = flow.wrapping_add(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(u64::from(link.get()) + 1));
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Fraction bits of a logarithm.
const FRACTION: u32 = 32;
/// Steps of the table, as a power of two.
const STEPS: u32 = 6;

/// log2(1 + n / 64), with 32 bits of fraction.
static LOG2: [u64; (1 << STEPS) + 1] = {
    let mut table = [0; (1 << STEPS) + 1];
    let mut n = 0;
    while n < table.len() {
        table[n] = log2((1 << 62) + ((n as u64) << (62 - STEPS)));
        n += 1;
    }
    table
};

/// log2(x / 2^62), for 1 <= x / 2^62 <= 2. Squaring doubles a logarithm: its bits come out one after the other.
const fn log2(mut x: u64) -> u64 {
    let mut log = x >> 63;
    x >>= log;
    let mut bit = 0;
    while bit < FRACTION {
        let square = ((x as u128 * x as u128) >> 62) as u64;
        log = log << 1 | square >> 63;
        x = square >> (square >> 63);
        bit += 1;
    }
    log
}

/// -log2 of a number that is equally distributed between 0 and 1, with 32 bits of fraction, in 1..2^39: an
/// exponentially distributed number. Of several, divided by weights, each is the least as often as its weight
/// says.
///
/// Between two steps of the table the logarithm is taken to be straight: wrong by at most 0.4 % of its value.
fn exponential(uniform: u64) -> u64 {
    let uniform = uniform.max(1);
    let zeros = uniform.leading_zeros();
    // 1, then the mantissa: the number of a step, and where between that step and the next.
    let mantissa = uniform << zeros << 1;
    let step = (mantissa >> (64 - STEPS)) as usize;
    let between = mantissa << STEPS >> 32;
    let [low, high] = [LOG2[step], LOG2[step + 1]];
    let log = low + (((high - low) * between) >> 32);
    (u64::from(zeros + 1) << FRACTION) - log
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::vec::Vec;

    use super::super::test_views::{set, view};
    use super::*;
    use crate::{l2::flow_hash::FlowHash, status::LinkState};
    use LinkState::{Probing, Suspect, Up};

    const FLOWS: u64 = 100_000;

    /// Equally distributed numbers.
    fn flows() -> impl Iterator<Item = u64> {
        let any = LinkId::new(0).expect("a link id");
        (0..FLOWS).map(move |n| mix(n, any))
    }

    #[test]
    fn links_that_are_up_share_and_doubted_ones_get_copies() {
        let links = [view(0, Up, 1), view(3, Suspect, 1), view(5, Up, 1)];
        let chosen = choose(&links);
        assert_eq!((chosen.copies, chosen.rotation), (set(&[3]), set(&[0, 5])));
        assert_eq!(choose(&[view(1, Probing, 9)]).copies, set(&[1]));
    }

    #[test]
    fn the_logarithm_is_right_to_half_a_percent() {
        let check = |uniform: u64| {
            let exact = -((uniform as f64).log2() - 64.0);
            let got = exponential(uniform) as f64 / (1_u64 << FRACTION) as f64;
            // Below 2^-30 the number itself has only a few bits.
            let tolerance = exact * 0.004 + 2e-9;
            assert!(
                (got - exact).abs() <= tolerance,
                "{uniform:#x}: {got} for {exact}"
            );
        };
        for zeros in 0..64 {
            for n in 0..1_000 {
                check((1 << 63 | (u64::MAX / 2_000 * n)) >> zeros);
            }
        }
        for below in 0..1_000 {
            check(u64::MAX - (below << 34));
        }
        assert_eq!(exponential(0), 64 << FRACTION);
        assert_eq!(exponential(1), 64 << FRACTION);
        assert_eq!(exponential(1 << 63), 1 << FRACTION);
        assert!((1..4).contains(&exponential(u64::MAX)));
    }

    #[test]
    fn shares_follow_the_weights() {
        for weights in [
            &[1, 1][..],
            &[1, 1, 1, 1],
            &[200, 100, 50],
            &[255, 255, 255, 255, 255, 255, 255, 255],
            &[1, 2, 3, 4, 5, 6, 7, 8],
            &[9, 1],
            &[40, 0, 1],
        ] {
            let links = LinkId::all().take(weights.len()).collect();
            let mut got = [0_u32; 8];
            for flow in flows() {
                got[pick(flow, links, |l| weights[l.index()]).expect("a link").index()] += 1;
            }
            let total: u32 = weights.iter().map(|w| u32::from(*w).max(1)).sum();
            for (weight, got) in weights.iter().zip(got) {
                let expected = FLOWS as f64 * f64::from((*weight).max(1)) / f64::from(total);
                // Three percent, or four standard deviations of chance where a link gets few flows.
                let tolerance = (expected * 0.03).max(4.0 * expected.sqrt());
                assert!(
                    (f64::from(got) - expected).abs() < tolerance,
                    "{weights:?}: {got} for {expected}"
                );
            }
        }
    }

    /// From frames to links: 100 000 connections, of a few clients that count their ports up.
    #[test]
    fn connections_spread_by_weight() {
        let hash = FlowHash::new([3, 4]);
        let weights = [4, 2, 1, 1];
        let mut got = [0_u32; 4];
        let mut frame = [0; 38];
        frame[12..16].copy_from_slice(&[0x08, 0x00, 0x45, 0]);
        frame[17] = 24;
        frame[23] = 6;
        for n in 0..FLOWS {
            let [.., client, p0, p1] = n.to_be_bytes();
            frame[29] = client;
            frame[34..36].copy_from_slice(&[p0, p1]);
            let link = pick(hash.hash(&frame), set(&[0, 1, 2, 3]), |l| weights[l.index()]);
            got[link.expect("a link").index()] += 1;
        }
        for (weight, got) in weights.into_iter().zip(got) {
            let expected = FLOWS as f64 * f64::from(weight) / 8.0;
            assert!(
                (f64::from(got) - expected).abs() < expected * 0.03,
                "{got} for {expected}"
            );
        }
    }

    #[test]
    fn the_flows_of_a_dead_link_spread_by_weight_too() {
        let weights = [3_u16, 2, 1];
        let [all, rest] = [set(&[0, 1, 2]), set(&[1, 2])];
        let weight = |l: LinkId| weights[l.index()];
        let moved: Vec<LinkId> = flows()
            .filter(|flow| pick(*flow, all, weight).is_some_and(|l| l.get() == 0))
            .map(|flow| pick(flow, rest, weight).expect("a link"))
            .collect();
        let to_1 = moved.iter().filter(|l| l.get() == 1).count() as f64 / moved.len() as f64;
        assert!((to_1 - 2.0 / 3.0).abs() < 0.01, "{to_1}");
    }

    #[test]
    fn an_empty_set_has_no_link() {
        assert_eq!(pick(1, LinkSet::EMPTY, |_| 1), None);
        for flow in flows().take(100) {
            assert_eq!(pick(flow, set(&[6]), |_| 0), LinkId::new(6));
        }
    }

    fn links() -> impl Strategy<Value = LinkSet> {
        prop::collection::vec(0_u8..8, 1..8).prop_map(|links| set(&links))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// A link leaves: its flows move and no others. Because the choice depends on nothing but the set, the
        /// same flows return with it.
        #[test]
        fn only_the_flows_of_a_dead_link_move(
            links in links(), dead in 0_u8..8, weights in any::<[u16; 8]>(),
            flows in prop::collection::vec(any::<u64>(), 1..200),
        ) {
            let dead = LinkId::new(dead).expect("a link id");
            let weight = |l: LinkId| weights[l.index()];
            for flow in flows {
                let before = pick(flow, links.with(dead), weight);
                let after = pick(flow, links.without(dead), weight);
                prop_assert!(before == Some(dead) || before == after);
                prop_assert!(after.is_none_or(|l| links.without(dead).contains(l)));
                prop_assert_eq!(after.is_none(), links.without(dead).is_empty());
            }
        }

        /// A weight grows: flows come to that link and move between no others.
        #[test]
        fn a_weight_moves_flows_to_or_from_its_own_link_only(
            links in links(), changed in 0_usize..8, to in any::<u16>(), weights in any::<[u16; 8]>(),
            flows in prop::collection::vec(any::<u64>(), 1..200),
        ) {
            let mut new = weights;
            new[changed] = new[changed].max(to);
            for flow in flows {
                let before = pick(flow, links, |l| weights[l.index()]);
                let after = pick(flow, links, |l| new[l.index()]);
                prop_assert!(before == after || after.is_some_and(|l| l.index() == changed));
            }
        }
    }
}
