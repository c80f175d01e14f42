//! Commands about invitations.

use super::{super::types::text_of, Arguments, Command, CommandDef, ONLY, SHOW, Show, exec};
use crate::{
    message::{Invite, PublicAddress},
    value::{IpPrefix, Value},
};

/// Days that an invitation is good where nothing is said.
const DAYS: u32 = 7;
const DAY: u32 = 86_400;

const ADDRESS: (&str, &str) = (
    "address",
    "Where this host is reached (default: the addresses of the interface's locals); up to eight times",
);
const PORT: (&str, &str) = ("port", "At this UDP port (default: that of its first local)");

/// Every command of this kind.
pub(super) static COMMANDS: &[CommandDef] = &[
    exec(
        "invite interface <interface> group <group> [name <new-peer>] [valid <validity>] \
         [ip <ipv4-prefix>] [ipv6 <ipv6-prefix>] {address <remote-address> [port <port>]}",
        |a| {
            Command::Invite(Invite {
                interface: a.name(0).unwrap_or_default(),
                group: a.name(1).unwrap_or_default(),
                name: a.name(2),
                valid_s: a.validity(3).unwrap_or(DAYS * DAY),
                addresses: [4, 5].into_iter().filter_map(|at| a.prefix(at)).collect(),
                endpoints: (6..22).step_by(2).filter_map(|at| a.public_address(at)).collect(),
            })
        },
        &[
            ("invite", "Make a text with which somebody can become a peer"),
            ("interface", "Of this interface"),
            ("group", "In this group, which needs a line `invitations`"),
            ("name", "Of this name (default: one is made)"),
            ("valid", "How long (default 7 days)"),
            (
                "ip",
                "With this IPv4 address in the overlay (default: the next of `ip pool`)",
            ),
            (
                "ipv6",
                "With this IPv6 address in the overlay (default: the next of `ipv6 pool`)",
            ),
            ADDRESS,
            PORT,
        ],
    ),
    exec(
        "join <invitation> [interface <interface>]",
        |a| Command::Join {
            invitation: a.name(0).unwrap_or_default(),
            interface: a.name(1),
        },
        &[
            ("join", "Become a peer of the hub that made an invitation"),
            (
                "interface",
                "By this interface, which is made if it is not there (default knet0 if there is none)",
            ),
        ],
    ),
    exec(
        "show invitations [<interface>]",
        |a| Command::Show(Show::Invitations { interface: a.name(0) }),
        &[
            SHOW,
            (
                "invitations",
                "Invitations that are open, and who has come by one",
            ),
        ],
    ),
    exec(
        "show ip pool [<interface>]",
        |a| Command::Show(Show::IpPools { interface: a.name(0) }),
        &[
            SHOW,
            ("ip", "Addresses"),
            (
                "pool",
                "Addresses that groups give, and how many of them are left",
            ),
        ],
    ),
    exec(
        "show ip pool leases [interface <interface>]",
        |a| Command::Show(Show::IpPoolLeases { interface: a.name(0) }),
        &[
            SHOW,
            ("ip", "Addresses"),
            (
                "pool",
                "Addresses that groups give, and how many of them are left",
            ),
            ("leases", "Who was given which over its session"),
            ONLY,
        ],
    ),
    exec(
        "clear ip pool lease <peer> [interface <interface>]",
        |a| Command::ClearIpPoolLease {
            peer: a.name(0).unwrap_or_default(),
            interface: a.name(1),
        },
        &[
            ("clear", "Reset what harms no traffic"),
            ("ip", "Addresses"),
            ("pool", "Addresses that groups give"),
            (
                "lease",
                "Take back what a peer was given; with its next session it is given one again",
            ),
            ("interface", "Of this interface"),
        ],
    ),
    exec(
        "clear invitation <invitation-id> [interface <interface>]",
        |a| Command::ClearInvitation {
            id: a.name(0).filter(|id| id != "all"),
            interface: a.name(1),
        },
        &[
            ("clear", "Reset what harms no traffic"),
            ("invitation", "Take back invitations that nobody has used"),
            ONLY,
        ],
    ),
    exec(
        "remove member <peer> [interface <interface>]",
        |a| Command::RemoveMember {
            peer: a.name(0).unwrap_or_default(),
            interface: a.name(1),
        },
        &[
            ("remove", "Take away what is in no configuration"),
            ("member", "A peer that has come by an invitation"),
            ("interface", "Of this interface"),
        ],
    ),
];

impl Arguments {
    /// In seconds.
    fn validity(&self, index: usize) -> Option<u32> {
        match self.values.get(index)? {
            Value::Number(days) => Some(days.saturating_mul(DAY)),
            Value::Word(seconds) => seconds.strip_suffix('s')?.parse().ok(),
            _ => None,
        }
    }

    fn prefix(&self, index: usize) -> Option<IpPrefix> {
        match self.values.get(index)? {
            Value::Prefix(prefix) => Some(*prefix),
            _ => None,
        }
    }

    fn public_address(&self, index: usize) -> Option<PublicAddress> {
        let address = self
            .values
            .get(index)
            .filter(|address| **address != Value::Absent)?;
        Some(PublicAddress {
            address: text_of(address),
            port: self.number(index + 1).and_then(|port| port.try_into().ok()),
        })
    }
}
