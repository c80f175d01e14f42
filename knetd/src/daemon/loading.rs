//! The configuration file into force: at start and at SIGHUP.

use std::{sync::Arc, time::Instant};

use super::{Author, Daemon, refusal::CommitError};
use crate::config::{
    history::{Change, Origin},
    keys::Keys,
    load::{self, LoadError},
    unconfirmed::{self, Mark},
};

impl Daemon {
    /// The first configuration: that of the file, which is empty where there is none; or what was in force before a
    /// change that nobody had confirmed when the last daemon ended.
    pub(crate) fn start(&mut self, file_is_there: bool) -> Result<(), LoadError> {
        self.patiently(|daemon| daemon.start_configured(file_is_there))
    }

    fn start_configured(&mut self, file_is_there: bool) -> Result<(), LoadError> {
        if let Some(mark) = unconfirmed::read(self.history.directory()) {
            let went_back = self.start_before(&mark);
            self.forget_mark();
            match went_back {
                Ok(true) => return Ok(()),
                Ok(false) => tracing::warn!(
                    "a change by {} was not confirmed when knetd ended; {} was changed since, and counts",
                    mark.user,
                    self.config_file.display()
                ),
                Err(error) => tracing::error!(
                    "a change by {} was not confirmed when knetd ended, and revision {} cannot be put in force: \
                     {error}; {} counts",
                    mark.user,
                    mark.back_to,
                    self.config_file.display()
                ),
            }
        }
        if file_is_there {
            return self.load(Origin::Start);
        }
        if !self.history.is_empty() && !self.history.ends_with(&self.config) {
            self.revision += 1;
            self.keep_loaded(Origin::Start);
        }
        Ok(())
    }

    /// Reads the configuration file and puts the difference into force, or refuses it whole. Keys are read and names
    /// are looked up again.
    pub(crate) fn load(&mut self, origin: Origin) -> Result<(), LoadError> {
        let nobody = Author {
            user: String::new(),
            session: 0,
        };
        self.permit(&nobody).map_err(|error| {
            let hint = error.hint.map_or(String::new(), |hint| format!("; {hint}"));
            LoadError::System(format!("{}{hint}", error.message))
        })?;
        let mut keys = Keys::new(&self.config_file);
        let loaded = load::read(&self.config_file, &self.this_host, &mut keys)?;
        let before = Arc::clone(&self.config);
        self.apply(Arc::new(loaded.config), Some(keys))
            .map_err(as_load_error)?;
        self.tell_unusable_key_files();
        for note in loaded.problems {
            tracing::warn!("{}: {note}", self.config_file.display());
        }
        self.saved = Arc::clone(&self.config);
        let known = match origin {
            Origin::Start => self.history.ends_with(&self.config),
            _ => before == self.config,
        };
        if !known {
            self.keep_loaded(origin);
        } else if origin == Origin::Start {
            self.revision = self.history.latest();
        }
        self.saved_revision = Some(self.history.latest());
        self.names.hurry(Instant::now());
        Ok(())
    }

    fn keep_loaded(&mut self, origin: Origin) {
        let change = Change {
            user: "system".into(),
            origin,
            comment: None,
        };
        self.history.record(self.revision, &self.config, &change);
    }

    /// Puts in force what was before the change of `mark`, unless the configuration file was changed since.
    fn start_before(&mut self, mark: &Mark) -> Result<bool, LoadError> {
        if unconfirmed::digest(&self.config_file) != mark.startup {
            return Ok(false);
        }
        let config = self
            .history
            .config(mark.back_to)
            .map_err(|error| LoadError::System(error.to_string()))?;
        self.apply(config, None).map_err(as_load_error)?;
        self.tell_unusable_key_files();
        if self.history.latest() == mark.back_to {
            self.revision = mark.back_to;
        } else {
            let change = Change {
                user: mark.user.clone(),
                origin: Origin::AutomaticRollback(mark.back_to),
                comment: Some("knetd ended before it was confirmed".into()),
            };
            self.history.record(self.revision, &self.config, &change);
        }
        if let Ok(file) = load::read(
            &self.config_file,
            &self.this_host,
            &mut Keys::new(&self.config_file),
        ) {
            self.saved = Arc::new(file.config);
            if self.saved == self.config {
                self.saved_revision = Some(self.history.latest());
            }
        }
        self.names.hurry(Instant::now());
        tracing::warn!(
            "a change by {} was not confirmed when knetd ended: revision {} is in force again",
            mark.user,
            mark.back_to
        );
        Ok(true)
    }
}

fn as_load_error(error: CommitError) -> LoadError {
    match error {
        CommitError::Problems(problems) => LoadError::Problems(problems),
        CommitError::System(text) => LoadError::System(text),
        CommitError::Refused(error) => LoadError::System(error.message),
    }
}
