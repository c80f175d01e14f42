//! Accessors of settings that are more than one plain field.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::access::Accessor;
use crate::{
    metrics::{EXPOSED, MetricsListener},
    model::{
        Cipher, Config, GroupConfig, HubMember, InterfaceConfig, LinkConfig, Local, Mtu, MtuPolicy,
        PeerConfig, Remote,
    },
    value::Value,
};

/// An address that a socket of this host is bound to, as the argument of a line.
pub(super) fn local_address(address: IpAddr) -> Value {
    match address {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Value::Word("any".to_owned()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Value::Word("any6".to_owned()),
        address => Value::Address(address),
    }
}

/// The other way round.
pub(super) fn read_local_address(value: &Value) -> Option<IpAddr> {
    match value {
        Value::Address(address) => Some(*address),
        Value::Word(any) if any == "any" => Some(Ipv4Addr::UNSPECIFIED.into()),
        Value::Word(any6) if any6 == "any6" => Some(Ipv6Addr::UNSPECIFIED.into()),
        _ => None,
    }
}

pub(super) const METRICS_LISTEN: Accessor<Config> = Accessor {
    get: |config| {
        let line = |listen: &MetricsListener| {
            let exposed = listen.exposed.then(|| Value::Word(EXPOSED.to_owned()));
            vec![
                local_address(listen.address),
                Value::Number(u32::from(listen.port)),
                exposed.unwrap_or(Value::Absent),
            ]
        };
        config.metrics_listen.iter().map(line).collect()
    },
    set: |config, values| {
        let [address, Value::Number(port), exposed] = values else {
            return false;
        };
        let exposed = match exposed {
            Value::Absent => false,
            Value::Word(word) if word == EXPOSED => true,
            _ => return false,
        };
        let (Some(address), Ok(port)) = (read_local_address(address), (*port).try_into()) else {
            return false;
        };
        config.metrics_listen = Some(MetricsListener {
            address,
            port,
            exposed,
        });
        true
    },
    clear: |config, _| {
        config.metrics_listen = None;
        true
    },
};

pub(super) const LOCAL: Accessor<InterfaceConfig> = Accessor {
    get: |interface| {
        let line = |(number, local): (&u8, &Local)| {
            vec![
                Value::Number(u32::from(*number)),
                local_address(local.address),
                Value::Number(u32::from(local.port)),
                local.device.clone().map_or(Value::Absent, Value::Word),
            ]
        };
        interface.locals.iter().map(line).collect()
    },
    set: |interface, values| {
        let [Value::Number(number), address, Value::Number(port), device] = values else {
            return false;
        };
        let Some(address) = read_local_address(address) else {
            return false;
        };
        let device = match device {
            Value::Word(name) => Some(name.clone()),
            _ => None,
        };
        let (Ok(number), Ok(port)) = ((*number).try_into(), (*port).try_into()) else {
            return false;
        };
        interface.locals.insert(
            number,
            Local {
                address,
                port,
                device,
            },
        );
        true
    },
    clear: |interface, values| {
        let [Value::Number(number), ..] = values else {
            interface.locals.clear();
            return values.is_empty();
        };
        u8::try_from(*number).is_ok_and(|number| interface.locals.remove(&number).is_some())
    },
};

pub(super) const MTU: Accessor<InterfaceConfig> = Accessor {
    get: |interface| {
        vec![vec![match interface.mtu {
            Mtu::Fixed(bytes) => Value::Number(u32::from(bytes)),
            Mtu::Auto => Value::Word("auto".to_owned()),
        }]]
    },
    set: |interface, values| {
        interface.mtu = match values {
            [Value::Number(bytes)] => match u16::try_from(*bytes) {
                Ok(bytes) => Mtu::Fixed(bytes),
                Err(_) => return false,
            },
            [Value::Word(auto)] if auto == "auto" => Mtu::Auto,
            _ => return false,
        };
        true
    },
    clear: |interface, _| {
        interface.mtu = Mtu::default();
        true
    },
};

pub(super) const MTU_POLICY: Accessor<InterfaceConfig> = Accessor {
    get: |interface| vec![vec![Value::Word(interface.mtu_policy.name().to_owned())]],
    set: |interface, values| {
        let [Value::Word(name)] = values else { return false };
        let policy = MtuPolicy::ALL.into_iter().find(|p| p.name() == name);
        policy.map(|policy| interface.mtu_policy = policy).is_some()
    },
    clear: |interface, _| {
        interface.mtu_policy = MtuPolicy::default();
        true
    },
};

pub(super) const CIPHER: Accessor<InterfaceConfig> = Accessor {
    get: |interface| vec![vec![Value::Word(interface.cipher.name().to_owned())]],
    set: |interface, values| {
        let [Value::Word(name)] = values else { return false };
        let cipher = Cipher::ALL.into_iter().find(|c| c.name() == name);
        cipher.map(|cipher| interface.cipher = cipher).is_some()
    },
    clear: |interface, _| {
        interface.cipher = Cipher::default();
        true
    },
};

/// `hub-group` of a peer, or of all peers of a group.
macro_rules! hub {
    ($object:ident) => {
        Accessor {
            get: |object: &$object| {
                let line = |hub: &HubMember| {
                    let is_said = hub.preference != HubMember::PREFERENCE;
                    let preference = is_said.then(|| Value::Number(u32::from(hub.preference)));
                    vec![
                        Value::Word(hub.group.clone()),
                        preference.unwrap_or(Value::Absent),
                    ]
                };
                object.hub.iter().map(line).collect()
            },
            set: |object: &mut $object, values| {
                let [Value::Word(group), rest @ ..] = values else {
                    return false;
                };
                let preference = match rest {
                    [] | [Value::Absent] => HubMember::PREFERENCE,
                    [Value::Number(n)] => match u8::try_from(*n) {
                        Ok(preference) => preference,
                        Err(_) => return false,
                    },
                    _ => return false,
                };
                let group = group.clone();
                object.hub = Some(HubMember { group, preference });
                true
            },
            clear: |object: &mut $object, _| {
                object.hub = None;
                true
            },
        }
    };
}

pub(in crate::grammar) const HUB_OF_PEER: Accessor<PeerConfig> = hub!(PeerConfig);
pub(in crate::grammar) const HUB_OF_GROUP: Accessor<GroupConfig> = hub!(GroupConfig);

/// The first value is the link's id, which is known from the context.
pub(in crate::grammar) const ENDPOINT: Accessor<LinkConfig> = Accessor {
    get: |link| {
        let local = link
            .local
            .map_or(Value::Absent, |local| Value::Number(u32::from(local)));
        let (address, port) = match &link.remote {
            Remote::Dynamic => (Value::Absent, Value::Absent),
            Remote::Static { address, port } => (Value::Address(*address), Value::Number(u32::from(*port))),
            Remote::Named { name, port } => (Value::Word(name.clone()), Value::Number(u32::from(*port))),
        };
        vec![vec![Value::Absent, local, address, port]]
    },
    set: |link, values| {
        let [_, local, address, port] = values else {
            return false;
        };
        let local = match local {
            Value::Absent => None,
            Value::Number(n) => match u8::try_from(*n) {
                Ok(n) => Some(n),
                Err(_) => return false,
            },
            _ => return false,
        };
        let remote = match (address, port) {
            (Value::Absent, Value::Absent) => Remote::Dynamic,
            (address, Value::Number(port)) => match (address, u16::try_from(*port)) {
                (Value::Address(address), Ok(port)) => Remote::Static {
                    address: *address,
                    port,
                },
                (Value::Word(name), Ok(port)) => Remote::Named {
                    name: name.clone(),
                    port,
                },
                _ => return false,
            },
            _ => return false,
        };
        (link.local, link.remote) = (local, remote);
        true
    },
    clear: |link, _| {
        let LinkConfig { local, remote, .. } = LinkConfig::default();
        (link.local, link.remote) = (local, remote);
        true
    },
};
