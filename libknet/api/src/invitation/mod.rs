//! Invitations: one short text with all that a host needs to become a peer of a hub, a secret that admits one key included.
//!
//! What is here says how they are written: as text for people to hand on, as a credential, and at the hub in a file
//! ([`register`]). docs/protocol.md has the formats.

mod checksum;
pub mod register;

use std::{fmt, net::IpAddr};

use self::checksum::crc32;
use crate::{
    certificate::{
        FormatError, MAX_TIME,
        fields::{Reader, Writer},
    },
    grammar::types::Form,
    model::Remote,
    value::{IpPrefix, PublicKey, base64_decode_all, base64_encode},
};

/// What every invitation begins with; the digit is the version.
pub const PREFIX: &str = "knet1";
/// Length of the secret, in bytes.
pub const SECRET_LEN: usize = 16;
/// Most endpoints of a hub.
pub const MAX_ENDPOINTS: usize = 8;
/// Most addresses that one gives.
pub const MAX_ADDRESSES: usize = 8;
/// Longest text, in characters: with eight host names of the greatest length, and room for white space in between.
pub const MAX_TEXT: usize = 4096;

/// The first byte of a credential that is an invitation's, where a certificate has 1.
pub const CREDENTIAL_VERSION: u8 = 2;
/// Length of what is presented, in bytes.
pub const CREDENTIAL_LEN: usize = 33;

/// What an invitation says.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// What the hub is to be called: a name of a peer.
    pub hub: String,
    /// The hub's public key.
    pub public_key: PublicKey,
    /// What admits one key. It is worth as much as a key until then.
    pub secret: [u8; SECRET_LEN],
    /// It is good before then, in seconds since 1970.
    pub expires: u64,
    /// Where the hub is reached, 1..=8: none of them is [`Remote::Dynamic`].
    pub endpoints: Vec<Remote>,
    /// Addresses that whoever uses it has in the overlay, 0..=8.
    pub addresses: Vec<IpPrefix>,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation")
            .field("hub", &self.hub)
            .field("public_key", &self.public_key)
            .field("expires", &self.expires)
            .field("endpoints", &self.endpoints)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// Why a text is no invitation, or an invitation cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// It begins with something else.
    #[error("no invitation: an invitation begins with {PREFIX}")]
    Prefix,
    /// It is of a version that is not known here.
    #[error("an invitation of version {0}, and only version 1 is known here")]
    Version(char),
    /// A character that is in no invitation.
    #[error("an invitation has no {0:?} in it")]
    Character(char),
    /// The checksum is wrong.
    #[error(
        "the invitation is not as it was made: a part is missing or has changed on the way; copy all of it once more"
    )]
    Damaged,
    /// The checksum is right, and what is in it makes no sense.
    #[error("what is in the invitation makes no sense: {0}")]
    Contents(&'static str),
}

impl From<FormatError> for InvitationError {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::Key => Self::Contents("the hub's public key is none"),
            FormatError::Name => Self::Contents("a name that no peer or host can have"),
            FormatError::Address => Self::Contents("an address that is none"),
            _ => Self::Contents("it does not end where it should"),
        }
    }
}

impl Invitation {
    /// Reads an invitation as it was pasted: white space in it and around it does not count.
    ///
    /// # Errors
    /// What is wrong with it. One that was cut off, or of which a character is another one, is [`InvitationError::Damaged`].
    pub fn parse(text: &str) -> Result<Self, InvitationError> {
        let mut characters = text.chars().filter(|c| !c.is_whitespace());
        let mut prefix = String::new();
        prefix.extend(characters.by_ref().take(PREFIX.len()));
        match prefix
            .strip_prefix("knet")
            .and_then(|version| version.chars().next())
        {
            Some('1') => {}
            Some(version @ '0'..='9') => return Err(InvitationError::Version(version)),
            _ => return Err(InvitationError::Prefix),
        }
        let mut base64 = String::new();
        for character in characters.take(MAX_TEXT) {
            base64.push(match character {
                '-' => '+',
                '_' => '/',
                c if c.is_ascii_alphanumeric() => c,
                c => return Err(InvitationError::Character(c)),
            });
        }
        while !base64.len().is_multiple_of(4) {
            base64.push('=');
        }
        let bytes = base64_decode_all(&base64).ok_or(InvitationError::Damaged)?;
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or(InvitationError::Damaged)?;
        if crc32(&[PREFIX.as_bytes(), body]) != u32::from_le_bytes(*sum) {
            return Err(InvitationError::Damaged);
        }
        Self::read_body(body)
    }

    /// The text that is handed on: [`PREFIX`] and base64 for URLs (RFC 4648, section 5), without padding.
    ///
    /// # Errors
    /// What it says cannot be written.
    pub fn to_text(&self) -> Result<String, InvitationError> {
        let body = self.body()?;
        // What cannot be read is not written.
        if Self::read_body(&body)? != *self {
            return Err(InvitationError::Contents("it would be read as another one"));
        }
        let sum = crc32(&[PREFIX.as_bytes(), &body]).to_le_bytes();
        let base64 = base64_encode(&[&body[..], &sum].concat());
        let characters = base64.trim_end_matches('=').chars().map(|c| match c {
            '+' => '-',
            '/' => '_',
            c => c,
        });
        Ok(PREFIX.chars().chain(characters).collect())
    }

    fn body(&self) -> Result<Vec<u8>, InvitationError> {
        let mut writer = Writer::default();
        writer.bytes(&self.public_key.0);
        writer.bytes(&self.secret);
        writer.number(self.expires);
        writer.name(&self.hub).ok_or(FormatError::Name)?;
        writer.count(self.endpoints.len()).ok_or(FormatError::Address)?;
        for remote in &self.endpoints {
            let port = match remote {
                Remote::Static {
                    address: IpAddr::V4(address),
                    port,
                } => {
                    writer.bytes(&[4]);
                    writer.bytes(&address.octets());
                    port
                }
                Remote::Static {
                    address: IpAddr::V6(address),
                    port,
                } => {
                    writer.bytes(&[6]);
                    writer.bytes(&address.octets());
                    port
                }
                Remote::Named { name, port } => {
                    writer.bytes(&[0]);
                    writer.name(name).ok_or(FormatError::Name)?;
                    port
                }
                Remote::Dynamic => return Err(FormatError::Address.into()),
            };
            writer.bytes(&port.to_le_bytes());
        }
        writer.count(self.addresses.len()).ok_or(FormatError::Address)?;
        for prefix in &self.addresses {
            writer.prefix(prefix);
        }
        Ok(writer.into_bytes())
    }

    fn read_body(bytes: &[u8]) -> Result<Self, InvitationError> {
        let mut reader = Reader(bytes);
        let invitation = Self {
            public_key: PublicKey::from_bytes(reader.array()?).map_err(|_| FormatError::Key)?,
            secret: reader.array()?,
            expires: reader.number()?,
            hub: reader.name()?,
            endpoints: (0..reader.count(MAX_ENDPOINTS, FormatError::Address)?)
                .map(|_| read_endpoint(&mut reader))
                .collect::<Result<_, _>>()?,
            addresses: (0..reader.count(MAX_ADDRESSES, FormatError::Address)?)
                .map(|_| reader.prefix())
                .collect::<Result<_, _>>()?,
        };
        if !reader.0.is_empty() {
            return Err(FormatError::Length.into());
        }
        if Form::PeerName.parse(&invitation.hub).is_err() {
            return Err(FormatError::Name.into());
        }
        if invitation.endpoints.is_empty() {
            return Err(InvitationError::Contents("there is no address of the hub in it"));
        }
        let unfit = |prefix: &IpPrefix| prefix.address.is_unspecified() || prefix.address.is_multicast();
        if invitation.addresses.iter().any(unfit) {
            return Err(FormatError::Address.into());
        }
        if invitation.expires > MAX_TIME {
            return Err(InvitationError::Contents("it ends after the year 9999"));
        }
        Ok(invitation)
    }
}

fn read_endpoint(reader: &mut Reader<'_>) -> Result<Remote, FormatError> {
    let address: Option<IpAddr> = match reader.array()? {
        [4] => Some(reader.array::<4>()?.into()),
        [6] => Some(reader.array::<16>()?.into()),
        [0] => None,
        _ => return Err(FormatError::Address),
    };
    let name = match address {
        Some(_) => None,
        None => Some(reader.long_name()?),
    };
    let port = u16::from_le_bytes(reader.array()?);
    if port == 0 {
        return Err(FormatError::Address);
    }
    match (address, name) {
        (Some(address), _) if address.is_unspecified() || address.is_multicast() => Err(FormatError::Address),
        (Some(address), _) => Ok(Remote::Static { address, port }),
        (None, Some(name)) if Form::DnsName.parse(&name).is_ok() => Ok(Remote::Named { name, port }),
        (None, _) => Err(FormatError::Name),
    }
}

/// What is presented to a hub by whoever was invited. `key`: what was made of the secret.
pub fn credential(key: &[u8; 32]) -> [u8; CREDENTIAL_LEN] {
    let mut bytes = [CREDENTIAL_VERSION; CREDENTIAL_LEN];
    bytes[1..].copy_from_slice(key);
    bytes
}

/// The key in a credential that is an invitation's; `None`: it is something else.
pub fn presented(credential: &[u8]) -> Option<&[u8; 32]> {
    let (version, key) = credential.split_first()?;
    key.try_into().ok().filter(|_| *version == CREDENTIAL_VERSION)
}
