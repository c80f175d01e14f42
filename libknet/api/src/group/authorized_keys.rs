//! Files of the keys of a group's peers: a line `NAME;KEY` for each of them.

use std::{net::IpAddr, sync::Arc};

use crate::{
    grammar::{lexer::is_comment, types::Form},
    model::{MAX_PEERS, PublicKey},
    persistent_map::PersistentMap,
    problem::{Problem, Severity, Span},
    value::IpPrefix,
};

/// Largest file, in bytes: with names of 64 characters 65,536 lines take 7 MB, and there may be comments.
pub const MAX_FILE: usize = 16 * 1024 * 1024;
/// In front of UTF-8 that was written on Windows.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Most problems that are told of one file.
const MAX_PROBLEMS: usize = 20;

/// The peers of a file by their names.
pub type AuthorizedKeys = PersistentMap<String, Listed>;

/// A peer that no line of the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Who that is.
    pub public_key: PublicKey,
    /// The IP addresses that it was given with its certificate or its invitation. `None`: none.
    pub addresses: Option<Arc<[IpAddr]>>,
}

impl Listed {
    /// One that was given these addresses.
    pub fn with_addresses(public_key: PublicKey, addresses: &[IpPrefix]) -> Self {
        let addresses: Arc<[IpAddr]> = addresses.iter().map(|prefix| prefix.address).collect();
        Self {
            public_key,
            addresses: Some(addresses).filter(|addresses| !addresses.is_empty()),
        }
    }
}

impl From<PublicKey> for Listed {
    fn from(public_key: PublicKey) -> Self {
        Self {
            public_key,
            addresses: None,
        }
    }
}

/// Reads a whole file, or tells what is wrong with it: then nothing of it counts.
///
/// Each line is `NAME;KEY`, a name of a peer and its public key in base64; white space around both does not count. Lines
/// that are empty, or begin with `#` or `!`, are comments.
pub fn parse(file: &[u8]) -> Result<AuthorizedKeys, Vec<Problem>> {
    if file.len() > MAX_FILE {
        let most = format!("at most {MAX_FILE} bytes");
        return Err(vec![*mistake(1, 1, "the file is too large", &most)]);
    }
    let file = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
    let (mut peers, mut problems) = (Vec::new(), Vec::new());
    for (index, bytes) in file.split(|byte| *byte == b'\n').enumerate() {
        match read_line(index + 1, bytes) {
            Ok(Some(_)) if peers.len() == MAX_PEERS => {
                let (text, most) = (
                    format!("more than {MAX_PEERS} peers"),
                    format!("at most {MAX_PEERS}"),
                );
                problems.push(*mistake(index + 1, 1, &text, &most));
                break;
            }
            Ok(peer) => peers.extend(peer),
            Err(problem) => problems.push(*problem),
        }
        if problems.len() >= MAX_PROBLEMS {
            break;
        }
    }
    // In order, what is there twice stands side by side. Most files are in the order of their names already.
    peers.sort_by_key(|peer: &Peer<'_>| peer.name);
    let mut by_key: Vec<&Peer<'_>> = peers.iter().collect();
    by_key.sort_by_key(|peer| (peer.key, peer.line));
    let names = twice(peers.iter(), |a, b| a.name == b.name).map(|(first, second)| {
        let text = format!("{} is the name in line {}, too", second.name, first.line);
        let column = 1 + second.text.chars().take_while(|c| c.is_whitespace()).count();
        *mistake(second.line, column, &text, "a name of its own for each peer")
    });
    let keys = twice(by_key.into_iter(), |a, b| a.key == b.key).map(|(first, second)| {
        let text = format!("{} has the same public key as {}", second.name, first.name);
        *mistake(
            second.line,
            key_column(second.text),
            &text,
            "a key of its own for each peer",
        )
    });
    problems.extend(names.chain(keys));
    if problems.is_empty() {
        let peers = peers.into_iter();
        return Ok(peers
            .map(|peer| (peer.name.to_owned(), peer.key.into()))
            .collect());
    }
    problems.sort_by_key(|problem| problem.span);
    problems.truncate(MAX_PROBLEMS);
    Err(problems)
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

/// A line of a peer.
#[derive(Clone, Copy)]
struct Peer<'a> {
    name: &'a str,
    key: PublicKey,
    line: usize,
    text: &'a str,
}

/// Neighbours that are the same.
fn twice<'a, 'b: 'a>(
    peers: impl Iterator<Item = &'a Peer<'b>> + Clone,
    same: impl Fn(&Peer<'b>, &Peer<'b>) -> bool,
) -> impl Iterator<Item = (&'a Peer<'b>, &'a Peer<'b>)> {
    let next = peers.clone().skip(1);
    peers
        .zip(next)
        .filter(move |(a, b)| same(a, b))
        .take(MAX_PROBLEMS)
}

/// The peer of a line; `None` where it is a comment.
fn read_line(line: usize, bytes: &[u8]) -> Result<Option<Peer<'_>>, Box<Problem>> {
    const EXPECTED: &str = "a line NAME;KEY, as in `ams1;` and 44 characters of base64";
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let column = before.chars().count() + 1;
        mistake(line, column, "a byte that is not UTF-8", "UTF-8 text")
    })?;
    if is_comment(text) {
        return Ok(None);
    }
    // Where something is wrong only: there are many lines.
    let name_column = || 1 + text.chars().take_while(|c| c.is_whitespace()).count();
    let Some((name, key)) = text.split_once(';') else {
        return Err(mistake(line, name_column(), "there is no `;`", EXPECTED));
    };
    let (name, key) = (name.trim(), key.trim());
    Form::PeerName.parse(name).map_err(|reason| {
        let reason = reason.unwrap_or_else(|| "there is no name before the `;`".to_owned());
        let expected = format!("a name: {}", Form::PeerName.requirement().unwrap_or_default());
        mistake(line, name_column(), &reason, &expected)
    })?;
    if key.is_empty() {
        let reason = "there is no key behind the `;`";
        return Err(mistake(line, key_column(text), reason, EXPECTED));
    }
    let key = key.parse::<PublicKey>().map_err(|error| {
        let expected = "a public key as `knetd pubkey` prints it: 44 characters of base64";
        mistake(line, key_column(text), &error.to_string(), expected)
    })?;
    Ok(Some(Peer {
        name,
        key,
        line,
        text,
    }))
}

/// The column behind the `;` and white space.
fn key_column(line: &str) -> usize {
    let (name, rest) = line.split_once(';').unwrap_or_default();
    let space = rest.chars().take_while(|c| c.is_whitespace()).count();
    name.chars().count() + space + 2
}

fn mistake(line: usize, column: usize, text: &str, expected: &str) -> Box<Problem> {
    Box::new(Problem {
        severity: Severity::Error,
        place: None,
        span: Some(Span {
            line: line as u32,
            column: column as u32,
            length: 1,
        }),
        text: text.to_owned(),
        expected: Some(expected.to_owned()),
    })
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
        let read: Vec<String> = keys
            .iter()
            .map(|(name, key)| format!("{name};{}", key.public_key))
            .collect();
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
            ["line 65537, column 1: more than 65536 peers; expected: at most 65536"]
        );
    }
}
