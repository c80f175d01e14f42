//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Plays up to 65,536 peers with up to 8 links each against one real knetd (the hub), from one process: the real
/// protocol core and real UDP, between two network namespaces, each peer with an address of its own. Tells what it took
/// the hub: time, processor, memory.
///
/// Exit status: 0 everything was as it should be, 1 it was not, 2 the command line makes no sense.
#[derive(Debug, Parser)]
#[command(name = "swarm", bin_name = "scripts/swarm")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) mode: Mode,
    /// How many peers there are [default: 1000; configure: 65536].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    peers: Option<u32>,
    /// Links of each.
    #[arg(long, global = true, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) links: u8,
    /// All peers are of a group with a pool: the hub gives each an address, and each takes it.
    #[arg(long, global = true)]
    pub(crate) pool: bool,
    /// The hub knows no peer: each comes with a certificate.
    #[arg(long, global = true)]
    pub(crate) certificates: bool,
    /// How long it may take until all peers are up on all links.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) patience: u32,
    /// Directory of the results: MODE.json, and MODE.svg but for `configure`.
    #[arg(long, global = true, value_name = "DIRECTORY", default_value = "target/swarm")]
    pub(crate) output: PathBuf,
    /// We are in a network namespace of our own already.
    #[arg(long, global = true, hide = true)]
    pub(crate) inside: bool,
}

impl Args {
    /// How many peers there are.
    pub(crate) fn peers(&self) -> u32 {
        self.peers.unwrap_or(match self.mode {
            Mode::Configure { .. } => 65_536,
            _ => 1000,
        })
    }
}

/// What the swarm does. All modes but `configure` begin with all peers joining.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Mode {
    /// All peers join, at once or in turn.
    Join {
        /// Peers per second [default: all at once].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        rate: Option<u32>,
    },
    /// The hub is killed (SIGKILL) and started again: all peers come back at once.
    Storm {
        /// How often.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
        times: u32,
        /// How long it stays away.
        #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=3600))]
        down: u32,
    },
    /// Nothing happens: what do heartbeats cost?
    Idle {
        /// Before it is measured: what comes with joining is to be over.
        #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=3600))]
        settle: u32,
        /// How long it is measured.
        #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=86_400))]
        seconds: u32,
    },
    /// Peers send frames to each other: each frame from a random one to a random one.
    Talk {
        /// Frames per second [default: as many as the hub relays, with 256 on their way].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        rate: Option<u32>,
        /// Length of the frames in bytes.
        #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u16).range(64..=1400))]
        size: u16,
        /// For so long.
        #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
        seconds: u32,
        /// Only so many of the peers talk; the others are there.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=65_536))]
        talkers: Option<u32>,
        /// Before they talk: what comes with joining is to be over.
        #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=3600))]
        settle: u32,
    },
    /// Random peers send broadcasts, while others talk: do their frames wait?
    Broadcast {
        /// Broadcasts per second.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        rate: u32,
        /// For so long.
        #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
        seconds: u32,
    },
    /// Random peers leave, and come back.
    Churn {
        /// Goings and comings per second.
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        rate: u32,
        /// For so long.
        #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
        seconds: u32,
    },
    /// Strangers flood the hub while peers talk and one more joins.
    Misbehave {
        /// With what.
        #[arg(long, value_enum, default_value = "init")]
        flood: Flood,
        /// Datagrams or frames per second [default: as many as can be sent].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        rate: Option<u32>,
        /// For so long, after as long without.
        #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
        seconds: u32,
    },
    /// Nobody joins: how long does somebody wait who configures the hub?
    Configure {
        /// The hub has the addresses of all peers, and calls them in vain all the time.
        #[arg(long)]
        called: bool,
    },
}

/// A flood of datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Flood {
    /// First messages of handshakes with a valid MAC1 (the hub's public key is no secret) and nothing else that is
    /// true, from 65,536 forged addresses.
    Init,
    /// The same from the addresses of peers that are up.
    Spoofed,
    /// Datagrams of all kinds and lengths with arbitrary contents.
    Garbage,
    /// What peers have sent, once more, from where it came.
    Replay,
    /// Frames of one of the peers that is up, a third of each kind: to everybody, from a MAC address that nobody has seen
    /// before; to a MAC address that nobody has; and of the greatest length to everybody.
    Insider,
}

impl Mode {
    /// Whether frames beside it are looked at by [witnesses](crate::witness).
    pub(crate) fn has_witnesses(self) -> bool {
        matches!(self, Self::Broadcast { .. } | Self::Misbehave { .. })
    }

    /// Its name, as it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Join { .. } => "join",
            Self::Storm { .. } => "storm",
            Self::Idle { .. } => "idle",
            Self::Talk { .. } => "talk",
            Self::Broadcast { .. } => "broadcast",
            Self::Churn { .. } => "churn",
            Self::Misbehave { .. } => "misbehave",
            Self::Configure { .. } => "configure",
        }
    }
}
