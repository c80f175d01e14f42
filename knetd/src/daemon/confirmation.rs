//! Changes that are undone unless somebody confirms them: in time, and while the session that made them and the peer
//! that it named are still there.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use libknet::{
    Query, Reply,
    api::{
        message::{ApiError, ErrorCode},
        model::{Config, PeerConfig},
        transaction::{CommitRow, PendingRow},
    },
    proto::status::LinkState,
};

use super::{
    Daemon,
    transactions::{Author, ToConfirm},
};
use crate::{
    config::{
        history::{Change, Origin},
        unconfirmed::{self, Mark},
    },
    events::{self, Loudness},
};

/// How soon going back is tried again where the system refused.
const RETRY: Duration = Duration::from_secs(5);
/// Everybody is reminded when so much time is left.
const REMIND: Duration = Duration::from_secs(60);
/// A peer is lost when it is not up for three times what its slowest link takes to come up, and at least for this.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// A change that waits to be confirmed.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// Who made it.
    pub(super) author: Author,
    back_to: u64,
    config: Arc<Config>,
    deadline: Instant,
    /// Why it is undone at the deadline.
    reason: String,
    peer: Option<Watched>,
    reminded: bool,
}

/// A peer that must not be lost.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    interface: String,
    peer: String,
    patience: Duration,
    last_up: Instant,
}

impl Watched {
    /// A peer that is up now. `config`: what it is configured to be from now on.
    pub(crate) fn new(interface: &str, peer: &str, config: &PeerConfig) -> Self {
        let to_come_up = config
            .links
            .values()
            .map(|link| u64::from(link.settings.timers_ms().0) * u64::from(link.settings.pong_count()))
            .max()
            .unwrap_or_default();
        Self {
            interface: interface.into(),
            peer: peer.into(),
            patience: LOST_AFTER.max(3 * Duration::from_millis(to_come_up)),
            last_up: Instant::now(),
        }
    }
}

impl Pending {
    pub(super) fn seconds_left(&self) -> u64 {
        self.deadline
            .saturating_duration_since(Instant::now())
            .as_millis()
            .div_ceil(1000) as u64
    }
}

impl Daemon {
    /// The change that waits to be confirmed.
    pub(crate) fn pending(&self) -> Option<PendingRow> {
        self.pending.as_ref().map(|pending| PendingRow {
            user: pending.author.user.clone(),
            session: pending.author.session,
            back_to: pending.back_to,
            seconds_left: pending.seconds_left(),
            peer: pending.peer.as_ref().map(|watched| watched.peer.clone()),
        })
    }

    /// From now on what is in force waits to be confirmed. That is on the disk when this returns, so that it holds for
    /// a daemon that dies, too. One that waits already goes back to where it would have gone.
    pub(crate) fn await_confirmation(
        &mut self,
        author: &Author,
        ToConfirm { seconds, peer }: ToConfirm,
    ) -> Result<(), ApiError> {
        self.permit(author)?;
        let (back_to, config) = match &self.pending {
            Some(pending) => (pending.back_to, Arc::clone(&pending.config)),
            None => (self.keep_running()?, Arc::clone(&self.config)),
        };
        let mark = Mark {
            back_to,
            user: author.user.clone(),
            startup: unconfirmed::digest(&self.config_file),
        };
        unconfirmed::write(self.history.directory(), &mark).map_err(|error| {
            let text = format!("going back could not be provided for: {error}");
            ApiError::new(ErrorCode::System, text)
                .with_hint("nothing was changed; `commit` needs no such provision")
        })?;
        self.history.protect(Some(back_to));
        let wait = Duration::from_secs(u64::from(seconds));
        let reason = format!("nobody confirmed it within {seconds} s");
        self.pending = Some(Pending {
            author: author.clone(),
            back_to,
            config,
            deadline: Instant::now() + wait,
            reason,
            peer,
            reminded: wait <= 2 * REMIND,
        });
        Ok(())
    }

    /// Everybody learns that a change of `author` waits to be confirmed.
    pub(crate) fn announce_pending(&mut self, author: &Author) {
        if let Some(pending) = &self.pending {
            let text = format!(
                "a change by {} is undone in {} s unless it is confirmed (`configure confirm`)",
                pending.author.user,
                pending.seconds_left()
            );
            self.announce("commit-waits", &text, author);
        }
    }

    /// The change was refused: what waited before, if anything, waits on.
    pub(super) fn restore_confirmation(&mut self, before: Option<Pending>) {
        let was_waiting = before.is_some();
        if self.pending.is_some() && !was_waiting {
            self.forget_mark();
        }
        self.pending = before;
    }

    /// Keeps what waits to be confirmed.
    pub(crate) fn confirm(&mut self, author: &Author) -> Result<(), ApiError> {
        if self.pending.is_none() {
            return Err(nothing_waits());
        }
        unconfirmed::remove(self.history.directory()).map_err(|error| {
            let directory = self.history.directory().display();
            let text = format!("cannot be confirmed: the mark in {directory} cannot be removed: {error}");
            ApiError::new(ErrorCode::System, text)
        })?;
        self.history.protect(None);
        self.pending = None;
        self.keep_revocation_dates(Instant::now());
        let text = format!("the change was confirmed by {}", author.user);
        self.announce("commit-confirmed", &text, author);
        Ok(())
    }

    /// Undoes what waits to be confirmed, at once.
    pub(crate) fn revert(&mut self, author: &Author) -> Result<CommitRow, ApiError> {
        if self.pending.is_none() {
            return Err(nothing_waits());
        }
        let changed = self.go_back(&format!("{} said so", author.user))?;
        Ok(self.committed(changed, Vec::new()))
    }

    /// A session has ended, on purpose or not: its lock is gone, and so is a change that it made and nobody confirmed,
    /// unless it left on purpose.
    pub(crate) fn session_ended(&mut self, author: &Author, on_purpose: bool) {
        self.leave_configuration(author);
        if let Some(pending) = self.pending.as_mut()
            && pending.author.session == author.session
            && !on_purpose
        {
            pending.deadline = Instant::now();
            pending.reason = format!("the session of {} was lost", author.user);
        }
    }

    /// Goes back where it is time to; to be called about once a second.
    pub(super) fn tick_confirmation(&mut self, now: Instant) {
        let Some(pending) = self.pending.as_mut() else {
            return;
        };
        let lost = pending
            .peer
            .as_ref()
            .filter(|watched| now.saturating_duration_since(watched.last_up) > watched.patience);
        let reason = match lost {
            Some(watched) => format!("peer {} was lost", watched.peer),
            None if pending.deadline <= now => pending.reason.clone(),
            None => {
                if !pending.reminded && pending.deadline - now <= REMIND {
                    pending.reminded = true;
                    // Whoever made it may have forgotten as well.
                    let nobody = Author {
                        session: 0,
                        ..pending.author.clone()
                    };
                    self.announce_pending(&nobody);
                }
                return;
            }
        };
        if let Err(error) = self.go_back(&reason)
            && let Some(pending) = self.pending.as_mut()
        {
            tracing::error!(
                "revision {} cannot be put in force: {error}; it is tried again in {} s",
                pending.back_to,
                RETRY.as_secs()
            );
            pending.deadline = now + RETRY;
            pending.reason = reason;
            pending.peer = None;
        }
    }

    fn go_back(&mut self, reason: &str) -> Result<bool, ApiError> {
        let Some(pending) = self.pending.clone() else {
            return Ok(false);
        };
        let change = Change {
            user: pending.author.user.clone(),
            origin: Origin::AutomaticRollback(pending.back_to),
            comment: Some(reason.into()),
        };
        let changed = self.patiently(|daemon| daemon.put_in_force(pending.config, &change))?;
        self.pending = None;
        self.forget_mark();
        self.keep_revocation_dates(Instant::now());
        if changed {
            self.tell_unusable_key_files();
        }
        let text = format!(
            "the change by {} was undone, revision {} is in force again: {reason}",
            pending.author.user, pending.back_to
        );
        // Whoever made it has to hear it as well.
        let nobody = Author {
            session: 0,
            ..pending.author
        };
        self.announce("commit-undone", &text, &nobody);
        Ok(changed)
    }

    /// The mark is of no use any more. One that stays would make the next start go back once more, to what is in force.
    pub(super) fn forget_mark(&mut self) {
        self.history.protect(None);
        if let Err(error) = unconfirmed::remove(self.history.directory()) {
            tracing::error!("{}: {error}", self.history.directory().display());
        }
    }

    /// Sees to it that what is in force can be gone back to after the daemon has died. Returns its revision.
    fn keep_running(&mut self) -> Result<u64, ApiError> {
        if self.history.is_empty() {
            let change = Change {
                user: "system".into(),
                origin: Origin::Start,
                comment: None,
            };
            self.history.record(self.revision, &self.config, &change);
        }
        self.history.flush();
        match self.history.problem() {
            None => Ok(self.history.latest()),
            Some(problem) => {
                let text = format!("going back could not be provided for: {problem}");
                Err(ApiError::new(ErrorCode::System, text)
                    .with_hint("nothing was changed; `commit` needs no such provision"))
            }
        }
    }

    /// Tells everybody but the session of `author`, which knows.
    fn announce(&mut self, kind: &str, text: &str, author: &Author) {
        let mut row = events::own(kind, text);
        row.details.push(("session".into(), author.session.to_string()));
        self.events.publish(kind, Loudness::Warn, row);
    }

    /// A question to the data plane whether a peer is up: has a session, and a link that works.
    pub(crate) fn peer_is_up(&self, interface: &str, peer: &str) -> impl Future<Output = bool> + use<> {
        let overlay = self.overlays.get(interface);
        let question = overlay.and_then(|o| o.slots.id(peer).map(|id| o.query(Query::Peer(id))));
        async move {
            let Some(question) = question else { return false };
            let Ok(Reply::Peer(Some(peer))) = question.await else {
                return false;
            };
            // A link in doubt is not lost yet.
            peer.session.is_some() && peer.links.iter().any(|link| link.state >= LinkState::Suspect)
        }
    }
}

/// Looks whether the peer that a change must not lose is up.
pub(crate) fn watch_peer(daemon: &Rc<RefCell<Daemon>>) {
    let watched = daemon
        .borrow()
        .pending
        .as_ref()
        .and_then(|pending| pending.peer.clone());
    let Some(Watched { interface, peer, .. }) = watched else {
        return;
    };
    let daemon = Rc::clone(daemon);
    tokio::task::spawn_local(async move {
        let up = daemon.borrow().peer_is_up(&interface, &peer);
        if up.await
            && let Some(pending) = daemon.borrow_mut().pending.as_mut()
            && let Some(watched) = pending.peer.as_mut()
            && (&watched.interface, &watched.peer) == (&interface, &peer)
        {
            watched.last_up = Instant::now();
        }
    });
}

fn nothing_waits() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "no change waits to be confirmed")
}
