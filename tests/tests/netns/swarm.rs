//! A hub with many peers, played by `knet-swarm`: what `scripts/swarm` does, with few of them.

use std::path::PathBuf;

use knet_tests::lab::{Result, process, program};
use serde_json::Value;

use super::needs_root;

/// Runs the swarm, which fails unless everything is as it should be, and returns its report.
fn swarm(mode: &str, arguments: &[&str]) -> Result<Value> {
    let output: PathBuf = std::env::temp_dir().join(format!("knet-swarm-{}-{mode}", std::process::id()));
    let program = program("knet-swarm")?;
    let (program, directory) = (program.to_string_lossy(), output.to_string_lossy());
    let all = [&[mode, "--output", &directory], arguments].concat();
    let said = process::run(&program, &all);
    let report = std::fs::read_to_string(output.join(format!("{mode}.json")));
    let _ = std::fs::remove_dir_all(&output);
    print!("{}", said?);
    Ok(serde_json::from_str(&report?)?)
}

#[test]
fn a_thousand_peers_join_and_the_hub_knows_each() -> Result<()> {
    needs_root!();
    let report = swarm("join", &["--peers", "1000", "--links", "2"])?;
    let join = &report["findings"]["join"];
    assert_eq!(join["peer"]["count"], 1000, "{join}");
    // Each one with two links, its session and its configuration.
    let mib = join["hub_mib"].as_f64().unwrap_or(f64::MAX);
    assert!(mib < 40.0, "the hub has {mib} MiB");
    Ok(())
}

#[test]
fn a_hub_that_was_killed_gets_all_of_its_peers_back() -> Result<()> {
    needs_root!();
    let many = ["--peers", "300", "--links", "2", "--pool", "--down", "1"];
    let report = swarm("storm", &many)?;
    let leases = &report["findings"]["leases"];
    assert!(leases["seconds_after_join"].is_number(), "{leases}");
    let storm = &report["findings"]["storm 1"];
    assert_eq!(storm["peer"]["count"], 300, "{storm}");
    Ok(())
}

/// It has no word of any of them: each shows its certificate, before and after.
#[test]
fn a_hub_that_was_killed_knows_by_their_certificates_who_comes() -> Result<()> {
    needs_root!();
    let many = ["--peers", "300", "--links", "2", "--certificates", "--down", "1"];
    let report = swarm("storm", &many)?;
    let storm = &report["findings"]["storm 1"];
    assert_eq!(storm["peer"]["count"], 300, "{storm}");
    Ok(())
}

#[test]
fn peers_that_come_and_go_leave_nothing_behind() -> Result<()> {
    needs_root!();
    let report = swarm("churn", &["--peers", "200", "--rate", "100", "--seconds", "5"])?;
    assert_eq!(report["findings"]["churn"]["changes"], 500);
    Ok(())
}

#[test]
fn a_flood_of_first_messages_costs_peers_nothing() -> Result<()> {
    needs_root!();
    let flood = ["--flood", "init", "--rate", "10000"];
    let report = swarm(
        "misbehave",
        &[&["--peers", "100", "--seconds", "4"], &flood[..]].concat(),
    )?;
    let talk = &report["findings"]["beside the flood"];
    assert!(
        talk["lost_share"].as_f64().is_some_and(|share| share < 0.01),
        "{talk}"
    );
    let drops = &report["findings"]["hub_drops"];
    assert!(
        drops.as_object().is_some_and(|d| !d.is_empty()),
        "the flood has not arrived: {drops}"
    );
    Ok(())
}

/// What is typed is in force, shown and saved, and is there after a new start; how long it takes is for `scripts/swarm`.
#[test]
fn a_hub_with_many_peers_is_configured_line_by_line() -> Result<()> {
    needs_root!();
    let report = swarm("configure", &["--peers", "1000", "--links", "2"])?;
    let findings = &report["findings"];
    for (what, times) in [("`description TEXT` of a peer", 9), ("`write memory`", 3)] {
        assert_eq!(findings[what]["count"], times, "{findings}");
    }
    Ok(())
}
