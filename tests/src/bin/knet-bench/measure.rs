//! What is done to each contender in each round.

use std::{fs, net::IpAddr, time::Duration};

use knet_tests::lab::{HostId, Lab, LabError, Result, process::Process, stream::Server};

use crate::{
    bed::{Bed, HOSTS},
    contender::{Contender, Group},
    metric::Metric,
    results::Sample,
};

/// Bytes of the small datagrams.
const SMALL: &str = "64";
/// Less than this share may be lost, in percent.
const LOSS: u64 = 1;
/// Bytes of socket buffers for small datagrams: each takes some 800 bytes of it.
const SOCKET_BUFFER: u64 = 4 << 20;
/// How long each rate of datagrams is tried.
const TRIAL_SECONDS: u32 = 1;
/// Rates tried in a round, after the first.
const TRIALS: u32 = 4;
/// Pings of an idle path: how many, and seconds between them.
const IDLE: (u32, &str) = (200, "0.005");
/// Pings beside a TCP stream.
const LOADED: (u32, &str) = (400, "0.005");
/// The kernel counts processor time in these (`USER_HZ`): everywhere, for programs' sake.
const TICKS_PER_SECOND: f64 = 100.0;

/// A contender that stands ready.
pub(crate) struct Course {
    pub(crate) contender: &'static Contender,
    bed: Bed,
    server: Server,
    /// Datagrams per second that came through in the round before.
    datagrams: Option<f64>,
}

impl Course {
    /// Starts the contender, and `iperf3` behind it.
    pub(crate) fn start(contender: &'static Contender) -> Result<Self> {
        let bed = contender.start()?;
        let server = Server::start(&bed.lab, HOSTS[1], bed.addresses[1])?;
        Ok(Self {
            contender,
            bed,
            server,
            datagrams: None,
        })
    }

    /// The hosts.
    pub(crate) fn bed(&self) -> &Bed {
        &self.bed
    }

    /// One round.
    pub(crate) fn run(&mut self, seconds: u32) -> Result<Sample> {
        let mut sample = Sample::new();
        let (before, calls_before) = (self.cpu_seconds()?, self.bed.system_calls()?);
        let gbit = self.tcp(seconds, &[])?;
        let spent = self.cpu_seconds()? - before;
        let calls = calls_before.iter().zip(self.bed.system_calls()?);
        let calls = calls
            .map(|(before, after)| (after.0 - before.0) as f64 * 1e3 / (after.1 - before.1).max(1) as f64);
        if let Some(most) = calls.max_by(f64::total_cmp) {
            sample.insert(Metric::Calls, most);
        }
        sample.insert(Metric::Tcp, gbit);
        if !self.bed.daemons().is_empty() {
            sample.insert(Metric::Cost, spent / (gbit / 8.0 * f64::from(seconds)));
        }
        if self.contender.group == Group::Links {
            return Ok(sample);
        }
        sample.insert(Metric::TcpBack, self.tcp(seconds, &["-R"])?);
        sample.insert(Metric::Tcp4, self.tcp(seconds, &["-P", "4"])?);
        sample.insert(Metric::Tcp4Back, self.tcp(seconds, &["-P", "4", "-R"])?);
        if let Some(bytes) = self.resident()? {
            sample.insert(Metric::Memory, bytes / f64::from(1 << 20));
        }
        sample.insert(Metric::Datagrams, self.datagrams()? / 1e3);
        let idle = round_trips(&self.bed.lab, HOSTS[0], self.bed.addresses[1], IDLE)?;
        sample.insert(Metric::Idle, idle.percentile(50));
        sample.insert(Metric::IdleWorst, idle.percentile(99));
        let loaded = self.beside_tcp()?;
        sample.insert(Metric::Loaded, loaded.percentile(50));
        sample.insert(Metric::LoadedWorst, loaded.percentile(99));
        Ok(sample)
    }

    /// Gbit/s of TCP. The first moments count: over paths this short TCP is at its speed within milliseconds.
    fn tcp(&self, seconds: u32, arguments: &[&str]) -> Result<f64> {
        let arguments = [&["-O", "0"], arguments].concat();
        let measured = self
            .server
            .measure(&self.bed.lab, HOSTS[0], seconds, &arguments)?;
        Ok(measured.bits_per_second / 1e9)
    }

    /// The highest rate of small datagrams that comes through almost whole, as far as a few trials find it: as fast as
    /// the sender can first, and then what came through, a little more, a little less.
    fn datagrams(&mut self) -> Result<f64> {
        let mut rate = self.datagrams;
        let mut best: Option<f64> = None;
        let mut refused = false;
        for _ in 0..=TRIALS {
            let trial = self.try_datagrams(rate)?;
            if trial.kept {
                best = Some(best.map_or(trial.received, |b| b.max(trial.received)));
                if refused || rate.is_none() {
                    break;
                }
                rate = Some(trial.received * 1.15);
            } else {
                refused = true;
                if best.is_some() {
                    break;
                }
                // What was received of too much is more than what passes of just enough as often as it is less.
                rate = Some(rate.map_or(trial.received, |r| r.min(trial.received) * 0.85));
            }
        }
        self.datagrams = best.or(rate);
        Ok(best.unwrap_or(0.0))
    }

    /// Sends so many datagrams per second, or as many as it can.
    fn try_datagrams(&self, rate: Option<f64>) -> Result<Trial> {
        let bits = rate.map_or("0".to_owned(), |r| format!("{:.0}", r * 64.0 * 8.0));
        let buffer = self.socket_buffer()?.to_string();
        let arguments = ["-u", "-l", SMALL, "-b", &bits, "-w", &buffer, "-O", "0"];
        let measured = self
            .server
            .measure(&self.bed.lab, HOSTS[0], TRIAL_SECONDS, &arguments)?;
        Ok(Trial {
            received: measured.datagrams.saturating_sub(measured.lost) as f64 / f64::from(TRIAL_SECONDS),
            kept: measured.lost * 100 < measured.datagrams * LOSS,
        })
    }

    /// Bytes of the socket buffers at both ends, as far as the kernel allows it. With the usual ones a receiver that
    /// waits for its turn for a millisecond loses what had arrived: that would be measured, and not the network.
    fn socket_buffer(&self) -> Result<u64> {
        let mut least = SOCKET_BUFFER;
        for name in ["rmem_max", "wmem_max"] {
            let text = self
                .bed
                .lab
                .run(HOSTS[1], "cat", &[&format!("/proc/sys/net/core/{name}")])?;
            least = least.min(text.trim().parse().unwrap_or(SOCKET_BUFFER));
        }
        Ok(least)
    }

    fn beside_tcp(&self) -> Result<RoundTrips> {
        let client = self.server.send_from(&self.bed.lab, HOSTS[0], 3, &["-O", "0"])?;
        // It has connected, and TCP has found its speed.
        std::thread::sleep(Duration::from_millis(400));
        let trips = round_trips(&self.bed.lab, HOSTS[0], self.bed.addresses[1], LOADED)?;
        client.finish()?;
        Ok(trips)
    }

    /// Processor seconds of all daemons, in user space and in the kernel.
    fn cpu_seconds(&self) -> Result<f64> {
        let mut ticks = 0.0;
        for id in self.bed.daemons() {
            let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
            // After the name, which may contain anything: state is field 3, utime 14, stime 15.
            let fields: Vec<&str> = stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .collect();
            for field in fields.get(11..13).unwrap_or_default() {
                ticks += field.parse::<f64>().unwrap_or(0.0);
            }
        }
        Ok(ticks / TICKS_PER_SECOND)
    }

    /// Bytes of the largest daemon.
    fn resident(&self) -> Result<Option<f64>> {
        let mut largest = None;
        for id in self.bed.daemons() {
            let status = fs::read_to_string(format!("/proc/{id}/status"))?;
            let kib = status
                .lines()
                .find_map(|l| {
                    l.strip_prefix("VmRSS:")?
                        .split_whitespace()
                        .next()?
                        .parse::<f64>()
                        .ok()
                })
                .ok_or_else(|| LabError::new(format!("process {id} has ended")))?;
            largest = Some(largest.map_or(kib * 1024.0, |l: f64| l.max(kib * 1024.0)));
        }
        Ok(largest)
    }
}

struct Trial {
    received: f64,
    kept: bool,
}

/// Round trips in microseconds, sorted.
struct RoundTrips(Vec<f64>);

impl RoundTrips {
    fn parse(text: &str) -> Option<Self> {
        let mut times: Vec<f64> = text
            .lines()
            .filter_map(|l| l.split_once(" time=")?.1.split_whitespace().next()?.parse().ok())
            .map(|milliseconds: f64| milliseconds * 1e3)
            .collect();
        times.sort_by(f64::total_cmp);
        (!times.is_empty()).then_some(Self(times))
    }

    /// The value that `percent` of them do not exceed.
    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0[rank - 1]
    }
}

fn round_trips(lab: &Lab, from: HostId, to: IpAddr, (count, interval): (u32, &str)) -> Result<RoundTrips> {
    let mut command = lab.command(from, "ping");
    command
        .args(["-n", "-i", interval, "-c", &count.to_string()])
        .arg(to.to_string())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null());
    let mut process = Process::spawn(&mut command)?;
    let mut text = String::new();
    if let Some(mut stdout) = process.pipes().stdout.take() {
        std::io::Read::read_to_string(&mut stdout, &mut text)?;
    }
    process.wait(Duration::from_secs(10))?;
    RoundTrips::parse(&text).ok_or_else(|| LabError::new(format!("ping {to} had no answer")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp, reason = "values are returned as they were read")]
    fn percentiles() {
        let line = |ms: u32| format!("64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=0.{ms:03} ms\n");
        let text: String = (1..=200).rev().map(line).collect();
        let trips = RoundTrips::parse(&text).expect("some");
        assert_eq!(trips.percentile(50).round(), 100.0);
        assert_eq!(trips.percentile(99).round(), 198.0);
        assert_eq!(trips.percentile(100).round(), 200.0);
        assert!(RoundTrips::parse("nothing").is_none());
    }
}
