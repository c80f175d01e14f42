//! n2n as Debian has it: two edges, with a supernode beside the second to introduce them.

use knet_tests::lab::{Result, mesh};

use crate::bed::{Bed, HOSTS};

/// Two edges and a supernode.
pub(super) fn start() -> Result<Bed> {
    let mut bed = Bed::new()?;
    let supernode = format!("{}:7654", bed.outer(HOSTS[1]));
    bed.spawn(HOSTS[1], "supernode", &["-l", "7654"])?;
    for host in HOSTS {
        let address = mesh::overlay_v4(host).to_string();
        let words = [
            "-d", "edge0", "-a", &address, "-c", "bench", "-k", "secret", "-l", &supernode, "-p", "7655",
        ];
        bed.spawn(host, "edge", &words)?;
    }
    bed.addresses = HOSTS.map(mesh::overlay_v4);
    Ok(bed)
}
