//! Configurations as texts, and how they differ.

use std::sync::Arc;

use libknet::api::{
    load::{self, MAX_FILE},
    message::{ApiError, ErrorCode},
    model::Config,
    render::render,
    text_diff::text_diff,
    transaction::Version,
};

use super::workspace::Workspace;
use crate::{daemon::Daemon, trust::read_config};

impl Workspace {
    /// The configuration file as it is; for others than root, who may not read it, what it says.
    pub(super) fn startup_text(&self) -> Result<String, ApiError> {
        if !self.is_root {
            return Ok(render(&*startup(&self.daemon.borrow())?, false));
        }
        let path = self.daemon.borrow().config_file().to_owned();
        std::fs::read_to_string(&path).map_err(|error| {
            let code = match error.kind() {
                std::io::ErrorKind::NotFound => ErrorCode::NotFound,
                _ => ErrorCode::System,
            };
            ApiError::new(code, format!("{}: {error}", path.display()))
        })
    }

    /// A configuration as text.
    pub(super) fn text(&self, version: Version) -> Result<String, ApiError> {
        match version {
            Version::Startup => self.startup_text(),
            version => Ok(render(&self.version(version)?.1, false)),
        }
    }

    /// How two configurations differ.
    pub(super) fn diff(&self, from: Version, to: Version) -> Result<String, ApiError> {
        let ((from_name, from), (to_name, to)) = (self.version(from)?, self.version(to)?);
        Ok(text_diff((&from_name, &from), (&to_name, &to)))
    }

    /// A configuration and its name.
    fn version(&self, version: Version) -> Result<(String, Arc<Config>), ApiError> {
        Ok(match version {
            Version::Running => {
                let daemon = self.daemon.borrow();
                let name = format!("running-config (revision {})", daemon.revision());
                (name, Arc::clone(daemon.config()))
            }
            Version::Revision(revision) => {
                let config = self.daemon.borrow_mut().revision_config(revision)?;
                (format!("revision {revision}"), config)
            }
            Version::Startup => ("startup-config".into(), startup(&self.daemon.borrow())?),
            Version::Candidate => {
                let (revision, config) = self.drafted()?;
                (format!("candidate (made from revision {revision})"), config)
            }
        })
    }
}

/// The configuration in the file; none where there is no file.
fn startup(daemon: &Daemon) -> Result<Arc<Config>, ApiError> {
    let path = daemon.config_file();
    if !path.exists() {
        return Ok(Arc::default());
    }
    let file = read_config(path, MAX_FILE as u64)
        .map_err(|error| ApiError::new(ErrorCode::System, error.to_string()))?;
    let loaded = load::load(&file);
    if let Some(problem) = loaded.errors().next() {
        let text = format!("{}: {problem}", path.display());
        return Err(ApiError::new(ErrorCode::Invalid, text).with_hint("a file that `knetd --check` takes"));
    }
    Ok(Arc::new(loaded.config))
}
