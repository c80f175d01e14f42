//! What the kernel does by itself.

use knet_tests::lab::{Result, process};

use crate::bed::{Bed, CABLE, HOSTS};

/// The cable.
pub(super) fn wire(offloads: bool) -> Result<Bed> {
    let bed = Bed::new()?;
    if !offloads {
        let device = knet_tests::lab::Lab::device(CABLE);
        for host in HOSTS {
            let features = ["tx", "rx", "sg", "tso", "gso", "gro"];
            let switches = features.iter().flat_map(|f| [*f, "off"]);
            let words: Vec<&str> = ["-K", &device].into_iter().chain(switches).collect();
            bed.lab.run(host, "ethtool", &words)?;
        }
    }
    Ok(bed)
}

/// VXLAN over the cable.
pub(super) fn vxlan() -> Result<Bed> {
    let mut bed = Bed::new()?;
    let device = knet_tests::lab::Lab::device(CABLE);
    let [a, b] = HOSTS.map(|h| bed.outer(h).to_string());
    add_vxlan(&bed, [&a, &b], [&device, &device])?;
    bed.raise(["vxlan7", "vxlan7"])?;
    Ok(bed)
}

/// Adds the device `vxlan7` between two addresses.
pub(super) fn add_vxlan(bed: &Bed, addresses: [&str; 2], devices: [&str; 2]) -> Result<()> {
    for host in HOSTS {
        let (own, other) = (addresses[host.0], addresses[1 - host.0]);
        let line = format!(
            "link add vxlan7 type vxlan id 7 local {own} remote {other} dstport 4789 dev {}\n",
            devices[host.0]
        );
        process::feed("ip", &["-n", &bed.lab.namespace(host), "-batch", "-"], &line)?;
    }
    Ok(())
}
