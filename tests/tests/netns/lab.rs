//! The laboratory itself, without knet: cuts cut, restoring restores, gaps are measured right, and nothing is
//! left behind.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use knet_tests::lab::{
    self, Cut, Family, HostId, Lab, NetworkId, Result, capture::EchoCapture, ping::Ping, process, time::now,
};

fn two_hosts(family: Family) -> Result<(Lab, HostId, HostId, NetworkId)> {
    let mut lab = Lab::new()?;
    let network = lab.add_network(family, 1500)?;
    let a = lab.add_host("left", &[network])?;
    let b = lab.add_host("right", &[network])?;
    Ok((lab, a, b, network))
}

/// Floods for two seconds with 500 ms of `cut` in the middle, and returns the longest gap in milliseconds.
fn gap_of(lab: &Lab, host: HostId, other: HostId, network: NetworkId, cut: Cut) -> Result<f64> {
    let target = lab.address(other, network);
    let capture = EchoCapture::start(lab, host, &Lab::device(network))?;
    let begin = now();
    let flood = Ping::flood(lab, host, target, &[])?;
    std::thread::sleep(Duration::from_millis(700));
    lab.cut(&[cut])?;
    std::thread::sleep(Duration::from_millis(480));
    lab.restore(&[cut])?;
    std::thread::sleep(Duration::from_millis(800));
    let report = flood.stop()?;
    let record = capture.stop()?;
    let summary = record.with(target).next().expect("a flood").summary(begin, now());
    assert_eq!(
        summary.sent, report.sent,
        "the capture and ping count the same requests"
    );
    assert!(summary.answered - report.received <= 1, "{summary:?} {report:?}");
    assert!(report.sent > 1000, "{report:?}");
    assert!(
        (20..100).contains(&report.lost()),
        "ping -f sends every 10 ms while nothing comes: {report:?}"
    );
    assert_eq!((report.duplicates, report.errors), (0, 0));
    Ok(summary.longest_gap.millis())
}

fn carrier(lab: &Lab, host: HostId, network: NetworkId) -> Result<bool> {
    Ok(!lab
        .run(host, "ip", &["link", "show", &Lab::device(network)])?
        .contains("NO-CARRIER"))
}

#[test]
fn silent_cuts_are_silent_and_their_gap_is_measured() -> Result<()> {
    if !lab::can_run() {
        return Ok(());
    }
    let (lab, a, b, network) = two_hosts(Family::Dual)?;
    for cut in [
        Cut::Silent(a, network),
        Cut::SilentFrom(a, network),
        Cut::SilentTo(a, network),
        Cut::Silent(b, network),
    ] {
        let gap = gap_of(&lab, a, b, network, cut)?;
        assert!((490.0..600.0).contains(&gap), "{cut:?}: {gap} ms");
        lab.cut(&[cut])?;
        assert!(
            carrier(&lab, a, network)? && carrier(&lab, b, network)?,
            "{cut:?} must not be seen"
        );
        lab.restore(&[cut])?;
    }
    Ok(())
}

#[test]
fn ipv6_only_underlay() -> Result<()> {
    if !lab::can_run() {
        return Ok(());
    }
    let (lab, a, b, network) = two_hosts(Family::V6)?;
    assert!(lab.address(b, network).is_ipv6());
    let gap = gap_of(&lab, a, b, network, Cut::Silent(a, network))?;
    assert!((490.0..600.0).contains(&gap), "{gap} ms");
    Ok(())
}

#[test]
fn carrier_loss_is_seen_by_one_host_only() -> Result<()> {
    if !lab::can_run() {
        return Ok(());
    }
    let (lab, a, b, network) = two_hosts(Family::V4)?;
    lab.cut(&[Cut::Carrier(a, network)])?;
    assert!(!carrier(&lab, a, network)? && carrier(&lab, b, network)?);
    lab.restore(&[Cut::Carrier(a, network)])?;
    assert!(carrier(&lab, a, network)?);
    let report = Ping::start(&lab, a, lab.address(b, network), &["-c", "3", "-i", "0.01"])?
        .wait(Duration::from_secs(15))?;
    assert_eq!(report.received, 3);
    Ok(())
}

#[test]
fn datagrams_are_counted_at_the_port() -> Result<()> {
    if !lab::can_run() {
        return Ok(());
    }
    let (lab, a, b, network) = two_hosts(Family::V4)?;
    let target = lab.address(b, network);
    let send = format!("for i in 1 2 3; do echo x > /dev/udp/{target}/9; done");
    lab.run(a, "bash", &["-c", &send])?;
    assert_eq!(lab.datagrams(a, network)?.from_host, 3);
    assert_eq!(lab.datagrams(b, network)?.to_host, 3);
    lab.cut(&[Cut::SilentFrom(a, network)])?;
    lab.run(a, "bash", &["-c", &send])?;
    assert_eq!(
        lab.datagrams(a, network)?.from_host,
        6,
        "sending is counted although it is cut off"
    );
    assert_eq!(lab.datagrams(b, network)?.to_host, 3);
    Ok(())
}

fn traces(name: &str) -> Result<String> {
    let namespaces = process::run("ip", &["netns", "list"])?;
    let mut left: Vec<String> = namespaces
        .lines()
        .filter(|l| l.starts_with(name))
        .map(str::to_owned)
        .collect();
    left.extend(
        std::env::temp_dir()
            .join(format!("knet-lab-{name}"))
            .exists()
            .then(|| "directory".into()),
    );
    Ok(left.join(" "))
}

#[test]
fn nothing_is_left_after_a_drop_or_a_panic() -> Result<()> {
    if !lab::can_run() {
        return Ok(());
    }
    let (lab, a, _, _) = two_hosts(Family::V4)?;
    let name = lab.name().to_owned();
    let mut sleeper = process::Process::spawn(lab.command(a, "sleep").arg("1000"))?;
    assert_ne!(traces(&name)?, "");
    drop(lab);
    assert_eq!(traces(&name)?, "");
    sleeper.wait(Duration::from_secs(1))?;

    let (lab, _, _, _) = two_hosts(Family::V4)?;
    let name = lab.name().to_owned();
    let panicked = std::thread::spawn(move || {
        let _owner = lab;
        panic!("as a failing assertion does");
    });
    assert!(panicked.join().is_err());
    assert_eq!(traces(&name)?, "");
    Ok(())
}

/// Not a test of its own: the process that the next test kills.
#[test]
#[ignore = "runs for ever; the next test starts and kills it"]
fn a_laboratory_that_waits_to_be_killed() -> Result<()> {
    let (lab, a, _, _) = two_hosts(Family::V4)?;
    let _sleeper = process::Process::spawn(lab.command(a, "sleep").arg("1000"))?;
    std::fs::write(
        std::env::var("KNET_LAB_NAME_TO").expect("set by the caller"),
        lab.name(),
    )?;
    std::thread::sleep(Duration::from_secs(1000));
    Ok(())
}

#[test]
fn nothing_is_left_after_a_signal() -> Result<()> {
    if !lab::can_run() {
        return Ok(());
    }
    for signal in ["INT", "TERM", "KILL"] {
        let note = std::env::temp_dir().join(format!("knet-lab-note-{}", std::process::id()));
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args([
                "--exact",
                "lab::a_laboratory_that_waits_to_be_killed",
                "--ignored",
            ])
            .env("KNET_LAB_NAME_TO", &note)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut victim = process::Process::spawn(&mut command)?;
        let name = lab::time::wait_until("the laboratory", Duration::from_secs(10), || {
            std::fs::read_to_string(&note)
                .map_err(|e| e.to_string())
                .and_then(|n| if n.is_empty() { Err("empty".into()) } else { Ok(n) })
        })?;
        std::fs::remove_file(&note)?;
        assert_ne!(traces(&name)?, "");
        victim.signal(signal)?;
        victim.wait(Duration::from_secs(5))?;
        lab::time::wait_until(signal, Duration::from_secs(5), || match traces(&name) {
            Ok(left) if left.is_empty() => Ok(()),
            Ok(left) => Err(left),
            Err(e) => Err(e.to_string()),
        })?;
    }
    Ok(())
}
