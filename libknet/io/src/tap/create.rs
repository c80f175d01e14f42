//! Creating a TAP.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use super::{Tap, TapOffloads};
use crate::check;

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
