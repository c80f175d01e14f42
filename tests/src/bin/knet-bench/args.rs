//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// How fast knet is, next to the bare wire, the kernel's VXLAN and other VPNs on the same machine in the same run.
#[derive(Debug, Parser)]
#[command(name = "scripts/bench", after_help = crate::contender::help())]
pub(crate) struct Args {
    /// Only these: names, or `knet`, `kernel`, `peers`, `links` for a group.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// How often each is measured; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) repetitions: u32,
    /// How long each TCP stream runs.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub(crate) seconds: u32,
    /// Directory of the results: bench.md, bench.json, bench.svg.
    #[arg(long, value_name = "DIRECTORY", default_value = "target/bench")]
    pub(crate) output: PathBuf,
    /// Measure nothing: record where knet's processor time goes under one TCP stream, as a flame graph (profile.svg).
    #[arg(long)]
    pub(crate) profile: bool,
    /// Print the programs that are needed, with the packages that have them, and do nothing else.
    #[arg(long, hide = true)]
    pub(crate) requirements: bool,
}
