//! The architecture's rules that a compiler does not check: who may import whom, where `unsafe` may be, and
//! that nothing is dropped for a reason that nobody explains.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use knet_proto::drop_reason::DropReason;

/// What a crate must not depend on, by the name on crates.io.
struct Rule {
    directory: &'static str,
    /// The only packages allowed, where the list is short enough to be given.
    only: Option<&'static [&'static str]>,
    never: &'static [&'static str],
    /// Words that must not be in its code, beside the names of the packages above.
    words: &'static [&'static str],
}

const RULES: [Rule; 7] = [
    Rule {
        directory: "libknet/proto",
        only: None,
        never: &[
            "serde",
            "log",
            "tracing",
            "tokio",
            "libc",
            "socket2",
            "getrandom",
            "knet-io",
            "knet-api",
            "libknet",
        ],
        words: &[
            "SystemTime",
            "Instant::now",
            "std::net",
            "std::thread",
            "std::time",
        ],
    },
    Rule {
        directory: "libknet/io",
        only: None,
        never: &["knet-proto", "knet-api", "libknet", "tokio", "serde", "ring"],
        words: &[],
    },
    Rule {
        directory: "libknet/api",
        only: Some(&["serde", "postcard", "thiserror"]),
        never: &["tokio", "socket2", "libc", "knet-proto", "knet-io", "libknet"],
        words: &[
            "UdpSocket",
            "TcpStream",
            "TcpListener",
            "UnixStream",
            "UnixListener",
            "std::fs",
            "std::thread",
        ],
    },
    Rule {
        directory: "libknet",
        only: None,
        never: &["tokio", "rustyline", "clap", "serde_json"],
        words: &[],
    },
    Rule {
        directory: "knetd",
        only: None,
        never: &[
            "libc",
            "socket2",
            "ring",
            "chacha20poly1305",
            "x25519-dalek",
            "graviola",
            "blake2",
            "rustyline",
            "knet-cli",
        ],
        words: &["RawFd", "as_raw_fd", "from_raw_fd", "into_raw_fd"],
    },
    Rule {
        directory: "knet-cli",
        only: Some(&[
            "knet-api",
            "rustyline",
            "clap",
            "serde_json",
            "regex",
            "rustix",
            "signal-hook",
            "flate2",
            "unicode-width",
        ]),
        never: &["libknet", "tokio", "knet-proto", "knet-io", "libc"],
        words: &[],
    },
    Rule {
        directory: "tests/fast-path",
        only: Some(&["knet-proto"]),
        never: &["knet-io", "libknet"],
        // What is counted must be the same each time.
        words: &["SystemTime", "Instant::now", "HashMap", "std::thread", "std::fs"],
    },
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file of a crate's `src` that is not for tests only, with its text.
fn sources(directory: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    collect(&root().join(directory).join("src"), &mut files);
    assert!(!files.is_empty(), "{directory} has no sources");
    files
}

fn collect(directory: &Path, files: &mut Vec<(PathBuf, String)>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("tests") {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            files.push((path, text));
        }
    }
}

/// Names of the packages in `[dependencies]` of a manifest (and of build and target dependencies, not of those
/// for tests).
fn dependencies(directory: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(directory).join("Cargo.toml")).expect("a manifest");
    let mut names = Vec::new();
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            inside = section.contains("dependencies") && !section.contains("dev-dependencies");
        } else if inside && let Some((name, _)) = line.split_once(['.', '=', ' ']) {
            names.push(name.trim().trim_matches('"').to_owned());
        }
    }
    names.retain(|n| !n.is_empty() && !n.starts_with('#'));
    names
}

/// The code without comments and without the contents of strings; lines stay where they are.
fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let blank =
        |out: &mut String, part: &str| out.extend(part.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
    while at < bytes.len() {
        let rest = &text[at..];
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest, out.chars().next_back()) {
            length
        } else if rest.starts_with('"') {
            quoted(rest)
        } else if let Some(length) = character_literal(rest) {
            length
        } else {
            let character = rest.chars().next().expect("not at the end");
            out.push(character);
            at += character.len_utf8();
            continue;
        };
        blank(&mut out, &rest[..length]);
        at += length;
    }
    out
}

fn raw_string(rest: &str, before: Option<char>) -> Option<usize> {
    let after_r = rest.strip_prefix('r')?;
    let hashes = after_r.len() - after_r.trim_start_matches('#').len();
    if before.is_some_and(|c| c.is_alphanumeric() && c != 'b' || c == '_')
        || !after_r[hashes..].starts_with('"')
    {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let body = 1 + hashes + 1;
    Some(
        rest[body..]
            .find(&end)
            .map_or(rest.len(), |at| body + at + end.len()),
    )
}

/// A lifetime has no second quote.
fn character_literal(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    if first == '\\' {
        return Some(3 + inside[2..].find('\'')? + 1);
    }
    inside[first.len_utf8()..]
        .starts_with('\'')
        .then_some(first.len_utf8() + 2)
}

fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The part before the module of tests, which is the last thing in a file.
fn without_tests(code: &str) -> &str {
    let begins = code.match_indices("#[cfg(test)]\n").find(|(at, mark)| {
        let after = code[at + mark.len()..].lines().find(|l| !l.starts_with("#["));
        after.is_some_and(|l| l.starts_with("mod ") && l.trim_end().ends_with('{'))
    });
    begins.map_or(code, |(at, _)| &code[..at])
}

fn has_word(code: &str, word: &str) -> Option<usize> {
    let part_of_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word)
        .find(|(at, _)| {
            !part_of_name(code[..*at].chars().next_back())
                && !part_of_name(code[at + word.len()..].chars().next())
        })
        .map(|(at, _)| 1 + code[..at].matches('\n').count())
}

fn shown(path: &Path) -> String {
    let full = path.display().to_string();
    full.rsplit_once("/../")
        .map_or(full.clone(), |(_, inside)| inside.to_owned())
}

#[test]
fn crates_depend_only_on_what_they_may() {
    let mut wrong = String::new();
    for rule in &RULES {
        for name in dependencies(rule.directory) {
            let allowed = rule.only.is_none_or(|only| only.contains(&name.as_str()));
            if !allowed || rule.never.contains(&name.as_str()) {
                let _ = writeln!(wrong, "{}/Cargo.toml: must not depend on {name}", rule.directory);
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn code_names_only_what_it_may() {
    let mut wrong = String::new();
    for rule in &RULES {
        for (path, text) in sources(rule.directory) {
            let code = code_only(&text);
            let code = without_tests(&code);
            // A package is named in code by a path; the same word alone may be a module or a field of ours.
            let packages = rule.never.iter().map(|n| format!("{}::", n.replace('-', "_")));
            for word in packages.chain(rule.words.iter().map(|w| (*w).to_owned())) {
                let line = has_word_or_path(code, &word);
                if let Some(line) = line {
                    let _ = writeln!(wrong, "{}:{line}: must not use {word}", shown(&path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// As [`has_word`]; a word that ends in `::` is a package in a path or in `extern crate`.
fn has_word_or_path(code: &str, word: &str) -> Option<usize> {
    match word.strip_suffix("::") {
        Some(package) => has_path(code, word).or_else(|| has_word(code, &format!("extern crate {package}"))),
        None => has_word(code, word),
    }
}

/// The line of a path that begins with `root`, which ends in `::`; not of a longer path that has it inside.
fn has_path(code: &str, root: &str) -> Option<usize> {
    code.match_indices(root)
        .find(|(at, _)| {
            let before = code[..*at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
        })
        .map(|(at, _)| 1 + code[..at].matches('\n').count())
}

#[test]
fn the_core_is_no_std() {
    for (path, text) in sources("libknet/proto") {
        if path.ends_with("proto/src/lib.rs") {
            assert!(text.contains("#![no_std]"), "{}", shown(&path));
        }
        let code = code_only(&text);
        assert_eq!(
            has_path(without_tests(&code), "std::"),
            None,
            "{} uses std",
            shown(&path)
        );
    }
}

#[test]
fn unsafe_is_in_the_rim_only_and_says_why_it_is_safe() {
    let mut wrong = String::new();
    let everywhere = [
        "libknet/proto",
        "libknet/io",
        "libknet/api",
        "libknet",
        "knetd",
        "knet-cli",
        "tests",
        "tests/fast-path",
    ];
    for directory in everywhere {
        for (path, text) in sources(directory) {
            let code = code_only(&text);
            if directory != "libknet/io" {
                if let Some(line) = has_word(&code, "unsafe") {
                    let _ = writeln!(wrong, "{}:{line}: unsafe outside libknet/io", shown(&path));
                }
                continue;
            }
            let lines: Vec<&str> = text.lines().collect();
            for (number, line) in code.lines().enumerate() {
                let explained = |above: usize| {
                    let nearby = &lines[number.saturating_sub(above)..=number];
                    nearby
                        .iter()
                        .any(|l| l.contains("SAFETY:") || l.contains("# Safety"))
                };
                if has_word(line, "unsafe").is_some() && !explained(8) {
                    let _ = writeln!(wrong, "{}:{}: unsafe without SAFETY", shown(&path), number + 1);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_drop_reason_is_used_and_documented() {
    let mut code = String::new();
    for directory in ["libknet/proto", "libknet"] {
        for (path, text) in sources(directory) {
            if !path.ends_with("drop_reason.rs") {
                code += without_tests(&code_only(&text));
            }
        }
    }
    let documents = ["docs/protocol.md", "docs/operations.md"];
    let texts: Vec<String> = documents
        .iter()
        .map(|d| fs::read_to_string(root().join(d)).unwrap_or_default())
        .collect();
    let mut wrong = String::new();
    for reason in DropReason::ALL {
        if has_word(&code, &format!("DropReason::{reason:?}")).is_none() {
            let _ = writeln!(wrong, "DropReason::{reason:?} is used nowhere");
        }
        if !texts.iter().any(|t| t.contains(&format!("`{}`", reason.name()))) {
            let _ = writeln!(wrong, "`{}` is explained in none of {documents:?}", reason.name());
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn files_are_small_and_named_for_their_concern() {
    const MOST_LINES: usize = 600;
    let mut wrong = String::new();
    for directory in [
        "libknet/proto",
        "libknet/io",
        "libknet/api",
        "libknet",
        "knetd",
        "knet-cli",
        "tests",
        "tests/fast-path",
    ] {
        for (path, text) in sources(directory) {
            let lines = without_tests(&text).lines().count();
            if lines > MOST_LINES {
                let _ = writeln!(wrong, "{}: {lines} lines, at most {MOST_LINES}", shown(&path));
            }
            let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
            if ["util", "utils", "common", "helpers", "misc"].contains(&stem) {
                let _ = writeln!(wrong, "{}: a name that says nothing", shown(&path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn the_rules_see_what_they_should() {
    let code = code_only(
        "use tokio::net; // tokio::x\nlet s = \"unsafe \\\" unsafe\"; let c = '\"'; r#\"unsafe\"#;\nfoo::tokio::y();",
    );
    assert_eq!(has_word_or_path(&code, "tokio::"), Some(1));
    assert_eq!(has_word(&code, "unsafe"), None);
    assert_eq!(code_only("'●' '\\'' '\\u{1F}' 'a b").trim(), "'a b");
    assert_eq!(code_only("a /* unsafe\n */ b").lines().count(), 2);
    assert_eq!(has_word_or_path("foo::tokio::y()", "tokio::"), None);
    assert_eq!(has_word_or_path("extern crate tokio;", "tokio::"), Some(1));
    assert_eq!(has_word("unsafe_code", "unsafe"), None);
    assert_eq!(has_word("fn f<'a>() { unsafe {} }", "unsafe"), Some(1));
    assert_eq!(
        without_tests("a\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n}"),
        "a\n"
    );
    assert_eq!(
        without_tests("#[cfg(test)]\nmod tests;\nb"),
        "#[cfg(test)]\nmod tests;\nb"
    );
    assert!(dependencies("knet-cli").contains(&"knet-api".to_owned()));
}
