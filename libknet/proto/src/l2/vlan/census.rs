//! How many ports are in each VLAN: for whoever asks, not for frames.

use alloc::{collections::BTreeMap, vec, vec::Vec};

use super::{MAX_VLAN, Switchport, VlanId, VlanRanges};

/// The numbers of ports by VLAN.
#[derive(Debug)]
pub(in crate::l2) struct Census {
    /// Without tags, by VLAN.
    untagged: Vec<u32>,
    /// In all, by VLAN; with and without tags.
    all: Vec<u32>,
    /// Of these, those of ports that do not have all VLANs.
    naming: Vec<u32>,
}

impl Census {
    pub(in crate::l2) fn of<'a>(ports: impl Iterator<Item = &'a Switchport>) -> Self {
        let none = || vec![0; usize::from(MAX_VLAN) + 1];
        let mut census = Self {
            untagged: none(),
            all: none(),
            naming: none(),
        };
        let mut trunks: BTreeMap<&VlanRanges, u32> = BTreeMap::new();
        for port in ports {
            if let Some(vlan) = port.untagged().filter(|vlan| port.contains(*vlan)) {
                add(&mut census.untagged, vlan.0, 1);
            }
            match port {
                Switchport::Access(vlan) => census.add(vlan.0, 1, true),
                Switchport::Trunk { allowed, .. } => *trunks.entry(allowed).or_default() += 1,
            }
        }
        for (ranges, count) in trunks {
            let names = **ranges != [(1, MAX_VLAN)];
            for (first, last) in ranges.iter() {
                (*first..=*last).for_each(|vlan| census.add(vlan, count, names));
            }
        }
        census
    }

    /// Whether a port is in it that is not in all.
    pub(in crate::l2) fn is_named(&self, vlan: VlanId) -> bool {
        at(&self.naming, vlan) > 0 || at(&self.untagged, vlan) > 0
    }

    /// Ports in it without tags, and with tags.
    pub(in crate::l2) fn members(&self, vlan: VlanId) -> (u32, u32) {
        let untagged = at(&self.untagged, vlan);
        (untagged, at(&self.all, vlan) - untagged)
    }

    fn add(&mut self, vlan: u16, count: u32, names: bool) {
        add(&mut self.all, vlan, count);
        if names {
            add(&mut self.naming, vlan, count);
        }
    }
}

fn add(counts: &mut [u32], vlan: u16, count: u32) {
    if let Some(sum) = counts.get_mut(usize::from(vlan)) {
        *sum += count;
    }
}

fn at(counts: &[u32], vlan: VlanId) -> u32 {
    counts.get(usize::from(vlan.0)).copied().unwrap_or_default()
}
