//! The command line.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use libknet::Offloads;
use tracing::level_filters::LevelFilter;

/// The knet daemon: runs in the foreground and logs to standard error.
#[derive(Debug, Parser)]
#[command(name = "knetd", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// Work with keys instead of running the daemon.
    #[command(subcommand)]
    pub command: Option<KeyCommand>,

    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/knet/knetd.conf")]
    pub config: PathBuf,

    /// Control socket.
    #[arg(long, value_name = "PATH", default_value = "/run/knet/knetd.sock")]
    pub socket: PathBuf,

    /// This host, where the configuration has lines for several. Default: the name of the machine, whole or up to its
    /// first dot.
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,

    /// Only read the configuration, tell every error with line and column, and exit with 0 or 1.
    #[arg(long)]
    pub check: bool,

    /// Do without these offloads, for a kernel or network card that does them wrong: tso, uso (super-frames of TCP, of
    /// UDP at the TAP), gso, gro (datagrams sent, received as one packet), csum (checksums in super-frames).
    #[arg(long, value_name = "OFFLOAD,...", value_enum, value_delimiter = ',')]
    pub no_offload: Vec<Offload>,

    /// Log more: debug, given twice trace.
    #[arg(short, long, action = ArgAction::Count, conflicts_with_all = ["quiet", "log_level"])]
    pub verbose: u8,

    /// Log less: warnings and errors, given twice errors only.
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "log_level")]
    pub quiet: u8,

    /// Log from this level up.
    #[arg(long, value_name = "LEVEL", value_parser = ["off", "error", "warn", "info", "debug", "trace"])]
    pub log_level: Option<String>,

    /// Log levels of single modules, such as `knetd=debug,libknet::worker=trace`.
    #[arg(long, value_name = "MODULE=LEVEL,...", env = "KNET_LOG")]
    pub log_filter: Option<String>,
}

/// Work that may be left to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Offload {
    Tso,
    Uso,
    Gso,
    Gro,
    Csum,
}

/// What `knetd` does with keys.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Write a new private key to standard output.
    Genkey,
    /// Read a private key from standard input and write its public key to standard output.
    Pubkey,
    /// Write a new preshared key to standard output.
    Genpsk,
    /// Certify which keys are whose.
    #[command(subcommand)]
    Ca(CaCommand),
}

/// What `knetd ca` does. An authority is a directory: the key that signs, and what was signed.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Make a new authority: `ca.key`, which is secret, `ca.pub` and `ca.crl`, which hubs need.
    Init {
        /// What it is called.
        name: String,
        /// Where it is to be. It is made where it is not there.
        #[arg(long, value_name = "DIRECTORY", default_value = ".")]
        directory: PathBuf,
    },
    /// Certify that a key is a host's; the certificate goes to standard output, and into the directory.
    Sign {
        /// What the host is called: the name of the peer.
        name: String,
        /// Its public key, as `knetd pubkey` prints it.
        key: String,
        /// Groups of peers that it is in: of those that a hub has the first.
        #[arg(long = "group", value_name = "GROUP", required = true, value_delimiter = ',')]
        groups: Vec<String>,
        /// Addresses of its TAP, each with the length of its prefix.
        #[arg(long = "address", value_name = "ADDRESS/LENGTH", value_delimiter = ',')]
        addresses: Vec<String>,
        /// For how many days it is valid.
        #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500), conflicts_with = "until")]
        days: u32,
        /// From when on it is valid, as in 2027-03-01 or 2027-03-01T12:30:00Z; default: now.
        #[arg(long, value_name = "DATE")]
        from: Option<String>,
        /// Until when it is valid, written likewise.
        #[arg(long, value_name = "DATE")]
        until: Option<String>,
        /// Where the authority is.
        #[arg(long, value_name = "DIRECTORY", default_value = ".")]
        directory: PathBuf,
    },
    /// Say that certificates do not count any more: writes `ca.crl` anew.
    Revoke {
        /// Names of hosts, all of whose certificates are meant, or serial numbers.
        #[arg(required = true, value_name = "NAME|SERIAL")]
        certificates: Vec<String>,
        /// Where the authority is.
        #[arg(long, value_name = "DIRECTORY", default_value = ".")]
        directory: PathBuf,
    },
    /// Show what was signed and what was revoked, or what a certificate says.
    Show {
        /// A file with a certificate.
        file: Option<PathBuf>,
        /// Where the authority is.
        #[arg(long, value_name = "DIRECTORY", default_value = ".")]
        directory: PathBuf,
    },
}

impl Args {
    /// What may be left to the kernel.
    pub(crate) fn offloads(&self) -> Offloads {
        let has = |offload| !self.no_offload.contains(&offload);
        Offloads {
            tso: has(Offload::Tso),
            uso: has(Offload::Uso),
            gso: has(Offload::Gso),
            gro: has(Offload::Gro),
            checksum: has(Offload::Csum),
        }
    }

    /// The level from which everything is logged that the filter does not name.
    pub(crate) fn level(&self) -> LevelFilter {
        match (&self.log_level, self.verbose, self.quiet) {
            // The values were checked by the parser.
            (Some(level), _, _) => level.parse().unwrap_or(LevelFilter::INFO),
            (None, 0, 0) => LevelFilter::INFO,
            (None, 0, 1) => LevelFilter::WARN,
            (None, 0, _) => LevelFilter::ERROR,
            (None, 1, _) => LevelFilter::DEBUG,
            (None, _, _) => LevelFilter::TRACE,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_table_of_arguments_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn levels() {
        let level = |args: &[&str]| Args::try_parse_from([&["knetd"], args].concat()).map(|a| a.level());
        assert_eq!(level(&[]).unwrap(), LevelFilter::INFO);
        assert_eq!(level(&["-v"]).unwrap(), LevelFilter::DEBUG);
        assert_eq!(level(&["-vv"]).unwrap(), LevelFilter::TRACE);
        assert_eq!(level(&["-q"]).unwrap(), LevelFilter::WARN);
        assert_eq!(level(&["-qq"]).unwrap(), LevelFilter::ERROR);
        assert_eq!(level(&["--log-level", "off"]).unwrap(), LevelFilter::OFF);
        for wrong in [
            &["-v", "-q"][..],
            &["--log-level", "loud"],
            &["-v", "--log-level", "info"],
            &["x"],
        ] {
            assert!(level(wrong).is_err(), "{wrong:?}");
        }
    }
}
