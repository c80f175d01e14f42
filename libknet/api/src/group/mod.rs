//! What peers have in common (`peer-group NAME`): what a peer does not say itself, its group says.
//! [`Config::without_groups`] makes of it the configuration in force, in which there are no groups.

pub mod authorized_keys;
mod in_force;

pub use self::in_force::{Before, Clash, ClashReason, Lists, WithoutGroups};

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    edit::{Context, Leaf, Place},
    grammar::spelling::names_instead,
    link_settings::LinkSettings,
    model::{Guard, HubMember, InterfaceConfig, PeerConfig, Policy, Pools, Switchport},
    problem::{Problem, Severity},
    value::Value,
};

/// What the peers of a group have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupConfig {
    /// For people.
    pub description: Option<String>,
    /// File with names and public keys of peers of this group, as written: relative paths are relative to the configuration
    /// file. See [`authorized_keys`].
    pub authorized_keys_file: Option<String>,
    /// File with the authorities whose certificates make peers of this group, as written: relative paths are relative to the
    /// configuration file. See [`crate::certificate::authority`].
    pub certificate_authority_file: Option<String>,
    /// File with their revocation lists, likewise. See [`crate::certificate::revocation`].
    pub revocation_list_file: Option<String>,
    /// File with invitations to this group, and with peers that have come by one, as written: a name in the directory of the
    /// configuration file. See [`crate::invitation::register`].
    pub invitations_file: Option<String>,
    /// The addresses of which every peer is given one of each version that it does not have otherwise.
    pub pools: Arc<Pools>,
    /// File with the preshared key of every peer that has none of its own, as written: relative paths are relative to the
    /// configuration file.
    pub preshared_key_file: Option<String>,
    /// Of every peer that says none.
    pub policy: Policy,
    /// See [`PeerConfig::isolate`]; of every peer.
    pub isolate: bool,
    /// See [`PeerConfig::spoke`]; of every peer.
    pub spoke: bool,
    /// See [`PeerConfig::lossy`]; of every peer.
    pub lossy: bool,
    /// See [`PeerConfig::dhcp_trust`]; of every peer.
    pub dhcp_trust: bool,
    /// See [`PeerConfig::ra_trust`]; of every peer.
    pub ra_trust: bool,
    /// See [`PeerConfig::igmp_router`]; of every peer.
    pub igmp_router: bool,
    /// See [`PeerConfig::mld_router`]; of every peer.
    pub mld_router: bool,
    /// See [`PeerConfig::storm_frames`]; of every peer that says none.
    pub storm_frames: Option<u32>,
    /// See [`PeerConfig::storm_copies`]; of every peer that says none.
    pub storm_copies: Option<u32>,
    /// See [`PeerConfig::mac_limit`]; of every peer that says none.
    pub mac_limit: Option<u16>,
    /// See [`PeerConfig::switchport`]; of every peer that says none.
    pub switchport: Option<Switchport>,
    /// See [`PeerConfig::guard`]; of every peer, besides its own.
    pub guard: Guard,
    /// See [`PeerConfig::hub`]; of every peer that says none.
    pub hub: Option<HubMember>,
    /// All of its peers are taken out of service.
    pub shutdown: bool,
    /// What links of an id have in common, by that id, 0..=7: those that are configured, and those that peers open.
    pub links: Arc<BTreeMap<u8, LinkSettings>>,
}

impl PeerConfig {
    /// This peer with what its group says besides, and without a name of a group. Nothing is left to be said: also what
    /// is the default.
    #[must_use]
    pub fn in_group(&self, group: Option<&GroupConfig>) -> Self {
        let mut peer = self.clone();
        peer.group = None;
        let Some(group) = group else { return peer };
        peer.preshared_key_file = peer
            .preshared_key_file
            .or_else(|| group.preshared_key_file.clone());
        peer.policy = peer.policy.or(Some(group.policy));
        peer.isolate |= group.isolate;
        peer.spoke |= group.spoke;
        peer.lossy |= group.lossy;
        peer.dhcp_trust |= group.dhcp_trust;
        peer.ra_trust |= group.ra_trust;
        peer.igmp_router |= group.igmp_router;
        peer.mld_router |= group.mld_router;
        peer.storm_frames = peer.storm_frames.or(group.storm_frames);
        peer.storm_copies = peer.storm_copies.or(group.storm_copies);
        peer.mac_limit = peer.mac_limit.or(group.mac_limit);
        peer.switchport = peer.switchport.or_else(|| group.switchport.clone());
        peer.guard = peer.guard.in_group(&group.guard);
        peer.hub = peer.hub.or_else(|| group.hub.clone());
        peer.shutdown |= group.shutdown;
        for (id, link) in &mut peer.links {
            link.settings = link.settings.or(group.links.get(id).copied().unwrap_or_default());
        }
        peer.opened = (!group.links.is_empty()).then(|| Arc::clone(&group.links));
        peer.pools = (!group.pools.is_empty()).then(|| Arc::clone(&group.pools));
        peer
    }
}

/// What is wrong with a group, whoever its peers are.
pub(crate) fn check(interface: &str, name: &str, group: &GroupConfig, problems: &mut Vec<Problem>) {
    if group.revocation_list_file.is_some() && group.certificate_authority_file.is_none() {
        let context = Context::Group {
            interface: interface.to_owned(),
            group: name.to_owned(),
        };
        problems.push(Problem {
            severity: Severity::Incomplete,
            ..error(
                Place::leaf(context, Leaf::RevocationList),
                format!("group {name} has a revocation list and no authority whose it is"),
                "`certificate-authority FILE` in the group as well".to_owned(),
            )
        });
    }
    for (id, link) in group.links.iter() {
        let Some((interval, timeout)) = link.timers_ms else {
            continue;
        };
        let least = interval.saturating_mul(3);
        if timeout < least {
            let context = Context::Group {
                interface: interface.to_owned(),
                group: name.to_owned(),
            };
            let place = Place {
                key: vec![Value::Number(u32::from(*id))],
                argument: Some(2),
                ..Place::leaf(context, Leaf::LinksTimers)
            };
            let text = format!(
                "link {id} of peers of group {name} would give up after {timeout} ms with a heartbeat every {interval} ms"
            );
            let expected = format!("a timeout of at least three intervals, {least} ms");
            problems.push(error(place, text, expected));
        }
    }
}

/// What is wrong with the group of a peer: there has to be one of that name.
pub(crate) fn check_member(
    interface: &str,
    config: &InterfaceConfig,
    name: &str,
    peer: &PeerConfig,
    problems: &mut Vec<Problem>,
) {
    let Some(group) = peer
        .group
        .as_ref()
        .filter(|group| !config.groups.contains_key(*group))
    else {
        return;
    };
    let context = Context::Peer {
        interface: interface.to_owned(),
        peer: name.to_owned(),
    };
    let place = Place {
        argument: Some(0),
        ..Place::leaf(context, Leaf::Group)
    };
    let text = format!("peer {name} is in group {group}, which interface {interface} does not have");
    let names = config.groups.keys().map(String::as_str);
    let expected = match names_instead(group, names) {
        Some(names) => format!("one of {names}"),
        None => format!("`peer-group {group}` in the interface, or `no group` in the peer"),
    };
    problems.push(error(place, text, expected));
}

fn error(place: Place, text: String, expected: String) -> Problem {
    Problem {
        severity: Severity::Error,
        place: Some(place),
        span: None,
        text,
        expected: Some(expected),
    }
}
