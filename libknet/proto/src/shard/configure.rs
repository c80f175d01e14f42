//! What a shard is told to do, and what it is told of the host.

use alloc::{boxed::Box, sync::Arc};

use super::Shard;
use crate::{
    config::{DomainConfig, MtuPolicy, PeerConfig, PortConfig},
    event::SessionDownReason,
    handshake::message::Input,
    ids::{MacAddr, PeerId, SocketId},
    l2::{mac_table::StaticMacError, multicast::Protocol},
    offload::join::Joins,
    peer::Peer,
    status::Port,
    time::{Span, Time},
};

impl Shard {
    /// Adds a port or changes it: what the bridge has to know of a peer. Every worker has the ports of all peers, and
    /// has one before anything comes from its peer or goes to it: the owner before [`Shard::enter`].
    ///
    /// # Errors
    /// A static MAC address that another port has; nothing is changed then.
    pub fn set_port(&mut self, now: Time, id: PeerId, port: &PortConfig) -> Result<(), StaticMacError> {
        self.tick(now);
        self.bridge.set_port(now, id, port.isolate, &port.static_macs)?;
        if self.bridge.generation(Port::Peer(id)) != Some(port.generation) {
            self.bridge.set_generation(id, port.generation);
            self.end_floods(Port::Peer(id));
            self.forget_port(Port::Peer(id));
        }
        self.bridge.set_mesh(id, !port.spoke);
        if self.bridge.set_rules(id, &port.rules) {
            self.forget_port(Port::Peer(id));
        }
        let routers = [
            (Protocol::Igmp, port.rules.igmp_router),
            (Protocol::Mld, port.rules.mld_router),
        ];
        for (protocol, given) in routers {
            self.listeners.set_router(Port::Peer(id), protocol, given);
        }
        self.set_hub(id, port.hub.as_ref());
        Ok(())
    }

    /// Removes a port: the addresses behind it are forgotten. Its owner has let the peer go before ([`Shard::leave`]).
    pub fn remove_port(&mut self, now: Time, id: PeerId) {
        self.tick(now);
        self.set_hub(id, None);
        self.bridge.remove_peer(id);
        self.end_floods(Port::Peer(id));
        self.neighbors.remove_port(Port::Peer(id));
        self.listeners.remove_port(Port::Peer(id));
    }

    /// What stations behind a port have said is forgotten.
    pub(super) fn forget_port(&mut self, port: Port) {
        self.neighbors.remove_port(port);
        self.listeners.forget_port(port);
    }

    /// Adds a peer whose port is there, or changes it. What the change does not touch goes on undisturbed: other peers
    /// never notice, nor do links of this peer that stay as they are. A shard that does not own the peer does nothing.
    pub fn enter(&mut self, now: Time, id: PeerId, config: Arc<PeerConfig>) {
        self.tick(now);
        if !self.seat.owns(id) {
            return;
        }
        let index = usize::from(id.0);
        if index >= self.peers.len() {
            self.peers.resize_with(index + 1, || None);
        }
        let Some(slot) = self.peers.get_mut(index) else {
            return;
        };
        if let Some(peer) = slot {
            if peer.reconfigure(&mut self.env, config.clone()) {
                self.settle(id);
                return;
            }
            self.take_out(id);
        }
        self.env.outbox.handshake.push(Input::set_peer(id, &config));
        let peer = Box::new(Peer::new(id, config, &mut self.env));
        if let Some(slot) = self.peers.get_mut(index) {
            *slot = Some(peer);
        }
        self.env.status.peers += 1;
        self.settle(id);
    }

    /// Lets a peer go: its session is closed, its keys are erased. Its port stays.
    pub fn leave(&mut self, now: Time, id: PeerId) {
        self.tick(now);
        self.take_out(id);
    }

    /// Both the port and the peer, for a shard that is alone: [`Shard::set_port`] and [`Shard::enter`].
    ///
    /// # Errors
    /// A static MAC address that another port has; nothing is changed then.
    pub fn set_peer(
        &mut self,
        now: Time,
        id: PeerId,
        config: impl Into<Arc<PeerConfig>>,
    ) -> Result<(), StaticMacError> {
        let config = config.into();
        self.set_port(now, id, &config.port(0))?;
        self.enter(now, id, config);
        Ok(())
    }

    /// Both, for a shard that is alone: [`Shard::leave`] and [`Shard::remove_port`].
    pub fn remove_peer(&mut self, now: Time, id: PeerId) {
        self.leave(now, id);
        self.remove_port(now, id);
    }

    /// Changes what is done for the broadcast domain.
    pub fn set_domain(&mut self, now: Time, domain: &DomainConfig) {
        self.set_first_hop(domain.first_hop);
        self.listeners.set(domain.igmp_snooping, domain.mld_snooping);
        self.set_vlans(now, domain.vlan_filtering, domain.tap.clone());
        self.set_querier(domain);
        self.set_loop_guard_off(domain.loop_guard_off);
    }

    /// Changes how long learned addresses are kept.
    pub fn set_mac_ageing(&mut self, ageing: Span) {
        self.bridge.set_ageing(ageing);
        self.neighbors.set_ageing(ageing);
    }

    /// Says what the TAP takes in one piece. Until then: single frames.
    pub fn set_joins(&mut self, joins: Joins) {
        self.joins = joins;
    }

    /// From now on whatever a peer sends is for the TAP, and nothing is learned or relayed: for a program that plays the
    /// hosts at the other ends itself, and sends with [`Shard::send_frame_to`].
    pub fn do_without_bridge(&mut self) {
        self.bridged = false;
    }

    /// Changes what happens to packets that are too long.
    pub fn set_mtu_policy(&mut self, policy: MtuPolicy) {
        self.mtu_policy = policy;
    }

    /// MAC addresses that are always behind the TAP: first of all the TAP's own.
    ///
    /// # Errors
    /// An address that is configured behind a peer; nothing is changed then.
    pub fn set_tap_macs(&mut self, now: Time, macs: &[MacAddr]) -> Result<(), StaticMacError> {
        self.bridge.set_tap_macs(now, macs)?;
        self.set_querier_mac(macs.first().copied());
        Ok(())
    }

    /// The local address or interface of a socket came or went (netlink). A socket is taken to be up before
    /// anything else is said of it.
    pub fn handle_socket(&mut self, now: Time, socket: SocketId, up: bool) {
        self.tick(now);
        if self.env.socket_is_up(socket) == up {
            return;
        }
        self.env.set_socket(socket, up);
        for id in self.ids() {
            if let Some(peer) = self.peers.get_mut(usize::from(id.0)).and_then(Option::as_mut) {
                peer.socket_changed(&mut self.env, socket, up);
            }
            self.settle(id);
        }
    }

    /// The device that `socket` sends through takes packets of `mtu` bytes, or it is not known.
    pub fn set_socket_mtu(&mut self, now: Time, socket: SocketId, mtu: Option<u32>) {
        self.tick(now);
        match mtu {
            Some(mtu) => self.env.socket_mtus.insert(socket, mtu),
            None => self.env.socket_mtus.remove(&socket),
        };
        self.limits_changed();
    }

    fn take_out(&mut self, id: PeerId) {
        let Some(mut peer) = self.peers.get_mut(usize::from(id.0)).and_then(Option::take) else {
            return;
        };
        peer.close(&mut self.env, SessionDownReason::Configured);
        if let Some((timer, _)) = peer.timer.take() {
            self.wheel.remove(timer);
        }
        if core::mem::take(&mut peer.counted_up) {
            self.count_up(id, false);
        }
        for place in peer.places.iter().flatten() {
            self.places.remove(*place, id);
        }
        for state in peer.link_states() {
            self.env.status.links.leave(state);
        }
        self.tell_gone(&peer);
        self.release_indices();
        self.follow_paths(id);
        self.env.delivered.clear();
        self.env.outbox.handshake.push(Input::RemovePeer(id));
        self.env.status.peers = self.env.status.peers.saturating_sub(1);
    }
}
