//! The fields of what is signed: integers are little-endian, names have a byte of length in front.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::FormatError;
use crate::value::IpPrefix;

/// Longest name, in bytes.
const MAX_NAME: usize = 64;

/// What has not been read yet.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(FormatError::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(FormatError::Length)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn number(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of at most `most`, or this error.
    pub(super) fn count(&mut self, most: usize, error: FormatError) -> Result<usize, FormatError> {
        let [count] = self.array()?;
        let count = usize::from(count);
        (count <= most).then_some(count).ok_or(error)
    }

    pub(super) fn name(&mut self) -> Result<String, FormatError> {
        let length = self.count(MAX_NAME, FormatError::Name)?;
        let name = std::str::from_utf8(self.take(length)?).map_err(|_| FormatError::Name)?;
        Ok(name.to_owned())
    }

    pub(super) fn prefix(&mut self) -> Result<IpPrefix, FormatError> {
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
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    /// `None` where it is more than a byte holds.
    pub(super) fn count(&mut self, count: usize) -> Option<()> {
        self.bytes(&[u8::try_from(count).ok()?]);
        Some(())
    }

    /// `None` where it is too long.
    pub(super) fn name(&mut self, name: &str) -> Option<()> {
        self.count(name.len())?;
        self.bytes(name.as_bytes());
        Some(())
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}
