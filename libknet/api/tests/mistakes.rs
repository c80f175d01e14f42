//! Typing mistakes (`mistakes.txt`): the caret is under the wrong word, what is needed is said, and what is said to be
//! expected is true: in the place of the wrong word it can be read, or at least the line is read further than before.

use knet_api::{
    edit::Context,
    grammar::{ErrorKind, SyntaxError, parse},
};

const MISTAKES: &str = include_str!("mistakes.txt");

struct Mistake<'a> {
    context: Option<Context>,
    line: String,
    /// Of the wrong word, in characters.
    column: usize,
    missing: bool,
    told: &'a str,
}

fn context(name: &str) -> Option<Context> {
    let (interface, peer) = ("knet0".to_owned(), "ams1".to_owned());
    match name {
        "exec" => None,
        "config" => Some(Context::Global),
        "interface" => Some(Context::Interface { interface }),
        "peer" => Some(Context::Peer { interface, peer }),
        "link" => Some(Context::Link {
            interface,
            peer,
            link: 0,
        }),
        _ => panic!("there is no context {name}"),
    }
}

fn mistakes() -> impl Iterator<Item = Mistake<'static>> {
    let lines = MISTAKES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|text| {
        let [place, line, told] = text
            .split('|')
            .map(str::trim)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap_or_else(|_| panic!("three parts: {text}"));
        let (before, rest) = line.split_once('{').unwrap_or_else(|| panic!("a brace: {text}"));
        let (word, after) = rest.split_once('}').unwrap_or_else(|| panic!("a brace: {text}"));
        Mistake {
            context: context(place),
            line: format!("{before}{word}{after}"),
            column: before.chars().count(),
            missing: word.is_empty(),
            told,
        }
    })
}

/// A word of the form that `expected` describes.
fn example(expected: &str) -> String {
    let notation = expected.split(" (").next().unwrap_or_default();
    let word = match notation {
        "A.B.C.D" => "192.0.2.9",
        "X:X::X" => "2001:db8::9",
        "A.B.C.D/M" => "192.0.2.9/24",
        "X:X::X/M" => "2001:db8::9/64",
        "H:H:H:H:H:H" => "02:00:00:00:00:07",
        "KEY" => "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
        "NAME" => "x1",
        "HOST" => "vpn.example.net",
        "PATH" => "some.file",
        "LINE" => "some text",
        "a closing \"" => return String::new(),
        _ => match notation.strip_prefix('<').and_then(|range| range.split_once('-')) {
            Some((low, _)) => low,
            None => notation,
        },
    };
    word.to_owned()
}

/// Whether `line` with `word` in the place of the wrong one is read, or read further.
fn helps(context: Option<&Context>, line: &str, error: &SyntaxError, word: &str) -> bool {
    let (before, after) = (&line[..error.span.start], &line[error.span.end..]);
    let mended = match word {
        "the end of the line" => before.to_owned(),
        word if error.kind == ErrorKind::Incomplete => format!("{before} {word}"),
        word => format!("{before}{word}{after}"),
    };
    match parse(context, &mended) {
        Ok(_) => true,
        Err(next) => next.kind == ErrorKind::Incomplete || next.depth > error.depth,
    }
}

#[test]
fn the_caret_is_under_the_wrong_word_and_what_is_expected_is_true() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for Mistake {
        context,
        line,
        column,
        missing,
        told,
    } in mistakes()
    {
        count += 1;
        let context = context.as_ref();
        let mut complain = |text: String| wrong.push(format!("{line}: {text}"));
        let error = match parse(context, &line) {
            Ok(meaning) => {
                complain(format!("is no mistake: {meaning:?}"));
                continue;
            }
            Err(error) => error,
        };
        let at = line[..error.span.start].chars().count();
        if at != column {
            complain(format!("the mark is in column {at}, not {column}: {error:?}"));
        }
        if missing != (error.kind == ErrorKind::Incomplete) {
            complain(format!("is {:?}", error.kind));
        }
        let report = error.report(&line, 0);
        match told.strip_suffix('?') {
            Some(meant) if error.suggestion.as_deref() != Some(meant) => {
                complain(format!("`{meant}` was meant: {report}"));
            }
            None if !report.contains(told) => complain(format!("does not say `{told}`: {report}")),
            _ => {}
        }
        if error.expected.is_empty() {
            complain("expects nothing".to_owned());
        }
        let closed = error.expected == ["a closing \""];
        for expected in &error.expected {
            let word = if closed {
                format!("{}\"", &line[error.span.clone()])
            } else {
                example(expected)
            };
            if !helps(context, &line, &error, &word) {
                complain(format!("`{expected}` does not help"));
            }
        }
        if let Some(meant) = &error.suggestion
            && !helps(context, &line, &error, meant)
        {
            complain(format!("`{meant}` does not help"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count >= 200, "only {count} mistakes");
}

#[test]
fn a_key_in_the_wrong_place_is_not_repeated() {
    let key = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";
    let hex = "0f".repeat(32);
    for (place, line) in [
        ("peer", format!("preshared-key {key}")),
        ("peer", format!("preshared-key file {key}")),
        ("peer", format!("preshared-key file \"{key}")),
        ("peer", format!("public-key {}", &key[..43])),
        ("interface", format!("private-key {key}")),
        ("interface", format!("private-key {hex}")),
        ("interface", format!("private-key file {key}")),
        ("interface", format!("private-key {}", &key[1..])),
        ("exec", key.to_owned()),
    ] {
        let error = parse(context(place).as_ref(), &line).expect_err(&line);
        let told = format!(
            "{} {:?} {:?}",
            error.message(&line),
            error.reason,
            error.expectation()
        );
        assert!(!told.contains(&key[1..40]) && !told.contains(&hex), "{told}");
    }
}
