//! `iperf3` between hosts: how much TCP carries, and what becomes of UDP.

use std::{
    io::{BufRead, BufReader},
    net::IpAddr,
    process::Stdio,
    time::Duration,
};

use serde_json::Value;

use super::{HostId, Lab, LabError, Result, process::Process};

/// An `iperf3` that serves one client after the other.
#[derive(Debug)]
pub struct Server {
    _process: Process,
    address: IpAddr,
}

/// An `iperf3` client that runs.
#[derive(Debug)]
pub struct Client {
    process: Process,
    patience: Duration,
}

/// What a client has measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// What the server received, in bits per second, without what was omitted at the beginning.
    pub bits_per_second: f64,
    /// Segments that TCP sent again.
    pub retransmits: u64,
    /// UDP datagrams received.
    pub datagrams: u64,
    /// UDP datagrams lost.
    pub lost: u64,
    /// UDP datagrams that came after a later one.
    pub out_of_order: u64,
}

impl Server {
    /// Starts one on `host`, which clients reach at `address`.
    pub fn start(lab: &Lab, host: HostId, address: IpAddr) -> Result<Self> {
        let mut command = lab.command(host, "iperf3");
        command
            .args(["-s", "--forceflush"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut process = Process::spawn(&mut command)?;
        let stdout = process.pipes().stdout.take();
        let mut stdout = BufReader::new(stdout.ok_or_else(|| LabError::new("iperf3 has no pipe"))?);
        let mut line = String::new();
        while !line.contains("listening") {
            line.clear();
            if stdout.read_line(&mut line)? == 0 {
                return Err(LabError::new("iperf3 -s has ended"));
            }
        }
        // It prints a report for each client, and must not wait for a reader.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Ok(Self {
            _process: process,
            address,
        })
    }

    /// Starts a client on `host` that sends for `seconds` after a first second that does not count, with further
    /// `arguments` (`-P 16`, `-u -b 50M`).
    pub fn send_from(&self, lab: &Lab, host: HostId, seconds: u32, arguments: &[&str]) -> Result<Client> {
        let mut command = lab.command(host, "iperf3");
        // All machines that this runs on are to mean the same TCP (RFC 9438).
        if !arguments.contains(&"-u") {
            command.args(["-C", "cubic"]);
        }
        command
            .args(["-J", "-O", "1", "-t", &seconds.to_string()])
            .args(arguments)
            .args(["-c", &self.address.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Ok(Client {
            process: Process::spawn(&mut command)?,
            patience: Duration::from_secs(u64::from(seconds) + 30),
        })
    }

    /// As [`Server::send_from`], and waits for its end.
    pub fn measure(&self, lab: &Lab, host: HostId, seconds: u32, arguments: &[&str]) -> Result<Measured> {
        self.send_from(lab, host, seconds, arguments)?.finish()
    }
}

impl Client {
    /// Waits for its end.
    pub fn finish(mut self) -> Result<Measured> {
        let stdout = self.process.pipes().stdout.take();
        let mut stdout = stdout.ok_or_else(|| LabError::new("iperf3 has no pipe"))?;
        // Read while it runs: the report is longer than a pipe.
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut stdout, &mut text).map(|_| text)
        });
        self.process.wait(self.patience)?;
        let text = reader
            .join()
            .map_err(|_| LabError::new("the reader of iperf3 panicked"))??;
        Measured::parse(&text)
    }

    /// Whether it still sends.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }
}

impl Measured {
    fn parse(text: &str) -> Result<Self> {
        let report: Value = serde_json::from_str(text)?;
        if let Some(error) = report["error"].as_str() {
            return Err(LabError::new(format!("iperf3: {error}")));
        }
        let end = &report["end"];
        let received = &end["sum_received"];
        // For UDP it puts what the server has seen into `sum`.
        let seen = if received["bits_per_second"].is_number() {
            received
        } else {
            &end["sum"]
        };
        let Some(bits_per_second) = seen["bits_per_second"].as_f64() else {
            return Err(LabError::new(format!("iperf3 has no result: {text}")));
        };
        let udp = &end["sum"];
        let streams = end["streams"].as_array().map_or(&[][..], Vec::as_slice);
        Ok(Self {
            bits_per_second,
            retransmits: end["sum_sent"]["retransmits"].as_u64().unwrap_or(0),
            datagrams: udp["packets"].as_u64().unwrap_or(0),
            lost: udp["lost_packets"].as_u64().unwrap_or(0),
            out_of_order: streams
                .iter()
                .filter_map(|s| s["udp"]["out_of_order"].as_u64())
                .sum(),
        })
    }
}

/// The middle one; of an even number the lower of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get(values.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_tcp_and_udp() {
        let tcp = r#"{"end": {"sum_sent": {"retransmits": 3}, "sum_received": {"bits_per_second": 5e8}}}"#;
        let measured = Measured::parse(tcp).expect("a report");
        assert_eq!((measured.bits_per_second, measured.retransmits), (5e8, 3));
        let udp = r#"{"end": {"sum": {"bits_per_second": 1e6, "packets": 10, "lost_packets": 2},
                      "streams": [{"udp": {"out_of_order": 4}}]}}"#;
        let measured = Measured::parse(udp).expect("a report");
        assert_eq!(
            (measured.datagrams, measured.lost, measured.out_of_order),
            (10, 2, 4)
        );
        for wrong in [r#"{"error": "unable to connect"}"#, "{}", "x"] {
            assert!(Measured::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "one of the values itself is returned")]
    fn the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.0);
        assert_eq!(median(vec![]), 0.0);
    }
}
