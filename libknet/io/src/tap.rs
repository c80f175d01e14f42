//! The TAP device: an Ethernet interface whose wire is this process.
//!
//! Each frame has a `struct virtio_net_hdr` in front (virtio 1.2 section 5.1.6, little endian): it says what is left to
//! be done, so that a TCP stream comes and goes in frames of up to 64 KiB, and nobody computes a checksum twice.

mod create;

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

pub use self::create::{TapError, is_interface_name};
use crate::check;

/// Bytes of the header in front of each frame.
pub const VNET_HEADER: usize = 10;

/// The header of a frame in which nothing is left to be done.
pub const PLAIN: [u8; VNET_HEADER] = [0; VNET_HEADER];

/// An open TAP, or one of several handles of it. The interface disappears when the last one is dropped.
#[derive(Debug)]
pub struct Tap {
    fd: OwnedFd,
    /// The queue that is written to, where it is another one.
    detached: Option<OwnedFd>,
    name: String,
    ifindex: u32,
    offloads: TapOffloads,
}

/// What the kernel may leave to us in the frames that we read, and we to it in those that we write. With any of them the
/// kernel leaves checksums to us, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapOffloads {
    /// To cut up TCP, with ECN and without.
    pub tso: bool,
    /// To cut up UDP (`UDP_SEGMENT`). Linux 6.2.
    pub uso: bool,
}

impl TapOffloads {
    /// `TUN_F_*` of `linux/if_tun.h`.
    const fn flags(self) -> libc::c_uint {
        const CSUM: libc::c_uint = 0x01;
        const TSO4_TSO6_ECN: libc::c_uint = 0x02 | 0x04 | 0x08;
        const USO4_USO6: libc::c_uint = 0x20 | 0x40;
        match (self.tso, self.uso) {
            (false, false) => 0,
            (true, false) => CSUM | TSO4_TSO6_ECN,
            (false, true) => CSUM | USO4_USO6,
            (true, true) => CSUM | TSO4_TSO6_ECN | USO4_USO6,
        }
    }
}

/// What became of a frame that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapWrite {
    /// The kernel has it.
    Done,
    /// Not taken: the interface is down, the kernel is out of memory, the frame is shorter than a header, or contradicts
    /// what is said of it.
    Refused,
}

impl Tap {
    /// What of the offloads is in force.
    pub fn offloads(&self) -> TapOffloads {
        self.offloads
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kernel's number of the interface.
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Takes the carrier away, as if the cable were pulled, or gives it back. Needs Linux 4.20. Frames written
    /// meanwhile still arrive: whoever pulls the cable must keep them back.
    pub fn set_carrier(&self, on: bool) -> io::Result<()> {
        let value = libc::c_int::from(on);
        // SAFETY: TUNSETCARRIER reads one int, which `value` is.
        check(unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::TUNSETCARRIER, &raw const value) }).map(|_| ())
    }

    /// Reads one frame (without FCS) into `buffer`, with what is left to be done in `header`, and gives its length;
    /// `None` where none waits. A frame longer than `buffer` is cut off: give 65,550 bytes to be sure, or, without
    /// offloads, the MTU and 14, and 4 for each VLAN tag.
    ///
    /// An error other than a passing one means that the interface was deleted ([`is_gone`]).
    pub fn read(&self, header: &mut [u8; VNET_HEADER], buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let slices = [
            libc::iovec {
                iov_base: header.as_mut_ptr().cast(),
                iov_len: VNET_HEADER,
            },
            libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            },
        ];
        loop {
            // SAFETY: both slices are writable for their lengths.
            let n = unsafe { libc::readv(self.fd.as_raw_fd(), slices.as_ptr(), slices.len() as libc::c_int) };
            if n >= 0 {
                return Ok(Some((n as usize).saturating_sub(VNET_HEADER)));
            }
            let e = io::Error::last_os_error();
            match e.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => return Ok(None),
                _ => return Err(e),
            }
        }
    }

    /// Writes one frame (without FCS), in which is left to be done what `header` says. An error means that the interface
    /// was deleted ([`is_gone`]).
    pub fn write(&self, header: &[u8; VNET_HEADER], frame: &[u8]) -> io::Result<TapWrite> {
        // The kernel reads through these pointers only.
        let slices = [
            libc::iovec {
                iov_base: header.as_ptr().cast_mut().cast(),
                iov_len: VNET_HEADER,
            },
            libc::iovec {
                iov_base: frame.as_ptr().cast_mut().cast(),
                iov_len: frame.len(),
            },
        ];
        let fd = self.detached.as_ref().unwrap_or(&self.fd).as_raw_fd();
        loop {
            // SAFETY: both slices are readable for their lengths.
            let n = unsafe { libc::writev(fd, slices.as_ptr(), slices.len() as libc::c_int) };
            if n >= 0 {
                return Ok(TapWrite::Done);
            }
            let e = io::Error::last_os_error();
            match e.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EBADFD | libc::EBADF) => return Err(e),
                _ => return Ok(TapWrite::Refused),
            }
        }
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether an error of [`Tap::read`] or [`Tap::write`] says that somebody deleted the interface.
pub fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBADFD | libc::EBADF))
}
