//! The two clocks: one that never goes back, and the time of day.

/// Nanoseconds since boot, time asleep included (`CLOCK_BOOTTIME`).
pub fn boottime_nanos() -> u64 {
    let t = read(libc::CLOCK_BOOTTIME);
    (t.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(t.tv_nsec as u64)
}

/// Seconds since 1970 and the nanoseconds within the second (`CLOCK_REALTIME`). Before 1970: zero.
pub fn realtime() -> (u64, u32) {
    let t = read(libc::CLOCK_REALTIME);
    (u64::try_from(t.tv_sec).unwrap_or(0), t.tv_nsec as u32)
}

fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut t = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `t` is a valid timespec to write to for the length of the call.
    let result = unsafe { libc::clock_gettime(clock, &raw mut t) };
    // Fails only for a clock the kernel does not know; both exist since Linux 2.6.39.
    assert_eq!(result, 0, "the kernel lacks clock {clock}");
    t
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_run_forward_and_agree_with_std() {
        let a = boottime_nanos();
        let b = boottime_nanos();
        assert!(b >= a && a > 0);
        let std = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        assert!(std.as_secs().abs_diff(realtime().0) <= 1);
        assert!(realtime().1 < 1_000_000_000);
    }
}
