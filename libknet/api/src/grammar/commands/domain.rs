//! Commands that show the broadcast domain: addresses, VLANs, what is flooded.

use super::{Command, CommandDef, ONLY, SHOW, Show, exec};

/// Every command of this kind.
pub(super) static COMMANDS: &[CommandDef] = &[
    exec(
        "show mac address-table [interface <interface>]",
        |a| Command::Show(Show::MacTable { interface: a.name(0) }),
        &[
            SHOW,
            ("mac", "MAC addresses"),
            ("address-table", "Which address is behind which peer"),
            ONLY,
        ],
    ),
    exec(
        "show arp [peer <peer>] [interface <interface>]",
        |a| {
            Command::Show(Show::Arp {
                peer: a.name(0),
                interface: a.name(1),
            })
        },
        &[
            SHOW,
            ("arp", "IP addresses of stations, of both versions"),
            ("peer", "Behind one peer only"),
            ONLY,
        ],
    ),
    exec(
        "show storm-control [interface <interface>]",
        |a| Command::Show(Show::StormControl { interface: a.name(0) }),
        &[
            SHOW,
            (
                "storm-control",
                "Peers with `storm-control` or `mac limit`, and those that flooded too much",
            ),
            ONLY,
        ],
    ),
    exec(
        "show ip igmp snooping [interface <interface>]",
        |a| {
            Command::Show(Show::Listeners {
                ipv6: false,
                interface: a.name(0),
            })
        },
        &[
            SHOW,
            ("ip", "Addresses"),
            ("igmp", "Multicast groups of IPv4"),
            ("snooping", "Who listens to them, where routers are, and who asks"),
            ONLY,
        ],
    ),
    exec(
        "show ipv6 mld snooping [interface <interface>]",
        |a| {
            Command::Show(Show::Listeners {
                ipv6: true,
                interface: a.name(0),
            })
        },
        &[
            SHOW,
            ("ipv6", "IPv6"),
            ("mld", "Multicast groups of IPv6"),
            ("snooping", "Who listens to them, where routers are, and who asks"),
            ONLY,
        ],
    ),
    exec(
        "show vlan [id <vlan>] [interface <interface>]",
        |a| {
            Command::Show(Show::Vlans {
                vlan: a.number(0),
                interface: a.name(1),
            })
        },
        &[
            SHOW,
            ("vlan", "VLANs, one line each, where they are told apart"),
            ("id", "One VLAN, and each peer that is in it"),
            ONLY,
        ],
    ),
];
