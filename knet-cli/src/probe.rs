//! `test link`: many small probes over one link, soon after each other.

use std::time::Duration;

use knet_api::message::{Only, Page, Reply, RequestBody};
use serde_json::json;

use crate::{
    client::{Client, unexpected},
    document::Document,
    failure::Failure,
    output::{Output, clean},
    units::micros,
};

/// Time between probes at least.
const INTERVAL: Duration = Duration::from_millis(20);
/// Probes that may be on their way at once: the peer's state remembers twice as many.
const ON_THE_WAY: u32 = 8;
/// How long to wait for an answer.
const TIMEOUT_MS: u32 = 2000;
/// How much longer than that the daemon may take to tell.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be tested.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) peer: String,
    pub(crate) link: u8,
    pub(crate) count: u32,
    pub(crate) interface: Option<String>,
}

/// Tests, and fails where nothing came back.
pub(crate) fn run(client: &mut Client, output: Output, order: &Order) -> Result<(), Failure> {
    let interval = interval(client, order)?;
    output.line(&format!(
        "Probing link {} of peer {} with {} small control messages, one every {} ms",
        order.link,
        clean(&order.peer),
        order.count,
        interval.as_millis()
    ))?;
    let request = RequestBody::Ping {
        interface: order.interface.clone(),
        peer: order.peer.clone(),
        link: Some(order.link),
        count: order.count,
        interval_ms: interval.as_millis() as u32,
        timeout_ms: TIMEOUT_MS,
    };
    let mut times: Vec<Option<u64>> = Vec::new();
    let ended = client.stream(request, Some(PATIENCE), |reply| {
        match reply {
            Reply::Ping(row) => times.push(row.rtt_us),
            Reply::Done => {}
            _ => return Err(unexpected()),
        }
        Ok(())
    });
    // What came until then is summed up.
    if !matches!(ended, Err(Failure::Interrupted)) {
        ended?;
    }
    let result = Summary::of(&times);
    output.document(&result.document(order))?;
    if result.answered == 0 {
        return Err(Failure::NoAnswer(format!(
            "no answer over link {} of peer {}",
            order.link, order.peer
        )));
    }
    Ok(())
}

/// So long that not too many are on their way at once.
fn interval(client: &mut Client, order: &Order) -> Result<Duration, Failure> {
    let request = RequestBody::Links {
        interface: order.interface.clone(),
        peer: Some(order.peer.clone()),
        page: Page {
            cursor: None,
            limit: 100,
        },
        only: Only::default(),
    };
    let Reply::Links(rows) = client.call(request)? else {
        return Err(unexpected());
    };
    let link = rows.rows.iter().find(|row| row.link == order.link);
    let rtt = link.and_then(|row| row.rtt_p99_us.or(row.rtt_us)).unwrap_or(0);
    Ok((Duration::from_micros(rtt) / ON_THE_WAY)
        .max(INTERVAL)
        .min(Duration::from_secs(1)))
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    sent: usize,
    answered: usize,
    /// The least, the mean, the one that 99 of 100 did not exceed, the most, in microseconds.
    rtt_us: Option<[u64; 4]>,
    /// Probes in a row that went unanswered, at most.
    longest_gap: usize,
}

impl Summary {
    fn of(times: &[Option<u64>]) -> Self {
        let mut sorted: Vec<u64> = times.iter().flatten().copied().collect();
        sorted.sort_unstable();
        let mean = sorted.iter().sum::<u64>().checked_div(sorted.len() as u64);
        // The nearest rank.
        let rank = (sorted.len() * 99).div_ceil(100).saturating_sub(1);
        let rtt_us = match (sorted.first(), mean, sorted.get(rank), sorted.last()) {
            (Some(least), Some(mean), Some(p99), Some(most)) => Some([*least, mean, *p99, *most]),
            _ => None,
        };
        let gaps = times.split(Option::is_some).map(<[_]>::len);
        Self {
            sent: times.len(),
            answered: sorted.len(),
            rtt_us,
            longest_gap: gaps.max().unwrap_or(0),
        }
    }

    fn document(&self, order: &Order) -> Document {
        let lost = self.sent - self.answered;
        let percent = 100.0 * lost as f64 / self.sent.max(1) as f64;
        let mut lines = vec![format!(
            "{} sent, {} answered, {percent:.1}% lost, at most {} in a row",
            self.sent, self.answered, self.longest_gap
        )];
        lines.extend(self.rtt_us.map(|[least, mean, p99, most]| {
            format!(
                "Round trip: min {}, mean {}, 99 % within {}, max {}",
                micros(least),
                micros(mean),
                micros(p99),
                micros(most)
            )
        }));
        let part = |index: usize| self.rtt_us.and_then(|times| times.get(index).copied());
        let value = json!({
            "peer": order.peer,
            "link": order.link,
            "sent": self.sent,
            "answered": self.answered,
            "longest_gap": self.longest_gap,
            "rtt_min_us": part(0),
            "rtt_mean_us": part(1),
            "rtt_p99_us": part(2),
            "rtt_max_us": part(3),
        });
        Document::object("test_link", value, lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_back_is_summed_up() {
        let mut times: Vec<Option<u64>> = (1..=200).map(Some).collect();
        times.extend([None, Some(1000), None, None]);
        assert_eq!(
            Summary::of(&times),
            Summary {
                sent: 204,
                answered: 201,
                rtt_us: Some([1, (201 * 100 + 1000) / 201, 199, 1000]),
                longest_gap: 2
            }
        );
        assert_eq!(
            Summary::of(&[None, None]),
            Summary {
                sent: 2,
                answered: 0,
                rtt_us: None,
                longest_gap: 2
            }
        );
    }
}
