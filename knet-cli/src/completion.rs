//! `--complete`: the candidates of Tab for the completions of bash, zsh and fish.

use std::process::ExitCode;

use knet_api::grammar::complete;

use crate::{
    client::Client,
    failure::Failure,
    output::{Output, clean},
};

/// Most names that are offered at once.
const MOST_NAMES: u32 = 1000;

/// Prints the words that `line` can go on with, one on each line. Without a daemon there are no names among them.
pub(crate) fn print(client: Result<Client, Failure>, output: Output, line: &str) -> ExitCode {
    let mut client = client.ok();
    let found = complete(None, line, &mut |source, prefix| {
        let client = client.as_mut();
        client.map_or_else(Vec::new, |client| client.names(source, prefix, MOST_NAMES))
    });
    let printed = found
        .candidates
        .iter()
        .try_for_each(|word| output.line(&clean(word)));
    printed.map_or_else(|failure| failure.exit_code(), |()| ExitCode::SUCCESS)
}
