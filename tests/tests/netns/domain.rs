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
pub(super) fn hub(hosts: usize, lines: &[&str]) -> Result<(Mesh, HostId)> {
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
            // A flood would not wait for its last answer longer than twice what another took.
            let ping = Ping::start(&mesh.lab, A, target, &["-c", "20", "-i", "0.05"])?;
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
        let mac = mesh.lab.tap_mac(A)?;
        let questions =
            format!("ether src {mac} and (arp[6:2] == 1 or (icmp6 and ip6[40] == 135 and not src host ::))");
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

/// One overlay, two VLANs: who is in one hears nothing of the other, and a trunk has both.
#[test]
fn vlans_of_a_hub_are_networks_apart() -> Result<()> {
    needs_root!();
    const C: HostId = HostId(2);
    let (mesh, hub) = hub(4, &["vlan filtering"])?;
    let names = [A, B, C].map(|host| mesh.lab.host_name(host).to_owned());
    let peers = [0, 1, 2].map(|n| format!("peer {}", names[n]));
    mesh.daemon(hub).edit(&[
        "interface knet0",
        "switchport access vlan 10",
        &peers[0],
        "switchport access vlan 10",
        "exit",
        &peers[1],
        "switchport access vlan 20",
        "exit",
        &peers[2],
        "switchport trunk allowed vlan 10,20",
    ])?;
    let reaches = |from: HostId| -> Result<bool> {
        let ping = Ping::start(&mesh.lab, from, overlay_v4(hub), &["-c", "1", "-W", "1"])?;
        Ok(ping.wait(Duration::from_secs(5))?.lost() == 0)
    };
    assert!(reaches(A)?, "both are in 10");
    assert!(!reaches(B)?, "20 is another network");
    assert!(!reaches(C)?, "without a tag");

    let mut stations = [A, B, C].map(|host| Station::start(&mesh.lab, host, false, 1400));
    let [Ok(a), Ok(b), Ok(c)] = &mut stations else {
        panic!("{stations:?}")
    };
    a.announce()?;
    b.announce()?;
    let line = |after_addresses: &[u8]| Line {
        frame: [&[0; 12], after_addresses, &[7; 46]].concat(),
        ..Line::default()
    };
    let plain = line(&[0x88, 0xb5]);
    let tagged = |vlan: u8| line(&[0x81, 0x00, 0x60, vlan, 0x88, 0xb5]);
    // To a: what is in 10 comes without its tag, and of 20 nothing. To b the other way round.
    let both = [tagged(20), tagged(10), tagged(20), tagged(30)];
    c.send(a, 1, &both)?;
    c.send(b, 2, &both)?;
    let all = [(&*a, 1, 1), (&*b, 2, 2)];
    wait_until("the frames", Duration::from_secs(10), || {
        for (to, kind, count) in all {
            let got = to.received(c, kind);
            if got != vec![plain.clone(); count] {
                return Err(format!("{kind}: {got:?}"));
            }
        }
        Ok(())
    })?;
    // That of VLAN 30 each time, and what the host of the trunk says without a tag.
    let drops = mesh.daemon(hub).drops()?;
    assert!(drops.get("vlan-ingress").is_some_and(|n| *n >= 2), "{drops:?}");
    a.send(c, 3, std::slice::from_ref(&plain))?;
    wait_until("a frame with a tag", Duration::from_secs(10), || {
        let got = c.received(a, 3);
        let is_tagged = |l: &Line| l.frame[12..18] == [0x81, 0, 0, 10, 0x88, 0xb5];
        match got.first().is_some_and(is_tagged) {
            true => Ok(()),
            false => Err(format!("{got:?}")),
        }
    })?;

    let shown = mesh.daemon(hub).show("show vlan")?;
    let vlans: Vec<String> = rows(&shown)
        .iter()
        .map(|row| {
            format!(
                "{} {} {} {} {}",
                row["vlan"], row["tap"], row["untagged"], row["tagged"], row["up"]
            )
        })
        .collect();
    assert_eq!(vlans, [r#"10 "untagged" 1 1 2"#, "20 null 1 1 2"], "{shown}");
    let shown = mesh.daemon(hub).show("show mac address-table")?;
    let places = |peer: &str| -> Vec<u64> {
        let behind = rows(&shown).into_iter().filter(|row| row["peer"] == peer);
        behind.filter_map(|row| row["vlan"].as_u64()).collect()
    };
    assert!(places(&names[0]).iter().all(|vlan| *vlan == 10), "{shown}");
    assert!(places(&names[1]).contains(&20), "{shown}");
    assert!(
        places(&names[2]).contains(&10) && places(&names[2]).contains(&20),
        "{shown}"
    );
    Ok(())
}

/// Sends a question for all listeners of IPv4, which are to answer within a second, as a router does.
pub(super) const QUERY: &str = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
s.sendto(bytes([0x11, 10, 0xec, 0x78, 0, 0, 0, 0, 2, 125, 0, 0]), ('224.0.0.1', 0))
";
/// Listens to a group until 20 datagrams have come.
const LISTEN: &str = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 5001))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('239.1.2.3') + socket.inet_aton(sys.argv[1]))
s.settimeout(20)
for n in range(20):
    s.recv(100)
";
/// Sends 20 datagrams to the group.
const STREAM: &str = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
for n in range(20):
    s.sendto(b'stream', ('239.1.2.3', 5001))
";

/// Hosts that join a group by their own kernel's IGMP get it, and others do not.
#[test]
fn multicast_goes_to_the_hosts_that_have_joined() -> Result<()> {
    needs_root!();
    const C: HostId = HostId(2);
    let (mesh, hub) = hub(4, &["ip igmp snooping"])?;
    let python = |host: HostId, script: &str| {
        let own = overlay_v4(host).to_string();
        mesh.lab.run(host, "python3", &["-c", script, &own])
    };
    std::thread::scope(|scope| {
        let listener = scope.spawn(|| python(A, LISTEN));
        let name = mesh.lab.host_name(A);
        python(hub, QUERY)?;
        wait_until("the answer", Duration::from_secs(5), || {
            let shown = mesh
                .daemon(hub)
                .show("show ip igmp snooping")
                .map_err(|e| e.to_string())?;
            let is_listed = |role: &str, peer: &str| {
                let row = |row: &&serde_json::Value| row["role"] == role && row["peer"] == peer;
                rows(&shown).iter().any(row)
            };
            match is_listed("listener", name) {
                true => Ok(()),
                false => Err(shown.to_string()),
            }
        })?;
        // As long as there is to answer, and a half.
        std::thread::sleep(Duration::from_millis(1_500));
        let count = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&count);
        let sink = Box::new(move |_, _: &[u8]| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let capture = Tcpdump::start(&mesh.lab, C, "knet0", "udp port 5001", sink)?;
        python(B, STREAM)?;
        listener.join().expect("no panic")?;
        capture.stop()?;
        assert_eq!(count.load(Ordering::Relaxed), 0, "who has not joined");
        Ok(())
    })
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

/// The networks behind two clients are also joined by a cable. The hub finds the loop that this is and closes one of the two,
/// so that a broadcast does not go round, and what is behind both is reached by the other one.
#[test]
fn a_loop_through_two_clients_is_found_and_cut() -> Result<()> {
    needs_root!();
    const C: HostId = HostId(2);
    let (mesh, hub) = hub(4, &[])?;
    let closed = || -> std::result::Result<Vec<String>, String> {
        let shown = mesh.daemon(hub).show("show storm-control");
        let shown = shown.map_err(|e| e.to_string())?;
        let closed = rows(&shown)
            .into_iter()
            .filter(|row| row["storm"]["closed_ms"].is_u64());
        Ok(closed.map(|row| row["peer"].to_string()).collect())
    };
    for host in [A, B] {
        mesh.lab.ip(
            host,
            "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        )?;
        mesh.lab.ip(host, "link set knet0 master br0")?;
        mesh.lab.ip(host, "link set br0 up")?;
    }
    assert_eq!(closed(), Ok(Vec::new()));
    let namespace = mesh.lab.namespace(B);
    mesh.lab.ip(
        A,
        &format!("link add cable master br0 up type veth peer name cable netns {namespace}"),
    )?;
    mesh.lab.ip(B, "link set cable master br0 up")?;
    // The question goes to all.
    let nobody = overlay_v4(HostId(98));
    let ask = Ping::start(&mesh.lab, C, nobody, &["-c", "3", "-W", "1"])?;
    let cut = wait_until("the loop is cut", Duration::from_secs(10), || {
        let closed = closed()?;
        if closed.len() == 1 {
            Ok(())
        } else {
            Err(format!("closed: {closed:?}"))
        }
    });
    ask.wait(Duration::from_secs(10))?;
    cut?;
    let received = || -> Result<u64> {
        let count = mesh
            .lab
            .run(C, "cat", &["/sys/class/net/knet0/statistics/rx_packets"])?;
        Ok(count.trim().parse().expect("a counter"))
    };
    let before = received()?;
    std::thread::sleep(Duration::from_secs(2));
    let more = received()? - before;
    assert!(more < 200, "{more} frames in two seconds: something goes round");
    assert_lossless(
        Ping::flood(&mesh.lab, C, overlay_v4(hub), &["-c", "200"])?.wait(Duration::from_secs(20))?,
    );

    // Without the cable it is opened by whoever says so.
    mesh.lab.ip(A, "link delete cable")?;
    let [peer] = &closed().expect("rows")[..] else {
        panic!("{:?}", closed())
    };
    let clear = |peer: &str| {
        let line = format!("do clear loop-guard peer {}", peer.trim_matches('"'));
        mesh.daemon(hub).edit(&[&line])
    };
    assert!(clear("nobody").is_err());
    assert_eq!(closed().as_ref(), Ok(&vec![peer.clone()]));
    clear(peer)?;
    assert_eq!(closed(), Ok(Vec::new()));
    Ok(())
}
