//! What is printed can be pasted: random configurations, line by line through `knet-cli` into a real daemon.

use std::{env, fs};

use knet_api::{load::load, render::render};
use knet_tests::lab::{
    Result,
    daemon::{KeyPair, write_secret},
    mesh::{Mesh, Plan},
    process::Feeding,
    program,
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::{A, needs_root};

// The configurations are those that the tests of the model are made with.
#[path = "../../../libknet/api/tests/random_config/mod.rs"]
mod random_config;

/// Name of the file with each key: one that must stand between quotation marks.
const KEY: &str = "the \"key\"";

/// Which configurations: `KNET_SEEDS=FROM..TO`, or the first few.
fn seeds() -> std::ops::Range<u64> {
    let Ok(given) = env::var("KNET_SEEDS") else {
        return 0..12;
    };
    let range = given
        .split_once("..")
        .and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range.unwrap_or_else(|| panic!("KNET_SEEDS={given}: want FROM..TO"))
}

fn random(seed: u64) -> knet_api::model::Config {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let tree = random_config::config(Just(KEY.to_owned())).new_tree(&mut runner);
    let config = tree.expect("a configuration").current();
    // Of the devices that it names there is one.
    let lines = render(&config, false);
    let lines: Vec<String> = lines
        .lines()
        .map(|line| match line.split_once(" device ") {
            Some((local, _)) if local.trim_start().starts_with("local ") => format!("{local} device lo\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    load(lines.concat().as_bytes()).config
}

/// Pasted into a daemon without any configuration, what is printed there is what was pasted; and so it is once more
/// when the daemon has read it from the file that it wrote.
#[test]
fn what_is_printed_can_be_pasted() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::build(Plan::default())?;
    let directory = mesh.lab.host_directory(A);
    write_secret(&directory.join(KEY), &KeyPair::generate()?.private)?;
    let nothing = directory.join("nothing");
    fs::write(&nothing, "")?;
    // Addresses are anybody's.
    for family in ["ipv4", "ipv6"] {
        let set = format!("echo 1 >/proc/sys/net/{family}/ip_nonlocal_bind");
        mesh.lab.run(A, "sh", &["-c", &set])?;
    }
    let daemon = &mut mesh.daemons[A.0];
    daemon.configure("")?;
    daemon.arguments = vec!["--host".into(), random_config::HOST.into()];
    daemon.start(&mesh.lab)?;

    for seed in seeds() {
        let config = random(seed);
        let text = render(&config, false);
        let mut shell = std::process::Command::new(program("knet-cli")?);
        shell.arg("--socket").arg(daemon.socket());
        let script = format!(
            "configure replace {}\nconfigure terminal\n{text}end\nwrite memory\n",
            nothing.display()
        );
        Feeding::prepare(&mut shell)?
            .finish(&script)
            .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
        let shown = |what: &str, field: &str| -> Result<String> {
            Ok(daemon.show(what)?[field].as_str().unwrap_or_default().to_owned())
        };
        let running = || shown("show running-config", "running_config");
        assert_eq!(running()?, text, "seed {seed}");
        assert_eq!(
            shown("show startup-config", "startup_config")?,
            text,
            "seed {seed}"
        );
        // A file for other hosts only is refused.
        let hosts = config.named_hosts();
        if hosts.is_empty() || hosts.contains(random_config::HOST) {
            let reloaded = daemon.show("reload config")?;
            let lines = &reloaded["reloaded"]["lines"];
            assert_eq!(*lines, serde_json::json!([]), "seed {seed}");
            assert_eq!(running()?, text, "seed {seed}");
        }
    }
    Ok(())
}
