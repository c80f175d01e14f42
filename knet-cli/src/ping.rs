//! `ping peer`: round trips of control messages through the tunnel.

use std::{collections::BTreeMap, time::Duration};

use knet_api::message::{PingRow, Reply, RequestBody};
use serde_json::json;

use crate::{
    client::{Client, unexpected},
    failure::Failure,
    output::{Output, SCHEMA, clean, print_json},
    units::micros,
};

/// Time between turns.
const INTERVAL_MS: u32 = 1000;
/// How long to wait for an answer.
const TIMEOUT_MS: u32 = 2000;
/// How much longer than that the daemon may take to tell.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom to ping, and how.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) peer: String,
    pub(crate) link: Option<u8>,
    pub(crate) count: u32,
    pub(crate) interface: Option<String>,
}

/// Pings, prints each answer as it comes, and fails where none came.
pub(crate) fn run(client: &mut Client, output: Output, order: &Order) -> Result<(), Failure> {
    let Order {
        peer,
        link,
        count,
        interface,
    } = order;
    let request = RequestBody::Ping {
        interface: interface.clone(),
        peer: peer.clone(),
        link: *link,
        count: *count,
        interval_ms: INTERVAL_MS,
        timeout_ms: TIMEOUT_MS,
    };
    let patience = PATIENCE + Duration::from_millis(u64::from(INTERVAL_MS.max(TIMEOUT_MS)));
    let mut rows: Vec<PingRow> = Vec::new();
    let ended = client.stream(request, Some(patience), |reply| {
        match reply {
            Reply::Ping(row) => {
                output.line(&row_line(&row))?;
                rows.push(row);
            }
            Reply::Done => {}
            _ => return Err(unexpected()),
        }
        Ok(())
    });
    // What came until then is summed up.
    if !matches!(ended, Err(Failure::Interrupted)) {
        ended?;
    }
    let mut links: BTreeMap<u8, Summary> = BTreeMap::new();
    for row in &rows {
        links.entry(row.link).or_default().add(row);
    }
    if output.is_json() {
        let links: Vec<_> = links
            .iter()
            .map(|(link, summary)| summary.to_json(*link))
            .collect();
        print_json(&json!({ "schema": SCHEMA, "ping": { "peer": peer, "replies": rows, "links": links } }))?;
    } else {
        for (link, summary) in &links {
            output.line(&summary.line(*link))?;
        }
    }
    if links.values().any(|summary| summary.answered > 0) {
        return Ok(());
    }
    Err(Failure::NoAnswer(if rows.is_empty() {
        format!("no link to peer {peer} can be pinged now; see `show links peer {peer}`")
    } else {
        format!("no answer from peer {peer}")
    }))
}

fn row_line(row: &PingRow) -> String {
    let remote = row
        .remote
        .as_deref()
        .map(|remote| format!(" ({})", clean(remote)))
        .unwrap_or_default();
    let answer = row
        .rtt_us
        .map_or("no answer".to_owned(), |us| format!("time {}", micros(us)));
    format!("link {}{remote}: turn {} {answer}", row.link, row.sequence)
}

/// What came back over one link.
#[derive(Debug, Default)]
struct Summary {
    sent: u32,
    answered: u32,
    least: u64,
    most: u64,
    sum: u64,
}

impl Summary {
    fn add(&mut self, row: &PingRow) {
        self.sent += 1;
        if let Some(us) = row.rtt_us {
            self.least = if self.answered == 0 {
                us
            } else {
                self.least.min(us)
            };
            self.most = self.most.max(us);
            self.sum = self.sum.saturating_add(us);
            self.answered += 1;
        }
    }

    fn mean(&self) -> Option<u64> {
        self.sum.checked_div(u64::from(self.answered))
    }

    fn line(&self, link: u8) -> String {
        let lost = 100 * (self.sent - self.answered) / self.sent.max(1);
        let times = self.mean().map_or(String::new(), |mean| {
            format!(
                ", min/mean/max {}/{}/{}",
                micros(self.least),
                micros(mean),
                micros(self.most)
            )
        });
        format!(
            "link {link}: {} sent, {} answered, {lost}% lost{times}",
            self.sent, self.answered
        )
    }

    fn to_json(&self, link: u8) -> serde_json::Value {
        let measured = |us: u64| (self.answered > 0).then_some(us);
        json!({
            "link": link,
            "sent": self.sent,
            "answered": self.answered,
            "rtt_min_us": measured(self.least),
            "rtt_mean_us": self.mean(),
            "rtt_max_us": measured(self.most),
        })
    }
}
