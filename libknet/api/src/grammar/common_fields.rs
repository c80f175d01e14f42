//! Accessors of what peers and links say themselves, and of what meshes and groups say for all of theirs.

use std::{collections::BTreeMap, num::NonZeroU8, sync::Arc};

use super::access::Accessor;
use crate::{
    model::{
        GroupConfig, InterfaceConfig, LinkConfig, LinkSettings, MeshConfig, PeerConfig, Policy, Switchport,
        Weight,
    },
    value::Value,
};

/// What has settings for all links of an id.
trait ForLinks {
    fn links(&self) -> &BTreeMap<u8, LinkSettings>;
    fn links_mut(&mut self) -> &mut BTreeMap<u8, LinkSettings>;
}

impl ForLinks for MeshConfig {
    fn links(&self) -> &BTreeMap<u8, LinkSettings> {
        &self.links
    }

    fn links_mut(&mut self) -> &mut BTreeMap<u8, LinkSettings> {
        &mut self.links
    }
}

impl ForLinks for GroupConfig {
    fn links(&self) -> &BTreeMap<u8, LinkSettings> {
        &self.links
    }

    fn links_mut(&mut self) -> &mut BTreeMap<u8, LinkSettings> {
        Arc::make_mut(&mut self.links)
    }
}

/// A setting of all links of one id: `link N WORD VALUE`. Ids without any are not kept.
macro_rules! of_links {
    ($object:ident, $field:ident, $to:expr, $from:expr) => {
        Accessor {
            get: |object: &$object| {
                let lines = object
                    .links()
                    .iter()
                    .filter_map(|(id, link)| Some((id, link.$field?)));
                lines
                    .map(|(id, value)| [vec![Value::Number(u32::from(*id))], $to(value)].concat())
                    .collect()
            },
            set: |object: &mut $object, values| {
                let [Value::Number(id), rest @ ..] = values else {
                    return false;
                };
                let (Ok(id), Some(value)) = (u8::try_from(*id), $from(rest)) else {
                    return false;
                };
                object.links_mut().entry(id).or_default().$field = Some(value);
                true
            },
            clear: |object: &mut $object, values| {
                let one = match values {
                    [] => None,
                    [Value::Number(id), ..] => Some(*id),
                    _ => return false,
                };
                let mut found = one.is_none();
                for (id, link) in object.links_mut().iter_mut() {
                    if one.is_none_or(|one| one == u32::from(*id)) {
                        found |= link.$field.take().is_some();
                    }
                }
                object
                    .links_mut()
                    .retain(|_, link| *link != LinkSettings::default());
                found
            },
        }
    };
}

/// A setting of a link, in the line of one and in that of all of an id.
macro_rules! link_setting {
    ($name:ident, $field:ident, $to:expr, $from:expr) => {
        pub(in crate::grammar) mod $name {
            use super::*;

            pub(in crate::grammar) const LINK: Accessor<LinkConfig> = Accessor {
                get: |link| {
                    link.settings
                        .$field
                        .iter()
                        .map(|value| $to(*value))
                        .collect()
                },
                set: |link, values| {
                    let value = $from(values);
                    if value.is_some() {
                        link.settings.$field = value;
                    }
                    value.is_some()
                },
                clear: |link, _| {
                    link.settings.$field = None;
                    true
                },
            };
            pub(in crate::grammar) const MESH: Accessor<MeshConfig> =
                of_links!(MeshConfig, $field, $to, $from);
            pub(in crate::grammar) const GROUP: Accessor<GroupConfig> =
                of_links!(GroupConfig, $field, $to, $from);
        }
    };
}

link_setting!(priority, priority, of_number, number);
link_setting!(weight, weight, of_weight, as_weight);
link_setting!(cost, cost, of_number, number);
link_setting!(timers, timers_ms, of_timers, as_timers);
link_setting!(pong_count, pong_count, of_number, number);
link_setting!(limit_loss, limit_loss, of_number, number);
link_setting!(limit_rtt, limit_rtt, of_number, number);

fn of_number(number: impl Into<u32>) -> Vec<Value> {
    vec![Value::Number(number.into())]
}

fn number<T: TryFrom<u32>>(values: &[Value]) -> Option<T> {
    match values {
        [Value::Number(n)] => T::try_from(*n).ok(),
        _ => None,
    }
}

fn of_weight(weight: Weight) -> Vec<Value> {
    vec![match weight {
        Weight::Fixed(weight) => Value::Number(u32::from(weight.get())),
        Weight::Auto => Value::Word("auto".to_owned()),
    }]
}

fn as_weight(values: &[Value]) -> Option<Weight> {
    match values {
        [Value::Number(n)] => u8::try_from(*n).ok().and_then(NonZeroU8::new).map(Weight::Fixed),
        [Value::Word(word)] if word == "auto" => Some(Weight::Auto),
        _ => None,
    }
}

fn of_timers((interval, timeout): (u32, u32)) -> Vec<Value> {
    vec![Value::Number(interval), Value::Number(timeout)]
}

fn as_timers(values: &[Value]) -> Option<(u32, u32)> {
    match values {
        [Value::Number(interval), Value::Number(timeout)] => Some((*interval, *timeout)),
        _ => None,
    }
}

fn policy(values: &[Value]) -> Option<Policy> {
    let [Value::Word(name)] = values else { return None };
    Policy::ALL.into_iter().find(|policy| policy.name() == name)
}

fn of_policy(policy: Policy) -> Vec<Value> {
    vec![Value::Word(policy.name().to_owned())]
}

pub(in crate::grammar) const PEER_POLICY: Accessor<PeerConfig> = Accessor {
    get: |peer| peer.policy.iter().map(|policy| of_policy(*policy)).collect(),
    set: |peer, values| {
        let policy = policy(values);
        if policy.is_some() {
            peer.policy = policy;
        }
        policy.is_some()
    },
    clear: |peer, _| {
        peer.policy = None;
        true
    },
};

/// The policy of all peers of a mesh or a group.
macro_rules! policy_of_all {
    ($object:ident) => {
        Accessor {
            get: |object: &$object| vec![of_policy(object.policy)],
            set: |object: &mut $object, values| policy(values).map(|policy| object.policy = policy).is_some(),
            clear: |object: &mut $object, _| {
                object.policy = Policy::default();
                true
            },
        }
    };
}

fn of_switchport(switchport: &Switchport) -> Vec<Value> {
    let number = |vlan: &u16| Value::Number(u32::from(*vlan));
    match switchport {
        Switchport::Access(vlan) => vec![number(vlan), Value::Absent, Value::Absent],
        Switchport::Trunk { allowed, native } => vec![
            Value::Absent,
            Value::Word(allowed.to_string()),
            native.as_ref().map_or(Value::Absent, number),
        ],
    }
}

fn switchport(values: &[Value]) -> Option<Switchport> {
    match values {
        [Value::Number(vlan), Value::Absent, Value::Absent] => {
            (*vlan).try_into().ok().map(Switchport::Access)
        }
        [Value::Absent, Value::Word(allowed), native] => Some(Switchport::Trunk {
            allowed: allowed.parse().ok()?,
            native: match native {
                Value::Absent => None,
                Value::Number(vlan) => Some((*vlan).try_into().ok()?),
                _ => return None,
            },
        }),
        _ => None,
    }
}

/// Which VLANs a port is in.
macro_rules! switchport_of {
    ($object:ident) => {
        Accessor {
            get: |object: &$object| object.switchport.iter().map(of_switchport).collect(),
            set: |object: &mut $object, values| {
                let switchport = switchport(values);
                let fits = switchport.is_some();
                if fits {
                    object.switchport = switchport;
                }
                fits
            },
            clear: |object: &mut $object, _| {
                object.switchport = None;
                true
            },
        }
    };
}

pub(in crate::grammar) const INTERFACE_SWITCHPORT: Accessor<InterfaceConfig> =
    switchport_of!(InterfaceConfig);
pub(in crate::grammar) const PEER_SWITCHPORT: Accessor<PeerConfig> = switchport_of!(PeerConfig);
pub(in crate::grammar) const GROUP_SWITCHPORT: Accessor<GroupConfig> = switchport_of!(GroupConfig);

pub(in crate::grammar) const MESH_POLICY: Accessor<MeshConfig> = policy_of_all!(MeshConfig);
pub(in crate::grammar) const GROUP_POLICY: Accessor<GroupConfig> = policy_of_all!(GroupConfig);
