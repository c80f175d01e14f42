//! Changes as transactions: whatever can fail is done here, on the caller's thread, and undone where a later step fails.

mod plan;
mod sockets;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use knet_io::netlink::Netlink;
use knet_proto::{
    config::TapMtu,
    ids::{MacAddr, Workers},
};

pub(crate) use self::plan::Plan;
use self::{
    plan::Ports,
    sockets::{Opener, Sockets},
};
use crate::{
    interface::ApplyError,
    setup::{Change, Offloads},
    worker::Prepared,
};

/// What is in force, as far as changes need to know it.
pub(crate) struct Control {
    name: String,
    ifindex: u32,
    netlink: Netlink,
    offloads: Offloads,
    workers: Workers,
    state: State,
    ports: Ports,
}

#[derive(Clone, Default)]
struct State {
    sockets: Sockets,
    addresses: BTreeSet<(IpAddr, u8)>,
    mac: MacAddr,
    mtu: Option<TapMtu>,
    up: bool,
    dscp: u8,
}

impl Control {
    pub(crate) fn new(
        name: &str,
        ifindex: u32,
        netlink: Netlink,
        offloads: Offloads,
        workers: Workers,
    ) -> Self {
        Self {
            name: name.to_owned(),
            ifindex,
            netlink,
            offloads,
            workers,
            state: State::default(),
            ports: Ports::default(),
        }
    }

    /// Does everything that can fail and gives what is left to do, or undoes it all. Of several changes of one thing the
    /// last one holds.
    pub(crate) fn prepare(&mut self, changes: Vec<Change>) -> Result<Plan, ApplyError> {
        let mut wanted = self.state.clone();
        let mut peers = BTreeMap::new();
        let mut new_sockets = BTreeMap::new();
        let (mut mtu, mut mac) = (None, None);
        let mut settings = Vec::new();
        for change in changes {
            match change {
                Change::SetPeer { peer, config } => {
                    peers.insert(peer, Some(config));
                }
                Change::RemovePeer(peer) => {
                    peers.insert(peer, None);
                }
                Change::SetSocket { id, setup } => {
                    new_sockets.insert(id, Some(setup));
                }
                Change::RemoveSocket(id) => {
                    new_sockets.insert(id, None);
                }
                Change::SetMacAgeing(ageing) => settings.push(Prepared::SetMacAgeing(ageing)),
                Change::SetDomain(domain) => settings.push(Prepared::SetDomain(domain)),
                Change::TakeCredentials(takes) => settings.push(Prepared::TakeCredentials(takes)),
                Change::SetMtuPolicy(policy) => settings.push(Prepared::SetMtuPolicy(policy)),
                Change::AddAddress(ip, prefix) => {
                    wanted.addresses.insert((ip, prefix));
                }
                Change::RemoveAddress(ip, prefix) => {
                    wanted.addresses.remove(&(ip, prefix));
                }
                Change::SetDscp(dscp) => wanted.dscp = dscp,
                Change::SetMtu(to) => {
                    wanted.mtu = Some(to);
                    mtu = Some(Prepared::SetMtu(to));
                }
                Change::SetMac(to) => {
                    wanted.mac = to;
                    mac = Some(Prepared::SetTapMac(to));
                }
                Change::SetAdmin(up) => wanted.up = up,
            }
        }
        let ports = self.ports.of(&peers);
        self.ports.check_macs(&ports, wanted.mac)?;
        let opener = Opener {
            workers: self.workers,
            offloads: self.offloads,
            dscp: wanted.dscp,
        };
        let mut opened = opener.open(&self.state.sockets, new_sockets)?;
        wanted.sockets = std::mem::take(&mut opened.in_force);
        if let Err(error) = self.set_tap(&wanted) {
            // What was reached is not known exactly: state the old values anew. If that fails too, the error tells why.
            let old = self.state.clone();
            let _ = self.set_tap_from(&wanted, &old);
            opened.undo();
            return Err(error);
        }
        if wanted.dscp != self.state.dscp {
            for socket in wanted.sockets.values().flat_map(|(_, members)| members) {
                // An open socket takes every value.
                let _ = socket.set_dscp(wanted.dscp);
            }
        }
        self.state = wanted;

        let mut plan = Plan::new(self.workers);
        if !opened.is_empty() {
            plan.everywhere_its_own(opened.changes.into_iter().map(Prepared::Sockets));
        }
        // Before all other settings: from now on nobody else sets it.
        for setting in mtu.into_iter().chain(settings) {
            plan.everywhere(&setting);
        }
        self.ports.plan(ports, peers, mac.as_ref(), &mut plan);
        Ok(plan)
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

/// What the TAP gets at once, if anything.
fn mtu_to_set(from: Option<TapMtu>, to: Option<TapMtu>) -> Option<u16> {
    match (from, to?) {
        (from, to) if from == Some(to) => None,
        // What it had is as good as any other until the paths are known, but for IPv6, which needs 1280.
        (Some(TapMtu::Fixed(mtu)), TapMtu::Auto) => (mtu < 1280).then_some(1280),
        (_, to) => Some(to.at_first()),
    }
}
