//! Waking a thread that waits in epoll.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::check;

/// An eventfd with a flag before it, so that waking a thread already awakened costs no system call. Clones wake
/// the same thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    fd: OwnedFd,
    raised: AtomicBool,
}

impl Waker {
    /// A waker that nobody has used yet.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })?;
        // SAFETY: `fd` was just created and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self(Arc::new(Shared {
            fd,
            raised: AtomicBool::new(false),
        })))
    }

    /// Makes the descriptor readable. Call it after the work has been queued.
    pub fn wake(&self) {
        if self.0.raised.swap(true, Ordering::AcqRel) {
            return;
        }
        let one = 1_u64;
        // Cannot fail: the counter is at most 1, and the descriptor is ours and open.
        // SAFETY: `one` is 8 readable bytes.
        unsafe { libc::write(self.0.fd.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
    }

    /// Makes the descriptor unreadable again. Call it *before* looking at the queues: what is queued later
    /// wakes anew.
    pub fn reset(&self) {
        let mut count = 0_u64;
        // SAFETY: `count` is 8 writable bytes. EAGAIN (nobody woke us) is fine.
        unsafe { libc::read(self.0.fd.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
        self.0.raised.swap(false, Ordering::AcqRel);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::epoll::{Epoll, Events, Interest};

    #[test]
    fn wakes_once_until_reset() -> io::Result<()> {
        let waker = Waker::new()?;
        let epoll = Epoll::new()?;
        epoll.add(&waker, 7, Interest::READ)?;
        let mut events = Events::with_capacity(4);
        epoll.wait(&mut events, Some(Duration::ZERO))?;
        assert_eq!(events.iter().count(), 0);
        let other = waker.clone();
        std::thread::spawn(move || {
            other.wake();
            other.wake();
        });
        epoll.wait(&mut events, Some(Duration::from_secs(5)))?;
        assert_eq!(events.iter().map(|e| e.token).collect::<Vec<_>>(), [7]);
        waker.wake();
        waker.reset();
        epoll.wait(&mut events, Some(Duration::ZERO))?;
        assert_eq!(events.iter().count(), 0);
        waker.wake();
        epoll.wait(&mut events, Some(Duration::ZERO))?;
        assert_eq!(events.iter().count(), 1);
        Ok(())
    }
}
