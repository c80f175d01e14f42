//! Changes that are only tried.

use std::sync::Arc;

use libknet::api::{apply::Edited, edit::Op, message::ApiError, model::Config};

use super::{Daemon, refusal::first_problem};

impl Daemon {
    /// What [`Self::edit`] would make of `config` with `ops`, as far as it can be told without doing it: the rules of
    /// the configuration, and the key files. What the system would refuse (a TAP or an address that is taken) shows
    /// only when it is done.
    pub(crate) fn try_edit(&mut self, config: &Config, ops: &[Op]) -> Result<Edited, ApiError> {
        let Edited { config, notes } = config.edited(ops).map_err(first_problem)?;
        let config = Arc::new(config);
        let prepared = self.prepare(&config, None).map(drop);
        self.erase_other_keys();
        prepared?;
        let config = Arc::unwrap_or_clone(config);
        Ok(Edited { config, notes })
    }
}
