//! The forms of arguments: how each is read, and how messages write it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Form;
use crate::{
    invitation::{Invitation, InvitationError},
    switchport::VlanList,
    value::{IpPrefix, MacAddr, PublicKey, Value, base64_decode},
};

/// Longest path of a file, in bytes: in quotation marks, each character escaped, it still fits a line.
const LONGEST_PATH: usize = 400;

impl Form {
    /// Reads `text`; otherwise says what is wrong with it where that is more than "not of this form".
    pub fn parse(&self, text: &str) -> Result<Value, Option<String>> {
        match self {
            Self::Range { low, high, .. } => {
                if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(number_with_a_unit(text));
                }
                match text.parse::<u32>() {
                    Ok(n) if (*low..=*high).contains(&n) => Ok(Value::Number(n)),
                    _ => Err(Some(format!("{} is out of range", shorten(text)))),
                }
            }
            Self::Choice(_) => Err(None),
            Self::Seconds(most) => parse_seconds(text, *most),
            Self::Ipv4 => text
                .parse::<Ipv4Addr>()
                .map(|a| Value::Address(a.into()))
                .map_err(|_| with_a_port(text)),
            Self::Ipv6 => text
                .parse::<Ipv6Addr>()
                .map(|a| Value::Address(a.into()))
                .map_err(|_| with_a_port(text)),
            Self::Ipv4Prefix => parse_prefix(text, true),
            Self::Ipv6Prefix => parse_prefix(text, false),
            Self::Ipv4Network => parse_network(text, true),
            Self::Ipv6Network => parse_network(text, false),
            Self::HostMac => match text.parse::<MacAddr>() {
                Ok(mac) if mac.is_group() => Err(Some(format!("{mac} is a group address"))),
                Ok(MacAddr([0, 0, 0, 0, 0, 0])) => Err(Some("the address of no host".to_owned())),
                Ok(mac) => Ok(Value::Mac(mac)),
                Err(_) => Err(None),
            },
            Self::VlanList => match text.parse::<VlanList>() {
                Ok(list) => Ok(Value::Word(list.to_string())),
                // Words are looked for elsewhere.
                Err(_) if !text.bytes().any(|b| b.is_ascii_digit()) => Err(None),
                Err(e) => Err(Some(e.to_string())),
            },
            Self::Key => text
                .parse::<PublicKey>()
                .map(Value::Key)
                .map_err(|e| Some(e.to_string())),
            Self::PeerName => parse_name(text, 64, |c| c.is_ascii_alphanumeric() || "._-".contains(c)),
            Self::DeviceName if matches!(text, "." | "..") => Err(Some("not a name for a device".to_owned())),
            // The kernel allows more; the rest are characters that the shell and printf give a meaning.
            Self::DeviceName => parse_name(text, 15, |c| c.is_ascii_alphanumeric() || "._-+@".contains(c)),
            Self::HostName if text.starts_with(['.', '-']) || text.ends_with(['.', '-']) => Err(Some(
                "a host name begins and ends with a letter or digit".to_owned(),
            )),
            Self::HostName => parse_name(text, 63, |c| c.is_ascii_alphanumeric() || ".-".contains(c)),
            Self::DnsName => parse_dns_name(text),
            Self::Path if text.is_empty() => Err(None),
            Self::Path if base64_decode(text).is_some() => Err(Some(
                "a key, not the name of a file: write it into a file that only its owner can read".to_owned(),
            )),
            // From the control socket comes what no line can have in it.
            Self::Path if text.chars().any(char::is_control) => Err(Some("a control character".to_owned())),
            Self::Path if text.len() > LONGEST_PATH => {
                Err(Some(format!("a path of more than {LONGEST_PATH} bytes")))
            }
            Self::Path => Ok(Value::Word(text.to_owned())),
            Self::Invitation => match Invitation::parse(text) {
                Ok(_) => Ok(Value::Word(text.to_owned())),
                Err(InvitationError::Prefix) => Err(None),
                Err(error) => Err(Some(error.to_string())),
            },
            Self::Text(longest) => {
                if text.is_empty() || text.trim() != text {
                    Err(None)
                } else if text.chars().count() > *longest {
                    Err(Some(format!("longer than {longest} characters")))
                } else if text.chars().any(char::is_control) {
                    Err(Some("a control character".to_owned()))
                } else {
                    Ok(Value::Text(text.to_owned()))
                }
            }
        }
    }

    /// How the form is written in help.
    pub fn notation(&self) -> String {
        match self {
            Self::Range { low, high, .. } => format!("<{low}-{high}>"),
            Self::Choice(words) => words.iter().map(|(w, _)| *w).collect::<Vec<_>>().join("|"),
            Self::Seconds(most) => format!("<1-{most}>s"),
            Self::Ipv4 => "A.B.C.D".to_owned(),
            Self::Ipv6 => "X:X::X".to_owned(),
            Self::Ipv4Prefix => "A.B.C.D/M".to_owned(),
            Self::Ipv6Prefix => "X:X::X/M".to_owned(),
            Self::Ipv4Network => "A.B.C.D[/M]".to_owned(),
            Self::Ipv6Network => "X:X::X[/M]".to_owned(),
            Self::HostMac => "H:H:H:H:H:H".to_owned(),
            Self::VlanList => "LIST".to_owned(),
            Self::Key => "KEY".to_owned(),
            Self::PeerName | Self::DeviceName | Self::HostName => "NAME".to_owned(),
            Self::DnsName => "HOST".to_owned(),
            Self::Path => "PATH".to_owned(),
            Self::Text(_) => "LINE".to_owned(),
            Self::Invitation => "INVITATION".to_owned(),
        }
    }

    /// What the notation leaves open, for error messages.
    pub fn requirement(&self) -> Option<String> {
        match self {
            Self::Range { unit: "", .. } => None,
            Self::Range { unit, .. } => Some((*unit).to_owned()),
            Self::Seconds(_) => Some("seconds".to_owned()),
            Self::VlanList => Some("as 1,10-20, or all".to_owned()),
            Self::Key => Some("44 characters of base64".to_owned()),
            Self::PeerName => Some("1-64 of A-Z a-z 0-9 . _ -".to_owned()),
            Self::DeviceName => Some("1-15 of A-Z a-z 0-9 . _ - + @".to_owned()),
            Self::HostName => Some("1-63 of A-Z a-z 0-9 . -".to_owned()),
            Self::DnsName => Some("labels of A-Z a-z 0-9 - with dots between them".to_owned()),
            Self::Text(longest) => Some(format!("1-{longest} characters")),
            Self::Invitation => Some("as `invite` prints it at the hub".to_owned()),
            _ => None,
        }
    }

    /// Whether only few texts are of this form, so that it is preferred where a wide one fits too.
    pub fn is_narrow(&self) -> bool {
        !matches!(
            self,
            Self::PeerName | Self::DeviceName | Self::HostName | Self::DnsName | Self::Path | Self::Text(_)
        )
    }
}

/// `1000ms`: the commonest way to write a number that is none.
fn number_with_a_unit(text: &str) -> Option<String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit = &text[digits..];
    let unit = digits > 0 && unit.len() <= 12 && unit.bytes().all(|b| b.is_ascii_alphabetic() || b == b'%');
    unit.then(|| format!("{text} is not a plain number; the unit is not written"))
}

/// `192.0.2.1:7700` and `[2001:db8::1]:7700`: an address and a port in one word.
fn with_a_port(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().ok()?.to_string(),
        None if host.contains(':') => return None,
        None => host.to_owned(),
    };
    Some(format!(
        "the port is a word of its own: `{} port {port}`",
        shorten(&host)
    ))
}

fn parse_seconds(text: &str, most: u32) -> Result<Value, Option<String>> {
    let Some(digits) = text.strip_suffix('s').filter(|digits| !digits.is_empty()) else {
        return Err(None);
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(None);
    }
    match digits.parse::<u32>() {
        Ok(n) if (1..=most).contains(&n) => Ok(Value::Word(format!("{n}s"))),
        _ => Err(Some(format!("{} is out of range", shorten(text)))),
    }
}

fn parse_prefix(text: &str, v4: bool) -> Result<Value, Option<String>> {
    match text.parse::<IpPrefix>() {
        Ok(prefix) if prefix.address.is_ipv4() != v4 => Err(None),
        Ok(prefix) if prefix.address.is_unspecified() || prefix.address.is_multicast() => {
            Err(Some(format!("{} is no address of a host", prefix.address)))
        }
        Ok(prefix) => Ok(Value::Prefix(prefix)),
        Err(e) => Err(Some(e.to_string())),
    }
}

/// A network of one address is that address.
fn parse_network(text: &str, v4: bool) -> Result<Value, Option<String>> {
    let host = text.parse::<IpAddr>().map(IpPrefix::host);
    let network = match host.or_else(|_| text.parse::<IpPrefix>()) {
        Ok(network) if network.address.is_ipv4() != v4 => return Err(None),
        Ok(network) => network,
        Err(_) if !text.contains('/') => return Err(None),
        Err(e) => return Err(Some(e.to_string())),
    };
    let IpPrefix { address, .. } = network;
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_multicast() || address.is_loopback() || is_broadcast {
        return Err(Some(format!("{address} is no address of a host")));
    }
    let first = network.first();
    if first != address {
        return Err(Some(format!(
            "{text} is neither a host nor a network: {address} is the host, and {first}/{} the network",
            network.length
        )));
    }
    if network.is_host() && address.is_unspecified() {
        return Err(Some(format!("{address} is no address of a host")));
    }
    Ok(Value::from(&network))
}

fn parse_name(text: &str, longest: usize, allowed: impl Fn(char) -> bool) -> Result<Value, Option<String>> {
    match text.chars().find(|c| !allowed(*c)) {
        _ if text.is_empty() => Err(None),
        Some(c) => Err(Some(format!("a name with {c:?}"))),
        None if text.len() > longest => Err(Some(format!(
            "a name of {} characters, at most {longest} are allowed",
            text.len()
        ))),
        None => Ok(Value::Word(text.to_owned())),
    }
}

/// Longest name in bytes (RFC 1035, section 3.1, without the length bytes at its ends), and longest label.
const DNS_NAME: usize = 253;
const DNS_LABEL: usize = 63;

/// A trailing dot is allowed: such a name is not looked for in the local domain.
fn parse_dns_name(text: &str) -> Result<Value, Option<String>> {
    let no = |why: &str| Err(Some(why.to_owned()));
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() {
        return Err(None);
    }
    if let Some(c) = name
        .chars()
        .find(|c| !c.is_ascii_alphanumeric() && !".-".contains(*c))
    {
        let why = || format!("no address, and a host name has no {c:?}");
        return Err(Some(with_a_port(text).unwrap_or_else(why)));
    }
    if name.len() > DNS_NAME {
        return no("a host name of more than 253 characters");
    }
    for label in name.split('.') {
        if label.is_empty() {
            return no("a host name with nothing between two dots");
        }
        if label.len() > DNS_LABEL {
            return no("a label of more than 63 characters in a host name");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return no("a label that begins or ends with '-' in a host name");
        }
    }
    // Resolvers take such text for an address, in notations that nobody means (inet_aton).
    let last = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let hexadecimal = |digits: &str| digits.bytes().all(|b| b.is_ascii_hexdigit());
    if last.bytes().all(|b| b.is_ascii_digit()) || last.strip_prefix("0x").is_some_and(hexadecimal) {
        return no("no address, and a host name does not end in a number");
    }
    if "dynamic".starts_with(&text.to_ascii_lowercase()) {
        return Err(Some(format!(
            "short for `dynamic`; a host of this name is `{text}.`"
        )));
    }
    Ok(Value::Word(text.to_owned()))
}

fn shorten(text: &str) -> String {
    if text.len() <= 20 {
        text.to_owned()
    } else {
        format!("{}...", text.chars().take(20).collect::<String>())
    }
}
