//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// How frames are spread over the links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    /// One link at a time.
    Passive,
    /// The same bytes on every link.
    Active,
    /// Frames in turn over all links.
    RoundRobin,
}

impl Policy {
    /// The word of the configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Passive => "passive",
            Self::Active => "active",
            Self::RoundRobin => "round-robin",
        }
    }
}

/// Four hosts, several links each, cut and restored under a ping flood.
#[derive(Debug, Parser)]
#[command(name = "scripts/demo")]
pub(crate) struct Args {
    /// Only this policy. Without it: active, then passive.
    #[arg(long)]
    pub(crate) policy: Option<Policy>,
    /// Underlay networks, and links between each two hosts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=8))]
    pub(crate) links: u8,
    /// With 2: two of the hosts are hubs (servers), the others their clients, and the hub in use is killed and cut off; with
    /// 0 all hosts are peers of each other.
    #[arg(long, default_value_t = 0, value_parser = servers)]
    pub(crate) servers: u8,
    /// How long each cut lasts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=600))]
    pub(crate) seconds: u16,
    /// Leave the hosts and their daemons running at the end.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Write the numbers to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Where the picture goes.
    #[arg(long, value_name = "FILE", default_value = "target/demo/failover.svg")]
    pub(crate) picture: PathBuf,
    /// Remove what an earlier `--keep` has left, and do nothing else.
    #[arg(long, value_name = "NAME", exclusive = true)]
    pub(crate) remove: Option<String>,
}

fn servers(text: &str) -> Result<u8, String> {
    match text {
        "0" => Ok(0),
        "2" => Ok(2),
        _ => Err("2 for two hubs and their clients, or 0 for none".into()),
    }
}

impl Args {
    /// What to run, in order.
    pub(crate) fn policies(&self) -> Vec<Policy> {
        self.policy
            .map_or_else(|| vec![Policy::Active, Policy::Passive], |policy| vec![policy])
    }
}
