//! Hub groups (`hub-group NAME`): several peers of which one is used at a time. To the bridge they are one port, so what they
//! say of it has to be the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    edit::{Context, Leaf, Place},
    model::{GroupConfig, HubMember, InterfaceConfig, PeerConfig, Switchport},
    problem::{Problem, Severity},
};

/// Hubs in a group, at most.
const MAX_HUBS: usize = 8;

impl PeerConfig {
    /// The hub group that it is in, by itself or by its peer group.
    pub fn hub_in<'a>(&'a self, interface: &'a InterfaceConfig) -> Option<&'a HubMember> {
        let said = self.hub.as_ref();
        said.or_else(|| self.group_in(interface)?.hub.as_ref())
    }

    fn group_in<'a>(&self, interface: &'a InterfaceConfig) -> Option<&'a GroupConfig> {
        interface.groups.get(self.group.as_ref()?)
    }
}

/// What the port of a group is made of, and the line that says it.
type Said = [(Leaf, &'static str, String); 16];

fn said(peer: &PeerConfig) -> Said {
    let flag = |on: bool| if on { "on" } else { "off" }.to_owned();
    let number = |n: Option<u32>| n.map_or("the default".to_owned(), |n| n.to_string());
    let guard = peer.guard.get();
    [
        (Leaf::Isolate, "isolate", flag(peer.isolate)),
        (Leaf::DhcpTrust, "ip dhcp snooping trust", flag(peer.dhcp_trust)),
        (Leaf::RaTrust, "ipv6 nd raguard trust", flag(peer.ra_trust)),
        (
            Leaf::IgmpRouter,
            "ip igmp snooping mrouter",
            flag(peer.igmp_router),
        ),
        (
            Leaf::MldRouter,
            "ipv6 mld snooping mrouter",
            flag(peer.mld_router),
        ),
        (Leaf::Switchport, "switchport", vlans(peer.switchport.as_ref())),
        (Leaf::VerifySource, "ip verify source", flag(guard.verify_source)),
        (Leaf::ArpInspection, "arp inspection", flag(guard.arp_inspection)),
        (
            Leaf::ValidateSourceMac,
            "arp inspection validate source-mac",
            flag(guard.validate_source_mac),
        ),
        (
            Leaf::RouterGuard,
            "router-guard ip multicast",
            flag(guard.router_guard),
        ),
        (Leaf::IpBinding, "source binding", list(&guard.bindings, "none")),
        (Leaf::MacLimit, "mac limit", number(peer.mac_limit.map(u32::from))),
        (
            Leaf::MacAllowed,
            "mac allowed",
            list(&guard.allowed_macs, "any address"),
        ),
        (
            Leaf::MacSticky,
            "mac sticky",
            guard.sticky.map_or("off".to_owned(), |n| n.to_string()),
        ),
        (
            Leaf::StormFrames,
            "storm-control frames",
            number(peer.storm_frames),
        ),
        (
            Leaf::StormCopies,
            "storm-control copies",
            number(peer.storm_copies),
        ),
    ]
}

/// A list in ascending order, or what counts where there is none.
fn list<T: Copy + Ord + ToString>(values: &[T], none: &str) -> String {
    let values: BTreeSet<T> = values.iter().copied().collect();
    let values: Vec<String> = values.iter().map(T::to_string).collect();
    if values.is_empty() {
        none.to_owned()
    } else {
        values.join(", ")
    }
}

fn vlans(switchport: Option<&Switchport>) -> String {
    match switchport.cloned().unwrap_or_default() {
        Switchport::Access(vlan) => format!("access vlan {vlan}"),
        Switchport::Trunk { allowed, native } => {
            let native = native.map_or(String::new(), |vlan| format!(" native vlan {vlan}"));
            format!("trunk allowed vlan {allowed}{native}")
        }
    }
}

/// What is wrong with the hub groups of an interface.
pub(crate) fn check(name: &str, interface: &InterfaceConfig, problems: &mut Vec<Problem>) {
    let mut groups: BTreeMap<&str, Vec<(&str, PeerConfig)>> = BTreeMap::new();
    for (peer_name, peer) in &interface.peers {
        let Some(hub) = peer.hub_in(interface) else {
            continue;
        };
        let whole = peer.in_group(peer.group_in(interface));
        groups
            .entry(hub.group.as_str())
            .or_default()
            .push((peer_name, whole));
    }
    for (group, config) in &interface.groups {
        let others = [
            (&config.authorized_keys_file, "authorized-keys"),
            (&config.certificate_authority_file, "certificate-authority"),
            (&config.invitations_file, "invitations"),
        ];
        for (_, line) in others
            .into_iter()
            .filter(|(file, _)| file.is_some() && config.hub.is_some())
        {
            let context = Context::Group {
                interface: name.to_owned(),
                group: group.clone(),
            };
            problems.push(Problem {
                severity: Severity::Error,
                place: Some(Place::leaf(context, Leaf::HubGroup)),
                span: None,
                text: format!("the hubs of peer-group {group} would be whoever gets in by `{line}`"),
                expected: Some("hubs that are configured as peers, at most 8".to_owned()),
            });
        }
    }
    for (group, hubs) in groups {
        let mut report = |peer: &str, leaf: Leaf, text: String, expected: String| {
            let context = Context::Peer {
                interface: name.to_owned(),
                peer: peer.to_owned(),
            };
            problems.push(Problem {
                severity: Severity::Error,
                place: Some(Place::leaf(context, leaf)),
                span: None,
                text,
                expected: Some(expected),
            });
        };
        let Some((first, pattern)) = hubs.first().map(|(peer, config)| (*peer, said(config))) else {
            continue;
        };
        for (at, (peer, config)) in hubs.iter().enumerate() {
            if config.spoke {
                let text = format!("peer {peer} is a hub of hub-group {group}, and a spoke");
                let expected = "one of the two: a hub relays for this node, and this node for a spoke";
                report(peer, Leaf::Spoke, text, expected.to_owned());
            }
            if at == MAX_HUBS {
                let text = format!("hub-group {group} has {} hubs", hubs.len());
                report(peer, Leaf::HubGroup, text, format!("at most {MAX_HUBS}"));
            }
            for ((leaf, line, own), (_, _, of_first)) in said(config).into_iter().zip(&pattern) {
                if own != *of_first {
                    let text = format!(
                        "`{line}` of peer {peer} is {own}, and of peer {first}, a hub of the same hub-group {group}, \
                         {of_first}"
                    );
                    let expected = "the same for all hubs of a group: they are one port of the bridge";
                    report(peer, leaf, text, expected.to_owned());
                }
            }
        }
    }
}
