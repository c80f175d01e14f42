//! What an interface is started with, and how it is changed while it runs.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use knet_proto::{
    config::{DomainConfig, InterfaceConfig, MtuPolicy, PeerConfig, TapMtu},
    ids::{MacAddr, PeerId, SocketId, Workers},
    time::Span,
};

/// Everything that must exist before the first peer: the TAP and the sockets. Peers follow through
/// [`Change::SetPeer`].
#[derive(Clone, Debug)]
pub struct InterfaceSetup {
    /// The TAP's name, 1..=15 bytes as the kernel demands.
    pub name: String,
    /// The TAP's Ethernet address: unicast.
    pub mac: MacAddr,
    /// The TAP's MTU, 68..=65521 bytes; at least 1280 where it has an IPv6 address.
    pub mtu: TapMtu,
    /// Addresses of the TAP, each with its prefix length.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Whether the TAP is brought up.
    pub admin_up: bool,
    /// The core's part.
    pub config: InterfaceConfig,
    /// The UDP sockets by the number of their `local` line.
    pub sockets: Vec<(SocketId, SocketSetup)>,
    /// Differentiated services code point of the datagrams that carry frames, 0..=63 (RFC 2474). All others have CS6.
    pub dscp: u8,
    /// What is done for the broadcast domain, besides bridging.
    pub domain: DomainConfig,
    /// What may be left to the kernel.
    pub offloads: Offloads,
    /// Data workers, each with a thread, that share the peers. Fixed while the interface runs.
    pub workers: Workers,
}

/// Work that the kernel or a device can do for many packets at once. What the kernel does not have is never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offloads {
    /// TCP comes from the TAP and goes to it in super-frames.
    pub tso: bool,
    /// UDP, likewise. Linux 6.2.
    pub uso: bool,
    /// Datagrams to one peer leave as one packet (`UDP_SEGMENT`).
    pub gso: bool,
    /// Datagrams of one peer arrive as one packet (`UDP_GRO`).
    pub gro: bool,
    /// Checksums inside of super-frames are left to whoever has their frames last, where the peer does so too.
    pub checksum: bool,
}

impl Default for Offloads {
    /// All of them.
    fn default() -> Self {
        Self {
            tso: true,
            uso: true,
            gso: true,
            gro: true,
            checksum: true,
        }
    }
}

/// One UDP socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketSetup {
    /// Address and port to bind. The wildcard address listens on all; answers then leave from the address
    /// that was addressed.
    pub address: SocketAddr,
    /// Binds to this network device as well (`SO_BINDTODEVICE`).
    pub device: Option<String>,
}

/// A change of a running interface. What it does not name is not disturbed.
#[derive(Clone, Debug)]
pub enum Change {
    /// Adds a peer, or changes it to this.
    SetPeer {
        /// Its slot.
        peer: PeerId,
        /// All of its configuration.
        config: Arc<PeerConfig>,
    },
    /// Removes a peer.
    RemovePeer(PeerId),
    /// Adds a socket, or moves it to another address or device. Setting what is already so does nothing.
    SetSocket {
        /// The number of its `local` line.
        id: SocketId,
        /// All of its configuration.
        setup: SocketSetup,
    },
    /// Closes a socket.
    RemoveSocket(SocketId),
    /// How long learned MAC addresses are kept.
    SetMacAgeing(Span),
    /// What is done for the broadcast domain, besides bridging.
    SetDomain(Box<DomainConfig>),
    /// Whether strangers that present a credential are told of, [`knet_proto::event::Event::Credential`]. At first they
    /// are not.
    TakeCredentials(bool),
    /// What happens to packets that are too long for the path.
    SetMtuPolicy(MtuPolicy),
    /// Differentiated services code point of the datagrams that carry frames, 0..=63.
    SetDscp(u8),
    /// Adds an address to the TAP; nothing happens if it is there.
    AddAddress(IpAddr, u8),
    /// Removes an address from the TAP; nothing happens if it is not there.
    RemoveAddress(IpAddr, u8),
    /// Changes the TAP's MTU. One that follows the paths begins with what the TAP has.
    SetMtu(TapMtu),
    /// Changes the TAP's Ethernet address.
    SetMac(MacAddr),
    /// Brings the TAP up or down.
    SetAdmin(bool),
}
