//! Two hubs and their clients: a mesh of four hosts made so.

use std::time::Duration;

use super::{HostId, LabError, Result, daemon::rows, mesh::Mesh, time::wait_until};

/// The hubs. All clients prefer the first.
pub const HUBS: [HostId; 2] = [HostId(0), HostId(1)];
/// Their clients.
pub const CLIENTS: [HostId; 2] = [HostId(2), HostId(3)];

/// How the hubs are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// They are peers of each other.
    Tunnel,
    /// Their TAPs are in kernel bridges, which a cable joins that is not theirs to see: they know nothing of each other.
    Bridge,
}

/// Makes the first two hosts of a mesh hubs, before it is started, and the others their clients, which know nobody else.
pub fn make_hubs(mesh: &mut Mesh, joint: Joint) {
    let name = |host: HostId| mesh.lab.host_name(host).to_owned();
    let (hubs, clients) = (HUBS.map(name), CLIENTS.map(name));
    for hub in HUBS {
        let peers = &mut mesh.configs[hub.0].interfaces[0].peers;
        if joint == Joint::Bridge {
            peers.retain(|peer| !hubs.contains(&peer.name));
        }
        for client in peers.iter_mut().filter(|peer| clients.contains(&peer.name)) {
            client.lines.push("spoke".into());
        }
    }
    for client in CLIENTS {
        let peers = &mut mesh.configs[client.0].interfaces[0].peers;
        peers.retain(|peer| hubs.contains(&peer.name));
        for hub in peers {
            let preference = if hub.name == hubs[0] { 200 } else { 100 };
            hub.lines.push(format!("hub-group hubs preference {preference}"));
        }
    }
}

/// Puts the TAP of each hub into a bridge with its device `device`, by which they reach each other.
///
/// # Errors
/// A command failed.
pub fn bridge_hubs(mesh: &Mesh, device: &str) -> Result<()> {
    for hub in HUBS {
        for line in [
            "link add br0 type bridge",
            &format!("link set {device} master br0"),
            "link set knet0 master br0",
            &format!("link set {device} up"),
            "link set br0 up",
        ] {
            mesh.lab.ip(hub, line)?;
        }
    }
    Ok(())
}

/// The hub that a client uses, and how often it has changed.
///
/// # Errors
/// The daemon does not answer.
pub fn hub_in_use(mesh: &Mesh, client: HostId) -> Result<(Option<String>, u64)> {
    let shown = mesh.daemon(client).show("show hub-group hubs")?;
    let row = rows(&shown).first().copied().cloned();
    let row = row.ok_or_else(|| LabError::new("no hub-group"))?;
    let active = row["active"].as_str().map(str::to_owned);
    Ok((active, row["take_overs"].as_u64().unwrap_or_default()))
}

/// Waits until all clients use this hub, and all hubs are up for them.
///
/// # Errors
/// They do not within `patience`.
pub fn wait_until_all_use(mesh: &Mesh, hub: HostId, patience: Duration) -> Result<()> {
    wait_until("the hub in use", patience, || {
        for client in CLIENTS {
            let shown = mesh.daemon(client).show("show hub-group hubs");
            let shown = shown.map_err(|e| e.to_string())?;
            let rows = rows(&shown);
            let row = rows.first().ok_or("no hub-group")?;
            let all_up = row["hubs"]
                .as_array()
                .is_some_and(|hubs| hubs.len() == HUBS.len() && hubs.iter().all(|hub| hub["state"] == "up"));
            if row["active"] != mesh.lab.host_name(hub) || !all_up {
                return Err(row.to_string());
            }
        }
        Ok(())
    })
}
