//! Who reaches whom, over what.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use knet_proto::handshake::message::Suite;
use knet_tests::lab::{
    Family, HostId, Lab, NetworkId, Result,
    capture::Tcpdump,
    config::{ConfigFile, Interface, Link, Peer},
    daemon::{self, KeyPair, write_secret},
    mesh::{Mesh, PORT, Plan, overlay_v4, overlay_v6},
    ping::Ping,
    process::Process,
    stream::Server,
    time::wait_until,
};

use super::{A, B, assert_lossless, flood, needs_root, wait_for_answer};

#[test]
fn n01_two_peers_one_link_ping4_ping6_arp() -> Result<()> {
    needs_root!();
    let mesh = Mesh::start(Plan::default())?;
    let ping = |target, arguments: &[&str]| {
        Ping::flood(&mesh.lab, A, target, arguments)?.wait(Duration::from_secs(20))
    };
    for target in [overlay_v4(B), overlay_v6(B)] {
        assert_lossless(ping(target, &["-c", "10"])?);
        assert_lossless(ping(target, &["-c", "2000"])?);
    }
    // The neighbour is found by ARP through the tunnel, as the TAP's own address, and again after forgetting.
    for _ in 0..2 {
        let neighbours = mesh.lab.run(A, "ip", &["neigh", "show", "dev", "knet0"])?;
        let mac = mesh.lab.tap_mac(B)?;
        assert!(neighbours.contains(&mac), "{neighbours} has no {mac}");
        mesh.lab.run(A, "ip", &["neigh", "flush", "dev", "knet0"])?;
        assert_lossless(ping(overlay_v4(B), &["-c", "10"])?);
    }
    // The largest frame of the interface passes unfragmented; a larger one is refused here.
    let mtu: u32 = mesh
        .lab
        .run(A, "cat", &["/sys/class/net/knet0/mtu"])?
        .trim()
        .parse()
        .expect("a number");
    let size = |bytes: u32| bytes.to_string();
    assert_lossless(ping(
        overlay_v4(B),
        &["-c", "100", "-M", "do", "-s", &size(mtu - 28)],
    )?);
    assert_eq!(
        ping(overlay_v4(B), &["-c", "1", "-M", "do", "-s", &size(mtu - 27)])?.received,
        0
    );
    // What the kernel fragments passes, too.
    assert_lossless(ping(overlay_v4(B), &["-c", "100", "-s", "20000"])?);
    Ok(())
}

#[test]
fn the_cipher_is_one_that_both_sides_allow() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::build(Plan::default())?;
    mesh.configs[A.0].interfaces[0]
        .lines
        .push("cipher chacha20-poly1305".into());
    mesh.start_all()?;
    mesh.wait_until_all_up(Duration::from_secs(20))?;
    let suite = |mesh: &Mesh| -> Result<String> {
        let shown = mesh
            .daemon(A)
            .show(&format!("show peer {}", mesh.lab.host_name(B)))?;
        Ok(shown["peer"]["session"]["suite"]
            .as_str()
            .unwrap_or("none")
            .into())
    };
    assert_eq!(suite(&mesh)?, "ChaCha20-Poly1305");
    if !libknet::suites_of_this_machine().contains(Suite::Aes256Gcm) {
        let refusal = mesh.daemon(B).edit(&["interface knet0", "cipher aes-256-gcm"]);
        assert!(
            refusal
                .expect_err("a refusal")
                .to_string()
                .contains("no instructions for AES")
        );
        return Ok(());
    }
    // The interface starts afresh and begins a handshake, and now there is none in common.
    mesh.daemon(B).edit(&["interface knet0", "cipher aes-256-gcm"])?;
    wait_until("a refusal", Duration::from_secs(20), || {
        let drops = mesh.daemon(A).drops().map_err(|e| e.to_string())?;
        drops
            .get("handshake-cipher")
            .map(drop)
            .ok_or(format!("drops: {drops:?}"))
    })?;
    mesh.daemon(A).edit(&["interface knet0", "no cipher"])?;
    mesh.wait_until_all_up(Duration::from_secs(20))?;
    assert_eq!(suite(&mesh)?, "AES-256-GCM");
    wait_for_answer(&mesh, Duration::from_secs(10))
}

/// Checksums that one spoke leaves to do are done by the hub for another that has not agreed to it.
#[test]
fn super_frames_are_relayed_between_spokes_that_differ() -> Result<()> {
    needs_root!();
    const HUB: HostId = HostId(2);
    let mut mesh = Mesh::build(Plan {
        hosts: 3,
        ..Plan::default()
    })?;
    for spoke in [A, B] {
        let hub = mesh.lab.host_name(HUB).to_owned();
        mesh.configs[spoke.0].interfaces[0]
            .peers
            .retain(|p| p.name == hub);
    }
    for peer in &mut mesh.configs[HUB.0].interfaces[0].peers {
        peer.lines.push("spoke".into());
    }
    mesh.daemons[B.0].arguments = vec!["--no-offload".into(), "csum".into()];
    mesh.start_all()?;
    wait_for_answer(&mesh, Duration::from_secs(20))?;
    let server = Server::start(&mesh.lab, B, overlay_v4(B))?;
    for arguments in [&[][..], &["-R"]] {
        let measured = server.measure(&mesh.lab, A, 1, arguments)?;
        // With wrong checksums nothing would come through.
        assert!(measured.bits_per_second > 1e8, "{measured:?}");
    }
    let shown = mesh.daemon(HUB).show("show interfaces knet0")?;
    assert!(
        shown["interfaces"][0]["relayed"]["packets"].as_u64() > Some(1000),
        "{shown}"
    );
    assert_eq!(mesh.daemon(HUB).drops()?.get("partial-checksum"), None);
    Ok(())
}

#[test]
fn n42_ipv6_only_underlay_of_the_smallest_mtu() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::build(Plan {
        links: 2,
        family: Family::V6,
        underlay_mtu: 1280,
        ..Plan::default()
    })?;
    // 1280 - IPv6 40 - UDP 8 - header 12 - tag 16 - Ethernet 14.
    const INNER_MTU: u32 = 1190;
    for config in &mut mesh.configs {
        config.interfaces[0].lines.push(format!("mtu {INNER_MTU}"));
        config.interfaces[0].addresses.retain(|a| !a.contains(':'));
    }
    mesh.start_all()?;
    mesh.wait_until_all_up(Duration::from_secs(20))?;
    let fragments = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&fragments);
    let count = Box::new(move |_, _: &[u8]| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let capture = Tcpdump::start(
        &mesh.lab,
        A,
        &Lab::device(NetworkId(0)),
        "ip6 proto 44 or ip proto 17",
        count,
    )?;
    let size = (INNER_MTU - 28).to_string();
    let full = Ping::flood(
        &mesh.lab,
        A,
        overlay_v4(B),
        &["-c", "1000", "-M", "do", "-s", &size],
    )?;
    assert_lossless(full.wait(Duration::from_secs(20))?);
    assert_lossless(flood(&mesh, 1000)?);

    let mut server = mesh.lab.command(B, "iperf3");
    let _server = Process::spawn(server.arg("-s").stdout(std::process::Stdio::null()))?;
    let target = overlay_v4(B).to_string();
    let rate = wait_until("iperf3", Duration::from_secs(20), || {
        let text = mesh
            .lab
            .run(A, "iperf3", &["-J", "-t", "2", "-c", &target])
            .map_err(|e| e.to_string())?;
        let result: serde_json::Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        // It may succeed with nothing but an error in its answer while the server still starts.
        result["end"]["sum_received"]["bits_per_second"]
            .as_f64()
            .ok_or(text)
    })?;
    assert!(rate > 10e6, "TCP carries {rate} bit/s");
    capture.stop()?;
    assert_eq!(
        fragments.load(Ordering::Relaxed),
        0,
        "fragments, or IPv4, on an IPv6-only underlay"
    );
    Ok(())
}

#[test]
fn n34_knet_in_knet() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::build(Plan::default())?;
    let keys = [KeyPair::generate()?, KeyPair::generate()?];
    for (us, them) in [(A, B), (B, A)] {
        write_secret(
            &mesh.lab.host_directory(us).join("knet1.key"),
            &keys[us.0].private,
        )?;
        let inner = Interface {
            name: "knet1".into(),
            private_key: "knet1.key".into(),
            // 1400 of knet0 - IPv4 20 - UDP 8 - header 12 - tag 16 - Ethernet 14.
            lines: vec!["mtu 1330".into()],
            addresses: vec![format!("10.201.0.{}/24", us.0 + 1)],
            locals: vec![format!("{} port 7701", overlay_v4(us))],
            peers: vec![Peer {
                name: mesh.lab.host_name(them).into(),
                public_key: keys[them.0].public.clone(),
                policy: "passive".into(),
                links: vec![Link {
                    local: 0,
                    remote: Some((overlay_v4(them), 7701).into()),
                    ..Link::default()
                }],
                ..Peer::default()
            }],
        };
        mesh.configs[us.0].interfaces.push(inner);
    }
    mesh.start_all()?;
    wait_until("both overlays", Duration::from_secs(20), || {
        let links = mesh.daemon(A).links().map_err(|e| e.to_string())?;
        if links.len() == 2 && links.iter().all(daemon::Link::is_up) {
            Ok(())
        } else {
            Err(format!("{links:?}"))
        }
    })?;
    let target = "10.201.0.2".parse().expect("an address");
    let inner = Ping::flood(&mesh.lab, A, target, &["-c", "2000"])?.wait(Duration::from_secs(20))?;
    assert_lossless(inner);
    let full = Ping::flood(&mesh.lab, A, target, &["-c", "200", "-M", "do", "-s", "1302"])?;
    assert_lossless(full.wait(Duration::from_secs(20))?);
    Ok(())
}

/// Bytes and seconds of processor time.
fn loop_cost(mesh: &Mesh) -> Result<(u64, f64)> {
    let sent = mesh
        .lab
        .run(A, "cat", &["/sys/class/net/knet0/statistics/tx_bytes"])?;
    let pid = mesh.daemon(A).id().expect("A runs");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks: f64 = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(number)
        .sum();
    Ok((sent.trim().parse().expect("a number"), ticks / 100.0))
}

fn number(text: &str) -> f64 {
    text.parse().expect("a number")
}

#[test]
fn n34_underlay_routed_into_the_tunnel_itself() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::start(Plan::default())?;
    wait_for_answer(&mesh, Duration::from_secs(10))?;
    // With a neighbour entry nothing waits for ARP: each datagram to B becomes a frame to B, and so on.
    let b = mesh.lab.address(B, NetworkId(0)).to_string();
    let mac = mesh.lab.tap_mac(B)?;
    let entry = [
        "neigh",
        "replace",
        &b,
        "lladdr",
        &mac,
        "dev",
        "knet0",
        "nud",
        "permanent",
    ];
    mesh.lab.run(A, "ip", &entry)?;
    let begin = loop_cost(&mesh)?;
    mesh.lab
        .run(A, "ip", &["route", "add", &format!("{b}/32"), "dev", "knet0"])?;
    // A datagram of its own that comes out of the TAP goes no further. Until the link is down those are probes, and
    // those of the path MTU are long.
    std::thread::sleep(Duration::from_secs(5));
    let middle = loop_cost(&mesh)?;
    std::thread::sleep(Duration::from_secs(4));
    let end = loop_cost(&mesh)?;
    println!("{begin:?} {middle:?} {end:?}");
    assert!(
        middle.0 - begin.0 < 70_000,
        "{} bytes looped in the first 5 s",
        middle.0 - begin.0
    );
    // WireGuard's own test allows 70 kB for one ping.
    assert!(
        end.0 - middle.0 < 4 * 70_000,
        "{} bytes looped in the next 4 s",
        end.0 - middle.0
    );
    assert!(
        end.1 - begin.1 < 2.0,
        "{} s of processor time in 9 s",
        end.1 - begin.1
    );
    let drops = mesh.daemon(A).drops()?;
    assert!(drops.get("own-datagram").is_some_and(|n| *n > 0), "{drops:?}");
    assert!(mesh.daemons[A.0].is_running());
    mesh.lab
        .run(A, "ip", &["route", "del", &format!("{b}/32"), "dev", "knet0"])?;
    wait_for_answer(&mesh, Duration::from_secs(15))
}

/// B has two addresses on one device; A speaks to the second one.
fn second_address(plan_local: &str) -> Result<()> {
    let mut mesh = Mesh::build(Plan::default())?;
    let device = Lab::device(NetworkId(0));
    let first = mesh.lab.address(B, NetworkId(0));
    let second = "10.70.0.102";
    mesh.lab
        .run(B, "ip", &["addr", "add", &format!("{second}/24"), "dev", &device])?;
    let to_second = (second.parse::<std::net::IpAddr>().expect("an address"), PORT).into();
    let ConfigFile { interfaces, .. } = &mut mesh.configs[A.0];
    interfaces[0].peers[0].links[0].remote = Some(to_second);
    // B does not know where A is, nor which of its own addresses to use, before it is addressed.
    let ConfigFile { interfaces, .. } = &mut mesh.configs[B.0];
    interfaces[0].locals[0] = plan_local.into();
    interfaces[0].peers[0].links[0].remote = None;
    let wrong = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&wrong);
    let count = Box::new(move |_, _: &[u8]| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let capture = Tcpdump::start(&mesh.lab, A, &device, &format!("udp and src host {first}"), count)?;
    mesh.start_all()?;
    mesh.wait_until_all_up(Duration::from_secs(20))?;
    assert_lossless(flood(&mesh, 2000)?);
    // Idle heartbeats, too.
    std::thread::sleep(Duration::from_secs(2));
    capture.stop()?;
    assert_eq!(
        wrong.load(Ordering::Relaxed),
        0,
        "answers left from {first}, though {second} was addressed"
    );
    let remote = &mesh.links(A, B)?[0].remote;
    assert_eq!(remote, &format!("{second}:{PORT}"));
    Ok(())
}

#[test]
fn n35_answers_leave_from_the_address_addressed_with_a_wildcard_local() -> Result<()> {
    needs_root!();
    second_address(&format!("any port {PORT}"))
}

#[test]
fn n35_two_addresses_on_one_device_are_two_links() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::build(Plan::default())?;
    let device = Lab::device(NetworkId(0));
    for (us, them) in [(A, B), (B, A)] {
        let second = |host: HostId| format!("10.70.0.{}", 101 + host.0);
        mesh.lab.run(
            us,
            "ip",
            &["addr", "add", &format!("{}/24", second(us)), "dev", &device],
        )?;
        let interface = &mut mesh.configs[us.0].interfaces[0];
        interface.locals.push(format!("{} port {PORT}", second(us)));
        let remote: std::net::IpAddr = second(them).parse().expect("an address");
        interface.peers[0].links.push(Link {
            local: 1,
            remote: Some((remote, PORT).into()),
            ..Link::default()
        });
    }
    mesh.plan.links = 2;
    mesh.start_all()?;
    mesh.wait_until_all_up(Duration::from_secs(20))?;
    assert_lossless(flood(&mesh, 1000)?);
    // Taking the first address away moves everything to the second.
    mesh.lab.run(
        A,
        "ip",
        &[
            "addr",
            "del",
            &format!("{}/24", mesh.lab.address(A, NetworkId(0))),
            "dev",
            &device,
        ],
    )?;
    wait_until("the second link in use", Duration::from_secs(5), || {
        match mesh.link_in_use(A, B) {
            Ok(1) => Ok(()),
            Ok(other) => Err(format!("link {other}")),
            Err(error) => Err(error.to_string()),
        }
    })?;
    wait_for_answer(&mesh, Duration::from_secs(5))?;
    assert_lossless(flood(&mesh, 1000)?);
    Ok(())
}
