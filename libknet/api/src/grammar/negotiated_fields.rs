//! Accessors of the lines about addresses that are given over a session: the pools of groups, and whose an interface takes.

use std::sync::Arc;

use super::access::Accessor;
use crate::{
    model::{GroupConfig, InterfaceConfig, Negotiated},
    value::Value,
};

/// The pool of one version.
macro_rules! pool {
    ($name:ident, $version:ident) => {
        pub(in crate::grammar) const $name: Accessor<GroupConfig> = Accessor {
            get: |group| {
                let pool = group.pools.$version.iter();
                pool.map(|prefix| vec![Value::Prefix(*prefix)]).collect()
            },
            set: |group, values| {
                let [Value::Prefix(prefix)] = values else {
                    return false;
                };
                Arc::make_mut(&mut group.pools).$version = Some(*prefix);
                true
            },
            clear: |group, _| {
                Arc::make_mut(&mut group.pools).$version = None;
                true
            },
        };
    };
}

pool!(IP_POOL, ipv4);
pool!(IPV6_POOL, ipv6);

/// Whose addresses of one version are taken.
macro_rules! negotiated {
    ($name:ident, $field:ident) => {
        pub(in crate::grammar) const $name: Accessor<InterfaceConfig> = Accessor {
            get: |interface| {
                let line = |negotiated: &Negotiated| {
                    let peer = negotiated.peer.clone();
                    vec![peer.map_or(Value::Absent, Value::Word)]
                };
                interface.$field.iter().map(line).collect()
            },
            set: |interface, values| {
                let peer = match values {
                    [] | [Value::Absent] => None,
                    [Value::Word(peer)] => Some(peer.clone()),
                    _ => return false,
                };
                interface.$field = Some(Negotiated { peer });
                true
            },
            clear: |interface, _| {
                interface.$field = None;
                true
            },
        };
    };
}

negotiated!(IP_NEGOTIATED, ip_negotiated);
negotiated!(IPV6_NEGOTIATED, ipv6_negotiated);
