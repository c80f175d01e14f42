//! The shell as a program, against a daemon that is made up.
#![allow(clippy::result_large_err)]

mod fake_daemon;
mod screen;
mod scripts;
mod terminal;
mod transcripts;

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

/// The shell with its socket and a home of its own.
fn shell(socket: &Path, home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_knet-cli"));
    command
        .arg("--socket")
        .arg(socket)
        .env("HOME", home)
        // Trees are drawn, whatever the locale of whoever runs the tests.
        .env("LC_ALL", "C.UTF-8")
        .env_remove("XDG_STATE_HOME");
    command
}

/// Runs the shell with `input` on its standard input.
fn run(mut command: Command, input: &str) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the shell");
    // The shell may be gone before it has read everything.
    let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
    child.wait_with_output().expect("the shell ends")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}
