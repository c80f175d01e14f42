//! knet itself.

use std::time::Duration;

use knet_tests::lab::{
    Result,
    mesh::{Mesh, Plan},
};

use crate::bed::Bed;

/// Two daemons over this many cables.
pub(super) fn start(policy: &'static str, links: usize, cipher: &str) -> Result<Bed> {
    let mut mesh = Mesh::build(Plan {
        links,
        policy,
        cables: true,
        ..Plan::default()
    })?;
    for config in &mut mesh.configs {
        for interface in &mut config.interfaces {
            interface.lines.push(format!("cipher {cipher}"));
        }
    }
    mesh.start_all()?;
    mesh.wait_until_all_up(Duration::from_secs(20))?;
    Ok(Bed::of_mesh(mesh))
}
