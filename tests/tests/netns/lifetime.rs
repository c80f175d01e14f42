//! Daemons that die and come back, sessions that grow old, and what is left behind.

use std::{fs, path::PathBuf, time::Duration};

use knet_tests::lab::{
    HostId, LabError, Result,
    capture::EchoCapture,
    mesh::{Mesh, Plan, overlay_v4},
    ping::Ping,
    time::{now, wait_until},
};

use super::{A, B, assert_lossless, flood, needs_root};

/// Kills the daemon of `victim` and starts it again after `pause`, under a flood from the other side. Returns
/// the time from the start to the first answered request, in milliseconds.
fn traffic_back_after(mesh: &mut Mesh, pinger: HostId, victim: HostId, pause: Duration) -> Result<f64> {
    let target = overlay_v4(victim);
    let capture = EchoCapture::start(&mesh.lab, pinger, "knet0")?;
    let flood = Ping::flood(&mesh.lab, pinger, target, &[])?;
    std::thread::sleep(Duration::from_secs(1));
    mesh.daemons[victim.0].kill();
    std::thread::sleep(pause);
    let started = now();
    mesh.restart(victim)?;
    std::thread::sleep(Duration::from_secs(6));
    flood.stop()?;
    let record = capture.stop()?;
    let echoes = record.echoes(target);
    // Without this the pings before the kill would not have worked either.
    assert!(
        echoes
            .iter()
            .filter(|e| e.sent < started && e.answered.is_some())
            .count()
            > 100
    );
    let back = echoes
        .iter()
        .filter(|e| e.sent > started)
        .filter_map(|e| e.answered)
        .min();
    let back = back.ok_or_else(|| LabError::new("traffic did not come back within 6 s"))?;
    let settled = record
        .with(target)
        .next()
        .expect("a flood")
        .summary(started + 5_000_000, now());
    assert!(
        settled.longest_gap.millis() < 100.0,
        "it came back and stayed: {settled:?}"
    );
    Ok((back - started) as f64 / 1000.0)
}

#[test]
fn n19_peer_kill9_restart_traffic_resumes() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::start(Plan {
        links: 2,
        ..Plan::default()
    })?;
    // Either side may have begun the session, and a long absence takes every link down.
    for (pinger, victim, pause) in [
        (A, B, Duration::ZERO),
        (B, A, Duration::ZERO),
        (A, B, Duration::from_secs(5)),
    ] {
        let back = traffic_back_after(&mut mesh, pinger, victim, pause)?;
        println!(
            "{} was away for {pause:?}: back after {back:.0} ms",
            mesh.lab.host_name(victim)
        );
        assert!(back <= 4000.0, "traffic back {back} ms after the restart");
        mesh.wait_until_all_up(Duration::from_secs(30))?;
    }
    Ok(())
}

fn rekeys(mesh: &Mesh, peer: HostId) -> Result<u64> {
    let shown = mesh
        .daemon(A)
        .show(&format!("show peer {}", mesh.lab.host_name(peer)))?;
    let rows = knet_tests::lab::daemon::rows(&shown);
    let peer = rows
        .first()
        .ok_or_else(|| LabError::new(format!("no peer in {shown}")))?;
    peer["session"]["rekeys"]
        .as_u64()
        .ok_or_else(|| LabError::new(format!("no rekeys in {shown}")))
}

/// A has two workers with a peer each, the peers have one.
#[test]
fn n25_rekey_under_flood() -> Result<()> {
    needs_root!();
    let peers = [B, HostId(2)];
    let mut mesh = Mesh::build(Plan {
        hosts: 3,
        links: 2,
        workers: Some(1),
        ..Plan::default()
    })?;
    mesh.configs[A.0].interfaces[0].lines = vec!["workers 2".into()];
    mesh.start_all()?;
    mesh.wait_until_all_up(Duration::from_secs(20))?;
    let rekeys = |peer| rekeys(&mesh, peer);
    let before = [rekeys(peers[0])?, rekeys(peers[1])?];
    let capture = EchoCapture::start(&mesh.lab, A, "knet0")?;
    let began = now();
    let flood = |peer| Ping::flood(&mesh.lab, A, overlay_v4(peer), &["-i", "0.001"]);
    let floods = [flood(peers[0])?, flood(peers[1])?];
    // Sessions are renewed after 120 s.
    wait_until("a rekey with each", Duration::from_secs(140), || {
        std::thread::sleep(Duration::from_millis(500));
        let now = peers.map(|peer| rekeys(peer).map_err(|e| e.to_string()));
        let done = now
            .iter()
            .zip(before)
            .all(|(now, before)| now.as_ref().is_ok_and(|now| *now > before));
        if done { Ok(()) } else { Err(format!("{now:?}")) }
    })?;
    std::thread::sleep(Duration::from_secs(5));
    let [to_b, to_c] = floods;
    let reports = [to_b.stop()?, to_c.stop()?];
    let record = capture.stop()?;
    for (peer, report) in peers.into_iter().zip(reports) {
        let conversation = record.with(overlay_v4(peer)).next().expect("a flood");
        let summary = conversation.summary(began, now());
        println!("{report:?} {summary:?}");
        assert_eq!(summary.sent, report.sent);
        // The last request's answer may come after `ping` was told to end; the capture has it.
        assert_eq!(
            (summary.sent - summary.answered, report.duplicates, report.errors),
            (0, 0, 0)
        );
        assert!(report.sent > 50_000, "a flood: {report:?}");
    }
    super::workers::assert_orderly(&mesh, A)?;
    Ok(())
}

fn entries(directory: PathBuf) -> Result<usize> {
    Ok(fs::read_dir(directory)?.count())
}

/// Open file descriptors and threads.
fn holdings(mesh: &Mesh, host: HostId) -> Result<(usize, usize)> {
    let process = PathBuf::from(format!("/proc/{}", mesh.daemon(host).id().expect("it runs")));
    Ok((entries(process.join("fd"))?, entries(process.join("task"))?))
}

#[test]
fn n48_created_is_destroyed() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::start(Plan {
        links: 2,
        ..Plan::default()
    })?;
    assert_lossless(flood(&mesh, 1000)?);
    let before = holdings(&mesh, A)?;
    fs::copy(
        mesh.lab.host_directory(A).join("knet0.key"),
        mesh.lab.host_directory(A).join("knet9.key"),
    )?;
    for _ in 0..5 {
        mesh.daemon(A).edit(&[
            "interface knet9",
            "private-key file knet9.key",
            "ip address 10.209.0.1/24",
            &format!(
                "local 0 {} port 7709",
                mesh.lab.address(A, knet_tests::lab::NetworkId(0))
            ),
        ])?;
        wait_until("knet9", Duration::from_secs(5), || {
            mesh.lab
                .run(A, "ip", &["link", "show", "knet9"])
                .map_err(|e| e.to_string())
        })?;
        mesh.daemon(A).edit(&["no interface knet9"])?;
        wait_until("no knet9", Duration::from_secs(5), || {
            match mesh.lab.run(A, "ip", &["link", "show", "knet9"]) {
                Ok(shown) => Err(shown),
                Err(_) => Ok(()),
            }
        })?;
    }
    wait_until("as before", Duration::from_secs(3), || match holdings(&mesh, A) {
        Ok(now) if now == before => Ok(()),
        other => Err(format!(
            "descriptors and threads: {before:?} before, {other:?} now"
        )),
    })?;
    // Other interfaces and their peers did not notice.
    assert_lossless(flood(&mesh, 1000)?);

    for host in [A, B] {
        let began = now();
        let status = mesh.daemons[host.0].terminate(Duration::from_secs(2))?;
        println!("ended after {} ms", (now() - began) / 1000);
        assert!(status.success(), "{status}");
        assert!(
            mesh.lab.run(host, "ip", &["link", "show", "knet0"]).is_err(),
            "the TAP is left"
        );
        assert!(!mesh.daemon(host).socket().exists(), "the control socket is left");
        let sockets = mesh.lab.run(host, "cat", &["/proc/net/udp"])?;
        assert_eq!(sockets.lines().count(), 1, "{sockets}");
    }
    let name = mesh.lab.name().to_owned();
    drop(mesh);
    let left = knet_tests::lab::process::run("ip", &["netns", "list"])?;
    assert!(!left.contains(&name), "{left}");
    Ok(())
}
