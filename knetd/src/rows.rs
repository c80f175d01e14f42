//! From the data plane's state to the rows of the control messages.

mod listeners;

pub(crate) use listeners::listener;

use std::{net::SocketAddr, time::Instant};

use libknet::{
    InterfaceReport, SocketDown, WorkerReport,
    api::{
        message::{
            DropRow, GuardRow, InterfaceRow, LinkCountsRow, LinkRow, LocalRow, MacRow, NeighborRow, OrderRow,
            PeerAsHubRow, PeerRow, PiecesRow, ResendRow, SessionRow, StormRow, SwitchportRow, SystemCallsRow,
            Traffic, VlanRow, WorkerRow,
        },
        model,
    },
    proto::{
        drop_reason::DropCounters,
        handshake::message::{Role, Suite},
        l2::{
            mac_table::MAX_MACS_PER_PEER,
            storm::{COPIES, FLOODED_FRAMES},
            vlan::VlanId,
        },
        link::path_mtu::LimitReason,
        status::{
            self, LinkCounts, LinkState, LinkStatus, MacEntry, NeighborEntry, PeerStatus, Port, VlanEntry,
        },
        time::Span,
    },
};

use crate::{
    config::setup::Setup,
    overlay::Overlay,
    resolver::{LinkPlace, Resolver},
};

/// The name of an AEAD as it is printed everywhere.
pub(crate) const fn suite_name(suite: Suite) -> &'static str {
    match suite {
        Suite::ChaCha20Poly1305 => "ChaCha20-Poly1305",
        Suite::Aes256Gcm => "AES-256-GCM",
    }
}

/// The name of a side of the handshake.
pub(crate) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Initiator => "initiator",
        Role::Responder => "responder",
    }
}

/// Why a local cannot be used, or `up`.
pub(crate) const fn local_state(down: Option<SocketDown>) -> &'static str {
    match down {
        None => "up",
        Some(SocketDown::AddressMissing) => "address-missing",
        Some(SocketDown::InterfaceDown) => "interface-down",
        Some(SocketDown::NoCarrier) => "no-carrier",
    }
}

/// What keeps a path MTU from being larger.
const fn mtu_limit(reason: LimitReason) -> &'static str {
    match reason {
        LimitReason::Base => "base",
        LimitReason::Searching => "searching",
        LimitReason::BlackHole { .. } => "black-hole",
        LimitReason::Path { .. } => "path",
        LimitReason::Interface { .. } => "interface",
        LimitReason::Tunnel => "tunnel",
    }
}

/// Whether an interface runs, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InterfaceState {
    /// It runs.
    Up,
    /// `shutdown` is configured.
    AdminDown,
    /// No private key is configured.
    Incomplete,
    /// It could not be kept running; it is tried again.
    Failed(String),
}

impl InterfaceState {
    const fn name(&self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::AdminDown => "admin-down",
            Self::Incomplete => "incomplete",
            Self::Failed(_) => "failed",
        }
    }

    fn reason(&self) -> Option<String> {
        match self {
            Self::Up | Self::AdminDown => None,
            Self::Incomplete => Some("no private key is configured (private-key file PATH)".into()),
            Self::Failed(reason) => Some(reason.clone()),
        }
    }
}

const fn traffic(t: status::Traffic) -> Traffic {
    Traffic {
        packets: t.packets,
        bytes: t.bytes,
    }
}

fn drop_rows(drops: &DropCounters) -> Vec<DropRow> {
    let row = |(reason, count): (libknet::proto::drop_reason::DropReason, u64)| DropRow {
        reason: reason.name().into(),
        help: reason.help().into(),
        count,
    };
    drops.iter().filter(|(_, count)| *count > 0).map(row).collect()
}

/// An interface; `running` where it is up.
pub(crate) fn interface(
    name: &str,
    config: &model::InterfaceConfig,
    state: &InterfaceState,
    running: Option<(&Setup, Instant, &InterfaceReport)>,
) -> InterfaceRow {
    let prefixes = config.ip_addresses.iter().chain(&config.ipv6_addresses);
    let mut row = InterfaceRow {
        interface: name.into(),
        description: config.description.clone(),
        state: state.name().into(),
        reason: state.reason(),
        mac_address: config.mac_address.map(|m| m.to_string()),
        mtu: match config.mtu {
            model::Mtu::Fixed(bytes) => bytes,
            model::Mtu::Auto => running.map_or(model::DEFAULT_MTU, |(_, _, r)| r.status.tap_mtu),
        }
        .into(),
        mtu_auto: config.mtu == model::Mtu::Auto,
        addresses: prefixes.map(ToString::to_string).collect(),
        locals: config
            .locals
            .iter()
            .map(|(n, local)| configured_local(*n, local))
            .collect(),
        peers: config.peers.len() as u32,
        switchport: switchport(config, config.switchport.as_ref()),
        workers_auto: config.workers.is_none(),
        ..InterfaceRow::default()
    };
    let Some((setup, counting_since, report)) = running else {
        return row;
    };
    let status = &report.status;
    row.public_key = Some(model::PublicKey(*setup.public_key.as_bytes()).to_string());
    row.mac_address = Some(setup.mac.to_string());
    row.locals = report
        .sockets
        .iter()
        .map(|socket| LocalRow {
            local: socket.id.0,
            address: socket.address.to_string(),
            device: socket.device.clone(),
            state: local_state(socket.down).into(),
        })
        .collect();
    row.peers_up = status.peers_up;
    row.tap_rx = traffic(status.tap_rx);
    row.tap_tx = traffic(status.tap_tx);
    row.wire_rx = traffic(status.wire_rx);
    row.wire_tx = traffic(status.wire_tx);
    row.relayed = traffic(status.relayed);
    row.macs = status.macs;
    row.handshakes = status.handshakes;
    row.gaps = status.gaps;
    row.drops = drop_rows(&status.drops);
    row.counting_ms = counting_since.elapsed().as_millis() as u64;
    row.system_calls = SystemCallsRow {
        waits: report.calls.waits,
        receives: report.calls.receives,
        sends: report.calls.sends,
        tap_reads: report.calls.tap_reads,
        tap_writes: report.calls.tap_writes,
    };
    row.workers = report.workers.iter().map(worker).collect();
    row.links = link_counts(&status.links);
    row.resent = traffic(status.resent);
    row
}

fn link_counts(counts: &LinkCounts) -> LinkCountsRow {
    LinkCountsRow {
        up: counts.get(LinkState::Up),
        suspect: counts.get(LinkState::Suspect),
        probing: counts.get(LinkState::Probing),
        down: counts.get(LinkState::Down),
        local_down: counts.get(LinkState::LocalDown),
        admin_down: counts.get(LinkState::AdminDown),
    }
}

fn worker(report: &WorkerReport) -> WorkerRow {
    WorkerRow {
        peers: report.peers,
        peers_up: report.peers_up,
        handed: traffic(report.handed.frames),
        taken: traffic(report.taken.frames),
        strays: traffic(report.taken.datagrams),
        gaps: report.gaps,
    }
}

fn configured_local(number: u8, local: &model::Local) -> LocalRow {
    LocalRow {
        local: number,
        address: SocketAddr::new(local.address, local.port).to_string(),
        device: local.device.clone(),
        state: "down".into(),
    }
}

/// Where a peer belongs to.
#[derive(Clone, Copy)]
pub(crate) struct PeerPlace<'a> {
    /// Name of the interface.
    pub interface: &'a str,
    /// Its configuration.
    pub interface_config: &'a model::InterfaceConfig,
    /// Its state.
    pub interface_state: &'a InterfaceState,
    /// Name of the peer.
    pub name: &'a str,
    /// The peer's configuration.
    pub config: &'a model::PeerConfig,
    /// The addresses of names.
    pub names: &'a Resolver,
}

/// A peer with all its links; `status` where the data plane has it.
pub(crate) fn peer(place: PeerPlace<'_>, status: Option<&PeerStatus>) -> PeerRow {
    let config = place.config;
    let (state, reason) = match status {
        _ if config.shutdown => ("admin-down", None),
        _ if config.public_key.is_none() => (
            "incomplete",
            Some("no public key is configured (public-key KEY)".into()),
        ),
        _ if *place.interface_state != InterfaceState::Up => {
            let state = place.interface_state.name();
            ("down", Some(format!("interface {} is {state}", place.interface)))
        }
        Some(s) if s.session.is_some() => ("up", None),
        Some(s) if s.handshaking => ("handshaking", None),
        _ => ("down", None),
    };
    let links = links(place, status);
    let mut row = PeerRow {
        interface: place.interface.into(),
        peer: place.name.into(),
        description: config.description.clone(),
        state: state.into(),
        reason,
        public_key: config.public_key.map(|k| k.to_string()),
        policy: config.policy().name().into(),
        isolate: config.isolate,
        storm: storm(config),
        guard: guard(config, status),
        switchport: switchport(place.interface_config, config.switchport.as_ref()),
        links_up: links.iter().filter(|l| l.state == LinkState::Up.name()).count() as u8,
        links_total: links.len() as u8,
        links,
        ..PeerRow::default()
    };
    row.hub = config.hub.as_ref().map(|hub| PeerAsHubRow {
        group: hub.group.clone(),
        preference: hub.preference,
        active: status.is_some_and(|s| s.hub == Some(true)),
    });
    if let Some(status) = status {
        row.session = status.session.map(|s| SessionRow {
            role: role_name(s.role).into(),
            suite: suite_name(s.suite).into(),
            version: s.version,
            age_ms: s.age.as_millis(),
            rekeys: s.rekeys,
            uptime_ms: s.uptime.as_millis(),
        });
        row.tx = traffic(status.tx);
        row.rx = traffic(status.rx);
        row.drops = status.drops;
        row.duplicates = status.duplicates;
        row.stalls = status.stalls;
        row.queued = status.queued;
        row.storm.dropped_frames = status.domain.storm_frames;
        row.storm.dropped_copies = status.domain.storm_copies;
        row.storm.mac_addresses = status.domain.macs;
        row.storm.closed_ms = status.domain.closed_for.map(Span::as_millis);
        row.resend = ResendRow {
            held: status.resend.held,
            held_bytes: status.resend.held_bytes,
            replayed: status.resend.counters.replayed,
            replayed_bytes: status.resend.counters.replayed_bytes,
            evicted: status.resend.counters.evicted,
        };
        let narrowest = status.links.iter().find(|l| Some(l.link) == status.narrowest);
        row.inner_mtu = narrowest.map(|l| l.inner_mtu);
        row.narrowest = narrowest.map(|l| l.link.get());
        row.order = OrderRow {
            held: status.order.held,
            longest_hold_us: status.order.longest_hold.as_micros(),
            skipped_by_votes: status.order.skipped_by_votes,
            skipped_by_timer: status.order.skipped_by_timer,
            skipped_by_overflow: status.order.skipped_by_overflow,
            late: status.order.late,
        };
        row.pieces = PiecesRow {
            split: status.pieces.split,
            sent: status.pieces.sent,
            joined: status.pieces.joined,
        };
        row.active_links = status.active_links.iter().map(|l| l.get()).collect();
        row.attached = status.attached;
        row.leased_taken = status.addresses_taken;
    }
    row
}

/// What a peer may flood, as configured.
fn storm(config: &model::PeerConfig) -> StormRow {
    StormRow {
        frames_per_second: config.storm_frames.unwrap_or(FLOODED_FRAMES.per_second() as u32),
        copies_per_second: config.storm_copies.unwrap_or(COPIES.per_second() as u32),
        mac_limit: config.mac_limit.unwrap_or(MAX_MACS_PER_PEER as u16),
        configured: config.storm_frames.is_some()
            || config.storm_copies.is_some()
            || config.mac_limit.is_some(),
        ..StormRow::default()
    }
}

/// Which addresses a peer may use; nothing, where nothing is said.
fn guard(config: &model::PeerConfig, status: Option<&PeerStatus>) -> Option<Box<GuardRow>> {
    let said = config.guard.is_said().then(|| config.guard.get())?;
    let drops = status.map(|status| status.domain.guard).unwrap_or_default();
    let given = |binding: &model::IpPrefix| {
        if binding.is_host() {
            binding.address.to_string()
        } else {
            binding.to_string()
        }
    };
    Some(Box::new(GuardRow {
        allowed_macs: said.allowed_macs.iter().map(ToString::to_string).collect(),
        sticky: said.sticky,
        given: said.bindings.iter().map(given).collect(),
        verify_source: said.verify_source,
        arp_inspection: said.arp_inspection,
        dropped_macs: drops.macs,
        dropped_sources: drops.sources,
        dropped_claims: drops.claims,
        validate_source_mac: said.validate_source_mac,
        router_guard: said.router_guard,
        dropped_routers: drops.routers,
    }))
}

/// The links of a peer: configured ones, and those that the peer opened.
fn links(place: PeerPlace<'_>, status: Option<&PeerStatus>) -> Vec<LinkRow> {
    let running = status.map_or(&[][..], |s| &s.links);
    let mut rows: Vec<_> = running
        .iter()
        .map(|link| running_link(place, link, place.config.links.get(&link.link.get())))
        .collect();
    let known = |id: &u8| running.iter().any(|l| l.link.get() == *id);
    let idle = place.config.links.iter().filter(|(id, _)| !known(id));
    rows.extend(idle.map(|(id, config)| idle_link(place, *id, config)));
    rows.sort_by_key(|row| row.link);
    rows
}

/// A link that the data plane does not have, because its peer or its interface is down.
fn idle_link(place: PeerPlace<'_>, id: u8, config: &model::LinkConfig) -> LinkRow {
    let admin_down = config.shutdown || place.config.shutdown || place.interface_config.shutdown;
    let local = place.interface_config.local_of(config);
    let settings = config.settings;
    let (interval_ms, timeout_ms) = settings.timers_ms();
    LinkRow {
        interface: place.interface.into(),
        peer: place.name.into(),
        link: id,
        description: config.description.clone(),
        local,
        local_address: local_address(place, local),
        remote: match config.remote {
            model::Remote::Static { address, port } => Some(SocketAddr::new(address, port).to_string()),
            model::Remote::Dynamic | model::Remote::Named { .. } => None,
        },
        remote_configured: config.remote != model::Remote::Dynamic,
        remote_name: remote_name(config),
        state: if admin_down {
            LinkState::AdminDown
        } else {
            LinkState::Down
        }
        .name()
        .into(),
        priority: settings.priority(),
        weight: match settings.weight() {
            model::Weight::Fixed(weight) => Some(weight.get()),
            model::Weight::Auto => None,
        },
        cost: settings.cost(),
        interval_ms,
        timeout_ms,
        pong_count: settings.pong_count(),
        ..LinkRow::default()
    }
}

fn running_link(place: PeerPlace<'_>, link: &LinkStatus, config: Option<&model::LinkConfig>) -> LinkRow {
    let opened = model::LinkConfig {
        settings: opened(place.config, link.link.get()),
        ..model::LinkConfig::default()
    };
    let config = config.unwrap_or(&opened);
    let local = link.socket.map(|s| s.0);
    // Without a path there is nothing to be measured.
    let path = link.remote.is_some();
    LinkRow {
        interface: place.interface.into(),
        peer: place.name.into(),
        link: link.link.get(),
        description: config.description.clone(),
        local,
        local_address: local_address(place, local),
        remote: link.remote.map(|r| r.to_string()),
        remote_configured: link.remote_configured || remote_name(config).is_some(),
        remote_name: remote_name(config),
        reason: place.names.reason(&LinkPlace {
            interface: place.interface.into(),
            peer: place.name.into(),
            link: link.link.get(),
        }),
        state: match (link.state, link.remote, remote_name(config)) {
            // Nothing is probed where there is no address.
            (LinkState::Probing, None, Some(_)) => LinkState::Down,
            (state, ..) => state,
        }
        .name()
        .into(),
        receiving: link.receiving,
        since_ms: link.since.as_millis(),
        in_use: link.in_use,
        priority: link.priority,
        weight: link.weight.map(std::num::NonZero::get),
        percent: link.percent,
        cost: link.cost,
        interval_ms: link.heartbeat.as_millis() as u32,
        timeout_ms: config.settings.timers_ms().1,
        pong_count: config.settings.pong_count(),
        rtt_us: link.srtt.map(Span::as_micros),
        rtt_min_us: link.rtt_min.map(Span::as_micros),
        rtt_var_us: link.rttvar.as_micros(),
        rtt_p99_us: link.rtt_p99.map(Span::as_micros),
        tx_jitter_us: link.tx_quality.map(|q| q.jitter_us),
        rx_jitter_us: link.rx_quality.jitter_us,
        tx_reordered_ppm: link.tx_quality.map(|q| q.reordered_ppm),
        rx_reordered_ppm: link.rx_quality.reordered_ppm,
        tx_loss_ppm: link.tx_loss_ppm,
        rx_loss_ppm: link.rx_loss_ppm,
        tx: traffic(link.tx),
        rx: traffic(link.rx),
        report_timeout_us: link.report_timeout.as_micros(),
        suspects: link.verdicts.suspects,
        downs: link.verdicts.downs,
        spurious: link.verdicts.spurious,
        spared: link.verdicts.spared,
        held: link.verdicts.held,
        held_for_ms: link.held_for.as_millis(),
        penalty_milli: link.penalty_milli,
        mtu: path.then_some(link.mtu),
        mtu_limit: path.then(|| mtu_limit(link.mtu_limit).into()),
        mtu_reason: path.then(|| link.mtu_limit.to_string()),
        inner_mtu: path.then_some(link.inner_mtu),
        narrows: link.narrows,
    }
}

/// What a link that the peer has opened began with.
fn opened(peer: &model::PeerConfig, link: u8) -> model::LinkSettings {
    let known = peer.opened.as_ref().and_then(|links| links.get(&link));
    known.copied().unwrap_or_default()
}

fn remote_name(config: &model::LinkConfig) -> Option<String> {
    match &config.remote {
        model::Remote::Named { name, .. } => Some(name.clone()),
        model::Remote::Static { .. } | model::Remote::Dynamic => None,
    }
}

fn local_address(place: PeerPlace<'_>, local: Option<u8>) -> Option<String> {
    let local = place.interface_config.locals.get(&local?)?;
    Some(SocketAddr::new(local.address, local.port).to_string())
}

/// An entry of the bridge's table.
pub(crate) fn mac(interface: &str, overlay: &Overlay, entry: &MacEntry) -> MacRow {
    MacRow {
        interface: interface.into(),
        mac_address: entry.mac.to_string(),
        peer: peer_at(overlay, entry.port),
        is_static: entry.is_static,
        is_sticky: entry.is_sticky,
        age_ms: entry.age.as_millis(),
        vlan: known(entry.vlan),
    }
}

pub(crate) fn neighbor(interface: &str, overlay: &Overlay, entry: &NeighborEntry) -> NeighborRow {
    NeighborRow {
        interface: interface.into(),
        address: entry.ip.to_string(),
        mac_address: entry.mac.to_string(),
        router: entry.router,
        given: entry.is_given,
        peer: peer_at(overlay, entry.port),
        age_ms: entry.age.as_millis(),
        vlan: known(entry.vlan),
    }
}

pub(crate) fn vlan(interface: &str, entry: &VlanEntry) -> VlanRow {
    VlanRow {
        interface: interface.into(),
        vlan: entry.vlan.0,
        tap: entry
            .tap
            .map(|tagged| if tagged { "tagged" } else { "untagged" }.into()),
        untagged: entry.untagged,
        tagged: entry.tagged,
        up: entry.up,
        macs: entry.macs,
    }
}

fn known(vlan: VlanId) -> Option<u16> {
    (vlan != VlanId::NONE).then_some(vlan.0)
}

/// The VLANs of a port of `interface`, where that tells them apart.
fn switchport(
    interface: &model::InterfaceConfig,
    switchport: Option<&model::Switchport>,
) -> Option<SwitchportRow> {
    let row = |mode: &str, untagged, allowed| SwitchportRow {
        mode: mode.into(),
        untagged,
        allowed,
    };
    interface
        .vlan_filtering
        .then(|| match switchport.cloned().unwrap_or_default() {
            model::Switchport::Access(vlan) => row("access", Some(vlan), vlan.to_string()),
            model::Switchport::Trunk { allowed, native } => row("trunk", native, allowed.to_string()),
        })
}

/// The name of the peer that is a port; none for the TAP.
fn peer_at(overlay: &Overlay, port: Port) -> Option<String> {
    let Port::Peer(id) = port else { return None };
    // A peer that was removed a moment ago has a number and no name.
    let name = overlay.slots.name(id);
    Some(name.map_or_else(|| format!("#{}", id.0), str::to_owned))
}
