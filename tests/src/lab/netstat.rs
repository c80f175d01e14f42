//! The kernel's own counters of a host: what TCP had to do.

use std::collections::BTreeMap;

use super::{HostId, Lab, LabError, Result};

/// Counters of a network namespace at one moment, by the names of `nstat` (`TcpExtTCPTimeouts`, `TcpInSegs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netstat(BTreeMap<String, u64>);

impl Netstat {
    /// Those of `host`.
    pub fn of(lab: &Lab, host: HostId) -> Result<Self> {
        let text = lab.run(host, "cat", &["/proc/net/netstat", "/proc/net/snmp"])?;
        Ok(Self::parse(&text))
    }

    /// How much the counter `name` has grown since `before`.
    pub fn since(&self, before: &Self, name: &str) -> Result<u64> {
        match (self.0.get(name), before.0.get(name)) {
            (Some(after), Some(before)) => Ok(after.saturating_sub(*before)),
            _ => Err(LabError::new(format!("the kernel has no counter {name}"))),
        }
    }

    /// Reads pairs of lines: the names, and then the values, each behind the same first word.
    fn parse(text: &str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let mut counters = BTreeMap::new();
        for pair in lines.chunks_exact(2) {
            let (names, values) = (pair[0].split_whitespace(), pair[1].split_whitespace());
            let family = pair[0].split(':').next().unwrap_or_default();
            for (name, value) in names.zip(values).skip(1) {
                // Some are negative by design (`TcpMaxConn -1`); nobody asks for those.
                if let Ok(value) = value.parse() {
                    counters.insert(format!("{family}{name}"), value);
                }
            }
        }
        Self(counters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_by_name() {
        let text = "TcpExt: SyncookiesSent TCPTimeouts\nTcpExt: 1 22\nTcp: MaxConn InSegs\nTcp: -1 5\n";
        let before = Netstat::parse("TcpExt: SyncookiesSent TCPTimeouts\nTcpExt: 1 20\n");
        let after = Netstat::parse(text);
        assert_eq!(after.since(&before, "TcpExtTCPTimeouts").expect("it is there"), 2);
        assert!(after.since(&before, "TcpInSegs").is_err());
        assert_eq!(after.0.get("TcpInSegs"), Some(&5));
        assert_eq!(after.0.get("TcpMaxConn"), None);
    }
}
