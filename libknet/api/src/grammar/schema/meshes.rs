//! The lines of meshes and their hosts.

use super::{Impact, Mode, Row, leaf, links, multi, object, secret};
use crate::{
    edit::Leaf,
    grammar::{
        access::{Access, Accessor, flag, list, optional},
        common_fields::{self, MESH_POLICY},
        member_fields::{MEMBER_KEY, MEMBER_LINK},
    },
    value::Value,
};

/// Help for the links of a mesh.
const LINKS: (&str, &str) = ("link", "Of the links of this id between all hosts");

/// Every line, in the order in which an object is written.
pub(super) static MESHES: &[Row] = &[
    leaf(
        (Mode::Mesh, Impact::Live),
        ("description", "<description>"),
        Leaf::Description,
        optional!(Mesh.description: Text),
        &[("description", "Text about this mesh")],
    ),
    secret(leaf(
        (Mode::Mesh, Impact::Rehandshake),
        ("preshared-key", "file <path>"),
        Leaf::PresharedKey,
        optional!(Mesh.preshared_key_file: Word),
        &[
            ("preshared-key", "A secret that all hosts of the mesh have"),
            ("file", "It is in a file, as `knetd genpsk` writes it"),
        ],
    )),
    leaf(
        (Mode::Mesh, Impact::Live),
        ("policy", "<policy>"),
        Leaf::Policy,
        Access::Mesh(MESH_POLICY),
        &[("policy", "How frames between its hosts choose links")],
    ),
    leaf(
        (Mode::Mesh, Impact::Live),
        ("lossy", ""),
        Leaf::Lossy,
        flag!(Mesh.lossy),
        &[(
            "lossy",
            "Do not send again over another link what was on a link that died",
        )],
    ),
    multi(leaf(
        (Mode::Mesh, Impact::Live),
        ("link <link> priority", "<priority>"),
        Leaf::LinksPriority,
        Access::Mesh(common_fields::priority::MESH),
        &[LINKS, links::PRIORITY],
    )),
    multi(leaf(
        (Mode::Mesh, Impact::Live),
        ("link <link> weight", "<weight>"),
        Leaf::LinksWeight,
        Access::Mesh(common_fields::weight::MESH),
        &[LINKS, links::WEIGHT],
    )),
    multi(leaf(
        (Mode::Mesh, Impact::Live),
        ("link <link> cost", "<cost>"),
        Leaf::LinksCost,
        Access::Mesh(common_fields::cost::MESH),
        &[LINKS, links::COST],
    )),
    multi(leaf(
        (Mode::Mesh, Impact::Live),
        ("link <link> timers", "<interval> <timeout>"),
        Leaf::LinksTimers,
        Access::Mesh(common_fields::timers::MESH),
        &[LINKS, links::TIMERS],
    )),
    multi(leaf(
        (Mode::Mesh, Impact::Live),
        ("link <link> pong-count", "<pong-count>"),
        Leaf::LinksPongCount,
        Access::Mesh(common_fields::pong_count::MESH),
        &[LINKS, links::PONG_COUNT],
    )),
    multi(leaf(
        (Mode::Mesh, Impact::Live),
        ("link <link> limit loss", "<loss-limit>"),
        Leaf::LinksLimitLoss,
        Access::Mesh(common_fields::limit_loss::MESH),
        &[LINKS, links::LIMIT, links::LOSS],
    )),
    multi(leaf(
        (Mode::Mesh, Impact::Live),
        ("link <link> limit rtt", "<rtt-limit>"),
        Leaf::LinksLimitRtt,
        Access::Mesh(common_fields::limit_rtt::MESH),
        &[LINKS, links::LIMIT, links::RTT],
    )),
    object(
        (Mode::Mesh, Impact::Rehandshake),
        ("member <member>", "public-key <key>"),
        Mode::Member,
        Some((Leaf::PublicKey, Access::Member(MEMBER_KEY))),
        &[
            (
                "member",
                "A host of the mesh, by the name of its machine or of `knetd --host`",
            ),
            ("public-key", "Its identity"),
        ],
    ),
    multi(leaf(
        (Mode::Member, Impact::Live),
        ("ip address", "<ipv4-prefix>"),
        Leaf::IpAddress,
        list!(Member.ip_addresses: Prefix),
        &[
            ("ip", "IPv4"),
            (
                "address",
                "An IPv4 address of its TAP; the first is the primary one",
            ),
        ],
    )),
    multi(leaf(
        (Mode::Member, Impact::Live),
        ("ipv6 address", "<ipv6-prefix>"),
        Leaf::Ipv6Address,
        list!(Member.ipv6_addresses: Prefix),
        &[("ipv6", "IPv6"), ("address", "An IPv6 address of its TAP")],
    )),
    multi(leaf(
        (Mode::Member, Impact::Relink),
        (
            "link <link>",
            "<member-address> [port <port>] [local <local-address>]",
        ),
        Leaf::MemberLink,
        Access::Member(MEMBER_LINK),
        &[
            (
                "link",
                "Where it is reached; hosts are linked by the links that both have",
            ),
            ("port", "Its UDP port (default 7700)"),
            (
                "local",
                "What its own socket is bound to, where others reach it by another address (default: the same)",
            ),
        ],
    )),
];
