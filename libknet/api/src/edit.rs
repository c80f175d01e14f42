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
}

impl Context {
    /// The object that this one is in.
    pub fn parent(&self) -> Option<Self> {
        match self {
            Self::Global => None,
            Self::Interface { .. } => Some(Self::Global),
            Self::Peer { interface, .. } => Some(Self::Interface {
                interface: interface.clone(),
            }),
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
