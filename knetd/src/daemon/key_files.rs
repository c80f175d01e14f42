//! Files of keys that were written since they were read.

use std::sync::Arc;

use libknet::api::problem::Problem;

use super::{Daemon, refusal::CommitError};
use crate::{
    config::{
        key_files::{Change, KeyFiles},
        sources::Sources,
    },
    events::{self, Loudness},
};

impl Daemon {
    /// Reads the files of keys again that were written since, and puts the difference into force: who is listed no more
    /// has no session any more, and nobody else is touched. What cannot be used is told, and what it listed before goes on
    /// to count.
    pub(crate) fn read_key_files(&mut self) {
        if let Some((files, changes)) = self.sources.key_files.changed() {
            self.take_key_files(files, changes);
        }
        self.read_certificate_files();
        self.read_invitation_files();
    }

    /// The same for those that nothing has told of: once they have been as they are for a second.
    pub(super) fn tick_key_files(&mut self) {
        if let Some(watch) = &self.file_watch {
            watch.follow(self.sources.paths());
        }
        // All are asked: each remembers what it has seen.
        let settled = [
            self.sources.key_files.have_settled(),
            self.sources.certificate_files.have_settled(),
            self.sources.invitations.have_settled(),
        ];
        if settled.contains(&true) {
            self.read_key_files();
        }
    }

    fn take_key_files(&mut self, mut files: KeyFiles, mut changes: Vec<Change>) {
        if let Err(found) = self.put_key_files(&files) {
            for change in changes.iter_mut().filter(|change| change.problem.is_none()) {
                *change = files.take_back(&self.sources.key_files, change, &found);
            }
            self.sources.key_files = files;
            self.sources.settle();
        }
        self.erase_other_keys();
        for change in changes {
            self.tell_key_file(&change);
        }
    }

    /// Puts into force what `files` list now, or says why that cannot be.
    fn put_key_files(&mut self, files: &KeyFiles) -> Result<(), Vec<String>> {
        let mut sources = self.sources.clone();
        sources.key_files = files.clone();
        self.put_sources(sources)
    }

    /// Puts the peers into force that come from there, or says why that cannot be.
    pub(super) fn put_sources(&mut self, sources: Sources) -> Result<(), Vec<String>> {
        let texts =
            |problems: Vec<Problem>| -> Vec<String> { problems.iter().map(ToString::to_string).collect() };
        let prepared = self
            .prepare_with(Arc::clone(&self.of_this_host), sources, None)
            .map_err(texts)?;
        self.put(prepared).map_err(|error| match error {
            CommitError::Problems(problems) => texts(problems),
            CommitError::System(text) => vec![text],
            CommitError::Refused(error) => vec![error.message],
        })
    }

    /// Tells which files cannot be used.
    pub(super) fn tell_unusable_key_files(&mut self) {
        let unusable: Vec<Change> = self.sources.key_files.problems().collect();
        for change in &unusable {
            self.tell_key_file(change);
        }
        for change in self.sources.certificate_files.problems() {
            self.tell_file("certificate-file", &change);
        }
        for change in self.sources.invitations.problems() {
            self.tell_file("invitation-file", &change);
        }
    }

    /// Tells what became of a file.
    fn tell_key_file(&mut self, change: &Change) {
        let (interface, group) = &change.group;
        let (text, loudness) = match &change.problem {
            Some(problem) => (
                format!(
                    "{interface}: group {group} stays with {} listed: {problem}",
                    super::peers(change.peers)
                ),
                Loudness::Warn,
            ),
            None if (change.come, change.gone) == (0, 0) => return,
            None => (
                format!(
                    "{interface}: group {group} has {} listed in {}: {} came, {} went",
                    super::peers(change.peers),
                    change.path,
                    change.come,
                    change.gone
                ),
                Loudness::Info,
            ),
        };
        let row = events::own("authorized-keys", &text);
        self.events
            .publish(&format!("authorized-keys {interface} {group}"), loudness, row);
    }
}
