//! The TAP device: an Ethernet interface whose wire is this process.
//!
//! Each frame has a `struct virtio_net_hdr` in front (virtio 1.2 section 5.1.6, little endian): it says what is left to
//! be done, so that a TCP stream comes and goes in frames of up to 64 KiB, and nobody computes a checksum twice.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use crate::check;

/// Bytes of the header in front of each frame.
pub const VNET_HEADER: usize = 10;

/// The header of a frame in which nothing is left to be done.
pub const PLAIN: [u8; VNET_HEADER] = [0; VNET_HEADER];

/// An open TAP. The interface disappears when it is dropped.
#[derive(Debug)]
pub struct Tap {
    fd: OwnedFd,
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

/// Why a TAP could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// The name breaks the kernel's rules.
    #[error(
        "'{0}' cannot be the name of an interface: 1 to 15 bytes without space, '/', ':' and '%', and not '.' or '..'"
    )]
    BadName(String),
    /// The driver is not there.
    #[error(
        "/dev/net/tun is missing: load the driver with 'modprobe tun' (in a container: pass the device in)"
    )]
    NoDriver(#[source] io::Error),
    /// The device node cannot be opened.
    #[error("/dev/net/tun cannot be opened: {0}")]
    Open(#[source] io::Error),
    /// Not allowed.
    #[error("creating the TAP '{0}' is not permitted: run as root or with CAP_NET_ADMIN")]
    NotPermitted(String),
    /// The name is taken.
    #[error(
        "the interface name '{0}' is taken by another interface or process: choose another name, or see \
         'ip link show {0}' and remove it with 'ip link delete {0}'"
    )]
    NameTaken(String),
    /// Anything else.
    #[error("the TAP '{name}' cannot be created: {source}")]
    Create {
        /// The name asked for.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
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
    /// Creates the interface `name`, down and without address, in the network namespace of the calling thread. Of
    /// `offloads` it gets what the kernel has.
    pub fn create(name: &str, offloads: TapOffloads) -> Result<Self, TapError> {
        if !is_interface_name(name) {
            return Err(TapError::BadName(name.to_owned()));
        }
        // SAFETY: the path is a C string; no other pointer is passed.
        let fd = check(unsafe {
            libc::open(
                c"/dev/net/tun".as_ptr(),
                libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC,
            )
        })
        .map_err(|e| match e.raw_os_error() {
            Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => TapError::NoDriver(e),
            Some(libc::EPERM | libc::EACCES) => TapError::NotPermitted(name.to_owned()),
            _ => TapError::Open(e),
        })?;
        // SAFETY: `fd` was just opened and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };

        let mut request = interface_request(name);
        // EXCL: never share or take over an interface that exists.
        let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_TUN_EXCL | libc::IFF_VNET_HDR;
        request.ifr_ifru.ifru_flags = flags as libc::c_short;
        // SAFETY: TUNSETIFF reads and writes one ifreq, which `request` is.
        let set = check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &raw mut request) });
        set.map_err(|e| match e.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => TapError::NotPermitted(name.to_owned()),
            Some(libc::EBUSY | libc::EEXIST) => TapError::NameTaken(name.to_owned()),
            _ => TapError::Create {
                name: name.to_owned(),
                source: e,
            },
        })?;
        let failed = |source| TapError::Create {
            name: name.to_owned(),
            source,
        };
        let ifindex = interface_index(name).map_err(failed)?;
        let mut tap = Self {
            fd,
            name: name.to_owned(),
            ifindex,
            offloads,
        };
        // Little endian whatever the machine. Its size is `VNET_HEADER` unless asked otherwise.
        let little: libc::c_int = 1;
        // SAFETY: TUNSETVNETLE reads one int, which `little` is.
        check(unsafe { libc::ioctl(tap.fd.as_raw_fd(), libc::TUNSETVNETLE, &raw const little) })
            .map_err(failed)?;
        if tap.set_offloads(offloads).is_err() {
            tap.offloads.uso = false;
            tap.set_offloads(tap.offloads).map_err(failed)?;
        }
        Ok(tap)
    }

    fn set_offloads(&self, offloads: TapOffloads) -> io::Result<()> {
        // SAFETY: TUNSETOFFLOAD takes its argument as a number, not as a pointer.
        check(unsafe {
            libc::ioctl(
                self.fd.as_raw_fd(),
                libc::TUNSETOFFLOAD,
                libc::c_ulong::from(offloads.flags()),
            )
        })
        .map(|_| ())
    }

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
        loop {
            // SAFETY: both slices are readable for their lengths.
            let n =
                unsafe { libc::writev(self.fd.as_raw_fd(), slices.as_ptr(), slices.len() as libc::c_int) };
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

/// Whether the kernel takes `name` as the name of an interface, and takes it literally (no `%d` template).
pub fn is_interface_name(name: &str) -> bool {
    (1..libc::IFNAMSIZ).contains(&name.len())
        && name != "."
        && name != ".."
        && name
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'%'))
}

fn interface_request(name: &str) -> libc::ifreq {
    // SAFETY: an ifreq is integers and a union of integers; all zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero.
    for (to, from) in request
        .ifr_name
        .iter_mut()
        .take(libc::IFNAMSIZ - 1)
        .zip(name.bytes())
    {
        *to = from as libc::c_char;
    }
    request
}

fn interface_index(name: &str) -> io::Result<u32> {
    let name = std::ffi::CString::new(name)?;
    // SAFETY: `name` is a C string that outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        n => Ok(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_kernel_would_refuse_or_expand() {
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "tap%d",
            "a b",
            "a:1",
            "sixteen-bytes-xx",
            "ümlaut",
        ] {
            assert!(!is_interface_name(bad), "{bad}");
            assert!(
                matches!(
                    Tap::create(bad, TapOffloads::default()),
                    Err(TapError::BadName(_))
                ),
                "{bad}"
            );
        }
        for good in ["knet0", "fifteen-bytes-x", "a.b", "..."] {
            assert!(is_interface_name(good), "{good}");
        }
    }
}
