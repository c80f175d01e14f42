//! Revisions of the configuration: the latest are kept as files in a directory beside the configuration file.
//!
//! A file holds a few comments (who, when, why) and then the configuration, so that each is a configuration file by
//! itself. Files are written beside, synchronised and renamed: each is there whole or not at all.
//!
//! Lines that one user types one after the other are gathered: they are one revision, written when the user leaves
//! the configuration, when a minute has passed, or when somebody wants to know. So there is at most one write for each
//! block of lines, however fast they come. A thread of its own writes them: nobody who types waits for the disk.

use std::{
    fmt::Write as _,
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use libknet::api::{
    load::{self, MAX_FILE},
    model::Config,
    render::render,
    transaction::RevisionRow,
};

use super::store;
use crate::{
    logging::{clean, unix_ms},
    trust::{TrustError, read_config},
};

/// How many revisions are kept.
const KEPT: usize = 50;
/// How many bytes the older ones may have together; the latest two are kept in any case.
const BYTES: u64 = 512 * 1024 * 1024;
/// How long lines are gathered before they are written.
const GATHER: Duration = Duration::from_secs(60);
/// How soon a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(60);
/// Longest comment in bytes.
const COMMENT_MAX: usize = 1024;

/// What made a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The configuration file, at start.
    Start,
    /// The configuration file, at SIGHUP.
    Reload,
    /// Lines that were in force at once.
    Lines,
    /// A candidate.
    Commit,
    /// A file that a client sent.
    Replace,
    /// An earlier revision.
    Rollback(u64),
    /// An earlier revision, because nobody confirmed a change.
    AutomaticRollback(u64),
}

impl Origin {
    const fn name(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Reload => "reload",
            Self::Lines => "lines",
            Self::Commit => "commit",
            Self::Replace => "replace",
            Self::Rollback(_) => "rollback",
            Self::AutomaticRollback(_) => "automatic-rollback",
        }
    }

    const fn back_to(&self) -> Option<u64> {
        match self {
            Self::Rollback(revision) | Self::AutomaticRollback(revision) => Some(*revision),
            _ => None,
        }
    }
}

/// Who changes something, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Name of the user.
    pub user: String,
    /// What made it.
    pub origin: Origin,
    /// What was said about it.
    pub comment: Option<String>,
}

/// The revisions that are kept.
#[derive(Debug)]
pub(crate) struct History {
    directory: PathBuf,
    /// On the disk, the oldest first.
    kept: Vec<RevisionRow>,
    /// The one that is being written.
    writing: Option<Writing>,
    /// The latest one, not on the disk yet.
    open: Option<Open>,
    /// Why the latest one is not on the disk.
    problem: Option<String>,
    /// One that must not go.
    protected: Option<u64>,
}

#[derive(Clone, Debug)]
struct Open {
    row: RevisionRow,
    config: Arc<Config>,
    due: Instant,
}

#[derive(Debug)]
struct Writing {
    open: Open,
    /// Gives the size of the configuration in bytes, or why it could not be written.
    thread: JoinHandle<Result<u64, String>>,
}

/// Why a revision cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevisionError {
    /// It is not kept.
    #[error("revision {0} is not kept")]
    NotKept(u64),
    /// Its file cannot be read, or is not to be believed.
    #[error(transparent)]
    File(#[from] TrustError),
    /// Its file makes no sense any more.
    #[error("{path}: {problem}")]
    Broken {
        /// Which file.
        path: PathBuf,
        /// The first thing that is wrong.
        problem: String,
    },
}

impl History {
    /// What is kept beside `config_file`.
    pub(crate) fn beside(config_file: &Path) -> Self {
        let directory = store::directory_beside(config_file);
        let mut kept = Vec::new();
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if let Some(number) = number_of(&name) {
                match read_row(&entry.path(), number) {
                    Ok(row) => kept.push(row),
                    Err(error) => tracing::warn!("{}: {error}; it is left alone", entry.path().display()),
                }
            }
        }
        store::sweep(&directory, "");
        kept.sort_by_key(|row| row.revision);
        Self {
            directory,
            kept,
            writing: None,
            open: None,
            problem: None,
            protected: None,
        }
    }

    /// Where they are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.latest() == 0
    }

    /// Whether the latest one on the disk is this configuration.
    pub(crate) fn ends_with(&self, config: &Config) -> bool {
        let Some(row) = self.kept.last().filter(|_| self.unwritten().next().is_none()) else {
            return false;
        };
        let file = read_config(&self.path(row.revision), MAX_FILE as u64).unwrap_or_default();
        file.ends_with(format!("\n!\n{}", render(config, false)).as_bytes())
    }

    /// The number of the latest one; 0 where there is none.
    pub(crate) fn latest(&self) -> u64 {
        let latest = self.unwritten().last().or(self.kept.last());
        latest.map_or(0, |row| row.revision)
    }

    /// Those that are not on the disk yet, the oldest first.
    fn unwritten(&self) -> impl Iterator<Item = &RevisionRow> {
        let writing = self.writing.as_ref().map(|writing| &writing.open);
        writing.into_iter().chain(&self.open).map(|open| &open.row)
    }

    /// Takes note of a new revision. Lines that follow lines of the same user join them; everything else is on the disk
    /// when this returns.
    pub(crate) fn record(&mut self, revision: u64, config: &Arc<Config>, change: &Change) {
        let lines = change.origin == Origin::Lines;
        if lines
            && let Some(open) = self
                .open
                .as_mut()
                .filter(|open| open.row.origin == Origin::Lines.name() && open.row.user == change.user)
        {
            open.row.revision = revision;
            open.row.changes += 1;
            open.row.unix_ms = unix_ms();
            open.config = Arc::clone(config);
            return;
        }
        self.begin();
        let now = Instant::now();
        self.open = Some(Open {
            row: RevisionRow {
                revision,
                changes: 1,
                unix_ms: unix_ms(),
                user: clean(&change.user, 64),
                origin: change.origin.name().into(),
                back_to: change.origin.back_to(),
                comment: change.comment.as_deref().map(|text| clean(text, COMMENT_MAX)),
                ..RevisionRow::default()
            },
            config: Arc::clone(config),
            due: now + GATHER,
        });
        self.problem = None;
        if !lines {
            self.flush();
        }
    }

    /// The lines that `user` typed are complete.
    pub(crate) fn close(&mut self, user: &str) {
        if let Some(open) = self.open.as_mut().filter(|open| open.row.user == user) {
            open.due = Instant::now();
        }
    }

    /// Begins to write what is due; to be called about once a second.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self
            .writing
            .as_ref()
            .is_some_and(|writing| writing.thread.is_finished())
        {
            self.finish();
        }
        if self.writing.is_none() && self.open.as_ref().is_some_and(|open| open.due <= now) {
            self.begin();
        }
    }

    /// Begins to write what is gathered: what comes next is another revision.
    pub(crate) fn begin(&mut self) {
        self.finish();
        let Some(open) = self.open.take() else { return };
        let (path, row, config) = (
            self.path(open.row.revision),
            open.row.clone(),
            Arc::clone(&open.config),
        );
        let job = move || write(&path, row, &config);
        match std::thread::Builder::new().name("revision".into()).spawn(job) {
            Ok(thread) => self.writing = Some(Writing { open, thread }),
            Err(error) => self.failed(open, format!("no thread to write it: {error}")),
        }
    }

    /// Waits until everything is written. What cannot be written is tried again, until something newer takes its place.
    pub(crate) fn flush(&mut self) {
        self.begin();
        self.finish();
    }

    fn finish(&mut self) {
        let Some(Writing { mut open, thread }) = self.writing.take() else {
            return;
        };
        let written = thread.join();
        match written.unwrap_or_else(|_| Err("the thread that writes it panicked".into())) {
            Ok(bytes) => {
                self.problem = None;
                open.row.bytes = bytes;
                self.kept.push(open.row);
                self.prune();
            }
            Err(problem) => self.failed(open, problem),
        }
    }

    fn failed(&mut self, mut open: Open, problem: String) {
        if self.problem.as_ref() != Some(&problem) {
            tracing::warn!("revision {} is not kept: {problem}", open.row.revision);
        }
        if self.open.is_none() {
            self.problem = Some(problem);
            open.due = Instant::now() + RETRY;
            self.open = Some(open);
        }
    }

    /// Why the latest revision is not on the disk, if it could not be written.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.clone()
    }

    /// Keeps one from going while newer ones come.
    pub(crate) fn protect(&mut self, revision: Option<u64>) {
        self.protected = revision;
    }

    /// The rows, the oldest first; `startup`: the revision that the configuration file holds.
    pub(crate) fn rows(&mut self, running: u64, startup: Option<u64>) -> Vec<RevisionRow> {
        self.flush();
        let mut rows: Vec<RevisionRow> = self.kept.iter().chain(self.unwritten()).cloned().collect();
        for row in &mut rows {
            row.running = row.revision == running;
            row.startup = Some(row.revision) == startup;
        }
        rows
    }

    /// The latest changes behind `revision`, the oldest first.
    pub(crate) fn since(&self, revision: u64) -> impl Iterator<Item = &RevisionRow> {
        self.kept
            .iter()
            .chain(self.unwritten())
            .filter(move |row| row.revision > revision)
    }

    /// The numbers that are kept, for messages.
    pub(crate) fn numbers(&self) -> String {
        match (self.kept.first(), self.kept.last()) {
            (Some(first), Some(last)) if first.revision < last.revision => {
                let (first, last) = (first.revision, last.revision);
                format!("`show configuration history` lists those that are, from {first} to {last}")
            }
            (Some(only), _) => format!("only revision {} is", only.revision),
            _ => "none is kept yet".into(),
        }
    }

    /// The configuration of a revision.
    pub(crate) fn config(&mut self, revision: u64) -> Result<Arc<Config>, RevisionError> {
        self.flush();
        if let Some(open) = self.open.as_ref().filter(|open| open.row.revision == revision) {
            return Ok(Arc::clone(&open.config));
        }
        if self.kept.iter().all(|row| row.revision != revision) {
            return Err(RevisionError::NotKept(revision));
        }
        let path = self.path(revision);
        let loaded = load::load(&read_config(&path, MAX_FILE as u64)?);
        if let Some(problem) = loaded.errors().next() {
            let problem = problem.to_string();
            return Err(RevisionError::Broken { path, problem });
        }
        Ok(Arc::new(loaded.config))
    }

    fn path(&self, revision: u64) -> PathBuf {
        self.directory.join(format!("{revision:09}.conf"))
    }

    fn prune(&mut self) {
        let bytes = |kept: &[RevisionRow]| kept.iter().map(|row| row.bytes).sum::<u64>();
        while self.kept.len() > KEPT || self.kept.len() > 2 && bytes(&self.kept) > BYTES {
            let Some(oldest) = self
                .kept
                .iter()
                .position(|row| Some(row.revision) != self.protected)
            else {
                return;
            };
            let row = self.kept.remove(oldest);
            let path = self.path(row.revision);
            // One that cannot be removed goes with the next start's look at the directory, or stays.
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!("{}: cannot remove it: {error}", path.display());
            }
        }
    }
}

/// Writes a revision to `path` and returns the size of its configuration.
fn write(path: &Path, mut row: RevisionRow, config: &Config) -> Result<u64, String> {
    if let Some(directory) = path.parent() {
        make_directory(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    }
    let config = render(config, false);
    row.bytes = config.len() as u64;
    let text = head(&row) + "!\n" + &config;
    store::replace(path, &text).map_err(|e| e.to_string())?;
    Ok(row.bytes)
}

/// Mode 0700, whoever made it: revisions tell what was configured to whoever may read them.
pub(crate) fn make_directory(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => match fs::metadata(directory)?.permissions().mode() & 0o7777 {
            0o700 => Ok(()),
            _ => fs::set_permissions(directory, Permissions::from_mode(0o700)),
        },
        // What is written into it lasts only if it does.
        Ok(()) => store::sync_directory_of(directory),
    }
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".conf")?;
    let plain = digits.len() >= 9 && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// The comments in front of the configuration.
fn head(row: &RevisionRow) -> String {
    let mut text = format!(
        "! revision {}\n! changes {}\n! time {}\n! bytes {}\n! origin {}\n! user {}\n",
        row.revision, row.changes, row.unix_ms, row.bytes, row.origin, row.user
    );
    if let Some(revision) = row.back_to {
        let _ = writeln!(text, "! back-to {revision}");
    }
    if let Some(comment) = &row.comment {
        let _ = writeln!(text, "! comment {comment}");
    }
    text
}

fn read_row(path: &Path, revision: u64) -> Result<RevisionRow, String> {
    use std::io::BufRead;
    let file = fs::File::open(path).map_err(|e| e.to_string())?;
    let mut row = RevisionRow {
        revision,
        ..RevisionRow::default()
    };
    let mut known = false;
    // The head is short; a file that is none of ours may have long lines.
    for line in io::BufReader::new(io::Read::take(file, 4096))
        .lines()
        .map_while(Result::ok)
    {
        let Some((name, value)) = line.strip_prefix("! ").and_then(|line| line.split_once(' ')) else {
            break;
        };
        let number = || {
            value
                .parse::<u64>()
                .map_err(|_| format!("`{name}` is not followed by a number"))
        };
        match name {
            "revision" => known = number()? == revision,
            "changes" => row.changes = number()?,
            "time" => row.unix_ms = number()?,
            "bytes" => row.bytes = number()?,
            "back-to" => row.back_to = Some(number()?),
            "origin" => row.origin = value.into(),
            "user" => row.user = value.into(),
            "comment" => row.comment = Some(value.into()),
            _ => {}
        }
    }
    if known {
        Ok(row)
    } else {
        Err(format!("it does not say that it is revision {revision}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn config(hostname: &str) -> Arc<Config> {
        Arc::new(Config {
            hostname: Some(hostname.into()),
            ..Config::default()
        })
    }

    fn change(user: &str, origin: Origin) -> Change {
        let (user, comment) = (user.into(), None);
        Change {
            user,
            origin,
            comment,
        }
    }

    fn numbers(history: &mut History) -> Vec<u64> {
        history.rows(0, None).iter().map(|row| row.revision).collect()
    }

    #[test]
    fn lines_of_one_user_are_one_revision() {
        let scratch = Scratch::new();
        let mut history = History::beside(&scratch.path().join("k.conf"));
        assert_eq!(history.latest(), 0);
        history.record(1, &config("a"), &change("root", Origin::Start));
        for n in 2..=5 {
            history.record(n, &config(&format!("a{n}")), &change("ann", Origin::Lines));
        }
        assert!(!history.path(5).exists(), "lines are gathered");
        history.record(6, &config("b"), &change("bob", Origin::Lines));
        history.finish();
        assert!(history.path(5).exists() && !history.path(6).exists());
        history.close("ann");
        history.tick(Instant::now());
        assert!(!history.path(6).exists());
        history.close("bob");
        history.tick(Instant::now());
        assert_eq!(history.latest(), 6);
        let written = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            history.tick(Instant::now());
            history.kept.len() == 3
        });
        assert!(written && history.path(6).exists());
        assert_eq!(numbers(&mut history), [1, 5, 6]);
        let mut again = History::beside(&scratch.path().join("k.conf"));
        let rows = again.rows(6, Some(1));
        assert_eq!(rows, history.rows(6, Some(1)));
        assert_eq!(
            (rows[1].changes, &*rows[1].user, &*rows[1].origin),
            (4, "ann", "lines")
        );
        assert_eq!(again.config(5).unwrap().hostname.as_deref(), Some("a5"));
        assert!(matches!(again.config(3), Err(RevisionError::NotKept(3))));
    }

    #[test]
    fn the_oldest_go_but_not_a_protected_one() {
        let scratch = Scratch::new();
        let mut history = History::beside(&scratch.path().join("k.conf"));
        history.protect(Some(3));
        for n in 1..=60 {
            history.record(n, &config("a"), &change("root", Origin::Commit));
        }
        let mut expected: Vec<u64> = (12..=60).collect();
        expected.insert(0, 3);
        assert_eq!(numbers(&mut history), expected);
        assert_eq!(fs::read_dir(history.directory()).unwrap().count(), KEPT);
    }

    #[test]
    fn nobody_else_may_read_them_and_nothing_foreign_is_taken_for_one() {
        let scratch = Scratch::new();
        let directory = scratch.path().join("k.conf.revisions");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        fs::write(directory.join("000000004.conf"), "hostname x\n").unwrap();
        fs::write(directory.join("4.conf"), "").unwrap();
        fs::write(directory.join(".000000007.conf.123.new"), "half").unwrap();
        let mut history = History::beside(&scratch.path().join("k.conf"));
        assert_eq!(history.latest(), 0);
        assert!(!directory.join(".000000007.conf.123.new").exists());
        let said = Change {
            comment: Some("two\nlines".into()),
            ..change("root", Origin::Rollback(7))
        };
        history.record(9, &config("a"), &said);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&directory), mode(&history.path(9))), (0o700, 0o600));
        let rows = History::beside(&scratch.path().join("k.conf")).rows(9, None);
        assert_eq!((rows[0].back_to, rows.len()), (Some(7), 1));
        assert!(!rows[0].comment.as_deref().unwrap().contains('\n'));
    }

    #[test]
    fn what_cannot_be_written_is_told_and_tried_again() {
        let scratch = Scratch::new();
        let directory = scratch.path().join("k.conf.revisions");
        fs::write(&directory, "in the way").unwrap();
        let mut history = History::beside(&scratch.path().join("k.conf"));
        history.record(1, &config("a"), &change("root", Origin::Commit));
        assert!(history.problem().unwrap().contains("k.conf.revisions"));
        assert_eq!(history.config(1).unwrap().hostname.as_deref(), Some("a"));
        fs::remove_file(&directory).unwrap();
        assert_eq!(numbers(&mut history), [1]);
        assert_eq!(history.problem(), None);
        assert!(history.path(1).exists());
    }
}
