//! How many links in doubt are probed at a time, all links of all peers of a shard together.
//!
//! Many links come into doubt at once where the cause is near: an uplink that is cut, or this host, which cannot keep up with
//! the answers to a broadcast to tens of thousands of peers. In the second case each probe leaves less time for the answers
//! that would end the doubt. So those beyond a burst get places one after the other, and who is heard of meanwhile leaves.

use crate::{
    time::Time,
    token_bucket::{Rate, TokenBucket},
};

/// Probes a second: with as many answers they are about a third of what one processor can do. As many links as may be probed
/// at once fail over without waiting for others.
pub const PROBES: Rate = Rate::new(20_000, 1_000);

/// The queue of a shard.
#[derive(Debug, Default)]
pub struct ProbeQueue {
    places: TokenBucket,
}

impl ProbeQueue {
    /// Joins the queue. Returns when it is one's turn: now, or later.
    pub fn join(&mut self, now: Time) -> Time {
        self.places.reserve(PROBES, now)
    }

    /// Somebody who waited does not need the place any more: whoever comes next waits for less long.
    pub fn leave(&mut self) {
        self.places.give_back(PROBES);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const MS: fn(u64) -> Time = |n| Time::from_nanos(n * 1_000_000);

    #[test]
    fn a_burst_leaves_at_once_and_the_rest_in_order() {
        let mut queue = ProbeQueue::default();
        for _ in 0..PROBES.burst() {
            assert_eq!(queue.join(MS(5)), MS(5));
        }
        let places: Vec<Time> = (0..40).map(|_| queue.join(MS(5))).collect();
        assert!(places.is_sorted());
        assert_eq!(places.last(), Some(&MS(7)), "20 of them a millisecond");
        // The burst is back when there was nothing for long enough.
        assert_eq!(queue.join(MS(100)), MS(100));
        assert_eq!(queue.join(MS(100)), MS(100));
    }

    #[test]
    fn places_that_are_given_up_are_given_to_others() {
        let mut queue = ProbeQueue::default();
        let last = (0..2 * PROBES.burst()).map(|_| queue.join(MS(5))).last();
        assert_eq!(last, Some(MS(55)));
        for _ in 0..PROBES.burst() {
            queue.leave();
        }
        assert!(queue.join(MS(5)) <= MS(6));
    }
}
