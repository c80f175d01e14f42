//! Reading the configuration file.

use std::{fmt, path::Path, sync::Arc};

use libknet::api::{
    group::Lists,
    load::{self, Loaded, MAX_FILE},
    problem::{Problem, Severity},
};

use super::{
    certificate_files::CertificateFiles,
    invitations::Invitations,
    key_files::{KeyFiles, Patience},
    keys::Keys,
    leases::Leases,
    setup::{Certificates, Known, Setup, group_keys},
    this_host::ThisHost,
};
use crate::{
    resolver::Resolver,
    trust::{TrustError, read_config},
};

/// Why a configuration file was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The file cannot be read, or is not to be believed.
    #[error(transparent)]
    File(#[from] TrustError),
    /// It makes no sense, or names keys that cannot be used: everything that is wrong.
    #[error("{}", Lines(.0))]
    Problems(Vec<Problem>),
    /// The system refused. The text names the thing and the remedy.
    #[error("{0}")]
    System(String),
}

impl LoadError {
    /// One line for each thing that is wrong, each with the path of the file.
    pub(crate) fn lines(&self, path: &Path) -> Vec<String> {
        match self {
            Self::Problems(problems) => problems
                .iter()
                .map(|p| format!("{}: {p}", path.display()))
                .collect(),
            Self::File(_) | Self::System(_) => vec![self.to_string()],
        }
    }
}

struct Lines<'a>(&'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// The configuration in `path` and what is incomplete in it, as [`read`] does, or what is wrong, the files of keys and of
/// certificates included.
pub(crate) fn check(path: &Path, host: &ThisHost) -> Result<Loaded, LoadError> {
    let mut loaded = read(path, host, &mut Keys::new(path))?;
    let whole = Arc::new(std::mem::take(&mut loaded.config));
    let part = host.part_of(&whole);
    let mut problems = match KeyFiles::new(path).of(&part.config, true, Patience::Refuse) {
        Ok(files) => {
            let clashes = part.config.without_groups(files.lists(), None).clashes;
            clashes.iter().map(|clash| files.problem_of(clash)).collect()
        }
        Err(problems) => problems,
    };
    let certificates = CertificateFiles::new(path);
    let found = certificates.of(&part.config, &mut Keys::new(path), true, Patience::Refuse);
    problems.extend(found.err().into_iter().flatten());
    let found = Invitations::new(path).of(&part.config, true, Patience::Refuse);
    problems.extend(found.err().into_iter().flatten());
    if problems.is_empty() {
        return Ok(loaded);
    }
    load::locate(&read_config(path, MAX_FILE as u64)?, &mut problems);
    Err(LoadError::Problems(problems))
}

/// The configuration in `path` and what is incomplete in it. Every error is told at once, those of the key files
/// included; `keys` are read on the way.
pub(crate) fn read(path: &Path, host: &ThisHost, keys: &mut Keys) -> Result<Loaded, LoadError> {
    let file = read_config(path, MAX_FILE as u64)?;
    let mut loaded = load::load(&file);
    let whole = Arc::new(std::mem::take(&mut loaded.config));
    let part = host.part_of(&whole);
    let mut found = part.problems_besides(&loaded.problems);
    found.extend(host.mistaken(&whole));
    // Only what is in the file is looked at here: nothing is looked up.
    let names = Resolver::default();
    let known = Known {
        names: &names,
        leases: &Leases::default(),
        negotiated: &[],
    };
    let in_force = part.config.without_groups(&Lists::new(), None).config;
    for (name, interface) in &part.config.interfaces {
        let mut problems = group_keys(name, interface, keys);
        // What is wrong with the key of a group is not told again for each of its peers.
        if problems.is_empty() {
            let interface = in_force.interfaces.get(name).unwrap_or(interface);
            problems.extend(
                Setup::of(name, interface, &Certificates::default(), keys, known, None)
                    .err()
                    .unwrap_or_default(),
            );
        }
        found.extend(problems.into_iter().map(|problem| Problem {
            place: problem.place.map(|place| whole.written(&part.host, place)),
            ..problem
        }));
    }
    load::locate(&file, &mut found);
    loaded.problems.extend(found);
    drop(part.config);
    loaded.config = Arc::unwrap_or_clone(whole);
    loaded.problems.sort_by_key(|problem| problem.span);
    if loaded.errors().next().is_some() {
        loaded
            .problems
            .retain(|problem| problem.severity == Severity::Error);
        return Err(LoadError::Problems(loaded.problems));
    }
    Ok(loaded)
}
