//! The commands on the configuration as a whole: revisions, candidates, commits, sessions.

use super::commands::{Arguments, Command, CommandDef, Show, config, exec};
use crate::{
    transaction::{Confirmation, Entry, Mode, Version},
    value::Value,
};

/// What is to be done with the configuration as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// Into the configuration.
    Configure(Entry),
    /// A file instead of what is configured.
    Replace {
        /// Its path where the shell runs.
        file: String,
        /// Why.
        comment: Option<String>,
    },
    /// A revision instead of what is configured.
    Rollback {
        /// Which one.
        revision: u64,
        /// Why.
        comment: Option<String>,
    },
    /// The candidate into force.
    Commit {
        /// Why.
        comment: Option<String>,
        /// To be undone unless it is confirmed.
        confirmed: Option<Confirmation>,
    },
    /// What a commit would do.
    CommitCheck,
    /// Keep what waits to be confirmed.
    Confirm,
    /// Undo what waits to be confirmed.
    Revert,
    /// The changes of others into the candidate.
    Update,
    /// Throw away what was edited in the candidate.
    Discard,
    /// The same, and out of it.
    ExitDiscard,
    /// End another session.
    ClearSession {
        /// Its number.
        session: u64,
    },
}

/// Seconds until a commit is undone that nobody confirms, where no time is given.
pub const CONFIRM_SECONDS: u32 = 300;

/// Every one of these commands.
pub static TRANSACTIONS: &[CommandDef] = &[
    exec(
        "configure [terminal]",
        |_| enter(Mode::Immediate, false, None),
        CONFIGURE,
    ),
    exec(
        "configure terminal revert timer <confirm-time>",
        |a| enter(Mode::Immediate, false, a.values.first().and_then(seconds)),
        CONFIGURE,
    ),
    exec(
        "configure exclusive",
        |_| enter(Mode::Immediate, true, None),
        CONFIGURE,
    ),
    exec(
        "configure candidate [exclusive]",
        |a| enter(Mode::Candidate, a.has("exclusive"), None),
        CONFIGURE,
    ),
    exec(
        "configure replace <file> [comment <comment>]",
        |a| {
            Command::Transaction(Transaction::Replace {
                file: a.name(0).unwrap_or_default(),
                comment: a.text(1),
            })
        },
        CONFIGURE,
    ),
    exec(
        "configure confirm",
        |_| Command::Transaction(Transaction::Confirm),
        CONFIGURE,
    ),
    exec(
        "configure revert now",
        |_| Command::Transaction(Transaction::Revert),
        CONFIGURE,
    ),
    exec(
        "rollback <revision> [comment <comment>]",
        |a| {
            Command::Transaction(Transaction::Rollback {
                revision: revision(a, 0).unwrap_or_default(),
                comment: a.text(1),
            })
        },
        &[("rollback", "Put an earlier revision in force"), COMMENT],
    ),
    exec(
        "show configuration history",
        |_| Command::Show(Show::Revisions),
        &[
            SHOW,
            CONFIGURATION,
            ("history", "Revisions: who changed it when, and why"),
        ],
    ),
    exec(
        "show configuration diff [<revision> [<revision>]]",
        |a| {
            Command::Show(Show::ConfigDiff {
                from: revision(a, 0),
                to: revision(a, 1),
            })
        },
        &[
            SHOW,
            CONFIGURATION,
            (
                "diff",
                "Startup to running, in a candidate running to candidate; or from a revision, or between two",
            ),
        ],
    ),
    exec(
        "show configuration candidate",
        |_| Command::Show(Show::ConfigText(Version::Candidate)),
        &[
            SHOW,
            CONFIGURATION,
            ("candidate", "The candidate of this session"),
        ],
    ),
    exec(
        "show configuration revision <revision>",
        |a| {
            Command::Show(Show::ConfigText(Version::Revision(
                revision(a, 0).unwrap_or_default(),
            )))
        },
        &[SHOW, CONFIGURATION, ("revision", "A revision that is kept")],
    ),
    exec(
        "who",
        |_| Command::Show(Show::Clients),
        &[("who", "Who is connected, and in the configuration")],
    ),
    exec(
        "show users",
        |_| Command::Show(Show::Clients),
        &[SHOW, ("users", "Who is connected, and in the configuration")],
    ),
    exec(
        "clear session <session>",
        |a| {
            Command::Transaction(Transaction::ClearSession {
                session: revision(a, 0).unwrap_or_default(),
            })
        },
        &[
            ("clear", "Reset what harms no traffic"),
            ("session", "End another session (its number: `who`)"),
        ],
    ),
    config("commit [comment <comment>]", |a| commit(a.text(0), None), COMMIT),
    config(
        "commit confirmed [<confirm-time>] [peer <peer>] [comment <comment>]",
        |a| {
            let seconds = a.values.first().and_then(seconds).unwrap_or(CONFIRM_SECONDS);
            let peer = a.name(1);
            commit(a.text(2), Some(Confirmation { seconds, peer }))
        },
        COMMIT,
    ),
    config(
        "commit check",
        |_| Command::Transaction(Transaction::CommitCheck),
        COMMIT,
    ),
    config(
        "update",
        |_| Command::Transaction(Transaction::Update),
        &[("update", "Take what others have changed into the candidate")],
    ),
    config(
        "discard",
        |_| Command::Transaction(Transaction::Discard),
        &[("discard", "Throw away what was edited in the candidate")],
    ),
    config(
        "exit discard",
        |_| Command::Transaction(Transaction::ExitDiscard),
        &[
            ("exit", "One level out"),
            ("discard", "Out of the candidate, without what was edited in it"),
        ],
    ),
];

type Help = &'static [(&'static str, &'static str)];

const SHOW: (&str, &str) = ("show", "Show state and configuration");
const CONFIGURATION: (&str, &str) = ("configuration", "Revisions of the configuration");
const COMMENT: (&str, &str) = ("comment", "Why; kept with the revision");
const CONFIGURE: Help = &[
    ("configure", "Change the configuration"),
    ("terminal", "From this terminal: each line is in force at once"),
    ("revert", "Undo what was not confirmed"),
    (
        "timer",
        "Undo what is changed from now on, unless it is confirmed within a time",
    ),
    ("now", "At once"),
    ("exclusive", "Nobody else may change it meanwhile"),
    ("candidate", "In a copy, which `commit` puts in force"),
    ("replace", "Put a file of this host in force"),
    ("confirm", "Keep a change that waits to be confirmed"),
    COMMENT,
];
const COMMIT: Help = &[
    (
        "commit",
        "Put the candidate in force, or confirm what waits to be",
    ),
    ("check", "Say what it would do"),
    (
        "confirmed",
        "To be undone unless confirmed (default: within 5 minutes)",
    ),
    ("peer", "To be undone, too, when this peer is lost"),
    COMMENT,
];

fn enter(mode: Mode, exclusive: bool, revert_s: Option<u32>) -> Command {
    Command::Transaction(Transaction::Configure(Entry {
        mode,
        exclusive,
        revert_s,
    }))
}

fn commit(comment: Option<String>, confirmed: Option<Confirmation>) -> Command {
    Command::Transaction(Transaction::Commit { comment, confirmed })
}

fn revision(arguments: &Arguments, index: usize) -> Option<u64> {
    arguments.number(index).map(u64::from)
}

/// Minutes as a number, or seconds with an `s` behind them.
fn seconds(value: &Value) -> Option<u32> {
    match value {
        Value::Number(minutes) => minutes.checked_mul(60),
        Value::Word(seconds) => seconds.strip_suffix('s')?.parse().ok(),
        _ => None,
    }
}
