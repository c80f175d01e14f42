//! Changes that are only tried.

use libknet::api::{apply::Edited, edit::Op, message::ApiError, model::Config};

use super::{Daemon, transactions::first_problem};

impl Daemon {
    /// What [`Self::edit`] would make of `config` with `ops`, as far as it can be told without doing it: the rules of
    /// the configuration, and the key files. What the system would refuse (a TAP or an address that is taken) shows
    /// only when it is done.
    pub(crate) fn try_edit(&mut self, config: &Config, ops: &[Op]) -> Result<Edited, ApiError> {
        let edited = config.edited(ops).map_err(first_problem)?;
        let prepared = self.prepare(&edited.config, None);
        self.erase_other_keys();
        prepared.map(|_| edited).map_err(ApiError::from)
    }
}
