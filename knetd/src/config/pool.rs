//! Addresses that invitations and sessions give: the first of a pool that nobody has.

mod taken;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libknet::api::{model::InterfaceConfig, value::IpPrefix};

pub(crate) use self::taken::Taken;

/// Addresses of a pool that can be given, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pool {
    first: u128,
    last: u128,
    is_v6: bool,
    /// Of the network that they are in.
    length: u8,
}

impl Pool {
    /// The addresses of `prefix`, without those of the network and of broadcasts (IPv6: of all routers). Where the interface
    /// has an address in a network that the pool is a part of, it is that network's length that is given.
    pub(crate) fn new(prefix: &IpPrefix, interface: &InterfaceConfig) -> Self {
        let (bits, is_v6) = bits(prefix.address);
        let lowest = network(prefix);
        let size = (1_u128 << (bits - u32::from(prefix.length)).min(127)) - 1;
        let edges = size > 1;
        let own = own_prefixes(interface).filter(|own| {
            own.address.is_ipv6() == is_v6
                && own.length <= prefix.length
                && network(own)
                    == network(&IpPrefix {
                        length: own.length,
                        ..*prefix
                    })
        });
        Self {
            first: lowest + u128::from(edges),
            // Of IPv6 the last one is as good as any other.
            last: lowest + size - u128::from(edges && !is_v6),
            is_v6,
            length: own.map(|own| own.length).max().unwrap_or(prefix.length),
        }
    }

    /// How many addresses can be given, those that are taken included.
    pub(crate) fn size(&self) -> u128 {
        self.last - self.first + 1
    }

    /// How many of them somebody has.
    pub(crate) fn used(&self, taken: &Taken) -> u128 {
        taken.count(self.is_v6, self.first, self.last)
    }

    /// The first that nobody has.
    pub(crate) fn next(&self, taken: &Taken) -> Option<IpPrefix> {
        let free = taken.first_free(self.is_v6, self.first, self.last)?;
        Some(self.prefix(self.address(free)))
    }

    /// Whether its addresses are of IPv6.
    pub(crate) const fn is_v6(&self) -> bool {
        self.is_v6
    }

    /// Whether it is one of those that can be given.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv6() == self.is_v6 && (self.first..=self.last).contains(&number(address))
    }

    /// An address of it, as a TAP has it.
    pub(crate) const fn prefix(&self, address: IpAddr) -> IpPrefix {
        IpPrefix {
            address,
            length: self.length,
        }
    }

    fn address(&self, number: u128) -> IpAddr {
        if self.is_v6 {
            Ipv6Addr::from_bits(number).into()
        } else {
            Ipv4Addr::from_bits(number as u32).into()
        }
    }
}

/// Our own addresses of an interface.
pub(crate) fn own_prefixes(interface: &InterfaceConfig) -> impl Iterator<Item = &IpPrefix> {
    interface.ip_addresses.iter().chain(&interface.ipv6_addresses)
}

fn bits(address: IpAddr) -> (u32, bool) {
    match address {
        IpAddr::V4(_) => (32, false),
        IpAddr::V6(_) => (128, true),
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The number of the network that an address is in.
pub(crate) fn network(prefix: &IpPrefix) -> u128 {
    let (bits, _) = bits(prefix.address);
    let host = bits - u32::from(prefix.length);
    number(prefix.address)
        .checked_shr(host)
        .unwrap_or(0)
        .checked_shl(host)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(prefix: &str, own: &[&str]) -> Pool {
        let mut interface = InterfaceConfig::default();
        for own in own {
            let prefix: IpPrefix = own.parse().unwrap();
            let list = match prefix.address {
                IpAddr::V4(_) => &mut interface.ip_addresses,
                IpAddr::V6(_) => &mut interface.ipv6_addresses,
            };
            list.push(prefix);
        }
        Pool::new(&prefix.parse().unwrap(), &interface)
    }

    fn taken_of(addresses: &[&str]) -> Taken {
        let mut taken = Taken::default();
        for address in addresses {
            taken.insert(address.parse().unwrap());
        }
        taken
    }

    fn all(pool: Pool, taken: &[&str], most: usize) -> Vec<String> {
        let mut taken = taken_of(taken);
        let mut given = Vec::new();
        while let Some(next) = pool.next(&taken).filter(|_| given.len() < most) {
            assert!(!taken.contains(next.address));
            taken.insert(next.address);
            given.push(next.to_string());
        }
        given
    }

    #[test]
    fn each_address_is_given_once_and_never_that_of_the_network() {
        let four = pool("10.200.0.9/29", &[]);
        assert_eq!(four.size(), 6);
        assert_eq!(
            all(four, &["10.200.0.10", "10.200.0.1"], 100),
            [
                "10.200.0.9/29",
                "10.200.0.11/29",
                "10.200.0.12/29",
                "10.200.0.13/29",
                "10.200.0.14/29"
            ]
        );
        let taken = taken_of(&["10.200.0.10", "10.200.0.1", "fd00::1"]);
        assert_eq!(four.used(&taken), 1);
        assert!(four.contains("10.200.0.14".parse().unwrap()));
        assert!(!four.contains("10.200.0.15".parse().unwrap()));
        assert!(!four.contains("fd00::1".parse().unwrap()));
        // Of two or one there is none to spare (RFC 3021).
        assert_eq!(
            all(pool("10.0.0.0/31", &[]), &[], 9),
            ["10.0.0.0/31", "10.0.0.1/31"]
        );
        assert_eq!(all(pool("10.0.0.7/32", &[]), &[], 9), ["10.0.0.7/32"]);
        assert_eq!(
            all(pool("255.255.255.255/32", &[]), &[], 9),
            ["255.255.255.255/32"]
        );
    }

    #[test]
    fn of_ipv6_there_are_more_than_anybody_counts() {
        let six = pool("fd00:1::/64", &[]);
        assert_eq!(six.size(), u128::from(u64::MAX));
        assert_eq!(all(six, &["fd00:1::1"], 2), ["fd00:1::2/64", "fd00:1::3/64"]);
        assert_eq!(all(pool("fd00::7/128", &[]), &[], 9), ["fd00::7/128"]);
        assert_eq!(
            all(pool("fd00::/127", &[]), &[], 9),
            ["fd00::/127", "fd00::1/127"]
        );
        assert_eq!(all(pool("::/0", &[]), &[], 1), ["::1/0"]);
    }

    #[test]
    fn a_part_of_our_network_has_the_length_of_the_network() {
        let own = ["10.200.0.1/16", "10.0.0.1/8", "192.0.2.1/24", "fd00::1/32"];
        assert_eq!(all(pool("10.200.4.0/22", &own), &[], 1), ["10.200.4.1/16"]);
        assert_eq!(all(pool("10.201.4.0/22", &own), &[], 1), ["10.201.4.1/8"]);
        assert_eq!(all(pool("192.0.2.0/23", &own), &[], 1), ["192.0.2.1/23"]);
        assert_eq!(all(pool("fd00:0:5::/48", &own), &[], 1), ["fd00:0:5::1/32"]);
    }
}
