//! The shell and the daemon together: transcripts of sessions with a real `knetd` that has a real peer.
//!
//! Each file in `tests/transcripts` is what `knet-cli --echo` prints; its lines that begin with a prompt are
//! what is typed. `{}` stands for a word that differs from run to run, `{*}` for any text in a line, and a line
//! of `{...}` for any lines. Needs root, and `cargo build -p knetd -p knet-cli` before.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use knet_tests::lab::{
    HostId, LabError, Result, can_run,
    mesh::{Mesh, Plan},
    program,
    time::wait_until,
};
use serde_json::Value;

const A: HostId = HostId(0);

/// What is typed in a line of a transcript.
fn typed(line: &str) -> Option<&str> {
    let rest = ["fra1", "ber1"].iter().find_map(|name| line.strip_prefix(name))?;
    let (mode, typed) = rest.split_once(['#', '>'])?;
    let prompt = mode.is_empty() || mode.starts_with('(') && mode.ends_with(')');
    prompt.then(|| typed.strip_prefix(' ').unwrap_or(typed))
}

/// Whether `line` is what `pattern` describes, however wide the columns are.
fn fits(line: &str, pattern: &str) -> bool {
    if let Some((begin, mut rest)) = pattern.split_once("{*}") {
        let Some(mut line) = line.strip_prefix(begin) else {
            return false;
        };
        while let Some((part, after)) = rest.split_once("{*}") {
            let Some(at) = line.find(part) else { return false };
            (line, rest) = (&line[at + part.len()..], after);
        }
        return line.ends_with(rest);
    }
    let indent = |text: &str| text.len() - text.trim_start().len();
    let fits_word = |word: &str, pattern: &str| match pattern.split_once("{}") {
        None => word == pattern,
        Some((before, after)) => {
            word.len() > before.len() + after.len() && word.starts_with(before) && word.ends_with(after)
        }
    };
    let (mut words, mut patterns) = (line.split_whitespace(), pattern.split_whitespace());
    indent(line) == indent(pattern)
        && loop {
            match (words.next(), patterns.next()) {
                (None, None) => break true,
                (Some(word), Some(pattern)) if fits_word(word, pattern) => {}
                _ => break false,
            }
        }
}

/// The first line of `played` that the transcript does not describe.
fn first_difference<'a>(played: &'a str, transcript: &'a str) -> Option<(&'a str, &'a str)> {
    let mut lines = played.lines().peekable();
    let mut patterns = transcript.lines().peekable();
    while let Some(pattern) = patterns.next() {
        if pattern == "{...}" {
            let next = patterns.peek().copied();
            while lines
                .next_if(|line| next.is_none_or(|next| !fits(line, next)))
                .is_some()
            {}
            continue;
        }
        let line = lines.next().unwrap_or("the end");
        if !fits(line, pattern) {
            return Some((line, pattern));
        }
    }
    lines.next().map(|line| (line, "the end"))
}

/// Plays a transcript with the shell of the first host.
fn play(mesh: &Mesh, name: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("transcripts")
        .join(name);
    let transcript = fs::read_to_string(&path)?;
    let input: String = transcript
        .lines()
        .filter_map(typed)
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut command = Command::new(program("knet-cli")?);
    command
        .arg("--socket")
        .arg(mesh.daemon(A).socket())
        .env("LC_ALL", "C.UTF-8")
        .args(["--echo", "--keep-going"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let played = String::from_utf8_lossy(&output.stdout);
    match first_difference(&played, &transcript) {
        None => Ok(()),
        Some((line, pattern)) => Err(LabError::new(format!(
            "{name}:\n  printed:  {line}\n  expected: {pattern}\nin\n{played}{}",
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}

fn mesh() -> Result<Mesh> {
    Mesh::start(Plan {
        links: 2,
        ..Plan::default()
    })
}

#[test]
fn showing_a_running_daemon() -> Result<()> {
    if !can_run() {
        return Ok(());
    }
    play(&mesh()?, "show.txt")
}

#[test]
fn configuring_a_running_daemon() -> Result<()> {
    if !can_run() {
        return Ok(());
    }
    let mesh = mesh()?;
    play(&mesh, "configure.txt")?;
    // The peer saw its link go and come back, and is still there.
    mesh.wait_until_all_up(Duration::from_secs(20))
}

#[test]
fn operating_a_running_daemon() -> Result<()> {
    if !can_run() {
        return Ok(());
    }
    let mesh = mesh()?;
    play(&mesh, "operate.txt")?;
    // The session that was made anew works.
    mesh.wait_until_all_up(Duration::from_secs(20))
}

#[test]
fn changing_the_configuration_as_a_whole() -> Result<()> {
    if !can_run() {
        return Ok(());
    }
    let mesh = mesh()?;
    play(&mesh, "transactions.txt")?;
    mesh.wait_until_all_up(Duration::from_secs(20))
}

#[test]
fn events_reach_the_terminal_as_they_happen() -> Result<()> {
    if !can_run() {
        return Ok(());
    }
    let mesh = mesh()?;
    let mut command = mesh.daemon(A).shell()?;
    let mut child = command
        .args(["-c", "terminal monitor"])
        .stdout(Stdio::piped())
        .spawn()?;
    let seen = Arc::new(Mutex::new(Vec::<Value>::new()));
    let all = Arc::clone(&seen);
    let lines = BufReader::new(child.stdout.take().ok_or(LabError::new("no output"))?).lines();
    let reader = thread::spawn(move || {
        for line in lines.map_while(std::result::Result::ok) {
            let events = serde_json::from_str::<Value>(&line).map(|document| document["events"].clone());
            let events = events
                .ok()
                .and_then(|events| events.as_array().cloned())
                .unwrap_or_default();
            all.lock().unwrap_or_else(PoisonError::into_inner).extend(events);
        }
    });
    let saw = |kind: &str, link: u64| {
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let found = seen
            .iter()
            .any(|event| event["kind"] == kind && event["link"] == link && event["peer"] == "ams1");
        if found {
            Ok(())
        } else {
            Err(format!("only {seen:?}"))
        }
    };
    // The monitor may not be listening yet, so the order is given again.
    let result = wait_until("the event of a link", Duration::from_secs(10), || {
        let order = |line: &str| mesh.daemon(A).edit(&["interface knet0", "peer ams1", line]);
        order("link 1 shutdown")
            .and_then(|()| order("no link 1 shutdown"))
            .map_err(|e| e.to_string())?;
        saw("link-state", 1)
    });
    child.kill()?;
    child.wait()?;
    let _ = reader.join();
    result
}

#[test]
fn patterns_describe_what_they_should() {
    let told = |played, transcript| first_difference(played, transcript);
    assert_eq!(told("a  b\n c", "a b\n c"), None);
    assert_eq!(told("a 12ms x\nend", "a {}ms x\nend"), None);
    assert_eq!(told("a ms x", "a {}ms x"), Some(("a ms x", "a {}ms x")));
    assert_eq!(told("a\n1\n2\nb", "a\n{...}\nb"), None);
    assert_eq!(told("a\n1\n2", "a\n{...}\nb"), Some(("the end", "b")));
    assert_eq!(told("a b c", "a {*} c"), None);
    assert_eq!(told("x ab yz end", "{*}ab{*}z{*}"), None);
    assert_eq!(told("x a yz", "{*}ab{*}"), Some(("x a yz", "{*}ab{*}")));
    assert_eq!(told("a b", "a"), Some(("a b", "a")));
    assert_eq!(told("a\nb", "a"), Some(("b", "the end")));
    assert_eq!(told(" a", "a"), Some((" a", "a")));
}
