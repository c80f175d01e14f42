//! Clients of two hubs, under a flood of pings from client to client: a hub is killed, and cut off.

use std::time::Duration;

use knet_tests::lab::{
    Lab, NetworkId, Result,
    capture::EchoCapture,
    hubs::{CLIENTS, HUBS, Joint, bridge_hubs, hub_in_use, make_hubs, wait_until_all_use},
    mesh::{Mesh, Plan, overlay_v4},
    ping::Ping,
    time::now,
};

use super::needs_root;

/// What the clients may lose, in the pings of so long a time. On a machine that does nothing else it is a tenth of it.
const MOST_LOST: Duration = Duration::from_secs(1);

/// The hubs' TAPs are in kernel bridges that a cable joins: only frames can tell these where a client has gone.
#[test]
fn n60_a_hub_dies_and_the_other_takes_over_behind_kernel_bridges() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::build(Plan {
        hosts: 4,
        links: 2,
        ..Plan::default()
    })?;
    // The second network is the hubs' own.
    for config in &mut mesh.configs {
        config.interfaces[0].locals.truncate(1);
        for peer in &mut config.interfaces[0].peers {
            peer.links.truncate(1);
        }
    }
    make_hubs(&mut mesh, Joint::Bridge);
    mesh.start_all()?;
    bridge_hubs(&mesh, &Lab::device(NetworkId(1)))?;
    wait_until_all_use(&mesh, HUBS[0], Duration::from_secs(20))?;

    let [from, to] = CLIENTS;
    let capture = EchoCapture::start(&mesh.lab, from, "knet0")?;
    let flood = Ping::flood(&mesh.lab, from, overlay_v4(to), &["-i", "0.005"])?;
    std::thread::sleep(Duration::from_millis(700));
    mesh.daemons[HUBS[0].0].kill();
    std::thread::sleep(Duration::from_millis(1_500));
    for client in CLIENTS {
        let (hub, take_overs) = hub_in_use(&mesh, client)?;
        assert_eq!(hub.as_deref(), Some(mesh.lab.host_name(HUBS[1])));
        assert!((1..=2).contains(&take_overs), "{take_overs}");
    }
    // The first is back, and used again when it has been up for a while; until then the other one carries on.
    mesh.restart(HUBS[0])?;
    mesh.daemons[HUBS[0].0].wait_until_it_answers()?;
    mesh.lab
        .run(HUBS[0], "ip", &["link", "set", "knet0", "master", "br0"])?;
    std::thread::sleep(Duration::from_millis(500));
    flood.stop()?;
    let record = capture.stop()?;
    let summary = record
        .with(overlay_v4(to))
        .next()
        .expect("a flood")
        .summary(0, now());
    println!("{summary:?}");
    assert!(summary.sent > 300, "{summary:?}");
    assert!(
        summary.longest_gap.millis() < MOST_LOST.as_millis() as f64,
        "{summary:?}"
    );
    assert!(summary.copies < 50, "{summary:?}");
    Ok(())
}
