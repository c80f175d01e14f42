//! `show drops`: what was discarded, and how fast it grows.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use knet_api::message::InterfaceRow;
use serde_json::json;

use crate::{
    document::Document,
    output::clean,
    table::{Align, table},
    units::duration,
};

/// What was seen when it was shown last: rates are since then.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeMap<String, Sample>);

#[derive(Debug)]
struct Sample {
    at: Instant,
    counts: BTreeMap<String, u64>,
}

/// One reason on one interface.
struct Row<'a> {
    interface: &'a str,
    reason: &'a str,
    meaning: &'a str,
    packets: u64,
    per_second: f64,
    over_ms: u64,
}

/// Reasons with packets, the interfaces in order. Takes note of them for the next time.
pub(crate) fn document(interfaces: &[InterfaceRow], seen: &mut Seen) -> Document {
    let now = Instant::now();
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for interface in interfaces {
        let counting = Duration::from_millis(interface.counting_ms);
        let before = seen.0.get(&interface.interface).filter(|sample| {
            // Counters that were cleared meanwhile began anew.
            now.duration_since(sample.at) < counting
        });
        let (over, since) = match before {
            Some(sample) => (now.duration_since(sample.at), "they were shown last"),
            None => (counting, "counters were cleared or the interface came up"),
        };
        let over_ms = over.as_millis() as u64;
        for drop in &interface.drops {
            let known = before.and_then(|sample| sample.counts.get(&drop.reason).copied());
            let grown = drop.count.saturating_sub(known.unwrap_or(0));
            rows.push(Row {
                interface: &interface.interface,
                reason: &drop.reason,
                meaning: &drop.help,
                packets: drop.count,
                per_second: rate(grown, over),
                over_ms,
            });
        }
        let name = clean(&interface.interface);
        notes.push(if interface.drops.is_empty() {
            format!(
                "{name}: nothing was discarded for {}",
                duration(interface.counting_ms)
            )
        } else {
            format!("{name}: rates of the {} since {since}", duration(over_ms))
        });
        let counts = interface
            .drops
            .iter()
            .map(|drop| (drop.reason.clone(), drop.count));
        let sample = Sample {
            at: now,
            counts: counts.collect(),
        };
        seen.0.insert(interface.interface.clone(), sample);
    }
    let columns = [
        ("Interface", Align::Left),
        ("Reason", Align::Left),
        ("Packets", Align::Right),
        ("Per second", Align::Right),
        ("Meaning", Align::Left),
    ];
    let cells = |row: &Row<'_>| {
        vec![
            clean(row.interface),
            clean(row.reason),
            row.packets.to_string(),
            format!("{:.1}", row.per_second),
            clean(row.meaning),
        ]
    };
    let value = |row: &Row<'_>| {
        json!({
            "interface": row.interface,
            "reason": row.reason,
            "help": row.meaning,
            "count": row.packets,
            "per_second": (row.per_second * 1000.0).round() / 1000.0,
            "over_ms": row.over_ms,
        })
    };
    let values = rows.iter().map(value).collect();
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    Document::table("drops", values, table(&columns, &cells)).with_notes(notes)
}

fn rate(count: u64, over: Duration) -> f64 {
    // What is shown within a millisecond of its beginning has no rate yet.
    if over < Duration::from_millis(1) {
        return 0.0;
    }
    count as f64 / over.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use knet_api::message::DropRow;

    use super::*;

    fn interface(count: u64, counting_ms: u64) -> InterfaceRow {
        InterfaceRow {
            interface: "knet0".into(),
            counting_ms,
            drops: vec![DropRow {
                reason: "replay".into(),
                help: "A copy.".into(),
                count,
            }],
            ..InterfaceRow::default()
        }
    }

    fn rate_of(document: &Document) -> f64 {
        let text = document.write(crate::document::Format::Json).expect("JSON");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        value["drops"][0]["per_second"].as_f64().expect("a rate")
    }

    #[test]
    fn rates_are_since_the_last_look_or_since_counters_were_cleared() {
        let mut seen = Seen::default();
        let first = document(&[interface(100, 10_000)], &mut seen);
        assert!((rate_of(&first) - 10.0).abs() < 1e-6);
        sleep(Duration::from_millis(20));
        // 100 more in at least 20 ms.
        let second = rate_of(&document(&[interface(200, 10_020)], &mut seen));
        assert!((10.1..=5000.0).contains(&second), "{second}");
        sleep(Duration::from_millis(20));
        let cleared = rate_of(&document(&[interface(5, 10)], &mut seen));
        assert!((cleared - 500.0).abs() < 1e-6, "{cleared}");
    }
}
