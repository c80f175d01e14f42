//! Which VLANs a port is in: `switchport` of a peer, of a group, and of an interface for its TAP.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use crate::{
    edit::{Context, Leaf, Place},
    model::InterfaceConfig,
    problem::{Problem, Severity},
    value::ValueError,
};

/// The largest VLAN id (IEEE 802.1Q). 4095 is reserved.
pub const MAX_VLAN: u16 = 4094;
/// Different lists of VLANs of trunks that an interface can have: whoever floods looks at each of them.
pub const MAX_TRUNK_LISTS: usize = 256;

/// A set of VLANs. Copies share their memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VlanList(Arc<[(u16, u16)]>);

impl VlanList {
    /// Ranges that rise and do not touch, both ends included.
    pub fn ranges(&self) -> Arc<[(u16, u16)]> {
        Arc::clone(&self.0)
    }

    /// Whether the VLAN is in it.
    pub fn contains(&self, vlan: u16) -> bool {
        self.0
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&vlan))
    }

    fn of(mut ranges: Vec<(u16, u16)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::new();
        for (first, last) in ranges {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self(merged.into())
    }
}

impl fmt::Display for VlanList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self.0 == [(1, MAX_VLAN)] {
            return f.write_str("all");
        }
        for (index, (first, last)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for VlanList {
    type Err = ValueError;

    /// Reads `all` and lists as `1,10-20`, in any order.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text == "all" {
            return Ok(Self::of(vec![(1, MAX_VLAN)]));
        }
        let vlan = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            match text.parse::<u16>() {
                Ok(vlan) if digits && (1..=MAX_VLAN).contains(&vlan) => Ok(vlan),
                _ if digits => Err(ValueError("a VLAN is a number from 1 to 4094")),
                _ => Err(ValueError(
                    "a list of VLANs is numbers and ranges with commas between them",
                )),
            }
        };
        let range = |text: &str| match text.split_once('-') {
            None => vlan(text).map(|vlan| (vlan, vlan)),
            Some((first, last)) => match (vlan(first)?, vlan(last)?) {
                (first, last) if first <= last => Ok((first, last)),
                _ => Err(ValueError("a range begins with the smaller number")),
            },
        };
        text.split(',').map(range).collect::<Result<_, _>>().map(Self::of)
    }
}

/// Which VLANs a port is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Switchport {
    /// One, 1..=4094, whose frames have no tag.
    Access(u16),
    /// Several, whose frames have tags.
    Trunk {
        /// Which.
        allowed: VlanList,
        /// The one of them whose frames have no tag.
        native: Option<u16>,
    },
}

impl Switchport {
    /// Whether both are in some VLAN.
    pub fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Access(own), Self::Access(other)) => own == other,
            (Self::Access(vlan), Self::Trunk { allowed, .. })
            | (Self::Trunk { allowed, .. }, Self::Access(vlan)) => allowed.contains(*vlan),
            (Self::Trunk { allowed: own, .. }, Self::Trunk { allowed: other, .. }) => {
                let overlap =
                    |(first, last): &(u16, u16)| other.0.iter().any(|(a, b)| first <= b && a <= last);
                own.0.iter().any(overlap)
            }
        }
    }
}

impl Default for Switchport {
    fn default() -> Self {
        Self::Access(1)
    }
}

/// What is wrong with the `switchport` line of an object of `interface`.
pub(crate) fn check(
    interface: &InterfaceConfig,
    place: &Place,
    whose: impl Fn() -> String,
    switchport: Option<&Switchport>,
    problems: &mut Vec<Problem>,
) {
    let Some(switchport) = switchport else { return };
    let mut add = |severity, argument, text, expected: &str| {
        problems.push(Problem {
            severity,
            place: Some(Place {
                argument: Some(argument),
                ..place.clone()
            }),
            span: None,
            text,
            expected: Some(expected.to_owned()),
        });
    };
    if let Switchport::Trunk {
        allowed,
        native: Some(native),
    } = switchport
        && !allowed.contains(*native)
    {
        let text = format!(
            "the native VLAN {native} of {} is not among those it allows, {allowed}",
            whose()
        );
        let expected = format!("{native} in the list as well, or one of the list");
        add(Severity::Error, 2, text, &expected);
    }
    if !interface.vlan_filtering {
        let text = format!(
            "`switchport` of {} has no effect while the interface does not tell VLANs apart",
            whose()
        );
        add(Severity::Incomplete, 0, text, "`vlan filtering` in the interface");
    }
}

/// Whether the trunks of an interface have more different lists than [`MAX_TRUNK_LISTS`]; then how many. One look at all
/// peers.
pub(crate) fn too_many_lists(interface: &InterfaceConfig) -> Option<usize> {
    let peers = interface.peers.values().map(|peer| &peer.switchport);
    let groups = interface.groups.values().map(|group| &group.switchport);
    let lists = peers.chain(groups).filter_map(|switchport| match switchport {
        Some(Switchport::Trunk { allowed, .. }) => Some(allowed),
        _ => None,
    });
    let lists: BTreeSet<&VlanList> = lists.collect();
    (lists.len() > MAX_TRUNK_LISTS).then_some(lists.len())
}

/// The place of the line of an object.
pub(crate) fn place(context: Context) -> Place {
    Place::leaf(context, Leaf::Switchport)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<String, &'static str> {
        text.parse::<VlanList>()
            .map(|list| list.to_string())
            .map_err(|e| e.0)
    }

    #[test]
    fn a_list_is_written_in_one_way() {
        for (text, written) in [
            ("7", "7"),
            ("20-30,10,31,12-12", "10,12,20-31"),
            ("5-10,1-6", "1-10"),
            ("1-4094", "all"),
            ("all", "all"),
            ("1-2000,2001-4094", "all"),
        ] {
            assert_eq!(list(text).as_deref(), Ok(written), "{text}");
            assert_eq!(list(written).as_deref(), Ok(written));
        }
        for wrong in [
            "", ",", "1,", "0", "4095", "70000", "20-10", "1-", "-1", "a", "1 2", "+1", "1--2",
        ] {
            assert!(list(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports_meet_where_both_are() {
        let access = Switchport::Access;
        let trunk = |list: &str| Switchport::Trunk {
            allowed: list.parse().expect("a list"),
            native: None,
        };
        for (a, b, expected) in [
            (access(7), access(7), true),
            (access(7), access(8), false),
            (access(7), trunk("5-9"), true),
            (access(7), trunk("5,9"), false),
            (trunk("1-6,9"), trunk("7,9-11"), true),
            (trunk("1-6,9"), trunk("7,10-11"), false),
            (trunk("all"), trunk("4000"), true),
        ] {
            assert_eq!((a.meets(&b), b.meets(&a)), (expected, expected), "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_list_has_what_is_written() {
        let list: VlanList = "10,20-30".parse().expect("a list");
        for (vlan, expected) in [
            (9, false),
            (10, true),
            (11, false),
            (20, true),
            (30, true),
            (31, false),
        ] {
            assert_eq!(list.contains(vlan), expected, "{vlan}");
        }
    }
}
