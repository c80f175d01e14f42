//! Where a datagram came from or goes to.

use core::net::{IpAddr, SocketAddr};

use crate::ids::SocketId;

/// A path through the underlay: one of our sockets, the local address used on it, and the remote address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The socket it is received on and sent from.
    pub socket: SocketId,
    /// The local address that was addressed, and that answers leave from. `None`: the kernel chooses
    /// (only before anything was received on a socket bound to the wildcard address).
    pub local: Option<IpAddr>,
    /// The remote address and port.
    pub remote: SocketAddr,
}
