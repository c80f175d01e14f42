//! A host whose address changes.

use std::time::Duration;

use knet_tests::lab::{
    Lab, NetworkId, Result,
    mesh::{Mesh, PORT, Plan, overlay_v4},
    ping::Ping,
    time::wait_until,
};

use super::{A, B, assert_lossless, flood, needs_root};

#[test]
fn n21_roam_client_address_change_v4() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::build(Plan::default())?;
    mesh.configs[A.0].interfaces[0].locals[0] = format!("any port {PORT}");
    mesh.configs[B.0].interfaces[0].peers[0].links[0].remote = None;
    mesh.start_all()?;
    mesh.wait_until_all_up(Duration::from_secs(20))?;
    let device = Lab::device(NetworkId(0));
    let old = format!("{}/24", mesh.lab.address(A, NetworkId(0)));
    assert_eq!(mesh.links(B, A)?[0].remote, format!("10.70.0.1:{PORT}"));
    for (leave, come) in [
        (old.as_str(), "10.70.0.51/24"),
        ("10.70.0.51/24", "10.70.0.52/24"),
    ] {
        // A hundred requests per second, so that what is under way at the change is one at most.
        let ping = Ping::start(&mesh.lab, A, overlay_v4(B), &["-i", "0.01", "-c", "400"])?;
        std::thread::sleep(Duration::from_secs(1));
        mesh.lab.run(A, "ip", &["addr", "add", come, "dev", &device])?;
        mesh.lab.run(A, "ip", &["addr", "del", leave, "dev", &device])?;
        let expected = format!("{}:{PORT}", come.trim_end_matches("/24"));
        wait_until("the new address", Duration::from_secs(3), || {
            let link = mesh.links(B, A).map_err(|e| e.to_string())?.swap_remove(0);
            if link.remote == expected && link.is_up() {
                Ok(())
            } else {
                Err(format!("{link:?}"))
            }
        })?;
        let report = ping.wait(Duration::from_secs(20))?;
        assert!(report.lost() <= 1 && report.duplicates == 0, "{report:?}");
        assert_lossless(flood(&mesh, 500)?);
    }
    Ok(())
}
