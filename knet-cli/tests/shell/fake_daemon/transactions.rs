//! Revisions, a candidate, and what waits to be confirmed, as far as a shell can tell.

use std::time::Duration;

use knet_api::{
    load::load,
    message::{ApiError, ErrorCode, EventRow, Reply, RequestBody},
    model::Config,
    render::render,
    text_diff::text_diff,
    transaction::{ClientRow, CommitRow, ImpactRow, Mode, PeerImpactRow, PendingRow, RevisionRow, Version},
};

use super::{Answer, CONFIG, State};

/// What one client does; the tests have one.
#[derive(Default)]
pub(super) struct Work {
    candidate: Option<Config>,
    pending: Option<PendingRow>,
    upload: Vec<u8>,
}

/// What a new shell is told.
pub(super) fn waiting() -> PendingRow {
    PendingRow {
        user: "ann".into(),
        session: 7,
        back_to: 1,
        seconds_left: 90,
        peer: Some("ams1".into()),
    }
}

/// One, or none; then nothing for a long time.
pub(super) fn announcements(any: bool) -> Vec<Answer> {
    let event = |session: &str, text: &str| EventRow {
        unix_ms: 1_735_689_601_500,
        kind: "commit-undone".into(),
        text: text.into(),
        details: vec![("session".into(), session.into())],
        ..EventRow::default()
    };
    let events = vec![
        event("1", "what this shell has done itself"),
        event("7", "the change by ann was undone\u{1b}[2J"),
    ];
    let told = Ok(Reply::Events { events, dropped: 0 });
    let told = any.then(|| (Duration::from_millis(200), told));
    told.into_iter()
        .chain([(Duration::from_secs(3600), Ok(Reply::Done))])
        .collect()
}

fn versioned(state: &State, version: Version) -> (String, Config) {
    match version {
        Version::Running => (
            format!("running-config (revision {})", state.revision),
            state.running.clone(),
        ),
        Version::Startup => ("startup-config".into(), load(state.startup.as_bytes()).config),
        Version::Candidate => (
            "candidate (made from revision 1)".into(),
            state.work.candidate.clone().unwrap_or_default(),
        ),
        Version::Revision(number) => (format!("revision {number}"), load(CONFIG.as_bytes()).config),
    }
}

pub(super) fn text(state: &State, body: &RequestBody) -> String {
    match body {
        RequestBody::ConfigText(version) => render(&versioned(state, *version).1, false),
        RequestBody::ConfigDiff { from, to } => {
            let ((a, from), (b, to)) = (versioned(state, *from), versioned(state, *to));
            text_diff((&a, &from), (&b, &to))
        }
        other => panic!("{other:?}"),
    }
}

fn put(state: &mut State, config: Config, pending: Option<PendingRow>) -> Reply {
    let changed = config != state.running;
    let confirmed = !changed && pending.is_none() && state.work.pending.is_some();
    state.running = config;
    state.revision += u64::from(changed);
    state.work.pending.clone_from(&pending);
    Reply::Committed(Box::new(CommitRow {
        revision: state.revision,
        changed,
        hostname: state.running.hostname.clone().unwrap_or("host".into()),
        pending,
        confirmed,
        ..CommitRow::default()
    }))
}

fn client(session: u64, user: &str, mode: &str) -> ClientRow {
    ClientRow {
        session,
        own: session == 1,
        user: user.into(),
        uid: 1000,
        pid: Some(4000),
        since_unix_ms: 1_735_689_600_000,
        idle_ms: 61_000,
        mode: mode.into(),
        exclusive: session == 7,
    }
}

fn revisions(state: &State) -> Vec<RevisionRow> {
    let row = |revision, user: &str, origin: &str, comment: Option<&str>| RevisionRow {
        revision,
        changes: revision,
        unix_ms: 1_735_689_600_000 + revision * 60_000,
        user: user.into(),
        origin: origin.into(),
        comment: comment.map(str::to_owned),
        bytes: 512,
        ..RevisionRow::default()
    };
    vec![
        RevisionRow {
            startup: true,
            ..row(1, "system", "start", None)
        },
        row(2, "ann", "commit", Some("the new provider\u{1b}[2J")),
        RevisionRow {
            back_to: Some(1),
            running: true,
            ..row(
                3,
                "root",
                "automatic-rollback",
                Some("nobody confirmed it within 300 s"),
            )
        },
    ]
    .into_iter()
    .filter(|row| row.revision <= state.revision.max(3))
    .collect()
}

pub(super) fn answer(state: &mut State, body: RequestBody) -> Result<Reply, ApiError> {
    let nothing = || ApiError::new(ErrorCode::NotFound, "no change waits to be confirmed");
    match body {
        RequestBody::Configure(entry) => {
            if entry.mode == Mode::Exec
                && state
                    .work
                    .candidate
                    .as_ref()
                    .is_some_and(|candidate| *candidate != state.running)
            {
                return Err(ApiError::new(
                    ErrorCode::Conflict,
                    "the candidate has changes that are not committed",
                )
                .with_hint("`commit` puts them in force, `exit discard` throws them away"));
            }
            state.work.candidate = (entry.mode == Mode::Candidate).then(|| state.running.clone());
            let others = if entry.mode == Mode::Candidate {
                vec![client(7, "ann", "configure")]
            } else {
                Vec::new()
            };
            let pending = state.work.pending.clone();
            Ok(Reply::Entered {
                revision: state.revision,
                others,
                pending,
            })
        }
        RequestBody::EditCandidate { ops } => {
            let candidate = state.work.candidate.as_mut().expect("a candidate");
            let edited = candidate
                .drafted(&ops)
                .map_err(|problem| ApiError::from(*problem))?;
            candidate.clone_from(&edited.config);
            Ok(Reply::Edited {
                revision: state.revision,
                hostname: "fra1".into(),
                notes: edited.notes,
            })
        }
        RequestBody::Commit { confirmed, .. } => {
            let config = state
                .work
                .candidate
                .clone()
                .unwrap_or_else(|| state.running.clone());
            let errors: Vec<_> = config
                .validate()
                .into_iter()
                .filter(|p| p.severity == knet_api::problem::Severity::Error)
                .collect();
            if !errors.is_empty() {
                return Ok(Reply::Problems(errors));
            }
            let pending = confirmed.map(|confirmed| PendingRow {
                user: "root".into(),
                session: 1,
                back_to: state.revision,
                seconds_left: u64::from(confirmed.seconds),
                peer: confirmed.peer,
            });
            Ok(put(state, config, pending))
        }
        RequestBody::CommitCheck => {
            let peer = |name: &str, effect: &str, links: &[u8]| PeerImpactRow {
                peer: name.into(),
                effect: effect.into(),
                links: links.to_vec(),
            };
            let rows = vec![ImpactRow {
                interface: "knet0".into(),
                action: "change".into(),
                settings: vec!["MTU".into(), "local 1".into()],
                peers: vec![peer("ams1", "relink", &[0, 1]), peer("lab2", "live", &[])],
                more_peers: 3,
            }];
            let notes = state.running.validate();
            Ok(Reply::Impact { rows, notes })
        }
        RequestBody::Update => Ok(Reply::Entered {
            revision: state.revision,
            others: Vec::new(),
            pending: None,
        }),
        RequestBody::Discard => {
            state.work.candidate = Some(state.running.clone());
            Ok(Reply::Done)
        }
        RequestBody::Confirm => state.work.pending.take().map(|_| Reply::Done).ok_or_else(nothing),
        RequestBody::Revert => {
            state.work.pending.take().ok_or_else(nothing)?;
            Ok(put(state, load(CONFIG.as_bytes()).config, None))
        }
        RequestBody::Rollback { revision: 1, .. } => {
            let config = load(CONFIG.as_bytes()).config;
            if let Some(candidate) = &mut state.work.candidate {
                let changed = *candidate != config;
                *candidate = config;
                return Ok(Reply::Committed(Box::new(CommitRow {
                    changed,
                    ..CommitRow::default()
                })));
            }
            Ok(put(state, config, None))
        }
        RequestBody::Rollback { revision, .. } => Err(ApiError::new(
            ErrorCode::NotFound,
            format!("revision {revision} is not kept"),
        )
        .with_hint("`show configuration history` lists those that are, from 1 to 3")),
        RequestBody::Upload { bytes, first } => {
            if first {
                state.work.upload.clear();
            }
            state.work.upload.extend(bytes);
            Ok(Reply::Done)
        }
        RequestBody::Replace { .. } => {
            let loaded = load(&state.work.upload);
            if loaded.errors().next().is_some() {
                return Ok(Reply::Problems(loaded.errors().cloned().collect()));
            }
            Ok(put(state, loaded.config, None))
        }
        RequestBody::Revisions => Ok(Reply::Revisions {
            rows: revisions(state),
            not_kept: None,
            pending: state.work.pending.clone(),
        }),
        RequestBody::Clients => Ok(Reply::Clients {
            rows: vec![client(1, "root", "candidate"), client(7, "ann", "configure")],
            pending: state.work.pending.clone(),
        }),
        RequestBody::ClearClient { session: 7 } | RequestBody::Leave | RequestBody::Announcements => {
            Ok(Reply::Done)
        }
        RequestBody::ClearClient { session } => Err(ApiError::new(
            ErrorCode::NotFound,
            format!("there is no session {session}"),
        )
        .with_hint("`who` lists them")),
        other => panic!("{other:?}"),
    }
}
