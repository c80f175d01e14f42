//! End to end: real daemons, real kernels, in network namespaces. Needs root, and the machine for itself:
//! `cargo test --workspace --test netns -- --test-threads=1` after `cargo build --workspace --bins`.
//! Names of tests are those of the test plan (`nNN_...`).

mod attack;
mod balance;
mod congestion;
mod cuts;
mod domain;
mod failover;
mod frames;
mod hubs;
mod idle;
mod key_erasure;
mod lab;
mod leases;
mod lifetime;
mod lossless;
mod metrics;
mod mtu;
mod one_file;
mod pasting;
mod programs;
mod querier;
mod reach;
mod roaming;
mod scripting;
mod source_guard;
mod swarm;
mod transfer;
mod wire;
mod workers;

use std::time::Duration;

use knet_tests::lab::{
    HostId, LabError, Result,
    capture::EchoCapture,
    echo::Summary,
    mesh::{Mesh, overlay_v4},
    ping::{Ping, PingReport},
    time::{now, wait_until},
};

const A: HostId = HostId(0);
const B: HostId = HostId(1);

/// Leaves the test unless it can run here.
macro_rules! needs_root {
    () => {
        if !knet_tests::lab::can_run() {
            return Ok(());
        }
    };
}
use needs_root;

/// Floods from A to B over the overlay with `count` pings.
fn flood(mesh: &Mesh, count: u32) -> Result<PingReport> {
    flood_to(mesh, B, count)
}

/// Floods from A to another host with `count` pings. `ping` itself waits for the last answers no longer than twice what the
/// slowest had taken, which on a machine that stands still is too short: those that come later count, too.
fn flood_to(mesh: &Mesh, target: HostId, count: u32) -> Result<PingReport> {
    let patience = Duration::from_secs(20 + u64::from(count) / 1000);
    let capture = EchoCapture::start(&mesh.lab, A, "knet0")?;
    let ping = Ping::flood(&mesh.lab, A, overlay_v4(target), &["-c", &count.to_string()])?;
    let mut report = ping.wait(patience)?;
    if report.lost() == 0 {
        return Ok(report);
    }
    std::thread::sleep(Duration::from_millis(500));
    let summary = seen(capture, target)?;
    println!("{report:?}, but on the wire {summary:?}");
    for host in (0..mesh.configs.len()).map(HostId) {
        println!(
            "drops of {}: {:?}",
            mesh.lab.host_name(host),
            mesh.daemon(host).drops()
        );
    }
    if summary.sent == report.sent {
        report.received = summary.answered;
    }
    Ok(report)
}

/// What the wire has seen of a flood to `target`.
fn seen(capture: EchoCapture, target: HostId) -> Result<Summary> {
    let record = capture.stop()?;
    let conversation = record.with(overlay_v4(target)).next();
    let conversation = conversation.ok_or_else(|| LabError::new("no flood"))?;
    Ok(conversation.summary(0, now()))
}

/// Panics unless every ping came back once.
fn assert_lossless(report: PingReport) {
    assert_eq!(
        (report.lost(), report.duplicates, report.errors),
        (0, 0, 0),
        "{report:?}"
    );
}

/// How often a test does what it repeats, or how many seconds it goes on, or how many MiB it sends: as each says.
/// `scripts/lab NAME COUNT` asks for more than `usual`.
fn count_or(usual: usize) -> usize {
    let asked = std::env::var("KNET_LAB_COUNT").ok();
    asked.map_or(usual, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("KNET_LAB_COUNT={text}: not a number"))
    })
}

/// Floods from A to B with `arguments` of `ping` while `during` is carried out, and returns what the wire has seen:
/// requests that were under way when `ping` was ended have their answers in it.
fn flood_during(mesh: &Mesh, arguments: &[&str], during: impl FnOnce() -> Result<()>) -> Result<Summary> {
    let capture = EchoCapture::start(&mesh.lab, A, "knet0")?;
    let ping = Ping::start(&mesh.lab, A, overlay_v4(B), arguments)?;
    std::thread::sleep(Duration::from_millis(500));
    during()?;
    std::thread::sleep(Duration::from_millis(500));
    let report = ping.stop()?;
    let summary = seen(capture, B)?;
    assert_eq!(
        (summary.sent, summary.copies, 0),
        (report.sent, report.duplicates, report.errors),
        "{report:?}"
    );
    println!(
        "{} sent, {} lost, {} copies, longest gap {:.1} ms",
        summary.sent,
        summary.sent - summary.answered,
        summary.copies,
        summary.longest_gap.millis()
    );
    Ok(summary)
}

/// Waits until a ping from A to B is answered.
fn wait_for_answer(mesh: &Mesh, patience: Duration) -> Result<()> {
    wait_until("an answered ping", patience, || {
        let ping = Ping::start(&mesh.lab, A, overlay_v4(B), &["-c", "1", "-W", "1"]);
        match ping.and_then(|p| p.wait(Duration::from_secs(5))) {
            Ok(report) if report.received == 1 => Ok(()),
            Ok(report) => Err(format!("{report:?}")),
            Err(error) => Err(error.to_string()),
        }
    })
}
