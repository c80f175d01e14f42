//! Accessors of the settings of the hosts of meshes.

use super::{
    access::Accessor,
    fields::{local_address, read_local_address},
};
use crate::{
    model::{DEFAULT_PORT, MemberConfig, MemberLink},
    value::Value,
};

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
            let bind = link.bind.map_or(Value::Absent, local_address);
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
            bind => read_local_address(bind).map(Some),
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
