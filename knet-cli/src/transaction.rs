//! Changes of the configuration as a whole: into it and out of it, candidates, commits, revisions, files.

use std::{fs::File, io::Read as _, path::Path};

use knet_api::{
    codec::MAX_REQUEST,
    edit::Context,
    grammar::Transaction,
    load::MAX_FILE,
    message::{Reply, RequestBody},
    problem::Problem,
    transaction::{CommitRow, Confirmation, Entry, Mode, Version},
};
use serde_json::json;

use crate::{
    client::unexpected,
    document::Document,
    failure::Failure,
    output::{clean, note},
    session::Session,
    show::configuration,
};

/// Bytes of a file in one message.
const PIECE: usize = MAX_REQUEST / 2;

/// Does it, and prints what came of it.
pub(crate) fn run(session: &mut Session, transaction: Transaction) -> Result<(), Failure> {
    match transaction {
        Transaction::Configure(entry) => configure(session, entry),
        Transaction::Replace { file, comment } => replace(session, &file, comment),
        Transaction::Rollback { revision, comment } => {
            let reply = session.client.call(RequestBody::Rollback { revision, comment })?;
            taken(session, reply)
        }
        Transaction::Commit { comment, confirmed } => commit(session, comment, confirmed),
        Transaction::CommitCheck => match session.client.call(RequestBody::CommitCheck)? {
            Reply::Impact { rows, notes } => {
                let notes: Vec<String> = notes.iter().map(sentence).collect();
                session.output.document(&configuration::impact(&rows, &notes))
            }
            Reply::Problems(problems) => Err(Failure::problems(None, problems)),
            _ => Err(unexpected()),
        },
        Transaction::Confirm => {
            done(session, RequestBody::Confirm)?;
            tell(session, "Confirmed", &json!({ "confirmed": true }))
        }
        Transaction::Revert => {
            let reply = session.client.call(RequestBody::Revert)?;
            committed(session, reply)
        }
        Transaction::Update => match session.client.call(RequestBody::Update)? {
            Reply::Entered { revision, .. } => {
                let line = format!("The candidate is made from revision {revision} now");
                tell(session, &line, &json!({ "base": revision }))
            }
            _ => Err(unexpected()),
        },
        Transaction::Discard => {
            done(session, RequestBody::Discard)?;
            session.forget_notes();
            session.go(Some(Context::Global));
            Ok(())
        }
        Transaction::ExitDiscard => {
            if session.candidate {
                done(session, RequestBody::Discard)?;
                session.forget_notes();
            }
            session.leave_configuration()
        }
        Transaction::ClearSession { session: number } => {
            done(session, RequestBody::ClearClient { session: number })
        }
    }
}

/// `show configuration diff`: where nothing is said, what would be saved, or committed.
pub(crate) fn diff(session: &mut Session, from: Option<u64>, to: Option<u64>) -> Result<Document, Failure> {
    let (older, newer) = if session.candidate {
        (Version::Running, Version::Candidate)
    } else {
        (Version::Startup, Version::Running)
    };
    let request = RequestBody::ConfigDiff {
        from: from.map_or(older, Version::Revision),
        to: to.map_or(newer, Version::Revision),
    };
    Ok(configuration::diff(&session.client.text(request)?))
}

fn configure(session: &mut Session, entry: Entry) -> Result<(), Failure> {
    let Reply::Entered { others, pending, .. } = session.client.call(RequestBody::Configure(entry))? else {
        return Err(unexpected());
    };
    session.candidate = entry.mode == Mode::Candidate;
    session.go(Some(Context::Global));
    for other in others {
        note(&format!(
            "% {} is in the configuration, too (session {}, {})",
            clean(&other.user),
            other.session,
            clean(&other.mode)
        ));
    }
    if let Some(pending) = pending {
        note(&format!("% {}", configuration::waits(&pending)));
    }
    Ok(())
}

fn commit(
    session: &mut Session,
    comment: Option<String>,
    confirmed: Option<Confirmation>,
) -> Result<(), Failure> {
    let reply = session.client.call(RequestBody::Commit { comment, confirmed })?;
    session.forget_notes();
    committed(session, reply)
}

/// A file of this host instead of the configuration, all of it or nothing.
fn replace(session: &mut Session, file: &str, comment: Option<String>) -> Result<(), Failure> {
    let text = read(Path::new(file))?;
    for (index, piece) in text.chunks(PIECE).enumerate() {
        let upload = RequestBody::Upload {
            bytes: piece.to_vec(),
            first: index == 0,
        };
        done(session, upload)?;
    }
    if text.is_empty() {
        let nothing = RequestBody::Upload {
            bytes: Vec::new(),
            first: true,
        };
        done(session, nothing)?;
    }
    match session.client.call(RequestBody::Replace { comment })? {
        Reply::Problems(problems) => {
            let text = String::from_utf8_lossy(&text).into_owned();
            Err(Failure::problems(Some((file.to_owned(), text)), problems))
        }
        reply => taken(session, reply),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let fail = |what: String| Failure::Unusable(format!("{}: {what}", path.display()));
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| fail(error.to_string()))?;
    if bytes.len() > MAX_FILE {
        return Err(fail(
            "larger than the 128 MiB that a configuration can have".to_owned(),
        ));
    }
    Ok(bytes)
}

/// A configuration from elsewhere is in force now, or in the candidate.
fn taken(session: &mut Session, reply: Reply) -> Result<(), Failure> {
    if session.context.is_some() {
        // The object that the shell stood in may be gone.
        session.forget_notes();
        session.go(Some(Context::Global));
    }
    match reply {
        Reply::Committed(row) if session.candidate => {
            let line = if row.changed {
                "It is in the candidate; `commit` puts it in force"
            } else {
                "Nothing differs from the candidate"
            };
            tell(session, line, &json!({ "candidate_changed": row.changed }))
        }
        reply => committed(session, reply),
    }
}

fn committed(session: &mut Session, reply: Reply) -> Result<(), Failure> {
    let row = match reply {
        Reply::Committed(row) => row,
        Reply::Problems(problems) => return Err(Failure::problems(None, problems)),
        _ => return Err(unexpected()),
    };
    session.set_hostname(&row.hostname);
    session.unsaved |= row.changed;
    for missing in &row.notes {
        note(&format!("% Note: {}", sentence(missing)));
    }
    let mut lines = vec![outcome(&row)];
    lines.extend(row.pending.as_ref().map(|pending| {
        let back = configuration::comes_back(pending);
        format!("Unless `commit` or `configure confirm` keeps it, {back}")
    }));
    lines.extend(
        row.not_kept
            .as_ref()
            .map(|why| format!("The revision is not kept: {}", clean(why))),
    );
    session
        .output
        .document(&Document::object("commit", json!(row), lines))
}

fn outcome(row: &CommitRow) -> String {
    match (row.changed, row.confirmed) {
        (true, true) => format!("Revision {} is in force, and confirmed", row.revision),
        (true, false) => format!("Revision {} is in force", row.revision),
        (false, true) => format!("Revision {} is confirmed", row.revision),
        (false, false) => format!("Nothing differs from revision {}", row.revision),
    }
}

/// A problem in a sentence, with the object that it is in.
pub(crate) fn sentence(problem: &Problem) -> String {
    let place = problem
        .place
        .as_ref()
        .map_or(String::new(), |place| format!("{}: ", place.context));
    let expected = problem
        .expected
        .as_ref()
        .map_or(String::new(), |text| format!(" (expected: {text})"));
    clean(&format!("{place}{}{expected}", problem.text))
}

fn done(session: &mut Session, request: RequestBody) -> Result<(), Failure> {
    match session.client.call(request)? {
        Reply::Done => Ok(()),
        _ => Err(unexpected()),
    }
}

fn tell(session: &Session, line: &str, value: &serde_json::Value) -> Result<(), Failure> {
    session
        .output
        .document(&Document::object("commit", value.clone(), vec![line.to_owned()]))
}
