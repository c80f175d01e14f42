//! The files of invitations that groups of peers name: who is invited, and who has come.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use libknet::{
    api::{
        edit::{Context, Leaf},
        group::{Clash, Lists},
        invitation::register::{self, Invited, MAX_FILE, Member, Register, SecretHash},
        model::Config,
        problem::Problem,
    },
    proto::crypto::hash::{hash, mac, mac_eq},
};

use super::{
    key_files::{GroupName, Patience},
    sources::Meant,
    store::{self, directory_of},
    watched_file::{self, Change, Settling, WatchedFile, Written},
};

/// Expired invitations are listed so long, in seconds.
const REMEMBERED: u64 = 30 * 86_400;

/// All of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Invitations {
    directory: PathBuf,
    files: BTreeMap<GroupName, WatchedFile<Register>>,
    /// Members that are no peers, because something else has their name or key.
    displaced: BTreeSet<(GroupName, String)>,
    settling: Settling,
}

/// What a secret is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It admits one key.
    Open {
        /// Into this group.
        group: String,
        /// Of this name.
        name: Option<String>,
        /// Before then, in seconds since 1970.
        expires: u64,
    },
    /// This member has come by it.
    Used(String, Member),
}

/// What is presented by whoever has the secret of an invitation.
pub(crate) fn key_of(secret: &[u8]) -> [u8; 32] {
    hash(&[b"knet invitation\0", secret])
}

/// What is kept of it.
pub(crate) fn hash_of(key: &[u8; 32]) -> SecretHash {
    SecretHash(mac(b"invitation-kn1", &[key]))
}

impl Invitations {
    /// None yet. Paths are in the directory of `config_file`.
    pub(crate) fn new(config_file: &Path) -> Self {
        Self {
            directory: directory_of(config_file).into(),
            ..Self::default()
        }
    }

    /// The file of a group.
    pub(crate) fn get(&self, interface: &str, group: &str) -> Option<&WatchedFile<Register>> {
        self.files.get(&(interface.to_owned(), group.to_owned()))
    }

    /// What the files of an interface's groups say, by group.
    pub(crate) fn of_interface<'a>(
        &'a self,
        interface: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Register)> {
        let files = self.files.iter().filter(move |((of, _), _)| of == interface);
        files.filter_map(|((_, group), file)| Some((group.as_str(), file.contents.as_ref()?)))
    }

    /// Whether any group of the interface has invitations.
    pub(crate) fn are_taken(&self, interface: &str) -> bool {
        self.files.keys().any(|(of, _)| of == interface)
    }

    /// The member of this name, and its group.
    pub(crate) fn member<'a>(&'a self, interface: &'a str, name: &str) -> Option<(&'a str, &'a Member)> {
        self.of_interface(interface)
            .find_map(|(group, register)| Some((group, register.members().get(name)?)))
    }

    /// Whether something else has the member's name or key.
    pub(crate) fn is_displaced(&self, interface: &str, group: &str, member: &str) -> bool {
        // Hardly ever is there one.
        let is_it = |((of, in_group), name): &(GroupName, String)| {
            of == interface && in_group == group && name == member
        };
        self.displaced.iter().any(is_it)
    }

    /// What a secret of this hash is good for. Takes as long for a wrong one as for a right one.
    pub(crate) fn find(&self, interface: &str, hash: &SecretHash) -> Option<Found> {
        self.of_interface(interface).find_map(|(group, register)| {
            // By the id, which is no secret, and then the whole.
            let mut from = SecretHash([0; 16]);
            from.0[..4].copy_from_slice(&hash.0[..4]);
            let mut candidates = register
                .invitations()
                .range_from(std::ops::Bound::Included(&from));
            let (candidate, invited) = candidates.next()?;
            if !mac_eq(&candidate.0, &hash.0) {
                return None;
            }
            match invited {
                Invited::Open { name, expires, .. } => Some(Found::Open {
                    group: group.to_owned(),
                    name: name.clone(),
                    expires: *expires,
                }),
                Invited::Used { member } => {
                    let known = register.members().get(member)?;
                    Some(Found::Used(member.clone(), known.clone()))
                }
            }
        })
    }

    /// All paths, made absolute by the configuration's directory.
    pub(crate) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.files.values().map(|file| self.directory.join(&file.path))
    }

    /// The files that `config` names. Those that are known already are not read again, unless `fresh`.
    pub(crate) fn of(&self, config: &Config, fresh: bool, patience: Patience) -> Result<Self, Vec<Problem>> {
        let mut files = Self {
            directory: self.directory.clone(),
            ..Self::default()
        };
        let (mut problems, mut owners) = (Vec::new(), BTreeMap::new());
        for (name, path) in named_by(config) {
            if !is_a_name(path) {
                let text = format!(
                    "{path} is more than the name of a file; expected: a name, of a file in the directory of the configuration, which is made if it is not there"
                );
                problems.push(refuse(&name, text));
                continue;
            }
            if let Some(other) = owners.insert(path, name.clone()) {
                let text = format!(
                    "{path} is the file of group {} of interface {} as well; expected: a file of its own for each group",
                    other.1, other.0
                );
                problems.push(refuse(&name, text));
                continue;
            }
            let known = self.files.get(&name).filter(|known| known.path == path);
            let mut file = known.cloned().unwrap_or_else(|| WatchedFile::new(path));
            if known.is_none() || fresh {
                read(&mut file, &files.directory);
            }
            if let (Some(text), None, Patience::Refuse) = (&file.problem, known, patience) {
                problems.push(refuse(&name, text.clone()));
            }
            files.files.insert(name, file);
        }
        if problems.is_empty() {
            Ok(files)
        } else {
            Err(problems)
        }
    }

    /// The same with what those hold that were written since they were looked at, and what has become of them; `None` where
    /// there are none.
    pub(crate) fn changed(&self) -> Option<(Self, Vec<Change>)> {
        let mut files = self.clone();
        let mut changes = Vec::new();
        for (name, file) in &mut files.files {
            if file.written(&self.directory).is_some() {
                let before = file.contents.clone();
                read(file, &self.directory);
                changes.push(tell(name, file, before.as_ref()));
            }
        }
        (!changes.is_empty()).then_some((files, changes))
    }

    /// Whether some were written since they were looked at, and all of these not since the last call.
    pub(crate) fn have_settled(&mut self) -> bool {
        let written: Vec<Written> = self
            .files
            .values()
            .filter_map(|file| file.written(&self.directory))
            .collect();
        self.settling.is_over(written.into_iter())
    }

    /// What is wrong with any of them.
    pub(crate) fn problems(&self) -> Vec<Change> {
        let wrong = self.files.iter().filter(|(_, file)| file.problem.is_some());
        wrong
            .map(|(name, file)| tell(name, file, file.contents.as_ref()))
            .collect()
    }

    /// Makes a change of what a group's file says, in memory only. What somebody else has written into it counts first.
    pub(crate) fn change<T>(
        &mut self,
        group: &GroupName,
        change: impl FnOnce(&mut Register) -> T,
    ) -> Result<T, String> {
        let directory = &self.directory;
        let file = self
            .files
            .get_mut(group)
            .ok_or_else(|| format!("group {} has no line `invitations`", group.1))?;
        if file.written(directory).is_some() {
            read(file, directory);
        }
        // What nobody can read is not written over; what is not there is made.
        let lost = file
            .problem
            .as_ref()
            .filter(|_| directory.join(&file.path).exists());
        match (lost, &mut file.contents) {
            (None, Some(register)) => Ok(change(register)),
            (problem, _) => Err(problem
                .cloned()
                .unwrap_or_else(|| format!("{} cannot be read", file.path))),
        }
    }

    /// Writes the files of these groups, whole or not at all. Those that cannot be written say again what they said `before`.
    pub(crate) fn write(
        &mut self,
        groups: &BTreeSet<GroupName>,
        before: &Self,
        now: u64,
    ) -> BTreeMap<GroupName, String> {
        let mut failed = BTreeMap::new();
        for group in groups {
            let Some(file) = self.files.get_mut(group) else {
                continue;
            };
            let Some(mut register) = file.contents.clone() else {
                continue;
            };
            register.forget_expired(now.saturating_sub(REMEMBERED));
            let path = self.directory.join(&file.path);
            match store::replace(&path, &register.to_text()) {
                Ok(()) => file.wrote(&self.directory, register),
                Err(error) => {
                    failed.insert(group.clone(), error.to_string());
                    if let Some(before) = before.files.get(group) {
                        *file = before.clone();
                    }
                }
            }
        }
        failed
    }

    /// The keys of the members that are peers, by interface and group.
    pub(crate) fn keys(&self) -> Lists {
        let registers = self.files.iter().filter_map(|(group, file)| {
            let members = file.contents.as_ref()?;
            (!members.members().is_empty()).then_some((group, members))
        });
        let keys = registers.map(|(group, register)| {
            let mut keys = register.keys().clone();
            for (_, name) in self.displaced.iter().filter(|(of, _)| of == group) {
                keys.remove(name);
            }
            (group.clone(), keys)
        });
        keys.collect()
    }

    /// All members may be peers, until it is found that something else has their name or key.
    pub(crate) fn restore(&mut self) {
        self.displaced.clear();
    }

    /// Takes members out who cannot be peers because of this; nobody where none of them is meant.
    pub(crate) fn give_way(&mut self, clash: &Clash) -> Vec<(GroupName, String)> {
        let interface = &clash.interface;
        let is_peer = |member: &(GroupName, String)| {
            let (group, name) = member;
            let register = self.files.get(group).and_then(|file| file.contents.as_ref());
            register.is_some_and(|register| register.members().contains_key(name))
                && !self.displaced.contains(member)
        };
        let group_of = |name: &str| self.member(interface, name).map(|(group, _)| group.to_owned());
        let given_way: Vec<_> = match Meant::by(clash, group_of) {
            Meant::First(candidates) => candidates.into_iter().find(is_peer).into_iter().collect(),
            Meant::Surplus(count) => {
                let members = self.of_interface(interface).flat_map(|(group, register)| {
                    let group = (interface.clone(), group.to_owned());
                    let names = register.members().keys();
                    names.map(move |name| (group.clone(), name.clone()))
                });
                let mut last: Vec<_> = members.filter(is_peer).collect();
                last.split_off(last.len().saturating_sub(count))
            }
        };
        self.displaced.extend(given_way.iter().cloned());
        given_way
    }

    /// Takes out a member for whom a configuration would be refused.
    pub(crate) fn blame(&mut self, problem: &Problem) -> Option<(GroupName, String)> {
        let Context::Peer { interface, peer } = &problem.place.as_ref()?.context else {
            return None;
        };
        let (group, _) = self.member(interface, peer)?;
        let blamed = ((interface.clone(), group.to_owned()), peer.clone());
        self.displaced.insert(blamed.clone()).then_some(blamed)
    }
}

/// Reads a file. One that was never there says nothing; what it said counts on where it is gone.
fn read(file: &mut WatchedFile<Register>, directory: &Path) {
    if file.contents.is_none() && !directory.join(&file.path).exists() {
        file.wrote(directory, Register::default());
        return;
    }
    file.read(directory, MAX_FILE, register::parse);
}

/// Only a name, so that nobody who may configure the tunnel can have files made elsewhere.
fn is_a_name(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(name)), None) if name == path)
}

/// The groups of `config` with files, and their paths as written.
fn named_by(config: &Config) -> impl Iterator<Item = (GroupName, &str)> {
    watched_file::named_by(config, |group| group.invitations_file.as_deref())
}

fn refuse(group: &GroupName, text: String) -> Problem {
    watched_file::refusal_of_group(group, Leaf::Invitations, text)
}

fn tell(group: &GroupName, file: &WatchedFile<Register>, before: Option<&Register>) -> Change {
    let none = Register::default();
    let (now, before) = (file.contents.as_ref(), before.unwrap_or(&none));
    let text = match (&file.problem, now) {
        (Some(problem), Some(_)) => Err(format!("what counted before stays: {problem}")),
        (Some(problem), None) => Err(format!("nobody gets in by an invitation: {problem}")),
        (None, now) => {
            let now = now.unwrap_or(&none);
            let (mut come, mut gone) = (0, 0);
            for difference in before.members().differences(now.members()) {
                come += usize::from(difference.new.is_some());
                gone += usize::from(difference.old.is_some());
            }
            Ok(format!(
                "{} read: {come} members came, {gone} went, {} invitations are open",
                file.path,
                now.open()
            ))
        }
    };
    Change::of_group(group, text)
}
