//! Changes as transactions: whatever can fail is done here, on the caller's thread, and undone where a later step fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use knet_io::{
    netlink::Netlink,
    udp::{BindError, UdpOptions, UdpSocket},
};
use knet_proto::{
    config::TapMtu,
    ids::{MacAddr, PeerId, SocketId},
};

use crate::{
    interface::ApplyError,
    setup::{Change, Offloads, SocketSetup},
    worker::{Prepared, SocketChange},
};

/// What is in force, as far as changes need to know it.
pub(crate) struct Control {
    name: String,
    ifindex: u32,
    netlink: Netlink,
    offloads: Offloads,
    state: State,
}

#[derive(Clone, Default)]
struct State {
    sockets: BTreeMap<SocketId, (SocketSetup, Arc<UdpSocket>)>,
    addresses: BTreeSet<(IpAddr, u8)>,
    mac: MacAddr,
    mtu: Option<TapMtu>,
    up: bool,
    dscp: u8,
    static_macs: BTreeMap<PeerId, Vec<MacAddr>>,
}

impl Control {
    pub(crate) fn new(name: &str, ifindex: u32, netlink: Netlink, offloads: Offloads) -> Self {
        Self {
            name: name.to_owned(),
            ifindex,
            netlink,
            offloads,
            state: State::default(),
        }
    }

    /// Does everything that can fail and gives what is left to do, or undoes it all.
    pub(crate) fn prepare(&mut self, changes: Vec<Change>) -> Result<Vec<Prepared>, ApplyError> {
        let mut wanted = self.state.clone();
        let mut prepared = Vec::with_capacity(changes.len());
        let mut new_sockets = BTreeMap::new();
        for change in changes {
            match change {
                Change::SetPeer { peer, config } => {
                    wanted.static_macs.remove(&peer);
                    if !config.static_macs.is_empty() {
                        wanted.static_macs.insert(peer, config.static_macs.clone());
                    }
                    prepared.push(Prepared::SetPeer { peer, config });
                }
                Change::RemovePeer(peer) => {
                    wanted.static_macs.remove(&peer);
                    prepared.push(Prepared::RemovePeer(peer));
                }
                Change::SetSocket { id, setup } => {
                    new_sockets.insert(id, Some(setup));
                }
                Change::RemoveSocket(id) => {
                    new_sockets.insert(id, None);
                }
                Change::SetMacAgeing(ageing) => prepared.push(Prepared::SetMacAgeing(ageing)),
                Change::SetMtuPolicy(policy) => prepared.push(Prepared::SetMtuPolicy(policy)),
                Change::AddAddress(ip, prefix) => {
                    wanted.addresses.insert((ip, prefix));
                }
                Change::RemoveAddress(ip, prefix) => {
                    wanted.addresses.remove(&(ip, prefix));
                }
                Change::SetDscp(dscp) => wanted.dscp = dscp,
                Change::SetMtu(mtu) => {
                    wanted.mtu = Some(mtu);
                    // First of all: from now on nobody else sets it.
                    prepared.insert(0, Prepared::SetMtu(mtu));
                }
                Change::SetMac(mac) => {
                    wanted.mac = mac;
                    prepared.push(Prepared::SetTapMac(mac));
                }
                Change::SetAdmin(up) => wanted.up = up,
            }
        }
        check_macs(&wanted)?;
        let (sockets, moved) = self.open_sockets(new_sockets, wanted.dscp)?;
        wanted.sockets = sockets.in_force;
        if let Err(error) = self.set_tap(&wanted) {
            // What was reached is not known exactly: state the old values anew. If that fails too, the error tells why.
            let old = self.state.clone();
            let _ = self.set_tap_from(&wanted, &old);
            moved.undo();
            return Err(error);
        }
        if wanted.dscp != self.state.dscp {
            for (_, socket) in wanted.sockets.values() {
                // An open socket takes every value.
                let _ = socket.set_dscp(wanted.dscp);
            }
        }
        self.state = wanted;
        if !sockets.change.remove.is_empty() || !sockets.change.add.is_empty() {
            prepared.insert(0, Prepared::Sockets(sockets.change));
        }
        Ok(prepared)
    }

    /// Opens what is new. A socket whose address stays keeps its descriptor, under another number or on another device.
    fn open_sockets(
        &self,
        wanted: BTreeMap<SocketId, Option<SocketSetup>>,
        dscp: u8,
    ) -> Result<(Sockets, MovedSockets), ApplyError> {
        let old = &self.state.sockets;
        let mut in_force = old.clone();
        let mut change = SocketChange::default();
        let mut moved = MovedSockets::default();
        for (id, setup) in &wanted {
            if setup.as_ref() != old.get(id).map(|(setup, _)| setup) && in_force.remove(id).is_some() {
                change.remove.push(*id);
            }
        }
        let to_add = wanted.into_iter().filter_map(|(id, setup)| Some((id, setup?)));
        for (id, setup) in to_add {
            if in_force.contains_key(&id) {
                continue;
            }
            if let Some((other, _)) = in_force.iter().find(|(_, (s, _))| s.address == setup.address) {
                moved.undo();
                return Err(ApplyError::SameAddress { a: *other, b: id });
            }
            let same = old.values().find(|(s, _)| s.address == setup.address);
            let socket = if let Some((before, socket)) = same {
                moved.set_device(socket, before, &setup)
            } else {
                let options = UdpOptions {
                    device: setup.device.clone(),
                    dscp,
                    gso: self.offloads.gso,
                    gro: self.offloads.gro,
                    ..UdpOptions::default()
                };
                UdpSocket::bind(setup.address, &options).map(Arc::new)
            };
            let socket = match socket {
                Ok(socket) => socket,
                Err(source) => {
                    moved.undo();
                    return Err(ApplyError::Socket { id, source });
                }
            };
            in_force.insert(id, (setup.clone(), Arc::clone(&socket)));
            change.add.push((id, setup, socket));
        }
        Ok((Sockets { in_force, change }, moved))
    }

    fn set_tap(&mut self, wanted: &State) -> Result<(), ApplyError> {
        let from = self.state.clone();
        self.set_tap_from(&from, wanted)
    }

    fn set_tap_from(&mut self, from: &State, to: &State) -> Result<(), ApplyError> {
        if to.mac != from.mac && (to.mac.is_group() || to.mac == MacAddr::default()) {
            return Err(ApplyError::Mac(to.mac));
        }
        let (netlink, ifindex) = (&mut self.netlink, self.ifindex);
        let mut steps = || {
            if to.mac != from.mac {
                netlink.set_mac(ifindex, to.mac.0)?;
            }
            if let Some(mtu) = mtu_to_set(from.mtu, to.mtu) {
                netlink.set_mtu(ifindex, mtu.into())?;
            }
            if to.up != from.up {
                netlink.set_up(ifindex, to.up)?;
            }
            for (ip, prefix) in from.addresses.difference(&to.addresses) {
                netlink.remove_address(ifindex, *ip, *prefix)?;
            }
            // The kernel forgets IPv6 addresses when an interface goes down or its MTU is too small for a while.
            let renew = to.up != from.up || to.mtu != from.mtu;
            for (ip, prefix) in &to.addresses {
                if !from.addresses.contains(&(*ip, *prefix)) || (renew && ip.is_ipv6()) {
                    netlink.add_address(ifindex, *ip, *prefix)?;
                }
            }
            Ok(())
        };
        steps().map_err(|source| ApplyError::Setting {
            name: self.name.clone(),
            source,
        })
    }
}

struct Sockets {
    in_force: BTreeMap<SocketId, (SocketSetup, Arc<UdpSocket>)>,
    change: SocketChange,
}

/// Sockets that were bound to another device, and to which they belong if the transaction fails.
#[derive(Default)]
struct MovedSockets(Vec<(Arc<UdpSocket>, Option<String>)>);

impl MovedSockets {
    fn set_device(
        &mut self,
        socket: &Arc<UdpSocket>,
        before: &SocketSetup,
        after: &SocketSetup,
    ) -> Result<Arc<UdpSocket>, BindError> {
        if before.device != after.device {
            socket.set_device(after.device.as_deref())?;
            self.0.push((Arc::clone(socket), before.device.clone()));
        }
        Ok(Arc::clone(socket))
    }

    fn undo(self) {
        for (socket, device) in self.0 {
            let _ = socket.set_device(device.as_deref());
        }
    }
}

/// What the TAP gets at once, if anything.
fn mtu_to_set(from: Option<TapMtu>, to: Option<TapMtu>) -> Option<u16> {
    match (from, to?) {
        (from, to) if from == Some(to) => None,
        // What it had is as good as any other until the paths are known, but for IPv6, which needs 1280.
        (Some(TapMtu::Fixed(mtu)), TapMtu::Auto) => (mtu < 1280).then_some(1280),
        (_, to) => Some(to.at_first()),
    }
}

fn check_macs(state: &State) -> Result<(), ApplyError> {
    let mut seen = BTreeSet::from([state.mac]);
    for mac in state.static_macs.values().flatten() {
        if !seen.insert(*mac) {
            return Err(ApplyError::StaticMac { mac: *mac });
        }
    }
    Ok(())
}
