//! The bridge with peers that may not use whatever addresses they like.

use alloc::boxed::Box;
use core::net::IpAddr;

use super::Bridge;
use crate::{
    drop_reason::DropReason,
    ids::{MacAddr, PeerId},
    l2::{
        mac_table::Station,
        source_guard::{Admitted, GuardDrops, GuardRules, SourceGuard},
        vlan::VlanId,
    },
    status::Port,
    time::Time,
};

impl Bridge {
    /// Says what a peer may use. What was learned behind it is learned anew, where it may use other MAC addresses than before.
    pub(super) fn set_guard(&mut self, peer: PeerId, rules: Option<&GuardRules>) {
        let before = self.peer_mut(peer).and_then(|port| port.guard.take());
        let macs_before = before.as_ref().map(|guard| guard.rules().of_macs());
        if let Some(before) = &before {
            self.given.leave(peer, before.rules());
        }
        if let Some(rules) = rules {
            self.given.enter(peer, rules);
        }
        let forget = macs_before.unwrap_or_default() != rules.map(GuardRules::of_macs).unwrap_or_default();
        let guard = rules.map(|rules| {
            let mut guard = before.unwrap_or_default();
            if guard.rules() != rules {
                guard.set_rules(rules.clone());
            }
            guard
        });
        if let Some(port) = self.peer_mut(peer) {
            port.guard = guard;
        }
        if forget {
            self.macs.clear_dynamic_on(Port::Peer(peer));
        }
    }

    /// The guard of a peer, if it has one.
    pub fn guard(&self, peer: PeerId) -> Option<&SourceGuard> {
        self.peer(peer)?.guard.as_deref()
    }

    /// The peers to whom an IP address of `vlan` was given, in ascending order: one, or several if that was said of them.
    pub fn given_to(&self, vlan: VlanId, address: IpAddr) -> impl Iterator<Item = PeerId> {
        let in_vlan = move |peer: &PeerId| self.is_in(Port::Peer(*peer), vlan);
        self.given.to(address).filter(in_vlan)
    }

    /// Whether what a station behind `port` says of an IP address counts: nobody else was given it.
    pub fn may_be_at(&self, vlan: VlanId, address: IpAddr, port: Port) -> bool {
        let mut given = self.given_to(vlan, address).peekable();
        given.peek().is_none() || given.any(|peer| Port::Peer(peer) == port)
    }

    /// The station behind a peer that an IP address was given to, where there is no doubt: the only MAC address that it may
    /// have, or the only one that it has.
    pub fn only_station(&self, vlan: VlanId, peer: PeerId) -> Option<MacAddr> {
        let rules = self.guard(peer)?.rules();
        let mut said = rules.allowed_macs.iter().chain(&rules.static_macs);
        if let (Some(mac), None) = (said.next(), said.next()) {
            return Some(*mac);
        }
        match self.macs.stations(Port::Peer(peer), 2)[..] {
            [only] if only.vlan == vlan || only.vlan == VlanId::NONE => Some(only.mac),
            _ => None,
        }
    }

    /// Sets to zero what guards have dropped.
    pub fn clear_guard_drops(&mut self) {
        let ports = self.peers.iter_mut().flatten();
        for guard in ports.filter_map(|port| port.guard.as_mut()) {
            guard.clear_drops();
        }
    }

    /// What the guard of a peer has dropped.
    pub fn guard_drops(&self, peer: PeerId) -> GuardDrops {
        self.guard(peer).map(SourceGuard::drops).unwrap_or_default()
    }

    /// Whether addresses stick to the port.
    pub(super) fn has_sticky(&self, port: Port) -> bool {
        match port {
            Port::Tap => false,
            Port::Peer(peer) => self.guard(peer).is_some_and(|guard| guard.rules().sticky > 0),
        }
    }

    /// Another peer has the port: nothing sticks to it.
    pub(super) fn forget_sticky(&mut self, peer: PeerId) {
        if let Some(guard) = self.guard_mut(peer) {
            **guard = SourceGuard::new(guard.rules().clone());
        }
    }

    /// Learns from a frame of a peer that has a guard, if that lets it pass.
    #[inline(never)]
    pub(super) fn learn_guarded(
        &mut self,
        now: Time,
        peer: PeerId,
        station: Station,
        frame: &[u8],
    ) -> Result<(), DropReason> {
        let admitted = match self.guard_mut(peer) {
            Some(guard) => guard.admit(station.mac, frame)?,
            None => Admitted::Free,
        };
        self.learn(now, Port::Peer(peer), station, frame)?;
        if admitted == Admitted::Sticky {
            self.macs.stick(station, Port::Peer(peer));
            if let Some(guard) = self.guard_mut(peer) {
                guard.stick(station.mac);
            }
        }
        Ok(())
    }

    fn guard_mut(&mut self, peer: PeerId) -> Option<&mut Box<SourceGuard>> {
        self.peer_mut(peer)?.guard.as_mut()
    }
}
