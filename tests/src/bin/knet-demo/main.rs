//! The demonstration: four hosts in network namespaces, several links each; links are cut and restored, and a
//! daemon is killed, under a flood of pings; what was lost is counted, drawn and judged.
//!
//! `scripts/demo` builds and runs it. Exit status: 0 the promise is kept, 1 it is broken, 2 it could not be
//! tried.

mod args;
mod json;
mod link_states;
mod live;
mod picture;
mod promise;
mod run;
#[cfg(test)]
mod sample;
mod scene;
mod servers;
mod table;
mod zoom;

use std::{path::Path, process::ExitCode};

use clap::Parser;
use knet_tests::lab::{self, Result};

use args::Args;
use run::PolicyRun;

fn main() -> ExitCode {
    match demonstrate(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("knet-demo: {error}");
            ExitCode::from(2)
        }
    }
}

fn demonstrate(args: &Args) -> Result<bool> {
    if let Some(name) = &args.remove {
        return lab::guardian::remove(name).map(|()| true);
    }
    lab::require_root()?;
    if args.servers > 0 {
        return servers::run(args);
    }
    let runs = args
        .policies()
        .into_iter()
        .map(|policy| run::run(policy, args))
        .collect::<Result<Vec<PolicyRun>>>()?;

    println!();
    table::print(&runs);
    write(&args.picture, &picture::draw(&runs))?;
    println!("\nPicture: {}", args.picture.display());
    if let Some(file) = &args.json {
        write(file, &json::render(&runs)?)?;
        println!("Numbers: {}", file.display());
    }
    let broken: Vec<String> = runs.iter().flat_map(promise::broken).collect();
    if broken.is_empty() {
        println!("The promise is kept.");
    } else {
        println!("The promise is BROKEN:\n  {}", broken.join("\n  "));
    }
    Ok(broken.is_empty())
}

fn write(file: &Path, text: &str) -> Result<()> {
    let named = |e: std::io::Error| lab::LabError::new(format!("{}: {e}", file.display()));
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).map_err(named)?;
    }
    std::fs::write(file, text).map_err(named)
}
