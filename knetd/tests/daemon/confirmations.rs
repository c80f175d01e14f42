//! Changes that are undone unless they are confirmed: by time, with the session, with a peer, and when knetd dies.

use std::{
    fs,
    time::{Duration, Instant},
};

use libknet::api::{
    message::{ErrorCode, EventRow, Reply, RequestBody},
    transaction::{Entry, Mode},
};

use crate::{
    candidates::{commit, draft, enter},
    host::{Client, Host, wait_for},
    metrics::{listens, other},
    revisions::{Mounted, host, revisions},
    tunnel::{pair, peer},
};

/// A commit of this host name, to be confirmed.
fn commit_name(client: &mut Client, name: &str, seconds: u32) {
    enter(client, Mode::Candidate, false).unwrap();
    draft(client, &format!("hostname {name}\n")).unwrap();
    let row = commit(client, Some((seconds, None))).unwrap();
    assert!(row.changed && row.pending.is_some(), "{row:?}");
}

fn name(host: &Host) -> String {
    host.client().welcome.hostname
}

fn goes_back(host: &Host, limit: u64) {
    wait_for("going back", Duration::from_secs(limit), || name(host) == "fra1");
    assert_eq!(host.client().welcome.pending, None);
    assert!(!host.directory.join("knetd.conf.revisions/unconfirmed").exists());
}

fn last_comment(host: &Host) -> (String, String) {
    let row = revisions(&mut host.client()).0.pop().unwrap();
    (row.origin, row.comment.unwrap_or_default())
}

#[test]
fn it_is_undone_in_time_and_everybody_hears_of_it() {
    let host = host();
    let daemon = host.start();
    let (mut ann, mut bob, mut listener) = (host.client(), host.client(), host.client());
    listener.send(RequestBody::Announcements);
    // It listens when the daemon does not count it among the clients any more.
    wait_for("the listener", Duration::from_secs(5), || {
        match bob.ask(RequestBody::Clients).unwrap() {
            Reply::Clients { rows, .. } => rows.len() == 2,
            other => panic!("{other:?}"),
        }
    });
    let start = Instant::now();
    commit_name(&mut ann, "new", 4);
    let pending = host.client().welcome.pending.unwrap();
    assert_eq!(
        (pending.back_to, pending.session, &*pending.user),
        (1, ann.welcome.session, "root")
    );
    // Until then nobody but its session changes anything, and it is not saved.
    assert_eq!(bob.edit("hostname bob\n").unwrap_err().code, ErrorCode::Locked);
    assert_eq!(
        bob.ask(RequestBody::WriteMemory).unwrap_err().code,
        ErrorCode::Locked
    );
    daemon.signal("-HUP");
    daemon.wait_for_line("the running configuration stays as it is");
    ann.edit("interface kd0\nmtu 1333\n").unwrap();
    goes_back(&host, 10);
    assert!(start.elapsed() >= Duration::from_secs(4), "too early");
    assert!(
        ann.running_config().contains("mtu 1300"),
        "what came after it stays"
    );
    let (origin, comment) = last_comment(&host);
    assert_eq!(
        (&*origin, &*comment),
        ("automatic-rollback", "nobody confirmed it within 4 s")
    );
    let mut heard: Vec<EventRow> = Vec::new();
    while heard.len() < 2 {
        match listener.response().unwrap().body.unwrap() {
            Reply::Events { events, .. } => heard.extend(events),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        (&*heard[0].kind, &*heard[1].kind),
        ("commit-waits", "commit-undone")
    );
    assert!(
        heard[1]
            .text
            .contains("revision 1 is in force again: nobody confirmed it"),
        "{heard:?}"
    );
    bob.edit("hostname bob\n").unwrap();
}

#[test]
fn what_is_confirmed_stays() {
    let host = host();
    let _daemon = host.start();
    let (mut ann, mut bob) = (host.client(), host.client());
    commit_name(&mut ann, "one", 3);
    // By a commit of the same session, which may change more.
    draft(&mut ann, "interface kd0\nmtu 1333\n").unwrap();
    let row = commit(&mut ann, None).unwrap();
    assert!(row.changed && row.confirmed && row.pending.is_none());
    // By another one, and by a commit without changes.
    commit_name(&mut ann, "two", 3);
    bob.ask(RequestBody::Confirm).unwrap();
    commit_name(&mut ann, "three", 3);
    assert!(commit(&mut ann, None).unwrap().confirmed);
    std::thread::sleep(Duration::from_millis(4500));
    assert_eq!(name(&host), "three");
    assert_eq!(
        bob.ask(RequestBody::Confirm).unwrap_err().code,
        ErrorCode::NotFound
    );
    assert!(!host.directory.join("knetd.conf.revisions/unconfirmed").exists());

    // A second one begins the time anew and goes back as far as the first; or at once, if somebody says so.
    commit_name(&mut ann, "four", 60);
    commit_name(&mut ann, "five", 60);
    assert_eq!(host.client().welcome.pending.unwrap().back_to, 5);
    bob.ask(RequestBody::Revert).unwrap();
    assert_eq!(name(&host), "three");
    // A change that is refused leaves nothing to confirm.
    draft(
        &mut ann,
        "hostname x\ninterface kd0\nlocal 1 192.0.2.99 port 7700\n",
    )
    .unwrap();
    let error = commit(&mut ann, Some((60, None))).unwrap_err();
    assert!(error.message.contains("192.0.2.99"), "{error}");
    assert_eq!(host.client().welcome.pending, None);
    assert!(!host.directory.join("knetd.conf.revisions/unconfirmed").exists());
    // Nor does one that changes nothing.
    ann.ask(RequestBody::Discard).unwrap();
    assert!(!commit(&mut ann, Some((60, None))).unwrap().changed);
    assert_eq!(host.client().welcome.pending, None);
}

#[test]
fn it_goes_with_the_session_that_made_it_unless_that_left_on_purpose() {
    let host = host();
    let _daemon = host.start();
    let mut ann = host.client();
    commit_name(&mut ann, "new", 600);
    drop(ann);
    goes_back(&host, 5);
    assert_eq!(last_comment(&host).1, "the session of root was lost");

    let mut ann = host.client();
    commit_name(&mut ann, "new", 600);
    ann.ask(RequestBody::Leave).unwrap();
    drop(ann);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(name(&host), "new");
    host.client().ask(RequestBody::Confirm).unwrap();
    assert_eq!(name(&host), "new");
}

#[test]
fn lines_can_be_typed_on_trial_too() {
    let host = host();
    let _daemon = host.start();
    let mut ann = host.client();
    let entry = Entry {
        mode: Mode::Immediate,
        exclusive: false,
        revert_s: Some(3),
    };
    ann.ask(RequestBody::Configure(entry)).unwrap();
    ann.edit("hostname new\n").unwrap();
    ann.edit("interface kd0\nmtu 1333\n").unwrap();
    goes_back(&host, 10);
    assert!(ann.running_config().contains("mtu 1300"));
}

#[test]
fn a_daemon_that_dies_starts_with_what_was_before() {
    let host = host();
    let mut daemon = host.start();
    let mut ann = host.client();
    // Not saved, and not to be lost by a change that nobody confirmed.
    ann.edit("interface kd0\nmtu 1333\n").unwrap();
    commit_name(&mut ann, "new", 600);
    daemon.signal("-KILL");
    daemon.wait();
    let mut daemon = host.start();
    assert!(
        daemon.log().contains("revision 2 is in force again"),
        "{}",
        daemon.log()
    );
    let mut ann = host.client();
    assert_eq!((&*ann.welcome.hostname, ann.welcome.revision), ("fra1", 4));
    assert!(ann.running_config().contains("mtu 1333"));
    assert!(host.ip(&["link", "show", "kd0"]).contains("mtu 1333"));
    goes_back(&host, 1);

    // The mark is on the disk before the change is in force: died in between.
    let mark = host.directory.join("knetd.conf.revisions/unconfirmed");
    commit_name(&mut ann, "new", 600);
    let text = fs::read(&mark).unwrap();
    ann.ask(RequestBody::Revert).unwrap();
    daemon.signal("-KILL");
    daemon.wait();
    fs::write(&mark, text).unwrap();
    let mut daemon = host.start();
    assert_eq!(name(&host), "fra1");
    assert!(host.client().running_config().contains("mtu 1333"));
    // A file that somebody has changed since counts.
    commit_name(&mut host.client(), "new", 600);
    wait_for("the mark", Duration::from_secs(5), || !mark.exists());
    let mut ann = host.client();
    commit_name(&mut ann, "new", 600);
    daemon.signal("-KILL");
    daemon.wait();
    host.config("hostname rescued\n");
    let _daemon = host.start();
    assert_eq!(name(&host), "rescued");
    assert!(!mark.exists());
}

/// At many moments of a commit.
#[test]
fn wherever_it_is_killed_an_unconfirmed_change_does_not_come_back() {
    let host = host();
    let mut seed = 0x2545_f491_u32;
    for round in 0..10 {
        let mut daemon = host.start();
        assert_eq!(name(&host), "fra1", "round {round}");
        let mut ann = host.client();
        enter(&mut ann, Mode::Candidate, false).unwrap();
        draft(&mut ann, "hostname new\n").unwrap();
        ann.send(RequestBody::Commit {
            comment: None,
            confirmed: Some(libknet::api::transaction::Confirmation {
                seconds: 600,
                peer: None,
            }),
        });
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        std::thread::sleep(Duration::from_micros(u64::from(seed >> 16) % 4_000));
        daemon.signal("-KILL");
        daemon.wait();
    }
    let _daemon = host.start();
    goes_back(&host, 1);
}

#[test]
fn what_cannot_be_undone_is_not_begun() {
    let host = host();
    let directory = host.directory.join("knetd.conf.revisions");
    fs::create_dir(&directory).unwrap();
    let _mounted = Mounted::new(&directory, "size=16k,mode=700");
    let _daemon = host.start();
    let mut ann = host.client();
    assert_eq!(revisions(&mut ann).1, None);
    let filler = directory.join("filler");
    let _ = fs::write(&filler, vec![0; 64 * 1024]);
    enter(&mut ann, Mode::Candidate, false).unwrap();
    draft(&mut ann, "hostname new\n").unwrap();
    let error = commit(&mut ann, Some((60, None))).unwrap_err();
    assert_eq!(error.code, ErrorCode::System);
    assert!(error.message.contains("No space left"), "{error}");
    assert_eq!(
        (name(&host), host.client().welcome.pending),
        ("fra1".into(), None)
    );
    fs::remove_file(&filler).unwrap();
    commit(&mut ann, Some((60, None))).unwrap();
    assert_eq!(name(&host), "new");
}

#[test]
fn what_can_be_waited_for_is_not_in_the_way() {
    let host = Host::new();
    host.key("a");
    let keys = host.file("keys", "", 0o644);
    let mut in_the_way = other(&host, "9273");
    host.config(
        "hostname fra1\nmetrics listen 127.0.0.1 port 9273\ninterface kd0\n private-key file a.key\n peer-group \
         branches\n  authorized-keys keys\n",
    );
    let daemon = host.start();
    daemon.wait_for_line("metrics cannot be told at 127.0.0.1:9273: it is in use");
    let mut ann = host.client();
    enter(&mut ann, Mode::Candidate, false).unwrap();
    draft(
        &mut ann,
        "hostname new\nmetrics listen ::1 port 9273\nno interface kd0 peer-group branches\n",
    )
    .unwrap();
    commit(&mut ann, Some((2, None))).unwrap();
    wait_for("the other socket", Duration::from_secs(5), || {
        listens(&host, "[::1]:9273")
    });
    fs::remove_file(keys).unwrap();
    goes_back(&host, 5);
    let running = ann.running_config();
    assert!(
        running.contains("127.0.0.1 port 9273") && running.contains("authorized-keys keys"),
        "{running}"
    );
    daemon.wait_for_line("group branches stays with 0 peers listed");
    assert!(!listens(&host, "[::1]:9273"));
    in_the_way.kill().unwrap();
    in_the_way.wait().unwrap();
    daemon.wait_for_line("metrics are told at 127.0.0.1:9273");
}

#[test]
fn it_goes_when_the_named_peer_is_lost() {
    let pair = pair();
    let mut ann = pair.a.client();
    enter(&mut ann, Mode::Candidate, false).unwrap();
    // Only a peer that is there, and stays, can be lost.
    draft(&mut ann, "hostname new\n").unwrap();
    for (named, code) in [("nobody", ErrorCode::Invalid), ("none", ErrorCode::NotFound)] {
        assert_eq!(commit(&mut ann, Some((60, Some(named)))).unwrap_err().code, code);
    }
    let row = commit(&mut ann, Some((60, Some("bert")))).unwrap();
    assert_eq!(row.pending.unwrap().peer.as_deref(), Some("bert"));
    draft(&mut ann, "no interface kd0 peer bert\n").unwrap();
    let error = commit(&mut ann, Some((60, Some("bert")))).unwrap_err();
    assert!(error.message.contains("takes peer bert"), "{error}");
    ann.ask(RequestBody::Discard).unwrap();
    commit(&mut ann, None).unwrap();

    // Cut off by the change itself.
    let cut = "interface kd0\npeer bert\nlink 0\ntimers 100 300\npong-count 1\nshutdown\n\
               link 1\ntimers 100 300\npong-count 1\nshutdown\n";
    draft(&mut ann, cut).unwrap();
    let start = Instant::now();
    commit(&mut ann, Some((600, Some("bert")))).unwrap();
    wait_for("the peer to be lost", Duration::from_secs(5), || {
        peer(&mut pair.a.client(), "bert").links_up == 0
    });
    wait_for("going back", Duration::from_secs(15), || {
        pair.a.client().welcome.pending.is_none()
    });
    assert!(start.elapsed() >= Duration::from_secs(4), "{:?}", start.elapsed());
    let (origin, comment) = last_comment(&pair.a);
    assert_eq!(
        (&*origin, &*comment),
        ("automatic-rollback", "peer bert was lost")
    );
    wait_for("the peer", Duration::from_secs(15), || {
        peer(&mut pair.a.client(), "bert").links_up == 2
    });
}
