//! How the bytes that a host receives on a device grow: where a stream stood still, and for how long.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    HostId, Lab, LabError, Result,
    process::Process,
    time::{UnixMicros, now},
};

/// About 100 looks per second; those of a busy machine are further apart.
const WATCH: &str = r#"while read -r bytes < "$1"; do echo "$bytes"; sleep 0.01; done"#;

/// A look at the counter again and again.
#[derive(Debug)]
pub struct Progress {
    looks: Arc<Mutex<Vec<(UnixMicros, u64)>>>,
    _process: Process,
}

impl Progress {
    /// Starts to look at what `host` receives on `device`.
    pub fn watch(lab: &Lab, host: HostId, device: &str) -> Result<Self> {
        let counter = format!("/sys/class/net/{device}/statistics/rx_bytes");
        let mut command = lab.command(host, "sh");
        command
            .args(["-c", WATCH, "watch", &counter])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command)?;
        let stdout = process.pipes().stdout.take();
        let stdout = stdout.ok_or_else(|| LabError::new("sh has no pipe"))?;
        let looks = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&looks);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
                if let Ok(bytes) = line.parse() {
                    list.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((now(), bytes));
                }
            }
        });
        Ok(Self {
            looks,
            _process: process,
        })
    }

    /// Bytes per second between two moments.
    pub fn rate(&self, from: UnixMicros, to: UnixMicros) -> f64 {
        let looks = self.between(from, to);
        match (looks.first(), looks.last()) {
            (Some((begin, before)), Some((end, after))) if end > begin => {
                (after - before) as f64 * 1e6 / (end - begin) as f64
            }
            _ => 0.0,
        }
    }

    /// The longest time between two moments in which fewer than `bytes` arrived, in milliseconds.
    pub fn longest_standstill(&self, from: UnixMicros, to: UnixMicros, bytes: u64) -> f64 {
        longest(&self.between(from, to), bytes) as f64 / 1000.0
    }

    fn between(&self, from: UnixMicros, to: UnixMicros) -> Vec<(UnixMicros, u64)> {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks
            .iter()
            .copied()
            .filter(|(at, _)| (from..=to).contains(at))
            .collect()
    }
}

fn longest(looks: &[(UnixMicros, u64)], bytes: u64) -> UnixMicros {
    let Some((mut since, mut mark)) = looks.first().copied() else {
        return UnixMicros::MAX;
    };
    let mut longest = 0;
    for (at, count) in looks {
        longest = longest.max(at - since);
        if *count >= mark + bytes {
            (since, mark) = (*at, *count);
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standing_still() {
        let looks = [
            (0, 0),
            (10, 5000),
            (20, 9000),
            (30, 9100),
            (90, 9200),
            (100, 15_000),
        ];
        assert_eq!(longest(&looks, 1000), 80);
        assert_eq!(longest(&looks, 1), 60);
        assert_eq!(longest(&looks, 1_000_000), 100);
        assert_eq!(longest(&[], 1), UnixMicros::MAX);
    }
}
