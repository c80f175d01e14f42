//! Lines without a person: from `-c`, from a file or from standard input.

use std::{io, process::ExitCode};

use crate::{
    failure::Failure,
    monitor,
    output::{At, clean},
    session::{Flow, Session},
};

/// Where lines come from.
pub(crate) type Lines = Box<dyn Iterator<Item = io::Result<String>>>;

/// How lines are run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The file that they come from, for messages.
    pub(crate) source: Option<String>,
    /// Print each line with its prompt before its answer.
    pub(crate) echo: bool,
    /// Go on after a line that failed.
    pub(crate) keep_going: bool,
}

impl Options {
    /// Line `number` of what is run.
    pub(crate) fn at<'a>(&'a self, number: usize, text: &'a str) -> At<'a> {
        At {
            source: self.source.as_deref(),
            number,
            text,
        }
    }
}

/// Runs the lines up to the first that fails.
pub(crate) fn run(session: &mut Session, lines: Lines, options: &Options) -> ExitCode {
    let output = session.output;
    let mut first = each(lines, options, |number, line| match line {
        Ok(line) => run_line(session, number, line, options),
        Err(failure) => {
            output.failure(&failure, Some(options.at(number, "")));
            Err(failure)
        }
    });
    if let Err(failure) = session.leave_configuration() {
        session.output.failure(&failure, None);
        first = first.or(Some(failure));
    }
    session.leave();
    first.map_or(ExitCode::SUCCESS, |failure| failure.exit_code())
}

/// Hands on the lines with their numbers, from 1, up to the first that fails, and gives that failure.
pub(crate) fn each(
    lines: Lines,
    options: &Options,
    mut line: impl FnMut(usize, Result<&str, Failure>) -> Result<Flow, Failure>,
) -> Option<Failure> {
    let mut first: Option<Failure> = None;
    for (index, text) in lines.enumerate() {
        let text = text.map_err(|error| {
            let source = options.source.as_deref().unwrap_or("standard input");
            Failure::Unusable(format!("{source}: cannot be read: {error}"))
        });
        // Reading would fail again and again.
        let unreadable = text.is_err();
        match line(
            index + 1,
            text.as_deref()
                .map(|text| text.trim_end_matches('\r'))
                .map_err(Failure::clone),
        ) {
            Ok(Flow::Leave) => break,
            Ok(_) => {}
            Err(failure) => {
                let stop = !options.keep_going || unreadable || matches!(failure, Failure::OutputClosed);
                first = first.or(Some(failure));
                if stop {
                    break;
                }
            }
        }
    }
    first
}

fn run_line(session: &mut Session, number: usize, line: &str, options: &Options) -> Result<Flow, Failure> {
    let prompt = session.prompt();
    let echo = options.echo && !session.output.is_json();
    if echo {
        session.output.line(&format!("{prompt}{}", clean(line)))?;
    }
    let result = match session.run(line) {
        Ok(Flow::Events) if session.wants_events() => {
            monitor::follow(&mut session.client, session.output, &session.wanted).map(|()| Flow::Next)
        }
        result => result,
    };
    if let Err(failure) = &result {
        if echo {
            session.output.line(&failure.report(prompt.chars().count()))?;
        } else {
            session.output.failure(failure, Some(options.at(number, line)));
        }
    }
    result
}
