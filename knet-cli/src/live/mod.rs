//! `monitor links|peers|traffic`: the same table again and again, with rates.
//!
//! On a terminal it stays in place and ends with `q` or Ctrl-C; elsewhere lines follow each other, and with JSON each
//! look is one object in a line.

mod graph;
mod look;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, IsTerminal as _},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use knet_api::grammar::View;
use serde_json::{Value, json};

use self::{graph::Graph, look::Row};
use crate::{
    client::Client,
    failure::Failure,
    output::{Output, SCHEMA, print, print_json},
    table::table,
    terminal::{Key, Keyboard, Settings, can_draw, can_move, fitting},
    units::time_of_day,
};

/// How often it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);
/// Most rows at once: more do not fit on a screen, and cost the daemon.
const ROWS: u32 = 500;
/// Lines of the screen that are no rows: title, header, what is left out.
const AROUND: usize = 4;

/// What is to be looked at.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) view: View,
    pub(crate) peer: Option<String>,
    pub(crate) interval: Duration,
}

/// Looks until the user has had enough.
pub(crate) fn run(
    client: &mut Client,
    output: Output,
    settings: Settings,
    order: &Order,
) -> Result<(), Failure> {
    let in_place = !output.is_json() && can_move();
    let mut keys = None;
    if in_place && io::stdin().is_terminal() {
        let unreadable =
            |error: io::Error| Failure::Unusable(format!("the terminal cannot be read: {error}"));
        keys = Some(Keyboard::open().map_err(unreadable)?);
    }
    let mut watcher = Watcher::default();
    let mut next = Instant::now();
    loop {
        let size = in_place.then(|| settings.size());
        let most = size.map_or(ROWS, |size| {
            (size.rows.saturating_sub(AROUND) as u32).clamp(1, ROWS)
        });
        let rows = match look::rows(client, order, most) {
            Err(Failure::Interrupted) => return Ok(()),
            rows => rows?,
        };
        let looked = watcher.look(rows.rows, Instant::now());
        if output.is_json() {
            print_json(&looked.to_json(order.view))?;
        } else {
            let mut lines = looked.lines(order.view);
            if rows.more {
                lines.push("(there are more; `monitor ... peer NAME` shows one)".to_owned());
            }
            match size {
                Some(size) => {
                    let title = format!(
                        "{} UTC, every {} s, q ends",
                        time_of_day(unix_ms()),
                        order.interval.as_secs()
                    );
                    lines.insert(0, title);
                    let screen: String = lines
                        .iter()
                        .take(size.rows.saturating_sub(1))
                        .flat_map(|line| [fitting(line, size.columns), "\x1b[K\n"])
                        .collect();
                    // Written over what is there: to clear it first would flicker.
                    print(&format!("\x1b[H{screen}\x1b[J"))?;
                }
                None => print(&format!("{}\n{}\n\n", time_of_day(unix_ms()), lines.join("\n")))?,
            }
        }
        next = (next + order.interval).max(Instant::now());
        if ended(client, keys.as_mut(), next)? {
            return Ok(());
        }
    }
}

/// Waits until `until`; whether the user has had enough by then.
fn ended(client: &Client, mut keys: Option<&mut Keyboard>, until: Instant) -> Result<bool, Failure> {
    loop {
        let left = until.saturating_duration_since(Instant::now()).min(LOOK);
        if client.interrupted() {
            return Ok(true);
        }
        if left.is_zero() {
            return Ok(false);
        }
        let Some(keys) = &mut keys else {
            thread::sleep(left);
            continue;
        };
        let key = keys
            .key(left)
            .map_err(|error| Failure::Unusable(format!("the terminal cannot be read: {error}")))?;
        if matches!(key, Some(Key::Interrupt | Key::Char('q' | 'Q'))) {
            return Ok(true);
        }
    }
}

fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// Remembers what was seen, for rates and graphs.
#[derive(Debug, Default)]
struct Watcher {
    before: BTreeMap<Vec<String>, Before>,
}

#[derive(Debug)]
struct Before {
    at: Instant,
    counters: Vec<u64>,
    graph: Graph,
}

/// What is known after one look.
struct Looked {
    rows: Vec<Rated>,
}

/// A row with what has changed since the look before.
struct Rated {
    row: Row,
    /// Of each counter how much it grew in a second; `None` at the first look.
    rates: Option<Vec<f64>>,
    graph: String,
}

impl Watcher {
    fn look(&mut self, rows: Vec<Row>, now: Instant) -> Looked {
        let names: BTreeSet<Vec<String>> = rows.iter().map(|row| row.name.clone()).collect();
        self.before.retain(|name, _| names.contains(name));
        let rated = rows.into_iter().map(|row| self.rate(row, now));
        Looked {
            rows: rated.collect(),
        }
    }

    fn rate(&mut self, row: Row, now: Instant) -> Rated {
        let before = self.before.remove(&row.name);
        let rates = before.as_ref().and_then(|before| {
            let seconds = now.duration_since(before.at).as_secs_f64();
            let grown = row.counters.iter().zip(&before.counters);
            // Counters that were cleared meanwhile began anew.
            let rate =
                |(now, before): (&u64, &u64)| now.checked_sub(*before).unwrap_or(*now) as f64 / seconds;
            (seconds > 0.0).then(|| grown.map(rate).collect::<Vec<f64>>())
        });
        let mut graph = before.map_or_else(Graph::default, |before| before.graph);
        match row.drawn {
            look::Drawn::Gauge(value) => graph.add(value),
            look::Drawn::Rates(count) => {
                graph.add(rates.as_ref().map(|rates| rates.iter().take(count).sum()));
            }
        }
        let drawn = graph.draw(can_draw());
        self.before.insert(
            row.name.clone(),
            Before {
                at: now,
                counters: row.counters.clone(),
                graph,
            },
        );
        Rated {
            row,
            rates,
            graph: drawn,
        }
    }
}

impl Looked {
    fn lines(&self, view: View) -> Vec<String> {
        let cells: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|rated| {
                let mut cells = look::cells(view, &rated.row, rated.rates.as_deref());
                cells.push(rated.graph.clone());
                cells
            })
            .collect();
        table(look::columns(view), &cells)
    }

    fn to_json(&self, view: View) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|rated| look::to_json(view, &rated.row, rated.rates.as_deref()))
            .collect();
        let mut object = json!({ "schema": SCHEMA, "unix_ms": unix_ms() });
        object[look::name(view)] = json!(rows);
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, bytes: u64) -> Row {
        Row {
            name: vec![name.into()],
            state: Vec::new(),
            counters: vec![bytes, 0],
            drawn: look::Drawn::Rates(1),
            value: json!({}),
        }
    }

    #[test]
    fn rates_are_what_grew_since_the_look_before() {
        let (mut watcher, start) = (Watcher::default(), Instant::now());
        let rate = |looked: &Looked| looked.rows[0].rates.as_ref().map(|rates| rates[0]);
        assert_eq!(rate(&watcher.look(vec![row("a", 1000)], start)), None);
        let second = watcher.look(vec![row("a", 3000)], start + Duration::from_secs(2));
        assert_eq!(rate(&second), Some(1000.0));
        // Cleared, then gone, then back.
        let third = watcher.look(vec![row("a", 500)], start + Duration::from_secs(3));
        assert_eq!(rate(&third), Some(500.0));
        watcher.look(vec![row("b", 1)], start + Duration::from_secs(4));
        assert_eq!(watcher.before.len(), 1);
        let back = watcher.look(vec![row("a", 900)], start + Duration::from_secs(5));
        assert_eq!(rate(&back), None);
    }
}
