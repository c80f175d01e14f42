//! From the configuration with groups to the one in force, at the cost of what has changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{
    group::authorized_keys::AuthorizedKeys,
    model::{Config, Guard, InterfaceConfig, MAX_PEERS, PeerConfig, PublicKey},
};

/// Most clashes that are told.
const MAX_CLASHES: usize = 20;

/// The peers that files list, by interface and group.
pub type Lists = BTreeMap<(String, String), AuthorizedKeys>;

/// A configuration with groups, and what was made of it.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// With groups.
    pub written: &'a Config,
    /// The peers of its groups' files.
    pub lists: &'a Lists,
    /// Without groups.
    pub in_force: &'a Config,
}

/// A configuration without groups.
#[derive(Clone, Debug, Default)]
pub struct WithoutGroups {
    /// Each peer says itself what its group says, and those of files are there.
    pub config: Config,
    /// Peers of files that cannot be there, at most 20.
    pub clashes: Vec<Clash>,
}

/// A peer of a file that cannot be a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// Of which interface.
    pub interface: String,
    /// The group whose file lists it.
    pub group: String,
    /// Its name.
    pub peer: String,
    /// Why not.
    pub reason: ClashReason,
}

/// Why it cannot be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClashReason {
    /// A peer of this name is configured.
    Configured,
    /// The file of this other group lists one of this name.
    Listed(String),
    /// This peer has its key.
    KeyOf(String),
    /// With it there would be so many peers, more than an interface can have.
    TooMany(usize),
}

impl Config {
    /// Whether any interface has groups.
    pub fn has_groups(&self) -> bool {
        self.interfaces
            .values()
            .any(|interface| !interface.groups.is_empty())
    }

    /// The same without groups: each peer says itself what its group says, and the peers of the groups' files are there.
    /// What was made `before` of another configuration is taken over where it is the same, so that a line costs what it
    /// changes.
    #[must_use]
    pub fn without_groups(&self, lists: &Lists, before: Option<Before<'_>>) -> WithoutGroups {
        let mut made = WithoutGroups {
            config: self.clone(),
            clashes: Vec::new(),
        };
        for (name, interface) in &mut made.config.interfaces {
            let new = Groups::new(name, interface, lists);
            let before = before.and_then(|before| {
                let written = before.written.interfaces.get(name)?;
                let in_force = before.in_force.interfaces.get(name)?;
                Some((Groups::new(name, written, before.lists), in_force))
            });
            let in_force = new.in_force(before, &mut made.clashes);
            *interface = in_force;
        }
        made
    }
}

/// An interface, with the lists of its groups.
#[derive(Clone)]
struct Groups<'a> {
    name: &'a str,
    config: &'a InterfaceConfig,
    lists: Vec<(&'a str, &'a AuthorizedKeys)>,
}

impl<'a> Groups<'a> {
    fn new(name: &'a str, config: &'a InterfaceConfig, lists: &'a Lists) -> Self {
        // Each group is looked for by its name: there are few of them, and perhaps many interfaces.
        let of_group = |group: &'a String| {
            let list = lists.get(&(name.to_owned(), group.clone()))?;
            Some((group.as_str(), list))
        };
        let lists = config.groups.keys().filter_map(of_group).collect();
        Self { name, config, lists }
    }

    /// The interface without groups. `before`: with groups, and without.
    fn in_force(
        &self,
        before: Option<(Groups<'_>, &InterfaceConfig)>,
        clashes: &mut Vec<Clash>,
    ) -> InterfaceConfig {
        let nothing = InterfaceConfig::default();
        let (old, in_force) = match before {
            Some((old, in_force)) => (old, in_force),
            None => (
                Groups {
                    name: self.name,
                    config: &nothing,
                    lists: Vec::new(),
                },
                &nothing,
            ),
        };
        let mut made = InterfaceConfig {
            peers: in_force.peers.clone(),
            groups: BTreeMap::new(),
            ..self.config.clone()
        };
        let touched = self.touched(&old);
        for name in &touched {
            match self.peer(name, clashes) {
                Some(peer) => drop(made.peers.insert((*name).clone(), peer)),
                None => drop(made.peers.remove(*name)),
            }
        }
        if !self.lists.is_empty() {
            self.check_keys(&made, in_force, &touched, clashes);
        }
        made
    }

    /// The peer of this name as it is in force, if there is one.
    fn peer(&self, name: &str, clashes: &mut Vec<Clash>) -> Option<PeerConfig> {
        let mut found: Option<PeerConfig> = None;
        let mut of: Option<&str> = None;
        if let Some(peer) = self.config.peers.get(name) {
            let group = peer
                .group
                .as_ref()
                .and_then(|group| self.config.groups.get(group));
            found = Some(peer.in_group(group));
        }
        for (group, list) in &self.lists {
            let Some(listed) = list.get(name) else { continue };
            if found.is_some() {
                let reason = of.map_or(ClashReason::Configured, |of| ClashReason::Listed(of.to_owned()));
                clash(clashes, self.name, group, name, reason);
                continue;
            }
            of = Some(group);
            let peer = PeerConfig {
                public_key: Some(listed.public_key),
                guard: Guard::given(listed.addresses.as_deref().unwrap_or_default()),
                ..PeerConfig::default()
            };
            found = Some(peer.in_group(self.config.groups.get(*group)));
        }
        found
    }

    /// The peers that are not as they were in `old`, or whose groups are not.
    fn touched<'b>(&'b self, old: &'b Groups<'_>) -> BTreeSet<&'b String> {
        let differences = old.config.peers.differences(&self.config.peers);
        let mut names: BTreeSet<&String> = differences.map(|difference| difference.key).collect();
        let all = old.config.groups.keys().chain(self.config.groups.keys());
        let changed: BTreeSet<&str> = all
            .filter(|name| old.config.groups.get(*name) != self.config.groups.get(*name))
            .map(String::as_str)
            .collect();
        if !changed.is_empty() {
            // One look at all peers is a millisecond where there are many, and only a change of a group needs it.
            let is_in =
                |peer: &PeerConfig| peer.group.as_deref().is_some_and(|group| changed.contains(group));
            let members = self.config.peers.iter().filter(|(_, peer)| is_in(peer));
            names.extend(members.map(|(name, _)| name));
        }
        let list = |of: &'b Groups<'_>, group: &str| -> Option<&'b AuthorizedKeys> {
            of.lists
                .iter()
                .find(|(name, _)| *name == group)
                .map(|(_, list)| *list)
        };
        let groups: BTreeSet<&str> = old
            .lists
            .iter()
            .chain(&self.lists)
            .map(|(group, _)| *group)
            .collect();
        for group in groups {
            let (before, now) = (list(old, group), list(self, group));
            let all = before.into_iter().chain(now);
            if changed.contains(group) {
                names.extend(all.flat_map(AuthorizedKeys::keys));
            } else {
                match (before, now) {
                    (Some(before), Some(now)) => names.extend(before.differences(now).map(|d| d.key)),
                    _ => names.extend(all.flat_map(AuthorizedKeys::keys)),
                }
            }
        }
        names
    }

    /// The group whose file lists the peer.
    fn listed(&self, peer: &str) -> Option<&'a str> {
        let listed = self.lists.iter().find(|(_, list)| list.contains_key(peer));
        listed
            .map(|(group, _)| *group)
            .filter(|_| !self.config.peers.contains_key(peer))
    }

    /// Keys of peers of files are nobody else's, and there are not too many peers. In what was in force before there was
    /// nothing wrong.
    fn check_keys(
        &self,
        made: &InterfaceConfig,
        before: &InterfaceConfig,
        touched: &BTreeSet<&String>,
        clashes: &mut Vec<Clash>,
    ) {
        let key = |of: &InterfaceConfig, name: &str| of.peers.get(name).and_then(|peer| peer.public_key);
        let new = touched.iter().filter_map(|name| {
            let key = key(made, name).filter(|new| key(before, name) != Some(*new))?;
            Some((key, name.as_str()))
        });
        let new: HashMap<PublicKey, &str> = new.collect();
        if new.is_empty() {
            return;
        }
        // One look at all of them is a millisecond where there are many, and only a new key needs it.
        for (name, peer) in &made.peers {
            let Some(other) = peer.public_key.and_then(|key| new.get(&key)) else {
                continue;
            };
            if name == other {
                continue;
            }
            // Of two configured peers it is told elsewhere.
            let [listed, owner] = if self.listed(name).is_some() {
                [name, *other]
            } else {
                [*other, name]
            };
            if let Some(group) = self.listed(listed) {
                clash(
                    clashes,
                    self.name,
                    group,
                    listed,
                    ClashReason::KeyOf(owner.to_owned()),
                );
            }
        }
        let last = touched
            .iter()
            .rev()
            .find_map(|name| Some((*name, self.listed(name)?)));
        if made.peers.len() > MAX_PEERS
            && let Some((name, group)) = last
        {
            let reason = ClashReason::TooMany(made.peers.len());
            clash(clashes, self.name, group, name, reason);
        }
    }
}

fn clash(clashes: &mut Vec<Clash>, interface: &str, group: &str, peer: &str, reason: ClashReason) {
    if clashes.len() < MAX_CLASHES {
        clashes.push(Clash {
            interface: interface.to_owned(),
            group: group.to_owned(),
            peer: peer.to_owned(),
            reason,
        });
    }
}
