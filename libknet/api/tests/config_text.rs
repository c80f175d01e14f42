//! The configuration as text: read, printed, compared, and every mistake told.

use knet_api::{
    diff::diff,
    edit::{Context, Op},
    grammar::{Line, parse},
    load::load,
    model::{Config, Mtu, Policy, Remote},
    problem::Severity,
    render::render,
};

const SAMPLE: &str = "\
hostname fra1
!
interface knet0
 private-key file fra1.key
 ip address 10.200.0.1/24
 ipv6 address fd00:200::1/64
 local 0 192.0.2.1 port 7700
 local 1 198.51.100.1 port 7700
 !
 peer ams1
  public-key 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=
  preshared-key file ams1.psk
  link 0 local 0 remote 203.0.113.7 port 7700
   priority 200
  link 1 local 1 remote dynamic
   timers 1000 3500
";

fn good(text: &str) -> Config {
    let loaded = load(text.as_bytes());
    assert_eq!(loaded.problems, [], "{text}");
    loaded.config
}

/// Line, column and text of each error.
fn errors(text: &str) -> Vec<(u32, u32, String)> {
    load(text.as_bytes())
        .errors()
        .map(|p| {
            (
                p.span.expect("a span").line,
                p.span.expect("a span").column,
                p.to_string(),
            )
        })
        .collect()
}

#[test]
fn the_sample_is_read_and_printed_as_it_is() {
    let config = good(SAMPLE);
    let peer = &config.interfaces["knet0"].peers["ams1"];
    assert_eq!(peer.policy(), Policy::Passive);
    assert_eq!(peer.links[&0].settings.priority(), 200);
    assert_eq!(peer.links[&1].remote, Remote::Dynamic);
    assert_eq!(peer.links[&1].settings.timers_ms(), (1000, 3500));
    assert_eq!(render(&config, false), SAMPLE);
}

#[test]
fn without_indentation_lines_find_their_object() {
    let flat: Vec<&str> = SAMPLE.lines().map(str::trim_start).collect();
    let flat = flat.join("\n");
    assert_eq!(good(&flat), good(SAMPLE));
}

#[test]
fn abbreviations_comments_and_windows_line_ends_are_read() {
    let text = "\u{feff}# a comment\r\nint knet0\r\n  priv file k\r\n  ! note\r\n  ip addr 10.0.0.1/8\r\n  \
                loc 0 any port 7\r\n  peer a\r\n    pub 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=\r\n    \
                pol ro\r\n  mtu 1300\r\n";
    let config = good(text);
    assert_eq!(config.interfaces["knet0"].mtu, Mtu::Fixed(1300));
    assert_eq!(config.interfaces["knet0"].peers["a"].policy(), Policy::RoundRobin);
}

#[test]
fn indentation_decides_where_words_fit_twice() {
    let text = "interface knet0\n private-key file k\n local 0 any port 1\n peer a\n  description inner\n \
                description outer\n shutdown\n";
    let config = load(text.as_bytes()).config;
    let interface = &config.interfaces["knet0"];
    assert_eq!(interface.description.as_deref(), Some("outer"));
    assert!(interface.shutdown);
    assert_eq!(interface.peers["a"].description.as_deref(), Some("inner"));
    let empty = "interface knet0\n peer a\n peer b\n description outer\n";
    assert_eq!(
        load(empty.as_bytes()).config.interfaces["knet0"]
            .description
            .as_deref(),
        Some("outer")
    );
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let text = "\
hostnam fra1
interface knet0
 mtu 99
 mtuu 1400
 local 0 192.0.2.1 port 7700
 local 1 192.0.2.1 port 7700
 local 2 2001:db8::1 port x
 peer bad/name
  policy activ
  policy activexyz
 peer ams1
  public-key AAAA
  link 0 local 5 remote 203.0.113.7 port 7700
   timers 1000 2999
  link 1
   priority 256
  link 2 local 0 remote 2001:db8::2 port 7700
show version
";
    let told = errors(text);
    let places: Vec<(u32, u32)> = told.iter().map(|(line, column, _)| (*line, *column)).collect();
    assert_eq!(
        places,
        [
            (3, 6),
            (4, 2),
            (6, 10),
            (7, 27),
            (8, 7),
            (10, 10),
            (12, 14),
            (13, 16),
            (14, 16),
            (15, 8),
            (16, 13),
            (17, 25),
            (18, 1)
        ],
        "{told:#?}"
    );
    let all: String = told.into_iter().map(|(_, _, text)| text + "\n").collect();
    for part in [
        "99 is out of range; expected: <576-9216> (bytes)",
        "did you mean `mtu`?",
        "local 1 takes the same address and port as local 0 of interface knet0",
        "a name with '/'",
        "expected: passive, active, round-robin",
        "not 32 bytes in base64",
        "uses local 5, which interface knet0 does not have; expected: one of local 0, 1",
        "a timeout of at least three intervals, 3000 ms",
        "there is no link 1 to peer ams1 of interface knet0",
        "256 is out of range",
        "goes to an IPv6 address, and local 0 is IPv4; expected: an IPv4 address",
        "a command, not a line of a configuration",
    ] {
        assert!(all.contains(part), "{part} is not in\n{all}");
    }
}

/// Rules are placed in a second pass, in which lines that were refused in the first stand for as much as they did there.
#[test]
fn a_rule_is_placed_behind_lines_that_could_not_be_read() {
    let text = "interface knet0\n private-key file k\n local 0 192.0.2.1 port 7700\n peer a b\n  link 0 local 5 remote \
                dynamic\n polcy x\n peer c\n  link 0 local 5 remote dynamic\n  link 1 local\n  link 0\n   timers 1000 \
                2000\n";
    let told = errors(text);
    let places: Vec<(u32, u32)> = told.iter().map(|(line, column, _)| (*line, *column)).collect();
    assert_eq!(places, [(4, 9), (6, 2), (8, 16), (9, 15), (11, 16)], "{told:#?}");
}

#[test]
fn what_is_missing_is_told_and_accepted() {
    let text =
        "interface knet0\n peer a\n peer b\n  public-key 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=\n";
    let loaded = load(text.as_bytes());
    assert_eq!(loaded.errors().count(), 0);
    let told: Vec<(u32, &str)> = loaded
        .problems
        .iter()
        .map(|p| {
            (
                p.span.expect("a span").line,
                p.expected.as_deref().expect("an expectation"),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (1, "private-key file PATH"),
            (1, "local N ADDRESS port PORT"),
            (2, "public-key KEY")
        ]
    );
}

#[test]
fn rules_between_peers_hold() {
    let key = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";
    let text = format!(
        "interface knet0\n private-key file k\n mac-address 02:00:00:00:00:09\n local 0 any port 7700\n local 1 \
         192.0.2.1 port 7700\n local 2 192.0.2.1 port 7701 device eth0\n local 3 any port 7701 device eth1\n peer \
         a\n  public-key {key}\n  mac static 02:00:00:00:00:01\n peer b\n  public-key {key}\n  mac static \
         0200.0000.0001\n  mac static 02:00:00:00:00:09\n"
    );
    let told = errors(&text);
    let lines: Vec<u32> = told.iter().map(|(line, ..)| *line).collect();
    assert_eq!(lines, [5, 12, 13, 14], "{told:#?}");
}

#[test]
fn keys_that_are_no_keys_are_refused() {
    for key in [
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "7P///////////////////////////////////////38=",
        // p and p + 1: other texts for 0 and 1.
        "7f///////////////////////////////////////38=",
        "7v///////////////////////////////////////38=",
        // The highest bit set.
        "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK88=",
        // Bits in the padding.
        "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK09=",
    ] {
        let text = format!("interface k\n peer a\n  public-key {key}\n");
        assert_eq!(errors(&text).len(), 1, "{key}");
    }
}

#[test]
fn a_hostile_file_is_refused_and_bounded() {
    assert_eq!(errors(&format!("hostname {}\n", "a".repeat(2000))).len(), 1);
    assert_eq!(errors("hostname \u{1b}[2J\n").len(), 1);
    assert_eq!(load(b"hostname a\xff\n").errors().count(), 1);
    let noise = "zzz\n".repeat(5000);
    let loaded = load(noise.as_bytes());
    assert_eq!(loaded.problems.len(), 1001);
}

#[test]
fn a_difference_names_only_what_differs() {
    let before = good(SAMPLE);
    let after = good(
        &SAMPLE
            .replace("priority 200", "priority 210")
            .replace("local 1 198.51.100.1", "local 1 198.51.100.2"),
    );
    let ops = diff(&before, &after);
    assert_eq!(ops.len(), 2, "{ops:?}");
    assert!(matches!(&ops[0], Op::Set(Context::Interface { .. }, ..)));
    assert!(matches!(&ops[1], Op::Set(Context::Link { link: 0, .. }, ..)));
    assert_eq!(before.edited(&ops).expect("valid").config, after);
    assert_eq!(diff(&before, &before), []);
}

#[test]
fn the_order_of_addresses_is_part_of_the_configuration() {
    let with = |addresses: &[&str]| {
        let lines: String = addresses.iter().flat_map(|a| [" ip address ", a, "\n"]).collect();
        good(&format!("interface knet0\n private-key file k\n{lines}"))
    };
    let (a, b, c) = ("10.0.0.1/8", "10.0.0.2/8", "10.0.0.3/8");
    for (from, to, steps) in [
        (&[a, b][..], &[b, a][..], 3),
        (&[a, b], &[a, b, c], 1),
        (&[a, b, c], &[a, c], 1),
        (&[a, b], &[c, a, b], 4),
    ] {
        let (from, to) = (with(from), with(to));
        let ops = diff(&from, &to);
        assert_eq!(ops.len(), steps, "{ops:?}");
        assert_eq!(from.edited(&ops).expect("valid").config, to);
    }
}

#[test]
fn all_defaults_can_be_printed_and_read_back() {
    let config = good(SAMPLE);
    let all = render(&config, true);
    for line in [
        "mtu 1400",
        "mtu-policy fragment",
        "cipher any",
        "mac ageing-time 300",
        "no shutdown",
        "policy passive",
        "timers 1000 3000",
        "weight 1",
    ] {
        assert!(all.contains(line), "{line} is not in\n{all}");
    }
    // What was at its default is said now.
    assert_eq!(render(&good(&all), true), all);
}

#[test]
fn a_refused_edit_changes_nothing() {
    let config = good(SAMPLE);
    let global = Context::Global;
    for line in [
        "no interface knet1",
        "interface knet0 no-such",
        "interface knet0 peer ams1 link 0 local 7 remote 203.0.113.7 port 7700",
        "no interface knet0 local 0",
        "no interface knet0 peer ams1 mac static 02:00:00:00:00:01",
        "no interface knet0 ip address 10.9.9.9/24",
    ] {
        let Ok(Line::Edit(edit)) = parse(Some(&global), line) else {
            continue;
        };
        let problems = config.edited(&edit.ops).expect_err(line);
        assert!(problems.iter().all(|p| p.severity == Severity::Error), "{line}");
    }
}

#[test]
fn operations_that_no_line_says_are_refused() {
    use knet_api::{edit::Leaf, value::Value};
    let config = good(SAMPLE);
    let interface = Context::Interface {
        interface: "knet0".into(),
    };
    for op in [
        Op::Set(interface.clone(), Leaf::Mtu, vec![Value::Number(1)]),
        Op::Set(interface.clone(), Leaf::Mtu, vec![]),
        Op::Set(
            interface.clone(),
            Leaf::Mtu,
            vec![Value::Number(1400), Value::Number(1)],
        ),
        Op::Set(interface.clone(), Leaf::Priority, vec![Value::Number(1)]),
        Op::Set(interface.clone(), Leaf::Shutdown, vec![Value::Absent]),
        Op::Set(
            interface,
            Leaf::Description,
            vec![Value::Text("a\nshutdown".into())],
        ),
        Op::Create(Context::Interface {
            interface: "../../x".into(),
        }),
        Op::Create(Context::Peer {
            interface: "knet0".into(),
            peer: "a b".into(),
        }),
        Op::Create(Context::Peer {
            interface: "knet9".into(),
            peer: "a".into(),
        }),
        Op::Create(Context::Link {
            interface: "knet0".into(),
            peer: "ams1".into(),
            link: 8,
        }),
    ] {
        assert!(config.edited(std::slice::from_ref(&op)).is_err(), "{op:?}");
    }
}
