//! End to end: real daemons, real kernels, in network namespaces. Needs root, and the machine for itself:
//! `cargo test -p knet-tests --test netns -- --test-threads=1` after `cargo build -p knetd -p knet-cli`.
//! Names of tests are those of the test plan (`nNN_...`).

mod attack;
mod failover;
mod idle;
mod lab;
mod lifetime;
mod reach;
mod roaming;
mod wire;

use std::time::Duration;

use knet_tests::lab::{
    HostId, Result,
    mesh::{Mesh, overlay_v4},
    ping::{Ping, PingReport},
    time::wait_until,
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
    let patience = Duration::from_secs(20 + u64::from(count) / 1000);
    Ping::flood(&mesh.lab, A, overlay_v4(B), &["-c", &count.to_string()])?.wait(patience)
}

/// Panics unless every ping came back once.
fn assert_lossless(report: PingReport) {
    assert_eq!(
        (report.lost(), report.duplicates, report.errors),
        (0, 0, 0),
        "{report:?}"
    );
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
