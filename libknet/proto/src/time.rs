//! Points in time and spans of time, in nanoseconds of a clock that never goes back; and the time of day.
//!
//! Nothing here can obtain "now": the caller passes it in.

use core::{
    num::NonZeroU64,
    ops::{Add, Sub},
};

/// A point in time: nanoseconds since an arbitrary start (on Linux: `CLOCK_BOOTTIME`).
///
/// Kept as one more, so that an `Option` of it is no longer: there are many of them in what each link and peer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(NonZeroU64);

/// A length of time in nanoseconds, never negative. Arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

/// A span in half of the room: up to 85 s, in steps of 20 ns. For what is kept of each link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShortSpan(u32);

/// The time of day (`CLOCK_REALTIME`), which steps and may be wrong by years. Used only as the time stamp of
/// a handshake; every timer uses [`Time`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallClock {
    secs: i64,
    nanos: u32,
}

impl WallClock {
    /// `secs` seconds and `nanos` nanoseconds (0..=999,999,999; more is cut to that) after 1970-01-01 00:00 UTC.
    pub const fn from_unix(secs: i64, nanos: u32) -> Self {
        Self {
            secs,
            nanos: if nanos > 999_999_999 { 999_999_999 } else { nanos },
        }
    }

    /// This point moved forward by `span`, saturating.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        let nanos = self.nanos as u64 + span.0 % 1_000_000_000;
        let secs = (span.0 / 1_000_000_000 + nanos / 1_000_000_000) as i64;
        Self {
            secs: self.secs.saturating_add(secs),
            nanos: (nanos % 1_000_000_000) as u32,
        }
    }

    /// As a TAI64N label: later points compare greater byte by byte. TAI is taken to be UTC + 10 s, as is
    /// usual where only the order matters.
    pub fn to_tai64n(self) -> [u8; 12] {
        let secs = self.secs.saturating_add((1 << 62) + 10) as u64;
        let label = (u128::from(secs) << 32 | u128::from(self.nanos)).to_be_bytes();
        let [_, _, _, _, label @ ..] = label;
        label
    }
}

impl Time {
    /// The start of the clock.
    pub const ZERO: Self = Self(NonZeroU64::MIN);
    /// Later than anything that happens.
    pub const NEVER: Self = Self(NonZeroU64::MAX);

    /// The point `nanos` nanoseconds after the start of the clock.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// Nanoseconds since the start of the clock.
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// Microseconds since the start of the clock, modulo 2^32: the unit of `t_tx` and `t_rx` on the wire.
    pub const fn wire_micros(self) -> u32 {
        (self.as_nanos() / 1_000) as u32
    }

    /// Time passed since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl Default for Time {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest span.
    pub const MAX: Self = Self(u64::MAX);

    /// A span of `n` nanoseconds.
    pub const fn from_nanos(n: u64) -> Self {
        Self(n)
    }

    /// A span of `n` microseconds.
    pub const fn from_micros(n: u64) -> Self {
        Self(n.saturating_mul(1_000))
    }

    /// A span of `n` milliseconds.
    pub const fn from_millis(n: u64) -> Self {
        Self(n.saturating_mul(1_000_000))
    }

    /// A span of `n` seconds.
    pub const fn from_secs(n: u64) -> Self {
        Self(n.saturating_mul(1_000_000_000))
    }

    /// In nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// In whole microseconds, rounded down.
    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }

    /// In whole milliseconds, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// In whole seconds, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// `self * n`, saturating.
    #[must_use]
    pub const fn times(self, n: u64) -> Self {
        Self(self.0.saturating_mul(n))
    }

    /// `self / n`; `n` of zero counts as one.
    #[must_use]
    pub const fn divided_by(self, n: u64) -> Self {
        Self(self.0 / if n == 0 { 1 } else { n })
    }
}

impl ShortSpan {
    const STEP: u64 = 20;

    /// As much of `span` as can be said, rounded down.
    pub const fn of(span: Span) -> Self {
        let steps = span.0 / Self::STEP;
        Self(if steps > u32::MAX as u64 {
            u32::MAX
        } else {
            steps as u32
        })
    }

    /// The span that it is.
    pub const fn span(self) -> Span {
        Span(self.0 as u64 * Self::STEP)
    }

    /// The span that it is, where none at all stands for nothing known.
    pub const fn known(self) -> Option<Span> {
        if self.0 == 0 { None } else { Some(self.span()) }
    }
}

impl Add<Span> for Time {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Time {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self::from_nanos(self.as_nanos().saturating_sub(span.0))
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Span {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}
