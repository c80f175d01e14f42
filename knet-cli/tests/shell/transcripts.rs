//! Transcripts: what is typed and what comes back, word for word.
//!
//! Each file in `tests/transcripts` is the output of `knet-cli --echo`; its lines that begin with a prompt are
//! what is typed. `KNET_UPDATE_TRANSCRIPTS=1` writes the files anew.

use std::{env, fs, path::Path};

use crate::{
    fake_daemon::{FakeDaemon, Temper},
    run, shell, text,
};

/// What is typed in a line of a transcript.
fn typed(line: &str) -> Option<&str> {
    let rest = ["fra1", "ber1", "host"]
        .iter()
        .find_map(|name| line.strip_prefix(name))?;
    let (mode, typed) = rest.split_once(['#', '>'])?;
    let prompt = mode.is_empty() || mode.starts_with('(') && mode.ends_with(')');
    prompt.then(|| typed.strip_prefix(' ').unwrap_or(typed))
}

fn play(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/transcripts")
        .join(name);
    let transcript = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let input: String = transcript
        .lines()
        .filter_map(typed)
        .flat_map(|line| [line, "\n"])
        .collect();
    assert!(!input.is_empty(), "{name} types nothing");
    let daemon = FakeDaemon::start(Temper::Friendly);
    let mut command = shell(&daemon.socket, daemon.directory());
    command.args(["--echo", "--keep-going"]);
    let output = run(command, &input);
    let played = text(&output.stdout).to_owned();
    if env::var_os("KNET_UPDATE_TRANSCRIPTS").is_some() {
        fs::write(&path, &played).expect("the transcript");
        return;
    }
    assert_eq!(played, transcript, "{name}");
}

#[test]
fn showing() {
    play("show.txt");
}

#[test]
fn asking_for_help() {
    play("help.txt");
}

#[test]
fn configuring() {
    play("configure.txt");
}

#[test]
fn changing_the_configuration_as_a_whole() {
    play("transactions.txt");
}

#[test]
fn operating() {
    play("operate.txt");
}

#[test]
fn filtering() {
    play("pipes.txt");
}

#[test]
fn making_mistakes() {
    play("mistakes.txt");
}

#[test]
fn every_command_has_a_transcript() {
    use knet_api::grammar::{commands, schema};
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut lines = Vec::new();
    for entry in fs::read_dir(directory).expect("transcripts") {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("a transcript");
        lines.extend(text.lines().filter_map(typed).map(str::to_owned));
    }
    let first_words = |syntax: &str| {
        let words: Vec<&str> = syntax
            .split(' ')
            .take_while(|word| !word.starts_with(['<', '[', '(']))
            .collect();
        words.join(" ")
    };
    let syntaxes = commands::all()
        .map(|command| command.syntax)
        .chain(schema::all().map(|row| row.key));
    for syntax in syntaxes {
        let words = first_words(syntax);
        // These never end by themselves; scripts.rs and terminal.rs play them.
        let endless = words.contains("terminal monitor") || words.starts_with("monitor ");
        if !endless && !words.is_empty() {
            let played = lines
                .iter()
                .any(|line| line.starts_with(&words) || line.trim_start_matches("no ").starts_with(&words));
            assert!(played, "`{words}` is in no transcript");
        }
    }
}
