//! What a LAN is used for, across the overlay, with the guards of a hub on: DHCP, router advertisements, and a routing protocol
//! that lives of multicast.

use std::{net::Ipv4Addr, process::Stdio, time::Duration};

use knet_tests::lab::{
    HostId, Result,
    daemon::rows,
    mesh::{Mesh, overlay_v4},
    process::Process,
    time::wait_until,
};

use super::{A, B, domain::hub, needs_root};

/// Containers behind a bridge of host A.
const CONTAINERS: usize = 10;

/// Puts the TAP of A into a bridge with a cable to each of so many namespaces, which have nothing else.
fn containers(mesh: &mut Mesh) -> Result<Vec<HostId>> {
    mesh.lab.ip(A, "link add br0 type bridge")?;
    mesh.lab.ip(A, "link set knet0 master br0")?;
    mesh.lab.ip(A, "link set br0 up")?;
    let mut all = Vec::new();
    for n in 0..CONTAINERS {
        let container = mesh.lab.add_host(&format!("container{n}"), &[])?;
        let namespace = mesh.lab.namespace(container);
        mesh.lab.ip(container, "link set lo up")?;
        mesh.lab.ip(
            A,
            &format!("link add port{n} master br0 up type veth peer name eth0 netns {namespace}"),
        )?;
        mesh.lab.ip(container, "link set eth0 up")?;
        all.push(container);
    }
    Ok(all)
}

/// One host serves addresses by DHCP and advertises a prefix; ten containers behind a bridge of another take both, over a hub
/// that lets only that server do so, answers ARP, and is told by it all who is where.
#[test]
fn dnsmasq_serves_containers_behind_a_bridge() -> Result<()> {
    needs_root!();
    let guards = ["ip dhcp snooping", "ipv6 nd raguard", "arp suppression"];
    let (mut mesh, hub) = hub(3, &guards)?;
    let server = mesh.lab.host_name(B).to_owned();
    let trust = [
        "interface knet0",
        &format!("peer {server}"),
        "ip dhcp snooping trust",
        "ipv6 nd raguard trust",
    ];
    mesh.daemon(hub).edit(&trust)?;
    let containers = containers(&mut mesh)?;
    mesh.lab
        .run(B, "ip", &["address", "add", "192.168.77.1/24", "dev", "knet0"])?;
    mesh.lab.run(
        B,
        "ip",
        &["address", "add", "fd77::1/64", "dev", "knet0", "nodad"],
    )?;
    let leases = mesh.lab.host_directory(B).join("leases");
    let mut dnsmasq = mesh.lab.command(B, "dnsmasq");
    dnsmasq
        .args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0"])
        .args(["--interface=knet0", "--bind-interfaces", "--user=root"])
        .args([
            "--dhcp-range=192.168.77.10,192.168.77.99,1h",
            "--dhcp-range=fd77::,ra-only",
        ])
        .args(["--enable-ra", "--dhcp-authoritative", "--no-ping", "--pid-file"])
        .arg(format!("--dhcp-leasefile={}", leases.display()))
        .stderr(Stdio::null());
    let _dnsmasq = Process::spawn(&mut dnsmasq)?;

    // The script of `udhcpc` is called with what was got in its environment.
    let script = mesh.lab.directory().join("bound");
    let text = "#!/bin/sh\n[ \"$1\" = bound ] && ip address add $ip/24 dev $interface\nexit 0\n";
    std::fs::write(&script, text)?;
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let script = script.to_string_lossy().into_owned();
    std::thread::scope(|scope| {
        let clients: Vec<_> = containers
            .iter()
            .map(|container| {
                let (mesh, script) = (&mesh, &script);
                scope.spawn(move || {
                    let line = [
                        "-i", "eth0", "-f", "-q", "-n", "-t", "20", "-T", "1", "-s", script,
                    ];
                    mesh.lab.run(*container, "udhcpc", &line)
                })
            })
            .collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().expect("no panic").map(drop))
    })?;
    let leased = std::fs::read_to_string(&leases)?;
    assert_eq!(leased.lines().count(), CONTAINERS, "{leased}");
    for container in &containers {
        // The kernel asks for a router by itself, and makes an address of the prefix.
        wait_until("an address by SLAAC", Duration::from_secs(20), || {
            let shown = mesh
                .lab
                .run(*container, "ip", &["-6", "address", "show", "dev", "eth0"]);
            match shown {
                Ok(text) if text.contains("inet6 fd77:") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })?;
        for (family, target) in [("-4", "192.168.77.1"), ("-6", "fd77::1")] {
            let line = [family, "-n", "-c", "3", "-i", "0.05", "-w", "5", target];
            mesh.lab.run(*container, "ping", &line)?;
        }
    }
    // The hub has learned all of them behind one client.
    let shown = mesh.daemon(hub).show("show arp")?;
    let behind = rows(&shown).into_iter().filter(|row| {
        let is_leased = row["address"]
            .as_str()
            .and_then(|text| text.parse::<Ipv4Addr>().ok());
        is_leased.is_some_and(|address| address.octets()[..3] == [192, 168, 77] && address.octets()[3] >= 10)
    });
    let clients: Vec<_> = behind.map(|row| row["peer"].clone()).collect();
    assert_eq!(clients.len(), CONTAINERS, "{shown}");
    assert!(
        clients.iter().all(|peer| *peer == mesh.lab.host_name(A)),
        "{shown}"
    );

    // Without trust there are no answers: nobody gets an address.
    let distrust = [
        "interface knet0",
        &format!("peer {server}"),
        "no ip dhcp snooping trust",
    ];
    mesh.daemon(hub).edit(&distrust)?;
    let line = [
        "-i", "eth0", "-f", "-q", "-n", "-t", "2", "-T", "1", "-s", &script,
    ];
    assert!(mesh.lab.run(containers[0], "udhcpc", &line).is_err());
    let drops = mesh.daemon(hub).drops()?;
    assert!(drops.get("dhcp-snooping").is_some_and(|n| *n > 0), "{drops:?}");
    Ok(())
}

/// Two routers behind different clients find each other by multicast, with snooping on, and tell each other their networks.
#[test]
fn ospf_finds_its_neighbours_with_snooping_on() -> Result<()> {
    needs_root!();
    let (mesh, _) = hub(3, &["ip igmp snooping", "ipv6 mld snooping"])?;
    let mut routers = Vec::new();
    for (host, network) in [(A, "10.81.1.0/24"), (B, "10.81.2.0/24")] {
        mesh.lab.run(
            host,
            "ip",
            &["address", "add", &network.replace(".0/", ".1/"), "dev", "lo"],
        )?;
        let directory = mesh.lab.host_directory(host);
        let config = directory.join("bird.conf");
        let text = format!(
            "router id {};\nprotocol device {{}}\nprotocol kernel {{ ipv4 {{ export all; }}; }}\n\
             protocol ospf v2 {{ ipv4 {{ export all; }}; area 0 {{\n\
             interface \"knet0\" {{ hello 1; dead 4; wait 2; }};\ninterface \"lo\" {{ stub; }};\n}}; }}\n",
            overlay_v4(host)
        );
        std::fs::write(&config, text)?;
        let mut bird = mesh.lab.command(host, "bird");
        bird.args(["-f", "-c"])
            .arg(&config)
            .arg("-s")
            .arg(directory.join("bird.ctl"))
            .stderr(Stdio::null());
        routers.push(Process::spawn(&mut bird)?);
    }
    for (host, network) in [(A, "10.81.2."), (B, "10.81.1.")] {
        wait_until("a route by OSPF", Duration::from_secs(30), || {
            match mesh.lab.run(host, "ip", &["route"]) {
                Ok(text) if text.contains(network) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })?;
    }
    mesh.lab
        .run(
            A,
            "ping",
            &["-n", "-c", "3", "-i", "0.05", "-w", "5", "10.81.2.1"],
        )
        .map(drop)
}
