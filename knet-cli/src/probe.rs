//! `test link`: many small probes over one link, one after the other.

use std::{
    thread,
    time::{Duration, Instant},
};

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
/// How long to wait for an answer, in milliseconds: four round trips, within these bounds.
const TIMEOUT_MS: (u64, u64) = (500, 2000);
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
    let timeout = timeout(client, order)?;
    output.line(&format!(
        "Probing link {} of peer {} with {} small control messages, one after the other",
        order.link,
        clean(&order.peer),
        order.count
    ))?;
    let mut times: Vec<Option<u64>> = Vec::new();
    for _ in 0..order.count {
        let next = Instant::now() + INTERVAL;
        match probe(client, order, timeout) {
            Ok(time) => times.push(time),
            // What came until then is summed up.
            Err(Failure::Interrupted) => break,
            Err(failure) => return Err(failure),
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
        if client.interrupted() {
            break;
        }
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

/// One probe: microseconds until its answer. A link remembers four that wait for their answers, so never more than one
/// is on its way: of others, late answers would count as lost.
fn probe(client: &mut Client, order: &Order, timeout_ms: u32) -> Result<Option<u64>, Failure> {
    let request = RequestBody::Ping {
        interface: order.interface.clone(),
        peer: order.peer.clone(),
        link: Some(order.link),
        count: 1,
        interval_ms: INTERVAL.as_millis() as u32,
        timeout_ms,
    };
    let mut time = None;
    client.stream(request, Some(PATIENCE), |reply| {
        match reply {
            Reply::Ping(row) => time = row.rtt_us,
            Reply::Done => {}
            _ => return Err(unexpected()),
        }
        Ok(())
    })?;
    Ok(time)
}

fn timeout(client: &mut Client, order: &Order) -> Result<u32, Failure> {
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
    let Some(link) = rows.rows.iter().find(|row| row.link == order.link) else {
        let text = format!("peer {} has no link {}", clean(&order.peer), order.link);
        return Err(Failure::Unusable(text));
    };
    let rtt = link.rtt_p99_us.or(link.rtt_us).unwrap_or(0);
    Ok((rtt / 250).clamp(TIMEOUT_MS.0, TIMEOUT_MS.1) as u32)
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
