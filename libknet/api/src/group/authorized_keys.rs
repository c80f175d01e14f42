//! Files of the keys of a group's peers: a line `NAME;KEY` for each of them.

use std::collections::{BTreeMap, HashMap};

use crate::{
    grammar::{lexer::is_comment, types::Form},
    model::{MAX_PEERS, PublicKey},
    persistent_map::PersistentMap,
    problem::{Problem, Severity, Span},
};

/// Largest file, in bytes: with names of 64 characters 65,536 lines take 7 MB, and there may be comments.
pub const MAX_FILE: usize = 16 * 1024 * 1024;
/// In front of UTF-8 that was written on Windows.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Most problems that are told of one file.
const MAX_PROBLEMS: usize = 20;

/// The peers of a file: their keys by their names.
pub type AuthorizedKeys = PersistentMap<String, PublicKey>;

/// Reads a whole file, or tells what is wrong with it: then nothing of it counts.
///
/// Each line is `NAME;KEY`, a name of a peer and its public key in base64; white space around both does not count. Lines
/// that are empty, or begin with `#` or `!`, are comments.
pub fn parse(file: &[u8]) -> Result<AuthorizedKeys, Vec<Problem>> {
    let mut reader = Reader::default();
    if file.len() > MAX_FILE {
        reader.refuse(
            1,
            1,
            "the file is too large",
            &format!("at most {MAX_FILE} bytes"),
        );
        return Err(reader.problems);
    }
    let file = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
    for (index, line) in file.split(|byte| *byte == b'\n').enumerate() {
        if reader.problems.len() >= MAX_PROBLEMS {
            break;
        }
        reader.line(index + 1, line);
    }
    if reader.problems.is_empty() {
        let peers = reader.names.into_iter();
        Ok(peers.map(|(name, (key, _))| (name.to_owned(), key)).collect())
    } else {
        Err(reader.problems)
    }
}

/// The number of the line of `name` in a file without mistakes.
pub fn line_of(file: &[u8], name: &str) -> Option<usize> {
    let is_its = |line: &[u8]| {
        let line = std::str::from_utf8(line).ok()?;
        let (found, _) = line.split_once(';').filter(|_| !is_comment(line))?;
        (found.trim() == name).then_some(())
    };
    let file = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
    let mut lines = file.split(|byte| *byte == b'\n');
    lines
        .position(|line| is_its(line).is_some())
        .map(|index| index + 1)
}

#[derive(Default)]
struct Reader<'a> {
    /// Keys and lines.
    names: BTreeMap<&'a str, (PublicKey, usize)>,
    /// Whose they are.
    keys: HashMap<PublicKey, &'a str>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, number: usize, bytes: &'a [u8]) {
        const EXPECTED: &str = "a line NAME;KEY, as in `ams1;` and 44 characters of base64";
        let line = match std::str::from_utf8(bytes) {
            Ok(line) => line,
            Err(error) => {
                let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                let column = before.chars().count() + 1;
                return self.refuse(number, column, "a byte that is not UTF-8", "UTF-8 text");
            }
        };
        if is_comment(line) {
            return;
        }
        let column = |rest: &str| line.chars().count() - rest.chars().count() + 1;
        let Some((name, key)) = line.split_once(';') else {
            return self.refuse(number, column(line.trim_start()), "there is no `;`", EXPECTED);
        };
        let name_column = column(line.trim_start());
        let key_column = column(key.trim_start());
        let (name, key) = (name.trim(), key.trim());
        if let Err(reason) = Form::PeerName.parse(name) {
            let reason = reason.unwrap_or_else(|| "there is no name before the `;`".to_owned());
            let expected = Form::PeerName.requirement().unwrap_or_default();
            return self.refuse(number, name_column, &reason, &format!("a name: {expected}"));
        }
        let key = match key.parse::<PublicKey>() {
            Ok(key) => key,
            Err(_) if key.is_empty() => {
                return self.refuse(number, key_column, "there is no key behind the `;`", EXPECTED);
            }
            Err(error) => {
                let expected = "a public key as `knetd pubkey` prints it: 44 characters of base64";
                return self.refuse(number, key_column, &error.to_string(), expected);
            }
        };
        if let Some((_, other)) = self.names.get(name) {
            let text = format!("{name} is the name in line {other}, too");
            return self.refuse(number, name_column, &text, "a name of its own for each peer");
        }
        if let Some(other) = self.keys.insert(key, name) {
            let text = format!("{name} has the same public key as {other}");
            return self.refuse(number, key_column, &text, "a key of its own for each peer");
        }
        self.names.insert(name, (key, number));
        if self.names.len() > MAX_PEERS {
            let text = format!("{} peers", self.names.len());
            self.refuse(number, 1, &text, &format!("at most {MAX_PEERS}"));
        }
    }

    fn refuse(&mut self, line: usize, column: usize, text: &str, expected: &str) {
        self.problems.push(Problem {
            severity: Severity::Error,
            place: None,
            span: Some(Span {
                line: line as u32,
                column: column as u32,
                length: 1,
            }),
            text: text.to_owned(),
            expected: Some(expected.to_owned()),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";
    const B: &str = "iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=";

    fn mistakes(file: &str) -> Vec<String> {
        let problems = parse(file.as_bytes()).expect_err("mistakes");
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_and_keys_are_read_in_any_order_with_comments_and_space() {
        let file = format!("\u{feff}# the north\r\n\r\n  oslo1 ; {B} \r\n! and the south\nams1;{A}");
        let keys = parse(file.as_bytes()).expect("no mistake");
        let read: Vec<String> = keys.iter().map(|(name, key)| format!("{name};{key}")).collect();
        assert_eq!(read, [format!("ams1;{A}"), format!("oslo1;{B}")]);
        assert_eq!(line_of(file.as_bytes(), "oslo1"), Some(3));
        assert_eq!(line_of(file.as_bytes(), "ams1"), Some(5));
        assert_eq!(line_of(file.as_bytes(), "ams2"), None);
        assert!(parse(b"").expect("no mistake").is_empty());
    }

    #[test]
    fn each_mistake_is_told_with_its_line_and_what_would_be_right() {
        for (file, said) in [
            (
                "ams1".to_owned(),
                "line 1, column 1: there is no `;`; expected: a line NAME;KEY, as in `ams1;` and 44 characters of base64",
            ),
            (
                format!("\n a/b;{A}"),
                "line 2, column 2: a name with '/'; expected: a name: 1-64 of A-Z a-z 0-9 . _ -",
            ),
            (
                format!(";{A}"),
                "line 1, column 1: there is no name before the `;`; expected: a name: 1-64 of A-Z a-z 0-9 . _ -",
            ),
            (
                "ams1; ".to_owned(),
                "line 1, column 7: there is no key behind the `;`; expected: a line NAME;KEY, as in `ams1;` and 44 \
                 characters of base64",
            ),
            (
                "ams1;AAAA".to_owned(),
                "line 1, column 6: not 32 bytes in base64; expected: a public key as `knetd pubkey` prints it: 44 \
                 characters of base64",
            ),
            (
                format!("a;{A}\na;{B}\n"),
                "line 2, column 1: a is the name in line 1, too; expected: a name of its own for each peer",
            ),
            (
                format!("a;{A}\nb;{A}\n"),
                "line 2, column 3: b has the same public key as a; expected: a key of its own for each peer",
            ),
        ] {
            assert_eq!(mistakes(&file), [said], "{file}");
        }
        assert_eq!(
            parse(b"ab\xff;").expect_err("a mistake")[0].to_string(),
            "line 1, column 3: a byte that is not UTF-8; expected: UTF-8 text"
        );
    }

    #[test]
    fn what_is_too_much_is_refused() {
        assert_eq!(mistakes(&"x\n".repeat(1000)).len(), MAX_PROBLEMS);
        let large = parse(&vec![b'\n'; MAX_FILE + 1]).expect_err("too large");
        assert!(large[0].to_string().contains("at most 16777216 bytes"));
        let line = |n: usize| {
            let mut key = [7; 32];
            key[..4].copy_from_slice(&(n as u32).to_le_bytes());
            format!("p{n};{}\n", PublicKey(key))
        };
        let full: String = (0..MAX_PEERS).map(line).collect();
        assert_eq!(parse(full.as_bytes()).expect("all of them").len(), MAX_PEERS);
        let more = full + &line(MAX_PEERS);
        assert_eq!(
            mistakes(&more),
            ["line 65537, column 1: 65537 peers; expected: at most 65536"]
        );
    }
}
