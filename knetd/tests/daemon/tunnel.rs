//! Two daemons that talk to each other.

use std::time::{Duration, Instant};

use libknet::api::message::{EventRow, PeerRow, Reply, RequestBody};

use crate::host::{Client, Daemon, Host, run, wait_for};

/// Two hosts with two cables between them, one overlay, and a third peer that nobody is.
pub(crate) struct Pair {
    pub(crate) a: Host,
    pub(crate) b: Host,
    pub(crate) daemon_a: Daemon,
    pub(crate) daemon_b: Daemon,
}

pub(crate) fn pair() -> Pair {
    let (a, b) = (Host::new(), Host::new());
    for (n, network) in [(0, "10.1.0"), (1, "10.2.0")] {
        let name = format!("c{n}");
        run(
            "ip",
            &[
                "link", "add", &name, "netns", &a.netns, "type", "veth", "peer", "name", &name, "netns",
                &b.netns,
            ],
        );
        for (host, last) in [(&a, 1), (&b, 2)] {
            host.ip(&["address", "add", &format!("{network}.{last}/24"), "dev", &name]);
            host.ip(&["link", "set", &name, "up"]);
        }
    }
    let (key_a, key_b) = (a.key("k"), b.key("k"));
    let psk = run(crate::host::KNETD, &["genpsk"]);
    let config = |host: &Host, me: u8, other: u8, key: &str, name: &str| {
        host.file("shared.psk", &psk, 0o600);
        host.config(&format!(
            "interface kd0\n private-key file k.key\n ip address 10.200.0.{me}/24\n \
             local 0 10.1.0.{me} port 7700\n local 1 10.2.0.{me} port 7700\n peer {name}\n  public-key {key}\n  \
             preshared-key file shared.psk\n  link 0 local 0 remote 10.1.0.{other} port 7700\n  \
             link 1 local 1 remote 10.2.0.{other} port 7700\n peer nobody\n  public-key {}\n  link 0 remote dynamic\n",
            crate::host::STRANGER
        ));
    };
    config(&a, 1, 2, &key_b, "bert");
    config(&b, 2, 1, &key_a, "anna");
    let (daemon_a, daemon_b) = (a.start(), b.start());
    let pair = Pair {
        a,
        b,
        daemon_a,
        daemon_b,
    };
    wait_for("both links", Duration::from_secs(15), || {
        peer(&mut pair.a.client(), "bert").links_up == 2
    });
    pair
}

pub(crate) fn peer(client: &mut Client, name: &str) -> PeerRow {
    match client
        .ask(RequestBody::Peer {
            interface: None,
            peer: name.into(),
        })
        .unwrap()
    {
        Reply::Peer(row) => *row,
        other => panic!("{other:?}"),
    }
}

fn history(client: &mut Client, last: Option<u32>) -> (Vec<EventRow>, u64) {
    match client
        .ask(RequestBody::History {
            interface: None,
            peer: "bert".into(),
            last,
        })
        .unwrap()
    {
        Reply::History { events, earlier } => (events, earlier),
        other => panic!("{other:?}"),
    }
}

fn event(client: &mut Client, limit: Duration, mut wanted: impl FnMut(&EventRow) -> bool) -> EventRow {
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < limit, "no such event");
        if let Ok(Reply::Events { events, .. }) = client.response().unwrap().body
            && let Some(event) = events.into_iter().find(|e| wanted(e))
        {
            return event;
        }
    }
}

#[test]
fn peers_are_seen_pinged_and_watched() {
    let mut pair = pair();
    let mut client = pair.a.client();
    let row = peer(&mut client, "bert");
    let session = row.session.expect("no session");
    assert!(["initiator", "responder"].contains(&session.role.as_str()));
    assert!(session.suite.starts_with("AES") || session.suite.starts_with("ChaCha"));
    assert_eq!(
        (row.state.as_str(), row.active_links.as_slice()),
        ("up", &[0][..])
    );

    let ping = |link| RequestBody::Ping {
        interface: None,
        peer: "bert".into(),
        link,
        count: 3,
        interval_ms: 20,
        timeout_ms: 1000,
    };
    let mut replies = client.all(ping(None)).unwrap();
    assert_eq!(replies.pop(), Some(Reply::Done));
    let mut seen: Vec<_> = replies
        .into_iter()
        .map(|reply| match reply {
            Reply::Ping(row) => (row.sequence, row.link, row.rtt_us.is_some()),
            other => panic!("{other:?}"),
        })
        .collect();
    seen.sort_unstable();
    let expected: Vec<_> = (1..=3).flat_map(|n| [(n, 0, true), (n, 1, true)]).collect();
    assert_eq!(seen, expected);
    assert_eq!(client.all(ping(Some(1))).unwrap().len(), 4);
    assert!(client.all(ping(Some(5))).is_err());

    run(
        "ip",
        &[
            "netns",
            "exec",
            &pair.a.netns,
            "ping",
            "-c3",
            "-i0.2",
            "-W2",
            "10.200.0.2",
        ],
    );
    let row = peer(&mut client, "bert");
    assert!(row.tx.packets >= 3 && row.rx.packets >= 3, "{row:?}");

    // A cable is pulled, and put back.
    let mut watcher = pair.a.client();
    watcher.send(RequestBody::Monitor);
    pair.b.ip(&["link", "set", "c0", "down"]);
    let down = event(&mut watcher, Duration::from_secs(10), |e| {
        e.kind == "link-state"
            && e.link == Some(0)
            && e.details.iter().any(|(k, v)| k == "to" && v.contains("down"))
    });
    assert_eq!(
        (down.interface.as_deref(), down.peer.as_deref()),
        (Some("kd0"), Some("bert"))
    );
    assert!(down.text.contains("kd0 peer bert link 0"), "{}", down.text);
    run(
        "ip",
        &[
            "netns",
            "exec",
            &pair.a.netns,
            "ping",
            "-c2",
            "-i0.2",
            "-W2",
            "10.200.0.2",
        ],
    );
    pair.b.ip(&["link", "set", "c0", "up"]);
    event(&mut watcher, Duration::from_secs(20), |e| {
        e.kind == "link-state" && e.link == Some(0) && e.details.iter().any(|(k, v)| k == "to" && v == "up")
    });

    // Afterwards it can be told why.
    let (told, earlier) = history(&mut client, None);
    assert!(told.contains(&down), "{down:?} is not in {told:?}");
    assert_eq!(
        told.first().map(|e| e.kind.as_str()),
        Some("session-up"),
        "{told:?}"
    );
    assert!(told.is_sorted_by_key(|e| e.unix_ms) && earlier == 0, "{told:?}");
    let up = |e: &&EventRow| e.link == Some(0) && e.details.contains(&("to".into(), "up".into()));
    assert_eq!(told.iter().filter(up).count(), 2, "{told:?}");
    let (last, earlier) = history(&mut client, Some(2));
    // Those of the interface are told with them and not counted.
    let (before, latest) = told.split_at(told.len() - 2);
    let own = before.iter().filter(|e| e.peer.is_some()).count() as u64;
    assert_eq!((&last[..], earlier), (latest, own));

    // The other says goodbye, and is believed at once.
    let stopped = Instant::now();
    pair.daemon_b.signal("-TERM");
    event(&mut watcher, Duration::from_secs(5), |e| e.kind == "session-down");
    assert!(
        stopped.elapsed() < Duration::from_secs(2),
        "{:?}",
        stopped.elapsed()
    );
    let (status, took) = pair.daemon_b.wait();
    assert!(
        status.success() && took < Duration::from_secs(2),
        "{status} {took:?}"
    );
    pair.daemon_a.wait_for_line("the peer said goodbye");
}

#[test]
fn a_change_disturbs_only_what_it_names() {
    let pair = pair();
    let mut client = pair.a.client();
    let before = peer(&mut client, "bert");
    let ping = std::process::Command::new("ip")
        .args([
            "netns",
            "exec",
            &pair.a.netns,
            "ping",
            "-i0.01",
            "-c300",
            "-q",
            "10.200.0.2",
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    for n in 0..20 {
        client
            .edit(&format!("interface kd0\npeer nobody\nlink 0\npriority {n}\n"))
            .unwrap();
        client
            .edit(&format!(
                "interface kd0\npeer new{n}\nlink 0 remote 10.1.0.9 port 7700\n"
            ))
            .unwrap();
        client
            .edit(&format!("interface kd0\nlocal 7 127.0.0.{} port 7700\n", n + 1))
            .unwrap();
    }
    client
        .edit("interface kd0\nno peer nobody\nno local 7\nmac ageing-time 100\nip address 10.77.0.1/24\n")
        .unwrap();
    // Its own settings change without a break, too.
    client
        .edit("interface kd0\npeer bert\nlink 1\npriority 200\n")
        .unwrap();
    let output = String::from_utf8(ping.wait_with_output().unwrap().stdout).unwrap();
    assert!(output.contains(" 0% packet loss"), "{output}");
    let after = peer(&mut client, "bert");
    assert_eq!(after.active_links, [1]);
    let (before, after) = (before.session.unwrap(), after.session.unwrap());
    assert!(
        after.age_ms > before.age_ms && after.rekeys == before.rekeys,
        "a new session: {before:?} {after:?}"
    );

    client
        .edit("interface kd0\npeer bert\nlink 0\nshutdown\n")
        .unwrap();
    let row = peer(&mut client, "bert");
    assert_eq!(row.links[0].state, "admin-down");
    client.edit("interface kd0\npeer bert\nshutdown\n").unwrap();
    assert_eq!(peer(&mut client, "bert").state, "admin-down");
    let other = || peer(&mut pair.b.client(), "anna").state;
    wait_for("the other end", Duration::from_secs(5), || other() != "up");
    client.edit("interface kd0\npeer bert\nno shutdown\n").unwrap();
    wait_for("the session", Duration::from_secs(10), || other() == "up");
}
