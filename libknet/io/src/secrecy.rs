//! Keeps the memory of this process, and the keys in it, to itself.

use std::io;

use crate::check;

/// From now on no core dump of this process is written, whatever kills it, and only root can attach a debugger to it or
/// read its memory.
///
/// # Errors
/// A filter of system calls forbids it.
pub fn keep_memory_private() -> io::Result<()> {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // For whoever asks for the limit. Handlers that core dumps are piped to do not obey it; the next line suffices.
    // SAFETY: reads the structure, which lives until it returns.
    let _ = check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) });
    // SAFETY: takes numbers and touches no memory of ours.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_stays_private() -> io::Result<()> {
        keep_memory_private()?;
        // SAFETY: takes numbers and touches no memory of ours.
        assert_eq!(check(unsafe { libc::prctl(libc::PR_GET_DUMPABLE) })?, 0);
        let mut limit = libc::rlimit {
            rlim_cur: 1,
            rlim_max: 1,
        };
        // SAFETY: writes the structure, which lives until it returns.
        check(unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) })?;
        assert_eq!((limit.rlim_cur, limit.rlim_max), (0, 0));
        Ok(())
    }
}
