//! Revocation lists: an authority's word on which of its certificates do not count any more.

use std::fmt;

use super::{
    AuthorityId, FormatError, SIGNATURE_LEN, Serial,
    fields::{Reader, Writer},
};

/// Most certificates that a list names.
pub const MAX_REVOKED: usize = 65_536;

/// What is signed begins with this.
const DOMAIN: &[u8] = b"knet revocation list\0";
const VERSION: u8 = 1;

/// What a revocation list says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationList {
    /// Whose it is.
    pub authority: AuthorityId,
    /// When it was made, in seconds since 1970.
    pub issued: u64,
    /// The numbers of the certificates, ascending, 0..=65,536 of them.
    pub serials: Vec<Serial>,
}

impl RevocationList {
    /// Whether it names this certificate.
    pub fn revokes(&self, serial: Serial) -> bool {
        self.serials.binary_search(&serial).is_ok()
    }

    /// The bytes that are to be signed.
    ///
    /// # Errors
    /// There are too many numbers, or they are not in order.
    pub fn to_be_signed(&self) -> Result<Vec<u8>, FormatError> {
        let body = self.body();
        Self::read_body(&body)?;
        Ok([DOMAIN, &body].concat())
    }

    fn body(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(&[VERSION]);
        writer.bytes(&self.authority.0);
        writer.number(self.issued);
        writer.number(self.serials.len() as u64);
        for serial in &self.serials {
            writer.number(serial.0);
        }
        writer.into_bytes()
    }

    fn read_body(bytes: &[u8]) -> Result<(Self, &[u8]), FormatError> {
        let mut reader = Reader(bytes);
        let [version] = reader.array()?;
        if version != VERSION {
            return Err(FormatError::Version(version));
        }
        let authority = AuthorityId(reader.array()?);
        let issued = reader.number()?;
        let count = reader.number()?;
        let fits = usize::try_from(count).is_ok_and(|count| count <= MAX_REVOKED);
        if !fits {
            return Err(FormatError::Length);
        }
        let serials: Vec<Serial> = (0..count)
            .map(|_| reader.number().map(Serial))
            .collect::<Result<_, _>>()?;
        if serials.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(FormatError::Order);
        }
        let list = Self {
            authority,
            issued,
            serials,
        };
        Ok((list, reader.0))
    }
}

/// A revocation list with its signature, of which nobody has said yet that it is right.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedRevocationList {
    list: RevocationList,
    bytes: Vec<u8>,
}

impl SignedRevocationList {
    /// Puts the signature behind what was signed.
    pub fn new(list: RevocationList, signature: &[u8; SIGNATURE_LEN]) -> Self {
        let bytes = [&list.body(), &signature[..]].concat();
        Self { list, bytes }
    }

    /// Reads all of `bytes`. There is one way to write each list.
    ///
    /// # Errors
    /// They are no revocation list.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let (list, rest) = RevocationList::read_body(bytes)?;
        if rest.len() != SIGNATURE_LEN {
            return Err(FormatError::Length);
        }
        Ok(Self {
            list,
            bytes: bytes.to_vec(),
        })
    }

    /// What it says.
    pub fn list(&self) -> &RevocationList {
        &self.list
    }

    /// All of it.
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

impl fmt::Debug for SignedRevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.fmt(f)
    }
}
