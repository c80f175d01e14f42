//! Changes of a configuration for several hosts: kept, compared and undone as it is written, in force as far as it
//! concerns this host.

use libknet::api::{
    edit::Context,
    message::{ErrorCode, Reply, RequestBody, Source},
    problem::Problem,
    transaction::{Mode, Version},
};

use crate::{
    candidates::{commit, draft, enter},
    host::{Client, Daemon, Host, STRANGER, refused, text},
    revisions::committed,
};

const ON_FRA1: &str = "set -- \"$@\" --host fra1";

fn host() -> Host {
    let host = Host::new();
    let own = host.key("own");
    host.config(&format!(
        "interface kd0\n private-key file own.key\n mtu 1300\n mesh rhine\n  member ams1 public-key {STRANGER}\n   \
         link 0 127.0.0.2\n  member fra1 public-key {own}\n   ip address 10.9.0.1/24\n   link 0 127.0.0.1\n\
         host ams1\n interface kd0\n  mtu 1320\nhost fra1\n interface kd0\n  mtu 1310\n"
    ));
    host
}

fn start(host: &Host) -> Daemon {
    host.start_after(ON_FRA1)
}

fn has_mtu(host: &Host, mtu: u16) -> bool {
    host.ip(&["link", "show", "kd0"]).contains(&format!("mtu {mtu} "))
}

fn problems(reply: Reply) -> Vec<Problem> {
    match reply {
        Reply::Problems(problems) => problems,
        other => panic!("{other:?}"),
    }
}

fn settings_touched(client: &mut Client) -> Vec<String> {
    match client.ask(RequestBody::CommitCheck).unwrap() {
        Reply::Impact { rows, .. } => rows.into_iter().flat_map(|row| row.settings).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_commit_keeps_what_is_written_and_does_the_part_of_this_host() {
    let host = host();
    let _daemon = start(&host);
    let mut client = host.client();
    assert!(has_mtu(&host, 1310));
    let running = client.running_config();
    assert!(
        running.contains("mesh rhine") && running.contains("host ams1"),
        "{running}"
    );
    let expanded = text(client.all(RequestBody::ExpandedConfig).unwrap());
    assert!(
        expanded.contains("peer ams1") && !expanded.contains("mesh"),
        "{expanded}"
    );

    enter(&mut client, Mode::Candidate, false).unwrap();
    draft(&mut client, "host ams1 interface kd0 mtu 1330\n").unwrap();
    assert_eq!(settings_touched(&mut client), [""; 0], "another host's line");
    draft(&mut client, "host fra1 interface kd0 mtu 1340\n").unwrap();
    assert_eq!(settings_touched(&mut client), ["MTU"]);
    let names = RequestBody::Complete {
        source: Source::Peers { interface: None },
        prefix: String::new(),
        limit: 10,
    };
    assert_eq!(client.ask(names), Ok(Reply::Names(vec!["ams1".into()])));

    // What would be wrong on another host is refused here, where it is written.
    draft(
        &mut client,
        "host ams1\ninterface kd0\npeer fra1\nlink 5 priority 3\n",
    )
    .unwrap();
    let told = problems(client.ask(RequestBody::CommitCheck).unwrap());
    assert!(told[0].text.contains("there is no link 5"), "{told:?}");
    let place = told[0].place.clone().unwrap();
    assert!(
        matches!(&place.context, Context::Host { host, .. } if host == "ams1"),
        "{place:?}"
    );
    assert!(has_mtu(&host, 1310));
    draft(&mut client, "no host ams1 interface kd0 peer fra1\n").unwrap();

    // A peer of the mesh is one that can be watched, if it is up.
    let error = commit(&mut client, Some((60, Some("ams1")))).unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    assert!(error.message.contains("peer ams1 is not up"), "{error:?}");

    assert!(commit(&mut client, None).unwrap().changed);
    assert!(has_mtu(&host, 1340));
    let diff = RequestBody::ConfigDiff {
        from: Version::Revision(1),
        to: Version::Running,
    };
    let diff = text(client.all(diff).unwrap());
    let lines: Vec<&str> = diff.lines().skip(2).collect();
    assert_eq!(
        lines,
        [
            " host ams1",
            "  interface kd0",
            "-  mtu 1320",
            "+  mtu 1330",
            " host fra1",
            "  interface kd0",
            "-  mtu 1310",
            "+  mtu 1340"
        ]
    );

    enter(&mut client, Mode::Exec, false).unwrap();
    let back = RequestBody::Rollback {
        revision: 1,
        comment: None,
    };
    assert!(client.ask(back).map(committed).unwrap().changed);
    assert!(has_mtu(&host, 1310));
    assert_eq!(client.running_config(), running);
}

#[test]
fn a_file_that_replaces_is_refused_with_the_places_of_every_host() {
    let host = host();
    let _daemon = start(&host);
    let mut client = host.client();
    let running = client.running_config();
    let mut replace = |file: &str| {
        let bytes = file.as_bytes().to_vec();
        client.ask(RequestBody::Upload { bytes, first: true }).unwrap();
        client.ask(RequestBody::Replace { comment: None }).unwrap()
    };
    // The key file is looked for on this host.
    let told = problems(replace(&running.replace("own.key", "none.key")));
    assert!(told[0].text.contains("none.key"), "{told:?}");
    assert_eq!(told[0].span.map(|span| span.line), Some(3), "{told:?}");
    let told = problems(replace(&running.replace("  mtu 1320", "  local 0 ::1 port 7700")));
    assert!(told[0].text.starts_with("on host ams1: "), "{told:?}");
    assert!(told.iter().all(|problem| problem.span.is_some()), "{told:?}");
    assert!(matches!(
        replace(&running.replace("mtu 1310", "mtu 1312")),
        Reply::Committed(_)
    ));
    assert!(has_mtu(&host, 1312));
}

#[test]
fn what_nobody_confirmed_is_gone_after_a_crash() {
    let host = host();
    let mut daemon = start(&host);
    let mut client = host.client();
    enter(&mut client, Mode::Candidate, false).unwrap();
    draft(&mut client, "host fra1 interface kd0 mtu 1340\n").unwrap();
    commit(&mut client, Some((60, None))).unwrap();
    assert!(has_mtu(&host, 1340));
    daemon.signal("-KILL");
    daemon.wait();
    let daemon = start(&host);
    assert!(daemon.log().contains("is in force again"), "{}", daemon.log());
    assert!(has_mtu(&host, 1310));
    drop(daemon);

    let told = refused(host.knetd("set -- \"$@\" --host lon1"));
    assert!(told.contains("there are no lines for this host, lon1"), "{told}");
}
