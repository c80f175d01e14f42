//! `--check`: lines that are looked at and not run.

use std::process::ExitCode;

use knet_api::{
    edit::Context,
    grammar::{Command, Edit, Line, parse, transactions::Transaction},
    message::{Reply, RequestBody},
};
use serde_json::json;

use crate::{
    client::{Client, unexpected},
    document::Document,
    failure::Failure,
    output::{Output, note},
    pipe,
    script::{self, Lines, Options},
    session::Flow,
};

/// Looks at the lines up to the first that is wrong. Without a daemon only their words are looked at.
pub(crate) fn run(client: Option<Client>, output: Output, lines: Lines, options: &Options) -> ExitCode {
    let mut check = Check {
        client,
        context: None,
        lines: 0,
    };
    let first = script::each(lines, options, |number, line| {
        let text = line.as_ref().map_or("", |line| line);
        let result = line.clone().and_then(|line| check.line(line));
        if let Err(failure) = &result {
            output.failure(failure, Some(options.at(number, text)));
        }
        result
    });
    if let Some(failure) = first {
        return failure.exit_code();
    }
    let validated = check.client.is_some();
    if !validated && !output.is_json() {
        note("% There is no knetd: only the words were checked, not what they would configure");
    }
    let value = json!({ "lines": check.lines, "validated": validated });
    let lines = vec![format!("{} lines, no mistake", check.lines)];
    let document = Document::object("check", value, lines);
    match output.document(&document) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.exit_code(),
    }
}

struct Check {
    client: Option<Client>,
    context: Option<Context>,
    lines: u64,
}

impl Check {
    fn line(&mut self, line: &str) -> Result<Flow, Failure> {
        self.lines += 1;
        let syntax = |error| Failure::Syntax {
            line: line.to_owned(),
            error: Box::new(error),
        };
        if let Some(behind) = pipe::behind(self.context.as_ref(), line) {
            return pipe::parse(line, behind.start, behind.pipes)
                .map(|_| Flow::Next)
                .map_err(syntax);
        }
        match parse(self.context.as_ref(), line).map_err(syntax)? {
            Line::Nothing => {}
            Line::Edit(edit) => self.edit(line, edit)?,
            Line::Command(command) => return Ok(self.command(&command)),
        }
        Ok(Flow::Next)
    }

    fn edit(&mut self, line: &str, Edit { ops, enter, words }: Edit) -> Result<(), Failure> {
        if let Some(client) = &mut self.client {
            match client.call(RequestBody::Try { ops }) {
                Ok(Reply::Edited { .. }) => {}
                Ok(_) => return Err(unexpected()),
                Err(failure) => return Err(failure.blaming(line, &words)),
            }
        }
        if enter.is_some() {
            self.context = enter;
        }
        Ok(())
    }

    /// Only where the shell would stand afterwards is of interest.
    fn command(&mut self, command: &Command) -> Flow {
        match command {
            Command::Transaction(Transaction::Configure(_)) => self.context = Some(Context::Global),
            Command::End | Command::Disable => self.context = None,
            Command::Exit => match self.context.take() {
                Some(context) => self.context = context.parent(),
                None => return Flow::Leave,
            },
            _ => {}
        }
        Flow::Next
    }
}
