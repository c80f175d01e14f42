//! What one client is in the middle of: its candidate, the file that it sends, and its changes of the configuration as
//! a whole.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use libknet::api::{
    edit::Op,
    load::{self, MAX_FILE},
    message::{ApiError, ErrorCode, EventRow, Reply, RequestBody},
    model::Config,
    rebase::{Collision, rebase},
    transaction::{ClientRow, CommitRow, Confirmation, Entry, Mode},
};
use tokio::sync::broadcast::Receiver;

use super::{
    names,
    output::protocol_error,
    server::{Clients, Presence},
};
use crate::{
    account::{self, User},
    config::history::{Change, Origin},
    daemon::{Author, CommitError, Daemon, ToConfirm, Watched},
};

/// Candidates at once.
const CANDIDATES: usize = 8;
/// Most problems in one answer.
const PROBLEMS: usize = 1000;
/// Longest time that a change may wait to be confirmed, in seconds.
const MOST_SECONDS: u32 = 86_400;

/// What a client is in the middle of; dropped with its connection.
pub(super) struct Workspace {
    pub(super) daemon: Rc<RefCell<Daemon>>,
    presence: Rc<Presence>,
    clients: Rc<RefCell<Clients>>,
    author: Author,
    pub(super) is_root: bool,
    candidate: Option<Candidate>,
    /// A file that comes in pieces.
    upload: Vec<u8>,
    left_on_purpose: Cell<bool>,
}

/// A configuration that is being edited.
struct Candidate {
    /// What it was made from.
    base: Arc<Config>,
    revision: u64,
    config: Config,
}

impl Candidate {
    fn of_running(daemon: &Daemon) -> Self {
        Self {
            base: Arc::clone(daemon.config()),
            revision: daemon.revision(),
            config: Config::clone(daemon.config()),
        }
    }

    fn edited(&self) -> bool {
        self.config != *self.base
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // Borrowed only where the daemon itself is being dropped.
        if let Ok(mut daemon) = self.daemon.try_borrow_mut() {
            daemon.session_ended(&self.author, self.left_on_purpose.get());
        }
    }
}

impl Workspace {
    pub(super) fn new(
        daemon: Rc<RefCell<Daemon>>,
        presence: Rc<Presence>,
        clients: Rc<RefCell<Clients>>,
        user: &User,
    ) -> Self {
        let session = presence.session;
        Self {
            daemon,
            presence,
            clients,
            author: Author {
                user: user.name.clone(),
                session,
            },
            is_root: user.is_root(),
            candidate: None,
            upload: Vec::new(),
            left_on_purpose: Cell::new(false),
        }
    }

    /// Whose it is.
    pub(super) fn author(&self) -> &Author {
        &self.author
    }

    /// The candidate, or else the running configuration, as it is written.
    pub(super) fn at_hand(&self) -> Arc<Config> {
        match &self.candidate {
            Some(candidate) => Arc::new(candidate.config.clone()),
            None => Arc::clone(self.daemon.borrow().config()),
        }
    }

    /// What of it is in force on this host, or would be.
    pub(super) fn in_force_at_hand(&self) -> Arc<Config> {
        let daemon = self.daemon.borrow();
        match &self.candidate {
            Some(_) => daemon.part_of(&self.at_hand()),
            None => Arc::clone(daemon.in_force()),
        }
    }

    /// The candidate, and which revision it was made from.
    pub(super) fn drafted(&self) -> Result<(u64, Arc<Config>), ApiError> {
        match &self.candidate {
            Some(candidate) => Ok((candidate.revision, Arc::new(candidate.config.clone()))),
            None => Err(no_candidate()),
        }
    }

    /// From now on the client merely listens.
    pub(super) fn listen(&self) -> Result<Receiver<Arc<EventRow>>, ApiError> {
        self.clients
            .borrow()
            .listen(&self.presence)
            .map_err(|why| ApiError::new(ErrorCode::Busy, why))?;
        Ok(self.daemon.borrow().events.watch())
    }

    /// Answers what is asked about the configuration as a whole.
    pub(super) async fn answer(&mut self, body: RequestBody) -> Result<Reply, ApiError> {
        match body {
            RequestBody::Configure(entry) => self.configure(entry),
            RequestBody::EditCandidate { ops } => self.edit(&ops),
            RequestBody::Commit { comment, confirmed } => self.commit(comment, confirmed).await,
            RequestBody::CommitCheck => {
                self.candidate()?;
                let config = Arc::new(self.to_commit()?);
                let impact = self.daemon.borrow_mut().impact(&config);
                answered(impact.map(|(rows, notes)| Reply::Impact { rows, notes }))
            }
            RequestBody::Update => self.update(),
            RequestBody::Discard => {
                self.candidate()?;
                self.candidate = Some(Candidate::of_running(&self.daemon.borrow()));
                Ok(Reply::Done)
            }
            RequestBody::Confirm => self
                .daemon
                .borrow_mut()
                .confirm(&self.author)
                .map(|()| Reply::Done),
            RequestBody::Revert => {
                let row = self.daemon.borrow_mut().revert(&self.author)?;
                Ok(Reply::Committed(Box::new(row)))
            }
            RequestBody::Rollback { revision, comment } => {
                let config = self.daemon.borrow_mut().revision_config(revision)?;
                let origin = Origin::Rollback(revision);
                self.take(Arc::unwrap_or_clone(config), origin, comment, None)
            }
            RequestBody::Upload { bytes, first } => self.receive(&bytes, first),
            RequestBody::Replace { comment } => self.replace(comment),
            RequestBody::Revisions => {
                let mut daemon = self.daemon.borrow_mut();
                let (rows, not_kept) = daemon.revisions();
                let pending = daemon.pending();
                Ok(Reply::Revisions {
                    rows,
                    not_kept,
                    pending,
                })
            }
            RequestBody::Clients => Ok(Reply::Clients {
                rows: self.client_rows(),
                pending: self.daemon.borrow().pending(),
            }),
            RequestBody::ClearClient { session } => self.clear(session),
            RequestBody::Leave => {
                self.left_on_purpose.set(true);
                Ok(Reply::Done)
            }
            _ => Err(ApiError::new(
                ErrorCode::Internal,
                "a request was answered in the wrong place",
            )),
        }
    }

    fn candidate(&mut self) -> Result<&mut Candidate, ApiError> {
        self.candidate.as_mut().ok_or_else(no_candidate)
    }

    fn configure(&mut self, entry: Entry) -> Result<Reply, ApiError> {
        let Entry {
            mode,
            exclusive,
            revert_s,
        } = entry;
        if mode != Mode::Candidate && self.candidate.as_ref().is_some_and(Candidate::edited) {
            return Err(ApiError::new(
                ErrorCode::Conflict,
                "the candidate has changes that are not committed",
            )
            .with_hint("`commit` puts them in force, `exit discard` throws them away"));
        }
        let another = mode == Mode::Candidate && self.candidate.is_none();
        if another && self.clients.borrow().candidates() >= CANDIDATES {
            let text = format!("{CANDIDATES} sessions have a candidate already");
            return Err(ApiError::new(ErrorCode::Busy, text).with_hint("`who` lists them"));
        }
        let mut daemon = self.daemon.borrow_mut();
        if exclusive {
            daemon.lock(&self.author)?;
        }
        if let Some(seconds) = revert_s {
            let to_confirm = ToConfirm {
                seconds: checked_seconds(seconds)?,
                peer: None,
            };
            daemon.await_confirmation(&self.author, to_confirm)?;
            daemon.announce_pending(&self.author);
        }
        match mode {
            Mode::Exec => {
                daemon.leave_configuration(&self.author);
                self.candidate = None;
            }
            Mode::Immediate => self.candidate = None,
            Mode::Candidate if self.candidate.is_none() => {
                self.candidate = Some(Candidate::of_running(&daemon));
            }
            Mode::Candidate => {}
        }
        drop(daemon);
        self.presence.mode.set(mode);
        Ok(self.entered())
    }

    fn entered(&self) -> Reply {
        let others = |row: &ClientRow| !row.own && row.mode != Mode::Exec.name();
        let daemon = self.daemon.borrow();
        Reply::Entered {
            revision: self.candidate.as_ref().map_or(daemon.revision(), |c| c.revision),
            others: self.client_rows().into_iter().filter(others).collect(),
            pending: daemon.pending(),
        }
    }

    fn edit(&mut self, ops: &[Op]) -> Result<Reply, ApiError> {
        self.keep_up();
        let candidate = self.candidate()?;
        let edited = candidate
            .config
            .drafted(ops)
            .map_err(|problem| ApiError::from(*problem))?;
        candidate.config = edited.config;
        let revision = candidate.revision;
        Ok(Reply::Edited {
            revision,
            hostname: self.daemon.borrow().hostname(),
            notes: edited.notes,
        })
    }

    async fn commit(
        &mut self,
        comment: Option<String>,
        confirmed: Option<Confirmation>,
    ) -> Result<Reply, ApiError> {
        if self.candidate.is_none() && self.daemon.borrow().pending().is_none() {
            return Err(ApiError::new(
                ErrorCode::Invalid,
                "nothing to commit: each line is in force at once, and no change waits to be confirmed",
            )
            .with_hint("`configure candidate` edits a copy first"));
        }
        let to_confirm = match confirmed {
            Some(confirmed) => {
                let config = Arc::new(self.to_commit()?);
                Some(self.to_confirm(&config, confirmed).await?)
            }
            None => None,
        };
        // Nothing is awaited from here on.
        let config = self.to_commit()?;
        let mut daemon = self.daemon.borrow_mut();
        let waits = daemon.pending().is_some();
        if config == **daemon.config() && (to_confirm.is_none() || !waits) {
            if waits {
                daemon.confirm(&self.author)?;
            }
            let row = CommitRow {
                confirmed: waits,
                ..daemon.committed(false, Vec::new())
            };
            drop(daemon);
            self.begin_anew();
            return Ok(Reply::Committed(Box::new(row)));
        }
        drop(daemon);
        self.put_in_force(config, Origin::Commit, comment, to_confirm)
    }

    /// What a commit would put in force: the candidate if it was edited, and if nobody has changed what it was made from.
    fn to_commit(&self) -> Result<Config, ApiError> {
        let daemon = self.daemon.borrow();
        match self.candidate.as_ref().filter(|candidate| candidate.edited()) {
            Some(candidate) if *candidate.base != **daemon.config() => {
                Err(daemon.conflict(candidate.revision))
            }
            Some(candidate) => Ok(candidate.config.clone()),
            None => Ok(Config::clone(daemon.config())),
        }
    }

    /// A configuration from elsewhere: into the candidate, or into force where there is none.
    fn take(
        &mut self,
        config: Config,
        origin: Origin,
        comment: Option<String>,
        file: Option<&[u8]>,
    ) -> Result<Reply, ApiError> {
        self.keep_up();
        if let Some(candidate) = &mut self.candidate {
            let changed = candidate.config != config;
            candidate.config = config;
            let row = self.daemon.borrow().committed(changed, Vec::new());
            return Ok(Reply::Committed(Box::new(row)));
        }
        match self.put_in_force(config, origin, comment, None)? {
            Reply::Problems(mut problems) => {
                load::locate(file.unwrap_or_default(), &mut problems);
                Ok(Reply::Problems(problems))
            }
            reply => Ok(reply),
        }
    }

    fn put_in_force(
        &mut self,
        config: Config,
        origin: Origin,
        comment: Option<String>,
        to_confirm: Option<ToConfirm>,
    ) -> Result<Reply, ApiError> {
        let change = Change {
            user: self.author.user.clone(),
            origin,
            comment,
        };
        let confirms = to_confirm.is_none() && change.origin == Origin::Commit;
        let mut daemon = self.daemon.borrow_mut();
        let committed = daemon.transact(config, &self.author, &change, to_confirm);
        let reply = answered(committed.map(|row| Reply::Committed(Box::new(row))))?;
        let Reply::Committed(mut row) = reply else {
            return Ok(reply);
        };
        if confirms && daemon.pending().is_some() {
            daemon.confirm(&self.author)?;
            row.confirmed = true;
            row.pending = None;
        }
        drop(daemon);
        self.begin_anew();
        Ok(Reply::Committed(row))
    }

    /// A candidate that nobody has edited is what is in force by now.
    fn keep_up(&mut self) {
        let edited = self.candidate.as_ref().is_some_and(Candidate::edited);
        if !edited {
            self.begin_anew();
        }
    }

    /// After a commit the candidate is what is in force.
    fn begin_anew(&mut self) {
        if self.candidate.is_some() {
            self.candidate = Some(Candidate::of_running(&self.daemon.borrow()));
        }
    }

    async fn to_confirm(&self, config: &Arc<Config>, confirmed: Confirmation) -> Result<ToConfirm, ApiError> {
        let seconds = checked_seconds(confirmed.seconds)?;
        let Some(name) = confirmed.peer else {
            return Ok(ToConfirm { seconds, peer: None });
        };
        let (running, config) = {
            let daemon = self.daemon.borrow();
            (Arc::clone(daemon.in_force()), daemon.part_of(config))
        };
        let (interface, ..) = names::peer(&running, None, &name)?;
        let later = config.interfaces.get(interface).and_then(|i| i.peers.get(&name));
        let Some(later) = later.filter(|peer| !peer.shutdown) else {
            let text = format!("the change itself takes peer {name} of interface {interface} out of service");
            return Err(ApiError::new(ErrorCode::Invalid, text).with_hint("a peer that stays"));
        };
        let up = self.daemon.borrow().peer_is_up(interface, &name);
        if !up.await {
            let text = format!("peer {name} is not up, so that its loss could not be noticed");
            return Err(
                ApiError::new(ErrorCode::Invalid, text).with_hint("a peer that `show peers` says is up")
            );
        }
        Ok(ToConfirm {
            seconds,
            peer: Some(Watched::new(interface, &name, later)),
        })
    }

    fn update(&mut self) -> Result<Reply, ApiError> {
        let (running, revision) = {
            let daemon = self.daemon.borrow();
            (Arc::clone(daemon.config()), daemon.revision())
        };
        let candidate = self.candidate()?;
        candidate.config = rebase(&candidate.base, &candidate.config, &running).map_err(|c| collided(&c))?;
        candidate.base = running;
        candidate.revision = revision;
        Ok(self.entered())
    }

    fn receive(&mut self, bytes: &[u8], first: bool) -> Result<Reply, ApiError> {
        if first {
            self.upload.clear();
        }
        if self.upload.len() + bytes.len() > MAX_FILE {
            self.upload = Vec::new();
            return Err(
                ApiError::new(ErrorCode::Invalid, "the file is too large").with_hint("at most 128 MiB")
            );
        }
        self.upload.extend_from_slice(bytes);
        Ok(Reply::Done)
    }

    fn replace(&mut self, comment: Option<String>) -> Result<Reply, ApiError> {
        let file = std::mem::take(&mut self.upload);
        self.daemon.borrow().permit(&self.author)?;
        let loaded = load::load(&file);
        if loaded.errors().next().is_some() {
            let errors = loaded.errors().take(PROBLEMS).cloned().collect();
            return Ok(Reply::Problems(errors));
        }
        self.take(loaded.config, Origin::Replace, comment, Some(&file))
    }

    fn client_rows(&self) -> Vec<ClientRow> {
        let now = Instant::now();
        let holder = self.daemon.borrow().lock_holder();
        let row = |presence: &Rc<Presence>| ClientRow {
            session: presence.session,
            own: presence.session == self.presence.session,
            user: account::user_name(presence.uid),
            uid: presence.uid,
            pid: presence.pid,
            since_unix_ms: presence.since_unix_ms,
            idle_ms: now.duration_since(presence.last_request.get()).as_millis() as u64,
            mode: presence.mode.get().name().into(),
            exclusive: holder == Some(presence.session),
        };
        self.clients.borrow().talking().map(row).collect()
    }

    fn clear(&self, session: u64) -> Result<Reply, ApiError> {
        if session == self.presence.session {
            return Err(ApiError::new(ErrorCode::Invalid, "that is this session").with_hint("`exit` ends it"));
        }
        let ended = self.clients.borrow().end(session).ok_or_else(|| {
            ApiError::new(ErrorCode::NotFound, format!("there is no session {session}"))
                .with_hint("`who` lists them")
        })?;
        let line = format!(
            "session {session} of {} was ended by {}",
            account::user_name(ended.uid),
            self.author.user
        );
        self.daemon.borrow_mut().tell_configured(&line);
        Ok(Reply::Done)
    }
}

fn no_candidate() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "this session has no candidate")
        .with_hint("`configure candidate` makes one; it ends with the connection")
}

fn checked_seconds(seconds: u32) -> Result<u32, ApiError> {
    if (1..=MOST_SECONDS).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(protocol_error(format!("{seconds} s to confirm a change")))
    }
}

/// Problems are an answer of their own, all of them.
fn answered(result: Result<Reply, CommitError>) -> Result<Reply, ApiError> {
    match result {
        Err(CommitError::Problems(mut problems)) => {
            problems.truncate(PROBLEMS);
            Ok(Reply::Problems(problems))
        }
        result => result.map_err(ApiError::from),
    }
}

fn collided(collisions: &[Collision]) -> ApiError {
    const SHOWN: usize = 5;
    let mut lines: Vec<String> = collisions
        .iter()
        .take(SHOWN)
        .map(
            |Collision {
                 context,
                 mine,
                 theirs,
             }| format!("{context}: `{mine}` here, `{theirs}` in force"),
        )
        .collect();
    if collisions.len() > SHOWN {
        lines.push(format!("{} more", collisions.len() - SHOWN));
    }
    let text = format!("the changes collide: {}", lines.join("; "));
    ApiError::new(ErrorCode::Conflict, text)
        .with_hint("undo one of the two in the candidate (`no ...`), or `discard` it and begin anew")
}
