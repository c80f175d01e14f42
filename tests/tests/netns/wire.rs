//! `knet-wire` against real kernels: what was asked for is what happens.

use std::{net::IpAddr, time::Duration};

use knet_tests::lab::{
    Cut, Family, Lab, NetworkId, Result, capture::EchoCapture, ping::Ping, stream::Server, time::wait_until,
    wire::Direction,
};

use super::{A, B, assert_lossless, needs_root};

const WIRE: NetworkId = NetworkId(0);

fn two_hosts(family: Family) -> Result<Lab> {
    let mut lab = Lab::new()?;
    let networks = [lab.add_wire(family, 1500), lab.add_wire(family, 1500)];
    lab.add_host("left", &networks)?;
    lab.add_host("right", &networks)?;
    lab.start_wires()?;
    Ok(lab)
}

fn ping(lab: &Lab, arguments: &[&str]) -> Result<knet_tests::lab::ping::PingReport> {
    Ping::start(lab, A, lab.address(B, WIRE), arguments)?.wait(Duration::from_secs(60))
}

/// Round-trip times in milliseconds of those of 200 pings, 10 ms apart, that were answered.
fn round_trips(lab: &Lab, target: IpAddr) -> Result<Vec<f64>> {
    let capture = EchoCapture::start(lab, A, &Lab::device(WIRE))?;
    ping(lab, &["-i", "0.01", "-c", "200", "-W", "1"])?;
    let echoes = capture.stop()?.echoes(target);
    let times = echoes
        .iter()
        .filter_map(|e| Some((e.answered? - e.sent) as f64 / 1000.0));
    Ok(times.collect())
}

#[test]
fn delay_and_jitter() -> Result<()> {
    needs_root!();
    let lab = two_hosts(Family::Dual)?;
    let target = lab.address(B, WIRE);
    // The neighbour is known then.
    assert_lossless(ping(&lab, &["-c", "1"])?);
    lab.wire(WIRE)?.set(Direction::Both, "delay 20ms jitter 4ms")?;
    let mut times = round_trips(&lab, target)?;
    assert_eq!(times.len(), 200);
    times.sort_by(f64::total_cmp);
    let (least, middle, most) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    println!("round trips: {least} to {most} ms, median {middle} ms");
    assert!(least >= 40.0, "{least} ms");
    // 2 ms of jitter on average in each direction.
    assert!((43.0..46.5).contains(&middle), "{middle} ms");
    // The other wire is a cable still.
    let other = Ping::flood(&lab, A, lab.address(B, NetworkId(1)), &["-c", "500"])?;
    assert_lossless(other.wait(Duration::from_secs(10))?);
    Ok(())
}

#[test]
fn loss_copies_and_damage() -> Result<()> {
    needs_root!();
    const PINGS: u64 = 4000;
    let lab = two_hosts(Family::V4)?;
    let wire = lab.wire(WIRE)?;
    let count = PINGS.to_string();
    assert_lossless(ping(&lab, &["-f", "-c", &count])?);

    wire.set(Direction::From(B), "loss 5")?;
    let before = wire.passage(B)?;
    let report = ping(&lab, &["-f", "-c", &count])?;
    let lost = wire.passage(B)?.lost - before.lost;
    println!("{report:?}, {lost} lost by the wire");
    assert!(
        report.lost().abs_diff(lost) <= 1,
        "{report:?}, {lost} lost by the wire"
    );
    // 5 % and four standard deviations.
    assert!((145..=255).contains(&lost), "{lost} of {PINGS} lost");
    assert_eq!(wire.passage(A)?.lost, 0, "only one direction loses");

    wire.set(Direction::Both, "clear")?;
    wire.set(Direction::From(A), "duplicate 10")?;
    let report = ping(&lab, &["-f", "-c", &count])?;
    assert_eq!(report.lost(), 0);
    assert!((320..=480).contains(&report.duplicates), "{report:?}");

    // ICMP's checksum does not see words that have changed places, but `ping` compares the data.
    wire.set(Direction::Both, "clear")?;
    wire.set(Direction::From(A), "corrupt 100")?;
    let text = lab.run(
        A,
        "ping",
        &["-n", "-c", "2", "-i", "0.01", &lab.address(B, WIRE).to_string()],
    )?;
    assert!(text.contains("wrong data byte"), "{text}");
    Ok(())
}

fn assert_rate(measured: f64, expected: f64) {
    assert!(
        (measured / expected - 1.0).abs() < 0.05,
        "{measured} of {expected} bit/s"
    );
}

#[test]
fn rate_and_queue() -> Result<()> {
    needs_root!();
    let lab = two_hosts(Family::V4)?;
    let wire = lab.wire(WIRE)?;
    wire.set(Direction::Both, "rate 50mbit queue 20ms")?;
    let target = lab.address(B, WIRE);
    let server = Server::start(&lab, B, target)?;
    // TCP is content with the rate, UDP is not and fills the queue.
    let tcp = server.measure(&lab, A, 2, &[])?;
    assert_rate(tcp.bits_per_second, 50e6 * 1448.0 / 1514.0);
    let client = server.send_from(&lab, A, 4, &["-u", "-b", "80M", "-l", "1400"])?;
    std::thread::sleep(Duration::from_millis(1500));
    let mut times = round_trips(&lab, target)?;
    let udp = client.finish()?;
    assert_rate(udp.bits_per_second, 50e6 * 1400.0 / 1442.0);
    assert!(wire.passage(A)?.queue_full > 0);
    times.sort_by(f64::total_cmp);
    let middle = times[times.len() / 2];
    println!("{tcp:?}, {udp:?}; median round trip through the full queue {middle} ms");
    assert!((18.0..23.0).contains(&middle), "{middle} ms");
    Ok(())
}

#[test]
fn a_shorter_mtu_is_silent() -> Result<()> {
    needs_root!();
    let lab = two_hosts(Family::V4)?;
    lab.wire(WIRE)?.set(Direction::Both, "mtu 1400")?;
    let full = |size: &str| ping(&lab, &["-f", "-c", "20", "-M", "do", "-s", size, "-W", "1"]);
    assert_lossless(full("1372")?);
    let report = full("1373")?;
    assert_eq!((report.received, report.errors), (0, 0), "{report:?}");
    assert_eq!(lab.wire(WIRE)?.passage(A)?.too_long, 20);
    Ok(())
}

/// A cut may have made the kernel doubt its neighbour, and look for it anew.
fn find_neighbours(lab: &Lab) -> Result<()> {
    wait_until("an answered ping", Duration::from_secs(10), || {
        match ping(lab, &["-c", "1", "-W", "1"]) {
            Ok(report) if report.received == 1 => Ok(()),
            Ok(report) => Err(format!("{report:?}")),
            Err(error) => Err(error.to_string()),
        }
    })
}

fn carrier(lab: &Lab, host: knet_tests::lab::HostId) -> Result<bool> {
    let shown = lab.run(host, "ip", &["link", "show", &Lab::device(WIRE)])?;
    Ok(!shown.contains("NO-CARRIER"))
}

#[test]
fn cuts_and_carriers() -> Result<()> {
    needs_root!();
    let lab = two_hosts(Family::V6)?;
    find_neighbours(&lab)?;
    for (cut, from_a, from_b) in [
        (Cut::Silent(B, WIRE), true, true),
        (Cut::SilentFrom(A, WIRE), true, false),
        (Cut::SilentTo(A, WIRE), false, true),
        (Cut::SilentFrom(B, WIRE), false, true),
    ] {
        let wire = lab.wire(WIRE)?;
        wire.zero()?;
        lab.cut(&[cut])?;
        let report = ping(&lab, &["-f", "-c", "20", "-W", "1"])?;
        assert_eq!(report.received, 0, "{cut:?}");
        assert!(carrier(&lab, A)? && carrier(&lab, B)?, "{cut:?} must not be seen");
        let cut_off = [wire.passage(A)?.cut > 0, wire.passage(B)?.cut > 0];
        // Nothing comes back where nothing arrives, so that the way back is not always tried.
        assert_eq!(cut_off[0], from_a, "{cut:?}");
        assert!(from_b || !cut_off[1], "{cut:?}");
        lab.restore(&[cut])?;
        find_neighbours(&lab)?;
        assert_lossless(ping(&lab, &["-f", "-c", "20"])?);
    }
    lab.cut(&[Cut::Carrier(A, WIRE)])?;
    assert!(!carrier(&lab, A)? && carrier(&lab, B)?);
    lab.restore(&[Cut::Carrier(A, WIRE)])?;
    assert!(carrier(&lab, A)?);
    find_neighbours(&lab)?;
    let error = lab
        .wire(WIRE)?
        .set(Direction::Both, "losss 5")
        .expect_err("a typing error");
    assert!(error.to_string().contains("losss"), "{error}");
    Ok(())
}
