//! Keys by the path in the configuration, read once and kept until the configuration is read again.

use std::{
    collections::HashMap,
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
}

/// The keys in use.
#[derive(Debug)]
pub(crate) struct Keys {
    directory: PathBuf,
    read: HashMap<PathBuf, Secret>,
}

impl Keys {
    /// No keys yet. Relative paths are relative to the directory of `config_file`.
    pub(crate) fn new(config_file: &Path) -> Self {
        Self {
            directory: config_file.parent().unwrap_or(Path::new("")).into(),
            read: HashMap::new(),
        }
    }

    /// The key in `file`, a path as the configuration has it.
    pub(crate) fn get(&mut self, file: &str, kind: KeyKind) -> Result<&Secret, TrustError> {
        let path = self.directory.join(file);
        let command = match kind {
            KeyKind::Private => "genkey",
            KeyKind::Preshared => "genpsk",
        };
        match self.read.entry(path) {
            std::collections::hash_map::Entry::Occupied(known) => Ok(known.into_mut()),
            std::collections::hash_map::Entry::Vacant(new) => {
                let key = read_key(new.key(), command)?;
                Ok(new.insert(key))
            }
        }
    }

    /// Erases keys that these files do not need.
    pub(crate) fn keep_only<'a>(&mut self, files: impl Iterator<Item = &'a str>) {
        let needed: std::collections::HashSet<PathBuf> = files.map(|f| self.directory.join(f)).collect();
        self.read.retain(|path, _| needed.contains(path));
    }
}
