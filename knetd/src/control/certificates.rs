//! `show certificates`, and what a group has to do with them.

use libknet::api::{
    certificate::{Certificate, SignedCertificate},
    message::{
        ApiError, AuthoritiesRow, CertificateCounts, CertificateRow, CertificatesReport, RefusalRow, Reply,
    },
};

use super::names;
use crate::{
    config::{certificate_files::Anchor, watched_file::Change},
    daemon::Daemon,
    logging::unix_ms,
};

/// Most rows of an answer.
const ROWS: usize = 1000;

/// Answers [`libknet::api::message::RequestBody::Certificates`].
pub(crate) fn report(daemon: &Daemon, only: Option<&str>) -> Result<Reply, ApiError> {
    let config = daemon.of_this_host();
    let (files, admissions) = (daemon.certificate_files(), daemon.admissions());
    let mut own = Vec::new();
    let mut of_peers = Vec::new();
    for (interface, _) in names::interfaces(config, only)? {
        let certificate = files.own(interface).and_then(|file| file.contents.as_ref());
        own.extend(certificate.map(|own| row(interface, own.certificate())));
        for (_, peers) in admissions.of(interface) {
            of_peers.extend(peers.iter().map(|(peer, admitted)| CertificateRow {
                peer: Some(peer.clone()),
                authority: Some(admitted.authority.name.clone()),
                presented_unix_ms: Some(admitted.since_unix_ms),
                ..row(interface, admitted.certificate.certificate())
            }));
        }
    }
    of_peers.sort_by_key(|row| row.not_after_unix_ms);
    let mut rows = own;
    rows.append(&mut of_peers);
    let mut counts = CertificateCounts {
        refused: daemon.refused_certificates().all(),
        refused_as_revoked: daemon.refused_certificates().revoked(),
        ..CertificateCounts::default()
    };
    let now = unix_ms() / 1000;
    for (interface, _) in names::interfaces(config, only)? {
        let (own, of_peers) = in_use(daemon, interface);
        own.into_iter()
            .chain(of_peers)
            .for_each(|c| count(&mut counts, c, now));
    }
    let more = rows.len().saturating_sub(ROWS) as u64;
    rows.truncate(ROWS);
    let not_kept = daemon.revocation_dates_problem().map(str::to_owned);
    let problems = files
        .problems()
        .into_iter()
        .filter_map(Change::problem)
        .chain(not_kept);
    Ok(Reply::Certificates(CertificatesReport {
        rows,
        more,
        problems: problems.collect(),
        counts,
        refusals: daemon
            .refused_certificates()
            .by_reason()
            .map(|(reason, count, latest)| RefusalRow {
                reason: reason.to_owned(),
                count,
                latest: latest.to_owned(),
            })
            .collect(),
    }))
}

/// The certificates of an interface: our own, and those by which peers are there.
fn in_use<'a>(
    daemon: &'a Daemon,
    interface: &'a str,
) -> (Option<&'a Certificate>, impl Iterator<Item = &'a Certificate>) {
    let own = daemon.certificate_files().own(interface);
    let own = own
        .and_then(|file| file.contents.as_ref())
        .map(SignedCertificate::certificate);
    let peers = daemon.admissions().of(interface);
    let of_peers = peers.flat_map(|(_, peers)| peers.iter().map(|(_, peer)| peer.certificate.certificate()));
    (own, of_peers)
}

/// Counts a certificate, at `now` in seconds since 1970.
fn count(counts: &mut CertificateCounts, certificate: &Certificate, now: u64) {
    const DAY: u64 = 86_400;
    let left = certificate.not_after.saturating_sub(now);
    if certificate.not_before > now || left == 0 {
        return;
    }
    counts.valid += 1;
    counts.within_30_days += u64::from(left <= 30 * DAY);
    counts.within_7_days += u64::from(left <= 7 * DAY);
    counts.within_a_day += u64::from(left <= DAY);
}

/// What of certificates can be added up.
#[derive(Clone, Debug, Default)]
pub(crate) struct CertificateSums {
    /// Of each interface.
    pub(crate) interfaces: Vec<SumsOfInterface>,
    /// The revocation lists in force.
    pub(crate) revocation_lists: Vec<ListInForce>,
    /// Files that cannot be used as they are.
    pub(crate) problems: usize,
    /// How often somebody was not let in, for every reason: a rate needs a beginning.
    pub(crate) refused: Vec<(&'static str, u64)>,
}

/// The certificates of an interface.
#[derive(Clone, Debug, Default)]
pub(crate) struct SumsOfInterface {
    /// Its name.
    pub(crate) interface: String,
    /// Without those that were refused.
    pub(crate) counts: CertificateCounts,
    /// When our own ends, in seconds since 1970.
    pub(crate) own_end: Option<u64>,
    /// When the first of those of peers ends, in seconds since 1970.
    pub(crate) earliest_end: Option<u64>,
}

/// A revocation list.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListInForce {
    /// Of which interface.
    pub(crate) interface: String,
    /// Of which group.
    pub(crate) group: String,
    /// Whose it is.
    pub(crate) authority: String,
    /// When it was made, in seconds since 1970.
    pub(crate) issued: u64,
}

/// The sums over all certificates. There may be 65,536, so no row is made of any.
pub(crate) fn sums(daemon: &Daemon) -> CertificateSums {
    let now = unix_ms() / 1000;
    let files = daemon.certificate_files();
    let of = |interface: &String| {
        let mut sums = SumsOfInterface {
            interface: interface.clone(),
            ..SumsOfInterface::default()
        };
        let (own, of_peers) = in_use(daemon, interface);
        for certificate in of_peers {
            count(&mut sums.counts, certificate, now);
            let end = certificate.not_after;
            sums.earliest_end = Some(sums.earliest_end.map_or(end, |first| first.min(end)));
        }
        if let Some(own) = own {
            count(&mut sums.counts, own, now);
            sums.own_end = Some(own.not_after);
        }
        sums
    };
    let lists = files.anchors().flat_map(|((interface, group), anchor)| {
        anchor.lists_in_force().map(|(authority, list)| ListInForce {
            interface: interface.clone(),
            group: group.clone(),
            authority: authority.name.clone(),
            issued: list.issued,
        })
    });
    CertificateSums {
        interfaces: daemon.of_this_host().interfaces.keys().map(of).collect(),
        revocation_lists: lists.collect(),
        problems: files.problems().len() + usize::from(daemon.revocation_dates_problem().is_some()),
        refused: daemon.refused_certificates().counts().collect(),
    }
}

/// What a group has to do with certificates, by which so many of its peers are there.
pub(super) fn authorities(anchor: &Anchor, peers: u32) -> AuthoritiesRow {
    let authorities = anchor.authorities.contents.iter().flatten();
    let revoked = anchor.revoked.as_ref();
    let lists = revoked
        .and_then(|file| file.contents.as_ref())
        .into_iter()
        .flatten();
    AuthoritiesRow {
        file: anchor.authorities.path.clone(),
        authorities: authorities.map(|authority| authority.name.clone()).collect(),
        revocation_list: revoked.map(|file| file.path.clone()),
        revoked: lists.map(|list| list.serials.len() as u64).sum(),
        peers,
        problem: anchor.problem().map(|(_, text)| text.to_owned()),
    }
}

fn row(interface: &str, certificate: &Certificate) -> CertificateRow {
    CertificateRow {
        interface: interface.to_owned(),
        name: certificate.name.clone(),
        serial: certificate.serial.to_string(),
        groups: certificate.groups.clone(),
        addresses: certificate.addresses.iter().map(ToString::to_string).collect(),
        not_before_unix_ms: certificate.not_before.saturating_mul(1000),
        not_after_unix_ms: certificate.not_after.saturating_mul(1000),
        remaining_s: certificate.not_after.saturating_sub(unix_ms() / 1000),
        ..CertificateRow::default()
    }
}
