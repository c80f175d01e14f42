//! A change is checked by what it has to do with, and the answer is that of a look at everything.

use knet_api::{
    apply::Edited,
    edit::{Context, Op},
    grammar::{Line, parse},
    load::load,
    model::Config,
    problem::{Problem, Severity},
};
use proptest::prelude::*;

const KEYS: [&str; 3] = [
    "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
    "iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=",
    "gPkHNoIJtAUo1bN9z2pV4EBCzQ7mUy2rjH8HbYbTXEc=",
];

/// Lines of which many collide with each other, each behind those that make its objects.
fn line() -> impl Strategy<Value = Vec<String>> {
    let peer = (0..2, 0..4);
    let of_peer = prop_oneof![
        Just(String::new()),
        (0..3_usize).prop_map(|key| format!("public-key {}", KEYS[key])),
        (0..3).prop_map(|mac| format!("mac static 02:00:00:00:00:0{mac}")),
        (0..2, 0..3, 0..3_usize, 0..2).prop_map(|(link, local, family, named)| {
            let local = if local < 2 {
                format!("local {local} ")
            } else {
                String::new()
            };
            let address = ["192.0.2.9", "2001:db8::9", "host.example"][family];
            let remote = if named == 0 {
                "dynamic".to_owned()
            } else {
                format!("{address} port 7")
            };
            format!("link {link} {local}remote {remote}")
        }),
        (0..2, 1..4).prop_map(|(link, n)| format!("link {link} timers 1000 {n}000")),
        Just("description text".to_owned()),
        (0..2).prop_map(|host| format!("ip source binding 10.0.0.{host}")),
        (1..3).prop_map(|vlan| format!("switchport access vlan {vlan}")),
        (0..2).prop_map(|group| format!("group g{group}")),
    ];
    let of_interface = prop_oneof![
        Just(String::new()),
        (0..2, 1..3, 0..2_usize).prop_map(|(number, host, family)| {
            let address = [format!("192.0.2.{host}"), format!("2001:db8::{host}")];
            format!("local {number} {} port 7700", address[family])
        }),
        (0..3).prop_map(|mac| format!("mac-address 02:00:00:00:00:0{mac}")),
        (1..3).prop_map(|n| format!("mtu {n}279")),
        Just("ipv6 address fd00::1/64".to_owned()),
        Just("shutdown".to_owned()),
        Just("vlan filtering".to_owned()),
        (0..2, 1..3).prop_map(|(group, vlan)| format!("peer-group g{group} switchport access vlan {vlan}")),
        (0..2).prop_map(|group| format!("peer-group g{group}")),
        (0..2, 1..4).prop_map(|(group, n)| format!("peer-group g{group} link 0 timers 1000 {n}000")),
    ];
    let gone = [
        "local 0",
        "local 1",
        "mac-address",
        "shutdown",
        "peer p1",
        "peer p2",
        "peer p3 public-key",
        "peer-group g0",
        "peer p1 group",
    ];
    prop_oneof![
        12 => (peer, of_peer).prop_map(|((n, peer), line)| {
            let peer = format!("interface k{n} peer p{peer}");
            vec![format!("interface k{n}"), peer.clone(), format!("{peer} {line}")]
        }),
        6 => (0..2, of_interface).prop_map(|(n, line)| {
            vec![format!("interface k{n}"), format!("interface k{n} {line}")]
        }),
        4 => (0..2, prop::sample::select(gone.to_vec())).prop_map(|(n, line)| {
            vec![format!("no interface k{n} {line}")]
        }),
        1 => prop::sample::select(vec!["no interface k1", "no interface k1 mesh m", "no host h1"])
            .prop_map(|line| vec![line.to_owned()]),
        1 => Just(vec!["host h1".to_owned(), "host h1 interface k0 local 1 192.0.2.1 port 7700".to_owned()]),
        1 => Just(vec!["interface k1".to_owned(), "interface k1 mesh m".to_owned()]),
    ]
}

/// Lines of one file for all hosts, of which many collide with each other on some of them.
fn line_of_hosts() -> impl Strategy<Value = Vec<String>> {
    let of_host = prop_oneof![
        Just(String::new()),
        (0..2).prop_map(|n| format!("hostname x{n}")),
        (0..2, 1..3)
            .prop_map(|(number, host)| format!("interface k0 local {number} 192.0.2.{host} port 7700")),
        (1..3).prop_map(|n| format!("interface k0 mtu {n}279")),
        (1..4).prop_map(|n| format!("interface k0 peer h1 link 0 timers 1000 {n}000")),
        (1..4, 0..3_usize).prop_map(|(n, key)| format!("interface k0 peer h{n} public-key {}", KEYS[key])),
        (1..4).prop_map(|n| format!("interface k0 peer h{n} policy active")),
    ];
    let of_member = prop_oneof![
        (0..2, 1..4, 0..2_usize).prop_map(|(link, host, family)| {
            let address = [format!("192.0.2.{host}"), format!("2001:db8::{host}")];
            format!("link {link} {}", address[family])
        }),
        (0..2).prop_map(|link| format!("link {link} 192.0.2.1 port 7800")),
    ];
    let gone = [
        "host h1",
        "host h2 interface k0 local 0",
        "host h2 interface k0 peer h1",
        "interface k0 mesh m member h3",
        "interface k0 mesh m",
        "interface k0 local 1",
    ];
    prop_oneof![
        10 => (1..4, of_host).prop_map(|(n, line)| {
            vec![format!("host h{n}"), format!("host h{n} {line}")]
        }),
        8 => (1..4, 0..3_usize, of_member).prop_map(|(n, key, line)| {
            let member = format!("interface k0 mesh m member h{n}");
            let objects = ["interface k0".to_owned(), "interface k0 mesh m".to_owned()];
            let lines = [format!("{member} public-key {}", KEYS[key]), format!("{member} {line}")];
            [objects, lines].concat()
        }),
        2 => line(),
        1 => prop::sample::select(gone.to_vec()).prop_map(|line| vec![format!("no {line}")]),
    ]
}

fn ops(lines: &[String]) -> Vec<Op> {
    let parsed = lines
        .iter()
        .map(|line| match parse(Some(&Context::Global), line) {
            Ok(Line::Edit(edit)) => edit.ops,
            other => panic!("{line}: {other:?}"),
        });
    parsed.flatten().collect()
}

/// The configuration with `ops`, and all problems of it.
fn looked_at_whole(config: &Config, ops: &[Op]) -> Option<(Config, Vec<Problem>)> {
    let mut config = config.clone();
    for op in ops {
        config.apply(op).ok()?;
    }
    let problems = config.validate();
    Some((config, problems))
}

fn of_objects(ops: &[Op], problems: &[Problem]) -> Vec<Problem> {
    let named = |problem: &&Problem| {
        let place = problem.place.as_ref();
        place.is_some_and(|place| ops.iter().any(|op| *op.context() == place.context))
    };
    problems.iter().filter(named).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_said_of_a_change_is_what_a_look_at_everything_says(
        changes in prop::collection::vec(prop::collection::vec(line(), 1..5), 1..25),
    ) {
        same_as_looked_at_whole(changes)?;
    }

    #[test]
    fn what_is_said_of_a_change_in_one_file_for_all_hosts_is_what_a_look_at_everything_says(
        changes in prop::collection::vec(prop::collection::vec(line_of_hosts(), 1..3), 1..25),
    ) {
        same_as_looked_at_whole(changes)?;
    }
}

fn same_as_looked_at_whole(changes: Vec<Vec<Vec<String>>>) -> Result<(), TestCaseError> {
    let (mut running, mut candidate) = (Config::default(), Config::default());
    for lines in changes {
        let lines = lines.concat();
        let ops = ops(&lines);
        match (running.edited(&ops), looked_at_whole(&running, &ops)) {
            (Err(_), None) => {}
            (edited, Some((config, problems))) => {
                let errors = problems.iter().filter(|p| p.severity == Severity::Error);
                let errors: Vec<Problem> = errors.cloned().collect();
                match edited {
                    Err(told) => prop_assert_eq!(told, errors, "{:?}", lines),
                    Ok(edited) => {
                        prop_assert_eq!(errors, [], "{:?}", lines);
                        prop_assert_eq!(edited.notes, of_objects(&ops, &problems), "{:?}", lines);
                        prop_assert_eq!(&edited.config, &config);
                        running = config;
                    }
                }
            }
            (Ok(_), None) => prop_assert!(false, "{lines:?}"),
        }
        if let Ok(Edited { config, notes }) = candidate.drafted(&ops) {
            let whole = looked_at_whole(&candidate, &ops);
            let expected = whole.map(|(_, problems)| of_objects(&ops, &problems));
            prop_assert_eq!(Some(notes), expected, "{:?}", lines);
            candidate = config;
        }
    }
    Ok(())
}

#[test]
fn metrics_are_told_to_others_only_where_that_is_said() {
    let metrics = |line: &str| Config::default().edited(&ops(&[format!("metrics listen {line}")]));
    for good in [
        "127.0.0.1 port 9273",
        "127.3.2.1 port 1",
        "::1 port 9273",
        "192.0.2.1 port 9273 exposed",
        "any6 port 9273 exposed",
    ] {
        let edited = metrics(good).unwrap_or_else(|problems| panic!("{good}: {problems:?}"));
        let written = knet_api::render::render(&edited.config, false);
        assert!(written.contains(&format!("metrics listen {good}\n")), "{written}");
    }
    for wrong in ["any port 9273", "192.0.2.1 port 9273", "2001:db8::1 port 9273"] {
        let problems = metrics(wrong).expect_err(wrong);
        assert!(problems[0].text.contains("whoever reaches"), "{problems:?}");
        let expected = problems[0].expected.as_deref().unwrap_or_default();
        assert!(expected.contains("exposed"), "{problems:?}");
    }
}

/// The one that was there keeps its key, and the mistake is told whichever of the two is typed.
#[test]
fn a_key_that_another_peer_has_is_refused() {
    let config = load(format!("interface k0\n peer b\n  public-key {}\n", KEYS[0]).as_bytes()).config;
    for (name, text) in [
        ("a", "peer b has the same public key as peer a"),
        ("c", "peer c has the same public key as peer b"),
    ] {
        let peer = format!("interface k0 peer {name}");
        let lines = [peer.clone(), format!("{peer} public-key {}", KEYS[0])];
        let problems = config.edited(&ops(&lines)).expect_err("a collision");
        assert_eq!(problems.first().map(|p| p.text.as_str()), Some(text));
        assert_eq!(problems.len(), 1);
    }
}
