//! `show certificates`, and what a group has to do with them.

use libknet::api::{
    certificate::Certificate,
    message::{ApiError, AuthoritiesRow, CertificateCounts, CertificateRow, CertificatesReport, Reply},
};

use super::names;
use crate::{
    config::{certificate_files::Anchor, watched_file::Change},
    daemon::{Daemon, admission::Refused},
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
    let counts = counts(&rows, daemon.refused_certificates());
    let more = rows.len().saturating_sub(ROWS) as u64;
    rows.truncate(ROWS);
    let problems = files.problems().into_iter().filter_map(Change::problem);
    Ok(Reply::Certificates(CertificatesReport {
        rows,
        more,
        problems: problems.collect(),
        counts,
    }))
}

fn counts(rows: &[CertificateRow], refused: Refused) -> CertificateCounts {
    const DAY: u64 = 86_400;
    let now = unix_ms();
    let valid = |row: &&CertificateRow| row.not_before_unix_ms <= now && row.remaining_s > 0;
    let within = |days: u64| {
        let ending = |row: &&CertificateRow| row.remaining_s <= days * DAY;
        rows.iter().filter(valid).filter(ending).count() as u64
    };
    CertificateCounts {
        valid: rows.iter().filter(valid).count() as u64,
        within_30_days: within(30),
        within_7_days: within(7),
        within_a_day: within(1),
        refused: refused.all,
        refused_as_revoked: refused.revoked,
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
