//! Rows about certificates.

use serde::{Deserialize, Serialize};

/// What a group has to do with certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthoritiesRow {
    /// The file of authorities, as configured.
    pub file: String,
    /// What they are called.
    pub authorities: Vec<String>,
    /// The file of revocation lists, as configured.
    pub revocation_list: Option<String>,
    /// Certificates that are revoked.
    pub revoked: u64,
    /// Peers that are there by a certificate.
    pub peers: u32,
    /// Why what one of the files holds now does not count.
    pub problem: Option<String>,
}

/// Certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificatesReport {
    /// Our own first, then those that end first; at most 1000.
    pub rows: Vec<CertificateRow>,
    /// How many more there are.
    pub more: u64,
    /// What is wrong with files of certificates, authorities and revocation lists.
    pub problems: Vec<String>,
    /// All of them, counted.
    pub counts: CertificateCounts,
    /// Who was not let in since the daemon was started, by reason.
    pub refusals: Vec<RefusalRow>,
}

/// Certificates that were refused for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalRow {
    /// The reason's stable name.
    pub reason: String,
    /// How often.
    pub count: u64,
    /// What was told of the latest.
    pub latest: String,
}

/// How many certificates there are, those of peers and our own, and how many were refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateCounts {
    /// Those that are valid now.
    pub valid: u64,
    /// Those of them that end within 30 days.
    pub within_30_days: u64,
    /// Within 7 days.
    pub within_7_days: u64,
    /// Within a day.
    pub within_a_day: u64,
    /// How often somebody with a certificate was not let in, since the daemon was started, by whatever interface.
    pub refused: u64,
    /// Of these, because it was revoked.
    pub refused_as_revoked: u64,
}

/// A certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRow {
    /// Of which interface.
    pub interface: String,
    /// Which peer is there by it; `None`: our own.
    pub peer: Option<String>,
    /// The name in it.
    pub name: String,
    /// Its number: 16 hexadecimal digits.
    pub serial: String,
    /// What the authority is called that has signed it; `None`: it is not looked at here.
    pub authority: Option<String>,
    /// The groups in it.
    pub groups: Vec<String>,
    /// The addresses in it.
    pub addresses: Vec<String>,
    /// From when on it is valid, in milliseconds since 1970.
    pub not_before_unix_ms: u64,
    /// Until when it is valid, in milliseconds since 1970.
    pub not_after_unix_ms: u64,
    /// Seconds until then; 0: it has expired.
    pub remaining_s: u64,
    /// When it was presented, in milliseconds since 1970.
    pub presented_unix_ms: Option<u64>,
}
