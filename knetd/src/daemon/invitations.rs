//! What an administrator does with invitations at the hub: they are made and taken back, and members are expelled.

use std::{collections::BTreeSet, net::SocketAddr};

use libknet::{
    OsEntropy,
    api::{
        grammar::{
            lexer::MAX_LINE,
            types::{Form, lookup},
        },
        group::GroupConfig,
        invitation::{
            Invitation, MAX_ENDPOINTS, SECRET_LEN,
            register::{Invited, MAX_INVITATIONS, Register, SecretHash},
        },
        message::{ApiError, ErrorCode, Invite, InvitedRow, PublicAddress},
        model::{InterfaceConfig, PublicKey, Remote},
        value::{IpPrefix, Value},
    },
    proto::rng::Entropy,
};
use zeroize::Zeroizing;

use super::Daemon;
use crate::{
    config::{
        invitations::{hash_of, key_of},
        key_files::GroupName,
        pool::Pool,
    },
    control::names,
    events::Loudness,
    logging::{unix_ms, utc_seconds},
};

/// Longest validity, in seconds: ten years.
const MAX_VALIDITY: u32 = 3650 * 86_400;
/// Longest text that is still typed in a line with `join` and the name of an interface.
const MAX_TEXT: usize = MAX_LINE - 64;

impl Daemon {
    /// Makes an invitation.
    pub(crate) fn invite(&mut self, order: &Invite, user: &str) -> Result<InvitedRow, ApiError> {
        let config = self.of_this_host.clone();
        let (interface, config) = names::interfaces(&config, Some(&order.interface))?[0];
        let groups = || config.groups.keys().map(String::as_str);
        let group = config
            .groups
            .get(&order.group)
            .ok_or_else(|| names::none_called("group", &order.group, groups()))?;
        if group.invitations_file.is_none() {
            let text = format!("group {} takes no invitations", order.group);
            return Err(ApiError::new(ErrorCode::Invalid, text).with_hint(
                "a line `invitations FILE` in the group first: the file keeps who is invited and who has come",
            ));
        }
        let Some(public_key) = self.setups().get(interface).map(|setup| setup.public_key) else {
            let text = format!("interface {interface} does not run");
            return Err(ApiError::new(ErrorCode::Invalid, text)
                .with_hint("`private-key file FILE` in it, and `no shutdown`"));
        };
        let public_key = PublicKey(*public_key.as_bytes());
        self.check_invited_name(interface, order.name.as_deref())?;
        if !(1..=MAX_VALIDITY).contains(&order.valid_s) {
            let text = format!("{} seconds are out of range", order.valid_s);
            return Err(ApiError::new(ErrorCode::Invalid, text).with_hint("at most 3650 days"));
        }
        let now = unix_ms() / 1000;
        let mut invitation = Invitation {
            hub: self.name_for_peers(),
            public_key,
            secret: [0; SECRET_LEN],
            expires: now + u64::from(order.valid_s),
            endpoints: endpoints(interface, config, &order.endpoints)?,
            addresses: self.addresses_for(interface, config, group, order)?,
        };
        let (text, hash) = loop {
            OsEntropy.fill(&mut invitation.secret);
            let hash = hash_of(&key_of(&invitation.secret));
            // Its id is to name one only.
            let mut all = self.sources.invitations.of_interface(interface);
            let is_new = |known: &Register| {
                !known
                    .invitations()
                    .keys()
                    .any(|other| other.0[..4] == hash.0[..4])
            };
            if all.all(|(_, register)| is_new(register)) {
                let text = invitation
                    .to_text()
                    .map_err(|error| ApiError::new(ErrorCode::Invalid, error.to_string()))?;
                break (Zeroizing::new(text), hash);
            }
        };
        if text.len() > MAX_TEXT {
            let text = format!("the invitation would have {} characters", text.len());
            return Err(ApiError::new(ErrorCode::Invalid, text)
                .with_hint(format!("at most {MAX_TEXT}: fewer addresses, or shorter ones")));
        }
        let group = (interface.clone(), order.group.clone());
        let made = self.change_register(&group, |register| {
            let room = register.invitations().len() < MAX_INVITATIONS;
            if room {
                register.invite(
                    hash,
                    order.name.clone(),
                    invitation.expires,
                    invitation.addresses.clone(),
                );
            }
            room
        })?;
        if !made {
            let text = format!(
                "there are {MAX_INVITATIONS} invitations and members of group {} already",
                group.1
            );
            return Err(ApiError::new(ErrorCode::Invalid, text)
                .with_hint("`clear invitation all` takes open ones back"));
        }
        let name = order
            .name
            .as_ref()
            .map_or(String::new(), |name| format!(" as {name}"));
        let told = format!(
            "{interface}: invitation {} into group {}{name} made by {user}, good until {}",
            hash.id(),
            group.1,
            utc_seconds(invitation.expires)
        );
        self.tell_certificate(
            &format!("invited {interface} {}", hash.id()),
            &told,
            Loudness::Info,
        );
        Ok(InvitedRow {
            invitation: text.to_string(),
            id: hash.id(),
            expires_unix_ms: invitation.expires * 1000,
            endpoints: invitation.endpoints.iter().map(remote_text).collect(),
            addresses: invitation.addresses.iter().map(ToString::to_string).collect(),
        })
    }

    /// The addresses that an invitation gives: those that were asked for, and else the next of the group's pools.
    fn addresses_for(
        &mut self,
        interface: &str,
        config: &InterfaceConfig,
        group: &GroupConfig,
        order: &Invite,
    ) -> Result<Vec<IpPrefix>, ApiError> {
        let invalid = |text: String, hint: &str| ApiError::new(ErrorCode::Invalid, text).with_hint(hint);
        let taken = self.taken_addresses(interface);
        let mut addresses: Vec<IpPrefix> = Vec::new();
        for wanted in &order.addresses {
            if addresses
                .iter()
                .any(|other| other.address.is_ipv4() == wanted.address.is_ipv4())
            {
                return Err(invalid(
                    "two addresses of one kind".to_owned(),
                    "at most one of IPv4 and one of IPv6",
                ));
            }
            if taken.contains(wanted.address) {
                let text = format!("{} is ours, or was given to somebody else", wanted.address);
                return Err(invalid(
                    text,
                    "another address; `show invitations` and `show ip pool leases` tell who has which",
                ));
            }
            addresses.push(*wanted);
        }
        for prefix in group.pools.iter() {
            if addresses
                .iter()
                .any(|other| other.address.is_ipv4() == prefix.address.is_ipv4())
            {
                continue;
            }
            let next = Pool::new(prefix, config).next(taken).ok_or_else(|| {
                let text = format!("no address of pool {prefix} of group {} is left", order.group);
                invalid(
                    text,
                    "a larger pool, or `clear invitation`, `remove member` and `clear ip pool lease` for those that nobody needs",
                )
            })?;
            addresses.push(next);
        }
        Ok(addresses)
    }

    /// A name that no peer and no open invitation has.
    fn check_invited_name(&self, interface: &str, name: Option<&str>) -> Result<(), ApiError> {
        let Some(name) = name else { return Ok(()) };
        if Form::PeerName.parse(name).is_err() {
            let text = format!("{name:?} is no name of a peer");
            return Err(ApiError::new(ErrorCode::Invalid, text).with_hint("1-64 of A-Z a-z 0-9 . _ -"));
        }
        let peers = self
            .in_force
            .interfaces
            .get(interface)
            .map(|config| &config.peers);
        let is_peer = peers.is_some_and(|peers| peers.contains_key(name));
        if is_peer || self.sources.invitations.member(interface, name).is_some() {
            let text = format!("there is a peer {name} on interface {interface} already");
            return Err(ApiError::new(ErrorCode::Invalid, text).with_hint("another name"));
        }
        let now = unix_ms() / 1000;
        let is_its = |invited: &Invited| match invited {
            Invited::Open {
                name: Some(other),
                expires,
                ..
            } => other == name && *expires > now,
            _ => false,
        };
        let mut all = self.sources.invitations.of_interface(interface);
        let other = all.find_map(|(_, register)| {
            let mut open = register.invitations().iter();
            open.find(|(_, invited)| is_its(invited))
                .map(|(hash, _)| hash.id())
        });
        match other {
            None => Ok(()),
            Some(id) => {
                let text = format!("invitation {id} is for {name}, and it is still open");
                Err(ApiError::new(ErrorCode::Invalid, text)
                    .with_hint(format!("another name, or `clear invitation {id}` first")))
            }
        }
    }

    /// Our host name, as a name of a peer.
    fn name_for_peers(&self) -> String {
        let hostname = self.hostname();
        let fit = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
        let name: String = hostname.chars().filter(fit).take(64).collect();
        if name.is_empty() { "hub".to_owned() } else { name }
    }

    /// Takes back an open invitation, or all of them. Gives their ids.
    pub(crate) fn clear_invitations(
        &mut self,
        interface: Option<&str>,
        id: Option<&str>,
        user: &str,
    ) -> Result<Vec<String>, ApiError> {
        let config = self.of_this_host.clone();
        let mut cleared = Vec::new();
        for (interface, config) in names::interfaces(&config, interface)? {
            for group in config.groups.keys() {
                let Some(file) = self.sources.invitations.get(interface, group) else {
                    continue;
                };
                let all = file.contents.iter().flat_map(Register::invitations);
                let wanted = all.filter(|(hash, invited)| {
                    matches!(invited, Invited::Open { .. }) && id.is_none_or(|id| id == hash.id())
                });
                let wanted: Vec<_> = wanted.map(|(hash, _)| *hash).collect();
                if wanted.is_empty() {
                    continue;
                }
                let group = (interface.clone(), group.clone());
                let taken_back = self.change_register(&group, |register| {
                    let taken_back = wanted.iter().filter(|hash| register.take_back(hash));
                    taken_back.map(SecretHash::id).collect::<Vec<_>>()
                })?;
                for id in &taken_back {
                    let text = format!("{interface}: invitation {id} taken back by {user}");
                    self.tell_certificate(&format!("invited {interface} {id}"), &text, Loudness::Info);
                }
                cleared.extend(taken_back);
            }
        }
        match id {
            Some(id) if cleared.is_empty() => {
                let text = format!("there is no open invitation {id}");
                let hint = "`show invitations` lists them; `remove member NAME` expels who has used one";
                Err(ApiError::new(ErrorCode::NotFound, text).with_hint(hint))
            }
            _ => Ok(cleared),
        }
    }

    /// Expels somebody who has come by an invitation.
    pub(crate) fn remove_member(
        &mut self,
        interface: Option<&str>,
        peer: &str,
        user: &str,
    ) -> Result<(), ApiError> {
        let config = self.of_this_host.clone();
        let interfaces = names::interfaces(&config, interface)?;
        let invitations = &self.sources.invitations;
        let found: Vec<GroupName> = interfaces
            .iter()
            .filter_map(|(interface, _)| {
                let (group, _) = invitations.member(interface, peer)?;
                Some(((*interface).clone(), group.to_owned()))
            })
            .collect();
        let [group] = &found[..] else {
            if found.is_empty() {
                let members = interfaces.iter().flat_map(|(interface, _)| {
                    let registers = invitations.of_interface(interface);
                    registers.flat_map(|(_, register)| register.members().keys())
                });
                let members: Vec<&str> = members.map(String::as_str).collect();
                return Err(names::none_called("member", peer, members.into_iter()));
            }
            let text = format!("there is a member {peer} on several interfaces");
            return Err(ApiError::new(ErrorCode::Ambiguous, text).with_hint("name the interface"));
        };
        self.change_register(group, |register| register.expel(peer))?;
        let text = format!("{}: peer {peer} of group {} removed by {user}", group.0, group.1);
        self.tell_certificate(&format!("removed {} {peer}", group.0), &text, Loudness::Info);
        Ok(())
    }

    /// Changes what a group's file says: on the disk, and then in force.
    fn change_register<T>(
        &mut self,
        group: &GroupName,
        change: impl FnOnce(&mut Register) -> T,
    ) -> Result<T, ApiError> {
        let system = |text: String| ApiError::new(ErrorCode::System, text);
        let mut sources = self.sources.clone();
        let done = sources.invitations.change(group, change).map_err(system)?;
        let groups = BTreeSet::from([group.clone()]);
        let failed = sources
            .invitations
            .write(&groups, &self.sources.invitations, unix_ms() / 1000);
        if let Some(error) = failed.into_values().next() {
            return Err(system(error));
        }
        self.put_sources(sources)
            .map_err(|problems| system(problems.join("; ")))?;
        Ok(done)
    }
}

/// Where the hub is reached: as it was said, or at the addresses of its locals.
fn endpoints(
    interface: &str,
    config: &InterfaceConfig,
    said: &[PublicAddress],
) -> Result<Vec<Remote>, ApiError> {
    let port = config.locals.values().next().map(|local| local.port);
    if said.is_empty() {
        let known = config
            .locals
            .values()
            .filter(|local| !local.address.is_unspecified());
        let known: Vec<Remote> = known
            .map(|local| Remote::Static {
                address: local.address,
                port: local.port,
            })
            .take(MAX_ENDPOINTS)
            .collect();
        if known.is_empty() {
            let text = format!(
                "where interface {interface} is reached is not known: it has no local with an address"
            );
            return Err(ApiError::new(ErrorCode::Invalid, text)
                .with_hint("`address HOST port PORT` at the end of the line"));
        }
        return Ok(known);
    }
    let read = |said: &PublicAddress| {
        let invalid = |text: String, hint: &str| ApiError::new(ErrorCode::Invalid, text).with_hint(hint);
        let port = said.port.or(port).filter(|port| *port > 0).ok_or_else(|| {
            let text = format!(
                "the port at {} is not known: interface {interface} has no local",
                said.address
            );
            invalid(text, "`port PORT` behind the address")
        })?;
        let form = lookup("remote-address");
        match form.and_then(|form| form.parse(&said.address)) {
            Some(Value::Address(address)) => Ok(Remote::Static { address, port }),
            Some(Value::Word(name)) => Ok(Remote::Named { name, port }),
            _ => Err(invalid(
                format!("{:?} is neither an address nor a host name", said.address),
                "an IP address or a host name",
            )),
        }
    };
    said.iter().map(read).collect()
}

fn remote_text(remote: &Remote) -> String {
    match remote {
        Remote::Static { address, port } => SocketAddr::new(*address, *port).to_string(),
        Remote::Named { name, port } => format!("{name}:{port}"),
        Remote::Dynamic => String::new(),
    }
}
