//! Which addresses a peer may use, and whether it may be a multicast router, as a switch says it of a port (port security, IP
//! source guard, dynamic ARP inspection, router guard).
//!
//! What is said is the same at every worker. Which MAC addresses stick is found out where the frames of the peer come in, by
//! the worker that owns it.

mod claims;
mod given;

use alloc::{collections::BTreeMap, vec::Vec};
use core::net::IpAddr;

use crate::{
    drop_reason::DropReason,
    ids::MacAddr,
    l2::first_hop::{self, Role},
};

pub use given::Given;

/// MAC addresses that a peer may be allowed, of its own and of its group's lines (limits: row 30).
pub const MAX_ALLOWED_MACS: usize = 128;

/// Addresses and networks that a peer may be given, of its own and of its group's lines, or of its certificate or its
/// invitation and its group's lines; and out of pools one of each version (limits: row 36).
pub const MAX_GIVEN: usize = 130;

/// An address, or a network of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IpNetwork {
    /// The address, or the first one of the network.
    pub address: IpAddr,
    /// Leading bits that all of them have in common, 0..=32 or 0..=128.
    pub length: u8,
}

impl IpNetwork {
    /// Whether `address` is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let length = u32::from(self.length);
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = (own.to_bits() ^ other.to_bits()).leading_zeros();
                differ >= length.min(32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = (own.to_bits() ^ other.to_bits()).leading_zeros();
                differ >= length.min(128)
            }
            _ => false,
        }
    }

    /// The address, where it is a single one.
    pub const fn host(&self) -> Option<IpAddr> {
        match (self.address, self.length) {
            (IpAddr::V4(_), 32) | (IpAddr::V6(_), 128) => Some(self.address),
            _ => None,
        }
    }
}

/// What a peer may use. Where nothing is said there is none of this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardRules {
    /// The only MAC addresses that it may send from, in ascending order, besides [`Self::static_macs`]. Empty: any.
    pub allowed_macs: Vec<MacAddr>,
    /// So many MAC addresses stick: the first that it sends from stay its own, and are all that it may use. 0: none does.
    pub sticky: u16,
    /// Those that are configured to be behind it, in ascending order: it may use them whatever else is said.
    pub static_macs: Vec<MacAddr>,
    /// The IP addresses that were given to it.
    pub bindings: Vec<IpNetwork>,
    /// IP packets come from these only.
    pub verify_source: bool,
    /// ARP and neighbour discovery claim these only.
    pub arp_inspection: bool,
    /// ARP and neighbour discovery name the MAC address that their frame comes from, and no other.
    pub validate_source_mac: bool,
    /// It is no multicast router: see [`Role::MulticastRouter`].
    pub router_guard: bool,
}

impl GuardRules {
    /// The part that is about MAC addresses; nothing, where it may use any.
    pub fn of_macs(&self) -> (&[MacAddr], u16, &[MacAddr]) {
        let fixed = if self.restricts_macs() {
            &self.static_macs[..]
        } else {
            &[]
        };
        (&self.allowed_macs, self.sticky, fixed)
    }

    /// Whether it may not send from whatever MAC address it likes.
    pub fn restricts_macs(&self) -> bool {
        self.sticky > 0 || !self.allowed_macs.is_empty()
    }

    /// # Errors
    /// [`DropReason::RouterGuard`].
    fn check_role(&self, frame: &[u8]) -> Result<(), DropReason> {
        let is_guarded = self.router_guard
            && matches!(
                first_hop::role_of(frame),
                Some(Role::MulticastRouter | Role::Hidden)
            );
        if is_guarded {
            Err(DropReason::RouterGuard)
        } else {
            Ok(())
        }
    }

    fn allows(&self, mac: MacAddr) -> bool {
        self.allowed_macs.is_empty() || self.allowed_macs.binary_search(&mac).is_ok()
    }
}

/// Frames of a peer that were dropped because of what it may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuardDrops {
    /// From MAC addresses that it may not use.
    pub macs: u64,
    /// IP packets from addresses that were not given to it.
    pub sources: u64,
    /// ARP and neighbour discovery that claimed addresses that were not given to it.
    pub claims: u64,
    /// What only a multicast router sends.
    pub routers: u64,
}

/// What is to become of a MAC address that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is learned as ever.
    Free,
    /// It sticks.
    Sticky,
}

/// The guard of one peer.
#[derive(Clone, Debug, Default)]
pub struct SourceGuard {
    rules: GuardRules,
    /// Those that stick, each with how many came before it. At most [`GuardRules::sticky`].
    sticky: BTreeMap<MacAddr, u32>,
    drops: GuardDrops,
}

impl SourceGuard {
    /// One that has seen nothing yet.
    pub fn new(rules: GuardRules) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    /// What it goes by.
    pub const fn rules(&self) -> &GuardRules {
        &self.rules
    }

    /// What was dropped.
    pub const fn drops(&self) -> GuardDrops {
        self.drops
    }

    /// Sets that to zero.
    pub fn clear_drops(&mut self) {
        self.drops = GuardDrops::default();
    }

    /// The addresses that stick, in the order in which they came.
    pub fn sticky(&self) -> Vec<MacAddr> {
        let mut all: Vec<(u32, MacAddr)> = self.sticky.iter().map(|(mac, nth)| (*nth, *mac)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, mac)| mac).collect()
    }

    /// Goes by other rules. What sticks stays as far as they let it, and then what came first.
    pub fn set_rules(&mut self, rules: GuardRules) {
        self.rules = rules;
        let stay = self.sticky().into_iter().filter(|mac| self.rules.allows(*mac));
        let stay = stay.take(usize::from(self.rules.sticky));
        self.sticky = stay.zip(0..).collect();
    }

    /// Whether a frame may come from the peer, and what becomes of its `source`; counted where it may not.
    ///
    /// # Errors
    /// [`DropReason::PortSecurity`], [`DropReason::RouterGuard`], [`DropReason::SourceGuard`] or [`DropReason::ArpInspection`].
    pub fn admit(&mut self, source: MacAddr, frame: &[u8]) -> Result<Admitted, DropReason> {
        let admitted = self.judge(source).ok_or(DropReason::PortSecurity);
        let checked = |()| self.rules.check(frame);
        let admitted =
            admitted.and_then(|admitted| self.rules.check_role(frame).and_then(checked).map(|()| admitted));
        let count = match admitted {
            Ok(_) => return admitted,
            Err(DropReason::PortSecurity) => &mut self.drops.macs,
            Err(DropReason::ArpInspection) => &mut self.drops.claims,
            Err(DropReason::RouterGuard) => &mut self.drops.routers,
            Err(_) => &mut self.drops.sources,
        };
        *count = count.saturating_add(1);
        admitted
    }

    fn judge(&self, source: MacAddr) -> Option<Admitted> {
        if !self.rules.restricts_macs() || self.rules.static_macs.binary_search(&source).is_ok() {
            return Some(Admitted::Free);
        }
        if !self.rules.allows(source) {
            return None;
        }
        if self.rules.sticky == 0 {
            return Some(Admitted::Free);
        }
        let has_room = self.sticky.len() < usize::from(self.rules.sticky);
        (has_room || self.sticky.contains_key(&source)).then_some(Admitted::Sticky)
    }

    /// An address that was [admitted](Self::admit) to stick is behind the peer.
    pub fn stick(&mut self, mac: MacAddr) {
        let nth = self.sticky.len();
        if nth < usize::from(self.rules.sticky) {
            // None is ever taken out alone, so the numbers rise.
            self.sticky.entry(mac).or_insert(nth as u32);
        }
    }
}

#[cfg(test)]
mod tests;
