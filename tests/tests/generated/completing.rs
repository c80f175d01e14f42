//! The completions as their shells have them.

use std::{
    env, fs,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::{self, Command},
};

/// A directory with a `knet-cli` that offers two words, and keeps what it was asked.
struct Program(PathBuf);

impl Program {
    fn new(name: &str) -> Self {
        let directory = env::temp_dir().join(format!("knet-completing-{name}-{}", process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::DirBuilder::new().mode(0o755).create(&directory).unwrap();
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(directory.join("knet-cli"))
            .unwrap();
        let text = "#!/bin/sh\necho \"$*\" >>\"${0%/*}/asked\"\nprintf 'peer\\npeers\\n'\n";
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        Self(directory)
    }

    fn asked(&self) -> String {
        fs::read_to_string(self.0.join("asked")).unwrap_or_default()
    }

    /// What `shell` prints of itself; `None`, and a word about it, where it is not installed.
    fn run(&self, shell: &str, arguments: &[&str]) -> Option<String> {
        let path = format!("{}:{}", self.0.display(), env::var("PATH").unwrap_or_default());
        // What hangs ends.
        let output = Command::new("timeout")
            .args(["20", shell])
            .args(arguments)
            .env("PATH", path)
            .env("HOME", &self.0)
            .env("TERM", "dumb")
            .output()
            .unwrap();
        if output.status.code() == Some(127) {
            eprintln!("not tested: there is no {shell} here");
            return None;
        }
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{shell}: {}, {out}{err}", output.status);
        Some(out)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn script(ending: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/completions/knet-cli");
    format!("{}.{ending}", path.display())
}

#[test]
fn bash_completes_options_and_asks_for_words() {
    let program = Program::new("bash");
    let offered = |words: &[&str]| {
        let list: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let last = words.len() - 1;
        let text = format!(
            "source {}; COMP_WORDS=({}); COMP_CWORD={last}; _knet-cli_words knet-cli {} {}; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script("bash"),
            list.join(" "),
            list[last],
            list[last - 1]
        );
        program.run("bash", &["-c", &text]).unwrap_or_default()
    };
    assert_eq!(offered(&["knet-cli", "show", "pee"]), "peer\npeers\n");
    let options = ["--socket", "/x", "--json", "--timeout", "3"];
    offered(&[&["knet-cli"], &options[..], &["ping", ""]].concat());
    assert_eq!(
        program.asked(),
        "--complete show pee\n--socket /x --complete ping \n"
    );
    assert_eq!(offered(&["knet-cli", "--js"]), "--json\n");
    assert!(offered(&["knet-cli", "-"]).contains("--check"));
    assert!(!offered(&["knet-cli", "-"]).contains("--complete"));
}

#[test]
fn fish_completes_options_and_asks_for_words() {
    let program = Program::new("fish");
    let offered = |line: &str| {
        let text = format!("source {}; complete -C '{line}'", script("fish"));
        program.run("fish", &["--no-config", "-c", &text])
    };
    let Some(words) = offered("knet-cli show pee") else {
        return;
    };
    assert_eq!(words, "peer\npeers\n");
    offered("knet-cli --socket /x --json ping ");
    assert_eq!(
        program.asked(),
        "--complete show pee\n--socket /x --complete ping \n"
    );
    let options = offered("knet-cli --").unwrap_or_default();
    assert!(
        options.contains("--json\t") && !options.contains("--complete"),
        "{options}"
    );
}

/// Only a line editor completes in zsh: one zsh has another in a terminal of its own, and presses Tab there.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty z "zsh -f -i"
zpty -w z "unsetopt beep; autoload -U compinit; compinit -u -D; source $1; echo rea''dy"
zpty -r z seen '*ready*'
zpty -w -n z "$2"$'\t'
zpty -r z seen "*$3*"
"#;

#[test]
fn zsh_completes_options_and_asks_for_words() {
    let program = Program::new("zsh");
    let completes =
        |line: &str, to: &str| program.run("zsh", &["-f", "-c", ZSH, "zsh", &script("zsh"), line, to]);
    if completes("knet-cli show pee", "show peer").is_none() {
        return;
    }
    completes("knet-cli --socket /x --json ping ", "ping peer");
    assert_eq!(
        program.asked(),
        "--complete show pee\n--socket /x --complete ping \n"
    );
    completes("knet-cli --js", "--json");
}
