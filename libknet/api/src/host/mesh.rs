//! A mesh on one of its hosts: locals, addresses and peers.

use std::collections::BTreeMap;

use crate::{
    edit::{Context, Leaf, Place},
    model::{InterfaceConfig, LinkConfig, Local, MeshConfig, PublicKey, Remote},
    problem::{Problem, Severity},
    value::Value,
};

/// Adds to `interface` what `mesh` makes of it on `host`; nothing, where `host` is no member.
pub(super) fn expand(mesh: &MeshConfig, host: &str, interface: &mut InterfaceConfig) {
    let Some(own) = mesh.members.get(host) else {
        return;
    };
    for prefix in &own.ip_addresses {
        if !interface.ip_addresses.contains(prefix) {
            interface.ip_addresses.push(*prefix);
        }
    }
    for prefix in &own.ipv6_addresses {
        if !interface.ipv6_addresses.contains(prefix) {
            interface.ipv6_addresses.push(*prefix);
        }
    }
    for (id, link) in &own.links {
        interface.locals.entry(*id).or_insert_with(|| Local {
            address: link.bind.unwrap_or(link.address),
            port: link.port,
            device: None,
        });
    }
    // In a file for all hosts there may be lines about each of them.
    interface.peers.remove(host);
    for (name, member) in mesh.members.iter().filter(|(name, _)| *name != host) {
        let peer = interface
            .peers
            .get_or_insert_with(name, || crate::model::PeerConfig {
                policy: Some(mesh.policy),
                lossy: mesh.lossy,
                preshared_key_file: mesh.preshared_key_file.clone(),
                ..Default::default()
            });
        peer.public_key = peer.public_key.or(member.public_key);
        for (id, remote) in &member.links {
            if own.links.contains_key(id) {
                peer.links.entry(*id).or_insert_with(|| LinkConfig {
                    local: Some(*id),
                    remote: Remote::Static {
                        address: remote.address,
                        port: remote.port,
                    },
                    settings: mesh.links.get(id).copied().unwrap_or_default(),
                    ..LinkConfig::default()
                });
            }
        }
    }
}

/// What is wrong with a mesh, whichever host it is on.
pub(super) fn check(interface: &str, name: &str, mesh: &MeshConfig, problems: &mut Vec<Problem>) {
    let context = |member: &str| Context::Member {
        interface: interface.to_owned(),
        mesh: name.to_owned(),
        member: member.to_owned(),
    };
    let mut keys: BTreeMap<PublicKey, &str> = BTreeMap::new();
    // The family of the addresses of each link, as the first host that has it says.
    let mut families: BTreeMap<u8, (bool, &str)> = BTreeMap::new();
    for (member, config) in &mesh.members {
        if let Some(key) = config.public_key
            && let Some(other) = keys.insert(key, member)
        {
            let place = Place {
                argument: Some(1),
                ..Place::leaf(context(member), Leaf::PublicKey)
            };
            let text = format!("member {member} has the same public key as member {other}");
            problems.push(error(place, text, "a key of its own for each host"));
        }
        for (id, link) in &config.links {
            let (v4, first) = *families.entry(*id).or_insert((link.address.is_ipv4(), member));
            let place = |argument| Place {
                key: vec![Value::Number(u32::from(*id))],
                argument: Some(argument),
                ..Place::leaf(context(member), Leaf::MemberLink)
            };
            let family = if v4 { "IPv4" } else { "IPv6" };
            if link.address.is_ipv4() != v4 {
                let text = format!(
                    "link {id} of member {member} cannot reach that of member {first}, which is {family}"
                );
                problems.push(error(place(1), text, &format!("an {family} address")));
            } else if link.bind.is_some_and(|bind| bind.is_ipv4() != v4) {
                let text =
                    format!("link {id} of member {member} cannot reach an {family} address from there");
                problems.push(error(place(3), text, &format!("an {family} address")));
            }
        }
    }
    // Of the members with the same links the first.
    let mut firsts: BTreeMap<Vec<u8>, &str> = BTreeMap::new();
    for (member, config) in &mesh.members {
        let apart = |links: &[u8]| !links.iter().any(|id| config.links.contains_key(id));
        let others = firsts
            .iter()
            .filter(|(links, _)| apart(links))
            .map(|(_, other)| other);
        if let Some(other) = others.min() {
            problems.push(Problem {
                severity: Severity::Incomplete,
                text: format!("members {other} and {member} have no link in common"),
                expected: Some("link N ADDRESS, with the same N at both".to_owned()),
                place: Some(Place::object(context(member))),
                span: None,
            });
        }
        firsts
            .entry(config.links.keys().copied().collect())
            .or_insert(member);
    }
}

fn error(place: Place, text: String, expected: &str) -> Problem {
    Problem {
        severity: Severity::Error,
        place: Some(place),
        span: None,
        text,
        expected: Some(expected.to_owned()),
    }
}
