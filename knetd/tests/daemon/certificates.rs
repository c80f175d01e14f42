//! Authorities, and peers that are there by a certificate.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use libknet::api::{
    message::{CertificatesReport, PeerRow, Reply, RequestBody},
    transaction::Mode,
};

use crate::{
    candidates::{commit, draft, enter},
    host::{Daemon, Host, KNETD, STRANGER, run, wait_for},
    tunnel::peer,
};

fn ca(directory: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new(KNETD)
        .arg("ca")
        .args(args)
        .args(["--directory", directory.to_str().unwrap()])
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}

/// The number of a certificate, as its file says it for people.
fn serial(certificate: &str) -> String {
    let line = certificate
        .lines()
        .find_map(|line| line.strip_prefix("# Serial     "));
    line.unwrap().to_owned()
}

#[test]
fn an_authority_signs_revokes_and_tells_what_it_did() {
    let host = Host::new();
    let directory = host.directory.join("ca");
    let error = ca(&directory, &["show"]).unwrap_err();
    assert!(error.contains("knetd ca init NAME --directory"), "{error}");
    ca(&directory, &["init", "example"]).unwrap();
    let key = fs::read(directory.join("ca.key")).unwrap();
    assert_eq!(key.len(), 45);
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(directory.join("ca.key")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let error = ca(&directory, &["init", "example"]).unwrap_err();
    assert!(error.contains("there is an authority already"), "{error}");
    assert_eq!(fs::read(directory.join("ca.key")).unwrap(), key, "untouched");

    let first = ca(
        &directory,
        &[
            "sign",
            "c1",
            STRANGER,
            "--group",
            "a,b",
            "--address",
            "10.9.0.1/24",
        ],
    )
    .unwrap();
    let second = ca(
        &directory,
        &["sign", "c1", STRANGER, "--group", "a", "--until", "2100-01-01"],
    )
    .unwrap();
    for (args, said) in [
        (
            &["sign", "c1", "AAAA", "--group", "a"][..],
            "expected: a public key",
        ),
        (
            &["sign", "c/1", STRANGER, "--group", "a"],
            "a name in it that no peer",
        ),
        (&["sign", "c1", STRANGER], "--group"),
        (
            &["sign", "c1", STRANGER, "--group", "a", "--address", "10.9.0.1"],
            "no /LENGTH",
        ),
        (
            &["sign", "c1", STRANGER, "--group", "a", "--until", "2000-01-01"],
            "ends before it begins",
        ),
        (
            &["sign", "c1", STRANGER, "--group", "a", "--until", "tomorrow"],
            "as in 2027-03-01",
        ),
        (&["revoke", "c2"], "no certificate of this authority"),
    ] {
        let error = ca(&directory, args).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
    let file = host.file("first.crt", &first, 0o644);
    let shown = run(KNETD, &["ca", "show", file.to_str().unwrap()]);
    assert!(
        shown.contains("Groups     a, b") && shown.contains("State      valid"),
        "{shown}"
    );
    ca(&directory, &["revoke", &serial(&first)]).unwrap();
    let list = ca(&directory, &["show"]).unwrap();
    let states: Vec<(bool, &str)> = list
        .lines()
        .skip(2)
        .map(|line| {
            (
                line.contains(&serial(&second)),
                line.split_whitespace().last().unwrap(),
            )
        })
        .collect();
    assert_eq!(states.len(), 2);
    assert!(
        states.contains(&(true, "valid")) && states.contains(&(false, "revoked")),
        "{list}"
    );
}

/// A hub that believes an authority, and a host with a key.
struct Site {
    hub: Host,
    daemon: Daemon,
    client: Host,
    key: String,
    directory: PathBuf,
}

impl Site {
    fn new() -> Self {
        let (hub, client) = (Host::new(), Host::new());
        let ends = ["netns", &client.netns];
        run(
            "ip",
            &[
                &[
                    "link", "add", "c0", "netns", &hub.netns, "type", "veth", "peer", "name", "c0",
                ][..],
                &ends,
            ]
            .concat(),
        );
        for (at, last) in [(&hub, 1), (&client, 2)] {
            at.ip(&["address", "add", &format!("10.1.0.{last}/24"), "dev", "c0"]);
            at.ip(&["link", "set", "c0", "up"]);
        }
        let directory = hub.directory.join("ca");
        ca(&directory, &["init", "example"]).unwrap();
        let (hub_key, key) = (hub.key("k"), client.key("k"));
        hub.config(
            "interface kd0\n private-key file k.key\n ip address 10.200.0.1/24\n local 0 any port 7700\n peer-group \
             clients\n  certificate-authority ca/ca.pub\n  revocation-list ca/ca.crl\n  spoke\n",
        );
        client.config(&format!(
            "interface kd0\n private-key file k.key\n certificate k.crt\n local 0 any port 7700\n peer hub\n  \
             public-key {hub_key}\n  link 0 remote 10.1.0.1 port 7700\n"
        ));
        let daemon = hub.start();
        Self {
            hub,
            daemon,
            client,
            key,
            directory,
        }
    }

    fn sign(&self, more: &[&str]) -> String {
        ca(&self.directory, &[&["sign", "c1", &self.key], more].concat()).unwrap()
    }

    /// The client has this certificate from now on.
    fn give(&self, certificate: &str) {
        let new = self.client.file("k.new", certificate, 0o644);
        fs::rename(new, self.client.directory.join("k.crt")).unwrap();
    }

    fn peer(&self) -> Option<PeerRow> {
        let request = RequestBody::Peer {
            interface: None,
            peer: "c1".into(),
        };
        match self.hub.client().ask(request) {
            Ok(Reply::Peer(row)) => Some(*row),
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        }
    }

    fn is_up(&self) -> bool {
        self.peer().is_some_and(|row| row.state == "up")
    }
}

fn certificates(host: &Host) -> CertificatesReport {
    match host
        .client()
        .ask(RequestBody::Certificates { interface: None })
        .unwrap()
    {
        Reply::Certificates(report) => report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn whom_an_authority_certifies_is_a_peer_until_it_is_revoked_or_ends() {
    let wait = Duration::from_secs(10);
    let site = Site::new();
    let other = site.client.directory.join("ca");
    ca(&other, &["init", "example"]).unwrap();
    let foreign = ca(&other, &["sign", "c1", &site.key, "--group", "clients"]).unwrap();
    site.client.file("k.crt", &foreign, 0o644);
    let _daemon = site.client.start();
    site.daemon
        .wait_for_line("certificate of c1 from 10.1.0.2:7700 refused: nobody who is believed");
    for (more, said) in [
        (
            &[
                "--group",
                "clients",
                "--from",
                "2020-01-01",
                "--until",
                "2021-01-01",
            ][..],
            "it has expired",
        ),
        (
            &["--group", "clients", "--from", "2090-01-01"],
            "it is valid from 2090-01-01T00:00:00Z on",
        ),
        (
            &["--group", "servers,hubs"],
            "no group that takes certificates is one of those it names (servers, hubs)",
        ),
    ] {
        site.give(&site.sign(more));
        site.daemon.wait_for_line(said);
        assert!(site.peer().is_none());
    }

    // Of its groups the first that the hub has counts; and the client has the address.
    let in_20_days = run("date", &["-u", "-d", "+20 days", "+%Y-%m-%dT%H:%M:%SZ"]);
    let good = site.sign(&[
        "--group",
        "servers,clients",
        "--address",
        "10.200.0.7/24",
        "--from",
        "2026-01-01",
        "--until",
        in_20_days.trim(),
    ]);
    site.give(&good);
    wait_for("the session", wait, || site.is_up());
    let row = site.peer().unwrap();
    assert_eq!(
        (row.group.as_deref(), row.certificate),
        (Some("clients"), Some(serial(&good)))
    );
    let report = certificates(&site.hub);
    assert_eq!(report.rows.len(), 1);
    assert_eq!(
        (
            report.rows[0].peer.as_deref(),
            report.rows[0].authority.as_deref()
        ),
        (Some("c1"), Some("example"))
    );
    assert!((19..=20).contains(&(report.rows[0].remaining_s / 86_400)));
    let counts = report.counts;
    assert_eq!(
        (counts.valid, counts.within_30_days, counts.within_7_days),
        (1, 1, 0)
    );
    assert!(
        counts.refused >= 4 && counts.refused_as_revoked == 0,
        "{counts:?}"
    );
    let guard = row.guard.unwrap();
    assert_eq!(
        (guard.given, guard.verify_source),
        (vec!["10.200.0.7".to_owned()], false)
    );
    site.daemon
        .wait_for_line("the certificate of peer c1 expires in ");
    let ping = [
        "netns",
        "exec",
        &site.client.netns,
        "ping",
        "-c",
        "1",
        "-W",
        "5",
        "10.200.0.1",
    ];
    wait_for("an answer over the tunnel", wait, || {
        Command::new("ip").args(ping).output().unwrap().status.success()
    });
    assert!(!site.hub.client().running_config().contains("c1"));

    // One for another key is refused at home, and the one before stays.
    let stolen = ca(&site.directory, &["sign", "c9", STRANGER, "--group", "clients"]).unwrap();
    site.give(&stolen);
    wait_for("the problem", wait, || {
        let problems = certificates(&site.client).problems;
        problems
            .iter()
            .any(|problem| problem.contains("expected: one of the interface's key"))
    });
    assert_eq!(certificates(&site.client).rows[0].serial, serial(&good));

    // A renewed one takes its place, without a frame lost.
    let session = site.peer().unwrap().session.unwrap();
    std::thread::sleep(Duration::from_millis(1_100));
    let later = site.sign(&["--group", "clients", "--address", "10.200.0.7/24"]);
    site.give(&later);
    wait_for("the renewed one", wait, || {
        site.peer().and_then(|row| row.certificate) == Some(serial(&later))
    });
    let row = site.peer().unwrap();
    assert!(row.state == "up" && row.session.unwrap().uptime_ms >= session.uptime_ms);

    // Whoever is revoked is gone at once, and does not come back.
    ca(&site.directory, &["revoke", "c1"]).unwrap();
    wait_for("the end", Duration::from_secs(1), || site.peer().is_none());
    wait_for("the client to learn of it", wait, || {
        peer(&mut site.client.client(), "hub").state != "up"
    });
    site.daemon
        .wait_for_line("peer c1 is gone from group clients: its certificate");
    wait_for("a refusal", wait, || {
        let counts = certificates(&site.hub).counts;
        counts.valid == 0 && counts.refused_as_revoked > 0
    });

    // And whose certificate ends while he is there.
    let until = 3 + std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let until = run("date", &["-u", "-d", &format!("@{until}"), "+%Y-%m-%dT%H:%M:%SZ"]);
    site.give(&site.sign(&["--group", "clients", "--until", until.trim()]));
    wait_for("the session with the short one", wait, || site.is_up());
    wait_for("its end", Duration::from_secs(5), || site.peer().is_none());
    site.daemon.wait_for_line("has expired");
}

/// The one that was there first keeps the address, also with a renewed certificate, until it is revoked.
#[test]
fn of_two_certificates_with_one_address_the_first_counts() {
    let wait = Duration::from_secs(10);
    let site = Site::new();
    let address = ["--group", "clients", "--address", "10.200.0.7/24"];
    site.give(&site.sign(&address));
    let _client = site.client.start();
    wait_for("the session", wait, || site.is_up());

    let other = site.client.key("k2");
    let certificate = ca(&site.directory, &[&["sign", "c2", &other], &address[..]].concat()).unwrap();
    site.client.file("k2.crt", &certificate, 0o644);
    let hub_key = crate::host::public_key(&fs::read_to_string(site.hub.directory.join("k.key")).unwrap());
    site.client
        .client()
        .edit(&format!(
            "interface kd1\nprivate-key file k2.key\ncertificate k2.crt\nlocal 0 any port 7701\npeer hub\npublic-key \
             {hub_key}\nlink 0 remote 10.1.0.1 port 7700\n"
        ))
        .unwrap();
    site.daemon.wait_for_line(
        "certificate of c2 from 10.1.0.2:7701 refused: its address 10.200.0.7 is that of peer c1, who was there first",
    );
    let refusals = certificates(&site.hub).refusals;
    let [row] = &refusals[..] else {
        panic!("{refusals:?}")
    };
    assert!(
        row.reason == "address-taken" && row.latest.contains("c2"),
        "{row:?}"
    );
    let of_c1 = || {
        let rows = certificates(&site.hub).rows;
        rows.into_iter()
            .find(|row| row.name == "c1")
            .map(|row| row.serial)
    };
    let before = of_c1();
    std::thread::sleep(Duration::from_millis(1100));
    site.give(&site.sign(&address));
    wait_for("the renewed one", wait, || of_c1().is_some() && of_c1() != before);
    assert!(site.is_up());

    ca(&site.directory, &["revoke", "c1"]).unwrap();
    wait_for("the end", wait, || site.peer().is_none());
    site.client
        .client()
        .ask(RequestBody::ResetPeer {
            interface: Some("kd1".into()),
            peer: "hub".into(),
            link: None,
        })
        .unwrap();
    wait_for("the other one", wait, || {
        certificates(&site.hub).rows.iter().any(|row| row.name == "c2")
    });
}

/// Whoever puts an old revocation list back and has knetd start anew gets nobody in.
#[test]
fn an_older_revocation_list_is_not_believed_after_a_restart() {
    let wait = Duration::from_secs(10);
    let mut site = Site::new();
    let list = site.directory.join("ca.crl");
    let old = fs::read(&list).unwrap();
    site.give(&site.sign(&["--group", "clients"]));
    let _client = site.client.start();
    wait_for("the session", wait, || site.is_up());
    // Lists have dates of whole seconds.
    std::thread::sleep(Duration::from_millis(1100));
    ca(&site.directory, &["revoke", "c1"]).unwrap();
    wait_for("the end", wait, || site.peer().is_none());
    let new = fs::read(&list).unwrap();
    site.daemon.signal("-KILL");
    site.daemon.wait();

    fs::write(&list, &old).unwrap();
    site.daemon = site.hub.start();
    site.daemon
        .wait_for_line("kd0: group clients: nobody gets in by a certificate: ");
    let problems = certificates(&site.hub).problems;
    assert!(
        problems
            .iter()
            .any(|text| text.contains("a revocation list of example of ")
                && text.contains("was in force already")),
        "{problems:?}"
    );
    wait_for("a refusal", wait, || certificates(&site.hub).counts.refused > 0);
    assert!(site.peer().is_none());
    fs::write(&list, &new).unwrap();
    wait_for("a refusal by the list", wait, || {
        let report = certificates(&site.hub);
        report.problems.is_empty() && report.counts.refused_as_revoked > 0
    });

    // Where the date cannot be kept, that is told, and the list counts all the same.
    let dates = site.hub.directory.join("knetd.conf.revisions/revocation-lists");
    assert!(fs::read_to_string(&dates).unwrap().contains("\nkd0 clients "));
    fs::remove_file(&dates).unwrap();
    fs::create_dir(&dates).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    ca(&site.directory, &["sign", "c2", STRANGER, "--group", "clients"]).unwrap();
    ca(&site.directory, &["revoke", "c2"]).unwrap();
    site.daemon
        .wait_for_line("an older revocation list would be believed after a restart: ");
    site.daemon.wait_for_line("2 certificates are revoked");
    let problems = certificates(&site.hub).problems;
    assert!(
        problems.iter().any(|text| text.contains("revocation-lists")),
        "{problems:?}"
    );
}

/// A change with a newer revocation list can be undone as long as it waits to be confirmed.
#[test]
fn a_revocation_list_on_trial_gives_way_to_the_one_before() {
    let wait = Duration::from_secs(5);
    let site = Site::new();
    let mut client = site.hub.client();
    let problems = || certificates(&site.hub).problems;
    ca(&site.directory, &["sign", "c2", STRANGER, "--group", "clients"]).unwrap();
    let newer = site.hub.directory.join("newer");
    run(
        "cp",
        &["-r", site.directory.to_str().unwrap(), newer.to_str().unwrap()],
    );
    // Lists have dates of whole seconds.
    std::thread::sleep(Duration::from_millis(1100));
    ca(&newer, &["revoke", "c2"]).unwrap();
    let list =
        |directory: &str| format!("interface kd0 peer-group clients revocation-list {directory}/ca.crl\n");

    enter(&mut client, Mode::Candidate, false).unwrap();
    draft(&mut client, &list("newer")).unwrap();
    commit(&mut client, Some((60, None))).unwrap();
    assert!(problems().is_empty());
    // In the same file an older one counts no more already.
    let text = fs::read(newer.join("ca.crl")).unwrap();
    fs::copy(site.directory.join("ca.crl"), newer.join("ca.crl")).unwrap();
    wait_for("the refusal", wait, || {
        problems()
            .iter()
            .any(|text| text.contains("was in force already"))
    });
    fs::write(newer.join("ca.crl"), text).unwrap();
    wait_for("the newer one", wait, || problems().is_empty());
    client.ask(RequestBody::Revert).unwrap();
    assert!(client.running_config().contains("revocation-list ca/ca.crl"));
    assert!(problems().is_empty(), "{:?}", problems());

    draft(&mut client, &list("newer")).unwrap();
    commit(&mut client, Some((60, None))).unwrap();
    client.ask(RequestBody::Confirm).unwrap();
    let refused = client.edit(&list("ca")).unwrap_err();
    assert!(refused.message.contains("was in force already"), "{refused:?}");
}

#[test]
fn files_of_certificates_are_checked() {
    let site = Site::new();
    let check = |host: &Host, said: &str| {
        let path = host.directory.join("knetd.conf");
        let output = Command::new(KNETD)
            .args(["--check", "--config", path.to_str().unwrap()])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.success(), text.contains(said)),
            (said.is_empty(), true),
            "{text}"
        );
    };
    check(&site.hub, "");
    check(&site.client, "k.crt: No such file or directory");
    site.client.file("k.crt", "nothing\n", 0o644);
    check(&site.client, "line 3, column 14");
    check(
        &site.client,
        "there is no certificate in it; expected: one certificate, as `knetd ca sign` writes it",
    );
    let whole = site.sign(&["--group", "clients"]);
    let twice = whole.clone() + &whole;
    site.client.file("k.crt", &twice, 0o644);
    check(&site.client, "a second certificate");
    site.client.file("k.crt", &whole, 0o644);
    check(&site.client, "");
    fs::write(
        site.directory.join("ca.crl"),
        "-----BEGIN KNET REVOCATION LIST-----\n",
    )
    .unwrap();
    check(&site.hub, "the block that begins here does not end");
    let error = site
        .hub
        .client()
        .edit("interface kd0 peer-group more\ncertificate-authority no.pub\n")
        .unwrap_err();
    assert!(error.message.contains("no.pub: No such file"), "{error:?}");
    assert!(!site.hub.client().running_config().contains("more"));
}
