//! The small values that configuration lines are made of, each with its text form.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// One argument of a configuration line or a command, as parsed by its type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Value {
    /// An optional argument that was not given.
    Absent,
    /// A number within its range.
    Number(u32),
    /// One of a fixed set of words, or a name.
    Word(String),
    /// Free text up to the end of the line.
    Text(String),
    /// An IPv4 or IPv6 address.
    Address(IpAddr),
    /// An address with the length of its prefix.
    Prefix(IpPrefix),
    /// An Ethernet address.
    Mac(MacAddr),
    /// A public key.
    Key(PublicKey),
}

impl From<&IpPrefix> for Value {
    /// A host is its address alone.
    fn from(prefix: &IpPrefix) -> Self {
        if prefix.is_host() {
            Self::Address(prefix.address)
        } else {
            Self::Prefix(*prefix)
        }
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// Whether the group bit is set: broadcast or multicast.
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if index == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// Text that is not a value of the wanted kind. What would be right is known to whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(pub &'static str);

impl FromStr for MacAddr {
    type Err = ValueError;

    /// Reads `aa:bb:cc:dd:ee:ff`, `aa-bb-cc-dd-ee-ff` and Cisco's `aabb.ccdd.eeff`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad = ValueError("not an Ethernet address");
        let separator = if text.contains(':') {
            ':'
        } else if text.contains('-') {
            '-'
        } else {
            '.'
        };
        let digits_per_part = if separator == '.' { 4 } else { 2 };
        if text.split(separator).any(|part| part.len() != digits_per_part) {
            return Err(bad);
        }
        let digits: String = text.chars().filter(|c| *c != separator).collect();
        if digits.len() != 12 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad);
        }
        let bits = u64::from_str_radix(&digits, 16).map_err(|_| bad)?;
        let [_, _, mac @ ..] = bits.to_be_bytes();
        Ok(Self(mac))
    }
}

/// An address and the length of its network prefix, as in `10.200.0.1/24`. Host bits are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IpPrefix {
    /// The address.
    pub address: IpAddr,
    /// Leading bits that name the network: 0..=32 or 0..=128.
    pub length: u8,
}

impl IpPrefix {
    /// The network that has this address only.
    pub const fn host(address: IpAddr) -> Self {
        let length = if address.is_ipv4() { 32 } else { 128 };
        Self { address, length }
    }

    /// Whether it has one address only.
    pub const fn is_host(&self) -> bool {
        self.length == Self::host(self.address).length
    }

    /// The first address of its network: without the bits of a host.
    pub fn first(&self) -> IpAddr {
        let length = u32::from(self.length);
        match self.address {
            IpAddr::V4(v4) => {
                let bits = u32::MAX.checked_shl(32 - length).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() & bits).into()
            }
            IpAddr::V6(v6) => {
                let bits = u128::MAX.checked_shl(128 - length).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & bits).into()
            }
        }
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for IpPrefix {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (address, length) = text.split_once('/').ok_or(ValueError(
            "no /LENGTH after the address, as in 10.200.0.1/24 (netmask 255.255.255.0)",
        ))?;
        let address: IpAddr = address.parse().map_err(|_| ValueError("not an IP address"))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
        match length.parse() {
            Ok(length) if digits && length <= longest => Ok(Self { address, length }),
            _ => Err(ValueError("the prefix length is out of range")),
        }
    }
}

/// An X25519 public key (RFC 7748). Only canonical encodings of points that are not of low order exist as
/// this type where it was made from text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64_encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// The points of order 1, 2, 4 and 8 in canonical encoding: every private key gives the same secret with them
/// (RFC 7748, section 6.1).
const LOW_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ],
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    // p - 1
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
];

impl FromStr for PublicKey {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::from_bytes(base64_decode(text).ok_or(ValueError("not 32 bytes in base64"))?)
    }
}

impl PublicKey {
    /// The key of these bytes.
    ///
    /// # Errors
    /// Another encoding of a key, or a point of low order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, ValueError> {
        if !below_field_prime(&bytes) {
            return Err(ValueError("not the canonical encoding of a key"));
        }
        if LOW_ORDER.contains(&bytes) {
            return Err(ValueError("a point of low order is no key"));
        }
        Ok(Self(bytes))
    }
}

/// Whether the little-endian number is less than 2^255 - 19: each key has one text, so that a key can be
/// compared and refused by it.
fn below_field_prime(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    *high < 0x7f || (*high == 0x7f && (*low < 0xed || middle.iter().any(|b| *b != 0xff)))
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Whether `word` looks like a key or an invitation, whole or nearly: such a word is not repeated in messages, which end in logs.
pub fn may_be_key(word: &str) -> bool {
    let word = word.trim_matches('"');
    let invitation = word.len() > 30 && word.starts_with("knet");
    let hex = word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let digits = word.trim_end_matches('=');
    let base64 = (40..=48).contains(&digits.len()) && digits.bytes().all(|b| BASE64.contains(&b));
    hex || base64 || invitation
}

/// The six bits that a character stands for: [`BASE64`] the other way round. A file of keys has millions of them.
const fn sextet(character: u8) -> Option<u8> {
    Some(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// Bytes as base64 (RFC 4648, section 4): 32 of them as 44 characters.
pub fn base64_encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - group.len()));
        for position in 0..4 {
            text.push(if position <= group.len() {
                char::from(BASE64[(bits >> (18 - 6 * position) & 63) as usize])
            } else {
                '='
            });
        }
    }
    text
}

/// The 32 bytes that 44 characters of base64 stand for; `None` for every other text, also where padding
/// bits are not zero.
pub fn base64_decode(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    base64_decode_into(text.as_bytes(), &mut bytes)?;
    Some(bytes)
}

/// The same for a secret: written to `bytes`, and nowhere else. After `None` they are unspecified.
pub fn base64_decode_into(text: &[u8], bytes: &mut [u8; 32]) -> Option<()> {
    let digits = text.strip_suffix(b"=")?;
    if digits.len() != 43 {
        return None;
    }
    let mut places = bytes.iter_mut();
    decode_digits(digits.iter().copied(), |byte| {
        *places.next()? = byte;
        Some(())
    })
}

/// The bytes that a text of any length stands for, which has no white space in it; `None` for what no bytes are written as.
pub fn base64_decode_all(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    // Padding makes the length a multiple of four, and is never more than two characters.
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    decode_digits(digits.bytes(), |byte| {
        bytes.push(byte);
        Some(())
    })?;
    Some(bytes)
}

/// Gives each byte that the digits stand for to `take`; `None` where bits are left that are not zero.
fn decode_digits(digits: impl Iterator<Item = u8>, mut take: impl FnMut(u8) -> Option<()>) -> Option<()> {
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits {
        let value = u32::from(sextet(digit)?);
        bits = (bits << 6 | value) & 0xfff;
        count += 6;
        if count >= 8 {
            count -= 8;
            take((bits >> count) as u8)?;
        }
    }
    (bits & ((1 << count) - 1) == 0).then_some(())
}
