//! Links that die under a flood of pings: copies on all of them, and what their states tell.

use std::time::Duration;

use knet_tests::lab::{
    Cut, HostId, NetworkId, Result,
    mesh::{Mesh, Plan, overlay_v4},
    ping::Ping,
    switch::Datagrams,
    time::{now, wait_until},
};

use super::{A, B, assert_lossless, needs_root};

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
