//! Reading what the kernel sends. Nothing here panics, whatever the bytes.

use std::net::IpAddr;

use netlink_packet_core::{ErrorBuffer, NetlinkBuffer, NlasIterator};
use netlink_packet_route::{
    AddressFamily,
    address::{AddressFlags, AddressHeader},
    link::{LinkFlags, LinkHeader},
};

use super::{Address, Link};

/// Bytes of the fixed parts before the attributes (`struct ifinfomsg`, `struct ifaddrmsg`).
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;

/// One message from the kernel, as far as we care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    NewLink(Link),
    DelLink {
        ifindex: u32,
        name: String,
    },
    NewAddress(Address),
    DelAddress(Address),
    /// The end of a dump.
    Done,
    /// The answer to a request: 0, or an errno.
    Ack(i32),
    /// Something else.
    Other,
}

/// Iterates over the messages in one datagram, each with its sequence number; ends at the first that makes no sense.
pub(super) struct Messages<'a>(pub(super) &'a [u8]);

impl Iterator for Messages<'_> {
    type Item = (u32, Message);

    fn next(&mut self) -> Option<Self::Item> {
        let buffer = NetlinkBuffer::new_checked(self.0).ok()?;
        let length = buffer.length() as usize;
        let message = parse(buffer.message_type(), buffer.payload()).unwrap_or(Message::Other);
        let item = (buffer.sequence_number(), message);
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(item)
    }
}

fn parse(kind: u16, payload: &[u8]) -> Option<Message> {
    match i32::from(kind) {
        libc::NLMSG_ERROR => {
            let code = ErrorBuffer::new_checked(payload).ok()?.code();
            Some(Message::Ack(code.map_or(0, |c| c.get().saturating_neg())))
        }
        libc::NLMSG_DONE => Some(Message::Done),
        _ => match kind {
            libc::RTM_NEWLINK => parse_link(payload).map(Message::NewLink),
            libc::RTM_DELLINK => parse_link(payload).map(|l| Message::DelLink {
                ifindex: l.ifindex,
                name: l.name,
            }),
            libc::RTM_NEWADDR => parse_address(payload).map(Message::NewAddress),
            libc::RTM_DELADDR => parse_address(payload).map(Message::DelAddress),
            _ => None,
        },
    }
}

fn parse_link(payload: &[u8]) -> Option<Link> {
    let header = LinkHeader::parse(payload).ok()?;
    // A port that leaves a bridge is announced as a deleted link of family AF_BRIDGE.
    if header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let mut link = Link {
        ifindex: header.index,
        up: header.flags.contains(LinkFlags::Up),
        carrier: header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
        loopback: header.flags.contains(LinkFlags::Loopback),
        ..Link::default()
    };
    for attribute in NlasIterator::new(payload.get(LINK_HEADER..)?) {
        let attribute = attribute.ok()?;
        let value = attribute.value();
        match attribute.kind() {
            libc::IFLA_IFNAME => link.name = c_string(value),
            libc::IFLA_ADDRESS => link.mac = value.try_into().ok(),
            libc::IFLA_MTU => link.mtu = number(value)?,
            libc::IFLA_MASTER => link.master = number(value),
            _ => {}
        }
    }
    Some(link)
}

fn parse_address(payload: &[u8]) -> Option<Address> {
    let header = AddressHeader::parse(payload).ok()?;
    let (mut address, mut local) = (None, None);
    let mut flags = u32::from(header.flags.bits());
    for attribute in NlasIterator::new(payload.get(ADDRESS_HEADER..)?) {
        let attribute = attribute.ok()?;
        match attribute.kind() {
            libc::IFA_ADDRESS => address = ip(attribute.value()),
            libc::IFA_LOCAL => local = ip(attribute.value()),
            libc::IFA_FLAGS => flags = number(attribute.value())?,
            _ => {}
        }
    }
    let unusable = AddressFlags::Tentative | AddressFlags::Dadfailed;
    Some(Address {
        ifindex: header.index,
        // On a point-to-point interface IFA_ADDRESS is the other end.
        ip: local.or(address)?,
        prefix: header.prefix_len,
        unusable: AddressFlags::from_bits_retain(flags).intersects(unusable),
    })
}

fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.try_into().ok()?))
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => <[u8; 4]>::try_from(value).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
        _ => None,
    }
}

fn c_string(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or(&[])).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_end_without_panic() {
        let mut state = 7_u64;
        let mut random = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        let kinds = [2, 3, 16, 17, 20, 21, 24];
        let mut understood = 0;
        for _ in 0..100_000 {
            let mut bytes: Vec<u8> = (0..random() % 120).map(|_| random() as u8).collect();
            let length = bytes.len() as u32;
            // Mostly a plausible header and plausible attribute lengths, or all would end at the first check.
            if random() % 8 != 0 && bytes.len() >= 20 {
                bytes[..4].copy_from_slice(&(length - random() % 4).to_ne_bytes());
                bytes[4..6].copy_from_slice(&(kinds[random() as usize % kinds.len()] as u16).to_ne_bytes());
                bytes[16] = if random() % 2 == 0 { 0 } else { 2 };
                for at in (24..bytes.len().saturating_sub(3)).step_by(8) {
                    let len = [0, 3, 4, 5, 8, 8, 8, 20][random() as usize % 8];
                    bytes[at..at + 4].copy_from_slice(&[len, 0, (random() % 12) as u8, 0]);
                }
            }
            understood += Messages(&bytes)
                .take(100)
                .filter(|(_, m)| *m != Message::Other)
                .count();
        }
        assert!(
            understood > 10_000,
            "the generator reaches the parsers: {understood}"
        );
    }
}
