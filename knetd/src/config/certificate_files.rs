//! The files that have to do with certificates: our own of each interface, and for each group of peers the authorities
//! that are believed and what these have revoked.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use libknet::{
    api::{
        certificate::{
            Certificate, SignedCertificate,
            armor::{self, Label},
            authority::{self, Authority},
            revocation::{MAX_REVOKED, RevocationList, SignedRevocationList},
        },
        edit::{Context, Leaf},
        model::{Config, InterfaceConfig, PublicKey},
        problem::Problem,
    },
    proto::{config::PrivateKey, crypto::signature},
};

use super::{
    key_files::{GroupName, Patience},
    keys::{KeyKind, Keys},
    revocation_dates::RevocationDates,
    store::{directory_beside, directory_of},
    watched_file::{Change, Settling, WatchedFile, Written, refusal},
};
use crate::logging::utc_seconds;

/// Longest file with a certificate, or with authorities, in bytes: there may be comments.
const MAX_FILE: usize = 64 * 1024;
/// Longest file with revocation lists, in bytes: base64 of as many as there can be authorities.
const MAX_LISTS: usize = authority::MAX_AUTHORITIES * (MAX_REVOKED * 11 + 1024);

/// All of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct CertificateFiles {
    directory: PathBuf,
    own: BTreeMap<String, Own>,
    anchors: BTreeMap<GroupName, Anchor>,
    /// How new their revocation lists were.
    dates: RevocationDates,
    /// Counts how often the anchors became others.
    version: u64,
    settling: Settling,
}

/// Our own certificate of an interface.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    /// The key that it has to be of.
    key: Option<PublicKey>,
    /// The file.
    pub(crate) file: WatchedFile<SignedCertificate>,
}

impl Own {
    fn read(&mut self, directory: &Path) {
        let key = self.key;
        self.file.read(directory, MAX_FILE, |bytes| {
            let certificate = one_certificate(bytes)?;
            let of = certificate.certificate().public_key;
            match key.filter(|key| *key != of) {
                Some(key) => Err(format!(
                    "a certificate of the key {of}; expected: one of the interface's key {key}"
                )),
                None => Ok(certificate),
            }
        });
    }
}

/// What the certificates of a group's peers are held against.
#[derive(Clone, Debug)]
pub(crate) struct Anchor {
    /// Who is believed.
    pub(crate) authorities: WatchedFile<Vec<Authority>>,
    /// What they have revoked.
    pub(crate) revoked: Option<WatchedFile<Vec<RevocationList>>>,
}

impl Anchor {
    /// The authority that has signed this, where it is believed.
    pub(crate) fn signer(&self, certificate: &SignedCertificate) -> Option<&Authority> {
        let id = certificate.certificate().authority;
        let mut known = self.authorities.contents.iter().flatten();
        let authority = known.find(|authority| authority.id() == id)?;
        let (message, signed) = certificate.signed();
        signature::verify(&authority.public_key, &message, signed).then_some(authority)
    }

    /// Whether this authority is believed.
    pub(crate) fn believes(&self, authority: &Authority) -> bool {
        let mut known = self.authorities.contents.iter().flatten();
        known.any(|known| known.public_key == authority.public_key)
    }

    /// Whether its authority has revoked this; `None` where that is not known, because the list cannot be read.
    pub(crate) fn revokes(&self, certificate: &Certificate) -> Option<bool> {
        let Some(file) = &self.revoked else {
            return Some(false);
        };
        let mut lists = file.contents.as_ref()?.iter();
        Some(lists.any(|list| list.authority == certificate.authority && list.revokes(certificate.serial)))
    }

    /// The revocation lists that count, and whose they are.
    pub(crate) fn lists_in_force(&self) -> impl Iterator<Item = (&Authority, &RevocationList)> {
        let lists = self
            .revoked
            .iter()
            .filter_map(|file| file.contents.as_ref())
            .flatten();
        let known = || self.authorities.contents.iter().flatten();
        lists.filter_map(move |list| Some((known().find(|known| known.id() == list.authority)?, list)))
    }

    fn read(&mut self, directory: &Path, group: &GroupName, dates: &RevocationDates) {
        self.authorities.read(directory, MAX_FILE, authority::parse);
        let known = self.authorities.contents.as_deref().unwrap_or_default();
        if let Some(file) = &mut self.revoked {
            // That of a list in force is not noted while a change waits to be confirmed.
            let in_force = file.contents.iter().flatten();
            let in_force: Vec<_> = in_force.map(|list| (list.authority, list.issued)).collect();
            let newest = |authority: &Authority| {
                let id = authority.id();
                let of = in_force.iter().find(|(of, _)| *of == id);
                of.map(|(_, issued)| *issued).max(dates.get(group, authority))
            };
            file.read(directory, MAX_LISTS, |bytes| {
                revocation_lists(bytes, known, newest)
            });
        }
    }

    /// What is wrong with one of the files, and where it is named.
    pub(crate) fn problem(&self) -> Option<(Leaf, &str)> {
        let of_list = self.revoked.as_ref().and_then(|file| file.problem.as_deref());
        let of_authorities = self.authorities.problem.as_deref();
        of_authorities
            .map(|text| (Leaf::CertificateAuthority, text))
            .or(of_list.map(|text| (Leaf::RevocationList, text)))
    }

    fn is_usable(&self) -> bool {
        let revoked = self.revoked.as_ref();
        self.authorities.contents.is_some() && revoked.is_none_or(|file| file.contents.is_some())
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        let revoked = self.revoked.as_ref().map(|file| file.path.as_str());
        [self.authorities.path.as_str()].into_iter().chain(revoked)
    }

    fn written(&self, directory: &Path) -> impl Iterator<Item = Written> {
        let of_list = self.revoked.as_ref().and_then(|file| file.written(directory));
        self.authorities.written(directory).into_iter().chain(of_list)
    }
}

/// The lists of a file, each signed by one of `known` and not older than the `newest` that was in force.
fn revocation_lists(
    bytes: &[u8],
    known: &[Authority],
    newest: impl Fn(&Authority) -> Option<u64>,
) -> Result<Vec<RevocationList>, String> {
    let blocks = armor::read(Label::RevocationList, bytes).map_err(|error| error.to_string())?;
    if blocks.is_empty() {
        return Err(
            "there is no revocation list in it; expected: a file as `knetd ca revoke` writes it".into(),
        );
    }
    let mut lists: Vec<RevocationList> = Vec::new();
    for block in blocks {
        let wrong = |text: String| format!("line {}: {text}", block.line);
        let signed = SignedRevocationList::parse(&block.bytes)
            .map_err(|error| wrong(format!("no revocation list: {error}")))?;
        let list = signed.list();
        // Of an authority that is not believed any more: nobody needs it, and the file may be for others as well.
        let Some(authority) = known.iter().find(|authority| authority.id() == list.authority) else {
            continue;
        };
        let (message, of) = signed.signed();
        if !signature::verify(&authority.public_key, &message, of) {
            return Err(wrong(format!(
                "{} has not signed this revocation list",
                authority.name
            )));
        }
        if lists.iter().any(|other| other.authority == list.authority) {
            return Err(wrong(format!("a second revocation list of {}", authority.name)));
        }
        if let Some(newest) = newest(authority).filter(|newest| *newest > list.issued) {
            return Err(wrong(format!(
                "a revocation list of {} of {}, and one of {} was in force already",
                authority.name,
                utc_seconds(list.issued),
                utc_seconds(newest)
            )));
        }
        lists.push(list.clone());
    }
    if lists.is_empty() {
        return Err("there is no revocation list in it of an authority that the group believes".into());
    }
    Ok(lists)
}

/// The one certificate of a file.
pub(crate) fn one_certificate(bytes: &[u8]) -> Result<SignedCertificate, String> {
    const EXPECTED: &str = "expected: one certificate, as `knetd ca sign` writes it";
    let blocks = armor::read(Label::Certificate, bytes).map_err(|error| error.to_string())?;
    match &blocks[..] {
        [block] => SignedCertificate::parse(&block.bytes)
            .map_err(|error| format!("line {}: no certificate: {error}; {EXPECTED}", block.line)),
        [] => Err(format!("there is no certificate in it; {EXPECTED}")),
        [_, second, ..] => Err(format!("line {}: a second certificate; {EXPECTED}", second.line)),
    }
}

impl CertificateFiles {
    /// None yet. Relative paths are relative to the directory of `config_file`.
    pub(crate) fn new(config_file: &Path) -> Self {
        Self {
            directory: directory_of(config_file).into(),
            dates: RevocationDates::read(&directory_beside(config_file)),
            ..Self::default()
        }
    }

    /// How new the revocation lists were that have been in force.
    pub(crate) const fn dates(&self) -> &RevocationDates {
        &self.dates
    }

    /// Takes note of how new the revocation lists are, which are in force now: none that is older will be again. Gives all
    /// that was noted.
    pub(crate) fn note_dates(&mut self) -> &RevocationDates {
        for (group, anchor) in &self.anchors {
            for (authority, list) in anchor.lists_in_force() {
                self.dates.note(group, authority, list.issued);
            }
        }
        self.dates.forget_groups(|group| self.anchors.contains_key(group));
        &self.dates
    }

    /// Our own certificate of an interface.
    pub(crate) fn own(&self, interface: &str) -> Option<&WatchedFile<SignedCertificate>> {
        self.own.get(interface).map(|own| &own.file)
    }

    /// All of our own that can be used, by interface.
    pub(crate) fn all_own(&self) -> impl Iterator<Item = (&str, &SignedCertificate)> {
        let own = self.own.iter();
        own.filter_map(|(interface, own)| Some((interface.as_str(), own.file.contents.as_ref()?)))
    }

    /// What the certificates of a group's peers are held against, where it takes any.
    pub(crate) fn anchor(&self, interface: &str, group: &str) -> Option<&Anchor> {
        self.anchors.get(&(interface.to_owned(), group.to_owned()))
    }

    /// What those of all groups are held against.
    pub(crate) fn anchors(&self) -> impl Iterator<Item = (&GroupName, &Anchor)> {
        self.anchors.iter()
    }

    /// As long as it is the same, so is everything that certificates are held against.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// Whether any group of the interface takes certificates.
    pub(crate) fn takes_certificates(&self, interface: &str) -> bool {
        self.anchors.keys().any(|(of, _)| of == interface)
    }

    /// All paths, made absolute by the configuration's directory.
    pub(crate) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        let own = self.own.values().map(|own| own.file.path.as_str());
        let all = own.chain(self.anchors.values().flat_map(Anchor::paths));
        all.map(|path| self.directory.join(path))
    }

    /// The files that `config` names. Those that are known already are not read again, unless `fresh`. `keys`: of the
    /// interfaces.
    pub(crate) fn of(
        &self,
        config: &Config,
        keys: &mut Keys,
        fresh: bool,
        patience: Patience,
    ) -> Result<Self, Vec<Problem>> {
        let mut files = Self {
            directory: self.directory.clone(),
            dates: self.dates.clone(),
            ..Self::default()
        };
        let (mut problems, mut kept) = (Vec::new(), 0);
        for (name, interface) in &config.interfaces {
            if let Some(path) = &interface.certificate_file {
                let key = public_key(interface, keys);
                let known = self
                    .own
                    .get(name)
                    .filter(|known| known.file.path == *path && known.key == key);
                let mut own = known.cloned().unwrap_or_else(|| Own {
                    key,
                    file: WatchedFile::new(path),
                });
                if known.is_none() || fresh {
                    own.read(&files.directory);
                }
                if let (Some(text), None, Patience::Refuse) = (&own.file.problem, known, patience) {
                    let context = Context::Interface {
                        interface: name.clone(),
                    };
                    problems.push(refusal(context, Leaf::Certificate, text));
                }
                files.own.insert(name.clone(), own);
            }
            for (group, config) in &interface.groups {
                let Some(path) = &config.certificate_authority_file else {
                    continue;
                };
                let group_name = (name.clone(), group.clone());
                let list = config.revocation_list_file.as_ref();
                let same = |known: &&Anchor| {
                    known.authorities.path == *path && known.revoked.as_ref().map(|file| &file.path) == list
                };
                let known = self.anchors.get(&group_name).filter(same);
                let mut anchor = known.cloned().unwrap_or_else(|| Anchor {
                    authorities: WatchedFile::new(path),
                    revoked: list.map(|path| WatchedFile::new(path)),
                });
                if known.is_none() || fresh {
                    anchor.read(&files.directory, &group_name, &files.dates);
                } else {
                    kept += 1;
                }
                if let (Some((leaf, text)), None, Patience::Refuse) = (anchor.problem(), known, patience) {
                    let context = Context::Group {
                        interface: name.clone(),
                        group: group.clone(),
                    };
                    problems.push(refusal(context, leaf, text));
                }
                files.anchors.insert(group_name, anchor);
            }
        }
        let same = kept == files.anchors.len() && kept == self.anchors.len();
        files.version = self.version + u64::from(!same);
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
        for (interface, own) in &mut files.own {
            if own.file.written(&self.directory).is_some() {
                own.read(&self.directory);
                changes.push(tell_own(interface, &own.file));
            }
        }
        for (name, anchor) in &mut files.anchors {
            if anchor.written(&self.directory).next().is_some() {
                anchor.read(&self.directory, name, &self.dates);
                files.version = self.version + 1;
                changes.push(tell_anchor(name, anchor));
            }
        }
        (!changes.is_empty()).then_some((files, changes))
    }

    /// Whether some were written since they were looked at, and all of these not since the last call.
    pub(crate) fn have_settled(&mut self) -> bool {
        let own = self
            .own
            .values()
            .filter_map(|own| own.file.written(&self.directory));
        let anchors = self.anchors.values();
        let written = own.chain(anchors.flat_map(|anchor| anchor.written(&self.directory)));
        self.settling.is_over(written)
    }

    /// What is wrong with any of them.
    pub(crate) fn problems(&self) -> Vec<Change> {
        let own = self.own.iter().filter(|(_, own)| own.file.problem.is_some());
        let anchors = self
            .anchors
            .iter()
            .filter(|(_, anchor)| anchor.problem().is_some());
        own.map(|(interface, own)| tell_own(interface, &own.file))
            .chain(anchors.map(|(name, anchor)| tell_anchor(name, anchor)))
            .collect()
    }
}

/// That of the interface, where its private key can be read; that it cannot is told elsewhere.
fn public_key(interface: &InterfaceConfig, keys: &mut Keys) -> Option<PublicKey> {
    let key = keys
        .get(interface.private_key_file.as_deref()?, KeyKind::Private)
        .ok()?;
    Some(PublicKey(*PrivateKey(key.clone()).public_key().as_bytes()))
}

fn tell_own(interface: &str, file: &WatchedFile<SignedCertificate>) -> Change {
    let text = match (&file.problem, &file.contents) {
        (Some(problem), Some(_)) => Err(format!("the certificate in force stays: {problem}")),
        (Some(problem), None) => Err(format!("there is no certificate: {problem}")),
        (None, _) => Ok(format!("certificate read from {}", file.path)),
    };
    Change {
        place: interface.to_owned(),
        text,
    }
}

fn tell_anchor(group: &GroupName, anchor: &Anchor) -> Change {
    let text = match anchor.problem() {
        Some((_, problem)) if anchor.is_usable() => Err(format!("what counted before stays: {problem}")),
        Some((_, problem)) => Err(format!("nobody gets in by a certificate: {problem}")),
        None => {
            let authorities = anchor.authorities.contents.as_ref().map_or(0, Vec::len);
            let lists = anchor.revoked.as_ref().and_then(|file| file.contents.as_ref());
            let revoked: usize = lists.into_iter().flatten().map(|list| list.serials.len()).sum();
            let authorities = match authorities {
                1 => "1 authority is".to_owned(),
                n => format!("{n} authorities are"),
            };
            Ok(format!(
                "{authorities} believed, {revoked} certificates are revoked"
            ))
        }
    };
    Change::of_group(group, text)
}
