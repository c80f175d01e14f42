//! Groups of peers: what they have in common, and files of their keys.

use std::{
    fs,
    time::{Duration, Instant},
};

use libknet::api::{
    message::{GroupRow, PeerRow, Reply, RequestBody},
    transaction::Mode,
};

use crate::{
    candidates::{commit, draft, enter},
    host::{Client, Daemon, Host, KNETD, STRANGER, run, wait_for},
    tunnel::peer,
};

const OTHER: &str = "iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=";

fn groups(client: &mut Client) -> Vec<GroupRow> {
    let request = RequestBody::Groups {
        interface: None,
        group: None,
    };
    match client.ask(request).unwrap() {
        Reply::Groups(rows) => rows,
        other => panic!("{other:?}"),
    }
}

fn effects(client: &mut Client) -> Vec<String> {
    match client.ask(RequestBody::CommitCheck).unwrap() {
        Reply::Impact { rows, .. } => rows
            .iter()
            .flat_map(|row| &row.peers)
            .map(|peer| format!("{} {}", peer.effect, peer.peer))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_line_of_a_group_is_one_of_all_its_peers() {
    let host = Host::new();
    host.key("own");
    host.file("shared.psk", &run(KNETD, &["genpsk"]), 0o600);
    host.config(&format!(
        "interface kd0\n private-key file own.key\n local 0 any port 7700\n peer-group branches\n  policy active\n \
         peer a\n  public-key {STRANGER}\n  group branches\n peer b\n  public-key {OTHER}\n  group branches\n  policy \
         passive\n"
    ));
    let _daemon = host.start();
    let mut client = host.client();
    let policies = |client: &mut Client| ["a", "b"].map(|name| peer(client, name).policy);
    assert_eq!(policies(&mut client), ["active", "passive"]);
    assert_eq!(peer(&mut client, "a").group.as_deref(), Some("branches"));
    assert_eq!(groups(&mut client)[0].peers, 2);
    client
        .edit("interface kd0 peer-group branches policy adaptive\n")
        .unwrap();
    assert_eq!(policies(&mut client), ["adaptive", "passive"]);

    enter(&mut client, Mode::Candidate, false).unwrap();
    draft(
        &mut client,
        "interface kd0 peer-group branches preshared-key file shared.psk\n",
    )
    .unwrap();
    assert_eq!(effects(&mut client), ["rehandshake a", "rehandshake b"]);
    draft(&mut client, "no interface kd0 peer b group\n").unwrap();
    draft(&mut client, "interface kd0 peer-group branches isolate\n").unwrap();
    assert_eq!(effects(&mut client), ["rehandshake a"]);
    commit(&mut client, None).unwrap();
    assert!(peer(&mut client, "a").isolate && !peer(&mut client, "b").isolate);

    // What is wrong with a group is said of the group, once.
    let error = client
        .edit("interface kd0 peer-group branches preshared-key file no.psk\n")
        .unwrap_err();
    assert!(
        error.message.starts_with("preshared key of group branches: "),
        "{error:?}"
    );
    assert!(!error.message.contains("more"), "{error:?}");
    let error = client
        .edit("interface kd0\nno peer-group branches\n")
        .unwrap_err();
    assert!(error.message.contains("peer a is in group branches"), "{error:?}");
    client.ask(RequestBody::WriteMemory).unwrap();
    let saved = fs::read_to_string(host.directory.join("knetd.conf")).unwrap();
    assert_eq!(saved, client.running_config());
    assert!(
        saved.contains("  group branches\n") && !saved.contains("  isolate\n  isolate"),
        "{saved}"
    );
}

/// A hub with a file of keys that lists the first of its two clients.
pub(crate) struct Star {
    pub(crate) hub: Host,
    pub(crate) daemon: Daemon,
    /// Each with its key.
    pub(crate) clients: [(Host, String); 2],
    _daemons: [Daemon; 2],
}

impl Star {
    pub(crate) fn new() -> Self {
        let hub = Host::new();
        let hub_key = hub.key("k");
        let clients = [1, 2].map(|n| {
            let host = Host::new();
            let name = format!("c{n}");
            run(
                "ip",
                &[
                    "link", "add", &name, "netns", &hub.netns, "type", "veth", "peer", "name", &name, "netns",
                    &host.netns,
                ],
            );
            for (at, last) in [(&hub, 1), (&host, 2)] {
                at.ip(&["address", "add", &format!("10.{n}.0.{last}/24"), "dev", &name]);
                at.ip(&["link", "set", &name, "up"]);
            }
            let key = host.key("k");
            host.config(&format!(
                "interface kd0\n private-key file k.key\n ip address 10.200.0.1{n}/24\n local 0 any port 7700\n peer \
                 hub\n  public-key {hub_key}\n  link 0 remote 10.{n}.0.1 port 7700\n"
            ));
            (host, key)
        });
        hub.file("branches.keys", &format!("# one\nc1;{}\n", clients[0].1), 0o644);
        hub.config(
            "interface kd0\n private-key file k.key\n ip address 10.200.0.1/24\n local 0 any port 7700\n peer-group \
             branches\n  authorized-keys branches.keys\n  spoke\n  link 0 timers 500 2000\n",
        );
        let daemon = hub.start();
        let daemons = [0, 1].map(|n: usize| clients[n].0.start());
        Self {
            hub,
            daemon,
            clients,
            _daemons: daemons,
        }
    }

    fn line(&self, client: usize) -> String {
        format!("c{};{}\n", client + 1, self.clients[client].1)
    }

    /// Writes the file beside, and renames it over.
    pub(crate) fn list(&self, text: &str) {
        let new = self.hub.file("branches.new", text, 0o644);
        fs::rename(new, self.hub.directory.join("branches.keys")).unwrap();
    }

    pub(crate) fn peer(&self, client: usize) -> Option<PeerRow> {
        let request = RequestBody::Peer {
            interface: None,
            peer: format!("c{}", client + 1),
        };
        match self.hub.client().ask(request) {
            Ok(Reply::Peer(row)) => Some(*row),
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        }
    }

    pub(crate) fn is_up(&self, client: usize) -> bool {
        self.peer(client).is_some_and(|row| row.state == "up")
    }

    fn problem(&self) -> Option<String> {
        groups(&mut self.hub.client())[0]
            .authorized_keys
            .clone()
            .unwrap()
            .problem
    }
}

#[test]
fn who_is_listed_is_a_peer_and_who_is_not_is_none() {
    let star = Star::new();
    let [first, second] = [0, 1].map(|n| star.line(n));
    let wait = Duration::from_secs(10);
    wait_for("the first", wait, || star.is_up(0));
    assert!(star.peer(1).is_none());
    star.list(&format!("{first}\n# and\n{second}"));
    wait_for("the second", wait, || star.is_up(1));
    let row = star.peer(0).unwrap();
    assert_eq!(
        (row.group.as_deref(), row.authorized_keys.as_deref()),
        (Some("branches"), Some("branches.keys"))
    );
    assert_eq!(row.links[0].timeout_ms, 2000, "as the group says");
    let ping = [
        "netns",
        "exec",
        &star.clients[0].0.netns,
        "ping",
        "-c",
        "1",
        "-W",
        "5",
        "10.200.0.12",
    ];
    wait_for("the way from client to client", wait, || {
        std::process::Command::new("ip")
            .args(ping)
            .output()
            .unwrap()
            .status
            .success()
    });

    // Nobody else is touched, whatever is written.
    let (began, up_before) = (Instant::now(), star.peer(0).unwrap().session.unwrap().uptime_ms);
    star.list(&first);
    wait_for("the end of the second", Duration::from_secs(1), || {
        star.peer(1).is_none()
    });
    let hub_is_up = || peer(&mut star.clients[1].0.client(), "hub").state == "up";
    wait_for("the client to learn of it", wait, || !hub_is_up());
    let elapsed = began.elapsed().as_millis() as u64;
    let session = star.peer(0).unwrap().session.unwrap();
    assert!(
        session.uptime_ms + 200 >= up_before + elapsed && session.rekeys == 0,
        "{session:?}"
    );

    // What cannot be used is told, and what was listed before stays.
    for (text, said) in [
        (
            format!("{first}{second}c3;{}\n", star.clients[0].1),
            "line 3, column 4: c3 has the same public key as c1",
        ),
        (format!("{first}c2\n"), "line 2, column 1: there is no `;`"),
    ] {
        star.list(&text);
        wait_for(said, wait, || {
            star.problem().is_some_and(|problem| problem.contains(said))
        });
        assert!(star.is_up(0) && star.peer(1).is_none());
    }
    star.daemon.wait_for_line("stays with 1 peer listed: ");
    fs::remove_file(star.hub.directory.join("branches.keys")).unwrap();
    wait_for("it is missed", wait, || {
        star.problem().is_some_and(|p| p.contains("No such file"))
    });
    assert!(star.is_up(0));

    // The configuration is what was written, with or without them.
    let mut client = star.hub.client();
    let running = client.running_config();
    assert!(
        !running.contains("peer c1") && running.contains("authorized-keys branches.keys"),
        "{running}"
    );
    let error = client
        .edit(&format!("interface kd0 peer c1\npublic-key {STRANGER}\n"))
        .unwrap_err();
    assert!(
        error.message.contains("c1 is a peer of the configuration, too"),
        "{error:?}"
    );
    let error = client
        .edit(&format!(
            "interface kd0 peer other\npublic-key {}\n",
            star.clients[0].1
        ))
        .unwrap_err();
    assert!(
        error.message.contains("c1 has the same public key as peer other"),
        "{error:?}"
    );
    let error = client
        .edit("interface kd0 peer-group phones\nauthorized-keys no.keys\n")
        .unwrap_err();
    assert!(error.message.contains("no.keys"), "{error:?}");
    client
        .edit("interface kd0 peer-group branches policy active\n")
        .unwrap();
    assert_eq!(star.peer(0).unwrap().policy, "active");
    client.ask(RequestBody::WriteMemory).unwrap();
    client
        .edit("no interface kd0 peer-group branches authorized-keys\n")
        .unwrap();
    assert!(star.peer(0).is_none());
    star.list(&format!("{first}{second}"));
    client.ask(RequestBody::ReloadConfig).unwrap();
    assert!(star.peer(0).is_some() && star.peer(1).is_some());
    assert_eq!(star.problem(), None);
}

#[test]
fn a_file_of_keys_that_cannot_be_used_keeps_nobody_else_from_starting() {
    let host = Host::new();
    let own = host.key("own");
    let path = host.config(&format!(
        "interface kd0\n private-key file own.key\n peer-group branches\n  authorized-keys branches.keys\n peer a\n  \
         public-key {STRANGER}\n  group branches\n"
    ));
    host.file("branches.keys", &format!("a;{OTHER}\n"), 0o644);
    let check = std::process::Command::new(KNETD)
        .args(["--check", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8(check.stderr).unwrap();
    assert!(!check.status.success());
    assert!(
        said.contains("knetd.conf: line 4, column 19: ")
            && said.contains(
                "branches.keys: line 1: a is a peer of the configuration, too; expected: another name"
            ),
        "{said}"
    );
    let daemon = host.start();
    daemon.wait_for_line("a is a peer of the configuration, too");
    let mut client = host.client();
    assert_eq!(peer(&mut client, "a").public_key.as_deref(), Some(STRANGER));
    assert_eq!(groups(&mut client)[0].peers, 1);
    let wait = Duration::from_secs(5);
    for (mode, text, said) in [
        (
            0o644,
            format!("b;{own}\n"),
            Some("the public key of interface kd0 itself"),
        ),
        (
            0o666,
            format!("b;{OTHER}\n"),
            Some("mode 0666 lets others change it"),
        ),
        (0o600, format!("b;{OTHER}\n"), None),
    ] {
        host.file("branches.keys", &text, mode);
        let path = host.directory.join("branches.keys");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        wait_for("the file", wait, || {
            let problem = groups(&mut client)[0].authorized_keys.clone().unwrap().problem;
            match said {
                Some(said) => problem.is_some_and(|problem| problem.contains(said)),
                None => problem.is_none(),
            }
        });
    }
    assert_eq!(groups(&mut client)[0].peers, 2);
    assert_eq!(peer(&mut client, "b").public_key.as_deref(), Some(OTHER));
}
