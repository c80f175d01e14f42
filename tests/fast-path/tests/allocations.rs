//! Once memory has been found for a busy session, no packet needs more: nothing is allocated, on either side, for
//! sending, receiving, joining, relaying, reporting and heartbeats.

use knet_fast_path::cases::{CASES, Case};

fn allocations(case: &'static Case, additional: impl Fn()) -> u64 {
    let mut run = case.begin();
    run.warm_up();
    let counted = allocation_counter::measure(|| {
        run.go_on();
        additional();
    });
    counted.count_total
}

#[test]
fn no_packet_costs_an_allocation() {
    for case in CASES {
        let (name, count) = (case.name, allocations(case, || ()));
        assert_eq!(count, 0, "{name}: where? scripts/instructions allocations {name}");
    }
}

/// Else the test above could not fail.
#[test]
fn an_allocation_is_counted() {
    assert_eq!(
        allocations(&CASES[0], || drop(std::hint::black_box(Box::new(1)))),
        1
    );
}
