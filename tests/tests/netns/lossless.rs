//! One link at a time, and nothing is lost when it dies, comes back, flaps, or is worse than its standby.

use std::time::Duration;

use knet_tests::lab::{
    Cut, HostId, LabError, NetworkId, Result,
    daemon::rows,
    mesh::{Mesh, Plan, overlay_v4},
    netstat::Netstat,
    ping::Ping,
    progress::Progress,
    stream::{Server, median},
    time::{now, wait_until},
    wire::Direction,
};
use serde_json::Value;

use super::{
    A, B, count_or,
    failover::{CARRIER_GAP, Promise, SILENT_GAP, gaps_of_cuts},
    flood_during, needs_root,
};

/// Cuts of one mesh: flap damping makes the next ones wait longer and longer.
const BATCH: usize = 10;

/// Repeats [`gaps_of_cuts`] with new meshes; `cut` gets the host and the network.
fn nothing_lost(plan: &Plan, gap: f64, runs: usize, cut: impl Fn(usize, NetworkId) -> Cut) -> Result<()> {
    let promise = Promise { gap, lossless: true };
    let mut done = 0;
    while done < runs {
        let batch = BATCH.min(runs - done);
        gaps_of_cuts(plan.clone(), batch, promise, |run, network| {
            cut(done + run, network)
        })?;
        done += batch;
        println!("=== {done} of {runs}");
    }
    Ok(())
}

fn links(links: usize, policy: &'static str) -> Plan {
    Plan {
        links,
        policy,
        ..Plan::default()
    }
}

/// A in even runs, B in odd ones: at the far end, too.
fn alternating(run: usize) -> HostId {
    if run.is_multiple_of(2) { A } else { B }
}

#[test]
#[ignore = "waits for the resend ring"]
fn n06_passive_silent_cut_loses_nothing() -> Result<()> {
    needs_root!();
    nothing_lost(&links(8, "passive"), SILENT_GAP, count_or(10), |run, network| {
        Cut::Silent(alternating(run), network)
    })
}

#[test]
#[ignore = "waits for the resend ring"]
fn n07_passive_carrier_down_loses_nothing() -> Result<()> {
    needs_root!();
    nothing_lost(&links(8, "passive"), CARRIER_GAP, count_or(10), |run, network| {
        Cut::Carrier(alternating(run), network)
    })
}

#[test]
#[ignore = "waits for the resend ring"]
fn n07_active_carrier_down_loses_nothing() -> Result<()> {
    needs_root!();
    nothing_lost(&links(8, "active"), CARRIER_GAP, count_or(10), |run, network| {
        Cut::Carrier(alternating(run), network)
    })
}

#[test]
#[ignore = "waits for the resend ring"]
fn n08_passive_each_direction_loses_nothing() -> Result<()> {
    needs_root!();
    nothing_lost(&links(8, "passive"), SILENT_GAP, count_or(10), |run, network| {
        if run.is_multiple_of(2) {
            Cut::SilentFrom(A, network)
        } else {
            Cut::SilentTo(A, network)
        }
    })
}

/// What `show peer` of A says about the ring for B.
fn resend(mesh: &Mesh, field: &str) -> Result<u64> {
    let shown = mesh
        .daemon(A)
        .show(&format!("show peer {}", mesh.lab.host_name(B)))?;
    let value = rows(&shown)
        .first()
        .and_then(|peer| peer["resend"][field].as_u64());
    value.ok_or_else(|| LabError::new(format!("no resend.{field} in {shown}")))
}

/// Waits until A sends to B on `link`, and all links are up.
fn settled(mesh: &Mesh, link: usize) -> Result<()> {
    mesh.wait_until_all_up(Duration::from_secs(90))?;
    wait_until("the best link in use", Duration::from_secs(30), || {
        match mesh.link_in_use(A, B) {
            Ok(used) if used == link => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
}

/// COUNT: pairs of runs.
#[test]
#[ignore = "waits for the resend ring"]
fn n09_tcp_across_ten_failovers() -> Result<()> {
    needs_root!();
    let mesh = Mesh::start(links(8, "passive"))?;
    let server = Server::start(&mesh.lab, B, overlay_v4(B))?;
    let (mut ratios, mut timeouts) = (Vec::new(), 0);
    for _ in 0..count_or(3) {
        settled(&mesh, 0)?;
        let undisturbed = server.measure(&mesh.lab, A, 5, &[])?;
        let before = Netstat::of(&mesh.lab, A)?;
        let client = server.send_from(&mesh.lab, A, 9, &[])?;
        std::thread::sleep(Duration::from_millis(1300));
        for run in 0..10 {
            let cut = Cut::Silent(alternating(run), NetworkId(mesh.link_in_use(A, B)?));
            mesh.lab.cut(&[cut])?;
            std::thread::sleep(Duration::from_millis(400));
            mesh.lab.restore(&[cut])?;
            std::thread::sleep(Duration::from_millis(300));
        }
        let disturbed = client.finish()?;
        let after = Netstat::of(&mesh.lab, A)?;
        timeouts += after.since(&before, "TcpExtTCPTimeouts")?;
        let ratio = disturbed.bits_per_second / undisturbed.bits_per_second;
        println!(
            "{:.0} Mbit/s through ten failovers, {:.0} without: {ratio:.3}; {timeouts} timeouts, {} segments again",
            disturbed.bits_per_second / 1e6,
            undisturbed.bits_per_second / 1e6,
            disturbed.retransmits
        );
        ratios.push(ratio);
    }
    println!(
        "replayed {}, evicted {}",
        resend(&mesh, "replayed")?,
        resend(&mesh, "evicted")?
    );
    assert_eq!(timeouts, 0, "TCP had to wait for its timer");
    assert!(median(ratios.clone()) >= 0.95, "{ratios:?}");
    Ok(())
}

#[test]
#[ignore = "waits for the resend ring"]
fn n10_passive_failover_to_a_slow_link() -> Result<()> {
    needs_root!();
    const SLOW: NetworkId = NetworkId(1);
    const MOST_REPLAYED: u64 = 4 << 20;
    let mesh = Mesh::start(Plan::wired(&[
        "delay 5ms rate 200mbit queue 20ms",
        "delay 5ms rate 20mbit queue 100ms",
    ]))?;
    settled(&mesh, 0)?;
    let server = Server::start(&mesh.lab, B, overlay_v4(B))?;
    let progress = Progress::watch(&mesh.lab, B, "knet0")?;
    let client = server.send_from(&mesh.lab, A, 6, &[])?;
    std::thread::sleep(Duration::from_millis(2500));
    let before = mesh.lab.wire(SLOW)?.passage(A)?;
    let replayed_before = resend(&mesh, "replayed_bytes")?;
    let cut = mesh.lab.cut(&[Cut::Silent(A, NetworkId(0))])?;
    std::thread::sleep(Duration::from_secs(1));
    let after = mesh.lab.wire(SLOW)?.passage(A)?;
    let replayed = resend(&mesh, "replayed_bytes")? - replayed_before;
    std::thread::sleep(Duration::from_secs(2));
    let recovered = progress.rate(cut + 1_000_000, cut + 3_000_000) * 8.0;
    let offered = after.offered_bytes - before.offered_bytes;
    client.finish()?;
    println!(
        "replayed {replayed} bytes; {offered} bytes offered to the slow link in the first second, {} frames too \
         many; {:.1} Mbit/s after that",
        after.queue_full - before.queue_full,
        recovered / 1e6
    );
    assert!(
        replayed > 0 && replayed <= MOST_REPLAYED,
        "{replayed} bytes replayed"
    );
    // The replay, and what TCP sends in a second before it knows: not more than the old rate by far.
    assert!(offered <= MOST_REPLAYED + 5_000_000, "{offered} bytes");
    assert!(
        recovered >= 0.6 * 20e6,
        "{recovered} bit/s after the first second"
    );
    Ok(())
}

/// COUNT: failovers.
#[test]
#[ignore = "waits for the resend ring and FRAG"]
fn n11_passive_failover_to_a_standby_of_smaller_mtu() -> Result<()> {
    needs_root!();
    let first = NetworkId(0);
    let mesh = Mesh::start(Plan::wired(&["delay 2ms", "delay 2ms mtu 1300"]))?;
    // The path MTU of the standby is found when nothing depends on it.
    std::thread::sleep(Duration::from_secs(5));
    for _ in 0..count_or(4) {
        settled(&mesh, 0)?;
        // As large as the interface allows, so that what is on the way does not fit the standby.
        let summary = flood_during(&mesh, &["-i", "0.002", "-s", "1372", "-M", "do"], || {
            mesh.lab.cut(&[Cut::Silent(A, first)])?;
            std::thread::sleep(Duration::from_secs(1));
            mesh.lab.restore(&[Cut::Silent(A, first)])?;
            Ok(())
        })?;
        assert_eq!((summary.sent - summary.answered, summary.copies), (0, 0));
        assert!(summary.sent > 300, "a flood: {summary:?}");
    }
    assert!(mesh.lab.wire(NetworkId(1))?.passage(A)?.passed > 0);
    Ok(())
}

/// COUNT: failovers and fail-backs.
#[test]
#[ignore = "waits for the resend ring"]
fn n12_failback_without_reordering() -> Result<()> {
    needs_root!();
    let first = NetworkId(0);
    // What is sent on the better link overtakes what is still under way on the other.
    let mesh = Mesh::start(Plan::wired(&["delay 1ms", "delay 10ms"]))?;
    let server = Server::start(&mesh.lab, B, overlay_v4(B))?;
    for _ in 0..count_or(2) {
        settled(&mesh, 0)?;
        // Below what the machine can do: TCP's own losses are not the question.
        let mut client = server.send_from(&mesh.lab, A, 60, &["-b", "50M"])?;
        let mut reordered = 0;
        let summary = flood_during(&mesh, &["-i", "0.005"], || {
            std::thread::sleep(Duration::from_secs(1));
            mesh.lab.cut(&[Cut::Silent(A, first)])?;
            std::thread::sleep(Duration::from_secs(2));
            let before = Netstat::of(&mesh.lab, B)?;
            mesh.lab.restore(&[Cut::Silent(A, first)])?;
            settled(&mesh, 0)?;
            std::thread::sleep(Duration::from_secs(1));
            reordered = Netstat::of(&mesh.lab, B)?.since(&before, "TcpExtTCPOFOQueue")?;
            Ok(())
        })?;
        assert!(client.is_running(), "the stream must outlast the fail-back");
        println!("{reordered} segments out of order at the fail-back");
        assert!(reordered <= 10, "{reordered} segments out of order");
        assert_eq!((summary.sent - summary.answered, summary.copies), (0, 0));
        drop(client);
    }
    Ok(())
}

#[test]
#[ignore = "waits for the resequencer"]
fn n15_round_robin_link_death_and_return() -> Result<()> {
    needs_root!();
    let promise = Promise {
        gap: SILENT_GAP,
        lossless: false,
    };
    let mut done = 0;
    let runs = count_or(10);
    while done < runs {
        let batch = BATCH.min(runs - done);
        gaps_of_cuts(links(6, "round-robin"), batch, promise, |run, network| {
            Cut::Silent(alternating(run), network)
        })?;
        done += batch;
    }
    Ok(())
}

/// How often `link` between A and B went down, at both ends.
fn downs(mesh: &Mesh, link: usize) -> Result<u64> {
    Ok(mesh.links(A, B)?[link].downs + mesh.links(B, A)?[link].downs)
}

/// COUNT: seconds.
#[test]
#[ignore = "waits for the resend ring"]
fn n17_link_flaps_every_100_ms() -> Result<()> {
    needs_root!();
    let seconds = count_or(40);
    let mesh = Mesh::start(Plan::wired(&["", ""]))?;
    settled(&mesh, 0)?;
    let flapping = NetworkId(0);
    // One at each end, so that each second may see both.
    let (mut early, mut late) = (0, 0);
    let summary = flood_during(&mesh, &["-i", "0.002"], || {
        let before = downs(&mesh, 0)?;
        let began = now();
        let elapsed = || (now() - began) as usize / 1_000_000;
        while elapsed() < seconds {
            let cut = Cut::Silent(A, flapping);
            mesh.lab.cut(&[cut])?;
            std::thread::sleep(Duration::from_millis(100));
            mesh.lab.restore(&[cut])?;
            std::thread::sleep(Duration::from_millis(100));
            if early == 0 && elapsed() >= seconds.min(60) {
                early = downs(&mesh, 0)? - before;
            }
        }
        late = downs(&mesh, 0)? - before - early;
        Ok(())
    })?;
    println!("{early} downs in the first minute, {late} in the rest of {seconds} s, counted at both ends");
    assert_eq!((summary.sent - summary.answered, summary.copies), (0, 0));
    assert_eq!(downs(&mesh, 1)?, 0, "the other link");
    // Five each until damping holds it, then at most one per minute and end.
    assert!(early <= 10, "{early} downs in the first minute");
    let minutes = seconds.saturating_sub(60).div_ceil(60) as u64;
    assert!(late <= 2 * minutes, "{late} downs in {minutes} minutes");
    Ok(())
}

/// COUNT: seconds.
#[test]
#[ignore = "waits for the guards against false alarms"]
fn n18_loss_of_1_5_20_percent_brings_nothing_down() -> Result<()> {
    needs_root!();
    let seconds = count_or(40);
    const LOSSES: [u32; 6] = [1, 1, 5, 5, 20, 20];
    // The active policy has traffic on all of them; half of the time there is none.
    let mut plan = Plan::wired(&["delay 1ms"; 6]);
    plan.policy = "active";
    let mesh = Mesh::start(plan)?;
    for (network, loss) in LOSSES.iter().enumerate() {
        let wire = mesh.lab.wire(NetworkId(network))?;
        wire.set(Direction::Both, &format!("loss {loss}"))?;
    }
    let began = now();
    while ((now() - began) / 1_000_000) < seconds as i64 {
        let ping = Ping::start(&mesh.lab, A, overlay_v4(B), &["-i", "0.005", "-c", "2000"])?;
        let report = ping.wait(Duration::from_secs(60))?;
        assert_eq!(report.duplicates, 0);
        std::thread::sleep(Duration::from_secs(10));
    }
    let counts = (0..LOSSES.len())
        .map(|link| downs(&mesh, link))
        .collect::<Result<Vec<u64>>>()?;
    let shown: Vec<Value> = [A, B]
        .map(|host| mesh.daemon(host).show("show links"))
        .into_iter()
        .collect::<Result<_>>()?;
    for row in shown.iter().flat_map(|s| rows(s)) {
        println!(
            "link {} loses {} %: {} suspects, {} downs, {} spurious, RTT {} us, loss {} ppm",
            row["link"],
            LOSSES[row["link"].as_u64().unwrap_or(0) as usize],
            row["suspects"],
            row["downs"],
            row["spurious"],
            row["rtt_us"],
            row["tx_loss_ppm"]
        );
    }
    assert_eq!(counts[..4], [0; 4], "downs of links that lose 1, 1, 5, 5 %");
    assert!(
        counts[4] + counts[5] <= 1,
        "downs of links that lose 20 %: {counts:?}"
    );
    Ok(())
}

/// The ring, while all is well, costs no more than 3 % of the throughput. COUNT: pairs of runs.
#[test]
#[ignore = "waits for the resend ring"]
fn g7_ring_costs_at_most_3_percent() -> Result<()> {
    needs_root!();
    let lossless = Mesh::start(links(2, "passive"))?;
    let mut lossy = Mesh::build(links(2, "passive"))?;
    for config in &mut lossy.configs {
        config.interfaces[0].peers[0].lines.push("lossy".into());
    }
    lossy.start_all()?;
    lossy.wait_until_all_up(Duration::from_secs(20))?;
    let servers = [&lossless, &lossy].map(|mesh| Server::start(&mesh.lab, B, overlay_v4(B)));
    let [server, lossy_server] = servers;
    let (server, lossy_server) = (server?, lossy_server?);
    let mut ratios = Vec::new();
    for run in 0..count_or(5) {
        let with = || server.measure(&lossless.lab, A, 3, &[]);
        let without = || lossy_server.measure(&lossy.lab, A, 3, &[]);
        // Neither is always the second.
        let (with, without) = if run % 2 == 0 {
            let with = with()?;
            (with, without()?)
        } else {
            let without = without()?;
            (with()?, without)
        };
        println!(
            "{:.0} Mbit/s with the ring, {:.0} without",
            with.bits_per_second / 1e6,
            without.bits_per_second / 1e6
        );
        ratios.push(with.bits_per_second / without.bits_per_second);
    }
    assert!(median(ratios.clone()) >= 0.97, "{ratios:?}");
    Ok(())
}
