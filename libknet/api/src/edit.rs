//! How a change of the configuration is named: operations on places in the configuration's tree.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// An object of the configuration: what a mode of the shell stands in.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Context {
    /// The daemon itself.
    #[default]
    Global,
    /// An interface.
    Interface {
        /// Name of its TAP.
        interface: String,
    },
    /// A peer of an interface.
    Peer {
        /// Name of the TAP.
        interface: String,
        /// Name of the peer.
        peer: String,
    },
    /// A link of a peer.
    Link {
        /// Name of the TAP.
        interface: String,
        /// Name of the peer.
        peer: String,
        /// Id of the link, 0..=7.
        link: u8,
    },
    /// A full mesh of an interface.
    Mesh {
        /// Name of the TAP.
        interface: String,
        /// Name of the mesh.
        mesh: String,
    },
    /// A host of a mesh.
    Member {
        /// Name of the TAP.
        interface: String,
        /// Name of the mesh.
        mesh: String,
        /// Name of the host.
        member: String,
    },
    /// An object among the lines of one host: the objects that are named, from the outside in.
    Host {
        /// Name of the host.
        host: String,
        /// Name of the TAP.
        interface: Option<String>,
        /// Name of the peer.
        peer: Option<String>,
        /// Id of the link.
        link: Option<u8>,
    },
    /// A group of peers of an interface.
    Group {
        /// Name of the TAP.
        interface: String,
        /// Name of the group.
        group: String,
    },
}

impl Context {
    /// `inner` among the lines of `host`. Meshes, groups and other hosts do not stand there: `None`.
    pub fn on_host(host: &str, inner: Self) -> Option<Self> {
        let (interface, peer, link) = match inner {
            Self::Global => (None, None, None),
            Self::Interface { interface } => (Some(interface), None, None),
            Self::Peer { interface, peer } => (Some(interface), Some(peer), None),
            Self::Link {
                interface,
                peer,
                link,
            } => (Some(interface), Some(peer), Some(link)),
            Self::Mesh { .. } | Self::Member { .. } | Self::Group { .. } | Self::Host { .. } => return None,
        };
        Some(Self::Host {
            host: host.to_owned(),
            interface,
            peer,
            link,
        })
    }

    /// The same object where it is not one among the lines of one host, and that host.
    pub fn without_host(&self) -> (Option<&str>, Self) {
        let Self::Host {
            host,
            interface,
            peer,
            link,
        } = self
        else {
            return (None, self.clone());
        };
        let inner = match (interface.clone(), peer.clone(), *link) {
            (Some(interface), Some(peer), Some(link)) => Self::Link {
                interface,
                peer,
                link,
            },
            (Some(interface), Some(peer), None) => Self::Peer { interface, peer },
            (Some(interface), None, _) => Self::Interface { interface },
            (None, ..) => Self::Global,
        };
        (Some(host), inner)
    }

    /// The object that this one is in.
    pub fn parent(&self) -> Option<Self> {
        match self {
            Self::Host { host, .. } => Some(
                self.without_host()
                    .1
                    .parent()
                    .and_then(|inner| Self::on_host(host, inner))
                    .unwrap_or(Self::Global),
            ),
            Self::Member { interface, mesh, .. } => Some(Self::Mesh {
                interface: interface.clone(),
                mesh: mesh.clone(),
            }),
            Self::Global => None,
            Self::Interface { .. } => Some(Self::Global),
            Self::Peer { interface, .. } | Self::Mesh { interface, .. } | Self::Group { interface, .. } => {
                Some(Self::Interface {
                    interface: interface.clone(),
                })
            }
            Self::Link { interface, peer, .. } => Some(Self::Peer {
                interface: interface.clone(),
                peer: peer.clone(),
            }),
        }
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("global configuration"),
            Self::Interface { interface } => write!(f, "interface {interface}"),
            Self::Peer { interface, peer } => write!(f, "interface {interface}, peer {peer}"),
            Self::Link {
                interface,
                peer,
                link,
            } => {
                write!(f, "interface {interface}, peer {peer}, link {link}")
            }
            Self::Mesh { interface, mesh } => write!(f, "interface {interface}, mesh {mesh}"),
            Self::Member {
                interface,
                mesh,
                member,
            } => write!(f, "interface {interface}, mesh {mesh}, member {member}"),
            Self::Group { interface, group } => write!(f, "interface {interface}, group {group}"),
            Self::Host { host, .. } => match self.without_host().1 {
                Self::Global => write!(f, "host {host}"),
                inner => write!(f, "host {host}, {inner}"),
            },
        }
    }
}

/// A setting of an object. Variants are only ever appended: their numbers are on the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Leaf {
    /// `hostname`
    Hostname,
    /// `description` of an interface, a peer or a link
    Description,
    /// `shutdown` of an interface, a peer or a link
    Shutdown,
    /// `private-key file`
    PrivateKey,
    /// `mac-address`
    MacAddress,
    /// `mtu`
    Mtu,
    /// `ip address`
    IpAddress,
    /// `ipv6 address`
    Ipv6Address,
    /// `local`
    Local,
    /// `mac ageing-time`
    MacAgeing,
    /// `public-key`
    PublicKey,
    /// `preshared-key file`
    PresharedKey,
    /// `policy`
    Policy,
    /// `isolate`
    Isolate,
    /// `mac static`
    MacStatic,
    /// The `local` and `remote` of a `link` line
    Endpoint,
    /// `priority`
    Priority,
    /// `weight`
    Weight,
    /// `timers`
    Timers,
    /// `pong-count`
    PongCount,
    /// `spoke`
    Spoke,
    /// `lossy`
    Lossy,
    /// `mtu-policy`
    MtuPolicy,
    /// `limit loss`
    LimitLoss,
    /// `limit rtt`
    LimitRtt,
    /// `cost`
    Cost,
    /// `dscp`
    Dscp,
    /// `cipher`
    Cipher,
    /// `workers`
    Workers,
    /// `link N priority` of a mesh or a group
    LinksPriority,
    /// `link N weight` of a mesh or a group
    LinksWeight,
    /// `link N cost` of a mesh or a group
    LinksCost,
    /// `link N timers` of a mesh or a group
    LinksTimers,
    /// `link` of a member of a mesh
    MemberLink,
    /// `arp suppression`
    ArpSuppression,
    /// `ip dhcp snooping`
    DhcpSnooping,
    /// `ipv6 nd raguard`
    RaGuard,
    /// `ip dhcp snooping trust`
    DhcpTrust,
    /// `ipv6 nd raguard trust`
    RaTrust,
    /// `mac limit`
    MacLimit,
    /// `storm-control frames`
    StormFrames,
    /// `storm-control copies`
    StormCopies,
    /// `link N pong-count` of a mesh or a group
    LinksPongCount,
    /// `link N limit loss` of a mesh or a group
    LinksLimitLoss,
    /// `link N limit rtt` of a mesh or a group
    LinksLimitRtt,
    /// `group` of a peer
    Group,
    /// `authorized-keys`
    AuthorizedKeys,
    /// `vlan filtering`
    VlanFiltering,
    /// `switchport`
    Switchport,
    /// `certificate`
    Certificate,
    /// `certificate-authority`
    CertificateAuthority,
    /// `revocation-list`
    RevocationList,
    /// `ip igmp snooping`
    IgmpSnooping,
    /// `ipv6 mld snooping`
    MldSnooping,
    /// `ip igmp snooping mrouter`
    IgmpRouter,
    /// `ipv6 mld snooping mrouter`
    MldRouter,
    /// `hub-group`
    HubGroup,
    /// `invitations`
    Invitations,
    /// `invitation file`
    Invitation,
    /// `ip pool`
    IpPool,
    /// `ipv6 pool`
    Ipv6Pool,
    /// `mac allowed`
    MacAllowed,
    /// `mac sticky`
    MacSticky,
    /// `ip source binding`
    IpBinding,
    /// `ipv6 source binding`
    Ipv6Binding,
    /// `ip verify source`
    VerifySource,
    /// `arp inspection`
    ArpInspection,
    /// `metrics listen`
    MetricsListen,
    /// `metrics peers`
    MetricsPeers,
    /// `arp inspection validate source-mac`
    ValidateSourceMac,
    /// `ip address negotiated`
    IpNegotiated,
    /// `ipv6 address negotiated`
    Ipv6Negotiated,
    /// `router-guard ip multicast`
    RouterGuard,
    /// `ip igmp snooping querier`
    IgmpQuerier,
    /// `ipv6 mld snooping querier`
    MldQuerier,
    /// `loop-guard disable`
    LoopGuard,
}

/// A place in the configuration's tree, as precise as is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The object.
    pub context: Context,
    /// Its setting, or the object as a whole.
    pub leaf: Option<Leaf>,
    /// The first values of the line, where the setting can be there several times (the number of a `local`).
    pub key: Vec<Value>,
    /// Which of the line's arguments, counted from 0.
    pub argument: Option<u8>,
}

impl Place {
    /// All of `context`.
    pub fn object(context: Context) -> Self {
        Self {
            context,
            leaf: None,
            key: Vec::new(),
            argument: None,
        }
    }

    /// A setting of `context`.
    pub fn leaf(context: Context, leaf: Leaf) -> Self {
        Self {
            context,
            leaf: Some(leaf),
            key: Vec::new(),
            argument: None,
        }
    }
}

/// One step of a change. A change is a list of them, applied whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Makes the object if it is not there. Its parent must be there.
    Create(Context),
    /// Fails if the object is not there.
    Require(Context),
    /// Removes the object and all within. Fails if it is not there.
    Delete(Context),
    /// Sets a setting, or adds one more where there can be several. The values are the arguments of its line
    /// in the schema, in order, [`Value::Absent`] where an optional one is not given.
    Set(Context, Leaf, Vec<Value>),
    /// Puts a setting back to its default. Where there can be several, the one with these first values, or
    /// without values all of them.
    Unset(Context, Leaf, Vec<Value>),
}
