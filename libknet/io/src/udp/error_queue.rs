//! The socket's error queue: what ICMP and the kernel say about datagrams sent earlier. Anybody can forge ICMP, so these
//! are hints, never facts.

use std::{io, net::SocketAddr, os::fd::AsRawFd};

use super::UdpSocket;
use crate::{
    check,
    cmsg::{ControlBuffer, ControlMessage, space},
    sockaddr::RawAddr,
};

/// `sock_extended_err` and the offender's address after it, pktinfo and the overflow count.
const CONTROL: usize = space(16 + RawAddr::ROOM) + space(20) + space(4);

/// One entry of the error queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpHint {
    /// Where the datagram was going.
    pub remote: SocketAddr,
    /// What is said about it.
    pub kind: IcmpKind,
    /// The same as an errno.
    pub errno: i32,
    /// Said by this host's kernel itself, not by a packet from the network.
    pub is_local: bool,
}

/// What an [`IcmpHint`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpKind {
    /// The port, host or network cannot be reached.
    Unreachable,
    /// The datagram is larger than this IP packet size in bytes.
    TooBig {
        /// The largest IP packet that would fit.
        mtu: u32,
    },
    /// Something else.
    Other,
}

impl UdpSocket {
    /// Takes up to `limit` entries from the error queue and appends those that can be read. While entries are left,
    /// the socket stays ready with an error.
    pub fn drain_errors(&self, limit: usize, hints: &mut Vec<IcmpHint>) -> io::Result<()> {
        for _ in 0..limit {
            let mut name = RawAddr::default();
            let mut control = ControlBuffer::<CONTROL>::EMPTY;
            // The bytes of the datagram are of no interest, and are cut off.
            let mut slice = libc::iovec {
                iov_base: std::ptr::null_mut(),
                iov_len: 0,
            };
            // SAFETY: a msghdr is integers and pointers; all zero is valid.
            let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
            header.msg_name = name.as_mut_ptr();
            header.msg_namelen = RawAddr::ROOM as libc::socklen_t;
            header.msg_iov = &raw mut slice;
            header.msg_iovlen = 1;
            header.msg_control = control.as_mut_ptr();
            header.msg_controllen = CONTROL as _;
            // SAFETY: the header points to local buffers with their true sizes; the empty slice is never written to.
            let result = check(unsafe {
                libc::recvmsg(
                    self.socket.as_raw_fd(),
                    &raw mut header,
                    libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
                ) as libc::c_int
            });
            match result {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
            let parsed = control
                .received(header.msg_controllen as _)
                .find_map(|m| parse(&m));
            if let (Some(remote), Some((kind, errno, is_local))) = (name.decode(), parsed) {
                hints.push(IcmpHint {
                    remote,
                    kind,
                    errno,
                    is_local,
                });
            }
        }
        Ok(())
    }
}

/// Reads a `struct sock_extended_err { u32 errno; u8 origin, type, code, pad; u32 info, data; }`.
fn parse(message: &ControlMessage<'_>) -> Option<(IcmpKind, i32, bool)> {
    let known = matches!(
        (message.level, message.kind),
        (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
    );
    if !known {
        return None;
    }
    let errno = message.u32_at(0)? as i32;
    let origin = *message.data.get(4)?;
    let info = message.u32_at(8)?;
    let kind = match errno {
        libc::EMSGSIZE => IcmpKind::TooBig { mtu: info },
        libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EHOSTDOWN | libc::ENONET => {
            IcmpKind::Unreachable
        }
        _ => IcmpKind::Other,
    };
    Some((kind, errno, origin == libc::SO_EE_ORIGIN_LOCAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_any_length_are_read_or_ignored() {
        assert_eq!(size_of::<libc::sock_extended_err>(), 16);
        let mut data = [0_u8; 44];
        data[..4].copy_from_slice(&libc::EMSGSIZE.to_ne_bytes());
        data[4] = libc::SO_EE_ORIGIN_ICMP;
        data[8..12].copy_from_slice(&1400_u32.to_ne_bytes());
        for n in 0..data.len() {
            let message = ControlMessage {
                level: libc::IPPROTO_IP,
                kind: libc::IP_RECVERR,
                data: &data[..n],
            };
            let want = (n >= 12).then_some((IcmpKind::TooBig { mtu: 1400 }, libc::EMSGSIZE, false));
            assert_eq!(parse(&message), want, "{n} bytes");
        }
        assert_eq!(
            parse(&ControlMessage {
                level: libc::IPPROTO_IP,
                kind: libc::IP_TTL,
                data: &data
            }),
            None
        );
    }
}
