//! Which of our own addresses and interfaces can be used: the kernel's view, kept up to date by netlink events.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use knet_io::netlink::{Address, Link, NetEvent};

use crate::{query::SocketDown, setup::SocketSetup};

/// Interfaces and addresses of this host.
#[derive(Default)]
pub(crate) struct LocalLinks {
    links: BTreeMap<u32, Link>,
    /// On which interfaces an address is, usable or not.
    addresses: BTreeMap<IpAddr, Vec<(u32, bool)>>,
    /// Addresses that were there at some time. One that never was and could be bound all the same is local by other
    /// means (127.0.0.2, a local route): its loss cannot be seen, so it always counts as there.
    known: BTreeSet<IpAddr>,
}

impl LocalLinks {
    /// Takes over the whole state.
    pub(crate) fn replace(&mut self, links: Vec<Link>, addresses: Vec<Address>) {
        self.links = links.into_iter().map(|l| (l.ifindex, l)).collect();
        self.addresses.clear();
        for address in addresses {
            self.set_address(address);
        }
    }

    /// Takes over one change; `false` where events were lost and [`Self::replace`] is due.
    pub(crate) fn apply(&mut self, event: NetEvent) -> bool {
        match event {
            NetEvent::LinkChanged(link) => {
                self.links.insert(link.ifindex, link);
            }
            NetEvent::LinkRemoved { ifindex, .. } => {
                self.links.remove(&ifindex);
                self.addresses.retain(|_, on| {
                    on.retain(|(i, _)| *i != ifindex);
                    !on.is_empty()
                });
            }
            NetEvent::AddressChanged(address) => self.set_address(address),
            NetEvent::AddressRemoved(address) => {
                if let Some(on) = self.addresses.get_mut(&address.ip) {
                    on.retain(|(i, _)| *i != address.ifindex);
                    if on.is_empty() {
                        self.addresses.remove(&address.ip);
                    }
                }
            }
            NetEvent::Resync => return false,
        }
        true
    }

    fn set_address(&mut self, address: Address) {
        self.known.insert(address.ip);
        let on = self.addresses.entry(address.ip).or_default();
        on.retain(|(i, _)| *i != address.ifindex);
        on.push((address.ifindex, !address.unusable));
    }

    /// MTU of an interface.
    pub(crate) fn mtu(&self, ifindex: u32) -> Option<u32> {
        self.links.get(&ifindex).map(|l| l.mtu).filter(|m| *m > 0)
    }

    /// MTU of the interface that a socket set up like this sends through, where that can be told.
    pub(crate) fn socket_mtu(&self, setup: &SocketSetup) -> Option<u32> {
        if let Some(device) = &setup.device {
            return self.links.values().find(|l| l.name == *device).map(|l| l.mtu);
        }
        let on = self.addresses.get(&setup.address.ip())?;
        on.first().and_then(|(ifindex, _)| self.mtu(*ifindex))
    }

    /// Why nothing can be sent from a socket set up like this, if so.
    pub(crate) fn socket_down(&self, setup: &SocketSetup) -> Option<SocketDown> {
        let ip = setup.address.ip();
        if let Some(device) = &setup.device {
            let Some(link) = self.links.values().find(|l| l.name == *device) else {
                return Some(SocketDown::InterfaceDown);
            };
            let present =
                ip.is_unspecified() || !self.known.contains(&ip) || self.usable(ip).next().is_some();
            return if present {
                link_down(link)
            } else {
                Some(SocketDown::AddressMissing)
            };
        }
        if ip.is_unspecified() || !self.known.contains(&ip) {
            return None;
        }
        // On several interfaces: one that is fine, which is None, is enough.
        self.usable(ip)
            .map(link_down)
            .reduce(Option::and)
            .unwrap_or(Some(SocketDown::AddressMissing))
    }

    fn usable(&self, ip: IpAddr) -> impl Iterator<Item = &Link> {
        let on = self.addresses.get(&ip).into_iter().flatten();
        on.filter(|(_, usable)| *usable)
            .filter_map(|(ifindex, _)| self.links.get(ifindex))
    }
}

fn link_down(link: &Link) -> Option<SocketDown> {
    match (link.up, link.carrier) {
        (false, _) => Some(SocketDown::InterfaceDown),
        (true, false) => Some(SocketDown::NoCarrier),
        (true, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(ifindex: u32, name: &str, up: bool, carrier: bool) -> Link {
        Link {
            ifindex,
            name: name.into(),
            up,
            carrier,
            ..Link::default()
        }
    }

    fn address(ifindex: u32, ip: &str) -> Address {
        let ip = ip.parse().unwrap_or_else(|e| panic!("{ip}: {e}"));
        Address {
            ifindex,
            ip,
            prefix: 24,
            unusable: false,
        }
    }

    fn socket(address: &str, device: Option<&str>) -> SocketSetup {
        let address = address.parse().unwrap_or_else(|e| panic!("{address}: {e}"));
        SocketSetup {
            address,
            device: device.map(Into::into),
        }
    }

    #[test]
    fn carrier_address_and_removal_are_followed() {
        let mut local = LocalLinks::default();
        local.replace(vec![link(2, "eth0", true, true)], vec![address(2, "192.0.2.1")]);
        let bound = socket("192.0.2.1:7700", None);
        assert_eq!(local.socket_down(&bound), None);
        assert!(local.apply(NetEvent::LinkChanged(link(2, "eth0", true, false))));
        assert_eq!(local.socket_down(&bound), Some(SocketDown::NoCarrier));
        local.apply(NetEvent::LinkChanged(link(2, "eth0", false, false)));
        assert_eq!(local.socket_down(&bound), Some(SocketDown::InterfaceDown));
        local.apply(NetEvent::LinkChanged(link(2, "eth0", true, true)));
        local.apply(NetEvent::AddressRemoved(address(2, "192.0.2.1")));
        assert_eq!(local.socket_down(&bound), Some(SocketDown::AddressMissing));
        local.apply(NetEvent::AddressChanged(Address {
            unusable: true,
            ..address(2, "192.0.2.1")
        }));
        assert_eq!(local.socket_down(&bound), Some(SocketDown::AddressMissing));
        local.apply(NetEvent::AddressChanged(address(2, "192.0.2.1")));
        assert_eq!(local.socket_down(&bound), None);
        local.apply(NetEvent::LinkRemoved {
            ifindex: 2,
            name: "eth0".into(),
        });
        assert_eq!(local.socket_down(&bound), Some(SocketDown::AddressMissing));
        assert!(!local.apply(NetEvent::Resync));
    }

    #[test]
    fn an_address_on_two_interfaces_is_as_good_as_the_better_one() {
        let mut local = LocalLinks::default();
        local.replace(
            vec![link(1, "lo", true, true), link(2, "eth0", false, false)],
            vec![address(2, "192.0.2.1"), address(1, "192.0.2.1")],
        );
        let bound = socket("192.0.2.1:7700", None);
        assert_eq!(local.socket_down(&bound), None);
        // But a device that is named must itself be fine.
        assert_eq!(
            local.socket_down(&socket("192.0.2.1:7700", Some("eth0"))),
            Some(SocketDown::InterfaceDown)
        );
        local.apply(NetEvent::AddressRemoved(address(1, "192.0.2.1")));
        assert_eq!(local.socket_down(&bound), Some(SocketDown::InterfaceDown));
    }

    #[test]
    fn wildcards_and_addresses_never_listed_count_as_there() {
        let mut local = LocalLinks::default();
        local.replace(
            vec![link(1, "lo", true, true), link(2, "eth0", true, false)],
            vec![address(1, "127.0.0.1")],
        );
        for fine in ["0.0.0.0:7700", "[::]:7700", "127.0.0.2:7700"] {
            assert_eq!(local.socket_down(&socket(fine, None)), None, "{fine}");
        }
        assert_eq!(
            local.socket_down(&socket("0.0.0.0:7700", Some("eth0"))),
            Some(SocketDown::NoCarrier)
        );
        assert_eq!(
            local.socket_down(&socket("0.0.0.0:7700", Some("eth9"))),
            Some(SocketDown::InterfaceDown)
        );
    }
}
