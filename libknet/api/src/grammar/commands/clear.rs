//! Commands that forget what was counted or learned.

use super::{Command, CommandDef, exec};

/// Every command of this kind.
pub(super) static COMMANDS: &[CommandDef] = &[
    exec(
        "clear counters [<interface>]",
        |a| Command::ClearCounters { interface: a.name(0) },
        &[
            ("clear", "Reset what harms no traffic"),
            ("counters", "Counters to zero (default: of all interfaces)"),
        ],
    ),
    exec(
        "clear arp [<interface>]",
        |a| Command::ClearArp { interface: a.name(0) },
        &[
            ("clear", "Reset what harms no traffic"),
            (
                "arp",
                "Forget IP addresses of stations (default: of all interfaces)",
            ),
        ],
    ),
    exec(
        "clear loop-guard [peer <peer>] [interface <interface>]",
        |a| Command::ClearLoopGuard {
            peer: a.name(0),
            interface: a.name(1),
        },
        &[
            ("clear", "Reset what harms no traffic"),
            (
                "loop-guard",
                "Open what is closed because of a loop (default: of all interfaces)",
            ),
            ("peer", "Of one peer"),
            ("interface", "Of this interface"),
        ],
    ),
];
