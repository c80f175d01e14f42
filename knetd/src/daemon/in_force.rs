//! The way into force: what of a configuration concerns this host, and what is to run with that.

use std::{rc::Rc, sync::Arc, time::Instant};

use libknet::api::{
    diff::peer_differences,
    model::{Config, PeerConfig},
};

use super::{
    Daemon,
    refusal::{CommitError, refused},
};
use crate::{
    config::{keys::Keys, plan::Setups, setup::Setup},
    host_check, workers,
};

/// What is to run with a configuration.
pub(super) struct Prepared {
    /// What of it concerns this host.
    pub(super) in_force: Arc<Config>,
    pub(super) setups: Setups,
    keys: Option<Keys>,
}

impl Daemon {
    /// Puts `config` into force: nothing that it leaves as it is gets disturbed, and after an error everything is
    /// as it was. `keys`: just read, and to be used instead of those known.
    pub(super) fn apply(&mut self, config: Arc<Config>, keys: Option<Keys>) -> Result<(), CommitError> {
        let result = self.prepare(&config, keys).and_then(|prepared| {
            let sizes = prepared.setups.values().map(|s| {
                let workers = s.workers.unwrap_or_else(|| workers::automatic(0));
                (workers, s.sockets.len())
            });
            host_check::enough_descriptors(sizes).map_err(CommitError::System)?;
            self.transform(&prepared.setups)?;
            Ok(prepared)
        });
        let applied = result.map(|prepared| {
            self.config = config;
            let before = std::mem::replace(&mut self.in_force, prepared.in_force);
            self.recorder.forget_gone(&before, &self.in_force);
            self.revision += 1;
            self.names.follow(&before, &self.in_force, Instant::now());
            match prepared.keys {
                Some(keys) => self.keys = keys,
                None => self.doubt_keys_of(&before),
            }
        });
        self.erase_other_keys();
        applied
    }

    /// Erases the keys that the running configuration does not name.
    pub(super) fn erase_other_keys(&mut self) {
        self.keys
            .keep_only(self.in_force.interfaces.values().flat_map(|interface| {
                let preshared = interface
                    .peers
                    .values()
                    .filter_map(|peer| peer.preshared_key_file.as_deref());
                interface.private_key_file.as_deref().into_iter().chain(preshared)
            }));
    }

    /// Of the keys that `before` names some are perhaps not named any more.
    fn doubt_keys_of(&mut self, before: &Config) {
        for (_, difference) in peer_differences(before, &self.in_force) {
            let file = |peer: Option<&PeerConfig>| peer.and_then(|peer| peer.preshared_key_file.clone());
            if let Some(old) = file(difference.old)
                && file(difference.new).as_ref() != Some(&old)
            {
                self.keys.doubt(&old);
            }
        }
        for (name, interface) in &before.interfaces {
            let now = self.in_force.interfaces.get(name);
            let now = now.and_then(|interface| interface.private_key_file.as_ref());
            if let Some(old) = &interface.private_key_file
                && now != Some(old)
            {
                self.keys.doubt(old);
            }
        }
    }

    /// What is to run with `config`, or all for which it is refused, placed where it is written. What did not change is
    /// not even looked at, unless all keys are read again.
    pub(super) fn prepare(
        &mut self,
        config: &Arc<Config>,
        mut fresh: Option<Keys>,
    ) -> Result<Prepared, CommitError> {
        let part = self.this_host.part_of(config);
        if let Some(problems) = refused(&part.problems) {
            return Err(CommitError::Problems(problems));
        }
        let running = self.setups();
        let (mut setups, mut problems) = (Setups::new(), Vec::new());
        for (name, interface) in &part.config.interfaces {
            if fresh.is_none()
                && self.in_force.interfaces.get(name) == Some(interface)
                && let Some(setup) = running.get(name)
            {
                setups.insert(name.clone(), Rc::clone(setup));
                continue;
            }
            let before = match &fresh {
                Some(_) => None,
                None => self
                    .in_force
                    .interfaces
                    .get(name)
                    .zip(running.get(name).map(Rc::as_ref)),
            };
            let keys = fresh.as_mut().unwrap_or(&mut self.keys);
            match Setup::of(name, interface, keys, &self.names, before) {
                Ok(Some(setup)) => drop(setups.insert(name.clone(), Rc::new(setup))),
                Ok(None) => {}
                Err(more) => problems.extend(more),
            }
        }
        if problems.is_empty() {
            Ok(Prepared {
                in_force: part.config,
                setups,
                keys: fresh,
            })
        } else {
            Err(CommitError::Problems(problems).written(config, &part.host))
        }
    }
}
