//! Changes of the running configuration, each whole or not at all, and who may make them now.

use std::sync::Arc;

use libknet::api::{
    edit::Op,
    message::{ApiError, ErrorCode},
    model::Config,
    problem::Problem,
    render::render,
    transaction::{CommitRow, ImpactRow, RevisionRow},
};

use super::{
    Daemon,
    confirmation::Watched,
    in_force::Prepared,
    refusal::{CommitError, first_problem, refused},
};
use crate::{
    config::{
        history::{Change, Origin},
        impact, store,
    },
    events::{self, Loudness},
    logging::{unix_ms, utc},
};

/// Most notes on what is incomplete in one answer.
const NOTES: usize = 100;

/// A client that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Author {
    /// Name of the user.
    pub user: String,
    /// Number of the session.
    pub session: u64,
}

/// The only one who may change the configuration.
#[derive(Clone, Debug)]
pub(super) struct Lock {
    owner: Author,
    since_unix_ms: u64,
}

/// A change that somebody waits to be confirmed.
#[derive(Clone, Debug)]
pub(crate) struct ToConfirm {
    /// It is undone after so many seconds.
    pub seconds: u32,
    /// It is undone, too, when this peer is lost.
    pub peer: Option<Watched>,
}

impl Daemon {
    /// Refuses who may not change the configuration now, because only somebody else may.
    pub(crate) fn permit(&self, author: &Author) -> Result<(), ApiError> {
        if let Some(lock) = self
            .lock
            .as_ref()
            .filter(|lock| lock.owner.session != author.session)
        {
            return Err(locked(lock));
        }
        match &self.pending {
            Some(pending) if pending.author.session != author.session => {
                let text = format!(
                    "a change by {} waits to be confirmed, for {} s more",
                    pending.author.user,
                    pending.seconds_left()
                );
                Err(ApiError::new(ErrorCode::Locked, text)
                    .with_hint("`configure confirm` keeps it, `configure revert now` undoes it"))
            }
            _ => Ok(()),
        }
    }

    /// Nobody else may change anything until `author` lets go or is gone.
    pub(crate) fn lock(&mut self, author: &Author) -> Result<(), ApiError> {
        self.permit(author)?;
        if self.lock.is_none() {
            self.lock = Some(Lock {
                owner: author.clone(),
                since_unix_ms: unix_ms(),
            });
        }
        Ok(())
    }

    /// The session has left the configuration: its lock is gone, and the lines that it typed are complete.
    pub(crate) fn leave_configuration(&mut self, author: &Author) {
        self.lock.take_if(|lock| lock.owner.session == author.session);
        self.history.close(&author.user);
    }

    /// The session that nobody else may change anything beside.
    pub(crate) fn lock_holder(&self) -> Option<u64> {
        self.lock.as_ref().map(|lock| lock.owner.session)
    }

    /// Applies `ops`, all of them or none. Returns what is still incomplete in the objects that they name.
    pub(crate) fn edit(
        &mut self,
        ops: &[Op],
        base: Option<u64>,
        author: &Author,
    ) -> Result<Vec<Problem>, ApiError> {
        self.permit(author)?;
        if base.is_some_and(|base| base != self.revision) {
            let text = format!(
                "the configuration was changed meanwhile (it is revision {} now)",
                self.revision
            );
            return Err(ApiError::new(ErrorCode::Conflict, text).with_hint("look at it and try again"));
        }
        let edited = self.config.edited(ops).map_err(first_problem)?;
        let change = Change {
            user: author.user.clone(),
            origin: Origin::Lines,
            comment: None,
        };
        self.put_in_force(Arc::new(edited.config), &change)
            .map_err(ApiError::from)?;
        Ok(edited.notes)
    }

    /// Makes `config` the running one in one transaction, to be confirmed where `to_confirm` says so.
    pub(crate) fn transact(
        &mut self,
        config: Config,
        author: &Author,
        change: &Change,
        to_confirm: Option<ToConfirm>,
    ) -> Result<CommitRow, CommitError> {
        self.permit(author)?;
        let config = Arc::new(config);
        let notes = self.sensible(&config)?;
        let before = self.pending.clone();
        let waits = to_confirm.is_some();
        if let Some(to_confirm) = to_confirm {
            self.await_confirmation(author, to_confirm)?;
        }
        match self.put_in_force(config, change) {
            Ok(changed) => {
                if waits {
                    self.announce_pending(author);
                }
                Ok(self.committed(changed, notes))
            }
            Err(error) => {
                self.restore_confirmation(before);
                Err(error)
            }
        }
    }

    /// What is answered when the running configuration is what it should be.
    pub(crate) fn committed(&self, changed: bool, mut notes: Vec<Problem>) -> CommitRow {
        notes.truncate(NOTES);
        CommitRow {
            revision: self.revision,
            changed,
            hostname: self.hostname(),
            pending: self.pending(),
            confirmed: false,
            notes,
            not_kept: self.history.problem(),
        }
    }

    /// Whether anything was to be done.
    pub(super) fn put_in_force(&mut self, config: Arc<Config>, change: &Change) -> Result<bool, CommitError> {
        if config == self.config {
            return Ok(false);
        }
        self.apply(config, None)?;
        self.history.record(self.revision, &self.config, change);
        let comment = change
            .comment
            .as_ref()
            .map_or(String::new(), |comment| format!(" ({comment})"));
        let how = match change.origin {
            Origin::Lines => String::new(),
            Origin::Rollback(to) | Origin::AutomaticRollback(to) => format!(", back to revision {to}"),
            Origin::Replace => ", replaced by a file".into(),
            Origin::Commit | Origin::Start | Origin::Reload => ", committed".into(),
        };
        self.tell_configured(&format!(
            "configuration changed by {}: revision {}{how}{comment}",
            change.user, self.revision
        ));
        Ok(true)
    }

    /// What [`Daemon::transact`] would do with `config`, and what is incomplete in it.
    pub(crate) fn impact(
        &mut self,
        config: &Arc<Config>,
    ) -> Result<(Vec<ImpactRow>, Vec<Problem>), CommitError> {
        let mut notes = self.sensible(config)?;
        notes.truncate(NOTES);
        let prepared = self.prepare(config, None);
        self.erase_other_keys();
        let Prepared { setups, .. } = prepared?;
        Ok((impact::rows(&self.setups(), &setups), notes))
    }

    /// What is incomplete in `config`, for all hosts and for this one, or all that is wrong with it.
    fn sensible(&self, config: &Arc<Config>) -> Result<Vec<Problem>, CommitError> {
        let mut notes = config.validate();
        let of_this_host = self.this_host.part_of(config).problems_besides(&notes);
        notes.extend(of_this_host);
        match refused(&notes) {
            None => Ok(notes),
            Some(errors) => Err(CommitError::Problems(errors)),
        }
    }

    /// Why a candidate made from `base` cannot be committed: who has changed the configuration since.
    pub(crate) fn conflict(&self, base: u64) -> ApiError {
        let changes: Vec<&RevisionRow> = self.history.since(base).collect();
        let who = changes.last().map_or(String::new(), |last| {
            let others = match changes.len() - 1 {
                0 => String::new(),
                n => format!(" and {n} before it"),
            };
            format!(
                ": revision {} by {} at {}{others}",
                last.revision,
                last.user,
                utc(last.unix_ms)
            )
        });
        let text = format!(
            "the running configuration was changed since this candidate was made from revision {base}{who}"
        );
        ApiError::new(ErrorCode::Conflict, text).with_hint(
            "`update` takes that in where it does not collide; `show configuration diff` shows what would change",
        )
    }

    /// Who changed what when is never held back: each revision is a line of its own kind.
    pub(crate) fn tell_configured(&mut self, text: &str) {
        let kind = format!("configured {}", self.revision);
        self.events
            .publish(&kind, Loudness::Info, events::own("configured", text));
    }

    /// Makes the running configuration the contents of the file. Returns its size in bytes.
    pub(crate) fn write_memory(&mut self) -> Result<u64, ApiError> {
        if let Some(pending) = &self.pending {
            let text = format!(
                "a change by {} waits to be confirmed; before that it is not saved",
                pending.author.user
            );
            return Err(ApiError::new(ErrorCode::Locked, text).with_hint("`configure confirm` keeps it"));
        }
        let text = render(&self.config, false);
        store::replace(&self.config_file, &text)
            .map_err(|error| ApiError::new(ErrorCode::System, error.to_string()))?;
        self.saved = Arc::clone(&self.config);
        // What is saved is worth a revision of its own.
        self.history.begin();
        self.saved_revision = Some(self.history.latest());
        tracing::info!(
            "{}: revision {} written",
            self.config_file.display(),
            self.revision
        );
        Ok(text.len() as u64)
    }

    /// The revisions that are kept, and why the latest one is not, if so.
    pub(crate) fn revisions(&mut self) -> (Vec<RevisionRow>, Option<String>) {
        let running = self.history.latest();
        let rows = self.history.rows(running, self.saved_revision);
        (rows, self.history.problem())
    }

    /// The configuration of a revision.
    pub(crate) fn revision_config(&mut self, revision: u64) -> Result<Arc<Config>, ApiError> {
        if revision == self.revision {
            return Ok(Arc::clone(&self.config));
        }
        self.history.config(revision).map_err(|error| match error {
            crate::config::history::RevisionError::NotKept(_) => {
                ApiError::new(ErrorCode::NotFound, error.to_string()).with_hint(self.history.numbers())
            }
            other => ApiError::new(ErrorCode::System, other.to_string()),
        })
    }
}

fn locked(lock: &Lock) -> ApiError {
    let Author { user, session } = &lock.owner;
    let since = utc(lock.since_unix_ms);
    let text = format!("only {user} may change the configuration now (session {session}, since {since})");
    ApiError::new(ErrorCode::Locked, text).with_hint(format!(
        "`who` shows whether the session is at work; `clear session {session}` ends it"
    ))
}
