//! What a search for a larger size is about, and what it has found: there is none where the limit passes.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use core::num::NonZeroU16;

use super::MAX_PROBES;
use crate::time::Time;

/// Probes whose acknowledgement is accepted even if it is late.
const REMEMBERED: usize = 4;

/// The search for a better size, and what it has found to be too large.
#[derive(Clone, Debug)]
pub(super) struct Search {
    /// The limit is to be tried once before anything else.
    pub(super) leap: bool,
    pub(super) active: bool,
    /// So many times the pause before a larger size is tried again has doubled.
    pub(super) raise_doublings: u8,
    /// The smallest size above the current one that is taken not to pass.
    pub(super) refused: Size,
    /// What did not pass last time: the first to try in this search.
    pub(super) retry: Size,
    /// The proven size that stopped passing.
    pub(super) hole: Size,
    pub(super) pending: Option<Pending>,
    /// The sizes of the last probes whose acknowledgement is still accepted, the latest first: their ids are those before
    /// the next one.
    pub(super) sent: [Size; REMEMBERED],
    /// Probes are paid for up to then.
    pub(super) paid: Time,
    pub(super) raise_at: Time,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            leap: false,
            active: false,
            raise_doublings: 0,
            refused: Size::NONE,
            retry: Size::NONE,
            hole: Size::NONE,
            pending: None,
            sent: [Size::NONE; REMEMBERED],
            paid: Time::ZERO,
            raise_at: Time::NEVER,
        }
    }
}

impl Search {
    pub(super) fn again(&mut self) {
        self.active = true;
        let refused = core::mem::take(&mut self.refused);
        if refused.get().is_some() {
            self.retry = refused;
        }
    }
}

/// A size, or none, which is 0, in the room of one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size(Option<NonZeroU16>);

impl Size {
    pub(super) const NONE: Self = Self(None);

    pub(super) const fn of(size: u16) -> Self {
        Self(NonZeroU16::new(size))
    }

    pub(super) fn get(self) -> Option<u16> {
        self.0.map(NonZeroU16::get)
    }

    pub(super) fn filter(self, keep: impl Fn(u16) -> bool) -> Self {
        Self(self.0.filter(|size| keep(size.get())))
    }
}

/// The probe that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) size: u16,
    pub(super) tries: u8,
    /// Nothing follows from it if it is not answered.
    pub(super) leap: bool,
    pub(super) answer_by: Time,
}

impl Pending {
    /// Whether it is not sent again.
    pub(super) const fn is_last(&self) -> bool {
        self.leap || self.tries >= MAX_PROBES
    }
}
