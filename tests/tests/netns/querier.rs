//! A hub that asks who listens to multicast, where no router does, and a client that would be a router.

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
    mesh::{Mesh, overlay_v4},
    time::wait_until,
};

use super::{
    A, B,
    domain::{QUERY, hub},
    needs_root,
};

/// Who has answered is known for twice the interval and half of it.
const INTERVAL: &str = "ip igmp snooping querier query-interval 2";
/// Listens to a group until 120 datagrams have come.
const LISTEN: &str = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 5001))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('239.1.2.3') + socket.inet_aton(sys.argv[1]))
s.settimeout(20)
for n in range(120):
    assert s.recv(100) == b'%d' % n, n
";
/// Sends them, ten in a second.
const STREAM: &str = "
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
for n in range(120):
    s.sendto(b'%d' % n, ('239.1.2.3', 5001))
    time.sleep(0.1)
";

/// Hosts that have joined by their own kernel's IGMP, the hub's among them, get their group for as long as they like, because
/// the hub asks them; another client does not get it, nor by a forged question.
#[test]
fn without_a_router_the_hub_asks_who_listens() -> Result<()> {
    needs_root!();
    const C: HostId = HostId(2);
    let (mesh, hub) = hub(4, &["ip igmp snooping", INTERVAL])?;
    let forger = mesh.lab.host_name(C).to_owned();
    let guard = [
        "interface knet0",
        &format!("peer {forger}"),
        "router-guard ip multicast",
    ];
    mesh.daemon(hub).edit(&guard)?;
    let python = |host: HostId, script: &str| {
        let own = overlay_v4(host).to_string();
        mesh.lab.run(host, "python3", &["-c", script, &own])
    };
    std::thread::scope(|scope| -> Result<()> {
        let listeners = [A, hub].map(|host| scope.spawn(move || python(host, LISTEN)));
        wait_until("listeners, and who asks", Duration::from_secs(20), || {
            let shown = shown(&mesh, hub).map_err(|e| e.to_string())?;
            let row = |role: &str, peer: Option<&str>| {
                shown
                    .iter()
                    .any(|row| row["role"] == role && row["peer"].as_str() == peer)
            };
            let known = row("listener", Some(mesh.lab.host_name(A))) && row("listener", None);
            if known && row("querier", None) {
                Ok(())
            } else {
                Err(format!("{shown:?}"))
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
        let stream = scope.spawn(|| python(B, STREAM));
        std::thread::sleep(Duration::from_secs(3));
        python(C, QUERY)?;
        stream.join().expect("no panic")?;
        for listener in listeners {
            listener.join().expect("no panic")?;
        }
        capture.stop()?;
        assert_eq!(count.load(Ordering::Relaxed), 0, "who has not joined");
        Ok(())
    })?;

    let shown = shown(&mesh, hub)?;
    let of = |role: &str| shown.iter().filter(|row| row["role"] == role).collect::<Vec<_>>();
    assert_eq!(of("router").len(), 0, "{shown:?}");
    let [querier] = of("querier")[..] else {
        panic!("{shown:?}")
    };
    assert_eq!(querier["own"], true, "{querier}");
    assert_eq!(querier["address"], overlay_v4(hub).to_string(), "{querier}");
    assert_eq!(querier["version"], 3, "{querier}");
    assert!(
        querier["left_ms"].as_u64().is_some_and(|ms| ms <= 2_000),
        "{querier}"
    );
    let drops = mesh.daemon(hub).drops()?;
    assert_eq!(drops.get("router-guard"), Some(&1), "{drops:?}");
    let peer = mesh.daemon(hub).show(&format!("show peer {forger}"))?;
    assert!(peer.to_string().contains(r#""dropped_routers":1"#), "{peer}");
    Ok(())
}

fn shown(mesh: &Mesh, hub: HostId) -> Result<Vec<serde_json::Value>> {
    let shown = mesh.daemon(hub).show("show ip igmp snooping")?;
    Ok(rows(&shown).into_iter().cloned().collect())
}
