//! Where a datagram came from or goes to.

use alloc::boxed::Box;
use core::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use crate::{crypto::secret::on_erased_stack, ids::SocketId};

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

/// A path in a third of its room, as it is kept of each link: in place over IPv4, in a box over IPv6.
#[derive(Clone, Debug)]
pub(crate) enum PackedPath {
    /// Over IPv4.
    V4 {
        /// See [`Path::socket`].
        socket: SocketId,
        /// See [`Path::local`].
        local: Option<Ipv4Addr>,
        /// See [`Path::remote`].
        remote: SocketAddrV4,
    },
    /// Any other.
    Boxed(Box<Path>),
}

impl PackedPath {
    /// The path that it is.
    pub(crate) fn path(&self) -> Path {
        match self {
            Self::V4 {
                socket,
                local,
                remote,
            } => Path {
                socket: *socket,
                local: local.map(IpAddr::V4),
                remote: SocketAddr::V4(*remote),
            },
            Self::Boxed(path) => **path,
        }
    }
}

impl From<Path> for PackedPath {
    fn from(path: Path) -> Self {
        let (socket, remote) = (path.socket, path.remote);
        let v4 = |local| match remote {
            SocketAddr::V4(remote) => Some(Self::V4 {
                socket,
                local,
                remote,
            }),
            SocketAddr::V6(_) => None,
        };
        let packed = match path.local {
            None => v4(None),
            Some(IpAddr::V4(local)) => v4(Some(local)),
            Some(IpAddr::V6(_)) => None,
        };
        packed.unwrap_or_else(|| Self::Boxed(on_erased_stack(|| Box::new(path))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_loses_nothing() {
        let addresses =
            |list: [&str; 3]| list.map(|a| (!a.is_empty()).then(|| a.parse().expect("an address")));
        for remote in [
            "192.0.2.1:7",
            "[2001:db8::1]:65535",
            "[fe80::1%3]:7",
            "[::ffff:192.0.2.1]:7",
        ] {
            for local in addresses(["", "192.0.2.9", "2001:db8::9"]) {
                let path = Path {
                    socket: SocketId(7),
                    local,
                    remote: remote.parse().expect("an address"),
                };
                assert_eq!(PackedPath::from(path).path(), path);
            }
        }
        assert_eq!(size_of::<Option<PackedPath>>(), 16);
    }
}
