//! One configuration file for all hosts.

use std::{fmt::Write as _, fs, time::Duration};

use knet_tests::lab::{
    HostId, NetworkId, Result,
    daemon::{KeyPair, write_secret},
    mesh::{Mesh, NAMES, Plan, overlay_v4},
    ping::Ping,
};

use super::{A, needs_root};

/// The file: the same on each host. Its length is the promise: some twenty lines for four hosts.
fn file(mesh: &Mesh, keys: &[KeyPair]) -> String {
    let mut text = String::from(
        "interface knet0\n private-key file knet0.key\n mesh rhine\n  policy active\n  link 0 priority 200\n",
    );
    for (n, pair) in keys.iter().enumerate() {
        let host = HostId(n);
        let _ = writeln!(
            text,
            "  member {} public-key {}",
            mesh.lab.host_name(host),
            pair.public
        );
        let _ = writeln!(text, "   ip address {}/24", overlay_v4(host));
        for network in 0..mesh.plan.links {
            let _ = writeln!(
                text,
                "   link {network} {}",
                mesh.lab.address(host, NetworkId(network))
            );
        }
    }
    text
}

#[test]
fn four_hosts_have_one_file() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::build(Plan {
        hosts: 4,
        links: 2,
        ..Plan::default()
    })?;
    let keys = (0..4).map(|_| KeyPair::generate()).collect::<Result<Vec<_>>>()?;
    let text = file(&mesh, &keys) + "!\nhost lon1\n interface knet0\n  mtu 1350\n";
    assert!(text.lines().count() <= 26, "{text}");
    for (n, pair) in keys.iter().enumerate() {
        let host = HostId(n);
        write_secret(&mesh.lab.host_directory(host).join("knet0.key"), &pair.private)?;
        let daemon = &mut mesh.daemons[n];
        daemon.configure(&text)?;
        daemon.arguments = vec!["--host".into(), NAMES[n].into()];
        daemon.spawn(&mesh.lab)?;
    }
    for daemon in &mut mesh.daemons {
        daemon.wait_until_it_answers()?;
    }
    mesh.wait_until_all_up(Duration::from_secs(20))?;
    for (from, to) in [(0, 1), (1, 2), (2, 3), (3, 0)] {
        let ping = Ping::start(
            &mesh.lab,
            HostId(from),
            overlay_v4(HostId(to)),
            &["-c", "3", "-i", "0.2"],
        )?;
        let report = ping.wait(Duration::from_secs(10))?;
        assert_eq!(report.received, 3, "{from} to {to}: {report:?}");
    }

    // On each it is shown as it was written, and can be seen as it is on that host.
    let shown = |host: usize, what: &str| -> Result<String> {
        let answer = mesh.daemons[host].show(what)?;
        Ok(answer["running_config"].as_str().unwrap_or_default().to_owned())
    };
    let settings = |text: &str| {
        let lines = text.lines().map(str::trim).filter(|line| *line != "!");
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.sort();
        lines
    };
    for host in 0..4 {
        assert_eq!(settings(&shown(host, "show running-config")?), settings(&text));
        let expanded = shown(host, "show running-config expanded")?;
        assert_eq!(expanded.matches(" peer ").count(), 3, "{expanded}");
        assert!(
            !expanded.contains("mesh") && !expanded.contains("host "),
            "{expanded}"
        );
        assert_eq!(expanded.contains("mtu 1350"), host == 2, "{expanded}");
        assert_eq!(
            mesh.daemons[host].show("show interfaces")?["interfaces"][0]["mtu"] == 1350,
            host == 2
        );
    }

    // A line for all in the shell of one changes its part of the mesh, and is written back as one.
    mesh.daemons[0].edit(&[
        "interface knet0",
        "mesh rhine",
        "link 0 priority 50",
        "do write memory",
    ])?;
    let written = fs::read_to_string(mesh.lab.host_directory(A).join("knetd.conf"))?;
    assert_eq!(
        settings(&written),
        settings(&text.replace("priority 200", "priority 50"))
    );
    assert!(
        shown(0, "show running-config expanded")?
            .matches("priority 50")
            .count()
            == 3
    );
    mesh.wait_until_all_up(Duration::from_secs(10))?;
    Ok(())
}

#[test]
fn mistakes_in_the_file_for_all_have_a_place() -> Result<()> {
    needs_root!();
    let mesh = Mesh::build(Plan {
        links: 2,
        ..Plan::default()
    })?;
    let keys = (0..2).map(|_| KeyPair::generate()).collect::<Result<Vec<_>>>()?;
    let text = file(&mesh, &keys);
    let check = |text: &str, host: &str| -> Result<(bool, String)> {
        let path = mesh.lab.host_directory(A).join("knetd.conf");
        fs::write(&path, text)?;
        let output = std::process::Command::new(knet_tests::lab::program("knetd")?)
            .args(["--check", "--host", host, "--config"])
            .arg(path)
            .output()?;
        Ok((
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    };
    assert!(check(&text, "fra1")?.0);
    let a = mesh.lab.address(A, NetworkId(0)).to_string();
    let same_key = text.replace(&keys[1].public, &keys[0].public);
    let expected_key = same_key
        .lines()
        .position(|line| line.contains("member fra1"))
        .unwrap_or(0)
        + 1;
    let other_family = text.replace(&format!("link 0 {a}\n"), "link 0 2001:db8::1\n");
    let expected_link = other_family
        .lines()
        .position(|line| line.contains("2001:db8::1"))
        .unwrap_or(0)
        + 1;
    for (text, host, line, part) in [
        (same_key, "fra1", expected_key, "same public key"),
        (other_family, "fra1", expected_link, "which is IPv4"),
        (
            text.clone() + "host ams1\n interface knet0\n  peer fra1\n   link 7 priority 3\n",
            "fra1",
            0,
            "there is no link 7",
        ),
        (
            text.clone() + "host ams1\n interface knet0\n  mtu 99\n",
            "fra1",
            0,
            "99 is out of range",
        ),
        (text.clone(), "vie1", 0, "no lines for this host, vie1"),
    ] {
        let (sound, told) = check(&text, host)?;
        assert!(!sound && told.contains(part), "{part}: {told}");
        if line > 0 {
            assert!(told.contains(&format!("line {line}, column ")), "{line}: {told}");
        }
    }
    Ok(())
}
