//! What is made from the grammar tables and from the programs' arguments: `docs/cli.md`, the manual pages in `docs/man`
//! and the completions in `scripts/completions`. `scripts/generate` writes them anew; this test fails where they are old.
#![allow(clippy::unwrap_used)]

mod completing;
mod completions;
mod manual;

// The programs are no libraries: their arguments are read here a second time.
#[allow(dead_code, missing_docs)]
#[path = "../../../knet-cli/src/arguments.rs"]
mod knet_cli;
#[allow(dead_code, missing_docs)]
#[path = "../../../knetd/src/args.rs"]
mod knetd;

use std::{env, fs, path::Path};

use clap::{Command, CommandFactory as _};
use libknet::api::reference;

/// The programs with their arguments.
fn programs() -> [Command; 2] {
    [knet_cli::Arguments::command(), knetd::Args::command()]
}

/// Every file with its text.
fn files() -> Vec<(String, String)> {
    let version = env!("CARGO_PKG_VERSION");
    let [cli, daemon] = programs();
    let mut files = vec![
        ("docs/cli.md".to_owned(), reference::markdown()),
        ("docs/man/knet-cli.1".to_owned(), manual::knet_cli(cli)),
        ("docs/man/knetd.8".to_owned(), manual::knetd(daemon)),
        (
            "docs/man/knetd.conf.5".to_owned(),
            reference::roff::configuration_page(version),
        ),
    ];
    files.extend(completions::files());
    files
}

#[test]
fn generated_files_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let update = env::var_os("KNET_GENERATE").is_some();
    let mut old = Vec::new();
    for (name, text) in files() {
        let path = root.join(&name);
        if update {
            fs::write(&path, &text).unwrap_or_else(|error| panic!("{name}: {error}"));
        } else if fs::read_to_string(&path).ok().as_deref() != Some(&text) {
            old.push(name);
        }
    }
    assert!(old.is_empty(), "old: {}; run scripts/generate", old.join(", "));
}
