//! Cuts of the link in use, again and again under a flood of pings: what is lost, and how long nothing arrives.

use std::time::Duration;

use knet_tests::lab::{
    Cut, NetworkId, Result,
    capture::EchoCapture,
    mesh::{Mesh, Plan, overlay_v4},
    monitor::Monitor,
    ping::Ping,
    stall::StallMeter,
    time::{UnixMicros, now, wait_until},
};

use super::{A, B};

/// Longest gap after a silent cut, in milliseconds.
pub(super) const SILENT_GAP: f64 = 60.0;
/// Longest gap after the carrier went, in milliseconds.
pub(super) const CARRIER_GAP: f64 = 20.0;
/// Where this machine itself stood still for longer than this part of what is allowed, a measurement is void
/// and is repeated.
const VOID_SHARE: f64 = 1.0 / 8.0;
/// Cuts of one mesh: flap damping makes the next ones wait longer and longer.
const BATCH: usize = 10;

/// What is promised for every cut.
#[derive(Clone, Copy)]
pub(super) struct Promise {
    /// Longest gap in milliseconds.
    pub(super) gap: f64,
    /// Every request is answered.
    pub(super) lossless: bool,
}

/// Repeats [`gaps_of_cuts`] with new meshes; `cut` gets the number of the cut and the network in use.
pub(super) fn cut_again_and_again(
    plan: &Plan,
    runs: usize,
    promise: Promise,
    cut: impl Fn(usize, NetworkId) -> Cut,
) -> Result<()> {
    let mut done = 0;
    while done < runs {
        let batch = BATCH.min(runs - done);
        gaps_of_cuts(plan, batch, promise, |run, network| cut(done + run, network))?;
        done += batch;
        println!("=== {done} of {runs}");
    }
    Ok(())
}

/// Under a running flood from A to B, cuts the link that A sends on, until there are `runs` in which this
/// machine itself did not stand still, and checks that the gap of each is at most what is promised. What is lost
/// counts in every run. `cut` says what is cut in which run.
fn gaps_of_cuts(
    plan: &Plan,
    runs: usize,
    promise: Promise,
    cut: impl Fn(usize, NetworkId) -> Cut,
) -> Result<()> {
    let limit = promise.gap;
    let void = Duration::from_secs_f64(limit * VOID_SHARE / 1000.0);
    let mesh = Mesh::start(plan.clone())?;
    let stalls = StallMeter::start();
    let capture = EchoCapture::start(&mesh.lab, A, "knet0")?;
    let monitors = [Monitor::start(mesh.daemon(A))?, Monitor::start(mesh.daemon(B))?];
    let flood = Ping::flood(&mesh.lab, A, overlay_v4(B), &[])?;
    std::thread::sleep(Duration::from_millis(500));
    let stall_at = |at: UnixMicros| stalls.worst(at - 10_000, at + 100_000);
    let (mut moments, mut valid) = (Vec::new(), 0);
    for _round in 0..6 {
        for _run in valid..runs {
            moments.push(cut_once(&mesh, moments.len(), &cut)?);
        }
        valid = moments.iter().filter(|at| stall_at(**at) <= void).count();
        if valid >= runs {
            break;
        }
    }
    let report = flood.stop()?;
    let record = capture.stop()?;
    assert_eq!(report.duplicates, 0, "{report:?}");
    let conversation = record.with(overlay_v4(B)).next().expect("a flood");
    let all = conversation.summary(0, now());
    let mut checked = 0;
    for at in moments {
        let summary = conversation.summary(at - 200_000, at + 900_000);
        let (gap, stall) = (summary.longest_wait.millis(), stall_at(at));
        let lost = summary.sent - summary.answered;
        println!(
            "gap {gap:.1} ms ({:.1} ms between replies), {lost} lost of {}; machine stood still for {stall:.1?}",
            summary.longest_gap.millis(),
            summary.sent
        );
        for (host, monitor) in [A, B].into_iter().zip(&monitors) {
            for event in monitor
                .events()
                .iter()
                .filter(|e| (at..at + 150_000).contains(&e.at))
            {
                println!(
                    "  {:>4} ms {}: {}",
                    (event.at - at) / 1000,
                    mesh.lab.host_name(host),
                    event.text
                );
            }
        }
        if stall <= void {
            assert!(gap <= limit, "a gap of {gap} ms: {summary:?}");
            assert!(summary.sent > 50, "the flood goes on: {summary:?}");
            checked += 1;
        }
    }
    assert_eq!(
        all.sent, report.sent,
        "the capture and ping count the same requests"
    );
    if promise.lossless {
        assert_eq!(all.sent - all.answered, 0, "lost: {all:?}");
    }
    assert!(
        checked >= runs,
        "this machine stands still too often to measure milliseconds on it"
    );
    Ok(())
}

/// Cuts the link in use for 700 ms. Returns the moment.
fn cut_once(mesh: &Mesh, run: usize, cut: impl Fn(usize, NetworkId) -> Cut) -> Result<UnixMicros> {
    // There must be somewhere to go to; flap damping keeps links down for longer and longer.
    let link = wait_until(
        "two links up beside the one in use",
        Duration::from_secs(60),
        || {
            let links = mesh.links(A, B).map_err(|e| e.to_string())?;
            let up = links.iter().filter(|l| l.is_up()).count();
            let used = links.iter().find(|l| l.is_up() && l.in_use);
            used.filter(|_| up >= 3)
                .map(|l| l.link)
                .ok_or_else(|| format!("{links:?}"))
        },
    )?;
    let cut = cut(run, NetworkId(link));
    let at = mesh.lab.cut(&[cut])?;
    std::thread::sleep(Duration::from_millis(700));
    mesh.lab.restore(&[cut])?;
    std::thread::sleep(Duration::from_millis(300));
    Ok(at)
}
