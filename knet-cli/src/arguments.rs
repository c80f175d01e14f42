//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

/// The shell of knet, a layer-2 VPN over several links.
///
/// Without a command it is interactive on a terminal, and otherwise (or with --json) reads commands from standard input, one on
/// each line, up to the first that fails. `?` behind any beginning of a line tells what may follow. It asks nothing where
/// there is nobody to answer.
#[derive(Debug, Parser)]
#[command(
    name = "knet-cli",
    version,
    after_help = "Exit status: 0 done, 1 a command failed, 2 wrong use, 3 no daemon, 4 denied, 5 timeout."
)]
pub(crate) struct Arguments {
    /// Give this command (can be repeated; the shell keeps its place between them)
    #[arg(short = 'c', long = "command", value_name = "COMMAND")]
    pub(crate) commands: Vec<String>,

    /// Read commands from this file, one on each line; `-` is standard input
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with_all = ["commands", "words"])]
    pub(crate) file: Option<PathBuf>,

    /// Change and show nothing: only look for mistakes. The daemon checks what would be configured; without a daemon the
    /// words are checked alone
    #[arg(long)]
    pub(crate) check: bool,

    /// Print JSON, and errors as JSON on standard error
    #[arg(long)]
    pub(crate) json: bool,

    /// The daemon's control socket
    #[arg(long, value_name = "PATH", default_value = "/run/knet/knetd.sock")]
    pub(crate) socket: PathBuf,

    /// How long to wait for an answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,

    /// Print each command with its prompt before its answer
    #[arg(short = 'E', long)]
    pub(crate) echo: bool,

    /// Go on after a command that failed; the exit status is that of the first
    #[arg(long)]
    pub(crate) keep_going: bool,

    /// Print the words that this beginning of a command can go on with: for completions
    #[arg(long, value_name = "LINE", hide = true, conflicts_with_all = ["commands", "file", "words", "check"])]
    pub(crate) complete: Option<String>,

    /// One command, as with -c: `knet-cli show links`
    #[arg(value_name = "WORD", conflicts_with = "commands", trailing_var_arg = true)]
    pub(crate) words: Vec<String>,
}

impl Arguments {
    /// How long to wait for an answer.
    pub(crate) const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_table_of_arguments_is_sound() {
        Arguments::command().debug_assert();
    }
}
