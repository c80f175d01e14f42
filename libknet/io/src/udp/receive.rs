//! Receiving many datagrams with one system call, and several in one buffer where the kernel has merged them
//! (`UDP_GRO`, Linux 5.0).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::AsRawFd,
};

use super::UdpSocket;
use crate::{
    check,
    cmsg::{ControlBuffer, ControlMessage, space},
    sockaddr::RawAddr,
};

/// Room for pktinfo of either family, the overflow count and the length of merged datagrams.
const CONTROL: usize = space(20) + space(4) + space(size_of::<libc::c_int>());
/// A pending ICMP error makes one receive fail without taking a datagram; under a flood of ICMP the socket is
/// asked this often before the loop gets its turn again.
const ATTEMPTS: usize = 8;

/// The longest buffer that the kernel makes of several datagrams, in bytes.
pub const MERGED: usize = 65_535;

/// Buffers for one batch, allocated once.
pub struct RecvBatch {
    bytes: Box<[u8]>,
    size: usize,
    names: Box<[RawAddr]>,
    controls: Box<[ControlBuffer<CONTROL>]>,
    metas: Vec<Option<(usize, ReceiveMeta)>>,
    headers: Vec<libc::mmsghdr>,
    slices: Vec<libc::iovec>,
}

// SAFETY: `headers` and `slices` hold pointers between calls, but they are rebuilt from the owned buffers at the start
// of each receive and never followed outside of it.
unsafe impl Send for RecvBatch {}

/// What is known about a received datagram besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveMeta {
    /// Who sent it.
    pub remote: SocketAddr,
    /// The local address that it was sent to, and that an answer should leave from.
    pub local: Option<IpAddr>,
    /// The interface on which it came in, or 0.
    pub ifindex: u32,
    /// It was longer than the buffer and has been cut off.
    pub truncated: bool,
    /// The buffer holds datagrams of so many bytes each, the last of which may be shorter; its whole length where it is
    /// a single one.
    pub piece: usize,
}

/// What a receive did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiveOutcome {
    /// Buffers in the batch, each with one datagram or several.
    pub received: usize,
    /// The batch is full or was cut short by an error of the past: there may be more.
    pub more: bool,
    /// Datagrams that the kernel dropped since the last receive that told, because the receive buffer was full.
    pub overflowed: u64,
}

impl RecvBatch {
    /// Room for `count` datagrams (at least one, at most 1024) of up to `size` bytes; for a socket that
    /// [merges](UdpSocket::merges), give [`MERGED`].
    pub fn new(count: usize, size: usize) -> Self {
        let count = count.clamp(1, 1024);
        Self {
            bytes: vec![0; count * size].into_boxed_slice(),
            size,
            names: vec![RawAddr::default(); count].into_boxed_slice(),
            controls: vec![ControlBuffer::EMPTY; count].into_boxed_slice(),
            metas: Vec::with_capacity(count),
            headers: Vec::with_capacity(count),
            slices: Vec::with_capacity(count),
        }
    }

    /// The buffers of the last receive, each with one datagram or several ([`ReceiveMeta::piece`]).
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&mut [u8], ReceiveMeta)> {
        let buffers = self.bytes.chunks_exact_mut(self.size.max(1));
        buffers.zip(&self.metas).filter_map(|(buffer, meta)| {
            let (len, meta) = (*meta)?;
            Some((buffer.get_mut(..len)?, meta))
        })
    }

    fn prepare(&mut self) {
        self.metas.clear();
        self.headers.clear();
        self.slices.clear();
        let buffers = self.bytes.chunks_exact_mut(self.size.max(1));
        for ((buffer, name), control) in buffers.zip(&mut self.names).zip(&mut self.controls) {
            self.slices.push(libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            });
            // SAFETY: an mmsghdr is integers and pointers; all zero is valid (and hides padding in some libcs).
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = name.as_mut_ptr();
            header.msg_hdr.msg_namelen = RawAddr::ROOM as libc::socklen_t;
            header.msg_hdr.msg_control = control.as_mut_ptr();
            header.msg_hdr.msg_controllen = CONTROL as _;
            header.msg_hdr.msg_iovlen = 1;
            self.headers.push(header);
        }
        // Only now, as pushing moves what it grows (it does not: the room was reserved).
        for (header, slice) in self.headers.iter_mut().zip(&mut self.slices) {
            header.msg_hdr.msg_iov = std::ptr::from_mut(slice);
        }
    }
}

impl UdpSocket {
    /// Receives what waits, up to the size of `batch`. Nothing waiting is no error. Errors that ICMP left on the
    /// socket are passed over: they stay in the error queue, and cost no datagram.
    pub fn receive(&self, batch: &mut RecvBatch) -> io::Result<ReceiveOutcome> {
        for _ in 0..ATTEMPTS {
            batch.prepare();
            // SAFETY: each header points to buffers of `batch` with their true sizes; they outlive the call and are
            // not touched during it. No timeout is passed.
            let result = check(unsafe {
                libc::recvmmsg(
                    self.socket.as_raw_fd(),
                    batch.headers.as_mut_ptr(),
                    batch.headers.len() as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                    std::ptr::null_mut(),
                )
            });
            match result {
                Ok(n) => {
                    let overflowed = self.read_metas(batch, n as usize);
                    let received = n as usize;
                    let more = received == batch.headers.len();
                    return Ok(ReceiveOutcome {
                        received,
                        more,
                        overflowed,
                    });
                }
                Err(e) => match e.raw_os_error() {
                    Some(libc::EAGAIN) => return Ok(ReceiveOutcome::default()),
                    Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT | libc::EINVAL | libc::ENOMEM) => {
                        return Err(e);
                    }
                    _ => {}
                },
            }
        }
        Ok(ReceiveOutcome {
            more: true,
            ..ReceiveOutcome::default()
        })
    }

    fn read_metas(&self, batch: &mut RecvBatch, received: usize) -> u64 {
        let mut overflowed = 0;
        let parts = batch.headers.iter().zip(&batch.names).zip(&batch.controls);
        for ((header, name), control) in parts.take(received) {
            let mut meta = ReceiveMeta {
                remote: SocketAddr::from(([0; 4], 0)),
                local: None,
                ifindex: 0,
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                piece: header.msg_len as usize,
            };
            for message in control.received(header.msg_hdr.msg_controllen as _) {
                match (message.level, message.kind) {
                    (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                        if let Some(raw) = message.u32_at(0) {
                            overflowed += self.note_overflows(raw);
                        }
                    }
                    (libc::SOL_UDP, libc::UDP_GRO) => {
                        if let Some(piece) = message.u32_at(0).filter(|n| *n > 0) {
                            meta.piece = piece as usize;
                        }
                    }
                    _ => read_pktinfo(&message, &mut meta),
                }
            }
            // UDP always names the sender; should it not, the datagram cannot be answered and is skipped.
            batch.metas.push(
                name.decode()
                    .map(|remote| (header.msg_len as usize, ReceiveMeta { remote, ..meta })),
            );
        }
        overflowed
    }
}

fn read_pktinfo(message: &ControlMessage<'_>, meta: &mut ReceiveMeta) {
    match (message.level, message.kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            // struct in_pktinfo { int ipi_ifindex; struct in_addr ipi_spec_dst, ipi_addr; }: the second is the
            // address to answer from, the third what the header said (may be broadcast).
            meta.ifindex = message.u32_at(0).unwrap_or(0);
            meta.local = message
                .data
                .get(4..)
                .and_then(<[u8]>::first_chunk::<4>)
                .map(|ip| IpAddr::V4(Ipv4Addr::from(*ip)));
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            // struct in6_pktinfo { struct in6_addr ipi6_addr; int ipi6_ifindex; }
            meta.local = message
                .data
                .first_chunk::<16>()
                .map(|ip| IpAddr::V6(Ipv6Addr::from(*ip)));
            meta.ifindex = message.u32_at(16).unwrap_or(0);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pktinfo_of_any_length_is_read_or_ignored() {
        let data: Vec<u8> = (0..32).collect();
        for n in 0..data.len() {
            for (level, kind) in [
                (libc::IPPROTO_IP, libc::IP_PKTINFO),
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO),
            ] {
                let mut meta = ReceiveMeta {
                    remote: SocketAddr::from(([0; 4], 0)),
                    local: None,
                    ifindex: 0,
                    truncated: false,
                    piece: 0,
                };
                read_pktinfo(
                    &ControlMessage {
                        level,
                        kind,
                        data: &data[..n],
                    },
                    &mut meta,
                );
                let enough = if level == libc::IPPROTO_IP { 8 } else { 16 };
                assert_eq!(meta.local.is_some(), n >= enough, "level {level}, {n} bytes");
            }
        }
        assert_eq!(size_of::<libc::in_pktinfo>(), 12);
        assert_eq!(size_of::<libc::in6_pktinfo>(), 20);
    }
}
