//! The lines that say which addresses a peer may use, of peers and of groups.

use super::{Impact, Mode, Row, leaf, multi};
use crate::{
    edit::Leaf,
    grammar::{access::Access, guard_fields},
};

/// The rows of a peer or of a group.
macro_rules! rows {
    ($mode:ident, $accessor:ident, $who:literal) => {
        pub(in crate::grammar::schema) const MAC_ALLOWED: Row = multi(leaf(
            (Mode::$mode, Impact::Live),
            ("mac allowed", "<mac>"),
            Leaf::MacAllowed,
            Access::$mode(guard_fields::mac_allowed::$accessor),
            &[
                ("mac", "The table of MAC addresses"),
                (
                    "allowed",
                    concat!(
                        "An address that ",
                        $who,
                        " may send from; frames from others are dropped"
                    ),
                ),
            ],
        ));
        pub(in crate::grammar::schema) const IP_BINDING: Row = multi(leaf(
            (Mode::$mode, Impact::Live),
            ("ip source binding", "<ipv4-binding>"),
            Leaf::IpBinding,
            Access::$mode(guard_fields::ip_binding::$accessor),
            &[
                ("ip", "IPv4"),
                ("source", "Addresses to send from"),
                ("binding", concat!("One that is given to ", $who)),
            ],
        ));
        pub(in crate::grammar::schema) const IPV6_BINDING: Row = multi(leaf(
            (Mode::$mode, Impact::Live),
            ("ipv6 source binding", "<ipv6-binding>"),
            Leaf::Ipv6Binding,
            Access::$mode(guard_fields::ipv6_binding::$accessor),
            &[
                ("ipv6", "IPv6"),
                ("source", "Addresses to send from"),
                ("binding", concat!("One that is given to ", $who)),
            ],
        ));
        pub(in crate::grammar::schema) const VERIFY_SOURCE: Row = leaf(
            (Mode::$mode, Impact::Live),
            ("ip verify source", ""),
            Leaf::VerifySource,
            Access::$mode(guard_fields::verify_source::$accessor),
            &[
                ("ip", "IP, of both versions"),
                ("verify", "Drop what should not come"),
                (
                    "source",
                    concat!(
                        "Packets of ",
                        $who,
                        " that are not from an address given to it"
                    ),
                ),
            ],
        );
        pub(in crate::grammar::schema) const ARP_INSPECTION: Row = leaf(
            (Mode::$mode, Impact::Live),
            ("arp inspection", ""),
            Leaf::ArpInspection,
            Access::$mode(guard_fields::arp_inspection::$accessor),
            &[
                ("arp", "ARP, and neighbour discovery of IPv6"),
                (
                    "inspection",
                    concat!(
                        "Drop what claims an address for ",
                        $who,
                        " that was not given to it"
                    ),
                ),
            ],
        );
        pub(in crate::grammar::schema) const VALIDATE_SOURCE_MAC: Row = leaf(
            (Mode::$mode, Impact::Live),
            ("arp inspection validate source-mac", ""),
            Leaf::ValidateSourceMac,
            Access::$mode(guard_fields::validate_source_mac::$accessor),
            &[
                ("arp", "ARP, and neighbour discovery of IPv6"),
                ("inspection", "Drop what should not come"),
                ("validate", "What must agree in it"),
                (
                    "source-mac",
                    concat!(
                        "The MAC address that it names and the one that the frame of ",
                        $who,
                        " comes from"
                    ),
                ),
            ],
        );
        pub(in crate::grammar::schema) const ROUTER_GUARD: Row = leaf(
            (Mode::$mode, Impact::Live),
            ("router-guard ip multicast", ""),
            Leaf::RouterGuard,
            Access::$mode(guard_fields::router_guard::$accessor),
            &[
                ("router-guard", "Drop what only a router sends"),
                ("ip", "IP, of both versions"),
                (
                    "multicast",
                    concat!("Queries of IGMP and MLD, and PIM, of ", $who),
                ),
            ],
        );
        pub(in crate::grammar::schema) const MAC_STICKY: Row = leaf(
            (Mode::$mode, Impact::Live),
            ("mac sticky", "[<mac-limit>]"),
            Leaf::MacSticky,
            Access::$mode(guard_fields::mac_sticky::$accessor),
            &[
                ("mac", "The table of MAC addresses"),
                (
                    "sticky",
                    concat!(
                        "The first addresses that ",
                        $who,
                        " sends from stay its own, and frames from others are dropped (default: one)"
                    ),
                ),
            ],
        );
    };
}

pub(super) mod peer {
    use super::{Access, Impact, Leaf, Mode, Row, guard_fields, leaf, multi};

    rows!(Peer, PEER, "this peer");
}

pub(super) mod group {
    use super::{Access, Impact, Leaf, Mode, Row, guard_fields, leaf, multi};

    rows!(Group, GROUP, "each of its peers");
}
