//! Several workers share an interface: every flow keeps its order whoever reads it, nothing comes to the wrong one, and
//! cuts cost no more than with one.

use std::time::Duration;

use knet_tests::lab::{
    Cut, HostId, LabError, Result,
    daemon::rows,
    mesh::{Mesh, Plan, overlay_v4},
    ping::Ping,
    stream::Server,
    time::wait_until,
};
use serde_json::Value;

use super::{
    A, B, assert_lossless, count_or,
    cuts::{CARRIER_GAP, Promise, SILENT_GAP, cut_again_and_again},
    flood_to, needs_root,
};

const C: HostId = HostId(2);

/// Three hosts, so that each has a peer at either of its workers.
fn three() -> Plan {
    Plan {
        hosts: 3,
        workers: Some(2),
        ..Plan::default()
    }
}

/// What the workers of `host` have done.
fn workers(mesh: &Mesh, host: HostId) -> Result<Vec<Value>> {
    let shown = mesh.daemon(host).show("show interfaces knet0")?;
    let interface = &shown["interfaces"][0];
    let workers: Vec<Value> = rows(&interface["workers"]).into_iter().cloned().collect();
    if workers.is_empty() || interface["workers_auto"] != Value::Bool(false) {
        return Err(LabError::new(format!("not as configured: {shown}")));
    }
    Ok(workers)
}

fn packets(workers: &[Value], field: &str) -> u64 {
    workers.iter().filter_map(|w| w[field]["packets"].as_u64()).sum()
}

/// All datagrams came to whom they were for, and what was handed over has been taken. Returns how many frames were.
pub(super) fn assert_orderly(mesh: &Mesh, host: HostId) -> Result<u64> {
    let workers = workers(mesh, host)?;
    assert_eq!(packets(&workers, "strays"), 0, "{workers:?}");
    assert_eq!(
        packets(&workers, "handed"),
        packets(&workers, "taken"),
        "{workers:?}"
    );
    assert_eq!(mesh.daemon(host).drops()?.get("handover-full"), None);
    Ok(packets(&workers, "handed"))
}

/// COUNT: cuts.
#[test]
fn cuts_lose_nothing_with_two_workers() -> Result<()> {
    needs_root!();
    let plan = |policy| Plan {
        links: 4,
        policy,
        workers: Some(2),
        ..Plan::default()
    };
    let lossless = |gap| Promise { gap, lossless: true };
    cut_again_and_again(
        &plan("passive"),
        count_or(3),
        lossless(SILENT_GAP),
        |_, network| Cut::Silent(A, network),
    )?;
    cut_again_and_again(
        &plan("active"),
        count_or(3),
        lossless(CARRIER_GAP),
        |_, network| Cut::Carrier(B, network),
    )
}

/// Each host has one peer at each worker: frames that were read by the other one are handed over.
#[test]
fn peers_of_both_workers_are_reached() -> Result<()> {
    needs_root!();
    let mesh = Mesh::start(three())?;
    for host in [A, B, C] {
        let peers: Vec<_> = workers(&mesh, host)?
            .iter()
            .map(|w| w["peers_up"].as_u64())
            .collect();
        assert_eq!(peers, [Some(1), Some(1)], "{}", mesh.lab.host_name(host));
    }
    // Each pair of addresses is a flow of its own: which worker reads it is chance, and the same for ever.
    for target in [B, C] {
        assert_lossless(flood_to(&mesh, target, 2000)?);
    }
    for host in [A, B, C] {
        assert_orderly(&mesh, host)?;
    }
    Ok(())
}

/// What sixteen flows in each direction between two hosts have come to.
fn sixteen_flows(mesh: &Mesh, one: HostId, other: HostId) -> Result<()> {
    let start = |host| Server::start(&mesh.lab, host, overlay_v4(host));
    let (at_one, at_other) = (start(one)?, start(other)?);
    let flows = ["-u", "-P", "16", "-b", "1M", "-l", "300"];
    let seconds = count_or(3) as u32;
    let there = at_other.send_from(&mesh.lab, one, seconds, &flows)?;
    let back = at_one.send_from(&mesh.lab, other, seconds, &flows)?;
    for measured in [there.finish()?, back.finish()?] {
        println!("{measured:?}");
        assert!(measured.datagrams > 15_000, "{measured:?}");
        assert_eq!(measured.out_of_order, 0, "{measured:?}");
        // Without a queue that is full, nothing is lost either; a machine that stands still may fill one.
        assert!(measured.lost < measured.datagrams / 20, "{measured:?}");
    }
    Ok(())
}

/// COUNT: seconds.
#[test]
fn sixteen_flows_both_ways_keep_their_order() -> Result<()> {
    needs_root!();
    let mesh = Mesh::start(three())?;
    // B is at A's first worker, C at its second.
    for peer in [B, C] {
        sixteen_flows(&mesh, A, peer)?;
    }
    for host in [A, B, C] {
        let handed = assert_orderly(&mesh, host)?;
        println!("{}: {handed} frames handed over", mesh.lab.host_name(host));
        assert!(handed > 1000, "about half of what was read from the TAP");
    }
    Ok(())
}

/// The spokes of a hub are at different workers of it: all that it relays is handed over.
#[test]
fn a_hub_relays_between_peers_of_different_workers() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::build(three())?;
    let hub = mesh.lab.host_name(C).to_owned();
    for spoke in [A, B] {
        mesh.configs[spoke.0].interfaces[0]
            .peers
            .retain(|p| p.name == hub);
    }
    for peer in &mut mesh.configs[C.0].interfaces[0].peers {
        peer.lines.push("spoke".into());
    }
    mesh.start_all()?;
    super::wait_for_answer(&mesh, Duration::from_secs(20))?;
    sixteen_flows(&mesh, A, B)?;
    let server = Server::start(&mesh.lab, B, overlay_v4(B))?;
    for arguments in [&[][..], &["-R"]] {
        let measured = server.measure(&mesh.lab, A, 1, arguments)?;
        println!("{measured:?}");
        assert!(measured.bits_per_second > 1e8, "{measured:?}");
    }
    let shown = mesh.daemon(C).show("show interfaces knet0")?;
    let relayed = shown["interfaces"][0]["relayed"]["packets"].as_u64().unwrap_or(0);
    let drops = mesh.daemon(C).drops()?;
    println!("{relayed} relayed; drops of the hub: {drops:?}");
    let workers = workers(&mesh, C)?;
    assert_eq!(packets(&workers, "strays"), 0, "{workers:?}");
    assert!(relayed > 20_000, "{shown}");
    Ok(())
}

/// A change of the number starts this interface afresh and no other, and the one that is told is the one that is.
#[test]
fn the_number_of_workers_can_be_changed() -> Result<()> {
    needs_root!();
    let mesh = Mesh::start(three())?;
    let threads = |host| -> Result<usize> {
        let id = mesh.daemon(host).id().unwrap_or(0);
        let tasks = std::fs::read_dir(format!("/proc/{id}/task"))?;
        let names = tasks.filter_map(|t| std::fs::read_to_string(t.ok()?.path().join("comm")).ok());
        Ok(names.filter(|n| n.starts_with("data-knet0")).count())
    };
    for (line, expected) in [
        ("workers 3", 3),
        ("no workers", 0),
        ("workers 1", 1),
        ("workers 2", 2),
    ] {
        mesh.daemon(A).edit(&["interface knet0", line])?;
        mesh.wait_until_all_up(Duration::from_secs(30))?;
        let shown = mesh.daemon(A).show("show interfaces knet0")?;
        let interface = &shown["interfaces"][0];
        let count = rows(&interface["workers"]).len();
        assert_eq!(
            interface["workers_auto"],
            Value::Bool(expected == 0),
            "{line}: {shown}"
        );
        assert!(
            count >= 1 && (expected == 0 || count == expected),
            "{line}: {shown}"
        );
        assert_eq!(threads(A)?, count, "{line}");
        wait_until("frames", Duration::from_secs(10), || {
            let ping = Ping::start(&mesh.lab, A, overlay_v4(C), &["-c", "1", "-W", "1"]);
            match ping.and_then(|p| p.wait(Duration::from_secs(5))) {
                Ok(report) if report.received == 1 => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })?;
    }
    Ok(())
}
