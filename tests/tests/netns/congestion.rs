//! More frames than a link can carry: the host's own queue is the bottleneck, and knet feels it.

use std::time::Duration;

use knet_tests::lab::{
    HostId, LabError, NetworkId, Result,
    capture::EchoCapture,
    mesh::{Mesh, Plan, overlay_v4},
    ping::Ping,
    stream::Server,
    time::{now, wait_until},
};

use super::{A, B, needs_root};

const C: HostId = HostId(2);
/// The cable between A and B.
const SLOW: NetworkId = NetworkId(0);

/// Ten times as much for B as its cable carries: C, whom another one leads to, does not notice, and the link is not taken
/// for dead, although its heartbeats share the queue.
#[test]
fn a_slow_link_holds_nobody_else_up() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::build(Plan {
        hosts: 3,
        links: 2,
        ..Plan::default()
    })?;
    // A and B have the first network, A and C the second.
    for (host, peer, link) in [(A, B, 0), (B, A, 0), (A, C, 1), (C, A, 1)] {
        let name = mesh.lab.host_name(peer).to_owned();
        let peers = &mut mesh.configs[host.0].interfaces[0].peers;
        let peer = peers.iter_mut().find(|p| p.name == name);
        let peer = peer.ok_or_else(|| LabError::new("no such peer"))?;
        peer.links.retain(|l| l.local == link);
    }
    mesh.start_all()?;
    wait_until("both links", Duration::from_secs(20), || {
        let links = mesh.daemon(A).links().map_err(|e| e.to_string())?;
        let up = links.iter().filter(|l| l.is_up()).count();
        if up == 2 {
            Ok(())
        } else {
            Err(format!("{links:?}"))
        }
    })?;
    let server = Server::start(&mesh.lab, B, overlay_v4(B))?;
    // The send buffer fills before this queue does.
    mesh.lab
        .limit_from(A, SLOW, "rate 10mbit burst 20kb limit 20mb")?;

    let capture = EchoCapture::start(&mesh.lab, A, "knet0")?;
    let ping = Ping::start(&mesh.lab, A, overlay_v4(C), &["-i", "0.01"])?;
    std::thread::sleep(Duration::from_millis(500));
    let flood = server.measure(&mesh.lab, A, 5, &["-u", "-b", "100M", "-l", "1200"])?;
    std::thread::sleep(Duration::from_millis(500));
    let report = ping.stop()?;
    let record = capture.stop()?;
    let seen = record
        .with(overlay_v4(C))
        .next()
        .ok_or_else(|| LabError::new("no ping"))?;
    let seen = seen.summary(0, now());
    let drops = mesh.daemon(A).drops()?;
    let full = drops.get("send-buffer-full").copied().unwrap_or(0);
    println!("{flood:?}; {report:?}; {seen:?}; {full} did not fit");
    assert!(
        flood.lost * 2 > flood.datagrams && full > 0,
        "there was no congestion: {flood:?}"
    );
    assert_eq!(seen.answered, seen.sent, "{seen:?}");
    // The TAP is left alone once, for 20 ms.
    assert!(seen.worst_rtt < 40_000, "{seen:?}");
    let links = mesh.links(A, B)?;
    assert!(links.iter().all(|l| l.is_up() && l.downs == 0), "{links:?}");
    Ok(())
}

/// A device that drops what does not fit its queue is no broken link, and TCP finds its rate.
#[test]
fn a_full_device_queue_is_congestion() -> Result<()> {
    needs_root!();
    let mesh = Mesh::start(Plan::default())?;
    let server = Server::start(&mesh.lab, B, overlay_v4(B))?;
    mesh.lab
        .limit_from(A, SLOW, "rate 100mbit burst 32kb latency 20ms")?;
    // Probes of the path MTU may have been refused.
    let failed = || -> Result<u64> { Ok(mesh.daemon(A).drops()?.get("send-failed").copied().unwrap_or(0)) };
    let before = failed()?;
    let measured = server.measure(&mesh.lab, A, 4, &[])?;
    println!("{measured:?}; {:?}", mesh.daemon(A).drops()?);
    assert!(measured.bits_per_second > 80e6, "{measured:?}");
    assert_eq!(failed()?, before);
    let links = mesh.links(A, B)?;
    assert!(links.iter().all(|l| l.is_up() && l.downs == 0), "{links:?}");
    Ok(())
}
