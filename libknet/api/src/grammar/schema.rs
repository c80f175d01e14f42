//! The configuration as a table: each line that can be configured, once. Parsing, help, completion, `no`,
//! rendering, differences and the reference are all read from here.

use super::{
    access::{Access, Accessor, flag, list, number, optional, optional_number},
    common_fields::INTERFACE_SWITCHPORT,
    fields::{CIPHER, LOCAL, METRICS_LISTEN, MTU, MTU_POLICY},
    negotiated_fields::{IP_NEGOTIATED, IPV6_NEGOTIATED},
};
use crate::{
    edit::{Context, Leaf},
    model::InterfaceConfig,
    value::Value,
};

/// Help for addresses of the TAP.
const ADDRESS: &str = "An IPv4 address of the TAP; the first is the primary one";
const NEGOTIATED: &str = "Those as well that hubs give over their sessions";
const ONLY_PEER: (&str, &str) = ("peer", "Only of this one (default: any that gives some)");

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
    /// In a mesh.
    Mesh,
    /// In a host of a mesh.
    Member,
    /// Among the lines of one host.
    Host,
    /// In a group of peers.
    Group,
}

impl Mode {
    /// All modes of the configuration; one that is in another comes after it.
    pub const CONFIG: [Self; 8] = [
        Self::Global,
        Self::Interface,
        Self::Peer,
        Self::Link,
        Self::Mesh,
        Self::Member,
        Self::Group,
        Self::Host,
    ];

    /// The mode of an object.
    pub const fn of(context: &Context) -> Self {
        match context {
            Context::Global => Self::Global,
            Context::Link { .. } | Context::Host { link: Some(_), .. } => Self::Link,
            Context::Peer { .. } | Context::Host { peer: Some(_), .. } => Self::Peer,
            Context::Interface { .. }
            | Context::Host {
                interface: Some(_), ..
            } => Self::Interface,
            Context::Host { .. } => Self::Host,
            Context::Mesh { .. } => Self::Mesh,
            Context::Member { .. } => Self::Member,
            Context::Group { .. } => Self::Group,
        }
    }

    /// The mode whose rows stand here: one host has the lines of all.
    #[must_use]
    pub const fn rows(self) -> Self {
        match self {
            Self::Host => Self::Global,
            mode => mode,
        }
    }

    /// Whether a comment sets its objects apart where they are written.
    pub(crate) const fn is_large(self) -> bool {
        matches!(
            self,
            Self::Interface | Self::Peer | Self::Mesh | Self::Group | Self::Host
        )
    }

    /// The mode that this one is in.
    #[must_use]
    pub fn around(self) -> Option<Self> {
        object_row(self).map(|row| row.mode)
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

mod groups;
mod guards;
mod links;
mod meshes;
mod multicast;
mod peers;

/// Every line, in the order in which an object is written: settings before what stands inside, so that a line
/// never goes to an object inside when it is read back.
static OBJECTS: &[Row] = &[
    leaf(
        (Mode::Global, Impact::Live),
        ("hostname", "<hostname>"),
        Leaf::Hostname,
        optional!(Global.hostname: Word),
        &[("hostname", "Name of this node")],
    ),
    leaf(
        (Mode::Global, Impact::Live),
        ("metrics listen", "<local-address> port <port> [<exposure>]"),
        Leaf::MetricsListen,
        Access::Global(METRICS_LISTEN),
        &[
            ("metrics", "Counters and gauges for Prometheus"),
            ("listen", "Answer `GET /metrics` (HTTP) at this address"),
            ("port", "The TCP port, 9273 for instance"),
        ],
    ),
    leaf(
        (Mode::Global, Impact::Live),
        ("metrics peers", ""),
        Leaf::MetricsPeers,
        flag!(Global.metrics_peers),
        &[
            ("metrics", "Counters and gauges for Prometheus"),
            (
                "peers",
                "Also those of each peer and link, of the first 1000 peers",
            ),
        ],
    ),
    object(
        (Mode::Global, Impact::Restart),
        ("interface <interface>", ""),
        Mode::Interface,
        None,
        &[("interface", "An overlay: a key, a TAP, its peers")],
    ),
    object(
        (Mode::Global, Impact::Restart),
        ("host <host>", ""),
        Mode::Host,
        None,
        &[("host", "Lines that are in force on one host only")],
    ),
    leaf(
        (Mode::Interface, Impact::Live),
        ("description", "<description>"),
        Leaf::Description,
        optional!(Interface.description: Text),
        &[("description", "Text about this interface")],
    ),
    // Here and elsewhere before what could start: of a configuration that is pasted each line is in force at once.
    leaf(
        (Mode::Interface, Impact::Restart),
        ("shutdown", ""),
        Leaf::Shutdown,
        flag!(Interface.shutdown),
        &[("shutdown", "Take the interface out of service")],
    ),
    secret(leaf(
        (Mode::Interface, Impact::Restart),
        ("private-key", "file <path>"),
        Leaf::PrivateKey,
        optional!(Interface.private_key_file: Word),
        &[
            ("private-key", "This node's key in the overlay"),
            ("file", "It is in a file: `crypto key generate FILE` makes one"),
        ],
    )),
    leaf(
        (Mode::Interface, Impact::Live),
        ("certificate", "<path>"),
        Leaf::Certificate,
        optional!(Interface.certificate_file: Word),
        &[(
            "certificate",
            "A file with what `knetd ca sign` said of this key; peers are shown it, and it is read whenever it is written",
        )],
    ),
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
        &[("ip", "IPv4"), ("address", ADDRESS)],
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
        ("ip address negotiated", "[peer <peer>]"),
        Leaf::IpNegotiated,
        Access::Interface(IP_NEGOTIATED),
        &[
            ("ip", "IPv4"),
            ("address", ADDRESS),
            ("negotiated", NEGOTIATED),
            ONLY_PEER,
        ],
    ),
    leaf(
        (Mode::Interface, Impact::Live),
        ("ipv6 address negotiated", "[peer <peer>]"),
        Leaf::Ipv6Negotiated,
        Access::Interface(IPV6_NEGOTIATED),
        &[
            ("ipv6", "IPv6"),
            ("address", "An IPv6 address of the TAP"),
            ("negotiated", NEGOTIATED),
            ONLY_PEER,
        ],
    ),
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
        ("arp suppression", ""),
        Leaf::ArpSuppression,
        flag!(Interface.arp_suppression),
        &[
            ("arp", "IP addresses and their MAC addresses"),
            (
                "suppression",
                "Answer ARP and IPv6 neighbour discovery here rather than flood them",
            ),
        ],
    ),
    leaf(
        (Mode::Interface, Impact::Live),
        ("ip dhcp snooping", ""),
        Leaf::DhcpSnooping,
        flag!(Interface.dhcp_snooping),
        &[
            ("ip", "IPv4"),
            ("dhcp", "DHCP, of both IP versions"),
            (
                "snooping",
                "Take what DHCP servers say from trusted peers only, and from this host",
            ),
        ],
    ),
    leaf(
        (Mode::Interface, Impact::Live),
        ("ipv6 nd raguard", ""),
        Leaf::RaGuard,
        flag!(Interface.ra_guard),
        &[
            ("ipv6", "IPv6"),
            ("nd", "Neighbour discovery"),
            (
                "raguard",
                "Take what routers say from trusted peers only, and from this host",
            ),
        ],
    ),
    multicast::IGMP_SNOOPING,
    multicast::IGMP_QUERIER,
    multicast::MLD_SNOOPING,
    multicast::MLD_QUERIER,
    leaf(
        (Mode::Interface, Impact::Live),
        ("loop-guard disable", ""),
        Leaf::LoopGuard,
        flag!(Interface.loop_guard_off),
        &[
            ("loop-guard", "Loops through peers (default: looked for, and cut)"),
            (
                "disable",
                "Do not look for them, and close no port because of one",
            ),
        ],
    ),
    leaf(
        (Mode::Interface, Impact::Live),
        ("vlan filtering", ""),
        Leaf::VlanFiltering,
        flag!(Interface.vlan_filtering),
        &[
            ("vlan", "VLANs (IEEE 802.1Q)"),
            (
                "filtering",
                "Tell VLANs apart: each is a broadcast domain of its own, for the ports that are in it",
            ),
        ],
    ),
    leaf(
        (Mode::Interface, Impact::Live),
        (
            "switchport",
            "(access vlan <vlan> | trunk allowed vlan <vlan-list> [native vlan <vlan>])",
        ),
        Leaf::Switchport,
        Access::Interface(INTERFACE_SWITCHPORT),
        &[
            ("switchport", "The VLANs that the TAP is in (default: VLAN 1)"),
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
    object(
        (Mode::Interface, Impact::Live),
        ("peer-group <group>", ""),
        Mode::Group,
        None,
        &[("peer-group", "What peers have in common")],
    ),
    object(
        (Mode::Interface, Impact::Rehandshake),
        ("peer <peer>", ""),
        Mode::Peer,
        None,
        &[("peer", "A node at the other end of links")],
    ),
    object(
        (Mode::Interface, Impact::Relink),
        ("mesh <mesh>", ""),
        Mode::Mesh,
        None,
        &[("mesh", "Hosts that are all peers of each other")],
    ),
];

/// Every line of the configuration.
pub fn all() -> impl Iterator<Item = &'static Row> {
    OBJECTS
        .iter()
        .chain(peers::PEERS)
        .chain(meshes::MESHES)
        .chain(groups::GROUPS)
}

/// The row of a setting.
pub fn row_of(mode: Mode, leaf: Leaf) -> Option<&'static Row> {
    let mode = mode.rows();
    all().find(|row| {
        let holder = match row.kind {
            Kind::Leaf(..) => row.mode,
            Kind::Object(opens, _) => opens,
        };
        holder == mode && row.setting().is_some_and(|(l, _)| l == leaf)
    })
}

/// The row that makes the objects of `mode`.
pub fn object_row(mode: Mode) -> Option<&'static Row> {
    all().find(|row| matches!(row.kind, Kind::Object(opens, _) if opens == mode))
}

/// The rows that stand in objects of `mode`, in order.
pub fn rows_in(mode: Mode) -> impl Iterator<Item = &'static Row> {
    all().filter(move |row| row.mode == mode)
}

impl Row {
    /// How many arguments tell one line of the setting from another: those of the key, or all.
    pub fn keys(&self) -> usize {
        match self.key.matches('<').count() {
            0 => usize::MAX,
            count => count,
        }
    }
}
