//! Commands of the terminal, and those that watch, test and disturb what runs.

use super::{Arguments, Command, CommandDef, ONLY, SHOW, Show, TerminalSetting, View, exec};

/// Probes that `test link` sends where no number is given.
const PROBES: u32 = 100;
/// Seconds between two looks of `monitor` where no number is given.
const INTERVAL: u32 = 1;

const TERMINAL: (&str, &str) = ("terminal", "This terminal");
const MONITOR: (&str, &str) = ("monitor", "Watch until Ctrl-C");
const EVERY: (&str, &str) = ("interval", "Time between two looks (default 1 second)");
const OF_PEER: (&str, &str) = ("peer", "Of one peer only");
const DEBUG: (&str, &str) = ("debug", "Show what happens on this terminal, for 30 minutes");
const UNDEBUG: (&str, &str) = ("undebug", "Do not show it any more");
const OF_LINK: (&str, &str) = ("link", "Of one link only");
const CRYPTO: (&str, &str) = ("crypto", "Keys");
const KEY: (&str, &str) = ("key", "Keys of interfaces");
const NO: (&str, &str) = ("no", "Undo");
const LENGTH: (&str, &str) = ("length", "Lines of a screen, after which long texts stop");
const WIDTH: (&str, &str) = ("width", "Characters of a line");
const TIMEOUT: (&str, &str) = ("exec-timeout", "Time without a key after which the shell ends");

/// Every command of this kind.
pub(super) static COMMANDS: &[CommandDef] = &[
    exec(
        "show terminal",
        |_| Command::Show(Show::Terminal),
        &[SHOW, ("terminal", "What is set for this terminal")],
    ),
    exec(
        "show drops [<interface>]",
        |a| Command::Show(Show::Drops { interface: a.name(0) }),
        &[
            SHOW,
            ("drops", "Discarded packets by reason, and how fast they grow"),
        ],
    ),
    exec(
        "show certificates [<interface>]",
        |a| Command::Show(Show::Certificates { interface: a.name(0) }),
        &[
            SHOW,
            (
                "certificates",
                "Our certificates, and those by which peers are there, and when they end",
            ),
        ],
    ),
    exec(
        "show limits [<interface>]",
        |a| Command::Show(Show::Limits { interface: a.name(0) }),
        &[
            SHOW,
            (
                "limits",
                "Every bound, what is used of it, and what happens past it",
            ),
        ],
    ),
    exec(
        "show memory [<interface>]",
        |a| Command::Show(Show::Memory { interface: a.name(0) }),
        &[SHOW, ("memory", "Memory that is in use, and what for")],
    ),
    exec(
        "show topology [interface <interface>]",
        |a| Command::Show(Show::Topology { interface: a.name(0) }),
        &[SHOW, ("topology", "Interfaces, peers and links as a tree"), ONLY],
    ),
    exec(
        "show tech-support",
        |_| Command::Show(Show::TechSupport),
        &[
            SHOW,
            (
                "tech-support",
                "Everything that helps to find a fault, without secrets",
            ),
        ],
    ),
    exec(
        "show tech-support archive <new-file> [overwrite]",
        |a| Command::TechSupport {
            file: a.name(0).unwrap_or_default(),
            overwrite: a.has("overwrite"),
        },
        &[
            SHOW,
            (
                "tech-support",
                "Everything that helps to find a fault, without secrets",
            ),
            ("archive", "As a compressed archive (tar.gz)"),
            ("overwrite", "In place of a file that is there"),
        ],
    ),
    exec(
        "terminal length <screen-lines>",
        |a| Command::Terminal(TerminalSetting::Length(a.size(0))),
        &[TERMINAL, LENGTH],
    ),
    exec(
        "no terminal length",
        |_| Command::Terminal(TerminalSetting::Length(None)),
        &[NO, TERMINAL, ("length", "As many lines as the terminal has")],
    ),
    exec(
        "terminal width <screen-columns>",
        |a| Command::Terminal(TerminalSetting::Width(a.size(0))),
        &[TERMINAL, WIDTH],
    ),
    exec(
        "no terminal width",
        |_| Command::Terminal(TerminalSetting::Width(None)),
        &[NO, TERMINAL, ("width", "As many characters as the terminal has")],
    ),
    exec(
        "terminal exec-timeout <exec-minutes> [<exec-seconds>]",
        |a| {
            let seconds = a.number(0).unwrap_or(0) * 60 + a.number(1).unwrap_or(0);
            let timeout = Some(seconds).filter(|seconds| *seconds > 0);
            Command::Terminal(TerminalSetting::ExecTimeout(timeout))
        },
        &[TERMINAL, TIMEOUT],
    ),
    exec(
        "no terminal exec-timeout",
        |_| Command::Terminal(TerminalSetting::ExecTimeout(None)),
        &[NO, TERMINAL, ("exec-timeout", "The shell waits for ever")],
    ),
];

/// Commands that go on for a while, or disturb traffic.
pub(super) static ACTIONS: &[CommandDef] = &[
    exec(
        "monitor links [peer <peer>] [interval <interval-seconds>]",
        |a| Command::Watch {
            view: View::Links,
            peer: a.name(0),
            interval: a.number(1).unwrap_or(INTERVAL),
        },
        &[
            MONITOR,
            ("links", "Rates, times and losses of links"),
            OF_PEER,
            EVERY,
        ],
    ),
    exec(
        "monitor peers [peer <peer>] [interval <interval-seconds>]",
        |a| Command::Watch {
            view: View::Peers,
            peer: a.name(0),
            interval: a.number(1).unwrap_or(INTERVAL),
        },
        &[MONITOR, ("peers", "Rates of peers"), OF_PEER, EVERY],
    ),
    exec(
        "monitor traffic [peer <peer>] [interval <interval-seconds>]",
        |a| Command::Watch {
            view: View::Traffic,
            peer: a.name(0),
            interval: a.number(1).unwrap_or(INTERVAL),
        },
        &[
            MONITOR,
            ("traffic", "Rates of interfaces, or of one peer"),
            OF_PEER,
            EVERY,
        ],
    ),
    exec(
        "test link <peer> <link> [count <count>] [interface <interface>]",
        |a| Command::TestLink {
            peer: a.name(0).unwrap_or_default(),
            link: a.link(1).unwrap_or_default(),
            count: a.number(2).unwrap_or(PROBES),
            interface: a.name(3),
        },
        &[
            ("test", "Measure"),
            (
                "link",
                "Loss and round-trip times of many small probes over one link",
            ),
            ("count", "How many probes (default 100)"),
            ("interface", "Of this interface"),
        ],
    ),
    exec(
        "debug peer <peer> [link <link>]",
        |a| Command::Debug {
            peer: a.name(0).unwrap_or_default(),
            link: a.link(1),
            on: true,
        },
        &[DEBUG, ("peer", "Of one peer"), OF_LINK],
    ),
    exec(
        "(undebug|no debug) peer <peer> [link <link>]",
        |a| Command::Debug {
            peer: a.name(0).unwrap_or_default(),
            link: a.link(1),
            on: false,
        },
        &[
            UNDEBUG,
            NO,
            ("debug", "Do not show it any more"),
            ("peer", "Of one peer"),
            OF_LINK,
        ],
    ),
    exec(
        "(undebug|no debug) all",
        |_| Command::UndebugAll,
        &[
            UNDEBUG,
            NO,
            ("debug", "Do not show it any more"),
            ("all", "Of nobody"),
        ],
    ),
    exec(
        "show debugging",
        |_| Command::Show(Show::Debugging),
        &[
            SHOW,
            ("debugging", "What is shown on this terminal as it happens"),
        ],
    ),
    exec(
        "reset peer <peer> [link <link>] [interface <interface>] [force]",
        |a| Command::Reset {
            peer: a.name(0).unwrap_or_default(),
            link: a.link(1),
            interface: a.name(2),
            force: a.has("force"),
        },
        &[
            ("reset", "Begin anew what runs; disturbs traffic"),
            ("peer", "The session with a peer"),
            ("link", "One link only; the session stays"),
            ("interface", "Of this interface"),
            ("force", "Without asking; needed where nobody can be asked"),
        ],
    ),
    exec(
        "crypto key generate <key-file>",
        |a| Command::GenerateKey {
            file: a.name(0).unwrap_or_default(),
        },
        &[
            CRYPTO,
            KEY,
            (
                "generate",
                "A new private key in a new file beside the configuration",
            ),
        ],
    ),
    exec(
        "crypto key show [<interface>]",
        |a| Command::Show(Show::PublicKeys { interface: a.name(0) }),
        &[
            CRYPTO,
            KEY,
            ("show", "Public keys of interfaces, for their peers"),
        ],
    ),
    exec(
        "reload config",
        |_| Command::ReloadConfig,
        &[
            ("reload", "Read again"),
            (
                "config",
                "The configuration file, and put what has changed into force",
            ),
        ],
    ),
];

impl Arguments {
    fn link(&self, index: usize) -> Option<u8> {
        self.number(index).and_then(|n| n.try_into().ok())
    }

    fn size(&self, index: usize) -> Option<u16> {
        self.number(index).and_then(|n| n.try_into().ok())
    }
}
