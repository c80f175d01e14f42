//! Invitations: made at a hub, used by one host, and by nobody else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use libknet::api::message::{
    ApiError, ErrorCode, InvitationRow, Invite, InvitedRow, JoinedRow, PeerRow, PublicAddress, Reply,
    RequestBody,
};

use crate::host::{Client, Daemon, Host, KNETD, run, wait_for};

const WAIT: Duration = Duration::from_secs(10);

/// A hub whose configuration is on a disk of its own of 64 KiB, and hosts that reach it.
struct Site {
    hub: Host,
    etc: PathBuf,
    clients: Vec<Host>,
}

impl Site {
    fn new(clients: usize) -> Self {
        let hub = Host::new();
        let etc = hub.directory.join("etc");
        fs::create_dir(&etc).unwrap();
        let options = "size=64k,mode=755";
        run(
            "mount",
            &["-t", "tmpfs", "-o", options, "none", etc.to_str().unwrap()],
        );
        let clients: Vec<Host> = (0..clients).map(|_| Host::new()).collect();
        let local = |n| format!(" local {n} 10.1.{n}.1 port 7700\n");
        let locals: String = (0..clients.len()).map(local).collect();
        for (n, client) in clients.iter().enumerate() {
            let device = format!("c{n}");
            let ends = ["type", "veth", "peer", "name", &device, "netns", &client.netns];
            hub.ip(&[&["link", "add", &device][..], &ends].concat());
            for (at, last) in [(&hub, 1), (client, 2)] {
                at.ip(&["address", "add", &format!("10.1.{n}.{last}/24"), "dev", &device]);
                at.ip(&["link", "set", &device, "up"]);
            }
            client.config("");
        }
        hub.file("etc/hub.key", &run(KNETD, &["genkey"]), 0o600);
        let config = format!(
            "hostname fra1\ninterface kd0\n private-key file hub.key\n ip address 10.200.0.1/24\n{locals} peer-group \
             clients\n  invitations clients.members\n  ip pool 10.200.0.8/29\n  spoke\n"
        );
        fs::write(etc.join("knetd.conf"), config).unwrap();
        Self { hub, etc, clients }
    }

    fn start(&self) -> Daemon {
        self.hub.start_of(&self.etc, ":")
    }

    fn client(&self) -> Client {
        Client::connect(&self.etc.join("knetd.sock")).unwrap()
    }

    fn invite(&self, order: Invite) -> Result<InvitedRow, ApiError> {
        let order = Invite {
            interface: "kd0".into(),
            group: if order.group.is_empty() {
                "clients".into()
            } else {
                order.group
            },
            valid_s: order.valid_s.max(3600),
            ..order
        };
        match self.client().ask(RequestBody::Invite(order))? {
            Reply::Invited(row) => Ok(row),
            other => panic!("{other:?}"),
        }
    }

    fn file(&self) -> PathBuf {
        self.etc.join("clients.members")
    }

    fn rows(&self) -> Vec<InvitationRow> {
        match self
            .client()
            .ask(RequestBody::Invitations { interface: None })
            .unwrap()
        {
            Reply::Invitations(report) => report.rows,
            other => panic!("{other:?}"),
        }
    }

    fn peer(&self, peer: &str) -> Option<PeerRow> {
        let request = RequestBody::Peer {
            interface: None,
            peer: peer.into(),
        };
        match self.client().ask(request) {
            Ok(Reply::Peer(row)) => Some(*row),
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        }
    }

    fn is_up(&self, peer: &str) -> bool {
        self.peer(peer).is_some_and(|row| row.state == "up")
    }

    fn members(&self) -> Vec<String> {
        let used = self.rows().into_iter().filter(|row| row.state == "used");
        used.filter_map(|row| row.name).collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        run("umount", &["-l", self.etc.to_str().unwrap()]);
    }
}

fn named(name: &str) -> Invite {
    Invite {
        name: Some(name.into()),
        ..Invite::default()
    }
}

fn join(host: &Host, invitation: &str, interface: Option<&str>) -> Result<JoinedRow, ApiError> {
    let request = RequestBody::Join {
        invitation: invitation.into(),
        interface: interface.map(Into::into),
    };
    match host.client().ask(request)? {
        Reply::Joined(row) => Ok(row),
        other => panic!("{other:?}"),
    }
}

fn pings(host: &Host) -> bool {
    let ping = [
        "netns",
        "exec",
        &host.netns,
        "ping",
        "-c",
        "1",
        "-W",
        "5",
        "10.200.0.1",
    ];
    Command::new("ip").args(ping).output().unwrap().status.success()
}

fn mode(path: &Path) -> u32 {
    std::os::unix::fs::MetadataExt::mode(&fs::metadata(path).unwrap()) & 0o777
}

#[test]
fn whoever_is_invited_joins_by_one_line_and_an_invitation_is_used_once() {
    let site = Site::new(2);
    let mut hub = site.start();
    let [first, second] = &site.clients[..] else {
        panic!()
    };
    let invited = site.invite(named("ams1")).unwrap();
    assert_eq!(invited.endpoints, ["10.1.0.1:7700", "10.1.1.1:7700"]);
    assert_eq!(
        invited.addresses,
        ["10.200.0.9/24"],
        "of the pool, with the length of the hub's network"
    );
    assert!(!fs::read_to_string(site.file()).unwrap().contains("knet1"));
    assert!(!hub.log().contains(&invited.invitation), "no secret in the log");

    // One line, pasted with a line end in it.
    let daemon = first.start();
    let (half, other) = invited.invitation.split_at(50);
    let joined = join(first, &format!("{half}\n{other}"), None).unwrap();
    assert_eq!(
        (joined.interface.as_str(), joined.peer.as_str()),
        ("knet0", "fra1")
    );
    let config = first.client().running_config();
    for line in [
        "private-key file knet0.key",
        "local 0 any port 7700",
        "ip address 10.200.0.9/24",
        "invitation file fra1.invitation",
        "link 0 remote 10.1.0.1 port 7700",
    ] {
        assert!(config.contains(line), "{config}");
    }
    assert_eq!(mode(&first.directory.join("fra1.invitation")), 0o600);
    assert_eq!(mode(&first.directory.join("knet0.key")), 0o600);
    wait_for("the session", WAIT, || site.is_up("ams1"));
    let row = site.peer("ams1").unwrap();
    assert_eq!(row.public_key.as_deref(), Some(joined.public_key.as_str()));
    assert_eq!(
        (row.group.as_deref(), row.authorized_keys.as_deref()),
        (Some("clients"), Some("clients.members"))
    );
    wait_for("an answer over the tunnel", WAIT, || pings(first));
    hub.wait_for_line(&format!(
        "peer ams1 is in group clients by invitation {}",
        invited.id
    ));
    assert!(!site.client().running_config().contains("ams1"));

    // The same text at another host; then one that has ended meanwhile; then one without a name.
    let _second_daemon = second.start();
    join(second, &invited.invitation, Some("knet7")).unwrap();
    hub.wait_for_line("refused: ams1 has used it already, with another key");
    let late = site.invite(named("late")).unwrap();
    let text = fs::read_to_string(site.file()).unwrap();
    let line = text.lines().find(|line| line.contains(";late;")).unwrap();
    let ended =
        line.split(';').take(2).collect::<Vec<_>>().join(";") + ";2020-01-01T00:00:00Z;late;10.200.0.10/24";
    let new = site.etc.join("new");
    fs::write(&new, text.replace(line, &ended)).unwrap();
    fs::rename(&new, site.file()).unwrap();
    wait_for("the end of it", WAIT, || {
        site.rows().iter().any(|row| row.state == "expired")
    });
    let again = join(second, &late.invitation, Some("knet7")).unwrap();
    let changed = [
        "interface knet7",
        " no ip address 10.200.0.9/24",
        " ip address 10.200.0.10/24",
        " peer fra1",
        "  invitation file fra1-2.invitation",
    ];
    assert_eq!(again.lines, changed, "the address of the other text goes with it");
    hub.wait_for_line("refused: it has expired at 2020-01-01T00:00:00Z");
    assert_eq!(site.members(), ["ams1"]);
    let nameless = site.invite(Invite::default()).unwrap();
    assert_eq!(
        nameless.addresses,
        ["10.200.0.10/24"],
        "that of the one that has ended"
    );
    join(second, &nameless.invitation, Some("knet7")).unwrap();
    wait_for("the second member", WAIT, || site.members().len() == 2);
    let made = site.members()[1].clone();
    assert!(made.starts_with("clients-"), "{made}");
    wait_for("its session", WAIT, || site.is_up(&made));

    // Both survive the end of both daemons, whatever is under way.
    first.client().ask(RequestBody::WriteMemory).unwrap();
    daemon.signal("-KILL");
    hub.signal("-KILL");
    hub.wait();
    drop(daemon);
    let mut hub = site.start();
    let _daemon = first.start();
    wait_for("both sessions", WAIT, || site.is_up("ams1") && site.is_up(&made));

    // Nobody gets an address again that a member has.
    let third = site.invite(named("ams3")).unwrap();
    assert_eq!(third.addresses, ["10.200.0.11/24"]);

    // Killed between the line in the file and what comes of it: the line counts.
    hub.signal("-KILL");
    hub.wait();
    let text = fs::read_to_string(site.file()).unwrap();
    fs::write(
        site.file(),
        text.replace(&format!("member;{made};"), "member;ams2;"),
    )
    .unwrap();
    let hub = site.start();
    wait_for("the member of the file", WAIT, || site.is_up("ams2"));

    // Who is removed is gone at once, and does not come back.
    let remove = |peer: &str| {
        site.client().ask(RequestBody::RemoveMember {
            interface: None,
            peer: peer.into(),
        })
    };
    assert_eq!(remove("ams3").unwrap_err().code, ErrorCode::NotFound);
    remove("ams1").unwrap();
    assert!(site.peer("ams1").is_none());
    hub.wait_for_line("refused: there is no such invitation");
    // So is whose line is taken out.
    let text = fs::read_to_string(site.file()).unwrap();
    let rest: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("member;ams2"))
        .collect();
    fs::write(&new, rest.join("\n")).unwrap();
    fs::rename(&new, site.file()).unwrap();
    wait_for("the end", Duration::from_secs(1), || site.peer("ams2").is_none());
}

#[test]
fn where_nothing_can_be_written_nobody_is_let_in() {
    let site = Site::new(1);
    let hub = site.start();
    let client = &site.clients[0];
    let _daemon = client.start();
    let invited = site.invite(named("ams1")).unwrap();
    let before = fs::read_to_string(site.file()).unwrap();
    // The disk is full.
    let filler = site.etc.join("filler");
    let _ = fs::write(&filler, vec![0; 128 * 1024]);
    let error = site.invite(named("ams2")).unwrap_err();
    assert!(
        error.message.contains("clients.members") && error.message.contains("as it was"),
        "{error}"
    );
    join(client, &invited.invitation, None).unwrap();
    hub.wait_for_line("refused: it cannot be written down: ");
    assert!(hub.log().contains("No space left on device"), "{}", hub.log());
    assert!(site.peer("ams1").is_none());
    assert_eq!(fs::read_to_string(site.file()).unwrap(), before);
    assert_eq!(site.rows()[0].state, "open");
    // There is room again, and the client is still asking.
    fs::remove_file(filler).unwrap();
    wait_for("the session", Duration::from_secs(20), || site.is_up("ams1"));

    // What is configured goes first; the member is back when it is gone.
    let key = site.peer("ams1").unwrap().public_key.unwrap();
    let configured = format!("interface kd0\npeer ams9\npublic-key {key}\n");
    site.client().edit(&configured).unwrap();
    assert!(site.peer("ams1").is_none() && site.peer("ams9").is_some());
    assert_eq!(site.rows()[0].state, "displaced");
    hub.wait_for_line(
        "peer ams1 is gone from group clients: its invitation cannot count: ams1 has the same public key",
    );
    site.client().edit("interface kd0\nno peer ams9\n").unwrap();
    wait_for("the session", Duration::from_secs(20), || site.is_up("ams1"));

    // What nobody can read is not written over.
    let good = fs::read(site.file()).unwrap();
    fs::write(site.file(), "member;ams1\n").unwrap();
    hub.wait_for_line("clients.members: line 1: neither an invitation nor a member; expected: ");
    assert!(site.is_up("ams1"));
    let error = site.invite(named("ams2")).unwrap_err();
    assert!(error.message.contains("line 1"), "{error}");
    assert_eq!(fs::read(site.file()).unwrap(), b"member;ams1\n");
    fs::write(site.file(), good).unwrap();
    wait_for("another one", WAIT, || site.invite(named("ams2")).is_ok());
}

#[test]
fn what_cannot_be_is_told_and_nothing_is_left_of_it() {
    let site = Site::new(1);
    let _hub = site.start();
    let client = &site.clients[0];
    let _daemon = client.start();
    let said = |order: Invite, text: &str| {
        let error = site.invite(order).unwrap_err();
        let whole = format!("{}; {}", error.message, error.hint.unwrap_or_default());
        assert!(whole.contains(text), "{whole}");
    };
    let at = |address: &str| Invite {
        endpoints: vec![PublicAddress {
            address: address.into(),
            port: None,
        }],
        ..Invite::default()
    };
    said(
        Invite {
            group: "others".into(),
            ..Invite::default()
        },
        "there is no group others; there is clients",
    );
    said(named("a b"), "is no name of a peer");
    said(at("a_b"), "neither an address nor a host name");
    said(at("0.0.0.0"), "an address that is none");
    let invited = site.invite(at("vpn.example.net")).unwrap();
    assert_eq!(invited.endpoints, ["vpn.example.net:7700"]);
    site.invite(named("ams1")).unwrap();
    said(named("ams1"), "is for ams1, and it is still open");
    let mut hub = site.client();
    hub.edit("interface kd0\npeer-group more\npeer ams8\n").unwrap();
    said(named("ams8"), "there is a peer ams8 on interface kd0 already");
    said(
        Invite {
            group: "more".into(),
            ..Invite::default()
        },
        "a line `invitations FILE` in the group first",
    );
    for (line, text) in [
        (
            "clients.members",
            "is the file of group clients of interface kd0 as well",
        ),
        ("../more.members", "more than the name of a file"),
        ("knetd.conf", "line 1: neither an invitation nor a member"),
    ] {
        let error = hub
            .edit(&format!("interface kd0\npeer-group more\ninvitations {line}\n"))
            .unwrap_err();
        assert!(error.message.contains(text), "{error}");
    }
    // Six addresses, of which two are given by now.
    let with = |address: &str| Invite {
        addresses: vec![address.parse().unwrap()],
        ..Invite::default()
    };
    said(
        with("10.200.0.1/24"),
        "10.200.0.1 is ours, or was given to somebody else",
    );
    said(
        with("10.200.0.9/24"),
        "10.200.0.9 is ours, or was given to somebody else",
    );
    let wanted = site.invite(with("10.200.0.14/24")).unwrap();
    assert_eq!(wanted.addresses, ["10.200.0.14/24"]);
    for last in 11..=13 {
        let row = site.invite(Invite::default()).unwrap();
        assert_eq!(row.addresses, [format!("10.200.0.{last}/24")]);
    }
    said(
        Invite::default(),
        "no address of pool 10.200.0.8/29 of group clients is left",
    );
    let pools = match site
        .client()
        .ask(RequestBody::IpPools { interface: None })
        .unwrap()
    {
        Reply::IpPools(rows) => rows,
        other => panic!("{other:?}"),
    };
    let [pool] = &pools[..] else { panic!("{pools:?}") };
    assert_eq!((pool.addresses.as_str(), pool.used, &pool.next), ("6", 6, &None));
    let clear = |id: Option<&str>| {
        site.client().ask(RequestBody::ClearInvitations {
            interface: None,
            id: id.map(Into::into),
        })
    };
    assert_eq!(clear(Some("nothing")).unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(
        clear(Some(&invited.id)),
        Ok(Reply::Names(vec![invited.id.clone()]))
    );
    assert!(matches!(clear(None), Ok(Reply::Names(ids)) if ids.len() == 5));
    assert!(site.rows().is_empty());

    // At the client.
    let files = |host: &Host| {
        let mut names: Vec<String> = fs::read_dir(&host.directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| [".key", ".invitation"].iter().any(|end| name.ends_with(end)))
            .collect();
        names.sort();
        names
    };
    let not_joined = |text: &str, interface: Option<&str>, said: &str| {
        let before = client.client().running_config();
        let error = join(client, text, interface).unwrap_err();
        let whole = format!("{}; {}", error.message, error.hint.unwrap_or_default());
        assert!(whole.contains(said), "{whole}");
        assert_eq!(client.client().running_config(), before);
        assert_eq!(files(client), [""; 0]);
    };
    let invitation = site.invite(named("ams1")).unwrap().invitation;
    not_joined("hello", None, "an invitation begins with knet1");
    not_joined(&invitation[..60], None, "copy all of it once more");
    not_joined(&invitation, Some("a/b"), "is no name of an interface; 1-15 of");
    client
        .client()
        .edit("interface kd5\nlocal 0 any port 7701\n")
        .unwrap();
    not_joined(&invitation, None, "there is kd5 already");
    join(client, &invitation, Some("kd6")).unwrap();
    assert_eq!(files(client), ["fra1.invitation", "kd6.key"]);
}
