//! Waiting for descriptors: level-triggered epoll with timeouts of nanosecond resolution.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::check;

/// What a descriptor is watched for. Errors and hang-ups are always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest(u32);

impl Interest {
    /// Errors only.
    pub const NONE: Self = Self(0);
    /// Something to read.
    pub const READ: Self = Self(libc::EPOLLIN as u32);
    /// Room to write.
    pub const WRITE: Self = Self(libc::EPOLLOUT as u32);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A descriptor that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The number it was added under.
    pub token: u64,
    /// Something to read.
    pub readable: bool,
    /// Room to write.
    pub writable: bool,
    /// An error is pending (of a UDP socket: its error queue is not empty), or the other side is gone.
    pub error: bool,
}

/// Room for what one wait reports.
pub struct Events {
    raw: Vec<libc::epoll_event>,
    len: usize,
}

impl Events {
    /// Room for `capacity` descriptors (at least one); with more than that ready, the others come next time.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            raw: vec![libc::epoll_event { events: 0, u64: 0 }; capacity.clamp(1, 4096)],
            len: 0,
        }
    }

    /// What the last wait reported.
    pub fn iter(&self) -> impl Iterator<Item = Ready> + '_ {
        self.raw.iter().take(self.len).map(|e| {
            let bits = e.events;
            Ready {
                token: e.u64,
                readable: bits & libc::EPOLLIN as u32 != 0,
                writable: bits & libc::EPOLLOUT as u32 != 0,
                error: bits & (libc::EPOLLERR | libc::EPOLLHUP) as u32 != 0,
            }
        })
    }
}

/// A set of watched descriptors.
#[derive(Debug)]
pub struct Epoll {
    fd: OwnedFd,
    // Linux < 5.11 has no epoll_pwait2; asked once.
    coarse: AtomicBool,
}

impl Epoll {
    /// The empty set.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: `fd` was just created and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self {
            fd,
            coarse: AtomicBool::new(false),
        })
    }

    /// Watches `fd`. It leaves the set when it is closed.
    pub fn add(&self, fd: &impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, interest)
    }

    /// Watches `fd` for something else.
    pub fn modify(&self, fd: &impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, interest)
    }

    /// Watches `fd` no more.
    pub fn remove(&self, fd: &impl AsFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, Interest::NONE)
    }

    fn control(&self, op: libc::c_int, fd: &impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: interest.0,
            u64: token,
        };
        let fd = fd.as_fd().as_raw_fd();
        // SAFETY: `event` is valid for the length of the call; both descriptors are open.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), op, fd, &raw mut event) })?;
        Ok(())
    }

    /// Waits until a descriptor is ready or `timeout` has passed; `None` waits for ever. A signal ends the wait
    /// early, with nothing ready.
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.len = 0;
        let result = if self.coarse.load(Ordering::Relaxed) {
            self.wait_millis(events, timeout)
        } else {
            match self.wait_nanos(events, timeout) {
                Err(e) if e.raw_os_error() == Some(libc::ENOSYS) => {
                    self.coarse.store(true, Ordering::Relaxed);
                    self.wait_millis(events, timeout)
                }
                other => other,
            }
        };
        match result {
            Ok(n) => {
                events.len = n;
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn wait_nanos(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        // The kernel's own layout (`__kernel_timespec`): 64 bits each on every architecture.
        let spec = timeout.map(|t| {
            [
                i64::try_from(t.as_secs()).unwrap_or(i64::MAX),
                i64::from(t.subsec_nanos()),
            ]
        });
        let spec = spec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let room = events.raw.len() as libc::c_int;
        // By number, not by name: an older C library lacks the name though the kernel has the call.
        // SAFETY: `events.raw` has room for `room` events; `spec` is null or points to two i64 that outlive the
        // call; no signal mask is passed.
        let n = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                events.raw.as_mut_ptr(),
                room,
                spec,
                std::ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        Ok(check(n as libc::c_int)? as usize)
    }

    fn wait_millis(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        // Rounded up, so that a wait never ends before its time and spins.
        let millis = timeout.map_or(-1, |t| {
            i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
        });
        let room = events.raw.len() as libc::c_int;
        // SAFETY: `events.raw` has room for `room` events.
        let n = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events.raw.as_mut_ptr(), room, millis) };
        Ok(check(n)? as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn timeouts_shorter_than_a_millisecond_are_kept() -> io::Result<()> {
        let epoll = Epoll::new()?;
        let mut events = Events::with_capacity(1);
        let best = (0..20)
            .map(|_| {
                let start = Instant::now();
                let done = epoll.wait(&mut events, Some(Duration::from_micros(200)));
                (start.elapsed(), done)
            })
            .min_by_key(|(t, _)| *t);
        let (best, done) = best.unwrap_or((Duration::ZERO, Ok(())));
        done?;
        assert!(best >= Duration::from_micros(200), "ended early: {best:?}");
        assert!(
            best < Duration::from_millis(1),
            "rounded to milliseconds: {best:?}"
        );
        Ok(())
    }

    #[test]
    fn the_fallback_waits_at_least_as_long() -> io::Result<()> {
        let epoll = Epoll::new()?;
        epoll.coarse.store(true, Ordering::Relaxed);
        let start = Instant::now();
        epoll.wait(&mut Events::with_capacity(1), Some(Duration::from_micros(1500)))?;
        assert!(start.elapsed() >= Duration::from_micros(1500));
        Ok(())
    }
}
