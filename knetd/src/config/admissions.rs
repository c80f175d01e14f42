//! The peers that are there because they have presented a certificate: each until it ends, is revoked, or another one
//! takes its place.

use std::{collections::BTreeMap, net::IpAddr, ops::Bound, rc::Rc};

use libknet::api::{
    certificate::{Certificate, SignedCertificate, authority::Authority},
    group::{
        Clash, Lists,
        authorized_keys::{AuthorizedKeys, Listed},
    },
    model::MAX_PEERS,
    persistent_map::PersistentMap,
};

use super::{certificate_files::CertificateFiles, key_files::GroupName, sources::Meant};

/// A peer that is there by its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// What it has presented.
    pub(crate) certificate: SignedCertificate,
    /// The authority that has signed it.
    pub(crate) authority: Authority,
    /// When it was presented, in milliseconds since 1970.
    pub(crate) since_unix_ms: u64,
}

/// All of them. A copy costs next to nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admissions {
    groups: BTreeMap<GroupName, Group>,
    /// Who of a group has an address by his certificate, by interface.
    holders: BTreeMap<String, PersistentMap<(IpAddr, String), String>>,
    /// None of them ends before, in seconds since 1970; `None`: there were none yet.
    next_end: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Group {
    admitted: PersistentMap<String, Rc<Admitted>>,
    keys: AuthorizedKeys,
}

/// Why a certificate that is right admits nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// It is the one that counts already, or older than that.
    Known,
    /// A later one for another key has its name.
    Superseded,
    /// Somebody else has one of its addresses by his certificate.
    AddressTaken {
        /// Which one.
        address: IpAddr,
        /// Who.
        peer: String,
    },
    /// There are too many peers.
    Full,
}

/// Why a peer is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its certificate has come to its end.
    Expired,
    /// Its certificate was revoked.
    Revoked,
    /// Nobody who is believed has signed its certificate, or its group takes none.
    NotBelieved,
}

impl Ended {
    /// For people.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Expired => "has expired",
            Self::Revoked => "is revoked",
            Self::NotBelieved => "is not believed any more",
        }
    }
}

impl Admissions {
    /// The peer of this name, and its group.
    pub(crate) fn get(&self, interface: &str, peer: &str) -> Option<(&str, &Rc<Admitted>)> {
        self.groups
            .iter()
            .filter(|((of, _), _)| of == interface)
            .find_map(|((_, group), admitted)| Some((group.as_str(), admitted.admitted.get(peer)?)))
    }

    /// All peers of an interface by group.
    pub(crate) fn of<'a>(
        &'a self,
        interface: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a PersistentMap<String, Rc<Admitted>>)> {
        let of_interface = self.groups.iter().filter(move |((of, _), _)| of == interface);
        of_interface.map(|((_, group), admitted)| (group.as_str(), &admitted.admitted))
    }

    /// How many of a group there are.
    pub(crate) fn count(&self, interface: &str, group: &str) -> usize {
        let name = (interface.to_owned(), group.to_owned());
        self.groups.get(&name).map_or(0, |group| group.admitted.len())
    }

    /// Before this, in seconds since 1970, the certificate of none of them ends.
    pub(crate) fn next_end(&self) -> u64 {
        self.next_end.unwrap_or(u64::MAX)
    }

    /// Their keys, by interface and group.
    pub(crate) fn keys(&self) -> Lists {
        let groups = self.groups.iter();
        groups
            .map(|(name, group)| (name.clone(), group.keys.clone()))
            .collect()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Lets a peer of this group in, or takes its new certificate. `known_as`: who of the peers by certificate has its key
    /// already. `meets`: whether peers of this group and of that can take an address from each other. Whoever was there first
    /// keeps it.
    pub(crate) fn admit(
        &mut self,
        (interface, group): (&str, &str),
        known_as: Option<&str>,
        meets: impl Fn(&str) -> bool,
        new: Admitted,
    ) -> Result<(), NotAdmitted> {
        let certificate = new.certificate.certificate();
        let later = |than: &Certificate| {
            (certificate.not_before, certificate.serial) > (than.not_before, than.serial)
        };
        let name = certificate.name.clone();
        let mut replaced = Vec::new();
        for other in [Some(name.as_str()), known_as].into_iter().flatten() {
            let Some((of, admitted)) = self.get(interface, other) else {
                continue;
            };
            let than = admitted.certificate.certificate();
            if !later(than) {
                return Err(if than.public_key == certificate.public_key {
                    NotAdmitted::Known
                } else {
                    NotAdmitted::Superseded
                });
            }
            replaced.push(((interface.to_owned(), of.to_owned()), other.to_owned()));
        }
        let is_replaced = |peer: &str| replaced.iter().any(|(_, other)| other == peer);
        for address in certificate.addresses.iter().map(|prefix| prefix.address) {
            let holders = || self.holders_of(interface, address);
            // What it has there already it keeps, whoever else has it: the groups may not have met when both came.
            if holders().any(|(of, peer)| of == group && is_replaced(peer)) {
                continue;
            }
            let other = holders().find(|(group, peer)| !is_replaced(peer) && meets(group));
            if let Some((_, peer)) = other {
                return Err(NotAdmitted::AddressTaken {
                    address,
                    peer: peer.to_owned(),
                });
            }
        }
        for (group, peer) in replaced {
            self.remove(&group, &peer);
        }
        if self.count(interface, group) >= MAX_PEERS {
            return Err(NotAdmitted::Full);
        }
        if !certificate.addresses.is_empty() {
            let holders = self.holders.entry(interface.to_owned()).or_default();
            for prefix in &certificate.addresses {
                holders.insert((prefix.address, group.to_owned()), name.clone());
            }
        }
        let group = self
            .groups
            .entry((interface.to_owned(), group.to_owned()))
            .or_default();
        let end = certificate.not_after;
        self.next_end = Some(self.next_end.map_or(end, |next| next.min(end)));
        let listed = Listed::with_addresses(certificate.public_key, &certificate.addresses);
        group.keys.insert(name.clone(), listed);
        group.admitted.insert(name, Rc::new(new));
        Ok(())
    }

    /// The peer is there by its certificate no more.
    pub(crate) fn remove(&mut self, group: &GroupName, peer: &str) -> Option<Rc<Admitted>> {
        let admitted = self.groups.get_mut(group)?;
        let removed = admitted.admitted.remove(peer);
        admitted.keys.remove(peer);
        if admitted.admitted.is_empty() {
            self.groups.remove(group);
        }
        if let (Some(removed), Some(holders)) = (&removed, self.holders.get_mut(&group.0)) {
            for prefix in &removed.certificate.certificate().addresses {
                holders.remove(&(prefix.address, group.1.clone()));
            }
        }
        removed
    }

    /// Who has an address by his certificate: group and name, one of each group.
    fn holders_of<'a>(
        &'a self,
        interface: &str,
        address: IpAddr,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let holders = self.holders.get(interface);
        let from = (address, String::new());
        let some = holders.map(|holders| holders.range_from(Bound::Included(&from)));
        some.into_iter()
            .flatten()
            .take_while(move |((held, _), _)| *held == address)
            .map(|((_, group), peer)| (group.as_str(), peer.as_str()))
    }

    /// Takes out whose certificate does not count any more at `now`, in seconds since 1970, by what the files say.
    pub(crate) fn retain_valid(
        &mut self,
        files: &CertificateFiles,
        now: u64,
    ) -> Vec<(GroupName, Rc<Admitted>, Ended)> {
        let (mut ended, mut next_end) = (Vec::new(), None);
        for (name, group) in &self.groups {
            let anchor = files.anchor(&name.0, &name.1);
            for admitted in group.admitted.values() {
                let certificate = admitted.certificate.certificate();
                let anchor = anchor.filter(|anchor| anchor.believes(&admitted.authority));
                let why = match anchor.and_then(|anchor| anchor.revokes(certificate)) {
                    None => Some(Ended::NotBelieved),
                    Some(true) => Some(Ended::Revoked),
                    Some(false) if certificate.not_after <= now => Some(Ended::Expired),
                    Some(false) => None,
                };
                if let Some(why) = why {
                    ended.push((name.clone(), Rc::clone(admitted), why));
                } else {
                    let end = certificate.not_after;
                    next_end = Some(next_end.map_or(end, |next: u64| next.min(end)));
                }
            }
        }
        self.next_end = next_end;
        for (name, admitted, _) in &ended {
            self.remove(name, &admitted.certificate.certificate().name);
        }
        ended
    }

    /// Takes out who cannot be a peer because of this; nobody where none of these is meant.
    pub(crate) fn give_way(&mut self, clash: &Clash) -> Vec<(GroupName, Rc<Admitted>)> {
        let interface = &clash.interface;
        let group_of = |peer: &str| self.get(interface, peer).map(|(group, _)| group.to_owned());
        let (candidates, most) = match Meant::by(clash, group_of) {
            Meant::First(candidates) => (candidates, 1),
            Meant::Surplus(count) => {
                let all = self.of(interface).flat_map(|(group, peers)| {
                    let group = (interface.clone(), group.to_owned());
                    peers.keys().map(move |peer| (group.clone(), peer.clone()))
                });
                (all.take(count).collect(), count)
            }
        };
        let removed = candidates.into_iter().filter_map(|(group, peer)| {
            let admitted = self.remove(&group, &peer)?;
            Some((group, admitted))
        });
        removed.take(most).collect()
    }
}

#[cfg(test)]
mod tests {
    use libknet::api::{
        certificate::{AuthorityId, SIGNATURE_LEN, Serial},
        group::ClashReason,
        value::PublicKey,
    };

    use super::*;
    use crate::config::sources::beside;

    fn admitted(name: &str, key: u8, not_before: u64) -> Admitted {
        let certificate = Certificate {
            authority: AuthorityId([1; 8]),
            serial: Serial(u64::from(key)),
            public_key: PublicKey([key; 32]),
            not_before,
            not_after: not_before + 1_000,
            name: name.into(),
            groups: vec!["g".into()],
            addresses: Vec::new(),
        };
        Admitted {
            certificate: SignedCertificate::new(certificate, &[0; SIGNATURE_LEN]).unwrap(),
            authority: Authority {
                name: "ca".into(),
                public_key: [1; 32],
            },
            since_unix_ms: 0,
        }
    }

    /// Who is there: group, name, key.
    fn there(admissions: &Admissions) -> Vec<(String, String, u8)> {
        let mut there = Vec::new();
        for (group, peers) in admissions.of("kn0") {
            for (name, admitted) in peers {
                let key = admitted.certificate.certificate().public_key.0[0];
                there.push((group.to_owned(), name.clone(), key));
            }
        }
        there
    }

    fn at(group: &str, name: &str, key: u8) -> (String, String, u8) {
        (group.into(), name.into(), key)
    }

    #[test]
    fn of_two_certificates_with_a_name_or_a_key_the_later_counts() {
        let mut all = Admissions::default();
        let admit =
            |all: &mut Admissions, group, known_as, new| all.admit(("kn0", group), known_as, |_| true, new);
        assert_eq!(admit(&mut all, "g", None, admitted("a", 9, 100)), Ok(()));
        // The same again, and one from before.
        let same = admitted("a", 9, 100);
        assert_eq!(admit(&mut all, "g", Some("a"), same), Err(NotAdmitted::Known));
        let before = admitted("a", 9, 99);
        assert_eq!(admit(&mut all, "g", Some("a"), before), Err(NotAdmitted::Known));
        // Renewed, in another group.
        assert_eq!(admit(&mut all, "h", Some("a"), admitted("a", 9, 101)), Ok(()));
        assert_eq!(there(&all), [at("h", "a", 9)]);
        // Another name for the key.
        assert_eq!(admit(&mut all, "h", Some("a"), admitted("b", 9, 102)), Ok(()));
        assert_eq!(there(&all), [at("h", "b", 9)]);
        // Another key for the name: earlier, and later.
        let earlier = admitted("b", 10, 50);
        assert_eq!(admit(&mut all, "h", None, earlier), Err(NotAdmitted::Superseded));
        assert_eq!(admit(&mut all, "h", None, admitted("b", 10, 103)), Ok(()));
        assert_eq!(there(&all), [at("h", "b", 10)]);
        // Of another interface it is somebody else.
        assert_eq!(
            all.admit(("kn1", "h"), None, |_| true, admitted("b", 9, 1)),
            Ok(())
        );
        assert_eq!(there(&all).len(), 1);
        let lists = beside(&Lists::new(), &all.keys());
        assert_eq!(lists.values().map(AuthorizedKeys::len).sum::<usize>(), 2);
    }

    fn with(name: &str, key: u8, from: u64, address: &str) -> Admitted {
        let new = admitted(name, key, from);
        let certificate = Certificate {
            addresses: vec![address.parse().unwrap()],
            ..new.certificate.certificate().clone()
        };
        Admitted {
            certificate: SignedCertificate::new(certificate, &[0; SIGNATURE_LEN]).unwrap(),
            ..new
        }
    }

    #[test]
    fn who_has_an_address_keeps_it_where_groups_meet_later() {
        let mut all = Admissions::default();
        let mut admit = |meet: bool, group: &str, name: &str, key, from| {
            let known_as = (from > 100).then_some(name);
            let new = with(name, key, from, "10.0.0.7/24");
            all.admit(("kn0", group), known_as, |other| meet || other == group, new)
        };
        let taken = |peer: &str| {
            Err(NotAdmitted::AddressTaken {
                address: [10, 0, 0, 7].into(),
                peer: peer.into(),
            })
        };
        assert_eq!(admit(false, "g", "a", 9, 100), Ok(()));
        assert_eq!(admit(false, "h", "b", 10, 100), Ok(()));
        // From now on they meet.
        assert_eq!(admit(true, "g", "a", 9, 101), Ok(()));
        assert_eq!(admit(true, "h", "b", 10, 101), Ok(()));
        // In another group it is new.
        assert_eq!(admit(true, "h", "a", 9, 102), taken("b"));
        assert_eq!(admit(true, "k", "c", 11, 100), taken("a"));
        assert_eq!(there(&all), [at("g", "a", 9), at("h", "b", 10)]);
    }

    #[test]
    fn of_two_certificates_with_an_address_the_one_that_came_first_counts() {
        let mut all = Admissions::default();
        let admit = |all: &mut Admissions, group: &str, known_as, new| {
            // Those of `far` are in VLANs of their own.
            let meets = |other: &str| (group == "far") == (other == "far");
            all.admit(("kn0", group), known_as, meets, new)
        };
        let taken = |peer: &str| {
            Err(NotAdmitted::AddressTaken {
                address: [10, 0, 0, 7].into(),
                peer: peer.into(),
            })
        };
        assert_eq!(
            admit(&mut all, "g", None, with("a", 9, 100, "10.0.0.7/24")),
            Ok(())
        );
        // Whatever network the address is in, and whatever group its peer: not where it would be another one's.
        assert_eq!(
            admit(&mut all, "g", None, with("b", 10, 200, "10.0.0.7/16")),
            taken("a")
        );
        assert_eq!(
            admit(&mut all, "h", None, with("b", 10, 200, "10.0.0.7/16")),
            taken("a")
        );
        assert_eq!(
            admit(&mut all, "far", None, with("b", 10, 200, "10.0.0.7/16")),
            Ok(())
        );
        assert_eq!(
            admit(&mut all, "h", None, with("c", 11, 200, "10.0.0.8/24")),
            Ok(())
        );
        // Renewed; with another group, another key, another name.
        for (group, name, key, from, known_as) in [
            ("g", "a", 9, 101, Some("a")),
            ("h", "a", 9, 102, Some("a")),
            ("h", "a", 12, 103, None),
            ("h", "d", 12, 104, Some("a")),
        ] {
            let new = with(name, key, from, "10.0.0.7/24");
            assert_eq!(admit(&mut all, group, known_as, new), Ok(()), "{from}");
        }
        assert_eq!(
            there(&all),
            [at("far", "b", 10), at("h", "c", 11), at("h", "d", 12)]
        );
        // Somebody whose renewed certificate has the address of another stays with the one that he has.
        let wrong = with("c", 11, 300, "10.0.0.7/24");
        assert_eq!(admit(&mut all, "h", Some("c"), wrong), taken("d"));
        assert_eq!(there(&all).len(), 3);
        // Who is gone leaves it to others.
        all.remove(&("kn0".into(), "h".into()), "d");
        let wrong = with("c", 11, 300, "10.0.0.7/24");
        assert_eq!(admit(&mut all, "h", Some("c"), wrong), Ok(()));
        let free = with("e", 13, 1, "10.0.0.8/24");
        assert_eq!(admit(&mut all, "g", None, free), Ok(()));
    }

    #[test]
    fn what_is_written_down_goes_first() {
        let mut all = Admissions::default();
        let fill = |all: &mut Admissions| {
            for (name, key) in [("a", 9), ("b", 10), ("c", 11)] {
                let _ = all.admit(("kn0", "g"), None, |_| true, admitted(name, key, 1));
            }
        };
        fill(&mut all);
        let gone = |all: &mut Admissions, peer: &str, group: &str, reason| {
            let clash = Clash {
                interface: "kn0".into(),
                group: group.into(),
                peer: peer.into(),
                reason,
            };
            let gone = all.give_way(&clash);
            gone.iter()
                .map(|(_, admitted)| admitted.certificate.certificate().name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(gone(&mut all, "a", "g", ClashReason::Configured), ["a"]);
        assert_eq!(gone(&mut all, "a", "g", ClashReason::Configured), [""; 0]);
        // A file of another group lists the name, or the key under another name.
        assert_eq!(
            gone(&mut all, "b", "other", ClashReason::Listed("g".into())),
            ["b"]
        );
        assert_eq!(
            gone(&mut all, "x", "other", ClashReason::KeyOf("c".into())),
            ["c"]
        );
        fill(&mut all);
        let too_many = ClashReason::TooMany(MAX_PEERS + 2);
        assert_eq!(gone(&mut all, "x", "f", too_many).len(), 2);
        assert_eq!(there(&all), [at("g", "c", 11)]);
        // A file that lists the name of one of the same group.
        let listed: AuthorizedKeys = [("c".to_owned(), PublicKey([77; 32]).into())]
            .into_iter()
            .collect();
        let group = ("kn0".to_owned(), "g".to_owned());
        let files: Lists = [(group.clone(), listed)].into_iter().collect();
        let both = beside(&files, &all.keys());
        assert_eq!((both[&group].len(), both[&group]["c"].public_key.0[0]), (1, 77));
    }
}
