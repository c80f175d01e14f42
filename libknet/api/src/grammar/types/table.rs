//! Every type of argument.

use super::{ArgumentType, Form, Live, multicast};
use crate::metrics::EXPOSED;

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
        name: "ipv4-binding",
        forms: &[Form::Ipv4Network],
        help: "Address of a host, or network of addresses",
        live: None,
    },
    ArgumentType {
        name: "ipv6-binding",
        forms: &[Form::Ipv6Network],
        help: "Address of a host, or network of addresses",
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
        name: "exposure",
        forms: &[Form::Choice(&[(
            EXPOSED,
            "Also where others than this host can reach it: there is neither encryption nor a password",
        )])],
        help: "Where the address is not loopback",
        live: None,
    },
    ArgumentType {
        name: "port",
        forms: &[Form::Range {
            low: 1,
            high: 65_535,
            unit: "",
        }],
        help: "Port",
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
    multicast::QUERY_INTERVAL,
    multicast::QUERIER_ADDRESS,
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
        name: "vlan",
        forms: &[Form::Range {
            low: 1,
            high: 4094,
            unit: "",
        }],
        help: "A VLAN",
        live: None,
    },
    ArgumentType {
        name: "vlan-list",
        forms: &[Form::VlanList],
        help: "VLANs",
        live: None,
    },
    ArgumentType {
        name: "mac-limit",
        forms: &[Form::Range {
            low: 1,
            high: 1024,
            unit: "",
        }],
        help: "MAC addresses that are learned at most",
        live: None,
    },
    ArgumentType {
        name: "flooded-frames",
        forms: &[Form::Range {
            low: 1,
            high: 100_000,
            unit: "per second",
        }],
        help: "Twice as many may come at once; a frame counts as 1000 bytes at least, on average",
        live: None,
    },
    ArgumentType {
        name: "flood-copies",
        forms: &[Form::Range {
            low: 1,
            high: 500_000,
            unit: "per second",
        }],
        help: "A quarter as many may be made at once, and five times as many of one frame",
        live: None,
    },
    ArgumentType {
        name: "hub-group",
        forms: &[Form::PeerName],
        help: "Name of the hub group: the same for all of its hubs",
        live: None,
    },
    ArgumentType {
        name: "preference",
        forms: &[Form::Range {
            low: 0,
            high: 255,
            unit: "",
        }],
        help: "Of the hubs that are up the highest is used (default 100)",
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
        name: "group",
        forms: &[Form::PeerName],
        help: "Name of the group",
        live: Some(Live::Groups),
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
        name: "new-peer",
        forms: &[Form::PeerName],
        help: "Name of a peer that is to be",
        live: None,
    },
    ArgumentType {
        name: "validity",
        forms: &[
            Form::Range {
                low: 1,
                high: 3650,
                unit: "days",
            },
            Form::Seconds(86_400),
        ],
        help: "How long it is good",
        live: None,
    },
    ArgumentType {
        name: "invitation",
        forms: &[Form::Invitation],
        help: "What `invite` printed at the hub; in quotation marks there may be white space in it",
        live: None,
    },
    ArgumentType {
        name: "invitation-id",
        forms: &[Form::Choice(&[("all", "All that are open")]), Form::PeerName],
        help: "Which one, as `show invitations` lists it",
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
