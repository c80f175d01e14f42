//! Lines without a person: from `-c` or from standard input.

use std::{io, process::ExitCode};

use crate::{
    failure::Failure,
    monitor,
    output::clean,
    session::{Flow, Session},
};

/// How lines are run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Print each line with its prompt before its answer.
    pub(crate) echo: bool,
    /// Go on after a line that failed.
    pub(crate) keep_going: bool,
}

/// Runs the lines up to the first that fails.
pub(crate) fn run(
    session: &mut Session,
    lines: impl Iterator<Item = io::Result<String>>,
    options: Options,
) -> ExitCode {
    let mut first: Option<Failure> = None;
    for (index, line) in lines.enumerate() {
        let result = match line {
            Ok(line) => run_line(session, index + 1, &line, options),
            Err(error) => {
                let failure = Failure::Unusable(format!("standard input cannot be read: {error}"));
                session.output.failure(&failure, Some((index + 1, "")));
                Err(failure)
            }
        };
        match result {
            Ok(Flow::Leave) => break,
            Ok(_) => {}
            Err(failure) => {
                let stop = !options.keep_going || matches!(failure, Failure::OutputClosed);
                first = first.or(Some(failure));
                if stop {
                    break;
                }
            }
        }
    }
    session.go(None);
    first.map_or(ExitCode::SUCCESS, |failure| failure.exit_code())
}

fn run_line(session: &mut Session, number: usize, line: &str, options: Options) -> Result<Flow, Failure> {
    let prompt = session.prompt();
    let line = line.trim_end_matches('\r');
    let echo = options.echo && !session.output.is_json();
    if echo {
        session.output.line(&format!("{prompt}{}", clean(line)))?;
    }
    let result = match session.run(line) {
        Ok(Flow::Monitor(true)) => monitor::follow(session).map(|()| Flow::Next),
        result => result,
    };
    if let Err(failure) = &result {
        if echo {
            session.output.line(&failure.report(prompt.chars().count()))?;
        } else {
            session.output.failure(failure, Some((number, line)));
        }
    }
    result
}
