//! Creating a TAP.

use std::{
    io,
    num::NonZeroU8,
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
        let fd = open_queue(name, libc::IFF_TUN_EXCL)?;
        let mut tap = Self {
            fd,
            detached: None,
            name: name.to_owned(),
            ifindex: interface_index(name).map_err(failed(name))?,
            offloads,
        };
        tap.agree().map_err(failed(name))?;
        Ok(tap)
    }

    /// The same with `count` handles, each for a thread of its own: a frame is read from the one that the hash of its
    /// flow chooses, so that a flow is read by one thread for ever. With one handle this is [`Tap::create`].
    ///
    /// The kernel would move a flow to the queue through which its answers were written last, and reorder it there
    /// (`tun_flow_update`). So each handle has two queues: one to read from, and one that is detached, through which it
    /// writes. What is written there arrives and teaches the kernel nothing.
    pub fn create_queues(name: &str, offloads: TapOffloads, count: NonZeroU8) -> Result<Vec<Self>, TapError> {
        if count == NonZeroU8::MIN {
            return Ok(vec![Self::create(name, offloads)?]);
        }
        // Each is detached before the next one is opened, so that all bear the number 0: one that does not exist (any
        // more) would be a fault to the kernel when it spreads what is received over its processors.
        let mut writers = Vec::new();
        let mut exclusive = libc::IFF_TUN_EXCL;
        let mut ifindex = 0;
        for _ in 0..count.get() {
            let queue = open_queue(name, libc::IFF_MULTI_QUEUE | exclusive)?;
            if exclusive != 0 {
                ifindex = interface_index(name).map_err(failed(name))?;
                exclusive = 0;
            }
            detach(&queue).map_err(failed(name))?;
            writers.push(queue);
        }
        let mut taps = Vec::new();
        for writer in writers {
            taps.push(Self {
                fd: open_queue(name, libc::IFF_MULTI_QUEUE)?,
                detached: Some(writer),
                name: name.to_owned(),
                ifindex,
                offloads,
            });
        }
        // Had somebody deleted it meanwhile, the queues after that would belong to another one.
        if interface_index(name).map_err(failed(name))? != ifindex {
            return Err(failed(name)(io::Error::from(io::ErrorKind::NotFound)));
        }
        // What follows is said of the interface, through whatever queue.
        if let Some(first) = taps.first_mut() {
            first.agree().map_err(failed(name))?;
            let agreed = first.offloads;
            for tap in &mut taps {
                tap.offloads = agreed;
            }
        }
        Ok(taps)
    }

    /// Tells the kernel how the headers are written, and which offloads we take of those that it has.
    fn agree(&mut self) -> io::Result<()> {
        // Little endian whatever the machine. Its size is `VNET_HEADER` unless asked otherwise.
        let little: libc::c_int = 1;
        // SAFETY: TUNSETVNETLE reads one int, which `little` is.
        check(unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::TUNSETVNETLE, &raw const little) })?;
        if self.set_offloads().is_err() {
            self.offloads.uso = false;
            self.set_offloads()?;
        }
        Ok(())
    }

    fn set_offloads(&self) -> io::Result<()> {
        // SAFETY: TUNSETOFFLOAD takes its argument as a number, not as a pointer.
        check(unsafe {
            libc::ioctl(
                self.fd.as_raw_fd(),
                libc::TUNSETOFFLOAD,
                libc::c_ulong::from(self.offloads.flags()),
            )
        })
        .map(|_| ())
    }
}

fn failed(name: &str) -> impl Fn(io::Error) -> TapError {
    move |source| TapError::Create {
        name: name.to_owned(),
        source,
    }
}

/// A queue of the interface `name`, which is made if it does not exist; `flags` beside those that each has.
fn open_queue(name: &str, flags: libc::c_int) -> Result<OwnedFd, TapError> {
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
    // With EXCL among `flags`: never share or take over an interface that exists.
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | flags;
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq, which `request` is.
    let set = check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &raw mut request) });
    set.map_err(|e| match e.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => TapError::NotPermitted(name.to_owned()),
        Some(libc::EBUSY | libc::EEXIST) => TapError::NameTaken(name.to_owned()),
        _ => failed(name)(e),
    })?;
    Ok(fd)
}

/// From now on nothing is read from this queue.
fn detach(queue: &OwnedFd) -> io::Result<()> {
    let mut request = interface_request("");
    request.ifr_ifru.ifru_flags = libc::IFF_DETACH_QUEUE as libc::c_short;
    // SAFETY: TUNSETQUEUE reads one ifreq, which `request` is.
    check(unsafe { libc::ioctl(queue.as_raw_fd(), libc::TUNSETQUEUE, &raw const request) }).map(|_| ())
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
