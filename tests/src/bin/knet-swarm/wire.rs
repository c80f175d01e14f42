//! The swarm's sockets: one for each link, for all peers.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use knet_io::{
    epoll::{Epoll, Events, Interest},
    udp::{RecvBatch, SendBatch, SendItem, UdpOptions, UdpSocket},
};
use knet_proto::{ids::SocketId, path::Path};
use knet_tests::lab::{LabError, Result};

use crate::network::{HUB, PORT};

/// All hosts of the swarm share what is usually one host's.
const BUFFER: usize = 64 << 20;
/// Datagrams per system call, and the longest of them.
const BATCH: usize = 256;
const LONGEST: usize = 2048;

/// A datagram to the hub, over the link of this number.
pub(crate) struct Parcel<B> {
    pub(crate) link: u8,
    pub(crate) from: Ipv4Addr,
    pub(crate) bytes: B,
}

/// The sockets.
pub(crate) struct Wire {
    sockets: Vec<UdpSocket>,
    epoll: Epoll,
    events: Events,
    received: RecvBatch,
    scratch: SendBatch,
    /// Datagrams that did not go out: the socket's buffer was full, or the kernel refused.
    pub(crate) unsent: u64,
    /// Datagrams that the kernel has dropped because our receive buffer was full.
    pub(crate) overflowed: u64,
}

impl Wire {
    /// Binds the sockets for `links` links, to `port` and those that follow it.
    pub(crate) fn new(links: u8, port: u16) -> Result<Self> {
        let epoll = Epoll::new()?;
        let mut sockets = Vec::new();
        for link in 0..links {
            let options = UdpOptions {
                receive_buffer: BUFFER,
                send_buffer: BUFFER,
                gro: false,
                ..UdpOptions::default()
            };
            let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port + u16::from(link)));
            let socket = UdpSocket::bind(address, &options).map_err(|e| LabError::new(e.to_string()))?;
            epoll.add(&socket, u64::from(link), Interest::READ)?;
            sockets.push(socket);
        }
        Ok(Self {
            sockets,
            epoll,
            events: Events::with_capacity(usize::from(links)),
            received: RecvBatch::new(BATCH, LONGEST),
            scratch: SendBatch::new(),
            unsent: 0,
            overflowed: 0,
        })
    }

    /// Where the hub takes datagrams of a link.
    pub(crate) fn hub(link: u8) -> SocketAddr {
        SocketAddr::from((HUB, PORT + u16::from(link)))
    }

    /// Waits until something arrives, at most for `timeout`.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<()> {
        Ok(self.epoll.wait(&mut self.events, Some(timeout))?)
    }

    /// Takes what waits at the sockets, `batches` batches of each at most. Says whether there may be more.
    pub(crate) fn receive(
        &mut self,
        batches: usize,
        mut take: impl FnMut(&Path, &mut [u8], usize),
    ) -> Result<bool> {
        let mut left = false;
        for (link, socket) in self.sockets.iter().enumerate() {
            let mut more = true;
            for _ in 0..batches {
                let outcome = socket.receive(&mut self.received)?;
                self.overflowed += outcome.overflowed;
                more = outcome.more;
                for (bytes, meta) in self.received.iter_mut().filter(|(_, meta)| !meta.truncated) {
                    let path = Path {
                        socket: SocketId(link as u8),
                        local: meta.local,
                        remote: meta.remote,
                    };
                    take(&path, bytes, meta.piece);
                }
                if !more {
                    break;
                }
            }
            left |= more;
        }
        Ok(left)
    }

    /// Forgets what the error queues say: that the hub's port is closed is seen by its silence.
    pub(crate) fn forget_errors(&self) {
        for event in self.events.iter().filter(|e| e.error) {
            if let Some(socket) = self.sockets.get(event.token as usize) {
                let _ = socket.drain_errors(1024, &mut Vec::new());
            }
        }
    }

    /// Sends these, or as many as go.
    pub(crate) fn send<B: AsRef<[u8]>>(&mut self, parcels: &[Parcel<B>]) {
        let mut failures = Vec::new();
        for (link, socket) in self.sockets.iter().enumerate() {
            let link = link as u8;
            let turn: Vec<&Parcel<B>> = parcels.iter().filter(|p| p.link == link).collect();
            if turn.is_empty() {
                continue;
            }
            let item = |i: usize| {
                let parcel = turn[i];
                SendItem {
                    remote: Self::hub(link),
                    local: Some(IpAddr::V4(parcel.from)),
                    dscp: None,
                    confirms: false,
                    begins: false,
                    bytes: parcel.bytes.as_ref(),
                }
            };
            let report = socket.send(&mut self.scratch, turn.len(), item, &mut failures);
            self.unsent += (turn.len() - report.done + report.queue_drops + failures.len()) as u64;
            failures.clear();
        }
    }
}
