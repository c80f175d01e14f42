//! The share of some among all, of late: what is old counts less and less.

use crate::time::{Span, Time};

/// After this time what was counted counts half ...
const HALF_LIFE: Span = Span::from_secs(10);
/// ... but so many are remembered at least: of the ten heartbeats that an idle link has in that time, a link that loses
/// a fifth often loses none.
const REMEMBERED: u64 = 100;
/// So much weighs one, that halving keeps small numbers.
const ONE: u64 = 1024;

/// How many of the datagrams of a link were lost, or overtaken.
#[derive(Clone, Copy, Debug, Default)]
pub struct FadingShare {
    all: u64,
    some: u64,
    halved: Time,
}

impl FadingShare {
    /// Counts `all` more, `some` of which are of the kind.
    pub fn count(&mut self, now: Time, all: u32, some: u32) {
        if self.all == 0 {
            self.halved = now;
        }
        if now.since(self.halved) >= HALF_LIFE && self.all >= 2 * REMEMBERED * ONE {
            self.halved = now;
            self.all /= 2;
            self.some /= 2;
        }
        self.all = self.all.saturating_add(u64::from(all) * ONE);
        self.some = self.some.saturating_add(u64::from(some) * ONE);
    }

    /// The share in parts per million; 0 while nothing was counted.
    pub fn ppm(&self) -> u32 {
        match self.all {
            0 => 0,
            all => (u128::from(self.some) * 1_000_000 / u128::from(all)).min(1_000_000) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_all_that_was_counted() {
        let mut share = FadingShare::default();
        assert_eq!(share.ppm(), 0);
        share.count(Time::ZERO, 100, 5);
        assert_eq!(share.ppm(), 50_000);
        share.count(Time::ZERO, 100, 0);
        assert_eq!(share.ppm(), 25_000);
    }

    #[test]
    fn what_is_old_fades() {
        let mut share = FadingShare::default();
        share.count(Time::ZERO, 100, 50);
        let mut now = Time::ZERO;
        for _ in 1..20 {
            now = now + HALF_LIFE;
            share.count(now, 100, 0);
        }
        assert!(share.ppm() < 100, "{}", share.ppm());
    }

    #[test]
    fn a_hundred_are_remembered_however_long_it_takes() {
        let mut share = FadingShare::default();
        for n in 0..10_000_u64 {
            let now = Time::from_nanos(n * 1_000_000_000);
            share.count(now, 1, u32::from(n % 5 == 0));
            let expected = 190_000..=210_000;
            assert!(
                n < 100 || expected.contains(&share.ppm()),
                "after {n} s: {}",
                share.ppm()
            );
        }
    }
}
