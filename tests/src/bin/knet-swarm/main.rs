//! The swarm: up to 65,536 peers, played by one process, against one real knetd.
//!
//! `scripts/swarm` builds and runs it. What it is for is told by `scripts/swarm --help`, what was found with it by
//! docs/scale.md.

mod args;
mod authority;
mod configure;
mod course;
mod flood;
mod greeter;
mod hub;
mod modes;
mod network;
mod picture;
mod report;
mod spread;
mod swarm;
mod talk;
mod terminal;
mod usage;
mod wire;
mod witness;

use std::{path::Path, process::ExitCode};

use clap::Parser;
use knet_proto::ids::MAX_PEERS;
use knet_tests::lab::{self, LabError, Result};

use args::{Args, Mode};
use course::Course;
use modes::Findings;
use witness::WITNESSES;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("knet-swarm: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything was as it should be.
fn run(args: &Args) -> Result<bool> {
    lab::require_root()?;
    let least = match args.mode {
        Mode::Talk { .. } | Mode::Broadcast { .. } => 2,
        Mode::Misbehave { .. } => 3,
        Mode::Configure { .. } => configure::FEWEST_PEERS,
        _ => 1,
    };
    if args.peers() < least {
        return Err(LabError::new(format!(
            "--peers {}: {} needs at least {least}",
            args.peers(),
            args.mode.name()
        )));
    }
    let most = if args.mode.has_witnesses() {
        MAX_PEERS as u32 - WITNESSES
    } else {
        MAX_PEERS as u32
    };
    if args.peers() > most {
        return Err(LabError::new(format!(
            "--peers {}: {} has at most {most}, and {WITNESSES} more to look at what happens to their frames",
            args.peers(),
            args.mode.name()
        )));
    }
    if !args.inside {
        return Err(network::enter_own_namespace());
    }
    if let Mode::Configure { called } = args.mode {
        return configure::run(args, called, &args.output);
    }
    let mut course = Course::start(args)?;
    let mut findings = Findings::default();
    let played = modes::play(&mut course, args, &mut findings);
    if let Err(error) = &played {
        findings.failed = true;
        findings.lines.push(error.to_string());
    }
    for line in &findings.lines {
        println!("{line}");
    }
    let name = args.mode.name();
    write(
        &args.output.join(format!("{name}.json")),
        &report::render(&course, args, &findings),
    )?;
    write(
        &args.output.join(format!("{name}.svg")),
        &picture::draw(&course, args, &findings),
    )?;
    println!("Also in {}: {name}.json, {name}.svg", args.output.display());
    Ok(!findings.failed)
}

fn write(file: &Path, text: &str) -> Result<()> {
    let named = |e: std::io::Error| LabError::new(format!("{}: {e}", file.display()));
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).map_err(named)?;
    }
    std::fs::write(file, text).map_err(named)
}
