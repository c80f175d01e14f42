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
    use super::*;

    rows!(Peer, PEER, "this peer");
}

pub(super) mod group {
    use super::*;

    rows!(Group, GROUP, "each of its peers");
}
