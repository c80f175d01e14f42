//! Hearing of changes as they happen.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use super::{
    Address, Link,
    message::{Message, Messages},
    socket::{RECEIVE_ROOM, Socket},
};

/// A change in the kernel's view of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetEvent {
    /// An interface appeared or changed; this is what it is now.
    LinkChanged(Link),
    /// An interface is gone.
    LinkRemoved {
        /// Its number.
        ifindex: u32,
        /// Its name.
        name: String,
    },
    /// An address appeared or changed; this is what it is now.
    AddressChanged(Address),
    /// An address is gone.
    AddressRemoved(Address),
    /// Events were lost because there were too many: ask for the whole state anew.
    Resync,
}

/// A subscription to changes of interfaces and addresses, in the network namespace of the thread that opened it.
pub struct Monitor {
    socket: Socket,
    buffer: Box<[u8]>,
}

impl Monitor {
    /// Subscribes. Open it *before* asking for the present state, and nothing is missed in between.
    ///
    /// Routes are not watched: a host with a full routing table would wake us without end, and a path that has lost its
    /// route shows itself when something is sent.
    pub fn open() -> io::Result<Self> {
        let groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
        let socket = Socket::open(groups as u32)?;
        socket.grow_receive_buffer(1 << 20);
        Ok(Self {
            socket,
            buffer: vec![0; RECEIVE_ROOM].into_boxed_slice(),
        })
    }

    /// Appends what has happened, from up to `limit` datagrams of the kernel.
    pub fn drain(&mut self, limit: usize, events: &mut Vec<NetEvent>) -> io::Result<()> {
        for _ in 0..limit {
            match self.socket.receive(&mut self.buffer) {
                Ok(None) => return Ok(()),
                Ok(Some(datagram)) => events.extend(Messages(datagram).filter_map(|(_, m)| event(m))),
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => events.push(NetEvent::Resync),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

fn event(message: Message) -> Option<NetEvent> {
    match message {
        Message::NewLink(link) => Some(NetEvent::LinkChanged(link)),
        Message::DelLink { ifindex, name } => Some(NetEvent::LinkRemoved { ifindex, name }),
        Message::NewAddress(address) => Some(NetEvent::AddressChanged(address)),
        Message::DelAddress(address) => Some(NetEvent::AddressRemoved(address)),
        Message::Done | Message::Ack(_) | Message::Other => None,
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
