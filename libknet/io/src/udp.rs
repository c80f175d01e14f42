//! UDP sockets: bound, tuned, and used in batches.

mod bpf;
mod error_queue;
mod group;
mod receive;
mod send;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use socket2::{Domain, Protocol, Socket, Type};

pub use self::{
    bpf::Instruction,
    error_queue::{IcmpHint, IcmpKind},
    group::Group,
    receive::{MERGED, ReceiveMeta, ReceiveOutcome, RecvBatch},
    send::{SendBatch, SendFailure, SendItem, SendReport},
};
use crate::check;

/// How a socket is set up besides its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// Bind to this network device (`SO_BINDTODEVICE`).
    pub device: Option<String>,
    /// Receive buffer in bytes. Beyond `net.core.rmem_max` only with `CAP_NET_ADMIN`; else the kernel gives less.
    pub receive_buffer: usize,
    /// Send buffer in bytes, likewise. What waits in it grows old: large enough for a burst, and no larger.
    pub send_buffer: usize,
    /// Differentiated services code point of what is sent, 0..=63 (RFC 2474). Default 0: best effort.
    pub dscp: u8,
    /// Send datagrams that follow each other to one receiver as one packet (`UDP_SEGMENT`), where the kernel can.
    pub gso: bool,
    /// Take datagrams that arrived one after the other from one sender as one packet (`UDP_GRO`), where the kernel can.
    pub gro: bool,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self {
            device: None,
            receive_buffer: 8 << 20,
            send_buffer: 512 << 10,
            dscp: 0,
            gso: true,
            gro: true,
        }
    }
}

/// A bound UDP socket of one address family. It never fragments, reports the kernel's drops, keeps ICMP errors
/// in its error queue, and knows which local address each datagram was sent to.
#[derive(Debug)]
pub struct UdpSocket {
    socket: Socket,
    local: SocketAddr,
    overflows: AtomicU64,
    overflows_raw: AtomicU32,
    gso: AtomicBool,
    gro: bool,
}

/// Why a socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address and port belong to somebody else.
    #[error("{0} is in use by another process or socket: choose another port, or see 'ss -lunp'")]
    InUse(SocketAddr),
    /// The address is not ours.
    #[error(
        "{0} is not an address of this host (or an IPv6 address still under duplicate detection): see 'ip address'"
    )]
    NotLocal(SocketAddr),
    /// No such device.
    #[error("there is no network device '{0}': see 'ip link'")]
    NoDevice(String),
    /// Not allowed.
    #[error(
        "binding to {address} is not permitted: a port below 1024 or a device needs root (CAP_NET_BIND_SERVICE, CAP_NET_RAW)"
    )]
    NotPermitted {
        /// The address asked for.
        address: SocketAddr,
    },
    /// A link-local address without an interface.
    #[error("{0} is link-local: say on which interface, as in fe80::1%eth0, or name a device")]
    NeedsScope(SocketAddr),
    /// IPv6 is switched off or not compiled in.
    #[error("{0}: this host has no such address family (IPv6 disabled?)")]
    NoFamily(SocketAddr),
    /// No more descriptors.
    #[error("no file descriptor for the socket of {0}: raise the limit ('ulimit -n', LimitNOFILE=)")]
    NoDescriptor(SocketAddr),
    /// Anything else.
    #[error("the socket of {address} cannot be set up ({step}): {source}")]
    Other {
        /// The address asked for.
        address: SocketAddr,
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl UdpSocket {
    /// Binds a new socket to `address`.
    pub fn bind(address: SocketAddr, options: &UdpOptions) -> Result<Self, BindError> {
        let socket = open(address, options)?;
        bind(&socket, address)?;
        finish(socket, address, options)
    }

    /// Where it is bound, with the port that the kernel chose if it was asked to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Whether what arrives may be several datagrams in one buffer.
    pub fn merges(&self) -> bool {
        self.gro
    }

    /// The receive buffer that the kernel granted, in bytes of payload and overhead.
    pub fn receive_buffer(&self) -> usize {
        self.socket.recv_buffer_size().unwrap_or(0)
    }

    /// Datagrams that the kernel has dropped since the socket was bound because the receive buffer was full, as far
    /// as the datagrams received since then have told (`SO_RXQ_OVFL`).
    pub fn overflows(&self) -> u64 {
        self.overflows.load(Ordering::Relaxed)
    }

    /// Binds to `device`, or to none, from now on (`SO_BINDTODEVICE`).
    pub fn set_device(&self, device: Option<&str>) -> Result<(), BindError> {
        let address = self.local;
        self.socket
            .bind_device(device.map(str::as_bytes))
            .map_err(|e| device_error(address, device, e))
    }

    /// The differentiated services code point of what is sent from now on, 0..=63, where the datagram says nothing else.
    pub fn set_dscp(&self, dscp: u8) -> io::Result<()> {
        let (level, name, _) = class_option(self.local.is_ipv6());
        set(&self.socket, level, name, traffic_class(dscp))
    }

    /// Takes the kernel's running count, which wraps, and gives how much it has grown.
    fn note_overflows(&self, raw: u32) -> u64 {
        let grown = u64::from(raw.wrapping_sub(self.overflows_raw.swap(raw, Ordering::Relaxed)));
        self.overflows.fetch_add(grown, Ordering::Relaxed);
        grown
    }

    /// The source address that must be told to the kernel: none where the socket is bound to it anyway.
    fn explicit_source(&self, local: Option<IpAddr>) -> Option<IpAddr> {
        local.filter(|ip| *ip != self.local.ip() && ip.is_ipv6() == self.local.is_ipv6())
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A socket for `address` with all that is set before it is bound.
fn open(address: SocketAddr, options: &UdpOptions) -> Result<Socket, BindError> {
    let v6 = address.is_ipv6();
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    // socket2 creates it close-on-exec.
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP)).map_err(|e| match e
        .raw_os_error()
    {
        Some(libc::EAFNOSUPPORT) => BindError::NoFamily(address),
        Some(libc::EMFILE | libc::ENFILE) => BindError::NoDescriptor(address),
        _ => failed(address, "socket")(e),
    })?;
    if v6 {
        socket.set_only_v6(true).map_err(failed(address, "IPV6_V6ONLY"))?;
    }
    if let Some(device) = options.device.as_deref() {
        let bound = socket.bind_device(Some(device.as_bytes()));
        bound.map_err(|e| device_error(address, Some(device), e))?;
    }
    set_buffers(&socket, options);
    for (level, name, value, step) in settings(v6) {
        set(&socket, *level, *name, *value).map_err(failed(address, step))?;
    }
    let (level, name, step) = class_option(v6);
    set(&socket, level, name, traffic_class(options.dscp)).map_err(failed(address, step))?;
    Ok(socket)
}

fn bind(socket: &Socket, address: SocketAddr) -> Result<(), BindError> {
    socket.bind(&address.into()).map_err(|e| match e.raw_os_error() {
        Some(libc::EADDRINUSE) => BindError::InUse(address),
        Some(libc::EADDRNOTAVAIL) => BindError::NotLocal(address),
        Some(libc::EACCES | libc::EPERM) => BindError::NotPermitted { address },
        Some(libc::EINVAL) if is_unscoped_link_local(address) => BindError::NeedsScope(address),
        _ => failed(address, "bind")(e),
    })
}

/// What is left to do once it is bound.
fn finish(socket: Socket, address: SocketAddr, options: &UdpOptions) -> Result<UdpSocket, BindError> {
    let local = socket
        .local_addr()
        .map_err(failed(address, "getsockname"))?
        .as_socket()
        .unwrap_or(address);
    // Zero changes nothing; a kernel that does not know the option says so.
    let gso = options.gso && set(&socket, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok();
    let gro = options.gro && set(&socket, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok();
    Ok(UdpSocket {
        socket,
        local,
        overflows: AtomicU64::new(0),
        overflows_raw: AtomicU32::new(0),
        gso: AtomicBool::new(gso),
        gro,
    })
}

fn failed(address: SocketAddr, step: &'static str) -> impl FnOnce(io::Error) -> BindError {
    move |source| BindError::Other {
        address,
        step,
        source,
    }
}

type Setting = (libc::c_int, libc::c_int, libc::c_int, &'static str);

fn settings(v6: bool) -> &'static [Setting] {
    use libc::{IPPROTO_IP as IP, IPPROTO_IPV6 as IPV6};
    const OVERFLOW: Setting = (libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1, "SO_RXQ_OVFL");
    if v6 {
        &[
            // PROBE: never fragment, and ignore the path MTU that ICMP claims: we measure our own.
            (
                IPV6,
                libc::IPV6_MTU_DISCOVER,
                libc::IPV6_PMTUDISC_PROBE,
                "IPV6_MTU_DISCOVER",
            ),
            (IPV6, libc::IPV6_RECVERR, 1, "IPV6_RECVERR"),
            (IPV6, libc::IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO"),
            OVERFLOW,
        ]
    } else {
        &[
            (
                IP,
                libc::IP_MTU_DISCOVER,
                libc::IP_PMTUDISC_PROBE,
                "IP_MTU_DISCOVER",
            ),
            (IP, libc::IP_RECVERR, 1, "IP_RECVERR"),
            (IP, libc::IP_PKTINFO, 1, "IP_PKTINFO"),
            OVERFLOW,
        ]
    }
}

/// What sets the service class, of a socket and of a datagram.
const fn class_option(v6: bool) -> (libc::c_int, libc::c_int, &'static str) {
    if v6 {
        (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, "IPV6_TCLASS")
    } else {
        (libc::IPPROTO_IP, libc::IP_TOS, "IP_TOS")
    }
}

/// The byte in the IP header; the two bits of ECN stay 0.
const fn traffic_class(dscp: u8) -> libc::c_int {
    ((dscp & 63) << 2) as libc::c_int
}

/// A small buffer costs packets under load but is no reason not to start: `receive_buffer` tells what was granted.
fn set_buffers(socket: &Socket, options: &UdpOptions) {
    let bytes = |n: usize| libc::c_int::try_from(n).unwrap_or(libc::c_int::MAX);
    if set(
        socket,
        libc::SOL_SOCKET,
        libc::SO_RCVBUFFORCE,
        bytes(options.receive_buffer),
    )
    .is_err()
    {
        let _ = socket.set_recv_buffer_size(options.receive_buffer);
    }
    if set(
        socket,
        libc::SOL_SOCKET,
        libc::SO_SNDBUFFORCE,
        bytes(options.send_buffer),
    )
    .is_err()
    {
        let _ = socket.set_send_buffer_size(options.send_buffer);
    }
}

fn set(socket: &Socket, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` is a c_int that outlives the call, and `len` is its size.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), len) })?;
    Ok(())
}

fn device_error(address: SocketAddr, device: Option<&str>, source: io::Error) -> BindError {
    match source.raw_os_error() {
        Some(libc::ENODEV) => BindError::NoDevice(device.unwrap_or_default().to_owned()),
        Some(libc::EPERM) => BindError::NotPermitted { address },
        _ => BindError::Other {
            address,
            step: "SO_BINDTODEVICE",
            source,
        },
    }
}

fn is_unscoped_link_local(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(a) if a.ip().is_unicast_link_local() && a.scope_id() == 0)
}

#[cfg(test)]
mod tests;
