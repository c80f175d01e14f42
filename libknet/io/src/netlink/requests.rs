//! Questions and orders, each answered before the call returns.

use std::{io, net::IpAddr};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope},
    link::{LinkAttribute, LinkFlags, LinkMessage},
};

use super::{
    Address, Link, NetlinkError,
    message::{Message, Messages},
    socket::{RECEIVE_ROOM, Socket},
};

/// The kernel answers at once; this long only if the machine is stuck.
const PATIENCE_MS: i32 = 2000;

/// A connection to rtnetlink for requests, in the network namespace of the thread that opened it.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Box<[u8]>,
}

impl Netlink {
    /// Opens it.
    pub fn open() -> Result<Self, NetlinkError> {
        Ok(Self {
            socket: Socket::open(0)?,
            sequence: 0,
            buffer: vec![0; RECEIVE_ROOM].into_boxed_slice(),
        })
    }

    /// All interfaces.
    pub fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        let what = || "listing the interfaces".to_owned();
        let mut links = Vec::new();
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        self.request(request, NLM_F_DUMP, what, |m| {
            if let Message::NewLink(link) = m {
                links.push(link);
            }
        })?;
        Ok(links)
    }

    /// The interface of this name.
    pub fn link_by_name(&mut self, name: &str) -> Result<Link, NetlinkError> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        self.one_link(message, name.to_owned())
    }

    /// The interface of this number.
    pub fn link(&mut self, ifindex: u32) -> Result<Link, NetlinkError> {
        self.one_link(link_message(ifindex), format!("number {ifindex}"))
    }

    fn one_link(&mut self, message: LinkMessage, name: String) -> Result<Link, NetlinkError> {
        let mut found = None;
        let what = || format!("looking up the interface '{name}'");
        let result = self.request(RouteNetlinkMessage::GetLink(message), NLM_F_ACK, what, |m| {
            if let Message::NewLink(link) = m {
                found = Some(link);
            }
        });
        match (result, found) {
            (_, Some(link)) => Ok(link),
            (Err(NetlinkError::Refused { source, .. }), None)
                if source.raw_os_error() != Some(libc::ENODEV) =>
            {
                Err(NetlinkError::Refused { what: what(), source })
            }
            _ => Err(NetlinkError::NoLink(name)),
        }
    }

    /// Sets the MTU in bytes.
    pub fn set_mtu(&mut self, ifindex: u32, mtu: u32) -> Result<(), NetlinkError> {
        let mut message = link_message(ifindex);
        message.attributes.push(LinkAttribute::Mtu(mtu));
        self.set(message, || {
            format!("setting the MTU of interface {ifindex} to {mtu}")
        })
    }

    /// Sets the length in bytes up to which the kernel makes packets that are cut up later.
    pub fn set_gso_max_size(&mut self, ifindex: u32, bytes: u32) -> Result<(), NetlinkError> {
        let mut message = link_message(ifindex);
        message.attributes.push(LinkAttribute::GsoMaxSize(bytes));
        self.set(message, || {
            format!("setting the largest GSO packet of interface {ifindex} to {bytes} bytes")
        })
    }

    /// Sets the Ethernet address.
    pub fn set_mac(&mut self, ifindex: u32, mac: [u8; 6]) -> Result<(), NetlinkError> {
        let mut message = link_message(ifindex);
        message.attributes.push(LinkAttribute::Address(mac.to_vec()));
        self.set(message, || {
            let mac = mac.map(|b| format!("{b:02x}")).join(":");
            format!("setting the MAC address of interface {ifindex} to {mac}")
        })
    }

    /// Brings the interface up or down.
    pub fn set_up(&mut self, ifindex: u32, up: bool) -> Result<(), NetlinkError> {
        let mut message = link_message(ifindex);
        message.header.change_mask = LinkFlags::Up;
        message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
        self.set(message, || {
            format!("bringing interface {ifindex} {}", if up { "up" } else { "down" })
        })
    }

    fn set(&mut self, message: LinkMessage, what: impl Fn() -> String) -> Result<(), NetlinkError> {
        self.request(RouteNetlinkMessage::SetLink(message), NLM_F_ACK, what, |_| {})
    }

    /// All addresses of all interfaces.
    pub fn addresses(&mut self) -> Result<Vec<Address>, NetlinkError> {
        let mut addresses = Vec::new();
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        self.request(
            request,
            NLM_F_DUMP,
            || "listing the addresses".to_owned(),
            |m| {
                if let Message::NewAddress(address) = m {
                    addresses.push(address);
                }
            },
        )?;
        Ok(addresses)
    }

    /// Adds an address; if it is there already, that is fine. An IPv6 address can be used at once: no duplicate
    /// detection.
    pub fn add_address(&mut self, ifindex: u32, ip: IpAddr, prefix: u8) -> Result<(), NetlinkError> {
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        let message = RouteNetlinkMessage::NewAddress(address_message(ifindex, ip, prefix));
        self.request(
            message,
            flags,
            || format!("adding {ip}/{prefix} to interface {ifindex}"),
            |_| {},
        )
    }

    /// Removes an address; if it is not there, that is fine.
    pub fn remove_address(&mut self, ifindex: u32, ip: IpAddr, prefix: u8) -> Result<(), NetlinkError> {
        let message = RouteNetlinkMessage::DelAddress(address_message(ifindex, ip, prefix));
        let what = || format!("removing {ip}/{prefix} from interface {ifindex}");
        match self.request(message, NLM_F_ACK, what, |_| {}) {
            Err(NetlinkError::Refused { source, .. })
                if source.raw_os_error() == Some(libc::EADDRNOTAVAIL) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    fn request(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        what: impl Fn() -> String,
        mut each: impl FnMut(Message),
    ) -> Result<(), NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = NetlinkMessage::from(message);
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes)?;
        loop {
            let Some(datagram) = self.socket.receive(&mut self.buffer)? else {
                if self.socket.wait_readable(PATIENCE_MS)? {
                    continue;
                }
                return Err(NetlinkError::NoAnswer { what: what() });
            };
            for (sequence, message) in Messages(datagram) {
                if sequence != self.sequence {
                    continue;
                }
                match message {
                    Message::Done | Message::Ack(0) => return Ok(()),
                    Message::Ack(libc::EPERM | libc::EACCES) => {
                        return Err(NetlinkError::NotPermitted { what: what() });
                    }
                    Message::Ack(errno) => {
                        let source = io::Error::from_raw_os_error(errno);
                        return Err(NetlinkError::Refused { what: what(), source });
                    }
                    other => each(other),
                }
            }
        }
    }
}

fn link_message(ifindex: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = ifindex;
    message
}

fn address_message(ifindex: u32, ip: IpAddr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = ifindex;
    message.header.prefix_len = prefix;
    message.header.scope = AddressScope::Universe;
    message.attributes = vec![AddressAttribute::Local(ip), AddressAttribute::Address(ip)];
    match ip {
        IpAddr::V4(ip) => {
            message.header.family = AddressFamily::Inet;
            if ip.is_loopback() {
                message.header.scope = AddressScope::Host;
            }
        }
        IpAddr::V6(_) => {
            message.header.family = AddressFamily::Inet6;
            message.header.flags = AddressHeaderFlags::Nodad;
            message
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
    }
    message
}
