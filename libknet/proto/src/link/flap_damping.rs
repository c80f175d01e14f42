//! Flap damping: a link that keeps going down comes back later each time.

use crate::time::{Span, Time};

const HALF_LIFE: Span = Span::from_secs(60);
const MAX_HOLD: Span = Span::from_secs(60);
const ONE: u64 = 1 << 16;

/// Penalty of one link: one for each time it went down, with a half-life of 60 s.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlapDamping {
    /// In units of 2^-16.
    penalty: u64,
    at: Time,
    hold_until: Time,
}

impl FlapDamping {
    /// The link went down: it stays out of use for `1 s · 2^(penalty − 1)`, 60 s at most.
    pub fn down(&mut self, now: Time) {
        self.penalty = self.decayed(now).saturating_add(ONE).min(16 * ONE);
        self.at = now;
        let exponent = (self.penalty / ONE).saturating_sub(1).min(6) as u32;
        self.hold_until = now + Span::from_secs(1 << exponent).min(MAX_HOLD);
    }

    /// The last `down` was a mistake: the link was only slow.
    pub fn forgive(&mut self, now: Time) {
        self.penalty = self.decayed(now).saturating_sub(ONE);
        self.at = now;
        self.hold_until = now;
    }

    /// Until when the link is held down.
    pub const fn hold_until(&self) -> Time {
        self.hold_until
    }

    /// The penalty now, in thousandths.
    pub fn milli(&self, now: Time) -> u32 {
        (self.decayed(now) * 1000 / ONE) as u32
    }

    /// Halves per half-life, linear in between: cheap, and never off by more than 6 %.
    fn decayed(&self, now: Time) -> u64 {
        let passed = now.since(self.at).as_nanos();
        let halvings = passed / HALF_LIFE.as_nanos();
        if halvings >= 24 {
            return 0;
        }
        let whole = self.penalty >> halvings;
        let rest = passed % HALF_LIFE.as_nanos();
        whole - (u128::from(whole / 2) * u128::from(rest) / u128::from(HALF_LIFE.as_nanos())) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flap_doubles_the_hold_down_up_to_a_minute() {
        let mut d = FlapDamping::default();
        let now = Time::from_nanos(1);
        let holds: [u64; 8] = core::array::from_fn(|_| {
            d.down(now);
            d.hold_until().since(now).as_secs()
        });
        assert_eq!(holds, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn penalty_halves_each_minute_and_is_gone_in_the_end() {
        let mut d = FlapDamping::default();
        d.down(Time::ZERO);
        d.down(Time::ZERO);
        assert_eq!(d.milli(Time::ZERO), 2000);
        assert_eq!(d.milli(Time::ZERO + Span::from_secs(60)), 1000);
        assert_eq!(d.milli(Time::ZERO + Span::from_secs(30)), 1500);
        assert_eq!(d.milli(Time::ZERO + Span::from_secs(7200)), 0);
    }

    #[test]
    fn a_mistake_is_forgiven() {
        let mut d = FlapDamping::default();
        d.down(Time::ZERO);
        d.forgive(Time::ZERO);
        assert_eq!(d.milli(Time::ZERO), 0);
        assert_eq!(d.hold_until(), Time::ZERO);
    }
}
