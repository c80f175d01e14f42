//! Sending many datagrams with one system call.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
};

use super::{UdpSocket, class_option, traffic_class};
use crate::{
    check,
    cmsg::{ControlBuffer, space},
    sockaddr::RawAddr,
};

/// Datagrams per system call.
const BATCH: usize = 64;
/// Room for pktinfo of either family and a service class.
const CONTROL: usize = space(20) + space(size_of::<libc::c_int>());
/// An error that ICMP left on the socket is reported by the next send, whatever that send is about: a datagram
/// counts as refused only after as many attempts.
const ATTEMPTS: usize = 3;

/// A datagram to send.
#[derive(Clone, Copy, Debug)]
pub struct SendItem<'a> {
    /// Whereto.
    pub remote: SocketAddr,
    /// From which of our addresses; `None` leaves it to the socket and the kernel.
    pub local: Option<IpAddr>,
    /// Differentiated services code point, 0..=63 (RFC 2474); `None`: the socket's own.
    pub dscp: Option<u8>,
    /// The payload.
    pub bytes: &'a [u8],
}

/// A datagram that the kernel refused.
#[derive(Debug)]
pub struct SendFailure {
    /// Its position in the batch.
    pub index: usize,
    /// Why.
    pub error: io::Error,
}

impl SendFailure {
    /// The datagram is larger than the device's MTU. It says nothing about the path.
    pub fn is_too_big(&self) -> bool {
        self.error.raw_os_error() == Some(libc::EMSGSIZE)
    }
}

/// What a send did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendReport {
    /// Datagrams dealt with, from the start of the batch: sent, refused or dropped by a full queue.
    pub done: usize,
    /// The send buffer is full: the datagrams from `done` on are still to be sent, when the socket can be
    /// written to again.
    pub blocked: bool,
    /// Datagrams among `done` that the device's queue dropped because it was full (ENOBUFS). Congestion, not a failure.
    pub queue_drops: usize,
}

/// Scratch space for sending, allocated once.
pub struct SendBatch {
    names: Vec<RawAddr>,
    controls: Vec<ControlBuffer<CONTROL>>,
    headers: Vec<libc::mmsghdr>,
    slices: Vec<libc::iovec>,
}

// SAFETY: `headers` and `slices` hold pointers between calls, but they are rebuilt at the start of each send and
// never followed outside of it.
unsafe impl Send for SendBatch {}

impl SendBatch {
    /// Scratch space for any number of datagrams.
    pub fn new() -> Self {
        Self {
            names: Vec::with_capacity(BATCH),
            controls: vec![ControlBuffer::EMPTY; BATCH],
            headers: Vec::with_capacity(BATCH),
            slices: Vec::with_capacity(BATCH),
        }
    }
}

impl Default for SendBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl UdpSocket {
    /// Sends the datagrams `item(0)` .. `item(count - 1)` in this order, never waiting. One that is refused is put
    /// into `failures` and the others still go.
    pub fn send<'a>(
        &self,
        scratch: &mut SendBatch,
        count: usize,
        item: impl Fn(usize) -> SendItem<'a>,
        failures: &mut Vec<SendFailure>,
    ) -> SendReport {
        let mut report = SendReport::default();
        let mut attempts = 0;
        while report.done < count {
            let end = count.min(report.done + BATCH);
            match self.send_some(scratch, report.done..end, &item) {
                Ok(sent) => {
                    attempts = 0;
                    report.done += sent;
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EAGAIN) => {
                        report.blocked = true;
                        return report;
                    }
                    Some(libc::ENOBUFS | libc::ENOMEM) => {
                        attempts = 0;
                        report.done += 1;
                        report.queue_drops += 1;
                    }
                    _ => {
                        attempts += 1;
                        if attempts == ATTEMPTS || !may_be_left_by_icmp(&error) {
                            attempts = 0;
                            failures.push(SendFailure {
                                index: report.done,
                                error,
                            });
                            report.done += 1;
                        }
                    }
                },
            }
        }
        report
    }

    /// One system call: how many of `range` were sent, at least one, or the error of the first.
    fn send_some<'a>(
        &self,
        scratch: &mut SendBatch,
        range: std::ops::Range<usize>,
        item: &impl Fn(usize) -> SendItem<'a>,
    ) -> io::Result<usize> {
        let SendBatch {
            names,
            controls,
            headers,
            slices,
        } = scratch;
        names.clear();
        headers.clear();
        slices.clear();
        for (index, control) in range.zip(controls.iter_mut()) {
            let SendItem {
                remote,
                local,
                dscp,
                bytes,
            } = item(index);
            let (name, name_len) = RawAddr::encode(remote);
            names.push(name);
            // The kernel reads through this pointer only.
            slices.push(libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            });
            // SAFETY: an mmsghdr is integers and pointers; all zero is valid.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_namelen = name_len;
            header.msg_hdr.msg_iovlen = 1;
            control.clear();
            if let Some(source) = self.explicit_source(local) {
                push_source(control, source);
            }
            if let Some(dscp) = dscp {
                self.push_class(control, dscp);
            }
            if control.len() > 0 {
                header.msg_hdr.msg_control = control.as_mut_ptr();
                header.msg_hdr.msg_controllen = control.len() as _;
            }
            headers.push(header);
        }
        for ((header, name), slice) in headers.iter_mut().zip(names.iter_mut()).zip(slices.iter_mut()) {
            header.msg_hdr.msg_name = name.as_mut_ptr();
            header.msg_hdr.msg_iov = std::ptr::from_mut(slice);
        }
        // SAFETY: each header points to a name, a slice and control bytes in `scratch`, which is not touched during
        // the call; each slice points to bytes that `item` lends for 'a, which outlives the call.
        let sent = check(unsafe {
            libc::sendmmsg(
                self.socket.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT as _,
            )
        })?;
        Ok(sent as usize)
    }

    fn push_class(&self, control: &mut ControlBuffer<CONTROL>, dscp: u8) {
        let (level, name, _) = class_option(self.local.is_ipv6());
        control.push(level, name, &traffic_class(dscp).to_ne_bytes());
    }
}

fn push_source(control: &mut ControlBuffer<CONTROL>, source: IpAddr) {
    // The interface number stays 0: routing chooses the interface, we choose the address.
    match source {
        IpAddr::V4(ip) => {
            let mut info = [0; size_of::<libc::in_pktinfo>()];
            if let Some(spec_dst) = info.get_mut(4..8) {
                spec_dst.copy_from_slice(&ip.octets());
            }
            control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
        }
        IpAddr::V6(ip) => {
            let mut info = [0; size_of::<libc::in6_pktinfo>()];
            if let Some(addr) = info.get_mut(..16) {
                addr.copy_from_slice(&ip.octets());
            }
            control.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
        }
    }
}

/// The errors that the kernel makes of ICMP messages (`icmp_err_convert`, `icmpv6_err_convert`).
fn may_be_left_by_icmp(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ENETUNREACH
                | libc::EHOSTUNREACH
                | libc::ENOPROTOOPT
                | libc::ECONNREFUSED
                | libc::EMSGSIZE
                | libc::EOPNOTSUPP
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EPROTO
                | libc::EACCES
        )
    )
}
