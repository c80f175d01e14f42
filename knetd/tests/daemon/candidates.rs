//! Candidates, the lock, and who may do what.

use libknet::api::{
    edit::Op,
    message::{ApiError, ErrorCode, Reply, RequestBody},
    problem::Problem,
    transaction::{ClientRow, CommitRow, Confirmation, Entry, Mode, Version},
};

use crate::{
    host::{Client, ops, text, wait_for},
    revisions::{committed, host, revisions},
};

pub(crate) fn enter(client: &mut Client, mode: Mode, exclusive: bool) -> Result<Vec<ClientRow>, ApiError> {
    let entry = Entry {
        mode,
        exclusive,
        revert_s: None,
    };
    match client.ask(RequestBody::Configure(entry))? {
        Reply::Entered { others, .. } => Ok(others),
        other => panic!("{other:?}"),
    }
}

/// Types these lines into the candidate.
pub(crate) fn draft(client: &mut Client, lines: &str) -> Result<Vec<Problem>, ApiError> {
    let ops: Vec<Op> = ops(lines);
    match client.ask(RequestBody::EditCandidate { ops })? {
        Reply::Edited { notes, .. } => Ok(notes),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn commit(
    client: &mut Client,
    confirmed: Option<(u32, Option<&str>)>,
) -> Result<CommitRow, ApiError> {
    let confirmed = confirmed.map(|(seconds, peer)| Confirmation {
        seconds,
        peer: peer.map(str::to_owned),
    });
    client
        .ask(RequestBody::Commit {
            comment: Some("a test".into()),
            confirmed,
        })
        .map(committed)
}

fn who(client: &mut Client) -> Vec<ClientRow> {
    match client.ask(RequestBody::Clients).unwrap() {
        Reply::Clients { rows, .. } => rows,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_candidate_is_one_s_own_until_it_is_committed() {
    let host = host();
    let daemon = host.start();
    let (mut ann, mut bob) = (host.client(), host.client());
    enter(&mut ann, Mode::Candidate, false).unwrap();
    let others = enter(&mut bob, Mode::Immediate, false).unwrap();
    assert_eq!((others.len(), &*others[0].mode), (1, "candidate"));
    draft(&mut ann, "interface kd0\nmtu 1350\n").unwrap();
    // On the way it may make no sense; whoever commits it is told everything.
    let notes = draft(
        &mut ann,
        "interface kd0\npeer p\nlink 0 local 1 remote 127.0.0.2 port 7700\n",
    )
    .unwrap();
    assert!(
        notes.iter().any(|note| note.text.contains("local 1")),
        "{notes:?}"
    );
    assert!(host.ip(&["link", "show", "kd0"]).contains("mtu 1300"));
    let request = RequestBody::ConfigText(Version::Candidate);
    assert!(text(ann.all(request.clone()).unwrap()).contains("mtu 1350"));
    assert_eq!(bob.all(request).unwrap_err().code, ErrorCode::NotFound);
    for request in [
        RequestBody::CommitCheck,
        RequestBody::Commit {
            comment: None,
            confirmed: None,
        },
    ] {
        match ann.ask(request).unwrap() {
            Reply::Problems(problems) => assert!(problems[0].text.contains("local 1"), "{problems:?}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        enter(&mut ann, Mode::Exec, false).unwrap_err().code,
        ErrorCode::Conflict,
        "changes were thrown away"
    );
    draft(&mut ann, "interface kd0\nlocal 1 127.0.0.3 port 7700\n").unwrap();
    match ann.ask(RequestBody::CommitCheck).unwrap() {
        Reply::Impact { rows, notes } => {
            assert_eq!((rows.len(), &*rows[0].action), (1, "change"));
            assert_eq!(rows[0].settings, ["local 1", "MTU"]);
            // It has no key yet, so that it would not run.
            assert!(rows[0].peers.is_empty() && notes.len() == 1, "{rows:?} {notes:?}");
        }
        other => panic!("{other:?}"),
    }
    assert!(host.ip(&["link", "show", "kd0"]).contains("mtu 1300"));
    let row = commit(&mut ann, None).unwrap();
    assert_eq!((row.revision, row.changed, row.notes.len()), (2, true, 1));
    assert!(host.ip(&["link", "show", "kd0"]).contains("mtu 1350"));
    assert_eq!(revisions(&mut bob).0[1].comment.as_deref(), Some("a test"));
    assert!(
        daemon.log().contains("revision 2, committed (a test)"),
        "{}",
        daemon.log()
    );
    assert!(!commit(&mut ann, None).unwrap().changed);
    enter(&mut ann, Mode::Exec, false).unwrap();
    assert_eq!(
        draft(&mut ann, "hostname x\n").unwrap_err().code,
        ErrorCode::NotFound
    );
    // What was thrown away, or lost with the connection, leaves nothing behind.
    enter(&mut bob, Mode::Candidate, false).unwrap();
    draft(&mut bob, "hostname bob\n").unwrap();
    bob.ask(RequestBody::Discard).unwrap();
    enter(&mut bob, Mode::Exec, false).unwrap();
    assert!(!ann.running_config().contains("bob"));
}

#[test]
fn who_comes_late_is_told_whose_changes_he_would_undo() {
    let host = host();
    let _daemon = host.start();
    let (mut ann, mut bob) = (host.client(), host.client());
    enter(&mut ann, Mode::Candidate, false).unwrap();
    draft(&mut ann, "interface kd0\nmtu 1350\n").unwrap();
    bob.edit("hostname bob\n").unwrap();
    let error = commit(&mut ann, None).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert!(
        error.message.contains("revision 2 by root at 2") && error.hint.unwrap().contains("`update`"),
        "{}",
        error.message
    );
    assert!(ann.ask(RequestBody::CommitCheck).is_err());
    ann.ask(RequestBody::Update).unwrap();
    let row = commit(&mut ann, None).unwrap();
    assert_eq!((row.revision, &*row.hostname), (3, "bob"));
    assert!(ann.running_config().contains("mtu 1350"));

    // The same setting: the two have to talk.
    draft(&mut ann, "interface kd0\nmtu 1360\n").unwrap();
    bob.edit("interface kd0\nmtu 1370\n").unwrap();
    let error = ann.ask(RequestBody::Update).unwrap_err();
    assert!(
        error
            .message
            .contains("interface kd0: `mtu 1360` here, `mtu 1370` in force"),
        "{error}"
    );
    // One that nobody has edited moves along by itself.
    ann.ask(RequestBody::Discard).unwrap();
    bob.edit("interface kd0\nmtu 1380\n").unwrap();
    assert!(!commit(&mut ann, None).unwrap().changed);
    assert!(ann.running_config().contains("mtu 1380"));
    // An earlier revision, or a file, goes into the candidate first.
    let rollback = RequestBody::Rollback {
        revision: 1,
        comment: None,
    };
    ann.ask(rollback).unwrap();
    assert!(ann.running_config().contains("mtu 1380"));
    commit(&mut ann, None).unwrap();
    assert!(ann.running_config().contains("mtu 1300"));
}

#[test]
fn who_locks_it_is_alone_until_he_leaves() {
    let host = host();
    let mut daemon = host.start();
    let (mut ann, mut bob) = (host.client(), host.client());
    enter(&mut bob, Mode::Candidate, false).unwrap();
    draft(&mut bob, "hostname bob\n").unwrap();
    enter(&mut ann, Mode::Immediate, true).unwrap();
    let holder = ann.welcome.session;
    let refused = [
        bob.edit("hostname x\n").unwrap_err(),
        commit(&mut bob, None).unwrap_err(),
        enter(&mut host.client(), Mode::Candidate, true).unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.code, ErrorCode::Locked);
        assert!(
            error.message.contains(&format!(
                "only root may change the configuration now (session {holder}, since 20"
            )),
            "{error}"
        );
    }
    host.config("hostname file\n");
    daemon.signal("-HUP");
    daemon.wait_for_line("the running configuration stays as it is");
    ann.edit("hostname ann\n").unwrap();
    let rows = who(&mut bob);
    assert_eq!(
        rows.iter()
            .filter(|row| row.exclusive)
            .map(|row| row.session)
            .collect::<Vec<_>>(),
        [holder]
    );
    assert!(
        rows.iter()
            .any(|row| row.own && row.mode == "candidate" && row.pid == Some(std::process::id()))
    );
    enter(&mut ann, Mode::Exec, false).unwrap();
    bob.edit("hostname bob\n").unwrap();

    // He may also be gone, or be sent away.
    enter(&mut ann, Mode::Immediate, true).unwrap();
    drop(ann);
    wait_for("the lock to go", std::time::Duration::from_secs(5), || {
        bob.edit("hostname c\n").is_ok()
    });
    let mut carl = host.client();
    enter(&mut carl, Mode::Immediate, true).unwrap();
    let session = carl.welcome.session;
    bob.ask(RequestBody::ClearClient { session }).unwrap();
    assert!(carl.response().is_none(), "he is still there");
    wait_for("the lock to go", std::time::Duration::from_secs(5), || {
        bob.edit("hostname d\n").is_ok()
    });
    assert_eq!(
        bob.ask(RequestBody::ClearClient { session }).unwrap_err().code,
        ErrorCode::NotFound
    );
    let own = bob.welcome.session;
    assert_eq!(
        bob.ask(RequestBody::ClearClient { session: own })
            .unwrap_err()
            .code,
        ErrorCode::Invalid
    );
    daemon.signal("-TERM");
    daemon.wait();
}

#[test]
fn candidates_are_bounded() {
    let host = host();
    let _daemon = host.start();
    let mut clients: Vec<Client> = (0..8).map(|_| host.client()).collect();
    for client in &mut clients {
        enter(client, Mode::Candidate, false).unwrap();
    }
    // All of this user's places are taken by now; one that merely listens takes none.
    clients[0].send(RequestBody::Announcements);
    let mut late = None;
    wait_for("a place", std::time::Duration::from_secs(5), || {
        late = Client::connect(&host.socket()).ok();
        late.is_some()
    });
    let mut late = late.unwrap();
    let error = enter(&mut late, Mode::Candidate, false).unwrap_err();
    assert_eq!(error.code, ErrorCode::Busy);
    enter(&mut late, Mode::Immediate, false).unwrap();
    enter(&mut clients[1], Mode::Exec, false).unwrap();
    enter(&mut late, Mode::Candidate, false).unwrap();
}
