//! The configuration as a table: each line that can be configured, once. Parsing, help, completion, `no`,
//! rendering, differences and the reference are all read from here.

use super::{
    access::{Access, Accessor, flag, list, number, optional, optional_number},
    fields::{CIPHER, ENDPOINT, LOCAL, MTU, MTU_POLICY, POLICY, TIMERS, WEIGHT},
};
use crate::{
    edit::{Context, Leaf},
    model::{InterfaceConfig, LinkConfig},
    value::Value,
};

/// What kind of object a line belongs to: a mode of the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Not in the configuration: commands.
    Exec,
    /// The top of the configuration.
    Global,
    /// In an interface.
    Interface,
    /// In a peer.
    Peer,
    /// In a link.
    Link,
}

impl Mode {
    /// All modes of the configuration, from the outside in.
    pub const CONFIG: [Self; 4] = [Self::Global, Self::Interface, Self::Peer, Self::Link];

    /// The mode of an object.
    pub const fn of(context: &Context) -> Self {
        match context {
            Context::Global => Self::Global,
            Context::Interface { .. } => Self::Interface,
            Context::Peer { .. } => Self::Peer,
            Context::Link { .. } => Self::Link,
        }
    }
}

/// What a change of the line does to traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impact {
    /// Takes effect at once, and nothing is lost.
    Live,
    /// The link, or the links of the socket, start afresh.
    Relink,
    /// The session with the peer is made anew.
    Rehandshake,
    /// The interface and all its sessions start afresh.
    Restart,
}

/// One line of the configuration.
#[derive(Debug)]
pub struct Row {
    /// Where it stands.
    pub mode: Mode,
    /// The beginning of its syntax: enough to name it, so that `no` needs no more.
    pub key: &'static str,
    /// The rest of its syntax.
    pub tail: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether there can be several in one object.
    pub multi: bool,
    /// Whether it points to a secret: kept out of support bundles.
    pub secret: bool,
    /// What a change does to traffic.
    pub impact: Impact,
    /// Help for the words of its syntax; arguments have theirs in their type.
    pub help: &'static [(&'static str, &'static str)],
}

/// What a line holds.
#[derive(Debug)]
pub enum Kind {
    /// A setting.
    Leaf(Leaf, Access),
    /// An object with lines of its own, in the mode that it opens; perhaps with a setting in the same line.
    Object(Mode, Option<(Leaf, Access)>),
}

impl Row {
    /// The setting that it holds, if it holds one.
    pub fn setting(&self) -> Option<(Leaf, &Access)> {
        match &self.kind {
            Kind::Leaf(leaf, access) | Kind::Object(_, Some((leaf, access))) => Some((*leaf, access)),
            Kind::Object(_, None) => None,
        }
    }

    /// Key and tail together.
    pub fn syntax(&self) -> String {
        format!("{} {}", self.key, self.tail).trim_end().to_owned()
    }
}

/// A row whose setting stands once in an object.
const fn leaf(
    (mode, impact): (Mode, Impact),
    (key, tail): (&'static str, &'static str),
    setting: Leaf,
    access: Access,
    help: &'static [(&'static str, &'static str)],
) -> Row {
    Row {
        mode,
        key,
        tail,
        kind: Kind::Leaf(setting, access),
        multi: false,
        secret: false,
        impact,
        help,
    }
}

const fn multi(row: Row) -> Row {
    Row { multi: true, ..row }
}

const fn secret(row: Row) -> Row {
    Row { secret: true, ..row }
}

const fn object(
    (mode, impact): (Mode, Impact),
    (key, tail): (&'static str, &'static str),
    opens: Mode,
    setting: Option<(Leaf, Access)>,
    help: &'static [(&'static str, &'static str)],
) -> Row {
    Row {
        mode,
        key,
        tail,
        kind: Kind::Object(opens, setting),
        multi: true,
        secret: false,
        impact,
        help,
    }
}

/// Every line, in the order in which an object is written: settings before what stands inside, so that a line
/// never goes to an object inside when it is read back.
pub static SCHEMA: &[Row] = &[
    leaf(
        (Mode::Global, Impact::Live),
        ("hostname", "<hostname>"),
        Leaf::Hostname,
        optional!(Global.hostname: Word),
        &[("hostname", "Name of this node")],
    ),
    object(
        (Mode::Global, Impact::Restart),
        ("interface <interface>", ""),
        Mode::Interface,
        None,
        &[("interface", "An overlay: a key, a TAP, its peers")],
    ),
    leaf(
        (Mode::Interface, Impact::Live),
        ("description", "<description>"),
        Leaf::Description,
        optional!(Interface.description: Text),
        &[("description", "Text about this interface")],
    ),
    secret(leaf(
        (Mode::Interface, Impact::Restart),
        ("private-key", "file <path>"),
        Leaf::PrivateKey,
        optional!(Interface.private_key_file: Word),
        &[
            ("private-key", "This node's key in the overlay"),
            ("file", "It is in a file, as `knetd genkey` writes it"),
        ],
    )),
    leaf(
        (Mode::Interface, Impact::Live),
        ("mac-address", "<mac>"),
        Leaf::MacAddress,
        optional!(Interface.mac_address: Mac),
        &[(
            "mac-address",
            "Ethernet address of the TAP (default: derived from the key)",
        )],
    ),
    leaf(
        (Mode::Interface, Impact::Live),
        ("mtu", "<mtu>"),
        Leaf::Mtu,
        Access::Interface(MTU),
        &[("mtu", "Largest packet in the overlay")],
    ),
    multi(leaf(
        (Mode::Interface, Impact::Live),
        ("ip address", "<ipv4-prefix>"),
        Leaf::IpAddress,
        list!(Interface.ip_addresses: Prefix),
        &[
            ("ip", "IPv4"),
            (
                "address",
                "An IPv4 address of the TAP; the first is the primary one",
            ),
        ],
    )),
    multi(leaf(
        (Mode::Interface, Impact::Live),
        ("ipv6 address", "<ipv6-prefix>"),
        Leaf::Ipv6Address,
        list!(Interface.ipv6_addresses: Prefix),
        &[("ipv6", "IPv6"), ("address", "An IPv6 address of the TAP")],
    )),
    leaf(
        (Mode::Interface, Impact::Live),
        ("mac ageing-time", "<ageing-time>"),
        Leaf::MacAgeing,
        number!(Interface(InterfaceConfig).mac_ageing),
        &[
            ("mac", "The table of MAC addresses"),
            ("ageing-time", "When learned addresses are forgotten"),
        ],
    ),
    leaf(
        (Mode::Interface, Impact::Live),
        ("mtu-policy", "<mtu-policy>"),
        Leaf::MtuPolicy,
        Access::Interface(MTU_POLICY),
        &[(
            "mtu-policy",
            "What happens to packets that are too long for the path",
        )],
    ),
    leaf(
        (Mode::Interface, Impact::Live),
        ("dscp", "<dscp>"),
        Leaf::Dscp,
        number!(Interface(InterfaceConfig).dscp),
        &[("dscp", "Service class of the datagrams that carry frames")],
    ),
    leaf(
        (Mode::Interface, Impact::Restart),
        ("cipher", "<cipher>"),
        Leaf::Cipher,
        Access::Interface(CIPHER),
        &[("cipher", "What sessions may be encrypted with")],
    ),
    leaf(
        (Mode::Interface, Impact::Restart),
        ("workers", "<workers>"),
        Leaf::Workers,
        optional_number!(Interface.workers),
        &[(
            "workers",
            "Threads that share the peers (default: one for two processors)",
        )],
    ),
    multi(leaf(
        (Mode::Interface, Impact::Relink),
        ("local <local>", "<local-address> port <port> [device <device>]"),
        Leaf::Local,
        Access::Interface(LOCAL),
        &[
            ("local", "A UDP socket of this interface"),
            ("port", "Its UDP port"),
            ("device", "Use this network device only"),
        ],
    )),
    leaf(
        (Mode::Interface, Impact::Restart),
        ("shutdown", ""),
        Leaf::Shutdown,
        flag!(Interface.shutdown),
        &[("shutdown", "Take the interface out of service")],
    ),
    object(
        (Mode::Interface, Impact::Rehandshake),
        ("peer <peer>", ""),
        Mode::Peer,
        None,
        &[("peer", "A node at the other end of links")],
    ),
    leaf(
        (Mode::Peer, Impact::Live),
        ("description", "<description>"),
        Leaf::Description,
        optional!(Peer.description: Text),
        &[("description", "Text about this peer")],
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
    leaf(
        (Mode::Peer, Impact::Live),
        ("policy", "<policy>"),
        Leaf::Policy,
        Access::Peer(POLICY),
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
        ("lossy", ""),
        Leaf::Lossy,
        flag!(Peer.lossy),
        &[(
            "lossy",
            "Do not send again over another link what was on a link that died",
        )],
    ),
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
    leaf(
        (Mode::Peer, Impact::Rehandshake),
        ("shutdown", ""),
        Leaf::Shutdown,
        flag!(Peer.shutdown),
        &[("shutdown", "Take the peer out of service")],
    ),
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
        (Mode::Link, Impact::Live),
        ("priority", "<priority>"),
        Leaf::Priority,
        number!(Link(LinkConfig).priority),
        &[("priority", "Preference under the passive policy")],
    ),
    leaf(
        (Mode::Link, Impact::Live),
        ("weight", "<weight>"),
        Leaf::Weight,
        Access::Link(WEIGHT),
        &[(
            "weight",
            "Share where links share the traffic (round-robin, flow-hash)",
        )],
    ),
    leaf(
        (Mode::Link, Impact::Live),
        ("cost", "<cost>"),
        Leaf::Cost,
        number!(Link(LinkConfig).cost),
        &[(
            "cost",
            "What its bytes cost: used only while no link that costs less is up",
        )],
    ),
    leaf(
        (Mode::Link, Impact::Live),
        ("timers", "<interval> <timeout>"),
        Leaf::Timers,
        Access::Link(TIMERS),
        &[("timers", "Heartbeats: interval and timeout")],
    ),
    leaf(
        (Mode::Link, Impact::Live),
        ("pong-count", "<pong-count>"),
        Leaf::PongCount,
        number!(Link(LinkConfig).pong_count),
        &[("pong-count", "Answers that bring the link back up")],
    ),
    leaf(
        (Mode::Link, Impact::Live),
        ("limit loss", "<loss-limit>"),
        Leaf::LimitLoss,
        optional_number!(Link.limit_loss),
        &[
            ("limit", "When the link is avoided while another one is up"),
            (
                "loss",
                "Loss above this for two seconds; used again after thirty clean ones",
            ),
        ],
    ),
    leaf(
        (Mode::Link, Impact::Live),
        ("limit rtt", "<rtt-limit>"),
        Leaf::LimitRtt,
        optional_number!(Link.limit_rtt),
        &[
            ("limit", "When the link is avoided while another one is up"),
            (
                "rtt",
                "Round trip above this for two seconds; used again after thirty good ones",
            ),
        ],
    ),
    leaf(
        (Mode::Link, Impact::Relink),
        ("shutdown", ""),
        Leaf::Shutdown,
        flag!(Link.shutdown),
        &[("shutdown", "Take the link out of service")],
    ),
];

/// The row of a setting.
pub fn row_of(mode: Mode, leaf: Leaf) -> Option<&'static Row> {
    SCHEMA.iter().find(|row| {
        let holder = match row.kind {
            Kind::Leaf(..) => row.mode,
            Kind::Object(opens, _) => opens,
        };
        holder == mode && row.setting().is_some_and(|(l, _)| l == leaf)
    })
}

/// The row that makes the objects of `mode`.
pub fn object_row(mode: Mode) -> Option<&'static Row> {
    SCHEMA
        .iter()
        .find(|row| matches!(row.kind, Kind::Object(opens, _) if opens == mode))
}

/// The rows that stand in objects of `mode`, in order.
pub fn rows_in(mode: Mode) -> impl Iterator<Item = &'static Row> {
    SCHEMA.iter().filter(move |row| row.mode == mode)
}
