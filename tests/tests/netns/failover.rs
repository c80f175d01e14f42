//! Links that die under a flood of pings.

use std::time::Duration;

use knet_tests::lab::{
    Cut, HostId, NetworkId, Result,
    capture::EchoCapture,
    mesh::{Mesh, Plan, overlay_v4},
    monitor::Monitor,
    ping::Ping,
    stall::StallMeter,
    switch::Datagrams,
    time::{UnixMicros, now, wait_until},
};

use super::{A, B, assert_lossless, needs_root};

/// Longest gap after a silent cut, in milliseconds.
pub(super) const SILENT_GAP: f64 = 60.0;
/// Longest gap after the carrier went, in milliseconds.
pub(super) const CARRIER_GAP: f64 = 20.0;
/// Where this machine itself stood still for longer than this part of what is allowed, a measurement is void
/// and is repeated.
const VOID_SHARE: f64 = 1.0 / 8.0;

#[test]
fn n04_eight_links_active_policy_all_up() -> Result<()> {
    needs_root!();
    let mesh = Mesh::start(Plan {
        links: 8,
        policy: "active",
        ..Plan::default()
    })?;
    const PINGS: u64 = 20_000;
    let at_ports = || {
        let counts = (0..8).map(|n| mesh.lab.datagrams(A, NetworkId(n)));
        counts.collect::<Result<Vec<Datagrams>>>()
    };
    let before = at_ports()?;
    // Large ones: reports travel on the best link only, and should not weigh.
    let flood = Ping::flood(
        &mesh.lab,
        A,
        overlay_v4(B),
        &["-c", &PINGS.to_string(), "-s", "1300"],
    )?;
    assert_lossless(flood.wait(Duration::from_secs(60))?);
    let after = at_ports()?;
    let used = |of: fn(&Datagrams) -> u64| -> Vec<u64> {
        after.iter().zip(&before).map(|(a, b)| of(a) - of(b)).collect()
    };
    let (datagrams, bytes) = (used(|d| d.from_host), used(|d| d.from_host_bytes));
    assert!(
        datagrams.iter().all(|n| *n >= PINGS),
        "each frame goes out on each link: {datagrams:?}"
    );
    let (least, most) = (bytes.iter().min().expect("8"), bytes.iter().max().expect("8"));
    // ±1 %.
    assert!(most - least <= most / 50, "bytes by link: {bytes:?}");
    assert!(mesh.links(A, B)?.iter().all(|l| l.in_use && l.is_up()));
    Ok(())
}

#[test]
fn n05_active_policy_kill_7_of_8_links() -> Result<()> {
    needs_root!();
    let mesh = Mesh::start(Plan {
        links: 8,
        policy: "active",
        ..Plan::default()
    })?;
    let mut flood = Ping::flood(&mesh.lab, A, overlay_v4(B), &["-c", "100000"])?;
    std::thread::sleep(Duration::from_secs(1));
    // Each in another manner, at either end, until one is left.
    let cuts: Vec<Cut> = (0..7)
        .map(|n| {
            let host = if n % 2 == 0 { A } else { B };
            match n % 4 {
                0 => Cut::Silent(host, NetworkId(n)),
                1 => Cut::Carrier(host, NetworkId(n)),
                2 => Cut::SilentFrom(host, NetworkId(n)),
                _ => Cut::SilentTo(host, NetworkId(n)),
            }
        })
        .collect();
    for cut in &cuts {
        mesh.lab.cut(&[*cut])?;
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(
        flood.is_running(),
        "the flood was over before the last cut: the test proves nothing"
    );
    // The links come back, and all but another one go at once.
    mesh.lab.restore(&cuts)?;
    wait_until("link 0 again", Duration::from_secs(30), || {
        match mesh.links(A, B) {
            Ok(links) if links[0].is_up() => Ok(()),
            Ok(links) => Err(format!("{:?}", links[0])),
            Err(error) => Err(error.to_string()),
        }
    })?;
    mesh.lab
        .cut(&(1..8).map(|n| Cut::Silent(A, NetworkId(n))).collect::<Vec<_>>())?;
    let report = flood.wait(Duration::from_secs(120))?;
    assert_eq!(report.sent, 100_000);
    assert_lossless(report);
    // The cut lasts, and the one link that is left carries everything.
    assert_lossless(super::flood(&mesh, 1000)?);
    Ok(())
}

/// What is promised for every cut.
#[derive(Clone, Copy)]
pub(super) struct Promise {
    /// Longest gap in milliseconds.
    pub(super) gap: f64,
    /// Every request is answered.
    pub(super) lossless: bool,
}

/// Under a running flood from A to B, cuts the link that A sends on, until there are `runs` in which this
/// machine itself did not stand still, and checks that the gap of each is at most what is promised. What is lost
/// counts in every run. `cut` says what is cut in which run.
pub(super) fn gaps_of_cuts(
    plan: Plan,
    runs: usize,
    promise: Promise,
    cut: impl Fn(usize, NetworkId) -> Cut,
) -> Result<()> {
    let limit = promise.gap;
    let void = Duration::from_secs_f64(limit * VOID_SHARE / 1000.0);
    let mesh = Mesh::start(plan)?;
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
        let (gap, stall) = (summary.longest_gap.millis(), stall_at(at));
        let lost = summary.sent - summary.answered;
        println!(
            "gap {gap:.1} ms, {lost} lost of {}; machine stood still for {stall:.1?}",
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

fn gap(gap: f64) -> Promise {
    Promise { gap, lossless: false }
}

#[test]
fn n06_passive_silent_cut_20_of_20() -> Result<()> {
    needs_root!();
    let plan = Plan {
        links: 8,
        ..Plan::default()
    };
    let host = |run: usize| if run.is_multiple_of(2) { A } else { B };
    gaps_of_cuts(plan, 20, gap(SILENT_GAP), |run, network| {
        Cut::Silent(host(run), network)
    })
}

#[test]
fn n07_passive_carrier_down() -> Result<()> {
    needs_root!();
    let plan = Plan {
        links: 6,
        ..Plan::default()
    };
    // At the far end too: what it learns from its kernel it tells us over another link.
    let host = |run: usize| if run.is_multiple_of(2) { A } else { B };
    gaps_of_cuts(plan, 8, gap(CARRIER_GAP), |run, network| {
        Cut::Carrier(host(run), network)
    })
}

#[test]
fn n08_passive_silent_one_way_gap() -> Result<()> {
    needs_root!();
    let plan = Plan {
        links: 6,
        ..Plan::default()
    };
    let cut = |run: usize, network| {
        if run.is_multiple_of(2) {
            Cut::SilentFrom(A, network)
        } else {
            Cut::SilentTo(A, network)
        }
    };
    gaps_of_cuts(plan, 8, gap(SILENT_GAP), cut)
}

#[test]
fn n08_state_shows_the_dead_direction_only() -> Result<()> {
    needs_root!();
    let mesh = Mesh::start(Plan {
        links: 3,
        ..Plan::default()
    })?;
    for (cut, sender, receiver) in [
        (Cut::SilentFrom(A, NetworkId(0)), A, B),
        (Cut::SilentTo(A, NetworkId(0)), B, A),
    ] {
        let flood = Ping::flood(&mesh.lab, A, overlay_v4(B), &[])?;
        std::thread::sleep(Duration::from_millis(300));
        mesh.lab.cut(&[cut])?;
        one_direction(&mesh, sender, receiver)?;
        // It stays like this, and the direction that works goes on being used.
        std::thread::sleep(Duration::from_secs(3));
        one_direction(&mesh, sender, receiver)?;
        assert_eq!(mesh.link_in_use(receiver, sender)?, 0);
        assert_ne!(mesh.link_in_use(sender, receiver)?, 0);
        mesh.lab.restore(&[cut])?;
        mesh.wait_until_all_up(Duration::from_secs(60))?;
        let report = flood.stop()?;
        assert_eq!(report.duplicates, 0);
        let began = now();
        wait_until("link 0 in use again", Duration::from_secs(60), || {
            match mesh.link_in_use(sender, receiver) {
                Ok(0) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })?;
        println!("fail-back after {} ms", (now() - began) / 1000);
    }
    Ok(())
}

/// Link 0 is dead from `sender` to `receiver`, and alive the other way.
fn one_direction(mesh: &Mesh, sender: HostId, receiver: HostId) -> Result<()> {
    wait_until("one direction down", Duration::from_secs(5), || {
        let at_sender = mesh
            .links(sender, receiver)
            .map_err(|e| e.to_string())?
            .swap_remove(0);
        let at_receiver = mesh
            .links(receiver, sender)
            .map_err(|e| e.to_string())?
            .swap_remove(0);
        let right = at_sender.state == "down"
            && at_sender.receiving
            && at_receiver.state == "up"
            && !at_receiver.receiving;
        if right {
            Ok(())
        } else {
            Err(format!("sender {at_sender:?}, receiver {at_receiver:?}"))
        }
    })
}
