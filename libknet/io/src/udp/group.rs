//! Several sockets at one address (`SO_REUSEPORT`), one for each of several threads. A program chooses for each datagram
//! by what is in it.

use std::{net::SocketAddr, num::NonZeroU8, os::fd::AsRawFd};

use socket2::Socket;

use super::{BindError, Instruction, UdpOptions, UdpSocket, bind, finish, open, set};
use crate::check;

/// How the sockets of a group share what arrives.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// How many sockets.
    pub count: NonZeroU8,
    /// Gives for each datagram the place of its socket, 0 for the first one.
    pub program: &'a [Instruction],
    /// A group of ours is at this address now, on another device, and goes when this one is there. A socket whose device
    /// changes would leave its group for good, so that all of them are made anew.
    pub replaces: bool,
}

impl UdpSocket {
    /// Binds a group of sockets to `address`, all with the same options; with one socket this is [`UdpSocket::bind`].
    /// The place of a socket in the group is its place here. Either all are bound, or none.
    ///
    /// Until this returns, datagrams may come to any of them. Whoever has the address already keeps it
    /// ([`BindError::InUse`]), and later nobody gets it besides; except that another process of the same user who asks
    /// for a share of it becomes one more in the group.
    pub fn bind_group(
        address: SocketAddr,
        options: &UdpOptions,
        group: &Group<'_>,
    ) -> Result<Vec<Self>, BindError> {
        if group.count == NonZeroU8::MIN && !group.replaces {
            return Ok(vec![Self::bind(address, options)?]);
        }
        let first = open(address, options)?;
        if group.replaces {
            share(&first, address)?;
        }
        bind(&first, address)?;
        // Only now: with it before, another program that shares as well would not be noticed.
        share(&first, address)?;
        let first = finish(first, address, options)?;
        // With the port that the kernel chose, if it was asked to.
        let address = first.local_addr();
        let mut sockets = vec![first];
        for _ in 1..group.count.get() {
            let next = open(address, options)?;
            share(&next, address)?;
            bind(&next, address)?;
            sockets.push(finish(next, address, options)?);
        }
        if let Some(any) = sockets.first() {
            attach(&any.socket, address, group.program)?;
        }
        Ok(sockets)
    }
}

fn share(socket: &Socket, address: SocketAddr) -> Result<(), BindError> {
    set(socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1).map_err(|source| BindError::Other {
        address,
        step: "SO_REUSEPORT",
        source,
    })
}

/// Gives the program to the group that `socket` is in.
fn attach(socket: &Socket, address: SocketAddr, program: &[Instruction]) -> Result<(), BindError> {
    let mut code: Vec<libc::sock_filter> = program.iter().map(|i| i.encode()).collect();
    let program = libc::sock_fprog {
        // A longer one than the kernel takes is refused by it.
        len: u16::try_from(code.len()).unwrap_or(u16::MAX),
        filter: code.as_mut_ptr(),
    };
    // SAFETY: `program` points to `len` instructions at most in `code`, and both outlive the call, which only reads them.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    })
    .map(|_| ())
    .map_err(|source| BindError::Other {
        address,
        step: "SO_ATTACH_REUSEPORT_CBPF",
        source,
    })
}
