#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;

fn mac(n: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, n])
}

fn macs(which: &[u8]) -> Vec<MacAddr> {
    which.iter().map(|n| mac(*n)).collect()
}

fn rules(allowed: &[u8], sticky: u16, fixed: &[u8]) -> GuardRules {
    GuardRules {
        allowed_macs: macs(allowed),
        sticky,
        static_macs: macs(fixed),
        ..GuardRules::default()
    }
}

/// A frame comes, and its source is learned if it may come.
fn comes(guard: &mut SourceGuard, n: u8) -> Option<Admitted> {
    let admitted = guard.admit(mac(n), &[0; 14]).ok()?;
    if admitted == Admitted::Sticky {
        guard.stick(mac(n));
    }
    Some(admitted)
}

#[test]
fn only_allowed_and_configured_addresses_may_be_used() {
    let mut guard = SourceGuard::new(rules(&[1, 3], 0, &[9]));
    for n in [1, 3, 9] {
        assert_eq!(guard.admit(mac(n), &[0; 14]), Ok(Admitted::Free));
    }
    assert_eq!(guard.admit(mac(2), &[0; 14]), Err(DropReason::PortSecurity));
    assert_eq!(
        guard.drops(),
        GuardDrops {
            macs: 1,
            ..GuardDrops::default()
        }
    );
    guard.clear_drops();
    assert_eq!(guard.drops(), GuardDrops::default());
    let mut free = SourceGuard::new(GuardRules::default());
    assert_eq!(free.admit(mac(2), &[0; 14]), Ok(Admitted::Free));
}

#[test]
fn the_first_addresses_stick() {
    let mut guard = SourceGuard::new(rules(&[], 2, &[9]));
    assert_eq!(comes(&mut guard, 9), Some(Admitted::Free), "it is there anyway");
    assert_eq!(
        guard.admit(mac(7), &[0; 14]),
        Ok(Admitted::Sticky),
        "and is not learned, after all"
    );
    assert_eq!(comes(&mut guard, 1), Some(Admitted::Sticky));
    assert_eq!(comes(&mut guard, 2), Some(Admitted::Sticky));
    assert_eq!(comes(&mut guard, 3), None);
    assert_eq!(comes(&mut guard, 1), Some(Admitted::Sticky));
    // More of them stick, and those that did still do.
    guard.set_rules(rules(&[], 3, &[9]));
    assert_eq!(comes(&mut guard, 3), Some(Admitted::Sticky));
    assert_eq!(guard.sticky(), macs(&[1, 2, 3]));
    // Fewer: those that came first. And only what is allowed.
    guard.set_rules(rules(&[], 2, &[9]));
    assert_eq!(guard.sticky(), macs(&[1, 2]));
    guard.set_rules(rules(&[2, 4], 2, &[9]));
    assert_eq!(guard.sticky(), macs(&[2]));
    assert_eq!(
        (comes(&mut guard, 1), comes(&mut guard, 4)),
        (None, Some(Admitted::Sticky))
    );
    guard.set_rules(rules(&[2, 4], 0, &[9]));
    assert_eq!(guard.sticky(), macs(&[]));
}

proptest! {
    /// Whatever comes in whatever order: no more stick than may, those that stuck do so for ever, and nothing else passes.
    #[test]
    fn what_sticks_is_bounded_and_stays(
        allowed in prop::collection::btree_set(0..12_u8, 0..6),
        fixed in prop::collection::btree_set(0..12_u8, 0..3),
        sticky in 0..5_u16,
        frames in prop::collection::vec(0..12_u8, 0..60),
    ) {
        let list = |of: &std::collections::BTreeSet<u8>| of.iter().copied().collect::<Vec<u8>>();
        let mut guard = SourceGuard::new(rules(&list(&allowed), sticky, &list(&fixed)));
        let mut stuck: Vec<u8> = vec![];
        for n in frames {
            let passes = comes(&mut guard, n).is_some();
            let is_allowed = allowed.is_empty() || allowed.contains(&n);
            let room = sticky == 0 || stuck.contains(&n) || stuck.len() < usize::from(sticky);
            prop_assert_eq!(passes, fixed.contains(&n) || is_allowed && room);
            if passes && sticky > 0 && !fixed.contains(&n) && !stuck.contains(&n) {
                stuck.push(n);
            }
            prop_assert_eq!(guard.sticky(), macs(&stuck));
            prop_assert!(guard.sticky().len() <= usize::from(sticky));
        }
    }
}
