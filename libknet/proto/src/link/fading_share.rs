//! The share of some among all, of late: what is old counts less and less.

use crate::time::{Span, Time};

/// After this time what was counted counts half, as far as [`FadingShare::REMEMBERED`] allows.
const HALF_LIFE: Span = Span::from_secs(10);
/// So much weighs one, that halving keeps small numbers.
const ONE: u64 = 1024;

/// How many of the datagrams of a link were lost, or overtaken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FadingShare {
    all: u32,
    some: u32,
    /// In tenths of a second.
    halved: u32,
}

impl FadingShare {
    /// So many are remembered at least, however old they are: of the ten heartbeats that an idle link has in the half-life, a link
    /// that loses a fifth often loses none.
    pub(super) const REMEMBERED: u32 = 100;

    /// Counts `all` more, `some` of which are of the kind.
    pub(super) fn count(&mut self, now: Time, all: u32, some: u32) {
        let now = tenths(now.since(Time::ZERO));
        let (mut sum, mut share) = (u64::from(self.all), u64::from(self.some));
        if sum == 0 {
            self.halved = now;
        }
        if now.wrapping_sub(self.halved) >= tenths(HALF_LIFE) && sum >= 2 * u64::from(Self::REMEMBERED) * ONE
        {
            self.halved = now;
            (sum, share) = (sum / 2, share / 2);
        }
        sum += u64::from(all) * ONE;
        share = (share + u64::from(some) * ONE).min(sum);
        // Beyond four million it is their share that matters.
        let excess = (u64::BITS - sum.leading_zeros()).saturating_sub(u32::BITS);
        (self.all, self.some) = ((sum >> excess) as u32, (share >> excess) as u32);
    }

    /// The share in parts per million; 0 while nothing was counted.
    pub(super) fn ppm(&self) -> u32 {
        match self.all {
            0 => 0,
            all => (u64::from(self.some) * 1_000_000 / u64::from(all)) as u32,
        }
    }
}

/// So many tenths of a second, modulo 2^32: 13 years.
const fn tenths(span: Span) -> u32 {
    (span.as_millis() / 100) as u32
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

    #[test]
    fn of_more_than_can_be_counted_the_share_is_known() {
        let mut share = FadingShare::default();
        for _ in 0..20 {
            share.count(Time::ZERO, u32::MAX, u32::MAX / 10);
        }
        assert!((99_999..=100_000).contains(&share.ppm()), "{}", share.ppm());
        share.count(Time::ZERO, 1, u32::MAX);
        assert!(share.ppm() <= 1_000_000);
    }
}
