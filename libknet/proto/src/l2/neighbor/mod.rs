//! Which Ethernet address an IP address has: what ARP (RFC 826, 5227) and neighbour discovery (RFC 4861) say of it, what is
//! kept of that, and answers made of it, so that a question need not go to everybody.

mod arp;
mod discovery;
mod table;

use alloc::vec::Vec;
use core::net::IpAddr;

use crate::ids::MacAddr;
pub use table::{MAX_BINDINGS, MAX_BINDINGS_PER_PEER, NeighborNews, NeighborTable};

/// What a station says of one of its own addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The IP address.
    pub ip: IpAddr,
    /// The Ethernet address, which is that of the frame.
    pub mac: MacAddr,
    /// Whether it is a router, where it said that. Only IPv6 hosts have to know (RFC 4861, 7.2.5).
    pub router: Option<bool>,
}

/// What a frame says, or asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Of the sender.
    pub claim: Option<Claim>,
    /// The address that the sender asks everybody for, and that somebody who knows may answer. Not those of which the
    /// owner himself is to hear, because they are claimed (gratuitous ARP, probes, duplicate address detection).
    pub question: Option<IpAddr>,
}

impl Message {
    /// Whether it is worth to call [`Self::parse`]: quick, and true for every frame that it finds something in.
    #[inline]
    pub fn may_be_in(frame: &[u8]) -> bool {
        match frame {
            [_, _, _, _, _, _, _, _, _, _, _, _, 0x08, 0x06, ..] => true,
            [
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                0x86,
                0xdd,
                _,
                _,
                _,
                _,
                _,
                _,
                next,
                ..,
            ] => *next == crate::l2::ip_packet::protocol::ICMPV6,
            _ => false,
        }
    }

    /// What an untagged frame says. `None`: nothing that is of any use, or nothing that is well-formed and true to the
    /// frame that it is in.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        arp::parse(frame).or_else(|| discovery::parse(frame))
    }

    /// The answer to its question, in the name of `owner`, who is what it asks for. `None` where hosts could not do without
    /// something that is not known of `owner`.
    pub fn answer(&self, owner: &Claim) -> Option<Vec<u8>> {
        let asker = self.claim.filter(|_| self.question == Some(owner.ip))?;
        match (asker.ip, owner.ip) {
            (IpAddr::V4(to), IpAddr::V4(ip)) => Some(arp::reply((to, asker.mac), (ip, owner.mac))),
            (IpAddr::V6(to), IpAddr::V6(ip)) => Some(discovery::advertisement(
                (to, asker.mac),
                (ip, owner.mac),
                owner.router?,
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
