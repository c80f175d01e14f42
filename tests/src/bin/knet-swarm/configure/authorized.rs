//! The same where the peers of the hub are in a file of keys.

use std::{
    fs,
    time::{Duration, Instant},
};

use knet_proto::config::PublicKey;
use knet_tests::lab::{LabError, Result};
use libknet::api::value::base64_encode;

use super::{FEW, Findings, MANY, Row, go};
use crate::{args::Args, hub::Hub, terminal::Terminal};

/// How long it may take until what was written is in force.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lines come and go in a file of as many keys as there may be.
pub(super) fn measure(
    hub: &mut Hub,
    args: &Args,
    findings: &mut Findings,
    key: &mut impl FnMut() -> PublicKey,
) -> Result<()> {
    let group = " peer-group members\n  authorized-keys members.keys\n  spoke\n".to_owned();
    hub.configure_blocks(args.links, [group].into_iter())?;
    let line = |name: &str, key: &PublicKey| format!("{name};{}\n", base64_encode(key.as_bytes()));
    let members: String = (1..args.peers())
        .map(|number| line(&super::name(number), &key()))
        .collect();
    list(hub, &members)?;
    let mut start = Row::new("start with a file of as many keys, until it answers", 5_000);
    for _ in 0..FEW {
        go(hub, &mut start)?;
    }
    let mut terminal = hub.terminal()?;
    let mut come = Row::new("a line more in the file, until its peer is there", 100);
    let mut gone = Row::new("a line less in the file, until its peer is not there", 100);
    for round in 0..MANY {
        let name = format!("new{round}");
        // In the middle of the file, as if somebody kept it in order.
        let (front, rear) = members.split_at(members.len() / 2);
        let at = rear.find('\n').map_or(0, |end| end + 1);
        let (end_of_line, rear) = rear.split_at(at);
        let more = format!("{front}{end_of_line}{}{rear}", line(&name, &key()));
        let wait = |terminal: &mut Terminal, there: bool| until(terminal, &name, there);
        come.add(wait_from(list(hub, &more)?, wait(&mut terminal, true)?));
        gone.add(wait_from(list(hub, &members)?, wait(&mut terminal, false)?));
    }
    let (_, shown) = terminal.enter("show peer-group")?;
    let all = format!(" {} ", args.peers() - 1);
    findings.demand(shown.contains(&all), &format!("`show peer-group` shows {shown}"));
    findings.rows.extend([start, come, gone]);
    Ok(())
}

/// Writes the file beside, and renames it over. Returns when that was.
fn list(hub: &Hub, text: &str) -> Result<Instant> {
    let named = |error: std::io::Error| LabError::new(format!("members.keys: {error}"));
    let (file, new) = (hub.file("members.keys"), hub.file("members.new"));
    fs::write(&new, text).map_err(named)?;
    let now = Instant::now();
    fs::rename(new, file).map_err(named)?;
    Ok(now)
}

/// When the peer was there, or was not.
fn until(terminal: &mut Terminal, name: &str, there: bool) -> Result<Instant> {
    let began = Instant::now();
    loop {
        let (_, shown) = terminal.enter(&format!("show peers name {name} | count"))?;
        let count = shown
            .lines()
            .find_map(|line| line.split_once(' ')?.0.parse::<u32>().ok());
        if count == Some(u32::from(there)) {
            return Ok(Instant::now());
        }
        if began.elapsed() > PATIENCE {
            return Err(LabError::new(format!("what was listed is not in force: {shown}")));
        }
    }
}

fn wait_from(began: Instant, ended: Instant) -> Duration {
    ended.saturating_duration_since(began)
}
