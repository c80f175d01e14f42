//! The real `ping -f`, and what it says at its end.

use std::{io::Read, net::IpAddr, process::Stdio, time::Duration};

use super::{HostId, Lab, LabError, Result, process::Process};

/// The last lines of `ping`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PingReport {
    /// Requests.
    pub sent: u64,
    /// Requests that were answered.
    pub received: u64,
    /// Further answers (`DUP!`).
    pub duplicates: u64,
    /// ICMP errors.
    pub errors: u64,
}

impl PingReport {
    /// Requests without an answer when `ping` ended.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }

    /// Reads `N packets transmitted, N received[, +N duplicates][, +N errors], N% packet loss`.
    pub fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find(|l| l.contains(" packets transmitted, "))?;
        let number = |suffix: &str| {
            let field = line.split(", ").find_map(|f| f.strip_suffix(suffix))?;
            field.trim_start_matches('+').parse().ok()
        };
        Some(Self {
            sent: number(" packets transmitted")?,
            received: number(" received")?,
            duplicates: number(" duplicates").unwrap_or(0),
            errors: number(" errors").unwrap_or(0),
        })
    }
}

/// A `ping` that runs.
#[derive(Debug)]
pub struct Ping {
    process: Process,
    /// Whom it asks.
    pub target: IpAddr,
}

impl Ping {
    /// Starts `ping -f -n -q` with further `arguments` on `host`.
    pub fn flood(lab: &Lab, host: HostId, target: IpAddr, arguments: &[&str]) -> Result<Self> {
        Self::start(lab, host, target, &[&["-f"], arguments].concat())
    }

    /// Starts `ping -n -q` with further `arguments` on `host`.
    pub fn start(lab: &Lab, host: HostId, target: IpAddr, arguments: &[&str]) -> Result<Self> {
        let mut command = lab.command(host, "ping");
        command.args(["-n", "-q"]).args(arguments).arg(target.to_string());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(Self {
            process: Process::spawn(&mut command)?,
            target,
        })
    }

    /// Whether it still sends.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Waits until it has sent what `-c` says.
    pub fn wait(mut self, patience: Duration) -> Result<PingReport> {
        self.process.wait(patience)?;
        self.report()
    }

    /// Ends it by SIGINT, as Ctrl-C does. It does not wait for answers then: a request in flight counts as
    /// lost in the report, though its answer may be in the capture.
    pub fn stop(mut self) -> Result<PingReport> {
        // It may have ended already, of an error that the report will show.
        if self.process.is_running() {
            self.process.signal("INT")?;
        }
        self.process.wait(Duration::from_secs(30))?;
        self.report()
    }

    fn report(&mut self) -> Result<PingReport> {
        let mut text = String::new();
        if let Some(mut stdout) = self.process.pipes().stdout.take() {
            stdout.read_to_string(&mut text)?;
        }
        let report = PingReport::parse(&text);
        report.ok_or_else(|| {
            let mut complaint = String::new();
            if let Some(mut stderr) = self.process.pipes().stderr.take() {
                let _ = stderr.read_to_string(&mut complaint);
            }
            LabError::new(format!(
                "ping {}: {} {}",
                self.target,
                text.trim(),
                complaint.trim()
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::PingReport;

    #[test]
    fn every_kind_of_last_line() {
        let parse = |line: &str| PingReport::parse(&format!("--- 10.0.0.2 ping statistics ---\n{line}\n\n"));
        let report = |sent, received, duplicates, errors| {
            Some(PingReport {
                sent,
                received,
                duplicates,
                errors,
            })
        };
        assert_eq!(
            parse("20000 packets transmitted, 20000 received, 0% packet loss, time 306ms"),
            report(20_000, 20_000, 0, 0)
        );
        assert_eq!(
            parse(
                "20 packets transmitted, 10 received, +3 duplicates, +2 errors, 50% packet loss, time 19ms"
            ),
            report(20, 10, 3, 2)
        );
        assert_eq!(
            parse("2 packets transmitted, 0 received, +2 errors, 100% packet loss, time 9ms"),
            report(2, 0, 0, 2)
        );
        assert_eq!(parse("ping: connect: Network is unreachable"), None);
    }
}
