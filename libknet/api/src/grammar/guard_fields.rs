//! Accessors of the lines that say which addresses a peer may use, of peers and of groups.

use super::access::Accessor;
use crate::{
    model::{GroupConfig, PeerConfig},
    source_guard::{Guarded, SourceGuard},
    value::{IpPrefix, Value},
};

/// How many stick where it is not said.
const STICKY: u16 = 1;

/// Accessors of a peer and of a group that read and write the same fields of their guards.
macro_rules! guard {
    ($name:ident, $get:expr, $set:expr, $clear:expr) => {
        pub(in crate::grammar) mod $name {
            use super::*;

            macro_rules! of {
                ($object:ident) => {
                    Accessor {
                        get: |object: &$object| $get(object.guard().get()),
                        set: |object: &mut $object, values| {
                            object.guard_mut().change(|said| $set(said, values))
                        },
                        clear: |object: &mut $object, values| {
                            object.guard_mut().change(|said| $clear(said, values))
                        },
                    }
                };
            }

            pub(in crate::grammar) const PEER: Accessor<PeerConfig> = of!(PeerConfig);
            pub(in crate::grammar) const GROUP: Accessor<GroupConfig> = of!(GroupConfig);
        }
    };
}

guard!(
    mac_allowed,
    |said: &SourceGuard| said
        .allowed_macs
        .iter()
        .map(|mac| vec![Value::Mac(*mac)])
        .collect(),
    |said: &mut SourceGuard, values: &[Value]| match values {
        [Value::Mac(mac)] => {
            if !said.allowed_macs.contains(mac) {
                said.allowed_macs.push(*mac);
            }
            true
        }
        _ => false,
    },
    |said: &mut SourceGuard, values: &[Value]| match values {
        [] => {
            said.allowed_macs.clear();
            true
        }
        [Value::Mac(mac)] => take_out(&mut said.allowed_macs, |known| known == mac),
        _ => false,
    }
);

guard!(
    mac_sticky,
    |said: &SourceGuard| {
        let line = |sticky: &u16| match *sticky {
            STICKY => vec![Value::Absent],
            sticky => vec![Value::Number(u32::from(sticky))],
        };
        said.sticky.iter().map(line).collect()
    },
    |said: &mut SourceGuard, values: &[Value]| {
        let sticky = match values {
            [] | [Value::Absent] => Some(STICKY),
            [Value::Number(n)] => u16::try_from(*n).ok(),
            _ => None,
        };
        said.sticky = sticky.or(said.sticky);
        sticky.is_some()
    },
    |said: &mut SourceGuard, _: &[Value]| {
        said.sticky = None;
        true
    }
);

guard!(
    ip_binding,
    |said: &SourceGuard| bindings(said, true),
    |said: &mut SourceGuard, values: &[Value]| bind(said, true, values),
    |said: &mut SourceGuard, values: &[Value]| unbind(said, true, values)
);

guard!(
    ipv6_binding,
    |said: &SourceGuard| bindings(said, false),
    |said: &mut SourceGuard, values: &[Value]| bind(said, false, values),
    |said: &mut SourceGuard, values: &[Value]| unbind(said, false, values)
);

guard!(
    verify_source,
    |said: &SourceGuard| flag(said.verify_source),
    |said: &mut SourceGuard, values: &[Value]| {
        said.verify_source = values.is_empty();
        values.is_empty()
    },
    |said: &mut SourceGuard, _: &[Value]| {
        said.verify_source = false;
        true
    }
);

guard!(
    arp_inspection,
    |said: &SourceGuard| flag(said.arp_inspection),
    |said: &mut SourceGuard, values: &[Value]| {
        said.arp_inspection = values.is_empty();
        values.is_empty()
    },
    |said: &mut SourceGuard, _: &[Value]| {
        said.arp_inspection = false;
        true
    }
);

guard!(
    validate_source_mac,
    |said: &SourceGuard| flag(said.validate_source_mac),
    |said: &mut SourceGuard, values: &[Value]| {
        said.validate_source_mac = values.is_empty();
        values.is_empty()
    },
    |said: &mut SourceGuard, _: &[Value]| {
        said.validate_source_mac = false;
        true
    }
);

guard!(
    router_guard,
    |said: &SourceGuard| flag(said.router_guard),
    |said: &mut SourceGuard, values: &[Value]| {
        said.router_guard = values.is_empty();
        values.is_empty()
    },
    |said: &mut SourceGuard, _: &[Value]| {
        said.router_guard = false;
        true
    }
);

fn flag(is_said: bool) -> Vec<Vec<Value>> {
    if is_said { vec![Vec::new()] } else { Vec::new() }
}

fn bindings(said: &SourceGuard, v4: bool) -> Vec<Vec<Value>> {
    let of_version = said.bindings.iter().filter(|b| b.address.is_ipv4() == v4);
    of_version.map(|binding| vec![binding.into()]).collect()
}

/// The binding that a value is.
fn binding(v4: bool, values: &[Value]) -> Option<IpPrefix> {
    let binding = match values {
        [Value::Address(address)] => IpPrefix::host(*address),
        [Value::Prefix(network)] => *network,
        _ => return None,
    };
    (binding.address.is_ipv4() == v4).then_some(binding)
}

fn bind(said: &mut SourceGuard, v4: bool, values: &[Value]) -> bool {
    let Some(binding) = binding(v4, values) else {
        return false;
    };
    if !said.bindings.contains(&binding) {
        said.bindings.push(binding);
        // Those of a version stand together when they are written.
        said.bindings.sort_by_key(|binding| binding.address.is_ipv6());
    }
    true
}

fn unbind(said: &mut SourceGuard, v4: bool, values: &[Value]) -> bool {
    if values.is_empty() {
        take_out(&mut said.bindings, |known| known.address.is_ipv4() == v4);
        return true;
    }
    binding(v4, values).is_some_and(|binding| take_out(&mut said.bindings, |known| *known == binding))
}

fn take_out<T>(list: &mut Vec<T>, which: impl Fn(&T) -> bool) -> bool {
    let before = list.len();
    list.retain(|value| !which(value));
    list.len() < before
}
