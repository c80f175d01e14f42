//! vpncloud as a switch.

use knet_tests::lab::Result;

use crate::bed::{Bed, HOSTS};

/// Two daemons.
pub(super) fn start() -> Result<Bed> {
    let mut bed = Bed::new()?;
    for host in HOSTS {
        // It does not start on a host that has no way to the Internet; what it sends there goes to the other host.
        let gateway = bed.outer(HOSTS[1 - host.0]).to_string();
        bed.lab
            .run(host, "ip", &["route", "add", "default", "via", &gateway])?;
        let listen = format!("{}:3210", bed.outer(host));
        let peer = format!("{}:3210", bed.outer(HOSTS[1 - host.0]));
        let words = [
            "--type",
            "tap",
            "--device",
            "vpncloud0",
            "--mode",
            "switch",
            "--listen",
            &listen,
            "--peer",
            &peer,
            "--password",
            "bench",
            "--algorithm",
            "AES256",
            "--no-port-forwarding",
            "--quiet",
        ];
        bed.spawn(host, "vpncloud", &words)?;
    }
    bed.raise(["vpncloud0", "vpncloud0"])?;
    Ok(bed)
}
