//! `knetd ca`: a certification authority, which is a directory with a key and with what was signed by it.

mod store;

use std::{
    io::{self, Write},
    path::Path,
};

use libknet::{
    OsEntropy,
    api::{
        certificate::{
            Certificate, FormatError, MAX_ADDRESSES, Serial, SignedCertificate,
            armor::{self, Label},
        },
        moment::Moment,
        value::{IpPrefix, PublicKey},
    },
    proto::rng::Entropy,
};

use self::store::Store;
use crate::{
    args::CaCommand,
    config::{certificate_files::one_certificate, store::StoreError},
    logging::{unix_ms, utc_seconds},
    trust::{TrustError, read_config},
};

const DAY: u64 = 86_400;
/// Longest file with a certificate, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// Why a command of an authority was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaError {
    #[error("{0}: there is an authority already; expected: another --directory")]
    Exists(String),
    #[error("{0}: no authority; make one with: knetd ca init NAME --directory {0}")]
    Missing(String),
    #[error("{0}: another knetd ca is at work with this authority; try again")]
    Busy(String),
    #[error("{0:?} is no name of an authority or a peer; expected: 1-64 of A-Z a-z 0-9 . _ -")]
    Name(String),
    #[error("{0}: {1}; expected: a public key as knetd pubkey prints it, 44 characters of base64")]
    Key(String, &'static str),
    #[error("{0}: {1}; expected: an address with the length of its prefix, as in 10.200.0.7/24")]
    Address(String, &'static str),
    #[error("{0:?} is no date; {1}")]
    Moment(String, &'static str),
    #[error("the certificate cannot be made: {0}")]
    Format(#[from] FormatError),
    #[error(
        "{0}: no certificate of this authority has this name or number; expected: one of those that knetd ca show lists"
    )]
    Unknown(String),
    #[error("{0}")]
    Trust(#[from] TrustError),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}: {1}")]
    Io(String, io::Error),
    #[error("{0}")]
    Content(String),
}

/// Does what the command says.
pub(crate) fn run(command: &CaCommand) -> Result<(), String> {
    let done = match command {
        CaCommand::Init { name, directory } => init(name, directory),
        CaCommand::Sign {
            name,
            key,
            groups,
            addresses,
            days,
            from,
            until,
            directory,
        } => {
            let validity = validity(*days, from.as_deref(), until.as_deref());
            validity.and_then(|validity| sign(name, key, groups, addresses, validity, directory))
        }
        CaCommand::Revoke {
            certificates,
            directory,
        } => revoke(certificates, directory),
        CaCommand::Show { file: Some(file), .. } => show_file(file),
        CaCommand::Show {
            file: None,
            directory,
        } => show(directory),
    };
    done.map_err(|error| error.to_string())
}

/// From when on and until when, in seconds since 1970.
fn validity(days: u32, from: Option<&str>, until: Option<&str>) -> Result<(u64, u64), CaError> {
    let read = |text: &str| {
        text.parse::<Moment>()
            .map_err(|error| CaError::Moment(text.into(), error))
    };
    let from = from.map(read).transpose()?;
    let not_before = from.map_or(unix_ms() / 1000, |from| from.0);
    let until = until.map(read).transpose()?;
    let not_after = until.map_or(not_before + u64::from(days) * DAY, |until| until.0);
    Ok((not_before, not_after))
}

fn init(name: &str, directory: &Path) -> Result<(), CaError> {
    let store = Store::create(name, directory)?;
    print(&format!(
        "{}: what `certificate-authority` in a peer-group of the hubs is to name\n\
         {}: what `revocation-list` is to name; copy it to the hubs after each `knetd ca revoke`\n\
         {}: the secret; whoever has it can make peers\n",
        store.file("ca.pub"),
        store.file("ca.crl"),
        store.file("ca.key"),
    ))
}

fn sign(
    name: &str,
    key: &str,
    groups: &[String],
    addresses: &[String],
    (not_before, not_after): (u64, u64),
    directory: &Path,
) -> Result<(), CaError> {
    let store = Store::open(directory)?;
    let public_key = key
        .parse::<PublicKey>()
        .map_err(|error| CaError::Key(key.into(), error.0))?;
    let addresses = addresses.iter().map(|text| {
        text.parse::<IpPrefix>()
            .map_err(|error| CaError::Address(text.clone(), error.0))
    });
    let addresses: Vec<IpPrefix> = addresses.collect::<Result<_, _>>()?;
    if addresses.len() > MAX_ADDRESSES {
        return Err(FormatError::Address.into());
    }
    let certificate = Certificate {
        authority: store.authority.id(),
        serial: Serial(OsEntropy.next_u64()),
        public_key,
        not_before,
        not_after,
        name: name.to_owned(),
        groups: groups.to_vec(),
        addresses,
    };
    let signature = store.sign(&certificate.to_be_signed()?)?;
    let signed = SignedCertificate::new(certificate, &signature)?;
    let revoked = store.revoked()?;
    let now = unix_ms() / 1000;
    for other in store.issued()? {
        let other = other.certificate();
        let counts = other.not_after > now && !revoked.revokes(other.serial);
        if other.name == name && other.public_key != public_key && counts {
            eprintln!(
                "Warning: {name} has certificate {} for another key. The later one counts where both are presented; if \
                 that key is lost: knetd ca revoke {}",
                other.serial, other.serial
            );
        }
    }
    let file = written(&signed);
    store.keep(&signed, &file)?;
    print(&file)
}

fn revoke(certificates: &[String], directory: &Path) -> Result<(), CaError> {
    let store = Store::open(directory)?;
    let issued = store.issued()?;
    let mut serials = Vec::new();
    for wanted in certificates {
        let named: Vec<Serial> = issued
            .iter()
            .map(SignedCertificate::certificate)
            .filter(|certificate| certificate.name == *wanted)
            .map(|certificate| certificate.serial)
            .collect();
        match (wanted.parse::<Serial>(), named.is_empty()) {
            (_, false) => serials.extend(named),
            // Also one that was signed elsewhere, or whose file is lost.
            (Ok(serial), true) => serials.push(serial),
            (Err(()), true) => return Err(CaError::Unknown(wanted.clone())),
        }
    }
    let over: Vec<Serial> = issued
        .iter()
        .map(SignedCertificate::certificate)
        .filter(|certificate| certificate.not_after + DAY < unix_ms() / 1000)
        .map(|certificate| certificate.serial)
        .collect();
    let count = store.revoke(&serials, &over)?;
    print(&format!(
        "{} revoked; {} has {count}; copy it to the hubs\n",
        match serials.len() {
            1 => "1 certificate is".to_owned(),
            n => format!("{n} certificates are"),
        },
        store.file("ca.crl"),
    ))
}

fn show(directory: &Path) -> Result<(), CaError> {
    let store = Store::open(directory)?;
    let revoked = store.revoked()?;
    let now = unix_ms() / 1000;
    let mut out = format!("Authority {}\n", store.authority.line());
    let mut rows = vec![["Name", "Serial", "Groups", "Addresses", "Until", "State"].map(str::to_owned)];
    let mut issued = store.issued()?;
    issued.sort_by_key(|issued| {
        let certificate = issued.certificate();
        (
            certificate.name.clone(),
            certificate.not_before,
            certificate.serial,
        )
    });
    for certificate in &issued {
        let certificate = certificate.certificate();
        let addresses: Vec<_> = certificate.addresses.iter().map(ToString::to_string).collect();
        let state = if revoked.revokes(certificate.serial) {
            "revoked".to_owned()
        } else {
            state(certificate, now)
        };
        rows.push([
            certificate.name.clone(),
            certificate.serial.to_string(),
            certificate.groups.join(","),
            addresses.join(","),
            utc_seconds(certificate.not_after),
            state,
        ]);
    }
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    print(&out)
}

fn show_file(file: &Path) -> Result<(), CaError> {
    let bytes = read_config(file, MAX_FILE)?;
    let certificate =
        one_certificate(&bytes).map_err(|error| CaError::Content(format!("{}: {error}", file.display())))?;
    let state = state(certificate.certificate(), unix_ms() / 1000);
    print(&format!(
        "{}State      {state}\n",
        summary(certificate.certificate())
    ))
}

/// What its time says of it.
fn state(certificate: &Certificate, now: u64) -> String {
    let left = certificate.not_after.saturating_sub(now);
    if now < certificate.not_before {
        format!("valid from {} on", utc_seconds(certificate.not_before))
    } else if left == 0 {
        "expired".into()
    } else if left <= 30 * DAY {
        format!("valid, {} days left", left / DAY)
    } else {
        "valid".into()
    }
}

fn summary(certificate: &Certificate) -> String {
    let addresses: Vec<_> = certificate.addresses.iter().map(ToString::to_string).collect();
    format!(
        "Name       {}\nSerial     {}\nPublic key {}\nGroups     {}\nAddresses  {}\nFrom       {}\nUntil      {}\n",
        certificate.name,
        certificate.serial,
        certificate.public_key,
        certificate.groups.join(", "),
        if addresses.is_empty() {
            "none".into()
        } else {
            addresses.join(", ")
        },
        utc_seconds(certificate.not_before),
        utc_seconds(certificate.not_after),
    )
}

/// A file of a certificate: for people, and for knetd.
fn written(certificate: &SignedCertificate) -> String {
    let summary = summary(certificate.certificate());
    let mut text = String::new();
    for line in summary.lines() {
        text += "# ";
        text += line;
        text += "\n";
    }
    text + &armor::write(Label::Certificate, certificate.as_bytes())
}

fn print(text: &str) -> Result<(), CaError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| CaError::Io("standard output".into(), error))
}
