//! The fields of certificates and invitations: integers are little-endian, names have a byte of length in front.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::FormatError;
use crate::value::IpPrefix;

/// Longest name, in bytes.
const MAX_NAME: usize = 64;

/// What has not been read yet.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(FormatError::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(FormatError::Length)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn number(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of at most `most`, or this error.
    pub(crate) fn count(&mut self, most: usize, error: FormatError) -> Result<usize, FormatError> {
        let [count] = self.array()?;
        let count = usize::from(count);
        (count <= most).then_some(count).ok_or(error)
    }

    pub(crate) fn name(&mut self) -> Result<String, FormatError> {
        self.name_of(MAX_NAME)
    }

    /// One of up to 255 bytes.
    pub(crate) fn long_name(&mut self) -> Result<String, FormatError> {
        self.name_of(usize::from(u8::MAX))
    }

    fn name_of(&mut self, most: usize) -> Result<String, FormatError> {
        let length = self.count(most, FormatError::Name)?;
        let name = std::str::from_utf8(self.take(length)?).map_err(|_| FormatError::Name)?;
        Ok(name.to_owned())
    }

    pub(crate) fn prefix(&mut self) -> Result<IpPrefix, FormatError> {
        let (address, longest) = match self.array()? {
            [4] => (Ipv4Addr::from(self.array::<4>()?).into(), 32),
            [6] => (Ipv6Addr::from(self.array::<16>()?).into(), 128),
            _ => return Err(FormatError::Address),
        };
        let [length] = self.array()?;
        if length > longest {
            return Err(FormatError::Address);
        }
        Ok(IpPrefix { address, length })
    }
}

/// What has been written.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    /// `None` where it is more than a byte holds.
    pub(crate) fn count(&mut self, count: usize) -> Option<()> {
        self.bytes(&[u8::try_from(count).ok()?]);
        Some(())
    }

    /// `None` where it is too long.
    pub(crate) fn name(&mut self, name: &str) -> Option<()> {
        self.count(name.len())?;
        self.bytes(name.as_bytes());
        Some(())
    }

    pub(crate) fn prefix(&mut self, prefix: &IpPrefix) {
        match prefix.address {
            IpAddr::V4(address) => {
                self.bytes(&[4]);
                self.bytes(&address.octets());
            }
            IpAddr::V6(address) => {
                self.bytes(&[6]);
                self.bytes(&address.octets());
            }
        }
        self.bytes(&[prefix.length]);
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}
