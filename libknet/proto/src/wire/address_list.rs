//! The addresses that one side gives the other for its TAP, as ADDRESSES carries them.
//!
//! Each is `family(1) length(1) address(4 or 16)`: family 4 or 6, the length of the network's prefix in bits. They are in
//! strictly ascending order, IPv4 first, so that one list has one encoding.

use alloc::{sync::Arc, vec::Vec};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most addresses in a list.
pub const MAX_ADDRESSES: usize = 8;

const IPV4: u8 = 4;
const IPV6: u8 = 6;

/// An address of an interface, and how many leading bits all addresses of its network have in common: 0..=32 or 0..=128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressPrefix {
    /// The address.
    pub address: IpAddr,
    /// The length of its network's prefix.
    pub length: u8,
}

impl AddressPrefix {
    /// This one; `None` where the length is more than the address has bits.
    pub const fn new(address: IpAddr, length: u8) -> Option<Self> {
        let most = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        if length <= most {
            Some(Self { address, length })
        } else {
            None
        }
    }
}

/// Up to 8 addresses, in ascending order and none of them twice. Copies share them, and none takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressList(Option<Arc<Vec<AddressPrefix>>>);

impl AddressList {
    /// These; `None` where there are more than [`MAX_ADDRESSES`].
    pub fn new(addresses: impl IntoIterator<Item = AddressPrefix>) -> Option<Self> {
        let mut all: Vec<AddressPrefix> = addresses.into_iter().collect();
        all.sort_unstable();
        all.dedup();
        all.shrink_to_fit();
        match all.len() {
            0 => Some(Self(None)),
            1..=MAX_ADDRESSES => Some(Self(Some(Arc::new(all)))),
            _ => None,
        }
    }

    /// All of them.
    pub fn as_slice(&self) -> &[AddressPrefix] {
        self.0.as_ref().map_or(&[], |all| all)
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The list whose encoding `bytes` are, all of them; `None` if they break a rule.
    pub(super) fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut all: Vec<AddressPrefix> = Vec::new();
        while !bytes.is_empty() {
            let (next, rest) = take_prefix(bytes)?;
            if all.len() == MAX_ADDRESSES || all.last().is_some_and(|last| *last >= next) {
                return None;
            }
            all.push(next);
            bytes = rest;
        }
        Some(Self((!all.is_empty()).then(|| Arc::new(all))))
    }

    /// How many bytes it takes.
    pub(super) fn encoded_len(&self) -> usize {
        let each = |prefix: &AddressPrefix| match prefix.address {
            IpAddr::V4(_) => 6,
            IpAddr::V6(_) => 18,
        };
        self.as_slice().iter().map(each).sum()
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        for prefix in self.as_slice() {
            match prefix.address {
                IpAddr::V4(address) => {
                    out.extend_from_slice(&[IPV4, prefix.length]);
                    out.extend_from_slice(&address.octets());
                }
                IpAddr::V6(address) => {
                    out.extend_from_slice(&[IPV6, prefix.length]);
                    out.extend_from_slice(&address.octets());
                }
            }
        }
    }
}

fn take_prefix(bytes: &[u8]) -> Option<(AddressPrefix, &[u8])> {
    let ([family, length], rest) = bytes.split_first_chunk::<2>()?;
    let (address, rest) = match *family {
        IPV4 => {
            let (octets, rest) = rest.split_first_chunk::<4>()?;
            (IpAddr::V4(Ipv4Addr::from(*octets)), rest)
        }
        IPV6 => {
            let (octets, rest) = rest.split_first_chunk::<16>()?;
            (IpAddr::V6(Ipv6Addr::from(*octets)), rest)
        }
        _ => return None,
    };
    Some((AddressPrefix::new(address, *length)?, rest))
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    fn list(all: &[&str]) -> AddressList {
        let read = |text: &&str| {
            let (address, length) = text.split_once('/').unwrap();
            AddressPrefix::new(address.parse().unwrap(), length.parse().unwrap()).unwrap()
        };
        AddressList::new(all.iter().map(read)).unwrap()
    }

    fn encoded(list: &AddressList) -> Vec<u8> {
        let mut out = Vec::new();
        list.emit(&mut out);
        assert_eq!(out.len(), list.encoded_len());
        out
    }

    #[test]
    fn bytes_are_where_the_protocol_puts_them() {
        assert_eq!(encoded(&AddressList::default()), [0_u8; 0]);
        assert_eq!(encoded(&list(&["10.200.4.1/16"])), [4, 16, 10, 200, 4, 1]);
        let both = list(&["fd00::7/64", "10.200.4.1/16", "10.200.4.1/16"]);
        let mut six = vec![4, 16, 10, 200, 4, 1, 6, 64, 0xfd];
        six.resize(23, 0);
        six.push(7);
        assert_eq!(encoded(&both), six);
        assert_eq!(AddressList::parse(&six), Some(both));
    }

    #[test]
    fn there_is_one_encoding_and_nothing_else_is_read() {
        for wrong in [
            &[4][..],
            &[4, 16, 10, 200, 4],
            &[5, 16, 10, 200, 4, 1],
            &[4, 33, 10, 200, 4, 1],
            &[6, 64, 0xfd, 0],
            // Twice, and the larger one first.
            &[4, 16, 10, 0, 0, 1, 4, 16, 10, 0, 0, 1],
            &[4, 16, 10, 0, 0, 2, 4, 16, 10, 0, 0, 1],
        ] {
            assert_eq!(AddressList::parse(wrong), None, "{wrong:?}");
        }
        let nine: Vec<u8> = (0..9).flat_map(|n| [4, 24, 10, 0, 0, n]).collect();
        assert_eq!(AddressList::parse(&nine), None);
        assert!(AddressList::parse(&nine[..48]).is_some());
        let prefix = |n| AddressPrefix::new([10, 0, 0, n].into(), 24).unwrap();
        assert!(AddressList::new((0..9).map(prefix)).is_none());
        assert_eq!(AddressPrefix::new([10, 0, 0, 1].into(), 33), None);
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_the_same(bytes in prop::collection::vec(
            prop_oneof![Just(4_u8), Just(6), 0_u8..34, any::<u8>()], 0..60)) {
            if let Some(list) = AddressList::parse(&bytes) {
                prop_assert_eq!(encoded(&list), bytes);
                prop_assert_eq!(AddressList::new(list.as_slice().iter().copied()), Some(list));
            }
        }

        #[test]
        fn whatever_is_written_is_read_the_same(all in prop::collection::vec(
            (any::<IpAddr>(), 0_u8..=32), 0..=8)) {
            let list = AddressList::new(all.iter().filter_map(|(a, l)| AddressPrefix::new(*a, *l))).unwrap();
            prop_assert_eq!(AddressList::parse(&encoded(&list)), Some(list));
        }
    }
}
