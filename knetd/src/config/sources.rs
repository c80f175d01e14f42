//! Where peers come from that no line of the configuration names: files of keys, certificates that were presented, and
//! invitations that were used.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use libknet::api::{
    group::{Clash, ClashReason, Lists},
    model::MAX_PEERS,
    problem::Problem,
};

use super::{
    admissions::{Admissions, Admitted, Ended},
    certificate_files::CertificateFiles,
    invitations::Invitations,
    key_files::{GroupName, KeyFiles},
};
use crate::logging::unix_ms;

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// Files of keys.
    pub(crate) key_files: KeyFiles,
    /// Certificates of our own, and what those of others are held against.
    pub(crate) certificate_files: CertificateFiles,
    /// Who is there by a certificate.
    pub(crate) admissions: Admissions,
    /// Who is invited, and who has come.
    pub(crate) invitations: Invitations,
    /// Read by [`Self::lists`].
    lists: Lists,
    /// What that was made of: what files list, who is a member, and who is there by a certificate.
    made_of: [Lists; 3],
    /// The [version](CertificateFiles::version) of what their certificates were held against last.
    held_against: u64,
}

/// Somebody who is not there any more by what he has shown.
#[derive(Clone, Debug)]
pub(crate) struct Departed {
    /// Of which group.
    pub(crate) group: GroupName,
    /// Who.
    pub(crate) who: Who,
    /// Why.
    pub(crate) why: Why,
}

/// Somebody who was there by what he has shown.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// By this certificate.
    Certified(Rc<Admitted>),
    /// By an invitation, under this name.
    Member(String),
}

impl Departed {
    /// Whether it is a member that had to make room already.
    pub(crate) fn was_displaced(&self, invitations: &Invitations) -> bool {
        matches!(&self.who, Who::Member(name) if invitations.is_displaced(&self.group.0, &self.group.1, name))
    }
}

/// Why somebody is not there any more.
#[derive(Clone, Debug)]
pub(crate) enum Why {
    /// The certificate does not count any more.
    Ended(Ended),
    /// Somebody else has the name or the key.
    Clash(Clash),
    /// A configuration with him would be refused.
    Problem(String),
}

impl Sources {
    /// None yet. Relative paths are relative to the directory of `config_file`.
    pub(crate) fn new(config_file: &Path) -> Self {
        Self {
            key_files: KeyFiles::new(config_file),
            certificate_files: CertificateFiles::new(config_file),
            admissions: Admissions::default(),
            invitations: Invitations::new(config_file),
            lists: Lists::new(),
            made_of: Default::default(),
            held_against: 0,
        }
    }

    /// The peers that come from here, by interface and group.
    pub(crate) fn lists(&self) -> &Lists {
        &self.lists
    }

    /// All paths, made absolute by the configuration's directory.
    pub(crate) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.key_files
            .paths()
            .chain(self.certificate_files.paths())
            .chain(self.invitations.paths())
    }

    /// To be called after changes: who they make the peers. Where there are none it costs little.
    pub(crate) fn settle(&mut self) {
        let listed = self.key_files.lists().clone();
        let made_of = [listed, self.invitations.keys(), self.admissions.keys()];
        if made_of != self.made_of {
            let [listed, members, certified] = &made_of;
            self.lists = beside(&beside(listed, members), certified);
            self.made_of = made_of;
        }
    }

    /// Takes out whose certificates do not count any more. They are looked at only where that can be.
    pub(crate) fn expel(&mut self) -> Vec<Departed> {
        let now = unix_ms() / 1000;
        let version = self.certificate_files.version();
        if version == self.held_against && now < self.admissions.next_end() {
            return Vec::new();
        }
        self.held_against = version;
        let ended = self.admissions.retain_valid(&self.certificate_files, now);
        let departed = ended.into_iter().map(|(group, admitted, why)| Departed {
            group,
            who: Who::Certified(admitted),
            why: Why::Ended(why),
        });
        departed.collect()
    }

    /// Takes out members for whom a configuration would be refused.
    pub(crate) fn blame(&mut self, problems: &[Problem]) -> Vec<Departed> {
        let blamed = problems.iter().filter_map(|problem| {
            let (group, member) = self.invitations.blame(problem)?;
            Some(Departed {
                group,
                who: Who::Member(member),
                why: Why::Problem(problem.to_string()),
            })
        });
        blamed.collect()
    }

    /// Takes out who is there only by a certificate or an invitation and cannot be a peer because of these.
    pub(crate) fn give_way(&mut self, clashes: &[Clash]) -> Vec<Departed> {
        let mut departed = Vec::new();
        for clash in clashes {
            let given_way = self.admissions.give_way(clash).into_iter();
            let before = departed.len();
            departed.extend(given_way.map(|(group, admitted)| Departed {
                group,
                who: Who::Certified(admitted),
                why: Why::Clash(clash.clone()),
            }));
            if departed.len() == before {
                let given_way = self.invitations.give_way(clash).into_iter();
                departed.extend(given_way.map(|(group, member)| Departed {
                    group,
                    who: Who::Member(member),
                    why: Why::Clash(clash.clone()),
                }));
            }
        }
        departed
    }
}

/// Whom a clash means, of those that are there only by what they have shown.
pub(super) enum Meant {
    /// So many of the interface, whoever they are.
    Surplus(usize),
    /// The first of these that is there.
    First(Vec<(GroupName, String)>),
}

impl Meant {
    /// `group_of`: the group of whom that is there under a name.
    pub(super) fn by(clash: &Clash, group_of: impl FnOnce(&str) -> Option<String>) -> Self {
        let other = match &clash.reason {
            ClashReason::TooMany(count) => return Self::Surplus(count.saturating_sub(MAX_PEERS)),
            ClashReason::Configured => None,
            ClashReason::Listed(group) => Some((group.clone(), &clash.peer)),
            ClashReason::KeyOf(other) => group_of(other).map(|group| (group, other)),
        };
        let candidates = [Some((clash.group.clone(), &clash.peer)), other];
        let named = |(group, peer): (String, &String)| ((clash.interface.clone(), group), peer.clone());
        Self::First(candidates.into_iter().flatten().map(named).collect())
    }
}

/// Both lists: whom both have is of the first.
pub(super) fn beside(first: &Lists, second: &Lists) -> Lists {
    let mut lists = first.clone();
    for (group, keys) in second {
        match lists.get_mut(group) {
            None => drop(lists.insert(group.clone(), keys.clone())),
            Some(list) => {
                for (peer, listed) in keys {
                    if !list.contains_key(peer) {
                        list.insert(peer.clone(), listed.clone());
                    }
                }
            }
        }
    }
    lists
}
