//! `join`: by an invitation this host is configured as a peer of the hub that made it.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use libknet::{
    OsEntropy,
    api::{
        edit::{Context, Op},
        grammar::{self, Line, types::Form},
        invitation::Invitation,
        message::{ApiError, ErrorCode, JoinedRow},
        model::{Config, DEFAULT_PORT, InterfaceConfig, PublicKey, Remote},
        value::{IpPrefix, base64_encode},
    },
    proto::config::PrivateKey,
};
use zeroize::Zeroizing;

use super::{Daemon, transactions::Author};
use crate::{
    config::{
        invitations::key_of,
        pool::{network, own_prefixes},
        store,
    },
    logging::{unix_ms, utc_seconds},
};

/// The interface that is made where there is none.
const INTERFACE: &str = "knet0";

impl Daemon {
    /// Configures a peer of the hub that made this invitation, in one transaction: everything, or nothing.
    pub(crate) fn join(
        &mut self,
        text: &str,
        interface: Option<&str>,
        author: &Author,
    ) -> Result<JoinedRow, ApiError> {
        self.permit(author)?;
        let invalid = |text: String, hint: &str| ApiError::new(ErrorCode::Invalid, text).with_hint(hint);
        let invitation = Invitation::parse(text)
            .map_err(|error| invalid(error.to_string(), "what `invite` printed at the hub, all of it"))?;
        if unix_ms() / 1000 >= invitation.expires {
            let text = format!(
                "the invitation has expired at {}",
                utc_seconds(invitation.expires)
            );
            return Err(invalid(
                text,
                "a new one of the hub; is the clock of this host right?",
            ));
        }
        let config = self.config().clone();
        let interface = interface_for(&config, interface)?;
        let known = config.interfaces.get(&interface);
        let mut files = Files::default();
        let lines = self.lines_for(&invitation, &interface, &config, &mut files)?;
        let ops = ops_of(&lines)?;
        self.edit(&ops, None, author)?;
        files.keep();
        let peer = known.and_then(|known| peer_of_key(known, &invitation.public_key));
        let peer = peer.unwrap_or_else(|| peer_in(&lines));
        let setups = self.setups();
        let public_key = setups
            .get(&interface)
            .map(|setup| PublicKey(*setup.public_key.as_bytes()));
        Ok(JoinedRow {
            public_key: public_key.map_or_else(String::new, |key| key.to_string()),
            interface,
            peer,
            lines,
            revision: self.revision(),
        })
    }

    /// The lines of the configuration that are missing, and the files that they name, which are made.
    fn lines_for(
        &self,
        invitation: &Invitation,
        interface: &str,
        config: &Config,
        files: &mut Files,
    ) -> Result<Vec<String>, ApiError> {
        let none = InterfaceConfig::default();
        let known = config.interfaces.get(interface).unwrap_or(&none);
        let mut lines = vec![format!("interface {interface}")];
        if known.private_key_file.is_none() {
            let name = format!("{interface}.key");
            let path = self.config_file().with_file_name(&name);
            // One that is there is this interface's: perhaps from before it was configured.
            if !path.exists() {
                files.create(&path, &PrivateKey::generate(&mut OsEntropy).0[..])?;
            }
            lines.push(format!(" private-key file {name}"));
        }
        if known.locals.is_empty() {
            let port = free_port(config);
            let v6 = |remote: &Remote| matches!(remote, Remote::Static { address, .. } if address.is_ipv6());
            let only_v6 = invitation.endpoints.iter().all(v6);
            let some_v6 = invitation.endpoints.iter().any(v6);
            let any = (!only_v6).then_some("any");
            let locals = any.into_iter().chain(some_v6.then_some("any6"));
            lines.extend(
                locals
                    .enumerate()
                    .map(|(n, any)| format!(" local {n} {any} port {port}")),
            );
        }
        let (peer, is_new) = match peer_of_key(known, &invitation.public_key) {
            Some(peer) => (peer, false),
            None => (free_name(known, &invitation.hub), true),
        };
        // What an earlier invitation of this hub gave may be somebody else's by now.
        let invited = known
            .peers
            .get(&peer)
            .is_some_and(|peer| peer.invitation_file.is_some());
        let given = &invitation.addresses;
        let stale = |own: &&IpPrefix| {
            let same_network = |given: &IpPrefix| {
                own.length == given.length
                    && own.address.is_ipv4() == given.address.is_ipv4()
                    && network(own) == network(given)
            };
            invited && !given.contains(own) && given.iter().any(same_network)
        };
        lines.extend(
            own_prefixes(known)
                .filter(stale)
                .map(|own| format!(" no {}", address_line(own))),
        );
        let missing = given
            .iter()
            .filter(|given| !own_prefixes(known).any(|own| own == *given));
        lines.extend(missing.map(|given| format!(" {}", address_line(given))));
        let numbers = std::iter::once(String::new()).chain((2..).map(|n| format!("-{n}")));
        let mut names = numbers.map(|number| format!("{peer}{number}.invitation"));
        let name = names
            .find(|name| !self.config_file().with_file_name(name).exists())
            .unwrap_or_default();
        files.create(
            &self.config_file().with_file_name(&name),
            &key_of(&invitation.secret),
        )?;
        lines.push(format!(" peer {peer}"));
        if is_new {
            lines.push(format!("  public-key {}", invitation.public_key));
        }
        lines.push(format!("  invitation file {name}"));
        if known.peers.get(&peer).is_none_or(|peer| peer.links.is_empty()) {
            let links = invitation.endpoints.iter().enumerate();
            lines.extend(links.filter_map(|(id, remote)| match remote {
                Remote::Static { address, port } => Some(format!("  link {id} remote {address} port {port}")),
                Remote::Named { name, port } => Some(format!("  link {id} remote {name} port {port}")),
                Remote::Dynamic => None,
            }));
        }
        Ok(lines)
    }
}

/// The interface that is meant: nobody's network is joined with another one by mistake.
fn interface_for(config: &Config, named: Option<&str>) -> Result<String, ApiError> {
    match named {
        // It is part of the names of files.
        Some(name) if Form::DeviceName.parse(name).is_err() => {
            let text = format!("{name:?} is no name of an interface");
            let form = Form::DeviceName.requirement().unwrap_or_default();
            Err(ApiError::new(ErrorCode::Invalid, text).with_hint(form))
        }
        Some(name) => Ok(name.to_owned()),
        None if config.interfaces.is_empty() => Ok(INTERFACE.to_owned()),
        None => {
            let there: Vec<&str> = config.interfaces.keys().map(String::as_str).collect();
            let text = format!(
                "by which interface is not said, and there is {} already",
                there.join(", ")
            );
            Err(ApiError::new(ErrorCode::Ambiguous, text)
                .with_hint("`interface NAME` at the end of the line; one that is not there is made"))
        }
    }
}

fn address_line(prefix: &IpPrefix) -> String {
    match prefix.address {
        IpAddr::V4(_) => format!("ip address {prefix}"),
        IpAddr::V6(_) => format!("ipv6 address {prefix}"),
    }
}

fn peer_of_key(interface: &InterfaceConfig, key: &PublicKey) -> Option<String> {
    let mut peers = interface.peers.iter();
    peers
        .find(|(_, peer)| peer.public_key.as_ref() == Some(key))
        .map(|(name, _)| name.clone())
}

/// The hub's name, or one like it that no other peer has.
fn free_name(interface: &InterfaceConfig, hub: &str) -> String {
    let others = (2..).map(|n| {
        let number = format!("-{n}");
        let stem: String = hub.chars().take(64 - number.len()).collect();
        stem + &number
    });
    let mut names = std::iter::once(hub.to_owned()).chain(others);
    names
        .find(|name| !interface.peers.contains_key(name))
        .unwrap_or_else(|| hub.to_owned())
}

/// A port that no other local of this host has.
fn free_port(config: &Config) -> u16 {
    let locals = || {
        config
            .interfaces
            .values()
            .flat_map(|interface| interface.locals.values())
    };
    let is_free = |port: &u16| locals().all(|local| local.port != *port);
    (DEFAULT_PORT..u16::MAX).find(is_free).unwrap_or(DEFAULT_PORT)
}

fn peer_in(lines: &[String]) -> String {
    let mut names = lines.iter().filter_map(|line| line.strip_prefix(" peer "));
    names.next().unwrap_or_default().to_owned()
}

/// What typing the lines would do.
fn ops_of(lines: &[String]) -> Result<Vec<Op>, ApiError> {
    let (mut context, mut ops) = (Context::Global, Vec::new());
    for line in lines {
        let Ok(Line::Edit(edit)) = grammar::parse(Some(&context), line) else {
            let text = format!("{} cannot be configured", line.trim());
            return Err(ApiError::new(ErrorCode::Invalid, text));
        };
        ops.extend(edit.ops);
        context = edit.enter.unwrap_or(context);
    }
    Ok(ops)
}

/// Files that were made, and are gone again where what they were made for fails.
#[derive(Default)]
struct Files(Vec<PathBuf>);

impl Files {
    /// Makes a file with a key that only its owner can read.
    fn create(&mut self, path: &Path, key: &[u8]) -> Result<(), ApiError> {
        let mut text = Zeroizing::new(base64_encode(key));
        text.push('\n');
        store::create(path, &text).map_err(|error| ApiError::new(ErrorCode::System, error.to_string()))?;
        self.0.push(path.into());
        Ok(())
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in &self.0 {
            // Best effort: one that stays does no harm.
            let _ = std::fs::remove_file(path);
        }
    }
}
