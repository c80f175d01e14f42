//! Which addresses a peer may use, as it is configured.

use knet_api::{load::load, model::Config, render::render};

const KEYS: [&str; 2] = [
    "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
    "iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=",
];

/// An interface with a group and two peers of it, each with these lines.
fn text(interface: &[&str], group: &[&str], a: &[&str], b: &[&str]) -> String {
    let mut text = "!\ninterface knet0\n private-key file k\n local 0 any port 7700\n".to_owned();
    for line in interface {
        text += &format!(" {line}\n");
    }
    text += " !\n peer-group tenants\n";
    for line in group {
        text += &format!("  {line}\n");
    }
    for ((name, key), lines) in ["a", "b"].into_iter().zip(KEYS).zip([a, b]) {
        text += &format!(" !\n peer {name}\n  public-key {key}\n  group tenants\n");
        for line in lines {
            text += &format!("  {line}\n");
        }
    }
    text
}

fn good(text: &str) -> Config {
    let loaded = load(text.as_bytes());
    assert_eq!(loaded.problems, [], "{text}");
    loaded.config
}

/// All that is said of it.
fn told(text: &str) -> Vec<String> {
    let problems = load(text.as_bytes()).problems;
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn lines_are_written_as_they_are_read() {
    let own = ["mac sticky 3", "mac allowed 02:00:00:00:00:01", "mac allowed 02:00:00:00:00:02"];
    let text = text(&[], &["mac sticky", "mac allowed 02:00:00:00:00:09"], &own, &[]);
    let config = good(&text);
    let written = render(&config, false);
    assert_eq!(good(&written), config);
    for line in own {
        assert!(written.contains(&format!("\n  {line}\n")), "{written}");
    }
    assert!(written.contains("\n  mac sticky\n"), "the default is not said: {written}");
    let made = config.without_groups(&Default::default(), None).config;
    let peers = &made.interfaces["knet0"].peers;
    let (a, b) = (peers["a"].guard.get(), peers["b"].guard.get());
    assert_eq!((a.allowed_macs.len(), a.sticky), (3, Some(3)));
    assert_eq!((b.allowed_macs.len(), b.sticky), (1, Some(1)));
}

#[test]
fn what_cannot_be_is_told() {
    let of_a = |lines: &[&str]| told(&text(&["mac-address 02:00:00:00:00:77"], &[], lines, &[]));
    for (line, said) in [
        ("mac allowed 01:00:5e:00:00:01", "is a group address"),
        ("mac allowed 02:00:00:00:00:77", "02:00:00:00:00:77 is this interface's own address"),
        ("mac sticky 0", "0 is out of range"),
        ("mac sticky 1025", "1025 is out of range"),
    ] {
        let told = of_a(&[line]);
        assert!(told.len() == 1 && told[0].contains(said), "{line}: {told:?}");
    }
    let many: Vec<String> = (0..65).map(|n| format!("mac allowed 02:00:00:00:01:{n:02x}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(of_a(&many[..64]), [""; 0]);
    let too_many = of_a(&many);
    assert!(
        too_many.len() == 1 && too_many[0].contains("peer a has 65 allowed MAC addresses"),
        "{too_many:?}"
    );
    let of_group = told(&text(&[], &many, &[], &[]));
    assert!(
        of_group.len() == 1 && of_group[0].contains("group tenants has 65 allowed MAC addresses"),
        "{of_group:?}"
    );
}
