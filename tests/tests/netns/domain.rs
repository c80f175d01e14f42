//! The broadcast domain of a hub: what stations send to all, and what the hub does about it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use knet_tests::lab::{
    HostId, Result,
    capture::Tcpdump,
    daemon::rows,
    mesh::{Mesh, Plan, overlay_v4, overlay_v6},
    ping::Ping,
    station::{Line, Station},
    time::wait_until,
};

use super::{A, B, assert_lossless, needs_root, wait_for_answer};

/// A hub with these lines in its interface, as the last host; the others know only it.
fn hub(hosts: usize, lines: &[&str]) -> Result<(Mesh, HostId)> {
    let mut mesh = Mesh::build(Plan {
        hosts,
        ..Plan::default()
    })?;
    let hub = HostId(hosts - 1);
    let name = mesh.lab.host_name(hub).to_owned();
    for config in &mut mesh.configs[..hosts - 1] {
        config.interfaces[0].peers.retain(|p| p.name == name);
    }
    let interface = &mut mesh.configs[hub.0].interfaces[0];
    interface
        .lines
        .extend(lines.iter().map(|line| (*line).to_owned()));
    for peer in &mut interface.peers {
        peer.lines.push("spoke".into());
    }
    mesh.start_all()?;
    wait_for_answer(&mesh, Duration::from_secs(20))?;
    Ok((mesh, hub))
}

#[test]
fn arp_and_neighbour_discovery_are_answered_by_the_hub() -> Result<()> {
    needs_root!();
    const C: HostId = HostId(2);
    let (mesh, hub) = hub(4, &["arp suppression"])?;
    let targets = [overlay_v4(B), overlay_v6(B)];
    // They forget each other, and ask again.
    let ask_anew = || -> Result<()> {
        mesh.lab.run(A, "ip", &["neigh", "flush", "dev", "knet0"])?;
        for target in targets {
            let ping = Ping::flood(&mesh.lab, A, target, &["-c", "20"])?;
            assert_lossless(ping.wait(Duration::from_secs(20))?);
        }
        Ok(())
    };
    ask_anew()?;
    let heard = |mesh: &Mesh| -> Result<u64> {
        let count = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&count);
        let sink = Box::new(move |_, _: &[u8]| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        // Not those by which hosts that have just started find out that nobody else has their addresses.
        let mac = mesh.lab.run(A, "cat", &["/sys/class/net/knet0/address"])?;
        let questions = format!(
            "ether src {} and (arp[6:2] == 1 or (icmp6 and ip6[40] == 135 and not src host ::))",
            mac.trim()
        );
        let capture = Tcpdump::start(&mesh.lab, C, "knet0", &questions, sink)?;
        ask_anew()?;
        capture.stop()?;
        Ok(count.load(Ordering::Relaxed))
    };
    assert_eq!(heard(&mesh)?, 0, "a third host hears no question");
    let shown = mesh.daemon(hub).show("show arp")?;
    for target in targets {
        let row = rows(&shown)
            .into_iter()
            .find(|row| row["address"] == target.to_string());
        assert_eq!(
            row.map(|row| &row["peer"]),
            Some(&mesh.lab.host_name(B).into()),
            "{shown}"
        );
    }
    mesh.daemon(hub)
        .edit(&["interface knet0", "no arp suppression"])?;
    assert!(heard(&mesh)? >= 2, "both questions are flooded");
    Ok(())
}

/// What a frame of this name in the fuzzer's corpus says.
fn corpus(name: &str) -> Line {
    let path = format!("{}/corpus/first_hop/{name}", env!("CARGO_MANIFEST_DIR"));
    Line {
        frame: std::fs::read(path).expect("a file of the corpus"),
        ..Line::default()
    }
}

#[test]
fn ra_guard_and_dhcp_snooping_drop_what_is_forged() -> Result<()> {
    needs_root!();
    let (mesh, hub) = hub(3, &["ip dhcp snooping", "ipv6 nd raguard"])?;
    let mut stations = [A, B].map(|host| Station::start(&mesh.lab, host, false, 1400));
    let [Ok(a), Ok(b)] = &mut stations else {
        panic!("{stations:?}")
    };
    a.announce()?;
    b.announce()?;
    let forged = [
        "router_advertisement",
        "router_advertisement_in_pieces",
        "dhcp_offer",
        "dhcpv6_reply",
    ]
    .map(corpus);
    let harmless = corpus("arp_request");
    let mut send_all = |kind: u8, expected: usize| -> Result<()> {
        b.send(a, kind, &[&forged[..], &[harmless.clone()]].concat())?;
        wait_until("the last frame", Duration::from_secs(10), || {
            match a.received(b, kind).len() {
                got if got == expected => Ok(()),
                got => Err(format!("{got} frames")),
            }
        })
    };
    send_all(1, 1)?;
    let drops = mesh.daemon(hub).drops()?;
    assert_eq!(
        (drops.get("ra-guard"), drops.get("dhcp-snooping")),
        (Some(&2), Some(&2))
    );
    let peer = format!("peer {}", mesh.lab.host_name(B));
    let trust = [
        "interface knet0",
        &peer,
        "ip dhcp snooping trust",
        "ipv6 nd raguard trust",
    ];
    mesh.daemon(hub).edit(&trust)?;
    send_all(2, 5)
}
