//! The benchmark: knet, the bare wire, the kernel's VXLAN and other layer-2 VPNs, each between two hosts (network
//! namespaces) of its own, measured in turn, repeatedly, in one run.
//!
//! `scripts/bench` builds and runs it. A speed on a machine that is shared means little by itself, and a ratio of two
//! that were measured within the same minute means much: all verdicts are on medians of such ratios.

mod args;
mod bed;
mod contender;
mod measure;
mod metric;
mod profile;
mod report;
mod results;
mod target;

use std::{path::Path, process::ExitCode};

use clap::Parser;
use knet_tests::lab::{self, LabError, Result};

use args::Args;
use contender::Contender;
use measure::Course;
use results::Results;

fn main() -> ExitCode {
    match bench(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("knet-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(args: &Args) -> Result<()> {
    let chosen = contender::choose(&args.only).map_err(LabError::new)?;
    if args.requirements {
        let mut needs: Vec<_> = chosen.iter().flat_map(|c| c.requires()).copied().collect();
        if args.profile {
            needs.extend(profile::REQUIRES);
        }
        needs.sort_unstable();
        needs.dedup();
        println!("{}", needs.join("\n"));
        return Ok(());
    }
    lab::require_root()?;
    if args.profile {
        return profile::profile(&chosen, args);
    }
    let results = measure(&chosen, args)?;
    let table = report::table::render(&results);
    println!("\n{table}");
    for (name, text) in [
        ("bench.md", table),
        ("bench.json", report::json::render(&results)?),
        ("bench.svg", report::chart::draw(&results)),
    ] {
        write(&args.output.join(name), &text)?;
    }
    println!(
        "Also in {}: bench.md, bench.json, bench.svg",
        args.output.display()
    );
    Ok(())
}

/// All of them stand ready from the beginning to the end, so that each round takes them one after the other.
fn measure(chosen: &[&'static Contender], args: &Args) -> Result<Results> {
    let mut courses = Vec::new();
    for contender in chosen {
        eprintln!("starting {}", contender.name);
        let course = Course::start(contender)
            .map_err(|e| LabError::new(format!("{} does not start: {e}", contender.name)))?;
        courses.push(course);
    }
    let mut results = Results::new(args, chosen)?;
    for round in 1..=args.repetitions {
        for course in &mut courses {
            eprint!(
                "round {round} of {}: {:<16}",
                args.repetitions, course.contender.name
            );
            let sample = course.run(args.seconds)?;
            eprintln!("{}", report::table::brief(&sample));
            results.add(course.contender, sample);
        }
    }
    Ok(results)
}

fn write(file: &Path, text: &str) -> Result<()> {
    let named = |e: std::io::Error| LabError::new(format!("{}: {e}", file.display()));
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).map_err(named)?;
    }
    std::fs::write(file, text).map_err(named)
}
