//! Sending many datagrams with one system call, and datagrams that follow each other to one receiver as one packet that
//! the kernel or the device cuts up (`UDP_SEGMENT`, Linux 4.18): most of what sending costs is per packet.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    ops::Range,
    os::fd::AsRawFd,
    sync::atomic::Ordering,
};

use super::{UdpSocket, class_option, traffic_class};
use crate::{
    check,
    cmsg::{ControlBuffer, space},
    sockaddr::RawAddr,
};

/// Packets per system call.
const BATCH: usize = 64;
/// Datagrams in one packet: `UDP_MAX_SEGMENTS` of the kernels before 6.9.
const MAX_SEGMENTS: usize = 64;
/// Bytes in one packet: with the headers of UDP and IP it must stay below 65,536.
const MAX_RUN: usize = 65_000;
/// Room for pktinfo of either family, a service class and the length of the pieces.
const CONTROL: usize = space(20) + space(size_of::<libc::c_int>()) + space(size_of::<u16>());
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
    /// The neighbour that it goes to is known to be there (`MSG_CONFIRM`): what was sent to it before was answered.
    pub confirms: bool,
    /// It is the first of many that belong together: a packet that is more than half full ends before it, so that they
    /// come in one.
    pub begins: bool,
    /// The payload.
    pub bytes: &'a [u8],
}

impl<'a> SendItem<'a> {
    /// A datagram with nothing special about it.
    pub const fn plain(remote: SocketAddr, bytes: &'a [u8]) -> Self {
        Self {
            remote,
            local: None,
            dscp: None,
            confirms: false,
            begins: false,
            bytes,
        }
    }
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
    /// System calls that it took.
    pub calls: usize,
}

/// Scratch space for sending, allocated once.
pub struct SendBatch {
    names: Vec<RawAddr>,
    controls: Vec<ControlBuffer<CONTROL>>,
    headers: Vec<libc::mmsghdr>,
    slices: Vec<libc::iovec>,
    runs: Vec<Run>,
}

/// Datagrams that leave as one packet.
#[derive(Clone, Copy)]
struct Run {
    datagrams: usize,
    bytes: usize,
    /// Length of each but the last, which may be shorter.
    piece: usize,
    /// Where its bytes are among the slices.
    first_slice: usize,
    slices: usize,
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
            runs: Vec::with_capacity(BATCH),
        }
    }

    /// Packets for the datagrams of `range`, as many as go into one system call.
    fn fill<'a>(
        &mut self,
        socket: &UdpSocket,
        range: Range<usize>,
        segment: bool,
        item: &impl Fn(usize) -> SendItem<'a>,
    ) {
        self.names.clear();
        self.headers.clear();
        self.slices.clear();
        self.runs.clear();
        let mut before: Option<SendItem<'a>> = None;
        for index in range {
            let next = item(index);
            // It is said of a whole system call.
            if before.is_some_and(|b| b.confirms != next.confirms) {
                break;
            }
            let continued = before.filter(|_| segment).zip(self.runs.last_mut());
            if continued.is_none_or(|(before, run)| !run.continues(&before, &next)) {
                self.finish_control();
                if self.runs.len() == BATCH {
                    return;
                }
                self.begin(socket, &next);
            }
            self.append(next.bytes);
            before = Some(next);
        }
        self.finish_control();
    }

    fn begin(&mut self, socket: &UdpSocket, item: &SendItem<'_>) {
        let (name, name_len) = RawAddr::encode(item.remote);
        self.names.push(name);
        // SAFETY: an mmsghdr is integers and pointers; all zero is valid.
        let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        header.msg_hdr.msg_namelen = name_len;
        self.headers.push(header);
        if let Some(control) = self.controls.get_mut(self.runs.len()) {
            control.clear();
            if let Some(source) = socket.explicit_source(item.local) {
                push_source(control, source);
            }
            if let Some(dscp) = item.dscp {
                socket.push_class(control, dscp);
            }
        }
        self.runs.push(Run {
            datagrams: 0,
            bytes: 0,
            piece: item.bytes.len(),
            first_slice: self.slices.len(),
            slices: 0,
        });
    }

    fn append(&mut self, bytes: &[u8]) {
        let Some(run) = self.runs.last_mut() else { return };
        run.datagrams += 1;
        run.bytes += bytes.len();
        // The kernel reads through this pointer only.
        let base: *mut libc::c_void = bytes.as_ptr().cast_mut().cast();
        match self.slices.last_mut().filter(|_| run.slices > 0) {
            // What was sealed one after the other lies one after the other.
            Some(last) if last.iov_base.wrapping_byte_add(last.iov_len) == base => {
                last.iov_len += bytes.len();
            }
            _ => {
                run.slices += 1;
                self.slices.push(libc::iovec {
                    iov_base: base,
                    iov_len: bytes.len(),
                });
            }
        }
    }

    /// The last packet is complete: where it has several datagrams, it says how long they are.
    fn finish_control(&mut self) {
        if let Some(run) = self.runs.last().filter(|r| r.datagrams > 1)
            && let Some(control) = self.controls.get_mut(self.runs.len() - 1)
        {
            control.push(
                libc::SOL_UDP,
                libc::UDP_SEGMENT,
                &(run.piece as u16).to_ne_bytes(),
            );
        }
    }
}

impl Run {
    /// Whether `next` can be one more datagram of the packet that ends with `before`.
    fn continues(&self, before: &SendItem<'_>, next: &SendItem<'_>) -> bool {
        self.datagrams < MAX_SEGMENTS
            && before.bytes.len() == self.piece
            && (1..=self.piece).contains(&next.bytes.len())
            && self.bytes + next.bytes.len() <= MAX_RUN
            && !(next.begins && self.bytes > MAX_RUN / 2)
            && (before.remote, before.local, before.dscp) == (next.remote, next.local, next.dscp)
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
        // Until there each datagram is a packet of its own, because a packet with it and others was refused.
        let mut alone_until = 0;
        while report.done < count {
            let segment = self.gso.load(Ordering::Relaxed) && report.done >= alone_until;
            report.calls += 1;
            match self.send_some(scratch, report.done..count, segment, &item) {
                Ok(sent) => {
                    attempts = 0;
                    report.done += sent;
                }
                Err(error) => {
                    let datagrams = scratch.runs.first().map_or(1, |r| r.datagrams);
                    match error.raw_os_error() {
                        Some(libc::EINTR) => {}
                        Some(libc::EAGAIN) => {
                            report.blocked = true;
                            return report;
                        }
                        Some(libc::ENOBUFS | libc::ENOMEM) => {
                            attempts = 0;
                            report.done += datagrams;
                            report.queue_drops += datagrams;
                        }
                        // The device does not complete checksums, or IPsec is in the way: so it will always be.
                        Some(libc::EIO) if datagrams > 1 => self.gso.store(false, Ordering::Relaxed),
                        _ => {
                            attempts += 1;
                            if attempts < ATTEMPTS && may_be_left_by_icmp(&error) {
                                continue;
                            }
                            attempts = 0;
                            if datagrams > 1 {
                                alone_until = report.done + datagrams;
                                continue;
                            }
                            failures.push(SendFailure {
                                index: report.done,
                                error,
                            });
                            report.done += 1;
                        }
                    }
                }
            }
        }
        report
    }

    /// One system call: how many datagrams of `range` were sent, at least one, or the error of the first packet.
    fn send_some<'a>(
        &self,
        scratch: &mut SendBatch,
        range: Range<usize>,
        segment: bool,
        item: &impl Fn(usize) -> SendItem<'a>,
    ) -> io::Result<usize> {
        let start = range.start;
        scratch.fill(self, range, segment, item);
        let SendBatch {
            names,
            controls,
            headers,
            slices,
            runs,
        } = scratch;
        for (((header, name), control), run) in headers.iter_mut().zip(names).zip(controls).zip(runs.iter()) {
            header.msg_hdr.msg_name = name.as_mut_ptr();
            if control.len() > 0 {
                header.msg_hdr.msg_control = control.as_mut_ptr();
                header.msg_hdr.msg_controllen = control.len() as _;
            }
            let pieces = slices.get_mut(run.first_slice..).unwrap_or_default();
            header.msg_hdr.msg_iov = pieces.as_mut_ptr();
            header.msg_hdr.msg_iovlen = run.slices as _;
        }
        let confirm = if item(start).confirms {
            libc::MSG_CONFIRM
        } else {
            0
        };
        // SAFETY: each header points to a name, slices and control bytes in `scratch`, which is not touched during
        // the call; each slice points to bytes that `item` lends for 'a, which outlives the call.
        let sent = check(unsafe {
            libc::sendmmsg(
                self.socket.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                (libc::MSG_DONTWAIT | confirm) as _,
            )
        })?;
        Ok(runs.iter().take(sent as usize).map(|r| r.datagrams).sum())
    }

    /// Whether datagrams are sent as one packet where they can be.
    pub fn segments(&self) -> bool {
        self.gso.load(Ordering::Relaxed)
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
