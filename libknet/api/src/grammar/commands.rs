//! The commands as a table: sentences that do something or show something, and what each means.

use super::{
    syntax::Pattern,
    transactions::{TRANSACTIONS, Transaction},
};
use crate::{
    message::{Invite, Only, Privilege},
    value::Value,
};

mod clear;
mod domain;
mod exec;
mod invitations;
mod show;

pub use self::show::Show;

/// Where a command can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Outside the configuration, and from within it with `do` or where nothing else fits.
    Exec,
    /// In the configuration only.
    Config,
}

/// One sentence.
#[derive(Debug)]
pub struct CommandDef {
    /// Its syntax.
    pub syntax: &'static str,
    /// Help for its words; arguments have theirs in their type.
    pub help: &'static [(&'static str, &'static str)],
    /// Where it can be given.
    pub scope: Scope,
    /// What it means.
    pub bind: fn(&Arguments) -> Command,
}

/// What the words of a sentence were.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// Its keywords in full, in order.
    pub keywords: Vec<&'static str>,
    /// Its arguments in the order of the syntax, [`Value::Absent`] where not given.
    pub values: Vec<Value>,
}

impl Arguments {
    pub(super) fn has(&self, keyword: &str) -> bool {
        self.keywords.contains(&keyword)
    }

    pub(super) fn name(&self, index: usize) -> Option<String> {
        match self.values.get(index) {
            Some(Value::Word(name)) => Some(name.clone()),
            _ => None,
        }
    }

    fn only(&self, state: usize, name: usize) -> Only {
        Only {
            state: self.name(state),
            name_prefix: self.name(name),
        }
    }

    pub(super) fn number(&self, index: usize) -> Option<u32> {
        match self.values.get(index) {
            Some(Value::Number(n)) => Some(*n),
            _ => None,
        }
    }

    pub(super) fn text(&self, index: usize) -> Option<String> {
        match self.values.get(index) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// From looking to changing.
    Enable,
    /// Back to looking.
    Disable,
    /// One level out.
    Exit,
    /// Out of the configuration.
    End,
    /// How to use the shell.
    Help,
    /// Show something.
    Show(Show),
    /// Counters to zero.
    ClearCounters {
        /// Only of this interface.
        interface: Option<String>,
    },
    /// Forget the IP addresses of stations.
    ClearArp {
        /// Only of this interface.
        interface: Option<String>,
    },
    /// Open what is closed because of a loop.
    ClearLoopGuard {
        /// Only of this peer.
        peer: Option<String>,
        /// Only of this interface.
        interface: Option<String>,
    },
    /// Save the running configuration.
    WriteMemory,
    /// Round trips of control messages.
    Ping {
        /// Whom.
        peer: String,
        /// Over which link.
        link: Option<u8>,
        /// How many.
        count: u32,
        /// Of which interface.
        interface: Option<String>,
    },
    /// Events on this terminal: on or off.
    Monitor(bool),
    /// Something with the configuration as a whole.
    Transaction(Transaction),
    /// Set something for this terminal.
    Terminal(TerminalSetting),
    /// Everything that helps to find a fault, as an archive.
    TechSupport {
        /// Where to.
        file: String,
        /// In place of a file that is there.
        overwrite: bool,
    },
    /// Look at something again and again.
    Watch {
        /// At what.
        view: View,
        /// Only of this peer.
        peer: Option<String>,
        /// Seconds between two looks.
        interval: u32,
    },
    /// Measure a link.
    TestLink {
        /// To which peer.
        peer: String,
        /// Its id.
        link: u8,
        /// How many probes.
        count: u32,
        /// Of which interface.
        interface: Option<String>,
    },
    /// Events of a peer on this terminal: on for a while, or off.
    Debug {
        /// Whom.
        peer: String,
        /// Only of this link.
        link: Option<u8>,
        /// On or off.
        on: bool,
    },
    /// Events of no peer on this terminal.
    UndebugAll,
    /// A session, or a link, begins anew.
    Reset {
        /// With whom.
        peer: String,
        /// Only this link.
        link: Option<u8>,
        /// Of which interface.
        interface: Option<String>,
        /// Without asking.
        force: bool,
    },
    /// A new private key.
    GenerateKey {
        /// Name of its file.
        file: String,
    },
    /// Read the configuration file again.
    ReloadConfig,
    /// Make an invitation.
    Invite(Invite),
    /// Become a peer of a hub by an invitation.
    Join {
        /// What the hub made.
        invitation: String,
        /// By which interface; it is made if it is not there.
        interface: Option<String>,
    },
    /// Take back an invitation that nobody has used.
    ClearInvitation {
        /// Which one; `None`: all of them.
        id: Option<String>,
        /// Only of this interface.
        interface: Option<String>,
    },
    /// Expel a peer that has come by an invitation.
    RemoveMember {
        /// Its name.
        peer: String,
        /// Of which interface.
        interface: Option<String>,
    },
    /// Take back what a peer was given out of a pool.
    ClearIpPoolLease {
        /// Its name.
        peer: String,
        /// Of which interface.
        interface: Option<String>,
    },
}

/// What is looked at again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Links.
    Links,
    /// Peers.
    Peers,
    /// Interfaces, or one peer.
    Traffic,
}

/// What is set for a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminalSetting {
    /// Lines of a screen, 0: texts do not stop. `None`: as many as it has.
    Length(Option<u16>),
    /// Characters of a line. `None`: as many as it has.
    Width(Option<u16>),
    /// Seconds without a key after which the shell ends. `None`: never.
    ExecTimeout(Option<u32>),
}

impl Command {
    /// Who may give it. The daemon decides; the shell only leaves out of its help what would be refused.
    pub const fn privilege(&self) -> Privilege {
        match self {
            Self::Transaction(_)
            | Self::ClearCounters { .. }
            | Self::ClearArp { .. }
            | Self::ClearLoopGuard { .. }
            | Self::WriteMemory
            | Self::TestLink { .. }
            | Self::Reset { .. }
            | Self::GenerateKey { .. }
            | Self::ReloadConfig
            | Self::Invite(_)
            | Self::Join { .. }
            | Self::ClearInvitation { .. }
            | Self::RemoveMember { .. }
            | Self::ClearIpPoolLease { .. } => Privilege::Admin,
            Self::Enable
            | Self::Disable
            | Self::Exit
            | Self::End
            | Self::Help
            | Self::Show(_)
            | Self::Ping { .. }
            | Self::Monitor(_)
            | Self::Terminal(_)
            | Self::TechSupport { .. }
            | Self::Watch { .. }
            | Self::Debug { .. }
            | Self::UndebugAll => Privilege::Operator,
        }
    }
}

impl CommandDef {
    /// Who may give the command.
    pub fn privilege(&self) -> Privilege {
        (self.bind)(&Arguments::default()).privilege()
    }

    /// Its syntax, read; a test reads them all.
    pub(crate) fn pattern(&self) -> Pattern {
        Pattern::parse(self.syntax).unwrap_or(Pattern::Sequence(Vec::new()))
    }
}

/// Lines that `show logging` shows where no number is given.
const LOGGING_LINES: u32 = 100;
/// Turns that `ping` takes where no number is given.
const PING_COUNT: u32 = 5;

const SHOW: (&str, &str) = ("show", "Show state and configuration");
const ONLY: (&str, &str) = ("interface", "Of one interface only");
const STATE: (&str, &str) = ("state", "Those in one state only");
const NAME: (&str, &str) = ("name", "Peers whose names begin so only");

pub(super) const fn exec(
    syntax: &'static str,
    bind: fn(&Arguments) -> Command,
    help: &'static [(&'static str, &'static str)],
) -> CommandDef {
    CommandDef {
        syntax,
        help,
        scope: Scope::Exec,
        bind,
    }
}

pub(super) const fn config(
    syntax: &'static str,
    bind: fn(&Arguments) -> Command,
    help: &'static [(&'static str, &'static str)],
) -> CommandDef {
    CommandDef {
        syntax,
        help,
        scope: Scope::Config,
        bind,
    }
}

/// Every command.
pub fn all() -> impl Iterator<Item = &'static CommandDef> + Clone {
    let about_the_daemon = COMMANDS
        .iter()
        .chain(clear::COMMANDS)
        .chain(domain::COMMANDS)
        .chain(exec::COMMANDS)
        .chain(exec::ACTIONS)
        .chain(invitations::COMMANDS);
    about_the_daemon.chain(TRANSACTIONS)
}

static COMMANDS: &[CommandDef] = &[
    exec(
        "show version",
        |_| Command::Show(Show::Version),
        &[SHOW, ("version", "Versions, uptime, configuration file")],
    ),
    exec(
        "show interfaces [<interface>]",
        |a| Command::Show(Show::Interfaces { interface: a.name(0) }),
        &[
            SHOW,
            ("interfaces", "Interfaces, their counters and discarded packets"),
        ],
    ),
    exec(
        "show ip interface brief",
        |_| Command::Show(Show::Addresses),
        &[
            SHOW,
            ("ip", "Addresses"),
            ("interface", "Of interfaces"),
            (
                "brief",
                "One line for each interface: its state, addresses and peers",
            ),
        ],
    ),
    exec(
        "show peers [state <peer-state>] [name <name-prefix>] [interface <interface>]",
        |a| {
            Command::Show(Show::Peers {
                interface: a.name(2),
                only: a.only(0, 1),
            })
        },
        &[SHOW, ("peers", "All peers, one line each"), STATE, NAME, ONLY],
    ),
    exec(
        "show peer <peer> [interface <interface>]",
        |a| {
            Command::Show(Show::Peer {
                peer: a.name(0).unwrap_or_default(),
                interface: a.name(1),
            })
        },
        &[SHOW, ("peer", "Everything about one peer"), ONLY],
    ),
    exec(
        "show peer-group [<group>] [interface <interface>]",
        |a| {
            Command::Show(Show::Groups {
                group: a.name(0),
                interface: a.name(1),
            })
        },
        &[SHOW, ("peer-group", "Groups of peers, one line each"), ONLY],
    ),
    show::HUB_GROUPS,
    exec(
        "show peer <peer> history [last <lines>] [interface <interface>]",
        |a| {
            Command::Show(Show::PeerHistory {
                peer: a.name(0).unwrap_or_default(),
                last: a.number(1),
                interface: a.name(2),
            })
        },
        &[
            SHOW,
            ("peer", "Everything about one peer"),
            ("history", "What happened to it, and why"),
            ("last", "The latest events only"),
            ONLY,
        ],
    ),
    exec(
        "show links [state <link-state>] [(peer <peer>|name <name-prefix>)] [interface <interface>]",
        |a| {
            Command::Show(Show::Links {
                peer: a.name(1),
                interface: a.name(3),
                only: a.only(0, 2),
            })
        },
        &[
            SHOW,
            ("links", "All links, one line each"),
            ("peer", "Of one peer only"),
            STATE,
            NAME,
            ONLY,
        ],
    ),
    exec(
        "show running-config [all]",
        |a| {
            Command::Show(Show::RunningConfig {
                all: a.has("all"),
                interface: None,
            })
        },
        &[
            SHOW,
            ("running-config", "The configuration in force"),
            ("all", "Settings at their default, too"),
        ],
    ),
    exec(
        "show running-config interface <interface>",
        |a| {
            Command::Show(Show::RunningConfig {
                all: false,
                interface: a.name(0),
            })
        },
        &[
            SHOW,
            ("running-config", "The configuration in force"),
            ("interface", "Of one interface only"),
        ],
    ),
    exec(
        "show running-config expanded",
        |_| Command::Show(Show::ExpandedConfig),
        &[
            SHOW,
            ("running-config", "The configuration in force"),
            (
                "expanded",
                "What it is on this host: meshes as peers, without groups and other hosts",
            ),
        ],
    ),
    exec(
        "show startup-config",
        |_| Command::Show(Show::StartupConfig),
        &[SHOW, ("startup-config", "The configuration file")],
    ),
    exec(
        "show logging [<lines>]",
        |a| {
            Command::Show(Show::Logging {
                lines: a.number(0).unwrap_or(LOGGING_LINES),
            })
        },
        &[
            SHOW,
            ("logging", "The latest lines of the daemon's log (default 100)"),
        ],
    ),
    exec(
        "show history",
        |_| Command::Show(Show::History),
        &[SHOW, ("history", "What was typed in this session")],
    ),
    exec(
        "show commands",
        |_| Command::Show(Show::Commands { word: None }),
        &[
            SHOW,
            ("commands", "Every command and every line of the configuration"),
        ],
    ),
    exec(
        "find <words>",
        |a| Command::Show(Show::Commands { word: a.text(0) }),
        &[(
            "find",
            "Commands and lines of the configuration that speak of a word",
        )],
    ),
    exec(
        "ping peer <peer> [link <link>] [count <count>] [interface <interface>]",
        |a| Command::Ping {
            peer: a.name(0).unwrap_or_default(),
            link: a.number(1).and_then(|n| n.try_into().ok()),
            count: a.number(2).unwrap_or(PING_COUNT),
            interface: a.name(3),
        },
        &[
            ("ping", "Test whether others answer"),
            (
                "peer",
                "Round trips of control messages through the tunnel to a peer",
            ),
            ("link", "Over one link only (default: over each)"),
            ("count", "How many (default 5)"),
            ("interface", "Of this interface"),
        ],
    ),
    exec(
        "terminal monitor",
        |_| Command::Monitor(true),
        &[
            ("terminal", "This terminal"),
            ("monitor", "Show events as they happen"),
        ],
    ),
    exec(
        "no terminal monitor",
        |_| Command::Monitor(false),
        &[
            ("no", "Undo"),
            ("terminal", "This terminal"),
            ("monitor", "Show events as they happen"),
        ],
    ),
    exec(
        "write [memory]",
        |_| Command::WriteMemory,
        &[
            ("write", "Save the running configuration"),
            ("memory", "To the configuration file"),
        ],
    ),
    exec(
        "copy running-config startup-config",
        |_| Command::WriteMemory,
        &[
            ("copy", "Save the running configuration"),
            ("running-config", "From the configuration in force"),
            ("startup-config", "As the configuration file"),
        ],
    ),
    exec(
        "enable",
        |_| Command::Enable,
        &[("enable", "Turn on commands that change")],
    ),
    exec(
        "disable",
        |_| Command::Disable,
        &[("disable", "Turn off commands that change")],
    ),
    exec("help", |_| Command::Help, &[("help", "How to use this shell")]),
    exec(
        "(exit|quit|logout)",
        |_| Command::Exit,
        &[
            ("exit", "Leave the shell"),
            ("quit", "Leave the shell"),
            ("logout", "Leave the shell"),
        ],
    ),
    config("exit", |_| Command::Exit, &[("exit", "One level out")]),
    config(
        "end",
        |_| Command::End,
        &[("end", "Out of the configuration (Ctrl-Z)")],
    ),
];
