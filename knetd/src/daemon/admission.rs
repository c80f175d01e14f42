//! Certificates: who presents one and gets in by it, whose comes to its end, and when that is told beforehand.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use libknet::{
    api::{
        certificate::{Certificate, FormatError, SignedCertificate},
        invitation,
    },
    proto::handshake::credential::Presented,
};

use super::Daemon;
use crate::{
    config::{
        admissions::{Admitted, NotAdmitted},
        revocation_dates::RevocationDates,
        sources::{Departed, Sources, Who, Why},
        watched_file::Change,
    },
    events::{self, Loudness},
    logging::{unix_ms, utc_seconds},
};

/// How long before its end that of a certificate is told, in seconds, the longest first.
const WARNINGS: [u64; 3] = [30 * DAY, 7 * DAY, DAY];
const DAY: u64 = 86_400;
/// How soon the dates of revocation lists are written again where they could not be.
const DATES_AGAIN: Duration = Duration::from_secs(60);

/// When something about the end of a certificate is due.
#[derive(Debug, Default)]
pub(super) struct Expiries {
    /// Up to when all was told, in seconds since 1970.
    told: u64,
    /// When there is something again; 0: not known.
    next: u64,
}

/// What of the dates of revocation lists is on the disk.
#[derive(Debug)]
pub(super) struct DatesOnDisk {
    written: RevocationDates,
    /// Why the latest are not, and when that was tried.
    problem: Option<(String, Instant)>,
}

impl DatesOnDisk {
    /// As they have just been read.
    pub(super) const fn new(written: RevocationDates) -> Self {
        Self {
            written,
            problem: None,
        }
    }
}

/// How often somebody with a certificate was not let in, by the kind of the refusal, and what was told of the latest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refused(BTreeMap<&'static str, (u64, String)>);

impl Refused {
    fn count(&mut self, refusal: &Refusal, told: &str) {
        let (count, latest) = self.0.entry(refusal.kind()).or_default();
        *count = count.saturating_add(1);
        told.clone_into(latest);
    }

    /// Every kind, also of those that have not happened, and how often.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let count = |kind| self.0.get(kind).map_or(0, |(count, _)| *count);
        Refusal::KINDS.iter().map(move |kind| (*kind, count(*kind)))
    }

    /// Kind, how often, and the latest; those that have happened.
    pub(crate) fn by_reason(&self) -> impl Iterator<Item = (&'static str, u64, &str)> {
        let all = self.0.iter();
        all.map(|(kind, (count, latest))| (*kind, *count, latest.as_str()))
    }

    /// For whatever reason.
    pub(crate) fn all(&self) -> u64 {
        self.counts().map(|(_, count)| count).sum()
    }

    /// Because it was revoked.
    pub(crate) fn revoked(&self) -> u64 {
        self.0.get(Refusal::Revoked.kind()).map_or(0, |(count, _)| *count)
    }
}

/// Why somebody does not get in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("what was presented is no certificate: {0}")]
    Format(#[from] FormatError),
    #[error("a certificate of another key, {0}")]
    OtherKey(String),
    #[error("no group that takes certificates is one of those it names ({0})")]
    NoGroup(String),
    #[error("nobody who is believed in group {0} has signed it")]
    NotBelieved(String),
    #[error("it is revoked")]
    Revoked,
    #[error("what is revoked in group {0} is not known: its revocation list cannot be read")]
    UnknownRevoked(String),
    #[error("it is valid from {0} on; is the clock right, here and at the authority?")]
    NotYet(String),
    #[error("it has expired at {0}")]
    Expired(String),
    #[error("a later certificate of another key has this name")]
    Superseded,
    #[error(
        "its address {address} is that of peer {peer}, who was there first; one of the two is to be revoked"
    )]
    AddressTaken {
        /// Which one.
        address: IpAddr,
        /// Who has it.
        peer: String,
    },
    #[error("there are 65536 peers already")]
    Full,
}

macro_rules! refusal_kinds {
    ($($variant:ident $name:literal,)*) => {
        impl Refusal {
            /// All there are.
            const KINDS: &[&str] = &[$($name,)*];

            /// What lines of the log are limited by together: strangers can cause them.
            const fn kind(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $name,)* }
            }
        }
    };
}

refusal_kinds! {
    Format "format",
    OtherKey "other-key",
    NoGroup "no-group",
    NotBelieved "not-believed",
    Revoked "revoked",
    UnknownRevoked "unknown-revoked",
    NotYet "not-yet",
    Expired "expired",
    Superseded "superseded",
    AddressTaken "address-taken",
    Full "full",
}

impl Daemon {
    /// Looks at what was presented since the last call, and lets in who may come in: all of them together.
    pub(crate) fn look_at_credentials(&mut self) {
        let presented = std::mem::take(&mut self.presented);
        if presented.is_empty() {
            return;
        }
        let mut sources = self.sources.clone();
        let (mut came, mut joined) = (Vec::new(), Vec::new());
        for (interface, presented) in presented {
            if let Some(key) = invitation::presented(&presented.credential) {
                match self.judge_invitation(&mut sources, &interface, &presented, key) {
                    Ok(new) => joined.extend(new),
                    Err(refusal) => self.tell_refused(&interface, presented.remote, &refusal),
                }
                continue;
            }
            match self.judge(&mut sources, &interface, &presented) {
                Ok(Some(name)) => came.push((interface, name, presented.remote)),
                Ok(None) => {}
                Err((name, refusal)) => {
                    let who = name.map_or_else(String::new, |name| format!(" of {name}"));
                    let text = format!(
                        "{interface}: certificate{who} from {} refused: {refusal}",
                        presented.remote
                    );
                    self.refused.count(&refusal, &text);
                    let kind = format!("certificate-refused {interface} {}", refusal.kind());
                    self.tell_certificate(&kind, &text, Loudness::Warn);
                }
            }
        }
        self.register_joined(&mut sources, &mut joined);
        if came.is_empty() && joined.is_empty() {
            return;
        }
        if let Err(problems) = self.put_sources(sources) {
            for problem in problems {
                let text = format!("peers with certificates or invitations cannot be let in: {problem}");
                self.tell_certificate("certificate-refused", &text, Loudness::Warn);
            }
            return;
        }
        for joined in joined {
            self.tell_joined(&joined);
        }
        for (interface, name, remote) in came {
            let Some((group, admitted)) = self.sources.admissions.get(&interface, &name) else {
                continue;
            };
            let (certificate, now) = (admitted.certificate.certificate(), unix_ms() / 1000);
            let soon = warnings(certificate).any(|due| due <= now).then(|| {
                let left = remaining(certificate.not_after, now);
                format!("{interface}: the certificate of peer {name} {left}")
            });
            let text = format!(
                "{interface}: peer {name} is in group {group} by certificate {} of {} from {remote}, until {}",
                certificate.serial,
                admitted.authority.name,
                utc_seconds(certificate.not_after)
            );
            self.tell_certificate(&format!("certificate {interface} {name}"), &text, Loudness::Info);
            if let Some(text) = soon {
                let kind = format!("certificate-expiry {interface} {name}");
                self.tell_certificate(&kind, &text, Loudness::Warn);
            }
        }
    }

    /// How often somebody with a certificate was not let in since the start.
    pub(crate) const fn refused_certificates(&self) -> &Refused {
        &self.refused
    }

    /// Puts among the peers who has presented this, if that is right and something new. Gives his name.
    fn judge(
        &self,
        sources: &mut Sources,
        interface: &str,
        presented: &Presented,
    ) -> Result<Option<String>, (Option<String>, Refusal)> {
        let known_as = self.known_as(interface, presented);
        if known_as.is_some_and(|name| sources.admissions.get(interface, name).is_none()) {
            // He is a peer anyway, whatever he shows.
            return Ok(None);
        }
        let signed = SignedCertificate::parse(&presented.credential).map_err(|error| (None, error.into()))?;
        let certificate = signed.certificate();
        let refuse = |refusal| (Some(certificate.name.clone()), refusal);
        if certificate.public_key.0 != *presented.public_key.as_bytes() {
            return Err(refuse(Refusal::OtherKey(certificate.public_key.to_string())));
        }
        let files = &sources.certificate_files;
        let mut anchors = certificate
            .groups
            .iter()
            .filter_map(|group| Some((group, files.anchor(interface, group)?)))
            .peekable();
        let Some((first, _)) = anchors.peek().copied() else {
            return Err(refuse(Refusal::NoGroup(certificate.groups.join(", "))));
        };
        let believed = anchors.find_map(|(group, anchor)| Some((group, anchor, anchor.signer(&signed)?)));
        let Some((group, anchor, authority)) = believed else {
            return Err(refuse(Refusal::NotBelieved(first.clone())));
        };
        match anchor.revokes(certificate) {
            None => return Err(refuse(Refusal::UnknownRevoked(group.clone()))),
            Some(true) => return Err(refuse(Refusal::Revoked)),
            Some(false) => {}
        }
        let now = unix_ms() / 1000;
        if now < certificate.not_before {
            return Err(refuse(Refusal::NotYet(utc_seconds(certificate.not_before))));
        }
        if now >= certificate.not_after {
            return Err(refuse(Refusal::Expired(utc_seconds(certificate.not_after))));
        }
        let admitted = Admitted {
            certificate: signed.clone(),
            authority: authority.clone(),
            since_unix_ms: unix_ms(),
        };
        let group = group.clone();
        let meets = |other: &str| self.groups_meet(interface, &group, other);
        let admission = sources
            .admissions
            .admit((interface, &group), known_as, meets, admitted);
        match admission {
            Ok(()) => Ok(Some(certificate.name.clone())),
            Err(NotAdmitted::Known) => Ok(None),
            Err(NotAdmitted::Superseded) => Err(refuse(Refusal::Superseded)),
            Err(NotAdmitted::AddressTaken { address, peer }) => {
                Err(refuse(Refusal::AddressTaken { address, peer }))
            }
            Err(NotAdmitted::Full) => Err(refuse(Refusal::Full)),
        }
    }

    /// Whether peers by certificate of these two groups are in a VLAN together.
    fn groups_meet(&self, interface: &str, a: &str, b: &str) -> bool {
        let Some(config) = self.of_this_host().interfaces.get(interface) else {
            return true;
        };
        let switchport = |group: &str| {
            let said = config
                .groups
                .get(group)
                .and_then(|group| group.switchport.clone());
            said.unwrap_or_default()
        };
        !config.vlan_filtering || switchport(a).meets(&switchport(b))
    }

    /// Which peer presents this, where it is one.
    pub(super) fn known_as(&self, interface: &str, presented: &Presented) -> Option<&str> {
        let overlay = self.overlay(interface)?;
        let name = overlay.slots.name(presented.peer?)?;
        let peer = overlay.setup.peers.get(name)?;
        // The slot may have got another peer since.
        (peer.public_key == presented.public_key).then_some(name)
    }

    /// Reads the files again that have to do with certificates and were written since, and puts the difference into force:
    /// who is revoked has no session any more.
    pub(super) fn read_certificate_files(&mut self) {
        let Some((files, changes)) = self.sources.certificate_files.changed() else {
            return;
        };
        let mut sources = self.sources.clone();
        sources.certificate_files = files;
        if let Err(problems) = self.put_sources(sources) {
            for problem in problems {
                let text = format!("files of certificates cannot be put in force: {problem}");
                self.tell_certificate("certificate-file", &text, Loudness::Warn);
            }
        }
        for change in changes {
            self.tell_file("certificate-file", &change);
        }
    }

    /// Remembers, also on the disk, how new the revocation lists in force are. Not while a change waits to be confirmed: those
    /// of before, which may be older, are to count again if nobody does.
    pub(super) fn keep_revocation_dates(&mut self, now: Instant) {
        if self.pending.is_some() {
            return;
        }
        let dates = self.sources.certificate_files.note_dates();
        if *dates == self.dates.written {
            return;
        }
        match dates.write(self.history.directory()) {
            Ok(()) => {
                self.dates.written = dates.clone();
                self.dates.problem = None;
            }
            Err(error) => {
                let text = format!("an older revocation list would be believed after a restart: {error}");
                let known = self.dates.problem.replace((text.clone(), now));
                if known.is_none_or(|(known, _)| known != text) {
                    self.tell_certificate("revocation-dates", &text, Loudness::Warn);
                }
            }
        }
    }

    /// Why they are not on the disk.
    pub(crate) fn revocation_dates_problem(&self) -> Option<&str> {
        self.dates.problem.as_ref().map(|(text, _)| text.as_str())
    }

    /// There may be other certificates than before.
    pub(super) fn certificates_changed(&mut self) {
        self.expiries.next = 0;
    }

    /// What is due about once a second: whose certificate has come to its end is no peer any more, and who has 30 days, 7 or
    /// one left is told of.
    pub(super) fn tick_certificates(&mut self) {
        let since = self.dates.problem.as_ref().map(|(_, since)| since.elapsed());
        if since.is_some_and(|since| since >= DATES_AGAIN) {
            self.keep_revocation_dates(Instant::now());
        }
        let now = unix_ms() / 1000;
        if now < self.expiries.next {
            return;
        }
        let told = std::mem::replace(&mut self.expiries.told, now);
        let mut soon = Vec::new();
        let mut next = u64::MAX;
        let mut ended = false;
        let mut look = |place: &dyn Fn() -> String, certificate: &Certificate| {
            let end = certificate.not_after;
            // Of several that have passed since, one word is enough.
            if warnings(certificate).any(|due| (told + 1..=now).contains(&due)) && end > now {
                soon.push(format!("{} {}", place(), remaining(end, now)));
            }
            ended |= end <= now;
            let to_come = warnings(certificate).chain([end]).filter(|due| *due > now);
            next = next.min(to_come.min().unwrap_or(u64::MAX));
        };
        let mut over = Vec::new();
        for (interface, own) in self.sources.certificate_files.all_own() {
            let (place, end) = (
                format!("{interface}: our certificate"),
                own.certificate().not_after,
            );
            look(&|| place.clone(), own.certificate());
            if (told + 1..=now).contains(&end) {
                over.push(format!("{place} {}", remaining(end, now)));
            }
        }
        for interface in self.in_force.interfaces.keys() {
            for (_, peers) in self.sources.admissions.of(interface) {
                for (peer, admitted) in peers {
                    let place = || format!("{interface}: the certificate of peer {peer}");
                    look(&place, admitted.certificate.certificate());
                }
            }
        }
        self.expiries.next = next;
        for text in soon.into_iter().chain(over) {
            let kind = format!("certificate-expiry {text}");
            self.tell_certificate(&kind, &text, Loudness::Warn);
        }
        if ended && !self.sources.admissions.is_empty() {
            // It takes out who has no valid one.
            let _ = self.put_sources(self.sources.clone());
        }
    }

    /// Tells who is not there any more by what he has shown.
    pub(super) fn tell_departed(&mut self, departed: &[Departed]) {
        for Departed { group, who, why } in departed {
            let (name, by) = match who {
                Who::Certified(admitted) => {
                    let certificate = admitted.certificate.certificate();
                    (
                        &certificate.name,
                        format!("its certificate {}", certificate.serial),
                    )
                }
                Who::Member(name) => (name, "its invitation".to_owned()),
            };
            let why = match why {
                Why::Ended(ended) => ended.text().to_owned(),
                Why::Clash(clash) => {
                    format!("cannot count: {}", self.sources.key_files.text_of(clash))
                }
                Why::Problem(problem) => format!("cannot count: {problem}"),
            };
            let text = format!(
                "{}: peer {name} is gone from group {}: {by} {why}",
                group.0, group.1
            );
            let kind = format!("certificate-ended {} {name}", group.0);
            self.tell_certificate(&kind, &text, Loudness::Warn);
        }
    }

    /// Tells what has become of a file.
    pub(super) fn tell_file(&mut self, kind: &str, change: &Change) {
        let (text, loudness) = match &change.text {
            Ok(text) => (text, Loudness::Info),
            Err(text) => (text, Loudness::Warn),
        };
        let text = format!("{}: {text}", change.place);
        self.tell_certificate(&format!("{kind} {}", change.place), &text, loudness);
    }

    pub(super) fn tell_certificate(&mut self, kind: &str, text: &str, loudness: Loudness) {
        let name = kind.split(' ').next().unwrap_or(kind);
        self.events.publish(kind, loudness, events::own(name, text));
    }
}

/// When the end of a certificate is told beforehand. One that is short anyway is renewed by somebody who knows.
fn warnings(certificate: &Certificate) -> impl Iterator<Item = u64> {
    let (begin, end) = (certificate.not_before, certificate.not_after);
    let due = WARNINGS.into_iter().map(move |before| end.saturating_sub(before));
    due.filter(move |due| *due > begin)
}

/// How long a certificate still counts.
fn remaining(end: u64, now: u64) -> String {
    match end.saturating_sub(now) {
        0 => format!("has expired at {}", utc_seconds(end)),
        left if left < 2 * DAY => format!("expires in {} hours, at {}", left / 3600, utc_seconds(end)),
        left => format!("expires in {} days, at {}", left / DAY, utc_seconds(end)),
    }
}
