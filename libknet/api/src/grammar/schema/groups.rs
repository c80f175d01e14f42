//! The lines of groups of peers.

use super::{Impact, Mode, Row, guards, leaf, links, multi, secret};
use crate::{
    edit::Leaf,
    grammar::{
        access::{Access, Accessor, flag, optional, optional_number},
        common_fields::{self, GROUP_POLICY},
        fields::HUB_OF_GROUP,
        negotiated_fields::{IP_POOL, IPV6_POOL},
    },
    value::Value,
};

/// Help for the links of a group.
const LINKS: (&str, &str) = ("link", "Of the links of this id of all its peers");

/// Help for its pools.
const POOL: &str =
    "Addresses of which each of its peers, and each invitation, is given the first that is free";

/// Every line, in the order in which an object is written.
pub(super) static GROUPS: &[Row] = &[
    leaf(
        (Mode::Group, Impact::Live),
        ("description", "<description>"),
        Leaf::Description,
        optional!(Group.description: Text),
        &[("description", "Text about this group")],
    ),
    leaf(
        (Mode::Group, Impact::Rehandshake),
        ("shutdown", ""),
        Leaf::Shutdown,
        flag!(Group.shutdown),
        &[("shutdown", "Take all its peers out of service")],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        ("authorized-keys", "<path>"),
        Leaf::AuthorizedKeys,
        optional!(Group.authorized_keys_file: Word),
        &[(
            "authorized-keys",
            "A file of more of its peers, a line NAME;KEY for each; it is read whenever it is written",
        )],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        ("certificate-authority", "<path>"),
        Leaf::CertificateAuthority,
        optional!(Group.certificate_authority_file: Word),
        &[(
            "certificate-authority",
            "A file of authorities, as `knetd ca init` makes it: whom they certify to be of this group is its peer",
        )],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        ("revocation-list", "<path>"),
        Leaf::RevocationList,
        optional!(Group.revocation_list_file: Word),
        &[(
            "revocation-list",
            "A file of certificates that do not count any more, as `knetd ca revoke` writes it",
        )],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        ("invitations", "<path>"),
        Leaf::Invitations,
        optional!(Group.invitations_file: Word),
        &[(
            "invitations",
            "A file of invitations, and of peers that have come by one, which `invite` and they make",
        )],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        ("ip pool", "<ipv4-prefix>"),
        Leaf::IpPool,
        Access::Group(IP_POOL),
        &[("ip", "IPv4"), ("pool", POOL)],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        ("ipv6 pool", "<ipv6-prefix>"),
        Leaf::Ipv6Pool,
        Access::Group(IPV6_POOL),
        &[("ipv6", "IPv6"), ("pool", POOL)],
    ),
    secret(leaf(
        (Mode::Group, Impact::Rehandshake),
        ("preshared-key", "file <path>"),
        Leaf::PresharedKey,
        optional!(Group.preshared_key_file: Word),
        &[
            (
                "preshared-key",
                "A secret that its peers and this node have, for peers without one of their own",
            ),
            ("file", "It is in a file, as `knetd genpsk` writes it"),
        ],
    )),
    leaf(
        (Mode::Group, Impact::Live),
        ("policy", "<policy>"),
        Leaf::Policy,
        Access::Group(GROUP_POLICY),
        &[("policy", "How frames to its peers choose links")],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        ("isolate", ""),
        Leaf::Isolate,
        flag!(Group.isolate),
        &[("isolate", "No frames between its peers and other peers")],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        ("spoke", ""),
        Leaf::Spoke,
        flag!(Group.spoke),
        &[(
            "spoke",
            "Its peers are clients of this node: relay frames between them and other peers",
        )],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        ("hub-group", "<hub-group> [preference <preference>]"),
        Leaf::HubGroup,
        Access::Group(HUB_OF_GROUP),
        &[
            (
                "hub-group",
                "Its peers are one of several hubs of this node: one of them is used, another takes over",
            ),
            ("preference", "Of those that are up the highest is used"),
        ],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        ("lossy", ""),
        Leaf::Lossy,
        flag!(Group.lossy),
        &[(
            "lossy",
            "Do not send again over another link what was on a link that died",
        )],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        ("ip dhcp snooping trust", ""),
        Leaf::DhcpTrust,
        flag!(Group.dhcp_trust),
        &[
            ("ip", "IPv4"),
            ("dhcp", "DHCP, of both IP versions"),
            ("snooping", "What only DHCP servers say"),
            ("trust", "Take it from each of its peers"),
        ],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        ("ipv6 nd raguard trust", ""),
        Leaf::RaTrust,
        flag!(Group.ra_trust),
        &[
            ("ipv6", "IPv6"),
            ("nd", "Neighbour discovery"),
            ("raguard", "What only routers say"),
            ("trust", "Take it from each of its peers"),
        ],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        ("ip igmp snooping mrouter", ""),
        Leaf::IgmpRouter,
        flag!(Group.igmp_router),
        &[
            ("ip", "IPv4"),
            ("igmp", "Who listens to multicast groups of IPv4"),
            ("snooping", "Read on its way"),
            (
                "mrouter",
                "A multicast router is behind each of its peers: they get all groups",
            ),
        ],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        ("ipv6 mld snooping mrouter", ""),
        Leaf::MldRouter,
        flag!(Group.mld_router),
        &[
            ("ipv6", "IPv6"),
            ("mld", "Who listens to multicast groups of IPv6"),
            ("snooping", "Read on its way"),
            (
                "mrouter",
                "A multicast router is behind each of its peers: they get all groups",
            ),
        ],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        ("storm-control frames", "<flooded-frames>"),
        Leaf::StormFrames,
        optional_number!(Group.storm_frames),
        &[
            ("storm-control", "How much each of its peers may flood"),
            (
                "frames",
                "Broadcast, multicast, unknown unicast (default 1000 per second)",
            ),
        ],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        ("storm-control copies", "<flood-copies>"),
        Leaf::StormCopies,
        optional_number!(Group.storm_copies),
        &[
            ("storm-control", "How much each of its peers may flood"),
            (
                "copies",
                "Of flooded frames, one for each peer that gets it (default 20000 per second)",
            ),
        ],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        (
            "switchport",
            "(access vlan <vlan> | trunk allowed vlan <vlan-list> [native vlan <vlan>])",
        ),
        Leaf::Switchport,
        Access::Group(common_fields::GROUP_SWITCHPORT),
        &[
            (
                "switchport",
                "The VLANs that each of its peers is in (default: VLAN 1)",
            ),
            ("access", "One VLAN, whose frames have no tag"),
            ("vlan", "VLANs (IEEE 802.1Q)"),
            ("trunk", "Several VLANs, whose frames have tags"),
            ("allowed", "Which VLANs"),
            (
                "native",
                "The one of them whose frames have no tag (default: none)",
            ),
        ],
    ),
    leaf(
        (Mode::Group, Impact::Live),
        ("mac limit", "<mac-limit>"),
        Leaf::MacLimit,
        optional_number!(Group.mac_limit),
        &[
            ("mac", "The table of MAC addresses"),
            (
                "limit",
                "How many are learned behind each of its peers; frames from others are dropped",
            ),
        ],
    ),
    guards::group::VERIFY_SOURCE,
    guards::group::ARP_INSPECTION,
    guards::group::VALIDATE_SOURCE_MAC,
    guards::group::ROUTER_GUARD,
    guards::group::IP_BINDING,
    guards::group::IPV6_BINDING,
    guards::group::MAC_STICKY,
    guards::group::MAC_ALLOWED,
    multi(leaf(
        (Mode::Group, Impact::Live),
        ("link <link> priority", "<priority>"),
        Leaf::LinksPriority,
        Access::Group(common_fields::priority::GROUP),
        &[LINKS, links::PRIORITY],
    )),
    multi(leaf(
        (Mode::Group, Impact::Live),
        ("link <link> weight", "<weight>"),
        Leaf::LinksWeight,
        Access::Group(common_fields::weight::GROUP),
        &[LINKS, links::WEIGHT],
    )),
    multi(leaf(
        (Mode::Group, Impact::Live),
        ("link <link> cost", "<cost>"),
        Leaf::LinksCost,
        Access::Group(common_fields::cost::GROUP),
        &[LINKS, links::COST],
    )),
    multi(leaf(
        (Mode::Group, Impact::Live),
        ("link <link> timers", "<interval> <timeout>"),
        Leaf::LinksTimers,
        Access::Group(common_fields::timers::GROUP),
        &[LINKS, links::TIMERS],
    )),
    multi(leaf(
        (Mode::Group, Impact::Live),
        ("link <link> pong-count", "<pong-count>"),
        Leaf::LinksPongCount,
        Access::Group(common_fields::pong_count::GROUP),
        &[LINKS, links::PONG_COUNT],
    )),
    multi(leaf(
        (Mode::Group, Impact::Live),
        ("link <link> limit loss", "<loss-limit>"),
        Leaf::LinksLimitLoss,
        Access::Group(common_fields::limit_loss::GROUP),
        &[LINKS, links::LIMIT, links::LOSS],
    )),
    multi(leaf(
        (Mode::Group, Impact::Live),
        ("link <link> limit rtt", "<rtt-limit>"),
        Leaf::LinksLimitRtt,
        Access::Group(common_fields::limit_rtt::GROUP),
        &[LINKS, links::LIMIT, links::RTT],
    )),
];
