//! Revisions: what is kept, how they differ, the way back, and what is left of them after a crash.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use libknet::api::{
    load::load,
    message::{ErrorCode, Reply, RequestBody},
    problem::Problem,
    render::render,
    transaction::{CommitRow, Entry, Mode, RevisionRow, Version},
};

use crate::host::{Client, Host, run, text, wait_for};

const CONFIG: &str =
    "hostname fra1\n!\ninterface kd0\n private-key file a.key\n mtu 1300\n local 0 127.0.0.1 port 7700\n";

pub(crate) fn host() -> Host {
    let host = Host::new();
    host.key("a");
    host.config(CONFIG);
    host
}

pub(crate) fn revisions(client: &mut Client) -> (Vec<RevisionRow>, Option<String>) {
    match client.ask(RequestBody::Revisions).unwrap() {
        Reply::Revisions { rows, not_kept, .. } => (rows, not_kept),
        other => panic!("{other:?}"),
    }
}

fn told(client: &mut Client) -> Vec<String> {
    let row = |row: &RevisionRow| {
        let marks = [(row.running, "running"), (row.startup, "startup")];
        let marks: Vec<&str> = marks
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, mark)| mark)
            .collect();
        format!(
            "{} {} {} {}",
            row.revision,
            row.changes,
            row.origin,
            marks.join(",")
        )
    };
    revisions(client).0.iter().map(row).collect()
}

pub(crate) fn committed(reply: Reply) -> CommitRow {
    match reply {
        Reply::Committed(row) => *row,
        other => panic!("{other:?}"),
    }
}

fn rollback(client: &mut Client, revision: u64) -> CommitRow {
    let comment = Some("back again".into());
    committed(client.ask(RequestBody::Rollback { revision, comment }).unwrap())
}

fn replace(client: &mut Client, file: &str) -> Reply {
    for (index, piece) in file.as_bytes().chunks(50_000).enumerate() {
        let (bytes, first) = (piece.to_vec(), index == 0);
        client.ask(RequestBody::Upload { bytes, first }).unwrap();
    }
    client.ask(RequestBody::Replace { comment: None }).unwrap()
}

fn diff(client: &mut Client, from: Version, to: Version) -> String {
    text(client.all(RequestBody::ConfigDiff { from, to }).unwrap())
}

#[test]
fn each_block_of_changes_is_a_revision_that_can_be_gone_back_to() {
    let host = host();
    let mut daemon = host.start();
    let mut client = host.client();
    assert_eq!(told(&mut client), ["1 1 start running,startup"]);
    // Typed one after the other they are one; what is saved or looked at begins anew.
    for mtu in 1301..=1305 {
        client.edit(&format!("interface kd0\nmtu {mtu}\n")).unwrap();
    }
    assert_eq!(told(&mut client), ["1 1 start startup", "6 5 lines running"]);
    client.edit("hostname fra2\n").unwrap();
    client.ask(RequestBody::WriteMemory).unwrap();
    client
        .edit("interface kd0\ndescription typed after the save\n")
        .unwrap();
    assert_eq!(
        told(&mut client),
        [
            "1 1 start ",
            "6 5 lines ",
            "7 1 lines startup",
            "8 1 lines running"
        ]
    );

    let unified = "--- startup-config\n+++ running-config (revision 8)\n interface kd0\n+ description typed after the save\n";
    assert_eq!(diff(&mut client, Version::Startup, Version::Running), unified);
    let between = diff(&mut client, Version::Revision(1), Version::Revision(7));
    assert_eq!(
        between,
        "--- revision 1\n+++ revision 7\n-hostname fra1\n+hostname fra2\n interface kd0\n- mtu 1300\n+ mtu 1305\n"
    );
    assert_eq!(diff(&mut client, Version::Running, Version::Running), "");
    let error = client
        .all(RequestBody::ConfigText(Version::Revision(3)))
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert!(error.hint.unwrap().contains("from 1 to 8"));

    let index = host
        .ip(&["-o", "link", "show", "kd0"])
        .split(':')
        .next()
        .unwrap()
        .to_owned();
    let row = rollback(&mut client, 1);
    assert_eq!((row.revision, row.changed, &*row.hostname), (9, true, "fra1"));
    let link = host.ip(&["-o", "link", "show", "kd0"]);
    assert!(
        link.contains("mtu 1300") && link.starts_with(&index),
        "made anew: {link}"
    );
    assert!(!rollback(&mut client, 1).changed);
    let (rows, _) = revisions(&mut client);
    let last = rows.last().unwrap();
    assert_eq!(
        (&*last.user, last.back_to, last.comment.as_deref()),
        ("root", Some(1), Some("back again"))
    );

    // All of it is there after the next start, and the file counts.
    daemon.signal("-KILL");
    daemon.wait();
    let _daemon = host.start();
    let mut client = host.client();
    assert_eq!(client.welcome.revision, 10);
    assert_eq!(
        told(&mut client)[3..],
        ["8 1 lines ", "9 1 rollback ", "10 1 start running,startup"]
    );
    assert!(client.running_config().contains("hostname fra2"));
    assert_eq!(rollback(&mut client, 9).revision, 11);
}

#[test]
fn a_start_with_what_was_in_force_is_no_new_revision() {
    let host = host();
    for _ in 0..3 {
        let mut daemon = host.start();
        assert_eq!(told(&mut host.client()), ["1 1 start running,startup"]);
        daemon.signal("-TERM");
        daemon.wait();
    }
    let mut daemon = host.start();
    host.client().edit("hostname x\n").unwrap();
    daemon.signal("-TERM");
    daemon.wait();
    // The lines that were being typed are kept though nobody asked.
    fs::remove_file(host.directory.join("knetd.conf")).unwrap();
    let _daemon = host.start();
    let rows = told(&mut host.client());
    assert_eq!(rows, ["1 1 start ", "2 1 lines ", "3 1 start running"]);
}

#[test]
fn only_the_latest_are_kept_and_only_for_their_owner() {
    let host = host();
    let _daemon = host.start();
    let mut client = host.client();
    for n in 0..60 {
        let file = format!("hostname n{n}\n");
        committed(replace(&mut client, &file));
    }
    let (rows, not_kept) = revisions(&mut client);
    assert_eq!((rows.len(), rows[0].revision, not_kept), (50, 12, None));
    let directory = host.directory.join("knetd.conf.revisions");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&directory), 0o700);
    let files: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    assert_eq!(files.len(), 50);
    assert!(files.iter().all(|file| mode(file) == 0o600));
    // Each is a configuration file by itself.
    run(
        crate::host::KNETD,
        &["--check", "--config", &files[7].display().to_string()],
    );
}

#[test]
fn a_file_replaces_what_is_configured_whole_or_not_at_all() {
    let host = host();
    let _daemon = host.start();
    let mut client = host.client();
    let before = client.running_config();
    let problems = |reply| match reply {
        Reply::Problems(problems) => problems,
        other => panic!("{other:?}"),
    };
    let place = |p: &Problem| p.span.map(|span| (span.line, span.column)).unwrap();
    let wrong = format!("{CONFIG} mtu 99\n local 1 127.0.0.1 port 7700\n");
    let found = problems(replace(&mut client, &wrong));
    assert_eq!(
        found.iter().map(place).collect::<Vec<_>>(),
        [(7, 6), (8, 10)],
        "{found:#?}"
    );
    // What only the daemon can see has its place, too.
    let found = problems(replace(&mut client, &CONFIG.replace("a.key", "none.key")));
    assert_eq!(place(&found[0]), (4, 19), "{found:#?}");
    assert!(found[0].text.contains("knetd genkey"), "{found:#?}");
    // The system refuses.
    let foreign = CONFIG.replace("127.0.0.1", "192.0.2.99");
    for (index, piece) in foreign.as_bytes().chunks(50).enumerate() {
        let (bytes, first) = (piece.to_vec(), index == 0);
        client.ask(RequestBody::Upload { bytes, first }).unwrap();
    }
    let error = client.ask(RequestBody::Replace { comment: None }).unwrap_err();
    assert!(error.message.contains("192.0.2.99"), "{error}");
    assert_eq!(client.running_config(), before);

    let peers: String = (0..3000)
        .map(|n| format!(" peer p{n}\n  description {}\n", "x".repeat(60)))
        .collect();
    let long = format!("{CONFIG}{peers}");
    assert!(long.len() > 200_000);
    let row = committed(replace(&mut client, &long));
    assert_eq!((row.revision, row.changed, row.notes.len()), (2, true, 100));
    assert_eq!(
        client.running_config(),
        render(&load(long.as_bytes()).config, false)
    );
    committed(replace(&mut client, CONFIG));
    assert_eq!(client.running_config(), before);
    // An empty file is an empty configuration.
    client
        .ask(RequestBody::Upload {
            bytes: Vec::new(),
            first: true,
        })
        .unwrap();
    committed(client.ask(RequestBody::Replace { comment: None }).unwrap());
    assert_eq!(client.running_config(), "");
}

#[test]
fn where_nothing_can_be_written_changes_are_in_force_and_it_is_told() {
    let host = host();
    let mount = host.directory.join("etc");
    fs::create_dir(&mount).unwrap();
    let small = mount.display().to_string();
    let mounting = "-t tmpfs -o size=64k,mode=755 none";
    run(
        "mount",
        &[&mounting.split(' ').collect::<Vec<_>>()[..], &[&small]].concat(),
    );
    struct Unmount(String);
    impl Drop for Unmount {
        fn drop(&mut self) {
            run("umount", &["-l", &self.0]);
        }
    }
    let _unmount = Unmount(small.clone());
    let _daemon = host.start_of(&mount, ":");
    let mut client = Client::connect(&mount.join("knetd.sock")).unwrap();
    // A disk that is full.
    let filler = mount.join("filler");
    client.edit("hostname one\n").unwrap();
    assert_eq!(revisions(&mut client), (revisions(&mut client).0, None));
    let _ = fs::write(&filler, vec![0; 128 * 1024]);
    client.edit("hostname two\n").unwrap();
    let (rows, not_kept) = revisions(&mut client);
    assert!(
        not_kept
            .as_deref()
            .is_some_and(|why| why.contains("No space left")),
        "{not_kept:?}"
    );
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(client.running_config().contains("two"));
    let directory = mount.join("knetd.conf.revisions");
    let names = || -> Vec<String> {
        let names = fs::read_dir(&directory).unwrap();
        names
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    assert_eq!(names(), ["000000001.conf"]);
    // It is there as soon as there is room again.
    fs::remove_file(&filler).unwrap();
    assert_eq!(revisions(&mut client).1, None);
    assert_eq!(names().len(), 2);
}

#[test]
fn where_the_directory_is_read_only_nothing_is_lost_but_the_way_back() {
    let host = host();
    let directory = host.directory.join("knetd.conf.revisions");
    fs::create_dir(&directory).unwrap();
    let _mounted = Mounted::new(&directory, "ro,mode=700");
    let _daemon = host.start();
    let mut client = host.client();
    let row = committed(replace(&mut client, "hostname two\n"));
    assert!(
        row.changed
            && row
                .not_kept
                .as_deref()
                .is_some_and(|why| why.contains("Read-only")),
        "{row:?}"
    );
    // What cannot be gone back from is not begun.
    let entry = Entry {
        mode: Mode::Immediate,
        exclusive: false,
        revert_s: Some(60),
    };
    let error = client.ask(RequestBody::Configure(entry)).unwrap_err();
    assert!(error.message.contains("Read-only"), "{error}");
    assert_eq!(client.welcome.pending, None);
    // The file beside it can be written.
    client.ask(RequestBody::WriteMemory).unwrap();
    assert_eq!(
        fs::read_to_string(host.directory.join("knetd.conf")).unwrap(),
        "hostname two\n"
    );
}

/// A small file system in memory.
pub(crate) struct Mounted(String);

impl Mounted {
    pub(crate) fn new(at: &Path, options: &str) -> Self {
        let path = at.display().to_string();
        run("mount", &["-t", "tmpfs", "-o", options, "none", &path]);
        Self(path)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &["-l", &self.0]);
    }
}

/// Killed at many moments of saving (`KNET_CRASHES=N`: at so many): afterwards there is the old file or the new one, and
/// every revision is whole.
#[test]
fn a_crash_while_it_writes_leaves_the_old_or_the_new() {
    let host = host();
    let directory = host.directory.join("knetd.conf.revisions");
    let file = host.directory.join("knetd.conf");
    // Long enough that writing takes a moment.
    let body = |n: u32| {
        let peers: String = (0..400)
            .map(|p| format!(" peer p{p}\n  description {n}-{}\n", "x".repeat(100)))
            .collect();
        format!("hostname n{n}\n!\ninterface kd0\n{peers}")
    };
    let ready_to_save = |round: u32| {
        host.config(&body(round * 2));
        let (daemon, mut client) = (host.start(), host.client());
        let next = body(round * 2 + 1);
        for (index, piece) in next.as_bytes().chunks(50_000).enumerate() {
            let (bytes, first) = (piece.to_vec(), index == 0);
            client.ask(RequestBody::Upload { bytes, first }).unwrap();
        }
        (daemon, client, next)
    };
    // How long it takes on this machine: the moments lie within that, and a little behind it.
    let whole = {
        let (_daemon, mut client, _) = ready_to_save(0);
        let start = Instant::now();
        client.ask(RequestBody::Replace { comment: None }).unwrap();
        client.ask(RequestBody::WriteMemory).unwrap();
        start.elapsed()
    };
    let mut seed = 0x9e37_79b9_u32;
    let start = Instant::now();
    let (mut old, mut new) = (0, 0);
    let crashes = std::env::var("KNET_CRASHES").map_or(15, |n| n.parse().unwrap());
    for round in 0..crashes {
        let (mut daemon, mut client, next) = ready_to_save(round);
        client.send(RequestBody::Replace { comment: None });
        client.send(RequestBody::WriteMemory);
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        std::thread::sleep(whole * 5 / 4 * (seed >> 16) / 0x1_0000);
        daemon.signal("-KILL");
        daemon.wait();
        let text = fs::read(&file).unwrap();
        let config = load(&text).config;
        if config == load(body(round * 2).as_bytes()).config {
            old += 1;
        } else {
            assert!(
                config == load(next.as_bytes()).config,
                "round {round}: neither the old nor the new file"
            );
            new += 1;
        }
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "conf") {
                let text = fs::read_to_string(&path).unwrap();
                let loaded = load(text.as_bytes());
                assert_eq!(loaded.errors().count(), 0, "{}", path.display());
                let peers = loaded.config.interfaces.get("kd0").map_or(0, |i| i.peers.len());
                assert!([0, 400].contains(&peers), "{}: {peers} peers", path.display());
                let bytes = text
                    .lines()
                    .find_map(|line| line.strip_prefix("! bytes "))
                    .unwrap();
                assert!(text.len() > bytes.parse().unwrap(), "{} is cut", path.display());
            }
        }
    }
    println!(
        "{old} times the old file, {new} times the new one, in {:?}",
        start.elapsed()
    );
    // What was left beside them is swept away by the next start.
    let _daemon = host.start();
    wait_for("sweeping", Duration::from_secs(2), || {
        let left = |directory: &Path| {
            fs::read_dir(directory)
                .unwrap()
                .any(|e| e.unwrap().file_name().to_string_lossy().ends_with(".new"))
        };
        !left(&directory) && !left(&host.directory)
    });
}
