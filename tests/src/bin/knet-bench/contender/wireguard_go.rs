//! VXLAN over `WireGuard` in user space: how Ethernet frames are carried by it.

use knet_tests::lab::{Result, process};

use super::kernel::add_vxlan;
use crate::bed::{Bed, HOSTS};

const INNER: [&str; 2] = ["10.201.0.1", "10.201.0.2"];

/// Two daemons, and the kernel's VXLAN over them.
pub(super) fn start() -> Result<Bed> {
    let mut bed = Bed::new()?;
    // Their control sockets are in one directory of the machine, by the device's name.
    let devices = ["a", "b"].map(|end| format!("kb{}{end}", std::process::id()));
    let mut public = Vec::new();
    for host in HOSTS {
        let private = process::run("wg", &["genkey"])?;
        bed.write(host, "wg.key", private.trim())?;
        public.push(process::feed("wg", &["pubkey"], &private)?.trim().to_owned());
    }
    for host in HOSTS {
        let device = &devices[host.0];
        bed.spawn(host, "wireguard-go", &["-f", device])?;
        let namespace = bed.lab.namespace(host);
        knet_tests::lab::time::wait_until("wireguard-go", std::time::Duration::from_secs(10), || {
            let key = bed.file(host, "wg.key");
            let endpoint = format!("{}:51820", bed.outer(HOSTS[1 - host.0]));
            let allowed = format!("{}/32", INNER[1 - host.0]);
            let words = [
                "set",
                device,
                "private-key",
                &key.to_string_lossy(),
                "listen-port",
                "51820",
                "peer",
                &public[1 - host.0],
                "endpoint",
                &endpoint,
                "allowed-ips",
                &allowed,
            ];
            bed.lab.run(host, "wg", &words).map_err(|e| e.to_string())
        })?;
        let batch = format!(
            "address add {}/24 dev {device}\nlink set dev {device} mtu 1420 up\n",
            INNER[host.0]
        );
        process::feed("ip", &["-n", &namespace, "-batch", "-"], &batch)?;
    }
    add_vxlan(&bed, INNER, [&devices[0], &devices[1]])?;
    bed.raise(["vxlan7", "vxlan7"])?;
    Ok(bed)
}
