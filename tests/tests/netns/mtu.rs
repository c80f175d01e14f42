//! Any inner MTU over any path MTU, without IP fragments, and whatever routers do not say.

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use knet_tests::lab::{
    Cut, Family, HostId, Lab, LabError, NetworkId, Result,
    capture::Tcpdump,
    daemon::rows,
    mesh::{Mesh, PORT, Plan, overlay_v4},
    ping::Ping,
    program,
    progress::Progress,
    stream::Server,
    time::{now, wait_until},
    wire::Direction,
};

use super::{A, B, assert_lossless, count_or, flood, needs_root, transfer::Transfer};

const NETWORK: NetworkId = NetworkId(0);

/// Counts IP fragments, of both families, that `host` sends or receives on the underlay.
struct NoFragments {
    capture: Tcpdump,
    count: Arc<AtomicU64>,
}

impl NoFragments {
    fn watch(mesh: &Mesh, host: HostId) -> Result<Self> {
        let count = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&count);
        let sink = Box::new(move |_, _: &[u8]| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let filter = "ip6 proto 44 or (ip[6:2] & 0x3fff != 0)";
        let capture = Tcpdump::start(&mesh.lab, host, &Lab::device(NETWORK), filter, sink)?;
        Ok(Self { capture, count })
    }

    fn check(self) -> Result<()> {
        self.capture.stop()?;
        assert_eq!(
            self.count.load(Ordering::Relaxed),
            0,
            "IP fragments on the underlay"
        );
        Ok(())
    }
}

/// A mesh whose TAPs have this MTU, started.
fn with_inner_mtu(plan: Plan, mtu: impl Display) -> Result<Mesh> {
    let mut mesh = Mesh::build(plan)?;
    for config in &mut mesh.configs {
        config.interfaces[0].lines.push(format!("mtu {mtu}"));
    }
    mesh.start_all()?;
    mesh.wait_until_all_up(Duration::from_secs(20))?;
    Ok(mesh)
}

/// Pings that fill frames of the inner MTU, `-M do`.
fn full_pings(mesh: &Mesh, mtu: u32, count: u32) -> Result<()> {
    let size = (mtu - 28).to_string();
    let count = count.to_string();
    let ping = Ping::flood(
        &mesh.lab,
        A,
        overlay_v4(B),
        &["-c", &count, "-M", "do", "-s", &size],
    )?;
    assert_lossless(ping.wait(Duration::from_secs(60))?);
    Ok(())
}

/// Has the kernel cut what knetd sends as one packet (`UDP_SEGMENT`) before it leaves A: the switch counts packets.
fn count_each_datagram(mesh: &Mesh) -> Result<()> {
    let device = Lab::device(NETWORK);
    let words = ["link", "set", "dev", &device, "gso_max_segs", "1"];
    mesh.lab.run(A, "ip", &words).map(drop)
}

/// COUNT: MiB.
#[test]
fn n03_jumbo_frames_over_9216_and_over_1500() -> Result<()> {
    needs_root!();
    for underlay_mtu in [9216, 1500] {
        let plan = Plan {
            underlay_mtu,
            ..Plan::default()
        };
        let mesh = with_inner_mtu(plan, 9000)?;
        count_each_datagram(&mesh)?;
        let fragments = NoFragments::watch(&mesh, A)?;
        // The path MTU is found within this, and nothing is lost before.
        full_pings(&mesh, 9000, 500)?;
        std::thread::sleep(Duration::from_secs(3));
        full_pings(&mesh, 9000, 2000)?;
        let before = mesh.lab.datagrams(A, NETWORK)?;
        Transfer::start(&mesh, count_or(128) as u64)?.finish()?;
        let after = mesh.lab.datagrams(A, NETWORK)?;
        let mean = (after.from_host_bytes - before.from_host_bytes) / (after.from_host - before.from_host);
        println!("underlay {underlay_mtu}: datagrams of {mean} bytes on average");
        // Frames that need no pieces get none; of a frame of 9014 bytes seven pieces are made, not sixteen.
        assert!(
            mean >= if underlay_mtu == 9216 { 7000 } else { 1100 },
            "{mean} bytes"
        );
        fragments.check()?;
    }
    Ok(())
}

#[test]
fn n32_the_mtu_drops_in_mid_flow_and_nobody_tells() -> Result<()> {
    needs_root!();
    const RTT: f64 = 20.0;
    let mesh = with_inner_mtu(Plan::wired(&["delay 10ms"]), 1400)?;
    // The path MTU is found: 1500.
    std::thread::sleep(Duration::from_secs(4));
    full_pings(&mesh, 1400, 20)?;
    let server = Server::start(&mesh.lab, B, overlay_v4(B))?;
    let progress = Progress::watch(&mesh.lab, B, "knet0")?;
    let wire = mesh.lab.wire(NETWORK)?;
    let client = server.send_from(&mesh.lab, A, 20, &["-b", "40M"])?;
    std::thread::sleep(Duration::from_secs(3));
    for mtu in [1400, 1280] {
        let before = now();
        wire.set(Direction::Both, &format!("mtu {mtu}"))?;
        std::thread::sleep(Duration::from_secs(6));
        let standstill = progress.longest_standstill(before - 200_000, now(), 20_000);
        let rate = progress.rate(now() - 2_000_000, now()) * 8.0;
        wire.zero()?;
        std::thread::sleep(Duration::from_secs(2));
        let passage = wire.passage(A)?;
        let mean = passage.passed_bytes / passage.passed.max(1);
        println!(
            "mtu {mtu}: standstill of {standstill:.0} ms, then {:.1} Mbit/s, frames of {mean} bytes on average, {} \
             too long in 2 s",
            rate / 1e6,
            passage.too_long
        );
        assert!(standstill <= 3.0 * RTT + 1000.0, "{standstill} ms");
        assert!(rate >= 30e6, "{rate} bit/s");
        // Found, and not far below: no more than one search, three probes of each size that does not pass.
        assert!(passage.too_long <= 3 * 8, "{} too long", passage.too_long);
        assert!(mean >= 600, "frames of {mean} bytes");
    }
    client.finish()?;
    // The other way has carried short packets only: that the path has narrowed shows with the first long ones.
    let size = ["-c", "200", "-M", "do", "-s", "1372"];
    let first = Ping::flood(&mesh.lab, A, overlay_v4(B), &size)?.wait(Duration::from_secs(60))?;
    println!("{first:?}");
    assert!(first.lost() <= 50, "{first:?}");
    full_pings(&mesh, 1400, 200)?;
    Ok(())
}

/// The MTU that the TAPs have, and `show interfaces` says so.
fn wait_for_tap_mtu(mesh: &Mesh, patience: Duration, right: impl Fn(u64) -> bool) -> Result<u64> {
    let mut mtu = 0;
    wait_until("the MTU of both TAPs", patience, || {
        for host in [A, B] {
            let kernel = mesh
                .lab
                .run(host, "cat", &["/sys/class/net/knet0/mtu"])
                .map_err(|e| e.to_string())?;
            let shown = mesh
                .daemon(host)
                .show("show interfaces")
                .map_err(|e| e.to_string())?;
            let row = rows(&shown)[0];
            mtu = row["mtu"].as_u64().unwrap_or_default();
            if !right(mtu) || kernel.trim() != mtu.to_string() || row["mtu_auto"] != true {
                return Err(format!("host {}: {kernel} in the kernel, {row} shown", host.0));
            }
        }
        Ok(())
    })?;
    Ok(mtu)
}

/// The frames that A has sent in pieces.
fn in_pieces(mesh: &Mesh) -> Result<u64> {
    let peers = mesh.daemon(A).show("show peers")?;
    let split = rows(&peers)[0]["pieces"]["split"].as_u64();
    split.ok_or_else(|| LabError::new(format!("`show peers` shows no pieces: {peers}")))
}

/// The link that limits the MTU, why, and the frames that went in pieces.
fn narrowest_link(mesh: &Mesh) -> Result<(String, u64)> {
    let links = mesh.daemon(A).show("show links")?;
    let narrow: Vec<_> = rows(&links)
        .into_iter()
        .filter(|l| l["narrows"] == true)
        .collect();
    assert_eq!(narrow.len(), 1, "{links}");
    let reason = narrow[0]["mtu_reason"].as_str().unwrap_or_default();
    Ok((reason.into(), in_pieces(mesh)?))
}

#[test]
fn mtu_auto_follows_the_path() -> Result<()> {
    needs_root!();
    let mesh = with_inner_mtu(Plan::wired(&["delay 5ms"]), "auto")?;
    wait_for_tap_mtu(&mesh, Duration::from_secs(5), |mtu| mtu == 1430)?;
    full_pings(&mesh, 1430, 100)?;
    let (reason, split) = narrowest_link(&mesh)?;
    assert_eq!((reason.as_str(), split), ("local interface 1500", 0));

    // The path shrinks under full packets, and nobody tells.
    let full = ["-i", "0.005", "-M", "do", "-s", "1402"];
    let mut pings = Vec::new();
    for (from, to) in [(A, B), (B, A)] {
        pings.push(Ping::start(&mesh.lab, from, overlay_v4(to), &full)?);
    }
    std::thread::sleep(Duration::from_millis(500));
    let began = now();
    mesh.lab.wire(NETWORK)?.set(Direction::Both, "mtu 1400")?;
    let mtu = wait_for_tap_mtu(&mesh, Duration::from_secs(6), |mtu| mtu < 1430)?;
    println!("MTU {mtu} after {} ms", (now() - began) / 1000);
    for pings in pings {
        println!("{:?}", pings.stop()?);
    }
    assert!((1280..=1330).contains(&mtu), "{mtu}");
    let (_, before) = narrowest_link(&mesh)?;
    full_pings(&mesh, mtu as u32, 500)?;
    let (reason, after) = narrowest_link(&mesh)?;
    assert_eq!(after, before, "full frames still go in pieces");
    assert!(reason.starts_with("path: 1400 passes"), "{reason}");

    // By hand and back: what was learned is followed again at once.
    for host in [A, B] {
        mesh.daemon(host).edit(&["interface knet0", "mtu 9000"])?;
    }
    full_pings(&mesh, 9000, 20)?;
    for host in [A, B] {
        mesh.daemon(host).edit(&["interface knet0", "mtu auto"])?;
    }
    wait_for_tap_mtu(&mesh, Duration::from_secs(5), |now| now == 1330)?;
    let history = mesh.daemon(A).show("show peer ams1 history")?.to_string();
    assert!(history.contains("MTU of the TAP 1400 -> 1430"), "{history}");
    assert!(
        history.contains(&format!("MTU of the TAP 1430 -> {mtu}")),
        "{history}"
    );
    Ok(())
}

#[test]
#[ignore = "takes more than a minute: scripts/lab mtu-raise"]
fn mtu_auto_rises_after_a_minute() -> Result<()> {
    needs_root!();
    let mesh = with_inner_mtu(Plan::wired(&["delay 5ms mtu 1400"]), "auto")?;
    wait_for_tap_mtu(&mesh, Duration::from_secs(5), |mtu| mtu == 1330)?;
    // A link that comes back is measured anew.
    let cut = Cut::Silent(A, NETWORK);
    mesh.lab.cut(&[cut])?;
    std::thread::sleep(Duration::from_secs(5));
    mesh.lab.wire(NETWORK)?.set(Direction::Both, "mtu 1500")?;
    mesh.lab.restore(&[cut])?;
    mesh.wait_until_all_up(Duration::from_secs(10))?;
    let began = now();
    wait_for_tap_mtu(&mesh, Duration::from_secs(90), |mtu| mtu == 1430)?;
    let waited = (now() - began) / 1_000_000;
    println!("raised {waited} s after the link was up again");
    assert!((58..=75).contains(&waited), "{waited} s");
    full_pings(&mesh, 1430, 100)?;
    Ok(())
}

#[test]
fn n33_forged_packet_too_big() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::start(Plan::default())?;
    let stranger = mesh.lab.add_host("stranger", &[NETWORK])?;
    std::thread::sleep(Duration::from_secs(4));
    let [victim, peer] = [A, B].map(|h| format!("{}:{PORT}", mesh.lab.address(h, NETWORK)));
    full_pings(&mesh, 1400, 1000)?;
    let before = in_pieces(&mesh)?;
    // One in six of these says that the next hop has an MTU of 68.
    let attacker = program("knet-lab-attacker")?;
    let forge = ["unreachable", &victim, &peer, "--count", "1200", "--rate", "600"];
    mesh.lab.run(stranger, &attacker.to_string_lossy(), &forge)?;
    full_pings(&mesh, 1400, 1000)?;
    assert_eq!((before, in_pieces(&mesh)?), (0, 0), "frames in pieces");
    assert!(mesh.links(A, B)?.iter().all(|l| l.is_up() && l.downs == 0));
    Ok(())
}

#[test]
fn n42_ipv6_only_underlay_of_1280_and_an_inner_mtu_of_1500() -> Result<()> {
    needs_root!();
    let plan = Plan {
        links: 2,
        family: Family::V6,
        underlay_mtu: 1280,
        ..Plan::default()
    };
    let mesh = with_inner_mtu(plan, 1500)?;
    let fragments = NoFragments::watch(&mesh, A)?;
    full_pings(&mesh, 1500, 1000)?;
    assert_lossless(flood(&mesh, 1000)?);
    let server = Server::start(&mesh.lab, B, overlay_v4(B))?;
    let measured = server.measure(&mesh.lab, A, 2, &[])?;
    println!("{measured:?}");
    assert!(measured.bits_per_second > 10e6, "{measured:?}");
    fragments.check()
}
