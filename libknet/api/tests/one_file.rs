//! One file for all hosts: meshes and lines for one host.

use std::fmt::Write as _;

use knet_api::{
    diff::diff,
    edit::Context,
    grammar::{ErrorKind, Line, complete, help, parse},
    load::load,
    message::{Privilege, Source},
    model::{Config, HostLines, Remote},
    render::render,
};

const KEYS: [&str; 3] = [
    "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
    "iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=",
    "mxkQZKFGQY9xQZJzVf9PbqGCaWTLMTwxxTTnmfTvkGM=",
];

fn file() -> String {
    let mut text = String::from(
        "interface knet0\n private-key file knet0.key\n mesh rhine\n  policy adaptive\n  link 0 priority 200\n  link 1 cost 10\n",
    );
    for (n, (name, key)) in ["ams1", "fra1", "lon1"].iter().zip(KEYS).enumerate() {
        let _ = write!(
            text,
            "  member {name} public-key {key}\n   ip address 10.200.0.{n}/24\n   link 0 192.0.2.{n}\n   link 1 198.51.100.{n} port 7701\n"
        );
    }
    text.replace(
        "link 1 198.51.100.2 port 7701\n",
        "link 1 198.51.100.2 port 7701 local any\n",
    ) + "host lon1\n hostname london\n interface knet0\n  mtu 1300\n  peer fra1\n   policy active\n   link 0\n    priority 7\n   link 5 local 0 remote 203.0.113.9 port 9\n"
}

fn loaded(text: &str) -> Config {
    let loaded = load(text.as_bytes());
    assert_eq!(loaded.problems, [], "{text}");
    loaded.config
}

#[test]
fn a_mesh_becomes_peers_locals_and_addresses() {
    let config = loaded(&file());
    let (fra1, problems) = config.on_host("fra1");
    assert_eq!(problems, []);
    assert_eq!(fra1.hostname, None);
    let interface = &fra1.interfaces["knet0"];
    assert_eq!(interface.ip_addresses[0].to_string(), "10.200.0.1/24");
    assert_eq!(interface.peers.keys().collect::<Vec<_>>(), ["ams1", "lon1"]);
    assert_eq!(
        (interface.locals[&0].port, interface.locals[&1].port),
        (7700, 7701)
    );
    let link = &interface.peers["lon1"].links[&1];
    let settings = link.settings;
    assert_eq!(
        (link.local, settings.cost(), settings.priority()),
        (Some(1), 10, 100)
    );
    let remote = Remote::Static {
        address: [198, 51, 100, 2].into(),
        port: 7701,
    };
    assert_eq!(link.remote, remote);
    assert_eq!(interface.peers["ams1"].links[&0].settings.priority(), 200);
    assert_eq!(interface.peers["ams1"].policy().name(), "adaptive");
    assert!(
        fra1.is_plain() && fra1.validate().is_empty(),
        "{:?}",
        fra1.validate()
    );
    // A host that others reach by another address than its own.
    let (lon1, _) = config.on_host("lon1");
    assert!(lon1.interfaces["knet0"].locals[&1].address.is_unspecified());
}

#[test]
fn lines_of_one_host_are_added_there_only() {
    let config = loaded(&file());
    let (lon1, problems) = config.on_host("lon1");
    assert_eq!(problems, []);
    assert_eq!(lon1.hostname.as_deref(), Some("london"));
    let interface = &lon1.interfaces["knet0"];
    assert_eq!(interface.mtu, knet_api::model::Mtu::Fixed(1300));
    let peer = &interface.peers["fra1"];
    assert_eq!(peer.policy().name(), "active");
    assert_eq!((peer.links[&0].settings.priority(), peer.links.len()), (7, 3));
    assert_eq!(interface.peers["ams1"].links[&0].settings.priority(), 200);
    let (stranger, _) = config.on_host("vie1");
    assert!(stranger.interfaces["knet0"].peers.is_empty());
}

#[test]
fn a_line_that_refines_what_a_mesh_makes_needs_no_other() {
    let mut config = loaded(&file());
    let peer = Context::Peer {
        interface: "knet0".into(),
        peer: "ams1".into(),
    };
    let here = Context::on_host("lon1", peer).expect("a peer");
    for (line, sound) in [
        ("link 1 priority 9", false),
        ("policy active", true),
        ("link 1 priority 9", true),
    ] {
        let Ok(Line::Edit(edit)) = parse(Some(&here), line) else {
            panic!("{line}")
        };
        let edited = config.edited(&edit.ops);
        assert_eq!(edited.is_ok(), sound, "{line}: {edited:?}");
        config = edited.map_or(config, |edited| edited.config);
    }
    let peer = &config.on_host("lon1").0.interfaces["knet0"].peers["ams1"];
    assert_eq!(
        (peer.links[&1].settings.priority(), peer.policy().name()),
        (9, "active")
    );
    assert_eq!(loaded(&render(&config, false)), config);
}

#[test]
fn what_was_written_is_rendered_and_read_back() {
    let config = loaded(&file());
    let text = render(&config, false);
    assert_eq!(loaded(&text), config, "{text}");
    assert_eq!(render(&loaded(&text), false), text);
    let plain = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        lines.retain(|line| line != "!");
        lines.sort();
        lines
    };
    assert_eq!(plain(&text), plain(&file()));
}

#[test]
fn pasted_and_undone_line_by_line() {
    let config = loaded(&file());
    let (mut made, mut context, mut lines) = (Config::default(), Context::Global, Vec::new());
    for line in render(&config, false).lines() {
        let Ok(Line::Edit(edit)) = parse(Some(&context), line) else {
            assert_eq!(line.trim(), "!");
            continue;
        };
        made = made
            .edited(&edit.ops)
            .unwrap_or_else(|error| panic!("{line}: {error:?}"))
            .config;
        let holder = match edit.begins() {
            Some(object) => object.parent().expect("a holder"),
            None => edit.enter.clone().unwrap_or_else(|| context.clone()),
        };
        lines.push((holder, line.trim().to_owned()));
        context = edit.enter.unwrap_or(context);
    }
    assert_eq!(made, config);
    for (context, line) in lines.iter().rev() {
        let Ok(Line::Edit(undo)) = parse(Some(context), &format!("no {line}")) else {
            panic!("no {line}")
        };
        for op in &undo.ops {
            made.apply(op)
                .unwrap_or_else(|error| panic!("no {line}: {error:?}"));
        }
    }
    assert_eq!(made, Config::default());
}

#[test]
fn a_difference_leads_from_one_to_the_other() {
    let whole = loaded(&file());
    let mut other = loaded(
        &file()
            .replace("priority 200", "priority 3")
            .replace("mtu 1300", "mtu 1310"),
    );
    other.hosts.insert("vie1".into(), HostLines::default());
    for (from, to) in [
        (&Config::default(), &whole),
        (&whole, &other),
        (&other, &whole),
        (&whole, &Config::default()),
    ] {
        let ops = diff(from, to);
        assert_eq!(&from.edited(&ops).expect("an edit").config, to, "{ops:?}");
    }
}

#[test]
fn mistakes_are_placed_where_they_are_written() {
    for (from, to, line, column, part) in [
        (
            KEYS[1],
            KEYS[0],
            11,
            26,
            "member fra1 has the same public key as member ams1",
        ),
        (
            "link 0 192.0.2.1\n",
            "link 0 2001:db8::1\n",
            13,
            11,
            "which is IPv4",
        ),
        (
            "port 7701 local any",
            "port 7701 local any6",
            18,
            40,
            "cannot reach an IPv4 address",
        ),
        (
            "link 5 local 0",
            "link 5 local 9",
            27,
            17,
            "on host lon1: link 5 of peer fra1 uses local 9",
        ),
        (
            "   link 0\n    pri",
            "   link 6\n    pri",
            25,
            9,
            "there is no link 6 to peer fra1",
        ),
        (
            "host lon1",
            "host -lon1",
            19,
            6,
            "begins and ends with a letter or digit",
        ),
        ("   policy active", "   mesh x", 24, 4, "invalid input `mesh`"),
    ] {
        let text = file().replace(from, to);
        assert_ne!(text, file(), "{from}");
        let problems = load(text.as_bytes()).problems;
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let place = format!("line {line}, column {column}: ");
        assert!(
            told.iter()
                .any(|told| told.starts_with(&place) && told.contains(part)),
            "{place}{part}: {told:#?}"
        );
    }
}

#[test]
fn meshes_and_hosts_stand_at_the_top_only() {
    let on_host = Context::on_host(
        "fra1",
        Context::Interface {
            interface: "knet0".into(),
        },
    )
    .expect("an interface");
    for line in [
        "mesh rhine",
        "mesh rhine member fra1 public-key x",
        "no mesh rhine",
    ] {
        let error = parse(Some(&on_host), line).expect_err(line);
        assert_eq!(error.kind, ErrorKind::Invalid, "{line}");
        assert!(
            error.expected.iter().all(|word| word != "mesh" && word != "host"),
            "{error:?}"
        );
    }
    let error = parse(Some(&Context::Global), "host fra1 interface knet0 mesh rhine").expect_err("a mesh");
    assert_eq!(error.span, 26..30);
}

/// A section begins wherever one stands, though `host` is `hostname` for short inside a section.
#[test]
fn sections_follow_each_other() {
    let inside = Context::Host {
        host: "fra1".into(),
        interface: Some("knet0".into()),
        peer: None,
        link: None,
    };
    let other = Context::Host {
        host: "ams1".into(),
        interface: None,
        peer: None,
        link: None,
    };
    for line in ["host ams1", "host ams1 hostname amsterdam"] {
        let Ok(Line::Edit(edit)) = parse(Some(&inside), line) else {
            panic!("{line}");
        };
        assert!(
            edit.ops.iter().all(|op| *op.context() == other),
            "{line}: {edit:?}"
        );
    }
    let Ok(Line::Edit(edit)) = parse(Some(&inside), "hostn frankfurt") else {
        panic!();
    };
    assert!(
        edit.ops
            .iter()
            .all(|op| matches!(op.context(), Context::Host { host, .. } if host == "fra1"))
    );
}

/// What is offered is of the object that the line would be read in.
#[test]
fn the_names_of_hosts_meshes_and_members_are_offered() {
    let inside = Context::Host {
        host: "fra1".into(),
        interface: Some("knet0".into()),
        peer: None,
        link: None,
    };
    let texts = |line: &str| -> Vec<String> {
        let lines = help(Some(&inside), Privilege::Admin, line).expect("help");
        lines.into_iter().map(|line| line.word).collect()
    };
    assert_eq!(texts("hos"), ["hostname"]);
    assert_eq!(texts("host"), ["host", "hostname"]);
    assert_eq!(texts("hostn"), ["hostname"]);
    assert_eq!(texts("no host"), ["host", "hostname"]);

    let interface = || Context::Interface {
        interface: "k".into(),
    };
    let member = Context::Member {
        interface: "k".into(),
        mesh: "rhine".into(),
        member: "ams1".into(),
    };
    let (k, rhine) = (|| "k".to_owned(), || "rhine".to_owned());
    let members = || Source::Members {
        interface: k(),
        mesh: rhine(),
    };
    for (here, line, asked) in [
        (inside.clone(), "host ", Some(Source::Hosts)),
        (inside.clone(), "no host ", Some(Source::Hosts)),
        (inside.clone(), "hostname ", None),
        (
            Context::Global,
            "host fra1 interface k peer ",
            Some(Source::Peers { interface: Some(k()) }),
        ),
        (interface(), "mesh ", Some(Source::Meshes { interface: k() })),
        (
            interface(),
            "no mesh rhine member ",
            Some(Source::Members {
                interface: k(),
                mesh: rhine(),
            }),
        ),
        (
            Context::Global,
            "interface k mesh rhine member a",
            Some(members()),
        ),
        (member.clone(), "member ", Some(members())),
        (member.clone(), "mesh ", Some(Source::Meshes { interface: k() })),
        // Commands are not about the object at hand.
        (member, "show peer ", Some(Source::Peers { interface: None })),
    ] {
        let mut asked_for = None;
        complete(Some(&here), line, &mut |source, _| {
            asked_for = Some(source);
            Vec::new()
        });
        assert_eq!(asked_for, asked, "{line}");
    }
}
