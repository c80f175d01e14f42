//! Who signs the certificates with which peers come to a hub that does not know them.

use std::time::{SystemTime, UNIX_EPOCH};

use knet_proto::{
    config::{Credential, PublicKey},
    crypto::{Secret, signature},
    rng::Entropy,
};
use knet_tests::lab::{LabError, Result};
use libknet::{
    OsEntropy,
    api::{
        certificate::{Certificate, Serial, SignedCertificate, authority},
        model,
    },
};

use crate::hub;

/// The only group.
pub(crate) const GROUP: &str = "swarm";
/// For so long a certificate is valid, from an hour ago, in seconds.
const DAY: u64 = 24 * 3_600;

/// A certification authority.
pub(crate) struct Authority {
    seed: Secret,
    public: authority::Authority,
    now: u64,
}

impl Authority {
    /// One that nobody has heard of.
    pub(crate) fn new() -> Result<Self> {
        let seed = Secret::filled(|bytes| OsEntropy.fill(bytes));
        let public_key = signature::public_key(&seed).ok_or_else(|| LabError::new("no Ed25519 key"))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Ok(Self {
            seed,
            public: authority::Authority {
                name: "lab".to_owned(),
                public_key,
            },
            now: now.map_err(|error| LabError::new(error.to_string()))?.as_secs(),
        })
    }

    /// What a hub that believes it is given.
    pub(crate) fn line(&self) -> String {
        self.public.line()
    }

    /// The certificate of peer `number`.
    pub(crate) fn sign(&self, number: u16, public_key: PublicKey) -> Result<Credential> {
        let certificate = Certificate {
            authority: self.public.id(),
            serial: Serial(u64::from(number) + 1),
            public_key: model::PublicKey(*public_key.as_bytes()),
            not_before: self.now - 3_600,
            not_after: self.now + DAY,
            name: hub::name(number),
            groups: vec![GROUP.to_owned()],
            addresses: Vec::new(),
        };
        let unusable = |what: &dyn std::fmt::Display| LabError::new(format!("no certificate: {what}"));
        let body = certificate.to_be_signed().map_err(|e| unusable(&e))?;
        let signature = signature::sign(&self.seed, &body).ok_or_else(|| unusable(&"no signature"))?;
        let signed = SignedCertificate::new(certificate, &signature).map_err(|e| unusable(&e))?;
        Credential::new(signed.as_bytes()).ok_or_else(|| unusable(&"too long"))
    }
}
