//! How large a datagram one link carries in one direction, measured: packetization layer path MTU discovery for
//! datagram transports (DPLPMTUD, RFC 8899).
//!
//! Sizes are bytes of UDP payload: the largest datagram to send. The link is usable at [`base`] at once. Beyond
//! it only an acknowledged probe of that size counts; what cannot be authenticated (ICMP) may ask for a probe.
//!
//! | doing | probes | ends with |
//! |---|---|---|
//! | leap: on a new path | the limit, once | an acknowledgement, and then there is nothing left to try; or three round trips, 100 ms at least |
//! | verify: above the floor while nothing is proven, on a hint, on vanished data, when `CONFIRM` has passed | the size in use, RT apart | an acknowledgement; or after [`MAX_PROBES`] the base, or from there the floor |
//! | search: afterwards | the next of `RUNGS`, at the end the limit; then halfway between what passes and what does not | nothing left to try, or less than `RESOLUTION` |
//! | rest | none | use, and `CONFIRM` or the raise timer |
//!
//! A size that fails falls to the base and not to a smaller rung: what was proven before the path changed says
//! nothing about it now, the base works nearly everywhere, and from there each rung that works costs one round
//! trip. Raising waits 30 s at first and then twice as long each time up to RFC 8899's 600 s, because three lost
//! probes look like a size that does not pass.
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

mod limits;
mod search;

use crate::{
    on_demand::OnDemand,
    time::{Span, Time},
};
pub use limits::{LimitReason, Limits, base, floor};
use limits::{PackedLimits, headers};
use search::{Pending, Search, Size};

/// Probes of one size that go unanswered before it is taken not to pass (RFC 8899 section 5.1.2).
pub const MAX_PROBES: u8 = 3;
/// Least time to wait for the answer to a probe of the search.
///
/// RFC 8899 section 5.1.1 wants 1 s where nothing is known of the round trip. We measure it all the time and a
/// probe is answered at once; and a size that fails costs three of these, a search up to a dozen such sizes.
const PROBE_TIMER_MIN: Span = Span::from_millis(100);
/// A size in use is proven again this often (RFC 8899: `CONFIRMATION_TIMER`).
const CONFIRM: Span = Span::from_secs(30);
/// When a larger size is tried again: first, and at most (RFC 8899: `PMTU_RAISE_TIMER`).
const RAISE_FIRST: Span = Span::from_secs(30);
const RAISE_LAST: Span = Span::from_secs(600);
/// After so many doublings it is that.
const RAISE_DOUBLINGS: u8 = 5;
/// Data that vanished before the last proof, or just after it, is no reason to doubt it.
const DATA_GRACE: Span = Span::from_millis(200);
/// A hint costs nothing to forge; one verification per second is what it can make us do.
const HINT_GRACE: Span = Span::from_secs(1);
/// Probes per link: ten a second, and this many at once (limits: row 29).
const PROBE_INTERVAL: Span = Span::from_millis(100);
const PROBE_BURST: u64 = 16;
/// IP sizes that paths have: IPv6's minimum, tunnels (three), PPP over Ethernet, Ethernet, jumbo frames.
const RUNGS: [u16; 7] = [1_280, 1_400, 1_420, 1_472, 1_492, 1_500, 9_000];
/// The search ends when it knows the size to within this.
const RESOLUTION: u16 = 8;

/// A probe to be sent now, as [`crate::wire::control_record::Record::PmtuProbe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MtuProbe {
    /// Bytes of UDP payload of its datagram.
    pub size: u16,
    /// Comes back in the acknowledgement.
    pub id: u32,
}

/// The size in use on one link and direction, and the search for a better one.
#[derive(Debug)]
pub struct PathMtu {
    limits: PackedLimits,
    current: u16,
    ipv6: bool,
    /// `current` was acknowledged.
    proven: bool,
    /// `current` is to be proven before anything larger is tried.
    doubt: bool,
    /// A search has ended since the path was new, since there is use for more, and since a size that was in use
    /// stopped passing.
    measured: bool,
    /// It has mattered since it was proven last.
    used: bool,
    next_id: u32,
    /// When `current` was proven last.
    confirmed: Time,
    /// There is none where the limit passes and nothing is being asked, as on most links.
    search: OnDemand<Search>,
}

impl PathMtu {
    /// A link whose path nothing is known of.
    pub fn new(now: Time, ipv6: bool, limits: Limits) -> Self {
        let mut fresh = Self {
            limits: limits.into(),
            current: 0,
            ipv6,
            proven: false,
            doubt: false,
            measured: false,
            used: false,
            next_id: 0,
            confirmed: now,
            search: OnDemand::NONE,
        };
        fresh.begin(now);
        fresh
    }

    /// Nothing is known of the path, but for what was paid for probes.
    fn begin(&mut self, now: Time) {
        self.current = self.base();
        self.proven = false;
        self.doubt = self.current > self.floor();
        self.measured = false;
        self.used = false;
        self.confirmed = now;
        let paid = self.paid();
        *self.search.make() = Search {
            leap: true,
            active: true,
            paid,
            ..Search::default()
        };
    }

    /// The largest datagram to send, in bytes of UDP payload.
    pub const fn current(&self) -> usize {
        self.current as usize
    }

    /// The IP packet around it, in bytes.
    pub const fn packet(&self) -> u16 {
        self.current.saturating_add(headers(self.ipv6))
    }

    /// Why it is no larger.
    pub fn limit_reason(&self) -> LimitReason {
        let ip = |size: u16| u32::from(size).saturating_add(u32::from(headers(self.ipv6)));
        if self.is_searching() {
            return match self.hole() {
                Some(hole) => LimitReason::BlackHole { at: ip(hole) },
                None if self.proven => LimitReason::Searching,
                None => LimitReason::Base,
            };
        }
        match (self.refused(), self.limits.interface()) {
            (Some(refused), _) => LimitReason::Path {
                passes: ip(self.current),
                refused: ip(refused),
            },
            (None, Some(mtu)) if self.limit() < self.limits.largest_datagram => {
                LimitReason::Interface { mtu: mtu.into() }
            }
            _ => LimitReason::Tunnel,
        }
    }

    /// Whether the path is known to carry [`PathMtu::current`] and hardly more. That is not in doubt while more is
    /// tried once again. Of a black hole it is known at least that less passes.
    pub fn is_measured(&self) -> bool {
        self.measured || self.hole().is_some()
    }

    /// The next probe, if one is due. Call it when [`PathMtu::deadline`] has come and after everything else that
    /// changes it, as long as the link is up; a returned probe counts as sent now. `srtt` is the smoothed
    /// round-trip time, if measured; `report_timeout` is RT, which an answered probe stays below.
    pub fn poll(&mut self, now: Time, srtt: Option<Span>, report_timeout: Span) -> Option<MtuProbe> {
        let pending = self.pending();
        if let Some(pending) = pending {
            if now < pending.answer_by {
                return None;
            }
            if pending.leap {
                self.ask_no_more();
            } else if pending.is_last() {
                self.failed(pending.size);
            }
        }
        let leap = self.pending().is_none() && self.leaps();
        let (size, tries) = match self.pending() {
            Some(pending) => (pending.size, pending.tries),
            None if leap => (self.limit(), 0),
            None => (self.next_size(now)?, 0),
        };
        if now < self.allowed_at() {
            return None;
        }
        let patience = if size <= self.current {
            report_timeout
        } else {
            let three_trips = srtt.map_or(Span::ZERO, |s| s.times(3));
            three_trips.max(report_timeout).max(PROBE_TIMER_MIN)
        };
        let search = self.search.make();
        search.leap = false;
        search.paid = search.paid.max(now) + PROBE_INTERVAL;
        search.pending = Some(Pending {
            size,
            tries: tries.saturating_add(1),
            leap,
            answer_by: now + patience,
        });
        search.sent.rotate_right(1);
        if let Some(slot) = search.sent.first_mut() {
            *slot = Size::of(size);
        }
        let probe = MtuProbe {
            size,
            id: self.next_id,
        };
        self.next_id = self.next_id.wrapping_add(1);
        Some(probe)
    }

    /// When [`PathMtu::poll`] is to be called next; [`Time::NEVER`] while the link rests unused.
    pub fn deadline(&self) -> Time {
        let wanted = match self.pending() {
            Some(pending) if pending.is_last() => return pending.answer_by,
            Some(pending) => pending.answer_by,
            None if self.doubt || self.is_searching() => Time::ZERO,
            None => self.confirm_at().min(self.raise_at()),
        };
        wanted.max(self.allowed_at())
    }

    /// The peer acknowledges a probe. Late is as good as in time; an acknowledgement of nothing that was sent
    /// changes nothing.
    pub fn acked(&mut self, now: Time, size: u16, id: u32) {
        let before = self.next_id.wrapping_sub(id).wrapping_sub(1);
        let limit = self.limit();
        let Some(search) = self.search.get_mut() else {
            return;
        };
        let slot = usize::try_from(before).ok().and_then(|n| search.sent.get_mut(n));
        let Some(slot) = slot.filter(|slot| slot.get() == Some(size)) else {
            return;
        };
        *slot = Size::NONE;
        if size < self.current || size > limit {
            return;
        }
        if size > self.current {
            self.current = size;
            search.raise_doublings = 0;
        }
        self.proven = true;
        self.doubt = false;
        self.confirmed = now;
        self.used = false;
        let still = |s: u16| s > size;
        search.refused = search.refused.filter(still);
        search.retry = search.retry.filter(still);
        search.hole = search.hole.filter(still);
        search.pending = search.pending.filter(|p| p.size > size);
        if size == limit {
            // There is nothing left to try, and nothing to remember once what was sent is paid for.
            self.measured = true;
            search.active = false;
            search.leap = false;
            self.shed(now);
        }
    }

    /// Gives back what a link whose limit passes does not need.
    pub fn shed(&mut self, now: Time) {
        let done = |s: &Search| !s.active && s.pending.is_none() && s.paid <= now + PROBE_INTERVAL;
        if self.proven && self.current == self.limit() && self.search.get().is_some_and(done) {
            self.search.clear();
        }
    }

    /// A datagram larger than [`floor`] has left on the link, or something was split for it. A size that nobody
    /// uses is neither confirmed nor raised: most links of a hub are idle. Returns true if the deadline has come
    /// closer.
    pub fn used(&mut self) -> bool {
        !core::mem::replace(&mut self.used, true)
    }

    /// The kernel refused to send a datagram of `size` (`EMSGSIZE`). That is not hearsay: it counts at once.
    pub fn too_big(&mut self, size: u16) {
        if size <= self.current {
            self.fall(size);
        } else if size <= self.limit() {
            let search = self.search.make();
            search.refused = Size::of(search.refused.get().map_or(size, |r| r.min(size)));
            search.pending = search.pending.filter(|p| p.size < size);
            search.retry = search.retry.filter(|r| r < size);
        }
    }

    /// ICMP claims that the path carries no more than `mtu` bytes of IP. Anybody can say that: if it is news, it
    /// makes us prove the size in use again, and nothing else.
    pub fn hint(&mut self, now: Time, mtu: u32) {
        let claimed = mtu.saturating_sub(u32::from(headers(self.ipv6)));
        if claimed < u32::from(self.current) {
            self.verify(now, HINT_GRACE);
        }
    }

    /// Large data has vanished while smaller arrived (see [`super::large_watch`]): prove the size in use at once.
    pub fn black_hole(&mut self, now: Time) {
        if self.verify(now, DATA_GRACE) {
            self.ask_no_more();
        }
    }

    /// The interface's MTU or the tunnel's largest frame has changed.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits.into();
        let limit = self.limit();
        self.current = self.current.min(limit).max(self.floor());
        self.doubt &= self.current > self.floor();
        if let Some(search) = self.search.get_mut() {
            search.refused = search.refused.filter(|r| r <= limit);
            search.retry = search.retry.filter(|r| r <= limit);
            search.pending = search.pending.filter(|p| p.size <= limit);
        }
        if self.current < limit && self.refused().is_none() {
            let search = self.search.make();
            search.leap |= !search.active;
            search.active = true;
            self.measured = false;
        }
    }

    /// The link is in doubt or down: what is on its way proves nothing. Do not poll until it is up again.
    pub fn pause(&mut self) {
        self.ask_no_more();
    }

    /// The link is up again, and its path may have changed: prove the size in use, then search anew.
    pub fn restart(&mut self) {
        self.doubt = self.current > self.floor();
        let search = self.search.make();
        search.pending = None;
        search.again();
        search.raise_doublings = 0;
    }

    /// The link leads to another address: nothing is known. Ids go on, so that no acknowledgement from the old path fits a
    /// new probe; nor is the pace forgotten.
    pub fn reset(&mut self, now: Time, ipv6: bool) {
        self.ipv6 = ipv6;
        self.begin(now);
    }

    // ---- what to probe ------------------------------------------------------------------------------

    fn is_searching(&self) -> bool {
        self.search.get().is_some_and(|search| search.active)
    }

    fn pending(&self) -> Option<Pending> {
        self.search.get()?.pending
    }

    fn refused(&self) -> Option<u16> {
        self.search.get()?.refused.get()
    }

    fn hole(&self) -> Option<u16> {
        self.search.get()?.hole.get()
    }

    fn ask_no_more(&mut self) {
        if let Some(search) = self.search.get_mut() {
            search.pending = None;
        }
    }

    fn limit(&self) -> u16 {
        self.limits.datagram(self.ipv6)
    }

    fn base(&self) -> u16 {
        base(self.ipv6).min(self.limit())
    }

    /// What passes whatever the path, in bytes of UDP payload.
    pub fn floor(&self) -> u16 {
        floor(self.ipv6).min(self.limit())
    }

    /// Up to when probes are paid for.
    fn paid(&self) -> Time {
        self.search.get().map_or(Time::ZERO, |search| search.paid)
    }

    fn allowed_at(&self) -> Time {
        self.paid() - PROBE_INTERVAL.times(PROBE_BURST.saturating_sub(1))
    }

    fn confirm_at(&self) -> Time {
        if self.used && self.current > self.floor() {
            self.confirmed + CONFIRM
        } else {
            Time::NEVER
        }
    }

    fn raise_at(&self) -> Time {
        match self.search.get() {
            Some(search) if self.used && self.current < self.limit() => search.raise_at,
            _ => Time::NEVER,
        }
    }

    fn leaps(&self) -> bool {
        let wanted = |search: &Search| search.leap && search.active && search.refused.get().is_none();
        self.search.get().is_some_and(wanted) && self.limit() > self.current
    }

    fn next_size(&mut self, now: Time) -> Option<u16> {
        if now >= self.raise_at() && !self.is_searching() {
            self.search.make().again();
        }
        if self.is_searching() && !self.doubt {
            if let Some(larger) = self.larger() {
                return Some(larger);
            }
            self.measured = true;
            let search = self.search.make();
            search.active = false;
            search.hole = Size::NONE;
            search.raise_at = now + RAISE_FIRST.times(1 << search.raise_doublings).min(RAISE_LAST);
            search.raise_doublings = search.raise_doublings.saturating_add(1).min(RAISE_DOUBLINGS);
        }
        self.doubt |= now >= self.confirm_at();
        self.doubt.then_some(self.current)
    }

    /// The next size to try above the one in use.
    fn larger(&self) -> Option<u16> {
        let search = self.search.get()?;
        let top = search.refused.get().map_or(self.limit(), |r| r.saturating_sub(1));
        if top <= self.current {
            return None;
        }
        if let Some(retry) = search.retry.get() {
            return Some(retry);
        }
        let rungs = RUNGS.map(|r| r.saturating_sub(headers(self.ipv6)));
        let mut usual = core::iter::once(self.base()).chain(rungs);
        if let Some(rung) = usual.find(|r| *r > self.current && *r <= top) {
            return Some(rung);
        }
        let Some(refused) = search.refused.get() else {
            return Some(top);
        };
        let gap = refused.saturating_sub(self.current);
        (gap >= RESOLUTION).then(|| self.current.saturating_add(gap / 2))
    }

    /// Returns true if the size in use is in doubt from now on. It is not if it was proven within `grace`.
    fn verify(&mut self, now: Time, grace: Span) -> bool {
        let news = !self.doubt && self.current > self.floor() && now.since(self.confirmed) >= grace;
        self.doubt |= news;
        news
    }

    /// No probe of `size` was answered.
    fn failed(&mut self, size: u16) {
        if size > self.current {
            let search = self.search.make();
            search.pending = None;
            search.refused = Size::of(size);
            search.retry = Size::NONE;
        } else {
            if self.proven {
                self.search.make().hole = Size::of(size);
            }
            self.fall(size);
        }
    }

    /// `size`, which was in use, does not pass.
    fn fall(&mut self, size: u16) {
        self.current = if self.base() < size {
            self.base()
        } else {
            self.floor()
        };
        self.proven = false;
        self.measured = false;
        self.doubt = self.current > self.floor();
        let search = self.search.make();
        *search = Search {
            active: true,
            refused: Size::of(size).filter(|s| s > self.current),
            hole: search.hole,
            sent: search.sent,
            paid: search.paid,
            raise_at: search.raise_at,
            ..Search::default()
        };
    }
}

#[cfg(test)]
mod tests;
