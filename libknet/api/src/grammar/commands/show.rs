//! What can be shown.

use super::{Command, CommandDef, ONLY, SHOW, exec};
use crate::{message::Only, transaction::Version};

/// The sentence about hub groups.
pub(super) const HUB_GROUPS: CommandDef = exec(
    "show hub-group [<hub-group>] [interface <interface>]",
    |a| {
        Command::Show(Show::HubGroups {
            group: a.name(0),
            interface: a.name(1),
        })
    },
    &[SHOW, ("hub-group", "Hubs of which one is used at a time"), ONLY],
);

/// What is to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Show {
    /// The daemon.
    Version,
    /// Interfaces.
    Interfaces {
        /// Only this one.
        interface: Option<String>,
    },
    /// Interfaces with their addresses, one line each.
    Addresses,
    /// Peers, one line each.
    Peers {
        /// Only of this interface.
        interface: Option<String>,
        /// Only these.
        only: Only,
    },
    /// All about one peer.
    Peer {
        /// Its name.
        peer: String,
        /// Of which interface.
        interface: Option<String>,
    },
    /// Groups of peers.
    Groups {
        /// Only those of this name.
        group: Option<String>,
        /// Only of this interface.
        interface: Option<String>,
    },
    /// Hub groups.
    HubGroups {
        /// Only those of this name.
        group: Option<String>,
        /// Only of this interface.
        interface: Option<String>,
    },
    /// What happened to one peer.
    PeerHistory {
        /// Its name.
        peer: String,
        /// Only this many, the latest.
        last: Option<u32>,
        /// Of which interface.
        interface: Option<String>,
    },
    /// Links, one line each.
    Links {
        /// Only of this peer.
        peer: Option<String>,
        /// Only of this interface.
        interface: Option<String>,
        /// Only these.
        only: Only,
    },
    /// The bridge's table.
    MacTable {
        /// Only of this interface.
        interface: Option<String>,
    },
    /// IP addresses of stations.
    Arp {
        /// Only behind this peer.
        peer: Option<String>,
        /// Only of this interface.
        interface: Option<String>,
    },
    /// Who listens to multicast groups.
    Listeners {
        /// Of IPv6, and not of IPv4.
        ipv6: bool,
        /// Only of this interface.
        interface: Option<String>,
    },
    /// VLANs.
    Vlans {
        /// Only this one, and who is in it.
        vlan: Option<u32>,
        /// Only of this interface.
        interface: Option<String>,
    },
    /// What peers may flood, and what they were kept from.
    StormControl {
        /// Only of this interface.
        interface: Option<String>,
    },
    /// The configuration in force.
    RunningConfig {
        /// Settings at their default, too.
        all: bool,
        /// Only the section of this interface.
        interface: Option<String>,
    },
    /// What of it is in force on this host.
    ExpandedConfig,
    /// The configuration file.
    StartupConfig,
    /// The daemon's log.
    Logging {
        /// How many of the latest lines.
        lines: u32,
    },
    /// What was typed.
    History,
    /// Commands and lines of the configuration.
    Commands {
        /// Only those that speak of this.
        word: Option<String>,
    },
    /// The revisions that are kept.
    Revisions,
    /// How two configurations differ.
    ConfigDiff {
        /// From this revision. `None`: from the startup configuration, in a candidate from the running one.
        from: Option<u64>,
        /// To this revision. `None`: to the running configuration, in a candidate to the candidate.
        to: Option<u64>,
    },
    /// The text of a configuration.
    ConfigText(Version),
    /// Who is connected.
    Clients,
    /// What is set for the terminal.
    Terminal,
    /// Discarded packets.
    Drops {
        /// Only of this interface.
        interface: Option<String>,
    },
    /// Bounds, and what is used of them.
    Limits {
        /// Only of this interface.
        interface: Option<String>,
    },
    /// Memory that is in use.
    Memory {
        /// Only of this interface, and of the daemon.
        interface: Option<String>,
    },
    /// Interfaces, peers and links as a tree.
    Topology {
        /// Only of this interface.
        interface: Option<String>,
    },
    /// Everything that helps to find a fault.
    TechSupport,
    /// Whose events are on this terminal.
    Debugging,
    /// Public keys of interfaces.
    PublicKeys {
        /// Only of this one.
        interface: Option<String>,
    },
    /// Invitations, and who has come by one.
    Invitations {
        /// Only of this interface.
        interface: Option<String>,
    },
    /// Addresses that groups give.
    IpPools {
        /// Only of this interface.
        interface: Option<String>,
    },
    /// Who has which of them.
    IpPoolLeases {
        /// Only of this interface.
        interface: Option<String>,
    },
    /// Our certificates, and those by which peers are there.
    Certificates {
        /// Only of this interface.
        interface: Option<String>,
    },
}
