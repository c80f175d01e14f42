//! A hub gives addresses out of a pool to peers of a file of keys, and they are the same after every restart.

use std::{collections::BTreeSet, fs, net::IpAddr, time::Duration};

use knet_tests::lab::{
    HostId, LabError, Result,
    daemon::rows,
    mesh::{Mesh, Plan, overlay_v4},
    process::Feeding,
    time::wait_until,
};
use serde_json::Value;

use super::{
    needs_root,
    source_guard::{datagram, hex, send},
};

const CLIENTS: [HostId; 4] = [HostId(0), HostId(1), HostId(2), HostId(3)];
const HUB: HostId = HostId(4);
const PATIENCE: Duration = Duration::from_secs(30);

/// The file of keys of the hub, with these clients.
fn write_keys(mesh: &Mesh, keys: &[(String, String)], clients: &[HostId]) -> Result<()> {
    let lines: Vec<String> = clients
        .iter()
        .map(|client| &keys[client.0])
        .map(|(name, key)| format!("{name};{key}\n"))
        .collect();
    let path = mesh.lab.host_directory(HUB).join("branches.keys");
    let new = path.with_extension("new");
    fs::write(&new, lines.concat())?;
    fs::rename(&new, &path)?;
    Ok(())
}

/// Addresses of the TAP of a client, but for those that the kernel makes.
fn addresses(mesh: &Mesh, client: HostId) -> Result<BTreeSet<String>> {
    let shown = mesh
        .lab
        .run(client, "ip", &["-o", "address", "show", "dev", "knet0"])?;
    let words = shown.lines().filter_map(|line| line.split_whitespace().nth(3));
    let all = words.filter(|address| !address.starts_with("fe80:"));
    Ok(all.map(str::to_owned).collect())
}

/// Waits until each of these has an address of both versions, of its own, and gives those of IPv4.
fn wait_for_addresses(mesh: &Mesh, clients: &[HostId]) -> Result<Vec<IpAddr>> {
    let mut found = Vec::new();
    wait_until("addresses of all clients", PATIENCE, || {
        let all: Result<Vec<_>> = clients.iter().map(|client| addresses(mesh, *client)).collect();
        let all = all.map_err(|error| error.to_string())?;
        let distinct: BTreeSet<&String> = all.iter().flatten().collect();
        if all.iter().any(|own| own.len() != 2) || distinct.len() != 2 * clients.len() {
            return Err(format!("{all:?}"));
        }
        found = all
            .iter()
            .filter_map(|own| own.iter().find(|address| address.starts_with("10.")))
            .filter_map(|address| address.strip_suffix("/24")?.parse().ok())
            .collect();
        Ok(())
    })?;
    if found.len() == clients.len() {
        Ok(found)
    } else {
        Err(LabError::new(format!(
            "not all in the network of the hub: {found:?}"
        )))
    }
}

fn ping(mesh: &Mesh, from: HostId, to: IpAddr) -> Result<()> {
    let line = ["-n", "-c", "3", "-i", "0.1", "-w", "10", &to.to_string()];
    mesh.lab.run(from, "ping", &line).map(drop)
}

/// The row of the IPv4 pool.
fn pool(mesh: &Mesh) -> Result<Value> {
    let shown = mesh.daemon(HUB).show("show ip pool")?;
    let row = rows(&shown)
        .into_iter()
        .find(|row| row["pool"].as_str().is_some_and(|pool| pool.starts_with("10.")));
    row.cloned().ok_or_else(|| LabError::new(format!("{shown}")))
}

#[test]
fn peers_of_a_file_get_addresses_and_keep_them() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::build(Plan {
        hosts: 5,
        links: 1,
        ..Plan::default()
    })?;
    let hub_name = mesh.lab.host_name(HUB).to_owned();
    let mut keys = Vec::new();
    for peer in std::mem::take(&mut mesh.configs[HUB.0].interfaces[0].peers) {
        keys.push((peer.name, peer.public_key));
    }
    for client in CLIENTS {
        let interface = &mut mesh.configs[client.0].interfaces[0];
        interface.peers.retain(|peer| peer.name == hub_name);
        interface.addresses.clear();
        interface.lines.extend([
            "ip address negotiated".into(),
            format!("ipv6 address negotiated peer {hub_name}"),
        ]);
        for peer in &mut interface.peers {
            peer.preshared_key = None;
        }
    }
    write_keys(&mesh, &keys, &CLIENTS[..3])?;
    mesh.start_all()?;
    let hub = mesh.daemon(HUB);
    hub.edit(&[
        "interface knet0",
        "arp suppression",
        "peer-group branches",
        "authorized-keys branches.keys",
        "ip pool 10.200.0.32/29",
        "ipv6 pool fd00:200:0:4::/64",
        "spoke",
        "ip verify source",
    ])?;
    Feeding::prepare(&mut hub.shell()?)?.finish("write memory\n")?;

    // Three clients get an address each, reach each other and the hub.
    let three = &CLIENTS[..3];
    let given = wait_for_addresses(&mesh, three)?;
    let first: IpAddr = "10.200.0.33".parse().expect("an address");
    assert!(given.contains(&first), "{given:?}");
    for from in three {
        for to in given.iter().filter(|to| **to != given[from.0]) {
            ping(&mesh, *from, *to)?;
        }
        ping(&mesh, *from, overlay_v4(HUB))?;
    }
    let shown = mesh.daemon(CLIENTS[0]).show("show interfaces")?;
    let negotiated = &rows(&shown)[0]["negotiated"];
    assert_eq!(rows(negotiated).len(), 2, "{shown}");
    assert_eq!(negotiated[0]["peer"], hub_name.as_str());
    let shown = mesh.daemon(HUB).show("show ip pool leases")?;
    let leased: Vec<&Value> = rows(&shown);
    assert_eq!(leased.len(), 3, "{shown}");
    assert!(leased.iter().all(|row| row["away_unix_ms"].is_null()), "{shown}");
    let row = pool(&mesh)?;
    assert_eq!((&row["used"], &row["left"]), (&3.into(), &"3".into()), "{row}");

    // What they are given counts for the guard: a frame from the address of another is dropped.
    let mac = mesh.lab.tap_mac(CLIENTS[0])?.replace(':', "");
    send(&mesh, CLIENTS[0], &[&datagram(&mac, &hex(given[1]))])?;
    wait_until("the drop", PATIENCE, || match mesh.daemon(HUB).drops() {
        Ok(drops) if drops.get("source-guard") == Some(&1) => Ok(()),
        other => Err(format!("{other:?}")),
    })?;

    // The same after a restart of the hub, and of a client. While the hub is down they stay.
    mesh.daemons[HUB.0].kill();
    assert_eq!(wait_for_addresses(&mesh, three)?, given);
    mesh.restart(HUB)?;
    mesh.daemons[HUB.0].wait_until_it_answers()?;
    mesh.daemons[CLIENTS[1].0].kill();
    mesh.restart(CLIENTS[1])?;
    assert_eq!(wait_for_addresses(&mesh, three)?, given);
    wait_until("a ping", PATIENCE, || {
        ping(&mesh, CLIENTS[1], given[0]).map_err(|error| error.to_string())
    })?;

    // Another one instead of the third: it does not get that one's address, which is kept for it.
    write_keys(&mesh, &keys, &[CLIENTS[0], CLIENTS[1], CLIENTS[3]])?;
    let others = wait_for_addresses(&mesh, &[CLIENTS[0], CLIENTS[1], CLIENTS[3]])?;
    assert_eq!(others[..2], given[..2]);
    assert!(!given.contains(&others[2]), "{others:?}, {given:?}");
    write_keys(&mesh, &keys, &CLIENTS)?;
    let all = wait_for_addresses(&mesh, &CLIENTS)?;
    assert_eq!((&all[..3], all[3]), (&given[..], others[2]));

    // A pool that is too small says so, and whoever is left out is served when somebody goes.
    mesh.daemon(HUB)
        .edit(&["interface knet0", "peer-group branches", "ip pool 10.200.0.32/30"])?;
    wait_until("a full pool", PATIENCE, || match pool(&mesh) {
        Ok(row) if row["without"] == 2 && row["next"].is_null() && row["left"] == "0" => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    let log = mesh.daemon(HUB).log_end(60);
    assert!(
        log.contains("no address of pool 10.200.0.32/30 of group branches is left"),
        "{log}"
    );
    let with_v4 = |mesh: &Mesh| -> Vec<HostId> {
        let has = |client: &HostId| {
            addresses(mesh, *client).is_ok_and(|all| all.iter().any(|address| address.starts_with("10.")))
        };
        CLIENTS.into_iter().filter(has).collect()
    };
    wait_until("two with an address", PATIENCE, || match with_v4(&mesh)[..] {
        [_, _] => Ok(()),
        ref other => Err(format!("{other:?}")),
    })?;
    let holders = with_v4(&mesh);
    let rest: Vec<HostId> = CLIENTS
        .into_iter()
        .filter(|client| *client != holders[0])
        .collect();
    write_keys(&mesh, &keys, &rest)?;
    wait_until("another one with its address", PATIENCE, || {
        let now = with_v4(&mesh);
        // The one that is gone has kept its own for itself.
        if now.len() == 3 {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })?;

    // Taken back, it is given again with the next session only.
    let name = mesh.lab.host_name(holders[1]).to_owned();
    Feeding::prepare(&mut mesh.daemon(HUB).shell()?)?.finish(&format!("clear ip pool lease {name}\n"))?;
    wait_until("an address that is gone", PATIENCE, || {
        let all = addresses(&mesh, holders[1]).map_err(|error| error.to_string())?;
        if all.is_empty() {
            Ok(())
        } else {
            Err(format!("{all:?}"))
        }
    })?;
    Ok(())
}
