//! Which addresses a peer may use, and whether it may be a multicast router: `mac allowed`, `mac sticky`, `ip source binding`,
//! `ip verify source`, `arp inspection`, `ipv6 source binding` and `router-guard ip multicast` of a peer and of a group.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use crate::{
    edit::{Context, Leaf, Place},
    model::{GroupConfig, InterfaceConfig, PeerConfig, Switchport},
    problem::{Problem, Severity},
    value::{IpPrefix, MacAddr, Value},
};

/// Lines of each kind that a peer or a group can have.
pub const MAX_LINES: usize = 64;

/// What a peer may use, as one that has no lines of this kind says it.
static UNGUARDED: SourceGuard = SourceGuard {
    allowed_macs: Vec::new(),
    sticky: None,
    bindings: Vec::new(),
    verify_source: false,
    arp_inspection: false,
    validate_source_mac: false,
    router_guard: false,
};

/// What a peer may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceGuard {
    /// The only MAC addresses that it may send from, besides those that are configured to be behind it. Empty: any.
    pub allowed_macs: Vec<MacAddr>,
    /// So many MAC addresses, 1..=1024, stick to it.
    pub sticky: Option<u16>,
    /// The IP addresses that are given to it: single ones and networks, those of IPv4 first.
    pub bindings: Vec<IpPrefix>,
    /// IP packets come from given addresses only.
    pub verify_source: bool,
    /// ARP and neighbour discovery claim given addresses only.
    pub arp_inspection: bool,
    /// ARP and neighbour discovery name the MAC address that their frame comes from, and no other.
    pub validate_source_mac: bool,
    /// It is no multicast router: what only such a one sends is dropped.
    pub router_guard: bool,
}

/// The same, of which nothing takes memory where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard(Option<Box<SourceGuard>>);

impl Guard {
    /// What it says.
    pub fn get(&self) -> &SourceGuard {
        self.0.as_deref().unwrap_or(&UNGUARDED)
    }

    /// Whether it says anything.
    pub const fn is_said(&self) -> bool {
        self.0.is_some()
    }

    /// Changes what it says.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut SourceGuard) -> T) -> T {
        let said = self.0.get_or_insert_default();
        let changed = change(said);
        if **said == UNGUARDED {
            self.0 = None;
        }
        changed
    }

    /// The guard of a peer that was given these addresses, and of which no line says anything.
    pub(crate) fn given(addresses: &[IpAddr]) -> Self {
        let mut bindings: Vec<IpPrefix> = Vec::new();
        add(
            &mut bindings,
            &addresses.iter().copied().map(IpPrefix::host).collect::<Vec<_>>(),
        );
        bindings.sort_by_key(|binding| binding.address.is_ipv6());
        Self::from(SourceGuard {
            bindings,
            ..SourceGuard::default()
        })
    }

    /// The single addresses that are given.
    pub fn hosts(&self) -> impl Iterator<Item = IpAddr> {
        let hosts = self.get().bindings.iter().filter(|binding| binding.is_host());
        hosts.map(|binding| binding.address)
    }

    /// What it and its group say together: what either of them allows is allowed.
    #[must_use]
    pub(crate) fn in_group(&self, group: &Self) -> Self {
        let mut all = self.clone();
        if let Some(group) = &group.0 {
            all.change(|said| {
                add(&mut said.allowed_macs, &group.allowed_macs);
                said.sticky = said.sticky.or(group.sticky);
                add(&mut said.bindings, &group.bindings);
                said.bindings.sort_by_key(|binding| binding.address.is_ipv6());
                said.verify_source |= group.verify_source;
                said.arp_inspection |= group.arp_inspection;
                said.validate_source_mac |= group.validate_source_mac;
                said.router_guard |= group.router_guard;
            });
        }
        all
    }
}

impl From<SourceGuard> for Guard {
    fn from(said: SourceGuard) -> Self {
        let mut guard = Self::default();
        guard.change(|guard| *guard = said);
        guard
    }
}

/// What has lines of this kind.
pub(crate) trait Guarded {
    fn guard(&self) -> &Guard;
    fn guard_mut(&mut self) -> &mut Guard;
}

impl Guarded for PeerConfig {
    fn guard(&self) -> &Guard {
        &self.guard
    }

    fn guard_mut(&mut self) -> &mut Guard {
        &mut self.guard
    }
}

impl Guarded for GroupConfig {
    fn guard(&self) -> &Guard {
        &self.guard
    }

    fn guard_mut(&mut self) -> &mut Guard {
        &mut self.guard
    }
}

fn add<T: Copy + Ord>(list: &mut Vec<T>, more: &[T]) {
    let known: BTreeSet<T> = list.iter().copied().collect();
    list.extend(more.iter().filter(|value| !known.contains(value)));
}

/// What is wrong with the lines of a peer or a group by itself. `whose`: which of them.
pub(crate) fn check(
    interface: &InterfaceConfig,
    context: &Context,
    whose: impl Fn() -> String,
    guard: &Guard,
    problems: &mut Vec<Problem>,
) {
    let Some(guard) = &guard.0 else { return };
    let mut report = |leaf, key: Value, text: String, expected: &str| {
        problems.push(Problem {
            severity: Severity::Error,
            place: Some(Place {
                key: vec![key],
                argument: Some(0),
                ..Place::leaf(context.clone(), leaf)
            }),
            span: None,
            text,
            expected: Some(expected.to_owned()),
        });
    };
    if let Some(binding) = guard.bindings.get(MAX_LINES) {
        let text = format!(
            "{} is given {} addresses and networks",
            whose(),
            guard.bindings.len()
        );
        report(
            leaf_of(binding),
            binding.into(),
            text,
            "at most 64 of them, of both versions together",
        );
    }
    let own = interface.ip_addresses.iter().chain(&interface.ipv6_addresses);
    for own in own.map(|own| IpPrefix::host(own.address)) {
        if guard.bindings.contains(&own) {
            let text = format!("{} is this interface's own address", own.address);
            report(
                leaf_of(&own),
                (&own).into(),
                text,
                "an address of a host behind the peer",
            );
        }
    }
    if let Context::Group { .. } = context
        && let Some(host) = guard.bindings.iter().find(|binding| binding.is_host())
    {
        let text = format!("{} would be given to each peer of {}", host.address, whose());
        report(
            leaf_of(host),
            host.into(),
            text,
            "a network, or the line in one of the peers",
        );
    }
    let allowed = &guard.allowed_macs;
    if let Some(mac) = allowed.get(MAX_LINES) {
        let text = format!("{} has {} allowed MAC addresses", whose(), allowed.len());
        report(
            Leaf::MacAllowed,
            Value::Mac(*mac),
            text,
            "at most 64 of them; `mac limit` counts more",
        );
    }
    if let Some(own) = interface.mac_address.filter(|own| allowed.contains(own)) {
        let text = format!("{own} is this interface's own address");
        let expected = "the address of a host behind the peer";
        report(Leaf::MacAllowed, Value::Mac(own), text, expected);
    }
}

/// To whom single addresses are given, as far as was looked.
#[derive(Default)]
pub(crate) struct Holders<'a>(HashMap<IpAddr, Vec<(&'a str, &'a PeerConfig)>>);

impl<'a> Holders<'a> {
    /// What is wrong with the addresses of one more peer: nobody else has them that it could meet.
    pub(crate) fn check(
        &mut self,
        interface: &'a InterfaceConfig,
        context: &Context,
        name: &'a str,
        peer: &'a PeerConfig,
        problems: &mut Vec<Problem>,
    ) {
        for address in peer.guard.hosts() {
            let holders = self.0.entry(address).or_default();
            if let Some((other, _)) = holders.iter().find(|(_, other)| meet(interface, peer, other)) {
                let binding = IpPrefix::host(address);
                problems.push(Problem {
                    severity: Severity::Error,
                    place: Some(Place {
                        key: vec![(&binding).into()],
                        argument: Some(0),
                        ..Place::leaf(context.clone(), leaf_of(&binding))
                    }),
                    span: None,
                    text: format!("{address} is given to peer {other} already"),
                    expected: Some("one peer for each address; several can have a network".to_owned()),
                });
            }
            holders.push((name, peer));
        }
    }
}

/// Whether two peers could take an address from each other: not in different VLANs, and not as hubs of a group, which are one
/// port.
fn meet(interface: &InterfaceConfig, a: &PeerConfig, b: &PeerConfig) -> bool {
    let hub = |peer: &PeerConfig| peer.hub_in(interface).map(|hub| hub.group.clone());
    if hub(a).is_some() && hub(a) == hub(b) {
        return false;
    }
    let vlans = |peer: &PeerConfig| -> Switchport {
        let of_group = peer.group.as_ref().and_then(|group| interface.groups.get(group));
        let said = peer.switchport.as_ref().or_else(|| of_group?.switchport.as_ref());
        said.cloned().unwrap_or_default()
    };
    !interface.vlan_filtering || vlans(a).meets(&vlans(b))
}

fn leaf_of(binding: &IpPrefix) -> Leaf {
    if binding.address.is_ipv4() {
        Leaf::IpBinding
    } else {
        Leaf::Ipv6Binding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(n: u8) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, n])
    }

    #[test]
    fn what_says_nothing_takes_no_memory() {
        let mut guard = Guard::default();
        guard.change(|said| said.sticky = Some(3));
        assert!(guard.is_said());
        guard.change(|said| said.sticky = None);
        assert_eq!(
            (guard.is_said(), guard),
            (false, Guard::from(SourceGuard::default()))
        );
        assert_eq!(size_of::<Guard>(), size_of::<usize>());
    }

    #[test]
    fn a_group_allows_besides() {
        let said = |allowed: &[u8], sticky| {
            Guard::from(SourceGuard {
                allowed_macs: allowed.iter().map(|n| mac(*n)).collect(),
                sticky,
                ..SourceGuard::default()
            })
        };
        let (peer, group) = (said(&[3, 1], None), said(&[1, 2], Some(4)));
        assert_eq!(peer.in_group(&group), said(&[3, 1, 2], Some(4)));
        assert_eq!(said(&[], Some(2)).in_group(&group), said(&[1, 2], Some(2)));
        assert_eq!(peer.in_group(&Guard::default()), peer);
        assert!(!Guard::default().in_group(&Guard::default()).is_said());
    }
}
