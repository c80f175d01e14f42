//! The bridge with VLANs, which are told apart or not.

use alloc::vec::Vec;

use super::{Bridge, PeerPort};
use crate::{
    drop_reason::DropReason,
    ids::PeerId,
    l2::vlan::{MAX_VLAN, Switchport, VlanId, census::Census, membership::Membership, tag},
    status::{Port, VlanEntry},
};

impl Bridge {
    /// Says whether VLANs are told apart. Where that changes all that was learned is forgotten. At first they are not.
    pub fn set_vlan_filtering(&mut self, filtering: bool) {
        if filtering == self.filters_vlans() {
            return;
        }
        self.membership = filtering.then(|| {
            let mut members = Membership::new(self.flood_list.seat());
            for (slot, port) in self.peers.iter().enumerate() {
                if let Some(port) = port.as_ref().filter(|port| port.is_open()) {
                    members.enter(&port.switchport, PeerId(slot as u16), port.role());
                }
            }
            members
        });
        self.macs.clear_dynamic();
    }

    /// Whether VLANs are told apart.
    #[inline]
    pub const fn filters_vlans(&self) -> bool {
        self.membership.is_some()
    }

    /// Says which VLANs the TAP is in. Whether that is something new, so that what was learned behind it is forgotten.
    pub fn set_tap_switchport(&mut self, switchport: Switchport) -> bool {
        let forget = self.tap != switchport && self.filters_vlans();
        self.tap = switchport;
        if forget {
            self.macs.clear_dynamic_on(Port::Tap);
        }
        forget
    }

    /// The VLANs of a port. `None` where there is no such port.
    pub fn switchport(&self, port: Port) -> Option<&Switchport> {
        match port {
            Port::Tap => Some(&self.tap),
            Port::Peer(peer) => self.peer(peer).map(|port| &port.switchport),
        }
    }

    /// The VLAN of a frame: [`VlanId::NONE`] where they are not told apart.
    ///
    /// # Errors
    /// Those of [`tag::vlan_of`]; [`DropReason::PeerShutdown`] where there is no such port.
    pub fn vlan_of(&self, ingress: Port, frame: &[u8]) -> Result<VlanId, DropReason> {
        if !self.filters_vlans() {
            return Ok(VlanId::NONE);
        }
        let port = self.switchport(ingress).ok_or(DropReason::PeerShutdown)?;
        tag::vlan_of(port, frame)
    }

    /// Whether a port is in the VLAN.
    pub fn is_in(&self, port: Port, vlan: VlanId) -> bool {
        !self.filters_vlans() || self.switchport(port).is_some_and(|port| port.contains(vlan))
    }

    /// Whether a frame of `vlan` from `ingress` is flooded to `peer`, if that is to have it.
    pub fn reaches(&self, ingress: Port, vlan: VlanId, peer: PeerId) -> bool {
        self.may_flood_to(ingress, peer)
            && self.is_in(Port::Peer(peer), vlan)
            && self.peer(peer).is_some_and(PeerPort::is_open)
    }

    /// The VLANs that the TAP is in without a tag or that a peer which is up names, at most `most`; [`VlanId::NONE`] where they
    /// are not told apart.
    pub fn named_vlans(&self, most: usize) -> Vec<VlanId> {
        let Some(members) = &self.membership else {
            return [VlanId::NONE].into();
        };
        let mut named = members.named(most);
        if let Some(vlan) = self.tap.untagged()
            && let Err(at) = named.binary_search(&vlan)
        {
            named.insert(at, vlan);
            named.truncate(most);
        }
        named
    }

    /// VLANs from `from` on, at most `limit` of them, and where to go on: those that a port names, or in which an address was
    /// learned. A trunk that may have all of them names none. None where they are not told apart. In time proportional to the
    /// number of ports.
    pub fn vlans_page(&self, from: VlanId, limit: usize) -> (Vec<VlanEntry>, Option<VlanId>) {
        let Some(members) = &self.membership else {
            return (Vec::new(), None);
        };
        let census = Census::of(self.peers.iter().flatten().map(|port| &port.switchport));
        let is_named = |vlan: VlanId| {
            let names_it = |port: &Switchport| !port.has_all() && port.contains(vlan);
            census.is_named(vlan) || self.macs.vlan_len(vlan) > 0 || names_it(&self.tap)
        };
        let mut found = (from.0.max(1)..=MAX_VLAN)
            .map(VlanId)
            .filter(|vlan| is_named(*vlan));
        let page = found.by_ref().take(limit).map(|vlan| {
            let (untagged, tagged) = census.members(vlan);
            VlanEntry {
                vlan,
                tap: self.tap.contains(vlan).then(|| self.tap.is_tagged(vlan)),
                untagged,
                tagged,
                up: members.up(vlan),
                macs: self.macs.vlan_len(vlan),
            }
        });
        (page.collect(), found.next())
    }
}
