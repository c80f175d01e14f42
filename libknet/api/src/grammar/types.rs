//! The types of arguments: how each is read, shown in help, completed, and ranked against the others.

mod forms;
mod multicast;
mod table;

use crate::value::Value;
pub use table::TYPES;

/// A named kind of argument, as `<name>` in a syntax line.
#[derive(Debug)]
pub struct ArgumentType {
    /// Its name in syntax lines.
    pub name: &'static str,
    /// The forms that it can take.
    pub forms: &'static [Form],
    /// What it means.
    pub help: &'static str,
    /// Of what the values can be completed.
    pub live: Option<Live>,
}

/// One form of an argument.
#[derive(Debug)]
pub enum Form {
    /// A decimal number.
    Range {
        /// The smallest.
        low: u32,
        /// The largest.
        high: u32,
        /// Its unit, in the plural, or nothing.
        unit: &'static str,
    },
    /// One of these words, each with its help. They can be abbreviated like keywords.
    Choice(&'static [(&'static str, &'static str)]),
    /// A decimal number with an `s` behind it, at most so many.
    Seconds(u32),
    /// `A.B.C.D`
    Ipv4,
    /// `X:X::X`
    Ipv6,
    /// `A.B.C.D/M`
    Ipv4Prefix,
    /// An IPv4 address of a host, or a network of such: address and prefix length, without bits of a host.
    Ipv4Network,
    /// The same of IPv6.
    Ipv6Network,
    /// `X:X::X/M`
    Ipv6Prefix,
    /// `H:H:H:H:H:H` of a single host.
    HostMac,
    /// VLANs: numbers and ranges with commas between them, or `all`.
    VlanList,
    /// A public key in base64.
    Key,
    /// A peer's name.
    PeerName,
    /// The name of a TAP or of another network device.
    DeviceName,
    /// A host name.
    HostName,
    /// The DNS name of another host (RFC 1123, section 2.1).
    DnsName,
    /// The path of a file.
    Path,
    /// The rest of the line, at most so many characters.
    Text(usize),
    /// An invitation, as a hub makes it.
    Invitation,
}

/// What live names complete an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// Interfaces.
    Interfaces,
    /// Peers of the interface at hand, or of all.
    Peers,
    /// Links of the peer at hand.
    Links,
    /// Locals of the interface at hand.
    Locals,
    /// Meshes of the interface at hand.
    Meshes,
    /// Members of the mesh at hand.
    Members,
    /// Hosts.
    Hosts,
    /// Groups of the interface at hand, or of all.
    Groups,
}

/// The type of this name.
pub fn lookup(name: &str) -> Option<&'static ArgumentType> {
    TYPES.iter().find(|t| t.name == name)
}

impl ArgumentType {
    /// Reads `text` as any of the forms but the choices, which are keywords to the matcher.
    pub fn parse(&self, text: &str) -> Option<Value> {
        self.forms.iter().find_map(|form| form.parse(text).ok())
    }

    /// Whether `value` is one that this type produces: what arrives from outside need not be.
    pub fn admits(&self, value: &Value) -> bool {
        match value {
            Value::Absent => false,
            Value::Word(word) => self.forms.iter().any(|form| match form {
                Form::Choice(words) => words.iter().any(|(choice, _)| choice == word),
                form => form.parse(word).as_ref() == Ok(value),
            }),
            value => self
                .forms
                .iter()
                .any(|form| form.parse(&text_of(value)).as_ref() == Ok(value)),
        }
    }
}

/// A value as it stands in a line, before quoting.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::Absent => String::new(),
        Value::Number(n) => n.to_string(),
        Value::Word(text) | Value::Text(text) => text.clone(),
        Value::Address(address) => address.to_string(),
        Value::Prefix(prefix) => prefix.to_string(),
        Value::Mac(mac) => mac.to_string(),
        Value::Key(key) => key.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, text: &str) -> Option<Value> {
        lookup(name).expect("a type").parse(text)
    }

    #[test]
    fn numbers_end_where_their_range_ends() {
        assert_eq!(parse("mtu", "576"), Some(Value::Number(576)));
        assert_eq!(parse("mtu", "9216"), Some(Value::Number(9216)));
        for wrong in ["575", "9217", "", "1400x", "+1400", "-1", "99999999999999999999"] {
            assert_eq!(parse("mtu", wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_time_to_confirm_is_minutes_or_seconds() {
        assert_eq!(parse("confirm-time", "5"), Some(Value::Number(5)));
        assert_eq!(parse("confirm-time", "0300s"), Some(Value::Word("300s".into())));
        for wrong in ["0", "1441", "0s", "86401s", "s", "-1s", "5m", "5 s", ""] {
            assert_eq!(parse("confirm-time", wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_are_bounded() {
        assert!(parse("peer", &"a".repeat(64)).is_some());
        assert!(parse("peer", &"a".repeat(65)).is_none());
        assert!(parse("interface", &"a".repeat(15)).is_some());
        for wrong in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "knet%d",
            "0123456789abcdef",
            "kn\u{e9}t",
        ] {
            assert_eq!(parse("interface", wrong), None, "{wrong}");
        }
        for wrong in ["-a", "a.", "a_b", ""] {
            assert_eq!(parse("hostname", wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_remote_is_an_address_or_a_name_by_rfc_1123() {
        for name in [
            "vpn.example.net",
            "VPN.Example.net.",
            "hub",
            "3com.com",
            "xn--bcher-kva.example",
            "a-b.c",
            "dynamic.",
            "dynamics",
        ] {
            assert_eq!(
                parse("remote-address", name),
                Some(Value::Word(name.into())),
                "{name}"
            );
        }
        let long = "a.".repeat(126) + "ab";
        assert_eq!(long.len(), 254);
        assert!(parse("remote-address", &long[1..]).is_none(), "begins with a dot");
        assert!(parse("remote-address", &long[2..]).is_some());
        assert!(parse("remote-address", &format!("{}.net", "a".repeat(63))).is_some());
        for wrong in [
            "",
            ".",
            "a..b",
            ".a",
            "-a.net",
            "a-.net",
            "a_b.net",
            "a b",
            "b\u{fc}cher.example",
            "192.0.2.256",
            "192.0.2",
            "0x7f000001",
            "7",
            "fe80::1%eth0",
            "dyn",
            "Dynamic",
            &long,
            &format!("{}.net", "a".repeat(64)),
        ] {
            assert_eq!(parse("remote-address", wrong), None, "{wrong}");
        }
        assert!(matches!(
            parse("remote-address", "192.0.2.1"),
            Some(Value::Address(_))
        ));
        assert!(matches!(
            parse("remote-address", "2001:db8::1"),
            Some(Value::Address(_))
        ));
        let form = Form::DnsName.parse("192.0.2.256");
        assert_eq!(
            form,
            Err(Some(
                "no address, and a host name does not end in a number".into()
            ))
        );
    }

    #[test]
    fn addresses_of_no_host_are_refused() {
        assert_eq!(parse("mac", "01:00:5e:00:00:01"), None);
        assert_eq!(parse("mac", "00:00:00:00:00:00"), None);
        assert_eq!(parse("mac", "0200.0000.0001"), parse("mac", "02-00-00-00-00-01"));
        assert!(parse("mac", "02:00:00:00:00:01").is_some());
        assert_eq!(parse("ipv4-prefix", "224.0.0.1/24"), None);
        assert_eq!(parse("ipv4-prefix", "10.0.0.1/33"), None);
        assert_eq!(parse("ipv4-prefix", "10.0.0.1"), None);
        assert_eq!(parse("ipv4-prefix", "fd00::1/64"), None);
        assert!(parse("ipv6-prefix", "fd00:200::1/64").is_some());
    }

    #[test]
    fn values_from_outside_are_checked() {
        let path = lookup("path").expect("path");
        assert!(path.admits(&Value::Word("a b\"c".into())));
        for wrong in ["", "a\nmtu 9000", &"x".repeat(401)] {
            assert!(!path.admits(&Value::Word(wrong.into())), "{wrong:?}");
        }
        let mtu = lookup("mtu").expect("mtu");
        assert!(mtu.admits(&Value::Number(1400)));
        assert!(!mtu.admits(&Value::Number(1)));
        assert!(!mtu.admits(&Value::Text("1400".into())));
        assert!(!mtu.admits(&Value::Absent));
        let policy = lookup("policy").expect("policy");
        assert!(policy.admits(&Value::Word("active".into())));
        assert!(!policy.admits(&Value::Word("act".into())));
        let text = lookup("description").expect("description");
        assert!(!text.admits(&Value::Text("two\nlines".into())));
        assert!(!text.admits(&Value::Text(" padded".into())));
    }
}
