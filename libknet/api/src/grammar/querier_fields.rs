//! Accessors of the lines that say that an interface asks who listens to multicast.

use std::net::{IpAddr, Ipv4Addr};

use super::access::Accessor;
use crate::{
    model::{InterfaceConfig, Querier},
    value::Value,
};

/// That of IPv4: perhaps an address, perhaps an interval.
pub(in crate::grammar) const IGMP_QUERIER: Accessor<InterfaceConfig> = Accessor {
    get: |interface| {
        let line = |querier: &Querier| {
            let address = querier.address.map(|address| Value::Address(address.into()));
            vec![address.unwrap_or(Value::Absent), interval(querier)]
        };
        interface.igmp_querier.iter().map(line).collect()
    },
    set: |interface, values| {
        let Some(querier) = querier(values.first(), values.get(1)) else {
            return false;
        };
        interface.igmp_querier = Some(querier);
        values.len() <= 2
    },
    clear: |interface, _| {
        interface.igmp_querier = None;
        true
    },
};

/// That of IPv6: perhaps an interval.
pub(in crate::grammar) const MLD_QUERIER: Accessor<InterfaceConfig> = Accessor {
    get: |interface| {
        let queriers = interface.mld_querier.iter();
        queriers.map(|querier| vec![interval(querier)]).collect()
    },
    set: |interface, values| {
        let Some(querier) = querier(None, values.first()) else {
            return false;
        };
        interface.mld_querier = Some(querier);
        values.len() <= 1
    },
    clear: |interface, _| {
        interface.mld_querier = None;
        true
    },
};

fn interval(querier: &Querier) -> Value {
    querier
        .interval
        .map_or(Value::Absent, |n| Value::Number(n.into()))
}

fn querier(address: Option<&Value>, interval: Option<&Value>) -> Option<Querier> {
    let address: Option<Ipv4Addr> = match address {
        None | Some(Value::Absent) => None,
        Some(Value::Address(IpAddr::V4(address))) => Some(*address),
        Some(_) => return None,
    };
    let interval = match interval {
        None | Some(Value::Absent) => None,
        Some(Value::Number(n)) => Some(u16::try_from(*n).ok()?),
        Some(_) => return None,
    };
    Some(Querier { address, interval })
}
