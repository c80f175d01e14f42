//! Somebody comes by an invitation, and files of invitations that somebody else has written.
//!
//! The file goes first: nobody is let in whose name is not on the disk, and nothing has happened where that fails.

use std::{collections::BTreeSet, net::SocketAddr};

use libknet::{
    api::{
        group::authorized_keys::Listed,
        invitation::register::Register,
        model::{MAX_PEERS, PublicKey},
    },
    proto::handshake::credential::Presented,
};

use super::Daemon;
use crate::{
    config::{
        invitations::{Found, hash_of},
        key_files::GroupName,
        sources::Sources,
    },
    events::Loudness,
    logging::{unix_ms, utc_seconds},
};

/// Somebody who comes by an invitation.
#[derive(Clone, Debug)]
pub(super) struct Joined {
    group: GroupName,
    name: String,
    id: String,
    remote: SocketAddr,
}

/// Why somebody does not get in by an invitation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("there is no such invitation; it was taken back, or its member was removed")]
    Unknown,
    #[error("{0} has used it already, with another key")]
    Used(String),
    #[error("it has expired at {0}")]
    Expired(String),
    #[error("the name in it, {0}, is that of another peer")]
    NameTaken(String),
    #[error("its key is that of {0}")]
    KeyTaken(String),
    #[error("there are 65536 peers already")]
    Full,
    #[error("it cannot be written down: {0}")]
    NotWritten(String),
}

impl Refusal {
    /// What lines of the log are limited by together: strangers can cause them.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Used(_) => "used",
            Self::Expired(_) => "expired",
            Self::NameTaken(_) => "name",
            Self::KeyTaken(_) => "key",
            Self::Full => "full",
            Self::NotWritten(_) => "not-written",
        }
    }
}

impl Daemon {
    /// Puts among the members who has presented the key of an invitation, if that is right and something new.
    pub(super) fn judge_invitation(
        &self,
        sources: &mut Sources,
        interface: &str,
        presented: &Presented,
        key: &[u8; 32],
    ) -> Result<Option<Joined>, Refusal> {
        if self.known_as(interface, presented).is_some() {
            // He is a peer anyway, whatever he shows.
            return Ok(None);
        }
        let (hash, now) = (hash_of(key), unix_ms() / 1000);
        let public_key = PublicKey(*presented.public_key.as_bytes());
        let (group, name, expires) = match sources.invitations.find(interface, &hash) {
            None => return Err(Refusal::Unknown),
            // A copy of what has let him in, or he has no place among the peers.
            Some(Found::Used(_, member)) if member.public_key == public_key => return Ok(None),
            Some(Found::Used(name, _)) => return Err(Refusal::Used(name)),
            Some(Found::Open { group, name, expires }) => (group, name, expires),
        };
        if now >= expires {
            return Err(Refusal::Expired(utc_seconds(expires)));
        }
        // Only somebody with a right secret costs a look at all members.
        let key_of =
            |(name, listed): (&String, &Listed)| (listed.public_key == public_key).then(|| name.clone());
        let registers: Vec<_> = sources.invitations.of_interface(interface).collect();
        let of_key = registers
            .iter()
            .find_map(|(_, register)| register.keys().iter().find_map(key_of));
        if let Some(name) = of_key {
            return Err(Refusal::KeyTaken(name));
        }
        let peers = self
            .in_force
            .interfaces
            .get(interface)
            .map(|config| &config.peers);
        if peers.is_none_or(|peers| peers.len() >= MAX_PEERS) {
            return Err(Refusal::Full);
        }
        let is_free = |name: &String| {
            peers.is_none_or(|peers| !peers.contains_key(name))
                && sources.invitations.member(interface, name).is_none()
        };
        let name = match name {
            Some(name) if is_free(&name) => name,
            Some(name) => return Err(Refusal::NameTaken(name)),
            None => {
                let mut made = made_names(&group, &public_key);
                made.find(is_free)
                    .ok_or_else(|| Refusal::NameTaken(group.clone()))?
            }
        };
        let group = (interface.to_owned(), group);
        let register = |register: &mut Register| {
            register.redeem(hash, &name, public_key, now);
        };
        sources
            .invitations
            .change(&group, register)
            .map_err(Refusal::NotWritten)?;
        Ok(Some(Joined {
            group,
            name,
            id: hash.id(),
            remote: presented.remote,
        }))
    }

    /// Writes down who has come: those only stay in `joined` for whom that could be done.
    pub(super) fn register_joined(&mut self, sources: &mut Sources, joined: &mut Vec<Joined>) {
        let groups: BTreeSet<GroupName> = joined.iter().map(|joined| joined.group.clone()).collect();
        let failed = sources
            .invitations
            .write(&groups, &self.sources.invitations, unix_ms() / 1000);
        for refused in joined.extract_if(.., |joined| failed.contains_key(&joined.group)) {
            let error = failed.get(&refused.group).cloned().unwrap_or_default();
            self.tell_refused(&refused.group.0, refused.remote, &Refusal::NotWritten(error));
        }
    }

    /// Tells who has come.
    pub(super) fn tell_joined(&mut self, joined: &Joined) {
        let Joined {
            group: (interface, group),
            name,
            id,
            remote,
        } = joined;
        let text = format!("{interface}: peer {name} is in group {group} by invitation {id} from {remote}");
        self.tell_certificate(&format!("invitation {interface} {name}"), &text, Loudness::Info);
    }

    /// Tells who was not let in.
    pub(super) fn tell_refused(&mut self, interface: &str, remote: SocketAddr, refusal: &Refusal) {
        let text = format!("{interface}: invitation from {remote} refused: {refusal}");
        let kind = format!("invitation-refused {interface} {}", refusal.kind());
        self.tell_certificate(&kind, &text, Loudness::Warn);
    }

    /// Reads the files of invitations again that were written since, and puts the difference into force: who is expelled
    /// has no session any more.
    pub(super) fn read_invitation_files(&mut self) {
        let Some((invitations, changes)) = self.sources.invitations.changed() else {
            return;
        };
        let mut sources = self.sources.clone();
        sources.invitations = invitations;
        if let Err(problems) = self.put_sources(sources) {
            for problem in problems {
                let text = format!("files of invitations cannot be put in force: {problem}");
                self.tell_certificate("invitation-file", &text, Loudness::Warn);
            }
        }
        for change in changes {
            self.tell_file("invitation-file", &change);
        }
    }
}

/// Names for somebody without one: of the group and the key, longer where others have the shorter ones.
fn made_names(group: &str, key: &PublicKey) -> impl Iterator<Item = String> + use<> {
    let digits = format!(
        "{:032x}",
        u128::from_be_bytes(std::array::from_fn(|place| key.0[place]))
    );
    let group = group.to_owned();
    [8, 16, 32].into_iter().map(move |length| {
        let room = 64 - 1 - length;
        let group: String = group.chars().take(room).collect();
        format!("{group}-{}", &digits[..length])
    })
}

#[cfg(test)]
mod tests {
    use libknet::api::grammar::types::Form;

    use super::*;

    #[test]
    fn who_has_no_name_gets_one_of_group_and_key() {
        let key = PublicKey(std::array::from_fn(|n| n as u8));
        let names: Vec<String> = made_names("branches", &key).collect();
        assert_eq!(names[0], "branches-00010203");
        assert_eq!(names[1], "branches-0001020304050607");
        for name in made_names(&"g".repeat(64), &key) {
            assert_eq!(name.len(), 64);
            assert!(Form::PeerName.parse(&name).is_ok(), "{name}");
        }
    }
}
