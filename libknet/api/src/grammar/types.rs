//! The types of arguments: how each is read, shown in help, completed, and ranked against the others.

mod forms;

use crate::value::Value;

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
    /// `X:X::X/M`
    Ipv6Prefix,
    /// `H:H:H:H:H:H` of a single host.
    HostMac,
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
}

/// Every argument type.
pub const TYPES: &[ArgumentType] = &[
    ArgumentType {
        name: "hostname",
        forms: &[Form::HostName],
        help: "Name of this node in prompt and log",
        live: None,
    },
    ArgumentType {
        name: "interface",
        forms: &[Form::DeviceName],
        help: "Interface: the name of its TAP",
        live: Some(Live::Interfaces),
    },
    ArgumentType {
        name: "peer",
        forms: &[Form::PeerName],
        help: "Name of the peer",
        live: Some(Live::Peers),
    },
    ArgumentType {
        name: "link",
        forms: &[Form::Range {
            low: 0,
            high: 7,
            unit: "",
        }],
        help: "Id of the link, the same at both ends",
        live: Some(Live::Links),
    },
    ArgumentType {
        name: "description",
        forms: &[Form::Text(240)],
        help: "Any text up to the end of the line",
        live: None,
    },
    ArgumentType {
        name: "path",
        forms: &[Form::Path],
        help: "File, relative to the configuration file",
        live: None,
    },
    ArgumentType {
        name: "mac",
        forms: &[Form::HostMac],
        help: "Ethernet address of one host",
        live: None,
    },
    ArgumentType {
        name: "mtu",
        forms: &[
            Form::Range {
                low: 576,
                high: 9216,
                unit: "bytes",
            },
            Form::Choice(&[("auto", "What passes whole on the narrowest link in use")]),
        ],
        help: "Largest packet in the overlay; a path of 1500 bytes takes 1430 over IPv4, 1410 over IPv6",
        live: None,
    },
    ArgumentType {
        name: "mtu-policy",
        forms: &[Form::Choice(&[
            ("fragment", "They go in pieces"),
            (
                "signal",
                "Their sender is told, if it has asked for that; others go in pieces",
            ),
        ])],
        help: "What happens to packets that are too long for the path",
        live: None,
    },
    ArgumentType {
        name: "cipher",
        forms: &[Form::Choice(&[
            (
                "any",
                "AES-256-GCM where both sides have the hardware for it, or else ChaCha20-Poly1305",
            ),
            ("aes-256-gcm", "No other"),
            ("chacha20-poly1305", "No other"),
        ])],
        help: "What sessions may be encrypted with",
        live: None,
    },
    ArgumentType {
        name: "ipv4-prefix",
        forms: &[Form::Ipv4Prefix],
        help: "Address and prefix length",
        live: None,
    },
    ArgumentType {
        name: "ipv6-prefix",
        forms: &[Form::Ipv6Prefix],
        help: "Address and prefix length",
        live: None,
    },
    ArgumentType {
        name: "local",
        forms: &[Form::Range {
            low: 0,
            high: 15,
            unit: "",
        }],
        help: "Number of the local socket",
        live: Some(Live::Locals),
    },
    ArgumentType {
        name: "local-address",
        forms: &[
            Form::Choice(&[
                ("any", "Every IPv4 address of this host"),
                ("any6", "Every IPv6 address of this host"),
            ]),
            Form::Ipv4,
            Form::Ipv6,
        ],
        help: "Address of this host",
        live: None,
    },
    ArgumentType {
        name: "port",
        forms: &[Form::Range {
            low: 1,
            high: 65_535,
            unit: "",
        }],
        help: "UDP port",
        live: None,
    },
    ArgumentType {
        name: "device",
        forms: &[Form::DeviceName],
        help: "Network device of this host",
        live: None,
    },
    ArgumentType {
        name: "ageing-time",
        forms: &[Form::Range {
            low: 10,
            high: 3600,
            unit: "seconds",
        }],
        help: "How long an address is kept without traffic from it",
        live: None,
    },
    ArgumentType {
        name: "key",
        forms: &[Form::Key],
        help: "Public key in base64, as `crypto key show` and `knetd pubkey` print it there",
        live: None,
    },
    ArgumentType {
        name: "policy",
        forms: &[Form::Choice(&[
            (
                "passive",
                "One link at a time: the highest priority, then the lowest id",
            ),
            (
                "active",
                "Every frame on every link; the peer keeps the first copy",
            ),
            ("round-robin", "Frames in turn over all links, by weight"),
            ("flow-hash", "Each flow on one of the links, by weight"),
            (
                "adaptive",
                "One link at a time: the one with the least delay and loss",
            ),
        ])],
        help: "How frames to this peer choose links",
        live: None,
    },
    ArgumentType {
        name: "remote-address",
        forms: &[Form::Ipv4, Form::Ipv6, Form::DnsName],
        help: "Address or DNS name of the peer",
        live: None,
    },
    ArgumentType {
        name: "priority",
        forms: &[Form::Range {
            low: 0,
            high: 255,
            unit: "",
        }],
        help: "For the passive policy; the highest wins",
        live: None,
    },
    ArgumentType {
        name: "dscp",
        forms: &[Form::Range {
            low: 0,
            high: 63,
            unit: "",
        }],
        help: "Differentiated services code point; 0 is best effort, 46 expedited forwarding",
        live: None,
    },
    ArgumentType {
        name: "workers",
        forms: &[Form::Range {
            low: 1,
            high: 16,
            unit: "",
        }],
        help: "How many; each peer belongs to one of them",
        live: None,
    },
    ArgumentType {
        name: "weight",
        forms: &[
            Form::Range {
                low: 1,
                high: 255,
                unit: "",
            },
            Form::Choice(&[("auto", "As much as the link is found to carry")]),
        ],
        help: "Share of the frames, in relation to the other links",
        live: None,
    },
    ArgumentType {
        name: "cost",
        forms: &[Form::Range {
            low: 0,
            high: 255,
            unit: "",
        }],
        help: "Compared with the cost of the other links; 0 is free",
        live: None,
    },
    ArgumentType {
        name: "interval",
        forms: &[Form::Range {
            low: 100,
            high: 60_000,
            unit: "milliseconds",
        }],
        help: "Time between heartbeats of the idle link",
        live: None,
    },
    ArgumentType {
        name: "timeout",
        forms: &[Form::Range {
            low: 300,
            high: 600_000,
            unit: "milliseconds",
        }],
        help: "Silence after which the last usable link is down; at least three intervals",
        live: None,
    },
    ArgumentType {
        name: "pong-count",
        forms: &[Form::Range {
            low: 1,
            high: 100,
            unit: "",
        }],
        help: "Answers in a row that bring the link back up",
        live: None,
    },
    ArgumentType {
        name: "loss-limit",
        forms: &[Form::Range {
            low: 1,
            high: 99,
            unit: "percent",
        }],
        help: "Share of what is sent that does not arrive",
        live: None,
    },
    ArgumentType {
        name: "rtt-limit",
        forms: &[Form::Range {
            low: 1,
            high: 10_000,
            unit: "milliseconds",
        }],
        help: "Smoothed round-trip time",
        live: None,
    },
    ArgumentType {
        name: "count",
        forms: &[Form::Range {
            low: 1,
            high: 10_000,
            unit: "",
        }],
        help: "How many times",
        live: None,
    },
    ArgumentType {
        name: "lines",
        forms: &[Form::Range {
            low: 1,
            high: 10_000,
            unit: "",
        }],
        help: "How many of the latest lines",
        live: None,
    },
    ArgumentType {
        name: "mesh",
        forms: &[Form::PeerName],
        help: "Name of the mesh",
        live: Some(Live::Meshes),
    },
    ArgumentType {
        name: "member",
        forms: &[Form::HostName],
        help: "Name of the host, and of the peer on the others",
        live: Some(Live::Members),
    },
    ArgumentType {
        name: "member-address",
        forms: &[Form::Ipv4, Form::Ipv6],
        help: "Address that the others send to",
        live: None,
    },
    ArgumentType {
        name: "host",
        forms: &[Form::HostName],
        help: "Name of the host: that of its machine, or of `knetd --host`",
        live: Some(Live::Hosts),
    },
    ArgumentType {
        name: "words",
        forms: &[Form::Text(80)],
        help: "What to look for",
        live: None,
    },
    ArgumentType {
        name: "revision",
        forms: &[Form::Range {
            low: 0,
            high: 999_999_999,
            unit: "",
        }],
        help: "Revision, as `show configuration history` lists it",
        live: None,
    },
    ArgumentType {
        name: "session",
        forms: &[Form::Range {
            low: 1,
            high: 999_999_999,
            unit: "",
        }],
        help: "Session, as `who` lists it",
        live: None,
    },
    ArgumentType {
        name: "confirm-time",
        forms: &[
            Form::Range {
                low: 1,
                high: 1440,
                unit: "minutes",
            },
            Form::Seconds(86_400),
        ],
        help: "How long it waits to be confirmed",
        live: None,
    },
    ArgumentType {
        name: "comment",
        forms: &[Form::Text(240)],
        help: "Any text up to the end of the line",
        live: None,
    },
    ArgumentType {
        name: "file",
        forms: &[Form::Path],
        help: "File of the host that the shell runs on",
        live: None,
    },
    ArgumentType {
        name: "screen-lines",
        forms: &[Form::Range {
            low: 0,
            high: 1000,
            unit: "lines",
        }],
        help: "Lines of a screen; 0: long texts do not stop",
        live: None,
    },
    ArgumentType {
        name: "screen-columns",
        forms: &[Form::Range {
            low: 20,
            high: 1000,
            unit: "characters",
        }],
        help: "Characters of a line",
        live: None,
    },
    ArgumentType {
        name: "exec-minutes",
        forms: &[Form::Range {
            low: 0,
            high: 35_791,
            unit: "minutes",
        }],
        help: "Time without a key after which the shell ends; 0 0 is never",
        live: None,
    },
    ArgumentType {
        name: "exec-seconds",
        forms: &[Form::Range {
            low: 0,
            high: 59,
            unit: "seconds",
        }],
        help: "And so many seconds",
        live: None,
    },
    ArgumentType {
        name: "name-prefix",
        forms: &[Form::PeerName],
        help: "How the name begins",
        live: Some(Live::Peers),
    },
    ArgumentType {
        name: "new-file",
        forms: &[Form::Path],
        help: "A new file of this shell's user",
        live: None,
    },
    ArgumentType {
        name: "interval-seconds",
        forms: &[Form::Range {
            low: 1,
            high: 3600,
            unit: "seconds",
        }],
        help: "Time between two looks",
        live: None,
    },
    ArgumentType {
        name: "key-file",
        forms: &[Form::Path],
        help: "Name of a new file in the directory of the configuration",
        live: None,
    },
    ArgumentType {
        name: "peer-state",
        forms: &[Form::Choice(&[
            ("up", "With a session"),
            ("handshaking", "A session is being made"),
            ("down", "Without a session"),
            ("admin-down", "Shut down"),
            ("incomplete", "Without a public key"),
        ])],
        help: "State of the peer",
        live: None,
    },
    ArgumentType {
        name: "link-state",
        forms: &[Form::Choice(&[
            ("up", "In use, or ready to be"),
            ("suspect", "In doubt"),
            ("probing", "Not enough answers yet"),
            ("down", "No answers, or no address"),
            ("local-down", "The local address or device is not usable"),
            ("admin-down", "Shut down here or at the other end"),
        ])],
        help: "State of the sending side",
        live: None,
    },
];

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
