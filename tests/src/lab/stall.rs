//! Whether this machine itself stood still: milliseconds measured on a shared machine are void where two hosts
//! that have nothing to do with knet could not reach each other in time either.

use std::{net::IpAddr, time::Duration};

use super::{Family, HostId, Lab, NetworkId, Result, capture::EchoCapture, ping::Ping, time::UnixMicros};

const INTERVAL: &str = "0.002";

/// Two hosts on a network of their own, of which one pings the other every two milliseconds.
#[derive(Debug)]
pub struct StallMeter {
    target: IpAddr,
    capture: EchoCapture,
    _ping: Ping,
}

impl StallMeter {
    /// Adds the hosts and starts.
    pub fn start(lab: &mut Lab) -> Result<Self> {
        let network: NetworkId = lab.add_network(Family::V4, 1500)?;
        let hosts: [HostId; 2] = [
            lab.add_host("meter1", &[network])?,
            lab.add_host("meter2", &[network])?,
        ];
        let target = lab.address(hosts[1], network);
        let capture = EchoCapture::start(lab, hosts[0], &Lab::device(network))?;
        let ping = Ping::start(lab, hosts[0], target, &["-i", INTERVAL])?;
        Ok(Self {
            target,
            capture,
            _ping: ping,
        })
    }

    /// The longest time without an answer between `from` and `to`, beyond the usual two milliseconds. What was
    /// less than [`super::capture::BLOCK_AGE`] ago may not be known yet.
    pub fn worst(&self, from: UnixMicros, to: UnixMicros) -> Duration {
        let record = self.capture.so_far();
        // Some more on both sides, so that a stall that reaches into that time is seen whole.
        let summaries = record
            .with(self.target)
            .map(|c| c.summary(from - 20_000, to + 20_000));
        let longest = summaries
            .map(|s| s.longest_gap.to - s.longest_gap.from)
            .max()
            .unwrap_or(0);
        Duration::from_micros(longest.unsigned_abs()).saturating_sub(Duration::from_millis(2))
    }
}
