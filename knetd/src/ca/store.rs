//! The files of an authority: `ca.key`, `ca.pub`, `ca.crl`, and a file in `certificates` for each that was signed.

use std::{
    fs::{self, DirBuilder, File},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use libknet::{
    OsEntropy,
    api::{
        certificate::{
            SIGNATURE_LEN, Serial, SignedCertificate,
            armor::{self, Label},
            authority::{self, Authority},
            revocation::{MAX_REVOKED, RevocationList, SignedRevocationList},
        },
        grammar::types::Form,
        value::base64_encode,
    },
    proto::{
        crypto::{Secret, signature},
        rng::Entropy,
    },
};
use zeroize::Zeroizing;

use super::{CaError, MAX_FILE};
use crate::{
    config::{certificate_files::one_certificate, keys::KeyKind, store},
    logging::unix_ms,
    trust::{read_config, read_key},
};

/// An authority that nobody else is at work with.
pub(super) struct Store {
    directory: PathBuf,
    /// Who it is.
    pub(super) authority: Authority,
    seed: Secret,
    /// Held until this goes.
    _lock: File,
}

impl Store {
    /// Makes a new one. The directory is made where it is not there.
    pub(super) fn create(name: &str, directory: &Path) -> Result<Self, CaError> {
        if Form::PeerName.parse(name).is_err() {
            return Err(CaError::Name(name.into()));
        }
        let at = |path: &Path| path.display().to_string();
        let io = |error| CaError::Io(at(directory), error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(io)?;
        if ["ca.key", "ca.pub", "ca.crl"]
            .iter()
            .any(|file| directory.join(file).exists())
        {
            return Err(CaError::Exists(at(directory)));
        }
        let seed = Secret::filled(|bytes| OsEntropy.fill(bytes));
        let public_key = signature::public_key(&seed).ok_or_else(no_signature)?;
        let text = Zeroizing::new(base64_encode(&seed[..]) + "\n");
        // First the secret, and never in the place of another: what is there without it is of no use to anybody.
        store::create(&directory.join("ca.key"), &text)?;
        let authority = Authority {
            name: name.to_owned(),
            public_key,
        };
        store::create(&directory.join("ca.pub"), &(authority.line() + "\n"))?;
        let store = Self::open_as(directory)?;
        store.revoke(&[], &[])?;
        Ok(store)
    }

    /// The one of this directory.
    pub(super) fn open(directory: &Path) -> Result<Self, CaError> {
        if !directory.join("ca.key").exists() {
            return Err(CaError::Missing(directory.display().to_string()));
        }
        Self::open_as(directory)
    }

    fn open_as(directory: &Path) -> Result<Self, CaError> {
        let key = directory.join("ca.key");
        let at = key.display().to_string();
        let lock = File::open(&key).map_err(|error| CaError::Io(at.clone(), error))?;
        if lock.try_lock().is_err() {
            return Err(CaError::Busy(directory.display().to_string()));
        }
        let seed = read_key(&key, KeyKind::Authority)?;
        let public = directory.join("ca.pub");
        let authorities = authority::parse(&read_config(&public, MAX_FILE)?);
        let content = |text| CaError::Content(format!("{}: {text}", public.display()));
        let authorities = authorities.map_err(content)?;
        let own = signature::public_key(&seed).ok_or_else(no_signature)?;
        let authority = authorities
            .into_iter()
            .find(|authority| authority.public_key == own);
        let missing = || content("the public key of ca.key is not in it; is it of another authority?".into());
        Ok(Self {
            directory: directory.to_owned(),
            authority: authority.ok_or_else(missing)?,
            seed,
            _lock: lock,
        })
    }

    /// The path of one of its files, for people.
    pub(super) fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// Signs.
    pub(super) fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_LEN], CaError> {
        signature::sign(&self.seed, message).ok_or_else(no_signature)
    }

    /// Keeps the file of a certificate, so that it can be found again.
    pub(super) fn keep(&self, signed: &SignedCertificate, text: &str) -> Result<(), CaError> {
        let directory = self.directory.join("certificates");
        let io = |error| CaError::Io(directory.display().to_string(), error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(io)?;
        let certificate = signed.certificate();
        let name = format!("{}.{}.crt", certificate.name, certificate.serial);
        Ok(store::create(&directory.join(name), text)?)
    }

    /// All that it has signed.
    pub(super) fn issued(&self) -> Result<Vec<SignedCertificate>, CaError> {
        let directory = self.directory.join("certificates");
        let mut issued = Vec::new();
        if !directory.exists() {
            return Ok(issued);
        }
        let io = |error| CaError::Io(directory.display().to_string(), error);
        for entry in fs::read_dir(&directory).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.extension().is_none_or(|extension| extension != "crt") {
                continue;
            }
            let certificate = one_certificate(&read_config(&path, MAX_FILE)?)
                .map_err(|error| CaError::Content(format!("{}: {error}", path.display())))?;
            issued.push(certificate);
        }
        Ok(issued)
    }

    /// What it has revoked.
    pub(super) fn revoked(&self) -> Result<RevocationList, CaError> {
        let path = self.directory.join("ca.crl");
        if !path.exists() {
            return Ok(RevocationList {
                authority: self.authority.id(),
                issued: 0,
                serials: Vec::new(),
            });
        }
        let content = |text: String| CaError::Content(format!("{}: {text}", path.display()));
        let bytes = read_config(&path, (MAX_REVOKED * 12) as u64)?;
        let blocks =
            armor::read(Label::RevocationList, &bytes).map_err(|error| content(error.to_string()))?;
        let own = blocks.iter().find_map(|block| {
            let signed = SignedRevocationList::parse(&block.bytes).ok()?;
            let (message, of) = signed.signed();
            signature::verify(&self.authority.public_key, &message, of).then(|| signed.list().clone())
        });
        own.ok_or_else(|| content("no revocation list of this authority in it".into()))
    }

    /// Puts these on the revocation list, and takes those off that are over anyway. Gives how many it has then.
    pub(super) fn revoke(&self, serials: &[Serial], over: &[Serial]) -> Result<usize, CaError> {
        let mut list = self.revoked()?;
        list.serials.extend(serials);
        list.serials.retain(|serial| !over.contains(serial));
        list.serials.sort_unstable();
        list.serials.dedup();
        list.issued = list.issued.max(unix_ms() / 1000);
        let signature = self.sign(&list.to_be_signed()?)?;
        let count = list.serials.len();
        let signed = SignedRevocationList::new(list, &signature);
        let text = armor::write(Label::RevocationList, signed.as_bytes());
        store::replace(&self.directory.join("ca.crl"), &text)?;
        Ok(count)
    }
}

fn no_signature() -> CaError {
    CaError::Content("the key of the authority cannot be used".into())
}
