//! rtnetlink: what the kernel says about interfaces and addresses, and the few things we ask it to change.
//!
//! The layout of the messages is `netlink-packet-route`'s; of what the kernel sends only the attributes that are used
//! here are looked at, so that a newer kernel's unknown ones can do no harm.

mod message;
mod monitor;
mod requests;
mod socket;

use std::{io, net::IpAddr};

pub use self::{
    monitor::{Monitor, NetEvent},
    requests::Netlink,
};

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// Administratively up.
    pub up: bool,
    /// It has a carrier (`IFF_LOWER_UP`). Never while it is administratively down.
    pub carrier: bool,
    /// Its Ethernet address, if it has one.
    pub mac: Option<[u8; 6]>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// The bridge or bond it belongs to, by number.
    pub master: Option<u32>,
    /// It is the loopback interface.
    pub loopback: bool,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface's number.
    pub ifindex: u32,
    /// The local address.
    pub ip: IpAddr,
    /// The prefix length.
    pub prefix: u8,
    /// Not usable: IPv6 duplicate detection is still running, or has failed.
    pub unusable: bool,
}

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The netlink socket failed.
    #[error("netlink: {0}")]
    Socket(#[from] io::Error),
    /// No such interface.
    #[error("there is no interface '{0}': see 'ip link'")]
    NoLink(String),
    /// Not allowed.
    #[error("{what}: not permitted; run as root or with CAP_NET_ADMIN")]
    NotPermitted {
        /// What was asked.
        what: String,
    },
    /// The kernel refused.
    #[error("{what}: the kernel refuses: {source}")]
    Refused {
        /// What was asked.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// No answer came.
    #[error("{what}: no answer from the kernel")]
    NoAnswer {
        /// What was asked.
        what: String,
    },
}
