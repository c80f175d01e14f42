//! What a process has used, as the kernel counts it.

use std::{fs, time::Duration};

/// Of one process, since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Processor time of all its threads.
    pub(crate) cpu: Duration,
    /// Of this the threads whose names begin with `data-`.
    pub(crate) data: Duration,
    /// Of this the threads whose names begin with `hs-`: handshakes.
    pub(crate) handshakes: Duration,
    /// Memory that it occupies now, in bytes.
    pub(crate) resident: u64,
}

impl Usage {
    /// Of the process `id`, or `None` if there is none.
    pub(crate) fn of(id: u32) -> Option<Self> {
        let mut usage = Self::default();
        for task in fs::read_dir(format!("/proc/{id}/task")).ok()? {
            let directory = task.ok()?.path();
            let read = |file| fs::read_to_string(directory.join(file)).ok();
            // A thread may end while we look.
            let Some((name, time)) = read("comm").zip(read("schedstat").and_then(|s| run_time(&s))) else {
                continue;
            };
            usage.cpu += time;
            if name.starts_with("data-") {
                usage.data += time;
            } else if name.starts_with("hs-") {
                usage.handshakes += time;
            }
        }
        usage.resident = resident(&fs::read_to_string(format!("/proc/{id}/status")).ok()?)?;
        Some(usage)
    }

    /// Of our own process.
    pub(crate) fn own() -> Self {
        Self::of(std::process::id()).unwrap_or_default()
    }

    /// What was used since `before`; the memory is that of now.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            data: self.data.saturating_sub(before.data),
            handshakes: self.handshakes.saturating_sub(before.handshakes),
            resident: self.resident,
        }
    }

    /// The memory in MiB.
    pub(crate) fn mib(self) -> f64 {
        self.resident as f64 / f64::from(1 << 20)
    }
}

/// `schedstat`: nanoseconds on a processor, nanoseconds of waiting for one, turns.
fn run_time(schedstat: &str) -> Option<Duration> {
    Some(Duration::from_nanos(
        schedstat.split_whitespace().next()?.parse().ok()?,
    ))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_understood() {
        assert_eq!(run_time("1500000 77 3\n"), Some(Duration::from_micros(1500)));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
        assert_eq!(resident("Name:\tx\n"), None);
        let usage = Usage::own();
        assert!(
            usage.cpu > Duration::ZERO && usage.resident > 1 << 20,
            "{usage:?}"
        );
        assert_eq!(Usage::of(u32::MAX), None);
    }
}
