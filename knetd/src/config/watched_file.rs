//! A file that the configuration names and that is read again whenever it was written: what it held when it was last right
//! goes on to count.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use libknet::api::{
    edit::{Context, Leaf, Place},
    group::GroupConfig,
    model::Config,
    problem::{Problem, Severity},
};

use super::key_files::GroupName;
use crate::{logging::unix_ms, trust::read_config};

/// What tells contents of a file from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of what is at this path now.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let data = fs::metadata(path).ok()?;
        Some(Self {
            file: (data.dev(), data.ino()),
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }
}

/// A file that is not as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    path: PathBuf,
    /// `None`: it is gone.
    now: Option<Stamp>,
}

impl Written {
    /// How the file at `path` looks now, where that is not as it did `before`.
    pub(super) fn since(before: Option<Stamp>, path: PathBuf) -> Option<Self> {
        let now = Stamp::of(&path);
        (now != before).then_some(Self { path, now })
    }
}

/// Files that nothing tells of: whoever is writing one is not to be read before he is done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settling(Vec<Written>);

impl Settling {
    /// Whether some are `written` since they were looked at, and all of these not since the last call.
    pub(super) fn is_over(&mut self, written: impl Iterator<Item = Written>) -> bool {
        let written: Vec<_> = written.collect();
        let over = !written.is_empty() && written == self.0;
        self.0 = written;
        over
    }
}

/// What has become of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Where it is named.
    pub(crate) place: String,
    /// What is to be told: of what counts now, or of what cannot.
    pub(crate) text: Result<String, String>,
}

impl Change {
    /// Of that of a group.
    pub(super) fn of_group((interface, group): &GroupName, text: Result<String, String>) -> Self {
        Self {
            place: format!("{interface}: group {group}"),
            text,
        }
    }

    /// What is wrong with the file, and where it is named.
    pub(crate) fn problem(self) -> Option<String> {
        let text = self.text.err()?;
        Some(format!("{}: {text}", self.place))
    }
}

/// Why a configuration is refused that names a file in this line.
pub(super) fn refusal(context: Context, leaf: Leaf, text: impl Into<String>) -> Problem {
    Problem {
        severity: Severity::Error,
        place: Some(Place {
            argument: Some(0),
            ..Place::leaf(context, leaf)
        }),
        span: None,
        text: text.into(),
        expected: None,
    }
}

/// The same for a line of a group.
pub(super) fn refusal_of_group(
    (interface, group): &GroupName,
    leaf: Leaf,
    text: impl Into<String>,
) -> Problem {
    let context = Context::Group {
        interface: interface.clone(),
        group: group.clone(),
    };
    refusal(context, leaf, text)
}

/// The groups of `config` that name such a `file`, and its path as written.
pub(super) fn named_by<'a>(
    config: &'a Config,
    file: impl Fn(&'a GroupConfig) -> Option<&'a str> + Copy + 'a,
) -> impl Iterator<Item = (GroupName, &'a str)> {
    config.interfaces.iter().flat_map(move |(name, interface)| {
        let groups = interface.groups.iter();
        groups.filter_map(move |(group, config)| Some(((name.clone(), group.clone()), file(config)?)))
    })
}

/// One such file.
#[derive(Clone, Debug)]
pub(crate) struct WatchedFile<T> {
    /// As it is written in the configuration.
    pub(crate) path: String,
    /// When the contents that count were read, in milliseconds since 1970; `None`: there are none yet.
    pub(crate) read_unix_ms: Option<u64>,
    /// Why what the file holds now does not count.
    pub(crate) problem: Option<String>,
    /// What counts.
    pub(crate) contents: Option<T>,
    stamp: Option<Stamp>,
}

impl<T> WatchedFile<T> {
    /// Not read yet.
    pub(crate) fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            read_unix_ms: None,
            problem: None,
            contents: None,
            stamp: None,
        }
    }

    /// Reads it. Where it cannot be used, what counted before goes on to count, and the problem says so.
    pub(crate) fn read(
        &mut self,
        directory: &Path,
        most: usize,
        parse: impl FnOnce(&[u8]) -> Result<T, String>,
    ) {
        let whole = directory.join(&self.path);
        // Before it is read: what is written meanwhile is noticed.
        self.stamp = Stamp::of(&whole);
        let read = read_config(&whole, most as u64).map_err(|error| error.to_string());
        match read.and_then(|bytes| parse(&bytes).map_err(|text| format!("{}: {text}", whole.display()))) {
            Ok(contents) => {
                self.contents = Some(contents);
                self.read_unix_ms = Some(unix_ms());
                self.problem = None;
            }
            Err(text) => self.problem = Some(text),
        }
    }

    /// These are its contents: it was written here, or is not there and says nothing.
    pub(crate) fn wrote(&mut self, directory: &Path, contents: T) {
        self.stamp = Stamp::of(&directory.join(&self.path));
        self.contents = Some(contents);
        self.read_unix_ms = Some(unix_ms());
        self.problem = None;
    }

    /// How it looks now, where that is not as it did when it was read.
    pub(crate) fn written(&self, directory: &Path) -> Option<Written> {
        Written::since(self.stamp, directory.join(&self.path))
    }
}
