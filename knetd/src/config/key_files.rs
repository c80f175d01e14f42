//! The files of keys that groups of peers name: read, checked, and told apart by when they were written.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use libknet::api::{
    edit::{Context, Leaf},
    group::{
        Clash, ClashReason, Lists,
        authorized_keys::{self, AuthorizedKeys, MAX_FILE},
    },
    model::Config,
    problem::Problem,
};

use super::{
    store::directory_of,
    watched_file::{self, Settling, Stamp, Written},
};
use crate::{logging::unix_ms, trust::read_config};

/// A group: the names of its interface and its own.
pub(crate) type GroupName = (String, String);

/// The files of all groups.
#[derive(Clone, Debug)]
pub(crate) struct KeyFiles {
    directory: PathBuf,
    files: BTreeMap<GroupName, KeyFile>,
    /// The peers that they list.
    lists: Lists,
    settling: Settling,
}

/// The file of one group.
#[derive(Clone, Debug)]
pub(crate) struct KeyFile {
    /// As it is written in the configuration.
    pub(crate) path: String,
    /// When the contents that count were read, in milliseconds since 1970; `None`: there are none yet.
    pub(crate) read_unix_ms: Option<u64>,
    /// Why what the file holds now does not count.
    pub(crate) problem: Option<String>,
    /// Which contents were looked at last.
    stamp: Option<Stamp>,
}

/// What has become of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Whose it is.
    pub(crate) group: GroupName,
    /// As it is written in the configuration.
    pub(crate) path: String,
    /// How many peers of it count now.
    pub(crate) peers: usize,
    /// How many of them are new, or have another key.
    pub(crate) come: usize,
    /// How many are there no more, or had another key.
    pub(crate) gone: usize,
    /// Why what it holds does not count.
    pub(crate) problem: Option<String>,
}

/// What is done where a file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The configuration that names it is refused, unless other contents of it count already.
    Refuse,
    /// It lists nobody, until it can be used.
    Wait,
}

impl KeyFiles {
    /// None yet. Relative paths are relative to the directory of `config_file`.
    pub(crate) fn new(config_file: &Path) -> Self {
        Self {
            directory: directory_of(config_file).into(),
            files: BTreeMap::new(),
            lists: Lists::new(),
            settling: Settling::default(),
        }
    }

    /// The peers that they list.
    pub(crate) fn lists(&self) -> &Lists {
        &self.lists
    }

    /// That of a group, and how many peers it lists.
    pub(crate) fn get(&self, interface: &str, group: &str) -> Option<(&KeyFile, usize)> {
        let name = (interface.to_owned(), group.to_owned());
        let peers = self.lists.get(&name).map_or(0, AuthorizedKeys::len);
        Some((self.files.get(&name)?, peers))
    }

    /// The group whose file lists the peer, and that file.
    pub(crate) fn lists_peer(&self, interface: &str, peer: &str) -> Option<(&str, &str)> {
        let mut listing = self.lists.iter();
        let (name, _) = listing.find(|((of, _), list)| of == interface && list.contains_key(peer))?;
        Some((&name.1, &self.files.get(name)?.path))
    }

    /// All paths, made absolute by the configuration's directory.
    pub(crate) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.files.values().map(|file| self.directory.join(&file.path))
    }

    /// The files that `config` names. Those that are known already are not read again, unless `fresh`.
    pub(crate) fn of(&self, config: &Config, fresh: bool, patience: Patience) -> Result<Self, Vec<Problem>> {
        let mut files = Self {
            directory: self.directory.clone(),
            ..Self::new(Path::new(""))
        };
        let mut problems = Vec::new();
        for (name, path) in named_by(config) {
            let known = self.files.get(&name).filter(|known| known.path == path);
            if let Some(known) = known {
                files.files.insert(name.clone(), known.clone());
                if let Some(list) = self.lists.get(&name) {
                    files.lists.insert(name.clone(), list.clone());
                }
            }
            if known.is_some() && !fresh {
                continue;
            }
            if let Err(found) = files.read(&name, path) {
                if known.is_none() && patience == Patience::Refuse {
                    problems.extend(found.iter().map(|text| refusal(&name, text.clone())));
                    continue;
                }
                files.refuse(&name, &found);
            }
        }
        if problems.is_empty() {
            Ok(files)
        } else {
            Err(problems)
        }
    }

    /// The same with what those hold that were written since they were looked at, and what has become of them; `None` where
    /// there are none. What cannot be used is told, and what they listed before goes on to count.
    pub(crate) fn changed(&self) -> Option<(Self, Vec<Change>)> {
        let mut files = self.clone();
        let mut changes = Vec::new();
        for (name, file) in &self.files {
            if self.written(file).is_none() {
                continue;
            }
            if let Err(found) = files.read(name, &file.path) {
                files.refuse(name, &found);
            }
            changes.push(files.change(self, name));
        }
        (!changes.is_empty()).then_some((files, changes))
    }

    /// Whether some were written since they were looked at, and all of these not since the last call.
    pub(crate) fn have_settled(&mut self) -> bool {
        let written: Vec<_> = self
            .files
            .values()
            .filter_map(|file| self.written(file))
            .collect();
        self.settling.is_over(written.into_iter())
    }

    /// What becomes of a file whose new contents are refused for what was `found`: what it listed `before` goes on to count.
    pub(crate) fn take_back(&mut self, before: &Self, change: &Change, found: &[String]) -> Change {
        let name = &change.group;
        match before.lists.get(name) {
            Some(list) => drop(self.lists.insert(name.clone(), list.clone())),
            None => drop(self.lists.remove(name)),
        }
        if let Some(file) = self.files.get_mut(name) {
            file.read_unix_ms = before.files.get(name).and_then(|before| before.read_unix_ms);
        }
        self.refuse(name, found);
        self.change(before, name)
    }

    /// The file of a group lists nobody, because of what was found in it.
    pub(crate) fn empty(&mut self, name: &GroupName, text: &str) {
        if self.lists.remove(name).is_some() {
            self.refuse(name, &[text.to_owned()]);
            if let Some(file) = self.files.get_mut(name) {
                file.read_unix_ms = None;
            }
        }
    }

    /// The group whose file a problem is about, or lists the peer that it is about.
    pub(crate) fn blamed_for(&self, problem: &Problem) -> Option<GroupName> {
        match &problem.place.as_ref()?.context {
            Context::Peer { interface, peer } => {
                let (group, _) = self.lists_peer(interface, peer)?;
                Some((interface.clone(), group.to_owned()))
            }
            Context::Group { interface, group } => {
                let name = (interface.clone(), group.clone());
                self.lists.contains_key(&name).then_some(name)
            }
            _ => None,
        }
    }

    /// What is wrong with any of them.
    pub(crate) fn problems(&self) -> impl Iterator<Item = Change> {
        let wrong = self.files.iter().filter(|(_, file)| file.problem.is_some());
        wrong.map(|(name, _)| self.change(self, name))
    }

    fn written(&self, file: &KeyFile) -> Option<Written> {
        Written::since(file.stamp, self.directory.join(&file.path))
    }

    fn change(&self, before: &Self, name: &GroupName) -> Change {
        let (mut come, mut gone) = (0, 0);
        let list = |of: &Self| of.lists.get(name).cloned().unwrap_or_default();
        let (old, new) = (list(before), list(self));
        for difference in old.differences(&new) {
            come += usize::from(difference.new.is_some());
            gone += usize::from(difference.old.is_some());
        }
        let file = self.files.get(name);
        Change {
            group: name.clone(),
            path: file.map_or_else(String::new, |file| file.path.clone()),
            peers: new.len(),
            come,
            gone,
            problem: file.and_then(|file| file.problem.clone()),
        }
    }

    /// Reads the file of a group, which counts from then on; or tells what is wrong with it.
    fn read(&mut self, name: &GroupName, path: &str) -> Result<(), Vec<String>> {
        let whole = self.directory.join(path);
        let file = self.files.entry(name.clone()).or_insert_with(|| KeyFile {
            path: path.to_owned(),
            read_unix_ms: None,
            problem: None,
            stamp: None,
        });
        // Before it is read: what is written meanwhile is noticed.
        file.stamp = Stamp::of(&whole);
        let text = read_config(&whole, MAX_FILE as u64).map_err(|error| vec![error.to_string()])?;
        let list = authorized_keys::parse(&text).map_err(|problems| {
            let texts = problems
                .iter()
                .map(|problem| format!("{}: {problem}", whole.display()));
            texts.collect::<Vec<_>>()
        })?;
        file.problem = None;
        file.read_unix_ms = Some(unix_ms());
        self.lists.insert(name.clone(), list);
        Ok(())
    }

    /// What the file of a group holds now does not count.
    fn refuse(&mut self, name: &GroupName, found: &[String]) {
        let others = found.len().saturating_sub(1);
        if let (Some(file), Some(first)) = (self.files.get_mut(name), found.first()) {
            file.problem = Some(match others {
                0 => first.clone(),
                _ => format!("{first} (and {others} more)"),
            });
        }
    }

    /// A clash as a reason to refuse the configuration.
    pub(crate) fn problem_of(&self, clash: &Clash) -> Problem {
        let name = (clash.interface.clone(), clash.group.clone());
        refusal(&name, self.text_of(clash))
    }

    /// A clash with file and line, and what would be right.
    pub(crate) fn text_of(&self, clash: &Clash) -> String {
        let name = (clash.interface.clone(), clash.group.clone());
        let place = self.files.get(&name).map_or(String::new(), |file| {
            let whole = self.directory.join(&file.path);
            // It is read again for this: nobody keeps the text of a file without mistakes.
            let line = fs::read(&whole)
                .ok()
                .filter(|text| text.len() <= MAX_FILE)
                .and_then(|text| authorized_keys::line_of(&text, &clash.peer));
            let line = line.map_or(String::new(), |line| format!(" line {line}:"));
            format!("{}:{line} ", whole.display())
        });
        let peer = &clash.peer;
        let (text, expected) = match &clash.reason {
            ClashReason::Configured => (
                format!("{peer} is a peer of the configuration, too"),
                "another name, here or there",
            ),
            ClashReason::Listed(group) => (
                format!("the file of group {group} has a peer {peer}, too"),
                "a name of its own for each peer",
            ),
            ClashReason::KeyOf(other) => (
                format!("{peer} has the same public key as peer {other}"),
                "a key of its own for each peer",
            ),
            ClashReason::TooMany(count) => (
                format!("{count} peers of interface {}", clash.interface),
                "at most 65536 peers",
            ),
        };
        format!("{place}{text}; expected: {expected}")
    }
}

/// The groups of `config` with files, and their paths as written.
fn named_by(config: &Config) -> impl Iterator<Item = (GroupName, &str)> {
    watched_file::named_by(config, |group| group.authorized_keys_file.as_deref())
}

fn refusal(group: &GroupName, text: String) -> Problem {
    watched_file::refusal_of_group(group, Leaf::AuthorizedKeys, text)
}
