//! The knet shell: talks to knetd over its control socket.
//!
//! | question | module |
//! |---|---|
//! | what one line does | [`session`] |
//! | lines from a person, from `-c` or from a file | [`shell`], [`script`] |
//! | how answers look | [`show`], [`table`], [`units`], [`pipe`], [`output`] |
//! | what goes wrong, and the exit status | [`failure`] |
#![forbid(unsafe_code)]

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;

use crate::{client::Client, output::Output, session::Session};

mod client;
mod editor;
mod failure;
mod history;
mod monitor;
mod output;
mod ping;
mod pipe;
mod script;
mod session;
mod shell;
mod show;
mod table;
mod units;

/// The shell of knet, a layer-2 VPN over several links.
///
/// Without a command it is interactive on a terminal, and otherwise (or with --json) reads commands from standard input, one on
/// each line, up to the first that fails. `?` behind any beginning of a line tells what may follow.
#[derive(Debug, Parser)]
#[command(
    name = "knet-cli",
    version,
    after_help = "Exit status: 0 done, 1 a command failed, 2 wrong use, 3 no daemon, 4 denied, 5 timeout."
)]
struct Arguments {
    /// Give this command (can be repeated; the shell keeps its place between them)
    #[arg(short = 'c', long = "command", value_name = "COMMAND")]
    commands: Vec<String>,

    /// Print JSON, and errors as JSON on standard error
    #[arg(long)]
    json: bool,

    /// The daemon's control socket
    #[arg(long, value_name = "PATH", default_value = "/run/knet/knetd.sock")]
    socket: PathBuf,

    /// How long to wait for an answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,

    /// Print each command with its prompt before its answer
    #[arg(short = 'E', long)]
    echo: bool,

    /// Go on after a command that failed; the exit status is that of the first
    #[arg(long)]
    keep_going: bool,

    /// One command, as with -c: `knet-cli show links`
    #[arg(value_name = "WORD", conflicts_with = "commands", trailing_var_arg = true)]
    words: Vec<String>,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if !arguments.words.is_empty() {
        arguments.commands.push(arguments.words.join(" "));
    }
    let output = Output::new(arguments.json);
    let timeout = Duration::from_secs(arguments.timeout);
    let client = match Client::connect(&arguments.socket, timeout) {
        Ok(client) => client,
        Err(failure) => {
            output.failure(&failure, None);
            return failure.exit_code();
        }
    };
    let mut session = Session::new(client, output);
    let options = script::Options {
        echo: arguments.echo,
        keep_going: arguments.keep_going,
    };
    if !arguments.commands.is_empty() {
        let commands = arguments.commands.into_iter().map(Ok);
        script::run(&mut session, commands, options)
    } else if io::stdin().is_terminal() && io::stdout().is_terminal() && !arguments.json {
        shell::run(session)
    } else {
        script::run(&mut session, io::stdin().lines(), options)
    }
}
