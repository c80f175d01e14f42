//! Accessors of the settings of meshes and their hosts.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    num::NonZeroU8,
};

use super::access::Accessor;
use crate::{
    model::{DEFAULT_PORT, MemberConfig, MemberLink, MeshConfig, MeshLink, Policy, Weight},
    value::Value,
};

pub(in crate::grammar) const MESH_POLICY: Accessor<MeshConfig> = Accessor {
    get: |mesh| vec![vec![Value::Word(mesh.policy.name().to_owned())]],
    set: |mesh, values| {
        let [Value::Word(name)] = values else { return false };
        let policy = Policy::ALL.into_iter().find(|p| p.name() == name);
        policy.map(|policy| mesh.policy = policy).is_some()
    },
    clear: |mesh, _| {
        mesh.policy = Policy::default();
        true
    },
};

/// A setting of all links of one id: `link N WORD VALUE`. Links without any are not kept.
macro_rules! of_links {
    ($field:ident, $to:expr, $from:expr) => {
        Accessor {
            get: |mesh: &MeshConfig| {
                let to: fn(_) -> Vec<Value> = $to;
                let lines = mesh
                    .links
                    .iter()
                    .filter_map(|(id, link)| Some((id, link.$field?)));
                lines
                    .map(|(id, value)| [vec![Value::Number(u32::from(*id))], to(value)].concat())
                    .collect()
            },
            set: |mesh: &mut MeshConfig, values| {
                let from: fn(&[Value]) -> Option<_> = $from;
                let [Value::Number(id), rest @ ..] = values else {
                    return false;
                };
                let (Ok(id), Some(value)) = (u8::try_from(*id), from(rest)) else {
                    return false;
                };
                mesh.links.entry(id).or_default().$field = Some(value);
                true
            },
            clear: |mesh: &mut MeshConfig, values| {
                let one = match values {
                    [] => None,
                    [Value::Number(id), ..] => Some(*id),
                    _ => return false,
                };
                let mut found = one.is_none();
                for (id, link) in &mut mesh.links {
                    if one.is_none_or(|one| one == u32::from(*id)) {
                        found |= link.$field.take().is_some();
                    }
                }
                mesh.links.retain(|_, link| *link != MeshLink::default());
                found
            },
        }
    };
}

pub(in crate::grammar) const MESH_PRIORITY: Accessor<MeshConfig> = of_links!(
    priority,
    |priority: u8| vec![Value::Number(u32::from(priority))],
    |values| match values {
        [Value::Number(n)] => u8::try_from(*n).ok(),
        _ => None,
    }
);

pub(in crate::grammar) const MESH_COST: Accessor<MeshConfig> = of_links!(
    cost,
    |cost: u8| vec![Value::Number(u32::from(cost))],
    |values| match values {
        [Value::Number(n)] => u8::try_from(*n).ok(),
        _ => None,
    }
);

pub(in crate::grammar) const MESH_WEIGHT: Accessor<MeshConfig> = of_links!(
    weight,
    |weight: Weight| vec![match weight {
        Weight::Fixed(weight) => Value::Number(u32::from(weight.get())),
        Weight::Auto => Value::Word("auto".to_owned()),
    }],
    |values| match values {
        [Value::Number(n)] => u8::try_from(*n).ok().and_then(NonZeroU8::new).map(Weight::Fixed),
        [Value::Word(word)] if word == "auto" => Some(Weight::Auto),
        _ => None,
    }
);

pub(in crate::grammar) const MESH_TIMERS: Accessor<MeshConfig> = of_links!(
    timers_ms,
    |(interval, timeout): (u32, u32)| vec![Value::Number(interval), Value::Number(timeout)],
    |values| match values {
        [Value::Number(interval), Value::Number(timeout)] => Some((*interval, *timeout)),
        _ => None,
    }
);

/// The first value is the host's name, which is known from the context.
pub(in crate::grammar) const MEMBER_KEY: Accessor<MemberConfig> = Accessor {
    get: |member| {
        let key = member.public_key.map_or(Value::Absent, Value::Key);
        vec![vec![Value::Absent, key]]
    },
    set: |member, values| {
        let [_, Value::Key(key)] = values else {
            return false;
        };
        member.public_key = Some(*key);
        true
    },
    clear: |member, _| {
        member.public_key = None;
        true
    },
};

pub(in crate::grammar) const MEMBER_LINK: Accessor<MemberConfig> = Accessor {
    get: |member| {
        let line = |(id, link): (&u8, &MemberLink)| {
            let port = match link.port {
                DEFAULT_PORT => Value::Absent,
                port => Value::Number(u32::from(port)),
            };
            let bind = link.bind.map_or(Value::Absent, |bind| {
                if bind == Ipv4Addr::UNSPECIFIED {
                    Value::Word("any".to_owned())
                } else if bind == Ipv6Addr::UNSPECIFIED {
                    Value::Word("any6".to_owned())
                } else {
                    Value::Address(bind)
                }
            });
            vec![
                Value::Number(u32::from(*id)),
                Value::Address(link.address),
                port,
                bind,
            ]
        };
        member.links.iter().map(line).collect()
    },
    set: |member, values| {
        let [Value::Number(id), Value::Address(address), port, bind] = values else {
            return false;
        };
        let port = match port {
            Value::Absent => Some(DEFAULT_PORT),
            Value::Number(port) => u16::try_from(*port).ok(),
            _ => None,
        };
        let bind = match bind {
            Value::Absent => Some(None),
            Value::Address(bind) => Some(Some(*bind)),
            Value::Word(any) if any == "any" => Some(Some(Ipv4Addr::UNSPECIFIED.into())),
            Value::Word(any6) if any6 == "any6" => Some(Some(Ipv6Addr::UNSPECIFIED.into())),
            _ => None,
        };
        let (Ok(id), Some(port), Some(bind)) = (u8::try_from(*id), port, bind) else {
            return false;
        };
        let link = MemberLink {
            address: *address,
            port,
            bind,
        };
        member.links.insert(id, link);
        true
    },
    clear: |member, values| {
        let [Value::Number(id), ..] = values else {
            member.links.clear();
            return values.is_empty();
        };
        u8::try_from(*id).is_ok_and(|id| member.links.remove(&id).is_some())
    },
};
