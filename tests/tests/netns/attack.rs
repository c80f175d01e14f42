//! What strangers on the underlay can do: nothing.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use knet_tests::lab::{
    HostId, Lab, LabError, NetworkId, Result,
    capture::Tcpdump,
    mesh::{Mesh, PORT, Plan, overlay_v4},
    monitor::Monitor,
    ping::Ping,
    process::Process,
    program,
    time::{now, wait_until},
};

use super::{A, B, assert_lossless, flood, needs_root};

const NETWORK: NetworkId = NetworkId(0);

fn attack(lab: &Lab, from: HostId, arguments: &[&str]) -> Result<String> {
    lab.run(from, &program("knet-lab-attacker")?.to_string_lossy(), arguments)
}

/// Datagrams dropped; `no-port` is about frames of this host (multicast before there was a session).
fn total(drops: &BTreeMap<String, u64>) -> u64 {
    drops
        .iter()
        .filter(|(reason, _)| *reason != "no-port")
        .map(|(_, count)| count)
        .sum()
}

#[test]
fn n28_unknown_and_garbage_datagrams_get_no_reply() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::start(Plan::default())?;
    let stranger = mesh.lab.add_host("stranger", &[NETWORK])?;
    assert_lossless(flood(&mesh, 200)?);
    let victim = format!("{}:{PORT}", mesh.lab.address(A, NETWORK));
    let ours = mesh.lab.address(stranger, NETWORK);
    let answers = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&answers);
    let count = Box::new(move |_, _: &[u8]| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let filter = format!("(ip or ip6) and not src host {ours} and not ip6 multicast");
    let capture = Tcpdump::start(&mesh.lab, stranger, &Lab::device(NETWORK), &filter, count)?;
    let before = mesh.daemon(A).drops()?;
    let said = attack(&mesh.lab, stranger, &["garbage", &victim])?;
    println!("{}", said.trim());
    capture.stop()?;
    let sent: u64 = said
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("sent N");
    assert!(said.contains("replies 0"), "{said}");
    assert_eq!(
        answers.load(Ordering::Relaxed),
        0,
        "datagrams or ICMP errors to the stranger"
    );
    assert_eq!(mesh.lab.datagrams(stranger, NETWORK)?.to_host, 0);
    // Each is counted under a reason, and nothing else happened.
    let after = mesh.daemon(A).drops()?;
    println!("{after:?}");
    assert_eq!(
        total(&after) - total(&before),
        sent,
        "before {before:?}, after {after:?}"
    );
    assert_lossless(flood(&mesh, 1000)?);
    assert!(mesh.links(A, B)?.iter().all(|l| l.is_up() && l.downs == 0));
    Ok(())
}

#[test]
fn n30_spoofed_icmp_unreachable_does_not_kill_a_link() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::start(Plan {
        links: 2,
        ..Plan::default()
    })?;
    let stranger = mesh.lab.add_host("stranger", &[NETWORK])?;
    let [victim, peer] = [A, B].map(|h| format!("{}:{PORT}", mesh.lab.address(h, NETWORK)));
    let monitor = Monitor::start(mesh.daemon(A))?;
    // The path MTU is found by then.
    std::thread::sleep(Duration::from_secs(3));
    let events_before = monitor.events().len();

    // On an idle link: state stays, and at most ten probes per second are provoked.
    let sent_before = mesh.lab.datagrams(A, NETWORK)?.from_host;
    let began = now();
    attack(
        &mesh.lab,
        stranger,
        &["unreachable", &victim, &peer, "--count", "3000", "--rate", "1000"],
    )?;
    let probes = mesh.lab.datagrams(A, NETWORK)?.from_host - sent_before;
    let seconds = (now() - began) as f64 / 1e6;
    println!("{probes} datagrams in {seconds:.1} s of forged errors");
    // Beside those, each second: a heartbeat, an answer to a heartbeat, and the path MTU is proven again.
    let bound = (seconds + 1.0) * (10.0 + 3.0);
    assert!((probes as f64) <= bound, "{probes} datagrams in {seconds} s");

    // Under a flood: nothing is lost, not even through a forged `fragmentation needed`.
    let flood = Ping::flood(&mesh.lab, A, overlay_v4(B), &["-c", "20000", "-s", "1300"])?;
    attack(
        &mesh.lab,
        stranger,
        &["unreachable", &victim, &peer, "--count", "1500", "--rate", "1000"],
    )?;
    assert_lossless(flood.wait(Duration::from_secs(60))?);
    let told: Vec<_> = monitor.events().split_off(events_before);
    // A busy machine alone can make a link suspect; errors must not, and nothing may take it down.
    let changes: Vec<_> = told
        .iter()
        .filter(|e| {
            matches!(e.detail("to"), Some("down" | "local-down")) || e.detail("reason") == Some("send-error")
        })
        .map(|e| &e.text)
        .collect();
    assert!(changes.is_empty(), "{changes:?}");
    assert!(mesh.links(A, B)?.iter().all(|l| l.is_up() && l.downs == 0));
    assert_eq!(mesh.link_in_use(A, B)?, 0);
    Ok(())
}

/// The relay of the attacker between A and B, on a host of its own.
struct Relay {
    process: Process,
    lines: BufReader<std::process::ChildStdout>,
}

impl Relay {
    fn start(mesh: &Mesh, host: HostId, count: u64) -> Result<Self> {
        let at = |h: HostId, port: u16| format!("{}:{port}", mesh.lab.address(h, NETWORK));
        let mut command = mesh.lab.command(host, program("knet-lab-attacker")?);
        command
            .args([
                "relay",
                &at(host, 7701),
                &at(A, PORT),
                &at(host, 7702),
                &at(B, PORT),
            ])
            .args(["--count", &count.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command)?;
        let stdout = process
            .pipes()
            .stdout
            .take()
            .ok_or_else(|| LabError::new("the relay has no pipe"))?;
        Ok(Self {
            process,
            lines: BufReader::new(stdout),
        })
    }

    /// Waits until both directions have had all their damaged copies.
    fn wait(&mut self) -> Result<()> {
        for _ in 0..2 {
            let mut line = String::new();
            self.lines.read_line(&mut line)?;
            if !line.starts_with("damaged ") {
                return Err(LabError::new(format!(
                    "the relay ended; it runs: {}",
                    self.process.is_running()
                )));
            }
        }
        Ok(())
    }
}

#[test]
fn n31_damaged_datagrams_are_all_dropped_and_counted() -> Result<()> {
    needs_root!();
    const DAMAGED: u64 = 4000;
    let mut mesh = Mesh::build(Plan::default())?;
    let relay_host = mesh.lab.add_host("relay", &[NETWORK])?;
    let relay_address = mesh.lab.address(relay_host, NETWORK);
    for (host, port) in [(A, 7701), (B, 7702)] {
        mesh.configs[host.0].interfaces[0].peers[0].links[0].remote = Some((relay_address, port).into());
    }
    mesh.start_all()?;
    // From the first handshake on: there is no other way. Not before both hosts listen, for what comes then is counted
    // nowhere.
    let mut relay = Relay::start(&mesh, relay_host, DAMAGED)?;
    mesh.wait_until_all_up(Duration::from_secs(30))?;
    // Slow enough for any limit on forgeries per second not to act.
    let ping = Ping::start(&mesh.lab, A, overlay_v4(B), &["-i", "0.003", "-c", "5000"])?;
    relay.wait()?;
    let report = ping.wait(Duration::from_secs(60))?;
    assert_lossless(report);
    for host in [A, B] {
        wait_until("all are counted", Duration::from_secs(3), || {
            let drops = mesh.daemon(host).drops().map_err(|e| e.to_string())?;
            if total(&drops) == DAMAGED {
                Ok(())
            } else {
                Err(format!("{} of {DAMAGED}: {drops:?}", total(&drops)))
            }
        })?;
        println!("{:?}", mesh.daemon(host).drops()?);
    }
    assert!(mesh.links(A, B)?.iter().all(|l| l.is_up() && l.downs == 0));
    Ok(())
}
