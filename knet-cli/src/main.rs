//! The knet shell: talks to knetd over its control socket.
//!
//! | question | module |
//! |---|---|
//! | what one line does | [`session`]; with the configuration as a whole: [`transaction`] |
//! | lines from a person, from `-c`, a file or standard input | [`shell`], [`script`] |
//! | lines that are only looked at | [`check`] |
//! | the program's arguments, completions for other shells | [`arguments`], [`completion`] |
//! | how answers look | [`show`], [`table`], [`units`], [`document`] |
//! | where they go to | [`pipe`], [`output`], [`file`], [`terminal`] |
//! | what goes wrong, and the exit status | [`failure`] |
#![forbid(unsafe_code)]

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, IsTerminal as _},
    path::Path,
    process::ExitCode,
};

use clap::Parser as _;

use crate::{
    arguments::Arguments, client::Client, failure::Failure, output::Output, script::Options, session::Session,
};

mod announce;
mod arguments;
mod check;
mod client;
mod completion;
mod document;
mod editor;
mod failure;
mod file;
mod history;
mod live;
mod monitor;
mod output;
mod ping;
mod pipe;
mod probe;
mod script;
mod session;
mod shell;
mod show;
mod table;
mod tech_support;
mod terminal;
mod transaction;
mod units;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(arguments.json);
    run(&arguments, output).unwrap_or_else(|failure| {
        output.failure(&failure, None);
        failure.exit_code()
    })
}

fn run(arguments: &Arguments, output: Output) -> Result<ExitCode, Failure> {
    let connect = || Client::connect(&arguments.socket, arguments.timeout());
    if let Some(line) = &arguments.complete {
        return Ok(completion::print(connect(), output, line));
    }
    let interactive =
        io::stdin().is_terminal() && io::stdout().is_terminal() && !arguments.json && !arguments.check;
    let lines = match lines(arguments)? {
        Some(lines) => lines,
        None if interactive => return Ok(shell::run(Session::new(connect()?, output))),
        None => Box::new(io::stdin().lines()),
    };
    let options = Options {
        source: arguments.file.as_deref().map(|file| file.display().to_string()),
        echo: arguments.echo,
        keep_going: arguments.keep_going,
    };
    if arguments.check {
        let client = match connect() {
            Ok(client) => Some(client),
            Err(Failure::NoDaemon(_)) => None,
            Err(failure) => return Err(failure),
        };
        return Ok(check::run(client, output, lines, &options));
    }
    Ok(script::run(
        &mut Session::new(connect()?, output),
        lines,
        &options,
    ))
}

/// The lines that the arguments give; `None`: they come from standard input.
fn lines(arguments: &Arguments) -> Result<Option<script::Lines>, Failure> {
    let mut commands = arguments.commands.clone();
    if !arguments.words.is_empty() {
        commands.push(arguments.words.join(" "));
    }
    Ok(match &arguments.file {
        Some(path) if path == Path::new("-") => Some(Box::new(io::stdin().lines())),
        Some(path) => {
            let file = File::open(path)
                .map_err(|error| Failure::Usage(format!("{}: cannot be read: {error}", path.display())))?;
            Some(Box::new(BufReader::new(file).lines()))
        }
        None if commands.is_empty() => None,
        None => Some(Box::new(commands.into_iter().map(Ok))),
    })
}
