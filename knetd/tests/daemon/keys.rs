//! `genkey`, `pubkey`, `genpsk`, `--check`.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::host::{Host, KNETD, STRANGER, public_key, run};

#[test]
fn keys_are_made_as_wg_makes_them() {
    for command in ["genkey", "genpsk"] {
        let (one, other) = (run(KNETD, &[command]), run(KNETD, &[command]));
        assert!(one.len() == 45 && one.ends_with("=\n"), "{one:?}");
        assert_ne!(one, other);
    }
    // RFC 7748, section 6.1: Alice's keys.
    let private = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n";
    assert_eq!(
        public_key(private),
        "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
    );
}

#[test]
fn what_is_no_key_is_refused_in_one_line() {
    let mut child = Command::new(KNETD)
        .arg("pubkey")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"hello\n").unwrap();
    let output = crate::host::ended(child);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), text.lines().count(), output.stdout.len()),
        (Some(1), 1, 0),
        "{text}"
    );
    assert!(text.contains("44 characters"), "{text}");
}

#[test]
fn a_key_file_that_others_can_read_draws_a_warning() {
    let host = Host::new();
    for (mode, warned) in [(0o644, true), (0o640, true), (0o600, false)] {
        let path = host.file("k", "", mode);
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        let output = Command::new(KNETD).arg("genkey").stdout(file).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.contains("Warning"), warned, "{mode:o} {text}");
    }
}

fn check(host: &Host) -> (Option<i32>, String) {
    let path = host.directory.join("knetd.conf");
    let output = Command::new(KNETD)
        .arg("--check")
        .arg("--config")
        .arg(path)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn check_tells_every_error_with_line_and_column() {
    let host = Host::new();
    host.key("good");
    host.file("open.key", &run(KNETD, &["genkey"]), 0o644);
    host.config(&format!(
        "interface knet0\n private-key file open.key\n ip address 10.0.0.1/33\n local 0 any port 0\n \
         peer a\n  public-key {STRANGER}\n  preshared-key file none.psk\n  link 9 remote dynamic\n"
    ));
    let (code, text) = check(&host);
    assert_eq!(code, Some(1), "{text}");
    let expected = [
        "line 2, column 19",
        "line 3, column 13",
        "line 4, column 19",
        "line 7, column 22",
        "line 8, column 8",
    ];
    for (line, place) in text.lines().zip(expected) {
        assert!(line.contains(place), "{place}: {text}");
    }
    assert_eq!(text.lines().count(), expected.len(), "{text}");
    assert!(
        text.contains("chmod 600") && text.contains("knetd genpsk"),
        "{text}"
    );

    host.config(
        "interface knet0\n private-key file good.key\n local 0 any port 7700\n peer a\n  link 0 remote dynamic\n",
    );
    let (code, text) = check(&host);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("line 4") && text.contains("no public key"),
        "{text}"
    );

    let own = host.key("own");
    host.config(&format!(
        "interface k\n private-key file own.key\n peer me\n  public-key {own}\n"
    ));
    let (code, text) = check(&host);
    assert!(
        code == Some(1) && text.contains("line 4, column 14") && text.contains("itself"),
        "{text}"
    );

    fs::remove_file(host.directory.join("knetd.conf")).unwrap();
    let (code, text) = check(&host);
    assert!(code == Some(1) && text.contains("No such file"), "{text}");
}

#[test]
fn the_example_in_the_manual_is_taken() {
    let manual = include_str!("../../../docs/operations.md");
    let (_, rest) = manual.split_once("## Configuration by example").unwrap();
    let example = rest.split("```\n").nth(1).unwrap();
    assert!(example.lines().count() > 40, "{example}");
    let host = Host::new();
    host.key("fra1");
    host.file("ams1.psk", &run(KNETD, &["genpsk"]), 0o600);
    host.config(example);
    assert_eq!(check(&host), (Some(0), String::new()));
}
