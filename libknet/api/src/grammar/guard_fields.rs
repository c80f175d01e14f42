//! Accessors of the lines that say which addresses a peer may use, of peers and of groups.

use super::access::Accessor;
use crate::{
    model::{GroupConfig, PeerConfig},
    source_guard::{Guarded, SourceGuard},
    value::Value,
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

fn take_out<T>(list: &mut Vec<T>, which: impl Fn(&T) -> bool) -> bool {
    let before = list.len();
    list.retain(|value| !which(value));
    list.len() < before
}
