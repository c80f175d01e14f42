//! The lines of peers and links.

use super::{Impact, Mode, Row, guards, leaf, links, multi, object, secret};
use crate::{
    edit::Leaf,
    grammar::{
        access::{Access, Accessor, flag, list, optional, optional_number},
        common_fields::{self, PEER_POLICY},
        fields::{ENDPOINT, HUB_OF_PEER},
    },
    value::Value,
};

/// Every line, in the order in which an object is written.
pub(super) static PEERS: &[Row] = &[
    leaf(
        (Mode::Peer, Impact::Live),
        ("description", "<description>"),
        Leaf::Description,
        optional!(Peer.description: Text),
        &[("description", "Text about this peer")],
    ),
    leaf(
        (Mode::Peer, Impact::Rehandshake),
        ("shutdown", ""),
        Leaf::Shutdown,
        flag!(Peer.shutdown),
        &[("shutdown", "Take the peer out of service")],
    ),
    leaf(
        (Mode::Peer, Impact::Rehandshake),
        ("public-key", "<key>"),
        Leaf::PublicKey,
        optional!(Peer.public_key: Key),
        &[("public-key", "The peer's identity")],
    ),
    secret(leaf(
        (Mode::Peer, Impact::Rehandshake),
        ("preshared-key", "file <path>"),
        Leaf::PresharedKey,
        optional!(Peer.preshared_key_file: Word),
        &[
            ("preshared-key", "A secret that only this peer and this node have"),
            ("file", "It is in a file, as `knetd genpsk` writes it"),
        ],
    )),
    secret(leaf(
        (Mode::Peer, Impact::Live),
        ("invitation", "file <path>"),
        Leaf::Invitation,
        optional!(Peer.invitation_file: Word),
        &[
            (
                "invitation",
                "What this node has to show for itself to a peer that does not know it",
            ),
            ("file", "It is in a file, as `join` writes it"),
        ],
    )),
    leaf(
        (Mode::Peer, Impact::Live),
        ("group", "<group>"),
        Leaf::Group,
        optional!(Peer.group: Word),
        &[("group", "What this peer does not say itself, its group says")],
    ),
    leaf(
        (Mode::Peer, Impact::Live),
        ("policy", "<policy>"),
        Leaf::Policy,
        Access::Peer(PEER_POLICY),
        &[("policy", "How frames to this peer choose links")],
    ),
    leaf(
        (Mode::Peer, Impact::Live),
        ("isolate", ""),
        Leaf::Isolate,
        flag!(Peer.isolate),
        &[("isolate", "No frames between this peer and other peers")],
    ),
    leaf(
        (Mode::Peer, Impact::Live),
        ("spoke", ""),
        Leaf::Spoke,
        flag!(Peer.spoke),
        &[(
            "spoke",
            "A client of this node: relay frames between it and other peers",
        )],
    ),
    leaf(
        (Mode::Peer, Impact::Live),
        ("hub-group", "<hub-group> [preference <preference>]"),
        Leaf::HubGroup,
        Access::Peer(HUB_OF_PEER),
        &[
            (
                "hub-group",
                "This peer is one of several hubs of this node: one of them is used, another takes over",
            ),
            ("preference", "Of those that are up the highest is used"),
        ],
    ),
    leaf(
        (Mode::Peer, Impact::Live),
        ("lossy", ""),
        Leaf::Lossy,
        flag!(Peer.lossy),
        &[(
            "lossy",
            "Do not send again over another link what was on a link that died",
        )],
    ),
    leaf(
        (Mode::Peer, Impact::Live),
        ("ip dhcp snooping trust", ""),
        Leaf::DhcpTrust,
        flag!(Peer.dhcp_trust),
        &[
            ("ip", "IPv4"),
            ("dhcp", "DHCP, of both IP versions"),
            ("snooping", "What only DHCP servers say"),
            ("trust", "Take it from this peer"),
        ],
    ),
    leaf(
        (Mode::Peer, Impact::Live),
        ("ipv6 nd raguard trust", ""),
        Leaf::RaTrust,
        flag!(Peer.ra_trust),
        &[
            ("ipv6", "IPv6"),
            ("nd", "Neighbour discovery"),
            ("raguard", "What only routers say"),
            ("trust", "Take it from this peer"),
        ],
    ),
    leaf(
        (Mode::Peer, Impact::Live),
        ("ip igmp snooping mrouter", ""),
        Leaf::IgmpRouter,
        flag!(Peer.igmp_router),
        &[
            ("ip", "IPv4"),
            ("igmp", "Who listens to multicast groups of IPv4"),
            ("snooping", "Read on its way"),
            (
                "mrouter",
                "A multicast router is behind this peer: it gets all groups",
            ),
        ],
    ),
    leaf(
        (Mode::Peer, Impact::Live),
        ("ipv6 mld snooping mrouter", ""),
        Leaf::MldRouter,
        flag!(Peer.mld_router),
        &[
            ("ipv6", "IPv6"),
            ("mld", "Who listens to multicast groups of IPv6"),
            ("snooping", "Read on its way"),
            (
                "mrouter",
                "A multicast router is behind this peer: it gets all groups",
            ),
        ],
    ),
    leaf(
        (Mode::Peer, Impact::Live),
        ("storm-control frames", "<flooded-frames>"),
        Leaf::StormFrames,
        optional_number!(Peer.storm_frames),
        &[
            ("storm-control", "How much this peer may flood"),
            (
                "frames",
                "Broadcast, multicast, unknown unicast (default 1000 per second)",
            ),
        ],
    ),
    leaf(
        (Mode::Peer, Impact::Live),
        ("storm-control copies", "<flood-copies>"),
        Leaf::StormCopies,
        optional_number!(Peer.storm_copies),
        &[
            ("storm-control", "How much this peer may flood"),
            (
                "copies",
                "Of flooded frames, one for each peer that gets it (default 20000 per second)",
            ),
        ],
    ),
    leaf(
        (Mode::Peer, Impact::Live),
        (
            "switchport",
            "(access vlan <vlan> | trunk allowed vlan <vlan-list> [native vlan <vlan>])",
        ),
        Leaf::Switchport,
        Access::Peer(common_fields::PEER_SWITCHPORT),
        &[
            ("switchport", "The VLANs that this peer is in (default: VLAN 1)"),
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
        (Mode::Peer, Impact::Live),
        ("mac limit", "<mac-limit>"),
        Leaf::MacLimit,
        optional_number!(Peer.mac_limit),
        &[
            ("mac", "The table of MAC addresses"),
            (
                "limit",
                "How many are learned behind this peer; frames from others are dropped",
            ),
        ],
    ),
    guards::peer::VERIFY_SOURCE,
    guards::peer::ARP_INSPECTION,
    guards::peer::VALIDATE_SOURCE_MAC,
    guards::peer::ROUTER_GUARD,
    guards::peer::IP_BINDING,
    guards::peer::IPV6_BINDING,
    guards::peer::MAC_STICKY,
    guards::peer::MAC_ALLOWED,
    multi(leaf(
        (Mode::Peer, Impact::Live),
        ("mac static", "<mac>"),
        Leaf::MacStatic,
        list!(Peer.static_macs: Mac),
        &[
            ("mac", "The table of MAC addresses"),
            ("static", "An address that is always behind this peer"),
        ],
    )),
    object(
        (Mode::Peer, Impact::Relink),
        (
            "link <link>",
            "[local <local>] remote (dynamic | <remote-address> port <port>)",
        ),
        Mode::Link,
        Some((Leaf::Endpoint, Access::Link(ENDPOINT))),
        &[
            ("link", "A path to the peer"),
            (
                "local",
                "From this local socket (default: the first of the same family)",
            ),
            ("remote", "Where the peer is"),
            ("dynamic", "Wherever it sends from: the peer opens this link"),
            ("port", "The peer's UDP port"),
        ],
    ),
    leaf(
        (Mode::Link, Impact::Live),
        ("description", "<description>"),
        Leaf::Description,
        optional!(Link.description: Text),
        &[("description", "Text about this link")],
    ),
    leaf(
        (Mode::Link, Impact::Relink),
        ("shutdown", ""),
        Leaf::Shutdown,
        flag!(Link.shutdown),
        &[("shutdown", "Take the link out of service")],
    ),
    leaf(
        (Mode::Link, Impact::Live),
        ("priority", "<priority>"),
        Leaf::Priority,
        Access::Link(common_fields::priority::LINK),
        &[links::PRIORITY],
    ),
    leaf(
        (Mode::Link, Impact::Live),
        ("weight", "<weight>"),
        Leaf::Weight,
        Access::Link(common_fields::weight::LINK),
        &[links::WEIGHT],
    ),
    leaf(
        (Mode::Link, Impact::Live),
        ("cost", "<cost>"),
        Leaf::Cost,
        Access::Link(common_fields::cost::LINK),
        &[links::COST],
    ),
    leaf(
        (Mode::Link, Impact::Live),
        ("timers", "<interval> <timeout>"),
        Leaf::Timers,
        Access::Link(common_fields::timers::LINK),
        &[links::TIMERS],
    ),
    leaf(
        (Mode::Link, Impact::Live),
        ("pong-count", "<pong-count>"),
        Leaf::PongCount,
        Access::Link(common_fields::pong_count::LINK),
        &[links::PONG_COUNT],
    ),
    leaf(
        (Mode::Link, Impact::Live),
        ("limit loss", "<loss-limit>"),
        Leaf::LimitLoss,
        Access::Link(common_fields::limit_loss::LINK),
        &[links::LIMIT, links::LOSS],
    ),
    leaf(
        (Mode::Link, Impact::Live),
        ("limit rtt", "<rtt-limit>"),
        Leaf::LimitRtt,
        Access::Link(common_fields::limit_rtt::LINK),
        &[links::LIMIT, links::RTT],
    ),
];
