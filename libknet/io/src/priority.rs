//! How much a thread matters to the scheduler.

use std::io;

use crate::check;

/// Sets the nice value of the calling thread, -20 (first) ..= 19 (last). Less than it has needs `CAP_SYS_NICE` or a
/// limit that allows it (`RLIMIT_NICE`).
///
/// # Errors
/// `PermissionDenied` without that right.
pub fn set_nice(nice: i32) -> io::Result<()> {
    // SAFETY: takes three numbers and touches no memory of ours. Zero means the calling thread: on Linux nice values
    // belong to threads.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) }).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_can_step_back() {
        let stepped_back = std::thread::spawn(|| set_nice(5)).join();
        assert!(matches!(stepped_back, Ok(Ok(()))));
    }
}
