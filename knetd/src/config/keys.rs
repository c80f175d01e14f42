//! Keys by the path in the configuration, read once and kept until the configuration is read again.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use libknet::proto::crypto::Secret;

use crate::trust::{TrustError, read_key};

/// What a key file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// The static key of an interface.
    Private,
    /// The key that a pair of peers shares.
    Preshared,
    /// What somebody who was invited presents.
    Invitation,
    /// The key of a certification authority.
    Authority,
}

/// The keys in use.
#[derive(Debug)]
pub(crate) struct Keys {
    directory: PathBuf,
    read: HashMap<PathBuf, Secret>,
    /// Files of which perhaps nobody needs the key.
    doubtful: HashSet<PathBuf>,
}

impl Keys {
    /// No keys yet. Relative paths are relative to the directory of `config_file`.
    pub(crate) fn new(config_file: &Path) -> Self {
        Self {
            directory: config_file.parent().unwrap_or(Path::new("")).into(),
            read: HashMap::new(),
            doubtful: HashSet::new(),
        }
    }

    /// The key in `file`, a path as the configuration has it.
    pub(crate) fn get(&mut self, file: &str, kind: KeyKind) -> Result<&Secret, TrustError> {
        let path = self.directory.join(file);
        match self.read.entry(path) {
            std::collections::hash_map::Entry::Occupied(known) => Ok(known.into_mut()),
            std::collections::hash_map::Entry::Vacant(new) => {
                let key = read_key(new.key(), kind)?;
                self.doubtful.insert(new.key().clone());
                Ok(new.insert(key))
            }
        }
    }

    /// Somebody does not need the key in `file` any more.
    pub(crate) fn doubt(&mut self, file: &str) {
        self.doubtful.insert(self.directory.join(file));
    }

    /// Erases the keys that these files do not need: of those that were read, or doubted, since this was asked last.
    pub(crate) fn keep_only<'a>(&mut self, files: impl Iterator<Item = &'a str>) {
        let mut doubtful = std::mem::take(&mut self.doubtful);
        for file in files {
            if doubtful.is_empty() {
                return;
            }
            doubtful.remove(&self.directory.join(file));
        }
        for file in doubtful {
            self.read.remove(&file);
        }
    }
}
