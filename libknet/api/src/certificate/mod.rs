//! Certificates: a certification authority's word on who has a key, what his name is, and which groups he is in.
//!
//! What is here says how they are written: as bytes, which are signed, and in files ([`armor`], [`authority`]). Whether a
//! signature is right is for whoever has the primitives. docs/protocol.md has the formats.

pub mod armor;
pub mod authority;
pub(crate) mod fields;
pub mod revocation;

use std::fmt;

use self::fields::{Reader, Writer};
use crate::{
    grammar::types::Form,
    value::{IpPrefix, PublicKey},
};

/// Longest certificate, in bytes: what a first message can carry.
pub const MAX_LEN: usize = 512;
/// Most groups that one names.
pub const MAX_GROUPS: usize = 8;
/// Most addresses that one gives.
pub const MAX_ADDRESSES: usize = 8;
/// Length of a signature (Ed25519, RFC 8032), in bytes.
pub const SIGNATURE_LEN: usize = 64;
/// The last moment that can be written: the end of the year 9999, in seconds since 1970.
pub const MAX_TIME: u64 = 253_402_300_799;

/// What is signed begins with this, so that no signature is one of something else.
const DOMAIN: &[u8] = b"knet certificate\0";
const VERSION: u8 = 1;

/// Names an authority: the first 8 bytes of its public key. Only a hint, which key to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthorityId(pub [u8; 8]);

/// The number of a certificate, different for each of an authority: random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(pub u64);

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl std::str::FromStr for Serial {
    type Err = ();

    /// Sixteen hexadecimal digits, as it is printed.
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(Self).ok_or(())
    }
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Who says it.
    pub authority: AuthorityId,
    /// Its number.
    pub serial: Serial,
    /// Whose it is.
    pub public_key: PublicKey,
    /// It is valid from then on, in seconds since 1970.
    pub not_before: u64,
    /// It is valid before then, in seconds since 1970; after [`Self::not_before`].
    pub not_after: u64,
    /// What its owner is called: a name of a peer.
    pub name: String,
    /// The groups of peers that he is in, 1..=8, those first that are to be preferred. None is there twice.
    pub groups: Vec<String>,
    /// Addresses that he has in the overlay, 0..=8.
    pub addresses: Vec<IpPrefix>,
}

/// Why bytes are no certificate, or a certificate cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It ends too early, or too late.
    #[error("it does not end where it should")]
    Length,
    /// It is of a version that is not known here.
    #[error("it is of version {0}, and only version 1 is known here")]
    Version(u8),
    /// The key is none, or not written as keys are.
    #[error("its public key is none")]
    Key,
    /// It ends before it begins, or after the year 9999.
    #[error("its validity ends before it begins, or after the year 9999")]
    Validity,
    /// A name that no peer or group can have, or the same group twice.
    #[error("it has a name in it that no peer or group can have, or a group twice")]
    Name,
    /// No group, or too many.
    #[error("it has no group, or more than {MAX_GROUPS}")]
    Groups,
    /// Too many addresses, or one that is none.
    #[error("it has more than {MAX_ADDRESSES} addresses, or one that is none")]
    Address,
    /// More than fits.
    #[error("it would be longer than {MAX_LEN} bytes: fewer or shorter groups and addresses are needed")]
    TooLong,
    /// Serial numbers of a revocation list that are not in order.
    #[error("its numbers are not in ascending order")]
    Order,
}

impl Certificate {
    /// The bytes that are to be signed.
    ///
    /// # Errors
    /// What it says cannot be written, or the whole would be longer than 512 bytes.
    pub fn to_be_signed(&self) -> Result<Vec<u8>, FormatError> {
        let body = self.body()?;
        // What cannot be read is not signed.
        let (read, rest) = Self::read_body(&body)?;
        if read != *self || !rest.is_empty() {
            return Err(FormatError::Name);
        }
        Ok([DOMAIN, &body].concat())
    }

    fn body(&self) -> Result<Vec<u8>, FormatError> {
        let mut writer = Writer::default();
        writer.bytes(&[VERSION]);
        writer.bytes(&self.authority.0);
        writer.number(self.serial.0);
        writer.bytes(&self.public_key.0);
        writer.number(self.not_before);
        writer.number(self.not_after);
        writer.name(&self.name).ok_or(FormatError::Name)?;
        writer.count(self.groups.len()).ok_or(FormatError::Groups)?;
        for group in &self.groups {
            writer.name(group).ok_or(FormatError::Name)?;
        }
        writer.count(self.addresses.len()).ok_or(FormatError::Address)?;
        for prefix in &self.addresses {
            writer.prefix(prefix);
        }
        let body = writer.into_bytes();
        if body.len() + SIGNATURE_LEN > MAX_LEN {
            return Err(FormatError::TooLong);
        }
        Ok(body)
    }

    fn read_body(bytes: &[u8]) -> Result<(Self, &[u8]), FormatError> {
        let mut reader = Reader(bytes);
        let [version] = reader.array()?;
        if version != VERSION {
            return Err(FormatError::Version(version));
        }
        let certificate = Self {
            authority: AuthorityId(reader.array()?),
            serial: Serial(reader.number()?),
            public_key: PublicKey::from_bytes(reader.array()?).map_err(|_| FormatError::Key)?,
            not_before: reader.number()?,
            not_after: reader.number()?,
            name: reader.name()?,
            groups: (0..reader.count(MAX_GROUPS, FormatError::Groups)?)
                .map(|_| reader.name())
                .collect::<Result<_, _>>()?,
            addresses: (0..reader.count(MAX_ADDRESSES, FormatError::Address)?)
                .map(|_| reader.prefix())
                .collect::<Result<_, _>>()?,
        };
        if certificate.not_before >= certificate.not_after || certificate.not_after > MAX_TIME {
            return Err(FormatError::Validity);
        }
        if certificate.groups.is_empty() {
            return Err(FormatError::Groups);
        }
        let names = certificate.groups.iter().chain([&certificate.name]);
        let unfit = |name: &String| Form::PeerName.parse(name).is_err();
        let mut groups: Vec<&String> = certificate.groups.iter().collect();
        groups.sort();
        if names.into_iter().any(unfit) || groups.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(FormatError::Name);
        }
        Ok((certificate, reader.0))
    }
}

/// A certificate with its signature, of which nobody has said yet that it is right.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedCertificate {
    certificate: Certificate,
    bytes: Vec<u8>,
}

impl SignedCertificate {
    /// Puts the signature behind what was signed.
    ///
    /// # Errors
    /// As [`Certificate::to_be_signed`].
    pub fn new(certificate: Certificate, signature: &[u8; SIGNATURE_LEN]) -> Result<Self, FormatError> {
        let bytes = [&certificate.body()?, &signature[..]].concat();
        Ok(Self { certificate, bytes })
    }

    /// Reads all of `bytes`. There is one way to write each certificate.
    ///
    /// # Errors
    /// They are no certificate.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        if bytes.len() > MAX_LEN {
            return Err(FormatError::Length);
        }
        let (certificate, rest) = Certificate::read_body(bytes)?;
        if rest.len() != SIGNATURE_LEN {
            return Err(FormatError::Length);
        }
        Ok(Self {
            certificate,
            bytes: bytes.to_vec(),
        })
    }

    /// What it says.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// All of it: what is presented.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was signed, and the signature.
    pub fn signed(&self) -> (Vec<u8>, &[u8]) {
        let (body, signature) = self
            .bytes
            .split_at(self.bytes.len().saturating_sub(SIGNATURE_LEN));
        ([DOMAIN, body].concat(), signature)
    }
}

impl fmt::Debug for SignedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.certificate.fmt(f)
    }
}
