//! VLANs: one interface as up to 4094 bridge domains (IEEE 802.1Q, a bridge that knows customer tags).
//!
//! Each port is in some of them. A frame belongs to the VLAN that its tag names, or, without one, to the untagged VLAN of the
//! port that it comes in by; it goes to no port that is not in that VLAN, and leaves without a tag where the VLAN is that
//! port's untagged one. Service tags (0x88a8) are no customer tags: such a frame has none, and what it carries is left alone.

pub(super) mod census;
pub(super) mod membership;
pub mod tag;

use alloc::sync::Arc;

/// The largest VLAN id. 4095 is reserved.
pub const MAX_VLAN: u16 = 4094;

/// A VLAN, 1..=4094.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VlanId(pub u16);

impl VlanId {
    /// No VLAN: where they are not told apart, all frames are in this one.
    pub const NONE: Self = Self(0);
    /// What a port is in where nothing is said.
    pub const DEFAULT: Self = Self(1);
}

/// A set of VLANs, as ranges that rise and do not touch, both ends included. Many ports have the same one.
pub type VlanRanges = Arc<[(u16, u16)]>;

/// Which VLANs a port is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Switchport {
    /// One, whose frames have no tag here.
    Access(VlanId),
    /// Several, whose frames have a tag here.
    Trunk {
        /// Which.
        allowed: VlanRanges,
        /// The one of them whose frames have none. Without it frames without a tag are not taken.
        native: Option<VlanId>,
    },
}

impl Default for Switchport {
    fn default() -> Self {
        Self::Access(VlanId::DEFAULT)
    }
}

impl Switchport {
    /// Whether it is in `vlan`.
    pub fn contains(&self, vlan: VlanId) -> bool {
        match self {
            Self::Access(access) => *access == vlan,
            Self::Trunk { allowed, .. } => contains(allowed, vlan),
        }
    }

    /// Whether it may have every VLAN.
    pub fn has_all(&self) -> bool {
        matches!(self, Self::Trunk { allowed, .. } if **allowed == [(1, MAX_VLAN)])
    }

    /// The VLAN of frames without a tag.
    pub const fn untagged(&self) -> Option<VlanId> {
        match self {
            Self::Access(access) => Some(*access),
            Self::Trunk { native, .. } => *native,
        }
    }

    /// Whether the frames of `vlan` leave it with a tag.
    pub fn is_tagged(&self, vlan: VlanId) -> bool {
        self.untagged() != Some(vlan)
    }
}

fn contains(ranges: &[(u16, u16)], vlan: VlanId) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= vlan.0);
    let range = after.checked_sub(1).and_then(|at| ranges.get(at));
    range.is_some_and(|(_, last)| vlan.0 <= *last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_trunk_has_what_its_ranges_have(
            bounds in prop::collection::btree_set(1_u16..=MAX_VLAN, 0..40), vlan in 0_u16..=4095,
        ) {
            let bounds: std::vec::Vec<u16> = bounds.into_iter().collect();
            let ranges: std::vec::Vec<(u16, u16)> = bounds.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            let expected = ranges.iter().any(|(first, last)| (*first..=*last).contains(&vlan));
            let trunk = Switchport::Trunk { allowed: ranges.into(), native: None };
            prop_assert_eq!(trunk.contains(VlanId(vlan)), expected);
            prop_assert!(trunk.is_tagged(VlanId(vlan)));
        }
    }
}
