//! The way into force: what of a configuration concerns this host, and what is to run with that.

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Instant};

use libknet::api::{
    diff::peer_differences,
    group::{Before, Clash, Lists, WithoutGroups},
    metrics::MetricsListener,
    model::{Config, PeerConfig},
    problem::Problem,
};

use super::{
    Daemon,
    refusal::{CommitError, refused},
};
use crate::{
    config::{
        key_files,
        keys::Keys,
        plan::Setups,
        setup::{Certificates, Known, Setup, group_keys},
        sources::{Departed, Sources},
    },
    host_check,
    metrics::endpoint::Patience,
    workers,
};

/// What is to run with a configuration.
pub(super) struct Prepared {
    of_this_host: Arc<Config>,
    sources: Sources,
    /// Who is not there any more by what he has shown.
    departed: Vec<Departed>,
    pub(super) in_force: Arc<Config>,
    pub(super) setups: Setups,
    keys: Option<Keys>,
}

impl Daemon {
    /// Puts `config` into force: nothing that it leaves as it is gets disturbed, and after an error everything is
    /// as it was. `keys`: just read, and to be used instead of those known.
    pub(super) fn apply(&mut self, config: Arc<Config>, keys: Option<Keys>) -> Result<(), CommitError> {
        let applied = self.prepare(&config, keys).and_then(|prepared| {
            self.put(prepared)?;
            self.config = config;
            self.revision += 1;
            Ok(())
        });
        self.erase_other_keys();
        applied
    }

    /// What `change` puts into force is not refused for what can be waited for.
    pub(super) fn patiently<T>(&mut self, change: impl FnOnce(&mut Self) -> T) -> T {
        self.patience = key_files::Patience::Wait;
        let changed = change(self);
        self.patience = key_files::Patience::Refuse;
        changed
    }

    /// Puts into force what was prepared; after an error everything is as it was.
    pub(super) fn put(&mut self, prepared: Prepared) -> Result<(), CommitError> {
        let sizes = prepared.setups.values().map(|s| {
            let workers = s.workers.unwrap_or_else(|| workers::automatic(0));
            (workers, s.sockets.len())
        });
        host_check::enough_descriptors(sizes).map_err(CommitError::System)?;
        let listened = self.metrics.wanted();
        self.listen_for_metrics(&prepared)?;
        if let Err(error) = self.transform(&prepared.setups) {
            // It was there a moment ago; if it is not now, it is tried again.
            let _ = self.metrics.follow(listened, Patience::Wait);
            return Err(error);
        }
        self.of_this_host = prepared.of_this_host;
        self.sources = prepared.sources;
        if let Some(watch) = &self.file_watch {
            watch.follow(self.sources.paths());
        }
        let before = std::mem::replace(&mut self.in_force, prepared.in_force);
        self.follow_addresses(&before);
        self.follow_offers(&before);
        self.recorder.forget_gone(&before, &self.in_force);
        self.names.follow(&before, &self.in_force, Instant::now());
        match prepared.keys {
            Some(keys) => self.keys = keys,
            None => self.doubt_keys_of(&before),
        }
        self.keep_revocation_dates(Instant::now());
        self.tell_departed(&prepared.departed);
        self.certificates_changed();
        Ok(())
    }

    /// Opens the socket at which metrics are told, if it is another one than before.
    fn listen_for_metrics(&mut self, prepared: &Prepared) -> Result<(), CommitError> {
        let wanted = prepared.in_force.metrics_listen.map(MetricsListener::socket);
        let is_of_overlay = |address: &SocketAddr| {
            let addresses = prepared.setups.values().flat_map(|setup| setup.tap_addresses());
            addresses.into_iter().any(|(of, _)| of == address.ip())
        };
        let patience = match self.patience {
            key_files::Patience::Wait => Patience::Wait,
            key_files::Patience::Refuse if wanted.as_ref().is_some_and(is_of_overlay) => {
                Patience::AwaitAddress
            }
            key_files::Patience::Refuse => Patience::Refuse,
        };
        self.metrics.follow(wanted, patience).map_err(CommitError::System)
    }

    /// Erases the keys that the running configuration does not name.
    pub(super) fn erase_other_keys(&mut self) {
        self.keys
            .keep_only(self.in_force.interfaces.values().flat_map(|interface| {
                let preshared = interface
                    .peers
                    .values()
                    .flat_map(|peer| [&peer.preshared_key_file, &peer.invitation_file])
                    .filter_map(|file| file.as_deref());
                interface.private_key_file.as_deref().into_iter().chain(preshared)
            }));
    }

    /// Of the keys that `before` names some are perhaps not named any more.
    fn doubt_keys_of(&mut self, before: &Config) {
        for (_, difference) in peer_differences(before, &self.in_force) {
            let files = |peer: Option<&PeerConfig>| {
                let files = peer.map(|peer| [peer.preshared_key_file.clone(), peer.invitation_file.clone()]);
                files.unwrap_or_default()
            };
            for (old, new) in files(difference.old).iter().zip(files(difference.new)) {
                if let Some(old) = old.as_ref().filter(|old| new.as_ref() != Some(old)) {
                    self.keys.doubt(old);
                }
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

    /// What is in force with a configuration of this host, which may have groups of peers, and with the peers that come
    /// from elsewhere; or who of these cannot be a peer.
    pub(super) fn without_groups(
        &self,
        of_this_host: &Arc<Config>,
        lists: &Lists,
    ) -> Result<Arc<Config>, Vec<Clash>> {
        if !of_this_host.has_groups() {
            return Ok(Arc::clone(of_this_host));
        }
        let before = Before {
            written: &self.of_this_host,
            lists: self.sources.lists(),
            in_force: &self.in_force,
        };
        let WithoutGroups { config, clashes } = of_this_host.without_groups(lists, Some(before));
        if clashes.is_empty() {
            Ok(Arc::new(config))
        } else {
            Err(clashes)
        }
    }

    /// What is to run with a configuration of this host and the peers that come from elsewhere. `fresh`: keys to be read, and
    /// used instead of those known.
    pub(super) fn prepare_with(
        &mut self,
        of_this_host: Arc<Config>,
        mut sources: Sources,
        mut fresh: Option<Keys>,
    ) -> Result<Prepared, Vec<Problem>> {
        let mut departed = sources.expel();
        sources.invitations.restore();
        loop {
            sources.settle();
            let made = match self.without_groups(&of_this_host, sources.lists()) {
                Ok(in_force) => self
                    .setups_of(&of_this_host, &in_force, &sources, fresh.as_mut())
                    .map(|setups| (in_force, setups)),
                Err(clashes) => {
                    // Who is there only by what he has shown makes room for what somebody has written down.
                    let gone = sources.give_way(&clashes);
                    if !gone.is_empty() {
                        departed.extend(gone);
                        continue;
                    }
                    let files = &sources.key_files;
                    Err(clashes.iter().map(|clash| files.problem_of(clash)).collect())
                }
            };
            let problems: Vec<Problem> = match made {
                Ok((in_force, setups)) => {
                    // Who had to make room before is not told of again.
                    let known = &self.sources.invitations;
                    departed.retain(|departed| !departed.was_displaced(known));
                    return Ok(Prepared {
                        of_this_host,
                        sources,
                        departed,
                        in_force,
                        setups,
                        keys: fresh,
                    });
                }
                Err(problems) => problems,
            };
            let gone = sources.blame(&problems);
            if !gone.is_empty() {
                departed.extend(gone);
                continue;
            }
            let key_files = &mut sources.key_files;
            let blamed: Vec<_> = problems
                .iter()
                .filter_map(|problem| Some((key_files.blamed_for(problem)?, problem.to_string())))
                .collect();
            if self.patience == key_files::Patience::Refuse || blamed.is_empty() {
                return Err(problems);
            }
            // Then these files list nobody.
            for (group, text) in blamed {
                key_files.empty(&group, &text);
            }
        }
    }

    /// What is to run with `config`, or all for which it is refused, placed where it is written. What did not change is
    /// not even looked at, unless all keys are read again.
    pub(super) fn prepare(
        &mut self,
        config: &Arc<Config>,
        fresh: Option<Keys>,
    ) -> Result<Prepared, CommitError> {
        let part = self.this_host.part_of(config);
        if let Some(problems) = refused(&part.problems) {
            return Err(CommitError::Problems(problems));
        }
        let refuse = |problems| CommitError::Problems(problems).written(config, &part.host);
        let sources = self.sources_of(&part.config, fresh);
        sources
            .and_then(|(sources, fresh)| self.prepare_with(part.config, sources, fresh))
            .map_err(refuse)
    }

    /// Where peers come from with this configuration. The keys are handed back.
    fn sources_of(
        &mut self,
        of_this_host: &Config,
        mut fresh: Option<Keys>,
    ) -> Result<(Sources, Option<Keys>), Vec<Problem>> {
        let (again, patience) = (fresh.is_some(), self.patience);
        let known = &self.sources;
        let key_files = known.key_files.of(of_this_host, again, patience);
        let keys = fresh.as_mut().unwrap_or(&mut self.keys);
        let certificate_files = known.certificate_files.of(of_this_host, keys, again, patience);
        let invitations = known.invitations.of(of_this_host, again, patience);
        match (key_files, certificate_files, invitations) {
            (Ok(key_files), Ok(certificate_files), Ok(invitations)) => {
                let mut sources = known.clone();
                sources.key_files = key_files;
                sources.certificate_files = certificate_files;
                sources.invitations = invitations;
                Ok((sources, fresh))
            }
            (key_files, certificate_files, invitations) => {
                let problems = [key_files.err(), certificate_files.err(), invitations.err()];
                Err(problems.into_iter().flatten().flatten().collect())
            }
        }
    }

    /// What is to run with `in_force`, which was made of `of_this_host`. `fresh`: keys to be read, and used instead of
    /// those known.
    fn setups_of(
        &mut self,
        of_this_host: &Config,
        in_force: &Config,
        sources: &Sources,
        mut fresh: Option<&mut Keys>,
    ) -> Result<Setups, Vec<Problem>> {
        let running = self.setups();
        let (mut setups, mut problems) = (Setups::new(), Vec::new());
        for (name, interface) in &of_this_host.interfaces {
            let keys = fresh.as_deref_mut().unwrap_or(&mut self.keys);
            problems.extend(group_keys(name, interface, keys));
        }
        // What is wrong with the key of a group is not told again for each of its peers.
        if !problems.is_empty() {
            return Err(problems);
        }
        for (name, interface) in &in_force.interfaces {
            let certificates = Certificates::of(&sources.certificate_files, &sources.invitations, name);
            if fresh.is_none()
                && self.in_force.interfaces.get(name) == Some(interface)
                && let Some(setup) = running.get(name)
                && setup.is_with(&certificates)
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
            let keys = fresh.as_deref_mut().unwrap_or(&mut self.keys);
            let change = (self.in_force.interfaces.get(name), interface);
            let negotiated = self
                .negotiated
                .taken_after(name, change, running.get(name).map(Rc::as_ref));
            let known = Known {
                names: &self.names,
                leases: self.leasing.leases(),
                negotiated: &negotiated,
            };
            match Setup::of(name, interface, &certificates, keys, known, before) {
                Ok(Some(setup)) => drop(setups.insert(name.clone(), Rc::new(setup))),
                Ok(None) => {}
                Err(more) => problems.extend(more),
            }
        }
        if problems.is_empty() {
            Ok(setups)
        } else {
            Err(problems)
        }
    }
}
