//! What must hold for every configuration and for every line that anybody can type.

mod random_config;

use knet_api::{
    diff::diff,
    edit::Context,
    grammar::{Command, Line, Show, Transaction, complete, help, lexer, parse},
    load::load,
    message::{Only, Privilege, Source},
    model::Config,
    render::render,
    transaction::{Confirmation, Entry, Mode},
};
use proptest::{collection, prelude::*, sample};

fn config() -> impl Strategy<Value = Config> {
    random_config::config("[ -~ä]{1,20}")
}

fn nowhere(_: Source, _: &str) -> Vec<String> {
    Vec::new()
}

/// The lines of a configuration with the object that each stands in.
fn lines(config: &Config) -> Vec<(Context, String)> {
    let mut context = Context::Global;
    let mut lines = Vec::new();
    for line in render(config, false).lines() {
        if lexer::is_comment(line) {
            continue;
        }
        let Ok(Line::Edit(edit)) = parse(Some(&context), line) else {
            panic!("{line} is not read in {context}")
        };
        let holder = match edit.begins() {
            Some(object) => object.parent().expect("a parent"),
            None => edit.enter.clone().unwrap_or(context.clone()),
        };
        lines.push((holder, line.trim_start().to_owned()));
        context = edit.enter.unwrap_or(context);
    }
    lines
}

/// The shortest beginning of each keyword that means the same.
fn abbreviated(context: Option<&Context>, line: &str) -> String {
    let meaning = parse(context, line).expect("a line");
    let words: Vec<&str> = line.split(' ').collect();
    let mut short: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
    for index in 0..words.len() {
        for end in 1..words[index].len() {
            let Some(head) = words[index].get(..end) else {
                continue;
            };
            let before = std::mem::replace(&mut short[index], head.to_owned());
            if parse(context, &short.join(" ")).as_ref().map(meaning_of) == Ok(meaning_of(&meaning)) {
                break;
            }
            short[index] = before;
        }
    }
    short.join(" ")
}

fn meaning_of(line: &Line) -> String {
    match line {
        Line::Edit(edit) => format!("{:?} {:?}", edit.ops, edit.enter),
        other => format!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_printed_is_read_back(config in config()) {
        for all in [false, true] {
            let text = render(&config, all);
            let loaded = load(text.as_bytes());
            prop_assert_eq!(loaded.errors().next(), None, "{}", text);
            prop_assert_eq!(render(&loaded.config, all), text);
            // What is at its default is said in the second, and not in the first.
            prop_assert!(all || loaded.config == config, "{}", render(&config, all));
        }
    }

    #[test]
    fn pasted_line_by_line_it_is_the_same(config in config()) {
        let (mut made, mut context) = (Config::default(), Context::Global);
        for line in render(&config, false).lines() {
            if let Line::Edit(edit) = parse(Some(&context), line).expect("a line") {
                made = made.edited(&edit.ops).expect("an edit").config;
                context = edit.enter.unwrap_or(context);
            }
        }
        prop_assert_eq!(made, config);
    }

    #[test]
    fn a_difference_leads_from_one_to_the_other(from in config(), to in config()) {
        let ops = diff(&from, &to);
        prop_assert_eq!(from.edited(&ops).expect("an edit").config, to);
    }

    #[test]
    fn no_with_the_same_line_undoes_it(config in config()) {
        for (context, line) in lines(&config) {
            let Ok(Line::Edit(undo)) = parse(Some(&context), &format!("no {line}")) else {
                panic!("`no {line}` is not read in {context}");
            };
            let Ok(Line::Edit(redo)) = parse(Some(&context), &line) else { panic!("{line}") };
            let mut without = config.clone();
            for op in &undo.ops {
                without.apply(op).expect("undone");
            }
            prop_assert_ne!(&without, &config, "{}", line);
            // Twice undone is an error or the same.
            let mut with = without.clone();
            for op in &redo.ops {
                with.apply(op).expect("redone");
            }
            let again = |config: &Config| {
                let mut config = config.clone();
                undo.ops.iter().for_each(|op| config.apply(op).expect("undone again"));
                config
            };
            prop_assert_eq!(again(&with), without, "{}", line);
        }
    }

    #[test]
    fn abbreviations_mean_the_same(config in config()) {
        for (context, line) in lines(&config) {
            if line.contains("description") {
                continue;
            }
            let meaning = parse(Some(&context), &line).expect("a line");
            let short = abbreviated(Some(&context), &line);
            prop_assert_eq!(meaning_of(&parse(Some(&context), &short).expect("a line")), meaning_of(&meaning));
        }
    }

    #[test]
    fn no_line_panics(
        line in "\\PC{0,80}",
        words in collection::vec(sample::select(vec![
            "no", "do", "default", "interface", "knet0", "peer", "a", "link", "0", "local", "remote", "dynamic",
            "port", "7700", "192.0.2.1", "fd00::1", "show", "ping", "count", "mac", "static", "\"", "?", "|", "!",
            "description", "timers", "1000", "3000", "02:00:00:00:00:01", "10.0.0.1/8", "exit", "end", "e",
        ]), 0..10),
    ) {
        let peer = Context::Peer { interface: "knet0".into(), peer: "a".into() };
        let contexts = [
            None,
            Some(Context::Global),
            Some(Context::Interface { interface: "knet0".into() }),
            Some(peer),
            Some(Context::Link { interface: "knet0".into(), peer: "a".into(), link: 0 }),
        ];
        for text in [line, words.join(" ")] {
            for context in &contexts {
                if let Err(error) = parse(context.as_ref(), &text) {
                    let report = error.report(&text, 4);
                    prop_assert!(report.starts_with('%') || report.contains("^\n%"), "{}", report);
                    prop_assert!(error.expectation().is_some(), "{:?} {}", error, text);
                }
                let _ = help(context.as_ref(), Privilege::Admin, &text);
                let _ = complete(context.as_ref(), &text, &mut nowhere);
            }
        }
    }

    #[test]
    fn no_file_panics(lines in collection::vec("[ ]{0,3}(interface|peer|link|no|mtu|local|description|exit|)( ?[a-z0-9./\"]{0,9}){0,5}", 0..12), bytes in any::<Vec<u8>>()) {
        let loaded = load(lines.join("\n").as_bytes());
        for problem in &loaded.problems {
            let span = problem.span.expect("a span");
            prop_assert!(span.line as usize <= lines.len().max(1));
        }
        let _ = load(&bytes);
    }
}

#[test]
fn every_offered_word_can_be_read() {
    // From each beginning, every completion leads to a line of which more can be read.
    let contexts = [
        None,
        Some(Context::Global),
        Some(Context::Interface {
            interface: "knet0".into(),
        }),
        Some(Context::Peer {
            interface: "knet0".into(),
            peer: "a".into(),
        }),
        Some(Context::Link {
            interface: "knet0".into(),
            peer: "a".into(),
            link: 0,
        }),
    ];
    let mut read = 0;
    for context in contexts {
        let mut open = vec![String::new()];
        while let Some(line) = open.pop() {
            let offered = complete(context.as_ref(), &line, &mut |source, _| match source {
                Source::Links { .. } | Source::Locals { .. } => vec!["3".into()],
                _ => vec!["x1".into()],
            });
            let listed = help(context.as_ref(), Privilege::Admin, &line).expect("help");
            for candidate in offered.candidates {
                let next = format!("{line}{candidate}");
                match parse(context.as_ref(), &next) {
                    Ok(_) => {}
                    Err(error) => {
                        assert_eq!(
                            error.kind,
                            knet_api::grammar::ErrorKind::Incomplete,
                            "{next:?}: {error:?}"
                        );
                    }
                }
                if next.split(' ').count() < 6 {
                    open.push(next + " ");
                }
                read += 1;
            }
            for line in listed.iter().filter(|l| l.word != "<cr>") {
                assert!(!line.text.is_empty(), "{} has no help", line.word);
            }
        }
    }
    assert!(read > 300, "{read} words were read");
}

#[test]
fn commands_can_be_abbreviated_everywhere() {
    let show = |what| Line::Command(Command::Show(what));
    let configure = |entry| Line::Command(Command::Transaction(Transaction::Configure(entry)));
    for (line, meaning) in [
        ("sh ver", show(Show::Version)),
        ("SHOW VERSION", show(Show::Version)),
        (
            "sh peer ams1",
            show(Show::Peer {
                peer: "ams1".into(),
                interface: None,
            }),
        ),
        (
            "sh peer- branches",
            show(Show::Groups {
                group: Some("branches".into()),
                interface: None,
            }),
        ),
        (
            "sh peers",
            show(Show::Peers {
                interface: None,
                only: Only::default(),
            }),
        ),
        (
            "sh li p ams1 i knet0",
            show(Show::Links {
                peer: Some("ams1".into()),
                interface: Some("knet0".into()),
                only: Only::default(),
            }),
        ),
        (
            "sh ru a",
            show(Show::RunningConfig {
                all: true,
                interface: None,
            }),
        ),
        (
            "sh run int knet0",
            show(Show::RunningConfig {
                all: false,
                interface: Some("knet0".into()),
            }),
        ),
        ("sh ip int br", show(Show::Addresses)),
        ("sh log 7", show(Show::Logging { lines: 7 })),
        ("wr", Line::Command(Command::WriteMemory)),
        ("cop r s", Line::Command(Command::WriteMemory)),
        (
            "conf t",
            configure(Entry {
                mode: Mode::Immediate,
                ..Entry::default()
            }),
        ),
        (
            "conf term rev tim 90s",
            configure(Entry {
                mode: Mode::Immediate,
                revert_s: Some(90),
                ..Entry::default()
            }),
        ),
        (
            "conf cand excl",
            configure(Entry {
                mode: Mode::Candidate,
                exclusive: true,
                ..Entry::default()
            }),
        ),
        (
            "roll 7 comm why not",
            Line::Command(Command::Transaction(Transaction::Rollback {
                revision: 7,
                comment: Some("why not".into()),
            })),
        ),
        (
            "sh conf d 3",
            show(Show::ConfigDiff {
                from: Some(3),
                to: None,
            }),
        ),
        ("no t m", Line::Command(Command::Monitor(false))),
        (
            "pi p ams1 l 3 c 9",
            Line::Command(Command::Ping {
                peer: "ams1".into(),
                link: Some(3),
                count: 9,
                interface: None,
            }),
        ),
        ("! a comment", Line::Nothing),
    ] {
        assert_eq!(parse(None, line), Ok(meaning), "{line}");
    }
}

#[test]
fn a_commit_says_when_it_is_undone_and_why_it_was_made() {
    let commit = |comment: Option<&str>, confirmed| {
        let comment = comment.map(str::to_owned);
        Ok(Line::Command(Command::Transaction(Transaction::Commit {
            comment,
            confirmed,
        })))
    };
    let confirmed = |seconds, peer: Option<&str>| {
        let peer = peer.map(str::to_owned);
        Some(Confirmation { seconds, peer })
    };
    for (line, meaning) in [
        ("commit", commit(None, None)),
        ("com comm the new link", commit(Some("the new link"), None)),
        ("com confirmed", commit(None, confirmed(300, None))),
        ("com confir 7", commit(None, confirmed(420, None))),
        (
            "com confir 300s peer ams1",
            commit(None, confirmed(300, Some("ams1"))),
        ),
        (
            "com confir peer ams1 comm x",
            commit(Some("x"), confirmed(300, Some("ams1"))),
        ),
    ] {
        assert_eq!(parse(Some(&Context::Global), line), meaning, "{line}");
        assert!(parse(None, line).is_err(), "{line}");
    }
    for line in [
        "commit confirmed 0",
        "commit confirmed 1441",
        "commit confirmed 5 ams1",
        "commit all",
    ] {
        assert!(parse(Some(&Context::Global), line).is_err(), "{line}");
    }
}

#[test]
fn messages_name_the_place_and_the_remedy() {
    let global = Context::Global;
    let peer = Context::Peer {
        interface: "knet0".into(),
        peer: "ams1".into(),
    };
    let interface = Context::Interface {
        interface: "knet0".into(),
    };
    for (context, line, report) in [
        (None, "sho", None),
        (
            None,
            "show",
            Some(
                "% Incomplete command.\n  expected: version, interfaces, ip, peers, peer, peer-group, hub-group, links, ... (21 more, see `?`)",
            ),
        ),
        (
            None,
            "sh pee",
            Some("     ^\n% Ambiguous command:  \"sh pee\"\n  expected: peers, peer, peer-group"),
        ),
        (
            None,
            "show peers foo",
            Some(
                "             ^\n% Invalid input detected at '^' marker.\n  expected: state, name, interface, the end of the line",
            ),
        ),
        (
            None,
            "shwo version",
            Some(
                "  ^\n% Invalid input detected at '^' marker.\n  expected: show, find, ping, terminal, no, write, copy, enable, ... (19 more, see `?`); did you mean `show`?",
            ),
        ),
        (
            Some(&interface),
            "mtu 99",
            Some(
                "      ^\n% Invalid input detected at '^' marker.\n  99 is out of range\n  expected: <576-9216> (bytes), auto",
            ),
        ),
        (
            Some(&interface),
            "mtu 1400 1500",
            Some("           ^\n% Invalid input detected at '^' marker.\n  expected: the end of the line"),
        ),
        (
            Some(&interface),
            "mtu-policy split",
            Some("             ^\n% Invalid input detected at '^' marker.\n  expected: fragment, signal"),
        ),
        (
            Some(&peer),
            "policy activexyz",
            Some(
                "         ^\n% Invalid input detected at '^' marker.\n  expected: passive, active, round-robin, flow-hash, adaptive",
            ),
        ),
        (
            Some(&peer),
            "link 0 remote 203.0.113.7",
            Some("% Incomplete command.\n  expected: port"),
        ),
        (
            Some(&peer),
            "link 8",
            Some("       ^\n% Invalid input detected at '^' marker.\n  8 is out of range\n  expected: <0-7>"),
        ),
        (
            Some(&global),
            "interface 0123456789abcdef",
            Some(
                "            ^\n% Invalid input detected at '^' marker.\n  a name of 16 characters, at most 15 are allowed\n  expected: NAME (1-15 of A-Z a-z 0-9 . _ - + @)",
            ),
        ),
        (
            Some(&peer),
            "preshared-key file \"x",
            Some(
                "                     ^\n% Invalid input detected at '^' marker.\n  the quotation mark is not closed\n  expected: a closing \"",
            ),
        ),
    ] {
        let Some(report) = report else { continue };
        let told = parse(context, line).expect_err(line).report(line, 2);
        assert_eq!(told, report, "{line}");
    }
}

#[test]
fn a_line_that_does_not_fit_goes_to_the_objects_around() {
    let link = Context::Link {
        interface: "knet0".into(),
        peer: "ams1".into(),
        link: 0,
    };
    let peer = link.parent().expect("a peer");
    let interface = peer.parent().expect("an interface");
    let enters = |line: &str| match parse(Some(&link), line) {
        Ok(Line::Edit(edit)) => edit.enter,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(enters("priority 3"), None);
    assert_eq!(enters("policy active"), Some(peer.clone()));
    assert_eq!(enters("mtu 1300"), Some(interface.clone()));
    assert_eq!(enters("mac ageing-time 30"), Some(interface.clone()));
    assert_eq!(enters("hostname a"), Some(Context::Global));
    assert_eq!(
        enters("link 1"),
        Some(Context::Link {
            interface: "knet0".into(),
            peer: "ams1".into(),
            link: 1
        })
    );
    assert_eq!(enters("no peer ams1"), Some(interface));
    assert_eq!(
        parse(Some(&link), "show version"),
        Ok(Line::Command(Command::Show(Show::Version))),
        "commands come last"
    );
    assert_eq!(
        parse(Some(&link), "do sh ver"),
        Ok(Line::Command(Command::Show(Show::Version)))
    );
    assert_eq!(parse(Some(&link), "exit"), Ok(Line::Command(Command::Exit)));
    // One line through several objects leaves the shell where it is.
    match parse(Some(&peer), "link 2 priority 10") {
        Ok(Line::Edit(edit)) => {
            assert_eq!(edit.enter, None);
            assert_eq!(edit.ops.len(), 1);
        }
        other => panic!("{other:?}"),
    }
}
