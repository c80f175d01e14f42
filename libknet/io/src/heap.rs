//! What the C library does with memory that was freed.

/// From so many bytes on, a piece of memory is a mapping of its own, which goes back to the kernel when it is freed, and grows
/// without being copied.
const OWN_MAPPING: libc::c_int = 256 << 10;
/// So many freed bytes at the end of a heap are kept.
const KEPT: libc::c_int = 1 << 20;

/// From now on large pieces of memory that are freed go back to the kernel. Without it glibc keeps up to twice as much at the
/// end of each thread's heap as the largest piece that was ever freed: after a configuration of tens of thousands of peers, or
/// an answer about all of them, tens of megabytes. Other C libraries do as they do.
pub fn give_back_freed_memory() {
    #[cfg(target_env = "gnu")]
    for (parameter, bytes) in [
        (libc::M_MMAP_THRESHOLD, OWN_MAPPING),
        (libc::M_TRIM_THRESHOLD, KEPT),
    ] {
        // SAFETY: takes numbers. It fails only for numbers that are out of range, and changes nothing then.
        unsafe { libc::mallopt(parameter, bytes) };
    }
}
