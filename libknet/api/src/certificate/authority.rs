//! Files of the public keys of certification authorities: a line `NAME;KEY` for each, as in files of keys of peers.

use super::AuthorityId;
use crate::{
    grammar::{lexer::is_comment, types::Form},
    value::{base64_decode, base64_encode},
};

/// Most authorities of a file: the one that signs now, those before it, and those to come.
pub const MAX_AUTHORITIES: usize = 16;

/// A certification authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// What it is called here.
    pub name: String,
    /// Its public key (Ed25519, RFC 8032).
    pub public_key: [u8; 32],
}

impl Authority {
    /// By which certificates name it.
    pub fn id(&self) -> AuthorityId {
        AuthorityId(std::array::from_fn(|place| self.public_key[place]))
    }

    /// Its line.
    pub fn line(&self) -> String {
        format!("{};{}", self.name, base64_encode(&self.public_key))
    }
}

/// Reads a whole file.
///
/// # Errors
/// What is wrong with a line, and what would be right: then nothing of it counts.
pub fn parse(file: &[u8]) -> Result<Vec<Authority>, String> {
    const EXPECTED: &str = "expected: a line NAME;KEY as in the file ca.pub that `knetd ca init` makes";
    let mut authorities: Vec<Authority> = Vec::new();
    for (index, line) in file.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let text = std::str::from_utf8(line).map_err(|_| format!("line {number}: not UTF-8; {EXPECTED}"))?;
        if is_comment(text) {
            continue;
        }
        let authority = text.split_once(';').and_then(|(name, key)| {
            let name = name.trim();
            Form::PeerName.parse(name).ok()?;
            Some(Authority {
                name: name.to_owned(),
                public_key: base64_decode(key.trim())?,
            })
        });
        let authority = authority.ok_or_else(|| format!("line {number}: no authority; {EXPECTED}"))?;
        if let Some(other) = authorities
            .iter()
            .find(|other| other.name == authority.name || other.id() == authority.id())
        {
            return Err(format!(
                "line {number}: {} is there already, as {}; expected: each authority once",
                authority.name, other.name
            ));
        }
        if authorities.len() == MAX_AUTHORITIES {
            return Err(format!(
                "line {number}: one authority too many; expected: at most {MAX_AUTHORITIES}"
            ));
        }
        authorities.push(authority);
    }
    if authorities.is_empty() {
        return Err(format!("there is no authority in it; {EXPECTED}"));
    }
    Ok(authorities)
}
