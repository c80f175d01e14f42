//! How long the shell lets somebody wait where a hub has many peers configured. None of them is there.

mod authorized;

use std::{fmt::Write, path::Path, time::Duration};

use knet_proto::{
    config::PublicKey,
    rng::{Entropy, SeededEntropy},
    time::Span,
};
use knet_tests::lab::Result;
use libknet::api::value::base64_encode;
use serde_json::{Value, json};

use crate::{
    args::Args,
    hub::{DEVICE, Hub},
    network::{PORT, peer},
    spread::Spread,
    terminal::Terminal,
};

/// How often each thing is done that takes long, and each other one.
const FEW: u32 = 3;
const MANY: u32 = 9;

/// What a user waits for.
struct Row {
    what: &'static str,
    /// What it is to take at most, with 65,536 peers of two links on a machine that has nothing else to do.
    target: Span,
    took: Vec<Span>,
}

impl Row {
    fn new(what: &'static str, target_ms: u64) -> Self {
        Self {
            what,
            target: Span::from_millis(target_ms),
            took: Vec::new(),
        }
    }

    fn add(&mut self, took: Duration) {
        self.took.push(Span::from_micros(took.as_micros() as u64));
    }

    fn spread(&self) -> Spread {
        Spread::of(self.took.clone())
    }
}

/// All rows, and what was not as it should be.
#[derive(Default)]
struct Findings {
    rows: Vec<Row>,
    wrong: Vec<String>,
}

impl Findings {
    fn demand(&mut self, holds: bool, what: &str) {
        if !holds {
            self.wrong.push(what.to_owned());
        }
    }

    /// The table, in Markdown.
    fn table(&self) -> String {
        let ms = |span: Span| format!("{:.1}", span.as_micros() as f64 / 1e3);
        let mut text = "| | median, ms | longest, ms | target, ms |\n|---|---:|---:|---:|\n".to_owned();
        for row in &self.rows {
            let (median, longest) = (row.spread().at(0.5), row.spread().at(1.0));
            let missed = if median > row.target { ", missed" } else { "" };
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "| {} | {} | {} | {}{missed} |",
                row.what,
                ms(median),
                ms(longest),
                row.target.as_millis()
            );
        }
        text
    }

    fn json(&self, args: &Args) -> Value {
        let rows: serde_json::Map<String, Value> = self
            .rows
            .iter()
            .map(|row| {
                let mut value = row.spread().json();
                value["target_ms"] = json!(row.target.as_millis());
                (row.what.to_owned(), value)
            })
            .collect();
        json!({
            "schema": 1,
            "mode": args.mode.name(),
            "peers": args.peers(),
            "links": args.links,
            "as_it_should_be": self.wrong.is_empty(),
            "findings": rows,
            "wrong": self.wrong,
        })
    }
}

/// Measures, prints a table and writes it to `output`. Whether everything was as it should be.
pub(crate) fn run(args: &Args, called: bool, output: &Path) -> Result<bool> {
    let mut findings = Findings::default();
    let measured = measure(args, called, &mut findings);
    if let Err(error) = measured {
        findings.wrong.push(error.to_string());
    }
    print!("{}", findings.table());
    for wrong in &findings.wrong {
        println!("NOT AS IT SHOULD BE: {wrong}");
    }
    let report = format!("{:#}\n", findings.json(args));
    crate::write(&output.join("configure.json"), &report)?;
    println!("Also in {}: configure.json", output.display());
    Ok(findings.wrong.is_empty())
}

/// The name of a peer: so that what is typed before Tab leaves something to complete.
fn name(number: u32) -> String {
    format!("p{number:05}-hub")
}

fn measure(args: &Args, called: bool, findings: &mut Findings) -> Result<()> {
    let (peers, mut rng) = (args.peers(), SeededEntropy::new([17; 32]));
    let mut key = || loop {
        let mut bytes = [0; 32];
        rng.fill(&mut bytes);
        if let Ok(key) = PublicKey::from_bytes(bytes) {
            return key;
        }
    };
    let mut hub = Hub::new()?;
    let blocks = (0..peers).map(|number| block(number, &key(), args.links, called));
    hub.configure_blocks(args.links, blocks)?;

    let mut start = Row::new("start, until it answers", 5_000);
    go(&mut hub, &mut start)?;
    let mut terminal = hub.terminal()?;
    questions(&mut terminal, findings, peers)?;
    lines(&mut terminal, findings, peers, &mut key)?;
    answers(&mut terminal, findings, args)?;

    let mut save = Row::new("`write memory`", 2_000);
    for round in 0..FEW {
        terminal.enter("configure terminal")?;
        terminal.enter(&format!(
            "interface {DEVICE} peer {} description saved-{round}",
            name(0)
        ))?;
        terminal.enter("end")?;
        save.add(terminal.enter("write memory")?.0);
        let saved = hub.configuration()?;
        findings.demand(
            saved.contains(&format!("description saved-{round}\n"))
                && saved.matches("\n peer ").count() == peers as usize,
            "`write memory` did not write what is in force",
        );
    }
    findings.rows.push(save);
    drop(terminal);
    for _ in 1..FEW {
        go(&mut hub, &mut start)?;
    }
    findings.rows.insert(0, start);
    let (_, shown) = hub.terminal()?.enter(&format!("show peer {}", name(0)))?;
    findings.demand(
        shown.contains(&format!("saved-{}", FEW - 1)),
        &format!("what was saved is not there after a new start: {shown}"),
    );
    authorized::measure(&mut hub, args, findings, &mut key)
}

/// A new start, until it answers.
fn go(hub: &mut Hub, row: &mut Row) -> Result<()> {
    hub.kill();
    let started = hub.start(|| {
        std::thread::sleep(Duration::from_millis(5));
        Ok(())
    })?;
    row.add(started.after);
    Ok(())
}

/// The lines of one peer.
fn block(number: u32, key: &PublicKey, links: u8, called: bool) -> String {
    let mut text = format!(
        " !\n peer {}\n  public-key {}\n  spoke\n",
        name(number),
        base64_encode(key.as_bytes())
    );
    for link in 0..links {
        let remote = if called {
            let (address, port) = (peer(number as u16), PORT + u16::from(link));
            format!("{address} port {port}")
        } else {
            "dynamic".to_owned()
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  link {link} local {link} remote {remote}");
    }
    text
}

fn questions(terminal: &mut Terminal, findings: &mut Findings, peers: u32) -> Result<()> {
    let mut help = Row::new("`?` behind `show peer`", 20);
    let mut tab = Row::new("Tab behind the beginning of a name", 20);
    let mut list = Row::new("Tab twice behind what ten names begin with", 20);
    for round in 0..MANY {
        let (took, shown) = terminal.ask("show peer ", "?", "show peer ")?;
        help.add(took);
        findings.demand(
            shown.contains("NAME") && shown.lines().count() < 20,
            &format!("`show peer ?` shows {shown}"),
        );
        let whole = name(peers / MANY * round);
        let (beginning, _) = whole.split_once('-').unwrap_or_default();
        let after = format!("show peer {whole} ");
        tab.add(terminal.ask(&format!("show peer {beginning}"), "\t", &after)?.0);
        let line = format!("show peer {}", beginning.get(..5).unwrap_or_default());
        let (took, shown) = terminal.ask(&line, "\t\t", &line)?;
        list.add(took);
        findings.demand(
            shown.contains(&whole),
            &format!("`{line}` is completed by {shown}"),
        );
    }
    findings.rows.extend([help, tab, list]);
    Ok(())
}

fn lines(
    terminal: &mut Terminal,
    findings: &mut Findings,
    peers: u32,
    key: &mut impl FnMut() -> PublicKey,
) -> Result<()> {
    const LINE: u64 = 20;
    let mut enter = Row::new("`peer NAME`", LINE);
    let mut description = Row::new("`description TEXT` of a peer", LINE);
    let mut policy = Row::new("`policy active` of a peer", LINE);
    let mut shutdown = Row::new("`no shutdown` of a peer", LINE);
    let mut priority = Row::new("`link 0 priority 7` of a peer", LINE);
    let mut other_key = Row::new("`public-key KEY` of a peer", LINE);
    let mut gone = Row::new("`no peer NAME`", LINE);
    let mut new = Row::new("`peer NAME`, a new one", LINE);
    let mut new_key = Row::new("`public-key KEY` of a new peer", LINE);
    terminal.enter("configure terminal")?;
    terminal.enter(&format!("interface {DEVICE}"))?;
    for round in 0..MANY {
        let name = name(peers / MANY * round + 1);
        let mut line = |row: &mut Row, line: &str| -> Result<()> {
            let (took, shown) = terminal.enter(line)?;
            row.add(took);
            findings.demand(!shown.contains('%'), &format!("`{line}` is answered: {shown}"));
            Ok(())
        };
        line(&mut enter, &format!("peer {name}"))?;
        line(&mut description, &format!("description of round {round}"))?;
        line(&mut policy, "policy active")?;
        line(&mut Row::new("", 0), "shutdown")?;
        line(&mut shutdown, "no shutdown")?;
        line(&mut priority, "link 0 priority 7")?;
        line(
            &mut other_key,
            &format!("public-key {}", base64_encode(key().as_bytes())),
        )?;
        line(&mut gone, &format!("no peer {name}"))?;
        line(&mut new, &format!("peer {name}"))?;
        line(
            &mut new_key,
            &format!("public-key {}", base64_encode(key().as_bytes())),
        )?;
    }
    terminal.enter("end")?;
    findings.rows.extend([
        enter,
        description,
        policy,
        shutdown,
        priority,
        other_key,
        gone,
        new,
        new_key,
    ]);
    Ok(())
}

fn answers(terminal: &mut Terminal, findings: &mut Findings, args: &Args) -> Result<()> {
    let (peers, links) = (u64::from(args.peers()), u64::from(args.links));
    // What `lines` has made anew has no links.
    let all_links = (peers - u64::from(MANY)) * links;
    let counted = [
        (
            "`show running-config \\| count`",
            "show running-config | count",
            3_000,
            None,
        ),
        ("`show peers \\| count`", "show peers | count", 3_000, Some(peers)),
        (
            "`show links \\| count`",
            "show links | count",
            3_000,
            Some(all_links),
        ),
    ];
    for (what, command, target, wanted) in counted {
        let mut row = Row::new(what, target);
        for _ in 0..FEW {
            let (took, shown) = terminal.enter(command)?;
            row.add(took);
            let number = |line: &str| line.split_once(' ')?.0.parse::<u64>().ok();
            let count = shown.lines().find_map(number);
            let holds = match (count, wanted) {
                // Each peer is told, and each link.
                (Some(count), Some(wanted)) => count >= wanted && count < wanted + 10,
                (Some(count), None) => count > 3 * peers,
                (None, _) => false,
            };
            findings.demand(holds, &format!("`{command}` says {shown}"));
        }
        findings.rows.push(row);
    }
    let mut one = Row::new("`show peer NAME`", 20);
    for round in 0..MANY {
        let name = name(peers as u32 / MANY * round + 2);
        let (took, shown) = terminal.enter(&format!("show peer {name}"))?;
        one.add(took);
        findings.demand(
            shown.contains(&name),
            &format!("`show peer {name}` shows {shown}"),
        );
    }
    findings.rows.push(one);
    Ok(())
}

/// Fewer peers are not enough for what is measured.
pub(crate) const FEWEST_PEERS: u32 = 3 * MANY;
