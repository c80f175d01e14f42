//! The lines of an interface about who listens to multicast.

use super::{Impact, Mode, Row, leaf};
use crate::{
    edit::Leaf,
    grammar::{
        access::{Access, Accessor, flag},
        querier_fields::{IGMP_QUERIER as IGMP, MLD_QUERIER as MLD},
    },
};

const SNOOPING: &str = "Send groups to those who listen, where somebody asks who does";
const QUERIER: &str = "Ask who listens, unless a router does (default: every 125 seconds)";

pub(super) const IGMP_SNOOPING: Row = leaf(
    (Mode::Interface, Impact::Live),
    ("ip igmp snooping", ""),
    Leaf::IgmpSnooping,
    flag!(Interface.igmp_snooping),
    &[
        ("ip", "IPv4"),
        ("igmp", "Who listens to multicast groups of IPv4"),
        ("snooping", SNOOPING),
    ],
);

pub(super) const IGMP_QUERIER: Row = leaf(
    (Mode::Interface, Impact::Live),
    (
        "ip igmp snooping querier",
        "[address <querier-address>] [query-interval <query-interval>]",
    ),
    Leaf::IgmpQuerier,
    Access::Interface(IGMP),
    &[
        ("ip", "IPv4"),
        ("igmp", "Who listens to multicast groups of IPv4"),
        ("snooping", SNOOPING),
        ("querier", QUERIER),
        (
            "address",
            "From which address (default: the first one of the TAP)",
        ),
        ("query-interval", "How often"),
    ],
);

pub(super) const MLD_SNOOPING: Row = leaf(
    (Mode::Interface, Impact::Live),
    ("ipv6 mld snooping", ""),
    Leaf::MldSnooping,
    flag!(Interface.mld_snooping),
    &[
        ("ipv6", "IPv6"),
        ("mld", "Who listens to multicast groups of IPv6"),
        ("snooping", SNOOPING),
    ],
);

pub(super) const MLD_QUERIER: Row = leaf(
    (Mode::Interface, Impact::Live),
    ("ipv6 mld snooping querier", "[query-interval <query-interval>]"),
    Leaf::MldQuerier,
    Access::Interface(MLD),
    &[
        ("ipv6", "IPv6"),
        ("mld", "Who listens to multicast groups of IPv6"),
        ("snooping", SNOOPING),
        ("querier", QUERIER),
        ("query-interval", "How often"),
    ],
);
